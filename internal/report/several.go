package report

import (
	"fmt"
	"io"
	"unicode/utf8"

	"updoc/internal/message"
)

// Named is one machine of several: its document, or why there is none.
type Named struct {
	Name     string
	Document *Document
	Err      error
}

// Summary is the one line about a machine.
func (n Named) Summary() string {
	if n.Err != nil {
		return "could not be read: " + n.Err.Error()
	}
	d := n.Document
	switch {
	case len(d.Causes) > 0:
		code := ""
		for _, f := range d.Failures {
			if f.Code != "" && !f.Resolved {
				code = f.Code + "  "
				break
			}
		}
		return fmt.Sprintf("%s%s  %s", code, percent(d.Causes[0].Probability), d.Causes[0].ID)
	default:
		return d.Verdict
	}
}

// WriteText writes several machines: a line each, then the details.
func WriteText(w io.Writer, list []Named, style Style) error {
	list = labelled(list)
	if len(list) == 1 && list[0].Document != nil {
		return Text(w, list[0].Document, style)
	}
	p := &printer{style: style, words: message.English()}
	if p.style.Width == 0 {
		p.style.Width = 80
	}
	width := 0
	for _, n := range list {
		width = max(width, utf8.RuneCountInString(p.fitted(n.Name, p.style.Width/2)))
	}
	for _, n := range list {
		name, says := p.fitted(n.Name, width), p.fitted(n.Summary(), p.style.Width-width-2)
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, name, says); err != nil {
			return err
		}
	}
	for _, n := range list {
		if n.Document == nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n== %s\n", p.fitted(n.Name, p.style.Width-3)); err != nil {
			return err
		}
		if err := Text(w, n.Document, style); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes one document as itself and several as one array, so that a
// program reads one JSON value either way.
func WriteJSON(w io.Writer, list []Named) error {
	list = labelled(list)
	w = &printable{w: w}
	if len(list) == 1 && list[0].Document != nil {
		return encode(w, list[0].Document)
	}
	type named struct {
		From string `json:"from"`
		*Document
		Error string `json:"error,omitempty"`
	}
	out := make([]named, 0, len(list))
	for _, n := range list {
		v := named{From: n.Name, Document: n.Document}
		if n.Err != nil {
			v.Error = n.Err.Error()
		}
		out = append(out, v)
	}
	return encode(w, out)
}

// Clean makes text from a machine safe for a terminal.
func Clean(s string) string {
	return (&printer{words: message.English()}).clean(s)
}
