package winlog

import (
	"bytes"
	"time"

	"updoc/internal/codes"
)

// setupapi.dev.log, setupapi.setup.log, setupapi.offline.log: text logs of the
// driver installation, made of sections (Windows Vista and later):
//
//	[Device Install Log]
//	     OS Version = 10.0.19041
//	[BeginLog]
//	[Boot Session: YYYY/MM/DD HH:MM:SS.mmm]
//	>>>  [section title - instance]
//	>>>  Section start YYYY/MM/DD HH:MM:SS.mmm
//	     dvi: {operation} HH:MM:SS.mmm
//	!    inf:      a warning
//	!!!  sto:           Failed to ... Error = 0x00000005
//	<<<  Section end YYYY/MM/DD HH:MM:SS.mmm
//	<<<  [Exit status: SUCCESS]   or FAILURE(0xe0000248), FAILURE(0x00000207)
//
// The documentation shows the times before the words ("YYYY/MM/DD HH:MM:SS.mmm:
// Section start") and "[Exit Status(0x...)]"; both orders are read. Copies lose
// the columns: marks and categories are then found behind any blanks.
//
// setupapi.log of Windows XP has another layout, read as far as a diagnosis needs:
//
//	[YYYY/MM/DD HH:MM:SS pid.seq Driver Install]
//	#-199 Executing "..." with command line: ...
//	#W334 Failed to verify catalog ... Error 1168: ...
//	#E122 Device install failed. Error 5: Access is denied.
//
// Section lines carry the section's title in the field "section"; the footer
// carries the raw exit status in the field "status".
// learn.microsoft.com: "SetupAPI Text Logs", "Format of a Text Log Section Body".
func newSetupAPI() func(line []byte, rec *Record) bool {
	return new(setupAPI).parse
}

// setupAPI is what a section leaves for the lines after it.
type setupAPI struct {
	title  string    // of the section that is open, or of the last one
	open   bool      // between header and footer
	start  time.Time // day and time the section began; zero if unknown
	last   time.Time // last time seen in the section
	seen   [8]codes.HRESULT
	nseen  int
	legacy bool // the section has the layout of Windows XP
}

func (s *setupAPI) parse(line []byte, rec *Record) bool {
	component, level := rec.Component, rec.Level
	rec.Component, rec.Level, rec.PID, rec.TID = nil, LevelInfo, 0, 0
	ok := s.read(line, skipSpace(line), rec)
	if rec.Continued {
		rec.Component, rec.Level = component, level
	}
	return ok
}

// read tells the kinds of lines apart; b is line without its indentation.
func (s *setupAPI) read(line, b []byte, rec *Record) bool {
	switch {
	case bytes.HasPrefix(b, []byte(">>>")):
		s.header(skipSpace(b[3:]), rec)
	case bytes.HasPrefix(b, []byte("<<<")):
		s.footer(skipSpace(b[3:]), rec)
	case len(b) > 2 && b[0] == '[' && (b[len(b)-1] == ']' || !s.open):
		if !s.bracket(b, rec) {
			return s.entry(line, b, rec)
		}
	case s.legacy && len(b) > 2 && (b[0] == '#' || b[0] == '@'):
		s.legacyEntry(b, rec)
	default:
		return s.entry(line, b, rec)
	}
	s.finish(rec)
	return true
}

// header reads what follows ">>>": the title in brackets or the start time.
func (s *setupAPI) header(b []byte, rec *Record) {
	if len(b) > 1 && b[0] == '[' {
		*s = setupAPI{title: string(bytes.Trim(b, "[]")), open: true}
		rec.Time = time.Time{}
		rec.Text = bytes.Trim(b, "[]")
		return
	}
	s.open = true
	if t, ok := findStamp(b); ok {
		s.start, s.last = t, t
	}
	rec.Text = b
}

// footer reads what follows "<<<": the end time or the exit status.
func (s *setupAPI) footer(b []byte, rec *Record) {
	rec.Text = b
	if len(b) == 0 || b[0] != '[' || bytes.Contains(b, []byte("Section end")) {
		if t, ok := findStamp(b); ok {
			s.last = t
		}
		return
	}
	s.open = false
	rec.Text = bytes.Trim(b, "[]")
	value, raw := exitStatus(b)
	if len(raw) == 0 {
		return
	}
	rec.Fields = append(rec.Fields, Field{"status", string(raw)})
	if value == 0 {
		return
	}
	rec.Level = LevelError
	rec.Code = setupCode(value)
	// A status below 0x10000 is the low word of a result whose facility was cut
	// off: 0x00000207 ends sections that failed with 0x800F0207. Only the section
	// itself can tell which facility it was.
	if value <= 0xFFFF {
		for _, c := range s.seen[:s.nseen] {
			if uint32(c)&0xFFFF == value {
				rec.Code = c
			}
		}
	}
}

// exitStatus finds "SUCCESS", "FAILURE(0x...)" or "(0x...)".
func exitStatus(b []byte) (value uint32, raw []byte) {
	if i := bytes.Index(b, []byte("(0x")); i >= 0 {
		v, n := hex(b[i+3:])
		if n > 0 && n <= 8 {
			return v, b[i+1 : i+3+n]
		}
	}
	if bytes.Contains(b, []byte("SUCCESS")) {
		return 0, []byte("SUCCESS")
	}
	return 0, nil
}

// bracket reads a line in brackets: file header, boot session, XP section.
func (s *setupAPI) bracket(b []byte, rec *Record) bool {
	rec.Text = bytes.Trim(b, "[]")
	if t, rest, ok := dateTime(b[1:]); ok { // [YYYY/MM/DD HH:MM:SS pid.seq title]
		*s = setupAPI{start: t, last: t, open: true, legacy: true}
		if pid, n, ok := number(skipSpace(rest)); ok {
			rec.PID = pid
			rest = skipSpace(rest)[n:]
		}
		if _, title := word(rest); len(title) > 0 {
			s.title = string(bytes.Trim(skipSpace(title), "[] "))
		}
		return true
	}
	if s.open && !bytes.HasPrefix(b, []byte("[Boot Session")) && !bytes.HasPrefix(b, []byte("[BeginLog")) {
		return false
	}
	*s = setupAPI{}
	if t, ok := findStamp(b); ok {
		s.last = t
	}
	return true
}

// legacyEntry reads "#E122 text", "#-019 text", "@ 12:34:56.789 : text".
func (s *setupAPI) legacyEntry(b []byte, rec *Record) {
	if b[0] == '@' {
		s.clock(skipSpace(b[1:]))
		rec.Text = b
		return
	}
	switch b[1] {
	case 'E':
		rec.Level = LevelError
	case 'W':
		rec.Level = LevelWarning
	}
	w, rest := word(b)
	rec.Component, rec.Text = w, skipSpace(rest)
}

// entry reads a line of a section's body.
func (s *setupAPI) entry(line, b []byte, rec *Record) bool {
	marked := true
	switch {
	case bytes.HasPrefix(b, []byte("!!!")):
		rec.Level, b = LevelError, skipSpace(b[3:])
	case len(b) > 1 && b[0] == '!' && isSpace(b[1]):
		rec.Level, b = LevelWarning, skipSpace(b[1:])
	default:
		marked = isSpace(line[0])
	}
	if rest, ok := s.clock(b); ok {
		b = skipSpace(bytes.TrimLeft(rest, ": "))
	}
	category, text, ok := setupCategory(b)
	if !ok && !marked && !s.open {
		return false
	}
	rec.Component, rec.Text = category, text
	if !ok && !marked { // unindented and uncategorised inside a section: a wrapped line
		rec.Continued = true
		rec.Text = line
	}
	if i := bytes.LastIndexByte(text, ' '); ok && i >= 0 {
		s.clock(text[i+1:])
	}
	s.finish(rec)
	if rec.Level == LevelError && rec.Code == 0 {
		if raw := win32Error(text); len(raw) > 0 {
			rec.Fields = append(rec.Fields, Field{"error", string(raw)})
		}
	}
	return true
}

// setupCategory splits "dvi: text". Categories have three letters, dots for a
// vendor's own ("...: "), two for user interface ("ui: ").
func setupCategory(b []byte) (category, text []byte, ok bool) {
	i := bytes.IndexByte(b, ':')
	if i < 2 || i > 3 || i+1 < len(b) && !isSpace(b[i+1]) {
		return nil, b, false
	}
	for _, c := range b[:i] {
		if (c < 'a' || c > 'z') && c != '.' {
			return nil, b, false
		}
	}
	return b[:i], skipSpace(b[i+1:]), true
}

// finish sets what every line of a section has: title, time, code.
func (s *setupAPI) finish(rec *Record) {
	rec.Time = s.last
	if rec.Code == 0 {
		rec.Code = failingCode(rec.Text)
	}
	if rec.Code == 0 {
		rec.Code = setupAPICode(rec.Text)
	}
	if rec.Code != 0 && s.nseen < len(s.seen) {
		s.seen[s.nseen] = rec.Code
		s.nseen++
	}
	if s.title != "" {
		rec.Fields = append(rec.Fields, Field{"section", s.title})
	}
}

// clock reads "HH:MM:SS.mmm" at the start of b as a time of the section's day.
// A section that runs past midnight moves on to the next.
func (s *setupAPI) clock(b []byte) (rest []byte, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return b, false
	}
	h, ok1 := digits(b, 2)
	m, ok2 := digits(b[3:], 2)
	sec, ok3 := digits(b[6:], 2)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 59 {
		return b, false
	}
	ns, rest := fraction(b[8:])
	if s.start.IsZero() {
		return rest, true
	}
	day := s.start.Truncate(24 * time.Hour)
	t := day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second + time.Duration(ns))
	if t.Before(s.start) {
		t = t.Add(24 * time.Hour)
	}
	s.last = t
	return rest, true
}

// findStamp finds "YYYY/MM/DD HH:MM:SS.mmm" in b.
func findStamp(b []byte) (time.Time, bool) {
	for i := 0; i+18 <= len(b) && i < 64; i++ {
		if b[i]-'0' > 9 {
			continue
		}
		if t, rest, ok := dateTime(b[i:]); ok {
			ns, _ := fraction(rest)
			return t.Add(time.Duration(ns)), true
		}
	}
	return time.Time{}, false
}

// setupCode turns a result of the setup functions into an HRESULT if that can be
// done for certain. Errors of SetupAPI are 0xE000nnnn and map to 0x800Fnnnn, as
// the macro HRESULT_FROM_SETUPAPI of setupapi.h does. The macro maps small
// numbers to FACILITY_WIN32; an exit status is too often cut for that.
func setupCode(v uint32) codes.HRESULT {
	if v&0xFFFF0000 == 0xE0000000 {
		return codes.HRESULT(0x800F0000 | v&0xFFFF)
	}
	if plausible(v) {
		return codes.HRESULT(v)
	}
	return 0
}

// setupAPICode returns the first error 0xE000nnnn of text as an HRESULT.
func setupAPICode(text []byte) codes.HRESULT {
	for {
		i := bytes.Index(text, []byte("0x"))
		if i < 0 {
			return 0
		}
		text = text[i+2:]
		if v, n := hex(text); n == 8 && v&0xFFFF0000 == 0xE0000000 {
			return setupCode(v)
		}
	}
}

// win32Error returns the raw "0x00000005" of "Error = 0x00000005".
func win32Error(text []byte) []byte {
	i := bytes.LastIndex(text, []byte("0x"))
	if i < 0 {
		return nil
	}
	if v, n := hex(text[i+2:]); n == 8 && v != 0 {
		return text[i : i+10]
	}
	return nil
}
