package winhost

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// asked names the environment variable with the request that a process of the test
// makes in the place of its tests.
const asked = "UPDOC_TEST_EXCHANGE"

// TestWinHTTPOverTLS: WinHTTP trusts a server because of an authority that was added to
// those of the machine, and because of nothing else. Wine writes its list when it is
// closed, and reads it once a process: each request is one's own.
func TestWinHTTPOverTLS(t *testing.T) {
	if text := os.Getenv(asked); text != "" {
		var req host.Request
		if err := json.Unmarshal([]byte(text), &req); err != nil {
			t.Fatal(err)
		}
		ex, err := (&WinHTTP{}).Exchange(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(ex); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !wine(t, open(t)) {
		t.Skip("Windows asks the person at the screen before it trusts a new authority")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Fabrikam test authority"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(name string, version uint16) string {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: until,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		chain, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "whole") }))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{MaxVersion: version, Certificates: []tls.Certificate{{Certificate: [][]byte{chain, der}, PrivateKey: key}}}
		s.StartTLS()
		t.Cleanup(s.Close)
		return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/"
	}
	ask := func(url string) *host.Exchange {
		t.Helper()
		b, err := json.Marshal(host.Request{ID: "test", Method: http.MethodGet, URL: url, Keep: 100})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestWinHTTPOverTLS$")
		cmd.Env = append(os.Environ(), asked+"="+string(b))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var ex host.Exchange
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&ex); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return &ex
	}
	good := serve("localhost", tls.VersionTLS12)
	if b := ask(good).Broken(); b == nil || b.Kind != host.HopTLS {
		t.Errorf("before anybody trusts it: %+v", b)
	}
	inRoots(t, func(store windows.Handle) {
		c := contextOf(t, der)
		defer func() { _ = windows.CertFreeCertificateContext(c) }()
		if err := windows.CertAddCertificateContextToStore(store, c, windows.CERT_STORE_ADD_NEW, nil); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		inRoots(t, func(store windows.Handle) {
			c := contextOf(t, der)
			defer func() { _ = windows.CertFreeCertificateContext(c) }()
			have, err := windows.CertFindCertificateInStore(store, windows.X509_ASN_ENCODING, 0, windows.CERT_FIND_EXISTING, unsafe.Pointer(c), nil)
			if err == nil {
				err = windows.CertDeleteCertificateFromStore(have)
			}
			if err != nil {
				t.Errorf("the authority stays: %v", err)
			}
		})
	})
	for name, url := range map[string]string{"1.2": good, "up to 1.3": serve("localhost", tls.VersionTLS13)} {
		if ex := ask(url); ex.Broken() != nil || ex.Status != http.StatusOK || string(ex.Body) != "whole" {
			t.Errorf("TLS %s: status %d, %+v", name, ex.Status, ex.Broken())
		}
	}
	if b := ask(serve("elsewhere.fabrikam.example", tls.VersionTLS12)).Broken(); b == nil || b.Kind != host.HopTLS {
		t.Errorf("another name: %+v", b)
	}
}

// inRoots opens the user's list of trusted authorities, and writes it.
func inRoots(t *testing.T, f func(store windows.Handle)) {
	t.Helper()
	store, err := windows.CertOpenSystemStore(0, utf16ptr("ROOT"))
	if err != nil {
		t.Fatal(err)
	}
	f(store)
	if err := windows.CertCloseStore(store, 0); err != nil {
		t.Error(err)
	}
}

func contextOf(t *testing.T, der []byte) *windows.CertContext {
	t.Helper()
	c, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
