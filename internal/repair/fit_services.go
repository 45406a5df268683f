package repair

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/store"
	"updoc/internal/winlog"
)

// Registry places of services and of work that waits for a restart.
const (
	keyServices       = `HKLM\SYSTEM\CurrentControlSet\Services\`
	keyCBS            = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	keyAgentRestart   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`
	keyCurrentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
)

// fitServices fits the remedies for services: how they start, who may start them,
// whether they hang.
func fitServices() map[string]fitter {
	return map[string]fitter{
		"restore-service-start-types":             fitStartTypes,
		"restart-update-services":                 fitRestartServices,
		"set-trustedinstaller-auto-until-restart": fitServicingAtStart,
		"repair-service-permissions":              fitServiceRights,
		"restore-renamed-service-files":           fitRenamedServiceFiles,
		"restore-deleted-service":                 fitDeletedService,
		"check-service-state":                     fitLookAtServices,
	}
}

// generation is a line of releases that share the defaults of their services.
type generation int

const (
	unknownWindows generation = iota
	windows7
	windows8
	windows10
	windows11
)

// generation tells the line by the build; learn.microsoft.com: "Operating System Version".
func (f *fit) generation() generation {
	switch n := f.build(); {
	case n >= 22000:
		return windows11
	case n >= 10240:
		return windows10
	case n >= 9200:
		return windows8
	case n >= 7600:
		return windows7
	}
	return unknownWindows
}

// build is the number of the build: 22631. 0 is unknown.
func (f *fit) build() int {
	text := f.Machine.Build
	if v := f.Text(keyCurrentVersion, "CurrentBuild"); text == "" && v.State == facts.Present {
		text = v.Value
	}
	text, _, _ = strings.Cut(text, ".")
	n, _ := strconv.Atoi(text)
	return n
}

//go:embed services.tsv
var serviceData string

// How a start type is put back.
const (
	byManager  = "start"  // and the service is started
	onDemand   = "demand" // Windows starts it when it is needed
	byRegistry = "key"    // the service manager refuses to change it; its database is read at the next start
)

// shippedService is how Windows ships one service, in the order in which services
// depend on each other. services.msc shows the start types of a fresh installation
// of each release; the descriptors are those of Windows 10 and later.
type shippedService struct {
	name  string
	start [windows11 + 1]*host.Start // nil: that release has no such service
	how   string
	sddl  string // "" is not known
}

var shippedServices = sync.OnceValues(func() ([]shippedService, error) {
	starts := map[string]*host.Start{
		"-": nil, "auto": {Type: 2}, "delayed": {Type: 2, Delayed: true}, "manual": {Type: 3},
	}
	var out []shippedService
	n := 0
	for row := range strings.Lines(serviceData) {
		if n++; n == 1 {
			continue
		}
		cols := strings.Split(strings.TrimRight(row, "\r\n"), "\t")
		if len(cols) != 8 || !slices.Contains([]string{byManager, onDemand, byRegistry}, cols[5]) {
			return out, fmt.Errorf("services.tsv:%d: malformed", n)
		}
		s := shippedService{name: cols[0], how: cols[5], sddl: strings.TrimPrefix(cols[6], "-")}
		for i, word := range cols[1:5] {
			start, ok := starts[word]
			if !ok {
				return out, fmt.Errorf("services.tsv:%d: start type %q", n, word)
			}
			s.start[int(windows7)+i] = start
		}
		out = append(out, s)
	}
	return out, nil
})

// shipped returns how this Windows ships a service; nil if it has none. Of an
// unknown release it says what the two current ones agree on.
func (f *fit) shipped(s shippedService) *host.Start {
	g := f.generation()
	if g != unknownWindows {
		return s.start[g]
	}
	a, b := s.start[windows10], s.start[windows11]
	if a == nil || b == nil || *a != *b {
		return nil
	}
	return a
}

// hasService reports that a service may be there: this Windows has it, and nobody
// looked in vain.
func (f *fit) hasService(name string) bool {
	if f.Service(name).State == facts.Absent {
		return false
	}
	table, _ := shippedServices()
	i := slices.IndexFunc(table, func(s shippedService) bool { return strings.EqualFold(s.name, name) })
	return i < 0 || f.generation() == unknownWindows || table[i].start[f.generation()] != nil
}

// startType is how a service starts: what the service manager said, else the
// registry. -1 is unknown.
func (f *fit) startType(name string) int {
	if s := f.Service(name); s.State == facts.Present && s.Value.Start >= 0 {
		return s.Value.Start
	}
	if v := f.DWord(keyServices+name, "Start"); v.State == facts.Present && v.Value <= winlog.ServiceDisabled {
		return int(v.Value)
	}
	return -1
}

func (f *fit) disabled(name string) bool { return f.startType(name) == winlog.ServiceDisabled }

// running reports that a service was running when the machine was looked at.
func (f *fit) running(name string) bool {
	s := f.Service(name)
	return s.State == facts.Present && s.Value.State == winlog.ServiceRunning
}

// stopped stops services, lets work be done on what they hold, and starts again
// those that ran. Windows starts the others when it needs them.
func (f *fit) stopped(services []string, work func()) {
	for _, s := range services {
		if f.hasService(s) {
			f.do(host.Change{Kind: host.ServiceStop, Path: s})
		}
	}
	work()
	for _, s := range slices.Backward(services) {
		if f.hasService(s) && f.running(s) && !f.disabled(s) {
			f.do(host.Change{Kind: host.ServiceRun, Path: s})
		}
	}
}

// restartPending reports that a restart has to finish earlier work, and says so:
// nothing that this work needs may be moved before.
func (f *fit) restartPending() bool {
	if f.Restart.State == facts.Present && f.Restart.Value.Any() {
		f.not("plan.restart-first")
		return true
	}
	for _, key := range []string{keyCBS + `\RebootPending`, keyCBS + `\RebootInProgress`, keyAgentRestart} {
		if f.Subkeys(key).State == facts.Present {
			f.not("plan.restart-first")
			return true
		}
	}
	return false
}

// fitStartTypes puts back what was disabled, and has services need what Windows has them
// need. Other start types are left alone:
// BITS and TrustedInstaller change theirs by themselves, and a service that is
// started on demand instead of automatically still serves.
func fitStartTypes(f *fit) {
	if _, ok := f.Mark("note-services-by-policy"); ok {
		f.not("plan.start-types-by-policy")
		return
	}
	_, held := f.Mark("trustedinstaller-start-by-policy")
	table, _ := shippedServices()
	known := len(f.LostNeeds()) > 0 || len(f.LostTriggers()) > 0
	var run, later []string
	for _, s := range table {
		now, want := f.startType(s.name), f.shipped(s)
		known = known || now >= 0
		if now != winlog.ServiceDisabled || want == nil || !f.hasService(s.name) {
			continue
		}
		if held && s.name == "TrustedInstaller" {
			continue // a policy would disable it again
		}
		if s.how == byRegistry {
			needed := f.needsNow(s.name)
			f.setStartInRegistry(s.name, *want, needed)
			if !needed {
				later = append(later, s.name)
			}
			continue
		}
		f.do(host.Change{Kind: host.ServiceStart, Path: s.name, Start: want})
		if s.how == byManager {
			run = append(run, s.name)
		}
	}
	run, later = f.setNeeds(table, run, later)
	later = append(later, f.setTriggers(table)...)
	for _, name := range run {
		f.do(host.Change{Kind: host.ServiceRun, Path: name})
	}
	if len(later) > 0 {
		f.lead("plan.at-next-start", "services", strings.Join(later, ", "))
	}
	switch {
	case len(f.out.Steps) > 0:
	case !known:
		f.not("plan.not-looked-start-types")
	default:
		f.not("plan.start-types-fine")
	}
}

// setTriggers lets events of Windows start services again, as Windows ships them. Where
// something is left of what started one, the registry gets it, which Windows reads when it
// starts: nothing waits for that.
func (f *fit) setTriggers(table []shippedService) (later []string) {
	for _, lost := range f.LostTriggers() {
		i := slices.IndexFunc(table, func(s shippedService) bool { return strings.EqualFold(s.name, lost.Service) })
		if i < 0 || !f.hasService(lost.Service) {
			continue
		}
		list, inRegistry := f.TriggerChanges(table[i].name, lost.Shipped, table[i].how == byRegistry)
		for _, c := range list {
			f.do(c)
		}
		if len(list) > 0 && inRegistry {
			later = append(later, table[i].name)
		}
		f.lead("plan.triggers-gone", "service", table[i].name)
	}
	return later
}

// setNeeds has services need what Windows ships them with where they need something in
// vain; where that is not known, the names that lead nowhere are taken out. It returns
// what is to be started then, and what waits for the next start of Windows.
func (f *fit) setNeeds(table []shippedService, run, later []string) ([]string, []string) {
	lost := map[string][]string{}
	for _, n := range f.LostNeeds() {
		name := strings.ToLower(n.Service)
		lost[name] = append(lost[name], n.Need)
	}
	for _, s := range table {
		bad := lost[strings.ToLower(s.name)]
		if len(bad) == 0 || !host.Restorable(s.name) {
			continue
		}
		now, shipped := f.Needs(s.name).Value, f.ServiceDefault(s.name).Needs
		want := slices.DeleteFunc(slices.Clone(now), func(n string) bool {
			return slices.ContainsFunc(bad, func(b string) bool { return strings.EqualFold(b, n) })
		})
		if shipped.Known() {
			groups := slices.DeleteFunc(slices.Clone(now), func(n string) bool { return !strings.HasPrefix(n, "+") })
			want = append(slices.Clone(shipped.Value), groups...)
		}
		f.lead("plan.needs-in-vain", "service", s.name, "needs", strings.Join(bad, ", "))
		if s.how == byRegistry {
			needed := f.needsNow(s.name)
			f.step(Step{Change: host.NeedsChanges(keyServices+s.name, want)[0], Restart: needed}) // the groups stay as they are
			if !needed {
				later = append(later, s.name)
			}
			continue
		}
		f.do(host.Change{Kind: host.ServiceNeeds, Path: s.name, Needs: want})
		if s.how == byManager && !f.running(s.name) && !f.disabled(s.name) && !slices.Contains(run, s.name) {
			run = append(run, s.name)
		}
	}
	return run, later
}

// setStartInRegistry writes what the service manager refuses to change, as tools
// that disable these services do. It reads it at the next start, which is waited
// for only if the stage that failed needs the service.
func (f *fit) setStartInRegistry(name string, want host.Start, now bool) {
	f.step(Step{Change: host.Set(keyServices+name, "Start", numberValue(want.Type)), Restart: now})
	if want.Delayed {
		f.step(Step{Change: host.Set(keyServices+name, "DelayedAutostart", numberValue(1)), Restart: now})
	}
}

// needsNow reports that the stage which failed cannot end well without a service.
// A search goes without those that download and install, a download without those
// that install, and nothing waits for the one that repairs the others.
func (f *fit) needsNow(name string) bool {
	switch name {
	case "WaaSMedicSvc", "AppIDSvc":
		return false
	case "DoSvc":
		return failure(f.Facts).Stage != facts.StageScan
	case "StateRepository", "AppXSVC", "ClipSVC":
		s := failure(f.Facts).Stage
		return s != facts.StageScan && s != facts.StageDownload
	}
	return true
}

// stopOrder is the services of updating in the order in which they are
// stopped: the one that orders the others about first, so that it starts none of
// them again. learn.microsoft.com: "Additional resources for Windows Update".
var stopOrder = []string{"UsoSvc", "wuauserv", "bits", "DoSvc", "cryptsvc"}

// fitRestartServices ends and starts what updating runs in. A service that hangs
// on its way to a stop cannot be stopped once more: then the machine is restarted.
func fitRestartServices(f *fit) {
	for _, name := range stopOrder {
		if s := f.Service(name); s.State == facts.Present && s.Value.State == winlog.ServiceStopPending {
			f.not("plan.hangs-stopping", "service", name)
			return
		}
	}
	var usable []string
	for _, name := range stopOrder {
		if f.hasService(name) && !f.disabled(name) {
			usable = append(usable, name)
			f.do(host.Change{Kind: host.ServiceStop, Path: name})
		}
	}
	for _, name := range slices.Backward(usable) {
		f.do(host.Change{Kind: host.ServiceRun, Path: name})
	}
	if len(usable) == 0 {
		f.not("plan.services-disabled")
	}
}

// fitServicingAtStart lets TrustedInstaller start with the machine, so that it
// ends a transaction that waits. It sets itself back to manual when nothing waits.
func fitServicingAtStart(f *fit) {
	if _, ok := f.Mark("trustedinstaller-start-by-policy"); ok {
		f.not("plan.start-types-by-policy")
		return
	}
	asked := f.disabled("TrustedInstaller")
	for _, id := range []string{"cbs-pending-transaction", "driver-queue-unreadable", "driver-queue-identity-missing", "driver-queue-value-missing", "operations-pending"} {
		_, seen := f.Mark(id)
		asked = asked || seen
	}
	switch {
	case !asked:
		f.not("plan.log-does-not-ask")
	case f.startType("TrustedInstaller") == 2:
		f.not("plan.nothing-to-change", "what", "TrustedInstaller")
	default:
		f.step(Step{Change: host.Change{Kind: host.ServiceStart, Path: "TrustedInstaller", Start: &host.Start{Type: 2}}, Restart: true})
	}
}

// displayNames are how events name services whose descriptor is known.
var displayNames = map[string][]string{
	"wuauserv":         {"wuauserv", "windows update service", "the windows update"},
	"bits":             {"bits", "background intelligent transfer"},
	"cryptsvc":         {"cryptsvc", "cryptographic services"},
	"TrustedInstaller": {"trustedinstaller", "windows modules installer"},
}

// fitServiceRights sets the descriptor that Windows ships on the services that the
// evidence names, and on the two that reset scripts damage where it names none.
func fitServiceRights(f *fit) {
	if f.generation() < windows10 {
		f.not("plan.no-descriptor")
		return
	}
	var text strings.Builder
	for _, id := range []string{"sddl-denies", "sddl-of-reset-scripts", "scm-access-denied", "start-access-denied", "sc-access-denied", "note-service-rights", "note-start-type-locked", "note-sc-access-denied"} {
		for _, seen := range f.Marks(id) {
			text.WriteString(strings.ToLower(seen.Source + " " + seen.Text + "\n"))
		}
	}
	table, _ := shippedServices()
	set := func(wanted func(string) bool) {
		for _, s := range table {
			if s.sddl != "" && f.hasService(s.name) && wanted(s.name) {
				f.do(host.Change{Kind: host.ServiceSecurity, Path: s.name, SDDL: s.sddl})
			}
		}
	}
	set(func(name string) bool {
		return slices.ContainsFunc(displayNames[name], func(w string) bool { return strings.Contains(text.String(), w) })
	})
	if len(f.out.Steps) == 0 {
		set(func(name string) bool { return name == "wuauserv" || name == "bits" })
	}
}

// serviceFiles are the files in System32 that tools rename, and whose they are.
var serviceFiles = []struct{ file, service string }{
	{"wuaueng.dll", "wuauserv"},
	{"usosvc.dll", "UsoSvc"},
	{"qmgr.dll", "bits"},
	{"WaaSMedicSvc.dll", "WaaSMedicSvc"},
}

// fitRenamedServiceFiles gives files their names back that a log or a listing
// shows under another, and asks Windows whether they are its own.
func fitRenamedServiceFiles(f *fit) {
	dir := f.windows() + `\System32\`
	for _, seen := range f.Marks("service-files-renamed") {
		lower := strings.ToLower(seen.Text)
		for _, x := range serviceFiles {
			base := strings.TrimSuffix(x.file, ".dll")
			for _, renamed := range []string{"Wu10Man_" + x.file, base + "_BAK.dll", x.file + ".bak", x.file + ".old", base + ".bak"} {
				to := dir + x.file
				if !strings.Contains(lower, strings.ToLower(renamed)) || f.has(to) {
					continue
				}
				f.do(host.Change{Kind: host.Move, Path: dir + renamed, To: to})
				f.runs("plan.lasting.only-looks", "sfc", "/verifyfile="+to)
			}
		}
	}
	if len(f.out.Steps) == 0 {
		f.not("plan.name-unknown")
	}
}

// has reports that a step already moves something to path.
func (f *fit) has(path string) bool {
	return slices.ContainsFunc(f.out.Steps, func(s Step) bool { return strings.EqualFold(s.Change.To, path) })
}

// fitDeletedService registers what is missing again, as an older state of the same build
// on the same machine has it, a shadow copy for one, or the image of the build that somebody
// gave. Where there is neither a person is led.
func fitDeletedService(f *fit) {
	table, _ := shippedServices()
	var gone, later []string
	for _, s := range table {
		if x := f.Service(s.name); x.State != facts.Absent || f.shipped(s) == nil {
			continue
		}
		c, ok := f.copyOf(s.name)
		if !ok {
			gone = append(gone, s.name)
			continue
		}
		if c.Image {
			f.lead("plan.service-image", "service", c.Name, "from", c.From, "build", c.Build)
		} else {
			f.lead("plan.service-copy", "service", c.Name, "from", c.From, "taken", c.Taken.Format(time.DateOnly))
		}
		f.do(c.Change())
		if slices.ContainsFunc(c.Keys, func(k host.ServiceTree) bool { return strings.EqualFold(k.Path, "TriggerInfo") }) {
			later = append(later, c.Name)
		}
	}
	if len(later) > 0 {
		f.lead("plan.triggers-at-next-start", "services", strings.Join(later, ", "))
	}
	if len(gone) > 0 {
		f.lead(lacksServices, "services", strings.Join(gone, ", "), "build", orUnknown(f.Machine.Build))
	}
	if len(gone) > 0 || len(f.out.Steps) == 0 {
		f.lead("remedy.restore-deleted-service.how")
	}
}

// lacksServices says which services nothing on the machine can bring back.
const lacksServices = "plan.services-missing"

// copyOf returns the newest copy of a service that fits this machine: one of the same
// build, whose file is still where the service wants it. An image is that of the build
// which an enablement package made this one of, too.
func (f *fit) copyOf(name string) (host.ServiceCopy, bool) {
	for _, c := range f.Copies.Value.Copies {
		build, err := strconv.Atoi(c.Build)
		same := err == nil && (build == f.build() || c.Image && store.Related(build, f.build()))
		if same && strings.EqualFold(c.Name, name) && c.Here && c.Change().Check() == nil {
			return c, true
		}
	}
	return host.ServiceCopy{}, false
}

// fitLookAtServices: what sc or the registry said was read; where nobody looked a
// person is told how.
func fitLookAtServices(f *fit) {
	for _, name := range []string{"wuauserv", "bits", "cryptsvc"} {
		if f.startType(name) < 0 {
			f.byHand()
			f.lead("remedy.check-service-state.how")
			return
		}
	}
	f.not("plan.looked-already", "what", "wuauserv, bits, cryptsvc")
}
