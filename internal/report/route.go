package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/proxyauth"
	"updoc/internal/redact"
	"updoc/internal/route"
	"updoc/internal/sorted"
)

// RouteSchema is the schema of [RouteDocument].
const RouteSchema = "updoc.route/1"

// RouteDocument is a walk as people and programs read it: one value, drawn as
// text, JSON, Markdown and HTML. It holds no credentials. Ids may be added; an id
// never changes its meaning.
type RouteDocument struct {
	Schema  string      `json:"schema"`
	Verdict string      `json:"verdict"` // open, broken, unknown
	As      string      `json:"as"`      // the account that walked
	Began   time.Time   `json:"began"`
	TookMS  float64     `json:"took_ms"`
	Routes  []Route     `json:"routes"`
	Seen    []RouteSeen `json:"seen,omitempty"`  // what several routes show together
	Clock   *Clock      `json:"clock,omitempty"` // nil: not measured
	Causes  []Cause     `json:"causes,omitempty"`
	Advice  []Advice    `json:"advice,omitempty"` // what fits the first cause stands first
	Gaps    []Gap       `json:"gaps,omitempty"`   // what was not walked

	redacted bool
}

// Route is one request of Windows Update's and every way it was tried.
type Route struct {
	ID      string     `json:"id"`
	Purpose string     `json:"purpose"`
	Caller  string     `json:"caller"`
	Method  string     `json:"method"`
	URL     string     `json:"url"`
	Vital   bool       `json:"vital"`
	State   string     `json:"state"` // open, broken, unknown
	Predict *Predicted `json:"predicted,omitempty"`
	Waits   int        `json:"waits,omitempty"` // dead addresses that Windows asks before one that answers
	Ways    []Way      `json:"ways"`
}

// Predicted is what the caller in Windows would report.
type Predicted struct {
	Code   string   `json:"code"`
	Symbol string   `json:"symbol,omitempty"`
	Also   []string `json:"also,omitempty"`
	Source string   `json:"source"`
}

// Way is one proxy decision that was followed.
type Way struct {
	As      string  `json:"as,omitempty"`
	Proxy   string  `json:"proxy,omitempty"` // "" is direct
	Setting string  `json:"setting,omitempty"`
	Why     string  `json:"why"`
	Decides bool    `json:"decides"`           // Windows would report what happened here
	Beside  bool    `json:"beside,omitempty"`  // Windows would not go here: walked to compare
	Skipped string  `json:"skipped,omitempty"` // why Windows does not go here, or why nobody did
	Script  *Script `json:"script,omitempty"`  // what a proxy script said
	Status  int     `json:"status,omitempty"`
	Hops    []Hop   `json:"hops,omitempty"` // empty: not walked
	TookMS  float64 `json:"took_ms,omitempty"`
	Steady  *Steady `json:"steady,omitempty"` // of repeated short probes
}

// Script is what a proxy script said about the address of a route.
type Script struct {
	URL      string `json:"url,omitempty"`
	Detected bool   `json:"detected,omitempty"` // by WPAD
	List     string `json:"list,omitempty"`     // "PROXY proxy.example:8080; DIRECT"
	Lower    string `json:"lower,omitempty"`    // what it says of the same name in small letters, if that differs
	Fault    string `json:"fault,omitempty"`    // why there is no answer
}

// Steady is how a way behaved when it was asked several times.
type Steady struct {
	Sent      int     `json:"sent"`
	Lost      int     `json:"lost"`
	FastestMS float64 `json:"fastest_ms"`
	MeanMS    float64 `json:"mean_ms"`
	JitterMS  float64 `json:"jitter_ms"` // mean difference of neighbours
}

// Hop is one leg; the one with a fault is where the way ends. Fields that are not of
// its kind are left out.
type Hop struct {
	Kind   string  `json:"kind"`
	Target string  `json:"target"`
	Seen   string  `json:"seen,omitempty"` // what it showed, in a few words
	Fault  string  `json:"fault,omitempty"`
	AtMS   float64 `json:"at_ms"` // since the way was begun
	TookMS float64 `json:"took_ms"`

	Addresses  []string    `json:"addresses,omitempty"`
	Resolver   string      `json:"resolver,omitempty"`
	Remote     string      `json:"remote,omitempty"`
	Tried      []Dial      `json:"tried,omitempty"`
	Status     int         `json:"status,omitempty"`
	Challenges []Challenge `json:"challenges,omitempty"`
	Agent      string      `json:"agent,omitempty"`
	SignedIn   string      `json:"signed_in,omitempty"`
	Result     string      `json:"result,omitempty"` // the code that the update agent makes of the answer, where it says so exactly
	TLS        *TLS        `json:"tls,omitempty"`
}

// Dial is one attempt to connect.
type Dial struct {
	Remote string  `json:"remote"`
	TookMS float64 `json:"took_ms"`
	Fault  string  `json:"fault,omitempty"`
}

// Challenge is one way of signing in that a proxy offers.
type Challenge struct {
	Scheme string `json:"scheme"`
	Realm  string `json:"realm,omitempty"`
}

// TLS is what a handshake showed.
type TLS struct {
	Version string        `json:"version,omitempty"`
	Cipher  string        `json:"cipher,omitempty"`
	Trusted bool          `json:"trusted"`
	Chain   []Certificate `json:"chain,omitempty"` // as presented, the server's first
}

// Certificate is what of a certificate tells who stands behind it.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`
}

// RouteSeen is something that several routes show together.
type RouteSeen struct {
	ID   string `json:"id"`  // resolver-lies, intercepted, line-unsteady, ...
	Hop  string `json:"hop"` // the kind of leg that it is about
	Text string `json:"text"`
}

// Clock is the machine's clock beside others.
type Clock struct {
	State         string        `json:"state"`     // right, wrong, unknown
	OffsetMS      float64       `json:"offset_ms"` // positive: this machine is ahead
	UncertaintyMS float64       `json:"uncertainty_ms"`
	Agree         int           `json:"agree"` // sources that agree on it
	Sources       []ClockSource `json:"sources"`
}

// ClockSource is one foreign clock.
type ClockSource struct {
	Name          string  `json:"name"`
	OffsetMS      float64 `json:"offset_ms"`
	UncertaintyMS float64 `json:"uncertainty_ms"`
	Fault         string  `json:"fault,omitempty"`
}

// Advice is something that can be pasted.
type Advice struct {
	Kind  string `json:"kind"`
	Title string `json:"title"`
	Text  string `json:"text"`
	Fits  bool   `json:"fits"` // it is meant for the first cause
}

// clockMatters is how far a clock may be off before something breaks by it: what
// Kerberos allows by default. learn.microsoft.com: Maximum tolerance for computer
// clock synchronization.
const clockMatters = 5 * time.Minute

// Bounds of what a document keeps of one hop, whatever was on the wire.
const (
	maxHopList  = 16
	maxHopRunes = 600
)

// NewRoute makes the document of a walk; doc, which may be nil, adds the causes
// that the walk proves, and redacts it with the same pseudonyms if it is redacted.
func NewRoute(w *route.Walk, doc *Document) *RouteDocument {
	out := newRoute(w)
	cause := ""
	if doc != nil {
		if out.Verdict == "broken" && len(doc.Causes) > 0 {
			cause = doc.Causes[0].ID
		}
		out.Causes = slices.Clone(doc.Causes)
	}
	for _, s := range route.Advice(w, cause) {
		out.Advice = append(out.Advice, Advice{Kind: string(s.Kind), Title: s.Title, Text: s.Text, Fits: s.Fits})
	}
	var r *redact.Redactor
	if doc != nil {
		r = doc.redactor
	}
	out.settle(w, r)
	for i := range out.Causes { // they were settled with their document
		c := &out.Causes[i]
		c.Evidence = slices.Clone(c.Evidence)
		for j := range c.Evidence {
			c.Evidence[j].Seen = withoutSecrets(c.Evidence[j].Seen)
		}
	}
	return out
}

func newRoute(w *route.Walk) *RouteDocument {
	out := &RouteDocument{Schema: RouteSchema, As: w.As, Began: w.Began.UTC(), TookMS: ms(w.Took), Verdict: "unknown", Routes: []Route{}}
	for i := range w.Trips {
		r := newRouteOf(&w.Trips[i])
		switch {
		case r.State == "broken" && r.Vital:
			out.Verdict = "broken"
		case r.State == "open" && out.Verdict == "unknown":
			out.Verdict = "open"
		}
		out.Routes = append(out.Routes, r)
	}
	for _, o := range w.Stray {
		out.Seen = append(out.Seen, RouteSeen{ID: o.ID, Hop: string(o.Hop), Text: o.Seen})
	}
	for _, g := range w.Gaps {
		source, why, _ := strings.Cut(g, ": ")
		out.Gaps = append(out.Gaps, Gap{Source: source, Why: why})
	}
	if c := w.Clock; c != nil {
		v := &Clock{State: "unknown", OffsetMS: ms(c.Offset), UncertaintyMS: ms(c.Uncertainty), Agree: c.Agree, Sources: []ClockSource{}}
		switch {
		case c.Agree == 0:
		case c.Offset.Abs() > clockMatters+c.Uncertainty:
			v.State = "wrong"
		default:
			v.State = "right"
		}
		for _, s := range c.Sources[:min(len(c.Sources), 2*maxHopList)] {
			v.Sources = append(v.Sources, ClockSource{Name: s.Name, OffsetMS: ms(s.Offset), UncertaintyMS: ms(s.Uncertainty), Fault: s.Fault})
		}
		out.Clock = v
	}
	return out
}

func newRouteOf(t *route.Trip) Route {
	r := Route{
		ID: t.Task.ID, Purpose: t.Task.Purpose, Caller: string(t.Task.Caller),
		Method: t.Task.Request.Method, URL: t.Task.Request.URL, Vital: t.Task.Vital, State: "unknown", Ways: []Way{},
	}
	for i := range t.Attempts {
		r.Ways = append(r.Ways, newWay(&t.Attempts[i], i == t.Decided))
	}
	if a := t.Deciding(); a != nil {
		r.State, r.Waits = "open", t.Predict.Waits
		if a.Exchange.Broken() != nil || t.Predict.Code != 0 {
			r.State = "broken"
		}
		if p := t.Predict; p.Code != 0 {
			r.Predict = &Predicted{Code: p.Code.String(), Symbol: p.Code.Symbol(), Source: p.Source}
			for _, c := range p.Also {
				r.Predict.Also = append(r.Predict.Also, c.String())
			}
		}
	}
	return r
}

func newWay(a *route.Attempt, decides bool) Way {
	way := Way{
		As: string(a.Decision.As), Proxy: a.Exchange.Request.Via.Proxy, Setting: cmp.Or(a.Exchange.Request.Via.Source, a.Decision.Proxy.Source), Why: a.Decision.Why,
		Decides: decides, Beside: a.Beside, Skipped: cmp.Or(a.Decision.Skipped, a.Gap), Status: a.Exchange.Status, TookMS: ms(a.Exchange.Took),
	}
	if s := a.Script; s != nil {
		way.Script = &Script{URL: s.URL, Detected: s.Detected, List: s.List, Lower: s.Lower, Fault: s.Fault}
	}
	if s := a.Steady; s != nil {
		way.Steady = &Steady{Sent: s.Sent, Lost: s.Lost, FastestMS: ms(s.Fastest), MeanMS: ms(s.Mean), JitterMS: ms(s.Jitter)}
	}
	for j := range a.Exchange.Hops {
		way.Hops = append(way.Hops, newHop(&a.Exchange.Hops[j]))
	}
	return way
}

func newHop(h *host.Hop) Hop {
	out := Hop{
		Kind: string(h.Kind), Target: h.Target, Seen: hopSeen(h), Fault: string(h.Fault), AtMS: ms(h.At), TookMS: ms(h.Took),
		Resolver: h.Resolver, Status: h.Status, Agent: h.Agent, SignedIn: h.SignedIn,
	}
	for _, a := range h.Addresses[:min(len(h.Addresses), maxHopList)] {
		out.Addresses = append(out.Addresses, a.String())
	}
	if h.Remote.IsValid() {
		out.Remote = h.Remote.String()
	}
	for _, d := range h.Tried[:min(len(h.Tried), maxHopList)] {
		out.Tried = append(out.Tried, Dial{Remote: d.Remote.String(), TookMS: ms(d.Took), Fault: string(d.Fault)})
	}
	for _, c := range h.Challenges[:min(len(h.Challenges), maxHopList)] {
		out.Challenges = append(out.Challenges, Challenge{Scheme: c.Scheme, Realm: c.Realm})
	}
	if h.Result != 0 {
		out.Result = h.Result.String()
	}
	if t := h.TLS; t != nil {
		v := &TLS{Version: t.Version, Cipher: t.Cipher, Trusted: t.Trusted}
		for _, c := range t.Chain[:min(len(t.Chain), maxHopList)] {
			v.Chain = append(v.Chain, Certificate{
				Subject: c.Subject, Issuer: c.Issuer, Names: cut(c.Names, maxHopList),
				NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), SHA256: c.SHA256,
			})
		}
		out.TLS = v
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// hopSeen says in a few words what a hop showed.
func hopSeen(h *host.Hop) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch h.Kind {
	case host.HopDNS:
		for i, a := range h.Addresses {
			if i == 3 {
				add("and %d more", len(h.Addresses)-3)
				break
			}
			add("%s", a)
		}
		if h.Resolver != "" {
			add("by %s", h.Resolver)
		}
	case host.HopTCP:
		switch {
		case h.Fault == "" && h.Remote.IsValid():
			add("%s", h.Remote)
		case len(h.Tried) > 0:
			for i, d := range h.Tried {
				if i == 3 {
					add("and %d more", len(h.Tried)-3)
					break
				}
				add("%s", d.Remote)
			}
		case h.Remote.IsValid():
			add("%s", h.Remote)
		}
	case host.HopProxy:
		if h.Status != 0 {
			add("HTTP %d%s", h.Status, by(h.Agent))
		}
		var schemes []string
		realm := ""
		for _, c := range h.Challenges {
			if !slices.Contains(schemes, c.Scheme) {
				schemes = append(schemes, c.Scheme)
			}
			realm = cmp.Or(realm, c.Realm)
		}
		if len(schemes) > 0 {
			add("offers %s", strings.Join(schemes, "/"))
		}
		if realm != "" {
			add("realm %q", realm)
		}
		if h.SignedIn != "" {
			add("signed in with %s", h.SignedIn)
		}
	case host.HopTLS:
		if h.TLS != nil {
			if h.TLS.Version != "" {
				add("%s", h.TLS.Version)
			}
			if n := len(h.TLS.Chain); n > 0 && h.Fault != host.FaultIssuer {
				add("issuer %s", h.TLS.Chain[0].Issuer)
			}
		}
	case host.HopHTTP:
		if h.Status != 0 {
			add("HTTP %d%s", h.Status, by(h.Agent))
		}
	}
	if h.Agent != "" && h.Status == 0 {
		add("%s", product(h.Agent))
	}
	if h.Seen != "" && !slices.Contains(parts, h.Seen) {
		add("%s", h.Seen)
	}
	return strings.Join(parts, ", ")
}

func by(agent string) string {
	if agent == "" {
		return ""
	}
	return " by " + product(agent)
}

// product is who answered, without what of a Via field is known already: "1.1
// proxy.example (squid/5.7)" is squid/5.7 (RFC 9110, 7.6.3).
func product(agent string) string {
	if m := via().FindStringSubmatch(agent); m != nil {
		return m[1]
	}
	return agent
}

var via = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w/.]+ \S+ \(([^()]+)\)$`) })

// settle makes the strings of a new document safe: bounded, without what nobody sees
// and without credentials; and redacts them if r is not nil.
func (d *RouteDocument) settle(w *route.Walk, r *redact.Redactor) {
	if r != nil {
		d.removeRealms()
	}
	d.eachForeign(func(s string) string {
		s = withoutSecrets(visible(s))
		if rs := []rune(s); len(rs) > maxHopRunes {
			s = string(rs[:maxHopRunes]) + quoteEnd
		}
		return s
	})
	if r == nil {
		return
	}
	learnRoute(r, w)
	d.redacted = true
	d.eachForeign(func(s string) string { return hide(r, s) })
}

// removeRealms takes out how proxies call what they guard: prose, in which nobody can
// tell the name of a company from the rest.
func (d *RouteDocument) removeRealms() {
	for _, r := range d.Routes {
		for _, w := range r.Ways {
			for i := range w.Hops {
				h := &w.Hops[i]
				for j := range h.Challenges {
					if realm := h.Challenges[j].Realm; realm != "" {
						h.Seen = strings.ReplaceAll(h.Seen, fmt.Sprintf("%q", realm), redact.Mark)
						h.Challenges[j].Realm = redact.Mark
					}
				}
			}
		}
	}
}

// eachForeign replaces every string of the document that did not come from updoc's
// own tables. The causes are not among them: they belong to their own document.
func (d *RouteDocument) eachForeign(f func(string) string) {
	to := func(fields ...*string) {
		for _, s := range fields {
			*s = f(*s)
		}
	}
	each := func(list []string) {
		for i := range list {
			to(&list[i])
		}
	}
	to(&d.As)
	for i := range d.Routes {
		r := &d.Routes[i]
		to(&r.Method, &r.URL)
		for j := range r.Ways {
			w := &r.Ways[j]
			to(&w.Proxy, &w.Setting, &w.Skipped)
			if s := w.Script; s != nil {
				to(&s.URL, &s.List, &s.Lower, &s.Fault)
			}
			for k := range w.Hops {
				h := &w.Hops[k]
				to(&h.Target, &h.Seen, &h.Resolver, &h.Remote, &h.Agent, &h.SignedIn)
				each(h.Addresses)
				for n := range h.Tried {
					to(&h.Tried[n].Remote)
				}
				for n := range h.Challenges {
					to(&h.Challenges[n].Scheme, &h.Challenges[n].Realm)
				}
				if h.TLS == nil {
					continue
				}
				to(&h.TLS.Version, &h.TLS.Cipher)
				for n := range h.TLS.Chain {
					c := &h.TLS.Chain[n]
					to(&c.Subject, &c.Issuer)
					each(c.Names)
				}
			}
		}
	}
	for i := range d.Seen {
		to(&d.Seen[i].Text)
	}
	if d.Clock != nil {
		for i := range d.Clock.Sources {
			to(&d.Clock.Sources[i].Name, &d.Clock.Sources[i].Fault)
		}
	}
	for i := range d.Gaps {
		to(&d.Gaps[i].Source, &d.Gaps[i].Why)
	}
	for i := range d.Advice {
		d.Advice[i].Text = eachLine(d.Advice[i].Text, f)
	}
}

// eachLine replaces the lines of a text one by one; what indents them stays.
func eachLine(text string, f func(string) string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		rest := strings.TrimLeft(l, " ")
		lines[i] = l[:len(l)-len(rest)] + f(rest)
	}
	return strings.Join(lines, "\n")
}

// token finds what stands behind the name of a scheme of HTTP authentication.
var token = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(basic|bearer|digest|ntlm|negotiate)(\s+)[a-z0-9+/=._~-]{12,}`)
})

// withoutSecrets takes user names and passwords out of addresses, and tokens out of
// header fields. Nothing that the walk makes holds any; what comes from the wire may.
func withoutSecrets(s string) string {
	if strings.Contains(s, "@") {
		words := strings.Split(s, " ")
		for i, word := range words {
			words[i], _ = proxyauth.CutUserinfo(word)
		}
		s = strings.Join(words, " ")
	}
	if !mayHoldToken(s) {
		return s
	}
	return token().ReplaceAllString(s, "${1}${2}"+redact.Mark)
}

// mayHoldToken reports that blank space follows the name of a scheme, as before each
// token. A document has hundreds of strings and next to none of them has one.
func mayHoldToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return true // letters fold in more ways than these
		case c != ' ' && (c < '\t' || c > '\r'):
			continue
		}
		for _, scheme := range [...]string{"basic", "bearer", "digest", "ntlm", "negotiate"} {
			if n := len(scheme); i >= n && strings.EqualFold(s[i-n:i], scheme) {
				return true
			}
		}
	}
	return false
}

// learnRoute teaches a redactor the names of a walk's settings and requests, so that
// they are also found where nothing around them tells that they are names.
func learnRoute(r *redact.Redactor, w *route.Walk) {
	s := w.Settings
	learnHosts := func(settings ...string) {
		for _, setting := range settings {
			for _, h := range hostsIn(setting) {
				if _, public := route.EndpointOf(h); !public {
					r.Learn(redact.Host, h)
				}
			}
		}
	}
	proxies := []route.Proxy{s.Machine, s.Internet, s.User, s.Environ}
	for _, p := range s.Accounts {
		proxies = append(proxies, p)
	}
	for _, p := range proxies {
		learnHosts(p.Static, p.Bypass, p.PAC)
	}
	learnHosts(s.WSUS, s.WSUSStatus, s.Alternate, s.CacheHost)
	learnHosts(s.Suffixes...)
	r.Learn(redact.Computer, s.Computer)
	if !strings.Contains(w.As, " ") {
		r.Learn(redact.User, w.As[strings.LastIndexByte(w.As, '\\')+1:])
	}
	for i := range w.Trips {
		t := &w.Trips[i]
		if t.Task.ID == "url" || strings.HasPrefix(t.Task.ID, "url.") { // given by hand; all others are Microsoft's or of the settings
			learnHosts(t.Task.Request.URL)
		}
		for j := range t.Attempts {
			learnHosts(t.Attempts[j].Exchange.Request.Via.Proxy)
		}
	}
}

// Redacted reports whether names and addresses in the document are pseudonyms.
func (d *RouteDocument) Redacted() bool { return d != nil && d.redacted }

// WriteRouteJSON writes the document as JSON.
func WriteRouteJSON(w io.Writer, doc *RouteDocument) error {
	enc := json.NewEncoder(&printable{w: w})
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// group is broken routes that are the same for a reader: the proxy, the leg, the
// fault and the status.
type group struct {
	Route // the one that is drawn
	Same  []Route
}

// groups sorts the broken routes of a document; a vital one stands for its group.
func (d *RouteDocument) groups() []group {
	var out []group
	at := map[string]int{}
	for _, r := range d.Routes {
		if r.State != "broken" {
			continue
		}
		key := r.fingerprint()
		i, ok := at[key]
		switch {
		case !ok:
			at[key] = len(out)
			out = append(out, group{Route: r})
		case r.Vital && !out[i].Vital:
			out[i].Same = append([]Route{out[i].Route}, out[i].Same...)
			out[i].Route = r
		default:
			out[i].Same = append(out[i].Same, r)
		}
	}
	sorted.By(out, func(a, b group) int {
		switch {
		case a.Vital == b.Vital:
			return 0
		case a.Vital:
			return -1
		}
		return 1
	})
	return out
}

func (r Route) fingerprint() string {
	w := r.Deciding()
	last := w.Broken()
	if last == nil {
		last = &Hop{}
	}
	return fmt.Sprintf("%s\x00%s\x00%s\x00%d", w.Proxy, last.Kind, last.Fault, last.Status)
}

// with returns the routes in a state.
func (d *RouteDocument) with(state string) []Route {
	var out []Route
	for _, r := range d.Routes {
		if r.State == state {
			out = append(out, r)
		}
	}
	return out
}

// Deciding returns the way whose result Windows would report; the zero Way if none
// was walked.
func (r Route) Deciding() Way {
	for _, w := range r.Ways {
		if w.Decides {
			return w
		}
	}
	return Way{}
}

// Broken returns the hop at which the way ends, nil if it is open.
func (w Way) Broken() *Hop {
	for i := range w.Hops {
		if w.Hops[i].Fault != "" {
			return &w.Hops[i]
		}
	}
	return nil
}

// Walked reports whether anybody went this way.
func (w Way) Walked() bool { return len(w.Hops) > 0 }

// others are the ways beside the deciding one that say something about it: those that
// were tried before, and those that were walked to compare, each once.
func (r Route) others() []Way {
	var out []Way
	seen := map[string]bool{r.Deciding().Proxy: true}
	for _, w := range r.Ways {
		if w.Decides || !w.Walked() || seen[w.Proxy] {
			continue
		}
		seen[w.Proxy] = true
		out = append(out, w)
	}
	return out
}

// proxyName is a proxy's address without the scheme.
func proxyName(proxy string) string {
	if _, name, ok := strings.Cut(proxy, "://"); ok {
		return name
	}
	return proxy
}

// RoutePart is the route in a diagnosis: the verdict and where it breaks.
type RoutePart struct {
	Verdict string       `json:"verdict"`          // open, broken, unknown
	Codes   []string     `json:"codes"`            // what Windows would report, in the order of the plan, each once
	Broken  []BrokenPart `json:"broken,omitempty"` // the first of each kind of trouble
}

// BrokenPart is a hop at which a route breaks.
type BrokenPart struct {
	Route  string `json:"route"` // its id
	URL    string `json:"url"`
	Proxy  string `json:"proxy,omitempty"` // "" is direct
	Kind   string `json:"kind"`
	Target string `json:"target"`
	Fault  string `json:"fault"`
	Seen   string `json:"seen,omitempty"`
	Code   string `json:"code,omitempty"` // what Windows would report
	Same   int    `json:"same,omitempty"` // requests that break in the same way
}

const maxBrokenParts = 8

func newRoutePart(d *RouteDocument) *RoutePart {
	out := &RoutePart{Verdict: d.Verdict, Codes: []string{}}
	for _, r := range d.Routes {
		if r.Predict != nil && !slices.Contains(out.Codes, r.Predict.Code) {
			out.Codes = append(out.Codes, r.Predict.Code)
		}
	}
	for _, g := range d.groups() {
		w := g.Deciding()
		h := w.Broken()
		if h == nil || len(out.Broken) == maxBrokenParts {
			continue
		}
		out.Broken = append(out.Broken, BrokenPart{
			Route: g.ID, URL: g.URL, Proxy: w.Proxy, Kind: h.Kind, Target: h.Target, Fault: h.Fault, Seen: h.Seen,
			Code: g.Predict.code(), Same: len(g.Same),
		})
	}
	return out
}

func (p *Predicted) code() string {
	if p == nil {
		return ""
	}
	return p.Code
}

// Walked returns the walk of the machine's route, drawn with the causes and pseudonyms of
// the document; nil if there was none.
func (d *Document) Walked() *RouteDocument { return d.drawn }

// addRoute puts the walk of a machine's route into its document. It is called after
// the document was settled, with what redacted it.
func (d *Document) addRoute(f *facts.Facts) {
	if f.Route == nil {
		return
	}
	d.drawn = NewRoute(f.Route, d)
	d.Route = newRoutePart(d.drawn)
}
