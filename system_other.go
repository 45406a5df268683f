//go:build !windows

package main

import (
	"context"
	"net/netip"
	"time"

	"updoc/internal/cli"
	"updoc/internal/host"
	"updoc/internal/route"
)

// harden has nothing to do where libraries are not searched for beside the program.
func harden() {}

// confine has nothing to add where processes have resource limits.
func confine(int64, time.Duration) error { return nil }

// There is no machine to treat where there is no Windows.
var (
	live  func(context.Context) (host.Reader, error)
	state func() (string, error)
	as    func(context.Context, string) (host.Exchanger, func(), error)
	admit func(client, self netip.AddrPort) error
	peer  func(client, self netip.AddrPort) (own bool, err error)
	trust func(path string) error

	echo route.Echoer

	rights cli.Rights
)

// guard has no service to play.
func guard(context.Context, []string, cli.Env) (code int, ok bool) { return 0, false }

// serve has no service to play.
func serve(context.Context, []string) (code int, ok bool) { return 0, false }
