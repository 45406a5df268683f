package facts

import (
	"slices"
	"strings"

	"updoc/internal/host"
)

// StartsByEvent says whether an event of Windows starts a service. It is known where
// all of the service's triggers were seen, or sc told of them.
func (f *Facts) StartsByEvent(name string) Fact[bool] {
	p := keyServiceList + `\` + name
	top := f.registry[strings.ToLower(p+`\`+host.TriggerKey)]
	switch top.state {
	case Absent:
		// An export may have left out what lies below a service: one that shows
		// nothing else there tells nothing.
		if k := f.registry[strings.ToLower(p)]; k.state != Present || k.Partial || len(k.Subkeys) == 0 {
			break
		}
		return Fact[bool]{State: Present, Source: f.registry[strings.ToLower(p)].Source}
	case Present:
		out := Fact[bool]{State: Present, Source: top.Source}
		for _, n := range top.Subkeys {
			action := f.DWord(p+`\`+host.TriggerKey+`\`+n, "Action")
			switch {
			case action.State == Present && action.Value == host.TriggerStarts:
				return Fact[bool]{State: Present, Value: true, Source: action.Source}
			case !action.Known():
				out = Fact[bool]{}
			}
		}
		if top.Partial || !out.Known() {
			break
		}
		return out
	}
	if s, ok := f.events[strings.ToLower(name)]; ok {
		return s
	}
	return Fact[bool]{}
}

// LostTriggers is a service that Windows starts when something happens, and that
// nothing starts any more.
type LostTriggers struct {
	Service string
	Shipped []host.Trigger
	Source  string
}

// LostTriggers returns the services of updating whose triggers somebody took away: that
// is known only where it is known what this build of Windows ships.
func (f *Facts) LostTriggers() []LostTriggers {
	var out []LostTriggers
	for _, name := range serviceNames {
		shipped, now := f.ServiceDefault(name).Triggers, f.StartsByEvent(name)
		starts := slices.ContainsFunc(shipped.Value, func(t host.Trigger) bool { return t.Action == host.TriggerStarts })
		if host.Restorable(name) && starts && now.Known() && !now.Value && f.Service(name).State != Absent {
			out = append(out, LostTriggers{Service: name, Shipped: shipped.Value, Source: now.Source})
		}
	}
	return out
}

// TriggerChanges are the changes that give a service the triggers want: one of the service
// control manager where it has none at all and does not refuse, else changes of the
// registry, which leave nothing out of what somebody left there and can be taken back
// to the byte. registry says so: Windows reads them when it starts.
func (f *Facts) TriggerChanges(name string, want []host.Trigger, refuses bool) (list []host.Change, registry bool) {
	c := host.Change{Kind: host.ServiceTriggers, Path: name, Triggers: want}
	p := keyServiceList + `\` + name
	if f.registry[strings.ToLower(p+`\`+host.TriggerKey)].state != Present && !refuses {
		return []host.Change{c}, false
	}
	list, err := host.RegisteredChanges(p, c, f.known)
	if err != nil {
		return nil, true
	}
	return list, true
}
