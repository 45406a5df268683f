package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// AskStartup asks for [Startup].
const AskStartup = "startup"

// Startup is what runs on a machine because Windows starts it: services, what is
// started at a start or a sign-in, and drivers. Who made each is told by its signature.
type Startup struct {
	Entries []StartupEntry `json:"entries"`
	Roles   []StartupRole  `json:"roles,omitempty"`
	Filters []ClassFilter  `json:"filters,omitempty"`
	Unseen  []Unseen       `json:"unseen,omitempty"`
}

// Kinds of what starts with Windows.
const (
	StartService = "service"
	StartDriver  = "driver"
	StartTask    = "task"   // a scheduled task at the start of Windows or at a sign-in
	StartRun     = "run"    // a value of a Run key
	StartOnce    = "once"   // a value of a RunOnce key
	StartFolder  = "folder" // a file in a startup folder
)

// StartupEntry is one of them.
type StartupEntry struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`            // of the service; of the task, with its folders; of the value; of the file
	Where   string `json:"where,omitempty"` // the registry key of the value, the folder of the file
	Display string `json:"display,omitempty"`
	Command string `json:"-"`              // with arguments, among which people write passwords: it is not recorded
	File    string `json:"file,omitempty"` // the program; of a service in a svchost its ServiceDll
	Program

	On      bool `json:"on"`                // it starts with Windows
	Running bool `json:"running,omitempty"` // service, driver: now
	Stops   bool `json:"stops,omitempty"`   // service: it accepts to be stopped now
	AtBoot  bool `json:"atBoot,omitempty"`  // task: nobody has to sign in

	// Of services and drivers, as they are registered. learn.microsoft.com:
	// "CreateServiceW function", "HKLM\SYSTEM\CurrentControlSet\Services Registry Tree".
	Start    int      `json:"start"` // start type, -1 for what is no service
	Error    int      `json:"error,omitempty"`
	Group    string   `json:"group,omitempty"` // load order group
	Needs    []string `json:"needs,omitempty"` // services
	Shielded bool     `json:"shielded,omitempty"`
	SafeMode bool     `json:"safeMode,omitempty"` // it starts in safe mode too
}

// Program is what a program file says of itself, and who signed it.
type Program struct {
	Version string `json:"version,omitempty"`
	Company string `json:"company,omitempty"`
	Product string `json:"product,omitempty"`
	Signed  string `json:"signed,omitempty"`    // see the constants; "" is not known
	Signer  string `json:"signer,omitempty"`    // common name of the signer's certificate
	Owner   string `json:"signerOrg,omitempty"` // its organisation
}

// How a file is signed.
const (
	SignedInside  = "embedded" // the signature is in the file, and is good
	SignedCatalog = "catalog"  // a catalogue that is signed names the file's hash
	SignedNot     = "none"
	SignedBadly   = "invalid" // there is a signature that does not hold
	SignedMissing = "missing" // there is no such file
)

// StartupRole is a part of Windows that others take, by which it is known what a machine
// cannot do without.
type StartupRole struct {
	Role string `json:"role"`           // see the constants
	Name string `json:"name"`           // of the provider, service or product
	File string `json:"file,omitempty"` // its program
}

// The roles.
const (
	RoleCredentials = "credential-provider" // asks who signs in
	RoleNetworkName = "network-provider"    // signs in to servers, or resolves their names
	RoleLSA         = "lsa-package"         // is loaded into the Local Security Authority
	RoleSecurity    = "security-center"     // is registered with the Windows Security Center
)

// ClassFilter are the drivers that are put above or below all devices of a class.
// learn.microsoft.com: "System-Defined Device Setup Classes", UpperFilters and LowerFilters.
type ClassFilter struct {
	Class string   `json:"class"`          // GUID
	Name  string   `json:"name,omitempty"` // of the class: "DiskDrive"
	Upper []string `json:"upper,omitempty"`
	Lower []string `json:"lower,omitempty"`
}

// StartupSystem is what of a machine's startup its registry does not tell.
type StartupSystem interface {
	// Services returns how all services and drivers are now, by lower-case name.
	Services(ctx context.Context) (map[string]ServiceNow, error)
	// Program tells of a program file; what cannot be told is empty.
	Program(ctx context.Context, path string) Program
	// Tasks calls each with the path of every scheduled task below a folder, `\Vendor\Task`,
	// and its definition, until it returns false.
	Tasks(ctx context.Context, each func(name string, definition []byte) bool) error
	// Folder lists the files of a folder, and Read returns what one holds, at most max bytes.
	Folder(path string) ([]string, error)
	Read(path string, max int64) ([]byte, error)
}

// ServiceNow is how a service is at the moment.
type ServiceNow struct {
	State int  // 4 running
	Stops bool // it accepts to be stopped
}

// Bounds of what is listed.
const (
	maxStartup       = 3000 // entries; a machine has some hundred
	maxStartupTasks  = 5000
	maxShortcut      = 64 << 10
	maxStartupImages = 2000
	imagesAtOnce     = 4
)

const (
	keyCurrentUserRun = `HKCU\Software\Microsoft\Windows\CurrentVersion`
	keyMachineRun     = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion`
	keyMachineRun32   = `HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion`
	keyClasses        = `HKLM\SOFTWARE\Classes\CLSID`
	keyControl        = `HKLM\SYSTEM\CurrentControlSet\Control`
)

// FindStartup lists what starts with a machine whose Windows lies in the folder windows,
// C:\Windows.
func FindStartup(ctx context.Context, r Reader, sys StartupSystem, windows string) (Startup, error) {
	x := &starter{finder: finder{ctx: ctx, Reader: r, windows: windows}, sys: sys}
	x.out.Entries = []StartupEntry{}
	x.services()
	x.runKeys()
	x.folders()
	x.tasks()
	x.roles()
	x.filters()
	x.images()
	return x.out, ctx.Err()
}

type starter struct {
	finder // for where a service's program lies
	sys    StartupSystem
	out    Startup
}

func (x *starter) unseen(part string, err error) {
	if err == nil || errors.Is(err, ErrNotExist) || len(x.out.Unseen) >= 20 {
		return
	}
	u := Unseen{Part: part, Why: err.Error()}
	_ = errors.As(err, &u.Result)
	x.out.Unseen = append(x.out.Unseen, u)
}

func (x *starter) add(e StartupEntry) {
	if len(x.out.Entries) < maxStartup {
		x.out.Entries = append(x.out.Entries, e)
	}
}

func textOf(k Key, name string) string {
	v, _ := k.Value(name)
	s, _ := v.String()
	return strings.TrimSpace(s)
}

func numberOf(k Key, name string, missing int) int {
	v, ok := k.Value(name)
	if n, isNumber := v.DWord(); ok && isNumber {
		return int(n)
	}
	return missing
}

func listOf(k Key, name string) []string {
	v, _ := k.Value(name)
	list, _ := v.Strings()
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}

// Bits of a service's type. learn.microsoft.com: "ENUM_SERVICE_STATUS_PROCESSW structure".
const (
	driverTypes     = 1 | 2 | 4 | 8
	serviceTypes    = 0x10 | 0x20
	serviceTemplate = 0x40 // of one that each user has for themselves
	servicePerUser  = 0x80
)

// services lists services that are not switched off, and drivers.
func (x *starter) services() {
	now, err := x.sys.Services(x.ctx)
	x.unseen("services", err)
	list, err := x.Key(x.ctx, keyServiceList)
	x.unseen("services", err)
	safe := map[string]bool{}
	for _, mode := range []string{"Minimal", "Network"} {
		k, err := x.Key(x.ctx, keyControl+`\SafeBoot\`+mode)
		x.unseen("safe mode", err)
		for _, name := range k.Subkeys {
			safe[strings.ToLower(name)] = true
		}
	}
	for _, name := range list.Subkeys {
		if x.ctx.Err() != nil {
			return
		}
		k, err := x.Key(x.ctx, keyServiceList+`\`+name)
		if err != nil {
			x.unseen("service "+name, err)
			continue
		}
		kind, start := numberOf(k, "Type", 0), numberOf(k, "Start", -1)
		e := StartupEntry{
			Kind: StartService, Name: name, Display: textOf(k, "DisplayName"), Command: textOf(k, "ImagePath"), Start: start,
			Error: numberOf(k, "ErrorControl", 0), Group: textOf(k, "Group"), Needs: listOf(k, "DependOnService"),
			Shielded: numberOf(k, "LaunchProtected", 0) != 0, SafeMode: safe[strings.ToLower(name)],
		}
		is := now[strings.ToLower(name)]
		e.Running, e.Stops = is.State == winlog.ServiceRunning, is.Stops
		switch {
		case kind&driverTypes != 0:
			e.Kind = StartDriver
		case kind&(serviceTypes|serviceTemplate) == 0 && (kind != 0 || e.Command == ""), kind&servicePerUser != 0:
			continue // keys of settings alone, and the copies that users have
		}
		e.On = start >= 0 && start <= winlog.ServiceAutoStart
		if !e.On && !e.Running {
			continue // nothing starts it with Windows, nor has anything
		}
		if paths := x.programs(name, k); len(paths) > 0 {
			e.File = x.existing(paths, e.Command)
		}
		if _, program := splitPath(e.File); equalFold(program, "svchost.exe") {
			p, err := x.Key(x.ctx, keyServiceList+`\`+name+`\Parameters`)
			if err != nil && !errors.Is(err, ErrNotExist) {
				x.unseen("service "+name, err)
			}
			dll := cmp.Or(textOf(p, "ServiceDll"), textOf(k, "ServiceDll"))
			if full, ok := x.expand(dll); ok && dll != "" {
				e.File = full
			}
		}
		x.add(e)
	}
}

// existing returns the first of the paths that a command line may mean at which there
// is a file; if there is none, the shortest that is written there and is a program's.
func (x *starter) existing(paths []string, command string) string {
	if len(paths) == 1 {
		return paths[0]
	}
	for _, p := range paths {
		folder, name := splitPath(p)
		names, err := x.sys.Folder(folder)
		if err == nil && slices.ContainsFunc(names, func(n string) bool { return equalFold(n, name) }) {
			return p
		}
	}
	best, command := paths[0], strings.ToLower(command)
	for _, p := range paths { // the shortest comes last
		_, name := splitPath(strings.ToLower(p))
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 && slices.Contains(programs, name[dot:]) && strings.Contains(command, name) && localPath(p) {
			best = p
		}
	}
	return best
}

// programs are the extensions of what runs.
var programs = []string{".exe", ".dll", ".com", ".bat", ".cmd", ".scr", ".sys", ".vbs", ".js", ".ps1"}

func splitPath(p string) (folder, name string) {
	i := strings.LastIndexByte(p, '\\')
	return p[:max(i, 0)], p[i+1:]
}

// runKeys lists what is started at a sign-in. learn.microsoft.com: "Run and RunOnce
// Registry Keys". What Task Manager switched off stands under StartupApproved with an
// odd first byte.
func (x *starter) runKeys() {
	for _, at := range []struct{ key, approved string }{
		{keyMachineRun, keyMachineRun + `\Explorer\StartupApproved\Run`},
		{keyMachineRun32, keyMachineRun + `\Explorer\StartupApproved\Run32`},
		{keyCurrentUserRun, keyCurrentUserRun + `\Explorer\StartupApproved\Run`},
		{`HKCU\Software\WOW6432Node\Microsoft\Windows\CurrentVersion`, ""},
	} {
		approved := Key{}
		if at.approved != "" {
			var err error
			approved, err = x.Key(x.ctx, at.approved)
			x.unseen("run keys", err)
		}
		for name, kind := range map[string]string{"Run": StartRun, "RunOnce": StartOnce} {
			k, err := x.Key(x.ctx, at.key+`\`+name)
			x.unseen("run keys", err)
			for _, v := range k.Values {
				command, ok := v.String()
				if !ok || v.Name == "" || strings.TrimSpace(command) == "" {
					continue
				}
				x.add(StartupEntry{
					Kind: kind, Name: v.Name, Where: at.key + `\` + name, Command: command, File: x.program(command), Start: -1,
					On: !switchedOff(approved, v.Name),
				})
			}
		}
	}
}

func switchedOff(approved Key, name string) bool {
	v, ok := approved.Value(name)
	return ok && len(v.Data) > 0 && v.Data[0]&1 == 1
}

// program is the file that a command line starts. What rundll32 loads is what counts.
func (x *starter) program(command string) string {
	low := strings.ToLower(command)
	if first, rest, ok := strings.Cut(low, "rundll32"); ok && !strings.ContainsAny(first, " ,") {
		rest = strings.TrimPrefix(command[len(command)-len(rest):], ".exe")
		dll, _, _ := strings.Cut(strings.Trim(rest, "\" "), ",")
		if full, ok := x.expand(strings.Trim(dll, "\" ")); ok && localPath(full) {
			return full
		}
	}
	paths := x.programs("", Key{Values: []winlog.RegValue{{Name: "ImagePath", Type: winlog.RegExpandSZ, Data: utf16Stored(command)}}})
	if len(paths) == 0 {
		return ""
	}
	return x.existing(paths, command)
}

// folders lists the startup folders of all users and of this one.
func (x *starter) folders() {
	shell := func(root, name string) string {
		k, err := x.Key(x.ctx, root+`\Explorer\Shell Folders`)
		x.unseen("startup folders", err)
		return textOf(k, name)
	}
	for _, at := range []struct{ folder, approved string }{
		{cmp.Or(shell(keyMachineRun, "Common Startup"), x.windows[:2]+`\ProgramData\Microsoft\Windows\Start Menu\Programs\StartUp`), keyMachineRun},
		{shell(keyCurrentUserRun, "Startup"), keyCurrentUserRun},
	} {
		if !localPath(at.folder) {
			continue
		}
		names, err := x.sys.Folder(at.folder)
		x.unseen("startup folders", err)
		approved, err := x.Key(x.ctx, at.approved+`\Explorer\StartupApproved\StartupFolder`)
		x.unseen("startup folders", err)
		for _, name := range names {
			if equalFold(name, "desktop.ini") {
				continue
			}
			e := StartupEntry{Kind: StartFolder, Name: name, Where: at.folder, File: at.folder + `\` + name, Start: -1, On: !switchedOff(approved, name)}
			if strings.HasSuffix(strings.ToLower(name), ".lnk") {
				e.File = ""
				if b, err := x.sys.Read(at.folder+`\`+name, maxShortcut); err == nil {
					e.File = ShortcutTarget(b)
					e.Command = e.File
				}
			}
			x.add(e)
		}
	}
}

// tasks lists scheduled tasks that run at the start of Windows or at a sign-in.
func (x *starter) tasks() {
	n := 0
	err := x.sys.Tasks(x.ctx, func(name string, definition []byte) bool {
		n++
		t, err := ReadTask(definition)
		if err != nil {
			x.unseen("task "+name, err)
			return n < maxStartupTasks
		}
		if !t.AtStart && !t.AtLogon {
			return n < maxStartupTasks
		}
		e := StartupEntry{Kind: StartTask, Name: name, Display: t.About, Command: strings.TrimSpace(t.Command + " " + t.Arguments), Start: -1, On: t.Enabled, AtBoot: t.AtStart && !t.AtLogon}
		switch {
		case t.Command != "":
			e.File = x.program(`"` + strings.Trim(t.Command, `"`) + `" ` + t.Arguments)
		case t.Class != "":
			e.File = x.server(t.Class)
		}
		x.add(e)
		return n < maxStartupTasks && x.ctx.Err() == nil
	})
	x.unseen("tasks", err)
}

// server is the file of a COM class.
func (x *starter) server(class string) string {
	for _, kind := range []string{"InprocServer32", "LocalServer32"} {
		k, err := x.Key(x.ctx, keyClasses+`\`+class+`\`+kind)
		if err != nil {
			continue
		}
		if s := textOf(k, ""); s != "" {
			if !strings.Contains(s, `\`) {
				s = x.windows + `\System32\` + s
			}
			return x.program(s)
		}
	}
	return ""
}

// roles lists who asks for passwords, signs in to servers, and protects the machine.
// learn.microsoft.com: "Credential Providers in Windows", "Network Provider API",
// "Configuring Additional LSA Protection".
func (x *starter) roles() {
	add := func(role, name, file string) {
		if len(x.out.Roles) < maxStartup && (name != "" || file != "") {
			x.out.Roles = append(x.out.Roles, StartupRole{role, name, file})
		}
	}
	providers := keyMachineRun + `\Authentication\Credential Providers`
	k, err := x.Key(x.ctx, providers)
	x.unseen("credential providers", err)
	for _, class := range k.Subkeys {
		p, err := x.Key(x.ctx, providers+`\`+class)
		x.unseen("credential providers", err)
		add(RoleCredentials, cmp.Or(textOf(p, ""), class), x.server(class))
	}
	k, err = x.Key(x.ctx, keyControl+`\NetworkProvider\Order`)
	x.unseen("network providers", err)
	for name := range strings.SplitSeq(textOf(k, "ProviderOrder"), ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		p, err := x.Key(x.ctx, keyServiceList+`\`+name+`\NetworkProvider`)
		x.unseen("network providers", err)
		file, _ := x.expand(textOf(p, "ProviderPath"))
		add(RoleNetworkName, name, file)
	}
	k, err = x.Key(x.ctx, keyControl+`\Lsa`)
	x.unseen("LSA packages", err)
	for _, name := range slices.Concat(listOf(k, "Authentication Packages"), listOf(k, "Security Packages"), listOf(k, "Notification Packages")) {
		if name = strings.Trim(name, `"`); name != "" {
			add(RoleLSA, name, x.windows+`\System32\`+strings.TrimSuffix(strings.ToLower(name), ".dll")+".dll")
		}
	}
	a, err := x.Ask(x.ctx, Question{Name: AskSecurity})
	if !errors.Is(err, ErrNotRecorded) {
		x.unseen("security center", err)
	}
	var s SecurityProducts
	if err == nil && json.Unmarshal(a.JSON, &s) == nil {
		for _, p := range s.Products {
			file, _ := x.expand(p.Path)
			add(RoleSecurity, p.Name, file)
		}
	}
}

// filters lists the drivers that are put above or below devices.
func (x *starter) filters() {
	k, err := x.Key(x.ctx, keyControl+`\Class`)
	x.unseen("filters", err)
	for _, class := range k.Subkeys {
		if x.ctx.Err() != nil || len(x.out.Filters) >= maxStartup {
			return
		}
		c, err := x.Key(x.ctx, keyControl+`\Class\`+class)
		if err != nil {
			continue
		}
		f := ClassFilter{Class: class, Name: textOf(c, "Class"), Upper: listOf(c, "UpperFilters"), Lower: listOf(c, "LowerFilters")}
		if len(f.Upper)+len(f.Lower) > 0 {
			x.out.Filters = append(x.out.Filters, f)
		}
	}
}

// images asks who made each program, several at once: to check a signature is to read
// the file.
func (x *starter) images() {
	files := map[string]*Program{}
	var (
		wg   sync.WaitGroup
		gate = make(chan struct{}, imagesAtOnce)
	)
	for _, e := range x.out.Entries {
		low := strings.ToLower(e.File)
		if files[low] != nil || !localPath(e.File) || len(files) >= maxStartupImages || x.ctx.Err() != nil {
			continue
		}
		p := new(Program) // its own, so that nobody else writes it
		files[low] = p
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			*p = x.sys.Program(x.ctx, e.File)
		})
	}
	wg.Wait()
	for i := range x.out.Entries {
		if p := files[strings.ToLower(x.out.Entries[i].File)]; p != nil {
			x.out.Entries[i].Program = *p
		}
	}
	sorted.By(x.out.Entries, func(a, b StartupEntry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Where, b.Where))
	})
}

// Guardian stands guard over a machine while a run has changed what starts with it.
type Guardian interface {
	// Guard has the machine start a program at each start, before anybody signs in and
	// in safe mode too, in the place of the guard that stood there.
	Guard(ctx context.Context, g Guard) error
	// Unguard ends that; that there is no guard is no error.
	Unguard(ctx context.Context) error
}

// Guard is what is started.
type Guard struct {
	Program string `json:"program"`        // full path of updoc
	Run     string `json:"run"`            // that is taken back if Windows came up in safe mode, or if nobody goes on with it in time
	User    string `json:"user,omitempty"` // the SID of whose registry HKCU is for it
}

// Check refuses a guard that updoc never sets up.
func (g Guard) Check() error {
	switch {
	case !localPath(g.Program) || strings.Contains(g.Program, `"`):
		return fmt.Errorf("guard: %w: no full path of a program", ErrRefused)
	case g.Run == "" || len(g.Run) > 64 || strings.Trim(g.Run, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != "" || g.Run[0] == '-':
		return fmt.Errorf("guard: %w: %q is no name of a run", ErrRefused, g.Run)
	case g.User != "" && (!strings.HasPrefix(g.User, "S-1-") || len(g.User) > 184 || strings.Trim(g.User[4:], "0123456789-") != ""):
		return fmt.Errorf("guard: %w: %q is no security identifier", ErrRefused, g.User)
	}
	return nil
}
