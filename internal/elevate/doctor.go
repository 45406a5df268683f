package elevate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"updoc/internal/repair"
	"updoc/internal/ui"
)

// Doctor looks at the machine by itself, and has a process with an administrator's
// rights do what needs these. That process is started when the first such thing is
// asked for, and lives until Close.
type Doctor struct {
	ui.Doctor // with the person's own rights

	// Start starts the process, once the person agreed to it, and connects to it. An
	// error that fits [ui.ErrNotAllowed] says that they did not.
	Start func(context.Context) (io.ReadWriteCloser, error)

	mu     sync.Mutex
	conn   io.ReadWriteCloser
	wire   *wire
	shown  *ui.Patient   // that the person saw last
	theirs *ui.Patient   // that the process with the rights made last
	busy   chan struct{} // closed once what that process is asked for is over; nil: nothing is
	change bool          // and it changes the machine
}

// Close ends the process with the rights, if there is one, after the change that it
// is making.
func (d *Doctor) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drop()
}

// drop lets go of the process with the rights; the lock is held.
func (d *Doctor) drop() error {
	if d.conn == nil {
		return nil
	}
	err := d.conn.Close()
	d.conn, d.wire, d.theirs = nil, nil, nil
	return err
}

// take reserves the process with the rights until release; nil: there is none. What
// changes the machine starts one if need be, and nothing else is done while it goes on.
func (d *Doctor) take(ctx context.Context, change bool) (w *wire, release func(), err error) {
	for {
		d.mu.Lock()
		busy, changing := d.busy, d.change
		if busy == nil {
			break // with the lock held
		}
		d.mu.Unlock()
		if changing {
			return nil, nil, ui.ErrNow
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	defer d.mu.Unlock()
	if d.conn == nil && change {
		conn, err := d.Start(ctx)
		if err != nil {
			return nil, nil, err
		}
		d.conn, d.wire = conn, newWire(conn, maxReply)
	}
	if d.conn == nil {
		return nil, func() {}, nil
	}
	over := make(chan struct{})
	d.busy, d.change = over, change
	return d.wire, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy, d.change = nil, false
		close(over)
	}, nil
}

// Examine implements [ui.Doctor]: with the rights if they were given.
func (d *Doctor) Examine(ctx context.Context, tell func(ui.Work)) (*ui.Patient, error) {
	w, release, err := d.take(ctx, false)
	if err != nil {
		return nil, err
	}
	defer release()
	var p *ui.Patient
	if w != nil {
		p, err = d.examine(ctx, w, tell)
	} else {
		p, err = d.Doctor.Examine(ctx, tell)
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown = p
	return p, nil
}

// examine has the process with the rights look.
func (d *Doctor) examine(ctx context.Context, w *wire, tell func(ui.Work)) (*ui.Patient, error) {
	end, err := d.call(ctx, w, request{Do: doExamine}, ui.Watch{Work: tell})
	if err == nil && (end.Patient == nil || end.Patient.Plan == nil || end.Patient.Doc == nil) {
		err = errors.New("pipe: no diagnosis came")
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.theirs = end.Patient
	return end.Patient, nil
}

// seen is what the person saw last and what the process with the rights made last.
func (d *Doctor) seen() (shown, theirs *ui.Patient) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown, d.theirs
}

// Fix implements [ui.Doctor]. Whoever has the rights sees more: if its plan is another
// one than the person saw, nothing is done, and the next Examine shows that plan.
func (d *Doctor) Fix(ctx context.Context, o ui.Order, watch ui.Watch) (repair.Result, error) {
	if shown, _ := d.seen(); o.Run == "" && (shown == nil || shown.Hash != o.Hash) {
		return "", ui.ErrPlan
	}
	w, release, err := d.take(ctx, true)
	if err != nil {
		return "", err
	}
	defer release()
	r := request{Do: doResume, Run: o.Run}
	if o.Run == "" {
		shown, theirs := d.seen()
		if theirs != shown { // the person saw what was made without the rights
			if theirs, err = d.examine(ctx, w, watch.Work); err != nil {
				return "", err
			}
			if theirs.Plan.Substance() != shown.Plan.Substance() {
				return "", ui.ErrPlan
			}
			if watch.Begin != nil {
				watch.Begin(theirs.Plan) // its run is the one whose journal there will be
			}
		}
		r = request{Do: doFix, Hash: theirs.Hash}
	}
	end, err := d.call(ctx, w, r, watch)
	return end.Result, err
}

// Undo implements [ui.Doctor].
func (d *Doctor) Undo(ctx context.Context, run string, tell func(repair.Event)) (repair.Undone, error) {
	w, release, err := d.take(ctx, true)
	if err != nil {
		return repair.Undone{}, err
	}
	defer release()
	end, err := d.call(ctx, w, request{Do: doUndo, Run: run}, ui.Watch{Tell: tell})
	if end.Undone == nil {
		end.Undone = &repair.Undone{}
	}
	return *end.Undone, err
}

// Runs implements [ui.Doctor]. Journals are for administrators: who has no rights does
// not know of any.
func (d *Doctor) Runs(ctx context.Context) ([]repair.Summary, error) {
	w, release, err := d.take(ctx, false)
	if err != nil {
		return nil, err
	}
	defer release()
	if w == nil {
		return d.Doctor.Runs(ctx)
	}
	end, err := d.call(ctx, w, request{Do: doRuns}, ui.Watch{})
	return end.Runs, err
}

// Run implements [ui.Doctor].
func (d *Doctor) Run(ctx context.Context, run string) (*ui.Run, error) {
	w, release, err := d.take(ctx, false)
	if err != nil {
		return nil, err
	}
	defer release()
	if w == nil {
		return d.Doctor.Run(ctx, run)
	}
	end, err := d.call(ctx, w, request{Do: doRun, Run: run}, ui.Watch{})
	if err == nil && end.Run == nil {
		err = errors.New("pipe: no run came")
	}
	return end.Run, err
}

// Admit implements [ui.Admitter].
func (d *Doctor) Admit(ctx context.Context) error {
	_, release, err := d.take(ctx, true)
	if err != nil {
		return err
	}
	release()
	return nil
}

// Restart implements [ui.Restarter].
func (d *Doctor) Restart(ctx context.Context) error {
	w, release, err := d.take(ctx, true)
	if err != nil {
		return err
	}
	defer release()
	_, err = d.call(ctx, w, request{Do: doRestart}, ui.Watch{})
	return err
}

// call asks for something and follows it to its end. A context that ends stops it
// after the change that is being made, which call waits for.
func (d *Doctor) call(ctx context.Context, w *wire, r request, watch ui.Watch) (reply, error) {
	if err := w.send(r); err != nil {
		return reply{}, d.lost(err)
	}
	defer context.AfterFunc(ctx, func() { _ = w.send(request{Do: doStop}) })()
	for {
		var in reply
		if err := w.receive(&in); err != nil {
			return reply{}, d.lost(err)
		}
		var say *request
		switch {
		case in.Work != nil && watch.Work != nil:
			watch.Work(*in.Work)
		case in.Event != nil:
			if watch.Tell != nil {
				watch.Tell(*in.Event)
			}
			say = &request{Do: doNext}
		case in.Ask != nil:
			yes, err := false, error(nil)
			if watch.Ask != nil {
				yes, err = watch.Ask(ctx, *in.Ask)
			}
			if err == nil { // else it is being stopped
				say = &request{Do: doAnswer, Yes: yes}
			}
		case in.Done:
			if err := ctx.Err(); err != nil && in.Err != "" {
				return in, err
			}
			return in, in.error()
		}
		if say != nil {
			if err := w.send(say); err != nil {
				return reply{}, d.lost(err)
			}
		}
	}
}

// lost lets go of a process that is gone. What it was doing stands in its journal.
func (d *Doctor) lost(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.drop() // it is gone
	return fmt.Errorf("the process that repairs has ended; 'updoc resume' goes on: %w", err)
}
