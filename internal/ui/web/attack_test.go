package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// sick is a doctor whose machine says what a test wants, and counts what is done to it.
type sick struct {
	doc    *report.Document
	fixed  chan ui.Order
	opened chan []string
}

func (s *sick) Examine(context.Context, func(ui.Work)) (*ui.Patient, error) {
	plan := &repair.Plan{Schema: repair.Schema, Run: "20310203-120000-4f2a", Treatments: []repair.Treatment{{ID: "restart-update-services", Risk: repair.RiskReversible, How: repair.Automatic, Minutes: 2, Restart: "no"}}}
	return &ui.Patient{Doc: s.doc, Plan: plan, Hash: plan.Hash(), When: time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)}, nil
}

func (s *sick) Open(_ context.Context, paths []string, _ func(ui.Work)) (*ui.Patient, error) {
	s.opened <- paths
	return nil, errors.New("read <b>nothing</b>")
}
func (s *sick) Explain(string) (*report.Explanations, error) { return nil, errors.New("no code") }
func (s *sick) Fix(_ context.Context, o ui.Order, _ ui.Watch) (repair.Result, error) {
	s.fixed <- o
	return repair.Cured, nil
}

func (s *sick) Undo(context.Context, string, func(repair.Event)) (repair.Undone, error) {
	return repair.Undone{}, nil
}
func (s *sick) Runs(context.Context) ([]repair.Summary, error) { return nil, nil }
func (s *sick) Run(context.Context, string) (*ui.Run, error)   { return nil, ui.ErrGone }
func (s *sick) Pack(context.Context, bool, func(ui.Work)) (*ui.Pack, error) {
	return nil, errors.New("nothing to pack")
}

// problems is a document with a cause and what speaks for it.
func problems(lines ...string) *report.Document {
	c := report.Cause{ID: "service-disabled", Title: "A service is off", Plain: "It is off.", Probability: .9, Root: true, Stage: "scan", Missing: []string{}}
	for _, l := range lines {
		c.Evidence = append(c.Evidence, report.Evidence{Weight: "strong", For: true, Source: l, Seen: l})
	}
	return &report.Document{
		Schema: report.Schema, Verdict: "problems", Machine: report.Machine{Name: strings.Join(lines, ""), OS: "Windows 11 Pro", Source: "lab"},
		Failures: []report.Failure{{Kind: "error", Code: "0x80070422", Stage: "scan", Count: 1, Update: report.Update{Title: strings.Join(lines, "")}, Seen: []report.Seen{{Source: "a", Text: strings.Join(lines, "")}}}},
		Causes:   []report.Cause{c}, Remedies: []report.Remedy{}, Gaps: []report.Gap{{Source: strings.Join(lines, ""), Why: strings.Join(lines, "")}},
	}
}

// client is somebody who asks the page for something.
type client struct {
	t *testing.T
	*http.Client
	page *Page
}

func serve(t *testing.T, s Server, d ui.Doctor) (*Page, *client) {
	t.Helper()
	return serveAs(t, s, d, ui.Options{})
}

func serveAs(t *testing.T, s Server, d ui.Doctor, o ui.Options) (*Page, *client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.Session = ui.New(ctx, d, o)
	p, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Serve(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); cancel(); <-done; s.Session.Close() })
	for st, changed := s.Session.State(); st.Phase == ui.Looking; st, changed = s.Session.State() {
		<-changed
	}
	return p, &client{t, &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, p}
}

// request makes a request as the page's own browser would; edit changes it.
func (c *client) request(method, path string, form url.Values, edit func(*http.Request)) (status int, body string, head http.Header) {
	c.t.Helper()
	var in io.Reader
	if form != nil {
		in = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, c.page.origin+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "null") // as it is without a referrer
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.AddCookie(&http.Cookie{Name: cookieName, Value: c.page.cookie})
	if edit != nil {
		edit(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// TestAttacks: what does not come from the page itself is refused, nothing is done and
// nothing is told.
func TestAttacks(t *testing.T) {
	d := &sick{doc: problems("WindowsUpdate.log:17"), fixed: make(chan ui.Order, 10)}
	p, c := serve(t, Server{}, d)
	st, _ := p.Session.State()
	fix := url.Values{"csrf": {p.csrf}, "hash": {st.Patient.Hash}}
	with := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	without := func(r *http.Request) { r.Header.Del("Cookie") }
	for _, tt := range []struct {
		name, method, path string
		form               url.Values
		edit               func(*http.Request)
		want               int
	}{
		{"the page itself", "GET", p.base, nil, nil, 200},
		{"no cookie", "GET", p.base, nil, without, 403},
		{"another cookie", "GET", p.base, nil, with("Cookie", cookieName+"=x"), 403},
		{"another path", "GET", "/", nil, nil, 403},
		{"the style without a cookie", "GET", p.base + "app.css", nil, without, 403},
		{"a name that leads here", "GET", p.base, nil, func(r *http.Request) { r.Host = "rebind.example:80" }, 421},
		{"localhost", "GET", p.base, nil, func(r *http.Request) { r.Host = strings.Replace(p.host, "127.0.0.1", "localhost", 1) }, 421},
		{"another origin", "GET", p.base, nil, with("Origin", "http://evil.example"), 403},
		{"an image of another site", "GET", p.base, nil, with("Sec-Fetch-Site", "cross-site"), 403},
		{"a wrong token", "GET", "/open/x", nil, without, 403},
		{"no secret", "POST", p.base + "do/fix", url.Values{"hash": fix["hash"]}, nil, 403},
		{"a wrong secret", "POST", p.base + "do/fix", url.Values{"hash": fix["hash"], "csrf": {"x"}}, nil, 403},
		{"another site's form", "POST", p.base + "do/fix", fix, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"another port's form", "POST", p.base + "do/fix", fix, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"another origin's form", "POST", p.base + "do/fix", fix, with("Origin", "http://127.0.0.1:1"), 403},
		{"no origin at all", "POST", p.base + "do/fix", fix, func(r *http.Request) { r.Header.Del("Origin"); r.Header.Del("Sec-Fetch-Site") }, 403},
		{"a form as text", "POST", p.base + "do/fix", fix, with("Content-Type", "text/plain"), 403},
		{"a long form", "POST", p.base + "do/fix", url.Values{"csrf": {p.csrf}, "hash": {strings.Repeat("x", maxForm)}}, nil, 403},
		{"a command as an address", "GET", p.base + "do/fix?" + fix.Encode(), nil, nil, 404},
		{"a method nobody needs", "DELETE", p.base, nil, nil, 405},
		{"a way out of the folder", "GET", p.base + "..%2f..%2fetc%2fpasswd", nil, nil, 404},
		{"a run that is a path", "GET", p.base + "run/..%2f..%2fetc", nil, nil, 404},
		{"a file that was not opened", "GET", p.base + "other/7/", nil, nil, 404},
		{"lines of nothing", "GET", p.base + "lines?of=9&from=0", nil, nil, 404},
		{"lines before the first", "GET", p.base + "lines?from=-1", nil, nil, 404},
		{"a bundle that was not made", "GET", p.base + "bundle", nil, nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body, head := c.request(tt.method, tt.path, tt.form, tt.edit)
			if status != tt.want {
				t.Errorf("status %d, want %d", status, tt.want)
			}
			if status >= 400 && status != 404 && (strings.Contains(body, p.base) || strings.Contains(body, p.csrf) || strings.Contains(body, "WindowsUpdate.log")) {
				t.Errorf("it tells: %s", body)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"} {
				if head.Get(name) != want {
					t.Errorf("%s: %q, want %q", name, head.Get(name), want)
				}
			}
			policy := head.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
		})
	}
	select {
	case o := <-d.fixed:
		t.Fatalf("it was done: %+v", o)
	default:
	}
	if status, _, head := c.request("POST", p.base+"do/fix", fix, nil); status != http.StatusSeeOther || head.Get("Location") != p.base+"plan?begun" {
		t.Errorf("the page's own command: %d %s", status, head.Get("Location"))
	}
	if o := <-d.fixed; o.Hash != st.Patient.Hash {
		t.Errorf("%+v", o)
	}
	if status, _, head := c.request("POST", p.base+"do/fix", url.Values{"csrf": {p.csrf}, "hash": {"another plan"}}, nil); status != http.StatusSeeOther || !strings.Contains(head.Get("Location"), "late") {
		t.Errorf("a plan that was not shown: %d %s", status, head.Get("Location"))
	}
}

// TestTokenOnce: the address opens the page for one browser, once.
func TestTokenOnce(t *testing.T) {
	p, c := serve(t, Server{}, &sick{doc: problems("x")})
	path := strings.TrimPrefix(p.URL, p.origin)
	without := func(r *http.Request) { r.Header.Del("Cookie") }
	status, body, head := c.request("GET", path, nil, without)
	cookies := strings.Join(head.Values("Set-Cookie"), "\n")
	if status != 200 || !strings.Contains(body, p.base) || strings.Count(cookies, "HttpOnly; SameSite=Strict") != 2 || !strings.Contains(cookies, "Path="+p.base) {
		t.Fatalf("%d %s\n%s", status, body, cookies)
	}
	if status, body, head = c.request("GET", path, nil, without); status != 403 || head.Get("Set-Cookie") != "" || strings.Contains(body, p.base) {
		t.Errorf("a second browser: %d %s", status, body)
	}
	if status, _, head = c.request("GET", path, nil, nil); status != 303 || head.Get("Location") != p.base {
		t.Errorf("the same browser again: %d", status)
	}
}

// TestScripts: a log full of markup is text on every view and in the stream.
func TestScripts(t *testing.T) {
	const evil = `<script>alert(1)</script><img src=x onerror=alert(2)>" onload="alert(3)` + "\u202e\x1b[31m</details></main>"
	p, c := serve(t, Server{}, &sick{doc: problems(evil)})
	bad := regexp.MustCompile(`<script>|<img|onload="alert|\x{202e}|\x1b`)
	for _, path := range []string{"", "why", "plan", "after", "history", "help", "other", "explain?code=" + url.QueryEscape(evil), "lines?from=0", "run/" + url.PathEscape(evil)} {
		_, body, _ := c.request("GET", p.base+path, nil, nil)
		if m := bad.FindString(body); m != "" {
			t.Errorf("%q has %q", path, m)
		}
		if strings.Count(body, "</main>") != 1 {
			t.Errorf("%q has another end", path)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", p.origin+p.base+"events?view=why", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: cookieName, Value: p.cookie})
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 1<<20)
	n, _ := io.ReadAtLeast(resp.Body, b, 600)
	if text := string(b[:n]); !strings.Contains(text, "event: part") || strings.Contains(text, "<script>") || strings.Contains(text, "\n<") {
		t.Errorf("the stream: %s", text)
	}
}

// TestDrop: files keep nothing of their names that could lead anywhere; too much is
// refused and leaves nothing behind.
func TestDrop(t *testing.T) {
	d := &sick{doc: problems("x"), opened: make(chan []string, 10)}
	p, c := serve(t, Server{MaxDrop: 1 << 20}, d)
	send := func(size int, names ...string) int {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, name := range names {
			x, err := w.CreateFormFile("files", name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.Write(bytes.Repeat([]byte("x"), size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		status, _, _ := c.request("POST", p.base+"drop", nil, func(r *http.Request) {
			r.Header.Set("Content-Type", w.FormDataContentType())
			r.Header.Set("Origin", p.origin)
			r.Header.Set("X-Csrf", p.csrf)
			r.Header.Set("X-Updoc", "1")
			r.Body, r.ContentLength = io.NopCloser(&b), int64(b.Len())
		})
		return status
	}
	if status := send(10, `..\..\Windows\System32\evil.dll`, "../../etc/cron.d/x", "CON.log", "a:stream.evtx"); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	for i, path := range <-d.opened {
		if !strings.HasPrefix(path, p.temp+string(filepath.Separator)) || strings.Contains(path, "..") {
			t.Errorf("file %d went to %s", i, path)
		}
	}
	if status := send(2<<20, "big.zip"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	if status := send(1, make([]string, 0)...); status != http.StatusBadRequest {
		t.Errorf("nothing: %d", status)
	}
	for n := range 3 { // the reading ends beside this test
		left, err := filepath.Glob(filepath.Join(p.temp, "drop-*"))
		if err != nil || len(left) == 0 {
			break
		}
		if n == 2 {
			t.Errorf("left behind: %v", left)
		}
		_, changed := p.Session.State()
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		"CBS.log": "CBS.log", `C:\Windows\Logs\CBS\CBS.log`: "CBS.log", "../../etc/passwd": "passwd", "..": "file", "": "file",
		"nul": "_nul", "LPT1.log": "_LPT1.log", "a:b.txt": "ab.txt", "\u202egpj.exe": "gpj.exe", "name (2).zip": "name__2_.zip",
		".hidden": "hidden", "-rf": "rf", strings.Repeat("x", 300) + ".evtx": strings.Repeat("x", maxName-5) + ".evtx",
	} {
		if got := fileName(in); got != want {
			t.Errorf("fileName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFileName(f *testing.F) {
	for _, s := range []string{"CBS.log", `..\..\x`, "con", "\xff/..", "a.b.c", "COM9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := fileName(s)
		if got == "" || len(got) > maxName+1 || got != filepath.Base(got) || strings.ContainsAny(got, `/\:*?"<>| `) || strings.HasPrefix(got, ".") {
			t.Errorf("fileName(%q) = %q", s, got)
		}
		if again := fileName(got); again != got && !strings.HasPrefix(got, "_") {
			t.Errorf("fileName(%q) = %q, and of that %q", s, got, again)
		}
	})
}

// TestForeignPeer: another user's program gets nothing, cookie or not; one that nobody
// knows the user of can have nothing done, whatever secrets it holds.
func TestForeignPeer(t *testing.T) {
	d := &sick{doc: problems("x"), fixed: make(chan ui.Order, 10)}
	answer := errors.New("not known")
	p, c := serve(t, Server{Peer: func(client, server netip.AddrPort) (bool, error) {
		if !client.Addr().IsLoopback() || server.Port() == 0 {
			t.Errorf("peer %v to %v", client, server)
		}
		return false, answer
	}}, d)
	st, _ := p.Session.State()
	fix := url.Values{"csrf": {p.csrf}, "hash": {st.Patient.Hash}}
	if status, _, _ := c.request("GET", p.base, nil, nil); status != 200 {
		t.Errorf("a program that nobody knows the user of may not look: %d", status)
	}
	if status, body, _ := c.request("POST", p.base+"do/fix", fix, nil); status != 403 || strings.Contains(body, p.csrf) {
		t.Errorf("and may act: %d %s", status, body)
	}
	answer = nil
	c.Transport.(*http.Transport).CloseIdleConnections()
	for _, path := range []string{p.base, strings.TrimPrefix(p.URL, p.origin)} {
		if status, body, _ := c.request("GET", path, nil, nil); status != 403 || strings.Contains(body, p.csrf) {
			t.Errorf("another user's: %d %s", status, body)
		}
	}
	if status, _, _ := c.request("POST", p.base+"do/fix", fix, nil); status != 403 {
		t.Errorf("another user's may act: %d", status)
	}
	select {
	case o := <-d.fixed:
		t.Errorf("it was done: %+v", o)
	default:
	}
}

// TestForeignUser: the same with another user's real program.
func TestForeignUser(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs curl, and to be root to run it as another user")
	}
	p, _ := serve(t, Server{}, &sick{doc: problems("x")})
	out, err := asNobody(curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", p.URL).Output()
	if err != nil || string(out) != "403" {
		t.Errorf("%s, %v", out, err)
	}
	if out, err = exec.Command(curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", p.URL).Output(); err != nil || string(out) != "200" {
		t.Errorf("its own user: %s, %v", out, err)
	}
}

func TestSocketOwner(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 12346 1 0 20 4
`
	if uid, ok := socketOwner(strings.NewReader(table), netip.MustParseAddrPort("127.0.0.1:50000")); !ok || uid != 1001 {
		t.Errorf("%d, %v", uid, ok)
	}
	if _, ok := socketOwner(strings.NewReader(table), netip.MustParseAddrPort("127.0.0.1:50001")); ok {
		t.Error("a socket that is not there has an owner")
	}
}

func FuzzSocketOwner(f *testing.F) {
	f.Add("  0: 0100007F:1F90 0:0 01 0 0 0 1000 0", uint16(8080))
	f.Fuzz(func(t *testing.T, table string, port uint16) {
		socketOwner(strings.NewReader(table), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	})
}

// TestManyConnections: thousands of connections that say nothing do not keep the page's
// own from an answer.
func TestManyConnections(t *testing.T) {
	n := 1000
	if os.Getenv("UPDOC_FULL") != "" {
		n = 10_000
	}
	p, c := serve(t, Server{}, &sick{doc: problems("x")})
	if status, _, _ := c.request("GET", p.base, nil, nil); status != 200 { // and is trusted from here on
		t.Fatalf("before: %d", status)
	}
	var conns []net.Conn
	defer func() {
		for _, x := range conns {
			_ = x.Close()
		}
	}()
	for i := range n {
		x, err := net.Dial("tcp4", p.host)
		if err != nil {
			t.Logf("%d connections, then %v", i, err)
			break
		}
		fmt.Fprintf(x, "GET / HT") // and no more
		conns = append(conns, x)
		if i%250 == 0 {
			if status, _, _ := c.request("GET", p.base+"why", nil, nil); status != 200 {
				t.Fatalf("among %d: %d", i, status)
			}
		}
	}
	if status, _, _ := c.request("GET", p.base+"why", nil, nil); status != 200 {
		t.Errorf("after %d: %d", len(conns), status)
	}
	p.listener.mu.Lock()
	defer p.listener.mu.Unlock()
	if have := len(p.listener.conns); have > maxConns {
		t.Errorf("%d connections are held, at most %d should be", have, maxConns)
	}
}

// TestTooMany: who asks hundreds of things a second is told to wait.
func TestTooMany(t *testing.T) {
	var l limiter
	now := time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)
	n := 0
	for l.allow(now) {
		n++
	}
	if n != burst {
		t.Errorf("%d at once, want %d", n, burst)
	}
	if !l.allow(now.Add(time.Second)) {
		t.Error("not even a second later")
	}
}

// TestLines: of ten thousand lines the page holds the first ones, and the rest comes in
// pieces, none left out.
func TestLines(t *testing.T) {
	lines := make([]string, 10_000)
	for i := range lines {
		lines[i] = fmt.Sprintf("CBS.log:%d", i+1)
	}
	doc := problems(lines...)
	doc.Machine.Name, doc.Failures[0].Update.Title, doc.Failures[0].Seen, doc.Gaps = "PC", "", nil, nil
	p, c := serve(t, Server{}, &sick{doc: doc})
	_, body, _ := c.request("GET", p.base+"why", nil, nil)
	if n := strings.Count(body, `class="quote for"`); n != linesAtOnce || len(body) > 100<<10 {
		t.Errorf("%d lines in %d bytes", n, len(body))
	}
	next := regexp.MustCompile(`href="([^"]*lines\?[^"]*)"`)
	got := linesAtOnce
	for m := next.FindStringSubmatch(body); m != nil; m = next.FindStringSubmatch(body) {
		_, body, _ = c.request("GET", strings.ReplaceAll(m[1], "&amp;", "&"), nil, func(r *http.Request) { r.Header.Set("X-Updoc", "1") })
		n := strings.Count(body, `class="quote for"`)
		if n == 0 || n > linesAtOnce || !strings.Contains(body, fmt.Sprintf("CBS.log:%d<", got+1)) {
			t.Fatalf("after %d lines: %d more", got, n)
		}
		if got += n; got%2000 == 0 {
			p.limit = limiter{} // nobody scrolls that fast
		}
	}
	if got != len(lines) {
		t.Errorf("%d lines, want %d", got, len(lines))
	}
}

// TestWeight: what a browser has to load for the first view.
func TestWeight(t *testing.T) {
	p, c := serve(t, Server{}, &sick{doc: problems("WindowsUpdate.log:17")})
	total := 0
	for _, path := range []string{"", "app.css", "app.js", "icon.svg"} {
		status, body, _ := c.request("GET", p.base+path, nil, nil)
		if status != 200 {
			t.Errorf("%s: %d", path, status)
		}
		total += len(body)
	}
	if total > 150<<10 {
		t.Errorf("the page weighs %d KB", total>>10)
	}
	t.Logf("the page weighs %d bytes", total)
}

// TestEnds: the server ends when its last page is closed, and not while something is
// done.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := Server{Session: ui.New(ctx, &sick{doc: problems("x")}, ui.Options{}), Grace: 10 * time.Millisecond}
	p, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
	r, err := http.NewRequest("GET", p.origin+p.base+"events?view=today", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: cookieName, Value: p.cookie})
	resp, err := (&http.Transport{}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Fatal("it ended while a page was open")
	case <-time.After(50 * time.Millisecond):
	}
	resp.Body.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on without a page")
	}
	cancel()
	s.Session.Close()
}
