package facts

import (
	"bytes"
	"cmp"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// windowsUpdateReading follows the calls that WindowsUpdate.log frames: what a
// call ended with is the failure; *FAILED* lines inside it are its reasons.
type windowsUpdateReading struct {
	*reading
	lines  int
	title  string            // the last one seen, until its id follows
	bundle string            // title of the bundle whose parts are being listed
	last   string            // the last title that got its id
	titles map[string]string // by update id, lower case
}

// maxTitles bounds the titles kept of one log.
const maxTitles = 4096

// titled learns the titles of updates: a line "Title = ...", after it a line with
// the id ("UpdateId = {...}"), and perhaps the ids of its parts ("Bundles 2 updates:").
func (r *windowsUpdateReading) titled(text []byte) {
	if after, ok := bytes.CutPrefix(text, []byte("Title = ")); ok {
		r.title = quote(after[:min(len(after), 200)])
		return
	}
	if len(r.titles) >= maxTitles {
		return
	}
	switch {
	case bytes.HasPrefix(text, []byte("Bundles ")):
		r.bundle = r.last
		return
	case r.bundle != "" && len(text) >= 36 && isGUID(text[:36]):
		r.titles[findGUID(text)] = r.bundle
		return
	}
	r.bundle = ""
	if r.title == "" {
		return
	}
	if !bytes.HasPrefix(text, []byte("UpdateId = ")) && !bytes.HasPrefix(text, []byte("Id = ")) && !bytes.HasPrefix(text, []byte("Update ID = ")) {
		return
	}
	if id := findGUID(text); id != "" {
		r.titles[id] = r.title
		r.last, r.title = r.title, ""
	}
}

// update names the update that a line speaks of, as far as it is known.
func (r *windowsUpdateReading) update(text []byte) Update {
	id := findGUID(text)
	u := Update{ID: id, Title: r.titles[id], KB: findKB(text)}
	if u.Title == "" {
		return Update{KB: u.KB} // a GUID without a title may be a service or a call
	}
	u.KB = cmp.Or(u.KB, findKB([]byte(u.Title)))
	return u
}

// findGUID returns the first GUID of a text in lower case, without braces.
func findGUID(text []byte) string {
	for i := 0; i+36 <= len(text); i++ {
		if text[i+8] == '-' && text[i+13] == '-' && text[i+18] == '-' && text[i+23] == '-' {
			if g := text[i : i+36]; isGUID(g) {
				return string(bytes.ToLower(g))
			}
		}
	}
	return ""
}

func isGUID(g []byte) bool {
	for i, c := range g {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			continue
		}
		if c-'0' > 9 && c|0x20-'a' > 5 {
			return false
		}
	}
	return true
}

func (r *windowsUpdateReading) record(rec *winlog.Record) error {
	r.lines++
	if rec.Time.After(r.converted) {
		r.converted = rec.Time
	}
	r.mark(rec)
	text := rec.Text
	r.titled(text)
	if rec.Level == winlog.LevelNone && rec.Code == 0 && !bytes.Contains(text, []byte("Exit code = 0x00000000")) && !bytes.Contains(text, []byte("result = ")) {
		r.version(text)
		return nil
	}
	stage := stageOfText(rec.Component, text)
	switch {
	case isCallEnd(text):
		if rec.Code == 0 {
			r.succeed(rec, stage, string(stage), Update{})
			return nil
		}
		r.failWith(rec, Failure{Code: rec.Code, Stage: stage, Update: r.update(text), Weight: decisive})
	case rec.Code == 0:
	case rec.Level >= winlog.LevelWarning, bytes.Contains(text, []byte("ailed")), bytes.Contains(text, []byte("rror")):
		r.failWith(rec, Failure{Code: rec.Code, Stage: stage, Update: r.update(text), Weight: reported})
	default:
		r.failRecord(rec, rec.Code, stage, mentioned)
	}
	return nil
}

// isCallEnd reports the end frame of a search, download or installation:
// "* END * Finding updates CallerId = X, Id = N, Exit code = 0x...", the legacy
// "WARNING: Exit code = 0x...", "Return code = 0x00000000, Result = Succeeded".
func isCallEnd(text []byte) bool {
	if bytes.Contains(text, []byte("Ending deployment for updates")) {
		return false // the job ran to its end; what became of the updates stands elsewhere
	}
	return bytes.Contains(text, []byte("Exit code = 0x")) && !bytes.Contains(text, []byte("Queueing")) ||
		bytes.HasPrefix(text, []byte("WARNING: WU client failed")) ||
		bytes.Contains(text, []byte("install completed. Return code")) ||
		bytes.HasPrefix(text, []byte("Install complete for update ID")) ||
		bytes.Contains(text, []byte("Installer completed.")) ||
		bytes.Contains(text, []byte("WU client calls back to"))
}

var stageWords = []struct {
	word  []byte
	stage Stage
}{
	{[]byte("Finding updates"), StageScan},
	{[]byte("Searching for update"), StageScan},
	{[]byte("SyncUpdates"), StageScan},
	{[]byte("SyncServerUpdates"), StageScan},
	{[]byte("GetCookie"), StageScan},
	{[]byte("Downloading updates"), StageDownload},
	{[]byte("Installing updates"), StageInstall},
	{[]byte("ownload"), StageDownload},
	{[]byte("nstall"), StageInstall},
}

// stageOfText tells the stage from the component that speaks and what it says.
func stageOfText(component, text []byte) Stage {
	switch string(component) {
	case "ProtocolTalker", "PT", "WebServices", "SLS", "Metadata", "EP", "Setup", "SelfUpdate":
		return StageScan
	case "DownloadManager", "DnldMgr", "DeliveryOptimization", "DO":
		return StageDownload
	}
	for _, w := range stageWords {
		if bytes.Contains(text, w.word) {
			return w.stage
		}
	}
	switch string(component) {
	case "Handler", "Deployment":
		return StageInstall
	}
	return StageAny
}

// version learns the machine from the lines a service start writes.
func (r *windowsUpdateReading) version(text []byte) {
	const mark = "OS Version = "
	if i := bytes.Index(text, []byte(mark)); i >= 0 && r.machine.Build == "" {
		v, _, _ := bytes.Cut(text[i+len(mark):], []byte(" "))
		r.machine.Build = buildOf(string(v))
	}
}

// newWindowsUpdate and its siblings return what one kind of file is read with.
func newWindowsUpdate(r *reading) digest {
	return &windowsUpdateReading{reading: r, titles: map[string]string{}}
}

func (r *windowsUpdateReading) finish() {
	if st := r.source.Stats; st.Lines > 0 && st.Undecoded*2 > st.Lines {
		r.gaps = append(r.gaps, Gap{Source: r.source.Path, Why: "gap.undecoded-etl"})
		r.marks["wu-log-undecoded"] = []Seen{{Source: r.source.Path, Text: "Unknown( 10): ... (No Format Information found)"}}
	}
	r.settleSnippet(r.lines)
	r.settleCalls()
}

// settleCalls lowers what a whole log reports inside its calls when the calls
// ended well: a *FAILED* line is the reason of a failure only if a call failed
// with it. The agent tries the other signature, the other proxy, the next
// server, and writes a line for each try.
func (r *windowsUpdateReading) settleCalls() {
	if r.lines <= excerptLines || len(r.successes) == 0 {
		return
	}
	ended := r.successes[len(r.successes)-1].Seen.Time
	for i := range r.failures {
		if x := &r.failures[i]; x.Weight >= decisive && x.Last.After(ended) {
			return
		}
	}
	for i := range r.failures {
		if x := &r.failures[i]; x.Weight < decisive && !x.Last.After(ended) {
			x.Weight = min(x.Weight, mentioned)
		}
	}
}

// excerptLines is how long a file may be to pass for an excerpt.
const excerptLines = 60

// settleSnippet raises what is only mentioned when the file is an excerpt: a
// person who copies ten lines into a ticket copies the ones that matter.
func (r *reading) settleSnippet(lines int) {
	if lines > excerptLines {
		return
	}
	for i := range r.failures {
		if f := &r.failures[i]; f.Weight < reported {
			f.Weight = reported
		}
	}
}

// reportingReading reads ReportingEvents.log: one line an event, with its result.
type reportingReading struct{ *reading }

func newReporting(r *reading) digest { return &reportingReading{r} }

func (r *reportingReading) record(rec *winlog.Record) error {
	r.mark(rec)
	name := rec.Field("event")
	u := Update{ID: rec.Field("update"), KB: findKB(rec.Text)}
	stage := StageAny
	switch {
	case bytes.Contains([]byte(name), []byte("DETECTION")):
		stage = StageScan
	case bytes.Contains([]byte(name), []byte("DOWNLOAD")):
		stage = StageDownload
	case bytes.Contains([]byte(name), []byte("INSTALL")):
		stage = StageInstall
	}
	switch {
	case rec.Code != 0:
		r.failWith(rec, Failure{Code: rec.Code, Stage: stage, Update: u, Weight: decisive})
	case rec.Field("status") == "Success" || bytes.HasSuffix([]byte(name), []byte("SUCCEEDED")) || bytes.HasSuffix([]byte(name), []byte("FINISHED")):
		r.succeed(rec, stage, string(stage), u)
	}
	return nil
}

func (r *reportingReading) finish() {}

// cmReading reads ConfigMgr client logs.
type cmReading struct {
	*reading
	lines int
}

func newCM(r *reading) digest { return &cmReading{reading: r} }

func (r *cmReading) record(rec *winlog.Record) error {
	r.lines++
	r.mark(rec)
	h := rec.Code
	if h == 0 {
		if bytes.Contains(rec.Text, []byte("Successfully completed scan")) || bytes.Contains(rec.Text, []byte("Async searching completed")) {
			r.succeed(rec, StageScan, "scan", Update{})
		}
		return nil
	}
	// 0x87D0xxxx are ConfigMgr's own states ("not yet", "not found"): they say
	// nothing about Windows Update. learn.microsoft.com: "Configuration Manager client error codes"
	if h>>16 == 0x87D0 {
		return nil
	}
	stage := stageOfText(rec.Component, rec.Text)
	switch component := string(rec.Component); {
	case component == "WUAHandler" || component == "ScanAgent" || bytes.Contains(rec.Text, []byte("search")):
		stage = StageScan
	case component == "ContentTransferManager" || component == "DataTransferService":
		stage = StageDownload
	}
	weight := mentioned
	if rec.Level >= winlog.LevelError || bytes.Contains(rec.Text, []byte("ailed")) {
		weight = decisive
	}
	r.failRecord(rec, h, stage, weight)
	return nil
}

func (r *cmReading) finish() { r.settleSnippet(r.lines) }

// resultReading reads what reports results and little else: SetupDiag's findings,
// the sections of a driver installation.
type resultReading struct {
	*reading
	stage Stage
}

func (r *resultReading) record(rec *winlog.Record) error {
	r.mark(rec)
	if rule, ok := setupRuleNamed(rec); ok {
		r.sight(rule.Mark(), rec)
	}
	if bytes.Contains(rec.Text, successfulUpgrade) || bytes.Contains(rec.Text, successfulRule) {
		r.succeed(rec, r.stage, "upgrade", Update{})
	}
	found := false
	for _, m := range codes.Find(string(rec.Text)) {
		if !m.Code.HRESULT.Failed() {
			continue
		}
		found = true
		r.failWith(rec, Failure{Code: m.Code.HRESULT, Extend: m.Code.Extend, Stage: r.stage, Weight: decisive})
	}
	if !found && rec.Code.Failed() {
		r.failWith(rec, Failure{Code: rec.Code, Stage: r.stage, Weight: decisive})
	}
	return nil
}

func (r *resultReading) finish() {}

// What SetupDiag says when setup went well, and the rule that finds it.
// learn.microsoft.com: "SetupDiag", FindSuccessfulUpgrade.
var (
	successfulUpgrade = []byte("successful upgrade found")
	successfulRule    = []byte("8A0824C8-A56D-4C55-95A0-22751AB62F3E")
)
