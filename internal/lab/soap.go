package lab

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The world's own SOAP: it shares no line with the client that it judges.

// Namespaces of [MS-WUSP] section 2.1 and of SOAP.
const (
	nsSOAP11    = "http://schemas.xmlsoap.org/soap/envelope/"
	nsSOAP12    = "http://www.w3.org/2003/05/soap-envelope"
	nsAddr      = "http://www.w3.org/2005/08/addressing"
	nsSecext    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	nsTickets   = "http://schemas.microsoft.com/msus/2014/10/WindowsUpdateAuthorization"
	nsClient    = "http://www.microsoft.com/SoftwareDistribution/Server/ClientWebService"
	nsAuth      = "http://www.microsoft.com/SoftwareDistribution/Server/SimpleAuthWebService"
	nsReporting = "http://www.microsoft.com/SoftwareDistribution"
)

// Bounds of what the world reads as XML.
const (
	maxEnvelope = 4 << 20
	maxDepth    = 64
	maxElements = 100_000
)

// element is one element of a document.
type element struct {
	name xml.Name
	attr []xml.Attr
	kids []*element
	text string
}

// kid returns the first child with that local name, or an empty element.
func (e *element) kid(path ...string) *element {
	for _, name := range path {
		var found *element
		for _, k := range e.kids {
			if k.name.Local == name {
				found = k
				break
			}
		}
		if found == nil {
			return &element{}
		}
		e = found
	}
	return e
}

// there reports whether an element was in the document.
func (e *element) there() bool { return e.name.Local != "" }

// all returns the texts of the children with that local name.
func (e *element) all(name string) []string {
	var out []string
	for _, k := range e.kids {
		if k.name.Local == name {
			out = append(out, strings.TrimSpace(k.text))
		}
	}
	return out
}

var errXML = errors.New("malformed XML")

// parseXML reads one document into elements. Document types are refused.
func parseXML(r io.Reader) (*element, error) {
	limited := &io.LimitedReader{R: r, N: maxEnvelope + 1}
	d := xml.NewDecoder(limited)
	var root *element
	var open []*element
	for count := 0; ; {
		t, err := d.Token()
		if limited.N <= 0 {
			return nil, fmt.Errorf("%w: too long", errXML)
		}
		if err == io.EOF && root != nil && len(open) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errXML, err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("%w: document type", errXML)
		case xml.StartElement:
			if count++; count > maxElements || len(open) >= maxDepth {
				return nil, fmt.Errorf("%w: too many elements", errXML)
			}
			e := &element{name: t.Name, attr: t.Copy().Attr}
			switch {
			case len(open) > 0:
				top := open[len(open)-1]
				top.kids = append(top.kids, e)
			case root == nil:
				root = e
			default:
				return nil, fmt.Errorf("%w: two roots", errXML)
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(t)
			}
		}
	}
}

// call is one request of an update client.
type call struct {
	v12    bool
	header *element
	body   *element // the operation
	action string   // of SOAPAction or the content type
}

// readCall reads a request of one version of SOAP. The error is what ASP.NET would
// answer.
func readCall(r *http.Request, v12 bool) (*call, *soapFault) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	c := &call{v12: v12}
	speaks := "text/xml"
	if v12 {
		speaks = "application/soap+xml"
	}
	if !strings.EqualFold(strings.TrimSpace(kind), speaks) {
		return nil, &soapFault{status: http.StatusUnsupportedMediaType}
	}
	doc, err := parseXML(r.Body)
	if err != nil {
		return nil, &soapFault{status: http.StatusBadRequest}
	}
	want := nsSOAP11
	if c.v12 {
		want = nsSOAP12
	}
	if doc.name.Local != "Envelope" || doc.name.Space != want {
		return nil, &soapFault{code: "VersionMismatch", message: "Possible SOAP version mismatch."}
	}
	c.header = doc.kid("Header")
	body := doc.kid("Body")
	if len(body.kids) != 1 {
		return nil, &soapFault{code: "Client", message: "Server was unable to read request."}
	}
	c.body = body.kids[0]
	c.action = strings.Trim(r.Header.Get("SOAPAction"), `"`)
	if c.v12 {
		c.action = strings.TrimSpace(c.header.kid("Action").text)
	}
	return c, nil
}

// soapFault is a refusal: of the service, with an ErrorCode, or of what runs it.
type soapFault struct {
	status  int    // 500 if zero
	code    string // Client, Server
	sub     string // of SOAP 1.2, with its prefix
	message string
	error   string // ErrorCode of [MS-WUSP] section 2.2.2.4
	method  string
}

func esc(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// tag writes an element around what is XML already.
func tag(name string, inner ...string) string {
	end, _, _ := strings.Cut(name, " ")
	return "<" + name + ">" + strings.Join(inner, "") + "</" + end + ">"
}

// textTag writes an element around a text.
func textTag(name, text string) string { return tag(name, esc(text)) }

// envelope writes an answer the way the service that owns the namespace does:
// Windows Communication Foundation with s: and no declaration, ASP.NET with soap:.
func envelope(ns string, v12 bool, header, body string) []byte {
	var b bytes.Buffer
	soap, prefix := nsSOAP11, "s"
	if v12 {
		soap = nsSOAP12
	}
	if ns != nsClient {
		prefix = "soap"
		b.WriteString(`<?xml version="1.0" encoding="utf-8"?>`)
	}
	b.WriteString("<" + prefix + `:Envelope xmlns:` + prefix + `="` + soap + `"`)
	if v12 {
		b.WriteString(` xmlns:a="` + nsAddr + `" xmlns:u="` + nsUtility + `"`)
	}
	b.WriteString(">")
	if header != "" {
		b.WriteString(tag(prefix+":Header", header))
	}
	b.WriteString(tag(prefix+`:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"`, body))
	b.WriteString("</" + prefix + ":Envelope>")
	return b.Bytes()
}

// body writes a fault's element.
func (f *soapFault) body(ns string, v12 bool, id string) string {
	prefix := "s"
	if ns != nsClient {
		prefix = "soap"
	}
	detail := ""
	if f.error != "" {
		detail = textTag("ErrorCode", f.error) + textTag("Message", f.message) + textTag("ID", id) + textTag("Method", `"`+ns+"/"+f.method+`"`)
	}
	said := f.message
	if f.error != "" {
		said = "Fault occurred"
	}
	if v12 {
		code := map[string]string{"Client": "Sender", "Server": "Receiver"}[f.code]
		if code == "" {
			code = f.code
		}
		sub := ""
		if f.sub != "" {
			sub = tag(prefix+":Subcode", tag(prefix+`:Value xmlns:o="`+nsSecext+`"`, f.sub))
		}
		out := tag(prefix+":Code", tag(prefix+":Value", prefix+":"+code), sub) +
			tag(prefix+":Reason", tag(prefix+`:Text xml:lang="en-US"`, esc(said)))
		if detail != "" {
			out += tag(prefix+":Detail", detail)
		}
		return tag(prefix+":Fault", out)
	}
	return tag(prefix+":Fault", tag("faultcode", prefix+":"+f.code), textTag("faultstring", said), tag("detail", detail))
}
