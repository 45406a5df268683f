package wusp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"

	"updoc/internal/host"
)

// check holds what is true of every answer: an error is an *Error whose words are
// fit for a report, and marking the exchange with it breaks exactly the last hop.
func check(t *testing.T, ex host.Exchange, err error) {
	if err == nil {
		return
	}
	e := problem(t, err)
	if e.Fault == "" || e.Hop == "" || len(e.Seen) > 600 || strings.ContainsFunc(e.Seen, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("%+v", e)
	}
	marked := e.Mark(ex)
	if b := marked.Broken(); b == nil || b != &marked.Hops[len(marked.Hops)-1] {
		t.Fatalf("broken hop %+v of %d", b, len(marked.Hops))
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, body := range []string{
		soap11(wrap(opConfig, configResult)), soap12(wrap(opCookie, cookieResult)), soap11(wrap(opAuth, `<PlugInId>a</PlugInId><CookieData>QUJD</CookieData>`)),
		soap11(wrap(opSync, `<NewUpdates>`+info(1, "Software", "Install", true, always)+`</NewUpdates><Truncated>false</Truncated>`)),
		soap11(wrap(opExtended, `<Updates><Update><ID>1</ID><Xml>`+escape(`<Files><File Digest="`+sum1B64+`" DigestAlgorithm="SHA1" Size="1"/></Files>`)+`</Xml></Update></Updates>`)),
		soap11(wrap(opLocations, `<FileLocations><FileLocation><FileDigest>`+sum1B64+`</FileDigest><Url>http://a/</Url></FileLocation></FileLocations>`)),
		string(xpressed([]byte(soap11(wrap(opConfig, configResult))))), "<html>", "",
	} {
		f.Add([]byte(body), 200, "")
		f.Add([]byte(body), 500, "xpress")
	}
	f.Fuzz(func(t *testing.T, body []byte, status int, encoding string) {
		ex := answer(status, string(body), "Content-Encoding", encoding)
		_, err := ReadConfig(ex)
		check(t, ex, err)
		_, err = ReadAuthorization(ex)
		check(t, ex, err)
		_, err = ReadCookie(ex)
		check(t, ex, err)
		p, err := ReadUpdates(ex)
		check(t, ex, err)
		if len(p.New) > maxList {
			t.Fatalf("%d updates", len(p.New))
		}
		x, err := ReadExtended(ex)
		check(t, ex, err)
		for _, l := range x.Locations {
			if !strings.HasPrefix(strings.ToLower(l.URL), "http") || len(l.Digest) != 40 {
				t.Fatalf("%+v", l)
			}
		}
		_, _, err = ReadLocations(ex)
		check(t, ex, err)
	})
}

func FuzzFault(f *testing.F) {
	for _, s := range []string{
		`<s:Fault><faultcode>s:Client</faultcode><faultstring>Fault occurred</faultstring><detail><ErrorCode>ConfigChanged</ErrorCode><Message/><ID>1</ID><Method>"x"</Method></detail></s:Fault>`,
		`<s:Fault/>`, `<s:Fault><detail><ErrorCode>ServerBusy`, `<s:Fault><faultcode>Client.a:b.c</faultcode></s:Fault>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		for _, body := range []string{soap11(inner), soap12(strings.ReplaceAll(inner, "s:", "env:"))} {
			ex := answer(500, body)
			_, err := ReadConfig(ex)
			check(t, ex, err)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatal("a 500 was taken for an answer")
			}
			if s := e.SOAP; s != nil && (s.Meaning == "" || s.HResult == 0 || len([]rune(s.Code)) > 83 || len([]rune(s.Message)) > 403) {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func FuzzXpress(f *testing.F) {
	f.Add([]byte("abcabcabcabc"))
	f.Add(bytes.Repeat([]byte{'a'}, 500))
	f.Add(xpressed([]byte(soap11(wrap(opConfig, configResult)))))
	f.Fuzz(func(t *testing.T, in []byte) {
		// As an answer, it is bounded and does not panic.
		if out, err := expand(in, 1<<20); len(out) > 1<<20 || err != nil && !errors.Is(err, errXpress) && !errors.Is(err, errBound) {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		// As data, it survives the way there and back.
		out, err := expand(xpressed(in), 1<<24)
		if err != nil || !bytes.Equal(out, in) {
			t.Fatalf("%x comes back as %x: %v", in, out, err)
		}
	})
}

func FuzzLocator(f *testing.F) {
	f.Add(signed(cabinet("environment.cab", cabinet("environment.xml", []byte(environmentXML)))))
	f.Add(cabinet("environment.xml", []byte("<a b='http://x/'>")))
	f.Add([]byte("MSCF"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, ex := range []host.Exchange{
			answer(200, string(body), "Content-Type", "application/octet-stream"),
			answer(200, string(cabinet("environment.xml", body)), "Content-Type", "application/octet-stream"),
		} {
			env, err := ReadEnvironment(ex)
			check(t, ex, err)
			if err == nil && len(env.Endpoints) == 0 || len(env.Endpoints) > maxEndpoints {
				t.Fatalf("%+v", env)
			}
		}
	})
}
