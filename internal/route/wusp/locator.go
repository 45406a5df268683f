package wusp

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"

	"updoc/internal/cab"
	"updoc/internal/host"
)

// The services that the locator knows. learn.microsoft.com: IUpdateServiceManager;
// decoded logs of the update agent.
const (
	ServiceWindowsUpdate   = "9482F4B4-E343-43B6-B170-9A65BC822C77"
	ServiceMicrosoftUpdate = "7971F918-A847-4430-9279-4A52D1EFE18D"
	ServiceStore           = "855E8A7C-ECB4-4CA3-B045-1DFA50104289"
	ServiceDCAT            = "8B24B027-1DEE-BABB-9A95-3517DFB9C552"
)

const locatorHost = "https://slscr.update.microsoft.com"

// Locator is a request for the service locator, the first that an agent makes when it
// goes to Microsoft. The zero value asks about Windows Update for a 64-bit Windows 11
// Professional.
type Locator struct {
	Base     string // "" is Microsoft's
	Service  string // one of the Service constants, without braces
	Arch     string // x64, x86, arm64
	Build    string // "10.0.22631.3007"
	Language string // "ja-JP;en-US"
	Product  int    // GetProductInfo: 48 is Professional
	Agent    string
	Maker    string // of the computer; left out if ""
	Model    string
	ETag     string // of an earlier answer: the service then says 304 if nothing changed
}

// Request builds the GET, with path and query as decoded logs of agents show them. The
// client hash (CH), which agents derive from their id and which spreads roll-outs,
// is a fixed one: nothing of the machine is told.
func (l Locator) Request() host.Request {
	or := func(s, otherwise string) string {
		if s != "" {
			return s
		}
		return otherwise
	}
	product := l.Product
	if product == 0 {
		product = 48
	}
	agent := or(l.Agent, DefaultAgent)
	var q strings.Builder
	add := func(name, value string) {
		if q.Len() > 0 {
			q.WriteByte('&')
		}
		// Agents leave the semicolons of a language list as they are.
		q.WriteString(name + "=" + strings.ReplaceAll(url.QueryEscape(value), "%3B", ";"))
	}
	add("CH", "500")
	add("L", or(l.Language, "en-US"))
	add("P", "")
	add("PT", "0x"+strconv.FormatInt(int64(product), 16))
	add("WUA", agent)
	if l.Maker != "" || l.Model != "" {
		add("MK", l.Maker)
		add("MD", l.Model)
	}
	r := host.Request{
		ID: opLocate, Method: "GET", Keep: maxLocator, Pinned: l.Base == "",
		URL: cleanBase(or(l.Base, locatorHost)) + "/SLS/%7B" + url.PathEscape(or(l.Service, ServiceWindowsUpdate)) + "%7D/" +
			url.PathEscape(or(l.Arch, "x64")) + "/" + url.PathEscape(or(l.Build, "10.0.26200.8037")) + "/0?" + q.String(),
		Header: []host.Field{{Name: "Connection", Value: "Keep-Alive"}, {Name: "Accept", Value: "*/*"}},
	}
	if l.ETag != "" {
		r.Header = append(r.Header, host.Field{Name: "If-None-Match", Value: l.ETag})
	}
	r.Header = append(r.Header, host.Field{Name: "User-Agent", Value: "Windows-Update-Agent/" + agent + " Client-Protocol/" + protocol})
	return r
}

// Environment is what the locator says about a service.
type Environment struct {
	ETag      string
	Unchanged bool // 304: the agent's copy is still good
	// Signed: a signature follows the cabinet. Whose it is and whether it holds is not looked at here.
	Signed    bool
	Files     []string // of the cabinets: "environment.cab", "environment.xml"
	ClientURL string   // where the client service is
	Endpoints []Endpoint
}

// Endpoint is one address of an environment.
type Endpoint struct {
	Name string // "ServiceEnvironment/WUClientData/Protocol@clientServerUrl"
	URL  string
}

// Bounds of the locator's answer, which has some tens of kilobytes.
const (
	maxLocator   = 1 << 20
	maxEndpoints = 256
	maxNested    = 2 // cabinets in cabinets
)

// ReadEnvironment reads the locator's answer: a signed cabinet that holds
// environment.cab, which holds environment.xml.
func ReadEnvironment(ex host.Exchange) (Environment, error) {
	env := Environment{ETag: clean(ex.Get("ETag"), 200)}
	fail := func(fault host.Fault, hop host.HopKind, seen string) (Environment, error) {
		return env, &Error{Operation: opLocate, Hop: hop, Fault: fault, Status: ex.Status, Seen: seen}
	}
	if b := ex.Broken(); b != nil {
		return fail(b.Fault, b.Kind, b.Seen)
	}
	if err := status(&ex, opLocate, 200, 304); err != nil {
		return env, err
	}
	if ex.Status == 304 {
		env.Unchanged = true
		return env, nil
	}
	switch enc := clean(ex.Get("Content-Encoding"), 40); {
	case isPage(&ex, ex.Body):
		return fail(host.FaultPortal, host.HopHTTP, "a web page instead of a cabinet")
	case enc != "" && !strings.EqualFold(enc, "identity"):
		return fail(host.FaultAnswer, host.HopService, "Content-Encoding: "+enc+", which nobody asked for")
	case !bytes.HasPrefix(ex.Body, []byte(cab.Signature)):
		return fail(host.FaultAnswer, host.HopService, "no cabinet")
	case ex.Length > int64(len(ex.Body)):
		return fail(host.FaultAnswer, host.HopService, fmt.Sprintf("a cabinet of %d bytes, which is more than was kept", ex.Length))
	}
	env.Signed = followed(ex.Body)
	if err := env.cabinet(ex.Body, 0); err != nil {
		return fail(host.FaultAnswer, host.HopService, why(err))
	}
	if env.ClientURL == "" && len(env.Endpoints) == 0 {
		return fail(host.FaultAnswer, host.HopService, "a cabinet without the address of a service")
	}
	return env, nil
}

// followed reports whether something that looks like a PKCS #7 signature stands behind
// the cabinet, whose length is in its header ([MS-CAB] 2.1).
func followed(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	end := int64(b[8]) | int64(b[9])<<8 | int64(b[10])<<16 | int64(b[11])<<24
	return end > 0 && end+2 < int64(len(b)) && b[end] == 0x30 && b[end+1]&0x80 != 0
}

func (env *Environment) cabinet(b []byte, depth int) error {
	r, err := cab.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	if r.Missing > 0 {
		return fmt.Errorf("a cabinet that lacks %d bytes", r.Missing)
	}
	return r.Walk(func(f *cab.File, content io.Reader) error {
		name := strings.ToLower(path.Base(f.Name))
		if len(env.Files) < maxEndpoints {
			env.Files = append(env.Files, clean(name, 80))
		}
		inner, doc := strings.HasSuffix(name, ".cab"), strings.HasSuffix(name, ".xml")
		if !inner && !doc {
			return nil
		}
		if f.Size > maxLocator {
			return fmt.Errorf("%s of %d bytes: %w", clean(name, 40), f.Size, errBound)
		}
		data, err := io.ReadAll(io.LimitReader(content, maxLocator+1))
		if err != nil {
			return err
		}
		if doc {
			return env.document(data)
		}
		if depth+1 >= maxNested {
			return errors.New("a cabinet too deep within another")
		}
		return env.cabinet(data, depth+1)
	})
}

// document collects every address of environment.xml, whatever its element: the
// layout differs from service to service and is not documented.
func (env *Environment) document(b []byte) error {
	d := newDoc(trimXML(b))
	var at []string
	note := func(name, value string) {
		if value = strings.TrimSpace(value); len(env.Endpoints) < maxEndpoints && len(value) <= 2048 && contentURL(value) {
			env.Endpoints = append(env.Endpoints, Endpoint{Name: name, URL: value})
			if env.ClientURL == "" && strings.HasSuffix(strings.ToLower(name), "/protocol@clientserverurl") {
				env.ClientURL = value
			}
		}
	}
	for {
		tok, err := d.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("environment.xml: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			at = append(at, clean(t.Name.Local, 60))
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					note(strings.Join(at, "/")+"@"+clean(a.Name.Local, 60), a.Value)
				}
			}
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			note(strings.Join(at, "/"), string(t))
		}
	}
}
