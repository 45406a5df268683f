package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"updoc/internal/message"
	"updoc/internal/sorted"
)

// The pictures of a page are worked out here as plain values, in percent of the
// width, so that they fit any screen without a script.

// A mark is the state of a stage of an update.
type mark string

const (
	markDone   mark = "done"
	markBroken mark = "broken"
	markLater  mark = "later"
	markOpen   mark = "open"
)

// stageMark is one stage of the line of stages.
type stageMark struct {
	ID   string
	Name string
	Says string // the state in words: colour is never the only sign
	Mark mark
	At   string // centre, "10%"
	Next string // centre of the following one, "" for the last
}

// lifeLine draws the life of an update as a row of stages. A stage is done only
// if something that was read says that it went well: to have come later is no
// proof of it, since repairs and packages installed by hand skip stages.
func lifeLine(doc *Document) []stageMark { return lifeLineIn(doc, message.English()) }

func lifeLineIn(doc *Document, words *message.Catalog) []stageMark {
	life := lifeOfAnUpdate
	broken := ""
	if doc.Verdict == "problems" {
		broken = brokenAt(doc)
	}
	if broken == "setup" {
		life = []string{"scan", "download", "setup", "restart"}
	}
	at := slices.Index(life, broken)
	out := make([]stageMark, len(life))
	for i, s := range life {
		m := markOpen
		switch {
		case i == at:
			m = markBroken
		case slices.ContainsFunc(doc.Successes, func(x Success) bool { return x.Stage == s }):
			m = markDone
		case at >= 0 && i > at:
			m = markLater
		}
		out[i] = stageMark{ID: s, Name: words.Text("stage." + s), Says: words.Text("page.stage-" + string(m)), Mark: m, At: centre(i, len(life))}
		if i+1 < len(life) {
			out[i].Next = centre(i+1, len(life))
		}
	}
	return out
}

func centre(i, n int) string { return share100((float64(i) + 0.5) / float64(n)) }

func share100(v float64) string { return fmt.Sprintf("%.2f%%", 100*v) }

// timeline is failures and successes over time.
type timeline struct {
	From, To time.Time
	Rows     []timeRow
	Ticks    []tick
	More     int // rows that had no room
	Height   int // of the picture, in pixels
	Foot     int // where the axis is
}

// timeRow is a failure from its first to its last time, or a success.
type timeRow struct {
	Label    string
	Tip      string
	Good     bool
	From, To time.Time
	Start    string // "12.50%"
	End      string
	Count    int
	Y, Track int // of the label and of its line, in pixels
}

type tick struct {
	At, Label string
	Anchor    string // start, middle, end
	Time      time.Time
}

const (
	maxRows   = 10
	rowHeight = 46
)

// newTimeline returns nil if fewer than two moments are known: one is not a story.
func newTimeline(doc *Document, words *message.Catalog) *timeline {
	var rows []timeRow
	for _, f := range doc.Failures {
		if f.First == nil || f.Last == nil || f.Last.Before(*f.First) {
			continue
		}
		rows = append(rows, timeRow{Label: strings.Join(nonEmpty(failureName(f, words), f.Update.KB), " · "), From: *f.First, To: *f.Last, Count: f.Count})
	}
	sorted.By(rows, func(a, b timeRow) int { return a.From.Compare(b.From) })
	for _, s := range doc.Successes {
		if !s.Time.IsZero() {
			label := words.Text("stage."+s.Stage) + ": " + words.Text("page.success")
			rows = append(rows, timeRow{Label: strings.Join(nonEmpty(label, s.KB), " · "), Good: true, From: s.Time, To: s.Time, Count: 1})
		}
	}
	t := &timeline{}
	if len(rows) > maxRows {
		t.More, rows = len(rows)-maxRows, rows[:maxRows]
	}
	t.Rows = rows
	for i, r := range rows {
		if i == 0 || r.From.Before(t.From) {
			t.From = r.From
		}
		if i == 0 || r.To.After(t.To) {
			t.To = r.To
		}
	}
	if len(rows) == 0 || !t.To.After(t.From) {
		return nil
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		r.Start, r.End = share100(t.place(r.From)), share100(t.place(r.To))
		r.Y, r.Track = i*rowHeight+14, i*rowHeight+29
		r.Tip = r.Label + ": " + stamp(r.From)
		if !r.To.Equal(r.From) {
			r.Tip += " – " + stamp(r.To)
		}
		if r.Count > 1 {
			r.Tip += ", " + words.Text("report.times", "n", r.Count)
		}
	}
	t.Foot = len(rows)*rowHeight + 4
	t.Height = t.Foot + 24
	t.Ticks = t.ticks()
	return t
}

// place is where a time stands, from 0 to 1.
func (t *timeline) place(x time.Time) float64 {
	return float64(x.Sub(t.From)) / float64(t.To.Sub(t.From))
}

// ticks labels both ends and, where there is room, the middle.
func (t *timeline) ticks() []tick {
	format := "2006-01-02"
	if t.To.Sub(t.From) < 72*time.Hour {
		format = "2006-01-02 15:04"
	}
	out := []tick{
		{"0%", t.From.Format(format), "start", t.From},
		{"100%", t.To.Format(format), "end", t.To},
	}
	if middle := t.From.Add(t.To.Sub(t.From) / 2); format == "2006-01-02" {
		out = append(out, tick{"50%", middle.Format(format), "middle", middle})
	}
	return out
}

// failureName is what a failure is called: its code, or its kind in words.
func failureName(f Failure, words *message.Catalog) string {
	switch {
	case f.Code != "" && f.Extend != "":
		return f.Code + " - " + f.Extend
	case f.Code != "":
		return f.Code
	}
	return words.Text("kind." + f.Kind)
}

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}
