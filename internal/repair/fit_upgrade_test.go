package repair

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/upgrade"
)

func TestUpgradePlan(t *testing.T) {
	spec := upgrade.Spec{Media: `C:\media\fab.iso`, Machine: upgrade.Machine{Edition: "Professional", Arch: "amd64"}, Target: upgrade.Version{Build: 22631}, EULA: true}
	h, err := host.OpenFS(context.Background(), fstest.MapFS{"setupact.log": {Data: []byte("2031-03-04 10:00:00, Error                 MOUPG  CSetupHost::Execute(433): Result = 0x8007042B\r\n")}})
	if err != nil {
		t.Fatal(err)
	}
	f := facts.Collect(context.Background(), h, facts.Options{})
	p, err := UpgradePlan(f, cause.Diagnose(f), spec, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Treatments) != 1 || p.Treatments[0].Risk != RiskPermanent || p.Failure.Code != 0x8007042B {
		t.Errorf("%+v", p)
	}
	var changes []string
	for _, c := range p.Treatments[0].Changes() {
		changes = append(changes, string(c.Kind)+" "+c.Path)
	}
	if want := []string{`switch image/C:\media\fab.iso`, "run setup", "run setup"}; !slices.Equal(changes, want) {
		t.Errorf("it may %q", changes)
	}
	// A plan that somebody changed in a journal is refused.
	for from, to := range map[string]string{`C:\\media\\fab.iso`: `\\\\pc\\share\\fab.iso`, `"edition":"Professional"`: `"edition":""`, `"build":22631`: `"build":0`} {
		bad := *p
		bad.Treatments = slices.Clone(p.Treatments)
		data := strings.Replace(string(p.Treatments[0].Course.Data), from, to, 1)
		if data == string(p.Treatments[0].Course.Data) {
			t.Fatalf("%s stands not in %s", from, data)
		}
		bad.Treatments[0].Course = &Course{Name: upgrade.Name, Data: json.RawMessage(data)}
		if err := bad.Check(); err == nil {
			t.Errorf("%s is taken", to)
		}
	}
	spec.Media = "media"
	if _, err := UpgradePlan(f, cause.Diagnose(f), spec, "run-1"); err == nil {
		t.Error("media that are no path")
	}
}
