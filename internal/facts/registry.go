package facts

import (
	"context"
	_ "embed"
	"errors"
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
	state State // Present: was read; Absent: there is no such key
	host.Key
}

// Keys returns the registry keys that Collect asks for.
func Keys() []string {
	var out []string
	for line := range strings.Lines(keyList) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// readRegistry asks the host for every key of the list, and for the services.
func (f *Facts) readRegistry(ctx context.Context, h host.Reader) {
	for _, p := range Keys() {
		k, err := h.Key(ctx, p)
		switch {
		case err == nil:
			f.registry[strings.ToLower(p)] = registryKey{Present, k}
		case errors.Is(err, host.ErrNotExist):
			f.registry[strings.ToLower(p)] = registryKey{Absent, k}
		case errors.Is(err, host.ErrDenied):
			f.Gaps = append(f.Gaps, Gap{Source: p, Why: "gap.denied"})
		}
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
