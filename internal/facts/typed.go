package facts

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// typedReaders read the outputs and files that have a shape of their own. Each
// sets what it found on the Facts and returns the text, which is then read for
// codes and signatures like any other.
var typedReaders = map[winlog.Kind]typedReader{
	winlog.Hosts:       readHosts,
	winlog.WinHTTPShow: typed(winlog.ReadWinHTTP, (*Facts).setWinHTTP),
	winlog.ScQuery:     typed(winlog.ReadServices, (*Facts).setServices),
	winlog.SystemInfo:  typed(winlog.ReadSystemInfo, (*Facts).setSystemInfo),
	winlog.DISMOutput:  typed(winlog.ReadDISMOutput, (*Facts).setTools),
	winlog.SFCOutput:   typed(winlog.ReadSFCOutput, (*Facts).setTools),
	winlog.IPConfig:    typed(winlog.ReadIPConfig, (*Facts).setNetwork),
	winlog.W32TM:       typed(winlog.ReadW32TM, (*Facts).setClock),
	winlog.FLTMC:       typed(winlog.ReadFilters, (*Facts).setFilters),
	winlog.DSRegCmd:    typed(winlog.ReadDSRegCmd, (*Facts).setDevice),
	winlog.REAgentC:    typed(winlog.ReadREAgentC, (*Facts).setRecovery),
}

// typedReader reads a document and returns what to set on the Facts.
type typedReader func(*reading, []byte) (func(*Facts), error)

// maxDocument bounds an output that is read whole; block lists in hosts files
// are the largest.
const maxDocument = 32 << 20

// typed makes a typed reader of a format's reader and what to do with its value.
func typed[T any](read func(io.Reader) (T, error), set func(*Facts, *reading, T)) typedReader {
	return func(r *reading, text []byte) (func(*Facts), error) {
		v, err := read(bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		return func(f *Facts) { set(f, r, v) }, nil
	}
}

// readTyped runs the typed readers of a document: that of its kind, or, for the
// transcript of a console, those of every output it holds. It returns the text.
func (r *reading) readTyped(src io.Reader, size int64) (io.Reader, error) {
	kinds := []winlog.Kind{r.source.Kind}
	if _, ok := typedReaders[r.source.Kind]; !ok && r.source.Kind != winlog.Output {
		return src, nil
	}
	var whole bytes.Buffer // as large as the file at once: growing would take twice that
	whole.Grow(int(min(max(size, 0), maxDocument)) + bytes.MinRead)
	_, err := whole.ReadFrom(io.LimitReader(src, maxDocument))
	text := whole.Bytes()
	if err != nil {
		return bytes.NewReader(text), err
	}
	if r.source.Kind != winlog.Hosts && len(text) <= maxDocument/8 {
		decoded, _ := io.ReadAll(winlog.NewTextReader(bytes.NewReader(text)))
		for _, k := range winlog.DocumentKinds(decoded) {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	var errs []error
	if len(text) == maxDocument {
		errs = append(errs, fmt.Errorf("only the first %d MB are read", maxDocument>>20))
	}
	for _, k := range kinds {
		read, ok := typedReaders[k]
		if !ok {
			continue
		}
		set, err := read(r, text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.typed = append(r.typed, set)
	}
	return bytes.NewReader(text), errors.Join(errs...)
}

// maxHostsText bounds a hosts file that is kept as it is. Block lists that people
// publish have 5 MB.
const maxHostsText = 8 << 20

// readHosts keeps the hosts file as it is, besides what it says: whoever changes a
// line of it has to write all others as they were.
func readHosts(r *reading, text []byte) (func(*Facts), error) {
	h, err := winlog.ReadHosts(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return func(f *Facts) {
		if f.Hosts.Known() || h.Cut || len(text) > maxHostsText {
			f.HostsText = nil // of two files nobody knows which one Windows reads
		} else {
			f.HostsText = text
		}
		f.setHosts(r, h)
	}, nil
}

func (f *Facts) setHosts(r *reading, h winlog.HostsFile) {
	f.Hosts.State, f.Hosts.Source = Present, r.name
	for _, e := range h.Entries {
		f.Hosts.Value = append(f.Hosts.Value, HostsLine{HostsEntry: e, Source: r.seen(e.Line, time.Time{}, 0, nil).Source})
	}
}

func (f *Facts) setWinHTTP(r *reading, p winlog.WinHTTPProxy) {
	if p.Known {
		f.WinHTTP = Fact[winlog.WinHTTPProxy]{State: Present, Value: p, Source: r.name}
	}
}

// setServices keeps what sc said; it is newer and fuller than a registry export.
func (f *Facts) setServices(r *reading, list []winlog.Service) {
	for _, s := range list {
		name := strings.ToLower(s.Name)
		if name == "" {
			continue
		}
		source := r.seen(s.Line, time.Time{}, 0, nil).Source
		if s.Missing {
			f.services[name] = Fact[host.Service]{State: Absent, Source: source}
			continue
		}
		if s.Listed {
			if f.events == nil {
				f.events = map[string]Fact[bool]{}
			}
			f.events[name] = Fact[bool]{State: Present, Value: s.Triggers > 0, Source: source}
			if s.State < 0 && s.Start < 0 {
				continue // nothing else was said
			}
		}
		have := f.services[name].Value
		v := host.Service{Name: s.Name, State: s.State, Start: s.Start, Exit: s.Exit, Account: cmp.Or(s.Account, have.Account), Binary: cmp.Or(s.Binary, have.Binary), Needs: have.Needs, Source: source}
		if s.DependsOn != nil {
			v.Needs = s.DependsOn
		}
		if v.State < 0 && have.Name != "" {
			v.State = have.State
		}
		if v.Start < 0 && have.Name != "" {
			v.Start, v.Settings = have.Start, cmp.Or(have.Settings, have.Source)
		}
		f.services[name] = Fact[host.Service]{State: Present, Value: v, Source: source}
	}
}

func (f *Facts) setSystemInfo(_ *reading, m winlog.MachineInfo) {
	f.Machine.Name = cmp.Or(m.Host, f.Machine.Name)
	f.Machine.OS = cmp.Or(strings.TrimSpace(strings.TrimPrefix(m.OSName, "Microsoft ")+" "+m.Release), f.Machine.OS)
	if m.Build > 0 {
		build := fmt.Sprint(m.Build)
		if m.UBR > 0 {
			build = fmt.Sprintf("%d.%d", m.Build, m.UBR)
		}
		if !strings.HasPrefix(f.Machine.Build, build) { // "22631" says less than "22631.3007"
			f.Machine.Build = build
		}
	}
	switch m.Arch {
	case "x64":
		f.Machine.Arch = "amd64"
	case "ARM64":
		f.Machine.Arch = "arm64"
	case "x86":
		f.Machine.Arch = "386"
	}
	f.Installed = append(f.Installed, m.Hotfixes...)
}

// setTools keeps how runs of DISM and SFC ended. What they failed with is read
// as text; a sentence in an unknown language says neither.
func (f *Facts) setTools(r *reading, runs []winlog.ToolResult) {
	for _, run := range runs {
		f.Machine.Build = cmp.Or(f.Machine.Build, buildOf(run.ImageVersion))
		ended := run.Outcome == winlog.OutcomeHealthy || run.Outcome == winlog.OutcomeRepaired ||
			run.Outcome == winlog.OutcomeUnknown && run.Finished && run.Percent >= 100 && r.source.Kind != winlog.SFCOutput
		if ended && run.Code == 0 && run.Error == 0 {
			seen := r.seen(run.Line, time.Time{}, 0, []byte(strings.TrimSpace(run.Command+" "+string(run.Outcome))))
			f.Successes = append(f.Successes, Success{Stage: StageVerify, What: "repair", Seen: seen})
		}
	}
}

func (f *Facts) setNetwork(r *reading, c winlog.IPConfiguration) {
	if len(c.Adapters) > 0 {
		f.Network = Fact[winlog.IPConfiguration]{State: Present, Value: c, Source: r.name}
		f.Machine.Name = cmp.Or(f.Machine.Name, c.Host)
	}
}

// setClock keeps a measured offset; w32tm gives it as the server's clock minus
// the machine's.
func (f *Facts) setClock(r *reading, t winlog.TimeStatus) {
	if t.Known && t.HasOffset {
		f.Clock = Fact[time.Duration]{State: Present, Value: -time.Duration(t.Offset * float64(time.Second)), Source: r.name}
	}
}

func (f *Facts) setFilters(r *reading, list []winlog.Filter) {
	if len(list) > 0 {
		f.Filters = Fact[[]winlog.Filter]{State: Present, Value: list, Source: r.name}
	}
}

func (f *Facts) setDevice(r *reading, d winlog.DeviceRegistration) {
	if d.Known {
		f.Device = Fact[winlog.DeviceRegistration]{State: Present, Value: d, Source: r.name}
	}
}

func (f *Facts) setRecovery(r *reading, re winlog.RecoveryEnvironment) {
	if re.Known {
		f.Recovery = Fact[winlog.RecoveryEnvironment]{State: Present, Value: re, Source: r.name}
	}
}
