package winlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const setupAPILog = `[Device Install Log]
     OS Version = 10.0.19045
     Architecture = amd64

[BeginLog]

[Boot Session: 2031/02/02 21:00:00.500]

>>>  [Device Install (Hardware initiated) - USB\VID_1234&PID_5678\FAB01]
>>>  Section start 2031/02/03 23:59:58.109
     cmd: C:\Windows\system32\svchost.exe -k DcomLaunch
     ump: Creating Install Process: DrvInst.exe 23:59:59.001
     dvi:      {Build Driver List} 00:00:01.250
     ...:           vendor's own words
!    inf:      Unable to load INF: 'fabrikam.inf'. Error = 0x00000002
!!!  sto:           Failed to import driver package. Error = 0xE0000247
!!!  cpy:           Failed to copy file. Error = 0x00000005
     dvi: {Install Device - exit(0xe0000247)} 00:00:02.000
     a message without category
a wrapped line
<<<  Section end 2031/02/04 00:00:03.500
<<<  [Exit status: FAILURE(0xe0000247)]

>>>  [Setup Root Device - Install]
>>>  Section start 2031/02/04 01:00:00.000
!!!  set: Could not create a device information element. HRESULT = 0x800f0207
<<<  Section end 2031/02/04 01:00:01.000
<<<  [Exit status: FAILURE(0x00000207)]
>>>  [Delete Device - ROOT\FAB\0000]
>>>  Section start 2031/02/04 02:00:00.000
<<<  Section end 2031/02/04 02:00:00.100
<<<  [Exit status: SUCCESS]
not of this log
`

func TestSetupAPI(t *testing.T) {
	const (
		usb  = `section=Device Install (Hardware initiated) - USB\VID_1234&PID_5678\FAB01`
		root = `section=Setup Root Device - Install`
		del  = `section=Delete Device - ROOT\FAB\0000`
	)
	const boot, start, ump, list, exit = "2031-02-02T21:00:00.5Z", "2031-02-03T23:59:58.109Z", "2031-02-03T23:59:59.001Z", "2031-02-04T00:00:01.25Z", "2031-02-04T00:00:02Z"
	want := []entry{
		{Line: 1, Level: LevelInfo, Text: "Device Install Log"},
		{Line: 2, Level: LevelInfo, Text: "OS Version = 10.0.19045"},
		{Line: 3, Level: LevelInfo, Text: "Architecture = amd64"},
		{Line: 5, Level: LevelInfo, Text: "BeginLog"},
		{Line: 7, Level: LevelInfo, Time: boot, Text: "Boot Session: 2031/02/02 21:00:00.500"},
		{Line: 9, Level: LevelInfo, Fields: usb, Text: usb[len("section="):]},
		{Line: 10, Level: LevelInfo, Time: start, Fields: usb, Text: "Section start 2031/02/03 23:59:58.109"},
		{Line: 11, Level: LevelInfo, Time: start, Fields: usb, Component: "cmd", Text: `C:\Windows\system32\svchost.exe -k DcomLaunch`},
		{Line: 12, Level: LevelInfo, Time: ump, Fields: usb, Component: "ump", Text: "Creating Install Process: DrvInst.exe 23:59:59.001"},
		{Line: 13, Level: LevelInfo, Time: list, Fields: usb, Component: "dvi", Text: "{Build Driver List} 00:00:01.250"},
		{Line: 14, Level: LevelInfo, Time: list, Fields: usb, Component: "...", Text: "vendor's own words"},
		{Line: 15, Level: LevelWarning, Time: list, Fields: usb, Component: "inf", Text: "Unable to load INF: 'fabrikam.inf'. Error = 0x00000002"},
		{Line: 16, Level: LevelError, Time: list, Fields: usb, Component: "sto", Code: 0x800F0247, Text: "Failed to import driver package. Error = 0xE0000247"},
		{Line: 17, Level: LevelError, Time: list, Fields: usb + "; error=0x00000005", Component: "cpy", Text: "Failed to copy file. Error = 0x00000005"},
		{Line: 18, Level: LevelInfo, Time: exit, Fields: usb, Component: "dvi", Code: 0x800F0247, Text: "{Install Device - exit(0xe0000247)} 00:00:02.000"},
		{Line: 19, Level: LevelInfo, Time: exit, Fields: usb, Text: "a message without category"},
		{Line: 20, Level: LevelInfo, Time: exit, Fields: usb, Text: "a wrapped line", Continued: true},
		{Line: 21, Level: LevelInfo, Time: "2031-02-04T00:00:03.5Z", Fields: usb, Text: "Section end 2031/02/04 00:00:03.500"},
		{Line: 22, Level: LevelError, Time: "2031-02-04T00:00:03.5Z", Fields: "status=0xe0000247; " + usb, Code: 0x800F0247, Text: "Exit status: FAILURE(0xe0000247)"},
		{Line: 24, Level: LevelInfo, Fields: root, Text: root[len("section="):]},
		{Line: 25, Level: LevelInfo, Time: "2031-02-04T01:00:00Z", Fields: root, Text: "Section start 2031/02/04 01:00:00.000"},
		{Line: 26, Level: LevelError, Time: "2031-02-04T01:00:00Z", Fields: root, Component: "set", Code: 0x800F0207, Text: "Could not create a device information element. HRESULT = 0x800f0207"},
		{Line: 27, Level: LevelInfo, Time: "2031-02-04T01:00:01Z", Fields: root, Text: "Section end 2031/02/04 01:00:01.000"},
		{Line: 28, Level: LevelError, Time: "2031-02-04T01:00:01Z", Fields: "status=0x00000207; " + root, Code: 0x800F0207, Text: "Exit status: FAILURE(0x00000207)"},
		{Line: 29, Level: LevelInfo, Fields: del, Text: del[len("section="):]},
		{Line: 30, Level: LevelInfo, Time: "2031-02-04T02:00:00Z", Fields: del, Text: "Section start 2031/02/04 02:00:00.000"},
		{Line: 31, Level: LevelInfo, Time: "2031-02-04T02:00:00.1Z", Fields: del, Text: "Section end 2031/02/04 02:00:00.100"},
		{Line: 32, Level: LevelInfo, Time: "2031-02-04T02:00:00.1Z", Fields: "status=SUCCESS; " + del, Text: "Exit status: SUCCESS"},
		{Line: 33, Loose: true, Text: "not of this log"},
	}
	got, st := readLog(t, SetupAPI, strings.ReplaceAll(setupAPILog, "\n", "\r\n"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if st.Unread != 1 || st.Records != len(want)-2 {
		t.Errorf("%+v", st)
	}
	if kind := Identify("drivers.txt", []byte(setupAPILog)); kind != SetupAPI {
		t.Errorf("identified as %s", kind)
	}
}

func TestSetupAPIVariants(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []entry
	}{
		{
			"as documented: time before the words, status without its word",
			">>>  [Device Install - PCI\\VEN_1234]\n>>>  2031/02/03 04:05:06.789: Section start\n" +
				"!!!  04:05:07.000: dvi: Error 0x800f0203: no driver\n<<<  [2031/02/03 04:05:08.000: Section end]\n<<<  [Exit Status(0x800f0203)]\n",
			[]entry{
				{Line: 1, Level: LevelInfo, Fields: `section=Device Install - PCI\VEN_1234`, Text: `Device Install - PCI\VEN_1234`},
				{Line: 2, Level: LevelInfo, Time: "2031-02-03T04:05:06.789Z", Fields: `section=Device Install - PCI\VEN_1234`, Text: "2031/02/03 04:05:06.789: Section start"},
				{Line: 3, Level: LevelError, Time: "2031-02-03T04:05:07Z", Fields: `section=Device Install - PCI\VEN_1234`, Component: "dvi", Code: 0x800F0203, Text: "Error 0x800f0203: no driver"},
				{Line: 4, Level: LevelInfo, Time: "2031-02-03T04:05:08Z", Fields: `section=Device Install - PCI\VEN_1234`, Text: "[2031/02/03 04:05:08.000: Section end]"},
				{Line: 5, Level: LevelError, Time: "2031-02-03T04:05:08Z", Fields: `status=0x800f0203; section=Device Install - PCI\VEN_1234`, Code: 0x800F0203, Text: "Exit Status(0x800f0203)"},
			},
		},
		{
			"columns and times lost",
			">>> [Setup Device]\n>>> Section start <DateTime>\nset: {Install} <DateTime>\n!!! set: failed. HRESULT = 0x800f0207\n! inf: hm\n<<< [Exit status: FAILURE(0x00000005)]\n",
			[]entry{
				{Line: 1, Level: LevelInfo, Fields: "section=Setup Device", Text: "Setup Device"},
				{Line: 2, Level: LevelInfo, Fields: "section=Setup Device", Text: "Section start <DateTime>"},
				{Line: 3, Level: LevelInfo, Fields: "section=Setup Device", Component: "set", Text: "{Install} <DateTime>"},
				{Line: 4, Level: LevelError, Fields: "section=Setup Device", Component: "set", Code: 0x800F0207, Text: "failed. HRESULT = 0x800f0207"},
				{Line: 5, Level: LevelWarning, Fields: "section=Setup Device", Component: "inf", Text: "hm"},
				// 0x00000005 is not the low word of a code of this section.
				{Line: 6, Level: LevelError, Fields: "status=0x00000005; section=Setup Device", Text: "Exit status: FAILURE(0x00000005)"},
			},
		},
		{
			"Windows XP",
			"[2004/02/03 04:05:06 1234.7 Driver Install]\n#-019 Searching for hardware ID(s): pci\\ven_1234\n#W334 Failed to verify catalog. Error 1168\n#E122 Device install failed. Error 5: Access is denied.\n@ 04:05:09.250 : later\n",
			[]entry{
				{Line: 1, Level: LevelInfo, Time: "2004-02-03T04:05:06Z", PID: 1234, Fields: "section=Driver Install", Text: "2004/02/03 04:05:06 1234.7 Driver Install"},
				{Line: 2, Level: LevelInfo, Time: "2004-02-03T04:05:06Z", Fields: "section=Driver Install", Component: "#-019", Text: `Searching for hardware ID(s): pci\ven_1234`},
				{Line: 3, Level: LevelWarning, Time: "2004-02-03T04:05:06Z", Fields: "section=Driver Install", Component: "#W334", Text: "Failed to verify catalog. Error 1168"},
				{Line: 4, Level: LevelError, Time: "2004-02-03T04:05:06Z", Fields: "section=Driver Install", Component: "#E122", Text: "Device install failed. Error 5: Access is denied."},
				{Line: 5, Level: LevelInfo, Time: "2004-02-03T04:05:09.25Z", Fields: "section=Driver Install", Text: "@ 04:05:09.250 : later"},
			},
		},
		{
			"begins in the middle of a section",
			"     dvi:      {DIF_INSTALLDEVICE - exit(0xe0000248)} 11:22:33.444\n!!!  pol:      blocked by policy\n<<<  [Exit status: FAILURE(0xe0000248)]\n",
			[]entry{
				{Line: 1, Level: LevelInfo, Component: "dvi", Code: 0x800F0248, Text: "{DIF_INSTALLDEVICE - exit(0xe0000248)} 11:22:33.444"},
				{Line: 2, Level: LevelError, Component: "pol", Text: "blocked by policy"},
				{Line: 3, Level: LevelError, Code: 0x800F0248, Fields: "status=0xe0000248", Text: "Exit status: FAILURE(0xe0000248)"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := readLog(t, SetupAPI, c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetupCode(t *testing.T) {
	for in, want := range map[uint32]uint32{0xE0000207: 0x800F0207, 0xE0000248: 0x800F0248, 0x800F0203: 0x800F0203, 0xC1900101: 0xC1900101, 0x207: 0, 5: 0, 0: 0, 0xE0010001: 0, 0xFFFFFFFF: 0} {
		if got := setupCode(in); uint32(got) != want {
			t.Errorf("setupCode(%#x) = %v, want %#x", in, got, want)
		}
	}
}

// setupAPIBenchmark makes a log of n sections.
func setupAPIBenchmark(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, ">>>  [Device Install (Hardware initiated) - USB\\VID_1234&PID_%04X\\FAB]\r\n>>>  Section start 2031/02/03 04:%02d:06.789\r\n", i%0x10000, i%60)
		for j := range 20 {
			fmt.Fprintf(&b, "     dvi:           {DIF_SELECTBESTCOMPATDRV - exit(0x00000000)} 04:%02d:07.%03d\r\n", i%60, j)
		}
		fmt.Fprintf(&b, "<<<  Section end 2031/02/03 04:%02d:08.000\r\n<<<  [Exit status: SUCCESS]\r\n\r\n", i%60)
	}
	return b.Bytes()
}

func FuzzSetupAPI(f *testing.F) {
	f.Add([]byte(setupAPILog))
	f.Add([]byte("[2004/02/03 04:05:06 1234.7 Driver Install]\n#E122 x\n@ 04:05:09.250 : y\n[]\n[x\n#\n@\n"))
	f.Add([]byte(">>>\n<<<\n!!!\n!\n>>>  [\n<<<  [\n!!! ui: \n<<<  [Exit status: FAILURE(0x\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, SetupAPI, data) })
}

func BenchmarkSetupAPI(b *testing.B) { benchmarkScan(b, SetupAPI, setupAPIBenchmark(1000)) }
