package winlog

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The result of SetupDiag, in the three forms that its option /Format knows. The
// names of elements, of JSON members and of the text's keys are the same but for
// blanks:
//
//	<SetupDiag xmlns="..."><Version/><ProfileName/><ProfileGuid/>
//	  <SystemInfo><MachineName/><HostOSBuildString/><TargetOSBuildString/>...</SystemInfo>
//	  <LogErrorLine/><FailureData/>...<FailureDetails/><Remediation/>
//	  <SetupPhaseInfo><PhaseName/>...</SetupPhaseInfo>
//	  <SetupOperationInfo><OperationName/>...</SetupOperationInfo></SetupDiag>
//
//	{"Version":"...","ProfileName":"...","SystemInfo":{...},"FailureData":["..."],...}
//
//	SetupDiag: processing rule: CompatScanOnly.
//	...No match.
//	Matching Profile found: FindRollbackFailure - 3A43C9B5-...
//	System Information:
//	    Host OS Build String = ...
//	Error: SetupDiag reports rollback failure found.
//	Last Phase = Finalize
//	Error = 0xC1900101-0x20017
//
// Each leaf is a record: Component is its name without blanks ("HostOSVersion",
// "LastPhase"), Text what it says. Fields: profile (the rule that matched, or
// the one being processed), parent (the element around a leaf, unless it is the
// root), extend (the second code of a pair "0xC1900101 - 0x20017").
// Lines quoted from setupact.log lend the record their time and level.
//
// Copies hold fragments without a root, several roots, or the beginning of a
// file; they are read as far as they go.
// learn.microsoft.com: "SetupDiag".

// Bounds. Results that SetupDiag writes are below 100 KB.
const (
	maxSetupDiag      = 4 << 20
	maxSetupDiagDepth = 32
)

// scanSetupDiag delivers each leaf of the result as a record.
func scanSetupDiag(ctx context.Context, src io.Reader, fn func(*Record) error) (Stats, error) {
	s := setupDiag{ctx: ctx, fn: fn, line: 1}
	doc, err := io.ReadAll(io.LimitReader(NewTextReader(src), maxSetupDiag+1))
	if err != nil {
		return s.st, fmt.Errorf("read SetupDiag result: %w", err)
	}
	if len(doc) > maxSetupDiag {
		doc = doc[:maxSetupDiag]
		s.st.Cut++
	}
	doc = toUTF8(doc)
	s.st.Bytes = int64(len(doc))
	s.st.Lines = bytes.Count(doc, []byte{'\n'})
	if len(doc) > 0 && doc[len(doc)-1] != '\n' {
		s.st.Lines++
	}
	switch head := bytes.TrimSpace(doc); {
	case len(head) == 0:
		return s.st, nil
	case head[0] == '<':
		err = s.xml(doc)
	case head[0] == '{', head[0] == '[' && len(head) > 1 && head[1] != '-', head[0] == '"':
		err = s.json(doc)
	default:
		err = s.text(ctx, doc)
	}
	return s.st, err
}

type setupDiag struct {
	ctx     context.Context
	fn      func(*Record) error
	st      Stats
	rec     Record
	n       int
	profile string
	parent  string

	line, lineAt int // line of the offset that was asked for last
}

// lineOf returns the number of the line at offset; offsets rise.
func (s *setupDiag) lineOf(doc []byte, offset int) int {
	if offset > s.lineAt {
		s.line += bytes.Count(doc[s.lineAt:offset], []byte{'\n'})
		s.lineAt = offset
	}
	return s.line
}

// leaf delivers one named text.
func (s *setupDiag) leaf(name, text string, line int) error {
	if s.n++; s.n&0x3FF == 0 {
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	text = strings.TrimSpace(text)
	if len(text) > MaxLine {
		text = string(cutText([]byte(text), MaxLine))
		s.st.Cut++
	}
	switch name {
	case "ProfileName":
		s.profile = text
	case "Version":
		if s.parent == "" {
			s.profile = "" // another result begins
		}
	}
	if text == "" {
		return nil
	}
	s.rec = Record{Line: line, Component: []byte(name), Text: []byte(text), Fields: s.rec.Fields[:0]}
	s.grade(&s.rec)
	s.rec.addField("profile", s.profile)
	s.rec.addField("parent", s.parent)
	s.st.Records++
	return s.fn(&s.rec)
}

// grade finds level, time, code and extend code in the text.
func (s *setupDiag) grade(rec *Record) {
	quoted := bytes.TrimPrefix(rec.Text, []byte("LogEntry:"))
	var q Record
	if parseServicing(skipSpace(quoted), &q) && !q.Continued && !q.Time.IsZero() {
		rec.Time, rec.Level = q.Time, q.Level
	}
	switch {
	case bytes.HasPrefix(rec.Text, []byte("Error:")), bytes.HasPrefix(rec.Text, []byte("Error =")):
		rec.Level = LevelError
	case bytes.HasPrefix(rec.Text, []byte("Warning:")):
		rec.Level = LevelWarning
	case string(rec.Component) == "Error":
		rec.Level = LevelError
	}
	rec.Code = failingCode(rec.Text)
	rec.addField("extend", extendCode(rec.Text))
}

// extendCode finds the second number of "0xC1900101 - 0x20017" and of
// "ErrorCode = 0xC190020E, ExCode = 0x4001E".
func extendCode(text []byte) string {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte("0x"))
		if i < 0 {
			return ""
		}
		i += from
		_, n := hex(text[i+2:])
		from = i + 2 + n
		before := bytes.TrimRight(text[:i], " \t")
		if n < 5 || n > 6 {
			continue
		}
		switch {
		case bytes.HasSuffix(before, []byte("-")), bytes.HasSuffix(before, []byte("ExCode =")), bytes.HasSuffix(before, []byte("Extend =")):
			return string(text[i : i+2+n])
		}
	}
}

// xml reads elements with the decoder's raw tokens, which need no root and no
// matching ends. Behind a fault it goes on at the next "<".
func (s *setupDiag) xml(doc []byte) error {
	var path []string
	var text strings.Builder
	at := 0     // where the text of the innermost element begins
	wasted := 0 // bytes read for tokens that were none
	for base := 0; base < len(doc); {
		dec := newXMLDecoder(bytes.NewReader(doc[base:]))
		for good := base; ; {
			token, err := dec.RawToken()
			if errors.Is(err, io.EOF) {
				base = len(doc)
				break
			}
			if err != nil {
				// What never ends (a comment, a quote) is read up to the end of
				// the file before that is known. Once in a while is enough.
				if wasted += base + int(dec.InputOffset()) - good; wasted > 4*maxSetupDiag {
					return s.rest(doc, good)
				}
				base = s.fault(doc, good, &text)
				break
			}
			here := base + int(dec.InputOffset())
			good = here
			switch t := token.(type) {
			case xml.StartElement:
				if err := s.pathText(path, &text, s.lineOf(doc, at)); err != nil {
					return err
				}
				if len(path) < maxSetupDiagDepth {
					path = append(path, t.Name.Local)
				}
				at = here
			case xml.CharData:
				if len(bytes.TrimSpace(t)) == 0 && text.Len() == 0 {
					break
				}
				if text.Len() == 0 {
					at = here - len(bytes.TrimLeft(t, " \t\r\n"))
				}
				text.Write(t)
			case xml.EndElement:
				i := len(path) - 1
				for i >= 0 && path[i] != t.Name.Local {
					i--
				}
				if i < 0 { // the start was cut off
					if err := s.pathText(append(path, t.Name.Local), &text, s.lineOf(doc, at)); err != nil {
						return err
					}
					break
				}
				if err := s.pathText(path, &text, s.lineOf(doc, at)); err != nil {
					return err
				}
				path = path[:i]
			}
		}
	}
	return s.pathText(path, &text, s.lineOf(doc, at))
}

// fault passes over what the decoder could not read at doc[good]: a torn tag is
// dropped, a "<" or a control character that is text is kept. It returns where
// to go on.
func (s *setupDiag) fault(doc []byte, good int, text *strings.Builder) int {
	next := len(doc)
	if i := bytes.IndexByte(doc[min(good+1, len(doc)):], '<'); i >= 0 {
		next = good + 1 + i
	}
	part := doc[good:next]
	if len(part) < 2 || part[0] != '<' || !isAlnum(part[1]) && part[1] != '/' && part[1] != '!' && part[1] != '?' {
		text.Write(part)
	}
	return next
}

// rest delivers what was given up as a loose record.
func (s *setupDiag) rest(doc []byte, from int) error {
	part := bytes.TrimSpace(cutText(doc[from:], MaxLine))
	if len(part) == 0 {
		return nil
	}
	s.st.Unread++
	s.st.Cut++
	s.rec = Record{Line: s.lineOf(doc, from), Text: part, Loose: true}
	return s.fn(&s.rec)
}

// pathText delivers the text gathered for the innermost element of path.
func (s *setupDiag) pathText(path []string, text *strings.Builder, line int) error {
	defer text.Reset()
	if strings.TrimSpace(text.String()) == "" {
		return nil
	}
	name := ""
	s.parent = ""
	if n := len(path); n > 0 {
		name = path[n-1]
		if n > 1 && path[n-2] != "SetupDiag" {
			s.parent = path[n-2]
		}
	}
	return s.leaf(name, text.String(), line)
}

// json reads members and elements one after the other, without asking whether
// the document is whole: results shown on web pages were cut and reformatted,
// with line ends inside of strings.
func (s *setupDiag) json(doc []byte) error {
	var names [maxSetupDiagDepth]string // name of each open container
	depth := 0
	name := ""
	for i := 0; i < len(doc); {
		switch c := doc[i]; {
		case c == '{' || c == '[':
			if depth < maxSetupDiagDepth-1 {
				if name == "" { // an element of an array is called as the array is
					name = names[depth]
				}
				depth++
				names[depth] = name
			}
			name = ""
			i++
		case c == '}' || c == ']':
			if depth > 0 {
				depth--
			}
			name = ""
			i++
		case c == '"':
			text, end := jsonString(doc, i)
			next := end
			for next < len(doc) && (isSpace(doc[next]) || doc[next] == '\r' || doc[next] == '\n') {
				next++
			}
			if next < len(doc) && doc[next] == ':' {
				name = text
				i = next + 1
				continue
			}
			if err := s.jsonLeaf(names[:depth+1], name, text, s.lineOf(doc, i)); err != nil {
				return err
			}
			i = end
		case c == ',' || c == ':' || c <= ' ':
			if c == ',' {
				name = ""
			}
			i++
		default:
			end := i
			for end < len(doc) && !strings.ContainsRune(",]}\r\n", rune(doc[end])) {
				end++
			}
			if word := strings.TrimSpace(string(doc[i:end])); word != "null" {
				if err := s.jsonLeaf(names[:depth+1], name, word, s.lineOf(doc, i)); err != nil {
					return err
				}
			}
			i = max(end, i+1)
		}
	}
	return nil
}

// jsonLeaf delivers a value. Elements of an array are called as the array is,
// and what stands in an object has the object's name for a parent.
func (s *setupDiag) jsonLeaf(open []string, name, text string, line int) error {
	parent := open[len(open)-1]
	if name == "" {
		name = parent
		parent = ""
		if len(open) > 1 {
			parent = open[len(open)-2]
		}
	}
	s.parent = parent
	return s.leaf(name, text, line)
}

// jsonString reads the string that begins at doc[i], a quote, and returns the
// offset behind it. Raw control characters are kept.
func jsonString(doc []byte, i int) (string, int) {
	var b []byte
	for i++; i < len(doc); i++ {
		c := doc[i]
		if c == '"' {
			return string(b), i + 1
		}
		if c != '\\' || i+1 >= len(doc) {
			b = append(b, c)
			continue
		}
		i++
		switch doc[i] {
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b', 'f':
		case 'u':
			if i+4 < len(doc) {
				if v, err := strconv.ParseUint(string(doc[i+1:i+5]), 16, 16); err == nil {
					b = utf8.AppendRune(b, rune(v))
					i += 4
				}
			}
		default:
			b = append(b, doc[i])
		}
	}
	return string(b), len(doc)
}

// text reads the log form: "key = value", rules, and plain sentences.
func (s *setupDiag) text(ctx context.Context, doc []byte) error {
	line := 0
	_, err := eachLine(ctx, bytes.NewReader(doc), func(raw []byte, cut bool) error {
		line++
		if cut {
			s.st.Cut++
		}
		b := bytes.TrimSpace(raw)
		if rest, ok := bytes.CutPrefix(b, []byte("SetupDiag: processing rule:")); ok {
			s.profile = string(bytes.Trim(rest, " ."))
			return s.leaf("Rule", s.profile, line)
		}
		if rest, ok := bytes.CutPrefix(b, []byte("Matching Profile found:")); ok {
			name, guid, _ := strings.Cut(string(rest), " - ")
			if err := s.leaf("ProfileName", name, line); err != nil {
				return err
			}
			return s.leaf("ProfileGuid", guid, line)
		}
		b = bytes.TrimLeft(b, ".") // dots that show progress
		switch {
		case bytes.Equal(b, []byte("No match.")):
			return s.leaf("NoMatch", s.profile, line)
		case bytes.HasPrefix(b, []byte("SetupDiag found ")): // the summary, without the rules' names
			s.profile = ""
		}
		name, value := keyValue(b)
		return s.leaf(name, value, line)
	})
	return err
}

// keyValue splits "Host OS Version = 10.0" and "Last Operation: Finalize" into
// the name without blanks and the value. Sentences have no name.
func keyValue(b []byte) (name, value string) {
	i := bytes.Index(b, []byte(" ="))
	width := 2
	if j := bytes.IndexByte(b, ':'); j >= 0 && (i < 0 || j < i) {
		i, width = j, 1
		// "Error: SetupDiag reports ..." and "Warning: ..." are sentences, a
		// colon without a blank behind it belongs to a path or a time.
		if j+1 < len(b) && b[j+1] != ' ' || !keyBeforeColon(b[:j]) {
			return "", string(b)
		}
	}
	if i < 1 || i > 40 || bytes.Count(b[:i], []byte{' '}) > 4 {
		return "", string(b)
	}
	for _, c := range b[:i] {
		if !isAlnum(c) && c != ' ' {
			return "", string(b)
		}
	}
	return strings.ReplaceAll(string(b[:i]), " ", ""), string(bytes.TrimSpace(b[i+width:]))
}

// keyBeforeColon knows the keys that some versions write with a colon.
func keyBeforeColon(b []byte) bool {
	switch string(b) {
	case "Last Operation", "Last Setup Operation", "Last Phase", "Last Setup Phase", "Function", "LogEntry", "Failure Data", "Message", "Operation", "Phase":
		return true
	}
	return false
}
