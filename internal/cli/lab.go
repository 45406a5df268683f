package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"updoc/internal/host"
	"updoc/internal/lab"
)

// labNetwork is where a world stands on this machine: loopback, and a part of it that
// nothing else uses.
var labNetwork = netip.MustParsePrefix("127.77.0.0/16")

func newLab(env *Env) *cobra.Command {
	var format, roots, machine string
	var anyPort, list bool
	cmd := &cobra.Command{
		Use:   "lab [SCENARIO]",
		Short: "Serve a broken world on this machine's loopback, for other programs to try",
		Long: `Serves the world of a scenario on real sockets: update service, WSUS, content,
proxies, configuration scripts, a name server, a time server, each with the
scenario's faults. Without a scenario the world is healthy. Loopback only.

The services keep their own ports (80, 443, 8530, ...) on addresses of
127.77.0.0/16 where the system allows that, else with --any-port they take free
ones. It runs until it is stopped with Ctrl-C.

With --machine it serves nothing, and makes the scenario's simulated PC in a folder
instead, for 'updoc fix --lab' and its sisters to treat.`,
		Example: `  updoc lab                          a healthy world
  updoc lab walk-wsus-pool-stopped   a WSUS whose application pool is stopped
  updoc lab --list                   scenarios that have a world or a machine
  updoc lab --machine pc treat-dead-system-proxy
  updoc lab --any-port --format json  where everything is, for scripts`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return worlds(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				_, err := fmt.Fprintln(env.Stdout, strings.Join(worlds(), "\n"))
				return err
			}
			if format != "text" && format != "json" {
				return usage("the formats are text, json", "no such format: %q", format)
			}
			if machine != "" {
				return env.labMachine(cmd.Context(), machine, args)
			}
			var spec lab.WorldSpec
			if len(args) == 1 {
				s, err := lab.Load(args[0])
				switch {
				case errors.Is(err, fs.ErrNotExist), err == nil && s.World == nil:
					return usage("'updoc lab --list' names them", "no such world: %s", args[0])
				case err != nil:
					return err
				}
				spec = *s.World
			}
			return env.lab(cmd.Context(), spec, anyPort, format, roots)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&anyPort, "any-port", false, "take free ports of one loopback address instead of the services' own")
	f.StringVar(&roots, "roots", "", "write the world's trusted roots to this PEM file (default: a temporary file)")
	f.StringVar(&format, "format", "text", "text or json")
	f.BoolVar(&list, "list", false, "name the scenarios that have a world or a machine")
	f.StringVar(&machine, "machine", "", "make the scenario's simulated PC in this folder, and serve nothing")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

// labMachine makes a scenario's PC in a folder, and lets it try to update, so that it
// has written what a sick PC writes.
func (env *Env) labMachine(ctx context.Context, dir string, args []string) error {
	if len(args) != 1 {
		return usage("'updoc lab --list' names the scenarios", "--machine needs a scenario")
	}
	s, err := lab.Load(args[0])
	if errors.Is(err, fs.ErrNotExist) {
		return usage("'updoc lab --list' names them", "no such scenario: %s", args[0])
	}
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return usage("name a folder that is empty or not there yet", "%s is not empty", dir)
	}
	p, _, err := newLabPatient(dir, s)
	if err != nil {
		return err
	}
	defer p.Close()
	out, err := p.Try(ctx, host.Attempt{Stage: s.Cure.Fails})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s\n\nThe PC is in %s; its last %s ended with %s.\n  updoc fix --lab %s\n",
		strings.Join(strings.Fields(s.Story), " "), dir, s.Cure.Fails, out.Result, dir)
	return err
}

// worlds names the scenarios that have a world or a machine.
func worlds() []string {
	return slices.Concat(slices.DeleteFunc(lab.Names(), func(name string) bool {
		s, err := lab.Load(name)
		return err != nil || s.World == nil
	}), lab.MachineNames(), lab.RelayNames())
}

func (env *Env) lab(ctx context.Context, spec lab.WorldSpec, anyPort bool, format, roots string) error {
	w, err := lab.Open(spec)
	if err != nil {
		return err
	}
	defer w.Close()
	prefix := labNetwork
	if anyPort {
		prefix = netip.Prefix{}
	}
	doors, err := w.Listen(prefix)
	if err != nil {
		return &hinted{fmt.Errorf("serve the world: %w", err), "run it as root, or with --any-port", ExitUnknown}
	}
	if roots == "" {
		dir, err := os.MkdirTemp("", "updoc-lab-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		roots = filepath.Join(dir, "roots.pem")
	}
	if err := os.WriteFile(roots, doors.All, 0o600); err != nil {
		return usage("choose a file that may be written to", "write %s: %w", roots, err)
	}
	if format == "json" {
		err = json.NewEncoder(env.Stdout).Encode(struct {
			*lab.Doors
			File string `json:"file"`
		}{doors, roots})
	} else {
		err = writeDoors(env.Stdout, doors, roots)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil // to be stopped is how it ends
}

func writeDoors(w io.Writer, d *lab.Doors, roots string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "service\tis at")
	for _, door := range d.Doors {
		fmt.Fprintf(t, "%s:%d/%s\t%s\n", strings.Join(door.Names[:min(2, len(door.Names))], ", "), door.World.Port(), door.Network, door.Real)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "name server\n  %s (UDP)\ntrusted roots\n  %s\n", d.DNS, roots)
	if d.Same {
		fmt.Fprintf(w, "walk it\n  updoc trace --dns %s --trust %s\n", d.DNS, roots)
	}
	_, err := fmt.Fprintln(w, "Ctrl-C ends it.")
	return err
}
