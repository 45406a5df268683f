package winhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// wmiTime is what one query of WMI may take. A repository that is broken never
// answers; a healthy one does so in a second.
const wmiTime = 8 * time.Second

// wmi lists the instances of a class, at most n.
func (h *Host) wmi(ctx context.Context, namespace, class string, n int, names ...string) ([]map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, wmiTime)
	defer cancel()
	return inApartment(ctx, h.com, "wmi "+class, func(a *apartment) ([]map[string]any, error) {
		var rows []map[string]any
		err := a.wmi(namespace, class, names, n, func(row map[string]any) error {
			rows = append(rows, row)
			return nil
		})
		return rows, err
	})
}

// securityProducts asks the Security Center of clients. That a server has none is
// no gap.
func securityProducts(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	out := host.SecurityProducts{Products: []host.SecurityProduct{}}
	var failed error
	for _, kind := range []struct{ class, name string }{
		{"AntiVirusProduct", "antivirus"}, {"FirewallProduct", "firewall"}, {"AntiSpywareProduct", "antispyware"},
	} {
		rows, err := h.wmi(ctx, `root\SecurityCenter2`, kind.class, 100, "displayName", "instanceGuid", "pathToSignedProductExe", "productState")
		if err != nil && resultOf(err) == wmiNoNamespace {
			return nil, err // there is no Security Center
		}
		if err != nil {
			out.Unseen, failed = append(out.Unseen, unseenPart(kind.name, err)), err
			continue
		}
		for _, row := range rows {
			p := host.SecurityProduct{Kind: kind.name}
			p.Name, _ = row["displayName"].(string)
			p.Path, _ = row["pathToSignedProductExe"].(string)
			state, _ := row["productState"].(int64)
			p.State = uint32(state)
			p.On, p.Current = p.State>>12&0xF == 1, p.State>>4&0xF == 0
			id, _ := row["instanceGuid"].(string)
			p.Defender = strings.EqualFold(id, "{D68DDC3A-831F-4fae-9E44-DA132C1ACF46}") // Microsoft Defender Antivirus
			out.Products = append(out.Products, p)
		}
	}
	if len(out.Unseen) == 3 {
		return nil, blind("security products", failed)
	}
	return out, nil
}

// filterAggregate is FILTER_AGGREGATE_BASIC_INFORMATION: what FilterFindFirst
// returns for one filter, with names behind it. learn.microsoft.com:
// "FILTER_AGGREGATE_BASIC_INFORMATION structure".
type filterAggregate struct {
	Next  uint32 // bytes to the next one
	Flags uint32 // 1 minifilter, 2 legacy
	// of a minifilter; a legacy filter has its name's length and offset in the first two
	FrameID        uint32
	Instances      uint32
	NameLength     uint16
	NameOffset     uint16
	AltitudeLength uint16
	AltitudeOffset uint16
}

// filters lists the loaded file system filters, which only an administrator may.
func filters(ctx context.Context, _ *Host, _ map[string]string) (any, error) {
	out := host.FilterDrivers{Filters: []host.FilterDriver{}}
	const aggregateBasic = 1
	buf := make([]uint64, 2048/8)
	var find windows.Handle
	var n uint32
	r, err := invoke(dllFilter, "FilterFindFirst", aggregateBasic, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)*8),
		uintptr(unsafe.Pointer(&n)), uintptr(unsafe.Pointer(&find)))
	if missing(err) {
		return nil, err
	}
	const noMore = 0x80070103 // HRESULT_FROM_WIN32(ERROR_NO_MORE_ITEMS)
	if uint32(r) == noMore {
		return out, nil
	}
	if err := hresult("FilterFindFirst", r); err != nil {
		return nil, err
	}
	defer invoke(dllFilter, "FilterFindClose", uintptr(find))
	for len(out.Filters) < 500 && ctx.Err() == nil {
		if f, ok := filterDriver(unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), min(int(n), len(buf)*8))); ok {
			out.Filters = append(out.Filters, f)
		}
		r, _ := invoke(dllFilter, "FilterFindNext", uintptr(find), aggregateBasic, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)*8), uintptr(unsafe.Pointer(&n)))
		if uint32(r) == noMore {
			break
		}
		if err := hresult("FilterFindNext", r); err != nil {
			return nil, err // half of a list would make the rest absent
		}
	}
	return out, ctx.Err()
}

// filterDriver reads one record.
func filterDriver(b []byte) (host.FilterDriver, bool) {
	if len(b) < int(unsafe.Sizeof(filterAggregate{})) {
		return host.FilterDriver{}, false
	}
	a := *(*filterAggregate)(unsafe.Pointer(&b[0]))
	name := func(offset, length uint16) string {
		if length == 0 || int(offset)+int(length) > len(b) || offset%2 != 0 {
			return ""
		}
		return windows.UTF16ToString(unsafe.Slice((*uint16)(unsafe.Pointer(&b[offset])), length/2))
	}
	f := host.FilterDriver{Instances: int(a.Instances), Frame: int(a.FrameID), Name: name(a.NameOffset, a.NameLength), Altitude: name(a.AltitudeOffset, a.AltitudeLength)}
	if a.Flags == 2 {
		f = host.FilterDriver{Instances: -1, Legacy: true, Name: name(uint16(a.FrameID>>16), uint16(a.FrameID))}
	}
	return f, f.Name != ""
}

// Profiles of Windows Firewall. learn.microsoft.com: "NET_FW_PROFILE_TYPE2".
var firewallProfiles = []struct {
	bit  int64
	name string
}{{1, "domain"}, {2, "private"}, {4, "public"}}

// firewallTime is what the firewall's service may take: thousands of rules are
// read one by one.
const firewallTime = 20 * time.Second

// firewall reads what the firewall goes by, and asks INetFwPolicy2 which profile is in
// use. Its rules are asked only where the registry cannot be read: it knows neither the
// rules that policies bring nor the names by which rules are switched.
func firewall(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	limited, cancel := context.WithTimeout(ctx, firewallTime)
	defer cancel()
	out, rerr := host.ReadFirewall(ctx, h)
	told, err := inApartment(limited, h.com, "firewall", func(a *apartment) (host.Firewall, error) { return firewallCOM(a, rerr != nil) })
	switch {
	case err != nil && rerr != nil:
		return nil, fmt.Errorf("%w; registry: %v", err, rerr) // that the registry has none proves nothing
	case err != nil:
		out.Unseen = append(out.Unseen, unseenPart("com", err))
	case rerr != nil:
		out = told
		out.Unseen = append(out.Unseen, unseenPart("registry", rerr))
	default:
		out.By = told.By
		for i := range out.Profiles {
			for _, p := range told.Profiles {
				if p.Name == out.Profiles[i].Name {
					out.Profiles[i].Active = p.Active
				}
			}
		}
	}
	out.Service = -1
	switch s, err := h.Service(ctx, "mpssvc"); {
	case err == nil:
		out.Service = s.State
	case !errors.Is(err, host.ErrNotExist):
		out.Unseen = append(out.Unseen, unseenPart("service", err))
	}
	return out, nil
}

// maxRules bounds the rules that are read.
const maxRules = 5000

// firewallCOM asks the firewall's service for its profiles, and for the rules of this
// machine if they are wanted.
func firewallCOM(a *apartment, rules bool) (host.Firewall, error) {
	out := host.Firewall{By: "com", Blocking: []host.FirewallRule{}, Rules: -1}
	policy, err := a.create("HNetCfg.FwPolicy2")
	if err != nil {
		return out, err
	}
	active, err := policy.number("CurrentProfileTypes")
	if err != nil {
		return out, err
	}
	for _, p := range firewallProfiles {
		on, err := policy.get("FirewallEnabled", int32(p.bit))
		if err != nil {
			return out, err
		}
		action, err := policy.get("DefaultOutboundAction", int32(p.bit)) // 0 block, 1 allow
		if err != nil {
			return out, err
		}
		enabled, _ := on.(bool)
		n, known := action.(int64)
		out.Profiles = append(out.Profiles, host.FirewallProfile{Name: p.name, Active: active&p.bit != 0, Enabled: enabled, BlockOutbound: known && n == 0})
	}
	if !rules {
		return out, nil
	}
	list, err := policy.object("Rules")
	if err != nil {
		return out, err
	}
	if n, err := list.number("Count"); err == nil {
		out.Rules = int(n)
	}
	err = list.each(maxRules, func(rule object) error {
		defer a.drop(rule)
		const outbound, block = 2, 0
		direction, err := rule.number("Direction")
		if err != nil || direction != outbound {
			return err
		}
		action, err := rule.number("Action")
		if err != nil || action != block || !rule.flag("Enabled") {
			return err
		}
		protocol, err := rule.number("Protocol")
		if err != nil {
			return err
		}
		profiles, err := rule.number("Profiles")
		if err != nil {
			return err
		}
		r := host.FirewallRule{
			Name: rule.text("Name"), Display: rule.text("Name"), Program: rule.text("ApplicationName"), Service: rule.text("ServiceName"),
			Protocol: int(protocol), Profiles: uint32(profiles), Remote: rule.text("RemoteAddresses"), Ports: rule.text("RemotePorts"),
		}
		out.Blocking = append(out.Blocking, r)
		return nil
	})
	return out, err
}
