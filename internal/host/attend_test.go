package host_test

import (
	"testing"
	"time"

	"updoc/internal/host"
)

func TestTaskCheck(t *testing.T) {
	good := host.Task{Name: host.TaskResume, Program: `C:\ProgramData\updoc\updoc.exe`, Args: []string{"resume", "--at-start"}, AtStart: true}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*host.Task){
		"somebody else's":     func(t *host.Task) { t.Name = `Microsoft\Windows\UpdateOrchestrator\Schedule Scan` },
		"by the search path":  func(t *host.Task) { t.Program = "updoc.exe" },
		"over the network":    func(t *host.Task) { t.Program = `\\fabrikam.example\share\updoc.exe` },
		"climbing":            func(t *host.Task) { t.Program = `C:\ProgramData\..\updoc.exe` },
		"never":               func(t *host.Task) { t.AtStart = false },
		"day 31":              func(t *host.Task) { t.Monthly = 31 },
		"a blank in an arg":   func(t *host.Task) { t.Args = []string{"resume --yes"} },
		"a quote in an arg":   func(t *host.Task) { t.Args = []string{`"`} },
		"an argument of none": func(t *host.Task) { t.Args = []string{""} },
	} {
		bad := good
		if spoil(&bad); bad.Check() == nil {
			t.Errorf("%s: accepted %+v", name, bad)
		}
	}
	at := host.Task{Name: host.TaskCheck, Program: good.Program, At: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)}
	if err := at.Check(); err != nil {
		t.Error(err)
	}
}
