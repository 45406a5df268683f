package winhost

import (
	"context"
	"errors"
	"slices"
	"time"

	"updoc/internal/codes"
)

// Installers wait for each other: the installer of Windows' components works for one
// caller at a time.
const (
	busyPause = 30 * time.Second
	busyLimit = 10 * time.Minute // what an update of the other installer takes as a rule
)

// busy are the results of an installer that found another one at work.
// learn.microsoft.com: "System Error Codes": ERROR_INSTALL_ALREADY_RUNNING (1618);
// "Windows Update error reference": WU_E_OPERATIONINPROGRESS.
var busy = []codes.HRESULT{0x80070652, 0x80240009}

// whileBusy installs again and again while another installation is at work, and not
// longer than busyLimit. tell is told how long that has been.
func whileBusy(ctx context.Context, sleep func(context.Context, time.Duration) error, tell func(time.Duration), install func() error) error {
	for waited := time.Duration(0); ; waited += busyPause {
		err := install()
		var h codes.HRESULT
		if !errors.As(err, &h) || !slices.Contains(busy, h) || waited >= busyLimit {
			return err
		}
		tell(waited)
		if err := sleep(ctx, busyPause); err != nil {
			return err
		}
	}
}

// installs reports that a command line installs a package.
func installs(tool string, args []string) bool {
	return tool == "wusa" || tool == "dism" && slices.Contains(args, "/Add-Package")
}
