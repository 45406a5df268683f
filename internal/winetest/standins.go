package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// tools are the console tools of Windows that Wine has not, or of which it has a
// program that does nothing and reports success.
var tools = []string{
	"bitsadmin", "chkdsk", "dism", "gpupdate", "reagentc", "schtasks", "sfc", "usoclient", "w32tm", "wsreset", "msdt",
}

// standins builds the program that stands in for them and puts it where they
// stand. Go's own cache makes that a second when nothing changed.
func (b *bed) standins(ctx context.Context, system string) error {
	exe := filepath.Join(b.dir, "standin.exe")
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", exe, "updoc/internal/winetest/standin")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	for _, t := range tools {
		p := filepath.Join(system, t+".exe")
		// Wine's own may be a link into its installation: it is replaced, not written to.
		if err := os.Remove(p); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(p, program, 0o755); err != nil {
			return err
		}
	}
	return nil
}
