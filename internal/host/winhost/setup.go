package winhost

import (
	"bufio"
	"bytes"
	"io"
	"strconv"

	"updoc/internal/codes"
)

// setupEnd is what the end of a log of setup says.
type setupEnd struct {
	Result codes.HRESULT
	Extend uint32
	Rolled bool // it was taken back
}

var (
	reports  = []byte("SetupHost: Reporting error event -> [0x")
	rollback = []byte("Rollback:")
	worked   = []byte("Successfully processed execution phase Post OOBE")
)

// readSetupEnd reads what setup reported last, and whether it went back. Setup writes
// its result, and where it failed, once it gives up:
//
//	2031-03-04 10:20:05, Info                  MOUPG  SetupHost: Reporting error event -> [0x80070032, 0x50013]
//
// learn.microsoft.com: "Windows upgrade log files".
func readSetupEnd(r io.Reader) (setupEnd, error) {
	var e setupEnd
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for lines.Scan() {
		line := lines.Bytes()
		switch {
		case bytes.Contains(line, worked):
			e = setupEnd{}
		case bytes.Contains(line, rollback):
			e.Rolled = true
		}
		_, rest, ok := bytes.Cut(line, reports)
		if !ok {
			continue
		}
		first, rest, ok := bytes.Cut(rest, []byte(", 0x"))
		second, _, closed := bytes.Cut(rest, []byte("]"))
		result, err1 := strconv.ParseUint(string(first), 16, 32)
		extend, err2 := strconv.ParseUint(string(second), 16, 32)
		if ok && closed && err1 == nil && err2 == nil {
			e.Result, e.Extend = codes.HRESULT(result), uint32(extend)
		}
	}
	return e, lines.Err()
}
