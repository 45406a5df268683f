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
	"time"
	"unicode/utf8"

	"updoc/internal/codes"
	"updoc/internal/sorted"
)

// Event log files (.evtx) of Windows Vista and later:
//
//	file header   4 KiB   "ElfFile\0", chunk numbers, flags (bit 0 dirty, bit 1 full)
//	chunks       64 KiB   each readable on its own:
//	  0    "ElfChnk\0", first and last record number and id, u64 each
//	  40   header size u32, offset of the last record u32, of free space u32
//	  128  offsets of names and templates by hash, then from 512 the records:
//	       "**\0\0", size u32, record id u64, time written u64, binary XML, size u32
//
// The file is a ring: when the log is full, Windows starts again at the first
// chunk. The layout is not documented by Microsoft; J. Metz, "Windows XML Event
// Log (EVTX)" describes it, binary XML is in [MS-EVEN6].
//
// Checksums are not verified: a log that was copied from a running machine has
// stale ones, and its records are whole all the same.

const (
	evtxHeaderSize  = 4096
	evtxChunkSize   = 64 << 10
	evtxFirstRecord = 512
	evtxRecordHead  = 24
	evtxRecordMin   = evtxRecordHead + 4

	// evtxSpool is how much of a log that cannot be read at random is held in
	// memory to put the ring in order. Windows gives System and Application
	// 20 MB by default. Longer ones are read in file order.
	evtxSpool = 64 << 20

	// evtxTextMax bounds the rendering of one event.
	evtxTextMax = 2 << 10
)

var (
	errNotEVTX  = errors.New("not an event log file")
	errNoChunks = errors.New("the event log is cut short: nothing stands behind its header")
)

// scanEVTX reads an event log file: one record per event, in the order of the
// log. An event that cannot be read is delivered as a loose record with the
// texts that stand in it.
//
// With opt.Sparse, events that are neither warnings nor errors are passed over
// unless their provider takes part in updating (see events.go).
func scanEVTX(ctx context.Context, src io.Reader, opt Options, fn func(*Record) error) (Stats, error) {
	s := &evtxScan{fn: fn, bx: newBXReader()}
	if opt.Sparse {
		known := make(map[string]bool) // a log has few providers
		s.bx.wanted = func(ev *bxEvent) bool {
			if ev.level >= 1 && ev.level <= 3 {
				return true
			}
			yes, seen := known[ev.provider]
			if !seen {
				yes = knownProvider(ev.provider)
				if len(known) < 1<<12 {
					known[ev.provider] = yes
				}
			}
			return yes
		}
	}
	ra, ok := src.(io.ReaderAt)
	if !ok {
		spool, err := io.ReadAll(io.LimitReader(src, evtxSpool+1))
		if err != nil {
			return s.stats, fmt.Errorf("read event log: %w", err)
		}
		if len(spool) > evtxSpool {
			err := s.stream(ctx, io.MultiReader(bytes.NewReader(spool), src))
			return s.stats, err
		}
		ra = bytes.NewReader(spool)
	}
	err := s.random(ctx, ra)
	return s.stats, err
}

// evtxScan is one scan of one file.
type evtxScan struct {
	fn    func(*Record) error
	bx    *bxReader
	stats Stats

	chunks int // chunks in use according to the file header
	rec    Record
	text   []byte
	lastID uint64
}

// header checks the file header and takes the number of chunks from it.
func (s *evtxScan) header(head []byte) bool {
	if len(head) < 44 || !bytes.HasPrefix(head, []byte("ElfFile\x00")) {
		return false
	}
	s.chunks = int(binary.LittleEndian.Uint16(head[42:]))
	return true
}

// stream reads the chunks in file order.
func (s *evtxScan) stream(ctx context.Context, src io.Reader) error {
	buf := make([]byte, evtxChunkSize)
	if _, err := io.ReadFull(src, buf[:evtxHeaderSize]); err != nil || !s.header(buf) {
		return errNotEVTX
	}
	for number := 0; ; number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(src, buf)
		if n > 0 {
			clear(buf[n:])
			if err := s.chunk(buf, n, number); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read event log: %w", err)
		}
	}
}

// random reads the chunks in the order of their records.
func (s *evtxScan) random(ctx context.Context, src io.ReaderAt) error {
	buf := make([]byte, evtxChunkSize)
	if n, _ := src.ReadAt(buf[:evtxHeaderSize], 0); !s.header(buf[:n]) {
		return errNotEVTX
	}
	order, err := chunkOrder(ctx, src)
	if err != nil {
		return err
	}
	if len(order) == 0 && s.chunks > 0 {
		return errNoChunks
	}
	for _, c := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.ReadAt(buf, c.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read event log: %w", err)
		}
		clear(buf[n:])
		if err := s.chunk(buf, n, int((c.offset-evtxHeaderSize)/evtxChunkSize)); err != nil {
			return err
		}
	}
	return nil
}

func isChunk(head []byte) bool { return bytes.HasPrefix(head, []byte("ElfChnk\x00")) }

type chunkPlace struct {
	first  uint64 // id of the first record; chunks without one keep their place
	offset int64
}

// chunkOrder lists the chunks by their first record.
func chunkOrder(ctx context.Context, src io.ReaderAt) ([]chunkPlace, error) {
	var order []chunkPlace
	head := make([]byte, 32)
	var last uint64
	for off := int64(evtxHeaderSize); ; off += evtxChunkSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := src.ReadAt(head, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read event log: %w", err)
		}
		if n < len(head) {
			break
		}
		if isChunk(head) {
			last = binary.LittleEndian.Uint64(head[24:])
		}
		order = append(order, chunkPlace{last, off})
	}
	sorted.By(order, func(a, b chunkPlace) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	return order, nil
}

// chunk reads the records of the chunk of that number in the file. Only the
// first n bytes of buf are there if the file is torn.
func (s *evtxScan) chunk(buf []byte, n, number int) error {
	s.stats.Bytes += int64(n)
	if !isChunk(buf) {
		// Chunks behind those in use hold nothing, or what the disk held before.
		if number < s.chunks && len(bytes.TrimLeft(buf[:min(n, evtxFirstRecord)], "\x00")) > 0 {
			s.stats.Unread++ // overwritten; how many records it held is not known
		}
		return nil
	}
	s.bx.setChunk(buf)
	// The header of a chunk that was still in use when it was copied is older
	// than its records: go on behind "free space" while the ids do.
	free := int(binary.LittleEndian.Uint32(buf[48:]))
	seen := false
	for off := evtxFirstRecord; off+evtxRecordMin <= n; {
		size := int(binary.LittleEndian.Uint32(buf[off+4:]))
		id := binary.LittleEndian.Uint64(buf[off+8:])
		whole := binary.LittleEndian.Uint32(buf[off:]) == 0x2A2A && size >= evtxRecordMin && size <= n-off
		if !whole {
			if off >= free {
				break
			}
			// Something overwrote the record: find the next one. Records lie on
			// multiples of eight bytes.
			s.stats.Unread++
			next := nextRecord(buf[:n], off+8)
			if next < 0 {
				break
			}
			off = next
			continue
		}
		if off >= free && (!seen || id != s.lastID+1) {
			break
		}
		seen, s.lastID = true, id
		if err := s.record(buf, off, size, id); err != nil {
			return err
		}
		off += size
	}
	return nil
}

// nextRecord finds the start of a record at or behind off, or returns -1.
func nextRecord(buf []byte, off int) int {
	for ; off+evtxRecordMin <= len(buf); off += 8 {
		if binary.LittleEndian.Uint32(buf[off:]) != 0x2A2A {
			continue
		}
		size := int(binary.LittleEndian.Uint32(buf[off+4:]))
		if size >= evtxRecordMin && size <= len(buf)-off && int(binary.LittleEndian.Uint32(buf[off+size-4:])) == size {
			return off
		}
	}
	return -1
}

// record delivers the event at buf[off:off+size].
func (s *evtxScan) record(buf []byte, off, size int, id uint64) error {
	s.stats.Lines++
	fields := s.rec.Fields[:0]
	s.rec = Record{Line: int(id)}
	written := fileTime(binary.LittleEndian.Uint64(buf[off+16:]))
	body, end := off+evtxRecordHead, off+size-4
	ok := s.bx.read(body, end)
	switch {
	case !ok || s.bx.ev.provider == "" && s.bx.ev.id == 0:
		s.stats.Unread++
		s.text = salvage(s.text[:0], buf[body:end])
		s.rec.Time, s.rec.Text, s.rec.Loose = written, s.text, true
		s.rec.Fields = fields
		return s.fn(&s.rec)
	case s.bx.refused:
		s.stats.Skipped++
		s.rec.Fields = fields
		return nil
	}
	s.stats.Records++
	s.fill(fields, written)
	return s.fn(&s.rec)
}

// fill turns the event that was read into the record.
func (s *evtxScan) fill(fields []Field, written time.Time) {
	ev, rec := &s.bx.ev, &s.rec
	rec.Time = ev.time
	if rec.Time.IsZero() {
		rec.Time = written
	}
	rec.ID, rec.PID, rec.TID = ev.id, ev.pid, ev.tid
	switch ev.level {
	case 1, 2:
		rec.Level = LevelError
	case 3:
		rec.Level = LevelWarning
	default:
		rec.Level = LevelInfo
	}

	// All values are cut from one string: one allocation per event.
	arenaEnd := len(s.bx.arena)
	s.bx.arena = strconv.AppendUint(append(s.bx.arena, "0x"...), ev.keywords, 16)
	values := string(s.bx.arena)

	var names []string
	position, looked := 0, false
	for _, f := range ev.fields {
		name := f.name
		if name == "" {
			if !looked {
				names, looked = EventFields(ev.provider, ev.id, ev.version), true
			}
			name = positional(names, position)
			position++
		}
		fields = append(fields, Field{name, values[f.start:f.end]})
	}
	rec.Code = eventCode(ev, fields)

	s.text = append(append(s.text[:0], ev.provider...), '/')
	s.text = strconv.AppendUint(s.text, uint64(ev.id), 10)
	for i := range fields {
		s.text = append(append(append(s.text, ' '), fields[i].Name...), '=')
		s.text = appendOneLine(s.text, fields[i].Value)
		if len(s.text) > evtxTextMax {
			s.text = cutText(s.text, evtxTextMax) // Fields keep everything
			break
		}
	}
	rec.Text = s.text
	rec.Component = s.text[:min(len(ev.provider), len(s.text))]

	if ev.provider == serviceManager {
		if name := serviceName(ev.id, fields); name != "" {
			fields = append(fields, Field{"_service", name})
		}
	}
	rec.Fields = append(fields,
		Field{"_channel", ev.channel},
		Field{"_version", strconv.Itoa(int(ev.version))},
		Field{"_keywords", values[arenaEnd:]})
}

const serviceManager = "Service Control Manager"

// serviceName returns the key name of the service that an event of the Service
// Control Manager is about: "wuauserv". The event's text only has the name that
// Windows displays, which is translated; the key name lies in its binary data,
// before a NUL or '/', and with 7040 (start type changed) in the last text.
func serviceName(id uint32, fields []Field) string {
	for i := range fields {
		switch f := &fields[i]; {
		case f.Name == "Binary":
			var name []byte
			for b := f.Value; len(b) >= 4; b = b[4:] {
				lo, hi := hexDigit(b[0])<<4|hexDigit(b[1]), hexDigit(b[2])|hexDigit(b[3])
				if lo == 0 || lo == '/' {
					break
				}
				if hi != 0 || lo < ' ' || lo >= 0x7F || len(name) >= 256 {
					return ""
				}
				name = append(name, lo)
			}
			return string(name)
		case f.Name == "param4" && id == 7040:
			return f.Value
		}
	}
	return ""
}

// positional names a field that the event itself does not name.
func positional(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	if i < len(paramNames) {
		return paramNames[i]
	}
	return "param" + strconv.Itoa(i+1)
}

var paramNames = [...]string{
	"param1", "param2", "param3", "param4", "param5", "param6", "param7", "param8",
	"param9", "param10", "param11", "param12", "param13", "param14", "param15", "param16",
}

// appendOneLine appends s with line breaks and tabs as blanks.
func appendOneLine(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c < ' ' {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

// cutText cuts b at n bytes or a little before, at the start of a rune.
func cutText(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// salvage collects the texts of four and more characters in a broken event.
func salvage(dst, b []byte) []byte {
	for i := 0; i+1 < len(b) && len(dst) < evtxTextMax; {
		n := 0
		for i+n+1 < len(b) && b[i+n+1] == 0 && b[i+n] >= ' ' && b[i+n] < 0x7F {
			n += 2
		}
		if n >= 8 {
			if len(dst) > 0 {
				dst = append(dst, ' ')
			}
			dst = appendUTF16(dst, b[i:i+n])
		}
		i += n + 1
	}
	return cutText(dst, evtxTextMax)
}

// eventCode returns the failing result among the fields: those named as one
// first, then the insertion strings of classic events.
func eventCode(ev *bxEvent, fields []Field) codes.HRESULT {
	for i := range fields {
		if namesResult(fields[i].Name) {
			if h := resultValue(fields[i].Value); h != 0 {
				return h
			}
		}
	}
	if ev.provider == "User32" || ev.provider == "USER32" {
		return 0 // 1074 has a reason for the restart in the shape of an HRESULT
	}
	for i := range fields {
		if !strings.HasPrefix(fields[i].Name, "param") {
			continue
		}
		v := fields[i].Value
		if m, ok := strings.CutPrefix(v, "%%"); ok {
			if h := systemMessage(ev, m); h != 0 {
				return h
			}
			continue
		}
		if h := resultValue(v); h != 0 {
			return h
		}
	}
	return 0
}

// systemMessage reads "%%N", a reference to a message of the system. The Service
// Control Manager puts a service's Win32 exit code there; 7024 tells a code of
// the service's own, which is an HRESULT for those that matter here.
func systemMessage(ev *bxEvent, digits string) codes.HRESULT {
	if h := resultValue(digits); h != 0 {
		return h
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || ev.id == 7024 || ev.provider != serviceManager {
		return 0
	}
	return codes.HRESULT(0x80070000 | uint32(n)) // HRESULT_FROM_WIN32
}

// namesResult tells whether a field of that name holds a result: errorCode,
// ErrorCode, hr, AdditionalInfoHr, HRESULT, Error, ResultCode, Status,
// Result.value, ...
func namesResult(name string) bool {
	if len(name) < 2 || len(name) > 40 {
		return false
	}
	switch last := name[len(name)-2:]; last {
	case "hr", "Hr", "HR":
		return true
	}
	for i := range len(name) {
		rest := name[i:]
		switch rest[0] | 0x20 {
		case 'e':
			if hasFold(rest, "error") {
				return true
			}
		case 'h':
			if hasFold(rest, "hresult") {
				return true
			}
		case 'r':
			if hasFold(rest, "result") {
				return true
			}
		case 's':
			if hasFold(rest, "status") {
				return true
			}
		}
	}
	return false
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// resultValue reads a failing result in any of the forms that events use:
// 0x8024401b, 8024401B, 2149859355, -2145107941. Everything else is 0.
func resultValue(s string) codes.HRESULT {
	if len(s) < 8 || len(s) > 11 {
		return 0
	}
	var v uint64
	var err error
	switch {
	case s[0] == '0' && s[1]|0x20 == 'x':
		v, err = strconv.ParseUint(s[2:], 16, 32)
	case s[0] == '-':
		var n int64
		n, err = strconv.ParseInt(s, 10, 32)
		v = uint64(uint32(n))
	case len(s) == 8:
		v, err = strconv.ParseUint(s, 16, 32)
	default:
		v, err = strconv.ParseUint(s, 10, 32)
	}
	if err != nil || !plausible(uint32(v)) {
		return 0
	}
	return codes.HRESULT(uint32(v))
}
