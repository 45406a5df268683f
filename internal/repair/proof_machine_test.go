package repair_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
)

// with is the machine of a scenario with more settings.
func with(t *testing.T, scenario string, settings map[string]string) (*lab.Scenario, *lab.Machine) {
	t.Helper()
	s, err := lab.Load(scenario)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := lab.NewMachine(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "machine.json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	var have map[string]string
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all["settings"], &have); err != nil {
		t.Fatal(err)
	}
	for k, v := range settings {
		have[k] = v
	}
	if all["settings"], err = json.Marshal(have); err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err = lab.OpenMachine(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return s, m
}

func result(o *host.Outcome) string {
	if o == nil {
		return ""
	}
	return o.Result.String()
}

// An install that a restart finishes is cured if the machine says so afterwards, and not
// if it was taken back while nobody looked.
func TestInstallOnAMachine(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings map[string]string
		want     repair.Result
		code     string
	}{
		{"at once", nil, repair.Cured, "0x00000000"},
		{"with the restart", map[string]string{"state/install-restart": "yes"}, repair.Cured, "0x00240006"},
		{"taken back in the restart", map[string]string{"state/install-restart": "yes", "state/rollback": "0x800F0922"}, repair.NotCured, "0x800F0922"},
		{"taken back in the restart without a word", map[string]string{"state/install-restart": "yes", "state/rollback": "unsaid"}, repair.Unproven, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, m := with(t, "treat-catroot2-damaged", tt.settings)
			if out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails}); err != nil || !out.Result.Failed() {
				t.Fatalf("%s ends with %v, %v", s.Cure.Fails, out.Result, err)
			}
			f := facts.Collect(t.Context(), m, facts.Options{})
			p := repair.New(f, cause.Diagnose(f), repair.Options{Run: "20310507-1"})
			p.Treatments = slices.DeleteFunc(p.Treatments, func(x repair.Treatment) bool { return x.ID != "rename-catroot2" })
			j, err := repair.CreateJournal(durable.OS{}, filepath.Join(t.TempDir(), p.Run), p, m.World().Now())
			if err != nil {
				t.Fatal(err)
			}
			r := repair.Runner{Host: m, Agent: m, Journal: j, Now: m.World().Now, Started: m.Started}
			before, err := m.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			res, err := r.Run(t.Context())
			if tt.settings != nil {
				if err != nil || res != repair.Restart {
					t.Fatalf("%s, %v", res, err)
				}
				if err := m.Restart(); err != nil {
					t.Fatal(err)
				}
				res, err = r.Run(t.Context())
			}
			if err != nil || res != tt.want {
				t.Fatalf("%s, %v, want %s; journal %+v", res, err, tt.want, last(j))
			}
			i := slices.IndexFunc(j.Entries(), func(e repair.Entry) bool { return e.Kind == repair.EntryTried })
			e := j.Entries()[i]
			if code := result(e.Outcome); code != tt.code || (len(e.Against) > 0) != (tt.want != repair.Cured) || (len(e.Said) == 3) != (tt.want == repair.Cured) {
				t.Errorf("tried: %+v", e)
			}
			if _, err := r.Undo(t.Context()); err != nil {
				t.Fatal(err)
			}
			after, err := m.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range before {
				if after[k] != v {
					t.Errorf("%s: %q after the undo, was %q", k, after[k], v)
				}
			}
		})
	}
}
