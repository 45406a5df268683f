package cause

import (
	"cmp"
	"slices"

	"updoc/internal/codes"
	"updoc/internal/sorted"
)

// Advice is something that guides and forums commonly tell people to do, whatever
// the code. What it is worth for one code follows from data: the usual causes of
// the code, and which of them it can cure. The sentences stand in the message
// catalogue under "advice.ID.title" and the like.
type Advice struct {
	ID       string
	Remedies []string // what of the catalogue of remedies it amounts to; none if we would never do it
	Helps    []Effect // causes that it can cure
	// Round names causes that it goes round: the one update gets in by another
	// way, and the next one fails as before.
	Round []string
	// Harms names causes under which it makes things worse, for example taking
	// away a proxy that the network demands.
	Harms     []string
	Dangerous bool // can break Windows, whatever the cause
}

// Effect is how often something cures a cause, or is behind it.
type Effect struct {
	Cause  string
	Chance float64 // 0 to 1
}

// How often a step helps when its cause is there. Coarse on purpose: nobody has
// measured it, and the verdicts below only need the order of magnitude.
const (
	mostly = 0.9
	often  = 0.5
	rarely = 0.1
)

// Suspect is something that guides commonly blame for a failing update. It is
// judged as advice is: by the share of a code's usual causes that it is behind.
type Suspect struct {
	ID     string
	Behind []Effect
}

// Worth says what advice is worth for a code, or whether a suspect can give it.
type Worth string

// The verdicts.
const (
	Can     Worth = "can"     // often enough to be tried
	Seldom  Worth = "seldom"  // in a few cases
	Cannot  Worth = "cannot"  // in none of the usual cases
	Around  Worth = "around"  // cures nothing, but brings this one update in
	Harmful Worth = "harmful" // makes more machines worse than better
)

// The bounds between the verdicts, as shares of all machines with the code.
const (
	canFrom    = 0.15
	seldomFrom = 0.005
	harmFrom   = 0.20
	aroundFrom = 0.20
	// Where less than this share of a code's causes is known, "cannot" would be a guess.
	knownFrom = 0.40
)

// Judgement is the verdict on one piece of advice, or on one suspect, for one code.
type Judgement struct {
	ID    string
	Worth Worth
	Share float64 // share of the machines with this code that it cures, or is behind
	Harm  float64 // share of the machines with this code that it makes worse
}

// JudgeAdvice weighs all common advice against the causes of a code as [Usual]
// gives them. Of a code whose causes are hardly known nothing is said: nil.
func JudgeAdvice(usual []Share) []Judgement {
	if !wellKnown(usual) {
		return nil
	}
	var out []Judgement
	for _, a := range CommonAdvice() {
		j := Judgement{ID: a.ID, Share: total(a.Helps, usual), Harm: among(a.Harms, usual)}
		switch {
		case a.Dangerous, j.Harm >= harmFrom && j.Harm > j.Share:
			j.Worth = Harmful
		case j.Share < canFrom && among(a.Round, usual) >= aroundFrom:
			j.Worth = Around
		default:
			j.Worth = worth(j.Share)
		}
		out = append(out, j)
	}
	return out
}

// JudgeSuspects says which of the things that guides blame can be behind a code.
func JudgeSuspects(usual []Share) []Judgement {
	if !wellKnown(usual) {
		return nil
	}
	var out []Judgement
	for _, s := range CommonSuspects() {
		share := total(s.Behind, usual)
		out = append(out, Judgement{ID: s.ID, Worth: worth(share), Share: share})
	}
	return out
}

func wellKnown(usual []Share) bool {
	sum := 0.0
	for _, u := range usual {
		sum += u.Weight
	}
	return sum >= knownFrom
}

func worth(share float64) Worth {
	switch {
	case share >= canFrom:
		return Can
	case share >= seldomFrom:
		return Seldom
	}
	return Cannot
}

// total is the share of the usual causes that the effects cover.
func total(effects []Effect, usual []Share) float64 {
	sum := 0.0
	for _, u := range usual {
		for _, e := range effects {
			if e.Cause == u.Cause {
				sum += e.Chance * u.Weight
			}
		}
	}
	return sum
}

func among(ids []string, usual []Share) float64 {
	sum := 0.0
	for _, u := range usual {
		if slices.Contains(ids, u.Cause) {
			sum += u.Weight
		}
	}
	return sum
}

// effects gives all the causes the same chance.
func effects(chance float64, causes ...string) []Effect {
	out := make([]Effect, len(causes))
	for i, c := range causes {
		out[i] = Effect{c, chance}
	}
	return out
}

// demanding are the causes under which the network lets nothing out except
// through its proxy: there, taking the proxy away ends all updating.
var demanding = [...]string{
	"proxy-auth-required", "proxy-negotiate-refused", "proxy-credentials-cached",
	"proxy-plain-http-challenged", "proxy-user-only", "proxy-unreachable",
}

// reaching are the causes that keep an agent from its server. A person with a
// browser, or with media made elsewhere, goes round them.
var reaching = [...]string{
	"proxy-auth-required", "proxy-misconfigured-winhttp", "proxy-pac-case-sensitive", "proxy-wpad-wrong",
	"proxy-user-only", "proxy-stale", "proxy-unreachable", "proxy-mangles-headers", "proxy-negotiate-refused",
	"proxy-plain-http-challenged", "proxy-credentials-cached", "bits-blocked-range-requests",
	"network-unstable", "vpn-client", "wsus-unreachable", "wsus-policy-stale", "wsus-server-overloaded",
	"wsus-server-limit", "wsus-server-metadata-corrupt", "wsus-client-identity", "wsus-certificate",
	"wsus-content-missing", "wsus-product-not-synced", "wsus-url-invalid", "server-side-outage",
	"datastore-corrupt", "corrupt-download", "bits-queue-stuck", "do-policy", "device-ticket-missing",
	"tls-version-disabled", "clock-skew", "ipv6-broken", "mtu-black-hole",
}

// CommonAdvice returns what guides commonly advise, the most popular first.
func CommonAdvice() []Advice {
	return []Advice{
		{
			ID:       "reset-folders",
			Remedies: []string{"rename-softwaredistribution", "rename-catroot2", "reset-update-components"},
			Helps: slices.Concat(
				effects(mostly, "datastore-corrupt", "catroot2-corrupt"),
				effects(often, "corrupt-download", "bits-queue-stuck"),
			),
		},
		{
			ID:       "troubleshooter",
			Remedies: []string{"run-update-troubleshooter"},
			Helps: slices.Concat(
				effects(often, "datastore-corrupt", "service-hung"),
				effects(rarely, "service-disabled", "bits-queue-stuck", "corrupt-download", "catroot2-corrupt"),
			),
		},
		{
			ID:       "sfc-dism",
			Remedies: []string{"run-dism-restorehealth", "run-sfc"},
			Helps: slices.Concat(
				effects(often, "component-store-corrupt"),
				effects(rarely, "driver-store-missing-files", "service-missing", "removed-system-component", "catroot2-corrupt"),
			),
		},
		{
			ID:       "network-check",
			Remedies: []string{"run-connectivity-test"},
			Helps: slices.Concat(
				effects(often, "network-unstable"),
				// Whoever looks at the network may see the sign-in page, or that names fail.
				effects(0.3, "captive-portal", "dns-failure"),
			),
		},
		{
			ID:       "proxy-settings",
			Remedies: []string{"check-proxy-state", "correct-proxy-bypass", "set-winhttp-proxy", "import-winhttp-proxy-from-user"},
			Helps: slices.Concat(
				effects(mostly, "proxy-misconfigured-winhttp", "proxy-user-only", "proxy-stale"),
				effects(often, "proxy-wpad-wrong", "proxy-pac-case-sensitive", "proxy-credentials-cached"),
			),
		},
		{
			// The switch in Settings is the signed-in user's own proxy.
			ID:       "proxy-off",
			Remedies: []string{"test-without-user-proxy"},
			Helps: slices.Concat(
				effects(often, "proxy-stale"),
				effects(rarely, "proxy-misconfigured-winhttp", "proxy-wpad-wrong"),
			),
		},
		{
			ID:       "winhttp-reset",
			Remedies: []string{"clear-winhttp-proxy"},
			Helps: slices.Concat(
				effects(mostly, "proxy-stale"),
				effects(0.2, "proxy-misconfigured-winhttp"),
			),
			Harms: demanding[:],
		},
		{
			ID:       "vpn-off",
			Remedies: []string{"test-without-vpn", "disconnect-vpn-during-updates"},
			Helps: slices.Concat(
				effects(mostly, "vpn-client"),
				effects(often, "mtu-black-hole"),
				// A VPN brings its own name servers and DNS suffix, hence its own WPAD answer.
				effects(0.2, "proxy-wpad-wrong", "proxy-stale"),
			),
		},
		{
			ID:       "firewall-off",
			Remedies: []string{"test-without-third-party-firewall"},
			// The firewall on the machine is only one of those on the way.
			Helps: effects(0.4, "firewall-block"),
		},
		{
			ID:       "antivirus-off",
			Remedies: []string{"test-without-antivirus-shield"},
			Helps: slices.Concat(
				effects(often, "third-party-antivirus"),
				effects(0.3, "tls-interception"),
				effects(rarely, "third-party-filter-driver", "proxy-mangles-headers"),
			),
		},
		{
			ID:       "clock",
			Remedies: []string{"sync-clock"},
			Helps: slices.Concat(
				effects(mostly, "clock-skew"),
				// Kerberos refuses tickets beyond five minutes of skew ([MS-KILE], RFC 4120).
				effects(rarely, "proxy-negotiate-refused", "device-ticket-missing"),
			),
		},
		{
			ID:       "wait",
			Remedies: []string{"wait-and-retry", "wait-server-side-fix", "wait-other-install"},
			Helps: slices.Concat(
				effects(mostly, "server-side-outage", "installer-busy"),
				effects(often, "network-unstable", "wsus-server-overloaded"),
				effects(0.3, "proxy-unreachable", "known-issue"),
			),
		},
		{
			ID:       "restart",
			Remedies: []string{"restart-machine"},
			Helps: slices.Concat(
				effects(mostly, "service-hung", "installer-busy"),
				effects(often, "pending-operations-stuck", "reserved-storage"),
				effects(0.2, "servicing-hang-timeout", "transaction-log-full"),
			),
		},
		{
			ID:       "services",
			Remedies: []string{"restore-service-start-types", "restart-update-services"},
			Helps: slices.Concat(
				effects(mostly, "service-disabled"),
				effects(often, "service-hung"),
				effects(0.2, "blocker-tool"),
			),
		},
		{
			ID:       "disk-space",
			Remedies: []string{"free-disk-space"},
			Helps: slices.Concat(
				effects(mostly, "disk-full-system"),
				effects(often, "temp-folder-full"),
			),
		},
		{
			ID:       "clean-boot",
			Remedies: []string{"run-clean-boot"},
			Helps: slices.Concat(
				effects(often, "third-party-software-conflict", "third-party-software-reboot", "blocker-tool"),
				effects(0.2, "third-party-filter-driver", "third-party-antivirus", "vpn-client", "service-hung"),
			),
		},
		{
			ID:       "manual-install",
			Remedies: []string{"install-update-from-catalog"},
			Helps: slices.Concat(
				effects(mostly, "corrupt-download"),
				effects(often, "missing-ssu-prerequisite", "missing-checkpoint-prerequisite", "wrong-architecture"),
			),
			Round: reaching[:],
		},
		{
			ID:       "in-place-upgrade",
			Remedies: []string{"run-in-place-upgrade"},
			Helps: slices.Concat(
				effects(mostly, "component-store-corrupt", "catroot2-corrupt", "datastore-corrupt", "service-missing",
					"removed-system-component", "driver-store-missing-files", "language-pack-damage"),
				effects(often, "pending-operations-stuck", "servicing-hang-timeout", "file-permission-denied", "service-permissions",
					"transaction-log-full", "wmi-broken", "scheduled-task-corrupt", "missing-system-folder",
					"appx-repository-corrupt", "missing-payload-source"),
				effects(rarely, "service-disabled"),        // an upgrade takes start types over
				effects(0.3, "installer-framework-dotnet"), // the .NET Framework in Windows, not the products beside it
			),
		},
		{
			ID: "reinstall",
			Helps: slices.Concat(effects(0.2, "proxy-misconfigured-winhttp"), effects(mostly, "proxy-stale", "component-store-corrupt", "catroot2-corrupt", "datastore-corrupt", "service-missing",
				"removed-system-component", "driver-store-missing-files", "language-pack-damage", "pending-operations-stuck",
				"file-permission-denied", "service-permissions", "service-disabled", "blocker-tool", "transaction-log-full", "wmi-broken",
				"scheduled-task-corrupt", "missing-system-folder", "appx-repository-corrupt", "third-party-software-conflict",
				"third-party-filter-driver", "registry-size-limit", "stale-device-registry")),
		},
		{
			// Most of the lists name libraries that Windows 10 and 11 do not have.
			ID:    "register-dlls",
			Helps: effects(0.002, "service-missing"),
		},
		{
			ID:        "delete-pending-xml",
			Helps:     effects(rarely, "pending-operations-stuck"),
			Dangerous: true,
		},
		{
			ID:       "disable-ipv6",
			Remedies: []string{"test-without-ipv6", "prefer-ipv4-over-ipv6"},
			Helps:    effects(mostly, "ipv6-broken"),
		},
		{
			ID:       "delete-policies",
			Remedies: []string{"remove-stale-wsus-policy", "remove-leftover-update-policy"},
			Helps: slices.Concat(
				effects(mostly, "wsus-policy-stale"),
				effects(often, "policy-disabled-updates", "scan-source-conflict", "wufb-deferral-or-pin", "wsus-url-invalid"),
			),
			// A company's machine loses its update server and gets the policy back.
			Harms: []string{"wsus-unreachable", "wsus-server-overloaded", "wsus-server-limit", "wsus-client-identity", "wsus-certificate"},
		},
	}
}

// CommonSuspects returns what guides commonly blame.
func CommonSuspects() []Suspect {
	return []Suspect{
		{ID: "network", Behind: slices.Concat(
			effects(1, "network-unstable", "mtu-black-hole", "ipv6-broken", "dns-failure"),
			effects(rarely, "corrupt-download"),
		)},
		{ID: "proxy", Behind: effects(1, "proxy-auth-required", "proxy-misconfigured-winhttp", "proxy-pac-case-sensitive",
			"proxy-wpad-wrong", "proxy-user-only", "proxy-stale", "proxy-unreachable", "proxy-mangles-headers",
			"proxy-negotiate-refused", "proxy-plain-http-challenged", "proxy-credentials-cached", "bits-blocked-range-requests")},
		{ID: "vpn", Behind: slices.Concat(
			effects(1, "vpn-client"),
			effects(often, "mtu-black-hole"),
			effects(0.2, "proxy-wpad-wrong", "proxy-stale"),
		)},
		{ID: "firewall", Behind: effects(1, "firewall-block")},
		{ID: "cache", Behind: effects(1, "datastore-corrupt", "catroot2-corrupt", "corrupt-download", "bits-queue-stuck")},
		{ID: "system-files", Behind: effects(1, "component-store-corrupt", "driver-store-missing-files", "service-missing",
			"missing-system-folder", "removed-system-component", "language-pack-damage")},
		{ID: "servers", Behind: effects(1, "server-side-outage", "known-issue", "wsus-server-overloaded", "wsus-server-metadata-corrupt")},
		{ID: "clock", Behind: slices.Concat(
			effects(1, "clock-skew"),
			effects(rarely, "proxy-negotiate-refused", "device-ticket-missing"),
		)},
		{ID: "disk-space", Behind: effects(1, "disk-full-system", "disk-full-esp-srp", "wre-partition-too-small", "temp-folder-full")},
		{ID: "antivirus", Behind: slices.Concat(
			effects(1, "third-party-antivirus", "edr-wdac-block"),
			effects(0.3, "tls-interception", "third-party-filter-driver"),
		)},
		{ID: "software", Behind: effects(1, "third-party-software-conflict", "third-party-filter-driver", "third-party-software-reboot", "blocker-tool")},
		{ID: "services", Behind: effects(1, "service-disabled", "service-missing", "service-permissions", "service-hung")},
	}
}

// Curable returns the causes that an advice can cure, the surest first.
func (a Advice) Curable() []string {
	list := slices.Clone(a.Helps)
	sorted.By(list, func(x, y Effect) int { return cmp.Compare(y.Chance, x.Chance) })
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Cause
	}
	return out
}

// FirstLook returns the remedy that only looks, and with which an expert begins
// when a cause of the family is likely; "" if there is no special one.
func FirstLook(f Family) string {
	switch f {
	case "proxy":
		return "check-proxy-state"
	case "network":
		return "run-connectivity-test"
	case "wsus":
		return "check-wsus-reachability"
	case "policy":
		return "check-update-policies"
	case "services":
		return "check-service-state"
	case "disk":
		return "check-disk-health"
	case "servicing", "files", "state", "drivers", "system":
		return "read-servicing-log"
	case "setup":
		return "run-setupdiag"
	case "conflict":
		return "check-file-locks"
	case "agent", "server":
		return "read-update-log"
	case "-": // unknown-other: a person has to look
		return "collect-support-report"
	}
	return ""
}

// sameAnswer are the forms in which one and the same HTTP 407 is reported: by
// the agent, by BITS, by the web services layer. What is true of one holds for all.
var sameAnswer = [...]codes.HRESULT{0x8024401B, 0x80190197, 0x8024043C, 0x803D0016, 0x803D0018, 0x803D0019, 0x803D001A, 0x803D001B}

// Alike returns the code under which advice on h is kept: its own, or that of the
// commonest code that reports the same thing.
func Alike(h codes.HRESULT) codes.HRESULT {
	if slices.Contains(sameAnswer[:], h) {
		return sameAnswer[0]
	}
	return h
}
