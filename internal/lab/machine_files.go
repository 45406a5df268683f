package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// root is the folder that stands for the drives.
func (m *Machine) root() string { return filepath.Join(m.dir, "files") }

// place returns where a path of the machine lies, in the letter case in which its
// parts exist: Windows does not care, what stands below may.
func (m *Machine) place(p string) string {
	at := m.root()
	for part := range strings.SplitSeq(strings.Replace(p, ":", "", 1), `\`) {
		next := filepath.Join(at, part)
		if _, err := os.Lstat(next); err != nil {
			entries, _ := os.ReadDir(at)
			for _, e := range entries {
				if strings.EqualFold(e.Name(), part) {
					next = filepath.Join(at, e.Name())
					break
				}
			}
		}
		at = next
	}
	return at
}

// windowsPath is the path that the machine has for a place.
func (m *Machine) windowsPath(name string) string {
	rel, err := filepath.Rel(m.root(), name)
	if err != nil {
		return name
	}
	drive, rest, _ := strings.Cut(filepath.ToSlash(rel), "/")
	return drive + `:\` + strings.ReplaceAll(rest, "/", `\`)
}

func (m *Machine) exists(p string) bool {
	_, err := os.Lstat(m.place(p))
	return err == nil
}

// unpackFile writes a file of a scenario. Its text gets Windows' line ends.
func (m *Machine) unpackFile(name string, text []byte) error {
	drive, rest, ok := strings.Cut(name, "/")
	if !ok || len(drive) != 1 || !filepath.IsLocal(name) {
		return errors.New("not files/DRIVE/PATH")
	}
	p := m.place(drive + `:\` + strings.ReplaceAll(strings.TrimSuffix(rest, "/"), "/", `\`))
	if strings.HasSuffix(name, "/") {
		return os.MkdirAll(p, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return err
	}
	crlf := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n")
	return os.WriteFile(p, []byte(crlf), 0o600)
}

// makeTimes makes all files as old as those of a machine that is in use are.
func (m *Machine) makeTimes() error {
	installed := m.Now().UTC().Add(-90 * 24 * time.Hour).Truncate(time.Second)
	return filepath.WalkDir(m.root(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(name, installed, installed)
	})
}

// looked are the places that a diagnosis reads on a live machine: the folders and
// names in which Windows keeps what it says about updating.
var looked = []string{
	`C:\Windows\WindowsUpdate.log`, `C:\Windows\Logs\*`, `C:\Windows\Panther\*`, `C:\Windows\INF\setupapi*.log`,
	`C:\Windows\System32\drivers\etc\hosts`, `C:\Windows\SoftwareDistribution\ReportingEvents.log`,
	`C:\Windows\System32\winevt\Logs\*`, `C:\$WINDOWS.~BT\Sources\Panther\*`, `C:\$WINDOWS.~BT\Sources\Rollback\*`,
	`C:\Users\Default\AppData\Local\Microsoft\Windows\WSUS\SetupConfig.ini`, `C:\Windows\CCM\Logs\*`, `C:\Users\*\notes.txt`,
}

// writtenByWindows are files that Windows writes at any time.
func writtenByWindows(p string) bool {
	for _, pattern := range []string{
		`C:\Windows\WindowsUpdate.log`, `C:\Windows\Logs\*`, `C:\Windows\System32\winevt\Logs\*`, `*\ReportingEvents.log`,
		`C:\$WINDOWS.~BT*`, // of setup
	} {
		if wild(pattern, p) {
			return true
		}
	}
	return false
}

// Files implements [host.Reader]. As on a live machine, what is listed is what a
// diagnosis reads, and not a whole drive.
func (m *Machine) Files(ctx context.Context, pattern string) ([]host.File, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	var out []host.File
	err := filepath.WalkDir(m.root(), func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // something is just being moved
			return nil
		case err != nil || d.IsDir():
			return err
		}
		p := m.windowsPath(name)
		if !slices.ContainsFunc(looked, func(q string) bool { return wild(q, p) }) {
			return nil
		}
		if ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(d.Name())); !ok {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it is gone meanwhile
		}
		f := host.File{Path: strings.ReplaceAll(p, `\`, "/"), Size: info.Size(), Modified: info.ModTime()}
		head, err := headOf(name)
		if err != nil || len(head) == 0 {
			return nil //nolint:nilerr // nothing to read in it
		}
		f.Kind = winlog.Identify(f.Path, head)
		out = append(out, f)
		return nil
	})
	sorted.By(out, func(a, b host.File) int { return cmp.Compare(a.Path, b.Path) })
	return out, err
}

func headOf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const sniffed = 64 << 10
	return io.ReadAll(io.LimitReader(f, sniffed))
}

// Open implements [host.Reader].
func (m *Machine) Open(ctx context.Context, f host.File) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := strings.ReplaceAll(f.Path, "/", `\`)
	if len(p) < 4 || p[1] != ':' || !filepath.IsLocal(filepath.FromSlash(f.Path[3:])) {
		return nil, fmt.Errorf("open %s: %w", f.Path, host.ErrNotExist)
	}
	r, err := os.Open(m.place(p))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("open %s: %w", f.Path, host.ErrNotExist)
	}
	return r, err
}

// inverseFile is the inverse of a change of files.
func (m *Machine) inverseFile(c host.Change) ([]host.Change, error) {
	is := []host.Change{c}
	at := m.place(c.Path)
	info, err := os.Lstat(at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	there := err == nil
	switch c.Kind {
	case host.Move:
		switch {
		case m.exists(c.To):
			return is, nil
		case there:
			return []host.Change{{Kind: host.Restore, Path: c.To, To: c.Path}}, nil
		}
		return nil, host.ErrNotExist
	case host.Restore:
		switch {
		case there:
			return []host.Change{{Kind: host.Move, Path: c.To, To: c.Path}}, nil
		case m.exists(c.Path+host.Since) && !m.merged(c.Path+host.Since, c.To):
			return nil, nil // half done: it can only be finished
		case m.exists(c.To):
			return is, nil
		}
		return nil, host.ErrNotExist
	case host.Write, host.FileDrop:
		if there && info.IsDir() {
			return nil, host.ErrInTheWay
		}
		if !there {
			if c.Kind == host.FileDrop {
				return is, nil
			}
			return []host.Change{{Kind: host.FileDrop, Path: c.Path}}, nil
		}
		b, err := os.ReadFile(at)
		if err != nil {
			return nil, err
		}
		old := host.Change{Kind: host.Write, Path: c.Path, Data: b, Modified: info.ModTime().UTC()}
		if c.Kind == host.Write && string(b) == string(c.Data) {
			return is, nil
		}
		return []host.Change{old}, nil
	case host.FolderMake:
		switch {
		case there && !info.IsDir():
			return nil, host.ErrInTheWay
		case there:
			return is, nil
		}
		var out []host.Change
		for p := c.Path; len(p) > 3 && !m.exists(p); p = p[:max(strings.LastIndexByte(p, '\\'), 3)] {
			out = append(out, host.Change{Kind: host.FolderDrop, Path: p})
		}
		return out, nil
	case host.FolderDrop:
		if !there {
			return is, nil
		}
		return []host.Change{{Kind: host.FolderMake, Path: c.Path}}, nil
	case host.Security:
		if !there {
			return nil, host.ErrNotExist
		}
		old := read(m, func(s *state) string { return cmp.Or(s.Security[strings.ToLower(c.Path)], inherited) })
		if old == c.SDDL {
			return is, nil
		}
		c.SDDL = old
		return []host.Change{c}, nil
	}
	return nil, errors.ErrUnsupported
}

// inherited is the descriptor of files and folders that have none of their own.
const inherited = "D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)"

// applyFile makes a change of files.
func (m *Machine) applyFile(c host.Change) error {
	at := m.place(c.Path)
	switch c.Kind {
	case host.Move:
		if m.exists(c.To) {
			return nil
		}
		return m.rename(c.Path, c.To)
	case host.Restore:
		return m.restore(c.Path, c.To)
	case host.Write:
		if info, err := os.Lstat(at); err == nil && info.IsDir() {
			return host.ErrInTheWay
		}
		m.crash("write " + c.Path)
		if err := durable.WriteFile(durable.OS{}, at, c.Data); err != nil {
			return notExist(err)
		}
		m.crash("written " + c.Path)
		if c.Modified.IsZero() {
			return nil
		}
		return os.Chtimes(at, c.Modified, c.Modified)
	case host.FileDrop:
		if info, err := os.Lstat(at); err == nil && info.IsDir() {
			return host.ErrInTheWay
		}
		m.crash("remove " + c.Path)
		for _, name := range []string{at, at + ".new"} { // the other is what a Write left that was cut off
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		err := m.syncFolder(at)
		m.crash("removed " + c.Path)
		if errors.Is(err, fs.ErrNotExist) { // nor is the folder there
			return nil
		}
		return err
	case host.FolderMake:
		if info, err := os.Lstat(at); err == nil && !info.IsDir() {
			return host.ErrInTheWay
		}
		m.crash("make " + c.Path)
		if err := os.MkdirAll(at, 0o700); err != nil {
			return err
		}
		err := m.syncFolder(at)
		m.crash("made " + c.Path)
		return err
	case host.FolderDrop:
		entries, err := os.ReadDir(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case len(entries) > 0:
			return fmt.Errorf("%w: the folder is not empty", host.ErrInTheWay)
		}
		m.crash("remove " + c.Path)
		err = errors.Join(os.Remove(at), m.syncFolder(at))
		m.crash("removed " + c.Path)
		return err
	case host.Security:
		if !m.exists(c.Path) {
			return host.ErrNotExist
		}
		return m.change(func(s *state) error {
			if s.Security[strings.ToLower(c.Path)] = c.SDDL; c.SDDL == inherited {
				delete(s.Security, strings.ToLower(c.Path))
			}
			return nil
		})
	}
	return errors.ErrUnsupported
}

// notExist says in the words of package host that there is no such folder.
func notExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", host.ErrNotExist, err)
	}
	return err
}

// syncFolder makes the names beside a file durable.
func (m *Machine) syncFolder(at string) error { return (durable.OS{}).Sync(filepath.Dir(at)) }

// rename gives something another name, for good.
func (m *Machine) rename(from, to string) error {
	a, b := m.place(from), m.place(to)
	if err := m.inUse(from); err != nil {
		return err
	}
	m.crash("rename " + from)
	if err := os.Rename(a, b); err != nil {
		return notExist(err)
	}
	err := m.syncFolder(b)
	if filepath.Dir(a) != filepath.Dir(b) {
		err = errors.Join(err, m.syncFolder(a))
	}
	m.crash("renamed " + from)
	return err
}

// restore gives what was moved from to its name to again. What stands there now is
// what Windows made meanwhile: it is moved aside, and what is new in it is moved into
// what came back. Files of which both have one are kept aside.
func (m *Machine) restore(from, to string) error {
	since := from + host.Since
	if m.exists(from) {
		if m.exists(to) {
			if m.exists(since) {
				return fmt.Errorf("%w: %s", host.ErrInTheWay, since)
			}
			if err := m.rename(to, since); err != nil {
				return err
			}
		}
		if err := m.rename(from, to); err != nil {
			return err
		}
	}
	if !m.exists(to) {
		return host.ErrNotExist
	}
	if !m.exists(since) {
		return nil
	}
	return m.merge(since, to)
}

// merged reports that all that is left of what was newer is what both have.
func (m *Machine) merged(from, to string) bool {
	at := m.place(from)
	info, err := os.Lstat(at)
	if err != nil || !m.exists(to) {
		return false
	}
	if other, err := os.Lstat(m.place(to)); err != nil || !info.IsDir() || !other.IsDir() {
		return err == nil
	}
	entries, err := os.ReadDir(at)
	return err == nil && len(entries) > 0 && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return !m.merged(from+`\`+e.Name(), to+`\`+e.Name())
	})
}

// merge moves what a folder has and another lacks, and removes what is then empty.
func (m *Machine) merge(from, to string) error {
	at := m.place(from)
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	if !m.exists(to) {
		return m.rename(from, to)
	}
	if other, err := os.Lstat(m.place(to)); err != nil || !info.IsDir() || !other.IsDir() {
		return err // both have it: a conflict, kept
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := m.merge(from+`\`+e.Name(), to+`\`+e.Name()); err != nil {
			return err
		}
	}
	if left, err := os.ReadDir(at); err != nil || len(left) > 0 {
		return err
	}
	m.crash("remove " + from)
	err = errors.Join(os.Remove(at), m.syncFolder(at))
	m.crash("removed " + from)
	return err
}
