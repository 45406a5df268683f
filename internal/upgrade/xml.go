package upgrade

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"

	"updoc/internal/winlog"
)

// decoder reads a document of Windows, whose text is UTF-16 or UTF-8 whatever its head
// claims.
func decoder(doc []byte) *xml.Decoder {
	d := xml.NewDecoder(winlog.NewTextReader(bytes.NewReader(doc)))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	return d
}

func decodeXML(doc []byte, to any) error {
	if err := decoder(doc).Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
