package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// commanded runs a command line where nobody sits at a terminal.
func commanded(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(string) string { return "C.UTF-8" }, GOOS: runtime.GOOS, Version: "test",
		Sleep: noSleep,
	}, args)
	return code, stdout.String(), stderr.String()
}

// TestUpgradeOnMachines: the whole way on simulated machines: checks, setup's own look,
// setup, restarts, and what comes of it.
func TestUpgradeOnMachines(t *testing.T) {
	for _, c := range []struct {
		scenario, media string
		flags           []string
		code            int      // of the command
		says            []string // in the course of it all
		not             []string
		after           int    // of resuming after the restart; 0 if there is none to be
		build           string // in the end
		helped          bool
	}{
		{
			scenario: "upgrade-repairs-store", media: `C:\Media\windows.iso`, code: ExitRestart, after: ExitHealthy, build: "22631.3374", helped: true, // with the latest update on top
			says: []string{"Setup found nothing in the way", "it is 22631.2861 now", "Files, programs and settings were kept"},
		},
		{
			scenario: "upgrade-from-esd", media: `C:\Media\22631.2861.fab.esd`, code: ExitRestart, after: ExitHealthy, build: "22631.3374", helped: true,
			says: []string{`make media of the file, in C:\Media\updoc-media`, "it is 22631.2861 now", `C:\Media\updoc-media is not needed any more`},
		},
		{
			scenario: "upgrade-program-blocks", media: `C:\Media`, code: ExitProblems, build: "22631.3371",
			says: []string{"In the way: the program Fabrikam Shield 4"}, not: []string{"setup installs Windows over itself;"},
		},
		{
			scenario: "upgrade-driver-crashes", media: `C:\Media`, code: ExitRestart, after: ExitProblems, build: "22631.3371",
			says: []string{"Setup took everything back", "0xC1900101"},
		},
		{
			scenario: "upgrade-profile-twice", media: `C:\Media`, code: ExitProblems, build: "22631.3371",
			says: []string{"Setup ended with 0x80070002 - 0x50009"},
		},
		{scenario: "upgrade-not-now", media: `C:\Media`, flags: []string{"--recovery-key-kept"}, code: ExitProblems, build: "22631.3371", says: []string{
			"Too little room on the drive of Windows", "Too little room on the partition that starts Windows", "runs on its battery (34 %)", "waits for a restart", "BitLocker holds C:", "Nothing was started",
		}, not: []string{"setup looks"}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			_, dir := sickPC(t, c.scenario)
			args := append([]string{"upgrade", "--lab", dir, "--media", c.media, "--yes"}, c.flags...)
			code, out, errs := commanded(t, args...)
			if code != c.code {
				t.Errorf("ended with %d, want %d\n%s%s", code, c.code, out, errs)
			}
			if c.after != 0 || c.helped {
				p := opened(t, dir)
				if err := p.Restart(); err != nil {
					t.Fatal(err)
				}
				p.Close()
				code, more, errs := commanded(t, "resume", "--lab", dir)
				if out += more; code != c.after {
					t.Errorf("resumed it ended with %d, want %d\n%s%s", code, c.after, more, errs)
				}
			}
			flat := strings.Join(strings.Fields(out), " ")
			for _, want := range c.says {
				if !strings.Contains(flat, want) {
					t.Errorf("does not say %q:\n%s", want, out)
				}
			}
			for _, never := range c.not {
				if strings.Contains(flat, never) {
					t.Errorf("says %q:\n%s", never, out)
				}
			}
			m, err := opened(t, dir).Machine(t.Context())
			if err != nil || m.Build != c.build {
				t.Errorf("it runs %s, %v; want %s", m.Build, err, c.build)
			}
		})
	}
}

// TestUpgradeRefusesWrongMedia: media that do not fit are refused before anything starts:
// nothing of the machine changes, and setup is not run.
func TestUpgradeRefusesWrongMedia(t *testing.T) {
	_, dir := sickPC(t, "upgrade-media-wrong")
	before := snapshot(t, opened(t, dir))
	for media, want := range map[string]string{
		`C:\Media\german.iso`: "language", `C:\Media\home`: "edition", `C:\Media\arm`: "arch", `C:\Media\older`: "build",
	} {
		code, out, errs := commanded(t, "upgrade", "--lab", dir, "--media", media, "--yes", "--format", "json")
		if code != ExitProblems {
			t.Errorf("%s: ended with %d\n%s%s", media, code, out, errs)
		}
		var doc struct {
			Kind    string
			Stopped bool
			Checks  []struct{ ID, State string }
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Kind != "checks" || !doc.Stopped {
			t.Errorf("%s: %s, %v", media, out, err)
		}
		var stops []string
		for _, c := range doc.Checks {
			if c.State == "stop" {
				stops = append(stops, c.ID)
			}
		}
		if !slices.Equal(stops, []string{want}) {
			t.Errorf("%s: stopped by %v, want %s", media, stops, want)
		}
	}
	for media, want := range map[string]int{`C:\Media\nothing.iso`: ExitUsage, `C:\Media`: ExitProblems, `C:\Windows`: ExitProblems} {
		if code, out, errs := commanded(t, "upgrade", "--lab", dir, "--media", media, "--yes"); code != want {
			t.Errorf("%s: ended with %d, want %d\n%s%s", media, code, want, out, errs)
		}
	}
	if d := differ(before, snapshot(t, opened(t, dir))); len(d) > 0 {
		t.Errorf("something was changed:\n%s", strings.Join(d, "\n"))
	}
}

// TestUpgradeLooks: --check has setup look, leaves nothing behind, and ends as it found.
func TestUpgradeLooks(t *testing.T) {
	for scenario, c := range map[string]struct {
		media string
		code  int
		says  string
	}{
		"upgrade-repairs-store":  {`C:\Media\windows.iso`, ExitHealthy, "Setup found nothing in the way."},
		"upgrade-program-blocks": {`C:\Media`, ExitProblems, "In the way: the program Fabrikam Shield 4."},
	} {
		_, dir := sickPC(t, scenario)
		before := snapshot(t, opened(t, dir))
		code, out, errs := commanded(t, "upgrade", "--lab", dir, "--media", c.media, "--check")
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: ended with %d\n%s%s", scenario, code, out, errs)
		}
		after := snapshot(t, opened(t, dir))
		for p := range after {
			if strings.HasPrefix(p, `C:\$WINDOWS.~BT`) { // setup's own folder, which Windows takes away again
				delete(after, p)
			}
		}
		if d := differ(before, after); len(d) > 0 {
			t.Errorf("%s: something stayed:\n%s", scenario, strings.Join(d, "\n"))
		}
	}
}

// TestUpgradeAsks: where nobody is there to answer, nothing starts without a flag for it.
func TestUpgradeAsks(t *testing.T) {
	_, dir := sickPC(t, "upgrade-repairs-store")
	if code, _, errs := commanded(t, "upgrade", "--lab", dir, "--media", `C:\Media\windows.iso`); code != ExitUsage || !strings.Contains(errs, "--yes") {
		t.Errorf("without --yes: %d, %s", code, errs)
	}
	_, dir = sickPC(t, "upgrade-encrypted")
	if code, _, errs := commanded(t, "upgrade", "--lab", dir, "--media", `C:\Media\windows.iso`, "--yes"); code != ExitUsage || !strings.Contains(errs, "--recovery-key-kept") {
		t.Errorf("without the recovery key: %d, %s", code, errs)
	}
	code, out, errs := commanded(t, "upgrade", "--lab", dir, "--media", `C:\Media\windows.iso`, "--yes", "--recovery-key-kept")
	if code != ExitRestart || !strings.Contains(strings.Join(strings.Fields(out), " "), "/bitlocker alwayssuspend") {
		t.Errorf("with it: %d\n%s%s", code, out, errs)
	}
}
