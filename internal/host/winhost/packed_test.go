package winhost

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/winlog"
)

const packedLine = "2031-02-03 04:05:06, Error                 CBS    Failed to perform operation.  [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n"

// closing remembers that it was closed.
type closing struct {
	*bytes.Reader
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func TestPacked(t *testing.T) {
	log := strings.Repeat(packedLine, 1000)
	b := lab.Cabinet(lab.Packed{Name: "CbsPersist_20310203040506.log", Data: []byte(log)})
	at := host.File{Path: "C:/Windows/Logs/CBS/CbsPersist_20310203040506.cab", Size: int64(len(b))}
	f, err := packedFile(at, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if f.Path != at.Path+"/CbsPersist_20310203040506.log" || f.Size != int64(len(log)) || f.Kind != winlog.CBS {
		t.Errorf("%+v", f)
	}
	if cabinet, ok := cabinetOf(f.Path); !ok || cabinet != at.Path {
		t.Errorf("it lies in %q, %t", cabinet, ok)
	}
	src := &closing{Reader: bytes.NewReader(b)}
	rc, err := openPacked(src, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil || string(got) != log || src.closed != 1 {
		t.Errorf("%d bytes of %d, %v; closed %d times", len(got), len(log), err, src.closed)
	}
}

// What is no log alone in its cabinet is not read, and nothing stays open.
func TestPackedRefused(t *testing.T) {
	one := lab.Packed{Name: "CbsPersist_1.log", Data: []byte(packedLine)}
	for name, b := range map[string][]byte{
		"no cabinet":      []byte("2031-02-03 04:05:06, Info"),
		"nothing":         nil,
		"cut off":         lab.Cabinet(one)[:30],
		"two logs":        lab.Cabinet(one, lab.Packed{Name: "CbsPersist_2.log", Data: one.Data}),
		"a program":       lab.Cabinet(lab.Packed{Name: "payload.dll", Data: append([]byte("MZ\x90\x00"), make([]byte, 300)...)}),
		"a way out of it": lab.Cabinet(lab.Packed{Name: `..\..\CBS.log`, Data: one.Data}),
		"a folder in it":  lab.Cabinet(lab.Packed{Name: `x\CBS.log`, Data: one.Data}),
		"a cabinet in it": lab.Cabinet(lab.Packed{Name: "CbsPersist_1.log", Data: lab.Cabinet(one)}),
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := packedFile(host.File{Path: "C:/x.cab", Size: int64(len(b))}, bytes.NewReader(b)); err == nil {
				t.Errorf("listed as %+v", f)
			}
		})
	}
	// A table that promises more than is unpacked.
	huge := lab.Cabinet(one)
	huge[36+8], huge[36+9], huge[36+10], huge[36+11] = 0xff, 0xff, 0xff, 0x7f
	src := &closing{Reader: bytes.NewReader(huge)}
	if _, err := openPacked(src, int64(len(huge))); err == nil || src.closed != 1 {
		t.Errorf("%v; closed %d times", err, src.closed)
	}
}

func FuzzPacked(f *testing.F) {
	f.Add(lab.Cabinet(lab.Packed{Name: "CbsPersist_1.log", Data: []byte(packedLine)}))
	f.Add([]byte("MSCF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := packedFile(host.File{Path: "C:/x.cab", Size: int64(len(b))}, bytes.NewReader(b))
		if err != nil {
			return
		}
		if file.Size > maxPacked || strings.Contains(strings.TrimPrefix(file.Path, "C:/x.cab/"), "/") {
			t.Errorf("%+v", file)
		}
		rc, err := openPacked(&closing{Reader: bytes.NewReader(b)}, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := io.Copy(io.Discard, rc); n > file.Size {
			t.Errorf("%d bytes of %d", n, file.Size)
		}
		_ = rc.Close()
	})
}
