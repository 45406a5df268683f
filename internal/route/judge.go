package route

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"updoc/internal/host"
	"updoc/internal/route/wusp"
)

// judge looks at an answer the way its caller in Windows does, and adds the hop
// that the caller would stop at: a status that is not accepted, a page in place
// of an answer, a range that is none.
func judge(w Want, ex *host.Exchange) {
	if ex.Broken() != nil || len(ex.Hops) == 0 || ex.Status == 0 {
		return
	}
	last := &ex.Hops[len(ex.Hops)-1]
	fail := func(fault host.Fault, seen string) { last.Fault, last.Seen = fault, seen }
	add := func(kind host.HopKind, fault host.Fault, seen string) {
		ex.Hops = append(ex.Hops, host.Hop{Kind: kind, Target: last.Target, At: last.At + last.Took, Fault: fault, Seen: seen})
	}
	accepted := w.Status
	if len(accepted) == 0 {
		accepted = []int{http.StatusOK}
		if w.Range != nil {
			accepted = []int{http.StatusPartialContent}
		}
	}
	page := webPage(ex)
	if w.Operation != "" && !page && (ex.Status == http.StatusOK || ex.Status == http.StatusInternalServerError) {
		judgeSOAP(w, ex)
		return
	}
	switch {
	case ex.Status/100 == 3 && ex.Status != http.StatusNotModified && !slices.Contains(accepted, ex.Status):
		to := ex.Get("Location")
		if strings.HasPrefix(strings.ToLower(to), "http") && !sameHost(to, ex.Request.URL) {
			fail(host.FaultPortal, "sent to another site: "+siteOf(to))
			return
		}
		fail(host.FaultRedirect, "sent to "+siteOf(to))
		return
	case ex.Status == http.StatusNetworkAuthenticationRequired: // RFC 6585: what a captive portal should say
		fail(host.FaultPortal, "HTTP 511")
		return
	case page && w.Body != AnyBody && ex.Status >= 400: // the server's own words about its status
		fail(host.FaultStatus, retryAfter(ex))
		return
	case page && w.Body != AnyBody && slices.Contains(accepted, ex.Status),
		page && w.Range != nil && ex.Status == http.StatusOK:
		fail(host.FaultPortal, "a web page instead of "+string(w.Body))
		return
	case w.Range != nil && ex.Status == http.StatusOK:
		add(host.HopContent, host.FaultRange, fmt.Sprintf("a range of %d bytes was asked for, the whole of it came", w.Range.Last-w.Range.First+1))
		return
	case w.Range != nil && ex.Status == http.StatusRequestedRangeNotSatisfiable:
		add(host.HopContent, host.FaultRange, "HTTP 416")
		return
	case !slices.Contains(accepted, ex.Status):
		fail(host.FaultStatus, retryAfter(ex))
		return
	}
	if ex.Request.Method == http.MethodHead {
		if w.Length && ex.Get("Content-Length") == "" {
			add(host.HopContent, host.FaultLength, "no Content-Length")
		}
		return
	}
	packed := unasked(ex)
	if packed != "" && (w.Body == Cabinet || w.Body == Text) {
		add(host.HopService, host.FaultAnswer, packed) // it cannot be read, and says nothing of who made it
		return
	}
	switch body := bytes.TrimLeft(ex.Body, "\xef\xbb\xbf \t\r\n"); w.Body {
	case Cabinet:
		if ex.Status == http.StatusOK && !bytes.HasPrefix(ex.Body, []byte("MSCF")) {
			add(host.HopService, host.FaultAnswer, "no cabinet")
			return
		}
	case Text:
		if string(bytes.TrimSpace(body)) != ncsiText {
			fail(host.FaultPortal, "another text than Microsoft's")
			return
		}
	}
	if w.Range != nil {
		if seen := wrongRange(*w.Range, ex); seen != "" {
			add(host.HopContent, host.FaultRange, seen)
			return
		}
	}
	if w.Length && ex.Get("Content-Length") == "" {
		add(host.HopContent, host.FaultLength, "no Content-Length")
		return
	}
	if packed != "" && (w.Range != nil || w.Length) {
		add(host.HopContent, host.FaultHeader, packed)
	}
}

// retryAfter says when a server that refuses wants to be asked again. The status itself
// is a field of the hop.
func retryAfter(ex *host.Exchange) string {
	if after := ex.Get("Retry-After"); after != "" {
		return "Retry-After: " + after
	}
	return ""
}

// unasked names the coding of a body that was coded although nobody asked for it.
func unasked(ex *host.Exchange) string {
	enc := ex.Get("Content-Encoding")
	if enc == "" || strings.EqualFold(enc, "identity") || asked(ex, "Accept-Encoding") {
		return ""
	}
	return "Content-Encoding: " + enc + ", which nobody asked for"
}

// judgeSOAP reads the service's answer. A fault stands in an answer with status 500
// and says more than that; where any answer of the service is good enough, it is one,
// unless it would refuse every call of this machine.
func judgeSOAP(w Want, ex *host.Exchange) {
	var err error
	switch w.Operation {
	case "GetConfig":
		_, err = wusp.ReadConfig(*ex)
	case "GetCookie":
		_, err = wusp.ReadCookie(*ex)
	}
	var e *wusp.Error
	if !errors.As(err, &e) || e.SOAP != nil && slices.Contains(w.Status, ex.Status) && !e.SOAP.Expired() {
		return
	}
	*ex = e.Mark(*ex)
	ex.Broken().Result = e.Code
}

// ncsiText is what http://www.msftconnecttest.com/connecttest.txt holds.
// learn.microsoft.com: NCSI overview.
const ncsiText = "Microsoft Connect Test"

// webPage reports that a body is meant for a person.
func webPage(ex *host.Exchange) bool {
	body := bytes.ToLower(bytes.TrimLeft(ex.Body[:min(len(ex.Body), 1024)], "\xef\xbb\xbf \t\r\n"))
	return bytes.HasPrefix(body, []byte("<!doctype html")) || bytes.HasPrefix(body, []byte("<html")) ||
		len(body) > 0 && strings.HasPrefix(strings.ToLower(ex.Get("Content-Type")), "text/html")
}

// wrongRange compares the range of an answer with the one asked for.
func wrongRange(want Range, ex *host.Exchange) string {
	got := ex.Get("Content-Range")
	var first, last int64
	unit, rest, _ := strings.Cut(got, " ")
	span, _, _ := strings.Cut(rest, "/")
	if _, err := fmt.Sscanf(span, "%d-%d", &first, &last); err != nil || !strings.EqualFold(unit, "bytes") {
		return fmt.Sprintf("Content-Range: %q", got)
	}
	switch n := last - first + 1; {
	case first != want.First || last != want.Last:
		return fmt.Sprintf("bytes %d-%d came instead of %d-%d", first, last, want.First, want.Last)
	case ex.Length != n:
		return fmt.Sprintf("%d bytes came, the answer speaks of %d", ex.Length, n)
	}
	return ""
}

func asked(ex *host.Exchange, name string) bool {
	for _, f := range ex.Request.Header {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// siteOf names the host that a redirect leads to, and nothing else of it: what
// follows may hold a ticket.
func siteOf(location string) string {
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return "an address that makes no sense"
	case u.Host == "":
		return "another path of the same host"
	}
	return u.Hostname()
}

func sameHost(a, b string) bool {
	ua, err := url.Parse(a)
	if err != nil {
		return false
	}
	ub, err := url.Parse(b)
	return err == nil && strings.EqualFold(ua.Hostname(), ub.Hostname())
}
