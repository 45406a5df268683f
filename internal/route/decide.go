package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"updoc/internal/host"
	"updoc/internal/route/pac"
)

// scripts fetches and evaluates the configuration scripts of one walk. Each is
// fetched once, over the direct way as WinHTTP does, and evaluated once for all
// addresses of the plan.
type scripts struct {
	w    *Walker
	s    Settings
	urls []string // every address of the plan
	mu   sync.Mutex
	done map[string]*script // by address; WPAD under ""
}

type script struct {
	once     sync.Once
	url      string
	results  map[string]pac.Result
	fault    string // why there is none
	detected bool   // found by WPAD
	took     time.Duration
}

// decided is where one party's setting sends one address.
type decided struct {
	vias   []host.Via
	hop    host.Hop // how it was decided; no way is left where it has a fault
	script *ScriptAnswer
}

// decide follows one party's setting for one address, in the order in which
// WinINET and WinHTTP take its parts: detection, script, fixed proxy, direct.
// learn.microsoft.com: WinHttpGetProxyForUrl, WINHTTP_AUTOPROXY_OPTIONS. The
// error says why nobody can tell.
func (sc *scripts) decide(ctx context.Context, p Proxy, u *url.URL) (decided, error) {
	d := decided{hop: host.Hop{Kind: host.HopDecision, Target: p.Source}}
	if !p.Known {
		return d, errors.New("its proxy setting is not known")
	}
	call, err := pac.NewCall(u.String())
	if err != nil {
		return d, err
	}
	for _, at := range places(p) {
		s := sc.get(ctx, at)
		if ctx.Err() != nil {
			return d, ctx.Err()
		}
		d.script = s.answer(call)
		d.hop.Took = s.took
		if d.script.Fault != "" {
			continue // passed over, in Windows too
		}
		d.hop.Target, d.hop.Seen = d.script.String(), d.script.List
		if d.script.Lower != "" {
			d.hop.Seen += "; for the same name in small letters: " + d.script.Lower
		}
		const maxVias = 4
		for _, entry := range s.results[call.URL].Proxies {
			if entry.Bad == "" && len(d.vias) < maxVias {
				d.vias = append(d.vias, host.Via{Proxy: entry.URL(), Source: d.script.String()})
			}
		}
		if len(d.vias) == 0 {
			d.hop.Fault = host.FaultNoProxy
		}
		return d, nil
	}
	choice := p.Choose(u.String())
	d.vias, d.hop.Seen = choice.Via, choice.String()
	if d.script != nil {
		d.hop.Seen = d.script.Fault + "; then " + d.hop.Seen
	}
	if len(d.vias) == 0 {
		d.hop.Fault = host.FaultNoProxy
	}
	return d, nil
}

// String names the script.
func (a *ScriptAnswer) String() string {
	if a.Detected {
		return strings.TrimSpace("WPAD " + a.URL)
	}
	return a.URL
}

// String says what was chosen, and why, in a few words.
func (c Choice) String() string {
	var parts []string
	switch {
	case len(c.Via) == 0:
		parts = append(parts, "no entry names a proxy")
	case !c.Via[0].Direct():
		parts = append(parts, strings.TrimPrefix(c.Via[0].Proxy, "http://"))
	case c.Bypass.Entry != "":
		parts = append(parts, "direct by the exception "+c.Bypass.Entry)
	case c.Gap:
		parts = append(parts, "direct: the list has no proxy for this scheme")
	default:
		parts = append(parts, "direct")
	}
	for _, m := range append(c.Malformed, c.Bypass.Malformed...) {
		parts = append(parts, fmt.Sprintf("%q is malformed (%s)", m.Text, m.Flaw))
		if len(parts) == 4 {
			break
		}
	}
	return strings.Join(parts, "; ")
}

// detect stands for WPAD among the places of scripts.
const detect = ""

func places(p Proxy) []string {
	var out []string
	if p.Detect {
		out = append(out, detect)
	}
	if p.PAC != "" {
		out = append(out, p.PAC)
	}
	return out
}

// answer is what the script says about one address.
func (s *script) answer(call pac.Call) *ScriptAnswer {
	a := &ScriptAnswer{URL: s.url, Detected: s.detected, Fault: s.fault}
	res, ok := s.results[call.URL]
	switch {
	case a.Fault != "":
	case !ok:
		a.Fault = "the script was not asked"
	case res.Err != nil:
		a.Fault = res.Err.Error()
	default:
		a.List = cmp.Or(res.List, "DIRECT")
		if low, ok := s.results[call.Lower().URL]; ok && low.Err == nil && low.List != res.List {
			a.Lower = cmp.Or(low.List, "DIRECT")
		}
	}
	return a
}

func (sc *scripts) get(ctx context.Context, at string) *script {
	sc.mu.Lock()
	if sc.done == nil {
		sc.done = map[string]*script{}
	}
	s := sc.done[at]
	if s == nil {
		s = &script{url: at, detected: at == detect}
		sc.done[at] = s
	}
	sc.mu.Unlock()
	s.once.Do(func() {
		begin := time.Now()
		s.load(ctx, sc, at)
		s.took = time.Since(begin)
	})
	return s
}

// load fetches a script and asks it about every address of the plan.
func (s *script) load(ctx context.Context, sc *scripts, at string) {
	if sc.w.Scripts == nil {
		s.fault = "scripts are not evaluated here"
		return
	}
	places := []string{at}
	if at == detect {
		places = nil
		for _, c := range sc.s.WPAD() {
			places = append(places, c.URL)
		}
		s.fault = "no configuration script was found"
	}
	var source []byte
	for _, place := range places {
		src, fault := fetchScript(ctx, sc.w.Exchanger, place)
		if fault == "" {
			s.url, source, s.fault = place, src, ""
			break
		}
		if at != detect {
			s.fault = fault
		}
	}
	if s.fault != "" {
		return
	}
	var calls []pac.Call
	for _, address := range sc.urls {
		call, err := pac.NewCall(address)
		if err != nil || len(calls) >= pac.MaxCalls-1 {
			continue
		}
		calls = append(calls, call)
		if low := call.Lower(); low != call {
			calls = append(calls, low) // as a browser asks
		}
	}
	results, err := sc.w.Scripts.Evaluate(ctx, source, sc.w.Env, calls)
	if err != nil {
		s.fault = err.Error()
		return
	}
	s.results = make(map[string]pac.Result, len(results))
	for i, r := range results[:min(len(results), len(calls))] {
		s.results[calls[i].URL] = r
	}
}

func fetchScript(ctx context.Context, x host.Exchanger, at string) ([]byte, string) {
	ex, err := x.Exchange(ctx, host.Request{
		ID: "decision.script", Method: http.MethodGet, URL: at, Keep: pac.MaxScript,
		Header: []host.Field{{Name: "Accept", Value: "*/*"}, {Name: "User-Agent", Value: "WinHttp-Autoproxy-Service/5.1"}},
	})
	switch b := ex.Broken(); {
	case err != nil:
		return nil, gapOf(err)
	case b != nil:
		return nil, fmt.Sprintf("%s: %s", at, b.Fault)
	case ex.Status != http.StatusOK:
		return nil, fmt.Sprintf("%s: HTTP %d", at, ex.Status)
	}
	if e := pac.CheckSource(at, ex.Get("Content-Type"), ex.Length); e != nil {
		return nil, e.Error()
	}
	return ex.Body, ""
}
