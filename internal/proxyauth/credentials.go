package proxyauth

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Secret is a string that shows itself to nobody who does not ask for it by
// [Secret.Reveal]: not to fmt, whatever the verb, nor to encoding/json, encoding/xml
// or log/slog. The zero value is the empty secret.
//
// The text lies behind a pointer, so that even a struct that holds a Secret in an
// unexported field prints an address, not the text: fmt calls no methods there.
type Secret struct{ text *string }

// hidden is what is shown in place of a secret that is not empty.
const hidden = "[secret]"

// NewSecret returns s as a secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsEmpty reports whether there is no text.
func (s Secret) IsEmpty() bool { return s.text == nil }

// Equal compares in a time that does not depend on the texts, except their lengths.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String returns "[secret]", or nothing if there is none.
func (s Secret) String() string {
	if s.IsEmpty() {
		return ""
	}
	return hidden
}

// Format writes what String returns, whatever the verb and its flags.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText is what encoders and log/slog write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Credentials say who signs in. The zero value is nobody.
type Credentials struct {
	Domain   string // of Windows, "FABRIKAM"; "" if none was given
	User     string // "anna", or whole as a user principal name, "anna@fabrikam.example"
	Password Secret
}

// ParseLogin takes a login as people write it, "FABRIKAM\anna",
// "anna@fabrikam.example" or "anna". The latter two stay whole in User, for that is
// what NTLM and Basic send (learn.microsoft.com: User Name Formats).
func ParseLogin(login, password string) Credentials {
	c := Credentials{User: login, Password: NewSecret(password)}
	if domain, user, ok := strings.Cut(login, `\`); ok {
		c.Domain, c.User = domain, user
	}
	return c
}

// CutUserinfo takes the credentials out of a proxy's address, or another's, as people
// write it, "http://FABRIKAM%5Canna:secret@proxy.example:8080" or the same without a
// scheme, and returns what remains, which may be shown. It never fails, however badly
// the text is made, so that a password need not go through net/url, whose errors quote it.
//
// Where it is not certain what is a password, more is taken away rather than less:
// all before the last "@" is userinfo, so that a password may hold "/", "@", "#" or a
// stray "%". Only if the text begins with a host name and nothing else before a "/", an
// "@" further on is a part of the path.
func CutUserinfo(address string) (rest string, c Credentials) {
	scheme, authority := "", address
	if i := strings.Index(address, "://"); i >= 0 && !strings.ContainsAny(address[:i], "@:/") {
		scheme, authority = address[:i+3], address[i+3:]
	}
	at := strings.LastIndexByte(authority, '@')
	if end := strings.IndexAny(authority, ":@/?#"); at < 0 || authority[end] != ':' && authority[end] != '@' {
		return address, Credentials{}
	}
	user, password, _ := strings.Cut(authority[:at], ":")
	return scheme + authority[at+1:], ParseLogin(unescape(user), unescape(password))
}

// unescape undoes percent encoding; a text that was not encoded stays as it is.
func unescape(s string) string {
	if t, err := url.PathUnescape(s); err == nil {
		return t
	}
	return s
}

// IsEmpty reports whether nobody is named.
func (c Credentials) IsEmpty() bool { return c.Domain == "" && c.User == "" && c.Password.IsEmpty() }

// Login returns the name as Basic, Digest and NTLM write it: "FABRIKAM\anna",
// "anna@fabrikam.example", "anna".
func (c Credentials) Login() string {
	if c.Domain == "" {
		return c.User
	}
	return c.Domain + `\` + c.User
}

// Scrub replaces the password wherever it stands in s, as it is, percent-encoded or
// in the base64 of Basic, by "[secret]": some proxies send back what they were sent.
// A password of fewer than four bytes is replaced in its encoded forms only, since it
// may well be a part of other words.
func (c Credentials) Scrub(s string) string {
	if c.Password.IsEmpty() {
		return s
	}
	p := c.Password.Reveal()
	pairs := []string{base64.StdEncoding.EncodeToString([]byte(c.Login() + ":" + p)), hidden}
	if len(p) >= 4 {
		pairs = append(pairs, p, hidden)
		query := url.QueryEscape(p)
		for _, q := range []string{url.PathEscape(p), query, strings.ReplaceAll(query, "+", "%20")} {
			if q != p {
				pairs = append(pairs, q, hidden)
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// String returns the login alone.
func (c Credentials) String() string { return c.Login() }

// GoString returns the fields in Go syntax, without the password.
func (c Credentials) GoString() string {
	return fmt.Sprintf("proxyauth.Credentials{Domain:%q, User:%q, Password:%q}", c.Domain, c.User, c.Password.String())
}

// Format writes GoString for %#v, a quoted login for %q, and the login for all others.
func (c Credentials) Format(f fmt.State, verb rune) {
	s := c.Login()
	switch {
	case verb == 'v' && f.Flag('#'):
		s = c.GoString()
	case verb == 'q':
		s = fmt.Sprintf("%q", s)
	}
	_, _ = f.Write([]byte(s))
}

// MarshalText is what encoders and log/slog write: the login.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.Login()), nil }

// MarshalJSON writes the domain and the user.
func (c Credentials) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Domain string `json:"domain,omitempty"`
		User   string `json:"user"`
	}{c.Domain, c.User})
}
