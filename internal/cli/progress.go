package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/term"

	"updoc/internal/host"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// bar shows progress on a terminal's standard error once work takes longer than
// a second, and takes itself away when it is done.
type bar struct {
	mu    sync.Mutex
	w     *os.File      // nil: not a terminal, nothing is shown
	plain io.Writer     // beside what is no terminal: what must be said all the same; nil: nobody reads it
	to    func(ui.Work) // nil: nobody else watches
	start time.Time
	shown bool
	last  time.Time
	still time.Duration // of a stall, when it was said last
}

func (env *Env) progress() *bar {
	b := &bar{start: time.Now()}
	if f, ok := env.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.w = f
	} else {
		b.plain = env.Stderr
	}
	return b
}

// update tells how many bytes of evidence were read.
func (b *bar) update(done, total int64) {
	b.tell("ui.work.read", done, total)
	if total > 0 {
		b.show("reading: %3d %% of %d MB", done*100/total, total>>20)
	}
}

// step tells how many pieces of work are done.
func (b *bar) step(what string, done, total int) {
	id, ok := map[string]string{"walking": "ui.work.walk", "asking Windows": "ui.work.ask"}[what]
	if !ok {
		id = what
	}
	b.tell(id, int64(done), int64(total))
	b.show("%s: %d of %d", what, done, total)
}

// tell tells whoever else watches.
func (b *bar) tell(what string, done, total int64) {
	if b.to != nil {
		b.to(ui.Work{What: what, Done: done, Total: total})
	}
}

// long tells how far a tool of Windows has come, and how long it will take.
func (b *bar) long(p host.Work) {
	if b.to != nil {
		w := ui.Work{What: p.What, Left: p.Left(), Stage: p.Stage, Still: p.Still}
		if p.Percent >= 0 {
			w.Done, w.Total = int64(p.Percent*10), 1000
		}
		b.to(w)
	}
	text := p.What
	if p.Percent >= 0 {
		text += fmt.Sprintf(": %.0f %%", p.Percent)
	}
	switch left := p.Left(); {
	case left >= 90*time.Second:
		text += fmt.Sprintf(", about %d minutes left", int(left.Minutes()+0.5))
	case left > 0:
		text += ", about a minute left"
	default:
		text += ", for " + p.Elapsed.Round(time.Second).String()
	}
	if p.Stage != "" {
		text += "; " + words("store.stage."+p.Stage)
	}
	b.stalled(p)
	if p.Still > 0 {
		text += "; " + words("store.stage.still", "minutes", strconv.Itoa(int(p.Still.Minutes())))
	}
	b.show("%s", report.Clean(text))
}

// saidEvery is how often it is said, where nobody watches a bar, that nothing moves.
const saidEvery = 30 * time.Minute

// stalled says on a line of its own, where there is no terminal, that a tool stands still.
func (b *bar) stalled(p host.Work) {
	if b.plain == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.Still == 0:
		b.still = 0
	case b.still == 0 || p.Still >= b.still+saidEvery:
		b.still = p.Still
		fmt.Fprintf(b.plain, "updoc: %s: %s\n", report.Clean(p.What), words("store.stage.still", "minutes", strconv.Itoa(int(p.Still.Minutes()))))
	}
}

func (b *bar) show(format string, args ...any) {
	if b.w == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.start) < time.Second || now.Sub(b.last) < 100*time.Millisecond {
		return
	}
	b.shown, b.last = true, now
	fmt.Fprintf(b.w, "\r\x1b[K"+format, args...)
}

func (b *bar) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
