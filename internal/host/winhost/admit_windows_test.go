package winhost

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/windows/svc/mgr"
)

// callHome is set in a child that connects to this address and waits.
const callHome = "UPDOC_TEST_CALL_HOME"

// A connection of this process is let in, one of another program is not.
func TestAdmitUpdater(t *testing.T) {
	if at := os.Getenv(callHome); at != "" {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = bufio.NewReader(c).ReadString('\n')
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ends := func(c net.Conn) (client, self netip.AddrPort) {
		return netip.MustParseAddrPort(c.RemoteAddr().String()), netip.MustParseAddrPort(c.LocalAddr().String())
	}

	own, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	client, self := ends(accepted)
	if pid, err := socketOwner(client, self); err != nil || pid != uint32(os.Getpid()) {
		t.Errorf("this process is %d, the connection's is %d, %v", os.Getpid(), pid, err)
	}
	if err := AdmitUpdater(client, self); err != nil {
		t.Error(err)
	}
	if err := AdmitUpdater(netip.AddrPortFrom(client.Addr(), 1), self); err == nil {
		t.Error("a connection that is not there is let in")
	}

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAdmitUpdater$")
	child.Env = append(os.Environ(), callHome+"="+l.Addr().String())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, self = ends(other)
	if pid, err := socketOwner(client, self); err != nil || pid != uint32(child.Process.Pid) {
		t.Errorf("the child is %d, the connection's process is %d, %v", child.Process.Pid, pid, err)
	}
	if err := AdmitUpdater(client, self); err == nil || !strings.Contains(err.Error(), "no part of Windows Update") {
		t.Errorf("any program is let in: %v", err)
	}
	other.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

// The services of a process are those that the control manager gives it, one by one.
func TestServicesIn(t *testing.T) {
	m, err := mgr.Connect()
	if err != nil {
		t.Skip("NOT RUN: the service control manager: ", err)
	}
	defer m.Disconnect()
	names, err := m.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	running := 0
	for _, name := range names {
		s, err := m.OpenService(name)
		if err != nil {
			continue
		}
		st, err := s.Query()
		s.Close()
		if err != nil || st.ProcessId == 0 {
			continue
		}
		running++
		list, err := servicesIn(st.ProcessId)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) }) {
			t.Errorf("%s runs in process %d, which has %v", name, st.ProcessId, list)
		}
	}
	if running == 0 {
		t.Error("no service runs")
	}
	if list, err := servicesIn(uint32(os.Getpid())); err != nil || len(list) > 0 {
		t.Errorf("this process runs %v, %v", list, err)
	}
}
