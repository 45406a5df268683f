package pac

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Role is the environment variable that makes a program a child, and Child its
// value. A program that evaluates scripts begins with
//
//	if os.Getenv(pac.Role) == pac.Child {
//		os.Exit(pac.Serve(os.Stdin, os.Stdout, confine))
//	}
//
// and so does the TestMain of a test that does. A program without it would run
// as itself, which the parent notices and ends.
const (
	Role  = "UPDOC_ROLE"
	Child = "pac"
)

// Exit codes of a child.
const (
	exitWell   = 0
	exitWrong  = 3 // the parent did not speak as a parent does
	exitMemory = 4
	exitTime   = 5
)

// The lines between parent and child are JSON. The child says that it is ready,
// the parent sends one job, the child sends one outcome per call, in order, and
// in between asks about names, each of which the parent answers before anything
// else is said.
type (
	job struct {
		Script    string        `json:"script"`
		Dialect   Dialect       `json:"dialect,omitempty"`
		Now       time.Time     `json:"now"`
		Zone      string        `json:"zone"`
		Offset    int           `json:"offset"` // seconds east of UTC
		Addresses []netip.Addr  `json:"addresses,omitempty"`
		Calls     []Call        `json:"calls"`
		Time      time.Duration `json:"time"`
		Memory    int64         `json:"memory"`
		Lookups   int           `json:"lookups"`
	}
	message struct {
		Ready   bool     `json:"ready,omitempty"`
		Look    string   `json:"look,omitempty"`
		Outcome *outcome `json:"outcome,omitempty"`
	}
	answer struct {
		Addresses []netip.Addr `json:"addresses,omitempty"`
		OK        bool         `json:"ok"`
	}
)

// maxJob bounds the line of a job: a script in which every byte is escaped, and
// its calls.
const maxJob = 6*MaxScript + MaxCalls*4*MaxURL

// Serve is the child's whole life: it confines its own process, evaluates one
// script for one parent and returns the exit code. confine, which may be nil,
// sets limits of the system to which this package has no access, for memory in
// bytes and processor time; what resource limits there are on Unix is set here.
func Serve(in io.Reader, out io.Writer, confine func(memory int64, cpu time.Duration) error) int {
	c := &child{in: bufio.NewReaderSize(in, 64<<10), out: json.NewEncoder(out)}
	if c.out.Encode(message{Ready: true}) != nil {
		return exitWrong
	}
	var j job
	if c.read(&j, maxJob) != nil || j.Memory <= 0 || j.Time <= 0 {
		return exitWrong
	}
	cpu := cpuTime(j.Time)
	if limit(j.Memory, cpu) != nil {
		return exitWrong
	}
	if confine != nil && confine(hardMemory(j.Memory), cpu) != nil {
		return exitWrong
	}
	debug.SetMaxStack(maxStack)
	time.Local = time.FixedZone(j.Zone, j.Offset) // the engine's dates are local; nothing else runs in this process yet
	g := &guard{memory: j.Memory}
	g.allow(j.Time)
	go g.watch()
	return c.do(j, g)
}

const (
	maxStack  = 32 << 20         // of Go, for the recursion inside the parser and the library
	headroom  = 64 << 20         // of the hard limit above the soft one, for the runtime itself
	allCalls  = 4                // times the processor time of one call that all calls together may take
	ownCPU    = 10 * time.Second // processor time beyond that, for the start and the compiler
	oneStep   = time.Second / 2  // processor time until a script that was interrupted must have ended
	poll      = 2 * time.Millisecond
	maxAnswer = 64 << 10
)

func hardMemory(soft int64) int64 { return soft + headroom }

func cpuTime(call time.Duration) time.Duration { return allCalls*call + ownCPU }

// guard ends the process when it holds more memory than it may, garbage and all,
// or when an interrupted script goes on, because it is in the middle of something
// that the engine cannot interrupt: a regular expression, say. It comes before the
// system's own limits, under which an allocation fails, of which Go's runtime dies
// in various ways.
type guard struct {
	memory int64
	end    atomic.Int64 // processor time at which the present step must be over
}

// allow gives the next step so much processor time.
func (g *guard) allow(most time.Duration) { g.end.Store(int64(processorTime() + most + oneStep)) }

func (g *guard) watch() {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(poll) {
		metrics.Read(samples)
		if samples[0].Value.Uint64()-samples[1].Value.Uint64() > uint64(g.memory) {
			os.Exit(exitMemory)
		}
		if int64(processorTime()) > g.end.Load() {
			os.Exit(exitTime)
		}
	}
}

type child struct {
	in  *bufio.Reader
	out *json.Encoder
}

// read reads one line of at most so many bytes.
func (c *child) read(v any, most int) error {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		if line = append(line, part...); len(line) > most {
			return errLong
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(line, v)
	}
}

var errLong = errors.New("line too long")

// do evaluates every call of the job.
func (c *child) do(j job, g *guard) int {
	began := time.Now()
	answers := make(chan answer)
	go c.listen(answers)
	names := map[string]answer{}
	w := world{
		now:       func() time.Time { return j.Now.Add(time.Since(began)).Local() },
		addresses: j.Addresses,
		lookup: func(host string) ([]netip.Addr, error) {
			a, ok := names[host]
			if !ok {
				if len(names) >= j.Lookups {
					return nil, &Error{Fault: FaultLookups, Detail: fmt.Sprintf("more than %d", j.Lookups)}
				}
				if err := c.out.Encode(message{Look: host}); err != nil {
					return nil, &Error{Fault: FaultChild, Detail: err.Error()}
				}
				a = <-answers
				names[host] = a
			}
			if !a.OK {
				return nil, errNoName
			}
			return a.Addresses, nil
		},
	}
	p, fault := compile(j.Script, j.Dialect)
	end := processorTime() + allCalls*j.Time
	for _, call := range j.Calls {
		o := outcome{Err: fault}
		switch left := end - processorTime(); {
		case fault != nil:
		case left <= 0:
			o.Err = &Error{Fault: FaultTime, Detail: "the time of all addresses is used up"}
		default:
			g.allow(min(j.Time, left))
			o = p.evaluate(call, w, min(j.Time, left))
		}
		if c.out.Encode(message{Outcome: &o}) != nil {
			return exitWrong
		}
	}
	return exitWell
}

var errNoName = errors.New("name does not resolve")

// listen hands the parent's answers on. It also notices that the parent is gone,
// whatever the script is doing, because without a parent a child has no purpose.
func (c *child) listen(answers chan<- answer) {
	for {
		var a answer
		if c.read(&a, maxAnswer) != nil {
			os.Exit(exitWrong)
		}
		answers <- a
	}
}
