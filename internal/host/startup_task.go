package host

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
)

// LogonTask is what a scheduled task's definition says of when and what it runs.
type LogonTask struct {
	Enabled   bool
	AtStart   bool // of Windows
	AtLogon   bool // or when a session is opened
	Command   string
	Arguments string
	Class     string // of a COM handler: "{GUID}"
	About     string
}

var errNoTask = errors.New("no definition of a task")

// maxTask bounds the definition of a task, and its elements.
const (
	maxTask         = 1 << 20
	maxTaskElements = 20_000
)

// ReadTask reads the definition of a scheduled task, XML in UTF-16 as a rule. Of several
// actions the first counts. learn.microsoft.com: "Task Scheduler Schema".
func ReadTask(definition []byte) (LogonTask, error) {
	if len(definition) > maxTask {
		return LogonTask{}, errNoTask
	}
	d := xml.NewDecoder(strings.NewReader(taskText(definition)))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 by now
	t := LogonTask{Enabled: true}
	var at []string
	trigger := "" // that is being read
	on := true    // it is enabled
	for range maxTaskElements {
		token, err := d.Token()
		if err != nil {
			return LogonTask{}, errNoTask
		}
		switch x := token.(type) {
		case xml.StartElement:
			if at = append(at, x.Name.Local); at[0] != "Task" || len(at) > 32 {
				return LogonTask{}, errNoTask
			}
			if len(at) == 3 && at[1] == "Triggers" {
				trigger, on = at[2], true
			}
		case xml.EndElement:
			if len(at) == 3 && at[1] == "Triggers" {
				switch {
				case !on:
				case trigger == "BootTrigger":
					t.AtStart = true
				case trigger == "LogonTrigger", trigger == "SessionStateChangeTrigger":
					t.AtLogon = true
				}
				trigger = ""
			}
			if at = at[:len(at)-1]; len(at) == 0 {
				return t, nil
			}
		case xml.CharData:
			t.read(at, strings.TrimSpace(string(x)), &on)
		}
	}
	return LogonTask{}, errNoTask
}

func (t *LogonTask) read(at []string, text string, on *bool) {
	set := func(field *string) {
		if *field == "" {
			*field = text
		}
	}
	switch len(at) {
	case 3:
		switch at[1] + "/" + at[2] {
		case "Settings/Enabled":
			t.Enabled = !strings.EqualFold(text, "false")
		case "RegistrationInfo/Description":
			set(&t.About)
		}
	case 4:
		switch {
		case at[1] == "Triggers" && at[3] == "Enabled":
			*on = !strings.EqualFold(text, "false")
		case at[1] != "Actions":
		case at[2] == "Exec" && at[3] == "Command":
			set(&t.Command)
		case at[2] == "Exec" && at[3] == "Arguments":
			set(&t.Arguments)
		case at[2] == "ComHandler" && at[3] == "ClassId":
			set(&t.Class)
		}
	}
}

// taskText makes UTF-8 of what Windows writes.
func taskText(b []byte) string {
	switch {
	case len(b) >= 2 && b[0] == 0xFF && b[1] == 0xFE:
		return fromUTF16(b[2:])
	case len(b) >= 4 && b[0] == '<' && b[1] == 0:
		return fromUTF16(b)
	}
	return strings.TrimPrefix(string(b), "\ufeff")
}

func fromUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// Flags and offsets of a shortcut. learn.microsoft.com: "[MS-SHLLINK]: Shell Link
// (.LNK) Binary File Format", 2.1 and 2.3.
const (
	linkHeader      = 0x4C
	linkHasIDList   = 1 << 0
	linkHasInfo     = 1 << 1
	linkInfoLocal   = 1 << 0
	linkInfoHead    = 0x1C
	linkInfoUnicode = 0x24 // from this size on the header has Unicode offsets
)

// ShortcutTarget returns the program that a shortcut leads to, "" if it names no local file.
func ShortcutTarget(b []byte) string {
	if len(b) < linkHeader || binary.LittleEndian.Uint32(b) != linkHeader {
		return ""
	}
	flags := binary.LittleEndian.Uint32(b[20:])
	b = b[linkHeader:]
	if flags&linkHasIDList != 0 {
		if len(b) < 2 {
			return ""
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		if n > len(b) {
			return ""
		}
		b = b[n:]
	}
	if flags&linkHasInfo == 0 || len(b) < linkInfoHead {
		return ""
	}
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	size, head := u32(0), u32(4)
	if size < linkInfoHead || size > len(b) || head < linkInfoHead || head > size || u32(8)&linkInfoLocal == 0 {
		return ""
	}
	b = b[:size]
	ansi := func(at int) string {
		if at < 0 || at >= len(b) {
			return ""
		}
		s, _, _ := strings.Cut(string(b[at:]), "\x00")
		return s
	}
	wide := func(at int) string {
		if at < 0 || at >= len(b) {
			return ""
		}
		s, _, _ := strings.Cut(fromUTF16(b[at:]), "\x00")
		return s
	}
	p := ansi(u32(16)) + ansi(u32(24))
	if head >= linkInfoUnicode && len(b) >= linkInfoUnicode {
		if w := wide(u32(28)) + wide(u32(32)); w != "" {
			p = w
		}
	}
	if !localPath(p) {
		return ""
	}
	return p
}
