package report

import (
	"encoding/json"
	"io"
)

// encode writes one JSON value, indented for people who look.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
