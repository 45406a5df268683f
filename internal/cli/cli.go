// Package cli is the command line: one file per command. Commands read evidence,
// call the rooms below and write what they return; they decide nothing.
package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"updoc/internal/host"
	"updoc/internal/report"
	"updoc/internal/route"
)

// The exit codes, a stable contract.
const (
	ExitHealthy  = 0 // healthy, cured, or the command did what it was asked
	ExitProblems = 1 // problems were found
	ExitUsage    = 2 // wrong usage, or no such input
	ExitUnknown  = 3 // could not find out

	ExitBroken     = 4 // a repair failed or was stopped; nothing is lost
	ExitRestart    = 5 // the machine has to be restarted
	ExitNotAllowed = 6 // not allowed
)

// Env is the outside world of a run.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	GOOS           string
	Version        string

	// Live opens this machine to read it; nil where there is no Windows. A host that
	// can be closed is.
	Live func(context.Context) (host.Reader, error)
	// Network is how this machine is reached by a walk of its own route; the zero
	// value: as the operating system does.
	Network route.Prober

	// As sends requests the way Windows sends them, as an account: "system", or "user"
	// for whoever started updoc. done ends what that took. nil where there is no Windows.
	As func(ctx context.Context, account string) (x host.Exchanger, done func(), err error)

	// Admit says why the program at the other end of a connection on this machine is no
	// part of updating it; nil where nobody can tell programs apart.
	Admit func(client, self netip.AddrPort) error

	// Peer reports whether the program at the other end of a connection on this machine is
	// of the user who runs this one; an error says that nobody knows. nil: as the page
	// finds out by itself.
	Peer func(client, self netip.AddrPort) (own bool, err error)

	// PackageRoots are the roots that signatures of packages must lead to; nil: Microsoft's.
	PackageRoots []*x509.Certificate

	// Trust says whether Windows itself trusts the signature of a file; nil where there is
	// no Windows.
	Trust func(path string) error

	// Sleep waits, or returns the context's error; nil waits by the clock.
	Sleep func(context.Context, time.Duration) error

	// Echo measures how large packets may be on the way; nil: nobody can.
	Echo route.Echoer

	// Rights gets an administrator's; nil where there is no Windows.
	Rights Rights

	// Browse opens an address in the person's browser; nil does it as the system does.
	Browse func(url string) error

	// State names the directory of the journals, which administrators alone may write;
	// nil where there is no Windows.
	State func() (string, error)

	// Offline opens a Windows that does not run, whose volume stands in a folder, until
	// done; nil where there is no Windows.
	Offline func(ctx context.Context, dir string) (h OfflineHost, done func() error, err error)
}

// hinted is an error that says what to do next, and with which code to exit.
type hinted struct {
	err  error
	hint string
	code int
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// usage makes an error of wrong usage.
func usage(hint, format string, args ...any) error {
	return &hinted{fmt.Errorf(format, args...), hint, ExitUsage}
}

// exit is a result that is not an error: the verdict as an exit code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, env Env, args []string) int {
	doubleClick()
	root := newRoot(&env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	var code exit
	switch {
	case err == nil:
		return ExitHealthy
	case errors.As(err, &code):
		return int(code)
	}
	return fail(env.Stderr, err)
}

// fail prints an error and its hint, and returns the exit code.
func fail(w io.Writer, err error) int {
	h := hintFor(err)
	fmt.Fprintf(w, "updoc: error: %s\n", oneLine(h.Error()))
	fmt.Fprintf(w, "updoc: hint: %s\n", oneLine(h.hint))
	return h.code
}

func hintFor(err error) *hinted {
	var h *hinted
	switch {
	case errors.As(err, &h):
		return h
	case errors.Is(err, context.Canceled):
		return &hinted{errors.New("stopped before everything was read"), "nothing was changed and no report was written; run it again to read the rest", ExitUnknown}
	case errors.Is(err, host.ErrNothingReadable):
		return &hinted{err, "give a folder, zip or file that holds logs, e.g. --from C:\\Windows\\Logs; 'updoc demo' shows what it looks like", ExitUnknown}
	case errors.Is(err, fs.ErrNotExist):
		return &hinted{err, "check the path given to --from; 'updoc demo' needs none", ExitUsage}
	case errors.Is(err, fs.ErrPermission):
		return &hinted{err, "run it as a user who may read the file, or copy the file first", ExitUsage}
	}
	return &hinted{err, "'updoc help' lists the commands, 'updoc help COMMAND' explains one", ExitUsage}
}

// oneLine keeps a message from breaking its line or the terminal, and from telling a
// password: people put the address of a proxy behind the wrong flag.
func oneLine(s string) string { return report.WithoutPasswords(report.Clean(s)) }

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "updoc",
		Short: "The Windows Update doctor",
		Long: `updoc finds out why Windows Update fails on a machine, and proves the cause with
the very lines that show it: on this Windows, or from what another machine wrote
(logs, event logs, command outputs, registry exports, a person's note). It cures it
once you agree to the plan, proves that the cure worked, and can take it back.
Without a command it shows all that on a page in the browser, on Windows. Only
fix, reset, repair-store, upgrade, undo, resume, catalog install and relay --set
change anything.`,
		Example: `  updoc demo                                   see it work on a simulated PC
  updoc explain 0x8024401B                     what a code really means
  updoc diagnose --from evidence.zip           why updates fail on that machine
  updoc diagnose --from CBS.log --format md    the same, for a ticket
  updoc fix --plan                             on the sick PC: what would cure it`,
		Version:       env.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return env.start(cmd) },
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := "'updoc help' lists the commands"
		if list := cmd.SuggestionsFor(args[0]); len(list) > 0 {
			hint = fmt.Sprintf("perhaps 'updoc %s'; %s", list[0], hint)
		}
		return usage(hint, "no such command: %q", args[0])
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("updoc {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Sprintf("'%s --help' lists the flags", cmd.CommandPath()), "%w", err)
	})
	root.AddCommand(newDiagnose(env), newTrace(env), newCollect(env), newExplain(env), newFix(env), newUndo(env), newResume(env), newHistory(env), newReset(env), newIsolate(env), newGuard(env), newRepairStore(env), newUpgrade(env), newCheck(env), newPage(env), newElevated(env), newDemo(env), newLab(env), newRelay(env), newCauses(env), newRemedies(env))
	root.AddCommand(newCatalog(env))
	return root
}

// style says how text may look on the given writer.
func (env *Env) style(w io.Writer) report.Style {
	s := report.Style{ASCII: !env.utf8()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.Color = env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
	}
	return s
}

// utf8 reports whether output may leave ASCII. Windows' console API takes any
// character; elsewhere the locale tells.
func (env *Env) utf8() bool {
	if env.GOOS == "windows" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// output opens the file of -o, or standard output. The returned done function
// puts the file in place only if the command succeeded. A new file is readable by
// its owner alone, since a report can name people; one that is replaced keeps its
// permissions.
func (env *Env) output(path string) (io.Writer, func(error) error, error) {
	if path == "" || path == "-" {
		return env.Stdout, func(err error) error { return err }, nil
	}
	unwritable := func(err error) error {
		var pe *fs.PathError
		if errors.As(err, &pe) { // it names a file that nobody asked for
			err = pe.Err
		}
		return usage("choose a folder that exists and may be written to", "write %s: %w", path, err)
	}
	target, mode := path, fs.FileMode(0o600)
	switch info, err := os.Stat(path); {
	case err != nil: // a new file, as a rule; else the next step fails too
	case info.IsDir():
		return nil, nil, usage("add the name of a file to it", "write %s: it is a folder", path)
	case !info.Mode().IsRegular(): // a device or pipe is written to, never replaced
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, nil, unwritable(err)
		}
		return f, func(err error) error {
			if cerr := f.Close(); succeeded(err) && cerr != nil {
				return unwritable(cerr)
			}
			return err
		}, nil
	default:
		mode = info.Mode().Perm()
		if file, err := filepath.EvalSymlinks(path); err == nil {
			target = file // a link stays, what it points to is replaced
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(target), ".updoc-*")
	if err != nil {
		return nil, nil, unwritable(err)
	}
	return tmp, func(err error) error {
		werr := errors.Join(tmp.Chmod(mode), tmp.Close())
		if succeeded(err) && werr == nil {
			werr = os.Rename(tmp.Name(), target)
		}
		if succeeded(err) && werr == nil {
			return err
		}
		os.Remove(tmp.Name())
		if succeeded(err) {
			return unwritable(werr)
		}
		return err
	}, nil
}

// succeeded tells a verdict from an error.
func succeeded(err error) bool {
	var code exit
	return err == nil || errors.As(err, &code)
}
