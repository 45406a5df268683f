package wusp

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"updoc/internal/host"
)

// Bounds of what an answer may hold. A page of SyncUpdates has at most some
// megabytes: WSUS stops at 5 MB of metadata by default (MaxXMLPerRequest).
const (
	maxAnswer     = 16 << 20 // bytes, decompressed
	maxToken      = 2 << 20  // bytes of one tag or one run of text
	maxDepth      = 64
	maxElements   = 1 << 19
	maxAttributes = 64
	maxList       = 20_000 // entries of one list
)

// The two envelopes ([SOAP1.1] 4.1.2, [SOAP1.2] part 1, 5.1).
const (
	nsSOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSOAP12 = "http://www.w3.org/2003/05/soap-envelope"
)

// errBound wraps every refusal of an answer that is too large in some way.
var errBound = errors.New("beyond what an update service sends")

// errCharset says that a document is in none of the encodings that services use.
var errCharset = errors.New("an encoding other than UTF-8")

// source hands bytes to the decoder and stops it within a token that is too long,
// before the decoder has made anything of it.
type source struct {
	b        []byte
	at, mark int
}

func (s *source) ReadByte() (byte, error) {
	if s.at == len(s.b) {
		return 0, io.EOF
	}
	if s.at-s.mark > maxToken {
		return 0, fmt.Errorf("a tag or text of more than %d bytes: %w", maxToken, errBound)
	}
	c := s.b[s.at]
	s.at++
	return c, nil
}

// Read is there because the decoder asks for a reader; it then reads by byte.
func (s *source) Read(p []byte) (int, error) {
	for i := range p {
		c, err := s.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = c
	}
	return len(p), nil
}

// doc reads an XML document token by token. encoding/xml knows no entities but
// the five predefined ones, so nothing can expand.
type doc struct {
	dec      *xml.Decoder
	src      *source
	depth    int
	elements int
}

func newDoc(b []byte) *doc {
	src := &source{b: b}
	dec := xml.NewDecoder(src)
	dec.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf8", "us-ascii", "ascii":
			return r, nil
		}
		return nil, errCharset
	}
	return &doc{dec: dec, src: src}
}

// next returns the next start, end or text. SOAP forbids document types.
func (d *doc) next() (xml.Token, error) {
	for {
		d.src.mark = d.src.at
		tok, err := d.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			d.depth++
			d.elements++
			switch {
			case d.depth > maxDepth:
				return nil, fmt.Errorf("elements nested more than %d deep: %w", maxDepth, errBound)
			case d.elements > maxElements:
				return nil, fmt.Errorf("more than %d elements: %w", maxElements, errBound)
			case len(t.Attr) > maxAttributes:
				return nil, fmt.Errorf("more than %d attributes: %w", maxAttributes, errBound)
			}
			return t, nil
		case xml.EndElement:
			d.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, errors.New("a document type, which SOAP forbids")
		}
	}
}

// children calls fn for each child of the element that was just opened, and
// returns behind its end. Whatever fn leaves of a child is skipped.
func (d *doc) children(fn func(e xml.StartElement) error) error {
	base := d.depth
	for {
		tok, err := d.next()
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if err := fn(t); err != nil {
				return err
			}
			if err := d.leave(base); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// leave reads until the document is no deeper than depth.
func (d *doc) leave(depth int) error {
	for d.depth > depth {
		if _, err := d.next(); err != nil {
			return err
		}
	}
	return nil
}

// text returns the text of the element that was just opened, and returns behind its end.
func (d *doc) text() (string, error) {
	base := d.depth
	var one string // most elements hold one run
	var all []byte
	for {
		tok, err := d.next()
		if err != nil {
			return "", err
		}
		switch t := tok.(type) {
		case xml.CharData:
			if one == "" && all == nil {
				one = string(t)
				continue
			}
			if all == nil {
				all = []byte(one)
			}
			all = append(all, t...)
		case xml.EndElement:
			if d.depth < base {
				if all != nil {
					return string(all), nil
				}
				return one, nil
			}
		}
	}
}

// into reads the text of the element into v: *string, *int or *bool.
func (d *doc) into(e xml.StartElement, v any) error {
	s, err := d.text()
	if err != nil {
		return err
	}
	if p, ok := v.(*string); ok {
		*p = s
		return nil
	}
	s = strings.TrimSpace(s)
	switch p := v.(type) {
	case *bool: // xsd:boolean
		switch s {
		case "true", "1":
			*p = true
		case "false", "0":
			*p = false
		default:
			err = errors.New("not a boolean")
		}
	case *int:
		if *p, err = strconv.Atoi(s); err != nil {
			err = errors.New("not a number") // strconv would quote it
		}
	default:
		err = fmt.Errorf("%T is not read", v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.Name.Local, err)
	}
	return nil
}

// list calls fn for each child with that name, and refuses endless lists.
func (d *doc) list(name xml.Name, fn func(e xml.StartElement) error) error {
	n := 0
	return d.children(func(e xml.StartElement) error {
		if e.Name != name {
			return nil
		}
		if n++; n > maxList {
			return fmt.Errorf("more than %d of %s: %w", maxList, name.Local, errBound)
		}
		return fn(e)
	})
}

// read opens the envelope of an answer to the named operation and calls fn within
// its response element, whose children fn reads. Names are matched by namespace, never by
// prefix: a server is free to choose prefixes, and its services choose different ones.
//
// The error is an *Error.
func read(ex *host.Exchange, name string, fn func(d *doc) error) error {
	op := operation(name)
	fail := func(hop host.HopKind, fault host.Fault, seen string) *Error {
		return &Error{Operation: name, Hop: hop, Fault: fault, Status: ex.Status, Seen: seen}
	}
	if b := ex.Broken(); b != nil {
		return fail(b.Kind, b.Fault, b.Seen)
	}
	if err := status(ex, name, 200, 500); err != nil {
		return err
	}
	body, seen := plain(ex)
	switch {
	case seen != "":
		return fail(host.HopService, host.FaultAnswer, seen)
	case isPage(ex, body) && ex.Status == 200:
		return fail(host.HopHTTP, host.FaultPortal, "a web page instead of an envelope")
	case ex.Status != 200 && !bytes.HasPrefix(trimXML(body), []byte("<")), ex.Status != 200 && isPage(ex, body):
		return fail(host.HopHTTP, host.FaultStatus, "HTTP "+strconv.Itoa(ex.Status))
	case ex.Length > int64(len(ex.Body)):
		return fail(host.HopService, host.FaultAnswer, fmt.Sprintf("%d bytes, which is more than was kept", ex.Length))
	case len(body) == 0:
		return fail(host.HopService, host.FaultAnswer, "nothing where an envelope is due")
	}
	d := newDoc(trimXML(body))
	found := false
	soap, err := d.envelope(func(e xml.StartElement) error {
		if e.Name == (xml.Name{Space: op.ns, Local: name + "Response"}) {
			found = true
			return fn(d)
		}
		return fmt.Errorf("an answer to something else: %q", clean(e.Name.Local, 40))
	})
	switch {
	case err != nil && ex.Status != 200 && !errors.Is(err, errBound):
		return fail(host.HopHTTP, host.FaultStatus, "HTTP "+strconv.Itoa(ex.Status))
	case err != nil:
		return fail(host.HopService, host.FaultAnswer, why(err))
	case soap != nil:
		e := fail(host.HopService, host.FaultSOAP, soap.String())
		e.SOAP, e.Code, e.Source = soap, soap.HResult, soap.Source
		return e
	case !found:
		return fail(host.HopService, host.FaultAnswer, "an envelope without an answer")
	case ex.Status != 200:
		return fail(host.HopHTTP, host.FaultStatus, "HTTP "+strconv.Itoa(ex.Status))
	}
	return nil
}

// envelope reads a whole document: an envelope of either version, whose body holds
// a fault, which is returned, or something for fn.
func (d *doc) envelope(fn func(e xml.StartElement) error) (*Fault, error) {
	tok, err := d.next()
	for err == nil {
		if _, text := tok.(xml.CharData); !text {
			break
		}
		tok, err = d.next()
	}
	if err != nil {
		return nil, err
	}
	root, ok := tok.(xml.StartElement)
	ns := root.Name.Space
	if !ok || root.Name.Local != "Envelope" || ns != nsSOAP11 && ns != nsSOAP12 {
		return nil, fmt.Errorf("not an envelope of SOAP 1.1 or 1.2: %q", clean(root.Name.Local, 40))
	}
	var fault *Fault
	err = d.children(func(e xml.StartElement) error {
		if e.Name != (xml.Name{Space: ns, Local: "Body"}) {
			return nil
		}
		return d.children(func(e xml.StartElement) error {
			if e.Name != (xml.Name{Space: ns, Local: "Fault"}) {
				return fn(e)
			}
			f, err := d.fault(ns)
			fault = f
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	for {
		tok, err := d.next()
		if err == io.EOF {
			return fault, nil
		}
		if err != nil {
			return nil, err
		}
		if t, text := tok.(xml.CharData); !text || len(bytes.TrimSpace(t)) > 0 {
			return nil, errors.New("something follows the envelope")
		}
	}
}

// why puts a decoder's error into a few words.
func why(err error) string {
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF", errors.Is(err, io.EOF):
		return "the envelope ends in the middle"
	case errors.Is(err, errCharset):
		return errCharset.Error() // without the decoder's words, which quote it
	case errors.As(err, &syntax):
		return "not XML: line " + strconv.Itoa(syntax.Line)
	}
	return clean(err.Error(), 120)
}

// status sorts out the answers that are none of the accepted ones.
func status(ex *host.Exchange, name string, accepted ...int) error {
	e := &Error{Operation: name, Hop: host.HopHTTP, Status: ex.Status, Seen: "HTTP " + strconv.Itoa(ex.Status)}
	for _, s := range accepted {
		if ex.Status == s {
			return nil
		}
	}
	switch {
	case ex.Status == 0:
		e.Fault, e.Seen = host.FaultClosed, "no answer"
	case ex.Status == 511: // RFC 6585: what a captive portal should say
		e.Fault = host.FaultPortal
	case ex.Status/100 == 3 && ex.Get("Location") != "":
		e.Fault = host.FaultRedirect
	default:
		e.Fault = host.FaultStatus
		if after := clean(ex.Get("Retry-After"), 40); after != "" {
			e.Seen += ", Retry-After: " + after
		}
	}
	return e
}

// plain returns the body without the compression that the agent asks for. What
// else happened to the encoding on the way is told in seen.
func plain(ex *host.Exchange) (body []byte, seen string) {
	packed := looksPacked(ex.Body)
	switch encoding := strings.ToLower(strings.TrimSpace(ex.Get("Content-Encoding"))); encoding {
	case "", "identity":
		if packed {
			return nil, "the body is xpress, but no Content-Encoding says so"
		}
		return ex.Body[:min(len(ex.Body), maxAnswer)], bound(len(ex.Body))
	case "xpress":
		if bytes.HasPrefix(trimXML(ex.Body), []byte("<")) {
			return nil, "Content-Encoding: xpress, but the body is plain"
		}
		out, err := expand(ex.Body, maxAnswer)
		if err != nil {
			return nil, why(err)
		}
		return out, ""
	default:
		return nil, "Content-Encoding: " + clean(encoding, 40) + ", which nobody asked for"
	}
}

func bound(n int) string {
	if n > maxAnswer {
		return fmt.Sprintf("more than %d bytes", maxAnswer)
	}
	return ""
}

// trimXML removes what may stand before a document.
func trimXML(b []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
}

// isPage reports that a body is meant for a person.
func isPage(ex *host.Exchange, body []byte) bool {
	head := bytes.ToLower(trimXML(body[:min(len(body), 1024)]))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html")) ||
		len(head) > 0 && !bytes.Contains(head, []byte("envelope")) && strings.HasPrefix(strings.ToLower(ex.Get("Content-Type")), "text/html")
}
