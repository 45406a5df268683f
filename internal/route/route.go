// Package route walks the way that Windows Update's requests take, hop by hop,
// and predicts the HRESULT that Windows Update would report.
//
// It has three parts. [Settings.Plan] is pure: settings in, requests out, each with
// the proxy decisions that its caller makes in Windows' own order. [Walker.Walk] sends
// them, in parallel and bounded, and records every hop. [Predict] maps what a hop
// showed to the code that the caller in Windows would give.
package route

import (
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// Settings is everything on a machine that decides where its update requests go
// and through which proxy. The zero value is a machine of which nothing is known:
// it asks Microsoft, directly.
type Settings struct {
	Machine  Proxy             // WinHTTP's own: netsh winhttp, the WinHttpSettings value, advproxy
	Internet Proxy             // machine-wide WinINET (ProxySettingsPerUser = 0)
	User     Proxy             // WinINET of the signed-in user
	Accounts map[Account]Proxy // WinINET of the service accounts, which BITS reads for its jobs
	Environ  Proxy             // HTTP_PROXY and NO_PROXY: not read by Windows Update, shown because people set them

	WSUS         string // WUServer, as written, letter case and all; "" if none
	WSUSStatus   string // WUStatusServer
	UseWSUS      bool   // UseWUServer
	Alternate    string // UpdateServiceUrlAlternate: an alternate download server
	FillEmptyURL bool   // FillEmptyContentUrls
	UserFallback bool   // SetProxyBehaviorForUpdateDetection: WSUS scans may try the user's proxy
	NoInternet   bool   // DoNotConnectToWindowsUpdateInternetLocations
	NoPinning    bool   // DoNotEnforceEnterpriseTLSCertPinningForUpdateDetection
	DODisabled   bool   // DODownloadMode 99 or 100: BITS or plain HTTP fetches content
	CacheHost    string // DOCacheHost: a Connected Cache server

	// FromMicrosoft names the classes of updates that policy takes from Microsoft
	// although a WSUS is set: "feature", "quality", "driver", "other"
	// (SetPolicyDrivenUpdateSourceFor*Updates = 0, where it takes effect).
	FromMicrosoft []string

	MaxTLS uint16 // the newest version that SCHANNEL lets clients speak, as crypto/tls numbers them; 0: no limit

	SignedIn *bool    // nil: unknown
	Suffixes []string // DNS suffixes of the machine, primary first, for WPAD
	DHCPWPAD string   // DHCP option 252, "" if none or unknown
	NoWPAD   bool     // DisableWpad, or the service that does the detecting is disabled
	Devolve  int      // labels that DNS devolution leaves; 0: Windows' two; negative: there is no devolution
	Build    string   // "22631.3007"; "" if unknown
	Arch     string   // amd64, arm64, 386
	Agent    string   // version of the update agent
	ClientID string   // SusClientId; used only when asked to go deep
	Computer string   // DNS name of the machine, for the same
	Redacted []string // names above that are pseudonyms of a redacted bundle: nobody can be asked for them
}

// Proxy is how one party decides about proxies. Known is false when nobody looked.
type Proxy struct {
	Known  bool
	Static string // "host:port", or "http=a:1;https=b:2"; "" if none
	Bypass string // "<local>;*.corp.example", as written
	PAC    string // address of the configuration script
	Detect bool   // WPAD
	Source string // where the setting was read
}

// Direct reports that the party goes straight to the server.
func (p Proxy) Direct() bool { return p.Static == "" && p.PAC == "" && !p.Detect }

// Account is a service account of Windows.
type Account string

// The accounts that own update traffic. learn.microsoft.com: LocalSystem Account,
// NetworkService Account, LocalService Account.
const (
	System         Account = "S-1-5-18"
	LocalService   Account = "S-1-5-19"
	NetworkService Account = "S-1-5-20"
	User           Account = "user" // whoever is signed in
)

// Caller is the part of Windows that sends a request. Each reads other settings
// and reports other codes for the same trouble.
type Caller string

// The callers.
const (
	Locator Caller = "locator" // the agent's first request, for the service locator: wuauserv, LocalSystem, plain WinHTTP
	Agent   Caller = "agent"   // the agent's scan: the same service and account, SOAP over Windows Web Services
	Other   Caller = "other"   // the agent's other calls, such as reporting
	BITS    Caller = "bits"    // background transfer of content
	DO      Caller = "do"      // Delivery Optimization: content since Windows 10 1709
	Crypt   Caller = "crypt"   // root list and revocation: cryptsvc
	Store   Caller = "store"   // Store and its updates
)

// Task is one thing that Windows Update must be able to do, as requests: what is
// asked, by whom, through which decisions in order, and what a healthy answer is.
type Task struct {
	ID        string // "scan.locator", "scan.config", "download.range"; stable
	Caller    Caller
	Request   host.Request // Via is filled in by the walk
	Decisions []Decision   // tried in order; the first that is answered ends the task
	Want      Want
	Vital     bool   // without it nothing is updated; others are told, but weigh less
	Purpose   string // what is asked for, as a heading: "the service locator: where the update service is"
	Source    string // the Microsoft page, or the setting, that makes Windows send it
}

// Decision is one way in which a caller may choose a proxy.
type Decision struct {
	As      Account
	Proxy   Proxy
	Why     string       // "the scan tries the system's proxy first"
	After   []host.Fault // it is tried only when the decision before failed so; nil means after any failure
	Skipped string       // not tried, and why: "policy does not allow the user's proxy for WSUS"
	Source  string       // the Microsoft page, or what else says so
}

// Want says what a healthy answer to a task is.
type Want struct {
	Status []int  // accepted; empty means 200
	Body   Body   // what the body must be
	Range  *Range // the range that was asked for
	Pinned bool   // TLS must lead to Microsoft's own roots
	Length bool   // Content-Length must be there and right

	Operation string // of SOAP: the call whose answer it must be, "GetConfig" or "GetCookie"
}

// Body is a kind of answer.
type Body string

// The kinds of body that update traffic consists of.
const (
	AnyBody Body = ""
	SOAP    Body = "soap"    // an envelope, of a result or a fault
	Cabinet Body = "cabinet" // begins with MSCF
	Bytes   Body = "bytes"   // anything but a web page
	Text    Body = "text"    // exactly the text of NCSI: "Microsoft Connect Test"
)

// Range is a closed byte range, both ends included.
type Range struct{ First, Last int64 }

// Walk is what was seen of all routes.
type Walk struct {
	Began    time.Time
	Took     time.Duration
	As       string // the account that walked: the current user's name, LocalSystem, ...
	Settings Settings
	Trips    []Trip        // in the order of the plan
	Stray    []Observation // what several trips together show: a lying resolver, an unsteady line, a wrong clock
	Packets  []Packets     // how large they may be on a way on which large ones vanish; nil if that was not measured
	Clock    *Clock        // nil if it was not measured
	Gaps     []string      // what could not be walked, and why
}

// Trip is one task with everything that was tried for it.
type Trip struct {
	Task     Task
	Attempts []Attempt
	Decided  int        // index of the attempt whose result Windows would report; -1 if none was walked
	Predict  Prediction // what the caller in Windows would report
}

// Deciding returns the attempt that decides the trip, or nil if none was walked.
func (t *Trip) Deciding() *Attempt {
	if t.Decided < 0 || t.Decided >= len(t.Attempts) {
		return nil
	}
	return &t.Attempts[t.Decided]
}

// Beside returns the direct way that was walked only to compare, or nil.
func (t *Trip) Beside() *Attempt {
	for i := range t.Attempts {
		if t.Attempts[i].Beside && t.Attempts[i].Walked {
			return &t.Attempts[i]
		}
	}
	return nil
}

// Attempt is one decision that was followed: the exchange, or why there was none.
type Attempt struct {
	Decision Decision
	Walked   bool
	Exchange host.Exchange
	Script   *ScriptAnswer // what a configuration script decided; nil: none was asked
	Gap      string        // why it was not walked
	Beside   bool          // Windows would not go this way: it was walked to compare
	Steady   *Steady       // repeated short probes of the same way; nil if none were sent
}

// ScriptAnswer is what a configuration script said about one address.
type ScriptAnswer struct {
	URL      string // where the script came from
	Detected bool   // by WPAD
	List     string // "PROXY proxy.example:8080; DIRECT"
	Lower    string // what it says of the same name in small letters, if that differs
	Fault    string // why there is no answer; the next setting then decides
}

// Prediction is what Windows would make of an exchange.
type Prediction struct {
	Code   codes.HRESULT // 0 when the answer is as it should be
	Also   []codes.HRESULT
	Waits  int // dead addresses that the caller asks before one that answers, one after the other, each for up to a minute
	Caller Caller
	Hop    host.HopKind
	Fault  host.Fault
	Status int
	Source string // why this code: a Microsoft page, a header, a field report
}

// Observation is a finding about the route as a whole, as data.
type Observation struct {
	ID   string // "resolver-lies", "clock-wrong", "line-unsteady", "ipv6-dead", "address-dead", "intercepted"
	Hop  host.HopKind
	Seen string
}

// Steady is how a way behaves when it is asked several times.
type Steady struct {
	Sent, Lost    int
	Fastest, Mean time.Duration
	Jitter        time.Duration // mean difference of neighbours
}

// Clock is the machine's clock beside others.
type Clock struct {
	Offset      time.Duration // positive: this machine is ahead
	Uncertainty time.Duration
	Sources     []ClockSource
	Agree       int // how many sources agree with Offset within their uncertainty
}

// ClockSource is one foreign clock.
type ClockSource struct {
	Name        string // "https://www.example.com (Date)", "time.windows.com (SNTP)"
	Offset      time.Duration
	Uncertainty time.Duration
	Fault       string
}
