package facts

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"updoc/internal/codes"
)

func codeOf(n uint32) codes.HRESULT { return codes.HRESULT(n) }

func TestLoadSignatures(t *testing.T) {
	sigs, err := loadSignatures()
	if err != nil {
		t.Fatal(err)
	}
	if len(sigs) < 500 {
		t.Errorf("%d rows, want the whole table", len(sigs))
	}
	for _, s := range sigs {
		if err := s.expand(); err != nil {
			t.Error(err)
		}
		if s.id == "" || strings.Trim(s.id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("id %q", s.id)
		}
	}
}

func parseSignature(line string) (signature, error) {
	s, err := readSignature(line)
	if err == nil {
		err = s.expand()
	}
	return s, err
}

func row(t *testing.T, in, match string) signature {
	t.Helper()
	s, err := parseSignature("x\t" + in + "\t" + match + "\tmeans")
	if err != nil {
		t.Fatalf("%q: %v", match, err)
	}
	return s
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		in, match string
		hits      []string
		misses    []string
	}{
		{
			"note", "vpn",
			[]string{"vpn", "a VPN is used", "(vpn)", "vpn-client", "the VPN."},
			[]string{"", "vp", "vpnish", "myvpn", "no vpn", "without a VPN", "never any VPN", "kein VPN", "not a VPN"},
		},
		{
			"note", "wireguard*",
			[]string{"wireguard", "WireGuardNT tunnel"},
			[]string{"mywireguard", "ohne WireGuard"},
		},
		{
			"note", "without a proxy", // the negation is meant
			[]string{"it goes without a proxy"}, []string{"it goes with a proxy"},
		},
		{
			"note", "(wsus|update server) & (removed|gone)",
			[]string{"WSUS was removed", "gone is our\nupdate server"},
			[]string{"wsus", "removed", "the wsusx removed"},
		},
		{
			"note", "proxy",
			[]string{"not here. The proxy is", "we have no idea: proxy", "no, the proxy", "it does not go through the old big proxy"},
			[]string{"there is not one proxy", "no working proxy"},
		},
		{
			"cbs", "(cannot|failed to) open & 0x80070005",
			[]string{"XFailed to open key [0x80070005]", "cannot openly 0x80070005 "},
			[]string{"failed to open", "0x80070005", "failed to close 0x80070005"},
		},
		{
			"cbs", "no-words",
			[]string{"xno-wordsx", "not no-words"},
			[]string{"no words"},
		},
		{
			"cbs", "Result(s)", // parentheses without a choice are letters
			[]string{"the RESULT(S) are"}, []string{"result s"},
		},
		{
			"output", "übertragung",
			[]string{"die übertragung"},
			[]string{"datenübertragung"},
		},
	} {
		s := row(t, tt.in, tt.match)
		m := newIndex([]signature{s}, s.in).matcher()
		for _, text := range tt.hits {
			if len(m.match([]byte(text))) == 0 {
				t.Errorf("%q does not match %q", tt.match, text)
			}
		}
		for _, text := range tt.misses {
			if len(m.match([]byte(text))) > 0 {
				t.Errorf("%q matches %q", tt.match, text)
			}
		}
	}
}

func TestMatchSaysWhere(t *testing.T) {
	s := row(t, "note", "proxy & fails")
	m := newIndex([]signature{s}, inNote).matcher()
	text := "It fails,\nthe proxy too"
	hits := m.match([]byte(text))
	if len(hits) != 1 {
		t.Fatalf("%d hits", len(hits))
	}
	if got := text[hits[0].from:hits[0].to]; got != "proxy" && got != "fails" {
		t.Errorf("the hit stands at %q", got)
	}
}

func TestMatchOnlyWhereItApplies(t *testing.T) {
	s := row(t, "wu,event", "something")
	for _, in := range []where{inWU, inEvent} {
		if len(newIndex([]signature{s}, in).matcher().match([]byte("something"))) != 1 {
			t.Errorf("no match in %d", in)
		}
	}
	for _, in := range []where{inCBS, inNote, inOutput} {
		if len(newIndex([]signature{s}, in).matcher().match([]byte("something"))) != 0 {
			t.Errorf("a match in %d", in)
		}
	}
}

func TestParseSignatureErrors(t *testing.T) {
	for _, line := range []string{
		"", "x", "x\tnote", "x\tnowhere\ttext\tm", "x\tnote\tab\tm", "x\tnote\tlong & ab\tm", "x\tnote\t(long|ab)\tm", "x\tnote\t\tm",
		"x\tnote\t" + strings.Repeat("(a|b|c|d|e|f)", 4) + "\tm",
	} {
		if _, err := parseSignature(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func TestExpand(t *testing.T) {
	lits, err := expand("(one|two) and (three|four*)")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lits {
		got = append(got, fmt.Sprint(l.text, l.open))
	}
	want := []string{"one and threefalse", "one and fourtrue", "two and threefalse", "two and fourtrue"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// naive decides the plain way whether a row matches: every place of every literal
// is tried.
func naive(s signature, text string, words bool) bool {
	t := strings.ToLower(text)
	if words { // a note's sentence goes on over a line end between words
		t = wrapped.ReplaceAllString(t, "${1} ${2}")
		t = wrapped.ReplaceAllString(t, "${1} ${2}") // ends one letter apart
	}
	for _, term := range s.terms {
		found := false
		for _, l := range term {
			for from := 0; from+len(l.text) <= len(t); from++ {
				if t[from:from+len(l.text)] == l.text && (!words || whole(t, from, l)) {
					found = true
				}
			}
		}
		if !found {
			return false
		}
	}
	return true
}

var wrapped = regexp.MustCompile(`([a-z0-9,("])\n([a-z0-9,("])`)

func whole(t string, from int, l literal) bool {
	end := from + len(l.text)
	word := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
	}
	if from > 0 && word(t[from-1]) && word(l.text[0]) || !l.open && end < len(t) && word(t[end]) && word(l.text[len(l.text)-1]) {
		return false
	}
	// The words before it in the same clause, nearest first.
	clause := t[:from]
	if i := strings.LastIndexAny(strings.TrimRight(clause, " \t\"'("), ".,;:!?\n)"); i >= 0 {
		clause = clause[i+1:]
	}
	before := strings.FieldsFunc(clause, func(r rune) bool { return r == ' ' })
	slices.Reverse(before)
	for _, w := range before[:min(3, len(before))] {
		if slices.Contains(negations, w) {
			return false
		}
	}
	return true
}

// TestMatchAgainstNaive draws rows and texts from few words, so that they meet.
func TestMatchAgainstNaive(t *testing.T) {
	vocabulary := []string{"proxy", "vpn", "server", "prox", "serverless", "0x80070005", "failed", "no", "not", "without", "the", "a"}
	rapid.Check(t, func(t *rapid.T) {
		literal := rapid.Custom(func(t *rapid.T) string {
			l := strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary[:7]), 1, 2).Draw(t, "words"), " ")
			if rapid.Bool().Draw(t, "open") {
				l += "*"
			}
			return l
		})
		term := rapid.Custom(func(t *rapid.T) string {
			alts := rapid.SliceOfN(literal, 1, 3).Draw(t, "alternatives")
			if len(alts) == 1 {
				return alts[0]
			}
			return "(" + strings.Join(alts, "|") + ")"
		})
		in := rapid.SampledFrom([]string{"note", "cbs"}).Draw(t, "in")
		var sigs []signature
		for i := range rapid.IntRange(1, 6).Draw(t, "rows") {
			match := strings.Join(rapid.SliceOfN(term, 1, 3).Draw(t, "terms"), " & ")
			s, err := parseSignature(fmt.Sprintf("row-%d\t%s\t%s\tm", i, in, match))
			if err != nil {
				t.Fatal(err)
			}
			sigs = append(sigs, s)
		}
		var text strings.Builder
		for range rapid.IntRange(0, 14).Draw(t, "length") {
			w := rapid.SampledFrom(vocabulary).Draw(t, "word")
			if rapid.IntRange(0, 3).Draw(t, "case") == 0 {
				w = strings.ToUpper(w)
			}
			text.WriteString(w)
			text.WriteString(rapid.SampledFrom([]string{" ", " ", " ", ", ", ". ", "", "\n"}).Draw(t, "gap"))
		}
		m := newIndex(sigs, whereNames[in]).matcher()
		got := map[string]bool{}
		for _, h := range m.match([]byte(text.String())) {
			got[h.id] = true
		}
		for _, s := range sigs {
			if want := naive(s, text.String(), in == "note"); got[s.id] != want {
				t.Fatalf("row %+v on %q: %v, want %v", s.terms, text.String(), got[s.id], want)
			}
		}
	})
}

// A matcher reuses its memory; what it returned for one text says nothing about
// the next.
func TestMatchKeepsNothing(t *testing.T) {
	sigs := []signature{row(t, "cbs", "first thing"), row(t, "cbs", "second thing")}
	m := newIndex(sigs, inCBS).matcher()
	for _, tt := range []struct {
		text string
		want int
	}{{"first thing and second thing", 2}, {"", 0}, {"second thing", 1}, {"ab", 0}} {
		if got := len(m.match([]byte(tt.text))); got != tt.want {
			t.Errorf("%q: %d hits, want %d", tt.text, got, tt.want)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	sigs, err := loadSignatures()
	if err != nil {
		b.Fatal(err)
	}
	lines := [][]byte{
		[]byte("Appl: detect Parent, Package: Package_for_KB5040000~31bf3856ad364e35~amd64~~22631.1.1.1, Parent: Fabrikam-Foundation-Package~31bf3856ad364e35~amd64~~10.0.22631.1, Disposition = Detect, VersionComp: EQ"),
		[]byte("Session: 31200100_2220001000 initialized by client UpdateAgentLCU, external staging directory: (null), external registry directory: (null)"),
		[]byte("0000012a Performing 1 operations as follows: (0)  LockComponentPath: flags: 0 comp: {l:16 b:d1d2} pathid: {l:16} path: [l:92]'\\SystemRoot\\WinSxS\\amd64_fabrikam-widgets'"),
	}
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	b.Run("CBS", func(b *testing.B) {
		m := newIndex(slices.Clone(sigs), inCBS).matcher()
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for _, l := range lines {
				m.match(l)
			}
		}
	})
	b.Run("note", func(b *testing.B) {
		m := newIndex(slices.Clone(sigs), inNote).matcher()
		text := bytes.Repeat([]byte("The machine stands in an office, is joined to a domain and gets its updates from a server; since Tuesday every search ends with an error. "), 100)
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			m.match(text)
		}
	})
}
