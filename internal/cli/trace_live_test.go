package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/route"
)

// On the sick Windows itself a trace takes the machine's own settings, and walks as the
// account that was asked for, or as SYSTEM if that can be had.
func TestTraceLive(t *testing.T) {
	s, err := lab.Load("walk-tunnel-challenged")
	if err != nil {
		t.Fatal(err)
	}
	w, err := lab.Open(*s.World)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := host.OpenFS(t.Context(), s.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	network := route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow}
	for name, tt := range map[string]struct {
		args  []string
		none  []string // accounts that cannot be had
		asked []string // in this order
		as    string
		code  int
		says  string
	}{
		"by itself":              {asked: []string{"system"}, as: "system", code: ExitProblems},
		"by itself, no rights":   {none: []string{"system"}, asked: []string{"system", "user"}, as: currentUser(), code: ExitProblems},
		"as the user":            {args: []string{"--as", "user"}, asked: []string{"user"}, as: currentUser(), code: ExitProblems},
		"as SYSTEM":              {args: []string{"--as", "system"}, asked: []string{"system"}, as: "system", code: ExitProblems},
		"as SYSTEM, no rights":   {args: []string{"--as", "system"}, none: []string{"system"}, asked: []string{"system"}, code: ExitNotAllowed, says: "--as user"},
		"as SYSTEM, own roots":   {args: []string{"--as", "system", "--dns", "192.0.2.1"}, code: ExitUsage, says: "--dns is for updoc's own network stack"},
		"another proxy than its": {args: []string{"--proxy", "http://gone.fabrikam.example:8080"}, asked: []string{"system"}, as: "system", code: ExitProblems},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			left := 0
			var out, errs bytes.Buffer
			code := Run(t.Context(), Env{
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, GOOS: "windows",
				Live:    func(context.Context) (host.Reader, error) { return liveAlike{r}, nil },
				Network: network,
				As: func(_ context.Context, account string) (host.Exchanger, func(), error) {
					asked = append(asked, account)
					if slices.Contains(tt.none, account) {
						return nil, nil, errors.New("the service manager says no")
					}
					return route.NewProber(network), func() { left++ }, nil
				},
			}, append([]string{"trace", "--format", "json"}, tt.args...))
			if code != tt.code || !slices.Equal(asked, tt.asked) || !strings.Contains(errs.String(), tt.says) {
				t.Fatalf("exit %d, asked for %v\n%s\n%s", code, asked, errs.String(), out.String())
			}
			if tt.as == "" {
				return
			}
			var doc struct {
				As     string
				Routes []struct{ Ways []struct{ Proxy string } }
			}
			if err := json.NewDecoder(&out).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if doc.As != tt.as || left != 1 {
				t.Errorf("walked as %q, left %d times", doc.As, left)
			}
			proxies := map[string]bool{}
			for _, r := range doc.Routes {
				for _, way := range r.Ways {
					proxies[way.Proxy] = true
				}
			}
			if other := len(tt.args) == 2 && tt.args[0] == "--proxy"; proxies["http://gone.fabrikam.example:8080"] != other || len(proxies) < 2 {
				t.Errorf("proxies %v", proxies)
			}
		})
	}
}
