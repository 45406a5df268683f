package repair

import (
	"encoding/json"
	"slices"
	"strconv"

	"updoc/internal/facts"
	"updoc/internal/isolate"
)

// cleanBoot is the remedy that finds which program is in the way.
const cleanBoot = "run-clean-boot"

// fitIsolate fits the search for what breaks updating.
func fitIsolate() map[string]fitter {
	return map[string]fitter{cleanBoot: fitCleanBoot}
}

// fitCleanBoot does the clean boot as a search, where it is known what starts with the
// machine and who made it; else a person is led through it.
// support.microsoft.com: "How to perform a clean boot in Windows".
func fitCleanBoot(f *fit) {
	byHand := func(why string) {
		f.lead(why)
		guide()(f)
	}
	if f.Startup.State != facts.Present {
		byHand("isolate.not-stocked")
		return
	}
	if !isolate.Trusted(f.Startup.Value) {
		byHand("isolate.not-trusted")
		return
	}
	stock, err := isolate.Stock(f.Startup.Value, "")
	if err != nil { // the table is part of the program, and a test reads it
		byHand("isolate.not-stocked")
		return
	}
	d := isolate.New(stock, f.run, tried(failure(f.Facts).Stage), isolate.Limits{})
	if len(d.Entries) == 0 {
		f.not("isolate.nothing")
		return
	}
	data, err := json.Marshal(d)
	if err != nil {
		byHand("isolate.not-stocked")
		return
	}
	f.lead("isolate.lead", "count", strconv.Itoa(len(d.Entries)), "all", strconv.Itoa(len(stock)))
	f.out.Course = &Course{Name: isolate.Course, Data: data}
}

// Searches reports whether the plan holds the search for the program that is in the way,
// by updoc or by a person's hand.
func (p *Plan) Searches() bool {
	return slices.ContainsFunc(p.Treatments, func(t Treatment) bool { return t.ID == cleanBoot })
}

// tried is the stage that is repeated for one that failed; see Runner.attempt.
func tried(s facts.Stage) string {
	switch s {
	case facts.StageDownload, facts.StageVerify:
		return "download"
	case facts.StageInstall, facts.StageRestart, facts.StageSetup:
		return "install"
	}
	return "scan"
}

// Passing reports whether the plan changes what starts with the machine, so that
// somebody has to stand guard over it: a course that takes all of it back when it is
// over.
func (p *Plan) Passing() bool {
	for _, t := range p.Treatments {
		if t.Course == nil {
			continue
		}
		if c, err := t.Course.Procedure(); err == nil && c.Bounds().Passing && c.Bounds().Restarts > 0 {
			return true
		}
	}
	return false
}
