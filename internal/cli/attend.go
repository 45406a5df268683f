package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/report"
)

// attendance is what is done around the runs of a machine: updoc is started again by
// itself, the machine stays awake, its event log tells what happened.
type attendance struct {
	env   *Env
	p     Patient
	state string // directory of the journals
	user  string // whose registry HKCU is for them
}

// attend adds to a runner what is done around it.
func (a attendance) attend(r *repair.Runner) {
	run, tell := r.Journal.Plan().Run, r.Tell
	// One updoc repairs at a time: what the other runs wait for stays as it is meanwhile.
	others := sync.OnceValue(func() waiting { return a.others(run) })
	r.AtStart = func(ctx context.Context, on bool, at time.Time) error { return a.atStart(ctx, others(), on, at) }
	r.AtStart = a.guarded(r.Journal, r.AtStart)
	r.Tell = func(e repair.Event) {
		if n, ok := report.EventNote(run, e); ok {
			a.note(n)
		}
		if m, ok := a.p.(host.Reminder); ok && e.Kind == repair.EntryOff && r.Approve == nil {
			_ = m.Remind(context.Background(), report.EventText(e)) // nobody sees what this process prints
		}
		if tell != nil {
			tell(e)
		}
	}
}

// note writes into the event log. A log that is full or switched off stops no repair.
func (a attendance) note(n host.Note) { _ = a.p.Note(context.Background(), n) }

// awake keeps the machine awake; one that cannot be is repaired all the same.
func awake(p Patient) (release func()) {
	release, err := p.Awake("updoc repairs Windows Update")
	if err != nil {
		return func() {}
	}
	return release
}

// atStart has the machine start 'updoc resume' by itself for a run, or no longer. One
// task serves all runs: it stays while any of them waits.
func (a attendance) atStart(ctx context.Context, others waiting, on bool, at time.Time) error {
	if on, at = others.and(on, at); !on {
		err := a.p.Unschedule(ctx, host.TaskResume)
		if err != nil {
			fmt.Fprintf(a.env.Stderr, "updoc: %s\n", oneLine(report.NotRemovedText(host.TaskResume, err)))
			return err
		}
		a.tidy(ctx)
		return nil
	}
	args := []string{"resume", "--at-start"}
	if a.user != "" {
		args = append(args, "--user", a.user)
	}
	return a.schedule(ctx, host.Task{Name: host.TaskResume, Args: args, AtStart: true, At: at.Truncate(time.Second)})
}

// schedule makes a task of a program that is still there after the folder that updoc
// was started from is emptied.
func (a attendance) schedule(ctx context.Context, t host.Task) error {
	program, err := a.p.Program(a.state)
	if err != nil {
		return err
	}
	t.Program, t.About = program, report.TaskText(t.Name)
	if now, err := a.p.Scheduled(ctx, t.Name); err == nil && now.At.Equal(t.At) {
		if now.At = t.At; reflect.DeepEqual(now, t) {
			return nil
		}
	}
	return a.p.Schedule(ctx, t)
}

// waiting is whether runs wait to be gone on with, and until when; a zero time is the
// next start.
type waiting struct {
	on bool
	at time.Time
}

// and adds what one more run waits for.
func (w waiting) and(on bool, at time.Time) (bool, time.Time) {
	if w.on && (at.IsZero() || !w.at.IsZero() && w.at.Before(at)) {
		at = w.at
	}
	return on || w.on, at
}

// others is what the other runs of the machine wait for.
func (a attendance) others(run string) (w waiting) {
	list, err := repair.History(durable.OS{}, a.state)
	if err != nil {
		return w // a directory that cannot be read holds no run that could be gone on with
	}
	for _, s := range list {
		if s.Run != run && s.Wakes {
			w.on, w.at = w.and(true, s.WakeAt)
		}
	}
	return w
}

// tidy takes away the copies of updoc that no task starts. The one that runs now
// cannot be: whoever opens the machine next takes it.
func (a attendance) tidy(ctx context.Context) { a.tidyOld(ctx, time.Now()) }

// fresh is how long a copy stays that no task starts: another updoc may be about to
// make the task.
const fresh = 10 * time.Minute

// tidyOld takes away those of the copies that were there before a time.
func (a attendance) tidyOld(ctx context.Context, before time.Time) {
	copies, _ := filepath.Glob(filepath.Join(a.state, copied+"*.exe"))
	copies = slices.DeleteFunc(copies, func(c string) bool {
		info, err := os.Stat(c)
		return err != nil || info.ModTime().After(before)
	})
	if len(copies) == 0 {
		return
	}
	var keep []string
	for _, name := range []string{host.TaskResume, host.TaskCheck} {
		t, err := a.p.Scheduled(ctx, name)
		if err != nil && !errors.Is(err, host.ErrNotExist) {
			return // it may be there
		}
		keep = append(keep, filepath.Base(strings.ReplaceAll(t.Program, `\`, "/")))
	}
	for _, c := range copies {
		if !slices.Contains(keep, filepath.Base(c)) {
			_ = os.Remove(c)
		}
	}
}

// copied begins the name of a copy of updoc.
const copied = "updoc-"

// install copies a program into the state directory, where administrators alone may
// write, under a name that tells its contents. LocalSystem runs it: what stands there
// under that name already has to be the same to the byte.
func install(fsys durable.FS, program, state string) (string, error) {
	b, err := fsys.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("copy updoc: %w", err)
	}
	sum := sha256.Sum256(b)
	to := filepath.Join(state, copied+hex.EncodeToString(sum[:8])+".exe")
	if have, err := fsys.ReadFile(to); err == nil && sha256.Sum256(have) == sum {
		return to, nil
	}
	if err := durable.WriteFile(fsys, to, b); err != nil {
		return "", fmt.Errorf("copy updoc: %w", err)
	}
	have, err := fsys.ReadFile(to)
	if err == nil && !bytes.Equal(have, b) {
		err = errors.New("it does not hold what was written to it")
	}
	if err != nil {
		return "", fmt.Errorf("copy updoc: %s: %w", to, err)
	}
	return to, nil
}

// Program implements [Patient].
func (livePatient) Program(state string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("copy updoc: %w", err)
	}
	to, err := install(durable.OS{}, self, state)
	if err == nil { // one that was there already is wanted again: see fresh
		now := time.Now()
		_ = os.Chtimes(to, now, now)
	}
	return to, err
}

// Program implements [Patient]: nothing runs on a simulated machine.
func (labPatient) Program(string) (string, error) { return `C:\ProgramData\updoc\updoc.exe`, nil }

// userPatient is a machine on which another account goes on with what a user agreed to.
type userPatient struct {
	Patient
	user host.ForUser
}

// forUser has HKCU be the registry of the user whose run it was.
func forUser(p Patient, sid string) Patient {
	if own, err := p.Account(); sid == "" || err == nil && strings.EqualFold(own, sid) {
		return p
	}
	return userPatient{p, host.ForUser{Host: p, SID: sid}}
}

// Key implements [host.Reader].
func (u userPatient) Key(ctx context.Context, p string) (host.Key, error) { return u.user.Key(ctx, p) }

// Inverse implements [host.Host].
func (u userPatient) Inverse(ctx context.Context, c host.Change) ([]host.Change, error) {
	return u.user.Inverse(ctx, c)
}

// Apply implements [host.Host].
func (u userPatient) Apply(ctx context.Context, c host.Change) error { return u.user.Apply(ctx, c) }

// away reports whether a run is about a user's settings, and the user is not signed in.
func away(ctx context.Context, p Patient, plan *repair.Plan) bool {
	return absent(ctx, p, plan, host.OfUser)
}

// early reports whether a run is about what starts when a user signs in, and the user has
// not: before that, an attempt shows nothing of it.
func early(ctx context.Context, p Patient, plan *repair.Plan) bool {
	return absent(ctx, p, plan, host.AtSignIn)
}

func absent(ctx context.Context, p Patient, plan *repair.Plan, about func(host.Change) bool) bool {
	u, ok := p.(userPatient)
	return ok && !u.user.Here(ctx) && slices.ContainsFunc(plan.Treatments, func(t repair.Treatment) bool {
		return slices.ContainsFunc(t.Changes(), about)
	})
}
