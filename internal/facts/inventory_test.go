package facts

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a list of installed updates names is not what fails, in whatever language and shape
// it was pasted.
func TestInventory(t *testing.T) {
	const complaint = "The cumulative update for Windows 11 24H2 (KB5066835) fails to install.\n"
	all := []string{"KB5043080", "KB5055523"}
	tests := []struct {
		name, list string
		installed  []string
	}{
		{"Get-HotFix", "Source        Description      HotFixID      InstalledBy          InstalledOn\n" +
			"------        -----------      --------      -----------          -----------\n" +
			"PC-EXAMPLE    Security Update  KB5043080     NT AUTHORITY\\SYSTEM  9/11/2024 12:00:00 AM\n" +
			"PC-EXAMPLE    Update           KB5055523     NT AUTHORITY\\SYSTEM  4/9/2025 12:00:00 AM\n", all},
		{"its rows alone", "PC-EXAMPLE    Sicherheitsupdate  KB5043080     NT-AUTORITÄT\\SYSTEM  11.09.2024 00:00:00\n" +
			"PC-EXAMPLE    Update           KB5055523     NT-AUTORITÄT\\SYSTEM  09.04.2025 00:00:00\n", all},
		{"Format-List", "Description         : Update\nHotFixID            : KB5043080\nInstalledBy         : NT AUTHORITY\\SYSTEM\n\nHotFixID : KB5055523\n", all},
		{"CSV", "\"PSComputerName\",\"Description\",\"HotFixID\",\"InstalledOn\"\n\"pc\",\"Update\",\"KB5043080\",\"9/11/2024\"\n\"pc\",\"Update\",\"KB5055523\",\"4/9/2025\"\n", all},
		{"wmic qfe", "Caption                                     CSName  Description  HotFixID   InstalledOn\n" +
			"http://support.microsoft.com/?kbid=5043080  PC      Update       KB5043080  9/11/2024\n" +
			"http://support.microsoft.com/?kbid=5055523  PC      Update       KB5055523  4/9/2025\n", all},
		{"systeminfo", "Hotfix(es):                2 Hotfix(e) installiert.\n                           [01]: KB5043080\n                           [02]: KB5055523\n", all},
		{"systeminfo in French", "Correctif(s):              2 Corrections installées.\n                           [01]: KB5043080\n                           [02]: KB5055523\n", all},
		// What has a code, or no date, is told and not listed.
		{"history", "2025-04 Update   KB5055523   Failed to install on 4/9/2025 - 0x80070643\n", nil},
		{"told", "KB5055523 was installed on 4/9/2025.\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := machine(t, map[string]string{"notes.txt": complaint + tt.list})
			if diff := cmp.Diff(tt.installed, f.Installed); diff != "" {
				t.Error(diff)
			}
			if want := tt.installed == nil; slices.Contains(f.KBs, "KB5055523") != want {
				t.Errorf("named: %q", f.KBs)
			}
			if !slices.Contains(f.KBs, "KB5066835") {
				t.Errorf("the update that fails is lost: %q", f.KBs)
			}
			if _, ok := f.Mark("note-checkpoint"); ok {
				t.Error("a list speaks of checkpoint updates")
			}
			if tt.installed != nil && strings.Contains(f.Texts[0].Text, "KB5043080") {
				t.Errorf("its words are heard: %q", f.Texts[0].Text)
			}
			if len(f.Suffering()) != 1 && tt.installed != nil {
				t.Errorf("suffering: %+v", briefs(f.Failures))
			}
		})
	}
}

// A log whose end a file system lost is read on, and that it was lost is told.
func TestLostEnd(t *testing.T) {
	f := machine(t, map[string]string{"CBS.log": "2031-02-03 04:05:07, Info                  CBS    Exec: Proc" + strings.Repeat("\x00", 256<<10) +
		"2031-02-03 05:00:00, Error                 CBS    Failed to resolve package [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n"})
	if s := f.Suffering(); len(s) != 1 || s[0].Code != 0x800F0831 {
		t.Errorf("suffering: %+v", briefs(f.Failures))
	}
	if diff := cmp.Diff([]Gap{{Source: "CBS.log: 262144 bytes", Why: "gap.lost"}}, f.Gaps); diff != "" {
		t.Error(diff)
	}
}

// What nobody wrote is not listed as read, and its numbers are no codes.
func TestPicture(t *testing.T) {
	f := machine(t, map[string]string{"photo.txt": strings.Repeat("\x01\x02\x03\x04JFIF\x05", 300)})
	if diff := cmp.Diff([]Gap{{Source: "photo.txt", Why: "gap.binary"}}, f.Gaps); diff != "" {
		t.Error(diff)
	}
}

// A number is a result where a result is spoken of, and else a number.
func TestNumberOfInstaller(t *testing.T) {
	for text, want := range map[string]bool{
		"The folder holds 1618 files.":       false,
		"Exit code 1618 from the installer.": true,
		"msiexec gave 1618.":                 true,
	} {
		if _, ok := machine(t, map[string]string{"notes.txt": text}).Mark("msi-already-running"); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}
