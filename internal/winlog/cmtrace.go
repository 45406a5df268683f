package winlog

import (
	"bytes"
	"context"
	"io"
	"time"
)

// The logs of the Configuration Manager client (WUAHandler, ScanAgent,
// UpdatesDeployment, ...) exist in these layouts. The first was checked on real
// samples, the others on lines quoted by Microsoft's pages and in tickets:
//
//	<![LOG[text]LOG]!><time="HH:MM:SS.mmm+bias" date="MM-DD-YYYY" component="X"
//	    context="" type="1" thread="10472" file="a.cpp:31">       (one line)
//	text~  $$<component><MM-DD-YYYY HH:MM:SS.mmm+bias><thread=10472 (0x28E8)>
//	text»component»M/D/YYYY H:MM:SS AM»10472 (0x28E8)              (copied out of CMTrace)
//
// The text of the first two may span several lines; the columns that say when
// and who stand behind it, so a record is delivered when its last line has been
// seen, as one, with its lines joined by "\n". type is 1 for information, 2 for
// warning, 3 for error. bias is what Windows calls it: minutes to add to the
// local time to get UTC. The time keeps the wall clock, in that zone.
//
// Lines whose wrapper was lost in copying are delivered as loose text.
// Fields: file, context.
// learn.microsoft.com: "About log files in Configuration Manager", "CMTrace".

// maxJoined bounds the lines of one record that has no end mark of its own.
const maxJoined = 200

var (
	logOpen  = []byte("<![LOG[")
	logClose = []byte("]LOG]!>")
	oldTail  = []byte("$$<")
)

// scanCMTrace delivers each message, however many lines it has, as one record.
func scanCMTrace(ctx context.Context, src io.Reader, fn func(*Record) error) (Stats, error) {
	s := cmTrace{fn: fn, names: make(interner)}
	n, err := eachLine(ctx, src, func(line []byte, cut bool) error {
		s.st.Lines++
		if cut {
			s.st.Cut++
		}
		return s.line(line)
	})
	if err == nil {
		err = s.abandon()
	}
	s.st.Bytes, s.st.Lost = n.bytes, n.lost
	return s.st, err
}

type cmTrace struct {
	fn    func(*Record) error
	st    Stats
	rec   Record
	names interner

	held     []byte // lines of a message that has not ended yet
	heldLine int    // where it began
	heldN    int    // lines in it
	old      bool   // the log has the layout with $$<...>: a line without it is not the last of its message
}

// line takes one line, with as many messages as it holds.
func (s *cmTrace) line(line []byte) error {
	for first := true; first || len(bytes.TrimSpace(line)) > 0; first = false {
		open := bytes.Index(line, logOpen)
		if len(s.held) > 0 {
			end := s.end(line)
			if end == 0 && open < 0 && s.heldN < maxJoined && len(s.held)+len(line) < MaxLine {
				s.hold(line)
				return nil
			}
			if end > 0 && (open < 0 || end <= open+len(logOpen)) {
				s.hold(line[:end])
				if err := s.emitHeld(); err != nil {
					return err
				}
				line = line[end:]
				continue
			}
			if err := s.abandon(); err != nil {
				return err
			}
		}
		switch {
		case open > 0 && len(bytes.TrimSpace(line[:open])) > 0:
			if err := s.single(line[:open]); err != nil {
				return err
			}
			line = line[open:]
		case open >= 0:
			line = line[open:]
			end := messageEnd(line)
			if next := bytes.Index(line[len(logOpen):], logOpen); next >= 0 && (end == 0 || end > next+len(logOpen)) {
				end = next + len(logOpen) // torn: another message begins inside
			}
			if end == 0 {
				s.heldLine = s.st.Lines
				s.hold(line)
				return nil
			}
			if err := s.emit(line[:end], s.st.Lines); err != nil {
				return err
			}
			line = line[end:]
		default:
			return s.single(line)
		}
	}
	return nil
}

// end returns where the message being held ends in line, or 0.
func (s *cmTrace) end(line []byte) int {
	if bytes.HasPrefix(s.held, logOpen) {
		return messageEnd(line)
	}
	if bytes.Contains(line, oldTail) {
		return len(line)
	}
	return 0
}

// messageEnd returns the offset behind "]LOG]!><...>" in line, or 0.
func messageEnd(line []byte) int {
	i := bytes.Index(line, logClose)
	if i < 0 {
		return 0
	}
	i += len(logClose)
	if j := bytes.IndexByte(line[i:], '>'); j >= 0 && line[i] == '<' {
		return i + j + 1
	}
	return len(line)
}

// single takes a line without LOG marks.
func (s *cmTrace) single(line []byte) error {
	if bytes.Contains(line, oldTail) {
		s.old = true
	} else if s.old && !copiedFromViewer(line) && len(bytes.TrimSpace(line)) > 0 {
		s.heldLine = s.st.Lines
		s.hold(line)
		return nil
	}
	return s.emit(line, s.st.Lines)
}

func (s *cmTrace) hold(line []byte) {
	if s.heldN++; s.heldN > 1 {
		s.held = append(s.held, '\n')
	}
	s.held = append(s.held, line...)
}

func (s *cmTrace) emitHeld() error {
	err := s.emit(s.held, s.heldLine)
	s.held, s.heldN = s.held[:0], 0
	return err
}

// abandon delivers the lines of a message that never ended.
func (s *cmTrace) abandon() error {
	if len(s.held) == 0 {
		return nil
	}
	if bytes.HasPrefix(s.held, logOpen) {
		return s.emitHeld()
	}
	n := s.heldLine
	for line := range bytes.SplitSeq(s.held, []byte{'\n'}) {
		if err := s.emit(line, n); err != nil {
			return err
		}
		n++
	}
	s.held, s.heldN = s.held[:0], 0
	return nil
}

// emit parses one whole message and hands it on.
func (s *cmTrace) emit(message []byte, number int) error {
	if len(bytes.TrimSpace(message)) == 0 {
		return nil
	}
	s.rec = Record{Line: number, Fields: s.rec.Fields[:0]}
	if s.parse(message) {
		s.st.Records++
	} else {
		s.rec = Record{Line: number, Text: message, Code: failingCode(message), Loose: true}
		s.st.Unread++
	}
	return s.fn(&s.rec)
}

func (s *cmTrace) parse(b []byte) bool {
	if bytes.HasPrefix(b, logOpen) {
		return s.wrapped(b)
	}
	if i := bytes.LastIndex(b, oldTail); i >= 0 {
		return s.tailed(b, i)
	}
	return s.copied(b)
}

// wrapped reads <![LOG[text]LOG]!><attributes>.
func (s *cmTrace) wrapped(b []byte) bool {
	i := bytes.Index(b, logClose)
	if i < 0 {
		return false
	}
	r := &s.rec
	r.Text = b[len(logOpen):i]
	var clock, date, level, file, text []byte
	for attrs := b[i+len(logClose):]; ; {
		name, value, rest, ok := attribute(attrs)
		if !ok {
			break
		}
		switch string(name) {
		case "time":
			clock = value
		case "date":
			date = value
		case "component":
			r.Component = value
		case "type":
			level = value
		case "thread":
			r.TID, _, _ = number(value)
		case "file":
			file = value
		case "context":
			text = value
		}
		attrs = rest
	}
	if t, ok := usDate(date); ok {
		r.Time = withClock(t, clock)
	}
	r.Level = traceLevel(level)
	r.Code = failingCode(r.Text)
	if len(file) > 0 {
		r.Fields = append(r.Fields, Field{"file", s.names.get(file)})
	}
	if len(text) > 0 {
		r.Fields = append(r.Fields, Field{"context", s.names.get(text)})
	}
	return true
}

// tailed reads "text~  $$<component><time><thread=N (0xN)>"; i is where $$< stands.
func (s *cmTrace) tailed(b []byte, i int) bool {
	component, rest, ok := bytes.Cut(b[i+len(oldTail):], []byte{'>'})
	if !ok || len(component) == 0 {
		return false
	}
	r := &s.rec
	r.Component = bytes.TrimSpace(component)
	r.Text = bytes.TrimRight(b[:i], " \t~")
	r.Code = failingCode(r.Text)
	if stamp, after, ok := bytes.Cut(bytes.TrimPrefix(rest, []byte{'<'}), []byte{'>'}); ok {
		day, clock := word(stamp)
		if t, ok := usDate(day); ok {
			r.Time = withClock(t, skipSpace(clock))
		}
		if _, id, ok := bytes.Cut(after, []byte("thread=")); ok {
			r.TID, _, _ = number(id)
		}
	}
	return true
}

// copied reads a row copied out of the viewer. Its tabs may have become blanks;
// the thread id, written twice, tells such a row from any other text.
func (s *cmTrace) copied(b []byte) bool {
	tid, rest, ok := viewerThread(b)
	if !ok {
		return false
	}
	t, rest, ok := dateBefore(rest)
	if !ok {
		return false
	}
	i := bytes.LastIndexByte(rest, '\t')
	if i < 0 {
		i = bytes.LastIndexByte(rest, ' ')
	}
	if i < 0 {
		return false
	}
	r := &s.rec
	r.TID, r.Time, r.Component = tid, t, rest[i+1:]
	r.Text = bytes.TrimSpace(rest[:i])
	r.Code = failingCode(r.Text)
	return true
}

func copiedFromViewer(line []byte) bool {
	_, rest, ok := viewerThread(line)
	if ok {
		_, _, ok = dateBefore(rest)
	}
	return ok
}

// viewerThread reads "10472 (0x28E8)" at the end of b.
func viewerThread(b []byte) (tid uint32, rest []byte, ok bool) {
	b = bytes.TrimRight(b, " \t")
	i := bytes.LastIndex(b, []byte("(0x"))
	if i < 1 || b[len(b)-1] != ')' {
		return 0, nil, false
	}
	v, n := hex(b[i+3:])
	if n == 0 || i+3+n+1 != len(b) {
		return 0, nil, false
	}
	b = bytes.TrimRight(b[:i], " ")
	j := len(b)
	for j > 0 && b[j-1]-'0' <= 9 {
		j--
	}
	tid, _, ok = number(b[j:])
	return tid, bytes.TrimRight(b[:j], " \t"), ok && tid == v
}

// dateBefore reads a date and a time of the day at the end of b. The viewer
// writes them as the machine that showed the log is used to.
func dateBefore(b []byte) (t time.Time, rest []byte, ok bool) {
	// A date, a time and perhaps AM or PM: at most three words.
	end := len(b)
	for range 3 {
		i := end
		for i > 0 && !isSpace(b[i-1]) {
			i--
		}
		if t, n, ok := localDate(b[i:]); ok && n == len(b)-i {
			return t, bytes.TrimRight(b[:i], " \t"), true
		}
		for i > 0 && isSpace(b[i-1]) {
			i--
		}
		if end = i; end == 0 {
			break
		}
	}
	return time.Time{}, nil, false
}

// attribute reads name="value" at the start of b, behind any of "< >".
func attribute(b []byte) (name, value, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, "< >\t")
	i := bytes.IndexByte(b, '=')
	if i < 1 || i+1 >= len(b) || b[i+1] != '"' {
		return nil, nil, nil, false
	}
	name, b = b[:i], b[i+2:]
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil, nil, nil, false
	}
	return name, b[:end], b[end+1:], true
}

// usDate reads "M-D-YYYY", zeros optional.
func usDate(b []byte) (time.Time, bool) {
	var part [3]int
	for i := range part {
		v, n, ok := number(b)
		if !ok || n > 4 {
			return time.Time{}, false
		}
		part[i], b = int(v), b[n:]
		if i < 2 {
			if len(b) == 0 || b[0] != '-' && b[0] != '/' {
				return time.Time{}, false
			}
			b = b[1:]
		}
	}
	return civil(part[2], part[0], part[1], 0, 0, 0, 0)
}

// withClock adds "HH:MM:SS.mmm+bias" to a day. Without a bias the zone stays UTC,
// which stands for "not named".
func withClock(day time.Time, b []byte) time.Time {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return day
	}
	h, ok1 := digits(b, 2)
	m, ok2 := digits(b[3:], 2)
	s, ok3 := digits(b[6:], 2)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return day
	}
	ns, rest := fraction(b[8:])
	t := day.Add(time.Duration(h*3600+m*60+s)*time.Second + time.Duration(ns))
	if len(rest) < 2 || rest[0] != '+' && rest[0] != '-' {
		return t
	}
	bias, n, ok := number(rest[1:])
	if !ok || n > 4 || bias > 24*60 {
		return t
	}
	offset := -int(bias) * 60 // seconds east of UTC
	if rest[0] == '-' {
		offset = -offset
	}
	return t.Add(-time.Duration(offset) * time.Second).In(time.FixedZone("", offset))
}

func traceLevel(b []byte) Level {
	switch string(b) {
	case "0", "1":
		return LevelInfo
	case "2":
		return LevelWarning
	case "3":
		return LevelError
	}
	return LevelNone
}

// interner returns one string for equal bytes, for names that a log repeats on
// every line. It stops growing at a bound.
type interner map[string]string

func (in interner) get(b []byte) string {
	if s, ok := in[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(in) < 4096 {
		in[s] = s
	}
	return s
}
