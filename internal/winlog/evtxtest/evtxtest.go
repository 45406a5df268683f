// Package evtxtest writes event log files (.evtx) as Windows writes them, for
// tests and for the lab: file header, 64 KiB chunks with their hash tables and
// checksums, and records whose binary XML is an instance of a template that
// stands once in each chunk. The data of an event is a second template inside
// the first one's last value, as it is in real logs.
package evtxtest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// Field is one value of an event's data.
type Field struct {
	Name string // empty: an insertion string of a classic event
	// Value is a string, bool, any sized integer, [Hex32], [Hex64], [GUID],
	// [SID], time.Time (a FILETIME), []byte or []string.
	Value any
}

// Hex32 is a win:HexInt32, Hex64 a win:HexInt64: Windows shows them as 0x...
type (
	Hex32 uint32
	Hex64 uint64
)

// GUID is a GUID as text, with or without braces.
type GUID string

// SID is a security identifier as text: S-1-5-18.
type SID string

// Event is one event. Zero values are written as Windows writes absent ones.
type Event struct {
	Provider  string
	Channel   string
	ID        uint32
	Qualifier uint16 // high half of the id of a classic event
	Version   uint8
	Level     uint8 // 1 critical, 2 error, 3 warning, 4 information
	Keywords  uint64
	PID, TID  uint32
	RecordID  uint64 // 0: one more than the event before
	Time      time.Time
	Computer  string // "COMPUTER" if empty: Windows never leaves it out
	User      SID

	// Data are the children of EventData or, if UserData is set, of an element
	// of that name inside UserData. If no field of an event has a name, the
	// values are written as one list of strings, as for classic events. An
	// event without data has an empty EventData, as Windows writes it.
	Data     []Field
	UserData string
}

const (
	headerSize  = 4096
	chunkSize   = 64 << 10
	firstRecord = 512
	recordHead  = 24
)

// Write writes a log with the events in their order. An event that does not fit
// into a chunk of its own is an error.
func Write(w io.Writer, events []Event) error { return write(w, events, 0) }

// WriteRing writes the log as Windows leaves it after the log was full and
// started over: the file begins with the chunk that follows the first n ones.
func WriteRing(w io.Writer, events []Event, n int) error { return write(w, events, n) }

func write(w io.Writer, events []Event, rotate int) error {
	var chunks [][]byte
	c := newChunk()
	id, number := uint64(0), uint64(0)
	for i := range events {
		ev := events[i]
		if ev.RecordID == 0 {
			ev.RecordID = id + 1
		}
		id, number = ev.RecordID, number+1
		err := c.add(&ev, number)
		if errors.Is(err, errFull) && c.count > 0 {
			chunks = append(chunks, c.finish())
			c = newChunk()
			err = c.add(&ev, number)
		}
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	chunks = append(chunks, c.finish())

	first := 0
	if len(chunks) > 0 && rotate > 0 {
		rotate %= len(chunks)
		first = (len(chunks) - rotate) % len(chunks)
		chunks = append(append([][]byte(nil), chunks[rotate:]...), chunks[:rotate]...)
	}
	last := (first + len(chunks) - 1) % len(chunks)
	if _, err := w.Write(fileHeader(len(chunks), first, last, id+1)); err != nil {
		return err
	}
	for _, b := range chunks {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func fileHeader(chunks, first, last int, next uint64) []byte {
	b := make([]byte, headerSize)
	copy(b, "ElfFile\x00")
	le.PutUint64(b[8:], uint64(first))
	le.PutUint64(b[16:], uint64(last))
	le.PutUint64(b[24:], next)
	le.PutUint32(b[32:], 128)
	le.PutUint16(b[36:], 1) // version 3.1
	le.PutUint16(b[38:], 3)
	le.PutUint16(b[40:], headerSize)
	le.PutUint16(b[42:], uint16(chunks))
	le.PutUint32(b[124:], crc32.ChecksumIEEE(b[:120]))
	return b
}

var le = binary.LittleEndian

var errFull = errors.New("does not fit into a chunk")

// chunk is a chunk being filled.
type chunk struct {
	b         []byte
	names     map[string]int // offsets of the name structures
	templates map[string]int // offsets of the template definitions
	order     []int          // template offsets in the order they were written
	nameOrder []string
	count     int
	first     [2]uint64 // number and id
	last      [2]uint64
	lastAt    int
}

func newChunk() *chunk {
	return &chunk{b: make([]byte, firstRecord), names: map[string]int{}, templates: map[string]int{}}
}

// add appends a record, or leaves the chunk as it was.
func (c *chunk) add(ev *Event, number uint64) error {
	start, names, templates := len(c.b), len(c.nameOrder), len(c.order)
	err := c.record(ev)
	if err == nil && len(c.b) > chunkSize {
		err = errFull
	}
	if err != nil {
		c.b = c.b[:start]
		for _, n := range c.nameOrder[names:] {
			delete(c.names, n)
		}
		for k, off := range c.templates {
			if off >= start {
				delete(c.templates, k)
			}
		}
		c.nameOrder, c.order = c.nameOrder[:names], c.order[:templates]
		return err
	}
	if c.count == 0 {
		c.first = [2]uint64{number, ev.RecordID}
	}
	c.last, c.lastAt = [2]uint64{number, ev.RecordID}, start
	c.count++
	return nil
}

// finish fills the header and pads the chunk.
func (c *chunk) finish() []byte {
	// Chains of names and templates with the same hash start in the tables.
	for _, n := range c.nameOrder {
		off := c.names[n]
		slot := c.b[128+4*(int(le.Uint16(c.b[off+4:]))%64):]
		copy(c.b[off:off+4], slot[:4])
		le.PutUint32(slot, uint32(off))
	}
	for _, off := range c.order {
		slot := c.b[384+4*(le.Uint32(c.b[off+4:])%32):]
		copy(c.b[off:off+4], slot[:4])
		le.PutUint32(slot, uint32(off))
	}
	b := c.b
	copy(b, "ElfChnk\x00")
	if c.count == 0 {
		c.first, c.last = [2]uint64{1, ^uint64(0)}, [2]uint64{^uint64(0), ^uint64(0)}
	}
	le.PutUint64(b[8:], c.first[0])
	le.PutUint64(b[16:], c.last[0])
	le.PutUint64(b[24:], c.first[1])
	le.PutUint64(b[32:], c.last[1])
	le.PutUint32(b[40:], 128)
	le.PutUint32(b[44:], uint32(c.lastAt))
	le.PutUint32(b[48:], uint32(len(b)))
	le.PutUint32(b[52:], crc32.ChecksumIEEE(b[firstRecord:]))
	sum := crc32.NewIEEE()
	sum.Write(b[:120])
	sum.Write(b[128:firstRecord])
	le.PutUint32(b[124:], sum.Sum32())
	return append(b, make([]byte, chunkSize-len(b))...)
}

// Types of values in binary XML, [MS-EVEN6] 2.2.12.
const (
	typeNull     = 0x00
	typeString   = 0x01
	typeInt8     = 0x03
	typeUint8    = 0x04
	typeInt16    = 0x05
	typeUint16   = 0x06
	typeInt32    = 0x07
	typeUint32   = 0x08
	typeInt64    = 0x09
	typeUint64   = 0x0A
	typeBool     = 0x0D
	typeBinary   = 0x0E
	typeGUID     = 0x0F
	typeFileTime = 0x11
	typeSID      = 0x13
	typeHex32    = 0x14
	typeHex64    = 0x15
	typeNested   = 0x21
	typeStrings  = 0x81
)

// value is a value of a template instance.
type value struct {
	typ  byte
	data []byte
}

func (c *chunk) record(ev *Event) error {
	start := len(c.b)
	c.u32(0x2A2A)
	c.u32(0)
	c.u64(ev.RecordID)
	c.u64(fileTime(ev.Time))
	c.b = append(c.b, 0x0F, 1, 1, 0)

	values := []value{
		{typeUint8, []byte{ev.Level}},
		{typeUint8, []byte{0}}, // opcode
		{typeUint16, u16(0)},   // task
		{typeUint16, u16(int(ev.ID))},
		{typeHex64, u64(ev.Keywords)},
		{typeFileTime, u64(fileTime(ev.Time))},
		{typeUint32, u32(ev.PID)},
		{typeUint32, u32(ev.TID)},
		{typeUint64, u64(ev.RecordID)},
		{typeUint8, []byte{ev.Version}},
		{typeNull, nil}, // user
		{typeUint16, u16(int(ev.Qualifier))},
		{typeString, utf16LE(cmp.Or(ev.Computer, "COMPUTER"))},
		{typeNull, nil},   // activity
		{typeNested, nil}, // data
	}
	if ev.User != "" {
		sid, err := encodeSID(ev.User)
		if err != nil {
			return err
		}
		values[holeUser] = value{typeSID, sid}
	}
	if ev.Qualifier == 0 {
		values[holeQualifier] = value{}
	}
	data, err := dataValues(ev)
	if err != nil {
		return err
	}

	// The nested fragment comes last. Its template is defined inside it and
	// refers to its own offset, so it is written in place, and its length is
	// filled in when it is known.
	lengthAt := c.instance("event\x00"+ev.Provider+"\x00"+ev.Channel, eventTemplate(ev), values)
	at := len(c.b)
	c.b = append(c.b, 0x0F, 1, 1, 0)
	c.instance(dataKey(ev, data), dataTemplate(ev, data), data)
	c.b = append(c.b, 0)
	n := len(c.b) - at
	if n > 0xFFFF {
		return errFull
	}
	le.PutUint16(c.b[lengthAt:], uint16(n))
	c.b = append(c.b, 0)
	for (len(c.b)+4-start)%8 != 0 {
		c.b = append(c.b, 0)
	}
	size := uint32(len(c.b) + 4 - start)
	c.u32(size)
	le.PutUint32(c.b[start+4:], size)
	return nil
}

// instance writes a template instance with its values and returns the offset of
// the last value's descriptor.
func (c *chunk) instance(key string, root element, values []value) int {
	h := fnv.New128a()
	io.WriteString(h, key)
	guid := h.Sum(nil)

	c.b = append(c.b, 0x0C, 1)
	c.b = append(c.b, guid[:4]...)
	def, known := c.templates[key]
	if !known {
		def = len(c.b) + 4
		c.templates[key] = def
		c.order = append(c.order, def)
	}
	c.u32(uint32(def))
	if !known {
		c.u32(0) // next in the chain
		c.b = append(c.b, guid...)
		c.u32(0) // size
		body := len(c.b)
		c.b = append(c.b, 0x0F, 1, 1, 0)
		c.element(root)
		c.b = append(c.b, 0)
		le.PutUint32(c.b[def+20:], uint32(len(c.b)-body))
	}
	c.u32(uint32(len(values)))
	last := 0
	for _, v := range values {
		last = len(c.b)
		c.b = append(c.b, byte(len(v.data)), byte(len(v.data)>>8), v.typ, 0)
	}
	for _, v := range values {
		c.b = append(c.b, v.data...)
	}
	return last
}

// element of a template. Its content is a literal text, a hole, or children.
type element struct {
	name     string
	attrs    []attr
	text     string
	hole     *hole
	children []element
}

type attr struct {
	name string
	text string
	hole *hole
}

// hole is a substitution; optional ones vanish when their value is null.
type hole struct {
	id       int
	typ      byte
	optional bool
}

// Holes of the event template.
const (
	holeLevel = iota
	holeOpcode
	holeTask
	holeID
	holeKeywords
	holeTime
	holePID
	holeTID
	holeRecord
	holeVersion
	holeUser
	holeQualifier
	holeComputer
	holeActivity
	holeData
)

func eventTemplate(ev *Event) element {
	sub := func(id int, typ byte) *hole { return &hole{id, typ, false} }
	opt := func(id int, typ byte) *hole { return &hole{id, typ, true} }
	system := element{name: "System", children: []element{
		{name: "Provider", attrs: []attr{{name: "Name", text: ev.Provider}}},
		{name: "EventID", attrs: []attr{{name: "Qualifiers", hole: opt(holeQualifier, typeUint16)}}, hole: sub(holeID, typeUint16)},
		{name: "Version", hole: sub(holeVersion, typeUint8)},
		{name: "Level", hole: sub(holeLevel, typeUint8)},
		{name: "Task", hole: sub(holeTask, typeUint16)},
		{name: "Opcode", hole: sub(holeOpcode, typeUint8)},
		{name: "Keywords", hole: sub(holeKeywords, typeHex64)},
		{name: "TimeCreated", attrs: []attr{{name: "SystemTime", hole: sub(holeTime, typeFileTime)}}},
		{name: "EventRecordID", hole: sub(holeRecord, typeUint64)},
		{name: "Correlation", attrs: []attr{{name: "ActivityID", hole: opt(holeActivity, typeGUID)}}},
		{name: "Execution", attrs: []attr{
			{name: "ProcessID", hole: sub(holePID, typeUint32)}, {name: "ThreadID", hole: sub(holeTID, typeUint32)},
		}},
		{name: "Channel", text: ev.Channel},
		{name: "Computer", hole: sub(holeComputer, typeString)},
		{name: "Security", attrs: []attr{{name: "UserID", hole: opt(holeUser, typeSID)}}},
	}}
	return element{
		name:     "Event",
		attrs:    []attr{{name: "xmlns", text: "http://schemas.microsoft.com/win/2004/08/events/event"}},
		children: []element{system, {hole: opt(holeData, typeNested)}},
	}
}

// classic tells that no field has a name.
func classic(ev *Event) bool {
	if ev.UserData != "" {
		return false
	}
	for _, f := range ev.Data {
		if f.Name != "" {
			return false
		}
	}
	return true
}

func dataKey(ev *Event, values []value) string {
	var k strings.Builder
	fmt.Fprintf(&k, "data\x00%s\x00%d\x00%d\x00%s", ev.Provider, ev.ID, ev.Version, ev.UserData)
	for i, v := range values {
		name := ""
		if !classic(ev) {
			name = ev.Data[i].Name
		}
		fmt.Fprintf(&k, "\x00%s\x00%d", name, v.typ)
	}
	return k.String()
}

func dataTemplate(ev *Event, values []value) element {
	var fields []element
	for i, v := range values {
		typ := v.typ
		if typ == typeNull {
			typ = typeString // a template has no null type, only its values
		}
		f := element{name: "Data", hole: &hole{i, typ, v.typ == typeNull}}
		if !classic(ev) {
			switch name := ev.Data[i].Name; {
			case ev.UserData != "":
				f.name = name
			case name == "Binary":
				f.name = name
			case name != "":
				f.attrs = []attr{{name: "Name", text: name}}
			}
		}
		fields = append(fields, f)
	}
	if ev.UserData == "" {
		return element{name: "EventData", children: fields}
	}
	return element{name: "UserData", children: []element{{
		name:     ev.UserData,
		attrs:    []attr{{name: "xmlns", text: "http://manifests.microsoft.com/win/2004/08/windows/events"}},
		children: fields,
	}}}
}

func dataValues(ev *Event) ([]value, error) {
	if classic(ev) && len(ev.Data) > 0 {
		var list []byte
		for _, f := range ev.Data {
			s, ok := f.Value.(string)
			if !ok {
				return nil, fmt.Errorf("insertion string of type %T", f.Value)
			}
			list = append(append(list, utf16LE(s)...), 0, 0)
		}
		return []value{{typeStrings, list}}, nil
	}
	var values []value
	for _, f := range ev.Data {
		v, err := encode(f.Value)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		if len(v.data) > 0xFFFF {
			return nil, errFull
		}
		values = append(values, v)
	}
	return values, nil
}

func encode(v any) (value, error) {
	switch v := v.(type) {
	case nil:
		return value{typeNull, nil}, nil
	case string:
		return value{typeString, utf16LE(v)}, nil
	case bool:
		n := uint32(0)
		if v {
			n = 1
		}
		return value{typeBool, u32(n)}, nil
	case int8:
		return value{typeInt8, []byte{byte(v)}}, nil
	case uint8:
		return value{typeUint8, []byte{v}}, nil
	case int16:
		return value{typeInt16, u16(int(v))}, nil
	case uint16:
		return value{typeUint16, u16(int(v))}, nil
	case int32:
		return value{typeInt32, u32(uint32(v))}, nil
	case uint32:
		return value{typeUint32, u32(v)}, nil
	case int:
		return value{typeInt32, u32(uint32(v))}, nil
	case int64:
		return value{typeInt64, u64(uint64(v))}, nil
	case uint64:
		return value{typeUint64, u64(v)}, nil
	case Hex32:
		return value{typeHex32, u32(uint32(v))}, nil
	case Hex64:
		return value{typeHex64, u64(uint64(v))}, nil
	case GUID:
		b, err := encodeGUID(v)
		return value{typeGUID, b}, err
	case SID:
		b, err := encodeSID(v)
		return value{typeSID, b}, err
	case time.Time:
		return value{typeFileTime, u64(fileTime(v))}, nil
	case []byte:
		return value{typeBinary, v}, nil
	case []string:
		var b []byte
		for _, s := range v {
			b = append(append(b, utf16LE(s)...), 0, 0)
		}
		return value{typeStrings, b}, nil
	}
	return value{}, fmt.Errorf("no encoding for %T", v)
}

// element writes an element of a template: open (with dependency id and size),
// attributes, content, end.
func (c *chunk) element(e element) {
	if e.name == "" { // a bare hole between elements
		c.substitution(e.hole)
		return
	}
	token := byte(0x01)
	if len(e.attrs) > 0 {
		token |= 0x40
	}
	c.b = append(c.b, token, 0xFF, 0xFF)
	sizeAt := len(c.b)
	c.u32(0)
	c.name(e.name)
	if len(e.attrs) > 0 {
		listAt := len(c.b)
		c.u32(0)
		for i, a := range e.attrs {
			token := byte(0x06)
			if i < len(e.attrs)-1 {
				token |= 0x40
			}
			c.b = append(c.b, token)
			c.name(a.name)
			c.content(a.text, a.hole)
		}
		le.PutUint32(c.b[listAt:], uint32(len(c.b)-listAt-4))
	}
	if e.text == "" && e.hole == nil && len(e.children) == 0 {
		c.b = append(c.b, 0x03)
	} else {
		c.b = append(c.b, 0x02)
		c.content(e.text, e.hole)
		for _, child := range e.children {
			c.element(child)
		}
		c.b = append(c.b, 0x04)
	}
	le.PutUint32(c.b[sizeAt:], uint32(len(c.b)-sizeAt-4))
}

func (c *chunk) content(text string, h *hole) {
	if text != "" {
		s := utf16LE(text)
		c.b = append(c.b, 0x05, typeString, byte(len(s)/2), byte(len(s)/2>>8))
		c.b = append(c.b, s...)
	}
	if h != nil {
		c.substitution(h)
	}
}

func (c *chunk) substitution(h *hole) {
	token := byte(0x0D)
	if h.optional {
		token = 0x0E
	}
	c.b = append(c.b, token, byte(h.id), byte(h.id>>8), h.typ)
}

// name writes the offset of a name, and the name itself the first time.
func (c *chunk) name(s string) {
	off, known := c.names[s]
	if known {
		c.u32(uint32(off))
		return
	}
	off = len(c.b) + 4
	c.names[s] = off
	c.nameOrder = append(c.nameOrder, s)
	c.u32(uint32(off))
	text := utf16LE(s)
	var hash uint32
	for i := 0; i < len(text); i += 2 {
		hash = hash*65599 + uint32(le.Uint16(text[i:]))
	}
	c.u32(0) // next in the chain
	c.b = append(c.b, byte(hash), byte(hash>>8), byte(len(text)/2), byte(len(text)/2>>8))
	c.b = append(append(c.b, text...), 0, 0)
}

func (c *chunk) u32(v uint32) { c.b = le.AppendUint32(c.b, v) }
func (c *chunk) u64(v uint64) { c.b = le.AppendUint64(c.b, v) }

func u16(v int) []byte    { return le.AppendUint16(nil, uint16(v)) }
func u32(v uint32) []byte { return le.AppendUint32(nil, v) }
func u64(v uint64) []byte { return le.AppendUint64(nil, v) }

func utf16LE(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}

func fileTime(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix()*1e7+int64(t.Nanosecond()/100)) + 116444736000000000
}

func encodeGUID(g GUID) ([]byte, error) {
	s := strings.ReplaceAll(strings.Trim(string(g), "{}"), "-", "")
	var b [16]byte
	if len(s) != 32 {
		return nil, fmt.Errorf("no GUID: %q", g)
	}
	for i := range b {
		v, err := strconv.ParseUint(s[2*i:2*i+2], 16, 8)
		if err != nil {
			return nil, fmt.Errorf("no GUID: %q", g)
		}
		b[i] = byte(v)
	}
	b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]
	return b[:], nil
}

func encodeSID(s SID) ([]byte, error) {
	part := strings.Split(string(s), "-")
	if len(part) < 3 || len(part) > 18 || part[0] != "S" || part[1] != "1" {
		return nil, fmt.Errorf("no SID: %q", s)
	}
	authority, err := strconv.ParseUint(part[2], 10, 48)
	if err != nil {
		return nil, fmt.Errorf("no SID: %q", s)
	}
	var b bytes.Buffer
	b.Write([]byte{1, byte(len(part) - 3)})
	b.Write(binary.BigEndian.AppendUint64(nil, authority)[2:])
	for _, p := range part[3:] {
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("no SID: %q", s)
		}
		b.Write(u32(uint32(v)))
	}
	return b.Bytes(), nil
}
