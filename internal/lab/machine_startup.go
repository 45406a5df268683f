package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// startupSpec is the section machine/startup.json of a scenario: what others put on the
// machine that starts with Windows, and what of it is in the way of updating. A machine
// without it has not been asked.
type startupSpec struct {
	Make     int                     `json:"make,omitempty"` // entries that are invented, see [Machine.invent]
	Seed     uint64                  `json:"seed,omitempty"`
	Programs map[string]host.Program `json:"programs,omitempty"` // by their path
	Tasks    map[string]startupTask  `json:"tasks,omitempty"`    // by their path: \Fabrikam\Tray
	Breaks   []breakage              `json:"breaks,omitempty"`
}

// startupTask is a scheduled task.
type startupTask struct {
	Trigger string `json:"trigger"` // BootTrigger, LogonTrigger
	Command string `json:"command"`
}

// breakage is things that, while all of them have effect, are in the way of a stage.
// Each is named by its kind and its name, "service FabrikamSync", or is the number of
// an invented entry: "#17".
type breakage struct {
	Together []string      `json:"together"`
	Stage    string        `json:"stage"`
	Code     codes.HRESULT `json:"code"`
	Lingers  bool          `json:"lingers,omitempty"` // until the next restart, whatever is stopped
}

// startup is what of a machine's state its startup is.
type startup struct {
	startupSpec
	Invented []string        `json:"invented"` // names, by number
	Fixed    []string        `json:"fixed"`    // services that accept no stop
	Active   map[string]bool `json:"active"`   // what was started with Windows, by lower-case name
}

// Crowd has n entries start with a scenario's machine, of which others are in the way,
// by their numbers: each list fails by itself, and all of a list together.
func (s *Scenario) Crowd(n int, lists ...[]int) error {
	spec := startupSpec{}
	for _, list := range lists {
		b := breakage{Stage: "scan", Code: eNoUpdates}
		for _, k := range list {
			b.Together = append(b.Together, fmt.Sprintf("#%d", k))
		}
		spec.Breaks = append(spec.Breaks, b)
	}
	for i, f := range s.machine {
		if f.Name != "machine/startup.json" {
			continue
		}
		var have startupSpec
		if err := json.Unmarshal(f.Data, &have); err != nil {
			return err
		}
		have.Make, have.Breaks = n, spec.Breaks
		data, err := json.Marshal(have)
		if err != nil {
			return err
		}
		s.machine = slices.Clone(s.machine)
		s.machine[i].Data = data
		return nil
	}
	return fmt.Errorf("scenario %s: nothing starts with its Windows", s.Name)
}

// eNoUpdates is what the agent reports of a connection that somebody cut.
const eNoUpdates codes.HRESULT = 0x80240438

// unpackStartup lays the section over the machine.
func (m *Machine) unpackStartup(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := &startup{}
	if err := d.Decode(&s.startupSpec); err != nil {
		return err
	}
	m.now.Startup = s
	if err := m.invent(); err != nil {
		return err
	}
	for name := range s.Tasks {
		if _, ok := m.now.Settings[settingName("task/"+name)]; !ok {
			m.now.Settings[settingName("task/"+name)] = "on"
		}
	}
	for i := range s.Breaks {
		b := &s.Breaks[i]
		for k, name := range b.Together {
			var n int
			if _, err := fmt.Sscanf(name, "#%d", &n); err == nil {
				if n < 0 || n >= len(s.Invented) {
					return fmt.Errorf("no entry %s", name)
				}
				b.Together[k] = s.Invented[n]
			}
		}
	}
	return nil
}

// Places of what is invented.
const (
	runKey        = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run`
	runKey32      = `HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Run`
	userRunKey    = `HKCU\Software\Microsoft\Windows\CurrentVersion\Run`
	startupFolder = `C:\ProgramData\Microsoft\Windows\Start Menu\Programs\StartUp`
)

// invent makes entries of vendors that have a few each: half of them services, of which
// one in ten accepts no stop, the rest tasks, values and files for a sign-in.
func (m *Machine) invent() error {
	s := m.now.Startup
	rng := rand.New(rand.NewPCG(s.Seed, 1))
	if s.Programs == nil {
		s.Programs = map[string]host.Program{}
	}
	if s.Tasks == nil {
		s.Tasks = map[string]startupTask{}
	}
	r := m.now.Registry
	for len(s.Invented) < s.Make {
		vendor := fmt.Sprintf("Maker %03d", len(s.Invented))
		for range 1 + rng.IntN(6) {
			n := len(s.Invented)
			if n == s.Make {
				break
			}
			program := fmt.Sprintf(`C:\Program Files\%s\app%d.exe`, vendor, n)
			s.Programs[strings.ToLower(program)] = host.Program{
				Version: fmt.Sprintf("%d.%d.0.1", 1+n%9, n%7), Company: vendor, Product: vendor + " Suite", Signed: host.SignedInside, Signer: vendor, Owner: vendor,
			}
			if err := m.unpackFile(strings.ReplaceAll(strings.Replace(program, ":", "", 1), `\`, "/"), []byte("stands for the program")); err != nil {
				return err
			}
			name := ""
			switch x := rng.IntN(100); {
			case x < 50:
				name = fmt.Sprintf("Service%d", n)
				m.now.Services[strings.ToLower(name)] = &serviceState{Name: name, State: winlog.ServiceRunning}
				key := servicesKey + name
				r.set(key, "Type", dword(0x10))
				r.set(key, "Start", dword(winlog.ServiceAutoStart))
				r.set(key, "ErrorControl", dword(1))
				r.set(key, "ImagePath", sz(winlog.RegExpandSZ, `"`+program+`" -service`))
				r.set(key, "DisplayName", sz(winlog.RegSZ, fmt.Sprintf("%s part %d", vendor, n)))
				r.set(key, "ObjectName", sz(winlog.RegSZ, "LocalSystem"))
				if rng.IntN(10) == 0 {
					s.Fixed = append(s.Fixed, strings.ToLower(name))
				}
				name = "service " + name
			case x < 70:
				name = fmt.Sprintf(`\%s\Task%d`, vendor, n)
				s.Tasks[name] = startupTask{Trigger: "LogonTrigger", Command: program}
				name = "task " + name
			case x < 95:
				name = fmt.Sprintf("Run%d", n)
				key := []string{runKey, runKey32, userRunKey}[rng.IntN(3)]
				r.set(key, name, sz(winlog.RegSZ, `"`+program+`" /background`))
				name = "run " + name
			default:
				name = fmt.Sprintf("Start%d.exe", n)
				at := startupFolder + `\` + name
				s.Programs[strings.ToLower(at)] = s.Programs[strings.ToLower(program)]
				if err := m.unpackFile(strings.ReplaceAll(strings.Replace(at, ":", "", 1), `\`, "/"), []byte("stands for the program")); err != nil {
					return err
				}
				name = "folder " + name
			}
			s.Invented = append(s.Invented, name)
		}
	}
	return nil
}

// begun notes what was started with Windows. The caller holds the state.
func (m *Machine) begun(s *state) {
	if s.Startup == nil {
		return
	}
	s.Startup.Active = map[string]bool{}
	for _, b := range s.Startup.Breaks {
		for _, name := range b.Together {
			s.Startup.Active[strings.ToLower(name)] = m.startsWith(s, name)
		}
	}
}

// startsWith reports whether something is started at the next start of Windows.
func (m *Machine) startsWith(s *state, name string) bool {
	kind, name, _ := strings.Cut(name, " ")
	switch kind {
	case host.StartService:
		return s.service(name) != nil && s.start(name).Type == winlog.ServiceAutoStart
	case host.StartTask:
		state, _ := s.setting("task/" + name)
		return state == "on"
	case host.StartRun:
		for _, key := range []string{runKey, runKey32, userRunKey} {
			if _, ok := s.Registry.value(key, name); ok {
				return true
			}
		}
	case host.StartFolder:
		return m.exists(startupFolder + `\` + name)
	}
	return false
}

// interferes returns how a stage fails because of what runs on the machine.
func (m *Machine) interferes(stage string) codes.HRESULT {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := &m.now
	if s.Startup == nil {
		return 0
	}
	for _, b := range s.Startup.Breaks {
		if b.Stage == stage && !slices.ContainsFunc(b.Together, func(name string) bool { return !s.hasEffect(name, b.Lingers) }) {
			return b.Code
		}
	}
	return 0
}

// hasEffect: a service while it runs, everything else from one start of Windows to the next.
func (s *state) hasEffect(name string, lingers bool) bool {
	active := s.Startup.Active[strings.ToLower(name)]
	if service, ok := strings.CutPrefix(name, "service "); ok && !lingers {
		have := s.service(service)
		return have != nil && have.State == winlog.ServiceRunning
	}
	return active
}

// starts answers what starts with this Windows.
func (m *Machine) starts(ctx context.Context) (any, error) {
	if read(m, func(s *state) bool { return s.Startup == nil }) {
		return nil, host.ErrNotRecorded
	}
	return host.FindStartup(ctx, m, startupFiles{m}, `C:\Windows`)
}

// startupFiles is a machine as a look at its startup needs it.
type startupFiles struct{ m *Machine }

// Services implements [host.StartupSystem].
func (f startupFiles) Services(context.Context) (map[string]host.ServiceNow, error) {
	return read(f.m, func(s *state) map[string]host.ServiceNow {
		out := map[string]host.ServiceNow{}
		for name, v := range s.Services {
			running := v.State == winlog.ServiceRunning
			out[name] = host.ServiceNow{State: v.State, Stops: running && !slices.Contains(s.Startup.Fixed, name)}
		}
		return out
	}), nil
}

// Program implements [host.StartupSystem]. What lies in Windows' folder is Microsoft's.
func (f startupFiles) Program(_ context.Context, p string) host.Program {
	own, ok := read(f.m, func(s *state) host.Program { return s.Startup.Programs[strings.ToLower(p)] }), false
	if own != (host.Program{}) {
		return own
	}
	for _, dir := range []string{`C:\Windows\`, `C:\ProgramData\Microsoft\Windows Defender\`} {
		ok = ok || len(p) > len(dir) && strings.EqualFold(p[:len(dir)], dir)
	}
	switch {
	case ok:
		return host.Program{Version: "10.0.22631.1", Company: "Microsoft Corporation", Signed: host.SignedCatalog, Signer: "Microsoft Windows", Owner: "Microsoft Corporation"}
	case !f.m.exists(p):
		return host.Program{Signed: host.SignedMissing}
	}
	return host.Program{Signed: host.SignedNot}
}

// Tasks implements [host.StartupSystem].
func (f startupFiles) Tasks(_ context.Context, each func(string, []byte) bool) error {
	type task struct {
		name, state string
		startupTask
	}
	list := read(f.m, func(s *state) (out []task) {
		for name, t := range s.Startup.Tasks {
			state, _ := s.setting("task/" + name)
			out = append(out, task{name, state, t})
		}
		return out
	})
	sorted.By(list, func(a, b task) int { return strings.Compare(a.name, b.name) })
	for _, t := range list {
		text := fmt.Sprintf(`<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Triggers><%s/></Triggers><Settings><Enabled>%t</Enabled></Settings><Actions><Exec><Command>%s</Command></Exec></Actions></Task>`,
			t.Trigger, t.state == "on", t.Command)
		if !each(t.name, []byte(text)) {
			return nil
		}
	}
	return nil
}

// Folder implements [host.StartupSystem].
func (f startupFiles) Folder(p string) ([]string, error) {
	entries, err := os.ReadDir(f.m.place(p))
	if err != nil {
		return nil, notExist(err)
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Read implements [host.StartupSystem].
func (f startupFiles) Read(p string, limit int64) ([]byte, error) {
	b, err := os.ReadFile(f.m.place(p))
	return b[:min(int64(len(b)), limit)], notExist(err)
}

// guardFile keeps what the machine starts to take back what was left of a run.
const guardFile = "guard.json"

// Guard implements [host.Guardian]. Nothing starts by itself here: who plays the machine
// looks at what is Guarded.
func (m *Machine) Guard(ctx context.Context, g host.Guard) error {
	if err := errors.Join(ctx.Err(), g.Check()); err != nil {
		return err
	}
	b, err := json.Marshal(g)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.dir, guardFile), b, 0o600)
}

// Unguard implements [host.Guardian].
func (m *Machine) Unguard(context.Context) error {
	if err := os.Remove(filepath.Join(m.dir, guardFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Guarded returns what stands guard, or an error that fits [host.ErrNotExist].
func (m *Machine) Guarded() (g host.Guard, err error) {
	b, err := os.ReadFile(filepath.Join(m.dir, guardFile))
	if err != nil {
		return g, notExist(err)
	}
	return g, json.Unmarshal(b, &g)
}
