package facts

import (
	"bytes"
	"io"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// typedReaders read the outputs and files that have a shape of their own. Each
// sets what it found on the Facts and returns the text, which is then read for
// codes and signatures like any other.
var typedReaders = map[winlog.Kind]func(*reading, io.Reader) (io.Reader, error){
	winlog.Hosts:       typed(winlog.ReadHosts, (*Facts).setHosts),
	winlog.WinHTTPShow: typed(winlog.ReadWinHTTP, (*Facts).setWinHTTP),
	winlog.ScQuery:     typed(winlog.ReadServices, (*Facts).setServices),
}

// maxDocument bounds an output that is read whole.
const maxDocument = 4 << 20

// typed makes a typed reader of a format's reader and what to do with its value.
func typed[T any](read func(io.Reader) (T, error), set func(*Facts, *reading, T)) func(*reading, io.Reader) (io.Reader, error) {
	return func(r *reading, src io.Reader) (io.Reader, error) {
		b, err := io.ReadAll(io.LimitReader(src, maxDocument))
		if err != nil {
			return bytes.NewReader(b), err
		}
		v, err := read(bytes.NewReader(b))
		if err == nil {
			r.typed = func(f *Facts) { set(f, r, v) }
		}
		return bytes.NewReader(b), err
	}
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
		have := f.services[name].Value
		v := host.Service{Name: s.Name, State: s.State, Start: s.Start, Exit: s.Exit, Account: s.Account, Binary: s.Binary, Source: source}
		if v.State < 0 && have.Name != "" {
			v.State = have.State
		}
		if v.Start < 0 && have.Name != "" {
			v.Start = have.Start
		}
		f.services[name] = Fact[host.Service]{State: Present, Value: v, Source: source}
	}
}
