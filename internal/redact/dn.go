package redact

import "bytes"

// distinguishedNames replaces what is private in names of the directory (CN=PC01,OU=Bern,DC=corp,DC=example) and of
// certificates (CN=Fabrikam Root CA, O=Fabrikam, C=CH). Who issued the certificate of an update server decides a
// diagnosis, so the public issuers and the makers of inspecting proxies stay.
func (s *scanner) distinguishedNames() {
	const maxRDNs = 24
	s.begin()
	b := s.cur
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '=')
		if n < 0 {
			break
		}
		i += n + 1
		start := rdnStart(b, i-1)
		if start < s.done {
			continue
		}
		var list []rdn
		for len(list) < maxRDNs {
			r, next, ok := readRDN(b, start)
			if !ok {
				break
			}
			list = append(list, r)
			i = max(i, r.value.end)
			if next < 0 {
				break
			}
			start = next
		}
		if len(list) >= 2 || len(list) == 1 && (list[0].attribute == "cn" || list[0].attribute == "dc") {
			s.hideDN(list)
		}
	}
	s.end()
}

// An rdn is one part of a distinguished name.
type rdn struct {
	attribute string // in lower case
	value     word
	public    bool // known to everybody
}

// rdnStart returns where the attribute before the sign at i begins, or -1 if there is none.
func rdnStart(b []byte, i int) int {
	start := i
	for start > 0 && i-start < 12 && byteClass[b[start-1]]&(isLower|isUpper) != 0 {
		start--
	}
	if attributeOf(b[start:i]) == "" || start > 0 && !bytes.ContainsRune([]byte(` ,/"'(:+=;<`+"\t"), rune(b[start-1])) {
		return -1
	}
	return start
}

func attributeOf(b []byte) string {
	switch string(b) {
	case "CN", "cn", "Cn":
		return "cn"
	case "DC", "dc", "Dc":
		return "dc"
	case "OU", "ou", "Ou":
		return "ou"
	case "O", "o", "L", "l", "S", "ST", "st", "STREET", "street":
		return "o"
	case "C", "c", "E", "e", "SERIALNUMBER", "serialNumber", "UID", "uid", "emailAddress", "PostalCode", "T":
		return "-"
	}
	return ""
}

// readRDN reads attribute=value at i, and says where the next one begins, or -1.
func readRDN(b []byte, i int) (r rdn, next int, ok bool) {
	start := i
	for i < len(b) && i-start < 12 && byteClass[b[i]]&(isLower|isUpper) != 0 {
		i++
	}
	r.attribute = attributeOf(b[start:i])
	for i < len(b) && b[i] == ' ' {
		i++
	}
	if r.attribute == "" || i >= len(b) || b[i] != '=' {
		return r, -1, false
	}
	i++
	for i < len(b) && b[i] == ' ' {
		i++
	}
	quoted := i < len(b) && b[i] == '"'
	if quoted {
		i++
	}
	r.value = word{i, i}
	for ; i < len(b) && i-r.value.start < 128; i++ {
		if quoted && b[i] != '"' {
			continue
		}
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == ',' || b[i+1] == '+') {
			i++
			continue
		}
		if endsRDN(b, r.value.start, i) {
			break
		}
	}
	r.value.end = trimEnd(b, r.value.start, min(i, len(b)))
	if quoted && i < len(b) {
		i++
	}
	for i < len(b) && (b[i] == ' ' || b[i] == ',' || b[i] == ';' || b[i] == '/' || b[i] == '+') {
		i++
	}
	k := i
	for k < len(b) && k-i < 12 && byteClass[b[k]]&(isLower|isUpper) != 0 {
		k++
	}
	if attributeOf(b[i:k]) == "" || k >= len(b) || b[k] != '=' {
		return r, -1, true
	}
	return r, i, true
}

// endsRDN says whether a value without quotes that begins at start ends at i.
func endsRDN(b []byte, start, i int) bool {
	switch b[i] {
	case ',', ';', '/', '+', '"', '\'', '<', '>', '\t', '|', ']', '&', '\\':
		return true
	case ' ':
		// Behind the last part a sentence may go on: it does so with a small letter.
		return i+1 == len(b) || b[i+1] == ' ' ||
			byteClass[b[i+1]]&isLower != 0 && i > start && byteClass[b[start]]&isLower == 0
	}
	return false
}

func (s *scanner) hideDN(list []rdn) {
	directory, public := false, false
	lastDC := -1
	for i, r := range list {
		text := s.cur[r.value.start:r.value.end]
		if r.attribute == "dc" {
			directory, lastDC = true, i
		}
		if r.attribute != "dc" && isPublicIssuer(text) {
			public = true
			list[i].public = true
		}
	}
	for i, r := range list {
		text := s.cur[r.value.start:r.value.end]
		if len(text) == 0 || r.value.start < s.done || text[0] == '{' || text[0] == '%' || isPseudonym(text) || isRemoved(text) ||
			r.public || isContainer(text) || isNothing(text) || allDigits(text) {
			continue
		}
		spaces := bytes.IndexByte(text, ' ') >= 0
		switch {
		case r.attribute == "dc":
			if i == lastDC && tldOf(text) != noTLD || !isHostPattern(text) {
				continue
			}
			s.cut(r.value.start, r.value.end)
			s.out = s.appendHost(s.out, text)
		case r.attribute == "cn" && !spaces && isHostPattern(text):
			if hasFileExtension(text) {
				continue
			}
			s.cut(r.value.start, r.value.end)
			s.out = s.appendHost(s.out, text)
		case r.attribute == "cn" && directory:
			s.cut(r.value.start, r.value.end)
			s.out = s.appendUser(s.out, text)
		case r.attribute == "cn", (r.attribute == "o" || r.attribute == "ou") && !public:
			if bytes.Contains(text, []byte("://")) || isAddress(text) {
				continue
			}
			s.nameValue(span{r.value.start, r.value.end, true})
		}
	}
}

// isContainer knows the parts of directory names that every directory has.
func isContainer(b []byte) bool {
	switch string(canonical(b)) {
	case "computers", "system", "configuration", "services", "policies", "schema", "sites", "machine", "domain controllers",
		"domain users", "domain computers", "domain admins", "program data", "deleted objects", "foreignsecurityprincipals",
		"managed service accounts", "partitions", "servers", "ntds settings", "enterprise admins", "public key services", "aia", "cdp",
		"enrollment services", "certification authorities", "wmipolicy", "som", "subnets", "inter-site transports":
		return true
	}
	return isCommonName(b)
}

// isPublicIssuer knows the names under which public issuers, Microsoft, and the makers of security products and of
// drivers sign.
func isPublicIssuer(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	low := bytes.ToLower(b)
	for _, name := range [...]string{
		"microsoft", "windows", "msft", "digicert", "verisign", "globalsign", "entrust", "comodo", "sectigo", "usertrust", "godaddy",
		"go daddy", "starfield", "let's encrypt", "isrg", "internet security research", "identrust", "dst root", "symantec", "thawte",
		"geotrust", "quovadis", "amazon", "google", "gts ", "baltimore", "cybertrust", "swisssign", "telesec", "t-systems", "d-trust",
		"certum", "buypass", "harica", "apple", "adobe", "intel", "nvidia", "advanced micro", "realtek", "hewlett", "hp inc", "dell ",
		"lenovo", "vmware", "citrix", "cisco", "umbrella", "zscaler", "fortinet", "fortigate", "palo alto", "sophos", "eset", "avast",
		"avg ", "kaspersky", "bitdefender", "mcafee", "trellix", "blue coat", "bluecoat", "forcepoint", "websense", "netskope",
		"check point", "checkpoint", "barracuda", "sonicwall", "watchguard", "untangle", "squid", "mitmproxy", "charles proxy",
		"fiddler", "portswigger", "superfish", "adguard", "net nanny", "smoothwall", "securly", "lightspeed", "iboss", "f5 networks",
		"trend micro", "do_not_trust", "redmond", "qualcomm", "broadcom", "synaptics", "logitech", "oracle", "mozilla", "cloudflare",
	} {
		if bytes.Contains(low, []byte(name)) {
			return true
		}
	}
	return false
}
