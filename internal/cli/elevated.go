package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/elevate"
	"updoc/internal/host"
	"updoc/internal/ui"
)

// Rights is how a process with a person's own rights gets one with an administrator's.
type Rights interface {
	// Elevated reports whether this process has them.
	Elevated() bool
	// Elevate starts one that has them, once the person agreed in Windows' own prompt,
	// and connects to it. [ErrDeclined] says that they did not.
	Elevate(context.Context) (io.ReadWriteCloser, error)
	// Await is for that process: it waits for the one that started it, a process of this
	// program and of that user, at a place with that name.
	Await(ctx context.Context, name, user string) (io.ReadWriteCloser, error)
}

// ErrDeclined says that the person did not agree to give an administrator's rights.
var ErrDeclined = errors.New("the rights of an administrator were not given")

// ErrPlace says that others may change this program where it lies: it is given no rights.
var ErrPlace = errors.New("others may change this program where it lies")

// elevated is how the process with the rights is called; no person calls it.
const elevatedCommand = "elevated"

func newElevated(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:    elevatedCommand + " NAME USER",
		Short:  "The process with an administrator's rights that the page has repair",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if env.Rights == nil {
				return usage("'updoc page' starts it by itself", "this is for Windows alone")
			}
			return env.serveElevated(cmd.Context(), args[0], args[1])
		},
	}
}

// serveElevated treats this machine for the page that started this process, and ends
// with it.
func (env *Env) serveElevated(ctx context.Context, name, user string) error {
	const patience = time.Minute // for a page that is there already
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	conn, err := env.Rights.Await(waiting, name, user)
	if errors.Is(err, ErrPlace) {
		return &hinted{err, "move updoc into a folder of your own, such as Downloads, and start it there", ExitNotAllowed}
	}
	if err != nil {
		return notAllowed(err)
	}
	defer conn.Close()
	d, done, err := env.liveDoctor(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	if d.p != nil { // another administrator may have agreed for this user
		p := forUser(d.p, user)
		d.h, d.p, d.user = p, p, user
	}
	return elevate.Serve(ctx, conn, d)
}

// liveDoctor treats the machine that updoc runs on, as far as its rights go.
func (env *Env) liveDoctor(ctx context.Context, blind bool) (d *doctor, done func(), err error) {
	h, done, err := env.openLive(ctx)
	if err != nil {
		return nil, nil, err
	}
	d = &doctor{env: env, blind: blind, h: h}
	if t, ok := h.(treatable); ok {
		p := livePatient{t, env, &bar{to: d.worked}}
		if w, ok := h.(interface{ Watch(func(host.Work)) }); ok {
			w.Watch(p.bar.long)
		}
		d.h, d.p = p, p
	}
	return d, done, nil
}

// asking is a doctor that treats with the rights of a process of its own, which it
// asks for when they are needed.
func (env *Env) asking(d ui.Doctor) *elevate.Doctor {
	return &elevate.Doctor{Doctor: d, Start: func(ctx context.Context) (io.ReadWriteCloser, error) {
		conn, err := env.Rights.Elevate(ctx)
		if errors.Is(err, ErrDeclined) {
			err = errors.Join(ui.ErrNotAllowed, err)
		}
		if errors.Is(err, ErrPlace) {
			err = errors.Join(ui.ErrPlace, err)
		}
		return conn, err
	}}
}
