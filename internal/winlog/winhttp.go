package winlog

import (
	"io"
	"strings"
)

// netsh prints the WinHTTP proxy in two forms. The plain one is translated:
//
//	Current WinHTTP proxy settings:
//
//	    Direct access (no proxy server).
//
// or, below the same title, two lines "key : value" with the proxy list first
// and the bypass list second. What is certain in every language is the word
// WinHTTP and the colon of the title, and how many of the lines below it hold a
// colon. The advanced one (Windows 11 and later) is a JSON object with fixed keys.
// learn.microsoft.com: "Netsh commands for WinHTTP", set advproxy.

// WinHTTPProxy is one answer of netsh winhttp show proxy or show advproxy.
type WinHTTPProxy struct {
	Known      bool   // false: the document does not tell
	Direct     bool   // no proxy, no script and no detection is set
	Proxy      string // "host:port" or "http=host:port;https=host:port"; "" if none
	Bypass     string // as written, separated by semicolons; "" if none
	PAC        string // address of the automatic configuration script
	AutoDetect bool   // WPAD; only show advproxy tells
	Advanced   bool   // from show advproxy
	Scope      string // "machine", "user", or "" if the document does not tell

	// Others are further answers in the same document, such as the plain
	// view beside the advanced one, in their order.
	Others []WinHTTPProxy
}

// ReadWinHTTP reads what netsh winhttp show proxy and show advproxy print, in
// any display language. Of several answers the one that decides for services is
// returned: advanced before plain, machine before user. When nothing can be
// told, Known is false and the error nil.
func ReadWinHTTP(r io.Reader) (WinHTTPProxy, error) {
	lines, err := readDocument(r)
	if err != nil {
		return WinHTTPProxy{}, err
	}
	var found []WinHTTPProxy
	scope := ""
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case winhttpCommand.MatchString(line):
			scope = ""
			if m := winhttpScope.FindStringSubmatch(line); m != nil {
				scope = strings.ToLower(m[1])
			}
		case strings.HasPrefix(strings.TrimSpace(line), "{"):
			end := i
			for end < len(lines)-1 && end-i < 40 && !strings.Contains(lines[end], "}") {
				end++
			}
			if p, ok := advancedProxy(strings.Join(lines[i:end+1], "\n")); ok {
				p.Scope = scope
				found = append(found, p)
			}
			i = end
		case isWinHTTPTitle(line):
			if p, last, ok := plainProxy(lines, i+1); ok {
				found = append(found, p)
				i = last
			}
		}
	}
	if len(found) == 0 {
		return WinHTTPProxy{}, nil
	}
	best := 0
	for i, p := range found {
		if winhttpRank(p) > winhttpRank(found[best]) {
			best = i
		}
	}
	out := found[best]
	out.Others = append(append([]WinHTTPProxy(nil), found[:best]...), found[best+1:]...)
	if len(out.Others) == 0 {
		out.Others = nil
	}
	return out, nil
}

var (
	winhttpCommand = newPattern(`(?i)\bwinhttp\s+show\s+(adv)?proxy\b`)
	winhttpScope   = newPattern(`(?i)setting-scope\s*=\s*(machine|user)`)
	jsonMember     = newPattern(`"(\w+)"\s*:\s*(?:"([^"]*)"|(true|false))`)
)

func winhttpRank(p WinHTTPProxy) int {
	switch {
	case p.Advanced && p.Scope != "user":
		return 3
	case !p.Advanced:
		return 2
	}
	return 1
}

// isWinHTTPTitle accepts the title of the plain view: the name WinHTTP, which no
// translation touches, and a colon at the end.
func isWinHTTPTitle(line string) bool {
	t := strings.TrimSpace(line)
	return strings.Contains(t, "WinHTTP") && (strings.HasSuffix(t, ":") || strings.HasSuffix(t, "："))
}

// plainProxy reads what follows the title, up to a blank line after text, a
// prompt or the next title. It returns the index of the last line that it used.
func plainProxy(lines []string, from int) (p WinHTTPProxy, last int, ok bool) {
	var keys, bare int
	last = from - 1
	for i := from; i < len(lines); i++ {
		t := strings.TrimSpace(lines[i])
		if t == "" {
			if keys+bare > 0 {
				break
			}
			continue
		}
		if strings.HasPrefix(t, "{") || isPrompt(t) || isWinHTTPTitle(t) {
			break
		}
		last = i
		_, value, colon := cutColon(t)
		switch {
		case !colon && (isSpaceAt(lines[i], 0) || strings.ContainsAny(t, "(（")):
			bare++
		case !colon:
			return WinHTTPProxy{}, last, false // neither indented nor "(no proxy server)": prose
		case keys == 0:
			p.Proxy = value
			keys++
		default:
			if keys == 1 {
				p.Bypass = noneIfBracketed(value)
			}
			keys++
		}
	}
	switch {
	case keys == 0 && bare == 1:
		return WinHTTPProxy{Known: true, Direct: true}, last, true
	case keys > 0 && bare == 0 && isProxyList(p.Proxy):
		p.Known = true
		return p, last, true
	}
	return WinHTTPProxy{}, last, false
}

// noneIfBracketed turns "(none)", "(keine)", "（なし）" into "". A real list has
// "<local>", names and wildcards but no parentheses.
func noneIfBracketed(v string) string {
	if strings.HasPrefix(v, "(") || strings.HasPrefix(v, "（") {
		return ""
	}
	return v
}

// isProxyList accepts [scheme=][scheme://]host[:port], several of them separated
// by semicolons or blanks.
func isProxyList(s string) bool {
	fields := strings.FieldsFunc(s, func(r rune) bool { return r == ';' || r == ' ' || r == '\t' })
	for _, f := range fields {
		if _, after, ok := strings.Cut(f, "="); ok {
			f = after
		}
		if _, after, ok := strings.Cut(f, "://"); ok {
			f = after
		}
		f = strings.TrimSuffix(f, "/")
		if f == "" || strings.IndexFunc(f, func(r rune) bool {
			return (r > 0x7F || !isAlnum(byte(r))) && !strings.ContainsRune(".-:[]", r)
		}) >= 0 {
			return false
		}
	}
	return len(fields) > 0
}

// advancedProxy reads the JSON object of show advproxy. It looks for the members
// one by one, so that an object which lost a line or a comma still tells the rest.
func advancedProxy(block string) (WinHTTPProxy, bool) {
	p := WinHTTPProxy{Advanced: true}
	on := map[string]bool{"proxyisenabled": true, "autoconfigisenabled": true}
	for _, m := range jsonMember.FindAllStringSubmatch(block, 64) {
		text, flag := strings.TrimSpace(m[2]), m[3] == "true"
		switch key := strings.ToLower(m[1]); key {
		case "proxy":
			p.Proxy, p.Known = text, true
		case "proxybypass":
			p.Bypass, p.Known = text, true
		case "autoconfigurl":
			p.PAC, p.Known = text, true
		case "autodetect":
			p.AutoDetect, p.Known = flag, true
		case "proxyisenabled", "autoconfigisenabled":
			on[key] = flag
			p.Known = true
		}
	}
	if !on["proxyisenabled"] {
		p.Proxy, p.Bypass = "", ""
	}
	if !on["autoconfigisenabled"] {
		p.PAC = ""
	}
	p.Direct = p.Known && p.Proxy == "" && p.PAC == "" && !p.AutoDetect
	return p, p.Known
}
