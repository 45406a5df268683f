package route

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEndpointTable(t *testing.T) {
	table, err := endpointTable()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	server := false
	for _, e := range table {
		key := e.Host + " " + string(e.Direction)
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if e.Host != strings.ToLower(e.Host) || strings.Count(e.Host, "*") > 1 || strings.Contains(strings.TrimPrefix(e.Host, "*."), "*") {
			t.Errorf("%s: only *. at the beginning", e.Host)
		}
		if e.Purpose == "" || e.Source == "" {
			t.Errorf("%s: no purpose or source", e.Host)
		}
		if e.Direction != ByServer && server {
			t.Errorf("%s: rows of servers come last, so that lookups find the client's", e.Host)
		}
		server = server || e.Direction == ByServer
		if e.Inspect == InspectPlain && !slices.Contains(e.Ports, 80) {
			t.Errorf("%s: plain HTTP without port 80", e.Host)
		}
	}
	if len(table) < 60 {
		t.Errorf("%d rows", len(table))
	}
}

func TestEndpointOf(t *testing.T) {
	tests := []struct {
		name, want string
		role       Role
	}{
		{"slscr.update.microsoft.com", "slscr.update.microsoft.com", RoleVital},
		{"SLSCR.Update.Microsoft.com.", "slscr.update.microsoft.com", RoleVital},
		{"fe9.update.microsoft.com", "*.update.microsoft.com", RoleVital},
		{"update.microsoft.com", "*.update.microsoft.com", RoleVital},
		{"statsfe2.update.microsoft.com", "*.statsfe2.update.microsoft.com", RoleHelper},
		{"3.tlu.dl.delivery.mp.microsoft.com", "*.tlu.dl.delivery.mp.microsoft.com", RoleVital},
		{"dl.delivery.mp.microsoft.com", "*.dl.delivery.mp.microsoft.com", RoleVital},
		{"fe3cr.delivery.mp.microsoft.com", "fe3cr.delivery.mp.microsoft.com", RoleVital},
		{"geo.prod.do.dsp.mp.microsoft.com", "*.prod.do.dsp.mp.microsoft.com", RoleHelper},
		{"ctldl.windowsupdate.com", "ctldl.windowsupdate.com", RoleVital},
		{"au.download.windowsupdate.com.c.footprint.net", "*.download.windowsupdate.com", RoleVital},
		{"sls.update.microsoft.com.akadns.net", "sls.update.microsoft.com", RoleVital},
		{"x.update.microsoft.com.edgekey.net.akadns.net", "*.update.microsoft.com", RoleVital},
		{"sws.update.microsoft.com", "*.update.microsoft.com", RoleVital},
		{"wustat.windows.com", "wustat.windows.com", RoleHelper},
		{"catalog.update.microsoft.com", "catalog.update.microsoft.com", RoleOther},
		{"storeedgefd.dsx.mp.microsoft.com", "storeedgefd.dsx.mp.microsoft.com", RoleOther},
	}
	for _, tt := range tests {
		e, ok := EndpointOf(tt.name)
		if !ok || e.Host != tt.want || e.Role != tt.role {
			t.Errorf("EndpointOf(%q) = %s, %s, %v; want %s, %s", tt.name, e.Host, e.Role, ok, tt.want, tt.role)
		}
	}
	for _, name := range []string{"", ".", "com", "microsoft.com", "telemetry.microsoft.com", "notwindowsupdate.com", "windowsupdate.com.evil.example", "akadns.net", ".akadns.net", "wsus.fabrikam.example"} {
		if e, ok := EndpointOf(name); ok {
			t.Errorf("EndpointOf(%q) = %s", name, e.Host)
		}
	}
}

func TestAllowList(t *testing.T) {
	hosts := func(kind Allow) []string {
		var out []string
		for _, e := range AllowList(kind) {
			out = append(out, e.Host)
			if kind != AllowServer && (e.SignIn || e.Direction != ByClient) {
				t.Errorf("%s: %s wants a sign-in or is no client's", kind, e.Host)
			}
		}
		return out
	}
	want := []string{
		"*.delivery.mp.microsoft.com", "*.download.microsoft.com", "*.emdl.ws.microsoft.com", "*.update.microsoft.com",
		"*.windowsupdate.microsoft.com", "definitionupdates.microsoft.com", "*.windowsupdate.com", "adl.windows.com", "*.update.msft.com.trafficmanager.net",
	}
	got := hosts(AllowUpdates)
	slices.Sort(want)
	sorted := slices.Clone(got)
	slices.Sort(sorted)
	if d := cmp.Diff(want, sorted); d != "" {
		t.Errorf("updates (-want +got):\n%s", d)
	}
	for _, kind := range []Allow{AllowUpdates, AllowAll, AllowIntact, AllowRanges, AllowServer} {
		list := AllowList(kind)
		if len(list) == 0 {
			t.Errorf("%s is empty", kind)
		}
		for i, a := range list {
			for j, b := range list {
				if i != j && a.covers(b) {
					t.Errorf("%s: %s covers %s", kind, a.Host, b.Host)
				}
			}
		}
	}
	// Whatever the plan asks of Microsoft is let through by the list that is to let it through.
	for _, task := range (Settings{}).Plan(PlanOptions{}) {
		name := parseTarget(task.Request.URL).host
		kind := AllowAll
		if task.Vital {
			kind = AllowUpdates
		}
		if e, ok := EndpointOf(name); ok && e.Role == RoleOther {
			continue
		}
		if !slices.ContainsFunc(AllowList(kind), func(e Endpoint) bool { return e.matches(name) }) {
			t.Errorf("%s: %s is not in the list %s", task.ID, name, kind)
		}
	}
	if l := AllowList("nonsense"); l != nil {
		t.Errorf("%v", l)
	}
}

func TestParseEndpointsRefuses(t *testing.T) {
	row := "a.example\t80\tscan\tvital\tno\tno\tno\tclient\tx\ty\n"
	if l, err := parseEndpoints(endpointHead + "\n" + row); err != nil || len(l) != 1 {
		t.Fatalf("%v, %v", l, err)
	}
	for _, bad := range []string{"a\tb\n" + row, endpointHead + "\nshort\n"} {
		if _, err := parseEndpoints(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for i, v := range map[int]string{1: "80;443", 2: "sometimes", 3: "nice", 4: "maybe", 5: "perhaps", 6: "?", 7: "up"} {
		f := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		f[i] = v
		if _, err := parseEndpoints(endpointHead + "\n" + strings.Join(f, "\t")); err == nil {
			t.Errorf("column %d: %q was accepted", i, v)
		}
	}
}
