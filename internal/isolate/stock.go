package isolate

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Listed is what starts with Windows, with what a search would do about it.
type Listed struct {
	host.StartupEntry
	Vendor string  // who made it, as a person would say
	Keep   Reason  // why it is not touched; "" if it may be switched off
	For    string  // for whose sake it is kept, where that is something else
	Weight float64 // how likely it is to blame, beside the others
	Class  string  // of program, where that is known: see rules.tsv
}

// Touched reports whether a search may switch the entry off.
func (l Listed) Touched() bool { return l.Keep == "" }

// Reason says why an entry is not touched; "isolate.keep." and the reason is its sentence.
type Reason string

// The reasons.
const (
	KeepMicrosoft  Reason = "microsoft"  // it is a part of Windows, or of Microsoft
	KeepDriver     Reason = "driver"     // without it a device, or Windows, may not work
	KeepBoot       Reason = "boot"       // Windows needs it to start
	KeepSignIn     Reason = "sign-in"    // somebody needs it to sign in
	KeepEncryption Reason = "encryption" // disks or files cannot be read without it
	KeepNetwork    Reason = "network"    // it connects the machine
	KeepSecurity   Reason = "security"   // it protects the machine
	KeepManagement Reason = "management" // somebody looks after the machine with it
	KeepNeeded     Reason = "needed"     // something that is kept cannot work without it
	KeepOnce       Reason = "once"       // it belongs to an installation that is not finished
	KeepOff        Reason = "off"        // it is off already
	KeepUnknown    Reason = "unknown"    // who made it could not be told
	KeepPolicy     Reason = "shielded"   // Windows lets nobody stop it
	KeepUpdoc      Reason = "updoc"
)

//go:embed rules.tsv
var rulesFile string

// rule is one line of the table.
type rule struct {
	field    string
	patterns []string
	keep     Reason
	weight   float64
	kind     string
}

var rules = sync.OnceValues(func() ([]rule, error) { return readRules(rulesFile) })

func readRules(text string) ([]rule, error) {
	var out []rule
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || !slices.Contains([]string{"name", "group", "file", "maker", "text"}, f[0]) {
			return nil, fmt.Errorf("rules, line %d: want field, pattern, verdict", n)
		}
		r := rule{field: f[0], patterns: strings.Split(strings.ToLower(f[1]), "|")}
		if why, ok := strings.CutPrefix(f[2], "keep-"); ok {
			r.keep = Reason(why)
		} else {
			weight, kind, _ := strings.Cut(f[2], " ")
			w, err := strconv.ParseFloat(weight, 64)
			if err != nil || w <= 0 || kind == "" {
				return nil, fmt.Errorf("rules, line %d: no weight and kind: %q", n, f[2])
			}
			r.weight, r.kind = w, kind
		}
		out = append(out, r)
	}
	return out, nil
}

func (r rule) fits(e host.StartupEntry) bool {
	texts := []string{e.Name}
	switch r.field {
	case "group":
		texts = []string{e.Group}
	case "file":
		texts = []string{base(e.File)}
	case "maker":
		texts = []string{e.Owner, e.Company}
	case "text":
		texts = []string{e.Name + " ", e.Display + " ", e.Owner + " ", e.Company + " ", e.Product + " ", base(e.File) + " "}
	}
	for _, t := range texts {
		if t = strings.ToLower(t); strings.TrimSpace(t) == "" {
			continue
		}
		for _, p := range r.patterns {
			if glob(p, t) || r.field == "text" && glob(p, strings.TrimSuffix(t, " ")) {
				return true
			}
		}
	}
	return false
}

// glob matches a whole text; * stands for anything. It takes no longer than the texts'
// lengths multiplied.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func base(p string) string { return p[strings.LastIndexByte(p, '\\')+1:] }

func folder(p string) string { return strings.ToLower(p[:max(0, strings.LastIndexByte(p, '\\'))]) }

// microsoftNames are the names on the certificates with which Microsoft signs what it
// made itself. "Microsoft Windows Hardware Compatibility Publisher" is none of them: it
// stands under the drivers of others. learn.microsoft.com: "Windows Hardware Developer
// Program: Get drivers signed by Microsoft for multiple Windows versions".
var microsoftNames = []string{
	"Microsoft Windows", "Microsoft Windows Publisher", "Microsoft Corporation", "Microsoft Windows Component Publisher",
	"Microsoft Windows Production PCA 2011", "Microsoft Code Signing PCA 2011", "Microsoft Update",
}

// good reports that a file's signature holds.
func good(i host.Program) bool {
	return i.Signed == host.SignedInside || i.Signed == host.SignedCatalog
}

// Microsoft reports whether a file is Microsoft's own, by the subject of its signer.
func Microsoft(i host.Program) bool {
	return good(i) && i.Owner == "Microsoft Corporation" && slices.Contains(microsoftNames, i.Signer)
}

// Trusted reports whether the signatures of this machine can be told at all: on every
// Windows most of what runs is Microsoft's own and signed. Where the catalogues cannot
// be read, all of Windows looks like somebody else's.
func Trusted(s host.Startup) bool {
	own := 0
	for _, e := range s.Entries {
		if e.Kind == host.StartService && Microsoft(e.Program) {
			own++
		}
	}
	const few = 10 // a Windows runs some dozens of its own services
	return own >= few
}

// Stock says of everything that starts with a machine whether it may be switched off.
// windows is the folder of Windows, "" for C:\Windows.
func Stock(s host.Startup, windows string) ([]Listed, error) {
	table, err := rules()
	if err != nil {
		return nil, err
	}
	windows = cmp.Or(windows, `C:\Windows`)
	out := make([]Listed, len(s.Entries))
	for i, e := range s.Entries {
		l := Listed{StartupEntry: e, Vendor: vendor(e), Weight: 1}
		l.Keep = keep(e, table, windows)
		for _, r := range table {
			if r.kind != "" && r.fits(e) {
				l.Weight, l.Class = r.weight, r.kind
				break
			}
		}
		// What runs as a service interferes more often than what shows an icon.
		if e.Kind == host.StartService {
			l.Weight *= service
		}
		out[i] = l
	}
	keepRoles(out, s.Roles)
	keepNeeded(out)
	return out, nil
}

// service is how much likelier a service is to blame than what starts at a sign-in.
const service = 4

// keep is why an entry is not touched, looking at nothing but itself.
func keep(e host.StartupEntry, table []rule, windows string) Reason {
	for _, r := range table {
		if r.keep == KeepUpdoc && r.fits(e) {
			return KeepUpdoc
		}
	}
	const severe = 2 // SERVICE_ERROR_SEVERE: Windows starts anew with what worked last
	inWindows := len(e.File) > len(windows) && strings.EqualFold(e.File[:len(windows)], windows) && e.File[len(windows)] == '\\'
	switch {
	case e.Kind == host.StartDriver:
		return KeepDriver
	case Microsoft(e.Program):
		return KeepMicrosoft
	case e.Signed == "" || e.Signed == host.SignedMissing:
		return KeepUnknown
	case !good(e.Program) && (inWindows || strings.HasPrefix(strings.ToLower(e.Company), "microsoft")):
		return KeepUnknown // what says that it is a part of Windows may be one whose catalogue is lost
	case e.Kind == host.StartService && (e.Start >= 0 && e.Start < winlog.ServiceAutoStart || e.Error >= severe):
		return KeepBoot
	case e.Shielded:
		return KeepPolicy
	case e.SafeMode:
		return KeepBoot
	}
	for _, r := range table {
		if r.keep != "" && r.fits(e) {
			return r.keep
		}
	}
	switch {
	case e.Kind == host.StartOnce:
		return KeepOnce
	case !e.On && !e.Running:
		return KeepOff
	case e.Kind != host.StartService && !e.On:
		return KeepOff
	}
	return ""
}

// keepRoles keeps whatever belongs to a program that has taken over a part of Windows:
// what lies in its folder, and what its maker put into folders beside it.
func keepRoles(list []Listed, roles []host.StartupRole) {
	why := map[string]Reason{
		host.RoleCredentials: KeepSignIn, host.RoleLSA: KeepSignIn, host.RoleNetworkName: KeepNetwork, host.RoleSecurity: KeepSecurity,
	}
	for _, r := range roles {
		dir := programFolder(r.File)
		for i := range list {
			l := &list[i]
			if !l.Touched() {
				continue
			}
			same := strings.EqualFold(l.Name, r.Name) || r.File != "" && strings.EqualFold(l.File, r.File) ||
				dir != "" && strings.HasPrefix(strings.ToLower(l.File), dir+`\`)
			if same && why[r.Role] != "" {
				l.Keep, l.For = why[r.Role], r.Name
			}
		}
	}
	// Who protects the machine does so with all of its parts.
	for _, r := range roles {
		if r.Role != host.RoleSecurity {
			continue
		}
		for _, known := range list {
			if known.Keep != KeepSecurity || known.For != r.Name || known.Owner == "" {
				continue
			}
			for i := range list {
				if list[i].Touched() && list[i].Owner == known.Owner && list[i].Kind == host.StartService {
					list[i].Keep, list[i].For = KeepSecurity, r.Name
				}
			}
		}
	}
}

// programFolder is the folder of one product, "" for a folder that many share.
func programFolder(file string) string {
	dir := folder(file)
	parts := strings.Split(dir, `\`)
	shared := len(parts) < 3 || slices.Contains([]string{"windows", "users"}, parts[1]) ||
		len(parts) == 3 && parts[2] == "common files"
	if shared {
		return ""
	}
	return dir
}

// keepNeeded keeps what something that is kept cannot work without.
func keepNeeded(list []Listed) {
	at := map[string]int{}
	for i, l := range list {
		if l.Kind == host.StartService {
			at[strings.ToLower(l.Name)] = i
		}
	}
	for more := true; more; {
		more = false
		for _, l := range list {
			if l.Touched() || l.Keep == KeepOff {
				continue
			}
			for _, n := range l.Needs {
				if i, ok := at[strings.ToLower(n)]; ok && list[i].Touched() {
					list[i].Keep, list[i].For, more = KeepNeeded, cmp.Or(l.Display, l.Name), true
				}
			}
		}
	}
}

// vendor is who made an entry: by the signature, else by what the file says, else by
// where it lies.
func vendor(e host.StartupEntry) string {
	if good(e.Program) && e.Owner != "" && !strings.HasPrefix(e.Signer, "Microsoft Windows Hardware") {
		return e.Owner
	}
	if c := strings.TrimSpace(e.Company); c != "" {
		return c
	}
	parts := strings.Split(e.File, `\`)
	for i, p := range parts[:max(0, len(parts)-1)] {
		if i > 0 && (strings.HasPrefix(strings.ToLower(p), "program files") || strings.EqualFold(p, "programdata") || strings.EqualFold(p, "programs")) && i+1 < len(parts)-1 {
			return parts[i+1]
		}
	}
	return cmp.Or(base(e.File), e.Name)
}
