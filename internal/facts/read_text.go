package facts

import (
	"bytes"
	"regexp"
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
	junk  bool  // some of it nobody wrote
	read  bool  // some of it somebody did
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

func (r *textReading) finish() {
	r.flush()
	if r.junk && !r.read {
		r.gaps = append(r.gaps, Gap{Source: r.source.Path, Why: "gap.binary"})
	}
}

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
	if !printable(r.text) { // nobody wrote this: an archive, a picture, a memory dump
		r.text, r.lines, r.junk = r.text[:0], r.lines[:0], true
		return
	}
	r.read = true
	defect := -1
	var doubtful [][2]int
	if r.note {
		doubtful = dismissed(string(r.text))
	}
	for _, h := range r.match.match(r.text) {
		if within(doubtful, h.from) {
			r.dismiss(h.id, r.at(h.from))
		} else {
			r.sight(h.id, r.at(h.from))
		}
		if (h.id == "tool-own-defect" || h.id == "dism-msu-unattend-fails") && defect < 0 {
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
	case defect >= 0 && len(r.failures) == 0: // it ended in a failure, without a code
		r.failWith(r.at(defect), Failure{Kind: KindError, Weight: reported})
	default:
		r.ending()
	}
	r.kbs = append(r.kbs, kbsIn(r.text, 20)...)
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
	// API (2: succeeded), packer's plug-ins and boxstarter, events of the Secure Boot update.
	goodEnding = lazily(`(?i)"found_update_count": 0\b|"installed_update_count": [1-9]|\b(no|0) (new |windows |available )*updates? (were |was )?(found|available|to install)|\b[1-9]\d* (windows )?updates? (were )?installed\b|\b(installation )?result: 2\b|\binstallation\s+succeeded\b|\b(installed|applied|added|updated|upgraded) successfully|\bsuccessfully (installed|applied|added|upgraded)`)
	badEnding  = lazily(`(?i)\b(err(or|ors)?|fail\w*|denied|cannot|can't|could ?n[o']t|unable|abort\w*|corrupt\w*|tim(ed|e) ?-?out|not (be|available|responding)|exception|fatal|retry\w*|stuck|refused)\b`)
	// noFailures are counts of failures that say there are none.
	noFailures = lazily(`(?i)"?fail(ed|ures?)\w*"?\s*[:=]\s*(0|false|\[\]|\{\})`)
)

// printable reports a text: bytes that no terminal shows are rare in one.
func printable(t []byte) bool {
	odd := 0
	for _, c := range t {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' && c != '\f' && c != 0x1B {
			odd++
		}
	}
	return odd*20 <= len(t)
}

// kbsIn returns the updates that a text names, "KB5034441" or "kb 5034441", most of them.
func kbsIn(t []byte, most int) []string {
	var out []string
	for i := 0; i+8 <= len(t) && len(out) < most; i++ {
		if t[i]|0x20 != 'k' || t[i+1]|0x20 != 'b' || i > 0 && (wordByte(t[i-1]) || t[i-1] == '_') {
			continue
		}
		from := i + 2
		if t[from] == ' ' {
			from++
		}
		end := from
		for end < len(t) && t[end]-'0' <= 9 {
			end++
		}
		if n := end - from; (n == 6 || n == 7) && (end == len(t) || !wordByte(t[end]) && t[end] != '_') {
			out = append(out, string(t[i:end]))
		}
	}
	return out
}

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
	blank := func(b []byte) []byte { return bytes.Repeat([]byte{' '}, len(b)) }
	text := noTrouble().ReplaceAllFunc(r.text, blank)
	at := complaint().FindIndex(text)
	if at == nil && len(bytes.Fields(text)) >= wholeReport {
		if !content().Match(r.text) || discontent(content().ReplaceAllFunc(text, blank), text) {
			at = aboutUpdating().FindIndex(r.text) // people write because something is wrong
		}
	}
	if at != nil {
		r.failWith(r.at(at[0]), Failure{Kind: KindError, Weight: reported})
	}
}

// discontent reports that somebody goes on after what is well: "it installs fine, but".
// What is well after the turn, too, is none: "it stood still, but then it went on fine".
// rest is the text without what is well, of the same length.
func discontent(rest, text []byte) bool {
	for _, m := range contrast().FindAllIndex(rest, -1) {
		after := text[m[1]:]
		if i := bytes.IndexAny(after, ".?!\n"); i >= 0 {
			after = after[:i]
		}
		if rest[m[0]] == '?' || !content().Match(after) {
			return true
		}
	}
	return false
}

// wholeReport is how many words make a report of a remark.
const wholeReport = 8

var (
	// noTrouble is trouble that a person says there is none of, or that others say there is.
	noTrouble = lazily(`(?i)\b((somebody|someone|people|others|jemand|andere|leute) (say|said|claim|report|wr(i|o)te|sag|behaupt|schreib)\w* (that|dass)\b[^.,;!?\n]{1,200}|(no|without|zero|0|keine?|ohne|never (had|saw|seen)( a| any)?)( (any|more|other|known|visible|further|failed|weiteren?))*( \w+)? (problems?|issues?|errors?|failures?|troubles?|conflicts?|complaints?|probleme?|fehler)|(nothing|none( of (it|them|these|those))?) (is |was |has |have |ever |to )*(wrong|fail\w*|broken|amiss|complain\w*|stuck|missing)|(did|does|do|has|have)(n'?t| not) (ever )?(fail\w*|break|broken|crash\w*))\b`)
	// content finds the words of a person who has nothing to complain of.
	content = lazily(`(?i)\b((works?|worked|working|installs?|installed|installing|updates?|updated|updating|upgraded?|downloads?|downloaded|runs?|running|ran|goes|going|went|comes?|came|completes?|completed|finish(es|ed)|continues?|continued) (\w+ )?(fine|again|now|well|perfectly|ok(ay)?|normally|smoothly|properly|cleanly|correctly|successfully|as (expected|usual|always|planned|it should)|like (a charm|clockwork)|without)|in order|(all|everything|it|they|that)( is|'s| are| was| were| seems?| looks?)?( all)? (good|fine|well|ok(ay)?|green|installed|normal|works)|success\w*|healthy|up[- ]to[- ]date|out of (interest|curiosity)|(just|only|merely) (curious|checking|wondering|a question|for (the )?(record|information))|no action (is )?(needed|required)|(nothing|none) (is |was |to )?(wrong|fail(s|ed|ing)?|amiss|to complain)|happy|satisfied|(läuft|lief|laufen|liefen|klappt|klappte|ging|gehen|funktioniert|funktionieren) (\w+ )?(alles|gut|einwandfrei|problemlos|normal|ohne|wieder)|alles (gut|in ordnung|läuft|ok)|erfolgreich|aus (interesse|neugier)|nur (zur|zum|für|als))\b`)
	// contrast finds what a person goes on with who is not content.
	contrast = lazily(`(?i)\b(but|yet|although|though|however|while|whereas|still|only|mine|others?|except|until|instead|aber|trotzdem|obwohl|nur|sondern|noch)\b|\?`)
	// aboutUpdating finds what makes a text one about updating.
	aboutUpdating = lazily(`(?i)\b(windows[- ]?updates?|updat(e|es|ed|ing|er)|upgrad\w+|2\dH[12]|KB ?\d{6,7}|WSUS|SCCM|Microsoft Store|hotfix\w*|patch(es|ing)?|winget|DISM|wusa|definitions?|signatures?|Defender|wuauserv|svchost|optional features?|aktualisier\w+)\b|更新|アップデート|обновлен|mises? à jour|actualizaci|aggiornament|atualizaç`)
)

// complaint finds the words with which people say that something does not work.
var complaint = lazily(`(?i)\b(fail\w*|errors?|cannot|can't|can not|unable|not able|not possible|impossible|block(s|ed|ing)?|(does|do|did|will|would|is|are) not|(does|do|did|wo|is|are|could|would|was)n't|could not|was not|troubles?|problems?|issues?|difficult\w*|never|neither|no (updates|longer|more)|not any ?more|stops?|stopped|refuse[sd]?|br(ea|o)k(s|e|en|ing)?|prevents?|prevented|keep(s|ing)? .{1,60} from|interfer\w*|crash\w*|hangs?|hung|stuck|freez\w*|froze\w*|endless\w*|forever|rejected|denied|corrupt\w*|damaged|roll(s|ed)? back|revert\w*|undo\w*|grey(ed)? out|gray(ed)? out|nothing|nag(s|ging)?|slow(ly)?|takes? (hours|forever|ages)|incompatible|unsupported|not supported|defective|broken|conflict\w*|missing|lost|exception|fehler\w*|geht nicht|gehen nicht|scheitert|schl\S+gt fehl|klappt nicht|hängt|bricht ab|nicht mehr|kann nicht` +
	`|keep(s|ing)? (on )?\w+ing|kept (on )?\w+ing|abort\w*|complain\w*|demand\w*|over and over|again and again|(each|every) (boot|restart|reboot)` +
	`|stays? (at|on|in|pending|put|disabled|the same)|is back|comes? back|pending|timed? ?-?out|quits?|instead of|has to be|remains?|rollbacks?` +
	`|not applicable|more than \w+ hours|needs? \d+ ?(gb|mb)|went wrong|goes wrong|bad|dead|defunct|faulty|illegal|invalid` +
	`|bricht|bleibt|kommt (immer )?wieder|startet nicht|läuft nicht|wird nicht|werden nicht|findet (nichts|keine)|stürzt)\b` +
	// The same in a few more languages; letters of theirs are no word bytes to \b.
	`|(?i)(échec|échou|erreur|impossible d|ne (fonctionne|marche|s'installe|démarre)|fall(a|ó|o)\b|no se (puede|instala|pudo)|errore|non (riesc|si install|funziona)|impossibile|falha|não (é possível|instala|consig)|mislukt|fout(code|melding)|lukt niet|ошибк|не удал|не устан|błąd|nie można|nie udało|misslyck|fejl|virhe|hata|失敗|失败|エラー|错误|錯誤|できない|できません|无法|無法|오류|실패)`)

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
	osPattern    = lazily(`(?i)\bWindows (Server )?(XP|Vista|7|8\.1|8|10|11|2003 R2|2003|2008 R2|2008|2012 R2|2012|2016|2019|2022|2025)\b( (Pro|Home|Enterprise|Education|Insider|IoT|LTSC|SP\d))*((,? version)?( \d\dH\d| \d{4}))?`)
	serverWord   = lazily(`(?i)\bServer (2003 R2|2003|2008 R2|2008|2012 R2|2012|2016|2019|2022|2025)\b`)
	buildPattern = lazily(`\b(?:10\.0\.|[Bb]uild )?(1[0-9]{4}|2[0-9]{4})(\.\d{1,5})\b`)
)

// learn takes the version of Windows from a text that names it.
func (r *reading) learn(text string) {
	if r.machine.OS == "" {
		if m := findNear(osPattern(), text, indexFold(text, "windows ")); m != nil {
			r.machine.OS = strings.TrimSpace(m[0])
		} else if m := findNear(serverWord(), text, indexFold(text, "server 20")); m != nil {
			r.machine.OS = "Windows " + m[0]
		}
	}
	if r.machine.Build == "" {
		if m := findNear(buildPattern(), text, indexBuild(text)); m != nil {
			r.machine.Build = m[1] + m[2]
		}
	}
}

// findNear looks for an expression where it can begin at the earliest; expressions are
// slow, and most texts hold nothing for them.
func findNear(expr *regexp.Regexp, text string, at int) []string {
	if at < 0 {
		return nil
	}
	const before = len("Build ") + 1 // what an expression may begin with, and what must not stand before it
	return expr.FindStringSubmatch(text[max(0, at-before):])
}

// indexFold returns where the lower-case ASCII word first stands in any case, or -1.
func indexFold(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// indexBuild returns where five digits first stand before a point, or -1.
func indexBuild(text string) int {
	run := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c-'0' <= 9:
			run++
		case c == '.' && run == 5:
			return i - run
		default:
			run = 0
		}
	}
	return -1
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
