package facts

import (
	"context"
	_ "embed"
	"errors"
	"iter"
	"slices"
	"strings"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

//go:embed keys.txt
var keyList string

// registryReader holds the keys that were asked for, by lower-case path, so that
// facts stay a value: every lookup a cause makes is a lookup in memory.
type registryReader map[string]registryKey

type registryKey struct {
	state  State // Present: was read; Absent: there is no such key
	asked  bool
	denied bool
	host.Key
}

// Keys returns the registry keys that Collect asks for. One that ends in a star
// stands for a key and its direct subkeys, one that ends in two for those below
// them too.
func Keys() []string {
	var out []string
	for line := range strings.Lines(keyList) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

const star = `\*`

// maxBelow bounds the subkeys that are read for stars, all together: a live machine
// gives some ten thousand a second.
const maxBelow = 4000

// readRegistry asks the host for every key of the list, and for the services.
func (f *Facts) readRegistry(ctx context.Context, h host.Reader) {
	left := maxBelow
	for _, line := range Keys() {
		p, depth := line, 0
		for strings.HasSuffix(p, star) {
			p, depth = strings.TrimSuffix(p, star), depth+1
		}
		f.registry.read(ctx, h, p, depth, &left)
		if f.registry[strings.ToLower(p)].denied {
			f.Gaps = append(f.Gaps, Gap{Source: p, Why: "gap.denied"})
		}
	}
	if left == 0 {
		f.Gaps = append(f.Gaps, Gap{Source: "registry", Why: "more subkeys than are read"})
	}
	for _, name := range serviceNames {
		s, err := h.Service(ctx, name)
		switch {
		case err == nil:
			f.services[name] = Fact[host.Service]{State: Present, Value: s, Source: s.Source}
		case errors.Is(err, host.ErrNotExist):
			f.services[name] = Fact[host.Service]{State: Absent, Source: s.Source}
		}
	}
	f.readNeeds(ctx, h)
}

// maxNeeds bounds the services that are asked for because others need them.
const maxNeeds = 100

// readNeeds asks for what services of updating need and nobody asked for yet: what a
// program put there may be gone or disabled.
func (f *Facts) readNeeds(ctx context.Context, h host.Reader) {
	left := maxNeeds
	for _, name := range serviceNames {
		for _, n := range f.Needs(name).Value {
			low := strings.ToLower(n)
			if _, asked := f.services[low]; asked || strings.HasPrefix(n, "+") || slices.Contains(serviceNames, low) || left == 0 {
				continue
			}
			left--
			switch s, err := h.Service(ctx, n); {
			case err == nil:
				f.services[low] = Fact[host.Service]{State: Present, Value: s, Source: s.Source}
			case errors.Is(err, host.ErrNotExist):
				f.services[low] = Fact[host.Service]{State: Absent, Source: s.Source}
			}
		}
	}
}

// read asks the host for a key, and for what is below it down to a depth, as far as
// the number of keys that are left to read goes. What is known already is kept.
func (r registryReader) read(ctx context.Context, h host.Reader, p string, depth int, left *int) {
	low := strings.ToLower(p)
	k := r[low]
	if !k.asked {
		got, err := h.Key(ctx, p)
		switch k = (registryKey{asked: true, Key: got}); {
		case err == nil:
			k.state = Present
		case errors.Is(err, host.ErrNotExist):
			k.state = Absent
		default:
			k.denied = errors.Is(err, host.ErrDenied)
		}
		r[low] = k
	}
	if depth == 0 || k.state != Present {
		return
	}
	for _, name := range k.Subkeys {
		if *left == 0 || ctx.Err() != nil {
			return
		}
		*left--
		r.read(ctx, h, p+`\`+name, depth-1, left)
	}
}

// serviceNames are the services that updating needs; services.tsv of the
// documentation says what each does. Lower case.
var serviceNames = []string{
	"wuauserv", "bits", "cryptsvc", "trustedinstaller", "msiserver", "dosvc", "usosvc", "waasmedicsvc",
	"w32time", "eventlog", "rpcss", "winhttpautoproxysvc", "dnscache", "nlasvc", "mpssvc", "bfe", "wlidsvc",
	"schedule", "winmgmt", "iphlpsvc", "appxsvc", "clipsvc", "installservice", "staterepository",
	"appidsvc", "tokenbroker", "usermanager", "profsvc", "http", "vss", "windefend",
}

// Value returns a registry value: present, absent (the key was read in whole, or
// there is no such key) or unknown.
func (f *Facts) Value(key, name string) Fact[winlog.RegValue] {
	k := f.registry[strings.ToLower(key)]
	switch k.state {
	case Present:
		if v, ok := k.Key.Value(name); ok {
			return Fact[winlog.RegValue]{State: Present, Value: v, Source: k.Source}
		}
		if k.Partial {
			return Fact[winlog.RegValue]{}
		}
		return Fact[winlog.RegValue]{State: Absent, Source: k.Source}
	case Absent:
		return Fact[winlog.RegValue]{State: Absent, Source: k.Source}
	}
	return Fact[winlog.RegValue]{}
}

// Values returns what a key holds, where each value stands for itself: rules, names
// of updates. Of a key that was read in part it is what was read.
func (f *Facts) Values(key string) Fact[[]winlog.RegValue] {
	k := f.registry[strings.ToLower(key)]
	return Fact[[]winlog.RegValue]{State: k.state, Value: k.Values, Source: k.Source}
}

// Subkeys returns the names below a key.
func (f *Facts) Subkeys(key string) Fact[[]string] {
	k := f.registry[strings.ToLower(key)]
	return Fact[[]string]{State: k.state, Value: k.Subkeys, Source: k.Source}
}

// Children yields the paths of the direct subkeys of a key that were read, in their
// order: those that a star of the list stands for. What they hold, Value says.
func (f *Facts) Children(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range f.registry[strings.ToLower(key)].Subkeys {
			p := key + `\` + name
			if f.registry[strings.ToLower(p)].state == Present && !yield(p) {
				return
			}
		}
	}
}

// Whole reports that all of a key is known: its values and the names of what is
// below it. Only then can somebody put it back who takes it away.
func (f *Facts) Whole(key string) bool {
	k := f.registry[strings.ToLower(key)]
	return k.state == Present && !k.Partial
}
