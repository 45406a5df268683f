package cause

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Registry places that policies of updating live in. Group Policy writes below
// Policies; MDM (Intune) below PolicyManager; the Settings app below UX.
// learn.microsoft.com: "Manage additional Windows Update settings", "Policy CSP - Update".
const (
	keyMDMUpdate       = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\Update`
	keyUpdateSettings  = `HKLM\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings`
	keyUserUpdate      = `HKCU\Software\Microsoft\Windows\CurrentVersion\Policies\WindowsUpdate`
	keyDOPolicy        = `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`
	keyBITSPolicy      = `HKLM\SOFTWARE\Policies\Microsoft\Windows\BITS`
	keyMemory          = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management`
	firstWindows11     = 22000
	longestPause       = 35 * 24 * time.Hour // what a pause by policy lasts at most
	slowestUsefulKBps  = 64                  // below it a monthly update takes half a day
	smallestUsefulPart = 5                   // percent of the bandwidth
)

// Codes with which the agent says that a policy keeps it from asking.
var codesForbidden = []codes.HRESULT{0x8024002E, 0x8024500C, 0x80240025, 0x8024500B}

// Codes with which Delivery Optimization says that a setting stands in the way.
// learn.microsoft.com: Delivery Optimization error codes.
var (
	codesDOMode = []codes.HRESULT{0x80D03002, 0x80D03001, 0x80D03802, 0x80D03806, 0x80D03807, 0x80D03809}
	codesDOCost = []codes.HRESULT{0x80D03801, 0x80D03803, 0x80D03804}
)

// POLICY returns the causes in which somebody decided, knowingly or not, that
// updates shall not come, or in which Microsoft did.
func POLICY() []*Cause {
	return []*Cause{
		{
			ID: "policy-disabled-updates", Family: "policy", Prior: 1.2,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"remove-leftover-update-policy", "tell-policy-owner", "set-scan-source-policy", "check-update-policies"},
			Check: evidence(
				accessDisabled,
				internetLocationsOff,
				inventedServer,
				checkButtonHidden,
				automaticUpdatesOff,
				conclusive("wu-access-disabled"),
				strong("policy-message"),
				strong("note-policy-disables"),
				strong("note-policy-script"),
				helped(Strong, "note-policy-removed-helped"),
				moderate("note-managed-by-organization"),
				moderate("note-update-policy"),
				moderate("tweak-tool"),
				code(Weak, codesForbidden...),
				against(Moderate, "wu-access-enabled"),
				ownedPolicy("remove-leftover-update-policy"),
				missing(`DisableWindowsUpdateAccess and DoNotConnectToWindowsUpdateInternetLocations of the policy key`, "gpresult /h: who sets them"),
			),
		},
		{
			ID: "scan-source-conflict", Family: "policy", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"set-scan-source-policy", "tell-policy-owner", "check-update-policies"},
			Check: evidence(
				dualScan,
				sourcesPerClass,
				alternateServer,
				strong("note-dual-scan"),
				strong("note-two-managers"),
				both(Strong, "note-wsus", "note-deferral-policy"),
				internetLocationsBesideWSUS,
				moderate("wu-two-services"),
				missing("SetPolicyDrivenUpdateSourceFor..., DisableDualScan and deferral policies beside WUServer", "which services $MUSM.Services shows as default"),
			),
		},
		{
			ID: "do-policy", Family: "policy", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageDownload},
			Remedies: []string{"set-delivery-optimization-simple-mode", "tell-policy-owner", "restart-update-services"},
			Check: evidence(
				downloadMode,
				downloadLimits,
				code(Strong, codesDOMode...),
				strong("do-blocked-by-setting"),
				strong("note-do-policy"),
				moderate("note-do"),
				helped(Moderate, "note-do-changed-helped"),
				missing("DODownloadMode and the limits below the DeliveryOptimization policy key", "Get-DeliveryOptimizationStatus"),
			),
		},
		{
			ID: "metered-or-paused", Family: "policy", Prior: 1, Silent: true,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"resume-paused-updates", "tell-why-not-offered", "tell-policy-owner"},
			Check: evidence(
				pausedBySettings,
				pausedByPolicy,
				code(Strong, codesDOCost...),
				code(Strong, 0x8020003E),
				waits(Strong, "paused-message", "metered-message", "note-paused"),
				waits(Moderate, "note-metered"),
				ownedPolicy("resume-paused-updates"),
				missing("PauseUpdatesExpiryTime of the update settings", "whether the connection is marked as metered"),
			),
		},
		{
			ID: "wufb-deferral-or-pin", Family: "policy", Prior: 0.9, Silent: true,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"remove-leftover-update-policy", "tell-policy-owner", "tell-why-not-offered"},
			Check: evidence(
				issueOf("wufb-deferral-or-pin"),
				targetRelease,
				deferrals,
				pinned,
				strong("note-pin-tool"),
				moderate("note-deferral"),
				moderate("note-ring"),
				weak("note-managed-by-organization"),
				ownedPolicy("remove-leftover-update-policy"),
				missing("TargetReleaseVersionInfo, DeferFeatureUpdatesPeriodInDays, DeferQualityUpdatesPeriodInDays", "the update ring that the device is in"),
			),
		},
		{
			ID: "safeguard-hold", Family: "policy", Prior: 0.8, Silent: true,
			Stages:   []facts.Stage{facts.StageScan, facts.StageSetup},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"tell-safeguard-hold", "tell-why-not-offered", "wait-server-side-fix"},
			Check: evidence(
				issueOf("safeguard-hold"),
				gatedByMicrosoft,
				strong("safeguard-message"),
				conclusive("media-installation-drives"),
				strong("safeguard-id"),
				strong("note-safeguard"),
				against(Moderate, "safeguard-none"),
				cures("unplug-devices", "media-installation-drives"),
				missing("GatedBlockId below TargetVersionUpgradeExperienceIndicators", "the known issues of that version at Windows release health"),
			),
		},
		{
			ID: "out-of-support-os", Family: "policy", Prior: 0.8, Silent: true,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"tell-out-of-support", "retry-feature-update", "tell-enrolment-requirements"},
			Check: evidence(
				outOfSupport,
				endedLongAgo,
				strong("end-of-service-message"),
				strong("note-end-of-support"),
				missing("the build number, and the date of the newest log"),
			),
		},
		{
			ID: "esu-not-entitled", Family: "policy", Prior: 0.5, Silent: true,
			Stages:   []facts.Stage{facts.StageScan, facts.StageInstall, facts.StageRestart},
			LeadsTo:  []string{"not-offered", "wrong-architecture"},
			Remedies: []string{"tell-enrolment-requirements", "tell-out-of-support", "install-servicing-stack"},
			Check: evidence(
				issueOf("esu-not-entitled"),
				conclusive("esu-not-eligible", "esu-check-fails", "note-esu-unlicensed"),
				strong("note-esu"),
				strong("note-esu-key"),
				esuPeriod,
				paidUpdate,
				cures("install-servicing-stack", "note-esu-prerequisite"),
				missing("slmgr.vbs /dlv: is an ESU add-on activated", "lines with \"ESU:\" in CBS.log"),
			),
		},
		{
			ID: "hotpatch-not-eligible", Family: "policy", Prior: 0.2, Silent: true,
			Stages:   []facts.Stage{facts.StageScan, facts.StageInstall},
			LeadsTo:  []string{"not-offered"},
			Remedies: []string{"tell-enrolment-requirements", "tell-policy-owner"},
			Check: evidence(
				strong("note-hotpatch"),
				moderate("note-hotpatch-requirement"),
				strong("hotpatch-not-eligible"),
				hotpatchSwitches,
				cures("install-latest-cumulative-update", "hotpatch-baseline"),
				missing("edition, whether virtualization-based security runs, and the baseline of this quarter"),
			),
		},
		{
			ID: "not-offered", Family: "policy", Prior: 2, Silent: true,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"tell-why-not-offered", "check-update-policies", "tell-wsus-sync-products", "remove-leftover-update-policy"},
			Check: evidence(
				strong("note-gradual-rollout"),
				strong("note-optional-update"),
				strong("note-shown-elsewhere"),
				strong("note-other-products"),
				driversExcluded,
				otherProductsOff,
				notOfferedAtAll,
				missing("which update is missing, for which product, and since when others have it"),
			),
		},
	}
}

// on reports a policy value that is present and not zero.
func on(v facts.Fact[uint32]) bool { return v.State == facts.Present && v.Value != 0 }

// accessDisabled: "Remove access to use all Windows Update features".
// learn.microsoft.com: "Manage additional Windows Update settings".
func accessDisabled(l *look) {
	if v := l.DWord(keyUpdatePolicy, "DisableWindowsUpdateAccess"); on(v) {
		l.For(Conclusive, v.Source, "DisableWindowsUpdateAccess = %d", v.Value)
	} else if v.State == facts.Present {
		l.Against(Weak, v.Source, "DisableWindowsUpdateAccess = 0")
	}
	if v := l.DWord(keyUserUpdate, "DisableWindowsUpdateAccess"); on(v) {
		l.For(Strong, v.Source, "DisableWindowsUpdateAccess = %d for the user", v.Value)
	}
}

// internetLocationsOff: the policy cuts off Microsoft's own services. A machine
// with a WSUS of its own lives with it, unless it asks for what only Microsoft has.
func internetLocationsOff(l *look) {
	v := l.DWord(keyUpdatePolicy, "DoNotConnectToWindowsUpdateInternetLocations")
	if !on(v) {
		switchedOff(l, v)
		return
	}
	const seen = "DoNotConnectToWindowsUpdateInternetLocations = 1"
	server := policyServer(l)
	at, forbidden := l.hit(codesForbidden)
	switch {
	case server == "" || deadOnPurpose(server):
		l.For(Conclusive, v.Source, "%s, and there is no server to ask instead", seen)
	case forbidden:
		l.For(Strong, v.Source, "%s: %s", seen, at.Text)
	default:
		l.For(Weak, v.Source, seen)
	}
}

// switchedOff counts a policy that somebody set to "no" beside a complaint of updating that
// has no code: who has such a value has somebody who decides what updating may do, and
// where nothing failed a setting is likelier than a fault.
func switchedOff(l *look, v facts.Fact[uint32]) {
	if v.State == facts.Present && silent(l) && !begun(l) {
		l.For(Moderate, v.Source, "DoNotConnectToWindowsUpdateInternetLocations = %d, and what is complained of has no code", v.Value)
	}
}

// internetLocationsBesideWSUS: a policy of Windows Update for Business makes the
// machine leave its WSUS, and another forbids it Microsoft's service. No source
// is left. learn.microsoft.com: "Use Windows Update for Business and WSUS together".
func internetLocationsBesideWSUS(l *look) {
	seen, locations := l.Mark("note-internet-locations")
	_, wsus := l.Mark("note-wsus")
	_, deferral := l.Mark("note-deferral-policy")
	switch {
	case locations && wsus && deferral:
		l.add(true, Conclusive, seen)
	case locations && wsus:
		l.add(true, Moderate, seen)
	}
}

// inventedServer: a WSUS that does not exist, put there to keep updates off.
func inventedServer(l *look) {
	use := l.DWord(keyAUPolicy, "UseWUServer")
	v := l.Text(keyUpdatePolicy, "WUServer")
	if v.State != facts.Present || strings.TrimSpace(v.Value) == "" || use.State == facts.Present && use.Value == 0 {
		return
	}
	if host := hostOf(v.Value); host == "" && !strings.Contains(v.Value, ".") || host != "" && deadOnPurpose(host) {
		l.For(Conclusive, v.Source, "WUServer = %s names no server at all", v.Value)
	}
}

// checkButtonHidden: "Remove access to Pause updates / Check for updates".
func checkButtonHidden(l *look) {
	for _, key := range []string{keyUpdatePolicy, keyMDMUpdate} {
		if v := l.DWord(key, "SetDisableUXWUAccess"); on(v) {
			l.For(Moderate, v.Source, "SetDisableUXWUAccess = 1: nobody can search by hand")
			return
		}
	}
}

// automaticUpdatesOff: the machine does not search by itself. Searching by hand
// still works, so it explains only that nothing comes.
func automaticUpdatesOff(l *look) {
	v := l.DWord(keyAUPolicy, "NoAutoUpdate")
	options := l.DWord(keyAUPolicy, "AUOptions")
	switch {
	case on(v) && silent(l):
		l.For(Strong, v.Source, "NoAutoUpdate = 1")
	case on(v):
		l.For(Weak, v.Source, "NoAutoUpdate = 1")
	case options.State == facts.Present && options.Value == 1:
		l.For(Moderate, options.Source, "AUOptions = 1: automatic updating is off")
	}
}

// ownedPolicy: a policy that a domain, MDM or ConfigMgr sets comes back; only its
// owner can change it. On a machine that nobody manages it is a leftover.
func ownedPolicy(leftover string) rule {
	return func(l *look) {
		if _, alone := l.first([]string{"not-in-a-domain", "note-home-machine", "note-left-domain"}); alone {
			l.Cure(leftover)
			return
		}
		if _, owned := l.first([]string{"note-domain-policy", "in-a-domain"}); owned {
			l.Cure("tell-policy-owner")
			return
		}
		switch who, known := l.managed(); {
		case who != "":
			l.Cure("tell-policy-owner")
		case known:
			l.Cure(leftover)
		}
	}
}

// deferralValues are the policies which, on Windows 10, make the agent ask
// Microsoft although a WSUS is named. learn.microsoft.com: "Use Windows Update
// for Business and WSUS together".
var deferralValues = []string{
	"DeferFeatureUpdates", "DeferFeatureUpdatesPeriodInDays", "DeferQualityUpdates", "DeferQualityUpdatesPeriodInDays",
	"PauseFeatureUpdatesStartTime", "PauseQualityUpdatesStartTime", "BranchReadinessLevel", "ExcludeWUDriversInQualityUpdate",
}

// dualScan: WSUS and Windows Update for Business on one machine.
func dualScan(l *look) {
	server := policyServer(l)
	use := l.DWord(keyAUPolicy, "UseWUServer")
	if server == "" || !on(use) || deadOnPurpose(server) || buildNumber(l) >= firstWindows11 {
		return
	}
	if v := l.DWord(keyUpdatePolicy, "DisableDualScan"); on(v) {
		l.Against(Moderate, v.Source, "DisableDualScan = 1")
		return
	}
	for _, key := range []string{keyUpdatePolicy, keyMDMUpdate} {
		for _, name := range deferralValues {
			if v := l.Value(key, name); v.State == facts.Present && !isZero(l, key, name) {
				l.For(complained(l, Strong), v.Source, "%s beside WUServer = %s, without DisableDualScan", name, server)
				return
			}
		}
	}
}

// isZero reports a value that says "off", as number or as text.
func isZero(l *look, key, name string) bool {
	if n := l.DWord(key, name); n.State == facts.Present {
		return n.Value == 0
	}
	s := strings.TrimSpace(l.Text(key, name).Value)
	return s == "" || s == "0"
}

// updateClasses are the kinds of update for which a source can be set.
var updateClasses = []string{"FeatureUpdates", "QualityUpdates", "DriverUpdates", "OtherUpdates"}

// sourcesPerClass reads "Specify source service for specific classes of Windows
// Updates": 0 Windows Update, 1 WSUS. Values written by hand are ignored unless
// UseUpdateClassPolicySource is 1 too.
func sourcesPerClass(l *look) {
	const prefix = "SetPolicyDrivenUpdateSourceFor"
	var toMicrosoft, toWSUS facts.Fact[uint32]
	set := 0
	for _, class := range updateClasses {
		for _, key := range []string{keyUpdatePolicy, keyUpdatePolicy + `\UpdateSource`, keyMDMUpdate} {
			v := l.DWord(key, prefix+class)
			if v.State != facts.Present {
				continue
			}
			set++
			if v.Value == 0 {
				toMicrosoft = v
			} else {
				toWSUS = v
			}
			break
		}
	}
	if set == 0 {
		return
	}
	server := policyServer(l)
	locations := l.DWord(keyUpdatePolicy, "DoNotConnectToWindowsUpdateInternetLocations")
	switch {
	case toMicrosoft.State == facts.Present && on(locations):
		l.For(Conclusive, toMicrosoft.Source, "%s... sends scans to Windows Update, DoNotConnectToWindowsUpdateInternetLocations forbids it", prefix)
	case toWSUS.State == facts.Present && server == "" && l.Text(keyUpdatePolicy, "WUServer").State == facts.Absent:
		l.For(Conclusive, toWSUS.Source, "%s... = 1, but no WSUS is named", prefix)
	case l.DWord(keyAUPolicy, "UseUpdateClassPolicySource").State == facts.Absent && server != "":
		l.For(complained(l, Strong), cmp.Or(toMicrosoft.Source, toWSUS.Source), "%s... without UseUpdateClassPolicySource: the values are ignored", prefix)
	case set < len(updateClasses) && toMicrosoft.State == facts.Present && server != "":
		l.For(Weak, toMicrosoft.Source, "%s... is set for %d of %d kinds of update", prefix, set, len(updateClasses))
	}
}

// alternateServer: a second server for the files. It is another source, and one
// that is easily forgotten.
func alternateServer(l *look) {
	v := l.Text(keyUpdatePolicy, "UpdateServiceUrlAlternate")
	if v.State != facts.Present || strings.TrimSpace(v.Value) == "" {
		return
	}
	if server := l.Text(keyUpdatePolicy, "WUServer"); !strings.EqualFold(hostOf(server.Value), hostOf(v.Value)) {
		l.For(Moderate, v.Source, "UpdateServiceUrlAlternate = %s beside WUServer = %s", v.Value, server.Value)
	}
}

// downloadMode judges DODownloadMode: 100 goes round Delivery Optimization, which
// Windows 11 no longer allows. learn.microsoft.com: "Delivery Optimization reference".
func downloadMode(l *look) {
	v := l.DWord(keyDOPolicy, "DODownloadMode")
	switch {
	case v.State != facts.Present:
	case v.Value == 100 && buildNumber(l) >= firstWindows11:
		l.For(complained(l, Strong), v.Source, "DODownloadMode = 100, which Windows 11 no longer has")
	case v.Value == 100:
		l.For(Moderate, v.Source, "DODownloadMode = 100: downloads go round Delivery Optimization")
	case v.Value == 99 || v.Value == 0:
		l.Against(Weak, v.Source, "DODownloadMode = %d", v.Value)
	}
}

// downloadLimits finds limits that leave too little to finish a download, and a
// cache server, which is one more thing that can be down.
func downloadLimits(l *look) {
	for _, name := range []string{"DOMaxBackgroundDownloadBandwidth", "DOMaxForegroundDownloadBandwidth"} {
		if v := l.DWord(keyDOPolicy, name); on(v) && v.Value < slowestUsefulKBps {
			l.For(complained(l, Strong), v.Source, "%s = %d KB/s", name, v.Value)
		}
	}
	for _, name := range []string{"DOPercentageMaxBackgroundBandwidth", "DOPercentageMaxForegroundBandwidth"} {
		if v := l.DWord(keyDOPolicy, name); on(v) && v.Value < smallestUsefulPart {
			l.For(Moderate, v.Source, "%s = %d %%", name, v.Value)
		}
	}
	if v := l.Text(keyDOPolicy, "DOCacheHost"); v.State == facts.Present && v.Value != "" {
		if _, stuck := l.hit([]codes.HRESULT{0x80D02002, 0x80D0200B, 0x80D02003}); stuck {
			l.For(Moderate, v.Source, "DOCacheHost = %s", v.Value)
		}
	}
	limited := l.DWord(keyBITSPolicy, "EnableBITSMaxBandwidth")
	if rate := l.DWord(keyBITSPolicy, "MaxTransferRateOnSchedule"); on(limited) && rate.State == facts.Present && rate.Value < slowestUsefulKBps*8 {
		l.For(complained(l, Strong), rate.Source, "BITS may use %d kbit/s", rate.Value)
	}
}

// pausedBySettings compares the end of the pause with the newest log.
func pausedBySettings(l *look) {
	v := l.Text(keyUpdateSettings, "PauseUpdatesExpiryTime")
	if v.State != facts.Present || v.Value == "" {
		return
	}
	end, err := time.Parse(time.RFC3339, v.Value)
	if err != nil {
		return
	}
	switch now := newest(l); {
	case now.IsZero():
		l.For(Moderate, v.Source, "updates are paused until %s", v.Value)
	case now.Before(end):
		l.For(complained(l, Strong), v.Source, "updates are paused until %s, after the newest log of %s", v.Value, now.Format(time.DateOnly))
	default:
		l.Against(Moderate, v.Source, "the pause ended %s", v.Value)
	}
}

// pausedByPolicy: a pause by policy lasts 35 days from its start.
func pausedByPolicy(l *look) {
	for _, key := range []string{keyUpdatePolicy, keyMDMUpdate} {
		for _, name := range []string{"PauseQualityUpdatesStartTime", "PauseFeatureUpdatesStartTime", "PauseUpdatesStartTime"} {
			v := l.Text(key, name)
			if v.State != facts.Present || len(v.Value) < len(time.DateOnly) {
				continue
			}
			start, err := time.Parse(time.DateOnly, v.Value[:len(time.DateOnly)])
			if err != nil {
				continue
			}
			switch now := newest(l); {
			case now.IsZero():
				l.For(Moderate, v.Source, "%s = %s", name, v.Value)
			case now.After(start.Add(longestPause)):
				l.Against(Weak, v.Source, "%s = %s: the pause is over", name, v.Value)
			default:
				l.For(complained(l, Strong), v.Source, "%s = %s", name, v.Value)
			}
			l.Cure("tell-policy-owner")
			return
		}
	}
}

// waits is evidence as sign is, but little of it where an update came, and was
// undone: people pause updates after that, too.
func waits(w Weight, ids ...string) rule {
	return func(l *look) {
		for _, f := range l.Suffering() {
			switch f.Kind {
			case facts.KindReverted, facts.KindReinstalls, facts.KindRestartLoop, facts.KindNoBoot:
				w = Weak
			}
		}
		sign(w, ids...)(l)
	}
}

// complained lowers what a lawful setting tells where nobody complains: a company
// may pause, limit and defer as it likes, and its machines are healthy.
func complained(l *look, w Weight) Weight {
	if len(l.Suffering()) == 0 {
		return min(w, Moderate)
	}
	return w
}

// quiet is how much a setting that only delays tells: much where updates do not
// come and nothing fails, little beside an error.
func quiet(l *look) Weight {
	switch {
	case notOffered(l):
		return Conclusive
	case silent(l):
		return Strong
	case len(l.Suffering()) == 0:
		return Moderate
	}
	return Weak
}

// targetRelease: "Select the target Feature Update version" keeps the machine on
// one release until that one is out of support.
func targetRelease(l *look) {
	for _, key := range []string{keyUpdatePolicy, keyMDMUpdate} {
		name := "TargetReleaseVersionInfo"
		if key == keyMDMUpdate {
			name = "TargetReleaseVersion"
		}
		info := l.Text(key, name)
		if info.State != facts.Present || strings.TrimSpace(info.Value) == "" {
			continue
		}
		if v := l.DWord(key, "TargetReleaseVersion"); key == keyUpdatePolicy && v.State == facts.Present && v.Value == 0 {
			continue
		}
		l.For(quiet(l), info.Source, "%s = %s: no other release is offered", name, info.Value)
		return
	}
}

// deferrals reads for how many days updates are put off, by policy or by the person.
func deferrals(l *look) {
	for _, name := range []string{"DeferFeatureUpdatesPeriodInDays", "DeferQualityUpdatesPeriodInDays"} {
		for _, key := range []string{keyUpdatePolicy, keyMDMUpdate, keyUpdateSettings} {
			if v := l.DWord(key, name); on(v) {
				l.For(quiet(l), v.Source, "%s = %d", name, v.Value)
				break
			}
		}
	}
}

// pinned counts words about a pinned release, which are weak beside an error.
func pinned(l *look) {
	if seen, ok := l.Mark("note-target-release"); ok {
		l.add(true, max(Moderate, min(Strong, quiet(l))), seen)
	}
}

// gatedByMicrosoft reads the block that the appraiser left for a release: a
// number of eight digits, or None.
func gatedByMicrosoft(l *look) {
	for _, target := range l.Subkeys(keyIndicators).Value {
		if v := l.Text(keyIndicators+`\`+target, "GatedBlockId"); v.State == facts.Present && allDigits(v.Value) {
			l.For(complained(l, Conclusive), v.Source, "%s: GatedBlockId = %s", target, v.Value)
			return
		}
	}
}

func allDigits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// codesOfAge are what old versions of Windows get from services that have moved on.
var codesOfAge = []codes.HRESULT{0x80072EFE, 0x80240017, 0x80248015, 0x80072F8F, 0x80244019, 0x8024402C}

// outOfSupport compares the build with the newest time in the logs.
func outOfSupport(l *look) {
	r, ok := machineRelease(l)
	now := newest(l)
	if !ok || now.IsZero() || now.Before(r.end.AddDate(0, 1, 0)) {
		return
	}
	w := Weak
	_, old := l.hit(codesOfAge)
	switch {
	case notOffered(l) || silent(l) && !begun(l):
		w = Strong
	case old:
		w = Moderate
	}
	l.For(w, l.Machine.Source, "%s got its last updates on %s, the newest log is of %s", r, r.end.Format(time.DateOnly), now.Format(time.DateOnly))
}

// endedLongAgo: nothing has come for years, and the release that the report names is
// one that had its last update. Without a log nobody knows the day of the report.
func endedLongAgo(l *look) {
	seen, ok := l.Mark("note-nothing-for-years")
	r, known := machineRelease(l)
	if !ok || !known || !newest(l).IsZero() || r.end.After(tableMade()) {
		return
	}
	if notOffered(l) || silent(l) {
		l.add(true, Strong, seen)
	}
}

// esuPeriod: the machine lives in the years in which updates must be paid or
// enrolled for.
func esuPeriod(l *look) {
	r, ok := machineRelease(l)
	now := newest(l)
	if !ok || now.IsZero() || r.extended.IsZero() || now.Before(r.end.AddDate(0, 0, 27)) || now.After(r.extended) {
		return
	}
	w := Weak
	if _, hit := l.hit([]codes.HRESULT{0x80070661, 0x80240017, 0x800F0922}); hit || notOffered(l) {
		w = Moderate
	}
	l.For(w, l.Machine.Source, "%s needs Extended Security Updates since %s", r, r.end.Format(time.DateOnly))
}

// paidUpdate: the update that fails is one of those that a version gets only with
// Extended Security Updates, by its number.
func paidUpdate(l *look) {
	r, ok := machineRelease(l)
	first := firstPaid(r.build)
	if !ok || r.extended.IsZero() || first == 0 {
		return
	}
	paid := func(kb string) bool {
		n, err := strconv.Atoi(strings.TrimPrefix(canonicalKB(kb), "KB"))
		return err == nil && n >= first
	}
	for _, f := range l.Suffering() {
		kb := f.Update.KB
		if i := slices.IndexFunc(l.KBs, paid); kb == "" && i >= 0 {
			kb = l.KBs[i]
		}
		if len(f.Seen) == 0 || !paid(kb) {
			continue
		}
		w := Moderate
		if f.Kind == facts.KindReverted || f.Code == 0x80070661 || f.Code == 0x800F0923 {
			w = Strong
		}
		l.For(w, f.Seen[0].Source, "%s comes only with Extended Security Updates for %s", canonicalKB(kb), r)
		return
	}
}

// hotpatchSwitches reads what keeps hotpatches off.
// learn.microsoft.com: "Hotpatch updates".
func hotpatchSwitches(l *look) {
	if _, asked := l.first([]string{"note-hotpatch", "hotpatch-not-eligible"}); !asked {
		return
	}
	if v := l.DWord(keyMemory, "HotPatchTableSize"); v.State == facts.Present && v.Value == 0 {
		l.For(Moderate, v.Source, "HotPatchTableSize = 0")
	}
	if b := buildNumber(l); b != 0 && b < 26100 && b != 20348 {
		l.For(Strong, l.Machine.Source, "build %d has no hotpatches", b)
	}
}

// driversExcluded: a policy takes drivers out of what Windows Update offers.
func driversExcluded(l *look) {
	seen, asked := l.Mark("note-driver-not-offered")
	for _, key := range []string{keyUpdatePolicy, keyMDMUpdate, keyUpdateSettings} {
		v := l.DWord(key, "ExcludeWUDriversInQualityUpdate")
		if !on(v) {
			continue
		}
		if asked {
			l.For(Strong, v.Source, "ExcludeWUDriversInQualityUpdate = 1: %s", seen.Text)
			l.Cure("tell-why-not-offered", "remove-leftover-update-policy")
		} else if notOffered(l) {
			l.For(Moderate, v.Source, "ExcludeWUDriversInQualityUpdate = 1")
		}
		return
	}
	if asked {
		l.add(true, Moderate, seen)
	}
}

// otherProductsOff: only Windows' own updates are offered.
func otherProductsOff(l *look) {
	if _, asked := l.Mark("note-other-products"); !asked {
		return
	}
	if v := l.DWord(keyAUPolicy, "AllowMUUpdateService"); v.State == facts.Present && v.Value == 0 {
		l.For(Strong, v.Source, "AllowMUUpdateService = 0")
	}
}

// notOfferedAtAll: nothing failed, and yet something is missing.
func notOfferedAtAll(l *look) {
	for _, f := range l.Failures {
		if f.Kind == facts.KindNotOffered && !f.Resolved && len(f.Seen) > 0 {
			l.add(true, Weak, facts.Seen{Source: f.Seen[0].Source, Text: fmt.Sprintf("%.200s", f.Seen[0].Text)})
			return
		}
	}
}
