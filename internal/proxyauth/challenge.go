package proxyauth

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// The schemes that a [Client] can answer, as ParseChallenges writes them.
const (
	Negotiate = "Negotiate"
	NTLM      = "NTLM"
	Digest    = "Digest"
	Basic     = "Basic"
)

// Challenge is one way of signing in that was offered.
type Challenge struct {
	// Scheme is in its canonical letter case if it is known (Basic, Digest, NTLM,
	// Negotiate, Bearer, ...), otherwise as it was written.
	Scheme string
	// Realm names what the credentials are for, unquoted; "" if there is none.
	Realm string
	// Params holds the other parameters, unquoted, by their names in lower case.
	Params map[string]string
	// Token is the token68 that some schemes carry instead of parameters. That of
	// NTLM and Negotiate is decoded from base64; any other is as it was written.
	Token []byte
}

// Bounds of what is read. The longest honest header is the answer of a domain
// controller with a large Kerberos error, well below 64 KiB, which is also where
// proxies stop reading ours.
const (
	maxHeader     = 64 << 10 // bytes of all values together
	maxChallenges = 32
	maxParams     = 32 // of one challenge
)

// ParseChallenges reads the values of all Proxy-Authenticate or WWW-Authenticate
// fields of an answer, in their order (RFC 9110 section 11). It never fails: what makes
// no sense is passed over, and schemes that nobody knows are kept. A field may hold
// several challenges; a comma separates them as well as the parameters of one.
//
// It reads at most 64 KiB, 32 challenges and 32 parameters of each; what lies beyond
// is as if it had not been sent. Control characters are never kept.
func ParseChallenges(values []string) []Challenge {
	var out []Challenge
	left := maxHeader
	for _, v := range values {
		if left -= len(v); left < 0 {
			break
		}
		s := scanner{rest: v}
		out = s.challenges(out)
	}
	return out
}

// String writes the challenge as a header would, on one line; parsing that gives the
// same challenge again.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString(c.Scheme)
	if c.Token != nil {
		b.WriteByte(' ')
		if carriesMessages(c.Scheme) {
			b.WriteString(base64.StdEncoding.EncodeToString(c.Token))
		} else {
			b.Write(c.Token)
		}
	}
	sep := " "
	if c.Token != nil {
		sep = ", "
	}
	param := func(name, value string) {
		b.WriteString(sep + name + "=" + quote(value))
		sep = ", "
	}
	if c.Realm != "" {
		param("realm", c.Realm)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		param(name, c.Params[name])
	}
	return b.String()
}

// known are the schemes of IANA's registry that proxies offer, and those that
// Windows knows beside them. learn.microsoft.com: Authentication in WinHTTP.
func known() []string {
	return []string{Negotiate, NTLM, Digest, Basic, "Bearer", "Kerberos", "Passport1.4", "Mutual", "HOBA", "SCRAM-SHA-1", "SCRAM-SHA-256", "PrivateToken"}
}

func canonical(scheme string) string {
	for _, k := range known() {
		if strings.EqualFold(k, scheme) {
			return k
		}
	}
	return scheme
}

// carriesMessages reports whether a scheme's token68 is base64 of a binary message.
func carriesMessages(scheme string) bool {
	return scheme == NTLM || scheme == Negotiate || scheme == "Kerberos"
}

// scanner reads one field value from its start.
type scanner struct{ rest string }

func (s *scanner) challenges(out []Challenge) []Challenge {
	first := len(out) // parameters never belong to the challenge of another field
	for {
		s.rest = strings.TrimLeft(s.rest, " \t,")
		if s.rest == "" {
			return out
		}
		name := s.take(isToken)
		if name == "" {
			s.skipElement()
			continue
		}
		if s.equals() {
			value := s.value(name)
			if len(out) > first {
				out[len(out)-1].set(strings.ToLower(name), value)
			}
			continue
		}
		if len(out) == maxChallenges {
			return out
		}
		c := Challenge{Scheme: canonical(name)}
		// Basic and Digest never carry a token68; without this "Basic realm=" would be one.
		if c.Scheme != Basic && c.Scheme != Digest {
			if token, ok := s.token68(); ok {
				c.Token = []byte(token)
				if m, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(token, "=")); err == nil && carriesMessages(c.Scheme) {
					c.Token = m
				}
			}
		}
		out = append(out, c)
	}
}

// set keeps the first value of a name: RFC 9110 allows each but once.
func (c *Challenge) set(name, value string) {
	if name == "realm" {
		if c.Realm == "" {
			c.Realm = value
		}
		return
	}
	if _, ok := c.Params[name]; ok || len(c.Params) == maxParams {
		return
	}
	if c.Params == nil {
		c.Params = make(map[string]string)
	}
	c.Params[name] = value
}

// take cuts the longest run of bytes that satisfy ok.
func (s *scanner) take(ok func(byte) bool) string {
	i := 0
	for i < len(s.rest) && ok(s.rest[i]) {
		i++
	}
	t := s.rest[:i]
	s.rest = s.rest[i:]
	return t
}

// equals passes an equals sign, and blanks before it, which old senders put there.
func (s *scanner) equals() bool {
	t := strings.TrimLeft(s.rest, " \t")
	if !strings.HasPrefix(t, "=") {
		return false
	}
	s.rest = t[1:]
	return true
}

// token68 takes the token68 that follows a scheme, if what follows is one and
// nothing but one.
func (s *scanner) token68() (string, bool) {
	t := strings.TrimLeft(s.rest, " \t")
	if len(t) == len(s.rest) {
		return "", false
	}
	i := 0
	for i < len(t) && isToken68(t[i]) {
		i++
	}
	if i == 0 {
		return "", false
	}
	for i < len(t) && t[i] == '=' {
		i++
	}
	after := strings.TrimLeft(t[i:], " \t")
	if after != "" && after[0] != ',' {
		return "", false
	}
	s.rest = after
	return t[:i], true
}

// value takes what stands behind name=. A realm in blanks and without quotes, which
// some proxies send, goes on to the comma.
func (s *scanner) value(name string) string {
	s.rest = strings.TrimLeft(s.rest, " \t")
	if strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	if strings.EqualFold(name, "realm") {
		return strings.Trim(printable(s.take(func(b byte) bool { return b != ',' })), " \t")
	}
	return printable(s.take(func(b byte) bool { return b != ',' && b != ' ' && b != '\t' }))
}

// quoted takes a quoted-string and undoes its escapes. One without an end goes to
// the end of the field.
func (s *scanner) quoted() string {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return printable(b.String())
		case '\\':
			if i++; i < len(s.rest) {
				b.WriteByte(s.rest[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return printable(b.String())
}

// skipElement passes what cannot be read, up to a comma outside quotes.
func (s *scanner) skipElement() {
	for s.rest != "" && s.rest[0] != ',' {
		if s.rest[0] == '"' {
			s.quoted()
		} else {
			s.rest = s.rest[1:]
		}
	}
}

// printable takes away control characters: none is allowed in a header, and a value
// may end up in the header of an answer or on a terminal.
func printable(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, s)
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

func isToken(b byte) bool {
	return isAlnum(b) || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

func isToken68(b byte) bool { return isAlnum(b) || strings.IndexByte("-._~+/", b) >= 0 }

func isAlnum(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
}

// quote writes a quoted-string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}
