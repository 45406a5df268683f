package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
)

// Middle is a box in the way of the machine's own connections: a firewall that reads
// along, a proxy that nobody configured, the gate of a hotel's network.
type Middle struct {
	To     string   `json:"to,omitempty"`     // host pattern, address or prefix, each perhaps with :port; "" is everywhere
	Not    []string `json:"not,omitempty"`    // what it leaves alone, in the same form
	Opens  string   `json:"opens,omitempty"`  // it opens TLS; its authority's name
	Portal string   `json:"portal,omitempty"` // it lets nobody out before a sign-in: PortalRedirect or PortalPage
	Status int      `json:"status,omitempty"` // answered to every request on http: 407, 403, ...
	Mangle Mangle   `json:"mangle,omitzero"`
	Agent  string   `json:"agent,omitempty"`
}

// Portals.
const (
	PortalRedirect = "redirect" // 302 to its page
	PortalPage     = "page"     // 200 and its page instead of the answer
)

// portalName is where a portal's page lies.
const portalName = "portal.fabrikam.example"

func (w *World) buildMiddle() error {
	portal := false
	for i := range w.spec.Middle {
		m := &w.spec.Middle[i]
		if !slices.Contains([]string{"", PortalRedirect, PortalPage}, m.Portal) {
			return fmt.Errorf("middle to %q: unknown portal %q", m.To, m.Portal)
		}
		portal = portal || m.Portal != ""
		if m.Agent == "" {
			m.Agent = "gateway/1.0"
		}
		if m.Portal != "" && m.Opens == "" {
			m.Opens = "Fabrikam Guest Portal CA"
		}
		if m.Opens != "" {
			if _, err := w.pki.intercepting(m.Opens); err != nil {
				return err
			}
		}
	}
	if !portal {
		return nil
	}
	w.addName(portalName, netip.AddrFrom4([4]byte{192, 0, 2, 2}))
	return w.addSite(80, site{names: []string{portalName}, http: http.HandlerFunc(servePortal)})
}

// middleFor finds the box in the way of a connection.
func (w *World) middleFor(from *party, to netip.AddrPort) *Middle {
	if from != w.machine || to.Addr().IsLoopback() {
		return nil
	}
	for i := range w.spec.Middle {
		m := &w.spec.Middle[i]
		left := slices.ContainsFunc(m.Not, func(n string) bool { return w.leadsTo(n, to) })
		if left || !w.leadsTo(m.To, to) || m.Portal != "" && slices.Contains(w.zone[portalName], to.Addr()) {
			continue
		}
		if m.To == "" && netip.MustParsePrefix("192.0.2.0/24").Contains(to.Addr()) { // it stands at the edge of the machine's network
			continue
		}
		return m
	}
	return nil
}

// intercept plays the box for one connection, of which the first bytes were overheard.
func (w *World) intercept(v *visit, c net.Conn, first []byte) {
	m := v.middle
	switch {
	case len(first) > 0 && first[0] == 0x16 && m.Opens != "":
		a, err := w.pki.intercepting(m.Opens)
		if err != nil {
			v.conn.Reset()
			return
		}
		name := nameIn(first)
		if name == "" {
			name = v.server.Addr().String()
		}
		if m.Portal != "" {
			name = portalName // it has one certificate for all
		}
		w.toTLS(v, c, a, []string{name}, "")
	case len(first) > 0 && first[0] >= 'A' && first[0] <= 'Z':
		w.toHTTP(v, c)
	case v.site == nil:
		v.conn.Reset()
	default:
		v.middle = nil
		w.serve(v, c)
	}
}

// serveMiddle answers a request that the box has taken.
func (w *World) serveMiddle(v *visit, rw http.ResponseWriter, r *http.Request) {
	m := v.middle
	page := func(rw http.ResponseWriter, r *http.Request, status int, code string) {
		h := rw.Header()
		h.Set("Server", m.Agent)
		h.Set("Content-Type", "text/html; charset=utf-8")
		if status == http.StatusProxyAuthRequired {
			h.Set("Proxy-Authenticate", `Basic realm="gateway"`)
		}
		body := "<html><head><title>" + http.StatusText(status) + "</title></head><body><p>" + code + "</p></body></html>"
		h.Set("Content-Length", strconv.Itoa(len(body)))
		rw.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(rw, body)
		}
	}
	switch {
	case m.Portal == PortalRedirect:
		rw.Header().Set("Location", "http://"+portalName+"/login?to="+"http%3A%2F%2F"+r.Host)
		rw.Header().Set("Content-Length", "0")
		rw.WriteHeader(http.StatusFound)
	case m.Portal == PortalPage:
		servePortal(rw, r)
	case m.Status != 0:
		page(rw, r, m.Status, "not allowed")
	default:
		to := *r.URL
		if !to.IsAbs() {
			to.Scheme = "http"
			if r.TLS != nil {
				to.Scheme = "https"
			}
			// Where the client went, not what it says: a box sends on, it does not resolve.
			to.Host = v.server.String()
		}
		w.boxFor(v).forward(rw, r, &to, page)
	}
}

// boxFor is how a connection's box sends its requests on: to the address that the
// client wanted, in the client's name.
func (w *World) boxFor(v *visit) *forwarder {
	if f, ok := v.note.(*forwarder); ok {
		return f
	}
	f := w.newForwarder(&party{name: "gateway", addrs: w.machine.addrs}, v.middle.Mangle, v.middle.Agent)
	f.transport.DisableKeepAlives = true
	if v.site != nil && len(v.site.names) > 0 {
		f.transport.TLSClientConfig.ServerName = v.site.names[0]
	}
	v.note = f
	return f
}

func servePortal(rw http.ResponseWriter, r *http.Request) {
	const body = `<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Guest network</h1><form method="post"><input name="room"><input type="submit" value="Sign in"></form></body></html>`
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(rw, body)
	}
}
