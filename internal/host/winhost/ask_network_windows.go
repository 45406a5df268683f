package winhost

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Interface types of the IANA that tell a tunnel.
const (
	ifLoopback = 24
	ifVirtual  = 53 // what WireGuard, OpenVPN and most products register as
	ifTunnel   = 131
)

// Tunnels that Windows makes by itself are no VPN: 6to4, ISATAP, Teredo, IP-HTTPS.
// learn.microsoft.com: "TUNNEL_TYPE enumeration".
var windowsTunnels = []uint32{11, 13, 14, 15}

// adapterDHCP is IP_ADAPTER_DHCP_ENABLED.
const adapterDHCP = 0x04

// maxAdapters bounds the lists: a machine with hundreds of virtual switches is real.
const maxAdapters = 2000

// adapters asks GetAdaptersAddresses and GetIpForwardTable2.
func adapters(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	var out host.Adapters
	var err error
	if out.Host, err = computerName(windows.ComputerNamePhysicalDnsHostname); err != nil {
		out.Unseen = append(out.Unseen, unseenPart("host", err))
	}
	if out.Domain, err = computerName(windows.ComputerNamePhysicalDnsDomain); err != nil {
		out.Unseen = append(out.Unseen, unseenPart("domain", err))
	}
	if out.Adapters, err = listAdapters(); err != nil {
		return nil, err
	}
	if out.Routes, err = listRoutes(); err != nil {
		out.Unseen = append(out.Unseen, unseenPart("routes", err))
	}
	for i := range out.Adapters {
		if a := &out.Adapters[i]; a.Type == host.IfPPP {
			if a.Forced, err = forced(ctx, h, a.Name); err != nil {
				out.Unseen = append(out.Unseen, unseenPart("forced", err))
			}
		}
	}
	return out, ctx.Err()
}

// forced says who keeps a VPN of Windows' own up: the connection manager notes the
// profiles that it connects by itself, and those of them that a person switched off.
// learn.microsoft.com: "VPNv2 CSP" (AlwaysOn, DeviceTunnel), "VPN auto-triggered
// profile options".
func forced(ctx context.Context, r host.Reader, connection string) (string, error) {
	const manager = `HKLM\SYSTEM\CurrentControlSet\Services\RasMan`
	for _, place := range []struct{ key, who string }{{`\DeviceTunnel`, host.ForcedDevice}, {`\Config`, host.ForcedAlways}} {
		k, err := r.Key(ctx, manager+place.key)
		if errors.Is(err, host.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		profile, _ := k.Value("AutoTriggerProfileEntryName")
		name, _ := profile.String()
		list, _ := k.Value("AutoTriggerDisabledProfilesList")
		off, _ := list.Strings()
		if strings.EqualFold(name, connection) && !slices.ContainsFunc(off, func(o string) bool { return strings.EqualFold(o, name) }) {
			return place.who, nil
		}
	}
	return "", nil
}

func computerName(which uint32) (string, error) {
	buf := make([]uint16, 1024)
	n := uint32(len(buf))
	if err := windows.GetComputerNameEx(which, &buf[0], &n); err != nil {
		return "", wrap("GetComputerNameEx", err)
	}
	return windows.UTF16ToString(buf), nil
}

func listAdapters() ([]host.Adapter, error) {
	const flags = windows.GAA_FLAG_INCLUDE_GATEWAYS | windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST
	size := uint32(32 << 10)
	var buf []uint64 // the list's alignment
	for range 5 {    // it may grow between two calls
		buf = make([]uint64, (size+7)/8)
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0])), &size)
		if err == nil {
			break
		}
		if is(err, windows.ERROR_NO_DATA) {
			return []host.Adapter{}, nil
		}
		if !is(err, windows.ERROR_BUFFER_OVERFLOW) || size > 64<<20 {
			return nil, wrap("GetAdaptersAddresses", err)
		}
		buf = nil
	}
	if buf == nil {
		return nil, wrap("GetAdaptersAddresses", windows.ERROR_BUFFER_OVERFLOW)
	}
	out := []host.Adapter{}
	for a := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0])); a != nil && len(out) < maxAdapters; a = a.Next {
		if a.IfType != ifLoopback {
			out = append(out, adapterOf(a))
		}
	}
	return out, nil
}

func adapterOf(a *windows.IpAdapterAddresses) host.Adapter {
	out := host.Adapter{
		ID:          windows.BytePtrToString(a.AdapterName),
		Name:        windows.UTF16PtrToString(a.FriendlyName),
		Description: windows.UTF16PtrToString(a.Description),
		Index:       max(a.IfIndex, a.Ipv6IfIndex),
		Type:        a.IfType,
		Tunnel:      a.TunnelType,
		Up:          a.OperStatus == windows.IfOperStatusUp,
		MTU:         a.Mtu,
		Suffix:      windows.UTF16PtrToString(a.DnsSuffix),
		DHCP:        a.Flags&adapterDHCP != 0,
		Metric4:     a.Ipv4Metric,
		Metric6:     a.Ipv6Metric,
	}
	if a.TransmitLinkSpeed != 1<<64-1 {
		out.Speed = a.TransmitLinkSpeed
	}
	if n := a.PhysicalAddressLength; n > 0 && int(n) <= len(a.PhysicalAddress) {
		var parts []string
		for _, b := range a.PhysicalAddress[:n] {
			parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{b})))
		}
		out.MAC = strings.Join(parts, "-")
	}
	for s := a.FirstDnsSuffix; s != nil && len(out.Suffixes) < 100; s = s.Next {
		out.Suffixes = append(out.Suffixes, windows.UTF16ToString(s.String[:]))
	}
	for u := a.FirstUnicastAddress; u != nil && len(out.Addresses) < 500; u = u.Next {
		if addr, ok := addressOf(u.Address); ok {
			out.Addresses = append(out.Addresses, netip.PrefixFrom(addr.WithZone(""), int(u.OnLinkPrefixLength)))
		}
	}
	for g := a.FirstGatewayAddress; g != nil && len(out.Gateways) < 100; g = g.Next {
		if addr, ok := addressOf(g.Address); ok {
			out.Gateways = append(out.Gateways, addr)
		}
	}
	for d := a.FirstDnsServerAddress; d != nil && len(out.DNS) < 100; d = d.Next {
		if addr, ok := addressOf(d.Address); ok {
			out.DNS = append(out.DNS, addr)
		}
	}
	out.VPN = vpnOf(out)
	return out
}

// vpnOf names the product that an adapter belongs to. A dial-up or tunnel adapter
// of none that is known is a VPN all the same: Windows' own clients use them.
func vpnOf(a host.Adapter) string {
	if p := winlog.VPNProduct(a.Description + " " + a.Name); p != "" {
		return p
	}
	if a.Type == host.IfPPP || a.Type == ifTunnel && !slices.Contains(windowsTunnels, a.Tunnel) && a.Tunnel != 0 {
		return "unknown"
	}
	return ""
}

func addressOf(s windows.SocketAddress) (netip.Addr, bool) {
	if s.Sockaddr == nil {
		return netip.Addr{}, false
	}
	switch {
	case s.Sockaddr.Addr.Family == windows.AF_INET && s.SockaddrLength >= int32(unsafe.Sizeof(windows.RawSockaddrInet4{})):
		return netip.AddrFrom4((*windows.RawSockaddrInet4)(unsafe.Pointer(s.Sockaddr)).Addr), true
	case s.Sockaddr.Addr.Family == windows.AF_INET6 && s.SockaddrLength >= int32(unsafe.Sizeof(windows.RawSockaddrInet6{})):
		return netip.AddrFrom16((*windows.RawSockaddrInet6)(unsafe.Pointer(s.Sockaddr)).Addr).Unmap(), true
	}
	return netip.Addr{}, false
}

// maxRoutes bounds the table; a machine that speaks a routing protocol has more.
const maxRoutes = 5000

// listRoutes returns the routes that are not of one address, multicast or loopback:
// those that decide where update requests go.
func listRoutes() ([]host.Route, error) {
	if p := dllNetwork.NewProc("GetIpForwardTable2"); p.Find() != nil {
		return nil, &failure{op: "GetIpForwardTable2", err: windows.ERROR_PROC_NOT_FOUND, code: 0x8007007F}
	}
	var table *windows.MibIpForwardTable2
	if err := windows.GetIpForwardTable2(windows.AF_UNSPEC, &table); err != nil {
		return nil, wrap("GetIpForwardTable2", err)
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	var out []host.Route
	for _, row := range table.Rows() {
		to, ok := inetAddress(&row.DestinationPrefix.Prefix)
		if !ok || to.IsMulticast() || to.IsLoopback() || int(row.DestinationPrefix.PrefixLength) == to.BitLen() || len(out) >= maxRoutes {
			continue
		}
		r := host.Route{To: netip.PrefixFrom(to, int(row.DestinationPrefix.PrefixLength)), Index: row.InterfaceIndex, Metric: row.Metric}
		if via, ok := inetAddress(&row.NextHop); ok && !via.IsUnspecified() {
			r.Via = via
		}
		out = append(out, r)
	}
	return out, nil
}

func inetAddress(a *windows.RawSockaddrInet) (netip.Addr, bool) {
	switch a.Family {
	case windows.AF_INET:
		return netip.AddrFrom4((*windows.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), true
	case windows.AF_INET6:
		return netip.AddrFrom16((*windows.RawSockaddrInet6)(unsafe.Pointer(a)).Addr), true
	}
	return netip.Addr{}, false
}
