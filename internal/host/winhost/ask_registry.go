package winhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Questions that the registry and the services answer. They read through
// host.Reader, so they are the same on every system.

const (
	keyServicing = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	keyUpdate    = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`
	keySession   = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`
	keyNames     = `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName`
	keyWindowsNT = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	keySchannel  = `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols`
	keyInternet  = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyW32Time   = `HKLM\SYSTEM\CurrentControlSet\Services\W32Time\Parameters`
	keyEnrolled  = `HKLM\SOFTWARE\Microsoft\Enrollments`
	keyApplied   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Group Policy\History`
)

// reading is a reader with the parts that could not be looked at.
type reading struct {
	ctx    context.Context
	r      host.Reader
	unseen []host.Unseen
}

// miss keeps that a part could not be looked at; that there is none is no miss.
func (r *reading) miss(part string, err error) {
	if err == nil || errors.Is(err, host.ErrNotExist) {
		return
	}
	u := host.Unseen{Part: part, Why: err.Error()}
	_ = errors.As(err, &u.Result)
	r.unseen = append(r.unseen, u)
}

// key reads a key; false says that there is none, or that it could not be read.
func (r *reading) key(part, path string) (host.Key, bool) {
	k, err := r.r.Key(r.ctx, path)
	r.miss(part, err)
	return k, err == nil
}

func (r *reading) has(part, path string) bool {
	_, ok := r.key(part, path)
	return ok
}

func dword(k host.Key, name string) (uint32, bool) {
	v, ok := k.Value(name)
	if !ok {
		return 0, false
	}
	return v.DWord()
}

func text(k host.Key, name string) string {
	v, ok := k.Value(name)
	if !ok {
		return ""
	}
	s, _ := v.String()
	return s
}

func yes(b bool) *bool { return &b }

// service returns a service's state and start type, -1 where they are unknown.
func (r *reading) service(part, name string) (state, start int) {
	s, err := r.r.Service(r.ctx, name)
	r.miss(part, err)
	if err != nil {
		return -1, -1
	}
	return s.State, s.Start
}

// pendingRestart reads what waits for a restart. learn.microsoft.com:
// "MoveFileEx" (PendingFileRenameOperations); the servicing stack's and the update
// agent's own marks are keys that exist or not.
func pendingRestart(ctx context.Context, h host.Reader) (host.PendingRestart, error) {
	r := &reading{ctx: ctx, r: h}
	p := host.PendingRestart{
		Servicing:  r.has("servicing", keyServicing+`\RebootPending`),
		InProgress: r.has("inProgress", keyServicing+`\RebootInProgress`),
		Update:     r.has("update", keyUpdate+`\Auto Update\RebootRequired`),
	}
	if k, ok := r.key("packages", keyServicing+`\PackagesPending`); ok {
		p.Packages = len(k.Subkeys)
	}
	if k, ok := r.key("files", keySession); ok {
		for _, name := range []string{"PendingFileRenameOperations", "PendingFileRenameOperations2"} {
			if v, ok := k.Value(name); ok {
				p.Files += renames(v.Data)
			}
		}
	}
	now, ok1 := r.key("rename", keyNames+`\ActiveComputerName`)
	next, ok2 := r.key("rename", keyNames+`\ComputerName`)
	if ok1 && ok2 {
		p.Rename = !strings.EqualFold(text(now, "ComputerName"), text(next, "ComputerName"))
	}
	if k, ok := r.key("fast", keySession+`\Power`); ok {
		if v, ok := dword(k, "HiberbootEnabled"); ok {
			p.Fast = yes(v != 0)
		}
	}
	p.Unseen = r.unseen
	return p, ctx.Err()
}

// renames counts the pairs of a list of files to be renamed. The second name of a
// pair is empty where the first is to be deleted, so empty strings count.
func renames(data []byte) int {
	n := 0
	for i := 0; i+1 < len(data); i += 2 {
		if binary.LittleEndian.Uint16(data[i:]) == 0 {
			n++
		}
	}
	return n / 2 // the list's own end is the odd one
}

// schannelVersions are those whose client side has a key. "Transport Layer Security
// (TLS) registry settings".
var schannelVersions = []string{"SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}

func tlsSettings(ctx context.Context, h host.Reader) (host.TLSSettings, error) {
	r := &reading{ctx: ctx, r: h}
	var t host.TLSSettings
	for _, version := range schannelVersions {
		p := host.TLSProtocol{Version: version}
		if k, ok := r.key("protocols", keySchannel+`\`+version+`\Client`); ok {
			if v, ok := dword(k, "Enabled"); ok {
				p.Enabled = yes(v != 0)
			}
			if v, ok := dword(k, "DisabledByDefault"); ok {
				p.Disabled = yes(v != 0)
			}
		}
		t.Protocols = append(t.Protocols, p)
	}
	if k, ok := r.key("winHttp", `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\WinHttp`); ok {
		if v, ok := dword(k, "DefaultSecureProtocols"); ok {
			t.WinHTTP = &v
		}
	}
	if k, ok := r.key("fips", `HKLM\SYSTEM\CurrentControlSet\Control\Lsa\FipsAlgorithmPolicy`); ok {
		v, _ := dword(k, "Enabled")
		t.FIPS = v != 0
	}
	if k, ok := r.key("policy", `HKLM\SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002`); ok {
		_, t.Policy = k.Value("Functions")
	}
	t.Unseen = r.unseen
	return t, ctx.Err()
}

// timeService reads how the clock is kept; zone and bias come from the keys that
// GetDynamicTimeZoneInformation reads.
func timeService(ctx context.Context, h host.Reader, now time.Time) (host.TimeService, error) {
	r := &reading{ctx: ctx, r: h}
	t := host.TimeService{Now: now.UTC()}
	t.Service, t.Start = r.service("service", "w32time")
	if k, ok := r.key("type", keyW32Time); ok {
		t.Type, t.Servers = text(k, "Type"), text(k, "NtpServer")
	}
	if k, ok := r.key("zone", `HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation`); ok {
		t.Zone = text(k, "TimeZoneKeyName")
		if v, ok := dword(k, "ActiveTimeBias"); ok {
			t.Bias = int(int32(v))
		}
	}
	t.Unseen = r.unseen
	return t, ctx.Err()
}

// userProxies reads the Internet settings of the users whose hives are loaded: who
// is signed in, and the accounts of services.
func userProxies(ctx context.Context, h host.Reader) (host.UserProxies, error) {
	r := &reading{ctx: ctx, r: h}
	users, err := h.Key(ctx, `HKU`)
	if err != nil {
		return host.UserProxies{}, fmt.Errorf("loaded users: %w", err)
	}
	out := host.UserProxies{Users: []host.UserProxy{}}
	for _, sid := range users.Subkeys {
		if !strings.HasPrefix(sid, "S-1-5-") || strings.HasSuffix(strings.ToLower(sid), "_classes") || len(out.Users) >= maxUsers {
			continue
		}
		k, ok := r.key(sid, `HKU\`+sid+`\`+keyInternet)
		if !ok {
			continue
		}
		u := userProxy(sid, k)
		if c, ok := r.key(sid, `HKU\`+sid+`\`+keyInternet+`\Connections`); ok {
			if v, ok := c.Value("DefaultConnectionSettings"); ok {
				if b, err := winlog.ParseConnectionBlob(v.Data); err == nil {
					u.Detect = b.Detect()
				}
			}
		}
		out.Users = append(out.Users, u)
	}
	out.Unseen = r.unseen
	return out, ctx.Err()
}

// maxUsers bounds the accounts; a terminal server has hundreds signed in.
const maxUsers = 200

func userProxy(sid string, k host.Key) host.UserProxy {
	u := host.UserProxy{Account: sid, PAC: withoutPassword(text(k, "AutoConfigURL")), Bypass: text(k, "ProxyOverride")}
	server := withoutPassword(text(k, "ProxyServer"))
	if on, ok := dword(k, "ProxyEnable"); ok && on != 0 {
		u.Proxy = server
	} else {
		u.Off = server
	}
	return u
}

// withoutPassword takes name and password out of the addresses of a setting.
func withoutPassword(s string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(s, ";") {
		head, rest := "", part
		if i := strings.Index(part, "://"); i >= 0 {
			head, rest = part[:i+3], part[i+3:]
		} else if i := strings.IndexByte(part, '='); i >= 0 {
			head, rest = part[:i+1], part[i+1:]
		}
		end := strings.IndexAny(rest, "/?#;")
		if end < 0 {
			end = len(rest)
		}
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			rest = rest[at+1:]
		}
		b.WriteString(head + rest)
	}
	return b.String()
}

// edition reads which Windows this is.
func edition(ctx context.Context, h host.Reader) (host.Edition, error) {
	r := &reading{ctx: ctx, r: h}
	var e host.Edition
	k, err := h.Key(ctx, keyWindowsNT)
	if err != nil {
		return e, fmt.Errorf("edition: %w", err)
	}
	e.Product = text(k, "EditionID")
	e.Release = text(k, "DisplayVersion")
	if e.Release == "" {
		e.Release = text(k, "ReleaseId") // before 20H2
	}
	e.Build = text(k, "CurrentBuildNumber")
	if ubr, ok := dword(k, "UBR"); ok {
		e.Build = fmt.Sprintf("%s.%d", e.Build, ubr)
	}
	if k, ok := r.key("arch", keySession+`\Environment`); ok {
		switch strings.ToUpper(text(k, "PROCESSOR_ARCHITECTURE")) {
		case "AMD64":
			e.Arch = "amd64"
		case "ARM64":
			e.Arch = "arm64"
		case "X86":
			e.Arch = "386"
		}
	}
	if k, ok := r.key("secureBoot", `HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\State`); ok {
		if v, ok := dword(k, "UEFISecureBootEnabled"); ok {
			e.Secure = yes(v != 0)
		}
	}
	if k, ok := r.key("model", `HKLM\HARDWARE\DESCRIPTION\System\BIOS`); ok {
		e.Model = strings.TrimSpace(text(k, "SystemManufacturer") + " " + text(k, "SystemProductName"))
	}
	e.Unseen = r.unseen
	return e, ctx.Err()
}

// Where policies about updating stand.
var policyKeys = []string{
	`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`,
	`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`,
	`HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`,
	`HKLM\SOFTWARE\Policies\Microsoft\Windows\BITS`,
	`HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`,
	`HKLM\SOFTWARE\Policies\Microsoft\Windows NT\DNSClient`,
}

const keyMDM = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\Update`

// management reads who sets policies here, and whose each update policy is. joined
// is what NetGetJoinInformation says; pol are the settings of the local policy
// file, by lower-case key and name, nil if it could not be read.
func management(ctx context.Context, h host.Reader, joined, name string, pol policyFile) (host.Management, error) {
	r := &reading{ctx: ctx, r: h}
	m := host.Management{Joined: joined, Name: name}
	enrolled, ok := r.key("enrolled", keyEnrolled)
	for _, id := range enrolled.Subkeys {
		if !ok || len(m.Enrolled) >= 50 || strings.Count(id, "-") != 4 {
			continue
		}
		k, ok := r.key("enrolled", keyEnrolled+`\`+id)
		if !ok {
			continue
		}
		e := host.Enrollment{ID: id, Provider: text(k, "ProviderID"), URL: withoutPassword(text(k, "DiscoveryServiceFullURL"))}
		if v, ok := dword(k, "EnrollmentType"); ok {
			e.Type = int(v)
		}
		if v, ok := dword(k, "EnrollmentState"); ok {
			e.State = int(v)
		}
		if e.Provider != "" {
			m.Enrolled = append(m.Enrolled, e)
		}
	}
	switch _, err := h.Service(ctx, "CcmExec"); {
	case err == nil:
		m.ConfigMgr = yes(true)
	case errors.Is(err, host.ErrNotExist):
		m.ConfigMgr = yes(false)
	default:
		r.miss("configMgr", err)
	}
	domain := false
	if k, ok := r.key("groupRules", keyApplied); ok {
		for _, extension := range k.Subkeys { // {GUID of the extension}\0, \1, ...
			list, ok := r.key("groupRules", keyApplied+`\`+extension)
			for _, n := range list.Subkeys {
				if !ok || len(m.Applied) >= 200 {
					continue
				}
				if g, ok := r.key("groupRules", keyApplied+`\`+extension+`\`+n); ok {
					if text(g, "GPOName") == "Local Group Policy" || strings.EqualFold(text(g, "DSPath"), "LocalGPO") {
						continue
					}
					domain = true
					if d := text(g, "DisplayName"); d != "" {
						m.Applied = appendNew(m.Applied, d)
					}
				}
			}
		}
	}
	if pol != nil {
		m.LocalPolicy = yes(len(pol) > 0)
	}
	m.Tools = r.tools()
	for _, path := range policyKeys {
		k, ok := r.key("owners", path)
		if !ok {
			continue
		}
		for _, v := range k.Values {
			if len(m.Owners) < 500 {
				m.Owners = append(m.Owners, host.Owned{Key: path, Name: v.Name, Owner: ownerOf(path, v.Name, m, domain, pol)})
			}
		}
	}
	if k, ok := r.key("owners", keyMDM); ok {
		for _, v := range k.Values {
			// What a server sets has a companion NAME_WinningProvider with its enrolment.
			if strings.Contains(v.Name, "_") || len(m.Owners) >= 500 {
				continue
			}
			m.Owners = append(m.Owners, host.Owned{Key: keyMDM, Name: v.Name, Owner: host.OwnerMDM})
		}
	}
	m.Unseen = r.unseen
	return m, ctx.Err()
}

// ownerOf says who would write a policy again if it were taken away. Configuration
// Manager sets the server's address in the local policy file; the values that a
// domain sets are in no file of this machine that names them, so a domain whose
// policies are applied owns what the local file does not hold.
func ownerOf(path, name string, m host.Management, domain bool, pol policyFile) string {
	_, local := pol[policyID(path, name)]
	switch {
	case local && m.ConfigMgr != nil && *m.ConfigMgr && (strings.EqualFold(name, "WUServer") || strings.EqualFold(name, "WUStatusServer") || strings.EqualFold(name, "UseWUServer")):
		return host.OwnerConfigMgr
	case local:
		return host.OwnerLocal
	case domain && m.Joined == "domain":
		return host.OwnerDomain
	case pol == nil || m.Joined == "unknown":
		return host.OwnerUnknown
	case len(m.Tools) > 0:
		return host.OwnerTool
	}
	return host.OwnerNobody
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// policyFile is what a Registry.pol holds, by policyID.
type policyFile map[string]struct{}

func policyID(path, name string) string {
	_, path, _ = strings.Cut(path, `\`)
	return strings.ToLower(path + `\\` + name)
}

var errPolicyFile = errors.New("not a policy file")

// parsePolicyFile reads a Registry.pol: the signature "PReg", version 1, and then
// entries [key;value;type;size;data] in UTF-16. learn.microsoft.com: "Registry
// Policy File Format". A value **del.NAME says that NAME is to be deleted; other
// names with two stars are commands and no settings.
func parsePolicyFile(b []byte) (policyFile, error) {
	if len(b) < 8 || binary.LittleEndian.Uint32(b) != 0x67655250 || binary.LittleEndian.Uint32(b[4:]) != 1 {
		return nil, errPolicyFile
	}
	b = b[8:]
	out := policyFile{}
	take := func(want uint16) bool {
		if len(b) < 2 || binary.LittleEndian.Uint16(b) != want {
			return false
		}
		b = b[2:]
		return true
	}
	word := func() (string, bool) {
		var u []uint16
		for len(b) >= 2 {
			c := binary.LittleEndian.Uint16(b)
			b = b[2:]
			if c == 0 {
				return string(utf16.Decode(u)), true
			}
			if u = append(u, c); len(u) > 16_384 {
				break
			}
		}
		return "", false
	}
	number := func() (uint32, bool) {
		if len(b) < 4 {
			return 0, false
		}
		n := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return n, true
	}
	for len(b) > 0 {
		if len(out) > 50_000 {
			return nil, fmt.Errorf("%w: too many entries", errPolicyFile)
		}
		ok := take('[')
		key, ok1 := word()
		ok = ok && ok1 && take(';')
		name, ok2 := word()
		ok = ok && ok2 && take(';')
		_, ok3 := number()
		ok = ok && ok3 && take(';')
		size, ok4 := number()
		ok = ok && ok4 && take(';') && int64(size) <= int64(len(b))
		if !ok {
			return nil, errPolicyFile
		}
		b = b[size:]
		if !take(']') {
			return nil, errPolicyFile
		}
		if !strings.HasPrefix(name, "**") {
			out[policyID(`HKLM\`+key, name)] = struct{}{}
		}
	}
	return out, nil
}
