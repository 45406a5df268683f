package cause_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/repair"
)

// TestSetupRulesLead: what a rule names is in the catalogues, and its next step is one
// that cures its cause or only looks.
func TestSetupRulesLead(t *testing.T) {
	for _, r := range facts.SetupRules() {
		if r.Cause != "" && !slices.ContainsFunc(cause.Catalogue(), func(c *cause.Cause) bool { return c.ID == r.Cause }) {
			t.Errorf("%s: no such cause: %q", r.Name, r.Cause)
		}
		if r.Remedy == "" {
			continue
		}
		remedy, ok := repair.Lookup(r.Remedy)
		if !ok {
			t.Errorf("%s: no such remedy: %q", r.Name, r.Remedy)
		}
		if r.Cause != "" && len(remedy.Cures) > 0 && !slices.Contains(remedy.Cures, r.Cause) {
			t.Errorf("%s: %s cures %v, not %s", r.Name, r.Remedy, remedy.Cures, r.Cause)
		}
	}
}

// TestSetupRulesAreEvidence: a rule that is surely about one cause puts it first, with
// the rule's own next step before the cause's others, from one log alone.
func TestSetupRulesAreEvidence(t *testing.T) {
	for name, lines := range map[string]string{
		"setup-media-mismatch":         "Info                  CONX   Compatibility: MismatchedLanguage, found HardBlock",
		"disk-full-esp-srp":            "Info                  CONX   Compatibility: SystemPartitionDiskSpace, found HardBlock",
		"user-account-missing-profile": "Error                 MIG    Duplicate user profile C:\\Users\\kim: S-1-5-21-1-2-3-1001 and S-1-5-21-1-2-3-1007",
		"driver-incompatible":          "Error                 SP     Operation failed: Add [1] Driver Package: oem42.inf. Error: 0x80070002",
		"safeguard-hold":               "Info                  CONX   Appraiser: gated block 41332279 stands for this device",
	} {
		log := "2031-03-04 10:00:00, Info                  MOUPG  SetupHost::Initialize: CmdLine = [/auto upgrade]\r\n2031-03-04 10:00:07, " + lines +
			"\r\n2031-03-04 10:00:09, Error                 MOUPG  CSetupHost::Execute(433): Result = 0xC1900208\r\n"
		h, err := host.OpenFS(context.Background(), fstest.MapFS{"setupact.log": {Data: []byte(log)}})
		if err != nil {
			t.Fatal(err)
		}
		f := facts.Collect(context.Background(), h, facts.Options{})
		first := cause.Diagnose(f).Findings[0]
		if first.ID != name || first.State != facts.Present {
			t.Errorf("first is %s (%v), want %s", first.ID, first.State, name)
			continue
		}
		rule := f.SetupFindings()[0]
		if got := first.CureOrder(); !slices.Contains(got[:min(3, len(got))], rule.Remedy) {
			t.Errorf("%s: cures begin with %v, not with %s", name, got[:min(3, len(got))], rule.Remedy)
		}
		if !slices.ContainsFunc(first.Evidence, func(e cause.Evidence) bool {
			return e.Source == "setupact.log:2" && strings.Contains(lines, e.Seen)
		}) {
			t.Errorf("%s: the line is no evidence: %+v", name, first.Evidence)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
