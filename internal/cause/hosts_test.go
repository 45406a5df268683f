package cause

import (
	"strings"
	"testing"

	"updoc/internal/facts"
	"updoc/internal/winlog"
)

func TestUpdateHostRole(t *testing.T) {
	tests := []struct {
		name string
		want hostRole
	}{
		{"fe2cr.update.microsoft.com", roleVital},
		{"FE3.Delivery.mp.Microsoft.com.", roleVital},
		{"ctldl.windowsupdate.com", roleVital},
		{"au.download.windowsupdate.com.c.footprint.net", roleVital},
		{"sls.update.microsoft.com.akadns.net", roleVital},
		{"3.tlu.dl.delivery.mp.microsoft.com.c.footprint.net", roleVital},
		{"adl.windows.com", roleVital},
		{"statsfe2.update.microsoft.com", roleHelper},
		{"statsfe2.update.microsoft.com.akadns.net", roleHelper},
		{"geo.prod.do.dsp.mp.microsoft.com", roleHelper},
		{"telemetry.microsoft.com", roleNone},
		{"notwindowsupdate.com", roleNone},
		{"windowsupdate.com.evil.example", roleNone},
		{"", roleNone},
	}
	for _, tt := range tests {
		if got := updateHostRole(tt.name); got != tt.want {
			t.Errorf("updateHostRole(%q) = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestHostsFileRule(t *testing.T) {
	tests := []struct {
		name, text string
		want       facts.State
		cure       bool
	}{
		{"clean", "127.0.0.1 localhost\n", facts.Unknown, false},
		{"telemetry only", "0.0.0.0 vortex.data.microsoft.com\n", facts.Unknown, false},
		{"reporting only", "0.0.0.0 statsfe2.update.microsoft.com\n", facts.Unknown, false},
		{"sunk", "0.0.0.0 slscr.update.microsoft.com\n", facts.Present, true},
		{"sunk v6", "::1 fe3cr.delivery.mp.microsoft.com\n", facts.Present, true},
		{"pinned", "198.51.100.20 fe2cr.update.microsoft.com\n", facts.Present, true},
		{"commented out", "# 0.0.0.0 slscr.update.microsoft.com\n", facts.Unknown, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := winlog.ReadHosts(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			f := &facts.Facts{}
			f.Hosts.State, f.Hosts.Source = facts.Present, "hosts"
			for _, e := range h.Entries {
				f.Hosts.Value = append(f.Hosts.Value, facts.HostsLine{HostsEntry: e, Source: "hosts"})
			}
			v := evidence(hostsFile)(f)
			if v.State != tt.want {
				t.Errorf("state %d, want %d; evidence %v", v.State, tt.want, v.Evidence)
			}
			if got := len(v.Cures) > 0; got != tt.cure {
				t.Errorf("cures %v", v.Cures)
			}
		})
	}
	if v := evidence(hostsFile)(&facts.Facts{}); len(v.Evidence) != 0 {
		t.Errorf("nobody looked, and yet: %v", v.Evidence)
	}
}
