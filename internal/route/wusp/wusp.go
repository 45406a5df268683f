// Package wusp speaks the update service's protocol as a client does: the SOAP
// calls of [MS-WUSP] against a WSUS server and Microsoft's own services, the
// service locator, and the requests for content.
//
// It sends nothing itself. Requests are built as values, answers are read from
// exchanges, and a [Session] drives the sequence of calls through a
// [host.Exchanger], so that a walk may be recorded, replayed and shown.
//
// By default a session makes only calls that write nothing on a server. A server
// keeps what it is told in calls that identify the machine; those need
// [Session.Deep] and the machine's own client id.
//
// Sources: [MS-WUSP] "Windows Update Services: Client-Server Protocol" 38.0,
// [MS-XCA] "Xpress Compression Algorithm", a wire capture of a Windows 11 25H2
// agent against WSUS on Server 2025, and the pages of learn.microsoft.com named
// where they are used.
package wusp

import (
	"strings"
	"unicode"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// The namespaces of the operations ([MS-WUSP] 2.2.1); a SOAPAction is one of them, a
// slash and the operation.
const (
	nsClient = "http://www.microsoft.com/SoftwareDistribution/Server/ClientWebService"
	nsAuth   = "http://www.microsoft.com/SoftwareDistribution/Server/SimpleAuthWebService"
)

// Where WSUS has its services, below the server's address ([MS-WUSP] 2.1). IIS does
// not mind letter case; proxies and their rules may.
const (
	clientPath = "/ClientWebService/client.asmx"
	authPath   = "/SimpleAuthWebService/SimpleAuth.asmx"
)

// Writes says whether a call changes something on the server.
type Writes string

// What calls do to a server.
const (
	WritesNothing Writes = "no"
	MayWrite      Writes = "may" // the specification allows it, or servers are known to differ
	DoesWrite     Writes = "yes"
)

// Operation is one call of the protocol.
type Operation struct {
	Name   string
	Writes Writes
	Why    string // what it writes, or why it writes nothing, and the source
	ns     string
}

// The operations, by name.
const (
	opLocate    = "SLS"
	opConfig    = "GetConfig"
	opAuth      = "GetAuthorizationCookie"
	opCookie    = "GetCookie"
	opRegister  = "RegisterComputer"
	opSync      = "SyncUpdates"
	opExtended  = "GetExtendedUpdateInfo"
	opLocations = "GetFileLocations"
	opContent   = "content"
)

// Operations lists every call that this package can make.
func Operations() []Operation {
	return []Operation{
		{opLocate, WritesNothing, "a GET of a signed file", ""},
		{opConfig, WritesNothing, "carries a protocol version and nothing of the machine ([MS-WUSP] 3.1.5.2)", nsClient},
		{opAuth, MayWrite, "the server should persist the client's id and name ([MS-WUSP] 3.1.5.3); WSUS 2.0 does (note 45)", nsAuth},
		{opCookie, WritesNothing, "state travels in the cookie ([MS-WUSP] 3.1.5.4)", nsClient},
		{opRegister, DoesWrite, "enters the computer into the server's database ([MS-WUSP] 3.1.5.5)", nsClient},
		{opSync, MayWrite, "the server may note when the computer synchronised", nsClient},
		{opExtended, WritesNothing, "reads metadata ([MS-WUSP] 3.1.5.9)", nsClient},
		{opLocations, WritesNothing, "reads metadata ([MS-WUSP] 3.1.5.10)", nsClient},
		{opContent, WritesNothing, "a HEAD or GET of a file", ""},
	}
}

// operation returns the operation with that name. An unknown name writes, for all
// that is known.
func operation(name string) Operation {
	for _, op := range Operations() {
		if op.Name == name {
			return op
		}
	}
	return Operation{Name: name, Writes: DoesWrite}
}

// Error says why an answer is not the one that was asked for. Its hop and fault
// are in host's words, so that a prediction may be made of it.
type Error struct {
	Operation string // "GetConfig"
	Hop       host.HopKind
	Fault     host.Fault
	Status    int           // HTTP's, if there was an answer
	Seen      string        // in a few technical words; bounded and printable
	SOAP      *Fault        // set if Fault is host.FaultSOAP
	Code      codes.HRESULT // what the update agent reports, where it is more exact than what hop and fault say; else 0
	Source    string        // of Code
}

func (e *Error) Error() string {
	s := e.Operation + ": " + string(e.Hop) + ": " + string(e.Fault)
	if e.Seen != "" {
		s += ": " + e.Seen
	}
	return s
}

// Mark returns the exchange with the error as its last, broken hop. An exchange
// that was broken before stays as it is.
func (e *Error) Mark(ex host.Exchange) host.Exchange {
	if ex.Broken() != nil {
		return ex
	}
	hops := append(make([]host.Hop, 0, len(ex.Hops)+1), ex.Hops...)
	last := host.Hop{Target: ex.Request.URL, At: ex.Took}
	if n := len(hops); n > 0 {
		last.Target, last.At = hops[n-1].Target, hops[n-1].At+hops[n-1].Took
		if hops[n-1].Kind == e.Hop {
			hops[n-1].Fault, hops[n-1].Seen, hops[n-1].Status = e.Fault, e.Seen, e.Status
			ex.Hops = hops
			return ex
		}
	}
	last.Kind, last.Fault, last.Seen, last.Status = e.Hop, e.Fault, e.Seen, e.Status
	ex.Hops = append(hops, last)
	return ex
}

// clean makes text from the wire fit for a line of a report: printable, on one line, bounded.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 4*limit)])
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "..."
	}
	return s
}

// word returns s if it is one technical word, such as an error code or the name of a
// parameter, and "" otherwise: free text from the wire may hold anything, credentials too.
func word(s string) string {
	if s == "" || len(s) > 80 {
		return ""
	}
	for _, r := range s {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_') {
			return ""
		}
	}
	return s
}
