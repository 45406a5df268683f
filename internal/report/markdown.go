package report

import (
	"fmt"
	"io"
)

// WriteMarkdown writes several machines for a ticket: a table first, then each.
func WriteMarkdown(w io.Writer, list []Named) error {
	for _, n := range list {
		if _, err := fmt.Fprintf(w, "- %s: %s\n", mdLiteral(Clean(n.Name)), mdLiteral(Clean(n.Summary()))); err != nil {
			return err
		}
	}
	return nil
}
