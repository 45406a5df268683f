package upgrade

import (
	"encoding/binary"
	"errors"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

const compatXML = `<?xml version="1.0" encoding="utf-16"?>
<CompatReport xmlns="http://www.example.com/migration/compat">
<SystemInfo />
<Programs>
 <Program Name="Fabrikam Shield 4" IconId="p1"><CompatibilityInfo BlockingType="Hard" StatusDetail="UpgradeBlock" Title="Uninstall this app" Message="It does not work."/><Action Name="ManualUninstall" DisplayStyle="Link" ResolveState="NotRun"/><Link Target="https://www.example.com/shield" Value="More"/></Program>
 <Program Name="Fabrikam Notes"><CompatibilityInfo BlockingType="None" StatusDetail="MigrationReinstall"/></Program>
 <Program Name="Fabrikam Draw"><CompatibilityInfo BlockingType="Soft" Title="May need an update"/></Program>
</Programs>
<Devices><Device Class="{4d36e968}" Manufacturer="Fabrikam" ModelName="Display 3"><CompatibilityInfo BlockingType="Hard"/></Device></Devices>
<DriverPackages><DriverPackage Inf="oem7.inf" BlockMigration="True" HasSignedBinaries="False"/><DriverPackage Inf="oem8.inf" BlockMigration="False"/></DriverPackages>
<Hardware><HardwareItem HardwareType="Setup_DiskSpace"><CompatibilityInfo BlockingType="Hard"/></HardwareItem></Hardware>
</CompatReport>`

// utf16le is text as Windows writes its reports.
func utf16le(s string) []byte {
	b := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestParseCompat(t *testing.T) {
	want := []Block{
		{Kind: BlockProgram, Name: "Fabrikam Shield 4", Hard: true, Action: "ManualUninstall", Message: "Uninstall this app It does not work.", Link: "https://www.example.com/shield"},
		{Kind: BlockProgram, Name: "Fabrikam Draw", Message: "May need an update"},
		{Kind: BlockDevice, Name: "Fabrikam Display 3", Hard: true},
		{Kind: BlockDriver, Name: "oem7.inf", Hard: true},
		{Kind: BlockMachine, Name: "Setup_DiskSpace", Hard: true},
	}
	for name, doc := range map[string][]byte{"UTF-16": utf16le(compatXML), "UTF-8": []byte(compatXML)} {
		got, err := ParseCompat(doc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	blocks, errs := Blocks([][]byte{[]byte(compatXML), utf16le(compatXML), []byte("<CompatReport/>"), []byte("torn <")})
	if len(blocks) != len(want) || len(errs) != 1 || !errors.Is(errs[0], ErrDamaged) {
		t.Errorf("%d blocks, %v", len(blocks), errs)
	}
}

func FuzzParseCompat(f *testing.F) {
	f.Add([]byte(compatXML))
	f.Add(utf16le(compatXML))
	f.Add([]byte("<a><Programs><Program Name='x'><CompatibilityInfo BlockingType='Hard'/></Program></Programs></a>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		blocks, err := ParseCompat(doc)
		if err != nil && blocks != nil || len(blocks) > maxBlocks {
			t.Errorf("%d blocks, %v", len(blocks), err)
		}
	})
}

func BenchmarkParseCompat(b *testing.B) {
	b.SetBytes(int64(len(compatXML)))
	for b.Loop() {
		if _, err := ParseCompat([]byte(compatXML)); err != nil {
			b.Fatal(err)
		}
	}
}
