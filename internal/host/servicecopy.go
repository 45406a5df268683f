package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// AskServiceCopies asks for [ServiceCopies]: of what the machine keeps of itself, or, by the
// arguments "path" and "index", of one Windows in an image that somebody gave. A recording does not ask it: what stood in
// the registry once is no symptom, and only the machine itself can be given it back.
const AskServiceCopies = "service-copies"

// ServiceCopies are services of updating that are gone from the machine, as older
// states of it still have them: shadow copies of its volume, and backups of its
// registry. Of each service the newest copies, at most a few.
type ServiceCopies struct {
	Copies []ServiceCopy `json:"copies"`
	Looked int           `json:"looked"` // older states that could be read, whatever they have
	Unseen []Unseen      `json:"unseen,omitempty"`
}

// ServiceCopy is one service as an older state of the machine has it.
type ServiceCopy struct {
	Name  string        `json:"name"`
	From  string        `json:"from"`            // "HarddiskVolumeShadowCopy3", "D:\\sources\\install.wim, 6"
	Image bool          `json:"image,omitempty"` // as Windows is shipped, and not as this machine was
	Taken time.Time     `json:"taken,omitzero"`  // when the registry of that state was written
	Build string        `json:"build"`           // of the Windows of that state: "22631"
	File  string        `json:"file"`            // what the service runs, as a path of the machine: its ServiceDll, else its program
	Here  bool          `json:"here"`            // that file exists now
	Keys  []ServiceTree `json:"keys"`            // the service's own key first
}

// ServiceTree is one key of a service.
type ServiceTree struct {
	Path   string            `json:"path"` // below the service's key; "" is that itself
	Values []winlog.RegValue `json:"values"`
}

// Restorable are the services that may be registered anew: Windows' own, without which
// nothing is updated. [Change.Check] refuses any other.
var restorable = []string{
	"wuauserv", "bits", "cryptsvc", "TrustedInstaller", "msiserver", "UsoSvc", "DoSvc", "WaaSMedicSvc", "AppIDSvc",
	"InstallService", "wlidsvc", "W32Time", "EventSystem", "SENS", "gpsvc", "VSS", "swprv",
}

// Restorable reports whether a service may be registered anew.
func Restorable(name string) bool {
	return slices.ContainsFunc(restorable, func(r string) bool { return equalFold(r, name) })
}

// OlderState is a registry as it was.
type OlderState struct {
	From  string
	Image bool // as Windows is shipped
	Taken time.Time
	// Key reads a key of HKLM\SYSTEM, in which CurrentControlSet is the set that was
	// current, or of HKLM\SOFTWARE.
	Key func(ctx context.Context, path string) (Key, error)
}

// Bounds of what is looked at: a volume has 64 shadow copies for its user at most, and
// the newest few tell what there is. learn.microsoft.com: "Volume Shadow Copy Service".
const (
	maxStates     = 8 // older states that are read
	maxCopies     = 2 // of one service
	maxTreeKeys   = 60
	maxTreeValues = 300
	deepestTree   = 4 // TriggerInfo\0 lies two below a service
)

// FindServiceCopies looks for services that are gone in older states of a machine, the
// newest first. windows is its folder, C:\Windows; exists says whether a file does.
func FindServiceCopies(ctx context.Context, r Reader, states []OlderState, windows string, exists func(string) (bool, error)) (ServiceCopies, error) {
	out := ServiceCopies{Copies: []ServiceCopy{}}
	var gone []string
	for _, name := range restorable {
		if _, err := r.Service(ctx, name); errors.Is(err, ErrNotExist) {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return out, ctx.Err()
	}
	sorted.By(states, func(a, b OlderState) int { return b.Taken.Compare(a.Taken) })
	found := map[string]int{}
	for _, s := range states[:min(len(states), maxStates)] {
		build, err := s.build(ctx)
		if err != nil {
			out.miss(s.From, err)
			continue
		}
		out.Looked++
		for _, name := range gone {
			if found[name] == maxCopies {
				continue
			}
			c := ServiceCopy{Name: name, From: s.From, Image: s.Image, Taken: s.Taken, Build: build}
			switch err := s.tree(ctx, name, &c); {
			case errors.Is(err, ErrNotExist):
				continue // that state did not have it either
			case err != nil:
				out.miss(s.From+" "+name, err)
				continue
			}
			if c.File = c.runs(windows); c.File != "" {
				if c.Here, err = exists(c.File); err != nil {
					out.miss(c.File, err)
				}
			}
			found[name]++
			out.Copies = append(out.Copies, c)
		}
	}
	return out, ctx.Err()
}

func (c *ServiceCopies) miss(part string, err error) {
	if len(c.Unseen) < maxStates {
		c.Unseen = append(c.Unseen, Unseen{Part: part, Why: err.Error()})
	}
}

func (s OlderState) build(ctx context.Context) (string, error) {
	k, err := s.Key(ctx, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`)
	if err != nil {
		return "", err
	}
	v, _ := k.Value("CurrentBuild")
	build, _ := v.String()
	if build == "" {
		return "", fmt.Errorf("%s: %w: it does not say which build it is", s.From, ErrNotExist)
	}
	return build, nil
}

// tree reads the key of a service with all that is below it. One that has more than a
// service has is no copy: half of it would be none.
func (s OlderState) tree(ctx context.Context, name string, c *ServiceCopy) error {
	values := 0
	var read func(below string, depth int) error
	read = func(below string, depth int) error {
		k, err := s.Key(ctx, strings.TrimSuffix(keyServiceList+`\`+name+`\`+below, `\`))
		if err != nil {
			return err
		}
		c.Keys = append(c.Keys, ServiceTree{Path: below, Values: k.Values})
		if values += len(k.Values); values > maxTreeValues || len(c.Keys) > maxTreeKeys || depth > deepestTree {
			return fmt.Errorf("service %s: its key holds more than a service has", name)
		}
		for _, sub := range k.Subkeys {
			if equalFold(sub, "Enum") { // Windows makes it when the service starts
				continue
			}
			if err := read(strings.TrimPrefix(below+`\`+sub, `\`), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return read("", 0)
}

// Value returns a value of a key of the copy.
func (c ServiceCopy) Value(key, name string) (winlog.RegValue, bool) {
	for _, k := range c.Keys {
		if equalFold(k.Path, key) {
			return Key{Values: k.Values}.Value(name)
		}
	}
	return winlog.RegValue{}, false
}

func (c ServiceCopy) text(key, name string) string {
	v, _ := c.Value(key, name)
	s, _ := v.String()
	return s
}

func (c ServiceCopy) number(name string) uint32 {
	v, _ := c.Value("", name)
	n, _ := v.DWord()
	return n
}

// runs is the file that a service is: the library that its host process loads, and
// for one with a process of its own the program.
// learn.microsoft.com: "HKLM\SYSTEM\CurrentControlSet\Services Registry Tree".
func (c ServiceCopy) runs(windows string) string {
	p := c.text("Parameters", "ServiceDll")
	if p == "" {
		p = c.text("", "ServiceDll")
	}
	if p == "" {
		if p = ServiceImage(c.text("", "ImagePath")); equalFold(path.Base(strings.ReplaceAll(p, `\`, "/")), "svchost.exe") {
			return "" // the host of a library that is not named
		}
	}
	for _, name := range []string{"%systemroot%", "%windir%"} {
		if len(p) > len(name) && equalFold(p[:len(name)], name) {
			p = windows + p[len(name):]
		}
	}
	if !localPath(p) {
		return ""
	}
	return p
}

// ServiceImage is the program of a command line that a service is started by.
func ServiceImage(line string) string {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, `"`); ok {
		p, _, _ := strings.Cut(rest, `"`)
		return p
	}
	if i := strings.Index(strings.ToLower(line), ".exe"); i >= 0 {
		return line[:i+len(".exe")]
	}
	p, _, _ := strings.Cut(line, " ")
	return p
}

// Registered is how a service is registered, besides its start type: with the service
// control manager, and by the keys that its program and Windows read.
// learn.microsoft.com: "CreateServiceW".
type Registered struct {
	Type    uint32        `json:"type"`  // 0x10 a process of its own, 0x20 one that it shares
	Error   uint32        `json:"error"` // what a failing start means: 0 nothing, 1 a message
	Binary  string        `json:"binary"`
	Group   string        `json:"group,omitempty"`
	Account string        `json:"account"`
	Display string        `json:"display,omitempty"`
	Needs   []string      `json:"needs,omitempty"` // services, and groups with a + before them
	Keys    []ServiceTree `json:"keys,omitempty"`  // what else stands in and below its key
}

// registering are the values that the service control manager writes itself when a
// service is made.
var registering = []string{
	"Type", "Start", "ErrorControl", "ImagePath", "DisplayName", "ObjectName", "Group", "DependOnService", "DependOnGroup", "DelayedAutostart", "Tag",
}

// Change is what registers the service of a copy again.
func (c ServiceCopy) Change() Change {
	r := &Registered{
		Type: c.number("Type"), Error: c.number("ErrorControl"), Binary: c.text("", "ImagePath"), Group: c.text("", "Group"),
		Account: c.text("", "ObjectName"), Display: c.text("", "DisplayName"),
	}
	v, _ := c.Value("", "DependOnService")
	r.Needs, _ = v.Strings()
	v, _ = c.Value("", "DependOnGroup")
	groups, _ := v.Strings()
	for _, g := range groups {
		r.Needs = append(r.Needs, "+"+g)
	}
	for _, k := range c.Keys {
		k.Values = slices.DeleteFunc(slices.Clone(k.Values), func(v winlog.RegValue) bool {
			return k.Path == "" && slices.ContainsFunc(registering, func(n string) bool { return equalFold(n, v.Name) })
		})
		if k.Path != "" || len(k.Values) > 0 {
			r.Keys = append(r.Keys, k)
		}
	}
	return Change{Kind: ServiceMake, Path: c.Name, Service: r, Start: &Start{Type: c.number("Start"), Delayed: c.number("DelayedAutostart") != 0}}
}

// Values calls set for each key that a service is registered with, by its path, and for
// each value in it; v is nil for the key itself.
func (r *Registered) Values(name string, set func(key string, v *winlog.RegValue) error) error {
	for _, k := range r.Keys {
		key := strings.TrimSuffix(keyServiceList+`\`+name+`\`+k.Path, `\`)
		if err := set(key, nil); err != nil {
			return err
		}
		for i := range k.Values {
			if err := set(key, &k.Values[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses a service that is none of Windows' own, whoever says that it is.
func (r *Registered) check(name string, start *Start) error {
	image := strings.ToLower(ServiceImage(r.Binary))
	for _, v := range []string{"%systemroot%", "%windir%"} {
		if rest, ok := strings.CutPrefix(image, v); ok {
			image = `c:\windows` + rest
		}
	}
	inside := localPath(image) && (strings.HasPrefix(image[2:], `\windows\system32\`) && strings.Count(image, `\`) == 3 || strings.HasSuffix(image[2:], `\windows\servicing\trustedinstaller.exe`))
	const own, shared, instances = 0x10, 0x20, 0xC0 // instances: services of a user, which none of these is
	switch {
	case !Restorable(name):
		return errors.New("not a service that Windows is updated by")
	case start == nil || start.Type < 2 || start.Type > 4:
		return errors.New("no start type of a service")
	case r.Type&^(own|shared) != 0 || r.Type == 0 || r.Type&instances != 0 || r.Error > 1:
		return fmt.Errorf("of type 0x%X", r.Type)
	case !inside:
		return errors.New("its program is none of Windows' own")
	}
	values := 0
	for _, k := range r.Keys {
		if values += len(k.Values); values > maxTreeValues || len(r.Keys) > maxTreeKeys || strings.Count(k.Path, `\`) >= deepestTree || strings.HasPrefix(k.Path, `\`) {
			return errors.New("its key holds more than a service has")
		}
	}
	switch strings.ToLower(r.Account) {
	case "localsystem", `.\localsystem`, `nt authority\system`, `nt authority\localservice`, `nt authority\networkservice`:
		return nil
	}
	return errors.New("its account is none of Windows' own")
}

// hiveBytes bounds the hives of older states: the largest that are real have some 500 MB.
const hiveBytes = 2 << 30

// Hive makes the Key of an [OlderState] out of its hives SYSTEM and SOFTWARE.
func Hive(open func(name string) (io.ReaderAt, int64, error)) func(ctx context.Context, p string) (Key, error) {
	return func(ctx context.Context, p string) (Key, error) {
		name := "SYSTEM"
		if len(p) > len(`HKLM\SOFTWARE`) && equalFold(p[:len(`HKLM\SOFTWARE`)], `HKLM\SOFTWARE`) {
			name = "SOFTWARE"
		}
		file, size, err := open(name)
		if err != nil {
			return Key{}, err
		}
		if size > hiveBytes {
			return Key{}, fmt.Errorf("hive %s: %d bytes", name, size)
		}
		out, found := Key{Path: p, Source: name}, false
		err = winlog.HiveKeys(ctx, file, size, `HKLM\`+name, []string{p}, func(e winlog.RegEntry) error {
			switch {
			case equalFold(e.Key, p) && e.HasValue:
				out.Values = append(out.Values, e.RegValue)
			case equalFold(e.Key, p):
				found = true
			case len(e.Key) > len(p) && equalFold(e.Key[:len(p)], p) && !strings.Contains(e.Key[len(p)+1:], `\`) && !e.HasValue:
				out.Subkeys = append(out.Subkeys, e.Key[len(p)+1:])
			}
			return nil
		})
		// A shadow copy is a registry in use: what it has is whole, only not the newest.
		if err != nil && !errors.Is(err, winlog.ErrHiveDirty) {
			return Key{}, err
		}
		if !found {
			return Key{}, fmt.Errorf("key %s: %w", p, ErrNotExist)
		}
		return out, nil
	}
}
