//go:build linux

package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/route"
)

// TestMitmproxy: another program that opens TLS. It presents what it forges over
// handshakes of its own making, and the walk names it all the same.
func TestMitmproxy(t *testing.T) {
	t.Parallel()
	full(t)
	mitmdump := program(t, "mitmdump")
	bed := newBed(t, lab.WorldSpec{})
	dir, port := openDir(t, nil), freePort(t)
	proxy := fmt.Sprintf("127.0.0.1:%d", port)
	// It asks the system's resolver, which knows none of the bed's names: they are put in
	// its way as addresses.
	script := "HOSTS = {\n"
	for line := range strings.Lines(bed.hosts()) {
		addr, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		script += fmt.Sprintf("  %q: %q,\n", name, addr)
	}
	script += "}\ndef server_connect(data):\n    host, port = data.server.address[:2]\n    data.server.address = (HOSTS.get(host, host), port)\n"
	if err := os.WriteFile(filepath.Join(dir, "names.py"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, listens(proxy), mitmdump, "--listen-host", "127.0.0.1", "-p", fmt.Sprint(port), "--ssl-insecure", "--set", "confdir="+dir, "-s", filepath.Join(dir, "names.py"), "-q")
	w := walk(t, route.Walker{Exchanger: bed.prober(nil)}, through(proxy), "scan", "download.range", "store.catalog")
	holds(
		t, w,
		expect{"scan.locator", host.HopTLS, host.FaultIssuer, 0x80072F8F},
		expect{"scan.config", host.HopTLS, host.FaultIssuer, 0x80072F8F},
		expect{"store.catalog", host.HopTLS, host.FaultUntrusted, 0x80072F8F},
		expect{task: "download.range"},
	)
	if got := stray(w, "intercepted"); !strings.Contains(got, "mitmproxy") {
		t.Errorf("who intercepts: %q", got)
	}
}
