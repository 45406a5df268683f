package repair

import (
	"context"

	"updoc/internal/host"
)

// Rehearsed is how one step of a plan went on an overlay.
type Rehearsed struct {
	Treatment string        `json:"treatment"`
	Change    host.Change   `json:"change"`
	So        bool          `json:"so,omitempty"`   // it is so already
	Undo      []host.Change `json:"undo,omitempty"` // what would take it back
	Err       string        `json:"error,omitempty"`
}

// Rehearse makes every change of a plan on an overlay, each treatment from the
// state that the one before left, and tells what each would do and what would
// take it back. Nothing is journaled, since nothing is changed. What a course would
// change follows from what comes of its acts: of each change that it may make, it is
// told how it is now and what would take it back.
func Rehearse(ctx context.Context, h *host.Overlay, p *Plan) []Rehearsed {
	var out []Rehearsed
	for _, t := range p.Treatments {
		for _, s := range t.Steps {
			r := Rehearsed{Treatment: t.ID, Change: s.Change, Undo: s.Undo}
			err := s.Change.Check()
			if err == nil {
				r.So, err = host.Holds(ctx, h, s.Change)
			}
			if err == nil && !r.So {
				if len(r.Undo) == 0 {
					r.Undo, err = h.Inverse(ctx, s.Change)
				}
				if err == nil {
					err = h.Apply(ctx, s.Change)
				}
			}
			if err != nil {
				r.Err = err.Error()
			}
			out = append(out, r)
		}
		if t.Course == nil {
			continue
		}
		for _, c := range t.Changes() {
			if c.Kind == host.Write && c.Data == nil { // what a fetch leaves
				continue
			}
			r := Rehearsed{Treatment: t.ID, Change: c}
			err := c.Check()
			if err == nil {
				r.So, err = host.Holds(ctx, h, c)
			}
			if err == nil && !r.So {
				r.Undo, err = h.Inverse(ctx, c)
			}
			if err != nil {
				r.Err = err.Error()
			}
			out = append(out, r)
		}
	}
	return out
}
