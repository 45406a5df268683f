package host

import (
	"time"

	"updoc/internal/codes"
)

// AskRepairs asks for [Repairs]. Who keeps the journals answers it; it is asked with
// everything else that is diagnosed, and so a recording has it.
const AskRepairs = "repairs"

// Repairs are what updoc cured on the machine and proved: what its logs tell of the
// same trouble from before is over.
type Repairs struct {
	Proved []Proof `json:"proved"`
	Trials []Trial `json:"trials,omitempty"` // of the last day, the newest first
}

// Trial is an experiment: the stage that fails was tried once without something, which
// was put back.
type Trial struct {
	Run    string        `json:"run"`
	Remedy string        `json:"remedy"`
	Code   codes.HRESULT `json:"code,omitzero"` // that the stage fails with
	Stage  string        `json:"stage"`
	Came   string        `json:"came"` // see the constants
	Began  time.Time     `json:"began"`
	At     time.Time     `json:"at"`   // when it had been tried
	Wall   time.Time     `json:"wall"` // likewise, see [Proof]
}

// Within reports whether something was told while the trial lasted, by either clock.
func (t Trial) Within(at time.Time) bool {
	const late = time.Minute // until it stands in a log
	for _, end := range []time.Time{t.At, t.Wall} {
		if !at.Before(end.Add(-t.At.Sub(t.Began))) && at.Before(end.Add(late)) {
			return true
		}
	}
	return false
}

// What may come of a trial.
const (
	TrialShown = "shown" // without it, the stage works
	TrialAlike = "alike" // without it, the stage fails in the same way
	TrialOther = "other" // it fails in another way, which proves nothing
)

// Proof says that a stage which had failed ended well after a cure that stands still.
type Proof struct {
	Run    string        `json:"run"`
	Code   codes.HRESULT `json:"code,omitzero"` // that it had failed with
	Stage  string        `json:"stage"`
	Update string        `json:"update,omitempty"` // its id
	KB     string        `json:"kb,omitempty"`
	At     time.Time     `json:"at"`
	// Wall is what the clock on the machine's wall showed then, as if that were UTC: in
	// such time servicing and setup write their logs.
	Wall time.Time `json:"wall"`
}
