package lab_test

import (
	"testing"

	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/winlog"
)

const healthyKey = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`

func TestMachineIsAHost(t *testing.T) {
	_, m := newMachine(t, "treat-hosts-blocked")
	if _, err := m.Try(t.Context(), host.Attempt{Stage: "scan"}); err != nil { // it writes logs
		t.Fatal(err)
	}
	hosttest.Suite(t, m, hosttest.Fixture{
		Source: "lab",
		Files:  map[string]winlog.Kind{"WindowsUpdate.log": winlog.WindowsUpdate, "hosts": winlog.Hosts, "ReportingEvents.log": winlog.Reporting},
		Only:   true,
		Begin:  map[string]string{"hosts": "# Copyright (c) 1993-2009 Microsoft Corp.\r\n"},
		Values: []hosttest.Value{
			{Key: healthyKey + `\AU`, Name: "AUOptions", Number: 4},
			{Key: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, Name: "CurrentBuild", Text: "22631"},
			{Key: `HKLM\SYSTEM\CurrentControlSet\Services\wuauserv`, Name: "Start", Number: 3},
		},
		NoValues: []hosttest.Value{{Key: healthyKey, Name: "WUServer"}},
		Subkeys:  []hosttest.Value{{Key: healthyKey, Name: "AU"}, {Key: `HKLM`, Name: "SOFTWARE"}},
		NoKeys:   []string{healthyKey + `\Missing`, `HKLM\SOFTWARE\Nobody\Made\This`, `HKU\S-1-5-18\Software`},
		Services: map[string]host.Service{
			"wuauserv": {State: 4, Start: 3, Account: "LocalSystem", Binary: `C:\Windows\system32\svchost.exe -k netsvcs -p`},
			"cryptsvc": {State: 4, Start: 2},
		},
		NoServices:     []string{"nobody"},
		UnaskedAnswers: []string{"agent"},
	})
}

func changes() hosttest.Changes {
	return hosttest.Changes{
		Key: healthyKey, Folder: `C:\Windows\Temp`,
		Service: "wuauserv", Running: "DoSvc", NoService: "nobody", Make: true, Events: "wuauserv", Needs: "wuauserv",
		SDDL:   []string{"D:(A;;FA;;;SY)", "D:(A;;FA;;;SY)(A;;FR;;;BU)"},
		Rights: []string{"D:(A;;GA;;;SY)", "D:(A;;GA;;;SY)(A;;GR;;;BU)"},
		Switch: "ipv6/Ethernet", States: [2]string{"on", "off"},
	}
}

func TestMachineChanges(t *testing.T) {
	_, m := newMachine(t, "treat-hosts-blocked")
	before := snapshot(t, m)
	hosttest.ChangeSuite(t, m, changes())
	sameAfterUndo(t, before, snapshot(t, m))
}

// TestMachineChangesReopened: what was changed is there for the next process.
func TestMachineReopens(t *testing.T) {
	s, err := lab.Load("treat-services-disabled")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := lab.NewMachine(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	c := host.Change{Kind: host.ServiceStart, Path: "wuauserv", Start: &host.Start{Type: 2, Delayed: true}}
	if err := m.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err = lab.OpenMachine(dir); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	sameAfterUndo(t, before, snapshot(t, m))
	if ok, err := host.Holds(t.Context(), m, c); !ok || err != nil {
		t.Errorf("holds %v, %v", ok, err)
	}
	if out, err := m.Try(t.Context(), host.Attempt{Stage: "scan"}); err != nil || out.Result.Failed() {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := lab.OpenMachine(t.TempDir()); err == nil {
		t.Error("an empty folder is a machine")
	}
}

func TestMachineRehearsed(t *testing.T) {
	_, m := newMachine(t, "treat-hosts-blocked")
	may := changes()
	may.SDDL, may.Rights, may.Switch = nil, nil, "" // nobody recorded them
	before := snapshot(t, m)
	o := host.NewOverlay(m)
	o.Strict = true
	hosttest.ChangeSuite(t, o, may)
	sameAfterUndo(t, before, snapshot(t, m))
}
