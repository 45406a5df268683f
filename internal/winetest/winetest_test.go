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

// The lines that are changed are there in the Go that is installed, and no others; in
// another one it is an error and no silence.
func TestPatch(t *testing.T) {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("Go's sources are not here: %v", err)
	}
	for _, s := range shims {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(s.file)))
		if err != nil {
			t.Fatal(err)
		}
		patched, err := s.patch(source)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(patched, []byte(s.instead)) || len(patched) != len(source)+s.times*(len(s.instead)-len(s.anchor)) {
			t.Errorf("%s: more, or less, than that was changed", s.file)
		}
		for _, other := range []string{"package windows", strings.Repeat(s.anchor+"\n", s.times+1)} {
			if _, err := s.patch([]byte(other)); err == nil {
				t.Errorf("%q was taken for %s", other, s.file)
			}
		}
	}
}
