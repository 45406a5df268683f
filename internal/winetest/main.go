// Command winetest runs a command in which Windows programs run under Wine:
//
//	winetest [-limit 5m] go test -v ./internal/host/winhost
//
// It makes a Wine prefix of its own under a temporary folder, starts a server for
// it, and sets GOOS and GOFLAGS so that go builds for Windows and runs what it
// built there. Afterwards nothing of it is left.
//
// It is for tests alone. Things that Wine 8 lacks are put in for them, and
// none of them is in any program that is handed out:
//
//   - bcryptprimitives.dll, without which no program of Go 1.26 starts (forward.go);
//   - deleting files and opening UDP sockets as Go does it, by changes of single lines
//     of Go's standard library that are made while the tests are compiled (overlay.go);
//   - console tools of Windows, as small programs that behave like them (standin).
//
// Exit codes: that of the command; 3 if there is no Wine; 4 if Wine does not start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	limit := flag.Duration("limit", 5*time.Minute, "how long the command may take")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: winetest [-limit DURATION] COMMAND [ARG...]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, *limit, flag.Args()))
}

func run(ctx context.Context, limit time.Duration, command []string) int {
	wine, ok := findWine()
	if !ok {
		fmt.Fprintln(os.Stderr, "winetest: Wine is not installed")
		return 3
	}
	b, err := newBed(ctx, wine)
	if err != nil {
		fmt.Fprintln(os.Stderr, "winetest:", err)
		return 4
	}
	defer b.close()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(b.env, "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0",
		"GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+b.overlay+" -exec="+wine.loader))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(os.Stderr, "winetest: not done after %v\n", limit)
		return 1
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "winetest:", err)
		return 1
	}
	return 0
}

// wine is where Wine is installed.
type wine struct{ loader, server string }

// findWine prefers the 64-bit loader itself to the script before it, which says on
// every start that there is no 32-bit one.
func findWine() (wine, bool) {
	w := wine{look("/usr/lib/wine/wine64", "wine64", "wine"), look("/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver", "wineserver")}
	return w, w.loader != "" && w.server != ""
}

func look(names ...string) string {
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p
		}
	}
	return ""
}

// bed is a running Wine with a Windows of its own.
type bed struct {
	wine
	dir     string
	prefix  string
	overlay string // the file for go's -overlay
	env     []string
}

func newBed(ctx context.Context, w wine) (_ *bed, err error) {
	dir, err := os.MkdirTemp("", "updoc-wine-")
	if err != nil {
		return nil, err
	}
	b := &bed{wine: w, dir: dir, prefix: filepath.Join(dir, "prefix")}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	b.env = append(os.Environ(), "WINEPREFIX="+b.prefix, "WINEDEBUG=-all", "DISPLAY=", "WINEARCH=win64",
		// No offer to download Mono and Gecko; our tools, and not what Wine has under their names.
		"WINEDLLOVERRIDES=mscoree,mshtml=;"+strings.Join(tools, ".exe,")+".exe=n")
	if err := os.Mkdir(b.prefix, 0o700); err != nil {
		return nil, err
	}
	// The server stays until close: services that a test starts live on with it.
	if err := b.do(ctx, 10*time.Second, w.server, "-p"); err != nil {
		return nil, err
	}
	// Without --init, after which no service starts.
	if err := b.do(ctx, time.Minute, w.loader, "wineboot.exe"); err != nil {
		return nil, err
	}
	// A new prefix says that it is Windows 7.
	if err := b.do(ctx, 20*time.Second, w.loader, "winecfg.exe", "/v", "win10"); err != nil {
		return nil, err
	}
	system := filepath.Join(b.prefix, "drive_c", "windows", "system32")
	dll := forwarder("bcryptprimitives.dll", "ProcessPrng", "ADVAPI32.SystemFunction036")
	if err := os.WriteFile(filepath.Join(system, "bcryptprimitives.dll"), dll, 0o644); err != nil {
		return nil, err
	}
	if err := b.standins(ctx, system); err != nil {
		return nil, err
	}
	if b.overlay, err = writeOverlay(ctx, dir); err != nil {
		return nil, err
	}
	return b, nil
}

// do runs a program of the bed. Its output goes to a file: what Wine starts in the
// background inherits it, and a pipe would stay open for as long as that lives.
func (b *bed) do(ctx context.Context, limit time.Duration, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	log, err := os.CreateTemp(b.dir, "log-")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.env, log, log
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s %s: %w: %.2000s", filepath.Base(name), strings.Join(args, " "), err, said)
	}
	return nil
}

// close ends everything that runs in the bed and removes it.
func (b *bed) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, arg := range []string{"-k", "-w"} {
		cmd := exec.CommandContext(ctx, b.server, arg)
		cmd.Env, cmd.Stdout, cmd.Stderr = b.env, io.Discard, io.Discard
		_ = cmd.Run() // it may have ended by itself
	}
	if err := os.RemoveAll(b.dir); err != nil {
		fmt.Fprintln(os.Stderr, "winetest:", err)
	}
}
