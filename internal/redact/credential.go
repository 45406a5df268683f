package redact

import (
	"bytes"
	"encoding/base64"
)

// skipSecret leaves out the rest of a secret that was longer than a whole window.
func (s *scanner) skipSecret() {
	b := s.cur
	end := 0
	if quote := s.state.skip; quote != ' ' {
		for end < len(b) && b[end] != quote {
			if b[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(b))
	} else {
		for end < len(b) && byteClass[b[end]]&isSpace == 0 && bytes.IndexByte([]byte(`"'<>&,;`), b[end]) < 0 {
			end++
		}
	}
	if end < len(b) {
		s.state.skip = 0
	}
	if end == 0 {
		return
	}
	s.begin()
	s.cut(0, end)
	s.end()
	s.touched = false // what was skipped is known not to end here
}

// privateKey takes out PEM blocks of private keys (RFC 7468, and RFC 9580 for those of OpenPGP), on lines of their own or with escaped line ends inside
// one line. Each line of a block leaves a line, so that line numbers stay true.
func (s *scanner) privateKey() {
	s.begin()
	for i := 0; ; {
		if !s.state.pem {
			k := bytes.Index(s.cur[i:], []byte("-----BEGIN "))
			if k < 0 {
				break
			}
			i += k
			n := bytes.Index(s.cur[i:], []byte("PRIVATE KEY"))
			if n < 0 || n > 64 {
				i += len("-----BEGIN ")
				continue
			}
			i += n + len("PRIVATE KEY")
			if bytes.HasPrefix(s.cur[i:], []byte(" BLOCK")) {
				i += len(" BLOCK")
			}
			if !bytes.HasPrefix(s.cur[i:], []byte("-----")) {
				continue
			}
			i += len("-----")
			s.state.pem = true
		}
		end := bytes.Index(s.cur[i:], []byte("-----END "))
		body := s.cur[i:]
		if end >= 0 {
			body = body[:end]
		}
		text := bytes.TrimSpace(body)
		switch {
		case isRemovedKey(text):
		case end < 0 && i == 0 && !isPEMBody(text):
			s.state.pem = false // the block was cut off; this is another text
			s.end()
			return
		default:
			s.cut(i, i+len(body))
			s.remove(text)
		}
		if end < 0 {
			break
		}
		s.state.pem = false
		i += end + len("-----END ")
	}
	s.end()
}

// isRemovedKey says whether nothing is left of a key but marks and escaped line ends.
func isRemovedKey(text []byte) bool {
	for len(text) > 0 {
		switch {
		case bytes.HasPrefix(text, []byte(Mark)):
			text = text[len(Mark):]
		case bytes.HasPrefix(text, []byte(`\n`)), bytes.HasPrefix(text, []byte(`\r`)):
			text = text[2:]
		default:
			return false
		}
	}
	return true
}

// isPEMBody says whether a line may belong to a PEM block: base64, or a header such as "DEK-Info: AES-256-CBC,...".
func isPEMBody(text []byte) bool {
	for _, header := range [...]string{"Proc-Type:", "DEK-Info:", "Version:", "Comment:", "Hash:"} {
		if bytes.HasPrefix(text, []byte(header)) {
			return true
		}
	}
	for _, c := range text {
		if byteClass[c]&isToken == 0 && c != '"' && c != ',' && c != '\\' {
			return false
		}
	}
	return true
}

// tokens takes out secrets that are known by their look alone: JSON web tokens (RFC 7519), NTLM messages, and what
// follows the name of an authentication scheme.
func (s *scanner) tokens() {
	if bytes.Contains(s.cur, []byte("eyJ")) {
		s.begin()
		for i := 0; ; {
			k := bytes.Index(s.cur[i:], []byte("eyJ"))
			if k < 0 {
				break
			}
			i += k
			end := tokenEnd(s.cur, i)
			if (i == 0 || !isKeyByte(s.cur[i-1], letters)) && isJWT(s.cur[i:end]) {
				text := s.cur[i:end]
				s.cut(i, end)
				s.remove(text)
			}
			i = end
		}
		s.end()
	}
	// Download addresses of the content network are signed: ?P1=...&P2=404&P3=2&P4=signature.
	if bytes.Contains(s.cur, []byte("P4=")) {
		s.begin()
		for i := 0; ; {
			k := bytes.Index(s.cur[i:], []byte("&P4="))
			if k < 0 {
				break
			}
			i += k + len("&P4=")
			end := i
			for end < len(s.cur) && (byteClass[s.cur[end]]&isToken != 0 || s.cur[end] == '%') {
				end++
			}
			if text := s.cur[i:end]; len(text) >= 16 {
				s.cut(i, end)
				s.remove(text)
			}
			i = end
		}
		s.end()
	}
	// Every NTLM message begins with the eight bytes NTLMSSP\0, in base64 TlRMTVNTUA and six bits of zero.
	if bytes.Contains(s.cur, []byte("TlRMTVNTUA")) {
		s.begin()
		for i := 0; ; {
			k := bytes.Index(s.cur[i:], []byte("TlRMTVNTUA"))
			if k < 0 {
				break
			}
			i += k
			end := tokenEnd(s.cur, i)
			text := s.cur[i:end]
			s.cut(i, end)
			s.remove(text)
			i = end
		}
		s.end()
	}
	if bytes.Contains(s.cur, []byte("asic ")) || bytes.Contains(s.cur, []byte("earer ")) ||
		bytes.Contains(s.cur, []byte("egotiate ")) || bytes.Contains(s.cur, []byte("ASIC ")) ||
		bytes.Contains(s.cur, []byte("EARER ")) {
		s.begin()
		for i := 0; i < len(s.cur); i++ {
			if s.cur[i] != ' ' {
				continue
			}
			word := i
			for word > s.done && byteClass[s.cur[word-1]]&isLetter != 0 {
				word--
			}
			if i-word < 5 || i-word > 9 {
				continue
			}
			end := tokenEnd(s.cur, i+1)
			if text := s.cur[i+1 : end]; isSchemeSecret(s.cur[word:i], text) {
				s.cut(i+1, end)
				s.remove(text)
				i = end - 1
			}
		}
		s.end()
	}
}

func tokenEnd(b []byte, i int) int {
	for i < len(b) && byteClass[b[i]]&isToken != 0 {
		i++
	}
	return i
}

// isJWT wants a header and a payload, both in base64 of something that begins with {".
func isJWT(b []byte) bool {
	dot := bytes.IndexByte(b, '.')
	return dot >= 8 && len(b) > dot+8 && bytes.HasPrefix(b[dot+1:], []byte("eyJ")) ||
		dot >= 16 && bytes.Count(b, []byte(".")) >= 2 && len(b) > dot+16
}

// isSchemeSecret says whether what follows the name of a scheme in running text is a credential and not a word, as in
// "Basic authentication".
func isSchemeSecret(scheme, text []byte) bool {
	switch {
	case foldEqual(scheme, "basic"):
		if len(text) < 4 {
			return false
		}
		plain, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			plain, err = base64.RawStdEncoding.DecodeString(string(text))
		}
		return err == nil && bytes.IndexByte(plain, ':') >= 0
	case foldEqual(scheme, "bearer"), foldEqual(scheme, "negotiate"):
		if len(text) < 16 {
			return false
		}
		for _, c := range text {
			if byteClass[c]&isDigit != 0 {
				return true
			}
		}
	}
	return false
}

// authorization handles the value of an Authorization header: the scheme stays, because diagnosis asks which one was
// tried, and all that follows goes.
func (s *scanner) authorization(i, end int) {
	b := s.cur[i:end]
	n := bytes.IndexByte(b, ' ')
	if n < 0 {
		if isNothing(b) || len(b) < 8 || isScheme(b) {
			return
		}
		// A blob without scheme, or one word of prose: words have no digits and no signs.
		plain := true
		for _, c := range b {
			if byteClass[c]&isLetter == 0 {
				plain = false
			}
		}
		if plain && len(b) < 20 {
			return
		}
		s.cut(i, end)
		s.remove(b)
		return
	}
	if !isScheme(b[:n]) {
		// Prose, unless the first word is a blob.
		if n >= 20 {
			s.cut(i, i+n)
			s.remove(b[:n])
		}
		return
	}
	for n < len(b) && b[n] == ' ' {
		n++
	}
	text := b[n:]
	if !foldEqual(b[:6], "digest") {
		// One blob; what follows it is not part of the header any more.
		k := bytes.IndexAny(text, " ,;'\"")
		if k > 0 {
			text = text[:k]
		}
	}
	if len(text) == 0 || isRemoved(text) {
		return
	}
	s.cut(i+n, i+n+len(text))
	s.remove(text)
}

// beginsAuth says whether a header's value begins with a scheme, or with one long word that is no word.
func beginsAuth(b []byte) bool {
	n := bytes.IndexAny(b, " \t,;\"'")
	if n < 0 {
		n = len(b)
	}
	return isScheme(b[:n]) || n >= 8
}

func isScheme(b []byte) bool {
	switch string(bytes.ToLower(b)) {
	case "basic", "digest", "ntlm", "negotiate", "kerberos", "bearer", "passport", "passport1.4", "msauth1.0",
		"sharedkey", "sharedaccesssignature", "apikey", "hawk", "wlid1.0", "msaauth1.0":
		return true
	}
	return false
}

// challenge handles WWW-Authenticate and Proxy-Authenticate: an NTLM or Negotiate challenge carries the names of the
// server and its domain in base64.
func (s *scanner) challenge(i, end int) {
	for i < end {
		word := i
		for i < end && s.cur[i] != ' ' && s.cur[i] != ',' {
			i++
		}
		scheme := s.cur[word:i]
		for i < end && (s.cur[i] == ' ' || s.cur[i] == ',') {
			i++
		}
		if !foldEqual(scheme, "ntlm") && !foldEqual(scheme, "negotiate") && !foldEqual(scheme, "kerberos") {
			continue
		}
		if n := tokenEnd(s.cur, i); n-i >= 12 && n <= end {
			text := s.cur[i:n]
			s.cut(i, n)
			s.remove(text)
			i = n
		}
	}
}

// looksSecret decides for the short names of fields that mean a secret only sometimes.
func (s *scanner) looksSecret(start, i int, text []byte, sep byte) bool {
	if isNothing(text) {
		return false
	}
	b := s.cur
	end := start
	for end < i && (byteClass[b[end]]&isAlnum != 0 || b[end] == '_' || b[end] == '-') {
		end++
	}
	key := string(normal(b[start:end]))
	option := start > 0 && (b[start-1] == '/' || b[start-1] == '-') || start < len(b) && b[start] == '-'
	switch key {
	case "p":
		// /p:secret, but not msbuild's /p:Name=Value.
		return !beginsField(text)
	case "pass", "pw":
		if option {
			return true
		}
		switch string(bytes.ToLower(text)) {
		// The passes of Windows Setup (learn.microsoft.com: Windows Setup configuration passes).
		case "windowspe", "offlineservicing", "generalize", "specialize", "auditsystem", "audituser", "oobesystem":
			return false
		}
		// "this pass: time: 2 seconds" is prose; at the beginning of a line it is a field.
		return len(text) > 3 && (sep == '=' || len(bytes.TrimSpace(b[:start])) == 0)
	case "pin", "userpin", "tpmpin":
		return len(text) >= 4 && allDigits(text)
	case "t":
		// A device ticket of a Microsoft account, t=Ew...&p=.
		return len(text) >= 20 && bytes.HasPrefix(text, []byte("Ew")) || len(text) >= 60 && tokenEnd(text, 0) >= 60
	case "productkey", "produktkey", "productschlssel":
		if len(text) != 25 {
			return false // with hyphens it is known by its look
		}
		for _, c := range text {
			if byteClass[c]&(isDigit|isUpper) == 0 {
				return false
			}
		}
		return true
	case "sig", "signature", "xamzsignature":
		query := start > 0 && (b[start-1] == '?' || b[start-1] == '&' || b[start-1] == ';')
		return len(text) >= 12 && (query || key == "sig" && sep == '=')
	}
	return len(text) >= 8
}

// secretChild says whether the text of an element inside a secret element is the secret. In an answer file the
// password stands in <Value> beside <PlainText>; in a Wi-Fi profile beside <keyType> and <protected>.
func secretChild(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "plaintext", "keytype", "protected", "username", "domain", "name", "description":
		return false
	}
	return true
}

// elements handles the text of XML elements, <ComputerName>X</ComputerName> and <Data Name="TargetUserName">X</Data>,
// also when the XML is escaped inside another document.
func (s *scanner) elements() {
	const maxElementLines = 32
	if s.state.element != "" {
		if s.state.elementLines++; s.state.elementLines > maxElementLines {
			s.state.element = ""
		}
	}
	s.begin()
	trimmed := bytes.TrimSpace(s.cur)
	if s.state.element != "" && len(trimmed) > 0 && trimmed[0] != '<' && trimmed[0] != '&' && !isRemoved(trimmed) {
		// The secret itself on a line of its own, perhaps with the closing tag behind it.
		i := bytes.Index(s.cur, trimmed)
		n := len(trimmed)
		if k := bytes.IndexByte(trimmed, '<'); k >= 0 {
			n = k
		}
		text := s.cur[i : i+n]
		if !isRemoved(text) {
			s.cut(i, i+n)
			s.remove(text)
		}
	}
	inner := s.state.element != "" // inside a secret element
	innerName := s.state.element
	for i := 0; i < len(s.cur); {
		open, shut := "<", byte('<')
		switch {
		case s.cur[i] == '<':
		case s.cur[i] == '&' && bytes.HasPrefix(s.cur[i:], []byte("&lt;")):
			open, shut = "&lt;", '&'
		default:
			i++
			continue
		}
		p := i + len(open)
		i = p
		closing := p < len(s.cur) && s.cur[p] == '/'
		if closing {
			p++
		}
		name, p := elementName(s.cur, p)
		if len(name) == 0 {
			continue
		}
		if closing {
			if inner && string(bytes.ToLower(name)) == innerName {
				inner, innerName = false, ""
			}
			continue
		}
		tagEnd, text := tagEnd(s.cur, p, open)
		if tagEnd < 0 {
			continue
		}
		i = text
		if s.cur[tagEnd-1] == '/' {
			continue
		}
		end := len(s.cur)
		if k := bytes.IndexByte(s.cur[text:], shut); k >= 0 {
			end = text + k
		}
		kind := fieldOf(string(normal(name)))
		if kind == shortField || kind == softUserField && !foldEqual(name, "user") {
			kind = noField
		}
		if n := attribute(s.cur[p:tagEnd]); len(n) > 0 {
			kind = fieldOf(string(normal(n)))
		}
		if inner && secretChild(name) {
			kind = passwordField
		}
		if kind == noField && (foldEqual(name, "device") || foldEqual(name, "user")) && isBlob(s.cur[text:end]) {
			kind = passwordField // the tickets of Windows Update's device and user tokens
		}
		body := bytes.TrimSpace(s.cur[text:end])
		switch {
		case kind == noField || text < s.done:
		case len(body) > 0:
			start := text + bytes.Index(s.cur[text:end], body)
			s.apply(kind, span{start, start + len(body), true})
			i = end
		case kind == passwordField || kind == tokenField:
			if !foldEqual(name, "encrypteddata") { // in XML encryption that is an element with children
				inner, innerName = true, string(bytes.ToLower(name))
			}
		}
	}
	// An element stays open over lines only where the XML is written with lines of their own: prose mentions
	// <password> as well.
	switch {
	case !inner:
		s.state.element = ""
	case s.state.element == "":
		if len(trimmed) > 0 && trimmed[0] == '<' && trimmed[len(trimmed)-1] == '>' {
			s.state.element, s.state.elementLines = innerName, 0
		}
	}
	s.end()
}

// elementName reads the local name of an element.
func elementName(b []byte, i int) (name []byte, end int) {
	start := i
	for ; i < len(b); i++ {
		c := b[i]
		if c == ':' {
			start = i + 1
			continue
		}
		if byteClass[c]&(isDigit|isLower|isUpper) == 0 && c != '_' && c != '-' && c != '.' {
			break
		}
	}
	return b[start:i], i
}

// tagEnd finds where a tag ends and where the text behind it begins.
func tagEnd(b []byte, i int, open string) (end, text int) {
	shut := []byte(">")
	if open == "&lt;" {
		shut = []byte("&gt;")
	}
	const maxTag = 2048
	k := bytes.Index(b[i:min(len(b), i+maxTag)], shut)
	if k < 0 {
		return -1, 0
	}
	return i + k, i + k + len(shut)
}

// attribute returns what an element is called in its attribute Name, Key or Id.
func attribute(tag []byte) []byte {
	for _, attr := range []string{"name", "key"} {
		k := foldIndex(tag, attr, 0)
		if k < 1 || byteClass[tag[k-1]]&isSpace == 0 {
			continue
		}
		v := bytes.TrimLeft(tag[k+len(attr):], " =")
		if len(v) > 1 && (v[0] == '"' || v[0] == '\'') {
			if n := bytes.IndexByte(v[1:], v[0]); n >= 0 {
				return v[1 : 1+n]
			}
		}
	}
	return nil
}

// isBlob says whether a text is nothing but base64 or a ticket, and long.
func isBlob(text []byte) bool {
	text = bytes.TrimSpace(text)
	if len(text) < 32 {
		return false
	}
	for _, c := range text {
		if byteClass[c]&isToken == 0 && c != '&' && c != '%' && c != ';' {
			return false
		}
	}
	return true
}

// keys takes out product keys (five groups of five) and BitLocker recovery passwords (eight groups of six digits).
func (s *scanner) keys() {
	s.begin()
	for i := 0; ; {
		k := bytes.IndexByte(s.cur[i:], '-')
		if k < 0 {
			break
		}
		i += k
		start := i
		for start > s.done && byteClass[s.cur[start-1]]&(isDigit|isLower|isUpper) != 0 {
			start--
		}
		end := i
		for end < len(s.cur) && (byteClass[s.cur[end]]&(isDigit|isLower|isUpper) != 0 || s.cur[end] == '-') {
			end++
		}
		text := s.cur[start:end]
		if (start == 0 || !joinsWord(s.cur[start-1]) && s.cur[start-1] != '-') && (end == len(s.cur) || !joinsWord(s.cur[end])) &&
			(isProductKey(text) || isRecoveryPassword(text)) {
			s.cut(start, end)
			s.remove(text)
		}
		i = end
	}
	s.end()
}

func isProductKey(b []byte) bool {
	if len(b) != 29 {
		return false
	}
	digits, lowers, letters := 0, 0, 0
	for i, c := range b {
		switch {
		case i%6 == 5:
			if c != '-' {
				return false
			}
		case c == '-':
			return false
		case byteClass[c]&isDigit != 0:
			digits++
		default:
			letters++
			if byteClass[c]&isLower != 0 {
				lowers++
			}
		}
	}
	// Five words of five letters, joined, are no key.
	return letters > 0 && (digits > 0 || lowers == 0)
}

func isRecoveryPassword(b []byte) bool {
	if len(b) != 55 {
		return false
	}
	for i, c := range b {
		if i%7 == 6 && c != '-' || i%7 != 6 && byteClass[c]&isDigit == 0 {
			return false
		}
	}
	return true
}

// isProductID knows the id of an installed Windows, such as 00330-12345-67890-AAOEM: it is drawn from the key.
func isProductID(b []byte) bool {
	if len(b) < 20 || len(b) > 26 {
		return false
	}
	for i, c := range b {
		if c != '-' && byteClass[c]&(isDigit|isUpper) == 0 || i < 5 && byteClass[c]&isDigit == 0 {
			return false
		}
	}
	return b[5] == '-'
}

// userinfo takes the name and the password out of scheme://name:password@host, and out of name:password@host:port in
// lists of proxies. Whether there was a password stays visible.
func (s *scanner) userinfo() {
	s.begin()
	for i := 0; ; {
		k := bytes.IndexByte(s.cur[i:], '@')
		if k < 0 {
			break
		}
		at := i + k
		i = at + 1
		// The last @ before the host ends counts: a password may hold one.
		for {
			n := i
			for n < len(s.cur) && !endsToken(s.cur[n]) && s.cur[n] != '/' && s.cur[n] != '@' && s.cur[n] != '\\' && s.cur[n] != '=' {
				n++
			}
			if n == len(s.cur) || s.cur[n] != '@' {
				break
			}
			at, i = n, n+1
		}
		start, colon := s.userinfoStart(at)
		if start < 0 {
			continue
		}
		text := s.cur[start:at]
		if isRemoved(text) || bytes.Equal(text, []byte(urlMark+":"+urlMark)) {
			continue
		}
		s.cut(start, at)
		s.count(Credential, text)
		s.out = append(s.out, urlMark...)
		if colon {
			s.out = append(append(s.out, ':'), urlMark...)
		}
		if start < 3 || s.cur[start-1] != '/' { // without a scheme nothing else tells that a host follows
			end := at + 1
			for end < len(s.cur) && (isNameByte(s.cur[end]) || s.cur[end] == '.') {
				end++
			}
			if name := s.cur[at+1 : end]; isHostPattern(name) && !hostCommon(name) {
				s.cut(at, end)
				s.out = s.appendHost(append(s.out, '@'), name)
				i = end
			}
		}
	}
	s.end()
}

// userinfoStart looks backwards from @ for the beginning of user information.
func (s *scanner) userinfoStart(at int) (start int, colon bool) {
	const maxUserinfo = 512
	b := s.cur
	for j := at; j > s.done && j > at-maxUserinfo; j-- {
		c := b[j-1]
		switch {
		case c == '/':
			if j >= 3 && b[j-2] == '/' && b[j-3] == ':' && j < at {
				return j, bytes.IndexByte(b[j:at], ':') >= 0
			}
			// A slash inside a password is not allowed, but people write it; it needs the scheme further left.
			continue
		case byteClass[c]&isSpace != 0 || c == '"' || c == '\'' || c == '<' || c == '>' || c == '(' || c == '[':
			return s.bareUserinfo(j, at)
		case c == '=' || c == ';' || c == ',':
			// A list element: http=u:p@h:80. Only if no scheme stands further left.
			if start, colon := s.bareUserinfo(j, at); start >= 0 {
				if k := bytes.LastIndex(b[max(s.done, at-maxUserinfo):j], []byte("://")); k < 0 {
					return start, colon
				}
			}
		}
		if j-1 == s.done {
			return s.bareUserinfo(j-1, at)
		}
	}
	return -1, false
}

// bareUserinfo accepts name:password@host without a scheme if the host has a port or looks like one.
func (s *scanner) bareUserinfo(j, at int) (int, bool) {
	b := s.cur
	text := b[j:at]
	colon := bytes.IndexByte(text, ':')
	if colon <= 0 || colon == len(text)-1 || bytes.IndexByte(text, '/') >= 0 || bytes.IndexByte(text, '\\') >= 0 && colon == 1 {
		return -1, false
	}
	end := at + 1
	for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '.' || b[end] == '-' || b[end] == '_') {
		end++
	}
	host := b[at+1 : end]
	if len(host) == 0 || allDigits(host) || hasFoldPrefix(host, "0x") {
		return -1, false
	}
	port := end+1 < len(b) && b[end] == ':' && byteClass[b[end+1]]&isDigit != 0
	if !port && bytes.IndexByte(host, '.') < 0 || allDigits(bytes.ReplaceAll(text, []byte(":"), nil)) {
		return -1, false
	}
	return j, true
}
