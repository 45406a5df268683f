package winhost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"updoc/internal/host"
)

// installEvents are the entries of the update agent about installs that ended, well or
// not, in the log System. learn.microsoft.com: "Windows Update log files".
const installEvents = "*[System[Provider[@Name='Microsoft-Windows-WindowsUpdateClient'] and (EventID=19 or EventID=20)]]"

const (
	maxInstalls  = 100              // of these, the newest
	installsTime = 10 * time.Second // the service of the event log may hang
)

// installed answers host.AskInstalled.
func installed(ctx context.Context, h *Host, args map[string]string) (any, error) {
	type read struct {
		events []host.InstallEvent
		err    error
	}
	done := make(chan read, 1)
	go func() { // no call to the event log can be stopped
		text, err := eventsIn("System", installEvents, evtReverse, maxInstalls)
		if err != nil {
			done <- read{err: err}
			return
		}
		events, err := host.ParseInstallEvents(strings.NewReader(text))
		done <- read{events, err}
	}()
	var x read
	ctx, cancel := context.WithTimeout(ctx, installsTime)
	defer cancel()
	select {
	case x = <-done:
	case <-ctx.Done():
		x.err = fmt.Errorf("query System: %w", ctx.Err())
	}
	return host.ReadInstalled(context.WithoutCancel(ctx), h, args, x.events, x.err), nil
}
