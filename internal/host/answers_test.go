package host

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestQuestions(t *testing.T) {
	names := map[string]bool{}
	for _, q := range Questions() {
		if q.Name == "" || names[q.Name] {
			t.Errorf("%q twice or empty", q.Name)
		}
		names[q.Name] = true
		if slices.ContainsFunc([]rune(q.Name), func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) {
			t.Errorf("%q names no file", q.Name)
		}
	}
}

func TestTouchesUpdates(t *testing.T) {
	for _, tt := range []struct {
		rule string
		want bool
	}{
		{`{"protocol":256}`, true},
		{`{"protocol":6,"ports":"443"}`, true},
		{`{"protocol":6,"ports":"1-1024"}`, true},
		{`{"protocol":6,"ports":"25,8000-9000"}`, false},
		{`{"protocol":6,"ports":"81-442"}`, false},
		{`{"protocol":17,"ports":"443"}`, false},
		{`{"protocol":6,"program":"C:\\WINDOWS\\System32\\svchost.exe","service":"wuauserv","ports":"80,443"}`, true},
		{`{"protocol":6,"program":"C:\\Windows\\System32\\svchost.exe","service":"Spooler"}`, false},
		{`{"protocol":6,"program":"C:\\Program Files\\Game\\game.exe"}`, false},
		{`{"protocol":6,"remote":"192.0.2.7"}`, false},
		{`{"protocol":6,"ports":"99999999999999999999-"}`, false},
	} {
		var r FirewallRule
		if err := json.Unmarshal([]byte(tt.rule), &r); err != nil {
			t.Fatal(err)
		}
		if got := r.TouchesUpdates(); got != tt.want {
			t.Errorf("%s: %v", tt.rule, got)
		}
	}
}
