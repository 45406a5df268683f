package lab

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/tools/txtar"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Machine is a simulated Windows machine, whose symptoms follow from its state: a
// service that is disabled is not started, a proxy that is set is asked, in the
// world that the machine stands in. Nothing in it knows which fault a scenario is
// about, and so whatever ends a fault cures it.
//
// It lives in a folder: registry, services and settings in machine.json, files
// below files/C with the times that they have on the machine. What was changed
// before a process died is there when the folder is opened again.
//
// It implements [host.Host], [host.Agent] and [host.Attendant], and is safe for concurrent use;
// changes and attempts wait for each other.
type Machine struct {
	// Crash, if not nil, is called before and after everything that is made durable,
	// with a word for it. A test that ends the process there sees what a loss of
	// power leaves. To be set before the machine is used.
	Crash func(point string)

	watch func(host.Work) // see Watch

	// Script, if not nil, runs a proxy configuration script for an address and returns
	// what it says: "PROXY a:8080; DIRECT". Without it the machine understands only those
	// that say the same of everything.
	Script func(ctx context.Context, source []byte, address string) (string, error)
	// Local, if not nil, connects to what listens on the machine itself: a relay.
	Local func(ctx context.Context, network, addr string) (net.Conn, error)

	dir   string
	spec  machineSpec
	world *World

	act sync.Mutex // held by whoever changes or tries something
	mu  sync.RWMutex
	now state
	log []string // lines that Windows has not written yet

	attendance attendance
}

// machineSpec is what a machine's folder keeps of its scenario.
type machineSpec struct {
	Name  string    `json:"name"`
	World WorldSpec `json:"world"`
	Cure  Cure      `json:"cure"`
}

// Cure is what a scenario with a machine says about its treatment.
type Cure struct {
	CuredBy []string `json:"cured_by"`         // remedies of which one must be what cured
	Order   []string `json:"order,omitempty"`  // the first treatments, in their order
	Keeps   []Kept   `json:"keeps"`            // what must be as before, whatever was done
	Own     []string `json:"own,omitempty"`    // policies and proxies that the cure changes, "KEY|NAME": this machine's own, or what the domain itself sets; no others may be
	Fails   string   `json:"fails"`            // the stage that fails: scan, download, install
	Ends    string   `json:"ends,omitempty"`   // how the run ends, "cured" if empty; "shown": by what an experiment showed
	Result  string   `json:"result,omitempty"` // with what: "0x80070422"
	Left    []string `json:"left,omitempty"`   // what an undo leaves as Windows made it meanwhile, as in Snapshot
}

// As reports whether a run that ended so, by that remedy, is what the scenario wants.
func (c Cure) As(result, by string) bool {
	return result == cmp.Or(c.Ends, "cured") && slices.Contains(c.CuredBy, by)
}

// Kept is a registry value that somebody else decides about, or, without a name, all
// values of a key.
type Kept struct {
	Key  string `json:"key"`
	Name string `json:"name,omitempty"`
}

// state is what of a machine is not a file.
type state struct {
	Registry registry                 `json:"registry"`
	Services map[string]*serviceState `json:"services"` // by lower-case name
	Settings map[string]string        `json:"settings"` // by lower-case name, see host.Setting
	Security map[string]string        `json:"security"` // SDDL of files and folders, by lower-case path
	Clock    Duration                 `json:"clock"`    // how far the clock is ahead of the truth
	Time     time.Time                `json:"time"`     // the true time when this was written
	Cache    map[string]Addr          `json:"cache"`    // what the DNS client remembers
	Offers   []offer                  `json:"offers"`   // of the last scan that went well
	Present  []string                 `json:"present"`  // updates that are installed, by id and by KB, in lower case
	Events   int                      `json:"events"`   // that were logged, for their numbers
	Started  time.Time                `json:"started"`  // true time of the last start of Windows
	Startup  *startup                 `json:"startup,omitempty"`
	Pending  []offer                  `json:"pending"`          // installs that the next restart finishes
	Installs []host.InstallEvent      `json:"installs"`         // that ended, as the log System has them, newest first
	Points   uint32                   `json:"points"`           // restore points that were made
	Shadow   registry                 `json:"shadow,omitempty"` // as a shadow copy of the volume has it
	Tunnel   *tunnel                  `json:"tunnel,omitempty"`
	Products []product                `json:"products,omitempty"`
}

//go:embed machine-base.txtar
var machineBase []byte

// ErrNoMachine says that a scenario has evidence alone, and nothing to treat.
var ErrNoMachine = errors.New("the scenario has no machine")

const (
	stateFile = "machine.json"
	specFile  = "scenario.json"
)

// NewMachine unpacks the machine of a scenario into an empty or missing folder: a
// healthy Windows, over which the scenario's own sections are laid.
//
//	machine/registry.reg    as regedit exports it; [-KEY] and "NAME"=- take away
//	machine/shadow.reg      the registry in a shadow copy of the volume, if there is one
//	machine/services.json   {"wuauserv": {"start": 4}}; null takes away
//	machine/settings.json   {"firewall-rule/NAME": "on"}; see [host.Setting]
//	machine/media.json      installation media by their path: {"C:\\Media": {...}}, see [MediaSpec]
//	machine/startup.json    what others put on it that starts with Windows, see [startupSpec]
//	machine/vpn.json        a VPN that is connected, see [tunnel]
//	machine/products.json   security products of other makers, see [product]
//	machine/cache.json      {"NAME": "ADDRESS"}: what the DNS client remembers; "" is "no such name"
//	machine/gone            files and folders that are missing, one a line
//	machine/store.json      what of the component store is damaged, who has it, and images: see storeSection
//	machine/clock           how far the clock is ahead: "-26280h"
//	machine/files/C/...     text; line ends become those of Windows. An empty one is a folder if its name ends in a slash
//	world.json              the network
//	cure.json               [Cure]
func NewMachine(dir string, s *Scenario) (*Machine, error) {
	if !s.Treatable() {
		return nil, fmt.Errorf("scenario %s: %w", s.Name, ErrNoMachine)
	}
	m := &Machine{dir: dir, spec: machineSpec{Name: s.Name, Cure: s.Cure}}
	if s.World != nil {
		m.spec.World = *s.World
	}
	if err := os.MkdirAll(m.root(), 0o700); err != nil {
		return nil, err
	}
	if err := m.start(); err != nil {
		return nil, err
	}
	m.now = newState()
	m.now.Started = m.world.Now().UTC().Add(-uptime).Truncate(time.Second)
	base := txtar.Parse(machineBase)
	for _, f := range slices.Concat(base.Files, s.machine) {
		if err := m.unpack(f); err != nil {
			return nil, errors.Join(fmt.Errorf("scenario %s: %s: %w", s.Name, f.Name, err), m.Close())
		}
	}
	m.world.SetMachineClock(time.Duration(m.now.Clock))
	m.begun(&m.now)
	if err := errors.Join(m.stores(), m.makeTimes()); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	spec, err := json.Marshal(m.spec)
	if err == nil {
		err = durable.WriteFile(durable.OS{}, filepath.Join(dir, specFile), spec)
	}
	if err = errors.Join(err, m.save()); err != nil { // last: a folder without it is no machine
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// OpenMachine opens the folder of a machine again. Time went on no less than it had.
func OpenMachine(dir string) (*Machine, error) {
	m := &Machine{dir: dir}
	for name, to := range map[string]any{specFile: &m.spec, stateFile: &m.now} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("open machine: %w", err)
		}
		if err := json.Unmarshal(b, to); err != nil {
			return nil, fmt.Errorf("open machine: %s: %w", name, err)
		}
	}
	if start := m.spec.World.Time; !start.IsZero() && start.Before(m.now.Time) || start.IsZero() && time.Now().Before(m.now.Time) {
		m.spec.World.Time = m.now.Time
	}
	if err := m.start(); err != nil {
		return nil, err
	}
	m.world.SetMachineClock(time.Duration(m.now.Clock))
	return m, nil
}

func (m *Machine) start() (err error) {
	if m.world, err = Open(m.spec.World); err == nil {
		m.world.own = m
	}
	return err
}

// Close closes the machine's world. The folder stays.
func (m *Machine) Close() error { return m.world.Close() }

// World is what the machine stands in, with the machine's own clock.
func (m *Machine) World() *World { return m.world }

// Cure is what the scenario says about the treatment.
func (m *Machine) Cure() Cure { return m.spec.Cure }

// Now is what the machine's clock shows.
func (m *Machine) Now() time.Time { return m.world.MachineNow() }

// uptime is how long a machine of a scenario has been on.
const uptime = 50 * time.Hour

// Started is when Windows was last started, by the true time.
func (m *Machine) Started(ctx context.Context) (time.Time, error) {
	return read(m, func(s *state) time.Time { return s.Started }), ctx.Err()
}

// Restart ends Windows and starts it: services begin anew, what waited for a restart
// is made.
func (m *Machine) Restart() error {
	m.act.Lock()
	defer m.act.Unlock()
	m.world.Advance(2 * time.Minute)
	if err := m.finishSetup(); err != nil {
		return err
	}
	if err := m.finish(); err != nil {
		return err
	}
	return m.change(func(s *state) error {
		s.Started = m.world.Now().UTC()
		s.finishPackages()
		for _, v := range s.Services {
			v.State, v.Hangs = winlog.ServiceStopped, false
		}
		for name := range s.Services {
			if s.start(name).Type == winlog.ServiceAutoStart {
				_ = m.begin(s, name, nil) // one that cannot start is what the machine is sick of
			}
		}
		if n, _ := s.Registry.number(servicesKey+"TrustedInstaller", "Start"); n == winlog.ServiceAutoStart {
			s.Registry.drop(cbsKey + `\RebootPending`) // the servicing stack finishes at start what waits
			s.Registry.drop(cbsKey + `\PackagesPending`)
			s.Registry.drop(agentKey + `\Auto Update\RebootRequired`)
			if s.Registry.key(cbsKey+`\SessionsPending`) != nil {
				s.Registry.set(cbsKey+`\SessionsPending`, "Exclusive", dword(0))
			}
		}
		m.begun(s)
		clear(s.Cache)
		return nil
	})
}

func newState() state {
	return state{
		Registry: registry{}, Services: map[string]*serviceState{}, Settings: map[string]string{}, Security: map[string]string{}, Cache: map[string]Addr{},
	}
}

// unpack lays one section over the machine.
func (m *Machine) unpack(f txtar.File) error {
	name := strings.TrimPrefix(f.Name, "machine/")
	switch {
	case name == "registry.reg":
		return m.now.Registry.read(f.Data)
	case name == "shadow.reg":
		m.now.Shadow = registry{}
		return m.now.Shadow.read(f.Data)
	case name == "services.json":
		return m.unpackServices(f.Data)
	case name == "startup.json":
		return m.unpackStartup(f.Data)
	case name == "settings.json":
		var settings map[string]*string
		if err := json.Unmarshal(f.Data, &settings); err != nil {
			return err
		}
		for k, v := range settings {
			if delete(m.now.Settings, strings.ToLower(k)); v != nil {
				m.now.Settings[strings.ToLower(k)] = *v
			}
		}
	case name == "gone":
		for line := range strings.Lines(string(f.Data)) {
			if err := os.RemoveAll(m.place(strings.TrimSpace(line))); err != nil {
				return err
			}
		}
	case name == "media.json":
		return m.unpackMedia(f.Data)
	case name == "vpn.json":
		return m.unpackTunnel(f.Data)
	case name == "products.json":
		return m.unpackProducts(f.Data)
	case name == "cache.json":
		return json.Unmarshal(f.Data, &m.now.Cache)
	case name == "store.json":
		return m.unpackStore(f.Data)
	case name == "clock":
		return m.now.Clock.UnmarshalText(bytes.TrimSpace(f.Data))
	case strings.HasPrefix(name, "files/"):
		return m.unpackFile(strings.TrimPrefix(name, "files/"), f.Data)
	default:
		return errors.New("no such section of a machine")
	}
	return nil
}

func (m *Machine) unpackServices(b []byte) error {
	var list map[string]json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		key := servicesKey + name
		if string(list[name]) == "null" {
			delete(m.now.Services, strings.ToLower(name))
			m.now.Registry.drop(key)
			continue
		}
		spec := struct {
			Start   *uint32 `json:"start"`
			Delayed bool    `json:"delayed"`
			Account string  `json:"account"`
			Binary  string  `json:"binary"`
			DLL     string  `json:"dll"`
			Needs   string  `json:"needs"` // services, with blanks between
			serviceState
		}{}
		if have := m.now.Services[strings.ToLower(name)]; have != nil {
			spec.serviceState = *have
		}
		if err := json.Unmarshal(list[name], &spec); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		spec.Name = cmp.Or(spec.Name, name)
		spec.State = cmp.Or(spec.State, winlog.ServiceStopped)
		m.now.Services[strings.ToLower(name)] = &spec.serviceState
		r := m.now.Registry
		r.make(key)
		if spec.Start != nil {
			r.set(key, "Start", dword(*spec.Start))
		}
		for value, text := range map[string]string{"ObjectName": spec.Account, "ImagePath": spec.Binary} {
			if text != "" {
				r.set(key, value, sz(winlog.RegExpandSZ, text))
			}
		}
		if spec.DLL != "" {
			r.set(key+`\Parameters`, "ServiceDll", sz(winlog.RegExpandSZ, spec.DLL))
		}
		if spec.Delayed {
			r.set(key, delayedStart, dword(1))
		}
		if spec.Needs != "" {
			r.set(key, "DependOnService", multi(strings.Fields(spec.Needs)...))
		}
	}
	return nil
}

// save makes the state durable.
func (m *Machine) save() error {
	m.mu.Lock()
	m.now.Time = m.world.Now().UTC().Truncate(time.Millisecond)
	b, err := json.Marshal(&m.now)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	m.crash("state")
	err = durable.WriteFile(durable.OS{}, filepath.Join(m.dir, stateFile), b)
	m.crash("state written")
	return err
}

// crash tells a test where the machine is.
func (m *Machine) crash(point string) {
	if m.Crash != nil {
		m.Crash(point)
	}
}

// change changes the state and makes it durable.
func (m *Machine) change(f func(*state) error) error {
	m.mu.Lock()
	err := f(&m.now)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.save()
}

// read looks at the state.
func read[T any](m *Machine, f func(*state) T) T {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return f(&m.now)
}

// Snapshot is all of the machine that a person would want back, in words, by what
// it is: "HKLM\...|NAME", "service wuauserv", "setting ...", "C:\...". Two machines
// with equal snapshots are the same to the byte. What Windows writes by itself is no
// part of it: logs, the databases that it fills, whether services run, the clock.
func (m *Machine) Snapshot() (map[string]string, error) {
	out := map[string]string{}
	m.mu.RLock()
	for _, k := range m.now.Registry {
		if wild(cbsKey+`\*Pending`, k.Path) {
			continue // the servicing stack's own
		}
		if !servicingOwn(k.Path, "") {
			out[k.Path] = "key"
		}
		for _, v := range k.Values {
			if servicingOwn(k.Path, v.Name) {
				continue
			}
			out[k.Path+"|"+v.Name] = fmt.Sprintf("%d %x", v.Type, v.Data)
		}
	}
	for _, s := range m.now.Services {
		out["service "+s.Name] = s.SDDL
	}
	for k, v := range m.now.Settings {
		if !strings.HasPrefix(k, "state/") {
			out["setting "+k] = v
		}
	}
	for k, v := range m.now.Security {
		out["security "+k] = v
	}
	m.mu.RUnlock()
	err := filepath.WalkDir(m.root(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == m.root() {
			return err
		}
		p := m.windowsPath(name)
		if d.IsDir() {
			out[p] = "folder"
			return nil
		}
		if writtenByWindows(p) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		if wild(downloads+`\*.cab`, p) && strings.HasPrefix(string(b), "MSCF") {
			return err // downloaded
		}
		out[p] = fmt.Sprintf("%s %.40q %x", info.ModTime().UTC().Format(time.RFC3339Nano), b, sha256.Sum256(b))
		return err
	})
	return out, err
}

// Machine implements [host.Reader].
func (m *Machine) Machine(ctx context.Context) (host.Machine, error) {
	if err := ctx.Err(); err != nil {
		return host.Machine{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.now.Registry
	const version = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	out := host.Machine{
		Name: r.text(`HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`, "ComputerName"),
		OS:   r.text(version, "ProductName"), Build: r.text(version, "CurrentBuild"), Arch: "amd64", Source: "lab",
	}
	const first11 = 22000 // ProductName says Windows 10 on Windows 11 too
	if n, _ := strconv.Atoi(out.Build); n >= first11 {
		out.OS = strings.Replace(out.OS, "Windows 10", "Windows 11", 1)
	}
	out.OS = strings.TrimSpace(out.OS + " " + r.text(version, "DisplayVersion"))
	if ubr, ok := r.number(version, "UBR"); ok {
		out.Build += "." + strconv.Itoa(int(ubr))
	}
	return out, nil
}
