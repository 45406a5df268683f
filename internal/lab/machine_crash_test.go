package lab_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/winlog"
)

// killed is what a Crash hook ends a call with.
type killed struct{}

// atPoint runs f and ends it at the given point, counted from 0. It reports whether
// there was such a point.
func atPoint(m *lab.Machine, point int, f func()) (reached bool) {
	n := 0
	m.Crash = func(string) {
		if n++; n > point {
			panic(killed{})
		}
	}
	defer func() {
		m.Crash = nil
		switch r := recover(); r.(type) {
		case nil:
		case killed:
			reached = true
		default:
			panic(r)
		}
	}()
	f()
	return false
}

// TestMachineSurvives ends each kind of change, and then what takes it back, at every
// point at which a process can die. The next process makes it whole and takes it back
// whole.
func TestMachineSurvives(t *testing.T) {
	s, err := lab.Load("treat-datastore-damaged")
	if err != nil {
		t.Fatal(err)
	}
	const store = `C:\Windows\SoftwareDistribution`
	number := winlog.RegValue{Type: winlog.RegDWord, Data: []byte{1, 0, 0, 0}}
	for name, list := range map[string][]host.Change{
		"value":    {host.Set(`HKLM\SOFTWARE\New\Key`, "v", number)},
		"service":  {{Kind: host.ServiceStart, Path: "wuauserv", Start: &host.Start{Type: 2, Delayed: true}}},
		"triggers": {{Kind: host.ServiceTriggers, Path: "BITS", Triggers: []host.Trigger{{Type: 5, Action: 1, Subtype: "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0", Data: []host.TriggerData{{Type: 1, Data: []byte{0}}}}}}},
		"needs":    {{Kind: host.ServiceNeeds, Path: "BITS", Needs: []string{"EventLog"}}},
		"write":    {{Kind: host.Write, Path: `C:\Windows\System32\drivers\etc\hosts`, Data: []byte("# nothing\r\n")}},
		"new":      {{Kind: host.FolderMake, Path: `C:\Windows\Temp\a\b`}, {Kind: host.Write, Path: `C:\Windows\Temp\a\b\c`, Data: []byte("x")}},
		"drop":     {{Kind: host.FileDrop, Path: `C:\Windows\System32\drivers\etc\hosts`}},
		"move":     {{Kind: host.ServiceStop, Path: "wuauserv"}, {Kind: host.Move, Path: store, To: store + ".updoc-1"}},
		// The service makes a new folder, which the way back merges.
		"merge": {{Kind: host.ServiceStop, Path: "wuauserv"}, {Kind: host.Move, Path: store, To: store + ".updoc-1"}, {Kind: host.ServiceRun, Path: "wuauserv"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.WithoutCancel(t.Context())
			dir := t.TempDir()
			m, err := lab.NewMachine(dir, s)
			if err != nil {
				t.Fatal(err)
			}
			reopen := func() {
				t.Helper()
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
				if m, err = lab.OpenMachine(dir); err != nil {
					t.Fatal(err)
				}
			}
			defer func() { _ = m.Close() }()
			apply := func(list []host.Change) {
				t.Helper()
				for _, c := range list {
					if err := m.Apply(ctx, c); err != nil {
						t.Fatalf("%s %s: %v", c.Kind, c.Path, err)
					}
				}
			}
			if _, err := m.Try(ctx, host.Attempt{Stage: "scan"}); err != nil { // wuauserv runs
				t.Fatal(err)
			}
			before := snapshot(t, m)
			points := 0
			for forth := 0; ; forth++ {
				list := slices.Clone(list)
				for i := range list { // each run has a name of its own
					list[i].To = strings.Replace(list[i].To, "updoc-1", fmt.Sprint("updoc-", forth), 1)
				}
				inverse := make([][]host.Change, len(list)) // as a journal keeps it
				forward := func() {
					for i, c := range list {
						if inverse[i] == nil {
							if inverse[i], err = m.Inverse(ctx, c); err != nil {
								t.Fatal(err)
							}
						}
						apply([]host.Change{c})
					}
				}
				reached := atPoint(m, forth, forward)
				if reached {
					reopen()
					forward()
				}
				var undo []host.Change
				for _, inv := range slices.Backward(inverse) {
					undo = append(undo, inv...)
				}
				for back := 0; ; back++ {
					ended := atPoint(m, back, func() { apply(undo) })
					points++
					if !ended {
						break
					}
					reopen()
				}
				reopen()
				apply(undo)
				sameAfterUndo(t, before, snapshot(t, m))
				if !reached {
					break
				}
			}
			t.Logf("%d deaths", points)
		})
	}
}
