package cause

import (
	"net/url"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// proxySetting is how one party decides about proxies.
type proxySetting struct {
	proxy  string // "host:port" or "http=a:1;https=b:2"; "" if none
	bypass string // "<local>;*.corp.example"
	script string // address of the configuration script
	detect bool   // WPAD
	source string
}

// direct tells that the party goes straight to the server.
func (p proxySetting) direct() bool { return p.proxy == "" && p.script == "" && !p.detect }

// machineProxy is the setting of the services: what netsh shows, else the value
// that it is kept in.
func (l *look) machineProxy() (proxySetting, bool) {
	if w := l.WinHTTP; w.State == facts.Present && w.Value.Known {
		return proxySetting{w.Value.Proxy, w.Value.Bypass, w.Value.PAC, w.Value.AutoDetect, w.Source}, true
	}
	v := l.Value(keyMachineInternet+`\Connections`, "WinHttpSettings")
	if v.State != facts.Present {
		return proxySetting{}, false
	}
	b, err := winlog.ParseWinHTTPBlob(v.Value.Data)
	if err != nil {
		return proxySetting{}, false
	}
	return fromBlob(b, v.Source), true
}

// userProxy is the setting of the signed-in user: the values that Internet
// Options writes, else the binary one beside them.
func (l *look) userProxy() (proxySetting, bool) {
	var p proxySetting
	enabled := l.DWord(keyUserInternet, "ProxyEnable")
	server := l.Text(keyUserInternet, "ProxyServer")
	script := l.Text(keyUserInternet, "AutoConfigURL")
	known := enabled.Known()
	if script.State == facts.Present && script.Value != "" {
		p.script, p.source, known = script.Value, script.Source, true
	}
	if server.State == facts.Present && server.Value != "" && (!enabled.Known() || enabled.Value != 0) {
		p.proxy, p.source, known = server.Value, server.Source, true
		p.bypass = l.Text(keyUserInternet, "ProxyOverride").Value
	}
	if !p.direct() {
		return p, true
	}
	if v := l.Value(keyUserInternet+`\Connections`, "DefaultConnectionSettings"); v.State == facts.Present {
		if b, err := winlog.ParseConnectionBlob(v.Value.Data); err == nil {
			p, known = fromBlob(b, v.Source), true
		}
	}
	return p, known
}

// fromBlob keeps of a binary setting what is switched on.
func fromBlob(b winlog.ProxyBlob, source string) proxySetting {
	p := proxySetting{detect: b.Detect(), source: source}
	if b.Static() {
		p.proxy, p.bypass = b.Proxy, b.Bypass
	}
	if b.Auto() {
		p.script = b.PAC
	}
	return p
}

// proxyHosts returns the hosts of a proxy list such as "http=a:1;https=b:2". Lines
// of logs set the list in angle brackets.
func proxyHosts(list string) []string {
	var out []string
	for _, e := range route.ParseProxyList(strings.Map(withoutAngles, list)).Entries {
		out = append(out, e.Host)
	}
	return out
}

func withoutAngles(r rune) rune {
	if r == '<' || r == '>' {
		return -1
	}
	return r
}

// bypasses reports whether a bypass list lets a host go direct.
func bypasses(list, host string) bool { return route.Bypass(list, host).Direct }

// hostOf returns the host of a URL, in its own letter case.
func hostOf(raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// hostsInURLs returns the hosts of the http addresses in a line, in order.
func hostsInURLs(line string) []string {
	var out []string
	lower := lowerASCII(line)
	for from := 0; len(out) < 8; {
		i := strings.Index(lower[from:], "http")
		if i < 0 {
			break
		}
		start := from + i
		from = start + len("http")
		rest := strings.TrimPrefix(lower[from:], "s")
		if !strings.HasPrefix(rest, "://") {
			continue
		}
		end := start + strings.IndexFunc(line[start:]+" ", func(r rune) bool {
			return r <= ' ' || strings.ContainsRune(`"'<>|,;)}`, r) || r > '~'
		})
		if host := hostOf(strings.TrimRight(line[start:end], ".")); host != "" {
			out = append(out, host)
		}
	}
	return out
}

// proxyInLine returns the proxy that a log line names after one of the agent's
// own labels; empty, "<(null)>" and "(null)" mean none.
func proxyInLine(line string) string {
	lower := lowerASCII(line)
	for _, label := range []string{"proxy list used =", "proxy list used:", "proxy list used :", "default proxy:", "default proxy :", "proxy list:"} {
		i := strings.Index(lower, label)
		if i < 0 {
			continue
		}
		v := strings.TrimLeft(line[i+len(label):], " \t'<")
		if end := strings.IndexAny(v, " \t>',"); end >= 0 {
			v = v[:end]
		}
		if v == "" || strings.HasPrefix(v, "(null)") || strings.EqualFold(v, "bypass") || !strings.ContainsAny(v, ".:") {
			return ""
		}
		return v
	}
	return ""
}

// lowerASCII lowers letters byte by byte, so that an offset in the result is one
// in s: strings.ToLower makes some characters longer or shorter.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
