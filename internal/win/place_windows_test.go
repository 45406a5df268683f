package win

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

// A program is refused where somebody else may write, and not elsewhere.
func TestCheckPlace(t *testing.T) {
	user, err := User()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "own")
	set := func(path, sddl string) {
		t.Helper()
		sd, err := windows.SecurityDescriptorFromString(sddl)
		if err != nil {
			t.Fatal(err)
		}
		dacl, _, err := sd.DACL()
		if err != nil {
			t.Fatal(err)
		}
		if err := windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "updoc.exe")
	if err := os.WriteFile(exe, []byte("MZ"), 0o700); err != nil {
		t.Fatal(err)
	}
	const own = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;"
	set(dir, own+user+")")
	set(exe, own+user+")(A;;0x1200a9;;;WD)")
	for path, rights := range map[string]uint32{dir: changesFolder, exe: changesFile} {
		if err := checkPlace(path, user, rights); err != nil {
			t.Errorf("the user's own %s: %v", path, err)
		}
		if err := checkPlace(path, "S-1-5-21-9-9-9-1001", rights); !errors.Is(err, ErrPlace) {
			t.Errorf("somebody else's %s: %v", path, err)
		}
		set(path, own+user+")(A;OICI;0x1301bf;;;WD)")
		if err := checkPlace(path, user, rights); !errors.Is(err, ErrPlace) || !strings.Contains(err.Error(), everyone) {
			t.Errorf("%s that everybody may write to: %v", path, err)
		}
	}
	if err := checkPlace(filepath.Join(dir, "nothing"), user, changesFile); !errors.Is(err, ErrPlace) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// No list lets everybody in, an empty one nobody, and what is for children alone does
// not count.
func TestGrants(t *testing.T) {
	for sddl, want := range map[string]int{
		"O:BAG:BAD:P": 0,
		"O:BAG:BAD:P(A;OICIIO;FA;;;WD)(D;;FA;;;WD)": 0,
		"O:BAG:BAD:P(A;;FA;;;BA)(A;OICI;FR;;;WD)":   2,
	} {
		sd, err := windows.SecurityDescriptorFromString(sddl)
		if err != nil {
			t.Fatal(err)
		}
		list, err := grants(sd)
		if err != nil || len(list) != want {
			t.Errorf("%s: %+v, %v", sddl, list, err)
		}
	}
	open, err := windows.NewSecurityDescriptor()
	if err != nil {
		t.Fatal(err)
	}
	if err := open.SetDACL(nil, true, false); err != nil {
		t.Fatal(err)
	}
	if list, err := grants(open); err != nil || len(list) != 1 || list[0].sid != everyone {
		t.Errorf("without a list: %+v, %v", list, err)
	}
}

// Two paths are one program only if they lead to one file.
func TestIdentify(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.exe"), filepath.Join(dir, "b.exe")
	for _, p := range []string{a, b} {
		if err := os.WriteFile(p, []byte("MZ"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	one, err := identify(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := identify(strings.ToUpper(a))
	if err != nil {
		t.Fatal(err)
	}
	two, err := identify(b)
	if err != nil {
		t.Fatal(err)
	}
	if one != again || one == two {
		t.Errorf("%v, %v, another file %v", one, again, two)
	}
	if _, err := identify(filepath.Join(dir, "c.exe")); err == nil {
		t.Error("a file that is not there is one")
	}
}
