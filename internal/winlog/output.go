package winlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"updoc/internal/codes"
)

// OutputRecord is one message in the saved output of a command or a tool: a
// PowerShell error with its position and category lines, or else one line.
type OutputRecord struct {
	Line    int          // 1-based line it begins on
	Tool    string       // who speaks: one of the Tool constants, or the program on the command line; "" if not known
	Command string       // cmdlet, task or command line it belongs to, if shown
	Text    string       // the record without line ends between its lines' texts but "\n"
	Codes   []codes.Code // codes in Text, each value once, in their order; exit codes that only ask for a restart are left out
}

// The tools that [ReadOutput] tells apart by marks of their own. A tool that
// only its command line names is given by that program's name in lower case.
const (
	ToolPowerShell   = "powershell"
	ToolDSC          = "dsc"
	ToolAnsible      = "ansible"
	ToolPacker       = "packer"
	ToolSSM          = "ssm" // AWS Systems Manager
	ToolAzure        = "azure"
	ToolWinget       = "winget"
	ToolChocolatey   = "choco"
	ToolWSL          = "wsl"
	ToolWUSA         = "wusa"
	ToolMSI          = "msiexec"
	ToolUpdateModule = "pswindowsupdate"
	ToolErr          = "err" // the error lookup tool
)

// Bounds of one record. What is longer is delivered in parts.
const (
	maxRecordLines = 64
	maxRecordBytes = 32 << 10
)

// ReadOutput reads the saved output of commands and tools and calls fn for each
// record in order, whether or not it holds a code. An error from fn ends the
// reading and is returned.
func ReadOutput(r io.Reader, fn func(OutputRecord) error) error {
	p := outputParser{fn: fn}
	_, err := eachLine(context.Background(), r, func(line []byte, _ bool) error {
		p.number++
		return p.line(string(line))
	})
	if err == nil {
		err = p.flush()
	}
	if err != nil && !errors.As(err, new(*callbackError)) {
		return fmt.Errorf("read output: %w", err)
	}
	var cb *callbackError
	if errors.As(err, &cb) {
		return cb.err
	}
	return nil
}

// callbackError carries the caller's own error through the line reader.
type callbackError struct{ err error }

func (e *callbackError) Error() string { return e.err.Error() }

type outputParser struct {
	fn      func(OutputRecord) error
	number  int
	pending []outputLine // lines that may turn out to be one PowerShell error
	size    int
	tool    string // that the last mark or prompt names; holds until the next
	command string
}

type outputLine struct {
	number int
	text   string
}

func (p *outputParser) line(text string) error {
	text = cleanConsole(text)
	t := strings.TrimSpace(text)
	if t == "" {
		return p.flush()
	}
	if command, ok := afterPrompt(t); ok {
		if err := p.flush(); err != nil {
			return err
		}
		p.command = command
		p.tool = programOf(command)
		if strings.HasPrefix(t, "PS ") && (p.tool == "" || strings.Contains(p.tool, "-")) {
			p.tool = ToolPowerShell
		}
		if command == "" {
			return nil
		}
		return p.emit(p.number, t, p.tool, command)
	}
	if startsPowerShellError(t) && len(p.pending) > 0 && !strings.HasPrefix(t, "+") {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.pending = append(p.pending, outputLine{p.number, text})
	p.size += len(text)
	if strings.HasPrefix(t, "+ FullyQualifiedErrorId") || strings.HasPrefix(t, "FullyQualifiedErrorId :") ||
		len(p.pending) >= maxRecordLines || p.size >= maxRecordBytes {
		return p.flush()
	}
	return nil
}

// flush delivers the pending lines: as one record if they are a PowerShell
// error, otherwise one by one.
func (p *outputParser) flush() error {
	lines := p.pending
	p.pending, p.size = p.pending[:0:0], 0
	if len(lines) == 0 {
		return nil
	}
	if at, command := powerShellError(lines); at >= 0 {
		for _, l := range lines[:at] {
			if err := p.single(l); err != nil {
				return err
			}
		}
		texts := make([]string, 0, len(lines)-at)
		for _, l := range lines[at:] {
			texts = append(texts, strings.TrimRight(l.text, " \t"))
		}
		if command == "" {
			command = p.command
		}
		tool := ToolPowerShell
		if p.tool == ToolDSC || p.tool == ToolAnsible || p.tool == ToolPacker || p.tool == ToolSSM || p.tool == ToolAzure {
			tool = p.tool // the error is quoted by the tool that ran PowerShell
		}
		return p.emit(lines[at].number, strings.Join(texts, "\n"), tool, command)
	}
	for _, l := range lines {
		if err := p.single(l); err != nil {
			return err
		}
	}
	return nil
}

// single delivers one line that stands for itself.
func (p *outputParser) single(l outputLine) error {
	t := strings.TrimSpace(l.text)
	tool, command, keep := markOf(t)
	switch {
	case tool == "":
		tool, command = p.tool, p.command
	case keep:
		p.tool = tool
		if command != "" {
			p.command = command
		}
	}
	if command == "" {
		command = p.command
	}
	return p.emit(l.number, t, tool, command)
}

func (p *outputParser) emit(line int, text, tool, command string) error {
	rec := OutputRecord{Line: line, Tool: tool, Command: command, Text: text, Codes: outputCodes(text, tool)}
	if err := p.fn(rec); err != nil {
		return &callbackError{err}
	}
	return nil
}

var (
	ansiEscape  = newPattern("\x1b\\[[0-9;?]*[A-Za-z]")
	clixmlChar  = newPattern(`_x000[DA9]_`)
	clixmlError = newPattern(`<S S="[A-Za-z]+">|</S>`)
)

// cleanConsole takes out what colours, progress bars and PowerShell's
// serialised streams (CLIXML) leave in a text.
func cleanConsole(s string) string {
	if strings.Contains(s, "\x1b[") {
		s = ansiEscape.ReplaceAllString(s, "")
	}
	if strings.Contains(s, "_x000") {
		s = clixmlChar.ReplaceAllString(clixmlError.ReplaceAllString(s, " "), " ")
	}
	if i := strings.LastIndexByte(s, '\r'); i >= 0 && i < len(s)-1 {
		s = s[i+1:] // only the last state of a line that was overwritten
	}
	return s
}

var (
	verbNoun       = newPattern(`^([A-Z][A-Za-z]+-[A-Z][A-Za-z]+) ?: `)
	scriptError    = newPattern(`^(?:&|[A-Za-z]:\\[^:*?"<>|]+\.ps[m1d]*1?|[\w.-]+\.exe) ?: `)
	categoryInfo   = newPattern(`CategoryInfo\s*: [^\[]*\[([A-Za-z]+-[A-Za-z]+)\]`)
	conciseMarker  = newPattern(`^\s*(?:\d+ )?\s*\|`)
	windowsProgram = newPattern(`(?i)^(?:&\s*)?(?:start(?:\s+/wait)?\s+)?"?(?:[^"]*[\\/])?([A-Za-z0-9_-]+)(?:\.(?:exe|cmd|bat|com|ps1|msu))?"?(?:\s|$)`)
)

// startsPowerShellError accepts the first line of an ErrorRecord: a cmdlet or a
// script, then its message.
func startsPowerShellError(t string) bool {
	return verbNoun.MatchString(t) || scriptError.MatchString(t)
}

// powerShellError finds a PowerShell error in lines: the line it begins on and
// its cmdlet. It is recognised by CategoryInfo and FullyQualifiedErrorId, which
// no language pack translates ("At line:1 char:1" is translated), or by the
// bar-and-tilde frame of PowerShell 7. It returns -1 if there is none.
func powerShellError(lines []outputLine) (at int, command string) {
	var is bool
	for _, l := range lines {
		t := strings.TrimSpace(l.text)
		if strings.HasPrefix(t, "+ CategoryInfo") || strings.HasPrefix(t, "+ FullyQualifiedErrorId") ||
			strings.HasPrefix(t, "CategoryInfo ") || strings.HasPrefix(t, "FullyQualifiedErrorId :") {
			is = true
			if m := categoryInfo.FindStringSubmatch(t); m != nil {
				command = m[1]
			}
		}
		if conciseMarker.MatchString(l.text) && strings.Contains(t, "~~") {
			is = true
		}
	}
	if !is {
		// The short form of PowerShell 7 is a single line; longer messages wrap.
		if m := verbNoun.FindStringSubmatch(strings.TrimSpace(lines[0].text)); m != nil {
			return 0, m[1]
		}
		return -1, ""
	}
	for i := len(lines) - 1; i >= 0; i-- {
		t := strings.TrimSpace(lines[i].text)
		if startsPowerShellError(t) {
			at = i
			if m := verbNoun.FindStringSubmatch(t); m != nil && command == "" {
				command = m[1]
			}
			break
		}
	}
	return at, command
}

// programOf names the program that a command line runs, in lower case, without
// its path and extension.
func programOf(command string) string {
	m := windowsProgram.FindStringSubmatch(command)
	if m == nil {
		return ""
	}
	name := strings.ToLower(m[1])
	switch name {
	case "choco", "cinst", "cup", "chocolatey":
		return ToolChocolatey
	case "pwsh", "powershell":
		return ToolPowerShell
	case "ansible-playbook", "ansible":
		return ToolAnsible
	}
	return name
}

// The marks by which a line tells its tool in every language: names of
// properties, log layouts, paths.
var outputMarks = []struct {
	tool string
	keep bool     // the lines after it belong to the tool too
	has  []string // the line holds one of these, in this letter case
	mark *pattern // nil: has says enough. The first group, if any, is the command
}{
	{ToolSSM, false, []string{" UTC | "}, newPattern(`^\d\d/\d\d/\d{4} \d\d:\d\d:\d\d UTC \| \w+ \| `)},
	{ToolAnsible, true, []string{"TASK [", "HANDLER ["}, newPattern(`^(?:TASK|RUNNING HANDLER) \[(.{1,200}?)\] \*{3}`)},
	{ToolAnsible, true, []string{": ["}, newPattern(`^(?:fatal|failed|changed|ok): \[[^\]]+\]`)},
	{ToolAnsible, false, []string{`"failure_hresult_code"`, `"failure_msg"`, `"found_update_count"`, `"failed_update_count"`}, nil},
	{ToolDSC, true, []string{"PowerShell DSC resource"}, newPattern(`^PowerShell DSC resource (\S+)`)},
	{ToolDSC, true, []string{"LCM: ", "[[", "MSFT_"}, newPattern(`LCM: {1,3}\[|\[\[\w+\]\S+\]|\bMSFT_(?:x\w+|\w+Resource)\b`)},
	{ToolAzure, false, []string{"ComponentStatus/Std", "RunCommandWindows", "Microsoft.Compute/virtualMachines"}, nil},
	{ToolChocolatey, true, []string{"Chocolatey v", `\chocolatey\`, "chocolatey.log"}, nil},
	{ToolWSL, false, []string{"Wsl/", "WslRegisterDistribution"}, newPattern(`\bWsl(?:/\w+){1,6}\b|\bWslRegisterDistribution\b`)},
	{ToolWinget, false, []string{"0x8a15", "0x8A15", "Windows Package Manager v", `DiagOutputDir\WinGet`}, nil},
	{ToolWUSA, false, []string{"wusa", "WUSA", "Wusa"}, newPattern(`(?i)\bwusa(?:\.exe)?\b`)},
	{ToolMSI, false, []string{"MSI (", "msiexec", "MsiExec", "MSIEXEC", "MainEngineThread"}, nil},
	{ToolErr, true, []string{"# for hex", "# as a", " matches found for "}, newPattern(`^# (?:for hex|as an? \w+:|\d+ matches found for)`)},
	{ToolUpdateModule, false, []string{"-WindowsUpdate", "-WUInstall", "-WUServiceManager"}, nil},
	{ToolPacker, true, []string{"==> "}, newPattern(`^==> [\w.-]+: `)},
}

func markOf(t string) (tool, command string, keep bool) {
	for _, m := range outputMarks {
		if !containsAny(t, m.has) {
			continue
		}
		if m.mark == nil {
			return m.tool, "", m.keep
		}
		if sub := m.mark.FindStringSubmatch(t); sub != nil {
			if len(sub) > 1 {
				command = sub[1]
			}
			return m.tool, command, m.keep
		}
	}
	return "", "", false
}

func containsAny(s string, substrs []string) bool {
	for _, sub := range substrs {
		if strings.Contains(s, sub) {
			return true
		}
	}
	return false
}

var (
	msiResult    = newPattern(`\bis returning (1[0-9]{3})\b`) // learn.microsoft.com: MsiExec.exe and InstMsi.exe error messages
	wingetResult = newPattern(`(?i)\b0x8a15[0-9a-f]{4}\b`)    // facility of the App Installer
	wslResult    = newPattern(`\bWsl(?:/\w+){0,6}/(\w+)\b`)
)

// outputCodes collects the codes of a record: those that the text shows to
// anybody, and those that only the tool's own way of writing makes codes.
func outputCodes(text, tool string) []codes.Code {
	var out []codes.Code
	seen := map[codes.HRESULT]bool{}
	add := func(c codes.Code) {
		if key := c.HRESULT ^ codes.HRESULT(c.Extend)<<1; !seen[key] && len(out) < codes.MaxMatches {
			seen[key] = true
			out = append(out, c)
		}
	}
	for _, m := range codes.Find(text) {
		if m.Form == codes.FormWin32 && m.RestartRequired() {
			continue // exit code 3010 or 1641: done, restart
		}
		add(m.Code)
	}
	if tool == ToolMSI {
		for _, m := range msiResult.FindAllStringSubmatch(text, 10) {
			if c, err := codes.Parse(m[1]); err == nil && !c.RestartRequired() {
				add(c)
			}
		}
	}
	if tool == ToolWinget {
		for _, given := range wingetResult.FindAllString(text, 10) {
			if c, err := codes.Parse(given); err == nil {
				add(c)
			}
		}
	}
	if tool == ToolWSL {
		for _, m := range wslResult.FindAllStringSubmatch(text, 10) {
			if c, err := codes.Parse(m[1]); err == nil && c.Failed() && !c.Benign() && c.Form != codes.FormHTTPStatus {
				add(c)
			}
		}
	}
	return out
}
