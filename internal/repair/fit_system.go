package repair

import (
	"slices"
	"strings"
	"unicode"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// fitSystem fits the remedies for everything else of Windows: disks, files,
// drivers, other programs, and what is only said.
func fitSystem() map[string]fitter {
	return map[string]fitter{
		// Disks.
		"check-disk-health":            fitLookAtDisk,
		"run-chkdsk-repair":            fitMendDisk,
		"free-disk-space":              fitFreeDisk,
		"move-old-temp-files":          fitOldTemp,
		"use-external-drive-for-setup": guide("setup-needs-space"),
		"free-efi-partition-space":     guide("boot-files-no-space", "note-small-boot-partition"),
		"resize-winre-partition":       fitRecoveryRoom,
		"restore-recovery-environment": fitRecovery,
		"tell-hardware-fault":          because,

		// Files, folders, keys.
		"repair-named-permission":     guideNamed("csi-access-denied", "cbs-access-denied", "installer-access-denied", "spp-token-permission"),
		"restore-missing-folder":      fitMissingFolder,
		"remove-broken-link":          guideNamed("csi-link-broken", "profile-linked", "note-folder-moved"),
		"remove-registry-size-limit":  fitRegistryLimit,
		"repair-named-registry-value": guideNamed("cbs-registry-value-wrong", "event-provider-conflict", "driver-queue-value-missing", "trustedinstaller-error-126", "driver-step-invalid-data", "driver-step-not-found"),
		"clean-profile-list":          fitProfiles,

		// Other programs.
		"check-file-locks":                fitFilters,
		"add-antivirus-exclusions":        fitFilters,
		"uninstall-third-party-antivirus": fitFilters,
		"tell-security-team-blocking":     because,
		"tell-vendor-conflict":            fitFilters,
		"stop-interfering-program":        guide("program-blamed", "filter-blamed", "task-touches-updates", "service-stopped-by", "program-toggled", "update-blocker", "restart-by-program", "thawed-at-restart"),
		"uninstall-blocking-program":      guide("app-block", "app-block-screen", "note-app-blocks", "app-still-blocked", "program-blamed"),
		"undo-tweak-tool-settings":        fitTweaks,
		"unplug-devices":                  guide("note-two-boot-disks", "two-boot-disks-helped"),
		"run-update-troubleshooter":       fitTroubleshooter,
		"update-store-app":                fitStore,
		"install-defender-definitions":    fitDefinitions,

		// Drivers and parts of Windows.
		"update-or-remove-driver":       guide("driver-hardblock", "upgrade-driver-rule", "driver-package-refused", "driver-update-failed", "sector-size", "bluescreen"),
		"update-firmware":               guide("secureboot-update-failed", "note-hardware-off"),
		"remove-orphan-service-key":     fitOrphanService,
		"remove-ghost-devices":          guide("drivers-log-full", "note-ghost-devices"),
		"remove-stale-device-key":       guideNamed("device-exists-already", "root-devices-installer-failed"),
		"remove-damaged-task":           guideNamed("task-installer-failed", "task-cannot-load"),
		"repair-named-product":          guide("netfx-config-unreadable", "dotnet-installer-failed", "ngen-failed", "dotnet-update-named"),
		"repair-wmi":                    fitWMI,
		"rebuild-appx-state-repository": guide("appx-repository-corrupt", "appx-installer-failed"),
		"run-secureboot-2023-steps":     guide("secureboot-update-failed", "secureboot-installer-failed", "secureboot-update-pending"),
		"convert-mbr-to-gpt":            guide("boot-layout-screen", "mbr2gpt-failed", "legacy-firmware"),

		// Looking.
		"check-setup-requirements": fitRequirements,
		"read-inner-code":          fitInnerCode,
		"read-update-log":          fitRead(winlog.WindowsUpdate),
		"run-setupdiag":            fitRead(winlog.SetupDiag),
		"run-memory-test":          guide("note-bad-memory", "hardware-error-events"),
		"collect-support-report":   guide(),

		// Saying how it is.
		"tell-hardware-unsupported":     because,
		"tell-vm-owner-raise-resources": because,
		"tell-nothing-to-repair":        because,
		"tell-known-issue":              fitTellIssue,
		"tell-safeguard-hold":           because,
		"tell-why-not-offered":          because,
		"tell-out-of-support":           because,
		"tell-enrolment-requirements":   because,
	}
}

// ledOnly are remedies that the catalogue calls automatic and that updoc leaves to
// a person so far: who holds a file nobody lists; a report goes to somebody.
var ledOnly = []string{"check-file-locks", "check-package-applicability", "collect-support-report"}

// byHand makes a treatment one that a person is led through. Without it what only
// looks would be followed by another attempt at once, which could show nothing new.
func (f *fit) byHand() {
	if f.out.How == Automatic {
		f.out.How = Guided
	}
}

// guide leads a person: first the line by which the cause was seen, so that they
// know what is meant, then how.
func guide(marks ...string) fitter {
	return func(f *fit) {
		f.byHand()
		f.leadSeen(marks)
		f.lead("remedy." + f.out.ID + ".how")
	}
}

// guideNamed is guide for what touches one named thing: without the name it is not done.
func guideNamed(marks ...string) fitter {
	return func(f *fit) {
		if !f.leadSeen(marks) {
			f.not("plan.name-unknown")
			return
		}
		f.lead("remedy." + f.out.ID + ".how")
	}
}

// leadSeen quotes the first line that shows one of the signatures, and the path
// that it names.
func (f *fit) leadSeen(marks []string) bool {
	for _, id := range marks {
		seen, ok := f.Mark(id)
		if !ok {
			continue
		}
		if p := ntPath(seen.Text); p != "" {
			f.lead("plan.object", "name", p)
		}
		f.leadLine(seen.Source, seen.Text)
		return true
	}
	return false
}

func (f *fit) leadLine(source, text string) {
	if text = quote(text); text != "" {
		f.lead("plan.seen", "source", orUnknown(source), "line", text)
	}
}

// because leads with the heaviest evidence of the causes that it is for.
func because(f *fit) {
	f.byHand()
	for _, x := range f.diagnosis.Findings {
		if x.Cause == nil || !slices.Contains(f.out.Causes, x.ID) {
			continue
		}
		best := -1
		for i, e := range x.Evidence {
			if e.For && e.Seen != "" && (best < 0 || e.Weight > x.Evidence[best].Weight) {
				best = i
			}
		}
		if best >= 0 {
			f.leadLine(x.Evidence[best].Source, x.Evidence[best].Seen)
			break
		}
	}
	f.lead("remedy." + f.out.ID + ".how")
}

// longestQuote bounds a quoted line, in characters.
const longestQuote = 240

// quote makes one printable line of what a log says.
func quote(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if r := []rune(s); len(r) > longestQuote {
		return string(r[:longestQuote]) + "..."
	}
	return s
}

// ntPath returns the path on a drive that a line of the component store quotes:
// '\??\C:\Windows\INF'.
func ntPath(line string) string {
	_, rest, ok := strings.Cut(line, `\??\`)
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, `'";`); i >= 0 {
		rest = rest[:i]
	}
	rest = strings.TrimRight(rest, `\`)
	if (host.Change{Kind: host.FolderMake, Path: rest}).Check() != nil {
		return ""
	}
	return rest
}

// fitMissingFolder makes the folder that the log names. A file that is missing is
// another matter: it has contents.
func fitMissingFolder(f *fit) {
	for _, seen := range f.Marks("csi-path-missing") {
		p := ntPath(seen.Text)
		if p == "" {
			continue
		}
		dir, name := p[:strings.LastIndexByte(p, '\\')], p[strings.LastIndexByte(p, '\\')+1:]
		if strings.Contains(name, ".") {
			// STATUS_OBJECT_PATH_NOT_FOUND says that it is the folder of the file.
			if !strings.Contains(seen.Text, "PATH_NOT_FOUND") && !strings.Contains(strings.ToLower(seen.Text), "c000003a") {
				continue
			}
			p = dir
		}
		c := host.Change{Kind: host.FolderMake, Path: p}
		if c.Check() == nil && !slices.ContainsFunc(f.out.Steps, func(s Step) bool { return strings.EqualFold(s.Change.Path, p) }) {
			f.do(c)
		}
	}
	if len(f.out.Steps) == 0 {
		f.not("plan.name-unknown")
	}
}

const (
	keyControl     = `HKLM\SYSTEM\CurrentControlSet\Control`
	keyProfileList = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
)

func fitRegistryLimit(f *fit) {
	switch v := f.DWord(keyControl, "RegistrySizeLimit"); {
	case v.State == facts.Unknown:
		f.not("plan.not-looked", "what", "RegistrySizeLimit")
	case v.State == facts.Absent || v.Value == 0:
		f.not("plan.nothing-to-change", "what", "RegistrySizeLimit")
	default:
		f.step(Step{Change: host.Change{Kind: host.ValueDel, Path: keyControl, Name: "RegistrySizeLimit"}, Restart: true})
	}
}

// fitLookAtDisk: a look while Windows runs.
func fitLookAtDisk(f *fit) {
	f.runs("plan.lasting.only-looks", "chkdsk", f.drive(), "/scan")
}

// fitMendDisk looks first, which also notes what is to be mended at the next
// start, and leads a person through the rest: it asks for a restart and a backup.
func fitMendDisk(f *fit) {
	guide("file-system-damaged", "ntfs-damage-event", "disk-bad-block")(f)
	f.runs("", "chkdsk", f.drive(), "/scan")
}

func fitRecoveryRoom(f *fit) {
	if r := f.Recovery; r.State == facts.Present && r.Value.Location != "" {
		f.lead("plan.object", "name", r.Value.Location)
	}
	f.lead("remedy.resize-winre-partition.how")
}

// fitRecovery switches the recovery environment on where it is only off. Where its
// image is gone a person brings one.
func fitRecovery(f *fit) {
	_, gone := f.Mark("winre-gone")
	switch r := f.Recovery; {
	case r.State == facts.Present && r.Value.Enabled:
		f.not("plan.nothing-to-change", "what", "Windows RE")
		return
	case r.State == facts.Present && r.Value.Error == 0 && !gone:
		f.step(Step{
			Change: host.Change{Kind: host.Run, Path: "reagentc", Args: []string{"/enable"}},
			Undo:   []host.Change{{Kind: host.Run, Path: "reagentc", Args: []string{"/disable"}}},
		})
	}
	f.lead("remedy.restore-recovery-environment.how")
}

// fitFilters names the drivers of other makers that see every file.
func fitFilters(f *fit) {
	var names []string
	for _, x := range f.Filters.Value {
		if !x.Microsoft {
			names = append(names, strings.TrimSpace(x.Name+" "+x.Altitude))
		}
	}
	if len(names) > 0 {
		f.lead("plan.filters", "names", strings.Join(names[:min(len(names), 12)], ", "))
	}
	if f.out.How == Advice || f.out.Risk == RiskNone {
		because(f)
		return
	}
	guide("av-blocks", "av-holds-file", "av-ate-file", "av-compat-block", "av-named")(f)
}

// tweaked are the remedies for what such tools change, each of which knows whose a
// setting is and what it was. The tool's own undo comes first.
var tweaked = []string{
	"restore-renamed-service-files", "restore-service-start-types", "comment-out-hosts-entries", "remove-leftover-update-policy", "disable-blocking-firewall-rules",
}

// fitTweaks puts together what fits of them; what does not fit is none of the
// tool's doing, or somebody else's to change.
func fitTweaks(f *fit) {
	guide("tweak-tool", "update-blocker", "debloat-tool")(f)
	all := fitters()
	for _, id := range tweaked {
		part := &fit{Facts: f.Facts, diagnosis: f.diagnosis, run: f.run, out: Treatment{ID: id, Risk: f.out.Risk, How: f.out.How}}
		if fitPart, ok := all[id]; ok {
			fitPart(part)
		}
		if part.why.ID != "" || len(part.out.Steps) == 0 {
			continue
		}
		f.out.Steps = append(f.out.Steps, part.out.Steps...)
		for _, l := range part.out.Lead {
			if l.ID != "remedy."+id+".how" {
				f.out.Lead = append(f.out.Lead, l)
			}
		}
	}
}

// fitTroubleshooter runs the troubleshooter while Windows has it: since Windows 11
// 22H2 its place is taken by the app Get Help, which nothing can start in its stead.
// learn.microsoft.com: "Deprecated features for Windows client", MSDT.
func fitTroubleshooter(f *fit) {
	if n := f.build(); n >= 7600 && n < 22621 {
		f.runs("", "msdt", "/id", "WindowsUpdateDiagnostic")
	} else {
		f.lead("plan.troubleshooter-retired")
	}
	f.lead("remedy.run-update-troubleshooter.how")
}

func fitStore(f *fit) {
	if f.generation() == windows7 {
		f.not("plan.windows-lacks-it")
		return
	}
	f.runs("", "wsreset")
	f.lead("remedy.update-store-app.how")
}

// fitDefinitions: Defender's own updater. Where another antivirus serves Defender
// is off and takes no definitions.
func fitDefinitions(f *fit) {
	if f.disabled("WinDefend") {
		f.not("plan.defender-off")
		return
	}
	f.runs("", "mpcmdrun", "-SignatureUpdate")
}

// fitWMI asks for the least of the three: what can be read is kept.
func fitWMI(f *fit) {
	if f.disabled("Winmgmt") {
		f.not("plan.service-disabled", "service", "Winmgmt")
		return
	}
	f.leadSeen([]string{"wmi-inconsistent", "wmi-installer-failed", "wmi-fails-in-setup"})
	f.lead("remedy.repair-wmi.how")
	f.runs("", "winmgmt", "/salvagerepository")
}

// fitRequirements: what Windows' own appraiser found was read with everything else.
func fitRequirements(f *fit) {
	const key = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\AppCompatFlags\HwReqChk`
	if v := f.Value(key, "HwReqChkVars"); v.State == facts.Present {
		f.not("plan.looked-already", "what", "HwReqChkVars")
		return
	}
	because(f)
}

// fitInnerCode: the codes inside were read with everything else.
func fitInnerCode(f *fit) {
	for _, x := range f.Failures {
		if x.Code.Wrapper() && x.Extend == 0 {
			f.byHand()
			f.lead("plan.wrapper", "code", x.Code.String())
			f.lead("remedy.read-inner-code.how")
			return
		}
	}
	f.not("plan.no-wrapper")
}

func fitTellIssue(f *fit) {
	if f.tellIssue() {
		f.lead("remedy.tell-known-issue.how")
		return
	}
	because(f)
}
