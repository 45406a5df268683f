//go:build !windows

package main

import (
	"context"

	"updoc/internal/cli"
)

// Only Windows loads the registry of another one.
var offline func(ctx context.Context, dir string) (cli.OfflineHost, func() error, error)
