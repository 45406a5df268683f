package web

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"updoc/internal/host"
	"updoc/internal/report"
	"updoc/internal/sorted"
	"updoc/internal/ui"
)

// helpData is the view of the bundle for somebody who helps.
type helpData struct {
	Root, CSRF, Error string
	Screen            string // begin, packing, ready
	Promille          int
	WorkText          string
	Name, Size        string
	FileCount         int
	Keys, Services    int
	Answers           int
	Files             []helpFile
	Unread            []host.Unread
	Packed            *ui.Packed
	PackedSize        string
}

type helpFile struct{ Path, Size string }

func (d *draws) help() helpData {
	h := helpData{Root: d.page.base, CSRF: d.page.csrf, Screen: "begin"}
	x := &d.page.packs
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.err != nil:
		h.Error = d.trouble(x.err)
		if x.pack == nil {
			return h
		}
	case x.asked && x.pack == nil:
		h.Screen, h.Promille, h.WorkText = "packing", promille(x.work), d.work(x.work)
		return h
	case x.pack == nil:
		return h
	}
	h.Screen = "ready"
	p := x.pack.Preview
	h.Name, h.FileCount, h.Keys, h.Services, h.Answers, h.Size = x.pack.Name, len(p.Files), p.Keys, p.Services, len(p.Answers), d.bytes(p.Bytes)
	files := slices.Clone(p.Files)
	sorted.By(files, func(a, b host.PreviewFile) int { return int(min(max(b.Take-a.Take, -1), 1)) })
	const most = 300
	for _, f := range files[:min(len(files), most)] {
		h.Files = append(h.Files, helpFile{f.Path, d.bytes(f.Take)})
	}
	h.Unread = p.Unread[:min(len(p.Unread), most)]
	if h.Packed = x.packed; h.Packed != nil {
		h.PackedSize = d.bytes(h.Packed.Bytes)
	}
	return h
}

// bytes is a size as people say it.
func (d *draws) bytes(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1<<10:
		return d.say("ui.bytes", "n", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KB", (n+1<<9)>>10)
	case n < 100<<20:
		s := fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
		if d.words.Lang == "de" {
			s = strings.Replace(s, ".", ",", 1)
		}
		return s
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// otherData is the view for evidence of another machine.
type otherData struct {
	Root, CSRF, Error string
	Files             []fileItem
}

type fileItem struct {
	ID               int
	Name, Size, Text string
	Err              string
	Ready, Done      bool
	Promille         int
}

func (d *draws) other() ([]part, error) {
	o := otherData{Root: d.page.base, CSRF: d.page.csrf}
	if d.query.Has("failed") {
		key := "ui.other.failed"
		switch d.query.Get("failed") {
		case "413":
			key = "ui.other.too-large"
		case "409":
			key = "ui.other.too-many"
		}
		o.Error = d.say(key)
	}
	for _, f := range slices.Backward(d.st.Files) {
		x := fileItem{ID: f.ID, Name: f.Name, Size: d.bytes(f.Bytes), Ready: f.Patient != nil, Done: f.Patient != nil || f.Err != nil, Promille: promille(f.Work)}
		if f.Err != nil {
			x.Err = d.unreadable(f.Err)
		}
		if f.Patient != nil {
			x.Text = report.Draw(f.Patient.Doc, d.words).Verdict.Headline
		}
		o.Files = append(o.Files, x)
	}
	drop, err := d.render("other", o)
	if err != nil {
		return nil, err
	}
	list, err := d.render("other-files", o)
	return []part{{ID: "drop", HTML: drop}, {ID: "files", HTML: list}}, err
}

// unreadable says why evidence cannot be read, without the folder that it lay in here.
func (d *draws) unreadable(err error) string {
	var pe *fs.PathError
	switch {
	case errors.Is(err, host.ErrNothingReadable):
		return d.say("ui.other.nothing")
	case errors.As(err, &pe):
		return d.say("ui.other.unreadable")
	}
	return d.say("ui.other.unreadable")
}

// explainData is the view of a code.
type explainData struct {
	Root, Lang, Asked, Error string
	Codes                    []report.Explanation
}

// maxAsked bounds what is typed or pasted to be explained.
const maxAsked = 2000

func (d *draws) explain() ([]part, error) {
	x := explainData{Root: d.page.base, Lang: d.words.Lang, Asked: d.query.Get("code")}
	if len(x.Asked) > maxAsked {
		x.Asked = strings.ToValidUTF8(x.Asked[:maxAsked], "")
	}
	x.Asked = report.Clean(strings.ToValidUTF8(x.Asked, ""))
	if strings.TrimSpace(x.Asked) != "" {
		e, err := d.page.Session.Doctor().Explain(x.Asked)
		if err != nil {
			x.Error = d.say("ui.explain.none")
		} else {
			x.Codes = e.Codes
		}
	}
	if d.query == nil { // the stream has no question to answer, and nothing here changes
		return nil, nil
	}
	return d.one("explain", x)
}
