package host

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"updoc/internal/winlog"
)

// writeEvents renders an event log as XML, an event after the other, as
// wevtutil qe does; [winlog] reads both alike. Only what a diagnosis reads is
// rendered: warnings, errors, and what takes part in updating.
//
// Who wrote an event and on which computer is left out: a diagnosis has no need of
// it. What the binary form alone tells is added as data: the name of the service
// that an event of the Service Control Manager is about, and a result that only
// stands as a reference to a message.
func writeEvents(ctx context.Context, w io.Writer, src io.Reader, size int64) error {
	var b []byte
	_, err := winlog.Scan(ctx, winlog.EVTX, src, winlog.Options{Sparse: true, Size: size}, func(rec *winlog.Record) error {
		b = appendEvent(b[:0], rec)
		_, err := w.Write(b)
		return err
	})
	return err
}

const eventHead = `<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>`

func appendEvent(dst []byte, rec *winlog.Record) []byte {
	dst = append(dst, eventHead...)
	if len(rec.Component) > 0 || rec.ID != 0 {
		dst = append(appendXML(append(dst, `<Provider Name="`...), string(rec.Component)), `"/>`...)
		dst = fmt.Appendf(dst, "<EventID>%d</EventID>", rec.ID)
	}
	dst = appendElement(dst, "Version", rec.Field("_version"))
	level := ""
	switch rec.Level {
	case winlog.LevelError, winlog.LevelFatal:
		level = "2"
	case winlog.LevelWarning:
		level = "3"
	case winlog.LevelInfo:
		level = "4"
	}
	dst = appendElement(dst, "Level", level)
	if k := rec.Field("_keywords"); k != "0x0" {
		dst = appendElement(dst, "Keywords", k)
	}
	if !rec.Time.IsZero() {
		dst = append(rec.Time.UTC().AppendFormat(append(dst, `<TimeCreated SystemTime="`...), time.RFC3339Nano), `"/>`...)
	}
	dst = fmt.Appendf(dst, `<EventRecordID>%d</EventRecordID><Execution ProcessID="%d" ThreadID="%d"/>`, rec.Line, rec.PID, rec.TID)
	dst = appendElement(dst, "Channel", rec.Field("_channel"))
	dst = append(dst, "</System><EventData>"...)
	coded := rec.Code == 0
	for _, f := range rec.Fields {
		switch f.Name {
		case "_channel", "_version", "_keywords":
			continue
		}
		coded = coded || !strings.HasPrefix(f.Value, "%%") && tells(f.Value, uint32(rec.Code))
		dst = appendData(dst, f.Name, f.Value)
	}
	if !coded {
		dst = appendData(dst, "_result", fmt.Sprintf("0x%08X", uint32(rec.Code)))
	}
	if rec.Loose {
		dst = appendData(dst, "", string(rec.Text))
	}
	return append(dst, "</EventData></Event>\n"...)
}

// tells reports whether a value is a result, written in one of the ways in which
// events write them.
func tells(v string, code uint32) bool {
	for _, base := range []int{0, 10, 16} {
		if n, err := strconv.ParseInt(v, base, 64); err == nil && uint32(n) == code {
			return true
		}
	}
	return false
}

func appendElement(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	dst = append(append(append(dst, '<'), name...), '>')
	dst = appendXML(dst, text)
	return append(append(append(dst, "</"...), name...), '>')
}

func appendData(dst []byte, name, value string) []byte {
	dst = append(dst, "<Data"...)
	if name != "" {
		dst = append(appendXML(append(dst, ` Name="`...), name), '"')
	}
	dst = appendXML(append(dst, '>'), value)
	return append(dst, "</Data>"...)
}

// appendXML escapes a text. Characters that XML cannot hold become blanks; line
// ends stay, since redaction looks at lines.
func appendXML(dst []byte, s string) []byte {
	for i, r := range s {
		switch {
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
		case r == '\n' || r == '\t':
			dst = append(dst, byte(r))
		case r < ' ' || r == 0xFFFE || r == 0xFFFF:
			dst = append(dst, ' ')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
