package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium starts a browser without a window, or skips. Its profile is new and goes
// with the test.
func chromium(t testing.TB) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("chromium is not installed: the page is not tried in a browser")
	}
	if testing.Short() {
		t.Skip("a browser takes long")
	}
	profile, err := os.MkdirTemp("", "updoc-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // what a browser still writes while it ends is no fault of the page's
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("lang", "en-US"), chromedp.WindowSize(1280, 900),
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Skipf("chromium does not start here: %v", err)
	}
	return ctx
}

// drive carries out actions in a browser within a time that no test needs.
func drive(t testing.TB, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var text string
		after, cancel := context.WithTimeout(outer, time.Second)
		defer cancel()
		_ = chromedp.Run(after, chromedp.Evaluate(`location.href + "\n" + document.body.innerText`, &text))
		t.Fatalf("%v; the page says:\n%s", err, text)
	}
}

// awaited waits for a promise.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// theme makes the browser want a light or a dark page.
func theme(name string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}})
}

// drawn waits until the page as it is now was drawn.
func drawn() chromedp.Action {
	return chromedp.Evaluate(`new Promise((done) => setTimeout(done, 120))`, nil, awaited) // a window behind another one has no frames to wait for
}

// shot saves pictures of the page, in both themes, wide and narrow, if UPDOC_SHOTS names
// a folder: docs/img holds them.
func shot(t testing.TB, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("UPDOC_SHOTS")
	if dir == "" {
		return
	}
	for _, look := range []struct {
		name, theme string
		width       int64
	}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 360}, {"narrow-dark", "dark", 360}} {
		var b []byte
		drive(t, ctx, theme(look.theme), chromedp.EmulateViewport(look.width, 860), drawn(), chromedp.ActionFunc(func(ctx context.Context) error {
			_, _, _, _, _, size, err := page.GetLayoutMetrics().Do(ctx)
			if err != nil {
				return err
			}
			const longest = 1400 // pixels: the rest of a long page looks alike
			b, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatWebp).WithQuality(45).WithCaptureBeyondViewport(true).
				WithClip(&page.Viewport{Width: size.Width, Height: min(size.Height, longest), Scale: 1}).Do(ctx)
			return err
		}))
		if err := os.WriteFile(filepath.Join(dir, name+"-"+look.name+".webp"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	drive(t, ctx, chromedp.EmulateViewport(1280, 860), theme("light"))
}
