package cause

import (
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Registry places that network causes read.
const (
	keySchannel     = `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols`
	keyWinHTTP      = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\WinHttp`
	keyCipherPolicy = `HKLM\SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002`
	keyAuthRoot     = `HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot`
	keyTimeService  = `HKLM\SYSTEM\CurrentControlSet\Services\W32Time`
	keyTCPIP6       = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters`
	keyFirewall     = `HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall`
)

// Codes of a TLS handshake or a certificate chain that failed.
var codesTLS = []codes.HRESULT{
	0x80072F8F, 0x80072F0D, 0x80072F05, 0x80072F06, 0x80072F7D, 0x80072EFE, 0x80072F9C,
	0x80240437, 0x80240438, 0x800B0101, 0x800B0109, 0x800B010A, 0x80092013, 0x80096004, 0x8024402F,
}

// NETWORK returns the causes that lie between the machine and the service.
func NETWORK() []*Cause {
	return []*Cause{
		{
			ID: "captive-portal", Family: "network", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"tls-interception", "dns-failure", "proxy-mangles-headers", "firewall-block", "proxy-auth-required"},
			Remedies: []string{"sign-in-captive-portal", "tell-network-allow-update-hosts", "retry-scan"},
			Check: evidence(
				walkPortal,
				walkOpen,
				strong("note-sign-in-page"),
				strong("ncsi-hotspot"),
				moderate("note-guest-network"),
				moderate("http-511"),
				missing("what http://www.msftconnecttest.com/connecttest.txt answers"),
			),
		},
		{
			ID: "dns-failure", Family: "network", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"flush-dns-cache", "tell-network-route-fault", "tell-dns-filter-owner", "tell-network-allow-update-hosts"},
			Check: evidence(
				walkNames,
				walkOpen,
				strong("nslookup-no-answer"),
				strong("note-dns-fails"),
				helped(Strong, "note-dns-change-helped"),
				moderate("dns-client-timeout"),
				moderate("note-dns"),
				strong("note-dns-redirect"),
				weak("wu-name-not-resolved"),
				cures("tell-dns-filter-owner", "note-dns-filter"),
				missing("nslookup of the update hosts with the machine's own resolver", "the hosts file"),
			),
		},
		{
			ID: "hosts-file-block", Family: "network", Prior: 1.2,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageSetup},
			LeadsTo:  []string{"dns-failure", "firewall-block", "blocker-tool"},
			Remedies: []string{"comment-out-hosts-entries", "tell-dns-filter-owner", "flush-dns-cache", "undo-tweak-tool-settings"},
			Check: evidence(
				walkSunk,
				walkOpen,
				hostsFile,
				strong("hosts-line-sinks"),
				strong("note-hosts-blocks"),
				strong("note-dns-filter"),
				moderate("note-hosts-edited"),
				moderate("note-adblock"),
				cures("comment-out-hosts-entries", "hosts-line-sinks", "note-hosts-blocks", "note-hosts-edited"),
				cures("tell-dns-filter-owner", "note-dns-filter"),
				missing("the hosts file", "which resolver the machine asks, and whether it filters"),
			),
		},
		{
			ID: "firewall-block", Family: "network", Prior: 4,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"tell-network-allow-update-hosts", "test-without-third-party-firewall", "disable-blocking-firewall-rules"},
			Check: evidence(
				walkFiltered,
				trial("test-without-third-party-firewall"),
				walkOpen,
				strong("note-firewall-blocks"),
				helped(Strong, "note-firewall-off-helped"),
				strong("note-no-internet-by-design"),
				strong("firewall-dropped"),
				moderate("note-local-firewall", "note-network-firewall", "note-other-line-works"),
				moderate("tcp-test-failed"),
				moderate("note-no-internet"),
				cloudMachine,
				weak("note-firewall"),
				firewallPolicy,
				firewallRules,
				registeredFirewall,
				cures("test-without-third-party-firewall", "note-local-firewall"),
				cures("disable-blocking-firewall-rules", "note-own-rule", "firewall-dropped"),
				missing("a connection to the update hosts on ports 80 and 443 as SYSTEM", "outbound rules that block"),
			),
		},
		{
			ID: "tls-interception", Family: "network", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"missing-root-certificate", "corrupt-download", "proxy-mangles-headers", "firewall-block"},
			Remedies: []string{"tell-network-exempt-tls-inspection", "tell-network-allow-update-hosts", "test-without-antivirus-shield"},
			Check: evidence(
				walkIntercepted,
				walkOpen,
				strong("note-tls-inspection"),
				strong("foreign-issuer"),
				strong("note-inspection-product"),
				moderate("note-transparent-proxy"),
				moderate("note-av-https-scan"),
				moderate("squid-denied"),
				moderate("sls-cert-rejected"),
				cures("test-without-antivirus-shield", "note-av-https-scan"),
				missing("the issuer of the certificate that https://slscr.update.microsoft.com shows, as SYSTEM"),
			),
		},
		{
			ID: "tls-version-disabled", Family: "network", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"enable-tls12-and-ciphers", "install-legacy-agent-and-sha2"},
			Check: evidence(
				walkOldTLS,
				walkOpen,
				schannelClient,
				winHTTPProtocols,
				cipherPolicy,
				oldAgentAndTLS,
				strong("note-tls-disabled"),
				strong("note-cipher-suites"),
				moderate("schannel-event"),
				moderate("note-tls-only-microsoft"),
				moderate("note-old-windows-tls"),
				cures("install-legacy-agent-and-sha2", "wu-old-agent", "note-old-windows-tls"),
				missing("the SCHANNEL Client keys", "the cipher suite policy", "the version of the update agent"),
			),
		},
		{
			ID: "missing-root-certificate", Family: "network", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageVerify},
			Remedies: []string{"enable-root-auto-update", "add-missing-root-certificate", "tell-network-allow-update-hosts"},
			Check: evidence(
				walkUntrusted,
				rootUpdateOff,
				strong("note-root-missing"),
				strong("capi2-chain"),
				moderate("root-list-failed"),
				moderate("note-offline-roots"),
				cures("add-missing-root-certificate", "note-root-missing"),
				missing("the chain that cannot be built, from the CAPI2 log", "DisableRootAutoUpdate"),
			),
		},
		{
			ID: "clock-skew", Family: "network", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"missing-root-certificate", "tls-interception", "wsus-certificate", "proxy-negotiate-refused", "proxy-auth-required"},
			Remedies: []string{"sync-clock", "retry-scan"},
			Check: evidence(
				walkClock,
				measuredClock,
				failuresInThePast,
				strong("note-clock-wrong"),
				strong("clock-jumped", "clock-refuses-kerberos"),
				moderate("time-not-synced"),
				timeServiceOff,
				missing("the machine's clock beside a time server's, and its time zone"),
			),
		},
		{
			ID: "network-unstable", Family: "network", Prior: 2,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"wait-and-retry", "tell-network-route-fault", "retry-download", "install-update-from-catalog"},
			Check: evidence(
				walkUnsteady,
				strong("note-connection-drops"),
				strong("note-route-hardware-changed"),
				moderate("note-slow-line"),
				moderate("note-breaks-anywhere"),
				moderate("link-lost"),
				moderate("note-sometimes-works"),
				weak("transient-network"),
				sleptMeanwhile,
				missing("loss and time-outs on the route over some minutes"),
			),
		},
		{
			ID: "vpn-client", Family: "network", Prior: 1.2,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall},
			LeadsTo:  []string{"network-unstable", "dns-failure", "firewall-block", "proxy-auth-required", "proxy-wpad-wrong", "proxy-misconfigured-winhttp"},
			Remedies: []string{"test-without-vpn", "disconnect-vpn-during-updates", "tell-vendor-conflict"},
			Check: evidence(
				walkTunnel,
				trial("test-without-vpn"),
				helped(Strong, "note-without-vpn-works"),
				vpnTopic,
				vpnAndOffline,
				weak("vpn-adapter"),
				against(Strong, "note-needs-company-vpn"),
				against(Moderate, "note-mtu", "note-local-proxy-address", "note-old-proxy"),
				missing("one attempt with the VPN off", "the adapters, routes and resolvers while it is on"),
			),
		},
		{
			ID: "mtu-black-hole", Family: "network", Prior: 0.3,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"network-unstable"},
			Remedies: []string{"set-lower-mtu", "tell-network-route-fault", "test-without-vpn"},
			Check: evidence(
				walkMTU,
				strong("note-mtu"),
				strong("ping-needs-fragment"),
				moderate("note-tunnel-line"),
				missing("the largest packet that passes: ping -f -l"),
			),
		},
		{
			ID: "ipv6-broken", Family: "network", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"network-unstable"},
			Remedies: []string{"test-without-ipv6", "prefer-ipv4-over-ipv6", "tell-network-route-fault"},
			Check: evidence(
				walkIPv6,
				trial("test-without-ipv6"),
				helped(Strong, "note-ipv6"),
				helped(Moderate, "note-without-ipv6-works"),
				strong("ipv6-unreachable"),
				ipv6Preference,
				cures("prefer-ipv4-over-ipv6", "note-without-ipv6-works"),
				missing("a request for an update host over IPv6 alone"),
			),
		},
	}
}

// cloudMachine: a machine in a cloud that reaches nobody. Its way out is a route
// table, a security group or a firewall appliance that somebody else keeps.
// learn.microsoft.com: "Troubleshoot Windows Update download errors".
func cloudMachine(l *look) {
	if _, ok := l.hit([]codes.HRESULT{0x80072EFD, 0x80072EE2, 0x80240438, 0x80072EFE}); !ok {
		return
	}
	if seen, ok := l.Mark("note-cloud-vm"); ok {
		l.add(true, Moderate, seen)
	}
}

// firewallPolicy: outbound traffic is blocked by default in a policy profile.
// ADMX / learn.microsoft.com: DefaultOutboundAction, 1 is block.
func firewallPolicy(l *look) {
	for _, profile := range []string{"DomainProfile", "StandardProfile", "PrivateProfile", "PublicProfile"} {
		v := l.DWord(keyFirewall+`\`+profile, "DefaultOutboundAction")
		if v.State == facts.Present && v.Value == 1 {
			l.For(Strong, v.Source, "DefaultOutboundAction = 1 (block) in %s", profile)
			l.Cure("tell-policy-owner")
			return
		}
	}
}

// schannelClient: TLS 1.2 is off for clients. The update agent is a client; the
// Server key that some articles name does not touch it.
// learn.microsoft.com: "Transport Layer Security (TLS) registry settings".
func schannelClient(l *look) {
	key := keySchannel + `\TLS 1.2\Client`
	if v := l.DWord(key, "Enabled"); v.State == facts.Present && v.Value == 0 {
		l.For(Conclusive, v.Source, "TLS 1.2 is off for clients: Enabled = 0")
		l.Cure("enable-tls12-and-ciphers")
		return
	}
	if v := l.DWord(key, "DisabledByDefault"); v.State == facts.Present && v.Value != 0 {
		l.For(Strong, v.Source, "TLS 1.2 is not offered by clients: DisabledByDefault = %d", v.Value)
		l.Cure("enable-tls12-and-ciphers")
		return
	}
	// Keys for the server side alone are a common slip of hardening guides.
	if v := l.DWord(keySchannel+`\TLS 1.2\Server`, "Enabled"); v.State == facts.Present && v.Value == 0 {
		l.For(Weak, v.Source, "TLS 1.2 is off for servers: Enabled = 0")
	}
}

// Bits of DefaultSecureProtocols. learn.microsoft.com: "Update to enable TLS 1.1
// and TLS 1.2 as default secure protocols in WinHTTP" (KB3140245).
const (
	secureTLS12 = 0x800
	secureTLS13 = 0x2000
)

// winHTTPProtocols: WinHTTP is told to offer old protocols only.
func winHTTPProtocols(l *look) {
	v := l.DWord(keyWinHTTP, "DefaultSecureProtocols")
	if v.State == facts.Present && v.Value&(secureTLS12|secureTLS13) == 0 {
		l.For(Strong, v.Source, "DefaultSecureProtocols = %#x holds neither TLS 1.2 nor 1.3", v.Value)
		l.Cure("enable-tls12-and-ciphers")
	}
}

// cipherPolicy: a cipher order policy without the suites that Microsoft's
// update servers take. learn.microsoft.com: "Troubleshoot Windows Update error
// 0x80072EFE with cipher suite configuration". TLS 1.3 suites do not help an
// agent that asks for TLS 1.2. The article names both GCM suites with ECDSA; one
// of them is enough.
func cipherPolicy(l *look) {
	v := l.Value(keyCipherPolicy, "Functions")
	if v.State != facts.Present {
		return
	}
	list, ok := v.Value.String()
	if many, multi := v.Value.Strings(); multi {
		list, ok = strings.Join(many, ","), true
	}
	if !ok || list == "" {
		return
	}
	list = strings.ToUpper(list)
	if strings.Contains(list, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_") || strings.Contains(list, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_") {
		return
	}
	l.For(Strong, v.Source, "the cipher suite policy lacks the suites that the update servers take: %.160s", list)
	l.Cure("enable-tls12-and-ciphers")
}

// oldAgentAndTLS: an update agent of Windows 8.1 or older, and the service hangs
// up during the handshake.
func oldAgentAndTLS(l *look) {
	seen, ok := l.Mark("wu-old-agent")
	if !ok {
		return
	}
	if _, failed := l.hit([]codes.HRESULT{0x80072EFE, 0x80072F7D, 0x80072F8F, 0x80072EE2}); failed {
		l.add(true, Strong, seen)
	}
}

// rootUpdateOff: Windows may not fetch root certificates.
// learn.microsoft.com: "Configure trusted roots and disallowed certificates".
func rootUpdateOff(l *look) {
	v := l.DWord(keyAuthRoot, "DisableRootAutoUpdate")
	if v.State != facts.Present || v.Value == 0 {
		return
	}
	w := Moderate
	if _, failed := l.hit(codesTLS); failed {
		w = Strong
	}
	l.For(w, v.Source, "DisableRootAutoUpdate = %d", v.Value)
	l.Cure("enable-root-auto-update")
}

// How far a clock may be off. Kerberos allows five minutes; a certificate chain
// notices hours, and days for sure.
const (
	clockTolerated = 5 * time.Minute
	clockBroken    = 12 * time.Hour
)

// measuredClock judges the measured offset of the clock.
func measuredClock(l *look) {
	if l.Clock.State != facts.Present || strings.HasPrefix(l.Clock.Source, facts.WalkSource) {
		return // walkClock judges what the walk measured
	}
	switch off := l.Clock.Value.Abs(); {
	case off >= clockBroken:
		l.For(Conclusive, l.Clock.Source, "the clock is %s off", l.Clock.Value.Round(time.Minute))
	case off >= clockTolerated:
		l.For(Moderate, l.Clock.Source, "the clock is %s off", l.Clock.Value.Round(time.Second))
	default:
		l.Against(Strong, l.Clock.Source, "the clock is right to %s", off.Round(time.Second))
	}
}

// windows10 is the month in which the first build of Windows 10 was published:
// a log of Windows 10 that is older was written with a wrong clock.
var windows10 = time.Date(2015, time.July, 1, 0, 0, 0, 0, time.UTC)

// failuresInThePast: a machine of Windows 10 or later notes a failure of a time
// in which it could not exist, as after an empty battery on the board.
func failuresInThePast(l *look) {
	major, _, _ := strings.Cut(l.Machine.Build, ".")
	if len(major) != 5 || major < "10240" {
		return
	}
	for _, f := range l.Failures {
		if f.First.IsZero() || f.First.Year() <= 1601 || !f.First.Before(windows10) || len(f.Seen) == 0 {
			continue
		}
		if f.Last.After(windows10) {
			l.For(Strong, f.Seen[0].Source, "a line of %s on build %s", f.First.Format(time.DateOnly), l.Machine.Build)
			return
		}
	}
}

// timeServiceOff: nothing sets the clock any more.
func timeServiceOff(l *look) {
	if v := l.Text(keyTimeService+`\Parameters`, "Type"); v.State == facts.Present && strings.EqualFold(v.Value, "NoSync") {
		l.For(Weak, v.Source, "the time service does not synchronise: Type = %s", v.Value)
		return
	}
	if s := l.Service("w32time"); s.State == facts.Present && s.Value.Start == 4 {
		l.For(Weak, s.Source, "the time service is disabled")
	}
}

// vpnTopic: a person names a VPN. It tells more where the service was not
// reached than beside a failure that has nothing to do with the network.
func vpnTopic(l *look) {
	seen, ok := l.first([]string{"note-vpn-product", "note-vpn"})
	if !ok {
		return
	}
	w := Moderate
	if _, unreached := l.hit(codesUnreached); unreached {
		if !l.vain() {
			w = Strong
		}
	}
	l.add(true, w, seen)
}

// vpnAndOffline: Windows calls itself offline (ERROR_NO_NETWORK,
// ERROR_NETWORK_UNREACHABLE) while a VPN is named: its adapter hides the
// connection from the connectivity indicator.
func vpnAndOffline(l *look) {
	if _, vpn := l.first([]string{"note-vpn", "note-vpn-product", "vpn-adapter", "note-without-vpn-works"}); !vpn {
		return
	}
	if seen, ok := l.hit([]codes.HRESULT{0x800704CF, 0x800704C6, 0x80D03805, 0x80246005}); ok {
		l.add(true, Strong, seen)
	}
}

// ipv6Preference: somebody switched parts of IPv6 off by the registry; it shows
// that IPv6 was suspected before, and 0xFF is itself no supported state.
func ipv6Preference(l *look) {
	v := l.DWord(keyTCPIP6, "DisabledComponents")
	if v.State == facts.Present && v.Value != 0 && v.Value != 0x20 {
		l.Against(Weak, v.Source, "DisabledComponents = %#x", v.Value)
	}
}

// nearSleep is how close a failure lies to a machine's going to sleep, or to its waking,
// that was cut off by that: what waited is told as soon as the machine runs again.
const nearSleep = 2 * time.Minute

// sleptMeanwhile: the machine went to sleep in the middle of a request.
func sleptMeanwhile(l *look) {
	for _, x := range l.Failures {
		if x.Resolved || !slices.Contains(codesCutOff, x.Code) {
			continue
		}
		for _, s := range l.Slept {
			if !x.Last.IsZero() && x.Last.Sub(s.Time).Abs() <= nearSleep {
				l.For(Strong, s.Source, "%s; the connection broke with it: %s", s.Text, x.Code)
				l.Cure("keep-awake-during-work")
				return
			}
		}
	}
}

// codesCutOff are those of requests whose connection was there and went away.
var codesCutOff = []codes.HRESULT{0x80072EFE, 0x80072EFF, 0x80072EE2, 0x8024401C, 0x80200056, 0x80D02002}
