package winhost

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows"
)

// Restart restarts Windows for a person who asked for it. Programs are asked to close
// and may say that something is not saved: nothing is forced.
// learn.microsoft.com: "ExitWindowsEx", EWX_REBOOT and EWX_RESTARTAPPS;
// "System Shutdown Reason Codes".
func (h *Host) Restart(context.Context) error {
	const (
		restartApps = 0x00000040 // EWX_RESTARTAPPS: those that registered for it come back
		reason      = 0x80020003 // planned, operating system, upgrade or service
	)
	err := withPrivileges(func() error {
		return windows.ExitWindowsEx(windows.EWX_REBOOT|restartApps, reason)
	}, "SeShutdownPrivilege")
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return nil
}
