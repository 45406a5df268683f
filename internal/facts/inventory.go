package facts

import (
	"bytes"

	"updoc/internal/winlog"
)

// A list of installed updates is inventory: none of them is what fails, and its words
// complain of nothing. People paste what Get-HotFix, wmic qfe and systeminfo print, whose
// labels are in the language of Windows and whose shape is not
// (learn.microsoft.com: Get-HotFix, Win32_QuickFixEngineering, systeminfo).

// inventory tells the lines of such lists from others, one line after the other.
type inventory struct {
	table bool // below the head of a table that names HotFixID
}

var (
	// "[01]: KB5034441", the line above it, which counts them, and the pairs that Format-List prints.
	hotfixItem  = lazily(`^\s*\[\d{1,4}\]:\s*KB\d{6,7}\s*$`)
	hotfixCount = lazily(`^\s*\p{L}[\p{L}\p{M}\- ]{1,40}\(\p{L}{1,4}\)\s*:\s+\d{1,4}\s+\p{L}`)
	hotfixPair  = lazily(`^\s*(HotFixID\s*:|InstalledOn\s*:|InstalledBy\s*:|ServicePackInEffect\s*:|FixComments\s*:)`)
	// A row of the table without its head: the number is a column of its own, and the last one is a date.
	hotfixRow = lazily(`(^|\s{2,}|[\t,;"])KB\d{6,7}([\t,;"]|\s{2,}).*\d{1,4}[./-]\d{1,2}[./-]\d{1,4}("|\s+\d{1,2}:\d\d(:\d\d)?( ?\p{L}\.? ?\p{L}\.?)?)?\s*$`)
)

// holds reports whether a line of a note or an output belongs to a list of installed
// updates.
func (v *inventory) holds(line []byte) bool {
	if bytes.Contains(line, []byte("HotFixID")) && !hotfixPair().Match(line) {
		v.table = true
		return true
	}
	if v.table {
		if len(bytes.Trim(line, "- \t")) == 0 || namesKB(line) && !bytes.Contains(line, []byte("0x")) {
			return true
		}
		v.table = false
	}
	switch {
	case bytes.IndexByte(line, ':') >= 0 && (hotfixItem().Match(line) || hotfixCount().Match(line) || hotfixPair().Match(line)):
		return true
	case namesKB(line):
		return hotfixRow().Match(line) && !bytes.Contains(line, []byte("0x"))
	}
	return false
}

func namesKB(line []byte) bool { return len(kbsIn(line, 1)) > 0 }

// stock takes the line of a list of installed updates out of what is read of a note or an
// output.
func (r *reading) stock(rec *winlog.Record) bool {
	if !r.written() || !r.inventory.holds(rec.Text) {
		return false
	}
	r.installed = append(r.installed, kbsIn(rec.Text, 1)...)
	return true
}
