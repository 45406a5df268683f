package winlog

import (
	"io"
	"strconv"
	"strings"

	"updoc/internal/codes"
)

// DISM prints on the console
//
//	Deployment Image Servicing and Management tool
//	Version: 10.0.19041.3636
//
//	Image Version: 10.0.19045.5737
//
//	[==========================100.0%==========================] The restore operation completed successfully.
//	The operation completed successfully.
//
// or, in place of the last lines, "Error: 0x800f081f" or "Error: 87" between
// blank lines and an explanation. Everything but the numbers is translated.
//
// sfc prints a percentage and a closing sentence; only when it found damage does
// that sentence name CBS.log. sfc writes UTF-16 without a mark, which redirects
// turn into text with NULs or blanks between the letters.
// learn.microsoft.com: "Repair a Windows image", "Use the System File Checker tool".

// ToolOutcome is what a repair tool says of the system. It is certain only where
// the tool prints a code or PowerShell prints the property ImageHealthState;
// otherwise it is taken from the closing sentence, which is known in English and
// German alone.
type ToolOutcome string

// The outcomes.
const (
	OutcomeUnknown      ToolOutcome = ""             // not told, or told in another language
	OutcomeHealthy      ToolOutcome = "healthy"      // nothing found
	OutcomeRepairable   ToolOutcome = "repairable"   // damage found, not repaired (CheckHealth, ScanHealth)
	OutcomeUnrepairable ToolOutcome = "unrepairable" // damage that could not be repaired, at least in part
	OutcomeRepaired     ToolOutcome = "repaired"     // damage found and repaired, or RestoreHealth went through
	OutcomeFound        ToolOutcome = "found"        // damage found; whether it was repaired is not told
	OutcomeRefused      ToolOutcome = "refused"      // the tool could not begin
	OutcomePending      ToolOutcome = "pending"      // a repair waits for a restart
)

// ToolResult is one run of DISM or sfc.
type ToolResult struct {
	Line         int     // where it begins
	Command      string  // command line, if shown
	Version      string  // of DISM: "10.0.19041.3636"
	ImageVersion string  // of the image it worked on: "10.0.19045.5737"
	Percent      float64 // highest shown, -1 if none
	Finished     bool    // reached its end without an error
	Code         codes.HRESULT
	Error        uint32 // the number as DISM printed it: 2, 87, 14098, 0x800F081F; 0 if none
	Outcome      ToolOutcome
	Hint         bool // Outcome comes from a sentence, not from a code or property
	NamesLog     bool // a path to CBS.log or dism.log is shown
}

var (
	barPercent  = newPattern(`\[[= ]*(\d{1,3}[.,]\d) ?%[= ]*\]`)
	anyPercent  = newPattern(`(?:^|[^\d.,])(\d{1,3}) ?%|% ?(\d{1,3})(?:\D|$)`)
	toolVersion = newPattern(`^[^\d:：]{1,60}[:：]\s*(\d{1,2}\.\d{1,2}\.\d{4,5}\.\d{1,6})$`)
	toolError   = newPattern(`^[^\d\s:：]{2,20}\s?[:：]\s*(0[xX][0-9a-fA-F]{8}|-?\d{1,10})$`)
	cbsLogPath  = newPattern(`(?i)\\Logs\\(?:CBS\\CBS|DISM\\dism)\.log`)
	healthState = newPattern(`^ImageHealthState\s*: (\w+)`)
	dismCommand = newPattern(`(?i)^(?:[a-z]:\\\S*\\)?dism(?:\.exe)?\s+/`)
	sfcCommand  = newPattern(`(?i)^(?:[a-z]:\\\S*\\)?sfc(?:\.exe)?\s+/`)
)

// Closing sentences, English and German, as lower-case parts without umlauts:
// those depend on the code page of the redirect.
var closingSentences = []struct {
	part    string
	outcome ToolOutcome
}{
	{"no component store corruption detected", OutcomeHealthy},
	{"es wurde keine komponentenspeicherbesch", OutcomeHealthy},
	{"the component store is repairable", OutcomeRepairable},
	{"der komponentenspeicher kann repariert werden", OutcomeRepairable},
	{"the component store cannot be repaired", OutcomeUnrepairable},
	{"der komponentenspeicher kann nicht repariert werden", OutcomeUnrepairable},
	{"the component store corruption was repaired", OutcomeRepaired},
	{"the restore operation completed successfully", OutcomeRepaired},
	{"der wiederherstellungsvorgang wurde erfolgreich", OutcomeRepaired},
	{"did not find any integrity violations", OutcomeHealthy},
	{"keine integrit", OutcomeHealthy},
	{"found corrupt files and successfully repaired", OutcomeRepaired},
	{"dateien gefunden und erfolgreich repariert", OutcomeRepaired},
	{"found corrupt files but was unable", OutcomeUnrepairable},
	{"dateien gefunden und konnte einige", OutcomeUnrepairable},
	{"konnte einige der besch", OutcomeUnrepairable},
	{"found integrity violations", OutcomeFound},
	{"hat integrit", OutcomeFound},
	{"could not perform the requested operation", OutcomeRefused},
	{"angeforderten vorgang nicht ausf", OutcomeRefused},
	{"could not start the repair service", OutcomeRefused},
	{"reparaturdienst nicht starten", OutcomeRefused},
	{"system repair pending which requires", OutcomePending},
	{"systemreparatur steht aus", OutcomePending},
}

// ReadDISMOutput reads the console output of DISM and the object that
// Repair-WindowsImage prints, in any display language: one result for each run.
func ReadDISMOutput(r io.Reader) ([]ToolResult, error) {
	lines, err := readDocument(r)
	if err != nil {
		return nil, err
	}
	var runs []ToolResult
	var cur *ToolResult
	command, prose := "", false // prose: text stood behind the version or the bar
	begin := func(i int) {
		runs = append(runs, ToolResult{Line: i + 1, Command: command, Percent: -1})
		cur = &runs[len(runs)-1]
		command, prose = "", false
	}
	end := func() {
		if cur != nil {
			cur.Finished = cur.Error == 0 && (cur.Percent == 100 || cur.Percent < 0 && prose)
		}
		cur = nil
	}
	for i := range lines {
		t := strings.TrimSpace(undoSpacing(lines[i]))
		if c, ok := afterPrompt(t); ok || dismCommand.MatchString(t) || sfcCommand.MatchString(t) {
			end()
			if command = t; ok {
				command = c
			}
			if !dismCommand.MatchString(command) {
				command = ""
			}
			continue
		}
		if m := toolVersion.FindStringSubmatch(t); m != nil {
			switch {
			case cur == nil || cur.ImageVersion != "" || cur.Version != "" && (prose || cur.Percent >= 0 || cur.Error != 0):
				end()
				begin(i)
				cur.Version = m[1]
			case cur.Version == "":
				cur.Version = m[1]
			default:
				cur.ImageVersion = m[1]
			}
			continue
		}
		if m := healthState.FindStringSubmatch(t); m != nil {
			if cur == nil {
				begin(i)
			}
			cur.property(m[1])
			prose = true
			continue
		}
		if cur == nil {
			if !barPercent.MatchString(t) && (!toolError.MatchString(t) || !alone(lines, i)) {
				continue
			}
			begin(i)
		}
		for _, m := range barPercent.FindAllStringSubmatch(t, -1) {
			cur.reach(m[1])
		}
		if m := toolError.FindStringSubmatch(t); m != nil && alone(lines, i) {
			cur.fail(m[1])
			continue
		}
		cur.sentence(t)
		title := i+1 < len(lines) && toolVersion.MatchString(strings.TrimSpace(lines[i+1])) // of the next run
		prose = prose || t != "" && !title && !barPercent.MatchString(t) || cur.Outcome != ""
	}
	end()
	return runs, nil
}

// alone reports that the lines around i are blank or missing: the errors of DISM
// stand so, while the properties that it lists ("Index : 1") do not.
func alone(lines []string, i int) bool {
	blank := func(k int) bool { return k < 0 || k >= len(lines) || strings.TrimSpace(undoSpacing(lines[k])) == "" }
	return blank(i+1) && (blank(i-1) || strings.HasSuffix(strings.TrimSpace(lines[i-1]), "]"))
}

func (t *ToolResult) reach(percent string) {
	if v, err := strconv.ParseFloat(strings.Replace(percent, ",", ".", 1), 64); err == nil && v <= 100 {
		t.Percent = max(t.Percent, v)
	}
}

// fail stores the error number that DISM printed: an HRESULT, or a Win32 error.
func (t *ToolResult) fail(number string) {
	v, err := strconv.ParseInt(number, 0, 64)
	if strings.HasPrefix(number, "0") && !strings.HasPrefix(strings.ToLower(number), "0x") {
		v, err = strconv.ParseInt(number, 10, 64)
	}
	if err != nil || v == 0 || v > 1<<32-1 || v < -1<<31 {
		return
	}
	t.Error = uint32(v)
	if t.Error <= 0xFFFF {
		t.Code = codes.FromWin32(t.Error)
	} else {
		t.Code = codes.HRESULT(t.Error)
	}
}

// property stores ImageHealthState of Repair-WindowsImage.
func (t *ToolResult) property(state string) {
	t.Hint = false
	switch state {
	case "Healthy":
		t.Outcome = OutcomeHealthy
	case "Repairable":
		t.Outcome = OutcomeRepairable
	case "NonRepairable":
		t.Outcome = OutcomeUnrepairable
	}
}

// sentence looks for a closing sentence and for the path of a log.
func (t *ToolResult) sentence(line string) {
	if cbsLogPath.MatchString(line) {
		t.NamesLog = true
	}
	low := strings.ToLower(line)
	for _, s := range closingSentences {
		if strings.Contains(low, s.part) {
			t.Outcome, t.Hint = s.outcome, true
			return
		}
	}
}

// ReadSFCOutput reads the console output of sfc, in any display language: one
// result for each run. In a language that it does not know it still tells whether
// damage was found: then the closing text names CBS.log.
func ReadSFCOutput(r io.Reader) ([]ToolResult, error) {
	lines, err := readDocument(r)
	if err != nil {
		return nil, err
	}
	var runs []ToolResult
	var cur *ToolResult
	command, before := "", 0
	begin := func(i int) {
		runs = append(runs, ToolResult{Line: i + 1, Command: command, Percent: -1})
		cur = &runs[len(runs)-1]
		command = ""
	}
	end := func() {
		if cur == nil {
			return
		}
		if cur.Outcome == OutcomeUnknown && cur.Percent == 100 && cur.NamesLog {
			cur.Outcome, cur.Hint = OutcomeFound, false
		}
		cur.Finished = cur.Percent == 100 || cur.Outcome != OutcomeUnknown && cur.Outcome != OutcomeRefused && cur.Outcome != OutcomePending
		cur = nil
	}
	for i, line := range lines {
		line = undoSpacing(line)
		t := strings.TrimSpace(line)
		if c, ok := afterPrompt(t); ok || sfcCommand.MatchString(t) || dismCommand.MatchString(t) {
			end()
			if command = t; ok {
				command = c
			}
			before = 0
			if !sfcCommand.MatchString(command) {
				command = ""
				before = -1 // another program speaks
			}
			continue
		}
		if t == "" || before < 0 {
			continue
		}
		var low, high int = -1, -1
		for _, m := range anyPercent.FindAllStringSubmatch(t, -1) {
			v, _ := strconv.Atoi(m[1] + m[2])
			if v > 100 {
				continue
			}
			if low < 0 {
				low = v
			}
			high = max(high, v)
		}
		if low >= 0 {
			if cur != nil && float64(low) < cur.Percent {
				end() // the count began anew
			}
			if cur == nil {
				begin(i)
			}
			cur.Percent = max(cur.Percent, float64(high))
			continue
		}
		if cur == nil {
			begin(i)
			cur.sentence(t)
			if cur.Outcome == OutcomeUnknown {
				// A title before the count, or not sfc at all.
				command, cur = cur.Command, nil
				if runs = runs[:len(runs)-1]; len(runs) == 0 {
					runs = nil
				}
			}
			continue
		}
		cur.sentence(t)
	}
	end()
	return runs, nil
}

// undoSpacing repairs text that was UTF-16 and lost it: NULs between the
// letters are dropped, and so are the blanks that some programs put in their place.
func undoSpacing(line string) string {
	if strings.IndexByte(line, 0) >= 0 {
		line = strings.ReplaceAll(line, "\x00", "")
	}
	if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 {
		line = strings.ReplaceAll(line, "\r", " ") // a count that overwrote itself
	}
	if len(line) < 12 {
		return line
	}
	for _, first := range []int{0, 1} { // letters at the even or at the odd places
		spaced, letters := true, 0
		for i := 1 - first; i < len(line) && spaced; i += 2 {
			spaced = line[i] == ' '
		}
		for i := first; i < len(line); i += 2 {
			if line[i] != ' ' {
				letters++
			}
		}
		if spaced && letters*3 > len(line)/2 {
			var b strings.Builder
			for i := first; i < len(line); i += 2 {
				b.WriteByte(line[i])
			}
			return b.String()
		}
	}
	return line
}
