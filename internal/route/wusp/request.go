package wusp

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
)

// Where Microsoft's own services are. The "cr" names are what agents are sent to.
const (
	publicBase = "https://fe2cr.update.microsoft.com/v6"
	modernBase = "https://fe3cr.delivery.mp.microsoft.com"
)

// The agent of Windows 11 25H2, and the protocol it speaks.
const (
	DefaultAgent = "1507.2601.30012.0"
	protocol     = "2.90"
)

// Server is an update service and the way it is spoken to. Its methods build
// requests; they send nothing.
type Server struct {
	// Base is the address up to the services, as policy writes it, letter case and
	// all: "http://WSUS01:8530". Credentials in it are left out.
	Base string
	// Ticketed services (FE3) want SOAP 1.2 with a WS-Security header. The ticket in
	// it stays empty: an anonymous caller.
	Ticketed bool
	Pinned   bool      // the agent accepts only Microsoft's own roots there
	Agent    string    // version of the update agent; "" is DefaultAgent
	Now      time.Time // the time that requests speak of
}

// WSUS returns the server at an address, such as the WUServer policy holds.
func WSUS(base string) Server { return Server{Base: base} }

// Public returns Microsoft's service for Windows Update's own scans.
func Public() Server { return Server{Base: publicBase, Pinned: true} }

// Modern returns Microsoft's service for unified updates and the Store, FE3.
func Modern() Server { return Server{Base: modernBase, Pinned: true, Ticketed: true} }

// GetConfig asks for the server's configuration: the first call of any agent, and
// the one that tells a server nothing.
func (s Server) GetConfig() host.Request {
	return s.call(opConfig, clientPath, func(b *body) { b.element("protocolVersion", protocol) })
}

// GetAuthorizationCookie identifies the machine to the service that GetConfig names,
// by its own SusClientId and DNS name.
func (s Server) GetAuthorizationCookie(c Config, clientID, dnsName string) host.Request {
	path := authPath
	if len(c.AuthInfo) > 0 && c.AuthInfo[0].ServiceURL != "" {
		path = "/" + strings.TrimLeft(c.AuthInfo[0].ServiceURL, "/")
	}
	return s.call(opAuth, path, func(b *body) {
		b.element("clientId", clientID)
		b.element("dnsName", dnsName)
	})
}

// GetCookie exchanges authorization cookies for the cookie of all further calls.
// lastChange is what GetConfig said, to the letter. old is an expired cookie or zero.
func (s Server) GetCookie(auth []AuthCookie, old Cookie, lastChange string) host.Request {
	now := s.time()
	if old.Expiration == "" {
		old.Expiration = now
	}
	return s.call(opCookie, clientPath, func(b *body) {
		if len(auth) > 0 {
			b.open("authCookies")
			for _, a := range auth {
				b.open("AuthorizationCookie")
				b.element("PlugInId", a.PlugInID)
				b.element("CookieData", a.Data)
				b.close("AuthorizationCookie")
			}
			b.close("authCookies")
		}
		b.cookie("oldCookie", old)
		b.element("lastChange", lastChange)
		b.element("currentTime", now)
		b.element("protocolVersion", protocol)
	})
}

// StaleCookie is a GetCookie with no identity and a configuration of 1970. A genuine
// service refuses it with a fault of its own, mostly ConfigChanged, which nothing
// that stands in between can imitate by chance. It changes nothing.
func (s Server) StaleCookie() host.Request {
	r := s.GetCookie(nil, Cookie{}, "1970-01-01T00:00:00Z")
	r.ID = opCookie + ".stale"
	return r
}

// SyncUpdates asks for a page of the updates that concern the machine: those whose
// prerequisites are among installed, without those that are in either list.
// Software only: drivers would need the machine's hardware ids.
func (s Server) SyncUpdates(c Cookie, installed, cached []int) host.Request {
	return s.call(opSync, clientPath, func(b *body) {
		b.cookie("cookie", c)
		b.open("parameters")
		b.element("ExpressQuery", "false")
		b.ints("InstalledNonLeafUpdateIDs", installed)
		b.ints("OtherCachedUpdateIDs", cached)
		b.element("SkipSoftwareSync", "false")
		b.element("NeedTwoGroupOutOfScopeUpdates", "true")
		b.element("AlsoPerformRegularSync", "true")
		b.close("parameters")
	})
}

// GetExtendedUpdateInfo asks for files and titles of revisions: fewer than
// [Config.MaxExtended] at a time.
func (s Server) GetExtendedUpdateInfo(c Cookie, revisions []int) host.Request {
	return s.call(opExtended, clientPath, func(b *body) {
		b.cookie("cookie", c)
		b.ints("revisionIDs", revisions)
		b.open("infoTypes")
		b.element("XmlUpdateFragmentType", "Extended")
		b.element("XmlUpdateFragmentType", "LocalizedProperties")
		b.close("infoTypes")
		b.open("locales")
		b.element("string", "en-US")
		b.element("string", "en")
		b.close("locales")
	})
}

// GetFileLocations asks where the files with those SHA-1 digests are (lower-case hex).
// What is no digest is left out.
func (s Server) GetFileLocations(c Cookie, digests []string) host.Request {
	return s.call(opLocations, clientPath, func(b *body) {
		b.cookie("cookie", c)
		b.open("fileDigests")
		for _, d := range digests {
			if raw, err := hex.DecodeString(d); err == nil && len(raw) == 20 {
				b.element("base64Binary", base64.StdEncoding.EncodeToString(raw))
			}
		}
		b.close("fileDigests")
	})
}

// Computer is what a machine tells about itself when it registers ([MS-WUSP] 2.2.2.2.3).
type Computer struct {
	DNSName                   string
	OSMajor, OSMinor, OSBuild int
	ServicePack               int
	Locale                    string // "en-US"
	Manufacturer, Model       string
	BIOSVersion, BIOSName     string
	BIOSDate                  string // xsd:dateTime
	Architecture              string // "AMD64"
	SuiteMask, OldProduct     int
	NewProduct                int // GetProductInfo: 48 is Professional
	OSDescription             string
}

// RegisterComputer enters the machine into the server's database. A session does it
// only when it was given a Computer.
func (s Server) RegisterComputer(c Cookie, m Computer) host.Request {
	agent := append(strings.Split(s.agent(), "."), "0", "0", "0", "0")
	return s.call(opRegister, clientPath, func(b *body) {
		b.cookie("cookie", c)
		b.open("computerInfo")
		b.element("DnsName", m.DNSName)
		b.element("OSMajorVersion", strconv.Itoa(m.OSMajor))
		b.element("OSMinorVersion", strconv.Itoa(m.OSMinor))
		b.element("OSBuildNumber", strconv.Itoa(m.OSBuild))
		b.element("OSServicePackMajorNumber", strconv.Itoa(m.ServicePack))
		b.element("OSServicePackMinorNumber", "0")
		b.element("OSLocale", m.Locale)
		b.element("ComputerManufacturer", m.Manufacturer)
		b.element("ComputerModel", m.Model)
		b.element("BiosVersion", m.BIOSVersion)
		b.element("BiosName", m.BIOSName)
		b.element("BiosReleaseDate", m.BIOSDate)
		b.element("ProcessorArchitecture", m.Architecture)
		b.element("SuiteMask", strconv.Itoa(m.SuiteMask))
		b.element("OldProductType", strconv.Itoa(m.OldProduct))
		b.element("NewProductType", strconv.Itoa(m.NewProduct))
		b.element("SystemMetrics", "0")
		b.element("ClientVersionMajorNumber", agent[0])
		b.element("ClientVersionMinorNumber", agent[1])
		b.element("ClientVersionBuildNumber", agent[2])
		b.element("ClientVersionQfeNumber", agent[3])
		b.element("OSDescription", m.OSDescription)
		b.element("OEM", m.Manufacturer)
		b.element("DeviceType", m.Model)
		b.element("FirmwareVersion", "unknown")
		b.element("MobileOperator", "Not Present")
		b.close("computerInfo")
	})
}

// WithXpress returns the request with the compression that every agent asks for. Without
// it, which is the default here, a server answers in plain text; a proxy that cannot leave
// the unknown encoding alone shows only with it.
func WithXpress(r host.Request) host.Request {
	out := make([]host.Field, 0, len(r.Header)+1)
	for _, f := range r.Header {
		out = append(out, f)
		if f.Name == "Content-Type" {
			out = append(out, host.Field{Name: "Accept-Encoding", Value: "xpress"})
		}
	}
	r.ID, r.Header = r.ID+".xpress", out
	return r
}

func (s Server) agent() string {
	if s.Agent != "" {
		return s.Agent
	}
	return DefaultAgent
}

// time is Now as agents write it, in whole seconds of UTC.
func (s Server) time() string { return s.Now.UTC().Format("2006-01-02T15:04:05Z") }

// address joins the base and a path without touching the base's letter case, which
// matters to some proxy rules, and without credentials.
func (s Server) address(path string) string { return cleanBase(s.Base) + path }

func cleanBase(base string) string {
	base = strings.TrimRight(strings.TrimSpace(base), "/")
	scheme, rest, ok := strings.Cut(base, "://")
	if !ok {
		return base
	}
	authority, tail, slash := strings.Cut(rest, "/")
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if slash {
		tail = "/" + tail
	}
	return scheme + "://" + authority + tail
}

// call wraps the parts of an operation into an envelope and gives it the header fields of a
// real agent, in its order. Host and Content-Length are the sender's to add.
func (s Server) call(name, path string, fill func(*body)) host.Request {
	op := operation(name)
	url := s.address(path)
	b := &body{}
	id := fingerprint(name, url, s.Now)
	if s.Ticketed {
		s.ticket(b, op.ns+"/"+name, url, id)
	} else {
		b.WriteString(`<s:Envelope xmlns:s="` + nsSOAP11 + `"><s:Body>`)
	}
	b.WriteString("<" + name + ` xmlns="` + op.ns + `">`)
	fill(b)
	b.close(name)
	b.WriteString("</s:Body></s:Envelope>")

	r := host.Request{
		ID: name, Method: "POST", URL: url, Body: b.Bytes(), Pinned: s.Pinned,
		Keep: maxAnswer, // a page of updates has megabytes
	}
	add := func(name, value string) { r.Header = append(r.Header, host.Field{Name: name, Value: value}) }
	add("Cache-Control", "no-cache")
	add("Connection", "Keep-Alive")
	add("Pragma", "no-cache")
	if s.Ticketed {
		add("Content-Type", "application/soap+xml; charset=utf-8")
	} else {
		add("Content-Type", "text/xml; charset=utf-8")
	}
	add("User-Agent", "Windows-Update-Agent/"+s.agent()+" Client-Protocol/"+protocol)
	if !s.Ticketed {
		add("SOAPAction", `"`+op.ns+"/"+name+`"`)
	}
	if op.ns == nsClient { // the authorization service is asked without
		add("MS-CV", vector(id)+".1.0.0.2.1")
	}
	return r
}

// ticket opens an envelope of SOAP 1.2 whose security header holds an empty ticket.
func (s Server) ticket(b *body, action, to string, id [32]byte) {
	const (
		wsse = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
		wsu  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
		wuws = "http://schemas.microsoft.com/msus/2014/10/WindowsUpdateAuthorization"
	)
	b.WriteString(`<s:Envelope xmlns:s="` + nsSOAP12 + `" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>`)
	b.WriteString(`<a:Action s:mustUnderstand="1">` + action + `</a:Action>`)
	fmt.Fprintf(b, `<a:MessageID>urn:uuid:%x-%x-%x-%x-%x</a:MessageID>`, id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
	b.WriteString(`<a:To s:mustUnderstand="1">`)
	b.escape(to)
	b.WriteString(`</a:To><o:Security s:mustUnderstand="1" xmlns:o="` + wsse + `"><Timestamp xmlns="` + wsu + `">`)
	b.element("Created", s.time())
	b.element("Expires", Server{Now: s.Now.Add(5 * time.Minute)}.time())
	b.WriteString(`</Timestamp><wuws:WindowsUpdateTicketsToken wsu:id="ClientMSA" xmlns:wsu="` + wsu + `" xmlns:wuws="` + wuws + `">`)
	b.WriteString(`</wuws:WindowsUpdateTicketsToken></o:Security></s:Header><s:Body>`)
}

// fingerprint stands in for the random ids that agents put into their messages:
// different for every call, yet the same for the same call at the same time, so that
// a recorded walk can be walked again.
func fingerprint(name, url string, now time.Time) [32]byte {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(now.UnixNano()))
	return sha256.Sum256([]byte(name + "\x00" + url + "\x00" + string(at[:])))
}

// vector is the base of a correlation vector: 16 characters of base64.
func vector(id [32]byte) string { return base64.StdEncoding.EncodeToString(id[16:28]) }

// body is an envelope under construction.
type body struct{ bytes.Buffer }

func (b *body) open(name string)  { b.WriteString("<" + name + ">") }
func (b *body) close(name string) { b.WriteString("</" + name + ">") }

func (b *body) escape(s string) { xml.EscapeText(b, []byte(s)) } // a buffer does not fail

func (b *body) element(name, text string) {
	b.open(name)
	b.escape(text)
	b.close(name)
}

// cookie leaves EncryptedData out where there is none, as agents do in a first oldCookie.
func (b *body) cookie(name string, c Cookie) {
	b.open(name)
	b.element("Expiration", c.Expiration)
	if c.Data != "" {
		b.element("EncryptedData", c.Data)
	}
	b.close(name)
}

// ints leaves an empty array out altogether, as agents do in a first call.
func (b *body) ints(name string, ids []int) {
	if len(ids) == 0 {
		return
	}
	b.open(name)
	for _, id := range ids {
		b.element("int", strconv.Itoa(id))
	}
	b.close(name)
}
