package winlog

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/sorted"
)

// StoreLog is what CBS.log tells of the component store: who looked at it or
// repaired it, what was found, and which packages servicing missed meanwhile.
type StoreLog struct {
	Checks  []StoreCheck `json:"checks,omitempty"`  // oldest first
	Missing []StoreFault `json:"missing,omitempty"` // packages and assemblies that servicing looked for and did not find
}

// StoreCheck is one look at the component store, or one repair.
type StoreCheck struct {
	By       string        `json:"by"`               // StoreByDISM, StoreBySFC
	Repair   bool          `json:"repair,omitempty"` // it was to repair, and not to look alone
	Begin    time.Time     `json:"begin,omitzero"`   // the machine's wall clock, as in Record
	End      time.Time     `json:"end,omitzero"`     // of its last line so far
	Line     int           `json:"line"`             // its first line
	Whole    bool          `json:"whole,omitempty"`  // it came to its end
	Result   codes.HRESULT `json:"result,omitzero"`  // that it ended with; 0 is success, also of a look that found damage
	Found    int           `json:"found"`            // faults, as it counts them
	Repaired int           `json:"repaired"`         // of these
	Faults   []StoreFault  `json:"faults,omitempty"` // as far as they are named
	More     int           `json:"more,omitempty"`   // named ones beyond what is kept
	Restart  bool          `json:"restart,omitempty"`

	// Sources were given beside Windows Update; SourceResult is why one of them could
	// not be used.
	Sources      []string      `json:"sources,omitempty"`
	SourceResult codes.HRESULT `json:"sourceResult,omitzero"`
	Offline      bool          `json:"offline,omitempty"` // Windows Update was not to be asked
}

// Left is how many faults a check left as they were.
func (c StoreCheck) Left() int { return max(c.Found-c.Repaired, 0) }

// Who checks: RestoreHealth and its like, or the system file checker.
const (
	StoreByDISM = "dism"
	StoreBySFC  = "sfc"
)

// StoreFault is one thing that is damaged or missing.
type StoreFault struct {
	Kind      string `json:"kind"`                // one of the kinds below
	Name      string `json:"name,omitempty"`      // the fault in the log's own words: "CSI Payload Corrupt"
	Component string `json:"component,omitempty"` // "amd64_microsoft-windows-..._none_0123456789abcdef", or sfc's shorter name
	Version   string `json:"version,omitempty"`   // of the component
	File      string `json:"file,omitempty"`      // in the component, or its full path if it lies outside of the store
	Package   string `json:"package,omitempty"`   // whole identity of the package it belongs to
	KB        string `json:"kb,omitempty"`
	Fixed     bool   `json:"fixed,omitempty"`
	NoSource  bool   `json:"noSource,omitempty"` // nothing had a good copy
	Line      int    `json:"line,omitempty"`

	Time time.Time `json:"time,omitzero"` // of a missing package; others have that of their check
}

// The kinds of faults.
const (
	FaultPayload  = "payload"  // a file of a component
	FaultManifest = "manifest" // of a component
	FaultMetadata = "metadata" // what the registry says of components and packages
	FaultPackage  = "package"  // manifest of a package (.mum), or the whole package
	FaultCatalog  = "catalog"  // the signatures of a package
	FaultFile     = "file"     // a system file outside of the store
)

// Same reports whether two faults are of the same thing.
func (f StoreFault) Same(o StoreFault) bool {
	return f.Kind == o.Kind && sameName(f.File, o.File) && sameName(f.Component, o.Component) && f.Version == o.Version &&
		(f.Package == o.Package || f.Component != "" || f.File != "")
}

// sameName compares names of files and components; most differ in length.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// Bounds of what is kept: a damaged disk fills a log with thousands of faults.
const (
	maxChecks     = 32
	maxFaults     = 256
	maxStoreWords = 400 // bytes of a name
	maxSources    = 8
)

// StoreReader reads a StoreLog from the records of CBS.log and CbsPersist_*.log.
//
// RestoreHealth and ScanHealth write a report when they are done: a frame, a line a
// fault, a summary. sfc writes a line that begins with [SR] for everything it does.
// Neither is localised. learn.microsoft.com: "Fix Windows Update corruptions and
// installation failures", "Analyze the log file entries that SFC.exe generates".
type StoreReader struct {
	log     StoreLog
	dism    StoreCheck // being read; its Line is 0 while there is none
	started bool       // its session has begun, and not its sources alone
	report  bool       // inside of its report
	sfc     StoreCheck
	mending bool // sfc has checked everything, and repairs

	// sfc says of each file two or three times what it cannot do, in each of its runs.
	run   int                  // counts them
	lines map[uint64]*sfcLine  // what its lines say, by their number
	names map[uint64]*sfcFault // what they name, by its hash
	last  int                  // the fault of the line before, -1 if it was of none
	owner struct {             // what the last line says that names a package
		said    uint64
		pkg, kb string
	}
}

// sfcLine is what a line of sfc says of a file. Without a Kind it is of none.
type sfcLine struct {
	StoreFault
	whole, short *sfcFault // by all that it names, and by the file and the version of a component alone
	sfcFault
}

// sfcFault is the index of a fault in a run; past the last: counted in More.
type sfcFault struct{ run, fault int }

// maxLines bounds the lines of sfc that are known again.
const maxLines = 8192

// Log returns what was read so far.
func (r *StoreReader) Log() StoreLog {
	out := StoreLog{Checks: slices.Clone(r.log.Checks), Missing: slices.Clone(r.log.Missing)}
	if r.dism.Line != 0 {
		out.Checks = append(out.Checks, r.dism)
	}
	if r.sfc.Line != 0 {
		out.Checks = append(out.Checks, r.sfc.counted())
	}
	sorted.By(out.Checks, func(a, b StoreCheck) int { return a.Begin.Compare(b.Begin) })
	out.Checks = out.Checks[max(0, len(out.Checks)-maxChecks):]
	return out
}

var (
	srMark        = []byte("[SR] ")
	repairSession = []byte("Store Corruption Detect/Repair)")
	readiness     = []byte("Checking System Update Readiness")
	addSource     = []byte("Exec: Addsource called")
	badSource     = []byte("The alternate source path")
	localOnly     = []byte("Exec: Clients specified using local source only")
	repairEnded   = []byte("Exec: Processing complete, session(Corruption ")
	detected      = []byte("Corruption detection complete. numCorruptions = ")
	addMissing    = []byte("Repr: Add missing payload:")
	noReplacement = []byte("Repair failed: Missing replacement")
	rebootNeeded  = []byte("Reboot required: yes")
	summaryOf     = []byte("Operation: ")
	summaryResult = []byte("Operation result: ")
	summaryFound  = []byte("Total Detected Corruption:")
	summaryFixed  = []byte("Total Repaired Corruption:")
	summaryEnd    = []byte("Total Operation Time:")
)

// Record takes the next record of the log.
func (r *StoreReader) Record(rec *Record) {
	text := rec.Text
	if len(text) < 6 {
		return
	}
	if len(text) > 14 && text[9] == '[' && bytes.HasPrefix(text[9:], srMark) {
		r.systemFiles(rec, text[9+len(srMark):])
		return
	}
	if len(text) > 40 && text[8] == '@' {
		if _, n, ok := bytes.Cut(text, detected); ok && r.dism.Line != 0 {
			r.dism.Found, r.dism.End = count(n), later(r.dism.End, rec.Time)
		}
		return
	}
	switch text[0] {
	case '(':
		r.fault(rec)
	case 'C':
		if bytes.HasPrefix(text, readiness) {
			if r.report || !r.started && len(r.dism.Faults) > 0 { // the one before has no end in this log
				r.close()
			}
			r.begin(rec)
			r.report = true
			r.dism.Faults, r.dism.More = nil, 0
		}
	case 'E':
		r.exec(rec)
	case 'T':
		r.total(rec)
	case 'O':
		r.operation(rec)
	case 'R':
		n := len(r.dism.Faults)
		switch {
		case r.report && n > 0 && bytes.HasPrefix(text, noReplacement):
			r.dism.Faults[n-1].NoSource = true
		case r.started && !r.report && bytes.HasPrefix(text, addMissing): // what it will look for, long before its report
			f := StoreFault{Kind: FaultPayload, Line: rec.Line}
			f.object(string(text[len(addMissing):]))
			if !slices.ContainsFunc(r.dism.Faults, f.Same) {
				r.dism.add(f)
			}
			r.dism.Repair, r.dism.End = true, later(r.dism.End, rec.Time)
		}
	case 'S':
		if r.dism.Line != 0 && bytes.HasPrefix(text, []byte("Session: ")) && bytes.Contains(text, rebootNeeded) {
			r.dism.Restart = true
		} else if bytes.HasPrefix(text, []byte("Store corruption, manifest missing for package")) {
			r.missing(rec, FaultPackage)
		}
	case 'M':
		if bytes.HasPrefix(text, []byte("Mark store corruption flag because of package")) {
			r.missing(rec, FaultPackage)
		}
	case 'F':
		r.failed(rec)
	}
}

// failed reads which package or assembly servicing did not find.
func (r *StoreReader) failed(rec *Record) {
	const (
		storeCorruption codes.HRESULT = 0x800F0831
		assemblyMissing codes.HRESULT = 0x80073701
		assemblyUnfound codes.HRESULT = 0x800736B3
	)
	switch text := rec.Text; {
	case rec.Code == storeCorruption && bytes.HasPrefix(text, []byte("Failed to resolve")):
		r.missing(rec, FaultPackage)
	case (rec.Code == assemblyMissing || rec.Code == assemblyUnfound) &&
		(bytes.HasPrefix(text, []byte("Failed to pin deployment")) || bytes.HasPrefix(text, []byte("Failed to resolve")) || bytes.HasPrefix(text, []byte("Failed to bulk stage"))):
		r.missing(rec, FaultManifest)
	}
}

// missing notes a package that servicing names.
func (r *StoreReader) missing(rec *Record, kind string) {
	f := StoreFault{Kind: kind, Package: packageIdentity(rec.Text), Line: rec.Line, Time: rec.Time}
	if f.Package == "" {
		return
	}
	f.KB = kbOf(f.Package)
	if kind == FaultManifest {
		f.Component = bounded(strings.TrimRight(after(rec.Text, []byte("Update: "), " "), ","))
	}
	if len(r.log.Missing) < maxFaults && !slices.ContainsFunc(r.log.Missing, func(o StoreFault) bool { return o.Package == f.Package && o.Kind == f.Kind }) {
		r.log.Missing = append(r.log.Missing, f)
	}
}

// begin opens a check by DISM where none is open.
func (r *StoreReader) begin(rec *Record) {
	if r.dism.Line == 0 {
		r.dism = StoreCheck{By: StoreByDISM, Begin: rec.Time, Line: rec.Line}
	}
	r.dism.End = later(r.dism.End, rec.Time)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// exec reads the lines that frame the session of a repair.
func (r *StoreReader) exec(rec *Record) {
	text := rec.Text
	switch {
	case bytes.HasPrefix(text, []byte("Exec: Session processing started")) && bytes.Contains(text, repairSession):
		r.abandon()
		r.begin(rec)
		r.started = true
	case bytes.HasPrefix(text, addSource): // comes before the session that uses it
		r.abandon()
		r.begin(rec)
		if len(r.dism.Sources) < maxSources {
			r.dism.Sources = append(r.dism.Sources, bounded(after(text, []byte("Path: "), "\x00")))
		}
	case bytes.HasPrefix(text, localOnly):
		if r.dism.Line != 0 {
			r.dism.Offline = true
		}
	case bytes.HasPrefix(text, repairEnded):
		r.begin(rec)
		r.dism.Result, r.dism.Whole = rec.Code, true
		r.dism.Repair = r.dism.Repair || bytes.HasPrefix(text[len(repairEnded):], []byte("Repairing"))
		r.close()
	}
}

// abandon ends a check that never came to its end, as another begins.
func (r *StoreReader) abandon() {
	if r.started || r.report || len(r.dism.Faults) > 0 {
		r.close()
	}
}

// close ends the check by DISM that is being read.
func (r *StoreReader) close() {
	r.keep(r.dism)
	r.dism, r.report, r.started = StoreCheck{}, false, false
}

func (r *StoreReader) keep(c StoreCheck) {
	if len(r.log.Checks) == maxChecks {
		r.log.Checks = slices.Delete(r.log.Checks, 0, 1)
	}
	r.log.Checks = append(r.log.Checks, c)
}

// total reads the counts of a report.
func (r *StoreReader) total(rec *Record) {
	text := rec.Text
	switch {
	case bytes.HasPrefix(text, []byte("The alternate")):
		if bytes.HasPrefix(text, badSource) && r.dism.Line != 0 {
			r.dism.SourceResult = rec.Code
		}
	case !r.report:
	case bytes.HasPrefix(text, summaryFound):
		r.dism.Found = count(text[len(summaryFound):])
	case bytes.HasPrefix(text, summaryFixed):
		r.dism.Repaired = count(text[len(summaryFixed):])
		if r.dism.Repaired > 0 && r.dism.Repaired == r.dism.Found {
			for i := range r.dism.Faults {
				r.dism.Faults[i].Fixed = true
			}
		}
	case bytes.HasPrefix(text, summaryEnd):
		r.dism.End, r.dism.Whole = later(r.dism.End, rec.Time), true
	}
}

// operation reads what a report says it was.
func (r *StoreReader) operation(rec *Record) {
	if !r.report {
		return
	}
	if v, ok := bytes.CutPrefix(rec.Text, summaryResult); ok {
		if v, ok = bytes.CutPrefix(v, []byte("0x")); ok {
			n, _ := hex(v)
			r.dism.Result = codes.HRESULT(n)
		}
	} else if v, ok := bytes.CutPrefix(rec.Text, summaryOf); ok {
		r.dism.Repair = bytes.Contains(v, []byte("Repair"))
	}
}

// count reads the number behind a label.
func count(b []byte) int {
	n, digits, _ := number(skipSpace(b))
	if digits == 0 {
		return 0
	}
	return int(min(n, 1_000_000))
}

// fault reads a line of a report: "(p)\tCSI Payload Corrupt\t(n)\t\t\tCOMPONENT\FILE".
// The first mark is (p) or (f) for a fault, (w) for a warning and (fix) for what was
// mended; the second tells where the repair took the good copy from, "(Fixed)" that
// it is mended.
func (r *StoreReader) fault(rec *Record) {
	mark, rest, ok := bytes.Cut(rec.Text[1:], []byte(")"))
	if !ok || len(mark) > 4 || !r.report && !bytes.Equal(mark, []byte("f")) && !bytes.Equal(mark, []byte("p")) {
		return
	}
	rest = skipSpace(rest)
	if !bytes.HasPrefix(rest, []byte("CSI ")) && !bytes.HasPrefix(rest, []byte("CBS ")) {
		return
	}
	if bytes.Equal(mark, []byte("w")) {
		return
	}
	f := StoreFault{Line: rec.Line, Fixed: bytes.Equal(mark, []byte("fix"))}
	name, object, _ := bytes.Cut(rest, []byte("\t"))
	if i := bytes.Index(name, []byte(" (")); i > 0 || object == nil { // a copy that lost its tabs
		name, object = splitName(rest)
	}
	f.Name = bounded(string(bytes.TrimSpace(name)))
	for object = skipSpace(object); len(object) > 0; object = skipSpace(object) {
		if object[0] == '(' {
			flag, after, ok := bytes.Cut(object, []byte(")"))
			if !ok {
				break
			}
			f.Fixed = f.Fixed || bytes.EqualFold(flag, []byte("(Fixed"))
			object = after
			continue
		}
		if w, after := word(object); len(w) > 2 && w[0] == '0' && w[1] == 'x' {
			object = after
			continue
		}
		break
	}
	f.Kind = faultKind(f.Name)
	if r.replaced(f, object) {
		return
	}
	f.object(string(object))
	r.begin(rec)
	if f.Fixed {
		for i := range r.dism.Faults {
			if r.dism.Faults[i].Same(f) {
				r.dism.Faults[i].Fixed = true
				return
			}
		}
	}
	r.dism.add(f)
	if !r.report { // an excerpt without its frame and summary
		r.dism.Found = len(r.dism.Faults)
	}
}

// replaced reads CheckSUR's "(fix)\tCSI Payload File Corrupt\tCSI File Replaced\tFile: a.dll
// From: ...", which follows the fault that it mended.
func (r *StoreReader) replaced(f StoreFault, object []byte) bool {
	if !f.Fixed || !bytes.Contains(object, []byte("Replaced")) && !bytes.Contains(object, []byte("Restored")) {
		return false
	}
	for i := len(r.dism.Faults) - 1; i >= 0; i-- {
		if x := &r.dism.Faults[i]; x.Name == f.Name && !x.Fixed {
			x.Fixed = true
			break
		}
	}
	return true
}

// splitName splits "CSI Payload Corrupt (n) amd64_..." where the name ends.
func splitName(b []byte) (name, rest []byte) {
	for i := 0; i < len(b); i++ {
		if b[i] != ' ' {
			continue
		}
		w, _ := word(skipSpace(b[i:]))
		if len(w) == 0 || w[0] == '(' || w[0] == '0' || bytes.ContainsAny(w, `_\~`) {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// add files a fault and returns its index.
func (c *StoreCheck) add(f StoreFault) int {
	if len(c.Faults) == maxFaults {
		c.More++
		return maxFaults
	}
	c.Faults = append(c.Faults, f)
	return len(c.Faults) - 1
}

func faultKind(name string) string {
	switch {
	case strings.HasPrefix(name, "CSI Payload"):
		return FaultPayload
	case strings.HasPrefix(name, "CSI Manifest"):
		return FaultManifest
	case strings.HasPrefix(name, "CBS MUM"), strings.HasPrefix(name, "CBS Package"):
		return FaultPackage
	case strings.Contains(name, "Catalog"):
		return FaultCatalog
	}
	return FaultMetadata
}

// object reads what is damaged: "COMPONENT\FILE", "winsxs\manifests\COMPONENT.manifest",
// "servicing\packages\PACKAGE.mum", a package's identity, or CheckSUR's "FILE\tCOMPONENT".
func (f *StoreFault) object(s string) {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if file, component, ok := strings.Cut(s, "\t"); ok && !strings.ContainsRune(file, '_') {
		f.File, s = bounded(file), strings.TrimSpace(component)
	}
	low := strings.ToLower(s)
	for _, dir := range []string{`winsxs\manifests\`, `servicing\packages\`, `winsxs\`, `winsxs\catalogs\`} {
		if i := strings.Index(low, dir); i >= 0 && i < 40 {
			s = s[i+len(dir):]
			break
		}
	}
	for _, ext := range []string{".manifest", ".mum", ".cat"} {
		if i := strings.Index(strings.ToLower(s), ext); i > 0 && strings.ContainsAny(s[:i], "~_") {
			s = s[:i]
		}
	}
	if strings.Count(s, "~") >= 4 {
		f.Package = bounded(packageIdentity([]byte(s)))
		f.KB = kbOf(f.Package)
		return
	}
	component, file, _ := strings.Cut(s, `\`)
	f.Component, f.Version = bounded(component), keyVersion(component)
	if file != "" {
		f.File = bounded(file)
	}
}

// keyVersion is the version in a component's key form:
// architecture_name_token_version_culture_hash, where the name may hold underscores.
func keyVersion(component string) string {
	fields := strings.Split(component, "_")
	if n := len(fields); n >= 6 && strings.Count(fields[n-3], ".") == 3 {
		return bounded(fields[n-3])
	}
	return ""
}

// kbOf is the number in Package_for_KB5012345~... or Package_86_for_KB2769165~...
func kbOf(identity string) string {
	_, s, ok := strings.Cut(identity, "_for_KB")
	n := 0
	for n < len(s) && s[n]-'0' <= 9 {
		n++
	}
	if !ok || n < 6 || n > 7 {
		return ""
	}
	return "KB" + s[:n]
}

// packageIdentity finds the first package identity of a text: name, token,
// architecture, language, version.
func packageIdentity(text []byte) string {
	i := bytes.IndexByte(text, '~')
	if i < 0 {
		return ""
	}
	part := func(c byte) bool {
		return c|0x20-'a' < 26 || c-'0' <= 9 || c == '-' || c == '_' || c == '.' || c == '~'
	}
	from, to := i, i
	for from > 0 && part(text[from-1]) && text[from-1] != '~' {
		from--
	}
	for to < len(text) && part(text[to]) && to-from < 300 {
		to++
	}
	s := strings.TrimRight(string(text[from:to]), ".")
	if strings.Count(s, "~") < 4 || s[0] == '~' {
		return ""
	}
	return bounded(s)
}

// after returns what stands behind a label, up to one of the words of stop.
func after(text, label []byte, stop string) string {
	_, s, ok := bytes.Cut(text, label)
	if !ok {
		return ""
	}
	if i := bytes.Index(s, []byte(stop)); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(s), "\uFFFD"))
}

func bounded(s string) string {
	if len(s) > maxStoreWords {
		s = strings.ToValidUTF8(s[:maxStoreWords], "")
	}
	return s
}

// systemFiles reads a line of sfc; text is what follows the mark.
func (r *StoreReader) systemFiles(rec *Record, text []byte) {
	has := func(begin string) bool { return len(text) >= len(begin) && string(text[:len(begin)]) == begin }
	switch {
	case text[0] == 'V' && has("Verifying ") && (r.mending || r.sfc.Line != 0 && rec.Time.Sub(r.sfc.End) > longPause):
		r.closeFiles()
	case text[0] == 'R' && has("Repairing ") && bytes.HasSuffix(text, []byte("components")):
		r.mending = true
	}
	if r.sfc.Line == 0 {
		r.sfc = StoreCheck{By: StoreBySFC, Begin: rec.Time, Line: rec.Line}
	}
	c := &r.sfc
	c.End = later(later(c.End, rec.Time), rec.Until)
	switch text[0] {
	case 'C':
		switch {
		case has("Cannot repair member file "):
			r.told(rec, text, false, memberFault)
		case has("Could not reproject corrupted file "):
			r.told(rec, text, false, func(t []byte) StoreFault { return fileFault(srPath(t, "Could not reproject corrupted file ", ";")) })
		case has("Cannot commit interactively"):
			c.Restart = true // what is in use is put in place at the next start
		}
	case 'R':
		switch {
		case has("Repaired file "):
			r.told(rec, text, true, func(t []byte) StoreFault { return fileFault(srPath(t, "Repaired file ", " by copying")) })
			c.Repair = true
		case has("Repairing file "), has("Repairing corrupted file "):
			r.told(rec, text, true, func(t []byte) StoreFault {
				_, t, _ = bytes.Cut(t, []byte("file "))
				return fileFault(srPath(t, "", " from store"))
			})
			c.Repair = true
		case has("Repair complete"):
			c.Whole = true
		}
	case 'T':
		if i := r.last; i >= 0 && i < len(c.Faults) && c.Faults[i].Package == "" && has("This component was referenced by ") {
			if o := &r.owner; o.said != rec.Said() {
				o.said, o.pkg = rec.Said(), packageIdentity(text)
				o.kb = kbOf(o.pkg)
			}
			c.Faults[i].Package, c.Faults[i].KB = r.owner.pkg, r.owner.kb
		}
	case 'U':
		switch {
		case has("Unable to repair "):
			r.told(rec, text, false, func(t []byte) StoreFault { return fileFault(srPath(t, "Unable to repair ", "\x00")) })
		case has("Unable to complete Verify and Repair transaction"):
			c.Restart = true
		}
	case 'V':
		if has("Verify and Repair Transaction completed") {
			c.Whole, c.Repair = true, true
		}
	}
}

// told takes what a line says of a file, and reads it only if it is not known.
func (r *StoreReader) told(rec *Record, text []byte, fixed bool, read func([]byte) StoreFault) {
	s := r.lines[rec.Said()]
	if s == nil {
		s = r.newLine(rec.Said(), read(text))
	}
	if s.Kind == "" {
		r.last = -1
		return
	}
	c := &r.sfc
	settled := text[0] != 'C' || text[1] != 'a' // not one that cannot be repaired so far
	if s.run != r.run {
		s.sfcFault = sfcFault{r.run, r.faultOf(s, settled, rec.Line, fixed)}
	}
	if r.last = s.fault; s.fault >= len(c.Faults) {
		return
	}
	f := &c.Faults[s.fault]
	if f.Fixed = fixed; settled && f.Kind == FaultPayload {
		f.NoSource = !fixed
	}
}

// faultOf returns the index of the fault in this run that a line is of.
func (r *StoreReader) faultOf(s *sfcLine, settled bool, line int, fixed bool) int {
	i := -1
	switch {
	case s.short.run == r.run && settled && s.Kind == FaultPayload: // the store's own copy, which sfc named in short before
		i = s.short.fault
	case s.whole.run == r.run:
		i = s.whole.fault
	default:
		f := s.StoreFault
		f.Line, f.Fixed = line, fixed
		i = r.sfc.add(f)
	}
	if i < maxFaults {
		*s.whole = sfcFault{r.run, i}
		if s.short.run != r.run && s.Kind == FaultPayload {
			*s.short = sfcFault{r.run, i}
		}
	}
	return i
}

// newLine remembers what a line says of a file.
func (r *StoreReader) newLine(said uint64, f StoreFault) *sfcLine {
	if r.lines == nil {
		r.lines, r.names = map[uint64]*sfcLine{}, map[uint64]*sfcFault{}
	}
	s := &sfcLine{
		StoreFault: f, sfcFault: sfcFault{run: -1},
		whole: r.name("whole", f.Kind, f.File, f.Component, f.Version), short: r.name("short", f.File, f.Version),
	}
	if len(r.lines) < maxLines {
		r.lines[said] = s
	}
	return s
}

// name is what stands under a name, whatever the letters' case.
func (r *StoreReader) name(parts ...string) *sfcFault {
	sum := maphash.String(lineSeed, strings.ToLower(strings.Join(parts, "\x00")))
	f := r.names[sum]
	if f == nil {
		f = &sfcFault{run: -1}
		if len(r.names) < maxLines {
			r.names[sum] = f
		}
	}
	return f
}

// longPause between two lines of sfc says that the later belongs to another run: one
// batch of a hundred components takes seconds, minutes on a failing disk.
const longPause = 45 * time.Minute

func (r *StoreReader) closeFiles() {
	r.keep(r.sfc.counted())
	r.sfc, r.mending, r.last = StoreCheck{}, false, -1
	r.run++
	if len(r.lines) > maxLines/2 || len(r.names) > maxLines/2 {
		clear(r.lines)
		clear(r.names)
	}
}

// counted counts the faults of a run of sfc, which has no summary.
func (c StoreCheck) counted() StoreCheck {
	c.Found, c.Repaired = len(c.Faults)+c.More, 0
	for _, f := range c.Faults {
		if f.Fixed {
			c.Repaired++
		}
	}
	return c
}

// memberFault reads "Cannot repair member file [l:10]'a.dll' of NAME, version 10.0.1.2, arch amd64, ..."
// and the older "[l:20{10}]\"a.dll\" of NAME, Version = 6.2.1.2, pA = ...".
func memberFault(text []byte) (f StoreFault) {
	_, s, _ := bytes.Cut(text, []byte("member file "))
	i := bytes.IndexAny(s, `'"`)
	if i < 0 {
		return f
	}
	name, rest, ok := bytes.Cut(s[i+1:], s[i:i+1])
	if !ok {
		return f
	}
	f.Kind, f.NoSource = FaultPayload, true
	f.File = bounded(strings.ToValidUTF8(string(name), "\uFFFD"))
	f.Component = bounded(after(rest, []byte(" of "), ","))
	f.Version = after(rest, []byte("ersion"), ", ")
	f.Version = bounded(strings.TrimLeft(f.Version, " ="))
	return f
}

// fileFault is of a file by its path; one below WinSxS is the store's own copy.
func fileFault(p string) (f StoreFault) {
	if p == "" {
		return f
	}
	f = StoreFault{Kind: FaultFile, File: p}
	const store = `\winsxs\`
	if i := strings.Index(strings.ToLower(p), store); i >= 0 {
		f.Kind = FaultPayload
		f.Component, f.File, _ = strings.Cut(p[i+len(store):], `\`)
		f.Version = keyVersion(f.Component)
	}
	return f
}

// srPath reads the path that sfc writes in pieces, "\??\C:\Windows\System32\\[l:5]'a.dll'",
// up to a stop.
func srPath(text []byte, label, stop string) string {
	s := strings.ToValidUTF8(string(bytes.TrimPrefix(text, []byte(label))), "\uFFFD")
	s, _, _ = strings.Cut(s, stop)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			if end := strings.IndexByte(s[i:], ']'); end > 0 {
				i += end
			}
		case '\'', '"':
		case '\\':
			if b.Len() == 0 || !strings.HasSuffix(b.String(), `\`) {
				b.WriteByte('\\')
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return bounded(strings.TrimPrefix(strings.TrimSpace(b.String()), `\??\`))
}
