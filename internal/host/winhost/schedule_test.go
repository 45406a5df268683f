package winhost

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

func TestTaskXML(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	for _, want := range []host.Task{
		{Name: host.TaskResume, About: "Ends <an experiment> & goes on.", Program: `C:\ProgramData\updoc\updoc-1.exe`, Args: []string{"resume", "--at-start"}, AtStart: true, At: at.UTC()},
		{Name: host.TaskResume, Program: `C:\ProgramData\updoc\updoc-1.exe`, AtStart: true},
		{Name: host.TaskCheck, Program: `D:\updoc.exe`, Args: []string{"check", "--monthly", "now"}, Monthly: 25},
	} {
		text, err := taskXML(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`<Task xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task" version="1.2">`, "<UserId>S-1-5-18</UserId>", "<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>"} {
			if !strings.Contains(text, part) {
				t.Errorf("no %s in\n%s", part, text)
			}
		}
		if strings.Contains(text, "BootTrigger") != want.AtStart || strings.Contains(text, "TimeTrigger") == want.At.IsZero() || strings.Contains(text, "ScheduleByMonth") != (want.Monthly != 0) {
			t.Errorf("triggers of %+v:\n%s", want, text)
		}
		// So does the Task Scheduler give it back.
		got, err := parseTask(want.Name, `<?xml version="1.0" encoding="UTF-16"?>`+"\r\n"+text)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v\n%s", err, cmp.Diff(want, got))
		}
	}
	if _, err := taskXML(host.Task{Name: "other", Program: `C:\a.exe`, AtStart: true}); err == nil {
		t.Error("a task that is not updoc's")
	}
}

func FuzzParseTask(f *testing.F) {
	text, err := taskXML(host.Task{Name: host.TaskCheck, Program: `D:\updoc.exe`, AtStart: true, At: time.Unix(0, 0), Monthly: 25})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("<Task/>")
	f.Fuzz(func(t *testing.T, text string) {
		task, err := parseTask(host.TaskCheck, text)
		if err != nil || task.Check() != nil {
			return
		}
		again, err := taskXML(task)
		if err != nil {
			return // words that XML cannot say
		}
		if _, err := parseTask(host.TaskCheck, again); err != nil {
			t.Fatal(err)
		}
	})
}
