package winhost

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// Machine reads name, edition, build and processor of this machine.
func (h *Host) Machine(ctx context.Context) (host.Machine, error) {
	m := host.Machine{Source: "live", Arch: nativeArch()}
	if err := ctx.Err(); err != nil {
		return host.Machine{}, fmt.Errorf("machine: %w", err)
	}
	m.Name, _ = windows.ComputerName() // its name is not worth failing for
	major, minor, build := windows.RtlGetNtVersionNumbers()
	m.Build = strconv.Itoa(int(build))
	k, err := h.Key(ctx, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`)
	if err != nil {
		m.OS = fmt.Sprintf("Windows %d.%d", major, minor)
		return m, nil
	}
	text := func(name string) string {
		v, _ := k.Value(name)
		s, _ := v.String()
		return s
	}
	// The value says Windows 10 on Windows 11 as well: only the build tells them apart.
	// learn.microsoft.com: "Windows 11 release information".
	product := strings.TrimPrefix(text("ProductName"), "Microsoft ") // in some languages
	if build >= 22000 && len(product) >= 10 && product[:10] == "Windows 10" {
		product = "Windows 11" + product[10:]
	}
	m.OS = cmp.Or(product, fmt.Sprintf("Windows %d.%d", major, minor))
	if release := cmp.Or(text("DisplayVersion"), text("ReleaseId"), text("CSDVersion")); release != "" {
		m.OS += " " + release
	}
	if v, ok := k.Value("UBR"); ok {
		if n, ok := v.DWord(); ok {
			m.Build += "." + strconv.FormatUint(uint64(n), 10)
		}
	}
	return m, nil
}

// nativeArch is the processor's, whatever this program was built for.
func nativeArch() string {
	var process, native uint16
	if windows.IsWow64Process2(windows.CurrentProcess(), &process, &native) != nil { // before Windows 10 1511
		if runtime.GOARCH == "386" && wow64() {
			return "amd64"
		}
		return runtime.GOARCH
	}
	// learn.microsoft.com: "Image File Machine Constants".
	switch native {
	case 0x8664:
		return "amd64"
	case 0xAA64:
		return "arm64"
	case 0x014C:
		return "386"
	}
	return runtime.GOARCH
}
