package repair

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Substance identifies what a plan would do: two plans of the same substance try the
// same treatments in the same order, change the same things, and differ at most in the
// name of the run and in how much each treatment promises. Who agreed to one agreed to
// the other.
func (p *Plan) Substance() string {
	list := slices.Clone(p.Treatments)
	for i := range list {
		list[i].Chance = 0
	}
	b, err := json.Marshal(list)
	if err != nil { // a Plan holds nothing that JSON cannot say
		return ""
	}
	if p.Run != "" { // what is moved aside is named for the run
		b = []byte(strings.ReplaceAll(string(b), p.Run, "{run}"))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
