package relay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"updoc/internal/httpwire"
	"updoc/internal/route"
)

// PACPath is where a relay serves its configuration script.
const PACPath = "/updoc.pac"

// script returns what the script that a request is for leaves as it was.
func (r *Relay) script(m *httpwire.Message) (Before, bool) {
	if m.Method != http.MethodGet {
		return Before{}, false
	}
	if m.Target == PACPath {
		return r.Before, true
	}
	before, ok := r.Scripts[m.Target]
	return before, ok
}

// Before is how destinations were decided before there was a relay. Script wins over
// Static, as it does in Windows.
type Before struct {
	Static string // "proxy:8080", or "http=a:1;https=b:2"; "" is the direct way
	Bypass string // its exceptions
	Script string // the text of the configuration script that is in force
}

// PAC returns the configuration script of the relay: update hosts go to the relay, and
// every other destination gets the decision that it had. It is written in the language
// of 1999, which is what WinHTTP runs. learn.microsoft.com: AutoProxy Issues in WinHTTP.
func (r *Relay) PAC() string { return r.pac(r.Before) }

func (r *Relay) pac(before Before) string {
	var b strings.Builder
	b.WriteString("// Made by updoc relay. Update hosts go to the relay, everything else as before.\n")
	hosts := []string{}
	for _, e := range route.AllowList(route.AllowAll) {
		hosts = append(hosts, e.Host)
	}
	own := []string{}
	for _, o := range r.Own {
		name, _, _ := strings.Cut(o, ":")
		own = append(own, strings.ToLower(name))
	}
	fmt.Fprintf(&b, "var updocHosts = %s;\nvar updocOwn = %s;\nvar updocRelay = %s;\n", js(hosts), js(own), js("PROXY "+r.address))
	b.WriteString(`
function updocIsUpdate(url, host) {
  host = host.toLowerCase();
  var i, rest = url.substring(url.indexOf("://") + 3), end = rest.search(/[\/?#]/);
  var port = (end < 0 ? rest : rest.substring(0, end)).match(/:(\d+)$/);
  for (i = 0; i < updocOwn.length; i++) if (host == updocOwn[i]) return true;
  if (port && port[1] != "80" && port[1] != "443") return false;
  for (i = 0; i < updocHosts.length; i++) {
    var h = updocHosts[i];
    if (h.substring(0, 2) != "*.") { if (host == h) return true; continue; }
    var tail = h.substring(1), at = host.length - tail.length;
    if (host == h.substring(2) || at > 0 && host.substring(at) == tail) return true;
  }
  return false;
}
`)
	if before.Script != "" {
		// In a function of its own, so that its names stay its own.
		fmt.Fprintf(&b, "\nvar updocBefore = (function () {\n%s\n;return typeof FindProxyForURLEx == \"function\" ? FindProxyForURLEx : FindProxyForURL;\n})();\n", before.Script)
	} else {
		before.static(&b)
	}
	b.WriteString("\nfunction FindProxyForURL(url, host) {\n  if (updocIsUpdate(url, host)) return updocRelay;\n  return updocBefore(url, host);\n}\n")
	return b.String()
}

// static writes the decision of a fixed list and its exceptions.
func (p Before) static(b *strings.Builder) {
	list := route.ParseProxyList(p.Static)
	ways := map[string]string{}
	for _, scheme := range []string{"http", "https"} {
		var out []string
		for _, e := range list.For(scheme) {
			if e.Scheme == "http" {
				out = append(out, "PROXY "+strings.TrimPrefix(e.URL(), "http://"))
			}
		}
		ways[scheme] = "DIRECT"
		if len(out) > 0 {
			ways[scheme] = strings.Join(out, "; ")
		}
	}
	bad := map[string]bool{}
	for _, m := range route.Bypass(p.Bypass, "http://updoc.invalid/").Malformed {
		bad[m.Text] = true
	}
	entries := []map[string]string{}
	local, loopback := false, true
	for _, f := range strings.FieldsFunc(p.Bypass, func(r rune) bool { return r == ';' || r == ' ' || r == '\t' }) {
		switch f = strings.ToLower(f); {
		case f == "<local>":
			local = true
		case f == "<-loopback>":
			loopback = false
		case !bad[f]:
			entries = append(entries, bypassEntry(f))
		}
	}
	fmt.Fprintf(b, "\nvar updocWays = %s;\nvar updocExcept = %s;\nvar updocLocal = %t;\nvar updocLoopback = %t;\n", js(ways), js(entries), local, loopback)
	b.WriteString(`
function updocBefore(url, host) {
  host = host.toLowerCase();
  var i, scheme = url.substring(0, url.indexOf(":")).toLowerCase();
  var rest = url.substring(url.indexOf("://") + 3), end = rest.search(/[\/?#]/);
  var port = (end < 0 ? rest : rest.substring(0, end)).match(/:(\d+)$/);
  port = port ? port[1] : scheme == "https" ? "443" : "80";
  if (host.substring(0, 4) == "127.") return "DIRECT";
  if (updocLoopback && (host == "localhost" || host == "loopback" || host == "::1" || /^169\.254\./.test(host) || /^fe80:/.test(host))) return "DIRECT";
  if (updocLocal && host.indexOf(".") < 0 && host.indexOf(":") < 0) return "DIRECT";
  for (i = 0; i < updocExcept.length; i++) {
    var e = updocExcept[i];
    if ((e.scheme == "" || e.scheme == scheme) && (e.port == "" || e.port == port) && shExpMatch(host, e.host)) return "DIRECT";
  }
  return updocWays[scheme] || "DIRECT";
}
`)
}

// bypassEntry takes a well-formed entry apart: "http://*.corp.example:8080".
func bypassEntry(s string) map[string]string {
	e := map[string]string{"scheme": "", "port": ""}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		e["scheme"], s = scheme, rest
	}
	if strings.HasPrefix(s, "[") {
		in, rest, _ := strings.Cut(s[1:], "]")
		e["host"], e["port"] = in, strings.TrimPrefix(rest, ":")
		return e
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.Count(s, ":") == 1 {
		s, e["port"] = s[:i], s[i+1:]
	}
	e["host"] = s
	return e
}

// js writes a value as a literal. JSON is one but for two line separators, which
// encoding/json escapes; it escapes angle brackets too.
func js(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null" // strings and maps of them always can be written
	}
	return string(b)
}

func (r *Relay) servePAC(conn patient, before Before) {
	r.stats.scripts.Add(1)
	text := r.pac(before)
	m := httpwire.Message{Status: http.StatusOK, Reason: "OK", Fields: []httpwire.Field{
		{Name: "Content-Type", Value: "application/x-ns-proxy-autoconfig"},
		{Name: "Content-Length", Value: strconv.Itoa(len(text))},
		{Name: "Cache-Control", Value: "no-store"},
		{Name: "Connection", Value: "close"},
	}}
	_, _ = conn.Write(append(m.AppendHead(nil), text...)) // the client may have gone
}
