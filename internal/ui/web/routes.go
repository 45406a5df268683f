package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"updoc/internal/report"
	"updoc/internal/ui"
)

// routes are what there is below the base. guard has looked at each request.
func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(path string, f http.HandlerFunc) { mux.HandleFunc("GET "+strings.TrimSuffix(p.base, "/")+path, f) }
	post := func(path string, f http.HandlerFunc) {
		mux.HandleFunc("POST "+strings.TrimSuffix(p.base, "/")+path, f)
	}
	get("/{$}", func(w http.ResponseWriter, r *http.Request) { p.show(w, r, "today") })
	for _, v := range []string{"why", "plan", "after", "history", "help", "other", "explain"} {
		get("/"+v, func(w http.ResponseWriter, r *http.Request) { p.show(w, r, v) })
	}
	get("/run/{run}", func(w http.ResponseWriter, r *http.Request) { p.show(w, r, "run/"+r.PathValue("run")) })
	get("/other/{file}/{$}", func(w http.ResponseWriter, r *http.Request) { p.show(w, r, "other/"+r.PathValue("file")+"/today") })
	for _, v := range []string{"why", "plan"} {
		get("/other/{file}/"+v, func(w http.ResponseWriter, r *http.Request) { p.show(w, r, "other/"+r.PathValue("file")+"/"+v) })
	}
	get("/lines", p.lines)
	get("/events", p.events)
	get("/bundle", p.bundle)
	get("/app.css", p.asset("text/css; charset=utf-8", func() ([]byte, error) {
		b, err := files.ReadFile("assets/app.css")
		return append([]byte(report.Look()), b...), err
	}))
	get("/app.js", p.asset("text/javascript; charset=utf-8", func() ([]byte, error) { return files.ReadFile("assets/app.js") }))
	get("/icon.svg", p.asset("image/svg+xml", func() ([]byte, error) { return files.ReadFile("assets/icon.svg") }))
	post("/do/{what}", p.do)
	post("/drop", p.drop)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { p.show(w, r, "missing") })
	return mux
}

func (p *Page) asset(kind string, read func() ([]byte, error)) http.HandlerFunc {
	b, err := read()
	return func(w http.ResponseWriter, r *http.Request) {
		if err != nil { // what is embedded is there
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(b)
	}
}

// write writes one template whole, or says that it could not be made.
func (p *Page) write(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := p.views[p.lang(r)].ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "updoc could not draw this page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes())
	}
}

// show shows a view.
func (p *Page) show(w http.ResponseWriter, r *http.Request, view string) {
	st, _ := p.Session.State()
	if view == "plan" && r.URL.Query().Has("begun") && (st.Phase == ui.Over || st.Phase == ui.Undone) {
		http.Redirect(w, r, p.base+"after", http.StatusSeeOther) // it was done before the browser was here
		return
	}
	d := p.drawing(r.Context(), p.words(r), view, st)
	d.query = r.URL.Query()
	parts, err := d.parts()
	status := http.StatusOK
	if errors.Is(err, ui.ErrGone) || view == "missing" {
		status = http.StatusNotFound
		d.view, d.name = "missing", "missing"
		parts, err = d.parts()
	}
	if err != nil {
		http.Error(w, "updoc could not draw this page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	p.write(w, r, status, "layout", d.layout(parts))
}

// lines shows more of a list of evidence, as a part of the page or by itself.
func (p *Page) lines(w http.ResponseWriter, r *http.Request) {
	st, _ := p.Session.State()
	q := r.URL.Query()
	view := "why"
	if id := q.Get("of"); id != "" {
		view = "other/" + id + "/why"
	}
	d := p.drawing(r.Context(), p.words(r), view, st)
	from, err := strconv.Atoi(q.Get("from"))
	if err != nil || from < 0 || d.patient == nil || len(d.patient.Doc.Causes) == 0 {
		p.show(w, r, "missing")
		return
	}
	list := d.lines(from)
	if r.Header.Get("X-Updoc") != "" {
		p.write(w, r, http.StatusOK, "lines", list)
		return
	}
	html, err := d.render("lines-page", list)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.write(w, r, http.StatusOK, "layout", d.layout([]part{{ID: "lines", HTML: html}}))
}

// pace is how often a page is drawn anew at most.
const pace = 80 * time.Millisecond

// events tells a page what changes: the parts of it that do, what a screen reader should
// say, where to go on. One stream for each page that is open.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	const most = 32 // pages
	if p.lookers() >= most {
		p.refuse(w, r, http.StatusTooManyRequests)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	p.looks(1)
	defer p.looks(-1)
	send := func(kind string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_ = control.SetWriteDeadline(time.Now().Add(answerTime))
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, b); err != nil {
			return err
		}
		return control.Flush()
	}
	view, words := r.URL.Query().Get("view"), p.words(r)
	sent := map[string][sha256.Size]byte{}
	phase, said := ui.Phase(r.URL.Query().Get("phase")), ""
	beat := time.NewTicker(15 * time.Second) // finds out that a page is gone
	defer beat.Stop()
	tick := time.NewTicker(time.Second) // what is left of the time changes by itself
	defer tick.Stop()
	for first := true; ; first = false {
		st, changed := p.Session.State()
		if to := follow(view, phase, st.Phase); to != "" {
			_ = send("go", to)
			return
		}
		phase = st.Phase
		d := p.drawing(r.Context(), words, view, st)
		parts, err := d.parts()
		if errors.Is(err, ui.ErrGone) && strings.HasPrefix(view, "other/") { // it was closed in another window
			_ = send("go", "other")
			return
		}
		if err != nil {
			return
		}
		for _, x := range parts {
			sum := sha256.Sum256([]byte(x.HTML))
			if sent[x.ID] == sum {
				continue
			}
			sent[x.ID] = sum
			if send("part", map[string]string{"id": x.ID, "html": string(x.HTML)}) != nil {
				return
			}
		}
		if s := d.saying(); s != said {
			if said = s; !first && s != "" && send("say", s) != nil {
				return
			}
		}
		if first && control.Flush() != nil {
			return
		}
		busy := tick.C
		if !st.Phase.Busy() {
			busy = nil
		}
		select {
		case <-r.Context().Done():
			_ = send("end", "")
			return
		case <-beat.C:
			if send("beat", "") != nil {
				return
			}
		case <-busy:
		case <-changed:
			select { // what changes fast is told in one
			case <-time.After(pace):
			case <-r.Context().Done():
			}
		}
	}
}

// follow is where a page goes on when the visit does.
func follow(view string, was, is ui.Phase) string {
	switch {
	case was == is || was == "":
	case view == "plan" && (is == ui.Over || is == ui.Undone):
		return "after"
	case (view == "after" || strings.HasPrefix(view, "run/")) && is.Busy():
		return "plan"
	case view != "today" && view != "plan" && (was == ui.Over || was == ui.Undone) && is == ui.Looking && view == "after":
		return ""
	}
	return ""
}

// do carries out a command and shows what comes of it.
func (p *Page) do(w http.ResponseWriter, r *http.Request) {
	s, form := p.Session, r.PostForm
	to, err := "", error(nil)
	number := func(name string) int {
		n, nerr := strconv.Atoi(form.Get(name))
		if nerr != nil {
			err = ui.ErrGone
		}
		return n
	}
	switch what := r.PathValue("what"); what {
	case "look":
		err = s.Look()
	case "fix":
		to, err = "plan?begun", s.Fix(form.Get("hash"))
	case "goon":
		to, err = "plan?begun", s.GoOn()
	case "reveal":
		to, err = "plan?begun", s.Reveal()
	case "restart":
		to, err = "plan?begun", s.Restart()
	case "pause", "continue":
		to, err = "plan", s.Pause(what == "pause")
	case "stop":
		to, err = "plan?begun", s.Stop()
	case "undo":
		to, err = "plan?begun", s.Undo(form.Get("run"))
	case "answer":
		to = "plan?begun"
		if n := number("question"); err == nil {
			err = s.Answer(n, form.Get("yes") == "1")
		}
	case "forget":
		to = "other"
		if n := number("file"); err == nil {
			err = s.Forget(n)
		}
	case "pack":
		to = "help"
		p.packs.begin(p.Session, form.Get("hosts") == "1")
	default:
		p.show(w, r, "missing")
		return
	}
	if err != nil { // the page is older than what has happened: show how it is now
		to, _, _ = strings.Cut(to, "?")
		to += "?late"
	}
	if r.Header.Get("X-Updoc") != "" {
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, p.base+to, http.StatusSeeOther)
}

// drop takes files that somebody handed over. They go to a folder of their own, under
// names that only resemble theirs, and stay no longer than they are read.
func (p *Page) drop(w http.ResponseWriter, r *http.Request) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		p.refuse(w, r, http.StatusBadRequest)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	body := &slow{ReadCloser: http.MaxBytesReader(w, r.Body, or(p.MaxDrop, maxDrop)), control: control}
	dir, err := os.MkdirTemp(p.temp, "drop-")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	remove := func() { _ = os.RemoveAll(dir) }
	name, size, paths, err := save(multipart.NewReader(body, params["boundary"]), dir)
	_ = control.SetReadDeadline(time.Now().Add(answerTime))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		remove()
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil || len(paths) == 0:
		remove()
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if _, err := p.Session.Open(name, size, paths, remove); err != nil {
		remove()
		w.WriteHeader(http.StatusConflict)
		return
	}
	if r.Header.Get("X-Updoc") != "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, p.base+"other", http.StatusSeeOther)
}

// slow is a long body: each part of it has its time, not the whole.
type slow struct {
	io.ReadCloser
	control *http.ResponseController
	next    time.Time
}

func (s *slow) Read(b []byte) (int, error) {
	if now := time.Now(); now.After(s.next) {
		_ = s.control.SetReadDeadline(now.Add(answerTime))
		s.next = now.Add(time.Second)
	}
	return s.ReadCloser.Read(b)
}

const (
	maxDropped = 500 // files at a time
	maxName    = 80  // of one, in bytes
)

// save puts the files of a form into a folder.
func save(form *multipart.Reader, dir string) (name string, size int64, paths []string, err error) {
	for n := 0; ; n++ {
		x, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return name, size, paths, nil
		}
		if err != nil {
			return name, size, paths, err
		}
		if x.FormName() != "files" || x.FileName() == "" {
			continue
		}
		if n >= maxDropped {
			return name, size, paths, errors.New("too many files")
		}
		safe := fileName(x.FileName())
		if name == "" {
			name = safe
		}
		if len(paths) == 1 {
			name += " …"
		}
		to := filepath.Join(dir, strconv.Itoa(n))
		if err := os.Mkdir(to, 0o700); err != nil {
			return name, size, paths, err
		}
		to = filepath.Join(to, safe)
		f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return name, size, paths, err
		}
		took, err := io.Copy(f, x)
		if err = errors.Join(err, f.Close()); err != nil {
			return name, size, paths, err
		}
		size += took
		paths = append(paths, to)
	}
}

// fileName keeps of a name what says of which kind a file is, and nothing that could
// lead anywhere: no folders, no drives, no streams, no names of devices, no characters
// that nobody sees.
func fileName(s string) string {
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '_':
			return r
		case r == ' ' || r == '(' || r == ')':
			return '_'
		}
		return -1
	}, s)
	if len(s) > maxName { // the end says the kind
		s = s[len(s)-maxName:]
	}
	s = strings.Trim(s, ".-")
	stem, _, _ := strings.Cut(strings.ToLower(s), ".")
	// learn.microsoft.com: Naming Files, Paths, and Namespaces.
	switch {
	case stem == "con" || stem == "prn" || stem == "aux" || stem == "nul",
		len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")):
		s = "_" + s
	}
	if s == "" {
		s = "file"
	}
	return s
}

// packs is the bundle that a person asked for.
type packs struct {
	mu     sync.Mutex
	asked  bool
	work   ui.Work
	pack   *ui.Pack
	packed *ui.Packed
	err    error
}

// begin prepares a bundle, in the place of the one before.
func (x *packs) begin(s *ui.Session, keepHosts bool) {
	x.mu.Lock()
	if x.asked && x.pack == nil && x.err == nil {
		x.mu.Unlock()
		return // it is being made
	}
	x.asked, x.work, x.pack, x.packed, x.err = true, ui.Work{}, nil, nil, nil
	x.mu.Unlock()
	s.Go(func(ctx context.Context) {
		pack, err := s.Doctor().Pack(ctx, keepHosts, func(w ui.Work) { x.set(s, func() { x.work = w }) })
		x.set(s, func() { x.pack, x.err = pack, err })
	})
}

func (x *packs) set(s *ui.Session, f func()) {
	x.mu.Lock()
	f()
	x.mu.Unlock()
	s.Touch()
}

// bundle writes the bundle into the browser's folder for what it saves.
func (p *Page) bundle(w http.ResponseWriter, r *http.Request) {
	p.packs.mu.Lock()
	pack := p.packs.pack
	p.packs.mu.Unlock()
	if pack == nil || r.Method != http.MethodGet {
		p.show(w, r, "missing")
		return
	}
	// It is made whole before the first byte goes: half a bundle looks like one.
	f, err := os.CreateTemp(p.temp, "bundle-")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(5 * time.Minute))
	packed, err := pack.Write(r.Context(), f, func(ui.Work) {})
	if err != nil {
		p.packs.set(p.Session, func() { p.packs.err = err })
		http.Redirect(w, r, p.base+"help", http.StatusSeeOther)
		return
	}
	p.packs.set(p.Session, func() { p.packs.packed = &packed })
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Length", strconv.FormatInt(packed.Bytes, 10))
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(pack.Name)}))
	_, _ = io.Copy(w, f)
}
