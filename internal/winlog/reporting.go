package winlog

import (
	"bytes"
	"context"
	"io"
	"time"

	"updoc/internal/codes"
)

// ReportingEvents.log holds one event a line, in columns separated by tabs
// (checked on lines that public repositories and tickets quote):
//
//	 1  {event instance}          7  revision
//	 2  YYYY-MM-DD HH:MM:SS:mmm+ZZZZ  8  result, hex without 0x
//	 3  namespace, 1              9  caller
//	 4  number [NAME]            10  Success, Failure, ...
//	 5  source                   11  kind: Software Synchronization, Content Install, ...
//	 6  {update}, zero for scans 12  message
//	                             13  correlation vector (Windows 10 and later)
//
// Windows XP and 7 write the number without its name. In copies the tabs have
// become blanks, where caller, kind and message can be told apart only by the
// words between them, and lines are wrapped: a line that does not begin with
// an instance belongs to the event before it.
//
// Fields: event (the name), update, revision, caller, status, kind, cv.
// The time keeps the wall clock and the zone that the log names.

// maxWrapped bounds the lines over which one wrapped event is gathered.
const maxWrapped = 12

// scanReporting gathers wrapped events and delivers each as one record.
func scanReporting(ctx context.Context, src io.Reader, fn func(*Record) error) (Stats, error) {
	var (
		st      Stats
		rec     Record
		pending []byte // the event so far
		first   int    // the line on which it began
		wrapped int
		caller  []byte // of the last event, for the lines that continue it
	)
	emit := func(line []byte, number int, continued bool) error {
		rec.Line, rec.Code, rec.ID, rec.Fields = number, 0, 0, rec.Fields[:0]
		rec.Continued, rec.Loose = false, false
		switch {
		case continued:
			rec.Continued, rec.Text, rec.Code = true, line, failingCode(line)
		case parseReporting(line, &rec):
			st.Records++
		default:
			rec = Record{Line: number, Text: line, Loose: true}
			st.Unread++
		}
		err := fn(&rec)
		if !continued {
			caller = append(caller[:0], rec.Component...)
			rec.Component = caller
		}
		return err
	}
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		err := emit(pending, first, false)
		pending, wrapped = pending[:0], 0
		return err
	}
	after := false // the line before was a complete event or its continuation
	n, err := eachLine(ctx, src, func(line []byte, cut bool) error {
		st.Lines++
		if cut {
			st.Cut++
		}
		b := bytes.TrimSpace(line)
		switch {
		case len(b) == 0:
			after = false
			return flush()
		case beginsReport(b):
			if err := flush(); err != nil {
				return err
			}
			if after = completeReport(b); after {
				return emit(b, st.Lines, false)
			}
			pending, first = append(pending[:0], b...), st.Lines
			return nil
		case len(pending) > 0 && !looksDated(b) && wrapped < maxWrapped && len(pending)+len(b) < MaxLine:
			if pending[len(pending)-1] != '\t' {
				pending = append(pending, reportGlue(pending))
			}
			pending = append(pending, b...)
			wrapped++
			return nil
		}
		if err := flush(); err != nil {
			return err
		}
		after = after && !looksDated(b)
		return emit(line, st.Lines, after)
	})
	if err == nil {
		err = flush()
	}
	st.Bytes, st.Lost = n.bytes, n.lost
	return st, err
}

// beginsReport reports whether b begins with an instance and a date.
func beginsReport(b []byte) bool {
	_, rest, ok := braced(b)
	if !ok {
		return false
	}
	_, _, ok = dateTime(skipSpace(rest))
	return ok
}

// completeReport reports whether all columns stand on the line, separated by tabs.
func completeReport(b []byte) bool { return bytes.Count(b, []byte{'\t'}) >= 11 }

// reportGlue is what separates a wrapped event's parts: a tab where the event
// still has its tabs.
func reportGlue(pending []byte) byte {
	if bytes.IndexByte(pending, '\t') >= 0 {
		return '\t'
	}
	return ' '
}

// parseReporting reads one event; a wrapped one after it was gathered.
func parseReporting(line []byte, rec *Record) bool {
	b := skipSpace(line)
	_, b, ok := braced(b)
	if !ok {
		return false
	}
	t, b, ok := dateTime(skipSpace(b))
	if !ok {
		return false
	}
	ns, b := fraction(b)
	if offset, rest, ok := zoneOffset(b); ok {
		// The offset is east of UTC; the wall clock stays as it was written.
		t = t.Add(-time.Duration(offset) * time.Second).In(time.FixedZone("", offset))
		b = rest
	}
	_, n, ok := number(skipSpace(b)) // namespace
	if !ok {
		return false
	}
	b = skipSpace(skipSpace(b)[n:])
	id, n, ok := number(b)
	if !ok {
		return false
	}
	if b = skipSpace(b[n:]); len(b) == 0 {
		return false
	}
	*rec = Record{Line: rec.Line, Fields: rec.Fields[:0]}
	rec.Time, rec.ID = t.Add(time.Duration(ns)), id
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return false
		}
		rec.Fields = append(rec.Fields, Field{"event", string(b[1:end])})
		b = skipSpace(b[end+1:])
	}
	_, n, ok = number(b) // source
	if !ok {
		return false
	}
	b = skipSpace(b[n:])
	update, b, ok := braced(b)
	if !ok {
		rec.Text = b
		return true // torn after the event's name: still an event
	}
	rec.Fields = append(rec.Fields, Field{"update", string(update)})
	b = skipSpace(b)
	if _, n, ok := number(b); ok {
		rec.Fields = append(rec.Fields, Field{"revision", string(b[:n])})
		b = b[n:]
	}
	result, rest := word(skipSpace(b))
	v, n := hex(result)
	if n == 0 || n != len(result) || n > 8 {
		rec.Text = skipSpace(b)
		return true
	}
	if codes.HRESULT(v).Failed() {
		rec.Code = codes.HRESULT(v)
	}
	reportTail(rest, rec)
	return true
}

// reportTail reads caller, status, kind, message and correlation vector.
func reportTail(b []byte, rec *Record) {
	var caller, status, kind, cv []byte
	if bytes.Count(b, []byte{'\t'}) >= 4 {
		col := b[1:] // the tab after the result
		for _, to := range []*[]byte{&caller, &status, &kind, &rec.Text, &cv} {
			before, rest, _ := bytes.Cut(col, []byte{'\t'})
			*to, col = bytes.TrimSpace(before), rest
		}
	} else {
		caller, status, kind, rec.Text = splitReport(skipSpace(b))
	}
	rec.Component = caller
	rec.Level = LevelInfo
	if bytes.Equal(status, []byte("Failure")) || rec.Code != 0 && !bytes.Equal(status, []byte("Success")) {
		rec.Level = LevelError
	}
	for _, f := range [...]struct {
		name  string
		value []byte
	}{{"caller", caller}, {"status", status}, {"kind", kind}, {"cv", cv}} {
		if len(f.value) > 0 {
			rec.Fields = append(rec.Fields, Field{f.name, string(f.value)})
		}
	}
}

// The words of columns 10 and 11. Windows does not translate them.
var (
	reportStatus = [][]byte{[]byte("Success"), []byte("Failure"), []byte("Started"), []byte("Warning"), []byte("Cancelled"), []byte("Unknown")}
	reportKinds  = [][]byte{
		[]byte("Software Synchronization"), []byte("Content Download"), []byte("Content Install"), []byte("Content Uninstall"),
		[]byte("Pre-Deployment Check"), []byte("Agent Self-Update"), []byte("Self-Update"), []byte("Reporting"), []byte("Reboot"),
	}
)

// splitReport tells the last columns apart where tabs became blanks: the status
// is the first of its words that a known kind follows, else the first at all.
func splitReport(b []byte) (caller, status, kind, text []byte) {
	first := -1
	for i := range b {
		if i > 0 && !isSpace(b[i-1]) {
			continue
		}
		w, rest := word(b[i:])
		if !isReportStatus(w) {
			continue
		}
		if k := reportKind(skipSpace(rest)); k != nil {
			return bytes.TrimSpace(b[:i]), w, k, skipSpace(skipSpace(rest)[len(k):])
		}
		if first < 0 {
			first = i
		}
	}
	if first < 0 {
		return nil, nil, nil, b
	}
	w, rest := word(b[first:])
	return bytes.TrimSpace(b[:first]), w, nil, skipSpace(rest)
}

func isReportStatus(w []byte) bool {
	for _, s := range reportStatus {
		if bytes.Equal(w, s) {
			return true
		}
	}
	return false
}

func reportKind(b []byte) []byte {
	for _, k := range reportKinds {
		if bytes.HasPrefix(b, k) {
			return b[:len(k)]
		}
	}
	return nil
}

// braced reads "{guid}" at the start of b. Only its shape is looked at:
// redacted copies hold letters that are no hex digits.
func braced(b []byte) (guid, rest []byte, ok bool) {
	if len(b) < 38 || b[0] != '{' || b[37] != '}' || b[9] != '-' || b[14] != '-' || b[19] != '-' || b[24] != '-' {
		return nil, b, false
	}
	return b[:38], b[38:], true
}

// zoneOffset reads "+HHMM" or "-HHMM" as seconds east of UTC.
func zoneOffset(b []byte) (seconds int, rest []byte, ok bool) {
	if len(b) < 5 || b[0] != '+' && b[0] != '-' {
		return 0, b, false
	}
	h, ok1 := digits(b[1:], 2)
	m, ok2 := digits(b[3:], 2)
	if !ok1 || !ok2 || h > 15 || m > 59 {
		return 0, b, false
	}
	seconds = h*3600 + m*60
	if b[0] == '-' {
		seconds = -seconds
	}
	return seconds, b[5:], true
}
