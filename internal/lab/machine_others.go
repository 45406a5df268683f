package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// tunnel is the section machine/vpn.json of a scenario: a VPN that is connected. While
// it is, ways of the world that lead "from" the tunnel are the machine's too.
type tunnel struct {
	Adapter     string `json:"adapter"`
	Description string `json:"description"`
	Product     string `json:"product"`
	Dialled     bool   `json:"dialled,omitempty"` // a connection of Windows' own
	Forced      string `json:"forced,omitempty"`  // see host.Adapter
	Addresses   []Addr `json:"addresses"`
	Suffix      string `json:"suffix,omitempty"`
	Kills       bool   `json:"kills,omitempty"` // its program lets nothing out while it is off
}

// The numbers of the adapters.
const (
	ethernetIndex = 4
	tunnelIndex   = 11
)

// setting is what switches it.
func (t *tunnel) setting() string {
	if t.Dialled {
		return host.Setting("vpn-connection", t.Adapter)
	}
	return host.Setting("adapter", t.Adapter)
}

// fromTunnel is where ways begin that lead through a VPN.
const fromTunnel = "tunnel"

func (m *Machine) unpackTunnel(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	t := &tunnel{}
	if err := d.Decode(t); err != nil {
		return err
	}
	if t.Adapter == "" || t.Product == "" || len(t.Addresses) == 0 {
		return errors.New("a VPN has an adapter, a product and an address")
	}
	m.now.Tunnel, m.now.Settings[settingName(t.setting())] = t, "on"
	return nil
}

// tunnelled reports whether the VPN is connected.
func (m *Machine) tunnelled() bool { return read(m, (*state).tunnelled) }

func (s *state) tunnelled() bool {
	if s.Tunnel == nil {
		return false
	}
	on, _ := s.setting(s.Tunnel.setting())
	return on == "on"
}

// adapter is the VPN's. Windows lists none that is switched off.
func (t *tunnel) adapter() host.Adapter {
	a := host.Adapter{
		ID: "{7C1B0A52-9D0E-4C6E-8D57-0E2B6F3A9C14}", Name: t.Adapter, Description: t.Description, Index: tunnelIndex, Type: 53, // propVirtual
		Up: true, MTU: 1400, Suffix: t.Suffix, VPN: t.Product, Forced: t.Forced,
	}
	if t.Dialled {
		a.Type = host.IfPPP
	}
	if t.Suffix != "" {
		a.Suffixes = []string{t.Suffix}
	}
	for _, addr := range t.Addresses {
		if p, err := addr.Prefix(addr.BitLen()); err == nil {
			a.Addresses = append(a.Addresses, p)
		}
	}
	return a
}

// product is one of the section machine/products.json: a program of another maker that
// Windows' Security Center knows.
type product struct {
	Kind   string   `json:"kind"` // antivirus, firewall
	Name   string   `json:"name"`
	Blocks []string `json:"blocks,omitempty"` // ports to which it lets nothing out while it is on
}

func (p product) setting() string { return host.Product(p.Kind, p.Name) }

func (m *Machine) unpackProducts(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m.now.Products); err != nil {
		return err
	}
	for _, p := range m.now.Products {
		if p.Kind == "" || p.Name == "" {
			return errors.New("a product has a kind and a name")
		}
		m.now.Settings[settingName(p.setting())] = "on"
	}
	return nil
}

// held reports whether a product, or the program of a VPN that is off, lets nothing out
// to a port.
func (s *state) held(port string) bool {
	if s.Tunnel != nil && s.Tunnel.Kills && !s.tunnelled() {
		return true
	}
	return slices.ContainsFunc(s.Products, func(p product) bool {
		on, _ := s.setting(p.setting())
		return on == "on" && slices.Contains(p.Blocks, port)
	})
}

// How the person at the machine is: "helps" switches everything that updoc asks for,
// "forgets" switches it off and not on again; nobody else is there.
const setPerson = "state/person"

// forPerson reports a setting that updoc switches off and a person on.
func forPerson(name string) bool {
	group, _, _ := strings.Cut(strings.ToLower(name), "/")
	return group == "vpn-connection"
}

// products is what the Security Center lists: those of the machine, and Windows' own
// antivirus, which stands back where there is another.
func (m *Machine) products() host.SecurityProducts {
	const on, off = 0x61100, 0x60100 // productState
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := host.SecurityProducts{Products: []host.SecurityProduct{}}
	add := func(kind, name string, is, own bool) {
		p := host.SecurityProduct{Kind: kind, Name: name, State: off, On: is, Current: true, Defender: own}
		if is {
			p.State = on
		}
		out.Products = append(out.Products, p)
	}
	other := false
	for _, p := range m.now.Products {
		is, _ := m.now.setting(p.setting())
		other = other || p.Kind == "antivirus" && is == "on"
		add(p.Kind, p.Name, is == "on", false)
	}
	if s := m.now.service("windefend"); s != nil {
		add("antivirus", "Windows Defender", s.State == winlog.ServiceRunning && !other, true)
	}
	return out
}

// ask has the person at the machine switch something, who takes a moment: asked for the
// second time, it is done, if it is ever.
func (s *state) ask(name, value string) error {
	old, ok := s.setting(name)
	switch {
	case !ok:
		return host.ErrNotExist
	case old == value:
		return nil
	}
	asked := "state/asked " + settingName(name)
	willing := s.Settings[setPerson] == "helps" || s.Settings[setPerson] == "forgets" && value == "off"
	if willing && s.Settings[asked] == value {
		delete(s.Settings, asked)
		s.Settings[settingName(name)] = value
		return nil
	}
	s.Settings[asked] = value
	return fmt.Errorf("%s is %s: %w", name, old, host.ErrPerson)
}
