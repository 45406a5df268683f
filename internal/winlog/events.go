package winlog

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// eventsTSV names the fields of events; its first lines say what the columns
// are. Newer events name their data themselves; older templates and classic
// events only number it.
//
//go:embed data/events.tsv
var eventsTSV string

// updateProviders take part in updating, or tell of restarts, clocks, networks
// and certificates, but name all their data themselves.
const updateProviders = `
CAPI2
Microsoft-Windows-AppXDeployment
Microsoft-Windows-CAPI2
Microsoft-Windows-DeliveryOptimization
Microsoft-Windows-DeviceSetupManager
Microsoft-Windows-Eventlog
Microsoft-Windows-NCSI
Microsoft-Windows-Setup
Microsoft-Windows-SetupPlatform
Microsoft-Windows-Store
Microsoft-Windows-UpdateOrchestrator
Microsoft-Windows-UserPnp
Microsoft-Windows-WinHttp
Microsoft-Windows-Windows Defender
Microsoft-Windows-WindowsUpdateAgent
`

type eventKey struct {
	provider string // lower case
	id       uint32
}

// eventFields is one row of the table.
type eventFields struct {
	version uint8
	names   []string
}

type eventTable struct {
	events    map[eventKey][]eventFields // by falling version
	providers map[string]bool            // lower case
}

var eventIndex = sync.OnceValue(func() *eventTable {
	t := &eventTable{
		events:    make(map[eventKey][]eventFields, 800),
		providers: make(map[string]bool),
	}
	for p := range strings.Lines(updateProviders) {
		t.providers[strings.ToLower(strings.TrimSpace(p))] = true
	}
	delete(t.providers, "")
	for row := range strings.Lines(eventsTSV) {
		col := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		if len(col) != 6 {
			continue // the explanation at the top
		}
		provider := strings.ToLower(col[0])
		id, _ := strconv.ParseUint(col[2], 10, 32)
		version, _ := strconv.ParseUint(col[3], 10, 8)
		var names []string
		for i, field := range strings.Split(col[5], ",") {
			name, _, _ := strings.Cut(field, ":")
			if name == "" {
				name = positional(nil, i)
			}
			names = append(names, name)
		}
		if col[5] == "" {
			names = nil
		}
		k := eventKey{provider, uint32(id)}
		// Rows are sorted by rising version.
		t.events[k] = append([]eventFields{{uint8(version), names}}, t.events[k]...)
		t.providers[provider] = true
	}
	return t
})

// EventFields returns the names of an event's data in the order of its
// insertion strings, or nil if they are not known. Where the table lacks the
// version, the next older one is used, or else the oldest: newer versions of an
// event add fields at the end. Letter case of the provider does not matter
// ("USER32" and "User32"). The result must not be changed.
func EventFields(provider string, id uint32, version uint8) []string {
	rows := eventIndex().events[eventKey{strings.ToLower(provider), id}]
	for _, r := range rows {
		if r.version <= version {
			return r.names
		}
	}
	if n := len(rows); n > 0 {
		return rows[n-1].names
	}
	return nil
}

// knownProvider tells whether a provider takes part in updating.
func knownProvider(provider string) bool {
	return eventIndex().providers[strings.ToLower(provider)]
}
