package winhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/authenticode"
	"updoc/internal/host"
)

// setupTail is how much of the end of setup's log is read for its result; what comes
// after the result is a few hundred lines.
const setupTail = 1 << 20

const (
	keySetup = `HKLM\SYSTEM\Setup`
	// What setup tells of itself while it works.
	keySetupWorks = `HKLM\SYSTEM\Setup\MoSetup\Volatile`
)

// looksClean is MOSETUP_E_COMPAT_SCANONLY: a look that was asked for found nothing.
const looksClean = 0xC1900210

// runSetup runs setup.exe of installation media to the end of what it does while this
// Windows runs. It is started only if Microsoft signed it, and stays open between the
// look at its signature and its start, so that nobody puts another file in its place.
func (h *Host) runSetup(ctx context.Context, args []string) error {
	root, err := h.mediaRoot(args[0])
	if err != nil {
		return err
	}
	for _, name := range []string{`setup.exe`, `sources\setupprep.exe`, `sources\setuphost.exe`} {
		held, err := holdSigned(filepath.Join(root, name))
		switch {
		case err == nil:
			defer held.Close()
		case name == `setup.exe`, !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s of the media: %w", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "setup.exe"), args[1:]...)
	cmd.Env, cmd.Dir = h.environment(), root
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true}
	cmd.WaitDelay = 30 * time.Second
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return wrap("make a job for setup", err)
	}
	defer windows.CloseHandle(job)
	// setup.exe starts others that do the work: who stops it stops them all.
	cmd.Cancel = func() error { return windows.TerminateJobObject(job, uint32(windows.ERROR_CANCELLED)) }
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return wrap("start setup", unwrapPath(err))
	}
	if err := assign(job, cmd.Process.Pid); err != nil {
		return errors.Join(wrap("watch over setup", err), cmd.Process.Kill(), cmd.Wait())
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err = <-done:
			if cmd.ProcessState != nil && uint32(cmd.ProcessState.ExitCode()) == looksClean && ctx.Err() == nil && slices.ContainsFunc(args, isScanOnly) {
				return nil
			}
			return h.ended(ctx, host.ToolSetup, args, cmd, &output{}, err)
		case <-tick.C:
			h.progress(Progress{What: host.ToolSetup, Percent: float64(h.setupPercent(ctx)), Elapsed: time.Since(began)})
		}
	}
}

func isScanOnly(arg string) bool { return strings.EqualFold(arg, "scanonly") }

func assign(job windows.Handle, pid int) error {
	p, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(p)
	return windows.AssignProcessToJobObject(job, p)
}

// holdSigned opens a program so that nobody can change it, and verifies that Microsoft
// itself signed it.
func holdSigned(path string) (io.Closer, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(handle), path)
	info, err := f.Stat()
	if err == nil {
		_, err = authenticode.Verify(f, info.Size(), authenticode.Options{})
	}
	if err == nil {
		err = Trusted(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// setupPercent is how far setup says that it is, -1 where it says nothing.
func (h *Host) setupPercent(ctx context.Context) int {
	k, err := h.Key(ctx, keySetupWorks)
	if err != nil {
		return -1
	}
	if n, ok := dword(k, "SetupProgress"); ok && n <= 100 {
		return int(n)
	}
	return -1
}

// setupState answers host.AskSetup from the registry and from what setup wrote.
func setupState(ctx context.Context, h *Host, args map[string]string) (any, error) {
	since, err := time.Parse(time.RFC3339, args[host.SetupSince])
	if err != nil {
		since = time.Now().Add(-24 * time.Hour)
	}
	s := host.SetupState{Percent: h.setupPercent(ctx)}
	m, err := h.Machine(ctx)
	if err != nil {
		return nil, err
	}
	s.Build = m.Build
	if k, err := h.Key(ctx, keyWindowsNT); err == nil {
		if n, ok := dword(k, "InstallDate"); ok {
			s.Installed = time.Unix(int64(n), 0).UTC()
		}
	}
	if k, err := h.Key(ctx, keySetup); err == nil {
		n, _ := dword(k, "SystemSetupInProgress")
		s.Running = n != 0
	}
	work := h.places.drive + `\$WINDOWS.~BT\Sources`
	newest := since.Add(-time.Second)
	for _, name := range []string{work + `\Panther\setupact.log`, work + `\Rollback\setupact.log`, h.places.windows + `\Panther\setupact.log`} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.ModTime().After(newest) {
			var end setupEnd
			if end, err = tailOf(name, info.Size()); err == nil {
				newest = info.ModTime()
				s.Result, s.Extend, s.Rolled, s.Ended = end.Result, end.Extend, end.Rolled, newest.UTC()
			}
		}
		if err != nil {
			s.Unseen = append(s.Unseen, unseenPart(name, err))
		}
	}
	s.Reports, err = compatReports(work+`\Panther`, since.Add(-time.Second))
	if err != nil {
		s.Unseen = append(s.Unseen, unseenPart("reports", err))
	}
	return s, nil
}

// tailOf reads the end of a log of setup, which may be in use.
func tailOf(name string, size int64) (setupEnd, error) {
	f, err := os.Open(name)
	if err != nil {
		return setupEnd{}, err
	}
	defer f.Close()
	return readSetupEnd(io.NewSectionReader(f, max(0, size-setupTail), setupTail))
}

// compatReports are the reports of the last look, newest first.
func compatReports(dir string, since time.Time) ([][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "CompatData_*.xml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names) // they carry their time
	slices.Reverse(names)
	var out [][]byte
	var errs []error
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.Size() > host.MaxSetupReport || info.ModTime().Before(since) {
			errs = append(errs, err)
			continue
		}
		b, err := os.ReadFile(name)
		if errs = append(errs, err); err == nil {
			out = append(out, b)
		}
		if len(out) == host.MaxSetupReports {
			break
		}
	}
	return out, errors.Join(errs...)
}

// mediaRoot is the folder with setup.exe: the folder that was named, or the drive that
// an ISO file is mounted as.
func (h *Host) mediaRoot(media string) (string, error) {
	if !strings.HasSuffix(strings.ToLower(media), ".iso") {
		return media, nil
	}
	d, err := openDisc(media)
	if err != nil {
		return "", err
	}
	defer d.close()
	return d.root()
}
