// Command updoc is the Windows Update doctor: it finds out why updating fails on a
// machine, proves the cause, cures it with the least harm, and can take the cure back.
//
// This file hardens the process, picks its role, wires the outside world to the
// command line and turns the result into an exit code. Nothing else.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"updoc/internal/cli"
	"updoc/internal/route/pac"
)

// version is set by release builds: -ldflags "-X main.version=1.2.3".
var version string

func main() { os.Exit(run()) }

func run() int {
	harden()
	if os.Getenv(pac.Role) == pac.Child {
		return pac.Serve(os.Stdin, os.Stdout, confine)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if code, ok := serve(ctx, os.Args[1:]); ok {
		return code
	}
	env := cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, GOOS: runtime.GOOS, Version: buildVersion(),
		Live: live, State: state, As: as, Echo: echo, Admit: admit, Peer: peer, Trust: trust, Offline: offline, Rights: rights,
	}
	if code, ok := guard(ctx, os.Args[1:], env); ok {
		return code
	}
	return cli.Run(ctx, env, os.Args[1:])
}

// buildVersion falls back to what the toolchain recorded of the source.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev := "devel"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			rev = "devel-" + s.Value[:12]
		}
	}
	return rev
}
