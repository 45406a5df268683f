package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the loader of a DLL reads: the header, one section, and an export whose
// address lies inside of the export directory, which makes it a forwarder.
func TestForwarder(t *testing.T) {
	const name, function, target = "bcryptprimitives.dll", "ProcessPrng", "ADVAPI32.SystemFunction036"
	f, err := pe.NewFile(bytes.NewReader(forwarder(name, function, target)))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || f.Characteristics&pe.IMAGE_FILE_DLL == 0 || len(f.Sections) != 1 {
		t.Errorf("header %+v", f.FileHeader)
	}
	opt := f.OptionalHeader.(*pe.OptionalHeader64)
	exports := opt.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT]
	b, err := f.Sections[0].Data()
	if err != nil {
		t.Fatal(err)
	}
	at := func(off uint32) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	text := func(rva uint32) string {
		s, _, _ := strings.Cut(string(b[rva-exports.VirtualAddress:]), "\x00")
		return s
	}
	forward := at(at(28) - exports.VirtualAddress)
	if got := text(at(12)); got != name {
		t.Errorf("the DLL is called %q", got)
	}
	if got := text(at(at(32) - exports.VirtualAddress)); got != function {
		t.Errorf("it exports %q", got)
	}
	if got := text(forward); got != target {
		t.Errorf("which is forwarded to %q", got)
	}
	if forward < exports.VirtualAddress || forward >= exports.VirtualAddress+exports.Size {
		t.Errorf("%#x is outside of the export directory: no forwarder but an address", forward)
	}
}

// The line that is changed is there in the Go that is installed, and only once; in
// another one it is an error and no silence.
func TestPatch(t *testing.T) {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("Go's sources are not here: %v", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(deleteFile)))
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch(source)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(patched, []byte(instead)) || len(patched) != len(source)+len(instead)-len(anchor) {
		t.Error("more, or less, than the one line was changed")
	}
	for _, other := range []string{"package windows", anchor + "\n" + anchor} {
		if _, err := patch([]byte(other)); err == nil {
			t.Errorf("%q was taken for Go's file", other)
		}
	}
}
