package repair

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
)

// maxProofs bounds what is told of a machine that was cured again and again.
const maxProofs = 50

// trialDay is how long an experiment tells of how it is now: machines change networks.
const trialDay = 24 * time.Hour

// Proofs lists what the runs of a state directory cured and proved, and what its
// experiments showed lately. A run of which anything was taken back since proves no
// cure: what it cured may be back.
func Proofs(fsys durable.FS, dir string, zone *time.Location, now time.Time) (host.Repairs, error) {
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
		for _, t := range j.Trials(zone) {
			if now.Sub(t.At) < trialDay && len(out.Trials) < maxProofs {
				out.Trials = append(out.Trials, t)
			}
		}
	}
	return out, nil
}

// Trials are the experiments of a run that were looked at, the newest first.
func (j *Journal) Trials(zone *time.Location) []host.Trial {
	var out []host.Trial
	p := j.Plan()
	began := map[int]time.Time{}
	for _, e := range j.entries {
		if e.Kind == EntryTreated {
			began[e.Treatment] = e.Time
		}
		if came := p.Trial(e); came != "" {
			out = append(out, host.Trial{
				Run: p.Run, Remedy: p.Treatments[e.Treatment].ID, Code: p.Failure.Code, Stage: string(p.Failure.Stage), Came: came,
				Began: began[e.Treatment], At: e.Time, Wall: wall(e.Time, zone),
			})
		}
	}
	slices.Reverse(out)
	return out
}

// wall is what a clock on the wall shows at a time, as if that were UTC.
func wall(at time.Time, zone *time.Location) time.Time {
	_, ahead := at.In(zone).Zone()
	return at.Add(time.Duration(ahead) * time.Second)
}

// Trial says what the entry of an attempt shows if it was that of an experiment; "" of
// any other entry, and where it could not be tried.
func (p *Plan) Trial(e Entry) string {
	if e.Kind != EntryTried || e.Outcome == nil || e.Treatment < 0 || e.Treatment >= len(p.Treatments) || !p.Treatments[e.Treatment].leased() {
		return ""
	}
	switch res := e.Outcome.Result; {
	case !res.Failed() || res.Benign():
		return host.TrialShown
	case res == p.Failure.Code:
		return host.TrialAlike
	}
	return host.TrialOther
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
	return host.Proof{
		Run: j.Plan().Run, Code: f.Code, Stage: string(f.Stage), Update: f.Update.ID, KB: f.Update.KB,
		At: at, Wall: wall(at, zone),
	}, true
}
