package pac

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Sandbox evaluates scripts in a child process. The zero value works in a
// program that plays the [Role]; it may be used by several goroutines at once,
// each of which gets its own child.
type Sandbox struct {
	Command []string      // starts a child; nil means this very program
	Time    time.Duration // of the processor for one address; 0 means 2 s. All addresses together get four times as much
	Memory  int64         // bytes that the child may hold; 0 means 128 MiB
	Lookups int           // different names that one evaluation may resolve; 0 means 128
	// Silence is how long a child may say nothing; 0 means 60 s, which is what
	// WinHTTP gives a script. Its own limits end a child long before, unless the
	// machine has no time for it.
	Silence time.Duration
}

const (
	defaultTime    = 2 * time.Second
	defaultMemory  = 128 << 20
	minMemory      = 32 << 20 // the engine alone takes a quarter of it
	defaultLookups = 128
	defaultSilence = 60 * time.Second // learn.microsoft.com: "AutoProxy Issues in WinHTTP"
	maxAddresses   = 64               // of one name that are passed on

	grace      = time.Second      // for a child that failed to complain and end
	lookupTime = 10 * time.Second // of one name: what Windows' resolver takes to give up on dead servers
	scriptTime = 60 * time.Second // of all names together, after which none resolves: WinHTTP ends a script then
)

// Evaluate asks a script about several addresses and returns one result for
// each, in the same order. What is wrong with the script stands in the results. An
// error means that the script could not be tried: the context had ended, or there
// was no child; the results then hold what was found until then, and [FaultChild]
// for the rest.
func (s *Sandbox) Evaluate(ctx context.Context, script []byte, env Env, calls []Call) ([]Result, error) {
	results := make([]Result, len(calls))
	for i, c := range calls {
		results[i].Call = c
	}
	fail := func(from int, e *Error) {
		for i := from; i < len(results); i++ {
			results[i].Err = e
		}
	}
	if len(calls) == 0 {
		return results, nil
	}
	if len(calls) > MaxCalls {
		return nil, fmt.Errorf("evaluate PAC script: %d addresses, at most %d", len(calls), MaxCalls)
	}
	if len(script) > MaxScript {
		fail(0, &Error{Fault: FaultSize, Detail: fmt.Sprintf("%d bytes", len(script))})
		return results, nil
	}
	e := evaluation{Sandbox: s.defaults(), ctx: ctx, env: env, results: results, names: map[string]Lookup{}}
	fault, err := e.run(script)
	if err != nil {
		fail(e.done, &Error{Fault: FaultChild, Detail: printable(err.Error(), maxText)})
		return results, fmt.Errorf("evaluate PAC script: %w", err)
	}
	if fault != nil && e.done < len(results) {
		results[e.done].Err = fault
		rest := *fault
		rest.Detail = "while another address was evaluated"
		fail(e.done+1, &rest)
	}
	return results, nil
}

func (s *Sandbox) defaults() Sandbox {
	d := *s
	if d.Time <= 0 {
		d.Time = defaultTime
	}
	if d.Memory <= 0 {
		d.Memory = defaultMemory
	}
	d.Memory = max(d.Memory, minMemory)
	if d.Lookups <= 0 {
		d.Lookups = defaultLookups
	}
	if d.Silence <= 0 {
		d.Silence = defaultSilence
	}
	return d
}

// evaluation is one child's work.
type evaluation struct {
	Sandbox
	ctx     context.Context
	env     Env
	results []Result
	done    int // results that are complete

	names  map[string]Lookup
	spent  time.Duration // on names
	cmd    *exec.Cmd
	in     *json.Encoder
	out    *bufio.Reader
	stderr firstBytes
	ready  bool        // the child has shown itself
	late   atomic.Bool // the child was ended because it said nothing for too long
}

// run starts a child, lets it work and ends it. A fault is about the script, an
// error about anything else.
func (e *evaluation) run(script []byte) (*Error, error) {
	if err := e.ctx.Err(); err != nil {
		return nil, err
	}
	if os.Getenv(Role) != "" {
		return nil, errNested // else a program that does not play its role would start itself without end
	}
	command := e.Command
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		command = []string{self}
	}
	e.cmd = exec.CommandContext(e.ctx, command[0], command[1:]...)
	// Nothing of the surroundings is a script's business; os/exec adds what
	// Windows cannot do without.
	e.cmd.Env = []string{Role + "=" + Child, "GOTRACEBACK=none", "GOMAXPROCS=2"}
	e.cmd.Stderr = &e.stderr
	e.cmd.WaitDelay = grace
	prepare(e.cmd)
	in, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe to the child: %w", err)
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe from the child: %w", err)
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the child: %w", err)
	}
	e.in, e.out = json.NewEncoder(in), bufio.NewReaderSize(out, maxMessage)
	talk := e.talk(script)
	patience := grace // for what a child that failed has still to complain about
	if talk == nil || errors.Is(talk, errStray) {
		patience = 0
	}
	_ = in.Close()
	end := time.AfterFunc(patience, func() { _ = e.cmd.Process.Kill() })
	wait := e.cmd.Wait()
	end.Stop()
	switch {
	case talk == nil:
		return nil, nil
	case e.ctx.Err() != nil:
		return nil, e.ctx.Err()
	}
	if fault := e.blame(); fault != nil {
		return fault, nil
	}
	return nil, fmt.Errorf("child process: %w (%s)", errors.Join(talk, wait), printable(e.stderr.String(), maxText))
}

var (
	errNested = errors.New("a child does not start children")
	errStray  = errors.New("an answer that a child does not give")
)

// maxMessage bounds a line from the child: a list, alerts and names, in which
// every character may be escaped.
const maxMessage = 256 << 10

// talk has the whole conversation; nil if every call has its result.
func (e *evaluation) talk(script []byte) error {
	patience := time.AfterFunc(e.Silence, func() {
		e.late.Store(true)
		_ = e.cmd.Process.Kill()
	})
	defer patience.Stop()
	m, err := e.read()
	if err != nil {
		return err
	}
	if !m.Ready {
		return errStray
	}
	e.ready = true
	patience.Reset(e.Silence)
	if err := e.in.Encode(e.job(script)); err != nil {
		return err
	}
	for e.done < len(e.results) {
		m, err := e.read()
		if err != nil {
			return err
		}
		switch {
		case m.Outcome != nil:
			e.take(*m.Outcome)
		case m.Look != "" && len(e.names) < e.Lookups && isHostName(m.Look):
			patience.Stop() // it is not the child that takes its time
			a := e.look(m.Look)
			if err := e.ctx.Err(); err != nil { // the answer would be of nobody's asking
				return err
			}
			patience.Reset(e.Silence)
			if err := e.in.Encode(a); err != nil {
				return err
			}
		default:
			return errStray
		}
		patience.Reset(e.Silence)
	}
	return nil
}

func (e *evaluation) read() (m message, err error) {
	line, err := e.out.ReadSlice('\n')
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(line, &m)
}

func (e *evaluation) job(script []byte) job {
	now := e.env.Now
	if now.IsZero() {
		now = time.Now()
	}
	text, _ := Decode(script)
	j := job{
		Script: text, Dialect: e.env.Dialect, Now: now, Addresses: e.env.Addresses,
		Time: e.Time, Memory: e.Memory, Lookups: e.Lookups,
	}
	j.Zone, j.Offset = now.Zone()
	for _, r := range e.results {
		c := r.Call
		if len(c.URL) > MaxURL || len(c.Host) > MaxURL {
			c = Call{URL: head(c.URL, MaxURL), Host: head(c.Host, MaxURL)}
		}
		j.Calls = append(j.Calls, c)
	}
	return j
}

// take turns an outcome into a result. The child ran a foreign program: nothing
// that it says is shown as it came.
func (e *evaluation) take(o outcome) {
	r := &e.results[e.done]
	e.done++
	r.Ex, r.Clock, r.Random, r.Took = o.Ex, o.Clock, o.Random, o.Took
	for _, host := range o.Looked {
		if l, ok := e.names[host]; ok {
			r.Looked = append(r.Looked, l)
		}
	}
	for _, a := range o.Alerts[:min(len(o.Alerts), maxAlerts)] {
		r.Alerts = append(r.Alerts, printable(a, maxText))
	}
	if o.Err != nil {
		r.Err = &Error{Fault: o.Err.Fault, Line: o.Err.Line, Column: o.Err.Column, Detail: printable(o.Err.Detail, maxText)}
		return
	}
	r.Proxies = Parse(head(o.List, MaxList))
	r.List = printable(o.List, MaxList)
}

// look answers a question about a name.
func (e *evaluation) look(host string) answer {
	l := Lookup{Host: host}
	switch {
	case e.env.Lookup == nil:
		l.Err = errNoResolver
	case e.spent >= scriptTime:
		l.Err = errNoTime
	default:
		ctx, cancel := context.WithTimeout(e.ctx, min(lookupTime, scriptTime-e.spent))
		began := time.Now()
		l.Addresses, l.Err = e.env.Lookup(ctx, host)
		l.Took = time.Since(began)
		e.spent += l.Took
		cancel()
	}
	e.names[host] = l
	a := answer{OK: l.Err == nil, Addresses: l.Addresses[:min(len(l.Addresses), maxAddresses)]}
	a.Addresses = slices.DeleteFunc(slices.Clone(a.Addresses), func(a netip.Addr) bool { return !a.IsValid() || len(a.Zone()) > 64 })
	return a
}

var (
	errNoResolver = errors.New("no resolver")
	errNoTime     = errors.New("the time for names is used up")
)

// blame finds out what of the script ended the child; nil if it is not known to
// be the script's doing.
func (e *evaluation) blame() *Error {
	state, said := e.cmd.ProcessState, e.stderr.String()
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
	}
	switch {
	case !e.ready:
		return nil
	case e.late.Load(), state.ExitCode() == exitTime:
		return &Error{Fault: FaultTime, Detail: "one step without an end"}
	case state.ExitCode() == exitMemory, peak(state) > e.Memory, says(noMemory...):
		return &Error{Fault: FaultMemory, Detail: fmt.Sprintf("more than %d MiB", e.Memory>>20)}
	case says("stack overflow", "stack exceeds"):
		return &Error{Fault: FaultDepth, Detail: "within the engine"}
	case state.UserTime()+state.SystemTime() >= cpuTime(e.Time):
		return &Error{Fault: FaultTime, Detail: "processor time"}
	}
	return nil
}

// noMemory is what Go's runtime says when the system gives it no more memory, for
// the heap or for the stack of a thread. It does not ask everywhere whether it got
// some, and in a program of Go alone nothing but the runtime itself can end by
// SIGSEGV.
var noMemory = []string{
	"out of memory", "cannot allocate memory", "failed to allocate", "cannot map pages",
	"failed to create new OS thread", "pthread_create failed", "SIGSEGV",
}

// firstBytes keeps the beginning of what a child complains about.
type firstBytes struct{ bytes.Buffer }

func (f *firstBytes) Write(p []byte) (int, error) {
	const most = 4 << 10
	_, _ = f.Buffer.Write(p[:min(len(p), max(most-f.Len(), 0))])
	return len(p), nil
}
