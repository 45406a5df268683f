package cause

import (
	"math"
	"slices"
	"strings"
	"testing"

	"updoc/internal/facts"
)

func TestWordReports(t *testing.T) {
	docs, err := wordReports()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]int{}
	for _, c := range Catalogue() {
		known[c.ID] = 0
	}
	for _, d := range docs {
		if _, ok := known[d.cause]; !ok {
			t.Errorf("a report of %q, which is no cause: %.80s", d.cause, d.text)
		}
		known[d.cause]++
	}
	for id, n := range known {
		if n < 6 { // two of them are the catalogue's own texts
			t.Errorf("%s has %d texts, want 6", id, n)
		}
	}
}

func TestEachWord(t *testing.T) {
	const text = "WsusPool stopped: 0x80244022, KB5034441 on wsus01.fabrikam.example; C1900101-20017, naïve UTF-16 timed out"
	var got []string
	for word, as := range eachWord(text) {
		if !strings.Contains(text, as) {
			t.Errorf("%q does not stand in the text", as)
		}
		got = append(got, word)
	}
	want := []string{"wsus", "pool", "stopp", "wsus01", "fabrikam", "exampl", "naïv", "utf", "timed"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A vocabulary of two causes: what it says, how far it goes, and when it is silent.
func TestWordsSpeak(t *testing.T) {
	v := newVocabulary([]wordReport{
		{cause: "proxy", text: "the gateway wants a password from the machine account"},
		{cause: "proxy", text: "gateway asks for password, browser passes"},
		{cause: "disk", text: "no space left on the volume, free some gigabytes"},
		{cause: "disk", text: "volume full, clean up folder"},
	})
	speak := func(text string, evidence ...Evidence) []Finding {
		findings := []Finding{
			{Cause: &Cause{ID: "proxy"}, Verdict: Verdict{Evidence: evidence}},
			{Cause: &Cause{ID: "disk"}},
			{Cause: &Cause{ID: "other"}},
		}
		told := v.compare([]facts.Text{{Source: "notes.txt", Text: text, Written: true, Note: true}}, nil)
		for i := range findings {
			told.speak(&findings[i])
		}
		return findings
	}
	fits := speak("Our gateway asks the machine for a password")
	if e := fits[0].Evidence; len(e) != 1 || e[0].Weight != Strong || !e[0].For || e[0].Source != "notes.txt" ||
		!strings.Contains(e[0].Seen, "gateway") || !strings.Contains(e[0].Seen, "password") {
		t.Errorf("evidence for what fits: %+v", e)
	}
	if fits[0].State != facts.Unknown {
		t.Error("words make a cause present")
	}
	for _, x := range fits[1:] {
		if len(x.Evidence) > 0 {
			t.Errorf("evidence for %s: %+v", x.ID, x.Evidence)
		}
	}
	for _, silent := range []string{"", "the gateway", "may be blocked by your firewall gateway password machine account", "Windows Update stops with error 0x80070070 (ERROR_DISK_FULL)", "nothing of this stands anywhere there"} {
		for _, x := range speak(silent) {
			if len(x.Evidence) > 0 {
				t.Errorf("%q is evidence for %s", silent, x.ID)
			}
		}
	}
	for _, vain := range []string{
		"I already tried another gateway, password and machine account, nothing helped.",
		"Next I will ask for the gateway password of the machine.",
		"Went through all gateway, machine and password settings to no avail.",
		"The firewall, gateway and password are fine, the machine is old.",
	} {
		for _, x := range speak(vain) {
			if len(x.Evidence) > 0 {
				t.Errorf("%q, which was in vain, is evidence for %s", vain, x.ID)
			}
		}
	}
	if x := speak("I tried the password of the gateway for the machine account and that solved it.")[0]; len(x.Evidence) != 1 {
		t.Errorf("what solved it is no evidence: %+v", x.Evidence)
	}
	against := Evidence{Weight: Moderate, Source: "a", Seen: "b"}
	if x := speak("Our gateway asks the machine for a password", against)[0]; len(x.Evidence) != 1 {
		t.Errorf("words speak for what evidence speaks against: %+v", x.Evidence)
	}
}

func BenchmarkVocabulary(b *testing.B) {
	docs, err := wordReports()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			newVocabulary(docs)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			readVocabulary(learnt)
		}
	})
	v := newVocabulary(docs)
	text := strings.Repeat("the gateway asks for a password and the servers time out behind it. ", 200)
	b.Run("like", func(b *testing.B) {
		for b.Loop() {
			v.like(text, nil)
		}
	})
}

func FuzzEachWord(f *testing.F) {
	f.Add("WsusPool stopped at 0x80244022, KB5034441")
	f.Add("naïve \xff\xfe Ärger #+ a1b2c3")
	v := newVocabulary([]wordReport{{cause: "a", text: "gateway password account"}, {cause: "b", text: "volume full folder"}})
	f.Fuzz(func(t *testing.T, text string) {
		for word, as := range eachWord(text) {
			if word == "" || !strings.Contains(text, as) {
				t.Fatalf("%q as %q is no word of %q", word, as, text)
			}
		}
		for id, l := range v.like(text, nil) {
			if l.cosine < 0 || l.cosine > 1.0001 || len(l.words) > wordsShown {
				t.Fatalf("%s: %+v", id, l)
			}
		}
	})
}

// Words that stand in every third report bring a text near, and are no strong evidence.
func TestCommonWordsAreNotStrong(t *testing.T) {
	var docs []wordReport
	for i := range 40 {
		rest := string(rune('a'+i%20)) + "thing " + string(rune('b'+i%20)) + "stuff"
		if i%3 == 0 {
			docs = append(docs, wordReport{cause: "proxy", text: "gateway switch router " + rest})
		} else {
			docs = append(docs, wordReport{cause: "disk", text: "volume folder " + rest})
		}
	}
	v := newVocabulary(docs)
	for _, tt := range []struct {
		text string
		want Weight
	}{
		{"the gateway, the switch and the router", Weak},
		{"gateway switch router dthing", Moderate},
		{"gateway switch router dthing estuff", Strong},
	} {
		told := v.compare([]facts.Text{{Source: "notes.txt", Text: tt.text, Written: true, Note: true}}, []seenSign{{"0x80072EFE", "0x80072EFE"}})
		x := Finding{Cause: &Cause{ID: "proxy"}}
		told.speak(&x)
		if len(x.Evidence) != 1 || x.Evidence[0].Weight > tt.want {
			t.Errorf("%q: %+v, want %v at most", tt.text, x.Evidence, tt.want)
		}
	}
}

func TestNearestWeight(t *testing.T) {
	t.Parallel()
	for _, w := range []Weight{Weak, Moderate, Strong} {
		if got := nearestWeight(math.Log(w.Ratio())); got != w {
			t.Errorf("the ratio of weight %v is called %v", w, got)
		}
	}
	if got := nearestWeight(0); got != 0 {
		t.Errorf("nothing is called %v", got)
	}
}
