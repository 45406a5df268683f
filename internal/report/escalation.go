package report

import (
	"regexp"
	"slices"

	"updoc/internal/facts"
)

// correlationVector matches "cV = base.1.2" as the update agent logs it.
// learn.microsoft.com: "Correlation Vector" (MS-CV).
var correlationVector = regexp.MustCompile(`cV\s*[:=]\s*([A-Za-z0-9+/]{16,22}(?:\.\d{1,10}){1,12})`)

// escalation gathers what the next engineer asks first; nil if there is nothing.
func escalation(f *facts.Facts) *Escalation {
	s := f.Servicing
	e := &Escalation{
		Build: f.Machine.Build, Stack: s.StackVersion, Session: s.Session, Client: s.Client,
		Package: s.Package, Component: s.Component, Installer: s.Installer, KB: s.KB,
	}
	for _, h := range s.Chain {
		e.Chain = append(e.Chain, h.String())
	}
	for _, q := range s.Seen {
		e.Lines = append(e.Lines, Seen{q.Source, q.Text})
	}
	quoted := slices.Clone(s.Seen)
	for _, x := range f.Failures {
		quoted = append(quoted, x.Seen...)
	}
	for _, q := range quoted {
		if m := correlationVector.FindStringSubmatch(q.Text); m != nil && !slices.Contains(e.Vectors, m[1]) && len(e.Vectors) < 5 {
			e.Vectors = append(e.Vectors, m[1])
		}
	}
	if len(quoted) == 0 && e.Stack == "" {
		return nil
	}
	return e
}
