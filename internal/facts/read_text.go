package facts

import (
	"bytes"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// maxText is how much of a note or a tool's output is read at once; a person
// writes less, and a longer output is read in pieces.
const maxText = 64 << 10

// textReading reads notes and outputs whole: what belongs together stands in
// different sentences.
type textReading struct {
	*reading
	note  bool
	text  []byte
	lines []int // offset at which each line of text begins
	first int   // number of the first line of text
}

func newText(r *reading) digest {
	return &textReading{reading: r, note: r.source.Kind == winlog.Note, first: 1}
}

func (r *textReading) record(rec *winlog.Record) error {
	if len(r.text)+len(rec.Text) > maxText {
		r.flush()
	}
	if len(r.lines) == 0 {
		r.first = rec.Line
	}
	for r.first+len(r.lines) < rec.Line && len(r.lines) > 0 { // blank lines are not delivered
		r.lines = append(r.lines, len(r.text))
		r.text = append(r.text, '\n')
	}
	r.lines = append(r.lines, len(r.text))
	r.text = append(append(r.text, rec.Text...), '\n')
	return nil
}

func (r *textReading) finish() { r.flush() }

// at returns the line that holds offset as a record, for quoting.
func (r *textReading) at(offset int) *winlog.Record {
	n := 0
	for n+1 < len(r.lines) && r.lines[n+1] <= offset {
		n++
	}
	if len(r.lines) == 0 {
		return &winlog.Record{Line: r.first}
	}
	line := r.text[r.lines[n]:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	if r.note {
		line = sentence(line, offset-r.lines[n])
	}
	return &winlog.Record{Line: r.first + n, Text: line}
}

// sentence returns the sentence of a line that holds offset: people write a whole
// story in one line, and each sentence of it is evidence of its own.
func sentence(line []byte, offset int) []byte {
	from, to := 0, len(line)
	for i := 0; i+1 < len(line); i++ {
		if c := line[i]; (c != '.' && c != '!' && c != '?') || line[i+1] != ' ' {
			continue
		}
		if i+1 <= offset {
			from = i + 2
		} else {
			to = i + 1
			break
		}
	}
	return line[min(from, to):to]
}

func (r *textReading) flush() {
	if len(r.text) == 0 {
		return
	}
	defect := -1
	for _, h := range r.match.match(r.text) {
		r.sight(h.id, r.at(h.from))
		if h.id == "tool-own-defect" && defect < 0 {
			defect = h.from
		}
	}
	weight := decisive
	if !r.note {
		weight = reported
	}
	for _, m := range codes.Find(string(r.text)) {
		h := m.Code.HRESULT
		if !h.Failed() || h.Benign() {
			continue
		}
		rec := r.at(m.Start)
		f := Failure{Code: h, Extend: m.Code.Extend, Weight: weight}
		if r.note && past(rec.Text) {
			f.Weight = mentioned
		}
		r.failWith(rec, f)
	}
	switch {
	case r.note:
		r.symptoms()
	case defect >= 0 && len(r.failures) == 0: // it ended by a fault of its own, without a code
		r.failWith(r.at(defect), Failure{Kind: KindError, Weight: reported})
	default:
		r.ending()
	}
	r.kbs = append(r.kbs, kbPattern().FindAllString(string(r.text), 20)...)
	if k := r.source.Kind; k != winlog.DISMOutput && k != winlog.SFCOutput { // their first version is the tool's own
		r.learn(string(r.text))
	}
	r.text, r.lines = r.text[:0], r.lines[:0]
}

// ending reads from a tool's output that it ended well. Tools say so in many
// words; a text that speaks of trouble as well says nothing.
func (r *textReading) ending() {
	if len(r.failures) > 0 {
		return
	}
	at := goodEnding().FindIndex(r.text)
	if at == nil || badEnding().Match(noFailures().ReplaceAll(r.text, nil)) {
		return
	}
	r.succeed(r.at(at[0]), StageAny, "output", Update{})
}

var (
	// The words with which update tools end well: the counts of ansible's
	// win_updates, the history of PSWindowsUpdate, the result codes of the update
	// API (2: succeeded), packer's plug-ins, events of the Secure Boot update.
	goodEnding = lazily(`(?i)"found_update_count": 0\b|"installed_update_count": [1-9]|\bno (new |windows |available )*updates? (were |was )?(found|available)|\b(installation )?result: 2\b|\binstallation\s+succeeded\b|\b(installed|applied|added|updated|upgraded) successfully|\bsuccessfully (installed|applied|added|upgraded)`)
	badEnding  = lazily(`(?i)\b(err(or|ors)?|fail\w*|denied|cannot|can't|could ?n[o']t|unable|abort\w*|corrupt\w*|tim(ed|e) ?-?out|not (be|available|responding)|exception|fatal|retry\w*|stuck|refused)\b`)
	// noFailures are counts of failures that say there are none.
	noFailures = lazily(`(?i)"?fail(ed|ures?)\w*"?\s*[:=]\s*(0|false|\[\]|\{\})`)
)

var kbPattern = lazily(`(?i)\bKB ?\d{6,7}\b`)

// past reports a sentence about trouble that is over.
func past(line []byte) bool {
	low := strings.ToLower(string(line))
	for _, s := range []string{"already solved", "already fixed", "were solved", "was solved", "were fixed", "was fixed", "earlier error", "previous error", "used to get"} {
		if strings.Contains(low, s) {
			return true
		}
	}
	return false
}

// symptoms reads failures without a code from a person's words.
func (r *textReading) symptoms() {
	n, err := winlog.ReadNote(bytes.NewReader(r.text))
	if err != nil {
		return
	}
	for _, s := range n.Symptoms {
		rec := &winlog.Record{Line: r.first + s.Line - 1, Text: []byte(s.Text)}
		r.failWith(rec, Failure{Kind: FailureKind(s.Kind), Stage: symptomStage(FailureKind(s.Kind)), Weight: reported})
	}
	if len(r.failures) > 0 {
		return
	}
	if at := complaint().FindIndex(r.text); at != nil {
		r.failWith(r.at(at[0]), Failure{Kind: KindError, Weight: reported})
	}
}

// complaint finds the words with which people say that something does not work.
var complaint = lazily(`(?i)\b(fail\w*|errors?|cannot|can't|can not|unable|not able|not possible|impossible|block(s|ed|ing)?|(does|do|did|will|would|is|are) not|(does|do|did|wo|is|are|could|would|was)n't|could not|was not|troubles?|problems?|issues?|difficult\w*|never|neither|no (updates|longer|more)|not any ?more|stops?|stopped|refuse[sd]?|br(ea|o)k(s|e|en|ing)?|prevents?|prevented|keep(s|ing)? .{1,60} from|interfer\w*|crash\w*|hangs?|hung|stuck|freez\w*|froze\w*|endless\w*|forever|rejected|denied|corrupt\w*|damaged|roll(s|ed)? back|revert\w*|undo\w*|grey(ed)? out|gray(ed)? out|nothing|nag(s|ging)?|slow(ly)?|takes? (hours|forever|ages)|incompatible|unsupported|not supported|defective|broken|conflict\w*|missing|lost|exception|fehler\w*|geht nicht|gehen nicht|scheitert|schl\S+gt fehl|klappt nicht|hängt|bricht ab|nicht mehr|kann nicht)\b`)

func symptomStage(k FailureKind) Stage {
	switch k {
	case KindNotOffered:
		return StageScan
	case KindReverted, KindReinstalls:
		return StageInstall
	case KindRestartLoop, KindNoBoot:
		return StageRestart
	}
	return StageAny
}

var (
	osPattern    = lazily(`(?i)\bWindows (Server )?(XP|Vista|7|8\.1|8|10|11|2003 R2|2003|2008 R2|2008|2012 R2|2012|2016|2019|2022|2025)\b( (Pro|Home|Enterprise|Education|Insider|IoT|LTSC|SP\d))*( \d\dH\d| \d{4})?`)
	serverWord   = lazily(`(?i)\bServer (2003 R2|2003|2008 R2|2008|2012 R2|2012|2016|2019|2022|2025)\b`)
	buildPattern = lazily(`\b(?:10\.0\.|[Bb]uild )?(1[0-9]{4}|2[0-9]{4})(\.\d{1,5})\b`)
)

// learn takes the version of Windows from a text that names it.
func (r *reading) learn(text string) {
	if r.machine.OS == "" {
		if m := osPattern().FindString(text); m != "" {
			r.machine.OS = strings.TrimSpace(m)
		} else if m := serverWord().FindString(text); m != "" {
			r.machine.OS = "Windows " + m
		}
	}
	if r.machine.Build == "" {
		if m := buildPattern().FindStringSubmatch(text); m != nil {
			r.machine.Build = m[1] + m[2]
		}
	}
}

// buildOf takes "22621.3672" from "10.0.22621.3672"; other versions give "".
func buildOf(version string) string {
	parts := strings.Split(version, ".")
	if len(parts) < 3 {
		return ""
	}
	out := parts[2]
	if len(parts) > 3 && parts[0] == "10" {
		out += "." + parts[3]
	}
	return out
}
