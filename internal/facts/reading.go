package facts

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Bounds of what is kept of one file. Evidence is quoted, not archived.
const (
	maxSeen     = 4        // sightings kept of one signature or failure
	maxQuote    = 600      // bytes of a quoted line
	maxFailures = 400      // different failures of one file
	maxSuccess  = 64       // endings kept, the newest
	maxCodes    = 2000     // different codes of one file
	maxHeard    = 16 << 10 // bytes of a file's own words
	maxHearing  = 32       // files whose words are kept
)

// Weights of a sighting: how surely the line reports a failure of updating and
// not one of the many results that Windows handles on its own.
const (
	decisive  = 1.0 // the end of a call, an event, a result shown to a person
	reported  = 0.6 // an error line
	mentioned = 0.2 // a failing code inside an ordinary line
)

// reading is what one file gave. Files are read in parallel, so a reading
// belongs to one goroutine and readings are merged in the order of the files.
type reading struct {
	source Source
	name   string // base name, for quotes
	in     where

	match *matcher
	noise noiseTable
	phase when // how far setup is, in its logs

	converted time.Time // the last line of a WindowsUpdate.log: traces up to it are in that log

	marks     map[string][]Seen
	codes     map[codes.HRESULT]Seen
	failures  []Failure
	index     map[failureKey]int
	failed    int // index of the failure counted last
	successes []Success
	kbs       []string
	installed []string
	inventory inventory
	machine   host.Machine
	servicing Servicing
	gaps      []Gap
	typed     []func(*Facts) // set what typed readers found
	heard     []byte         // what the file says in words, see hearing
	repeated  bool           // the record was said before in the same words; nothing more is heard in it
	deaf      bool           // its words are not kept: there are too many files
}

type failureKey struct {
	kind   FailureKind
	code   codes.HRESULT
	extend uint32
	stage  Stage
	kb     string
}

func newReading(f host.File, match *matcher, noise noiseTable) *reading {
	in := whereOf(f.Kind)
	return &reading{
		source: Source{Path: f.Path, Kind: f.Kind},
		name:   path.Base(f.Path),
		in:     in,
		match:  match,
		noise:  noise,
		marks:  map[string][]Seen{},
		codes:  map[codes.HRESULT]Seen{},
		index:  map[failureKey]int{},
	}
}

// seen quotes a record.
func (r *reading) seen(line int, t time.Time, h codes.HRESULT, text []byte) Seen {
	source := r.name
	if line > 0 {
		source = fmt.Sprintf("%s:%d", r.name, line)
	}
	return Seen{Source: source, Text: quote(text), Time: t, Code: h}
}

func (r *reading) seenRecord(rec *winlog.Record) Seen {
	return r.seen(rec.Line, rec.Time, rec.Code, rec.Text)
}

// hearing returns d.record, and keeps the words of what it reads: all of a note or
// an output, of a log what tells of trouble. Outputs with a reader of their own say
// what they have to say by that.
func (r *reading) hearing(d digest) func(*winlog.Record) error {
	_, typed := typedReaders[r.source.Kind]
	quiet := typed || r.deaf
	if quiet && !r.written() {
		return d.record
	}
	return func(rec *winlog.Record) error {
		if r.stock(rec) {
			return nil
		}
		if quiet {
			return d.record(rec)
		}
		failures, codes := len(r.failures), len(r.codes)
		r.repeated = false
		err := d.record(rec)
		if !r.repeated && len(r.heard)+len(rec.Text) < maxHeard && (r.written() || len(r.failures) > failures || len(r.codes) > codes || rec.Level >= winlog.LevelWarning || tellsTrouble(rec.Text)) {
			r.heard = append(append(r.heard, rec.Text...), '\n')
		}
		return err
	}
}

// written reports a note or a console's output: what somebody chose to show.
func (r *reading) written() bool { return r.in&(inNote|inOutput) != 0 }

// tellsTrouble finds the words with which logs tell that something went wrong. It sees
// every line that is looked at, so it is no expression.
func tellsTrouble(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		var word string
		switch second := text[i+1]; text[i] {
		case 'e', 'E':
			if second|0x20 == 'r' {
				word = "error"
			}
		case 'f', 'F':
			if second|0x20 == 'a' {
				word = "fail"
			}
		case 'w', 'W':
			if second|0x20 == 'a' {
				word = "warn"
			}
		case '0':
			if second|0x20 == 'x' {
				word = "0x8"
			}
		case '[':
			if second == '8' {
				return true
			}
		}
		if n := len(word); n > 0 && len(text)-i >= n && strings.EqualFold(string(text[i:i+n]), word) {
			return true
		}
	}
	return false
}

// lazily compiles an expression when it is first needed: all of them together are a
// millisecond of every start of the program.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// quote copies a line, bounded and as valid UTF-8.
func quote(text []byte) string {
	if len(text) > maxQuote {
		cut := maxQuote
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		return strings.ToValidUTF8(string(text[:cut]), "\uFFFD") + " …"
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(text)), "\uFFFD")
}

// mark records the signatures found in a record and returns whether there were any.
func (r *reading) mark(rec *winlog.Record) bool {
	hits := r.match.match(rec.Text)
	for _, h := range hits {
		if h.when == 0 || h.when.holds(r.phase, rec) {
			r.sight(h.id, rec)
		}
	}
	return len(hits) > 0
}

// sight keeps the first sightings of a signature.
func (r *reading) sight(id string, rec *winlog.Record) {
	seen := r.marks[id]
	if len(seen) < maxSeen {
		r.marks[id] = append(seen, r.seenRecord(rec))
		return
	}
	if i := slices.IndexFunc(seen, func(s Seen) bool { return s.Dismissed }); i >= 0 {
		seen[i] = r.seenRecord(rec)
	}
}

// dismiss keeps a sighting that its sentence takes back.
func (r *reading) dismiss(id string, rec *winlog.Record) {
	if seen := r.marks[id]; len(seen) < maxSeen {
		s := r.seenRecord(rec)
		s.Dismissed = true
		r.marks[id] = append(seen, s)
	}
}

// fail counts a failure. Equal ones are one, seen several times.
func (r *reading) fail(f Failure, seen func() Seen) {
	key := failureKey{f.Kind, f.Code, f.Extend, f.Stage, f.Update.KB}
	i, ok := r.index[key]
	if !ok {
		if len(r.failures) >= maxFailures {
			return
		}
		i = len(r.failures)
		r.index[key] = i
		first := f
		first.Count = 0
		r.failures = append(r.failures, first)
	}
	r.failed = i
	have := &r.failures[i]
	have.again(f.First, max(f.Count, 1))
	have.again(f.Last, 0)
	have.Weight = max(have.Weight, f.Weight)
	have.Consequence = have.Consequence && f.Consequence
	if f.Update.Title != "" && have.Update.Title == "" {
		have.Update = f.Update
	}
	if len(have.Seen) < maxSeen {
		have.Seen = append(have.Seen, seen())
	}
}

// again counts a failure n more times, at time t.
func (x *Failure) again(t time.Time, n int) {
	x.Count += n
	if t.IsZero() {
		return
	}
	if x.First.IsZero() || t.Before(x.First) {
		x.First = t
	}
	if t.After(x.Last) {
		x.Last = t
	}
}

// failRecord counts a failing record.
func (r *reading) failRecord(rec *winlog.Record, h codes.HRESULT, stage Stage, weight float64) {
	r.failWith(rec, Failure{Kind: KindError, Code: h, Stage: stage, Weight: weight})
}

// failWith counts a failing record with more known about it.
func (r *reading) failWith(rec *winlog.Record, f Failure) {
	if f.Code != 0 && r.noise.is(r.in, f.Code, rec) {
		r.source.Harmless++
		return
	}
	if f.Kind == "" {
		f.Kind = KindError
	}
	if f.Stage == "" || f.Stage == StageAny {
		f.Stage = stageOf(f.Code)
	}
	if f.Update.KB == "" {
		f.Update.KB = findKB(rec.Text)
	}
	f.First, f.Last, f.Count = rec.Time, rec.Time, 1+rec.Repeats
	if rec.Until.After(f.Last) {
		f.Last = rec.Until
	}
	r.fail(f, func() Seen {
		s := r.seenRecord(rec)
		s.Code = f.Code
		return s
	})
	r.code(f.Code, rec)
}

// code remembers where a failing code stood.
func (r *reading) code(h codes.HRESULT, rec *winlog.Record) {
	if _, ok := r.codes[h]; ok || h == 0 || len(r.codes) >= maxCodes {
		return
	}
	s := r.seenRecord(rec)
	s.Code = h
	r.codes[h] = s
}

// succeed remembers something that ended well.
func (r *reading) succeed(rec *winlog.Record, stage Stage, what string, u Update) {
	if len(r.successes) == maxSuccess {
		copy(r.successes, r.successes[1:])
		r.successes = r.successes[:maxSuccess-1]
	}
	r.successes = append(r.successes, Success{Stage: stage, What: what, Update: u, Seen: r.seenRecord(rec)})
}

// stageOf is the stage a code belongs to when the place does not tell.
func stageOf(h codes.HRESULT) Stage {
	if info, ok := codes.Lookup(h); ok && info.Stage != "" {
		return Stage(info.Stage)
	}
	return StageAny
}

// findKB returns the first knowledge base number of a text, as "KB5012345".
func findKB(text []byte) string {
	for i := 0; i+8 <= len(text); i++ {
		if text[i]|0x20 != 'k' || text[i+1]|0x20 != 'b' || i > 0 && wordByte(text[i-1]) && text[i-1] != '_' {
			continue
		}
		n := i + 2
		for n < len(text) && text[n]-'0' <= 9 {
			n++
		}
		if d := n - i - 2; d >= 6 && d <= 7 {
			return "KB" + string(text[i+2:n])
		}
	}
	return ""
}
