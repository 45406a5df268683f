package winhost

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// InUse is the error of a file that somebody uses.
type InUse struct {
	Path      string
	By        []Holder // as far as Windows tells; may be empty
	AtRestart bool     // what was to be done is done by the restart that comes next

	err error
}

// Holder is a process that holds a file.
type Holder struct {
	Process uint32
	Name    string // of the program, or of the service
	Service string // its short name, if it is one
}

func (e *InUse) Error() string {
	by := "somebody"
	for i, h := range e.By {
		if i == 0 {
			by = ""
		} else {
			by += ", "
		}
		by += fmt.Sprintf("%s (process %d)", h.Name, h.Process)
	}
	s := fmt.Sprintf("%s is in use by %s", e.Path, by)
	if e.AtRestart {
		s += ": " + host.ErrRestart.Error()
	}
	return s
}

// Unwrap keeps what Windows said, and host.ErrRestart where it holds.
func (e *InUse) Unwrap() []error {
	if e.AtRestart {
		return []error{e.err, host.ErrRestart}
	}
	return []error{e.err}
}

// mayBeInUse: of a folder with an open file in it Windows says that access is
// denied.
func mayBeInUse(err error) bool {
	return is(err, windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_ACCESS_DENIED,
		windows.ERROR_USER_MAPPED_FILE, windows.ERROR_UNABLE_TO_REMOVE_REPLACED)
}

// inUse names who uses the file p, if that is what err is about.
func inUse(err error, p string) error {
	if !mayBeInUse(err) || is(err, windows.ERROR_ACCESS_DENIED) {
		return err
	}
	by, _ := holders([]string{p}) // none named is an answer too
	return &InUse{Path: p, By: by, err: err}
}

// usedBy decides whether p could not be moved because it is in use; nil means that
// it is not.
func (h *Host) usedBy(ctx context.Context, p string, err error) *InUse {
	e := &InUse{Path: p, err: err}
	files := []string{p}
	if info, serr := stat(p); serr == nil && info != nil && info.IsDir() {
		files = filesIn(ctx, p)
	}
	e.By, _ = holders(files)
	if len(e.By) > 0 || !is(err, windows.ERROR_ACCESS_DENIED) {
		return e
	}
	// Nobody is named. Whoever may delete it was not refused for lack of rights.
	f, operr := openNode(p, windows.DELETE)
	if operr != nil {
		return nil
	}
	closeHandle(f)
	return e
}

// maxAsked bounds the files of a folder that the Restart Manager is asked about:
// it opens each.
const maxAsked = 2000

func filesIn(ctx context.Context, dir string) []string {
	var out []string
	_ = fs.WalkDir(os.DirFS(long(dir)), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil || len(out) >= maxAsked {
			return fs.SkipAll
		}
		if err == nil && d.Type().IsRegular() {
			out = append(out, dir+`\`+strings.ReplaceAll(name, "/", `\`))
		}
		return nil // what cannot be listed is not asked about
	})
	return out
}

// rmProcessInfo is RM_PROCESS_INFO of restartmanager.h.
type rmProcessInfo struct {
	process   uint32
	started   windows.Filetime
	app       [256]uint16
	service   [64]uint16
	kind      uint32
	status    uint32
	session   uint32
	restarted int32
}

// holders asks the Restart Manager who has these files open. It ends nobody.
// learn.microsoft.com: "Restart Manager", "RmGetList".
func holders(files []string) ([]Holder, error) {
	if len(files) == 0 {
		return nil, nil
	}
	names := make([]*uint16, len(files))
	for i, f := range files {
		n, err := windows.UTF16PtrFromString(f) // it does not take paths with \\?\
		if err != nil {
			return nil, err
		}
		names[i] = n
	}
	var session uint32
	key := make([]uint16, 33) // CCH_RM_SESSION_KEY and a NUL
	if err := rmStartSession(&session, 0, &key[0]); err != nil {
		return nil, wrap("Restart Manager", err)
	}
	defer func() { _ = rmEndSession(session) }() // it was started
	if err := rmRegisterResources(session, uint32(len(names)), &names[0], 0, 0, 0, 0); err != nil {
		return nil, wrap("Restart Manager", err)
	}
	list := make([]rmProcessInfo, 32)
	for range 4 { // they come and go meanwhile
		count, needed, reasons := uint32(len(list)), uint32(0), uint32(0)
		err := rmGetList(session, &needed, &count, &list[0], &reasons)
		if is(err, windows.ERROR_MORE_DATA) {
			list = make([]rmProcessInfo, min(needed+16, 1024))
			continue
		}
		if err != nil {
			return nil, wrap("Restart Manager", err)
		}
		var out []Holder
		for _, p := range list[:min(int(count), len(list))] {
			out = append(out, Holder{Process: p.process, Name: windows.UTF16ToString(p.app[:]), Service: windows.UTF16ToString(p.service[:])})
		}
		return out, nil
	}
	return nil, wrap("Restart Manager", windows.ERROR_MORE_DATA)
}
