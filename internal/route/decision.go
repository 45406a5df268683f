package route

import (
	"strconv"
	"strings"

	"updoc/internal/host"
)

// The pages that say who asks which proxy. The one on the update client speaks of
// "certain proxy, service, or authentication error codes" and lists none.
const (
	sourceClient  = "learn.microsoft.com: How the Windows Update client determines which proxy server to use to connect to the Windows Update website"
	sourceDO      = "learn.microsoft.com: Using a proxy with Delivery Optimization"
	sourceBITS    = "learn.microsoft.com: Service Accounts and BITS"
	sourceProxyBy = "ADMX_WindowsUpdate: Specify intranet Microsoft update service location (SetProxyBehaviorForUpdateDetection)"
	sourceCrypt   = "field reports: root lists follow the WinHTTP proxy; no page says so"
	sourceStore   = "field reports: the Store follows the signed-in user's settings; no page says so"
)

// unreached are the faults after which the agent tries the next proxy: it "fails
// to reach the service". A proxy that fails or refuses, a name or connection that
// fails, a broken handshake (logs show 0x80072F8F and 0x80072EFE followed by
// "retrying with default proxy") and a status that is none of the service's count.
// A service that was reached and answers with a SOAP fault, or content that is
// wrong, is no reason to ask another proxy.
func unreached() []host.Fault {
	return []host.Fault{
		host.FaultPAC, host.FaultNoProxy,
		host.FaultNoName, host.FaultNoAddress, host.FaultNoResolver, host.FaultSunk,
		host.FaultRefused, host.FaultTimeout, host.FaultReset, host.FaultUnreachable, host.FaultBlocked, host.FaultClosed,
		host.FaultProxyAuth, host.FaultProxyDenied, host.FaultProxyGateway, host.FaultProxyStatus,
		host.FaultNotTLS, host.FaultAlert, host.FaultVersion, host.FaultIssuer, host.FaultUntrusted,
		host.FaultExpired, host.FaultNotYet, host.FaultCertName,
		host.FaultNotHTTP, host.FaultEndless, host.FaultStatus, host.FaultRedirect, host.FaultPortal,
	}
}

// Decide returns the proxy decisions that a caller makes, in Windows' order; those
// that it does not make are among them, with why not. A request is own if it goes
// to a server that policy names and not to Microsoft.
func (s Settings) Decide(c Caller, own bool) []Decision {
	var d []Decision
	switch c {
	case Locator, Agent:
		d = []Decision{s.system(System, sourceClient), s.fallback(own)}
		d[1].After = unreached()
	case Other:
		d = []Decision{s.user("reports and the like try the user's proxy first", sourceClient), s.system(System, sourceClient)}
		d[1].After = unreached()
	case BITS:
		d = s.bits()
	case DO:
		d = s.delivery()
	case Crypt:
		d = []Decision{s.system(NetworkService, sourceCrypt)}
	case Store:
		d = []Decision{assumed(s.user("the Store uses the user's proxy", sourceStore))}
	default:
		d = []Decision{s.system(System, sourceClient)}
	}
	return inOrder(d)
}

// inOrder skips what repeats an earlier decision, and lets the first decision that
// is made depend on nothing.
func inOrder(d []Decision) []Decision {
	first := true
	for i := range d {
		if d[i].Skipped != "" {
			continue
		}
		for _, before := range d[:i] {
			if before.Skipped == "" && before.Proxy.same(d[i].Proxy) {
				d[i].Skipped = "the same setting as before"
				break
			}
		}
		if d[i].Skipped != "" {
			continue
		}
		if first {
			d[i].After = nil
		}
		first = false
	}
	return d
}

// same reports that two settings send everything the same way.
func (p Proxy) same(o Proxy) bool {
	if p.Direct() && o.Direct() {
		return true
	}
	return strings.EqualFold(p.Static, o.Static) && (p.Static == "" || strings.EqualFold(p.Bypass, o.Bypass)) && p.PAC == o.PAC && p.Detect == o.Detect
}

// system is the machine's own decision: what netsh or advproxy set, and WPAD where
// nothing is set; services have no other way to find a proxy.
func (s Settings) system(as Account, source string) Decision {
	d := Decision{As: as, Proxy: s.Machine, Source: source}
	switch {
	case !s.Machine.Known:
		d.Proxy = Proxy{Known: true, Source: nobodyLooked}
		d.Why = "the system's proxy; it is not known, so the direct way is assumed"
	case !s.Machine.Direct():
		d.Why = "the system's proxy, as it is set for WinHTTP"
	case s.NoWPAD:
		d.Why = "the system has no proxy set, and detection is switched off"
	case len(s.WPAD()) == 0:
		d.Why = "the system has no proxy set, and there is no suffix and no DHCP option by which WPAD could find one"
	default:
		d.Proxy.Detect = true
		d.Why = "the system has no proxy set: WPAD is asked, and the direct way taken if nobody answers"
	}
	return d
}

// user is the decision by the settings of the signed-in user. Where policy makes
// proxy settings per machine, the machine-wide ones are the user's.
func (s Settings) user(why, source string) Decision {
	d := Decision{As: User, Proxy: s.User, Why: why, Source: source}
	if s.Internet.Known {
		d.Proxy = s.Internet
		d.Why += ", which policy sets for the whole machine"
	}
	switch {
	case s.SignedIn != nil && !*s.SignedIn:
		d.Skipped = "nobody is signed in"
	case !d.Proxy.Known:
		d.Skipped = userUnknown
	}
	return d
}

const (
	userUnknown  = "the user's proxy is not known"
	nobodyLooked = "assumed" // source of a direct way that no setting says
)

// assumed takes the direct way where the user's setting alone decides and nobody
// has looked at it.
func assumed(d Decision) Decision {
	if d.Skipped == userUnknown {
		d.Skipped = ""
		d.Proxy = Proxy{Known: true, Source: nobodyLooked}
		d.Why += "; it is not known, so the direct way is assumed"
	}
	return d
}

// fallback is the second try of a scan. Against a server of one's own it is off
// since September 2020 unless policy allows it.
func (s Settings) fallback(own bool) Decision {
	d := s.user("the scan tries the user's proxy when the system's does not lead to the service", sourceClient)
	if !own {
		return d
	}
	d.Source = sourceProxyBy
	if !s.UserFallback {
		d.Skipped = "policy does not allow the user's proxy for scans of a WSUS"
	}
	return d
}

// bits: a job belongs to LocalSystem, and BITS uses the Internet settings of a job's
// owner. It does not know the setting that netsh makes.
func (s Settings) bits() []Decision {
	d := Decision{As: System, Proxy: s.Accounts[System], Source: sourceBITS, Why: "the Internet settings of LocalSystem, who owns the job"}
	switch {
	case s.Internet.Known:
		d.Proxy = s.Internet
		d.Why = "the Internet settings of the whole machine, which policy makes those of LocalSystem too"
		d.Source = sourceDO // its part on device-wide settings names LocalSystem
	case !d.Proxy.Known:
		d.Proxy = Proxy{Known: true, Source: nobodyLooked}
		d.Why += "; system accounts have none by default"
	}
	return append([]Decision{d}, s.netshIgnored(System, "BITS does not read what netsh sets", sourceBITS)...)
}

// netshIgnored tells of a WinHTTP proxy that is set and that a caller passes over.
func (s Settings) netshIgnored(as Account, why, source string) []Decision {
	if !s.Machine.Known || s.Machine.Direct() {
		return nil
	}
	return []Decision{{As: as, Proxy: s.Machine, Source: source, Why: "the system's proxy", Skipped: why}}
}

// delivery: Delivery Optimization goes by the signed-in user, and without one by
// what the machine has, netsh first. Where nobody knows whether somebody is signed
// in, both are told.
func (s Settings) delivery() []Decision {
	switch {
	case s.SignedIn == nil:
		with, without := s.deliverySignedIn(), s.deliveryAlone()
		for i := range with {
			with[i].Why = "if somebody is signed in: " + with[i].Why
		}
		for i := range without {
			without[i].Why = "if nobody is signed in: " + without[i].Why
		}
		return append(with, without...)
	case *s.SignedIn:
		return s.deliverySignedIn()
	}
	return s.deliveryAlone()
}

func (s Settings) deliverySignedIn() []Decision {
	d := assumed(s.user("Delivery Optimization uses the proxy of the signed-in user", sourceDO))
	return append([]Decision{d}, s.netshIgnored(NetworkService, "while a user is signed in, what netsh sets is not used", sourceDO)...)
}

func (s Settings) deliveryAlone() []Decision {
	var out []Decision
	netsh := s.Machine.Known && !s.Machine.Direct()
	if netsh {
		out = append(out, Decision{As: NetworkService, Proxy: s.Machine, Source: sourceDO, Why: "without a user, what netsh sets wins over the Internet settings"})
	}
	switch service := s.Accounts[NetworkService]; {
	case s.Internet.Known:
		d := Decision{As: NetworkService, Proxy: s.Internet, Source: sourceDO, Why: "the machine-wide Internet settings"}
		if netsh {
			d.Skipped = "what netsh sets wins while nobody is signed in"
		}
		out = append(out, d)
	case netsh:
	case service.Known:
		out = append(out, Decision{As: NetworkService, Proxy: service, Source: sourceDO, Why: "the Internet settings of NetworkService, as which the service runs"})
	default:
		out = append(out, Decision{As: NetworkService, Proxy: Proxy{Known: true, Source: nobodyLooked}, Source: sourceDO, Why: "the service has no settings of its own"})
	}
	if s.User.Known && !s.User.Direct() && !s.Internet.Known {
		out = append(out, Decision{
			As: User, Proxy: s.User, Source: sourceDO, Why: "the user's Internet settings",
			Skipped: "per-user settings are not used while nobody is signed in",
		})
	}
	return out
}

// cache returns the decisions for a Connected Cache: until Windows 10 2004 Delivery
// Optimization went to it past any proxy.
func (s Settings) cache() []Decision {
	if n := s.build(); n == 0 || n >= 19041 {
		return s.Decide(DO, true)
	}
	return []Decision{{
		As: NetworkService, Proxy: Proxy{Known: true, Source: "build " + s.Build}, Source: sourceDO,
		Why: "before Windows 10 2004 the cache is asked directly, past any proxy",
	}}
}

// build returns the build number, 0 if it is not known.
func (s Settings) build() int {
	number, _, _ := strings.Cut(s.Build, ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}
