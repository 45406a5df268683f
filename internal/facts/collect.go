package facts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// digest reads the records of one file.
type digest interface {
	record(*winlog.Record) error
	finish()
}

// digests says what each kind of file is read with. Kinds that are missing here
// have a typed reader of their own in typed.go and are read as text besides.
func newDigest(r *reading) digest {
	switch r.source.Kind {
	case winlog.WindowsUpdate:
		return newWindowsUpdate(r)
	case winlog.CBS:
		return newStore(r, newServicing(r))
	case winlog.DISM:
		return newDISM(r)
	case winlog.Setup:
		return newSetup(r)
	case winlog.Reporting:
		return newReporting(r)
	case winlog.CMTrace:
		return newCM(r)
	case winlog.EVTX, winlog.EventText:
		return newEvents(r)
	case winlog.SetupDiag:
		return &resultReading{r, StageSetup}
	case winlog.SetupAPI:
		return &resultReading{r, StageInstall}
	default:
		return newText(r)
	}
}

// Options of Collect.
type Options struct {
	// Full parses every line of every file, however large, so that Sources
	// holds exact counts of what was read.
	Full bool
	// Progress is called now and then with bytes read and bytes in all; nil is allowed.
	Progress func(done, total int64)
	// Within is how long the files may be read, 0 for as long as it takes: what was not
	// read by then is a gap.
	Within time.Duration
}

// Collect reads everything a host has to say. It never fails: what could not be
// read is a gap. Cancelling ctx ends it early with what there is and a gap.
func Collect(ctx context.Context, h host.Reader, opt Options) *Facts {
	f := &Facts{
		marks:    map[string][]Seen{},
		codes:    map[codes.HRESULT]Seen{},
		registry: registryReader{},
		services: map[string]Fact[host.Service]{},
	}
	f.Machine, _ = h.Machine(ctx)
	files, err := h.Files(ctx, "*")
	if err != nil {
		f.Gaps = append(f.Gaps, Gap{Source: "files", Why: err.Error()})
	}
	noise, _ := loadNoise() // the table is ours: a test holds that every row is good

	readings := readAll(ctx, h, files, noise, opt)
	f.readRegistry(ctx, h)
	f.merge(append(readings, f.readAnswers(ctx, h)...))
	if ctx.Err() != nil {
		f.Gaps = append(f.Gaps, Gap{Source: "all", Why: "stopped before everything was read"})
	}
	if g, ok := h.(interface{ Unreadable() []string }); ok {
		for _, s := range g.Unreadable() {
			source, why, _ := strings.Cut(s, ": ")
			f.Gaps = append(f.Gaps, Gap{Source: source, Why: why})
		}
	}
	return f
}

// readAll reads the files on all processors, the largest first, and returns
// their readings in the order of the files.
func readAll(ctx context.Context, h host.Reader, files []host.File, noise noiseTable, opt Options) []*reading {
	if opt.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opt.Within)
		defer cancel()
	}
	out := make([]*reading, len(files))
	order := make([]int, len(files))
	var total int64
	for i := range files {
		order[i] = i
		total += max(files[i].Size, 0)
	}
	sorted.By(order, func(a, b int) int { return cmp.Compare(files[b].Size, files[a].Size) })
	var (
		mu   sync.Mutex
		done int64
		wg   sync.WaitGroup
		next = make(chan int)
	)
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			matchers := map[where]*matcher{} // scratch memory of one goroutine
			for i := range next {
				in := whereOf(files[i].Kind)
				if matchers[in] == nil {
					matchers[in] = matcherOf(in)
				}
				out[i] = readFile(ctx, h, files[i], matchers[in], noise, opt, i >= maxHearing)
				if opt.Progress != nil {
					mu.Lock()
					done += max(files[i].Size, 0)
					opt.Progress(done, total)
					mu.Unlock()
				}
			}
		})
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}

// readFile reads one file into a reading. Errors become gaps.
func readFile(ctx context.Context, h host.Reader, file host.File, match *matcher, noise noiseTable, opt Options, deaf bool) *reading {
	r := newReading(file, match, noise)
	r.deaf = deaf
	switch file.Kind {
	case winlog.RegExport, winlog.RegHive: // the host answers for these
		return r
	case winlog.ETL:
		r.gaps = append(r.gaps, Gap{Source: file.Path, Why: gapTrace})
		return r
	case winlog.Binary, winlog.Archive:
		r.gaps = append(r.gaps, Gap{Source: file.Path, Why: "gap.binary"})
		return r
	}
	rc, err := h.Open(ctx, file)
	if err != nil {
		r.gaps = append(r.gaps, Gap{Source: file.Path, Why: err.Error()})
		return r
	}
	defer rc.Close()
	src, err := r.readTyped(rc, file.Size)
	if err != nil {
		r.gaps = append(r.gaps, Gap{Source: file.Path, Why: err.Error()})
	}
	d := newDigest(r)
	r.source.Stats, err = winlog.Scan(ctx, file.Kind, src, winlog.Options{Sparse: !opt.Full, Size: file.Size}, r.hearing(d))
	if err != nil && !errors.Is(err, context.Canceled) {
		r.gaps = append(r.gaps, Gap{Source: file.Path, Why: fmt.Sprintf("read up to line %d: %v", r.source.Stats.Lines, err)})
	}
	d.finish()
	if n := r.source.Stats.Lost; n > 0 {
		r.gaps = append(r.gaps, Gap{Source: fmt.Sprintf("%s: %d bytes", file.Path, n), Why: "gap.lost"})
	}
	return r
}

// gapTrace is why a raw trace is a gap: Windows alone can convert it.
const gapTrace = "gap.etl"

// tracedSince is when a trace of the update service began, which its name says:
// WindowsUpdate.20310302.101112.345.1.etl. The converted log tells the same local
// time, so that a log which goes on after it holds what is in the trace.
func tracedSince(file string) (time.Time, bool) {
	part := strings.Split(path.Base(strings.ReplaceAll(file, `\`, "/")), ".")
	if len(part) < 4 || !strings.EqualFold(part[0], "WindowsUpdate") {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102 150405", part[1]+" "+part[2])
	return t, err == nil
}

// merge joins the readings in the order of the files.
func (f *Facts) merge(readings []*reading) {
	var converted time.Time
	for _, r := range readings {
		if st := r.source.Stats; r.converted.After(converted) && st.Undecoded*2 <= st.Lines {
			converted = r.converted
		}
	}
	for _, r := range readings {
		if r.source.Path != "" { // an answer is no file
			f.Sources = append(f.Sources, r.source)
		}
		for _, g := range r.gaps {
			if since, ok := tracedSince(g.Source); g.Why != gapTrace || !ok || !since.Before(converted) {
				f.Gaps = append(f.Gaps, g)
			}
		}
		for id, seen := range r.marks {
			f.marks[id] = append(f.marks[id], seen...)
		}
		for h, seen := range r.codes {
			if _, ok := f.codes[h]; !ok {
				f.codes[h] = seen
			}
		}
		f.Failures = append(f.Failures, r.failures...)
		f.Successes = append(f.Successes, r.successes...)
		if (len(r.servicing.Chain) > 0 || r.servicing.Component != "") && len(f.Servicing.Chain) == 0 || f.Servicing.StackVersion == "" && r.servicing.StackVersion != "" {
			f.Servicing = r.servicing
		}
		f.KBs = append(f.KBs, r.kbs...)
		f.Installed = append(f.Installed, r.installed...)
		if len(r.heard) > 0 {
			f.Texts = append(f.Texts, Text{Source: r.name, Written: r.written(), Note: r.in&inNote != 0, Text: strings.ToValidUTF8(string(r.heard), "\uFFFD")})
		}
		f.Machine.OS = cmp.Or(f.Machine.OS, r.machine.OS)
		f.Machine.Build = cmp.Or(f.Machine.Build, r.machine.Build)
		f.Machine.Arch = cmp.Or(f.Machine.Arch, r.machine.Arch)
		f.Machine.Name = cmp.Or(f.Machine.Name, r.machine.Name)
		for _, set := range r.typed {
			set(f)
		}
	}
	for id := range f.marks {
		seen := f.marks[id]
		f.marks[id] = seen[:min(len(seen), 2*maxSeen)]
	}
	f.joinFailures()
}

// maxJoined bounds the different failures of a machine. A real one has dozens; a
// folder of logs that each claim hundreds would cost their product.
const maxJoined = 2000

// joinFailures makes one list of what all files reported: the same code at the
// same stage is one failure; what succeeded later is resolved; the telling ones
// come first.
func (f *Facts) joinFailures() {
	// What weighs most is joined first, so that the bound drops what weighs least.
	sorted.By(f.Failures, func(a, b Failure) int { return cmp.Compare(b.Weight, a.Weight) })
	var out []Failure
	var lasts []moment
	for _, x := range f.Failures {
		i := slices.IndexFunc(out, func(y Failure) bool { return sameFailure(x, y) })
		if i < 0 && len(out) >= maxJoined {
			continue
		}
		if i < 0 {
			out, lasts = append(out, x), append(lasts, x.last())
			continue
		}
		y := &out[i]
		lasts[i] = lasts[i].latest(x.last())
		y.Count += x.Count
		y.Weight = max(y.Weight, x.Weight)
		y.Consequence = y.Consequence && x.Consequence
		if y.Stage == StageAny {
			y.Stage = x.Stage
		}
		if y.Extend == 0 {
			y.Extend = x.Extend
		}
		if y.Update == (Update{}) {
			y.Update = x.Update
		}
		if y.First.IsZero() || !x.First.IsZero() && x.First.Before(y.First) {
			y.First = x.First
		}
		if x.Last.After(y.Last) {
			y.Last = x.Last
		}
		y.Seen = append(y.Seen, x.Seen...)
		y.Seen = y.Seen[:min(len(y.Seen), maxSeen)]
	}
	var settled moment
	for i := range out {
		at, ok := f.resolved(out[i], lasts[i])
		if out[i].Resolved = ok; ok && at.utc.After(settled.utc) {
			settled = at
		}
	}
	nameless(out, lasts, settled)
	// "It does not work" says nothing more where a code does.
	coded := slices.ContainsFunc(out, func(x Failure) bool { return x.Code != 0 && x.Weight >= reported && !x.Resolved })
	out = slices.DeleteFunc(out, func(x Failure) bool {
		return coded && x.Kind == KindError && x.Code == 0 && x.Stage == StageAny
	})
	sorted.By(out, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), b.Last.Compare(a.Last))
	})
	f.Failures = out
	if len(f.Suffering()) == 0 && !settled.utc.IsZero() {
		f.settle(settled)
	}
}

// nameless resolves what logs tell of no update in particular, from before the time at
// which all that has a name ended well: it was part of that.
func nameless(list []Failure, lasts []moment, settled moment) {
	named := func(x Failure) bool { return x.Update.KB != "" || x.Update.ID != "" || x.Stage == StageScan }
	if settled.utc.IsZero() || slices.ContainsFunc(list, func(x Failure) bool { return named(x) && !x.Resolved && x.Weight >= reported }) {
		return
	}
	for i := range list {
		if !named(list[i]) && settled.after(lasts[i]) {
			list[i].Resolved = true
		}
	}
}

// sameFailure: a stage that one source does not know fits any other.
func sameFailure(a, b Failure) bool {
	return a.Kind == b.Kind && a.Code == b.Code &&
		(a.Extend == b.Extend || a.Extend == 0 || b.Extend == 0) &&
		(a.Stage == b.Stage || a.Stage == StageAny || b.Stage == StageAny || a.Code != 0) &&
		(a.Update.KB == b.Update.KB || a.Update.KB == "" || b.Update.KB == "")
}

// cancelled is WU_E_CALL_CANCELLED: what a caller that gave up gets, not why.
const cancelled codes.HRESULT = 0x8024000B

// rank orders failures: what a person suffers from first.
func (x Failure) rank() float64 {
	r := x.Weight
	if x.Resolved {
		r *= 0.05
	}
	if x.Consequence {
		r *= 0.5
	}
	switch {
	case x.Code == 0:
		r *= 0.8
	case x.Code == cancelled:
		r *= 0.3
	case x.Code.Wrapper() && x.Extend == 0:
		r *= 0.6
	}
	return r
}

// moment is a time as logs have it: those of events and of the update agent count in
// UTC, those of servicing and setup by the clock on the wall, as if that were UTC. A
// zero is a time that nobody told.
type moment struct{ utc, wall time.Time }

// told is the moment of something that a source tells.
func told(source string, t time.Time) moment {
	source, _, _ = strings.Cut(strings.ToLower(source), ":")
	for _, name := range []string{"cbs", "dism", "windowsupdate", "setup"} {
		if strings.HasPrefix(source, name) && strings.HasSuffix(source, ".log") {
			return moment{wall: t}
		}
	}
	return moment{utc: t}
}

// after reports that the moment, both of whose times are known, lies behind another.
func (m moment) after(x moment) bool {
	return (x.utc.IsZero() || m.utc.After(x.utc)) && (x.wall.IsZero() || m.wall.After(x.wall)) && x != moment{}
}

// latest returns the later of each.
func (m moment) latest(x moment) moment {
	if x.utc.After(m.utc) {
		m.utc = x.utc
	}
	if x.wall.After(m.wall) {
		m.wall = x.wall
	}
	return m
}

// last is when a file told a failure the last time.
func (x Failure) last() moment {
	if len(x.Seen) == 0 {
		return moment{utc: x.Last}
	}
	return told(x.Seen[0].Source, x.Last)
}

// resolved returns when the same step of the same update as a failure, which was told
// last at a moment, or a step that needs it, ended well later; false if none did.
func (f *Facts) resolved(x Failure, last moment) (at moment, ok bool) {
	take := func(m moment, s Success) {
		if m.after(last) && m.utc.After(at.utc) && s.settles(x) {
			at, ok = m, true
		}
	}
	for _, s := range f.Successes {
		if s.Stage == StageScan && slices.ContainsFunc(f.Repairs.Value.Trials, func(t host.Trial) bool { return t.Within(s.Seen.Time) }) {
			continue // without something that was put back
		}
		take(moment{s.Seen.Time, s.Seen.Time}, s)
	}
	for _, p := range f.Repairs.Value.Proved {
		take(moment{p.At, p.Wall}, Success{Stage: Stage(p.Stage), Update: Update{KB: p.KB, ID: p.Update}, Seen: Seen{Code: p.Code}})
	}
	return at, ok
}

// settles reports that what ended well is what failed before.
func (s Success) settles(x Failure) bool {
	if s.Seen.Code != 0 && s.Seen.Code == x.Code { // proved: what had failed so does so no more
		return x.Update.KB == "" || s.Update.KB == "" || s.Update.KB == x.Update.KB
	}
	nameless := x.Update.KB == "" || s.Update.KB == ""
	same := !nameless && s.Update.KB == x.Update.KB || nameless && x.Update.ID != "" && strings.EqualFold(s.Update.ID, x.Update.ID)
	switch x.Stage {
	case StageScan:
		// What is downloaded or installed was found before, perhaps long before.
		return s.Stage == StageScan && (same || nameless)
	case StageDownload:
		return s.Stage == StageDownload && (same || nameless) || s.Stage == StageInstall && same
	case StageVerify:
		// A file that comes whole proves nothing of its signature.
		const badDigest codes.HRESULT = 0x80246002 // WU_E_DM_INCORRECTFILEHASH
		return s.Stage == StageInstall && same || s.Stage == StageDownload && x.Code == badDigest && (same || nameless)
	case StageInstall, StageSetup, StageRestart:
		// Another package that went in says nothing of this one.
		return (s.Stage == x.Stage || s.Stage == StageInstall) && same
	case StageAny:
		return same
	}
	return s.Stage == x.Stage && (same || nameless)
}

// settle drops what the logs tell of before everything that failed ended well: a machine
// that was cured is no sick one, however its logs go on about it. What stands in the
// registry, in files and in answers is how it is now, and stays; so does what has no time.
func (f *Facts) settle(since moment) {
	f.settled = true // see Now
	old := func(s Seen) bool { return !s.Time.IsZero() && since.after(told(s.Source, s.Time)) }
	for id, seen := range f.marks {
		if f.marks[id] = slices.DeleteFunc(slices.Clone(seen), old); len(f.marks[id]) == 0 {
			delete(f.marks, id)
		}
	}
	maps.DeleteFunc(f.codes, func(_ codes.HRESULT, s Seen) bool { return old(s) })
}

// Now is the machine as it is now: where all that failed ended well later, without those
// failures, which a report lists and no cause is found by.
func (f *Facts) Now() *Facts {
	if !f.settled {
		return f
	}
	now := *f
	now.Failures = slices.DeleteFunc(slices.Clone(f.Failures), func(x Failure) bool { return x.Resolved })
	return &now
}

// Suffering returns the failures that the person suffers from now: not resolved,
// and reported by something that counts. Empty means that nothing failed.
func (f *Facts) Suffering() []Failure {
	var out []Failure
	for _, x := range f.Failures {
		if !x.Resolved && x.Weight >= reported {
			out = append(out, x)
		}
	}
	return out
}
