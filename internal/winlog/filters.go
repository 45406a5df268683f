package winlog

import (
	"io"
	"strconv"
	"strings"
)

// fltmc filters prints a table with a translated head,
//
//	Filter Name                     Num Instances    Altitude    Frame
//	------------------------------  -------------  ------------  -----
//	WdFilter                                5       328010         0
//
// fltmc instances one with filter, volume, altitude, instance, frame and flags.
// An altitude is a decimal fraction of any length; its place tells the group.
// learn.microsoft.com: "Allocated filter altitudes", "Load order groups and
// altitudes for minifilter drivers".

// Filter is a minifilter driver that is loaded.
type Filter struct {
	Line      int
	Name      string
	Instances int    // -1 not told
	Altitude  string // "328010" or "135000.5"; "" for a legacy filter
	Frame     int
	Legacy    bool   // attached without the filter manager
	Group     string // "FSFilter Anti-Virus"; "" outside of the allocated ranges
	Microsoft bool   // comes with Windows or from Microsoft
	Volumes   []string
}

var (
	filterRow   = newPattern(`^(\S{1,64})\s+(\d{1,5})\s+(\d{4,6}(?:\.\d{1,20})?)\s+(\d{1,2})$`)
	legacyRow   = newPattern(`^(\S{1,64})\s+(?:\d{0,5}\s+)?<\p{L}+>(?:\s.*)?$`)
	instanceRow = newPattern(`^(\S{1,64})\s+(?:(\S.{0,120}?)\s{2,})?(\d{4,6}(?:\.\d{1,20})?)\s{2,}\S.{0,80}?\s+(\d{1,2})(?:\s+[0-9a-fA-F]{8}.*)?$`)
)

// ReadFilters reads what fltmc, fltmc filters and fltmc instances print. A
// filter that both tables show is one entry.
func ReadFilters(r io.Reader) ([]Filter, error) {
	lines, err := readDocument(r)
	if err != nil {
		return nil, err
	}
	var out []Filter
	index := map[string]int{}
	get := func(line int, name string) *Filter {
		key := strings.ToLower(name)
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, Filter{Line: line, Name: name, Instances: -1, Microsoft: microsoftFilters[key]})
		}
		return &out[i]
	}
	for i, line := range lines {
		t := strings.TrimSpace(line)
		if m := filterRow.FindStringSubmatch(t); m != nil {
			f := get(i+1, m[1])
			f.Instances, _ = strconv.Atoi(m[2])
			f.setAltitude(m[3])
			f.Frame, _ = strconv.Atoi(m[4])
		} else if m := instanceRow.FindStringSubmatch(t); m != nil {
			f := get(i+1, m[1])
			f.setAltitude(m[3])
			f.Frame, _ = strconv.Atoi(m[4])
			if m[2] != "" && len(f.Volumes) < 1000 {
				f.Volumes = append(f.Volumes, m[2])
			}
		} else if m := legacyRow.FindStringSubmatch(t); m != nil {
			get(i+1, m[1]).Legacy = true
		}
	}
	return out, nil
}

func (f *Filter) setAltitude(s string) {
	f.Altitude, f.Group = s, FilterGroup(s)
}

// Ranges of altitudes and the groups they are allocated to.
var filterGroups = []struct {
	from, to int
	name     string
}{
	{420000, 429999, "Filter"},
	{400000, 409999, "FSFilter Top"},
	{360000, 389999, "FSFilter Activity Monitor"},
	{340000, 349999, "FSFilter Undelete"},
	{320000, 329999, "FSFilter Anti-Virus"},
	{300000, 309999, "FSFilter Replication"},
	{280000, 289999, "FSFilter Continuous Backup"},
	{260000, 269999, "FSFilter Content Screener"},
	{240000, 249999, "FSFilter Quota Management"},
	{220000, 229999, "FSFilter System Recovery"},
	{200000, 209999, "FSFilter Cluster File System"},
	{180000, 189999, "FSFilter HSM"},
	{170000, 174999, "FSFilter Imaging"},
	{160000, 169999, "FSFilter Compression"},
	{140000, 149999, "FSFilter Encryption"},
	{130000, 139999, "FSFilter Virtualization"},
	{120000, 129999, "FSFilter Physical Quota Management"},
	{100000, 109999, "FSFilter Open File"},
	{80000, 89999, "FSFilter Security Enhancer"},
	{60000, 69999, "FSFilter Copy Protection"},
	{40000, 49999, "FSFilter Bottom"},
	{20000, 29999, "FSFilter System"},
}

// FilterGroup returns the load order group that an altitude lies in, "" if in none.
func FilterGroup(altitude string) string {
	whole, _, _ := strings.Cut(altitude, ".")
	n, err := strconv.Atoi(whole)
	if err != nil {
		return ""
	}
	for _, g := range filterGroups {
		if n >= g.from && n <= g.to {
			return g.name
		}
	}
	return ""
}

// Filters of Windows itself and of Microsoft's own products, lower case.
var microsoftFilters = map[string]bool{
	"wdfilter": true, "mssecflt": true, "mpfilter": true, "bindflt": true, "wcifs": true, "wcnfs": true, "cldflt": true, "filecrypt": true,
	"luafv": true, "npsvctrig": true, "wof": true, "fileinfo": true, "applockerfltr": true, "storqosflt": true, "unionfs": true, "prjflt": true,
	"bfs": true, "gameflt": true, "winsetupmon": true, "wimmount": true, "wimfltr": true, "dedup": true, "dfsrro": true, "resumekeyfilter": true,
	"csvflt": true, "csvnsflt": true, "svhdxflt": true, "datascrn": true, "quota": true, "hsmflt": true, "fsdepends": true, "appvvfs": true, "appvstrm": true, "appvvemgr": true, "uevagentdriver": true, "sysmondrv": true, "rsfx0105": true, "rsfx0150": true, "rsfx0200": true, "rsfx0300": true, "rsfx0310": true, "rsfx0320": true,
	"procmon24": true, "procmon23": true, "procmon25": true, "hvsifltr": true, "frxdrv": true, "frxdrvvt": true, "frxccd": true,
}
