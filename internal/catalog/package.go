package catalog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"updoc/internal/cab"
	"updoc/internal/message"
)

// PackageKind is how a package is built, and so what installs it.
type PackageKind string

// The kinds.
const (
	KindCAB PackageKind = "cab" // a cabinet with a manifest: DISM installs it
	KindMSU PackageKind = "msu" // a cabinet with such cabinets in it: wusa or DISM
	KindWIM PackageKind = "wim" // a .msu since Windows 11 24H2, an image: wusa or DISM
	KindEXE PackageKind = "exe" // a program that installs by itself
)

// Package is what a package says of itself. What it does not say is empty.
type Package struct {
	Kind     PackageKind `json:"kind"`
	Identity string      `json:"identity,omitempty"` // as servicing names it: NAME~TOKEN~ARCHITECTURE~LANGUAGE~VERSION
	Version  string      `json:"version,omitempty"`
	Arch     string      `json:"arch,omitempty"`     // amd64, arm64, 386
	Language string      `json:"language,omitempty"` // "de-de"; "" any
	KB       string      `json:"kb,omitempty"`
	Title    string      `json:"title,omitempty"`
	Release  string      `json:"release,omitempty"` // "Security Update"
	Restart  string      `json:"restart,omitempty"` // "possible", "required"
	For      []string    `json:"for,omitempty"`     // builds that it can be installed on, "22621"
	Build    string      `json:"build,omitempty"`   // that Windows has with it: "22621.3374"; "" if it changes none
	Stack    bool        `json:"stack,omitempty"`   // it is a servicing stack
}

// ErrPackage says that a file is no package of an update.
var ErrPackage = errors.New("not a package of an update")

// What is read of a package: manifests are some hundreds of kilobytes.
const (
	maxManifest   = 8 << 20
	maxProperties = 64 << 10
	maxInner      = 64 << 20 // an inner cabinet that is looked into, in memory
	maxParents    = 4096
)

// Identify reads what a package says of itself; name is that of its file. Nothing of
// it is proved by that: see authenticode.
func Identify(r io.ReaderAt, size int64, name string) (*Package, error) {
	var magic [8]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrPackage
		}
		return nil, fmt.Errorf("identify package: %w", err)
	}
	p := &Package{}
	switch {
	case string(magic[:4]) == cab.Signature:
		if err := p.readCabinet(r, size, false); err != nil {
			return nil, fmt.Errorf("identify package: %w", err)
		}
	case string(magic[:]) == "MSWIM\x00\x00\x00":
		p.Kind = KindWIM
	case string(magic[:2]) == "MZ":
		p.Kind = KindEXE
	default:
		return nil, fmt.Errorf("identify package: %w: it begins with %q", ErrPackage, magic)
	}
	p.fromName(path.Base(strings.ReplaceAll(name, `\`, "/")))
	return p, nil
}

var (
	fileArchForm = regexp.MustCompile(`(?i)[-_](x64|amd64|x86|arm64)(?:[-_.]|$)`)
	fileStackIs  = regexp.MustCompile(`(?i)^ssu-\d`)
)

// fromName fills in what only the file's name tells: windows11.0-kb5043080-x64_HEX.msu.
func (p *Package) fromName(name string) {
	if p.KB == "" {
		p.KB = fileKB(name)
	}
	if m := fileArchForm.FindStringSubmatch(name); m != nil && p.Arch == "" {
		p.Arch = archOf(m[1])
	}
	p.Stack = p.Stack || fileStackIs.MatchString(name)
}

// readCabinet reads a cabinet: with a manifest it is a package itself, with an
// unattended answer file beside cabinets it is a .msu.
func (p *Package) readCabinet(r io.ReaderAt, size int64, inner bool) error {
	c, err := cab.NewReader(r, size)
	if err != nil {
		return err
	}
	var packages []*cab.File
	var manifest, answer, properties *cab.File
	for _, f := range c.Files {
		low := strings.ToLower(f.Name)
		switch {
		case low == "update.mum":
			manifest = f
		case strings.Contains(low, "/"):
		case strings.HasSuffix(low, "-pkgproperties.txt"):
			properties = f
		case strings.HasSuffix(low, ".xml"):
			answer = f
		case strings.HasSuffix(low, ".cab") && low != "wsusscan.cab":
			packages = append(packages, f)
		}
	}
	if manifest != nil {
		p.Kind = KindCAB
		b, err := member(manifest, maxManifest)
		if err != nil {
			return err
		}
		return p.readManifest(b)
	}
	if inner || answer == nil || len(packages) == 0 {
		return fmt.Errorf("%w: a cabinet without update.mum", ErrPackage)
	}
	// What installs the packages stands outside, and the small ones also tell for what
	// they are.
	for _, f := range packages {
		if f.Size > maxInner || fileStackIs.MatchString(f.Name) {
			continue
		}
		b, err := member(f, maxInner)
		if err != nil {
			return err
		}
		var one Package
		if one.readCabinet(bytes.NewReader(b), int64(len(b)), true) == nil && (p.Identity == "" || one.Build != "") {
			*p = one
		}
	}
	p.Kind = KindMSU
	b, err := member(answer, maxManifest)
	if err != nil {
		return err
	}
	if err := p.readAnswer(b); err != nil {
		return err
	}
	if properties == nil {
		return nil
	}
	if b, err = member(properties, maxProperties); err != nil {
		return err
	}
	p.readProperties(text(b))
	return nil
}

// member reads a file of a cabinet that is not longer than limit.
func member(f *cab.File, limit int64) ([]byte, error) {
	if f.Size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrPackage, f.Name, f.Size)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	return b, nil
}

type identity struct {
	Name     string `xml:"name,attr"`
	Version  string `xml:"version,attr"`
	Arch     string `xml:"processorArchitecture,attr"`
	Language string `xml:"language,attr"`
	Token    string `xml:"publicKeyToken,attr"`
}

// readManifest reads update.mum: an assembly whose identity is that of the package,
// with the parents on which it can be installed.
// learn.microsoft.com: "Understanding Component-Based Servicing".
func (p *Package) readManifest(b []byte) error {
	var m struct {
		XMLName xml.Name `xml:"assembly"`
		Title   string   `xml:"displayName,attr"`
		Support string   `xml:"supportInformation,attr"`
		ID      identity `xml:"assemblyIdentity"`
		Package struct {
			KB      string `xml:"identifier,attr"`
			Release string `xml:"releaseType,attr"`
			Restart string `xml:"restart,attr"`
			Parents []struct {
				IDs []identity `xml:"assemblyIdentity"`
			} `xml:"parent"`
		} `xml:"package"`
	}
	if err := decode(b, &m); err != nil {
		return fmt.Errorf("%w: update.mum: %w", ErrPackage, err)
	}
	if err := p.take(m.ID); err != nil {
		return err
	}
	p.Title, p.Release, p.Restart = clip(m.Title), clip(m.Package.Release), clip(m.Package.Restart)
	p.KB = cmp.Or(kbIn(m.Package.KB), kbIn(m.Support), p.KB)
	if m.Title == "default" { // what the packer writes where nobody gave a title
		p.Title = ""
	}
	n := 0
	for _, parent := range m.Package.Parents {
		for _, id := range parent.IDs {
			if n++; n > maxParents {
				break
			}
			if build := buildOf(id.Version); build != "" && !slices.Contains(p.For, build) {
				p.For = append(p.For, build)
			}
		}
	}
	slices.Sort(p.For)
	return nil
}

// readAnswer reads the answer file of a .msu, which names the packages in it.
func (p *Package) readAnswer(b []byte) error {
	var m struct {
		Packages []struct {
			ID identity `xml:"assemblyIdentity"`
		} `xml:"servicing>package"`
	}
	if err := decode(b, &m); err != nil {
		return fmt.Errorf("%w: its answer file: %w", ErrPackage, err)
	}
	for _, one := range m.Packages[:min(len(m.Packages), maxKitFiles)] {
		if err := p.take(one.ID); err != nil {
			return err
		}
	}
	if p.Identity == "" {
		return fmt.Errorf("%w: its answer file names no package", ErrPackage)
	}
	return nil
}

// take takes an identity as the package's own, unless the one that it has says more: a
// servicing stack comes along with the update that needs it.
func (p *Package) take(id identity) error {
	const width = 200
	if id.Name == "" || id.Version == "" || len(id.Name)+len(id.Version)+len(id.Arch)+len(id.Language)+len(id.Token) > width {
		return fmt.Errorf("%w: it has no identity", ErrPackage)
	}
	for _, s := range []string{id.Name, id.Version, id.Arch, id.Language, id.Token} {
		for i := range len(s) {
			if c := s[i]; c <= ' ' || c >= 0x7f || c == '~' || c == '\\' || c == '/' || c == '"' {
				return fmt.Errorf("%w: its identity %.100q cannot be one", ErrPackage, id.Name)
			}
		}
	}
	stack := strings.Contains(strings.ToLower(id.Name), "servicingstack")
	if p.Identity != "" && (stack || p.Build != "") {
		return nil
	}
	language := id.Language
	if strings.EqualFold(language, "neutral") || language == "*" {
		language = ""
	}
	p.Identity = strings.Join([]string{id.Name, id.Token, id.Arch, language, id.Version}, "~")
	p.Version, p.Arch, p.Language, p.Stack = id.Version, archOf(id.Arch), strings.ToLower(language), stack
	// The version of a cumulative update begins with the build and the revision that
	// Windows shows once it is installed.
	p.Build = ""
	if parts := strings.Split(id.Version, "."); strings.EqualFold(id.Name, "Package_for_RollupFix") && len(parts) >= 2 {
		p.Build = parts[0] + "." + parts[1]
	}
	if kb := kbIn(strings.ReplaceAll(id.Name, "_", " ")); kb != "" {
		p.KB = kb
	}
	return nil
}

// readProperties reads the list of properties of a .msu: Name="Value" lines.
func (p *Package) readProperties(s string) {
	n := 0
	for line := range strings.Lines(s) {
		if n++; n > 100 {
			return
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = clip(strings.Trim(value, `"`))
		switch strings.ToLower(name) {
		case "kb article number":
			if kb, ok := KB(value); ok {
				p.KB = kb
			}
		case "package type":
			p.Release = cmp.Or(p.Release, value)
		case "processor architecture":
			p.Arch = cmp.Or(p.Arch, archOf(value))
		}
	}
}

// clip keeps a text for people short and on one line.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200])
	}
	return s
}

// buildOf is the build of a version of Windows: "10.0.22621.1" is "22621".
func buildOf(version string) string {
	parts := strings.Split(version, ".")
	if len(parts) != 4 {
		return ""
	}
	if n, err := strconv.Atoi(parts[2]); err != nil || n < 7600 || n > 99999 || parts[0] != "10" && parts[0] != "6" {
		return ""
	}
	return parts[2]
}

// text decodes what is UTF-16 if it says so, and else UTF-8.
func text(b []byte) string {
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) {
		u := make([]uint16, (len(b)-2)/2)
		for i := range u {
			u[i] = binary.LittleEndian.Uint16(b[2+2*i:])
		}
		return string(utf16.Decode(u))
	}
	return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
}

// decode reads XML, whatever it says of its encoding: it is UTF-8, or UTF-16 with a
// mark.
func decode(b []byte, to any) error {
	d := xml.NewDecoder(strings.NewReader(text(b)))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	return d.Decode(to)
}

// Misfit says why a package cannot be installed on a machine, as far as the package
// tells; false if nothing speaks against it. Sentences are "package.misfit.*".
func (p *Package) Misfit(t Target) (message.Line, bool) {
	if p.Arch != "" && t.Arch != "" && p.Arch != t.Arch {
		return message.Say("package.misfit.architecture", "is", p.Arch, "want", t.Arch), true
	}
	if t.build() == 0 {
		return message.Line{}, false
	}
	on := p.For
	if p.Build != "" {
		if build, _, _ := strings.Cut(p.Build, "."); !slices.Contains(on, build) {
			on = append(slices.Clone(on), build)
		}
	}
	fits := func(b string) bool {
		n, err := strconv.Atoi(b)
		return err == nil && sameFamily(n, t.build())
	}
	if len(on) > 0 && !slices.ContainsFunc(on, fits) {
		return message.Say("package.misfit.build", "is", strings.Join(on, ", "), "want", t.Build), true
	}
	if have, ok := t.revision(); ok && p.Build != "" {
		_, r, _ := strings.Cut(p.Build, ".")
		if n, err := strconv.Atoi(r); err == nil && n <= have {
			return message.Say("package.misfit.not-newer", "is", p.Build, "have", t.Build), true
		}
	}
	if p.Language != "" && t.Language != "" && !strings.EqualFold(p.Language, t.Language) {
		return message.Say("package.misfit.language", "is", p.Language, "want", t.Language), true
	}
	return message.Line{}, false
}
