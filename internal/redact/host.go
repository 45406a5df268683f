package redact

import "bytes"

// appendLabel appends the pseudonym of one label of a host name, or of a NetBIOS name. The label alone decides, so that
// \\WSUS01, wsus01.corp.example.com and CORP\anna agree with each other.
func (s *scanner) appendLabel(dst, label []byte) []byte {
	if len(label) == 0 || s.r.KeepHosts || isPseudonym(label) || isCommonName(label) || s.r.keeps(label) {
		return append(dst, label...)
	}
	s.count(Host, canonical(label))
	return s.r.appendHostPseudonym(dst, label, false)
}

// appendHost appends the pseudonym of a host or domain name: each label on its own, the public suffix as it is. Names
// that everybody uses stay.
func (s *scanner) appendHost(dst, name []byte) []byte {
	if len(name) == 0 || s.r.KeepHosts || isWellKnown(name) || s.r.keeps(name) {
		return append(dst, name...)
	}
	private := name[:len(name)-suffixLen(name)]
	for start := 0; ; {
		n := bytes.IndexByte(private[start:], '.')
		if n < 0 {
			dst = s.appendHostLabel(dst, private[start:])
			break
		}
		dst = append(s.appendHostLabel(dst, private[start:start+n]), '.')
		start += n + 1
	}
	return append(dst, name[len(private):]...)
}

// appendHostLabel leaves alone what names a role and no machine: wpad, www, service labels such as _ldap, common words,
// and wildcards.
func (s *scanner) appendHostLabel(dst, label []byte) []byte {
	if len(label) == 0 || label[0] == '_' || foldEqual(label, "wpad") || foldEqual(label, "www") {
		return append(dst, label...)
	}
	if bytes.IndexByte(label, '*') < 0 && bytes.IndexByte(label, '?') < 0 {
		return s.appendLabel(dst, label)
	}
	// A wildcard inside a label. What stands before it matches the names that begin with it if only digits follow there.
	for len(label) > 0 {
		n := bytes.IndexAny(label, "*?")
		part := label
		if n >= 0 {
			part = label[:n]
		}
		switch {
		case n < 0:
			dst = s.appendLabel(dst, part)
		case len(part) == 0, isPseudonym(bytes.TrimRight(part, "-")):
			dst = append(dst, part...)
		default:
			s.count(Host, canonical(part))
			dst = s.r.appendHostPseudonym(dst, part, true)
		}
		if n < 0 {
			break
		}
		dst = append(dst, label[n])
		label = label[n+1:]
	}
	return dst
}

// isHostPattern says whether b may be a host name, perhaps with wildcards, and no other sort of word.
func isHostPattern(b []byte) bool {
	if len(b) == 0 || len(b) > 253 {
		return false
	}
	letters := false
	for _, c := range b {
		switch {
		case byteClass[c]&isLetter != 0:
			letters = true
		case byteClass[c]&isDigit == 0 && c != '-' && c != '.' && c != '_' && c != '*' && c != '?':
			return false
		}
	}
	return letters
}

// hostValue replaces a value that is a host name, host:port or \\host.
func (s *scanner) hostValue(v span, soft bool) {
	i, end := v.start, v.end
	for i < end && s.cur[i] == '\\' {
		i++
	}
	text := s.cur[i:end]
	if bytes.Contains(text, []byte("://")) {
		return
	}
	if k := bytes.IndexByte(text, ':'); k > 0 && allDigits(text[k+1:]) {
		end, text = i+k, text[:k]
	}
	for len(text) > 0 && text[len(text)-1] == '.' {
		end, text = end-1, text[:len(text)-1]
	}
	if i < s.done || soft && (!v.whole || isSoftware(text)) || !isHostPattern(text) || isNothing(text) ||
		isCommonName(text) || isPseudonym(text) || guidAt(s.cur, i) || hasFileExtension(text) || hasFoldPrefix(text, "0x") ||
		bytes.IndexByte(text, '.') < 0 && len(text) > 63 || foldEqual(text, "wpad") {
		return
	}
	s.cut(i, end)
	s.out = s.appendHost(s.out, text)
}

// isSoftware knows what an HTTP header Server says.
func isSoftware(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "nginx", "apache", "squid", "cloudflare", "microsoft-iis", "akamaighost", "kestrel", "envoy", "bigip",
		"ecacc", "haproxy", "zscaler", "bluecoat", "mitmproxy", "lighttpd", "caddy", "varnish", "openresty",
		"gunicorn", "gws", "amazons3", "awselb", "ecs", "ecd", "microsoft-httpapi", "akamainetstorage", "mcafee",
		"windows", "linux", "wsus", "http", "https", "unreachable", "error", "ok", "failed", "starting", "started",
		"stopped", "running", "x64", "x86", "amd64", "arm64", "proxy", "offline", "online", "unspecified", "fehler":
		return true
	}
	return false
}

// hostList replaces the hosts in a list of proxies or of exceptions: http=a:80;https=b:80, *.corp.example;10.*;<local>.
func (s *scanner) hostList(i, end int, soft bool) {
	// Words with blanks between them are a sentence, such as "not configured".
	for k := i + 1; k+1 < end && !soft; k++ {
		soft = s.cur[k] == ' ' && isNameByte(s.cur[k-1]) && isNameByte(s.cur[k+1])
	}
	for i < end {
		switch c := s.cur[i]; c {
		case ' ', ';', ',', '\t', '"', '\'', '[', ']', '\\':
			i++
			continue
		}
		start := i
		for i < end {
			if c := s.cur[i]; c == ' ' || c == ';' || c == ',' || c == '\t' || c == '"' || c == '\'' || c == ']' {
				break
			}
			i++
		}
		s.hostElement(start, i, soft)
	}
}

func (s *scanner) hostElement(i, end int, soft bool) {
	text := s.cur[i:end]
	if k := bytes.IndexByte(text, '='); k > 0 && k < 8 {
		i, text = i+k+1, text[k+1:]
	}
	if k := bytes.Index(text, []byte("://")); k >= 0 {
		return // the pass for URLs
	}
	if k := bytes.LastIndexByte(text, '@'); k >= 0 {
		i, text = i+k+1, text[k+1:]
	}
	if k := bytes.IndexByte(text, '/'); k >= 0 {
		text = text[:k]
	}
	port := false
	if k := bytes.IndexByte(text, ':'); k > 0 {
		port = true
		text = text[:k]
	}
	if isAddressPattern(text) {
		if i >= s.done && !s.r.KeepHosts {
			s.addressPattern(i, i+len(text))
		}
		return
	}
	if i < s.done || !isHostPattern(text) || isNothing(text) || isCommonName(text) || isWellKnown(text) ||
		hasFileExtension(text) && !port || soft && !port && bytes.IndexByte(text, '.') < 0 || isDirectWord(text) ||
		hasFoldPrefix(text, "0x") {
		return
	}
	s.cut(i, i+len(text))
	s.out = s.appendHost(s.out, text)
}

func isDirectWord(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "direct", "bypass", "proxy", "list", "access", "server", "no", "settings", "http", "https", "ftp", "socks",
		"local", "type", "default", "auto", "autodetect", "system", "user", "wpad", "disabled", "enabled", "is", "not",
		"set", "the", "for", "not-configured", "null":
		return true
	}
	return false
}

// urls replaces the hosts of URLs.
func (s *scanner) urls() {
	s.begin()
	for i := 0; ; {
		k := bytes.Index(s.cur[i:], []byte("://"))
		if k < 0 {
			break
		}
		colon := i + k
		i = colon + 3
		scheme := colon
		for scheme > s.done && (byteClass[s.cur[scheme-1]]&(isDigit|isLower|isUpper) != 0 || s.cur[scheme-1] == '.' || s.cur[scheme-1] == '+' || s.cur[scheme-1] == '-') {
			scheme--
		}
		end := i
		for end < len(s.cur) && !endsToken(s.cur[end]) && s.cur[end] != '/' && s.cur[end] != '\\' && s.cur[end] != '?' && s.cur[end] != '#' && s.cur[end] != '`' {
			end++
		}
		start := i
		if at := bytes.LastIndexByte(s.cur[start:end], '@'); at >= 0 {
			start += at + 1
		}
		host := s.cur[start:end]
		if n := bytes.IndexByte(host, ':'); n >= 0 {
			host = host[:n]
		}
		host = bytes.TrimRight(host, ".")
		i = end
		if !isHostPattern(host) || hostCommon(host) {
			continue
		}
		if bytes.IndexByte(host, '.') < 0 && !isNetworkScheme(s.cur[scheme:colon]) {
			continue
		}
		s.cut(start, start+len(host))
		s.out = s.appendHost(s.out, host)
	}
	s.end()
}

// hostCommon knows hosts of URLs that name nothing.
func hostCommon(b []byte) bool {
	return foldEqual(b, "localhost") || foldEqual(b, "wpad") || foldEqual(b, "loopback")
}

func isNetworkScheme(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "http", "https", "ftp", "ftps", "sftp", "ldap", "ldaps", "ws", "wss", "smb", "cifs", "nfs", "file", "tcp",
		"udp", "net.tcp", "socks", "socks4", "socks5", "rtsp", "ssh", "telnet", "tftp", "dav", "davs", "mms", "sip",
		"mqtt", "amqp", "svn", "git", "rdp", "vnc", "dns", "ntp", "snmp", "syslog", "proxy", "wsman", "tls", "quic":
		return true
	}
	return false
}

// shares replaces the server in \\SERVER\share. In JSON and .reg files every backslash is doubled, so that \\Device\\x
// there is \Device\x and no server.
func (s *scanner) shares() {
	s.begin()
	b := s.cur
	for i := 0; i+2 < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		run := i
		for i+1 < len(b) && b[i+1] == '\\' {
			i++
		}
		n := i + 1 - run
		if n != 2 && n != 4 || run > 0 && !beginsPath(b[run-1]) {
			continue
		}
		start := i + 1
		if hasFoldPrefix(b[start:], `?\unc\`) || hasFoldPrefix(b[start:], `.\unc\`) {
			start += 6
		} else if hasFoldPrefix(b[start:], `?\\unc\\`) {
			start += 8
		}
		end := start
		for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '.' || b[end] == '-' || b[end] == '_') {
			end++
		}
		after := 0
		for end+after < len(b) && b[end+after] == '\\' {
			after++
		}
		for after == 0 && end > start && b[end-1] == '.' {
			end--
		}
		name := b[start:end]
		// \\NAME@SSL@8443\DavWWWRoot
		dav := end < len(b) && b[end] == '@'
		switch {
		case !isHostPattern(name) || hostCommon(name) || name[0] == '.' || len(name) < 2:
		case n == 2 && after == 2 && start == run+2: // an escaped path from the root
		case n == 4 && after == 1:
		case hasFoldPrefix(name, "volume") || foldEqual(name, "globalroot") || foldEqual(name, "physicaldrive0") || foldEqual(name, "device"):
		case bytes.IndexByte(name, '.') > 0 && hasFileExtension(name) && after == 0:
		case after == 0 && !dav && (n == 4 || isCommonName(name)):
		default:
			s.cut(start, end)
			s.out = s.appendHost(s.out, name)
		}
		i = end - 1
	}
	s.end()
}

// beginsPath says whether a path may begin behind c.
func beginsPath(c byte) bool {
	return byteClass[c]&isSpace != 0 || bytes.IndexByte([]byte(`"'=(<>;,[{|:@!`+"`"), c) >= 0
}

// proxyScript handles proxy scripts: PROXY host:port in what they return, and the names they compare with.
func (s *scanner) proxyScript(f features) {
	if f&hasColon != 0 && f&mayProxy != 0 {
		s.proxyDirectives()
	}
	if f&mayProxy != 0 && bytes.Contains(s.cur, []byte("FindProxyForURL")) {
		s.state.pac = true
	}
	if f&hasQuote == 0 {
		return
	}
	if !s.state.pac && (f&mayHost == 0 || !comparesHost(s.cur)) {
		return
	}
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		if b[i] != '"' && b[i] != '\'' {
			continue
		}
		n := bytes.IndexByte(b[i+1:], b[i])
		if n < 0 {
			break
		}
		start, end := i+1, i+1+n
		i = end
		text := b[start:end]
		if isScriptWord(text) || bytes.IndexByte(text, ' ') >= 0 {
			continue
		}
		if isAddressPattern(text) {
			if !s.r.KeepHosts {
				s.addressPattern(start, end)
			}
			continue
		}
		if !isHostPattern(text) || bytes.Equal(bytes.Trim(text, "*.?"), nil) {
			continue
		}
		s.cut(start, end)
		s.out = s.appendHost(s.out, text)
	}
	s.end()
}

// comparesHost says whether a line of JavaScript compares the variable host with something.
func comparesHost(b []byte) bool {
	for _, call := range [...]string{"shExpMatch(", "dnsDomainIs(", "localHostOrDomainIs(", "host ==", "host==", "== host", "==host", "host.endsWith(", "host.indexOf(", "isInNet("} {
		if bytes.Contains(b, []byte(call)) {
			return true
		}
	}
	return false
}

// isScriptWord knows the strings of proxy scripts that are no hosts.
func isScriptWord(b []byte) bool {
	switch string(bytes.ToUpper(b)) {
	case "DIRECT", "PROXY", "SOCKS", "SOCKS4", "SOCKS5", "HTTP", "HTTPS", "FTP", "HTTP:", "HTTPS:", "FTP:", "SUN", "MON",
		"TUE", "WED", "THU", "FRI", "SAT", "GMT", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP",
		"OCT", "NOV", "DEC", "WS", "WSS", "LOCALHOST", "WPAD", "HTTP*", "HTTPS*", "FTP*", "USE STRICT", "STRING", "OBJECT",
		"UNDEFINED", "FUNCTION", "NUMBER":
		return true
	}
	return hasFileExtension(b) && bytes.IndexByte(b, '*') < 0
}

// proxyDirectives replaces the host in PROXY host:port, SOCKS5 host:port, and so on.
func (s *scanner) proxyDirectives() {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		if b[i] != ' ' || i < 4 {
			continue
		}
		start := i
		for start > s.done && byteClass[b[start-1]]&(isUpper|isDigit) != 0 {
			start--
		}
		if start > 0 && joinsWord(b[start-1]) {
			continue
		}
		switch string(b[start:i]) {
		case "PROXY", "SOCKS", "SOCKS4", "SOCKS5", "HTTP", "HTTPS":
		default:
			continue
		}
		end := i + 1
		for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '.' || b[end] == '-' || b[end] == '_') {
			end++
		}
		name := b[i+1 : end]
		if !isHostPattern(name) || end+1 >= len(b) || b[end] != ':' || byteClass[b[end+1]]&isDigit == 0 || hostCommon(name) {
			continue
		}
		s.cut(i+1, end)
		s.out = s.appendHost(s.out, name)
		i = end - 1
	}
	s.end()
}

// generatedNames replaces the computer names that Windows Setup makes up, such as DESKTOP-4F7K2QD, wherever they stand.
func (s *scanner) generatedNames() {
	if s.r.KeepHosts {
		return
	}
	s.begin()
	b := s.cur
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], '-')
		if k < 0 {
			break
		}
		i += k
		start := i
		for start > s.done && byteClass[b[start-1]]&(isLower|isUpper) != 0 {
			start--
		}
		end := i + 1
		digits := 0
		for end < len(b) && byteClass[b[end]]&(isDigit|isLower|isUpper) != 0 {
			if byteClass[b[end]]&isDigit != 0 {
				digits++
			}
			end++
		}
		n := end - i - 1
		dash := i
		i++
		if start > 0 && (joinsWord(b[start-1]) || b[start-1] == '-' || b[start-1] == '~') || end < len(b) && (joinsWord(b[end]) || b[end] == '-' || b[end] == '~') {
			continue
		}
		switch string(bytes.ToUpper(b[start:dash])) {
		case "DESKTOP", "LAPTOP":
			if n != 7 && n != 8 {
				continue
			}
		case "WIN", "EC":
			if n != 11 || digits == 0 {
				continue
			}
		case "MININT":
			if n < 6 || n > 8 || digits == 0 {
				continue
			}
		default:
			continue
		}
		if digits == 0 && caseOf(b[start:end]) != upperCase || start < s.done {
			continue
		}
		name := b[start:end]
		if s.r.keeps(name) {
			continue
		}
		s.count(Host, canonical(name))
		s.cut(start, end)
		s.out = s.r.appendHostPseudonym(s.out, name, false)
		i = end
	}
	s.end()
}

// dottedNames replaces host names in running text, known by their last label.
func (s *scanner) dottedNames() {
	s.begin()
	b := s.cur
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], '.')
		if k < 0 {
			break
		}
		i += k
		if i == 0 || i+1 == len(b) || !isNameByte(b[i-1]) || !isNameByte(b[i+1]) {
			i++
			continue
		}
		start := i
		for start > s.done && (isNameByte(b[start-1]) || b[start-1] == '.') {
			start--
		}
		end := i
		for end < len(b) && (isNameByte(b[end]) || b[end] == '.') {
			end++
		}
		i = end
		if s.isHostInText(&start, &end) {
			name := b[start:end]
			s.cut(start, end)
			s.out = s.appendHost(s.out, name)
		}
	}
	s.end()
}

func isNameByte(c byte) bool { return byteClass[c]&isAlnum != 0 || c == '-' || c == '_' }

// isHostInText decides whether cur[start:end], a word with dots, is a host name, and narrows it.
func (s *scanner) isHostInText(start, end *int) bool {
	b := s.cur
	if *start >= 1 && b[*start-1] == '%' && *end-*start > 2 && byteClass[b[*start]]&isHex != 0 && byteClass[b[*start+1]]&isHex != 0 {
		*start += 2 // %2F%2Fserver.example: the rest of an escape
	}
	for *start < *end && (b[*start] == '.' || b[*start] == '-') {
		*start++
	}
	for *end > *start && (b[*end-1] == '.' || b[*end-1] == '-' || b[*end-1] == '_') {
		*end--
	}
	name := b[*start:*end]
	k := bytes.LastIndexByte(name, '.')
	if k < 1 || len(name) > 253 {
		return false
	}
	last := name[k+1:]
	kind := tldOf(last)
	if kind == noTLD || isWellKnown(name) {
		return false
	}
	if *start > 0 {
		switch b[*start-1] {
		case '~', '$', '#':
			return false
		case '\\', '/':
			if isCommandFile(name) || last[0] != lower(last[0]) && caseOf(name) != upperCase {
				return false
			}
		}
	}
	if *end < len(b) {
		switch b[*end] {
		case '~', '(':
			return false // a package, or a call
		}
	}
	if bytes.Contains(name, []byte("..")) {
		return false
	}
	labels := bytes.Count(name, []byte(".")) + 1
	first := name[:bytes.IndexByte(name, '.')]
	// Types and namespaces: System.Net, Microsoft.NET, Windows.Internal.
	if byteClass[last[0]]&isUpper != 0 && isNamespaceRoot(first) {
		return false
	}
	if string(last) == "NET" && caseOf(name[:k]) != upperCase && labels == 2 {
		return false
	}
	lastCase := caseOf(last)
	marked := false // a digit or a hyphen, as host names have and words have not
	for _, c := range name[:k] {
		if byteClass[c]&isDigit != 0 || c == '-' {
			marked = true
		}
	}
	switch kind {
	case countryTLD:
		// "failed.It" is two sentences, "update.Id" a property.
		if (labels < 3 || !marked) && (lastCase == capitalised || lastCase >= mixedUp || lastCase == upperCase && caseOf(name) != upperCase) {
			return false
		}
	case wordTLD:
		if lastCase == capitalised || labels < 3 && bytes.IndexByte(name, '-') < 0 {
			return false
		}
	case codeTLD:
		// Also a word in names of types and modules: only in lower or upper case throughout, and marked or long.
		shape := caseOf(name)
		if shape != lowerCase && shape != upperCase || labels < 3 && !marked {
			return false
		}
	}
	return true
}

// isNamespaceRoot knows the first parts of the names of types and packages.
func isNamespaceRoot(b []byte) bool {
	switch string(b) {
	case "System", "Microsoft", "Windows", "MicrosoftWindows", "ASP", "ADO", "VB", "NET", "Win32", "MS", "Internet",
		"Xamarin", "Internal", "Newtonsoft", "Mono", "MSFT", "CCM":
		return true
	}
	return false
}

// isCommandFile knows the programs of Windows that end in .com.
func isCommandFile(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "more.com", "chcp.com", "format.com", "tree.com", "mode.com", "diskcomp.com", "diskcopy.com", "edit.com",
		"command.com", "graftabl.com", "win.com", "loadfix.com", "kb16.com", "ntdetect.com", "sys.com", "xcopy.com":
		return true
	}
	return false
}
