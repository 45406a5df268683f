package winhost

import (
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// wide is text as sfc writes it to a pipe.
func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// TestPaceLanguages: the same percent whatever the tool says around it, and in
// whatever encoding.
func TestPaceLanguages(t *testing.T) {
	none := func(b []byte) string { return string(b) }
	for name, said := range map[string][]byte{
		"English sfc":  wide("Beginning verification phase of system scan.\r\n\rVerification 11% complete.\rVerification 12% complete."),
		"German sfc":   wide("\rÜberprüfung 11 % abgeschlossen.\rÜberprüfung 12 % abgeschlossen."),
		"Japanese sfc": wide("\r検証 11% が完了しました。\r検証 12% が完了しました。"),
		"Turkish sfc":  wide("\rDoğrulama %11 tamamlandı.\rDoğrulama %12 tamamlandı."),
		"DISM":         []byte("\r\nVersion: 10.0.22631.1\r\n\r[=====                      10.0%                          ] \r[======                     12.0%                          ] "),
		"German DISM":  []byte("\r\n\r[======                     12,0%                          ] "),
	} {
		at := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
		p := newPace("sfc", at, 0)
		w := p.saw(at.Add(time.Minute), lastLine(consoleText(said, none)), 0, nil)
		if w.Percent != 12 || w.Elapsed != time.Minute || w.Left() == 0 {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

// TestPaceStall: it is said that nothing moves once neither the percent sign nor the
// log has; a log that grows is movement.
func TestPaceStall(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	p := newPace("dism", at, 100)
	const line = "[===== 62.3% ]"
	for _, step := range []struct {
		after time.Duration
		log   int64
		still time.Duration
	}{
		{time.Minute, 100, 0},
		{10 * time.Minute, 200, 0},                // the log grew
		{19 * time.Minute, 200, 0},                // nine minutes
		{20 * time.Minute, 200, 10 * time.Minute}, // ten
		{90 * time.Minute, 200, 80 * time.Minute}, // and on
		{91 * time.Minute, 50, 0},                 // begun anew
		{120 * time.Minute, 50, 29 * time.Minute}, // and again
	} {
		if w := p.saw(at.Add(step.after), line, step.log, nil); w.Still != step.still || w.Percent != 62.3 {
			t.Errorf("after %v: %+v, want still %v", step.after, w, step.still)
		}
	}
	if w := p.saw(at.Add(121*time.Minute), "[===== 62.4% ]", 50, nil); w.Still != 0 {
		t.Errorf("the percent sign moved: %+v", w)
	}
}

// TestPaceStages: the log says what the tool is at.
func TestPaceStages(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	p := newPace("dism", at, 0)
	for _, step := range []struct{ added, stage string }{
		{"Exec: Session processing started.  Client: Manual, Session(DISM Package Manager Provider Store Corruption Detect/Repair): 1_1\r\n", "store-packages"},
		{"nothing of that", "store-packages"},
		{"CSI    00000005 StoreCorruptionRepair transaction begun. WcpVersion", "store-components"},
		{"Repr: CSI Store check completes\r\nFC:   Calling Download on WUClient Acquirer\r\n", "store-download"},
		{"FC:   FCAcquirerWUClient: WULib DownloadProgress: [25 / 100]\r\n", "store-download"},
		{"Checking System Update Readiness.", "store-report"},
	} {
		if w := p.saw(at, "", 0, []byte(step.added)); w.Stage != step.stage {
			t.Errorf("%q: %s, want %s", step.added, w.Stage, step.stage)
		}
	}
	if s := stageOf("sfc", []byte("[SR] Verifying 100 components\r\n[SR] Repairing 2 components")); s != "files-repair" {
		t.Error(s)
	}
	if s := stageOf("chkdsk", []byte(strings.Repeat("[SR] Verifying ", 9))); s != "" {
		t.Error(s)
	}
}
