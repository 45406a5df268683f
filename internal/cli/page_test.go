package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/browser"
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
	return visitLabAs(t, scenario, s, func(d *labDoctor) ui.Doctor { return d })
}

// visitLabAs opens it with a doctor that differs in something.
func visitLabAs(t testing.TB, scenario string, s web.Server, as func(*labDoctor) ui.Doctor) *visit {
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
	d := &labDoctor{&doctor{env: env, p: p, state: state}}
	v := visitDoctor(t, as(d), s, env.returning(p, `C:\Downloads\updoc.exe`))
	v.doctor = d
	return v
}

func visitDoctor(t testing.TB, d ui.Doctor, s web.Server, back ui.Returner) *visit {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.Session = ui.New(ctx, d, ui.Options{Return: back})
	page, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{url: page.URL, ended: make(chan struct{})}
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

// gate holds a run at each event until it is let on.
type gate struct {
	turns chan struct{}
	once  sync.Once
}

func (g *gate) let(n int) {
	for range n {
		g.turns <- struct{}{}
	}
}

func (g *gate) open() { g.once.Do(func() { close(g.turns) }) }

// hold has the runs of a visit wait at each event.
func (d *labDoctor) hold(t testing.TB) *gate {
	g := &gate{turns: make(chan struct{})}
	t.Cleanup(g.open)
	d.wait = func() { <-g.turns }
	return g
}

// visible waits until a text stands on the page, which was loaded with all that belongs
// to it: without its style, what is pressed next would be elsewhere.
func visible(pattern string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		want := regexp.MustCompile(pattern)
		for {
			var text string
			if err := chromedp.Evaluate(`document.readyState === "complete" ? document.querySelector("main")?.innerText ?? "" : ""`, &text).Do(ctx); err == nil && want.MatchString(text) {
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

// located waits until the page is at an address that ends so, and was loaded there: what is
// done to a page that is about to go on elsewhere may be lost.
func located(end string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			var at string
			if err := chromedp.Evaluate(`document.readyState === "complete" ? location.href : ""`, &at).Do(ctx); err == nil && strings.HasSuffix(at, end) {
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

// press presses the button or link with a text. The page may draw itself anew between
// the look for it and the press, and then it is another node that is pressed.
func press(text string) chromedp.Action {
	click := chromedp.Click(`//main//*[self::button or self::a or self::summary][contains(normalize-space(.),"`+text+`")]`, chromedp.BySearch, chromedp.NodeVisible)
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := click.Do(ctx)
			var gone *cdproto.Error
			if !errors.As(err, &gone) || ctx.Err() != nil {
				return err
			}
		}
	})
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
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"Today")]`, chromedp.BySearch), visible("Cured: updating works again"), press("See what was changed"), visible("What was changed"))
	drive(t, b, press("Take it back"), visible("Everything is as it was before"))
	shot(t, b, "undone")
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"The plan")]`, chromedp.BySearch), visible("How FRIEDA-PC gets well"), press("Fix it"), visible("May updoc do this"), press("Stop"), visible("It ended between two changes"))
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"History")]`, chromedp.BySearch), visible("What updoc did here"), visible("Taken back"), visible("Not finished"))
	shot(t, b, "history")
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"Explain")]`, chromedp.BySearch), visible("Type the code"),
		chromedp.SendKeys("#code", "0x80070422\r", chromedp.ByQuery), visible("What is usually behind it"))
	shot(t, b, "explain")
}

// TestPageProgress: what is done is seen while it is done, in two windows; it can be
// held, loaded anew, stopped and gone on with.
func TestPageProgress(t *testing.T) {
	b := chromium(t)
	v := visitLab(t, "treat-services-disabled", web.Server{})
	held := v.doctor.hold(t)
	drive(t, b, chromedp.Navigate(v.url), visible("Fix it"), press("Fix it"), visible("Repairing"))
	held.let(3)
	drive(t, b, visible("Being done now"))
	two, cancel := chromedp.NewContext(b)
	defer cancel()
	if err := chromedp.Run(two); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	var at string
	drive(t, b, chromedp.Location(&at))
	at = at[:len(at)-len("plan?begun")]
	drive(t, two, chromedp.Navigate(at+"plan"), visible("Repairing"), visible("Being done now"))
	shot(t, b, "progress")
	drive(t, b, press("Pause"), visible("Paused"), chromedp.Reload(), visible("Paused"))
	drive(t, two, visible("Paused"), press("Go on"), visible("Repairing"))
	drive(t, b, visible("Repairing"), press("Stop"))
	held.open()
	drive(t, b, visible("Stopped"), visible("everything is whole"))
	drive(t, two, visible("Stopped"), press("Go on"), visible("Cured: updating works again"))
	drive(t, b, visible("Cured: updating works again"))
	if runs, err := v.doctor.Runs(t.Context()); err != nil || len(runs) != 1 || runs[0].Result != "cured" {
		t.Errorf("%+v, %v", runs, err)
	}
}

// TestPageRestart: the program ends while a repair waits for a restart of the machine.
// When its user signs in again, Windows opens the page as it was told to, and it begins
// where the old one was, without anybody looking for it.
func TestPageRestart(t *testing.T) {
	b := chromium(t)
	v := visitLab(t, "treat-service-hangs", web.Server{})
	drive(t, b, chromedp.Navigate(v.url), visible("Fix it"), press("See each step first"), visible("this page opens again when you sign in"), press("Fix it"), visible("May updoc do this"), press("Yes, do it"),
		visible("Please restart this PC"), visible("This page opens again by itself"))
	shot(t, b, "restart")
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"Today")]`, chromedp.BySearch), visible("A repair is not finished"))
	v.close()
	drive(t, b, chromedp.WaitVisible("#gone .gone", chromedp.ByQuery))
	shot(t, b, "gone")
	args := signIn(t, t.Context(), v.doctor.p)
	if err := v.doctor.p.Close(); err != nil {
		t.Fatal(err)
	}
	opened := make(chan string, 1)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--"+signInFlag }) // TestAtSignIn
	go func() {
		var out bytes.Buffer
		env := Env{Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, GOOS: "linux", Version: "test", Browse: func(url string) error { opened <- url; return nil }}
		ended <- Run(ctx, env, append(args, "--lab", filepath.Dir(v.doctor.state), "--lang", "en"))
	}()
	select {
	case url := <-opened:
		drive(t, b, chromedp.Navigate(url), visible("Please restart this PC"), press("Restart now"), visible("Cured: updating works again"))
	case code := <-ended:
		t.Fatalf("no page was opened: exit %d", code)
	}
	end()
	if code := <-ended; code != ExitHealthy {
		t.Errorf("exit %d", code)
	}
	p, _, err := openLab(filepath.Dir(v.doctor.state))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if s := once(t, p); s != "" {
		t.Errorf("after the cure it still opens %s", s)
	}
}

// TestPageHelps: what a helper needs is packed, shown and saved; and evidence of another
// machine is read.
func TestPageHelps(t *testing.T) {
	b := chromium(t)
	v := visitLab(t, lab.Demo, web.Server{})
	saved := t.TempDir()
	drive(t, b, browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(saved),
		chromedp.Navigate(v.url), visible("proxy setting is wrong"), press("Ask someone for help"), visible("What will be in it"))
	shot(t, b, "help")
	drive(t, b, press("See what would be in it"), visible("This is in it"), press("Save the file"), visible("A note to go with it"))
	shot(t, b, "help-saved")
	var bundle string
	for range 200 {
		if list, _ := filepath.Glob(filepath.Join(saved, "updoc-*.zip")); len(list) == 1 {
			bundle = list[0]
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if bundle == "" {
		t.Fatal("nothing was saved")
	}

	big := filepath.Join(t.TempDir(), "from grandma (1).zip")
	bigBundle(t, big, bundle, 100<<20)
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"Help someone else")]`, chromedp.BySearch), visible("Drop the files here"),
		chromedp.SetUploadFiles("#files", []string{big}, chromedp.ByQuery), visible("from_grandma__1_.zip"), visible("proxy"))
	shot(t, b, "other")
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "updoc-page-*", "drop-*")); len(left) > 0 {
		t.Errorf("what was dropped is still there: %v", left)
	}
	drive(t, b, press("from_grandma"), visible("What would most likely help that PC"))
	shot(t, b, "other-today")
	drive(t, b, chromedp.Click(`//nav//a[contains(.,"Why")]`, chromedp.BySearch), visible("speaks for it"),
		chromedp.Click(`//nav//a[contains(.,"Help someone else")]`, chromedp.BySearch), visible("Drop the files here"),
		chromedp.Click(`button[aria-label^="Close"]`, chromedp.ByQuery), chromedp.WaitNotPresent(`.files`, chromedp.ByQuery))

	junk := filepath.Join(t.TempDir(), "..%2f..<script>alert(1)<script>.txt")
	if err := os.WriteFile(junk, []byte("nothing of Windows"), 0o600); err != nil {
		t.Fatal(err)
	}
	drive(t, b, chromedp.SetUploadFiles("#files", []string{junk}, chromedp.ByQuery), visible(`2f\.\.scriptalert_1_script\.txt`), visible("does not tell"))
}

// bigBundle makes a bundle of so many bytes out of one.
func bigBundle(t testing.TB, to, from string, size int) {
	t.Helper()
	r, err := zip.OpenReader(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for _, m := range r.File {
		if err := w.Copy(m); err != nil {
			t.Fatal(err)
		}
	}
	x, err := w.CreateHeader(&zip.FileHeader{Name: "files/C/Windows/Logs/CBS/CbsPersist_20310203120000.log", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	line := []byte("2031-02-03 12:00:00, Info                  CBS    Session: 31234567_1234567890 initialized by client Invented, external staging directory: (null)\r\n")
	block := bytes.Repeat(line, 8192)
	for n := 0; n < size; n += len(block) {
		if _, err := x.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestPageGerman: every word of the page's own is German for who wants that.
func TestPageGerman(t *testing.T) {
	b := chromium(t)
	v := visitLab(t, lab.Demo, web.Server{Lang: "de"})
	drive(t, b, chromedp.Navigate(v.url), visible("Was am ehesten hilft"), visible("scheitert hier"))
	shot(t, b, "today-de")
	drive(t, b, press("Erst alle Schritte ansehen"), visible("gesund wird"))
	var lang string
	drive(t, b, chromedp.Evaluate(`document.documentElement.lang`, &lang))
	if lang != "de" {
		t.Errorf("the page says that it is %q", lang)
	}
}

// TestPageVerdicts: healthy and unknown look as different as they are.
func TestPageVerdicts(t *testing.T) {
	b := chromium(t)
	for _, tt := range []struct{ scenario, says, seal string }{
		{"walk-healthy", "Nothing stands in the way of updates", "healthy"},
		{"", "updoc could not find out", "unknown"},
	} {
		files := fs.FS(fstest.MapFS{"holiday.txt": {Data: []byte("nothing of Windows")}})
		if tt.scenario != "" {
			s, err := lab.Load(tt.scenario)
			if err != nil {
				t.Fatal(err)
			}
			files = s.Evidence
		}
		h, err := host.OpenFS(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		v := visitDoctor(t, &doctor{env: &Env{}, h: h, blind: true}, web.Server{}, nil)
		drive(t, b, chromedp.Navigate(v.url), visible(tt.says), chromedp.WaitVisible(".seal."+tt.seal, chromedp.ByQuery))
		shot(t, b, tt.seal)
	}
}
