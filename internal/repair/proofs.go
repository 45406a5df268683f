package repair

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
)

// maxProofs bounds what is told of a machine that was cured again and again.
const maxProofs = 50

// Proofs lists what the runs of a state directory cured and proved. A run of which
// anything was taken back since proves nothing: what it cured may be back.
func Proofs(fsys durable.FS, dir string, zone *time.Location) (host.Repairs, error) {
	out := host.Repairs{Proved: []host.Proof{}}
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for i := len(names) - 1; i >= 0 && len(out.Proved) < maxProofs; i-- { // they are named by when they began
		if !validRun(names[i]) {
			continue
		}
		j, err := OpenJournal(fsys, filepath.Join(dir, names[i]))
		if err != nil {
			continue // what cannot be read proves nothing
		}
		if p, ok := j.Proof(zone); ok {
			out.Proved = append(out.Proved, p)
		}
	}
	return out, nil
}

// Proof is what a run proved; false if it proved nothing that stands.
func (j *Journal) Proof(zone *time.Location) (host.Proof, bool) {
	if j.progress().end != Cured {
		return host.Proof{}, false
	}
	var at time.Time
	for _, e := range j.entries {
		switch e.Kind {
		case EntryEnd:
			at = e.Time
		case EntryUndoing, EntryUndone, EntryConflict:
			if !at.IsZero() {
				return host.Proof{}, false
			}
		}
	}
	f := j.Plan().Failure
	wall := at.In(zone)
	_, ahead := wall.Zone()
	return host.Proof{
		Run: j.Plan().Run, Code: f.Code, Stage: string(f.Stage), Update: f.Update.ID, KB: f.Update.KB,
		At: at, Wall: at.Add(time.Duration(ahead) * time.Second),
	}, true
}
