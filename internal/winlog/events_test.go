package winlog

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventFields(t *testing.T) {
	tests := []struct {
		provider string
		id       uint32
		version  uint8
		want     []string
	}{
		{"Microsoft-Windows-WindowsUpdateClient", 20, 0, []string{"errorCode", "updateTitle", "updateGuid", "updateRevisionNumber"}},
		{"Microsoft-Windows-WindowsUpdateClient", 20, 1, []string{"errorCode", "updateTitle", "updateGuid", "updateRevisionNumber", "serviceGuid"}},
		{"microsoft-windows-windowsupdateclient", 20, 9, []string{"errorCode", "updateTitle", "updateGuid", "updateRevisionNumber", "serviceGuid"}},
		{"Microsoft-Windows-WindowsUpdateClient", 212, 0, []string{"updateTitle", "updateGuid", "updateRevisionNumber", "serviceGuid"}}, // only version 1 is known
		{"Microsoft-Windows-WindowsUpdateClient", 27, 0, nil},
		{"Service Control Manager", 7045, 0, []string{"ServiceName", "ImagePath", "ServiceType", "StartType", "AccountName"}},
		{"Service Control Manager", 7040, 0, []string{"param1", "param2", "param3", "param4"}},
		{"USER32", 1074, 0, []string{"param1", "param2", "param3", "param4", "param5", "param6", "param7"}},
		{"ESENT", 490, 0, []string{"process", "pid", "instance", "file", "error", "systemError", "systemMessage"}},
		{"EventLog", 6013, 0, []string{"param1", "param2", "param3", "param4", "uptime"}},
		{"Schannel", 36888, 0, []string{"AlertDesc", "ErrorState", "TargetName"}},
		{"Microsoft-Windows-Kernel-General", 1, 1, []string{"NewTime", "OldTime", "Reason"}},
		{"Nobody", 1, 0, nil},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, EventFields(tt.provider, tt.id, tt.version)); d != "" {
			t.Errorf("%s/%d v%d (-want +got):\n%s", tt.provider, tt.id, tt.version, d)
		}
	}
}

// TestEventTable checks that every row of the table can be found again, and that
// rows of an event rise in version, as the loader expects.
func TestEventTable(t *testing.T) {
	rows := 0
	last := map[eventKey]uint64{}
	for row := range strings.Lines(eventsTSV) {
		if strings.HasPrefix(row, "#") {
			continue
		}
		col := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		if len(col) != 6 {
			t.Fatalf("%d columns: %q", len(col), row)
		}
		id, err := strconv.ParseUint(col[2], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		version, err := strconv.ParseUint(col[3], 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		k := eventKey{strings.ToLower(col[0]), uint32(id)}
		if before, ok := last[k]; ok && version <= before {
			t.Errorf("%s: version %d after %d", row, version, before)
		}
		last[k] = version
		got := EventFields(col[0], uint32(id), uint8(version))
		if col[5] == "" && got != nil || col[5] != "" && len(got) != strings.Count(col[5], ",")+1 {
			t.Errorf("%q: fields %v", row, got)
		}
		if !knownProvider(col[0]) {
			t.Errorf("provider %s is not known", col[0])
		}
		rows++
	}
	if rows < 500 {
		t.Errorf("%d rows", rows)
	}
	for _, p := range []string{"", "Contoso", "#"} {
		if knownProvider(p) {
			t.Errorf("knownProvider(%q)", p)
		}
	}
}

func BenchmarkEventTable(b *testing.B) {
	eventIndex()
	b.ReportAllocs()
	for b.Loop() {
		if EventFields("ESENT", 490, 0) == nil {
			b.Fatal("unknown")
		}
	}
}
