package facts

import "testing"

// A *FAILED* line is the reason of a failure only if a call failed with it.
func TestReasonsOfCallsThatEndedWell(t *testing.T) {
	const (
		inside = "2031/03/03 08:00:02.0000000 1032  4120  Misc            *FAILED* [80072EFE] Send request\r\n" +
			"2031/03/03 08:00:03.0000000 1032  4120  Handler         *FAILED* [80070003] GetUpdateInstallDirectory\r\n"
		well = "2031/03/03 08:00:05.0000000 1032  4120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 7, Exit code = 0x00000000 (cV = aB3.0.0)\r\n"
		job  = "2031/03/03 08:00:06.0000000 1032  4120  Deployment      Deployment job Id 1C06E48E-775E-48EC-A27C-AA89B7BE4867 : Ending deployment for updates, CallerId = MoUpdateOrchestrator, Exit code = 0x00000000\r\n"
		ill  = "2031/03/03 08:00:04.0000000 1032  4120  Handler         Install complete for update ID: AD27E52B-9E18-408A-9DF2-8688E5273FBF.1 Return code is 0x80070002. Requires Reboot:No\r\n"
	)
	t.Run("the call ended well", func(t *testing.T) {
		suffering(t, machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) + inside + well}))
	})
	t.Run("nothing ended", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) + inside})
		if len(f.Suffering()) == 0 {
			t.Error("no failure without a call that ended well")
		}
	})
	t.Run("failures after it", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) +
			"2031/03/03 08:00:01.0000000 1032  4120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 6, Exit code = 0x00000000 (cV = aB2.0.0)\r\n" + inside})
		if len(f.Suffering()) == 0 {
			t.Error("a success before the failures speaks of neither")
		}
	})
	t.Run("an excerpt", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": inside + well})
		if len(f.Suffering()) == 0 {
			t.Error("in an excerpt every line counts")
		}
	})
	// The job runs to its end whatever becomes of its updates.
	t.Run("a job's end is no success", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) + ill + job})
		s := f.Suffering()
		if len(s) == 0 || s[0].Code != 0x80070002 || s[0].Weight != decisive {
			t.Errorf("suffering %+v", briefs(f.Failures))
		}
	})
}
