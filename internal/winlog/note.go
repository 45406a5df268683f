package winlog

import (
	_ "embed"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"updoc/internal/codes"
)

// A note is what a person wrote about a machine. It is the one source that is
// read for its words, English and German, and therefore the weakest: what it
// gives are codes, numbers and hints.

// NoteText is a note, cut into sentences.
type NoteText struct {
	Sentences []Sentence
	KBs       []string         // "KB5034441", each once, in their order
	Versions  []WindowsVersion // each mention
	Percents  []NotePercent    // each mention
	Symptoms  []Symptom        // kinds of failure that the words name, each sentence once
}

// Sentence is one sentence of a note; it may have been wrapped over lines.
type Sentence struct {
	Line  int    // 1-based line it begins on
	Text  string // as written, wrapped lines joined by a blank
	Codes []codes.Match
	KBs   []string

	words []noteWord
}

// noteWord is a word of a sentence, prepared for matching.
type noteWord struct {
	text   string // lower case, with straight apostrophes
	start  int    // byte offsets into Sentence.Text
	end    int
	clause int  // words of one clause have the same number
	negate bool // "not", "kein", "doesn't"
}

// WindowsVersion is a mention of a Windows version. What is not said is zero.
type WindowsVersion struct {
	Line    int
	Text    string // the mention itself
	Product string // "Windows 10", "Windows Server 2012 R2", "Windows 7"
	Edition string // "Pro", "Enterprise", "Home", "LTSC", ...
	Release string // "22H2", "1809"
	Build   int    // 19045
	UBR     int    // the number after the build, 0 if not said
	Target  bool   // what the machine is to become: "upgrade to Windows 11"
}

// NotePercent is a percentage that a note mentions.
type NotePercent struct {
	Line     int
	Sentence int // index into NoteText.Sentences
	Value    float64
}

// SymptomKind is a kind of failure that needs no code. The names are those of
// the kinds of failures in a diagnosis.
type SymptomKind string

// The kinds that a note can tell.
const (
	SymptomNotOffered  SymptomKind = "not-offered"
	SymptomStuck       SymptomKind = "stuck"
	SymptomReverted    SymptomKind = "reverted"
	SymptomReinstalls  SymptomKind = "reinstalls"
	SymptomRestartLoop SymptomKind = "restart-loop"
	SymptomNoBoot      SymptomKind = "no-boot"
)

// Symptom is a kind of failure in a person's words.
type Symptom struct {
	Kind    SymptomKind
	Line    int
	Text    string  // the sentence
	Percent float64 // where it sticks; -1 if not said
}

// ReadNote reads a note.
func ReadNote(r io.Reader) (NoteText, error) {
	lines, err := readDocument(r)
	if err != nil {
		return NoteText{}, err
	}
	return ParseNote(lines), nil
}

// ParseNote reads a note that is already cut into lines.
func ParseNote(lines []string) NoteText {
	var n NoteText
	for i := 0; i < len(lines); {
		first := i
		text := strings.TrimRight(lines[i], " \t")
		starts := []int{0} // where in text each line begins
		for i++; i < len(lines) && i-first < 50 && wraps(text, lines[i]); i++ {
			starts = append(starts, len(text)+1)
			text += " " + strings.TrimSpace(lines[i])
		}
		at := 0
		for _, s := range splitSentences(text) {
			begin := at
			at += len(s)
			lead := len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
			if s = strings.TrimSpace(s); s == "" {
				continue
			}
			line := first
			for k := len(starts) - 1; k > 0; k-- {
				if starts[k] <= begin+lead {
					line = first + k
					break
				}
			}
			n.addSentence(line+1, s)
		}
	}
	n.findSymptoms()
	return n
}

// wraps reports whether next continues a line that was broken at a margin:
// the line is long, ends in the middle of a sentence, and next goes on in lower case.
func wraps(line, next string) bool {
	const margin = 50
	if len(line) < margin || len(line) > 8<<10 {
		return false
	}
	next = strings.TrimSpace(next)
	r, _ := utf8.DecodeRuneInString(next)
	return !strings.ContainsAny(line[len(line)-1:], ".!?:;") && unicode.IsLower(r)
}

func (n *NoteText) addSentence(line int, text string) {
	s := Sentence{Line: line, Text: text, Codes: codes.Find(text), words: noteWords(text)}
	for _, kb := range findKBs(text) {
		s.KBs = append(s.KBs, kb)
		if !slices.Contains(n.KBs, kb) {
			n.KBs = append(n.KBs, kb)
		}
	}
	for _, m := range notePercent.FindAllStringSubmatch(text, 20) {
		if v, err := strconv.ParseFloat(strings.Replace(m[1], ",", ".", 1), 64); err == nil && v <= 100 {
			n.Percents = append(n.Percents, NotePercent{Line: line, Sentence: len(n.Sentences), Value: v})
		}
	}
	for _, v := range findVersions(text) {
		v.Line = line
		n.Versions = append(n.Versions, v)
	}
	n.Sentences = append(n.Sentences, s)
}

var (
	notePercent = newPattern(`(?i)(?:^|[^\w.,])(\d{1,3}(?:[.,]\d{1,2})?) ?(?:%|percent\b|per cent\b|prozent\b)`)
	kbNumber    = newPattern(`(?i)(?:\bKB|_KB)[ -]?(\d{6,8})(?:\D|$)`)
)

// findKBs returns the KB numbers in a text as "KB1234567", each once.
func findKBs(text string) (out []string) {
	if longestNumber(text) < 6 {
		return nil
	}
	for _, m := range kbNumber.FindAllStringSubmatch(text, 1000) {
		if kb := "KB" + m[1]; !slices.Contains(out, kb) {
			out = append(out, kb)
		}
	}
	return out
}

// Abbreviations after whose full stop a sentence goes on.
var abbreviations = map[string]bool{
	"e.g": true, "i.e": true, "etc": true, "vs": true, "approx": true, "incl": true, "resp": true, "cf": true, "max": true, "min": true,
	"z.b": true, "d.h": true, "u.a": true, "bzw": true, "usw": true, "ca": true, "evtl": true, "inkl": true, "ggf": true, "mind": true,
}

// Abbreviations only before a number; "no." also ends sentences.
var numberAbbreviations = map[string]bool{"no": true, "nr": true, "ver": true, "v": true, "s": true}

// splitSentences cuts at full stops, question and exclamation marks that end a
// sentence: blanks follow, and then no lower-case letter. "10.0.19041", "e.g. a",
// "www.example.com" and "1. first" stay whole. The parts add up to the text.
func splitSentences(text string) []string {
	var out []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '.', '!', '?':
		default:
			continue
		}
		next := i + 1
		for next < len(text) && strings.IndexByte(`.!?"')`, text[next]) >= 0 {
			next++
		}
		if next >= len(text) || text[next] != ' ' && text[next] != '\t' {
			continue
		}
		r, _ := utf8.DecodeRuneInString(strings.TrimLeft(text[next:], " \t"))
		if unicode.IsLower(r) {
			continue
		}
		if text[i] == '.' {
			from := strings.LastIndexAny(text[:i], " \t(\"") + 1
			w := strings.ToLower(text[from:i])
			listNumber := isDigits(w) && len(w) <= 2 && strings.TrimSpace(text[start:from]) == ""
			if abbreviations[w] || numberAbbreviations[w] && unicode.IsDigit(r) || listNumber {
				continue
			}
		}
		out = append(out, text[start:next])
		start = next
		i = next - 1
	}
	return append(out, text[start:])
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// Words that turn into its opposite what follows them within a clause.
var negations = map[string]bool{
	"no": true, "not": true, "without": true, "never": true, "none": true, "nothing": true, "neither": true, "nor": true, "cannot": true,
	"isnt": true, "doesnt": true, "dont": true, "didnt": true, "wasnt": true, "arent": true, "cant": true, "wont": true, "couldnt": true, "hasnt": true, "havent": true,
	"kein": true, "keine": true, "keinen": true, "keinem": true, "keiner": true, "keines": true, "keinerlei": true,
	"nicht": true, "ohne": true, "nie": true, "niemals": true, "weder": true,
}

// Words that open a clause of their own even without a comma.
var clauseOpeners = map[string]bool{
	"but": true, "however": true, "although": true, "though": true, "while": true, "whereas": true, "because": true, "until": true, "unless": true,
	"aber": true, "jedoch": true, "obwohl": true, "während": true, "weil": true, "sondern": true, "bis": true, "trotzdem": true,
}

// What is said of a thing that is not there, after it: "is not installed".
var absences = map[string]bool{
	"installed": true, "used": true, "present": true, "active": true, "enabled": true, "configured": true, "set": true, "there": true, "involved": true, "running": true, "in": true,
	"installiert": true, "vorhanden": true, "aktiv": true, "aktiviert": true, "verwendet": true, "benutzt": true, "genutzt": true, "eingesetzt": true, "eingerichtet": true, "konfiguriert": true, "im": true, "da": true,
}

// noteWords cuts a sentence into words. A word is letters and digits, with
// apostrophes and underscores inside; hyphens and dots part words, so that
// "third-party" and "third party" are the same.
func noteWords(text string) []noteWord {
	var out []noteWord
	clause := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !isWordRune(r) {
			if strings.ContainsRune(",;:()–—.!?\"“”„", r) && (i+size >= len(text) || !isWordByte(text[i+size])) || r == ';' || r == '(' {
				clause++
			}
			i += size
			continue
		}
		start := i
		for i < len(text) {
			r, size = utf8.DecodeRuneInString(text[i:])
			if !isWordRune(r) && !(isApostrophe(r) && i+size < len(text) && startsWord(text[i+size:])) {
				break
			}
			i += size
		}
		w := straight.Replace(strings.ToLower(text[start:i]))
		if clauseOpeners[w] {
			clause++
		}
		neg := negations[w] || strings.HasSuffix(w, "n't")
		out = append(out, noteWord{text: w, start: start, end: i, clause: clause, negate: neg})
	}
	return out
}

var straight = strings.NewReplacer("’", "'", "´", "'", "`", "'", "‘", "'")

func isWordRune(r rune) bool   { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
func isWordByte(c byte) bool   { return isAlnum(c) || c >= utf8.RuneSelf }
func isApostrophe(r rune) bool { return strings.ContainsRune("'’´`‘", r) }
func startsWord(s string) bool { r, _ := utf8.DecodeRuneInString(s); return unicode.IsLetter(r) }

// Has returns the first sentence that says the phrase and does not deny it.
//
// The words of the phrase must follow each other in the sentence; letter case,
// hyphens and the form of apostrophes do not matter. "word*" stands for every
// word with this beginning, ".." between two words for up to four others in the
// same clause. The phrase is denied when a negation stands within three words
// before it in the same clause ("no VPN", "without any proxy"), or when its
// absence is stated after it ("antivirus is not installed", "VPN: none"). A phrase that
// itself holds a negation ("not offered") is taken as it stands.
func (n *NoteText) Has(phrase string) (Sentence, bool) {
	p := parsePhrase(phrase)
	for i := range n.Sentences {
		if n.Sentences[i].says(p) {
			return n.Sentences[i], true
		}
	}
	return Sentence{}, false
}

// Has reports whether the sentence says the phrase and does not deny it, by the
// rules of [NoteText.Has].
func (s *Sentence) Has(phrase string) bool { return s.says(parsePhrase(phrase)) }

// phrase is a parsed pattern of Has.
type phrase struct {
	words  []string // without the "*"
	prefix []bool
	gap    []bool // up to four words may stand before this one
	negate bool   // holds a negation itself
}

func parsePhrase(s string) phrase {
	var p phrase
	gap := false
	for _, f := range strings.Fields(s) {
		if f == ".." {
			gap = true
			continue
		}
		f, prefix := strings.CutSuffix(f, "*")
		words := noteWords(f)
		for k, w := range words {
			p.words = append(p.words, w.text)
			p.prefix = append(p.prefix, prefix && k == len(words)-1)
			p.gap = append(p.gap, gap && len(p.words) > 1)
			p.negate = p.negate || w.negate
			gap = false
		}
	}
	return p
}

const (
	negationReach = 3 // words before a phrase in which a negation denies it
	gapReach      = 4 // words that ".." stands for at most
)

func (s *Sentence) says(p phrase) bool {
	if len(p.words) == 0 {
		return false
	}
	for i := range s.words {
		if end, ok := s.match(p, i, 0); ok && (p.negate || !s.denied(i, end)) {
			return true
		}
	}
	return false
}

// match reports whether the words of p from k on stand at word i, and where they end.
func (s *Sentence) match(p phrase, i, k int) (end int, ok bool) {
	for ; k < len(p.words); k, i = k+1, i+1 {
		if k > 0 && p.gap[k] {
			for skip := 0; skip <= gapReach && i+skip < len(s.words) && s.words[i+skip].clause == s.words[i-1].clause; skip++ {
				if wordMatches(s.words[i+skip].text, p, k) {
					if end, ok := s.match(withoutGap(p, k), i+skip, k); ok {
						return end, true
					}
				}
			}
			return 0, false
		}
		if i >= len(s.words) || !wordMatches(s.words[i].text, p, k) {
			return 0, false
		}
	}
	return i, true
}

// withoutGap returns p with the gap before word k already taken.
func withoutGap(p phrase, k int) phrase {
	q := p
	q.gap = append([]bool(nil), p.gap...)
	q.gap[k] = false
	return q
}

func wordMatches(w string, p phrase, k int) bool {
	if p.prefix[k] {
		return strings.HasPrefix(w, p.words[k])
	}
	return w == p.words[k]
}

// denied reports whether the words [from, end) are negated.
func (s *Sentence) denied(from, end int) bool {
	clause := s.words[from].clause
	for k := from - 1; k >= 0 && k >= from-negationReach && s.words[k].clause == clause; k-- {
		if s.words[k].negate {
			return true
		}
	}
	last := s.words[end-1].clause
	for k := end; k < len(s.words) && k < end+negationReach; k++ {
		w := s.words[k]
		if w.clause != last {
			// "antivirus: none", "VPN - keine"
			alone := k+1 == len(s.words) || s.words[k+1].clause != w.clause
			return k == end && alone && w.negate
		}
		if !w.negate {
			continue
		}
		if k+1 == len(s.words) || s.words[k+1].clause != last {
			return k == end || s.words[k-1].text == "is" || s.words[k-1].text == "ist"
		}
		return absences[s.words[k+1].text]
	}
	return false
}

//go:embed data/symptoms.tsv
var symptomTable string

// symptomRow is a row of the table.
type symptomRow struct {
	kind, needs string
	phrase      phrase
}

// Kinds of rows that are no symptoms but conditions of others.
const (
	rowComplaint = "complaint"
	rowUpdate    = "update"
)

// symptomIndex is the table with its rows by their first word.
type symptomIndex struct {
	rows   []symptomRow
	exact  map[string][]int
	prefix []int // rows whose first word is a beginning
}

var symptoms = sync.OnceValue(func() *symptomIndex {
	ix := &symptomIndex{exact: map[string][]int{}}
	for line := range strings.Lines(symptomTable) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != 3 || strings.HasPrefix(line, "#") {
			continue
		}
		row := symptomRow{f[0], f[1], parsePhrase(f[2])}
		if len(row.phrase.words) == 0 {
			continue
		}
		n := len(ix.rows)
		ix.rows = append(ix.rows, row)
		if first := row.phrase.words[0]; row.phrase.prefix[0] {
			ix.prefix = append(ix.prefix, n)
		} else {
			ix.exact[first] = append(ix.exact[first], n)
		}
	}
	return ix
})

// said returns the rows that a sentence says, in the order of the table.
func (ix *symptomIndex) said(s *Sentence) []int {
	var out []int
	try := func(row, at int) {
		p := ix.rows[row].phrase
		topic := ix.rows[row].kind == rowUpdate // what it is about does not change by a negation
		if end, ok := s.match(p, at, 0); ok && (topic || p.negate || !s.denied(at, end)) && !slices.Contains(out, row) {
			out = append(out, row)
		}
	}
	for at, w := range s.words {
		for _, row := range ix.exact[w.text] {
			try(row, at)
		}
		for _, row := range ix.prefix {
			try(row, at)
		}
	}
	slices.Sort(out)
	return out
}

// findSymptoms fills n.Symptoms from the table.
func (n *NoteText) findSymptoms() {
	ix := symptoms()
	said := make([][]int, len(n.Sentences))
	complains := false
	for i := range n.Sentences {
		said[i] = ix.said(&n.Sentences[i])
		for _, row := range said[i] {
			complains = complains || ix.rows[row].kind == rowComplaint
		}
	}
	for i, rows := range said {
		percent := n.percentOf(i)
		updates := slices.ContainsFunc(rows, func(row int) bool { return ix.rows[row].kind == rowUpdate })
		var last SymptomKind // the rows of a kind stand together
		for _, r := range rows {
			row := &ix.rows[r]
			kind := SymptomKind(row.kind)
			if row.kind == rowComplaint || row.kind == rowUpdate || kind == last ||
				row.needs == "percent" && percent < 0 ||
				row.needs == rowComplaint && !complains ||
				row.needs == rowUpdate && !updates {
				continue
			}
			last = kind
			sym := Symptom{Kind: kind, Line: n.Sentences[i].Line, Text: n.Sentences[i].Text, Percent: -1}
			if kind == SymptomStuck {
				sym.Percent = percent
			}
			n.Symptoms = append(n.Symptoms, sym)
		}
	}
}

// percentOf returns the last percentage in a sentence, -1 if there is none:
// "goes to 10 %, then hangs at 27 %".
func (n *NoteText) percentOf(sentence int) float64 {
	i, _ := slices.BinarySearchFunc(n.Percents, sentence+1, func(p NotePercent, s int) int { return p.Sentence - s })
	if i == 0 || n.Percents[i-1].Sentence != sentence {
		return -1
	}
	return n.Percents[i-1].Value
}

var (
	windowsName  = newPattern(`(?i)\b(?:(?:microsoft )?win(?:dows)?[ -]?(?:(server)[ -]?)?|(server) |w)(20(?:03|08|12|16|19|22|25)|11|10|8\.1|8|7|vista|xp)(?:[ -]?(r2))?\b`)
	otherServer  = newPattern(`(?i)\b(?:sql|exchange|sharepoint|project|skype|search|update|team|backup)[ -]$`)
	towards      = newPattern(`(?i)\b(?:to|onto|into|install(?:ing)?|get|upgrade|auf|nach|zu)\s+(?:the\s+|version\s+|microsoft\s+)?$`)
	targetBefore = newPattern(`(?i)\b(?:to|onto|into|install(?:ing)?|get|auf|nach|zu)\s+(?:the\s+|version\s+)?(?:\d\dH[12]|1[5-9]0\d|2004)\b`)
	editionName  = newPattern(`(?i)\b(pro(?:fessional)?|home|enterprise|education|ltsc|ltsb|iot|ultimate|standard|datacenter|essentials|core|insider)\b`)
	releaseName  = newPattern(`(?i)\b((?:1[6-9]|2\d)H[12])\b`)
	oldRelease   = newPattern(`(?i)\b(?:version|ver\.?|release|v|windows 10|win ?10|windows server|server|(?:pro|home|enterprise|education|datacenter|standard)),? ?(1507|1511|1607|1703|1709|1803|1809|1903|1909|2004)\b`)
	buildNumber  = newPattern(`(?:^|[^\d.])(?:10\.0\.|6\.[0-3]\.)?(\d{4,5})(?:\.(\d{1,5}))?(?:[^\d.]|\.?$|\.\s)`)
	buildWord    = newPattern(`(?i)\b(?:build|os-build|buildnummer)[ :.#-]{0,3}(?:10\.0\.)?(\d{4,5})(?:\.(\d{1,5}))?\b`)
)

// Builds that were released; other numbers of four or five digits are builds
// only when the word stands before them. learn.microsoft.com: Windows release health.
var releasedBuilds = map[int]bool{
	6002: true, 6003: true, 7601: true, 9200: true, 9600: true,
	10240: true, 10586: true, 14393: true, 15063: true, 16299: true, 17134: true, 17763: true, 18362: true, 18363: true,
	19041: true, 19042: true, 19043: true, 19044: true, 19045: true, 20348: true, 25398: true,
	22000: true, 22621: true, 22631: true, 26100: true, 26200: true, 28000: true,
}

// findVersions finds mentions of Windows versions. An edition, a release and a
// build belong to the product before them in the same sentence.
func findVersions(text string) []WindowsVersion {
	var names [][]int
	if strings.ContainsAny(text, "0123456789vVxX") { // a number, Vista or XP
		names = windowsName.FindAllStringSubmatchIndex(text, 20)
	}
	var out []WindowsVersion
	if len(names) == 0 || strings.TrimSpace(text[:names[0][0]]) != "" {
		end := len(text)
		if len(names) > 0 {
			end = names[0][0]
		}
		if v := versionDetails(text[:end]); v.Release != "" || v.Build != 0 {
			v.Text = strings.TrimSpace(text[:end])
			v.Target = targetBefore.MatchString(v.Text)
			out = append(out, v)
		}
	}
	for i, m := range names {
		end := len(text)
		if i+1 < len(names) {
			end = names[i+1][0]
		}
		end = min(end, m[1]+80)
		for !utf8.RuneStart(text[min(end, len(text)-1)]) && end < len(text) {
			end++
		}
		if m[4] >= 0 && otherServer.MatchString(text[:m[0]]) {
			continue
		}
		v := versionDetails(text[m[0]:end])
		server := m[2] >= 0 || m[4] >= 0
		number := strings.ToUpper(text[m[6]:m[7]])
		switch {
		case number == "VISTA":
			number = "Vista"
		case len(number) == 4:
			server = true
		}
		v.Product = "Windows " + number
		if server {
			v.Product = "Windows Server " + number
		}
		if m[8] >= 0 {
			v.Product += " R2"
		}
		if e := editionName.FindStringIndex(text[m[1]:min(end, m[1]+30)]); e != nil {
			v.Edition = editionOf(text[m[1]+e[0] : m[1]+e[1]])
		}
		v.Text = text[m[0]:m[1]]
		v.Target = towards.MatchString(text[:m[0]])
		out = append(out, v)
	}
	return out
}

func editionOf(s string) string {
	switch low := strings.ToLower(s); low {
	case "professional":
		return "Pro"
	case "ltsc", "ltsb":
		return strings.ToUpper(s)
	case "iot":
		return "IoT"
	default:
		return strings.ToUpper(low[:1]) + low[1:]
	}
}

// versionDetails reads release and build from the text around a product name.
func versionDetails(text string) (v WindowsVersion) {
	run := longestNumber(text)
	if run < 2 {
		return v
	}
	if m := releaseName.FindStringSubmatch(text); m != nil {
		v.Release = strings.ToUpper(m[1])
	}
	if run < 4 {
		return v
	}
	if m := oldRelease.FindStringSubmatch(text); m != nil && v.Release == "" {
		v.Release = m[1]
	}
	if m := buildWord.FindStringSubmatch(text); m != nil {
		v.Build, _ = strconv.Atoi(m[1])
		v.UBR, _ = strconv.Atoi(m[2])
		return v
	}
	for _, m := range buildNumber.FindAllStringSubmatch(text, 20) {
		if b, _ := strconv.Atoi(m[1]); releasedBuilds[b] {
			v.Build = b
			v.UBR, _ = strconv.Atoi(m[2])
			return v
		}
	}
	return v
}

// longestNumber returns how many digits the longest run of digits has.
func longestNumber(s string) int {
	best, run := 0, 0
	for i := range len(s) {
		if s[i]-'0' > 9 {
			run = 0
			continue
		}
		run++
		best = max(best, run)
	}
	return best
}
