package lab

import (
	"fmt"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// How installs end on a machine, where they do not end at once.
const (
	setFinish   = "state/install-restart" // "yes": servicing finishes an install with the next restart
	setRollback = "state/rollback"        // with what that fails, "0x800F0922": it is taken back, and the agent hears nothing of it; "unsaid": nor does the event log
)

const (
	versionKey = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	// cumulative is the package of every update of this world that is no driver and no
	// definition; revision is that of the build that it brings.
	cumulative = "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7"
	revision   = 3374

	maxInstallEvents = 100
)

// packageState sets how far the package of an update is.
func (o offer) packageState(s *state, to host.PackageState) {
	if o.KB == definitionsKB {
		return
	}
	key := cbsKey + `\Packages\` + cumulative
	s.Registry.make(key)
	s.Registry.set(key, "CurrentState", dword(uint32(to)))
	if ubr, ok := s.Registry.number(versionKey, "UBR"); to == host.PackageInstalled && ok && ubr < revision {
		s.Registry.set(versionKey, "UBR", dword(revision))
	}
}

// installed is what servicing and the agent do with an update that was deployed. restart
// says that the next one finishes it.
func (m *Machine) installed(o offer) (restart bool, err error) {
	late := false
	m.mu.Lock()
	if v, _ := m.now.setting(setFinish); v == "yes" && o.KB != definitionsKB {
		late = true
		o.packageState(&m.now, host.PackageInstallPending)
		m.now.Pending = append(m.now.Pending, o)
	} else {
		o.packageState(&m.now, host.PackageInstalled)
	}
	m.now.Offers = slices.DeleteFunc(m.now.Offers, func(x offer) bool { return x.ID == o.ID })
	m.mu.Unlock()
	if late {
		return true, nil
	}
	return false, m.ended(o, 0)
}

// ended has the event log tell how an install ended, and the agent remember one that
// went well.
func (m *Machine) ended(o offer, h codes.HRESULT) error {
	m.mu.Lock()
	x := host.InstallEvent{Record: uint64(m.now.Events), At: m.Now().UTC(), ID: host.EventInstalled, Update: strings.ToLower(o.ID), Title: o.Title, Result: h}
	if h.Failed() {
		x.ID = host.EventFailed
	} else {
		m.now.Present = append(m.now.Present, strings.ToLower(o.ID))
		if o.KB != "" {
			m.now.Present = append(m.now.Present, strings.ToLower(o.KB))
		}
	}
	m.now.Installs = append([]host.InstallEvent{x}, m.now.Installs[:min(len(m.now.Installs), maxInstallEvents-1)]...)
	m.mu.Unlock()
	const source = "Microsoft-Windows-WindowsUpdateClient"
	if h.Failed() {
		return m.event(systemLog, source, host.EventFailed, "Error", fmt.Sprintf("Installation Failure: Windows failed to install the following update with error 0x%08X: %s.", uint32(h), o.Title))
	}
	return m.event(systemLog, source, host.EventInstalled, "Information", "Installation Successful: Windows successfully installed the following update: "+o.Title)
}

// finish is what servicing does with what waited for the restart: it ends it, or takes
// it back.
func (m *Machine) finish() error {
	pending := read(m, func(s *state) []offer { return s.Pending })
	if len(pending) == 0 {
		return nil
	}
	text, _ := m.setting(setRollback)
	var h codes.HRESULT
	_ = h.UnmarshalText([]byte(text))
	to, unsaid := host.PackageInstalled, text == "unsaid"
	if h.Failed() || unsaid {
		to = host.PackageStaged
	}
	for _, o := range pending {
		m.mu.Lock()
		o.packageState(&m.now, to)
		m.mu.Unlock()
		if h.Failed() {
			if err := m.servicing("Error", "Startup: Failed to process the poqexec transaction of %s, rolling back [HRESULT = 0x%08x]", cumulative, uint32(h)); err != nil {
				return err
			}
		}
		if unsaid {
			continue
		}
		if err := m.ended(o, h); err != nil {
			return err
		}
	}
	return m.change(func(s *state) error { s.Pending = nil; return nil })
}

// servicingOwn reports a place of the registry that installs write, and no undo takes
// back.
func servicingOwn(key, name string) bool {
	return strings.EqualFold(key, versionKey) && strings.EqualFold(name, "UBR") ||
		wild(cbsKey+`\Packages`, key) || wild(cbsKey+`\Packages\Package_for_RollupFix*`, key)
}
