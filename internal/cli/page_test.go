package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/ui"
	"updoc/internal/ui/web"
)

// visit is a simulated machine with its page.
type visit struct {
	url    string
	doctor *labDoctor
	ended  chan struct{} // closed when the page has
	close  func()
}

// visitLab opens the page of a scenario's machine.
func visitLab(t testing.TB, scenario string, s web.Server) *visit {
	t.Helper()
	sc, err := lab.Load(scenario)
	if err != nil {
		t.Fatal(err)
	}
	p, state, err := newLabPatient(filepath.Join(t.TempDir(), "pc"), sc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if _, err := p.Try(t.Context(), host.Attempt{Stage: sc.Cure.Fails}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	env := &Env{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, GOOS: "linux", Version: "test"}
	return visitDoctor(t, &labDoctor{&doctor{env: env, p: p, state: state}}, s)
}

func visitDoctor(t testing.TB, d *labDoctor, s web.Server) *visit {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.Session = ui.New(ctx, d, nil)
	page, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{url: page.URL, doctor: d, ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		if err := page.Serve(ctx); err != nil {
			t.Error(err)
		}
	}()
	v.close = sync.OnceFunc(func() { cancel(); <-v.ended; s.Session.Close() })
	t.Cleanup(v.close)
	return v
}

// visible waits until a text stands on the page.
func visible(pattern string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		want := regexp.MustCompile(pattern)
		for {
			var text string
			if err := chromedp.Evaluate(`document.querySelector("main")?.innerText ?? ""`, &text).Do(ctx); err == nil && want.MatchString(text) {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(15 * time.Millisecond):
			}
		}
	})
}

// press presses the button or link with a text.
func press(text string) chromedp.Action {
	return chromedp.Click(`//main//*[self::button or self::a or self::summary][contains(normalize-space(.),"`+text+`")]`, chromedp.BySearch, chromedp.NodeVisible)
}

// TestPageStory: a person opens the page, reads why, has it fixed, sees the proof and
// takes it back.
func TestPageStory(t *testing.T) {
	b := chromium(t)
	v := visitLab(t, lab.Demo, web.Server{})
	drive(t, b, chromedp.Navigate(v.url), visible("proxy setting is wrong"))
	shot(t, b, "today")
	drive(t, b, press("See how that is known"), visible("speaks for it"))
	shot(t, b, "why")
	drive(t, b, chromedp.NavigateBack(), press("See each step first"), visible("For others to do"))
	shot(t, b, "plan")
	drive(t, b, press("Fix it"), visible("May updoc do this"))
	shot(t, b, "question")
	drive(t, b, press("Yes, do it"), visible("Cured: updating works again"), visible("0x8024401B"))
	shot(t, b, "after")
	drive(t, b, press("Take it back"), visible("Everything is as it was before"))
	shot(t, b, "undone")
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"History")]`, chromedp.BySearch), visible("What updoc did here"), visible("Taken back"))
	shot(t, b, "history")
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"Explain")]`, chromedp.BySearch), visible("Type the code"),
		chromedp.SendKeys("#code", "0x80070422\r", chromedp.ByQuery), visible("What is usually behind it"))
	shot(t, b, "explain")
}
