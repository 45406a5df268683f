package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf16"

	"updoc/internal/udf"
	"updoc/internal/wim"
	"updoc/internal/winlog"
)

// hiveIn is where a Windows keeps its registry.
const hiveIn = "System32/config/"

// ImageState is the registry of one Windows in an image, as it is shipped: what
// [FindImage] found in a file system, and the index of the Windows in it. Only what is read
// of it is unpacked. Of an image it has HKLM\SYSTEM, and of HKLM\SOFTWARE the build, which the
// image's description tells too. done closes what it reads from.
func ImageState(files fs.FS, img Image, index int) (state OlderState, done func() error, err error) {
	var open closers
	done = open.close
	defer func() {
		if err != nil {
			_ = open.close()
			done = func() error { return nil }
		}
	}()
	name := img.Path
	state.From, state.Image = img.Path, true
	if img.Kind == ImageFolder {
		state.Key = Hive(func(hive string) (io.ReaderAt, int64, error) {
			found, err := LookUp(files, name, hiveIn+hive)
			if err != nil {
				return nil, 0, err
			}
			return open.open(files, found)
		})
		return state, done, nil
	}
	e, ok := img.Entry(index)
	if !ok {
		return state, done, fmt.Errorf("%s: %w: no Windows with the index %d", name, ErrNoImage, index)
	}
	state.From += ", " + strconv.Itoa(index)
	if disc, inside, ok := InDisc(name); ok {
		src, size, err := open.open(files, disc)
		if err != nil {
			return state, done, err
		}
		u, err := udf.Open(src, size)
		if err != nil {
			return state, done, fmt.Errorf("%s: %w: %w", disc, ErrNoImage, err)
		}
		files, name = u, inside
	}
	src, size, err := open.open(files, name)
	if err != nil {
		return state, done, err
	}
	w, err := wim.Open(src, size)
	if err != nil {
		return state, done, fmt.Errorf("%s: %w", img.Path, err)
	}
	f, err := w.Find(index, path.Join("Windows", hiveIn+"SYSTEM"))
	if err != nil {
		return state, done, fmt.Errorf("%s: %w", state.From, err)
	}
	hive, err := w.Read(f)
	if err != nil {
		return state, done, fmt.Errorf("%s: %w", state.From, err)
	}
	system := Hive(func(string) (io.ReaderAt, int64, error) { return hive, f.Size, nil })
	number, _, _ := strings.Cut(e.Build, ".")
	build := winlog.RegValue{Name: "CurrentBuild", Type: winlog.RegSZ}
	for _, u := range utf16.Encode([]rune(number + "\x00")) {
		build.Data = binary.LittleEndian.AppendUint16(build.Data, u)
	}
	state.Key = func(ctx context.Context, p string) (Key, error) {
		if equalFold(p, currentVersion) {
			return Key{Path: p, Source: state.From, Values: []winlog.RegValue{build}}, nil
		}
		return system(ctx, p)
	}
	return state, done, nil
}

// Entry is the Windows with an index.
func (i Image) Entry(index int) (ImageEntry, bool) {
	for _, e := range i.Entries {
		if e.Index == index {
			return e, true
		}
	}
	return ImageEntry{}, false
}

type closers []io.Closer

func (c *closers) open(files fs.FS, name string) (io.ReaderAt, int64, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, 0, err
	}
	*c = append(*c, f)
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	src, ok := f.(io.ReaderAt)
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
	}
	return src, info.Size(), nil
}

func (c *closers) close() error {
	var all []error
	for _, f := range *c {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}
