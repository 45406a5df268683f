package winlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
)

// Events as XML: wevtutil qe LOG /f:xml (one <Event> after the other, no root),
// wevtutil /f:renderedxml and Event Viewer's "save as XML" (inside <Events>, all
// on one line, with <RenderingInfo>), and the XML at the end of "copy details
// as text":
//
//	<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">
//	  <System>
//	    <Provider Name="Microsoft-Windows-WindowsUpdateClient" Guid="{...}"/>
//	    <EventID>20</EventID><Level>2</Level>
//	    <TimeCreated SystemTime="2031-02-03T04:05:06.789000000Z"/>
//	    <EventRecordID>1</EventRecordID><Execution ProcessID="4" ThreadID="8"/>
//	    <Channel>System</Channel><Computer>pc.fabrikam.example</Computer>
//	  </System>
//	  <EventData><Data Name="errorCode">0x80070002</Data>...</EventData>
//	  <RenderingInfo Culture="en-US"><Message>text</Message></RenderingInfo>
//	</Event>
//
// The time is UTC. Text is the message if it was rendered, else the data.
// learn.microsoft.com: "Event Schema", "wevtutil".

// Bounds of one event; those that Windows writes are below 64 KB.
const (
	maxEventXML    = 1 << 20
	maxEventFields = 128
	maxEventDepth  = 32
)

var (
	eventOpen  = []byte("<Event")
	eventClose = []byte("</Event>")
)

// beginsEventXML returns where an <Event> element begins in b, or -1.
func beginsEventXML(b []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], eventOpen)
		if i < 0 {
			return -1
		}
		i += from
		from = i + len(eventOpen)
		if from == len(b) || b[from] == '>' || isSpace(b[from]) || b[from] == '\r' || b[from] == '\n' {
			return i
		}
	}
}

// scanEventXML reads a whole file of events. It cuts them out of the stream one
// by one, so that neither size nor faults of one matter to the next.
func scanEventXML(ctx context.Context, br *bufio.Reader, fn func(*Record) error) (Stats, error) {
	var (
		st    Stats
		rec   Record
		chunk []byte // from <Event to </Event>
		first = 1    // the line on which it began
		line  = 1
		in    bool
	)
	deliver := func() error {
		text := toUTF8(wholeRunes(chunk))
		e, ok := parseEventXML(text)
		rec = Record{Line: first, Fields: rec.Fields[:0]}
		if ok {
			st.Records++
			e.fill(&rec)
		} else {
			st.Unread++
			rec.Text, rec.Loose = bytes.TrimSpace(text), true
		}
		chunk, in = chunk[:0], false
		return fn(&rec)
	}
	for n := 0; ; n++ {
		if n&0x3FF == 0 {
			if err := ctx.Err(); err != nil {
				return st, err
			}
		}
		part, err := br.ReadSlice('>')
		st.Bytes += int64(len(part))
		if i := beginsEventXML(part); i >= 0 && (!in || i == bytes.LastIndexByte(part, '<')) {
			if in {
				if err := deliver(); err != nil { // the one before never ended
					return st, err
				}
			}
			in, chunk = true, append(chunk, part[i:]...)
			first = line + bytes.Count(part[:i], []byte{'\n'})
		} else if in {
			if len(chunk)+len(part) <= maxEventXML {
				chunk = append(chunk, part...)
			} else if st.Cut++; len(chunk) < maxEventXML {
				chunk = append(chunk, part[:maxEventXML-len(chunk)]...)
			}
		}
		line += bytes.Count(part, []byte{'\n'})
		if in && bytes.HasSuffix(part, eventClose) {
			if err := deliver(); err != nil {
				return st, err
			}
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			st.Lines = line
			if in && len(chunk) > 0 {
				return st, deliver()
			}
			return st, nil
		default:
			return st, err
		}
	}
}

// xmlEvent is what an event's XML says.
type xmlEvent struct {
	provider, channel, message string
	id, pid, tid               uint32
	version                    uint8
	level                      string
	time                       time.Time
	data                       []Field
}

// parseEventXML reads one <Event>. A torn or faulty one is read as far as it
// goes; ok needs a provider or an id.
func parseEventXML(chunk []byte) (e xmlEvent, ok bool) {
	dec := newXMLDecoder(bytes.NewReader(chunk))
	var path []string
	var text strings.Builder
	var dataName string
	for {
		token, err := dec.RawToken()
		if err != nil {
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(path) >= maxEventDepth {
				return e, e.provider != "" || e.id != 0
			}
			path = append(path, t.Name.Local)
			text.Reset()
			dataName = attr(t, "Name")
			e.open(t)
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if len(path) == 0 {
				break
			}
			parent := ""
			if len(path) > 1 {
				parent = path[len(path)-2]
			}
			e.leaf(t.Name.Local, parent, slices.Contains(path, "EventData"), slices.Contains(path, "UserData"), dataName, strings.TrimSpace(text.String()))
			path = path[:len(path)-1]
			text.Reset()
			dataName = ""
		}
	}
	return e, e.provider != "" || e.id != 0
}

// open takes what stands in attributes.
func (e *xmlEvent) open(t xml.StartElement) {
	switch t.Name.Local {
	case "Provider":
		e.provider = attr(t, "Name")
		if e.provider == "" {
			e.provider = attr(t, "EventSourceName")
		}
	case "TimeCreated":
		if v, err := time.Parse(time.RFC3339Nano, attr(t, "SystemTime")); err == nil {
			e.time = v.UTC()
		}
	case "Execution":
		e.pid = uint32Of(attr(t, "ProcessID"))
		e.tid = uint32Of(attr(t, "ThreadID"))
	}
}

// leaf takes an element's text when it ends.
func (e *xmlEvent) leaf(name, parent string, eventData, userData bool, dataName, text string) {
	switch {
	case parent == "System":
		switch name {
		case "EventID":
			e.id = uint32Of(text)
		case "Level":
			e.level = text
		case "Channel":
			e.channel = text
		case "Version":
			e.version = uint8(uint32Of(text))
		}
	case parent == "RenderingInfo" && name == "Message":
		e.message = text
	case len(e.data) >= maxEventFields:
	case eventData && name == "Data":
		if dataName == "" {
			dataName = positional(EventFields(e.provider, e.id, e.version), len(e.data))
		}
		e.data = append(e.data, Field{dataName, text})
	case eventData && name == "Binary" && text != "":
		e.data = append(e.data, Field{"Binary", text})
	case userData && text != "":
		e.data = append(e.data, Field{name, text})
	}
}

// fill puts the event into rec. Line and Fields are rec's own.
func (e *xmlEvent) fill(rec *Record) {
	rec.Component = []byte(e.provider)
	rec.ID, rec.PID, rec.TID = e.id, e.pid, e.tid
	rec.Level = eventLevel(e.level)
	rec.Time = e.time
	rec.Fields = append(rec.Fields, e.data...)
	rec.addField("_channel", e.channel)
	rec.Code = dataCode(e.provider, e.data)
	rec.Text = []byte(e.message)
	if e.message == "" {
		text := strconv.AppendUint(append([]byte(e.provider), '/'), uint64(e.id), 10)
		for _, f := range e.data {
			text = append(append(append(text, ' '), f.Name...), '=')
			text = appendOneLine(text, f.Value)
		}
		rec.Text = cutText(text, evtxTextMax)
	}
}

// dataCode returns the failing result among an event's data, as [eventCode] does
// for events in their binary form.
func dataCode(provider string, data []Field) codes.HRESULT {
	for _, f := range data {
		if namesResult(f.Name) {
			if h := resultValue(f.Value); h != 0 {
				return h
			}
		}
	}
	if strings.EqualFold(provider, "User32") {
		return 0 // 1074 has a reason for the restart in the shape of an HRESULT
	}
	for _, f := range data {
		if strings.HasPrefix(f.Name, "param") {
			if h := resultValue(f.Value); h != 0 {
				return h
			}
		}
	}
	return 0
}

func uint32Of(s string) uint32 {
	v, _ := strconv.ParseUint(s, 10, 32)
	return uint32(v)
}

func attr(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// newXMLDecoder reads XML that was decoded to UTF-8 before, whatever encoding its
// prolog declares. Entities of a document's own are not expanded.
func newXMLDecoder(r io.Reader) *xml.Decoder {
	dec := xml.NewDecoder(r)
	dec.Strict = false
	dec.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	return dec
}

// beginXML starts to gather an <Event>; what stands before it on the line is
// the label "Event Xml:".
func (s *eventText) beginXML(b []byte, i int) error {
	if s.cur == nil || s.cur.xml != nil {
		if err := s.flush(); err != nil {
			return err
		}
		s.cur = &event{line: s.number, style: styleView, begun: true}
	} else {
		s.cur.dropXMLLabel()
	}
	s.xml, s.xmlAt = s.xml[:0], s.number
	return s.moreXML(b[i:])
}

// dropXMLLabel takes the label "Event Xml:" off the description's end.
func (e *event) dropXMLLabel() {
	e.text = bytes.TrimSpace(e.text)
	i := bytes.LastIndexByte(e.text, '\n')
	last := e.text[i+1:]
	if name, value, _, ok := label(last); ok && len(value) == 0 && len(name) < 24 {
		e.text = e.text[:i+1]
	}
}

// moreXML gathers lines up to </Event>.
func (s *eventText) moreXML(line []byte) error {
	if len(s.xml)+len(line) < maxEventXML {
		s.xml = append(append(s.xml, line...), '\n')
	}
	end := bytes.Index(line, eventClose)
	if end < 0 && len(s.xml)+len(line) < maxEventXML {
		return nil
	}
	s.endXML()
	if end < 0 {
		return nil
	}
	rest := line[end+len(eventClose):]
	if i := beginsEventXML(rest); i >= 0 {
		if err := s.flush(); err != nil {
			return err
		}
		return s.beginXML(rest, i)
	}
	return s.flush()
}

// endXML gives the gathered XML to the open event.
func (s *eventText) endXML() {
	if e, ok := parseEventXML(s.xml); ok {
		s.cur.xml = &e
	}
	s.cur.keep(s.xml)
	s.xml = s.xml[:0]
}
