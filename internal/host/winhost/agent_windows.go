package winhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/go-ole/go-ole"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// How long a stage may take before it is given up on. Windows itself waits longer;
// a proof that takes more than this is none that anybody waits for.
const (
	scanTime     = 20 * time.Minute // a first scan after a reset of the datastore takes 10
	downloadTime = 90 * time.Minute // 5 GB on a slow line
	installTime  = 3 * time.Hour    // a cumulative update on a slow disk takes 90 minutes
	abortTime    = 30 * time.Second // from RequestAbort until the job has ended
	pollTime     = 250 * time.Millisecond
)

// Agent is Windows' update agent over COM. It implements [host.Agent]. It scans as
// automatic updates do: at the server that policy names, else at Microsoft.
//
// Every operation runs on a worker of its own with the agent's asynchronous
// methods: it is asked to stop when the context ends or its time is over, and is
// given up on if it does not. An HRESULT is never lost: it is the result, or the
// error holds it.
type Agent struct {
	h *Host
}

// Agent returns this machine's update agent.
func (h *Host) Agent() *Agent { return &Agent{h} }

// Try implements [host.Agent].
func (g *Agent) Try(ctx context.Context, at host.Attempt) (host.Outcome, error) {
	search, err := criteria(at)
	if err != nil {
		return host.Outcome{}, err
	}
	limit := map[string]time.Duration{stageScan: scanTime, stageDownload: downloadTime, stageInstall: installTime}[at.Stage]
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The worker has a while longer, to stop in order.
	patient, done := context.WithTimeout(context.WithoutCancel(ctx), limit+2*abortTime)
	defer done()
	stop := context.AfterFunc(limited, func() {
		time.AfterFunc(2*abortTime, done)
	})
	defer stop()
	out, err := inApartment(patient, g.h.com, "update agent: "+at.Stage, func(a *apartment) (host.Outcome, error) {
		return (&attempt{apartment: a, stop: limited, h: g.h, Attempt: at}).run(search)
	})
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return host.Outcome{}, ctx.Err() // who asked gave up: nothing is said about the agent
	case limited.Err() != nil:
		return host.Outcome{Result: timedOut, Stage: at.Stage}, nil
	}
	return host.Outcome{}, err
}

// attempt is one stage being tried on a worker.
type attempt struct {
	*apartment
	host.Attempt
	stop context.Context // when it ends, the job in hand is aborted
	h    *Host
}

// run makes the scan that every attempt begins with, and then its stage.
func (t *attempt) run(search string) (host.Outcome, error) {
	session, err := t.create("Microsoft.Update.Session")
	if err != nil {
		return host.Outcome{}, err
	}
	if err := session.put("ClientApplicationID", "updoc"); err != nil {
		return host.Outcome{}, err
	}
	searcher, err := session.method("CreateUpdateSearcher")
	if err != nil {
		return host.Outcome{}, err
	}
	began := time.Now()
	found, e, err := t.scan(searcher, search)
	if err != nil {
		return host.Outcome{}, err
	}
	n := int64(0)
	if found.d != nil {
		if n, err = found.number("Count"); err != nil {
			return host.Outcome{}, err
		}
	}
	var logged codes.HRESULT
	if n == 0 {
		logged = t.h.scanFailure(t.ctx, began)
	}
	out := host.Outcome{Result: scanVerdict(e, int(n), logged), Stage: stageScan}
	if t.Stage == stageScan && n > 0 {
		out.Updates, err = offers(found)
	}
	if err != nil || out.Result != 0 || t.Stage == stageScan {
		return out, err
	}
	update, err := t.pick(found)
	if err != nil {
		return host.Outcome{}, err
	}
	if update.flag("IsInstalled") {
		return host.Outcome{Stage: t.Stage}, nil // what was to be shown is so
	}
	list, err := t.create("Microsoft.Update.UpdateColl")
	if err != nil {
		return host.Outcome{}, err
	}
	if _, err := list.call("Add", update.d); err != nil {
		return host.Outcome{}, err
	}
	if t.Stage == stageDownload || !update.flag("IsDownloaded") {
		out, err := t.download(session, list)
		if err != nil || out.Result != 0 || t.Stage == stageDownload {
			return out, err
		}
	}
	return t.install(session, list, update)
}

// scan searches. The updates are the agent's own collection. That EndSearch fails
// is a failed scan and no error: its HRESULT is the answer.
func (t *attempt) scan(searcher object, search string) (object, ended, error) {
	job, err := searcher.method("BeginSearch", search, callback(), nil)
	if err != nil {
		return object{}, asEnded(err), passed(err)
	}
	if err := t.wait(job); err != nil {
		return object{}, ended{}, err
	}
	result, err := searcher.method("EndSearch", job.d)
	if err != nil {
		return object{}, asEnded(err), passed(err)
	}
	var e ended
	outcome, err := result.number("ResultCode")
	if err != nil {
		return object{}, e, err
	}
	e.outcome = int(outcome)
	if warnings, err := result.object("Warnings"); err == nil { // null where there are none
		err := warnings.items(50, func(_ int, w object) error {
			h, err := w.result("HResult")
			e.warnings = append(e.warnings, h)
			return err
		})
		if err != nil {
			return object{}, e, err
		}
	}
	found, err := result.object("Updates")
	return found, e, err
}

// asEnded is an operation that failed as a whole.
func asEnded(err error) ended { return ended{outcome: resultFailed, result: resultOf(err)} }

// passed keeps the errors that say that nothing was tried: the context ended, this
// Windows has no such agent, or the call was none. Any other HRESULT is how it went,
// also 0x80070002, 0x80070005 and 0x8000FFFF, with which real scans end.
func passed(err error) error {
	var h codes.HRESULT
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &h) {
		return err
	}
	switch h {
	case comNotImpl, comPointer, comNoClass, comNoClassName, comNoMember, comMismatch, comNoName, comBadCount:
		return err
	}
	return nil
}

// maxOffers bounds the updates of a scan; a machine that never got one is offered 200.
const maxOffers = 2000

func offers(found object) ([]host.Offer, error) {
	var out []host.Offer
	err := found.items(maxOffers, func(_ int, u object) error {
		id, err := u.object("Identity")
		if err != nil {
			return err
		}
		out = append(out, host.Offer{ID: id.text("UpdateID"), KB: firstKB(u), Title: u.text("Title")})
		return nil
	})
	return out, err
}

// firstKB is the first article of an update, "KB5030001".
func firstKB(u object) string {
	list, err := u.object("KBArticleIDs")
	if err != nil {
		return ""
	}
	if n, err := list.number("Count"); err != nil || n == 0 {
		return ""
	}
	v, _ := list.get("Item", int32(0))
	if s, ok := v.(string); ok && kbNumber.MatchString(s) {
		return "KB" + s
	}
	return ""
}

// pick returns the update that is to be tried. Of several with the same article,
// which differ in what they are for, the one that is not installed.
func (t *attempt) pick(found object) (object, error) {
	var best object
	if found.d == nil {
		return best, &failure{op: "search", err: errNoObject, code: comPointer}
	}
	err := found.items(maxOffers, func(_ int, u object) error {
		if t.Update == "" && firstKB(u) != "KB"+kbDigits(t.KB) {
			return nil
		}
		if best.d == nil || best.flag("IsInstalled") && !u.flag("IsInstalled") {
			best = u
		}
		return nil
	})
	if err == nil && best.d == nil {
		err = fmt.Errorf("update %s%s: %w: %w", t.Update, t.KB, ErrNotOffered, host.ErrNotExist)
	}
	return best, err
}

func (t *attempt) download(session, list object) (host.Outcome, error) {
	downloader, err := session.method("CreateUpdateDownloader")
	if err != nil {
		return host.Outcome{}, err
	}
	if err := downloader.put("Updates", list.d); err != nil {
		return host.Outcome{}, err
	}
	e, err := t.operate(downloader, "BeginDownload", "EndDownload")
	return e.after(stageDownload), err
}

func (t *attempt) install(session, list, update object) (host.Outcome, error) {
	if behaviour, err := update.object("InstallationBehavior"); err == nil && behaviour.flag("CanRequestUserInput") {
		return host.Outcome{}, ErrInput
	}
	if !update.flag("EulaAccepted") {
		if _, err := update.call("AcceptEula"); err != nil { // the plan that was approved says so
			return host.Outcome{}, err
		}
	}
	installer, err := session.method("CreateUpdateInstaller")
	if err != nil {
		return host.Outcome{}, err
	}
	if err := installer.put("Updates", list.d); err != nil {
		return host.Outcome{}, err
	}
	if err := installer.put("AllowSourcePrompts", false); err != nil {
		return host.Outcome{}, err
	}
	if installer.flag("RebootRequiredBeforeInstallation") {
		return host.Outcome{Result: restartFirst, Stage: stageInstall, Restart: true}, nil
	}
	e, err := t.operate(installer, "BeginInstall", "EndInstall")
	return e.after(stageInstall), err
}

// operate downloads or installs the one update of a list.
func (t *attempt) operate(tool object, begin, end string) (ended, error) {
	job, err := tool.method(begin, callback(), callback(), nil)
	if err != nil {
		return asEnded(err), passed(err)
	}
	if err := t.wait(job); err != nil {
		return ended{}, err
	}
	result, err := tool.method(end, job.d)
	if err != nil {
		return asEnded(err), passed(err)
	}
	outcome, err := result.number("ResultCode")
	if err != nil {
		return ended{}, err
	}
	e := ended{outcome: int(outcome), restart: result.flag("RebootRequired")}
	if e.result, err = result.result("HResult"); err != nil {
		return e, err
	}
	v, err := result.call("GetUpdateResult", int32(0))
	one, err := asObject("call GetUpdateResult", v, err)
	if err != nil {
		return e, err
	}
	e.each, err = one.result("HResult")
	return e, err
}

// wait polls a job until it has ended; when the time is over it is asked to stop,
// and is waited for a little longer: a job that is abandoned goes on by itself.
func (t *attempt) wait(job object) error {
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	stop, late := t.stop.Done(), (<-chan time.Time)(nil)
	for {
		v, err := job.get("IsCompleted")
		if err != nil {
			return err
		}
		if done, ok := v.(bool); ok && done {
			_, _ = job.call("CleanUp") // frees what the agent holds of the callbacks; before the end it would wait
			return t.stop.Err()
		}
		select {
		case <-tick.C:
		case <-stop:
			stop, late = nil, time.After(abortTime)
			if _, err := job.call("RequestAbort"); err != nil {
				return errors.Join(t.stop.Err(), err)
			}
		case <-late:
			return t.stop.Err()
		}
	}
}

// callbackTable is the table of an object of ours with the one method Invoke. All
// of the agent's callbacks have this shape: ISearchCompletedCallback,
// IDownloadProgressChangedCallback, IDownloadCompletedCallback and those of
// installing. The agent refuses to work without them, though the jobs are polled.
type callbackTable struct {
	QueryInterface, AddRef, Release, Invoke uintptr
}

// Interfaces that the callback is.
var callbackIDs = []*ole.GUID{
	ole.IID_IUnknown,
	ole.NewGUID("{88AEE058-D4B0-4725-A2F1-814A67AE964C}"), // ISearchCompletedCallback
	ole.NewGUID("{8C3F1CDD-6173-4591-AEBD-A56A53CA77C1}"), // IDownloadProgressChangedCallback
	ole.NewGUID("{77254866-9F5B-4C8E-B9E2-C77A8530D64B}"), // IDownloadCompletedCallback
	ole.NewGUID("{E01402D5-F8DA-43BA-A012-38894BD048F1}"), // IInstallationProgressChangedCallback
	ole.NewGUID("{45F4F6F3-D602-4F98-9A8A-3EFA152AD2D3}"), // IInstallationCompletedCallback
}

// sink is the one callback. Windows holds on to callbacks for longer than anybody
// can tell, and Go's are never freed: it lives as long as the process.
type sink struct {
	table   callbackTable
	unknown ole.IUnknown
	variant ole.VARIANT // as automation takes it
}

// callback returns the sink as an argument.
func callback() *ole.VARIANT { return &theSink().variant }

var theSink = sync.OnceValue(func() *sink {
	const noInterface = 0x80004002
	s := &sink{table: callbackTable{
		QueryInterface: syscall.NewCallback(func(this uintptr, id *ole.GUID, out *uintptr) uintptr {
			for _, known := range callbackIDs {
				if ole.IsEqualGUID(id, known) {
					*out = this
					return 0
				}
			}
			*out = 0
			return noInterface
		}),
		AddRef:  syscall.NewCallback(func(uintptr) uintptr { return 2 }),
		Release: syscall.NewCallback(func(uintptr) uintptr { return 1 }),
		Invoke:  syscall.NewCallback(func(_, _, _ uintptr) uintptr { return 0 }),
	}}
	s.unknown.RawVTable = (*interface{})(unsafe.Pointer(&s.table))
	s.variant = ole.NewVariant(ole.VT_UNKNOWN, int64(uintptr(unsafe.Pointer(&s.unknown))))
	return s
})
