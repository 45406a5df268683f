package elevate

import (
	"context"
	"errors"
	"io"
	"slices"

	"updoc/internal/repair"
	"updoc/internal/ui"
)

// Serve lets the other end have d do what the language has words for, until it is
// gone or says something else; then what is being done is stopped after the change
// that is being made, and Serve returns once it is. It is the process with the rights
// that calls it.
func Serve(ctx context.Context, rw io.ReadWriter, d ui.Doctor) error {
	ctx, end := context.WithCancel(ctx)
	s := &server{wire: newWire(rw, maxRequest), doctor: d, next: make(chan struct{}), answer: make(chan bool)}
	defer s.rest()
	defer end()
	for {
		var r request
		if err := s.receive(&r); err != nil {
			if errors.Is(err, errClosed) {
				return nil
			}
			return err
		}
		if err := s.take(ctx, r); err != nil {
			return err
		}
	}
}

type server struct {
	*wire
	doctor ui.Doctor
	seen   *ui.Patient // that was planned for last, and the other end was told of

	stop   context.CancelFunc // of what is being done
	busy   chan struct{}      // closed once it is done; nil at first
	next   chan struct{}
	answer chan bool
}

var errNonsense = errors.New("pipe: the other end does not speak the language")

// take begins what is asked for. One thing is done at a time.
func (s *server) take(ctx context.Context, r request) error {
	switch r.Do {
	case doStop:
		if s.stop != nil {
			s.stop()
		}
		return nil
	case doNext, doAnswer:
		if s.busy == nil {
			return errNonsense
		}
		select {
		case <-s.busy: // it was stopped meanwhile
			return nil
		default:
		}
		if r.Do == doNext {
			return pass(s, s.next, struct{}{})
		}
		return pass(s, s.answer, r.Yes)
	}
	if s.working() {
		return errNonsense
	}
	work := s.work(r)
	if work == nil {
		return errNonsense
	}
	ctx, stop := context.WithCancel(ctx)
	busy := make(chan struct{})
	s.stop, s.busy = stop, busy
	go func() {
		end := reply{Done: true}
		if err := work(ctx, &end); err != nil {
			end.fail(err)
		}
		stop()
		close(busy)     // before the other end asks for the next thing
		_ = s.send(end) // who is gone is found out when it is read from
	}()
	return nil
}

// pass hands something to what is being done, unless that ends first.
func pass[T any](s *server, to chan<- T, v T) error {
	select {
	case to <- v:
	case <-s.busy:
	}
	return nil
}

func (s *server) working() bool {
	if s.busy == nil {
		return false
	}
	select {
	case <-s.busy:
		return false
	default:
		return true
	}
}

// rest waits for what is being done.
func (s *server) rest() {
	if s.busy != nil {
		<-s.busy
	}
}

// work is what a request asks for; nil: nothing that there is.
func (s *server) work(r request) func(context.Context, *reply) error {
	if r.Run == "" && slices.Contains([]string{doResume, doUndo, doRun}, r.Do) {
		return nil
	}
	switch r.Do {
	case doExamine:
		return s.examine
	case doFix:
		return func(ctx context.Context, end *reply) (err error) {
			if s.seen == nil || s.seen.Plan == nil || r.Hash == "" || r.Hash != s.seen.Hash {
				return ui.ErrPlan // not one that this process made
			}
			end.Result, err = s.doctor.Fix(ctx, ui.Order{Hash: r.Hash}, s.watch(ctx))
			return err
		}
	case doResume:
		return func(ctx context.Context, end *reply) (err error) {
			end.Result, err = s.doctor.Fix(ctx, ui.Order{Run: r.Run}, s.watch(ctx))
			return err
		}
	case doUndo:
		return func(ctx context.Context, end *reply) error {
			u, err := s.doctor.Undo(ctx, r.Run, s.watch(ctx).Tell)
			end.Undone = &u
			return err
		}
	case doRuns:
		return func(ctx context.Context, end *reply) (err error) {
			end.Runs, err = s.doctor.Runs(ctx)
			return err
		}
	case doRun:
		return func(ctx context.Context, end *reply) (err error) {
			end.Run, err = s.doctor.Run(ctx, r.Run)
			return err
		}
	case doRestart:
		if d, ok := s.doctor.(ui.Restarter); ok {
			return func(ctx context.Context, _ *reply) error { return d.Restart(ctx) }
		}
	}
	return nil
}

func (s *server) examine(ctx context.Context, end *reply) error {
	p, err := s.doctor.Examine(ctx, s.tell)
	if err != nil {
		return err
	}
	s.seen, end.Patient = p, p
	return nil
}

func (s *server) tell(w ui.Work) { _ = s.send(reply{Work: &w}) }

// watch tells and asks the other end. An event waits until it was taken, so that a
// person can hold a run between two changes.
func (s *server) watch(ctx context.Context) ui.Watch {
	return ui.Watch{
		Work: s.tell,
		Tell: func(e repair.Event) {
			if s.send(reply{Event: &e}) != nil {
				return
			}
			select {
			case <-s.next:
			case <-ctx.Done():
			}
		},
		Ask: func(ctx context.Context, t repair.Treatment) (bool, error) {
			if err := s.send(reply{Ask: &t}); err != nil {
				return false, err
			}
			select {
			case yes := <-s.answer:
				return yes, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		},
	}
}
