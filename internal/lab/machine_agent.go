package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// callerID is who asks the agent on a machine that nobody sits at.
const callerID = "MoUpdateOrchestrator"

// Places of the update agent.
const (
	softwareDistribution = `C:\Windows\SoftwareDistribution`
	dataStore            = softwareDistribution + `\DataStore\DataStore.edb`
	downloads            = softwareDistribution + `\Download`
	catalogues           = `C:\Windows\System32\catroot2\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}\catdb`
	setupConfig          = `C:\Users\Default\AppData\Local\Microsoft\Windows\WSUS\SetupConfig.ini`
	transferQueue        = `C:\ProgramData\Microsoft\Network\Downloader\qmgr.db`

	updatePolicy = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	agentKey     = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`
	cbsKey       = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
)

// Codes that have nothing to do with the network.
const (
	eDatabasePage  codes.HRESULT = 0xC80003FA // JET_errReadVerifyFailure, -1018
	ePolicyOff     codes.HRESULT = 0x8024002E
	eNoSignature   codes.HRESULT = 0x800B0100
	eRestartFirst  codes.HRESULT = 0x80070BC9
	eDiskFull      codes.HRESULT = 0x80070070
	eNoName        codes.HRESULT = 0x80070050 // of a temporary file: all 65,535 are taken
	eStoreCorrupt  codes.HRESULT = 0x80073712
	ePathMissing   codes.HRESULT = 0x80070003
	eHang          codes.HRESULT = 0x800F0821
	eDeltas        codes.HRESULT = 0x800F0988
	eLogFull       codes.HRESULT = 0x800719E4
	eQueueDamaged  codes.HRESULT = 0x80246008
	eNothingToDo   codes.HRESULT = 0x80240024
	eUntrustedRoot codes.HRESULT = 0x800B0109
	eAlreadyThere  codes.HRESULT = 0x00240006 // WU_S_ALREADY_INSTALLED
	eSetupConfig   codes.HRESULT = 0x80070490
	eDownloadMode  codes.HRESULT = 0x80D03002
	eCannotConnDO  codes.HRESULT = 0x80D02002
	publicUpdateID               = "9482F4B4-E343-43B6-B170-9A65BC822C77"
	companyID                    = "3DA21691-E39D-4DA6-8A4B-B43877BCB1B7"
)

// offer is an update as a scan found it.
type offer struct {
	ID     string `json:"id"`
	KB     string `json:"kb,omitempty"`
	Title  string `json:"title"`
	URL    string `json:"url"`
	Digest string `json:"digest"`
	Number int    `json:"number"`
}

// started is what Windows does when a service starts: it makes anew what is missing.
// The caller holds the state.
func (m *Machine) started(name string) error {
	switch name {
	case "wuauserv":
		if _, ok := m.now.Registry.value(agentKey, "SusClientId"); !ok {
			m.now.Registry.set(agentKey, "SusClientId", sz(winlog.RegSZ, guidOf("client", m.world.Now().String())))
		}
		return errors.Join(m.fresh(dataStore), m.folder(downloads))
	case "cryptsvc":
		return m.fresh(catalogues)
	case "bits":
		return m.fresh(transferQueue)
	}
	return nil
}

// stores makes what a machine that is in use has.
func (m *Machine) stores() error {
	return errors.Join(m.started("wuauserv"), m.started("cryptsvc"), m.started("bits"))
}

// fresh makes an empty database where there is none.
func (m *Machine) fresh(p string) error {
	if m.exists(p) {
		return nil
	}
	if err := m.folder(p[:strings.LastIndexByte(p, '\\')]); err != nil {
		return err
	}
	const page = 4096
	b := make([]byte, 2*page)
	copy(b[4:], databaseMark) // header and its shadow
	copy(b[page+4:], databaseMark)
	return os.WriteFile(m.place(p), b, 0o600)
}

// databaseMark stands in the header of every database of the Extensible Storage
// Engine, behind its checksum. github.com/microsoft/Extensible-Storage-Engine: ulDAEMagic.
const databaseMark = "\xef\xcd\xab\x89"

func (m *Machine) folder(p string) error { return os.MkdirAll(m.place(p), 0o700) }

// sound reports whether a database can be opened.
func (m *Machine) sound(p string) bool {
	head, err := headOf(m.place(p))
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(head) >= 8 && string(head[4:8]) == databaseMark
}

// holders are the services that keep something open while they run.
var holders = map[string][]string{
	softwareDistribution:           {"wuauserv"},
	`C:\Windows\System32\catroot2`: {"cryptsvc"}, `C:\ProgramData\Microsoft\Network\Downloader`: {"bits"},
}

// inUse refuses to rename what a service has open, as Windows does. A folder is in
// use if a file in it is.
func (m *Machine) inUse(p string) error {
	low := strings.ToLower(p)
	for place, names := range holders {
		place = strings.ToLower(place)
		if low != place && !strings.HasPrefix(low, place+`\`) && !strings.HasPrefix(place, low+`\`) {
			continue
		}
		for _, n := range names {
			if read(m, func(s *state) bool { return s.service(n) != nil && s.service(n).State == 4 }) {
				return fmt.Errorf("%w: the service %s has it open", eSharing, n)
			}
		}
	}
	return nil
}

// Try implements [host.Agent]. How it ends follows from the state of the machine.
func (m *Machine) Try(ctx context.Context, a host.Attempt) (host.Outcome, error) {
	m.act.Lock()
	defer m.act.Unlock()
	if err := ctx.Err(); err != nil {
		return host.Outcome{}, err
	}
	var out host.Outcome
	var err error
	switch a.Stage {
	case "scan":
		out, err = m.scan(ctx)
	case "download", "verify":
		out, err = m.download(ctx, a)
	case "install", "restart":
		out, err = m.install(ctx, a)
	default:
		return out, fmt.Errorf("try %q: no such stage", a.Stage)
	}
	return out, cmp.Or(err, ctx.Err(), m.flush(), m.save())
}

// need starts a service that a stage needs.
func (m *Machine) need(name string) codes.HRESULT {
	m.mu.Lock()
	err := m.begin(&m.now, name, nil)
	m.mu.Unlock()
	var h codes.HRESULT
	if err == nil || !errors.As(err, &h) {
		return 0
	}
	reasons := map[codes.HRESULT]string{
		eServiceDisabled: "%%1058", eServiceTimeout: "%%1053", eAccessDenied: "%%5", eModuleMissing: "%%126", eServiceMissing: "%%1060",
	}
	var needed needError
	if e := (*needError)(nil); errors.As(err, &e) {
		needed = *e
	}
	id, text := 7000, fmt.Sprintf("The %s service failed to start due to the following error: \r\n%s", name, reasons[h])
	switch h {
	case eServiceDisabled:
		_ = m.event(systemLog, "Microsoft-Windows-DistributedCOM", 10005, "Error", fmt.Sprintf("DCOM got error \"1058\" attempting to start the service %s with arguments \"Unavailable\" in order to run the server:\r\n{E60687F7-01A1-40AA-86AC-DB1CBF673334}", name))
	case eAccessDenied:
		text = fmt.Sprintf("The %s service failed to start due to the following error: \r\nAccess is denied.", name)
	case eServiceTimeout:
		id, text = 7009, fmt.Sprintf("A timeout was reached (30000 milliseconds) while waiting for the %s service to connect.", name)
	case eNeedMissing:
		id, text = 7003, fmt.Sprintf("The %s service depends on the following service: %s. This service might not be installed.", name, needed.need)
	case eNeedFails:
		id, text = 7001, fmt.Sprintf("The %s service depends on the %s service which failed to start because of the following error: \r\n%s", name, needed.need, cmp.Or(reasons[codeOf(needed.err)], "%%1068"))
	case eModuleMissing:
		id, text = 7023, fmt.Sprintf("The %s service terminated with the following error: \r\nThe specified module could not be found.", name)
	}
	_ = m.event(systemLog, "Service Control Manager", id, "Error", text)
	return h
}

// codeOf is the code of an error, 0 if it has none.
func codeOf(err error) codes.HRESULT {
	var h codes.HRESULT
	errors.As(err, &h)
	return h
}

// scan searches for updates.
func (m *Machine) scan(ctx context.Context) (host.Outcome, error) {
	found, h := m.search(ctx)
	m.trace("ComApi", "* END *   Search ClientId = %s, Updates found = %d, ServiceID = %s", callerID, len(found), publicUpdateID)
	if h.Failed() {
		m.trace("ComApi", "*FAILED* [%08X] Search ClientId = %s", uint32(h), callerID)
		return host.Outcome{Result: h, Stage: "scan"}, m.report("148", "AGENT_DETECTION_FAILED", offer{}, h, "Software Synchronization", fmt.Sprintf("Windows Update Client failed to detect with error 0x%08x.", uint32(h)))
	}
	m.mu.Lock()
	m.now.Offers = found
	m.mu.Unlock()
	out := host.Outcome{}
	for _, o := range found {
		out.Updates = append(out.Updates, host.Offer{ID: o.ID, KB: o.KB, Title: o.Title})
	}
	return out, m.report("147", "AGENT_DETECTION_FINISHED", offer{}, 0, "Software Synchronization", fmt.Sprintf("Windows Update Client successfully detected %d updates.", len(found)))
}

// search is what the agent does in a scan.
func (m *Machine) search(ctx context.Context) ([]offer, codes.HRESULT) {
	m.trace("ComApi", "* START *   Search ClientId = %s", callerID)
	for _, name := range []string{"wuauserv", "cryptsvc"} {
		if h := m.need(name); h.Failed() {
			m.trace("ComApi", "*FAILED* [%08X] Cannot start the service %s", uint32(h), name)
			m.trace("ComApi", "*FAILED* [%08X] ISusInternal::GetUpdateSearcher", uint32(h))
			return nil, h
		}
	}
	m.trace("Agent", "Initializing Windows Update Agent")
	service, server, wsus := publicUpdateID, "https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx", false
	m.mu.RLock()
	r := m.now.Registry
	off := r.on(updatePolicy, "DisableWindowsUpdateAccess") || r.on(`HKCU\Software\Microsoft\Windows\CurrentVersion\Policies\WindowsUpdate`, "DisableWindowsUpdateAccess")
	if name := r.text(updatePolicy, "WUServer"); name != "" && r.on(updatePolicy+`\AU`, "UseWUServer") {
		service, server, wsus = companyID, strings.TrimSuffix(name, "/")+"/ClientWebService/client.asmx", true
	}
	clientID := r.text(agentKey, "SusClientId")
	m.mu.RUnlock()
	m.trace("Agent", "* START * Finding updates CallerId = %s  Id = 1 (cV = lab.1.0.0.1)", callerID)
	m.trace("Agent", "Online = Yes; Interactive = No; AllowCachedResults = No; Ignore download priority = No")
	m.trace("Agent", "ServiceID = {%s}", service)
	found, h := func() ([]offer, codes.HRESULT) {
		if !m.sound(dataStore) {
			m.trace("DataStore", "*FAILED* [C80003FA] JetAttachDatabase")
			m.trace("DataStore", "*FAILED* [C80003FA] Failed to open datastore")
			_ = m.event(appLog, "ESENT", 474, "Error", `wuaueng.dll (4316,D,0) SUS20ClientDataStore: The database page read from the file "C:\WINDOWS\SoftwareDistribution\DataStore\DataStore.edb" at offset 4096 for 4096 bytes failed verification due to a page checksum mismatch. The read operation will fail with error -1018 (0xfffffc06).`)
			return nil, eDatabasePage
		}
		if off {
			m.trace("Agent", "Windows Update access disabled: Yes")
			return nil, ePolicyOff
		}
		if h := m.passing("scan"); h.Failed() {
			switch h {
			case eTooManyTrips:
				m.trace("ProtocolTalker", "*FAILED* [80244010] Exceeded max server round trips")
			default:
				m.trace("ProtocolTalker", "*FAILED* [%08X] SyncUpdates_WithRecovery", uint32(h))
			}
			return nil, h
		}
		if h := m.interferes("scan"); h.Failed() {
			m.trace("ProtocolTalker", "*FAILED* [%08X] The connection was closed by somebody else", uint32(h))
			return nil, h
		}
		via := m.proxy(ctx)
		if !wsus {
			m.locate(ctx, via)
		}
		return m.sync(ctx, via, server, service, clientID, wsus)
	}()
	m.trace("Agent", "* END * Finding updates CallerId = %s, Id = 1, Exit code = 0x%08X (cV = lab.1.0.0.1)", callerID, uint32(h))
	return found, h
}

// locate asks where the service is. What it gave the last time serves as well, so
// that its failure does not end a scan.
func (m *Machine) locate(ctx context.Context, via proxySetting) {
	const address = "https://slscr.update.microsoft.com/SLS/{" + publicUpdateID + "}/x64/10.0.22631.3007/0"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return
	}
	if r := m.send(req, &via, locator, "Microsoft"); r.result.Failed() {
		m.trace("SLS", "*FAILED* [%08X] Send request to %s", uint32(r.result), address)
		m.trace("SLS", "Using the cached response of the service locator")
	}
}

// trips is how often the agent asks in one scan at most. learn.microsoft.com: WUA
// Networking Error Codes, WU_E_PT_EXCEEDED_MAX_SERVER_TRIPS.
const trips = 40

// sync is the client's side of [MS-WUSP] as far as a scan needs it.
func (m *Machine) sync(ctx context.Context, via proxySetting, server, service, clientID string, wsus bool) ([]offer, codes.HRESULT) {
	m.trace("ProtocolTalker", "ServiceId = {%s}, Server URL = %s", service, server)
	call := func(op, body string) (*element, codes.HRESULT) { return m.soap(ctx, via, server, nsClient, op, body) }
	config, h := call("GetConfig", textTag("protocolVersion", "2.71"))
	if h.Failed() {
		return nil, h
	}
	pass := ""
	if wsus {
		auth, h := m.soap(ctx, via, strings.Replace(server, "ClientWebService/client.asmx", "SimpleAuthWebService/SimpleAuth.asmx", 1), nsAuth, "GetAuthorizationCookie",
			textTag("clientId", clientID)+textTag("targetGroupName", "")+textTag("dnsName", "lab.fabrikam.example"))
		if h.Failed() {
			return nil, h
		}
		pass = tag("AuthorizationCookie", textTag("PlugInId", "SimpleTargeting"), textTag("CookieData", auth.kid("CookieData").text))
	}
	cookie, h := call("GetCookie", tag("authCookies", pass)+textTag("lastChange", strings.TrimSpace(config.kid("LastChange").text))+textTag("protocolVersion", "2.71"))
	if h.Failed() {
		return nil, h
	}
	ticket := func() string { return textTag("EncryptedData", strings.TrimSpace(cookie.kid("EncryptedData").text)) }
	if strings.TrimSpace(config.kid("IsRegistrationRequired").text) == "true" {
		if _, h := call("RegisterComputer", tag("cookie", ticket())+tag("computerInfo", textTag("OSMajorVersion", "10"))); h.Failed() {
			return nil, h
		}
	}
	var ids, others, leaves []string
	identity := map[string]string{}
	for trip := 0; ; trip++ {
		if trip == trips {
			m.trace("ProtocolTalker", "*FAILED* [80244010] Exceeded max server round trips")
			return nil, eTooManyTrips
		}
		ints := func(list []string) (out string) {
			for _, id := range list {
				out += textTag("int", id)
			}
			return out
		}
		news, h := call("SyncUpdates", tag("cookie", ticket())+tag("parameters",
			textTag("ExpressQuery", "false"), tag("InstalledNonLeafUpdateIDs", ints(ids)), tag("OtherCachedUpdateIDs", ints(append(others, leaves...))), textTag("SkipSoftwareSync", "false")))
		if h.Failed() {
			return nil, h
		}
		if c := news.kid("NewCookie"); c.there() {
			cookie = c
		}
		updates := news.kid("NewUpdates").kids
		for _, u := range updates {
			id := strings.TrimSpace(u.kid("ID").text)
			switch fragment := u.kid("Xml").text; {
			case strings.TrimSpace(u.kid("IsLeaf").text) == "true":
				leaves = append(leaves, id)
				if x := identityElement.FindStringSubmatch(fragment); x != nil {
					identity[id] = x[1]
				}
			case strings.Contains(fragment, "<IsInstalled><True/>"):
				ids = append(ids, id)
			default:
				others = append(others, id)
			}
		}
		if len(updates) == 0 {
			break
		}
	}
	if len(leaves) == 0 {
		return nil, 0
	}
	return m.details(ctx, via, server, ticket(), leaves, identity)
}

var (
	fileElement     = regexp.MustCompile(`<File Digest="([^"]+)"[^>]* FileName="([^"]+)"`)
	identityElement = regexp.MustCompile(`<UpdateIdentity UpdateID="([^"]+)"`)
	kbInName        = regexp.MustCompile(`(?i)kb(\d{6,8})`)
	titleElement    = regexp.MustCompile(`<Title>([^<]*)</Title>`)
)

// details asks what the updates are called, and where their files lie.
func (m *Machine) details(ctx context.Context, via proxySetting, server, ticket string, leaves []string, identity map[string]string) ([]offer, codes.HRESULT) {
	var numbers string
	for _, id := range leaves {
		numbers += textTag("int", id)
	}
	info, h := m.soap(ctx, via, server, nsClient, "GetExtendedUpdateInfo", tag("cookie", ticket)+tag("revisionIDs", numbers)+
		tag("infoTypes", textTag("XmlUpdateFragmentType", "Extended"), textTag("XmlUpdateFragmentType", "LocalizedProperties")))
	if h.Failed() {
		return nil, h
	}
	where := map[string]string{}
	for _, l := range info.kid("FileLocations").kids {
		where[strings.TrimSpace(l.kid("FileDigest").text)] = strings.TrimSpace(l.kid("Url").text)
	}
	list := map[string]*offer{}
	for _, u := range info.kid("Updates").kids {
		id := strings.TrimSpace(u.kid("ID").text)
		o := list[id]
		if o == nil {
			o = &offer{ID: identity[id]}
			o.Number, _ = strconv.Atoi(id)
			list[id] = o
		}
		fragment := u.kid("Xml").text
		if f := fileElement.FindStringSubmatch(fragment); f != nil {
			o.Digest, o.URL = f[1], where[f[1]]
			if kb := kbInName.FindStringSubmatch(f[2]); kb != nil {
				o.KB = "KB" + kb[1]
			}
		}
		if t := titleElement.FindStringSubmatch(fragment); t != nil {
			o.Title = t[1]
		}
	}
	var out []offer
	for _, id := range leaves {
		o := list[id]
		if o == nil || o.Digest == "" {
			continue
		}
		if name, ok := m.setting("state/name/" + o.KB); ok {
			o.KB = name
		}
		o.Title = strings.TrimSpace(o.Title + " (" + o.KB + ")")
		hidden, _ := m.setting(host.Setting("hidden-update", o.ID))
		if hidden == "yes" || read(m, func(s *state) bool { return slices.Contains(s.Present, strings.ToLower(o.ID)) }) {
			continue
		}
		if o.KB == definitionsKB {
			o.Title = "Security Intelligence Update for Microsoft Defender Antivirus - " + definitionsKB + " (Version 1.403.1204.0)"
		}
		m.trace("Agent", "Added update {%s}.200 to search result", strings.ToUpper(o.ID))
		out = append(out, *o)
	}
	return out, 0
}

// definitionsKB is the number of every update of Defender's definitions.
const definitionsKB = "KB2267602"

// wanted picks the update that an attempt is about, of the last scan or of a new one.
func (m *Machine) wanted(ctx context.Context, a host.Attempt) (offer, host.Outcome, error) {
	a.Update, _, _ = strings.Cut(strings.Trim(a.Update, "{}"), ".") // without its revision
	id := strings.ToLower(a.Update)
	pick := func() (offer, bool) {
		m.mu.RLock()
		defer m.mu.RUnlock()
		for _, o := range m.now.Offers {
			if hidden, _ := m.now.setting(host.Setting("hidden-update", o.ID)); hidden == "yes" {
				continue
			}
			if a.Update == "" && a.KB == "" || strings.EqualFold(o.ID, a.Update) || a.KB != "" && strings.EqualFold(o.KB, a.KB) {
				return o, true
			}
		}
		return offer{}, false
	}
	// What is there already needs no second time, and what was hidden is not tried: in
	// neither does anything fail.
	there := func(name string) bool {
		return name != "" && read(m, func(s *state) bool { return slices.Contains(s.Present, strings.ToLower(name)) })
	}
	if hidden, _ := m.setting(host.Setting("hidden-update", id)); id != "" && hidden == "yes" || there(id) || there(a.KB) {
		return offer{}, host.Outcome{Result: eAlreadyThere, Stage: a.Stage}, nil
	}
	if o, ok := pick(); ok {
		return o, host.Outcome{}, nil
	}
	out, err := m.scan(ctx)
	if err != nil || out.Result.Failed() {
		return offer{}, out, err
	}
	if o, ok := pick(); ok {
		return o, host.Outcome{}, nil
	}
	if id == "" && a.KB == "" && read(m, func(s *state) bool { return len(s.Present) > 0 }) {
		return offer{}, host.Outcome{Result: eAlreadyThere, Stage: a.Stage}, nil // whatever there was is installed
	}
	return offer{}, host.Outcome{Result: eNothingToDo, Stage: "scan"}, nil
}

// download fetches an update.
func (m *Machine) download(ctx context.Context, a host.Attempt) (host.Outcome, error) {
	o, out, err := m.wanted(ctx, a)
	if err != nil || out.Result != 0 {
		return out, err
	}
	m.trace("DownloadManager", "* START * Downloading updates CallerId = %s", callerID)
	m.trace("DownloadManager", "Title = %s", o.Title)
	m.trace("DownloadManager", "UpdateId = {%s}.200", strings.ToUpper(o.ID))
	stage, h := "download", m.fetch(ctx, o)
	if h == eBadDigest {
		stage = "verify"
	}
	if h.Failed() {
		m.trace("DownloadManager", "*FAILED* [%08X] Download of update {%s} (%s)", uint32(h), strings.ToUpper(o.ID), o.KB)
	}
	m.trace("DownloadManager", "* END * Downloading updates CallerId = %s, Exit code = 0x%08X", callerID, uint32(h))
	if h.Failed() {
		return host.Outcome{Result: h, Stage: stage}, m.report("161", "AGENT_DOWNLOAD_FAILED", o, h, "Content Download", fmt.Sprintf("Error: Download failed, error = 0x%08X.", uint32(h)))
	}
	return host.Outcome{}, m.report("162", "AGENT_DOWNLOAD_SUCCEEDED", o, 0, "Content Download", "Download succeeded.")
}

// payload is where the agent keeps the file of an update.
func (o offer) payload() string { return downloads + `\` + strings.ToLower(o.KB) + ".cab" }

// fetch gets the file of an update and checks it.
func (m *Machine) fetch(ctx context.Context, o offer) codes.HRESULT {
	for _, name := range []string{"wuauserv", "bits", "DoSvc", "mpssvc"} {
		if h := m.need(name); h.Failed() {
			m.trace("DownloadManager", "*FAILED* [%08X] Cannot start the service %s", uint32(h), name)
			return h
		}
	}
	if !m.sound(transferQueue) {
		_ = m.event(appLog, "ESENT", 474, "Error", `svchost (1288,D,0) QmgrDatabaseInstance: The database page read from the file "C:\ProgramData\Microsoft\Network\Downloader\qmgr.db" at offset 4096 for 4096 bytes failed verification due to a page checksum mismatch. The read operation will fail with error -1018 (0xfffffc06).`)
		return eQueueDamaged
	}
	if b, err := os.ReadFile(m.place(o.payload())); err == nil {
		if digestOf(b) == o.Digest {
			return 0
		}
		m.trace("DownloadManager", "*FAILED* [80246002] Hash verification failed: %s", o.payload())
		return eBadDigest
	}
	via := m.delivery(ctx)
	if h := m.peers(ctx, via); h.Failed() {
		return h
	}
	if h := cmp.Or(m.nods(), m.passing("download")); h.Failed() {
		m.trace("DownloadManager", "*FAILED* [%08X] %s the connection was cut off", uint32(h), o.URL)
		return h
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		return eAgentAnswer
	}
	req.Header.Set("Range", "bytes=0-")
	req.Header.Set("User-Agent", "Microsoft-Delivery-Optimization/10.1")
	r := m.send(req, &via, bits, "")
	switch {
	case r.result.Failed():
		m.trace("DownloadManager", "*FAILED* [%08X] %s %s", uint32(r.result), o.URL, r.seen)
		return r.result
	case !r.sent:
		return eNoRanges
	}
	if digestOf(r.body) != o.Digest {
		m.trace("DownloadManager", "*FAILED* [80246002] Hash verification failed: %s", o.URL)
		return eBadDigest
	}
	if err := m.keep(o.payload(), r.body); err != nil {
		return eDiskFull
	}
	return 0
}

// Sleep lets time pass in the machine's world, and none here.
func (m *Machine) Sleep(ctx context.Context, d time.Duration) error {
	m.world.Advance(d)
	return ctx.Err()
}

// passing is a trouble of a stage that time cures: the setting "state/passing/STAGE",
// "0x80244010 5", says how it ends and how often it still does.
func (m *Machine) passing(stage string) codes.HRESULT {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := "state/passing/" + stage
	text, _ := m.now.setting(name)
	code, left, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(left)
	h, err := strconv.ParseUint(code, 0, 32)
	if n <= 0 || err != nil {
		return 0
	}
	m.now.Settings[name] = fmt.Sprintf("%s %d", code, n-1)
	return codes.HRESULT(h)
}

// nods has a machine that its power plan sends to sleep do that in the middle of a
// download, unless somebody keeps it awake. learn.microsoft.com: "SetThreadExecutionState".
func (m *Machine) nods() codes.HRESULT {
	if sleeps, _ := m.setting("state/sleeps"); sleeps != "yes" || m.KeptAwake() {
		return 0
	}
	_ = m.event(systemLog, "Microsoft-Windows-Kernel-Power", 42, "Information", "The system is entering sleep.\r\n\r\nSleep Reason: System Idle")
	m.world.Advance(7 * time.Hour)
	_ = m.event(systemLog, "Microsoft-Windows-Kernel-Power", 107, "Information", "The system has resumed from sleep.")
	return eConnectionEnded
}

// keep writes a file of Windows' own.
func (m *Machine) keep(p string, b []byte) error {
	at := m.place(p)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	return os.WriteFile(at, b, 0o600)
}

// peers is Delivery Optimization's talk with its own service, which it leaves out in
// the simple mode. learn.microsoft.com: "Delivery Optimization reference", Download mode.
func (m *Machine) peers(ctx context.Context, via proxySetting) codes.HRESULT {
	const simple, bypass = 99, 100 // Windows 11 has the latter no more
	const policy = `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`
	m.mu.RLock()
	mode, set := m.now.Registry.number(policy, "DODownloadMode")
	m.mu.RUnlock()
	switch {
	case !set || mode == simple || mode == 0:
		return 0
	case mode == bypass:
		m.trace("DeliveryOptimization", "*FAILED* [80D03002] The download mode is none that there is")
		return eDownloadMode
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://kv801.prod.do.dsp.mp.microsoft.com/all?doClientVersion=10.0.22631.3007", nil)
	if err != nil {
		return 0
	}
	if r := m.send(req, &via, bits, "Microsoft"); r.result.Failed() {
		m.trace("DeliveryOptimization", "*FAILED* [%08X] Cannot reach the service of Delivery Optimization", uint32(r.result))
		return eCannotConnDO
	}
	return 0
}

// install installs an update: it is fetched if need be, its signature is checked, and
// the servicing stack takes it.
func (m *Machine) install(ctx context.Context, a host.Attempt) (host.Outcome, error) {
	o, out, err := m.wanted(ctx, a)
	if err != nil || out.Result != 0 {
		return out, err
	}
	if !m.exists(o.payload()) {
		if out, err := m.download(ctx, host.Attempt{Update: o.ID}); err != nil || out.Result.Failed() {
			return out, err
		}
	}
	m.trace("Agent", "* START * Installing updates CallerId = %s", callerID)
	m.trace("Agent", "Title = %s", o.Title)
	m.trace("Agent", "UpdateId = {%s}.200", strings.ToUpper(o.ID))
	stage, h := m.deploy(o)
	if h.Failed() {
		m.trace("Handler", "*FAILED* [%08X] Install of update {%s} (%s)", uint32(h), strings.ToUpper(o.ID), o.KB)
		m.trace("Agent", "* END * Installing updates CallerId = %s, Exit code = 0x%08X", callerID, uint32(h))
		return host.Outcome{Result: h, Stage: stage}, errors.Join(
			m.report("182", "AGENT_INSTALLING_FAILED", o, h, "Content Install", fmt.Sprintf("Installation Failure: Windows failed to install the following update with error 0x%08x: %s.", uint32(h), o.Title)),
			m.ended(o, h))
	}
	m.trace("Agent", "* END * Installing updates CallerId = %s, Exit code = 0x00000000", callerID)
	restart, err := m.installed(o)
	return host.Outcome{Stage: "install", Restart: restart}, errors.Join(err,
		m.report("183", "AGENT_INSTALLING_SUCCEEDED", o, 0, "Content Install", "Installation Successful: Windows successfully installed the following update: "+o.Title))
}

// deploy checks and installs the file of an update. It says where it failed.
func (m *Machine) deploy(o offer) (string, codes.HRESULT) {
	b, err := os.ReadFile(m.place(o.payload()))
	if err != nil || digestOf(b) != o.Digest {
		m.trace("Handler", "*FAILED* [80246002] Hash verification failed: %s", o.payload())
		return "verify", eBadDigest
	}
	if h := m.need("cryptsvc"); h.Failed() {
		return "verify", h
	}
	if old, _ := m.setting("state/roots"); old == "old" && read(m, func(s *state) bool {
		return s.Registry.on(`HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot`, "DisableRootAutoUpdate")
	}) {
		_ = m.event(appLog, "Microsoft-Windows-CAPI2", 11, "Error", "Failed extract of third-party root list; chain of the update's signature: CERT_E_UNTRUSTEDROOT 0x800b0109.")
		return "verify", eUntrustedRoot
	}
	if !m.sound(catalogues) {
		_ = m.event(appLog, "Microsoft-Windows-CAPI2", 257, "Error", "The Cryptographic Services service failed to initialize the Catalog Database. The ESENT error was: -1018.")
		_ = m.servicing("Error", "Failed to add catalog %s.cat to the catalogue store [HRESULT = 0x800b0100 - TRUST_E_NOSIGNATURE]", o.KB)
		return "verify", eNoSignature
	}
	if h := m.need("TrustedInstaller"); h.Failed() {
		return "install", h
	}
	if h := m.passing("install"); h.Failed() {
		m.trace("Handler", "*FAILED* [%08X] Another installation is under way", uint32(h))
		return "install", h
	}
	if h := m.interferes("install"); h.Failed() {
		_ = m.servicing("Error", "Failed to install %s [HRESULT = 0x%08x]", o.KB, uint32(h))
		return "install", h
	}
	if b, err := headOf(m.place(setupConfig)); err == nil && !strings.Contains(string(b), "[SetupConfig]") {
		m.trace("Handler", "Installer completed. Process return code = 0x80070490, result = 0x80070490, callback pending = False")
		return "install", eSetupConfig
	}
	return m.stage(o)
}
