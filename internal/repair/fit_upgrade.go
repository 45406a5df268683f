package repair

import (
	"fmt"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/upgrade"
)

// upgradeRemedy is what an installation of Windows over itself is in a plan.
const upgradeRemedy = "run-in-place-upgrade"

// UpgradePlan plans the installation of Windows over itself from media that passed the
// checks: what upgrade.NewSpec decided.
func UpgradePlan(f *facts.Facts, d cause.Diagnosis, s upgrade.Spec, run string) (*Plan, error) {
	data, err := s.Encode()
	if err != nil {
		return nil, fmt.Errorf("plan an upgrade: %w", err)
	}
	r, ok := Lookup(upgradeRemedy)
	if !ok {
		return nil, fmt.Errorf("plan an upgrade: no remedy %s", upgradeRemedy)
	}
	p := &Plan{Schema: Schema, Run: run, Machine: f.Machine, Failure: failure(f), Causes: []string{}, LeftOut: []LeftOut{}}
	t := Treatment{
		ID: r.ID, Risk: r.Risk, How: Automatic, Minutes: r.Minutes, Restart: r.Restart, Causes: []string{},
		Course: &Course{Name: upgrade.Name, Data: data},
	}
	for _, c := range Order(d) {
		if c.ID == upgradeRemedy {
			t.Causes, t.Chance = c.Causes, c.Chance
		}
	}
	p.Treatments = []Treatment{t}
	return p, p.Check()
}

// fitUpgrade says how Windows is installed over itself where nobody gave media yet:
// by its own settings if it can, else what the media have to be.
func fitUpgrade(f *fit) {
	if upgrade.FixFromSettings(f.Facts) {
		f.lead("upgrade.first")
	}
	fitFromMedia(f)
	f.lead("upgrade.command")
}
