package proxyauth

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
)

// TestDigestVectors holds the examples of the standards: RFC 2617 section 3.5, RFC 7616
// sections 3.9.1 and 3.9.2, the latter with the values of its erratum 4897, for the
// printed ones are those of SHA-512 cut short.
func TestDigestVectors(t *testing.T) {
	tests := []struct {
		name, challenge, login, password, method, uri, cnonce string
		want                                                  []string
	}{
		{
			"RFC 2617", `Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			"Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b",
			[]string{`response="6629fae49393a05397450978507c4ef1"`, "qop=auth,", "nc=00000001", `opaque="5ccc069c403ebaf9f0171e9517f40e41"`},
		},
		{
			"RFC 7616 MD5", `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
			"Mufasa", "Circle of Life", "GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
			[]string{`response="8ca523f5e9506fed4657c9700eebdbec"`, "algorithm=MD5"},
		},
		{
			"RFC 7616 SHA-256", `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
			"Mufasa", "Circle of Life", "GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
			[]string{`response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`, "algorithm=SHA-256"},
		},
		{
			"RFC 7616 SHA-512-256, userhash", `Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true`,
			"J\u00e4s\u00f8n Doe", "Secret, or not?", "GET", "/doe.json", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
			[]string{
				`username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"`,
				`response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"`, "userhash=true",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newDigest(ParseChallenges([]string{tt.challenge}))
			if err != nil {
				t.Fatal(err)
			}
			d.cnonce = tt.cnonce
			got, err := d.header(tt.method, tt.uri, ParseLogin(tt.login, tt.password))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
}

// TestDigestForms spells out with fmt and md5 what the standard says for the forms
// that it gives no example of.
func TestDigestForms(t *testing.T) {
	h := func(format string, a ...any) string {
		return fmt.Sprintf("%x", md5.Sum(fmt.Appendf(nil, format, a...)))
	}
	a1 := h(`FABRIKAM\anna:r "x":hush`)
	tests := []struct{ name, params, method, want string }{
		{"no qop, RFC 2069", "", "GET", h("%s:n:%s", a1, h("GET:/a"))},
		{"session", `, algorithm=md5-SESS, qop="auth"`, "GET", h("%s:n:00000001:c:auth:%s", h("%s:n:c", a1), h("GET:/a"))},
		{"session without qop", `, algorithm=MD5-sess`, "GET", h("%s:n:%s", h("%s:n:c", a1), h("GET:/a"))},
		{"integrity of nothing", `, qop="auth-int"`, "CONNECT", h("%s:n:00000001:c:auth-int:%s", a1, h("CONNECT:/a:%s", h("")))},
		{"auth before auth-int", `, qop="AUTH-INT , auth"`, "POST", h("%s:n:00000001:c:auth:%s", a1, h("POST:/a"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newDigest(ParseChallenges([]string{`Digest realm="r \"x\"", nonce="n"` + tt.params}))
			if err != nil {
				t.Fatal(err)
			}
			d.cnonce = "c"
			got, err := d.header(tt.method, "/a", ParseLogin(`FABRIKAM\anna`, "hush"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`response="` + tt.want + `"`, `username="FABRIKAM\\anna"`, `realm="r \"x\""`} {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
}

func TestDigestChoice(t *testing.T) {
	tests := []struct {
		name    string
		offered []string
		want    string // the algorithm, or an error
	}{
		{"the strongest, whatever the order", []string{`Digest realm=a, nonce=1, algorithm=MD5`, `Digest realm=a, nonce=2, algorithm=SHA-256, qop="auth"`, `Digest realm=a, nonce=3`}, "SHA-256"},
		{"the first of equals", []string{`Digest realm=a, nonce=1, algorithm=SHA-256-sess`, `Digest realm=a, nonce=2, algorithm=SHA-256`}, "SHA-256-sess"},
		{"unknown ones are passed over", []string{`Digest realm=a, nonce=1, algorithm=SHA-3`, `Digest realm=a, nonce=2, algorithm=md5`}, "md5"},
		{"unknown alone", []string{`Digest realm=a, nonce=1, algorithm=SHA-3`}, "its algorithm is unknown"},
		{"unknown qop", []string{`Digest realm=a, nonce=1, qop="auth-conf"`}, "its quality of protection is unknown"},
		{"no nonce", []string{`Digest realm=a`}, "it has no nonce"},
		{"another scheme", []string{`Basic realm=a`}, "not offered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newDigest(ParseChallenges(tt.offered))
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = d.algorithm
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDigestRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ params, method, uri, login, want string }{
		"a body it does not know": {`, qop="auth-int"`, "POST", "/", "anna", "auth-int"},
		"a line break":            {"", "GET", "/\r\nX: y", "anna", "control"},
		"a line break in a name":  {"", "GET", "/", "an\nna", "control"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := newDigest(ParseChallenges([]string{`Digest realm=a, nonce=1` + tt.params}))
			if err != nil {
				t.Fatal(err)
			}
			if h, err := d.header(tt.method, tt.uri, ParseLogin(tt.login, "x")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("header %q, error %v; want one that says %s", h, err, tt.want)
			}
		})
	}
}
