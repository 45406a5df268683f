package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"updoc/internal/winlog"
)

// Record is a Reader that hands every answer on and remembers it, so that a
// bundle with the very answers that a diagnosis saw can be written afterwards:
// see [Record.Preview] and [Record.Write]. Answers are kept in memory, within
// bounds; files are only noted, and read again when the bundle is written.
//
// Nothing is written while it is being asked. Names have to be known before the
// first byte of a bundle is redacted, and a person is to see what will be in it.
//
// The zero value but for Reader is ready to use.
type Record struct {
	Reader

	mu       sync.Mutex
	size     int64 // bytes of the answers that are kept
	keys     answers[keyAnswer]
	services answers[serviceAnswer]
	asked    answers[askAnswer]
	files    []File
	listed   map[string]bool // paths of files
	machine  Machine
}

// maxRemembered bounds the answers that are kept. The keys of a machine take some
// hundred kilobytes.
const maxRemembered = 128 << 20

type keyAnswer struct {
	path string
	Key
	err error
}

type serviceAnswer struct {
	name string
	Service
	err error
}

type askAnswer struct {
	Question
	Answer
	err error
}

// answers are the first answers to different questions, in the order in which
// they were asked.
type answers[T any] struct {
	list  []T
	index map[string]bool
}

// keep remembers an answer that takes about size bytes. An asker who left was not
// answered; one who did not get an answer in time was: looking failed.
func keep[T any](r *Record, a *answers[T], id string, size int, err error, v T) {
	if errors.Is(err, context.Canceled) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.index[id] || r.size+int64(size) > maxRemembered {
		return
	}
	if a.index == nil {
		a.index = map[string]bool{}
	}
	a.index[id] = true
	a.list = append(a.list, v)
	r.size += int64(size)
}

// Machine implements [Reader].
func (r *Record) Machine(ctx context.Context) (Machine, error) {
	m, err := r.Reader.Machine(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.machine = m
	}
	return m, err
}

// Key implements [Reader].
func (r *Record) Key(ctx context.Context, p string) (Key, error) {
	k, err := r.Reader.Key(ctx, p)
	size := len(p) + regEntryBytes
	for _, v := range k.Values {
		size += len(v.Name) + len(v.Data) + regEntryBytes
	}
	for _, s := range k.Subkeys {
		size += len(s)
	}
	keep(r, &r.keys, strings.ToLower(p), size, err, keyAnswer{p, k, err})
	return k, err
}

// Service implements [Reader].
func (r *Record) Service(ctx context.Context, name string) (Service, error) {
	s, err := r.Reader.Service(ctx, name)
	keep(r, &r.services, strings.ToLower(name), 1<<10, err, serviceAnswer{name, s, err})
	return s, err
}

// Ask implements [Reader].
func (r *Record) Ask(ctx context.Context, q Question) (Answer, error) {
	a, err := r.Reader.Ask(ctx, q)
	if equalFold(q.Name, AskServiceCopies) {
		return a, err
	}
	keep(r, &r.asked, q.id(), len(a.JSON)+1<<10, err, askAnswer{q, a, err})
	return a, err
}

// id tells questions apart.
func (q Question) id() string {
	var b strings.Builder
	b.WriteString(strings.ToLower(q.Name))
	names := make([]string, 0, len(q.Args))
	for n := range q.Args {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&b, " %q=%q", n, q.Args[n])
	}
	return b.String()
}

// Files implements [Reader]. Every file that was listed is part of the bundle.
func (r *Record) Files(ctx context.Context, pattern string) ([]File, error) {
	files, err := r.Reader.Files(ctx, pattern)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listed == nil {
		r.listed = map[string]bool{}
	}
	for _, f := range files {
		if len(r.files) < maxFiles && !r.listed[f.Path] {
			r.listed[f.Path] = true
			r.files = append(r.files, f)
		}
	}
	return files, err
}

// Unreadable lists what the host found and could not open.
func (r *Record) Unreadable() []string {
	if u, ok := r.Reader.(interface{ Unreadable() []string }); ok {
		return u.Unreadable()
	}
	return nil
}

// elevated says whether the host was read with the rights of an administrator; nil
// if it did not say who asks.
func (r *Record) elevated() *bool {
	for _, a := range r.asked.list {
		var c Caller
		if a.Name == AskCaller && a.err == nil && json.Unmarshal(a.JSON, &c) == nil {
			yes := c.Elevated || c.System
			return &yes
		}
	}
	return nil
}

// Limits bound a bundle. Zero fields take the values of [DefaultLimits].
type Limits struct {
	File  int64 // bytes taken of one file; of a larger one, its beginning and its end
	Total int64 // bytes taken of all files together: if they have more, the largest give less
	Zip   int64 // bytes of the bundle
}

// DefaultLimits make a bundle that can be sent by mail or added to a ticket, and
// that is written within a minute: logs pack to a tenth or less, as a rule, and a
// gigabyte of them is redacted and packed in a quarter of a minute.
func DefaultLimits() Limits { return Limits{File: 64 << 20, Total: 1 << 30, Zip: 100 << 20} }

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	return Limits{File: cmp.Or(l.File, d.File), Total: cmp.Or(l.Total, d.Total), Zip: cmp.Or(l.Zip, d.Zip)}
}

// Preview is what a bundle would hold.
type Preview struct {
	Machine  Machine
	Elevated *bool // nil: not known
	Keys     int   // registry keys that are there, and were read
	Services int
	Answers  []string // names of questions that were answered
	Files    []PreviewFile
	Bytes    int64    // that will be read of the files; not yet packed
	Unread   []Unread // what will not be in it
}

// PreviewFile is a file that would be in a bundle.
type PreviewFile struct {
	Path string
	Kind winlog.Kind
	Size int64 // on the machine, -1 if unknown
	Take int64 // bytes of it that are taken; less than Size: its beginning and end
}

// Preview says what a bundle within the given limits would hold.
func (r *Record) Preview(limits Limits) Preview {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Preview{Machine: r.machine, Elevated: r.elevated(), Unread: r.unread()}
	for _, k := range r.keys.list {
		if k.err == nil {
			p.Keys++
		}
	}
	for _, s := range r.services.list {
		if s.err == nil {
			p.Services++
		}
	}
	for _, a := range r.asked.list {
		if a.err == nil {
			p.Answers = append(p.Answers, a.Name)
		}
	}
	files, left := r.evidence(limits)
	p.Unread = append(p.Unread, left...)
	for _, f := range files {
		p.Files = append(p.Files, PreviewFile{f.Path, f.Kind, f.Size, f.take})
		p.Bytes += max(f.take, 0)
	}
	return p
}

// unread lists the questions that have no answer for want of rights, or because
// looking failed. That nobody had recorded something is no news.
func (r *Record) unread() []Unread {
	var out []Unread
	add := func(kind, what string, err error) {
		if s := stateOf(err); s == StateDenied || s == StateFailed {
			reason := strings.TrimPrefix(why(err), "ask "+what+": ") // said already
			out = append(out, Unread{What: what, Kind: kind, Why: reason})
		}
	}
	for _, k := range r.keys.list {
		add("key", k.path, k.err)
	}
	for _, s := range r.services.list {
		add("service", s.name, s.err)
	}
	for _, a := range r.asked.list {
		add("answer", a.Name, a.err)
	}
	for _, u := range r.Unreadable() {
		what, reason, _ := strings.Cut(u, ": ")
		out = append(out, Unread{What: what, Kind: "file", Why: reason})
	}
	return out
}

// stateOf says how a question was answered.
func stateOf(err error) AnswerState {
	switch {
	case err == nil:
		return StatePresent
	case errors.Is(err, ErrNotExist):
		return StateAbsent
	case errors.Is(err, ErrDenied):
		return StateDenied
	case errors.Is(err, ErrNotRecorded):
		return StateUnasked
	}
	return StateFailed
}

// why is the reason in few words.
func why(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrDenied):
		return ErrDenied.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return err.Error()
}

// taken is a file of the bundle, with how many of its bytes are taken.
type taken struct {
	File
	take int64 // -1: unknown before it was read, the file's limit holds
}

// evidence sorts the files into those that a bundle takes and those that it leaves
// out, with the reason. What it cannot redact it does not take.
func (r *Record) evidence(limits Limits) ([]taken, []Unread) {
	limits = limits.orDefault()
	var list []taken
	var left []Unread
	for _, f := range r.files {
		switch f.Kind {
		case winlog.RegHive:
			left = append(left, Unread{f.Path, "file", "a registry hive holds far more than is needed; the keys that were asked for are in the bundle"})
		case winlog.ETL:
			left = append(left, Unread{f.Path, "file", "a trace is binary: names in it cannot be replaced"})
		case winlog.Binary, winlog.Archive:
			left = append(left, Unread{f.Path, "file", "nothing in it that updoc reads"})
		default:
			list = append(list, taken{f, f.Size})
		}
	}
	// The limit of a file falls until all together keep the limit of all: what is
	// small stays whole.
	sizes := make([]int64, 0, len(list))
	for _, f := range list {
		sizes = append(sizes, min(max(f.Size, 0), limits.File))
	}
	each := min(limits.File, level(sizes, limits.Total))
	for i := range list {
		list[i].take = min(list[i].take, each)
	}
	return list, left
}

// level returns how much each of the sizes may keep if they are to keep total
// together and only the largest give anything away.
func level(sizes []int64, total int64) int64 {
	slices.Sort(sizes)
	for i, s := range sizes {
		share := total / int64(len(sizes)-i)
		if s > share {
			return share
		}
		total -= s
	}
	return 1 << 62
}
