package winhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// Bounds of what is converted: the newest traces, which hold the last days.
const (
	maxTraces  = 3
	traceBytes = 16 << 20 // of them all; XML of it is ten times that
	traceTime  = 15 * time.Second
)

// traceLog turns the update agent's newest traces into a WindowsUpdate.log in dir,
// by Windows' own tracerpt.exe. host.ErrNotExist: there are no traces, or no tracerpt.
func (h *Host) traceLog(ctx context.Context, dir string) (host.File, error) {
	ctx, cancel := context.WithTimeout(ctx, traceTime)
	defer cancel()
	traces, err := newestTraces(filepath.Join(h.places.windows, `Logs\WindowsUpdate`))
	if err != nil {
		return host.File{}, err
	}
	tool := filepath.Join(h.places.system, "tracerpt.exe")
	if _, err := os.Stat(tool); err != nil {
		return host.File{}, wrap("find tracerpt", err)
	}
	raw := filepath.Join(dir, "traces.xml")
	defer removeSoon(raw)
	cmd := exec.CommandContext(ctx, tool, append(slices.Clone(traces), "-of", "XML", "-o", raw, "-y")...)
	cmd.Dir, cmd.Env = dir, h.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NO_WINDOW}
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		return host.File{}, fmt.Errorf("tracerpt: %w", errors.Join(ctx.Err(), err))
	}
	src, err := os.Open(raw)
	if err != nil { // an exit code of 0 proves nothing
		return host.File{}, wrap("what tracerpt wrote", err)
	}
	defer src.Close()
	name := filepath.Join(dir, "WindowsUpdate.log")
	dst, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return host.File{}, wrap("write "+name, err)
	}
	n, err := convertTrace(dst, host.Abortable(ctx, bufio.NewReaderSize(src, 1<<20)), time.Local)
	if err = errors.Join(err, dst.Close()); n == 0 {
		return host.File{}, fmt.Errorf("traces of the update agent: %w", errors.Join(err, errNoEvents))
	}
	if err != nil {
		h.gap("WindowsUpdate.log", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return host.File{}, wrap("look at "+name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.traced = map[string]bool{}
	for _, t := range traces {
		h.traced[strings.ToLower(filepath.ToSlash(t))] = true
	}
	return host.File{Path: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime(), Kind: winlog.WindowsUpdate}, nil
}

var errNoEvents = errors.New("no events that tell what they say: traces of a Windows older than version 1709 need symbols")

// newestTraces lists the newest traces, the oldest of them first.
func newestTraces(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, wrap("list "+dir, err)
	}
	type trace struct {
		name string
		at   time.Time
		size int64
	}
	var all []trace
	for _, e := range entries {
		ok, err := filepath.Match("windowsupdate*.etl", strings.ToLower(e.Name()))
		info, ierr := e.Info()
		if err == nil && ierr == nil && ok && info.Mode().IsRegular() && info.Size() > 0 {
			all = append(all, trace{filepath.Join(dir, e.Name()), info.ModTime(), info.Size()})
		}
	}
	sorted.By(all, func(a, b trace) int { return b.at.Compare(a.at) })
	var out []string
	left := int64(traceBytes)
	for _, t := range all[:min(len(all), maxTraces)] {
		if left -= t.size; left >= 0 || len(out) == 0 {
			out = append(out, t.name)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("traces of the update agent: %w", host.ErrNotExist)
	}
	slices.Reverse(out)
	return out, nil
}
