package win

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func underWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func TestSecureDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "updoc")
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	// Who tests need not be an administrator.
	rights := "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;" + user.User.Sid.String() + ")"
	if err := secureDir(dir, rights); err != nil {
		t.Fatal(err)
	}
	if err := secureDir(dir, rights, windows.WinLocalServiceSid); !errors.Is(err, ErrForeign) && !underWine() {
		t.Errorf("one that is somebody else's: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := secureDir(file, rights, windows.WinBuiltinAdministratorsSid); !errors.Is(err, ErrForeign) {
		t.Errorf("a file: %v", err)
	}
	if underWine() {
		t.Skip("SetSecurityInfo: Wine keeps rights and owners of files only as far as Linux has such")
	}
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	if got := sd.String(); !strings.Contains(got, "D:P") || strings.Contains(got, ";BU)") || strings.Contains(got, ";WD)") {
		t.Errorf("rights %s", got)
	}
}

// What administrators own is taken, and its rights are set anew.
func TestStateDir(t *testing.T) {
	if !windows.GetCurrentProcessToken().IsElevated() {
		t.Skip("the state directory: only an administrator makes it")
	}
	for range 2 {
		dir, err := StateDir()
		if err != nil {
			t.Fatal(err)
		}
		sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		if got := sd.String(); !underWine() && !strings.HasPrefix(got, "O:BA") || strings.Contains(got, ";BU)") {
			t.Errorf("rights %s", got)
		}
	}
}
