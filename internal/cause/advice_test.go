package cause

import (
	"slices"
	"testing"

	"updoc/internal/codes"
)

func TestAdviceRefersToTheCatalogue(t *testing.T) {
	known := map[string]bool{}
	for _, c := range Catalogue() {
		known[c.ID] = true
	}
	check := func(where, id string) {
		if !known[id] {
			t.Errorf("%s: no such cause: %s", where, id)
		}
	}
	seen := map[string]bool{}
	for _, a := range CommonAdvice() {
		if seen[a.ID] {
			t.Errorf("%s stands twice", a.ID)
		}
		seen[a.ID] = true
		if len(a.Helps) == 0 {
			t.Errorf("%s helps against nothing: then the verdict cannot be explained", a.ID)
		}
		helped := map[string]bool{}
		for _, e := range a.Helps {
			check(a.ID, e.Cause)
			if e.Chance <= 0 || e.Chance > 1 || helped[e.Cause] {
				t.Errorf("%s: %s: chance %v, twice: %v", a.ID, e.Cause, e.Chance, helped[e.Cause])
			}
			helped[e.Cause] = true
		}
		for _, id := range slices.Concat(a.Round, a.Harms) {
			check(a.ID, id)
		}
		if got := a.Curable(); len(got) != len(a.Helps) || a.Helps[0].Chance < 1 && !slices.Contains(got, a.Helps[0].Cause) {
			t.Errorf("%s: Curable = %v", a.ID, got)
		}
	}
	for _, s := range CommonSuspects() {
		for _, e := range s.Behind {
			check(s.ID, e.Cause)
		}
	}
	for _, c := range Catalogue() {
		if FirstLook(c.Family) == "" {
			t.Errorf("family %s of %s: no first look", c.Family, c.ID)
		}
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name  string
		usual []Share
		want  map[string]Worth
	}{
		{"a proxy that wants a sign-in", []Share{{"proxy-auth-required", 0.7}, {"proxy-misconfigured-winhttp", 0.2}}, map[string]Worth{
			"reset-folders": Cannot, "sfc-dism": Cannot, "wait": Cannot, "firewall-off": Cannot, "in-place-upgrade": Cannot,
			"proxy-settings": Can, "winhttp-reset": Harmful, "manual-install": Around, "delete-pending-xml": Harmful,
		}},
		{"a stale proxy", []Share{{"proxy-stale", 0.8}, {"proxy-auth-required", 0.1}}, map[string]Worth{
			"winhttp-reset": Can, "proxy-settings": Can, "vpn-off": Can, "reset-folders": Cannot,
		}},
		{"a damaged database", []Share{{"datastore-corrupt", 0.6}}, map[string]Worth{
			"reset-folders": Can, "troubleshooter": Can, "sfc-dism": Cannot, "winhttp-reset": Cannot, "delete-pending-xml": Harmful,
		}},
		{"a damaged store", []Share{{"component-store-corrupt", 0.9}}, map[string]Worth{
			"sfc-dism": Can, "in-place-upgrade": Can, "reset-folders": Cannot, "manual-install": Cannot, "clock": Cannot,
		}},
		{"a busy server", []Share{{"server-side-outage", 0.9}}, map[string]Worth{
			"wait": Can, "reset-folders": Cannot, "reinstall": Cannot, "manual-install": Around,
		}},
		{"a wrong clock in one case of fifty", []Share{{"clock-skew", 0.02}, {"tls-interception", 0.9}}, map[string]Worth{
			"clock": Seldom, "antivirus-off": Can,
		}},
		{"a company's own server", []Share{{"wsus-unreachable", 0.5}}, map[string]Worth{"delete-policies": Harmful, "manual-install": Around}},
		{"a former company's server", []Share{{"wsus-policy-stale", 0.5}, {"wsus-unreachable", 0.3}}, map[string]Worth{"delete-policies": Can}},
		{"hardly anything known", []Share{{"component-store-corrupt", 0.1}}, map[string]Worth{"reset-folders": "", "sfc-dism": ""}},
		{"nothing known", nil, map[string]Worth{"reset-folders": "", "sfc-dism": ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]Worth{}
			for _, j := range JudgeAdvice(tt.usual) {
				got[j.ID] = j.Worth
				if j.Share < 0 || j.Share > 1 || j.Harm < 0 || j.Harm > 1 {
					t.Errorf("%s: share %v, harm %v", j.ID, j.Share, j.Harm)
				}
			}
			for id, want := range tt.want {
				if got[id] != want {
					t.Errorf("%s: %q, want %q", id, got[id], want)
				}
			}
		})
	}
}

// TestProxySignIn goes through everything that guides blame and advise for an
// HTTP 407.
func TestProxySignIn(t *testing.T) {
	usual := Usual(0x8024401B, 0)
	if len(usual) == 0 {
		t.Fatal("no usual causes")
	}
	advice := map[string]Worth{
		"network-check": Cannot, "firewall-off": Cannot, "reset-folders": Cannot, "wait": Cannot, "troubleshooter": Cannot,
		"sfc-dism": Cannot, "clean-boot": Cannot, "in-place-upgrade": Cannot, "antivirus-off": Cannot,
		"proxy-settings": Can, "vpn-off": Seldom, "clock": Seldom, "manual-install": Around, "winhttp-reset": Harmful,
	}
	for _, j := range JudgeAdvice(usual) {
		if want, ok := advice[j.ID]; ok && j.Worth != want {
			t.Errorf("advice %s: %s (%.3f), want %s", j.ID, j.Worth, j.Share, want)
		}
		delete(advice, j.ID)
	}
	suspects := map[string]Worth{
		"network": Cannot, "proxy": Can, "vpn": Seldom, "firewall": Cannot, "cache": Cannot,
		"system-files": Cannot, "servers": Cannot, "clock": Seldom, "disk-space": Cannot, "antivirus": Cannot,
	}
	for _, j := range JudgeSuspects(usual) {
		if want, ok := suspects[j.ID]; ok && j.Worth != want {
			t.Errorf("suspect %s: %s (%.3f), want %s", j.ID, j.Worth, j.Share, want)
		}
		delete(suspects, j.ID)
	}
	if len(advice)+len(suspects) > 0 {
		t.Errorf("not judged: %v %v", advice, suspects)
	}
}

func TestAlike(t *testing.T) {
	for h, want := range map[codes.HRESULT]codes.HRESULT{
		0x8024401B: 0x8024401B, 0x80190197: 0x8024401B, 0x803D0018: 0x8024401B,
		0x80244017: 0x80244017, // 401 is the server's word, not the proxy's
		0x80073712: 0x80073712,
	} {
		if got := Alike(h); got != want {
			t.Errorf("Alike(%v) = %v, want %v", h, got, want)
		}
	}
}
