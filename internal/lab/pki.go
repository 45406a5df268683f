package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Authorities of the world. The first stands for Microsoft's own: its certificates
// bear the names that clients see, but its keys live and die with the world.
const (
	authMicrosoft = "microsoft"
	authPublic    = "public"  // that of ordinary web sites
	authCompany   = "company" // the company's own, trusted on its machines
	authUnknown   = "unknown" // trusted by nobody
)

// Certificate is what is wrong with the certificates or the handshakes of hosts.
type Certificate struct {
	Host  string `json:"host"`  // pattern
	Fault string `json:"fault"` // CertExpired, ...
}

// Faults of certificates and handshakes.
const (
	CertExpired = "expired"      // over since a month
	CertNotYet  = "not-yet"      // valid from next month on
	CertName    = "other-name"   // for another host
	CertUnknown = "unknown"      // by an authority that nobody trusts
	CertSelf    = "self-signed"  //
	CertLone    = "no-chain"     // the issuing authority is not sent along
	CertCompany = "company"      // by the company's authority instead of the right one
	CertSHA1    = "tls1.0"       // the server speaks nothing newer than TLS 1.0
	CertAlert   = "alert"        // the server ends the handshake with an alert
	CertPlain   = "plain"        // no TLS, but HTTP in the clear
	CertClient  = "wants-client" // the server demands a certificate of the client
)

func (c *Certificate) check() error {
	if !slices.Contains([]string{CertExpired, CertNotYet, CertName, CertUnknown, CertSelf, CertLone, CertCompany, CertSHA1, CertAlert, CertPlain, CertClient}, c.Fault) {
		return fmt.Errorf("certificate of %q: unknown fault %q", c.Host, c.Fault)
	}
	return nil
}

// pki holds the authorities of a world and what they have signed.
type pki struct {
	now time.Time
	mu  sync.Mutex
	by  map[string]*authority
	out map[string]*tls.Certificate
}

// authority is a root and the authority below it that signs for servers.
type authority struct {
	root, issuing *x509.Certificate
	key           crypto.Signer
}

const year = 365 * 24 * time.Hour

func newPKI(now time.Time) (*pki, error) {
	p := &pki{now: now, by: map[string]*authority{}, out: map[string]*tls.Certificate{}}
	for _, a := range []struct{ id, org, root, issuing string }{
		// learn.microsoft.com: Windows Update security; the names are those of the real chain.
		{authMicrosoft, "Microsoft Corporation", "Microsoft Root Certificate Authority 2011", "Microsoft Update Secure Server CA 2.1"},
		{authPublic, "Example Trust Services", "Example Trust Root R1", "Example Trust TLS CA 2"},
		{authCompany, "Fabrikam", "Fabrikam Root CA", "Fabrikam Issuing CA 1"},
		{authUnknown, "Nobody", "Nobody Root CA", "Nobody Issuing CA"},
	} {
		made, err := newAuthority(now, a.org, a.root, a.issuing)
		if err != nil {
			return nil, fmt.Errorf("make authority %s: %w", a.id, err)
		}
		p.by[a.id] = made
	}
	return p, nil
}

func newAuthority(now time.Time, org, root, issuing string) (*authority, error) {
	name := func(cn string) pkix.Name {
		return pkix.Name{Country: []string{"US"}, Organization: []string{org}, OrganizationalUnit: []string{"a simulated world"}, CommonName: cn}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		Subject: name(root), NotBefore: now.Add(-10 * year), NotAfter: now.Add(15 * year),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := new(authority)
	if a.root, err = sign(ca, ca, rootKey.Public(), rootKey); err != nil || issuing == "" {
		a.issuing, a.key = a.root, rootKey
		return a, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	sub := *ca
	sub.Subject, sub.NotBefore, sub.NotAfter = name(issuing), now.Add(-4*year), now.Add(8*year)
	sub.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	a.issuing, err = sign(&sub, a.root, key.Public(), rootKey)
	a.key = key
	return a, err
}

func sign(c, by *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	t := *c
	t.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, &t, by, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// intercepting returns the authority of a box that opens TLS; it is made when it is
// first named.
func (p *pki) intercepting(name string) (*authority, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := "box " + name
	if a := p.by[id]; a != nil {
		return a, nil
	}
	a, err := newAuthority(p.now, "Example Security", name, "")
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", name, err)
	}
	p.by[id] = a
	return a, nil
}

// pool returns the root of one authority.
func (p *pki) pool(ids ...string) *x509.CertPool {
	p.mu.Lock()
	defer p.mu.Unlock()
	pool := x509.NewCertPool()
	for _, id := range ids {
		if a := p.by[id]; a != nil {
			pool.AddCert(a.root)
		}
	}
	return pool
}

func (p *pki) trusted(boxes []string) *x509.CertPool {
	ids := []string{authMicrosoft, authPublic, authCompany}
	for _, b := range boxes {
		if _, err := p.intercepting(b); err == nil {
			ids = append(ids, "box "+b)
		}
	}
	return p.pool(ids...)
}

// pem returns the roots of authorities for other programs to load.
func (p *pki) pem(ids ...string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []byte
	for _, id := range ids {
		if a := p.by[id]; a != nil {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})...)
		}
	}
	return out
}

// leaf returns a certificate for names, signed by an authority, with a fault or none.
func (p *pki) leaf(a *authority, names []string, fault string) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := strings.Join(append([]string{a.root.Subject.CommonName, fault}, names...), " ")
	if c := p.out[id]; c != nil {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{Organization: a.issuing.Subject.Organization, CommonName: names[0]},
		NotBefore: p.now.Add(-30 * 24 * time.Hour), NotAfter: p.now.Add(335 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	switch fault {
	case CertExpired:
		t.NotBefore, t.NotAfter = p.now.Add(-395*24*time.Hour), p.now.Add(-30*24*time.Hour)
	case CertNotYet:
		t.NotBefore, t.NotAfter = p.now.Add(30*24*time.Hour), p.now.Add(395*24*time.Hour)
	case CertName:
		names = []string{"other.example"}
		t.Subject.CommonName = names[0]
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	by, signer := a.issuing, a.key
	if fault == CertSelf {
		by, signer = t, key
	}
	c, err := sign(t, by, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", names[0], err)
	}
	out := &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
	if fault != CertSelf && fault != CertLone && a.issuing != a.root {
		out.Certificate = append(out.Certificate, a.issuing.Raw)
	}
	p.out[id] = out
	return out, nil
}

// serveTLS makes a connection a TLS server's, with what is wrong with it.
func (w *World) serveTLS(v *visit, c net.Conn) {
	fault := w.certFault(v.site, v.server.Port())
	id := v.site.issuer
	switch fault {
	case CertPlain:
		w.toHTTP(v, c)
		return
	case CertAlert:
		w.alert(v, c)
		return
	case CertUnknown:
		id = authUnknown
	case CertCompany:
		id = authCompany
	}
	names := slices.Clone(v.site.names)
	w.toTLS(v, c, w.pki.by[id], names, fault)
}

// certFault returns what is wrong with a site's certificate.
func (w *World) certFault(s *site, port uint16) string {
	for _, c := range w.spec.Certificates {
		for _, n := range s.names {
			if fits(c.Host, n, port) {
				return c.Fault
			}
		}
	}
	return ""
}

// toTLS hands a connection to the HTTP server behind a handshake.
func (w *World) toTLS(v *visit, c net.Conn, a *authority, names []string, fault string) {
	leaf, err := w.pki.leaf(a, names, fault)
	if err != nil {
		v.conn.Reset()
		return
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{*leaf}, Time: w.Now, MinVersion: tls.VersionTLS12}
	switch fault {
	case CertSHA1:
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	case CertClient:
		cfg.ClientAuth = tls.RequireAnyClientCert
		cfg.MaxVersion = tls.VersionTLS12 // so that the handshake itself fails, as with WinHTTP
	}
	select {
	case w.inbox <- tls.Server(&arrived{Conn: c, visit: v}, cfg):
	case <-w.ctx.Done():
		v.conn.Reset()
	}
}

// alert answers a ClientHello with a fatal handshake_failure. RFC 8446 section 6.
func (w *World) alert(v *visit, c net.Conn) {
	if _, err := overhear(v.conn); err == nil {
		_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 40})
	}
	v.conn.Close()
}
