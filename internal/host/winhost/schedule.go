package winhost

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"updoc/internal/host"
)

// taskDefinition is the XML form of a task, as far as updoc writes it. The order of
// the fields is that of the schema.
// learn.microsoft.com: "Task Scheduler Schema"; [MS-TSCH] 2.5.
type taskDefinition struct {
	XMLName struct{}        `xml:"http://schemas.microsoft.com/windows/2004/02/mit/task Task"`
	Version string          `xml:"version,attr"`
	Author  string          `xml:"RegistrationInfo>Author"`
	About   string          `xml:"RegistrationInfo>Description"`
	Boot    *bootTrigger    `xml:"Triggers>BootTrigger"`
	Time    *timeTrigger    `xml:"Triggers>TimeTrigger"`
	Monthly *monthlyTrigger `xml:"Triggers>CalendarTrigger"`
	Who     taskPrincipal   `xml:"Principals>Principal"`
	How     taskSettings    `xml:"Settings"`
	Actions taskActions     `xml:"Actions"`
}

type bootTrigger struct {
	Enabled bool
	Delay   string
}

type timeTrigger struct {
	Interval string `xml:"Repetition>Interval"`
	Start    string `xml:"StartBoundary"`
	Enabled  bool
}

type monthlyTrigger struct {
	Start   string `xml:"StartBoundary"`
	Enabled bool
	Delay   string     `xml:"RandomDelay"`
	Day     int        `xml:"ScheduleByMonth>DaysOfMonth>Day"`
	Months  taskMonths `xml:"ScheduleByMonth>Months"`
}

type taskMonths struct {
	January, February, March, April, May, June, July, August, September, October, November, December struct{}
}

type taskPrincipal struct {
	ID    string `xml:"id,attr"`
	User  string `xml:"UserId"`
	Level string `xml:"RunLevel"`
}

type taskSettings struct {
	Instances  string `xml:"MultipleInstancesPolicy"`
	NotBattery bool   `xml:"DisallowStartIfOnBatteries"`
	EndBattery bool   `xml:"StopIfGoingOnBatteries"`
	Late       bool   `xml:"StartWhenAvailable"`
	Enabled    bool
	Limit      string `xml:"ExecutionTimeLimit"`
}

type taskActions struct {
	Context string `xml:"Context,attr"`
	Command string `xml:"Exec>Command"`
	Args    string `xml:"Exec>Arguments,omitempty"`
}

// systemSID is the account LocalSystem, whose name is translated.
const systemSID = "S-1-5-18"

const (
	// bootDelay lets services that Windows Update needs start first.
	bootDelay = "PT1M"
	// again: what could not be done, because another updoc was at work or a user was
	// not signed in, is tried again.
	again = "PT10M"
	// spread keeps a company's machines from looking all at once.
	spread = "PT4H"
	// noon is when people's machines are on; one that was off looks once it is on.
	noon = "T12:00:00"
)

// taskXML defines a task: LocalSystem runs it, on batteries too, never twice at once,
// and without a limit, for an install that is tried again may take hours.
func taskXML(t host.Task) (string, error) {
	if err := t.Check(); err != nil {
		return "", err
	}
	d := taskDefinition{
		Version: "1.2", Author: "updoc", About: t.About,
		Who:     taskPrincipal{ID: "system", User: systemSID, Level: "HighestAvailable"},
		How:     taskSettings{Instances: "IgnoreNew", Late: true, Enabled: true, Limit: "PT0S"},
		Actions: taskActions{Context: "system", Command: t.Program, Args: strings.Join(t.Args, " ")},
	}
	if t.AtStart {
		d.Boot = &bootTrigger{Enabled: true, Delay: bootDelay}
	}
	if !t.At.IsZero() {
		d.Time = &timeTrigger{Interval: again, Start: t.At.UTC().Truncate(time.Second).Format(time.RFC3339), Enabled: true}
	}
	if t.Monthly != 0 {
		d.Monthly = &monthlyTrigger{Start: "2020-01-01" + noon, Enabled: true, Delay: spread, Day: t.Monthly}
	}
	b, err := xml.MarshalIndent(d, "", "  ")
	if err != nil {
		return "", fmt.Errorf("task %q: %w", t.Name, err)
	}
	return string(b), nil
}

// maxTaskXML bounds a definition; updoc's own have 2 KiB.
const maxTaskXML = 1 << 20

// parseTask reads what taskXML wrote, as the Task Scheduler gives it back.
func parseTask(name, text string) (host.Task, error) {
	var d taskDefinition
	if len(text) > maxTaskXML {
		return host.Task{}, fmt.Errorf("task %q: a definition of %d bytes", name, len(text))
	}
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it says UTF-16 and is text already
	if err := dec.Decode(&d); err != nil {
		return host.Task{}, fmt.Errorf("task %q: %w", name, err)
	}
	t := host.Task{Name: name, About: d.About, Program: d.Actions.Command, AtStart: d.Boot != nil}
	if d.Actions.Args != "" {
		t.Args = strings.Fields(d.Actions.Args)
	}
	if d.Time != nil {
		at, err := time.Parse(time.RFC3339, d.Time.Start)
		if err != nil {
			return host.Task{}, errors.Join(fmt.Errorf("task %q", name), err)
		}
		t.At = at.UTC()
	}
	if d.Monthly != nil {
		t.Monthly = d.Monthly.Day
	}
	return t, nil
}
