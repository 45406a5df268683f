package winhost

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

var _ host.Attendant = (*Host)(nil)

func attendant(t *testing.T) *Host {
	t.Helper()
	h, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestSchedule(t *testing.T) {
	h := attendant(t)
	if !h.Elevated() {
		t.Skip("needs an administrator")
	}
	if _, err := h.Scheduled(t.Context(), host.TaskResume); err == nil {
		t.Skip("updoc waits on this machine")
	}
	want := host.Task{
		Name: host.TaskResume, About: "A test of updoc's.", Program: `C:\ProgramData\updoc\updoc.exe`, Args: []string{"resume", "--at-start"},
		AtStart: true, At: time.Date(2131, 2, 3, 4, 5, 6, 0, time.UTC),
	}
	if err := h.Schedule(t.Context(), want); err != nil {
		if onWine() {
			t.Skipf("Wine has no Task Scheduler for automation: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Unschedule(t.Context(), host.TaskResume) })
	got, err := h.Scheduled(t.Context(), host.TaskResume)
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	for range 2 { // the second finds none
		if err := h.Unschedule(t.Context(), host.TaskResume); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.Scheduled(t.Context(), host.TaskResume); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestAwake(t *testing.T) {
	if got := unsafe.Sizeof(powerReason{}); unsafe.Sizeof(uintptr(0)) == 8 && got != 32 {
		t.Errorf("REASON_CONTEXT has %d bytes, want 32", got)
	}
	release, err := attendant(t).Awake("a test of updoc's")
	if err != nil {
		t.Fatal(err)
	}
	release()
	release, err = awakeThread()
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestNote(t *testing.T) {
	h := attendant(t)
	for _, level := range []host.Level{host.Info, host.Warning, host.Error} {
		if err := h.Note(t.Context(), host.Note{ID: host.NoteCheck, Level: level, Text: "A test of updoc's: " + strings.Repeat("x", 2*maxNote)}); err != nil {
			t.Error(level, err)
		}
	}
	for _, bad := range []host.Note{{ID: 1, Level: "loud", Text: "a"}, {ID: 1, Level: host.Info, Text: "a\x00b"}} {
		if h.Note(t.Context(), bad) == nil {
			t.Errorf("wrote %+v", bad)
		}
	}
}

func TestAttendAccount(t *testing.T) {
	sid, err := attendant(t).Account()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := windows.StringToSid(sid); err != nil || !strings.HasPrefix(sid, "S-1-5-") {
		t.Errorf("%q, %v", sid, err)
	}
}
