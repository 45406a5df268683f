package cause

import (
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Codes by which the agent says that its own database is at fault. The codes
// that healthy scans write for an empty answer are not among them.
var codesDataStore = []codes.HRESULT{
	0x80248002, 0x80248003, 0x80248004, 0x80248006, 0x80248008, 0x80248009, 0x80248011, 0x8024801B, 0x8024801C, 0x80248FFF, 0x80245003,
}

// Codes of a file that is not what it should be, wherever it was found out.
var codesDamagedFile = []codes.HRESULT{0x80246002, 0x8024200D, 0x800700C1}

// AGENT returns the causes that lie in the update agent's own state: its
// database, its downloads, its queue, its age, its ticket.
func AGENT() []*Cause {
	return []*Cause{
		{
			ID: "datastore-corrupt", Family: "agent", Prior: 2,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"rename-softwaredistribution", "rename-datastore", "retry-scan", "reset-update-components"},
			Check: evidence(
				strong("esent-datastore", "wu-datastore-fails"),
				strong("note-datastore"),
				strong("reset-interrupted"),
				code(Strong, codesDataStore...),
				databaseEngine,
				resetHelped("softwaredistribution", "software distribution", "datastore", "cache", "components"),
				moderate("note-components-message"),
				moderate("wu-restored-state"),
				formerServer,
				cures("rename-datastore", "esent-datastore"),
				missing("ESENT events that name SUS20ClientDataStore", "esentutl /mh of DataStore.edb"),
			),
		},
		{
			ID: "catroot2-corrupt", Family: "agent", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageVerify, facts.StageInstall},
			Remedies: []string{"rename-catroot2", "reset-update-components", "run-dism-restorehealth", "run-in-place-upgrade"},
			Check: evidence(
				strong("esent-catalog"),
				strong("cbs-catalog-add-fails"),
				strong("note-catroot2"),
				strong("crypt-service-asked"),
				resetHelped("catroot2"),
				against(Strong, "cbs-catalog-damaged"),
				missing("ESENT events that name Catalog Database", "whether Cryptographic Services starts"),
			),
		},
		{
			ID: "corrupt-download", Family: "agent", Prior: 1.2,
			Stages:   []facts.Stage{facts.StageDownload, facts.StageVerify, facts.StageInstall},
			Remedies: []string{"rename-download-folder", "retry-download", "install-update-from-catalog", "reset-update-components"},
			Check: evidence(
				strong("wu-hash-mismatch"),
				strong("note-corrupt-download"),
				moderate("wu-file-damaged"),
				moderate("wu-delta-fails"),
				strong("setup-expander-failed"),
				code(Moderate, codesDamagedFile...),
				helped(Moderate, "note-download-folder-helped"),
				resetHelped(`distribution\download`, "download folder"),
				against(Moderate, "hash-mismatch", "disk-io-errors", "disk-bad-block"),
				missing("the file that failed, and its hash on a second download"),
			),
		},
		{
			ID: "bits-queue-stuck", Family: "agent", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageDownload},
			Remedies: []string{"rename-bits-queue", "restart-update-services", "reset-update-components"},
			Check: evidence(
				strong("bits-job-list-damaged", "esent-bits"),
				strong("bits-too-many-jobs"),
				strong("note-bits-queue"),
				moderate("bits-many-jobs"),
				missing("bitsadmin /list /allusers /verbose", "events of Bits-Client/Operational"),
			),
		},
		{
			ID: "agent-outdated", Family: "agent", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageScan},
			Remedies: []string{"install-legacy-agent-and-sha2", "install-latest-cumulative-update", "tell-wsus-correct-iis-site"},
			Check: evidence(
				issueOf("agent-outdated"),
				strong("note-old-windows-endless"),
				strong("note-old-agent"),
				strong("note-sha2"),
				strong("note-fresh-old-windows"),
				strong("wu-metadata-memory"),
				agentOfOldWindows,
				both(Moderate, "wu-skip-selfupdate", "wu-old-agent"),
				code(Moderate, 0x8024D009),
				cures("tell-wsus-correct-iis-site", "wsus-iis-site"),
				missing("the version of wuaueng.dll"),
			),
		},
		{
			ID: "store-outdated", Family: "agent", Prior: 0.3,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageDownload},
			Remedies: []string{"update-store-app", "retry-install", "sign-in-interactively"},
			Check: evidence(
				strong("note-store-outdated"),
				strong("store-version-old"),
				storeAccessDenied,
				against(Moderate, "tweak-tool"),
				missing("the version of Microsoft.WindowsStore"),
			),
		},
		{
			ID: "device-ticket-missing", Family: "agent", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"renew-device-ticket", "sign-in-interactively", "restore-service-start-types"},
			Check: evidence(
				strong("wu-device-ticket"),
				strong("dsreg-broken"),
				strong("note-device-ticket"),
				code(Strong, 0x80070520, 0x8024600E),
				ticketServiceOff,
				missing("dsregcmd /status", "the state of wlidsvc"),
			),
		},
		{
			ID: "defender-definitions", Family: "agent", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageDownload, facts.StageInstall},
			Remedies: []string{"install-defender-definitions", "retry-install", "restart-machine"},
			Check: evidence(
				onlyDefinitions,
				strong("mpcmdrun-fails", "defender-event", "defender-updater-fails"),
				definitionsNamed,
				engineCode,
				moderate("note-only-defender"),
				strong("note-definitions-message"),
				missing("which updates fail, and which install", "MpCmdRun.log"),
			),
		},
	}
}

// jetDiskFull is JET_errDiskFull (-1808): the database is sound, its disk is full.
const jetDiskFull codes.HRESULT = 0xC8000710

// databaseEngine: an error of the database engine under the agent. JET errors
// are passed on as 0xC8000000 with the number of the error.
func databaseEngine(l *look) {
	for _, f := range l.Failures {
		if f.Code>>16 == 0xC800 && f.Code != jetDiskFull && len(f.Seen) > 0 {
			l.add(true, Strong, f.Seen[0])
			return
		}
	}
}

// resetHelped: a person tells that a fresh copy of one of the folders cured it.
// Which folder decides; notes list what was tried in vain with the same words.
func resetHelped(folders ...string) rule {
	return func(l *look) {
		if l.vain() {
			return
		}
		for _, seen := range l.Marks("note-reset-helped") {
			lower := strings.ToLower(seen.Text)
			if slices.ContainsFunc(folders, func(f string) bool { return strings.Contains(lower, f) }) {
				l.add(true, Moderate, seen)
				return
			}
		}
	}
}

// formerServer: a machine that once asked a WSUS keeps that server's updates and
// cookies in its database; when the search fails after the policy has gone, the
// leftovers are there. learn.microsoft.com: "Troubleshoot issues with WSUS client agents".
func formerServer(l *look) {
	if seen, ok := l.Mark("note-wsus-gone"); ok {
		if _, removed := l.Mark("note-policy-gone"); removed {
			l.add(true, Strong, seen)
		}
	}
}

// agentOfOldWindows: an agent older than the one that Microsoft's service asks for.
// Where no agent is seen, a signature that an old Windows cannot read says the same:
// everything since 2019 is signed with SHA-2. support.microsoft.com: KB4472027.
func agentOfOldWindows(l *look) {
	if old, named := l.Mark("note-old-windows"); named {
		if _, refused := l.hit([]codes.HRESULT{0x800B0100, 0x80092003}); refused {
			l.add(true, Strong, old)
			return
		}
	}
	seen, ok := l.Mark("wu-old-agent")
	if !ok {
		return
	}
	if _, failed := l.hit([]codes.HRESULT{0x80072EFE, 0x8024000E, 0x80240017, 0x80248007, 0x80244018, 0x80092004, 0x8024D009}); failed {
		l.add(true, Moderate, seen)
	}
}

// storeAccessDenied: an app of the Store is what is refused.
func storeAccessDenied(l *look) {
	seen, ok := l.Mark("note-store")
	if !ok {
		return
	}
	if _, denied := l.Code(0x80070005); denied {
		l.add(true, Moderate, seen)
	}
}

// ticketServiceOff: the ticket is missing because the service that fetches it
// does not run, which is another cause.
// learn.microsoft.com: "Windows Update issues troubleshooting".
func ticketServiceOff(l *look) {
	if seen, ok := l.Mark("wu-ticket-service-off"); ok {
		l.add(false, Strong, seen)
		return
	}
	if s := l.Service("wlidsvc"); s.State == facts.Present && s.Value.Start == 4 {
		l.Against(Strong, s.Source, "wlidsvc is disabled")
	}
}

// onlyDefinitions: every update that fails is one of Defender's definitions.
func onlyDefinitions(l *look) {
	switch seen, others := failingUpdates(l); {
	case others:
		l.Against(Moderate, "updates", "other updates fail as well")
	case seen.Source != "":
		l.add(true, Strong, seen)
	}
}

// definitionsNamed: somebody speaks of failing definitions, and no other update
// is seen to fail. In a tool's list of what it found they are one among many.
func definitionsNamed(l *look) {
	if _, others := failingUpdates(l); others {
		return
	}
	if listed, ok := l.Mark("other-updates-listed"); ok {
		if _, named := l.Mark("defender-update-named"); named {
			l.add(false, Weak, listed)
		}
		return
	}
	strong("defender-update-named")(l)
}

// failingUpdates tells where one of Defender's definitions failed, and whether
// other updates fail too.
func failingUpdates(l *look) (definitions facts.Seen, others bool) {
	for _, f := range l.Failures {
		if f.Resolved || f.Weight < 0.5 || len(f.Seen) == 0 || f.Update == (facts.Update{}) {
			continue
		}
		if !isDefinition(f.Update) {
			others = true
		} else if definitions.Source == "" {
			definitions = f.Seen[0]
		}
	}
	return definitions, others
}

// engineCode: an error of Defender's own engine, whose codes are 0x8050nnnn.
// learn.microsoft.com: "Event ID 2003, Microsoft Antimalware Engine Update".
func engineCode(l *look) {
	for _, f := range l.Failures {
		if f.Code>>16 == 0x8050 && len(f.Seen) > 0 {
			l.add(true, Strong, f.Seen[0])
			return
		}
	}
}

// Defender's updates carry the same numbers for years: definitions, the platform,
// and the definitions of its forerunners.
func isDefinition(u facts.Update) bool {
	switch canonicalKB(u.KB) {
	case "KB2267602", "KB915597", "KB2461484", "KB2310138", "KB4052623":
		return true
	}
	title := strings.ToLower(u.Title)
	return strings.Contains(title, "security intelligence update") || strings.Contains(title, "definition update for") || strings.Contains(title, "antimalware platform")
}
