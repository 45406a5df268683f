package winhost

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// callerSID is the account of this process.
func callerSID() string {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return ""
	}
	return user.User.Sid.String()
}

// remoteSession is SM_REMOTESESSION. learn.microsoft.com: "GetSystemMetrics function".
const remoteSession = 0x1000

// sessionAdapter is the index of the adapter by which the sessions of Remote Desktop
// come, 0 if they come by several or it cannot be told. What a client says of its own
// address is not asked: a router may have changed it since.
// learn.microsoft.com: "Change the listening port for Remote Desktop".
func sessionAdapter(ctx context.Context, h *Host) uint32 {
	port := uint16(3389)
	if k, err := h.Key(ctx, `HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp`); err == nil {
		if v, ok := k.Value("PortNumber"); ok {
			if n, ok := v.DWord(); ok && n < 1<<16 {
				port = uint16(n)
			}
		}
	}
	var at []netip.Addr
	for _, six := range []bool{false, true} {
		table, err := tcpTable(six)
		if err != nil {
			return 0
		}
		at = append(at, answeredAt(table, six, port)...)
	}
	list, err := listAdapters()
	if err != nil {
		return 0
	}
	over := uint32(0)
	for _, addr := range at {
		i := slices.IndexFunc(list, func(a host.Adapter) bool {
			return slices.ContainsFunc(a.Addresses, func(p netip.Prefix) bool { return p.Addr() == addr })
		})
		if i < 0 || over != 0 && over != list[i].Index {
			return 0
		}
		over = list[i].Index
	}
	return over
}

// caller says who asks.
func caller(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	c := host.Caller{Account: callerSID(), Elevated: h.Elevated(), At: time.Now().UTC()}
	c.System = c.Account == sidSystem
	if c.Remote = systemMetric(remoteSession); c.Remote {
		c.Over = sessionAdapter(ctx, h)
	}
	if p := dllNT.NewProc("wine_get_version"); p.Find() == nil {
		r, _, _ := p.Call()
		if r != 0 {
			c.Wine = windows.BytePtrToString(*(**byte)(unsafe.Pointer(&r))) // in Wine's own memory
		}
	}
	return c, nil
}

// systemEdition adds to the registry what Windows alone knows.
func systemEdition(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	e, err := edition(ctx, h)
	if err != nil {
		return nil, err
	}
	var kind uint32
	if _, err := invokeBool(dllKernel, "GetFirmwareType", uintptr(unsafe.Pointer(&kind))); err == nil {
		e.Firmware = map[uint32]string{1: "bios", 2: "uefi"}[kind]
	} else {
		e.Unseen = append(e.Unseen, unseenPart("firmware", err))
	}
	// The language of the installation, which media have to match, and not the one in
	// which numbers are written. learn.microsoft.com: "GetSystemDefaultUILanguage".
	if id, err := invokeBool(dllKernel, "GetSystemDefaultUILanguage"); err == nil {
		buf := make([]uint16, 85) // LOCALE_NAME_MAX_LENGTH
		if _, err := invokeBool(dllKernel, "LCIDToLocaleName", id&0xFFFF, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0); err == nil {
			e.Language = windows.UTF16ToString(buf)
		}
	}
	return e, nil
}

// restart adds when Windows started and what lies in the component store.
func restart(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	p, err := pendingRestart(ctx, h)
	if err != nil {
		return nil, err
	}
	p.Started = time.Now().Add(-windows.DurationSinceBoot()).UTC().Truncate(time.Second)
	switch _, err := os.Stat(filepath.Join(h.places.windows, `WinSxS\pending.xml`)); {
	case err == nil:
		p.PendingXML = true
	case !errors.Is(err, os.ErrNotExist):
		p.Unseen = append(p.Unseen, unseenPart("pendingXml", wrap("pending.xml", err)))
	}
	return p, nil
}

func clock(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	return timeService(ctx, h, time.Now())
}

func users(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	return userProxies(ctx, h)
}

// cryptContext is CRYPT_CONTEXT_FUNCTIONS: a count and that many names.
type cryptContext struct {
	Count uint32
	Names **uint16
}

// schannel adds the cipher suites in the order in which Schannel offers them.
func schannel(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	t, err := tlsSettings(ctx, h)
	if err != nil {
		return nil, err
	}
	const local, suites, encrypt = 1, 0x00010002, 0 // CRYPT_LOCAL, NCRYPT_SCHANNEL_INTERFACE
	var size uint32
	var list *cryptContext
	r, err := invoke(dllCrypt, "BCryptEnumContextFunctions", local, uintptr(unsafe.Pointer(utf16ptr("SSL"))), suites,
		uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(&list)))
	switch {
	case missing(err):
		t.Unseen = append(t.Unseen, unseenPart("suites", err))
	case uint32(r) != 0:
		t.Unseen = append(t.Unseen, unseenPart("suites", wrap("BCryptEnumContextFunctions", windows.NTStatus(r).Errno())))
	case list != nil:
		for _, name := range unsafe.Slice(list.Names, min(list.Count, 500)) {
			t.Suites = append(t.Suites, windows.UTF16PtrToString(name))
		}
		_, _ = invoke(dllCrypt, "BCryptFreeBuffer", uintptr(unsafe.Pointer(list)))
	}
	return t, nil
}

// maxPolicy bounds the local policy file; one with every setting of Windows is 1 MB.
const maxPolicy = 16 << 20

// managed adds the domain and the local policy file.
func managed(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	joined, name, jerr := membership()
	pol, perr := localPolicy(h.places.system)
	m, err := management(ctx, h, joined, name, pol)
	if err != nil {
		return nil, err
	}
	if jerr != nil {
		m.Unseen = append(m.Unseen, unseenPart("joined", jerr))
	}
	if perr != nil {
		m.Unseen = append(m.Unseen, unseenPart("localFile", perr))
	}
	return m, nil
}

func membership() (joined, name string, err error) {
	var p *uint16
	var status uint32
	if err := windows.NetGetJoinInformation(nil, &p, &status); err != nil {
		return "unknown", "", wrap("NetGetJoinInformation", err)
	}
	defer windows.NetApiBufferFree((*byte)(unsafe.Pointer(p)))
	name = windows.UTF16PtrToString(p)
	switch status {
	case windows.NetSetupDomainName:
		return "domain", name, nil
	case windows.NetSetupWorkgroupName:
		return "workgroup", name, nil
	case windows.NetSetupUnjoined:
		return "unjoined", "", nil
	}
	return "unknown", "", nil
}

// localPolicy reads GroupPolicy\Machine\Registry.pol; no file is an empty one.
func localPolicy(system string) (policyFile, error) {
	f, err := os.Open(filepath.Join(system, `GroupPolicy\Machine\Registry.pol`))
	if errors.Is(err, os.ErrNotExist) {
		return policyFile{}, nil
	}
	if err != nil {
		return nil, wrap("Registry.pol", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPolicy))
	if err != nil {
		return nil, wrap("Registry.pol", err)
	}
	if len(b) == 0 {
		return policyFile{}, nil
	}
	return parsePolicyFile(b)
}

// powerStatus is SYSTEM_POWER_STATUS.
type powerStatus struct {
	Line    uint8 // 0 battery, 1 mains, 255 unknown
	Battery uint8 // flags; 128 there is none
	Percent uint8 // 255 unknown
	Saver   uint8
	Life    uint32
	Full    uint32
}

func power(context.Context, *Host, map[string]string) (any, error) {
	var s powerStatus
	if _, err := invokeBool(dllKernel, "GetSystemPowerStatus", uintptr(unsafe.Pointer(&s))); err != nil {
		return nil, err
	}
	p := host.Power{Battery: -1, Saver: s.Saver == 1}
	if s.Line <= 1 {
		p.Mains = yes(s.Line == 1)
	}
	if s.Battery != 128 && s.Percent <= 100 {
		p.Battery = int(s.Percent)
	}
	return p, nil
}
