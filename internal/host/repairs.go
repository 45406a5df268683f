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
}

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
