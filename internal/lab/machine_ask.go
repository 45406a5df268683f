package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
)

// Ask implements [host.Reader]. What this machine has nothing of was not asked for,
// as in an old bundle: its registry, files and services tell most of it.
func (m *Machine) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	if err := ctx.Err(); err != nil {
		return host.Answer{}, err
	}
	var v any
	switch strings.ToLower(q.Name) {
	case host.AskAdapters:
		v = m.adapters()
	case host.AskCaller:
		v = m.caller()
	case host.AskSecurity:
		v = m.products()
	case host.AskFirewall:
		fw, err := m.firewall(ctx)
		if err != nil {
			return host.Answer{}, fmt.Errorf("answer %s: %w", q.Name, err)
		}
		v = fw
	case host.AskInstalled:
		v = host.ReadInstalled(ctx, m, q.Args, read(m, func(s *state) []host.InstallEvent { return slices.Clone(s.Installs) }), nil)
	case host.AskStore:
		return host.AnswerStore(ctx, m)
	case host.AskImage:
		img, err := m.image(q.Args["path"])
		if err != nil {
			return host.Answer{}, fmt.Errorf("answer %s: %w", q.Name, err)
		}
		v = img
	case host.AskStartup:
		found, err := m.starts(ctx)
		if err != nil {
			return host.Answer{}, fmt.Errorf("answer %s: %w", q.Name, err)
		}
		v = found
	case host.AskServiceCopies:
		found, err := m.copies(ctx, q.Args)
		if err != nil {
			return host.Answer{}, fmt.Errorf("answer %s: %w", q.Name, err)
		}
		v = found
	case host.AskLeftovers:
		found, err := host.FindLeftovers(ctx, m, drives{m}, `C:\Windows`, m.Now())
		if err != nil {
			return host.Answer{}, fmt.Errorf("answer %s: %w", q.Name, err)
		}
		v = found
	default:
		var ok bool
		if v, ok = m.setupAnswer(strings.ToLower(q.Name)); ok {
			break
		}
		return host.Answer{}, fmt.Errorf("answer %s: %w", q.Name, host.ErrNotRecorded)
	}
	b, err := json.Marshal(v)
	return host.Answer{JSON: b, Source: "answer " + q.Name}, err
}

// adapters are the one cable that leads into the machine's world, and a VPN.
func (m *Machine) adapters() host.Adapters {
	m.mu.RLock()
	defer m.mu.RUnlock()
	place := m.world.spec.Machine
	a := host.Adapter{
		ID: "{5A1C7A5E-3B0E-4B53-9E0D-2F6C1B7D4E90}", Name: "Ethernet", Description: "Example Network Adapter", Index: ethernetIndex, Type: 6, // ethernetCsmacd
		Up: true, MTU: uint32(m.now.largestPacket(netip.IPv4Unspecified())), Speed: 1e9, MAC: "00-00-5E-00-53-22", DHCP: true,
		Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, DNS: m.world.zone[resolverName][:1],
	}
	if len(place.Suffixes) > 0 {
		a.Suffix = place.Suffixes[0]
	}
	off, _ := m.now.setting("ipv6/ethernet")
	for _, addr := range place.Addresses {
		bits := 24
		if addr.Is6() {
			bits = 64
		}
		if addr.Is4() || off != "off" {
			a.Addresses = append(a.Addresses, netip.PrefixFrom(addr, bits))
		}
	}
	r := m.now.Registry
	list := []host.Adapter{a}
	if m.now.tunnelled() {
		list = append(list, m.now.Tunnel.adapter())
	}
	return host.Adapters{
		Host:     r.text(`HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`, "ComputerName"),
		Domain:   r.text(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, "Domain"),
		Adapters: list,
	}
}

// setRemote names the adapter over which the person sits at another machine.
const setRemote = "state/remote"

// caller is an administrator at the machine.
func (m *Machine) caller() host.Caller {
	sid, _ := m.Account()
	c := host.Caller{Account: sid, Elevated: true, At: m.Now().UTC()}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if over := m.now.Settings[setRemote]; over != "" {
		c.Remote, c.Over = true, ethernetIndex
		if t := m.now.Tunnel; t != nil && strings.EqualFold(t.Adapter, over) {
			c.Over = tunnelIndex
		}
	}
	return c
}

// drives are a machine's files as a look for leftovers needs them.
type drives struct{ m *Machine }

// Exists implements [host.FileSystem].
func (d drives) Exists(p string) (bool, error) {
	_, err := os.Lstat(d.m.place(p))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// List implements [host.FileSystem].
func (d drives) List(p string, each func(host.Listed) bool) error {
	entries, err := os.ReadDir(d.m.place(p))
	if err != nil {
		return notExist(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // it is gone meanwhile
		}
		if !each(host.Listed{Name: e.Name(), Folder: e.IsDir(), Size: large(e.Name(), info.Size()), Modified: info.ModTime()}) {
			break
		}
	}
	return nil
}

// InUse implements [host.FileSystem].
func (d drives) InUse(p string) bool { return d.m.inUse(p) != nil }

// copies answers host.AskServiceCopies.
func (m *Machine) copies(ctx context.Context, args map[string]string) (host.ServiceCopies, error) {
	states := m.older()
	if p := args["path"]; p != "" {
		img, err := m.image(p)
		if err != nil {
			return host.ServiceCopies{}, err
		}
		inside := img
		if inside.Path, err = filepath.Rel(m.root(), m.place(img.Path)); err != nil {
			return host.ServiceCopies{}, err
		}
		inside.Path = filepath.ToSlash(inside.Path)
		index, _ := strconv.Atoi(args["index"])
		s, done, err := host.ImageState(os.DirFS(m.root()), inside, index)
		if err != nil {
			return host.ServiceCopies{}, err
		}
		defer done()
		s.From = img.Path + strings.TrimPrefix(s.From, inside.Path)
		states = []host.OlderState{s}
	}
	return host.FindServiceCopies(ctx, m, states, `C:\Windows`, func(p string) (bool, error) { return m.exists(p), nil })
}

// older is the shadow copy of the machine's volume, if it has one.
func (m *Machine) older() []host.OlderState {
	shadow := read(m, func(s *state) registry { return s.Shadow })
	if shadow == nil {
		return nil
	}
	return []host.OlderState{{
		From: "HarddiskVolumeShadowCopy3", Taken: m.world.Now().UTC().Add(-uptime).Truncate(time.Second),
		Key: func(_ context.Context, p string) (host.Key, error) { return shadow.answer(p) },
	}}
}
