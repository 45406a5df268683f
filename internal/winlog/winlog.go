// Package winlog reads what Windows and its tools write about updating: the
// logs, event logs, registry exports and command outputs that a sick machine
// leaves behind.
//
// The rules it obeys:
//
//   - Streaming and bounded. A reader holds one line or one chunk, never a file.
//     Lines are cut at [MaxLine] bytes; what was cut is counted.
//   - Language-blind. Levels, codes, names and keys are read; translated prose
//     is carried along, never matched.
//   - Nothing is dropped in silence. A line that no layout of its format fits
//     is still delivered, marked [Record.Loose], and counted in [Stats.Unread].
//   - One file per format; each opens with the layout it reads.
package winlog

import (
	"context"
	"hash/maphash"
	"io"
	"time"

	"updoc/internal/codes"
)

// Kind names a format.
type Kind string

// The formats. Logs made of lines are read by [Scan]; the others have a reader
// of their own, named beside them.
const (
	Unknown Kind = ""

	WindowsUpdate Kind = "WindowsUpdate.log"   // legacy text and converted ETL
	CBS           Kind = "CBS.log"             // CBS.log, CbsPersist, DeepClean, CheckSUR, TiWorker
	DISM          Kind = "dism.log"            // same header as CBS.log
	Setup         Kind = "setupact.log"        // setupact, setuperr, BlueBox, UpdateAgent
	SetupAPI      Kind = "setupapi.dev.log"    // driver installation sections
	SetupDiag     Kind = "SetupDiagResults"    // xml, json or log, delivered as records
	Reporting     Kind = "ReportingEvents.log" // tab separated, one event a line
	CMTrace       Kind = "CMTrace"             // ConfigMgr client logs
	EVTX          Kind = "evtx"                // event log file
	EventText     Kind = "event text"          // events copied or exported as text
	ETL           Kind = "etl"                 // trace that only Windows can convert
	RegExport     Kind = "reg export"          // see ReadRegistry
	RegHive       Kind = "registry hive"       // see ReadRegistry
	Hosts         Kind = "hosts"               // see ReadHosts
	WinHTTPShow   Kind = "netsh winhttp show"  // see ReadWinHTTP
	ScQuery       Kind = "sc query"            // see ReadServices
	SystemInfo    Kind = "systeminfo"          // see ReadSystemInfo
	DISMOutput    Kind = "dism output"         // console output, see ReadDISMOutput
	SFCOutput     Kind = "sfc output"          // console output, see ReadSFCOutput
	IPConfig      Kind = "ipconfig"            // see ReadIPConfig
	W32TM         Kind = "w32tm"               // see ReadW32TM
	FLTMC         Kind = "fltmc"               // see ReadFilters
	DSRegCmd      Kind = "dsregcmd"            // see ReadDSRegCmd
	REAgentC      Kind = "reagentc"            // see ReadREAgentC
	Output        Kind = "command output"      // any other console or tool output around a code
	Note          Kind = "note"                // a person's own words
	Archive       Kind = "archive"             // zip or cab: opened, not read
	Binary        Kind = "binary"              // nothing this package reads
)

// Level is the severity a log gives a record.
type Level uint8

// Levels in rising severity. LevelNone: the format or the line has none.
const (
	LevelNone Level = iota
	LevelInfo
	LevelWarning
	LevelError
	LevelFatal
)

// Record is one entry of a log. Its byte slices are valid only until the
// callback that received it returns.
type Record struct {
	Line      int           // 1-based line it begins on; record id in binary logs
	Time      time.Time     // the machine's wall clock, marked UTC when the log names no zone; zero if absent
	Level     Level         //
	PID, TID  uint32        // 0 if absent
	Component []byte        // component, provider or source; empty if absent
	Text      []byte        // the message, UTF-8, without the header columns
	Code      codes.HRESULT // the result that the format itself marks, 0 if none; Text may hold more
	ID        uint32        // event id where the format numbers its events, else 0
	Fields    []Field       // named values where the format has them
	Continued bool          // further line of the record before it: Time, Level and Component are inherited
	Loose     bool          // no layout of the format fits: Text is the whole line
	Repeats   int           // further lines nearby that say the same and are not delivered; sparse scans only
	Until     time.Time     // of the last of these, if there are any

	said uint64 // see Said
}

// Said returns a number for what a record of a servicing log says: two that differ
// only in their time and in the number that CSI gives its lines, "000001ca [SR] ...",
// have the same. It holds for this process.
func (r *Record) Said() uint64 {
	if r.said == 0 {
		text := r.Text
		if len(text) > 9 && text[8] == ' ' && string(r.Component) == "CSI" {
			text = text[9:]
		}
		r.said = maphash.Bytes(lineSeed, text) ^ uint64(r.Level)
	}
	return r.said
}

// lineSeed makes hashes of lines hard to foresee.
var lineSeed = maphash.MakeSeed()

// Field is a named value of a structured record.
type Field struct{ Name, Value string }

// Field returns the value of the named field, or "".
func (r *Record) Field(name string) string {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return r.Fields[i].Value
		}
	}
	return ""
}

// Stats says what a scan covered.
type Stats struct {
	Bytes     int64 // decoded bytes looked at
	Lines     int   // lines (records in binary logs)
	Records   int   // records delivered that are not continuations
	Unread    int   // lines that no layout of the format fits; blank lines do not count
	Undecoded int   // lines that Windows itself could not convert ("Unknown( 10): ...")
	Cut       int   // lines cut at MaxLine
	Lost      int64 // bytes that a file system lost: they read as NULs, as after a loss of power
	Skipped   int   // lines a Sparse scan passed over without parsing
}

// MaxLine bounds one line. The longest line seen in a real log is a SOAP dump
// of some 200 KB; a page of a broken or hostile file ends here.
const MaxLine = 256 << 10

// Options of a scan. The zero value parses every line.
type Options struct {
	// Sparse parses, in large files of formats that support it, only lines that
	// can matter to a diagnosis: failing codes, errors, repair results; and
	// everything near the end. Sources that are io.ReaderAt are read in parallel.
	Sparse bool
	// Size of the source in bytes, if known; Sparse needs it.
	Size int64
}

// Scan reads a log of the given kind and calls fn for each record in order.
// An error from fn ends the scan and is returned. Kinds that are not made of
// lines are read as plain text, one record a line.
func Scan(ctx context.Context, kind Kind, src io.Reader, opt Options, fn func(*Record) error) (Stats, error) {
	switch kind {
	case EVTX:
		return scanEVTX(ctx, src, opt, fn)
	case EventText:
		return scanEventText(ctx, src, fn)
	case SetupDiag:
		return scanSetupDiag(ctx, src, fn)
	case Reporting:
		return scanReporting(ctx, src, fn)
	case CMTrace:
		return scanCMTrace(ctx, src, fn)
	}
	p := newParser(kind)
	if opt.Sparse && p.sparse && opt.Size > sparseFrom {
		if ra, ok := src.(io.ReaderAt); ok {
			return scanSparse(ctx, ra, opt.Size, p, fn)
		}
		return scanSparseStream(ctx, src, opt.Size, p, fn)
	}
	return scanLines(ctx, src, p, fn)
}

// parser is one line format. parse fills rec from line (without line end) and
// reports whether a layout fits. rec still holds the previous record's header
// values, so that a continuation can inherit them.
type parser struct {
	parse  func(line []byte, rec *Record) bool
	sparse bool // the layout has the columns that a sparse scan looks at

	component []byte // of the last record, for those that continue it
}

func newParser(kind Kind) *parser {
	switch kind {
	case WindowsUpdate:
		return &parser{parse: parseWindowsUpdate}
	case CBS:
		return &parser{parse: parseServicing, sparse: true}
	case DISM:
		return &parser{parse: parseServicing}
	case Setup:
		return &parser{parse: parseSetup}
	case SetupAPI:
		return &parser{parse: newSetupAPI()}
	default:
		return &parser{parse: parsePlain}
	}
}

// parsePlain reads text without a layout: notes, outputs, messages.
func parsePlain(line []byte, rec *Record) bool {
	*rec = Record{Line: rec.Line, Text: line}
	return true
}
