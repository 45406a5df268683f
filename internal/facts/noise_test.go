package facts

import (
	"testing"

	"updoc/internal/winlog"
)

func TestNoise(t *testing.T) {
	n, err := loadNoise()
	if err != nil {
		t.Fatal(err)
	}
	if len(n) < 20 {
		t.Errorf("noise of %d codes", len(n))
	}
	for _, tt := range []struct {
		in    where
		code  uint32
		level winlog.Level
		text  string
		want  bool
	}{
		{inWU, 0x80248007, 0, "anything", true},
		{inCBS, 0x80248007, 0, "anything", false},                               // of another log
		{inWU, 0x80246007, 0, "IsCommitRequired failed", true},                  // letters of any case
		{inWU, 0x80246007, 0, "installing", false},                              // in some lines only
		{inCBS, 0x80070005, 0, "SQM: cannot upload", true},                      // any code in such a line
		{inCBS, 0x80070005, 0, "cannot open the key", false},                    //
		{inDISM | inCBS, 0x800F0805, 0, "in a log that quotes the other", true}, //
		{inCBS, 0x80070020, winlog.LevelInfo, "Failed to move the log", true},   // put off
		{inCBS, 0x80070020, winlog.LevelError, "Failed to move a file", false},  // the program calls it an error
		{inCBS, 0x80070490, winlog.LevelError, "SQM: no value", true},           // and is not always right
	} {
		rec := winlog.Record{Level: tt.level, Text: []byte(tt.text)}
		if got := n.is(tt.in, codeOf(tt.code), &rec); got != tt.want {
			t.Errorf("0x%08X in %q: noise %v, want %v", tt.code, tt.text, got, tt.want)
		}
	}
}

// Codes whose every sighting would be thrown away must not be ones that a person
// comes with: a code is noise by itself only in logs of those it is harmless in.
func TestNoiseNeverHidesEvents(t *testing.T) {
	n, err := loadNoise()
	if err != nil {
		t.Fatal(err)
	}
	for h, rows := range n {
		for _, r := range rows {
			if len(r.match) == 0 && r.in&(inEvent|inNote|inOutput|inReporting) != 0 {
				t.Errorf("%v is noise in events, reports or words of people", h)
			}
		}
	}
}
