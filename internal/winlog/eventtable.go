package winlog

import (
	"bytes"
	"unicode/utf8"
)

// Events in rows: PowerShell's tables, and the files separated by commas,
// semicolons or tabs that Event Viewer and Export-Csv write. See eventtext.go.

// eventRows is where the columns of PowerShell's table stand, in characters.
type eventRows struct {
	open    bool
	level   int // column of the level
	message int // column of the message; columns up to it are padded
}

// eventRowsHeader recognises "TimeCreated  Id LevelDisplayName Message" above its rule.
func eventRowsHeader(header, rule []byte) (eventRows, bool) {
	if ruleGroups(rule) < 4 {
		return eventRows{}, false
	}
	var t eventRows
	order := []eventRole{roleDate, roleID, roleLevel, roleDescription}
	rest := header
	for _, want := range order {
		rest = skipSpace(rest)
		at := utf8.RuneCount(header[:len(header)-len(rest)])
		w, after := word(rest)
		if roleOf(w) != want {
			return eventRows{}, false
		}
		switch want {
		case roleLevel:
			t.level = at
		case roleDescription:
			t.message = at
		}
		rest = after
	}
	t.open = true
	return t, true
}

// ruleGroups counts the groups of a line made of hyphens and blanks, 0 for others.
func ruleGroups(b []byte) int {
	n := 0
	for i, c := range b {
		switch {
		case c == '-' && (i == 0 || b[i-1] == ' '):
			n++
		case c != '-' && c != ' ':
			return 0
		}
	}
	return n
}

// row reads a line of the table, or returns nil.
func (t eventRows) row(b []byte, source string) *event {
	_, n, ok := localDate(b)
	if !ok {
		return nil
	}
	e := &event{style: styleView}
	e.set(roleSource, []byte(source))
	e.set(roleDate, b[:n])
	rest := skipSpace(b[n:])
	_, n, ok = number(rest)
	if !ok {
		return nil
	}
	e.set(roleID, rest[:n])
	rest = skipSpace(rest[n:])
	// The level may be of several words in other languages: the message's
	// column tells where it ends, unless the row was shifted in copying.
	level, message := word(rest)
	if at := runeOffset(b, t.message); at > len(b)-len(rest) && at < len(b) && b[at-1] == ' ' {
		level, message = b[len(b)-len(rest):at], b[at:]
	}
	e.set(roleLevel, bytes.TrimSpace(level))
	e.set(roleDescription, bytes.TrimSpace(message))
	return e
}

// runeOffset returns the byte offset of the n-th character of b.
func runeOffset(b []byte, n int) int {
	i := 0
	for ; n > 0 && i < len(b); n-- {
		_, size := utf8.DecodeRune(b[i:])
		i += size
	}
	return i
}

// eventCSV is the layout of a file of separated values.
type eventCSV struct {
	comma   byte // 0: none is open
	roles   []eventRole
	pending []byte // a row whose quotes have not closed
	first   int    // where it began
}

func (c *eventCSV) partial() bool { return len(c.pending) > 0 }

// The columns of Event Viewer's files; the last has no title.
var csvOrder = []eventRole{roleLevel, roleDate, roleSource, roleID, roleTask, roleDescription}

// beginCSV takes a line if it is a header or a row of separated values.
func (s *eventText) beginCSV(line, b []byte) (bool, error) {
	if bytes.HasPrefix(b, []byte("#TYPE ")) { // Export-Csv of Windows PowerShell
		return true, s.flush()
	}
	if s.csv.comma != 0 && bytes.IndexByte(b, s.csv.comma) >= 0 {
		return true, s.row(line)
	}
	for _, comma := range []byte{',', ';', '\t'} {
		if bytes.Count(b, []byte{comma}) < 3 {
			continue
		}
		cols := splitRow(b, comma)
		if roles := headerRoles(cols); roles != nil {
			s.csv = eventCSV{comma: comma, roles: roles}
			return true, s.flush()
		}
		if len(cols) >= 5 && isDate(cols[1]) && isEventID(cols[3]) {
			s.csv = eventCSV{comma: comma, roles: csvOrder}
			return true, s.row(line)
		}
	}
	return false, nil
}

// headerRoles maps the titles of the columns; nil if they are not an event's.
func headerRoles(cols [][]byte) []eventRole {
	roles := make([]eventRole, 0, len(cols)+1)
	known := uint32(0)
	for _, c := range cols {
		r := roleOf(c)
		roles = append(roles, r)
		known |= 1 << r
	}
	if known&(1<<roleID) == 0 || known&(1<<roleDate|1<<roleSource|1<<roleLevel) == 0 {
		return nil
	}
	if known&(1<<roleDescription) == 0 {
		roles = append(roles, roleDescription)
	}
	return roles
}

// row takes a line of separated values, or the next part of a row that a quoted
// line end goes through.
func (s *eventText) row(line []byte) error {
	c := &s.csv
	if c.partial() {
		c.pending = append(append(c.pending, '\n'), line...)
	} else {
		c.pending, c.first = append(c.pending, line...), s.number
	}
	if bytes.Count(c.pending, []byte{'"'})%2 == 1 && len(c.pending) < MaxLine {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	e := &event{style: styleView, line: c.first}
	e.keep(c.pending)
	for i, value := range splitRow(c.pending, c.comma) {
		if i < len(c.roles) && c.roles[i] != roleNone {
			e.set(c.roles[i], value)
		}
	}
	c.pending = c.pending[:0]
	s.cur = e
	return s.flush()
}

// splitRow splits a row at comma, minding quotes ("" inside quotes is one).
func splitRow(b []byte, comma byte) [][]byte {
	const most = 64
	var cols [][]byte
	for len(cols) < most {
		if len(b) > 0 && b[0] == '"' {
			end := 1
			for end < len(b) && (b[end] != '"' || end+1 < len(b) && b[end+1] == '"') {
				if b[end] == '"' {
					end++
				}
				end++
			}
			cols = append(cols, bytes.ReplaceAll(b[1:min(end, len(b))], []byte(`""`), []byte(`"`)))
			b = b[min(end+1, len(b)):]
		} else {
			end := bytes.IndexByte(b, comma)
			if end < 0 {
				end = len(b)
			}
			cols = append(cols, bytes.TrimSpace(b[:end]))
			b = b[end:]
		}
		i := bytes.IndexByte(b, comma)
		if i < 0 {
			break
		}
		b = b[i+1:]
	}
	return cols
}
