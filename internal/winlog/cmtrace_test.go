package winlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCMTrace(t *testing.T) {
	runLines(t, CMTrace, []lineCase{
		{"client log", `<![LOG[Scan failed with error = 0x8024402c.]LOG]!><time="08:52:46.657+240" date="07-14-2031" component="WUAHandler" context="" type="3" thread="10472" file="cwuahandler.cpp:3276">`, entry{
			Time: "2031-07-14T08:52:46.657-04:00", Level: LevelError, TID: 10472, Component: "WUAHandler", Code: 0x8024402C,
			Text: "Scan failed with error = 0x8024402c.", Fields: "file=cwuahandler.cpp:3276",
		}},
		{"east of Greenwich, warning", `<![LOG[x]LOG]!><time="23:00:01.000-60" date="12-31-2031" component="ScanAgent" context="S-1-5-18" type="2" thread="7" file="">`, entry{
			Time: "2031-12-31T23:00:01+01:00", Level: LevelWarning, TID: 7, Component: "ScanAgent", Text: "x", Fields: "context=S-1-5-18",
		}},
		{"no bias, short month and day", `<![LOG[x]LOG]!><time="01:02:03.0000000" date="9-8-2031" component="AgentExecutor" context="" type="1" thread="1" file="">`, entry{
			Time: "2031-09-08T01:02:03Z", Level: LevelInfo, TID: 1, Component: "AgentExecutor", Text: "x",
		}},
		{"brackets in the text", `<![LOG[a [b] > <c> ]LOG] "d"]LOG]!><time="01:02:03.000+000" date="09-08-2031" component="X" context="" type="1" thread="1" file="">`, entry{
			Time: "2031-09-08T01:02:03Z", Level: LevelInfo, TID: 1, Component: "X", Text: `a [b] > <c> ]LOG] "d"`,
		}},
		{"attributes torn", `<![LOG[x 0x80244022]LOG]!><time="01:02:03.000+240" da`, entry{
			Text: "x 0x80244022", Code: 0x80244022,
		}},
		{"never ends", `<![LOG[x 0x80244022`, entry{Loose: true, Code: 0x80244022, Text: `<![LOG[x 0x80244022`}},
		{"older layout", `Submitted request, hr=0x80072ee7~  $$<SMS_CLIENT_CONFIG_MANAGER><09-25-2031 15:13:55.938-60><thread=18612 (0x48B4)>`, entry{
			Time: "2031-09-25T15:13:55.938+01:00", TID: 18612, Component: "SMS_CLIENT_CONFIG_MANAGER", Code: 0x80072EE7, Text: "Submitted request, hr=0x80072ee7",
		}},
		{"older layout, a name of two words", `Done.  $$<Configuration Manager Setup><08-22-2031 04:15:01.917+420><thread=2868 (0xB34)>`, entry{
			Time: "2031-08-22T04:15:01.917-07:00", TID: 2868, Component: "Configuration Manager Setup", Text: "Done.",
		}},
		{"older layout, component alone", `~This PkgID does not exist.~  $$<SMS_DISTRIBUTION_MANAGER>`, entry{
			Component: "SMS_DISTRIBUTION_MANAGER", Text: "~This PkgID does not exist.",
		}},
		{"copied from the viewer", "OnSearchComplete - Failed to end search job. Error = 0x80244022.\tWUAHandler\t2/3/2031 4:05:06 PM\t3372 (0x0D2C)", entry{
			Time: "2031-02-03T16:05:06Z", TID: 3372, Component: "WUAHandler", Code: 0x80244022, Text: "OnSearchComplete - Failed to end search job. Error = 0x80244022.",
		}},
		{"copied from the viewer, blanks, another locale", "Scan failed with error = 0x80244022. WUAHandler 03.02.2031 16:05:06 3372 (0x0D2C)", entry{
			Time: "2031-02-03T16:05:06Z", TID: 3372, Component: "WUAHandler", Code: 0x80244022, Text: "Scan failed with error = 0x80244022.",
		}},

		{"wrapper lost", "OnSearchComplete - Failed to end search job. Error = 0x80244022.", entry{Loose: true, Code: 0x80244022, Text: "OnSearchComplete - Failed to end search job. Error = 0x80244022."}},
		{"two numbers that are not one thread", "x WUAHandler 2/3/2031 4:05:06 PM 3372 (0x0D2D)", entry{Loose: true, Text: "x WUAHandler 2/3/2031 4:05:06 PM 3372 (0x0D2D)"}},
	})
}

func TestCMTraceLines(t *testing.T) {
	const tail = `]LOG]!><time="08:52:46.657+240" date="07-14-2031" component="X" context="" type="1" thread="5" file="a.cpp:1">`
	rec := func(line int, text string) entry {
		return entry{Line: line, Time: "2031-07-14T08:52:46.657-04:00", Level: LevelInfo, TID: 5, Component: "X", Text: text, Fields: "file=a.cpp:1"}
	}
	old := func(line int, text string) entry {
		return entry{Line: line, Time: "2031-09-25T15:13:55.938+01:00", TID: 16, Component: "Y", Text: text}
	}
	const oldTail = "~  $$<Y><09-25-2031 15:13:55.938-60><thread=16 (0x10)>"
	loose := func(line int, text string) entry { return entry{Line: line, Text: text, Loose: true} }
	for _, c := range []struct {
		name, text string
		want       []entry
	}{
		{"three lines", "<![LOG[one\r\n two\r\n\r\nfour" + tail + "\r\n<![LOG[next" + tail + "\r\n", []entry{rec(1, "one\n two\n\nfour"), rec(5, "next")}},
		{"two on one line", "<![LOG[one" + tail + "<![LOG[two" + tail + "\n", []entry{rec(1, "one"), rec(1, "two")}},
		{"one ends where the next begins", "<![LOG[one\nend" + tail + "<![LOG[two\nend" + tail + "\n", []entry{rec(1, "one\nend"), rec(2, "two\nend")}},
		{"one torn by the next", "<![LOG[one\nof two\n<![LOG[two" + tail + "\n", []entry{loose(1, "<![LOG[one\nof two"), rec(3, "two")}},
		{"torn and next on one line", "<![LOG[one<![LOG[two" + tail + "\n", []entry{loose(1, "<![LOG[one"), rec(1, "two")}},
		{"words before", "saw this: <![LOG[one" + tail + " and then\n", []entry{loose(1, "saw this: "), rec(1, "one"), loose(1, " and then")}},
		{"never ends", "<![LOG[one\ntwo\n", []entry{loose(1, "<![LOG[one\ntwo")}},
		{"plain before and after", "plain\n<![LOG[one" + tail + "\nplain\n", []entry{loose(1, "plain"), rec(2, "one"), loose(3, "plain")}},
		{"older layout, several lines", "first" + oldTail + "\nSQL>>>select a,\n b from c" + oldTail + "\nlast" + oldTail + "\nnever ended\nat all\n", []entry{
			old(1, "first"), old(2, "SQL>>>select a,\n b from c"), old(4, "last"), loose(5, "never ended"), loose(6, "at all"),
		}},
		{"older layout followed by the newer", "first" + oldTail + "\nheld\n<![LOG[one" + tail, []entry{old(1, "first"), loose(2, "held"), rec(3, "one")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, st := readLog(t, CMTrace, c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			unread := 0
			for _, e := range c.want {
				if e.Loose {
					unread++
				}
			}
			if st.Unread != unread || st.Records != len(c.want)-unread {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A message that never ends is not gathered without bound, and what follows it
// is read again.
func TestCMTraceBounds(t *testing.T) {
	text := "<![LOG[open\n" + strings.Repeat("line\n", 10*maxJoined) + string(cmTraceLog(1))
	got, st := readLog(t, CMTrace, text)
	if st.Records != 1 || len(got) < 9*maxJoined || got[len(got)-1].Component != "WUAHandler" {
		t.Errorf("%d records, %+v", len(got), st)
	}
}

func TestCMTraceIdentified(t *testing.T) {
	for _, text := range []string{
		string(cmTraceLog(1)),
		"Done.  $$<X><08-22-2031 04:15:01.917+420><thread=2868 (0xB34)>\r\n",
		"x\tWUAHandler\t2/3/2031 4:05:06 PM\t3372 (0x0D2C)\r\n",
	} {
		if kind := Identify("ticket.txt", []byte(text)); kind != CMTrace {
			t.Errorf("%q identified as %q", text, kind)
		}
	}
}

func cmTraceLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "<![LOG[Successfully raised state message for update (%08x-1111-2222-3333-444444444444) with state (Missing).]LOG]!>"+
			`<time="08:%02d:46.%03d+240" date="07-14-2031" component="WUAHandler" context="" type="1" thread="%d" file="cwuahandler.cpp:%d">`+"\r\n", i, i%60, i%1000, 4000+i%16, i%64)
	}
	return b.Bytes()
}

func FuzzCMTrace(f *testing.F) {
	f.Add(cmTraceLog(3))
	f.Add([]byte("x~  $$<Y><09-25-2031 15:13:55.938-60><thread=16 (0x10)>\na\nb  $$<\n"))
	f.Add([]byte("x\tWUAHandler\t2/3/2031 4:05:06 PM\t3372 (0x0D2C)\n(0x\n1 (0x1)\n"))
	f.Add([]byte("<![LOG[<![LOG[]LOG]!><![LOG[]LOG]!>]LOG]!><a=\"\n<![LOG[\n]LOG]!>"))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, CMTrace, data) })
}

func BenchmarkCMTrace(b *testing.B) { benchmarkScan(b, CMTrace, cmTraceLog(5000)) }
