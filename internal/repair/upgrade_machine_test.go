package repair_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/upgrade"
)

// TestUpgradeSurvivesKills: the process dies at one place after the other of an
// upgrade, machine and all; whoever goes on brings it to the same end.
func TestUpgradeSurvivesKills(t *testing.T) {
	s, err := lab.Load("upgrade-repairs-store")
	if err != nil {
		t.Fatal(err)
	}
	const file, build = `C:\Media\windows.iso`, "22631.3374"
	killed := 0
	for point := 0; ; point += 3 {
		left := point // places to pass before it dies; negative once it did
		dir := t.TempDir()
		m, err := lab.NewMachine(dir, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails}); err != nil {
			t.Fatal(err)
		}
		f := facts.Collect(t.Context(), m, facts.Options{})
		media, err := upgrade.OpenMedia(file, m.Where(file))
		if err != nil {
			t.Fatal(err)
		}
		spec, err := upgrade.NewSpec(upgrade.MachineOf(f), media, upgrade.Assess(f, &media), upgrade.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := repair.UpgradePlan(f, cause.Diagnose(f), spec, "20310507-1")
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, "updoc", p.Run)
		j, err := repair.CreateJournal(durable.OS{}, at, p, m.Now())
		if err != nil {
			t.Fatal(err)
		}
		res, died := until(t, m, j, &left)
		for rounds := 0; died || res == repair.Restart; rounds++ {
			if rounds > 5 {
				t.Fatalf("killed at %d: it does not come to an end", point)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if m, err = lab.OpenMachine(dir); err != nil {
				t.Fatalf("killed at %d: %v", point, err)
			}
			if !died {
				if err := m.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			if j, err = repair.OpenJournal(durable.OS{}, at); err != nil {
				t.Fatalf("killed at %d: %v", point, err)
			}
			res, died = until(t, m, j, &left)
		}
		machine, err := m.Machine(t.Context())
		if res != repair.Cured || err != nil || machine.Build != build {
			told, _ := json.Marshal(j.Story())
			t.Errorf("killed at %d it ends %s, with %s, %v\n%s", point, res, machine.Build, err, told)
		}
		if story, _ := json.Marshal(j.Story()); !strings.Contains(string(story), "upgrade.story.installed") {
			t.Errorf("killed at %d it tells %s", point, story)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if left >= 0 {
			break // it has no more places to die at
		}
		killed++
	}
	if killed < 8 {
		t.Errorf("killed %d times only", killed)
	}
}

// until runs a journal to its end, or kills it once left places of the machine's changes
// were passed.
func until(t *testing.T, m *lab.Machine, j *repair.Journal, left *int) (res repair.Result, died bool) {
	t.Helper()
	type dead struct{}
	m.Crash = func(string) {
		if *left < 0 {
			return
		}
		if *left--; *left < 0 {
			panic(dead{})
		}
	}
	defer func() {
		m.Crash = nil
		switch r := recover().(type) {
		case nil:
		case dead:
			died = true
		default:
			panic(r)
		}
	}()
	r := repair.Runner{
		Host: m, Agent: m, Journal: j, Started: m.Started, Now: func() time.Time { return m.World().Now() },
		Approve: func(context.Context, repair.Treatment) (bool, error) { return true, nil },
	}
	res, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res, false
}
