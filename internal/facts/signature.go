package facts

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// Log signatures are data: rows "id, in, match, means" of signatures/*.tsv. A row
// matches a record when every literal of match occurs in it. This file finds
// which rows match, fast enough to look at every line of a log: each row is
// anchored on the rarest three bytes of one literal; a line is run once past a
// bitmap of all anchors, and only where one hits are literals compared.

//go:embed signatures/*.tsv
var signatureFiles embed.FS

// where tells kinds of source apart, as the in column names them.
type where uint16

const (
	inWU where = 1 << iota
	inCBS
	inDISM
	inSetup
	inSetupAPI
	inSetupDiag
	inReporting
	inCM
	inEvent
	inOutput
	inNote
	inLog = inWU | inCBS | inDISM | inSetup | inSetupAPI | inSetupDiag | inReporting | inCM
	inAny = inLog | inEvent | inOutput | inNote
)

var whereNames = map[string]where{
	"wu": inWU, "cbs": inCBS, "dism": inDISM, "setup": inSetup, "setupapi": inSetupAPI, "setupdiag": inSetupDiag,
	"reporting": inReporting, "cm": inCM, "event": inEvent, "output": inOutput, "note": inNote, "log": inLog, "any": inAny,
}

// whereOf says which rows apply to a kind of file. Servicing logs quote each
// other (dism.log holds CBS's results, setupact.log both), so they share.
func whereOf(k winlog.Kind) where {
	switch k {
	case winlog.WindowsUpdate:
		return inWU
	case winlog.CBS:
		return inCBS
	case winlog.DISM:
		return inDISM | inCBS
	case winlog.Setup:
		return inSetup | inCBS | inDISM
	case winlog.SetupAPI:
		return inSetupAPI
	case winlog.SetupDiag:
		return inSetupDiag | inSetup
	case winlog.Reporting:
		return inReporting
	case winlog.CMTrace:
		return inCM
	case winlog.EVTX, winlog.EventText:
		return inEvent
	case winlog.Note:
		return inNote
	default:
		return inOutput
	}
}

// wholeWords reports whether literals match whole words only: in prose "vpn"
// must not be found inside another word; in logs identifiers run together.
func (w where) wholeWords() bool { return w&(inNote|inOutput) != 0 }

// literal is one piece of text to find; open ends may continue a word.
type literal struct {
	text string // lower-case
	open bool   // "wireguard*"
}

// signature is one row.
type signature struct {
	id    string
	in    where
	when  when
	match string      // as the table has it
	terms [][]literal // of match, see expand: all must be found; of a term, any literal
}

// loadSignatures reads the embedded tables, once. Its rows are expanded as they are
// needed, which for one kind of source is a fifth of them. A row that makes no sense
// costs itself only; a test holds that there is none.
var loadSignatures = sync.OnceValues(func() ([]signature, error) {
	names, err := fs.Glob(signatureFiles, "signatures/*.tsv")
	errs := []error{err}
	var out []signature
	for _, name := range names {
		b, err := signatureFiles.ReadFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			line = strings.TrimRight(line, "\r\n")
			if n == 1 || line == "" || line[0] == '#' {
				continue
			}
			sig, err := readSignature(line)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %w", name, n, err))
				continue
			}
			out = append(out, sig)
		}
	}
	out = append(out, setupRules().signs...)
	return out, errors.Join(append(errs, setupRules().err)...)
})

func readSignature(line string) (sig signature, err error) {
	id, rest, _ := strings.Cut(line, "\t")
	in, rest, ok := strings.Cut(rest, "\t")
	if !ok {
		return sig, errors.New("too few columns, want id, in, match, means")
	}
	match, _, _ := strings.Cut(rest, "\t")
	sig = signature{id: id, match: match}
	for w := range strings.SplitSeq(in, ",") {
		bit, ok := whereNames[strings.TrimSpace(w)]
		if !ok {
			return signature{}, fmt.Errorf("unknown source %q", w)
		}
		sig.in |= bit
	}
	return sig, nil
}

// expand makes the terms of a row.
func (s *signature) expand() error {
	var terms [][]literal
	for term := range strings.SplitSeq(s.match, " & ") {
		lits, err := expand(strings.ToLower(strings.TrimSpace(term)))
		if err != nil {
			return fmt.Errorf("%s: %w", s.id, err)
		}
		terms = append(terms, lits)
	}
	// The term with the longest shortest literal is the anchor: it is found least.
	sorted.By(terms, func(a, b []literal) int { return shortest(b) - shortest(a) })
	s.terms = terms
	return nil
}

func shortest(lits []literal) int {
	n := len(lits[0].text)
	for _, l := range lits {
		n = min(n, len(l.text))
	}
	return n
}

// expand writes out the alternatives "(a|b)" of a term.
func expand(term string) ([]literal, error) {
	texts := []string{""}
	for rest := term; rest != ""; {
		open := strings.IndexByte(rest, '(')
		var alts []string
		if open >= 0 {
			if end := strings.IndexByte(rest[open:], ')'); end > 0 && strings.Contains(rest[open:open+end], "|") {
				alts = strings.Split(rest[open+1:open+end], "|")
				for i := range texts {
					texts[i] += rest[:open]
				}
				rest = rest[open+end+1:]
			}
		}
		if alts == nil {
			cut := len(rest)
			if open >= 0 {
				cut = open + 1
			}
			for i := range texts {
				texts[i] += rest[:cut]
			}
			rest = rest[cut:]
			continue
		}
		var next []string
		for _, t := range texts {
			for _, a := range alts {
				next = append(next, t+a)
			}
		}
		if texts = next; len(texts) > 200 {
			return nil, fmt.Errorf("term %q has more than 200 alternatives", term)
		}
	}
	lits := make([]literal, 0, len(texts))
	for _, t := range texts {
		text, open := strings.CutSuffix(t, "*")
		if strings.Contains(text, "|") {
			return nil, fmt.Errorf("term %q has an alternative outside of parentheses, or parentheses inside one", term)
		}
		if len(text) < 3 {
			return nil, fmt.Errorf("literal %q is shorter than three bytes", text)
		}
		lits = append(lits, literal{text, open})
	}
	return lits, nil
}

// index is what finds the rows that apply to one kind of source. It is costly to make
// and never changes.
type index struct {
	words   bool                // literals are whole words
	prose   bool                // a line end may stand within a sentence
	filter  [1 << 13]uint64     // bitmap over hashes of three bytes: 512 Ki bits
	anchors map[uint32][]anchor // by the three bytes themselves
}

// matcher is an index and the scratch memory of one goroutine.
type matcher struct {
	*index
	lower []byte
	asked map[*signature]bool // rows whose other terms were looked for in this text, with the answer
	hits  []hit
}

type anchor struct {
	sig *signature
	lit literal
	at  int // offset of the three bytes within the literal
}

// hit is a row that matched, and where its anchor stands in the text.
type hit struct {
	id       string
	when     when
	from, to int
}

// matcherOf returns a matcher of the embedded rows that apply to a kind of source.
func matcherOf(w where) *matcher { return indexes().of(w).matcher() }

// indexes are those of the embedded rows.
var indexes = sync.OnceValue(func() *indexTable { return &indexTable{made: map[where]*index{}} })

// indexTable makes each index when it is first asked for.
type indexTable struct {
	mu   sync.Mutex
	made map[where]*index
}

func (t *indexTable) of(w where) *index {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made[w] == nil {
		sigs, _ := loadSignatures() // the tables are ours: a test holds that every row is good
		t.made[w] = newIndex(sigs, w)
	}
	return t.made[w]
}

// newIndex expands those rows that were not yet; two indexes of the same rows are not
// made at the same time.
func newIndex(sigs []signature, w where) *index {
	x := &index{words: w.wholeWords(), prose: w&inNote != 0, anchors: map[uint32][]anchor{}}
	for i := range sigs {
		s := &sigs[i]
		if s.in&w == 0 || s.terms == nil && s.expand() != nil {
			continue
		}
		for _, lit := range s.terms[0] {
			at := rarest(lit.text)
			key := three(lit.text[at], lit.text[at+1], lit.text[at+2])
			x.anchors[key] = append(x.anchors[key], anchor{s, lit, at})
			h := hash(key)
			x.filter[h>>6] |= 1 << (h & 63)
		}
	}
	return x
}

func (x *index) matcher() *matcher { return &matcher{index: x, asked: map[*signature]bool{}} }

func three(a, b, c byte) uint32 { return uint32(a) | uint32(b)<<8 | uint32(c)<<16 }

func hash(k uint32) uint32 { return (k * 0x9E3779B1) >> 13 }

// frequency of letters in English and in log text, per mille, roughly; the
// anchor is put on the least likely three bytes.
var frequency = func() (f [256]int) {
	for i := range f {
		f[i] = 4
	}
	for i, c := range "etaoinsrhldcumfpgwybvkxjqz" {
		f[c] = 110 - 4*i
	}
	for c := '0'; c <= '9'; c++ {
		f[c] = 25
	}
	f[' '], f['='], f['.'], f['-'], f[':'] = 150, 40, 40, 40, 40
	return f
}()

func rarest(s string) int {
	best, at := 1<<62, 0
	for i := 0; i+3 <= len(s); i++ {
		if v := frequency[s[i]] * frequency[s[i+1]] * frequency[s[i+2]]; v < best {
			best, at = v, i
		}
	}
	return at
}

// match returns the rows found in text. The result is valid until the next call.
func (m *matcher) match(text []byte) []hit {
	m.hits = m.hits[:0]
	if len(text) < 3 || len(m.anchors) == 0 {
		return nil
	}
	m.lower = appendLower(m.lower[:0], text)
	clear(m.asked)
	if m.prose {
		unwrap(m.lower)
	}
	t := m.lower
	key := three(0, t[0], t[1])
	for i := 2; i < len(t); i++ {
		key = key>>8 | uint32(t[i])<<16
		h := hash(key)
		if m.filter[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, a := range m.anchors[key] {
			from := i - 2 - a.at
			end := from + len(a.lit.text)
			if from < 0 || end > len(t) || string(t[from:end]) != a.lit.text || m.words && !isWord(t, from, a.lit) {
				continue
			}
			if m.rest(t, a.sig) {
				m.hits = append(m.hits, hit{a.sig.id, a.sig.when, from, end})
			}
		}
	}
	return m.hits
}

// rest checks the terms after the anchor.
func (m *matcher) rest(t []byte, sig *signature) bool {
	if len(sig.terms) == 1 {
		return true
	}
	found, asked := m.asked[sig]
	if asked {
		return found
	}
	found = true
	for _, term := range sig.terms[1:] {
		if found = slices.ContainsFunc(term, func(l literal) bool { return m.contains(t, l) }); !found {
			break
		}
	}
	m.asked[sig] = found
	return found
}

func (x *index) contains(t []byte, l literal) bool {
	for from := 0; ; {
		i := bytes.Index(t[from:], []byte(l.text))
		if i < 0 {
			return false
		}
		if !x.words || isWord(t, from+i, l) {
			return true
		}
		from += i + 1
	}
}

// isWord reports whether the literal at from stands as whole words and is not
// negated: "without a VPN" does not speak of one.
func isWord(t []byte, from int, l literal) bool {
	end := from + len(l.text)
	if from > 0 && wordByte(t[from-1]) && wordByte(l.text[0]) {
		return false
	}
	if !l.open && end < len(t) && wordByte(t[end]) && wordByte(l.text[len(l.text)-1]) {
		return false
	}
	return !negated(t[:from])
}

func wordByte(c byte) bool { return isLetter(c) || c-'0' <= 9 || c >= 0x80 }
func isLetter(c byte) bool { return c|0x20-'a' <= 25 }

var negations = []string{"no", "not", "without", "never", "neither", "nor", "none", "isn't", "doesn't", "don't", "wasn't", "aren't", "kein", "keine", "keinen", "nicht", "ohne"}

// negated reports whether one of the three words before, in the same clause,
// says no.
func negated(before []byte) bool {
	for range 3 {
		before = bytes.TrimRight(before, " \t\"'(")
		if n := len(before); n == 0 || bytes.IndexByte([]byte(".,;:!?\n)"), before[n-1]) >= 0 {
			return false
		}
		i := len(before)
		for i > 0 && (wordByte(before[i-1]) || before[i-1] == '\'' || before[i-1] == '-') {
			i--
		}
		if i == len(before) {
			return false
		}
		if slices.Contains(negations, string(before[i:])) {
			return true
		}
		before = before[:i]
	}
	return false
}

func appendLower(dst, src []byte) []byte {
	for _, c := range src {
		if c-'A' <= 25 {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// unwrap makes blanks of the line ends at which a margin, and nobody's thought,
// broke a text: a line goes on when letters stand on both sides.
func unwrap(t []byte) {
	for i, c := range t {
		if c == '\n' && i > 0 && i+1 < len(t) && goesOn(t[i-1]) && goesOn(t[i+1]) {
			t[i] = ' '
		}
	}
}

func goesOn(c byte) bool { return wordByte(c) || c == ',' || c == '(' || c == '"' }
