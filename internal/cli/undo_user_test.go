package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/winlog"
)

// TestUndoOfAnotherUser: an administrator takes back what another one changed in their
// own settings, and not the same of their own; who is not signed in is waited for.
func TestUndoOfAnotherUser(t *testing.T) {
	const other, gone = "S-1-5-21-1-2-3-1002", "S-1-5-21-1-2-3-1003"
	const key = `Software\Fabrikam`
	dword := func(n byte) winlog.RegValue { return winlog.RegValue{Type: winlog.RegDWord, Data: []byte{n, 0, 0, 0}} }
	for _, tt := range []struct {
		name, user string
		code       int
		says       string
		after      string
	}{
		{"signed in", other, ExitHealthy, "Taken back of run r1: 2", ""},
		{"not signed in", gone, ExitProblems, "has signed in", "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dir := sickPC(t, "treat-services-disabled")
			p := opened(t, dir)
			hive := `HKU\` + tt.user
			for _, c := range []host.Change{{Kind: host.KeyMake, Path: hive + `\Software`}, host.Set(`HKCU\`+key, "A", dword(7))} {
				if err := p.Apply(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			state := filepath.Join(dir, "updoc")
			plan := &repair.Plan{Schema: repair.Schema, Run: "r1", Causes: []string{}, Treatments: []repair.Treatment{{
				ID: "sync-clock", Risk: repair.RiskReversible, How: repair.Automatic,
				Steps: []repair.Step{{Change: host.Set(`HKCU\`+key, "A", dword(1))}, {Change: host.Set(`HKLM\SOFTWARE\Fabrikam`, "A", dword(1))}},
			}}}
			plan.Failure.Stage = "scan"
			j, err := repair.CreateJournal(durable.OS{}, filepath.Join(state, "r1"), plan, p.Now())
			if err != nil {
				t.Fatal(err)
			}
			r := &repair.Runner{Journal: j, Now: p.Now, Started: p.Started}
			arm(r, p, tt.user)
			if _, err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if j.User() != tt.user || valueA(t, p, hive+`\`+key) != "1" {
				t.Fatalf("the journal says %q, and %s is %q", j.User(), hive, valueA(t, p, hive+`\`+key))
			}
			if tt.user == gone { // they sign out, and Windows takes the hive with it: it lies elsewhere meanwhile
				if err := p.Apply(t.Context(), host.Change{Kind: host.ValueDel, Path: hive + `\` + key, Name: "A"}); err != nil {
					t.Fatal(err)
				}
				for _, k := range []string{`\` + key, `\Software`} {
					if err := p.Apply(t.Context(), host.Change{Kind: host.KeyDrop, Path: hive + k}); err != nil {
						t.Fatal(err)
					}
				}
			}
			p.Close()
			code, out := atLab(t, "undo", "--lab", dir)
			if code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, %s", code, out)
			}
			p = opened(t, dir)
			defer p.Close()
			if got := valueA(t, p, `HKCU\`+key); got != "7" {
				t.Errorf("the undo took its own user's: %q", got)
			}
			if got := valueA(t, p, `HKLM\SOFTWARE\Fabrikam`); got != "" {
				t.Errorf("what is of nobody was not taken back: %q", got)
			}
			if got := valueA(t, p, hive+`\`+key); tt.user == other && got != tt.after {
				t.Errorf("%s is %q", hive, got)
			}
			if tt.user == gone {
				s, err := repair.History(durable.OS{}, state)
				if err != nil || len(s) != 1 || s[0].Standing != 1 {
					t.Errorf("%+v, %v", s, err)
				}
			}
		})
	}
}

// valueA is the number "A" of a key, "" if there is none.
func valueA(t *testing.T, h host.Reader, key string) string {
	t.Helper()
	k, err := h.Key(t.Context(), key)
	if err != nil {
		return ""
	}
	v, ok := k.Value("A")
	if n, is := v.DWord(); ok && is {
		return string(rune('0' + n))
	}
	return ""
}

// TestEarly: what starts when a user signs in cannot be tried before that, even where it
// is nobody's own; what a run has to do with services and servicing does not wait.
func TestEarly(t *testing.T) {
	const gone = "S-1-5-21-1-2-3-1003"
	_, dir := sickPC(t, "treat-services-disabled")
	p := opened(t, dir)
	off := func(kind host.ChangeKind, path, name string) host.Change {
		return host.Change{Kind: kind, Path: path, Name: name, State: "off"}
	}
	for _, tt := range []struct {
		change      host.Change
		away, early bool
	}{
		{off(host.ValueDel, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run`, "Fabrikam"), false, true},
		{off(host.ValueDel, `HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\RunOnce`, "Fabrikam"), false, true},
		{off(host.ValueDel, `HKCU\Software\Microsoft\Windows\CurrentVersion\Run`, "Fabrikam"), true, true},
		{off(host.Switch, host.Setting("task", `\Fabrikam\Updater`), ""), false, true},
		{off(host.Switch, host.Setting("task", `\Microsoft\Windows\UpdateOrchestrator\Schedule Scan`), ""), false, false},
		{off(host.Move, `C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Startup\fabrikam.lnk`, ""), false, true},
		{off(host.ServiceStop, "FabrikamSvc", ""), false, false},
		{off(host.ValueDel, `HKLM\SOFTWARE\Fabrikam`, "Run"), false, false},
	} {
		plan := &repair.Plan{Treatments: []repair.Treatment{{ID: "run-clean-boot", Steps: []repair.Step{{Change: tt.change}}}}}
		there, here := forUser(p, gone), forUser(p, "")
		if got, soon := away(t.Context(), there, plan), early(t.Context(), there, plan); got != tt.away || soon != tt.early {
			t.Errorf("%s %s: away %v, early %v", tt.change.Kind, tt.change.Path, got, soon)
		}
		if away(t.Context(), here, plan) || early(t.Context(), here, plan) {
			t.Errorf("%s: who is here is waited for", tt.change.Path)
		}
	}
}
