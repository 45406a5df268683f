package route

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"updoc/internal/host"
)

// handshake makes the tls hop. The chain is recorded before it is judged, so that
// an interceptor is named whatever else is wrong with it.
func (r *run) handshake(ctx context.Context) bool {
	name := r.url.Hostname()
	h := r.begin(host.HopTLS, name)
	seen := &host.TLS{}
	var verdict host.Fault
	var why string
	cfg := &tls.Config{
		ServerName: name,
		MinVersion: tls.VersionTLS10, // an old server is told by what it chooses
		MaxVersion: r.p.MaxTLS,
		// The chain is judged below, with reasons; nothing secret is sent on a
		// connection that fails there.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			verdict, why = r.judge(cs, seen)
			if verdict != "" {
				return errJudged
			}
			return nil
		},
	}
	if n := r.in.Buffered(); n > 0 { // it came together with the proxy's answer
		early, _ := r.in.Peek(n)
		r.conn = &spoken{r.conn, bytes.NewReader(bytes.Clone(early))}
	}
	conn := tls.Client(r.conn, cfg)
	limited, cancel := r.connecting(ctx)
	err := r.within(limited, connectTime, func() error { return conn.HandshakeContext(limited) })
	cancel()
	if len(seen.Chain) > 0 {
		h.TLS = seen
	}
	if verdict != "" {
		return r.end(h, verdict, why)
	}
	if err != nil {
		fault, text := faultOf(err)
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			fault = host.FaultTimeout
		}
		if fault == host.FaultVersion && len(seen.Chain) > 0 { // they had agreed: it wants something else, as a certificate of ours
			fault = host.FaultAlert
		}
		if fault == host.FaultReset && !isErrno(err, errnoReset) { // crypto/tls gave up, not the connection
			fault, text = host.FaultNotTLS, "a handshake that makes no sense"
		}
		return r.end(h, fault, text)
	}
	r.conn = conn
	r.in.Reset(conn)
	return r.end(h, "", why)
}

// spoken is a connection of which some bytes have been read already.
type spoken struct {
	net.Conn
	early *bytes.Reader
}

func (c *spoken) Read(b []byte) (int, error) {
	if c.early.Len() > 0 {
		return c.early.Read(b)
	}
	return c.Conn.Read(b)
}

var errJudged = errors.New("the chain is not accepted")

// judge records what a handshake showed and says what is wrong with it.
func (r *run) judge(cs tls.ConnectionState, seen *host.TLS) (host.Fault, string) {
	seen.Version, seen.Cipher = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
	const maxChain = 10
	for _, c := range cs.PeerCertificates[:min(maxChain, len(cs.PeerCertificates))] {
		seen.Chain = append(seen.Chain, certificate(c))
	}
	if len(cs.PeerCertificates) == 0 {
		return host.FaultUntrusted, "no certificate"
	}
	limit := uint16(tls.VersionTLS12)
	if r.p.MaxTLS != 0 {
		limit = min(limit, r.p.MaxTLS)
	}
	if cs.Version < limit {
		return host.FaultVersion, seen.Version + " is what the server speaks"
	}
	leaf, now := cs.PeerCertificates[0], r.p.now()
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	verify := func(roots *x509.CertPool, name string, at time.Time) error {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name, CurrentTime: at})
		return err
	}
	if r.req.Pinned {
		// Whoever's the chain is comes before its dates: an interceptor stays one
		// when the clock is right.
		// A chain with the right name that leads nowhere lacks a part, and is told so below.
		genuine := microsoftIssuer(cs.PeerCertificates) ||
			r.p.Microsoft != nil && verify(r.p.Microsoft, "", middle(leaf)) == nil
		if !genuine {
			return host.FaultIssuer, "issued by " + issuerName(cs.PeerCertificates)
		}
	}
	for _, c := range cs.PeerCertificates {
		switch {
		case now.After(c.NotAfter):
			return host.FaultExpired, fmt.Sprintf("%s ended %s", commonName(c), c.NotAfter.UTC().Format(time.DateOnly))
		case now.Before(c.NotBefore):
			return host.FaultNotYet, fmt.Sprintf("%s begins %s", commonName(c), c.NotBefore.UTC().Format(time.DateOnly))
		}
	}
	if err := leaf.VerifyHostname(r.url.Hostname()); err != nil {
		return host.FaultCertName, "issued for " + strings.Join(leaf.DNSNames[:min(3, len(leaf.DNSNames))], ", ")
	}
	// The system's roots come last: reading them takes longer than a handshake.
	seen.Trusted = r.p.Trust != nil && verify(r.p.Trust, "", now) == nil ||
		r.p.Microsoft != nil && verify(r.p.Microsoft, "", now) == nil || verify(r.p.Roots, "", now) == nil
	switch {
	case seen.Trusted:
		return "", ""
	case r.p.Microsoft == nil && microsoftIssuer(cs.PeerCertificates):
		// Microsoft's update roots are not in the stores of other systems.
		return "", "issued by " + issuerName(cs.PeerCertificates) + "; that root is not in this machine's store"
	}
	seenAs := "issued by " + issuerName(cs.PeerCertificates)
	if len(cs.PeerCertificates) == 1 && leaf.CheckSignatureFrom(leaf) != nil {
		seenAs += ", whose own certificate was not sent along"
	}
	return host.FaultUntrusted, seenAs
}

// middle is a time at which a certificate was valid, so that its chain is judged
// apart from the clock.
func middle(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
}

// microsoftIssuer reports that the top of a presented chain is named like one of
// the authorities that Microsoft's services use. It tells an inspecting proxy,
// which signs with a name of its own; it proves nothing against a forger.
// learn.microsoft.com: Windows Update security; "Azure Certificate Authority details";
// microsoft.com/pkiops: the issuing authorities' names.
func microsoftIssuer(chain []*x509.Certificate) bool {
	top := chain[len(chain)-1]
	for _, name := range []string{top.Issuer.CommonName, top.Subject.CommonName} {
		for _, known := range []string{
			"Microsoft Root Certificate Authority", "Microsoft ECC Product Root Certificate Authority",
			"Microsoft ECC Root Certificate Authority", "Microsoft RSA Root Certificate Authority",
			"Microsoft Update Secure Server CA", "Microsoft ECC Update Secure Server CA",
			"Microsoft Secure Server CA", "Microsoft Azure", "Microsoft TLS", "Microsoft RSA TLS CA", "Microsoft ECC TLS",
			"DigiCert Global Root", "Baltimore CyberTrust Root",
		} {
			if strings.HasPrefix(name, known) {
				return true
			}
		}
	}
	return false
}

// issuerName names who stands behind a chain: the issuer of its last certificate,
// with the organisation where the name says little.
func issuerName(chain []*x509.Certificate) string {
	iss := chain[len(chain)-1].Issuer
	name := iss.CommonName
	if len(iss.Organization) > 0 && iss.Organization[0] != name {
		name = strings.TrimPrefix(name+", "+iss.Organization[0], ", ")
	}
	if name == "" {
		name = "an authority without a name"
	}
	return name
}

func commonName(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return "a certificate"
}

func certificate(c *x509.Certificate) host.Certificate {
	sum := sha256.Sum256(c.Raw)
	const maxNames = 20
	return host.Certificate{
		Subject: commonName(c), Issuer: issuerName([]*x509.Certificate{c}),
		Names:     c.DNSNames[:min(maxNames, len(c.DNSNames))],
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), SHA256: hex.EncodeToString(sum[:]),
	}
}
