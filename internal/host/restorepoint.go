package host

import "context"

// RestorePoints is what a machine may be able to do beside being changed: it keeps how
// its system files and registry are now, as one of the points that System Restore
// lists. A point is a person's last resort and takes nothing back by itself; no undo
// counts on it.
type RestorePoints interface {
	// RestorePoint asks for a point of that name and reports what became of it: a point is
	// there only if the list has a new number. Windows says yes and makes none where it
	// made one in the last 24 hours (learn.microsoft.com: "Calling SRSetRestorePoint",
	// SystemRestorePointCreationFrequency). [ErrNotExist] says that this Windows has no
	// System Restore, as servers; other errors that it could not be done, as where it is
	// switched off.
	RestorePoint(ctx context.Context, name string) (RestorePoint, error)
}

// RestorePoint is what became of the wish for one.
type RestorePoint struct {
	Sequence uint32 `json:"sequence"` // of the newest point that there is; 0: none
	New      bool   `json:"new"`      // that one was made now
}

// Made compares the numbers of the points that were there before with those that are
// there now, and tells what came of it.
func Made(before, now []uint32) RestorePoint {
	var old, newest uint32
	for _, n := range before {
		old = max(old, n)
	}
	for _, n := range now {
		newest = max(newest, n)
	}
	return RestorePoint{Sequence: newest, New: newest > old}
}
