package host

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/winlog"
)

// fewFiles is a file system: sizes by lower-case path; a negative size may not be
// looked at.
type fewFiles struct {
	files map[string]int64
	old   map[string]bool // by path: nobody wrote to it for a month
	held  string
	now   time.Time
}

func (d fewFiles) Exists(p string) (bool, error) {
	p = strings.ToLower(p)
	for f, size := range d.files {
		switch {
		case f == p && size < 0:
			return false, ErrDenied
		case f == p || strings.HasPrefix(f, p+`\`):
			return true, nil
		}
	}
	return false, nil
}

func (d fewFiles) InUse(p string) bool { return strings.EqualFold(p, d.held) }

func (d fewFiles) List(p string, each func(Listed) bool) error {
	folders, any := map[string]bool{}, false
	for _, f := range slices.Sorted(maps.Keys(d.files)) {
		rest, ok := strings.CutPrefix(f, strings.ToLower(p)+`\`)
		if !ok {
			continue
		}
		any = true
		name, _, below := strings.Cut(rest, `\`)
		e := Listed{Name: name, Folder: below, Modified: d.now}
		if below {
			if folders[name] {
				continue
			}
			folders[name] = true
		} else {
			e.Size = d.files[f]
		}
		if d.old[f] {
			e.Modified = d.now.Add(-30 * 24 * time.Hour)
		}
		if !each(e) {
			return nil
		}
	}
	if !any {
		return fmt.Errorf("%s: %w", p, ErrNotExist)
	}
	return nil
}

// fewKeys is a registry, by path; values are texts, or numbers that begin with "#".
type fewKeys map[string]map[string]string

func (r fewKeys) Key(_ context.Context, p string) (Key, error) {
	k := Key{Path: p}
	found := false
	below := map[string]bool{}
	for q, values := range r {
		if strings.EqualFold(p, q) {
			found = true
			for name, text := range values {
				v := winlog.RegValue{Name: name, Type: winlog.RegExpandSZ}
				if n, ok := strings.CutPrefix(text, "#"); ok {
					v.Type, v.Data = winlog.RegDWord, []byte{n[0] - '0', 0, 0, 0}
				} else {
					for _, u := range append(utf16.Encode([]rune(text)), 0) {
						v.Data = append(v.Data, byte(u), byte(u>>8))
					}
				}
				k.Values = append(k.Values, v)
			}
		}
		if rest, ok := strings.CutPrefix(strings.ToLower(q), strings.ToLower(p)+`\`); ok {
			found = true
			name, _, _ := strings.Cut(q[len(q)-len(rest):], `\`)
			below[name] = true
		}
	}
	if !found {
		return Key{}, fmt.Errorf("key %s: %w", p, ErrNotExist)
	}
	k.Subkeys = slices.Sorted(maps.Keys(below))
	return k, nil
}

func TestFindLeftovers(t *testing.T) {
	now := time.Date(2031, 4, 5, 6, 7, 8, 0, time.UTC)
	service := func(name string, values ...string) (string, map[string]string) {
		m := map[string]string{}
		for i := 0; i < len(values); i += 2 {
			m[values[i]] = values[i+1]
		}
		return keyServiceList + `\` + name, m
	}
	keys := fewKeys{
		keyProfiles + `\S-1-5-21-1-2-3-1001`:                                      {"ProfileImagePath": `C:\Users\Ada`},
		keyProfiles + `\S-1-5-21-1-2-3-1002`:                                      {"ProfileImagePath": `%SystemDrive%\Users\Gone`},
		keyProfiles + `\S-1-5-21-1-2-3-1003`:                                      {"ProfileImagePath": `E:\Users\Elsewhere`},
		keyProfiles + `\S-1-5-21-1-2-3-1004`:                                      {},
		keyPackages + `\Package_1_for_KB5030101~31bf3856ad364e35~amd64~~10.0.1.2`: {},
		keyPackages + `\Package_2_for_KB5030101~31bf3856ad364e35~amd64~~10.0.1.2`: {},
		keyPackages + `\odd`:                                                      {},
	}
	for _, s := range [][]string{
		{"good", "ImagePath", `%SystemRoot%\system32\svchost.exe -k netsvcs -p`},
		{"driver", "Type", "#1"},
		{"lostdriver", "Type", "#1"},
		{"nothing", "Type", "#4"},
		{"relative", "ImagePath", `System32\drivers\gone.sys`},
		{"root", "ImagePath", `\SystemRoot\System32\drivers\disk.sys`},
		{"device", "ImagePath", `\??\C:\Program Files\Fabrikam\gone.sys`},
		{"spaces", "ImagePath", `C:\Program Files\Fabrikam Agent\agent.exe -s`},
		{"lostspaces", "ImagePath", `C:\Program Files\Fabrikam Lost\agent.exe -s`},
		{"quoted", "ImagePath", `"C:\Program Files\Fabrikam Lost\agent" -s`},
		{"unclosed", "ImagePath", `"C:\Program Files\Fabrikam Lost\agent`},
		{"own", "ImagePath", `%LOCALAPPDATA%\x.exe`},
		{"unplugged", "ImagePath", `D:\x.exe`},
		{"denied", "ImagePath", `C:\Program Files\WindowsApps\x.exe`},
	} {
		p, v := service(s[0], s[1:]...)
		keys[p] = v
	}
	disk := fewFiles{
		now: now, held: `C:\Windows\Temp\b.tmp`, old: map[string]bool{
			`c:\windows\temp\a.tmp`: true, `c:\windows\temp\b.tmp`: true, `c:\windows\temp\below\d.tmp`: true, `c:\windows\temp\setup.log`: true,
		},
		files: map[string]int64{
			`c:\windows\system32\svchost.exe`: 1, `c:\windows\system32\drivers\driver.sys`: 1, `c:\windows\system32\drivers\disk.sys`: 1,
			`c:\program files\fabrikam agent\agent.exe`: 1, `c:\program files\windowsapps\x.exe`: -1,
			`c:\users\ada\x`: 1,
			`c:\windows\servicing\packages\package_1_for_kb5030101~31bf3856ad364e35~amd64~~10.0.1.2.mum`: 1,
			`c:\windows\temp\a.tmp`: 10, `c:\windows\temp\b.tmp`: 20, `c:\windows\temp\c.tmp`: 40, `c:\windows\temp\below\d.tmp`: 80, `c:\windows\temp\setup.log`: 5,
		},
	}
	got, err := FindLeftovers(t.Context(), reader{keys}, disk, `C:\Windows`, now)
	if err != nil {
		t.Fatal(err)
	}
	want := Leftovers{
		Services: []Orphan{
			{"device", `C:\Program Files\Fabrikam\gone.sys`},
			{"lostdriver", `C:\Windows\System32\drivers\lostdriver.sys`},
			{"lostspaces", `C:\Program Files\Fabrikam Lost\agent.exe -s`},
			{"quoted", `C:\Program Files\Fabrikam Lost\agent`},
			{"relative", `C:\Windows\System32\drivers\gone.sys`},
		},
		Profiles: []Orphan{{"S-1-5-21-1-2-3-1002", `C:\Users\Gone`}},
		Packages: []string{`Package_2_for_KB5030101~31bf3856ad364e35~amd64~~10.0.1.2`},
		Caches:   []Cache{{Name: "Temporary Files", Path: `C:\Windows\Temp`, Files: 4, Bytes: 115}},
		Temp:     []OldFile{{`c:\windows\temp\a.tmp`, 10, now.Add(-30 * 24 * time.Hour)}},
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b OldFile) bool {
		return strings.EqualFold(a.Path, b.Path) && a.Size == b.Size && a.Modified.Equal(b.Modified)
	})); d != "" {
		t.Error(d)
	}
}

// A folder that cannot be listed makes no package an orphan.
func TestLeftoversDenied(t *testing.T) {
	keys := fewKeys{keyPackages + `\Package_2_for_KB5030101~31bf3856ad364e35~amd64~~10.0.1.2`: {}}
	got, err := FindLeftovers(t.Context(), reader{keys}, fewFiles{}, `C:\Windows`, time.Time{})
	if err != nil || len(got.Packages) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

type reader struct{ fewKeys }

func (reader) Open(context.Context, File) (io.ReadCloser, error) { return nil, ErrNotExist }

func (reader) Machine(context.Context) (Machine, error)         { return Machine{}, nil }
func (reader) Files(context.Context, string) ([]File, error)    { return nil, nil }
func (reader) Service(context.Context, string) (Service, error) { return Service{}, ErrNotRecorded }
func (reader) Ask(context.Context, Question) (Answer, error)    { return Answer{}, ErrNotRecorded }
