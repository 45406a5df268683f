package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"updoc/internal/winlog"
)

// Offline is a Windows that does not run, changed from another one: from the
// recovery environment, or with its disk in another PC. Base is the one that runs;
// registry and disk of the other stand in it elsewhere. Changes are named as they are
// on the Windows that does not run.
//
// What only a running Windows can do is refused, see [Offline.Able]. Whether a service
// runs is no matter: Windows starts what it needs. No user's hive is ever loaded.
type Offline struct {
	Base     Host
	Software string // key in Base at which its hive SOFTWARE is loaded
	System   string // the same of SYSTEM
	Root     string // folder of Base in which the volume with Windows stands: D:, without a backslash at its end

	set    string // CurrentControlSet, as it is called in the hive
	volume string // the letter that the volume has where it runs: C:
}

// errOffline says why something is refused.
var errOffline = errors.New("only while this Windows runs")

// OpenOffline finds out which control set and drive letter the Windows has.
// learn.microsoft.com: "HKLM\SYSTEM\Select", "CurrentVersion\SystemRoot".
func OpenOffline(ctx context.Context, o Offline) (*Offline, error) {
	k, err := o.Base.Key(ctx, o.System+`\Select`)
	if err != nil {
		return nil, fmt.Errorf("open the Windows in %s: %w", o.Root, err)
	}
	v, _ := k.Value("Current")
	n, ok := v.DWord()
	if !ok || n == 0 || n > 999 {
		return nil, fmt.Errorf("open the Windows in %s: it has no current control set", o.Root)
	}
	o.set = fmt.Sprintf(`ControlSet%03d`, n)
	if k, err = o.Base.Key(ctx, o.Software+`\Microsoft\Windows NT\CurrentVersion`); err != nil {
		return nil, fmt.Errorf("open the Windows in %s: %w", o.Root, err)
	}
	v, _ = k.Value("SystemRoot")
	root, _ := v.String()
	if o.volume = strings.ToUpper(root); len(o.volume) < 3 || o.volume[1] != ':' {
		return nil, fmt.Errorf("open the Windows in %s: it does not say what its volume is called", o.Root)
	}
	o.volume = o.volume[:2]
	return &o, nil
}

// places lists what stands where, the narrower first.
func (o *Offline) places() []place {
	return []place{
		{`HKLM\SYSTEM\CurrentControlSet`, o.System + `\` + o.set},
		{`HKLM\SYSTEM`, o.System},
		{`HKLM\SOFTWARE`, o.Software},
		{`HKCR`, o.Software + `\Classes`},
		{o.volume, o.Root},
	}
}

// find returns where a path of the Windows stands.
func (o *Offline) find(path string) (place, bool) {
	for _, l := range o.places() {
		if _, ok := l.under(path); ok {
			return l, true
		}
	}
	return place{}, false
}

// Able reports whether a change can be made while the Windows does not run.
func (o *Offline) Able(c Change) bool { return c.Check() == nil && o.able(c) == nil }

func (o *Offline) able(c Change) error {
	ok := true
	switch c.Kind {
	case ServiceRun, ServiceStop, ServiceStart, ServiceTriggers, ServiceNeeds:
	case ServiceSecurity, Switch, Run:
		ok = false
	default:
		_, ok = o.find(c.Path)
		if c.To != "" && ok {
			_, ok = o.find(c.To)
		}
	}
	if !ok {
		return fmt.Errorf("%s %s: %w: %w", c.Kind, c.Path, ErrNotRecorded, errOffline)
	}
	return nil
}

// Inverse implements [Host].
func (o *Offline) Inverse(ctx context.Context, c Change) ([]Change, error) {
	if err := errors.Join(c.Check(), o.able(c)); err != nil {
		return nil, err
	}
	switch c.Kind {
	case ServiceRun, ServiceStop:
		return []Change{c}, nil
	case ServiceStart:
		start, err := o.start(ctx, c.Path)
		if err != nil {
			return nil, err
		}
		return []Change{{Kind: ServiceStart, Path: c.Path, Start: &start}}, nil
	case ServiceTriggers, ServiceNeeds:
		return inverseRegistration(o.service(c.Path), c, func(p string) (Key, error) { return o.Base.Key(ctx, p) })
	}
	l, _ := o.find(c.Path)
	list, err := o.Base.Inverse(ctx, l.there(c))
	return l.backAll(list), err
}

// Apply implements [Host].
func (o *Offline) Apply(ctx context.Context, c Change) error {
	if err := errors.Join(c.Check(), o.able(c)); err != nil {
		return err
	}
	switch c.Kind {
	case ServiceRun, ServiceStop:
		return ctx.Err()
	case ServiceStart:
		return o.setStart(ctx, c)
	case ServiceTriggers, ServiceNeeds:
		list, err := RegisteredChanges(o.service(c.Path), c, func(p string) (Key, error) { return o.Base.Key(ctx, p) })
		for _, c := range list {
			if err == nil {
				err = o.Base.Apply(ctx, c)
			}
		}
		return err
	case Move, Restore:
		// What the next start of that Windows would do is done, or undone, now.
		if err := o.dropPending(ctx, c); err != nil {
			return err
		}
	}
	l, _ := o.find(c.Path)
	return o.Base.Apply(ctx, l.there(c))
}

func (o *Offline) service(name string) string {
	return o.System + `\` + o.set + `\Services\` + name
}

const offlineDelayed = "DelayedAutostart"

// start reads how a service starts from where the service control manager keeps it.
// learn.microsoft.com: "HKLM\SYSTEM\CurrentControlSet\Services Registry Tree".
func (o *Offline) start(ctx context.Context, name string) (Start, error) {
	k, err := o.Base.Key(ctx, o.service(name))
	if err != nil {
		return Start{}, fmt.Errorf("service %s: %w", name, err)
	}
	v, _ := k.Value("Start")
	n, ok := v.DWord()
	if !ok {
		return Start{}, fmt.Errorf("service %s: %w: it has no start type", name, ErrNotExist)
	}
	v, _ = k.Value(offlineDelayed)
	d, _ := v.DWord()
	return Start{Type: n, Delayed: d != 0}, nil
}

func (o *Offline) setStart(ctx context.Context, c Change) error {
	now, err := o.start(ctx, c.Path)
	if err != nil {
		return err
	}
	set := func(name string, n uint32) error {
		return o.Base.Apply(ctx, Set(o.service(c.Path), name, winlog.RegValue{Type: winlog.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}))
	}
	if now.Delayed != c.Start.Delayed {
		n := uint32(0)
		if c.Start.Delayed {
			n = 1
		}
		if err := set(offlineDelayed, n); err != nil {
			return err
		}
	}
	return set("Start", c.Start.Type)
}

// dropPending takes a renaming that waits for the next start out of the list that the
// session manager keeps, in either direction.
// learn.microsoft.com: "MoveFileEx", PendingFileRenameOperations.
func (o *Offline) dropPending(ctx context.Context, c Change) error {
	const name = "PendingFileRenameOperations"
	key := o.System + `\` + o.set + `\Control\Session Manager`
	k, err := o.Base.Key(ctx, key)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	v, ok := k.Value(name)
	if !ok {
		return nil
	}
	rest, found := withoutRename(v.Data, c.Path, c.To)
	rest, other := withoutRename(rest, c.To, c.Path)
	switch {
	case !found && !other:
		return nil
	case len(rest) == 0:
		return o.Base.Apply(ctx, Change{Kind: ValueDel, Path: key, Name: name})
	}
	return o.Base.Apply(ctx, Set(key, name, winlog.RegValue{Type: v.Type, Data: rest}))
}

// withoutRename takes the pairs that move from to to out of a list of renamings: texts
// in UTF-16 that end with a NUL, of which every second may be empty, and a NUL at the
// end. Nothing is left of a list that holds nothing.
func withoutRename(list []byte, from, to string) (rest []byte, found bool) {
	same := func(entry, p string) bool {
		return equalFold(strings.TrimPrefix(strings.TrimPrefix(entry, "!"), `\??\`), p)
	}
	var texts []string
	var raw [][]byte
	for b := list; len(b) >= 2; {
		end := 0
		for end+1 < len(b) && (b[end] != 0 || b[end+1] != 0) {
			end += 2
		}
		s, _ := winlog.RegValue{Type: winlog.RegSZ, Data: b[:end]}.String()
		texts, raw, b = append(texts, s), append(raw, b[:end]), b[min(end+2, len(b)):]
	}
	if n := len(texts); n%2 == 1 { // the NUL that ends the list
		texts, raw = texts[:n-1], raw[:n-1]
	}
	for i := 0; i < len(texts); i += 2 {
		if same(texts[i], from) && same(texts[i+1], to) {
			found = true
			continue
		}
		rest = append(append(rest, raw[i]...), 0, 0)
		rest = append(append(rest, raw[i+1]...), 0, 0)
	}
	if len(rest) > 0 {
		rest = append(rest, 0, 0)
	}
	return rest, found
}

// Machine implements [Reader].
func (o *Offline) Machine(ctx context.Context) (Machine, error) {
	k, err := o.Base.Key(ctx, o.Software+`\Microsoft\Windows NT\CurrentVersion`)
	if err != nil {
		return Machine{}, err
	}
	text := func(name string) string {
		v, _ := k.Value(name)
		s, _ := v.String()
		return s
	}
	return Machine{OS: text("ProductName"), Build: text("CurrentBuild"), Source: "offline"}, nil
}

// Key implements [Reader].
func (o *Offline) Key(ctx context.Context, p string) (Key, error) {
	l, ok := o.find(p)
	if !ok {
		return Key{}, fmt.Errorf("key %s: %w: %w", p, ErrNotRecorded, errOffline)
	}
	there, _ := l.under(p)
	k, err := o.Base.Key(ctx, there)
	k.Path = l.back(k.Path)
	return k, err
}

// Service implements [Reader].
func (o *Offline) Service(ctx context.Context, name string) (Service, error) {
	start, err := o.start(ctx, name)
	if err != nil {
		return Service{}, err
	}
	return Service{Name: name, State: winlog.ServiceStopped, Start: int(start.Type), Delayed: start.Delayed, Source: o.service(name)}, nil
}

// Files implements [Reader]: an undo asks for none.
func (o *Offline) Files(context.Context, string) ([]File, error) { return nil, ErrNotRecorded }

// Open implements [Reader].
func (o *Offline) Open(context.Context, File) (io.ReadCloser, error) { return nil, ErrNotRecorded }

// Ask implements [Reader].
func (o *Offline) Ask(_ context.Context, q Question) (Answer, error) {
	return Answer{}, fmt.Errorf("ask %s: %w: %w", q.Name, ErrNotRecorded, errOffline)
}
