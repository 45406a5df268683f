package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"updoc/internal/cli"
)

// underWine skips what would disarrange a Windows that somebody uses: these tests
// reset and repair the machine that they run on.
func underWine(t *testing.T) {
	t.Helper()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil {
		t.Skip("changes the machine that it runs on: under Wine only")
	}
}

// updoc runs a command line on this machine.
func updoc(t *testing.T, stateDir string, args ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var buf bytes.Buffer
	code = cli.Run(ctx, cli.Env{
		Stdin: strings.NewReader(""), Stdout: &buf, Stderr: &buf, Getenv: func(string) string { return "" },
		GOOS: "windows", Version: "test", Live: live, State: func() (string, error) { return stateDir, nil },
	}, args)
	t.Logf("updoc %s: exit %d\n%s", strings.Join(args, " "), code, buf.String())
	return code, buf.String()
}

// tree is every file below a folder with its bytes and time.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil || info.IsDir() {
			out[rel] = "folder"
			return err
		}
		b, err := os.ReadFile(p)
		out[rel] = info.ModTime().UTC().Format(time.RFC3339) + " " + string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	for k, v := range before {
		if after[k] != v {
			t.Errorf("%s: %s is %.80q, was %.80q", what, k, after[k], v)
		}
	}
	for k := range after {
		if _, ok := before[k]; !ok {
			t.Errorf("%s: %s is new", what, k)
		}
	}
}

// TestLiveReset: the reset renames what it says, and undo puts it back to the byte.
func TestLiveReset(t *testing.T) {
	underWine(t)
	dir := filepath.Join(os.Getenv("SystemRoot"), "SoftwareDistribution")
	old := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, text := range map[string]string{`DataStore\DataStore.edb`: "the database", `Download\abc\update.cab`: "half of an update", "ReportingEvents.log": "history"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	before, stateDir := tree(t, dir), t.TempDir()

	if code, out := updoc(t, stateDir, "reset", "--yes", "--no-network"); code == cli.ExitUsage || code == cli.ExitBroken || code == cli.ExitNotAllowed {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if _, err := os.Stat(filepath.Join(dir, `DataStore\DataStore.edb`)); err == nil {
		t.Error("the old database is where it was")
	}
	aside, err := filepath.Glob(dir + ".updoc-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("moved aside: %v, %v", aside, err)
	}
	same(t, "moved aside", before, tree(t, aside[0]))

	if code, out := updoc(t, stateDir, "undo"); code != cli.ExitHealthy {
		t.Fatalf("undo: exit %d\n%s", code, out)
	}
	same(t, "after undo", before, tree(t, dir))
	code, out := updoc(t, stateDir, "history", "--format", "json")
	var runs []struct{ Standing int }
	if err := json.Unmarshal([]byte(out), &runs); code != cli.ExitHealthy || err != nil || len(runs) != 1 || runs[0].Standing != 0 {
		t.Errorf("history: exit %d, %v\n%s", code, err, out)
	}
}

// TestLiveService: a service that somebody disabled is found, put back through the
// service control manager, and disabled again by undo.
func TestLiveService(t *testing.T) {
	underWine(t)
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Disconnect() })
	s, err := m.OpenService("wuauserv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	start := func() uint32 {
		t.Helper()
		c, err := s.Config()
		if err == nil {
			return c.StartType
		}
		return startOf(t, s)
	}
	set := func(n uint32) {
		t.Helper()
		if err := windows.ChangeServiceConfig(s.Handle, windows.SERVICE_NO_CHANGE, n, windows.SERVICE_NO_CHANGE, nil, nil, nil, nil, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	was := start()
	t.Cleanup(func() { set(was) })
	if st, err := s.Query(); err == nil && st.State == svc.Running {
		_, _ = s.Control(svc.Stop)
	}
	set(mgr.StartDisabled)

	stateDir := t.TempDir()
	if code, out := updoc(t, stateDir, "fix", "--yes", "--no-network"); !strings.Contains(out, "restore-service-start-types") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if n := start(); n == mgr.StartDisabled {
		t.Errorf("it is still disabled")
	}
	if code, out := updoc(t, stateDir, "undo"); code != cli.ExitHealthy {
		t.Fatalf("undo: exit %d\n%s", code, out)
	}
	if n := start(); n != mgr.StartDisabled {
		t.Errorf("after undo its start type is %d", n)
	}
}

// startOf reads the start type where Wine knows no more than the first structure.
func startOf(t *testing.T, s *mgr.Service) uint32 {
	t.Helper()
	var need uint32
	_ = windows.QueryServiceConfig(s.Handle, nil, 0, &need) // fails, and says how much it takes
	b := make([]byte, need+1)
	c := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0]))
	if err := windows.QueryServiceConfig(s.Handle, c, need, &need); err != nil {
		t.Fatal(err)
	}
	return c.StartType
}

// TestLiveBundle: what is collected is diagnosed as the machine itself.
func TestLiveBundle(t *testing.T) {
	underWine(t)
	to := filepath.Join(t.TempDir(), "bundle.zip")
	if code, out := updoc(t, "", "collect", "--yes", "-o", to); code != cli.ExitHealthy {
		t.Fatalf("exit %d\n%s", code, out)
	}
	first := func(args ...string) string {
		_, out := updoc(t, "", append([]string{"diagnose", "--format", "json", "--no-network"}, args...)...)
		var doc struct {
			Verdict string
			Causes  []struct{ ID string }
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		ids := doc.Verdict
		for _, c := range doc.Causes {
			ids += " " + c.ID
		}
		return ids
	}
	if live, bundle := first(), first("--from", to); live != bundle {
		t.Errorf("the machine: %s\nits bundle: %s", live, bundle)
	}
}
