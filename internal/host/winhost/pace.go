package winhost

import (
	"bytes"
	"time"

	"updoc/internal/host"
)

// pace follows a tool at work by what it prints and by what servicing writes down
// beside it. Percent signs are the same in every language, and CBS.log is written in
// none but English; what a tool says in words is of no account.
type pace struct {
	what    string
	began   time.Time
	percent float64 // -1: not known yet
	log     int64   // bytes of the log when somebody last looked
	moved   time.Time
	stage   string
}

// stallAfter is how long neither a percent sign nor the log may stand still before it
// is said. DISM stays at 62.3 % for a quarter of an hour on a slow disk, and writes its
// log all the time.
const stallAfter = 10 * time.Minute

func newPace(what string, now time.Time, log int64) *pace {
	return &pace{what: what, began: now, percent: -1, log: log, moved: now}
}

// saw takes what the tool printed last, how large the log is now, and what was added
// to it, and says how far the work is.
func (p *pace) saw(now time.Time, line string, log int64, added []byte) host.Work {
	if n, ok := percentOf(line); ok && n != p.percent {
		p.percent, p.moved = n, now
	}
	if log != p.log { // also one that was begun anew
		p.log, p.moved = log, now
	}
	if s := stageOf(p.what, added); s != "" {
		p.stage = s
	}
	w := host.Work{What: p.what, Percent: p.percent, Line: line, Elapsed: now.Sub(p.began), Stage: p.stage}
	if still := now.Sub(p.moved); still >= stallAfter {
		w.Still = still
	}
	return w
}

// stages are the marks in CBS.log by which a tool of servicing is known to be at a
// stage; the last one counts.
var stages = map[string][]struct {
	mark  []byte
	stage string
}{
	"dism": {
		{[]byte("Store Corruption Detect/Repair)"), "store-packages"},
		{[]byte("StoreCorruptionRepair transaction begun"), "store-components"},
		{[]byte("Repr: CSI Store check completes"), "store-search"},
		{[]byte("Calling Download on WUClient Acquirer"), "store-download"},
		{[]byte("WULib DownloadProgress"), "store-download"},
		{[]byte("Checking System Update Readiness"), "store-report"},
	},
	"sfc": {
		{[]byte("[SR] Verifying "), "files-verify"},
		{[]byte("[SR] Repairing "), "files-repair"},
	},
}

// stageOf is the stage that a piece of the log leads to; "" if it does not tell.
func stageOf(what string, added []byte) string {
	at, stage := -1, ""
	for _, s := range stages[what] {
		if i := bytes.LastIndex(added, s.mark); i > at {
			at, stage = i, s.stage
		}
	}
	return stage
}
