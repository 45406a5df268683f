package winlog

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
)

// Binary XML, the encoding of events inside an event log chunk ([MS-EVEN6]
// 2.2.12 to 2.2.18, and the layout of the template definitions as Windows
// writes them). An event is as a rule an instance of a template that stands
// once in the chunk: the XML with numbered holes, followed by a table of
// values for the holes. A hole may hold binary XML again.
//
// A template is compiled once per chunk into the few assignments that matter
// here (provider, id, time, ..., named data); an event then costs one walk over
// those, and no XML is ever built.

// Tokens of binary XML; 0x40 is the flag "more follows" and is masked off.
const (
	bxEOF          = 0x00
	bxOpenElement  = 0x01
	bxCloseStart   = 0x02
	bxCloseEmpty   = 0x03
	bxEndElement   = 0x04
	bxValue        = 0x05
	bxAttribute    = 0x06
	bxCDATA        = 0x07
	bxCharRef      = 0x08
	bxEntityRef    = 0x09
	bxPITarget     = 0x0A
	bxPIData       = 0x0B
	bxTemplate     = 0x0C
	bxSubst        = 0x0D
	bxOptionalSub  = 0x0E
	bxFragment     = 0x0F
	bxMoreFollows  = 0x40
	bxTypeArray    = 0x80
	bxTemplateHead = 24 // next definition u32, GUID, size u32
)

// Types of values.
const (
	bxNull       = 0x00
	bxString     = 0x01
	bxANSIString = 0x02
	bxInt8       = 0x03
	bxUint8      = 0x04
	bxInt16      = 0x05
	bxUint16     = 0x06
	bxInt32      = 0x07
	bxUint32     = 0x08
	bxInt64      = 0x09
	bxUint64     = 0x0A
	bxFloat32    = 0x0B
	bxFloat64    = 0x0C
	bxBool       = 0x0D
	bxBinary     = 0x0E
	bxGUID       = 0x0F
	bxSize       = 0x10
	bxFileTime   = 0x11
	bxSystemTime = 0x12
	bxSID        = 0x13
	bxHex32      = 0x14
	bxHex64      = 0x15
	bxNested     = 0x21
)

// Bounds that no event of Windows comes near. bxBudget limits the work for one
// chunk of 64 KiB, in units of about a nanosecond: bytes compiled, bytes of text
// made, assignments and template instances. It stops documents that refer to
// their own parts over and over; chunks of real logs need a twentieth of it.
const (
	bxMaxDepth  = 64   // open elements
	bxMaxNest   = 8    // binary XML inside values
	bxMaxFields = 1024 // fields of one event

	bxBudget       = 4 << 20
	bxStepCost     = 16
	bxInstanceCost = 256
)

// bxPlace is where in the event document the walk stands; it decides what an
// element or attribute means.
type bxPlace uint8

const (
	placeRoot bxPlace = iota
	placeEvent
	placeSystem
	placeSystemItem
	placeEventData
	placeUser // UserData and everything else with named children
	placeIgnored
)

// bxTarget is what an assignment sets.
type bxTarget uint8

const (
	targetNone bxTarget = iota
	targetProvider
	targetEventID
	targetVersion
	targetLevel
	targetKeywords
	targetTime
	targetPID
	targetTID
	targetChannel
	targetData // a field, named or positional
	targetUser // a field of UserData; left out if all its holes are empty
	targetNest // no text of its own, but perhaps binary XML
)

// bxPart is a piece of text: a literal, or the number of a hole.
type bxPart struct {
	text string
	hole int // -1: literal
}

// bxAssign is one step of a compiled document.
type bxAssign struct {
	target bxTarget
	place  bxPlace // of binary XML found in the value
	name   string
	naming []bxPart // parts of a name that is not all literal
	parts  []bxPart
}

type bxProgram struct {
	steps []bxAssign
	ok    bool
}

type bxProgramKey struct {
	offset int
	place  bxPlace
}

// bxValueRef is a hole's value: where it lies in the chunk.
type bxValueRef struct {
	typ      byte
	off, end int
}

// bxField is a field under construction; its value lies in the arena.
type bxField struct {
	name       string
	start, end int
}

// bxEvent is what the reader takes from one event document.
type bxEvent struct {
	provider, channel string
	id                uint32
	version, level    uint8
	keywords          uint64
	time              time.Time
	pid, tid          uint32
	fields            []bxField
}

// bxReader reads the events of one chunk after the other.
type bxReader struct {
	chunk    []byte
	programs map[bxProgramKey]*bxProgram
	names    map[int]string
	interned map[string]string // across chunks: few names make up a log
	budget   int

	ev      bxEvent
	arena   []byte // values of ev's fields
	scratch []byte
	values  []bxValueRef // stack of value tables

	// wanted is asked once per event, after System and before the data.
	wanted  func(*bxEvent) bool
	asked   bool
	refused bool
}

func newBXReader() *bxReader {
	return &bxReader{
		programs: make(map[bxProgramKey]*bxProgram),
		names:    make(map[int]string),
		interned: make(map[string]string),
	}
}

// setChunk starts a new chunk; what was compiled refers to the old one.
func (r *bxReader) setChunk(chunk []byte) {
	r.chunk = chunk
	r.budget = bxBudget
	clear(r.programs)
	clear(r.names)
}

// read reads the document at chunk[off:end] into r.ev. It reports whether the
// document made sense; r.refused tells that wanted said no.
func (r *bxReader) read(off, end int) bool {
	fields := r.ev.fields[:0]
	r.ev = bxEvent{fields: fields}
	r.arena, r.values = r.arena[:0], r.values[:0]
	r.asked, r.refused = r.wanted == nil, false
	if !r.fragment(off, end, placeRoot, true, 0) {
		return false
	}
	if !r.asked {
		r.asked, r.refused = true, !r.wanted(&r.ev)
	}
	return true
}

// intern returns b as a string without allocating for what was seen before.
func (r *bxReader) intern(b []byte) string {
	if s, ok := r.interned[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(r.interned) < 1<<14 {
		r.interned[s] = s
	}
	return s
}

// spend takes n from the chunk's budget and reports whether there was enough.
func (r *bxReader) spend(n int) bool {
	r.budget -= n
	return r.budget >= 0
}

// bxCursor walks a part of the chunk; reading past the end sets bad.
type bxCursor struct {
	b        []byte
	pos, end int
	bad      bool
}

func (c *bxCursor) take(n int) int {
	p := c.pos
	if n < 0 || n > c.end-p {
		c.bad, c.pos = true, c.end
		return -1
	}
	c.pos += n
	return p
}

func (c *bxCursor) u8() byte {
	if p := c.take(1); p >= 0 {
		return c.b[p]
	}
	return 0
}

func (c *bxCursor) u16() int {
	if p := c.take(2); p >= 0 {
		return int(binary.LittleEndian.Uint16(c.b[p:]))
	}
	return 0
}

func (c *bxCursor) u32() int {
	if p := c.take(4); p >= 0 {
		return int(min(binary.LittleEndian.Uint32(c.b[p:]), math.MaxInt32))
	}
	return 0
}

// fragment reads binary XML: template instances or plain elements. dependency
// says whether open elements carry a dependency id; see compile.
func (r *bxReader) fragment(off, end int, place bxPlace, dependency bool, nest int) bool {
	if nest > bxMaxNest {
		return false
	}
	c := bxCursor{b: r.chunk, pos: off, end: min(end, len(r.chunk))}
	for c.pos < c.end && !r.refused {
		switch token := c.b[c.pos] &^ bxMoreFollows; token {
		case bxEOF:
			return true
		case bxFragment:
			c.take(4)
		case bxTemplate:
			c.pos++
			if !r.instance(&c, place, nest) {
				return false
			}
		case bxOpenElement, bxPITarget:
			// Elements outside a template: values of type binary XML have no
			// dependency ids, whole records may; the sizes tell.
			p := r.compile(c.pos, c.end, place, dependency)
			if !p.ok {
				p = r.compile(c.pos, c.end, place, !dependency)
			}
			return p.ok && r.run(p, nil, nest)
		default:
			return false
		}
		if c.bad {
			return false
		}
	}
	return true
}

// instance reads a template instance: the definition if it stands here for the
// first time, then the table of values.
func (r *bxReader) instance(c *bxCursor, place bxPlace, nest int) bool {
	c.take(1 + 4) // version, template id
	def := c.u32()
	if c.bad {
		return false
	}
	if def > len(r.chunk)-bxTemplateHead {
		return false
	}
	size := int(min(binary.LittleEndian.Uint32(r.chunk[def+20:]), math.MaxInt32))
	if size > len(r.chunk)-def-bxTemplateHead {
		return false
	}
	if def == c.pos {
		c.take(bxTemplateHead + size)
	}
	key := bxProgramKey{def, place}
	p := r.programs[key]
	if p == nil {
		p = r.compile(def+bxTemplateHead, def+bxTemplateHead+size, place, true)
		r.programs[key] = p
	}
	count := c.u32()
	if c.bad || !p.ok || count > (c.end-c.pos)/4 {
		return false
	}
	table := c.take(4 * count)
	base := len(r.values)
	if !r.spend(bxInstanceCost + count) {
		return false
	}
	for i := range count {
		d := c.b[table+4*i:]
		n := int(binary.LittleEndian.Uint16(d))
		off := c.take(n)
		if off < 0 {
			return false
		}
		r.values = append(r.values, bxValueRef{typ: d[2], off: off, end: off + n})
	}
	ok := r.run(p, r.values[base:], nest)
	r.values = r.values[:base]
	return ok
}

// name reads the name structure at off: next u32, hash u16, length u16, text, NUL.
func (r *bxReader) name(off int) (string, bool) {
	if s, ok := r.names[off]; ok {
		return s, true
	}
	if off > len(r.chunk)-8 {
		return "", false
	}
	n := 2 * int(binary.LittleEndian.Uint16(r.chunk[off+6:]))
	if n > len(r.chunk)-off-8 || n > 1024 {
		return "", false
	}
	r.scratch = appendUTF16(r.scratch[:0], r.chunk[off+8:off+8+n])
	s := r.intern(r.scratch)
	r.names[off] = s
	return s, true
}

// nameAt reads the offset of a name and passes over the name if it stands here.
func (r *bxReader) nameAt(c *bxCursor) string {
	off := c.u32()
	if c.bad {
		return ""
	}
	s, ok := r.name(off)
	if !ok {
		c.bad = true
		return ""
	}
	if off == c.pos {
		c.take(6)
		c.take(2*c.u16() + 2)
	}
	return s
}

// bxElement is an open element during compilation.
type bxElement struct {
	name   string
	place  bxPlace // of its children
	target bxTarget
	field  string
	naming []bxPart
	parts  []bxPart
}

// compile turns the elements at chunk[off:end] into assignments. dependency:
// open elements carry a 16-bit dependency id, as they do in templates.
func (r *bxReader) compile(off, end int, place bxPlace, dependency bool) *bxProgram {
	p := &bxProgram{}
	if !r.spend(end - off) {
		return p
	}
	c := bxCursor{b: r.chunk, pos: off, end: end}
	var open []bxElement
	var attribute string
	var attributeParts []bxPart
	inAttribute := false

	endAttribute := func() {
		if inAttribute && len(open) > 0 {
			top := &open[len(open)-1]
			r.attribute(p, top, attribute, attributeParts)
		}
		inAttribute, attributeParts = false, nil
	}
	add := func(part bxPart) {
		switch {
		case inAttribute:
			attributeParts = append(attributeParts, part)
		case len(open) > 0:
			top := &open[len(open)-1]
			top.parts = append(top.parts, part)
		}
	}
	closeElement := func() bool {
		endAttribute()
		if len(open) == 0 {
			return false
		}
		top := &open[len(open)-1]
		if top.target != targetNone && (len(top.parts) > 0 || top.target == targetData) {
			p.steps = append(p.steps, bxAssign{
				target: top.target, place: top.place,
				name: top.field, naming: top.naming, parts: top.parts,
			})
		}
		open = open[:len(open)-1]
		return true
	}

	for !c.bad && c.pos < c.end {
		raw := c.u8()
		switch raw &^ bxMoreFollows {
		case bxEOF:
			p.ok = len(open) == 0
			return p
		case bxFragment:
			c.take(3)
		case bxOpenElement:
			if dependency {
				c.take(2)
			}
			if size := c.u32(); size > c.end-c.pos {
				return p
			}
			name := r.nameAt(&c)
			if raw&bxMoreFollows != 0 {
				c.take(4) // size of the attribute list
			}
			if c.bad || len(open) >= bxMaxDepth {
				return p
			}
			parent := place
			if len(open) > 0 {
				parent = open[len(open)-1].place
			}
			open = append(open, newBXElement(parent, name))
		case bxAttribute:
			endAttribute()
			attribute, inAttribute = r.nameAt(&c), true
		case bxCloseStart:
			endAttribute()
		case bxCloseEmpty, bxEndElement:
			if !closeElement() {
				return p
			}
			if len(open) == 0 && c.pos >= c.end {
				p.ok = !c.bad
				return p
			}
		case bxValue:
			if c.u8() != bxString {
				return p
			}
			add(r.literal(&c))
		case bxCDATA:
			add(r.literal(&c))
		case bxCharRef:
			add(bxPart{text: string(rune(c.u16())), hole: -1})
		case bxEntityRef:
			add(bxPart{text: entity(r.nameAt(&c)), hole: -1})
		case bxPITarget:
			r.nameAt(&c)
		case bxPIData:
			c.take(2 * c.u16())
		case bxSubst, bxOptionalSub:
			hole := c.u16()
			c.take(1)
			add(bxPart{hole: hole})
		default:
			return p
		}
	}
	p.ok = !c.bad && len(open) == 0
	return p
}

// literal reads a counted text.
func (r *bxReader) literal(c *bxCursor) bxPart {
	n := 2 * c.u16()
	off := c.take(n)
	if off < 0 {
		return bxPart{hole: -1}
	}
	r.scratch = appendUTF16(r.scratch[:0], c.b[off:off+n])
	return bxPart{text: r.intern(r.scratch), hole: -1}
}

func entity(name string) string {
	switch name {
	case "amp":
		return "&"
	case "lt":
		return "<"
	case "gt":
		return ">"
	case "quot":
		return `"`
	case "apos":
		return "'"
	}
	return "&" + name + ";"
}

// newBXElement says what an element means at its place. The schema of events is
// on learn.microsoft.com, "EventType complex type".
func newBXElement(parent bxPlace, name string) bxElement {
	e := bxElement{name: name, place: placeIgnored}
	switch parent {
	case placeRoot:
		if name == "Event" {
			e.place, e.target = placeEvent, targetNest
		}
	case placeEvent:
		switch name {
		case "System":
			e.place = placeSystem
		case "EventData":
			e.place, e.target = placeEventData, targetNest
		case "UserData", "DebugData", "ProcessingErrorData":
			e.place, e.target = placeUser, targetNest
		}
	case placeSystem:
		e.place = placeSystemItem
		switch name {
		case "EventID":
			e.target = targetEventID
		case "Version":
			e.target = targetVersion
		case "Level":
			e.target = targetLevel
		case "Keywords":
			e.target = targetKeywords
		case "Channel":
			e.target = targetChannel
		}
	case placeEventData:
		e.place, e.target = placeUser, targetData
		if name != "Data" {
			e.field = name // Binary, ComplexData
		}
	case placeUser:
		e.place, e.target, e.field = placeUser, targetUser, name
	}
	return e
}

// attribute adds what an attribute assigns.
func (r *bxReader) attribute(p *bxProgram, e *bxElement, name string, parts []bxPart) {
	target := targetNone
	switch {
	case e.place == placeSystemItem:
		switch e.name + "." + name {
		case "Provider.Name":
			target = targetProvider
		case "TimeCreated.SystemTime":
			target = targetTime
		case "Execution.ProcessID":
			target = targetPID
		case "Execution.ThreadID":
			target = targetTID
		}
	case e.target == targetData && name == "Name":
		if len(parts) == 1 && parts[0].hole < 0 {
			e.field = parts[0].text
		} else {
			e.naming = parts
		}
	case e.target == targetUser && !strings.HasPrefix(name, "xmlns"):
		p.steps = append(p.steps, bxAssign{target: targetUser, place: placeIgnored, name: r.intern([]byte(e.name + "." + name)), parts: parts})
		return
	}
	if target != targetNone {
		p.steps = append(p.steps, bxAssign{target: target, place: placeIgnored, parts: parts})
	}
}

// run carries a compiled document out.
func (r *bxReader) run(p *bxProgram, values []bxValueRef, nest int) bool {
	if !r.spend(bxStepCost * len(p.steps)) {
		return false
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.target >= targetData && !r.asked {
			r.asked = true
			r.refused = !r.wanted(&r.ev)
		}
		if r.refused {
			return true
		}
		if !r.step(s, values, nest) {
			return false
		}
	}
	return true
}

func (r *bxReader) step(s *bxAssign, values []bxValueRef, nest int) bool {
	switch s.target {
	case targetProvider:
		r.ev.provider = r.word(s.parts, values)
	case targetChannel:
		r.ev.channel = r.word(s.parts, values)
	case targetEventID:
		r.ev.id = uint32(r.integer(s.parts, values)) & 0xFFFF
	case targetVersion:
		r.ev.version = uint8(r.integer(s.parts, values))
	case targetLevel:
		r.ev.level = uint8(r.integer(s.parts, values))
	case targetKeywords:
		r.ev.keywords = r.integer(s.parts, values)
	case targetPID:
		r.ev.pid = uint32(r.integer(s.parts, values))
	case targetTID:
		r.ev.tid = uint32(r.integer(s.parts, values))
	case targetTime:
		r.ev.time = r.timeOf(s.parts, values)
	case targetNest:
		return r.nested(s, values, nest)
	case targetData, targetUser:
		return r.field(s, values, nest)
	}
	return true
}

// value returns the value of a hole; holes without one are null.
func value(part bxPart, values []bxValueRef) bxValueRef {
	if part.hole < 0 || part.hole >= len(values) {
		return bxValueRef{}
	}
	return values[part.hole]
}

// nested reads the binary XML among the values of a step.
func (r *bxReader) nested(s *bxAssign, values []bxValueRef, nest int) bool {
	for _, part := range s.parts {
		if v := value(part, values); v.typ == bxNested && v.end > v.off {
			if !r.fragment(v.off, v.end, s.place, false, nest+1) {
				return false
			}
		}
	}
	return true
}

// field appends a field of the event.
func (r *bxReader) field(s *bxAssign, values []bxValueRef, nest int) bool {
	name := s.name
	if s.naming != nil {
		name = r.word(s.naming, values)
	}
	// Classic events have one nameless Data element whose value is the list of
	// all insertion strings.
	if name == "" && len(s.parts) == 1 {
		if v := value(s.parts[0], values); v.typ == bxString|bxTypeArray {
			return r.strings(v)
		}
	}
	start, empty, hasNested := len(r.arena), true, false
	for _, part := range s.parts {
		if part.hole < 0 {
			r.arena = append(r.arena, part.text...)
			empty = empty && part.text == ""
			continue
		}
		v := value(part, values)
		switch {
		case v.typ == bxNested:
			hasNested = true
		case v.typ != bxNull:
			empty = false
			r.arena = appendValue(r.arena, r.chunk, v)
		}
	}
	if !r.spend(len(r.arena) - start) {
		return false
	}
	if !(empty && (hasNested || s.target == targetUser)) {
		if !r.addField(name, start) {
			return false
		}
	}
	return !hasNested || r.nested(s, values, nest)
}

func (r *bxReader) addField(name string, start int) bool {
	if len(r.ev.fields) >= bxMaxFields {
		return false
	}
	r.ev.fields = append(r.ev.fields, bxField{name, start, len(r.arena)})
	return true
}

// strings adds one positional field per string of an array; the strings end in
// NUL, the last one perhaps not.
func (r *bxReader) strings(v bxValueRef) bool {
	b := r.chunk[v.off:v.end]
	if !r.spend(len(b)) {
		return false
	}
	for len(b) >= 2 {
		n := utf16Len(b)
		start := len(r.arena)
		r.arena = appendUTF16(r.arena, b[:n])
		if !r.addField("", start) {
			return false
		}
		b = b[min(n+2, len(b)):]
	}
	return true
}

// utf16Len returns the length in bytes of the text before the first NUL.
func utf16Len(b []byte) int {
	n := 0
	for n+1 < len(b) && (b[n] != 0 || b[n+1] != 0) {
		n += 2
	}
	return n
}

// word returns a short text: a provider, a channel, a name.
func (r *bxReader) word(parts []bxPart, values []bxValueRef) string {
	if len(parts) == 1 && parts[0].hole < 0 {
		return parts[0].text
	}
	b := r.scratch[:0]
	for _, part := range parts {
		if part.hole < 0 {
			b = append(b, part.text...)
		} else {
			b = appendValue(b, r.chunk, value(part, values))
		}
	}
	r.scratch = b
	if !r.spend(len(b)) {
		return ""
	}
	return r.intern(b)
}

// integer returns a number, whether it is stored as one or written as text.
func (r *bxReader) integer(parts []bxPart, values []bxValueRef) uint64 {
	if len(parts) == 0 {
		return 0
	}
	if parts[0].hole >= 0 {
		v := value(parts[0], values)
		if n, ok := integerValue(r.chunk[v.off:v.end], v.typ); ok {
			return n
		}
	}
	n, _ := strconv.ParseUint(r.word(parts, values), 0, 64)
	return n
}

func (r *bxReader) timeOf(parts []bxPart, values []bxValueRef) time.Time {
	if len(parts) == 1 && parts[0].hole >= 0 {
		v := value(parts[0], values)
		b := r.chunk[v.off:v.end]
		switch {
		case v.typ == bxFileTime && len(b) == 8:
			return fileTime(binary.LittleEndian.Uint64(b))
		case v.typ == bxSystemTime && len(b) == 16:
			t, _ := systemTime(b)
			return t
		}
	}
	t, _ := time.Parse(time.RFC3339Nano, r.word(parts, values))
	return t.UTC()
}
