package lab

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

const (
	servicesKey  = `HKLM\SYSTEM\CurrentControlSet\Services\`
	delayedStart = "DelayedAutostart"
)

// What the service control manager answers. [MS-ERREF] 2.1.1.
const (
	eServiceTimeout  codes.HRESULT = 0x8007041D
	eServiceDisabled codes.HRESULT = 0x80070422
	eServiceMissing  codes.HRESULT = 0x80070424
	eNeedFails       codes.HRESULT = 0x8007042C
	eNeedMissing     codes.HRESULT = 0x80070433
	eAccessDenied    codes.HRESULT = 0x80070005
	eModuleMissing   codes.HRESULT = 0x8007007E
	eSharing         codes.HRESULT = 0x80070020
)

// serviceState is what of a service does not stand in the registry.
type serviceState struct {
	Name  string `json:"name"`
	State int    `json:"state"`          // see winlog.ServiceStopped
	Hangs bool   `json:"hangs"`          // its process does not answer; it is ended and started anew by who stops it
	SDDL  string `json:"sddl,omitempty"` // its security descriptor; "" is the default
}

// defaultSDDL is the descriptor that services are registered with: everybody who is
// signed in may look, administrators and SYSTEM may do anything.
const defaultSDDL = "D:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)"

// Service implements [host.Reader].
func (m *Machine) Service(ctx context.Context, name string) (host.Service, error) {
	if err := ctx.Err(); err != nil {
		return host.Service{}, fmt.Errorf("service %s: %w", name, err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.now.service(name)
	if s == nil {
		return host.Service{Source: "service control manager"}, fmt.Errorf("service %s: %w", name, host.ErrNotExist)
	}
	key, r := servicesKey+s.Name, m.now.Registry
	return host.Service{
		Name: s.Name, State: s.State, Start: int(m.now.start(name).Type),
		Account: r.text(key, "ObjectName"), Binary: r.text(key, "ImagePath"), Source: "service " + s.Name,
	}, nil
}

func (s *state) service(name string) *serviceState { return s.Services[strings.ToLower(name)] }

// start is how a service starts.
func (s *state) start(name string) host.Start {
	n, _ := s.Registry.number(servicesKey+name, "Start")
	return host.Start{Type: n, Delayed: s.Registry.on(servicesKey+name, delayedStart)}
}

// dependents lists the services that run and need another, directly or not, those
// first that nothing else of the list needs.
func (s *state) dependents(name string) []string {
	var out []string
	for _, other := range s.Services {
		v, _ := s.Registry.value(servicesKey+other.Name, "DependOnService")
		needs, _ := v.Strings()
		if other.State == winlog.ServiceStopped || !slices.ContainsFunc(needs, func(n string) bool { return strings.EqualFold(n, name) }) {
			continue
		}
		out = append(append(out, s.dependents(other.Name)...), other.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Inverse implements [host.Host].
func (m *Machine) Inverse(ctx context.Context, c host.Change) ([]host.Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	m.act.Lock()
	defer m.act.Unlock()
	inv, err := m.inverse(c)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.Kind, c.Path, err)
	}
	return inv, nil
}

func (m *Machine) inverse(c host.Change) ([]host.Change, error) {
	is := []host.Change{c}
	switch c.Kind {
	case host.KeyMake, host.KeyDrop, host.ValueSet, host.ValueDel:
		return read(m, func(s *state) []host.Change { return s.Registry.inverse(c) }), nil
	case host.ServiceStart, host.ServiceRun, host.ServiceStop, host.ServiceSecurity:
		m.mu.RLock()
		defer m.mu.RUnlock()
		return m.now.inverseService(c)
	case host.ServiceTriggers, host.ServiceNeeds:
		m.mu.RLock()
		defer m.mu.RUnlock()
		if m.now.service(c.Path) == nil {
			return nil, host.ErrNotExist
		}
		now, err := host.Registration(servicesKey+c.Path, c, m.now.Registry.answer)
		return []host.Change{now}, err
	case host.ServiceMake, host.ServiceDrop:
		m.mu.RLock()
		defer m.mu.RUnlock()
		switch {
		case m.now.service(c.Path) == nil:
			return []host.Change{{Kind: host.ServiceDrop, Path: c.Path}}, nil
		case c.Kind == host.ServiceDrop:
			return nil, nil
		case !strings.EqualFold(m.now.Registry.text(servicesKey+c.Path, "ImagePath"), c.Service.Binary):
			return nil, host.ErrInTheWay
		}
		return is, nil
	case host.Switch:
		old, ok := m.setting(c.Path)
		switch {
		case !ok:
			return nil, host.ErrNotExist
		case old == c.State:
			return is, nil
		case forPerson(c.Path):
			return nil, nil
		}
		c.State = old
		return []host.Change{c}, nil
	case host.Run:
		return nil, nil
	}
	return m.inverseFile(c)
}

func (m *Machine) setting(name string) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now.setting(name)
}

// largestPacket is the MTU of the machine's adapter for packets to an address.
func (m *Machine) largestPacket(to netip.Addr) int {
	return read(m, func(s *state) int { return s.largestPacket(to) })
}

func (s *state) largestPacket(to netip.Addr) int {
	const ethernet = 1500
	group := "mtu"
	if to.Is6() {
		group = "mtu6"
	}
	v, _ := s.setting(host.Setting(group, "ethernet"))
	if n, err := strconv.Atoi(v); err == nil {
		return n
	}
	return ethernet
}

// settingName is the name by which a setting is kept: ids of updates come with and
// without braces.
func settingName(name string) string {
	name = strings.ToLower(name)
	if id, ok := strings.CutPrefix(name, "hidden-update/"); ok {
		return "hidden-update/" + strings.Trim(id, "{}")
	}
	return name
}

// setting returns a setting. Those of the firewall stand in the registry.
func (s *state) setting(name string) (string, bool) {
	group, rest, _ := strings.Cut(name, "/")
	if key := host.FirewallProfileKey(rest); group == "firewall-profile" && key != "" {
		return map[bool]string{true: "on", false: "off"}[s.Registry.on(key, "EnableFirewall")], true
	}
	if !strings.EqualFold(group, "firewall-rule") {
		v, ok := s.Settings[settingName(name)]
		if !ok && strings.EqualFold(group, "hidden-update") {
			return "no", true
		}
		return v, ok
	}
	text := s.Registry.text(firewallRules, rest)
	switch {
	case strings.Contains(text, "|Active=TRUE|"):
		return "on", true
	case strings.Contains(text, "|Active=FALSE|"):
		return "off", true
	}
	return "", false
}

// set sets a setting that there is.
func (s *state) set(name, value string) error {
	old, ok := s.setting(name)
	group, rest, _ := strings.Cut(name, "/")
	switch {
	case !ok:
		return host.ErrNotExist
	case old == value:
		return nil
	case group == "firewall-profile":
		s.Registry.set(host.FirewallProfileKey(rest), "EnableFirewall", dword(map[string]uint32{"on": 1}[value]))
		return nil
	case strings.EqualFold(group, "firewall-rule"):
		text := s.Registry.text(firewallRules, rest)
		from, to := "|Active=TRUE|", "|Active=FALSE|"
		if value == "on" {
			from, to = to, from
		}
		s.Registry.set(firewallRules, rest, sz(winlog.RegSZ, strings.Replace(text, from, to, 1)))
		return nil
	}
	if s.Settings[settingName(name)] = value; value == "no" && strings.EqualFold(group, "hidden-update") {
		delete(s.Settings, settingName(name))
	}
	return nil
}

func (s *state) inverseService(c host.Change) ([]host.Change, error) {
	is := []host.Change{c}
	have := s.service(c.Path)
	if have == nil {
		return nil, host.ErrNotExist
	}
	switch c.Kind {
	case host.ServiceStart:
		old := s.start(c.Path)
		if old == *c.Start {
			return is, nil
		}
		c.Start = &old
		return []host.Change{c}, nil
	case host.ServiceSecurity:
		old := cmp.Or(have.SDDL, defaultSDDL)
		if old == c.SDDL {
			return is, nil
		}
		c.SDDL = old
		return []host.Change{c}, nil
	case host.ServiceRun:
		if have.State == winlog.ServiceRunning {
			return is, nil
		}
		return []host.Change{{Kind: host.ServiceStop, Path: c.Path}}, nil
	}
	if have.State == winlog.ServiceStopped {
		return is, nil
	}
	out := []host.Change{{Kind: host.ServiceRun, Path: c.Path}}
	for _, name := range s.dependents(c.Path) {
		out = append(out, host.Change{Kind: host.ServiceRun, Path: name})
	}
	return out, nil
}

// Apply implements [host.Host].
func (m *Machine) Apply(ctx context.Context, c host.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	m.act.Lock()
	defer m.act.Unlock()
	if err := m.apply(ctx, c); err != nil {
		return fmt.Errorf("%s %s: %w", c.Kind, c.Path, err)
	}
	return nil
}

func (m *Machine) apply(ctx context.Context, c host.Change) error {
	switch c.Kind {
	case host.KeyMake, host.KeyDrop, host.ValueSet, host.ValueDel:
		return m.change(func(s *state) error { return s.Registry.apply(c) })
	case host.ServiceStart, host.ServiceSecurity:
		return m.change(func(s *state) error { return s.configure(c) })
	case host.ServiceTriggers, host.ServiceNeeds:
		return m.change(func(s *state) error { return s.register(c) })
	case host.ServiceMake:
		return m.change(func(s *state) error { return s.makeService(c) })
	case host.ServiceDrop:
		return m.change(func(s *state) error {
			delete(s.Services, strings.ToLower(c.Path))
			s.Registry.drop(servicesKey + c.Path)
			return nil
		})
	case host.ServiceRun:
		return m.run(c.Path)
	case host.ServiceStop:
		return m.stop(c.Path)
	case host.Switch:
		if host.ByPerson(c) || forPerson(c.Path) && c.State == "on" {
			var asked error // who was asked and did nothing yet was asked all the same
			err := m.change(func(s *state) error { asked = s.ask(c.Path, c.State); return nil })
			return cmp.Or(err, asked)
		}
		return m.change(func(s *state) error { return s.set(c.Path, c.State) })
	case host.Run:
		return m.tool(ctx, c.Path, c.Args)
	}
	return m.applyFile(c)
}

// configure changes how a service is registered. The control manager keeps the
// delay only where there is one; learn.microsoft.com: SERVICE_DELAYED_AUTO_START_INFO.
func (s *state) configure(c host.Change) error {
	have := s.service(c.Path)
	if have == nil {
		return host.ErrNotExist
	}
	if c.Kind == host.ServiceSecurity {
		if have.SDDL = c.SDDL; c.SDDL == defaultSDDL {
			have.SDDL = ""
		}
		return nil
	}
	key := servicesKey + have.Name
	s.Registry.set(key, "Start", dword(c.Start.Type))
	if s.Registry.del(key, delayedStart); c.Start.Delayed {
		s.Registry.set(key, delayedStart, dword(1))
	}
	return nil
}

// register changes what starts a service, or what it needs, as the control manager
// keeps it in the registry.
func (s *state) register(c host.Change) error {
	if s.service(c.Path) == nil {
		return host.ErrNotExist
	}
	list, err := host.RegisteredChanges(servicesKey+c.Path, c, s.Registry.answer)
	for _, c := range list {
		if err == nil {
			err = s.Registry.apply(c)
		}
	}
	return err
}

// makeService registers a service, as CreateService does, and writes what its program reads.
func (s *state) makeService(c host.Change) error {
	r, key := s.Registry, servicesKey+c.Path
	if have := s.service(c.Path); have != nil {
		if !strings.EqualFold(r.text(key, "ImagePath"), c.Service.Binary) {
			return host.ErrInTheWay
		}
	} else {
		s.Services[strings.ToLower(c.Path)] = &serviceState{Name: c.Path, State: winlog.ServiceStopped}
	}
	r.make(key)
	for name, n := range map[string]uint32{"Type": c.Service.Type, "Start": c.Start.Type, "ErrorControl": c.Service.Error} {
		r.set(key, name, dword(n))
	}
	if c.Start.Delayed {
		r.set(key, delayedStart, dword(1))
	}
	r.set(key, "ImagePath", sz(winlog.RegExpandSZ, c.Service.Binary))
	for name, text := range map[string]string{"ObjectName": c.Service.Account, "DisplayName": c.Service.Display, "Group": c.Service.Group} {
		if text != "" {
			r.set(key, name, sz(winlog.RegSZ, text))
		}
	}
	if len(c.Service.Needs) > 0 {
		r.set(key, "DependOnService", multi(c.Service.Needs...))
	}
	return c.Service.Values(c.Path, func(key string, v *winlog.RegValue) error {
		if r.make(key); v != nil {
			r.set(key, v.Name, *v)
		}
		return nil
	})
}

// run starts a service and what it needs.
func (m *Machine) run(name string) error {
	var first error
	err := m.change(func(s *state) error {
		have := s.service(name)
		if have == nil {
			return fmt.Errorf("%w: %w", host.ErrNotExist, eServiceMissing)
		}
		first = m.begin(s, name, nil)
		return nil
	})
	return cmp.Or(err, first)
}

// begin starts a service. The error is what the control manager says.
func (m *Machine) begin(s *state, name string, on []string) error {
	have := s.service(name)
	switch {
	case have == nil:
		return eServiceMissing
	case have.Hangs:
		return eServiceTimeout
	case have.State == winlog.ServiceRunning || slices.Contains(on, have.Name):
		return nil
	case s.start(name).Type == winlog.ServiceDisabled:
		return eServiceDisabled
	case !mayStart(have.SDDL):
		return eAccessDenied
	}
	r := s.Registry
	v, _ := r.value(servicesKey+name, "DependOnService")
	needs, _ := v.Strings()
	for _, n := range needs {
		if err := m.begin(s, n, append(on, have.Name)); err != nil {
			code := eNeedFails
			if s.service(n) == nil {
				code = eNeedMissing
			}
			return &needError{code, n, err}
		}
	}
	if dll := r.text(servicesKey+name+`\Parameters`, "ServiceDll"); dll != "" && !m.exists(expand(dll)) {
		return eModuleMissing
	}
	have.State = winlog.ServiceRunning
	return m.started(strings.ToLower(name))
}

// needError is the error of a service that needs another one in vain.
type needError struct {
	code codes.HRESULT
	need string
	err  error // of that one
}

func (e *needError) Error() string { return fmt.Sprintf("%v: it needs %s: %v", e.code, e.need, e.err) }

func (e *needError) Unwrap() []error { return []error{e.code, e.err} }

// mayStart reports whether a descriptor lets SYSTEM start its service: RP is the
// right to. learn.microsoft.com: "Service Security and Access Rights".
func mayStart(sddl string) bool {
	if sddl == "" {
		return true
	}
	for ace := range strings.SplitSeq(sddl, "(") {
		fields := strings.Split(strings.TrimSuffix(strings.TrimSpace(ace), ")"), ";")
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "SY") {
			continue
		}
		for i := 0; i+2 <= len(fields[2]); i += 2 {
			if right := fields[2][i : i+2]; right == "RP" || right == "GA" {
				return fields[0] == "A"
			}
		}
	}
	return false
}

// expand puts in what the machine's environment says.
func expand(p string) string {
	low := strings.ToLower(p)
	for name, value := range map[string]string{"%systemroot%": `C:\Windows`, "%windir%": `C:\Windows`, "%programdata%": `C:\ProgramData`} {
		if i := strings.Index(low, name); i >= 0 {
			return p[:i] + value + p[i+len(name):]
		}
	}
	return p
}

// stop stops a service and what needs it. One that hangs is ended.
func (m *Machine) stop(name string) error {
	return m.change(func(s *state) error {
		if s.service(name) == nil {
			return fmt.Errorf("%w: %w", host.ErrNotExist, eServiceMissing)
		}
		for _, n := range append(s.dependents(name), name) {
			have := s.service(n)
			have.State, have.Hangs = winlog.ServiceStopped, false
		}
		return nil
	})
}
