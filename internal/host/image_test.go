package host

import (
	"bytes"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var media = []ImageEntry{
	{Index: 1, Name: "Windows 11 Home", Edition: "Core", Install: "Client", Arch: "amd64", Build: "22631.2428", Languages: []string{"de-DE"}, Default: "de-DE"},
	{Index: 6, Name: "Windows 11 Pro & <more>", Edition: "Professional", Install: "Client", Arch: "amd64", Build: "22631.2428", Languages: []string{"de-DE", "en-US"}, Default: "de-DE"},
}

func TestReadImage(t *testing.T) {
	file := WriteImage(media)
	have, err := ReadImage(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(media, have); diff != "" {
		t.Error(diff)
	}
	for name, b := range map[string][]byte{
		"empty": {}, "a header alone": file[:100], "cut off": file[:len(file)-9], "something else": bytes.Repeat([]byte("MSCF"), 100),
		"one part of three": change(file, imagePartsAt, 3), "packed": change(file, imageXMLAt+7, imagePacked), "far away": change(file, imageXMLAt+13, 0x7F),
		"before the beginning": change(file, imageXMLAt+15, 0xFF), "huge": change(file, imageXMLAt+4, 9), "odd": change(file, imageXMLAt, file[imageXMLAt]|1),
	} {
		if _, err := ReadImage(bytes.NewReader(b)); !errors.Is(err, ErrNoImage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func change(b []byte, at int, to byte) []byte {
	out := bytes.Clone(b)
	out[at] = to
	return out
}

func TestFindImage(t *testing.T) {
	files := fstest.MapFS{
		"disc/Sources/INSTALL.WIM":                      {Data: WriteImage(media[:1])},
		"usb/sources/install.esd":                       {Data: WriteImage(media[1:])},
		"pc/Windows/WinSxS/x/y.dll":                     {},
		"pc/Windows/servicing/Version/10.0.22631.3371/": {Mode: 0x80000000},
		"pc/Windows/servicing/Version/10.0.22631.3447/": {Mode: 0x80000000},
		"win11.iso":      {Data: []byte("no disc")},
		"empty/read.me":  {},
		"damaged.wim":    {Data: []byte("MSWIM")},
		"picture.jpg":    {},
		"plain/Sources":  {},
		"plain2/WinSxS2": {},
	}
	for name, want := range map[string]Image{
		"disc":                     {Path: "disc/Sources/INSTALL.WIM", Kind: ImageWIM, Entries: media[:1]},
		"disc/Sources/INSTALL.WIM": {Path: "disc/Sources/INSTALL.WIM", Kind: ImageWIM, Entries: media[:1]},
		"usb/sources":              {Path: "usb/sources/install.esd", Kind: ImageESD, Entries: media[1:]},
		"pc":                       {Path: "pc/Windows", Kind: ImageFolder, Entries: []ImageEntry{{Build: "22631.3447"}}},
		"pc/Windows":               {Path: "pc/Windows", Kind: ImageFolder, Entries: []ImageEntry{{Build: "22631.3447"}}},
	} {
		have, err := FindImage(files, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, name := range []string{"empty", "damaged.wim", "picture.jpg", "plain", "plain2", "nowhere", "win11.iso", "win11.iso/sources/install.wim"} {
		if have, err := FindImage(files, name); err == nil {
			t.Errorf("%s: %+v", name, have)
		}
	}
}

func FuzzReadImage(f *testing.F) {
	f.Add(WriteImage(media))
	f.Add([]byte(imageMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		have, err := ReadImage(bytes.NewReader(b))
		if err != nil && !errors.Is(err, ErrNoImage) {
			t.Error(err)
		}
		if len(have) > maxImages {
			t.Errorf("%d images", len(have))
		}
	})
}

func BenchmarkReadImage(b *testing.B) {
	file := WriteImage(media)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := ReadImage(bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}
