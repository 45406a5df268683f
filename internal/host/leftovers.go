package host

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/sorted"
)

// AskLeftovers asks for [Leftovers].
const AskLeftovers = "leftovers"

// Leftovers is what the registry names and the disk lacks, and what lies on the
// disk that nobody needs. A healthy machine has some of each: it is no evidence of
// anything, and says only what may be taken away once something else is.
type Leftovers struct {
	Services []Orphan  `json:"services,omitempty"` // whose file is gone
	Profiles []Orphan  `json:"profiles,omitempty"` // whose folder is gone, by their SID
	Packages []string  `json:"packages,omitempty"` // of the servicing stack, whose manifest is gone
	Caches   []Cache   `json:"caches,omitempty"`   // that Windows itself empties
	Temp     []OldFile `json:"temp,omitempty"`     // in Windows' folder for temporary files, not in use, the oldest first
	Unseen   []Unseen  `json:"unseen,omitempty"`
}

// Orphan is a registered name whose file or folder does not exist.
type Orphan struct {
	Name string `json:"name"`
	Path string `json:"path"` // where it would be: C:\...
}

// Cache is a folder of files that may go, measured.
type Cache struct {
	Name  string `json:"name"` // that Disk Cleanup has for it: a subkey of Explorer\VolumeCaches
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	More  bool   `json:"more,omitempty"` // it was not measured to its end
}

// OldFile is a file that nobody wrote for a while.
type OldFile struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Unused is how long nobody has written to a temporary file that may go. Disk
// Cleanup waits as long; learn.microsoft.com: "Creating a Disk Cleanup Handler",
// value LastAccess of its handler for temporary files.
const Unused = 7 * 24 * time.Hour

// Bounds of what is looked at and listed.
const (
	maxOrphans   = 200
	maxOldFiles  = 1000
	maxMeasured  = 300_000 // files of one cache
	measureTime  = 1500 * time.Millisecond
	maxCacheDeep = 32
)

// FileSystem is the files of a machine as far as leftovers need them. Paths are those
// of the machine.
type FileSystem interface {
	// Exists reports whether a file or folder exists; an error says that it could not
	// be told.
	Exists(path string) (bool, error)
	// List calls each with what a folder holds, until it returns false. Links are not listed.
	List(path string, each func(Listed) bool) error
	// InUse reports whether somebody has the file open in a way that keeps it where it is.
	InUse(path string) bool
}

// Listed is an entry of a folder.
type Listed struct {
	Name     string
	Folder   bool
	Size     int64
	Modified time.Time
}

const (
	keyPackages    = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`
	keyServiceList = `HKLM\SYSTEM\CurrentControlSet\Services`
	keyProfiles    = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
)

// FindLeftovers looks for leftovers on a machine whose Windows lies in the folder
// windows, C:\Windows. It takes measureTime for each cache at most.
func FindLeftovers(ctx context.Context, r Reader, d FileSystem, windows string, now time.Time) (Leftovers, error) {
	x := finder{ctx: ctx, Reader: r, disk: d, windows: windows, now: now}
	x.services()
	x.profiles()
	x.packages()
	x.temporary()
	x.cache("Delivery Optimization Files", windows+`\ServiceProfiles\NetworkService\AppData\Local\Microsoft\Windows\DeliveryOptimization\Cache`, now)
	x.cache("Temporary Files", windows+`\Temp`, now.Add(-Unused))
	return x.out, ctx.Err()
}

type finder struct {
	Reader
	ctx     context.Context
	disk    FileSystem
	windows string
	now     time.Time
	out     Leftovers
}

func (x *finder) miss(part string, err error) {
	if err == nil || errors.Is(err, ErrNotExist) || len(x.out.Unseen) >= 20 {
		return
	}
	u := Unseen{Part: part, Why: err.Error()}
	var h codes.HRESULT
	if errors.As(err, &h) {
		u.Result = h
	}
	x.out.Unseen = append(x.out.Unseen, u)
}

// gone reports that none of the paths exists, and that all could be looked at.
func (x *finder) gone(paths []string) bool {
	for _, p := range paths {
		// What lies on another drive may have been unplugged with it.
		if !localPath(p) || !equalFold(p[:2], x.windows[:2]) {
			return false
		}
		if there, err := x.disk.Exists(p); there || err != nil {
			return false
		}
	}
	return len(paths) > 0
}

func (x *finder) services() {
	list, err := x.Key(x.ctx, keyServiceList)
	x.miss("services", err)
	for _, name := range list.Subkeys {
		if x.ctx.Err() != nil || len(x.out.Services) >= maxOrphans {
			return
		}
		k, err := x.Key(x.ctx, keyServiceList+`\`+name)
		if err != nil {
			continue
		}
		if paths := x.programs(name, k); x.gone(paths) {
			x.out.Services = append(x.out.Services, Orphan{Name: name, Path: paths[0]})
		}
	}
}

// Types of services. learn.microsoft.com: "CreateServiceW function".
const (
	kernelDriver     = 1
	fileSystemDriver = 2
)

// programs returns where the file of a service may be; without any it has none, or
// its value cannot be read.
func (x *finder) programs(name string, k Key) []string {
	v, ok := k.Value("ImagePath")
	image, _ := v.String()
	if image = strings.TrimSpace(image); !ok || image == "" {
		t, _ := k.Value("Type")
		if n, ok := t.DWord(); ok && (n == kernelDriver || n == fileSystemDriver) {
			return []string{x.windows + `\System32\drivers\` + name + ".sys"} // the loader's own default
		}
		return nil
	}
	image, ok = x.expand(image)
	if !ok {
		return nil
	}
	if rest, quoted := strings.CutPrefix(image, `"`); quoted {
		program, _, ended := strings.Cut(rest, `"`)
		if !ended {
			return nil
		}
		return withExe(program)
	}
	// Without quotes CreateProcess takes the first of these that exists.
	var out []string
	for i, r := range image + " " {
		if r == ' ' && len(out) < 32 {
			out = append(out, withExe(image[:i])...)
		}
	}
	slices.Reverse(out) // the whole of it names best what is gone
	return out
}

func withExe(p string) []string {
	p = strings.TrimRight(p, " ")
	if base := p[strings.LastIndexByte(p, '\\')+1:]; strings.Contains(base, ".") {
		return []string{p}
	}
	return []string{p, p + ".exe"}
}

// expand makes a full path of what services and profiles are registered with.
// false: it holds a variable that only their own account has, or a device.
func (x *finder) expand(p string) (string, bool) {
	p = strings.TrimPrefix(p, `\??\`)
	drive := x.windows[:2]
	for _, v := range [][2]string{
		{`%systemroot%`, x.windows},
		{`%windir%`, x.windows},
		{`\systemroot`, x.windows},
		{`%systemdrive%`, drive},
		{`%programfiles%`, drive + `\Program Files`},
		{`%programfiles(x86)%`, drive + `\Program Files (x86)`},
		{`%programdata%`, drive + `\ProgramData`},
	} {
		at := strings.TrimPrefix(p, `"`)
		if quote := p[:len(p)-len(at)]; len(at) >= len(v[0]) && equalFold(at[:len(v[0])], v[0]) {
			p = quote + v[1] + at[len(v[0]):]
			break
		}
	}
	if len(p) > 9 && equalFold(p[:9], `system32\`) {
		p = x.windows + `\` + p
	}
	return p, !strings.Contains(p, "%")
}

func (x *finder) profiles() {
	list, err := x.Key(x.ctx, keyProfiles)
	x.miss("profiles", err)
	for _, sid := range list.Subkeys {
		if x.ctx.Err() != nil || len(x.out.Profiles) >= maxOrphans {
			return
		}
		k, err := x.Key(x.ctx, keyProfiles+`\`+sid)
		if err != nil {
			continue
		}
		v, _ := k.Value("ProfileImagePath")
		s, _ := v.String()
		if p, ok := x.expand(s); ok && x.gone([]string{p}) {
			x.out.Profiles = append(x.out.Profiles, Orphan{Name: sid, Path: p})
		}
	}
}

// packages: the manifest of a registered package lies under its name.
func (x *finder) packages() {
	list, err := x.Key(x.ctx, keyPackages)
	if x.miss("packages", err); err != nil || len(list.Subkeys) == 0 {
		return
	}
	have := map[string]bool{}
	err = x.disk.List(x.windows+`\servicing\Packages`, func(e Listed) bool {
		have[strings.ToLower(e.Name)] = true
		return len(have) < maxMeasured
	})
	if err != nil || len(have) == 0 || len(have) >= maxMeasured { // nobody could look into it
		x.miss("packages", cmp.Or(err, ErrDenied))
		return
	}
	for _, name := range list.Subkeys {
		if PackageName(name) && !have[strings.ToLower(name)+".mum"] && len(x.out.Packages) < maxOrphans {
			x.out.Packages = append(x.out.Packages, name)
		}
	}
}

// temporary lists the oldest files of Windows' folder for temporary files, of those
// whose names a program made and no person. Logs of installers have other names,
// and what lies in folders below belongs to whoever made the folder: they stay.
func (x *finder) temporary() {
	dir := x.windows + `\Temp`
	var all []OldFile
	err := x.disk.List(dir, func(e Listed) bool {
		if !e.Folder && x.now.Sub(e.Modified) >= Unused && temporaryName(e.Name) {
			all = append(all, OldFile{Path: dir + `\` + e.Name, Size: e.Size, Modified: e.Modified.UTC()})
		}
		return len(all) < maxMeasured && x.ctx.Err() == nil
	})
	x.miss("temp", err)
	sorted.By(all, func(a, b OldFile) int {
		return cmp.Or(a.Modified.Compare(b.Modified), cmp.Compare(a.Path, b.Path))
	})
	for _, f := range all {
		if len(x.out.Temp) >= maxOldFiles || x.ctx.Err() != nil {
			return
		}
		if localPath(f.Path) && !x.disk.InUse(f.Path) {
			x.out.Temp = append(x.out.Temp, f)
		}
	}
}

// temporaryName: GetTempFileName ends its names in .TMP; cab_ begins those that the
// servicing stack leaves behind where it fails to pack its log.
func temporaryName(s string) bool {
	s = strings.ToLower(s)
	return strings.HasSuffix(s, ".tmp") || strings.HasPrefix(s, "cab_")
}

// cache measures the files of a folder that nobody wrote since a time.
func (x *finder) cache(name, path string, since time.Time) {
	c := Cache{Name: name, Path: path}
	until := time.Now().Add(measureTime)
	var walk func(dir string, deep int) error
	walk = func(dir string, deep int) error {
		var below []string
		err := x.disk.List(dir, func(e Listed) bool {
			switch {
			case e.Folder:
				below = append(below, dir+`\`+e.Name)
			case !e.Modified.After(since):
				c.Files++
				c.Bytes += e.Size
			}
			c.More = c.Files >= maxMeasured || x.ctx.Err() != nil || len(below)%64 == 63 && time.Now().After(until)
			return !c.More
		})
		for _, b := range below {
			if c.More = c.More || time.Now().After(until) || deep >= maxCacheDeep; c.More {
				break
			}
			_ = walk(b, deep+1) // what cannot be looked into is not counted
		}
		return err
	}
	err := walk(path, 0)
	if x.miss(name, err); err == nil && (c.Files > 0 || c.More) {
		x.out.Caches = append(x.out.Caches, c)
	}
}
