package repair

import (
	"testing"

	"updoc/internal/host"
)

func TestSubstance(t *testing.T) {
	plan := func(run string, edit func(*Plan)) *Plan {
		p := &Plan{Schema: Schema, Run: run, Treatments: []Treatment{{
			ID: "clear-download-cache", Risk: RiskReversible, How: Automatic, Chance: 0.4, Steps: []Step{{Change: host.Change{
				Kind: host.Move, Path: `C:\Windows\SoftwareDistribution\Download`, To: `C:\Windows\SoftwareDistribution\Download.updoc-` + run,
			}}},
		}}}
		if edit != nil {
			edit(p)
		}
		return p
	}
	shown := plan("20310203-040506-aaaa", nil).Substance()
	if got := plan("20310203-040609-bbbb", func(p *Plan) { p.Treatments[0].Chance = 0.41 }).Substance(); got != shown {
		t.Error("another run of the same plan is another plan")
	}
	for name, edit := range map[string]func(*Plan){
		"another path":         func(p *Plan) { p.Treatments[0].Steps[0].Change.Path = `C:\Users` },
		"another risk":         func(p *Plan) { p.Treatments[0].Risk = RiskPermanent },
		"one treatment more":   func(p *Plan) { p.Treatments = append(p.Treatments, Treatment{ID: "run-sfc"}) },
		"one treatment less":   func(p *Plan) { p.Treatments = nil },
		"a step more":          func(p *Plan) { p.Treatments[0].Steps = append(p.Treatments[0].Steps, Step{}) },
		"nobody is asked now":  func(p *Plan) { p.Treatments[0].How = Guided },
		"a lease that is gone": func(p *Plan) { p.Treatments[0].Steps[0].Lease = 5 },
	} {
		if plan("20310203-040506-aaaa", edit).Substance() == shown {
			t.Errorf("%s, and the same substance", name)
		}
	}
}
