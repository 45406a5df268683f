package facts

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/route"
)

// WalkSource begins the source of everything that a walk showed.
const WalkSource = "walk "

// AddWalk adds what a walk of the machine's update route showed. Where nothing
// that the machine wrote tells of a failure, the failures that the walk predicts
// are those that the person suffers from.
func (f *Facts) AddWalk(w *route.Walk) {
	f.Route = w
	for _, g := range w.Gaps {
		source, why, _ := strings.Cut(g, ": ")
		f.Gaps = append(f.Gaps, Gap{Source: WalkSource + source, Why: why})
	}
	if w.Clock != nil && w.Clock.Agree > 0 && !f.Clock.Known() {
		f.Clock = Fact[time.Duration]{State: Present, Value: w.Clock.Offset, Source: WalkSource + "clock"}
	}
	if len(f.Suffering()) > 0 {
		return
	}
	for i := range w.Trips {
		t := &w.Trips[i]
		if !t.Task.Vital || t.Predict.Code == 0 {
			continue
		}
		a := t.Deciding()
		seen := Seen{
			Source: WalkSource + t.Task.ID, Time: w.Began, Code: t.Predict.Code,
			Text: fmt.Sprintf("%s (%s): %s", t.Task.Purpose, cmp.Or(hostIn(t.Task.Request.URL), t.Task.Request.URL), a.Exchange.Broken().Tell()),
		}
		stage := stageWalked(t.Task)
		if n := len(f.Failures); n > 0 && f.Failures[n-1].Code == t.Predict.Code && f.Failures[n-1].Stage == stage {
			x := &f.Failures[n-1]
			x.Count++
			if len(x.Seen) < 3 {
				x.Seen = append(x.Seen, seen)
			}
			continue
		}
		f.Failures = append(f.Failures, Failure{
			Kind: KindError, Code: t.Predict.Code, Stage: stage, First: w.Began, Last: w.Began,
			Count: 1, Seen: []Seen{seen}, Weight: walkedWeight,
		})
		if f.codes == nil {
			f.codes = map[codes.HRESULT]Seen{}
		}
		if _, ok := f.codes[t.Predict.Code]; !ok {
			f.codes[t.Predict.Code] = seen
		}
	}
}

// walkedWeight is how surely a failure that a walk predicts is one: the request
// was made and failed, but not by Windows.
const walkedWeight = 0.9

// stageWalked is the stage of an update's life that a task belongs to.
func stageWalked(t route.Task) Stage {
	switch t.Caller {
	case route.DO, route.BITS:
		return StageDownload
	case route.Crypt:
		return StageVerify
	}
	return StageScan
}

// keySchannel is where the versions of TLS are switched on and off.
// learn.microsoft.com: Transport Layer Security (TLS) registry settings.
const keySchannel = `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols`

// maxTLS is the newest version that clients on the machine may speak, 0 if nothing
// below the newest of all is switched off.
func (f *Facts) maxTLS() uint16 {
	off := func(version string) bool {
		key := keySchannel + `\` + version + `\Client`
		enabled, hidden := f.DWord(key, "Enabled"), f.DWord(key, "DisabledByDefault")
		return enabled.State == Present && enabled.Value == 0 || hidden.State == Present && hidden.Value != 0
	}
	switch {
	case !off("TLS 1.2"):
		return 0
	case !off("TLS 1.1"):
		return tls.VersionTLS11
	}
	return tls.VersionTLS10
}
