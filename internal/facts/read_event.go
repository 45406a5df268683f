package facts

import (
	"bytes"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// eventReading reads event logs, as .evtx or as text. An event says by its
// number what happened; only those below are failures or successes of updating,
// everything else speaks through signatures.
type eventReading struct {
	*reading
	text  []byte // scratch
	slept []Seen
}

// maxSlept bounds what is kept of a machine that sleeps many times a day.
const maxSlept = 64

// sleeps reports an event of a machine that goes to sleep, or wakes up.
// learn.microsoft.com: "Modern standby and sleep events": Kernel-Power 42 and 107,
// Power-Troubleshooter 1, and 506 and 507 of machines that only seem to sleep.
func sleeps(provider string, id uint32) bool {
	switch provider {
	case "microsoft-windows-kernel-power":
		return id == 42 || id == 107 || id == 506 || id == 507
	case "microsoft-windows-power-troubleshooter":
		return id == 1
	}
	return false
}

func newEvents(r *reading) digest { return &eventReading{reading: r} }

// markEvent looks for signatures in an event as "Provider/ID text", however it
// was recorded: the words of a copied event are translated, its number is not.
func (r *eventReading) markEvent(rec *winlog.Record) {
	r.text = append(append(r.text[:0], rec.Component...), '/')
	r.text = strconv.AppendUint(r.text, uint64(rec.ID), 10)
	if bytes.HasPrefix(rec.Text, r.text) {
		r.mark(rec)
		return
	}
	r.text = append(append(r.text, ' '), rec.Text...)
	for _, h := range r.match.match(r.text) {
		r.sight(h.id, rec)
	}
}

// updateEvent is what an event number of a provider means.
// learn.microsoft.com: "Windows Update troubleshooting", event manifests of
// Microsoft-Windows-WindowsUpdateClient, -Servicing, -WUSA, -Bits-Client.
type updateEvent struct {
	stage   Stage
	success bool
}

var updateEvents = map[string]map[uint32]updateEvent{
	"microsoft-windows-windowsupdateclient": {
		16: {StageScan, false}, 25: {StageScan, false}, 26: {StageScan, true},
		31: {StageDownload, false}, 41: {StageDownload, true},
		19: {StageInstall, true}, 20: {StageInstall, false}, 24: {StageInstall, false},
		34: {StageScan, false}, 35: {StageScan, false},
	},
	"microsoft-windows-servicing":   {3: {StageInstall, false}, 2: {StageInstall, true}, 8: {StageInstall, true}},
	"microsoft-windows-wusa":        {1: {StageInstall, true}, 2: {StageInstall, true}, 3: {StageInstall, false}},
	"microsoft-windows-bits-client": {61: {StageDownload, false}},
}

func (r *eventReading) record(rec *winlog.Record) error {
	r.markEvent(rec)
	provider := strings.ToLower(string(rec.Component))
	if sleeps(provider, rec.ID) && !rec.Time.IsZero() {
		r.slept = append(r.slept[max(0, len(r.slept)-maxSlept+1):], r.seenRecord(rec))
	}
	ev, known := updateEvents[provider][rec.ID]
	u := Update{Title: rec.Field("updateTitle"), ID: rec.Field("updateGuid")}
	if u.Title != "" {
		u.KB = findKB([]byte(u.Title))
	} else {
		u.KB = findKB(rec.Text)
	}
	h := rec.Code
	if h == 0 && known && !ev.success {
		h = firstFailing(string(rec.Text))
	}
	switch {
	case !known:
		if h != 0 {
			r.code(h, rec)
		}
	case ev.success:
		if h == 0 {
			r.succeed(rec, ev.stage, string(ev.stage), u)
		}
	case h != 0:
		r.failWith(rec, Failure{Code: h, Stage: ev.stage, Update: u, Weight: decisive})
	default:
		r.failWith(rec, Failure{Stage: ev.stage, Update: u, Weight: reported})
	}
	return nil
}

func (r *eventReading) finish() {
	if len(r.slept) > 0 {
		r.typed = append(r.typed, func(f *Facts) {
			f.Slept = append(f.Slept, r.slept...)
			f.Slept = f.Slept[max(0, len(f.Slept)-maxSlept):]
		})
	}
}

func firstFailing(text string) codes.HRESULT {
	for _, m := range codes.Find(text) {
		if m.Code.HRESULT.Failed() {
			return m.Code.HRESULT
		}
	}
	return 0
}
