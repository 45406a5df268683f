package hosttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Changes says what of a host may be changed by [ChangeSuite], which leaves all of
// it as it was. Empty parts are not tested.
type Changes struct {
	Key    string // a registry key that exists, below which keys may be made
	Folder string // a folder of the machine that exists, in which files may be made: C:\...

	Service   string   // a service that exists; its start type is changed
	Running   string   // a service that may be stopped and started
	NoService string   // a service that does not exist
	Make      bool     // services may be made: one is that does not exist
	Events    string   // a service of updating whose triggers may be changed
	Needs     string   // a service of updating whose needs may be changed
	SDDL      []string // two descriptors of a file, in the form in which the host gives them back
	Rights    []string // two descriptors of Service

	Switch string // a setting that exists; and two states of it
	States [2]string

	Denied []host.Change // what the host may not do: each must be answered ErrDenied
}

// ChangeSuite holds that a host can be changed, each change twice with the same
// effect, and that what it said before a change brings back the state before, to the
// byte: types and data of values, start types, descriptors, names, contents and times
// of files.
func ChangeSuite(t *testing.T, h host.Host, may Changes) {
	t.Helper()
	s := &changes{h, may}
	t.Run("values", s.values)
	t.Run("keys", s.keys)
	t.Run("services", s.services)
	t.Run("made services", s.madeServices)
	t.Run("triggers", s.triggers)
	t.Run("needs", s.needs)
	t.Run("files", s.files)
	t.Run("folders", s.folders)
	t.Run("moves", s.moves)
	t.Run("restores", s.restores)
	t.Run("security", s.security)
	t.Run("switches", s.switches)
	t.Run("tools", s.tools)
	t.Run("refused", s.refused)
	t.Run("denied", s.denied)
	t.Run("cancelled", s.cancelled)
}

type changes struct {
	h   host.Host
	may Changes
}

// apply makes changes that nothing is held of.
func (s *changes) apply(t *testing.T, list ...host.Change) {
	t.Helper()
	for _, c := range list {
		if err := s.h.Apply(t.Context(), c); err != nil {
			t.Fatalf("apply %s: %v", brief(c), err)
		}
	}
}

func (s *changes) inverse(t *testing.T, c host.Change) []host.Change {
	t.Helper()
	inv, err := s.h.Inverse(t.Context(), c)
	if err != nil {
		t.Fatalf("inverse of %s: %v", brief(c), err)
	}
	return inv
}

// there and back: a change that does not hold is made, made again, taken back, and
// taken back again.
func (s *changes) thereAndBack(t *testing.T, c host.Change) {
	t.Helper()
	before := s.inverse(t, c)
	if host.Same(before, []host.Change{c}) {
		t.Fatalf("%s: holds already, the test tests nothing", brief(c))
	}
	if len(before) == 0 {
		t.Fatalf("%s: cannot be taken back", brief(c))
	}
	for i := range 2 {
		s.apply(t, c)
		if now := s.inverse(t, c); !host.Same(now, []host.Change{c}) {
			t.Fatalf("%s: applied %d times, and its inverse is %s", brief(c), i+1, brief(now...))
		}
	}
	if c.Kind == host.Restore {
		return // its inverse depends on what it merged
	}
	for range 2 {
		s.apply(t, before...)
		now := s.inverse(t, c)
		if !host.Same(now, before) {
			t.Fatalf("%s: taken back with %s, and now its inverse is %s", brief(c), brief(before...), brief(now...))
		}
		for i := range now {
			if !sameTime(now[i].Modified, before[i].Modified) {
				t.Errorf("%s: written at %v, was written at %v", brief(c), now[i].Modified, before[i].Modified)
			}
		}
	}
}

// sameTime compares what file systems keep: NTFS counts in 100 ns.
func sameTime(a, b time.Time) bool { return a.Sub(b).Abs() < time.Microsecond }

func brief(list ...host.Change) string {
	var out []string
	for _, c := range list {
		text := fmt.Sprintf("%s %s", c.Kind, c.Path)
		if c.Value != nil {
			text += fmt.Sprintf(" %q = type %d %x", c.Name, c.Value.Type, c.Value.Data)
		}
		if c.To != "" {
			text += " to " + c.To
		}
		if c.Data != nil {
			text += fmt.Sprintf(" %.40q", c.Data)
		}
		if c.Start != nil {
			text += fmt.Sprintf(" %+v", *c.Start)
		}
		if c.Needs != nil || c.Triggers != nil {
			text += fmt.Sprintf(" %q %+v", c.Needs, c.Triggers)
		}
		out = append(out, text+c.SDDL+c.State)
	}
	return "[" + strings.Join(out, "; ") + "]"
}

func text(kind uint32, s string) winlog.RegValue {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return winlog.RegValue{Type: kind, Data: b}
}

// kinds are values of every type, with data that only an exact host gives back.
var kinds = map[string]winlog.RegValue{
	"none":                     {Type: winlog.RegNone, Data: []byte{}},
	"text":                     text(winlog.RegSZ, "http://wsus.fabrikam.example:8530\x00"),
	"text without its end":     text(winlog.RegSZ, "cut"),
	"text with more behind":    text(winlog.RegSZ, "a\x00b\x00\x00"),
	"empty text":               text(winlog.RegSZ, "\x00"),
	"expandable text":          text(winlog.RegExpandSZ, "%SystemRoot%\\Grüße\x00"),
	"bytes":                    {Type: winlog.RegBinary, Data: []byte{0x18, 0, 0, 0, 0xff}},
	"no bytes":                 {Type: winlog.RegBinary, Data: []byte{}},
	"number":                   {Type: winlog.RegDWord, Data: []byte{4, 0, 0, 0}},
	"other number":             {Type: winlog.RegDWord, Data: []byte{4, 0, 0, 1}},
	"number, big end first":    {Type: winlog.RegDWordBE, Data: []byte{0, 0, 0, 4}},
	"long number":              {Type: winlog.RegQWord, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
	"list":                     text(winlog.RegMultiSZ, "RpcSs\x00bits\x00\x00"),
	"list with an empty place": text(winlog.RegMultiSZ, "\\??\\C:\\x\x00\x00\\??\\C:\\y\x00\x00\x00"),
	"a type of one's own":      {Type: 0x77, Data: []byte("any")},
}

func (s *changes) values(t *testing.T) {
	if s.may.Key == "" {
		t.Skip("no key to change")
	}
	key := s.may.Key + `\updoc-hosttest`
	back := s.inverse(t, host.Change{Kind: host.KeyMake, Path: key})
	s.apply(t, host.Change{Kind: host.KeyMake, Path: key})
	for was, old := range kinds {
		s.thereAndBack(t, host.Set(key, was, old)) // absent before
		s.apply(t, host.Set(key, was, old))
		for _, now := range kinds {
			if now.Type != old.Type || !bytes.Equal(now.Data, old.Data) {
				s.thereAndBack(t, host.Set(key, was, now))
			}
		}
		s.thereAndBack(t, host.Change{Kind: host.ValueDel, Path: key, Name: was})
		k, err := s.h.Key(t.Context(), key)
		if got, ok := k.Value(was); err != nil || !ok || got.Type != old.Type || !bytes.Equal(got.Data, old.Data) {
			t.Errorf("%s: reads as type %d %x, %v; want type %d %x", was, got.Type, got.Data, err, old.Type, old.Data)
		}
		upper := host.Set(key, strings.ToUpper(was), old)
		if now := s.inverse(t, upper); !host.Same(now, []host.Change{upper}) {
			t.Errorf("%s: in other letters it is another value: %s", was, brief(now...))
		}
		s.apply(t, host.Change{Kind: host.ValueDel, Path: key, Name: was})
	}
	s.thereAndBack(t, host.Set(key, "", kinds["text"])) // the default value
	s.thereAndBack(t, host.Set(key+`\one\two`, "deep", kinds["number"]))
	for _, gone := range []host.Change{{Kind: host.ValueDel, Path: key, Name: "nobody made this"}, {Kind: host.ValueDel, Path: key + `\none`, Name: "x"}} {
		if now := s.inverse(t, gone); !host.Same(now, []host.Change{gone}) {
			t.Errorf("%s holds, and its inverse is %s", brief(gone), brief(now...))
		}
		s.apply(t, gone)
	}
	s.apply(t, back...)
	if _, err := s.h.Key(t.Context(), key); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("key %s is left: %v", key, err)
	}
}

func (s *changes) keys(t *testing.T) {
	if s.may.Key == "" {
		t.Skip("no key to change")
	}
	key := s.may.Key + `\updoc-hosttest`
	top := s.inverse(t, host.Change{Kind: host.KeyMake, Path: key})
	s.thereAndBack(t, host.Change{Kind: host.KeyMake, Path: key + `\a\b\c`})
	if _, err := s.h.Key(t.Context(), key); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("keys that were made on the way are left: %v", err)
	}
	s.apply(t, host.Set(key+`\full`, "v", kinds["number"]), host.Change{Kind: host.KeyMake, Path: key + `\parent\child`}, host.Change{Kind: host.KeyMake, Path: key + `\empty`})
	s.thereAndBack(t, host.Change{Kind: host.KeyDrop, Path: key + `\empty`})
	for _, full := range []string{`\full`, `\parent`} {
		if err := s.h.Apply(t.Context(), host.Change{Kind: host.KeyDrop, Path: key + full}); err == nil {
			t.Errorf("a key that holds something was dropped: %s", full)
		}
		if _, err := s.h.Key(t.Context(), key+full); err != nil {
			t.Errorf("a key that could not be dropped: %v", err)
		}
	}
	s.apply(t, host.Change{Kind: host.ValueDel, Path: key + `\full`, Name: "v"})
	for _, p := range []string{`\full`, `\parent\child`, `\parent`, `\empty`} {
		s.apply(t, host.Change{Kind: host.KeyDrop, Path: key + p})
	}
	s.apply(t, top...)
}

func (s *changes) services(t *testing.T) {
	start := func(n uint32, delayed bool) host.Change {
		return host.Change{Kind: host.ServiceStart, Path: s.may.Service, Start: &host.Start{Type: n, Delayed: delayed}}
	}
	if s.may.Service != "" {
		all := []host.Change{start(winlog.ServiceDemandStart, false), start(winlog.ServiceDisabled, false), start(winlog.ServiceAutoStart, true), start(winlog.ServiceAutoStart, false)}
		back := s.inverse(t, all[0])
		for _, was := range all {
			s.apply(t, was)
			for _, now := range all {
				if !host.Same([]host.Change{was}, []host.Change{now}) {
					s.thereAndBack(t, now)
				}
			}
			if got, err := s.h.Service(t.Context(), s.may.Service); err != nil || got.Start != int(was.Start.Type) {
				t.Errorf("%s starts with %d, %v; want %d", s.may.Service, got.Start, err, was.Start.Type)
			}
		}
		s.apply(t, back...)
	}
	if s.may.Running != "" {
		run, stop := host.Change{Kind: host.ServiceRun, Path: s.may.Running}, host.Change{Kind: host.ServiceStop, Path: s.may.Running}
		back := s.inverse(t, run)
		s.apply(t, stop)
		s.thereAndBack(t, run)
		s.apply(t, run)
		s.thereAndBack(t, stop)
		s.apply(t, back...)
	}
	if s.may.NoService != "" {
		for _, c := range []host.Change{
			{Kind: host.ServiceStart, Path: s.may.NoService, Start: &host.Start{Type: 3}},
			{Kind: host.ServiceRun, Path: s.may.NoService},
			{Kind: host.ServiceStop, Path: s.may.NoService},
			{Kind: host.ServiceSecurity, Path: s.may.NoService, SDDL: "D:(A;;GA;;;SY)"},
		} {
			s.nothingThere(t, c)
		}
		for _, kind := range []host.ChangeKind{host.ServiceTriggers, host.ServiceNeeds} {
			c := host.Change{Kind: kind, Path: s.may.NoService} // none of updating's: refused before anybody looks
			if err := s.h.Apply(t.Context(), c); !errors.Is(err, host.ErrRefused) {
				t.Errorf("apply %s: %v, want %v", brief(c), err, host.ErrRefused)
			}
		}
	}
	if len(s.may.Rights) == 2 && s.may.Service != "" {
		a := host.Change{Kind: host.ServiceSecurity, Path: s.may.Service, SDDL: s.may.Rights[0]}
		b := host.Change{Kind: host.ServiceSecurity, Path: s.may.Service, SDDL: s.may.Rights[1]}
		back := s.inverse(t, a)
		s.apply(t, a)
		s.thereAndBack(t, b)
		s.apply(t, back...)
	}
}

// policyChanged starts a service when the policies of the machine change.
var policyChanged = host.Trigger{Type: 5, Action: host.TriggerStarts, Subtype: "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0"}

// endpointCalled starts it when somebody calls one of two endpoints, and domainLeft stops it.
var (
	endpointCalled = host.Trigger{Type: 6, Action: host.TriggerStarts, Subtype: "bc90d167-9470-4139-a9ba-be0bbbf5b74d", Data: []host.TriggerData{
		{Type: 2, Data: wide("12345678-1234-ABCD-EF00-0123456789AB")}, {Type: 1, Data: []byte{0, 1, 0xFF, 0}},
	}}
	domainLeft = host.Trigger{Type: 3, Action: host.TriggerStops, Subtype: "ddaf516e-58c2-4866-9574-c3b615d42ea1"}
)

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// fromEach makes each of these changes after each other and takes it back. It returns
// what takes all of them back.
func (s *changes) fromEach(t *testing.T, all []host.Change) (back []host.Change) {
	t.Helper()
	back = s.inverse(t, all[0])
	for i, was := range all {
		s.apply(t, was)
		for n, now := range all {
			if i != n {
				s.thereAndBack(t, now)
			}
		}
	}
	return back
}

func (s *changes) triggers(t *testing.T) {
	if s.may.Events == "" {
		t.Skip("no triggers are changed here")
	}
	with := func(list ...host.Trigger) host.Change {
		return host.Change{Kind: host.ServiceTriggers, Path: s.may.Events, Triggers: list}
	}
	all := []host.Change{with(), with(policyChanged), with(endpointCalled, domainLeft), with(domainLeft, policyChanged, endpointCalled)}
	back := s.fromEach(t, all)
	s.apply(t, all[2])
	key := `HKLM\SYSTEM\CurrentControlSet\Services\` + s.may.Events + `\TriggerInfo`
	k, err := s.h.Key(t.Context(), key+`\0`)
	v, _ := k.Value("Data0")
	if err != nil || !bytes.Equal(v.Data, wide("12345678-1234-ABCD-EF00-0123456789AB")) {
		t.Errorf("its data stands as %x, %v", v.Data, err)
	}
	s.apply(t, all[0])
	if k, err := s.h.Key(t.Context(), key); err == nil && len(k.Subkeys) > 0 || err != nil && !errors.Is(err, host.ErrNotExist) {
		t.Errorf("triggers are left: %v, %v", k.Subkeys, err)
	}
	s.apply(t, back...)
	for _, bad := range []host.Trigger{{}, {Type: 5, Action: 3, Subtype: policyChanged.Subtype}, {Type: 5, Action: 1, Subtype: "no"}, {Type: 5, Action: 1, Subtype: policyChanged.Subtype, Data: []host.TriggerData{{Type: 1, Data: make([]byte, 1025)}}}} {
		if err := s.h.Apply(t.Context(), with(bad)); !errors.Is(err, host.ErrRefused) {
			t.Errorf("%+v: %v, want %v", bad, err, host.ErrRefused)
		}
	}
}

func (s *changes) needs(t *testing.T) {
	if s.may.Needs == "" {
		t.Skip("no needs are changed here")
	}
	with := func(list ...string) host.Change {
		return host.Change{Kind: host.ServiceNeeds, Path: s.may.Needs, Needs: list}
	}
	all := []host.Change{with(), with("RpcSs"), with("EventLog", "RpcSs"), with("RpcSs", "+TDI")}
	back := s.fromEach(t, all)
	s.apply(t, back...)
	for _, bad := range []string{"", "+", `a\b`, "a/b", "a\x00b"} {
		if err := s.h.Apply(t.Context(), with(bad)); !errors.Is(err, host.ErrRefused) {
			t.Errorf("%q: %v, want %v", bad, err, host.ErrRefused)
		}
	}
}

// madeService is Windows' own way of listening to network events, as it is shipped.
func madeService() host.Change {
	text := func(s string) winlog.RegValue {
		var b []byte
		for _, u := range utf16.Encode([]rune(s + "\x00")) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return winlog.RegValue{Name: "ServiceDll", Type: winlog.RegExpandSZ, Data: b}
	}
	return host.Change{Kind: host.ServiceMake, Path: "SENS", Start: &host.Start{Type: winlog.ServiceDemandStart}, Service: &host.Registered{
		Type: 0x20, Error: 1, Binary: `%SystemRoot%\system32\svchost.exe -k netsvcs -p`, Account: "LocalSystem", Display: "System Event Notification Service",
		Keys: []host.ServiceTree{
			{Values: []winlog.RegValue{{Name: "ServiceSidType", Type: winlog.RegDWord, Data: []byte{1, 0, 0, 0}}}},
			{Path: "Parameters", Values: []winlog.RegValue{text(`%SystemRoot%\System32\sens.dll`)}},
			{Path: `TriggerInfo\0`, Values: []winlog.RegValue{{Name: "Type", Type: winlog.RegDWord, Data: []byte{5, 0, 0, 0}}}},
		},
	}}
}

func (s *changes) madeServices(t *testing.T) {
	if !s.may.Make {
		t.Skip("no service is made here")
	}
	c := madeService()
	if _, err := s.h.Service(t.Context(), c.Path); !errors.Is(err, host.ErrNotExist) {
		t.Skipf("%s is there already: %v", c.Path, err)
	}
	const key = `HKLM\SYSTEM\CurrentControlSet\Services\SENS`
	s.thereAndBack(t, c)
	if _, err := s.h.Key(t.Context(), key); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("its key is left: %v", err)
	}
	s.apply(t, c)
	got, err := s.h.Service(t.Context(), c.Path)
	if err != nil || got.Start != winlog.ServiceDemandStart || !strings.EqualFold(got.Binary, c.Service.Binary) {
		t.Errorf("made as %+v, %v", got, err)
	}
	for sub, name := range map[string]string{"": "ServiceSidType", `\Parameters`: "ServiceDll", `\TriggerInfo\0`: "Type"} {
		k, err := s.h.Key(t.Context(), key+sub)
		if _, ok := k.Value(name); err != nil || !ok {
			t.Errorf("%s%s has no %s, %v", key, sub, name, err)
		}
	}
	other := c
	r := *c.Service
	r.Binary = `%SystemRoot%\system32\wuauclt.exe`
	other.Service = &r
	if _, err := s.h.Inverse(t.Context(), other); !errors.Is(err, host.ErrInTheWay) {
		t.Errorf("another program under its name: %v", err)
	}
	if back := s.inverse(t, host.Change{Kind: host.ServiceDrop, Path: c.Path}); len(back) > 0 {
		t.Errorf("one that is taken away comes back by %s", brief(back...))
	}
	s.apply(t, host.Change{Kind: host.ServiceDrop, Path: c.Path})
}

// nothingThere holds that a change has nothing to act on.
func (s *changes) nothingThere(t *testing.T, c host.Change) {
	t.Helper()
	if _, err := s.h.Inverse(t.Context(), c); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("inverse of %s: %v, want %v", brief(c), err, host.ErrNotExist)
	}
	if err := s.h.Apply(t.Context(), c); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("apply %s: %v, want %v", brief(c), err, host.ErrNotExist)
	}
}

// old is a time at which no test writes a file.
var old = time.Date(2024, time.February, 29, 12, 34, 56, 789_012_300, time.UTC)

func write(p, text string) host.Change {
	return host.Change{Kind: host.Write, Path: p, Data: []byte(text), Modified: old}
}

func drop(p string) host.Change { return host.Change{Kind: host.FileDrop, Path: p} }

// bed makes a folder to work in, and takes it away in the end.
func (s *changes) bed(t *testing.T) string {
	t.Helper()
	if s.may.Folder == "" {
		t.Skip("no folder to change")
	}
	p := s.may.Folder + `\updoc-hosttest-` + strings.ToLower(strings.ReplaceAll(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], " ", "-"))
	s.apply(t, host.Change{Kind: host.FolderMake, Path: p})
	t.Cleanup(func() {
		if err := s.h.Apply(context.WithoutCancel(t.Context()), host.Change{Kind: host.FolderDrop, Path: p}); err != nil {
			t.Errorf("something is left in %s: %v", p, err)
		}
	})
	return p
}

// file returns what a file holds and when it was written, false if there is none: the
// inverse of dropping it is all of it.
func (s *changes) file(t *testing.T, p string) (string, time.Time, bool) {
	t.Helper()
	inv := s.inverse(t, drop(p))
	if len(inv) != 1 || inv[0].Kind != host.Write {
		return "", time.Time{}, false
	}
	return string(inv[0].Data), inv[0].Modified, true
}

func (s *changes) holds(t *testing.T, p, want string) {
	t.Helper()
	got, at, ok := s.file(t, p)
	if !ok || got != want || !sameTime(at, old) {
		t.Errorf("%s: there %v, holds %.60q, written %v; want %.60q, written %v", p, ok, got, at, want, old)
	}
}

func (s *changes) files(t *testing.T) {
	p := s.bed(t) + `\Höhle.txt`
	s.thereAndBack(t, write(p, "made, and taken away again"))
	contents := []string{"", "one\r\ntwo\r\n", "\x00\xff\xfe binary", strings.Repeat("large ", 200_000)}
	for _, was := range contents {
		s.apply(t, write(p, was))
		s.holds(t, p, was)
		for _, now := range contents {
			if now != was {
				s.thereAndBack(t, host.Change{Kind: host.Write, Path: p, Data: []byte(now)})
				s.holds(t, p, was)
			}
		}
		s.thereAndBack(t, drop(p))
		s.holds(t, p, was)
	}
	s.apply(t, drop(p))
	if now := s.inverse(t, drop(p)); !host.Same(now, []host.Change{drop(p)}) {
		t.Errorf("a file that is not there: %s", brief(now...))
	}
}

func (s *changes) folders(t *testing.T) {
	p := s.bed(t)
	s.thereAndBack(t, host.Change{Kind: host.FolderMake, Path: p + `\a\b\c`})
	if now := s.inverse(t, host.Change{Kind: host.FolderDrop, Path: p + `\a`}); !host.Same(now, []host.Change{{Kind: host.FolderDrop, Path: p + `\a`}}) {
		t.Errorf("folders that were made on the way are left: %s", brief(now...))
	}
	s.apply(t, host.Change{Kind: host.FolderMake, Path: p + `\full`}, write(p+`\full\file`, "x"))
	if err := s.h.Apply(t.Context(), host.Change{Kind: host.FolderDrop, Path: p + `\full`}); err == nil {
		t.Error("a folder that holds a file was dropped")
	}
	s.holds(t, p+`\full\file`, "x")
	for _, c := range []host.Change{write(p+`\full`, "a file in the place of a folder"), {Kind: host.FolderMake, Path: p + `\full\file`}} {
		if err := s.h.Apply(t.Context(), c); !errors.Is(err, host.ErrInTheWay) {
			t.Errorf("apply %s: %v, want %v", brief(c), err, host.ErrInTheWay)
		}
	}
	s.holds(t, p+`\full\file`, "x")
	s.apply(t, drop(p+`\full\file`))
	s.thereAndBack(t, host.Change{Kind: host.FolderDrop, Path: p + `\full`})
	s.apply(t, host.Change{Kind: host.FolderDrop, Path: p + `\full`})
}

func (s *changes) moves(t *testing.T) {
	p := s.bed(t)
	s.apply(t, write(p+`\file`, "a file"), host.Change{Kind: host.FolderMake, Path: p + `\folder`}, host.Change{Kind: host.FolderMake, Path: p + `\folder\below`}, write(p+`\folder\below\file`, "another"))
	for _, name := range []string{`\file`, `\folder`} {
		c := host.Change{Kind: host.Move, Path: p + name, To: p + name + ".updoc-1"}
		if before := s.inverse(t, c); !host.Same(before, []host.Change{{Kind: host.Restore, Path: c.To, To: c.Path}}) {
			t.Errorf("the inverse of %s is %s", brief(c), brief(before...))
		}
		s.thereAndBack(t, c)
	}
	s.holds(t, p+`\file`, "a file")
	s.holds(t, p+`\folder\below\file`, "another")
	s.nothingThere(t, host.Change{Kind: host.Move, Path: p + `\none`, To: p + `\none.updoc-1`})
	// What was moved already stays moved, also if something new stands in its place.
	c := host.Change{Kind: host.Move, Path: p + `\file`, To: p + `\aside`}
	s.apply(t, c, write(p+`\file`, "a new one"), c)
	s.holds(t, p+`\file`, "a new one")
	s.holds(t, p+`\aside`, "a file")
	for _, name := range []string{`\file`, `\aside`, `\folder\below\file`} {
		s.apply(t, drop(p+name))
	}
	s.apply(t, host.Change{Kind: host.FolderDrop, Path: p + `\folder\below`}, host.Change{Kind: host.FolderDrop, Path: p + `\folder`})
}

// restores holds that what was moved aside comes back as it was, and that what came
// to stand in its place meanwhile is merged and never lost.
func (s *changes) restores(t *testing.T) {
	p := s.bed(t)
	store, aside := p+`\Store`, p+`\Store.updoc-1`
	since := aside + host.Since
	s.apply(t, host.Change{Kind: host.FolderMake, Path: store}, host.Change{Kind: host.FolderMake, Path: store + `\sub`}, write(store+`\a`, "old a"), write(store+`\sub\b`, "old b"))
	move := host.Change{Kind: host.Move, Path: store, To: aside}
	back := s.inverse(t, move)
	s.apply(t, move)
	s.apply(t,
		host.Change{Kind: host.FolderMake, Path: store}, host.Change{Kind: host.FolderMake, Path: store + `\sub`}, host.Change{Kind: host.FolderMake, Path: store + `\new`},
		write(store+`\A`, "new a"), write(store+`\sub\c`, "new c"), write(store+`\new\d`, "new d"))
	for range 2 {
		s.apply(t, back...)
		s.holds(t, store+`\a`, "old a")
		s.holds(t, store+`\sub\b`, "old b")
		s.holds(t, store+`\sub\c`, "new c")
		s.holds(t, store+`\new\d`, "new d")
		s.holds(t, since+`\a`, "new a") // both had one: kept beside
		if _, _, ok := s.file(t, aside+`\a`); ok {
			t.Error("what came back is still aside")
		}
	}
	if now := s.inverse(t, back[0]); !host.Same(now, back) {
		t.Errorf("what is restored is so, and its inverse is %s", brief(now...))
	}
	for _, name := range []string{store + `\a`, store + `\sub\b`, store + `\sub\c`, store + `\new\d`, since + `\a`} {
		s.apply(t, drop(name))
	}
	for _, name := range []string{store + `\sub`, store + `\new`, store, since} {
		s.apply(t, host.Change{Kind: host.FolderDrop, Path: name})
	}
}

func (s *changes) security(t *testing.T) {
	if len(s.may.SDDL) != 2 {
		t.Skip("no descriptors")
	}
	p := s.bed(t) + `\file`
	s.apply(t, write(p, "x"))
	a, b := host.Change{Kind: host.Security, Path: p, SDDL: s.may.SDDL[0]}, host.Change{Kind: host.Security, Path: p, SDDL: s.may.SDDL[1]}
	back := s.inverse(t, a)
	s.apply(t, a)
	s.thereAndBack(t, b)
	s.apply(t, back...)
	s.apply(t, drop(p))
	s.nothingThere(t, a)
}

func (s *changes) switches(t *testing.T) {
	if s.may.Switch == "" {
		t.Skip("no setting")
	}
	a, b := host.Change{Kind: host.Switch, Path: s.may.Switch, State: s.may.States[0]}, host.Change{Kind: host.Switch, Path: s.may.Switch, State: s.may.States[1]}
	back := s.inverse(t, a)
	s.apply(t, a)
	s.thereAndBack(t, b)
	s.apply(t, back...)
}

func (s *changes) tools(t *testing.T) {
	c := host.Change{Kind: host.Run, Path: "ipconfig", Args: []string{"/flushdns"}}
	if inv := s.inverse(t, c); len(inv) != 0 {
		t.Errorf("a tool has the inverse %s", brief(inv...))
	}
	if ok, err := host.Holds(t.Context(), s.h, c); ok || err != nil {
		t.Errorf("a tool holds: %v, %v", ok, err)
	}
}

func (s *changes) refused(t *testing.T) {
	for _, c := range []host.Change{
		{},
		{Kind: "format", Path: `C:\x`},
		{Kind: host.Write, Path: `C:\Windows\WinSxS\pending.xml`, Data: []byte("x")},
		{Kind: host.Write, Path: `C:\Windows\Temp\..\System32\x`},
		{Kind: host.Write, Path: `\\server\share\x`},
		{Kind: host.Write, Path: `C:\Windows\Temp\x:stream`},
		{Kind: host.Move, Path: `C:\Windows\Temp\x`, To: `D:\x`},
		{Kind: host.Move, Path: `C:\Windows`, To: `C:\Windows.old`},
		{Kind: host.FileDrop, Path: `x`},
		{Kind: host.KeyDrop, Path: `HKLM`},
		{Kind: host.ValueSet, Path: `HKLM\SOFTWARE\x`, Name: "no value"},
		{Kind: host.KeyDrop, Path: `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`},
		{Kind: host.ServiceStop, Path: "TrustedInstaller"},
		{Kind: host.ServiceStart, Path: `..\x`, Start: &host.Start{Type: 4}},
		{Kind: host.Run, Path: "cmd", Args: []string{"/c", "echo"}},
		{Kind: host.Run, Path: `C:\Windows\System32\dism`},
		{Kind: host.Switch, Path: "nothing", State: "on"},
	} {
		if _, err := s.h.Inverse(t.Context(), c); !errors.Is(err, host.ErrRefused) {
			t.Errorf("inverse of %s: %v, want %v", brief(c), err, host.ErrRefused)
		}
		if err := s.h.Apply(t.Context(), c); !errors.Is(err, host.ErrRefused) {
			t.Errorf("apply %s: %v, want %v", brief(c), err, host.ErrRefused)
		}
	}
}

func (s *changes) denied(t *testing.T) {
	for _, c := range s.may.Denied {
		if err := s.h.Apply(t.Context(), c); !errors.Is(err, host.ErrDenied) || errors.Is(err, host.ErrNotExist) {
			t.Errorf("apply %s: %v, want %v", brief(c), err, host.ErrDenied)
		}
	}
}

// cancelled holds that a question whose asker left is not answered with "there is
// nothing".
func (s *changes) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list := []host.Change{{Kind: host.ServiceRun, Path: s.may.Running}, {Kind: host.KeyMake, Path: s.may.Key}, {Kind: host.Switch, Path: s.may.Switch, State: s.may.States[0]}}
	for _, c := range slices.DeleteFunc(list, func(c host.Change) bool { return c.Path == "" }) {
		if _, err := s.h.Inverse(ctx, c); errors.Is(err, host.ErrNotExist) {
			t.Errorf("inverse of %s: %v, says a host that was not given the time to look", brief(c), err)
		}
	}
}
