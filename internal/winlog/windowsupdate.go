package winlog

import (
	"bytes"
	"time"
)

// WindowsUpdate.log exists in three layouts (checked on real samples of all):
//
//	legacy, Windows 8.1 and older: columns separated by tabs, local time
//	    YYYY-MM-DD»HH:MM:SS:mmm» pid»tid(hex)»Component»text
//	converted from ETL by Get-WindowsUpdateLog, Windows 10 and later
//	    YYYY/MM/DD HH:MM:SS.fffffff PPPPP TTTTT CCCCCCCCCCCCCCC text
//	converted by older tools
//	    [YYYY-MM-DD ]HH:MM:SS.fffff tt PID TID source_cppNNNN [Component] text
//
// Copies found in tickets have lost their tabs, their blanks or their header;
// what still can be told apart is read, the rest is delivered as loose text.
// learn.microsoft.com: "Windows Update log files", "Get-WindowsUpdateLog".
func parseWindowsUpdate(line []byte, rec *Record) bool {
	b := skipSpace(line)
	t, rest, ok := dateTime(b)
	if !ok {
		// Tickets quote lines of ReportingEvents.log among those of this log.
		return len(b) > 0 && b[0] == '{' && parseReporting(b, rec) || parseTraceWPP(b, rec)
	}
	decimal := len(rest) > 0 && rest[0] == '.' // the converted layouts write thread ids in decimal, the legacy one in hex
	ns, rest := fraction(rest)
	rec.Time = t.Add(time.Duration(ns))
	rec.Level, rec.Component = LevelNone, nil

	rest = skipSpace(rest)
	if tt, after := word(rest); len(tt) == 2 && tt[1]|0x20 == 'm' { // AM, PM of the older converter
		switch pm, h := tt[0]|0x20 == 'p', rec.Time.Hour(); {
		case pm && h < 12:
			rec.Time = rec.Time.Add(12 * time.Hour)
		case !pm && h == 12:
			rec.Time = rec.Time.Add(-12 * time.Hour)
		}
		rest = skipSpace(after)
	}
	pid, n, ok := number(rest)
	if !ok {
		return false
	}
	rec.PID = pid
	if n == len(rest) || !isSpace(rest[n]) {
		return parseGlued(rest, rec)
	}
	rest = skipSpace(rest[n:])

	tid, after := word(rest)
	v, n := hex(tid)
	if decimal {
		v, n, _ = number(tid)
	}
	if n == 0 || n != len(tid) {
		return false
	}
	rec.TID = v
	after = skipSpace(after)
	component, text := word(after)
	if len(component) == 0 {
		return false
	}
	if i := bytes.IndexByte(after, '['); bytes.Contains(component, []byte("_cpp")) && i > 0 {
		return parseBracketed(after[i:], rec)
	}
	rec.Component = component
	// The component column is padded to 15 and followed by one blank; further
	// blanks indent nested lines and are kept out of the text.
	rec.Text = skipSpace(text)
	gradeWindowsUpdate(rec)
	return true
}

// parseTraceWPP reads the older converter's layout where the date is missing or
// only placeholders stand in its place: two numbers, a source mark, [Component].
func parseTraceWPP(b []byte, rec *Record) bool {
	i := bytes.Index(b, []byte("_cpp"))
	if i < 0 || i > 120 {
		return false
	}
	j := bytes.IndexByte(b[i:], '[')
	if j < 0 || j > 24 {
		return false
	}
	fields := bytes.Fields(b[:i])
	if len(fields) < 3 {
		return false
	}
	pid, n, ok1 := number(fields[len(fields)-3])
	tid, m, ok2 := number(fields[len(fields)-2])
	if !ok1 || !ok2 || n != len(fields[len(fields)-3]) || m != len(fields[len(fields)-2]) {
		return false
	}
	*rec = Record{Line: rec.Line, PID: pid, TID: tid}
	return parseBracketed(b[i+j:], rec)
}

// parseBracketed reads "[Component] text".
func parseBracketed(b []byte, rec *Record) bool {
	end := bytes.IndexByte(b, ']')
	if end < 2 {
		return false
	}
	rec.Component = b[1:end]
	rec.Text = skipSpace(b[end+1:])
	gradeWindowsUpdate(rec)
	return true
}

// parseGlued reads a legacy line whose tabs were lost: "992810Service*****".
// Where the pid ends and the tid begins cannot be told, so both stay 0.
func parseGlued(b []byte, rec *Record) bool {
	i := 0
	for i < len(b) && (isSpace(b[i]) || hexDigit(b[i]) < 10 || (b[i] >= 'a' && b[i] <= 'f')) {
		i++
	}
	for _, name := range legacyComponents {
		if bytes.HasPrefix(b[i:], name) {
			rec.PID, rec.TID = 0, 0
			rec.Component = b[i : i+len(name)]
			rec.Text = skipSpace(b[i+len(name):])
			gradeWindowsUpdate(rec)
			return true
		}
	}
	return false
}

var legacyComponents = [][]byte{
	[]byte("Agent"), []byte("AU"), []byte("Report"), []byte("Service"), []byte("Misc"), []byte("DnldMgr"),
	[]byte("COMAPI"), []byte("PT"), []byte("Setup"), []byte("Handler"), []byte("SelfUpdate"), []byte("DtaStor"),
	[]byte("EEHndlr"), []byte("OfflSnc"), []byte("CltUI"), []byte("Shutdwn"), []byte("Inv"), []byte("CDM"), []byte("Driver"), []byte("EP"), []byte("IdleTmr"), []byte("WuTask"),
}

// gradeWindowsUpdate sets level and code: the format has no level column, its
// marks are words at the start of the text.
func gradeWindowsUpdate(rec *Record) {
	text := rec.Text
	switch {
	case bytes.HasPrefix(text, []byte("FATAL:")):
		rec.Level = LevelFatal
	case bytes.HasPrefix(text, []byte("*FAILED*")), bytes.HasPrefix(text, []byte("WS error:")), bytes.HasPrefix(text, []byte("Error:")):
		rec.Level = LevelError
	case bytes.HasPrefix(text, []byte("WARNING:")):
		rec.Level = LevelWarning
	}
	rec.Code = failingCode(text)
}

// isUndecoded reports a line that Windows could not convert because the format
// data of the trace was missing: "Unknown( 10): GUID=... (No Format Information found)."
// or an entry dated 1600/12/31. learn.microsoft.com: "Windows Update log files".
func isUndecoded(text []byte) bool {
	return bytes.HasPrefix(text, []byte("Unknown(")) || bytes.HasPrefix(text, []byte("1600/12/31")) ||
		bytes.HasSuffix(text, []byte("(No Format Information found)."))
}
