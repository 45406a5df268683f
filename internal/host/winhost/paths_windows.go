package winhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// long is a path for calls that would otherwise end at 260 characters, and that
// takes every name as it is. learn.microsoft.com: "Maximum Path Length Limitation".
func long(p string) string {
	if strings.HasPrefix(p, `\\`) {
		return p
	}
	return `\\?\` + p
}

func ptr(p string) (*uint16, error) {
	s, err := windows.UTF16PtrFromString(long(p))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", p, host.ErrNotExist)
	}
	return s, nil
}

func closeHandle(h windows.Handle) { _ = windows.CloseHandle(h) } // a handle that was opened closes

// errElsewhere says that a path leads out of where it seems to be.
var errElsewhere = errors.New("a link leads elsewhere")

const (
	shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	sharePin = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE // who holds it keeps it where it is
	asItIs   = windows.FILE_FLAG_OPEN_REPARSE_POINT | windows.FILE_FLAG_BACKUP_SEMANTICS
)

// openNode opens a file or folder that stands where its path says: neither it nor
// a folder above it is a link to elsewhere. Everybody else may go on using it.
func openNode(p string, access uint32) (windows.Handle, error) {
	return openShared(p, access, shareAll)
}

func openShared(p string, access, share uint32) (windows.Handle, error) {
	name, err := ptr(p)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(name, access|windows.FILE_READ_ATTRIBUTES, share, nil, windows.OPEN_EXISTING, asItIs, 0)
	if err != nil {
		return 0, wrap("open "+p, err)
	}
	if err := inPlace(h, p); err != nil {
		closeHandle(h)
		return 0, err
	}
	return h, nil
}

// inPlace holds that what was opened as p is p.
func inPlace(h windows.Handle, p string) error {
	var tag struct{ attributes, reparse uint32 } // FILE_ATTRIBUTE_TAG_INFO
	if err := windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(&tag)), uint32(unsafe.Sizeof(tag))); err != nil {
		return wrap("look at "+p, err)
	}
	// Compressed and deduplicated files are reparse points too, but no links.
	// learn.microsoft.com: "Reparse Point Tags", the name surrogate bit.
	if tag.attributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 && tag.reparse&0x20000000 != 0 {
		return fmt.Errorf("%s: %w: %w", p, host.ErrRefused, errElsewhere)
	}
	final, err := finalPath(h)
	if err != nil {
		return wrap("look at "+p, err)
	}
	if !strings.EqualFold(final, long(p)) {
		return fmt.Errorf("%s: %w: %w, to %s", p, host.ErrRefused, errElsewhere, final)
	}
	return nil
}

func finalPath(h windows.Handle) (string, error) {
	buf := make([]uint16, windows.MAX_PATH)
	for {
		n, err := windows.GetFinalPathNameByHandle(h, &buf[0], uint32(len(buf)), 0) // normalised, with a drive letter
		if err != nil {
			return "", err
		}
		if int(n) < len(buf) {
			return windows.UTF16ToString(buf[:n]), nil
		}
		buf = make([]uint16, n+1)
	}
}

// pin holds the folder of p in its place until it is let go, so that what was
// looked at is what is changed.
func pin(p string) (letGo func(), err error) {
	dir := p[:max(strings.LastIndexByte(p, '\\'), 0)]
	if strings.HasSuffix(dir, ":") {
		return func() {}, nil // the root of a volume stays
	}
	h, err := openShared(dir, windows.FILE_LIST_DIRECTORY, sharePin)
	if err != nil {
		return nil, err
	}
	return func() { closeHandle(h) }, nil
}

// stat looks at p itself, also if it is a link. A nil FileInfo without an error
// means that there is nothing.
func stat(p string) (fs.FileInfo, error) {
	info, err := os.Lstat(long(p))
	if err != nil {
		err = wrap("look at "+p, err)
		if errors.Is(err, host.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	return info, nil
}

// rename moves a file or folder that nothing stands in the way of.
func rename(from, to string) error {
	f, err := ptr(from)
	if err != nil {
		return err
	}
	t, err := ptr(to)
	if err != nil {
		return err
	}
	return wrap("move "+from, windows.MoveFileEx(f, t, windows.MOVEFILE_WRITE_THROUGH))
}

func removeFile(p string) error {
	name, err := ptr(p)
	if err != nil {
		return err
	}
	err = windows.DeleteFile(name)
	if is(err, windows.ERROR_ACCESS_DENIED) { // the mark "read-only" keeps a file from being deleted
		if windows.SetFileAttributes(name, windows.FILE_ATTRIBUTE_NORMAL) == nil {
			err = windows.DeleteFile(name)
		}
	}
	return wrap("delete "+p, err)
}

func removeFolder(p string) error {
	name, err := ptr(p)
	if err != nil {
		return err
	}
	return wrap("delete "+p, windows.RemoveDirectory(name))
}

// maxDepth bounds folders in folders; paths end at 32,767 characters anyway.
const maxDepth = 128

// merge moves what is in the folder from and not in to, and removes the folders
// that are empty then. What stands in both stays where it is. With look it only
// reports whether there is something to move.
func merge(ctx context.Context, from, to string, look bool, depth int) (more bool, err error) {
	if depth > maxDepth {
		return false, fmt.Errorf("%s: folders in more than %d folders", from, maxDepth)
	}
	entries, err := os.ReadDir(long(from))
	if err != nil {
		return false, wrap("list "+from, err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		src, dst := from+`\`+e.Name(), to+`\`+e.Name()
		there, err := stat(dst)
		switch {
		case err != nil:
			return false, err
		case there == nil && look:
			return true, nil
		case there == nil:
			err = rename(src, dst)
		case there.IsDir() && e.IsDir(): // neither is so for a link
			more, err = merge(ctx, src, dst, look, depth+1)
			if more {
				return true, err
			}
		}
		if err != nil {
			return false, err
		}
	}
	if look {
		return false, nil
	}
	if err := removeFolder(from); err != nil && !is(err, windows.ERROR_DIR_NOT_EMPTY) {
		return false, err
	}
	return false, nil
}
