package redact

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// A vocabulary is what Learn taught. It does not change; with makes a new one.
type vocabulary struct {
	words []taught
	first [256][]int32 // words by their first byte, longest first
}

// taught is a word or a phrase that names a user, a machine or a domain.
type taught struct {
	text string // in lower case
	kind string // User or Host
}

const minLearned = 3

// learnable splits a name into the words that are to be replaced.
func learnable(kind, value string) []taught {
	value = strings.TrimSpace(value)
	if len(value) > 256 {
		return nil
	}
	var list []taught
	add := func(kind, text string) {
		text = strings.ToLower(strings.Trim(text, " \t.\\"))
		if utf8.RuneCountInString(text) < minLearned || isCommonName([]byte(text)) || isLogWord(text) ||
			isPseudonym([]byte(text)) || isWellKnown([]byte(text)) || allDigits([]byte(text)) {
			return
		}
		list = append(list, taught{text, kind})
	}
	host := func(name string) {
		name = strings.TrimLeft(name, `\`)
		add(Host, name)
		if first, _, ok := strings.Cut(name, "."); ok && kind != Domain {
			add(Host, first)
		}
	}
	switch kind {
	case User:
		if k := strings.LastIndexByte(value, '\\'); k >= 0 {
			host(value[:k])
			value = value[k+1:]
		}
		if name, domain, ok := strings.Cut(value, "@"); ok {
			host(domain)
			value = name
		}
		add(User, value)
		// Each word of a full name betrays the person as well.
		if words := strings.FieldsFunc(value, func(c rune) bool { return c == ' ' || c == '.' || c == ',' || c == '_' }); len(words) > 1 {
			for _, w := range words {
				add(User, w)
			}
		}
	case Computer, Host, Domain:
		host(value)
	}
	return list
}

// isLogWord knows words that stand in nearly every log of Windows. A user or a machine may be called so, but a log in
// which they were replaced would say nothing any more.
func isLogWord(word string) bool {
	switch word {
	case "update", "updates", "windows", "microsoft", "service", "services", "server", "client", "agent", "error", "fehler",
		"warning", "warnung", "info", "failed", "failure", "success", "package", "paket", "packages", "component", "session",
		"driver", "treiber", "device", "gerät", "install", "installed", "installation", "download", "scan", "search", "start",
		"stop", "end", "exit", "code", "result", "status", "state", "version", "build", "setup", "system", "system32",
		"software", "hardware", "network", "netzwerk", "proxy", "http", "https", "host", "name", "user", "users", "computer",
		"domain", "local", "remote", "file", "files", "datei", "path", "log", "logs", "program", "programs", "data", "store",
		"cache", "config", "default", "public", "admin", "root", "test", "temp", "backup", "media", "shell", "defender",
		"office", "edge", "security", "policy", "registry", "key", "value", "date", "time", "event", "process", "thread",
		"module", "handler", "manager", "provider", "source", "target", "image", "volume", "disk", "drive", "boot", "power",
		"core", "base", "common", "shared", "foundation", "resources", "language", "feature", "features", "product", "release",
		"revision", "amd64", "x86", "arm64", "wow64", "neutral", "none", "null", "true", "false", "yes", "get", "set", "put", "post",
		"com", "net", "org", "www", "example", "corp", "lan", "internal", "intern", "home", "work", "desktop", "laptop",
		"notebook", "cbs", "csi", "dism", "dpx", "sfc", "wsus", "bits", "cab", "msi", "msu", "dll", "exe", "sys", "the", "and", "for",
		"not", "with", "from", "this", "that", "all", "any", "new", "old", "der", "die", "das", "und", "nicht", "ein", "eine",
		"max", "min", "mark", "bill", "will", "may", "art", "tab", "page", "port", "web", "site", "online", "offline",
		"pending", "current", "check", "repair", "restore", "health", "storage", "memory", "video", "audio", "print",
		"printer", "fax", "mail", "print$", "admin$", "ipc$", "netlogon", "sysvol", "firewall", "intel", "realtek", "nvidia",
		"lenovo", "dell", "content", "category", "title", "call", "return", "function", "class", "type", "index", "count",
		"size", "length", "number", "line", "text", "string", "object", "request", "response", "header", "cookie", "token", "ticket",
		"kein", "keine", "wird", "wurde", "auf", "mit", "von", "bei", "aus", "nach", "april", "august", "juni", "juli", "mai",
		"june", "july", "march", "january", "dienst", "fertig", "ready", "app", "apps", "task", "job", "run", "open", "close", "read", "write",
		"removed", "serial":
		return true
	}
	return false
}

// with returns the vocabulary with more words, or itself if it knows them.
func (v *vocabulary) with(words []taught) *vocabulary {
	next := &vocabulary{}
	if v != nil {
		next.words = slices.Clone(v.words)
	}
	for _, w := range words {
		if len(next.words) < maxLearned && !slices.ContainsFunc(next.words, func(o taught) bool { return o.text == w.text }) {
			next.words = append(next.words, w)
			// The same in Latin-1, for texts in the ANSI code page.
			if latin, ok := latin1(w.text); ok {
				next.words = append(next.words, taught{latin, w.kind})
			}
		}
	}
	if v != nil && len(next.words) == len(v.words) {
		return v
	}
	for i, w := range next.words {
		for _, c := range firstBytes(w.text) {
			if !slices.Contains(next.first[c], int32(i)) {
				next.first[c] = append(next.first[c], int32(i))
			}
		}
	}
	for c := range next.first {
		slices.SortStableFunc(next.first[c], func(a, b int32) int { return len(next.words[b].text) - len(next.words[a].text) })
	}
	return next
}

func latin1(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	high := false
	for _, c := range s {
		if c > 0xFF {
			return "", false
		}
		high = high || c >= 0x80
		b = append(b, byte(c))
	}
	return string(b), high
}

// firstBytes lists the bytes with which a word may begin in any letter case.
func firstBytes(text string) []byte {
	if c := text[0]; c < 0x80 {
		return []byte{c, upper(c)}
	}
	if !utf8.ValidString(text) {
		return []byte{text[0], text[0] &^ 0x20} // Latin-1: its capitals lie 32 below
	}
	c, n := utf8.DecodeRuneInString(text)
	list := []byte{text[0]}
	if up := []rune(strings.ToUpper(text[:n])); len(up) == 1 && up[0] != c {
		list = append(list, string(up)[0])
	}
	return list
}

// matches says whether b begins with the word, in any letter case.
func (w taught) matches(b []byte) bool {
	if len(b) < len(w.text) || w.text[0] < 0x80 && lower(b[0]) != w.text[0] {
		return false
	}
	b = b[:len(w.text)]
	if utf8.ValidString(w.text) {
		return strings.EqualFold(string(b), w.text)
	}
	for i := range b {
		c := w.text[i]
		if b[i] != c && lower(b[i]) != c && (c < 0xE0 || b[i] != c&^0x20) {
			return false
		}
	}
	return true
}

// learned replaces the words that were taught, where they stand alone.
func (s *scanner) learned(v *vocabulary) {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		list := v.first[b[i]]
		if list == nil || i > 0 && byteClass[b[i-1]]&isAlnum != 0 {
			continue
		}
		for _, n := range list {
			w := v.words[n]
			if !w.matches(b[i:]) {
				continue
			}
			end := i + len(w.text)
			if end < len(b) && byteClass[b[end]]&isAlnum != 0 || s.isProtected(i, end) {
				continue
			}
			if s.r.keeps(b[i:end]) || w.kind == Host && s.r.KeepHosts {
				break
			}
			if w.kind == User {
				i, end = s.wholeAccount(i, end)
			}
			name := b[i:end]
			s.cut(i, end)
			if w.kind == Host {
				s.out = s.appendHost(s.out, name)
			} else {
				s.out = s.appendUser(s.out, name)
			}
			i = end - 1
			break
		}
	}
	s.end()
}

// wholeAccount widens a known name to the account that it is a part of, first.last or last_first: whose first name is
// known, of him the surname beside it must not be left standing. What is an ordinary word, the end of a file's name, or
// written with other capitals than the name is no part of an account.
func (s *scanner) wholeAccount(i, end int) (int, int) {
	b := s.cur
	if end < len(b) && (b[end] == '.' || b[end] == '_') {
		stop := end + 1
		for stop < len(b) && byteClass[b[stop]]&isAlnum != 0 {
			stop++
		}
		goesOn := stop+1 < len(b) && (b[stop] == '.' || b[stop] == '_') && byteClass[b[stop+1]]&isAlnum != 0
		if part := b[end+1 : stop]; !goesOn && isAccountPart(part, b[i:end]) && !(b[end] == '.' && hasFileExtension(b[i:stop])) {
			return i, stop
		}
		return i, end
	}
	if i > s.done && (b[i-1] == '.' || b[i-1] == '_') {
		start := i - 1
		for start > s.done && byteClass[b[start-1]]&isAlnum != 0 {
			start--
		}
		goesOn := start > s.done && (b[start-1] == '.' || b[start-1] == '_' || b[start-1] == '-')
		if !goesOn && isAccountPart(b[start:i-1], b[i:end]) {
			return start, end
		}
	}
	return i, end
}

// isAccountPart says whether a word beside a name, with a point or a line between them, is another name. The digits that
// tell one account from another may follow it.
func isAccountPart(part, name []byte) bool {
	word := bytes.TrimRight(part, "0123456789")
	text := strings.ToLower(string(word))
	return utf8.RuneCount(word) >= 2 && len(part)-len(word) <= 3 && len(part) <= 32 &&
		bytes.IndexFunc(word, func(c rune) bool { return c < utf8.RuneSelf && byteClass[byte(c)]&isLetter == 0 }) < 0 &&
		sameCase(word, name) && !isPseudonym(part) && !isCommonName(word) && !isLogWord(text) &&
		!isLogWord(strings.ToLower(string(part))) && !isPlainWord(text) && !isPathRoot(word)
}

// sameCase says whether two names are written alike: in capitals, or with the same sort of letter at the beginning.
func sameCase(a, b []byte) bool {
	return (caseOf(a) == upperCase) == (caseOf(b) == upperCase) && byteClass[a[0]]&isLower == byteClass[b[0]]&isLower
}

// isPlainWord knows words that stand beside a name without being one: "frieda.but" where the blank is missing,
// frieda_copy, frieda_signed.
func isPlainWord(word string) bool {
	switch word {
	case "but", "then", "when", "where", "after", "before", "because", "while", "since", "she", "her", "his", "him", "they",
		"there", "here", "has", "have", "had", "was", "were", "are", "can", "did", "does", "now", "also", "only", "its", "our",
		"you", "your", "who", "what", "why", "how", "if", "in", "is", "it", "on", "or", "at", "as", "an", "to", "we", "he", "no",
		"so", "by", "be", "do", "my", "us", "of", "er", "es", "sie", "wir", "ich", "im", "am", "um", "zu", "da",
		"aber", "dann", "wenn", "weil", "auch", "nur", "hat", "hatte", "war", "ist", "sind", "als", "dem", "den", "des", "sich",
		"copy", "kopie", "save", "saved", "original", "orig", "export", "import", "signed", "final", "draft", "tmp", "bak", "csv",
		"profile", "profil", "account", "konto", "mailbox", "folder", "ordner", "archive", "archiv", "report", "bericht", "note",
		"notes", "machine", "rechner", "device", "phone", "tablet", "vm", "pc", "nb", "hr", "dev", "prod", "lokal", "domäne",
		"loc", "priv", "private", "privat", "windowsupdate", "events", "list", "liste", "table", "fixed", "broken":
		return true
	}
	return false
}

// isProtected keeps learnt words out of hosts that everybody uses, out of GUIDs, and out of the names of packages.
func (s *scanner) isProtected(i, end int) bool {
	b := s.cur
	start, stop := i, end
	for start > 0 && i-start < 253 && (isNameByte(b[start-1]) || b[start-1] == '.' || b[start-1] == '~') {
		start--
	}
	for stop < len(b) && stop-end < 253 && (isNameByte(b[stop]) || b[stop] == '.' || b[stop] == '~') {
		stop++
	}
	if stop-start == end-i {
		return false
	}
	word := b[start:stop]
	if bytes.IndexByte(word, '~') >= 0 && bytes.Contains(word, []byte("31bf3856ad364e35")) || isWellKnown(word) {
		return true
	}
	for from := max(start, i-36); from <= i; from++ {
		if from+36 >= end && guidAt(b, from) {
			return true
		}
	}
	return false
}

// remember notes a name found in this line. What is sure in one place of a line is sure in the others: the name of a
// management point stands there as a field and once more between quotes.
func (s *scanner) remember(kind string, name []byte) {
	const maxNames, maxLength = 8, 8 << 10
	if len(s.cur) > maxLength || slices.ContainsFunc(s.names, func(w taught) bool { return w.text == string(name) }) {
		return // longer than any line that a person reads: a document, in which the same word may be another
	}
	if len(s.names) < maxNames && len(name) > minLearned && len(name) < 64 && !isLogWord(string(name)) && !allDigits(name) {
		s.names = append(s.names, taught{string(name), kind})
	}
}

// repeatedNames replaces the names found in this line wherever else they stand in it.
func (s *scanner) repeatedNames() {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		if byteClass[b[i]]&isAlnum == 0 || i > 0 && byteClass[b[i-1]]&isAlnum != 0 {
			continue
		}
		for _, w := range s.names {
			end := i + len(w.text)
			if !w.matches(b[i:]) || end < len(b) && byteClass[b[end]]&isAlnum != 0 || s.isProtected(i, end) {
				continue
			}
			if w.kind == User {
				i, end = s.wholeAccount(i, end)
			}
			name := b[i:end]
			s.cut(i, end)
			if w.kind == Host {
				s.out = s.appendLabel(s.out, name)
			} else {
				s.out = s.appendUser(s.out, name)
			}
			i = end - 1
			break
		}
	}
	s.end()
}
