package facts

import (
	"strings"
	"testing"
)

// What a note names is no evidence where it says that it was tried in vain, or that
// it is not to blame; what cured, and what a try brought to light, is.
func TestDismissed(t *testing.T) {
	for _, tt := range []struct{ name, text, dismissed string }{
		{"list", "0x80073712. I already tried SFC, DISM and uninstalling McAfee.", "I already tried SFC, DISM and uninstalling McAfee."},
		{"judged after it", "I disabled Norton and reset Winsock. Nothing helped. The proxy is old.", "I disabled Norton and reset Winsock."},
		{"several judged", "Turned off the VPN. Flushed DNS.\nSame.\nHosts is full.", "Turned off the VPN. Flushed DNS."},
		{"one sentence", "Disabling Kaspersky made no difference. It is a laptop.", "Disabling Kaspersky made no difference."},
		{"German", "Avast deinstalliert, ohne Erfolg. C: hat 2 GB.", "Avast deinstalliert, ohne Erfolg."},
		{"not to blame", "The firewall can be excluded. It uses a VPN.", "The firewall can be excluded."},
		{"off", "The VPN is off. 0x80072EE2.", "The VPN is off."},
		{"first thought", "I thought of the antivirus at first. It was the clock.", "I thought of the antivirus at first."},
		{"sound", "Hosts ok, DNS is fine and a VPN is running, 0x80072EE2.", "Hosts ok DNS is fine"},
		{"what is there", "The proxy is set to 192.0.2.1. An antivirus is installed.", ""},
		{"three tries", "Reset the network, ran the troubleshooter, removed Norton. It has 2 GB.", "Reset the network, ran the troubleshooter, removed Norton."},
		{"asked and denied", "A VPN? No, never had one. 0x80072EE2.", "A VPN?"},
		{"cured", "Tried everything. Disabling Kaspersky fixed it.", "Tried everything."},
		{"cured in one", "With all other services off (clean boot), Norton removed, the update installed fine at the first try.", ""},
		{"found", "I ran DISM and it says 0x800f081f. Still failing.", ""},
		{"found in one", "Ran SFC, it found damage and could not repair it, no luck.", ""},
		{"service", "When the service is disabled, the task does not work.", ""},
		{"redacted", "The key [removed] is there.\nTokens [removed] and [removed] and [removed] too.", ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range dismissed(tt.text) {
				part := strings.TrimSpace(tt.text[s[0]:s[1]])
				if part != "Nothing helped." && part != "Same." {
					got = append(got, part)
				}
			}
			if strings.Join(got, " ") != tt.dismissed {
				t.Errorf("dismissed %q, want %q", got, tt.dismissed)
			}
			left := Undismissed(tt.text)
			if len(left) != len(tt.text) || len(got) == 1 && strings.Contains(left, tt.dismissed) {
				t.Errorf("left %q", left)
			}
		})
	}
}

// A sighting in a sentence that takes it back goes behind one that counts.
func TestDismissedSightings(t *testing.T) {
	f := machine(t, map[string]string{"notes.txt": "0x80072EE2. Turned off the VPN, no change. On the VPN of the office it is the same.\r\n"})
	seen := f.Marks("note-vpn")
	if len(seen) < 2 || !seen[0].Dismissed || seen[1].Dismissed {
		t.Errorf("sightings of the VPN: %+v", seen)
	}
}

func FuzzDismissed(f *testing.F) {
	f.Add("I already tried SFC. No luck.\nSame; nothing. Worked!")
	f.Add("\xff. Ärger\n\n!")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, s := range dismissed(text) {
			if s[0] < last || s[1] <= s[0] || s[1] > len(text) {
				t.Fatalf("%v in %d bytes after %d", s, len(text), last)
			}
			last = s[1]
		}
		if got := Undismissed(text); len(got) != len(text) {
			t.Fatalf("%d bytes of %d", len(got), len(text))
		}
	})
}
