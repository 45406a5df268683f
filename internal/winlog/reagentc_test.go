package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadREAgentC(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want RecoveryEnvironment
	}{
		"enabled, english": {
			`Windows Recovery Environment (Windows RE) and system reset configuration
Information:

    Windows RE status:         Enabled
    Windows RE location:       \\?\GLOBALROOT\device\harddisk0\partition4\Recovery\WindowsRE
    Boot Configuration Data (BCD) identifier: 01234567-89AB-4cde-8f01-23456789abcd
    Recovery image location:   
    Recovery image index:      0
    Custom image location:     
    Custom image index:        0

REAGENTC.EXE: Operation Successful.
`,
			RecoveryEnvironment{Known: true, Enabled: true, Location: `\\?\GLOBALROOT\device\harddisk0\partition4\Recovery\WindowsRE`, Disk: 0, Partition: 4, BCD: "01234567-89ab-4cde-8f01-23456789abcd"},
		},
		"disabled, german, code page 850": {
			oem850(`Konfigurationsinformationen zur Windows-Wiederherstellungsumgebung (Windows RE) und
zur Systemzurücksetzung:

    Windows RE-Status:                         Disabled
    Windows RE-Ort:
    Startkonfigurationsdaten-ID (BCD): 00000000-0000-0000-0000-000000000000
    Ort des Wiederherstellungsimages:
    Index des Wiederherstellungsimages: 0
    Ort des benutzerdefinierten Images:
    Index des benutzerdefinierten Images: 0

REAGENTC.EXE: Vorgang erfolgreich.
`),
			RecoveryEnvironment{Known: true, Disk: -1, Partition: -1},
		},
		"enabled, french": {
			`Informations de configuration de l’environnement de récupération Windows (Windows RE) :

    État de Windows RE :       Enabled
    Emplacement de Windows RE :       \\?\GLOBALROOT\device\harddisk1\partition2\Recovery\WindowsRE
    Identificateur des données de configuration de démarrage : 01234567-89ab-4cde-8f01-23456789abcd
    Emplacement de l’image de récupération : D:\images
    Index de l’image de récupération :          3
    Emplacement de l’image personnalisée :
    Index de l’image personnalisée : 0

REAGENTC.EXE : opération réussie.
`,
			RecoveryEnvironment{Known: true, Enabled: true, Location: `\\?\GLOBALROOT\device\harddisk1\partition2\Recovery\WindowsRE`, Disk: 1, Partition: 2, BCD: "01234567-89ab-4cde-8f01-23456789abcd", ImageIndex: 3, ImageSource: `D:\images`},
		},
		"failed":  {"REAGENTC.EXE: Operation failed: 3\n", RecoveryEnvironment{Known: true, Disk: -1, Partition: -1, Error: 3}},
		"nothing": {"a: b\nc: d\n", RecoveryEnvironment{Disk: -1, Partition: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadREAgentC(strings.NewReader(crlf(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func FuzzReadREAgentC(f *testing.F) {
	f.Add("a: Enabled\nb: \\\\?\\x\\harddisk0\\partition4\nc: 01234567-89ab-4cde-8f01-23456789abcd\nREAGENTC.EXE: x: 3\n")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ReadREAgentC(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if e.Enabled && (!e.Known || e.Location == "") || e.Partition >= 0 && e.Location == "" {
			t.Fatalf("%+v", e)
		}
	})
}

func BenchmarkReadREAgentC(b *testing.B) {
	const text = "x:\r\n    a: Enabled\r\n    b: \\\\?\\GLOBALROOT\\device\\harddisk0\\partition4\\Recovery\\WindowsRE\r\n    c: 01234567-89ab-4cde-8f01-23456789abcd\r\n"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if e, err := ReadREAgentC(strings.NewReader(text)); err != nil || !e.Enabled {
			b.Fatal(e, err)
		}
	}
}
