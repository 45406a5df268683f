//go:build linux

package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// tmuxed is updoc on a terminal that tmux plays.
type tmuxed struct {
	*testing.T
	socket        string
	width, height int
}

func (x *tmuxed) tmux(args ...string) string {
	x.Helper()
	out, err := exec.CommandContext(x.Context(), "tmux", append([]string{"-f", "/dev/null", "-S", x.socket}, args...)...).CombinedOutput()
	if err != nil && x.Context().Err() == nil {
		x.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// onTerminal starts a command line of updoc on a terminal of a size.
func onTerminal(t *testing.T, exe string, width, height int, env, line string) *tmuxed {
	t.Helper()
	x := &tmuxed{t, filepath.Join(t.TempDir(), "tmux"), width, height}
	x.tmux("new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env LANG=C.UTF-8 "+env+" "+exe+" "+line)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", x.socket, "kill-server").Run() }) // it may have ended
	return x
}

// screen is what stands on the terminal.
func (x *tmuxed) screen() string { return x.tmux("capture-pane", "-p") }

// sees waits until a text stands on the terminal, and holds the screen to its size.
func (x *tmuxed) sees(want string) string {
	x.Helper()
	last := ""
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if last = x.screen(); strings.Contains(last, want) {
			for l := range strings.Lines(last) {
				if n := utf8.RuneCountInString(strings.TrimRight(l, "\n")); n > x.width {
					x.Errorf("%d columns on a terminal of %d: %q", n, x.width, l)
				}
			}
			return last
		}
	}
	x.Fatalf("the terminal does not show %q:\n%s", want, last)
	return ""
}

// palette holds what stands on the terminal to the colours that its owner chose, light or
// dark: none by number, no ground, and neither black nor white, one of which is unseen.
// And no text is missing, whose key would stand in its place.
func (x *tmuxed) palette() {
	x.Helper()
	if key := regexp.MustCompile(`\b(report|ui|term|page|stage|kind|risk)\.[a-z][a-z-]+\b`).FindString(x.screen()); key != "" {
		x.Errorf("no text for %s", key)
	}
	for _, m := range regexp.MustCompile("\x1b\\[([0-9;]*)m").FindAllStringSubmatch(x.tmux("capture-pane", "-p", "-e"), -1) {
		for code := range strings.SplitSeq(m[1], ";") {
			switch code {
			case "30", "37", "97", "38", "40", "41", "42", "43", "44", "45", "46", "47", "48", "100", "107":
				x.Errorf("the colour %q", m[1])
			}
		}
	}
}

func (x *tmuxed) press(keys ...string) { x.tmux(append([]string{"send-keys"}, keys...)...) }

// The whole story on real terminals: small and large, with colour and without, on a
// terminal that shows ASCII alone, and made smaller while it repairs.
func TestTerminal(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	exe := filepath.Join(t.TempDir(), "updoc")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exe, "updoc").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*3[0-7]")
	for _, tt := range []struct {
		name          string
		width, height int
		env           string
		color, ascii  bool
	}{
		{"80x24", 80, 24, "TERM=screen-256color", true, false},
		{"200x60", 200, 60, "TERM=screen-256color", true, false},
		{"NO_COLOR", 80, 24, "TERM=screen-256color NO_COLOR=1", false, false},
		{"ASCII", 80, 24, "TERM=screen LANG=C LC_ALL=C", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := onTerminal(t, exe, tt.width, tt.height, tt.env, "demo --terminal")
			today := x.sees("FRIEDA-PC")
			if got := escapes.MatchString(x.tmux("capture-pane", "-p", "-e")); got != tt.color {
				t.Errorf("colour: %v", got)
			}
			if tt.ascii && strings.ContainsFunc(today, func(r rune) bool { return r > 0x7E }) {
				t.Errorf("more than ASCII:\n%s", today)
			}
			x.palette()
			for _, v := range [][2]string{{"2", "conclusive"}, {"3", "Correct the list of hosts"}, {"4", "updoc has changed nothing on this PC"}, {"5", "Passwords are taken out"}} {
				x.press(v[0])
				x.sees(v[1])
				x.palette()
			}
			x.press("6")
			x.sees("A bundle, or a file or folder of another PC's logs")
			x.palette()
			x.press("Tab")
			x.sees("A code")
			x.press("0x80070422", "Enter")
			x.sees("ERROR_SERVICE_DISABLED")
			x.press("Tab") // around to the first one
			x.sees("FRIEDA-PC")
			x.press("f")
			x.sees("Carry the plan out?")
			x.press("y")
			x.sees("May updoc do this?")
			x.width, x.height = 60, 20
			x.tmux("resize-window", "-x", "60", "-y", "20")
			x.press("y")
			x.sees("Cured")
			x.press("4")
			x.sees("change stands")
			x.press("u", "y")
			x.sees("Taken back")
			x.press("q")
			for until := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if err := exec.Command("tmux", "-S", x.socket, "list-sessions").Run(); err != nil {
					break // the last one has ended
				}
				if time.Now().After(until) {
					t.Fatalf("it did not end:\n%s", x.screen())
				}
			}
		})
	}
	t.Run("a terminal that cannot", func(t *testing.T) {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), exe, "demo", "--terminal")
		cmd.Env = append(os.Environ(), "TERM=dumb")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "updoc: hint:") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
