package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"updoc/internal/repair"
	"updoc/internal/ui"
)

// shut is a machine whose runs an administrator alone may read.
type shut struct {
	*sick
	open chan struct{}
}

func (s *shut) Runs(context.Context) ([]repair.Summary, error) { return nil, ui.ErrNotAllowed }
func (s *shut) Run(_ context.Context, run string) (*ui.Run, error) {
	select {
	case <-s.open:
		plan := &repair.Plan{Schema: repair.Schema, Run: run}
		return &ui.Run{Summary: repair.Summary{Run: run, Result: repair.Cured}, Plan: plan}, nil
	default:
		return nil, ui.ErrNotAllowed
	}
}

func (s *shut) Admit(context.Context) error {
	close(s.open)
	return nil
}

// TestComeBack: a page that comes back after a restart opens at its run; where that is
// for an administrator to read, it says so, offers nothing else, and shows it once the
// person agreed.
func TestComeBack(t *testing.T) {
	d := &shut{sick: &sick{doc: problems("x"), fixed: make(chan ui.Order, 1)}, open: make(chan struct{})}
	p, c := serveAs(t, Server{At: "plan?begun"}, d, ui.Options{Run: "20310203-040506-4f2a"})
	for st, changed := p.Session.State(); st.Patient == nil; st, changed = p.Session.State() {
		<-changed
	}
	_, body, _ := c.request("GET", strings.TrimPrefix(p.URL, p.origin), nil, func(r *http.Request) { r.Header.Del("Cookie") })
	if !strings.Contains(body, "url="+p.base+"plan?begun") {
		t.Errorf("it opens elsewhere: %s", body)
	}
	for _, view := range []string{"", "plan"} {
		_, body, _ := c.request("GET", p.base+view, nil, nil)
		if !strings.Contains(body, "do/reveal") || strings.Contains(body, "do/fix") || strings.Contains(body, "do/goon") || strings.Contains(body, "do/undo") {
			t.Errorf("/%s: %s", view, body)
		}
	}
	if status, _, _ := c.request("POST", p.base+"do/reveal", url.Values{"csrf": {p.csrf}}, nil); status != 303 {
		t.Errorf("reveal: %d", status)
	}
	for st, changed := p.Session.State(); st.Hidden; st, changed = p.Session.State() {
		<-changed
	}
	if status, _, head := c.request("GET", p.base+"plan?begun", nil, nil); status != 303 || head.Get("Location") != p.base+"after" {
		t.Errorf("what came of it is at %d %s", status, head.Get("Location"))
	}
	if _, body, _ := c.request("GET", p.base+"after", nil, nil); !strings.Contains(body, "Cured") {
		t.Errorf("the run is not shown: %s", body)
	}
	if status, _, head := c.request("POST", p.base+"do/reveal", url.Values{"csrf": {p.csrf}}, nil); status != 303 || !strings.Contains(head.Get("Location"), "late") {
		t.Errorf("reveal again: %d %s", status, head.Get("Location"))
	}
}
