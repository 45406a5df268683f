package winhost

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

const (
	// toolLimit ends a tool that never does. RestoreHealth over a slow line takes
	// more than an hour; sfc on a full and slow disk as long.
	toolLimit = 4 * time.Hour
	// outputKept is the end of what a tool says that is kept; the beginning is a banner.
	outputKept = 64 << 10
	// progressEvery is how often somebody is told of a tool that works.
	progressEvery = 250 * time.Millisecond
)

// tool returns the absolute path of one of host.Tools, in the system directory
// that Windows names. What %PATH% says counts nothing: whoever can change it would
// run as an administrator.
func (h *Host) tool(name string) (string, error) {
	switch name {
	case "winmgmt":
		return h.places.system + `\wbem\winmgmt.exe`, nil
	case "mpcmdrun":
		programs, err := windows.KnownFolderPath(windows.FOLDERID_ProgramFiles, 0)
		return programs + `\Windows Defender\MpCmdRun.exe`, wrap("find the program files", err)
	case "netsh", "schtasks": // updoc's own, for Switch
	default:
		if !slices.Contains(host.Tools, name) {
			return "", host.ErrRefused
		}
	}
	return h.places.system + `\` + name + ".exe", nil
}

// environment is what a tool of Windows needs, and nothing that a user may have
// set besides: variables load profilers and move temporary folders.
func (h *Host) environment() []string {
	windir := h.places.windows
	return []string{
		"SystemRoot=" + windir, "windir=" + windir, "SystemDrive=" + h.places.drive, "ProgramData=" + h.places.data,
		"ComSpec=" + windir + `\System32\cmd.exe`, "PATH=" + windir + `\System32;` + windir,
		"TEMP=" + windir + `\Temp`, "TMP=" + windir + `\Temp`,
	}
}

// run runs a tool to its end.
func (h *Host) run(ctx context.Context, name string, args []string) error {
	path, err := h.tool(name)
	if err != nil {
		return err
	}
	if info, err := stat(path); err != nil || info == nil {
		return errors.Join(err, fmt.Errorf("%s: %w", path, host.ErrNotExist))
	}
	if leftAlone(name) {
		ctx = context.WithoutCancel(ctx)
	} else {
		limited, cancel := context.WithTimeout(ctx, toolLimit)
		defer cancel()
		ctx = limited
	}
	given, held, err := lendDisc(ctx, args)
	if err != nil {
		return err
	}
	defer held.close()
	cmd := exec.CommandContext(ctx, path, given...)
	cmd.Env, cmd.Dir = h.environment(), h.places.windows
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NO_WINDOW}
	if held != 0 { // the tool outlives updoc, and the disc lasts as long as the tool
		cmd.SysProcAttr.AdditionalInheritedHandles = []syscall.Handle{syscall.Handle(held)}
	}
	cmd.WaitDelay = 5 * time.Second // what it started may hold its output open
	said := &output{}
	cmd.Stdout, cmd.Stderr = said, said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return wrap("start "+path, unwrapPath(err))
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	log := &growing{path: h.places.windows + `\Logs\CBS\CBS.log`}
	size, _ := log.more()
	follow := newPace(name, began, size)
	for {
		select {
		case err = <-done:
			return h.ended(ctx, name, args, cmd, said, err)
		case <-tick.C:
			size, added := log.more()
			w := follow.saw(time.Now(), lastLine(said.text()), size, added)
			h.progress(w)
			if leftAlone(name) && w.Elapsed > toolLimit && w.Still > 0 {
				// Whoever waits is told; the tool goes on, and TrustedInstaller with it.
				return fmt.Errorf("%s is at work for %v and nothing has moved for %v: it is left alone", name, w.Elapsed.Round(time.Minute), w.Still.Round(time.Minute))
			}
		}
	}
}

// unwrapPath is the error of Windows below what os makes of it.
func unwrapPath(err error) error {
	var errno windows.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// ended says what the end of a tool means.
func (h *Host) ended(ctx context.Context, name string, args []string, cmd *exec.Cmd, said *output, err error) error {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s was ended: %w", name, ctx.Err())
	case err == nil || errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.ExitCode() == 0:
		return nil
	case !errors.As(err, &exit):
		return wrap("run "+name, err)
	}
	return toolResult(name, args, uint32(exit.ExitCode()), strings.TrimSpace(said.text()))
}

// output keeps the end of what a tool says.
type output struct {
	mu sync.Mutex
	b  []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b = append(o.b, p...)
	if n := len(o.b) - outputKept; n > outputKept { // dropped in whole blocks, so that UTF-16 stays aligned
		o.b = append(o.b[:0], o.b[n&^1:]...)
	}
	return len(p), nil
}

func (o *output) text() string {
	o.mu.Lock()
	b := slices.Clone(o.b)
	o.mu.Unlock()
	return consoleText(b, oemText)
}

// oemText decodes what a console program of this Windows writes to a pipe.
func oemText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	wide := make([]uint16, len(b)) // no code page makes more of a byte
	n, err := windows.MultiByteToWideChar(getOEMCP(), 0, &b[0], int32(len(b)), &wide[0], int32(len(wide)))
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return windows.UTF16ToString(wide[:n])
}

// leftAlone reports a tool that is never ended from outside: what it works on is whole
// only when it says so. learn.microsoft.com: "Windows Modules Installer".
func leftAlone(tool string) bool { return tool == "dism" || tool == "sfc" || tool == "wusa" }
