package durable

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// ErrLost is what every call of a [Lossy] returns between the loss of power and
// the next start.
var ErrLost = errors.New("the power is gone")

// Lossy is a file system in memory that keeps after a loss of power exactly what
// it promised to keep: of bytes that were not synced a part, of names that were
// not synced the first few changes. It is for tests; the seed says what is lost.
type Lossy struct {
	// Before, if not nil, is called before each call that writes; false cuts the
	// power at that point.
	Before func(call string) bool
	// Room, if not 0, is how many bytes fit into all files together; what is more
	// gives ErrFull.
	Room int

	mu     sync.Mutex
	random *rand.Rand
	now    map[string]*inode // by name, as programs see it
	safe   map[string]*inode // by name, as the disk holds it
	moves  []move            // changes of names that were not synced
	dead   bool
}

// ErrFull is the answer of a disk without room.
var ErrFull = errors.New("no space left on the disk")

// inode is a file's content, whatever its name.
type inode struct{ data, safe []byte }

// move is a change of names: name stands for node now; nil: for nothing.
type move struct {
	name string
	node *inode
	gone string // a name that goes at the same time, "" if none
}

// NewLossy returns an empty file system.
func NewLossy(seed uint64) *Lossy {
	return &Lossy{random: rand.New(rand.NewPCG(seed, 1)), now: map[string]*inode{}, safe: map[string]*inode{}}
}

// Crash loses what was not synced, and starts the machine again.
func (l *Lossy) Crash() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.moves[:l.random.IntN(len(l.moves)+1)] {
		l.safe = m.apply(l.safe)
	}
	l.moves = nil
	for _, n := range l.safe {
		if kept := len(n.safe); len(n.data) > kept && string(n.data[:kept]) == string(n.safe) {
			kept += l.random.IntN(len(n.data) - kept + 1) // an append that got through in part
			n.safe = slices.Clone(n.data[:kept])
		}
		n.data = slices.Clone(n.safe)
	}
	l.now = clone(l.safe)
	l.dead = false
}

func clone(m map[string]*inode) map[string]*inode {
	out := make(map[string]*inode, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (m move) apply(names map[string]*inode) map[string]*inode {
	if m.gone != "" {
		delete(names, m.gone)
	}
	if m.node == nil {
		delete(names, m.name)
	} else {
		names[m.name] = m.node
	}
	return names
}

// write runs f, unless the power is cut before.
func (l *Lossy) write(call string, f func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dead && l.Before != nil && !l.Before(call) {
		l.dead = true
	}
	if l.dead {
		return ErrLost
	}
	return f()
}

func (l *Lossy) rename(m move) {
	l.now = m.apply(l.now)
	l.moves = append(l.moves, m)
}

// Create implements [FS].
func (l *Lossy) Create(name string) (File, error) {
	n := &inode{}
	return &lossyFile{l, n}, l.write("create "+name, func() error { l.rename(move{name: name, node: n}); return nil })
}

// Append implements [FS].
func (l *Lossy) Append(name string) (File, error) {
	f := &lossyFile{fs: l}
	return f, l.write("append "+name, func() error {
		if f.node = l.now[name]; f.node == nil {
			f.node = &inode{}
			l.rename(move{name: name, node: f.node})
		}
		return nil
	})
}

// ReadFile implements [FS].
func (l *Lossy) ReadFile(name string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.now[name]
	switch {
	case l.dead:
		return nil, ErrLost
	case n == nil:
		return nil, notExist("open", name)
	}
	return slices.Clone(n.data), nil
}

// ReadDir implements [FS]. A folder is there when something is in it.
func (l *Lossy) ReadDir(name string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return nil, ErrLost
	}
	var out []string
	for path := range l.now {
		if rest, ok := strings.CutPrefix(path, name+string(filepath.Separator)); ok {
			first, _, _ := strings.Cut(rest, string(filepath.Separator))
			out = append(out, first)
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) == 0 {
		return nil, notExist("open", name)
	}
	return out, nil
}

// Rename implements [FS].
func (l *Lossy) Rename(from, to string) error {
	return l.write("rename "+from, func() error {
		n := l.now[from]
		if n == nil {
			return notExist("rename", from)
		}
		l.rename(move{name: to, node: n, gone: from})
		return nil
	})
}

// Remove implements [FS].
func (l *Lossy) Remove(name string) error {
	return l.write("remove "+name, func() error {
		if l.now[name] == nil {
			return notExist("remove", name)
		}
		l.rename(move{name: name})
		return nil
	})
}

// MkdirAll implements [FS]; folders need no making here.
func (l *Lossy) MkdirAll(string) error { return l.write("mkdir", func() error { return nil }) }

// Sync implements [FS]: the names in the folder are safe, and with them every
// change of names before.
func (l *Lossy) Sync(folder string) error {
	return l.write("sync "+folder, func() error {
		last := -1
		for i, m := range l.moves {
			if filepath.Dir(m.name) == folder || m.gone != "" && filepath.Dir(m.gone) == folder {
				last = i
			}
		}
		for _, m := range l.moves[:last+1] {
			l.safe = m.apply(l.safe)
		}
		l.moves = slices.Clone(l.moves[last+1:])
		return nil
	})
}

type lossyFile struct {
	fs   *Lossy
	node *inode
}

func (f *lossyFile) Write(b []byte) (int, error) {
	err := f.fs.write("write", func() error {
		if f.fs.Room > 0 {
			used := len(b)
			for _, n := range f.fs.now {
				used += len(n.data)
			}
			if used > f.fs.Room {
				return ErrFull
			}
		}
		f.node.data = append(f.node.data, b...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *lossyFile) Sync() error {
	return f.fs.write("sync", func() error { f.node.safe = slices.Clone(f.node.data); return nil })
}

func (f *lossyFile) Close() error { return nil }

var _ FS = (*Lossy)(nil)
