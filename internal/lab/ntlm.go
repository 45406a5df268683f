package lab

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what NTLM is made of
	"crypto/rc4" //nolint:gosec // what NTLM is made of
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM is made of it
)

// The server's side of NTLM version 2, of [MS-NLMP]. Version 1 and anonymous sign-ins
// are refused.

// Flags of [MS-NLMP] section 2.2.2.5.
const (
	ntlmUnicode     = 0x00000001
	ntlmTarget      = 0x00000004
	ntlmSign        = 0x00000010
	ntlmNTLM        = 0x00000200
	ntlmAlwaysSign  = 0x00008000
	ntlmDomain      = 0x00010000
	ntlmExtended    = 0x00080000
	ntlmTargetInfo  = 0x00800000
	ntlmVersion     = 0x02000000
	ntlm128         = 0x20000000
	ntlmKeyExchange = 0x40000000
	ntlm56          = 0x80000000
)

// Kinds of AV pairs: section 2.2.2.1.
const (
	avEnd         = 0
	avNetBIOSHost = 1
	avNetBIOSName = 2
	avDNSHost     = 3
	avDNSName     = 4
	avFlags       = 6
	avTimestamp   = 7
)

const ntlmSignature = "NTLMSSP\x00"

var errNTLM = errors.New("malformed NTLM message")

// ntlm is one sign-in on one connection.
type ntlm struct {
	domain, host string // NetBIOS names of the server
	suffix       string // its DNS domain
	challenge    [8]byte
	first        []byte // the client's first message
	second       []byte // the server's
}

// kindOf tells which of the three messages this is.
func ntlmKind(b []byte) int {
	if len(b) < 12 || string(b[:8]) != ntlmSignature {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b[8:]))
}

// begin answers the first message.
func (n *ntlm) begin(first []byte, now time.Time) ([]byte, error) {
	if ntlmKind(first) != 1 || len(first) < 16 || len(first) > 4096 {
		return nil, errNTLM
	}
	le := binary.LittleEndian
	asked := le.Uint32(first[12:])
	if asked&ntlmNTLM == 0 {
		return nil, fmt.Errorf("%w: the client does not offer NTLM", errNTLM)
	}
	flags := uint32(ntlmUnicode | ntlmTarget | ntlmNTLM | ntlmAlwaysSign | ntlmDomain | ntlmExtended | ntlmTargetInfo | ntlmVersion)
	flags |= asked & (ntlmSign | ntlm128 | ntlm56 | ntlmKeyExchange)
	target := utf16le(n.domain)
	var info []byte
	for _, p := range []struct {
		kind  uint16
		value []byte
	}{
		{avNetBIOSName, target},
		{avNetBIOSHost, utf16le(n.host)},
		{avDNSName, utf16le(n.suffix)},
		{avDNSHost, utf16le(strings.ToLower(n.host) + "." + n.suffix)},
		{avTimestamp, le.AppendUint64(nil, fileTime(now))},
		{avEnd, nil},
	} {
		info = le.AppendUint16(info, p.kind)
		info = le.AppendUint16(info, uint16(len(p.value)))
		info = append(info, p.value...)
	}
	const fixed = 56
	m := append([]byte(ntlmSignature), 2, 0, 0, 0)
	m = field(m, len(target), fixed)
	m = le.AppendUint32(m, flags)
	m = append(m, n.challenge[:]...)
	m = append(m, make([]byte, 8)...)
	m = field(m, len(info), fixed+len(target))
	m = append(m, 10, 0, 0x5f, 0x45, 0, 0, 0, 15) // version 10.0.17759, NTLM revision 15
	m = append(append(m, target...), info...)
	n.first, n.second = bytes.Clone(first), m
	return m, nil
}

// field writes the length, the room and the place of a part of a message.
func field(m []byte, size, at int) []byte {
	m = binary.LittleEndian.AppendUint16(m, uint16(size))
	m = binary.LittleEndian.AppendUint16(m, uint16(size))
	return binary.LittleEndian.AppendUint32(m, uint32(at))
}

// part reads what a field at some place points to.
func part(m []byte, at int) ([]byte, error) {
	if len(m) < at+8 {
		return nil, errNTLM
	}
	size, from := int(binary.LittleEndian.Uint16(m[at:])), int64(binary.LittleEndian.Uint32(m[at+4:]))
	if size == 0 {
		return nil, nil
	}
	if from+int64(size) > int64(len(m)) {
		return nil, errNTLM
	}
	return m[from : from+int64(size)], nil
}

// errNTLMRefused is a well-formed answer that proves nothing.
var errNTLMRefused = errors.New("NTLM sign-in refused")

// finish checks the third message and says who signed in.
func (n *ntlm) finish(third []byte, account func(domain, name string) (user, password string, ok bool)) (string, error) {
	if n.second == nil || ntlmKind(third) != 3 || len(third) < 64 || len(third) > 64<<10 {
		return "", errNTLM
	}
	var parts [6][]byte // LM, NT, domain, user, workstation, session key
	for i := range parts {
		var err error
		if parts[i], err = part(third, 12+8*i); err != nil {
			return "", err
		}
	}
	response, flags := parts[1], binary.LittleEndian.Uint32(third[60:])
	text := func(b []byte) string {
		if flags&ntlmUnicode == 0 {
			return string(b)
		}
		return fromUTF16le(b)
	}
	domain, name := text(parts[2]), text(parts[3])
	if len(response) < 16+28+4 || response[16] != 1 || response[17] != 1 {
		return "", fmt.Errorf("%w: not version 2", errNTLMRefused)
	}
	user, password, ok := account(domain, name)
	if !ok || name == "" {
		return "", fmt.Errorf("%w: no such account", errNTLMRefused)
	}
	// Section 3.3.2: the key knows the name in capitals and the domain as it was sent.
	key := hmacMD5(ntHash(password), utf16le(strings.ToUpper(name)+domain))
	proof := hmacMD5(key, n.challenge[:], response[16:])
	if !hmac.Equal(proof, response[:16]) {
		return "", fmt.Errorf("%w: wrong password", errNTLMRefused)
	}
	if avPairs(response[16+28:])[avFlags]&2 == 0 {
		return user, nil
	}
	// Section 3.2.5.1.2: the client says that its messages are sealed together.
	session := hmacMD5(key, proof)
	if flags&ntlmKeyExchange != 0 {
		c, err := rc4.NewCipher(session)
		if err != nil || len(parts[5]) != 16 {
			return "", errNTLM
		}
		open := make([]byte, 16)
		c.XORKeyStream(open, parts[5])
		session = open
	}
	const micAt = 72
	if len(third) < micAt+16 {
		return "", errNTLM
	}
	bare := bytes.Clone(third)
	clear(bare[micAt : micAt+16])
	if !hmac.Equal(hmacMD5(session, n.first, n.second, bare), third[micAt:micAt+16]) {
		return "", fmt.Errorf("%w: the messages were changed on the way", errNTLMRefused)
	}
	return user, nil
}

// avPairs reads the numbers among AV pairs.
func avPairs(b []byte) map[uint16]uint32 {
	out := map[uint16]uint32{}
	for len(b) >= 4 {
		kind, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		if kind == avEnd || size > len(b) {
			break
		}
		if size == 4 {
			out[kind] = binary.LittleEndian.Uint32(b)
		}
		b = b[size:]
	}
	return out
}

// ntHash is the hash that Windows keeps of a password: section 3.3.1.
func ntHash(password string) []byte {
	h := md4.New()
	h.Write(utf16le(password))
	return h.Sum(nil)
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func utf16le(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

func fromUTF16le(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

// fileTime is tenths of microseconds since 1601.
func fileTime(t time.Time) uint64 {
	const since1601 = 11644473600
	return uint64(t.Unix()+since1601)*1e7 + uint64(t.Nanosecond()/100)
}

// oidNTLM names NTLM in SPNEGO: RFC 4178, [MS-SPNG]; 1.3.6.1.4.1.311.2.2.10.
const oidNTLM = "\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"

// spnegoInner finds the NTLM message in a token: the token itself, or what SPNEGO wraps.
func spnegoInner(token []byte) (inner []byte, wrapped bool) {
	at := bytes.Index(token, []byte(ntlmSignature))
	switch {
	case at == 0:
		return token, false
	case at < 2:
		return nil, false
	}
	// The octet string before it says how long it is.
	head := token[:at]
	for n := range 4 {
		if size, ok := derLength(head, n); ok && size <= len(token)-at {
			return token[at : at+size], true
		}
	}
	return nil, true
}

// derLength reads the length of an octet string that ends at the end of b, written in
// one byte (n = 0) or in n more.
func derLength(b []byte, n int) (int, bool) {
	if len(b) < n+2 || b[len(b)-n-2] != 0x04 {
		return 0, false
	}
	first, rest := b[len(b)-n-1], b[len(b)-n:]
	if n == 0 {
		return int(first), first < 0x80
	}
	size := 0
	for _, c := range rest {
		size = size<<8 | int(c)
	}
	return size, first == 0x80|byte(n)
}

// spnegoReply wraps the server's message: a NegTokenResp that is not complete.
func spnegoReply(inner []byte) []byte {
	return der(0xa1, der(0x30, append(append(
		der(0xa0, []byte{0x0a, 1, 1}),
		der(0xa1, []byte(oidNTLM))...),
		der(0xa2, der(0x04, inner))...)))
}

func der(kind byte, body []byte) []byte {
	out := []byte{kind}
	switch n := len(body); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	default:
		out = append(out, 0x82, byte(n>>8), byte(n))
	}
	return append(out, body...)
}
