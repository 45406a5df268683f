package route

import (
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// predictTSV maps observations to results: caller, hop, fault, HTTP status, code,
// further codes that the same observation is known to give, and the source.
//
//go:embed predict.tsv
var predictTSV string

// rowHTTP stands in the code column for 0x80190000 + status.
const rowHTTP = "http"

type predictRow struct {
	caller Caller
	hop    host.HopKind
	fault  host.Fault
	status int
	http   bool
	code   codes.HRESULT
	also   []codes.HRESULT
	source string
}

var predictRows = sync.OnceValues(func() ([]predictRow, error) { return parsePredict(predictTSV) })

// parsePredict reads the table; "-" means anything, or nothing in the also column.
func parsePredict(tsv string) ([]predictRow, error) {
	var rows []predictRow
	for n, line := range strings.Split(tsv, "\n") {
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "caller\t") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 7 {
			return nil, fmt.Errorf("predict.tsv:%d: %d columns, want 7", n+1, len(f))
		}
		for i := range f {
			if f[i] == "-" {
				f[i] = ""
			}
		}
		r := predictRow{caller: Caller(f[0]), hop: host.HopKind(f[1]), fault: host.Fault(f[2]), http: f[4] == rowHTTP, source: f[6]}
		var err error
		if f[3] != "" {
			if r.status, err = strconv.Atoi(f[3]); err != nil {
				return nil, fmt.Errorf("predict.tsv:%d: status: %w", n+1, err)
			}
		}
		list := f[5]
		if !r.http {
			list = strings.Trim(f[4]+","+f[5], ",")
		}
		for hex := range strings.SplitSeq(list, ",") {
			if hex == "" {
				continue
			}
			v, err := strconv.ParseUint(hex, 0, 32)
			if err != nil {
				return nil, fmt.Errorf("predict.tsv:%d: code: %w", n+1, err)
			}
			if r.code == 0 && !r.http {
				r.code = codes.HRESULT(v)
			} else {
				r.also = append(r.also, codes.HRESULT(v))
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (r predictRow) fits(c Caller, hop host.HopKind, fault host.Fault, status int) bool {
	return (r.caller == "" || r.caller == c) && (r.hop == "" || r.hop == hop) &&
		(r.fault == "" || r.fault == fault) && (r.status == 0 || r.status == status)
}

// Predict says what a caller in Windows reports after an exchange. The zero
// prediction means that it reports success.
func Predict(c Caller, ex *host.Exchange) Prediction {
	h := ex.Broken()
	if h == nil {
		return Prediction{Caller: c}
	}
	p := predict(c, h.Kind, h.Fault, h.Status)
	if h.Result != 0 && h.Result != p.Code {
		p.Also = append([]codes.HRESULT{p.Code}, p.Also...)
		p.Code = h.Result
	}
	return p
}

func predict(c Caller, hop host.HopKind, fault host.Fault, status int) Prediction {
	p := Prediction{Caller: c, Hop: hop, Fault: fault, Status: status}
	if fault == host.FaultSignIn {
		fault = host.FaultProxyAuth // Windows reports the same
	}
	rows, err := predictRows()
	if err != nil {
		return p // the table is tested
	}
	for _, r := range rows {
		if !r.fits(c, hop, fault, status) {
			continue
		}
		p.Code, p.Also, p.Source = r.code, r.also, r.source
		if r.http {
			p.Code = codes.HRESULT(0x80190000 | uint32(status)&0xFFFF)
		}
		break
	}
	return p
}

// inTurn adds to predictions what racing hides. WinHTTP tries the addresses of a name in the
// order in which they are resolved: one after the other, each once, each until TCP gives
// it up or for 60 seconds, and goes on to the next. learn.microsoft.com: WinHTTP Option
// Flags (WINHTTP_OPTION_CONNECT_RETRIES, WINHTTP_OPTION_CONNECT_TIMEOUT;
// WINHTTP_OPTION_IPV6_FAST_FALLBACK, by which a program has the first given up after 300
// ms, is off unless it is set). So it succeeds where another address answers, and is late.
func (w *Walk) inTurn(dead []netip.Addr) {
	six := slices.ContainsFunc(dead, netip.Addr.Is6) && slices.ContainsFunc(w.Stray, func(o Observation) bool { return o.ID == "ipv6-dead" })
	for i := range w.Trips {
		t := &w.Trips[i]
		a := t.Deciding()
		if a == nil || len(dead) == 0 {
			continue
		}
		t.Predict.Waits = before(&a.Exchange, func(addr netip.Addr) bool {
			return slices.Contains(dead, addr) || six && addr.Is6()
		})
	}
}

// before counts the dead addresses that stand before the one that was connected to.
func before(ex *host.Exchange, dead func(netip.Addr) bool) int {
	n := 0
	var addrs []netip.Addr
	for _, h := range ex.Hops {
		switch {
		case h.Kind == host.HopDNS:
			addrs = h.Addresses
		case h.Kind == host.HopTCP && h.Fault == "":
			for _, a := range addrs {
				if a == h.Remote.Addr() {
					return n
				}
				if dead(a) {
					n++
				}
			}
		}
	}
	return 0
}

// Agrees reports whether a code that was observed is one that the prediction allows.
func (p Prediction) Agrees(code codes.HRESULT) bool {
	if p.Code == 0 {
		return false
	}
	if p.Code == code {
		return true
	}
	for _, c := range p.Also {
		if c == code {
			return true
		}
	}
	return false
}
