package facts

import (
	"slices"

	"updoc/internal/codes"
)

// Recogniser finds in loose text what [Collect] finds in a note: it makes the reports
// of causes comparable with machines.
type Recogniser struct{ match *matcher }

// NewRecogniser makes a recogniser, for one goroutine.
func NewRecogniser() *Recogniser { return &Recogniser{matcherOf(inNote)} }

// Signs returns the signatures recognised in text and the failing codes in it, each once.
func (r *Recogniser) Signs(text string) (marks []string, failing []codes.HRESULT) {
	for _, h := range r.match.match([]byte(text)) {
		if h.when == 0 && !slices.Contains(marks, h.id) {
			marks = append(marks, h.id)
		}
	}
	for _, m := range codes.Find(text) {
		if h := m.Code.HRESULT; h.Failed() && !h.Benign() && !slices.Contains(failing, h) {
			failing = append(failing, h)
		}
	}
	return marks, failing
}

// AllMarks returns the ids of all signatures that were recognised, sorted, without those
// that stand only where a note takes them back.
func (f *Facts) AllMarks() []string {
	var out []string
	for id, seen := range f.marks {
		if slices.ContainsFunc(seen, func(s Seen) bool { return !s.Dismissed }) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
