package cli

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"updoc/internal/lab"
)

// TestPageReport: the saved report opens from a disk without asking anybody for
// anything and without a complaint of the browser, keeps nobody out, fits a small screen,
// and prints on paper what it shows.
func TestPageReport(t *testing.T) {
	source, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	s, err := lab.Load("proxy-auth-required")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "evidence"), s.Evidence); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "report.html")
	if code, out := atLab(t, "diagnose", "--from", filepath.Join(dir, "evidence"), "--format", "html", "--why-not", "-o", file); code != ExitProblems {
		t.Fatalf("exit %d: %s", code, out)
	}
	b := chromium(t)
	var mu sync.Mutex
	var wrong []string
	chromedp.ListenTarget(b, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, "file://") && !strings.HasPrefix(u, "data:") {
				wrong = append(wrong, "asks for "+u)
			}
		case *runtime.EventExceptionThrown:
			wrong = append(wrong, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			wrong = append(wrong, e.Entry.Text)
		}
	})
	var wide int
	var text string
	drive(t, b, network.Enable(), log.Enable(), page.SetBypassCSP(true), chromedp.Navigate((&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()),
		chromedp.WaitVisible("main", chromedp.ByQuery), chromedp.Text("main", &text, chromedp.ByQuery))
	if !strings.Contains(text, "proxy") {
		t.Errorf("it says %.300s", text)
	}
	mu.Lock()
	for _, w := range wrong {
		t.Error(w)
	}
	mu.Unlock()
	drive(t, b, chromedp.Evaluate(string(source)+"; true", nil))
	axe(t, b, "the report", "")
	drive(t, b, theme("dark"), chromedp.EmulateViewport(320, 700))
	axe(t, b, "the report, dark and narrow", `runOnly: ["color-contrast", "scrollable-region-focusable", "target-size"],`)
	drive(t, b, chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide))
	if wide > 320 {
		t.Errorf("it is %d pixels wide on a screen of 320", wide)
	}
	var pdf []byte
	drive(t, b, theme("light"), chromedp.ActionFunc(func(ctx context.Context) (err error) {
		pdf, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).Do(ctx)
		return err
	}))
	if pages := strings.Count(string(pdf), "/Type /Page\n"); pages < 1 || pages > 12 {
		t.Errorf("it prints on %d pages", pages)
	} else {
		t.Logf("%d pages", pages)
	}
	if to := os.Getenv("UPDOC_SHOTS"); to != "" {
		if err := os.WriteFile(filepath.Join(to, "report.pdf"), pdf, 0o644); err != nil {
			t.Fatal(err)
		}
		var shot []byte
		drive(t, b, emulation.SetEmulatedMedia().WithMedia("print"), chromedp.EmulateViewport(718, 1000), chromedp.FullScreenshot(&shot, 100))
		if err := os.WriteFile(filepath.Join(to, "report-print.png"), shot, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
