package proxyauth

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCutUserinfo(t *testing.T) {
	who := func(domain, user, password string) Credentials {
		return Credentials{Domain: domain, User: user, Password: NewSecret(password)}
	}
	tests := []struct {
		in, rest string
		want     Credentials
	}{
		{"", "", Credentials{}},
		{"proxy.example:8080", "proxy.example:8080", Credentials{}},
		{"http://proxy.example:8080", "http://proxy.example:8080", Credentials{}},
		{"http://anna:pass@proxy.example:8080", "http://proxy.example:8080", who("", "anna", "pass")},
		{"anna:pass@proxy.example:8080", "proxy.example:8080", who("", "anna", "pass")},
		{"http://anna@proxy.example", "http://proxy.example", who("", "anna", "")},
		{"http://:pass@proxy.example", "http://proxy.example", who("", "", "pass")},
		{`http://FABRIKAM\anna:pass@proxy.example`, "http://proxy.example", who("FABRIKAM", "anna", "pass")},
		{"http://FABRIKAM%5Canna:p%40ss%3A%2F@proxy.example", "http://proxy.example", who("FABRIKAM", "anna", "p@ss:/")},
		{"http://anna%40fabrikam.example:pass@proxy.example", "http://proxy.example", who("", "anna@fabrikam.example", "pass")},
		{"http://anna@fabrikam.example:pass@proxy.example", "http://proxy.example", who("", "anna@fabrikam.example", "pass")},
		{"http://anna:p@ss/w#rd?@proxy.example:1", "http://proxy.example:1", who("", "anna", "p@ss/w#rd?")},
		{"http://anna:12/34@proxy.example:1", "http://proxy.example:1", who("", "anna", "12/34")},
		{"http://anna:100%@proxy.example", "http://proxy.example", who("", "anna", "100%")},
		{"http://anna:a://b@proxy.example", "http://proxy.example", who("", "anna", "a://b")},
		{"anna:a://b@proxy.example", "proxy.example", who("", "anna", "a://b")},
		{"http://anna:pass@[2001:db8::1]:8080", "http://[2001:db8::1]:8080", who("", "anna", "pass")},
		{"http://wpad.example/proxy.pac?who=a@b", "http://wpad.example/proxy.pac?who=a@b", Credentials{}},
		{"http://anna:pass@wpad.example/proxy.pac", "http://wpad.example/proxy.pac", who("", "anna", "pass")},
	}
	for _, tt := range tests {
		rest, got := CutUserinfo(tt.in)
		if rest != tt.rest {
			t.Errorf("CutUserinfo(%q) leaves %q, want %q", tt.in, rest, tt.rest)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("CutUserinfo(%q) (-want +got):\n%s\npassword %q", tt.in, diff, got.Password.Reveal())
		}
	}
}

func TestLogin(t *testing.T) {
	for login, want := range map[string]Credentials{
		"anna":                  {User: "anna"},
		`FABRIKAM\anna`:         {Domain: "FABRIKAM", User: "anna"},
		"anna@fabrikam.example": {User: "anna@fabrikam.example"},
		"":                      {},
	} {
		got := ParseLogin(login, "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseLogin(%q) (-want +got):\n%s", login, diff)
		}
		if got.Login() != login {
			t.Errorf("Login of %q is %q", login, got.Login())
		}
		if got.IsEmpty() != (login == "") {
			t.Errorf("IsEmpty of %q", login)
		}
	}
}

// TestNobodyShowsThePassword prints, encodes and logs every value that holds a
// password, by itself and inside others, and looks for any four letters of it.
func TestNobodyShowsThePassword(t *testing.T) {
	const password = "qZ7!xK9vWm"
	cred := ParseLogin(`FABRIKAM\anna`, password)
	client := Client{Credentials: cred, Weaker: true}
	if _, _, err := client.Answer("GET", "/", ParseChallenges([]string{`Digest realm="r", nonce="n"`})); err != nil {
		t.Fatal(err)
	}
	type box struct {
		In  Credentials
		out Credentials
		m   map[string]Secret
		p   *Credentials
		c   *Client
	}
	values := []any{
		cred.Password, &cred.Password, cred, &cred, client, &client,
		[]Credentials{cred},
		map[string]Credentials{"a": cred},
		box{In: cred, out: cred, m: map[string]Secret{"a": cred.Password}, p: &cred, c: &client},
		&box{In: cred, out: cred, p: &cred, c: &client},
		Kerberos{Credentials: cred},
		fmt.Errorf("sign in as %v: %w", cred, errors.New("no")),
	}
	var shown strings.Builder
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%c", "%U", "%10.3s", "%-20v", "% x"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		fmt.Fprint(&shown, v)
		fmt.Fprintln(&shown, v)
		j, err := json.Marshal(v)
		fmt.Fprintf(&shown, "%s %v\n", j, err)
		x, err := xml.Marshal(v)
		fmt.Fprintf(&shown, "%s %v\n", x, err)
		for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(h).Info("signing in", "as", v)
		}
	}
	func() {
		defer func() { fmt.Fprintf(&shown, "%v", recover()) }()
		panic(cred)
	}()
	if !strings.Contains(shown.String(), `FABRIKAM\anna`) {
		t.Error("nothing was shown at all")
	}
	for i := range len(password) - 3 {
		piece := password[i : i+4]
		for _, form := range []string{piece, fmt.Sprintf("%x", piece), fmt.Sprintf("%X", piece), fmt.Sprintf("% x", piece)} {
			if at := strings.Index(shown.String(), form); at >= 0 {
				t.Fatalf("%q is shown: %q", form, shown.String()[max(0, at-60):at+20])
			}
		}
	}
}

func TestCredentialsAsJSON(t *testing.T) {
	b, err := json.Marshal(struct {
		Who Credentials
		Key Secret
	}{ParseLogin(`FABRIKAM\anna`, "hush"), NewSecret("hush")})
	if want := `{"Who":{"domain":"FABRIKAM","user":"anna"},"Key":"[secret]"}`; err != nil || string(b) != want {
		t.Errorf("%s (%v), want %s", b, err, want)
	}
}

func TestScrub(t *testing.T) {
	c := ParseLogin("anna", "p@ss word")
	in := "user=anna&pass=p%40ss%20word p@ss word P%40ss p%40ss+word " + (&Client{Credentials: c}).basic()
	want := "user=anna&pass=[secret] [secret] P%40ss [secret] Basic [secret]"
	if got := c.Scrub(in); got != want {
		t.Errorf("Scrub gives %q, want %q", got, want)
	}
	if got := ParseLogin("anna", "").Scrub(in); got != in {
		t.Errorf("Scrub without a password changes the text: %q", got)
	}
	short := ParseLogin("anna", "an")
	if got := short.Scrub("anna and " + (&Client{Credentials: short}).basic()); got != "anna and Basic [secret]" {
		t.Errorf("Scrub of a short password gives %q", got)
	}
}

func TestSecret(t *testing.T) {
	a, b := NewSecret("same"), NewSecret("same")
	if !a.Equal(b) || a.Equal(NewSecret("other")) || !(Secret{}).Equal(NewSecret("")) || a.Equal(Secret{}) {
		t.Error("Equal")
	}
	if (Secret{}).String() != "" || !(Secret{}).IsEmpty() || a.Reveal() != "same" {
		t.Error("the empty secret, or Reveal")
	}
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "s", a)
	if !strings.Contains(buf.String(), hidden) {
		t.Errorf("logged as %q", buf.String())
	}
}
