package winlog

import (
	"bytes"
	"path"
	"strings"
)

// Identify tells what a file is from its name and the first bytes of its
// content (64 KiB are plenty). The name decides where Windows fixes it; content
// overrules it where the two cannot both be true, and decides for everything
// that was renamed on its way to a ticket.
func Identify(name string, head []byte) Kind {
	base := strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	if k := identifyMagic(head); k != Unknown {
		return k
	}
	text := headText(head)
	if k := identifyName(base); k != Unknown {
		return k
	}
	if k := identifyContent(text); k != Unknown {
		return k
	}
	if looksBinary(head) {
		return Binary
	}
	switch {
	case strings.HasPrefix(base, "note"), strings.HasPrefix(base, "readme"), strings.HasSuffix(base, ".md"):
		return Note
	}
	return Output
}

// identifyMagic knows binary formats by their first bytes.
func identifyMagic(head []byte) Kind {
	switch {
	case bytes.HasPrefix(head, []byte("ElfFile\x00")):
		return EVTX
	case bytes.HasPrefix(head, []byte("regf")):
		return RegHive
	case bytes.HasPrefix(head, []byte("MSCF")), bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return Archive
	}
	return Unknown
}

var names = []struct {
	prefix, suffix string
	kind           Kind
}{
	{"windowsupdate", ".log", WindowsUpdate},
	{"cbspersist", ".log", CBS},
	{"cbs", ".log", CBS},
	{"deepclean", ".log", CBS},
	{"checksur", ".log", CBS},
	{"sfcdetails", "", CBS},
	{"dism", ".log", DISM},
	{"setupact", ".log", Setup},
	{"setuperr", ".log", Setup},
	{"bluebox", ".log", Setup},
	{"updateagent", ".log", Setup},
	{"setupapi", ".log", SetupAPI},
	{"setupdiagresults", "", SetupDiag},
	{"reportingevents", ".log", Reporting},
	{"wuahandler", ".log", CMTrace},
	{"updatesdeployment", ".log", CMTrace},
	{"updateshandler", ".log", CMTrace},
	{"updatesstore", ".log", CMTrace},
	{"scanagent", ".log", CMTrace},
	{"locationservices", ".log", CMTrace},
	{"contenttransfermanager", ".log", CMTrace},
	{"", ".etl", ETL},
	{"", ".evtx", EVTX},
	{"", ".reg", RegExport},
	{"netsh-winhttp", "", WinHTTPShow},
	{"winhttp", ".txt", WinHTTPShow},
	{"sc-q", "", ScQuery},
	{"sc_q", "", ScQuery},
	{"systeminfo", "", SystemInfo},
	{"dism-output", "", DISMOutput},
	{"sfc-output", "", SFCOutput},
	{"ipconfig", "", IPConfig},
	{"w32tm", "", W32TM},
	{"fltmc", "", FLTMC},
	{"dsregcmd", "", DSRegCmd},
	{"reagentc", "", REAgentC},
	{"notes", "", Note},
	{"note", ".txt", Note},
}

func identifyName(base string) Kind {
	if base == "hosts" || base == "hosts.txt" {
		return Hosts
	}
	for _, n := range names {
		if strings.HasPrefix(base, n.prefix) && strings.HasSuffix(base, n.suffix) {
			return n.kind
		}
	}
	return Unknown
}

// headText decodes the head for sniffing, without its last, perhaps torn, line.
func headText(head []byte) []byte {
	var out bytes.Buffer
	out.ReadFrom(NewTextReader(bytes.NewReader(head)))
	b := out.Bytes()
	if i := bytes.LastIndexByte(b, '\n'); i > 0 && len(head) >= 4096 {
		b = b[:i]
	}
	return b
}

func looksBinary(head []byte) bool {
	if utf16Order(head) != 0 || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) || bytes.HasPrefix(head, []byte{0xFE, 0xFF}) {
		return false
	}
	zeros := bytes.Count(head, []byte{0})
	return zeros*50 > len(head)
}

// identifyContent sniffs text by what the first lines look like.
func identifyContent(text []byte) Kind {
	if k := identifyDocument(text); k != Unknown {
		return k
	}
	var wu, servicing, cbs, dism, setup, seen int
	for line := range bytes.Lines(text) {
		if seen++; seen > 60 {
			break
		}
		line = trimEOL(line)
		var rec Record
		switch {
		case bytes.Contains(line, logOpen), bytes.Contains(line, oldTail) && bytes.Contains(line, []byte("<thread=")), copiedFromViewer(line):
			return CMTrace
		case bytes.HasPrefix(line, []byte(">>>  [")) || bytes.HasPrefix(line, []byte("<<<  [Exit status")):
			return SetupAPI
		case parseServicing(line, &rec) && !rec.Continued:
			servicing++
			switch string(rec.Component) {
			case "CBS", "CSI", "DPX":
				cbs++
			case "DISM":
				dism++
			default:
				setup++
			}
		case parseReporting(line, &rec):
			return Reporting
		case parseWindowsUpdate(line, &rec):
			wu++
		}
	}
	switch {
	case servicing > wu && cbs >= dism && cbs >= setup:
		return CBS
	case servicing > wu && dism >= setup:
		return DISM
	case servicing > wu:
		return Setup
	case wu > 0:
		return WindowsUpdate
	}
	return Unknown
}
