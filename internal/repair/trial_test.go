package repair_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
)

// trying opens a scenario's machine whose scan has failed, with a run of one remedy.
func trying(t *testing.T, scenario string, settings map[string]string, remedy string) (m *lab.Machine, r *repair.Runner, state string) {
	t.Helper()
	s, err := lab.Load(scenario)
	if err != nil {
		t.Fatal(err)
	}
	m, err = lab.NewMachine(t.TempDir(), s.With(settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	if out, err := m.Try(t.Context(), host.Attempt{Stage: "scan"}); err != nil || !out.Result.Failed() {
		t.Fatal(out, err)
	}
	f := facts.Collect(t.Context(), m, facts.Options{})
	p, why := repair.One(f, cause.Diagnose(f), remedy, repair.Options{Run: "20310507-1"})
	if why.ID != "" {
		t.Fatalf("%s does not fit: %+v", remedy, why)
	}
	state = t.TempDir()
	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(state, p.Run), p, m.World().Now())
	if err != nil {
		t.Fatal(err)
	}
	agrees := func(context.Context, repair.Treatment) (bool, error) { return true, nil }
	return m, &repair.Runner{Host: m, Agent: m, Journal: j, Now: m.World().Now, Started: m.Started, Sleep: m.Sleep, Approve: agrees}, state
}

func switched(t *testing.T, h host.Host, setting string) string {
	t.Helper()
	now, err := h.Inverse(t.Context(), host.Change{Kind: host.Switch, Path: setting, State: "off"})
	if err != nil || len(now) != 1 {
		t.Fatal(now, err)
	}
	return now[0].State
}

// TestWithoutVPN: what comes of one attempt without a VPN, and that it is up again, also
// if the attempt was killed.
func TestTrialWithoutVPN(t *testing.T) {
	const remedy, vpn = "test-without-vpn", "adapter/SurfWind"
	for name, tt := range map[string]struct {
		agent host.Agent
		want  repair.Result
		came  string
	}{
		"shown": {nil, repair.Shown, host.TrialShown},
		"alike": {&agent{results: []codes.HRESULT{0x80240438}}, repair.NotCured, host.TrialAlike},
		"other": {&agent{results: []codes.HRESULT{0x80072EE7}}, repair.NotCured, host.TrialOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, r, _ := trying(t, "treat-vpn-refuses", nil, remedy)
			if tt.agent != nil {
				r.Agent = tt.agent
			}
			off, came := false, ""
			r.Tell = func(e repair.Event) {
				off = off || switched(t, m, vpn) == "off"
				if e.Kind == repair.EntryTried {
					came = e.Trial
				}
			}
			if res, err := r.Run(t.Context()); res != tt.want || err != nil {
				t.Fatal(res, err)
			}
			if !off || switched(t, m, vpn) != "on" || came != tt.came {
				t.Errorf("it was off: %v; it is %s, and came out %q", off, switched(t, m, vpn), came)
			}
			trials := r.Journal.Trials(time.UTC)
			if len(trials) != 1 || trials[0].Came != tt.came || trials[0].Remedy != remedy || trials[0].Code != 0x80240438 || trials[0].At.Before(trials[0].Began) {
				t.Errorf("%+v", trials)
			}
		})
	}
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		m, r, _ := trying(t, "treat-vpn-refuses", nil, remedy)
		r.Agent = dying{}
		if err := life(func() error { _, err := r.Run(t.Context()); return err }); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if err := m.Restart(); err != nil || switched(t, m, vpn) != "off" {
			t.Fatal(err)
		}
		on, at := r.Journal.Wakes()
		if !on || at.Before(m.World().Now()) {
			t.Fatalf("nobody would end it: %v %v", on, at)
		}
		m.World().Advance(11 * time.Minute)
		if u, err := r.Expired(t.Context()); err != nil || u.Back != 1 || switched(t, m, vpn) != "on" {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

// TestTrialsAreKnown: the next diagnosis knows what an experiment showed, for a day.
func TestTrialsAreKnown(t *testing.T) {
	m, r, state := trying(t, "treat-vpn-refuses", nil, "test-without-vpn")
	if res, err := r.Run(t.Context()); res != repair.Shown || err != nil {
		t.Fatal(res, err)
	}
	for later, want := range map[time.Duration]int{0: 1, 25 * time.Hour: 0} {
		known, err := repair.Proofs(durable.OS{}, state, time.UTC, m.World().Now().Add(later))
		if err != nil || len(known.Trials) != want {
			t.Error(later, known, err)
		}
	}
}
