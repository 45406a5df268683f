package pac

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
)

// program is a script that has been compiled. It holds no state and runs in a
// fresh engine each time.
type program struct {
	*goja.Program
	dialect Dialect
}

// noMaps keeps the parser from opening the file that a comment of the script
// names as its source map.
var noMaps = parser.WithDisableSourceMaps

// compile makes a program of a text, or says why it is none.
func compile(text string, dialect Dialect) (p *program, fault *Error) {
	defer func() {
		if x := recover(); x != nil {
			p, fault = nil, &Error{Fault: FaultSyntax, Detail: fmt.Sprint("engine: ", x)}
		}
	}()
	if isPage(text) {
		return nil, &Error{Fault: FaultPage}
	}
	tree, err := parser.ParseFile(nil, "", uncomment(text), 0, noMaps)
	if err != nil {
		return nil, syntaxError(err)
	}
	if dialect == JScript {
		if e := tooNew(tree); e != nil {
			return nil, e
		}
	}
	code, err := goja.CompileAST(tree, false)
	if err != nil {
		return nil, syntaxError(err)
	}
	return &program{code, dialect}, nil
}

// uncomment makes comments of the marks <!-- and --> around a script, which hide
// it from browsers without scripts and which JScript takes for comments. Lines and
// columns stay what they are.
func uncomment(text string) string {
	start := len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
	if strings.HasPrefix(text[start:], "<!--") {
		text = text[:start] + "//--" + text[start+len("<!--"):]
	}
	last := strings.LastIndexAny(strings.TrimRightFunc(text, unicode.IsSpace), "\r\n") + 1
	if rest := strings.TrimLeft(text[last:], " \t"); strings.HasPrefix(rest, "-->") {
		start := len(text) - len(rest)
		text = text[:start] + "//>" + text[start+len("-->"):]
	}
	return text
}

func syntaxError(err error) *Error {
	e := &Error{Fault: FaultSyntax}
	if list, ok := errors.AsType[parser.ErrorList](err); ok && len(list) > 0 {
		e.Line, e.Column, e.Detail = list[0].Position.Line, list[0].Position.Column, list[0].Message
		return e
	}
	if c, ok := errors.AsType[*goja.CompilerSyntaxError](err); ok && c.File != nil {
		at := c.File.Position(c.Offset)
		e.Line, e.Column, e.Detail = at.Line, at.Column, c.Message
		return e
	}
	e.Detail = err.Error()
	return e
}

// at fills in the place of a node.
func (e *Error) at(tree *ast.Program, i file.Idx) *Error {
	p := tree.File.Position(int(i) - tree.File.Base())
	e.Line, e.Column = p.Line, p.Column
	return e
}

// world is what a script can ask about while it runs.
type world struct {
	now       func() time.Time
	addresses []netip.Addr
	// lookup resolves a name. An *Error ends the script; any other error means
	// that the name does not resolve.
	lookup func(host string) ([]netip.Addr, error)
}

// outcome is what one run gave. It crosses the pipe from the child.
type outcome struct {
	List   string        `json:"list,omitempty"`
	Err    *Error        `json:"err,omitempty"`
	Looked []string      `json:"looked,omitempty"`
	Alerts []string      `json:"alerts,omitempty"`
	Ex     bool          `json:"ex,omitempty"`
	Clock  bool          `json:"clock,omitempty"`
	Random bool          `json:"random,omitempty"`
	Took   time.Duration `json:"took"`
}

// run is one evaluation of a program.
type run struct {
	outcome
	*goja.Runtime
	world
}

// evaluate asks the program about one address. It may use so much processor time:
// not time as such, because a busy machine gives it little of that in a second,
// and the time in which others answer its questions is not its own.
func (p *program) evaluate(call Call, w world, most time.Duration) outcome {
	r := &run{Runtime: goja.New(), world: w}
	r.SetParserOptions(noMaps) // for eval
	r.SetMaxCallStackSize(maxDepth)
	r.SetTimeSource(func() time.Time { r.Clock = true; return w.now() })
	r.SetRandSource(func() float64 { r.Random = true; return rand.Float64() })
	began, stop := time.Now(), make(chan struct{})
	defer close(stop)
	go r.watch(most, stop)
	if err := r.ask(p, call); err != nil {
		r.List, r.Err = "", r.explain(err)
	}
	r.Took = time.Since(began)
	return r.outcome
}

// watch interrupts the script when its processor time is used up.
func (r *run) watch(most time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for end := processorTime() + most; ; {
		select {
		case <-stop:
			return
		case <-tick.C:
			if processorTime() > end {
				r.Interrupt(&Error{Fault: FaultTime, Detail: most.String() + " of the processor"})
				return
			}
		}
	}
}

// ask runs the script and calls its function. Whatever the engine itself stumbles
// over becomes an error.
func (r *run) ask(p *program, call Call) (err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case error:
			err = x
		default:
			err = &Error{Fault: FaultThrown, Detail: fmt.Sprint("engine: ", x)}
		}
	}()
	if p.dialect == JScript {
		r.keepOld()
	}
	r.predefine()
	if _, err := r.RunProgram(p.Program); err != nil {
		return err
	}
	find, err := r.find()
	if err != nil {
		return err
	}
	answer, err := find(goja.Undefined(), r.ToValue(call.URL), r.ToValue(call.Host))
	if err != nil {
		return err
	}
	r.List, err = r.list(answer)
	return err
}

// find returns the script's function. It must be a property of the global object,
// which a name declared by let or const is not. Reading it may run the script's
// code.
func (r *run) find() (find goja.Callable, err error) {
	if ex := r.Try(func() {
		var ok bool
		if find, ok = goja.AssertFunction(r.GlobalObject().Get("FindProxyForURLEx")); ok {
			r.Ex = true
			return
		}
		find, _ = goja.AssertFunction(r.GlobalObject().Get("FindProxyForURL"))
	}); ex != nil {
		return nil, ex
	}
	if find == nil {
		return nil, &Error{Fault: FaultNoFunction}
	}
	return find, nil
}

// list reads the answer, without calling anything that it brings along.
func (r *run) list(answer goja.Value) (string, error) {
	if goja.IsNull(answer) {
		return "", nil // "If the string is null, no proxies should be used": Netscape
	}
	text, ok := answer.(goja.String)
	switch {
	case answer == nil || goja.IsUndefined(answer):
		return "", &Error{Fault: FaultReturn, Detail: "nothing is returned"}
	case !ok:
		return "", &Error{Fault: FaultReturn, Detail: "it is " + kindOf(answer)}
	case text.Length() > MaxList:
		return "", &Error{Fault: FaultReturn, Detail: fmt.Sprintf("%d characters", text.Length())}
	}
	return text.String(), nil
}

func kindOf(v goja.Value) string {
	if o, ok := v.(*goja.Object); ok {
		if o.ExportType() == reflect.TypeFor[*goja.Promise]() {
			return "a promise"
		}
		return "an object of class " + o.ClassName()
	}
	if _, ok := v.(*goja.Symbol); ok {
		return "a symbol"
	}
	switch v.Export().(type) {
	case bool:
		return "a truth value"
	case int64, float64:
		return "a number"
	}
	return "no string"
}

// explain turns what ended a run into an Error. Words that the script threw are
// asked for within its time, because an object may bring its own toString.
func (r *run) explain(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if i, ok := errors.AsType[*goja.InterruptedError](err); ok {
		if e, ok := i.Value().(*Error); ok {
			return e
		}
	}
	if _, ok := errors.AsType[*goja.StackOverflowError](err); ok {
		return &Error{Fault: FaultDepth, Detail: fmt.Sprintf("%d calls", maxDepth)}
	}
	ex, ok := errors.AsType[*goja.Exception](err)
	if !ok {
		return &Error{Fault: FaultThrown, Detail: "engine: " + err.Error()}
	}
	e := &Error{Fault: FaultThrown}
	if stack := ex.Stack(); len(stack) > 0 {
		i := max(slices.IndexFunc(stack, func(f goja.StackFrame) bool { return f.Position().Line > 0 }), 0)
		at := stack[i].Position()
		e.Line, e.Column = at.Line, at.Column
	}
	e.Detail = r.words(ex.Value())
	return e
}

// words gives what a thrown value says about itself.
func (r *run) words(v goja.Value) (text string) {
	defer func() {
		if recover() != nil {
			text = "a value that cannot be shown"
		}
	}()
	if r.Try(func() { text = head(v.String(), maxText) }) != nil {
		return "a value that cannot be shown"
	}
	return text
}

// head cuts a text, so that little of a large one crosses the pipe.
func head(text string, most int) string {
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i]
		}
	}
	return text
}

// predefine puts the functions into the engine.
func (r *run) predefine() {
	type fn = func(goja.FunctionCall) goja.Value
	text := func(c goja.FunctionCall, i int) string { return c.Argument(i).String() }
	two := func(f func(a, b string) bool) fn {
		return func(c goja.FunctionCall) goja.Value { return r.ToValue(f(text(c, 0), text(c, 1))) }
	}
	clock := func(f func(time.Time, []arg) bool) fn {
		return func(c goja.FunctionCall) goja.Value {
			r.Clock = true
			return r.ToValue(f(r.now(), readArgs(c.Arguments)))
		}
	}
	functions := map[string]fn{
		"isPlainHostName":     func(c goja.FunctionCall) goja.Value { return r.ToValue(isPlainHostName(text(c, 0))) },
		"dnsDomainIs":         two(dnsDomainIs),
		"localHostOrDomainIs": two(localHostOrDomainIs),
		"shExpMatch":          two(shExpMatch),
		"dnsDomainLevels":     func(c goja.FunctionCall) goja.Value { return r.ToValue(dnsDomainLevels(text(c, 0))) },
		"convert_addr":        func(c goja.FunctionCall) goja.Value { return r.ToValue(convertAddr(text(c, 0))) },
		"weekdayRange":        clock(weekdayRange),
		"dateRange":           clock(dateRange),
		"timeRange":           clock(timeRange),

		"isResolvable": func(c goja.FunctionCall) goja.Value {
			_, ok := r.resolve4(c.Argument(0))
			return r.ToValue(ok)
		},
		"dnsResolve": func(c goja.FunctionCall) goja.Value {
			a, ok := r.resolve4(c.Argument(0))
			if !ok {
				return goja.Null()
			}
			return r.ToValue(a.String())
		},
		"isInNet": func(c goja.FunctionCall) goja.Value {
			pattern, mask := text(c, 1), text(c, 2)
			a, ok := r.resolve4(c.Argument(0))
			return r.ToValue(ok && inMask(a, pattern, mask))
		},
		"myIpAddress": func(goja.FunctionCall) goja.Value {
			a, ok := first4(slices.DeleteFunc(slices.Clone(r.addresses), netip.Addr.IsLoopback))
			if !ok {
				return r.ToValue("127.0.0.1")
			}
			return r.ToValue(a.String())
		},

		// Microsoft's: learn.microsoft.com "IPv6-Aware Proxy Helper API Definitions".
		"isResolvableEx": func(c goja.FunctionCall) goja.Value {
			return r.ToValue(len(r.resolve(c.Argument(0))) > 0)
		},
		"dnsResolveEx": func(c goja.FunctionCall) goja.Value {
			return r.ToValue(join(ordered(r.resolve(c.Argument(0)))))
		},
		"isInNetEx": func(c goja.FunctionCall) goja.Value {
			p, ok := prefix(text(c, 1))
			return r.ToValue(ok && slices.ContainsFunc(r.resolve(c.Argument(0)), func(a netip.Addr) bool {
				return p.Contains(a.Unmap().WithZone(""))
			}))
		},
		"myIpAddressEx": func(goja.FunctionCall) goja.Value { return r.ToValue(join(ordered(r.addresses))) },
		"sortIpAddressList": func(c goja.FunctionCall) goja.Value {
			return r.ToValue(sortAddresses(text(c, 0)))
		},
		"getClientVersion": func(goja.FunctionCall) goja.Value { return r.ToValue("1.0") },

		"alert": func(c goja.FunctionCall) goja.Value {
			if len(r.Alerts) < maxAlerts {
				r.Alerts = append(r.Alerts, head(text(c, 0), maxText))
			}
			return goja.Undefined()
		},
	}
	for name, f := range functions {
		_ = r.Set(name, f) // the global object of a new engine refuses nothing
	}
}

// readArgs reads the arguments of a time function. What is no whole number of
// moderate size becomes a number that fits no form.
func readArgs(values []goja.Value) []arg {
	args := make([]arg, 0, len(values))
	for _, v := range values {
		if s, ok := v.(goja.String); ok {
			if s.Length() > 3 { // no weekday, no month, no GMT
				args = append(args, arg{number: -1})
				continue
			}
			args = append(args, arg{word: s.String()})
			continue
		}
		n := v.ToFloat()
		if !(n >= 0 && n < 10000) || n != math.Trunc(n) {
			n = -1
		}
		args = append(args, arg{number: int(n)})
	}
	return args
}

// resolve4 gives the first IPv4 address of a host, the only kind that the
// functions of 1996 know.
func (r *run) resolve4(host goja.Value) (netip.Addr, bool) { return first4(r.resolve(host)) }

func first4(addresses []netip.Addr) (netip.Addr, bool) {
	for _, a := range addresses {
		if a = a.Unmap(); a.Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// resolve gives the addresses of a host: of an address itself, of a name what
// the world answers. A script that hands the null of a failed dnsResolve on asks
// about nothing.
func (r *run) resolve(v goja.Value) []netip.Addr {
	if goja.IsNull(v) || goja.IsUndefined(v) {
		return nil
	}
	host := strings.TrimSpace(v.String())
	if a, ok := dotted(host); ok {
		return []netip.Addr{a}
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return []netip.Addr{a}
	}
	if !isHostName(host) {
		return nil
	}
	if !slices.Contains(r.Looked, host) {
		r.Looked = append(r.Looked, host)
	}
	addresses, err := r.lookup(host)
	if e, ok := errors.AsType[*Error](err); ok {
		r.Interrupt(e)
	}
	if err != nil {
		return nil
	}
	return addresses
}
