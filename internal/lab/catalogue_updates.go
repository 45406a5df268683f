package lab

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The catalogue of the world: cumulative updates of several releases of Windows, each
// month since January 2025, each replacing the one before, and beside them what else the
// real one has of such months. Numbers of articles and revisions are made up.

var catalogueReleases = []struct {
	title, products string
	build           int
	archs           []string // of titles
	article         int      // updates of releases with the same number share their article
	checkpoint      bool     // packages are images, and build on a checkpoint
	prefix          string
}{
	{"Windows 11, version 25H2", "Windows 11", 26200, []string{"x64", "arm64"}, 1, true, "windows11.0"},
	{"Windows 11 Version 24H2", "Windows 11", 26100, []string{"x64", "arm64"}, 1, true, "windows11.0"},
	{"Microsoft server operating system version 24H2", "Microsoft Server Operating System-24H2", 26100, []string{"x64"}, 2, true, "windows11.0"},
	{"Windows 11 Version 23H2", "Windows 11", 22631, []string{"x64", "arm64"}, 3, false, "windows11.0"},
	{"Windows 10 Version 22H2", "Windows 10, version 1903 and later", 19045, []string{"x64", "x86", "arm64"}, 4, false, "windows10.0"},
	{"Microsoft server operating system version 21H2", "Microsoft Server operating system-21H2", 20348, []string{"x64"}, 5, false, "windows10.0"},
	{"Windows Server 2019", "Windows Server 2019", 17763, []string{"x64"}, 6, false, "windows10.0"},
	{"Windows 10 Version 1809", "Windows 10 LTSB", 17763, []string{"x64", "x86"}, 6, false, "windows10.0"},
}

const (
	catalogueMonths   = 22
	catalogueFirst    = 7000 // revision of the first month
	catalogueStep     = 100  // and from month to month
	checkpointArticle = "KB5089980"
)

var titleArch = map[string]string{"x64": "x64-based Systems", "x86": "x86-based Systems", "arm64": "ARM64-based Systems"}

var pageArch = map[string]string{"x64": "AMD64", "x86": "X86", "arm64": "ARM64"}

// secondTuesday is when cumulative updates come.
func secondTuesday(year int, month time.Month) time.Time {
	d := time.Date(year, month, 8, 0, 0, 0, 0, time.UTC)
	for d.Weekday() != time.Tuesday {
		d = d.AddDate(0, 0, 1)
	}
	return d
}

// fill makes the updates.
func (c *catalogue) fill() {
	const about = "Install this update to resolve issues in Windows. For a complete listing of the issues that are included in this update, see the associated Microsoft Knowledge Base article."
	last := map[string]*entry{}
	for m := range catalogueMonths {
		day := secondTuesday(2025, time.January+time.Month(m))
		month := day.Format("2006-01")
		for _, r := range catalogueReleases {
			if r.build == 26200 && m < 9 { // it came in October 2025
				continue
			}
			kb := fmt.Sprintf("KB%d", 5090000+10*m+r.article)
			revision := catalogueFirst + catalogueStep*m
			for _, arch := range r.archs {
				build := ""
				if m >= 9 && r.checkpoint { // titles name the build since then
					build = fmt.Sprintf(" (%d.%d)", r.build, revision)
				}
				e := c.add(&entry{
					kb: kb, products: r.products, class: "Security Updates", date: day, arch: pageArch[arch], description: about,
					title: fmt.Sprintf("%s Cumulative Update for %s for %s (%s)%s", month, r.title, titleArch[arch], kb, build),
				})
				if r.checkpoint {
					e.files = append(e.files, c.image(r.prefix, checkpointArticle, arch))
					e.files = append(e.files, c.image(r.prefix, kb, arch))
				} else {
					e.files = append(e.files, c.msu(r.prefix, kb, arch, r.build, revision))
				}
				key := r.title + arch
				if old := last[key]; old != nil {
					e.before = append(append(e.before, old.before...), old)
					for _, o := range e.before {
						o.by = append(o.by, e)
					}
				}
				last[key] = e
				if m < catalogueMonths-1 {
					continue
				}
				c.add(&entry{
					kb: kb, products: r.products + ", GDR-DU", class: "Security Updates", date: day, arch: pageArch[arch], files: e.files, description: about,
					title: fmt.Sprintf("%s Dynamic Cumulative Update for %s for %s (%s)%s", month, r.title, titleArch[arch], kb, build),
				})
				preview := fmt.Sprintf("KB%d", 5090000+10*m+r.article+500)
				c.add(&entry{
					kb: preview, products: r.products, class: "Updates", date: day.AddDate(0, 0, 14), arch: pageArch[arch], description: about,
					title: fmt.Sprintf("%s Cumulative Update Preview for %s for %s (%s)", month, r.title, titleArch[arch], preview),
					files: []*file{c.msu(r.prefix, preview, arch, r.build, revision+50)},
				})
				net := fmt.Sprintf("KB%d", 5090000+10*m+r.article+600)
				c.add(&entry{
					kb: net, products: r.products, class: "Security Updates", date: day, arch: pageArch[arch], description: about,
					title: fmt.Sprintf("%s Cumulative Update for .NET Framework 3.5 and 4.8.1 for %s for %s (%s)", month, r.title, strings.TrimSuffix(titleArch[arch], "-based Systems"), net),
					files: []*file{c.msu(r.prefix, net, arch, r.build, 0)},
				})
			}
		}
	}
	day := secondTuesday(2026, time.October)
	newest := last["Windows 11 Version 23H2x64"]
	// What only its description ties to an article.
	c.add(&entry{
		kb: "KB5096900", products: "Windows 11", class: "Critical Updates", date: day, arch: "AMD64", description: "To be installed before " + newest.kb + ".",
		title: "2026-10 Servicing Stack Update for Windows 11 Version 23H2 for x64-based Systems (KB5096900)", files: []*file{c.msu("windows11.0", "KB5096900", "x64", 22631, 0)},
	})
	c.add(&entry{
		kb: "KB890830", products: "Windows 10, Windows 10 LTSB, Windows 10, version 1903 and later, Windows 11, Windows Server 2019, Microsoft Server operating system-21H2",
		class: "Update Rollups", date: day, arch: "AMD64", title: "Windows Malicious Software Removal Tool x64 - v5.140 (KB890830)", files: []*file{c.program("windows-kb890830-x64-v5.140", "KB890830")},
	})
	c.add(&entry{
		kb: "KB5096910", products: "Windows 11", class: "Updates", date: day, arch: "AMD64", languages: "German, French, Italian", fileLanguage: "de,fr,it",
		title: "2026-10 Update for spelling in Windows 11 Version 23H2 for x64-based Systems (KB5096910)", files: []*file{c.msu("windows11.0", "KB5096910", "x64", 22631, 0)},
	})
	for i, model := range []string{"Fabrikam Gigabit Adapter", "Fabrikam Storage Controller", "Contoso Touchpad"} {
		company, _, _ := strings.Cut(model, " ")
		version := fmt.Sprintf("%d.4.0.%d", i+2, 1200+i)
		c.add(&entry{
			products: "Windows 10, version 1903 and later, Servicing Drivers", class: "Drivers", date: day.AddDate(0, -i, 0), arch: "AMD64", title: company + " - Net - " + version,
			driver: &driverEntry{company, "Net", model, version, []string{fmt.Sprintf(`pci\ven_10ee&dev_%04x`, 0x7000+i), fmt.Sprintf(`pci\ven_10ee&dev_%04x`, 0x7100+i)}},
			files: []*file{c.put(fmt.Sprintf("driver%d-x64.cab", i), 90<<10, func(b []byte) []byte {
				return Cabinet(Packed{"driver.inf", []byte("; a driver\r\n")}, Packed{"driver.sys", b})
			})},
		})
	}
}

// put adds a file that is made when it is asked for first. Its size is that of what it
// holds, nearly: the page says no more of it.
func (c *catalogue) put(name string, size int, pack func([]byte) []byte) *file {
	stem, _, _ := strings.Cut(strings.ToLower(name), "_")
	stem = strings.TrimSuffix(stem, name[strings.LastIndexByte(name, '.'):])
	if f := c.files[stem]; f != nil {
		return f
	}
	f := &file{name: name, size: size, make: func() []byte {
		return c.w.published(name, func() []byte { return pack(c.w.store.bytes(name, size)) })
	}}
	c.files[stem] = f
	return f
}

// signed signs as the world's publisher does.
func (c *catalogue) signed(b []byte, program bool) []byte {
	if c.w.spec.Catalogue.Fault == CatalogueBare {
		return b
	}
	p, err := c.publisher()
	if err != nil {
		return b // its signature is missed at once
	}
	sign := p.Cabinet
	if program {
		sign = p.Program
	}
	if out, err := sign(b); err == nil {
		return out
	}
	return b
}

// msu is a package of the old form: a signed cabinet with the signed cabinet that is
// installed, and what is said of it. A revision of zero is an update that leaves the build
// as it is.
func (c *catalogue) msu(prefix, kb, arch string, build, revision int) *file {
	stem := prefix + "-" + strings.ToLower(kb) + "-" + arch
	return c.put(stem+".msu", 200<<10, func(payload []byte) []byte {
		servicing := map[string]string{"x64": "amd64", "x86": "x86", "arm64": "arm64"}[arch]
		name, version := "Package_for_"+kb, fmt.Sprintf("10.0.1.%d", 1+build%7)
		if revision > 0 {
			name, version = "Package_for_RollupFix", fmt.Sprintf("%d.%d.1.8", build, revision)
		}
		mum := `<?xml version="1.0" encoding="utf-8" standalone="yes"?>` + "\r\n" +
			`<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" description="Fix for ` + kb + `" displayName="default" company="Microsoft Corporation" supportInformation="https://support.microsoft.com/help/` + kb[2:] + `">` +
			`<assemblyIdentity name="` + name + `" version="` + version + `" language="neutral" processorArchitecture="` + servicing + `" publicKeyToken="31bf3856ad364e35"/>` +
			`<package identifier="` + kb + `" applicabilityEvaluation="deep" releaseType="Security Update" restart="possible">` +
			`<parent buildCompare="EQ" integrate="separate" disposition="detect"><assemblyIdentity name="Microsoft-Windows-CoreEdition" version="10.0.` + fmt.Sprint(build) + `.1" language="neutral" processorArchitecture="` + servicing + `" publicKeyToken="31bf3856ad364e35"/></parent>` +
			`</package></assembly>` + "\r\n"
		title := strings.ToUpper(prefix[:1]) + prefix[1:] + "-" + kb + "-" + arch
		inner := c.signed(Cabinet(Packed{"update.mum", []byte(mum)}, Packed{"payload.bin", payload}), false)
		properties := `Applies to="Windows 10.0"` + "\r\n" + `Build Date="2026/01/01"` + "\r\n" + `KB Article Number="` + kb[2:] + `"` + "\r\n" + `Language="ALL"` + "\r\n" + `Package Type="Security Update"` + "\r\n" + `Processor Architecture="` + servicing + `"` + "\r\n"
		answer := `<?xml version="1.0" encoding="utf-8"?><unattend xmlns="urn:schemas-microsoft-com:unattend"><servicing><package action="install">` +
			`<assemblyIdentity name="` + name + `" version="` + version + `" language="neutral" processorArchitecture="` + servicing + `" publicKeyToken="31bf3856ad364e35"/><source location="%configsetroot%\` + title + `.CAB" /></package></servicing></unattend>`
		return c.signed(Cabinet(
			Packed{"WSUSSCAN.cab", Cabinet(Packed{"package.xml", []byte("<Updates/>")})},
			Packed{title + ".cab", inner}, Packed{title + ".xml", []byte(answer)}, Packed{title + "-pkgProperties.txt", []byte(properties)},
		), false)
	})
}

// image is a package of the new form: an image file without a signature of its own.
// [MS-WIM] has its head: magic, its size, its version.
func (c *catalogue) image(prefix, kb, arch string) *file {
	size := 260 << 10
	if kb == checkpointArticle {
		size = 400 << 10
	}
	return c.put(prefix+"-"+strings.ToLower(kb)+"-"+arch+".msu", size, func(payload []byte) []byte {
		head := append([]byte("MSWIM\x00\x00\x00"), make([]byte, 208-8)...)
		binary.LittleEndian.PutUint32(head[8:], 208)
		binary.LittleEndian.PutUint32(head[12:], 0x10d00)
		return append(head, payload...)
	})
}

// program is an update that installs by itself.
func (c *catalogue) program(stem, _ string) *file {
	return c.put(stem+".exe", 120<<10, func(payload []byte) []byte { return c.signed(Program64(payload), true) })
}

func unescapeForm(s string) (string, error) { return url.QueryUnescape(s) }
