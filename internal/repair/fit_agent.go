package repair

import (
	"slices"
	"strings"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
)

// fitAgent fits the remedies for the update agent and its stores.
func fitAgent() map[string]fitter {
	return map[string]fitter{
		"rename-softwaredistribution": fitFreshAgentStore(`\SoftwareDistribution`),
		"rename-datastore":            fitFreshAgentStore(`\SoftwareDistribution\DataStore`),
		"rename-download-folder":      fitFreshAgentStore(`\SoftwareDistribution\Download`),
		"rename-catroot2":             fitFreshCatalogues,
		"rename-bits-queue":           fitFreshQueue,
		"reset-update-components":     fitResetComponents,
		"sign-in-interactively":       guide("wu-device-ticket", "note-device-ticket", "dsreg-broken"),
	}
}

// windows is the folder of Windows, C:\Windows unless the registry says otherwise.
func (f *fit) windows() string {
	v := f.Text(keyCurrentVersion, "SystemRoot")
	if dir := strings.TrimRight(v.Value, `\`); v.State == facts.Present && len(dir) > 3 && strings.EqualFold(dir[1:], `:\Windows`) {
		return dir
	}
	return `C:\Windows`
}

// drive is the letter of the system drive with its colon.
func (f *fit) drive() string { return f.windows()[:2] }

// fresh moves folders aside while the services that hold them are stopped; Windows
// makes them anew. What is moved keeps everything that was in it. By the time of
// an undo the services may run again, with the new folders open: they are stopped
// once more.
func (f *fit) fresh(services []string, paths ...string) {
	var undo []host.Change
	for _, s := range services {
		if f.hasService(s) {
			undo = append(undo, host.Change{Kind: host.ServiceStop, Path: s})
		}
	}
	f.stopped(services, func() {
		for _, p := range paths {
			to := f.aside(p)
			back := host.Change{Kind: host.Restore, Path: to, To: p}
			f.step(Step{Change: host.Change{Kind: host.Move, Path: p, To: to}, Undo: append(slices.Clone(undo), back)})
		}
	})
}

// likelier reports that a cause was found which outweighs those of this remedy.
func (f *fit) likelier(id string) bool {
	i := slices.IndexFunc(f.diagnosis.Findings, func(x cause.Finding) bool { return x.ID == id })
	return i == 0
}

// agentStores are the services that write below SoftwareDistribution.
var agentStores = []string{"UsoSvc", "wuauserv", "bits", "DoSvc"}

// fitFreshAgentStore moves one of the agent's folders aside. While a restart is
// pending the files of what it will finish lie there. A search that the server
// cuts off goes on where it stopped only as long as the database is kept.
func fitFreshAgentStore(below string) fitter {
	downloads := strings.HasSuffix(below, "Download") // which hold no history
	return func(f *fit) {
		switch {
		case f.restartPending():
		case !downloads && f.likelier("wsus-server-overloaded"):
			f.not("plan.starts-over")
		default:
			if !downloads {
				f.lead("plan.history-aside", "folder", f.aside(f.windows()+below))
			}
			f.fresh(agentStores, f.windows()+below)
		}
	}
}

// fitFreshCatalogues moves catroot2 aside, which Cryptographic Services builds anew
// from catroot; catroot itself is what Windows trusts its own files by.
func fitFreshCatalogues(f *fit) {
	f.fresh([]string{"cryptsvc"}, f.catalogues())
}

func (f *fit) catalogues() string { return f.windows() + `\System32\catroot2` }

// queue is the folder of BITS' jobs: qmgr0.dat and qmgr1.dat, since Windows 10 a
// database of several files that belong together.
func (f *fit) queue() string { return f.drive() + `\ProgramData\Microsoft\Network\Downloader` }

func fitFreshQueue(f *fit) {
	f.lead("plan.queue-of-all-programs")
	f.fresh([]string{"bits"}, f.queue())
}

// fitResetComponents is the reset of Microsoft's instructions without what does
// harm in it: no file is deleted, no descriptor pasted, no library registered, and
// neither proxies nor policies are touched.
func fitResetComponents(f *fit) {
	if f.restartPending() {
		return
	}
	f.lead("plan.history-aside", "folder", f.aside(f.windows()+`\SoftwareDistribution`))
	f.lead("plan.queue-of-all-programs")
	f.fresh(stopOrder, f.windows()+`\SoftwareDistribution`, f.catalogues(), f.queue())
}

func orUnknown(s string) string {
	if s == "" {
		return "?"
	}
	return s
}
