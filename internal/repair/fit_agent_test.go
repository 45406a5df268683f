package repair

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

const rebootPending = `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending]`

func TestFitAgent(t *testing.T) {
	running := map[string]string{"sc-query.txt": states("wuauserv", "4  RUNNING", "cryptsvc", "4  RUNNING", "bits", "1  STOPPED")}
	fitAll(t, []fitCase{
		{
			name: "some run", remedy: "rename-softwaredistribution", files: running,
			steps: []string{
				"service-stop UsoSvc", "service-stop wuauserv", "service-stop bits", "service-stop DoSvc",
				`move C:\Windows\SoftwareDistribution > C:\Windows\SoftwareDistribution.updoc-20310507-1`,
				"service-run wuauserv",
			},
			lead: []string{"plan.history-aside"},
		},
		{
			name: "Windows on another drive", remedy: "rename-datastore",
			files: map[string]string{"nt.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]`, `"SystemRoot"="D:\\WINDOWS"`)},
			steps: []string{
				"service-stop UsoSvc", "service-stop wuauserv", "service-stop bits", "service-stop DoSvc",
				`move D:\WINDOWS\SoftwareDistribution\DataStore > D:\WINDOWS\SoftwareDistribution\DataStore.updoc-20310507-1`,
			},
			lead: []string{"plan.history-aside"},
		},
		{
			name: "a restart is pending", remedy: "rename-softwaredistribution",
			files: map[string]string{"cbs.reg": export(rebootPending)}, why: "plan.restart-first",
		},
		{
			name: "a restart is pending", remedy: "reset-update-components",
			files: map[string]string{"cbs.reg": export(rebootPending)}, why: "plan.restart-first",
		},
		{name: "the server cuts it off", remedy: "rename-datastore", findings: []string{"wsus-server-overloaded", "datastore-corrupt"}, why: "plan.starts-over"},
		{
			name: "old Windows", remedy: "rename-download-folder", files: map[string]string{"systeminfo.txt": windows7Info},
			steps: []string{
				"service-stop wuauserv", "service-stop bits",
				`move C:\Windows\SoftwareDistribution\Download > C:\Windows\SoftwareDistribution\Download.updoc-20310507-1`,
			},
		},
		{
			name: "it runs", remedy: "rename-catroot2", files: running,
			steps: []string{
				"service-stop cryptsvc", `move C:\Windows\System32\catroot2 > C:\Windows\System32\catroot2.updoc-20310507-1`, "service-run cryptsvc",
			},
		},
		{
			name: "the whole queue", remedy: "rename-bits-queue",
			steps: []string{
				"service-stop bits",
				`move C:\ProgramData\Microsoft\Network\Downloader > C:\ProgramData\Microsoft\Network\Downloader.updoc-20310507-1`,
			},
			lead: []string{"plan.queue-of-all-programs"},
		},
		{
			name: "all", remedy: "reset-update-components", files: running,
			steps: []string{
				"service-stop UsoSvc", "service-stop wuauserv", "service-stop bits", "service-stop DoSvc", "service-stop cryptsvc",
				`move C:\Windows\SoftwareDistribution > C:\Windows\SoftwareDistribution.updoc-20310507-1`,
				`move C:\Windows\System32\catroot2 > C:\Windows\System32\catroot2.updoc-20310507-1`,
				`move C:\ProgramData\Microsoft\Network\Downloader > C:\ProgramData\Microsoft\Network\Downloader.updoc-20310507-1`,
				"service-run cryptsvc", "service-run wuauserv",
			},
			lead: []string{"plan.history-aside", "plan.queue-of-all-programs"},
		},
	})
}

// TestFreshIsTakenBack: by the time of an undo the services have the new folder
// open, so they are stopped before the old one comes back.
func TestFreshIsTakenBack(t *testing.T) {
	x, _ := fitted(t, "rename-catroot2", seenOn(t, nil))
	want := []host.Change{
		{Kind: host.ServiceStop, Path: "cryptsvc"},
		{Kind: host.Restore, Path: `C:\Windows\System32\catroot2.updoc-20310507-1`, To: `C:\Windows\System32\catroot2`},
	}
	for _, s := range x.Steps {
		if s.Change.Kind == host.Move {
			if diff := cmp.Diff(want, s.Undo); diff != "" {
				t.Error(diff)
			}
			return
		}
	}
	t.Error("nothing is moved")
}
