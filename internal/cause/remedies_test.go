package cause_test

import (
	"testing"

	"updoc/internal/cause"
	"updoc/internal/repair"
)

// Package repair knows causes, so this test stands outside of package cause.
func TestRemediesExist(t *testing.T) {
	for _, c := range cause.Catalogue() {
		for _, id := range c.Remedies {
			if _, ok := repair.Lookup(id); !ok {
				t.Errorf("%s: remedy %q is not in the catalogue of remedies", c.ID, id)
			}
		}
	}
}
