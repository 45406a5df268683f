package catalog

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/message"
	"updoc/internal/sorted"
)

// Target is the machine that an update is for.
type Target struct {
	Build    string `json:"build"`              // "22631.3007", or "22631"
	Arch     string `json:"arch"`               // amd64, arm64, 386
	Server   bool   `json:"server,omitempty"`   // Windows Server: some builds are both
	Edition  string `json:"edition,omitempty"`  // EditionID: "Professional", "EnterpriseS"; "" unknown
	Language string `json:"language,omitempty"` // "de-de"; "" unknown
}

// ParseTarget reads "22631.3007/amd64", "26100/x64/server".
func ParseTarget(s string) (Target, error) {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(s)), "/")
	bad := fmt.Errorf("%.60q is not BUILD/ARCHITECTURE[/server]", s)
	if len(parts) < 2 || len(parts) > 3 {
		return Target{}, bad
	}
	t := Target{Build: strings.TrimPrefix(parts[0], "10.0."), Arch: archOf(parts[1])}
	if len(parts) == 3 {
		if parts[2] != "server" {
			return Target{}, bad
		}
		t.Server = true
	}
	build, ubr, dotted := strings.Cut(t.Build, ".")
	if _, err := strconv.ParseUint(build, 10, 20); err != nil {
		return Target{}, bad
	}
	if _, err := strconv.ParseUint(ubr, 10, 24); dotted && err != nil {
		return Target{}, bad
	}
	if t.Arch == "" {
		return Target{}, bad
	}
	if r, ok := releaseOf(t.build()); ok && len(r.client) == 0 {
		t.Server = true
	}
	return t, nil
}

// String is the form that [ParseTarget] reads.
func (t Target) String() string {
	s := t.Build + "/" + t.Arch
	if t.Server {
		s += "/server"
	}
	return s
}

func (t Target) build() int {
	b, _, _ := strings.Cut(t.Build, ".")
	n, _ := strconv.Atoi(b) // zero: unknown
	return n
}

// revision is the number behind the build (UBR); false if it is not known.
func (t Target) revision() (int, bool) {
	_, r, ok := strings.Cut(t.Build, ".")
	n, err := strconv.Atoi(r)
	return n, ok && err == nil
}

// archOf returns the name that Go has for an architecture, "" for none that Windows has.
func archOf(s string) string {
	switch strings.ToLower(s) {
	case "amd64", "x64", "x86_64", "64-bit":
		return "amd64"
	case "arm64", "aarch64":
		return "arm64"
	case "386", "x86", "32-bit", "i386":
		return "386"
	}
	return ""
}

// Candidate is an update to choose from.
type Candidate struct {
	Row
	Details *Details // nil: not asked for; it then counts what the row says
}

// Choice is what fits a machine.
type Choice struct {
	Fits []Fit  `json:"fits"` // the newest of each kind, newest first
	Left []Left `json:"left,omitempty"`
}

// Fit is an update that fits.
type Fit struct {
	Candidate
	// Kind is what it is, without date, article and build: two with the same kind are
	// the same update of different months.
	Kind  string
	Notes []message.Line // what to know before it is installed
}

// Left is a row that was left out, and why.
type Left struct {
	Row Row          `json:"row"`
	Why message.Line `json:"why"`
}

// Asked is how precisely somebody asked for what is chosen from.
type Asked struct {
	Name bool // for one article or id: then a preview is what was wanted
}

// Choose says which updates fit a machine, and of each other one why it does not. It is
// pure; sentences stand in the message catalogue under "catalog.left.*" and "catalog.note.*".
func Choose(list []Candidate, t Target, asked Asked) Choice {
	var out Choice
	leave := func(c Candidate, why string, args ...string) {
		out.Left = append(out.Left, Left{c.Row, message.Say("catalog.left."+why, args...)})
	}
	fits := map[string]Fit{} // by id
	var order []string
	for _, c := range list {
		if _, twice := fits[c.ID]; twice {
			continue
		}
		if why, args := unfit(c, t, asked); why != "" {
			leave(c, why, args...)
			continue
		}
		fits[c.ID] = Fit{Candidate: c, Kind: kindOf(c.Title), Notes: notes(c, t)}
		order = append(order, c.ID)
	}
	// What another one that fits replaces, by the catalogue's own word or because it is an
	// older one of the same kind.
	gone := map[string]string{}
	for _, id := range order {
		f := fits[id]
		if f.Details != nil {
			for _, by := range f.Details.SupersededBy {
				if newer, ok := fits[by.ID]; ok && by.ID != id {
					gone[id] = newer.Title
				}
			}
		}
		for _, other := range order {
			if o := fits[other]; o.Kind == f.Kind && o.Date.After(f.Date) && gone[id] == "" {
				gone[id] = o.Title
			}
		}
	}
	for _, id := range order {
		f := fits[id]
		if by, ok := gone[id]; ok {
			leave(f.Candidate, "superseded", "by", by)
			continue
		}
		if f.Details != nil && len(f.Details.SupersededBy) > 0 {
			newest := f.Details.SupersededBy[len(f.Details.SupersededBy)-1]
			f.Notes = append(f.Notes, message.Say("catalog.note.superseded", "by", newest.Title, "id", newest.ID, "n", strconv.Itoa(len(f.Details.SupersededBy))))
		}
		out.Fits = append(out.Fits, f)
	}
	sorted.By(out.Fits, func(a, b Fit) int { return b.Date.Compare(a.Date) })
	return out
}

var (
	dynamicForm = regexp.MustCompile(`(?i)\bdynamic (cumulative )?update\b`)
	deltaForm   = regexp.MustCompile(`(?i)\bdelta update\b`)
	previewForm = regexp.MustCompile(`(?i)\bpreview\b`)
	// A month's security update needs the newest servicing stack.
	cumulativeForm = regexp.MustCompile(`(?i)\b(cumulative update|quality rollup|quality update)\b`)
	buildForm      = regexp.MustCompile(`\((\d{4,6})\.(\d{1,6})\)`)
)

// unfit returns why an update is nothing for a machine; "" if it may be installed.
func unfit(c Candidate, t Target, asked Asked) (why string, args []string) {
	switch {
	case dynamicForm.MatchString(c.Title):
		return "dynamic", nil
	case deltaForm.MatchString(c.Title):
		return "delta", nil
	case previewForm.MatchString(c.Title) && !asked.Name:
		return "preview", nil
	}
	if archs := architectures(c); len(archs) > 0 && t.Arch != "" && !slices.Contains(archs, t.Arch) {
		return "architecture", []string{"is", strings.Join(archs, ", "), "want", t.Arch}
	}
	if t.build() != 0 {
		products := c.Products
		if c.Details != nil && c.Details.Products != "" {
			products += "; " + c.Details.Products
		}
		s := read(c.Title)
		where := c.Title
		if !s.says() {
			s, where = scopeOf(products), products
		}
		switch {
		case !s.says():
			return "no-product", []string{"is", cmp.Or(products, "-")}
		case !s.has(t) && !(s.unknown && builds(c.Title, t)):
			return "product", []string{"is", where, "want", t.name()}
		}
	}
	if long := longTerm(c); long && t.Edition != "" && !longEdition(t.Edition) {
		return "edition", []string{"want", t.Edition}
	}
	if r, ok := t.revision(); ok {
		for _, m := range buildForm.FindAllStringSubmatch(c.Title, 4) {
			build, _ := strconv.Atoi(m[1]) // digits
			of, _ := strconv.Atoi(m[2])
			if sameFamily(build, t.build()) && of <= r {
				return "not-newer", []string{"is", m[1] + "." + m[2], "have", t.Build}
			}
		}
	}
	if c.Details != nil && !speaks(c.Details.Languages, t.Language) {
		return "language", []string{"is", c.Details.Languages, "want", t.Language}
	}
	return "", nil
}

// builds reports whether a title names a build of the machine's release: newer releases
// than the table's are told by it.
func builds(title string, t Target) bool {
	return slices.ContainsFunc(buildForm.FindAllStringSubmatch(title, 4), func(m []string) bool {
		return m[1] == strconv.Itoa(t.build())
	})
}

// scopeOf reads a list of products, each of which may name machines.
func scopeOf(products string) scope {
	var out scope
	for _, p := range splitProducts(products) {
		s := read(p)
		out.client, out.server = append(out.client, s.client...), append(out.server, s.server...)
		if s.from > 0 {
			for _, r := range must(releases()) {
				if r.build < s.from || r.build > s.to {
					continue
				}
				if s.servers {
					out.server = append(out.server, r.build)
				} else {
					out.client = append(out.client, r.build)
				}
			}
		}
	}
	return out
}

func must(r []release, err error) []release {
	if err != nil {
		return nil
	}
	return r
}

// splitProducts splits "Windows 10, Windows 10, version 1903 and later, Windows 11": a
// comma before "version" belongs to the name.
func splitProducts(s string) []string {
	var out []string
	for p := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ';' }) {
		p = strings.TrimSpace(p)
		if strings.HasPrefix(strings.ToLower(p), "version ") && len(out) > 0 {
			out[len(out)-1] += " " + p
			continue
		}
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// name is what the catalogue calls the machine's release.
func (t Target) name() string {
	if r, ok := releaseOf(t.build()); ok {
		if t.Server && len(r.server) > 0 {
			return r.server[0]
		}
		if !t.Server && len(r.client) > 0 {
			return r.client[0]
		}
	}
	return t.Build
}

func sameFamily(a, b int) bool {
	if a == b {
		return true
	}
	ra, ok1 := releaseOf(a)
	rb, ok2 := releaseOf(b)
	return ok1 && ok2 && ra.family == rb.family
}

var archForms = []struct {
	arch string
	form *regexp.Regexp
}{
	{"arm64", regexp.MustCompile(`(?i)\b(arm64|arm64-based)\b`)},
	{"amd64", regexp.MustCompile(`(?i)\b(x64|x64-based|amd64|64-bit)\b`)},
	{"386", regexp.MustCompile(`(?i)\b(x86|x86-based|32-bit)\b`)},
}

// architectures is what an update is for, by its title, else by its details; nil: all.
func architectures(c Candidate) []string {
	var out []string
	for _, text := range []string{c.Title, architectureOf(c.Details)} {
		for _, a := range archForms {
			if a.form.MatchString(text) {
				out = append(out, a.arch)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

func architectureOf(d *Details) string {
	if d == nil {
		return ""
	}
	return d.Architecture
}

// longTerm reports an update that is for the long-term releases of Windows 10 alone.
func longTerm(c Candidate) bool {
	list := splitProducts(c.Products)
	return len(list) > 0 && !slices.ContainsFunc(list, func(p string) bool {
		p = simple(p)
		return !strings.HasSuffix(p, "ltsb") && !strings.HasSuffix(p, "ltsc")
	})
}

func longEdition(edition string) bool {
	e := strings.ToLower(edition)
	return strings.HasPrefix(e, "enterprises") || strings.HasPrefix(e, "iotenterprises")
}

// speaks reports whether a list of languages, by their English names or tags, has one.
// Most updates are for all.
func speaks(list, tag string) bool {
	list = strings.ToLower(list)
	if tag == "" || list == "" || strings.Contains(list, "all") || strings.Contains(list, "neutral") {
		return true
	}
	short, _, _ := strings.Cut(strings.ToLower(tag), "-")
	name, known := languages[short]
	return !known || slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' }), func(l string) bool {
		l = strings.TrimSpace(l)
		return l == short || strings.HasPrefix(l, short+"-") || strings.HasPrefix(l, name)
	})
}

// languages are those of Windows, as the catalogue's English page writes them.
// learn.microsoft.com: Available languages for Windows.
var languages = map[string]string{
	"ar": "arabic", "bg": "bulgarian", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
	"et": "estonian", "fi": "finnish", "fr": "french", "he": "hebrew", "hr": "croatian", "hu": "hungarian", "it": "italian", "ja": "japanese",
	"ko": "korean", "lt": "lithuanian", "lv": "latvian", "nb": "norwegian", "nl": "dutch", "pl": "polish", "pt": "portuguese", "ro": "romanian",
	"ru": "russian", "sk": "slovak", "sl": "slovenian", "sr": "serbian", "sv": "swedish", "th": "thai", "tr": "turkish", "uk": "ukrainian", "zh": "chinese",
}

var (
	articlePart = regexp.MustCompile(`(?i)\(?\bKB ?\d{6,8}\)?`)
	monthPart   = regexp.MustCompile(`^\s*\d{4}-\d{2}\s+`)
)

// kindOf is a title without what changes every month.
func kindOf(title string) string {
	for _, form := range []*regexp.Regexp{articlePart, monthPart, buildForm, previewForm} {
		title = form.ReplaceAllString(title, " ")
	}
	return simple(title)
}

// notes is what to know of an update that fits.
func notes(c Candidate, t Target) []message.Line {
	var out []message.Line
	if previewForm.MatchString(c.Title) {
		out = append(out, message.Say("catalog.note.preview"))
	}
	if d := c.Details; d != nil {
		if strings.Contains(strings.ToLower(d.Restart), "always") || strings.Contains(strings.ToLower(d.Restart), "can request") {
			out = append(out, message.Say("catalog.note.restart"))
		}
	}
	r, ok := releaseOf(t.build())
	if r.stack && cumulativeForm.MatchString(c.Title) && !strings.Contains(c.Title, ".NET") {
		out = append(out, message.Say("catalog.note.stack", "name", t.name()))
	}
	if !ok && t.build() != 0 {
		out = append(out, message.Say("catalog.note.unknown-build", "build", t.Build))
	}
	return out
}

// Set is the files of one update that a machine needs.
type Set struct {
	Files []File         // all go into one folder; the one to install is the last
	Notes []message.Line // "catalog.note.checkpoints"
	Left  []string       // names of files that are for others
}

// Pick takes of an update's files what a machine needs. An update with checkpoints has
// several, all of which are needed in one folder; the file to install is the one of the
// update's own article. learn.microsoft.com: Checkpoint cumulative updates and Microsoft
// Update Catalog usage.
func Pick(u Row, files []File, t Target) Set {
	var s Set
	for _, f := range files {
		archs := fileArchs(f)
		switch {
		case f.Update != u.ID:
			continue
		case t.Arch != "" && len(archs) > 0 && !slices.Contains(archs, t.Arch),
			!speaks(strings.Join(f.Languages, ","), t.Language),
			slices.ContainsFunc(s.Files, func(o File) bool { return strings.EqualFold(o.Name, f.Name) }):
			s.Left = append(s.Left, f.Name)
			continue
		}
		s.Files = append(s.Files, f)
	}
	own := func(f File) bool { return u.KB != "" && fileKB(f.Name) == u.KB }
	sorted.By(s.Files, func(a, b File) int {
		return cmp.Or(cmp.Compare(rank(own(a)), rank(own(b))), compareKB(fileKB(a.Name), fileKB(b.Name)))
	})
	if n := len(s.Files); n > 1 {
		s.Notes = append(s.Notes, message.Say("catalog.note.checkpoints", "n", strconv.Itoa(n), "last", s.Files[n-1].Name))
	}
	return s
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

var fileKBForm = regexp.MustCompile(`(?i)\bkb(\d{6,8})\b`)

func fileKB(name string) string {
	if m := fileKBForm.FindStringSubmatch(strings.ReplaceAll(name, "_", "-")); m != nil {
		return "KB" + m[1]
	}
	return ""
}

// compareKB orders articles by their numbers: an earlier checkpoint has the smaller one.
func compareKB(a, b string) int {
	x, _ := strconv.Atoi(strings.TrimPrefix(a, "KB"))
	y, _ := strconv.Atoi(strings.TrimPrefix(b, "KB"))
	return cmp.Compare(x, y)
}

// fileArchs is what a file is for: by the dialogue, else by its name.
func fileArchs(f File) []string {
	var out []string
	for _, a := range archForms {
		if a.form.MatchString(f.Architectures) {
			out = append(out, a.arch)
		}
	}
	if len(out) == 0 {
		stem := strings.ReplaceAll(strings.TrimSuffix(f.Name, path.Ext(f.Name)), "_", " ")
		for _, a := range archForms {
			if a.form.MatchString(stem) {
				out = append(out, a.arch)
			}
		}
	}
	return out
}
