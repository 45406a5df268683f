package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// bar shows progress on a terminal's standard error once work takes longer than
// a second, and takes itself away when it is done.
type bar struct {
	mu    sync.Mutex
	w     *os.File // nil: not a terminal, nothing is shown
	start time.Time
	shown bool
	last  time.Time
}

func (env *Env) progress() *bar {
	b := &bar{start: time.Now()}
	if f, ok := env.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.w = f
	}
	return b
}

func (b *bar) update(done, total int64) {
	if b.w == nil || total <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.start) < time.Second || now.Sub(b.last) < 100*time.Millisecond {
		return
	}
	b.shown, b.last = true, now
	fmt.Fprintf(b.w, "\rreading: %3d %% of %d MB", done*100/total, total>>20)
}

func (b *bar) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
