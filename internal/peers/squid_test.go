//go:build linux

package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/proxyauth"
	"updoc/internal/route"
)

const (
	realm    = "proxy.fabrikam.example"
	password = "Password"
)

// squid runs one before a bed; DIR in the configuration is a directory that it may
// use, with the files in it.
func (b *bed) squid(t *testing.T, conf string, files map[string]string) string {
	t.Helper()
	squid := program(t, "squid")
	dir := openDir(t, files)
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(b.hosts()), 0o644); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	conf = strings.NewReplacer("DIR", dir, "PORT", strconv.Itoa(port)).Replace(conf + `
cache deny all
cache_mem 0
memory_cache_shared off
access_log none
cache_log DIR/cache.log
pid_filename none
coredump_dir DIR
visible_hostname ` + realm + `
hosts_file DIR/hosts
dns_nameservers 127.0.0.1
icp_port 0
pinger_enable off
shutdown_lifetime 0 seconds
`)
	if !strings.Contains(conf, "http_port") {
		conf = fmt.Sprintf("http_port 127.0.0.1:%d\n", port) + conf
	}
	path := filepath.Join(dir, "squid.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "cache.log")); err == nil && t.Failed() {
			t.Logf("cache.log:\n%s", log)
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	start(t, listens(address), squid, "-N", "-f", path)
	return address
}

const mustSignIn = `
acl signed proxy_auth REQUIRED
http_access allow signed
http_access deny all
`

// What the walk must show at a squid that lets pass, and at one that does not: through
// a tunnel the scan, in the clear the content.
var (
	open = []expect{{task: "scan.locator"}, {task: "scan.config"}, {task: "download.head"}, {task: "download.range"}}

	challenged = []expect{
		{"scan.locator", host.HopProxy, host.FaultProxyAuth, 0x8024401B},
		{"scan.config", host.HopProxy, host.FaultProxyAuth, 0x8024401B},
		{"download.range", host.HopProxy, host.FaultProxyAuth, 0x80190197},
	}
	refused = []expect{
		{"scan.locator", host.HopProxy, host.FaultSignIn, 0x8024401B},
		{"scan.config", host.HopProxy, host.FaultSignIn, 0x8024401B},
		{"download.range", host.HopProxy, host.FaultSignIn, 0x80190197},
	}
)

// TestSquidSchemes: a squid that wants a sign-in, by each scheme and by all together.
// Squid's own helper for NTLM believes any password, so that nobody is refused there;
// package proxyauth's tests bring one that checks.
func TestSquidSchemes(t *testing.T) {
	t.Parallel()
	program(t, "squid")
	const helpers = "/usr/lib/squid/"
	if _, err := os.Stat(helpers); err != nil {
		t.Skip("squid's helpers are not where Debian puts them: " + helpers)
	}
	const (
		basic     = "auth_param basic program " + helpers + "basic_ncsa_auth DIR/basic\nauth_param basic children 2\nauth_param basic realm " + realm + "\n"
		digest    = "auth_param digest program " + helpers + "digest_file_auth -c DIR/digest\nauth_param digest children 2\nauth_param digest realm " + realm + "\n"
		ntlm      = "auth_param ntlm program " + helpers + "ntlm_fake_auth\nauth_param ntlm children 2\n"
		negotiate = "auth_param negotiate program " + helpers + "negotiate_wrapper_auth --ntlm " + helpers + "ntlm_fake_auth --kerberos " + helpers + "negotiate_kerberos_auth -s GSS_C_NO_NAME\nauth_param negotiate children 2\n"
	)
	files := map[string]string{
		"basic":  "anna:$apr1$abcdefgh$PqvD4ygyOSu4byG.bZp0E.\n", // openssl passwd -apr1 -salt abcdefgh Password
		"digest": fmt.Sprintf("anna:%s:%x\n", realm, md5.Sum([]byte("anna:"+realm+":"+password))),
	}
	bed := newBed(t, lab.WorldSpec{})
	for _, tt := range []struct {
		conf, login string
		offers      []string
		signedIn    string
		checks      bool // a wrong password is told from the right one
	}{
		{basic, "anna", []string{"Basic"}, "Basic", true},
		{digest, "anna", []string{"Digest"}, "Digest", true},
		{ntlm, `FABRIKAM\anna`, []string{"NTLM"}, "NTLM", false},
		{negotiate, `FABRIKAM\anna`, []string{"Negotiate"}, "Negotiate", false},
		{negotiate + ntlm + digest + basic, `FABRIKAM\anna`, []string{"Negotiate", "NTLM", "Digest", "Basic"}, "NTLM", false},
	} {
		t.Run(strings.Join(tt.offers, "+"), func(t *testing.T) {
			t.Parallel()
			proxy := bed.squid(t, tt.conf+mustSignIn, files)
			s := through(proxy)

			w := walk(t, route.Walker{Exchanger: bed.prober(nil)}, s, "scan", "download")
			holds(t, w, challenged...)
			for _, task := range []string{"scan.config", "download.range"} {
				h := deciding(t, w, task).Broken()
				var offers []string
				for _, c := range h.Challenges {
					offers = append(offers, c.Scheme)
					if (c.Scheme == "Basic" || c.Scheme == "Digest") && c.Realm != realm {
						t.Errorf("%s: the realm is %q", task, c.Realm)
					}
				}
				if !slices.Equal(offers, tt.offers) || h.Status != 407 || h.Date.IsZero() {
					t.Errorf("%s: offered are %q (HTTP %d, date %s), want %q", task, offers, h.Status, h.Date, tt.offers)
				}
			}
			for _, trip := range w.Trips { // the direct way beside is open
				if b := trip.Beside(); b != nil && b.Exchange.Broken() != nil {
					t.Errorf("%s directly: %s", trip.Task.ID, b.Exchange.Broken().Tell())
				}
			}

			login := proxyauth.ParseLogin(tt.login, password)
			w = walk(t, route.Walker{Exchanger: bed.prober(&login), Strict: true}, s, "scan", "download")
			holds(t, w, open...)
			for _, task := range []string{"scan.config", "download.range"} {
				if h := hop(deciding(t, w, task), host.HopProxy); h == nil || h.SignedIn != tt.signedIn {
					t.Errorf("%s was let through by %+v, want %s", task, h, tt.signedIn)
				}
			}
			if tt.checks {
				wrong := proxyauth.ParseLogin(tt.login, "passworD")
				holds(t, walk(t, route.Walker{Exchanger: bed.prober(&wrong), Strict: true}, s, "scan", "download"), refused...)
			}
		})
	}
}

// TestSquidRules: what squid does besides asking for a password.
func TestSquidRules(t *testing.T) {
	t.Parallel()
	program(t, "squid")
	bed := newBed(t, lab.WorldSpec{})
	for name, tt := range map[string]struct {
		conf string
		want []expect
	}{
		"open": {"http_access allow all", open},
		"update hosts denied": {"acl wu dstdomain .update.microsoft.com .windowsupdate.com\nhttp_access deny wu\nhttp_access allow all", []expect{
			{"scan.locator", host.HopProxy, host.FaultProxyDenied, 0x80244018},
			{"scan.config", host.HopProxy, host.FaultProxyDenied, 0x80244018},
			{"download.range", host.HopProxy, host.FaultProxyDenied, 0x80190193},
		}},
		"tunnels only": {"acl plain method GET HEAD POST\nhttp_access deny plain\nhttp_access allow all", []expect{
			{task: "scan.locator"},
			{task: "scan.config"},
			{"download.range", host.HopProxy, host.FaultProxyDenied, 0x80190193},
		}},
		"no tunnels": {"acl tunnel method CONNECT\nhttp_access deny tunnel\nhttp_access allow all", []expect{
			{"scan.locator", host.HopProxy, host.FaultProxyDenied, 0x80244018},
			{task: "download.head"},
			{task: "download.range"},
		}},
		"ranges taken away": {"request_header_access Range deny all\nhttp_access allow all", []expect{
			{task: "scan.config"},
			{"download.range", host.HopContent, host.FaultRange, 0x80D05001},
		}},
		"no word": {"http_access deny all\ndeny_info TCP_RESET all", []expect{ // squid 5 closes where its manual speaks of a reset
			{"scan.locator", host.HopProxy, host.FaultClosed, 0x80072EFE},
			{"download.range", host.HopProxy, host.FaultClosed, 0x80072EFE},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := walk(t, route.Walker{Exchanger: bed.prober(nil)}, through(bed.squid(t, tt.conf, nil)), "scan", "download")
			holds(t, w, tt.want...)
		})
	}
}

// TestSquidScript: a configuration script sends only update hosts to a squid that
// wants a password, and everything else goes its own way.
func TestSquidScript(t *testing.T) {
	t.Parallel()
	program(t, "squid")
	bed := newBed(t, lab.WorldSpec{})
	proxy := bed.squid(t, "auth_param basic program /usr/lib/squid/basic_ncsa_auth DIR/basic\nauth_param basic children 1\n"+mustSignIn, map[string]string{"basic": ""})
	script := fmt.Sprintf(`function FindProxyForURL(url, host) { return shExpMatch(host, "*.update.microsoft.com") ? "PROXY %s" : "DIRECT"; }`, proxy)
	at := serveFile(t, "application/x-ns-proxy-autoconfig", script)
	s := through("")
	p := route.Proxy{Known: true, PAC: at, Source: "AutoConfigURL"}
	s.Machine, s.Internet, s.User = p, p, p
	s.Accounts = map[route.Account]route.Proxy{route.System: p, route.LocalService: p, route.NetworkService: p}
	w := walk(t, route.Walker{Exchanger: bed.prober(nil)}, s, "scan.config", "download.range")
	holds(t, w, expect{"scan.config", host.HopProxy, host.FaultProxyAuth, 0x8024401B}, expect{task: "download.range"})
}

// TestSquidOpensTLS: a squid that opens the tunnels (ssl-bump). Windows Update accepts
// nobody's certificates but Microsoft's, and the walk names who signs instead.
func TestSquidOpensTLS(t *testing.T) {
	t.Parallel()
	squid := program(t, "squid")
	gen := "/usr/lib/squid/security_file_certgen"
	if _, err := os.Stat(gen); err != nil {
		t.Skip("squid cannot open TLS: package squid-openssl is not installed")
	}
	if out, err := exec.Command(squid, "-v").CombinedOutput(); err != nil || !strings.Contains(string(out), "--with-openssl") {
		t.Skip("squid cannot open TLS: package squid-openssl is not installed")
	}
	bed := newBed(t, lab.WorldSpec{})
	cert := authority(t, "Fabrikam Inspection CA")
	pool := filepath.Join(openDir(t, nil), "pool")
	if out, err := exec.Command(gen, "-c", "-s", pool, "-M", "4MB").CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", gen, err, out)
	}
	if err := filepath.Walk(pool, func(path string, _ os.FileInfo, _ error) error { return os.Chmod(path, 0o777) }); err != nil {
		t.Fatal(err)
	}
	proxy := bed.squid(t, `http_port 127.0.0.1:PORT ssl-bump tls-cert=DIR/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program `+gen+` -s `+pool+` -M 4MB
sslcrtd_children 1
tls_outgoing_options flags=DONT_VERIFY_PEER
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
http_access allow all
`, map[string]string{"ca.pem": cert})

	w := walk(t, route.Walker{Exchanger: bed.prober(nil)}, through(proxy), "scan", "download", "store.catalog")
	holds(
		t, w,
		expect{"scan.locator", host.HopTLS, host.FaultIssuer, 0x80072F8F},
		expect{"scan.config", host.HopTLS, host.FaultIssuer, 0x80072F8F},
		expect{"store.catalog", host.HopTLS, host.FaultUntrusted, 0x80072F8F}, // it is not pinned
		expect{task: "download.range"},
	)
	h := deciding(t, w, "scan.config").Broken()
	if !strings.Contains(h.Seen, "Fabrikam Inspection CA") {
		t.Errorf("the interceptor is not named: %q", h.Seen)
	}
	if got := stray(w, "intercepted"); !strings.Contains(got, "Fabrikam Inspection CA") || !strings.Contains(got, "slscr.update.microsoft.com") {
		t.Errorf("who intercepts whom: %q", got)
	}

	// A machine that trusts the company's authority: all but the pinned requests pass.
	p := bed.prober(nil)
	p.Roots = p.Roots.Clone()
	p.Roots.AppendCertsFromPEM([]byte(cert))
	w = walk(t, route.Walker{Exchanger: p, Strict: true}, through(proxy), "scan", "store.catalog")
	holds(t, w, expect{"scan.config", host.HopTLS, host.FaultIssuer, 0x80072F8F}, expect{task: "store.catalog"})
}

// authority makes the certificate and key of one that may sign, as one PEM text.
func authority(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Fabrikam"}},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}
