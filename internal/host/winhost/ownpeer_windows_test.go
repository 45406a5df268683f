package winhost

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// A connection of this user's programs is known as theirs, one of another account is
// not, and of one that there is not nobody knows.
func TestOwnPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAdmitUpdater$")
	child.Env = append(os.Environ(), callHome+"="+l.Addr().String())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, self := netip.MustParseAddrPort(c.RemoteAddr().String()), netip.MustParseAddrPort(c.LocalAddr().String())
	if own, err := OwnPeer(client, self); !own || err != nil {
		t.Errorf("a program of this user: %v, %v", own, err)
	}
	if own, err := OwnPeer(netip.AddrPortFrom(client.Addr(), 1), self); own || err == nil {
		t.Errorf("a connection that is not there: %v, %v", own, err)
	}
	c.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}

	t.Run("another account", func(t *testing.T) {
		if isWine() {
			t.Skip("OwnPeer of another account: under Wine every process is of one user")
		}
		if !windows.GetCurrentProcessToken().IsElevated() {
			t.Skip("OwnPeer of another account: needs an administrator to start a service")
		}
		asked := make(chan bool, 1)
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			own, err := OwnPeer(netip.MustParseAddrPort(r.RemoteAddr), netip.MustParseAddrPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()))
			asked <- own && err == nil
		}))
		defer s.Close()
		a := &Account{SID: sidNetworkService, Dir: t.TempDir()}
		defer a.Close()
		if _, err := a.Exchange(t.Context(), host.Request{Method: "GET", URL: s.URL}); err != nil {
			t.Fatal(err)
		}
		if <-asked {
			t.Error("a service's connection was taken for this user's")
		}
	})
	if name, err := userOf(uint32(os.Getpid())); err != nil {
		t.Logf("WTSEnumerateProcesses: %v", err)
	} else if user, uerr := windows.GetCurrentProcessToken().GetTokenUser(); uerr != nil || name != user.User.Sid.String() {
		t.Errorf("this process is of %s, %v", name, uerr)
	}
}
