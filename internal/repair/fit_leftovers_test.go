package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// leftoverFile is the answer of a bundle.
func leftoverFile(t testing.TB, l host.Leftovers) string {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	hklmCBS       = `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	hklmServices  = `HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services`
	hklmProfiles  = `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
	hklmCaches    = `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\VolumeCaches`
	goneOperation = "2031-02-12 04:44:31, Info                  CBS    Failed reading Identity for driver operation sequenceID 7 [HRESULT = 0x80070490 - ERROR_NOT_FOUND]\r\n"
	goneService   = "2031-02-12 04:44:31, Info                  CBS    Failed in StartService of clr_optimization_v4.0.30319_32 [HRESULT = 0x80070002 - ERROR_FILE_NOT_FOUND]\r\n"
	gonePackage   = `Package_31_for_KB5030101~31bf3856ad364e35~amd64~~22621.2280.1.4`
)

func TestFitLeftovers(t *testing.T) {
	day := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	old := func(names ...string) string {
		var l host.Leftovers
		for _, n := range names {
			l.Temp = append(l.Temp, host.OldFile{Path: n, Size: 5, Modified: day})
		}
		return leftoverFile(t, l)
	}
	cacheKeys := export("["+hklmCaches+"]", "", "["+hklmCaches+`\Delivery Optimization Files]`, `"Folder"="x"`, "", "["+hklmCaches+`\Recycle Bin]`, `"Display"="x"`, "", "["+hklmCaches+`\Temporary Files]`, `"Display"="y"`, "")
	caches := func(bytes int64) string {
		return leftoverFile(t, host.Leftovers{Caches: []host.Cache{
			{Name: "Delivery Optimization Files", Path: `C:\Windows\Cache`, Files: 12, Bytes: bytes},
			{Name: "Recycle Bin", Path: `C:\$Recycle.Bin`, Files: 3, Bytes: 9 << 30}, // no answer may widen what is emptied
		}})
	}
	service := leftoverFile(t, host.Leftovers{Services: []host.Orphan{
		{Name: "clr_optimization_v4.0.30319_32", Path: `C:\Windows\Microsoft.NET\Framework\v4.0.30319\mscorsvw.exe`},
		{Name: "clr_optimization", Path: `C:\x.exe`}, // no part of a name is meant
		{Name: "wuauserv", Path: `C:\Windows\System32\svchost.exe`},
	}})
	serviceKeys := func(start string) string {
		return export("["+hklmServices+`\clr_optimization_v4.0.30319_32]`, `"Type"=dword:00000010`, `"Start"=dword:`+start, "",
			"["+hklmServices+`\clr_optimization_v4.0.30319_32\Security]`, `"Security"=hex:01,02`, "",
			"["+hklmServices+`\clr_optimization]`, `"Start"=dword:00000003`, "")
	}
	const clr = `HKLM\SYSTEM\CurrentControlSet\Services\clr_optimization_v4.0.30319_32`
	const profiles = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
	profileKeys := export("["+hklmProfiles+"]", "",
		"["+hklmProfiles+`\S-1-5-18]`, `"ProfileImagePath"="C:\\Gone"`, "",
		"["+hklmProfiles+`\S-1-5-21-1-2-3-1001]`, `"ProfileImagePath"="C:\\Users\\Ada"`, "",
		"["+hklmProfiles+`\S-1-5-21-1-2-3-1001.bak]`, `"ProfileImagePath"="C:\\Users\\ada"`, "",
		"["+hklmProfiles+`\S-1-5-21-1-2-3-1002]`, `"ProfileImagePath"="C:\\Users\\TEMP"`, "",
		"["+hklmProfiles+`\S-1-5-21-1-2-3-1002.bak]`, `"ProfileImagePath"="C:\\Users\\Bo"`, "",
		"["+hklmProfiles+`\S-1-5-21-1-2-3-1003]`, `"ProfileImagePath"="C:\\Users\\Gone"`, `"Flags"=dword:00000000`, "")
	operations := func(values ...string) string {
		return export(append([]string{"[" + hklmCBS + `\DriverOperations]`, "", "[" + hklmCBS + `\DriverOperations\1]`, "", "[" + hklmCBS + `\DriverOperations\1\6]`, `"Identity"="a"`, "", "[" + hklmCBS + `\DriverOperations\1\7]`, `"Inf"="lab.inf"`}, append(values, "")...)...)
	}
	pack := leftoverFile(t, host.Leftovers{Packages: []string{"Package_9_for_KB5030101~31bf3856ad364e35~amd64~~22621.2280.1.4", gonePackage}})
	packKeys := export("["+hklmCBS+`\Packages\`+gonePackage+"]", `"CurrentState"=dword:00000070`, "", "["+hklmCBS+`\Packages\`+gonePackage+`\Owners]`, `"x"=dword:00020070`, "")
	fitAll(t, []fitCase{
		{
			name: "old ones", remedy: "move-old-temp-files",
			files: map[string]string{"answers/leftovers.json": old(`C:\Windows\Temp\a.tmp`, `C:\Windows\Temp\below\b.tmp`, `C:\Windows\System32\c.tmp`, `C:\Windows\Temp\..\d.tmp`, `c:\windows\temp\e.tmp`)},
			steps: []string{
				`folder-make C:\Windows\Temp.updoc-20310507-1`,
				`move C:\Windows\Temp\a.tmp > C:\Windows\Temp.updoc-20310507-1\a.tmp`,
				`move c:\windows\temp\e.tmp > C:\Windows\Temp.updoc-20310507-1\e.tmp`,
			},
			lead: []string{"plan.temp-moved"},
		},
		{name: "nobody looked", remedy: "move-old-temp-files", lead: []string{"remedy.move-old-temp-files.how"}},
		{
			name: "measured", remedy: "free-disk-space",
			files: map[string]string{"answers/leftovers.json": caches(3 << 30), "caches.reg": cacheKeys},
			steps: []string{
				`value-set ` + keyCaches + `\Delivery Optimization Files StateFlags0407=2`,
				`run cleanmgr /sagerun:407`,
				`value-del ` + keyCaches + `\Delivery Optimization Files StateFlags0407`,
			},
			lead: []string{"plan.caches", "remedy.free-disk-space.how"},
		},
		{
			name: "too little", remedy: "free-disk-space",
			files: map[string]string{"answers/leftovers.json": caches(20 << 20), "caches.reg": cacheKeys},
			lead:  []string{"remedy.free-disk-space.how"},
		},
		{
			name: "somebody marked something", remedy: "free-disk-space",
			files: map[string]string{"answers/leftovers.json": caches(3 << 30), "caches.reg": strings.ReplaceAll(cacheKeys, `"Display"="x"`, `"StateFlags0407"=dword:00000002`)},
			lead:  []string{"remedy.free-disk-space.how"},
		},
		{
			name: "named and gone", remedy: "remove-orphan-service-key",
			files: map[string]string{"answers/leftovers.json": service, "services.reg": serviceKeys("00000003"), "CBS.log": goneService},
			steps: []string{
				`value-del ` + clr + `\Security Security`, `key-drop ` + clr + `\Security`,
				`value-del ` + clr + ` Type`, `value-del ` + clr + ` Start`, `key-drop ` + clr + ` (restart)`,
			},
			lead: []string{"plan.orphan", "plan.seen", "remedy.remove-orphan-service-key.how"},
		},
		{
			name: "starts with Windows", remedy: "remove-orphan-service-key",
			files: map[string]string{"answers/leftovers.json": service, "services.reg": serviceKeys("00000001"), "CBS.log": goneService},
			lead:  []string{"plan.seen", "remedy.remove-orphan-service-key.how"},
		},
		{
			name: "no log names it", remedy: "remove-orphan-service-key",
			files: map[string]string{"answers/leftovers.json": service, "services.reg": serviceKeys("00000003")},
			lead:  []string{"remedy.remove-orphan-service-key.how"},
		},
		{
			name: "gone and doubled", remedy: "clean-profile-list",
			files: map[string]string{
				"profiles.reg":           profileKeys,
				"answers/leftovers.json": leftoverFile(t, host.Leftovers{Profiles: []host.Orphan{{Name: "S-1-5-21-1-2-3-1003", Path: `C:\Users\Gone`}, {Name: "S-1-5-18", Path: `C:\Gone`}}}),
			},
			steps: []string{
				`value-del ` + profiles + `\S-1-5-21-1-2-3-1001.bak ProfileImagePath`, `key-drop ` + profiles + `\S-1-5-21-1-2-3-1001.bak`,
				`value-del ` + profiles + `\S-1-5-21-1-2-3-1003 ProfileImagePath`, `value-del ` + profiles + `\S-1-5-21-1-2-3-1003 Flags`, `key-drop ` + profiles + `\S-1-5-21-1-2-3-1003`,
			},
			lead: []string{"plan.below", "remedy.clean-profile-list.how"},
		},
		{
			name: "lacks what the log says", remedy: "remove-stale-driver-operation",
			files: map[string]string{"cbs.reg": operations(), "CBS.log": csiHeader + goneOperation},
			steps: []string{`value-del ` + keyDriverOperations + `\1\7 Inf`, `key-drop ` + keyDriverOperations + `\1\7 (restart)`},
			lead:  []string{"plan.object", "plan.seen", "remedy.remove-stale-driver-operation.how"},
		},
		{
			name: "is whole by now", remedy: "remove-stale-driver-operation",
			files: map[string]string{"cbs.reg": operations(`"Identity"="b"`), "CBS.log": csiHeader + goneOperation},
			lead:  []string{"plan.below", "plan.seen", "remedy.remove-stale-driver-operation.how"},
		},
		{
			name: "named and gone", remedy: "remove-orphan-package-references",
			files: map[string]string{
				"answers/leftovers.json": pack, "packages.reg": packKeys,
				"CBS.log": csiHeader + "2031-02-12 04:44:31, Error                 CBS    Store corruption, manifest missing for package: " + gonePackage + "\r\n",
			},
			steps: []string{
				`value-del ` + keyCBS + `\Packages\` + gonePackage + `\Owners x`, `key-drop ` + keyCBS + `\Packages\` + gonePackage + `\Owners`,
				`value-del ` + keyCBS + `\Packages\` + gonePackage + ` CurrentState`, `key-drop ` + keyCBS + `\Packages\` + gonePackage,
			},
			lead: []string{"plan.object", "plan.seen", "remedy.remove-orphan-package-references.how"},
		},
	})
}

// TestDropsComeBack: a key that is taken away piece by piece is back to the byte
// after the pieces' inverses, in the opposite order.
func TestDropsComeBack(t *testing.T) {
	const clr = `HKLM\SYSTEM\CurrentControlSet\Services\clr_optimization_v4.0.30319_32`
	h, err := host.OpenFS(t.Context(), fstest.MapFS{
		"CBS.log": {Data: []byte(goneService)},
		"answers/leftovers.json": {Data: []byte(leftoverFile(t, host.Leftovers{Services: []host.Orphan{
			{Name: "clr_optimization_v4.0.30319_32", Path: `C:\x.exe`},
		}}))},
		"services.reg": {Data: []byte(export(
			"["+hklmServices+"]", "",
			"["+hklmServices+`\clr_optimization_v4.0.30319_32]`, `@="default"`, `"Start"=dword:00000003`, `"DependOnService"=hex(7):52,00,00,00,00,00`, `"Odd"=hex(ffff1234):01`, "",
			"["+hklmServices+`\clr_optimization_v4.0.30319_32\Empty]`, "",
			"["+hklmServices+`\clr_optimization_v4.0.30319_32\TriggerInfo]`, "",
			"["+hklmServices+`\clr_optimization_v4.0.30319_32\TriggerInfo\0]`, `"Data0"=hex:01,02,03`, ""))},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	keys := []string{clr, clr + `\Empty`, clr + `\TriggerInfo`, clr + `\TriggerInfo\0`}
	look := func(r host.Reader) map[string]string {
		out := map[string]string{}
		for _, p := range keys {
			k, err := r.Key(t.Context(), p)
			if err != nil {
				out[p] = "none"
				if !errors.Is(err, host.ErrNotExist) {
					t.Error(err)
				}
				continue
			}
			for _, v := range k.Values {
				out[p+"|"+v.Name] = fmt.Sprintf("%d %x", v.Type, v.Data)
			}
			out[p] = strings.Join(slices.Sorted(slices.Values(k.Subkeys)), ",")
		}
		return out
	}
	before := look(h)
	x, why := fitted(t, "remove-orphan-service-key", facts.Collect(t.Context(), h, facts.Options{}))
	if why.ID != "" || len(x.Steps) != 9 {
		t.Fatalf("%v; %q", brief(x), why.ID)
	}
	o := host.NewOverlay(h)
	done := Rehearse(t.Context(), o, &Plan{Treatments: []Treatment{x}})
	for _, r := range done {
		if r.Err != "" || r.So {
			t.Errorf("%s %s: %s", r.Change.Kind, r.Change.Path, r.Err)
		}
	}
	if _, err := o.Key(t.Context(), clr); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("the key is still there: %v", err)
	}
	for _, r := range slices.Backward(done) {
		for _, c := range r.Undo {
			if err := o.Apply(t.Context(), c); err != nil {
				t.Errorf("%s %s: %v", c.Kind, c.Path, err)
			}
		}
	}
	if d := cmp.Diff(before, look(o)); d != "" {
		t.Error(d)
	}
}

func TestSequence(t *testing.T) {
	for line, want := range map[string][2]string{
		"Failed reading Identity for driver operation sequenceID 1 [HRESULT = 0x80070490 - ERROR_NOT_FOUND]": {"1", "Identity"},
		"Failed reading Architecture for driver operation sequenceID: 12":                                    {"12", "Arch"},
		"Failed reading Arch for driver operation":                                                           {"", ""},
		"Failed loading a driver operation":                                                                  {"", ""},
		"Failed reading Identity for driver operation sequenceID x":                                          {"", "Identity"},
	} {
		if n, v := sequence(line); n != want[0] || v != want[1] {
			t.Errorf("%q: %q %q", line, n, v)
		}
	}
}

func TestHasWord(t *testing.T) {
	for _, c := range []struct {
		text, word string
		want       bool
	}{
		{"StartService of Fabrikam_1 failed", "fabrikam_1", true},
		{"StartService of Fabrikam_12 and Fabrikam_1.", "fabrikam_1", true},
		{"StartService of Fabrikam_12", "fabrikam_1", false},
		{"xFabrikam_1", "fabrikam_1", false},
		{"", "fabrikam_1", false},
		{"anything", "", false},
	} {
		if got := hasWord(c.text, c.word); got != c.want {
			t.Errorf("%q in %q: %v", c.word, c.text, got)
		}
	}
}
