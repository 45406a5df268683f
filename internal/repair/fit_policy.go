package repair

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// Registry places that policies of updating live in. Group Policy writes below
// Policies, a device manager below PolicyManager, the Settings app below UX.
const (
	keyUpdatePolicy = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	keyAUPolicy     = keyUpdatePolicy + `\AU`
	keyMDMUpdate    = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\Update`
	keyUserUpdate   = `HKCU\Software\Microsoft\Windows\CurrentVersion\Policies\WindowsUpdate`
	keySettings     = `HKLM\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings`
)

// fitPolicy fits the remedies for update policy and its owners.
func fitPolicy() map[string]fitter {
	return map[string]fitter{
		"check-update-policies":                 fitLookPolicies,
		"check-wsus-reachability":               fitLookServer,
		"connect-company-vpn":                   fitConnectVPN,
		"resume-paused-updates":                 fitResume,
		"correct-wsus-url":                      fitServerAddress,
		"remove-stale-wsus-policy":              fitStaleServer,
		"remove-leftover-update-policy":         fitLeftovers,
		"set-scan-source-policy":                fitScanSource,
		"refresh-group-policy":                  fitRefreshPolicy,
		"reset-wsus-client-id":                  fitClientID,
		"enable-features-from-windows-update":   fitFeatureSource,
		"set-delivery-optimization-simple-mode": fitSimpleMode,
		"restore-signature-check-setting":       fitSignatureSetting,
		"renew-device-ticket":                   fitDeviceTicket,
		"trust-wsus-certificate":                tellServer,

		"tell-policy-owner":               fitTellOwner,
		"tell-wsus-mend-service":          tellServer,
		"tell-wsus-clean-up":              tellServer,
		"tell-wsus-raise-web-limits":      tellServer,
		"tell-wsus-correct-iis-site":      tellServer,
		"tell-wsus-repair-content":        tellServer,
		"tell-wsus-install-server-update": tellServer,
		"tell-wsus-sync-products":         tellServer,
		"tell-wsus-resign-update":         tellServer,
	}
}

// value is the place of a registry value.
type value struct{ key, name string }

// present returns those of the values that are there and say something: a number
// that is not 0, a text that is not empty. known is false if nobody looked at some.
func (f *fit) present(values []value) (there []value, known bool) {
	known = true
	for _, v := range values {
		x := f.Value(v.key, v.name)
		switch x.State {
		case facts.Unknown:
			known = false
			continue
		case facts.Absent:
			continue
		}
		n, number := x.Value.DWord()
		text, isText := x.Value.String()
		if !(number && n == 0) && !(isText && strings.TrimSpace(text) == "") {
			there = append(there, v)
		}
	}
	return there, known
}

// keyPolicyCache is where the agent of newer builds keeps copies of the update
// policies. It goes on reading a copy that is no longer true: field reports of
// settings that outlive their policy name it.
const keyPolicyCache = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\UpdatePolicy\GPCache\`

// drop removes values that nobody owns, and the agent's copies of them, while a
// service that reads them rests.
func (f *fit) drop(values []value, services ...string) {
	f.stopped(services, func() {
		for _, v := range values {
			f.do(host.Change{Kind: host.ValueDel, Path: v.key, Name: v.name})
		}
		for _, set := range []string{"CacheSet001", "CacheSet002"} {
			for _, v := range values {
				below, policy := strings.CutPrefix(v.key, keyUpdatePolicy)
				copied := keyPolicyCache + set + `\WindowsUpdate` + below
				if policy && f.Value(copied, v.name).State == facts.Present {
					f.do(host.Change{Kind: host.ValueDel, Path: copied, Name: v.name})
				}
			}
		}
	})
}

// serverValues are what points a machine to a WSUS.
var serverValues = []value{
	{keyAUPolicy, "UseWUServer"}, {keyUpdatePolicy, "WUServer"}, {keyUpdatePolicy, "WUStatusServer"}, {keyUpdatePolicy, "UpdateServiceUrlAlternate"},
}

// fitStaleServer takes the leftovers of a WSUS away that the machine has left. What
// forbids to ask Microsoft instead goes with them: without both there is no source.
func fitStaleServer(f *fit) {
	there, known := f.present(serverValues)
	switch {
	case len(there) == 0 && known && f.Text(keyMDMUpdate, "UpdateServiceUrl").Value != "":
		f.not("plan.owned", "owner", message.English().Text("plan.owner.mdm"))
	case len(there) == 0 && known:
		f.not("plan.policy.no-wsus")
	case len(there) == 0:
		f.unlooked(keyUpdatePolicy)
	case f.serverAnswers():
		f.not("plan.policy.server-answers", "server", f.ownServer())
	case f.owned(there...):
	default:
		forbids, _ := f.present([]value{{keyUpdatePolicy, "DoNotConnectToWindowsUpdateInternetLocations"}})
		f.drop(append(there, forbids...), "wuauserv")
		f.lead("plan.policy.comes-back")
	}
}

// serverAnswers reports that the walk reached the WSUS and got what it asked for: it
// is no leftover, whatever else is wrong.
func (f *fit) serverAnswers() bool {
	own := f.ownServer()
	if f.Route == nil || own == "" {
		return false
	}
	return slices.ContainsFunc(f.Route.Trips, func(t route.Trip) bool {
		a := t.Deciding()
		return t.Task.Vital && hostOf(t.Task.Request.URL) == own && a != nil && a.Exchange.Broken() == nil
	})
}

// leftovers are the policies that forbid, defer or pin updates. learn.microsoft.com:
// Manage additional Windows Update settings; Policy CSP - Update.
var leftovers = []value{
	{keyUpdatePolicy, "DisableWindowsUpdateAccess"},
	{keyUpdatePolicy, "DoNotConnectToWindowsUpdateInternetLocations"},
	{keyUpdatePolicy, "SetDisableUXWUAccess"},
	{keyUserUpdate, "DisableWindowsUpdateAccess"},
	{keyAUPolicy, "NoAutoUpdate"},
	{keyUpdatePolicy, "TargetReleaseVersion"},
	{keyUpdatePolicy, "TargetReleaseVersionInfo"},
	{keyUpdatePolicy, "ProductVersion"},
	{keyUpdatePolicy, "BranchReadinessLevel"},
	{keyUpdatePolicy, "DeferFeatureUpdates"},
	{keyUpdatePolicy, "DeferFeatureUpdatesPeriodInDays"},
	{keyUpdatePolicy, "DeferQualityUpdates"},
	{keyUpdatePolicy, "DeferQualityUpdatesPeriodInDays"},
	{keyUpdatePolicy, "PauseFeatureUpdatesStartTime"},
	{keyUpdatePolicy, "PauseQualityUpdatesStartTime"},
	{keyUpdatePolicy, "ExcludeWUDriversInQualityUpdate"},
}

// fitLeftovers removes what forbids, defers or pins updates on a machine that nobody
// manages, each value by its name. A server that never was one belongs to it.
func fitLeftovers(f *fit) {
	there, known := f.present(leftovers)
	if v := f.DWord(keyAUPolicy, "AUOptions"); v.State == facts.Present && v.Value == 1 { // automatic updating is off
		there = append(there, value{keyAUPolicy, "AUOptions"})
	}
	if v := f.Text(keyUpdatePolicy, "WUServer"); v.State == facts.Present && noServer(v.Value) {
		server, _ := f.present(serverValues)
		there = append(there, server...)
	}
	switch {
	case len(there) == 0 && known:
		f.not("plan.policy.no-leftovers")
	case len(there) == 0:
		f.unlooked(keyUpdatePolicy)
	case f.owned(there...):
	default:
		f.drop(there, "wuauserv")
		f.lead("plan.policy.comes-back")
	}
}

// noServer reports an address that names the machine itself, or nothing that can
// exist: tools write such ones to keep updates off.
func noServer(address string) bool {
	name := hostOf(address)
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	return strings.TrimSpace(address) != "" && (name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".invalid") ||
		!strings.Contains(address, "://") && !strings.Contains(address, "."))
}

// fitServerAddress writes the address of the WSUS as WinHTTP and proxy scripts can
// read it: with a scheme, in small letters, without blanks and quotation marks. What
// the right name is, if it is another one, only its owner knows.
func fitServerAddress(f *fit) {
	server := f.Text(keyUpdatePolicy, "WUServer")
	right := wellFormed(server.Value)
	switch {
	case !server.Known():
		f.unlooked(keyUpdatePolicy + `\WUServer`)
	case server.Value == "":
		f.not("plan.policy.no-wsus")
	case f.owned(value{keyUpdatePolicy, "WUServer"}):
	case right == "" || right == server.Value && f.Text(keyUpdatePolicy, "WUStatusServer").Value == right:
		f.lead("plan.policy.ask-address", "address", server.Value)
		f.lead("remedy." + f.out.ID + ".how")
	default:
		f.lead("plan.policy.address", "before", server.Value, "after", right)
		f.stopped([]string{"wuauserv"}, func() {
			f.do(host.Set(keyUpdatePolicy, "WUServer", textValue(right)))
			if status := f.Text(keyUpdatePolicy, "WUStatusServer"); status.Known() && status.Value != right && (wellFormed(status.Value) != status.Value || status.Value == "") {
				f.do(host.Set(keyUpdatePolicy, "WUStatusServer", textValue(right)))
			}
		})
	}
}

// plainAddress are the characters that names and paths of servers are made of.
const plainAddress = "abcdefghijklmnopqrstuvwxyz0123456789.-_"

// wellFormed returns an address as it has to be written, "" if it cannot be told.
func wellFormed(address string) string {
	s := strings.ToLower(strings.Trim(strings.TrimSpace(address), `"'<>`))
	s = strings.ReplaceAll(strings.TrimSpace(s), `\`, "/")
	scheme := "http://"
	for found := true; found; {
		found = false
		for _, p := range []string{"http://", "https://", "http//", "https//", "http:/", "https:/", "//"} {
			if rest, ok := strings.CutPrefix(s, p); ok && rest != "" {
				if s, found = rest, true; strings.HasPrefix(p, "https") {
					scheme = "https://"
				}
				break
			}
		}
	}
	u, err := url.Parse(scheme + strings.TrimRight(s, "/"))
	if err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#%") ||
		strings.Trim(u.Host, plainAddress+":[]") != "" || strings.Trim(u.Path, plainAddress+"/") != "" || noServer(scheme+s) {
		return ""
	}
	return u.String()
}

// updateClasses are the kinds of update for which a source can be set.
// learn.microsoft.com: Use Windows Update client policies and WSUS together.
var updateClasses = []string{"FeatureUpdates", "QualityUpdates", "DriverUpdates", "OtherUpdates"}

// fitScanSource leaves one source for each kind of update: the WSUS if there is one,
// else Microsoft.
func fitScanSource(f *fit) {
	const prefix = "SetPolicyDrivenUpdateSourceFor"
	s := f.RouteSettings()
	if !f.Value(keyUpdatePolicy, "WUServer").Known() {
		f.unlooked(keyUpdatePolicy)
		return
	}
	if f.owned() {
		return
	}
	server := s.WSUS != "" && s.UseWSUS && !noServer(s.WSUS)
	var classes []value
	for _, c := range updateClasses {
		classes = append(classes, value{keyUpdatePolicy, prefix + c})
	}
	set := false
	for _, c := range classes {
		set = set || f.DWord(c.key, c.name).State == facts.Present
	}
	var work []host.Change
	switch {
	case server && set:
		for _, c := range classes {
			if v := f.DWord(c.key, c.name); v.Value != 1 {
				work = append(work, host.Set(c.key, c.name, numberValue(1)))
			}
		}
		if f.DWord(keyAUPolicy, "UseUpdateClassPolicySource").Value != 1 {
			work = append(work, host.Set(keyAUPolicy, "UseUpdateClassPolicySource", numberValue(1)))
		}
	case server: // deferral policies alone make Windows 10 ask Microsoft beside the WSUS
		if n := f.build(); n >= 10240 && n < 22000 && f.DWord(keyUpdatePolicy, "DisableDualScan").Value != 1 {
			work = append(work, host.Set(keyUpdatePolicy, "DisableDualScan", numberValue(1)))
		}
	default:
		for _, c := range classes {
			if v := f.DWord(c.key, c.name); v.State == facts.Present && v.Value == 1 {
				work = append(work, host.Change{Kind: host.ValueDel, Path: c.key, Name: c.name})
			}
		}
		if v := f.DWord(keyUpdatePolicy, "DoNotConnectToWindowsUpdateInternetLocations"); v.State == facts.Present && v.Value != 0 {
			work = append(work, host.Change{Kind: host.ValueDel, Path: keyUpdatePolicy, Name: "DoNotConnectToWindowsUpdateInternetLocations"})
		}
	}
	if len(work) == 0 {
		f.not("plan.policy.one-source")
		return
	}
	if server {
		f.lead("plan.policy.source-wsus", "server", hostOf(s.WSUS))
	} else {
		f.lead("plan.policy.source-microsoft")
	}
	f.stopped([]string{"wuauserv"}, func() { f.do(work...) })
}

// fitRefreshPolicy fetches the policies of the domain again.
func fitRefreshPolicy(f *fit) {
	if name, known := f.manager(); name == "" && known {
		f.not("plan.policy.nobody")
		return
	}
	f.runs("plan.lasting.policy", "gpupdate", "/target:computer", "/force", "/wait:300")
}

// fitClientID gives the machine a new identity at the WSUS: a copied disk brings the
// identity of the machine that it was copied from. learn.microsoft.com: clients do
// not show up in WSUS.
func fitClientID(f *fit) {
	const key = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`
	var there []value
	known := true
	for _, name := range []string{"SusClientId", "SusClientIdValidation", "PingID", "AccountDomainSid"} {
		v := f.Value(key, name)
		known = known && v.Known()
		if v.State == facts.Present {
			there = append(there, value{key, name})
		}
	}
	switch {
	case len(there) == 0 && !known:
		f.unlooked(key + `\SusClientId`)
	case len(there) == 0:
		f.not("plan.policy.no-client-id")
	default:
		f.drop(there, "wuauserv")
		for i := range f.out.Steps { // the agent makes itself a new id when it starts
			f.out.Steps[i].Anew = f.out.Steps[i].Change.Kind == host.ValueDel
		}
	}
}

// fitFeatureSource lets optional features and repairs come from Microsoft while
// updates come from the WSUS. ADMX Servicing: Specify settings for optional component
// installation and component repair.
func fitFeatureSource(f *fit) {
	const key = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing`
	now := f.DWord(key, "RepairContentServerSource")
	never := f.DWord(key, "UseWindowsUpdate")
	switch {
	case !now.Known():
		f.unlooked(key)
	case now.Value == 2 && never.Value != 2:
		f.not("plan.nothing-to-change", "what", key+`\RepairContentServerSource`)
	case f.owned():
	default:
		f.do(host.Set(key, "RepairContentServerSource", numberValue(2)))
		if never.Value == 2 { // never take payload from Windows Update
			f.do(host.Change{Kind: host.ValueDel, Path: key, Name: "UseWindowsUpdate"})
		}
	}
}

// fitSimpleMode has updates downloaded over plain HTTP, without peers and without
// the cloud service. 100 is no way out: Windows 11 does not know it any more.
// learn.microsoft.com: Delivery Optimization reference.
func fitSimpleMode(f *fit) {
	const key = `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`
	const managed = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\DeliveryOptimization`
	switch now := f.DWord(key, "DODownloadMode"); {
	case !now.Known():
		f.unlooked(key + `\DODownloadMode`)
	case now.Value == 99:
		f.not("plan.nothing-to-change", "what", key+`\DODownloadMode`)
	case f.DWord(managed, "DODownloadMode").State == facts.Present:
		f.not("plan.owned", "owner", message.English().Text("plan.owner.mdm"))
	case f.owned():
	default:
		f.stopped([]string{"DoSvc"}, func() { f.do(host.Set(key, "DODownloadMode", numberValue(99))) })
	}
}

// publishingDefault is what Windows writes for a new user: valid signatures are
// accepted, revocation is looked up. learn.microsoft.com: WinTrust.
const publishingDefault = 0x23C00

func fitSignatureSetting(f *fit) {
	const key = `HKCU\Software\Microsoft\Windows\CurrentVersion\WinTrust\Trust Providers\Software Publishing`
	switch now := f.DWord(key, "State"); {
	case !now.Known():
		f.unlooked(key + `\State`)
	case now.State == facts.Absent || now.Value == publishingDefault:
		f.not("plan.nothing-to-change", "what", key+`\State`)
	default:
		f.do(host.Set(key, "State", numberValue(publishingDefault)))
	}
}

// fitDeviceTicket starts the service that fetches tickets; the rest is a sign-in.
func fitDeviceTicket(f *fit) {
	const service = "wlidsvc"
	if f.Service(service).State == facts.Absent {
		f.not("plan.policy.no-ticket-service")
		return
	}
	if f.disabled(service) {
		f.do(host.Change{Kind: host.ServiceStart, Path: service, Start: &host.Start{Type: winlog.ServiceDemandStart}})
	}
	if f.startType(service) >= 0 {
		f.do(host.Change{Kind: host.ServiceRun, Path: service})
	}
	f.lead("remedy." + f.out.ID + ".how")
}

// pauseValues are what the Settings app keeps of a pause.
var pauseValues = []value{
	{keySettings, "PauseUpdatesExpiryTime"},
	{keySettings, "PauseUpdatesStartTime"},
	{keySettings, "PauseFeatureUpdatesStartTime"},
	{keySettings, "PauseFeatureUpdatesEndTime"},
	{keySettings, "PauseQualityUpdatesStartTime"},
	{keySettings, "PauseQualityUpdatesEndTime"},
}

// fitResume ends a pause that a person chose; a pause by policy is its owner's.
func fitResume(f *fit) {
	const state = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\UpdatePolicy\Settings`
	byPolicy, _ := f.present([]value{
		{keyUpdatePolicy, "PauseFeatureUpdatesStartTime"},
		{keyUpdatePolicy, "PauseQualityUpdatesStartTime"},
		{keyMDMUpdate, "PauseFeatureUpdatesStartTime"},
		{keyMDMUpdate, "PauseQualityUpdatesStartTime"},
		{keyMDMUpdate, "PauseFeatureUpdates"},
		{keyMDMUpdate, "PauseQualityUpdates"},
	})
	if len(byPolicy) > 0 {
		if name, _ := f.manager(); name != "" || byPolicy[0].key == keyMDMUpdate {
			f.not("plan.owned", "owner", cmp.Or(name, message.English().Text("plan.owner.mdm")))
			return
		}
	}
	there, known := f.present(pauseValues)
	switch {
	case len(there) == 0 && !known:
		f.unlooked(keySettings)
		return
	case len(there) == 0:
		f.lead("plan.policy.not-paused") // it may be the line that is metered
		f.lead("remedy." + f.out.ID + ".how")
		return
	}
	if v := f.Text(keySettings, "PauseUpdatesExpiryTime"); v.Value != "" {
		f.lead("plan.policy.paused-until", "time", v.Value)
	}
	f.drop(there)
	for _, name := range []string{"PausedFeatureStatus", "PausedQualityStatus"} { // 0 no, 1 paused, 2 ended
		if v := f.DWord(state, name); v.State == facts.Present && v.Value == 1 {
			f.do(host.Set(state, name, numberValue(0)))
		}
	}
}

// fitTellOwner tells whoever manages the machine which settings of theirs are in the
// way.
func fitTellOwner(f *fit) {
	f.lead("remedy." + f.out.ID + ".how")
	switch name, known := f.manager(); {
	case name != "":
		f.lead("plan.tell.owner", "owner", name)
	case known:
		f.lead("plan.tell.no-owner")
	}
	f.evidence()
}

// tellServer tells whoever runs the WSUS what fails there.
func tellServer(f *fit) {
	f.lead("remedy." + f.out.ID + ".how")
	if s := f.RouteSettings(); s.WSUS != "" {
		f.lead("plan.tell.server", "server", s.WSUS)
	}
	f.evidence()
}

func fitConnectVPN(f *fit) {
	f.lead("remedy." + f.out.ID + ".how")
	if own := f.ownServer(); own != "" {
		f.lead("plan.policy.inside", "server", own)
	}
	if names := f.tunnels(); len(names) > 0 {
		f.lead("plan.vpn.seen", "adapters", strings.Join(names, ", "))
	}
}

// fitLookServer says which server of the organisation's own is asked, and how it
// answered.
func fitLookServer(f *fit) {
	s := f.RouteSettings()
	if s.WSUS == "" {
		f.lead("plan.policy.no-wsus")
		return
	}
	f.lead("plan.tell.server", "server", s.WSUS)
	f.trips(func(t *route.Trip) bool { return hostOf(t.Task.Request.URL) == hostOf(s.WSUS) })
}

// fitLookPolicies lists the update policies that are set, and who manages the machine.
func fitLookPolicies(f *fit) {
	switch name, known := f.manager(); {
	case name != "":
		f.lead("plan.tell.owner", "owner", name)
	case known:
		f.lead("plan.tell.no-owner")
	default:
		f.lead("plan.not-looked", "what", message.English().Text("plan.what.manager"))
	}
	all := slices.Concat(serverValues, leftovers, []value{{keyAUPolicy, "AUOptions"}, {keyAUPolicy, "UseUpdateClassPolicySource"}})
	for _, c := range updateClasses {
		all = append(all, value{keyUpdatePolicy, "SetPolicyDrivenUpdateSourceFor" + c})
	}
	n := 0
	known := true
	for _, v := range all {
		x := f.Value(v.key, v.name)
		known = known && x.Known()
		if x.State != facts.Present {
			continue
		}
		n++
		f.lead("plan.look.policy", "name", v.name, "value", cmp.Or(tellValue(x.Value), "-"), "source", cmp.Or(x.Source, "-"))
	}
	switch {
	case !known:
		f.lead("plan.not-looked", "what", keyUpdatePolicy)
	case n == 0:
		f.lead("plan.look.no-policy")
	}
}

// tellValue shows a registry value on one line.
func tellValue(v winlog.RegValue) string {
	if n, ok := v.DWord(); ok {
		return strconv.FormatUint(uint64(n), 10)
	}
	s, _ := v.String()
	text := []rune(strings.TrimSpace(s))
	return string(text[:min(len(text), quotedRunes)])
}

// manager says who manages the machine, in words, "" for nobody. known is false if
// nobody looked: then nothing that a manager might own is written.
func (f *fit) manager() (name string, known bool) {
	words := message.English()
	owner := func(id string) (string, bool) { return words.Text("plan.owner." + id), true }
	m := f.Management
	// The client of Configuration Manager makes this key.
	if f.Subkeys(`HKLM\SOFTWARE\Microsoft\CCM`).State == facts.Present || m.Value.ConfigMgr != nil && *m.Value.ConfigMgr {
		return owner("configmgr")
	}
	if slices.ContainsFunc(m.Value.Enrolled, func(e host.Enrollment) bool { return e.State == 1 }) {
		return owner("mdm")
	}
	if d := f.Device; d.State == facts.Present {
		switch {
		case d.Value.MDMURL != "":
			return owner("mdm")
		case d.Value.DomainJoined == winlog.Yes || d.Value.EnterpriseJoined == winlog.Yes:
			return owner("domain")
		case d.Value.AzureADJoined == winlog.Yes:
			return owner("entra")
		case d.Value.DomainJoined == winlog.No:
			return "", true
		}
	}
	// Netlogon starts by itself on members of a domain and on no other machine.
	switch v := f.DWord(keyServices+`Netlogon`, "Start"); {
	case v.State == facts.Present && v.Value == 2:
		return owner("domain")
	case v.Known():
		return "", true
	}
	for _, mark := range []string{"not-in-a-domain", "note-home-machine", "note-left-domain"} {
		if _, ok := f.Mark(mark); ok {
			return "", true
		}
	}
	for _, mark := range []string{"in-a-domain", "note-domain-policy"} {
		if _, ok := f.Mark(mark); ok {
			return owner("organisation")
		}
	}
	return "", false
}

// owned reports that policies are not this machine's to change, and says so: one of
// the values is somebody else's, or nobody looked whose they are and a person has to.
// Of values that nobody looked up singly, who manages the machine owns all.
func (f *fit) owned(values ...value) bool {
	own := 0
	for _, v := range values {
		switch who := f.Owner(v.key, v.name); who {
		case host.OwnerDomain, host.OwnerMDM, host.OwnerConfigMgr:
			f.not("plan.owned", "owner", message.English().Text("plan.owner."+who))
			return true
		case host.OwnerLocal:
			f.lead("plan.policy.local-file", "value", v.key+`\`+v.name)
			own++
		case host.OwnerTool:
			if tools := f.Management.Value.Tools; len(tools) > 0 {
				f.lead("plan.policy.tool", "value", v.key+`\`+v.name, "tools", strings.Join(tools[:min(len(tools), 5)], ", "))
			}
			own++
		case host.OwnerNobody:
			own++
		}
	}
	if len(values) > 0 && own == len(values) {
		return false
	}
	switch name, known := f.manager(); {
	case name != "":
		f.not("plan.owned", "owner", name)
		return true
	case !known:
		f.unlooked(message.English().Text("plan.what.manager"))
		return true
	}
	return false
}

// unlooked hands a remedy to a person because nobody looked at what it depends on:
// it may well be right, and updoc changes nothing on a guess.
func (f *fit) unlooked(what string) {
	f.lead("plan.not-looked", "what", what)
	f.lead("remedy." + f.out.ID + ".how")
}

// ownServer is the host of the WSUS that policy names, in lower case, "" if there is
// none.
func (f *fit) ownServer() string {
	u, err := url.Parse(strings.TrimSpace(f.RouteSettings().WSUS))
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// textValue is a REG_SZ as the registry keeps it.
func textValue(s string) winlog.RegValue {
	var b []byte
	for _, c := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return winlog.RegValue{Type: winlog.RegSZ, Data: b}
}

// numberValue is a REG_DWORD.
func numberValue(n uint32) winlog.RegValue {
	return winlog.RegValue{Type: winlog.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}
}
