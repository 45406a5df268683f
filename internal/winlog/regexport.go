package winlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Registry exports, in the two forms in which they reach a ticket:
//
//	Windows Registry Editor Version 5.00      UTF-16, or
//	REGEDIT4                                  in the machine's ANSI code page
//
//	[HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam]
//	@="default value"
//	"Text"="C:\\with \"escapes\""
//	"Number"=dword:0000001f
//	"Bytes"=hex:01,02,\
//	  03
//	"List"=hex(7):61,00,00,00,00,00
//	"Gone"=-
//	[-HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam\Gone]
//
// and the output of reg query, whose messages and whose name for the default
// value are translated, but not its types:
//
//	HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam
//	    (Standard)    REG_SZ    default value
//	    Number    REG_DWORD    0x1f
//
// learn.microsoft.com: "How to add, modify, or delete registry subkeys and
// values by using a .reg file"; "reg query".

// Types of registry values, as winnt.h numbers them.
const (
	RegNone     uint32 = 0
	RegSZ       uint32 = 1
	RegExpandSZ uint32 = 2
	RegBinary   uint32 = 3
	RegDWord    uint32 = 4
	RegDWordBE  uint32 = 5
	RegLink     uint32 = 6
	RegMultiSZ  uint32 = 7
	RegQWord    uint32 = 11
)

// maxRegData bounds the data of one value. Windows recommends no more than
// 2 KiB; lists of pending file renames reach a few hundred.
const maxRegData = 4 << 20

// RegValue is a value of a registry key.
type RegValue struct {
	Name string // "" is the default value
	Type uint32 // RegSZ, ...
	Data []byte // as stored: UTF-16LE text with its NUL, little-endian numbers
}

// RegEntry is one fact of a registry export or hive: that a key exists, or that
// it has a value.
type RegEntry struct {
	Key string // with a short root: HKLM\SOFTWARE\...
	RegValue
	HasValue bool // false: the entry announces the key itself
	Deleted  bool // an export that asks to delete the key or value
	Line     int  // 1-based line in an export, 0 in a hive
}

// String returns the text of a REG_SZ, REG_EXPAND_SZ or REG_LINK up to its NUL.
func (v RegValue) String() (string, bool) {
	switch v.Type {
	case RegSZ, RegExpandSZ, RegLink:
		return string(appendUTF16(nil, v.Data[:utf16Len(v.Data)])), true
	}
	return "", false
}

// DWord returns the number of a REG_DWORD.
func (v RegValue) DWord() (uint32, bool) {
	if len(v.Data) != 4 {
		return 0, false
	}
	switch v.Type {
	case RegDWord:
		return binary.LittleEndian.Uint32(v.Data), true
	case RegDWordBE:
		return binary.BigEndian.Uint32(v.Data), true
	}
	return 0, false
}

// Strings returns the texts of a REG_MULTI_SZ. Empty ones in the middle, which
// Windows allows itself (PendingFileRenameOperations), are kept.
func (v RegValue) Strings() ([]string, bool) {
	if v.Type != RegMultiSZ {
		return nil, false
	}
	list := []string{}
	if len(bytes.TrimLeft(v.Data, "\x00")) == 0 {
		return list, true
	}
	for b := v.Data; len(b) >= 2; {
		n := utf16Len(b)
		list = append(list, string(appendUTF16(nil, b[:n])))
		b = b[min(n+2, len(b)):]
	}
	// The list ends in an empty text that is not an element.
	if n := len(list); n > 0 && list[n-1] == "" {
		list = list[:n-1]
	}
	return list, true
}

// UnreadError says that parts of a source could not be read. Everything else
// was delivered before it was returned.
type UnreadError struct {
	What  string // "lines", "cells"
	Count int    // how many
	First int64  // number or offset of the first
}

func (e *UnreadError) Error() string {
	return fmt.Sprintf("%d %s could not be read, the first at %d", e.Count, e.What, e.First)
}

func (e *UnreadError) add(at int64) {
	if e.Count == 0 {
		e.First = at
	}
	e.Count++
}

// orNil returns e as an error if it counts anything.
func (e *UnreadError) orNil() error {
	if e.Count == 0 {
		return nil
	}
	return e
}

var errNoKeys = errors.New("no registry key in it")

// ReadRegExport reads a .reg file or the output of reg query and calls fn for
// every key and value in order. It returns the error of fn; an error if there is
// no key at all; and an [*UnreadError] at the end if lines between keys made no
// sense.
func ReadRegExport(ctx context.Context, r io.Reader, fn func(RegEntry) error) error {
	p := &regParser{fn: fn, unread: UnreadError{What: "lines"}}
	_, err := eachLine(ctx, r, func(line []byte, cut bool) error {
		p.line++
		if cut {
			p.lose()
			return nil
		}
		return p.next(line)
	})
	if err != nil {
		return fmt.Errorf("read registry export: %w", err)
	}
	if len(p.pending) > 0 {
		if p.quoted {
			p.lose()
		} else if err := p.value(p.pending); err != nil {
			return fmt.Errorf("read registry export: %w", err)
		}
	}
	if p.keys == 0 {
		return errNoKeys
	}
	return p.unread.orNil()
}

// regParser reads both forms; which one a line belongs to shows in the line.
type regParser struct {
	fn     func(RegEntry) error
	line   int
	unread UnreadError

	ansi  bool // REGEDIT4: hex text is in the ANSI code page
	query bool // the current key came from reg query
	key   string
	keys  int
	// default value of the current key has been seen, under any name
	hasDefault bool

	pending []byte // value that goes on in the next line
	start   int    // line it began on
	quoted  bool   // it goes on because its text has a line break
}

// lose counts the current line and forgets what was pending.
func (p *regParser) lose() {
	p.unread.add(int64(p.line))
	p.pending, p.quoted = p.pending[:0], false
}

func (p *regParser) next(line []byte) error {
	if len(p.pending) > 0 {
		if !p.quoted {
			return p.goOn(bytes.TrimLeft(line, " \t"))
		}
		_, isKey := bracketKey(line)
		_, _, isValue := quotedName(line)
		if !isKey && !isValue && len(p.pending)+len(line) < maxRegData {
			p.pending = append(append(p.pending, '\r', '\n'), line...)
			if !closesQuote(line) {
				return nil
			}
			p.quoted = false
			return p.finish()
		}
		p.lose() // the text never ended
	}
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 || trimmed[0] == ';' {
		return nil
	}
	switch {
	case trimmed[0] == '[':
		return p.bracket(trimmed)
	case bytes.HasPrefix(line, []byte("HKEY_")):
		return p.enter(string(trimmed), true)
	case p.query && isSpace(line[0]):
		return p.queryValue(line)
	case p.query:
		return nil // messages, prompts, the end of the search
	case trimmed[0] == '"' || trimmed[0] == '@':
		p.start = p.line
		return p.goOn(trimmed)
	case bytes.Equal(trimmed, []byte("REGEDIT4")):
		p.ansi = true
	case bytes.HasPrefix(trimmed, []byte("Windows Registry Editor")):
		p.ansi = false
	case p.keys > 0:
		p.lose()
	}
	return nil
}

// goOn adds part to the pending value and reads the value if that ends it.
func (p *regParser) goOn(part []byte) error {
	if len(p.pending)+len(part) > 4*maxRegData { // hex takes three bytes for one, and line breaks
		p.lose()
		return nil
	}
	if n := len(part); n > 0 && part[n-1] == '\\' && (len(p.pending) > 0 || isHexValue(part)) {
		p.pending = append(p.pending, part[:n-1]...)
		return nil
	}
	p.pending = append(p.pending, part...)
	return p.finish()
}

// isHexValue tells whether line is the start of a hex value; only those are
// continued with a backslash.
func isHexValue(line []byte) bool {
	_, rest, ok := quotedName(line)
	return ok && bytes.HasPrefix(rest, []byte("hex"))
}

// finish reads the pending value, unless it turns out to be a text with a line
// break in it.
func (p *regParser) finish() error {
	if _, rest, ok := quotedName(p.pending); ok && len(rest) > 0 && rest[0] == '"' && !closesQuote(rest[1:]) {
		p.quoted = true
		return nil
	}
	err := p.value(p.pending)
	p.pending = p.pending[:0]
	return err
}

// closesQuote tells whether text holds a quotation mark that is not escaped.
func closesQuote(text []byte) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return true
		}
	}
	return false
}

// bracketKey returns the path in a line of the form [path] or [-path].
func bracketKey(line []byte) (path string, ok bool) {
	line = bytes.TrimSpace(line)
	end := bytes.LastIndexByte(line, ']')
	if len(line) < 2 || line[0] != '[' || end < 1 {
		return "", false
	}
	path = string(line[1:end])
	if _, ok := canonicalKey(strings.TrimPrefix(path, "-")); !ok {
		return "", false
	}
	return path, true
}

func (p *regParser) bracket(line []byte) error {
	path, ok := bracketKey(line)
	if !ok {
		p.key = ""
		p.lose()
		return nil
	}
	if rest, gone := strings.CutPrefix(path, "-"); gone {
		p.key = ""
		p.keys++
		key, _ := canonicalKey(rest)
		return p.fn(RegEntry{Key: key, Deleted: true, Line: p.line})
	}
	return p.enter(path, false)
}

// enter announces a key.
func (p *regParser) enter(path string, query bool) error {
	key, ok := canonicalKey(path)
	p.key, p.query, p.hasDefault = key, query, false
	if !ok {
		p.lose()
		return nil
	}
	p.keys++
	return p.fn(RegEntry{Key: key, Line: p.line})
}

var regRoots = [...]struct{ long, short string }{
	{"HKEY_LOCAL_MACHINE", "HKLM"},
	{"HKEY_CURRENT_USER", "HKCU"},
	{"HKEY_USERS", "HKU"},
	{"HKEY_CLASSES_ROOT", "HKCR"},
	{"HKEY_CURRENT_CONFIG", "HKCC"},
}

// canonicalKey shortens the root of a key's path.
func canonicalKey(path string) (string, bool) {
	path = strings.TrimRight(path, `\`)
	root, rest, sub := strings.Cut(path, `\`)
	for _, r := range regRoots {
		if strings.EqualFold(root, r.long) || strings.EqualFold(root, r.short) {
			if !sub {
				return r.short, true
			}
			return r.short + `\` + rest, true
		}
	}
	return "", false
}

// quotedName reads the name and the sign of equality of a value line.
func quotedName(line []byte) (name string, rest []byte, ok bool) {
	switch {
	case len(line) == 0:
		return "", nil, false
	case line[0] == '@':
		rest = line[1:]
	case line[0] == '"':
		if name, rest, ok = unquote(line); !ok {
			return "", nil, false
		}
	default:
		return "", nil, false
	}
	rest = bytes.TrimLeft(rest, " \t")
	if len(rest) == 0 || rest[0] != '=' {
		return "", nil, false
	}
	return name, bytes.TrimLeft(rest[1:], " \t"), true
}

// unquote reads a quoted text. Only \\ and \" are escapes; a backslash before
// anything else stands for itself, as in paths that people type by hand.
func unquote(b []byte) (s string, rest []byte, ok bool) {
	var out []byte
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return string(out), b[i+1:], true
		case c == '\\' && i+1 < len(b) && (b[i+1] == '\\' || b[i+1] == '"'):
			i++
			out = append(out, b[i])
		default:
			out = append(out, c)
		}
	}
	return "", nil, false
}

// value reads a whole value of a .reg file.
func (p *regParser) value(line []byte) error {
	name, data, ok := quotedName(line)
	if !ok || p.key == "" {
		p.unread.add(int64(p.start))
		return nil
	}
	e := RegEntry{Key: p.key, HasValue: true, Line: p.start}
	e.Name = name
	switch {
	case bytes.HasPrefix(data, []byte(`"`)):
		s, rest, closed := unquote(data)
		e.Type, e.Data, ok = RegSZ, utf16Text(s), closed && len(uncomment(rest)) == 0
	case bytes.HasPrefix(data, []byte("dword:")):
		var n uint64
		n, ok = hexNumber(uncomment(data[6:]), 32)
		e.Type, e.Data = RegDWord, binary.LittleEndian.AppendUint32(nil, uint32(n))
	case bytes.HasPrefix(data, []byte("hex")):
		e.Type, e.Data, ok = p.hexData(data[3:])
	case len(data) > 0 && data[0] == '-' && len(uncomment(data[1:])) == 0:
		e.Deleted = true
	default:
		ok = false
	}
	if !ok || len(e.Data) > maxRegData {
		p.unread.add(int64(p.start))
		return nil
	}
	return p.fn(e)
}

// uncomment cuts blanks and a comment off.
func uncomment(b []byte) []byte {
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		b = b[:i]
	}
	return bytes.TrimSpace(b)
}

func hexNumber(b []byte, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 16, bits)
	return n, err == nil
}

// hexData reads "(7):61,00,..." or ":01,02,...".
func (p *regParser) hexData(b []byte) (typ uint32, data []byte, ok bool) {
	typ = RegBinary
	if len(b) > 0 && b[0] == '(' {
		end := bytes.IndexByte(b, ')')
		if end < 0 {
			return 0, nil, false
		}
		n, isNumber := hexNumber(b[1:end], 32)
		if !isNumber {
			return 0, nil, false
		}
		typ, b = uint32(n), b[end+1:]
	}
	if len(b) == 0 || b[0] != ':' {
		return 0, nil, false
	}
	data, ok = hexBytes(b[1:])
	if p.ansi && (typ == RegSZ || typ == RegExpandSZ || typ == RegMultiSZ) {
		data = utf16Units(string(toUTF8(data)))
	}
	return typ, data, ok
}

// hexBytes reads bytes of one or two hex digits with commas and blanks between.
func hexBytes(b []byte) ([]byte, bool) {
	data := make([]byte, 0, len(b)/3+1)
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == ',' || isSpace(c) || c == '\\':
			i++
		case c == ';':
			return data, true
		default:
			v, n := hex(b[i:min(i+3, len(b))])
			if n == 0 || n > 2 {
				return nil, false
			}
			data = append(data, byte(v))
			i += n
		}
	}
	return data, true
}

// utf16Units encodes s as UTF-16LE.
func utf16Units(s string) []byte {
	b := make([]byte, 0, 2*len(s)+2)
	for _, c := range s {
		if c < 0x10000 {
			b = binary.LittleEndian.AppendUint16(b, uint16(c))
			continue
		}
		hi, lo := utf16.EncodeRune(c)
		b = binary.LittleEndian.AppendUint16(b, uint16(hi))
		b = binary.LittleEndian.AppendUint16(b, uint16(lo))
	}
	return b
}

// utf16Text encodes s as the registry stores a text: with its NUL.
func utf16Text(s string) []byte { return append(utf16Units(s), 0, 0) }

var regTypes = map[string]uint32{
	"REG_NONE":                       RegNone,
	"REG_SZ":                         RegSZ,
	"REG_EXPAND_SZ":                  RegExpandSZ,
	"REG_BINARY":                     RegBinary,
	"REG_DWORD":                      RegDWord,
	"REG_DWORD_LITTLE_ENDIAN":        RegDWord,
	"REG_DWORD_BIG_ENDIAN":           RegDWordBE,
	"REG_LINK":                       RegLink,
	"REG_MULTI_SZ":                   RegMultiSZ,
	"REG_RESOURCE_LIST":              8,
	"REG_FULL_RESOURCE_DESCRIPTOR":   9,
	"REG_RESOURCE_REQUIREMENTS_LIST": 10,
	"REG_QWORD":                      RegQWord,
}

// queryValue reads a line of reg query: name, type and data with four blanks or,
// from Windows XP, a tab between them. Names may hold blanks: the first type
// that stands between separators ends the name.
func (p *regParser) queryValue(line []byte) error {
	body := bytes.TrimLeft(line, " \t")
	for from := 0; ; {
		i := bytes.Index(body[from:], []byte("REG_"))
		if i < 0 {
			if from > 0 {
				p.lose() // something like a type, but no value
			}
			return nil
		}
		at := from + i
		from = at + 4
		name, ok := beforeSeparator(body[:at])
		if !ok {
			continue
		}
		end := at
		for end < len(body) && isAlnum(body[end]) {
			end++
		}
		typ, known := regTypes[string(body[at:end])]
		data, ok := afterSeparator(body[end:])
		if !known || !ok {
			continue
		}
		return p.queried(name, typ, data)
	}
}

// beforeSeparator returns the name before four blanks or a tab.
func beforeSeparator(b []byte) (name []byte, ok bool) {
	switch {
	case bytes.HasSuffix(b, []byte("    ")):
		b = b[:len(b)-4]
	case bytes.HasSuffix(b, []byte("\t")):
		b = bytes.TrimRight(b, "\t ")
	default:
		return nil, false
	}
	return b, len(b) > 0 // even the default value has a name here
}

// afterSeparator returns the data behind a type; /z adds the type's number.
func afterSeparator(b []byte) (data []byte, ok bool) {
	if bytes.HasPrefix(b, []byte(" (")) {
		if i := bytes.IndexByte(b, ')'); i > 0 && i < 16 {
			b = b[i+1:]
		}
	}
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return nil, true
	case bytes.HasPrefix(b, []byte("    ")):
		return b[4:], true
	case b[0] == '\t':
		return bytes.TrimLeft(b, "\t"), true
	}
	return nil, false
}

// queried delivers a value of reg query.
func (p *regParser) queried(name []byte, typ uint32, data []byte) error {
	if p.key == "" {
		p.lose()
		return nil
	}
	e := RegEntry{Key: p.key, HasValue: true, Line: p.line}
	e.Name, e.Type = string(name), typ
	if !p.hasDefault && isDefaultName(name) {
		e.Name, p.hasDefault = "", true
	}
	ok := true
	switch typ {
	case RegSZ, RegExpandSZ, RegLink:
		e.Data = utf16Text(string(data))
	case RegMultiSZ:
		for s := range strings.SplitSeq(strings.TrimSuffix(string(data), `\0`), `\0`) {
			if len(data) > 0 {
				e.Data = append(e.Data, utf16Text(s)...)
			}
		}
		e.Data = append(e.Data, 0, 0)
	case RegDWord, RegDWordBE, RegQWord:
		var n uint64
		digits, isHex := bytes.CutPrefix(bytes.TrimSpace(data), []byte("0x"))
		n, ok = hexNumber(digits, 64)
		ok = ok && isHex && (typ == RegQWord || n <= 1<<32-1)
		switch typ {
		case RegQWord:
			e.Data = binary.LittleEndian.AppendUint64(nil, n)
		case RegDWordBE:
			e.Data = binary.BigEndian.AppendUint32(nil, uint32(n))
		default:
			e.Data = binary.LittleEndian.AppendUint32(nil, uint32(n))
		}
	default:
		data = bytes.TrimSpace(data)
		ok = len(data)%2 == 0
		for ok && len(data) > 0 {
			v, n := hex(data[:2])
			ok = n == 2
			e.Data = append(e.Data, byte(v))
			data = data[2:]
		}
	}
	if !ok {
		p.lose()
		return nil
	}
	return p.fn(e)
}

// isDefaultName tells whether reg query means the default value: its name is
// then a word in brackets in the language of Windows, (Default), (Standard),
// or <NO NAME> before Windows Vista.
func isDefaultName(name []byte) bool {
	s := string(name)
	for _, q := range [...][2]string{{"(", ")"}, {"\uFF08", "\uFF09"}, {"<", ">"}} {
		if len(s) > len(q[0])+len(q[1]) && strings.HasPrefix(s, q[0]) && strings.HasSuffix(s, q[1]) {
			return true
		}
	}
	return false
}
