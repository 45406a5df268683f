package winhost

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
)

// Services that this Windows lacks are found in an ISO file by what the registry of the
// Windows in it says, and nothing of it is mounted.
func TestServiceCopiesOfAnImage(t *testing.T) {
	h := open(t)
	var gone []string
	var services []hosttest.HiveKey
	for _, name := range []string{"wuauserv", "bits", "UsoSvc", "DoSvc", "WaaSMedicSvc"} {
		if _, err := h.Service(t.Context(), name); errors.Is(err, host.ErrNotExist) {
			gone = append(gone, name)
		}
		services = append(services, hosttest.HiveKey{
			Name: name, Values: []hosttest.Value{{Name: "Type", Number: 0x20}, {Name: "Start", Number: 3}, {Name: "ImagePath", Text: `%systemroot%\system32\svchost.exe -k netsvcs`}},
			Keys: []hosttest.HiveKey{{Name: "Parameters", Values: []hosttest.Value{{Name: "ServiceDll", Text: `%systemroot%\system32\kernel32.dll`}}}},
		})
	}
	if len(gone) == 0 {
		t.Skip("this Windows has every service of updating")
	}
	hive := hosttest.Hive(hosttest.HiveKey{Keys: []hosttest.HiveKey{
		{Name: "Select", Values: []hosttest.Value{{Name: "Current", Number: 1}}},
		{Name: "ControlSet001", Keys: []hosttest.HiveKey{{Name: "Services", Keys: services}}},
	}})
	disc := lab.MediaSpec{Editions: []string{"Core", "Professional"}, Language: "en-US", Build: "22631.2861"}.Disc(lab.Packed{Name: `Windows\System32\config\SYSTEM`, Data: hive})
	iso := filepath.Join(t.TempDir(), "windows.iso")
	if err := os.WriteFile(iso, disc, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := h.Ask(t.Context(), host.Question{Name: host.AskServiceCopies, Args: map[string]string{"path": iso, "index": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	var found host.ServiceCopies
	if err := json.Unmarshal(a.JSON, &found); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range found.Copies {
		names = append(names, c.Name)
		if c.From != iso+`\sources\install.wim, 2` || !c.Image || c.Build != "22631" || !c.Here {
			t.Errorf("%+v", c)
		}
	}
	if slices.Sort(gone); !slices.Equal(slices.Sorted(slices.Values(names)), gone) {
		t.Errorf("found %v of %v; not seen: %v", names, gone, found.Unseen)
	}
	if _, err := h.Ask(t.Context(), host.Question{Name: host.AskServiceCopies, Args: map[string]string{"path": iso, "index": "3"}}); !errors.Is(err, host.ErrNoImage) {
		t.Errorf("an index that there is not: %v", err)
	}
}
