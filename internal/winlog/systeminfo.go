package winlog

import (
	"io"
	"strconv"
	"strings"
	"time"
)

// systeminfo prints "Key:   value" lines in a fixed order with translated keys:
// host name, OS name, OS version, OS manufacturer, configuration, build type,
// owner, organisation, product id, install date, boot time, manufacturer,
// model, system type, processors, BIOS, directories, boot device, locales, time
// zone, five amounts of memory, page files, domain, logon server, hotfixes,
// network cards. The lines are known by the shape of a value (a version, a
// product id, "en-us;", pagefile.sys, `\\server`, KB numbers) and by where they
// stand to such a line.
//
// msinfo32 exports "Item<tab>Value" in an order of its own. Get-ComputerInfo and
// wmic print names of properties, which are not translated; ver and the banner
// of cmd.exe put the version in brackets.

// MachineInfo is what a document says about a machine. What it does not say is zero.
type MachineInfo struct {
	Host         string
	OSName       string // "Microsoft Windows 11 Pro"; translated in parts by some languages
	Version      string // "10.0.22631"
	Build        int    // 22631
	UBR          int    // the number behind the build, only if shown (ver, winver)
	Release      string // "23H2", only if shown (winver, Get-ComputerInfo)
	Arch         string // "x64", "ARM64" or "x86"
	Domain       string // name of the domain or workgroup
	Server       bool
	Hotfixes     []string  // "KB5034441", in the order shown
	BootTime     time.Time // the machine's wall clock, marked UTC; zero if the order of day and month cannot be told
	Locale       string    // of the system: "en-us"
	Manufacturer string
	Model        string
	VM           string // "VMware", "Hyper-V", "KVM/QEMU", "VirtualBox", "Xen", ... if the model is a virtual one
	PageFiles    []string
}

// ReadSystemInfo reads what systeminfo, ver, winver, msinfo32 (text report),
// Get-ComputerInfo and wmic os or qfe print, in any display language.
func ReadSystemInfo(r io.Reader) (MachineInfo, error) {
	lines, err := readDocument(r)
	if err != nil {
		return MachineInfo{}, err
	}
	var s MachineInfo
	rows := systemRows(lines)
	placed := false
	for i := range rows {
		s.byName(rows[i])
		if !placed && i > 0 && versionValue.MatchString(rows[i].value) && strings.Contains(rows[i-1].value, "Windows") {
			s.atVersion(rows, i)
			placed = true
		}
	}
	s.byShape(rows)
	for _, line := range lines {
		s.banner(line)
		for _, kb := range findKBs(line) {
			if len(s.Hotfixes) < 2000 {
				s.Hotfixes = append(s.Hotfixes, kb)
			}
		}
	}
	s.Hotfixes = distinct(s.Hotfixes)
	s.Server = s.Server || strings.Contains(s.OSName, "Server")
	s.VM = virtualMachine(s.Manufacturer + " " + s.Model)
	return s, nil
}

// systemRow is a line "key: value", "key<tab>value" or "key=value".
type systemRow struct {
	key, value string
	sep        byte
	more       []string // continuation lines
}

func systemRows(lines []string) []systemRow {
	var rows []systemRow
	for _, line := range lines {
		t := strings.TrimSpace(line)
		if t == "" || isPrompt(t) {
			continue
		}
		if isSpace(line[0]) && len(line)-len(strings.TrimLeft(line, " \t")) > 8 && len(rows) > 0 {
			last := &rows[len(rows)-1]
			if len(last.more) < 4096 {
				last.more = append(last.more, t)
			}
			continue
		}
		row := systemRow{sep: ':'}
		if k, v, ok := strings.Cut(line, "\t"); ok && strings.TrimSpace(k) != "" {
			row.key, row.value, row.sep = strings.TrimSpace(k), strings.TrimSpace(v), '\t'
		} else if k, v, ok := strings.Cut(t, "="); ok && !strings.ContainsAny(k, " :") {
			row.key, row.value, row.sep = k, strings.TrimSpace(v), '='
		} else if row.key, row.value, ok = cutColon(t); !ok {
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

var (
	versionValue = newPattern(`^(\d{1,2}\.\d{1,2}\.(\d{4,5}))(?:\.(\d{1,5}))?(?:\s|$)`)
	productID    = newPattern(`^[0-9A-Z]{5}-[0-9A-Z]{3,5}-[0-9A-Z]{5,7}-[0-9A-Z]{5}$`)
	localeValue  = newPattern(`^([a-z]{2,3}(?:-[A-Za-z]{2,4}){0,2});`)
	pageFile     = newPattern(`(?i)^[a-z]:\\(?:[^\\]+\\)*pagefile\.sys`)
	archToken    = newPattern(`(?i)(?:^|[^\w])(x64|arm64|x86)(?:[^\w]|$)`)
	verBanner    = newPattern(`Microsoft Windows \[[^\]\d]{0,30}(\d{1,2}\.\d{1,2}\.(\d{4,5}))(?:\.(\d{1,5}))?\]`)
	winverText   = newPattern(`\b(\d\dH[12]|1[5-9]0\d|2004) \([^()\d]{1,40}(\d{4,5})\.(\d{1,5})\)`)
)

// atVersion reads the rows around the one that holds the version.
func (s *MachineInfo) atVersion(rows []systemRow, i int) {
	s.setVersion(rows[i].value)
	if s.OSName == "" {
		s.OSName = rows[i-1].value
	}
	host := i - 2
	if rows[i].sep == '\t' {
		host = i + 3 // msinfo32: other description and manufacturer come first
	}
	if s.Host == "" && host >= 0 && host < len(rows) && isHostName(rows[host].value) {
		s.Host = rows[host].value
	}
}

func (s *MachineInfo) setVersion(v string) {
	m := versionValue.FindStringSubmatch(v)
	if m == nil {
		return
	}
	s.Version = m[1]
	s.Build, _ = strconv.Atoi(m[2])
	if m[3] != "" {
		s.UBR, _ = strconv.Atoi(m[3])
	}
}

func isHostName(v string) bool {
	return v != "" && len(v) <= 63 && !strings.ContainsAny(v, " \t\\/:;,[]{}()")
}

// byShape reads the rows that their values or their neighbours tell.
func (s *MachineInfo) byShape(rows []systemRow) {
	lastPage, logon, boot := -1, -1, ""
	for i, row := range rows {
		v := row.value
		switch {
		case productID.MatchString(v) && i+2 < len(rows):
			boot = rows[i+2].value
			if i+4 < len(rows) && s.Manufacturer == "" {
				s.Manufacturer, s.Model = rows[i+3].value, rows[i+4].value
			}
		case pageFile.MatchString(v):
			lastPage = i
			for _, p := range append([]string{v}, row.more...) {
				if pageFile.MatchString(p) {
					s.PageFiles = append(s.PageFiles, p)
				}
			}
		case strings.HasPrefix(v, `\\`) && !strings.HasPrefix(v, `\\?\`) && logon < 0:
			logon = i
		}
		if m := localeValue.FindStringSubmatch(v); m != nil && s.Locale == "" {
			s.Locale = strings.ToLower(m[1])
		}
		if m := archToken.FindStringSubmatch(v); m != nil && s.Arch == "" && len(v) < 40 {
			s.Arch = archName(m[1])
		}
	}
	s.PageFiles = distinct(s.PageFiles)
	if s.Domain == "" {
		switch {
		case logon > 0 && rows[logon].sep == ':' && isHostName(rows[logon-1].value):
			s.Domain = rows[logon-1].value
		case lastPage >= 0 && lastPage+1 < len(rows) && rows[lastPage].sep == ':' && isHostName(rows[lastPage+1].value):
			s.Domain = rows[lastPage+1].value
		}
	}
	if s.BootTime.IsZero() && boot != "" {
		s.BootTime = localTime(boot, s.Locale)
	}
	if s.Manufacturer == "" || s.Model == "" {
		for i, row := range rows { // msinfo32
			if row.sep == '\t' && i > 1 && versionValue.MatchString(row.value) && i+5 < len(rows) {
				s.Manufacturer, s.Model = rows[i+4].value, rows[i+5].value
				break
			}
		}
	}
}

func archName(token string) string {
	switch strings.ToLower(token) {
	case "arm64":
		return "ARM64"
	default:
		return strings.ToLower(token)
	}
}

// byName reads names of properties that no translation touches, and the English
// keys that a short excerpt may hold alone.
func (s *MachineInfo) byName(row systemRow) {
	v := row.value
	if v == "" {
		return
	}
	switch strings.ToLower(strings.ReplaceAll(row.key, " ", "")) {
	case "csname", "csdnshostname", "hostname", "systemname":
		if s.Host == "" && isHostName(v) {
			s.Host = v
		}
	case "osname", "caption":
		if strings.Contains(v, "Windows") {
			s.OSName = v
		}
	case "windowsproductname":
		if s.OSName == "" {
			s.OSName = v
		}
	case "osversion", "version":
		s.setVersion(v)
	case "osbuildnumber", "buildnumber":
		if b, err := strconv.Atoi(v); err == nil && s.Build == 0 && b < 100_000 {
			s.Build = b
		}
	case "osdisplayversion", "windowsdisplayversion", "displayversion":
		s.Release = v
	case "osarchitecture":
		if s.Arch == "" && strings.HasPrefix(v, "ARM") {
			s.Arch = "ARM64"
		}
	case "csdomain", "domain":
		if isHostName(v) {
			s.Domain = v
		}
	case "oslocale":
		s.Locale = strings.ToLower(v)
	case "csmanufacturer", "systemmanufacturer":
		s.Manufacturer = v
	case "csmodel", "systemmodel":
		s.Model = v
	case "osproducttype":
		s.Server = s.Server || strings.Contains(v, "Server") || strings.Contains(v, "DomainController")
	case "oslastbootuptime":
		s.BootTime = localTime(v, s.Locale)
	case "lastbootuptime":
		if t, err := time.Parse("20060102150405", v[:min(14, len(v))]); err == nil {
			s.BootTime = t
		}
	}
}

// banner reads ver, the first line of cmd.exe, and the text of winver.
func (s *MachineInfo) banner(line string) {
	if m := verBanner.FindStringSubmatch(line); m != nil && s.Version == "" {
		s.Version = m[1]
		s.Build, _ = strconv.Atoi(m[2])
		s.UBR, _ = strconv.Atoi(m[3])
	}
	if m := winverText.FindStringSubmatch(line); m != nil {
		build, _ := strconv.Atoi(m[2])
		if s.Build == 0 || s.Build == build {
			s.Release, s.Build = m[1], build
			s.UBR, _ = strconv.Atoi(m[3])
		}
	}
}

func distinct(list []string) []string {
	seen := map[string]bool{}
	out := list[:0]
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// Names of virtual hardware, as the firmware tables give them.
var virtualModels = []struct{ mark, name string }{
	{"vmware", "VMware"},
	{"virtualbox", "VirtualBox"},
	{"innotek", "VirtualBox"},
	{"qemu", "KVM/QEMU"},
	{"standard pc (", "KVM/QEMU"},
	{"kvm", "KVM/QEMU"},
	{"parallels", "Parallels"},
	{"xen", "Xen"},
	{"hvm domu", "Xen"},
	{"amazon ec2", "Amazon EC2"},
	{"google compute engine", "Google Compute Engine"},
	{"nutanix", "Nutanix AHV"},
	{"openstack", "OpenStack"},
	{"microsoft corporation virtual machine", "Hyper-V"},
}

func virtualMachine(model string) string {
	low := strings.ToLower(model)
	for _, m := range virtualModels {
		if strings.Contains(low, m.mark) {
			return m.name
		}
	}
	return ""
}

var localDateTime = newPattern(`^(\d{1,4})[./-] ?(\d{1,2})[./-] ?(\d{1,4})\.?,? +(?:([^\d\s:]{1,6}) ?)?(\d{1,2})[:.](\d{2})[:.](\d{2})(?:[ \x{00A0}\x{202F}]*([AaPp])\.?[ \x{00A0}]?[Mm]\.?)?`)

// localTime reads a date and time in the notation of a locale. Where day and
// month could be either, only a known locale decides; otherwise it is zero.
func localTime(s, locale string) time.Time {
	m := localDateTime.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return time.Time{}
	}
	a, _ := strconv.Atoi(m[1])
	b, _ := strconv.Atoi(m[2])
	c, _ := strconv.Atoi(m[3])
	var year, month, day int
	switch {
	case len(m[1]) == 4:
		year, month, day = a, b, c
	case len(m[3]) != 4:
		return time.Time{}
	case a > 12:
		year, month, day = c, b, a
	case b > 12:
		year, month, day = c, a, b
	case strings.Contains(s[:min(len(s), 5)], "."), a == b:
		year, month, day = c, b, a // dots always part day, month, year
	case monthFirst(locale):
		year, month, day = c, a, b
	case locale != "":
		year, month, day = c, b, a
	default:
		return time.Time{}
	}
	hour, _ := strconv.Atoi(m[5])
	minute, _ := strconv.Atoi(m[6])
	sec, _ := strconv.Atoi(m[7])
	switch afternoon, morning := isAfternoon(m[4], m[8]); {
	case afternoon && hour < 12:
		hour += 12
	case morning && hour == 12:
		hour = 0
	}
	t, ok := civil(year, month, day, hour, minute, sec, 0)
	if !ok {
		return time.Time{}
	}
	return t
}

func monthFirst(locale string) bool {
	switch strings.ToLower(locale) {
	case "en-us", "en-ph", "en-pr", "es-us", "es-pr", "en-fm":
		return true
	}
	return false
}

// isAfternoon reads the mark of the half of the day: before the time in Chinese,
// Japanese and Korean, after it where AM and PM are used.
func isAfternoon(before, after string) (afternoon, morning bool) {
	switch before {
	case "下午", "午後", "오후":
		return true, false
	case "上午", "午前", "오전":
		return false, true
	}
	return strings.EqualFold(after, "p"), strings.EqualFold(after, "a")
}
