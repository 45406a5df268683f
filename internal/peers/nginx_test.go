//go:build linux

package peers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/route"
)

// moved is a network in which every name is one address of a documentation net, and
// every port of it one port of loopback: a server that may not listen on port 80 still
// stands for one that does.
type moved struct{ ports map[string]int }

var elsewhere = netip.MustParseAddr("203.0.113.80")

func (m moved) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{elsewhere}, nil
}

func (m moved) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return route.OS{}.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", m.ports[port]))
}

const catalogue = "microsoftupdate/v6/wsusscan/wsusscn2.cab"

// nginx runs one with that in its only server, and the catalogue that the plan fetches
// a piece of. With tls it is a server for https.
func nginx(t *testing.T, server string, tls bool) moved {
	t.Helper()
	nginx := program(t, "nginx")
	dir := openDir(t, map[string]string{"cert.pem": authority(t, "Fabrikam Web CA")})
	file := filepath.Join(dir, "www", filepath.FromSlash(catalogue))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("MSCF"), make([]byte, 3<<20)...), 0o644); err != nil {
		t.Fatal(err)
	}
	port, listen := freePort(t), ""
	if tls {
		listen = " ssl"
		server = "ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/cert.pem;\n" + server
	}
	conf := strings.NewReplacer("DIR", dir, "PORT", strconv.Itoa(port), "LISTEN", listen).Replace(`
daemon off; master_process off; worker_processes 1; pid DIR/nginx.pid; error_log DIR/error.log;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
	types { application/vnd.ms-cab-compressed cab; }
	limit_req_zone $server_name zone=all:1m rate=1r/m;
	server { listen 127.0.0.1:PORTLISTEN; server_name _; root DIR/www; ` + server + ` }
}
`)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "error.log")); err == nil && t.Failed() {
			t.Logf("error.log:\n%s", log)
		}
	})
	start(t, listens(fmt.Sprintf("127.0.0.1:%d", port)), nginx, "-c", path, "-p", dir)
	if tls {
		return moved{map[string]int{"443": port}}
	}
	return moved{map[string]int{"80": port}}
}

// TestNginxContent: nginx as a content server, healthy and not, asked by Delivery
// Optimization and by BITS, which report other codes for the same.
func TestNginxContent(t *testing.T) {
	t.Parallel()
	program(t, "nginx")
	const task = "download.range"
	for name, tt := range map[string]struct {
		server   string
		do, bits expect
		seen     string
	}{
		"ranges":    {"", expect{task: task}, expect{task: task}, ""},
		"no ranges": {"max_ranges 0;", expect{task, host.HopContent, host.FaultRange, 0x80D05001}, expect{task, host.HopContent, host.FaultRange, 0x80200013}, "the whole of it came"},
		"throttled": {
			"limit_req zone=all; limit_req_status 429; add_header Retry-After 120 always;",
			expect{task, host.HopHTTP, host.FaultStatus, 0x801901AD},
			expect{task, host.HopHTTP, host.FaultStatus, 0x801901AD},
			"Retry-After: 120",
		},
		"busy":      {"return 503;", expect{task, host.HopHTTP, host.FaultStatus, 0x801901F7}, expect{task, host.HopHTTP, host.FaultStatus, 0x801901F7}, ""},
		"no answer": {"return 444;", expect{task, host.HopHTTP, host.FaultClosed, 0x80072EFE}, expect{task, host.HopHTTP, host.FaultClosed, 0x80072EFE}, ""},
		"not there": {"return 404;", expect{task, host.HopHTTP, host.FaultStatus, 0x80190194}, expect{task, host.HopHTTP, host.FaultStatus, 0x80190194}, ""},
		"a page":    {`default_type text/html; return 200 "<html>sign in</html>";`, expect{task, host.HopHTTP, host.FaultPortal, 0x80D0201A}, expect{task, host.HopHTTP, host.FaultPortal, 0x80200011}, ""},
		"elsewhere": {"return 302 http://portal.example/?ticket=4711;", expect{task, host.HopHTTP, host.FaultPortal, 0x80D0201A}, expect{task, host.HopHTTP, host.FaultPortal, 0x80200011}, "portal.example"},
		"slow":      {"limit_rate 1m;", expect{task: task}, expect{task: task}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := nginx(t, tt.server, false)
			for _, bits := range []bool{false, true} {
				if name == "throttled" { // one request a minute passes: this one
					walk(t, route.Walker{Exchanger: route.NewProber(route.Prober{Net: net})}, direct(), task)
				}
				s, want := direct(), tt.do
				if s.DODisabled = bits; bits {
					want = tt.bits
				}
				w := walk(t, route.Walker{Exchanger: route.NewProber(route.Prober{Net: net})}, s, task)
				holds(t, w, want)
				if b := deciding(t, w, task).Broken(); b != nil && !strings.Contains(b.Seen, tt.seen) {
					t.Errorf("seen was %q, want %q in it; the answer was %v", b.Seen, tt.seen, deciding(t, w, task).Header)
				}
				if b := deciding(t, w, task).Broken(); b != nil && strings.Contains(b.Seen, "4711") {
					t.Errorf("a ticket is shown: %q", b.Seen)
				}
			}
		})
	}
}

// TestNginxTLS: handshakes that nginx, and OpenSSL in it, do not carry to their end.
func TestNginxTLS(t *testing.T) {
	t.Parallel()
	program(t, "nginx")
	for name, tt := range map[string]struct {
		server string
		plain  bool
		maxTLS uint16
		want   expect
	}{
		"another authority": {"", false, 0, expect{"scan.config", host.HopTLS, host.FaultIssuer, 0x80072F8F}},
		"no such name":      {"ssl_reject_handshake on;", false, 0, expect{"scan.config", host.HopTLS, host.FaultAlert, 0x80072F7D}},
		"an old server":     {"ssl_protocols TLSv1; ssl_ciphers ALL:@SECLEVEL=0;", false, 0, expect{"scan.config", host.HopTLS, host.FaultVersion, 0x80072EFE}},
		"an old client":     {"ssl_protocols TLSv1.3;", false, 0x0302, expect{"scan.config", host.HopTLS, host.FaultVersion, 0x80072EFE}},
		"no TLS":            {"", true, 0, expect{"scan.config", host.HopTLS, host.FaultNotTLS, 0x80072F7D}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := nginx(t, tt.server, !tt.plain)
			if tt.plain {
				net.ports["443"] = net.ports["80"]
			}
			w := walk(t, route.Walker{Exchanger: route.NewProber(route.Prober{Net: net, MaxTLS: tt.maxTLS})}, direct(), "scan.config")
			holds(t, w, tt.want)
		})
	}
}
