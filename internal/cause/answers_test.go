package cause

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// answering is a machine of files that answers some questions.
type answering struct {
	*host.Recorded
	answers map[string]any
}

func (a answering) Ask(_ context.Context, q host.Question) (host.Answer, error) {
	v, ok := a.answers[q.Name]
	if !ok {
		return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, host.ErrNotRecorded)
	}
	b, err := json.Marshal(v)
	return host.Answer{JSON: b, Source: "live " + q.Name}, err
}

// asked reads a machine of some files that answers some questions.
func asked(t *testing.T, files map[string]string, answers map[string]any) *facts.Facts {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	r, err := host.OpenFS(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return facts.Collect(t.Context(), answering{r, answers}, facts.Options{})
}

func event(code string) string {
	return "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t" + code +
		"\tUpdateOrchestrator\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect with error 0x" + code + ".\r\n"
}

// What a machine answers of itself is evidence: for a cause where it is out of order,
// and none or against it where it is as it should be.
func TestAnswers(t *testing.T) {
	const (
		cutOff = "80072efd" // could not connect
		held   = "80070020" // a file is in use
		noRoom = "80070070"
		wsus   = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"WUServer\"=\"http://wsus1.fourthcoffee.example:8530\"\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\"UseWUServer\"=dword:00000001\r\n"
		gb     = 1 << 30
	)
	home := host.FirewallProfile{Name: "private", Active: true, Enabled: true}
	blocks := host.FirewallRule{Name: "{1}", Display: "no telemetry", Program: `C:\Windows\System32\svchost.exe`, Protocol: 6, Ports: "80,443", Profiles: 0x7FFFFFFF}
	firewall := func(rules []host.FirewallRule, profiles ...host.FirewallProfile) map[string]any {
		return map[string]any{host.AskFirewall: host.Firewall{Profiles: profiles, Blocking: rules, Rules: 400, Service: 4, By: "com"}}
	}
	other := blocks
	other.Program = `C:\Games\game.exe`
	public := blocks
	public.Profiles = 4
	delivery := blocks
	delivery.Service = "DoSvc"
	off := home
	off.Enabled = false
	closed := home
	closed.BlockOutbound = true
	policy := blocks
	policy.Policy = true

	products := func(list ...host.SecurityProduct) map[string]any {
		return map[string]any{host.AskSecurity: host.SecurityProducts{Products: list}}
	}
	defender := host.SecurityProduct{Kind: "antivirus", Name: "Windows Defender", On: true, Defender: true}
	foreign := host.SecurityProduct{Kind: "antivirus", Name: "Fabrikam Shield", On: true}
	wall := host.SecurityProduct{Kind: "firewall", Name: "Fabrikam Wall", On: true}
	volumes := func(free, boot, recovery int64) map[string]any {
		return map[string]any{host.AskVolumes: host.Volumes{System: "C:", Volumes: []host.Volume{
			{Paths: []string{`C:\`}, Drive: 3, Size: 256 * gb, Free: free, Role: host.RoleBasic},
			{Paths: []string{`D:\`}, Drive: 3, Size: 256 * gb, Free: 0, Role: host.RoleBasic},
			{Drive: 3, Size: 100 << 20, Free: boot, Role: host.RoleEFI},
			{Drive: 3, Size: 500 << 20, Free: recovery, Role: host.RoleRecovery},
			{Drive: 5, Size: gb, Free: 0, Role: host.RoleRecovery}, // a DVD
		}}}
	}
	no, yes := false, true
	management := func(m host.Management) map[string]any { return map[string]any{host.AskManagement: m} }

	for name, tt := range map[string]struct {
		code    string
		files   map[string]string
		answers map[string]any
		cause   string
		weight  Weight // 0: it says nothing
		against bool
		seen    string
		cure    string
	}{
		"a rule blocks all services":       {cutOff, nil, firewall([]host.FirewallRule{blocks}, home), "firewall-block", Conclusive, false, "no telemetry", "disable-blocking-firewall-rules"},
		"the same, and nothing failed yet": {"", nil, firewall([]host.FirewallRule{blocks}, home), "firewall-block", Strong, false, "no telemetry", ""},
		"a rule of a policy":               {cutOff, nil, firewall([]host.FirewallRule{policy}, home), "firewall-block", Conclusive, false, "no telemetry", "tell-network-allow-update-hosts"},
		"a rule against one service":       {cutOff, nil, firewall([]host.FirewallRule{delivery}, home), "firewall-block", Moderate, false, "DoSvc", ""},
		"a rule against a game":            {cutOff, nil, firewall([]host.FirewallRule{other}, home), "firewall-block", 0, false, "", ""},
		"a rule of another profile":        {cutOff, nil, firewall([]host.FirewallRule{public}, home), "firewall-block", 0, false, "", ""},
		"a rule, and the firewall is off":  {cutOff, nil, firewall([]host.FirewallRule{blocks}, off), "firewall-block", 0, false, "", ""},
		"closed by default":                {cutOff, nil, firewall(nil, closed), "firewall-block", Strong, false, "private profile", "disable-blocking-firewall-rules"},
		"another firewall":                 {cutOff, nil, products(wall), "firewall-block", Moderate, false, "Fabrikam Wall", "test-without-third-party-firewall"},
		"another firewall, a full disk":    {noRoom, nil, products(wall), "firewall-block", Weak, false, "Fabrikam Wall", ""},
		"another antivirus, a held file":   {held, nil, products(defender, foreign), "third-party-antivirus", Moderate, false, "Fabrikam Shield", ""},
		"another antivirus":                {cutOff, nil, products(foreign), "third-party-antivirus", Weak, false, "Fabrikam Shield", ""},
		"Defender alone":                   {held, nil, products(defender), "third-party-antivirus", Weak, true, "no antivirus but", ""},
		"no room":                          {noRoom, nil, volumes(100<<20, 50<<20, 300<<20), "disk-full-system", Strong, false, "100 MB are free on C:", ""},
		"little room":                      {noRoom, nil, volumes(3*gb, 50<<20, 300<<20), "disk-full-system", Moderate, false, "3072 MB", ""},
		"room enough":                      {cutOff, nil, volumes(100*gb, 50<<20, 300<<20), "disk-full-system", Moderate, true, "100 GB", ""},
		"room enough, it says it is full":  {noRoom, nil, volumes(100*gb, 50<<20, 300<<20), "disk-full-system", 0, false, "", ""},
		"no room to start from":            {noRoom, nil, volumes(100*gb, 2<<20, 300<<20), "disk-full-esp-srp", Strong, false, "2048 KB are free in the efi partition", ""},
		"no room to start from, no matter": {cutOff, nil, volumes(100*gb, 2<<20, 300<<20), "disk-full-esp-srp", Weak, false, "2048 KB", ""},
		"recovery is small": {
			"80070643",
			map[string]string{"note.txt": "KB5034441 fails with 0x80070643 every time.\r\n"},
			volumes(100*gb, 50<<20, 80<<20), "wre-partition-too-small", Strong, false, "80 MB are free in the recovery partition of 500 MB", "",
		},
		"recovery is small, no matter": {cutOff, nil, volumes(100*gb, 50<<20, 80<<20), "wre-partition-too-small", 0, false, "", ""},
		"recovery has room":            {"80070643", nil, volumes(100*gb, 50<<20, 300<<20), "wre-partition-too-small", Moderate, true, "300 MB", ""},
		"operations wait":              {"800f0806", nil, map[string]any{host.AskRestart: host.PendingRestart{Servicing: true, PendingXML: true}}, "pending-operations-stuck", Moderate, false, "pending.xml", ""},
		"nothing waits":                {cutOff, nil, map[string]any{host.AskRestart: host.PendingRestart{}}, "pending-operations-stuck", Weak, true, "nothing of servicing", ""},
		"a server of nobody":           {cutOff, map[string]string{"wu.reg": wsus}, management(host.Management{Joined: "workgroup", ConfigMgr: &no}), "wsus-policy-stale", Strong, false, "nobody manages this machine", "remove-stale-wsus-policy"},
		"a tool is installed":          {"80070422", nil, management(host.Management{Joined: "workgroup", Tools: []string{"Winaero Tweaker 1.62"}}), "blocker-tool", Weak, false, "Winaero Tweaker", ""},
		"and nobody else set a policy": {"80070422", nil, management(host.Management{Joined: "workgroup", Tools: []string{"Winaero Tweaker 1.62"}, Owners: []host.Owned{{Name: "NoAutoUpdate", Owner: host.OwnerTool}}}), "blocker-tool", Moderate, false, "Winaero Tweaker", ""},
		"a server of a domain":         {cutOff, map[string]string{"wu.reg": wsus}, management(host.Management{Joined: "domain", Name: "FOURTHCOFFEE", ConfigMgr: &no}), "wsus-policy-stale", 0, false, "", ""},
		"a server of ConfigMgr":        {cutOff, map[string]string{"wu.reg": wsus}, management(host.Management{Joined: "workgroup", ConfigMgr: &yes}), "wsus-policy-stale", 0, false, "", ""},
		"a server, and nobody looked":  {cutOff, map[string]string{"wu.reg": wsus}, management(host.Management{Joined: "workgroup"}), "wsus-policy-stale", 0, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for k, v := range tt.files {
				files[k] = v
			}
			if tt.code != "" {
				files["ReportingEvents.log"] = event(tt.code)
			} else {
				files["ReportingEvents.log"] = ""
				files["notes.txt"] = "nothing yet\r\n"
			}
			d := Diagnose(asked(t, files, tt.answers))
			i := slices.IndexFunc(d.Findings, func(f Finding) bool { return f.ID == tt.cause })
			if i < 0 {
				t.Fatalf("no %s", tt.cause)
			}
			f := d.Findings[i]
			var got []Evidence
			for _, e := range f.Evidence {
				if strings.HasPrefix(e.Source, "live ") || strings.Contains(e.Seen, "nobody manages") {
					got = append(got, e)
				}
			}
			if tt.weight == 0 {
				if len(got) > 0 {
					t.Errorf("says %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Weight != tt.weight || got[0].For == tt.against || !strings.Contains(got[0].Seen, tt.seen) {
				t.Errorf("says %+v, want %v %q", got, tt.weight, tt.seen)
			}
			if tt.cure != "" && (len(f.Cures) == 0 || f.CureOrder()[0] != tt.cure) {
				t.Errorf("cures %v, want %s first", f.CureOrder(), tt.cure)
			}
		})
	}
}

// Who manages a machine is who is told.
func TestManaged(t *testing.T) {
	no := false
	for name, tt := range map[string]struct {
		m     host.Management
		who   string
		known bool
	}{
		"a value of the domain's": {host.Management{Joined: "workgroup", Owners: []host.Owned{{Name: "WUServer", Owner: host.OwnerDomain}}}, "WUServer belongs to domain", true},
		"a value of nobody's":     {host.Management{Joined: "workgroup", ConfigMgr: &no, Owners: []host.Owned{{Name: "WUServer", Owner: host.OwnerNobody}}}, "", true},
		"enrolled":                {host.Management{Joined: "workgroup", ConfigMgr: &no, Enrolled: []host.Enrollment{{Provider: "MS DM Server", State: 1}}}, "it is enrolled with MS DM Server", true},
		"was enrolled once":       {host.Management{Joined: "unjoined", ConfigMgr: &no, Enrolled: []host.Enrollment{{Provider: "MS DM Server", State: 3}}}, "", true},
		"unknown":                 {host.Management{Joined: "unknown", ConfigMgr: &no}, "", false},
		"not looked at":           {host.Management{Joined: "workgroup", ConfigMgr: &no, Unseen: []host.Unseen{{Part: "owners"}}}, "", false},
	} {
		l := &look{Facts: &facts.Facts{Answers: facts.Answers{Management: facts.Fact[host.Management]{State: facts.Present, Value: tt.m}}}}
		if who, known := l.managed(); who != tt.who || known != tt.known {
			t.Errorf("%s: %q, %t, want %q, %t", name, who, known, tt.who, tt.known)
		}
	}
	if who, known := (&look{Facts: &facts.Facts{}}).managed(); who != "" || known {
		t.Errorf("nobody was asked: %q, %t", who, known)
	}
}
