package repair_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
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
func trying(t *testing.T, scenario string, settings map[string]string, remedy string, before ...host.Change) (m *lab.Machine, r *repair.Runner, state string) {
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
	for _, c := range before {
		if err := m.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
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

// TestTrialWithoutProduct: a person switches another maker's firewall off and on again;
// updoc watches both, and goes on watching where the second is forgotten or the process
// is killed.
func TestTrialWithoutProduct(t *testing.T) {
	const remedy, product, own = "test-without-third-party-firewall", "product/firewall/Fabrikam Firewall", "firewall-profile/private"
	open := func(t *testing.T, person string, before ...host.Change) (*lab.Machine, *repair.Runner, *[]repair.EntryKind) {
		m, r, _ := trying(t, "treat-other-firewall", map[string]string{"state/person": person}, remedy, before...)
		var told []repair.EntryKind
		r.Tell = func(e repair.Event) { told = append(told, e.Kind) }
		return m, r, &told
	}
	t.Run("forgets", func(t *testing.T) {
		t.Parallel()
		m, r, told := open(t, "forgets", host.Change{Kind: host.Switch, Path: own, State: "off"})
		if res, err := r.Run(t.Context()); res != repair.Shown || err != nil {
			t.Fatal(res, err)
		}
		if !slices.Contains(*told, repair.EntryOff) || switched(t, m, product) != "off" || switched(t, m, own) != "on" {
			t.Errorf("%v, it is %s, Windows' own %s", *told, switched(t, m, product), switched(t, m, own))
		}
		sum := r.Journal.Summary()
		if on, _ := r.Journal.Wakes(); !on || len(sum.Off) != 1 || sum.Off[0] != product {
			t.Fatalf("nobody watches: %v, off %v", on, sum.Off)
		}
		r.Approve = nil // by itself, after the restart
		m.World().Advance(11 * time.Minute)
		if u, err := r.Expired(t.Context()); err != nil || u.Back != 0 || len(u.Waiting) != 1 || switched(t, m, own) != "on" {
			t.Fatalf("%+v, %v", u, err)
		}
		if err := m.Apply(t.Context(), host.Change{Kind: host.Switch, Path: "state/person", State: "helps"}); err != nil {
			t.Fatal(err)
		}
		if u, err := r.Expired(t.Context()); err != nil || u.Back != 2 {
			t.Fatalf("%+v, %v", u, err)
		}
		on, _ := r.Journal.Wakes()
		if sum := r.Journal.Summary(); on || len(sum.Off) != 0 || sum.Standing != 0 || switched(t, m, product) != "on" || switched(t, m, own) != "off" {
			t.Errorf("still watched: %v, %+v", on, sum)
		}
	})
	t.Run("does nothing", func(t *testing.T) {
		t.Parallel()
		m, r, _ := open(t, "")
		if res, err := r.Run(t.Context()); res != repair.Left || err != nil {
			t.Fatal(res, err)
		}
		if on, _ := r.Journal.Wakes(); on || switched(t, m, product) != "on" || r.Journal.Summary().Standing != 0 {
			t.Errorf("waits for somebody: %v, %+v", on, r.Journal.Summary())
		}
	})
	t.Run("wants it off", func(t *testing.T) { // after a day nobody is reminded any more
		t.Parallel()
		m, r, _ := open(t, "forgets")
		if _, err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Approve = nil
		m.World().Advance(25 * time.Hour)
		u, err := r.Expired(t.Context())
		if on, _ := r.Journal.Wakes(); err != nil || len(u.Conflicts) != 1 || on {
			t.Errorf("%+v, %v, wakes %v", u, err, on)
		}
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		m, r, _ := open(t, "forgets")
		r.Agent = dying{}
		if err := life(func() error { _, err := r.Run(t.Context()); return err }); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		r.Approve = nil
		m.World().Advance(11 * time.Minute)
		if u, err := r.Expired(t.Context()); err != nil || len(u.Waiting) != 1 {
			t.Errorf("%+v, %v", u, err)
		}
		if len(r.Journal.Summary().Off) != 1 {
			t.Error("the journal does not know that it is off")
		}
	})
	t.Run("an antivirus of which Windows sees nothing", func(t *testing.T) {
		t.Parallel()
		m, r, _ := trying(t, "treat-other-firewall", map[string]string{"state/person": ""}, remedy)
		p := r.Journal.Plan()
		p.Treatments[0].Steps = p.Treatments[0].Steps[1:]
		p.Treatments[0].Steps[0].Unseen = true
		a := &agent{results: []codes.HRESULT{0}}
		r.Agent = a
		if res, err := r.Run(t.Context()); res != repair.Shown || err != nil || len(a.tried) != 1 {
			t.Error(res, err, a.tried)
		}
		if on, _ := r.Journal.Wakes(); on || switched(t, m, product) != "on" {
			t.Error("something is left")
		}
	})
	t.Run("stopped while the person is waited for", func(t *testing.T) {
		t.Parallel()
		m, r, _ := open(t, "")
		ctx, stop := context.WithCancel(t.Context())
		r.Sleep = func(ctx context.Context, _ time.Duration) error { stop(); return ctx.Err() }
		if res, err := r.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(res, err)
		}
		if u, err := r.Undo(t.Context()); err != nil || len(u.Waiting) != 0 || switched(t, m, product) != "on" {
			t.Errorf("%+v, %v", u, err)
		}
	})
}
