package repair

import (
	"testing"

	"updoc/internal/facts"
)

func TestFitServicing(t *testing.T) {
	pending := map[string]string{"cbs.reg": export(rebootPending)}
	fitAll(t, []fitCase{
		{name: "a look", remedy: "run-dism-scanhealth", steps: []string{"run dism /Online /Cleanup-Image /ScanHealth"}},
		{name: "a restart first", remedy: "run-dism-restorehealth", files: pending, why: "plan.restart-first"},
		{name: "the agent waits for a restart", remedy: "run-dism-restorehealth", files: map[string]string{"answers/restart.json": `{"update":true}`}, why: "plan.restart-first"},
		{name: "a restart first", remedy: "run-sfc", files: pending, why: "plan.restart-first"},
		{name: "plain", remedy: "run-component-cleanup", steps: []string{"run dism /Online /Cleanup-Image /StartComponentCleanup"}},
		{
			name: "off and on", remedy: "reset-reserved-storage",
			steps: []string{"run dism /Online /Set-ReservedStorageState /State:Disabled", "run dism /Online /Set-ReservedStorageState /State:Enabled"},
			lead:  []string{"remedy.reset-reserved-storage.how"},
		},
		{name: "too old", remedy: "reset-reserved-storage", files: map[string]string{"systeminfo.txt": windows7Info}, why: "plan.windows-lacks-it"},
		{
			name: "off", remedy: "reset-reserved-storage",
			files: map[string]string{"r.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager]`, `"ShippedWithReserves"=dword:00000000`)},
			why:   "plan.reserve-off",
		},
		{name: "too old", remedy: "install-checkpoint-updates-together", why: "plan.windows-lacks-it"},
		{name: "too new", remedy: "install-legacy-agent-and-sha2", why: "plan.newer-windows"},
		{name: "old", remedy: "install-legacy-agent-and-sha2", files: map[string]string{"systeminfo.txt": windows7Info}, lead: []string{"plan.this-machine", "remedy.install-legacy-agent-and-sha2.how"}},
		{name: "nothing is named", remedy: "remove-damaged-package", why: "plan.name-unknown"},
		{name: "no update is named", remedy: "hide-update", why: "plan.update-unknown"},
		{name: "no update is named", remedy: "uninstall-faulty-update", why: "plan.update-unknown"},
		{name: "this machine", remedy: "run-in-place-upgrade", lead: []string{"upgrade.first", "plan.this-machine", "remedy.run-in-place-upgrade.how", "upgrade.command"}},
		{name: "it was read", remedy: "read-servicing-log", files: map[string]string{"CBS.log": csiHeader}, why: "plan.looked-already"},
		{name: "it was not read", remedy: "read-servicing-log", lead: []string{"remedy.read-servicing-log.how"}},
	})
}

func TestRemovePackage(t *testing.T) {
	for _, c := range []struct {
		pkg, why, arg string
	}{
		{pkg: "Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3007.1.9", arg: "/PackageName:Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3007.1.9"},
		{pkg: "Package_for_ServicingStack_3007~31bf3856ad364e35~amd64~~22621.3007.1.2", why: "plan.servicing-stack"},
		{pkg: "Package /Online", why: "plan.name-unknown"},
		{pkg: `a~b~c~d~e" /x`, why: "plan.name-unknown"},
		{pkg: "Package_1_for_KB5034123", why: "plan.name-unknown"},
	} {
		f := seenOn(t, nil)
		f.Servicing.Package = c.pkg
		x, why := fitted(t, "remove-damaged-package", f)
		if why.ID != c.why {
			t.Errorf("%s: left out because of %q, want %q", c.pkg, why.ID, c.why)
		}
		if c.why == "" && (len(x.Steps) != 1 || x.Steps[0].Change.Args[2] != c.arg || !x.Steps[0].Restart) {
			t.Errorf("%s: %v", c.pkg, brief(x))
		}
	}
}

func TestHide(t *testing.T) {
	f := seenOn(t, nil)
	f.Failures = []facts.Failure{{Code: 0x80070643, Stage: facts.StageInstall, Update: facts.Update{Title: "Update for Fabrikam (KB5042320)", KB: "KB5042320", ID: "AD27E52B-9E18-408A-9DF2-8688E5273FBF.201"}}}
	x, why := fitted(t, "hide-update", f)
	if why.ID != "" || len(x.Steps) != 1 || brief(x)[0] != "switch hidden-update/AD27E52B-9E18-408A-9DF2-8688E5273FBF yes" {
		t.Errorf("%v, left out because of %q", brief(x), why.ID)
	}
	for _, id := range []string{"uninstall-faulty-update", "tell-known-issue"} {
		x, why := fitted(t, id, f)
		if why.ID != "" || len(x.Lead) == 0 || x.Lead[0].ID != "plan.known-issue" || x.Lead[0].Args["kb"] != "KB5042320" {
			t.Errorf("%s: lead %v, left out because of %q", id, x.Lead, why.ID)
		}
	}
}
