package redact

import "bytes"

// A fieldKind is what the name of a field says about its value.
type fieldKind uint8

const (
	noField fieldKind = iota

	passwordField  // a secret, whatever it looks like
	tokenField     // a secret, unless it is a handle, a number or a truth value: logs speak of tokens in many senses
	shortField     // "pass", "pin", "sig": a secret if it looks like one
	authField      // Authorization headers: a scheme and a secret
	challengeField // WWW-Authenticate headers: a scheme, and perhaps an NTLM message with the server's names in it
	cookieField

	hostField     // one host, computer or domain name, or host:port
	softHostField // the same, if the value is the whole field: words like "server" also begin sentences
	hostsField    // a list of hosts, proxies or exceptions from a proxy
	softHostsField
	userField
	softUserField
	personField // a name of several words
	nameField   // an organisation or network
	guidField   // a GUID of this machine or tenant; anything else in the field stays
	serialField
	productField // the product id of an installed Windows, 5 groups of digits
	macField     // a MAC address without separators
)

// fieldOf knows the names of fields, in the letters a-z and digits of any language's spelling: "Host Name", "HostName"
// and "host_name" are one, and umlauts are left out because the code page of a text is not known.
func fieldOf(key string) fieldKind {
	switch key {
	case "hostname", "computername", "machinename", "dnshostname", "netbiosname", "fqdn", "dnsname", "dnsdomain",
		"dnsdomainname", "domainname", "userdomain", "userdnsdomain", "userdomainroamingprofile", "logonserver",
		"logondomain", "anmeldeserver", "anmeldedomne", "primarydnssuffix", "primresdnssuffix", "dnssuffix",
		"connectionspecificdnssuffix", "verbindungsspezifischesdnssuffix", "servername", "rechnername", "systemname",
		"csname", "pscomputername", "dhcpdomain", "nvdomain", "nvhostname", "activecomputername", "domaincontroller",
		"dcname", "proxyhost", "forestname", "workstationname", "callercomputername", "targetservername",
		"targetdomainname", "subjectdomainname", "managementpoint", "siteserver", "distributionpoint", "wsusserver",
		"domne", "gertename", "primarydomain", "defaultdomainname", "altdefaultdomainname", "cachehost",
		"docachehost", "iesetdomain", "originatingcomputer", "clientname", "sourceworkstation", "userdomainname",
		"netbiosdomainname", "netbiosdomain", "dnsserver", "dhcpserver", "targethost", "remotecomputer",
		"remotehost", "localhostname", "machinedomain", "dnsforestname", "mpname", "forest", "domname", "kdccalled":
		return hostField
	case "host", "server", "computer", "domain", "workstation", "devicename", "rechner", "realm":
		return softHostField
	case "proxyserver", "proxyservers", "proxylist", "bypasslist", "proxybypass", "proxybypasslist", "proxyoverride",
		"proxyexceptions", "noproxy", "umgehungsliste", "httpproxy", "httpsproxy", "allproxy", "ftpproxy",
		"proxyserverlist", "searchlist", "dnssuffixsearchlist", "dnssuffixsuchliste", "trustedhosts", "wuserver",
		"wustatusserver", "updateserviceurlalternate", "autoconfigurl", "proxyserverbypass", "proxyausnahmen",
		"proxylistused", "bypasslistused", "staticproxy", "bypassproxylist":
		return hostsField
	case "proxy", "proxies", "bypass":
		return softHostsField
	case "username", "benutzername", "useraccount", "targetusername", "subjectusername", "accountname",
		"samaccountname", "loggedonuser", "currentuser", "runasuser", "registereduser", "installuser",
		"defaultusername", "altdefaultusername", "lastuser", "lastloggedonuser", "lastloggedonsamuser",
		"autologonusername", "anmeldename", "executingaccountname", "kontoname", "proxyuser", "userprincipalname",
		"upn", "useremail", "proxyusername", "usernamename", "angemeldeterbenutzer", "primaryuser", "csusername",
		"serviceaccount", "servicestartname", "startname", "objectname", "obj", "logonuser", "remoteuser":
		return userField
	case "user", "benutzer", "account", "konto", "owner", "besitzer", "runas", "login", "userid", "logonas", "uid":
		return softUserField
	case "registeredowner", "eingetragenerbesitzer", "registrierterbesitzer", "fullname", "vollstndigername",
		"userdisplayname", "lastloggedondisplayname":
		return personField
	case "registeredorganization", "registrierteorganisation", "eingetrageneorganisation", "tenantname",
		"tenantdisplayname", "ssid", "orgname", "organizationname", "alluserprofile", "profilfrallebenutzer", "dcsitename",
		"oursitename", "sitename", "dynamicsitename", "adsite", "targetgroup", "targetgroupname", "zielgruppe":
		return nameField
	case "susclientid", "clientid", "machineguid", "tenantid", "deviceid", "azureadtenantid", "azureaddeviceid",
		"aadtenantid", "aaddeviceid", "workplacetenantid", "workplacedeviceid", "keycontainerid", "uuid",
		"systemuuid", "smbiosguid", "smbiosuuid", "smbiosid", "pingid", "machineid", "globaldeviceid",
		"installationid", "smsid", "clientguid", "objectid", "userobjectid", "targetid", "localdeviceid", "vmid",
		"entdmid", "mdmdeviceid", "enrollmentid", "sid", "accountid", "smsuniqueidentifier", "hardwareid", "hwid",
		"computerid", "clientmachineid", "devicelocalid", "sqmmachineid", "domguid", "domainguid":
		return guidField
	case "serialnumber", "seriennummer", "biosserialnumber", "systemserialnumber", "baseboardserialnumber",
		"identifyingnumber", "servicetag", "assettag", "volumeserialnumber", "volumeseriennummer", "smbiosassettag",
		"chassisserialnumber", "diskserialnumber", "biosseriennummer":
		return serialField
	case "productid", "produktid", "digitalproductid":
		return productField
	case "macaddress", "physicaladdress", "physischeadresse", "physikalischeadresse", "mac", "macadresse",
		"permanentaddress":
		return macField
	case "cookie", "setcookie":
		return cookieField
	case "authorization", "proxyauthorization":
		return authField
	case "wwwauthenticate", "proxyauthenticate", "authenticationinfo", "proxyauthenticationinfo":
		return challengeField
	case "publickeytoken", "usetoken", "commandtoken", "processtoken", "threadtoken", "canceltoken",
		"cancellationtoken", "assemblypublickeytoken":
		return noField
	case "pass", "pin", "userpin", "tpmpin", "sig", "signature", "xamzsignature", "pw", "pkey", "psk", "t",
		"productkey", "produktkey", "productschlssel":
		return shortField
	case "keymaterial", "keycontent", "schlsselinhalt",
		"presharedkey", "networkkey", "encrypteddata", "cookiedata", "susclientidvalidation", "recoverypassword",
		"recoverykey", "passwordhash", "xamzsecuritytoken", "authkey", "functionskey", "xfunctionskey",
		"subscriptionkey", "ocpapimsubscriptionkey", "sharedaccesssignature", "masterkey", "wpakey", "wepkey", "connectionkey",
		"djoinblob", "odjblob", "xapikey", "backupproductkeydefault", "originalproductkey",
		"oa3xoriginalproductkey", "accountpassphrase", "antiforgerytoken", "requestverificationtoken":
		return passwordField
	}
	switch {
	case hasSuffix(key, "password", "passwort", "kennwort", "passwd", "passphrase", "pwd", "secret", "geheimnis", "apikey", "accesskey",
		"secretkey", "privatekey", "sharedkey", "signingkey", "encryptionkey", "accountkey", "storagekey", "licensekey", "lizenzschlssel"),
		hasSuffix(key, "pass") && !hasSuffix(key, "bypass"):
		return passwordField
	case hasSuffix(key, "token", "ticket", "jwt"):
		return tokenField
	}
	return noField
}

func hasSuffix(s string, suffixes ...string) bool {
	for _, x := range suffixes {
		if len(s) >= len(x) && s[len(s)-len(x):] == x {
			return true
		}
	}
	return false
}

// endsKey knows the last words of names of several words; only after them the words before are looked at.
func endsKey(word string) bool {
	switch word {
	case "name", "server", "servers", "domain", "domne", "suffix", "dnssuffix", "list", "host", "id", "guid", "key",
		"content", "number", "owner", "besitzer", "organization", "organisation", "suffixsuchliste", "tag",
		"account", "user", "benutzer", "address", "adresse", "uuid", "email", "point", "computer", "workstation",
		"override", "bypass", "exceptions", "used", "profile", "called", "site", "hosts", "liste", "identifier", "group", "proxy", "password", "token":
		return true
	}
	return false
}

// maxKey bounds the length of a field's name.
const maxKey = 40

// keyBefore reads the name of a field backwards from its separator at i, and says where it begins.
func (s *scanner) keyBefore(i int) (kind fieldKind, start int) {
	b := s.cur
	j := i
	for j > s.done && (b[j-1] == ' ' || b[j-1] == '\t' || b[j-1] == '.') { // ipconfig fills up with dots
		j--
	}
	for j > s.done && (b[j-1] == '"' || b[j-1] == '\'' || b[j-1] == '\\' || b[j-1] == ']') {
		j--
	}
	if j-3 > s.done && b[j-1] == ')' && (b[j-2] == 's' || b[j-2] == 'S') && b[j-3] == '(' { // "Proxy Server(s)"
		j -= 3
	}
	if j == s.done || byteClass[b[j-1]]&isAlnum == 0 {
		return noField, i
	}
	if j >= 2 && byteClass[b[j-1]]&isDigit != 0 && byteClass[b[j-2]]&isAlnum&^isLetter != 0 {
		return noField, i // a time of day or another number
	}
	var key [maxKey]byte // filled from the end
	at := len(key)
	word := func() bool {
		n := 0
		for ; j > s.done; j-- {
			c := b[j-1]
			switch {
			case byteClass[c]&(isDigit|isLower|isUpper) != 0:
				if at == 0 {
					return false
				}
				at--
				key[at] = lower(c)
			case byteClass[c]&isHigh != 0 || c == '_' || c == '-':
			default:
				return n > 0
			}
			n++
		}
		return n > 0
	}
	if !word() {
		return noField, i
	}
	last := key[at:]
	for len(last) > 0 && byteClass[last[len(last)-1]]&isDigit != 0 {
		last = last[:len(last)-1]
	}
	if len(last) == 0 && j-1 > s.done && b[j-1] == ' ' { // "SSID 1"
		j--
		at = len(key)
		if !word() {
			return noField, i
		}
		last = key[at:]
	}
	kind, start = fieldOf(string(last)), j
	switch string(last) {
	case "value", "data", "val":
		if k := s.namedValue(j); k != noField {
			return k, j
		}
	case "name":
		// Windows Setup lists profiles as Name: anna, Domain: CORP, Profile: ...
		if k := bytes.IndexByte(b[i:min(len(b), i+80)], ','); k > 0 && hasFoldPrefix(b[i+k:], ", domain:") {
			kind = userField
		}
	case "p":
		if j > 0 && (b[j-1] == '/' || b[j-1] == '-') || bytes.HasPrefix(b[j:], []byte("/p")) || bytes.HasPrefix(b[j:], []byte("-p")) {
			return shortField, j
		}
	}
	if kind == softUserField && (j > 0 && (b[j-1] == '/' || b[j-1] == '-') || b[j] == '-') {
		kind = userField // the option of a command: /user:name
	}
	// A password field stays one, whatever words stand before it.
	if kind == passwordField || !endsKey(string(last)) {
		return kind, start
	}
	for range 3 {
		if j-1 <= s.done || b[j-1] != ' ' {
			break
		}
		j--
		if !word() {
			break
		}
		if k := fieldOf(string(key[at:])); k != noField {
			kind, start = k, j
		}
	}
	return kind, start
}

// namedValue looks for the name that belongs to a "value" in configuration files: key="Password" value="..." and
// "name":"Password","value":"...".
func (s *scanner) namedValue(i int) fieldKind {
	const near = 120
	b := s.cur[max(0, i-near):i]
	best, at := noField, -1
	for _, attr := range []string{"name", "key", "id"} {
		for from := 0; ; {
			k := foldIndex(b, attr, from)
			if k < 0 {
				break
			}
			from = k + len(attr)
			v := from
			for v < len(b) && (b[v] == '"' || b[v] == '\'' || b[v] == ' ' || b[v] == '=' || b[v] == ':' || b[v] == '\\') {
				v++
			}
			if v == from {
				continue
			}
			end := v
			for end < len(b) && (byteClass[b[end]]&isAlnum != 0 || b[end] == '_' || b[end] == '-') {
				end++
			}
			if f := fieldOf(string(normal(b[v:end]))); f != noField && k > at {
				best, at = f, k
			}
		}
	}
	// Between the name and the value no other object or element may begin.
	if at >= 0 && bytes.ContainsAny(b[at:], "<>{}") {
		return noField
	}
	return best
}

// normal reduces the name of a field to what fieldOf knows.
func normal(name []byte) []byte {
	out := make([]byte, 0, maxKey)
	for _, c := range name {
		if byteClass[c]&(isDigit|isLower|isUpper) != 0 && len(out) < maxKey {
			out = append(out, lower(c))
		}
	}
	for len(out) > 0 && byteClass[out[len(out)-1]]&isDigit != 0 {
		out = out[:len(out)-1]
	}
	return out
}

// fields looks at name=value, name: value, "name":"value", and the tables of reg.exe and net.exe.
func (s *scanner) fields(f features) {
	if f&(hasEqual|hasColon) != 0 {
		s.begin()
		for i := 0; i < len(s.cur); i++ {
			c := s.cur[i]
			if c != '=' && c != ':' {
				continue
			}
			if i < s.done {
				continue
			}
			kind, start := s.keyBefore(i)
			if kind == noField {
				continue
			}
			s.field(kind, start, i+1, c)
			i = max(i, s.done-1)
		}
		s.end()
	}
	if f&mayRegistry != 0 {
		s.regTable()
	}
	s.netTable()
}

// regTable handles `    DefaultPassword    REG_SZ    value`, as reg.exe prints it.
func (s *scanner) regTable() {
	i := bytes.Index(s.cur, []byte("REG_"))
	if i < 1 || s.cur[i-1] != ' ' && s.cur[i-1] != '\t' {
		return
	}
	nameEnd := i
	for nameEnd > 0 && byteClass[s.cur[nameEnd-1]]&isSpace != 0 {
		nameEnd--
	}
	nameStart := nameEnd
	for nameStart > 0 && byteClass[s.cur[nameStart-1]]&isSpace == 0 {
		nameStart--
	}
	typeEnd := i
	for typeEnd < len(s.cur) && byteClass[s.cur[typeEnd]]&isSpace == 0 {
		typeEnd++
	}
	value := typeEnd
	for value < len(s.cur) && byteClass[s.cur[value]]&isSpace != 0 {
		value++
	}
	if value == len(s.cur) {
		return
	}
	name := s.cur[nameStart:nameEnd]
	s.begin()
	switch string(s.cur[i:typeEnd]) {
	case "REG_BINARY", "REG_NONE":
		s.regBinary(name, value)
	case "REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ":
		if kind := fieldOf(string(normal(name))); kind != noField {
			s.field(kind, 0, value, ' ')
		}
	}
	s.end()
}

// netTable handles the tables of net.exe, which have no colon: `User name                    anna`.
func (s *scanner) netTable() {
	if len(s.cur) == 0 || bytes.IndexByte([]byte("UuBbFfVvCc"), s.cur[0]) < 0 {
		return
	}
	gap := bytes.Index(s.cur[:min(len(s.cur), 40)], []byte("   "))
	if gap < 4 {
		return
	}
	var kind fieldKind
	switch string(normal(s.cur[:gap])) {
	case "username", "benutzername":
		kind = userField
	case "fullname", "vollstndigername":
		kind = personField
	case "computername":
		kind = hostField
	default:
		return
	}
	s.begin()
	s.field(kind, 0, gap, ' ')
	s.end()
}

// columnValue handles the line under a heading of wmic.
func (s *scanner) columnValue() {
	if len(bytes.TrimSpace(s.cur)) == 0 {
		return // wmic ends its lines with \r\r\n
	}
	kind := s.state.column
	s.state.column = noField
	if text := bytes.TrimSpace(s.cur); bytes.ContainsAny(text, ":=") || bytes.Contains(text, []byte("  ")) {
		return
	}
	s.begin()
	s.field(kind, 0, 0, ' ')
	s.end()
}

// field replaces the value that begins at or after i, as its kind asks. start is where the name of the field begins;
// 0 and a blank separator mean that the value goes to the end of the line.
func (s *scanner) field(kind fieldKind, start, i int, sep byte) {
	b := s.cur
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || i > 0 && (b[i] == '=' || b[i] == '>') && (b[i-1] == '=' || b[i-1] == ':')) {
		i++
	}
	if i == len(b) {
		return
	}
	if sep == '=' && i >= 2 && b[i-2] == '"' && (hasFoldPrefix(b[i:], "hex:") || hasFoldPrefix(b[i:], "hex(") || hasFoldPrefix(b[i:], "dword:")) {
		return // a typed value of a .reg file, decoded elsewhere
	}
	if sep == ':' && (bytes.HasPrefix(b[i:], []byte("//")) || b[i] == '\\' && i == start+2) {
		return // a URL or a drive
	}
	v := s.value(kind, start, i, sep)
	if v.start >= v.end || isRemoved(b[v.start:v.end]) {
		return
	}
	s.apply(kind, v)
}

// apply replaces a value by what its kind says.
func (s *scanner) apply(kind fieldKind, v span) {
	text := s.cur[v.start:v.end]
	switch kind {
	case passwordField, tokenField, shortField:
		if isRemoved(text) || isCode(text) || kind == passwordField && isNothing(text) || kind == tokenField && isHarmlessToken(text) {
			return
		}
		s.cut(v.start, v.end)
		s.remove(text)
	case authField:
		s.authorization(v.start, v.end)
	case challengeField:
		s.challenge(v.start, v.end)
	case cookieField:
		s.cut(v.start, v.end)
		s.remove(text)
	case hostField, softHostField:
		s.hostValue(v, kind == softHostField)
	case hostsField, softHostsField:
		s.hostList(v.start, v.end, kind == softHostsField)
	case userField, softUserField, personField:
		s.userValue(v, kind)
	case nameField:
		s.nameValue(v)
	case guidField:
		s.guidValue(v.start, v.end)
	case serialField:
		s.serialValue(v.start, v.end)
	case productField:
		if isProductID(text) {
			s.cut(v.start, v.end)
			s.remove(text)
		}
	case macField:
		s.bareMAC(v.start, v.end)
	}
}

// nameValue replaces the name of an organisation or a network.
func (s *scanner) nameValue(v span) {
	text := s.cur[v.start:v.end]
	if v.start < s.done || isNothing(text) || isPseudonym(text) || isCommonName(bytes.Trim(text, "()")) {
		return
	}
	s.count(Name, canonical(text))
	s.cut(v.start, v.end)
	s.out = s.r.appendPseudonym(s.out, namePrefix, text)
}

// A span is the value of a field.
type span struct {
	start, end int
	whole      bool // nothing else follows in the field: the end of the line, a quote or a separator does
}

// maxValue bounds the values that are no secrets.
const maxValue = 300

// value finds the extent of a value that begins at i.
func (s *scanner) value(kind fieldKind, start, i int, sep byte) span {
	b := s.cur
	s.unclosed = 0
	// Quoted: up to the same quote. Within JSON within JSON the quotes themselves are escaped.
	switch {
	case b[i] == '"' || b[i] == '\'':
		return s.quoted(i+1, b[i])
	case b[i] == '\\' && i+1 < len(b) && b[i+1] == '"':
		if n := bytes.Index(b[i+2:], []byte(`\"`)); n >= 0 {
			return span{i + 2, i + 2 + n, true}
		}
		s.unclosed = '"'
		return span{i + 2, len(b), true}
	case b[i] == '[' && !bytes.HasPrefix(b[i:], []byte(Mark)):
		if n := bytes.IndexByte(b[i:], ']'); n > 0 {
			if i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\'') {
				i++
				return s.quoted(i+1, b[i])
			}
			return span{i + 1, i + n, true}
		}
	}
	lineForm := sep == ' ' || start < 128 && len(bytes.TrimLeft(b[:start], " \t\"'*#>-")) == 0
	switch kind {
	case shortField:
		// Whether it is a secret is seen at its beginning.
		if v := s.secretSpan(i, min(len(b), i+128), false, kind); s.looksSecret(start, i, b[v.start:v.end], sep) {
			return s.secretSpan(i, len(b), false, kind)
		}
		return span{i, i, false}
	case passwordField, tokenField:
		return s.secretSpan(i, len(b), lineForm, kind)
	case authField, challengeField, cookieField:
		// Header lines, perhaps quoted inside a command or a log: up to the end of the line as the writer meant it.
		// "Cookie: " and "Authorization: " are also said in prose.
		near := b[i:min(len(b), i+256)]
		if kind == cookieField && bytes.IndexByte(near, '=') <= 0 || kind != cookieField && !beginsAuth(near) {
			return span{i, i, false}
		}
		end := i + beforeCode(b[i:])
		if n := bytes.Index(b[i:end], []byte(`\r\n`)); n >= 0 {
			end = i + n
		}
		if start > s.done && start > 0 && (b[start-1] == '"' || b[start-1] == '\'') {
			if n := bytes.IndexByte(b[i:end], b[start-1]); n >= 0 {
				end = i + n
			}
		}
		return span{i, trimEnd(b, i, end), true}
	case hostsField, softHostsField:
		if b[i] == '<' && !hasFoldPrefix(b[i:], "<local>") { // Proxy List used: <a:80> Bypass List used : <b>
			if n := bytes.Index(b[i:min(len(b), i+maxValue)], []byte("> ")); n >= 0 {
				return span{i + 1, i + n, true}
			}
		}
		if lineForm {
			end := i
			for end < len(b) && b[end] != '"' && b[end] != '\t' && !bytes.HasPrefix(b[end:], []byte("  ")) {
				end++
			}
			return span{i, trimEnd(b, i, end), true}
		}
	case personField, nameField, serialField, productField, userField:
		if lineForm {
			end := fieldEnd(b, i)
			if n := beforeCode(b[i:end]); i+n < end { // a sentence
				end = i + n
				if k := bytes.IndexByte(b[i:end], ' '); k > 0 && kind != personField && kind != nameField {
					end = i + k
				}
			}
			return span{i, trimEnd(b, i, end), true}
		}
		if n := listItem(b[i:]); kind == nameField && n > 0 {
			return span{i, i + n, true}
		}
	}
	end := i
	for end < len(b) && end-i < maxValue && !endsToken(b[end]) {
		end++
	}
	for end > i && (b[end-1] == '.' || b[end-1] == ':') {
		end--
	}
	return span{i, end, endsField(b, end)}
}

// quoted is a value up to the closing quote; a backslash or a second quote escapes one.
func (s *scanner) quoted(i int, quote byte) span {
	b := s.cur
	for j := i; j < len(b); j++ {
		switch {
		case b[j] == '\\' && j+1 < len(b) && (b[j+1] == quote || b[j+1] == '\\'):
			j++
		case b[j] == quote:
			if quote == '"' && j+1 < len(b) && b[j+1] == quote && j > i {
				j++
				continue
			}
			return span{i, j, true}
		}
	}
	s.unclosed = quote
	return span{i, len(b), true}
}

// secretSpan is the extent of a secret without quotes. On a line of its own it may contain blanks. It ends before what
// is plainly the next field, ";Server=", "&user=", and before the code of an error: who writes "Password: x 0x80246007"
// has asked about the code, and diagnosis reads it.
func (s *scanner) secretSpan(i, limit int, lineForm bool, kind fieldKind) span {
	b := s.cur[:limit]
	b = b[:i+beforeCode(b[i:])]
	j := i
	for ; j < len(b); j++ {
		c := b[j]
		if byteClass[c]&isSpace != 0 && (!lineForm || kind != passwordField) {
			break
		}
		if c == '"' && !lineForm {
			break
		}
		if c == '<' && j+1 < len(b) && b[j+1] == '/' || c == '&' && bytes.HasPrefix(b[j:], []byte("&lt;")) {
			break
		}
		if (c == ';' || c == '&' || c == ',' || c == '|') && beginsField(b[j+1:]) {
			break
		}
	}
	end := trimEnd(b, i, j)
	for end > i && bytes.IndexByte([]byte(",;)}'\""), b[end-1]) >= 0 && !isNothing(b[i:end]) {
		end--
	}
	if bytes.HasPrefix(b[i:end], []byte(Mark)) {
		end = i + len(Mark)
	}
	return span{i, end, true}
}

// beginsField says whether b begins with a name and a separator.
func beginsField(b []byte) bool {
	i := 0
	for i < len(b) && b[i] == ' ' {
		i++
	}
	n := i
	for n < len(b) && n < i+maxKey && (byteClass[b[n]]&isAlnum != 0 || b[n] == '_' || b[n] == '-' || b[n] == '.' || b[n] == ' ') {
		n++
	}
	return n > i && n < len(b) && (b[n] == '=' || b[n] == ':')
}

// beforeCode returns the length of b up to the code of an error in it and the words that introduce it, or all of its
// length. What a value begins with belongs to it, whatever it is.
func beforeCode(b []byte) int {
	for i := 1; i < len(b); i++ {
		k := bytes.Index(b[i:], []byte("0x"))
		if k < 0 {
			break
		}
		if i += k; bytes.IndexByte([]byte(" \t,;|([:"), b[i-1]) >= 0 && codeAt(b, i) {
			return introduction(b, i)
		}
	}
	return len(b)
}

// codeAt says whether the code of a failure stands at i: 0x and eight digits, of which the first has its highest bit
// set, as a word of its own (learn.microsoft.com: Structure of COM Error Codes).
func codeAt(b []byte, i int) bool {
	end := i + len("0x80240000")
	return end <= len(b) && b[i] == '0' && b[i+1] == 'x' && b[i+2] >= '8' && allHex(b[i+2:end]) &&
		(end == len(b) || !joinsWord(b[end]))
}

// isCode says whether a value is the code of a failure and nothing else.
func isCode(b []byte) bool { return len(b) == len("0x80240000") && codeAt(b, 0) }

// introduction is where the words before a code begin that say that it is one: "error", "gives", "failed with code =".
func introduction(b []byte, i int) int {
	for {
		end := i
		for end > 0 && byteClass[b[end-1]]&isAlnum == 0 && bytes.IndexByte([]byte(" \t,;:=|(["), b[end-1]) >= 0 {
			end--
		}
		start := end
		for start > 0 && end-start < 12 && byteClass[b[start-1]]&isLetter != 0 {
			start--
		}
		if start == 0 || bytes.IndexByte([]byte(" \t,;|(["), b[start-1]) < 0 {
			return end
		}
		switch string(bytes.ToLower(b[start:end])) {
		case "error", "errors", "code", "errorcode", "fehler", "fehlercode", "hr", "hresult", "result", "exit", "status", "with", "mit", "and", "und", "it", "then", "dann",
			"gives", "gave", "gibt", "shows", "zeigt", "says", "returned", "returns", "failed", "fails", "was", "is", "the":
			i = start
		default:
			return end
		}
	}
}

// listItem is the length of a name of several words that a comma ends or the line: "target group = Kiel South, DNS name
// = x". It is 0 if there is anything else in between.
func listItem(b []byte) int {
	const maxItem = 64
	for i, c := range b[:min(len(b), maxItem)] {
		switch {
		case byteClass[c]&isAlnum != 0, c == ' ', c == '-', c == '_':
		case c == ',', c == ';':
			return trimEnd(b, 0, i)
		default:
			return 0
		}
	}
	if len(b) > maxItem {
		return 0
	}
	return trimEnd(b, 0, len(b))
}

// fieldEnd is where a value without quotes ends that may contain blanks: at a tab, two blanks, or the end of the line.
func fieldEnd(b []byte, i int) int {
	for j := i; j < len(b); j++ {
		switch b[j] {
		case '\t', '"', '<', '|':
			return j
		case ' ':
			if j+1 < len(b) && b[j+1] == ' ' {
				return j
			}
		}
	}
	return len(b)
}

func trimEnd(b []byte, i, end int) int {
	for end > i && byteClass[b[end-1]]&isSpace != 0 {
		end--
	}
	return end
}

func endsToken(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\v', '\f', ',', ';', '"', '\'', '<', '>', '|', '(', ')', '[', ']', '{', '}', '&':
		return true
	}
	return false
}

// endsField says whether the token that ends at i is the whole value: no further word follows it.
func endsField(b []byte, i int) bool {
	if i < len(b) && (b[i] == '.' || b[i] == ':') {
		i++
	}
	if i == len(b) {
		return true
	}
	switch b[i] {
	case ' ':
		return i+1 == len(b) || b[i+1] == ' ' || b[i+1] == '('
	case '(', '{', '[', '&':
		return false
	}
	return true
}

// isNothing says whether a value says that there is none.
func isNothing(v []byte) bool {
	switch string(bytes.ToLower(bytes.TrimSpace(v))) {
	case "", "null", "(null)", "<null>", "$null", "nil", "none", "(none)", "<none>", "true", "false", "yes", "no",
		"ja", "nein", "n/a", "-", "*", "unknown", "unbekannt", "(keine)", "keine", "not set", "undefined", "empty",
		"to be filled by o.e.m.", "default string", "system serial number", "not specified", "not available",
		"not applicable", "0", "direct", "auto":
		return true
	}
	return len(bytes.Trim(v, "*")) == 0
}

// isHarmlessToken says whether the value of a token field is a handle, a state or a small number.
func isHarmlessToken(v []byte) bool {
	if isNothing(v) || hasFoldPrefix(v, "0x") && allHex(v[2:]) {
		return true
	}
	if len(v) <= 3 && allDigits(v) {
		return true
	}
	// A word such as "expired" or "acquired" is told from a token by having no digit and being short.
	for _, c := range v {
		if byteClass[c]&isLower == 0 && c != v[0] {
			return false
		}
	}
	return len(v) <= 12
}

func allHex(v []byte) bool {
	for _, c := range v {
		if byteClass[c]&isHex == 0 {
			return false
		}
	}
	return len(v) > 0
}

func allDigits(v []byte) bool {
	for _, c := range v {
		if byteClass[c]&isDigit == 0 {
			return false
		}
	}
	return len(v) > 0
}
