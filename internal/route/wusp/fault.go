package wusp

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
)

// Fault is a SOAP fault of the update service ([MS-WUSP] 2.2.2.4), with what is known
// about it.
type Fault struct {
	Code    string // the service's ErrorCode: "ConfigChanged"; "" if it gave none
	Message string // for InvalidParameters, the parameter; printable, bounded
	ID      string // under which the server logged it
	Method  string // "http://.../SyncUpdates"
	SOAP    string // SOAP's own code, in the words of 1.1: Client, Server, VersionMismatch, MustUnderstand
	Sub     string // the first subcode of SOAP 1.2, without its prefix: "MessageExpired"
	Reason  string // the fault's text, often "Fault occurred"

	Meaning  string // in plain English
	Recovery Recovery
	HResult  codes.HRESULT   // what the update agent reports if recovery does not help
	Also     []codes.HRESULT // what other versions of it report, and codes beneath
	Source   string          // of the meaning and the codes
}

// String gives the fault in technical words, without free text of the wire.
func (f *Fault) String() string {
	s := word(f.Code)
	if s == "" {
		s = strings.TrimSpace("SOAP fault " + word(f.SOAP))
		if sub := word(f.Sub); sub != "" {
			s += ": " + sub
		}
	}
	if m := word(f.Message); m != "" {
		s += ": " + m
	}
	return s
}

// Genuine reports whether only an update service says such a thing: what stands in
// between may send SOAP faults, but not these.
func (f *Fault) Genuine() bool {
	_, ok := lookupFault(f.Code)
	return ok && f.Code != ""
}

// Expired reports that the server refuses the time that the message bears: one of the
// two clocks is wrong. OASIS WS-Security, SOAP Message Security 1.1, section 12.
func (f *Fault) Expired() bool { return f.Sub == "MessageExpired" }

// Recovery is what an agent does about a fault.
type Recovery string

// The recoveries that [MS-WUSP] 2.2.2.4 prescribes.
const (
	Restart   Recovery = "restart"   // from GetConfig, with an empty cache
	Renew     Recovery = "renew"     // from GetAuthorizationCookie
	Register  Recovery = "register"  // RegisterComputer
	Locations Recovery = "locations" // GetFileLocations
	Later     Recovery = "later"     // nothing now
	None      Recovery = "none"
)

//go:embed faults.tsv
var faultsTSV string

type faultRow struct {
	code, meaning, source string
	recovery              Recovery
	hresult               codes.HRESULT
	also                  []codes.HRESULT
}

var faultRows = sync.OnceValues(func() ([]faultRow, error) { return parseFaults(faultsTSV) })

func parseFaults(tsv string) ([]faultRow, error) {
	var rows []faultRow
	for n, line := range strings.Split(tsv, "\n") {
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "code\t") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("faults.tsv:%d: %d columns, want 6", n+1, len(f))
		}
		row := faultRow{code: f[0], recovery: Recovery(f[1]), meaning: f[4], source: f[5]}
		for i, hex := range strings.Split(f[2]+","+f[3], ",") {
			v, err := strconv.ParseUint(hex, 0, 32)
			if err != nil {
				return nil, fmt.Errorf("faults.tsv:%d: %w", n+1, err)
			}
			if i == 0 {
				row.hresult = codes.HRESULT(v)
			} else {
				row.also = append(row.also, codes.HRESULT(v))
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func lookupFault(code string) (faultRow, bool) {
	rows, _ := faultRows() // the table is tested
	for _, r := range rows {
		if r.code == code {
			return r, true
		}
	}
	return faultRow{}, false
}

// explain fills in what the table knows.
func (f *Fault) explain() {
	row, ok := lookupFault(f.Code)
	if !ok || f.Code == "" {
		if row, ok = lookupFault("soap:" + f.SOAP); !ok {
			row, _ = lookupFault("soap:")
		}
	}
	f.Meaning, f.Recovery, f.HResult, f.Also, f.Source = row.meaning, row.recovery, row.hresult, row.also, row.source
}

// fault reads the Fault element that was just opened, of the version with that
// namespace. In 1.1 its parts have no namespace; the service's own parts of the
// detail have none in either version, so they go by local name.
func (d *doc) fault(ns string) (*Fault, error) {
	f := &Fault{}
	field := func(to *string, limit int) error {
		s, err := d.text()
		if *to == "" {
			*to = clean(s, limit)
		}
		return err
	}
	detail := func() error {
		return d.children(func(e xml.StartElement) error {
			switch e.Name.Local {
			case "ErrorCode":
				return field(&f.Code, 80)
			case "Message":
				return field(&f.Message, 400)
			case "ID":
				return field(&f.ID, 80)
			case "Method":
				return field(&f.Method, 200)
			}
			return nil
		})
	}
	err := d.children(func(e xml.StartElement) error {
		if e.Name.Space != "" && e.Name.Space != ns {
			return nil
		}
		switch e.Name.Local {
		case "faultcode":
			return field(&f.SOAP, 80)
		case "faultstring":
			return field(&f.Reason, 400)
		case "Code": // 1.2: Code/Value and Code/Subcode/Value
			return d.children(func(e xml.StartElement) error {
				switch e.Name.Local {
				case "Value":
					return field(&f.SOAP, 80)
				case "Subcode":
					return d.children(func(e xml.StartElement) error {
						if e.Name.Local == "Value" {
							return field(&f.Sub, 80)
						}
						return nil
					})
				}
				return nil
			})
		case "Reason":
			return d.children(func(xml.StartElement) error { return field(&f.Reason, 400) })
		case "detail", "Detail":
			return detail()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.Method = strings.Trim(f.Method, `"`) // WSUS sends it within quotation marks
	f.SOAP = soapCode(f.SOAP)
	f.Sub = f.Sub[strings.LastIndexByte(f.Sub, ':')+1:]
	f.explain()
	return f, nil
}

// soapCode puts a fault code into the words of SOAP 1.1: without the prefix, without
// what 1.1 lets follow a dot ("Client.Authentication"), and with 1.2's new names undone.
func soapCode(s string) string {
	s = s[strings.LastIndexByte(s, ':')+1:]
	s, _, _ = strings.Cut(s, ".")
	switch s {
	case "Sender":
		return "Client"
	case "Receiver":
		return "Server"
	}
	return s
}
