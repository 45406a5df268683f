package cause

import (
	"testing"

	"updoc/internal/facts"
)

// Descriptions of failures in which other software or the machine itself stood
// in the way; nine of ten must lead to the cause.
func TestSetupReports(t *testing.T) { checkReports(t, "reports/setup.txt") }

// finding returns what a diagnosis says of one cause.
func finding(t *testing.T, d Diagnosis, id string) Finding {
	t.Helper()
	for _, x := range d.Findings {
		if x.ID == id {
			return x
		}
	}
	t.Fatalf("no cause %s", id)
	return Finding{}
}

// One extend code, 0xC1900101-0x20017, and the evidence beside it decides.
func TestReasonsForRollbackAtBoot(t *testing.T) {
	const failed = "Upgrade goes back with 0xC1900101 - 0x20017. "
	tests := []struct{ want, note string }{
		{"driver-incompatible", ""},
		{"third-party-filter-driver", "System drive encrypted with VeraCrypt."},
		{"boot-config-mbr", "An old system drive is still connected, with an EFI partition of its own; two EFI system partitions."},
		{"third-party-antivirus", "With Kaspersky uninstalled the upgrade went through."},
		{"virtual-machine-resources", "It is a VM on ESXi with 2 GB RAM; the owner increased the memory and the upgrade completed."},
		{"hardware-unsupported", "The Core 2 Duo lacks POPCNT, as Windows 11 24H2 demands."},
		{"edr-wdac-block", "The CrowdStrike sensor blocked it, after moving the host to another sensor update policy it worked."},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			wantFirst(t, diagnosed(t, map[string]string{"notes.txt": failed + tt.note}), tt.want)
		})
	}
}

func TestProfileEntries(t *testing.T) {
	const head = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList]\r\n\"Public\"=\"C:\\\\Users\\\\Public\"\r\n\r\n"
	entry := func(name string) string {
		return "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\" + name + "]\r\n\"Flags\"=dword:00000000\r\n\r\n"
	}
	const sid = "S-1-5-21-2093341551-1187409212-3371210044-1004"
	tests := []struct {
		name, export string
		want         facts.State
	}{
		{"one entry", head + entry(sid), facts.Unknown},
		{"renamed", head + entry(sid+".bak"), facts.Unknown},
		{"renamed beside another", head + entry(sid) + entry(sid+".bak"), facts.Present},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := finding(t, diagnosed(t, map[string]string{"profilelist.reg": tt.export}), "user-account-missing-profile")
			if x.State != tt.want {
				t.Errorf("state %d, want %d: %v", x.State, tt.want, x.Evidence)
			}
			if named := len(x.Cures) > 0; named != (tt.name != "one entry") {
				t.Errorf("cures %v", x.Cures)
			}
		})
	}
}

// Programs are listed in every compatibility report; only one that must go blocks.
func TestCompatibilityReport(t *testing.T) {
	const head = `<CompatReport xmlns="http://schemas.microsoft.com/compatReport"><Hardware/><DriverPackages/>`
	tests := []struct {
		name, report string
		want         facts.State
	}{
		{"hard", head + `<Programs><Program Name="Thuja 2" Id="{1}"><CompatibilityInfo BlockingType="Hard"/></Program></Programs></CompatReport>`, facts.Present},
		{"none", head + `<Programs/></CompatReport>`, facts.Unknown},
		{"soft", head + `<Programs><Program Name="Thuja 2" Id="{1}"><CompatibilityInfo BlockingType="None"/></Program></Programs></CompatReport>`, facts.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := finding(t, diagnosed(t, map[string]string{"CompatData_2024_01_01.xml": tt.report}), "app-incompatible-block")
			if x.State != tt.want {
				t.Errorf("state %d, want %d: %v", x.State, tt.want, x.Evidence)
			}
		})
	}
}
