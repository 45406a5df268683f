package redact

import "bytes"

// A scanner redacts line after line. Each family of findings is a pass over the line; a pass rewrites what it finds and
// hands the line on to the next one. That works because no pass finds anything in what another one has written.
type scanner struct {
	r       *Redactor
	dry     int  // greater than 0: a trial, nothing is counted
	depth   int  // how many documents this text is wrapped in
	partial bool // the text is a piece of a line that goes on
	state   state

	tentative bool // findings are counted later, or not at all
	findings  []finding
	touched   bool // something found reached up to the end of the text

	// The pass at work: it reads cur, which is copied to out up to done.
	cur, out, spare []byte
	done            int
	edited          bool     // in this pass
	changed         bool     // in this round
	names           []taught // users and hosts found in this line
	unclosed        byte     // the quote of a secret that went on at the end of the text
	openString      int      // where the JSON string began that went on at the end of the text
}

type finding struct {
	kind  string
	value []byte
}

// state is what a scanner knows from the lines before.
type state struct {
	skip     byte // the rest of an enormous secret follows: up to this quote, or up to the next sign if it is a blank
	inString bool // the next piece of a long line begins inside a JSON string
	pem      bool // inside a private key
	pac      bool // inside a proxy script

	element      string // the open XML element whose text is a secret, without prefix
	elementLines int    // how many lines it has been open

	column fieldKind // the next line is a value of this kind (wmic prints the name above the value)

	regSection bool   // inside a registry key that holds secrets
	reg        []byte // a binary registry value that goes on on the next line, as it stands
	regBroken  bool   // it was too long and has been removed; its remaining lines follow
}

// The features of a line decide which passes can find anything in it. Most lines of most logs have few of them.
type features uint32

const (
	hasAt features = 1 << iota
	hasBackslash
	hasSlash
	hasColon
	hasEqual
	hasDot
	hasDash
	hasLess // or & of an escaped one
	hasNUL
	hasPercent
	hasDigit
	hasQuote
	hasBracket

	// Three letters of what a pass looks for, in any letter case. Signs may be taken for letters, which costs time and
	// nothing else.
	mayKey      // -----BEGIN
	mayToken    // eyJ, TlRMTVNTUA, P4=, Basic, Bearer, Negotiate
	mayRegistry // REG_
	mayComputer
	maySerial
	mayNet     // net use, net user
	mayCommand // ConvertTo-SecureString, /SetCredentials
	mayProxy   // PROXY, SOCKS, HTTP, FindProxyForURL
	mayHost
	mayDN     // CN=, DC=
	mayAccess // the log of a proxy: HIER_
	mayZone   // ZoneMap\Domains
	mayRSOP   // gpresult
	mayProse  // a password, a machine or a user named in a sentence
	mayShape  // the prefixes of keys
)

var featureOf = [256]features{
	'@': hasAt, '\\': hasBackslash, '/': hasSlash, ':': hasColon, '=': hasEqual, '.': hasDot, '-': hasDash,
	'<': hasLess, '&': hasLess, 0: hasNUL, '%': hasPercent, '"': hasQuote, '\'': hasQuote, '[': hasBracket,
	'0': hasDigit, '1': hasDigit, '2': hasDigit, '3': hasDigit, '4': hasDigit,
	'5': hasDigit, '6': hasDigit, '7': hasDigit, '8': hasDigit, '9': hasDigit,
}

const trigrams = 1 << 15

// trigramFeature is indexed by three letters of five bits each, which takes upper and lower case for the same.
var trigramFeature = func() *[trigrams]features {
	var t [trigrams]features
	for _, x := range []struct {
		letters string
		f       features
	}{
		{"beg", mayKey},
		{"eyj", mayToken},
		{"lrm", mayToken},
		{"sic", mayToken},
		{"rer", mayToken},
		{"got", mayToken},
		{"p4=", mayToken},
		{"eg_", mayRegistry},
		{"put", mayComputer},
		{"ria", maySerial},
		{"net", mayNet},
		{"rtt", mayCommand},
		{"tcr", mayCommand},
		{"oxy", mayProxy},
		{"cks", mayProxy},
		{"ttp", mayProxy},
		{"hos", mayHost},
		{"cn=", mayDN},
		{"dc=", mayDN},
		{"er_", mayAccess},
		{"zon", mayZone},
		{"sop", mayRSOP},
		{"swo", mayProse},
		{"nwo", mayProse},
		{"pwd", mayProse}, // password, Passwort, Kennwort, pwd
		{"ver", mayProse},
		{"ute", mayProse},
		{"hos", mayProse},
		{"hne", mayProse},
		{"oxy", mayProse}, // server, computer, host, Rechner, proxy
		{"r u", mayProse},
		{"s u", mayProse},
		{"r b", mayProse},
		{"s b", mayProse},
		{"y u", mayProse},
		{"f u", mayProse},
		{"m u", mayProse},
		{"n b", mayProse}, // for, as, by, of, from user; für, als, von Benutzer
		{"aiz", mayShape},
		{"kia", mayShape},
		{"sia", mayShape},
		{"hp_", mayShape},
		{"ho_", mayShape},
		{"hr_", mayShape},
		{"hs_", mayShape},
		{"hu_", mayShape},
		{"ub_", mayShape},
		{"glp", mayShape},
		{"gld", mayShape},
		{"glr", mayShape},
		{"npm", mayShape},
		{"k_l", mayShape},
		{"k_t", mayShape},
		{"xap", mayShape},
		{"xox", mayShape},
	} {
		h := 0
		for _, c := range []byte(x.letters) {
			h = h<<5 | int(c&31)
		}
		t[h] |= x.f
	}
	return &t
}()

func featuresOf(line []byte) (f features) {
	h := uint(0)
	for _, c := range line {
		h = (h<<5 | uint(c&31)) % trigrams
		f |= featureOf[c] | trigramFeature[h]
	}
	return f
}

// line redacts one line of text with its end.
func (s *scanner) line(dst, line []byte, end string) []byte {
	if dst, done := s.registry(dst, line, end); done {
		return dst
	}
	return append(s.redact(dst, line), end...)
}

// maxRounds bounds how often a line is gone over. Two rounds are the rule for a line with findings, one for any other.
const maxRounds = 8

// redact redacts a line without its end, or a part of one. What a pass writes can change what another one sees, in text
// that is garbled at least, so it goes over the line until nothing changes any more. Therefore redacting the result
// again changes nothing: each line is met in the same state and stays as it is.
func (s *scanner) redact(dst, line []byte) []byte {
	before := s.state
	s.cur, s.touched, s.names = line, false, s.names[:0]
	for round := 0; ; round++ {
		s.state, s.changed = before, false
		s.passes()
		if !s.changed {
			break
		}
		if round == maxRounds {
			s.count(Credential, line)
			s.state = before
			dst = append(dst, Mark...)
			s.cur = nil
			return dst
		}
	}
	dst = append(dst, s.cur...)
	s.cur = nil
	return dst
}

func (s *scanner) passes() {
	if s.state.skip != 0 {
		s.skipSecret()
	}
	f := featuresOf(s.cur)
	if f&hasNUL != 0 {
		s.wide()
		f = featuresOf(s.cur)
	}
	if f&(hasBackslash|hasQuote) == hasBackslash|hasQuote || s.state.inString {
		s.jsonStrings()
	}
	if s.state.pem || f&mayKey != 0 {
		s.privateKey()
	}
	if f&mayToken != 0 {
		s.tokens()
	}
	if f&mayShape != 0 {
		s.shapedKeys()
	}
	if f&hasLess != 0 || s.state.element != "" {
		s.elements()
	}
	if s.state.column != noField {
		s.columnValue()
	}
	s.fields(f)
	s.commands(f)
	if f&hasAt != 0 {
		s.userinfo()
	}
	if f&hasDash != 0 && f&hasDigit != 0 {
		s.keys()
		s.sids()
	}
	if f&hasColon != 0 && f&hasSlash != 0 {
		s.urls()
	}
	if f&(hasBackslash|hasSlash) != 0 {
		s.profiles()
	}
	if f&hasBackslash != 0 {
		s.shares()
		s.accounts()
	}
	if f&(hasAt|hasPercent) != 0 {
		s.mails()
	}
	if f&mayDN != 0 {
		s.distinguishedNames()
	}
	s.proxyScript(f)
	s.phrases(f)
	if f&mayProse != 0 {
		s.prose()
	}
	if f&hasDash != 0 {
		s.generatedNames()
	}
	if f&hasDot != 0 {
		s.dottedNames()
	}
	if f&hasDash != 0 {
		s.hardwareAddresses()
	}
	if f&hasColon != 0 {
		s.colonAddresses()
	}
	if f&hasDot != 0 && f&hasDigit != 0 {
		s.ipv4Addresses(f)
	}
	if known := s.r.known.Load(); known != nil {
		s.learned(known)
	}
	if len(s.names) > 0 {
		s.repeatedNames()
	}
}

// begin starts a pass.
func (s *scanner) begin() {
	s.out, s.done, s.edited = s.out[:0], 0, false
}

// cut leaves out cur[i:j]; what replaces it is appended to out by the caller. i must not be smaller than done.
func (s *scanner) cut(i, j int) {
	s.out = append(s.out, s.cur[s.done:i]...)
	s.done = j
	s.touched = s.touched || j == len(s.cur)
	s.edited = true
}

// replace puts text in the place of cur[i:j].
func (s *scanner) replace(i, j int, text string) {
	s.cut(i, j)
	s.out = append(s.out, text...)
}

// end finishes a pass.
func (s *scanner) end() {
	if !s.edited {
		return
	}
	s.out = append(s.out, s.cur[s.done:]...)
	if bytes.Equal(s.out, s.cur) {
		return
	}
	s.changed = true
	// The line that came in belongs to the caller, so there are three buffers: theirs and two of our own.
	s.cur, s.out, s.spare = s.out, s.spare, s.out
}

// nested redacts a text inside the line, such as the decoded form of a part of it.
func (s *scanner) nested(text []byte) []byte {
	n := scanner{r: s.r, dry: s.dry, depth: s.depth + 1}
	return n.redact(nil, text)
}

// count records a replacement, unless this is a trial.
func (s *scanner) count(kind string, value []byte) {
	if kind == User || kind == Host {
		s.remember(kind, value)
	}
	switch {
	case s.dry > 0:
	case s.tentative:
		s.findings = append(s.findings, finding{kind, bytes.Clone(value)})
	default:
		s.r.count(kind, value)
	}
}

// remove appends the mark in the place of a credential.
func (s *scanner) remove(secret []byte) {
	s.count(Credential, secret)
	s.out = append(s.out, Mark...)
}

// isRemoved says whether a value has been removed already.
func isRemoved(value []byte) bool {
	return string(value) == Mark || string(value) == urlMark
}
