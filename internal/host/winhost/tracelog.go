package winhost

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"updoc/internal/winlog"
)

// Since Windows 8.1 the update agent writes traces instead of a log. Those of
// Windows 10 1709 and later describe themselves: tracerpt.exe, which every Windows
// has, turns them into XML without symbols. Get-WindowsUpdateLog does so, and keeps
// the events of one provider. learn.microsoft.com: "Get-WindowsUpdateLog", "tracerpt".

const traceProvider = "WUTraceLogging"

// Bounds of a conversion.
const (
	maxTraceXML  = 1 << 30 // what tracerpt may write; six traces make some 100 MB
	maxTraceLine = 8 << 10
)

// traceEvent is what of an event of tracerpt is read.
type traceEvent struct {
	Provider struct {
		Name string `xml:"Name,attr"`
	} `xml:"System>Provider"`
	Time struct {
		At string `xml:"SystemTime,attr"`
	} `xml:"System>TimeCreated"`
	Execution struct {
		Process int `xml:"ProcessID,attr"`
		Thread  int `xml:"ThreadID,attr"`
	} `xml:"System>Execution"`
	Data []string `xml:"EventData>Data"`
	Task string   `xml:"RenderingInfo>Task"`
}

// convertTrace writes the update agent's events among those of tracerpt as lines of
// a WindowsUpdate.log, as Get-WindowsUpdateLog does, in the order in which they come.
// It returns how many there were. What was written before an error is sound.
func convertTrace(dst io.Writer, src io.Reader, zone *time.Location) (int, error) {
	out := bufio.NewWriter(dst)
	d := xml.NewDecoder(printable{winlog.NewTextReader(io.LimitReader(src, maxTraceXML))})
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 by now
	n := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n, out.Flush()
		}
		if err != nil {
			return n, errors.Join(out.Flush(), fmt.Errorf("read a trace after %d events: %w", n, err))
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "Event" {
			continue
		}
		var e traceEvent
		if err := d.DecodeElement(&e, &start); err != nil {
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) || errors.Is(err, io.EOF) {
				return n, errors.Join(out.Flush(), fmt.Errorf("read a trace after %d events: %w", n, err))
			}
			continue // a number that is none: this event alone
		}
		line, ok := e.line(zone)
		if !ok {
			continue
		}
		n++
		if _, err := out.WriteString(line); err != nil {
			return n, fmt.Errorf("write the log of a trace: %w", err)
		}
	}
}

// line is an event as a line of the log; false if it is none of the agent's.
func (e *traceEvent) line(zone *time.Location) (string, bool) {
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(e.Time.At))
	if e.Provider.Name != traceProvider || err != nil || len(e.Data) == 0 {
		return "", false
	}
	text := strings.Join(strings.Fields(strings.Join(e.Data, " ")), " ")
	if len(text) > maxTraceLine {
		text = strings.ToValidUTF8(text[:maxTraceLine], "")
	}
	const layout = "2006/01/02 15:04:05.0000000"
	return fmt.Sprintf("%s %-5d %-5d %-15s %s\r\n", at.In(zone).Format(layout), e.Execution.Process, e.Execution.Thread, strings.Join(strings.Fields(e.Task), ""), text), true
}

// printable puts blanks where XML allows no character: traces quote what came over
// the network.
type printable struct{ src io.Reader }

func (p printable) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	for i, c := range b[:n] {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			b[i] = ' '
		}
	}
	return n, err
}
