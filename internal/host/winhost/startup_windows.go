package winhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// startup lists what starts with this machine.
func startup(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	return host.FindStartup(ctx, h, startupSystem{drives{h.places}}, h.places.windows)
}

// startupSystem is this machine as a look at its startup needs it.
type startupSystem struct{ drives }

// Services implements [host.StartupSystem]. learn.microsoft.com: "EnumServicesStatusExW function".
func (startupSystem) Services(ctx context.Context) (map[string]host.ServiceNow, error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT|windows.SC_MANAGER_ENUMERATE_SERVICE)
	if err != nil {
		return nil, wrap("service control manager", err)
	}
	defer closeService(manager)
	const drivers = 0x0000000B // SERVICE_DRIVER
	out := map[string]host.ServiceNow{}
	for _, kind := range []uint32{windows.SERVICE_WIN32, drivers} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := enumServices(manager, kind, out); err != nil {
			return nil, wrap("list services", err)
		}
	}
	return out, nil
}

func enumServices(manager windows.Handle, kind uint32, out map[string]host.ServiceNow) error {
	const (
		accepted = 256 << 10 // bytes, the most that one call returns
		rounds   = 64
	)
	buf := make([]uint64, accepted/8)
	var resume uint32
	for range rounds {
		var needed, n uint32
		err := windows.EnumServicesStatusEx(manager, windows.SC_ENUM_PROCESS_INFO, kind, windows.SERVICE_STATE_ALL,
			(*byte)(unsafe.Pointer(&buf[0])), accepted, &needed, &n, &resume, nil)
		if err != nil && !errors.Is(err, windows.ERROR_MORE_DATA) {
			return err
		}
		if int(n)*int(unsafe.Sizeof(windows.ENUM_SERVICE_STATUS_PROCESS{})) > accepted {
			return errors.New("more services than there is room for")
		}
		for _, s := range unsafe.Slice((*windows.ENUM_SERVICE_STATUS_PROCESS)(unsafe.Pointer(&buf[0])), n) {
			st := s.ServiceStatusProcess
			out[strings.ToLower(windows.UTF16PtrToString(s.ServiceName))] = host.ServiceNow{
				State: int(st.CurrentState), Stops: st.ControlsAccepted&windows.SERVICE_ACCEPT_STOP != 0,
			}
		}
		if err == nil {
			return nil
		}
	}
	return errors.New("the list of services does not end")
}

// Program implements [host.StartupSystem].
func (s startupSystem) Program(ctx context.Context, p string) host.Program {
	if ctx.Err() != nil {
		return host.Program{}
	}
	real := s.real(p)
	switch there, err := s.Exists(p); {
	case err != nil:
		return host.Program{}
	case !there:
		return host.Program{Signed: host.SignedMissing}
	}
	out := fileVersion(real)
	out.Signed, out.Signer, out.Owner = signerOf(real)
	return out
}

// maxVersionInfo bounds the version resource of a file.
const maxVersionInfo = 1 << 20

// fileVersion reads what a program says of itself. learn.microsoft.com: "Version Information".
func fileVersion(p string) (out host.Program) {
	var zero windows.Handle
	size, err := windows.GetFileVersionInfoSize(p, &zero)
	if err != nil || size == 0 || size > maxVersionInfo {
		return out
	}
	block := make([]uint64, size/8+1)
	if err := windows.GetFileVersionInfo(p, 0, size, unsafe.Pointer(&block[0])); err != nil {
		return out
	}
	query := func(name string) (unsafe.Pointer, uint32) {
		var at unsafe.Pointer
		var n uint32
		if err := windows.VerQueryValue(unsafe.Pointer(&block[0]), name, unsafe.Pointer(&at), &n); err != nil || at == nil {
			return nil, 0
		}
		return at, n
	}
	if at, n := query(`\`); n >= uint32(unsafe.Sizeof(windows.VS_FIXEDFILEINFO{})) {
		v := (*windows.VS_FIXEDFILEINFO)(at)
		out.Version = fmt.Sprintf("%d.%d.%d.%d", v.FileVersionMS>>16, v.FileVersionMS&0xFFFF, v.FileVersionLS>>16, v.FileVersionLS&0xFFFF)
	}
	languages := []string{"040904b0", "040904e4", "000004b0"}
	if at, n := query(`\VarFileInfo\Translation`); n >= 4 {
		pair := unsafe.Slice((*uint16)(at), 2)
		languages = append([]string{fmt.Sprintf("%04x%04x", pair[0], pair[1])}, languages...)
	}
	text := func(name string) string {
		for _, l := range languages {
			if at, n := query(`\StringFileInfo\` + l + `\` + name); n > 0 {
				return strings.TrimSpace(windows.UTF16ToString(unsafe.Slice((*uint16)(at), n)))
			}
		}
		return ""
	}
	out.Company, out.Product = text("CompanyName"), text("ProductName")
	return out
}

// maxTaskFile bounds the definition of a task.
const maxTaskFile = 1 << 20

// Tasks implements [host.StartupSystem]. The service keeps a file for each task, which
// administrators may read.
func (s startupSystem) Tasks(ctx context.Context, each func(string, []byte) bool) error {
	root := s.system + `\Tasks`
	err := filepath.WalkDir(long(root), func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && d != nil && d.IsDir() && !strings.EqualFold(name, long(root)):
			return fs.SkipDir // a folder that nobody may look into
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		}
		b, err := readAtMost(name, maxTaskFile)
		if err != nil {
			return nil //nolint:nilerr // it is gone meanwhile, or nobody may read it
		}
		if !each(strings.TrimPrefix(name, long(root)), b) {
			return fs.SkipAll
		}
		return nil
	})
	return wrap("list tasks", err)
}

func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// Folder implements [host.StartupSystem].
func (s startupSystem) Folder(p string) ([]string, error) {
	const most = 10_000
	var out []string
	err := s.List(p, func(e host.Listed) bool {
		if !e.Folder {
			out = append(out, e.Name)
		}
		return len(out) < most
	})
	return out, err
}

// Read implements [host.StartupSystem].
func (s startupSystem) Read(p string, limit int64) ([]byte, error) {
	b, err := readAtMost(long(s.real(p)), limit)
	return b, wrap("read "+p, err)
}
