package winhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// maxKept bounds a file that is kept inside a change: hosts files and lists, no
// databases. Those are moved.
const maxKept = 16 << 20

// inverseFile says what restores a file or folder.
func (h *Host) inverseFile(ctx context.Context, c host.Change) ([]host.Change, error) {
	same := []host.Change{c}
	switch c.Kind {
	case host.Move:
		return inverseMove(c)
	case host.Restore:
		return inverseRestore(ctx, c)
	case host.Security:
		now, err := fileSDDL(c.Path, c.SDDL)
		if err != nil {
			return nil, err
		}
		return inverseSDDL(c, now)
	}
	info, err := stat(c.Path)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Kind == host.FolderDrop && info == nil, c.Kind == host.FileDrop && info == nil:
		return same, nil
	case c.Kind == host.FolderMake && info == nil:
		return missingFolders(c.Path)
	case c.Kind == host.Write && info == nil:
		return []host.Change{{Kind: host.FileDrop, Path: c.Path}}, nil
	case c.Kind == host.FolderMake || c.Kind == host.FolderDrop:
		if !info.IsDir() {
			return nil, fmt.Errorf("%w: no folder", host.ErrInTheWay)
		}
		return []host.Change{{Kind: host.FolderMake, Path: c.Path}}, nil
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: no file", host.ErrInTheWay)
	}
	b, err := readKept(c.Path)
	if err != nil {
		return nil, err
	}
	return []host.Change{{Kind: host.Write, Path: c.Path, Data: b, Modified: info.ModTime()}}, nil
}

func inverseMove(c host.Change) ([]host.Change, error) {
	to, err := stat(c.To)
	if err != nil || to != nil {
		return []host.Change{c}, err
	}
	from, err := stat(c.Path)
	if err != nil {
		return nil, err
	}
	if from == nil {
		return nil, fmt.Errorf("%s: %w", c.Path, host.ErrNotExist)
	}
	return []host.Change{{Kind: host.Restore, Path: c.To, To: c.Path}}, nil
}

// inverseRestore: done once nothing is left to bring back.
func inverseRestore(ctx context.Context, c host.Change) ([]host.Change, error) {
	back := []host.Change{{Kind: host.Move, Path: c.To, To: c.Path}}
	from, err := stat(c.Path)
	if err != nil {
		return nil, err
	}
	to, err := stat(c.To)
	if err != nil {
		return nil, err
	}
	if waits, err := pendingHas(c.To, c.Path); err != nil {
		return nil, err
	} else if waits {
		return back, nil // the next restart would move it away after all
	}
	switch {
	case from != nil:
		return back, nil
	case to == nil:
		return nil, fmt.Errorf("%s: %w", c.Path, host.ErrNotExist)
	}
	since, err := sinceNames(c.Path, true)
	if err != nil {
		return nil, err
	}
	for _, s := range since {
		if more, err := merge(ctx, s, c.To, true, 0); err != nil || more {
			return back, err
		}
	}
	return []host.Change{c}, nil
}

// sinceNames lists where Restore puts what came to stand in the place of what it
// brings back: as a rule one name. Several are in use if it was interrupted and
// Windows made a new one meanwhile. With folders it lists those that are folders.
func sinceNames(p string, folders bool) ([]string, error) {
	var out []string
	for n := 1; n < 100; n++ {
		s := p + ".since"
		if n > 1 {
			s += strconv.Itoa(n)
		}
		info, err := stat(s)
		if err != nil {
			return nil, err
		}
		if info == nil {
			if !folders {
				return []string{s}, nil
			}
			return out, nil
		}
		if folders && info.IsDir() {
			out = append(out, s)
		}
	}
	return nil, fmt.Errorf("%s.since: %w: a hundred of them", p, host.ErrInTheWay)
}

// applyFile changes a file or folder.
func (h *Host) applyFile(ctx context.Context, c host.Change) error {
	if c.Kind == host.FolderMake {
		return makeFolders(c.Path)
	}
	letGo, err := pin(c.Path)
	if errors.Is(err, host.ErrNotExist) && (c.Kind == host.FileDrop || c.Kind == host.FolderDrop) {
		return nil
	}
	if err != nil {
		return err
	}
	defer letGo()
	if c.To != "" {
		letGo, err := pin(c.To)
		if err != nil {
			return err
		}
		defer letGo()
	}
	switch c.Kind {
	case host.Move:
		return h.move(ctx, c.Path, c.To)
	case host.Restore:
		return h.restore(ctx, c.Path, c.To)
	case host.Write:
		return writeFile(c.Path, c.Data, c.Modified)
	case host.Security:
		return setFileSDDL(c.Path, c.SDDL)
	case host.FileDrop:
		info, err := stat(c.Path)
		if err != nil || info == nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%w: it is a folder", host.ErrInTheWay)
		}
		return inUse(removeFile(c.Path), c.Path)
	}
	err = removeFolder(c.Path)
	switch {
	case errors.Is(err, host.ErrNotExist):
		return nil
	case is(err, windows.ERROR_DIR_NOT_EMPTY):
		return fmt.Errorf("%w: the folder is not empty", host.ErrInTheWay)
	}
	return inUse(err, c.Path)
}

// move renames a file or folder, now or, if somebody uses it, with the next
// restart.
func (h *Host) move(ctx context.Context, from, to string) error {
	there, err := stat(to)
	if err != nil || there != nil {
		return err
	}
	waits, err := pendingHas(from, to)
	if err != nil {
		return err
	}
	err = rename(from, to)
	if err == nil && waits {
		return pendingDrop(from, to)
	}
	if err == nil || !mayBeInUse(err) {
		return err
	}
	used := h.usedBy(ctx, from, err)
	if used == nil {
		return err
	}
	if !waits {
		if err := moveAtRestart(from, to); err != nil {
			return errors.Join(used, err)
		}
	}
	used.AtRestart = true
	return used
}

// restore brings back what was moved to from and is called to. Each step may be
// the first one after an interruption.
func (h *Host) restore(ctx context.Context, from, to string) error {
	if err := pendingDrop(to, from); err != nil { // a move that waits for the restart is called off
		return err
	}
	moved, err := stat(from)
	if err != nil {
		return err
	}
	if moved != nil {
		now, err := stat(to)
		if err != nil {
			return err
		}
		if now != nil {
			since, err := sinceNames(from, false)
			if err != nil {
				return err
			}
			if err := h.move(ctx, to, since[0]); err != nil {
				if errors.Is(err, host.ErrRestart) { // the same restart brings the other back
					return errors.Join(err, moveAtRestart(from, to))
				}
				return err
			}
		}
		if err := h.move(ctx, from, to); err != nil {
			return err
		}
	} else if now, err := stat(to); err != nil || now == nil {
		return errors.Join(err, fmt.Errorf("%s: %w", from, host.ErrNotExist))
	}
	since, err := sinceNames(from, true)
	if err != nil {
		return err
	}
	for _, s := range since {
		if _, err := merge(ctx, s, to, false, 0); err != nil {
			return err
		}
	}
	return nil
}

// readKept reads a file that is kept in a change.
func readKept(p string) ([]byte, error) {
	h, err := openNode(p, windows.GENERIC_READ)
	if err != nil {
		return nil, inUse(err, p)
	}
	f := os.NewFile(uintptr(h), p)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKept+1))
	if err != nil {
		return nil, wrap("read "+p, err)
	}
	if len(b) > maxKept {
		return nil, fmt.Errorf("%s: %w: larger than %d bytes", p, host.ErrRefused, maxKept)
	}
	return b, nil
}

// writeFile makes a file hold b: whoever reads it meanwhile, or after a loss of
// power, finds the old content or the new. Its rights, its marks and the time of
// its making stay as they are.
func writeFile(p string, b []byte, modified time.Time) error {
	info, err := stat(p)
	if err != nil {
		return err
	}
	if info != nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: no file", host.ErrInTheWay)
	}
	tmp := p + ".updoc-new"
	if err := removeFile(tmp); err != nil && !errors.Is(err, host.ErrNotExist) {
		return err
	}
	if err := writeNew(tmp, b, modified); err != nil {
		return errors.Join(err, removeFile(tmp))
	}
	if err := put(tmp, p, info); err != nil {
		return errors.Join(inUse(err, p), removeFile(tmp))
	}
	return nil
}

func writeNew(p string, b []byte, modified time.Time) error {
	name, err := ptr(p)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return wrap("make "+p, err)
	}
	defer closeHandle(h)
	for len(b) > 0 {
		var n uint32
		if err := windows.WriteFile(h, b[:min(len(b), 1<<20)], &n, nil); err != nil {
			return wrap("write "+p, err)
		}
		b = b[n:]
	}
	if !modified.IsZero() {
		t := windows.NsecToFiletime(modified.UnixNano())
		if err := windows.SetFileTime(h, nil, nil, &t); err != nil {
			return wrap("set the time of "+p, err)
		}
	}
	return wrap("write "+p+" to the disk", windows.FlushFileBuffers(h))
}

// put puts the file tmp in the place of p, which is as info says.
func put(tmp, p string, info fs.FileInfo) error {
	from, err := ptr(tmp)
	if err != nil {
		return err
	}
	to, err := ptr(p)
	if err != nil {
		return err
	}
	if info == nil {
		return wrap("make "+p, windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH))
	}
	marks, err := windows.GetFileAttributes(to)
	if err != nil {
		return wrap("look at "+p, err)
	}
	// Marks that keep a file from being replaced, and that a new one has not.
	const kept = windows.FILE_ATTRIBUTE_READONLY | windows.FILE_ATTRIBUTE_HIDDEN | windows.FILE_ATTRIBUTE_SYSTEM |
		windows.FILE_ATTRIBUTE_ARCHIVE | windows.FILE_ATTRIBUTE_NOT_CONTENT_INDEXED
	if marks&windows.FILE_ATTRIBUTE_READONLY != 0 {
		if err := windows.SetFileAttributes(to, windows.FILE_ATTRIBUTE_NORMAL); err != nil {
			return wrap("change the marks of "+p, err)
		}
	}
	// ReplaceFile, unlike a rename, leaves the rights and the time of making.
	err = wrap("replace "+p, replaceFile(to, from, nil, 0, 0, 0))
	return errors.Join(err, wrap("change the marks of "+p, windows.SetFileAttributes(to, marks&kept)))
}

// missingFolders drops what making the folder p makes, the lowest first.
func missingFolders(p string) ([]host.Change, error) {
	var back []host.Change
	for !strings.HasSuffix(p, ":") {
		info, err := stat(p)
		if err != nil {
			return nil, err
		}
		if info != nil {
			break
		}
		back = append(back, host.Change{Kind: host.FolderDrop, Path: p})
		p = p[:strings.LastIndexByte(p, '\\')]
	}
	return back, nil
}

func makeFolders(p string) error {
	missing, err := missingFolders(p)
	if err != nil {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := makeFolder(missing[i].Path); err != nil {
			return err
		}
	}
	info, err := stat(p)
	if err == nil && (info == nil || !info.IsDir()) {
		err = fmt.Errorf("%w: no folder", host.ErrInTheWay)
	}
	return err
}

func makeFolder(p string) error {
	letGo, err := pin(p)
	if err != nil {
		return err
	}
	defer letGo()
	name, err := ptr(p)
	if err != nil {
		return err
	}
	if err := windows.CreateDirectory(name, nil); err != nil && !is(err, windows.ERROR_ALREADY_EXISTS) {
		return wrap("make folder "+p, err)
	}
	return nil
}
