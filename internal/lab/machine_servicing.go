package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
)

// Settings that say how it stands with what a simulated machine has no files for.
// They are no settings that a plan may name; tools change them.
const (
	setStore       = "state/component-store" // "damaged": files of the component store are
	setFree        = "state/free"            // bytes that are free on C:, or taken by large files
	setWork        = "state/minutes"         // minutes that the servicing stack's slowest step takes on this machine
	setDefinitions = "state/definitions"     // "stuck": the engine refuses definitions from the update service
	setLog         = "state/log"             // megabytes that the transaction log of an installation takes
)

// stage is what the servicing stack does with an update.
func (m *Machine) stage(o offer) (string, codes.HRESULT) {
	const stage = "install"
	name := "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7"
	fail := func(h codes.HRESULT, symbol, what string) (string, codes.HRESULT) {
		_ = m.servicing("Error", "%s [HRESULT = 0x%08x - %s]", what, uint32(h), symbol)
		_ = m.servicing("Info", "Exec: Processing complete.  Session: 31171520_%d, Package: %s, Identifier: %s [HRESULT = 0x%08x - %s]", o.Number, name, o.KB, uint32(h), symbol)
		return stage, h
	}
	m.mu.RLock()
	r := m.now.Registry
	held := r.key(cbsKey+`\RebootPending`) != nil
	automatic, _ := r.number(servicesKey+"TrustedInstaller", "Start")
	minutes, set := r.number(servicesKey+"TrustedInstaller", "BlockTimeIncrement")
	m.mu.RUnlock()
	if !set {
		minutes = 900 // seconds, of the build's default
	}
	if held && automatic != 2 {
		return fail(eRestartFirst, "ERROR_FAIL_REBOOT_REQUIRED", "Pending transaction content must be resolved")
	}
	if h, ok := m.faulty(o.KB); ok {
		_ = m.servicing("Error", "Failed to execute the update [HRESULT = 0x%08x]", uint32(h))
		return stage, h
	}
	if m.free() < 2<<30 {
		return fail(eDiskFull, "ERROR_DISK_FULL", "Not enough disk space to stage the package")
	}
	if folder, ok := m.setting("state/needs-folder"); ok && !m.exists(folder) {
		_ = m.append(servicingLog, fmt.Sprintf(`%s, Error                 CSI    00000010@%s (F) STATUS_OBJECT_PATH_NOT_FOUND #1234# from Windows::Rtl::SystemImplementation::DirectFileSystemProvider::SysOpenFile(flags = (AllowSharingViolation), handle = {provider=NULL, handle=0}, oa = @0x1, name = '\??\%s')[gle=0xd000003a]`,
			m.Now().UTC().Format(time.DateTime), m.Now().UTC().Format("2006/1/2:15:04:05.000"), folder))
		return fail(ePathMissing, "ERROR_PATH_NOT_FOUND", "Failed to open a folder")
	}
	if n := m.temporary(); n > 5000 {
		return fail(eNoName, "ERROR_FILE_EXISTS", "Error creating temporary file in C:\\Windows\\Temp")
	}
	if what, symbol, h := m.stumble(); h.Failed() {
		return fail(h, symbol, what)
	}
	if lost, ok := m.missingPackage(o.KB); ok {
		_ = m.servicing("Error", "Store corruption, manifest missing for package: %s", lost)
		return fail(eStoreLacks, "CBS_E_STORE_CORRUPTION", "Failed to resolve package '"+lost+"'")
	}
	if store, _ := m.setting(setStore); store != "sound" && !m.whole(o.KB) {
		if store == "files" {
			return fail(eStoreCorrupt, "ERROR_SXS_COMPONENT_STORE_CORRUPT", "Failed to commit the changes")
		}
		f := m.inStore()[0]
		if f.File != "" {
			f.Component += `\` + f.File
		}
		_ = m.servicing("Info", "(p)	%s	(Fix pending)	%s", f.Name, f.Component)
		return fail(eStoreCorrupt, "ERROR_SXS_COMPONENT_STORE_CORRUPT", "Failed to stage the package: the component store is inconsistent")
	}
	if deltas, _ := m.setting("state/deltas"); deltas == "orphaned" {
		return fail(eDeltas, "PSFX_E_INVALID_DELTA_COMBINATION", "Failed to stage the package: its deltas fit none of the files")
	}
	if work := m.number(setWork, 0); work*60 > int64(minutes) {
		_ = m.servicing("Error", "Startup: A possible hang was detected on the last servicing work. [HRESULT = 0x800f0821 - CBS_E_ABORT]")
		return fail(eHang, "CBS_E_ABORT", "Servicing was aborted")
	}
	if m.number(setLog, 0) > m.number("txf-log/c:", 20) {
		return fail(eLogFull, "ERROR_LOG_FULL", "Failed to commit the transaction")
	}
	_ = m.servicing("Info", "Exec: Processing complete.  Session: 31171520_%d, Package: %s, Identifier: %s [HRESULT = 0x00000000 - S_OK]", o.Number, name, o.KB)
	return stage, 0
}

// faulty returns what an update always ends with on this machine, as Microsoft
// published it wrong.
func (m *Machine) faulty(kb string) (h codes.HRESULT, ok bool) {
	text, ok := m.setting("state/faulty/" + kb)
	if ok {
		ok = h.UnmarshalText([]byte(text)) == nil
	}
	return h, ok
}

func (m *Machine) number(name string, otherwise int64) int64 {
	text, ok := m.setting(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return otherwise
	}
	return n
}

// temporary counts what lies in Windows' folder for temporary files.
func (m *Machine) temporary() int {
	entries, _ := os.ReadDir(m.place(`C:\Windows\Temp`))
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(filepath.Base(e.Name()), "many-") { // stands for as many as its name says
			k, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(e.Name(), "many-"), ".tmp"))
			n += k
		}
		n++
	}
	return n
}
