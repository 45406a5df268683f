package cause

import (
	"cmp"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Rules for what a machine answers of itself: its firewall, the products that are
// registered with Windows Security, its volumes, what waits for a restart, and who
// manages it. A bundle holds the answers, so that it says what the machine said.

// The profiles of the firewall, as bits of a rule. learn.microsoft.com:
// NET_FW_PROFILE_TYPE2 enumeration.
var profileBits = map[string]uint32{"domain": 1, "private": 2, "public": 4}

// serviceRunning is SERVICE_RUNNING.
const serviceRunning = 4

// firewallRules counts rules and defaults of Windows Firewall that keep the update
// services from the network, in the profiles that are in use. Without its service
// nothing is filtered.
func firewallRules(l *look) {
	fw := l.Firewall.Value
	if l.Firewall.State != facts.Present || fw.Service >= 0 && fw.Service != serviceRunning {
		return
	}
	_, unreached := l.hit(codesUnreached)
	var on uint32
	for _, p := range fw.Profiles {
		if p.Active && p.Enabled {
			on |= profileBits[p.Name]
		}
	}
	for _, r := range fw.Blocking {
		if on&r.Profiles == 0 || !r.TouchesUpdates() {
			continue
		}
		w := Moderate // of one service among several: the others go on without it
		if r.Service == "" || r.Service == "*" || strings.EqualFold(r.Service, "wuauserv") {
			w = Strong
			if unreached {
				w = Conclusive
			}
		}
		l.For(w, l.Firewall.Source, "the rule %q blocks what goes out: program %s, service %s, ports %s",
			cmp.Or(r.Display, r.Name), cmp.Or(r.Program, "any"), cmp.Or(r.Service, "any"), cmp.Or(r.Ports, "any"))
		if r.Policy {
			l.Cure("tell-network-allow-update-hosts")
		} else {
			l.Cure("disable-blocking-firewall-rules")
		}
		return
	}
	for _, p := range fw.Profiles {
		if !p.Active || !p.Enabled || !p.BlockOutbound {
			continue
		}
		w := Weak // there may be rules that let the services through
		if unreached {
			w = Strong
		}
		l.For(w, l.Firewall.Source, "what no rule allows may not go out in the %s profile", p.Name)
		if p.Policy {
			l.Cure("tell-network-allow-update-hosts")
		} else {
			l.Cure("disable-blocking-firewall-rules")
		}
		return
	}
}

// registeredFirewall counts a firewall of another maker that is on: it filters before
// Windows' own does, and tells nobody.
func registeredFirewall(l *look) {
	p, ok := l.registered("firewall")
	if !ok {
		return
	}
	w := Weak
	if _, unreached := l.hit(codesUnreached); unreached {
		w = Moderate
		l.Cure("test-without-third-party-firewall")
	}
	l.For(w, l.Security.Source, "Windows Security lists the firewall %s, which is on", p.Name)
}

// registeredAntivirus counts an antivirus of another maker that is on. Who may list
// the filter drivers has seen it there; Windows Security tells everybody.
func registeredAntivirus(l *look) {
	if l.Security.State != facts.Present || l.Filters.State == facts.Present && len(l.Filters.Value) > 0 {
		return
	}
	p, ok := l.registered("antivirus")
	switch _, held := l.hit(codesHeld); {
	case ok && held:
		l.For(Moderate, l.Security.Source, "Windows Security lists the antivirus %s, which is on", p.Name)
	case ok:
		l.For(Weak, l.Security.Source, "Windows Security lists the antivirus %s, which is on", p.Name)
	case len(l.Security.Value.Products) > 0 && len(l.Security.Value.Unseen) == 0:
		l.Against(Weak, l.Security.Source, "Windows Security lists no antivirus but Microsoft Defender")
	}
}

// registered returns a product of another maker that is on.
func (l *look) registered(kind string) (host.SecurityProduct, bool) {
	list := l.Security.Value.Products
	i := slices.IndexFunc(list, func(p host.SecurityProduct) bool { return p.Kind == kind && p.On && !p.Defender })
	if l.Security.State != facts.Present || i < 0 {
		return host.SecurityProduct{}, false
	}
	return list[i], true
}

// Room that updates need.
const (
	winreRoom   = 250 << 20 // in the recovery partition; support.microsoft.com: KB5028997
	bootRoom    = 15 << 20  // in the partition that starts Windows; support.microsoft.com: "We couldn't update the system reserved partition"
	hardlyRoom  = 1 << 30   // on the system drive: no cumulative update unpacks in less
	littleRoom  = 4 << 30
	upgradeRoom = 20 << 30 // for an upgrade; learn.microsoft.com: Windows 11 upgrade quick fixes, "Verify disk space"
	enoughRoom  = 40 << 30
)

// systemRoom counts the room on the system drive: hardly any is trouble by itself, a
// little where an update failed, and plenty speaks against it.
func systemRoom(l *look) {
	v, ok := l.volume(func(v host.Volume) bool {
		return slices.ContainsFunc(v.Paths, func(p string) bool {
			return l.Volumes.Value.System != "" && strings.EqualFold(strings.TrimSuffix(p, `\`), l.Volumes.Value.System)
		})
	})
	if !ok || v.Free < 0 {
		return
	}
	_, full := l.hit([]codes.HRESULT{0x80070070, 0xC190020E, 0x80070027, 0x80246007})
	switch {
	case v.Free < hardlyRoom:
		l.For(Strong, l.Volumes.Source, "%d MB are free on %s", v.Free>>20, l.Volumes.Value.System)
	case v.Free < littleRoom && len(l.Suffering()) > 0, v.Free < upgradeRoom && l.atSetup():
		l.For(Moderate, l.Volumes.Source, "%d MB are free on %s", v.Free>>20, l.Volumes.Value.System)
	case v.Free > enoughRoom && !full:
		l.Against(Moderate, l.Volumes.Source, "%d GB are free on %s", v.Free>>30, l.Volumes.Value.System)
	}
}

// bootPartitionRoom counts the room in the partition that starts Windows, which an
// upgrade and the update of the boot manager write to.
func bootPartitionRoom(l *look) {
	v, ok := l.volume(func(v host.Volume) bool { return v.Role == host.RoleEFI || v.Role == host.RoleSystem && v.Size < 1<<30 })
	if !ok || v.Free < 0 {
		return
	}
	_, named := l.first([]string{"boot-files-no-space", "note-small-boot-partition"})
	_, code := l.hit([]codes.HRESULT{0xC1900104, 0x800F0922, 0x80070070})
	switch {
	case v.Free < bootRoom && (named || code || l.atSetup()):
		l.For(Strong, l.Volumes.Source, "%d KB are free in the %s partition", v.Free>>10, v.Role)
	case v.Free < bootRoom:
		l.For(Weak, l.Volumes.Source, "%d KB are free in the %s partition", v.Free>>10, v.Role)
	case v.Free > 2*bootRoom:
		l.Against(Moderate, l.Volumes.Source, "%d MB are free in the %s partition", v.Free>>20, v.Role)
	}
}

// recoveryRoom counts the room in the recovery partition. It is small on most machines
// and harms nobody but the update that renews what is in it.
func recoveryRoom(l *look) {
	v, ok := l.volume(func(v host.Volume) bool { return v.Role == host.RoleRecovery })
	if !ok || v.Free < 0 {
		return
	}
	_, named := l.first([]string{"winre-no-space", "winre-kb-failed"})
	switch {
	case v.Free < winreRoom && named:
		l.For(Strong, l.Volumes.Source, "%d MB are free in the recovery partition of %d MB, and its update needs %d", v.Free>>20, v.Size>>20, winreRoom>>20)
	case v.Free >= winreRoom:
		l.Against(Moderate, l.Volumes.Source, "%d MB are free in the recovery partition", v.Free>>20)
	}
}

// volume returns the fixed volume with the least room among those that fit.
func (l *look) volume(fits func(host.Volume) bool) (least host.Volume, ok bool) {
	const fixed = 3 // DRIVE_FIXED
	for _, v := range l.Volumes.Value.Volumes {
		if l.Volumes.State == facts.Present && v.Drive == fixed && fits(v) && v.Free >= 0 && (!ok || v.Free < least.Free) {
			least, ok = v, true
		}
	}
	return least, ok
}

// restartWaits counts what waits for a restart beyond the keys of servicing, which are
// there after every update: a list of operations that servicing has not finished.
func restartWaits(l *look) {
	r := l.Restart.Value
	switch {
	case l.Restart.State != facts.Present:
	case r.InProgress:
		l.For(Moderate, l.Restart.Source, "servicing says that a restart is under way, and Windows runs")
	case r.PendingXML:
		l.For(Moderate, l.Restart.Source, "WinSxS\\pending.xml is there: operations wait for a restart")
	case r.Update:
		l.For(Weak, l.Restart.Source, "Windows Update waits for a restart")
	case !r.Any() && len(r.Unseen) == 0:
		l.Against(Weak, l.Restart.Source, "nothing of servicing or of Windows Update waits for a restart")
	}
}

// managed says whether somebody sets policies on this machine, by its own answer: a
// domain, a management server, Configuration Manager's client. known is false where it
// could not be looked at.
func (l *look) managed() (who string, known bool) {
	m := l.Management.Value
	if l.Management.State != facts.Present {
		return "", false
	}
	for _, o := range m.Owners {
		switch o.Owner {
		case host.OwnerDomain, host.OwnerMDM, host.OwnerConfigMgr:
			return o.Name + " belongs to " + o.Owner, true
		}
	}
	switch {
	case m.Joined == "domain":
		return "it is in the domain " + m.Name, true
	case l.Device.Value.AzureADJoined == winlog.Yes:
		return "it is joined to " + cmp.Or(l.Device.Value.TenantName, "an Entra tenant"), true
	case m.ConfigMgr != nil && *m.ConfigMgr:
		return "Configuration Manager's client is installed", true
	}
	for _, e := range m.Enrolled {
		const enrolled = 1
		if e.State == enrolled {
			return "it is enrolled with " + cmp.Or(e.Provider, e.URL, "a management server"), true
		}
	}
	return "", (m.Joined == "workgroup" || m.Joined == "unjoined") && m.ConfigMgr != nil && len(m.Unseen) == 0
}
