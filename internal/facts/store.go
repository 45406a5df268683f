package facts

import (
	"updoc/internal/winlog"
)

// StoreLog is what one servicing log tells of the component store.
type StoreLog struct {
	Source string // the log's base name; lines of it are "CBS.log:17"
	winlog.StoreLog
}

// maxStoreLogs bounds the logs whose story of the store is kept.
const maxStoreLogs = 16

// storeReading reads a servicing log as its digest does, and beside it what it tells
// of the component store.
type storeReading struct {
	digest
	*reading
	store winlog.StoreReader
}

func newStore(r *reading, d digest) digest { return &storeReading{digest: d, reading: r} }

func (r *storeReading) record(rec *winlog.Record) error {
	r.store.Record(rec)
	return r.digest.record(rec)
}

func (r *storeReading) finish() {
	r.digest.finish()
	log := StoreLog{Source: r.name, StoreLog: r.store.Log()}
	if len(log.Checks)+len(log.Missing) == 0 {
		return
	}
	r.typed = append(r.typed, func(f *Facts) {
		if len(f.StoreLogs) < maxStoreLogs {
			f.StoreLogs = append(f.StoreLogs, log)
		}
	})
}
