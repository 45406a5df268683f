//go:build unix

package pac

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// limit bounds this process by resource limits that it cannot raise again:
//
//   - RLIMIT_DATA counts what is mapped writable and private. RLIMIT_AS would
//     count address space, of which Go's runtime reserves more than a gigabyte and
//     touches little. Linux enforces it for mappings since 4.7; where a system does
//     not, the watch over the runtime's own figures remains.
//   - RLIMIT_CPU ends a child that loops where the engine cannot interrupt it and
//     whose parent is gone.
//   - No file is opened or written and no core is dumped.
func limit(memory int64, cpu time.Duration) error {
	seconds := uint64(cpu/time.Second) + 1
	for _, l := range []struct {
		resource int
		most     uint64
	}{
		{syscall.RLIMIT_DATA, uint64(dataSize() + hardMemory(memory) + shadow)},
		{syscall.RLIMIT_CPU, seconds},
		{syscall.RLIMIT_FSIZE, 0},
		{syscall.RLIMIT_CORE, 0},
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &now); err != nil {
			return os.NewSyscallError("getrlimit", err)
		}
		if most := rlim(l.most); most < now.Max {
			now.Max = most
		}
		now.Cur = now.Max
		if err := syscall.Setrlimit(l.resource, &now); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	return nil
}

// dataSize is what the process has mapped writable and private already, most of
// it the runtime's reserve and the program itself; 0 if the system does not say.
func dataSize() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmData:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

// prepare has nothing to do here.
func prepare(*exec.Cmd) {}

// processorTime is what this process has used of all processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that an ended process held at once, in bytes; 0 if the
// system does not say.
func peak(state *os.ProcessState) int64 {
	u, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}
