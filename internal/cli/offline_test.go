package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/winlog"
)

// A Windows that no longer starts is taken back to what it was as far as that goes
// from outside; once it runs, the rest is.
func TestUndoOffline(t *testing.T) {
	ctx := t.Context()
	_, pc := sickPC(t, "treat-services-disabled")
	p := opened(t, pc)
	dword := func(n byte) winlog.RegValue {
		return winlog.RegValue{Type: winlog.RegDWord, Data: []byte{n, 0, 0, 0}}
	}
	// The lab's machine stands for both: for the PC that runs, and for the other's
	// volume and hives. Its control set has no second name, so it gets one.
	for _, c := range []host.Change{
		host.Set(`HKLM\SYSTEM\Select`, "Current", dword(1)),
		host.Set(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "SystemRoot", winlog.RegValue{Type: winlog.RegSZ, Data: []byte("C\x00:\x00\\\x00W\x00\x00\x00")}),
		host.Set(`HKLM\SYSTEM\ControlSet001\Services\bits`, "Start", dword(4)),
	} {
		if err := p.Apply(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	open := func() *host.Offline {
		o, err := host.OpenOffline(ctx, host.Offline{Base: p, Software: `HKLM\SOFTWARE`, System: `HKLM\SYSTEM`, Root: "C:"})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	before := snapshot(t, p)

	disk := t.TempDir()
	tr := repair.Treatment{ID: "sync-clock", Risk: repair.RiskReversible, How: repair.Automatic, Steps: []repair.Step{
		{Change: host.Set(`HKLM\SOFTWARE\Fabrikam`, "A", dword(1))},
		{Change: host.Set(`HKCU\Software\Fabrikam`, "A", dword(1))},
		{Change: host.Change{Kind: host.ServiceStart, Path: "bits", Start: &host.Start{Type: 2}}},
		{Change: host.Change{Kind: host.Write, Path: `C:\ProgramData\fabrikam.txt`, Data: []byte("a")}},
	}}
	plan := &repair.Plan{Schema: repair.Schema, Run: "r1", Causes: []string{}, Treatments: []repair.Treatment{tr}}
	plan.Failure.Stage = "scan"
	if err := os.MkdirAll(offlineState(disk), 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(offlineState(disk), "r1"), plan, p.Now())
	if err != nil {
		t.Fatal(err)
	}
	// The run itself was made while it ran: with its user, and its services in the set
	// that the next start takes.
	r := repair.Runner{Host: whole{p, open()}, Journal: j, Now: p.Now}
	if res, err := r.Run(ctx); err != nil || res != repair.Unproven {
		t.Fatal(res, err)
	}

	closed := 0
	undo := func(args ...string) (int, string) {
		var buf bytes.Buffer
		code := Run(ctx, Env{
			Stdin: strings.NewReader(""), Stdout: &buf, Stderr: &buf, Getenv: func(string) string { return "" }, GOOS: "windows",
			Offline: func(context.Context, string) (OfflineHost, func() error, error) {
				return open(), func() error { closed++; return nil }, nil
			},
		}, append([]string{"undo"}, args...))
		return code, buf.String()
	}
	code, out := undo("--offline", disk)
	if code != ExitProblems || closed != 1 || !strings.Contains(out, "Taken back of run r1: 3.") || !strings.Contains(out, `HKCU\Software\Fabrikam`) {
		t.Errorf("exit %d, closed %d\n%s", code, closed, out)
	}
	left := differ(before, snapshot(t, p))
	for _, d := range left {
		if !strings.HasPrefix(d, "HKCU") {
			t.Errorf("not as it was: %s", d)
		}
	}
	if len(left) == 0 {
		t.Error("the user's registry was changed too")
	}
	if code, out := undo("--offline", disk, "r9"); code != ExitUsage || !strings.Contains(out, "no such run") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := undo("--offline", t.TempDir()); code != ExitUsage || !strings.Contains(out, "updoc was never on") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := atLab(t, "undo", "--offline", disk); code != ExitUsage || !strings.Contains(out, "does not run Windows") {
		t.Errorf("exit %d\n%s", code, out)
	}

	// It runs again.
	if j, err = repair.OpenJournal(durable.OS{}, filepath.Join(offlineState(disk), "r1")); err != nil {
		t.Fatal(err)
	}
	r = repair.Runner{Host: p, Journal: j, Now: p.Now}
	if u, err := r.Undo(ctx); err != nil || u.Back != 1 || len(u.Waiting)+len(u.Conflicts) > 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if d := differ(before, snapshot(t, p)); len(d) > 0 {
		t.Errorf("not as it was: %v", d)
	}
}

// whole is a machine that keeps how services start where an offline one looks for it.
type whole struct {
	host.Host
	sets *host.Offline
}

func (w whole) of(c host.Change) host.Host {
	if c.Kind == host.ServiceStart {
		return w.sets
	}
	return w.Host
}

func (w whole) Inverse(ctx context.Context, c host.Change) ([]host.Change, error) {
	return w.of(c).Inverse(ctx, c)
}

func (w whole) Apply(ctx context.Context, c host.Change) error { return w.of(c).Apply(ctx, c) }

// What cannot be opened is said so.
func TestUndoOfflineDenied(t *testing.T) {
	disk := t.TempDir()
	if err := os.MkdirAll(offlineState(disk), 0o700); err != nil {
		t.Fatal(err)
	}
	for err, want := range map[error]int{host.ErrDenied: ExitNotAllowed, errors.New("the hive is damaged"): ExitUnknown} {
		var buf bytes.Buffer
		code := Run(t.Context(), Env{
			Stdin: strings.NewReader(""), Stdout: &buf, Stderr: &buf, Getenv: func(string) string { return "" }, GOOS: "windows",
			Offline: func(context.Context, string) (OfflineHost, func() error, error) { return nil, nil, err },
		}, []string{"undo", "--offline", disk})
		if code != want || !strings.Contains(buf.String(), err.Error()) {
			t.Errorf("%v: exit %d\n%s", err, code, buf.String())
		}
	}
}
