package redact

import (
	"bytes"
	"net/url"
	"unicode"
	"unicode/utf8"
)

// isCommonName knows the accounts and words that name no person and no machine, in English and German spelling.
func isCommonName(name []byte) bool {
	if len(name) > 32 {
		return false
	}
	switch string(canonical(name)) {
	case "administrator", "administrators", "administratoren", "admin", "system", "localsystem", "lokales system",
		"localservice", "local service", "lokaler dienst", "networkservice", "network service", "netzwerkdienst",
		"user", "users", "benutzer", "username", "benutzername", "public", "öffentlich", "default", "default user",
		"defaultuser", "defaultuser0", "defaultuser1", "defaultuser100000", "all users", "guest", "gast", "guests",
		"everyone", "jeder", "anonymous", "anonymous logon", "authenticated users", "interactive", "service",
		"dienst", "batch", "network", "windows", "systemprofile", "wdagutilityaccount", "defaultaccount",
		"trustedinstaller", "nt authority", "nt-autorität", "builtin", "vordefiniert", "nt service", "nt-dienst",
		"window manager", "font driver host", "iis apppool", "defaultapppool", "classic .net apppool", "appdata",
		"localhost", "local", "lokal", "workgroup", "arbeitsgruppe", "mshome", "azuread", "microsoftaccount", "names",
		"computer", "server", "client", "host", "hostname", "computername", "servername", "domain", "domäne", "name",
		"none", "keine", "unknown", "unbekannt", "null", "all", "any", "alle", "this", "creator owner", "krbtgt",
		"machine", "current user", "currentuser", "default app pool", "temp", "tmp", "root", "owner", "self",
		"nt virtual machine", "loopback", "default domain", "desktop", "account", "unassigned", "identity",
		"sid", "private", "privat", "default-first-site-name", "computers",
		// The groups of a WSUS server that are always there (learn.microsoft.com: Plan your WSUS deployment).
		"all computers", "unassigned computers", "alle computer", "nicht zugewiesene computer":
		return true
	}
	return false
}

// isVirtualDomain knows the domains of accounts that every Windows has.
func isVirtualDomain(name []byte) bool {
	switch string(canonical(name)) {
	case "nt authority", "nt-autorität", "builtin", "vordefiniert", "nt service", "nt-dienst", "window manager",
		"font driver host", "iis apppool", "nt virtual machine", "authority", "autorität", "service", "dienst",
		"manager", "apppool":
		return true
	}
	return false
}

// appendUser appends the pseudonym of an account name, and says whether it is another one.
func (s *scanner) appendUser(dst, name []byte) []byte {
	if len(name) == 0 || isPseudonym(name) || isCommonName(name) || isRemoved(name) || s.r.keeps(name) {
		return append(dst, name...)
	}
	if n := len(name) - 1; n > 0 && name[n] == '$' { // the account of a computer
		return append(s.appendLabel(dst, name[:n]), '$')
	}
	s.count(User, canonical(name))
	return s.r.appendPseudonym(dst, userPrefix, name)
}

// userValue replaces a value that names an account: name, DOMAIN\name or name@domain.
func (s *scanner) userValue(v span, kind fieldKind) {
	text := s.cur[v.start:v.end]
	if kind == softUserField && !v.whole || v.start < s.done || isNothing(text) || allDigits(text) ||
		hasFoldPrefix(text, "s-1-") || len(text) > 256 || hasFoldPrefix(text, "0x") {
		return
	}
	switch text[0] {
	case '{', '(', '<', '%', '$', '*', '&':
		return
	}
	if kind == softUserField && len(text) > 20 && !bytes.ContainsAny(text, `\@`) { // longer than an account can be
		return
	}
	if bytes.IndexFunc(text, unicode.IsLetter) < 0 && utf8.Valid(text) || guidAt(s.cur, v.start) || bytes.ContainsAny(text, "=/") && kind != personField {
		return
	}
	// name@domain is left to the pass for mail addresses, unless the domain is not one that it knows.
	if k := bytes.IndexByte(text, '@'); k > 0 {
		if bytes.IndexByte(text[k:], '.') >= 0 || isPseudonym(text[:k]) {
			return
		}
		s.cut(v.start, v.end)
		s.out = append(s.appendUser(s.out, text[:k]), '@')
		s.out = s.appendHost(s.out, text[k+1:])
		return
	}
	if k := bytes.IndexByte(text, '\\'); k >= 0 {
		n := bytes.LastIndexByte(text, '\\') + 1
		domain, name := text[:k], text[n:]
		if len(name) == 0 || isVirtualDomain(domain) || bytes.IndexByte(text[k:n], ' ') >= 0 || n-k > 2 {
			return
		}
		s.cut(v.start, v.end)
		s.out = s.appendAccountDomain(s.out, domain)
		s.out = append(s.out, text[k:n]...)
		s.out = s.appendUser(s.out, name)
		return
	}
	s.cut(v.start, v.end)
	s.out = s.appendUser(s.out, text)
}

// appendAccountDomain appends the pseudonym of the domain in DOMAIN\name.
func (s *scanner) appendAccountDomain(dst, domain []byte) []byte {
	if len(domain) == 0 || string(domain) == "." || isCommonName(domain) {
		return append(dst, domain...)
	}
	return s.appendHost(dst, domain)
}

// profileRoots are the folders below which each account has a folder of its name.
var profileRoots = [...]string{
	"users", "documents and settings", "dokumente und einstellungen", "benutzer", "home", "profiles$", "profiles",
	"profile$", "homes$", "homes", "home$", "users$", "userdata$", "userdata", "homedirs$", "homedirs",
}

// profiles replaces the names of accounts in paths of profiles and home folders, and of organisations in the folders
// that OneDrive makes for them.
func (s *scanner) profiles() {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' && b[i] != '/' {
			continue
		}
		sep := i
		for i+1 < len(b) && (b[i+1] == '\\' || b[i+1] == '/') {
			i++
		}
		root := i + 1
		c := root
		if c >= len(b) {
			break
		}
		switch lower(b[c]) {
		case 'u', 'd', 'b', 'h', 'p':
			for _, name := range profileRoots {
				if !hasFoldPrefix(b[root:], name) {
					continue
				}
				n := root + len(name)
				if n+1 >= len(b) || b[n] != '\\' && b[n] != '/' {
					continue
				}
				if !s.isProfileRoot(sep, root, name) {
					break
				}
				for n < len(b) && (b[n] == '\\' || b[n] == '/') {
					n++
				}
				if n < len(b) && n >= s.done {
					if end := s.profileName(n, sep); end > n {
						s.profileFolder(n, end)
					}
				}
				break
			}
		case 'a':
			// NAME\AppData\Local: a profile wherever it lies.
			if hasFoldPrefix(b[root:], "appdata") && root+7 < len(b) && (b[root+7] == '\\' || b[root+7] == '/') {
				start := sep
				for start > s.done && b[start-1] != '\\' && b[start-1] != '/' && b[start-1] != ':' && b[start-1] != '"' && sep-start < 64 {
					start--
				}
				if start > s.done && start < sep && (b[start-1] == '\\' || b[start-1] == '/') {
					s.profileFolder(start, sep)
				}
			}
		case 'o':
			const one = "onedrive - "
			if hasFoldPrefix(b[root:], one) {
				n := root + len(one)
				end := n
				for end < len(b) && b[end] != '\\' && b[end] != '/' && b[end] != '"' && b[end] != '\'' && b[end] != '<' && b[end] != ';' && b[end] != '\t' {
					end++
				}
				s.nameValue(span{n, end, true})
			}
		}
	}
	s.end()
}

// isProfileRoot keeps registry paths, web addresses and the like out.
func (s *scanner) isProfileRoot(sep, root int, name string) bool {
	b := s.cur
	if b[sep] == '/' && sep > 0 && b[sep-1] != ':' {
		// /home/x and /Users/x at the beginning of a path only; D:/Users and file:///C:/Users have a colon before.
		if joinsWord(b[sep-1]) || b[sep-1] == '/' || b[sep-1] == '.' || b[sep-1] == '-' {
			return false
		}
	}
	start := sep
	for start > 0 && sep-start < 200 && byteClass[b[start-1]]&isSpace == 0 && b[start-1] != '"' && b[start-1] != '\'' {
		start--
	}
	path := b[start:root]
	switch name {
	case "home", "profiles", "profile$", "homes", "userdata", "homedirs", "benutzer":
		// Common words: only as a share, or as /home.
		if name == "home" && b[sep] == '/' && sep == start {
			return true
		}
		if name == "benutzer" && len(path) > 1 && b[sep-1] == ':' {
			return true
		}
		return bytes.HasPrefix(path, []byte(`\\`)) && bytes.Count(bytes.TrimLeft(path, `\`), []byte(`\`)) <= 2
	}
	path = bytes.TrimLeft(path, "[(-")
	if hasFoldPrefix(path, "hk") || hasFoldPrefix(path, `\registry\`) || hasFoldPrefix(path, `computer\hk`) {
		return false
	}
	return !bytes.Contains(path, []byte("://")) || foldIndex(path, "file://", 0) >= 0
}

// profileName finds the end of the folder's name. Names may contain blanks: up to the next separator if there is one
// in reach and nothing in between that a file name cannot hold, or up to a closing quote; else one word, and a second
// capitalised one at the end of the line.
func (s *scanner) profileName(i, path int) int {
	b := s.cur
	const maxName = 64
	switch b[i] {
	case '%', '<', '$', '*', '{', '?', '[':
		return i
	}
	quote := byte(0)
	for j := path; j > 0 && path-j < 16; j-- {
		if c := b[j-1]; c == '"' || c == '\'' {
			quote = c
			break
		} else if c == ' ' || c == '=' {
			break
		}
	}
	for j := i; j < len(b) && j-i <= maxName; j++ {
		c := b[j]
		if c == '\\' || c == '/' {
			if j > i && b[j-1] != ' ' {
				return j
			}
			break
		}
		if c == quote && quote != 0 {
			return j
		}
		if c < 0x20 || c == '<' || c == '>' || c == ':' || c == '"' || c == '|' || c == '?' || c == '*' || c == ';' {
			break
		}
		if c == ' ' && j+1 < len(b) && (b[j+1] == ' ' || b[j+1] == '-' || b[j+1] == '/' || b[j+1] == '(') {
			break
		}
	}
	end := i
	for end < len(b) && byteClass[b[end]]&isSpace == 0 && bytes.IndexByte([]byte(`<>:"|?*;,)]}'\/&`), b[end]) < 0 {
		end++
	}
	for end > i && b[end-1] == '.' {
		end--
	}
	// "C:\Users\Anna Beispiel" and nothing behind it.
	if end > i && end+1 < len(b) && b[end] == ' ' && byteClass[b[i]]&isUpper != 0 && byteClass[b[end+1]]&isUpper != 0 {
		rest := b[end+1:]
		for n, c := range rest {
			if byteClass[c]&isLetter == 0 && c != '-' {
				return end
			}
			if n > 0 && byteClass[c]&isUpper != 0 && byteClass[rest[n-1]]&isUpper != 0 {
				return end
			}
		}
		return len(b)
	}
	return end
}

// profileFolder replaces the folder of a profile.
func (s *scanner) profileFolder(i, end int) {
	name := s.cur[i:end]
	plain := name
	if bytes.IndexByte(name, '%') >= 0 { // file:///C:/Users/Anna%20Beispiel/
		if u, err := url.PathUnescape(string(name)); err == nil {
			plain = []byte(u)
		}
	}
	if i < s.done || isPseudonym(plain) || isCommonName(plain) || s.r.keeps(plain) || isServiceFolder(plain) {
		return
	}
	// Where a folder of the name is there, Windows puts the domain or the computer, or a number, behind it
	// (support.microsoft.com, 228445: User Profile Storage in Windows 2000).
	if k := bytes.LastIndexByte(plain, '.'); k > 0 && len(plain) == len(name) {
		account, tail := plain[:k], plain[k+1:]
		switch {
		case len(tail) == 3 && allDigits(tail):
			s.cut(i, end)
			s.out = append(s.appendUser(s.out, account), plain[k:]...)
			return
		case isNetBIOSDomain(tail) && caseOf(account) != upperCase && !hasFileExtension(plain):
			s.cut(i, end)
			s.out = append(s.appendUser(s.out, account), '.')
			s.out = s.appendLabel(s.out, tail)
			return
		}
	}
	s.count(User, canonical(plain))
	s.cut(i, end)
	s.out = s.r.appendPseudonym(s.out, userPrefix, plain)
}

// isServiceFolder knows folders that stand where a profile could but belong to Windows or a service.
func isServiceFolder(name []byte) bool {
	switch string(canonical(name)) {
	case "desktop.ini", "ntuser.dat", "..", ".", "mssql$sqlexpress", ".net v4.5", ".net v4.5 classic", ".net v2.0":
		return true
	}
	return hasFoldPrefix(name, "s-1-5-")
}

// accounts replaces DOMAIN\name in running text. A path looks the same, so the domain must look like a NetBIOS domain in
// capitals that is no root of the registry or of the device tree, and the name must not look like a file or a key.
func (s *scanner) accounts() {
	s.begin()
	b := s.cur
	trimmed := bytes.TrimSpace(b)
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		sep := i
		for i+1 < len(b) && b[i+1] == '\\' {
			i++
		}
		name := i + 1
		if name-sep > 2 {
			continue
		}
		start := sep
		for start > s.done && (byteClass[b[start-1]]&isAlnum != 0 || b[start-1] == '-' || b[start-1] == '_' || b[start-1] == '.') {
			start--
		}
		end := name
		for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '.' || b[end] == '-' || b[end] == '_' || b[end] == '$') {
			end++
		}
		for end > name && b[end-1] == '.' {
			end--
		}
		if start == sep || end == name {
			continue
		}
		domain, user := b[start:sep], b[name:end]
		if start > 0 && (b[start-1] == '\\' || b[start-1] == '/' || b[start-1] == ':' || b[start-1] == '%' || b[start-1] == '$' || b[start-1] == '~' || b[start-1] == '}' || b[start-1] == ')') {
			continue
		}
		if end < len(b) && (b[end] == '\\' || b[end] == '/' || b[end] == '*' || b[end] == '&' || b[end] == '~' || b[end] == '#') {
			continue
		}
		if hasSID(b[end:]) && !isVirtualDomain(domain) && !isPathRoot(domain) { // whoami /all
			s.cut(start, end)
			s.out = s.appendAccountDomain(s.out, domain)
			s.out = append(s.out, b[sep:name]...)
			s.out = s.appendUser(s.out, user)
			continue
		}
		if start > 1 && b[start-1] == ' ' {
			// A folder with a blank in its name: C:\Program Files\Ole DB\x.
			if k := bytes.LastIndexAny(b[:start-1], " \"'"); bytes.IndexByte(b[k+1:start-1], '\\') >= 0 {
				continue
			}
		}
		alone := len(trimmed) == end-start && end-start > 3 // the output of whoami
		switch {
		case isVirtualDomain(domain) || isPathRoot(domain) || hasFileExtension(user) || allDigits(user):
			continue
		case s.afterAccountWord(start) && bytes.IndexByte(domain, '.') < 0 && len(domain) > 1 && !isCommonName(domain):
		case alone && name-sep == 1 && bytes.IndexByte(domain, '.') < 0 && !isCommonName(domain):
		case !isNetBIOSDomain(domain) || !isAccountName(user):
			continue
		}
		if isPseudonym(user) && (isPseudonym(domain) || isCommonName(domain)) {
			continue
		}
		s.cut(start, end)
		s.out = s.appendAccountDomain(s.out, domain)
		s.out = append(s.out, b[sep:name]...)
		s.out = s.appendUser(s.out, user)
	}
	s.end()
}

// hasSID says whether the SID of a user follows.
func hasSID(b []byte) bool {
	rest := bytes.TrimLeft(b, " ")
	return len(rest) < len(b) && (hasFoldPrefix(rest, "s-1-5-21-") || hasFoldPrefix(rest, "s-1-12-1-"))
}

func isNetBIOSDomain(b []byte) bool {
	if len(b) < 2 || len(b) > 15 || b[0] == '-' {
		return false
	}
	letters := 0
	for _, c := range b {
		switch {
		case byteClass[c]&isUpper != 0:
			letters++
		case byteClass[c]&isDigit == 0 && c != '-':
			return false
		}
	}
	return letters >= 2
}

// afterAccountWord says whether a word for accounts stands before: "user corp\anna", "als corp\anna".
func (s *scanner) afterAccountWord(i int) bool {
	b := s.cur
	if i < 2 || b[i-1] != ' ' {
		return false
	}
	start := i - 1
	for start > 0 && i-start < 16 && byteClass[b[start-1]]&(isLower|isUpper) != 0 {
		start--
	}
	switch string(bytes.ToLower(b[start : i-1])) {
	case "user", "users", "account", "as", "owner", "by", "benutzer", "konto", "als", "von", "login", "logon", "runas", "identity",
		"principal", "credentials", "anmelder", "person":
		return true
	}
	return false
}

// isAccountName tells an account from a key or a folder.
func isAccountName(b []byte) bool {
	if len(b) < 2 || len(b) > 20 || byteClass[b[0]]&isAlnum == 0 {
		return false
	}
	if b[len(b)-1] == '$' || isPseudonym(b) {
		return true
	}
	if len(b) == 5 && b[2] == '-' { // en-US
		return false
	}
	switch string(bytes.ToLower(b)) {
	case "parameters", "logs", "log", "software", "policies", "client", "server", "settings", "microsoft", "windows", "bin",
		"data", "temp", "config", "setup", "state", "packages", "current", "default", "drivers", "services", "control",
		"system", "common", "resources", "modules", "cache", "store", "download", "sources", "panther", "update", "enum",
		"parameter", "providers", "internet", "main", "security", "linkage", "performance", "interfaces", "kerberos", "files":
		return false
	}
	return true
}

// isPathRoot knows words in capitals that begin paths: registry roots, enumerators of devices, folders.
func isPathRoot(b []byte) bool {
	switch string(bytes.ToUpper(b)) {
	case "HKLM", "HKCU", "HKU", "HKCR", "HKCC", "SOFTWARE", "SYSTEM", "HARDWARE", "SAM", "SECURITY", "COMPONENTS",
		"DRIVERS", "DEFAULT", "ROOT", "PCI", "USB", "USBSTOR", "HID", "ACPI", "SWD", "DISPLAY", "STORAGE", "SCSI",
		"IDE", "BTH", "BTHENUM", "BTHLE", "HDAUDIO", "INTELAUDIO", "UEFI", "SW", "MONITOR", "FDC", "ISAPNP", "LPTENUM",
		"SD", "SDBUS", "PCMCIA", "VMBUS", "XENBUS", "XENVIF", "UMB", "WPDBUSENUM", "TERMINPUT_BUS", "TS_USB_HUB",
		"CBS", "CSI", "AU", "WDI", "IE", "MUI", "OEM", "PLA", "CCM", "WBEM", "WMI", "DRVSTORE", "INF", "BOOT", "EFI",
		"CIMV2", "WINDOWS", "WINNT", "NETLOGON", "SYSVOL", "GLOBAL", "DEVICE", "REGISTRY", "MACHINE", "UNC", "DOSDEVICES",
		"DETECTED", "AMD64", "X64", "X86", "ARM64", "WOW64", "I386", "STATE", "NT", "IIS", "CERT", "LM", "CU", "MY", "CA":
		return true
	}
	return bytes.HasPrefix(b, []byte("HKEY_"))
}

// mails replaces name@domain, also with the @ percent-encoded.
func (s *scanner) mails() {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		at, next := i, i+1
		switch {
		case b[i] == '@':
		case b[i] == '%' && bytes.HasPrefix(b[i:], []byte("%40")):
			next = i + 3
		default:
			continue
		}
		start := at
		for start > s.done && at-start < 128 && isMailByte(b[start-1]) {
			start--
		}
		if b[i] == '@' && i > 1 && b[i-1] == ' ' && i+2 < len(b) && b[i+1] == ' ' { // klist: anna @ CORP.EXAMPLE.COM
			at, start, next = i-1, i-1, i+2
			for start > s.done && at-start < 128 && isMailByte(b[start-1]) {
				start--
			}
		}
		end := next
		for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '.' || b[end] == '-' || b[end] == '_') {
			end++
		}
		for end > next && (b[end-1] == '.' || b[end-1] == '-' || b[end-1] == '_') {
			end--
		}
		for start < at && b[start] == '.' {
			start++
		}
		name, host := b[start:at], b[next:end]
		if len(name) == 0 || !isMailDomain(host) || bytes.HasSuffix(b[:at], []byte(urlMark)) {
			continue
		}
		i = end - 1
		s.cut(start, end)
		if start > 0 && b[start-1] == '/' && bytes.IndexByte(name, '.') > 0 {
			s.out = s.appendHost(s.out, name) // HTTP/server.domain@REALM: a service principal
		} else {
			s.out = s.appendUser(s.out, name)
		}
		s.out = append(s.out, b[at:next]...)
		s.out = s.appendHost(s.out, host)
	}
	s.end()
}

func isMailByte(c byte) bool {
	return byteClass[c]&isAlnum != 0 || c == '.' || c == '_' || c == '+' || c == '-'
}

// isMailDomain wants at least two labels, the last one of letters, and no file name such as icon@2x.png.
func isMailDomain(host []byte) bool {
	k := bytes.LastIndexByte(host, '.')
	if k <= 0 || hasFileExtension(host) {
		return false
	}
	last := host[k+1:]
	if len(last) < 2 {
		return false
	}
	for _, c := range last {
		if byteClass[c]&isLetter == 0 {
			return hasFoldPrefix(last, "xn--") || isPseudonym(last)
		}
	}
	return true
}

// phrases are the few sentences in which Windows names a machine without a field.
func (s *scanner) phrases(f features) {
	if f&mayComputer != 0 {
		b := s.cur
		s.begin()
		for i := 0; ; {
			k := foldIndex(b, "computer", i)
			if k < 0 {
				break
			}
			i = k + len("computer")
			for _, phrase := range [...]string{" name is ", " name to ", "name ist ", " name '", "name '"} {
				if !hasFoldPrefix(b[i:], phrase) {
					continue
				}
				start := i + len(phrase)
				end := start
				for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '-' || b[end] == '_') {
					end++
				}
				s.hostValue(span{start, end, true}, false)
				break
			}
		}
		s.end()
	}
	// ping and tracert: Pinging NAME [10.0.0.5]
	if f&hasBracket != 0 && f&hasDigit != 0 {
		s.begin()
		for i := 1; i+1 < len(s.cur); i++ {
			if s.cur[i] != '[' || s.cur[i-1] != ' ' || byteClass[s.cur[i+1]]&isHex == 0 {
				continue
			}
			end := bytes.IndexByte(s.cur[i:min(len(s.cur), i+70)], ']')
			if end < 0 || !isAddress(s.cur[i+1:i+end]) {
				continue
			}
			start := i - 1
			for start > s.done && (byteClass[s.cur[start-1]]&isAlnum != 0 || s.cur[start-1] == '-' || s.cur[start-1] == '.' || s.cur[start-1] == '_') {
				start--
			}
			s.hostValue(span{start, i - 1, true}, false)
		}
		s.end()
	}
	if f&maySerial != 0 {
		const phrase = "serial number is "
		s.begin()
		for i := 0; ; {
			k := foldIndex(s.cur, phrase, i)
			if k < 0 {
				break
			}
			i = k + len(phrase)
			end := i
			for end < len(s.cur) && (byteClass[s.cur[end]]&isAlnum != 0 || s.cur[end] == '-') {
				end++
			}
			s.serialValue(i, end)
		}
		s.end()
	}
	// The log of squid: the user stands before the way the request took.
	if f&mayAccess != 0 {
		if k := bytes.Index(s.cur, []byte(" HIER_")); k > 0 {
			start := k
			for start > 0 && byteClass[s.cur[start-1]]&isSpace == 0 {
				start--
			}
			s.begin()
			s.userValue(span{start, k, true}, userField)
			s.end()
		}
	}
	// gpresult: RSOP data for CORP\anna on PC01 : Logging Mode
	if f&mayRSOP != 0 {
		s.groupPolicy()
	}
	// Zones of Internet Explorer: ...\ZoneMap\Domains\corp.example\intranet
	if f&mayZone != 0 {
		if k := foldIndex(s.cur, `\domains\`, max(0, foldIndex(s.cur, `zonemap\`, 0))); k >= 0 && foldIndex(s.cur, `zonemap\`, 0) >= 0 {
			s.begin()
			for i := k + len(`\domains\`); i < len(s.cur); {
				end := i
				for end < len(s.cur) && (isNameByte(s.cur[end]) || s.cur[end] == '.') {
					end++
				}
				s.hostValue(span{i, end, true}, false)
				if end == len(s.cur) || s.cur[end] != '\\' {
					break
				}
				for i = end; i < len(s.cur) && s.cur[i] == '\\'; i++ {
				}
			}
			s.end()
		}
	}
	// wmic prints the name of a property, filled up with blanks, above its value.
	if n := len(s.cur); n > 4 && n < 80 && s.cur[n-1] == ' ' && byteClass[s.cur[0]]&isUpper != 0 {
		word := bytes.TrimRight(s.cur, " ")
		switch kind := fieldOf(string(bytes.ToLower(word))); kind {
		case serialField, guidField, personField, userField, hostField, macField:
			s.state.column = kind
		}
	}
}

// groupPolicy handles the heading of gpresult, in English and German.
func (s *scanner) groupPolicy() {
	b := s.cur
	i := -1
	for _, phrase := range [...]string{"rsop data for ", "rsop-daten f"} {
		if k := foldIndex(b, phrase, 0); k >= 0 {
			i = k + len(phrase)
		}
	}
	if i < 0 {
		return
	}
	for _, on := range [...]string{" on ", " auf "} {
		k := bytes.Index(b[i:], []byte(on))
		if k < 0 {
			continue
		}
		start := i + k + len(on)
		if start < len(b) && b[start] == '"' {
			start++
		}
		end := start
		for end < len(b) && isNameByte(b[end]) {
			end++
		}
		s.begin()
		s.hostValue(span{start, end, true}, false)
		s.end()
		return
	}
}

// prose finds what sentences say, as people write them when they ask for help: "password is Sommer2031", "from server
// WSUS01". In both cases a digit tells the name from the words around.
func (s *scanner) prose() {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); {
		if byteClass[b[i]]&isAlnum == 0 {
			i++
			continue
		}
		start := i
		for i < len(b) && byteClass[b[i]]&isAlnum != 0 {
			i++
		}
		if i-start < 2 || i-start > 16 || i+1 >= len(b) || b[i] != ' ' || start < s.done {
			continue
		}
		var buf [16]byte
		word := buf[:i-start]
		for k, c := range b[start:i] {
			word[k] = lower(c)
		}
		switch string(word) {
		case "password", "passwort", "kennwort", "passphrase", "pwd":
			s.spokenSecret(i + 1)
		case "server", "computer", "host", "rechner", "workstation", "proxy", "dc", "wsus", "machine":
			s.spokenHost(i + 1)
		case "user", "benutzer":
			s.spokenUser(start, i+1)
		}
	}
	s.end()
}

// spokenUser replaces the word at i if an account is named there: "for user jdoe", where the word for users begins at
// start. Without a preposition it is the beginning of a sentence, as in "User canceled the install".
func (s *scanner) spokenUser(start, i int) {
	b := s.cur
	word := start - 1
	for word > 0 && start-word < 8 && byteClass[b[word-1]]&isLetter != 0 {
		word--
	}
	if word < s.done || start == 0 || b[start-1] != ' ' {
		return
	}
	switch string(bytes.ToLower(b[word : start-1])) {
	case "for", "as", "by", "of", "from", "für", "f\xfcr", "als", "von":
	default:
		return
	}
	if i < len(b) && (b[i] == '\'' || b[i] == '"') {
		v := s.quoted(i+1, b[i])
		if v.end < len(b) && v.end-v.start <= 64 && !bytes.ContainsAny(b[v.start:v.end], `\@`) {
			s.userValue(v, userField)
		}
		return
	}
	end := i
	for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '.' || b[end] == '-' || b[end] == '_') {
		end++
	}
	for end > i && (b[end-1] == '.' || b[end-1] == '-') {
		end--
	}
	name := b[i:end]
	if len(name) < 3 || len(name) > 20 || isUserNoun(name) ||
		end+1 < len(b) && bytes.IndexByte([]byte(`\@=(`), b[end]) >= 0 {
		return // another pass knows DOMAIN\name and name@domain
	}
	s.userValue(span{i, end, true}, userField)
}

// isUserNoun knows the words that follow "for user" and "as user" and are no accounts.
func isUserNoun(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "and", "are", "but", "can", "did", "does", "fails", "failed", "for", "from", "has", "had", "have", "initiated", "instead",
		"into", "not", "only", "requested", "that", "the", "this", "was", "were", "which", "who", "whose", "with", "without",
		"und", "oder", "mit", "ohne", "ist", "hat", "wurde", "der", "die", "das", "nicht",
		"access", "accounts", "accounttype", "action", "actions", "activity", "agent", "approval", "choice", "class", "code", "config",
		"configuration", "confirmation", "consent", "context", "control", "credentials", "data", "defined", "driven", "driver", "element",
		"environment", "experience", "files", "folder", "group", "groups", "hive", "hives", "id", "ids", "input", "installed", "installs",
		"interaction", "interface", "interfaces", "level", "list", "logon", "logoff", "management", "mode", "name", "names",
		"notification", "notifications", "object", "objects", "operation", "permission", "permissions", "policies", "policy",
		"preference", "preferences", "privilege", "privileges", "process", "processes", "profile", "profiles", "prompt",
		"reasons", "registration", "registry", "request", "requests", "response", "rights", "scope", "scripts", "secrets", "security",
		"selected", "selection", "session", "sessions", "setting", "settings", "shell", "sid", "sids", "specific", "state",
		"scan", "search", "service", "services", "update", "updates", "install", "installation", "download", "computer", "device", "devices",
		"machine", "space", "kernel", "store", "support", "task", "tasks", "token", "tokens", "type", "types", "variables", "account":
		return true
	}
	return false
}

// spokenSecret removes what is said to be the password at i: "password hunter2", "password is hunter2". A word is one if
// it has letters and digits; after a sign, "password is = x", and in quotes anything is.
func (s *scanner) spokenSecret(i int) {
	b := s.cur
	said := false
	for _, verb := range [...]string{"is", "ist", "was", "war", "lautet"} {
		if hasFoldPrefix(b[i:], verb) && i+len(verb) < len(b) && bytes.IndexByte([]byte(" =:"), b[i+len(verb)]) >= 0 {
			i += len(verb)
			said = true
			break
		}
	}
	sign := false
	for ; said && i < len(b) && bytes.IndexByte([]byte(" =:"), b[i]) >= 0; i++ {
		sign = sign || b[i] != ' '
	}
	if i == len(b) {
		return
	}
	end := i
	if q := b[i]; said && (q == '"' || q == '\'' || q == '`') {
		i, sign = i+1, true
		if end = i + bytes.IndexByte(b[i:], q); end < i {
			end = len(b)
		}
	}
	letters, digits := false, false
	for end < len(b) && !endsToken(b[end]) {
		letters = letters || byteClass[b[end]]&isLetter != 0
		digits = digits || byteClass[b[end]]&isDigit != 0
		end++
	}
	for end > i && (b[end-1] == '.' || b[end-1] == ':') {
		end--
	}
	text := b[i:end]
	switch {
	case isNothing(text), isRemoved(text), hasFoldPrefix(text, "0x"), hasFoldPrefix(text, "kb"):
		return
	case sign:
	case !letters, !digits, len(text) < 4, !said && bytes.ContainsAny(text, `=:\/`):
		return
	}
	s.cut(i, end)
	s.remove(text)
}

// spokenHost replaces the word at i if it looks like the name of a machine: letters, then digits, perhaps with hyphens,
// in one letter case.
func (s *scanner) spokenHost(i int) {
	b := s.cur
	end := i
	for end < len(b) && (byteClass[b[end]]&(isDigit|isLower|isUpper) != 0 || b[end] == '-') {
		end++
	}
	name := b[i:end]
	if len(name) < 4 || len(name) > 15 || byteClass[name[0]]&isLetter == 0 || byteClass[name[len(name)-1]]&isAlnum == 0 ||
		end < len(b) && (joinsWord(b[end]) || b[end] == '=' || b[end] == '.' && end+1 < len(b) && joinsWord(b[end+1]) || b[end] == '\\' || b[end] == '/' || b[end] == '(') {
		return
	}
	digits := bytes.TrimRight(name, "0123456789")
	if len(digits) == len(name) || len(name)-len(digits) > 6 || isTechnicalWord(digits) {
		return
	}
	if shape := caseOf(name); shape != upperCase && shape != lowerCase || isPseudonym(name) {
		return
	}
	s.hostValue(span{i, end, true}, true)
}

// isTechnicalWord knows words that end in digits and name no machine.
func isTechnicalWord(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "kb", "http", "https", "win", "windows", "x", "amd", "arm", "ipv", "tls", "ssl", "sha", "md", "utf", "rfc", "ms", "base", "int", "uint",
		"kernel", "user", "error", "code", "cve", "port", "v", "version", "build", "h", "iis", "sql", "office", "net", "ie", "ntlmv", "smb", "exit",
		"event", "id", "line", "step", "phase", "rev", "update", "status", "session", "id-", "ring", "level":
		return true
	}
	return false
}
