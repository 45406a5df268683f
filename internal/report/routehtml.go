package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"updoc/internal/message"
	"updoc/internal/sorted"
)

// The page of a walk obeys the rules of the page of a diagnosis: one file that asks for
// nothing, its pictures worked out here, no script.

//go:embed route.html
var routeSource string

//go:embed route.css
var routeStyle string

// routeFuncs are the words of the walk's templates.
func routeFuncs(words *message.Catalog) template.FuncMap {
	return template.FuncMap{
		"took":     took,
		"hopName":  func(kind string) string { return hopName(kind, words) },
		"hopClass": hopClass,
		"hopTold":  func(h Hop) string { return hopTold(h) },
		"fault":    func(f string) string { return faultName(f, words) },
		"join":     func(list []string) string { return strings.Join(list, ", ") },
		"signed":   func(ms float64) string { return strings.TrimPrefix(fmt.Sprintf("%+.3f s", ms/1000), " ") },
		"paste":    func(s string) string { return eachLine(s, visible) },
	}
}

// policyFor is the content security policy of a page with nothing but this style.
func policyFor(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; base-uri 'none'; form-action 'none'"
}

// routePage is what the template draws.
type routePage struct {
	*RouteDocument
	Style    template.CSS
	Policy   string
	Headline string
	Lead     string
	About    string
	Cause    *Cause
	Groups   []routeGroup
	Fall     *waterfall
	Open     []openRoute
	Good     []string
	Wrong    string
}

// routeGroup is a broken route and those that break in the same way.
type routeGroup struct {
	Route
	Stations []stageMark
	Alt      string
	Sides    []routeSide
	Same     []sameRoute
}

type sameRoute struct{ Code, Purpose, URL string }

// routeSide is one way, beside others.
type routeSide struct {
	Title, Role, Setting, Skipped, Steady string
	State                                 string // open, broken
	Hops                                  []Hop
}

type openRoute struct{ Purpose, URL, Way, Took, Steady string }

// RouteHTML writes a walk as one self-contained page.
func RouteHTML(w io.Writer, doc *RouteDocument) error {
	t, err := pageTemplate()
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	words := message.English()
	style := pageStyle + routeStyle
	p := routePage{
		RouteDocument: doc, Style: template.CSS(style), Policy: policyFor(style),
		Headline: routeVerdict(doc, words),
		About:    shown(words.Text("report.route.walked", "as", doc.As, "took", took(doc.TookMS))) + ", " + stamp(doc.Began) + " UTC",
		Groups:   routeGroups(doc, words), Fall: newWaterfall(doc, words),
	}
	if len(doc.Causes) > 0 && doc.Verdict == "broken" {
		c := doc.Causes[0]
		c.Evidence = cut(c.Evidence, maxQuotes)
		p.Cause = &c
		p.Lead = fmt.Sprintf("%s: %s.", words.Text("page.sure-"+sureness(c.Probability)), percent(c.Probability))
	}
	for _, r := range cut(doc.with("open"), maxRowsShown) {
		way := r.Deciding()
		o := openRoute{Purpose: r.Purpose, URL: r.URL, Way: wayName(way, words), Took: took(way.TookMS)}
		if way.Steady != nil {
			o.Steady = steadiness(way.Steady, false, words)
		}
		p.Open = append(p.Open, o)
	}
	if s := lineOf(doc, words); s != "" {
		p.Good = append(p.Good, s)
	}
	if c := doc.Clock; c != nil {
		switch c.State {
		case "right":
			p.Good = append(p.Good, clockText(c, words))
		case "wrong":
			p.Wrong = clockText(c, words)
		}
	}
	return t.ExecuteTemplate(w, "route", p)
}

// Seen of the page is bounded; so are its gaps.
func (p routePage) Seen() []RouteSeen { return cut(p.RouteDocument.Seen, maxRowsShown) }

// Gaps of the page.
func (p routePage) Gaps() []Gap { return cut(p.RouteDocument.Gaps, maxRowsShown) }

func routeGroups(doc *RouteDocument, words *message.Catalog) []routeGroup {
	var out []routeGroup
	all := doc.groups()
	for _, g := range all[:min(len(all), maxGroupsDrawn)] {
		w := g.Deciding()
		v := routeGroup{Route: g.Route, Stations: stations(g.Route, w, words)}
		var alt []string
		for _, s := range v.Stations {
			alt = append(alt, s.Name+": "+s.Says)
		}
		v.Alt = words.Text("page.route-stations") + ". " + strings.Join(alt, ", ")
		v.Sides = append(v.Sides, newSide(w, words))
		for _, o := range cut(g.others(), 3) {
			v.Sides = append(v.Sides, newSide(o, words))
		}
		for _, s := range cut(g.Same, maxRowsShown) {
			v.Same = append(v.Same, sameRoute{s.Predict.code(), s.Purpose, s.URL})
		}
		out = append(out, v)
	}
	return out
}

func newSide(w Way, words *message.Catalog) routeSide {
	s := routeSide{Title: wayName(w, words), State: "open", Hops: w.Hops, Setting: w.Setting, Skipped: w.Skipped}
	if w.Setting == "beside" {
		s.Setting = ""
	}
	switch {
	case w.Decides:
		s.Role = words.Text("page.route-decides")
	case w.Beside:
		s.Role = words.Text("page.route-beside")
	default:
		s.Role = words.Text("page.route-before")
	}
	if w.Broken() != nil {
		s.State = "broken"
	}
	if w.Steady != nil {
		s.Steady = steadiness(w.Steady, w.Broken() != nil, words)
	}
	return s
}

// hopKinds are the legs in the order in which a request makes them.
var hopKinds = [...]string{"decision", "dns", "tcp", "proxy", "tls", "http", "service", "content"}

func hopName(kind string, words *message.Catalog) string {
	if key := "hop." + kind; words.Has(key) {
		return words.Text(key)
	}
	return shown(kind)
}

func hopClass(kind string) string {
	if slices.Contains(hopKinds[:], kind) {
		return kind
	}
	return "decision"
}

func faultName(f string, words *message.Catalog) string {
	if key := "fault." + f; words.Has(key) {
		return words.Text(key)
	}
	return shown(f)
}

// hopTold is what a hop showed, or to whom it went where it showed nothing.
func hopTold(h Hop) string {
	if h.Seen == "" && (h.Kind == "tcp" || h.Kind == "dns") {
		return h.Target
	}
	return h.Seen
}

// stations are the legs of a way as a line: those that were made, and those that the
// request would have made behind the broken one.
func stations(r Route, w Way, words *message.Catalog) []stageMark {
	var out []stageMark
	broken := false
	for _, kind := range hopKinds {
		i := slices.IndexFunc(w.Hops, func(h Hop) bool { return h.Kind == kind })
		s := stageMark{ID: kind, Name: hopName(kind, words), Mark: markLater, Says: words.Text("page.stage-later")}
		switch {
		case i < 0 && (!broken || !ahead(kind, r, w)):
			continue
		case i < 0:
		case w.Hops[i].Fault != "":
			broken = true
			s.Mark, s.Says = markBroken, words.Text("page.stage-broken")
		default:
			s.Mark, s.Says = markDone, took(w.Hops[i].TookMS)
		}
		out = append(out, s)
	}
	for i := range out {
		out[i].At = centre(i, len(out))
		if i+1 < len(out) {
			out[i].Next = centre(i+1, len(out))
		}
	}
	return out
}

// ahead reports a leg that lies behind any broken one.
func ahead(kind string, r Route, w Way) bool {
	switch kind {
	case "dns", "tcp", "http":
		return true
	case "proxy":
		return w.Proxy != ""
	case "tls":
		return strings.HasPrefix(strings.ToLower(r.URL), "https:")
	}
	return false
}

// waterfall is the times of all deciding ways, one row each, on one scale.
type waterfall struct {
	Rows      []fallRow
	Ticks     []tick
	Legend    []string
	Alt       string
	Hatch     string
	AnyBroken bool
	Height    int
	Foot      int
	More      int
}

type fallRow struct {
	Label, Took string
	Broken      bool
	Y, Base     int
	Bars        []fallBar
}

type fallBar struct {
	Kind, Name, Tip string
	X, W            string
	Top             int
	Broken          bool
}

const (
	maxFallRows   = 40
	fallRowHeight = 40
	leastBar      = 0.006 // of the width: what took no time is still there
	namedBar      = 0.12  // of the width: a bar that has room for its name
)

// newWaterfall returns nil if nothing was walked.
func newWaterfall(doc *RouteDocument, words *message.Catalog) *waterfall {
	f := &waterfall{}
	type row struct {
		Route
		way   Way
		shift float64
	}
	var rows []row
	total := 0.0
	for _, r := range doc.Routes {
		w := r.Deciding()
		if !w.Walked() {
			continue
		}
		if len(rows) == maxFallRows {
			f.More++
			continue
		}
		x := row{Route: r, way: w}
		if w.Hops[0].Kind == "decision" { // the other legs count from after it
			x.shift = w.Hops[0].TookMS
		}
		for i, h := range w.Hops {
			at := h.AtMS + x.shift
			if i == 0 {
				at = h.AtMS
			}
			total = max(total, at+h.TookMS)
		}
		rows = append(rows, x)
	}
	if len(rows) == 0 || total <= 0 {
		return nil
	}
	var alt []string
	for n, r := range rows {
		y := n*fallRowHeight + 13
		out := fallRow{Label: r.Purpose, Took: took(r.way.TookMS + r.shift), Y: y, Base: y + 13}
		told := r.Purpose + " " + out.Took
		for i, h := range r.way.Hops {
			at := h.AtMS + r.shift
			if i == 0 && h.Kind == "decision" {
				at = h.AtMS
			}
			if h.Kind == "decision" && h.TookMS == 0 && h.Fault == "" {
				continue
			}
			width := min(max(h.TookMS/total, leastBar), 1)
			b := fallBar{
				Kind: h.Kind, X: share100(min(at/total, 1-width)), W: share100(width), Top: y + 6, Broken: h.Fault != "",
				Tip: hopName(h.Kind, words) + " " + took(h.TookMS),
			}
			if h.Fault != "" {
				b.Tip += ": " + faultName(h.Fault, words)
				out.Broken, f.AnyBroken = true, true
				told += ", " + b.Tip
			}
			if width >= namedBar && !b.Broken { // hatching leaves no room for words
				b.Name = hopName(h.Kind, words)
			}
			if !slices.Contains(f.Legend, h.Kind) {
				f.Legend = append(f.Legend, h.Kind)
			}
			out.Bars = append(out.Bars, b)
		}
		if len(alt) < 8 {
			alt = append(alt, shown(told))
		}
		f.Rows = append(f.Rows, out)
	}
	sorted.By(f.Legend, func(a, b string) int { return slices.Index(hopKinds[:], a) - slices.Index(hopKinds[:], b) })
	if f.AnyBroken {
		f.Hatch = hatch()
	}
	f.Foot = len(rows)*fallRowHeight + 16
	f.Height = f.Foot + 6
	f.Ticks = []tick{{At: "0%", Label: "0", Anchor: "start"}, {At: "50%", Label: took(total / 2), Anchor: "middle"}, {At: "100%", Label: took(total), Anchor: "end"}}
	f.Alt = words.Text("page.route-times") + ". " + strings.Join(alt, "; ")
	return f
}

// hatch is slanted lines for a bar of any width: the bar cuts them off.
func hatch() string {
	var b strings.Builder
	for x := -14; x < 1200; x += 7 {
		fmt.Fprintf(&b, "M%d 14l14-14", x)
	}
	return b.String()
}
