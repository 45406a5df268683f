package lab

import (
	"fmt"
	"strings"
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
