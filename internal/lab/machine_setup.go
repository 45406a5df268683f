package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Where setup works and writes its logs.
// learn.microsoft.com: "Windows Setup log files and event logs".
const (
	setupFolder   = `C:\$WINDOWS.~BT\Sources`
	setupLog      = setupFolder + `\Panther\setupact.log`
	setupErrors   = setupFolder + `\Panther\setuperr.log`
	rollbackLog   = setupFolder + `\Rollback\setupact.log`
	profileList   = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
	setMedia      = "state/media/"         // and the path: what they hold, see MediaSpec
	setSetup      = "state/setup"          // what waits for the restart, see setupWaits
	setOutcome    = "state/setup-outcome"  // how setup ended, see setupOutcome
	setBlocks     = "state/blocks"         // programs that setup refuses, with semicolons between
	setBadDriver  = "state/crashes-safeos" // a driver package with which the small system of setup does not start
	setEncrypted  = "state/bitlocker"      // "on"
	setBattery    = "state/battery"        // percent; without it the machine is on mains
	setLanguage   = "state/language"       // in which Windows was installed
	setSpaceBoot  = "state/free-boot"      // bytes that are free on the partition that starts Windows
	defaultSpeech = "en-US"
)

// What setup ends with. learn.microsoft.com: "Windows upgrade error codes".
const (
	eScanClean    codes.HRESULT = 0xC1900210
	eBlocked      codes.HRESULT = 0xC1900208
	eChoice       codes.HRESULT = 0xC1900204
	eSetupSpace   codes.HRESULT = 0xC190020E
	eRolledBack   codes.HRESULT = 0xC1900101
	eNoMedia      codes.HRESULT = 0x80070003
	eBadOptions   codes.HRESULT = 0xC190010A
	eProfileTwice codes.HRESULT = 0x80070002
)

// setupWaits is what is staged and goes on with the next start.
type setupWaits struct {
	Build    string `json:"build"`
	Revision uint32 `json:"revision"`
}

// setupOutcome is how the last run of setup ended.
type setupOutcome struct {
	Result codes.HRESULT `json:"result"`
	Extend uint32        `json:"extend"`
	Rolled bool          `json:"rolled"`
	Ended  time.Time     `json:"ended"`
}

// unpackMedia puts installation media on the machine: an ISO file, or a folder.
func (m *Machine) unpackMedia(data []byte) error {
	var list map[string]MediaSpec
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for p, s := range list {
		known, err := json.Marshal(s)
		if err != nil {
			return err
		}
		m.now.Settings[setMedia+strings.ToLower(strings.TrimSuffix(p, `\`))] = string(known)
		files := map[string][]byte{p + `\setup.exe`: setupProgram, p + `\sources\install.wim`: s.install()}
		if isISO(p) {
			m.now.Settings[strings.ToLower(host.ImageSetting(p))] = "off"
			files = map[string][]byte{p: s.disc()}
		}
		if strings.HasSuffix(strings.ToLower(p), ".esd") {
			files = map[string][]byte{p: s.esd()}
		}
		for name, b := range files {
			at := m.place(name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, b, 0o600)); err != nil {
				return err
			}
		}
	}
	return nil
}

func isISO(p string) bool { return strings.HasSuffix(strings.ToLower(p), ".iso") }

// Where is the path here of a file of the machine.
func (m *Machine) Where(p string) string { return m.place(p) }

// media returns what the media at a path hold; an ISO file has to be mounted.
func (m *Machine) media(p string) (s MediaSpec, ok bool) {
	known, ok := m.setting(setMedia + strings.TrimSuffix(p, `\`))
	if on, _ := m.setting(host.ImageSetting(p)); !ok || isISO(p) && on != "on" {
		return s, false
	}
	return s, json.Unmarshal([]byte(known), &s) == nil
}

// unpackMedium makes media of an ESD file as DISM does, if these are the arguments for that.
func (m *Machine) unpackMedium(args []string) (done bool, err error) {
	value := func(name string) string {
		for _, a := range args {
			if v, ok := strings.CutPrefix(a, name); ok {
				return v
			}
		}
		return ""
	}
	write := func(name string, b []byte) error {
		at := m.place(name)
		return errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, b, 0o600))
	}
	switch {
	case len(args) == 0:
		return false, nil
	case args[0] == "/Apply-Image":
		if _, ok := m.media(value("/ImageFile:")); !ok {
			return true, eNoMedia
		}
		return true, write(value("/ApplyDir:")+`\setup.exe`, setupProgram)
	case args[0] == "/Export-Image":
		s, ok := m.media(value("/SourceImageFile:"))
		index, err := strconv.Atoi(value("/SourceIndex:"))
		if index -= beforeEditions + 1; !ok || err != nil || index < 0 || index >= len(s.Editions) {
			return true, eNoMedia
		}
		s.Editions = s.Editions[index : index+1]
		wim := value("/DestinationImageFile:")
		known, err := json.Marshal(s)
		if err != nil {
			return true, err
		}
		folder := strings.TrimSuffix(wim, `\sources\install.wim`)
		return true, errors.Join(write(wim, s.install()), m.change(func(st *state) error {
			st.Settings[setMedia+strings.ToLower(folder)] = string(known)
			return nil
		}))
	}
	return false, nil
}

// setupAnswer answers what a machine with media is asked beside its registry.
func (m *Machine) setupAnswer(name string) (v any, ok bool) {
	if name == host.AskSetup {
		return m.setupState(), true
	}
	text := func(name, otherwise string) string {
		if v, ok := m.setting(name); ok {
			return v
		}
		return otherwise
	}
	registry := func(name string) string {
		return read(m, func(s *state) string { return s.Registry.text(currentVersion, name) })
	}
	switch name {
	case host.AskEdition:
		return host.Edition{Product: registry("EditionID"), Release: registry("DisplayVersion"), Build: m.build(), Arch: "amd64", Language: text(setLanguage, defaultSpeech), Firmware: "uefi"}, true
	case host.AskVolumes:
		return host.Volumes{System: "C:", Volumes: []host.Volume{
			{ID: `\\?\Volume{0a0a0a0a-0000-4000-8000-000000000001}\`, Paths: []string{`C:\`}, FileSystem: "NTFS", Drive: 3, Size: 256 << 30, Free: m.free(), Role: host.RoleBasic, Protected: text(setEncrypted, "off")},
			{ID: `\\?\Volume{0a0a0a0a-0000-4000-8000-000000000002}\`, FileSystem: "FAT32", Drive: 3, Size: 100 << 20, Free: m.number(setSpaceBoot, 60<<20), Role: host.RoleEFI},
			{ID: `\\?\Volume{0a0a0a0a-0000-4000-8000-000000000003}\`, FileSystem: "NTFS", Drive: 3, Size: 1 << 30, Free: 400 << 20, Role: host.RoleRecovery},
		}}, true
	case host.AskRestart:
		return read(m, (*state).pending), true
	case host.AskPowerState:
		battery := m.number(setBattery, -1)
		mains := battery < 0
		return host.Power{Mains: &mains, Battery: int(battery)}, true
	case host.AskManagement:
		return read(m, (*state).management), true
	}
	return nil, false
}

// pending is what waits for a restart, as the registry has it.
func (s *state) pending() host.PendingRestart {
	r := s.Registry
	there := func(key string) bool { return r.key(key) != nil }
	p := host.PendingRestart{
		Servicing: there(cbsKey + `\RebootPending`), InProgress: there(cbsKey + `\RebootInProgress`),
		Update: there(agentKey + `\Auto Update\RebootRequired`), Started: s.Started,
	}
	if k := r.key(cbsKey + `\PackagesPending`); k != nil {
		p.Packages = len(k.Values)
	}
	v, _ := r.value(`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`, "PendingFileRenameOperations")
	moves, _ := v.Strings()
	p.Files = (len(moves) + 1) / 2
	return p
}

// management is who may set policies: a domain, whose members start Netlogon by themselves,
// a server that the machine is enrolled at, or nobody.
func (s *state) management() host.Management {
	m := host.Management{Joined: "workgroup"}
	if s.start("Netlogon").Type == winlog.ServiceAutoStart {
		m.Joined, m.Name = "domain", s.Registry.text(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, "Domain")
	}
	client := s.Registry.key(`HKLM\SOFTWARE\Microsoft\CCM`) != nil
	m.ConfigMgr = &client
	return m
}

func readNumber(m *Machine, key, name string) (n uint32, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now.Registry.number(key, name)
}

func (m *Machine) build() string {
	return read(m, func(s *state) string {
		n, _ := s.Registry.number(currentVersion, "UBR")
		return fmt.Sprintf("%s.%d", s.Registry.text(currentVersion, "CurrentBuild"), n)
	})
}

// setupState is what setup leaves for those who ask.
func (m *Machine) setupState() host.SetupState {
	out := host.SetupState{Percent: -1, Build: m.build()}
	if _, waits := m.setting(setSetup); waits {
		out.Running, out.Percent = true, 60
	}
	if n, ok := readNumber(m, currentVersion, "InstallDate"); ok {
		out.Installed = time.Unix(int64(n), 0).UTC()
	}
	var how setupOutcome
	if text, ok := m.setting(setOutcome); ok && json.Unmarshal([]byte(text), &how) == nil {
		out.Result, out.Extend, out.Rolled, out.Ended = how.Result, how.Extend, how.Rolled, how.Ended
	}
	entries, _ := os.ReadDir(m.place(setupFolder + `\Panther`))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "CompatData") && len(out.Reports) < host.MaxSetupReports {
			if b, err := os.ReadFile(filepath.Join(m.place(setupFolder+`\Panther`), e.Name())); err == nil && len(b) <= host.MaxSetupReport {
				out.Reports = append(out.Reports, b)
			}
		}
	}
	return out
}

// setup runs setup.exe of media: it looks at the machine, and, unless it was to do
// nothing else, stages what the next start does.
func (m *Machine) setup(args []string) error {
	s, ok := m.media(args[0])
	if !ok {
		return eNoMedia
	}
	line := strings.ToLower(strings.Join(args, " "))
	build, revision := s.version()
	old := strings.HasPrefix(build, "1") // Windows 10 does not know the option
	if old == strings.Contains(line, "/eula accept") {
		return eBadOptions
	}
	if err := m.change(func(st *state) error { delete(st.Settings, setOutcome); return nil }); err != nil {
		return err
	}
	l := &setupLines{m: m}
	l.say("Info", "MOUPG", "**************** SetupHost Logging Begin ****************")
	l.say("Info", "MOUPG", "SetupHost::Initialize: CmdLine = [/Install /Media %s]", strings.Join(args, " "))
	if h := m.compat(l, s); h != 0 {
		l.gives(h, 0x50000)
		return errors.Join(m.outcome(h, 0x50000, false), l.write(setupLog), h)
	}
	if strings.Contains(line, "scanonly") {
		l.gives(eScanClean, 0x5001B)
		return l.write(setupLog) // a look that ended with 0xC1900210 did what it was for
	}
	l.say("Info", "SP", "OPERATIONTRACK ExecuteOperations: Start execution phase Downlevel")
	l.say("Info", "SP", "Executing operation: Apply WIM file PathForNewOSFile, index 1 to C:\\$WINDOWS.~BT\\NewOS")
	if sid := m.twoProfiles(); sid != "" {
		l.say("Error", "MIG", "Duplicate user profile of %s in ProfileList, 0x80070002", sid)
		l.gaveUp(eProfileTwice)
		l.gives(eProfileTwice, 0x50009)
		return errors.Join(m.outcome(eProfileTwice, 0x50009, false), l.write(setupLog), eProfileTwice)
	}
	l.say("Info", "SP", "ExecuteOperations: Successfully processed execution phase Downlevel")
	if err := l.write(setupLog); err != nil {
		return err
	}
	staged, err := json.Marshal(setupWaits{build, revision})
	if err != nil {
		return err
	}
	return m.change(func(st *state) error { st.Settings[setSetup] = string(staged); return nil })
}

// twoProfiles returns an account whose profile is listed twice: Windows renamed the
// first entry when it could not load it.
func (m *Machine) twoProfiles() string {
	return read(m, func(s *state) string {
		for _, sid := range s.Registry.subkeys(profileList) {
			if account, ok := strings.CutSuffix(strings.ToLower(sid), ".bak"); ok && s.Registry.key(profileList+`\`+account) != nil {
				return account
			}
		}
		return ""
	})
}

// compat is setup's look at the machine: what the state implies, and nothing else.
func (m *Machine) compat(l *setupLines, s MediaSpec) codes.HRESULT {
	edition := read(m, func(st *state) string { return st.Registry.text(currentVersion, "EditionID") })
	speech, ok := m.setting(setLanguage)
	if !ok {
		speech = defaultSpeech
	}
	const needs = 20 << 30
	switch {
	case !strings.EqualFold(speech, s.Language):
		l.say("Info", "CONX", "Compatibility: MismatchedLanguage, found HardBlock")
		return eChoice
	case !slices.ContainsFunc(s.Editions, func(e string) bool { return strings.EqualFold(e, edition) }):
		l.say("Error", "MOUPG", "MigChoice: Selected install choice is not available.")
		return eChoice
	case m.free() < needs:
		l.say("Info", "CONX", "Compatibility: SystemDriveDiskSpace, found HardBlock")
		return eSetupSpace
	}
	blocks, _ := m.setting(setBlocks)
	var report strings.Builder
	for name := range strings.SplitSeq(blocks, ";") {
		if name = strings.TrimSpace(name); name != "" {
			l.say("Warning", "CONX", "Found Application Block for %s: manual uninstall", name)
			fmt.Fprintf(&report, `<Program Name="%s"><CompatibilityInfo BlockingType="Hard" StatusDetail="UpgradeBlock"/><Action Name="ManualUninstall" ResolveState="NotRun"/></Program>`, escaped(name))
		}
	}
	at := m.place(setupFolder + `\Panther\CompatData_1.xml`)
	doc := `<?xml version="1.0" encoding="utf-8"?><CompatReport><Programs>` + report.String() + `</Programs></CompatReport>`
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(doc), 0o600)); err != nil {
		return eNoMedia
	}
	if report.Len() > 0 {
		return eBlocked
	}
	l.say("Info", "CONX", "ConX::Compatibility::CCompatibilityHost::SetScanResult: Provider wsc:setup: reports NoIssue")
	return 0
}

func (m *Machine) outcome(h codes.HRESULT, extend uint32, rolled bool) error {
	text, err := json.Marshal(setupOutcome{h, extend, rolled, m.Now()})
	if err != nil {
		return err
	}
	return m.change(func(s *state) error { s.Settings[setOutcome] = string(text); return nil })
}

// finishSetup is what setup does with the starts of the machine: either the new Windows
// runs in the end, with a component store that is whole, or the old one does, as it was.
func (m *Machine) finishSetup() error {
	text, ok := m.setting(setSetup)
	if !ok {
		return nil
	}
	var waits setupWaits
	if err := json.Unmarshal([]byte(text), &waits); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	m.world.Advance(40 * time.Minute)
	l := &setupLines{m: m}
	l.say("Info", "SP", "OPERATIONTRACK ExecuteOperations: Start execution phase Safe OS")
	how, log := setupOutcome{Ended: m.Now()}, rollbackLog
	if driver, ok := m.setting(setBadDriver); ok {
		how.Result, how.Extend, how.Rolled = eRolledBack, 0x20017, true
		l.say("Info", "SP", "Crash 0x0000007E detected")
		l.say("Info", "SP", "  Module name           : %s", driver)
		l.say("Info", "SP", "Cannot recover the system.")
		l.say("Info", "SP", "Rollback: Showing splash window with restoring text: Restoring your previous version of Windows.")
		l.say("Info", "MOUPG", "SetupHost: Reporting error event -> [0xC1900101, 0x20017]")
	} else {
		log = setupLog
		for _, phase := range []string{"Safe OS", "First Boot", "Post OOBE"} {
			l.say("Info", "SP", "ExecuteOperations: Successfully processed execution phase %s", phase)
		}
	}
	if err := l.write(log); err != nil {
		return err
	}
	ended, err := json.Marshal(how)
	if err != nil {
		return err
	}
	return m.change(func(s *state) error {
		delete(s.Settings, setSetup)
		s.Settings[setOutcome] = string(ended)
		if how.Rolled {
			return nil
		}
		s.Registry.set(currentVersion, "CurrentBuild", sz(1, waits.Build))
		s.Registry.set(currentVersion, "CurrentBuildNumber", sz(1, waits.Build))
		s.Registry.set(currentVersion, "UBR", dword(waits.Revision))
		s.Registry.set(currentVersion, "InstallDate", dword(uint32(m.world.Now().Unix())))
		s.Settings[setStore] = "sound"
		delete(s.Settings, "state/deltas")
		return nil
	})
}

// setupLines are lines that setup has not written yet; it writes errors into a second
// file as well.
type setupLines struct {
	m           *Machine
	all, errors []string
}

func (l *setupLines) say(level, component, format string, args ...any) {
	line := fmt.Sprintf("%s, %-22s%-7s%s", l.m.Now().UTC().Format(time.DateTime), level, component, fmt.Sprintf(format, args...))
	l.all = append(l.all, line)
	if level == "Error" {
		l.errors = append(l.errors, line)
	}
}

// gaveUp is how the platform of setup ends its work.
func (l *setupLines) gaveUp(h codes.HRESULT) {
	l.say("Error", "SP", "Operation failed: Migrate framework (Full). Error: 0x%08X[gle=0x000000b7]", uint32(h))
	l.say("Error", "SP", "CSetupPlatformPrivate::Execute: Execution of operations queue failed, abandoning. Error: 0x%08X", uint32(h))
}

// gives is how setup reports its result.
func (l *setupLines) gives(h codes.HRESULT, extend uint32) {
	l.say("Info", "MOUPG", "SetupHost: Reporting error event -> [0x%08X, 0x%X]", uint32(h), extend)
	l.say("Error", "MOUPG", "CSetupManager::Execute(295): Result = 0x%08X", uint32(h))
	l.say("Error", "MOUPG", "CSetupHost::Execute(433): Result = 0x%08X", uint32(h))
	l.say("Info", "MOUPG", "**************** SetupHost Logging End ****************")
}

func (l *setupLines) write(log string) error {
	return errors.Join(l.m.append(log, l.all...), l.m.append(setupErrors, l.errors...))
}
