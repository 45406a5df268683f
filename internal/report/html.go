package report

import (
	"html/template"
	"io"
)

var htmlPage = template.Must(template.New("page").Parse("<!doctype html>\n{{range .}}<p>{{.Summary}}</p>\n{{end}}"))

// WriteHTML writes machines as one self-contained page.
func WriteHTML(w io.Writer, list []Named) error { return htmlPage.Execute(w, list) }
