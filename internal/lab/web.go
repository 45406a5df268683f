package lab

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Web sites that have nothing to do with updates: their clocks and answers show
// whether the trouble is in the way or at Microsoft.
var unrelated = []string{"www.example.com", "www.example.org", "www.example.net"}

// ncsi is what Windows asks to see whether the internet is there.
// learn.microsoft.com: Network Connectivity Status Indicator.
var ncsi = []string{"www.msftconnecttest.com", "ipv6.msftconnecttest.com"}

func (w *World) buildWeb() error {
	at := byte(10)
	for _, name := range append(append([]string{}, unrelated...), w.spec.Web...) {
		if at > 99 {
			break
		}
		v6 := netip.MustParseAddr("2001:db8:113::").As16()
		v6[15] = at
		w.addName(name, netip.AddrFrom4([4]byte{203, 0, 113, at}), netip.AddrFrom16(v6))
		at++
		for port, issuer := range map[uint16]string{80: "", 443: authPublic} {
			if err := w.addSite(port, site{names: []string{name}, issuer: issuer, http: http.HandlerFunc(servePage)}); err != nil {
				return err
			}
		}
	}
	w.place(30, ncsi...)
	if err := w.addSite(80, site{names: ncsi, http: http.HandlerFunc(serveNCSI)}); err != nil {
		return err
	}
	revocation := []string{"crl.microsoft.com", "mscrl.microsoft.com", "oneocsp.microsoft.com", "ocsp.digicert.com", "crl3.digicert.com", "crl4.digicert.com"}
	w.place(31, revocation...)
	if err := w.addSite(80, site{names: revocation, http: http.HandlerFunc(servePage)}); err != nil {
		return err
	}
	w.place(32, "www.microsoft.com", "go.microsoft.com", "download.microsoft.com")
	for port, issuer := range map[uint16]string{80: "", 443: authPublic} {
		if err := w.addSite(port, site{names: []string{"www.microsoft.com", "go.microsoft.com", "download.microsoft.com"}, issuer: issuer, http: http.HandlerFunc(servePage)}); err != nil {
			return err
		}
	}
	for i, name := range []string{"time.windows.com", "pool.ntp.org", "time.example.org"} {
		w.addName(name, netip.AddrFrom4([4]byte{203, 0, 113, byte(120 + i)}))
		if err := w.addSite(123, site{names: []string{name}, packet: w.sntp(name)}); err != nil {
			return err
		}
	}
	return nil
}

func servePage(rw http.ResponseWriter, r *http.Request) {
	body := "<!DOCTYPE html><html><head><title>" + esc(hostOnly(r.Host)) + "</title></head><body><p>Nothing to see here.</p></body></html>"
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(rw, body)
	}
}

func serveNCSI(rw http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.URL.Path, "/connecttest.txt") {
		iisPage(rw, http.StatusNotFound)
		return
	}
	const body = "Microsoft Connect Test"
	rw.Header().Set("Content-Type", "text/plain")
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(rw, body)
	}
}
