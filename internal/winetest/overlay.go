package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Go deletes files by FileDispositionInformationEx and does it the old way where
// Windows says that it does not know that. Wine 8 says STATUS_NOT_IMPLEMENTED,
// which no Windows does.
const (
	deleteFile = "src/internal/syscall/windows/at_windows.go"
	anchor     = "case STATUS_INVALID_INFO_CLASS,"
	instead    = "case NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,"
)

// patch adds Wine's answer to those that Go knows.
func patch(source []byte) ([]byte, error) {
	if n := bytes.Count(source, []byte(anchor)); n != 1 {
		return nil, fmt.Errorf("%s: %d lines with %q, want 1: this Go is another one", deleteFile, n, anchor)
	}
	return bytes.Replace(source, []byte(anchor), []byte(instead), 1), nil
}

// writeOverlay writes what go's -overlay wants. The patched file has a fixed place
// and so the same name in every run, or go would compile its standard library anew
// each time.
func writeOverlay(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(deleteFile))
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	patched, err := patch(source)
	if err != nil {
		return "", err
	}
	copied, list := filepath.Join(dir, "at_windows.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: copied}})
	return list, errors.Join(err, os.WriteFile(copied, patched, 0o644), os.WriteFile(list, replace, 0o644))
}
