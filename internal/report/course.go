package report

import (
	"fmt"
	"strconv"
	"strings"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/repair"
)

// few is how many changes of one kind are said one by one; of more it is said what the
// first does and how many there are.
const few = 3

// CourseText is what a course may do, in words: at most that.
type CourseText struct {
	May   []string // changes and fetches
	Needs string   // acts, restarts, minutes
	Back  string   // that everything is put back; "" if it is not
}

// NewCourseText says what the course of a treatment may do; false if it has none.
func NewCourseText(t repair.Treatment, stage string) (CourseText, bool) {
	if t.Course == nil {
		return CourseText{}, false
	}
	pr, err := t.Course.Procedure()
	if err != nil { // a plan that was checked has none
		return CourseText{}, false
	}
	words, b := message.English(), pr.Bounds()
	out := CourseText{Needs: needs(b, stage)}
	for _, group := range kinds(b.Changes) {
		said := group
		if len(group) > few {
			said = group[:1]
		}
		for i, c := range said {
			text := ChangeText(c)
			if i == 0 && len(said) < len(group) {
				text = words.Text("course.many", "change", text, "n", len(group)-1)
			}
			switch {
			case c.Looks():
				text += "; " + words.Text("course.looks")
			case c.Kind == host.Run && t.Risk == repair.RiskPermanent:
				text += "; " + words.Text("fix.no-undo")
			}
			out.May = append(out.May, Clean(text))
		}
	}
	for _, f := range b.Fetches {
		out.May = append(out.May, Clean(fetchText(f)))
	}
	if b.Passing {
		out.Back = words.Text("course.passing", "n", b.Lease)
	}
	return out, true
}

// course writes what a course may do.
func (p *printer) course(t repair.Treatment, stage string) {
	c, ok := NewCourseText(t, stage)
	if !ok {
		return
	}
	p.wrap("    ", p.words.Text("course.may"))
	for _, text := range c.May {
		p.wrap("    "+p.pick("· ", "- "), p.clean(text))
	}
	p.wrap("    ", p.faint(p.clean(c.Needs)))
	if c.Back != "" {
		p.wrap("    ", c.Back)
	}
}

// needs says in one line what a course takes.
func needs(b procedure.Bounds, stage string) string {
	words := message.English()
	out := []string{words.Text("course.needs.acts", "n", b.Acts)}
	switch {
	case b.Restarts == 1:
		out = append(out, words.Text("course.needs.restart"))
	case b.Restarts > 1:
		out = append(out, words.Text("course.needs.restarts", "n", b.Restarts))
	}
	if b.Minutes > 0 {
		out = append(out, words.Text("course.needs.minutes", "n", b.Minutes))
	}
	if b.Tries && stage != "" {
		out = append(out, words.Text("course.needs.tries", "stage", stage))
	}
	return strings.Join(out, ", ")
}

func fetchText(f procedure.Fetch) string {
	if f.Size <= 0 {
		return WithoutPasswords(message.English().Text("course.fetch", "url", f.URL, "to", f.To))
	}
	return WithoutPasswords(message.English().Text("course.fetch-sized", "url", f.URL, "to", f.To, "size", megabytes(f.Size)))
}

// megabytes is a size as people say it.
func megabytes(n int64) string {
	switch {
	case n < 1<<20:
		return strconv.FormatInt((n+1023)>>10, 10) + " KB"
	case n < 10<<30:
		return strconv.FormatInt((n+1<<19)>>20, 10) + " MB"
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}

// kinds groups changes that are alike, in the order in which each kind comes first.
func kinds(changes []host.Change) [][]host.Change {
	var out [][]host.Change
	at := map[string]int{}
	for _, c := range changes {
		kind := string(c.Kind)
		switch c.Kind {
		case host.Run: // two tools are not alike
			kind += " " + c.Path + " " + strings.Join(c.Args, " ")
		case host.Switch:
			group, _, _ := strings.Cut(c.Path, "/")
			kind += " " + group + " " + c.State
		case host.ServiceStart:
			if c.Start != nil {
				kind += " " + startText(*c.Start)
			}
		}
		i, ok := at[kind]
		if !ok {
			i = len(out)
			at[kind], out = i, append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

// PlanCourse is what a course may do, of a plan as JSON.
type PlanCourse struct {
	Name     string        `json:"name"`
	Changes  []ShownChange `json:"changes"`
	Fetches  []PlanFetch   `json:"fetches"`
	Acts     int           `json:"acts"`     // at most
	Restarts int           `json:"restarts"` // at most
	Minutes  int           `json:"minutes"`  // as a rule
	Tries    bool          `json:"tries"`    // it repeats the stage that failed
	Passing  bool          `json:"passing"`  // everything is put back at the end
	Lease    int           `json:"lease,omitempty"`
}

// PlanFetch is a file that a course may fetch.
type PlanFetch struct {
	URL    string `json:"url"`
	To     string `json:"to"`
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"digest"` // "sha256:..." or "sha1:..."
}

func newPlanCourse(c *repair.Course) *PlanCourse {
	if c == nil {
		return nil
	}
	pr, err := c.Procedure()
	if err != nil {
		return nil
	}
	b := pr.Bounds()
	out := &PlanCourse{
		Name: c.Name, Changes: []ShownChange{}, Fetches: []PlanFetch{}, Acts: b.Acts, Restarts: b.Restarts, Minutes: b.Minutes,
		Tries: b.Tries, Passing: b.Passing, Lease: b.Lease,
	}
	for _, x := range b.Changes {
		out.Changes = append(out.Changes, Shown(x))
	}
	for _, f := range b.Fetches {
		digest := "sha256:" + f.SHA256
		if f.SHA256 == "" {
			digest = "sha1:" + f.SHA1
		}
		out.Fetches = append(out.Fetches, PlanFetch{WithoutPasswords(f.URL), f.To, f.Size, strings.ToLower(digest)})
	}
	return out
}

// ShownStory is what a course tells of itself, in words.
type ShownStory struct {
	Treatment string   `json:"treatment"`
	Title     string   `json:"title"`
	Text      []string `json:"text"`
}

// NewStory puts into words what the courses of a run tell.
func NewStory(told []repair.Told) []ShownStory {
	out := []ShownStory{}
	for _, x := range told {
		s := ShownStory{Treatment: x.Treatment, Title: RemedyTitle(x.Treatment), Text: []string{}}
		for _, l := range x.Lines {
			s.Text = append(s.Text, Clean(Sentence(l)))
		}
		out = append(out, s)
	}
	return out
}

// StoryText says what the courses of a run found and did, a line each; "" if there was
// none.
func StoryText(told []repair.Told) string {
	var b strings.Builder
	for _, s := range NewStory(told) {
		fmt.Fprintf(&b, "%s\n", s.Title)
		for _, line := range s.Text {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ShownSummary is a run of a history, with what its courses tell.
type ShownSummary struct {
	repair.Summary
	Story []ShownStory `json:"story,omitempty"`
}

// StandingText says what of a run stands, for a list of runs.
func StandingText(s repair.Summary) string {
	words := message.English()
	switch {
	case len(s.Off) > 0:
		var names []string
		for _, o := range s.Off {
			names = append(names, offName(o))
		}
		return words.Text("history.off", "names", Clean(strings.Join(names, ", ")))
	case s.Standing == 0:
		return words.Text("history.none")
	case s.Undoable == 0:
		return words.Text("history.lasting", "n", s.Standing)
	case s.Lasting() == 0:
		return words.Text("history.undoable", "n", s.Standing)
	}
	return words.Text("history.some", "n", s.Standing, "undoable", s.Undoable)
}
