package cause

import (
	"cmp"
	_ "embed"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"updoc/internal/facts"
	"updoc/internal/redact"
	"updoc/internal/sorted"
)

// Rules know what was foreseen. What people and programs write about a cause also has
// a vocabulary of its own, and a report that fits no rule still uses it. So the words
// of a machine's notes, outputs and failing log lines, the signatures recognised
// anywhere and the codes that it suffers from are held beside reports of each cause
// (words/*.txt, reports/*.txt, all written for this program, and the texts of the
// catalogue), by the cosine of their TF-IDF vectors (Salton, Wong and Yang 1975). A
// signature stands for many words: the name of any antivirus counts like that of the
// one which a report speaks of. The causes that come nearest get a piece of evidence,
// strong at most, which names what weighed most. It tells causes apart that can
// explain a failure; no cause is found present, and no machine sick, by likeness.
//
// What the reports teach is learnt once, by TestLearnt, and not whenever the program
// runs: vocabulary.bin holds it.

// How much likeness tells: the nearest cause gets wordsMost, in natural logarithms of
// odds, and the others less by wordsSlope times the difference of cosines. The figures
// were chosen on reports that the rules had not been written on (docs/benchmarks.md).
const (
	wordsMost  = 3.4 // strong
	wordsLogs  = 1.8 // moderate, where only logs speak: their lines are the same on many machines
	wordsSlope = 15.0
	wordsLeast = 0.06      // cosine under which a report fits nothing
	wordsKnown = 3         // known words and signs without which a text says nothing
	wordsRare  = 0.07      // share of the reports that a distinctive word stands in at most
	wordsShown = 4         // words that evidence names
	wordsRead  = 256 << 10 // bytes after which no further file is read for words
)

// vocabulary is what the reports of all causes teach.
type vocabulary struct {
	reports float64 // how many it was learnt from
	causes  []string
	words   []string // and signs, sorted
	idf     []float64
	uses    [][]use // by word: the causes it goes with
}

// use is how much a word weighs among those of a cause; the weights of a cause
// are a vector of length one.
type use struct {
	cause  int
	weight float64
}

// find returns the place of a word in the vocabulary.
func (v *vocabulary) find(word string) (int, bool) { return slices.BinarySearch(v.words, word) }

// learnt is a vocabulary, all numbers as uvarints but for weights, which are 16 bits,
// the most significant first, in parts of 65535:
//
//	reports, number of causes, each cause: length, name
//	number of words, number of uses, each word: length, word, reports that have it, uses, each: cause, weight
//
//go:embed vocabulary.bin
var learnt string

// words is read once, when the first diagnosis needs it.
var words = sync.OnceValue(func() *vocabulary { return readVocabulary(learnt) })

// readVocabulary reads what [vocabulary.append] wrote; nil where it is something else.
func readVocabulary(s string) *vocabulary {
	ok := true
	number := func() int {
		x := 0
		for i := 0; i < len(s) && i < 5; i++ {
			x |= int(s[i]&0x7F) << (7 * i)
			if s[i] < 0x80 {
				s = s[i+1:]
				return x
			}
		}
		ok = false
		return 0
	}
	text := func() string {
		n := number()
		if ok = ok && n <= len(s); !ok {
			return ""
		}
		t := s[:n]
		s = s[n:]
		return t
	}
	v := &vocabulary{reports: float64(number())}
	for n := number(); ok && n > 0; n-- {
		v.causes = append(v.causes, text())
	}
	n, all := number(), number()
	if !ok || n > len(s) || all > len(s) {
		return nil
	}
	v.words, v.idf, v.uses = make([]string, n), make([]float64, n), make([][]use, n)
	uses := make([]use, 0, all)
	for w := range n {
		v.words[w] = text()
		v.idf[w] = math.Log(v.reports / float64(number()))
		from := len(uses)
		for k := number(); ok && k > 0; k-- {
			c := number()
			if ok = ok && c < len(v.causes) && len(s) >= 2 && len(uses) < all; !ok {
				break
			}
			uses = append(uses, use{c, float64(int(s[0])<<8|int(s[1])) / math.MaxUint16})
			s = s[2:]
		}
		v.uses[w] = uses[from:]
	}
	if !ok || s != "" {
		return nil
	}
	return v
}

// signMark begins the name of a signature among words.
const signMark = "~"

func (v *vocabulary) length(list []int) float64 {
	square := 0.0
	for _, w := range list {
		square += v.idf[w] * v.idf[w]
	}
	return math.Sqrt(square)
}

// likeness is how near a text comes to the reports of a cause.
type likeness struct {
	cosine float64
	rare   int      // distinctive words among those that it has in common with the reports
	words  []string // as they stand in the text, the telling ones first
}

// seenSign is a signature or a code, and how it stood where it was seen.
type seenSign struct{ id, as string }

// like compares a text and the signs beside it with the reports of every cause; nil
// where it says too little.
func (v *vocabulary) like(text string, signs []seenSign) map[string]likeness {
	type found struct {
		word int
		as   string
	}
	var known []found
	var list []int
	seen := make([]bool, len(v.idf))
	note := func(word, as string) {
		if w, ok := v.find(word); ok && !seen[w] {
			seen[w] = true
			known, list = append(known, found{w, as}), append(list, w)
		}
	}
	for word, as := range eachWord(text) {
		note(word, as)
	}
	words := len(known)
	for _, s := range signs {
		note(s.id, s.as)
		if strings.HasPrefix(s.id, signMark) {
			words = max(words, len(known))
		}
	}
	if words < wordsKnown { // what a code alone says is in its usual causes
		return nil
	}
	type part struct {
		as     string
		weight float64
		rare   bool
	}
	rare := math.Log(v.reports / max(2, wordsRare*v.reports))
	long := max(v.length(list), math.SmallestNonzeroFloat64)
	cosines := make([]float64, len(v.causes))
	parts := make([][]part, len(v.causes))
	for _, k := range known {
		for _, u := range v.uses[k.word] {
			x := u.weight * v.idf[k.word] / long
			cosines[u.cause] += x
			parts[u.cause] = append(parts[u.cause], part{k.as, x, v.idf[k.word] >= rare && (k.as == "" || !strings.HasPrefix(k.as, "0x"))})
		}
	}
	out := make(map[string]likeness, len(v.causes))
	for c, id := range v.causes {
		sorted.By(parts[c], func(a, b part) int { return cmp.Compare(b.weight, a.weight) })
		l := likeness{cosine: cosines[c]}
		for _, p := range parts[c] {
			if p.rare {
				l.rare++
			}
			if p.as != "" && len(l.words) < wordsShown && !slices.Contains(l.words, p.as) {
				l.words = append(l.words, p.as)
			}
		}
		out[id] = l
	}
	return out
}

// told is what the words and signs of a machine are like.
type told struct {
	like    map[string]likeness
	nearest float64 // the highest cosine
	most    float64 // what the nearest cause gets
	source  string  // where the words stand
}

// compare holds the words of a machine and its signs beside the reports; nil where
// there is no vocabulary, and where they are like none.
func (v *vocabulary) compare(texts []facts.Text, signs []seenSign) *told {
	if v == nil {
		return nil
	}
	var all strings.Builder
	out := &told{most: wordsLogs}
	for _, t := range texts {
		if all.Len() > wordsRead {
			break
		}
		if t.Written {
			out.most = wordsMost
		}
		if t.Note {
			all.WriteString(facts.Undismissed(t.Text))
		} else {
			all.WriteString(t.Text)
		}
		all.WriteByte('\n')
		if out.source == "" {
			out.source = t.Source
		} else if len(texts) > 1 && !strings.HasSuffix(out.source, ", ...") {
			out.source += ", ..."
		}
	}
	// Names are no words: a redacted report has to get the same answer.
	text := (&redact.Redactor{}).String(all.String())
	text = windowsGuesses().ReplaceAllLiteralString(text, " ")
	text = symbols().ReplaceAllLiteralString(text, " ")
	text = notDone().ReplaceAllLiteralString(text, " ")
	out.like = v.like(absentThings().ReplaceAllLiteralString(text, " "), signs)
	for _, l := range out.like {
		out.nearest = max(out.nearest, l.cosine)
	}
	if out.nearest < wordsLeast {
		return nil
	}
	return out
}

// speak adds to a finding what it is told by likeness, and returns by how much that
// makes it likelier, in natural logarithms of odds. Evidence shows the named weight
// next to it.
func (t *told) speak(x *Finding) float64 {
	if t == nil {
		return 0
	}
	l := t.like[x.ID]
	if l.cosine < wordsLeast || refuted(x.Evidence) {
		return 0
	}
	log := min(max(0, t.most-wordsSlope*(t.nearest-l.cosine)), distinct(l.rare))
	if w := nearestWeight(log); w != 0 && len(l.words) > 0 {
		x.Evidence = append(x.Evidence, Evidence{For: true, Weight: w, Source: t.source, Seen: "such reports say: " + strings.Join(l.words, ", "), Like: true})
	}
	return log
}

// distinct bounds what likeness tells by how many distinctive words it rests on: two
// words that stand in any report are no strong evidence, however near they bring it.
func distinct(rare int) float64 {
	switch rare {
	case 0:
		return math.Log(Weak.Ratio())
	case 1:
		return math.Log(Moderate.Ratio())
	}
	return math.Inf(1)
}

// nearestWeight names odds; nothing is more than strong, and what is nearer to even
// odds than to weak is nothing.
func nearestWeight(log float64) Weight {
	for w := Strong; w >= Weak; w-- {
		below := 0.0
		if w > Weak {
			below = math.Log((w - 1).Ratio())
		}
		if log > (math.Log(w.Ratio())+below)/2 {
			return w
		}
	}
	return 0
}

// signsOf are the signs of a machine: all that was recognised, and the codes that it
// suffers from.
func signsOf(f *facts.Facts) []seenSign {
	var out []seenSign
	for _, m := range f.AllMarks() {
		out = append(out, seenSign{id: signMark + m})
	}
	for _, x := range f.Suffering() {
		if x.Code != 0 {
			out = append(out, seenSign{x.Code.String(), x.Code.String()})
		}
	}
	return out
}

// lazily compiles an expression when it is first needed.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// windowsGuesses are what Windows and its tools suggest for nearly any failure; the
// person who quotes them does not say that it is so.
var windowsGuesses = lazily(`(?i)[^.\n]*(may be blocked by (your|a) firewall|check your (internet|network) (connection|settings)|(check|contact) your (network|system) administrator|make sure you('re| are) connected to the internet|run the (windows update )?troubleshooter|search(ing)? (the web|for help) online|for more information,? (see|press|visit))[^.\n]*`)

// absentThings are what a person says is not there.
var absentThings = lazily(`(?i)\b(no|not (behind|using|in) (an?|any)?|kein(e|en)?)\s+((other |third[- ]party |extra |local )?(wsus|sccm|proxy( server)?|proxies|firewalls?|vpn|antivirus|virus scanner|(group )?polic(y|ies)|domain|security (software|suite))( ?, ?| or | and | nor | und | oder |/)?)+`)

// symbols are names of codes, whose words say less than the code.
var symbols = lazily(`\bERROR(_[A-Z0-9]+)+\b`)

// notDone is what somebody says was not done: "it does not disable the service".
var notDone = lazily(`(?i)\b((do(es)?|did|has|have|is|are|was|were) not|(do(es)?|did|has|have|is|are|was|were)n['’]t|never|without) (been |even |actually |yet )?(disabl|block|remov|delet|switch|uninstall|touch)\w*( (off|out|the|any|my|our|it|this|that)\b)*( [\p{L}\-]+){0,3}|\b(ist|sind|wurde|wurden|wird|werden) nicht (deaktiviert|gesperrt|blockiert|entfernt|gelöscht|abgeschaltet)\b`)

// refuted reports evidence that speaks against a cause on the whole. Words that go
// with it do not change that.
func refuted(evidence []Evidence) bool {
	return odds(evidence) < 1
}

// eachWord yields the words of a text, in the form in which they are compared and
// as they stand there. Names of program parts are taken apart at their capitals;
// codes, numbers and what nearly every report holds are left out.
func eachWord(text string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for run := range strings.FieldsFuncSeq(text, outside) {
			if first, _ := utf8.DecodeRuneInString(run); !unicode.IsLetter(first) || len(run) > maxRun || digits(run) > 2 {
				continue // a number, a code, encoded data
			}
			from, last := 0, rune(0)
			for i, r := range run {
				if unicode.IsUpper(r) && unicode.IsLower(last) {
					if word := stem(run[from:i]); word != "" && !yield(word, run[from:i]) {
						return
					}
					from = i
				}
				last = r
			}
			if word := stem(run[from:]); word != "" && !yield(word, run[from:]) {
				return
			}
		}
	}
}

// outside reports what cannot be part of a word.
func outside(r rune) bool {
	if r < utf8.RuneSelf {
		return !isAlnum(byte(r)) && r != '+' && r != '#'
	}
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '+' && r != '#' || r == utf8.RuneError
}

func isAlnum(c byte) bool { return c|0x20-'a' <= 25 || c-'0' <= 9 }

func digits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i]-'0' <= 9 {
			n++
		}
	}
	return n
}

// maxRun bounds what is taken for words; longer runs of letters are encoded data.
const maxRun = 64

// endings are cut off, so that "times", "timed" and "timing" are one word.
var endings = []string{"ing", "ed", "es", "s", "e"}

// stem returns the form in which words are compared, "" for what says nothing.
func stem(as string) string {
	word := strings.ToLower(as)
	if len(word) < 3 || commonWords[word] {
		return ""
	}
	if len(word) > 5 {
		for _, e := range endings {
			if s, ok := strings.CutSuffix(word, e); ok {
				return s
			}
		}
	}
	return word
}

// commonWords tell nothing apart: the small words of English and German, and what
// every report of a failing update says.
var commonWords = commonSet(`the and for with that this these those from are was were been being has have had
	having not but you your yours our ours its his her their them they there here who whom whose which what when
	where why how all any each every both some same such own other another more most much many few less least very
	too only also just even still yet again once twice already always never ever often now then than before after
	since until while during about above below over under into out off onto upon down through between against
	within without because although though else can cannot could may might must shall should will would does did
	done doing get gets got getting give gives given make makes made take takes took taken put puts let lets say
	says said saying tell tells told see sees saw seen seem seems want wants wanted try tries tried trying use uses
	used using need needs needed know knows knew think look looks looked come comes came goes went gone going keep
	keeps kept happen happens happened one two three first last next thing things something anything nothing
	everything someone anyone everyone nobody people way lot bit kind sort etc e.g i.e please thanks hello anyone
	yes well like really actually today yesterday day days week weeks month months year years time times
	und oder aber der die das den dem des ein eine einen einem einer ist sind war waren wird werden wurde wurden
	hat haben hatte nicht kein keine auch noch nur schon mit von vom zum zur bei beim auf aus für nach seit wenn
	dann danach über durch ohne als wie was wir ich sie man
	windows window update updates error errors code codes fail fails failed failing problem problems issue issues
	microsoft computer machine`)

func commonSet(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}
