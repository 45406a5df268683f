package winhost

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// rasConnections lists what Windows' dialler keeps connected: its own VPNs among it.
// learn.microsoft.com: "RasEnumConnectionsW function (ras.h)".
func rasConnections() ([]rasConnection, error) {
	const tooSmall = 603 // ERROR_BUFFER_TOO_SMALL of the dialler
	for n := uint32(4); n <= 256; n *= 4 {
		buf := make([]byte, n*rasSize)
		binary.LittleEndian.PutUint32(buf, rasSize)
		size, count := uint32(len(buf)), uint32(0)
		r, err := invoke(dllDialler, "RasEnumConnectionsW", uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(&count)))
		switch {
		case missing(err):
			return nil, err
		case uint32(r) == tooSmall:
			continue
		case r != 0:
			return nil, wrap("RasEnumConnections", windows.Errno(r))
		}
		return rasParse(buf, int(count)), nil
	}
	return nil, wrap("RasEnumConnections", windows.ERROR_INSUFFICIENT_BUFFER)
}

// dialled says whether a connection stands.
func dialled(_ context.Context, _ *Host, name string) (string, error) {
	list, err := rasConnections()
	if err != nil {
		return "", err
	}
	for _, c := range list {
		if strings.EqualFold(c.name, name) {
			return "on", nil
		}
	}
	return "off", nil
}

// hangUp ends a connection, and waits until it is gone. To make it again takes what a
// person knows. learn.microsoft.com: "RasHangUpW function (ras.h)".
func hangUp(ctx context.Context, _ *Host, name, state string) error {
	if state != "off" {
		return fmt.Errorf("connect %q: %w", name, host.ErrPerson)
	}
	return until(ctx, func() (bool, error) {
		list, err := rasConnections()
		if err != nil {
			return false, err
		}
		gone := true
		for _, c := range list {
			if !strings.EqualFold(c.name, name) {
				continue
			}
			gone = false
			if r, err := invoke(dllDialler, "RasHangUpW", c.handle); missing(err) || r != 0 && windows.Errno(r) != windows.ERROR_INVALID_HANDLE {
				return false, wrap("RasHangUp "+name, windows.Errno(r))
			}
		}
		return gone, nil
	})
}
