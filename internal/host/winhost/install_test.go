package winhost

import (
	"context"
	"errors"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

func TestWhileBusy(t *testing.T) {
	other := errors.New("no such file")
	for _, c := range []struct {
		name    string
		results []uint32 // exit codes, the last for ever
		err     error
		runs    int
	}{
		{"at once", []uint32{0}, nil, 1},
		{"after another one", []uint32{1618, 1618, 0}, nil, 3},
		{"busy for ever", []uint32{1618}, codes.HRESULT(0x80070652), int(busyLimit/busyPause) + 1},
		{"fails", []uint32{1618, 0x800F081E}, codes.HRESULT(0x800F081E), 2},
		{"wants a restart", []uint32{3010}, host.ErrRestart, 1},
	} {
		runs, slept := 0, time.Duration(0)
		err := whileBusy(t.Context(),
			func(_ context.Context, d time.Duration) error { slept += d; return nil },
			func(time.Duration) {},
			func() error {
				code := c.results[min(runs, len(c.results)-1)]
				runs++
				return toolResult("wusa", nil, code, "")
			})
		if !errors.Is(err, c.err) || runs != c.runs || slept != time.Duration(runs-1)*busyPause {
			t.Errorf("%s: %v after %d runs and %s, want %v after %d", c.name, err, runs, slept, c.err, c.runs)
		}
	}
	if err := whileBusy(t.Context(), nil, nil, func() error { return other }); !errors.Is(err, other) {
		t.Errorf("%v", err)
	}
	stop := errors.New("stopped")
	err := whileBusy(t.Context(), func(context.Context, time.Duration) error { return stop }, func(time.Duration) {}, func() error { return toolResult("wusa", nil, 1618, "") })
	if !errors.Is(err, stop) {
		t.Errorf("stopped while it waited: %v", err)
	}
}

// What wusa ends with. learn.microsoft.com: "Windows Update Standalone Installer in
// Windows".
func TestUpdateInstallerResults(t *testing.T) {
	for code, want := range map[uint32]error{
		0: nil, 3010: host.ErrRestart, 0x00240005: host.ErrRestart, 0x00240006: codes.HRESULT(0x00240006), 0x00240007: codes.HRESULT(0x00240007),
		0x80240017: codes.HRESULT(0x80240017), 1618: codes.HRESULT(0x80070652), 87: codes.HRESULT(0x80070057), 5: codes.HRESULT(0x80070005), 0x80096002: codes.HRESULT(0x80096002),
	} {
		if err := toolResult("wusa", nil, code, ""); !errors.Is(err, want) {
			t.Errorf("%#x: %v, want %v", code, err, want)
		}
	}
}

func TestInstalls(t *testing.T) {
	if !installs("wusa", []string{`C:\x.msu`}) || !installs("dism", []string{"/Online", "/Add-Package"}) || installs("dism", []string{"/Online", "/Cleanup-Image"}) || installs("sfc", nil) {
		t.Error("what installs is mistaken")
	}
}
