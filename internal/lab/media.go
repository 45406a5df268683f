package lab

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// MediaSpec is what installation media hold, one Windows for each edition.
type MediaSpec struct {
	Editions []string `json:"editions"` // EditionIDs
	Language string   `json:"language"`
	Arch     string   `json:"arch,omitempty"` // amd64 if it is not said
	Build    string   `json:"build"`          // "22631.2861"
}

// install is the file with the images: the head and the description of a real one, and
// no files. "Windows Imaging File Format (WIM)".
func (s MediaSpec) install() []byte { return s.images("") }

// esd is the one file that the Media Creation Tool fetches: setup's own files come first,
// then the small Windows that it starts from.
func (s MediaSpec) esd() []byte {
	return s.images(`<IMAGE INDEX="1"><NAME>Windows Setup Media</NAME></IMAGE><IMAGE INDEX="2"><NAME>Microsoft Windows PE</NAME><WINDOWS><EDITIONID>WindowsPE</EDITIONID><INSTALLATIONTYPE>WindowsPE</INSTALLATIONTYPE></WINDOWS></IMAGE>`)
}

// beforeEditions is how many images of an ESD file come before those of Windows.
const beforeEditions = 2

// Install is the file with the images, in each of which these files lie.
func (s MediaSpec) Install(files ...Packed) []byte {
	images := make([][]Packed, len(s.Editions))
	for i := range images {
		images[i] = files
	}
	return wim(s.about(""), images...)
}

// about describes the images, behind those that come first.
func (s MediaSpec) about(first string) string {
	arch := map[string]int{"386": 0, "": 9, "amd64": 9, "arm64": 12}[s.Arch]
	build, revision, _ := strings.Cut(s.Build, ".")
	var text strings.Builder
	text.WriteString("<WIM>" + first)
	before := strings.Count(first, "<IMAGE ")
	for i, edition := range s.Editions {
		fmt.Fprintf(&text, `<IMAGE INDEX="%d"><NAME>Windows %s</NAME><WINDOWS><ARCH>%d</ARCH><EDITIONID>%s</EDITIONID><INSTALLATIONTYPE>Client</INSTALLATIONTYPE>`, before+i+1, escaped(edition), arch, escaped(edition))
		fmt.Fprintf(&text, `<LANGUAGES><LANGUAGE>%s</LANGUAGE><DEFAULT>%s</DEFAULT></LANGUAGES><VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>%s</BUILD><SPBUILD>%s</SPBUILD></VERSION></WINDOWS></IMAGE>`,
			escaped(s.Language), escaped(s.Language), escaped(build), escaped(revision))
	}
	text.WriteString("</WIM>")
	return text.String()
}

func (s MediaSpec) images(first string) []byte {
	doc := utf16.Encode([]rune("\uFEFF" + s.about(first)))
	const head = 208
	b := make([]byte, head)
	copy(b, "MSWIM\x00\x00\x00")
	le := binary.LittleEndian
	le.PutUint32(b[8:], head)
	le.PutUint32(b[12:], 0x10D00)
	le.PutUint16(b[40:], 1)
	le.PutUint16(b[42:], 1)
	le.PutUint32(b[44:], uint32(len(s.Editions)))
	le.PutUint64(b[72:], uint64(2*len(doc))|2<<56)
	le.PutUint64(b[80:], head)
	le.PutUint64(b[88:], uint64(2*len(doc)))
	for _, u := range doc {
		b = le.AppendUint16(b, u)
	}
	return b
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// setupProgram stands for setup.exe; the machine runs it by what the media hold.
var setupProgram = []byte("MZ")

// disc is the media as an ISO file: a UDF volume as Microsoft's have, written front to
// back. ECMA-167; OSTA, "Universal Disk Format", revision 1.02.
func (s MediaSpec) disc() []byte { return discWith(s.install()) }

// Disc is the media as an ISO file, with images in which these files lie.
func (s MediaSpec) Disc(files ...Packed) []byte { return discWith(s.Install(files...)) }

func discWith(install []byte) []byte {
	d := &disc{}
	d.at(discPartition) // the root's whereabouts, written last
	setup := d.file(setupProgram)
	sources := d.directory(map[string]uint32{"install.wim": d.file(install)})
	root := d.directory(map[string]uint32{"setup.exe": setup}, entryOf{"sources", sources})
	le := binary.LittleEndian
	set := d.at(discPartition)
	le.PutUint32(set[400:], sector)
	le.PutUint32(set[404:], root)
	tagged(set, 256, 0)
	part := d.at(257)
	le.PutUint32(part[188:], discPartition)
	le.PutUint32(part[192:], uint32(len(d.b)/sector-discPartition))
	tagged(part, 5, 257)
	volume := d.at(258)
	le.PutUint32(volume[212:], sector)
	le.PutUint32(volume[248:], sector)
	le.PutUint32(volume[264:], 6) // one map of six bytes: the partition itself
	le.PutUint32(volume[268:], 1)
	volume[440], volume[441] = 1, 6
	tagged(volume, 6, 258)
	tagged(d.at(259), 8, 259)
	anchor := d.at(256)
	le.PutUint32(anchor[16:], 3*sector)
	le.PutUint32(anchor[20:], 257)
	tagged(anchor, 2, 256)
	return d.b
}

const (
	sector        = 2048
	discPartition = 272 // where the partition begins
)

// disc is a volume being written.
type disc struct{ b []byte }

func (d *disc) at(n int) []byte {
	if need := (n + 1) * sector; len(d.b) < need {
		d.b = append(d.b, make([]byte, need-len(d.b))...)
	}
	return d.b[n*sector:][:sector]
}

// add appends bytes and returns the block of the partition at which they begin.
func (d *disc) add(data []byte) uint32 {
	at := len(d.b) / sector
	d.b = append(d.b, data...)
	if rest := len(d.b) % sector; rest != 0 || len(data) == 0 {
		d.b = append(d.b, make([]byte, sector-rest)...)
	}
	return uint32(at - discPartition)
}

func (d *disc) file(data []byte) uint32 { return d.entry(5, data) }

// entry writes bytes and the entry that says where they are.
func (d *disc) entry(kind byte, data []byte) uint32 {
	at := d.add(data)
	e := make([]byte, sector)
	e[27] = kind
	le := binary.LittleEndian
	le.PutUint64(e[56:], uint64(len(data)))
	le.PutUint32(e[172:], 8)
	le.PutUint32(e[176:], uint32(len(data)))
	le.PutUint32(e[180:], at)
	block := uint32(len(d.b)/sector - discPartition)
	tagged(e, 261, block)
	return d.add(e)
}

// entryOf is a directory in another one.
type entryOf struct {
	name string
	at   uint32
}

func (d *disc) directory(files map[string]uint32, dirs ...entryOf) uint32 {
	var b []byte
	name := func(text string, at uint32, flags byte) {
		id := []byte{}
		if text != "" {
			id = append([]byte{8}, text...)
		}
		e := make([]byte, 38, 38+len(id))
		binary.LittleEndian.PutUint16(e[16:], 1)
		e[18], e[19] = flags, byte(len(id))
		binary.LittleEndian.PutUint32(e[20:], sector)
		binary.LittleEndian.PutUint32(e[24:], at)
		tagged(e, 257, 0)
		b = append(b, e...)
		b = append(b, id...)
		b = append(b, make([]byte, -len(b)&3)...)
	}
	const directory, parent = 2, 8
	name("", 0, directory|parent)
	for text, at := range files {
		name(text, at, 0)
	}
	for _, x := range dirs {
		name(x.name, x.at, directory)
	}
	return d.entry(4, b)
}

// tagged writes the tag at the head of a structure: kind, version, sum, place.
func tagged(b []byte, kind uint16, place uint32) {
	le := binary.LittleEndian
	le.PutUint16(b, kind)
	le.PutUint16(b[2:], 2)
	le.PutUint32(b[12:], place)
	b[4] = 0
	sum := byte(0)
	for _, c := range b[:16] {
		sum += c
	}
	b[4] = sum
}

// version is the build and the revision.
func (s MediaSpec) version() (build string, revision uint32) {
	build, rest, _ := strings.Cut(s.Build, ".")
	n, _ := strconv.ParseUint(rest, 10, 32)
	return build, uint32(n)
}
