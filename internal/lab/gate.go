package lab

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// gate is a proxy's sign-in.
type gate struct {
	w            *World
	realm        string
	users        map[string]string
	schemes      []string
	digest       *digest
	domain, host string
	suffix       string
	kerberosOnly bool
}

// signIn is what a proxy remembers about a connection: NTLM signs in a connection, not
// a request. [MS-NTHT].
type signIn struct {
	ntlm *ntlm
	user string
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
	algorithm := spec.Digest
	if algorithm == "" {
		algorithm = "MD5"
	}
	if !slices.Contains([]string{"MD5", "MD5-sess", "SHA-256", "SHA-256-sess"}, algorithm) {
		return nil, fmt.Errorf("unknown algorithm %q", algorithm)
	}
	life := time.Duration(spec.NonceLife)
	if life == 0 {
		life = nonceLife
	}
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(w.chance() * 256)
	}
	g.digest = &digest{w: w, realm: g.realm, algorithm: algorithm, life: life, key: key, used: map[string]uint64{}}
	host, suffix, _ := strings.Cut(spec.Name, ".")
	g.host, g.suffix = strings.ToUpper(host), suffix
	domain, _, _ := strings.Cut(suffix, ".")
	g.domain = strings.ToUpper(domain)
	return g, nil
}

// admit decides about a request: who signed in, or the challenges that it is answered
// with.
func (g *gate) admit(r *http.Request) (user string, challenges []string) {
	v := visitOf(r)
	state, _ := v.note.(*signIn)
	if state == nil {
		state = new(signIn)
		v.note = state
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Proxy-Authorization")), " ")
	rest = strings.TrimSpace(rest)
	if scheme == "" && state.user != "" {
		return state.user, nil
	}
	i := slices.IndexFunc(g.schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
	if i < 0 {
		return "", g.challenges(false)
	}
	switch g.schemes[i] {
	case "Basic":
		if user, ok := g.basic(rest); ok {
			return user, nil
		}
	case "Digest":
		user, ok, stale := g.digest.admit(r, rest, func(name string) (string, string, bool) { return g.account("", name) })
		if ok {
			return user, nil
		}
		return "", g.challenges(stale)
	case "NTLM", "Negotiate":
		return g.ntlm(state, g.schemes[i], rest)
	}
	return "", g.challenges(false)
}

// ntlm takes one step of a sign-in by NTLM, bare or within Negotiate.
func (g *gate) ntlm(state *signIn, scheme, token string) (user string, challenges []string) {
	refused := func() (string, []string) {
		*state = signIn{}
		return "", g.challenges(false)
	}
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(b) > 64<<10 {
		return refused()
	}
	inner, wrapped := b, false
	if scheme == "Negotiate" {
		if inner, wrapped = spnegoInner(b); inner == nil || g.kerberosOnly { // Kerberos itself needs a domain that the world has not
			return refused()
		}
	}
	switch ntlmKind(inner) {
	case 1:
		n := &ntlm{domain: g.domain, host: g.host, suffix: g.suffix}
		for i := range n.challenge {
			n.challenge[i] = byte(g.w.chance() * 256)
		}
		reply, err := n.begin(inner, g.w.Now())
		if err != nil {
			return refused()
		}
		*state = signIn{ntlm: n}
		if wrapped {
			reply = spnegoReply(reply)
		}
		return "", []string{scheme + " " + base64.StdEncoding.EncodeToString(reply)}
	case 3:
		if state.ntlm == nil {
			return refused()
		}
		user, err := state.ntlm.finish(inner, g.account)
		if err != nil {
			return refused()
		}
		*state = signIn{user: user}
		return user, nil
	}
	return refused()
}

func (g *gate) challenges(stale bool) []string {
	var out []string
	for _, s := range g.schemes {
		switch s {
		case "Basic":
			s = fmt.Sprintf(`Basic realm=%q`, g.realm)
		case "Digest":
			s = g.digest.challenge(stale)
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
