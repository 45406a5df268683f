package proxyauth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseChallenges(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want []Challenge
	}{
		{"nothing", nil, nil},
		{"empty and commas", []string{"", " , ,, "}, nil},
		{"one word", []string{"NTLM"}, []Challenge{{Scheme: NTLM}}},
		{"letter case", []string{"nEGOTIATE", "ntlm", "BASIC realm=x", "x-Own"}, []Challenge{
			{Scheme: Negotiate}, {Scheme: NTLM}, {Scheme: Basic, Realm: "x"}, {Scheme: "x-Own"},
		}},
		{"as squid offers", []string{
			"Negotiate", "NTLM",
			`Digest realm="proxy.fabrikam.example", nonce="a1b2", qop="auth", algorithm=MD5, stale=false`,
			`Basic realm="proxy.fabrikam.example"`,
		}, []Challenge{
			{Scheme: Negotiate},
			{Scheme: NTLM},
			{Scheme: Digest, Realm: "proxy.fabrikam.example", Params: map[string]string{"nonce": "a1b2", "qop": "auth", "algorithm": "MD5", "stale": "false"}},
			{Scheme: Basic, Realm: "proxy.fabrikam.example"},
		}},
		{"all in one field", []string{`Negotiate, NTLM , Digest realm="a, b", nonce="n",qop="auth,auth-int" ,Basic realm="c"`}, []Challenge{
			{Scheme: Negotiate},
			{Scheme: NTLM},
			{Scheme: Digest, Realm: "a, b", Params: map[string]string{"nonce": "n", "qop": "auth,auth-int"}},
			{Scheme: Basic, Realm: "c"},
		}},
		{"RFC 9110 section 11.6.1", []string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`}, []Challenge{
			{Scheme: Basic, Realm: "simple"},
			{Scheme: "Newauth", Realm: "apps", Params: map[string]string{"type": "1", "title": `Login to "apps"`}},
		}},
		{"a message", []string{"NTLM TlRMTVNTUAACAAAA"}, []Challenge{{Scheme: NTLM, Token: []byte("NTLMSSP\x00\x02\x00\x00\x00")}}},
		{"a message and others", []string{"Negotiate YWJj, NTLM YWI=, Basic realm=r"}, []Challenge{
			{Scheme: Negotiate, Token: []byte("abc")},
			{Scheme: NTLM, Token: []byte("ab")},
			{Scheme: Basic, Realm: "r"},
		}},
		{"padding left out", []string{"NTLM YWI"}, []Challenge{{Scheme: NTLM, Token: []byte("ab")}}},
		{"a message that is none", []string{"NTLM a"}, []Challenge{{Scheme: NTLM, Token: []byte("a")}}},
		{"token68 of others stays", []string{"Own YWI="}, []Challenge{{Scheme: "Own", Token: []byte("YWI=")}}},
		{"escapes", []string{`Basic realm="FABRIKAM\\anna \"x\" \y"`}, []Challenge{{Scheme: Basic, Realm: `FABRIKAM\anna "x" y`}}},
		{"blanks around the sign", []string{"Basic realm = \"a\" ,\tcharset =UTF-8"}, []Challenge{{Scheme: Basic, Realm: "a", Params: map[string]string{"charset": "UTF-8"}}}},
		{"no commas", []string{`Digest realm="a" nonce="b" stale=true`}, []Challenge{{Scheme: Digest, Realm: "a", Params: map[string]string{"nonce": "b", "stale": "true"}}}},
		{"realm without quotes", []string{"Basic realm=Sign in please, NTLM"}, []Challenge{{Scheme: Basic, Realm: "Sign in please"}, {Scheme: NTLM}}},
		{"empty realm", []string{"Basic realm=", `Basic realm=""`}, []Challenge{{Scheme: Basic}, {Scheme: Basic}}},
		{"nonce without quotes", []string{"Digest realm=a, nonce=YWI=="}, []Challenge{{Scheme: Digest, Realm: "a", Params: map[string]string{"nonce": "YWI=="}}}},
		{"names in capitals, twice", []string{`Digest REALM=a, NONCE="1", nonce="2", Realm=b`}, []Challenge{{Scheme: Digest, Realm: "a", Params: map[string]string{"nonce": "1"}}}},
		{"parameters of nobody", []string{`realm="a", Basic realm="b"`, "x=y"}, []Challenge{{Scheme: Basic, Realm: "b"}}},
		{"a string without an end", []string{`Basic realm="a, NTLM`, "NTLM"}, []Challenge{{Scheme: Basic, Realm: "a, NTLM"}, {Scheme: NTLM}}},
		{"a string ends in a backslash", []string{`Basic realm="a\`}, []Challenge{{Scheme: Basic, Realm: "a"}}},
		{"rubbish between", []string{`"a, b", ;;{}, NTLM, @@@ "x, y" z, Basic realm="r"`}, []Challenge{{Scheme: NTLM}, {Scheme: Basic, Realm: "r"}}},
		{"control characters", []string{"Basic realm=\"a\r\nX: b\x00\x1b[31m\u0085\""}, []Challenge{{Scheme: Basic, Realm: "aX: b[31m"}}},
		{"letters beyond ASCII", []string{`Basic realm="Zürich 東京", charset="UTF-8"`}, []Challenge{{Scheme: Basic, Realm: "Zürich 東京", Params: map[string]string{"charset": "UTF-8"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ParseChallenges(tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseChallenges(%q) (-want +got):\n%s", tt.in, diff)
			}
			checkRoundTrip(t, got)
		})
	}
}

func TestParseChallengesIsBounded(t *testing.T) {
	many := strings.Repeat("NTLM, ", 1000)
	if got := len(ParseChallenges([]string{many, many})); got != maxChallenges {
		t.Errorf("%d challenges of 2000, want %d", got, maxChallenges)
	}
	var params strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&params, "p%d=v,", i)
	}
	got := ParseChallenges([]string{"Own " + params.String()})
	if len(got) != 1 || len(got[0].Params) != maxParams {
		t.Errorf("%d challenges; of the parameters %d were kept, want %d", len(got), len(got[0].Params), maxParams)
	}
	long := `Basic realm="` + strings.Repeat("a", maxHeader) + `"`
	if got := ParseChallenges([]string{"NTLM", long, "Negotiate"}); len(got) != 1 || got[0].Scheme != NTLM {
		t.Errorf("a field beyond every bound and what follows were read: %d challenges", len(got))
	}
}

// checkRoundTrip holds that what is written is read again as the same.
func checkRoundTrip(t *testing.T, challenges []Challenge) {
	t.Helper()
	for _, c := range challenges {
		again := ParseChallenges([]string{c.String()})
		if diff := cmp.Diff([]Challenge{c}, again); diff != "" {
			t.Errorf("%q reads otherwise (-first +again):\n%s", c.String(), diff)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{
		"", "NTLM", "Negotiate YWJj", `Digest realm="a", nonce="b", qop="auth,auth-int", algorithm=SHA-256-sess, stale=true, opaque="\"\\"`,
		`Basic realm="a\`, `Basic realm=a b, x`, "Own a=b c=d", `x="y`, "NTLM ====", "a\x00b", "Basic realm=\"\xff\xfe\"", "NTLM\nNegotiate",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := ParseChallenges(strings.Split(s, "\n"))
		if len(got) > maxChallenges {
			t.Fatalf("%d challenges", len(got))
		}
		size := 0
		for _, c := range got {
			if c.Scheme == "" || strings.ContainsFunc(c.Scheme, func(r rune) bool { return r > 0x7f || !isToken(byte(r)) }) {
				t.Errorf("scheme %q", c.Scheme)
			}
			if strings.ContainsFunc(c.String(), isControl) {
				t.Errorf("control characters in %q", c)
			}
			size += len(c.Scheme) + len(c.Realm) + len(c.Token)
			for k, v := range c.Params {
				size += len(k) + len(v)
			}
		}
		if size > 4*len(s)+len(got)*len(Negotiate) {
			t.Errorf("%d bytes became %d", len(s), size)
		}
		checkRoundTrip(t, got)
	})
}

func BenchmarkParseChallenges(b *testing.B) {
	in := []string{
		"Negotiate", "NTLM " + strings.Repeat("TlRM", 100),
		`Digest realm="proxy.fabrikam.example", nonce="a1b2c3d4e5f6", qop="auth,auth-int", algorithm=MD5, stale=false`,
		`Basic realm="proxy.fabrikam.example"`,
	}
	n := 0
	for _, s := range in {
		n += len(s)
	}
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		if len(ParseChallenges(in)) != 4 {
			b.Fatal("not four")
		}
	}
}
