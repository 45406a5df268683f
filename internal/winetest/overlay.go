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

// shim is a change of one line of Go's standard library that Wine 8 needs.
type shim struct {
	file    string
	anchor  string // as often as it says
	instead string
	times   int
}

var shims = []shim{
	// Go deletes files by FileDispositionInformationEx and does it the old way where
	// Windows says that it does not know that. Wine says STATUS_NOT_IMPLEMENTED, which
	// no Windows does.
	{
		"src/internal/syscall/windows/at_windows.go",
		"case STATUS_INVALID_INFO_CLASS,", "case NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,", 1,
	},
	// Go keeps UDP sockets from hearing of ports and nets that cannot be reached. Wine
	// knows the first such option alone; to the second it says WSAEOPNOTSUPP.
	{
		"src/net/fd_windows.go",
		"if err != nil {\n\t\t\treturn wrapSyscallError(\"wsaioctl\", err)", "if err != nil && err != syscall.Errno(10045) {\n\t\t\treturn wrapSyscallError(\"wsaioctl\", err)", 2,
	},
}

// patch makes the change.
func (s shim) patch(source []byte) ([]byte, error) {
	if n := bytes.Count(source, []byte(s.anchor)); n != s.times {
		return nil, fmt.Errorf("%s: %q stands there %d times, want %d: this Go is another one", s.file, s.anchor, n, s.times)
	}
	return bytes.ReplaceAll(source, []byte(s.anchor), []byte(s.instead)), nil
}

// writeOverlay writes what go's -overlay wants. What Go compiles is told apart by its
// content, and so the standard library is compiled once and not in each run.
func writeOverlay(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	replace := map[string]string{}
	for i, s := range shims {
		original := filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(s.file))
		source, err := os.ReadFile(original)
		if err != nil {
			return "", err
		}
		patched, err := s.patch(source)
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(dir, fmt.Sprintf("shim%d_windows.go", i))
		if err := os.WriteFile(replace[original], patched, 0o644); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	list := filepath.Join(dir, "overlay.json")
	return list, errors.Join(err, os.WriteFile(list, b, 0o644))
}
