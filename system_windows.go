package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"updoc/internal/cli"
	"updoc/internal/host"
	"updoc/internal/host/winhost"
	"updoc/internal/route"
	"updoc/internal/win"
)

// harden keeps a DLL planted beside the program from being loaded: updoc is
// downloaded and started from the Downloads folder.
func harden() { win.HardenDLLSearch() }

// confine limits a process that runs foreign scripts.
func confine(memory int64, cpu time.Duration) error { return win.Confine(memory, cpu) }

// live opens the machine that updoc runs on.
func live(ctx context.Context) (host.Reader, error) { return winhost.Open(ctx) }

// state is where journals lie.
func state() (string, error) { return win.StateDir() }

// as sends requests over WinHTTP: as the account that Windows Update runs as, for
// which it takes an administrator, or as the user.
func as(_ context.Context, account string) (x host.Exchanger, done func(), err error) {
	switch account {
	case "user":
		return witness(), func() {}, nil
	case "system":
		dir, err := win.StateDir()
		if err != nil {
			return nil, nil, err
		}
		a := &winhost.Account{SID: "S-1-5-18", Dir: dir}
		return a, func() { _ = a.Close() }, nil
	}
	return nil, nil, fmt.Errorf("no such account: %q", account)
}

func witness() *winhost.WinHTTP { return &winhost.WinHTTP{Judge: route.JudgeIssuer} }

// admit says why a program on this machine may not use the relay.
func admit(client, self netip.AddrPort) error { return winhost.AdmitUpdater(client, self) }

// peer reports whether a program on this machine is this user's.
func peer(client, self netip.AddrPort) (own bool, err error) { return winhost.OwnPeer(client, self) }

// trust says whether Windows trusts the signature of a file.
func trust(path string) error { return winhost.Trusted(path) }

// guard plays the service that takes back what a run left, if that is asked for: nobody
// reads what it says.
func guard(ctx context.Context, args []string, env cli.Env) (code int, ok bool) {
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(""), io.Discard, io.Discard
	return winhost.ServeGuard(ctx, args, func(ctx context.Context, args []string) int { return cli.Run(ctx, env, args) })
}

// serve plays the helper service of a walk as another account, if that is asked for.
func serve(ctx context.Context, args []string) (code int, ok bool) {
	return winhost.ServeWalk(ctx, args, witness())
}

// echo measures how large packets may be on the way.
var echo route.Echoer = winhost.Echo{}

// rights gets an administrator's for what needs them.
var rights cli.Rights = elevation{}

type elevation struct{}

func (elevation) Elevated() bool { return win.Elevated() }

// Elevate starts this program again, for this user, and tells it by name where the two
// meet: a name that nobody else knows.
func (elevation) Elevate(ctx context.Context) (io.ReadWriteCloser, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	user, err := win.User()
	if err != nil {
		return nil, err
	}
	pin, err := pin(user) // until the other one runs, nobody puts another program in its place
	if err != nil {
		return nil, err
	}
	defer func() { _ = pin.Close() }()
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return nil, err
	}
	meet := hex.EncodeToString(name)
	p, err := win.Elevate(exe, "elevated", meet, user)
	switch {
	case errors.Is(err, win.ErrDeclined):
		return nil, fmt.Errorf("%w: %w", cli.ErrDeclined, err)
	case err != nil:
		return nil, err
	}
	defer func() { _ = p.Close() }()
	const start = 30 * time.Second // a scanner may look at the program first
	ctx, stop := context.WithTimeout(ctx, start)
	defer stop()
	return win.Dial(ctx, meet, p.PID)
}

// pin keeps the file of this program as it is until it is closed, and says why it is none
// that may get an administrator's rights for this user: others may change it, or somebody
// did after it was signed.
func pin(user string) (io.Closer, error) {
	p, err := win.Pin()
	if err != nil {
		return nil, err
	}
	err = win.CheckPlace(user)
	if err == nil {
		var exe string
		if exe, err = os.Executable(); err == nil {
			err = winhost.Unchanged(exe)
		}
	}
	switch {
	case errors.Is(err, win.ErrPlace):
		err = fmt.Errorf("%w: %w", cli.ErrPlace, err)
	case err == nil:
		return p, nil
	}
	return nil, errors.Join(err, p.Close())
}

// Await keeps the program's file as it is for as long as the two talk.
func (elevation) Await(ctx context.Context, name, user string) (io.ReadWriteCloser, error) {
	pin, err := pin(user)
	if err != nil {
		return nil, err
	}
	pipe, err := win.Listen(name, user)
	if err != nil {
		return nil, errors.Join(err, pin.Close())
	}
	if _, err := pipe.Accept(ctx, user); err != nil {
		return nil, errors.Join(err, pipe.Close(), pin.Close())
	}
	return pinned{pipe, pin}, nil
}

// pinned is a connection that keeps a program in its place.
type pinned struct {
	*win.Pipe
	pin io.Closer
}

func (p pinned) Close() error { return errors.Join(p.Pipe.Close(), p.pin.Close()) }
