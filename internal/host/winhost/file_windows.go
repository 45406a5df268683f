package winhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

const (
	maxNames = 20_000 // names of a folder that are looked at
	// maxPerPlace bounds what one pattern may match: whoever may write to a folder of
	// logs could fill it with names.
	maxPerPlace = 200
)

// Files lists the evidence on this machine's disk, and the event logs, of which a
// copy is made when they are first asked for. Paths are written with slashes.
func (h *Host) Files(ctx context.Context, pattern string) ([]host.File, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("files %s: %w", pattern, err)
	}
	wanted := func(name string) bool {
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
		return ok && err == nil
	}
	var out []host.File
	for _, p := range evidence() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("files %s: %w", pattern, err)
		}
		out = append(out, h.filesOf(p, wanted)...)
	}
	if strings.ContainsAny(pattern, "*?[") || strings.HasSuffix(strings.ToLower(pattern), ".evtx") {
		logs, err := h.logs()
		if err != nil {
			h.gap("event logs", err)
		}
		for _, f := range logs {
			h.keep(f)
			if wanted(path.Base(f.Path)) {
				out = append(out, f)
			}
		}
	}
	out = h.untraced(out)
	sorted.By(out, func(a, b host.File) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(out, func(a, b host.File) bool { return strings.EqualFold(a.Path, b.Path) }), nil
}

// untraced leaves out the traces of which a log was made that is listed: as they are
// nobody can read them.
func (h *Host) untraced(files []host.File) []host.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(files, func(f host.File) bool { return h.traced[strings.ToLower(f.Path)] })
}

// keep remembers a file that lies elsewhere than the evidence.
func (h *Host) keep(f host.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.extra[f.Path] = f
}

// gap remembers what is there and could not be read.
func (h *Host) gap(what string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gaps[what] = err.Error()
}

// Unreadable lists what was found and could not be opened, with the reason.
func (h *Host) Unreadable() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for what, why := range h.gaps {
		out = append(out, what+": "+why)
	}
	slices.Sort(out)
	return out
}

func (h *Host) folderOf(b base) string {
	switch b {
	case systemFolder:
		return h.places.system
	case dataFolder:
		return h.places.data
	case driveRoot:
		return h.places.drive
	}
	return h.places.windows
}

// filesOf lists the files of one place that are wanted.
func (h *Host) filesOf(p place, wanted func(name string) bool) []host.File {
	dir := h.folderOf(p.base)
	if p.folder != "" {
		dir += `\` + filepath.FromSlash(p.folder)
	}
	infos, err := folder(dir)
	if err != nil {
		if !errors.Is(err, host.ErrNotExist) {
			h.gap(filepath.ToSlash(dir), err)
		}
		return nil
	}
	sorted.By(infos, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	most := cmp.Or(p.newest, maxPerPlace)
	seen := map[string]int{}
	left := int64(maxPackedInAll)
	var out []host.File
	for _, info := range infos {
		pat, ok := p.matches(info.Name())
		if !ok || !info.Mode().IsRegular() || seen[pat] >= most {
			continue
		}
		seen[pat]++
		packed := strings.HasSuffix(pat, ".cab") // which is known by the name of what it holds
		if !packed && !wanted(info.Name()) {
			continue
		}
		f, err := h.sniff(dir+`\`+info.Name(), info.Size(), info.ModTime())
		if packed && err == nil {
			if f, err = h.unpack(f); err == nil && !wanted(path.Base(f.Path)) {
				continue
			}
			if left -= f.Size; err == nil && left < 0 {
				err = fmt.Errorf("it would make more than the %d bytes of logs that are unpacked", int64(maxPackedInAll))
			}
		}
		if err != nil {
			h.gap(filepath.ToSlash(dir)+"/"+info.Name(), err)
			continue
		}
		if f.Size > 0 { // an empty log says nothing
			out = append(out, f)
		}
	}
	return out
}

// unpack finds the log in a cabinet.
func (h *Host) unpack(cabinet host.File) (host.File, error) {
	src, err := openLog(filepath.FromSlash(cabinet.Path))
	if err != nil {
		return host.File{}, err
	}
	defer src.Close()
	return packedFile(cabinet, src)
}

// folder lists a folder that is no link.
func folder(dir string) ([]os.FileInfo, error) {
	n, err := openNode(dir, windows.FILE_LIST_DIRECTORY)
	if err != nil {
		return nil, err
	}
	closeHandle(n)
	d, err := os.Open(long(dir))
	if err != nil {
		return nil, wrap("list "+dir, err)
	}
	defer d.Close()
	infos, err := d.Readdir(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, wrap("list "+dir, err)
	}
	return infos, nil
}

// sniff says what a file is.
func (h *Host) sniff(p string, size int64, modified time.Time) (host.File, error) {
	f, err := openLog(p)
	if err != nil {
		return host.File{}, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, sniffBytes))
	if err != nil && len(head) == 0 {
		return host.File{}, wrap("read "+p, err)
	}
	slashed := filepath.ToSlash(p)
	// What a folder lists of a file that is being written is old.
	if info, err := f.Stat(); err == nil {
		size, modified = info.Size(), info.ModTime()
	}
	return host.File{Path: slashed, Size: size, Modified: modified, Kind: winlog.Identify(slashed, head)}, nil
}

// openLog opens a file for reading while others write to it, rename it or delete it.
func openLog(p string) (*os.File, error) {
	h, err := openNode(p, windows.GENERIC_READ)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), p), nil
}

// Open opens a file that Files lists, and no other.
func (h *Host) Open(ctx context.Context, f host.File) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	h.mu.Lock()
	_, ours := h.extra[f.Path]
	h.mu.Unlock()
	cabinet, packed := cabinetOf(f.Path)
	packed = packed && !ours && h.isEvidence(cabinet)
	if !ours && !packed && !h.isEvidence(f.Path) {
		return nil, fmt.Errorf("open %s: %w", f.Path, host.ErrNotExist)
	}
	p := filepath.FromSlash(f.Path)
	if ours { // a copy of updoc's own, in the temporary folder, which may lie behind a link
		file, err := os.Open(long(p))
		if err != nil {
			return nil, wrap("open "+p, err)
		}
		return file, nil
	}
	if !packed {
		return openLog(p)
	}
	src, err := openLog(filepath.FromSlash(cabinet))
	if err != nil {
		return nil, err
	}
	info, err := src.Stat()
	if err != nil {
		return nil, errors.Join(wrap("open "+p, err), src.Close())
	}
	rc, err := openPacked(src, info.Size())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	return rc, nil
}

// isEvidence reports whether a path is one that the list of evidence covers.
func (h *Host) isEvidence(p string) bool {
	for _, b := range []base{windowsFolder, systemFolder, dataFolder, driveRoot} {
		root := filepath.ToSlash(h.folderOf(b)) + "/"
		if len(p) > len(root) && strings.EqualFold(p[:len(root)], root) && listed(b, p[len(root):]) {
			return true
		}
	}
	return false
}
