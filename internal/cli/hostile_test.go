package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"updoc/internal/host/hosttest"
)

// Evidence comes from broken machines and from people who mean harm. Each test
// here runs the program as a process of its own and holds how much processor time that
// took and how much memory the system gave it. Other work on the machine makes a run
// last longer, and costs it no more of its own time.

// stretch is for the limits of what runs as a program, which is built without the race
// detector: they are there to find what takes ten times as long.
const stretch = 5

// ran is one run of the program.
type ran struct {
	code           int
	stdout, stderr string
	took           time.Duration // of the processor, on all cores
	memory         int64         // bytes of the process at its largest, 0 if the system does not tell
	temp           []string
}

// command makes the test binary run as updoc, see TestMain.
func command(ctx context.Context, t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	temp := t.TempDir()
	cmd := exec.CommandContext(ctx, program(t))
	cmd.Args = append([]string{"updoc"}, args...)
	cmd.Env = append(os.Environ(), "NO_COLOR=", "LC_ALL=C.UTF-8", "TMPDIR="+temp, "TMP="+temp, peakFile+"="+filepath.Join(t.TempDir(), "status"))
	return cmd, temp
}

// updoc runs the program, but never for longer than a minute.
func updoc(t *testing.T, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, temp := command(ctx, t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	r := ran{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String(), took: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), memory: peak(t, cmd)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.temp = leftIn(t, temp)
	return r
}

var highWater = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peak reads the largest resident set that the run left behind, where the system
// has one to tell.
func peak(t *testing.T, cmd *exec.Cmd) int64 {
	t.Helper()
	file := ""
	for _, v := range cmd.Env {
		if name, ok := strings.CutPrefix(v, peakFile+"="); ok {
			file = name
		}
	}
	b, _ := os.ReadFile(file)
	m := highWater.FindSubmatch(b)
	if m == nil {
		return 0
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

func leftIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// bounded holds what is true of every run, whatever it was given: it ended by
// itself with a code of the contract, in time, within its memory, left nothing
// behind, and wrote nothing that a terminal obeys.
func (r ran) bounded(t *testing.T, limit time.Duration, memory int64) {
	t.Helper()
	if r.code < ExitHealthy || r.code > ExitUnknown {
		t.Errorf("exit code %d after %v: %.2000s", r.code, r.took, r.stderr)
	}
	if r.took > limit*stretch {
		t.Errorf("took %v of processor time, want at most %v", r.took, limit*stretch)
	}
	if r.memory > memory {
		t.Errorf("used %d MB, want at most %d MB", r.memory>>20, memory>>20)
	}
	if len(r.temp) > 0 {
		t.Errorf("left %q", r.temp)
	}
	if len(r.stdout) > 1<<20 || len(r.stderr) > 64<<10 {
		t.Errorf("wrote %d and %d bytes", len(r.stdout), len(r.stderr))
	}
	for _, text := range []string{r.stdout, r.stderr} {
		for line := range strings.Lines(text) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), unwanted) {
				t.Errorf("wrote %.300q", line)
				break
			}
		}
	}
	t.Logf("exit code %d, %v, %d MB", r.code, r.took.Round(time.Millisecond), r.memory>>20)
}

const mb = 1 << 20

// sparse makes a file of a size that takes no room: its rest is NULs.
func sparse(t *testing.T, name, begin string, size int64) string {
	t.Helper()
	dir := hosttest.Dir(t, []hosttest.File{{Name: name, Data: begin}})
	p := filepath.Join(dir, name)
	if err := os.Truncate(p, size); err != nil {
		t.Skipf("no room for a file with holes: %v", err)
	}
	return p
}

const (
	wuLine  = "2031/02/03 08:04:03.4485217 6104  7340  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407\r\n"
	cbsLine = "2031-02-03 04:05:07, Error                 CBS    Failed to pre- stage package: Package_for_KB5099999~31bf3856ad364e35~amd64~~22621.1.1.9 [HRESULT = 0x800f081f - CBS_E_SOURCE_MISSING]\r\n"
)

// TestLineWithoutEnd gives each reader a gigabyte in which no line ends.
func TestLineWithoutEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 1 GB a format")
	}
	// One file for all, so that the system brings its gigabyte to memory once.
	file := sparse(t, "endless", "", 1<<30)
	for name, begin := range map[string]string{
		"CBS.log":              cbsLine,
		"WindowsUpdate.log":    wuLine,
		"ReportingEvents.log":  "{7C1E0C55-41DA-4C0C-9E57-2F6E8C1B6D11}\t2031-02-03 08:31:02:207+0100\t1\t",
		"setupapi.dev.log":     ">>>  [Device Install (Hardware initiated) - PCI\\VEN_8086]\r\n",
		"WUAHandler.log":       "<![LOG[",
		"SetupDiagResults.xml": "<?xml version=\"1.0\"?><SetupDiag><ProfileName>",
		"policies.reg":         "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fabrikam]\r\n\"a\"=\"",
		"System.evtx":          "ElfFile\x00",
		"SOFTWARE":             "regf",
		"hosts":                "203.0.113.7 ",
		"notes.txt":            "It fails with 0x8024401B, and then ",
		"anything.txt":         "PS C:\\> 0x8024401B ",
	} {
		t.Run(name, func(t *testing.T) {
			memory := int64(64 * mb)
			if name == "hosts" { // read whole, up to a bound
				memory *= 2
			}
			as := filepath.Join(filepath.Dir(file), name)
			if err := os.Rename(file, as); err != nil {
				t.Fatal(err)
			}
			file = as
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			head := make([]byte, 4096) // longer than any beginning: nothing of the one before stays
			copy(head, begin)
			if _, err := f.WriteAt(head, 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			updoc(t, "diagnose", "--from", file).bounded(t, 5*time.Second, memory)
		})
	}
	// A gigabyte of letters instead of NULs, inside a zip that is honest about it.
	t.Run("letters", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "CBS.log")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		block := bytes.Repeat([]byte("a"), mb)
		for range 256 {
			f.Write(block)
		}
		f.Close()
		updoc(t, "diagnose", "--from", file).bounded(t, 3*time.Second, 64*mb)
	})
}

// TestHostileStructure gives readers of nested formats what nests too deep, and
// what refers to itself.
func TestHostileStructure(t *testing.T) {
	random := make([]byte, 8*mb)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var entities strings.Builder
	entities.WriteString("<?xml version=\"1.0\"?><!DOCTYPE s [<!ENTITY a0 \"lol\">")
	for i := range 30 {
		fmt.Fprintf(&entities, "<!ENTITY a%d \"%s\">", i+1, strings.Repeat(fmt.Sprintf("&a%d;", i), 10))
	}
	entities.WriteString("]><SetupDiag><ProfileName>&a30;</ProfileName></SetupDiag>")
	deep := strings.Repeat("<a>", 1_000_000)
	events := "<Events>" + strings.Repeat("<Event><System><Provider Name='x'/>", 200_000)
	evtx := append([]byte("ElfFile\x00"), random...)
	copy(evtx[4096:], "ElfChnk\x00")
	for name, tt := range map[string]struct {
		file, data string
	}{
		"deep XML":            {"SetupDiagResults.xml", "<?xml version=\"1.0\"?>" + deep},
		"deep XML of another": {"results.xml", deep},
		"deep events":         {"events.xml", events},
		"entities":            {"SetupDiagResults.xml", entities.String()},
		"entities in a note":  {"notes.txt", entities.String()},
		"deep JSON":           {"SetupDiagResults.json", strings.Repeat("[", 1_000_000)},
		"deep JSON objects":   {"SetupDiagResults.json", strings.Repeat(`{"a":`, 1_000_000)},
		"random evtx":         {"System.evtx", string(evtx)},
		"random hive":         {"SOFTWARE", "regf" + string(random)},
		"random text":         {"WindowsUpdate.log", string(random)},
		"random anything":     {"x", string(random)},
		"random zip":          {"e.zip", "PK\x03\x04" + string(random)},
		"random cabinet":      {"e.cab", "MSCF" + string(random)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := hosttest.Dir(t, []hosttest.File{{Name: tt.file, Data: tt.data}, {Name: "CBS.log", Data: cbsLine}})
			r := updoc(t, "diagnose", "--from", dir)
			r.bounded(t, 3*time.Second, 160*mb)
			if r.code != ExitProblems || !strings.Contains(r.stdout, "0x800F081F") {
				t.Errorf("what stands beside it is not read: exit code %d, %.400s", r.code, r.stdout)
			}
		})
	}
}

// TestArchivesOfHarm: the bounds themselves are tested in host; this is what a
// person sees of them.
func TestArchivesOfHarm(t *testing.T) {
	zeros := hosttest.Zip(t, []hosttest.File{{Name: "CBS.log", Data: strings.Repeat("\x00", 512*mb)}, {Name: "notes.txt", Data: "It fails with 0x8024401B."}})
	slip := hosttest.Zip(t, []hosttest.File{{Name: "../../CBS.log", Data: cbsLine}, {Name: "notes.txt", Data: "It fails with 0x8024401B."}})
	dir := hosttest.Dir(t, []hosttest.File{{Name: "zeros.zip", Data: zeros}, {Name: "slip.zip", Data: slip}})
	for name, says := range map[string]string{"zeros.zip": "zeros.zip/CBS.log: unpacks to", "slip.zip": "points outside"} {
		t.Run(name, func(t *testing.T) {
			r := updoc(t, "diagnose", "--from", filepath.Join(dir, name))
			r.bounded(t, 2*time.Second, 80*mb)
			if r.code != ExitProblems || !strings.Contains(r.stdout, "0x8024401B") || strings.Contains(r.stdout, "0x800F081F") {
				t.Errorf("exit code %d: %s", r.code, r.stdout)
			}
			if !strings.Contains(r.stdout, says) {
				t.Errorf("does not say what was left out: %s", r.stdout)
			}
		})
	}
	t.Run("many files", func(t *testing.T) {
		var files []hosttest.File
		for i := range 30_000 {
			files = append(files, hosttest.File{Name: fmt.Sprintf("logs/%05d.log", i), Data: wuLine})
		}
		dir := hosttest.Dir(t, []hosttest.File{{Name: "e.zip", Data: hosttest.Zip(t, files)}})
		r := updoc(t, "diagnose", "--from", filepath.Join(dir, "e.zip"))
		r.bounded(t, 20*time.Second, 256*mb)
		if r.code != ExitProblems || !strings.Contains(r.stdout, "0x8024401B") {
			t.Errorf("exit code %d: %s", r.code, r.stdout)
		}
	})
}

// payload is what a hostile machine would like a terminal, a ticket or a browser
// to see.
const payload = "\x1b[31mRED\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\\x1b]0;title\x07\x07\u009b2J\u202egnp.exe\u2066\u200b\U000E0041\x7f" +
	"<script>alert('S')</script><img src=x onerror=alert(1)>\"'><a href=\"javascript:alert(2)\">x</a>" +
	"![i](http://evil.example/i.png)[l](http://evil.example/l) `` ``` ~~~ | --- | @everyone #1 <!-- &lt;b&gt;"

// hostileMachine writes the payload in every place from which a report quotes.
func hostileMachine(p string) []hosttest.File {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p)
	xml := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\x1b", "", "\x07", "").Replace(p)
	files := []hosttest.File{
		{Name: "WindowsUpdate.log", Data: strings.Repeat("2031/02/03 08:04:03.4485217 6104  7340  ProtocolTalker  *FAILED* [8024401B] "+p+" error = 0x8024401B, HTTP status code = 407\r\n", 3) +
			"2031/02/03 08:04:02.3356119 6104  7340  WebServices     Proxy List: '" + p + ":8080', Bypass List: '" + p + "'\r\n" +
			"2031/02/03 08:04:02.4481232 6104  7340  " + p + "  WS error: The server returned HTTP status code '407 (0x197)' with text '" + p + "'.\r\n"},
		{Name: "CBS.log", Data: "2031-02-03 04:05:07, Error                 CBS    Failed to resolve package " + p + " [HRESULT = 0x800f081f - " + p + "]\r\n" +
			"2031-02-03 04:05:07, Info                  CBS    Exec: Processing complete.  Session: " + p + ", Package: " + p + "~31bf3856ad364e35~amd64~~22621.1.1.9 [HRESULT = 0x800f081f - " + p + "]\r\n"},
		{Name: "setupact.log", Data: "2031-02-03 04:05:07, Error                 MOUPG  " + p + " [0x80070070]\r\n"},
		{Name: "ReportingEvents.log", Data: "{7C1E0C55-41DA-4C0C-9E57-2F6E8C1B6D11}\t2031-02-03 08:31:02:207+0100\t1\t182 [AGENT_INSTALLING_FAILED]\t101\t{7B1E0C55-41DA-4C0C-9E57-2F6E8C1B6D10}\t201\t80070643\t" + p + "\tFailure\tContent Install\tInstallation Failure: Windows failed to install the following update with error 0x80070643: " + p + " (KB5099999)\r\n"},
		{Name: "notes.txt", Data: p + " Windows Update fails with 0x80070422 " + p + "\r\nIt cannot install " + p + "\r\n"},
		{Name: "systeminfo.txt", Data: "\r\nHost Name:                 " + p + "\r\nOS Name:                   Microsoft Windows 11 " + p + "\r\nOS Version:                10.0.22631 N/A Build 22631\r\nSystem Type:               x64-based PC\r\n"},
		{Name: "netsh-winhttp-show-proxy.txt", Data: "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  " + p + ":8080\r\n    Bypass List     :  " + p + "\r\n"},
		{Name: "sc-query.txt", Data: "\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 30  WIN32 " + p + "\r\n        STATE              : 1  STOPPED " + p + "\r\n        WIN32_EXIT_CODE    : 1058  (0x422)\r\n"},
		{Name: "hosts", Data: "203.0.113.7 fe2cr.update.microsoft.com # " + p + "\r\n203.0.113.7 " + p + ".windowsupdate.com\r\n"},
		{Name: "policies.reg", Data: "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"WUServer\"=\"http://" + quoted + "\"\r\n\"" + quoted + "\"=\"" + quoted + "\"\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\"UseWUServer\"=dword:00000001\r\n"},
		{Name: "events.xml", Data: "<Events><Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-WindowsUpdateClient'/><EventID>20</EventID><Level>2</Level><TimeCreated SystemTime='2031-02-03T04:05:06.0Z'/><Channel>System</Channel><Computer>" + xml + "</Computer></System><EventData><Data Name='errorCode'>0x80070643</Data><Data Name='updateTitle'>" + xml + " (KB5099999)</Data><Data Name='updateGuid'>" + xml + "</Data></EventData></Event></Events>"},
		{Name: "SetupDiagResults.xml", Data: "<?xml version=\"1.0\"?><SetupDiag xmlns=\"https://docs.microsoft.com/windows/deployment/upgrade/setupdiag\"><ProfileName>" + xml + "</ProfileName><FailureData>Error: SetupDiag reports " + xml + " 0xC1900101-0x20017</FailureData></SetupDiag>"},
	}
	return files
}

var fenced = regexp.MustCompile("(?ms)^(`{3,}|~{3,})[^\n]*\n.*?^(`{3,}|~{3,}) *$")

// outsideCode is Markdown without its fences and code spans. A span ends with as
// many backticks as it began with.
func outsideCode(md string) string {
	md = fenced.ReplaceAllString(md, "")
	var out strings.Builder
	for len(md) > 0 {
		i := strings.IndexByte(md, '`')
		if i < 0 {
			break
		}
		n := len(md[i:]) - len(strings.TrimLeft(md[i:], "`"))
		out.WriteString(md[:i])
		rest, end := md[i+n:], -1
		for at := 0; at < len(rest); {
			j := strings.IndexByte(rest[at:], '`')
			if j < 0 {
				break
			}
			m := len(rest[at+j:]) - len(strings.TrimLeft(rest[at+j:], "`"))
			if m == n {
				end = at + j + m
				break
			}
			at += j + m
		}
		if end < 0 {
			out.WriteString(md[i : i+n])
			md = rest
			continue
		}
		md = rest[end:]
	}
	return out.String() + md
}

// TestNothingEscapes: whatever a machine wrote, no report of it is obeyed by a
// terminal, a ticket system or a browser.
func TestNothingEscapes(t *testing.T) {
	files := hostileMachine(payload)
	bare := hosttest.Dir(t, files)
	names := []hosttest.File{} // the payload in names, as far as a zip can carry it
	for i, f := range files {
		evil := strings.NewReplacer("/", "\u2215", `\`, "\u2216", ":", "\u2236").Replace(payload)
		names = append(names, hosttest.File{Name: fmt.Sprintf("%d%s\n%s", i, evil, f.Name), Data: f.Data}, hosttest.File{Name: fmt.Sprintf("../%d%s", i, payload), Data: "x"})
	}
	zipped := hosttest.Dir(t, []hosttest.File{{Name: "e.zip", Data: hosttest.Zip(t, names)}, {Name: "b.zip", Data: "PK\x03\x04" + payload}})
	evidence := map[string][]string{
		"content": {bare},
		"names":   {filepath.Join(zipped, "e.zip")},
		"several": {filepath.Join(zipped, "e.zip"), bare, filepath.Join(zipped, "b.zip")},
	}
	if runtime.GOOS != "windows" { // which does not allow such names
		var odd []hosttest.File
		for _, f := range files {
			odd = append(odd, hosttest.File{Name: "line\nbreak \x1b[31m\u202e<b>`|\r" + f.Name, Data: f.Data})
		}
		dir := filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "\x1b[2J<img src=x>\nfolder\xff/x", Data: "x"}}), "\x1b[2J<img src=x>\nfolder\xff")
		for _, f := range odd {
			if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		evidence["file names"] = []string{dir, bare}
		evidence["missing"] = []string{filepath.Join(dir, "no\x1b[31mne\u202e")}
	}
	for shape, from := range evidence {
		for _, flags := range [][]string{{"--why-not", "--stats"}, {"--redact", "--why-not"}, {"--redact=false"}} {
			for _, format := range formats {
				t.Run(shape+" "+format+" "+flags[0], func(t *testing.T) {
					r := updoc(t, slices.Concat([]string{"diagnose", "--format", format}, flags, []string{"--from"}, from)...)
					r.bounded(t, 5*time.Second, 160*mb)
					if shape == "missing" {
						if r.code != ExitUsage || strings.Count(r.stderr, "\n") != 2 {
							t.Errorf("exit code %d, %q", r.code, r.stderr)
						}
						return
					}
					if r.code != ExitProblems {
						t.Errorf("exit code %d: %s", r.code, r.stderr)
					}
					if !strings.Contains(r.stdout, "RED") {
						t.Error("nothing of it is quoted: the test tests nothing")
					}
					switch format {
					case "json":
						if !json.Valid([]byte(r.stdout)) {
							t.Error("not JSON")
						}
					case "md":
						text := outsideCode(r.stdout)
						for _, s := range []string{"<script", "<img", "<a ", "<b>", "evil.example", "@everyone", "<!--", "javascript:"} {
							if i := strings.Index(text, s); i >= 0 && !strings.HasPrefix(text[max(0, i-1):], `\`) {
								t.Errorf("%s stands outside of code: %.200q", s, text[max(0, i-80):])
							}
						}
					case "html":
						for _, s := range []string{"<script", "<img src=x", "<a href=\"javascript", "<a href=\"http", "<b>", "onerror=alert(1)>"} {
							if i := strings.Index(r.stdout, s); i >= 0 {
								t.Errorf("%s is markup: %.200q", s, r.stdout[max(0, i-80):])
							}
						}
					}
				})
			}
		}
	}
	for _, args := range [][]string{
		{payload},
		{"explain", payload},
		{"causes", payload},
		{"remedies", payload},
		{"demo", payload},
		{"diagnose", "--format", payload},
		{"diagnose", "--" + payload},
		{"diagnose", "--from", bare, "-o", "/" + strings.ReplaceAll(payload, "/", "") + "/x"},
	} {
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "\x00", "")
		}
		r := updoc(t, args...)
		r.bounded(t, time.Second, 64*mb)
		if r.code != ExitUsage || strings.Count(r.stderr, "\n") != 2 {
			t.Errorf("%.60q: exit code %d, %q", args, r.code, r.stderr)
		}
	}
}

// TestUnreadableFile: what may not be read is a gap, the rest is read all the same.
func TestUnreadableFile(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("permissions do not keep this user from reading")
	}
	dir := hosttest.Dir(t, []hosttest.File{{Name: "CBS.log", Data: cbsLine}, {Name: "notes.txt", Data: "0x8024401B"}})
	if err := os.Chmod(filepath.Join(dir, "CBS.log"), 0); err != nil {
		t.Fatal(err)
	}
	r := updoc(t, "diagnose", "--from", dir)
	r.bounded(t, time.Second, 64*mb)
	if r.code != ExitProblems || !strings.Contains(r.stdout, "CBS.log: permission denied") {
		t.Errorf("exit code %d: %s", r.code, r.stdout)
	}
	r = updoc(t, "diagnose", "--from", filepath.Join(dir, "CBS.log"))
	if r.code != ExitUnknown || !strings.Contains(r.stderr, "CBS.log: permission denied") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// TestEncodings: the same log in every encoding in which it reaches a ticket,
// damaged ones too, gives the same failure and cause.
func TestEncodings(t *testing.T) {
	files, _ := hosttest.Sample()
	i := slices.IndexFunc(files, func(f hosttest.File) bool { return f.Name == "WindowsUpdate.log" })
	log := files[i].Data
	wide := hosttest.UTF16(log)
	big := []byte(wide)
	for i := 0; i+1 < len(big); i += 2 {
		big[i], big[i+1] = big[i+1], big[i]
	}
	umlaut := strings.Replace(log, "Using system proxy", "Benutze Systemproxy f\xfcr B\xfcro", 1)
	for name, data := range map[string]string{
		"UTF-8":                 log,
		"UTF-8 with a mark":     "\uFEFF" + log,
		"UTF-16":                "\xff\xfe" + wide,
		"UTF-16 without a mark": wide,
		"UTF-16, big":           "\xfe\xff" + string(big),
		"UTF-16, odd length":    "\xff\xfe" + wide + "\x41",
		"half a surrogate":      "\xff\xfe" + hosttest.UTF16("x ") + "\x00\xd8" + hosttest.UTF16("\r\n") + wide + "\x00\xdc",
		"Windows-1252":          umlaut,
		"CR CR LF":              strings.ReplaceAll(log, "\r\n", "\r\r\n"),
		"LF":                    strings.ReplaceAll(log, "\r\n", "\n"),
		"NULs between":          strings.ReplaceAll(log, "\r\n", "\x00\x00\r\n\x00"),
		"twice":                 log + "\x00\x00\x00\uFEFF" + log,
		"without its end":       strings.TrimSuffix(log, "\r\n"),
		"cut off":               log[:len(log)-20],
		"form feeds":            "\f" + strings.ReplaceAll(log, "\r\n", "\r\n\f"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := hosttest.Dir(t, []hosttest.File{{Name: "WindowsUpdate.log", Data: data}})
			r := updoc(t, "diagnose", "--from", dir)
			r.bounded(t, time.Second, 64*mb)
			if !strings.Contains(r.stdout, "0x8024401B WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ") || !strings.Contains(r.stdout, "(proxy-auth-required)") {
				t.Errorf("%s", r.stdout)
			}
		})
	}
}

// TestManyCodes: logs that claim to fail in a million ways are read in time, and
// the report stays one that a person can read.
func TestManyCodes(t *testing.T) {
	var b strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&b, "2031/02/03 08:04:03.4485217 6104  7340  Agent           *FAILED* [%08X] step %d\r\n", 0x80240000+i, i)
	}
	one := filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "WindowsUpdate.log", Data: b.String()}}), "WindowsUpdate.log")
	var files []hosttest.File
	for i := range 100 {
		from := i * len(b.String()) / 100
		files = append(files, hosttest.File{Name: fmt.Sprintf("%d/WindowsUpdate.log", i), Data: b.String()[from : from+40_000]})
	}
	many := hosttest.Dir(t, files)
	for name, from := range map[string]string{"one log": one, "many logs": many} {
		for _, format := range []string{"text", "html"} {
			t.Run(name+" "+format, func(t *testing.T) {
				if from == many {
				}
				r := updoc(t, "diagnose", "--from", from, "--format", format)
				r.bounded(t, 5*time.Second, 128*mb)
				if format == "text" && strings.Count(r.stdout, "\n") > 80 {
					t.Errorf("%d lines", strings.Count(r.stdout, "\n"))
				}
			})
		}
	}
}

// TestGrowingFile: a log that is written while it is read is read as far as it went.
func TestGrowingFile(t *testing.T) {
	for _, name := range []string{"WindowsUpdate.log", "CBS.log"} {
		t.Run(name, func(t *testing.T) {
			line := wuLine
			if name == "CBS.log" {
				line = cbsLine
			}
			file := filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: name, Data: strings.Repeat(line, 20*mb/len(line))}}), name)
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						f.Close()
						return
					case <-time.After(time.Millisecond):
						f.WriteString(strings.Repeat(line, 50))
					}
				}
			}()
			r := updoc(t, "diagnose", "--from", file)
			close(stop)
			<-stopped
			r.bounded(t, 3*time.Second, 80*mb)
			if r.code != ExitProblems {
				t.Errorf("exit code %d: %s", r.code, r.stdout)
			}
		})
	}
	t.Run("shrinking", func(t *testing.T) {
		file := filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "CBS.log", Data: strings.Repeat(cbsLine, 60*mb/len(cbsLine))}}), "CBS.log")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for size := int64(60 * mb); size > 0; size -= 4 * mb {
				time.Sleep(8 * time.Millisecond)
				os.Truncate(file, size)
			}
		}()
		r := updoc(t, "diagnose", "--from", file)
		<-done
		r.bounded(t, 3*time.Second, 80*mb)
	})
}

// TestInterrupt: Ctrl-C ends a long run at once, says so, and leaves neither a
// temporary file nor half a report.
func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent Ctrl-C alone on Windows")
	}
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for b.Len() < 24*mb {
		fmt.Fprintf(&b, "2031/02/03 08:04:03.4485217 6104  7340  Agent           line %x %x\r\n", r.Uint64(), r.Uint64())
	}
	var files []hosttest.File
	for i := range 12 {
		files = append(files, hosttest.File{Name: fmt.Sprintf("%d/WindowsUpdate.log", i), Data: b.String()})
	}
	inner := hosttest.Zip(t, files)
	dir := hosttest.Dir(t, []hosttest.File{{Name: "e.zip", Data: hosttest.Zip(t, []hosttest.File{{Name: "in.zip", Data: inner}})}})
	var full time.Duration
	for _, after := range []time.Duration{0, 30 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			out := t.TempDir()
			cmd, temp := command(t.Context(), t, "diagnose", "--from", filepath.Join(dir, "e.zip"), "-o", filepath.Join(out, "report.txt"))
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			start := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if after > 0 {
				time.Sleep(after)
				cmd.Process.Signal(os.Interrupt)
			}
			signalled := time.Now()
			cmd.Wait()
			if after == 0 {
				full = time.Since(start)
				t.Logf("a whole run takes %v", full.Round(time.Millisecond))
				if code := cmd.ProcessState.ExitCode(); code < 0 {
					t.Fatalf("%v: %s", cmd.ProcessState, stderr.String())
				}
				return
			}
			took := time.Since(signalled)
			if left := leftIn(t, temp); len(left) > 0 {
				t.Errorf("left %q", left)
			}
			switch code := cmd.ProcessState.ExitCode(); {
			case code == -1 && after < 100*time.Millisecond: // before the program could listen
			case code == ExitUnknown && strings.HasPrefix(stderr.String(), "updoc: error: stopped before everything was read\nupdoc: hint: "):
				if left := leftIn(t, out); len(left) > 0 {
					t.Errorf("wrote %q", left)
				}
				if stdout.Len() > 0 {
					t.Errorf("printed %q", stdout.String())
				}
			case after+took > full*9/10: // it was done by then
			default:
				t.Errorf("%v: %q", cmd.ProcessState, stderr.String())
			}
			if took > time.Second*slowness {
				t.Errorf("stopped %v after it was asked to", took)
			}
			t.Logf("stopped after %v, exit code %d", took.Round(time.Millisecond), cmd.ProcessState.ExitCode())
		})
	}
}
