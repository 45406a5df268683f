package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WSUS is an update server of the company. [MS-WUSP]; learn.microsoft.com: Windows
// Server Update Services.
type WSUS struct {
	Name         string `json:"name"`
	Addresses    []Addr `json:"addresses,omitempty"`
	Port         int    `json:"port,omitempty"`       // of http, 8530 if zero; -1: none
	HTTPS        int    `json:"https,omitempty"`      // 0: none
	Updates      int    `json:"updates,omitempty"`    // that a machine needs; 3 if zero, -1: none
	Categories   int    `json:"categories,omitempty"` // products, classifications and tests before them; 35 if zero
	Page         int    `json:"page,omitempty"`       // answers of one SyncUpdates; 30 if zero, as Server 2025 has it
	Endless      bool   `json:"endless,omitempty"`    // its pages are truncated for ever: over its limits
	Register     bool   `json:"register,omitempty"`   // it wants machines to register
	NoSelfUpdate bool   `json:"noSelfUpdate,omitempty"`
}

// Limits of the service.
const (
	pageSize     = 30
	mostIDs      = 400 // InstalledNonLeafUpdateIDs beyond it are InvalidParameters
	mostExtended = 50
	cookieLife   = time.Hour
)

// service is one update server: a company's WSUS, or a face of Microsoft's.
type service struct {
	w        *World
	base     string // "/ClientWebService", "/v6/ClientWebService"
	public   bool
	secured  bool // SOAP 1.2 with WS-Security
	register bool
	endless  bool
	page     int
	before   int // ids of categories
	updates  int
	content  func(*file) string // where a file lies
	changed  string             // LastChange of its configuration

	mu      sync.Mutex
	cookies map[string]cookie // by EncryptedData
	serial  int
	known   map[string]bool // machines that registered
}

type cookie struct {
	client string
	until  time.Time
}

func (w *World) newService() *service {
	return &service{
		w: w, base: "/ClientWebService", page: pageSize, before: 35, updates: 3,
		changed: soapTime(w.start.Add(-40 * 24 * time.Hour)), cookies: map[string]cookie{}, known: map[string]bool{},
	}
}

func soapTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// Service identifiers of the public service, whose locator answers.
var locators = []string{
	"9482F4B4-E343-43B6-B170-9A65BC822C77", // Windows Update
	"7971F918-A847-4430-9279-4A52D1EFE18D", // Microsoft Update
	"855E8A7C-ECB4-4CA3-B045-1DFA50104289", // Store
	"8B24B027-1DEE-BABB-9A95-3517DFB9C552", // DCAT
	"3DA21691-E39D-4DA6-8A4B-B43877BCB1B7", // WSUS
}

// Host names of the public service. learn.microsoft.com: manage connection endpoints
// for Windows 11; Delivery Optimization endpoints.
var (
	contentHosts = []string{
		"download.windowsupdate.com", "*.download.windowsupdate.com", "*.windowsupdate.com", "*.dl.delivery.mp.microsoft.com",
		"dl.delivery.mp.microsoft.com", "emdl.ws.microsoft.com", "*.emdl.ws.microsoft.com", "definitionupdates.microsoft.com",
	}
	controlHosts = []string{
		"settings-win.data.microsoft.com", "tsfe.trafficshaping.dsp.mp.microsoft.com", "*.prod.do.dsp.mp.microsoft.com",
		"*.do.dsp.mp.microsoft.com", "login.live.com", "v10.events.data.microsoft.com", "displaycatalog.mp.microsoft.com",
		"licensing.mp.microsoft.com", "storeedgefd.dsx.mp.microsoft.com",
	}
)

// place gives a public service its addresses, one of each family.
func (w *World) place(last byte, names ...string) {
	v6 := netip.MustParseAddr("2001:db8:100::").As16()
	v6[15] = last
	for _, n := range names {
		w.addName(n, netip.AddrFrom4([4]byte{198, 51, 100, last}), netip.AddrFrom16(v6))
	}
}

// buildPublic puts Microsoft's public service into the world.
func (w *World) buildPublic() error {
	v6 := w.newService()
	v6.public, v6.base, v6.content = true, "/v6/ClientWebService", publicContent
	fe3 := w.newService()
	fe3.public, fe3.secured, fe3.content = true, true, publicContent
	cdn := &cdn{w: w}
	for _, s := range []struct {
		last   byte
		names  []string
		issuer string
		http   http.Handler
		plain  bool
	}{
		{10, []string{"slscr.update.microsoft.com", "sls.update.microsoft.com"}, authMicrosoft, http.HandlerFunc(w.serveLocator), false},
		{11, []string{"fe2cr.update.microsoft.com", "fe2.update.microsoft.com"}, authMicrosoft, v6, false},
		{12, []string{"fe3cr.delivery.mp.microsoft.com", "fe3.delivery.mp.microsoft.com"}, authMicrosoft, fe3, false},
		{13, []string{"statsfe2.update.microsoft.com", "*.update.microsoft.com"}, authMicrosoft, v6, true},
		{14, controlHosts, authMicrosoft, http.HandlerFunc(serveControl), true},
		{20, contentHosts, authPublic, cdn, true},
		{21, []string{"ctldl.windowsupdate.com", "*.ctldl.windowsupdate.com"}, authPublic, cdn, true},
	} {
		w.place(s.last, s.names...)
		if err := w.addSite(443, site{names: s.names, issuer: s.issuer, http: s.http}); err != nil {
			return err
		}
		if !s.plain {
			continue
		}
		if err := w.addSite(80, site{names: s.names, http: s.http}); err != nil {
			return err
		}
	}
	for _, name := range w.spec.Caches {
		if _, err := w.settle(name, nil); err != nil {
			return err
		}
		if err := w.addSite(80, site{names: []string{name}, http: cdn}); err != nil {
			return err
		}
	}
	return nil
}

// serveControl answers for the hosts of which only the way matters.
func serveControl(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Server", "Microsoft-HTTPAPI/2.0")
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	body := []byte(`{"settings":{}}`)
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = rw.Write(body)
	}
}

// serveLocator answers as SLS: a cabinet that says where the service's faces are, or
// 304 if the client has it already.
func (w *World) serveLocator(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Server", "Microsoft-IIS/10.0")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		iisPage(rw, http.StatusMethodNotAllowed)
		return
	}
	if len(parts) != 5 || !strings.EqualFold(parts[0], "SLS") || !slices.Contains(locators, strings.ToUpper(strings.Trim(parts[1], "{}"))) {
		iisPage(rw, http.StatusNotFound)
		return
	}
	doc := `<?xml version="1.0" encoding="utf-8"?><ServiceEnvironment ID="` + esc(strings.Trim(parts[1], "{}")) + `" Revision="1"><ServiceData>` +
		textTag("ClientServerURL", "https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx") +
		textTag("SecondaryClientServerURL", "https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx") +
		textTag("ReportingServerURL", "https://statsfe2.update.microsoft.com/ReportingWebService/ReportingWebService.asmx") +
		`</ServiceData></ServiceEnvironment>`
	body := cabinet("environment.xml", []byte(doc))
	sum := sha256.Sum256(body)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", "max-age=86400")
	h.Set("Last-Modified", w.start.Add(-72*time.Hour).UTC().Format(http.TimeFormat))
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		rw.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = rw.Write(body)
	}
}

// publicContent is where the public service says that a file lies.
func publicContent(f *file) string {
	return "http://tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/" + f.guid() + "?P1=1893456000&P2=404&P3=2&P4=lab"
}

// buildWSUS puts the company's servers into the world.
func (w *World) buildWSUS() error {
	for _, spec := range w.spec.WSUS {
		if _, err := w.settle(spec.Name, spec.Addresses); err != nil {
			return err
		}
		s := w.newService()
		s.register, s.endless = spec.Register, spec.Endless
		s.page, s.before = or(spec.Page, pageSize), or(spec.Categories, 35)
		s.updates = max(0, or(spec.Updates, 3))
		port := or(spec.Port, 8530)
		if port < 0 {
			port = 0
		}
		host := spec.Name
		plain := port // content stays on http: one below the port of https
		if plain == 0 {
			plain = spec.HTTPS - 1
			if spec.HTTPS == 443 {
				plain = 80
			}
		}
		s.content = func(f *file) string {
			return "http://" + host + ":" + strconv.Itoa(plain) + f.contentPath()
		}
		h := &wsus{service: s, content: &cdn{w: w, wsus: true}, spec: spec}
		names := []string{spec.Name}
		if port > 0 {
			if err := w.addSite(uint16(port), site{names: names, http: h}); err != nil {
				return err
			}
		}
		if spec.HTTPS > 0 {
			if err := w.addSite(uint16(spec.HTTPS), site{names: names, issuer: authCompany, http: h}); err != nil {
				return err
			}
		}
	}
	return nil
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// wsus is the web site of an update server. IIS does not care about letter case.
type wsus struct {
	*service
	content *cdn
	spec    WSUS
}

func (s *wsus) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Server", "Microsoft-IIS/10.0")
	h.Set("X-Powered-By", "ASP.NET")
	p := strings.ToLower(path.Clean(r.URL.Path))
	send := func(kind string, body []byte) {
		h.Set("Content-Type", kind)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Accept-Ranges", "bytes")
		if r.Method != http.MethodHead {
			_, _ = rw.Write(body)
		}
	}
	switch {
	case p == "/clientwebservice/wusserverversion.xml":
		send("text/xml", []byte(`<?xml version="1.0" encoding="utf-8"?>`+"\r\n"+`<ServerVersion><MajorVersion>10</MajorVersion><MinorVersion>0</MinorVersion><BuildNumber>26100</BuildNumber></ServerVersion>`))
	case p == "/selfupdate/wuident.cab" && !s.spec.NoSelfUpdate:
		send("application/octet-stream", cabinet("wuident.txt", []byte("[WUIdent]\r\nVersion=7.9\r\n")))
	case strings.HasPrefix(p, "/content/"):
		s.content.ServeHTTP(rw, r)
	default:
		s.service.ServeHTTP(rw, r)
	}
}

// ServeHTTP answers the web services.
func (s *service) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Server", "Microsoft-IIS/10.0")
	p := strings.ToLower(path.Clean(r.URL.Path))
	base := strings.ToLower(s.base)
	var ns string
	switch p {
	case base + "/client.asmx", base + "/client.asmx/secured":
		ns = nsClient
	case strings.TrimSuffix(base, "/clientwebservice") + "/simpleauthwebservice/simpleauth.asmx":
		ns = nsAuth
	case strings.TrimSuffix(base, "/clientwebservice") + "/reportingwebservice/reportingwebservice.asmx", "/reportingwebservice/reportingwebservice.asmx":
		ns = nsReporting
	default:
		iisPage(rw, http.StatusNotFound)
		return
	}
	h.Set("X-AspNet-Version", "4.0.30319")
	h.Set("X-Powered-By", "ASP.NET")
	h.Set("Cache-Control", "private")
	switch r.Method {
	case http.MethodPost:
		s.call(rw, r, ns)
	case http.MethodGet, http.MethodHead: // the help page of ASP.NET
		body := []byte("<html><head><title>" + path.Base(p) + " Web Service</title></head><body><p>The following operations are supported.</p></body></html>")
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = rw.Write(body)
		}
	default:
		iisPage(rw, http.StatusMethodNotAllowed)
	}
}

// call answers one SOAP request.
func (s *service) call(rw http.ResponseWriter, r *http.Request, ns string) {
	c, fault := readCall(r, s.secured)
	if fault != nil {
		s.w.fault(rw, r, fault)
		return
	}
	op := c.body.name.Local
	seen := seenOf(rw)
	seen.Action = op
	if c.body.name.Space != ns || c.action != ns+"/"+op {
		s.w.fault(rw, r, &soapFault{code: "Client", message: "Server did not recognize the value of HTTP Header SOAPAction: " + c.action + "."})
		return
	}
	if s.secured {
		if fault := s.checkSecurity(c); fault != nil {
			s.w.fault(rw, r, fault)
			return
		}
	}
	v := visitOf(r)
	if s.w.trouble(v, rw, r, op) {
		return
	}
	do := s.operation(ns, op)
	if do == nil {
		s.w.fault(rw, r, &soapFault{code: "Client", message: "Server did not recognize the value of HTTP Header SOAPAction: " + c.action + "."})
		return
	}
	body, fault := do(c.body, seen)
	if fault != nil {
		fault.method = op
		s.w.fault(rw, r, fault)
		return
	}
	header := ""
	if s.secured {
		now := s.w.timeAt(hostOnly(r.Host))
		header = textTag(`a:Action s:mustUnderstand="1"`, ns+"/"+op+"Response") + textTag("a:RelatesTo", strings.TrimSpace(c.header.kid("MessageID").text)) +
			tag(`o:Security s:mustUnderstand="1" xmlns:o="`+nsSecext+`"`, tag("u:Timestamp", textTag("u:Created", soapTime(now)), textTag("u:Expires", soapTime(now.Add(5*time.Minute)))))
	}
	out := tag(op+`Response xmlns="`+ns+`"`, body)
	s.w.sendXML(rw, r, http.StatusOK, envelope(ns, c.v12, header, out), c.v12)
}

// fault answers with a fault, or with IIS's page where it never came to SOAP.
func (w *World) fault(rw http.ResponseWriter, r *http.Request, f *soapFault) {
	if f.status != 0 {
		iisPage(rw, f.status)
		return
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	v12 := strings.EqualFold(kind, "application/soap+xml")
	ns := nsClient
	switch p := strings.ToLower(r.URL.Path); {
	case strings.Contains(p, "/simpleauth"):
		ns = nsAuth
	case strings.Contains(p, "/reporting"):
		ns = nsReporting
	}
	id := guidOf("fault", f.error, f.message)
	if f.error != "" {
		seenOf(rw).Fault = f.error
	}
	w.sendXML(rw, r, http.StatusInternalServerError, envelope(ns, v12, "", f.body(ns, v12, id)), v12)
}

// sendXML sends an envelope, in Xpress blocks where the client takes them.
func (w *World) sendXML(rw http.ResponseWriter, r *http.Request, status int, body []byte, v12 bool) {
	h := rw.Header()
	h.Set("Content-Type", "text/xml; charset=utf-8")
	if v12 {
		h.Set("Content-Type", "application/soap+xml; charset=utf-8")
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "xpress") {
		h.Set("Content-Encoding", "xpress")
		body = xpress(body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rw.WriteHeader(status)
	_, _ = rw.Write(body)
}

// checkSecurity judges the header that the public front end wants: who speaks may stay
// unsaid, but not when.
func (s *service) checkSecurity(c *call) *soapFault {
	stamp := c.header.kid("Security", "Timestamp")
	created, err1 := time.Parse(time.RFC3339Nano, strings.TrimSpace(stamp.kid("Created").text))
	expires, err2 := time.Parse(time.RFC3339Nano, strings.TrimSpace(stamp.kid("Expires").text))
	if !c.header.kid("Security", "WindowsUpdateTicketsToken").there() || err1 != nil || err2 != nil {
		return &soapFault{code: "Client", sub: "o:InvalidSecurity", message: "An error occurred when verifying security for the message."}
	}
	const skew = 5 * time.Minute // of WS-Security as Windows Communication Foundation has it
	now := s.w.Now()
	if created.After(now.Add(skew)) || expires.Before(now.Add(-skew)) {
		return &soapFault{code: "Client", sub: "o:MessageExpired", message: "The security timestamp is invalid because its creation or expiration time is too far from the current time."}
	}
	return nil
}

type operation func(body *element, seen *Seen) (string, *soapFault)

func (s *service) operation(ns, name string) operation {
	switch ns + " " + name {
	case nsClient + " GetConfig":
		return s.getConfig
	case nsClient + " GetCookie":
		return s.getCookie
	case nsClient + " RegisterComputer":
		return s.registerComputer
	case nsClient + " StartCategoryScan":
		return s.startCategoryScan
	case nsClient + " SyncUpdates":
		return s.syncUpdates
	case nsClient + " RefreshCache":
		return s.refreshCache
	case nsClient + " GetExtendedUpdateInfo", nsClient + " GetExtendedUpdateInfo2":
		return s.getExtended
	case nsClient + " GetFileLocations":
		return s.getFileLocations
	case nsAuth + " GetAuthorizationCookie":
		if !s.public {
			return s.getAuthorization
		}
	case nsReporting + " ReportEventBatch":
		return s.report
	}
	return nil
}

func (s *service) getConfig(_ *element, _ *Seen) (string, *soapFault) {
	plugin := func(id, url string) string {
		return tag("AuthPlugInInfo", textTag("PlugInID", id), textTag("ServiceUrl", url), "<Parameter />")
	}
	property := func(name, value string) string {
		return tag("ConfigurationProperty", textTag("Name", name), textTag("Value", value))
	}
	auth := plugin("SimpleTargeting", "SimpleAuthWebService/SimpleAuth.asmx")
	version := "3.2"
	if s.public {
		auth, version = plugin("PidValidator", "")+plugin("Anonymous", ""), "4.2"
	}
	return tag("GetConfigResult",
		textTag("LastChange", s.changed),
		textTag("IsRegistrationRequired", strconv.FormatBool(s.register)),
		tag("AuthInfo", auth), `<AllowedEventIds xsi:nil="true" />`,
		tag("Properties",
			property("MaxExtendedUpdatesPerRequest", strconv.Itoa(mostExtended)), property("PackageServerShare", ""),
			property("ProtocolVersion", version), property("IsInventoryRequired", "0"), property("ClientReportingLevel", "2"))), nil
}

// getAuthorization is SimpleTargeting: it believes who the client says it is.
func (s *service) getAuthorization(b *element, seen *Seen) (string, *soapFault) {
	id, name := strings.TrimSpace(b.kid("clientId").text), strings.TrimSpace(b.kid("dnsName").text)
	seen.Client = id
	if id == "" || name == "" {
		return "", &soapFault{code: "Server", error: "InternalServerError"}
	}
	data := make([]byte, 0, 372) // the real one has 496 characters
	for i := 0; len(data) < 372; i++ {
		sum := sha256.Sum256([]byte(fmt.Sprint(id, " ", name, " ", i)))
		data = append(data, sum[:]...)
	}
	copy(data, id)
	return tag("GetAuthorizationCookieResult", textTag("PlugInId", "SimpleTargeting"), textTag("CookieData", base64.StdEncoding.EncodeToString(data[:372]))), nil
}

func (s *service) getCookie(b *element, _ *Seen) (string, *soapFault) {
	if !s.public {
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b.kid("authCookies", "AuthorizationCookie", "CookieData").text))
		plugin := strings.TrimSpace(b.kid("authCookies", "AuthorizationCookie", "PlugInId").text)
		if err != nil || len(data) < 36 || plugin != "SimpleTargeting" {
			return "", &soapFault{code: "Client", error: "InvalidAuthorizationCookie"}
		}
	}
	if last := strings.TrimSpace(b.kid("lastChange").text); !s.secured && last != s.changed {
		return "", &soapFault{code: "Client", error: "ConfigChanged"}
	}
	client := ""
	if data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b.kid("authCookies", "AuthorizationCookie", "CookieData").text)); err == nil && len(data) >= 36 {
		client = string(data[:36])
	}
	return s.newCookie("GetCookieResult", client), nil
}

// newCookie writes a cookie that is good for an hour.
func (s *service) newCookie(name, client string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	sum := sha256.Sum256([]byte(fmt.Sprint(s.base, client, s.serial)))
	data := base64.StdEncoding.EncodeToString(bytes.Repeat(sum[:], 4))
	c := cookie{client: client, until: s.w.Now().Add(cookieLife)}
	s.cookies[data] = c
	return tag(name, textTag("Expiration", soapTime(c.until)), textTag("EncryptedData", data))
}

// holder finds whose cookie came with a request.
func (s *service) holder(b *element, seen *Seen) (cookie, *soapFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.cookies[strings.TrimSpace(b.kid("cookie", "EncryptedData").text)]
	switch {
	case !ok:
		return c, &soapFault{code: "Client", error: "InvalidCookie"}
	case s.w.Now().After(c.until):
		return c, &soapFault{code: "Client", error: "CookieExpired"}
	}
	seen.Client = c.client
	return c, nil
}

func (s *service) registerComputer(b *element, seen *Seen) (string, *soapFault) {
	c, fault := s.holder(b, seen)
	if fault != nil {
		return "", fault
	}
	if !s.register {
		return "", &soapFault{code: "Client", error: "RegistrationNotRequired"}
	}
	if !b.kid("computerInfo", "OSMajorVersion").there() {
		return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.computerInfo"}
	}
	seen.Wrote = true
	s.mu.Lock()
	s.known[c.client] = true
	s.mu.Unlock()
	return "", nil
}

func (s *service) startCategoryScan(b *element, _ *Seen) (string, *soapFault) {
	var ids string
	for _, k := range b.kid("requestedCategories").kids {
		ids += textTag("guid", strings.TrimSpace(k.kid("CategoryId").text))
	}
	return tag("preferredCategoryIds", ids) + "<requestedCategoryIdsInError />", nil
}

func (s *service) refreshCache(b *element, seen *Seen) (string, *soapFault) {
	if _, fault := s.holder(b, seen); fault != nil {
		return "", fault
	}
	return "<RefreshCacheResult />", nil
}

// firstID is the revision number of the first category; updates follow the categories.
const firstID = 1001

// syncUpdates gives what the client has not got, a page at a time: first what others
// depend on, then, once the client has all of that, the updates.
func (s *service) syncUpdates(b *element, seen *Seen) (string, *soapFault) {
	c, fault := s.holder(b, seen)
	if fault != nil {
		return "", fault
	}
	s.mu.Lock()
	registered := s.known[c.client]
	s.mu.Unlock()
	if s.register && !registered {
		return "", &soapFault{code: "Client", error: "RegistrationRequired"}
	}
	p := b.kid("parameters")
	software := strings.TrimSpace(p.kid("SkipSoftwareSync").text) != "true"
	if len(p.kid("SystemSpec").kids) > 0 && software {
		return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.SystemSpec"}
	}
	installed := p.kid("InstalledNonLeafUpdateIDs").all("int")
	if len(installed) > mostIDs {
		return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.InstalledNonLeafUpdateIDs"}
	}
	has := map[string]bool{}
	for _, id := range append(installed, p.kid("OtherCachedUpdateIDs").all("int")...) {
		has[id] = true
	}
	var missing []int
	if software {
		for i := range s.before {
			if !has[strconv.Itoa(firstID+i)] {
				missing = append(missing, i)
			}
		}
		if len(missing) == 0 {
			for i := s.before; i < s.before+s.updates; i++ {
				if !has[strconv.Itoa(firstID+i)] {
					missing = append(missing, i)
				}
			}
		}
		if s.endless {
			for i := len(has); len(missing) <= s.page; i++ {
				if !has[strconv.Itoa(firstID+i)] && !slices.Contains(missing, i) {
					missing = append(missing, i)
				}
			}
		}
	}
	page := missing[:min(len(missing), s.page)]
	var news strings.Builder
	for _, i := range page {
		news.WriteString(s.updateInfo(i))
	}
	list := "<NewUpdates />"
	if news.Len() > 0 {
		list = tag("NewUpdates", news.String())
	}
	return tag("SyncUpdatesResult", list,
		textTag("Truncated", strconv.FormatBool(len(page) < len(missing))),
		s.newCookie("NewCookie", c.client),
		textTag("DriverSyncNotNeeded", "true")), nil
}

// updateInfo writes what SyncUpdates says about one id.
func (s *service) updateInfo(i int) string {
	leaf := !s.endless && i >= s.before
	action, fragment := "Evaluate", ""
	id := `<UpdateIdentity UpdateID="` + s.updateID(i) + `" RevisionNumber="200"/>`
	if leaf {
		action = "Install"
		fragment = id + `<Properties UpdateType="Software"/><Relationships><Prerequisites><UpdateIdentity UpdateID="` + s.updateID(0) + `"/></Prerequisites></Relationships><ApplicabilityRules><IsInstalled><False/></IsInstalled><IsInstallable><True/></IsInstallable></ApplicabilityRules>`
	} else {
		kind, installed := "Category", "True"
		if i >= s.before { // what an overgrown server has without end: superseded updates that nobody declined
			kind, installed = "Software", "False"
		}
		fragment = id + `<Properties UpdateType="` + kind + `"/><ApplicabilityRules><IsInstalled><` + installed + `/></IsInstalled></ApplicabilityRules>`
	}
	return tag("UpdateInfo",
		textTag("ID", strconv.Itoa(firstID+i)),
		tag("Deployment", textTag("ID", strconv.Itoa(20000+i)), textTag("Action", action), textTag("IsAssigned", strconv.FormatBool(leaf)),
			textTag("LastChangeTime", s.w.start.Add(-48*time.Hour).UTC().Format("2006-01-02")), textTag("AutoSelect", "0"), textTag("AutoDownload", "0"), textTag("SupersedenceBehavior", "0")),
		textTag("IsLeaf", strconv.FormatBool(leaf)),
		textTag("Xml", fragment))
}

func (s *service) updateID(i int) string { return guidOf("update", s.base, strconv.Itoa(i)) }

// fileOf is the payload of an update.
func (s *service) fileOf(i int) *file { return s.w.store.payload(i - s.before) }

func (s *service) getExtended(b *element, seen *Seen) (string, *soapFault) {
	if _, fault := s.holder(b, seen); fault != nil {
		return "", fault
	}
	ids := b.kid("revisionIDs").all("int")
	if len(ids) > mostExtended {
		return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.revisionIDs"}
	}
	kinds := b.kid("infoTypes").all("XmlUpdateFragmentType")
	var updates, locations strings.Builder
	for _, text := range ids {
		n, err := strconv.Atoi(text)
		i := n - firstID
		if err != nil || i < 0 || i >= s.before+s.updates {
			return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.revisionIDs"}
		}
		for _, kind := range kinds {
			fragment := ""
			switch {
			case kind == "LocalizedProperties":
				fragment = tag("LocalizedProperties", textTag("Language", "en"), textTag("Title", fmt.Sprintf("Example update %d", n)))
			case kind == "Extended" && i >= s.before:
				f := s.fileOf(i)
				fragment = fmt.Sprintf(`<ExtendedProperties DefaultPropertiesLanguage="en" Handler="http://schemas.microsoft.com/msus/2002/12/UpdateHandlers/Cbs" MaxDownloadSize="%d" MinDownloadSize="0"/><Files><File Digest="%s" DigestAlgorithm="SHA1" FileName="%s" Size="%d" Modified="2026-01-13T00:00:00Z"><AdditionalDigest Algorithm="SHA256">%s</AdditionalDigest></File></Files>`,
					f.size, f.sha1(), f.name, f.size, f.sha256())
				locations.WriteString(tag("FileLocation", textTag("FileDigest", f.sha1()), textTag("Url", s.content(f))))
			default:
				continue
			}
			updates.WriteString(tag("Update", textTag("ID", text), textTag("Xml", fragment)))
		}
	}
	return tag("GetExtendedUpdateInfoResult", tag("Updates", updates.String()), tag("FileLocations", locations.String())), nil
}

func (s *service) getFileLocations(b *element, seen *Seen) (string, *soapFault) {
	c, fault := s.holder(b, seen)
	if fault != nil {
		return "", fault
	}
	var out strings.Builder
	for _, digest := range b.kid("fileDigests").all("base64Binary") {
		f := s.w.store.byDigest(digest)
		if f == nil {
			return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.fileDigests"}
		}
		out.WriteString(tag("FileLocation", textTag("FileDigest", digest), textTag("Url", s.content(f))))
	}
	return tag("GetFileLocationsResult", tag("FileLocations", out.String()), s.newCookie("NewCookie", c.client)), nil
}

func (s *service) report(b *element, seen *Seen) (string, *soapFault) {
	if !s.public {
		if _, fault := s.holder(b, seen); fault != nil {
			return "", fault
		}
	}
	if len(b.kid("eventBatch").kids) == 0 {
		return "", &soapFault{code: "Client", error: "InvalidParameters", message: "parameters.eventBatch"}
	}
	seen.Wrote = true
	return textTag("ReportEventBatchResult", "true"), nil
}

// guidOf makes a GUID that is always the same for the same words.
func guidOf(words ...string) string {
	b := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
