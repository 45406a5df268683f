package main

import (
	"context"
	"path/filepath"

	"updoc/internal/cli"
	"updoc/internal/host/winhost"
	"updoc/internal/win"
)

// offline opens the Windows that stands in a folder and does not run. What its journals
// say is done, so they have to be an administrator's.
func offline(ctx context.Context, dir string) (cli.OfflineHost, func() error, error) {
	if err := win.CheckState(filepath.Join(dir, "ProgramData", "updoc")); err != nil {
		return nil, nil, err
	}
	h, done, err := winhost.OpenOffline(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return h, done, nil
}
