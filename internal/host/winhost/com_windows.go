package winhost

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-ole/go-ole"
	"github.com/go-ole/go-ole/oleutil"
	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// Results of COM that decide what an error means. learn.microsoft.com: "COM Error Codes".
const (
	comFalse       codes.HRESULT = 0x00000001 // S_FALSE
	comPointer     codes.HRESULT = 0x80004003 // E_POINTER
	comNotImpl     codes.HRESULT = 0x80004001 // E_NOTIMPL
	comNoMember    codes.HRESULT = 0x80020003 // DISP_E_MEMBERNOTFOUND
	comMismatch    codes.HRESULT = 0x80020005 // DISP_E_TYPEMISMATCH
	comNoName      codes.HRESULT = 0x80020006 // DISP_E_UNKNOWNNAME
	comBadCount    codes.HRESULT = 0x8002000E // DISP_E_BADPARAMCOUNT
	comException   codes.HRESULT = 0x80020009 // DISP_E_EXCEPTION: the result stands in the exception
	comNoClass     codes.HRESULT = 0x80040154 // REGDB_E_CLASSNOTREG
	comNoClassName codes.HRESULT = 0x800401F3 // CO_E_CLASSSTRING
	wmiNoNamespace codes.HRESULT = 0x8004100E // WBEM_E_INVALID_NAMESPACE
	wmiNoClass     codes.HRESULT = 0x80041010 // WBEM_E_INVALID_CLASS
	wmiDenied      codes.HRESULT = 0x80041003 // WBEM_E_ACCESS_DENIED
)

// maxWorkers bounds the workers that are at COM at once, with those that were given
// up on and still hang in a call: a service that never answers holds its callers.
const maxWorkers = 12

var errWorkers = errors.New("too many calls hang already")

// apartment is a worker that may use COM objects: it belongs to one thread for as
// long as it lives. What it hands out is released when it ends, so no object ever
// leaves it.
type apartment struct {
	ctx  context.Context
	held []*ole.IUnknown
}

// workers has one place for each worker.
type workers chan struct{}

// inApartment runs f on a thread of its own that is in the multi-threaded
// apartment. When ctx ends first, the worker is given up on: COM has no way to end
// a call from outside. Its result is then thrown away, and it ends when its call does.
func inApartment[T any](ctx context.Context, places workers, what string, f func(*apartment) (T, error)) (T, error) {
	var zero T
	select {
	case places <- struct{}{}:
	default:
		return zero, fmt.Errorf("%s: %w", what, errWorkers)
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-places }()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := ole.CoInitializeEx(0, ole.COINIT_MULTITHREADED); err != nil && resultOf(err) != comFalse {
			done <- result{zero, comError("enter an apartment", err)}
			return
		}
		defer ole.CoUninitialize()
		a := &apartment{ctx: ctx}
		defer a.release()
		v, err := f(a)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return zero, fmt.Errorf("%s: %w", what, r.err)
		}
		return r.v, nil
	case <-ctx.Done():
		return zero, fmt.Errorf("%s: %w", what, ctx.Err())
	}
}

func (a *apartment) release() {
	for i := len(a.held) - 1; i >= 0; i-- {
		a.held[i].Release()
	}
	a.held = nil
}

// drop releases an object before its worker ends, for those that come by the thousand.
func (a *apartment) drop(o object) {
	if i := slices.Index(a.held, &o.d.IUnknown); i >= 0 {
		a.held = slices.Delete(a.held, i, i+1)
		o.d.Release()
	}
}

// maxHeld bounds the objects of one worker; a history of 500 entries takes 1,500.
const maxHeld = 20_000

// object is a COM object that is asked by name. The zero value is none: every use
// of it is an error.
type object struct {
	a *apartment
	d *ole.IDispatch
}

// hold takes over a reference.
func (a *apartment) hold(d *ole.IDispatch) object {
	a.held = append(a.held, &d.IUnknown)
	return object{a, d}
}

// create makes an object of a class by its name: "Microsoft.Update.Session".
func (a *apartment) create(class string) (object, error) {
	u, err := oleutil.CreateObject(class)
	if err != nil {
		return object{}, comError("create "+class, err)
	}
	defer u.Release()
	d, err := u.QueryInterface(ole.IID_IDispatch)
	if err != nil {
		return object{}, comError("create "+class, err)
	}
	return a.hold(d), nil
}

var errNoObject = errors.New("there is no such object")

// use is a call that returns what it got as a Go value: bool, int64, uint64,
// float64, string, time.Time, object, []any, or nil.
func (o object) use(what string, f func() (*ole.VARIANT, error)) (any, error) {
	if o.d == nil {
		return nil, &failure{op: what, err: errNoObject, code: comPointer, is: host.ErrNotExist}
	}
	if err := o.a.ctx.Err(); err != nil {
		return nil, err
	}
	if len(o.a.held) > maxHeld {
		return nil, &failure{op: what, err: errors.New("too many objects"), code: unexpected}
	}
	v, err := f()
	if err != nil {
		return nil, comError(what, err)
	}
	return o.a.value(v), nil
}

// value takes a variant's content and clears it.
func (a *apartment) value(v *ole.VARIANT) any {
	if v == nil {
		return nil
	}
	switch v.VT {
	case ole.VT_DISPATCH: // its reference is ours
		if d := v.ToIDispatch(); d != nil {
			return a.hold(d)
		}
		return nil
	case ole.VT_UNKNOWN:
		u := v.ToIUnknown()
		if u == nil {
			return nil
		}
		d, err := u.QueryInterface(ole.IID_IDispatch)
		u.Release()
		if err != nil {
			return nil
		}
		return a.hold(d)
	case ole.VT_DATE:
		// A date of automation has no zone; every date of the update agent is UTC.
		t, _ := v.Value().(time.Time)
		return t
	}
	defer func() { _ = v.Clear() }() // it is a copy from here on
	if v.VT&ole.VT_ARRAY != 0 {
		if s := v.ToArray(); s != nil {
			return s.ToValueArray()
		}
		return nil
	}
	switch x := v.Value().(type) {
	case int8:
		return int64(x)
	case int16:
		return int64(x)
	case int32:
		return int64(x)
	case int:
		return int64(x)
	case uint8:
		return int64(x)
	case uint16:
		return int64(x)
	case uint32:
		return int64(x)
	case uint:
		return int64(x)
	case float32:
		return float64(x)
	case bool, int64, uint64, float64, string:
		return x
	}
	return nil
}

func (o object) get(name string, args ...any) (any, error) {
	return o.use("get "+name, func() (*ole.VARIANT, error) { return oleutil.GetProperty(o.d, name, args...) })
}

func (o object) call(name string, args ...any) (any, error) {
	return o.use("call "+name, func() (*ole.VARIANT, error) { return oleutil.CallMethod(o.d, name, args...) })
}

func (o object) put(name string, value any) error {
	_, err := o.use("set "+name, func() (*ole.VARIANT, error) { return oleutil.PutProperty(o.d, name, value) })
	return err
}

// object returns a property, or a method's result, that is an object.
func (o object) object(name string, args ...any) (object, error) {
	v, err := o.get(name, args...)
	return asObject("get "+name, v, err)
}

func asObject(what string, v any, err error) (object, error) {
	if err != nil {
		return object{}, err
	}
	x, ok := v.(object)
	if !ok {
		return object{}, &failure{op: what, err: errNoObject, code: comPointer, is: host.ErrNotExist}
	}
	return x, nil
}

// The getters of values have no error: what could not be read is the zero value.
// They are for details beside which the object is worth having.
func (o object) text(name string) string    { v, _ := o.get(name); s, _ := v.(string); return s }
func (o object) flag(name string) bool      { v, _ := o.get(name); b, _ := v.(bool); return b }
func (o object) time(name string) time.Time { v, _ := o.get(name); t, _ := v.(time.Time); return t }

func (o object) number(name string) (int64, error) {
	v, err := o.get(name)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, &failure{op: "get " + name, err: fmt.Errorf("%T is no number", v), code: unexpected}
	}
	return n, nil
}

// result returns a property that is an HRESULT. That it cannot be read is an error:
// no result is ever taken for success.
func (o object) result(name string) (codes.HRESULT, error) {
	n, err := o.number(name)
	return codes.HRESULT(uint32(n)), err
}

// items calls f for the members of a collection with Count and Item, at most n.
func (o object) items(n int, f func(i int, item object) error) error {
	count, err := o.number("Count")
	if err != nil {
		return err
	}
	for i := range min(int(count), n) {
		item, err := o.object("Item", i)
		if err != nil {
			return err
		}
		if err := f(i, item); err != nil {
			return err
		}
	}
	return nil
}

// each calls f for what an enumerator gives, at most n. WMI says only while it
// enumerates that a query failed, so an end is an end only if S_FALSE says so.
func (o object) each(n int, f func(item object) error) error {
	if o.d == nil {
		return &failure{op: "enumerate", err: errNoObject, code: comPointer, is: host.ErrNotExist}
	}
	v, err := oleutil.GetProperty(o.d, "_NewEnum")
	if err != nil {
		return comError("enumerate", err)
	}
	defer func() { _ = v.Clear() }() // its reference is given back
	u := v.ToIUnknown()
	if u == nil {
		return &failure{op: "enumerate", err: errNoObject, code: comPointer, is: host.ErrNotExist}
	}
	enum, err := u.IEnumVARIANT(ole.IID_IEnumVariant)
	if err != nil {
		return comError("enumerate", err)
	}
	defer enum.Release()
	for range n {
		if err := o.a.ctx.Err(); err != nil {
			return err
		}
		item, length, err := enum.Next(1)
		if length == 0 {
			if err == nil || resultOf(err) == comFalse {
				return nil
			}
			return comError("enumerate", err)
		}
		if x, ok := o.a.value(&item).(object); ok {
			if err := f(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// resultOf is the HRESULT in an error of COM. Automation hides it in an exception.
func resultOf(err error) codes.HRESULT {
	var h codes.HRESULT
	if errors.As(err, &h) {
		return h
	}
	var oe *ole.OleError
	if !errors.As(err, &oe) {
		return unexpected
	}
	h = codes.HRESULT(uint32(oe.Code()))
	if h != comException {
		return h
	}
	switch x := oe.SubError().(type) {
	case ole.EXCEPINFO:
		if x.SCODE() != 0 {
			return codes.HRESULT(x.SCODE())
		}
	case *ole.EXCEPINFO:
		if x != nil && x.SCODE() != 0 {
			return codes.HRESULT(x.SCODE())
		}
	}
	return h
}

// comError says what was tried when COM answered err, and keeps the HRESULT.
func comError(op string, err error) error {
	if err == nil {
		return nil
	}
	h := resultOf(err)
	f := &failure{op: op, err: windows.Errno(h), code: h}
	if h>>16 == 0x8007 { // FACILITY_WIN32: the error of Windows inside
		errno := windows.Errno(h & 0xFFFF)
		f.err = errno
		switch {
		case slices.Contains(absent, errno):
			f.is = host.ErrNotExist
		case slices.Contains(denied, errno):
			f.is = host.ErrDenied
		}
	}
	switch h {
	case wmiDenied:
		f.is = host.ErrDenied
	case comNoClass, comNoClassName, wmiNoNamespace, wmiNoClass:
		f.is = host.ErrNotExist
	}
	return f
}

// blind makes of an error one that never says "there is no such thing": a part of
// Windows that cannot be asked is not absent, whatever file it misses.
func blind(op string, err error) error {
	if !errors.Is(err, host.ErrNotExist) {
		return err
	}
	h := resultOf(err)
	return &failure{op: op, err: windows.Errno(h), code: h}
}

// hresult makes an error of a function that returns an HRESULT itself.
func hresult(op string, r uintptr) error {
	h := codes.HRESULT(uint32(r))
	if !h.Failed() {
		return nil
	}
	return comError(op, h)
}

// wmi lists the instances of a class with some of their properties and calls f for
// each, at most n. The properties are taken from the instance's own set.
func (a *apartment) wmi(namespace, class string, names []string, n int, f func(row map[string]any) error) error {
	locator, err := a.create("WbemScripting.SWbemLocator")
	if err != nil {
		return err
	}
	v, err := locator.call("ConnectServer", ".", namespace)
	services, err := asObject("connect to "+namespace, v, err)
	if err != nil {
		return err
	}
	query := "SELECT " + strings.Join(names, ", ") + " FROM " + class
	v, err = services.call("ExecQuery", query)
	set, err := asObject(query, v, err)
	if err != nil {
		return err
	}
	return set.each(n, func(item object) error {
		properties, err := item.object("Properties_")
		if err != nil {
			return err
		}
		row := map[string]any{}
		for _, name := range names {
			v, err := properties.call("Item", name)
			p, err := asObject("property "+name, v, err)
			if err != nil {
				return err
			}
			if row[name], err = p.get("Value"); err != nil {
				return err
			}
		}
		return f(row)
	})
}

// unseenPart describes a part that could not be looked at.
func unseenPart(part string, err error) host.Unseen {
	u := host.Unseen{Part: part, Why: err.Error()}
	_ = errors.As(err, &u.Result)
	return u
}
