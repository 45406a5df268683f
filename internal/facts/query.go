package facts

import (
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// Mark returns the most telling sighting of a signature.
func (f *Facts) Mark(id string) (Seen, bool) {
	seen := f.marks[id]
	if len(seen) == 0 {
		return Seen{}, false
	}
	return seen[0], true
}

// Marks returns the sightings of a signature, at most a handful, in order.
func (f *Facts) Marks(id string) []Seen { return f.marks[id] }

// Code returns where a code was seen: in a failure first, else in any source.
func (f *Facts) Code(h codes.HRESULT) (Seen, bool) {
	for i := range f.Failures {
		if f.Failures[i].Code == h && len(f.Failures[i].Seen) > 0 {
			return f.Failures[i].Seen[0], true
		}
	}
	seen, ok := f.codes[h]
	return seen, ok
}

// DWord returns a number from the registry; a value of another type is unknown.
func (f *Facts) DWord(key, name string) Fact[uint32] {
	v := f.Value(key, name)
	out := Fact[uint32]{State: v.State, Source: v.Source}
	if v.State == Present {
		n, ok := v.Value.DWord()
		if !ok {
			return Fact[uint32]{Source: v.Source}
		}
		out.Value = n
	}
	return out
}

// Text returns a string from the registry; a value of another type is unknown.
func (f *Facts) Text(key, name string) Fact[string] {
	v := f.Value(key, name)
	out := Fact[string]{State: v.State, Source: v.Source}
	if v.State == Present {
		s, ok := v.Value.String()
		if !ok {
			return Fact[string]{Source: v.Source}
		}
		out.Value = s
	}
	return out
}

// Service returns a service: present, absent (it does not exist) or unknown.
func (f *Facts) Service(name string) Fact[host.Service] {
	return f.services[strings.ToLower(name)]
}
