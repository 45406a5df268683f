package facts

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/winlog"
)

// SetupRule is one way in which an upgrade fails, as its logs show it. The names and
// numbers are those of Microsoft's own tool, whose results name them too; a result of
// that tool is recognised by the name, a log by what stands in its lines.
// learn.microsoft.com: "SetupDiag", Rules.
type SetupRule struct {
	Name   string // "HardblockMismatchedLanguage"
	GUID   string
	Rank   int    // 1 is the most telling; what comes behind is told only where nothing before it was seen
	Cause  string // a cause of the catalogue, "" if the failure alone names none
	Weight string // how surely: conclusive, strong, moderate, weak
	Remedy string // the next step, "" if there is none to take
	Means  string
}

// RankGeneral is where the rules begin that say only how setup ended.
const RankGeneral = 5

// setupWorked is the rule for an upgrade that ended well.
const setupWorked = "FindSuccessfulUpgrade"

// setupAbrupt is the rule for a log that breaks off; no line of it can say so.
const setupAbrupt = "FindAbruptDownlevelFailure"

// Fails reports whether the rule is about a failure: one is about success, one about
// a look that was asked for.
func (r SetupRule) Fails() bool { return r.Name != setupWorked && r.Name != "CompatScanOnly" }

// Mark is the id of the signature by which the rule is known.
func (r SetupRule) Mark() string { return setupMark + strings.ToLower(r.Name) }

const setupMark = "setup-rule-"

//go:embed data/setup-rules.tsv
var setupRuleTable string

// setupTable is the table read: rules in its order, and the signatures that its rows
// stand for.
type setupTable struct {
	rules []SetupRule
	signs []signature
	err   error
}

// The columns are rule, guid, rank, when, match, cause, weight, remedy, means; "-" is
// nothing. match is that of a signature. when narrows it down: "early" before setup
// began to work, "downlevel" before the first restart, "later" after it, "error" on
// lines that setup itself calls errors. A rule with a second way to show has a second
// row, with its name and nothing but when and match.
var setupRules = sync.OnceValue(func() (t setupTable) {
	n := 0
	for line := range strings.Lines(setupRuleTable) {
		n++
		cols := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if n == 1 || cols[0] == "" {
			continue
		}
		fail := func(why any) { t.err = fmt.Errorf("setup-rules.tsv:%d: %v", n, why) }
		if len(cols) != 9 {
			fail("not nine columns")
			continue
		}
		for i := range cols {
			if cols[i] == "-" {
				cols[i] = ""
			}
		}
		rank, err := strconv.Atoi(cols[2])
		if err != nil {
			fail(err)
			continue
		}
		r := SetupRule{Name: cols[0], GUID: cols[1], Rank: rank, Cause: cols[5], Weight: cols[6], Remedy: cols[7], Means: cols[8]}
		if !slices.ContainsFunc(t.rules, func(x SetupRule) bool { return x.Name == r.Name }) {
			t.rules = append(t.rules, r)
		}
		if cols[4] == "" {
			continue
		}
		s, err := readSignature(r.Mark() + "\tsetup\t" + cols[4] + "\t" + r.Means)
		if err != nil {
			fail(err)
			continue
		}
		if s.when, err = parseWhen(cols[3]); err != nil {
			fail(err)
		}
		t.signs = append(t.signs, s)
	}
	return t
})

// SetupRules lists all rules, in the order of their table.
func SetupRules() []SetupRule { return slices.Clone(setupRules().rules) }

// setupRuleNamed returns the rule whose name a result of Microsoft's tool gives.
func setupRuleNamed(rec *winlog.Record) (SetupRule, bool) {
	if string(rec.Component) != "ProfileName" {
		return SetupRule{}, false
	}
	rules := setupRules().rules
	i := slices.IndexFunc(rules, func(r SetupRule) bool { return strings.EqualFold(r.Name, string(rec.Text)) })
	if i < 0 {
		return SetupRule{}, false
	}
	return rules[i], true
}

// SetupFinding is a rule that was recognised.
type SetupFinding struct {
	SetupRule
	Seen []Seen
}

// SetupFindings says how upgrades failed on this machine: the most telling rules that
// were recognised, and where. Where setup in the end succeeded it is that alone.
func (f *Facts) SetupFindings() []SetupFinding {
	var out []SetupFinding
	rank := 0
	for _, r := range setupRules().rules {
		seen := f.Marks(r.Mark())
		if len(seen) == 0 {
			continue
		}
		if r.Name == setupWorked && !f.failedAfter(seen[len(seen)-1]) {
			return []SetupFinding{{r, seen}}
		}
		switch {
		case rank == 0 || r.Rank < rank:
			out, rank = []SetupFinding{{r, seen}}, r.Rank
		case r.Rank == rank && rank < RankGeneral: // of the general ones the first says all
			out = append(out, SetupFinding{r, seen})
		}
	}
	return out
}

// failedAfter reports whether a rule of a failure was seen after s.
func (f *Facts) failedAfter(s Seen) bool {
	for _, r := range setupRules().rules {
		if !r.Fails() {
			continue
		}
		for _, x := range f.Marks(r.Mark()) {
			if x.Time.After(s.Time) {
				return true
			}
		}
	}
	return false
}

// when says on which lines a signature counts.
type when uint8

const (
	whenEarly when = 1 << iota
	whenDownlevel
	whenLater
	whenError // and the line is an error
)

func parseWhen(text string) (w when, err error) {
	for _, part := range strings.Split(text, ",") {
		switch part {
		case "":
		case "early":
			w |= whenEarly
		case "downlevel":
			w |= whenEarly | whenDownlevel
		case "later":
			w |= whenLater
		case "error":
			w |= whenError
		default:
			err = fmt.Errorf("no such time: %q", part)
		}
	}
	return w, err
}

// holds reports whether a line counts; the phase of other logs than setup's is 0.
func (w when) holds(phase when, rec *winlog.Record) bool {
	if w&whenError != 0 && rec.Level < winlog.LevelError {
		return false
	}
	phases := w &^ whenError
	return phases == 0 || phases&phase != 0
}

// setupStory follows one log of setup through its phases.
type setupStory struct {
	phase when
	began bool // setup's platform was at work
	ended bool // setup closed the log, or came to the restart
	last  winlog.Record
	text  []byte
}

var (
	phaseBegins = []byte("ExecuteOperations: Start execution phase ")
	phaseEnds   = []byte("ExecuteOperations: Successfully processed execution phase ")
	downlevel   = []byte("Downlevel")
	lastPhase   = []byte("Post OOBE")
	logEnds     = [][]byte{[]byte("SetupHost Logging End"), []byte("Closing Panther Logging"), []byte("Reporting error event"), []byte("Rollback:")}
)

// follow notes what a line says of how far setup is.
func (s *setupStory) follow(rec *winlog.Record) {
	if s.phase == 0 {
		s.phase = whenEarly
	}
	if _, rest, ok := bytes.Cut(rec.Text, phaseBegins); ok {
		s.began, s.ended, s.phase = true, false, whenLater
		if bytes.HasPrefix(rest, downlevel) {
			s.phase = whenDownlevel
		}
	}
	if bytes.Contains(rec.Text, phaseEnds) {
		s.ended = true
	}
	for _, end := range logEnds {
		s.ended = s.ended || bytes.Contains(rec.Text, end)
	}
	if rec.Level >= winlog.LevelError && string(rec.Component) == "MOUPG" && bytes.Contains(rec.Text, []byte("Execute(")) {
		s.ended = true // setup's outermost part passed a result up
	}
	if s.began && !rec.Continued {
		s.text = append(s.text[:0], rec.Text[:min(len(rec.Text), maxQuote)]...)
		s.last = *rec
		s.last.Text, s.last.Component, s.last.Fields = s.text, nil, nil
	}
}

// abrupt reports a log that breaks off in the middle of setup's work.
func (s *setupStory) abrupt() bool { return s.began && !s.ended && s.phase == whenDownlevel }
