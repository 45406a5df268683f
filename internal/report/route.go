package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
)

// RouteSchema is the schema of [RouteDocument].
const RouteSchema = "updoc.route/1"

// RouteDocument is a walk as people and programs read it: one value, drawn by
// RouteText, RouteHTML and as JSON.
type RouteDocument struct {
	Schema  string    `json:"schema"`
	Verdict string    `json:"verdict"` // open, broken, unknown
	As      string    `json:"as"`      // the account that walked
	Began   time.Time `json:"began"`
	TookMS  float64   `json:"took_ms"`
	Routes  []Route   `json:"routes"`
	Seen    []string  `json:"seen,omitempty"` // what several routes show together
	Clock   string    `json:"clock,omitempty"`
	Gaps    []Gap     `json:"gaps,omitempty"`
	Causes  []Cause   `json:"causes,omitempty"`
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
	Decides bool    `json:"decides"`          // Windows would report what happened here
	Beside  bool    `json:"beside,omitempty"` // Windows would not go here: walked to compare
	Skipped string  `json:"skipped,omitempty"`
	Status  int     `json:"status,omitempty"`
	Hops    []Hop   `json:"hops,omitempty"`
	TookMS  float64 `json:"took_ms,omitempty"`
}

// Hop is one leg; the one with a fault is where the way ends.
type Hop struct {
	Kind   string  `json:"kind"`
	Target string  `json:"target"`
	Seen   string  `json:"seen,omitempty"`
	Fault  string  `json:"fault,omitempty"`
	AtMS   float64 `json:"at_ms"`
	TookMS float64 `json:"took_ms"`
}

// NewRoute makes the document of a walk; doc, which may be nil, adds the causes
// that the walk proves.
func NewRoute(w *route.Walk, doc *Document) *RouteDocument {
	out := &RouteDocument{Schema: RouteSchema, As: w.As, Began: w.Began.UTC(), TookMS: ms(w.Took), Verdict: "unknown"}
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
		out.Seen = append(out.Seen, o.Seen)
	}
	for _, g := range w.Gaps {
		source, why, _ := strings.Cut(g, ": ")
		out.Gaps = append(out.Gaps, Gap{Source: source, Why: why})
	}
	if doc != nil {
		out.Causes = doc.Causes
	}
	return out
}

func newRouteOf(t *route.Trip) Route {
	r := Route{
		ID: t.Task.ID, Purpose: t.Task.Purpose, Caller: string(t.Task.Caller),
		Method: t.Task.Request.Method, URL: t.Task.Request.URL, Vital: t.Task.Vital, State: "unknown",
	}
	for i := range t.Attempts {
		a := &t.Attempts[i]
		way := Way{
			As: string(a.Decision.As), Proxy: a.Exchange.Request.Via.Proxy, Setting: cmp.Or(a.Exchange.Request.Via.Source, a.Decision.Proxy.Source), Why: a.Decision.Why,
			Decides: i == t.Decided, Beside: a.Beside, Skipped: cmp.Or(a.Decision.Skipped, a.Gap),
			Status: a.Exchange.Status, TookMS: ms(a.Exchange.Took),
		}
		for j := range a.Exchange.Hops {
			h := &a.Exchange.Hops[j]
			way.Hops = append(way.Hops, Hop{
				Kind: string(h.Kind), Target: h.Target, Seen: hopSeen(h), Fault: string(h.Fault), AtMS: ms(h.At), TookMS: ms(h.Took),
			})
		}
		r.Ways = append(r.Ways, way)
	}
	if a := t.Deciding(); a != nil {
		r.State = "open"
		if p := t.Predict; p.Code != 0 {
			r.State = "broken"
			r.Predict = &Predicted{Code: p.Code.String(), Symbol: p.Code.Symbol(), Source: p.Source}
			for _, c := range p.Also {
				r.Predict.Also = append(r.Predict.Also, c.String())
			}
		} else if a.Exchange.Broken() != nil {
			r.State = "broken"
		}
	}
	return r
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
		if h.Remote.IsValid() && h.Fault == "" {
			add("%s", h.Remote)
		}
	case host.HopProxy:
		if h.Status != 0 {
			add("%d", h.Status)
		}
		var schemes []string
		for _, c := range h.Challenges {
			schemes = append(schemes, c.Scheme)
		}
		if len(schemes) > 0 {
			add("offers %s", strings.Join(slices.Compact(schemes), "/"))
			if realm := h.Challenges[len(h.Challenges)-1].Realm; realm != "" {
				add("realm %q", realm)
			}
		}
		if h.SignedIn != "" {
			add("signed in with %s", h.SignedIn)
		}
	case host.HopTLS:
		if h.TLS != nil {
			add("%s", h.TLS.Version)
			if n := len(h.TLS.Chain); n > 0 && h.Fault != host.FaultIssuer {
				add("issuer %s", h.TLS.Chain[0].Issuer)
			}
		}
	case host.HopHTTP:
		if h.Status != 0 {
			add("%d", h.Status)
		}
	}
	if h.Agent != "" {
		add("%s", h.Agent)
	}
	if h.Seen != "" && !slices.Contains(parts, h.Seen) && h.Seen != fmt.Sprintf("HTTP %d", h.Status) {
		add("%s", h.Seen)
	}
	return strings.Join(parts, ", ")
}

// WriteRouteJSON writes the document as JSON.
func WriteRouteJSON(w io.Writer, doc *RouteDocument) error {
	enc := json.NewEncoder(&printable{w: w})
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// RouteText draws a walk for a terminal: what is broken hop by hop, what is open
// in a line each. With all, every hop of every way is drawn.
func RouteText(w io.Writer, doc *RouteDocument, style Style, all bool) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	p.route(doc, all)
	return p.w.Flush()
}

var routeVerdicts = map[string]string{"open": "route.open", "broken": "route.broken", "unknown": "route.unknown"}

func (p *printer) route(doc *RouteDocument, all bool) {
	broken := 0
	for _, r := range doc.Routes {
		if r.State == "broken" {
			broken++
		}
	}
	p.line("%s", p.bold(p.word(routeVerdicts[doc.Verdict], "broken", fmt.Sprint(broken), "routes", fmt.Sprint(len(doc.Routes)))))
	p.line("%s", p.fitted(p.word("route.walked", "as", doc.As, "took", took(doc.TookMS)), p.style.Width))
	if len(doc.Causes) > 0 && doc.Verdict == "broken" {
		c := doc.Causes[0]
		p.line("")
		p.wrap("", p.bold(p.word("cause"))+"  "+p.clean(c.Title))
		p.line("  %s", p.faint(p.word("sure", "percent", percent(c.Probability), "id", c.ID)))
	}
	p.brokenRoutes(doc, all)
	if open := slices.DeleteFunc(slices.Clone(doc.Routes), func(r Route) bool { return r.State != "open" }); len(open) > 0 && !all {
		p.line("")
		p.heading("route.open-ways")
		for _, r := range open {
			w := r.decides()
			p.line("  %s %8s  %s", p.green(p.pick("✓", "+")), took(w.TookMS), p.fitted(r.Purpose+", "+siteOf(r.URL)+" "+way(w), p.style.Width-14))
		}
	}
	if len(doc.Seen) > 0 {
		p.line("")
		p.heading("route.together")
		for _, s := range doc.Seen {
			p.wrap("  ", p.clean(s))
		}
	}
	if len(doc.Gaps) > 0 {
		p.line("")
		p.heading("route.gaps")
		for _, g := range doc.Gaps {
			p.wrap("  ", p.clean(g.Source+": "+g.Why))
		}
	}
}

// brokenRoutes draws what is broken. Routes that break at the same hop in the same way
// are drawn once, the others below it in a line each. With all, every route is drawn.
func (p *printer) brokenRoutes(doc *RouteDocument, all bool) {
	drawn := map[string]bool{}
	for i, r := range doc.Routes {
		if all {
			p.oneRoute(r, true)
			continue
		}
		key := r.fingerprint()
		if r.State != "broken" || drawn[key] {
			continue
		}
		drawn[key] = true
		p.oneRoute(r, false)
		first := true
		for _, other := range doc.Routes[i+1:] {
			if other.State != "broken" || other.fingerprint() != key {
				continue
			}
			if first {
				p.line("  %s", p.word("route.same"))
				first = false
			}
			p.line("    %-10s  %s", other.Predict.code(), p.fitted(other.Purpose, p.style.Width-16))
		}
	}
}

func (p *printer) oneRoute(r Route, all bool) {
	mark := p.green(p.pick("✓", "+"))
	switch r.State {
	case "broken":
		mark = p.red(p.pick("✗", "x"))
	case "unknown":
		mark = p.amber("?")
	}
	p.line("")
	p.line("%s %s", mark, p.bold(p.fitted(r.Purpose, p.style.Width-2)))
	p.line("  %s", p.faint(p.fitted(r.Method+" "+r.URL, p.style.Width-2)))
	for _, w := range r.Ways {
		if w.Decides || w.Beside && w.Skipped == "" || all {
			p.way(w)
		}
	}
	if r.Predict != nil {
		text := p.word("route.predict", "code", r.Predict.Code+" "+r.Predict.Symbol)
		if len(r.Predict.Also) > 0 {
			text += " " + p.word("route.also", "codes", strings.Join(r.Predict.Also, ", "))
		}
		p.wrap("  ", text)
	}
}

// fingerprint is what makes two broken routes the same for a reader: the proxy, the
// leg and the fault.
func (r Route) fingerprint() string {
	w := r.decides()
	last := Hop{}
	if n := len(w.Hops); n > 0 {
		last = w.Hops[n-1]
	}
	return strings.Join([]string{w.Proxy, last.Kind, last.Fault}, "\x00")
}

func (p *Predicted) code() string {
	if p == nil {
		return ""
	}
	return p.Code
}

func (r Route) decides() Way {
	for _, w := range r.Ways {
		if w.Decides {
			return w
		}
	}
	return Way{}
}

// siteOf is the host of an address.
func siteOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// way names where a request goes.
func way(w Way) string {
	if w.Proxy == "" {
		return "direct"
	}
	_, name, ok := strings.Cut(w.Proxy, "://")
	if !ok {
		name = w.Proxy
	}
	return "via " + name
}

func (p *printer) way(w Way) {
	title := way(w)
	if w.Setting != "" && w.Setting != "beside" {
		title += " (" + w.Setting + ")"
	}
	if w.Beside {
		title = p.word("route.beside", "way", way(w))
	}
	if w.Skipped != "" {
		p.line("  %s", p.faint(p.fitted(p.word("route.skipped", "way", title, "why", w.Skipped), p.style.Width-2)))
		return
	}
	p.line("  %s", p.fitted(title, p.style.Width-2))
	for _, h := range w.Hops {
		mark, name := " ", fmt.Sprintf("%-8s", h.Kind)
		text := h.Target + "  " + h.Seen
		if h.Kind == "http" || h.Kind == "decision" || h.Kind == "proxy" {
			text = h.Seen // the title has said where
		}
		if h.Fault != "" {
			mark, name = p.red(p.pick("✗", "x")), p.red(name)
			text = p.words.Text("fault."+h.Fault) + ": " + text
		}
		text = strings.TrimRight(strings.TrimSpace(text), ":")
		p.line("  %s %s %s %s", mark, name, fmt.Sprintf("%8s", took(h.TookMS)), p.fitted(text, p.style.Width-22))
	}
}

// took writes a time as people read it.
func took(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
