package winlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The saved outputs of commands are small, so their readers hold them whole,
// within these bounds. What lies beyond is not read.
const (
	maxDocumentBytes = 2 << 20 // 1 MiB of text that was saved as UTF-16
	maxDocumentLines = 20_000
)

// errEnough ends a reading early; it never leaves the package.
var errEnough = errors.New("enough read")

// readDocument decodes a document into lines without their ends. The line with
// index i is line i+1 of the file.
func readDocument(r io.Reader) ([]string, error) {
	var lines []string
	_, err := eachLine(context.Background(), io.LimitReader(r, maxDocumentBytes), func(line []byte, _ bool) error {
		if len(lines) == maxDocumentLines {
			return errEnough
		}
		lines = append(lines, string(line))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("read document: %w", err)
	}
	return lines, nil
}

// cutColon splits "key : value" at the first colon, ASCII or full width, and
// trims both sides. ASCII colons never occur inside the two-byte characters of
// the East Asian code pages, so this holds for undecoded text as well.
func cutColon(s string) (key, value string, ok bool) {
	i := strings.IndexAny(s, ":：")
	if i < 0 {
		return strings.TrimSpace(s), "", false
	}
	value = s[i+1:]
	if s[i] != ':' {
		value = s[i+len("："):]
	}
	return strings.TrimSpace(s[:i]), strings.TrimSpace(value), true
}

var promptLine = newPattern(`^(?:PS [^>"|<]{0,300}|[A-Za-z]:(?:\\[^>"|<]{0,300})?)> ?`)

// isPrompt reports a line that is a prompt of cmd.exe or PowerShell with or
// without a command: "C:\Windows\system32>sc query wuauserv", "PS C:\> Get-Service".
func isPrompt(line string) bool {
	return strings.Contains(line, ">") && promptLine.MatchString(line)
}

// afterPrompt returns the command that a prompt line shows.
func afterPrompt(line string) (command string, ok bool) {
	if !strings.Contains(line, ">") {
		return "", false
	}
	loc := promptLine.FindStringIndex(line)
	if loc == nil {
		return "", false
	}
	return strings.TrimSpace(line[loc[1]:]), true
}

// identifyDocument tells which saved output, export or note an unnamed text is,
// by structure and in any display language. Where it is not sure it says Unknown.
func identifyDocument(text []byte) Kind {
	if kinds := DocumentKinds(text); len(kinds) > 0 {
		return kinds[0]
	}
	return Unknown
}

// sniffLines is how far into a text its kind is looked for. The transcript of a
// console holds the outputs of many commands.
const sniffLines = 2000

// DocumentKinds returns every kind of output or export that a text holds, the
// likeliest first, or nil; [Note] stands alone. The transcript of a console may
// hold several: each of their readers passes over what it does not know.
func DocumentKinds(text []byte) []Kind {
	var s sniffer
	for line := range bytes.Lines(text) {
		if s.lines++; s.lines > sniffLines {
			break
		}
		s.line(string(toUTF8(trimEOL(line))))
	}
	if s.dated*3 > s.filled && s.dated >= 2 || s.logs > 0 {
		return nil // a log; those have columns to be known by
	}
	return s.kinds(text)
}

// sniffer counts what speaks for each kind.
type sniffer struct {
	lines, filled int
	dated, logs   int // lines that begin with date and time, or as logs of ConfigMgr and setupapi do
	prev          string

	xmlEvent, setupDiag, regHead, regKey, regValue int
	winhttp, scBlock, scOther, tableHead           int
	ipField, timeBlock, strip, filter, dash        int
	device, recovery, dismVersion, dismBar         int
	sfcPercent, sfcClosing                         int
	osVersion, productID, banner, pageFile, hotfix int
	hosts, notHosts, prose, notProse, prompts      int
	jsonProxy, winver, health                      int
}

var (
	datedLine   = newPattern(`^\[?\d{4}[-/]\d\d[-/]\d\d[ T,\t]{1,2}\d\d:\d\d`)
	logSection  = newPattern(`^(?:>>>|<<<) {1,2}\[`) // setupapi
	scBodyLine  = newPattern(`^\s*[^:：]{2,24}?\s*[:：] [0-9a-f]{1,4}\s{1,3}(?:WIN32|KERNEL_DRIVER|FILE_SYSTEM_DRIVER|USER_)[A-Z_0-9]*`)
	regKeyLine  = newPattern(`^(?:\[-?)?HKEY_(?:LOCAL_MACHINE|CURRENT_USER|USERS|CLASSES_ROOT|CURRENT_CONFIG)(?:\\|\]|$)`)
	regDataLine = newPattern(`^(?:\s{2,}.{1,200}?(?:\s{2,}|\t)REG_(?:SZ|DWORD|QWORD|BINARY|EXPAND_SZ|MULTI_SZ|NONE)\b|(?:@|".{0,200}?")=(?:"|dword:|hex|-))`)
	countLine   = newPattern(`^\S+ (?:\S+ ){0,4}?(?:\d{1,3} ?%|%\d{1,3})(?: ?\S+){0,4}$`)
	hostLine    = newPattern(`^\s*(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]{2,45})(?:%\w+)?[ \t]+[A-Za-z0-9*_][A-Za-z0-9._*-]*(?:[ \t]+[A-Za-z0-9._*-]+)*[ \t]*(?:#.*)?$`)
	winEvent    = newPattern(`<Event xmlns=["']http://schemas\.microsoft\.com/win/2004/08/events/event["']`)
)

func (s *sniffer) line(line string) {
	t := strings.TrimSpace(line)
	if t == "" {
		return
	}
	s.filled++
	first := s.filled == 1
	defer func() { s.prev = line }()

	hasColon := strings.ContainsAny(t, ":：")
	switch {
	case (t[0] == '[' || t[0]-'0' <= 9) && datedLine.MatchString(t):
		s.dated++
		s.notHosts++
		return
	case strings.HasPrefix(t, "<![LOG["), logSection.MatchString(t):
		s.logs++
		return
	case isPrompt(t):
		s.prompts++
		s.notHosts++
		s.notProse++
		return
	}
	s.addressLine(t)
	if s.filled <= 300 {
		s.proseLine(t)
	}
	var rec Record
	if parseServicing([]byte(t), &rec) && !rec.Continued {
		s.notProse += 3 // a line of CBS.log or setupact.log whose date was lost
	}

	switch {
	case first && (strings.HasPrefix(t, "Windows Registry Editor") || t == "REGEDIT4"):
		s.regHead++
	case strings.Contains(t, "HKEY_") && regKeyLine.MatchString(t):
		s.regKey++
	case (strings.Contains(t, "REG_") || strings.Contains(t, "=")) && regDataLine.MatchString(line):
		s.regValue++
	case strings.HasPrefix(t, "<") && winEvent.MatchString(t):
		s.xmlEvent++
	case strings.Contains(t, "SetupDiag") && (strings.HasPrefix(t, "<SetupDiag") || strings.HasPrefix(t, "SetupDiag: processing rule") || strings.HasPrefix(t, "SetupDiag v")),
		strings.HasPrefix(t, "Matching Profile found:"), strings.Contains(t, `"ProfileGuid"`), strings.HasPrefix(t, "<FailureData>"), strings.HasPrefix(t, "<LogErrorLine>"),
		strings.Contains(t, "Error: SetupDiag reports "):
		s.setupDiag++
	}
	if hasColon {
		s.colonLine(line, t)
	}
	s.toolLine(t)
}

// addressLine judges a line of a hosts file: every line must be one or a comment.
func (s *sniffer) addressLine(t string) {
	switch {
	case strings.HasPrefix(t, "#"):
	case (t[0]-'0' <= 9 || strings.Contains(t, ":")) && hostLine.MatchString(t):
		addr, _, _ := strings.Cut(strings.ReplaceAll(t, "\t", " "), " ")
		if _, ok := ipValue(addr); ok {
			s.hosts++
			return
		}
		s.notHosts++
	default:
		s.notHosts++
	}
}

// colonLine judges "key : value" lines.
func (s *sniffer) colonLine(line, t string) {
	_, value, _ := cutColon(t)
	switch {
	case isWinHTTPTitle(t):
		s.winhttp++
	case strings.Contains(t, `"AutoconfigUrl"`), strings.Contains(t, `"ProxyBypass"`):
		s.jsonProxy++
	case containsAny(t, []string{" WIN32", "_DRIVER", " USER_"}) && scBodyLine.MatchString(line):
		s.scBlock++
	case strings.HasPrefix(t, "[SC] "):
		s.scOther++
	case strings.Contains(t, " . :"), strings.Contains(t, " .:"):
		s.ipField++
	case strings.HasPrefix(t, "AzureAdJoined :"), strings.HasPrefix(t, "DomainJoined :"), strings.HasPrefix(t, "WorkplaceJoined :"):
		s.device++
	case strings.HasPrefix(t, "REAGENTC.EXE"), devicePath.MatchString(value) && strings.Contains(value, "GLOBALROOT"):
		s.recovery++
	case strings.HasPrefix(t, "ImageHealthState") && healthState.MatchString(t):
		s.health++
	case value == "":
	case value[0]-'0' <= 9 && toolVersion.MatchString(t):
		s.dismVersion++
	case value[0]-'0' <= 9 && pollLine.MatchString(value):
		s.timeBlock++
	case value[0]-'0' <= 9 && (leapLine.MatchString(value) || refIDLine.MatchString(value) && strings.Contains(value, " (")):
		s.timeBlock++
	case t[0]-'0' <= 9 && (stripSample.MatchString(t) || stripError.MatchString(t)):
		s.strip++
	case productID.MatchString(value):
		s.productID++
	case pageFile.MatchString(value):
		s.pageFile++
	case strings.HasPrefix(t, "[") && len(findKBs(t)) == 1 && strings.Index(t, "]:") == 3:
		s.hotfix++
	case strings.Contains(s.prev, "Windows") && strings.Contains(value, " ") && versionValue.MatchString(value):
		s.osVersion++
	}
}

// toolLine judges lines that need no colon.
func (s *sniffer) toolLine(t string) {
	switch {
	case strings.Contains(t, "Windows [") && verBanner.MatchString(t):
		s.banner++
	case strings.HasSuffix(t, ")") && winverText.MatchString(t):
		s.winver++
	case strings.HasPrefix(t, "["):
		if barPercent.MatchString(t) {
			s.dismBar++
		}
	case strings.HasPrefix(t, "---"):
		s.dash++
	case strings.Contains(t, "verification phase of system scan"), strings.Contains(t, "phase der System"):
		s.sfcClosing++
	case strings.Contains(t, "%") && countLine.MatchString(undoSpacing(t)):
		s.sfcPercent++
	case strings.Contains(t, "  ") && strings.ContainsAny(t, "0123456789") && (filterRow.MatchString(t) || instanceRow.MatchString(t)):
		s.filter++
	case len(t) < 200 && len(tableColumns(t)) >= 2:
		s.tableHead++
	case strings.Contains(t, "\t") && strings.Contains(t, "10.0.") && strings.Contains(s.prev, "Windows"):
		s.osVersion += 2 // msinfo32
	}
	if s.sfcPercent > 0 || strings.Contains(t, "Windows") || strings.Contains(t, "corrupt") {
		var r ToolResult
		if r.sentence(undoSpacing(t)); r.Outcome != OutcomeUnknown || r.NamesLog {
			s.sfcClosing++
		}
	}
}

// Words that make sentences, English and German; outputs of tools have few.
var functionWords = func() map[string]bool {
	const words = `
the a an i we my our your you it its is are was were be been has have had do does did can could may will would and or but to of on in at by with after
before when while since until then this that these there here not no from for as if so also still every always only just now because which who all
some any same
der die das ein eine einen einem ich wir es er sie mich mir uns sich ist sind war und oder aber nicht nach bei mit wird werden wurde hat habe haben
kann seit dann auch noch zu zum zur im in am auf aus von vom den dem des für als wie wenn weil schon immer nur mehr kein keine keinen`
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}()

// proseLine judges whether a person wrote the line.
func (s *sniffer) proseLine(t string) {
	words := strings.FieldsFunc(strings.ToLower(t), func(r rune) bool { return !isWordRune(r) && !isApostrophe(r) })
	n := 0
	for _, w := range words {
		if functionWords[w] {
			n++
		}
	}
	tool, _, _ := markOf(t)
	switch {
	case tool != "", startsPowerShellError(t), strings.Contains(t, "*FAILED*"):
		s.notProse += 3
	case n >= 2 && len(words) >= 5 && n*8 >= len(words):
		s.prose++
	case len(words) > 0 && !strings.ContainsAny(t[:1], "-*•#"):
		s.notProse++
	}
}

// kinds weighs the counts.
func (s *sniffer) kinds(text []byte) []Kind {
	var out []Kind
	add := func(k Kind, ok bool) {
		if ok {
			out = append(out, k)
		}
	}
	add(SetupDiag, s.setupDiag > 0)
	add(EventText, s.xmlEvent > 0 || len(out) == 0 && looksLikeEvents(text))
	add(RegExport, s.regHead > 0 || s.regKey > 0 && s.regValue > 0)
	add(WinHTTPShow, s.winhttp > 0 && s.isWinHTTP(text) || s.jsonProxy >= 2)
	services := s.scBlock > 0 || s.tableHead > 0 && s.dash > 0
	add(ScQuery, services || s.scOther > 0)
	add(IPConfig, s.ipField >= 3)
	add(W32TM, s.timeBlock >= 2 || s.strip >= 1)
	add(FLTMC, s.filter >= 1 && s.dash >= 1)
	add(DSRegCmd, s.device >= 2)
	add(REAgentC, s.recovery >= 1)
	add(DISMOutput, s.dismVersion >= 1 || s.dismBar > 0 || s.health > 0)
	add(SFCOutput, s.sfcPercent >= 1 && (s.sfcClosing > 0 || s.sfcPercent >= 3) && s.prose <= s.sfcPercent+s.sfcClosing+4 || s.sfcClosing > 0 && s.dismVersion+s.dismBar+s.health == 0 && s.prose <= 4 && s.closesSFC(text))
	add(SystemInfo, s.osVersion > 0 && (s.productID > 0 || s.pageFile > 0 || s.hotfix > 0 || s.osVersion > 1) || s.hotfix > 0 && s.productID > 0 || len(out) == 0 && (s.banner > 0 || s.winver > 0) && s.filled <= s.prompts+3)
	add(Hosts, s.hosts > 0 && s.notHosts == 0)
	if len(out) == 0 && s.prose > 0 && s.prose >= s.notProse && s.prompts == 0 {
		out = append(out, Note)
	}
	return out
}

// isWinHTTP reports whether the title is followed by what belongs below it; a
// sentence may end in the same words.
func (s *sniffer) isWinHTTP(text []byte) bool {
	p, err := ReadWinHTTP(bytes.NewReader(text))
	return err == nil && p.Known
}

func (s *sniffer) closesSFC(text []byte) bool {
	runs, err := ReadSFCOutput(bytes.NewReader(text))
	return err == nil && len(runs) > 0 && runs[0].Outcome != OutcomeUnknown
}

// looksLikeEvents tries the reader of event texts on the beginning of a text.
func looksLikeEvents(text []byte) bool {
	head := text[:min(len(text), 16<<10)]
	events, others := 0, 0
	_, err := scanEventText(context.Background(), bytes.NewReader(head), func(r *Record) error {
		if !r.Loose && r.ID != 0 && len(r.Component) > 0 {
			events++
		} else {
			others++
		}
		return nil
	})
	return err == nil && events > 0 && others <= events*3
}
