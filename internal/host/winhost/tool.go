package winhost

import (
	"fmt"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// ToolFailed is the error of a tool that did not do what it was started for.
type ToolFailed struct {
	Tool   string
	Args   []string
	Code   uint32 // exit code
	Output string // the end of what it said, in the language of this Windows
}

func (e *ToolFailed) Error() string {
	s := fmt.Sprintf("%s %s ended with %d (%v)", e.Tool, strings.Join(e.Args, " "), int32(e.Code), e.hresult())
	if line := lastLine(e.Output); line != "" {
		s += ": " + line
	}
	return s
}

// Unwrap gives the exit code as an HRESULT.
func (e *ToolFailed) Unwrap() error { return e.hresult() }

// hresult: the tools of servicing end with the error itself, others with a number
// of their own that says nothing but that it failed (E_FAIL).
func (e *ToolFailed) hresult() codes.HRESULT {
	switch h := codes.HRESULT(e.Code); {
	case h.Failed():
		return h
	case e.Tool == "wusa" && e.Code>>16 == wuSuccess>>16:
		return h // the agent's own: "there already" is 0x00240006
	case slices.Contains([]string{"dism", "reagentc", "w32tm", "wusa"}, e.Tool):
		return codes.FromWin32(e.Code)
	}
	return 0x80004005
}

// Exit codes that mean "done with the next restart".
// learn.microsoft.com: "System Error Codes": ERROR_SUCCESS_REBOOT_REQUIRED,
// ERROR_SUCCESS_REBOOT_INITIATED; the former as an HRESULT; "Windows Update Agent
// result codes": WU_S_REBOOT_REQUIRED, which wusa ends with.
var wantsRestart = []uint32{3010, 1641, 0x80070BC2, wuSuccess + 5}

// wuSuccess is where the results of the update agent begin that are no errors.
const wuSuccess = 0x00240000

// toolResult says what the exit code of a tool means.
func toolResult(tool string, args []string, code uint32, output string) error {
	switch {
	case code == 0:
		return nil
	case slices.Contains(wantsRestart, code):
		return fmt.Errorf("%s ended with %d: %w", tool, code, host.ErrRestart)
	case tool == "chkdsk" && code <= 2:
		return nil // 1: errors were found and repaired; 2: nothing to clean up. learn.microsoft.com: "chkdsk"
	}
	return &ToolFailed{Tool: tool, Args: args, Code: code, Output: output}
}
