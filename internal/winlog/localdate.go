package winlog

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// localDate reads a date and a time of the day at the start of b as Windows
// shows them to people, and returns how many bytes they take. It knows
//
//	2031-02-03T04:05:06.7890000Z   2031/2/3 4:05:06   2031. 02. 03. 4:05:06
//	3.2.2031 04:05:06   03/02/2031 04:05:06   2/3/2031 4:05:06 AM
//
// What comes first, day or month, cannot always be told: dots and hyphens mean
// the day; with slashes a number above 12 decides, else AM or PM means the
// month (United States) and a 24 hour clock the day. [readDate] keeps the other
// reading for those who know better.
func localDate(b []byte) (t time.Time, n int, ok bool) {
	d, n, ok := readDate(b)
	if !ok {
		return time.Time{}, 0, false
	}
	t, ok = d.time(false)
	return t, n, ok
}

// dateOrder is a date as it was written, before day and month were told apart.
type dateOrder struct {
	year, a, b     int // a and b in the order in which they were written
	monthFirst     bool
	known          bool // the order is certain
	hour, min, sec int
	nsec           int
	zone           *time.Location // nil if none was written
}

// time returns the date; with swap, the other reading of an uncertain one.
func (d dateOrder) time(swap bool) (time.Time, bool) {
	day, month := d.a, d.b
	if d.monthFirst != (swap && !d.known) {
		day, month = month, day
	}
	t, ok := civil(d.year, month, day, d.hour, d.min, d.sec, d.nsec)
	if !ok || d.zone == nil {
		return t, ok
	}
	_, offset := t.In(d.zone).Zone()
	return t.Add(-time.Duration(offset) * time.Second).In(d.zone), true
}

// The words for the halves of the day that Windows writes in its date formats
// (CLDR, "dayPeriods"); they belong to the format, as the separators do.
var dayHalves = []struct {
	text []byte
	pm   bool
}{
	{[]byte("AM"), false},
	{[]byte("PM"), true},
	{[]byte("am"), false},
	{[]byte("pm"), true},
	{[]byte("a.m."), false},
	{[]byte("p.m."), true},
	{[]byte("a. m."), false},
	{[]byte("p. m."), true},
	{[]byte("午前"), false},
	{[]byte("午後"), true},
	{[]byte("上午"), false},
	{[]byte("下午"), true},
	{[]byte("오전"), false},
	{[]byte("오후"), true},
}

func readDate(b []byte) (d dateOrder, n int, ok bool) {
	c := cursor{b: b}
	var part [3]int
	var width [3]int
	var sep byte
	for i := range part {
		part[i], width[i] = c.number(4)
		if width[i] == 0 {
			return d, 0, false
		}
		if i == 2 {
			break
		}
		s := c.next()
		if s != '-' && s != '/' && s != '.' || i == 1 && s != sep {
			return d, 0, false
		}
		sep = s
		c.space()
	}
	switch {
	case width[0] == 4:
		d.year, d.a, d.b, d.monthFirst, d.known = part[0], part[1], part[2], true, true
		c.skip('.')
	case width[2] == 4:
		d.year, d.a, d.b = part[2], part[0], part[1]
	default:
		return d, 0, false
	}
	c.skip('T')
	c.skip(',')
	c.space()
	pm, half := c.dayHalf()
	c.space()
	var widths [3]int
	for i, p := range []*int{&d.hour, &d.min, &d.sec} {
		*p, widths[i] = c.number(2)
		if widths[i] == 0 {
			return d, 0, false
		}
		if i < 2 && !c.skip(':') && !c.skip('.') {
			if i == 1 {
				break // no seconds
			}
			return d, 0, false
		}
	}
	d.nsec, c.b = fraction(c.b)
	end := c
	if !half {
		c.space()
		if pm, half = c.dayHalf(); !half {
			c = end
		}
	}
	if half && d.hour <= 12 {
		d.hour %= 12
		if pm {
			d.hour += 12
		}
	}
	if c.skip('Z') {
		d.zone = time.UTC
	} else if offset, rest, ok := isoOffset(c.b); ok {
		d.zone, c.b = time.FixedZone("", offset), rest
	}
	if width[0] != 4 {
		switch {
		case d.b > 12:
			d.monthFirst, d.known = true, true
		case d.a > 12 || sep == '.':
			d.known = true
		case sep == '/':
			d.monthFirst = half
		}
	}
	return d, len(b) - len(c.b), true
}

// isoOffset reads "+HH:MM".
func isoOffset(b []byte) (seconds int, rest []byte, ok bool) {
	if len(b) < 6 || b[3] != ':' {
		return 0, b, false
	}
	seconds, _, ok = zoneOffset([]byte{b[0], b[1], b[2], b[4], b[5]})
	return seconds, b[6:], ok
}

// cursor walks over the parts of a date.
type cursor struct{ b []byte }

// number reads up to max digits and returns the value and how many there were.
func (c *cursor) number(max int) (v, n int) {
	for n < len(c.b) && n < max && c.b[n]-'0' <= 9 {
		v = v*10 + int(c.b[n]-'0')
		n++
	}
	c.b = c.b[n:]
	return v, n
}

func (c *cursor) next() byte {
	c.space()
	if len(c.b) == 0 {
		return 0
	}
	x := c.b[0]
	c.b = c.b[1:]
	return x
}

func (c *cursor) skip(x byte) bool {
	if len(c.b) > 0 && c.b[0] == x {
		c.b = c.b[1:]
		return true
	}
	return false
}

// space skips blanks of all kinds: Windows 11 puts U+202F before AM and PM, and
// copied dates carry the marks U+200E and U+200F.
func (c *cursor) space() {
	for len(c.b) > 0 {
		if isSpace(c.b[0]) {
			c.b = c.b[1:]
			continue
		}
		r, n := utf8.DecodeRune(c.b)
		switch r {
		case '\u00A0', '\u202F', '\u200E', '\u200F':
			c.b = c.b[n:]
			continue
		}
		return
	}
}

func (c *cursor) dayHalf() (pm, ok bool) {
	for _, h := range dayHalves {
		if bytes.HasPrefix(c.b, h.text) {
			c.b = c.b[len(h.text):]
			return h.pm, true
		}
	}
	return false, false
}
