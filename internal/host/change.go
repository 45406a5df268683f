package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// Host is a machine that can also be changed: a live Windows, a simulated
// machine, or an [Overlay] on which a cure is rehearsed.
type Host interface {
	Reader

	// Inverse returns the changes that make the present state again once c was
	// applied, in the order in which they are to be applied. Nothing means that c
	// cannot be taken back. What c asks for already is so exactly if the inverse is
	// c itself, see [Holds]; so Inverse is also the question "how is it now?".
	// [ErrNotExist] says that c has nothing to act on.
	Inverse(ctx context.Context, c Change) ([]Change, error)

	// Apply makes a change and returns once it would survive a loss of power. It may
	// be repeated: a change that was made in part, or in whole, is made in whole.
	Apply(ctx context.Context, c Change) error
}

// ErrRefused is the answer to a change that updoc never makes, whoever asks for
// it: a path outside of what may be touched, a service that must not be ended.
var ErrRefused = errors.New("updoc never does this")

// ErrRestart says that a change was made as far as it can be while Windows runs,
// and that the restart which comes next makes the rest: a file that is in use is
// moved before anybody opens it, a tool asked for a restart. Applied again before
// that, the change answers the same.
var ErrRestart = errors.New("done with the next restart")

// ErrPerson says that only a person can make a change, in a window of their own: what
// protects itself is switched off by nobody else. Asked again, the change says whether
// it was made meanwhile.
var ErrPerson = errors.New("this takes a person")

// ErrInTheWay says that something stands where a change wants to put something.
var ErrInTheWay = errors.New("something is in the way")

// ChangeKind says what a change does.
type ChangeKind string

// The kinds of changes. They describe the state to be reached and not the way
// there, so that each may be applied twice; [Run] alone is an act.
const (
	KeyMake  ChangeKind = "key-make"  // the registry key Path exists, with the security descriptor SDDL if that is not ""
	KeyDrop  ChangeKind = "key-drop"  // it does not; one that holds anything is refused
	ValueSet ChangeKind = "value-set" // the value Name of the key Path is Value; the key is made where it is missing
	ValueDel ChangeKind = "value-del" // there is no such value

	ServiceStart    ChangeKind = "service-start"    // the start type of the service Path is Start
	ServiceRun      ChangeKind = "service-run"      // it runs
	ServiceStop     ChangeKind = "service-stop"     // it is stopped, and what depends on it
	ServiceSecurity ChangeKind = "service-security" // its security descriptor is SDDL
	ServiceTriggers ChangeKind = "service-triggers" // the events that start or stop it are Triggers; none: no event does
	ServiceNeeds    ChangeKind = "service-needs"    // it needs the services Needs, and groups, which have a + before them
	ServiceMake     ChangeKind = "service-make"     // there is a service Path, and it is registered as Service and Start say
	ServiceDrop     ChangeKind = "service-drop"     // there is none; it was made by a ServiceMake

	Move       ChangeKind = "move"        // the file or folder Path is called To, on the same volume
	Restore    ChangeKind = "restore"     // what was moved to Path is called To again; what came to stand there since is merged into it
	Write      ChangeKind = "write"       // the file Path holds Data
	FileDrop   ChangeKind = "file-drop"   // there is no file Path; it was made by a Write
	FolderMake ChangeKind = "folder-make" // there is a folder Path
	FolderDrop ChangeKind = "folder-drop" // there is none; one that holds anything is refused
	Security   ChangeKind = "security"    // the security descriptor of the file or folder Path is SDDL

	Switch ChangeKind = "switch" // the setting Path (see [Setting]) is State
	Run    ChangeKind = "run"    // the tool Path (see [Tools], [ToolSetup]) has run with Args; has no inverse
)

// Change is one act on a machine as data: it can be shown, approved, written to
// a journal, made again after a crash, and undone. Only the fields of its kind
// are set. Paths of files are those of the machine (C:\...), of the registry
// begin with a short root (HKLM\...).
type Change struct {
	Kind ChangeKind `json:"kind"`
	Path string     `json:"path"`
	Name string     `json:"name,omitempty"` // of a value; "" is the default value
	To   string     `json:"to,omitempty"`

	Value    *winlog.RegValue `json:"value,omitempty"` // its own name counts nothing
	Start    *Start           `json:"start,omitempty"`
	Service  *Registered      `json:"service,omitempty"`
	Triggers []Trigger        `json:"triggers,omitempty"`
	Needs    []string         `json:"needs,omitempty"`
	SDDL     string           `json:"sddl,omitempty"`
	State    string           `json:"state,omitempty"`
	Args     []string         `json:"args,omitempty"`
	Data     []byte           `json:"data,omitempty"`
	Modified time.Time        `json:"modified,omitzero"` // write, restoring: the time that the file had
	Lacks    string           `json:"lacks,omitempty"`   // key-make, restoring: what of the key could not be read, and so does not come back
}

// LacksAudit is the list of audits in a security descriptor.
const LacksAudit = "audit list"

// Start is how a service starts (learn.microsoft.com: QUERY_SERVICE_CONFIG,
// SERVICE_DELAYED_AUTO_START_INFO).
type Start struct {
	Type    uint32 `json:"type"` // 0 boot, 1 system, 2 automatic, 3 manual, 4 disabled
	Delayed bool   `json:"delayed,omitempty"`
}

// Setting names what a Switch sets: a group and a name in it.
//
//	task/\Microsoft\Windows\UpdateOrchestrator\Schedule Scan   on, off
//	firewall-rule/NAME                                          on, off
//	hidden-update/UPDATEID                                      yes, no
//	ipv6/ADAPTER                                                on, off
//	adapter/ADAPTER                                             on, off; an adapter of a VPN
//	vpn-connection/NAME                                         on, off; a VPN of Windows' own, which a person alone connects again
//	product/KIND/NAME                                           on, off; see Product
//	firewall-profile/NAME                                       on, off; domain, private, public of Windows' own firewall
//	mtu/ADAPTER, mtu6/ADAPTER                                   bytes of a packet over IPv4 and over IPv6, as a decimal number
//	txf-log/C:                                                  containers of NTFS' transaction log at most, as a decimal number
//	image/C:\media\windows.iso                                  on, off; see ImageSetting
func Setting(group, name string) string { return group + "/" + name }

// Product is the setting of a security product of another maker, by its kind and name as
// the Security Center has them: a person alone switches it.
func Product(kind, name string) string { return Setting("product", kind+"/"+name) }

// ByPerson reports a change that a person alone makes, and that a host answers with
// [ErrPerson] until it was made.
func ByPerson(c Change) bool {
	return c.Kind == Switch && strings.HasPrefix(c.Path, Setting("product", ""))
}

// Tools are the programs that a Run may name; a host starts them by their
// absolute path in the system directory and nothing else: winmgmt stands in wbem
// below it, mpcmdrun in Windows Defender's folder of the program files.
var Tools = []string{
	"chkdsk", "cleanmgr", "dism", "fsutil", "gpupdate", "ipconfig", "mpcmdrun", "msdt", "reagentc", "sfc", "usoclient", "w32tm", "winmgmt", "wsreset", "wusa",
}

// Set makes the change of a registry value.
func Set(key, name string, v winlog.RegValue) Change {
	v.Name = ""
	return Change{Kind: ValueSet, Path: key, Name: name, Value: &v}
}

// Same reports whether two lists of changes lead to the same state. When a file
// was last written is no part of it.
func Same(a, b []Change) bool { return slices.EqualFunc(a, b, same) }

func same(a, b Change) bool {
	if a.Kind != b.Kind || !equalFold(a.Path, b.Path) || !equalFold(a.Name, b.Name) || !equalFold(a.To, b.To) ||
		a.SDDL != b.SDDL || a.State != b.State || !slices.Equal(a.Args, b.Args) || !bytes.Equal(a.Data, b.Data) {
		return false
	}
	if (a.Value == nil) != (b.Value == nil) || (a.Start == nil) != (b.Start == nil) {
		return false
	}
	if a.Value != nil && (a.Value.Type != b.Value.Type || !bytes.Equal(a.Value.Data, b.Value.Data)) {
		return false
	}
	if !reflect.DeepEqual(a.Service, b.Service) || !SameTriggers(a.Triggers, b.Triggers) || !SameNeeds(a.Needs, b.Needs) {
		return false
	}
	return a.Start == nil || *a.Start == *b.Start
}

// Holds reports whether what c asks for is so already. An act never is.
func Holds(ctx context.Context, h Host, c Change) (bool, error) {
	if c.Kind == Run {
		return false, nil
	}
	now, err := h.Inverse(ctx, c)
	if err != nil {
		return false, err
	}
	return Same(now, []Change{c}), nil
}

// Passing reports that the state which the change makes comes and goes by itself
// on a healthy machine, so that another state later is nobody's decision:
// services start and stop.
func (c Change) Passing() bool { return c.Kind == ServiceRun || c.Kind == ServiceStop }

// Check refuses a change that is malformed, or that no plan may ever hold
// whoever wrote it: journals are data, and data can be tampered with.
func (c Change) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s %s: %w: "+format, append([]any{c.Kind, c.Path, ErrRefused}, args...)...)
	}
	switch c.Kind {
	case KeyMake, KeyDrop, ValueSet, ValueDel:
		root, rest, _ := strings.Cut(strings.ToUpper(c.Path), `\`)
		if !slices.Contains([]string{"HKLM", "HKCU", "HKU", "HKCR"}, root) || rest == "" {
			return bad("not a registry key")
		}
		for _, k := range untouchable {
			if strings.HasPrefix(strings.ToUpper(c.Path)+`\`, k) {
				return bad("servicing owns this key")
			}
		}
		if c.Kind == ValueSet && c.Value == nil {
			return bad("no value")
		}
	case ServiceStart, ServiceRun, ServiceStop, ServiceSecurity:
		if c.Path == "" || strings.ContainsAny(c.Path, `/\`) {
			return bad("not a service")
		}
		if c.Kind == ServiceStop && (equalFold(c.Path, "TrustedInstaller") || equalFold(c.Path, "msiserver")) {
			return bad("an installation that is ended leaves Windows half serviced")
		}
		if c.Kind == ServiceStart && c.Start == nil || c.Kind == ServiceSecurity && c.SDDL == "" {
			return bad("nothing to set")
		}
	case ServiceTriggers, ServiceNeeds:
		if !Restorable(c.Path) {
			return bad("not a service that Windows is updated by")
		}
		if len(c.Triggers) > maxTriggers {
			return bad("more triggers than a service has")
		}
		for _, t := range c.Triggers {
			if err := t.check(); err != nil {
				return bad("%w", err)
			}
		}
		if err := checkNeeds(c.Needs); err != nil {
			return bad("%w", err)
		}
	case ServiceMake:
		if c.Service == nil {
			return bad("nothing to register")
		}
		if err := c.Service.check(c.Path, c.Start); err != nil {
			return bad("%w", err)
		}
	case ServiceDrop:
		if !Restorable(c.Path) {
			return bad("not a service that updoc makes")
		}
	case Move, Restore:
		if !localPath(c.Path) || !localPath(c.To) || !equalFold(c.Path[:2], c.To[:2]) || equalFold(c.Path, c.To) {
			return bad("not two paths of one volume")
		}
		if ownedByServicing(c.Path) || ownedByServicing(c.To) {
			return bad("servicing owns this file")
		}
	case Write, FileDrop, FolderMake, FolderDrop, Security:
		if !localPath(c.Path) {
			return bad("not a path")
		}
		if ownedByServicing(c.Path) {
			return bad("servicing owns this file")
		}
		if c.Kind == Security && c.SDDL == "" {
			return bad("nothing to set")
		}
	case Switch:
		if group, name, ok := strings.Cut(c.Path, "/"); !ok || group == "" || name == "" || c.State == "" {
			return bad("not a setting")
		}
	case Run:
		if !slices.Contains(Tools, c.Path) && c.Path != ToolSetup {
			return bad("not a tool of Windows that updoc uses")
		}
		if !mayRun(c.Path, c.Args) {
			return bad("not a command line that updoc uses")
		}
	default:
		return bad("unknown kind")
	}
	return nil
}

// untouchable keys belong to the servicing stack: a pending restart is finished by
// restarting, and nothing that waits for it may be taken away under its hands.
var untouchable = []string{
	`HKLM\SOFTWARE\MICROSOFT\WINDOWS\CURRENTVERSION\COMPONENT BASED SERVICING\REBOOTPENDING\`,
	`HKLM\SOFTWARE\MICROSOFT\WINDOWS\CURRENTVERSION\COMPONENT BASED SERVICING\REBOOTINPROGRESS\`,
	`HKLM\SOFTWARE\MICROSOFT\WINDOWS\CURRENTVERSION\COMPONENT BASED SERVICING\SESSIONSPENDING\`,
	`HKLM\SOFTWARE\MICROSOFT\WINDOWS\CURRENTVERSION\COMPONENT BASED SERVICING\PACKAGESPENDING\`,
	`HKLM\COMPONENTS\`,
	`HKLM\SAM\`,
	`HKLM\SECURITY\`,
}

// ownedByServicing says that a path lies in the component store or is what the
// servicing stack has put down to be done at the next start.
func ownedByServicing(p string) bool {
	p = strings.ToUpper(strings.ReplaceAll(p, "/", `\`)) + `\`
	_, p, _ = strings.Cut(p, ":")
	return strings.HasPrefix(p, `\WINDOWS\WINSXS\`) || strings.HasPrefix(p, `\WINDOWS\SERVICING\`) ||
		strings.HasPrefix(p, `\WINDOWS\SYSTEM32\CATROOT\`) || p == `\WINDOWS\` || p == `\WINDOWS\SYSTEM32\` || p == `\`
}

// localPath accepts a full path with a drive letter that climbs nowhere and names
// neither a stream nor a device.
func localPath(p string) bool {
	if len(p) < 4 || p[1] != ':' || p[2] != '\\' || !('a' <= p[0]|0x20 && p[0]|0x20 <= 'z') || strings.ContainsAny(p[2:], ":/*?\"<>|\x00") {
		return false
	}
	for part := range strings.SplitSeq(p[3:], `\`) {
		if part == "" || part == "." || part == ".." || strings.TrimRight(part, " .") != part {
			return false
		}
	}
	return true
}

// Agent does what Windows' update agent does, to see whether it works: the proof
// of a cure is that the stage which failed ends well.
type Agent interface {
	// Try repeats one stage. An error means that it could not be tried, never that
	// it failed: that is a Result.
	Try(ctx context.Context, a Attempt) (Outcome, error)
}

// Attempt is what to try.
type Attempt struct {
	Stage  string `json:"stage"`            // scan, download, install
	Update string `json:"update,omitempty"` // the id of the update, for download and install
	KB     string `json:"kb,omitempty"`
	Title  string `json:"title,omitempty"` // as Windows calls the update
}

// Outcome is how it went.
type Outcome struct {
	Result  codes.HRESULT `json:"result"`            // 0 is success
	Stage   string        `json:"stage,omitempty"`   // where it failed, if elsewhere than where was asked
	Updates []Offer       `json:"updates,omitempty"` // what a scan offers
	Restart bool          `json:"restart,omitempty"` // the install is done after a restart
}

// Offer is an update that a scan found.
type Offer struct {
	ID    string `json:"id"`
	KB    string `json:"kb,omitempty"`
	Title string `json:"title"`
}

// Work says how far long work on a host has come.
type Work struct {
	What    string        `json:"what"`    // the tool or the service, as it is named in a Change
	Percent float64       `json:"percent"` // 0 to 100; -1 while it is not known
	Line    string        `json:"line,omitempty"`
	Elapsed time.Duration `json:"elapsed"` // since it began

	// Stage is what the tool is at, by what it writes down: "store-components"; "" unknown.
	Stage string `json:"stage,omitempty"`
	// Still is how long nothing has moved, neither a percent sign nor a log; 0 while
	// something does, or not for long.
	Still time.Duration `json:"still,omitempty"`
}

// Left is how long it will take at the pace so far; 0 while nobody can tell.
func (p Work) Left() time.Duration {
	if p.Percent < 2 || p.Percent > 100 || p.Elapsed < 5*time.Second {
		return 0
	}
	return time.Duration(float64(p.Elapsed) * (100 - p.Percent) / p.Percent)
}
