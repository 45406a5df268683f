package winlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The binary proxy settings in the registry. Microsoft documents neither; the
// layout is known from what netsh winhttp and Internet Options write and from
// what Wine reads:
//
//	0   mark     0x18 WinHTTP; 0x28 WinHTTP of newer builds
//	             0x46 Internet settings; 0x3C those of Internet Explorer 6 and 7
//	4   counter  of changes; 0 in WinHTTP's
//	8   flags    1 direct, 2 static proxy, 4 PAC, 8 detect
//	12  proxy    length u32 and that many bytes of ANSI text
//	    bypass   likewise
//	    PAC URL  likewise; not with mark 0x18, and not surely with 0x28
//	    ...      further bytes: 32, as a rule zero, in the Internet settings
//
// WinHttpSettings stands in HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\
// Internet Settings\Connections, DefaultConnectionSettings in the same key of
// HKCU and of HKLM.

// Marks of [ProxyBlob].
const (
	MarkWinHTTP       = 0x18
	MarkWinHTTPNew    = 0x28
	MarkConnection    = 0x46
	MarkConnectionOld = 0x3C
)

// Flags of [ProxyBlob].
const (
	ProxyFlagDirect = 1 // always set
	ProxyFlagStatic = 2
	ProxyFlagAuto   = 4
	ProxyFlagDetect = 8
)

// ProxyBlob is a binary proxy setting. Its texts are as stored, in the machine's
// ANSI code page, which for host names is ASCII.
type ProxyBlob struct {
	Mark    uint32
	Counter uint32
	Flags   uint32
	Proxy   string // "proxy.example:8080", "http=a:1;https=b:2"
	Bypass  string // ';' between entries; "<local>" stands for names without a dot
	PAC     string // URL
	Tail    []byte // what follows; kept so that nothing is lost when it is written back

	noPAC bool // mark 0x28 without a third text
}

// Direct tells that no proxy of any kind is set.
func (p ProxyBlob) Direct() bool {
	return p.Flags&(ProxyFlagStatic|ProxyFlagAuto|ProxyFlagDetect) == 0
}

// Static tells that the proxy in Proxy is switched on.
func (p ProxyBlob) Static() bool { return p.Flags&ProxyFlagStatic != 0 }

// Auto tells that a PAC script is switched on.
func (p ProxyBlob) Auto() bool { return p.Flags&ProxyFlagAuto != 0 }

// Detect tells that the proxy is looked for with WPAD.
func (p ProxyBlob) Detect() bool { return p.Flags&ProxyFlagDetect != 0 }

var (
	errBlobMark  = errors.New("unknown mark")
	errBlobShort = errors.New("ends too early")
)

// ParseWinHTTPBlob reads WinHttpSettings. Data with an unknown mark, or that ends
// within a text, is an error: what it means is then not known.
func ParseWinHTTPBlob(b []byte) (ProxyBlob, error) {
	p, rest, err := parseProxyBlob(b, MarkWinHTTP, MarkWinHTTPNew)
	if err != nil {
		return ProxyBlob{}, fmt.Errorf("WinHttpSettings: %w", err)
	}
	if p.Mark == MarkWinHTTPNew {
		// Whether a PAC URL comes next is not certain: it must look like one.
		if pac, after, ok := blobText(rest); ok && (pac == "" || looksLikeURL(pac)) {
			p.PAC, rest = pac, after
		} else {
			p.noPAC = true
		}
	}
	p.Tail = bytes.Clone(rest)
	return p, nil
}

// ParseConnectionBlob reads DefaultConnectionSettings or SavedLegacySettings,
// with the same errors as [ParseWinHTTPBlob].
func ParseConnectionBlob(b []byte) (ProxyBlob, error) {
	p, rest, err := parseProxyBlob(b, MarkConnection, MarkConnectionOld)
	if err == nil {
		var ok bool
		if p.PAC, rest, ok = blobText(rest); !ok {
			err = errBlobShort
		}
	}
	if err != nil {
		return ProxyBlob{}, fmt.Errorf("DefaultConnectionSettings: %w", err)
	}
	p.Tail = bytes.Clone(rest)
	return p, nil
}

// parseProxyBlob reads what both have in common.
func parseProxyBlob(b []byte, marks ...uint32) (p ProxyBlob, rest []byte, err error) {
	if len(b) < 12 {
		return p, nil, errBlobShort
	}
	le := binary.LittleEndian
	p.Mark, p.Counter, p.Flags = le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])
	known := false
	for _, m := range marks {
		known = known || p.Mark == m
	}
	if !known {
		return p, nil, fmt.Errorf("%w %#x", errBlobMark, p.Mark)
	}
	var ok1, ok2 bool
	p.Proxy, rest, ok1 = blobText(b[12:])
	p.Bypass, rest, ok2 = blobText(rest)
	if !ok1 || !ok2 {
		return p, nil, errBlobShort
	}
	return p, rest, nil
}

// blobText reads a counted text.
func blobText(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

func looksLikeURL(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return strings.Contains(s, "://")
}

// Encode returns the bytes of the setting. What a parser returned encodes to
// exactly the bytes that it was given. Windows notices a change only if Counter
// differs from what it was.
func (p ProxyBlob) Encode() []byte {
	b := make([]byte, 0, 24+len(p.Proxy)+len(p.Bypass)+len(p.PAC)+len(p.Tail))
	le := binary.LittleEndian
	b = le.AppendUint32(b, p.Mark)
	b = le.AppendUint32(b, p.Counter)
	b = le.AppendUint32(b, p.Flags)
	texts := []string{p.Proxy, p.Bypass, p.PAC}
	if p.Mark == MarkWinHTTP || p.noPAC {
		texts = texts[:2]
	}
	for _, s := range texts {
		b = le.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return append(b, p.Tail...)
}
