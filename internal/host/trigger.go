package host

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"updoc/internal/winlog"
)

// Trigger is an event that starts or stops a service.
// learn.microsoft.com: SERVICE_TRIGGER.
type Trigger struct {
	Type    uint32        `json:"type"`    // 5 a policy that changed, 6 a call to an endpoint, 20 an event of a provider, ...
	Action  uint32        `json:"action"`  // TriggerStarts, TriggerStops
	Subtype string        `json:"subtype"` // what event of that type: 659fcae6-5bdb-4da9-b1ff-ca2a178d46e0
	Data    []TriggerData `json:"data,omitempty"`
}

// What a trigger does.
const (
	TriggerStarts = 1
	TriggerStops  = 2
)

// TriggerData narrows a trigger down.
// learn.microsoft.com: SERVICE_TRIGGER_SPECIFIC_DATA_ITEM.
type TriggerData struct {
	Type uint32 `json:"type"` // 1 bytes, 2 text, 3 a level, 4 and 5 keywords
	Data []byte `json:"data"`
}

// Bounds of the service control manager, [MS-SCMR] 2.2.51 to 2.2.54.
const (
	maxTriggers    = 64 // of a service, and data items of a trigger
	maxTriggerData = 1024
	maxNeeds       = 64 // services that one needs; ours
)

// SameTriggers reports whether two lists of triggers are the same, to the byte.
func SameTriggers(a, b []Trigger) bool {
	return slices.EqualFunc(a, b, func(x, y Trigger) bool {
		return x.Type == y.Type && x.Action == y.Action && equalFold(x.Subtype, y.Subtype) &&
			slices.EqualFunc(x.Data, y.Data, func(v, w TriggerData) bool { return v.Type == w.Type && slices.Equal(v.Data, w.Data) })
	})
}

// SameNeeds reports whether two lists name the same services in the same order.
func SameNeeds(a, b []string) bool { return slices.EqualFunc(a, b, equalFold) }

func (t Trigger) check() error {
	if t.Type == 0 || t.Action != TriggerStarts && t.Action != TriggerStops {
		return fmt.Errorf("a trigger of type %d with the action %d", t.Type, t.Action)
	}
	if _, err := GUIDBytes(t.Subtype); err != nil {
		return err
	}
	if len(t.Data) > maxTriggers {
		return errors.New("a trigger with more data than one has")
	}
	for _, d := range t.Data {
		if d.Type == 0 || len(d.Data) > maxTriggerData {
			return fmt.Errorf("a trigger with %d bytes of data of type %d", len(d.Data), d.Type)
		}
	}
	return nil
}

// checkNeeds refuses names that are none: the service control manager takes 256 letters
// without slashes. learn.microsoft.com: "CreateServiceW".
func checkNeeds(list []string) error {
	if len(list) > maxNeeds {
		return errors.New("needs more services than one does")
	}
	for _, n := range list {
		if name := strings.TrimPrefix(n, "+"); name == "" || len(name) > 256 || strings.ContainsAny(name, "/\\\x00+") {
			return fmt.Errorf("%q is no name of a service", n)
		}
	}
	return nil
}

// GUIDBytes is a GUID as Windows keeps it: the first three parts with their low byte first.
func GUIDBytes(s string) ([16]byte, error) {
	var out [16]byte
	plain := strings.Trim(s, "{}")
	b, err := hex.DecodeString(strings.ReplaceAll(plain, "-", ""))
	if err != nil || len(b) != 16 || len(plain) != 36 {
		return out, fmt.Errorf("%q is no GUID", s)
	}
	copy(out[:], b)
	slices.Reverse(out[0:4])
	slices.Reverse(out[4:6])
	slices.Reverse(out[6:8])
	return out, nil
}

// GUIDText is the GUID that bytes of Windows say.
func GUIDText(b [16]byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b[0:]), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])
}

// The service control manager keeps in the registry what it knows of a service, and
// reads it when Windows starts: so a machine that does not run, one that is simulated and one on
// which a plan is rehearsed have the triggers and needs of a service there. What is
// below has no page of Microsoft's; registry exports of Windows 7 to 11 show it so.

// TriggerKey lies below the key of a service; in it are keys 0, 1, ... of one trigger each.
const TriggerKey = "TriggerInfo"

// ReadTriggers reads the triggers of the service that has the key service. An entry
// that lacks a part is none, as the service control manager has it; what says
// more than a trigger does is [ErrInTheWay], since nobody could put it back.
func ReadTriggers(service string, key func(path string) (Key, error)) ([]Trigger, error) {
	entries, err := triggerEntries(service, key)
	var out []Trigger
	for _, k := range entries {
		t, whole, err := triggerOf(k)
		if err != nil {
			return nil, err
		}
		if whole {
			out = append(out, t)
		}
	}
	return out, err
}

// triggerEntries returns the keys of single triggers, by their numbers: 10 comes after 9.
func triggerEntries(service string, key func(path string) (Key, error)) ([]Key, error) {
	top := service + `\` + TriggerKey
	k, err := key(top)
	switch {
	case errors.Is(err, ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case k.Partial:
		return nil, fmt.Errorf("%s: %w", top, ErrNotRecorded)
	case len(k.Subkeys) > maxTriggers:
		return nil, fmt.Errorf("%s: %w: more triggers than a service has", top, ErrInTheWay)
	}
	names := slices.Clone(k.Subkeys)
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	var out []Key
	for _, name := range names {
		k, err := key(top + `\` + name)
		if err != nil {
			return nil, err
		}
		k.Path = top + `\` + name
		out = append(out, k)
	}
	return out, nil
}

// triggerOf is the trigger of a key. whole is false where a part of it is missing.
func triggerOf(k Key) (t Trigger, whole bool, err error) {
	used := 0 // values that a trigger has
	number := func(name string) uint32 {
		v, ok := k.Value(name)
		n, isNumber := v.DWord()
		if ok && isNumber {
			used++
		}
		return n
	}
	t.Type, t.Action = number("Type"), number("Action")
	whole = used == 2
	if id, ok := k.Value("GUID"); ok && len(id.Data) == 16 {
		used++
		t.Subtype = GUIDText([16]byte(id.Data))
	} else {
		whole = false
	}
	for i := range maxTriggers {
		v, ok := k.Value(fmt.Sprint("Data", i))
		if !ok {
			break
		}
		used++
		t.Data = append(t.Data, TriggerData{Type: number(fmt.Sprint("DataType", i)), Data: slices.Clone(v.Data)})
	}
	switch {
	case k.Partial:
		return t, false, fmt.Errorf("%s: %w", k.Path, ErrNotRecorded)
	case used != len(k.Values) || len(k.Subkeys) > 0, whole && t.check() != nil:
		return t, false, fmt.Errorf("%s: %w: something that is no trigger", k.Path, ErrInTheWay)
	}
	return t, whole, nil
}

// values are those of the key of a trigger.
func (t Trigger) values() []winlog.RegValue {
	number := func(name string, n uint32) winlog.RegValue {
		return winlog.RegValue{Name: name, Type: winlog.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}
	}
	id, _ := GUIDBytes(t.Subtype) // was checked
	out := []winlog.RegValue{number("Type", t.Type), number("Action", t.Action), {Name: "GUID", Type: winlog.RegBinary, Data: id[:]}}
	for i, d := range t.Data {
		out = append(out, winlog.RegValue{Name: fmt.Sprint("Data", i), Type: winlog.RegBinary, Data: d.Data}, number(fmt.Sprint("DataType", i), d.Type))
	}
	return out
}

// inverseRegistration says what restores the triggers or needs of the service that has
// the key service.
func inverseRegistration(service string, c Change, key func(path string) (Key, error)) ([]Change, error) {
	now, err := Registration(service, c, key)
	if err != nil {
		return nil, err
	}
	return []Change{now}, nil
}

// Registration is a change of triggers or needs as it holds now, by what the registry
// has of the service that has the key service.
func Registration(service string, c Change, key func(path string) (Key, error)) (Change, error) {
	now := Change{Kind: c.Kind, Path: c.Path}
	var err error
	if c.Kind == ServiceTriggers {
		now.Triggers, err = ReadTriggers(service, key)
	} else {
		now.Needs, err = ReadNeeds(service, key)
	}
	return now, err
}

// RegisteredChanges are the changes of the registry that a change of triggers or
// needs is.
func RegisteredChanges(service string, c Change, key func(path string) (Key, error)) ([]Change, error) {
	if c.Kind == ServiceNeeds {
		return NeedsChanges(service, c.Needs), nil
	}
	return triggerChanges(service, c.Triggers, key)
}

// triggerChanges are the changes of the registry by which a service has other
// triggers, as the service control manager makes them; of a change that was cut off,
// those that are left.
func triggerChanges(service string, want []Trigger, key func(path string) (Key, error)) ([]Change, error) {
	entries, err := triggerEntries(service, key)
	if err != nil {
		return nil, err
	}
	var out []Change
	top := service + `\` + TriggerKey
	wanted := map[string][]winlog.RegValue{}
	for i, t := range want {
		p := fmt.Sprintf(`%s\%d`, top, i)
		wanted[strings.ToLower(p)] = t.values()
		old := entryAt(entries, p)
		for _, v := range t.values() {
			if is, ok := old.Value(v.Name); !ok || is.Type != v.Type || !slices.Equal(is.Data, v.Data) {
				out = append(out, Set(p, v.Name, v))
			}
		}
	}
	for _, k := range entries {
		stays, kept := wanted[strings.ToLower(k.Path)]
		for _, v := range k.Values {
			if !slices.ContainsFunc(stays, func(w winlog.RegValue) bool { return equalFold(v.Name, w.Name) }) {
				out = append(out, Change{Kind: ValueDel, Path: k.Path, Name: v.Name})
			}
		}
		if !kept {
			out = append(out, Change{Kind: KeyDrop, Path: k.Path})
		}
	}
	if len(want) == 0 {
		if _, err := key(top); err == nil {
			out = append(out, Change{Kind: KeyDrop, Path: top})
		}
	}
	return out, nil
}

func entryAt(entries []Key, p string) Key {
	i := slices.IndexFunc(entries, func(k Key) bool { return equalFold(k.Path, p) })
	if i < 0 {
		return Key{}
	}
	return entries[i]
}

// ReadNeeds reads what a service needs: services, and groups with a + before them.
func ReadNeeds(service string, key func(path string) (Key, error)) ([]string, error) {
	k, err := key(service)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, x := range needsPlaces {
		v, ok := k.Value(x.name)
		if !ok && k.Partial {
			return nil, fmt.Errorf("%s: %w", service, ErrNotRecorded)
		}
		list, _ := v.Strings()
		for _, n := range list {
			out = append(out, x.mark+n)
		}
	}
	return out, nil
}

// needsPlaces are the values that say what a service needs, and the mark that the
// names of each have in a list of both.
var needsPlaces = [...]struct{ name, mark string }{{"DependOnService", ""}, {"DependOnGroup", "+"}}

// NeedsChanges are the changes of the registry by which a service needs others: of the
// services that it needs, and of the groups.
func NeedsChanges(service string, want []string) []Change {
	var out []Change
	for _, x := range needsPlaces {
		var list []string
		for _, n := range want {
			if strings.HasPrefix(n, "+") == (x.mark == "+") {
				list = append(list, strings.TrimPrefix(n, x.mark))
			}
		}
		if len(list) == 0 {
			out = append(out, Change{Kind: ValueDel, Path: service, Name: x.name})
			continue
		}
		out = append(out, Set(service, x.name, multiText(list)))
	}
	return out
}

// multiText is a list as the registry keeps it.
func multiText(list []string) winlog.RegValue {
	var b []byte
	for _, u := range utf16.Encode([]rune(strings.Join(list, "\x00") + "\x00\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return winlog.RegValue{Type: winlog.RegMultiSZ, Data: b}
}
