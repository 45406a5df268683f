package route

import (
	"slices"
	"strings"
)

// Candidate is one place where WPAD looks for the proxy script.
type Candidate struct {
	URL    string // "http://wpad.corp.example/wpad.dat", or what DHCP says
	By     string // "dhcp" or "dns"
	Suffix string // dns: the suffix that was put behind "wpad"
	Source string
}

// Sources of the order in which WPAD looks.
const (
	sourceDetect  = "learn.microsoft.com: WinHttpDetectAutoProxyConfigUrl"
	sourceDevolve = "ADMX_DnsClient: Primary DNS suffix devolution level"
)

// maxSuffixes bounds the suffixes that are tried; Windows keeps a search list of
// at most 32.
const maxSuffixes = 32

// WPAD returns where the machine looks for a proxy script, in its order: the
// address that DHCP gives in option 252, and only without one the name wpad below
// its DNS suffixes (learn.microsoft.com: WinHttpDetectAutoProxyConfigUrl). The DNS
// client tries the primary suffix and then those of the connections. If none
// answers it devolves the primary one: it drops the first label again and again
// while at least two are left, or as many as policy says.
//
// A name that does not answer may yet be there: the DNS server of Windows leaves
// wpad unanswered until it is taken off its global query block list
// (learn.microsoft.com: Set-DnsServerGlobalQueryBlockList). NetBIOS and LLMNR are
// not asked since MS16-077.
func (s Settings) WPAD() []Candidate {
	if s.NoWPAD {
		return nil
	}
	if u := strings.TrimSpace(strings.TrimRight(s.DHCPWPAD, "\x00")); u != "" {
		return []Candidate{{URL: u, By: "dhcp", Source: sourceDetect}}
	}
	var out []Candidate
	add := func(suffix, source string) {
		if len(out) == maxSuffixes || slices.ContainsFunc(out, func(c Candidate) bool { return c.Suffix == suffix }) {
			return
		}
		out = append(out, Candidate{URL: "http://wpad." + suffix + "/wpad.dat", By: "dns", Suffix: suffix, Source: source})
	}
	var suffixes []string
	for _, suffix := range s.Suffixes {
		if suffix = strings.ToLower(strings.Trim(strings.TrimSpace(suffix), ".")); suffix != "" && nameFlaw(suffix) == "" {
			suffixes = append(suffixes, suffix)
			add(suffix, sourceDetect)
		}
	}
	if len(suffixes) == 0 || s.Devolve < 0 {
		return out
	}
	for _, suffix := range devolve(suffixes[0], s.Devolve) {
		add(suffix, sourceDevolve)
	}
	return out
}

// devolve returns the parents of a suffix that have at least level labels; Windows
// goes no further than two.
func devolve(suffix string, level int) []string {
	level = max(level, 2)
	var out []string
	for {
		_, parent, ok := strings.Cut(suffix, ".")
		if !ok || strings.Count(parent, ".")+1 < level {
			return out
		}
		out, suffix = append(out, parent), parent
	}
}
