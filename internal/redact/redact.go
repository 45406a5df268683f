// Package redact takes secrets and names out of text before it is written to a bundle or a report.
//
// The rules it obeys:
//
//   - Credentials vanish. A password, ticket, cookie, key or token becomes [Mark], whatever it was, so that nothing
//     about it survives, not even whether two of them were equal.
//   - Names and addresses become pseudonyms. The same name gives the same pseudonym wherever it stands, whatever its
//     letter case, and the pseudonym takes over the letter case, so that a proxy script which compares host names
//     case-sensitively decides the same before and after. A host name keeps its number of labels and its public suffix,
//     an address its range, and two addresses share as many leading bits afterwards as they did before, so that subnet
//     masks still mean what they meant.
//   - What everybody may know stays: Microsoft's hosts, KB numbers, update and service GUIDs, HRESULTs, package names,
//     versions, file hashes, well-known SIDs. A redacted log must lead to the same diagnosis.
//   - Pseudonyms are recognised and left alone, so redacting twice is redacting once. They carry their mark in
//     themselves (h-bcdfghjkmnpq, user-bcdfghjk, S-1-5-21-4040404040-…, 02-EC-…, 3ffe::/16); only IPv4 addresses have
//     no room for one. Those are remembered by the Redactor that made them; for another one there is Redactor.Redacted.
//
// Redaction works on lines, in bounded memory, and on bytes rather than on a parsed format, because what people attach
// is seldom well formed. Where a rule is unsure it errs towards hiding, except inside the vocabulary that diagnosis reads.
package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Mark stands where a credential was. In the user part of a URL it is percent-encoded, because brackets are not valid
// there and a redacted URL has to stay a URL (RFC 3986, section 3.2.1).
const Mark = "[removed]"

const urlMark = "%5Bremoved%5D"

// The kinds that [Redactor.Report] counts.
const (
	Credential = "credential" // passwords, tokens, cookies, keys, recovery passwords
	User       = "user"       // account names, profile folders, mail addresses
	Host       = "host"       // computer, host and domain names
	Address    = "address"    // IPv4 and IPv6 addresses
	Hardware   = "hardware"   // MAC addresses, serial numbers
	SID        = "sid"        // security identifiers of machines, domains and tenants
	ID         = "id"         // GUIDs that name one machine or tenant
	Name       = "name"       // organisations, networks
)

// The kinds of names that [Redactor.Learn] takes beside [User] and [Host].
const (
	Computer = "computer"
	Domain   = "domain"
)

// Bounds on what a Redactor remembers, so that a hostile file cannot fill the memory. Beyond them pseudonyms stay the
// same (they are computed, not drawn); only Count.Distinct stops growing and IPv4 addresses are no longer
// recognised as pseudonyms.
const (
	maxCached   = 1 << 15
	maxDistinct = 1 << 16
	maxGiven    = 1 << 17
	maxLearned  = 1 << 12
)

// A Redactor replaces secrets and names. The zero value is ready to use and draws a random key; it is safe for
// concurrent use and must not be copied after first use. Pseudonyms are consistent within one Redactor, and between
// Redactors that have the same Key: use one for all that is known of a machine, or its files will not agree with each
// other.
type Redactor struct {
	// Key seeds the pseudonyms. Whoever knows it can test guesses of names, so it is a secret as well. Empty: random.
	Key []byte
	// Keep, if not nil, is asked for each host name, user name and address, in lower case, before it is replaced; true
	// leaves it as it is. It is called from every goroutine that redacts.
	Keep func(name string) bool
	// KeepHosts leaves host names, domain names and IP addresses as they are. Users, credentials and identifiers of
	// hardware and machines are replaced nevertheless.
	KeepHosts bool
	// Redacted says that the text has been redacted before, as a bundle says of itself. Then IPv4 addresses stay as they
	// are, because a pseudonym among them cannot be told from a real one. All other rules hold.
	Redacted bool

	once sync.Once
	key  [sha256.Size]byte
	seed maphash.Seed // of the hashes by which different values are counted

	known atomic.Pointer[vocabulary] // what Learn taught; replaced, never changed

	mu     sync.Mutex
	cache  map[cacheKey]string
	octets map[octetKey][32]byte
	counts map[string]*tally
	given  map[[4]byte]struct{} // IPv4 addresses given out as pseudonyms
}

type cacheKey struct{ space, text string }

type tally struct {
	total    int
	distinct map[uint64]struct{}
}

// Count says how much of one kind was replaced.
type Count struct {
	Kind     string // Credential, User, Host, ...
	Total    int    // occurrences replaced
	Distinct int    // different values among them; at least so many if there were more than 65536
}

// Report lists what has been redacted so far, sorted by kind. Kinds that did not occur are not listed.
func (r *Redactor) Report() []Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Count, 0, len(r.counts))
	for kind, t := range r.counts {
		list = append(list, Count{Kind: kind, Total: t.total, Distinct: len(t.distinct)})
	}
	slices.SortFunc(list, func(a, b Count) int { return strings.Compare(a.Kind, b.Kind) })
	return list
}

// String redacts a text, which may have many lines.
func (r *Redactor) String(s string) string { return string(r.Bytes([]byte(s))) }

// Bytes redacts a text in UTF-8, an ANSI code page, or UTF-16 in either byte order, and returns it in the same
// encoding. It gives exactly what reading the same bytes through [Redactor.Reader] gives. The argument is not changed.
func (r *Redactor) Bytes(b []byte) []byte {
	f := newFilter(r)
	out := f.write(make([]byte, 0, len(b)+64), b)
	return f.close(out)
}

// Learn teaches a name found in the facts of a machine, so that it is replaced from now on wherever it stands as a word
// of its own, in any letter case. The kind is [Computer], [Host], [Domain] or [User]; a user may be given as
// DOMAIN\name, name@domain or a full name of several words. Names shorter than three letters are ignored, and so are
// words that Windows logs are full of (administrator, system, update, ...): replacing those would hide no one and blind
// the diagnosis.
func (r *Redactor) Learn(kind, value string) {
	words := learnable(kind, value)
	if len(words) == 0 {
		return
	}
	for {
		old := r.known.Load()
		if next := old.with(words); next == old || r.known.CompareAndSwap(old, next) {
			return
		}
	}
}

// digest derives the bytes that a pseudonym is made of. The space keeps the pseudonyms of a user and of a host of the
// same name apart.
func (r *Redactor) digest(space string, text []byte) [sha256.Size]byte {
	r.once.Do(r.start)
	mac := hmac.New(sha256.New, r.key[:])
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(space)))
	_, _ = mac.Write(n[:])
	_, _ = mac.Write([]byte(space))
	_, _ = mac.Write(text)
	var sum [sha256.Size]byte
	mac.Sum(sum[:0])
	return sum
}

func (r *Redactor) start() {
	r.seed = maphash.MakeSeed()
	if len(r.Key) > 0 {
		r.key = sha256.Sum256(r.Key)
		return
	}
	_, _ = rand.Read(r.key[:]) // never fails: it ends the program instead (crypto/rand)
}

// derive returns what fill makes of the digest of text, from the cache if it was asked before.
func (r *Redactor) derive(space string, text []byte, fill func([sha256.Size]byte) string) string {
	r.mu.Lock()
	p, ok := r.cache[cacheKey{space, string(text)}]
	r.mu.Unlock()
	if ok {
		return p
	}
	p = fill(r.digest(space, text))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cache == nil {
		r.cache = make(map[cacheKey]string)
	}
	if len(r.cache) < maxCached {
		r.cache[cacheKey{space, string(text)}] = p
	}
	return p
}

// count records one replacement of value.
func (r *Redactor) count(kind string, value []byte) {
	r.once.Do(r.start)
	sum := maphash.Bytes(r.seed, value)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[string]*tally)
	}
	t := r.counts[kind]
	if t == nil {
		t = &tally{distinct: make(map[uint64]struct{})}
		r.counts[kind] = t
	}
	t.total++
	if len(t.distinct) < maxDistinct {
		t.distinct[sum] = struct{}{}
	}
}

// keeps says whether the caller wants this name left alone.
func (r *Redactor) keeps(name []byte) bool {
	return r.Keep != nil && r.Keep(string(bytes.ToLower(name)))
}
