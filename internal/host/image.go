package host

import (
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"updoc/internal/udf"
)

// AskImage asks what a Windows image holds, by the argument "path": a file
// (install.wim, install.esd), the folder or the ISO file of a medium that holds one, or
// the Windows folder of another installation. The answer is [Image]; nothing of it is recorded in
// a bundle.
const AskImage = "image"

// Image is a source of Windows' own files.
type Image struct {
	Path    string       `json:"path"` // of the file, which may lie in an ISO file, see [InDisc]; or of the Windows folder
	Kind    ImageKind    `json:"kind"`
	Entries []ImageEntry `json:"entries,omitempty"` // in the order of their index
}

// ImageKind says what an image is.
type ImageKind string

// The kinds of images.
const (
	ImageWIM    ImageKind = "wim"
	ImageESD    ImageKind = "esd"
	ImageFolder ImageKind = "folder" // a Windows folder: mounted, or another machine's
)

// ImageEntry is one Windows in an image.
type ImageEntry struct {
	Index     int      `json:"index"` // from 1; 0 in a folder
	Name      string   `json:"name,omitempty"`
	Edition   string   `json:"edition,omitempty"`      // EditionID: "Professional"
	Install   string   `json:"installation,omitempty"` // Client, Server, Server Core, WindowsPE
	Arch      string   `json:"arch,omitempty"`         // amd64, 386, arm64
	Build     string   `json:"build,omitempty"`        // "22631.2428", or "22631"
	Languages []string `json:"languages,omitempty"`
	Default   string   `json:"default,omitempty"` // language
}

// ErrNoImage says that a file or folder is no Windows image.
var ErrNoImage = errors.New("not a Windows image")

// Bounds of an image's description. That of a medium with eleven editions takes 40 KB.
const (
	maxImageXML = 8 << 20
	maxImages   = 128
)

// InDisc parts a path that leads into an ISO file, `C:\win.iso\sources\install.wim`, in
// that file and the name in it, with slashes. Such a path is updoc's own: a live host
// attaches the disc for as long as a tool reads from it.
func InDisc(name string) (disc, inside string, ok bool) {
	low := strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	at := strings.Index(low, discExt+"/")
	if at <= 0 || low[at-1] == '/' || at+len(discExt)+1 == len(low) {
		return "", "", false
	}
	at += len(discExt)
	return name[:at], strings.ReplaceAll(name[at+1:], `\`, "/"), true
}

const discExt = ".iso"

// imageFiles are where media have the Windows that they install.
// learn.microsoft.com: "Windows Setup Installation Process".
var imageFiles = []string{"sources/install.wim", "sources/install.esd", "install.wim", "install.esd"}

// FindImage looks at what stands under a name in a file system, with slashes; the
// path in the answer is a name there too, which [InDisc] parts where it lies in an ISO
// file.
func FindImage(files fs.FS, name string) (Image, error) {
	if disc, inside, ok := InDisc(name); ok {
		if info, err := fs.Stat(files, disc); err == nil && !info.IsDir() {
			return imageInDisc(files, disc, inside)
		}
	}
	info, err := fs.Stat(files, name)
	switch {
	case err != nil:
		return Image{}, err
	case !info.IsDir() && strings.EqualFold(path.Ext(name), discExt):
		return imageInDisc(files, name, ".")
	case !info.IsDir():
		return openImage(files, name)
	}
	for _, in := range imageFiles {
		switch found, err := LookUp(files, name, in); {
		case err == nil:
			return openImage(files, found)
		case !errors.Is(err, fs.ErrNotExist):
			return Image{}, err
		}
	}
	for _, windows := range []string{"", "Windows"} {
		if found, err := LookUp(files, name, path.Join(windows, "WinSxS")); err == nil {
			dir := path.Dir(found)
			return Image{Path: dir, Kind: ImageFolder, Entries: []ImageEntry{{Build: folderBuild(files, dir)}}}, nil
		}
	}
	return Image{}, fmt.Errorf("%s: %w: it holds no install.wim, no install.esd and no Windows", name, ErrNoImage)
}

// imageInDisc looks into an ISO file without mounting it.
func imageInDisc(files fs.FS, disc, inside string) (Image, error) {
	f, err := files.Open(disc)
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	src, ok := f.(io.ReaderAt)
	if !ok {
		return Image{}, fmt.Errorf("%s: %w", disc, errors.ErrUnsupported)
	}
	info, err := f.Stat()
	if err != nil {
		return Image{}, err
	}
	u, err := udf.Open(src, info.Size())
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w: %w", disc, ErrNoImage, err)
	}
	img, err := FindImage(u, inside)
	_, _, nested := InDisc(img.Path)
	switch {
	case err == nil && (nested || img.Kind == ImageFolder): // nothing that DISM could be given
		err = ErrNoImage
	case errors.Is(err, udf.ErrDamaged), errors.Is(err, udf.ErrTooLarge):
		err = fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w", disc, err)
	}
	img.Path = path.Join(disc, img.Path)
	return img, nil
}

// LookUp finds a name below a folder of a file system without regard to letter case, as
// Windows does.
func LookUp(files fs.FS, dir, name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if info, err := fs.Stat(files, dir); err != nil {
			return "", err
		} else if !info.IsDir() {
			return "", fmt.Errorf("%s: %w", path.Join(dir, part), fs.ErrNotExist)
		}
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return equalFold(e.Name(), part) })
		if i < 0 {
			return "", fmt.Errorf("%s: %w", path.Join(dir, part), fs.ErrNotExist)
		}
		dir = path.Join(dir, entries[i].Name())
	}
	return dir, nil
}

// folderBuild is the version of the servicing stack of a Windows that does not run
// here, which is the build that it was serviced to.
func folderBuild(files fs.FS, windows string) string {
	dir, err := LookUp(files, windows, "servicing/Version")
	if err != nil {
		return ""
	}
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return ""
	}
	build := ""
	for _, e := range entries { // the newest stands last
		if v, ok := strings.CutPrefix(e.Name(), "10.0."); ok {
			build = v
		}
	}
	return build
}

func openImage(files fs.FS, name string) (Image, error) {
	kind := ImageKind(strings.TrimPrefix(strings.ToLower(path.Ext(name)), "."))
	switch kind {
	case ImageWIM, ImageESD:
	default:
		return Image{}, fmt.Errorf("%s: %w: give an install.wim, an install.esd, a disc or a folder", name, ErrNoImage)
	}
	f, err := files.Open(name)
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	src, ok := f.(io.ReaderAt)
	if !ok {
		return Image{}, fmt.Errorf("%s: %w", name, errors.ErrUnsupported)
	}
	entries, err := ReadImage(src)
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w", name, err)
	}
	return Image{Path: name, Kind: kind, Entries: entries}, nil
}

// The header of an image file. Imaging Format (WIM) of the Windows Imaging white
// paper: "Header", "Resource Header".
const (
	imageMagic   = "MSWIM\x00\x00\x00"
	imageHeader  = 208
	imageXMLAt   = 72 // resource header of the description
	imagePacked  = 0x04
	imagePartsAt = 42
)

// ReadImage reads the description of a WIM or ESD file: UTF-16 XML that is never
// compressed, wherever the header says that it lies.
func ReadImage(src io.ReaderAt) ([]ImageEntry, error) {
	head := make([]byte, imageHeader)
	if _, err := src.ReadAt(head, 0); err != nil || string(head[:8]) != imageMagic {
		return nil, ErrNoImage
	}
	if n := binary.LittleEndian.Uint16(head[imagePartsAt:]); n > 1 {
		return nil, fmt.Errorf("%w: it is one part of %d", ErrNoImage, n)
	}
	res := head[imageXMLAt:]
	size := int64(binary.LittleEndian.Uint64(res) & (1<<56 - 1))
	at := int64(binary.LittleEndian.Uint64(res[8:]))
	if res[7]&imagePacked != 0 || size < 4 || size > maxImageXML || size%2 != 0 || at < imageHeader {
		return nil, fmt.Errorf("%w: its description cannot be read", ErrNoImage)
	}
	raw := make([]byte, size)
	if _, err := src.ReadAt(raw, at); err != nil {
		return nil, fmt.Errorf("%w: its description is cut off", ErrNoImage)
	}
	units := make([]uint16, size/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return imageEntries(strings.TrimPrefix(string(utf16.Decode(units)), "\uFEFF"))
}

func imageEntries(text string) ([]ImageEntry, error) {
	var doc struct {
		Image []struct {
			Index   int    `xml:"INDEX,attr"`
			Name    string `xml:"NAME"`
			Windows struct {
				Arch      int    `xml:"ARCH"`
				Edition   string `xml:"EDITIONID"`
				Install   string `xml:"INSTALLATIONTYPE"`
				Languages struct {
					Language []string `xml:"LANGUAGE"`
					Default  string   `xml:"DEFAULT"`
				} `xml:"LANGUAGES"`
				Version struct {
					Build   int `xml:"BUILD"`
					SPBuild int `xml:"SPBUILD"`
				} `xml:"VERSION"`
			} `xml:"WINDOWS"`
		} `xml:"IMAGE"`
	}
	if err := xml.NewDecoder(strings.NewReader(text)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: its description: %w", ErrNoImage, err)
	}
	var out []ImageEntry
	for _, x := range doc.Image[:min(len(doc.Image), maxImages)] {
		w := x.Windows
		e := ImageEntry{
			Index: x.Index, Name: x.Name, Edition: w.Edition, Install: w.Install, Languages: w.Languages.Language, Default: w.Languages.Default,
			Arch: map[int]string{0: "386", 9: "amd64", 12: "arm64"}[w.Arch], // PROCESSOR_ARCHITECTURE_*
		}
		if w.Version.Build > 0 {
			e.Build = strconv.Itoa(w.Version.Build)
			if w.Version.SPBuild > 0 {
				e.Build += "." + strconv.Itoa(w.Version.SPBuild)
			}
		}
		if x.Index > 0 {
			out = append(out, e)
		}
	}
	return out, nil
}

// WriteImage writes a file that holds the description of a WIM and no data: what
// tests and simulated machines take for a medium.
func WriteImage(entries []ImageEntry) []byte {
	var b strings.Builder
	b.WriteString("\uFEFF<WIM>")
	text := func(s string) string {
		var out strings.Builder
		_ = xml.EscapeText(&out, []byte(s)) // a Builder never fails
		return out.String()
	}
	for _, e := range entries {
		arch := map[string]int{"386": 0, "amd64": 9, "arm64": 12}[e.Arch]
		build, sp, _ := strings.Cut(e.Build, ".")
		fmt.Fprintf(&b, `<IMAGE INDEX="%d"><NAME>%s</NAME><WINDOWS><ARCH>%d</ARCH><EDITIONID>%s</EDITIONID><INSTALLATIONTYPE>%s</INSTALLATIONTYPE><LANGUAGES>`,
			e.Index, text(e.Name), arch, text(e.Edition), text(e.Install))
		for _, l := range e.Languages {
			fmt.Fprintf(&b, "<LANGUAGE>%s</LANGUAGE>", text(l))
		}
		fmt.Fprintf(&b, `<DEFAULT>%s</DEFAULT></LANGUAGES><VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>%s</BUILD><SPBUILD>%s</SPBUILD></VERSION></WINDOWS></IMAGE>`,
			text(e.Default), orZero(build), orZero(sp))
	}
	b.WriteString("</WIM>")
	out := make([]byte, imageHeader)
	copy(out, imageMagic)
	binary.LittleEndian.PutUint32(out[8:], imageHeader)
	binary.LittleEndian.PutUint16(out[40:], 1)
	binary.LittleEndian.PutUint16(out[imagePartsAt:], 1)
	binary.LittleEndian.PutUint32(out[44:], uint32(len(entries)))
	units := utf16.Encode([]rune(b.String()))
	binary.LittleEndian.PutUint64(out[imageXMLAt:], uint64(2*len(units)))
	binary.LittleEndian.PutUint64(out[imageXMLAt+8:], imageHeader)
	binary.LittleEndian.PutUint64(out[imageXMLAt+16:], uint64(2*len(units)))
	for _, u := range units {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
