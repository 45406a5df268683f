package proxyauth

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// challengeMessage is NTLM's second message, as a server of FABRIKAM would send it.
// learn.microsoft.com: [MS-NLMP] section 2.2.1.2.
func challengeMessage(nonce [8]byte) []byte {
	var info []byte
	for _, av := range []struct {
		id   uint16
		text string
	}{{2, "FABRIKAM"}, {1, "PROXY"}, {4, "fabrikam.example"}, {3, "proxy.fabrikam.example"}} {
		text := utf16le(av.text)
		info = binary.LittleEndian.AppendUint16(info, av.id)
		info = binary.LittleEndian.AppendUint16(info, uint16(len(text)))
		info = append(info, text...)
	}
	info = append(info, 0, 0, 0, 0)
	target := utf16le("FABRIKAM")
	const head = 48
	m := []byte("NTLMSSP\x00\x02\x00\x00\x00")
	field := func(n, offset int) {
		m = binary.LittleEndian.AppendUint16(m, uint16(n))
		m = binary.LittleEndian.AppendUint16(m, uint16(n))
		m = binary.LittleEndian.AppendUint32(m, uint32(offset))
	}
	field(len(target), head)
	// Unicode, NTLM, target is a domain, extended session security, target info, 128, 56.
	m = binary.LittleEndian.AppendUint32(m, 1|1<<9|1<<16|1<<19|1<<23|1<<29|1<<31)
	m = append(m, nonce[:]...)
	m = append(m, make([]byte, 8)...)
	field(len(info), head+len(target))
	m = append(m, target...)
	return append(m, info...)
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func ntlmHeader(scheme string) string {
	return scheme + " " + base64.StdEncoding.EncodeToString(challengeMessage([8]byte{1, 2, 3, 4, 5, 6, 7, 8}))
}

// tokens is a Tokener that says one word after another, or an error.
type tokens struct {
	words []string
	heard []string
	err   error
}

func (t *tokens) Token(received []byte) ([]byte, error) {
	if received == nil {
		t.heard = nil
	}
	t.heard = append(t.heard, string(received))
	if t.err != nil {
		return nil, t.err
	}
	if len(t.heard) > len(t.words) {
		return nil, nil
	}
	return []byte(t.words[len(t.heard)-1]), nil
}

// TestSignIn plays whole sign-ins. A step is what the other side does and what the
// client is to say then: a 407 with challenges, "ok" for any other answer, "closed"
// for a connection that ends with the next 407. An answer is given by its beginning; one in
// brackets is an error that says so.
func TestSignIn(t *testing.T) {
	const digestA = `Digest realm="r", nonce="a", qop="auth"`
	const digestB = `Digest realm="r", nonce="b", qop="auth"`
	const stale = digestB + `, stale=true`
	const basic = `Basic realm="r"`
	anna := ParseLogin(`FABRIKAM\anna`, "hush")
	const annaBasic = "Basic RkFCUklLQU1cYW5uYTpodXNo"
	const type1, type3 = "TlRMTVNTUAABAAAA", "TlRMTVNTUAADAAAA"
	words := func(w ...string) Tokener { return &tokens{words: w} }

	type step struct{ does, says string }
	tests := []struct {
		name   string
		client Client
		steps  []step
	}{
		{"basic", Client{Credentials: anna}, []step{{basic, annaBasic}, {"ok", annaBasic}, {"ok", annaBasic}}},
		{"basic, wrong", Client{Credentials: anna}, []step{{basic, annaBasic}, {basic, "[Basic: the credentials were refused]"}, {basic, "[the credentials were refused]"}}},
		{"basic, again after it was accepted", Client{Credentials: anna}, []step{{basic, annaBasic}, {"ok", annaBasic}, {basic, annaBasic}, {basic, "[refused]"}}},
		{"basic without a password", Client{Credentials: ParseLogin("anna", "")}, []step{{basic, "Basic YW5uYTo="}}},
		{"basic in UTF-8", Client{Credentials: ParseLogin("anna", "pa\u0308ss€")}, []step{{basic + `, charset="UTF-8"`, "Basic " + base64.StdEncoding.EncodeToString([]byte("anna:p\u00e4ss€"))}}},
		{"basic forbidden", Client{Credentials: anna, NoPlain: true}, []step{{basic, "[no offered scheme can be answered: Basic (it would send the password in clear text)]"}}},
		{"a colon in the name", Client{Credentials: ParseLogin("an:na", "x")}, []step{{basic, "[colon]"}}},
		{"a line break in the password", Client{Credentials: ParseLogin("anna", "x\r\ny")}, []step{{basic, "[control character]"}}},

		{"digest", Client{Credentials: anna}, []step{{digestA, `Digest username="FABRIKAM\\anna"`}, {"ok", "Digest nc=00000002"}, {"ok", "Digest nc=00000003"}}},
		{"digest, wrong", Client{Credentials: anna}, []step{{digestA, "Digest"}, {digestB, "[Digest: the credentials were refused]"}}},
		{"digest, stale", Client{Credentials: anna}, []step{{digestA, `Digest nonce="a"`}, {"ok", "Digest nc=00000002"}, {stale, `Digest nonce="b" nc=00000001`}, {"ok", "Digest nc=00000002"}}},
		{"digest, stale at once", Client{Credentials: anna}, []step{{digestA, "Digest"}, {stale, `Digest nonce="b"`}, {"ok", "Digest"}}},
		{"digest, stale for ever", Client{Credentials: anna}, []step{{digestA, "Digest"}, {stale, "Digest"}, {stale, "Digest"}, {stale, "Digest"}, {stale, "[the credentials were refused]"}}},
		{"digest outlives a connection", Client{Credentials: anna}, []step{{digestA, "Digest"}, {"ok", "Digest nc=00000002"}, {"closed", ""}, {"ok", "Digest nc=00000003"}}},
		{"digest on a new connection", Client{Credentials: anna}, []step{{"closed", ""}, {digestA, "Digest"}, {"ok", "Digest"}}},

		{"ntlm", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"ok", ""}, {"ok", ""}}},
		{"ntlm, wrong", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"NTLM", "[NTLM: the credentials were refused]"}}},
		{"ntlm, wrong, with another message", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {ntlmHeader(NTLM), "[NTLM: the credentials were refused]"}}},
		{"ntlm, refused by a closed connection", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"closed", ""}, {"NTLM", "[the credentials were refused]"}}},
		{"ntlm, the first 407 closes", Client{Credentials: anna}, []step{{"closed", ""}, {"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"ok", ""}}},
		{"ntlm, forgetful", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {"NTLM", "[NTLM: the sign-in was not carried to its end: NTLM: no answer to the first message]"}}},
		{"ntlm, closes between legs once", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {"closed", ""}, {ntlmHeader(NTLM), "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"ok", ""}}},
		{"ntlm, closes between legs always", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {"closed", ""}, {ntlmHeader(NTLM), "NTLM " + type1}, {"closed", ""}, {ntlmHeader(NTLM), "[the connection ends between its legs]"}}},
		{"ntlm, nonsense", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {"NTLM YWJj", "[the sign-in was not carried to its end]"}}},
		{"ntlm, asked anew on a new connection", Client{Credentials: anna}, []step{{"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"ok", ""}, {"closed", ""}, {"NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}, {"ok", ""}}},

		{"negotiate without tokens carries ntlm", Client{Credentials: anna}, []step{{"Negotiate", "Negotiate " + type1}, {ntlmHeader(Negotiate), "Negotiate " + type3}, {"ok", ""}}},
		{"ntlm is taken where both are offered", Client{Credentials: anna}, []step{{"Negotiate, NTLM", "NTLM " + type1}, {ntlmHeader(NTLM), "NTLM " + type3}}},
		{"unless negotiate alone is allowed", Client{Credentials: anna, Schemes: []string{Negotiate}}, []step{{"Negotiate, NTLM", "Negotiate " + type1}}},
		{"negotiate with a ticket", Client{Credentials: anna, Tokens: words("one")}, []step{{"NTLM, Negotiate, " + basic, "Negotiate b25l"}, {"ok", ""}}},
		{"negotiate with three legs", Client{Tokens: words("one", "two", "three")}, []step{{"Negotiate", "Negotiate b25l"}, {"Negotiate YQ==", "Negotiate dHdv"}, {"Negotiate Yg==", "Negotiate dGhyZWU="}, {"ok", ""}}},
		{"a ticket that is refused", Client{Tokens: words("one")}, []step{{"Negotiate", "Negotiate b25l"}, {"Negotiate", "[Negotiate: the credentials were refused]"}}},
		{"a ticket with nothing to add", Client{Tokens: words("one")}, []step{{"Negotiate", "Negotiate b25l"}, {"Negotiate YQ==", "[nothing more to say]"}}},
		{"no end of legs", Client{Tokens: words(slices.Repeat([]string{"more"}, 100)...)}, append([]step{{"Negotiate", "Negotiate bW9yZQ=="}},
			append(slices.Repeat([]step{{"Negotiate YQ==", "Negotiate bW9yZQ=="}}, maxLegs-1), step{"Negotiate YQ==", "[more than 8 legs]"})...)},
		{"no ticket, ntlm instead", Client{Credentials: anna, Tokens: &tokens{err: errors.New("clock skew")}}, []step{{"Negotiate, NTLM", "NTLM " + type1}}},
		{"no ticket, ntlm inside negotiate", Client{Credentials: anna, Tokens: &tokens{err: errors.New("clock skew")}}, []step{{"Negotiate", "Negotiate " + type1}}},
		{"no ticket and nothing else", Client{Tokens: &tokens{err: errors.New("clock skew")}}, []step{{"Negotiate, NTLM", "[no offered scheme can be answered: Negotiate (clock skew), NTLM (no user name was given)]"}}},

		{"the strongest first", Client{Credentials: anna}, []step{{basic + ", " + digestA + ", NTLM", "NTLM"}}},
		{"digest before basic", Client{Credentials: anna}, []step{{basic + ", " + digestA, "Digest"}}},
		{"only what is allowed", Client{Credentials: anna, Schemes: []string{Digest, Basic}}, []step{{basic + ", NTLM", annaBasic}}},
		{"nothing that is allowed", Client{Credentials: anna, Schemes: []string{Digest}}, []step{{basic + ", NTLM", "[Basic (not allowed), NTLM (not allowed)]"}}},
		{"down to the weakest", Client{Credentials: anna, Weaker: true}, []step{
			{"NTLM, " + digestA + ", " + basic, "NTLM " + type1},
			{ntlmHeader(NTLM), "NTLM " + type3},
			{"NTLM, " + digestA + ", " + basic, "Digest"},
			{"NTLM, " + digestB + ", " + basic, annaBasic},
			{"NTLM, " + digestB + ", " + basic, "[Basic: the credentials were refused (NTLM)\nthe credentials were refused (Digest)\nthe credentials were refused (Basic)]"},
		}},
		{"down, but not to clear text", Client{Credentials: anna, Weaker: true, NoPlain: true}, []step{
			{digestA + ", " + basic, "Digest"},
			{digestB + ", " + basic, "[Digest: the credentials were refused (Digest)]"},
		}},
		{"not down unless told", Client{Credentials: anna}, []step{{digestA + ", " + basic, "Digest"}, {digestB + ", " + basic, "[refused]"}, {basic, "[refused]"}}},
		{"a handshake that fails, then down", Client{Credentials: anna, Weaker: true}, []step{{"NTLM, " + digestA, "NTLM " + type1}, {"NTLM, " + digestA, "Digest"}, {"ok", "Digest"}}},
		{"a digest that cannot be, then basic", Client{Credentials: anna}, []step{{"Digest realm=r, nonce=n, algorithm=X, " + basic, annaBasic}}},

		{"nobody", Client{}, []step{{basic + ", NTLM, Negotiate", "[Basic (no user name was given), NTLM (no user name was given), Negotiate (no user name was given)]"}}},
		{"nothing offered", Client{Credentials: anna}, []step{{"", "[no offered scheme can be answered: none was offered]"}}},
		{"what nobody knows", Client{Credentials: anna}, []step{{"Own x=y, Bearer, hush", "[no offered scheme can be answered: Bearer, 2 unknown]"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &tt.client
			for i, s := range tt.steps {
				var scheme, got string
				var err error
				switch s.does {
				case "ok":
					c.Accepted()
					got = c.Header("GET", "/next")
				case "closed":
					c.Reconnected()
				default:
					scheme, got, err = c.Answer("GET", "/", ParseChallenges([]string{s.does}))
				}
				if want, ok := strings.CutPrefix(s.says, "["); ok {
					want = strings.TrimSuffix(want, "]")
					if err == nil || !strings.Contains(scheme+": "+err.Error(), want) || got != "" {
						t.Fatalf("step %d, %q: %q, %s: %v; want %s", i, s.does, got, scheme, err, want)
					}
					if !errors.Is(err, ErrNoScheme) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrHandshake) {
						t.Errorf("step %d: %v is none of the errors that Answer promises", i, err)
					}
					if strings.Contains(err.Error(), "hush") {
						t.Errorf("step %d: the error quotes what it must not: %v", i, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("step %d, %q: %v", i, s.does, err)
				}
				want := strings.Fields(s.says)
				for j, w := range want {
					if j == 0 && !strings.HasPrefix(got, w) || !strings.Contains(got, w) {
						t.Fatalf("step %d, %q: %q; want %q", i, s.does, got, s.says)
					}
				}
				if len(want) == 0 && got != "" {
					t.Fatalf("step %d, %q: %q; want nothing", i, s.does, got)
				}
				if scheme != "" && scheme != want[0] {
					t.Errorf("step %d, %q: the scheme is %s", i, s.does, scheme)
				}
			}
		})
	}
}

func TestMore(t *testing.T) {
	c := Client{Credentials: ParseLogin("anna", "x")}
	if c.More() {
		t.Error("more before anything was asked")
	}
	for i, tt := range []struct {
		challenge string
		more      bool
	}{{"NTLM", true}, {ntlmHeader(NTLM), false}} {
		if _, _, err := c.Answer("GET", "/", ParseChallenges([]string{tt.challenge})); err != nil {
			t.Fatal(err)
		}
		if c.More() != tt.more {
			t.Errorf("leg %d: More is %t", i+1, c.More())
		}
	}
	// A ticket may satisfy at once, so its request must be sent whole.
	k := Client{Tokens: &tokens{words: []string{"one"}}}
	if _, _, err := k.Answer("POST", "/", ParseChallenges([]string{"Negotiate"})); err != nil || k.More() {
		t.Errorf("after a ticket More is %t (%v)", k.More(), err)
	}
}

// TestFresh holds when a new connection is asked for: after a handshake failed on
// this one, and not if there was a new one already, or after Digest.
func TestFresh(t *testing.T) {
	const offered = `NTLM, Digest realm="r", nonce="n", Basic realm="r"`
	for name, closes := range map[string]bool{"the refusal leaves the connection open": false, "the refusal closes it": true} {
		t.Run(name, func(t *testing.T) {
			c := Client{Credentials: ParseLogin("anna", "x"), Weaker: true}
			for i, step := range []struct {
				challenge, scheme string
				fresh             bool
			}{{offered, NTLM, false}, {ntlmHeader(NTLM), NTLM, false}, {offered, Digest, !closes}, {offered, Basic, false}} {
				if closes && i == 2 {
					c.Reconnected()
				}
				scheme, _, err := c.Answer("GET", "/", ParseChallenges([]string{step.challenge}))
				if err != nil || scheme != step.scheme || c.Fresh() != step.fresh {
					t.Fatalf("step %d: %s, %v, Fresh %t; want %s, %t", i, scheme, err, c.Fresh(), step.scheme, step.fresh)
				}
				if c.Fresh() {
					c.Reconnected()
					if c.Fresh() {
						t.Fatal("a new connection is not fresh")
					}
				}
			}
		})
	}
}

// FuzzAnswer lets a hostile peer say anything three times over and looks at what is sent.
func FuzzAnswer(f *testing.F) {
	second := ntlmHeader(NTLM)
	f.Add("NTLM", second, "NTLM", byte(0))
	f.Add("Negotiate", ntlmHeader(Negotiate), "Negotiate", byte(3))
	f.Add(`Digest realm="r", nonce="a", algorithm=SHA-256-sess, qop="auth-int"`, `Digest realm="\"", nonce="\\", stale=true`, "Basic", byte(1))
	f.Add("NTLM", "NTLM TlRMTVNTUAACAAAA////////////////////////////////////////////////////////", "NTLM", byte(1))
	f.Add("NTLM", "NTLM "+base64.StdEncoding.EncodeToString(challengeMessage([8]byte{})[:49]), "NTLM", byte(1))
	f.Add(second, second[:len(second)/2], second[:60], byte(5))
	f.Fuzz(func(t *testing.T, one, two, three string, how byte) {
		const password = "qZ7!xK9vWm"
		c := Client{Credentials: ParseLogin(`FABRIKAM\anna`, password), Weaker: how&1 != 0, NoPlain: how&2 != 0}
		if how&8 != 0 {
			c.Tokens = &tokens{words: []string{"one", "two"}}
		}
		var offered []Challenge // so far: what was offered once may be answered later
		for _, s := range []string{one, two, three, one, two, three} {
			now := ParseChallenges(strings.Split(s, "\n"))
			offered = append(offered, now...)
			scheme, header, err := c.Answer("GET", "http://wsus.fabrikam.example/", now)
			if err != nil {
				if header != "" || !errors.Is(err, ErrNoScheme) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrHandshake) {
					t.Fatalf("header %q, error %v", header, err)
				}
				if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), password) && !strings.Contains(s, password) {
					t.Fatalf("the error tells the password: %v", err)
				}
				return
			}
			if !offers(offered, scheme) || !strings.HasPrefix(header, scheme+" ") || scheme == Basic && c.NoPlain {
				t.Fatalf("offered %v, answered %s: %q", offered, scheme, header)
			}
			if i := strings.IndexFunc(header, isControl); i >= 0 {
				t.Fatalf("a control character in %q", header)
			}
			if strings.Contains(header, password) {
				t.Fatalf("the password stands in %q", header)
			}
			if m, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, scheme+" ")); err == nil && scheme != Basic && bytes.Contains(m, utf16le(password)) {
				t.Fatalf("the password stands in %q", m)
			}
			if how&4 != 0 {
				c.Reconnected()
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	for name, challenge := range map[string]string{"digest": `Digest realm="r", nonce="a", qop="auth", algorithm=SHA-256`, "ntlm": "NTLM"} {
		b.Run(name, func(b *testing.B) {
			first, second := ParseChallenges([]string{challenge}), ParseChallenges([]string{ntlmHeader(NTLM)})
			b.ReportAllocs()
			for b.Loop() {
				c := Client{Credentials: ParseLogin("anna", "x")}
				if _, _, err := c.Answer("GET", "/", first); err != nil {
					b.Fatal(err)
				}
				if name == "ntlm" {
					if _, _, err := c.Answer("GET", "/", second); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
