package lab_test

import (
	"errors"
	"testing"

	"updoc/internal/host"
)

// A machine makes restore points, and a point is none of what an undo has to restore.
func TestMachineRestorePoint(t *testing.T) {
	_, m := newMachine(t, "treat-hosts-blocked")
	before := snapshot(t, m)
	for n := range uint32(2) {
		p, err := m.RestorePoint(t.Context(), "updoc test")
		if want := (host.RestorePoint{Sequence: n + 1, New: true}); err != nil || p != want {
			t.Errorf("%+v, %v, want %+v", p, err, want)
		}
	}
	sameAfterUndo(t, before, snapshot(t, m))
	var _ host.RestorePoints = m
	if _, err := m.Key(t.Context(), `HKLM\SYSTEM\Nothing`); !errors.Is(err, host.ErrNotExist) {
		t.Error(err)
	}
}
