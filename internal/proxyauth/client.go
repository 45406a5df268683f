package proxyauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Errors of [Client.Answer]. They end a sign-in.
var (
	// ErrNoScheme means that nothing of what was offered can be answered: the scheme
	// is unknown or forbidden, or what it needs was not given.
	ErrNoScheme = errors.New("no offered scheme can be answered")
	// ErrRefused means that the credentials were presented in full and the answer was
	// another challenge.
	ErrRefused = errors.New("the credentials were refused")
	// ErrHandshake means that NTLM or Negotiate began and was not taken to its end:
	// the other side forgot the first message, closed the connection between two legs,
	// or sent one that makes no sense. The credentials have not been judged. A device
	// between the two that spreads one connection over several is a common reason.
	ErrHandshake = errors.New("the sign-in was not carried to its end")
)

// A Tokener makes the tokens of Negotiate for one service: from a Kerberos ticket
// ([Ticket]), or from SSPI on Windows, where it may be the account the process runs as.
//
// Token returns the token to send next. received is what the other side sent, nil
// at the beginning of a connection; each nil begins anew. The error must not hold secrets.
type Tokener interface {
	Token(received []byte) ([]byte, error)
}

// Client answers the challenges of one connection. The zero value answers nothing;
// with Credentials it answers with the strongest scheme that is offered, in the order
// Negotiate (if there are Tokens), NTLM, Digest, Basic. It is not safe for
// concurrent use.
//
// The same password is never presented twice by the same scheme after it was refused: a few
// such attempts lock an account (learn.microsoft.com: Account lockout threshold).
type Client struct {
	Credentials

	Tokens  Tokener  // the source of Negotiate's tokens; nil: Negotiate, offered without NTLM, is answered with NTLM's messages
	Schemes []string // the schemes that may be answered; nil means all
	NoPlain bool     // never send Basic, which is the password in clear text
	Weaker  bool     // after a refusal, go on to the next weaker scheme that is offered

	way      way
	state    state
	fresh    bool // the answer given last needs a new connection
	moved    bool // there has been one since the answer before
	legs     int  // sent, of NTLM or Negotiate
	broken   int  // times a connection ended between two legs
	staled   int  // stale nonces in a row
	digest   *digest
	offered  []Challenge // the last of each scheme that can be answered
	spent    [ways]error // why a way was given up
	finished error       // what ended the sign-in
}

// way is a scheme and how it is answered.
type way int

const (
	noWay     way = iota
	byTokens      // Negotiate with a Tokener
	byNTLM        // NTLM
	byRawNTLM     // NTLM's messages under the name of Negotiate, as Windows sends them outside a domain; [MS-NTHT]
	byDigest
	byBasic
	ways
)

func (w way) scheme() string {
	return [ways]string{"", Negotiate, NTLM, Negotiate, Digest, Basic}[w]
}

// bound reports whether the way signs in a connection rather than a request.
func (w way) bound() bool { return w == byTokens || w == byNTLM || w == byRawNTLM }

type state int

const (
	idle     state = iota
	begun          // a leg was sent, the other side owes a token
	answered       // all was said
	accepted
)

// Bounds of a sign-in, against a peer that never comes to an end.
const (
	maxLegs   = 8 // Kerberos needs one or two, NTLM two, SPNEGO with a detour four
	maxStaled = 3
	maxBroken = 1
)

// Answer returns what to send in Proxy-Authorization (or Authorization) in answer to
// the challenges of a 407 (401), and the scheme of it. The uri is the request's target
// exactly as it is sent. After the answer has been sent there are three ways: another
// challenge is given to Answer again; anything else is told by [Client.Accepted]; a
// connection that ended is told by [Client.Reconnected].
//
// The error is or wraps [ErrNoScheme], [ErrRefused] or [ErrHandshake], is final, and the
// scheme beside it is the one that failed last, "" if none was tried.
func (c *Client) Answer(method, uri string, challenges []Challenge) (scheme, header string, err error) {
	if c.finished != nil {
		return c.way.scheme(), "", c.finished
	}
	c.fresh = false
	if c.state == begun || c.state == answered {
		header, err = c.goOn(method, uri, challenges)
		if err == nil {
			return c.way.scheme(), header, nil
		}
		c.spent[c.way] = err
		if !c.Weaker {
			c.finished = err
			return c.way.scheme(), "", err
		}
		c.fresh = c.way.bound() && !c.moved
	}
	c.moved = false
	c.remember(challenges)
	for w := noWay + 1; w < ways; w++ {
		if c.spent[w] != nil || !c.suits(w) {
			continue
		}
		c.legs = 0
		if header, err = c.begin(w, method, uri); err != nil {
			c.spent[w] = err
			continue
		}
		c.way = w
		return w.scheme(), header, nil
	}
	c.finished = c.verdict(challenges)
	return c.way.scheme(), "", c.finished
}

// More reports that the answer given last only opens a handshake: another 407 is
// certain, so a request need not carry its body yet.
func (c *Client) More() bool {
	return c.state == begun && (c.way == byNTLM || c.way == byRawNTLM)
}

// Fresh reports that the answer given last must travel on a new connection: NTLM or
// Negotiate failed on the old one, and a proxy may go on to hold that against
// whatever else is said there, as squid does.
func (c *Client) Fresh() bool { return c.fresh }

// Accepted tells that the last request was not challenged.
func (c *Client) Accepted() {
	c.state, c.fresh, c.broken, c.staled = accepted, false, 0, 0
}

// Reconnected tells that what is sent next travels on a new connection. It is called
// before the challenge that came at the end of the old one is answered, and after an
// answer that needs a [Client.Fresh] connection.
func (c *Client) Reconnected() {
	if c.fresh {
		c.fresh = false
		return
	}
	if !c.way.bound() {
		return
	}
	switch c.state {
	case begun:
		c.broken++
		c.state = idle
		if c.broken > maxBroken {
			c.spent[c.way] = fmt.Errorf("%w: %s: the connection ends between its legs", ErrHandshake, c.way.scheme())
			if !c.Weaker {
				c.finished = c.spent[c.way]
			}
		}
	case accepted:
		c.state = idle
	case answered: // and it stays so: its refusal may be what ended the connection
		c.moved = true
	case idle:
	}
}

// Header returns what to send with a request before it is challenged: Basic and
// Digest sign in each request once they were accepted. It is "" when nothing is due.
func (c *Client) Header(method, uri string) string {
	if c.state != accepted {
		return ""
	}
	switch c.way {
	case byBasic:
		return c.basic()
	case byDigest:
		if h, err := c.digest.header(method, uri, c.Credentials); err == nil {
			return h
		}
	}
	return ""
}

// suits reports whether a way is offered, allowed and provided for; what is missing
// is noted for the verdict.
func (c *Client) suits(w way) bool {
	if !offers(c.offered, w.scheme()) {
		return false
	}
	var why string
	switch {
	case !c.allows(w.scheme()):
		why = "not allowed"
	case w == byTokens:
		return c.Tokens != nil
	case c.User == "":
		why = "no user name was given"
	case w == byRawNTLM && offers(c.offered, NTLM) && c.allows(NTLM):
		return false // it would say the same twice
	case w == byBasic && c.NoPlain:
		why = "it would send the password in clear text"
	case w == byBasic && strings.ContainsFunc(c.Login()+c.Password.Reveal(), isControl):
		why = "a control character in the user name or password"
	case w == byBasic && strings.Contains(c.Login(), ":"):
		why = "it allows no colon in a user name" // RFC 7617 section 2
	default:
		return true
	}
	c.spent[w] = errors.New(why)
	return false
}

func (c *Client) allows(scheme string) bool {
	return c.Schemes == nil || slices.Contains(c.Schemes, scheme)
}

// remember notes what is offered now, and keeps what was offered before: squid for
// one names all schemes at first, and after an answer the one that was used.
func (c *Client) remember(challenges []Challenge) {
	var all []Challenge
	for w := noWay + 1; w < ways; w++ {
		scheme := w.scheme()
		if offers(all, scheme) {
			continue
		}
		from := challenges
		if !offers(challenges, scheme) {
			from = c.offered
		}
		for _, ch := range from {
			if ch.Scheme == scheme {
				all = append(all, ch)
			}
		}
	}
	c.offered = all
}

func offers(challenges []Challenge, scheme string) bool {
	return slices.ContainsFunc(challenges, func(ch Challenge) bool { return ch.Scheme == scheme })
}

// begin makes the first answer of a way.
func (c *Client) begin(w way, method, uri string) (string, error) {
	switch w {
	case byBasic:
		c.state = answered
		return c.basic(), nil
	case byDigest:
		d, err := newDigest(c.offered)
		if err != nil {
			return "", err
		}
		return c.answerDigest(d, method, uri)
	}
	return c.leg(w, nil)
}

// goOn answers a challenge that follows an answer.
func (c *Client) goOn(method, uri string, challenges []Challenge) (string, error) {
	switch {
	case c.way == byDigest:
		// A nonce that is over says nothing about the password; RFC 7616 section 3.3.
		d, err := newDigest(challenges)
		if err == nil && d.stale() && c.staled < maxStaled {
			c.staled++
			return c.answerDigest(d, method, uri)
		}
	case c.way.bound() && c.state == begun:
		token := received(challenges, c.way.scheme())
		if token != nil {
			return c.leg(c.way, token)
		}
		// NTLM's first leg says nothing of the user. A token of Kerberos says all.
		if c.way != byTokens {
			return "", fmt.Errorf("%w: %s: no answer to the first message", ErrHandshake, c.way.scheme())
		}
	}
	return "", fmt.Errorf("%w (%s)", ErrRefused, c.way.scheme())
}

func (c *Client) answerDigest(d *digest, method, uri string) (string, error) {
	h, err := d.header(method, uri, c.Credentials)
	if err != nil {
		return "", err
	}
	c.digest, c.state = d, answered
	return h, nil
}

// leg makes the next message of NTLM or Negotiate.
func (c *Client) leg(w way, token []byte) (string, error) {
	if c.legs++; c.legs > maxLegs {
		return "", fmt.Errorf("%w: %s: more than %d legs", ErrHandshake, w.scheme(), maxLegs)
	}
	next := begun
	var message []byte
	var err error
	switch {
	case w == byTokens:
		message, err = c.Tokens.Token(token)
	case token == nil:
		message, err = ntlmNegotiate()
	default:
		next = answered
		message, err = ntlmAuthenticate(token, c.Credentials)
	}
	switch {
	case err != nil && token == nil:
		return "", err
	case err != nil:
		return "", fmt.Errorf("%w: %s: %w", ErrHandshake, w.scheme(), err)
	case len(message) == 0:
		return "", fmt.Errorf("%w: %s: nothing more to say", ErrHandshake, w.scheme())
	}
	c.state = next
	return w.scheme() + " " + base64.StdEncoding.EncodeToString(message), nil
}

// received returns the token that came with a scheme, nil if none did.
func received(challenges []Challenge, scheme string) []byte {
	for _, ch := range challenges {
		if ch.Scheme == scheme && len(ch.Token) > 0 {
			return ch.Token
		}
	}
	return nil
}

// basic is sent in UTF-8, which is what charset="UTF-8" asks for and what proxies
// that say nothing expect today; RFC 7617 section 2.1.
func (c *Client) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(norm.NFC.String(c.Login()+":"+c.Password.Reveal())))
}

// verdict says why nothing is left to try. It names known schemes alone: what else
// stands in a challenge is the other side's, and might be what it was sent.
func (c *Client) verdict(challenges []Challenge) error {
	var failed []error
	for _, err := range c.spent {
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrHandshake) {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	var why []string
	var inner []error
	unknown := 0
	for _, ch := range challenges {
		if !slices.Contains(known(), ch.Scheme) {
			unknown++
			continue
		}
		reason := ch.Scheme
		for w := noWay + 1; w < ways; w++ {
			if w.scheme() == ch.Scheme && c.spent[w] != nil {
				reason = fmt.Sprintf("%s (%v)", ch.Scheme, c.spent[w])
				inner = append(inner, c.spent[w])
				break
			}
		}
		if !slices.Contains(why, reason) {
			why = append(why, reason)
		}
	}
	if unknown > 0 {
		why = append(why, fmt.Sprintf("%d unknown", unknown))
	}
	if len(why) == 0 {
		return fmt.Errorf("%w: none was offered", ErrNoScheme)
	}
	return &noScheme{text: strings.Join(why, ", "), inner: inner}
}

// noScheme is ErrNoScheme with the reasons.
type noScheme struct {
	text  string
	inner []error
}

func (e *noScheme) Error() string   { return ErrNoScheme.Error() + ": " + e.text }
func (e *noScheme) Unwrap() []error { return append([]error{ErrNoScheme}, e.inner...) }
