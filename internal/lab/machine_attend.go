package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"updoc/internal/host"
)

// attendance is what is done around a treatment of a machine.
type attendance struct{ awake atomic.Int32 }

// notesFile holds what was written into the machine's event log by others than
// Windows, a line each.
const notesFile = "notes.jsonl"

// taskSetting is where the machine keeps a scheduled task.
func taskSetting(name string) string { return "state/scheduled " + strings.ToLower(name) }

// Schedule implements [host.Attendant]. Nothing starts by itself here: who plays the
// machine looks at what is Scheduled.
func (m *Machine) Schedule(ctx context.Context, t host.Task) error {
	if err := errors.Join(ctx.Err(), t.Check()); err != nil {
		return err
	}
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	m.act.Lock()
	defer m.act.Unlock()
	return m.change(func(s *state) error {
		s.Settings[taskSetting(t.Name)] = string(b)
		return nil
	})
}

// Unschedule implements [host.Attendant].
func (m *Machine) Unschedule(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.act.Lock()
	defer m.act.Unlock()
	if !read(m, func(s *state) bool { _, ok := s.Settings[taskSetting(name)]; return ok }) {
		return nil
	}
	return m.change(func(s *state) error {
		delete(s.Settings, taskSetting(name))
		return nil
	})
}

// Scheduled implements [host.Attendant].
func (m *Machine) Scheduled(ctx context.Context, name string) (t host.Task, err error) {
	if err := ctx.Err(); err != nil {
		return t, err
	}
	text := read(m, func(s *state) string { return s.Settings[taskSetting(name)] })
	if text == "" {
		return t, fmt.Errorf("task %q: %w", name, host.ErrNotExist)
	}
	return t, json.Unmarshal([]byte(text), &t)
}

// Awake implements [host.Attendant].
func (m *Machine) Awake(string) (release func(), err error) {
	m.attendance.awake.Add(1)
	return func() { m.attendance.awake.Add(-1) }, nil
}

// KeptAwake reports whether somebody keeps the machine from going to sleep.
func (m *Machine) KeptAwake() bool { return m.attendance.awake.Load() > 0 }

// Note implements [host.Attendant].
func (m *Machine) Note(ctx context.Context, n host.Note) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(m.dir, notesFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// Notes returns what was noted, the oldest first.
func (m *Machine) Notes() ([]host.Note, error) {
	b, err := os.ReadFile(filepath.Join(m.dir, notesFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []host.Note
	for line := range bytes.Lines(b) {
		var n host.Note
		if err := json.Unmarshal(line, &n); err != nil {
			return nil, fmt.Errorf("notes: %w", err)
		}
		out = append(out, n)
	}
	return out, nil
}

// Account implements [host.Attendant]: the machine has one user.
func (m *Machine) Account() (string, error) {
	return "S-1-5-21-1111111111-2222222222-3333333333-1001", nil
}
