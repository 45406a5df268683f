package host_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// serviced is what a machine that is serviced leaves behind, as a folder of evidence.
const servicedLog = "2031-02-03 04:05:06, Info                  CBS    Exec: Session processing started.  Client: Manual, Session(DISM Package Manager Provider Store Corruption Detect/Repair): 1_1\r\n" +
	"2031-02-03 04:06:06, Info                  CBS    Checking System Update Readiness.\r\n" +
	"2031-02-03 04:06:06, Info                  CBS    (p)\tCSI Payload Corrupt\t(n)\t\t\tamd64_fabrikam-paper_31bf3856ad364e35_10.0.22631.1_none_0011223344556677\\paper.dll\r\n" +
	"2031-02-03 04:06:06, Info                  CBS    Operation: Detect only \r\n" +
	"2031-02-03 04:06:06, Info                  CBS    Total Detected Corruption:\t1\r\n" +
	"2031-02-03 04:06:06, Info                  CBS    Total Operation Time: 60 seconds.\r\n"

const servicedRegistry = `Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing]
"Version"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending]
@=""

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages]
@=""

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Package_for_KB5099001~31bf3856ad364e35~amd64~~22631.1.1.0]
"CurrentState"=dword:00000070

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Package_for_KB5099002~31bf3856ad364e35~amd64~~22631.2.1.0]
"CurrentState"=dword:00000065
"LastError"=dword:800f0922

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3.1.0]
"CurrentState"=dword:00000040

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.4.1.0]
"CurrentState"=dword:00000040
"LastError"=dword:80073712

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Fabrikam-Part~31bf3856ad364e35~amd64~~22631.1.1.0]
"CurrentState"=dword:00000030
`

func TestReadStore(t *testing.T) {
	rec, err := host.OpenFS(t.Context(), fstest.MapFS{"CBS.log": {Data: []byte(servicedLog)}, "servicing.reg": {Data: []byte(servicedRegistry)}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := host.AnswerStore(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	var have host.Store
	if err := json.Unmarshal(a.JSON, &have); err != nil {
		t.Fatal(err)
	}
	want := []host.StorePackage{
		{Name: "Package_for_KB5099002~31bf3856ad364e35~amd64~~22631.2.1.0", State: 0x65, Result: 0x800F0922},
		{Name: "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.4.1.0", State: 0x40, Result: 0x80073712},
	}
	if diff := cmp.Diff(want, have.Packages); diff != "" {
		t.Error(diff)
	}
	if !have.Pending || len(have.Log.Checks) != 1 || have.Log.Checks[0].Found != 1 || have.Log.Checks[0].By != winlog.StoreByDISM {
		t.Errorf("%+v", have)
	}
	if kb := want[0].KB(); kb != "KB5099002" || want[1].KB() != "" {
		t.Errorf("%q %q", kb, want[1].KB())
	}
	if s := host.PackagePartly.String() + host.PackageState(3).String(); !strings.Contains(s, "partially") || !strings.Contains(s, "0x3") {
		t.Error(s)
	}
}
