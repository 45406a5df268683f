package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// asked is a machine that answers questions and nothing else.
type asked map[string]any

func (asked) Machine(context.Context) (host.Machine, error) { return host.Machine{Source: "live"}, nil }

func (asked) Key(_ context.Context, p string) (host.Key, error) {
	return host.Key{}, fmt.Errorf("key %s: %w", p, host.ErrNotRecorded)
}
func (asked) Files(context.Context, string) ([]host.File, error) { return nil, nil }
func (asked) Service(_ context.Context, n string) (host.Service, error) {
	return host.Service{}, fmt.Errorf("service %s: %w", n, host.ErrNotRecorded)
}

func (a asked) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	switch v := a[q.Name].(type) {
	case nil:
		return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, host.ErrNotRecorded)
	case error:
		return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, v)
	case string:
		return host.Answer{JSON: json.RawMessage(v), Source: "answers/" + q.Name + ".json"}, nil
	case chan int: // never answers
		<-v
		return host.Answer{}, ctx.Err()
	default:
		b, err := json.Marshal(v)
		return host.Answer{JSON: b, Source: "answers/" + q.Name + ".json"}, err
	}
}

func (asked) Open(_ context.Context, f host.File) (io.ReadCloser, error) {
	return nil, fmt.Errorf("open %s: %w", f.Path, host.ErrNotRecorded)
}

func TestAnswers(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 5, d, 10, 0, 0, 0, time.UTC) }
	f := Collect(t.Context(), asked{
		host.AskEdition: host.Edition{Product: "Professional", Build: "22631.3007", Arch: "amd64"},
		host.AskAdapters: host.Adapters{
			Host: "WS-17", Domain: "fabrikam.example",
			Adapters: []host.Adapter{
				{Name: "Ethernet", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.17/24")}, Suffixes: []string{"lan.fabrikam.example"}},
				{Name: "VPN", Description: "WireGuard Tunnel", VPN: "WireGuard", Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}, Up: true},
			},
			Unseen: []host.Unseen{{Part: "routes", Why: "no such function"}},
		},
		host.AskProxy:      host.ProxyState{Access: 3, Proxy: "proxy.fabrikam.example:8080", Bypass: "<local>"},
		host.AskFilters:    host.FilterDrivers{Filters: []host.FilterDriver{{Name: "WdFilter", Altitude: "328010", Instances: 4}, {Name: "acmeav", Altitude: "321234.5"}}},
		host.AskManagement: host.Management{Joined: "domain", Name: "FABRIKAM", Owners: []host.Owned{{Key: keyUpdatePolicy, Name: "WUServer", Owner: host.OwnerDomain}}},
		host.AskAgent: host.AgentState{Version: "1023.1", History: []host.HistoryEntry{ // newest first
			{At: day(4), Operation: 1, Outcome: 2, Title: "Security Update (KB5030001)", KB: "KB5030001", ID: "a"},
			{At: day(3), Operation: 1, Outcome: 4, Result: 0x800F0922, Unmapped: 0x80070070, Title: "Cumulative Update (KB5030002)", ID: "b"},
			{At: day(2), Operation: 1, Outcome: 4, Result: 0x80070643, Title: "Security Update (KB5030001)", ID: "a"},
		}},
		host.AskSecurity: host.ErrNotExist,
		host.AskVolumes:  host.ErrDenied,
		host.AskFirewall: "{",
	}, Options{})

	if f.Machine.Name != "WS-17" || f.Machine.Build != "22631.3007" || f.Machine.Arch != "amd64" {
		t.Errorf("machine %+v", f.Machine)
	}
	n := f.Network.Value
	if f.Network.State != Present || len(n.Adapters) != 2 || !n.Adapters[0].Connected || n.Adapters[1].Connected || n.Adapters[1].VPN != "WireGuard" || n.Suffix != "fabrikam.example" {
		t.Errorf("network %+v", f.Network)
	}
	want := winlog.WinHTTPProxy{Known: true, Proxy: "proxy.fabrikam.example:8080", Bypass: "<local>", Scope: "machine"}
	if d := cmp.Diff(want, f.WinHTTP.Value); d != "" {
		t.Error(d)
	}
	if l := f.Filters.Value; len(l) != 2 || !l[0].Microsoft || l[1].Microsoft || l[1].Group != "FSFilter Anti-Virus" {
		t.Errorf("filters %+v", l)
	}
	if f.Device.Value.DomainJoined != winlog.Yes || f.Owner(keyUpdatePolicy, "wuserver") != host.OwnerDomain || f.Owner(keyUpdatePolicy, "x") != "" {
		t.Errorf("device %+v", f.Device)
	}
	if f.Security.State != Absent || f.Volumes.Known() || f.Firewall.Known() || f.Power.Known() {
		t.Errorf("security %v volumes %v firewall %v power %v", f.Security.State, f.Volumes.State, f.Firewall.State, f.Power.State)
	}
	var gaps []string
	for _, g := range f.Gaps {
		gaps = append(gaps, g.Source)
	}
	slices.Sort(gaps)
	if d := cmp.Diff([]string{"adapters routes", "firewall", "volumes"}, gaps); d != "" {
		t.Error(d)
	}
	// The newest trouble first; what went in later is resolved.
	suffering := f.Suffering()
	if len(suffering) != 1 || suffering[0].Code != 0x800F0922 || suffering[0].Update.KB != "KB5030002" || suffering[0].Stage != StageInstall {
		t.Errorf("%+v", suffering)
	}
	if _, ok := f.Code(0x80070070); !ok {
		t.Error("the installer's own result is lost")
	}
	if len(f.Sources) != 0 {
		t.Errorf("answers are listed as files: %v", f.Sources)
	}
}

// A question that never comes back is a gap after a while, and keeps no other.
func TestAnswerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan int)
		f := Collect(t.Context(), asked{host.AskAgent: never, host.AskPowerState: host.Power{Battery: 40}}, Options{})
		if f.Agent.Known() || f.Power.Value.Battery != 40 {
			t.Errorf("agent %v power %+v", f.Agent.State, f.Power)
		}
		if len(f.Gaps) != 1 || f.Gaps[0].Source != host.AskAgent {
			t.Errorf("%v", f.Gaps)
		}
		close(never)
	})
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{"history":[{"outcome":4,"result":"0x80070643","title":"KB5030001"}]}`, `{"unseen":[{"part":"x"}]}`, `null`, `[]`, `{"history":null,"total":1e99}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := asked{}
		for _, q := range host.Questions() {
			a[q.Name] = s
		}
		got := &Facts{marks: map[string][]Seen{}, codes: map[codes.HRESULT]Seen{}, registry: registryReader{}, services: map[string]Fact[host.Service]{}}
		got.merge(got.readAnswers(t.Context(), a))
		for _, x := range got.Failures {
			if x.Code == 0 || x.Count == 0 {
				t.Errorf("%+v", x)
			}
		}
	})
}
