package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// setFaults are the faults of a machine's component store, as JSON. A machine that is
// only called damaged has one fault that every source mends.
const setFaults = "state/store/faults"

// storeFault is one thing that is damaged, and who has a good copy of it.
type storeFault struct {
	Name      string   `json:"name"`                // "CSI Payload Corrupt", "CBS MUM Missing"; "file" for one outside of the store
	Component string   `json:"component,omitempty"` // its key form
	Short     string   `json:"short,omitempty"`     // as sfc names the component
	File      string   `json:"file,omitempty"`
	Package   string   `json:"package,omitempty"` // identity
	Needs     string   `json:"needs,omitempty"`   // revision of the build from which on an image has it
	In        []string `json:"in,omitempty"`      // update, image, folder; a package that is installed has it too
}

const (
	faultFile    = "file"
	fromUpdate   = "update"
	fromImage    = "image"
	fromFolder   = "folder"
	keyRepairs   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing`
	keyWSUSUse   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`
	storePackage = "CBS MUM Missing"
)

// storeSection is the section machine/store.json of a scenario: what is damaged, and
// the images that lie about, by their path.
type storeSection struct {
	Faults []storeFault                 `json:"faults"`
	Images map[string][]host.ImageEntry `json:"images"`
}

func (m *Machine) unpackStore(b []byte) error {
	var s storeSection
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return err
	}
	for name, entries := range s.Images {
		at := m.place(name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(at, host.WriteImage(entries), 0o600); err != nil {
			return err
		}
	}
	list, err := json.Marshal(s.Faults)
	if err != nil {
		return err
	}
	m.now.Settings[setFaults] = string(list)
	m.now.Settings[setStore] = storeState(s.Faults)
	return nil
}

// storeState is what the rest of the machine goes by.
func storeState(faults []storeFault) string {
	switch {
	case len(faults) == 0:
		return "sound"
	case slices.ContainsFunc(faults, func(f storeFault) bool { return f.Name != faultFile }):
		return "damaged"
	}
	return "files"
}

// storeFaults lists what is damaged. A package that was installed again brought its
// own files with it.
func (m *Machine) storeFaults() []storeFault {
	m.mu.RLock()
	defer m.mu.RUnlock()
	state := m.now.Settings[setStore]
	var all []storeFault
	if json.Unmarshal([]byte(m.now.Settings[setFaults]), &all) != nil || len(all) == 0 {
		every := []string{fromUpdate, fromImage, fromFolder}
		switch state {
		case "damaged":
			return []storeFault{{Name: "CSI Manifest Corrupt", Component: "amd64_microsoft-windows-lab_31bf3856ad364e35_10.0.22631.1_none_0123456789abcdef", In: every}}
		case "files":
			return []storeFault{{Name: faultFile, File: `C:\Windows\System32\labpaper.dll`}}
		}
		return nil
	}
	return slices.DeleteFunc(all, func(f storeFault) bool {
		n, ok := m.now.Registry.number(cbsKey+`\Packages\`+f.Package, "CurrentState")
		return f.Package != "" && ok && host.PackageState(n) == host.PackageInstalled
	})
}

// mended leaves of the faults those that are not mended.
func (m *Machine) mended(left []storeFault) error {
	list, err := json.Marshal(left)
	if err != nil {
		return err
	}
	return m.change(func(s *state) error {
		if s.Settings[setStore] = storeState(left); len(left) > 0 || s.Settings[setFaults] != "" {
			s.Settings[setFaults] = string(list)
		}
		return nil
	})
}

// missingPackage is the first package that servicing looks for and does not find while
// it deploys an update; one that is being installed itself is none.
func (m *Machine) missingPackage(kb string) (string, bool) {
	for _, f := range m.storeFaults() {
		if f.Name == storePackage && (kb == "" || !strings.Contains(f.Package, kb)) {
			return f.Package, true
		}
	}
	return "", false
}

// whole reports that nothing in the store is in the way of an update.
func (m *Machine) whole(kb string) bool {
	for _, f := range m.storeFaults() {
		if kb == "" || f.Package == "" || !strings.Contains(f.Package, kb) {
			return false
		}
	}
	return true
}

const (
	eSourceMissing  codes.HRESULT = 0x800F081F
	eSourceDownload codes.HRESULT = 0x800F0906
	eSourcePolicy   codes.HRESULT = 0x800F0907
	eNoFolder       codes.HRESULT = 0x8007010B // ERROR_DIRECTORY
	eStoreLacks     codes.HRESULT = 0x800F0831
)

// storeLook is DISM /ScanHealth: it ends well, whatever it finds.
func (m *Machine) storeLook() error {
	return m.storeReport(false, 0, m.inStore(), nil, nil, 0)
}

func (m *Machine) inStore() []storeFault {
	return slices.DeleteFunc(m.storeFaults(), func(f storeFault) bool { return f.Name == faultFile })
}

// restoreHealth is DISM /RestoreHealth.
// learn.microsoft.com: "Configure a Windows Repair Source": policy's own places come
// before Windows Update.
func (m *Machine) restoreHealth(ctx context.Context, args []string) error {
	var given string
	limited := false
	for _, a := range args {
		if len(a) > len("/Source:") && strings.EqualFold(a[:len("/Source:")], "/Source:") {
			given = a[len("/Source:"):]
		}
		limited = limited || strings.EqualFold(a, "/LimitAccess")
	}
	places := []string{given}
	if given == "" {
		places = strings.Split(read(m, func(s *state) string { return s.Registry.text(keyRepairs, "LocalSourcePath") }), ";")
	}
	faults := m.inStore()
	fixed := map[int]bool{}
	var used []string
	var unread codes.HRESULT
	for _, p := range places {
		if p == "" {
			continue
		}
		used = append(used, p)
		has, err := m.repairSource(p)
		if err != nil {
			unread = eNoFolder
			continue
		}
		for i, f := range faults {
			if has(f) {
				fixed[i] = true
			}
		}
	}
	var refused codes.HRESULT
	if len(fixed) < len(faults) && !limited {
		if refused = m.updateRefused(ctx); refused == 0 {
			for i, f := range faults {
				if slices.Contains(f.In, fromUpdate) {
					fixed[i] = true
				}
			}
		}
	}
	var result codes.HRESULT
	if len(fixed) < len(faults) {
		if result = eSourceMissing; refused != 0 && len(used) == 0 {
			result = refused
		}
	}
	all := m.storeFaults()
	left := slices.DeleteFunc(slices.Clone(all), func(f storeFault) bool {
		i := slices.IndexFunc(faults, func(o storeFault) bool {
			return o.Name == f.Name && o.Component == f.Component && o.File == f.File && o.Package == f.Package
		})
		return i >= 0 && fixed[i]
	})
	err := m.storeReport(true, result, faults, fixed, used, unread)
	if len(left) < len(all) {
		err = errors.Join(err, m.mended(left))
	}
	if err == nil && result != 0 {
		return result
	}
	return err
}

// updateRefused is why the update service gives no files, 0 if it gives what it has.
func (m *Machine) updateRefused(ctx context.Context) codes.HRESULT {
	m.mu.RLock()
	r := m.now.Registry
	never, _ := r.number(keyRepairs, "UseWindowsUpdate")
	wsus, _ := r.number(keyWSUSUse, "UseWUServer")
	direct, _ := r.number(keyRepairs, "RepairContentServerSource")
	m.mu.RUnlock()
	switch {
	case never == 2:
		return eSourcePolicy
	case wsus == 1 && direct != 2, !m.reachable(ctx):
		return eSourceDownload
	}
	return 0
}

// repairSource opens what DISM is given as a source, and says of a fault whether it has
// a good copy.
func (m *Machine) repairSource(arg string) (func(storeFault) bool, error) {
	p, index := arg, 0
	for _, kind := range []string{"wim:", "esd:"} {
		if rest, ok := strings.CutPrefix(strings.ToLower(arg), kind); ok {
			i := strings.LastIndexByte(rest, ':')
			n, err := strconv.Atoi(rest[i+1:])
			if i < 0 || err != nil {
				return nil, host.ErrNoImage
			}
			p, index = arg[len(kind):len(kind)+i], n
		}
	}
	img, err := m.image(p)
	if err != nil {
		return nil, err
	}
	here := read(m, func(s *state) string { return s.Registry.text(versionKey, "CurrentBuild") })
	edition := read(m, func(s *state) string { return s.Registry.text(versionKey, "EditionID") })
	for _, e := range img.Entries {
		if e.Index != index {
			continue
		}
		build, revision, _ := strings.Cut(e.Build, ".")
		have, _ := strconv.Atoi(revision)
		from := fromImage
		if img.Kind == host.ImageFolder {
			from, edition = fromFolder, ""
		}
		return func(f storeFault) bool {
			want, _ := strconv.Atoi(f.Needs)
			return build == here && (edition == "" || e.Edition == edition) && slices.Contains(f.In, from) && have >= want
		}, nil
	}
	return nil, host.ErrNoImage
}

// image looks at an image of the machine.
func (m *Machine) image(p string) (host.Image, error) {
	rel, err := filepath.Rel(m.root(), m.place(p))
	if err != nil {
		return host.Image{}, err
	}
	img, err := host.FindImage(os.DirFS(m.root()), filepath.ToSlash(rel))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: %w", p, host.ErrNotExist)
		}
		return img, err
	}
	tail := strings.TrimPrefix(img.Path, filepath.ToSlash(rel))
	img.Path = strings.TrimRight(p, `\`) + strings.ReplaceAll(tail, "/", `\`)
	return img, nil
}

// storeReport writes what DISM leaves of a look or a repair in CBS.log.
func (m *Machine) storeReport(repair bool, result codes.HRESULT, faults []storeFault, fixed map[int]bool, sources []string, unread codes.HRESULT) error {
	const session = "31171520_77"
	var out []string
	line := func(component, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s, %-21s %-6s %s", m.Now().UTC().Format(time.DateTime), "Info", component, fmt.Sprintf(format, args...)))
	}
	for _, s := range sources {
		line("CBS", "Exec: Addsource called, Session: %s, Client: DISM Package Manager Provider, from GPO: No, Path: %s", session, s)
	}
	if unread != 0 {
		line("CBS", "The alternate source path directory could not be accessed [HRESULT = 0x%08x - ERROR_DIRECTORY]", uint32(unread))
	}
	line("CBS", "Exec: Session processing started.  Client: Manual, Session(DISM Package Manager Provider Store Corruption Detect/Repair): %s", session)
	m.world.Advance(4 * time.Minute)
	line("CBS", "Repr: CBS Store check completes")
	line("CBS", "=================================")
	line("CBS", "Checking System Update Readiness.")
	for i, f := range faults {
		mark := "(n)\t\t\t"
		if fixed[i] {
			mark = "(w)\t(Fixed)\t\t"
		}
		object := f.Component
		switch {
		case f.File != "":
			object += `\` + f.File
		case object == "":
			object = f.Package
		}
		line("CBS", "(p)\t%s\t%s%s", f.Name, mark, object)
		if repair && !fixed[i] {
			line("CBS", "Repair failed: Missing replacement payload.")
		}
	}
	doing, operation := "Detecting", "Detect only "
	if repair {
		doing, operation = "Repairing", "Detect and Repair "
	}
	line("CBS", "Summary:")
	line("CBS", "Operation: %s", operation)
	line("CBS", "Operation result: 0x%x", uint32(result))
	line("CBS", "Total Detected Corruption:\t%d", len(faults))
	line("CBS", "Total Repaired Corruption:\t%d", len(fixed))
	line("CBS", "Total Operation Time: 240 seconds.")
	line("CBS", "Exec: Processing complete, session(Corruption %s): %s [HRESULT = 0x%08x]", doing, session, uint32(result))
	m.world.Advance(time.Second)
	return errors.Join(m.append(servicingLog, out...), m.save()) // no later process is before what it wrote
}

// checkFiles is sfc: it takes its copies from the store, and says so where that is
// damaged too.
func (m *Machine) checkFiles(repair bool) error {
	all := m.storeFaults()
	var out []string
	n := 0
	line := func(format string, args ...any) {
		n++
		out = append(out, fmt.Sprintf("%s, %-21s %-6s %08x [SR] %s", m.Now().UTC().Format(time.DateTime), "Info", "CSI", n, fmt.Sprintf(format, args...)))
	}
	m.world.Advance(3 * time.Minute)
	line("Verifying 1 components")
	line("Beginning Verify and Repair transaction")
	var left []storeFault
	torn := slices.ContainsFunc(all, func(f storeFault) bool { return f.Name != faultFile })
	for _, f := range all {
		switch {
		case f.Name == faultFile && torn:
			line(`Could not reproject corrupted file \??\%s; source file in store is also corrupted`, f.File)
			left = append(left, f)
		case f.Name == faultFile && repair:
			line(`Repairing file \??\%s from store`, f.File)
		case f.File != "":
			name := f.Short
			if name == "" {
				name = "Microsoft-Windows-Lab"
			}
			fields := strings.Split(f.Component, "_")
			version := ""
			if len(fields) > 3 {
				version = fields[len(fields)-3]
			}
			line(`Cannot repair member file [l:%d]'%s' of %s, version %s, arch amd64, nonSxS, pkt {l:8 b:31bf3856ad364e35} in the store, hash mismatch`, len(f.File), f.File, name, version)
			if f.Package != "" {
				line(`This component was referenced by [l:%d]'%s'`, len(f.Package), f.Package)
			}
			left = append(left, f)
		default:
			left = append(left, f)
		}
	}
	line("Verify complete")
	line("Repairing %d components", len(all))
	line("Repair complete")
	err := m.append(servicingLog, out...)
	if repair && len(left) < len(all) {
		err = errors.Join(err, m.mended(left))
	}
	m.world.Advance(time.Second)
	return errors.Join(err, m.save())
}
