package cause

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"updoc/internal/facts"
	"updoc/internal/message"
	"updoc/internal/redact"
)

// Signatures know what was foreseen. What people and programs write about a
// cause also has a vocabulary of its own, and a report that fits no signature
// still uses it. So the words of a machine's notes, outputs and failing log lines
// are held beside reports of each cause (words/*.txt, reports/*.txt, all written
// for this program, and the texts of the catalogue), by the cosine of their
// TF-IDF vectors (Salton, Wong and Yang 1975). The causes whose words come nearest
// get a piece of evidence, strong at most, which names the words that weighed
// most; where only logs speak, moderate at most. It tells causes apart that can explain a failure; no cause is found
// present, and no machine sick, by words.

//go:embed words/*.txt reports/*.txt
var wordFiles embed.FS

// How near the nearest a cause's words have to come, as differences of cosines,
// to get evidence of a weight; and what is too little to speak of.
const (
	wordsStrong   = 0.033
	wordsModerate = 0.067
	wordsWeak     = 0.133
	wordsLeast    = 0.06      // cosine under which the words fit nothing
	wordsWell     = 0.12      // cosine under which they are no strong evidence
	wordsKnown    = 3         // known words without which a text says nothing
	wordsShown    = 4         // words that evidence names
	wordsRead     = 256 << 10 // bytes after which no further file is read for words
)

// vocabulary is what the reports of all causes teach.
type vocabulary struct {
	index  map[string]int // word to its place in idf and uses
	idf    []float64
	uses   [][]use // by word: the causes it goes with
	causes []string
	err    error
}

// use is how much a word weighs among those of a cause; the weights of a cause
// are a vector of length one.
type use struct {
	cause  int
	weight float64
}

// words is made once, when the first diagnosis needs it.
var words = sync.OnceValue(func() *vocabulary {
	docs, err := wordReports()
	v := newVocabulary(docs)
	v.err = err
	return v
})

// wordReport is one text about a cause.
type wordReport struct{ cause, text string }

// wordReports reads the embedded reports. "== id" begins the reports of a cause;
// in words/*.txt every line is one, in reports/*.txt the lines "file: text" up to
// the next id are one.
func wordReports() ([]wordReport, error) {
	var out []wordReport
	names, err := fs.Glob(wordFiles, "*/*.txt")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := wordFiles.ReadFile(name)
		if err != nil {
			return out, err
		}
		perLine := strings.HasPrefix(name, "words/")
		id := ""
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if next, ok := strings.CutPrefix(line, "== "); ok {
				id = next
				if !perLine {
					out = append(out, wordReport{cause: id})
				}
				continue
			}
			switch {
			case line == "" || line[0] == '#' && id == "":
			case id == "":
				return out, fmt.Errorf("%s: %q stands before the first cause", name, line)
			case perLine:
				out = append(out, wordReport{id, line})
			default:
				if file, text, _ := strings.Cut(line, ":"); file != "alt" {
					out[len(out)-1].text += text + "\n"
				}
			}
		}
	}
	texts := message.English()
	for _, c := range Catalogue() {
		for _, part := range []string{".title", ".plain"} {
			out = append(out, wordReport{c.ID, texts.Text("cause." + c.ID + part)})
		}
	}
	return out, nil
}

func newVocabulary(docs []wordReport) *vocabulary {
	v := &vocabulary{index: map[string]int{}}
	var seenIn []int // by word: in how many reports
	parsed := make([][]int, len(docs))
	byCause := map[string]int{}
	for d := range docs {
		if _, ok := byCause[docs[d].cause]; !ok {
			byCause[docs[d].cause] = len(v.causes)
			v.causes = append(v.causes, docs[d].cause)
		}
		for word := range eachWord(docs[d].text) {
			w, ok := v.index[word]
			if !ok {
				w = len(seenIn)
				v.index[word] = w
				seenIn = append(seenIn, 0)
			}
			if !slices.Contains(parsed[d], w) {
				parsed[d] = append(parsed[d], w)
				seenIn[w]++
			}
		}
	}
	v.idf = make([]float64, len(seenIn))
	for w, n := range seenIn {
		v.idf[w] = math.Log(float64(len(docs)) / float64(n))
	}
	// A cause is the sum of its reports, each of length one, made one long again.
	sums := make([][]float64, len(v.causes))
	for d, list := range parsed {
		c := byCause[docs[d].cause]
		if sums[c] == nil {
			sums[c] = make([]float64, len(v.idf))
		}
		long := v.length(list)
		for _, w := range list {
			sums[c][w] += v.idf[w] / max(long, math.SmallestNonzeroFloat64)
		}
	}
	v.uses = make([][]use, len(v.idf))
	for c, sum := range sums {
		square := 0.0
		for _, x := range sum {
			square += x * x
		}
		long := max(math.Sqrt(square), math.SmallestNonzeroFloat64)
		for w, x := range sum {
			if x > 0 {
				v.uses[w] = append(v.uses[w], use{c, x / long})
			}
		}
	}
	return v
}

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
	words  []string // as they stand in the text, the telling ones first
}

// like compares a text with the reports of every cause; nil where it says too little.
func (v *vocabulary) like(text string) map[string]likeness {
	type found struct {
		word int
		as   string
	}
	var known []found
	var list []int
	seen := make([]bool, len(v.idf))
	for word, as := range eachWord(text) {
		if w, ok := v.index[word]; ok && !seen[w] {
			seen[w] = true
			known, list = append(known, found{w, as}), append(list, w)
		}
	}
	if len(known) < wordsKnown {
		return nil
	}
	type part struct {
		as     string
		weight float64
	}
	long := max(v.length(list), math.SmallestNonzeroFloat64)
	cosines := make([]float64, len(v.causes))
	parts := make([][]part, len(v.causes))
	for _, k := range known {
		for _, u := range v.uses[k.word] {
			x := u.weight * v.idf[k.word] / long
			cosines[u.cause] += x
			parts[u.cause] = append(parts[u.cause], part{k.as, x})
		}
	}
	out := make(map[string]likeness, len(v.causes))
	for c, id := range v.causes {
		slices.SortStableFunc(parts[c], func(a, b part) int { return cmp.Compare(b.weight, a.weight) })
		l := likeness{cosine: cosines[c]}
		for _, p := range parts[c][:min(wordsShown, len(parts[c]))] {
			l.words = append(l.words, p.as)
		}
		out[id] = l
	}
	return out
}

// speak adds what the words of the machine say to the findings.
func (v *vocabulary) speak(texts []facts.Text, findings []Finding) {
	var all strings.Builder
	source := ""
	most := Moderate // lines of logs are the same on many machines
	for _, t := range texts {
		if all.Len() > wordsRead {
			break
		}
		all.WriteString(t.Text)
		all.WriteByte('\n')
		if t.Written {
			most = Strong
		}
		if source == "" {
			source = t.Source
		} else if len(texts) > 1 && !strings.HasSuffix(source, ", ...") {
			source += ", ..."
		}
	}
	// Names are no words: a redacted report has to get the same answer.
	text := (&redact.Redactor{}).String(all.String())
	like := v.like(absentThings().ReplaceAllLiteralString(windowsGuesses().ReplaceAllLiteralString(text, " "), " "))
	nearest := 0.0
	for _, l := range like {
		nearest = max(nearest, l.cosine)
	}
	switch {
	case nearest < wordsLeast:
		return
	case nearest < wordsWell:
		most = min(most, Moderate)
	}
	for i := range findings {
		l := like[findings[i].ID]
		weight := Weight(0)
		switch away := nearest - l.cosine; {
		case l.cosine < wordsLeast || refuted(findings[i].Evidence):
			continue
		case away <= wordsStrong:
			weight = Strong
		case away <= wordsModerate:
			weight = Moderate
		case away <= wordsWeak:
			weight = Weak
		default:
			continue
		}
		findings[i].Evidence = append(findings[i].Evidence, Evidence{
			For: true, Weight: min(weight, most), Source: source,
			Seen: "words of such reports: " + strings.Join(l.words, ", "),
		})
	}
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
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '+' && r != '#' || r == utf8.RuneError
}

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
