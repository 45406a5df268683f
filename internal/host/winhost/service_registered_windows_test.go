package winhost

import (
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

func TestTriggerLayout(t *testing.T) {
	// learn.microsoft.com: winsvc.h, on processors of 64 bits.
	for what, got := range map[string][2]uintptr{
		"SERVICE_TRIGGER_INFO":               {unsafe.Sizeof(triggerInfo{}), 24},
		"SERVICE_TRIGGER":                    {unsafe.Sizeof(trigger{}), 32},
		"SERVICE_TRIGGER_SPECIFIC_DATA_ITEM": {unsafe.Sizeof(triggerData{}), 16},
		"SERVICE_TRIGGER.pTriggerSubtype at": {unsafe.Offsetof(trigger{}.subtype), 8},
		"SERVICE_TRIGGER.pDataItems at":      {unsafe.Offsetof(trigger{}.data), 24},
		"SERVICE_TRIGGER_INFO.pTriggers at":  {unsafe.Offsetof(triggerInfo{}.triggers), 8},
		"SERVICE_TRIGGER_SPECIFIC.pData at":  {unsafe.Offsetof(triggerData{}.data), 8},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, want %d", what, got[0], got[1])
		}
	}
}

// triggersKnown reports whether the service control manager has triggers at all.
func triggersKnown(t *testing.T, name string) bool {
	t.Helper()
	s, err := openService(name, windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		t.Fatal(err)
	}
	defer closeService(s)
	_, err = readTriggers(s)
	if is(err, windows.ERROR_INVALID_LEVEL) {
		return false
	}
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// TestTriggersOfServices: what the service control manager says starts and stops a
// service is what stands in its database.
func TestTriggersOfServices(t *testing.T) {
	if !triggersKnown(t, "MSIServer") {
		t.Skip("NOT RUN: the service control manager of Wine knows no triggers (ERROR_INVALID_LEVEL)")
	}
	h := live(t)
	for _, name := range []string{"wuauserv", "W32Time", "wlidsvc", "AppIDSvc", "DoSvc"} {
		s, err := openService(name, windows.SERVICE_QUERY_CONFIG)
		if errors.Is(err, host.ErrNotExist) || errors.Is(err, host.ErrDenied) {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said, err := readTriggers(s)
		closeService(s)
		stands, kerr := host.ReadTriggers(`HKLM\SYSTEM\CurrentControlSet\Services\`+name, func(p string) (host.Key, error) { return h.Key(t.Context(), p) })
		if err := errors.Join(err, kerr); err != nil || !host.SameTriggers(said, stands) {
			t.Errorf("%s: %+v, in the registry %+v, %v", name, said, stands, err)
		}
	}
}

// TestTriggerStructures: what is said to the service control manager is what is read of
// what it says.
func TestTriggerStructures(t *testing.T) {
	want := []host.Trigger{
		{Type: 5, Action: 1, Subtype: "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0"},
		{Type: 6, Action: 1, Subtype: "bc90d167-9470-4139-a9ba-be0bbbf5b74d", Data: []host.TriggerData{{Type: 2, Data: []byte("A\x00\x00\x00")}, {Type: 1, Data: []byte{0xFF, 0}}}},
		{Type: 3, Action: 2, Subtype: "ddaf516e-58c2-4866-9574-c3b615d42ea1"},
	}
	for n := range len(want) + 1 {
		info, err := triggerInfoOf(want[:n])
		if err != nil || !host.SameTriggers(triggersOf(info), want[:n]) {
			t.Errorf("%+v, %v; want %+v", triggersOf(info), err, want[:n])
		}
	}
	if _, err := triggerInfoOf([]host.Trigger{{Subtype: "none"}}); err == nil {
		t.Error("no GUID, and no error")
	}
}

// TestNeedsText: services come first, groups behind them.
func TestNeedsText(t *testing.T) {
	for _, tt := range []struct{ said, want []string }{
		{nil, nil},
		{[]string{"RpcSs"}, []string{"RpcSs"}},
		{[]string{"EventLog", "+TDI", "Größe"}, []string{"EventLog", "Größe", "+TDI"}},
	} {
		u, err := multiText(tt.said)
		if err != nil {
			t.Fatal(err)
		}
		for _, first := range []*uint16{unsafe.SliceData(u), unsafe.SliceData(append(u, 0))} {
			if got := needsOf(&windows.QUERY_SERVICE_CONFIG{Dependencies: first}); !host.SameNeeds(got, tt.want) || got == nil {
				t.Errorf("%q: %q, want %q", tt.said, got, tt.want)
			}
		}
	}
}

// TestNeeds: what a service needs is what stands in the database of the services.
func TestNeeds(t *testing.T) {
	if onWine() {
		t.Skip("NOT RUN: QueryServiceConfig, ChangeServiceConfig: Wine tells and keeps no dependencies")
	}
	h := live(t)
	for _, name := range []string{"wuauserv", "bits", "cryptsvc"} {
		s, err := h.Service(t.Context(), name)
		stands, kerr := host.ReadNeeds(`HKLM\SYSTEM\CurrentControlSet\Services\`+name, func(p string) (host.Key, error) { return h.Key(t.Context(), p) })
		if err := errors.Join(err, kerr); err != nil || !host.SameNeeds(s.Needs, stands) {
			t.Errorf("%s needs %q, in the registry %q, %v", name, s.Needs, stands, err)
		}
	}
}
