package cause

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Registry places that WSUS causes read.
const (
	keyWindowsUpdate   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`
	keyServicingPolicy = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing`
)

// Codes of a server that answers, and says that it cannot.
var codesServerBusy = []codes.HRESULT{0x80244022, 0x8024401F, 0x80244023, 0x8024402D, 0x801901F4, 0x801901F7}

// Codes with which a request to a WSUS ends when it takes too long.
var codesServerSlow = []codes.HRESULT{0x8024401C, 0x80072EE2, 0x80244010}

// Codes of a web server that has no such page, or does not show it to this caller.
var codesWrongPage = []codes.HRESULT{0x80244017, 0x80244018, 0x80244019, 0x8024401A}

// Codes of a feature or a repair that found no files to install.
var codesNoPayload = []codes.HRESULT{0x800F0954, 0x800F0906, 0x800F081F, 0x800F0950, 0x8024402C, 0x8024002E, 0x800F0907}

// Those of them that servicing gives, and not the search.
var codesPayload = []codes.HRESULT{0x800F0954, 0x800F0906, 0x800F081F, 0x800F0950, 0x800F0907}

// WSUS returns the causes that lie in an update server of the owner's, or in how
// a machine is pointed to one.
func WSUS() []*Cause {
	return []*Cause{
		{
			ID: "wsus-unreachable", Family: "wsus", Prior: 2,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"correct-wsus-url", "tell-wsus-mend-service", "connect-company-vpn", "tell-wsus-correct-iis-site", "check-wsus-reachability", "refresh-group-policy"},
			Check: evidence(
				walkOwn(wsusGone),
				walkOpen,
				noWSUS,
				ownServerUnreached,
				strong("note-wsus-unreachable"),
				strong("cm-no-update-point"),
				strong("wsus-iis-site", "note-wsus-iis"),
				strong("note-wsus-port"),
				portMissing,
				awayFromServer,
				officeOnly,
				wrongPage,
				both(Strong, "note-needs-company-vpn", "note-wsus"),
				against(Moderate, "note-wsus-gone", "note-left-domain", "note-server-gone", "note-other-owner"),
				against(Moderate, "note-wsus-certificate"),
				cures("tell-wsus-correct-iis-site", "wsus-iis-site", "note-wsus-iis"),
				cures("correct-wsus-url", "note-wsus-port"),
				cures("connect-company-vpn", "note-needs-company-vpn"),
				cures("tell-policy-owner", "cm-no-update-point"),
				renamedByDomain,
				missing("whether WUServer answers from here: /ClientWebService/wusserverversion.xml", "the name and port of the server in its IIS bindings"),
			),
		},
		{
			ID: "wsus-policy-stale", Family: "wsus", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"wsus-unreachable", "dns-failure", "not-offered", "proxy-misconfigured-winhttp", "proxy-auth-required"},
			Remedies: []string{"remove-stale-wsus-policy", "correct-wsus-url", "tell-policy-owner"},
			Check: evidence(
				against(Moderate, "note-office-only"), // there the server answers
				walkForeignServer,
				noWSUS,
				strong("note-wsus-gone"),
				strong("note-left-domain"),
				strong("cm-policy-overwritten"),
				serverOfNobody,
				serverRetired,
				noServerSet,
				helped(Conclusive, "note-wsus-keys-removed-helped"),
				moderate("note-wsus-still-set"),
				strong("cm-policy-unreadable"),
				both(Moderate, "note-home-machine", "note-wsus"),
				purposelyDead,
				cures("correct-wsus-url", "note-wsus-moved"),
				cures("tell-policy-owner", "cm-policy-overwritten"),
				cures("refresh-group-policy", "cm-policy-unreadable"),
				missing("WUServer and UseWUServer of the policy key", "whether a domain, MDM or ConfigMgr still manages this machine"),
			),
		},
		{
			ID: "wsus-server-overloaded", Family: "wsus", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"server-side-outage"},
			Remedies: []string{"tell-wsus-mend-service", "retry-scan-until-complete", "tell-wsus-clean-up"},
			Check: evidence(
				walkOwn(wsusBusy),
				noWSUS,
				fromWSUS(Strong, codesServerBusy...),
				fromWSUS(Moderate, codesServerSlow...),
				strong("wu-max-trips"),
				strong("wsus-pool-stopped", "note-wsus-pool"),
				strong("soap-server-busy"),
				strong("wsus-web-service-down"),
				strong("note-wsus-scan-endless"),
				moderate("note-wsus-slow"),
				moderate("soap-internal-error"),
				cures("tell-wsus-clean-up", "note-wsus-uncleaned", "note-wsus-scan-endless"),
				tripsCure,
				missing("the state and memory limit of WsusPool on the server", "the status that the server's IIS log shows for this client"),
			),
		},
		{
			ID: "wsus-server-limit", Family: "wsus", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"tell-wsus-raise-web-limits", "tell-wsus-clean-up", "tell-wsus-mend-service"},
			Check: evidence(
				walkOwn(wsusLimit),
				noWSUS,
				conclusive("soap-limit-exceeded"),
				strong("note-wsus-limit"),
				moderate("soap-invalid-parameters"),
				missing("the SOAP fault's text in WindowsUpdate.log", "maxInstalledPrerequisites in the server's web.config"),
			),
		},
		{
			ID: "wsus-server-metadata-corrupt", Family: "wsus", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall},
			Remedies: []string{"tell-wsus-clean-up", "tell-wsus-install-server-update", "tell-wsus-mend-service"},
			Check: evidence(
				noWSUS,
				strong("soap-server-fault"),
				strong("note-wsus-bad-update"),
				strong("note-wsus-esd"),
				moderate("soap-internal-error"),
				fromWSUS(Moderate, 0x8024400E, 0x80240FFF, 0xC1800118, 0x80248007),
				cures("tell-wsus-install-server-update", "note-wsus-esd"),
				missing("SoftwareDistribution.log of the server at the time of the scan", "whether every client fails"),
			),
		},
		{
			ID: "wsus-client-identity", Family: "wsus", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"reset-wsus-client-id", "retry-scan", "rename-softwaredistribution"},
			Check: evidence(
				noWSUS,
				strong("soap-no-client-id"),
				strong("note-wsus-duplicate-id"),
				moderate("soap-cookie-refused"),
				both(Moderate, "note-cloned", "note-wsus"),
				emptyClientID,
				against(Strong, "soap-limit-exceeded"),
				missing("SusClientId of this machine and of its twins", "the SOAP fault's text in WindowsUpdate.log"),
			),
		},
		{
			ID: "wsus-certificate", Family: "wsus", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"trust-wsus-certificate", "tell-wsus-correct-iis-site", "correct-wsus-url"},
			Check: evidence(
				walkOwnCertificate,
				noWSUS,
				secureServerRefused,
				strong("note-wsus-certificate"),
				against(Strong, "note-third-party-signature", "cm-update-signature"),
				moderate("tls-client-certificate"),
				certificateCures,
				missing("the certificate that the server shows on its https port, its names, dates and chain"),
			),
		},
		{
			ID: "wsus-blocks-fod-source", Family: "wsus", Prior: 1,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"enable-features-from-windows-update", "install-feature-from-local-source", "restart-update-services"},
			Check: evidence(
				against(Strong, "note-no-wsus"),
				code(Strong, 0x800F0954),
				featuresFromWSUS,
				featureBesideWSUS,
				both(Moderate, "note-wsus", "note-feature"),
				both(Weak, "note-domain-policy", "note-feature"),
				strong("note-repair-content"),
				helped(Conclusive, "note-usewuserver-off-helped"),
				repairSource,
				missing("UseWUServer and RepairContentServerSource", "whether the server is to hold optional features"),
			),
		},
		{
			ID: "wsus-content-missing", Family: "wsus", Prior: 0.7,
			Stages:   []facts.Stage{facts.StageDownload},
			Remedies: []string{"tell-wsus-repair-content", "tell-wsus-correct-iis-site", "tell-wsus-install-server-update"},
			Check: evidence(
				walkOwn(wsusEmpty),
				noWSUS,
				strong("wu-content-refused"),
				strong("wsus-content-failed"),
				strong("note-wsus-content"),
				strong("note-wsus-mime"),
				strong("wsus-shared-site"),
				fromWSUS(Moderate, 0x80190194, 0x80246001, 0x80240069, 0x80246002),
				cures("tell-wsus-correct-iis-site", "note-wsus-mime", "wsus-shared-site"),
				missing("the address that failed, asked in a browser", "event 364 on the server"),
			),
		},
		{
			ID: "wsus-product-not-synced", Family: "wsus", Prior: 0.6, Silent: true,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"tell-wsus-sync-products", "retry-scan-against-microsoft-update", "install-update-from-catalog"},
			Check: evidence(
				noWSUS,
				strong("note-wsus-not-approved"),
				nothingFromWSUS,
				missing("whether the update's product and classification are ticked and the update approved", "TargetGroup"),
			),
		},
		{
			ID: "wsus-url-invalid", Family: "wsus", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"wsus-unreachable", "wsus-policy-stale"},
			Remedies: []string{"correct-wsus-url", "tell-policy-owner", "remove-stale-wsus-policy"},
			Check: evidence(
				serverAddress,
				strong("note-wsus-url-invalid"),
				code(Moderate, 0x80072EE6, 0x80072EE5),
				missing("WUServer and WUStatusServer, letter by letter"),
			),
		},
		{
			ID: "third-party-update-signature", Family: "wsus", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageVerify, facts.StageDownload},
			Remedies: []string{"tell-wsus-resign-update", "trust-wsus-certificate", "retry-install"},
			Check: evidence(
				strong("cm-update-signature"),
				strong("note-third-party-signature"),
				moderate("note-third-party-publisher"),
				signatureFromWSUS,
				publisherNotAccepted,
				cures("trust-wsus-certificate", "note-publisher-not-trusted"),
				missing("the signer of the update and the dates of its certificate", "AcceptTrustedPublisherCerts"),
			),
		},
	}
}

// managedBy tells what says that this machine asks a WSUS, and how surely: a
// policy or an address in the log is proof, a person's mention is not.
func managedBy(l *look) (facts.Seen, Weight) {
	if host, source, text := serverSeen(l); isOwn(l, host) && !deadOnPurpose(host) {
		return facts.Seen{Source: source, Text: text}, Strong
	}
	if seen, ok := l.first([]string{"wu-wsus-service", "cm-scan-failed"}); ok {
		return seen, Strong
	}
	if seen, ok := l.Mark("note-wsus"); ok {
		return seen, Moderate
	}
	return facts.Seen{}, 0
}

// fromWSUS is evidence when one of the codes was seen on a machine that asks a
// WSUS: then it is that server's answer.
func fromWSUS(limit Weight, hs ...codes.HRESULT) rule {
	return func(l *look) {
		at, ok := l.hit(hs)
		if !ok {
			return
		}
		if seen, w := managedBy(l); w != 0 {
			l.For(min(w, limit), at.Source, "%s: %s", seen.Text, at.Text)
		}
	}
}

// noWSUS: the agent says that it has no server of its own, or a policy says that
// it is not to use one. What a person tells of a WSUS may then be history.
func noWSUS(l *look) {
	use := l.DWord(keyAUPolicy, "UseWUServer")
	if use.State == facts.Present && use.Value == 0 {
		l.Against(Strong, use.Source, "UseWUServer = 0")
		return
	}
	if server, source := loggedServer(l); server == "" && source != "" && policyServer(l) == "" {
		l.Against(Strong, source, "the agent has no WSUS")
		return
	}
	if seen, ok := l.Mark("note-no-wsus"); ok {
		l.add(false, Strong, seen)
		return
	}
	// Group policy, Configuration Manager and people write WUServer; management writes a
	// value of its own. learn.microsoft.com: Policy CSP Update, UpdateServiceUrl.
	named, managed := l.Text(keyUpdatePolicy, "WUServer"), l.Text(keyMDMUpdate, "UpdateServiceUrl")
	switch {
	case named.State == facts.Absent && managed.State == facts.Absent:
		l.Against(Strong, named.Source, "no policy names a WSUS")
		return
	case named.State == facts.Absent && managed.State == facts.Unknown && use.State != facts.Present: // management names one seldom
		l.Against(Moderate, named.Source, "no group policy names a WSUS")
		return
	}
	if _, w := managedBy(l); w != 0 || named.State == facts.Present || managed.State == facts.Present {
		return
	}
	for _, seen := range l.Marks("wu-service-url") {
		if hosts := hostsInURLs(seen.Text); slices.ContainsFunc(hosts, func(h string) bool { return updateHostRole(h) == roleVital }) {
			l.Against(Moderate, seen.Source, "the agent asked Microsoft, and no WSUS is named anywhere: %s", seen.Text)
			return
		}
	}
}

// loggedServer is the last server that the agent's own header names: "* WSUS
// server: http://wsus01:8530 (Changed)". Source is empty when there is no header;
// the server is empty when it says NULL.
func loggedServer(l *look) (server, source string) {
	for _, seen := range l.Marks("wu-wsus-server") {
		i := strings.Index(lowerASCII(seen.Text), "wsus server:")
		if i < 0 {
			continue
		}
		fields := strings.Fields(seen.Text[i+len("wsus server:"):])
		server, source = "", seen.Source
		if len(fields) > 0 && !slices.Contains([]string{"<NULL>", "(NULL)", "NULL", "NONE"}, strings.ToUpper(fields[0])) {
			server = fields[0]
		}
	}
	return server, source
}

// deadOnPurpose reports a server name with which tools keep updates off: the
// machine itself, no address at all, a name that cannot exist (RFC 6761).
func deadOnPurpose(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".invalid") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	return slices.Contains([]string{"nothing", "none", "null", "fake", "dummy", "block", "blocked", "disabled", "neverupdate", "does.not.exist", "doesnotexist"}, host)
}

// purposelyDead: a server that never was one is no leftover; something put it
// there to keep updates off.
func purposelyDead(l *look) {
	v := l.Text(keyUpdatePolicy, "WUServer")
	if v.State == facts.Present && deadOnPurpose(hostOf(v.Value)) && hostOf(v.Value) != "" {
		l.Against(Strong, v.Source, "WUServer = %s names no server at all", v.Value)
	}
}

// ownServerUnreached: a server of one's own, and nobody answered. Where a proxy
// stood in between, the proxy is the first suspect.
func ownServerUnreached(l *look) {
	at, ok := l.hit(codesUnreached)
	if !ok || usedProxy(l) {
		return
	}
	if _, busy := l.hit(codesServerBusy); busy {
		return // it answered
	}
	if _, feature := l.first([]string{"feature-needs-payload", "note-feature"}); feature {
		return // it was asked for what it does not have
	}
	if seen, w := managedBy(l); w != 0 {
		l.For(w, at.Source, "%s: %s", seen.Text, at.Text)
	}
}

// awayFromServer: the machine is on the road, and its update server is not.
func awayFromServer(l *look) {
	seen, away := l.Mark("note-off-network")
	if _, w := managedBy(l); away && w != 0 {
		l.add(true, Moderate, seen)
		l.Cure("connect-company-vpn")
	}
}

// officeOnly: a machine that finds its updates in the company's network alone asks a
// server that stands there. Elsewhere its name is unknown or nobody answers, which is no
// fault of the names or of the line.
func officeOnly(l *look) {
	seen, ok := l.Mark("note-office-only")
	if !ok {
		return
	}
	if _, unreachable := l.hit(codesAway); unreachable {
		l.add(true, Strong, seen)
		l.Cure("connect-company-vpn")
	}
}

// Codes that a caller gets where a name is unknown or nobody answers.
var codesAway = []codes.HRESULT{
	0x8024402C, 0x80072EE7, 0x80072EE2, 0x80072EFD, 0x8024401C, 0x80072EFE, 0x80240438, 0x8024402F,
}

// wrongPage: the server of one's own answers that the page is not there or not
// for this caller: another site, another port, a virtual directory that is gone.
// learn.microsoft.com: "Troubleshoot WSUS connection failures".
func wrongPage(l *look) {
	at, ok := l.hit(codesWrongPage)
	if !ok {
		return
	}
	if _, content := l.first([]string{"wu-content-refused", "note-wsus-content"}); content {
		return
	}
	if seen, w := managedBy(l); w != 0 {
		l.For(w, at.Source, "%s: %s", seen.Text, at.Text)
		l.Cure("correct-wsus-url", "tell-wsus-correct-iis-site")
	}
}

// portMissing: an address without a port means port 80, where WSUS has not
// listened since Windows Server 2012; or scheme and port do not go together.
// learn.microsoft.com: "Configure WSUS".
func portMissing(l *look) {
	v := l.Text(keyUpdatePolicy, "WUServer")
	if v.State != facts.Present || policyServer(l) == "" || deadOnPurpose(hostOf(v.Value)) {
		return
	}
	u, err := url.Parse(strings.TrimSpace(v.Value))
	if err != nil {
		return
	}
	_, failed := l.hit(append(slices.Clone(codesUnreached), codesWrongPage...))
	scheme := strings.ToLower(u.Scheme)
	switch {
	case scheme == "https" && (u.Port() == "8530" || u.Port() == "80"), scheme == "http" && (u.Port() == "8531" || u.Port() == "443"):
		l.For(Strong, v.Source, "WUServer = %s: this port speaks the other protocol", v.Value)
		l.Cure("correct-wsus-url")
	case u.Port() == "":
		w := Weak
		if failed {
			w = Moderate
		}
		l.For(w, v.Source, "WUServer = %s has no port", v.Value)
		l.Cure("correct-wsus-url")
	}
}

// serverOfNobody: a machine that is in no domain is pointed to a WSUS. A company
// that runs one manages its members; on such a machine the policy is a leftover.
func serverOfNobody(l *look) {
	host, source, text := serverSeen(l)
	if !isOwn(l, host) || deadOnPurpose(host) {
		return
	}
	if seen, ok := l.Mark("not-in-a-domain"); ok {
		l.For(Strong, source, "%s, but %s", text, seen.Text)
		l.Cure("remove-stale-wsus-policy")
		return
	}
	if who, known := l.managed(); known && who == "" {
		l.For(Strong, source, "%s, but nobody manages this machine: no domain, no management server, no client of Configuration Manager", text)
		l.Cure("remove-stale-wsus-policy")
	}
}

// serverRetired: the machine is pointed to a server of its owner's, and a person
// tells of a server that is no more, or of an owner that was another.
func serverRetired(l *look) {
	host, source, text := serverSeen(l)
	if !isOwn(l, host) || deadOnPurpose(host) {
		return
	}
	if seen, ok := l.Mark("note-server-gone"); ok {
		l.For(Strong, seen.Source, "%s, but: %s", text, seen.Text)
	}
	if seen, ok := l.Mark("note-other-owner"); ok {
		l.For(Strong, source, "%s, but: %s", text, seen.Text)
	}
}

// noServerSet: WSUS is to be used and none is named.
// learn.microsoft.com: Windows Update error reference, WU_E_PT_SUS_SERVER_NOT_SET.
func noServerSet(l *look) {
	use := l.DWord(keyAUPolicy, "UseWUServer")
	server := l.Text(keyUpdatePolicy, "WUServer")
	if use.State == facts.Present && use.Value == 1 && (server.State == facts.Absent || server.State == facts.Present && strings.TrimSpace(server.Value) == "") {
		l.For(Strong, use.Source, "UseWUServer = 1, but WUServer is empty")
	}
}

// tripsCure: a scan that ran out of round trips goes on where it stopped.
func tripsCure(l *look) {
	_, mark := l.Mark("wu-max-trips")
	if _, ok := l.Code(0x80244010); ok || mark {
		l.Cure("retry-scan-until-complete", "tell-wsus-clean-up")
	}
}

// emptyClientID: the machine has no name of its own for the WSUS.
func emptyClientID(l *look) {
	v := l.Text(keyWindowsUpdate, "SusClientId")
	if v.State != facts.Present {
		return
	}
	if id := strings.Trim(v.Value, "{} "); id == "" || strings.Trim(id, "0-") == "" {
		l.For(Strong, v.Source, "SusClientId = %q", v.Value)
	}
}

// Codes of a certificate that the agent does not take, told apart by what is wrong.
var (
	codesCertOld     = []codes.HRESULT{0x800B0101, 0x80072F05}
	codesCertName    = []codes.HRESULT{0x80072F06, 0x800B010F}
	codesCertForeign = []codes.HRESULT{0x80072F0D, 0x800B0109, 0x800B010A}
)

// secureServerRefused: a WSUS over https, and the connection fails over its
// certificate.
func secureServerRefused(l *look) {
	at, ok := l.hit(slices.Concat(codesCertOld, codesCertName, codesCertForeign, []codes.HRESULT{0x80072F8F, 0x80072F0C, 0x80240437, 0x80072F17, 0x80072F19}))
	if text, seen := l.first([]string{"tls-cert-expired", "tls-cert-name", "tls-cert-untrusted"}); seen && !ok {
		at, ok = text, true
	}
	if !ok {
		return
	}
	host, source, text := serverSeen(l)
	switch {
	case isOwn(l, host) && strings.Contains(strings.ToLower(text), "https://"):
		l.For(Strong, source, "%s: %s", text, at.Text)
	case isOwn(l, host):
		l.Against(Moderate, source, "%s is not asked over https", text)
	default:
		if seen, ok := l.Mark("note-wsus-https"); ok {
			l.For(Strong, seen.Source, "%s", seen.Text)
		} else if seen, ok := l.first([]string{"wu-wsus-service", "cm-scan-failed", "note-wsus"}); ok {
			l.For(Moderate, seen.Source, "%s: %s", seen.Text, at.Text)
		}
	}
}

// certificateCures: who has to act depends on what is wrong with the certificate.
func certificateCures(l *look) {
	old, _ := l.hit(codesCertOld)
	name, _ := l.hit(codesCertName)
	_, oldText := l.first([]string{"tls-cert-expired", "note-cert-expired"})
	_, nameText := l.Mark("tls-cert-name")
	_, clientCert := l.Mark("tls-client-certificate")
	_, wanted := l.Code(0x80072F0C)
	switch {
	case oldText || old.Source != "" || clientCert || wanted:
		l.Cure("tell-wsus-correct-iis-site")
	case nameText || name.Source != "":
		l.Cure("correct-wsus-url", "tell-wsus-correct-iis-site")
	}
}

// featuresFromWSUS: the policy sends requests for optional features to the WSUS,
// and a feature found no files. learn.microsoft.com: "How to make Features on
// Demand and language packs available when you're using WSUS/Configuration Manager".
func featuresFromWSUS(l *look) {
	use := l.DWord(keyAUPolicy, "UseWUServer")
	if use.State != facts.Present {
		return
	}
	at, failed := l.hit(codesNoPayload)
	switch {
	case use.Value == 0 && failed:
		l.Against(Strong, use.Source, "UseWUServer = 0: features come from Microsoft")
	case failed && use.Value == 1:
		w := Moderate
		if _, feature := l.first([]string{"feature-needs-payload", "note-feature", "fod-fails"}); feature || at.Code == 0x800F0954 {
			w = Strong
		}
		l.For(w, use.Source, "UseWUServer = 1: %s", at.Text)
	}
}

// featureBesideWSUS: a person adds a feature on a machine that has a WSUS.
func featureBesideWSUS(l *look) {
	feature, ok := l.first([]string{"feature-needs-payload", "note-feature", "fod-fails"})
	if !ok {
		return
	}
	at, failed := l.hit(codesNoPayload)
	seen, w := managedBy(l)
	if !failed || w == 0 {
		return
	}
	if at.Code == 0 || !slices.Contains(codesPayload, at.Code) {
		w = Strong // a feature that fails like a search was searched for at the WSUS
	}
	l.For(w, feature.Source, "%s; %s", feature.Text, seen.Text)
}

// repairSource: the policy already lets features come from Microsoft (2), or the
// key was read and nothing of the kind is set.
func repairSource(l *look) {
	v := l.DWord(keyServicingPolicy, "RepairContentServerSource")
	if v.State == facts.Present && v.Value == 2 {
		l.Against(Strong, v.Source, "RepairContentServerSource = 2: features come from Microsoft")
	}
}

// nothingFromWSUS: updates are not offered, and it is a WSUS that offers them.
func nothingFromWSUS(l *look) {
	seen, w := managedBy(l)
	if w == 0 {
		return
	}
	for _, f := range l.Failures {
		if f.Kind == facts.KindNotOffered && !f.Resolved {
			l.For(min(w, Moderate), seen.Source, "%s", seen.Text)
			return
		}
	}
}

// serverAddress judges the addresses in the policy and in the agent's header as
// WinHTTP will read them.
func serverAddress(l *look) {
	if use := l.DWord(keyAUPolicy, "UseWUServer"); use.State == facts.Present && use.Value == 0 {
		return
	}
	for _, name := range []string{"WUServer", "WUStatusServer"} {
		v := l.Text(keyUpdatePolicy, name)
		if v.State != facts.Present || strings.TrimSpace(v.Value) == "" {
			continue
		}
		if fault := addressFault(v.Value); fault != "" {
			l.For(Conclusive, v.Source, "%s = %q: %s", name, v.Value, fault)
			return
		}
		if name == "WUServer" {
			l.Against(Strong, v.Source, "%s = %s is well formed", name, v.Value)
		}
	}
	if server, source := loggedServer(l); server != "" {
		if fault := addressFault(server); fault != "" {
			l.For(Conclusive, source, "WSUS server: %s: %s", server, fault)
		}
	}
}

// addressFault says why an address cannot be the one of a WSUS; "" if it can.
// learn.microsoft.com: "Error 80072EE6 when you download updates from WSUS".
func addressFault(raw string) string {
	s := strings.TrimSpace(raw)
	lower := strings.ToLower(s)
	rest, ok := strings.CutPrefix(lower, "http://")
	if !ok {
		rest, ok = strings.CutPrefix(lower, "https://")
	}
	switch {
	case !ok:
		return "it does not begin with http:// or https://"
	case strings.ContainsAny(s, " \t\"'<>\\,;"):
		return "it holds a character that an address cannot have"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "it cannot be read as an address"
	case strings.Trim(u.Hostname(), ".") == "":
		return "it names no host"
	case strings.HasPrefix(rest, "http"): // http://http://server
		if strings.HasPrefix(rest, "http:") || strings.HasPrefix(rest, "https:") || strings.HasPrefix(rest, "http//") {
			return "it begins twice"
		}
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return "its port is no port"
		}
	}
	return ""
}

// Codes of a signature that is not taken.
var codesSignature = []codes.HRESULT{0x800B0101, 0x800B0109, 0x800B0004, 0x80073633, 0x800B0111, 0x8024B303, 0x8024B304, 0x800B0100}

// signatureFromWSUS: a package that came by a WSUS is refused over its
// signature. Microsoft's own updates do not depend on the age of a certificate,
// so it is one that was published locally.
func signatureFromWSUS(l *look) {
	at, ok := l.hit(codesSignature)
	if !ok {
		return
	}
	refused, inLog := l.Mark("wu-signature-not-trusted")
	seen, w := managedBy(l)
	switch {
	case w == Strong && inLog:
		l.For(Strong, refused.Source, "%s: %s", seen.Text, refused.Text)
	case w != 0 && !scanFails(l):
		l.For(Moderate, at.Source, "%s: %s", seen.Text, at.Text)
	}
}

// scanFails reports that it is the search itself that fails.
func scanFails(l *look) bool {
	return slices.ContainsFunc(l.Failures, func(f facts.Failure) bool {
		return f.Stage == facts.StageScan && !f.Resolved && f.Code.Failed()
	})
}

// publisherNotAccepted: updates of other publishers come by the WSUS, and the
// policy does not let the agent take them.
func publisherNotAccepted(l *look) {
	v := l.DWord(keyUpdatePolicy, "AcceptTrustedPublisherCerts")
	at, ok := l.hit(codesSignature)
	if !ok || v.State == facts.Unknown || v.State == facts.Present && v.Value == 1 {
		return
	}
	if host, _, _ := serverSeen(l); isOwn(l, host) {
		l.For(Moderate, v.Source, "AcceptTrustedPublisherCerts is not 1: %s", at.Text)
		l.Cure("trust-wsus-certificate")
	}
}

// renamedByDomain: the name of the domain's server is gone, which a server that is
// merely down keeps. The domain may have had a new one for long, and this machine has
// missed the policy that says so: fetching it again is the first thing to do.
func renamedByDomain(l *look) {
	member := l.Management.Value.Joined == "domain" || l.Device.Value.DomainJoined == winlog.Yes
	// Netlogon starts by itself on members of a domain and on no other machine.
	if v := l.DWord(`HKLM\SYSTEM\CurrentControlSet\Services\Netlogon`, "Start"); v.State == facts.Present && v.Value == winlog.ServiceAutoStart {
		member = true
	}
	if !member {
		return
	}
	if _, gone := l.broken(func(g leg) bool { return g.own() && !g.atProxy() && g.fault(host.FaultNoName) }); gone {
		l.Cure("refresh-group-policy")
	}
}
