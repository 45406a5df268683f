package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

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

// serve plays the helper service of a walk as another account, if that is asked for.
func serve(ctx context.Context, args []string) (code int, ok bool) {
	return winhost.ServeWalk(ctx, args, witness())
}
