package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// What an installation meets that earlier work left behind.
const (
	eFileMissing codes.HRESULT = 0x80070002
	eNotFound    codes.HRESULT = 0x80070490
)

// stumble is what of it is in the way, as CBS.log names it; "" is nothing.
// learn.microsoft.com: "Troubleshoot Windows Update Error 0x80070490",
// "Troubleshoot Windows Update error 0x80070002".
func (m *Machine) stumble() (what, symbol string, h codes.HRESULT) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.now.Registry
	const operations = cbsKey + `\DriverOperations`
	for _, queue := range r.subkeys(operations) {
		for _, name := range r.subkeys(operations + `\` + queue) {
			if _, ok := r.value(operations+`\`+queue+`\`+name, "Identity"); !ok {
				return "Failed reading Identity for driver operation sequenceID " + name, "ERROR_NOT_FOUND", eNotFound
			}
		}
	}
	for _, name := range r.subkeys(strings.TrimSuffix(servicesKey, `\`)) {
		if strings.HasPrefix(strings.ToLower(name), "clr_optimization_") && !m.exists(expand(r.text(servicesKey+name, "ImagePath"))) {
			return "Failed in StartService of " + name, "ERROR_FILE_NOT_FOUND", eFileMissing
		}
	}
	return "", "", 0
}

// large is how many bytes a file stands for: large-N.bin for N, any other for what
// it has.
func large(name string, size int64) int64 {
	text, ok := strings.CutPrefix(name, "large-")
	n, err := strconv.ParseInt(strings.TrimSuffix(text, filepath.Ext(text)), 10, 64)
	if !ok || err != nil {
		return size
	}
	return n
}

// free is how many bytes are free on C:, which large files take from.
func (m *Machine) free() int64 {
	n := m.number(setFree, 40<<30)
	_ = filepath.WalkDir(m.root(), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "large-") {
			n -= large(d.Name(), 0)
		}
		return nil
	})
	return n
}

// cleanup empties what Disk Cleanup's settings have marked under a number.
// learn.microsoft.com: "cleanmgr".
func (m *Machine) cleanup(line string) error {
	_, number, ok := strings.Cut(line, "/sagerun:")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return nil
	}
	const keyCaches = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\VolumeCaches`
	flag := fmt.Sprintf("StateFlags%04d", n)
	marked := func(name string) bool {
		return read(m, func(s *state) bool {
			v, _ := s.Registry.number(keyCaches+`\`+name, flag)
			return v == 2
		})
	}
	var errs []error
	for _, c := range []struct {
		name, folder string
		old          bool // only what nobody wrote to for a while
	}{
		{"Delivery Optimization Files", `C:\Windows\ServiceProfiles\NetworkService\AppData\Local\Microsoft\Windows\DeliveryOptimization\Cache`, false},
		{"Temporary Files", `C:\Windows\Temp`, true},
	} {
		if !marked(c.name) {
			continue
		}
		err := filepath.WalkDir(m.place(c.folder), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // no such cache is an empty one
			}
			info, err := d.Info()
			if err != nil || c.old && m.Now().Sub(info.ModTime()) < host.Unused {
				return nil
			}
			return os.Remove(name)
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
