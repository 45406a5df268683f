package repair

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
)

// seenOn collects the facts of a machine of which these files tell.
func seenOn(t *testing.T, files map[string]string) *facts.Facts {
	t.Helper()
	fsys := fstest.MapFS{"systeminfo.txt": {Data: []byte("Host Name:                 DESK-4\r\nOS Name:                   Microsoft Windows 11 Pro\r\nOS Version:                10.0.22631 N/A Build 22631\r\nSystem Type:               x64-based PC\r\n")}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	h, err := host.OpenFS(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Options{})
}

// export is a registry export; a line that begins with [ opens a key.
func export(lines ...string) string {
	return "Windows Registry Editor Version 5.00\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n"
}

// starts is what sc qc says of services, by name and start type.
func starts(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: %s\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : %s\r\n\r\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

// states is what sc query says of services, by name and state.
func states(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "SERVICE_NAME: %s\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        STATE              : %s\r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n\r\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

const testRun = "20310507-1"

// fitted fits one remedy, alone, and holds the plan to the rules of all plans.
func fitted(t *testing.T, id string, f *facts.Facts, findings ...string) (Treatment, Line) {
	t.Helper()
	r, ok := Lookup(id)
	if !ok {
		t.Fatalf("there is no remedy %s", id)
	}
	var d cause.Diagnosis
	for _, c := range findings {
		d.Findings = append(d.Findings, cause.Finding{Cause: &cause.Cause{ID: c}})
	}
	x, why := Choice{Remedy: r}.fit(f, d, testRun)
	p := Plan{Schema: Schema, Run: testRun, Treatments: []Treatment{x}}
	if err := p.Check(); err != nil {
		t.Errorf("%s: %v", id, err)
	}
	words := message.English()
	said := append([]Line{}, x.Lead...)
	if why.ID != "" {
		said = append(said, why)
	}
	for _, s := range x.Steps {
		if s.Lasting != "" {
			said = append(said, Line{ID: s.Lasting})
		}
	}
	for _, l := range said {
		text := words.Text(l.ID)
		for name, value := range l.Args {
			if value == "" {
				t.Errorf("%s: %s has no value in %s", id, name, l.ID)
			}
			text = strings.ReplaceAll(text, "{"+name+"}", value)
		}
		if !words.Has(l.ID) || strings.Contains(text, "{") {
			t.Errorf("%s says %s: %q", id, l.ID, text)
		}
	}
	return x, why
}

// brief writes steps as lines.
func brief(t Treatment) []string {
	var out []string
	for _, s := range t.Steps {
		c := s.Change
		line := string(c.Kind) + " " + c.Path
		switch {
		case c.Value != nil && len(c.Value.Data) == 4:
			line += fmt.Sprintf(" %s=%d", c.Name, binary.LittleEndian.Uint32(c.Value.Data))
		case c.Value != nil:
			text, _ := c.Value.String()
			line += " " + c.Name + "=" + text
		case c.Name != "":
			line += " " + c.Name
		case c.To != "":
			line += " > " + c.To
		case c.Start != nil:
			line += fmt.Sprintf(" %d", c.Start.Type)
			if c.Start.Delayed {
				line += " delayed"
			}
		case c.State != "":
			line += " " + c.State
		case len(c.Args) > 0:
			line += " " + strings.Join(c.Args, " ")
		}
		if s.Restart {
			line += " (restart)"
		}
		out = append(out, line)
	}
	return out
}

// fitCase is a machine, a remedy, and what becomes of it.
type fitCase struct {
	name     string
	remedy   string
	files    map[string]string
	findings []string
	steps    []string
	lead     []string // ids
	why      string   // id
}

func fitAll(t *testing.T, cases []fitCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.remedy+"/"+c.name, func(t *testing.T) {
			x, why := fitted(t, c.remedy, seenOn(t, c.files), c.findings...)
			if why.ID != c.why {
				t.Fatalf("left out because of %q, want %q", why.ID, c.why)
			}
			if why.ID != "" {
				return
			}
			if diff := cmp.Diff(c.steps, brief(x)); diff != "" {
				t.Error(diff)
			}
			var lead []string
			for _, l := range x.Lead {
				lead = append(lead, l.ID)
			}
			if diff := cmp.Diff(c.lead, lead); diff != "" {
				t.Error("lead:", diff)
			}
		})
	}
}
