// Package pac evaluates proxy auto-configuration scripts: which proxy would a
// machine use for this address?
//
// A script is a foreign program, often fetched over plain HTTP from a host that
// DNS or DHCP names, so it runs in a child process that can do nothing but
// compute: a [Sandbox] bounds its time, memory, recursion and output, and
// answers its questions about names. Every address is evaluated in a fresh
// engine; what a script remembers does not reach the next address.
//
// What WinHTTP, and so Windows Update, does with scripts
// (learn.microsoft.com: "WinHTTP AutoProxy Support", "AutoProxy Issues in WinHTTP"):
//
//   - The script's own address must be http or https; file and ftp are refused
//     ("Windows 10 doesn't read a PAC file referenced by a file protocol"). The
//     same page says which media type or extension it must have: [CheckSource].
//   - A script of more than 1 MB is refused: [MaxScript].
//   - A script that runs for more than 60 seconds is ended. A Sandbox waits far
//     less for the script itself, and as long as WinHTTP for its names.
//   - Microsoft's JScript component runs it, not the engine of a browser: the
//     language of 1999. Scripts written with const or arrow functions work in
//     every browser and fail here. The dialect [JScript] shows it.
//   - The host name reaches the script in the letters in which the caller wrote
//     it. Browsers write it in lower case first; Windows Update passes WUServer
//     on as the policy spells it. [Sandbox.CaseSensitive] shows what that does.
//   - If the script defines FindProxyForURLEx, that is called and FindProxyForURL
//     is not ("IPv6-Aware Proxy Helper API Definitions").
//   - Only the first proxy of the answer is used, unless the caller itself tries
//     the others.
package pac

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"
)

// Bounds that hold in every sandbox.
const (
	MaxScript = 1 << 20 // bytes; WinHTTP refuses more. learn.microsoft.com: "AutoProxy Issues in WinHTTP"
	MaxList   = 4 << 10 // characters of an answer; a list of fifty proxies has two thousand
	MaxURL    = 8 << 10 // bytes of an address to decide about
	MaxCalls  = 1024    // addresses in one evaluation
	maxAlerts = 16      // per address; what is more is dropped
	maxText   = 256     // characters of one alert or detail
	maxDepth  = 2048    // nested calls of a script
)

// Dialect is the language that a script may be written in.
type Dialect string

const (
	// Modern is what today's browsers run, Microsoft Edge among them.
	Modern Dialect = ""
	// JScript is what WinHTTP runs: ECMAScript 3 with its library, and nothing
	// newer unless the script itself brings it. That it runs Microsoft's JScript
	// component says learn.microsoft.com, "AutoProxy Issues in WinHTTP"; that const
	// alone makes it refuse a script that browsers take is a field report.
	// Windows 11 24H2 has a younger component, JScript9Legacy, for what used
	// JScript; no page says whether WinHTTP is among it, so that a script which only
	// Modern runs is a suspicion there and no proof.
	JScript Dialect = "jscript"
)

// Env is the world that a script can ask about.
type Env struct {
	Now       time.Time    // its clock and time zone; the zero time is the present
	Addresses []netip.Addr // the machine's own, the preferred one first
	Dialect   Dialect

	// Lookup resolves a name; nil means that no name resolves. It is called once
	// per name and evaluation, from the goroutine of the caller, with names that
	// have the letters of a host name and are no addresses, and must end when its
	// context does.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Call is one address that is decided about: the arguments of FindProxyForURL.
type Call struct {
	URL  string `json:"url"`
	Host string `json:"host"`
}

// NewCall makes the arguments out of an address in the letters in which it is
// written. What stands before an @ and after a # is nobody's business and left
// out; an IPv6 address loses its brackets.
func NewCall(address string) (Call, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return Call{}, fmt.Errorf("address for a PAC script: %w", errNotURL) // url.Error would repeat a password
	case u.Hostname() == "" || len(address) > MaxURL:
		return Call{}, fmt.Errorf("address for a PAC script: %w", errNotURL)
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return Call{URL: u.String(), Host: u.Hostname()}, nil
}

// Lower returns the call as a browser makes it: the host name in lower case, the
// rest of the address untouched.
func (c Call) Lower() Call {
	lower := Call{URL: c.URL, Host: strings.ToLower(c.Host)}
	start := strings.Index(c.URL, "://") + len("://")
	if start < len("://") {
		return lower
	}
	end := len(c.URL)
	if n := strings.IndexAny(c.URL[start:], "/?#"); n >= 0 {
		end = start + n
	}
	lower.URL = strings.ToLower(c.URL[:end]) + c.URL[end:]
	return lower
}

// Result is what a script said about one address.
type Result struct {
	Call    Call
	List    string  // the answer as it came, without credentials and control characters; "" if null or ""
	Proxies []Proxy // the answer, parsed; nil if there is none
	Err     *Error  // why there is no answer; nil if there is one

	Looked []Lookup // the names that the script resolved, in its order
	Alerts []string // what the script said through alert
	Ex     bool     // FindProxyForURLEx was asked
	Clock  bool     // the script looked at the clock: another hour may give another answer
	Random bool     // the script threw dice: the same question may get another answer
	Took   time.Duration
}

// Lookup is one name that a script resolved.
type Lookup struct {
	Host      string
	Addresses []netip.Addr
	Took      time.Duration
	Err       error // what Env.Lookup said, or why it was not asked
}

// Fault says why a script gives no answer.
type Fault string

// The faults.
const (
	FaultScheme     Fault = "scheme"      // it would have to come from where WinHTTP does not fetch
	FaultType       Fault = "type"        // neither its media type nor its extension is one of a script
	FaultSize       Fault = "size"        // it is larger than MaxScript
	FaultPage       Fault = "page"        // it is a web page: a sign-in or error page took its place
	FaultSyntax     Fault = "syntax"      // it is no program
	FaultDialect    Fault = "dialect"     // it is a program in a newer language than the dialect
	FaultNoFunction Fault = "no-function" // it defines no FindProxyForURL
	FaultThrown     Fault = "thrown"      // it ended with an exception
	FaultReturn     Fault = "return"      // the answer is no string, or beyond MaxList
	FaultTime       Fault = "time"        // it ran for too long
	FaultMemory     Fault = "memory"      // it wanted too much memory
	FaultDepth      Fault = "depth"       // its calls or its brackets are nested too deeply
	FaultLookups    Fault = "lookups"     // it resolved too many names
	FaultChild      Fault = "child"       // the child process failed; nothing is known about the script
)

// sentences are for errors, not for reports.
var sentences = map[Fault]string{
	FaultScheme:     "only http and https are fetched",
	FaultType:       "not served as a script",
	FaultSize:       "larger than 1 MiB",
	FaultPage:       "a web page where a script is due",
	FaultSyntax:     "syntax error",
	FaultDialect:    "newer than the language of JScript",
	FaultNoFunction: "no function FindProxyForURL",
	FaultThrown:     "exception",
	FaultReturn:     "the answer is no list of proxies",
	FaultTime:       "ran for too long",
	FaultMemory:     "wanted too much memory",
	FaultDepth:      "nested too deeply",
	FaultLookups:    "resolved too many names",
	FaultChild:      "the child process failed",
}

// Error is a fault with the place where it showed. What it says of the script's
// own words is bounded, printable and without credentials.
type Error struct {
	Fault  Fault
	Line   int // from 1; 0 if unknown
	Column int
	Detail string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("PAC script: ")
	b.WriteString(sentences[e.Fault])
	if e.Line > 0 {
		fmt.Fprintf(&b, ", line %d column %d", e.Line, e.Column)
	}
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

// errNotURL is all that is said about an address that cannot be parsed, because
// it may hold a password.
var errNotURL = fmt.Errorf("no absolute URL with a host, or longer than %d bytes", MaxURL)

// CheckSource tells why WinHTTP would not take a script that it got from this
// address with this media type and this many bytes; nil if it would.
// learn.microsoft.com: "Windows 10 doesn't read a PAC file referenced by a file
// protocol", "AutoProxy Issues in WinHTTP".
func CheckSource(address, mediaType string, size int64) *Error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (!strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https")) {
		return &Error{Fault: FaultScheme}
	}
	if size > MaxScript {
		return &Error{Fault: FaultSize, Detail: fmt.Sprintf("%d bytes", size)}
	}
	kind, _, _ := strings.Cut(mediaType, ";")
	if strings.EqualFold(strings.TrimSpace(kind), "application/x-ns-proxy-autoconfig") {
		return nil
	}
	switch strings.ToLower(path.Ext(u.Path)) {
	case ".dat", ".js", ".pac", ".jvs":
		return nil
	}
	return &Error{Fault: FaultType, Detail: printable(strings.TrimSpace(kind), maxText)}
}
