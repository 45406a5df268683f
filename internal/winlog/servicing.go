package winlog

import (
	"bytes"
	"time"
)

// CBS.log, CbsPersist_*.log, dism.log, setupact.log and setuperr.log share one
// header (checked on real samples of each):
//
//	YYYY-MM-DD HH:MM:SS, Level                 [0xNNNNNN] Component text
//
// Level is Info, Warning, Error, Fatal or Perf, padded to 22 columns; the message
// number in brackets and the component are optional in setup's logs; the
// component is padded to 7. Lines without this header belong to the record
// before them (CSI operations, CheckSUR reports). Time is local.
//
// Copies lose the date or replace it ("20xx-xx-06", "<DateTime>"); a line that
// still names a level and a component is read without a time. findstr and its
// likes put the file's name before each line ("C:\Windows\Logs\CBS\CBS.log:").
// learn.microsoft.com: "Windows setup log files and event logs".
func parseServicing(line []byte, rec *Record) bool {
	t, rest, ok := dateTime(line)
	if !ok {
		t, rest, ok = dateTime(afterFileName(line))
	}
	if ok && len(rest) > 1 && rest[0] == ',' {
		if level, after := servicingLevel(skipSpace(rest[1:])); level != LevelNone {
			rec.Time, rec.Level = t, level
			servicingBody(after, rec)
			return true
		}
	}
	if level, after := damagedHeader(line); level != LevelNone {
		rec.Time, rec.Level = time.Time{}, level
		servicingBody(after, rec)
		return true
	}
	if looksDated(line) {
		return false // a header this format does not have
	}
	rec.Continued = true
	rec.Text = line
	rec.Code = failingCode(line)
	return true
}

// parseSetup reads setupact.log and setuperr.log. The one in the Windows folder is
// written to by parts of Windows that put their own name where the header would be,
// some of them behind a date of their own (checked on real samples):
//
//	AudMig: Migrated {a45c254e-df1c-4efd-8020-67d146a850e0},2 property at 1
//	[05/08/2025 09:40.53.963] WudfCoInstaller: ImpersonationLevel set to 2
func parseSetup(line []byte, rec *Record) bool {
	t, rest := partDate(line)
	for _, name := range setupParts {
		if text, ok := bytes.CutPrefix(rest, name); ok && len(text) > 1 && text[0] == ':' && text[1] == ' ' {
			*rec = Record{Line: rec.Line, Repeats: rec.Repeats, Until: rec.Until, Fields: rec.Fields, Time: t, Level: LevelInfo, Text: rest}
			rec.Code = failingCode(rest)
			return true
		}
	}
	return parseServicing(line, rec)
}

// setupParts are the parts of Windows that write to setupact.log without its header.
var setupParts = [][]byte{[]byte("AudMig"), []byte("WudfCoInstaller"), []byte("WdfCoInstaller")}

// partDate reads "[MM/DD/YYYY HH:MM.SS.mmm] " and returns what follows; without one,
// the zero time and the line.
func partDate(line []byte) (time.Time, []byte) {
	const layout = "[01/02/2006 15:04.05.000] "
	if len(line) <= len(layout) || line[0] != '[' || line[len(layout)-2] != ']' {
		return time.Time{}, line
	}
	t, err := time.Parse(layout, string(line[:len(layout)]))
	if err != nil {
		return time.Time{}, line
	}
	return t, line[len(layout):]
}

var servicingLevels = []struct {
	name  []byte
	level Level
}{
	{[]byte("Info"), LevelInfo},
	{[]byte("Warning"), LevelWarning},
	{[]byte("Error"), LevelError},
	{[]byte("Fatal"), LevelFatal},
	{[]byte("FatalError"), LevelFatal},
	{[]byte("Perf"), LevelInfo},
}

// servicingLevel reads a level word that a blank or the line's end follows.
func servicingLevel(b []byte) (Level, []byte) {
	w, rest := word(b)
	for _, l := range servicingLevels {
		if bytes.Equal(w, l.name) {
			return l.level, rest
		}
	}
	return LevelNone, b
}

// damagedHeader accepts "<DateTime>, Error CSI ...", "20xx-xx-06 xx:51:15, Info CBS ..."
// and "Info CBS ...": a level followed by a component this format uses.
func damagedHeader(line []byte) (Level, []byte) {
	b := line
	if i := bytes.IndexByte(line, ','); i >= 0 && i <= 40 {
		b = line[i+1:]
	}
	level, rest := servicingLevel(skipSpace(b))
	if level == LevelNone {
		return LevelNone, nil
	}
	w, _ := word(skipSpace(rest))
	if len(w) == 0 || !isComponent(w) && w[0] != '[' {
		return LevelNone, nil
	}
	return level, rest
}

// isComponent tells a component column from the first word of a message. A
// message begins anywhere; components are short capitals, or one of the two
// mixed-case names of setup.
func isComponent(w []byte) bool {
	if len(w) < 2 || len(w) > 10 {
		return false
	}
	for _, c := range w {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return bytes.Equal(w, []byte("Panther")) || bytes.Equal(w, []byte("SPPNP"))
		}
	}
	return true
}

// afterFileName returns what stands behind "name:" before a date, or nil.
func afterFileName(line []byte) []byte {
	for i := 1; i+1 < len(line) && i < 260; i++ {
		if line[i] == ':' && line[i+1]-'0' <= 9 {
			if _, _, ok := dateTime(line[i+1:]); ok {
				return line[i+1:]
			}
		}
	}
	return nil
}

// A level takes 22 columns and a component 7. A message further right than the
// component's column has none: its first word may look like one ("VDS Service
// ...") but is the message's own. Copies with fewer blanks cannot tell.
const noComponent = 20

// servicingBody splits what follows the level: [0xNNNNNN], component, text.
func servicingBody(b []byte, rec *Record) {
	rec.Component, rec.PID, rec.TID = nil, 0, 0
	rest := skipSpace(b)
	blank := len(b)-len(rest) >= noComponent
	if len(rest) > 3 && rest[0] == '[' && rest[1] == '0' && rest[2]|0x20 == 'x' {
		if i := bytes.IndexByte(rest, ']'); i > 0 && i <= 11 {
			rec.ID, _ = hex(rest[3:i])
			rest = skipSpace(rest[i+1:])
		}
	}
	if w, after := word(rest); !blank && isComponent(w) {
		rec.Component = w
		rest = skipSpace(after)
	}
	rec.Text = rest
	rec.Code = failingCode(rest)
	if bytes.Equal(rec.Component, dism) {
		rec.PID, rec.TID = dismThread(rest)
	}
}

var (
	dism    = []byte("DISM")
	dismPID = []byte("PID=")
	dismTID = []byte(" TID=")
)

// dismThread reads the process and thread that DISM writes behind the name of
// the part that speaks: "DISM Package Manager: PID=6980 TID=18464 text".
// Windows 7 writes the process alone, and not always the name.
func dismThread(text []byte) (pid, tid uint32) {
	i := bytes.Index(text[:min(len(text), 64)], dismPID)
	if i < 0 || i > 0 && !bytes.HasSuffix(text[:i], []byte(": ")) {
		return 0, 0
	}
	rest := text[i+len(dismPID):]
	pid, n, _ := number(rest)
	if rest = rest[n:]; bytes.HasPrefix(rest, dismTID) {
		tid, _, _ = number(rest[len(dismTID):])
	}
	return pid, tid
}

// looksDated reports a line that begins like a record of a dated log.
func looksDated(line []byte) bool {
	if len(line) < 10 || line[4] != line[7] || (line[4] != '-' && line[4] != '/') {
		return false
	}
	_, ok := digits(line, 4)
	return ok
}
