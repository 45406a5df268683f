package facts

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// servicingReading follows the sessions of CBS.log and dism.log. Of a cascade of
// failing results the first real one is the fault; what follows within the same
// session passes it up.
type servicingReading struct {
	*reading
	lines   int
	session Servicing // being read
	origin  time.Time // when the running cascade began
	chained map[codes.HRESULT]bool
	corrupt int // CheckSUR: faults found and not repaired

	// What was said before, by its number: the failure it counts as, or one of the values
	// below. A log says the same thing a hundred thousand times, and once is enough to
	// know what it means.
	known map[uint64]int32
}

// maxRepeats bounds the lines that are known again; further ones are read in full.
const maxRepeats = 1 << 15

// cascade is how long after its first result a failure may still be the echo
// of it when no session frame tells: servicing passes errors up in seconds.
const cascade = 2 * time.Minute

func newServicing(r *reading) digest {
	return &servicingReading{reading: r, chained: map[codes.HRESULT]bool{}, known: map[uint64]int32{}}
}

var (
	execComplete    = []byte("Exec: Processing complete")
	sessionStart    = []byte("initialized by client")
	stackLoaded     = []byte("Loaded Servicing Stack v")
	srCannotRepair  = []byte("[SR] Cannot repair member file")
	wordFailed      = []byte("ailed")
	wordHRESULT     = []byte("HRESULT")
	repairOperation = []byte("Total Repaired Corruption:")
	foundCorruption = []byte("Total Detected Corruption:")
)

func (r *servicingReading) record(rec *winlog.Record) error {
	r.lines++
	i, repeated := r.known[rec.Said()]
	r.repeated = repeated
	switch {
	case repeated && i >= 0:
		r.failures[i].again(rec.Time, 1+rec.Repeats)
		r.failures[i].again(rec.Until, 0)
		return nil
	case repeated && i == said:
		return nil
	}
	marked := !repeated && r.mark(rec)
	r.failed = said
	if r.frame(rec) {
		r.failed = framed
	}
	switch {
	case rec.Code == 0:
	case r.noise.is(r.in, rec.Code, rec):
		r.source.Harmless++
	default:
		r.result(rec, marked)
	}
	if !repeated && len(r.known) < maxRepeats {
		r.known[rec.Said()] = int32(r.failed)
	}
	return nil
}

// What a line that was said before counts as, if not as a failure.
const (
	said   = -1 // nothing
	framed = -2 // it frames a session or a report and counts each time
)

// frame reads the lines that frame a session or a report.
func (r *servicingReading) frame(rec *winlog.Record) bool {
	text := rec.Text
	if len(text) == 0 {
		return false
	}
	switch {
	case text[0] == 'S' && bytes.Contains(text, sessionStart):
		r.newSession(text)
	case text[0] == 'L' && bytes.Contains(text, stackLoaded):
		r.stack(text)
	case text[0] == 'T' && (bytes.HasPrefix(text, foundCorruption) || bytes.HasPrefix(text, repairOperation)):
		r.summary(rec)
	case text[0] == 'E' && bytes.HasPrefix(text, execComplete):
		if rec.Code == 0 && bytes.Contains(text, []byte("HRESULT = 0x00000000")) {
			r.succeed(rec, StageInstall, "session", Update{KB: findKB(text)})
		}
	default:
		if bytes.Contains(text, srCannotRepair) {
			r.sfc(rec)
		}
		return false
	}
	return true
}

// result weighs a failing result.
func (r *servicingReading) result(rec *winlog.Record, marked bool) {
	text := rec.Text
	weight := mentioned
	switch {
	case bytes.HasPrefix(text, execComplete):
		weight = decisive
	case rec.Level >= winlog.LevelError:
		weight = reported
	case marked && (bytes.Contains(text, wordFailed) || bytes.Contains(text, wordHRESULT)):
		weight = reported
	}
	r.failing(rec, weight)
}

// failing adds a result to the running cascade or begins a new one.
func (r *servicingReading) failing(rec *winlog.Record, weight float64) {
	fresh := r.origin.IsZero() || rec.Time.Sub(r.origin) > cascade || rec.Time.Before(r.origin)
	if fresh {
		r.origin = rec.Time
		clear(r.chained)
	}
	echo := len(r.chained) > 0 && !r.chained[rec.Code] && weight < decisive
	if !r.chained[rec.Code] {
		r.chained[rec.Code] = true
	}
	if weight >= reported {
		r.chain(rec)
	}
	h := rec.Code
	stage := StageInstall
	if r.source.Kind == winlog.Setup {
		stage = StageSetup
	}
	r.failWith(rec, Failure{Code: h, Stage: stage, Weight: weight, Consequence: echo})
}

// chain keeps the first failing session for escalation.
func (r *servicingReading) chain(rec *winlog.Record) {
	s := &r.servicing
	if len(s.Chain) == 0 {
		stack := s.StackVersion
		*s = r.session
		s.StackVersion = stack
	}
	if len(s.Chain) < 8 && (len(s.Chain) == 0 || s.Chain[len(s.Chain)-1] != rec.Code) {
		s.Chain = append(s.Chain, rec.Code)
		s.Seen = append(s.Seen, r.seenRecord(rec))
	}
	if s.Package == "" {
		s.Package = packageName(rec.Text)
	}
	if update := quotedAfter(rec.Text, []byte("Update: ")); s.Component == "" && update != s.Package {
		s.Component = update
	}
	if s.Installer == "" {
		s.Installer = installerName(rec.Text)
	}
	if s.KB == "" {
		s.KB = findKB(rec.Text)
	}
}

func (r *servicingReading) newSession(text []byte) {
	r.session = Servicing{StackVersion: r.session.StackVersion}
	if _, after, ok := bytes.Cut(text, []byte("Session: ")); ok {
		id, rest, _ := bytes.Cut(after, []byte(" "))
		r.session.Session = string(id)
		if _, client, ok := bytes.Cut(rest, []byte("by client ")); ok {
			client, _, _ = bytes.Cut(client, []byte(","))
			r.session.Client = string(bytes.TrimRight(client, ". "))
		}
	}
	r.origin = time.Time{}
	clear(r.chained)
}

func (r *servicingReading) stack(text []byte) {
	_, v, _ := bytes.Cut(text, stackLoaded)
	v, _, _ = bytes.Cut(v, []byte(" "))
	r.session.StackVersion = string(v)
	r.servicing.StackVersion = string(v)
	if b := buildOf(string(v)); b != "" {
		r.machine.Build = b
	}
}

// sfc reads "[SR] Cannot repair member file [l:12]'x.dll' of Component, ...".
func (r *servicingReading) sfc(rec *winlog.Record) {
	r.failWith(rec, Failure{Kind: KindError, Stage: StageVerify, Weight: reported})
	if r.servicing.Component == "" {
		if _, after, ok := bytes.Cut(rec.Text, []byte("member file ")); ok {
			r.servicing.Component = quote(after[:min(len(after), 160)])
		}
	}
}

// summary reads the end of a CheckSUR report: found minus repaired is what is left.
func (r *servicingReading) summary(rec *winlog.Record) {
	n := 0
	for _, c := range rec.Text {
		if c-'0' <= 9 && n < 1_000_000 {
			n = n*10 + int(c-'0')
		}
	}
	if bytes.Contains(rec.Text, foundCorruption) {
		r.corrupt = n
		return
	}
	if r.corrupt > n {
		r.sight("checksur-unrepaired", rec)
		r.failWith(rec, Failure{Kind: KindError, Stage: StageVerify, Weight: reported})
	} else if r.corrupt > 0 {
		r.succeed(rec, StageVerify, "restorehealth", Update{})
	}
	r.corrupt = 0
}

func (r *servicingReading) finish() { r.settleSnippet(r.lines) }

// packageName returns the first package identity of a text:
// Name~publickeytoken~arch~language~version.
func packageName(text []byte) string {
	i := bytes.Index(text, []byte("~31bf3856ad364e35~"))
	if i < 0 {
		return ""
	}
	from, to := i, i
	for from > 0 && nameByte(text[from-1]) {
		from--
	}
	for to < len(text) && (nameByte(text[to]) || text[to] == '~') {
		to++
	}
	return string(bytes.TrimRight(text[from:to], "."))
}

func nameByte(c byte) bool {
	return isLetter(c) || c-'0' <= 9 || c == '-' || c == '_' || c == '.'
}

// quotedAfter returns the word that follows a label, up to a comma or blank.
func quotedAfter(text, label []byte) string {
	_, after, ok := bytes.Cut(text, label)
	if !ok {
		return ""
	}
	if i := bytes.IndexAny(after, ", ["); i >= 0 {
		after = after[:i]
	}
	return string(after)
}

// installerName reads "Installer: Root Devices ({guid})" and "Installer name: [12]\"Root Devices\"".
func installerName(text []byte) string {
	if _, after, ok := bytes.Cut(text, []byte("queue item Installer: ")); ok {
		name, _, _ := bytes.Cut(after, []byte(" ("))
		return quote(name[:min(len(name), 120)])
	}
	if _, after, ok := bytes.Cut(text, []byte("Installer name: ")); ok {
		if _, name, ok := bytes.Cut(after, []byte(`"`)); ok {
			name, _, _ = bytes.Cut(name, []byte(`"`))
			return quote(name)
		}
	}
	return ""
}

// dismReading reads dism.log: results of DISM's own calls.
type dismReading struct {
	*reading
	lines int
}

func newDISM(r *reading) digest { return &dismReading{reading: r} }

func (r *dismReading) record(rec *winlog.Record) error {
	r.lines++
	r.mark(rec)
	if rec.Code == 0 {
		return nil
	}
	weight := mentioned
	switch {
	case rec.Level >= winlog.LevelError && (bytes.Contains(rec.Text, []byte("ExecuteCmdLine")) || bytes.Contains(rec.Text, []byte("DISM.EXE:"))):
		weight = decisive
	case rec.Level >= winlog.LevelError:
		weight = reported
	}
	r.failRecord(rec, rec.Code, StageInstall, weight)
	return nil
}

func (r *dismReading) finish() { r.settleSnippet(r.lines) }

// setupReading reads setupact.log and setuperr.log. Setup logs hundreds of
// errors it does not mind and goes on; what counts is the last run of errors, if
// setup itself gave up in it: its first result is the fault, the others pass it up.
type setupReading struct {
	*reading
	lines int
	run   []winlog.Record // the present run of errors, text copied
	gave  bool            // setup gave up in it
	last  []winlog.Record // the last run in which it did
	story setupStory
}

// setupPause ends a run of errors.
const setupPause = time.Minute

// maxRun bounds a run; the first errors of a longer one are kept.
const maxRun = 200

func newSetup(r *reading) digest { return &setupReading{reading: r} }

// setupVerdicts are the lines with which setup passes a result to its end.
var setupVerdicts = [][]byte{
	[]byte("Result = 0x"), []byte("Abandoning apply"), []byte("SetupPlatform: Installation failed"), []byte("returned with error"), []byte("MOUPG"),
}

func (r *setupReading) record(rec *winlog.Record) error {
	r.lines++
	r.story.follow(rec)
	r.phase = r.story.phase
	r.mark(rec)
	if _, phase, ok := bytes.Cut(rec.Text, phaseEnds); ok && bytes.HasPrefix(phase, lastPhase) {
		r.succeed(rec, StageSetup, "upgrade", Update{})
	}
	if rec.Code == 0 {
		return nil
	}
	f := Failure{Code: rec.Code, Stage: StageSetup, Weight: mentioned}
	if rec.Level >= winlog.LevelError {
		r.extend(rec)
	}
	for _, m := range codes.Find(string(rec.Text)) {
		if m.Code.HRESULT == rec.Code && m.Code.Extend != 0 {
			f.Extend, f.Weight = m.Code.Extend, decisive
		}
	}
	r.failWith(rec, f)
	return nil
}

// extend adds an error to the present run or begins a new one.
func (r *setupReading) extend(rec *winlog.Record) {
	if n := len(r.run); n > 0 && (rec.Time.Sub(r.run[n-1].Time) > setupPause || rec.Time.Before(r.run[0].Time)) {
		// The same result after a pause is the same trouble: setup undid its work
		// before it gave up.
		if !slices.ContainsFunc(r.run, func(x winlog.Record) bool { return x.Code == rec.Code }) {
			r.endRun()
		}
	}
	for _, v := range setupVerdicts {
		if string(rec.Component) == "MOUPG" || bytes.Contains(rec.Text, v) {
			r.gave = true
			break
		}
	}
	if len(r.run) < maxRun {
		c := *rec
		c.Text, c.Component, c.Fields = bytes.Clone(rec.Text[:min(len(rec.Text), maxQuote)]), nil, nil
		r.run = append(r.run, c)
	}
}

func (r *setupReading) endRun() {
	if r.gave {
		r.last = r.run
	}
	r.run, r.gave = nil, false
}

func (r *setupReading) finish() {
	r.endRun()
	if r.story.abrupt() {
		r.sight(setupMark+strings.ToLower(setupAbrupt), &r.story.last)
	}
	// What the last run holds was counted line by line; here it is weighed.
	origin := codes.HRESULT(0)
	passed := map[codes.HRESULT]bool{}
	for i := range r.last {
		rec := &r.last[i]
		if r.noise.is(r.in, rec.Code, rec) {
			continue
		}
		if origin == 0 {
			origin = rec.Code
		}
		passed[rec.Code] = true
	}
	for i := range r.failures {
		f := &r.failures[i]
		if passed[f.Code] {
			f.Weight = decisive
		}
		f.Consequence = origin != 0 && f.Code != origin
	}
	r.settleSnippet(r.lines)
}
