package host

import (
	"net/netip"
	"slices"
	"time"

	"updoc/internal/codes"
)

// The questions that a machine is asked beside its registry, services and files.
// Each has one type as its answer, given here: that type as JSON is the schema of
// answers/NAME.json in a bundle. Fields are added, never given another meaning; an
// unknown field is no error.
const (
	AskAdapters   = "adapters"    // Adapters
	AskVolumes    = "volumes"     // Volumes
	AskProxy      = "proxy"       // ProxyState
	AskProxyFor   = "proxy-for"   // ProxyFor; argument "url": one address more than those of the update hosts
	AskFirewall   = "firewall"    // Firewall
	AskSecurity   = "security"    // SecurityProducts
	AskAgent      = "agent"       // AgentState
	AskRestart    = "restart"     // PendingRestart
	AskEdition    = "edition"     // Edition
	AskFilters    = "filters"     // FilterDrivers
	AskTime       = "time"        // TimeService
	AskTLS        = "tls"         // TLSSettings
	AskManagement = "management"  // Management
	AskUserProxy  = "user-proxy"  // UserProxies
	AskBITS       = "bits-queue"  // TransferQueue
	AskCaller     = "caller"      // Caller
	AskPowerState = "power-state" // Power
)

// Questions lists what a recording asks, in the order in which it asks: what is
// quick comes first.
func Questions() []Question {
	var out []Question
	for _, name := range []string{
		AskCaller, AskEdition, AskAdapters, AskProxy, AskUserProxy, AskRestart, AskFilters, AskTLS, AskManagement, AskPowerState,
		AskVolumes, AskTime, AskFirewall, AskSecurity, AskBITS, AskStore, AskLeftovers, AskStartup, AskAgent, AskProxyFor,
	} {
		out = append(out, Question{Name: name})
	}
	return out
}

// Unseen is a part of an answer that could not be looked at. What stands there is
// unknown and not absent.
type Unseen struct {
	Part   string        `json:"part"` // the JSON name of the field, or a name in a list: "routes"
	Why    string        `json:"why"`  // technical words
	Result codes.HRESULT `json:"result,omitzero"`
}

// Caller is who asked: what an account may not see is unknown.
type Caller struct {
	Account  string    `json:"account"`               // SID
	Elevated bool      `json:"elevated"`              // has the rights of an administrator
	System   bool      `json:"system"`                // is LocalSystem
	At       time.Time `json:"at"`                    // by the machine's own clock
	Remote   bool      `json:"remote,omitempty"`      // sits at another machine: a session of Remote Desktop
	Over     uint32    `json:"remoteIndex,omitempty"` // index of the adapter over which that session's answers go, 0 unknown
	Wine     string    `json:"wine,omitempty"`
}

// Adapters is the network as GetAdaptersAddresses and GetIpForwardTable2 tell it.
type Adapters struct {
	Host     string    `json:"host"`             // computer name
	Domain   string    `json:"domain,omitempty"` // primary DNS suffix
	Adapters []Adapter `json:"adapters"`
	Routes   []Route   `json:"routes,omitempty"`
	Unseen   []Unseen  `json:"unseen,omitempty"`
}

// Adapter is one network interface.
type Adapter struct {
	ID          string         `json:"id"`   // "{GUID}"
	Name        string         `json:"name"` // as people call it: "Ethernet 2"
	Description string         `json:"description"`
	Index       uint32         `json:"index"`
	Type        uint32         `json:"type"` // IANA ifType: 6 Ethernet, 23 PPP, 24 loopback, 53 virtual, 71 Wi-Fi, 131 tunnel, 243 and 244 mobile
	Tunnel      uint32         `json:"tunnel,omitempty"`
	Up          bool           `json:"up"`
	MTU         uint32         `json:"mtu"`
	Speed       uint64         `json:"speed,omitempty"` // bits a second, 0 if unknown
	MAC         string         `json:"mac,omitempty"`   // "00-15-5D-01-02-03"
	Suffix      string         `json:"suffix,omitempty"`
	Suffixes    []string       `json:"suffixes,omitempty"`
	DHCP        bool           `json:"dhcp"`
	Metric4     uint32         `json:"metric4,omitempty"`
	Metric6     uint32         `json:"metric6,omitempty"`
	Addresses   []netip.Prefix `json:"addresses,omitempty"`
	Gateways    []netip.Addr   `json:"gateways,omitempty"`
	DNS         []netip.Addr   `json:"dns,omitempty"`
	VPN         string         `json:"vpn,omitempty"`    // the product, or "unknown" for a tunnel of none that is known
	Forced      string         `json:"forced,omitempty"` // who keeps a VPN of Windows' own up: device-tunnel, always-on
}

// Who keeps a VPN of Windows' own up.
const (
	ForcedDevice = "device-tunnel" // the machine itself, before anybody signs in
	ForcedAlways = "always-on"     // a profile that connects whenever there is a network
)

// IfPPP is the Type of the connections that Windows dials itself, VPNs among them.
const IfPPP = 23

// Route is one row of the forwarding table.
type Route struct {
	To     netip.Prefix `json:"to"`
	Via    netip.Addr   `json:"via,omitzero"` // not valid: on the link
	Index  uint32       `json:"index"`        // of the adapter
	Metric uint32       `json:"metric"`
}

// Volumes is what is stored where: FindFirstVolume, GetDiskFreeSpaceEx and
// IOCTL_DISK_GET_DRIVE_LAYOUT_EX.
type Volumes struct {
	System  string      `json:"system"`  // drive that Windows is on: "C:"
	Volumes []Volume    `json:"volumes"` // also those without a letter, such as EFI and recovery
	Disks   []DiskDrive `json:"disks,omitempty"`
	Unseen  []Unseen    `json:"unseen,omitempty"`
}

// Volume is a file system.
type Volume struct {
	ID         string   `json:"id"` // \\?\Volume{GUID}\
	Paths      []string `json:"paths,omitempty"`
	Label      string   `json:"label,omitempty"`
	FileSystem string   `json:"fileSystem,omitempty"`
	Drive      uint32   `json:"drive"` // GetDriveType: 2 removable, 3 fixed, 4 remote, 5 optical, 6 memory
	Size       int64    `json:"size"`  // bytes, -1 unknown
	Free       int64    `json:"free"`  // bytes, -1 unknown
	ReadOnly   bool     `json:"readOnly,omitempty"`
	Disk       int      `json:"disk"`               // number, -1 unknown or several
	Partition  int      `json:"partition"`          // number, -1 unknown
	Role       string   `json:"role,omitempty"`     // efi, reserved, recovery, basic, system
	Protected  string   `json:"bitlocker,omitzero"` // on, off, suspended, "" unknown
}

// DiskDrive is a drive with its partitions.
type DiskDrive struct {
	Number     int         `json:"number"`
	Size       int64       `json:"size"`  // bytes, -1 unknown
	Style      string      `json:"style"` // gpt, mbr, raw
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is one row of a partition table.
type Partition struct {
	Number int    `json:"number"`
	Start  int64  `json:"start"`
	Size   int64  `json:"size"`
	Type   string `json:"type"` // GUID in upper case without braces, or "0x07"
	Role   string `json:"role,omitempty"`
}

// The roles of partitions.
const (
	RoleEFI      = "efi"
	RoleReserved = "reserved"
	RoleRecovery = "recovery"
	RoleBasic    = "basic"
	RoleSystem   = "system" // the active one of an MBR disk
)

// ProxyState is what WinHttpGetDefaultProxyConfiguration and
// WinHttpGetIEProxyConfigForCurrentUser return to the caller.
type ProxyState struct {
	Access uint32    `json:"access"` // WINHTTP_ACCESS_TYPE: 1 none, 3 named proxy
	Proxy  string    `json:"proxy,omitempty"`
	Bypass string    `json:"bypass,omitempty"`
	User   UserProxy `json:"user"` // of the caller's own account
	Unseen []Unseen  `json:"unseen,omitempty"`
}

// UserProxies are the Internet settings of the accounts whose registry is loaded.
type UserProxies struct {
	Users  []UserProxy `json:"users"`
	Unseen []Unseen    `json:"unseen,omitempty"`
}

// UserProxy is the Internet setting of one account.
type UserProxy struct {
	Account string `json:"account,omitempty"` // SID
	Proxy   string `json:"proxy,omitempty"`   // switched on
	Bypass  string `json:"bypass,omitempty"`
	PAC     string `json:"pac,omitempty"`
	Detect  bool   `json:"detect,omitempty"`
	Off     string `json:"off,omitempty"` // a proxy that is named and switched off
}

// ProxyFor is what WinHttpGetProxyForUrl decides for the update hosts, as the
// account that asked.
type ProxyFor struct {
	PAC     string          `json:"pac,omitempty"` // "" if it was looked for (WPAD)
	Account string          `json:"account"`       // SID
	Answers []ProxyDecision `json:"answers"`
	Unseen  []Unseen        `json:"unseen,omitempty"`
}

// ProxyDecision is the decision for one address.
type ProxyDecision struct {
	URL    string        `json:"url"`
	Direct bool          `json:"direct,omitempty"`
	Proxy  string        `json:"proxy,omitempty"`
	Bypass string        `json:"bypass,omitempty"`
	Result codes.HRESULT `json:"result,omitzero"` // 0 success; 0x80072F94 (12180) nothing was found, ...
	Took   time.Duration `json:"took"`
}

// Firewall is Windows Firewall's own view: INetFwPolicy2 where it answers, else
// the registry.
type Firewall struct {
	Profiles []FirewallProfile `json:"profiles"`
	Blocking []FirewallRule    `json:"blocking"` // enabled rules that block what goes out, nothing left out
	Rules    int               `json:"rules"`    // how many there are in all, -1 unknown
	Service  int               `json:"service"`  // state of mpssvc, -1 unknown
	By       string            `json:"by"`       // com, registry
	Unseen   []Unseen          `json:"unseen,omitempty"`
}

// FirewallProfile is one of domain, private and public.
type FirewallProfile struct {
	Name          string `json:"name"` // domain, private, public
	Active        bool   `json:"active,omitempty"`
	Enabled       bool   `json:"enabled"`
	BlockOutbound bool   `json:"blockOutbound"` // what no rule allows may not go out
	Policy        bool   `json:"policy,omitempty"`
}

// FirewallRule is a rule that blocks.
type FirewallRule struct {
	Name     string `json:"name"` // the registry's own name where known, else the display name
	Display  string `json:"display,omitempty"`
	Program  string `json:"program,omitempty"`
	Service  string `json:"service,omitempty"`
	Protocol int    `json:"protocol"` // 6 TCP, 17 UDP, 256 any
	Ports    string `json:"ports,omitempty"`
	Remote   string `json:"remote,omitempty"`
	Profiles uint32 `json:"profiles"` // bits: 1 domain, 2 private, 4 public; 0x7FFFFFFF all
	Policy   bool   `json:"policy,omitempty"`
}

// TouchesUpdates reports whether the rule stands in the way of update requests
// whatever the address: of services of Windows Update or of everything, on the web's ports.
func (r FirewallRule) TouchesUpdates() bool {
	if r.Protocol != 6 && r.Protocol != 256 {
		return false
	}
	return updateProgram(r.Program, r.Service) && webPorts(r.Ports) && (r.Remote == "" || r.Remote == "*")
}

// SecurityProducts is what WMI's root\SecurityCenter2 lists. Servers have no
// Security Center.
type SecurityProducts struct {
	Products []SecurityProduct `json:"products"`
	Unseen   []Unseen          `json:"unseen,omitempty"`
}

// SecurityProduct is one registered product.
type SecurityProduct struct {
	Kind     string `json:"kind"` // antivirus, firewall, antispyware
	Name     string `json:"name"`
	State    uint32 `json:"state"`   // productState, undocumented: as it is
	On       bool   `json:"on"`      // bits 12 to 15 of it are 1
	Current  bool   `json:"current"` // bits 4 to 7 of it are 0
	Path     string `json:"path,omitempty"`
	Defender bool   `json:"defender,omitempty"`
}

// AgentState is the update agent as it tells of itself over COM.
type AgentState struct {
	Version  string          `json:"version,omitempty"` // product version of the agent's API
	Restart  *bool           `json:"restart,omitempty"` // ISystemInformation.RebootRequired
	Enabled  *bool           `json:"enabled,omitempty"` // IAutomaticUpdates.ServiceEnabled
	Searched time.Time       `json:"searched,omitzero"`
	Done     time.Time       `json:"installed,omitzero"`
	Services []UpdateService `json:"services,omitempty"`
	History  []HistoryEntry  `json:"history"` // newest first
	Total    int             `json:"total"`   // entries in the history, -1 unknown
	Unseen   []Unseen        `json:"unseen,omitempty"`
}

// UpdateService is a source of updates that the agent knows.
type UpdateService struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	URL     string `json:"url,omitempty"`
	Managed bool   `json:"managed,omitempty"` // WSUS
	Default bool   `json:"default,omitempty"` // of automatic updates
}

// HistoryEntry is one installation or removal that the agent remembers.
type HistoryEntry struct {
	At        time.Time     `json:"at"`
	Operation int           `json:"operation"` // 1 installation, 2 removal
	Outcome   int           `json:"outcome"`   // OperationResultCode: 2 succeeded, 3 with errors, 4 failed, 5 aborted
	Result    codes.HRESULT `json:"result,omitzero"`
	Unmapped  codes.HRESULT `json:"unmapped,omitzero"` // of the installer, as it was
	ID        string        `json:"id"`
	Title     string        `json:"title"`
	KB        string        `json:"kb,omitempty"`
	Client    string        `json:"client,omitempty"` // who asked for it
	Service   string        `json:"service,omitempty"`
}

// PendingRestart is what waits for a restart, by who waits.
type PendingRestart struct {
	Servicing  bool      `json:"servicing"`  // Component Based Servicing\RebootPending
	InProgress bool      `json:"inProgress"` // Component Based Servicing\RebootInProgress
	Packages   int       `json:"packages"`   // that wait
	Update     bool      `json:"update"`     // Auto Update\RebootRequired
	Rename     bool      `json:"rename"`     // computer name or domain
	Files      int       `json:"files"`      // PendingFileRenameOperations, pairs
	PendingXML bool      `json:"pendingXml"` // WinSxS\pending.xml exists
	Started    time.Time `json:"started"`    // when Windows did
	Fast       *bool     `json:"fast,omitempty"`
	Unseen     []Unseen  `json:"unseen,omitempty"`
}

// Any reports whether anything of the servicing or of the update agent waits.
func (p PendingRestart) Any() bool { return p.Servicing || p.InProgress || p.Update || p.Packages > 0 }

// Edition is which Windows this is.
type Edition struct {
	Product  string   `json:"product"`           // EditionID: "Professional"
	Release  string   `json:"release,omitempty"` // "23H2"
	Build    string   `json:"build"`
	Arch     string   `json:"arch"`
	Language string   `json:"language,omitempty"` // of the installation: "de-DE"
	Firmware string   `json:"firmware,omitempty"` // uefi, bios
	Secure   *bool    `json:"secureBoot,omitempty"`
	Model    string   `json:"model,omitempty"`
	Unseen   []Unseen `json:"unseen,omitempty"`
}

// FilterDrivers are the loaded file system filters: FilterFindFirst, which only an
// administrator may ask.
type FilterDrivers struct {
	Filters []FilterDriver `json:"filters"`
}

// FilterDriver is one of them.
type FilterDriver struct {
	Name      string `json:"name"`
	Altitude  string `json:"altitude,omitempty"`
	Instances int    `json:"instances"` // -1 unknown
	Frame     int    `json:"frame"`
	Legacy    bool   `json:"legacy,omitempty"`
}

// TimeService is the state of the clock.
type TimeService struct {
	Service int       `json:"service"`        // state of w32time, -1 unknown
	Start   int       `json:"start"`          // start type, -1 unknown
	Type    string    `json:"type,omitempty"` // NTP, NT5DS, NoSync, AllSync
	Servers string    `json:"servers,omitempty"`
	Now     time.Time `json:"now"` // by the machine
	Zone    string    `json:"zone,omitempty"`
	Bias    int       `json:"bias"` // minutes to add to local time for UTC
	Unseen  []Unseen  `json:"unseen,omitempty"`
}

// TLSSettings is what the registry says of Schannel and WinHTTP, and what Windows
// makes of it.
type TLSSettings struct {
	Protocols []TLSProtocol `json:"protocols"`
	WinHTTP   *uint32       `json:"winHttp,omitempty"` // DefaultSecureProtocols, bits: 0x80 1.0, 0x200 1.1, 0x800 1.2, 0x2000 1.3
	FIPS      bool          `json:"fips"`
	Suites    []string      `json:"suites,omitempty"` // cipher suites, in their order, as BCryptEnumContextFunctions has them
	Policy    bool          `json:"policy,omitempty"` // a policy sets the order
	Unseen    []Unseen      `json:"unseen,omitempty"`
}

// TLSProtocol is the client side of one version.
type TLSProtocol struct {
	Version  string `json:"version"` // "TLS 1.2"
	Enabled  *bool  `json:"enabled,omitempty"`
	Disabled *bool  `json:"disabledByDefault,omitempty"`
}

// Management is who sets policies on this machine.
type Management struct {
	Joined      string       `json:"joined"`               // domain, workgroup, unjoined, unknown
	Name        string       `json:"name,omitempty"`       // of the domain or workgroup
	Enrolled    []Enrollment `json:"enrolled,omitempty"`   // mobile device management
	ConfigMgr   *bool        `json:"configMgr,omitempty"`  // its client is installed
	LocalPolicy *bool        `json:"localFile,omitempty"`  // GroupPolicy\Machine\Registry.pol exists
	Applied     []string     `json:"groupRules,omitempty"` // names of the group policies that were applied to the machine
	Tools       []string     `json:"tools,omitempty"`      // installed programs that can keep updates off, by the name under which they are installed
	Owners      []Owned      `json:"owners,omitempty"`     // of each update policy that is set
	Unseen      []Unseen     `json:"unseen,omitempty"`
}

// Enrollment is a management server that this machine obeys.
type Enrollment struct {
	ID       string `json:"id"`
	Provider string `json:"provider"` // "MS DM Server"
	URL      string `json:"url,omitempty"`
	Type     int    `json:"type"`
	State    int    `json:"state"` // 1 enrolled
}

// Owned is an update policy with who owns it.
type Owned struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Owner string `json:"owner"` // see the constants
}

// Who owns a policy. Whoever owns it writes it again.
const (
	OwnerDomain    = "domain"    // group policy of a domain
	OwnerLocal     = "local"     // the local policy file
	OwnerMDM       = "mdm"       // a management server
	OwnerConfigMgr = "configmgr" // Configuration Manager's client
	OwnerTool      = "tool"      // no file and no server says so, and one of Management.Tools is installed
	OwnerNobody    = "nobody"    // no file and no server says so: a program or a person set the value
	OwnerUnknown   = "unknown"   // it could not be looked at
)

// TransferQueue is the queue of BITS over COM, of all users if an administrator asks.
type TransferQueue struct {
	Jobs   []Transfer `json:"jobs"`
	All    bool       `json:"all"` // of all users
	Unseen []Unseen   `json:"unseen,omitempty"`
}

// Transfer is one job of BITS.
type Transfer struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	State  int           `json:"state"` // BG_JOB_STATE: 0 queued, 1 connecting, 2 transferring, 3 suspended, 4 error, 5 transient error, 6 transferred, 7 acknowledged, 8 cancelled
	Result codes.HRESULT `json:"result,omitzero"`
	Done   uint64        `json:"done"`
	Total  uint64        `json:"total"` // bytes, 2^64-1 unknown
}

// Power is where the current comes from: Windows holds installations back on a battery.
type Power struct {
	Mains   *bool `json:"mains,omitempty"`
	Battery int   `json:"battery"` // percent, -1 none or unknown
	Saver   bool  `json:"saver,omitempty"`
}

// updateProgram reports whether a rule for this program and service applies to a
// part of Windows that fetches updates. "" stands for all.
func updateProgram(program, service string) bool {
	if service != "" && service != "*" && !slices.ContainsFunc(updateServices, func(s string) bool { return equalFold(s, service) }) {
		return false
	}
	if program == "" || equalFold(program, "system") {
		return true
	}
	for _, exe := range []string{"svchost.exe", "usoclient.exe", "mousocoreworker.exe", "wuauclt.exe", "usocoreworker.exe"} {
		if n := len(program) - len(exe); n >= 0 && equalFold(program[n:], exe) {
			return true
		}
	}
	return false
}

var updateServices = []string{"wuauserv", "bits", "dosvc", "usosvc", "waasmedicsvc", "cryptsvc"}

// webPorts reports whether a list of ports ("80,443", "1-1024", "" for all) holds
// one of the web's.
func webPorts(list string) bool {
	if list == "" || list == "*" {
		return true
	}
	n, from, ranged := 0, -1, false
	hit := func() bool {
		if !ranged {
			from = n
		}
		return from <= 80 && 80 <= n || from <= 443 && 443 <= n
	}
	for _, r := range list + "," {
		switch {
		case '0' <= r && r <= '9':
			n = min(n*10+int(r-'0'), 1<<20)
		case r == '-':
			n, from, ranged = 0, n, true
		case r == ',':
			if hit() {
				return true
			}
			n, from, ranged = 0, -1, false
		}
	}
	return false
}
