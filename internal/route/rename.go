package route

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Rename puts real names in the place of the pseudonyms of a redacted bundle. What is
// not among the names stays, and stays in Redacted.
func (s Settings) Rename(names map[string]string) Settings {
	if len(names) == 0 {
		return s
	}
	var patterns []string
	lower := map[string]string{}
	for _, from := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) }) {
		patterns = append(patterns, regexp.QuoteMeta(from))
		lower[strings.ToLower(from)] = names[from]
	}
	find := regexp.MustCompile(`(?i)` + strings.Join(patterns, "|"))
	put := func(text string) string {
		return find.ReplaceAllStringFunc(text, func(from string) string { return lower[strings.ToLower(from)] })
	}
	proxy := func(p Proxy) Proxy {
		p.Static, p.Bypass, p.PAC = put(p.Static), put(p.Bypass), put(p.PAC)
		return p
	}
	s.Machine, s.Internet, s.User, s.Environ = proxy(s.Machine), proxy(s.Internet), proxy(s.User), proxy(s.Environ)
	accounts := map[Account]Proxy{}
	for a, p := range s.Accounts {
		accounts[a] = proxy(p)
	}
	s.Accounts = accounts
	for _, text := range []*string{&s.WSUS, &s.WSUSStatus, &s.Alternate, &s.CacheHost, &s.DHCPWPAD, &s.Computer, &s.ClientID} {
		*text = put(*text)
	}
	suffixes := slices.Clone(s.Suffixes)
	for i := range suffixes {
		suffixes[i] = put(suffixes[i])
	}
	s.Suffixes = suffixes
	s.Redacted = slices.DeleteFunc(slices.Clone(s.Redacted), func(n string) bool { return lower[strings.ToLower(n)] != "" })
	return s
}
