package proxyauth

import (
	"crypto/md5" //nolint:gosec // RFC 7616 keeps it, and proxies offer little else
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// digest answers one challenge of RFC 7616, for as many requests as its nonce lasts.
type digest struct {
	challenge Challenge
	algorithm string // as offered; "" if none was named, which means MD5
	hash      func() hash.Hash
	session   bool   // a -sess algorithm
	qop       string // auth, auth-int, or "" for the old way of RFC 2069
	cnonce    string // one for a nonce: a session's key is made of the first
	count     uint32 // requests answered with this nonce
}

// digestStrength orders the algorithms; 0 is one that is not known. A proxy that
// lists a weaker one first does not get it (RFC 7616 section 3.7 leaves that to the client).
func digestStrength(algorithm string) (rank int, h func() hash.Hash) {
	base := strings.ToUpper(algorithm)
	base = strings.TrimSuffix(base, "-SESS")
	switch base {
	case "SHA-512-256":
		return 3, sha512.New512_256
	case "SHA-256":
		return 2, sha256.New
	case "MD5", "":
		return 1, md5.New
	}
	return 0, nil
}

// newDigest takes the strongest Digest challenge that can be answered.
func newDigest(offered []Challenge) (*digest, error) {
	var best *digest
	rank, err := 0, errors.New("not offered")
	for _, c := range offered {
		if c.Scheme != Digest {
			continue
		}
		r, h := digestStrength(c.Params["algorithm"])
		qop, ok := chooseQOP(c.Params)
		switch {
		case r == 0:
			err = errors.New("its algorithm is unknown")
		case !ok:
			err = errors.New("its quality of protection is unknown")
		case c.Params["nonce"] == "":
			err = errors.New("it has no nonce")
		case r > rank:
			rank = r
			best = &digest{
				challenge: c, algorithm: c.Params["algorithm"], hash: h, qop: qop, cnonce: rand.Text(),
				session: strings.HasSuffix(strings.ToUpper(c.Params["algorithm"]), "-SESS"),
			}
		}
	}
	if best == nil {
		return nil, err
	}
	return best, nil
}

func chooseQOP(params map[string]string) (string, bool) {
	list, ok := params["qop"]
	if !ok {
		return "", true
	}
	found := ""
	for q := range strings.SplitSeq(list, ",") {
		switch q = strings.ToLower(strings.TrimSpace(q)); q {
		case "auth":
			return q, true
		case "auth-int":
			found = q
		}
	}
	return found, found != ""
}

func (d *digest) stale() bool { return strings.EqualFold(d.challenge.Params["stale"], "true") }

// header answers for one request. The uri is the request's target as it is sent:
// "host:port" for CONNECT, the whole URL for a plain request through a proxy.
func (d *digest) header(method, uri string, c Credentials) (string, error) {
	if d.qop == "auth-int" && !bodiless(method) {
		return "", errors.New("it wants the body of " + method + " digested (auth-int)")
	}
	user, password := c.Login(), c.Password.Reveal()
	if strings.EqualFold(d.challenge.Params["charset"], "UTF-8") {
		user, password = norm.NFC.String(user), norm.NFC.String(password)
	}
	if strings.ContainsFunc(user+uri+method, isControl) {
		return "", errors.New("a control character in the user name or the address")
	}
	realm, nonce := d.challenge.Realm, d.challenge.Params["nonce"]
	d.count++
	nc := fmt.Sprintf("%08x", d.count)

	a1 := d.sum(user, realm, password)
	if d.session {
		a1 = d.sum(a1, nonce, d.cnonce)
	}
	a2 := d.sum(method, uri)
	if d.qop == "auth-int" {
		a2 = d.sum(method, uri, d.sum("")) // a request without a body has an empty one
	}
	response := d.sum(a1, nonce, a2)
	if d.qop != "" {
		response = d.sum(a1, nonce, nc, d.cnonce, d.qop, a2)
	}

	hashed := strings.EqualFold(d.challenge.Params["userhash"], "true")
	if hashed {
		user = d.sum(user, realm)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Digest username=%s, realm=%s, nonce=%s, uri=%s, response=%s", quote(user), quote(realm), quote(nonce), quote(uri), quote(response))
	if d.algorithm != "" {
		b.WriteString(", algorithm=" + d.algorithm)
	}
	if d.qop != "" {
		fmt.Fprintf(&b, ", qop=%s, nc=%s", d.qop, nc)
	}
	if d.qop != "" || d.session {
		b.WriteString(", cnonce=" + quote(d.cnonce))
	}
	if opaque, ok := d.challenge.Params["opaque"]; ok {
		b.WriteString(", opaque=" + quote(opaque))
	}
	if hashed {
		b.WriteString(", userhash=true")
	}
	return b.String(), nil
}

// sum is H(a ":" b ":" ...) in lower-case hex.
func (d *digest) sum(parts ...string) string {
	h := d.hash()
	for i, p := range parts {
		if i > 0 {
			h.Write([]byte{':'})
		}
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// bodiless reports whether a request of this method is sent without a body.
func bodiless(method string) bool {
	switch method {
	case "GET", "HEAD", "CONNECT", "OPTIONS", "TRACE":
		return true
	}
	return false
}
