package wusp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"updoc/internal/host"
)

// Everything in these tests is invented: ids, names, dates, digests.
const (
	testBase     = "http://WSUS01.fabrikam.example:8530"
	testClientID = "3f2a9c14-77b0-4e0d-9c55-0a1be6d2f381"
	testChange   = "2031-02-03T04:05:06.78Z"
	testCookie   = "UVdFUlRZLWNvb2tpZQ=="
)

var testNow = time.Date(2031, 5, 6, 7, 8, 9, 123_000_000, time.UTC) // never changed

func soap11(inner string) string {
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` + inner + `</s:Body></s:Envelope>`
}

func soap12(inner string) string {
	return `<?xml version="1.0" encoding="utf-8"?><env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Header><x:Trace xmlns:x="urn:x">1</x:Trace></env:Header><env:Body>` + inner + `</env:Body></env:Envelope>`
}

// wrap puts a result into the response of an operation.
func wrap(name, result string) string {
	ns := nsClient
	if name == opAuth {
		ns = nsAuth
	}
	return fmt.Sprintf(`<%sResponse xmlns=%q><%sResult>%s</%sResult></%sResponse>`, name, ns, name, result, name, name)
}

const configResult = `<LastChange>` + testChange + `</LastChange><IsRegistrationRequired>true</IsRegistrationRequired>` +
	`<AuthInfo><AuthPlugInInfo><PlugInID>SimpleTargeting</PlugInID><ServiceUrl>SimpleAuthWebService/SimpleAuth.asmx</ServiceUrl><Parameter/></AuthPlugInInfo></AuthInfo>` +
	`<Properties><ConfigurationProperty><Name>MaxExtendedUpdatesPerRequest</Name><Value>4</Value></ConfigurationProperty>` +
	`<ConfigurationProperty><Name>ProtocolVersion</Name><Value>3.2</Value></ConfigurationProperty></Properties>`

const cookieResult = `<Expiration>2031-05-06T08:08:09.5Z</Expiration><EncryptedData>` + testCookie + `</EncryptedData>`

func fault11(kind, code, message string) string {
	return soap11(`<s:Fault><faultcode>s:` + kind + `</faultcode><faultstring>Fault occurred</faultstring><detail><ErrorCode>` + code +
		`</ErrorCode><Message>` + message + `</Message><ID>0d9f7c52-1b1e-4d53-8f0a-3c7a54e9b002</ID><Method>"` + nsClient + `/SyncUpdates"</Method></detail></s:Fault>`)
}

// answer is an exchange that brought a body.
func answer(status int, body string, header ...string) host.Exchange {
	ex := host.Exchange{
		Status: status, Body: []byte(body), Length: int64(len(body)),
		Header: []host.Field{{Name: "Content-Type", Value: "text/xml; charset=utf-8"}},
		Hops:   []host.Hop{{Kind: host.HopDNS, Target: "wsus"}, {Kind: host.HopTCP, Target: "wsus:8530"}, {Kind: host.HopHTTP, Target: testBase, Status: status}},
	}
	for i := 0; i+1 < len(header); i += 2 {
		name, value := header[i], header[i+1]
		kept := ex.Header[:0]
		for _, f := range ex.Header {
			if !strings.EqualFold(f.Name, name) {
				kept = append(kept, f)
			}
		}
		if ex.Header = kept; value != "" {
			ex.Header = append(ex.Header, host.Field{Name: name, Value: value})
		}
	}
	return ex
}

func broken(kind host.HopKind, fault host.Fault) host.Exchange {
	return host.Exchange{Hops: []host.Hop{{Kind: host.HopDNS}, {Kind: kind, Fault: fault, Seen: "seen"}}}
}

// wire is an Exchanger that asks a function and remembers what was sent.
type wire struct {
	mu   sync.Mutex
	sent []host.Request
	say  func(r host.Request) host.Exchange
}

func (w *wire) Exchange(ctx context.Context, r host.Request) (host.Exchange, error) {
	if err := ctx.Err(); err != nil {
		return host.Exchange{}, err
	}
	w.mu.Lock() // also around say, which may count
	defer w.mu.Unlock()
	w.sent = append(w.sent, r)
	ex := w.say(r)
	ex.Request = r
	return ex, nil
}

// names lists the IDs of what was sent.
func (w *wire) names() string {
	var ids []string
	for _, r := range w.sent {
		ids = append(ids, r.ID)
	}
	return strings.Join(ids, " ")
}

func header(r host.Request, name string) string {
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// problem returns the *Error in err, which must be one.
func problem(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T) is no *Error", err, err)
	}
	return e
}

// pack is an encoder of plain LZ77, written from [MS-XCA] 2.3 for these tests: greedy, and
// with the long lengths that the decoder must know.
func pack(in []byte) []byte {
	out := make([]byte, 4, len(in)+8)
	flagAt, flags, bits, nibble := 0, uint32(0), 0, 0
	flag := func(b uint32) {
		if bits == 32 {
			binary.LittleEndian.PutUint32(out[flagAt:], flags)
			flagAt, flags, bits = len(out), 0, 0
			out = append(out, 0, 0, 0, 0)
		}
		flags = flags<<1 | b
		bits++
	}
	last := map[[3]byte]int{}
	for i := 0; i < len(in); {
		length, offset := 0, 0
		if i+3 <= len(in) {
			key := [3]byte(in[i : i+3])
			if at, ok := last[key]; ok && i-at <= 8192 {
				for offset = i - at; i+length < len(in) && in[at+length] == in[i+length]; {
					length++
				}
			}
			last[key] = i
		}
		if length < 3 {
			flag(0)
			out = append(out, in[i])
			i++
			continue
		}
		flag(1)
		n := length - 3
		out = binary.LittleEndian.AppendUint16(out, uint16((offset-1)<<3|min(n, 7)))
		if n >= 7 {
			half := byte(min(n-7, 15))
			if nibble == 0 {
				nibble = len(out)
				out = append(out, half)
			} else {
				out[nibble] |= half << 4
				nibble = 0
			}
			if n >= 22 {
				if n-22 < 255 {
					out = append(out, byte(n-22))
				} else {
					out = binary.LittleEndian.AppendUint16(append(out, 255), uint16(n))
				}
			}
		}
		i += length
	}
	flag(1) // the end
	for bits < 32 {
		flags, bits = flags<<1|1, bits+1
	}
	binary.LittleEndian.PutUint32(out[flagAt:], flags)
	return out
}

// xpressed makes a body as IIS does: blocks, stored where packing does not help.
func xpressed(in []byte) []byte {
	var out []byte
	for len(in) > 0 {
		block := in[:min(len(in), 16352)]
		in = in[len(block):]
		packed := pack(block)
		if len(packed) >= len(block) {
			packed = block
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(packed)))
		out = append(out, packed...)
	}
	return out
}

func mustHost(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
