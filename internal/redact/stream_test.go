package redact

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// document is a text with findings of all sorts in it.
const document = "\xEF\xBB\xBF2031-02-03 04:05:06, Info  CBS  Package_for_KB5099999~31bf3856ad364e35~amd64~~10.0.1.1\r\n" +
	"Host Name:                 PC-ANNA\r\n" +
	"Proxy List: 'http://anna:geheim@PRX01.corp.example.com:8080', Bypass List: '*.corp.example.com'\r\n" +
	"<AdministratorPassword>\r\n<Value>geheim</Value>\r\n</AdministratorPassword>\r\n" +
	"-----BEGIN PRIVATE KEY-----\r\nMIIEow\r\n-----END PRIVATE KEY-----\r\n" +
	"\"ProfileImagePath\"=hex(2):43,00,3a,00,5c,00,55,00,73,00,65,00,72,00,73,00,5c,00,61,\\\r\n  00,6e,00,6e,00,61,00,00,00\r\n" +
	"C:\\Users\\Müller\\x 10.20.30.40 S-1-5-21-1-2-3-1001 fe80::1c2b:3dff:fe4a:5b6c%12\rprogress\r\r\n" +
	`{"out":"Host Name: PC01\r\nOwner: anna\r\n\u003cPassword\u003egeheim\u003c/Password\u003e"}` + "\n" +
	"letzte Zeile ohne Ende, Kennwort=geheim"

func readAll(t rapid.TB, r *Redactor, src io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Reader(src))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReaderChunks(t *testing.T) {
	for name, text := range map[string][]byte{
		"bytes":           []byte(document),
		"utf16le":         utf16LE.encode([]byte("\xFF\xFE"), []byte(document[3:])),
		"utf16be":         utf16BE.encode([]byte("\xFE\xFF"), []byte(document[3:])),
		"utf16le, no bom": utf16LE.encode(nil, []byte(document[3:])),
		"empty":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := &Redactor{Key: []byte("k")}
			want := r.Bytes(text)
			for _, chunked := range []io.Reader{
				bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text)),
				iotest.HalfReader(bytes.NewReader(text)), iotest.DataErrReader(bytes.NewReader(text)),
			} {
				if got := readAll(t, r, chunked); !bytes.Equal(got, want) {
					t.Errorf("chunks differ:\n%q\n%q", got, want)
				}
			}
			if err := iotest.TestReader(r.Reader(bytes.NewReader(text)), want); err != nil {
				t.Error(err)
			}
			for _, secret := range []string{"geheim", "anna", "PC01", "PC-ANNA", "PRX01", "Müller", "10.20.30.40", "MIIEow", "1c2b"} {
				for _, enc := range []func(string) []byte{
					func(s string) []byte { return []byte(s) },
					func(s string) []byte { return utf16LE.encode(nil, []byte(s)) },
					func(s string) []byte { return utf16BE.encode(nil, []byte(s)) },
				} {
					if bytes.Contains(want, enc(secret)) {
						t.Errorf("%s survived in %q", secret, want)
					}
				}
			}
			if again := r.Bytes(want); !bytes.Equal(again, want) {
				t.Errorf("twice:\n%q\n%q", want, again)
			}
		})
	}
}

func TestEncodingsAgree(t *testing.T) {
	r := &Redactor{Key: []byte("k")}
	plain := r.Bytes([]byte(document[3:]))
	wide := r.Bytes(utf16LE.encode([]byte("\xFF\xFE"), []byte(document[3:])))
	if got, _ := utf16LE.decode(nil, wide[2:], true); !bytes.Equal(got, plain) {
		t.Errorf("UTF-16 gives\n%q\nUTF-8\n%q", got, plain)
	}
}

// What holds nothing to redact comes out byte by byte, whatever it is.
func TestUTF16RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.SliceOf(rapid.OneOf(rapid.Uint16Range(0x80, 0xFFFF), rapid.Uint16Range(0xD7F0, 0xE010))).Draw(t, "units")
		enc := rapid.SampledFrom([]encoding{utf16LE, utf16BE}).Draw(t, "encoding")
		b := []byte("\xFF\xFE")
		if enc == utf16BE {
			b = []byte("\xFE\xFF")
		}
		for _, u := range units {
			b = enc.appendUnit(b, u)
		}
		if rapid.Bool().Draw(t, "odd") {
			b = append(b, 'x')
		}
		var r Redactor
		if got := readAll(t, &r, iotest.OneByteReader(bytes.NewReader(b))); !bytes.Equal(got, b) {
			t.Fatalf("%x became %x", b, got)
		}
	})
}

func TestLongLines(t *testing.T) {
	filler := strings.Repeat("Package_for_KB5099999~31bf3856ad364e35~amd64~~10.0.1.1, ", 1000)
	blob := strings.Repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0", 1000)
	for _, tt := range []struct{ name, in string }{
		{"secrets everywhere", strings.Repeat(`"C:\\Users\\anna\\x","http://anna:geheim@PRX01.corp.example.com:8080/","password=geheim",`, 16000)},
		{"rare secrets", strings.Repeat(filler+"password=geheim, at CORP\\anna, ", 60)},
		{"one secret", "password=" + strings.Repeat("geheim", 300000) + " end " + filler},
		{"one secret in a json string", `{"password":"` + strings.Repeat("geheim,x ", 300000) + `","n":1}`},
		{"one path", strings.Repeat(`C:\Users\anna\`, 100000)},
		{"no separators", strings.Repeat("geheimnis", 20) + strings.Repeat("/", 2<<20)},
		{"blob", `{"cert":"` + strings.Repeat(blob, 50) + `","password":"geheim"}`},
		{"recorded output", `{"out":"` + strings.Repeat(`Registered Owner:   anna anna\r\nHost Name:     PRX01\r\nC:\\Users\\anna\\x\r\n`, 16000) + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Redactor{Key: []byte("k")}
			want := r.Bytes([]byte(tt.in))
			if got := readAll(t, r, strings.NewReader(tt.in)); !bytes.Equal(got, want) {
				t.Error("the stream differs from the whole")
			}
			for _, secret := range []string{"geheim", "anna", "PRX01"} {
				if tt.name == "no separators" && secret == "geheim" {
					continue
				}
				if i := bytes.Index(want, []byte(secret)); i >= 0 {
					t.Errorf("%s survived at %d: %.200q", secret, i, want[max(0, i-60):])
				}
			}
			if strings.HasSuffix(tt.in, filler) && !bytes.HasSuffix(want, []byte(filler)) {
				t.Error("the text behind the secret is gone")
			}
			if again := r.Bytes(want); !bytes.Equal(again, want) {
				t.Error("redacting twice changed something")
			}
		})
	}
}

// A secret anywhere around the places where a long line is cut does not survive.
func TestLongLineCuts(t *testing.T) {
	var r Redactor
	for _, secret := range []string{"http://anna:geheim@prx01.corp.example.com/", `password = "anna geheim"`, `C:\Users\anna geheim\x`, "111111-222222-333333-444444-555555-666666-777777-888888"} {
		for at := maxLine - cutStep; at < maxLine+overlap; at += 9973 {
			for _, filler := range []string{"x ", "x"} {
				in := strings.Repeat(filler, at/len(filler)) + " " + secret + " " + strings.Repeat(filler, overlap)
				out := r.String(in)
				for _, s := range []string{"anna", "geheim", "prx01", "444444"} {
					if strings.Contains(out, s) {
						t.Fatalf("%q at %d between %q survived", secret, at, filler)
					}
				}
			}
		}
	}
}

func TestReaderError(t *testing.T) {
	broken := errors.New("broken")
	var r Redactor
	got, err := io.ReadAll(r.Reader(io.MultiReader(strings.NewReader(strings.Repeat("a full line\n", 50)+"http://anna:gehe"), iotest.ErrReader(broken))))
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if want := strings.Repeat("a full line\n", 50); string(got) != want {
		t.Errorf("got %q", got)
	}
	if n, err := r.Reader(stuck{}).Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader without progress gave %d, %v", n, err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// A UTF-16 text appended to a file of bytes is found as well.
func TestMixedEncodings(t *testing.T) {
	var r Redactor
	in := append([]byte("plain line that is long enough to be sniffed as bytes\r\n"), utf16LE.encode(nil, []byte("Host Name: PC-ANNA\r\npassword=geheim\r\nfine\r\n"))...)
	out := r.Bytes(in)
	for _, secret := range []string{"PC-ANNA", "geheim"} {
		if bytes.Contains(out, utf16LE.encode(nil, []byte(secret))) {
			t.Errorf("%s survived in %q", secret, out)
		}
	}
	if !bytes.Contains(out, utf16LE.encode(nil, []byte("fine"))) {
		t.Errorf("too much is gone: %q", out)
	}
}

// No line takes time that grows with the square of its length: 64 KiB of each repetition in a moment.
func TestHostileLines(t *testing.T) {
	const size = 64 << 10
	var r Redactor
	r.Learn(User, "anna")
	for _, p := range slices.Concat(secretPlants, namePlants, hostPlants, []string{
		"a.", "a:", "a=", "\\", "\\\\a", "a\\", "/", "@", "a@", "a@b.", "-", "a-", "1.", "1-", "00-", "00:", "::", "=", "<", "<a>", "<Password>", "&lt;", "%40",
		" [1", "\"", "\":\"\\n", "eyJa.", "TlRMTVNTUA", "Basic ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "net use ", "convertto-securestring ", "/setcredentials ",
		"-p ", "-p a ", "/d a ", "REG_SZ ", " REG_BINARY 00", "S-1-5-21-", "CN=", "CN=a,", "DC=a,", "DESKTOP-", "C:\\Users\\", "\\AppData\\", "PROXY a:1 ", "host == \"a\" ",
		"computer name is a ", "serial number is 1A ", "zonemap\\domains\\a", "pin=", "t=", "sig=", "token=", "cookie:", "authorization:", "user=", "host=", "proxylist=",
		"value=", "name=password value=", "\x00", "a\x00", "\"x\"=hex:", "a\r", "10.1.1.1 ", "fe80::1 ", "ü", "\xff", "anna ",
	}) {
		in := strings.Repeat(p, size/len(p)+1)
		start := time.Now()
		r.String(in)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("64 KiB of %q took %v", p, d)
		}
	}
}
