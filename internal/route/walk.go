package route

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"updoc/internal/host"
	"updoc/internal/route/pac"
)

// Walker walks a plan. Every way that Windows may take is walked at once, also
// those that it takes only after another failed, and the direct way even where
// it never would: what works beside what does not tells causes apart.
type Walker struct {
	Exchanger host.Exchanger
	Scripts   Evaluator             // configuration scripts; nil: they are gaps
	Env       pac.Env               // what a script can ask about
	As        string                // who walks, for the report
	Done      func(done, total int) // progress; called from one goroutine at a time
	Now       func() time.Time      // nil: time.Now
	Strict    bool                  // only what Windows would do: no direct ways beside
	Net       Net                   // for what no single request shows: address families, time servers; nil: not looked at
	Echo      Echoer                // measures how large packets may be, where large ones vanish; nil: not measured
	Times     []string              // time servers to ask ("host:123"), where a wrong clock matters
	Repeat    int                   // how often each deciding way is asked again, to tell steady from flaky; 0: not at all
	Deep      bool                  // go on at the WSUS server with calls that it may note, in the machine's own name
}

// Evaluator asks a configuration script about addresses: [pac.Sandbox].
type Evaluator interface {
	Evaluate(ctx context.Context, script []byte, env pac.Env, calls []pac.Call) ([]pac.Result, error)
}

// Walk makes all requests of the plan. It ends early with the context; what was
// not finished then is a gap.
func (w *Walker) Walk(ctx context.Context, s Settings, plan []Task) *Walk {
	now := w.Now
	if now == nil {
		now = time.Now
	}
	walk := &Walk{Began: now(), As: w.As, Settings: s, Trips: make([]Trip, len(plan))}
	start := time.Now()
	scripts := &scripts{w: w, s: s}
	for _, t := range plan {
		scripts.urls = append(scripts.urls, t.Request.URL)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // over walk.Gaps and done
	done, total := 0, 0
	for i, t := range plan {
		walk.Trips[i] = Trip{Task: t, Attempts: make([]Attempt, 0, len(t.Decisions)+1)}
		straight := false
		for _, d := range t.Decisions {
			// What Windows passes over is walked too, to compare.
			beside := d.Skipped != "" && !w.Strict && d.Proxy.Known && !d.repeats(t.Decisions)
			straight = straight || d.Skipped == "" && d.Proxy.Known && d.Proxy.Direct()
			walk.Trips[i].Attempts = append(walk.Trips[i].Attempts, Attempt{Decision: d, Beside: beside})
		}
		if !w.Strict && !straight {
			walk.Trips[i].Attempts = append(walk.Trips[i].Attempts, Attempt{Beside: true, Decision: Decision{
				Proxy: Proxy{Known: true, Source: "beside"}, Why: "the direct way, to compare",
			}})
		}
		total += len(walk.Trips[i].Attempts)
	}
	finished := func() {
		mu.Lock()
		defer mu.Unlock()
		if done++; w.Done != nil {
			w.Done(done, total)
		}
	}
	for i := range walk.Trips {
		trip := &walk.Trips[i]
		ways := &ways{}
		for j := range trip.Attempts {
			a := &trip.Attempts[j]
			if a.Decision.Skipped != "" && !a.Beside {
				finished()
				continue
			}
			wg.Go(func() {
				defer finished()
				if gap := w.attempt(ctx, scripts, ways, trip.Task, a, start); gap != "" {
					mu.Lock()
					walk.Gaps = append(walk.Gaps, trip.Task.ID+": "+gap)
					mu.Unlock()
				}
			})
		}
	}
	probes := w.probe(ctx, plan)
	wg.Wait()
	slices.Sort(walk.Gaps)
	walk.Gaps = slices.Compact(walk.Gaps)
	for i := range walk.Trips {
		walk.Trips[i].settle()
	}
	if w.Deep && ctx.Err() == nil {
		if gap := w.deep(ctx, s, walk); gap != "" {
			walk.Gaps = append(walk.Gaps, "deep: "+gap)
		}
	}
	found := probes()
	walk.Stray = slices.Concat(observe(walk), found.families)
	walk.inTurn(found.dead)
	w.measure(ctx, walk)
	walk.Clock = readClock(append(dates(walk), found.clocks...))
	w.repeat(ctx, walk)
	walk.Took = time.Since(start)
	return walk
}

// repeats reports that an earlier decision leads the same way.
func (d Decision) repeats(list []Decision) bool {
	for _, before := range list {
		if before.As == d.As && before.Why == d.Why {
			return false
		}
		if before.Skipped == "" && before.Proxy.same(d.Proxy) {
			return true
		}
	}
	return false
}

// attempt follows one decision of a walk that began at a time. It returns why it could not.
func (w *Walker) attempt(ctx context.Context, scripts *scripts, ways *ways, t Task, a *Attempt, began time.Time) string {
	u, err := url.Parse(t.Request.URL)
	if err != nil {
		return "its address makes no sense"
	}
	d, err := scripts.decide(ctx, a.Decision.Proxy, u)
	a.Script = d.script
	if err != nil {
		a.Gap = gapOf(err)
		return a.Gap
	}
	if len(d.vias) == 0 { // the agent ends here too
		a.Exchange, a.Walked = host.Exchange{Request: t.Request, Hops: []host.Hop{d.hop}}, true
		return ""
	}
	for i, via := range d.vias {
		req := t.Request
		req.Via, req.Pinned = via, t.Want.Pinned
		asked := began
		if i > 0 || d.script != nil { // something else came first
			asked = time.Now()
		}
		ex, err := ways.walk(ctx, w.Exchanger, req, t.Want, asked)
		if err != nil {
			a.Gap = gapOf(err)
			return a.Gap
		}
		ex.Hops = append([]host.Hop{d.hop}, ex.Hops...)
		a.Exchange, a.Walked = ex, true
		// WinHTTP goes to the next proxy of a list when one cannot be reached.
		// learn.microsoft.com: WinHttpGetProxyForUrl.
		if b := ex.Broken(); b == nil || b.Kind != host.HopTCP && b.Kind != host.HopDNS {
			break
		}
	}
	return ""
}

func gapOf(err error) string {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "stopped before it was answered"
	case errors.Is(err, host.ErrNotRecorded):
		return "not recorded"
	}
	return err.Error()
}

// ways keeps two decisions that lead the same way from asking twice.
type ways struct {
	mu   sync.Mutex
	done map[string]*way
}

type way struct {
	once sync.Once
	ex   host.Exchange
	err  error
}

func (ws *ways) walk(ctx context.Context, x host.Exchanger, req host.Request, want Want, asked time.Time) (host.Exchange, error) {
	ws.mu.Lock()
	if ws.done == nil {
		ws.done = map[string]*way{}
	}
	key := strings.ToLower(req.Via.Proxy)
	one := ws.done[key]
	if one == nil {
		one = &way{}
		ws.done[key] = one
	}
	ws.mu.Unlock()
	one.once.Do(func() {
		if p, ok := x.(*Prober); ok {
			one.ex, one.err = p.exchange(ctx, req, asked)
		} else {
			one.ex, one.err = x.Exchange(ctx, req)
		}
		if one.err == nil {
			judge(want, &one.ex)
		}
	})
	ex := one.ex
	ex.Request.Via = req.Via
	return ex, one.err
}

// settle finds which attempt decides a trip: decisions are taken in their order,
// and the next one only when the one before failed in a way that calls for it.
func (t *Trip) settle() {
	t.Decided = -1
	for i := range t.Attempts {
		a := &t.Attempts[i]
		if a.Beside || !a.Walked {
			continue
		}
		if t.Decided >= 0 {
			if b := t.Attempts[t.Decided].Exchange.Broken(); a.Decision.After != nil && !slices.Contains(a.Decision.After, b.Fault) {
				continue
			}
		}
		t.Decided = i
		if a.Exchange.Broken() == nil {
			break
		}
	}
	if t.Decided >= 0 {
		t.Predict = Predict(t.Task.Caller, &t.Attempts[t.Decided].Exchange)
	}
}
