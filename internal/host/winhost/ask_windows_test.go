package winhost

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
)

func open(t *testing.T) *Host {
	t.Helper()
	h, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// answer asks a question and reads its answer back.
func answer[T any](t *testing.T, h *Host, name string) T {
	t.Helper()
	a, err := h.Ask(t.Context(), host.Question{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(a.JSON, &v); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", a.JSON)
	return v
}

// wine reports whether this is Wine, which lacks some of Windows.
func wine(t *testing.T, h *Host) bool {
	t.Helper()
	c, err := caller(t.Context(), h, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.(host.Caller).Wine != ""
}

func TestAskAll(t *testing.T) {
	h := open(t)
	for _, q := range host.Questions() {
		if q.Name == host.AskProxyFor {
			continue // looks for a proxy on the network
		}
		began := time.Now()
		a, err := h.Ask(t.Context(), q)
		took := time.Since(began).Round(time.Millisecond)
		var code codes.HRESULT
		switch {
		case err == nil:
			t.Logf("%-12s %8v %.300s", q.Name, took, a.JSON)
			if !json.Valid(a.JSON) {
				t.Errorf("%s: no JSON", q.Name)
			}
		case errors.As(err, &code):
			t.Logf("%-12s %8v %v", q.Name, took, err)
		default:
			t.Errorf("%s: an error without an HRESULT: %v", q.Name, err)
		}
		if took > 30*time.Second {
			t.Errorf("%s took %v", q.Name, took)
		}
	}
}

// What Windows gives in structures, read as the documentation lays them out.
func TestFilterDriver(t *testing.T) {
	record := func(mini bool, name, altitude string) []byte {
		var a filterAggregate
		n, l := utf16.Encode([]rune(name)), utf16.Encode([]rune(altitude))
		size := uint16(unsafe.Sizeof(a))
		if mini {
			a = filterAggregate{Flags: 1, FrameID: 0, Instances: 5, NameLength: uint16(2 * len(n)), NameOffset: size, AltitudeLength: uint16(2 * len(l)), AltitudeOffset: size + uint16(2*len(n))}
		} else {
			a = filterAggregate{Flags: 2, FrameID: uint32(2*len(n)) | uint32(size)<<16}
		}
		b := append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(&a)), size)...)
		for _, c := range append(n, l...) {
			b = binary.LittleEndian.AppendUint16(b, c)
		}
		return b
	}
	got, ok := filterDriver(record(true, "WdFilter", "328010"))
	if d := cmp.Diff(host.FilterDriver{Name: "WdFilter", Altitude: "328010", Instances: 5}, got); !ok || d != "" {
		t.Error(d)
	}
	got, ok = filterDriver(record(false, "OldAV", ""))
	if d := cmp.Diff(host.FilterDriver{Name: "OldAV", Instances: -1, Legacy: true}, got); !ok || d != "" {
		t.Error(d)
	}
	whole := record(true, "WdFilter", "328010")
	for n := range whole { // whatever is cut off
		if f, ok := filterDriver(whole[:n]); ok && f.Name != "WdFilter" {
			t.Errorf("%d bytes: %+v", n, f)
		}
	}
}

func TestPartition(t *testing.T) {
	gpt := func(guid string) *partitionInfo {
		g, err := windows.GUIDFromString(guid)
		if err != nil {
			t.Fatal(err)
		}
		p := &partitionInfo{Style: 1, Number: 3, Start: 1 << 20, Length: 100 << 20}
		*(*windows.GUID)(unsafe.Pointer(&p.Detail)) = g
		return p
	}
	mbr := func(kind, active byte) *partitionInfo {
		p := &partitionInfo{Number: 1, Length: 500 << 20}
		p.Detail[0], p.Detail[1] = kind, active
		return p
	}
	for want, p := range map[string]*partitionInfo{
		host.RoleEFI + " C12A7328-F81F-11D2-BA4B-00A0C93EC93B":      gpt("{C12A7328-F81F-11D2-BA4B-00A0C93EC93B}"),
		host.RoleRecovery + " DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": gpt("{DE94BBA4-06D1-4D40-A16A-BFD50179D6AC}"),
		" AF9B60A0-1431-4F62-BC68-3311714A69AD":                     gpt("{AF9B60A0-1431-4F62-BC68-3311714A69AD}"),
		host.RoleSystem + " 0x07":                                   mbr(7, 0x80),
		host.RoleBasic + " 0x07":                                    mbr(7, 0),
		host.RoleRecovery + " 0x27":                                 mbr(0x27, 0),
	} {
		got := p.partition()
		if s := got.Role + " " + got.Type; s != want || got.Size != p.Length || got.Number != int(p.Number) {
			t.Errorf("%q, want %q: %+v", s, want, got)
		}
	}
}

func TestAdapters(t *testing.T) {
	h := open(t)
	a := answer[host.Adapters](t, h, host.AskAdapters)
	if a.Host == "" || len(a.Adapters) == 0 {
		t.Fatalf("%+v", a)
	}
	up := false
	for _, x := range a.Adapters {
		if x.ID == "" || x.Name == "" || x.Index == 0 {
			t.Errorf("%+v", x)
		}
		up = up || x.Up && len(x.Addresses) > 0
		for _, p := range x.Addresses {
			if !p.IsValid() {
				t.Errorf("%s: %v", x.Name, p)
			}
		}
	}
	if !up {
		t.Log("no adapter is up here")
	}
}

func TestVolumes(t *testing.T) {
	h := open(t)
	v := answer[host.Volumes](t, h, host.AskVolumes)
	for _, x := range v.Volumes {
		if slices.Contains(x.Paths, v.System+`\`) {
			if x.Free <= 0 || x.Size < x.Free || x.FileSystem == "" {
				t.Errorf("the system's volume: %+v", x)
			}
			return
		}
	}
	t.Errorf("%s is not among %+v", v.System, v.Volumes)
}

// WinHTTP runs a script and says what it decides, for the update hosts and for
// any other address that is asked for.
func TestProxyFor(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
		_, _ = io.WriteString(w, `function FindProxyForURL(url, host) {
			if (host.indexOf("windowsupdate") >= 0) return "PROXY proxy.fabrikam.example:8080";
			if (host == "both.fabrikam.example") return "PROXY a.fabrikam.example:1; PROXY b.fabrikam.example:2";
			return "DIRECT";
		}`)
	}))
	defer s.Close()
	h := open(t)
	v, err := proxyFor(t.Context(), h, map[string]string{"pac": s.URL + "/proxy.pac", "url": "http://both.fabrikam.example/"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, d := range v.(host.ProxyFor).Answers {
		got[d.URL] = d.Proxy
		if d.Result != 0 {
			t.Errorf("%+v", d)
		}
		if d.Direct != (d.Proxy == "") {
			t.Errorf("%+v", d)
		}
	}
	if got["http://download.windowsupdate.com/"] != "proxy.fabrikam.example:8080" || got["https://slscr.update.microsoft.com/"] != "" {
		t.Errorf("%v", got)
	}
	if p := got["http://both.fabrikam.example/"]; !strings.HasPrefix(p, "a.fabrikam.example:1") {
		t.Errorf("several: %q", p)
	}
	// A script that is not there is a result and no decision.
	s.Close()
	v, err = proxyFor(t.Context(), h, map[string]string{"pac": s.URL + "/other.pac"}) // the first one is kept in a cache
	if err != nil {
		t.Fatal(err)
	}
	if l := v.(host.ProxyFor).Answers; len(l) != 1 || !l[0].Result.Failed() || l[0].Direct {
		t.Errorf("%+v", l)
	}
}

func TestMultiString(t *testing.T) {
	for in, want := range map[string][]string{
		"C:\\\x00D:\\\x00\x00": {`C:\`, `D:\`},
		"":                     nil,
		"\x00\x00":             nil,
		"C:\\":                 {`C:\`},
	} {
		if d := cmp.Diff(want, multiString(utf16.Encode([]rune(in)))); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}
