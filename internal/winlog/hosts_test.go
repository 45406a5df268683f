package winlog

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var addrs = cmpopts.EquateComparable(netip.Addr{})

func TestReadHosts(t *testing.T) {
	text := "\xEF\xBB\xBF# Copyright\r\n" +
		"\r\n" +
		"#\t127.0.0.1       localhost\r\n" +
		"127.0.0.1\tlocalhost\r\n" +
		"0.0.0.0  FE2.Update.example.com. sls.update.example.com # blocked\r\n" +
		"  ::1 localhost\r\n" +
		"203.0.113.7 wsus.fabrikam.example\r\n" +
		"wsus.fabrikam.example 203.0.113.7\r\n" +
		"203.0.113.8\r\n" +
		"300.1.1.1 x.example\r\n"
	got, err := ReadHosts(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := HostsFile{
		Entries: []HostsEntry{
			{Line: 4, Addr: netip.MustParseAddr("127.0.0.1"), Names: []string{"localhost"}},
			{Line: 5, Addr: netip.MustParseAddr("0.0.0.0"), Names: []string{"fe2.update.example.com", "sls.update.example.com"}},
			{Line: 6, Addr: netip.MustParseAddr("::1"), Names: []string{"localhost"}},
			{Line: 7, Addr: netip.MustParseAddr("203.0.113.7"), Names: []string{"wsus.fabrikam.example"}},
		},
		Malformed: 3,
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Errorf("ReadHosts (-want +got):\n%s", d)
	}
}

func TestReadHostsUTF16(t *testing.T) {
	got, err := ReadHosts(strings.NewReader(utf16LE("\uFEFF0.0.0.0 update.example.com\r\n")))
	if err != nil || len(got.Entries) != 1 || got.Entries[0].Names[0] != "update.example.com" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestHostsEntrySinks(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "0.0.0.0": true, "::": true, "::1": true, "255.255.255.255": true,
		"240.0.0.1": true, "::ffff:127.0.0.1": true, "100::1": true, "::1%1": true,
		"203.0.113.7": false, "10.0.0.5": false, "fd00::1": false, "fe80::1%2": false, "::2": false,
	} {
		if got := (HostsEntry{Addr: netip.MustParseAddr(addr)}).Sinks(); got != want {
			t.Errorf("%s sinks: %v, want %v", addr, got, want)
		}
	}
}

func FuzzReadHosts(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost\n#\n::1 a b c\n"))
	f.Add([]byte("0.0.0.0\tx.example\r\nbad line\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHosts(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range h.Entries {
			if !e.Addr.IsValid() || len(e.Names) == 0 || e.Line < 1 {
				t.Fatalf("bad entry %+v", e)
			}
			e.Sinks()
		}
	})
}

func BenchmarkReadHosts(b *testing.B) {
	text := strings.Repeat("0.0.0.0 tracker.example.com telemetry.example.com\r\n", 10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ReadHosts(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
