package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/ui/web"
)

// TestPageReload: loaded anew, whatever is shown is shown again, also in the middle of a
// question, and a command that was sent is not sent twice.
func TestPageReload(t *testing.T) {
	b := chromium(t)
	v := visitLab(t, lab.Demo, web.Server{})
	var at string
	drive(t, b, chromedp.Navigate(v.url), visible("proxy setting is wrong"), chromedp.Reload(), visible("proxy setting is wrong"), chromedp.Location(&at))
	again := func(path, wait string) {
		t.Helper()
		var now string
		drive(t, b, located("/"+path), visible(wait), chromedp.Reload(), visible(wait), chromedp.Location(&now))
		if now != at+path {
			t.Errorf("/%s was loaded anew as %s", path, strings.TrimPrefix(now, at))
		}
	}
	for path, wait := range map[string]string{
		"why": "speaks for it", "plan": "How FRIEDA-PC gets well", "after": "Nothing", "history": "What updoc did here", "help": "What will be in it",
		"other": "Drop the files here", "explain?code=0x80070422": "What is usually behind it", "nothing": "There is nothing here",
	} {
		drive(t, b, chromedp.Navigate(at+path))
		again(path, wait)
	}
	drive(t, b, chromedp.Navigate(at+"plan"), visible("How FRIEDA-PC gets well"), press("Fix it"))
	again("plan?begun", "May updoc do this")
	drive(t, b, press("Yes, do it"))
	again("after", "Cured: updating works again")
	drive(t, b, press("Take it back"))
	again("after", "Everything is as it was before")
	if runs, err := v.doctor.Runs(t.Context()); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}

// TestPageHostileBundle: what a hostile bundle calls its files, and what stands in them, is
// text on every view, runs nothing, asks nobody, and writes nowhere.
func TestPageHostileBundle(t *testing.T) {
	const evil = `<img src=x onerror="window.hit=1"><script>window.hit=2</script>`
	log := "2031-02-03 12:00:00, Error                 CBS    Failed " + evil + " [HRESULT = 0x80073712 - ERROR_SXS_COMPONENT_STORE_CORRUPT]\r\n"
	outside := filepath.Join(t.TempDir(), "outside")
	files := []hosttest.File{{Name: evil + "/CBS.log", Data: log}}
	for _, name := range []string{"../../../../../.." + outside, outside, `..\..\..\Windows\System32\evil.dll`, `C:\Windows\System32\evil.dll`, "CON/CBS.log", "a\x00b.log", "\u202egol.SBC", strings.Repeat("x/", 300) + "CBS.log", evil + ".evtx"} {
		files = append(files, hosttest.File{Name: name, Data: log})
	}
	pack, err := hosttest.PackZip(files)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hostile.zip")
	if err := os.WriteFile(file, []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	b := chromium(t)
	v := visitLab(t, lab.Demo, web.Server{})
	var asked []string
	chromedp.ListenTarget(b, func(e any) {
		if r, ok := e.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(r.Request.URL, "http://127.0.0.1:") {
			asked = append(asked, r.Request.URL)
		}
	})
	drive(t, b, network.Enable(), chromedp.Navigate(v.url), visible("proxy setting is wrong"),
		chromedp.Click(`//nav//a[contains(.,"Help someone else")]`, chromedp.BySearch), visible("Drop the files here"),
		chromedp.SetUploadFiles("#files", []string{file}, chromedp.ByQuery), visible(`hostile\.zip`), press("hostile.zip"), visible("What would most likely help that PC"))
	for _, view := range []string{"Today", "Why", "The plan"} {
		var found, hit string
		drive(t, b, chromedp.Click(fmt.Sprintf(`//nav//a[contains(.,%q)]`, view), chromedp.BySearch), chromedp.WaitVisible(fmt.Sprintf(`//nav//a[@aria-current and contains(.,%q)]`, view), chromedp.BySearch),
			chromedp.Evaluate(`document.querySelectorAll("details").forEach((d) => { d.open = true }); [...document.querySelectorAll("main script, main img, main [onerror]")].map((e) => e.outerHTML).join()`, &found),
			chromedp.Evaluate(`String(window.hit)`, &hit))
		if found != "" || hit != "undefined" {
			t.Errorf("%s has %s, and %s ran", view, found, hit)
		}
	}
	if len(asked) > 0 {
		t.Errorf("it asked %v", asked)
	}
	for _, p := range []string{outside, outside + "/CBS.log"} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s was written", p)
		}
	}
}
