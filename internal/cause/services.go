package cause

import (
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// keyServices is where the service control manager keeps its database.
const keyServices = `HKLM\SYSTEM\CurrentControlSet\Services\`

// neededService is a service without which some step of updating fails.
type neededService struct {
	name string
	off  Weight // what it tells when it is disabled
	// codes that this service, when disabled, is known to give; with one of
	// them the weight rises to strong. None: it matters in every case.
	codes []codes.HRESULT
}

// neededServices are the services whose disabling is known to break updating.
// BITS and TrustedInstaller change their start type by themselves, between
// Manual and Automatic, and that is no fault; Disabled never comes by itself.
// learn.microsoft.com: "Troubleshoot issues with WSUS client agents", "Windows
// Update issues troubleshooting".
var neededServices = [...]neededService{
	{name: "wuauserv", off: Conclusive},
	{name: "UsoSvc", off: Strong},
	{name: "cryptsvc", off: Strong},
	{name: "TrustedInstaller", off: Strong},
	{name: "bits", off: Strong},
	{name: "RpcSs", off: Strong},
	{name: "DoSvc", off: Moderate, codes: []codes.HRESULT{0x80070422, 0x80D01001, 0x80246008}},
	{name: "msiserver", off: Weak, codes: []codes.HRESULT{0x80070641, 0x80070422, 0x80070643}},
	{name: "mpssvc", off: Moderate, codes: []codes.HRESULT{0x800706D9, 0x80D0000A, 0x80070422, 0x80073D0A}},
	{name: "BFE", off: Moderate, codes: []codes.HRESULT{0x800706D9, 0x80D0000A, 0x8007042C, 0x80070422}},
	{name: "wlidsvc", off: Weak, codes: []codes.HRESULT{0x80070426, 0x80070422}},
	{name: "EventSystem", off: Weak, codes: []codes.HRESULT{0x8007042C}},
	{name: "EventLog", off: Moderate, codes: []codes.HRESULT{0x8007042C, 0x80070422}},
	{name: "Schedule", off: Moderate, codes: []codes.HRESULT{0x80070422, 0x800F0922}},
	{name: "AppXSVC", off: Weak, codes: []codes.HRESULT{0x80070422, 0x800F0922}},
	{name: "Winmgmt", off: Weak, codes: []codes.HRESULT{0x80070422, 0x800F0922}},
}

// SERVICES returns the causes that lie in the services which updating runs in.
func SERVICES() []*Cause {
	return []*Cause{
		{
			ID: "service-disabled", Family: "services", Prior: 2.2,
			Stages:  []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall},
			LeadsTo: []string{"device-ticket-missing", "bits-queue-stuck", "service-hung"},
			Remedies: []string{
				"restore-service-start-types", "restart-update-services", "undo-tweak-tool-settings", "tell-policy-owner", "check-service-state",
			},
			Check: evidence(
				disabledServices,
				lostNeeds(false),
				lostTriggers,
				conclusive("scm-service-disabled", "scm-set-to-disabled"),
				strong("start-failed-disabled"),
				conclusive("csi-service-disabled"),
				strong("sens-off"),
				strong("note-service-disabled"),
				strong("note-services-tuned"),
				helped(Strong, "note-service-enabled-helped"),
				strong("wu-sign-in-assistant-off"),
				strong("do-firewall-service-off", "note-firewall-service-off"),
				moderate("scm-dependency-failed"),
				moderate("note-update-service-not-running"),
				moderate("tweak-tool"),
				moderate("settings-page-dead"),
				weak("note-updates-switched-off"),
				code(Weak, 0x80070422),
				against(Moderate, "service-does-not-exist", "note-service-missing"),
				cures("undo-tweak-tool-settings", "tweak-tool"),
				policyStartsServices,
				missing("sc qc wuauserv, UsoSvc, bits, cryptsvc, TrustedInstaller: START_TYPE", "events 7000 and 7040 of the Service Control Manager"),
			),
		},
		{
			ID: "service-missing", Family: "services", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageInstall, facts.StageDownload},
			Remedies: []string{"restore-deleted-service", "restore-renamed-service-files", "restore-service-start-types", "run-in-place-upgrade", "remove-orphan-service-key"},
			Check: evidence(
				absentServices,
				lostNeeds(true),
				replacedPaths(Strong),
				strong("service-does-not-exist"),
				strong("scm-dependency-missing"),
				strong("csi-service-absent"),
				strong("note-service-missing"),
				conclusive("scm-binary-missing", "scm-entry-broken"),
				strong("start-failed-binary"),
				strong("service-files-renamed"),
				strong("services-backed-up"),
				moderate("note-malware-before"),
				code(Weak, 0x80070424),
				cures("restore-renamed-service-files", "service-files-renamed"),
				missing("sc query and sc qc of each update service: does it exist, what does it start", "ServiceDll below Parameters of the service, and whether the file is there"),
			),
		},
		{
			ID: "service-permissions", Family: "services", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"repair-service-permissions", "restart-update-services", "undo-tweak-tool-settings"},
			Check: evidence(
				conclusive("sddl-denies", "sddl-of-reset-scripts"),
				conclusive("scm-access-denied"),
				strong("start-access-denied"),
				strong("sc-access-denied"),
				strong("note-service-rights"),
				strong("note-start-type-locked", "note-sc-access-denied"),
				against(Moderate, "note-not-elevated"),
				missing("sc sdshow wuauserv and bits, from an elevated prompt"),
			),
		},
		{
			ID: "service-hung", Family: "services", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall},
			Remedies: []string{"restart-machine", "restart-update-services", "wait-and-retry", "check-service-state"},
			Check: evidence(
				pendingServices,
				strong("scm-service-hung"),
				strong("stop-or-start-pending"),
				strong("note-service-stuck"),
				moderate("scm-service-crashed", "note-service-crashes"),
				moderate("note-scan-freezes"),
				helped(Moderate, "note-service-restart-helped"),
				against(Moderate, "start-failed-disabled", "note-service-disabled", "service-does-not-exist"),
				missing("sc query wuauserv: START_PENDING or STOP_PENDING", "events 7009, 7011, 7022 of the Service Control Manager"),
			),
		},
		{
			ID: "blocker-tool", Family: "services", Prior: 0.8,
			Stages: []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall},
			LeadsTo: []string{
				"service-disabled", "service-missing", "service-permissions", "policy-disabled-updates", "not-offered",
			},
			Remedies: []string{
				"undo-tweak-tool-settings", "restore-service-start-types", "remove-leftover-update-policy", "restore-renamed-service-files",
				"stop-interfering-program", "repair-service-permissions",
			},
			Check: evidence(
				conclusive("update-blocker"),
				strong("note-switches-itself-off"),
				strong("note-blocker-wanted"),
				both(Strong, "note-updates-switched-off", "tweak-tool"),
				strong("update-dll-locked"),
				tweakTool,
				installedTool,
				moderate("service-files-renamed"),
				guardsDisabled,
				replacedPaths(Moderate),
				cures("restore-renamed-service-files", "service-files-renamed"),
				missing("which program or task sets the services back: installed programs, scheduled tasks"),
			),
		},
	}
}

// startType returns how a service starts: what sc said, else the registry.
func startType(l *look, name string) (start int, source string, known bool) {
	if s := l.Service(name); s.State == facts.Present && s.Value.Name != "" && s.Value.Start > winlog.ServiceUnknown {
		return s.Value.Start, s.Value.ConfiguredIn(), true
	}
	v := l.DWord(keyServices+name, "Start")
	if v.State != facts.Present {
		return 0, "", false
	}
	return int(v.Value), v.Source, true
}

// disabledServices counts services that are disabled, the ones that every
// update needs more than the ones that only some need.
func disabledServices(l *look) {
	for _, n := range neededServices {
		start, source, known := startType(l, n.name)
		if !known || start != winlog.ServiceDisabled {
			continue
		}
		w := n.off
		if _, ok := l.hit(n.codes); ok {
			w = max(w, Strong)
		}
		l.For(w, source, "%s is disabled", n.name)
	}
	if start, source, known := startType(l, "wuauserv"); known && start != winlog.ServiceDisabled {
		l.Against(Weak, source, "wuauserv is not disabled")
	}
}

// lostNeeds counts what services of updating need in vain, since a program had them need
// it: a service that was taken away with that program (1075), or is disabled (1068). A
// code that such a start ends with makes it the reason.
func lostNeeds(gone bool) rule {
	return func(l *look) {
		w, ends := Strong, []codes.HRESULT{0x8007042C}
		if gone {
			ends = []codes.HRESULT{0x80070433}
		}
		if _, ok := l.hit(ends); ok {
			w = Conclusive
		}
		for _, n := range l.LostNeeds() {
			switch {
			case n.Gone != gone:
				continue
			case gone:
				l.For(w, n.Source, "%s needs %s, and there is no such service", n.Service, n.Need)
			default:
				l.For(w, n.Source, "%s needs %s, which Windows does not have it need, and which is disabled", n.Service, n.Need)
			}
			l.Cure("restore-service-start-types")
			return
		}
	}
}

// lostTriggers counts services that nothing starts any more. Whoever calls them starts
// them still: it is no more than a hint, unless nothing failed with a code and updates
// do not come by themselves.
func lostTriggers(l *look) {
	for _, t := range l.LostTriggers() {
		if start, _, known := startType(l, t.Service); !known || start != winlog.ServiceDemandStart && start != winlog.ServiceDisabled {
			continue
		}
		w := Weak
		if _, ok := l.Mark("note-no-automatic-scan"); ok {
			w = Strong
		}
		l.For(w, t.Source, "Windows ships %s with events that start it, and here none does", t.Service)
		if w == Strong {
			l.Cure("restore-service-start-types")
		}
		return
	}
}

// policyStartsServices: start types that a group policy sets come back by
// themselves; only its owner can change them.
func policyStartsServices(l *look) {
	if _, ok := l.Mark("note-services-by-policy"); ok {
		l.Cure("tell-policy-owner", "restore-service-start-types")
	}
}

// absentServices counts services that the machine was asked for and does not
// have. WaaSMedicSvc and UsoSvc came with Windows 10, DoSvc too.
func absentServices(l *look) {
	for _, name := range []string{"wuauserv", "bits", "cryptsvc", "TrustedInstaller"} {
		if s := l.Service(name); s.State == facts.Absent && s.Source != "" {
			l.For(Conclusive, s.Source, "there is no service %s", name)
			return
		}
	}
	for _, name := range []string{"UsoSvc", "DoSvc", "WaaSMedicSvc", "BFE", "mpssvc"} {
		if s := l.Service(name); s.State == facts.Absent && s.Source != "" && modernWindows(l) {
			l.For(Strong, s.Source, "there is no service %s", name)
			return
		}
	}
	if s := l.Service("wuauserv"); s.State == facts.Present && (s.Value.Binary == "" || servicePaths[0].fits(s.Value.Binary)) {
		l.Against(Weak, s.Source, "wuauserv is there")
	}
}

// modernWindows reports Windows 10 or later, as far as it is known.
func modernWindows(l *look) bool {
	return buildNumber(l) >= 10240 || strings.Contains(l.Machine.OS, "Windows 1")
}

// pendingServices counts services that hang on the way to another state.
func pendingServices(l *look) {
	for _, name := range []string{"wuauserv", "bits", "cryptsvc", "UsoSvc", "TrustedInstaller", "DoSvc", "msiserver"} {
		s := l.Service(name)
		if s.State != facts.Present {
			continue
		}
		switch s.Value.State {
		case winlog.ServiceStartPending:
			l.For(Strong, s.Source, "%s is START_PENDING", name)
		case winlog.ServiceStopPending:
			l.For(Strong, s.Source, "%s is STOP_PENDING", name)
		}
	}
}

// tweakTool counts a tool that changes many settings at once. It is the cause
// when what fails is something that such tools switch off; where a damaged store
// is to blame, it is not.
func tweakTool(l *look) {
	seen, ok := l.Mark("tweak-tool")
	switch {
	case !ok:
	case l.partGone():
		l.add(true, Weak, seen)
	default:
		l.add(true, Strong, seen)
	}
}

// installedTool counts a program that can keep updates off and is installed: more where
// nobody else can have set a policy that is there.
func installedTool(l *look) {
	m := l.Management.Value
	if l.Management.State != facts.Present || len(m.Tools) == 0 {
		return
	}
	w := Weak
	if slices.ContainsFunc(m.Owners, func(o host.Owned) bool { return o.Owner == host.OwnerTool }) {
		w = Moderate
	}
	l.For(w, l.Management.Source, "%s is installed, which can keep updates off", strings.Join(m.Tools[:min(len(m.Tools), 5)], ", "))
}

// guardsDisabled: Windows guards some services against being disabled in its own
// console. That they are shows the hand of a tool.
func guardsDisabled(l *look) {
	off := 0
	for _, name := range []string{"wuauserv", "UsoSvc", "WaaSMedicSvc", "DoSvc", "bits"} {
		if start, _, known := startType(l, name); known && start == winlog.ServiceDisabled {
			off++
		}
	}
	start, source, known := startType(l, "WaaSMedicSvc")
	if known && start == winlog.ServiceDisabled && off >= 2 {
		l.For(Moderate, source, "WaaSMedicSvc and others are disabled, which Windows' own console does not allow")
	}
}
