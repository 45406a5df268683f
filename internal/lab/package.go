package lab

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// UpdatePackage is an update whose packages the lab makes: manifests as Windows has
// them, with nothing to install behind them.
type UpdatePackage struct {
	KB       string   // "KB5034123"
	Name     string   // of the assembly; "" is Package_for_RollupFix
	Version  string   // "22621.3374.1.7"
	Arch     string   // amd64, arm64, x86
	Language string   // "neutral" if it is empty
	Title    string   // shown to people
	Parents  []string // versions of Windows that it can be installed on: "10.0.22621.1"
	Content  []byte   // makes it larger; kept in a file of its own
}

const publicKeyToken = "31bf3856ad364e35" // of everything in Windows

func (u UpdatePackage) filled() UpdatePackage {
	if u.Name == "" {
		u.Name = "Package_for_RollupFix"
	}
	if u.Language == "" {
		u.Language = "neutral"
	}
	return u
}

// Identity is how servicing names the package.
func (u UpdatePackage) Identity() string {
	u = u.filled()
	language := u.Language
	if language == "neutral" {
		language = ""
	}
	return strings.Join([]string{u.Name, publicKeyToken, u.Arch, language, u.Version}, "~")
}

func (u UpdatePackage) identityXML() string {
	return fmt.Sprintf(`<assemblyIdentity name=%q version=%q language=%q processorArchitecture=%q publicKeyToken=%q buildType="release" />`, u.Name, u.Version, u.Language, u.Arch, publicKeyToken)
}

// Manifest is the package's update.mum.
func (u UpdatePackage) Manifest() []byte {
	u = u.filled()
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\" displayName=%q company=\"Fabrikam\" supportInformation=\"https://support.fabrikam.example/help/%s\">\r\n", u.Title, strings.TrimPrefix(u.KB, "KB"))
	fmt.Fprintf(&b, "  %s\r\n  <package identifier=%q releaseType=\"Security Update\" restart=\"possible\">\r\n", u.identityXML(), u.KB)
	for _, v := range u.Parents {
		fmt.Fprintf(&b, "    <parent buildCompare=\"EQ\" integrate=\"separate\" disposition=\"detect\">\r\n      <assemblyIdentity name=\"Microsoft-Windows-ProfessionalEdition\" version=%q language=\"neutral\" processorArchitecture=%q publicKeyToken=%q />\r\n    </parent>\r\n", v, u.Arch, publicKeyToken)
	}
	b.WriteString("    <installerAssembly name=\"Microsoft-Windows-ServicingStack\" version=\"10.0.0.0\" language=\"neutral\" />\r\n  </package>\r\n</assembly>\r\n")
	return []byte(b.String())
}

// Cabinet is the package as a cabinet, signed by p; nil leaves it unsigned. The
// manifest's own catalogue is in it.
func (u UpdatePackage) Cabinet(p *Publisher) ([]byte, error) {
	files := []Packed{{"update.mum", u.Manifest()}}
	if p != nil {
		cat, err := p.Catalogue(u.Manifest())
		if err != nil {
			return nil, err
		}
		files = append(files, Packed{"update.cat", cat})
	}
	if u.Content != nil {
		files = append(files, Packed{`amd64_fabrikam-widget_10.0.0.0_none\widget.dll`, u.Content})
	}
	return signed(p, Cabinet(files...))
}

// MSU is the package as a .msu of the old style: the cabinet with what wusa reads.
func (u UpdatePackage) MSU(p *Publisher) ([]byte, error) {
	inner, err := u.Cabinet(p)
	if err != nil {
		return nil, err
	}
	u = u.filled()
	name := fmt.Sprintf("Windows10.0-%s-%s", u.KB, strings.NewReplacer("amd64", "x64").Replace(u.Arch))
	answer := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\">\r\n  <servicing>\r\n    <package action=\"install\">\r\n      %s\r\n      <source location=\"%%configsetroot%%\\%s.cab\" />\r\n    </package>\r\n  </servicing>\r\n</unattend>\r\n", u.identityXML(), name)
	properties := fmt.Sprintf("Applies to=\"Windows 10.0\"\r\nInstaller Engine=\"Component Based Servicing - WUSA.exe\"\r\nKB Article Number=\"%s\"\r\nLanguage=\"ALL\"\r\nPackage Type=\"Security Update\"\r\nProcessor Architecture=\"%s\"\r\n", strings.TrimPrefix(u.KB, "KB"), u.Arch)
	return signed(p, Cabinet(
		Packed{"WSUSSCAN.cab", Cabinet(Packed{"index.xml", []byte("<index/>")})},
		Packed{name + ".cab", inner},
		Packed{name + ".xml", []byte(answer)},
		Packed{name + "-pkgProperties.txt", []byte(properties)},
	))
}

func signed(p *Publisher, b []byte) ([]byte, error) {
	if p == nil {
		return b, nil
	}
	return p.Cabinet(b)
}

// Image is the package as a .msu of Windows 11 24H2 and later: an image that bears no
// signature, with signed cabinets and the content in it.
func (u UpdatePackage) Image(p *Publisher) ([]byte, error) {
	inner, err := u.Cabinet(p)
	if err != nil {
		return nil, err
	}
	u = u.filled()
	deployment, err := signed(p, Cabinet(Packed{"DesktopDeployment.dll", Program64([]byte(u.KB))}))
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("Windows11.0-%s-%s", u.KB, strings.NewReplacer("amd64", "x64").Replace(u.Arch))
	return WIM(
		Packed{name + ".cab", inner},
		Packed{"DesktopDeployment.cab", deployment},
		Packed{name + ".psf", append([]byte("PSTREAM\x00"), u.Content...)},
	), nil
}

// WIM packs files into an image without compressing them.
func WIM(list ...Packed) []byte {
	return wim("<WIM><IMAGE INDEX=\"1\"><NAME>package</NAME></IMAGE></WIM>", list)
}

// wim packs files into images without compressing them, with a description. Names with
// backslashes are paths. "Windows Imaging File Format (WIM)", Microsoft, 2007.
func wim(about string, images ...[]Packed) []byte {
	const header = 208
	le := binary.LittleEndian
	out := make([]byte, header)
	copy(out, "MSWIM\x00\x00\x00")
	le.PutUint32(out[8:], header)
	le.PutUint32(out[12:], 0x10d00) // version 1.13
	le.PutUint16(out[40:], 1)       // part
	le.PutUint16(out[42:], 1)       // of one
	le.PutUint32(out[44:], uint32(len(images)))
	resource := func(to []byte, at, size int, flags byte) {
		le.PutUint64(to, uint64(size)|uint64(flags)<<56)
		le.PutUint64(to[8:], uint64(at))
		le.PutUint64(to[16:], uint64(size))
	}
	var table []byte
	add := func(b []byte, flags byte) (hash [20]byte) {
		hash = sha1.Sum(b) // what the format names contents by
		e := make([]byte, 50)
		resource(e, len(out), len(b), flags)
		le.PutUint16(e[24:], 1)
		le.PutUint32(e[26:], 1)
		copy(e[30:], hash[:])
		table = append(table, e...)
		out = append(out, b...)
		return hash
	}
	for _, list := range images {
		var top wimFolder
		for _, f := range list {
			top.add(f.Name, add(f.Data, 0))
		}
		dir := []byte{8, 0, 0, 0, 0, 0, 0, 0} // security data: none
		root := wimEntry("", wimIsFolder, [20]byte{})
		le.PutUint64(root[16:], uint64(len(dir)+len(root)+8))
		dir = append(append(dir, root...), make([]byte, 8)...)
		add(top.write(dir), 2) // metadata
	}
	resource(out[48:], len(out), len(table), 2)
	out = append(out, table...)
	at := len(out)
	for _, c := range utf16.Encode([]rune("\ufeff" + about)) {
		out = le.AppendUint16(out, c)
	}
	resource(out[72:], at, len(out)-at, 2)
	return out
}

const (
	wimIsFolder = 0x10
	wimIsFile   = 0x20
)

// wimFolder is a folder of an image being written.
type wimFolder struct {
	names []string
	files map[string][20]byte
	subs  map[string]*wimFolder
}

func (d *wimFolder) add(path string, hash [20]byte) {
	name, rest, deeper := strings.Cut(path, `\`)
	if d.files == nil {
		d.files, d.subs = map[string][20]byte{}, map[string]*wimFolder{}
	}
	if _, is := d.files[name]; !is && d.subs[name] == nil {
		d.names = append(d.names, name)
	}
	if !deeper {
		d.files[name] = hash
		return
	}
	if d.subs[name] == nil {
		d.subs[name] = &wimFolder{}
	}
	d.subs[name].add(rest, hash)
}

// write adds the folder's entries to the directories of an image, and behind them those of
// the folders in it.
func (d *wimFolder) write(dir []byte) []byte {
	at := map[string]int{}
	for _, name := range d.names {
		if d.subs[name] != nil {
			at[name] = len(dir)
			dir = append(dir, wimEntry(name, wimIsFolder, [20]byte{})...)
			continue
		}
		dir = append(dir, wimEntry(name, wimIsFile, d.files[name])...)
	}
	dir = append(dir, make([]byte, 8)...)
	for _, name := range d.names {
		if sub := d.subs[name]; sub != nil {
			binary.LittleEndian.PutUint64(dir[at[name]+16:], uint64(len(dir)))
			dir = sub.write(dir)
		}
	}
	return dir
}

func wimEntry(name string, attributes uint32, hash [20]byte) []byte {
	le := binary.LittleEndian
	u := utf16.Encode([]rune(name))
	size := 102
	if len(u) > 0 {
		size += 2*len(u) + 2
	}
	b := make([]byte, (size+7)&^7)
	le.PutUint64(b, uint64(len(b)))
	le.PutUint32(b[8:], attributes)
	le.PutUint32(b[12:], 0xffffffff) // no security descriptor
	copy(b[64:], hash[:])
	le.PutUint16(b[100:], uint16(2*len(u)))
	for i, c := range u {
		le.PutUint16(b[102+2*i:], c)
	}
	return b
}
