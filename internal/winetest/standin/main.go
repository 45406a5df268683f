// Command standin stands in for console tools of Windows that Wine lacks. It
// learns from the name under which it was started which of them it is, and behaves
// like it towards a program: exit code, the encoding of what it prints, percent
// signs on lines that are drawn over, minutes of silence, lines in a log, and what
// it changes. What the tools say in words is not theirs but stands in the places
// where theirs do.
//
// A file standin.json beside the program says what goes wrong, by tool:
//
//	{"dism": {"exit": 2148468767, "silence": "2s"}}
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf16"
)

// script is what a test asks of a tool.
type script struct {
	Exit    uint32 `json:"exit"`
	Silence string `json:"silence"` // how long it says nothing in the middle
	Say     string `json:"say"`     // in place of what it says, as it says it
	Until   string `json:"until"`   // a file: the tool does not end before it is there

	// What dism and sfc find damaged: lines of a report without their mark, "CSI Payload
	// Corrupt\tamd64_...\\paper.dll", and paths. They are repaired unless Exit says otherwise.
	Faults []string `json:"faults"`
	Files  []string `json:"files"`
}

func main() {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(self)), ".exe")
	t, ok := tools()[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "standin: no tool is called", name)
		os.Exit(1)
	}
	s, err := readScript(filepath.Join(filepath.Dir(self), "standin.json"), name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r := &runner{out: os.Stdout, script: s, system: filepath.Dir(self), args: os.Args[1:], wide: t.wide}
	code := t.run(r)
	if s.Exit != 0 {
		code = s.Exit
	}
	os.Exit(int(int32(code)))
}

func readScript(path, tool string) (script, error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return script{}, nil
	}
	all := map[string]script{}
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	return all[tool], err
}

// runner is one run of a tool.
type runner struct {
	script
	out    io.Writer
	system string // the system directory
	args   []string
	wide   bool // prints UTF-16, as sfc does wherever its output goes
}

// tool is one tool; run returns its exit code.
type tool struct {
	wide bool
	run  func(*runner) uint32
}

func tools() map[string]tool {
	quiet := tool{run: func(r *runner) uint32 { r.pause(); return r.Exit }}
	says := tool{run: func(r *runner) uint32 { r.say("\r\nWorking.\r\n"); r.pause(); r.say("Done.\r\n\r\n"); return r.Exit }}
	return map[string]tool{
		"dism": {run: dism}, "sfc": {wide: true, run: sfc}, "schtasks": {run: schtasks},
		"usoclient": quiet, "wsreset": quiet, "msdt": quiet, // windows of their own, nothing on the console
		"w32tm": says, "gpupdate": says, "reagentc": says, "chkdsk": says, "bitsadmin": says,
	}
}

func (r *runner) say(format string, args ...any) {
	if r.Say != "" {
		format, args = "%s", []any{r.Say}
		r.Say = "\x00" // once
	} else if r.Say == "\x00" {
		return
	}
	text := fmt.Sprintf(format, args...)
	if r.wide {
		var b bytes.Buffer
		for _, u := range utf16.Encode([]rune(text)) {
			_ = binary.Write(&b, binary.LittleEndian, u) // a Buffer never fails
		}
		text = b.String()
	}
	_, _ = io.WriteString(r.out, text) // whoever listens may have left
}

// pause is the silence in the middle of the work.
func (r *runner) pause() {
	if d, err := time.ParseDuration(r.Silence); err == nil {
		time.Sleep(d)
	}
	for r.Until != "" {
		if _, err := os.Stat(r.Until); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// log appends a line to a log below the Windows folder.
func (r *runner) log(name, line string) {
	p := filepath.Join(filepath.Dir(r.system), "Logs", filepath.FromSlash(name))
	if os.MkdirAll(filepath.Dir(p), 0o755) != nil {
		return
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s, %s\r\n", time.Now().Format("2006-01-02 15:04:05"), line)
}

func (r *runner) has(arg string) bool {
	for _, a := range r.args {
		if strings.EqualFold(a, arg) {
			return true
		}
	}
	return false
}

// dism: a bar that is drawn over with carriage returns, a long stay near its end,
// and the HRESULT as exit code. learn.microsoft.com: "DISM Image Management
// Command-Line Options", "Repair a Windows Image".
func dism(r *runner) uint32 {
	r.say("\r\nDeployment tool\r\nVersion: 10.0.18362.1\r\n\r\n")
	if !r.has("/online") {
		r.say("\r\nError: 87\r\n")
		return 87 // ERROR_INVALID_PARAMETER
	}
	for _, p := range []float64{0.6, 20, 62.3} {
		n := int(p / 100 * 58)
		r.say("\r[%-58s] ", fmt.Sprintf("%s %4.1f%%", strings.Repeat("=", n), p))
	}
	r.pause()
	if r.Exit != 0 {
		r.report(r.Exit)
		r.log("DISM/dism.log", fmt.Sprintf("Error                 DISM   DISM Package Manager: PID=1 TID=1 Failed processing package changes - CDISMPackageManager::Internal (hr:0x%08x)", r.Exit))
		r.say("\r\n\r\nError: 0x%08x\r\n", r.Exit)
		return r.Exit
	}
	r.report(0)
	r.log("CBS/CBS.log", "Info                  CBS    Session: 30000000_1 finalized. Reboot required: no [HRESULT = 0x00000000 - S_OK]")
	r.say("\r[%s] \r\nDone.\r\n", strings.Repeat("=", 26)+"100.0%"+strings.Repeat("=", 26))
	return 0
}

// report is what a look at the component store, or its repair, leaves in CBS.log.
// learn.microsoft.com: "Fix Windows Update corruptions and installation failures".
func (r *runner) report(result uint32) {
	repair := r.has("/restorehealth")
	if !repair && !r.has("/scanhealth") {
		return
	}
	log := func(format string, args ...any) {
		r.log("CBS/CBS.log", "Info                  CBS    "+fmt.Sprintf(format, args...))
	}
	operation, repaired, mark := "Detect only", 0, "(n)\t\t"
	if repair {
		operation = "Detect and Repair"
		if result == 0 {
			repaired, mark = len(r.Faults), "(w)\t(Fixed)\t"
		}
	}
	log("Exec: Session processing started.  Client: Manual, Session(DISM Package Manager Provider Store Corruption Detect/Repair): 30000000_1")
	log("=================================")
	log("Checking System Update Readiness.")
	for _, f := range r.Faults {
		name, object, _ := strings.Cut(f, "\t")
		log("(p)\t%s\t%s\t%s", name, mark, object)
	}
	log("Summary:")
	log("Operation: %s ", operation)
	log("Operation result: 0x%x", result)
	log("Total Detected Corruption:\t%d", len(r.Faults))
	log("Total Repaired Corruption:\t%d", repaired)
	log("Total Operation Time: 294 seconds.")
}

// sfc: UTF-16 without a mark, percent signs drawn over, its findings in CBS.log.
// learn.microsoft.com: "sfc".
func sfc(r *runner) uint32 {
	r.say("\r\nScan begins.\r\n\r\n")
	for p := 0; p <= 100; p += 25 {
		r.say("\rChecked %d%%.", p)
		if p == 50 {
			r.pause()
		}
	}
	log := func(n int, text string) {
		r.log("CBS/CBS.log", fmt.Sprintf("Info                  CSI    %08x [SR] %s", n, text))
	}
	log(1, "Verifying 1 components")
	for i, f := range r.Files {
		text := `Repairing file \??\` + f + " from store"
		if r.Exit != 0 || r.has("/verifyonly") {
			text = `Could not reproject corrupted file \??\` + f + "; source file in store is also corrupted"
		}
		log(2+i, text)
	}
	log(2+len(r.Files), "Verify complete")
	log(3+len(r.Files), fmt.Sprintf("Repairing %d components", len(r.Files)))
	log(4+len(r.Files), "Repair complete")
	r.say("\r\n\r\nNothing wrong was found.\r\n")
	return r.Exit
}

// schtasks: /Change /TN \Folder\Task /ENABLE or /DISABLE writes Settings/Enabled of
// the task's file. learn.microsoft.com: "schtasks change".
func schtasks(r *runner) uint32 {
	var task string
	for i, a := range r.args {
		if strings.EqualFold(a, "/tn") && i+1 < len(r.args) {
			task = r.args[i+1]
		}
	}
	p := filepath.Join(r.system, "Tasks", strings.TrimLeft(task, `\`))
	b, err := os.ReadFile(p)
	if err != nil || !r.has("/change") || r.has("/enable") == r.has("/disable") {
		r.say("ERROR: there is no such task.\r\n")
		return 1
	}
	if r.Exit == 0 {
		was, now := fmt.Sprint(r.has("/disable")), fmt.Sprint(r.has("/enable"))
		b = bytes.Replace(b, utf16le("<Enabled>"+was+"<"), utf16le("<Enabled>"+now+"<"), 1)
		if err := os.WriteFile(p, b, 0o644); err != nil {
			return 1
		}
	}
	r.say("Done.\r\n")
	return r.Exit
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
