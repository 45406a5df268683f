package winlog

import (
	"io"
	"strconv"
	"strings"
)

// reagentc /info prints a title and seven lines with translated keys: status,
// location, BCD identifier, recovery image location and index, custom image
// location and index. An enabled environment has a location, which is a device
// path; a disabled one has none and an identifier of zeros.
// learn.microsoft.com: "REAgentC command-line options".

// RecoveryEnvironment is the output of reagentc /info.
type RecoveryEnvironment struct {
	Known       bool
	Enabled     bool
	Location    string // `\\?\GLOBALROOT\device\harddisk0\partition4\Recovery\WindowsRE`
	Disk        int    // of the location, -1 if none
	Partition   int    // of the location, -1 if none
	BCD         string // identifier of the boot entry, "" if none
	ImageIndex  int
	Error       uint32 // the number that reagentc reported instead, 0 if none
	ImageSource string // location of a recovery or custom image
}

var (
	devicePath = newPattern(`(?i)harddisk(\d{1,3})\\partition(\d{1,3})\b`)
	guidValue  = newPattern(`^\{?([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\}?$`)
	reError    = newPattern(`(?i)^REAGENTC(?:\.EXE)?\s?[:：].*?(?:[:：]\s*|\b)(0x[0-9a-f]{1,8}|\d{1,10})\.?$`)
)

// ReadREAgentC reads the output of reagentc /info in any display language.
func ReadREAgentC(r io.Reader) (RecoveryEnvironment, error) {
	e := RecoveryEnvironment{Disk: -1, Partition: -1}
	lines, err := readDocument(r)
	if err != nil {
		return e, err
	}
	var rows []string
	bcd := -1
	for _, line := range lines {
		t := strings.TrimSpace(line)
		if m := reError.FindStringSubmatch(t); m != nil {
			if v, err := strconv.ParseUint(strings.ToLower(m[1]), 0, 32); err == nil {
				e.Error, e.Known = uint32(v), e.Known || v != 0
			}
			continue
		}
		if t == "" || isPrompt(t) || strings.HasPrefix(strings.ToUpper(t), "REAGENTC") {
			continue
		}
		_, value, ok := reField(t)
		if !ok || len(rows) > 100 {
			continue
		}
		if guidValue.MatchString(value) && bcd < 0 {
			bcd = len(rows)
		}
		rows = append(rows, value)
	}
	if bcd < 2 {
		return e, nil
	}
	e.Known = true
	if id := guidValue.FindStringSubmatch(rows[bcd])[1]; strings.Trim(id, "0-") != "" {
		e.BCD = strings.ToLower(id)
	}
	e.Location = rows[bcd-1]
	if m := devicePath.FindStringSubmatch(e.Location); m != nil {
		e.Disk, _ = strconv.Atoi(m[1])
		e.Partition, _ = strconv.Atoi(m[2])
	}
	for _, v := range rows[bcd+1:] {
		if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 1000 && e.ImageIndex == 0 {
			e.ImageIndex = n
		} else if strings.Contains(v, `\`) && e.ImageSource == "" {
			e.ImageSource = v
		}
	}
	e.Enabled = e.Location != ""
	return e, nil
}

// reField cuts at the first colon that a blank or the end of the line follows: a
// value may be a path with a drive letter.
func reField(t string) (key, value string, ok bool) {
	for i := 0; i < len(t); i++ {
		if t[i] == ':' && (i+1 == len(t) || t[i+1] == ' ' || t[i+1] == '\t') {
			return strings.TrimSpace(t[:i]), strings.TrimSpace(t[i+1:]), true
		}
	}
	return cutColon(t)
}
