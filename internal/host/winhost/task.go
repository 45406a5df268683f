package winhost

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// taskEnabled reads the definition of a scheduled task, XML in UTF-16: it is on
// unless Settings/Enabled says otherwise; an Enabled of a trigger counts only for
// that trigger. learn.microsoft.com: "Task Scheduler Schema", settingsType.
func taskEnabled(b []byte) (string, error) {
	text := string(b)
	if looksUTF16(b) {
		text = utf16Text(b)
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 by now
	var path []string
	state := ""
	for range 100_000 { // a definition has dozens of elements
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", errors.New("no definition of a task")
		}
		switch t := t.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			if len(path) == 1 && t.Name.Local == "Task" {
				state = "on"
			}
		case xml.EndElement:
			path = path[:max(len(path)-1, 0)]
		case xml.CharData:
			if len(path) == 3 && path[0] == "Task" && path[1] == "Settings" && path[2] == "Enabled" && bytes.EqualFold(bytes.TrimSpace(t), []byte("false")) {
				state = "off"
			}
		}
	}
	if state == "" {
		return "", errors.New("no definition of a task")
	}
	return state, nil
}

// wqlString quotes a text for a query of WMI.
// learn.microsoft.com: "WQL (SQL for WMI)", escaping.
func wqlString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// isGUID reports whether s is the id of an update, which may stand in a search.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f':
		default:
			return false
		}
	}
	return true
}
