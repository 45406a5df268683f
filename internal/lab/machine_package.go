package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"updoc/internal/cab"
	"updoc/internal/codes"
	"updoc/internal/host"
)

// Settings that say how packages fare on a machine. They are no settings that a plan
// may name.
const (
	setBusy       = "state/installer-busy" // "yes": another installation is at work until the next restart
	setResults    = "state/results/"       // and a KB: what its attempts end with, "0x800f0922 0x00000000"; then as the machine is
	setNeedsStack = "state/needs-stack/"   // and a KB: the revision of the servicing stack that it needs
)

// What installers end with.
const (
	eNotApplicable codes.HRESULT = 0x800F081E // DISM
	eNotForThis    codes.HRESULT = 0x80240017 // wusa
	eInstallerBusy codes.HRESULT = 0x80070652
	eNewerStack    codes.HRESULT = 0x800F0823
	eBadPackage    codes.HRESULT = 0x800F0805
	eNoPackage     codes.HRESULT = 0x80070002
)

const (
	packagesKey    = cbsKey + `\Packages\`
	currentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
)

// Place returns where a path of the machine lies in the folder that holds it.
func (m *Machine) Place(path string) string { return m.place(path) }

// packageOf is the package that a command line installs.
func packageOf(tool string, args []string) (file string, ok bool) {
	switch {
	case tool == "wusa" && len(args) > 0:
		return args[0], true
	case tool == "dism":
		for _, a := range args {
			const path = "/packagepath:"
			if len(a) > len(path) && strings.EqualFold(a[:len(path)], path) {
				return a[len(path):], true
			}
		}
	}
	return "", false
}

var (
	identityForm  = regexp.MustCompile(`<assemblyIdentity name="([^"]*)" version="([^"]*)" language="([^"]*)" processorArchitecture="([^"]*)" publicKeyToken="([^"]*)"`)
	articleForm   = regexp.MustCompile(`<package identifier="(KB\d+)"`)
	parentForm    = regexp.MustCompile(`<parent [^>]*>\s*<assemblyIdentity name="[^"]*" version="10\.0\.(\d+)\.`)
	stackVersions = regexp.MustCompile(`(?i)^package_for_servicingstack_[^~]*~[^~]*~[^~]*~[^~]*~\d+\.(\d+)\.`)
)

// readPackage reads what a package that the lab made says of itself: in an image,
// which nothing here unpacks, the manifest stands as it is.
func readPackage(b []byte, depth int) (u UpdatePackage, ok bool) {
	manifest := b
	if bytes.HasPrefix(b, []byte(cab.Signature)) {
		r, err := cab.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || depth > 1 {
			return u, false
		}
		manifest = nil
		for _, f := range r.Files {
			low := strings.ToLower(f.Name)
			if low != "update.mum" && (!strings.HasSuffix(low, ".cab") || low == "wsusscan.cab") {
				continue
			}
			c, err := f.Open()
			if err != nil {
				return u, false
			}
			in, err := io.ReadAll(c)
			c.Close()
			if err != nil {
				return u, false
			}
			if low != "update.mum" {
				return readPackage(in, depth+1)
			}
			manifest = in
		}
	}
	id := identityForm.FindSubmatch(manifest)
	if id == nil {
		return u, false
	}
	u = UpdatePackage{Name: string(id[1]), Version: string(id[2]), Language: string(id[3]), Arch: string(id[4])}
	if kb := articleForm.FindSubmatch(manifest); kb != nil {
		u.KB = string(kb[1])
	}
	for _, p := range parentForm.FindAllSubmatch(manifest, -1) {
		u.Parents = append(u.Parents, string(p[1])) // builds
	}
	return u, true
}

// addPackage installs a package as wusa and DISM do.
func (m *Machine) addPackage(tool, file string) error {
	wusa := tool == "wusa"
	if wusa {
		if h := m.need("wuauserv"); h.Failed() {
			return h
		}
	}
	if h := m.need("TrustedInstaller"); h.Failed() {
		return h
	}
	b, err := os.ReadFile(m.place(file))
	if err != nil {
		return eNoPackage
	}
	u, ok := readPackage(b, 0)
	if !ok {
		return eBadPackage
	}
	if busy, _ := m.setting(setBusy); busy == "yes" {
		return eInstallerBusy
	}
	if h, ok := m.told(u.KB); ok {
		if h != 0 {
			return h
		}
	} else if h := m.applies(u, wusa); h != 0 {
		return h
	}
	after := host.PackageInstalled
	if u.filled().Name == "Package_for_RollupFix" { // files in use are replaced while Windows starts
		after = host.PackageInstallPending
	}
	err = m.change(func(s *state) error {
		key := packagesKey + u.Identity()
		s.Registry.set(key, "CurrentState", dword(uint32(after)))
		if after == host.PackageInstallPending {
			s.Registry.make(cbsKey + `\RebootPending`)
		}
		return nil
	})
	if err == nil && after == host.PackageInstallPending {
		err = fmt.Errorf("%s ended with 3010: %w", tool, host.ErrRestart)
	}
	return err
}

// told is what a scenario has the next attempt at an update end with.
func (m *Machine) told(kb string) (h codes.HRESULT, ok bool) {
	list, _ := m.setting(setResults + strings.ToLower(kb))
	first, rest, _ := strings.Cut(strings.TrimSpace(list), " ")
	if h.UnmarshalText([]byte(first)) != nil {
		return 0, false
	}
	err := m.change(func(s *state) error {
		s.Settings[setResults+strings.ToLower(kb)] = rest
		return nil
	})
	return h, err == nil
}

// applies reports why a package cannot be installed on the machine as it is; 0 if it
// can.
func (m *Machine) applies(u UpdatePackage, wusa bool) codes.HRESULT {
	not := eNotApplicable
	if wusa {
		not = eNotForThis
	}
	u = u.filled()
	r := func(f func(*state) bool) bool { return read(m, f) }
	build := read(m, func(s *state) int {
		n, _ := strconv.Atoi(s.Registry.text(currentVersion, "CurrentBuild"))
		return n
	})
	near := func(text string) bool {
		n, err := strconv.Atoi(text)
		return err == nil && n <= build && build <= n+100
	}
	if u.Arch != "amd64" {
		return not
	}
	fits := len(u.Parents) == 0
	for _, p := range u.Parents {
		fits = fits || near(p)
	}
	if !fits {
		return not
	}
	if r(func(s *state) bool {
		n, _ := s.Registry.number(packagesKey+u.Identity(), "CurrentState")
		return host.PackageState(n) == host.PackageInstalled
	}) {
		if wusa {
			return eAlreadyThere
		}
		return 0
	}
	if revision, ok := rollup(u); ok && r(func(s *state) bool {
		have, _ := s.Registry.number(currentVersion, "UBR")
		return int(have) >= revision
	}) {
		return not // a later one is there
	}
	if text, ok := m.setting(setNeedsStack + strings.ToLower(u.KB)); ok {
		want, _ := strconv.Atoi(text)
		if !r(func(s *state) bool { return s.stack() >= want }) {
			return eNewerStack
		}
	}
	_, h := m.stage(offer{KB: u.KB, Number: 1})
	return h
}

// rollup is the revision that a cumulative update brings.
func rollup(u UpdatePackage) (int, bool) {
	parts := strings.Split(u.Version, ".")
	if u.filled().Name != "Package_for_RollupFix" || len(parts) < 2 {
		return 0, false
	}
	n, err := strconv.Atoi(parts[1])
	return n, err == nil
}

// stack is the revision of the servicing stack.
func (s *state) stack() int {
	best := 0
	for _, name := range s.Registry.subkeys(strings.TrimSuffix(packagesKey, `\`)) {
		if m := stackVersions.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1])
			best = max(best, n)
		}
	}
	return best
}

// finishPackages is what the servicing stack does with what waits, while Windows starts.
func (s *state) finishPackages() {
	delete(s.Settings, setBusy)
	for _, name := range s.Registry.subkeys(strings.TrimSuffix(packagesKey, `\`)) {
		n, _ := s.Registry.number(packagesKey+name, "CurrentState")
		if host.PackageState(n) != host.PackageInstallPending {
			continue
		}
		s.Registry.set(packagesKey+name, "CurrentState", dword(uint32(host.PackageInstalled)))
		if i := strings.LastIndexByte(name, '~'); i >= 0 {
			base, _, _ := strings.Cut(name, "~")
			if revision, ok := rollup(UpdatePackage{Name: base, Version: name[i+1:]}); ok {
				s.Registry.set(currentVersion, "UBR", dword(uint32(revision)))
			}
		}
	}
}

// With returns the scenario with settings of its machine that are others; see
// [host.Setting], and the settings of machine_*.go.
func (s *Scenario) With(settings map[string]string) *Scenario {
	b, err := json.Marshal(settings)
	if err != nil || len(settings) == 0 { // text can always be marshalled
		return s
	}
	other := *s
	other.machine = append(slices.Clone(s.machine), txtar.File{Name: "machine/settings.json", Data: b})
	return &other
}
