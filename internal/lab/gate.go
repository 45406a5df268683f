package lab

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// gate is a proxy's sign-in.
type gate struct {
	w            *World
	realm        string
	users        map[string]string
	schemes      []string
	kerberosOnly bool
}

func newGate(w *World, spec *Proxy) (*gate, error) {
	for _, s := range spec.Auth {
		if !slices.Contains([]string{"Basic", "Digest", "NTLM", "Negotiate"}, s) {
			return nil, fmt.Errorf("unknown scheme %q", s)
		}
	}
	g := &gate{w: w, realm: spec.Realm, users: spec.Users, schemes: spec.Auth, kerberosOnly: spec.KerberosOnly}
	if g.realm == "" {
		g.realm = spec.Name
	}
	if len(g.schemes) == 0 {
		g.schemes = []string{"Basic"}
	}
	return g, nil
}

// admit decides about a request: who signed in, or the challenges that it is answered
// with.
func (g *gate) admit(r *http.Request) (user string, challenges []string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Proxy-Authorization")), " ")
	rest = strings.TrimSpace(rest)
	i := slices.IndexFunc(g.schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
	if i < 0 {
		return "", g.challenges(r)
	}
	switch g.schemes[i] {
	case "Basic":
		if user, ok := g.basic(rest); ok {
			return user, nil
		}
	}
	return "", g.challenges(r)
}

func (g *gate) challenges(*http.Request) []string {
	var out []string
	for _, s := range g.schemes {
		switch s {
		case "Basic":
			s = fmt.Sprintf(`Basic realm=%q`, g.realm)
		}
		out = append(out, s)
	}
	return out
}

// basic checks a name and password. RFC 7617.
func (g *gate) basic(token string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(token)
	name, password, ok := strings.Cut(string(b), ":")
	if err != nil || !ok {
		return "", false
	}
	user, want, ok := g.account("", name)
	return user, ok && want == password
}

// account finds a user by the forms in which people write names: DOMAIN\name,
// name@domain, name. Letter case does not matter.
func (g *gate) account(domain, name string) (user, password string, ok bool) {
	if d, n, found := strings.Cut(name, `\`); found {
		domain, name = d, n
	} else if n, d, found := strings.Cut(name, "@"); found {
		domain, name = d, n
	}
	for u, p := range g.users {
		d, n, found := strings.Cut(u, `\`)
		if !found {
			d, n = "", u
		}
		if strings.EqualFold(n, name) && (domain == "" || d == "" || strings.EqualFold(d, domain) || strings.HasPrefix(strings.ToLower(domain), strings.ToLower(d)+".")) {
			return u, p, true
		}
	}
	return "", "", false
}
