package facts

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/host"
)

// ServiceDefault is what Windows ships a service with.
type ServiceDefault struct {
	Needs    Fact[[]string]       // services that it needs
	Triggers Fact[[]host.Trigger] // what starts and stops it
}

//go:embed data/service-defaults.tsv
var serviceDefaultData string

type serviceDefault struct {
	name     string
	from, to int // builds
	ServiceDefault
}

var serviceDefaults = sync.OnceValues(func() ([]serviceDefault, error) { return parseServiceDefaults(serviceDefaultData) })

func parseServiceDefaults(data string) ([]serviceDefault, error) {
	var out []serviceDefault
	n, head := 0, true
	for row := range strings.Lines(data) {
		n++
		if row = strings.TrimRight(row, "\r\n"); row == "" || row[0] == '#' {
			continue
		}
		if head { // names of the columns
			head = false
			continue
		}
		cols := strings.Split(row, "\t")
		if len(cols) != 6 || cols[5] == "" {
			return out, fmt.Errorf("service-defaults.tsv:%d: malformed", n)
		}
		d := serviceDefault{name: cols[0]}
		var err error
		if d.from, err = strconv.Atoi(cols[1]); err == nil {
			d.to, err = strconv.Atoi(cols[2])
		}
		if err != nil || d.from > d.to || d.name == "" {
			return out, fmt.Errorf("service-defaults.tsv:%d: builds %s to %s", n, cols[1], cols[2])
		}
		source := fmt.Sprintf("service-defaults.tsv:%d", n)
		if cols[3] != "?" {
			d.Needs = Fact[[]string]{State: Present, Source: source}
			if cols[3] != "-" {
				d.Needs.Value = strings.Split(cols[3], ",")
			}
		}
		if cols[4] != "?" {
			d.Triggers = Fact[[]host.Trigger]{State: Present, Source: source}
			for t := range strings.SplitSeq(cols[4], ";") {
				if t == "-" {
					continue
				}
				x, err := parseTrigger(t)
				if err != nil {
					return out, fmt.Errorf("service-defaults.tsv:%d: %w", n, err)
				}
				d.Triggers.Value = append(d.Triggers.Value, x)
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// parseTrigger reads 6/1/bc90d167-.../2=4300.
func parseTrigger(s string) (host.Trigger, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 3 {
		return host.Trigger{}, fmt.Errorf("trigger %q", s)
	}
	kind, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil {
		return host.Trigger{}, fmt.Errorf("trigger %q: %w", s, err)
	}
	action, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return host.Trigger{}, fmt.Errorf("trigger %q: %w", s, err)
	}
	t := host.Trigger{Type: uint32(kind), Action: uint32(action), Subtype: parts[2]}
	for _, item := range parts[3:] {
		kind, digits, _ := strings.Cut(item, "=")
		k, err := strconv.ParseUint(kind, 10, 32)
		if err != nil {
			return t, fmt.Errorf("trigger %q: %w", s, err)
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			return t, fmt.Errorf("trigger %q: %w", s, err)
		}
		t.Data = append(t.Data, host.TriggerData{Type: uint32(k), Data: b})
	}
	return t, nil
}

// ServiceDefault returns what Windows ships a service with, as far as it is known of the
// build of this machine.
func (f *Facts) ServiceDefault(name string) ServiceDefault {
	text := f.Machine.Build
	if v := f.Text(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "CurrentBuild"); text == "" && v.State == Present {
		text = v.Value
	}
	text, _, _ = strings.Cut(text, ".")
	build, err := strconv.Atoi(text)
	if err != nil {
		return ServiceDefault{}
	}
	table, _ := serviceDefaults() // ours: a test holds that every row is good
	for _, d := range table {
		if strings.EqualFold(d.name, name) && d.from <= build && build <= d.to {
			return d.ServiceDefault
		}
	}
	return ServiceDefault{}
}

// Needs returns what a service needs before it runs: services, and groups with a +
// before them. What the service control manager said counts before the registry.
func (f *Facts) Needs(name string) Fact[[]string] {
	if s := f.Service(name); s.State == Present && s.Value.Needs != nil {
		return Fact[[]string]{State: Present, Value: s.Value.Needs, Source: s.Value.ConfiguredIn()}
	}
	p := keyServiceList + `\` + name
	k := f.registry[strings.ToLower(p)]
	if k.state != Present {
		return Fact[[]string]{}
	}
	if v, ok := k.Key.Value("DependOnService"); ok {
		if _, ok := v.Strings(); !ok {
			return Fact[[]string]{}
		}
	}
	list, err := host.ReadNeeds(p, f.known)
	if err != nil {
		return Fact[[]string]{}
	}
	return Fact[[]string]{State: Present, Value: list, Source: k.Source}
}

// known is what was read of the registry, as a host would answer.
func (f *Facts) known(p string) (host.Key, error) {
	switch k := f.registry[strings.ToLower(p)]; k.state {
	case Present:
		return k.Key, nil
	case Absent:
		return k.Key, host.ErrNotExist
	}
	return host.Key{}, host.ErrNotRecorded
}

// LostNeed is a service that another one needs in vain.
type LostNeed struct {
	Service, Need string
	Gone          bool // there is no such service; else it is disabled, and Windows does not have the other need it
	Source        string
}

// LostNeeds returns what services of updating need in vain, by the services' order. A
// service of Windows itself that is disabled or gone is no such thing: that is
// mended where it is.
func (f *Facts) LostNeeds() []LostNeed {
	var out []LostNeed
	for _, name := range serviceNames {
		if !host.Restorable(name) {
			continue
		}
		needs, shipped := f.Needs(name), f.ServiceDefault(name).Needs
		for _, n := range needs.Value {
			own := slices.ContainsFunc(shipped.Value, func(s string) bool { return strings.EqualFold(s, n) })
			if strings.HasPrefix(n, "+") || own || slices.Contains(serviceNames, strings.ToLower(n)) || slices.Contains(coreServices, strings.ToLower(n)) {
				continue
			}
			s := f.Service(n)
			switch {
			case s.State == Absent:
				out = append(out, LostNeed{Service: name, Need: n, Gone: true, Source: needs.Source})
			case s.State == Present && s.Value.Start == serviceDisabled && shipped.Known():
				out = append(out, LostNeed{Service: name, Need: n, Source: needs.Source})
			}
		}
	}
	return out
}

const serviceDisabled = 4

// coreServices are those of Windows without which nothing runs, and drivers that
// services of updating need on one release or another. Lower case.
var coreServices = []string{
	"rpceptmapper", "dcomlaunch", "brokerinfrastructure", "systemeventsbroker", "nsi", "gpsvc", "dhcp", "afd", "tdx", "tcpip", "nsiproxy",
	"appid", "mup", "plugplay", "samss", "keyiso", "ndis", "netbt", "lanmanworkstation", "sens", "eventsystem",
}
