package evtxtest

import (
	"bytes"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"
)

func sample(n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{
			Provider: "Fabrikam-Updater", Channel: "Application", ID: uint32(i % 7), Level: 4,
			Time: time.Date(2025, 1, 2, 3, 4, i%60, 0, time.UTC),
			Data: []Field{{"title", strings.Repeat("x", i%500)}, {"n", uint32(i)}},
		}
	}
	return events
}

// TestStructure checks what readers rely on: checksums, numbers, and that every
// name and template of a chunk can be reached through its hash table.
func TestStructure(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, sample(1000)); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	if le.Uint32(file[124:]) != crc32.ChecksumIEEE(file[:120]) {
		t.Error("checksum of the file header")
	}
	chunks := int(le.Uint16(file[42:]))
	if len(file) != headerSize+chunks*chunkSize || chunks < 3 {
		t.Fatalf("%d bytes, %d chunks", len(file), chunks)
	}
	if next := le.Uint64(file[24:]); next != 1001 {
		t.Errorf("next record %d", next)
	}
	want := uint64(1)
	for i := range chunks {
		c := file[headerSize+i*chunkSize:][:chunkSize]
		free := le.Uint32(c[48:])
		if le.Uint32(c[52:]) != crc32.ChecksumIEEE(c[firstRecord:free]) {
			t.Errorf("chunk %d: checksum of the records", i)
		}
		if le.Uint32(c[124:]) != crc32.Update(crc32.ChecksumIEEE(c[:120]), crc32.IEEETable, c[128:firstRecord]) {
			t.Errorf("chunk %d: checksum of the header", i)
		}
		if first := le.Uint64(c[24:]); first != want {
			t.Errorf("chunk %d begins with record %d, want %d", i, first, want)
		}
		off := uint32(firstRecord)
		for ; off < free; want++ {
			size := le.Uint32(c[off+4:])
			if le.Uint64(c[off+8:]) != want || le.Uint32(c[off+size-4:]) != size || size%8 != 0 {
				t.Fatalf("chunk %d: record at %d", i, off)
			}
			off += size
		}
		names, templates := map[string]bool{}, 0
		for slot := range 64 {
			for at := le.Uint32(c[128+4*slot:]); at != 0; at = le.Uint32(c[at:]) {
				if int(le.Uint16(c[at+4:]))%64 != slot {
					t.Errorf("name at %d is in slot %d", at, slot)
				}
				names[string(bytes.ReplaceAll(c[at+8:at+8+2*uint32(le.Uint16(c[at+6:]))], []byte{0}, nil))] = true
			}
		}
		for slot := range 32 {
			for at := le.Uint32(c[384+4*slot:]); at != 0; at = le.Uint32(c[at:]) {
				templates++
			}
		}
		for _, n := range []string{"Event", "System", "Provider", "Data", "Name", "EventData"} {
			if !names[n] {
				t.Errorf("chunk %d: name %s is not in the table", i, n)
			}
		}
		if i < chunks-1 && templates != 8 { // the event and seven kinds of data
			t.Errorf("chunk %d: %d templates", i, templates)
		}
	}
	if want != 1001 {
		t.Errorf("records end before %d", want)
	}
}

func TestErrors(t *testing.T) {
	for name, data := range map[string][]Field{
		"too large":          {{"x", strings.Repeat("x", 40_000)}},
		"unknown type":       {{"x", struct{}{}}},
		"SID":                {{"x", SID("S-2-5")}},
		"SID number":         {{"x", SID("S-1-5-x")}},
		"GUID":               {{"x", GUID("{1234}")}},
		"GUID digits":        {{"x", GUID(strings.Repeat("z", 32))}},
		"insertion no text":  {{"", 5}},
		"binary of 64 KiB":   {{"x", make([]byte, 65536)}},
		"two of them, 48 KB": {{"x", make([]byte, 33_000)}, {"y", make([]byte, 33_000)}},
	} {
		if err := Write(&bytes.Buffer{}, []Event{{Provider: "p", Channel: "c", Data: data}}); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	if err := Write(&bytes.Buffer{}, []Event{{User: "nobody"}}); err == nil {
		t.Error("a user that is no SID: written")
	}
	full := errors.New("disk full")
	if err := Write(failing{full}, sample(1)); !errors.Is(err, full) {
		t.Errorf("failing writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestEmptyLog(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, nil); err != nil || b.Len() != headerSize+chunkSize {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}
