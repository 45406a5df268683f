package winhost

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
)

func TestAdmitted(t *testing.T) {
	const system = `C:\Windows\System32`
	const someone = "S-1-5-21-1-2-3-1001"
	for name, tt := range map[string]struct {
		peer
		in bool
	}{
		"the update agent":                {peer{services: []string{"wuauserv"}}, true},
		"its name in other letters":       {peer{services: []string{"WUAUSERV"}}, true},
		"a service host with many":        {peer{services: []string{"Schedule", "ProfSvc", "BITS"}}, true},
		"downloads":                       {peer{services: []string{"DoSvc"}, account: "S-1-5-20"}, true},
		"another service":                 {peer{services: []string{"Spooler"}, account: sidSystem}, false},
		"by its token alone":              {peer{groups: []string{"S-1-1-0", serviceSID("UsoSvc")}}, true},
		"another's token":                 {peer{groups: []string{serviceSID("Spooler")}}, false},
		"the orchestrator's worker":       {peer{account: sidSystem, image: `C:\WINDOWS\system32\MoUsoCoreWorker.exe`}, true},
		"the worker of somebody":          {peer{account: someone, image: `C:\Windows\System32\MoUsoCoreWorker.exe`}, false},
		"whose token may not be read":     {peer{image: `C:\Windows\System32\MoUsoCoreWorker.exe`}, false},
		"a namesake elsewhere":            {peer{account: sidSystem, image: `C:\Temp\MoUsoCoreWorker.exe`}, false},
		"a namesake in a folder below":    {peer{account: sidSystem, image: `C:\Windows\System32\x\wuauclt.exe`}, false},
		"a browser":                       {peer{account: someone, image: `C:\Program Files\Edge\msedge.exe`}, false},
		"nothing is known":                {peer{pid: 4}, false},
		"a service whose name begins so":  {peer{services: []string{"wuauserv_helper"}}, false},
		"a program of that name and more": {peer{account: sidSystem, image: `wuauclt.exe`}, false},
	} {
		if err := tt.admitted(system); (err == nil) != tt.in {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The identifier of TrustedInstaller is one that every Windows shows in the rights
// of its own files.
func TestServiceSID(t *testing.T) {
	const want = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	for _, name := range []string{"TrustedInstaller", "trustedinstaller"} {
		if got := serviceSID(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func table4(rows ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(rows)))
	for _, r := range rows {
		b = append(b, r...)
	}
	return b
}

func row(from, to string, pid uint32) []byte {
	end := func(b []byte, a netip.AddrPort) []byte {
		b = append(b, a.Addr().AsSlice()...)
		if a.Addr().Is6() {
			b = append(b, 0, 0, 0, 0) // scope
		}
		return append(binary.BigEndian.AppendUint16(b, a.Port()), 0xAB, 0xCD) // the upper half may hold anything
	}
	f, t := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	established := []byte{5, 0, 0, 0}
	var b []byte
	if f.Addr().Is4() {
		b = end(end(established, f), t)
	} else {
		b = append(end(end(nil, f), t), established...)
	}
	return binary.LittleEndian.AppendUint32(b, pid)
}

func TestConnectionOwner(t *testing.T) {
	four := table4(
		row("127.0.0.1:49500", "127.0.0.1:49400", 700), // the relay's own end
		row("127.0.0.1:49400", "127.0.0.1:49500", 1234),
		row("127.0.0.1:49401", "127.0.0.1:49500", 5678),
		row("127.0.0.1:49402", "127.0.0.1:49500", 0), // its process is gone
	)
	six := table4(
		row("[::1]:49500", "[::1]:49400", 700),
		row("[::1]:49400", "[::1]:49500", 1234),
	)
	for _, tt := range []struct {
		table        []byte
		client, self string
		pid          uint32
	}{
		{four, "127.0.0.1:49400", "127.0.0.1:49500", 1234},
		{four, "127.0.0.1:49401", "127.0.0.1:49500", 5678},
		{four, "127.0.0.1:49402", "127.0.0.1:49500", 0},
		{four, "127.0.0.1:49403", "127.0.0.1:49500", 0},
		{four, "127.0.0.1:49400", "127.0.0.1:49501", 0},
		{six, "[::1]:49400", "[::1]:49500", 1234},
		{six, "[::1]:49500", "[::1]:49400", 700},
		{four[:len(four)-30], "127.0.0.1:49402", "127.0.0.1:49500", 0}, // cut off
		{six[:40], "[::1]:49400", "[::1]:49500", 0},
		{nil, "127.0.0.1:49400", "127.0.0.1:49500", 0},
	} {
		pid, ok := connectionOwner(tt.table, netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.self))
		if pid != tt.pid || ok != (tt.pid != 0) {
			t.Errorf("%s to %s: %d, %v; want %d", tt.client, tt.self, pid, ok, tt.pid)
		}
	}
}

func TestAnsweredAt(t *testing.T) {
	listening := row("0.0.0.0:3389", "0.0.0.0:0", 700)
	listening[0] = 2
	four := table4(
		listening,
		row("198.51.100.7:3389", "203.0.113.9:50000", 700),
		row("198.51.100.7:3389", "203.0.113.9:50001", 700),
		row("192.0.2.20:3389", "192.0.2.30:50000", 700),
		row("192.0.2.21:445", "192.0.2.30:50000", 4),
	)
	if got := fmt.Sprint(answeredAt(four, false, 3389)); got != "[198.51.100.7 192.0.2.20]" {
		t.Error(got)
	}
	if got := fmt.Sprint(answeredAt(table4(row("[2001:db8::7]:3389", "[2001:db8::9]:50000", 700)), true, 3389)); got != "[2001:db8::7]" {
		t.Error(got)
	}
}

// Whatever a table holds, reading it ends and stays within it.
func FuzzConnectionOwner(f *testing.F) {
	f.Add(table4(row("127.0.0.1:1", "127.0.0.1:2", 3)), true)
	f.Add(table4(row("[::1]:1", "[::1]:2", 3)), false)
	f.Add([]byte{255, 255, 255, 255}, true)
	f.Fuzz(func(t *testing.T, table []byte, four bool) {
		a, b := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
		if !four {
			a, b = netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::1]:2")
		}
		if pid, ok := connectionOwner(table, a, b); ok && pid == 0 {
			t.Error("a connection of nobody")
		}
	})
}
