package winhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// inverseMake says whether a service is there. One that runs the same is the same: how
// it starts, Windows changes by itself.
func inverseMake(c host.Change) ([]host.Change, error) {
	s, err := openService(c.Path, windows.SERVICE_QUERY_CONFIG)
	switch {
	case errors.Is(err, host.ErrNotExist):
		return []host.Change{{Kind: host.ServiceDrop, Path: c.Path}}, nil
	case err != nil:
		return nil, err
	}
	defer closeService(s)
	if c.Kind == host.ServiceDrop {
		return nil, nil // who takes away what was not made cannot make it again
	}
	now, err := serviceConfig(s)
	if err != nil {
		return nil, wrap("service "+c.Path, err)
	}
	if !strings.EqualFold(now.binary, c.Service.Binary) {
		return nil, fmt.Errorf("service %s runs %s: %w", c.Path, now.binary, host.ErrInTheWay)
	}
	return []host.Change{c}, nil
}

// makeService registers a service, and writes what stands below its key besides.
// learn.microsoft.com: "CreateServiceW".
func (h *Host) makeService(c host.Change) error {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT|windows.SC_MANAGER_CREATE_SERVICE)
	if err != nil {
		return wrap("service control manager", err)
	}
	defer closeService(manager)
	r := c.Service
	text := func(s string) *uint16 {
		if s == "" {
			return nil
		}
		return utf16ptr(s)
	}
	needs, err := multiText(r.Needs)
	if err != nil {
		return fmt.Errorf("service %s: %w", c.Path, err)
	}
	s, err := windows.CreateService(
		manager, utf16ptr(c.Path), text(r.Display), windows.SERVICE_QUERY_CONFIG, r.Type, c.Start.Type, r.Error,
		utf16ptr(r.Binary), text(r.Group), nil, unsafe.SliceData(needs), text(r.Account), nil,
	)
	switch {
	case is(err, windows.ERROR_SERVICE_EXISTS): // of an attempt that was cut off
		if _, err := inverseMake(c); err != nil {
			return err
		}
	case err != nil:
		return wrap("make service "+c.Path, err)
	default:
		closeService(s)
	}
	if err := setStart(c.Path, *c.Start); err != nil {
		return err
	}
	if err := r.Values(c.Path, func(key string, v *winlog.RegValue) error {
		if v == nil {
			return h.applyRegistry(host.Change{Kind: host.KeyMake, Path: key})
		}
		return h.applyRegistry(host.Set(key, v.Name, *v))
	}); err != nil {
		return err
	}
	return flushService(c.Path)
}

// goneAfter is how long a service that was taken away is waited for: as long as
// somebody looks at it, it is there.
const goneAfter = 10 * time.Second

// dropService takes a service away that was made. One that still runs, or that somebody
// holds, is gone after the next start of Windows. learn.microsoft.com: "DeleteService".
func (h *Host) dropService(ctx context.Context, name string) error {
	if (host.Change{Kind: host.ServiceStop, Path: name}).Check() == nil {
		if err := h.stopService(ctx, name); err != nil && !errors.Is(err, host.ErrNotExist) {
			return err
		}
	}
	s, err := openService(name, windows.DELETE)
	switch {
	case errors.Is(err, host.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	err = windows.DeleteService(s)
	closeService(s)
	if err != nil && !is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
		return wrap("take away service "+name, err)
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		s, err := openService(name, windows.SERVICE_QUERY_STATUS)
		switch {
		case errors.Is(err, host.ErrNotExist):
			return nil
		case err != nil:
			return err
		}
		closeService(s)
		if time.Since(began) > goneAfter {
			return fmt.Errorf("service %s: %w", name, host.ErrRestart)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// shadowCopies is how many numbers of shadow copies are tried: a volume has 64 at most
// that its user can see, and each start of Windows counts anew.
const shadowCopies = 128

// serviceCopies answers host.AskServiceCopies: from the shadow copies of the volume
// that Windows stands on, which restore points are too, and from the backup that
// Windows made of its registry before version 1803.
// learn.microsoft.com: "Naming Files, Paths, and Namespaces"; "The system registry is no
// longer backed up to the RegBack folder".
func serviceCopies(ctx context.Context, h *Host, args map[string]string) (any, error) {
	exists := func(p string) (bool, error) {
		_, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	if args["path"] != "" {
		return h.imageCopies(ctx, args, exists)
	}
	var states []host.OlderState
	var open []io.Closer
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	state := func(from, dir string) {
		s, files, err := olderState(from, dir)
		open = append(open, files...)
		if err == nil {
			states = append(states, s)
		}
	}
	windowsDir := h.places.windows
	config := strings.TrimPrefix(windowsDir, windowsDir[:2]) + `\System32\config`
	state("RegBack", windowsDir+`\System32\config\RegBack`)
	for n := range shadowCopies {
		name := fmt.Sprintf("HarddiskVolumeShadowCopy%d", n+1)
		state(name, `\\?\GLOBALROOT\Device\`+name+config)
	}
	return host.FindServiceCopies(ctx, h, states, windowsDir, exists)
}

// imageCopies finds them in an image. The files of a service are this machine's own, or
// there is no copy: an image is read for what the registry says alone.
func (h *Host) imageCopies(ctx context.Context, args map[string]string, exists func(string) (bool, error)) (any, error) {
	found, err := image(ctx, h, args)
	if err != nil {
		return nil, err
	}
	img := found.(host.Image)
	root := filepath.VolumeName(img.Path) + `\`
	inside := img
	inside.Path = filepath.ToSlash(strings.TrimPrefix(img.Path, root))
	index, _ := strconv.Atoi(args["index"])
	s, done, err := host.ImageState(os.DirFS(root), inside, index)
	if err != nil {
		return nil, err
	}
	s.From = root + filepath.FromSlash(s.From)
	out, err := host.FindServiceCopies(ctx, h, []host.OlderState{s}, h.places.windows, exists)
	return out, errors.Join(err, done())
}

// olderState opens the hives that lie in a folder.
func olderState(from, dir string) (s host.OlderState, files []io.Closer, err error) {
	sizes, readers := map[string]int64{}, map[string]*os.File{}
	s.From = from
	for _, name := range []string{"SYSTEM", "SOFTWARE"} {
		f, err := os.Open(dir + `\` + name)
		if err != nil {
			return s, files, err
		}
		files = append(files, f)
		info, err := f.Stat()
		if err != nil {
			return s, files, err
		}
		if info.Size() == 0 { // what RegBack holds since version 1803
			return s, files, fmt.Errorf("%s: %w", dir, host.ErrNotExist)
		}
		sizes[name], readers[name] = info.Size(), f
		if s.Taken.Before(info.ModTime()) {
			s.Taken = info.ModTime().UTC()
		}
	}
	s.Key = host.Hive(func(name string) (io.ReaderAt, int64, error) { return readers[name], sizes[name], nil })
	return s, files, nil
}
