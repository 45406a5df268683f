package lab

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what RFC 7616 and every proxy speak
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// digest is the server's side of RFC 7616.
type digest struct {
	w         *World
	realm     string
	algorithm string // MD5, MD5-sess, SHA-256, SHA-256-sess
	life      time.Duration
	key       []byte

	mu   sync.Mutex
	used map[string]uint64 // highest count seen of each nonce
}

// nonceLife is how long a nonce is good, unless a scenario says otherwise.
const nonceLife = 5 * time.Minute

func (d *digest) hash() hash.Hash {
	if strings.HasPrefix(d.algorithm, "SHA-256") {
		return sha256.New()
	}
	return md5.New()
}

func (d *digest) sum(parts ...string) string {
	h := d.hash()
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

// nonce is a time and its signature, so that none has to be remembered.
func (d *digest) nonce(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	mac := hmac.New(sha256.New, d.key)
	mac.Write(b)
	return hex.EncodeToString(append(b, mac.Sum(nil)[:8]...))
}

// fresh judges a nonce: whether it is ours, and whether it is still good.
func (d *digest) fresh(nonce string) (ours, good bool) {
	b, err := hex.DecodeString(nonce)
	if err != nil || len(b) != 16 {
		return false, false
	}
	made := time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	if subtle.ConstantTimeCompare([]byte(d.nonce(made)), []byte(nonce)) != 1 {
		return false, false
	}
	return true, d.w.Now().Sub(made) <= d.life
}

func (d *digest) challenge(stale bool) string {
	out := fmt.Sprintf(`Digest realm=%q, nonce=%q, qop="auth", algorithm=%s`, d.realm, d.nonce(d.w.Now()), d.algorithm)
	if stale {
		out += ", stale=true"
	}
	return out
}

// admit checks an answer. Stale means that the answer is right, but for a nonce that
// is over.
func (d *digest) admit(r *http.Request, params string, account func(string) (user, password string, ok bool)) (user string, ok, stale bool) {
	p := authParams(params)
	user, password, known := account(p["username"])
	ours, good := d.fresh(p["nonce"])
	// A client may name the resource by its path alone, and curl does so to proxies:
	// section 3.4.6.
	uri := p["uri"]
	if uri != r.RequestURI && uri != r.URL.RequestURI() {
		return "", false, false
	}
	if !known || !ours || p["realm"] != d.realm || p["qop"] != "auth" || p["cnonce"] == "" || p["algorithm"] != "" && !strings.EqualFold(p["algorithm"], d.algorithm) {
		return "", false, false
	}
	a1 := d.sum(p["username"], d.realm, password)
	if strings.HasSuffix(d.algorithm, "-sess") {
		a1 = d.sum(a1, p["nonce"], p["cnonce"])
	}
	want := d.sum(a1, p["nonce"], p["nc"], p["cnonce"], p["qop"], d.sum(r.Method, uri))
	if subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(p["response"]))) != 1 {
		return "", false, false
	}
	count, err := strconv.ParseUint(p["nc"], 16, 32)
	if err != nil || len(p["nc"]) != 8 {
		return "", false, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !good || count <= d.used[p["nonce"]] { // a count that was used is a replay: section 3.4
		return "", false, true
	}
	d.used[p["nonce"]] = count
	return user, true, false
}

// authParams reads name=value, name="value", ... of RFC 9110 section 11.2. Names
// become lower case; of one that comes twice the first counts.
func authParams(s string) map[string]string {
	out := map[string]string{}
	for range 64 {
		s = strings.TrimLeft(s, " \t,")
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return out
		}
		rest = strings.TrimLeft(rest, " \t")
		var value string
		if strings.HasPrefix(rest, `"`) {
			var b strings.Builder
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				b.WriteByte(rest[i])
			}
			value, s = b.String(), rest[min(len(rest), i+1):]
		} else {
			value, s, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := out[name]; !twice {
			out[name] = value
		}
	}
	return out
}
