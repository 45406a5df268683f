package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const dsreg = `
+----------------------------------------------------------------------+
| Device State                                                         |
+----------------------------------------------------------------------+

             AzureAdJoined : YES
          EnterpriseJoined : NO
              DomainJoined : YES
                DomainName : FABRIKAM
               Device Name : PC-0042.fabrikam.example

+----------------------------------------------------------------------+
| Device Details                                                       |
+----------------------------------------------------------------------+

                  DeviceId : 00000000-1111-4222-8333-444444444444
                  TenantId : 55555555-6666-4777-8888-999999999999
                TenantName : Fabrikam
                    MdmUrl : https://enrollment.fabrikam.example/enrollmentserver/discovery.svc
           WorkplaceJoined : NO
                AzureAdPrt : NO
            Attempt Status : 0xc000006d
          Client ErrorCode : 0x801c001d
          Error Phase : discover
`

func TestReadDSRegCmd(t *testing.T) {
	for form, in := range map[string]string{"ANSI": crlf(dsreg), "UTF-16": utf16LE("\uFEFF" + crlf(dsreg))} {
		got, err := ReadDSRegCmd(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		want := DeviceRegistration{
			Known: true, AzureADJoined: Yes, EnterpriseJoined: No, DomainJoined: Yes, WorkplaceJoined: No, AzureADPRT: No,
			DomainName: "FABRIKAM", DeviceID: "00000000-1111-4222-8333-444444444444", TenantID: "55555555-6666-4777-8888-999999999999", TenantName: "Fabrikam",
			MDMURL: "https://enrollment.fabrikam.example/enrollmentserver/discovery.svc",
			Errors: []RegistrationError{{Line: 22, Key: "Attempt Status", Code: 0xC000006D}, {Line: 23, Key: "Client ErrorCode", Code: 0x801C001D}},
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(DeviceRegistration{}, "Values")); d != "" {
			t.Errorf("%s (-want +got):\n%s", form, d)
		}
		if got.Values["Error Phase"] != "discover" {
			t.Errorf("values: %v", got.Values)
		}
	}
	if got, err := ReadDSRegCmd(strings.NewReader("a : b\n")); err != nil || got.Known || got.Values != nil {
		t.Errorf("other text: %+v, %v", got, err)
	}
}

func FuzzReadDSRegCmd(f *testing.F) {
	f.Add(dsreg)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ReadDSRegCmd(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if !d.Known && len(d.Errors) > 0 {
			t.Fatalf("%+v", d)
		}
	})
}

func BenchmarkReadDSRegCmd(b *testing.B) {
	b.SetBytes(int64(len(dsreg)))
	for b.Loop() {
		if d, err := ReadDSRegCmd(strings.NewReader(dsreg)); err != nil || !d.Known {
			b.Fatal(d, err)
		}
	}
}
