// Package lab is a broken world in one process: simulated sick machines, each a
// scenario in one txtar file, that the demo shows and the tests diagnose.
package lab

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

//go:embed scenarios/*.txtar
var scenarios embed.FS

// Demo is the scenario that a newcomer sees.
const Demo = "treat-proxy-asks"

// Success stands in Expect.Predict for a walk on which nothing that updating depends
// on fails.
const Success = "success"

// Scenario is a simulated machine and what must be found on it.
type Scenario struct {
	Name     string
	Story    string     // what is the matter, in a few sentences
	Evidence fs.FS      // what the machine left behind
	World    *WorldSpec // what it stands in; nil: its evidence is all there is
	Expect   Expect
	Cure     Cure // of a machine

	machine []txtar.File
}

// Treatable reports that the scenario has a machine that can be treated, see
// [NewMachine]. It has no evidence: the machine answers for itself.
func (s *Scenario) Treatable() bool { return len(s.machine) > 0 }

// Expect is what a diagnosis of the scenario must say.
type Expect struct {
	Verdict    string   `json:"verdict"`               // healthy, problems, unknown
	First      string   `json:"first"`                 // the root cause; "" for healthy machines
	AmongThree []string `json:"among_three"`           // causes that must be among the first three
	Remedy     string   `json:"remedy_in_first_three"` //
	NotBefore  []string `json:"not_before"`            // remedies that must not stand before it
	Predict    string   `json:"predict,omitempty"`     // what Windows would report, by the walk: "0x8024401B", or Success; "": no walk is needed
	Deep       bool     `json:"deep,omitempty"`        // it takes calls that a WSUS may note, in the machine's own name
	Task       string   `json:"task,omitempty"`        // the request that is predicted for; "": the first vital one that fails
}

// Walked reports that the scenario's evidence is not enough: what is expected is
// found by walking its world.
func (s *Scenario) Walked() bool { return s.World != nil && s.Expect.Predict != "" }

// Names lists the scenarios that are evidence.
func Names() []string { return named("") }

// MachineNames lists the scenarios with a machine that can be treated.
func MachineNames() []string { return named("treat-") }

// UpgradeNames lists the scenarios with a machine and media to install Windows from.
func UpgradeNames() []string { return named("upgrade-") }

// RelayNames lists the scenarios with a machine that a relay helps, and nothing else
// that could be done on it.
func RelayNames() []string { return named("relay-") }

// StoreNames lists the scenarios with a machine whose component store is damaged.
func StoreNames() []string { return named("components-") }

// IsolateNames lists the scenarios with a machine on which a program that starts with
// Windows is in the way.
func IsolateNames() []string { return named("isolate-") }

func named(kind string) []string {
	entries, err := scenarios.ReadDir("scenarios")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".txtar")
		own := ""
		for _, prefix := range []string{"isolate-", "treat-", "upgrade-", "relay-", "components-"} {
			if strings.HasPrefix(name, prefix) {
				own = prefix
			}
		}
		if own == kind {
			out = append(out, name)
		}
	}
	return out
}

// Load reads one scenario.
func Load(name string) (*Scenario, error) {
	b, err := scenarios.ReadFile(path.Join("scenarios", name+".txtar"))
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	ar := txtar.Parse(b)
	s := &Scenario{Name: name, Story: strings.TrimSpace(string(ar.Comment))}
	evidence := &txtar.Archive{}
	for _, f := range ar.Files {
		switch {
		case f.Name == "expect.json":
			if err := json.Unmarshal(f.Data, &s.Expect); err != nil {
				return nil, fmt.Errorf("scenario %s: expect.json: %w", name, err)
			}
		case f.Name == "world.json":
			spec, err := ParseWorld(f.Data)
			if err != nil {
				return nil, fmt.Errorf("scenario %s: %w", name, err)
			}
			s.World = &spec
		case f.Name == "cure.json":
			d := json.NewDecoder(bytes.NewReader(f.Data))
			d.DisallowUnknownFields()
			if err := d.Decode(&s.Cure); err != nil {
				return nil, fmt.Errorf("scenario %s: cure.json: %w", name, err)
			}
		case strings.HasPrefix(f.Name, "machine/"):
			s.machine = append(s.machine, f)
		case strings.HasPrefix(f.Name, "evidence/"):
			evidence.Files = append(evidence.Files, txtar.File{Name: strings.TrimPrefix(f.Name, "evidence/"), Data: f.Data})
		default:
			return nil, fmt.Errorf("scenario %s: file %s: want evidence/..., machine/..., world.json, cure.json or expect.json", name, f.Name)
		}
	}
	s.Evidence, err = txtar.FS(evidence)
	return s, err
}

// Check compares a diagnosis with what is expected; nil means that it holds.
func (e Expect) Check(verdict string, causes, remedies []string) error {
	var wrong []error
	if verdict != e.Verdict {
		wrong = append(wrong, fmt.Errorf("verdict %s, want %s", verdict, e.Verdict))
	}
	if e.First != "" && (len(causes) == 0 || causes[0] != e.First) {
		wrong = append(wrong, fmt.Errorf("causes %v, want %s first", causes[:min(3, len(causes))], e.First))
	}
	if e.First == "" && len(causes) > 0 {
		wrong = append(wrong, fmt.Errorf("causes %v, want none", causes[:min(3, len(causes))]))
	}
	for _, id := range e.AmongThree {
		if !slices.Contains(causes[:min(3, len(causes))], id) {
			wrong = append(wrong, fmt.Errorf("causes %v, want %s among three", causes[:min(3, len(causes))], id))
		}
	}
	if e.Remedy != "" {
		at := slices.Index(remedies, e.Remedy)
		if at < 0 || at > 2 {
			wrong = append(wrong, fmt.Errorf("remedies %v, want %s among three", remedies[:min(4, len(remedies))], e.Remedy))
		}
		for _, id := range e.NotBefore {
			if i := slices.Index(remedies, id); i >= 0 && (at < 0 || i < at) {
				wrong = append(wrong, fmt.Errorf("remedy %s stands before %s", id, e.Remedy))
			}
		}
	}
	return errors.Join(wrong...)
}
