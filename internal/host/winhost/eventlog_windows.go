package winhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// channels are the event logs that tell of updating.
var channels = []string{
	"System", "Setup", channelUpdate, "Microsoft-Windows-Bits-Client/Operational",
	"Microsoft-Windows-DeliveryOptimization/Operational", "Microsoft-Windows-Store/Operational",
}

const channelUpdate = "Microsoft-Windows-WindowsUpdateClient/Operational"

// Bounds of what is exported.
const (
	logDays  = 90               // how far back; a servicing problem is rarely older
	logBytes = 64 << 20         // of one log, above which only logDays/6 are exported
	logTime  = 20 * time.Second // for all logs, traces among them: with the answers it has to fit into a minute
)

// Flags of EvtExportLog, EvtQuery and EvtRender. learn.microsoft.com: "Windows Event
// Log Functions".
const (
	evtChannelPath    = 0x1
	evtTolerateErrors = 0x1000
	evtRenderXML      = 1
	evtForward        = 0x100
	evtReverse        = 0x200 // the newest first
)

// eventLogs exports the event logs that tell of updating, and the update agent's
// traces as a WindowsUpdate.log, and returns the files, under the paths at which they lie on the disk. They bear the names that Windows
// gives them, and are removed when the host is closed. A channel that this account
// may not read, or that this Windows does not have, is a gap.
func (h *Host) eventLogs(ctx context.Context) ([]host.File, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "updoc-events-")
	if err != nil {
		return nil, fmt.Errorf("event logs: %w", err)
	}
	h.onClose(func() error { return os.RemoveAll(dir) })
	type exported struct {
		files []host.File
		errs  []error
	}
	done := make(chan exported, 1)
	go func() { // the service of the event log may hang, and no call to it can be stopped
		var x exported
		switch f, err := h.traceLog(ctx, dir); {
		case err == nil:
			x.files = append(x.files, f)
		case !errors.Is(err, host.ErrNotExist):
			h.gap("traces of the update agent", err)
		}
		for _, channel := range channels {
			if ctx.Err() != nil {
				break
			}
			f, err := exportLog(dir, channel)
			switch {
			case err == nil:
				x.files = append(x.files, f)
			case !errors.Is(err, host.ErrNotExist):
				x.errs = append(x.errs, err)
			}
		}
		done <- x
	}()
	select {
	case x := <-done:
		if len(x.files) == 0 {
			return nil, errors.Join(x.errs...)
		}
		for _, err := range x.errs {
			h.gap("event logs", err) // one of them: the rest is there
		}
		return x.files, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("event logs: %w", ctx.Err())
	}
}

// exportLog writes the newest part of a channel.
func exportLog(dir, channel string) (host.File, error) {
	name := filepath.Join(dir, strings.ReplaceAll(channel, "/", "%4")+".evtx")
	for _, days := range []int{logDays, logDays / 6} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return host.File{}, wrap("export "+channel, err)
		}
		query := fmt.Sprintf("*[System[TimeCreated[timediff(@SystemTime) <= %d]]]", time.Duration(days)*24*time.Hour/time.Millisecond)
		_, err := invokeBool(dllEvents, "EvtExportLog", 0, uintptr(unsafe.Pointer(utf16ptr(channel))), uintptr(unsafe.Pointer(utf16ptr(query))),
			uintptr(unsafe.Pointer(utf16ptr(name))), evtChannelPath|evtTolerateErrors)
		if err != nil {
			return host.File{}, channelError("export "+channel, err)
		}
		info, err := os.Stat(name)
		if err != nil { // Wine answers yes and does nothing
			return host.File{}, &failure{op: "export " + channel, err: windows.ERROR_CALL_NOT_IMPLEMENTED, code: 0x80070078}
		}
		if info.Size() <= logBytes {
			return host.File{Path: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime(), Kind: winlog.EVTX}, nil
		}
	}
	info, err := os.Stat(name)
	if err != nil {
		return host.File{}, wrap("export "+channel, err)
	}
	return host.File{Path: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime(), Kind: winlog.EVTX}, nil
}

// channelError says what a channel that cannot be read means.
func channelError(op string, err error) error {
	const noChannel, noQuery = windows.Errno(15007), windows.Errno(15001) // ERROR_EVT_CHANNEL_NOT_FOUND, ERROR_EVT_INVALID_QUERY
	if is(err, noChannel) {
		return &failure{op: op, err: noChannel, code: codes.FromWin32(uint32(noChannel)), is: host.ErrNotExist}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// scanEvents are those with which the agent says that a scan failed: 16 it could
// not connect, 25 it could not check for updates.
const scanEvents = "EventID=16 or EventID=25"

// scanFailure returns what the agent's event log says of a scan that began at a
// time and found nothing; 0 if it says nothing, or cannot be read.
func (h *Host) scanFailure(ctx context.Context, began time.Time) codes.HRESULT {
	query := fmt.Sprintf("*[System[(%s) and TimeCreated[@SystemTime>='%s']]]", scanEvents, began.UTC().Format("2006-01-02T15:04:05.000Z"))
	text, err := queryEvents(channelUpdate, query, 10)
	if err != nil || text == "" {
		return 0
	}
	return failureIn(ctx, text)
}

// queryEvents returns the events that a query finds as XML, at most n, the oldest.
func queryEvents(channel, query string, n int) (string, error) {
	return eventsIn(channel, query, evtForward, n)
}

// eventsIn returns at most n events in a direction.
func eventsIn(channel, query string, direction uintptr, n int) (string, error) {
	set, err := invokeBool(dllEvents, "EvtQuery", 0, uintptr(unsafe.Pointer(utf16ptr(channel))), uintptr(unsafe.Pointer(utf16ptr(query))),
		evtChannelPath|direction)
	if err != nil {
		return "", channelError("query "+channel, err)
	}
	defer closeEvent(set)
	var out strings.Builder
	for range n {
		var event windows.Handle
		var got uint32
		_, err := invokeBool(dllEvents, "EvtNext", set, 1, uintptr(unsafe.Pointer(&event)), 1000, 0, uintptr(unsafe.Pointer(&got)))
		if is(err, windows.ERROR_NO_MORE_ITEMS) {
			break
		}
		if err != nil {
			return "", channelError("query "+channel, err)
		}
		text, err := renderEvent(event)
		closeEvent(uintptr(event))
		if err != nil {
			return "", err
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func closeEvent(h uintptr) { _, _ = invoke(dllEvents, "EvtClose", h) }

// maxEvent bounds the XML of one event; the service itself allows 64 KB of data.
const maxEvent = 1 << 20

func renderEvent(event windows.Handle) (string, error) {
	buf := make([]uint16, 8192)
	for {
		var used, properties uint32
		_, err := invokeBool(dllEvents, "EvtRender", 0, uintptr(event), evtRenderXML, uintptr(2*len(buf)), uintptr(unsafe.Pointer(&buf[0])),
			uintptr(unsafe.Pointer(&used)), uintptr(unsafe.Pointer(&properties)))
		switch {
		case err == nil:
			return windows.UTF16ToString(buf), nil
		case is(err, windows.ERROR_INSUFFICIENT_BUFFER) && used <= maxEvent && int(used) > 2*len(buf):
			buf = make([]uint16, (used+1)/2)
		default:
			return "", err
		}
	}
}
