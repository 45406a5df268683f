package winhost

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// Stages of an attempt, as in host.Attempt.
const (
	stageScan     = "scan"
	stageDownload = "download"
	stageInstall  = "install"
)

// What an operation of the agent ended with. learn.microsoft.com:
// "OperationResultCode enumeration".
const (
	resultInProgress = 1
	resultSucceeded  = 2
	resultWithErrors = 3
	resultFailed     = 4
	resultAborted    = 5
)

// Results that stand where the agent gives none of its own.
const (
	agentAborted codes.HRESULT = 0x8024000B // WU_E_CALL_CANCELLED
	agentUnknown codes.HRESULT = 0x80240FFF // WU_E_UNEXPECTED
	restartFirst codes.HRESULT = 0x80070BC9 // ERROR_FAIL_REBOOT_REQUIRED: the agent installs nothing before a restart
	timedOut     codes.HRESULT = 0x800705B4 // ERROR_TIMEOUT: it did not end in the time that it was given
)

// ErrNotOffered says that the update to be tried is not among those that the
// machine is offered, so that nothing of it could be tried.
var ErrNotOffered = errors.New("the update is not offered")

// ErrInput says that an update asks a person something while it installs.
var ErrInput = errors.New("the update asks questions while it installs")

var (
	updatePattern = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	kbNumber      = regexp.MustCompile(`^[0-9]{6,8}$`)
)

// criteria makes the search for an attempt. An update that is installed already is
// found too, so that it is told from one that is not offered. What stands in it is
// checked: it is a language of its own. learn.microsoft.com: "IUpdateSearcher::Search".
func criteria(a host.Attempt) (string, error) {
	if a.Stage != stageScan && a.Stage != stageDownload && a.Stage != stageInstall {
		return "", fmt.Errorf("try %q: no such stage", a.Stage)
	}
	if a.KB != "" && !kbNumber.MatchString(kbDigits(a.KB)) {
		return "", fmt.Errorf("try %s: %q is no number of an article", a.Stage, a.KB)
	}
	switch {
	case a.Update != "" && !updatePattern.MatchString(a.Update):
		return "", fmt.Errorf("try %s: %q is no id of an update", a.Stage, a.Update)
	case a.Stage == stageScan:
		return "IsInstalled=0 and IsHidden=0", nil // what automatic updates look for
	case a.Update != "":
		return "UpdateID='" + strings.ToLower(a.Update) + "'", nil
	case a.KB != "":
		return "IsInstalled=0 or IsInstalled=1", nil
	}
	return "", fmt.Errorf("try %s: which update?", a.Stage)
}

// kbDigits is the number of an article without its letters, as the agent gives it.
func kbDigits(kb string) string {
	if len(kb) > 2 && strings.EqualFold(kb[:2], "kb") {
		return kb[2:]
	}
	return kb
}

// ended is what an operation of the agent ended with, as it gave it.
type ended struct {
	outcome  int           // OperationResultCode
	result   codes.HRESULT // of the operation
	each     codes.HRESULT // of the one update that was asked for
	warnings []codes.HRESULT
	restart  bool
}

// verdict is the result of an operation. The number that says most about the
// failure counts: that of the update, then that of the operation, then the first
// warning. Whatever did not succeed is a failure, number or not.
func (e ended) verdict() codes.HRESULT {
	if e.outcome == resultSucceeded && !failed(e.each) && !failed(e.result) {
		return 0
	}
	for _, h := range append([]codes.HRESULT{e.each, e.result}, e.warnings...) {
		if failed(h) {
			return h
		}
	}
	switch e.outcome {
	case resultSucceeded:
		return 0
	case resultAborted:
		return agentAborted
	}
	return agentUnknown
}

func failed(h codes.HRESULT) bool { return h.Failed() && !h.Benign() }

// after is how a stage went that ended so.
func (e ended) after(stage string) host.Outcome {
	h := e.verdict()
	return host.Outcome{Result: h, Stage: stage, Restart: e.restart && h == 0}
}

// scanVerdict is the result of a scan. A scan that found nothing is believed only
// if nothing speaks against it: no warning, and no failure that the agent's own
// event log has from the time of the scan.
func scanVerdict(e ended, found int, logged codes.HRESULT) codes.HRESULT {
	if h := e.verdict(); failed(h) {
		return h
	}
	if found > 0 {
		return 0 // warnings are of single services or updates
	}
	for _, h := range e.warnings {
		if failed(h) {
			return h
		}
	}
	return logged
}
