package winlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/winlog/evtxtest"
)

var evtxTime = time.Date(2025, 3, 4, 5, 6, 7, 891234500, time.UTC)

// evtxEvents are one event of each shape that Windows writes.
func evtxEvents() []evtxtest.Event {
	return []evtxtest.Event{
		{
			Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 20, Version: 1, Level: 2,
			Keywords: 0x8000000000000028, PID: 4812, TID: 90210, Time: evtxTime,
			Computer: "KIOSK-7.fabrikam.example", User: "S-1-5-18",
			Data: []evtxtest.Field{
				{Name: "errorCode", Value: evtxtest.Hex32(0x8024401B)},
				{Name: "updateTitle", Value: "Sicherheitsupdate für „Beispiel“ <KB5099999>"},
				{Name: "updateGuid", Value: evtxtest.GUID("{0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9}")},
				{Name: "updateRevisionNumber", Value: uint32(201)},
				{Name: "serviceGuid", Value: evtxtest.GUID("00000000-0000-0000-0000-000000000000")},
			},
		},
		{
			Provider: "ESENT", Channel: "Application", ID: 455, Level: 2, Qualifier: 0, Time: evtxTime.Add(time.Second),
			Data: []evtxtest.Field{
				{Value: "svchost"},
				{Value: "4812,R,98"},
				{Value: "SUS20ClientDataStore: "},
				{Value: `C:\WINDOWS\SoftwareDistribution\DataStore\Logs\edb.log`},
				{Value: "-1811 (0xfffff8ed)"},
			},
		},
		{
			Provider: "Microsoft-Windows-Servicing", Channel: "Setup", ID: 3, Level: 2, Time: evtxTime.Add(2 * time.Second),
			UserData: "CbsPackageChangeState",
			Data: []evtxtest.Field{
				{Name: "PackageIdentifier", Value: "KB5099999"},
				{Name: "ErrorCode", Value: evtxtest.Hex32(0x800F0922)},
				{Name: "Client", Value: "UpdateAgentLCU"},
			},
		},
		{
			Provider: "Microsoft-Windows-Bits-Client", Channel: "Microsoft-Windows-Bits-Client/Operational", ID: 61, Version: 1, Level: 3,
			Time: evtxTime.Add(3 * time.Second),
			Data: []evtxtest.Field{
				{Name: "name", Value: "UpdateDescriptionXml"},
				{Name: "hr", Value: uint32(0x80072EE7)},
				{Name: "fileLength", Value: ^uint64(0)},
				{Name: "fileTime", Value: evtxTime},
				{Name: "ignoreBandwidthLimitsOnLan", Value: false},
				{Name: "blob", Value: []byte{0, 0xAB, 0xFF}},
				{Name: "list", Value: []string{"a", "", "c"}},
				{Name: "owner", Value: evtxtest.SID("S-1-5-21-1-22-333-1001")},
				{Name: "signed", Value: int32(-5)},
				{Name: "tiny", Value: int8(-1)},
				{Name: "wide", Value: evtxtest.Hex64(0x1000000000)},
				{Name: "nothing", Value: nil},
			},
		},
		{
			Provider: "Service Control Manager", Channel: "System", ID: 7023, Qualifier: 0xC000, Level: 2, Time: evtxTime.Add(4 * time.Second),
			Data: []evtxtest.Field{
				{Name: "param1", Value: "Windows Update"},
				{Name: "param2", Value: "%%1058"},
				{Name: "Binary", Value: utf16Text("wuauserv")},
			},
		},
		{Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 27, Level: 4, Time: evtxTime.Add(5 * time.Second)},
	}
}

func writeEVTX(t testing.TB, events []evtxtest.Event) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := evtxtest.Write(&b, events); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// seen is a record copied out of its buffers.
type seen struct {
	Line            int
	Time            time.Time
	Level           Level
	PID, TID        uint32
	Component, Text string
	Code            codes.HRESULT
	ID              uint32
	Fields          []Field
	Loose           bool
}

func scanAll(t testing.TB, src io.Reader, opt Options) ([]seen, Stats) {
	t.Helper()
	var all []seen
	st, err := Scan(context.Background(), EVTX, src, opt, func(r *Record) error {
		all = append(all, seen{
			r.Line, r.Time, r.Level, r.PID, r.TID, string(r.Component), string(r.Text), r.Code, r.ID,
			append([]Field(nil), r.Fields...), r.Loose,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, st
}

// noSeek hides ReadAt.
type noSeek struct{ io.Reader }

func TestEVTX(t *testing.T) {
	file := writeEVTX(t, evtxEvents())
	want := []seen{
		{
			Line: 1, Time: evtxTime, Level: LevelError, PID: 4812, TID: 90210,
			Component: "Microsoft-Windows-WindowsUpdateClient", ID: 20, Code: 0x8024401B,
			Text: "Microsoft-Windows-WindowsUpdateClient/20 errorCode=0x8024401b updateTitle=Sicherheitsupdate für „Beispiel“ <KB5099999>" +
				" updateGuid={0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9} updateRevisionNumber=201 serviceGuid={00000000-0000-0000-0000-000000000000}",
			Fields: []Field{
				{"errorCode", "0x8024401b"},
				{"updateTitle", "Sicherheitsupdate für „Beispiel“ <KB5099999>"},
				{"updateGuid", "{0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9}"},
				{"updateRevisionNumber", "201"},
				{"serviceGuid", "{00000000-0000-0000-0000-000000000000}"},
				{"_channel", "System"},
				{"_version", "1"},
				{"_keywords", "0x8000000000000028"},
			},
		},
		{
			Line: 2, Time: evtxTime.Add(time.Second), Level: LevelError, Component: "ESENT", ID: 455,
			Text: `ESENT/455 process=svchost pid=4812,R,98 instance=SUS20ClientDataStore:  file=C:\WINDOWS\SoftwareDistribution\DataStore\Logs\edb.log error=-1811 (0xfffff8ed)`,
			Fields: []Field{
				{"process", "svchost"},
				{"pid", "4812,R,98"},
				{"instance", "SUS20ClientDataStore: "},
				{"file", `C:\WINDOWS\SoftwareDistribution\DataStore\Logs\edb.log`},
				{"error", "-1811 (0xfffff8ed)"},
				{"_channel", "Application"},
				{"_version", "0"},
				{"_keywords", "0x0"},
			},
		},
		{
			Line: 3, Time: evtxTime.Add(2 * time.Second), Level: LevelError, Component: "Microsoft-Windows-Servicing", ID: 3, Code: 0x800F0922,
			Text: "Microsoft-Windows-Servicing/3 PackageIdentifier=KB5099999 ErrorCode=0x800f0922 Client=UpdateAgentLCU",
			Fields: []Field{
				{"PackageIdentifier", "KB5099999"},
				{"ErrorCode", "0x800f0922"},
				{"Client", "UpdateAgentLCU"},
				{"_channel", "Setup"},
				{"_version", "0"},
				{"_keywords", "0x0"},
			},
		},
		{
			Line: 4, Time: evtxTime.Add(3 * time.Second), Level: LevelWarning, Component: "Microsoft-Windows-Bits-Client", ID: 61, Code: 0x80072EE7,
			Text: "Microsoft-Windows-Bits-Client/61 name=UpdateDescriptionXml hr=2147954407 fileLength=18446744073709551615" +
				" fileTime=2025-03-04T05:06:07.8912345Z ignoreBandwidthLimitsOnLan=false blob=00ABFF list=a,,c" +
				" owner=S-1-5-21-1-22-333-1001 signed=-5 tiny=-1 wide=0x1000000000 nothing=",
			Fields: []Field{
				{"name", "UpdateDescriptionXml"},
				{"hr", "2147954407"},
				{"fileLength", "18446744073709551615"},
				{"fileTime", "2025-03-04T05:06:07.8912345Z"},
				{"ignoreBandwidthLimitsOnLan", "false"},
				{"blob", "00ABFF"},
				{"list", "a,,c"},
				{"owner", "S-1-5-21-1-22-333-1001"},
				{"signed", "-5"},
				{"tiny", "-1"},
				{"wide", "0x1000000000"},
				{"nothing", ""},
				{"_channel", "Microsoft-Windows-Bits-Client/Operational"},
				{"_version", "1"},
				{"_keywords", "0x0"},
			},
		},
		{
			Line: 5, Time: evtxTime.Add(4 * time.Second), Level: LevelError, Component: "Service Control Manager", ID: 7023, Code: 0x80070422,
			Text: "Service Control Manager/7023 param1=Windows Update param2=%%1058 Binary=770075006100750073006500720076000000",
			Fields: []Field{
				{"param1", "Windows Update"},
				{"param2", "%%1058"},
				{"Binary", "770075006100750073006500720076000000"},
				{"_service", "wuauserv"},
				{"_channel", "System"},
				{"_version", "0"},
				{"_keywords", "0x0"},
			},
		},
		{
			Line: 6, Time: evtxTime.Add(5 * time.Second), Level: LevelInfo, Component: "Microsoft-Windows-WindowsUpdateClient", ID: 27,
			Text:   "Microsoft-Windows-WindowsUpdateClient/27",
			Fields: []Field{{"_channel", "System"}, {"_version", "0"}, {"_keywords", "0x0"}},
		},
	}
	for name, src := range map[string]io.Reader{"random": bytes.NewReader(file), "stream": noSeek{bytes.NewReader(file)}} {
		got, st := scanAll(t, src, Options{})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: records (-want +got):\n%s", name, d)
		}
		if st.Lines != 6 || st.Records != 6 || st.Unread != 0 || st.Bytes != evtxChunkSize {
			t.Errorf("%s: stats %+v", name, st)
		}
	}
}

// manyEvents fill several chunks.
func manyEvents(n int) []evtxtest.Event {
	kinds := evtxEvents()
	events := make([]evtxtest.Event, n)
	for i := range events {
		events[i] = kinds[i%len(kinds)]
		events[i].Time = evtxTime.Add(time.Duration(i) * time.Second)
	}
	return events
}

func TestEVTXRing(t *testing.T) {
	events := manyEvents(2000)
	var ring bytes.Buffer
	if err := evtxtest.WriteRing(&ring, events, 3); err != nil {
		t.Fatal(err)
	}
	if n := (ring.Len() - evtxHeaderSize) / evtxChunkSize; n < 6 {
		t.Fatalf("only %d chunks", n)
	}
	for name, src := range map[string]io.Reader{"random": bytes.NewReader(ring.Bytes()), "stream": noSeek{bytes.NewReader(ring.Bytes())}} {
		got, st := scanAll(t, src, Options{Size: int64(ring.Len())})
		if len(got) != len(events) || st.Records != len(events) || st.Unread != 0 {
			t.Fatalf("%s: %d records, stats %+v", name, len(got), st)
		}
		for i, r := range got {
			if r.Line != i+1 || !r.Time.Equal(events[i].Time) || r.ID != events[i].ID {
				t.Fatalf("%s: record %d is %d of %v, id %d", name, i, r.Line, r.Time, r.ID)
			}
		}
	}
}

func TestEVTXLongStreamKeepsFileOrder(t *testing.T) {
	// Beyond the spool the chunks come as they lie in the file.
	s := &evtxScan{bx: newBXReader()}
	var lines []int
	s.fn = func(r *Record) error { lines = append(lines, r.Line); return nil }
	var ring bytes.Buffer
	if err := evtxtest.WriteRing(&ring, manyEvents(1000), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.stream(context.Background(), &ring); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1000 || lines[0] == 1 || lines[999] >= lines[0] {
		t.Errorf("%d lines, first %d, last %d", len(lines), lines[0], lines[999])
	}
}

func TestEVTXSparse(t *testing.T) {
	events := []evtxtest.Event{
		{Provider: "Contoso-Backup", Channel: "Application", ID: 1, Level: 4, Data: []evtxtest.Field{{Name: "a", Value: "b"}}},
		{Provider: "Contoso-Backup", Channel: "Application", ID: 2, Level: 2},
		{Provider: "Contoso-Backup", Channel: "Application", ID: 3, Level: 0},
		{Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 19, Level: 4},
		{Provider: "Microsoft-Windows-UpdateOrchestrator", Channel: "x", ID: 5, Level: 4},
		{Provider: "USER32", Channel: "System", ID: 1074, Level: 4},
	}
	got, st := scanAll(t, bytes.NewReader(writeEVTX(t, events)), Options{Sparse: true})
	var ids []uint32
	for _, r := range got {
		ids = append(ids, r.ID)
	}
	if d := cmp.Diff([]uint32{2, 19, 5, 1074}, ids); d != "" {
		t.Error(d)
	}
	if st.Skipped != 2 || st.Records != 4 || st.Lines != 6 {
		t.Errorf("stats %+v", st)
	}
}

func TestEVTXDamage(t *testing.T) {
	file := writeEVTX(t, manyEvents(300))
	first := evtxHeaderSize + evtxFirstRecord
	second := first + int(binary.LittleEndian.Uint32(file[first+4:]))
	tests := []struct {
		name   string
		damage func(b []byte) []byte
		loose  int
		lost   int // records that are not delivered at all
	}{
		{"torn file", func(b []byte) []byte { return b[:second+40] }, 0, 299},
		{"size of a record", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[second+4:], 1<<30); return b }, 0, 1},
		{"binary XML", func(b []byte) []byte { b[second+evtxRecordHead+4] = 0x3F; return b }, 1, 0},
		{"chunk head", func(b []byte) []byte { b[evtxHeaderSize] = 'x'; return b }, 0, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.damage(bytes.Clone(file))
			got, st := scanAll(t, bytes.NewReader(b), Options{})
			loose := 0
			for _, r := range got {
				if r.Loose {
					loose++
					if r.Time.IsZero() || r.Line == 0 {
						t.Errorf("loose record without time or number: %+v", r)
					}
				}
			}
			if tt.loose >= 0 && loose != tt.loose {
				t.Errorf("%d loose records, want %d", loose, tt.loose)
			}
			if tt.lost >= 0 && len(got) != 300-tt.lost {
				t.Errorf("%d records, want %d", len(got), 300-tt.lost)
			}
			if tt.name != "torn file" && st.Unread == 0 {
				t.Errorf("nothing counted: %+v", st)
			}
		})
	}
}

func TestEVTXSalvage(t *testing.T) {
	file := writeEVTX(t, evtxEvents())
	first := evtxHeaderSize + evtxFirstRecord
	file[first+evtxRecordHead] = 0x3F
	got, _ := scanAll(t, bytes.NewReader(file), Options{})
	if !got[0].Loose || !strings.Contains(got[0].Text, "KB5099999") || !strings.Contains(got[0].Text, "KIOSK-7.fabrikam.example") {
		t.Errorf("salvaged %q", got[0].Text)
	}
}

func TestEVTXNotALog(t *testing.T) {
	for _, in := range []string{"", "ElfFile", "ElfFile\x00", strings.Repeat("PK", 5000)} {
		for _, src := range []io.Reader{strings.NewReader(in), noSeek{strings.NewReader(in)}} {
			_, err := Scan(context.Background(), EVTX, src, Options{}, func(*Record) error { return nil })
			if !errors.Is(err, errNotEVTX) {
				t.Errorf("%.10q: %v", in, err)
			}
		}
	}
}

// A log that ends with its header is no log without events: Windows makes room for a
// chunk at once.
func TestEVTXHeaderAlone(t *testing.T) {
	file := writeEVTX(t, manyEvents(1))[:evtxHeaderSize]
	_, err := Scan(context.Background(), EVTX, bytes.NewReader(file), Options{}, func(*Record) error { return nil })
	if !errors.Is(err, errNoChunks) {
		t.Errorf("%v, want %v", err, errNoChunks)
	}
}

func TestEVTXStops(t *testing.T) {
	file := writeEVTX(t, manyEvents(2000))
	stop := errors.New("enough")
	n := 0
	_, err := Scan(context.Background(), EVTX, bytes.NewReader(file), Options{}, func(*Record) error {
		if n++; n == 5 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 5 {
		t.Errorf("after %d records: %v", n, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Scan(ctx, EVTX, bytes.NewReader(file), Options{}, func(*Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled scan: %v", err)
	}
}

func TestResultValue(t *testing.T) {
	for in, want := range map[string]codes.HRESULT{
		"0x8024401b":  0x8024401B,
		"0X8024401B":  0x8024401B,
		"8024401B":    0x8024401B,
		"2149859355":  0x8024401B,
		"-2145107941": 0x8024401B,
		"0xc1900101":  0xC1900101,
		"0":           0,
		"1058":        0,
		"0x0":         0,
		"0x00000643":  0,
		"4294967295":  0,
		"-1":          0,
		"99999999999": 0,
		"":            0,
		"KB509999":    0,
		"20250304":    0,
		"0x8024401bz": 0,
	} {
		if got := resultValue(in); got != want {
			t.Errorf("resultValue(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestEventCode(t *testing.T) {
	tests := []struct {
		provider string
		id       uint32
		fields   []Field
		want     codes.HRESULT
	}{
		{"Service Control Manager", 7000, []Field{{"param1", "BITS"}, {"param2", "%%1058"}}, 0x80070422},
		{"Service Control Manager", 7023, []Field{{"param1", "Windows Update"}, {"param2", "%%-2147024891"}}, 0x80070005},
		{"Service Control Manager", 7024, []Field{{"param1", "Windows Update"}, {"param2", "%%2149859355"}}, 0x8024401B},
		{"Service Control Manager", 7024, []Field{{"param1", "Other"}, {"param2", "%%4"}}, 0},
		{"Service Control Manager", 7023, []Field{{"param1", "x"}, {"param2", "%%0"}}, 0},
		{"User32", 1074, []Field{{"param3", "Betriebssystem: Aktualisierung (geplant)"}, {"param4", "0x80020003"}}, 0},
		{"EventSystem", 4621, []Field{{"param1", "%%1058"}}, 0},
		{"Microsoft-Windows-CAPI2", 11, []Field{{"Result", "A text"}, {"Result.value", "800B0109"}}, 0x800B0109},
		{"Microsoft-Windows-WUSA", 3, []Field{{"UpdateTitle", "x"}, {"ErrorCode", "2149842967"}}, 0x80240017},
		{"Microsoft-Windows-Windows Defender", 2001, []Field{{"Error Code", "0x80072ee7"}}, 0x80072EE7},
		{"Other", 1, []Field{{"Address", "0x80240000"}, {"hr", "0x0"}}, 0},
	}
	for _, tt := range tests {
		if got := eventCode(&bxEvent{provider: tt.provider, id: tt.id}, tt.fields); got != tt.want {
			t.Errorf("%s/%d %v: %v, want %v", tt.provider, tt.id, tt.fields, got, tt.want)
		}
	}
}

func TestServiceName(t *testing.T) {
	tests := []struct {
		id     uint32
		fields []Field
		want   string
	}{
		{7036, []Field{{"param1", "Windows-Ereignisprotokoll"}, {"param2", "wird ausgeführt"}, {"Binary", "4500760065006E0074004C006F0067002F0034000000"}}, "EventLog"},
		{7023, []Field{{"param1", "x"}, {"Binary", "550073006F005300760063000000"}}, "UsoSvc"},
		{7040, []Field{{"param1", "Windows Update"}, {"param2", "Manuell"}, {"param3", "Deaktiviert"}, {"param4", "wuauserv"}}, "wuauserv"},
		{7031, []Field{{"param1", "x"}, {"param4", "0"}}, ""},
		{7023, []Field{{"Binary", ""}}, ""},
		{7023, []Field{{"Binary", "0102"}}, ""},
		{7023, []Field{{"Binary", "7F00000041"}}, ""},
	}
	for _, tt := range tests {
		if got := serviceName(tt.id, tt.fields); got != tt.want {
			t.Errorf("%d %v: %q, want %q", tt.id, tt.fields, got, tt.want)
		}
	}
}

// TestEVTXTextIsBounded also makes sure that the fields stay whole.
func TestEVTXTextIsBounded(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	got, _ := scanAll(t, bytes.NewReader(writeEVTX(t, []evtxtest.Event{{
		Provider: "P", Channel: "C", ID: 1, Level: 4, Data: []evtxtest.Field{{Name: "x", Value: long + "\r\n\tz"}},
	}})), Options{})
	if n := len(got[0].Text); n > evtxTextMax || n < evtxTextMax-2 || strings.ContainsRune(got[0].Text, '\uFFFD') {
		t.Errorf("text of %d bytes", n)
	}
	if got[0].Fields[0].Value != long+"\r\n\tz" {
		t.Error("the field was cut")
	}
}

// hostileChunk builds a log of one record whose template refers n times to its
// only value, which is an instance of a template that does the same, and so on
// to the given depth: n to the power of depth fields, unless somebody counts.
func hostileChunk(n, depth int) []byte {
	le := binary.LittleEndian
	b := make([]byte, evtxHeaderSize+evtxChunkSize)
	copy(b, "ElfFile\x00")
	le.PutUint16(b[42:], 1)
	chunk := b[evtxHeaderSize:]
	copy(chunk, "ElfChnk\x00")
	out := chunk[:evtxFirstRecord]

	name := func(s string) int {
		off := len(out)
		out = append(out, 0, 0, 0, 0, 0, 0, byte(len(s)), 0)
		for _, c := range s {
			out = append(out, byte(c), 0)
		}
		out = append(out, 0, 0)
		return off
	}
	template := func(nameAt, holes int) int {
		off := len(out)
		out = append(out, make([]byte, bxTemplateHead)...)
		body := len(out)
		out = append(out, 0x0F, 1, 1, 0, 0x01, 0xFF, 0xFF, 0, 0, 0, 0)
		out = le.AppendUint32(out, uint32(nameAt))
		out = append(out, 0x02)
		for range holes {
			out = append(out, 0x0D, 0, 0, bxNested)
		}
		out = append(out, 0x04, 0)
		le.PutUint32(out[off+20:], uint32(len(out)-body))
		return off
	}
	// The record's head comes first; names and templates lie in a first record
	// that makes no sense on its own.
	out = append(out, make([]byte, evtxRecordHead)...)
	event, user := name("Event"), name("UserData")
	outer, inner := template(event, 1), template(user, n)
	out = append(out, make([]byte, (8-(len(out)+4)%8)%8+4)...)
	seal := func(at int) {
		copy(chunk[at:], "**\x00\x00")
		le.PutUint32(chunk[at+4:], uint32(len(out)-at))
		le.PutUint32(chunk[len(out)-4:], uint32(len(out)-at))
		le.PutUint64(chunk[at+8:], 1)
	}
	seal(evtxFirstRecord)

	value := []byte(nil)
	for i := range depth {
		def := inner
		if i == depth-1 {
			def = outer
		}
		inst := []byte{0x0F, 1, 1, 0, 0x0C, 1, 0, 0, 0, 0}
		inst = le.AppendUint32(inst, uint32(def))
		inst = le.AppendUint32(inst, 1)
		inst = append(inst, byte(len(value)), byte(len(value)>>8), bxNested, 0)
		value = append(append(inst, value...), 0)
	}
	at := len(out)
	out = append(out, make([]byte, evtxRecordHead)...)
	out = append(out, value...)
	out = append(out, make([]byte, (8-(len(out)+4)%8)%8+4)...)
	seal(at)
	le.PutUint64(chunk[at+8:], 2)
	le.PutUint32(chunk[48:], uint32(len(out)))
	return b
}

func TestEVTXHostileNesting(t *testing.T) {
	start := time.Now()
	got, st := scanAll(t, bytes.NewReader(hostileChunk(1000, 7)), Options{})
	if d := time.Since(start); d > 10*time.Second { // without a budget: for years
		t.Errorf("took %v", d)
	}
	if len(got) != 2 || !got[1].Loose || st.Unread != 2 {
		t.Errorf("%d records, stats %+v", len(got), st)
	}
}

// TestEVTXAgainstLibevtx lets libevtx's evtxexport read what evtxtest writes and
// compares what both readers see.
func TestEVTXAgainstLibevtx(t *testing.T) {
	tool, err := exec.LookPath("evtxexport")
	if err != nil {
		t.Skip("evtxexport (Debian: libevtx-utils) is not installed")
	}
	file := writeEVTX(t, manyEvents(400))
	path := filepath.Join(t.TempDir(), "own.evtx")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "-f", "xml", path)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("evtxexport: %v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("Unable to")) {
		t.Fatalf("evtxexport could not read it all:\n%.2000s", out)
	}
	docs := strings.Split(string(out), "<Event ")[1:]
	got, _ := scanAll(t, bytes.NewReader(file), Options{})
	if len(docs) != len(got) {
		t.Fatalf("evtxexport sees %d events, this package %d", len(docs), len(got))
	}
	for i, doc := range docs {
		for _, want := range []string{
			fmt.Sprintf("<EventRecordID>%d</EventRecordID>", got[i].Line),
			fmt.Sprintf(`<Provider Name="%s"/>`, got[i].Component),
			fmt.Sprintf(">%d</EventID>", got[i].ID),
			got[i].Time.Format("2006-01-02T15:04:05.000000000Z"),
		} {
			if !strings.Contains(doc, want) {
				t.Fatalf("event %d: %q is missing in\n%s", i, want, doc)
			}
		}
		for _, f := range got[i].Fields {
			if strings.HasPrefix(f.Name, "_") || f.Value == "" || strings.ContainsAny(f.Value, "<,{") {
				continue // entities, lists and GUIDs are rendered otherwise
			}
			switch f.Name {
			case "fileTime", "wide": // with more digits
				continue
			case "signed", "tiny": // this libfwevt takes the sign bit for a mere sign
				continue
			}
			if !strings.Contains(doc, ">"+f.Value+"<") {
				t.Fatalf("event %d: field %v is missing in\n%s", i, f, doc)
			}
		}
	}
}

func FuzzEVTX(f *testing.F) {
	for _, ev := range evtxEvents() {
		file := writeEVTX(f, []evtxtest.Event{ev, ev})
		chunk := file[evtxHeaderSize:]
		f.Add(bytes.Clone(chunk[evtxFirstRecord:binary.LittleEndian.Uint32(chunk[48:])]))
	}
	f.Add(bytes.TrimRight(hostileChunk(20, 7)[evtxHeaderSize+evtxFirstRecord:], "\x00"))
	f.Fuzz(func(t *testing.T, records []byte) {
		file := make([]byte, evtxHeaderSize+evtxChunkSize)
		copy(file, "ElfFile\x00")
		binary.LittleEndian.PutUint16(file[42:], 1)
		copy(file[evtxHeaderSize:], "ElfChnk\x00")
		n := copy(file[evtxHeaderSize+evtxFirstRecord:], records)
		binary.LittleEndian.PutUint32(file[evtxHeaderSize+48:], uint32(evtxFirstRecord+n))
		loose, whole := 0, 0
		st, err := Scan(context.Background(), EVTX, bytes.NewReader(file), Options{}, func(r *Record) error {
			if r.Loose {
				loose++
			} else {
				whole++
			}
			if len(r.Text) > evtxTextMax {
				t.Errorf("text of %d bytes", len(r.Text))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if st.Records != whole || st.Lines != whole+loose || st.Unread < loose {
			t.Errorf("stats %+v, %d whole, %d loose", st, whole, loose)
		}
	})
}

func BenchmarkEVTX(b *testing.B) {
	file := writeEVTX(b, manyEvents(60_000))
	for _, sparse := range []bool{false, true} {
		b.Run(fmt.Sprintf("sparse=%v", sparse), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Scan(context.Background(), EVTX, bytes.NewReader(file), Options{Sparse: sparse}, func(*Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
