package redact

import "bytes"

// A tldKind says how surely the last label of a word with dots makes it a host name.
type tldKind uint8

const (
	noTLD      tldKind = iota
	surely             // .com, .local: nothing else ends so
	countryTLD         // two letters that may be a word of a sentence or the name of a property
	wordTLD            // two letters that certainly are also words
	codeTLD            // longer ones that are also words in programs
)

// tldOf looks up the last label of a name. Country codes that are also extensions of files (.cs, .py, .so, .cat) are
// left out: in the logs of Windows they are files.
func tldOf(label []byte) tldKind {
	if len(label) < 2 || len(label) > 24 {
		return noTLD
	}
	var buf [24]byte
	b := buf[:len(label)]
	for i, c := range label {
		if byteClass[c]&(isLower|isUpper) == 0 {
			if hasFoldPrefix(label, "xn--") {
				return surely
			}
			return noTLD
		}
		b[i] = lower(c)
	}
	switch string(b) {
	case "com", "net", "org", "edu", "gov", "mil", "biz", "eu", "arpa", "asia", "mobi", "info",
		"local", "lan", "localdomain", "corp", "intranet", "intra", "intern", "example", "invalid", "onion", "loc",
		"gmbh", "berlin", "bayern", "hamburg", "koeln", "wien", "tirol", "zuerich", "saarland", "ruhr", "nrw", "swiss",
		"adds", "dom", "prv", "priv", "ads":
		return surely
	case "ac", "ad", "ae", "af", "ag", "ai", "al", "ao", "aq", "ar", "au", "aw", "ax", "az", "ba", "bb", "bd", "bf",
		"bg", "bh", "bi", "bj", "bm", "bn", "bo", "br", "bs", "bt", "bw", "ca", "cd", "cf", "cg", "ch", "ci", "ck",
		"cl", "cm", "cn", "co", "cr", "cu", "cv", "cw", "cx", "cy", "cz", "de", "dj", "dk", "dm", "dz", "ec", "ee",
		"eg", "er", "et", "fi", "fj", "fk", "fm", "fo", "fr", "ga", "gb", "gd", "ge", "gf", "gg", "gh", "gi", "gl",
		"gm", "gn", "gp", "gq", "gr", "gt", "gu", "gw", "gy", "hk", "hm", "hn", "hr", "ht", "hu", "ie", "il", "im",
		"io", "iq", "ir", "je", "jm", "jo", "jp", "ke", "kg", "kh", "ki", "km", "kn", "kp", "kr", "kw", "ky", "kz",
		"lb", "lc", "li", "lk", "lr", "ls", "lt", "lu", "lv", "ly", "ma", "mc", "me", "mg", "mh", "mk", "mm", "mn",
		"mp", "mq", "mr", "mt", "mu", "mv", "mw", "mx", "mz", "na", "nc", "ne", "nf", "ng", "ni", "nl", "np", "nr",
		"nu", "nz", "om", "pa", "pe", "pf", "pg", "ph", "pk", "pl", "pm", "pn", "pr", "pt", "pw", "qa", "re",
		"ro", "ru", "rw", "sa", "sb", "sc", "sd", "sg", "si", "sk", "sl", "sm", "sn", "sr", "ss", "st", "su", "sv",
		"sx", "sy", "sz", "tc", "td", "tg", "th", "tj", "tk", "tl", "tm", "tn", "tr", "tt", "tv", "tw", "tz", "ua",
		"ug", "uk", "uy", "uz", "va", "vc", "ve", "vg", "vi", "vn", "vu", "wf", "ws", "ye", "yt", "za", "zm", "zw":
		return countryTLD
	case "am", "an", "as", "at", "be", "by", "do", "es", "hu-hu", "id", "in", "is", "it", "la", "my", "no", "se", "so",
		"to", "us", "int":
		return wordTLD
	case "internal", "home", "private", "domain", "test", "office", "app", "dev", "online", "cloud", "tech", "site",
		"store", "shop", "network", "systems", "services", "solutions", "software", "group", "global", "digital",
		"support", "company", "media", "email", "live", "work", "works", "team", "agency", "consulting", "health",
		"energy", "bank", "school", "university", "world", "city", "center", "space", "zone", "pro", "name", "xyz",
		"website", "tools", "technology", "security", "engineering", "industries", "international", "ltd", "inc", "llc",
		"firma", "netz", "haus", "schule", "verwaltung", "host", "club", "vip", "page", "one", "top", "cc":
		return codeTLD
	}
	return noTLD
}

// suffixLen is the length of the public suffix of a host name, with its dot; 0 if the name has none that is known, as a
// single label, or a forest with an invented last label.
func suffixLen(name []byte) int {
	k := bytes.LastIndexByte(name, '.')
	if k < 0 || tldOf(name[k+1:]) == noTLD {
		return 0
	}
	if n := tenantSuffix(name); n > 0 {
		return n
	}
	n := len(name) - k
	if p := bytes.LastIndexByte(name[:k], '.'); p >= 0 {
		second := name[p+1 : k]
		switch {
		case len(name)-k == 3 && isSecondLevel(second), foldEqual(name[p+1:], "home.arpa"), foldEqual(name[p+1:], "in-addr.arpa"), foldEqual(name[p+1:], "ip6.arpa"):
			n = len(name) - p
		}
	}
	return n
}

// isSecondLevel knows the second labels under which countries register names: .co.uk, .com.au, .or.at.
func isSecondLevel(label []byte) bool {
	switch string(bytes.ToLower(label)) {
	case "co", "com", "org", "net", "ac", "gov", "edu", "or", "ne", "go", "gv", "ltd", "plc", "nhs", "sch", "mil", "govt":
		return true
	}
	return false
}

// tenantSuffix is the length of the suffix of services at which a customer's name is part of the host name. The
// service stays, the customer goes.
func tenantSuffix(name []byte) int {
	for _, suffix := range [...]string{
		".onmicrosoft.com", ".sharepoint.com", ".blob.core.windows.net", ".file.core.windows.net",
		".table.core.windows.net", ".queue.core.windows.net", ".azurewebsites.net", ".cloudapp.net", ".cloudapp.azure.com",
		".database.windows.net", ".vault.azure.net", ".servicebus.windows.net", ".azure-api.net", ".service-now.com",
		".mail.protection.outlook.com", ".b2clogin.com", ".ciamlogin.com", ".okta.com", ".zscaler.net",
		".msappproxy.net", ".azureedge.net", ".dynamics.com", ".crm4.dynamics.com", ".zendesk.com", ".fritz.box",
		".myfritz.net", ".dyndns.org", ".no-ip.org", ".duckdns.org",
	} {
		if len(name) > len(suffix) && foldEqual(name[len(name)-len(suffix):], suffix) {
			return len(suffix)
		}
	}
	return 0
}

// isWellKnown says whether a host name is one that everybody uses: the services of Microsoft, issuers of certificates,
// and the like. A diagnosis needs them as they are, and they tell nothing about a machine.
func isWellKnown(name []byte) bool {
	for len(name) > 0 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	for len(name) > 0 && (name[0] == '.' || name[0] == '*') {
		name = name[1:]
	}
	if len(name) < 5 || len(name) > 253 || tenantSuffix(name) > 0 {
		return false
	}
	if hasFoldPrefix(name, "schemas.") {
		return true
	}
	k := bytes.LastIndexByte(name, '.')
	if k < 0 {
		return false
	}
	p := bytes.LastIndexByte(name[:k], '.')
	var buf [32]byte
	if len(name)-p-1 > len(buf) {
		return false
	}
	b := buf[:len(name)-p-1]
	for i, c := range name[p+1:] {
		b[i] = lower(c)
	}
	switch string(b) {
	// Windows Update, Store, sign-in, connectivity tests (learn.microsoft.com: Manage connection endpoints for Windows 11).
	case "microsoft.com", "windowsupdate.com", "windowsupdate.net", "windows.com", "windows.net", "live.com", "live.net",
		"msftncsi.com", "msftconnecttest.com", "microsoftonline.com", "microsoftonline-p.com", "msauth.net", "msftauth.net",
		"msauthimages.net", "msftauthimages.net", "office.com", "office.net", "office365.com", "outlook.com", "hotmail.com",
		"onenote.com", "onedrive.com", "azure.com", "azure.net", "azure-devices.net", "azurefd.net", "msedge.net",
		"msn.com", "bing.com", "bing.net", "skype.com", "xboxlive.com", "xbox.com", "aka.ms", "msidentity.com",
		"trafficmanager.net", "s-microsoft.com", "gfx.ms", "passport.net", "passport.com", "visualstudio.com", "nuget.org",
		"powershellgallery.com", "asp.net", "technet.com", "msdn.com", "sfx.ms", "microsoft.net", "microsoftstore.com",
		"edge.skype", "msocdn.com", "virtualearth.net", "hotmail.de", "outlook.de", "windowsazure.com", "dot.net",
		"digicert.cn", "microsoft.de", "oneocsp.com", "cortana.ai", "svc.ms", "lync.com", "microsoftazuread-sso.com",
		// Content networks that carry it.
		"akamai.net", "akamaiedge.net", "akamaized.net", "akamaitechnologies.com", "akadns.net", "edgesuite.net", "edgekey.net",
		"llnwd.net", "lldns.net", "footprint.net", "fastly.net", "cloudfront.net", "cloudflare.com", "amazonaws.com",
		"edgecastcdn.net", "hwcdn.net", "v0cdn.net", "level3.net", "windowsupdate.nsatc", "nsatc.net", "chinacache.net",
		// Issuers of certificates.
		"digicert.com", "verisign.com", "globalsign.com", "globalsign.net", "entrust.net", "entrust.com", "sectigo.com",
		"usertrust.com", "comodoca.com", "comodo.com", "comodoca4.com", "godaddy.com", "starfieldtech.com", "letsencrypt.org",
		"lencr.org", "identrust.com", "symcb.com", "symcd.com", "symantec.com", "thawte.com", "geotrust.com",
		"quovadisglobal.com", "amazontrust.com", "pki.goog", "trust-provider.com", "ssl.com", "swisssign.net",
		"swisssign.com", "telesec.de", "d-trust.net", "harica.gr", "certum.pl", "ws.symantec", "buypass.com", "baltimore.com",
		"omniroot.com", "cybertrust.ne", "startssl.com", "valicert.com", "networksolutions.com", "rapidssl.com",
		// Standards and sources.
		"w3.org", "xmlsoap.org", "oasis-open.org", "openxmlformats.org", "iana.org", "ietf.org", "dmtf.org", "tempuri.org",
		"github.com", "githubusercontent.com", "github.io", "golang.org", "wikipedia.org", "xmlpull.org", "openssl.org",
		"apache.org", "mozilla.org", "mozilla.com", "firefox.com", "chromium.org", "google.com", "googleapis.com",
		"gstatic.com", "gvt1.com", "google.de", "youtube.com", "stackoverflow.com", "superuser.com", "serverfault.com",
		"reddit.com", "ntp.org", "nist.gov", "ptb.de", "time.windows",
		// Makers of devices and of security programs, whose drivers and programs logs mention.
		"intel.com", "nvidia.com", "amd.com", "realtek.com", "qualcomm.com", "broadcom.com", "hp.com", "dell.com", "lenovo.com",
		"acer.com", "asus.com", "samsung.com", "logitech.com", "logi.com", "adobe.com", "oracle.com", "java.com", "apple.com",
		"vmware.com", "citrix.com", "mcafee.com", "trendmicro.com", "kaspersky.com", "sophos.com", "eset.com", "avast.com",
		"avg.com", "avira.com", "bitdefender.com", "malwarebytes.com", "norton.com", "crowdstrike.com", "sentinelone.net",
		"paloaltonetworks.com", "fortinet.com", "checkpoint.com", "cisco.com", "opendns.com", "zscaler.com",
		"forcepoint.com", "synaptics.com", "mediatek.com", "canon.com", "epson.com", "brother.com", "conexant.com":
		return true
	}
	return false
}

// hasFileExtension says whether a word with a dot ends in the extension of a file, as far as Windows logs speak of them.
func hasFileExtension(name []byte) bool {
	k := bytes.LastIndexByte(name, '.')
	if k < 0 || len(name)-k-1 > 12 {
		return false
	}
	var buf [12]byte
	b := buf[:len(name)-k-1]
	for i, c := range name[k+1:] {
		b[i] = lower(c)
	}
	switch string(b) {
	case "dll", "exe", "sys", "mum", "cat", "cab", "inf", "log", "xml", "txt", "cpp", "c", "h", "hpp", "cs", "etl", "evtx",
		"dat", "db", "edb", "jfm", "chk", "jrs", "msu", "msi", "msp", "mst", "esd", "wim", "psf", "ini", "cfg", "config",
		"json", "manifest", "mui", "mun", "ps1", "psm1", "psd1", "cmd", "bat", "vbs", "js", "wsf", "hta", "reg", "pol", "adm",
		"admx", "adml", "tmp", "temp", "bak", "old", "bin", "mof", "mfl", "nls", "ttf", "ttc", "fon", "otf", "png", "jpg", "jpeg",
		"gif", "bmp", "ico", "svg", "htm", "html", "asmx", "aspx", "asp", "ashx", "svc", "wsdl", "xsd", "xsl", "xslt", "css",
		"drv", "ocx", "cpl", "msc", "scr", "efi", "mui~", "pnf", "dmp", "mdmp", "cur", "ani", "wav", "mp3", "mp4", "avi", "zip",
		"7z", "rar", "gz", "tar", "iso", "vhd", "vhdx", "appx", "appxbundle", "msix", "msixbundle", "eappx", "rtf", "doc",
		"docx", "xls", "xlsx", "ppt", "pptx", "pdf", "csv", "tsv", "md", "yaml", "yml", "toml", "py", "sh", "go", "rs", "pdb",
		"obj", "lib", "tlb", "winmd", "resources", "resx", "crt", "cer", "pem", "p7b", "p7s", "p12", "pfx", "key", "crl", "stl", "sst",
		"ax", "acm", "nld", "blf", "regtrans-ms", "lnk", "url", "job", "que", "xrm-ms", "prx", "pac", "lex", "idx", "hiv", "sdb",
		"sqm", "vdm", "gpd", "ppd", "icm", "icc", "qml", "pri", "xbf", "diagcab", "uce", "mdb", "pst", "ost", "map", "sig", "swp":
		return true
	}
	return false
}
