package procedure

import (
	"testing"

	"updoc/internal/host"
)

// A procedure is held to what was approved: nothing else is done, however its data
// was changed in the meantime.
func TestAllows(t *testing.T) {
	stop := host.Change{Kind: host.ServiceStop, Path: "ExampleFilter"}
	start := host.Change{Kind: host.ServiceRun, Path: "ExampleFilter"}
	fetch := Fetch{URL: "http://download.windowsupdate.com/a.cab", To: `C:\ProgramData\updoc\a.cab`, SHA256: "00"}
	other := fetch
	other.SHA256 = "01"
	zero, three := 0, 3
	b := Bounds{Changes: []host.Change{stop}, Fetches: []Fetch{fetch}, Asks: []string{host.AskRestart}, Acts: 3, Restarts: 1}
	for _, tt := range []struct {
		name        string
		act         Act
		n, restarts int
		want        bool
	}{
		{"a change that was approved", Act{Change: &stop}, 0, 0, true},
		{"another one", Act{Change: &start}, 0, 0, false},
		{"one act too many", Act{Change: &stop}, 3, 0, false},
		{"taking back what was done", Act{Back: &zero}, 1, 0, true},
		{"taking back what was not", Act{Back: &three}, 2, 0, false},
		{"a file that was approved", Act{Fetch: &fetch}, 0, 0, true},
		{"the same file with another content", Act{Fetch: &other}, 0, 0, false},
		{"a question", Act{Ask: &host.Question{Name: host.AskRestart}}, 0, 0, true},
		{"a question that was not named", Act{Ask: &host.Question{Name: host.AskAgent}}, 0, 0, false},
		{"an attempt that was not named", Act{Try: true}, 0, 0, false},
		{"a restart", Act{Restart: true}, 0, 0, true},
		{"a restart too many", Act{Restart: true}, 1, 1, false},
		{"nothing", Act{}, 0, 0, false},
		{"two things at once", Act{Change: &stop, Ask: &host.Question{Name: host.AskRestart}}, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := b.Allows(tt.act, tt.n, tt.restarts); got != tt.want {
				t.Errorf("Allows = %v, want %v", got, tt.want)
			}
		})
	}
}
