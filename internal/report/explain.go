package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/sorted"
)

// ExplainSchema names the JSON form of Explanations.
const ExplainSchema = "updoc.explain/1"

// Explanations is what is known of some codes, as people and programs get it.
type Explanations struct {
	Schema string        `json:"schema"`
	Codes  []Explanation `json:"codes"`
	More   int           `json:"more,omitempty"` // codes that were left out
}

// Explanation is what is known of one code, whatever the machine.
type Explanation struct {
	Given      string       `json:"given"` // as it was written
	Form       string       `json:"form"`  // how that was read: hex, signed, http-status, ...
	Code       string       `json:"code"`  // canonical: 0x8024401B, 0xC1900101-0x20017
	Kind       string       `json:"kind"`  // error, success, restart, wrapper
	Known      bool         `json:"known"` // in the table or the catalogue of texts
	Symbol     string       `json:"symbol,omitempty"`
	Symbols    []string     `json:"symbols,omitempty"` // other names of the same number
	Family     string       `json:"family,omitempty"`
	Owner      string       `json:"owner,omitempty"` // the family in words
	Stage      string       `json:"stage,omitempty"`
	HTTP       int          `json:"http,omitempty"`
	Meaning    string       `json:"meaning"`
	Not        string       `json:"not,omitempty"`   // what it is taken for and is not
	Inner      string       `json:"inner,omitempty"` // where to find the code that this one wraps, or that says more
	Structure  []Part       `json:"structure,omitempty"`
	Also       []CodeName   `json:"also,omitempty"` // other ways to read what was given
	Near       []CodeName   `json:"near,omitempty"` // what was perhaps meant
	Causes     []UsualCause `json:"causes"`
	Remedies   []Remedy     `json:"remedies"`
	TellApart  []TellApart  `json:"tellApart,omitempty"`
	Advice     []Opinion    `json:"advice,omitempty"`
	Suspects   []Opinion    `json:"suspects,omitempty"`
	ByHand     []HandStep   `json:"byHand,omitempty"`
	SourceNote string       `json:"source,omitempty"` // where the meaning comes from
}

// Part is one part of a code taken apart.
type Part struct {
	Kind    string `json:"kind"`
	Value   string `json:"value"`
	Meaning string `json:"meaning,omitempty"`
}

// CodeName is a code with its name and meaning.
type CodeName struct {
	Code    string `json:"code"`
	Symbol  string `json:"symbol,omitempty"`
	Meaning string `json:"meaning,omitempty"`
}

// UsualCause is a cause and how often it is behind the code.
type UsualCause struct {
	ID    string  `json:"id"`
	Title string  `json:"title"`
	Share float64 `json:"share"`
	Stage string  `json:"stage"`
}

// TellApart is a fact that would confirm or refute a cause.
type TellApart struct {
	Cause string `json:"cause"`
	Look  string `json:"look"`
}

// Opinion is what a piece of common advice is worth for the code, or whether a
// common suspicion can be behind it.
type Opinion struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Verdict string  `json:"verdict"` // can, seldom, cannot, around, harmful
	Share   float64 `json:"share"`   // of the machines with this code
	Why     string  `json:"why"`
	Costs   string  `json:"costs,omitempty"` // what following it takes and risks
	Special bool    `json:"-"`               // the reason was written for this code
}

// HandStep is one step of the way by hand.
type HandStep struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// The kinds of codes.
const (
	kindError   = "error"
	kindSuccess = "success"
	kindRestart = "restart"
	kindWrapper = "wrapper"
)

// maxExplained bounds how many codes of a pasted text are explained.
const maxExplained = 20

// Explain says what is known of the codes: each once, in order.
func Explain(list []codes.Code) *Explanations {
	out := &Explanations{Schema: ExplainSchema, Codes: []Explanation{}}
	x := explainer{words: message.English(), causes: map[string]*cause.Cause{}}
	for _, c := range cause.Catalogue() {
		x.causes[c.ID] = c
	}
	seen := map[string]bool{}
	for _, c := range list {
		name := c.String()
		if seen[name] {
			continue
		}
		seen[name] = true
		if len(out.Codes) == maxExplained {
			out.More++
			continue
		}
		out.Codes = append(out.Codes, x.explain(c))
	}
	return out
}

// reread reports whether the code was given in a form that has to be explained.
func (e *Explanation) reread() bool {
	switch {
	case e.Form == codes.FormHex.String(), e.Form == codes.FormPair.String():
		return false
	}
	return !strings.EqualFold(e.Given, e.Code) && !strings.EqualFold(e.Given, e.Symbol)
}

type explainer struct {
	words  *message.Catalog
	causes map[string]*cause.Cause
}

func (x *explainer) explain(c codes.Code) Explanation {
	info, known := codes.Lookup(c.HRESULT)
	structure := codes.Decode(c.HRESULT)
	e := Explanation{
		Given: Clean(c.Given), Form: c.Form.String(), Code: c.String(), Kind: kind(c),
		Known: known, Symbol: info.Symbol(), Family: info.Family, Stage: info.Stage, HTTP: structure.HTTP,
		SourceNote: info.Source, Causes: []UsualCause{}, Remedies: []Remedy{},
	}
	if e.Given == "" {
		e.Given = e.Code
	}
	if len(info.Symbols) > 1 {
		e.Symbols = info.Symbols[1:]
	}
	if key := "family." + info.Family; x.words.Has(key) {
		e.Owner = x.words.Text(key)
	}
	x.meaning(&e, c, info, structure)
	x.also(&e, c)
	if !e.Known && structure.Inner == 0 {
		for _, n := range codes.Near(c.HRESULT.String(), 3) {
			e.Near = append(e.Near, CodeName{n.Code.String(), n.Symbol(), n.Meaning})
		}
	}
	switch e.Kind {
	case kindSuccess:
		return e
	case kindRestart:
		e.Remedies = x.remedyList("restart-machine")
		return e
	}
	x.causesOf(&e, c, structure)
	return e
}

func kind(c codes.Code) string {
	switch {
	case c.RestartRequired():
		return kindRestart
	case c.Benign():
		return kindSuccess
	case c.Wrapper():
		return kindWrapper
	case !c.Failed():
		return kindSuccess
	}
	return kindError
}

// meaning says what the code means: by the text written for it, else by the
// table, else by its structure.
func (x *explainer) meaning(e *Explanation, c codes.Code, info codes.Info, s codes.Structure) {
	own := "code." + c.HRESULT.String()
	var parts []string
	switch pair := "code." + c.String(); {
	case c.Extend != 0 && x.words.Has(pair):
		parts = append(parts, x.words.Text(pair))
	case x.words.Has(own):
		parts = append(parts, x.words.Text(own))
		e.Known = true
	case info.Meaning != "":
		parts = append(parts, sentence(info.Meaning))
		if info.Unsure {
			parts = append(parts, x.words.Text("explain.unsure"))
		}
	}
	if c.Extend != 0 {
		parts = append(parts, x.setup(c)...)
	}
	if s.Inner != 0 {
		if text := x.plain(s.Inner); text != "" {
			parts = append(parts, x.words.Text("explain.wraps", "code", nameOf(s.Inner), "meaning", text))
		}
	}
	if len(parts) == 0 {
		facility := s.Facility.Meaning
		if s.Component.Meaning != "" {
			facility += " (" + s.Component.Meaning + ")"
		}
		if facility == "" {
			facility = s.Facility.Symbol
		}
		if facility == "" {
			facility = x.words.Text("explain.unknown-number", "n", s.Facility.Value)
		}
		parts = append(parts, x.words.Text("explain.unknown", "severity", x.words.Text("severity."+string(s.Severity)), "facility", facility))
	}
	e.Meaning = strings.Join(parts, " ")
	if x.words.Has(own + ".not") {
		e.Not = x.words.Text(own + ".not")
	}
	switch {
	case x.words.Has(own + ".inner"):
		e.Inner = x.words.Text(own + ".inner")
	case e.Kind == kindWrapper:
		e.Inner = x.words.Text("explain.inner-generic")
	}
	for _, p := range s.Pieces {
		e.Structure = append(e.Structure, x.part(p))
	}
}

// setup says where Windows Setup stopped.
func (x *explainer) setup(c codes.Code) []string {
	var parts []string
	phase, operation := c.Phase().Meaning, c.Operation().Meaning
	if c.Phase().Value == 0 {
		phase = ""
	}
	if c.Operation().Value == 0 {
		operation = ""
	}
	switch {
	case phase != "" && operation != "":
		parts = append(parts, x.words.Text("explain.setup", "phase", phase, "operation", operation))
	case phase != "":
		parts = append(parts, x.words.Text("explain.setup-phase", "phase", phase))
	case operation != "":
		parts = append(parts, x.words.Text("explain.setup-operation", "operation", operation))
	}
	if text, ok := codes.Pair(c.HRESULT, c.Extend); ok {
		parts = append(parts, sentence(text))
	}
	return parts
}

// plain returns what is known of a code in one sentence.
func (x *explainer) plain(h codes.HRESULT) string {
	if key := "code." + h.String(); x.words.Has(key) {
		return x.words.Text(key)
	}
	info, ok := codes.Lookup(h)
	if !ok || info.Meaning == "" {
		return ""
	}
	return sentence(info.Meaning)
}

func nameOf(h codes.HRESULT) string {
	if s := h.Symbol(); s != "" {
		return h.String() + " " + s
	}
	return h.String()
}

// sentence makes a phrase of a table a sentence.
func sentence(phrase string) string {
	r, n := utf8.DecodeRuneInString(phrase)
	if n == 0 {
		return ""
	}
	// A name such as "iSCSI" or "bitmap.dll" keeps its letter.
	if next, _ := utf8.DecodeRuneInString(phrase[n:]); !unicode.IsUpper(next) {
		phrase = string(unicode.ToUpper(r)) + phrase[n:]
	}
	return strings.TrimRight(phrase, ".") + "."
}

func (x *explainer) part(p codes.Piece) Part {
	out := Part{Kind: string(p.Kind), Meaning: p.Meaning}
	switch p.Kind {
	case codes.PieceSeverity:
		out.Value = p.Name
	case codes.PieceCustomer:
		out.Value = x.words.Text("piece.not-microsoft")
	case codes.PieceFacility, codes.PieceCode, codes.PieceNTSTATUS:
		out.Value = fmt.Sprintf("0x%X", p.Value)
	default:
		out.Value = fmt.Sprint(p.Value)
	}
	if p.Name != "" && p.Kind != codes.PieceSeverity {
		out.Value += " " + p.Name
	}
	return out
}

// also lists the other ways to read a bare number.
func (x *explainer) also(e *Explanation, c codes.Code) {
	for _, r := range codes.Readings(c.Given) {
		known := slices.ContainsFunc(e.Also, func(n CodeName) bool { return n.Code == r.String() })
		if r.String() == c.String() || known || len(e.Also) == 3 {
			continue
		}
		info, _ := codes.Lookup(r.HRESULT)
		e.Also = append(e.Also, CodeName{r.String(), info.Symbol(), info.Meaning})
	}
}

// Bounds of an explanation.
const (
	worthTelling = 0.05 // share from which it is said how to tell a cause from the others
	maxApart     = 4
	maxTried     = 6
)

// causesOf adds what usually is behind the code, and all that follows from it.
func (x *explainer) causesOf(e *Explanation, c codes.Code, s codes.Structure) {
	usual := cause.Usual(c.HRESULT, c.Extend)
	if len(usual) == 0 && s.Inner != 0 {
		usual = cause.Usual(s.Inner, 0)
	}
	var findings []cause.Finding
	for _, u := range usual {
		known, ok := x.causes[u.Cause]
		if !ok {
			continue
		}
		e.Causes = append(e.Causes, UsualCause{u.Cause, x.words.Text("cause." + u.Cause + ".title"), round(u.Weight), stages(known.Stages)})
		findings = append(findings, cause.Finding{Cause: known, Probability: u.Weight})
		if u.Weight >= worthTelling || len(findings) == 1 {
			e.TellApart = tell(e.TellApart, known)
		}
	}
	e.Remedies = x.remedyList(x.looks(e, findings)...)
	for _, r := range remedies(cause.Diagnosis{Findings: findings}, x.words) {
		twice := slices.ContainsFunc(e.Remedies, func(o Remedy) bool { return o.ID == r.ID })
		if !twice && len(e.Remedies) < maxTried {
			e.Remedies = append(e.Remedies, r)
		}
	}
	at := cause.Alike(c.HRESULT).String()
	for _, j := range cause.JudgeAdvice(usual) {
		o := x.opinion("advice", at, j)
		o.Costs = x.words.Text("advice." + j.ID + ".what")
		e.Advice = append(e.Advice, o)
	}
	for _, j := range cause.JudgeSuspects(usual) {
		e.Suspects = append(e.Suspects, x.opinion("suspect", at, j))
	}
	e.ByHand = x.byHand("hand." + at)
}

// looks returns the remedies that only look, with which to begin: inside a
// wrapper, then where the likeliest families of causes show themselves.
func (x *explainer) looks(e *Explanation, findings []cause.Finding) []string {
	var ids []string
	add := func(id string) {
		if id != "" && len(ids) < 2 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if e.Kind == kindWrapper {
		add("read-inner-code")
	}
	if e.Family == "setup" || e.Form == codes.FormPair.String() {
		add("run-setupdiag") // it reads all the logs that the others would
		return ids
	}
	sum := map[cause.Family]float64{}
	for _, f := range findings {
		sum[f.Family] += f.Probability
	}
	// The likeliest family first; of equals the one with the commonest cause.
	byShare := slices.Clone(findings)
	sorted.By(byShare, func(a, b cause.Finding) int { return cmp.Compare(sum[b.Family], sum[a.Family]) })
	for _, f := range byShare {
		if sum[f.Family] >= 0.3 || len(ids) == 0 {
			add(cause.FirstLook(f.Family))
		}
	}
	return ids
}

func (x *explainer) remedyList(ids ...string) []Remedy {
	out := []Remedy{}
	for _, id := range ids {
		r, ok := repair.Lookup(id)
		if !ok {
			continue
		}
		out = append(out, Remedy{
			ID: id, Title: x.words.Text("remedy." + id + ".title"), How: x.words.Text("remedy." + id + ".how"), Mode: r.How,
			Risk: string(r.Risk), Minutes: r.Minutes, Restart: r.Restart,
		})
	}
	return out
}

// tell adds the most telling fact about a cause that is not in the list yet. A
// check that knows nothing of a machine names what it would have to know.
func tell(list []TellApart, c *cause.Cause) []TellApart {
	if c.Check == nil || len(list) == maxApart {
		return list
	}
	for _, look := range c.Check(&facts.Facts{}).Missing {
		if !slices.ContainsFunc(list, func(t TellApart) bool { return t.Look == look }) {
			return append(list, TellApart{c.ID, look})
		}
	}
	return list
}

// opinion finds the sentence for a judgement: one written for the code, or one
// composed of what the thing mends or how it shows itself.
func (x *explainer) opinion(what, at string, j cause.Judgement) Opinion {
	key := what + "." + j.ID
	o := Opinion{ID: j.ID, Title: x.words.Text(key + ".title"), Verdict: string(j.Worth), Share: round(j.Share)}
	switch {
	case x.words.Has(key + "." + at):
		o.Why, o.Special = x.words.Text(key+"."+at), true
	case j.Worth == cause.Harmful && x.words.Has(key+".harm"):
		o.Why = x.words.Text(key + ".harm")
	default:
		o.Why = x.words.Text(what+".why."+string(j.Worth), "share", share(j.Share), "harm", share(j.Harm),
			"mends", x.words.Text(key+".mends"), "shows", x.words.Text(key+".shows"))
	}
	return o
}

func (x *explainer) byHand(key string) []HandStep {
	var out []HandStep
	for n := 1; ; n++ {
		step := fmt.Sprintf("%s.%d", key, n)
		if !x.words.Has(step) {
			return out
		}
		out = append(out, HandStep{x.words.Text(step + ".title"), x.words.Text(step)})
	}
}

// share writes a share for people; a small one is small, not nothing.
func share(v float64) string {
	if v > 0 && v < 0.01 {
		return "<1 %"
	}
	return percent(v)
}
