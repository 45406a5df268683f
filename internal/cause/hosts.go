package cause

import (
	"slices"
	"strings"

	"updoc/internal/facts"
)

// What a name of the update service is needed for. A machine without a vital
// one cannot update; without a helper it only reports or shares less.
type hostRole uint8

const (
	roleNone   hostRole = iota
	roleHelper          // reporting, peer search, traffic shaping: updates go on without
	roleVital           // scan, download, verification
)

// updateHosts are the names that Windows Update asks for, most special first; a
// leading dot stands for the name and all names below it. From
// learn.microsoft.com: "Manage connection endpoints for Windows 11", "Windows
// Update issues troubleshooting" (device can't access update files), "Delivery
// Optimization endpoints", "Configure WSUS".
var updateHosts = [...]struct {
	name string
	role hostRole
}{
	{".statsfe1.update.microsoft.com", roleHelper},
	{".statsfe2.update.microsoft.com", roleHelper},
	{".statsfe1.ws.microsoft.com", roleHelper},
	{".statsfe2.ws.microsoft.com", roleHelper},
	{".do.dsp.mp.microsoft.com", roleHelper},
	{".trafficshaping.dsp.mp.microsoft.com", roleHelper},
	{".update.microsoft.com", roleVital},
	{".delivery.mp.microsoft.com", roleVital},
	{".windowsupdate.com", roleVital},
	{".windowsupdate.microsoft.com", roleVital},
	{".emdl.ws.microsoft.com", roleVital},
	{".adl.windows.com", roleVital}, // feature updates stop with 0xC1900223 without it
	{".wustat.windows.com", roleHelper},
	{".download.microsoft.com", roleVital},
	{".definitionupdates.microsoft.com", roleVital},
	{".api.cdp.microsoft.com", roleHelper},
	{".update.msft.com.trafficmanager.net", roleVital},
}

// hostAliases are the tails under which content networks serve the same names;
// block lists often carry the alias and not the name.
var hostAliases = [...]string{
	".akadns.net", ".nsatc.net", ".c.footprint.net", ".trafficmanager.net", ".akamaized.net", ".edgesuite.net", ".l.windowsupdate.com",
}

// updateHostRole says what a host name means to Windows Update.
func updateHostRole(name string) hostRole {
	name = "." + strings.TrimSuffix(strings.ToLower(name), ".")
	for _, h := range updateHosts {
		if strings.HasSuffix(name, h.name) {
			return h.role
		}
	}
	for _, alias := range hostAliases {
		if bare, ok := strings.CutSuffix(name, alias); ok {
			return updateHostRole(bare[1:])
		}
	}
	return roleNone
}

// hostsFile judges the hosts file. An entry that sends a vital name nowhere
// explains every failure to reach the service by itself; one that sends it to a
// fixed address breaks as soon as the address moves.
func hostsFile(l *look) {
	if l.Hosts.State != facts.Present {
		return
	}
	wsus := policyServer(l)
	var helper, pinned *facts.HostsLine
	for i, e := range l.Hosts.Value {
		role := roleNone
		for _, name := range e.Names {
			role = max(role, updateHostRole(name))
			if wsus != "" && strings.EqualFold(name, wsus) {
				role = roleVital
			}
		}
		switch {
		case role == roleVital && e.Sinks():
			l.For(Conclusive, e.Source, "%s %s", e.Addr, strings.Join(e.Names, " "))
			l.Cure("comment-out-hosts-entries", "flush-dns-cache")
			return
		case role == roleVital && pinned == nil:
			pinned = &l.Hosts.Value[i]
		case role == roleHelper && helper == nil:
			helper = &l.Hosts.Value[i]
		}
	}
	switch {
	case pinned != nil && !slices.Contains(pinned.Names, wsus):
		l.For(Strong, pinned.Source, "%s %s", pinned.Addr, strings.Join(pinned.Names, " "))
		l.Cure("comment-out-hosts-entries")
	case helper != nil:
		l.For(Weak, helper.Source, "%s %s", helper.Addr, strings.Join(helper.Names, " "))
	default:
		l.Against(Moderate, l.Hosts.Source, "no entry of the hosts file touches an update host")
	}
}
