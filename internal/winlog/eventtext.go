package winlog

import (
	"bytes"
	"context"
	"io"
	"time"
)

// Events that people copied or exported as text:
//
//	Event Viewer, "copy details as text"      wevtutil qe LOG /f:text
//	    Log Name:      System                     Event[0]:
//	    Source:        Provider-Name                Log Name: System
//	    Date:          2/3/2031 4:05:06 AM          Source: Provider-Name
//	    Event ID:      20                           Date: 2031-02-03T04:05:06.789
//	    Task Category: ...                          Event ID: 20
//	    Level:         Error                        Task: ...
//	    Keywords:      ...                          Level: Error
//	    User:          SYSTEM                       Opcode, Keyword, User, User Name, Computer
//	    Computer:      pc.fabrikam.example          Description:
//	    Description:                              text
//	    text
//	    Event Xml:
//	    <Event xmlns="...">...</Event>
//	Get-WinEvent | Format-List                Get-WinEvent, as a table
//	    TimeCreated  : 2/3/2031 4:05:06 AM           ProviderName: Provider-Name
//	    ProviderName : Provider-Name              TimeCreated          Id LevelDisplayName Message
//	    Id           : 20                         -----------          -- ---------------- -------
//	    Message      : text                       2/3/2031 4:05:06 AM  20 Error            text
//	Event Viewer, "save as CSV" or text, and Export-Csv
//	    Level,Date and Time,Source,Event ID,Task Category
//	    Error,2/3/2031 4:05:06 AM,Provider-Name,20,...,"text"
//	wevtutil qe LOG /f:xml, Event Viewer "save as XML": see eventxml.go
//
// Event Viewer and wevtutil translate their labels. A block with unknown labels
// is recognised by its order, which does not change: four labelled lines of
// which the third is a date and the fourth a number. PowerShell's property
// names are not translated. Levels in other languages than English are left
// open, unless the event's XML follows.
//
// Each event is one record, as from an event log file: Component is the provider,
// ID the event id, Text the description, Fields what the event's XML names,
// _channel, and _date as it was written where day and month could not be told
// apart for certain.
// learn.microsoft.com: "wevtutil", "Get-WinEvent".

// scanEventText delivers each event as one record, and each line that belongs
// to none as loose text.
func scanEventText(ctx context.Context, src io.Reader, fn func(*Record) error) (Stats, error) {
	b, done := lineReader(src)
	defer done()
	br := b.line
	head, _ := br.Peek(4096)
	if head = bytes.TrimSpace(head); len(head) > 0 && head[0] == '<' {
		return scanEventXML(ctx, br, fn)
	}
	s := eventText{fn: fn}
	n, err := eachLine(ctx, br, func(line []byte, cut bool) error {
		s.st.Lines++
		if cut {
			s.st.Cut++
		}
		return s.push(line)
	})
	for err == nil && s.held > 0 {
		err = s.shift()
	}
	if err == nil {
		err = s.flush()
	}
	s.st.Bytes, s.st.Lost = n.bytes+b.holes.out, b.holes.lost
	return s.st, err
}

// eventRole is what a labelled line or a column says about an event.
type eventRole uint8

const (
	roleNone eventRole = iota
	roleLog
	roleSource
	roleDate
	roleID
	roleTask
	roleLevel
	roleOpcode
	roleKeywords
	roleUser
	roleComputer
	rolePID
	roleTID
	roleDescription
	roleCount
)

// The orders in which Event Viewer and wevtutil write their lines.
var (
	viewOrder = []eventRole{roleLog, roleSource, roleDate, roleID, roleTask, roleLevel, roleKeywords, roleUser, roleComputer, roleDescription}
	toolOrder = []eventRole{roleLog, roleSource, roleDate, roleID, roleTask, roleLevel, roleOpcode, roleKeywords, roleUser, roleUser, roleComputer, roleDescription}
)

// roleOf knows the labels of the English programs and PowerShell's properties.
func roleOf(name []byte) eventRole {
	var buf [24]byte
	folded := buf[:0]
	for _, c := range name {
		if c == ' ' {
			continue
		}
		if len(folded) == len(buf) {
			return roleNone
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		folded = append(folded, c)
	}
	switch string(folded) {
	case "logname":
		return roleLog
	case "source", "providername", "provider":
		return roleSource
	case "date", "timecreated", "timegenerated", "dateandtime":
		return roleDate
	case "eventid", "id", "instanceid":
		return roleID
	case "taskcategory", "taskdisplayname", "task", "category":
		return roleTask
	case "level", "leveldisplayname", "entrytype":
		return roleLevel
	case "opcode", "opcodedisplayname":
		return roleOpcode
	case "keywords", "keyword", "keywordsdisplaynames":
		return roleKeywords
	case "user", "userid", "username":
		return roleUser
	case "computer", "machinename", "computername":
		return roleComputer
	case "processid":
		return rolePID
	case "threadid":
		return roleTID
	case "description", "message":
		return roleDescription
	}
	return roleNone
}

// eventStyle is the program that wrote an event.
type eventStyle uint8

const (
	styleNone eventStyle = iota
	styleView            // Event Viewer
	styleTool            // wevtutil
	styleList            // PowerShell
)

// event is one event while its lines come in.
type event struct {
	line  int
	style eventStyle
	width int    // indentation of a list's labels
	first string // the label with which a list begins
	value [roleCount]string
	place int       // next place in the order of the style
	begun bool      // the description has begun
	text  []byte    // the description
	raw   []byte    // all lines, for a block that turns out to be no event
	xml   *xmlEvent // what the event's XML says, if it follows
}

func (e *event) set(role eventRole, value []byte) {
	switch {
	case role == roleDescription:
		e.begun = true
		if len(value) > 0 {
			e.describe(value)
		}
	case e.value[role] == "":
		e.value[role] = string(value)
	}
}

// has reports whether a role other than none was set.
func (e *event) has(role eventRole) bool {
	return role != roleNone && e.value[role] != "" || role == roleDescription && len(e.text) > 0
}

// describe adds a line to the description.
func (e *event) describe(b []byte) {
	e.begun = true
	if len(e.text)+len(b) < MaxLine {
		if len(e.text) > 0 {
			e.text = append(e.text, '\n')
		}
		e.text = append(e.text, b...)
	}
}

func (e *event) keep(line []byte) {
	if len(e.raw)+len(line) < MaxLine {
		e.raw = append(append(e.raw, line...), '\n')
	}
}

// eventText reads lines through a window that shows the three lines behind the
// one in hand: enough to recognise a block whose labels it does not know.
type eventText struct {
	fn  func(*Record) error
	st  Stats
	rec Record

	window [4][]byte
	held   int  // lines in the window
	number int  // number of the line in hand
	gap    bool // the line before was blank

	cur    *event
	xml    []byte // an <Event> that has not ended
	xmlAt  int
	csv    eventCSV
	table  eventRows // of an open table
	source string    // provider named above a table
}

func (s *eventText) push(line []byte) error {
	if s.held == len(s.window) {
		if err := s.shift(); err != nil {
			return err
		}
	}
	s.window[s.held] = append(s.window[s.held][:0], line...)
	s.held++
	return nil
}

// shift takes the oldest line out of the window.
func (s *eventText) shift() error {
	s.number++
	oldest := s.window[0]
	b := bytes.TrimSpace(oldest)
	err := s.line(oldest, b)
	s.gap = len(b) == 0
	copy(s.window[:], s.window[1:])
	s.window[len(s.window)-1] = oldest
	s.held--
	return err
}

// ahead returns the n-th line behind the one in hand without its blanks, or nil.
func (s *eventText) ahead(n int) []byte {
	if n >= s.held {
		return nil
	}
	return bytes.TrimSpace(s.window[n])
}

// line takes the line in hand; b is the same without the blanks around it.
func (s *eventText) line(line, b []byte) error {
	switch {
	case len(s.xml) > 0:
		return s.moreXML(line)
	case s.csv.partial():
		return s.row(line)
	case len(b) == 0 && s.table.open:
		s.table = eventRows{}
		return s.flush()
	case len(b) == 0:
		if s.cur != nil && len(s.cur.text) > 0 {
			s.cur.describe(nil)
		}
		return nil
	}
	if i := beginsEventXML(b); i >= 0 {
		return s.beginXML(b, i)
	}
	if s.table.open {
		switch e := s.table.row(b, s.source); {
		case e != nil:
			return s.begin(e, line)
		case ruleGroups(b) > 0:
			return nil
		case s.cur != nil && indent(line) >= s.table.message: // a wrapped message
			s.cur.describe(b)
			return nil
		}
		s.table = eventRows{}
		if err := s.flush(); err != nil {
			return err
		}
	}
	if provider, ok := s.providerAbove(b); ok {
		s.source = provider
		return s.flush()
	}
	if t, ok := eventRowsHeader(b, s.ahead(1)); ok {
		s.table = t
		return s.flush()
	}
	if e := s.start(line, b); e != nil {
		if err := s.begin(e, line); err != nil {
			return err
		}
		return s.more(line, b)
	}
	if s.cur == nil || s.cur.begun && s.cur.style == styleView {
		if taken, err := s.beginCSV(line, b); taken || err != nil {
			return err
		}
	}
	if s.cur == nil {
		return s.loose(line, s.number)
	}
	s.cur.keep(line)
	return s.more(line, b)
}

// start returns a new event if the line in hand is the first of one.
func (s *eventText) start(line, b []byte) *event {
	if isToolHeader(b) {
		return &event{style: styleTool}
	}
	name, _, spaced, ok := label(b)
	if !ok {
		return nil
	}
	role := roleOf(name)
	if s.cur != nil && s.cur.style == styleList {
		// The next object of a list begins where its first property comes
		// again, or another behind a blank line.
		if spaced && indent(line) <= s.cur.width && (string(name) == s.cur.first || s.gap && s.cur.has(role)) {
			return &event{style: styleList, width: indent(line), first: string(name)}
		}
		if spaced || indent(line) > s.cur.width {
			return nil
		}
	}
	if s.cur != nil && !s.cur.begun && !(s.cur.style == styleView && role == roleLog && s.cur.value[roleLog] != "") {
		return nil // in the middle of a header
	}
	if s.cur != nil && s.cur.style == styleTool {
		return nil // ends where the next one's number stands
	}
	following := s.following(spaced)
	switch {
	case spaced && isPropertyName(name) && following != 0 && (role != roleNone || s.cur == nil):
		return &event{style: styleList, width: indent(line), first: string(name)}
	case !spaced && role == roleLog, s.positional():
		return &event{style: styleView}
	case !spaced && (role == roleSource || role == roleDate) && following&(1<<roleID) != 0,
		!spaced && role == roleID && following != 0:
		return &event{style: styleView}
	}
	return nil
}

// positional reports whether the four lines from the one in hand on are the
// head of an event in whatever language: label: log, label: source, label: a
// date, label: a number.
func (s *eventText) positional() bool {
	if s.held < 4 {
		return false
	}
	for i := range 4 {
		_, value, _, ok := label(s.ahead(i))
		if !ok || i == 2 && !isDate(value) || i == 3 && !isEventID(value) {
			return false
		}
	}
	return true
}

// following returns the set of known labels in the next three lines, as bits.
func (s *eventText) following(spaced bool) (roles uint32) {
	for i := 1; i < 4; i++ {
		name, _, sp, ok := label(s.ahead(i))
		if !ok {
			break
		}
		if sp == spaced {
			if r := roleOf(name); r != roleNone && r != roleDescription {
				roles |= 1 << r
			}
		}
	}
	return roles
}

// providerAbove reads "ProviderName: X", the line in hand, above a table of the
// events of one provider.
func (s *eventText) providerAbove(b []byte) (provider string, ok bool) {
	if _, ok = eventRowsHeader(s.ahead(2), s.ahead(3)); !ok || len(s.ahead(1)) > 0 {
		return "", false
	}
	name, value, _, ok := label(b)
	return string(value), ok && roleOf(name) == roleSource
}

// begin ends the open event and opens e.
func (s *eventText) begin(e *event, line []byte) error {
	if err := s.flush(); err != nil {
		return err
	}
	e.line = s.number
	e.keep(line)
	s.cur = e
	return nil
}

// more takes a line of the open event.
func (s *eventText) more(line, b []byte) error {
	e := s.cur
	if labels := oneLine(b); labels != nil && !e.begun {
		for _, l := range labels {
			e.set(l.role, l.value)
		}
		return nil
	}
	if e.style == styleTool && len(e.raw) == len(line)+1 {
		return nil // "Event[0]:"
	}
	name, value, spaced, ok := label(b)
	switch {
	case e.style == styleList:
		if ok && spaced && isPropertyName(name) && indent(line) <= e.width {
			e.begun = false
			if role := roleOf(name); role != roleNone {
				e.set(role, value)
			}
		} else if e.begun {
			e.describe(b)
		}
		return nil
	case e.begun, !ok && e.value[roleID] != "":
		e.describe(b)
		return nil
	case !ok:
		return nil
	}
	order := viewOrder
	if e.style == styleTool {
		order = toolOrder
	}
	role := roleOf(name)
	if role == roleNone {
		if e.place >= len(order) {
			e.describe(b)
			return nil
		}
		role = order[e.place]
		// The label of the description has nothing behind it. A line that has
		// is the description itself.
		if role == roleDescription && len(value) > 0 {
			value = b
		}
	}
	for i := e.place; i < len(order); i++ {
		if order[i] == role {
			e.place = i + 1
			break
		}
	}
	e.set(role, value)
	return nil
}

// flush delivers the open event.
func (s *eventText) flush() error {
	e := s.cur
	if e == nil {
		return nil
	}
	s.cur = nil
	if e.xml == nil && (e.value[roleID] == "" || e.value[roleSource] == "" && e.value[roleDate] == "" && e.value[roleLog] == "") {
		n := e.line
		for line := range bytes.Lines(e.raw) {
			if err := s.loose(trimEOL(line), n); err != nil {
				return err
			}
			n++
		}
		return nil
	}
	s.rec = Record{Fields: s.rec.Fields[:0]}
	e.fill(&s.rec)
	s.st.Records++
	return s.fn(&s.rec)
}

// loose delivers a line that belongs to no event.
func (s *eventText) loose(line []byte, number int) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	s.st.Unread++
	s.rec = Record{Line: number, Text: line, Loose: true, Fields: s.rec.Fields[:0]}
	return s.fn(&s.rec)
}

// fill makes a record of the event.
func (e *event) fill(rec *Record) {
	rec.Line = e.line
	rec.Component = []byte(fullProvider(e.value[roleSource]))
	rec.Text = bytes.TrimSpace(e.text)
	rec.Level = eventLevel(e.value[roleLevel])
	rec.ID = eventID(e.value[roleID])
	rec.PID, _, _ = number([]byte(e.value[rolePID]))
	rec.TID, _, _ = number([]byte(e.value[roleTID]))
	date, _, dated := readDate([]byte(e.value[roleDate]))
	if dated {
		rec.Time, _ = date.time(false)
	}
	if e.xml != nil {
		text := rec.Text
		e.xml.fill(rec)
		if len(text) > 0 {
			rec.Text = text
		}
		if dated {
			rec.Time = wallClock(date, e.xml.time)
		}
	} else {
		rec.addField("_channel", e.value[roleLog])
		if !dated || !date.known {
			rec.addField("_date", e.value[roleDate])
		}
		describedFields(rec)
	}
	if rec.Code == 0 {
		rec.Code = failingCode(rec.Text)
	}
}

// fullProvider completes the short names that the lists of Event Viewer show.
func fullProvider(name string) string {
	const prefix = "Microsoft-Windows-"
	if name != "" && !knownProvider(name) && knownProvider(prefix+name) {
		return prefix + name
	}
	return name
}

// wallClock reads a date with the help of the same moment in UTC: the reading
// that a time zone can explain is the right one, and the zone is then known.
func wallClock(d dateOrder, utc time.Time) time.Time {
	local, ok := d.time(false)
	if utc.IsZero() {
		return local
	}
	for _, swap := range []bool{false, true} {
		t, valid := d.time(swap)
		if !valid {
			continue
		}
		// Zones stand on quarters of an hour; the header has no fractions.
		const quarter = 15 * time.Minute
		offset := t.Sub(utc).Round(quarter)
		if offset.Abs() <= 14*time.Hour && (t.Sub(utc)-offset).Abs() < 2*time.Second {
			return utc.In(time.FixedZone("", int(offset/time.Second)))
		}
	}
	if !ok {
		return utc
	}
	return local
}

// describedFields takes the update's title out of the descriptions of the
// provider Microsoft-Windows-WindowsUpdateClient. In all languages it stands
// behind a colon: the first behind the code in event 20, the last in 19, 43 and
// 44.
func describedFields(rec *Record) {
	if !bytes.HasSuffix(rec.Component, []byte("WindowsUpdateClient")) {
		return
	}
	var title []byte
	switch rec.ID {
	case 19, 43, 44:
		if i := bytes.LastIndex(rec.Text, []byte(": ")); i >= 0 {
			title = rec.Text[i+2:]
		}
	case 20:
		if i := bytes.Index(rec.Text, []byte("0x")); i >= 0 && len(rec.Text) > i+10 {
			rec.addField("errorCode", string(rec.Text[i:i+10]))
			if _, behind, ok := bytes.Cut(rec.Text[i+10:], []byte(": ")); ok {
				title = behind
			} else {
				_, title, _ = bytes.Cut(rec.Text[i+10:], []byte{':'})
			}
		}
	}
	if len(title) > 0 && !bytes.HasSuffix(title, []byte("...")) {
		rec.addField("updateTitle", string(bytes.TrimSuffix(bytes.TrimSpace(title), []byte("."))))
	}
}

// addField adds a named value unless it is empty.
func (r *Record) addField(name, value string) {
	if value != "" {
		r.Fields = append(r.Fields, Field{name, value})
	}
}

// label splits "label: value". spaced tells PowerShell's "label : value".
// Labels are short; what looks like a drive, a URL or a clock is none.
func label(b []byte) (name, value []byte, spaced, ok bool) {
	const longest = 48
	i := bytes.IndexByte(b, ':')
	width := 1
	if j := bytes.Index(b[:min(len(b), longest)], []byte("：")); j >= 0 && (i < 0 || j < i) {
		i, width = j, len("：")
	}
	if i < 1 || i > longest || b[0]-'0' <= 9 || b[0] == '<' || b[0] == '"' || b[0] == '{' {
		return nil, nil, false, false
	}
	name, value = b[:i], b[i+width:]
	if len(value) > 0 && (value[0] == '\\' || value[0] == '/' || value[0] == ':') {
		return nil, nil, false, false
	}
	// French and others put a no-break space before the colon; that is no list.
	name = bytes.TrimSuffix(name, []byte("\u00A0"))
	trimmed := bytes.TrimRight(name, " \t")
	spaced = len(trimmed) < len(name)
	return trimmed, bytes.TrimSpace(value), spaced, len(trimmed) > 0
}

// isPropertyName reports whether name can be a property of an object in PowerShell.
func isPropertyName(name []byte) bool {
	for _, c := range name {
		if !isAlnum(c) {
			return false
		}
	}
	return len(name) > 1
}

func indent(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " \t")) }

func isDate(b []byte) bool {
	_, n, ok := localDate(b)
	return ok && n == len(b)
}

// isEventID reports whether b is a number an event can have; 16 bits by the
// schema of events.
func isEventID(b []byte) bool {
	v, n, ok := number(b)
	return ok && n == len(b) && v <= 0xFFFF
}

// eventID reads an event id. Get-EventLog's InstanceId carries severity and
// facility in its upper bits.
func eventID(s string) uint32 {
	v, _, _ := number([]byte(s))
	return v & 0xFFFF
}

// eventLevel reads the level as a number or as the English programs call it.
func eventLevel(s string) Level {
	switch s {
	case "Critical", "Error", "1", "2":
		return LevelError
	case "Warning", "3":
		return LevelWarning
	case "Information", "Verbose", "0", "4", "5":
		return LevelInfo
	}
	return LevelNone
}

// isToolHeader recognises wevtutil's "Event[0]:", whatever its word for event.
func isToolHeader(b []byte) bool {
	b = bytes.TrimSuffix(b, []byte(":"))
	i := bytes.IndexByte(b, '[')
	if i < 1 || i > 40 || b[len(b)-1] != ']' || bytes.ContainsAny(b[:i], "=:\\/.") {
		return false
	}
	_, n, ok := number(b[i+1:])
	return ok && i+1+n+1 == len(b)
}

// roleValue is one part of an event written on one line.
type roleValue struct {
	role  eventRole
	value []byte
}

var oneLineLabels = []struct {
	text []byte
	role eventRole
}{
	{[]byte("Log Name:"), roleLog},
	{[]byte("Source:"), roleSource},
	{[]byte("Date:"), roleDate},
	{[]byte("Event ID:"), roleID},
	{[]byte("Task Category:"), roleTask},
	{[]byte("Level:"), roleLevel},
	{[]byte("Keywords:"), roleKeywords},
	{[]byte("User:"), roleUser},
	{[]byte("Computer:"), roleComputer},
	{[]byte("Description:"), roleDescription},
}

// oneLine splits an event whose lines were joined in copying. The labels stand
// in Event Viewer's order; fewer than three are no event.
func oneLine(b []byte) []roleValue {
	var parts []roleValue
	from, role := 0, roleNone
	at := 0
	for _, l := range oneLineLabels {
		i := bytes.Index(b[at:], l.text)
		if i < 0 || at+i > 0 && !isSpace(b[at+i-1]) {
			continue
		}
		if role != roleNone {
			parts = append(parts, roleValue{role, bytes.TrimSpace(b[from : at+i])})
		} else if at+i > 0 {
			return nil
		}
		role, from = l.role, at+i+len(l.text)
		at = from
	}
	if len(parts) < 2 {
		return nil
	}
	return append(parts, roleValue{role, bytes.TrimSpace(b[from:])})
}
