package host

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/winlog"
)

const installEvents = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-WindowsUpdateClient' Guid='{945a8954-c147-4acd-923f-40c45405a658}'/><EventID>20</EventID><Version>1</Version><Level>2</Level><TimeCreated SystemTime='2031-05-06T07:08:09.1234567Z'/><EventRecordID>117</EventRecordID><Channel>System</Channel><Computer>ws-17.fabrikam.example</Computer><Security UserID='S-1-5-18'/></System><EventData><Data Name='errorCode'>0x800f0922</Data><Data Name='updateTitle'>2031-05 Kumulatives Update (KB5999001)</Data><Data Name='updateGuid'>{0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9}</Data><Data Name='updateRevisionNumber'>200</Data></EventData></Event>` +
	`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>19</EventID><TimeCreated SystemTime='2031-05-07T07:08:09Z'/><EventRecordID>140</EventRecordID></System><EventData><Data Name='updateTitle'>T</Data><Data Name='updateGuid'>{0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9}</Data></EventData></Event>` +
	`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>44</EventID><EventRecordID>139</EventRecordID></System></Event>`

func TestParseInstallEvents(t *testing.T) {
	got, err := ParseInstallEvents(strings.NewReader(installEvents))
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Record != 140 || got[0].ID != EventInstalled || got[0].Result != 0 {
		t.Errorf("%+v", got[0])
	}
	if e := got[1]; e.Record != 117 || e.Result != 0x800F0922 || e.Update != "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9" || e.At.Day() != 6 {
		t.Errorf("%+v", e)
	}
	if got, err := ParseInstallEvents(strings.NewReader(installEvents + "<Event><Sys")); err == nil || len(got) != 2 {
		t.Errorf("a torn end: %d events, %v", len(got), err)
	}
}

func TestRevision(t *testing.T) {
	for name, want := range map[string]int{
		"Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7":  3374,
		"package_for_rollupfix~31bf3856ad364e35~arm64~~19041.4412.1.16": 4412,
		"Package_for_DotNetRollup~31bf3856ad364e35~amd64~~10.0.9214.3":  0,
		"Package_for_KB5999001~31bf3856ad364e35~amd64~~22631.1.1.0":     0,
		"Package_for_RollupFix~31bf3856ad364e35~amd64~~":                0,
		"Package_for_RollupFix":            0,
		"Package_for_RollupFix~~~~a.b.c.d": 0,
	} {
		if got := (StorePackage{Name: name}).Revision(); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// keyReader is a machine of registry keys.
type keyReader struct {
	Reader
	keys map[string]Key
}

func (k keyReader) Key(_ context.Context, p string) (Key, error) {
	if k, ok := k.keys[p]; ok {
		return k, nil
	}
	return Key{}, ErrNotExist
}

func TestReadInstalled(t *testing.T) {
	dword := func(name string, n byte) winlog.RegValue {
		return winlog.RegValue{Name: name, Type: winlog.RegDWord, Data: []byte{n, 0, 0, 0}}
	}
	const rollup, named, other = "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7", "Package_1_for_KB5999001~31bf3856ad364e35~amd64~~22631.1.1.0", "Package_for_KB5999002~31bf3856ad364e35~amd64~~22631.1.1.0"
	r := keyReader{keys: map[string]Key{
		currentVersion:             {Values: []winlog.RegValue{{Name: "CurrentBuild", Type: winlog.RegSZ, Data: []byte("2\x002\x006\x003\x001\x00\x00\x00")}, dword("UBR", 7)}},
		packagesKey:                {Subkeys: []string{other, named, rollup}},
		packagesKey + `\` + rollup: {Values: []winlog.RegValue{dword("CurrentState", byte(PackageInstalled))}},
		packagesKey + `\` + named:  {Values: []winlog.RegValue{dword("CurrentState", byte(PackageInstallPending))}},
		packagesKey + `\` + other:  {Values: []winlog.RegValue{dword("CurrentState", byte(PackageInstallPending))}},
	}}
	got := ReadInstalled(t.Context(), r, map[string]string{"kb": "kb5999001"}, nil, errors.New("no log"))
	want := Installed{
		Build: "22631.7", Packages: []StorePackage{{Name: named, State: 0x60}, {Name: rollup, State: 0x70}}, Events: []InstallEvent{},
		Unseen: []Unseen{{Part: "events", Why: "no log"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Revision() != 7 {
		t.Errorf("revision %d", got.Revision())
	}
}

func FuzzInstallEvents(f *testing.F) {
	f.Add(installEvents)
	f.Add(installEvents[:200])
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := ParseInstallEvents(strings.NewReader(text))
		for i, e := range got {
			if e.ID != EventInstalled && e.ID != EventFailed || i > 0 && got[i-1].Record < e.Record {
				t.Errorf("%+v", got)
			}
		}
	})
}

func BenchmarkInstallEvents(b *testing.B) {
	text := strings.Repeat(installEvents, 30)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParseInstallEvents(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
