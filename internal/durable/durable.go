// Package durable writes files that survive a loss of power: what a journal and
// a machine's settings are made of. It says what a file system has to promise and
// no more, so that a test can stand in one that keeps no promise that it did not
// make.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// FS is a file system. What was written to a file is durable after its Sync; that
// a file has its name is durable after Sync of the folder. Nothing else is.
// Errors fit fs.ErrNotExist and fs.ErrExist.
type FS interface {
	Create(name string) (File, error) // empties what is there
	Append(name string) (File, error) // makes the file if there is none
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]string, error) // base names, sorted
	Rename(from, to string) error          // replaces a file that is there, at once
	Remove(name string) error
	MkdirAll(name string) error
	Sync(folder string) error
}

// File is an open file.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// ErrLocked says that another process holds a [Lock].
var ErrLocked = errors.New("another process is at work on it")

// temporary ends the name of a file that is being written. Whoever finds one after
// a crash may remove it.
const temporary = ".new"

// WriteFile makes the file name hold b. After a crash it holds what it held
// before or b, never a part of either; once WriteFile returned, it is b.
func WriteFile(fsys FS, name string, b []byte) error {
	tmp := name + temporary
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), fsys.Remove(tmp))
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return errors.Join(err, fsys.Remove(tmp))
	}
	return fsys.Sync(filepath.Dir(name))
}

// OS is the file system of the operating system.
type OS struct{}

// Create implements [FS]. Only the owner may read what updoc writes.
func (OS) Create(name string) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// Append implements [FS].
func (OS) Append(name string) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// ReadFile implements [FS].
func (OS) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// ReadDir implements [FS].
func (OS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Rename implements [FS].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [FS].
func (OS) Remove(name string) error { return os.Remove(name) }

// MkdirAll implements [FS].
func (OS) MkdirAll(name string) error { return os.MkdirAll(name, 0o700) }

// Sync implements [FS]. Windows has no such call for folders: NTFS writes names to
// its own journal before it answers, in the order in which they changed
// (learn.microsoft.com: "FlushFileBuffers" takes no handle of a directory).
func (OS) Sync(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// notExist makes the error of a missing file.
func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}
