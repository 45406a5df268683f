package winhost

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/winlog"
)

func traced(provider, at, task, data string) string {
	return `<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="` + provider + `" Guid="{0b7a6f19-47c4-454e-8c5c-e868d637e4d8}" /><EventID>0</EventID><Version>0</Version><Level>4</Level><Task>0</Task><Opcode>0</Opcode><Keywords>0x200000000000</Keywords><TimeCreated SystemTime="` + at + `" /><Correlation ActivityID="{00000000-0000-0000-0000-000000000000}" /><Execution ProcessID="1234" ThreadID="56" ProcessorID="0" KernelTime="0" UserTime="0" /><Channel /><Computer /></System><EventData><Data Name="Info">` + data + `</Data></EventData><RenderingInfo Culture="de-DE"><Task>` + task + `</Task></RenderingInfo></Event>`
}

var trace = "<Events>\r\n" +
	traced("MSNT_SystemTrace", "2026-05-06T07:08:08Z", "EventTrace", "head") +
	traced(traceProvider, "2026-05-06T07:08:09.123456700Z", "Agent", "* START * Finding updates CallerId = updoc  Id = 1") +
	traced(traceProvider, "2026-05-06T09:08:10.000000000+02:00", " ProtocolTalker ", "*FAILED* [8024401B] Sync\nof &lt;updates&gt;\x02") +
	traced(traceProvider, "not a time", "Agent", "lost") +
	"</Events>"

func TestConvertTrace(t *testing.T) {
	var b bytes.Buffer
	n, err := convertTrace(&b, strings.NewReader(trace), time.FixedZone("", 2*3600))
	if err != nil || n != 2 {
		t.Fatalf("%d events, %v", n, err)
	}
	want := "2026/05/06 09:08:09.1234567 1234  56    Agent           * START * Finding updates CallerId = updoc Id = 1\r\n" +
		"2026/05/06 09:08:10.0000000 1234  56    ProtocolTalker  *FAILED* [8024401B] Sync of <updates>\r\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	// And the readers of the log read it.
	var seen []string
	_, err = winlog.Scan(t.Context(), winlog.WindowsUpdate, &b, winlog.Options{}, func(r *winlog.Record) error {
		seen = append(seen, r.Time.Format(time.TimeOnly)+" "+string(r.Component)+" "+r.Code.String())
		return nil
	})
	if d := cmp.Diff([]string{"09:08:09 Agent 0x00000000", "09:08:10 ProtocolTalker 0x8024401B"}, seen); err != nil || d != "" {
		t.Error(err, d)
	}
}

// A trace that is cut off gives what it holds and says so.
func TestConvertTraceTorn(t *testing.T) {
	for cut := range len(trace) {
		var b bytes.Buffer
		n, err := convertTrace(&b, strings.NewReader(trace[:cut]), time.UTC)
		if lines := strings.Count(b.String(), "\r\n"); lines != n {
			t.Fatalf("cut at %d: %d lines of %d events, %v", cut, lines, n, err)
		}
	}
}

func FuzzConvertTrace(f *testing.F) {
	f.Add(trace)
	f.Add("<Events><Event><System>")
	f.Add("\xff\xfe<\x00E\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		n, _ := convertTrace(&b, strings.NewReader(s), time.UTC)
		if strings.Count(b.String(), "\n") != n || b.Len() > 100*n+2*maxTraceLine*n {
			t.Fatalf("%d events, %d bytes", n, b.Len())
		}
	})
}

func BenchmarkConvertTrace(b *testing.B) {
	one := traced(traceProvider, "2026-05-06T07:08:09.123456700Z", "Agent", "* START * Finding updates CallerId = updoc  Id = 1")
	s := "<Events>" + strings.Repeat(one, 2000) + "</Events>"
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if _, err := convertTrace(discard{}, strings.NewReader(s), time.UTC); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
