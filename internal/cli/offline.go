package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
)

// OfflineHost is a Windows that does not run, on a disk that this one can reach.
type OfflineHost interface {
	host.Host
	Able(host.Change) bool
}

// offlineState is where its journals lie, below the folder in which its volume stands.
func offlineState(dir string) string { return filepath.Join(dir, "ProgramData", "updoc") }

// undoOffline takes back a run of a Windows that no longer starts, the named one or
// the newest that changed something, as far as that can be done from outside. The rest
// stands until it runs.
func (t *treating) undoOffline(ctx context.Context, env *Env, dir string, name []string) error {
	state := offlineState(dir)
	if info, err := os.Stat(state); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return usage("give the folder that holds Windows, Users and ProgramData of the sick one, e.g. D:\\", "updoc was never on the Windows in %s", dir)
	}
	if env.Offline == nil {
		return usage("run it in the recovery environment, or on a PC with Windows that the disk was put into", "this machine does not run Windows")
	}
	h, done, err := env.Offline(ctx, dir)
	if errors.Is(err, host.ErrDenied) || errors.Is(err, fs.ErrPermission) {
		return notAllowed(err)
	}
	if err != nil {
		return &hinted{err, "in the recovery environment the drive letters differ: look for the one that holds Windows with 'dir D:\\'", ExitUnknown}
	}
	err = t.undoOn(ctx, env, h, state, name)
	if cerr := done(); cerr != nil && succeeded(err) {
		err = &hinted{cerr, "run it again: what is taken back already stays so", ExitBroken}
	}
	return err
}

func (t *treating) undoOn(ctx context.Context, env *Env, h OfflineHost, state string, name []string) error {
	release, err := hold(state)
	if err != nil {
		return err
	}
	defer release()
	j, err := t.journal(env, state, name, undoable)
	if j == nil || err != nil {
		return err
	}
	last := ""
	r := &repair.Runner{
		Host: h, Journal: j, Now: time.Now, Able: h.Able,
		Tell: func(e repair.Event) { last = t.tell(env, e, last) },
	}
	return t.undoRun(ctx, env, r)
}

// journal opens a run, the named one or else the newest that is wanted; nil, after it
// was said, if there is none.
func (t *treating) journal(env *Env, state string, name []string, wanted []func(repair.Summary) bool) (*repair.Journal, error) {
	run, err := pickRun(state, name, wanted)
	if err != nil {
		return nil, err
	}
	if run == "" {
		return nil, sayNothing(env)
	}
	j, err := repair.OpenJournal(durable.OS{}, filepath.Join(state, run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("'updoc history' lists the runs", "no such run: %s", run)
	}
	return j, err
}
