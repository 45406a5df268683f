package lab

import (
	"context"
	"fmt"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// setRestore says how System Restore is on a machine: "on" as shipped, "off" switched
// off, "none" as on a server, "recent" it made a point within the last day, and makes
// no other one while it says that it did.
const setRestore = "state/restore-points"

const eRestoreOff codes.HRESULT = 0x80070422

// RestorePoint implements [host.RestorePoints].
func (m *Machine) RestorePoint(ctx context.Context, name string) (host.RestorePoint, error) {
	if err := ctx.Err(); err != nil {
		return host.RestorePoint{}, err
	}
	m.act.Lock()
	defer m.act.Unlock()
	how, _ := m.setting(setRestore)
	switch how {
	case "none":
		return host.RestorePoint{}, fmt.Errorf("restore point: %w", host.ErrNotExist)
	case "off":
		return host.RestorePoint{}, fmt.Errorf("restore point: %w", eRestoreOff)
	}
	before := read(m, func(s *state) uint32 { return s.Points })
	if how != "recent" {
		if err := m.change(func(s *state) error { s.Points++; return nil }); err != nil {
			return host.RestorePoint{}, err
		}
	}
	return host.Made([]uint32{before}, []uint32{read(m, func(s *state) uint32 { return s.Points })}), nil
}
