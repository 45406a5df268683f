package cli

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/report"
)

// fuzzNames are file names of every kind; the last ones are sniffed.
var fuzzNames = []string{
	"WindowsUpdate.log", "CBS.log", "dism.log", "setupact.log", "setupapi.dev.log", "SetupDiagResults.xml", "SetupDiagResults.json",
	"ReportingEvents.log", "WUAHandler.log", "System.evtx", "trace.etl", "policies.reg", "SOFTWARE", "SYSTEM", "NTUSER.DAT", "hosts",
	"netsh-winhttp-show-proxy.txt", "sc-query.txt", "systeminfo.txt", "dism-output.txt", "sfc-output.txt", "ipconfig.txt", "w32tm.txt",
	"fltmc.txt", "dsregcmd.txt", "reagentc.txt", "notes.txt", "evidence.zip", "CbsPersist_20310203040506.cab", "answers/volumes.json", "x", "readme.md",
}

// FuzzDiagnose: bytes as a file of each kind, beside another copy of themselves
// without a name that tells. Whatever they are, the diagnosis ends, and no report
// of it carries anything that a terminal obeys, or is larger than a page.
func FuzzDiagnose(f *testing.F) {
	files, _ := hosttest.Sample()
	for i, file := range slices.Concat(files, hostileMachine(payload)) {
		f.Add([]byte(file.Data), uint8(i))
		if at := slices.Index(fuzzNames, file.Name); at >= 0 {
			f.Add([]byte(file.Data), uint8(at))
		}
	}
	f.Add([]byte(hosttest.Zip(f, files)), uint8(27))
	f.Add([]byte(hosttest.Cabinet(files)), uint8(28))
	f.Add(hosttest.Hive(hosttest.HiveKey{Name: "ROOT", Keys: []hosttest.HiveKey{{Name: "Microsoft", Values: []hosttest.Value{{Name: "a", Text: payload}}}}}), uint8(12))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		if len(data) > 256<<10 {
			return
		}
		start := time.Now()
		h, err := host.OpenFS(t.Context(), fstest.MapFS{
			fuzzNames[int(kind)%len(fuzzNames)]: {Data: data},
			"other":                             {Data: data},
			"closed":                            {Mode: fs.ModeIrregular},
		})
		if err != nil {
			return
		}
		defer h.Close()
		found := facts.Collect(t.Context(), h, facts.Options{Full: kind%2 == 0})
		for _, x := range found.Suffering() {
			if len(x.Seen) == 0 {
				t.Errorf("%v was seen nowhere", x.Code)
			}
		}
		diagnosis := cause.Diagnose(found)
		sum := diagnosis.Other
		for _, x := range diagnosis.Findings {
			if !(x.Probability >= 0 && x.Probability <= 1) { // NaN too
				t.Errorf("%s: probability %v", x.ID, x.Probability)
			}
			sum += x.Probability
		}
		if !(sum < 1.001) {
			t.Errorf("the probabilities make %v", sum)
		}
		for _, redacted := range []bool{false, true} {
			doc := report.New(found, diagnosis, report.Options{WhyNot: redacted, Redact: redacted})
			named := []report.Named{{Name: "e.zip", Document: doc}}
			var text, ascii, js, md, html bytes.Buffer
			for _, err := range []error{
				report.Text(&text, doc, report.Style{}), report.Text(&ascii, doc, report.Style{ASCII: true}),
				report.WriteJSON(&js, named), report.WriteMarkdown(&md, named), report.WriteHTML(&html, named),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			for _, out := range []*bytes.Buffer{&text, &ascii, &js, &md, &html} {
				if i := strings.IndexFunc(strings.ReplaceAll(out.String(), "\n", " "), unwanted); i >= 0 {
					t.Errorf("%.80q", out.String()[max(0, i-40):])
				}
				if out.Len() > 2<<20 {
					t.Errorf("%d bytes of a report", out.Len())
				}
			}
			if i := strings.IndexFunc(ascii.String(), func(r rune) bool { return r > '~' }); i >= 0 {
				t.Errorf("not ASCII: %.80q", ascii.String()[max(0, i-40):])
			}
		}
		if took := time.Since(start); took > 4*time.Second*slowness {
			t.Errorf("took %v", took)
		}
	})
}
