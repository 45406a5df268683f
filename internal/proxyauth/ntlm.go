package proxyauth

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/Azure/go-ntlmssp"
)

// ntlmNegotiate is the first message. The names in it would be the machine's own, and
// are better left out.
func ntlmNegotiate() ([]byte, error) { return ntlmssp.NewNegotiateMessage("", "") }

// ntlmAuthenticate is the third message, in answer to the second: NTLMv2, whatever
// the other side would rather have.
func ntlmAuthenticate(challenge []byte, c Credentials) ([]byte, error) {
	m, err := mendNTLM(challenge)
	if err != nil {
		return nil, err
	}
	return ntlmssp.NewAuthenticateMessage(m, c.Login(), c.Password.Reveal(), nil)
}

// mendNTLM writes a CHALLENGE_MESSAGE anew with what the answer is made of: flags,
// the server's nonce and the target information. The name of the target is left out: it
// is not used, and some senders, squid's ntlm_fake_auth among them, put an offset there
// that lies outside the message; the same sends back the flag of target information and
// has none. Flags that were not offered cannot have been agreed on.
// learn.microsoft.com: [MS-NLMP] section 2.2.1.2.
func mendNTLM(m []byte) ([]byte, error) {
	const (
		flagsAt, nonceAt, infoAt, payloadAt = 20, 24, 40, 48

		lmKey       = 1 << 7
		targetInfo  = 1 << 23
		keyExchange = 1 << 30
	)
	if len(m) < nonceAt+8 || !bytes.HasPrefix(m, []byte("NTLMSSP\x00\x02\x00\x00\x00")) {
		return nil, errors.New("not an NTLM challenge")
	}
	flags := binary.LittleEndian.Uint32(m[flagsAt:]) &^ (lmKey | keyExchange)
	var info []byte
	if flags&targetInfo != 0 && len(m) >= payloadAt {
		n, at := uint64(binary.LittleEndian.Uint16(m[infoAt:])), uint64(binary.LittleEndian.Uint32(m[infoAt+4:]))
		if at >= payloadAt && at+n <= uint64(len(m)) {
			info = m[at : at+n]
		}
	}
	out := make([]byte, payloadAt, payloadAt+len(info))
	copy(out, m[:12])
	binary.LittleEndian.PutUint32(out[flagsAt:], flags)
	copy(out[nonceAt:], m[nonceAt:nonceAt+8])
	if len(info) > 0 {
		binary.LittleEndian.PutUint16(out[infoAt:], uint16(len(info)))
		binary.LittleEndian.PutUint16(out[infoAt+2:], uint16(len(info)))
		binary.LittleEndian.PutUint32(out[infoAt+4:], payloadAt)
	}
	return append(out, info...), nil
}
