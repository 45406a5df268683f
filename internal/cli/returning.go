package cli

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf16"

	"updoc/internal/host"
	"updoc/internal/ui"
	"updoc/internal/winlog"
)

// The value that has Windows open the page once, when the person signs in next. It is a
// setting of theirs alone, which Windows itself takes away before it obeys it; and, as
// those keys are by default, it is not obeyed in safe mode.
// learn.microsoft.com: "Run and RunOnce Registry Keys".
const (
	onceKey   = `HKCU\Software\Microsoft\Windows\CurrentVersion\RunOnce`
	onceValue = "updoc page"
	onceMost  = 260 // characters of a command line; as many are one too many for some readers
)

const signInFlag = "at-sign-in"

// returning has the page of a person come back after a restart.
type returning struct {
	h    host.Host // whose HKCU is theirs
	self string    // full path of this program, as the machine knows it
}

func (env *Env) returning(h host.Host, self string) ui.Returner { return returning{h, self} }

// line is the command line that opens the page at a run.
func (r returning) line(run string) (string, error) {
	if len(r.self) < 4 || r.self[1:3] != `:\` || strings.ContainsAny(r.self, "\"\r\n\x00") {
		return "", fmt.Errorf("%s: not a path that a sign-in could start", r.self)
	}
	if err := checkRun(run); err != nil {
		return "", err
	}
	line := `"` + r.self + `" page --` + signInFlag + " --run " + run
	if len(utf16.Encode([]rune(line))) >= onceMost {
		return "", errors.New("the path of this program is too long for a command line at sign-in")
	}
	return line, nil
}

// ComeBack implements [ui.Returner].
func (r returning) ComeBack(ctx context.Context, run string) error {
	line, err := r.line(run)
	if err != nil {
		return err
	}
	var data []byte
	for _, u := range utf16.Encode([]rune(line + "\x00")) {
		data = binary.LittleEndian.AppendUint16(data, u)
	}
	return r.h.Apply(ctx, host.Change{
		Kind: host.ValueSet, Path: onceKey, Name: onceValue,
		Value: &winlog.RegValue{Name: onceValue, Type: winlog.RegSZ, Data: data},
	})
}

// Stay implements [ui.Returner].
func (r returning) Stay(ctx context.Context) error {
	return r.h.Apply(ctx, host.Change{Kind: host.ValueDel, Path: onceKey, Name: onceValue})
}

// pageApart opens the page in a process of its own and ends: Explorer may wait for what
// it starts at a sign-in before it shows the desktop.
// support.microsoft.com: "A definition of the Run keys in the Windows XP registry" (314866).
func (env *Env) pageApart(f pageFlags, t treating) error {
	args := []string{"page"}
	for flag, v := range map[string]string{"run": f.run, "lang": f.lang, "lab": t.lab} {
		if v != "" {
			args = append(args, "--"+flag, v)
		}
	}
	for flag, v := range map[string]bool{"no-browser": f.noBrowser, "no-network": t.blind} {
		if v {
			args = append(args, "--"+flag)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = filepath.Dir(self)
	cmd.Stdout, cmd.Stderr = env.Stdout, env.Stderr // the address, for who has no browser
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("open the page: %w", err)
	}
	return cmd.Process.Release()
}
