package facts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Answers are what a machine answered to the questions of [host.Questions]. A
// fact is absent if the machine has no such thing, and unknown if it was not
// asked, could not answer or an answer is not to be read; a part of an answer
// that could not be looked at is a gap.
type Answers struct {
	Caller     Fact[host.Caller]           // who asked
	Adapters   Fact[host.Adapters]         // the network; also as Network
	Volumes    Fact[host.Volumes]          // file systems and partitions
	ProxyState Fact[host.ProxyState]       // what WinHTTP goes by
	ProxyFor   Fact[host.ProxyFor]         // what WinHTTP decides for update hosts
	UserProxy  Fact[host.UserProxies]      // of every account whose registry is loaded
	Firewall   Fact[host.Firewall]         // profiles, and rules that block what goes out
	Security   Fact[host.SecurityProducts] // registered antivirus and firewalls; absent on servers
	Agent      Fact[host.AgentState]       // the update agent; its history is among the failures and successes
	Restart    Fact[host.PendingRestart]   // what waits for a restart
	Edition    Fact[host.Edition]          // which Windows
	Time       Fact[host.TimeService]      // the time service
	TLS        Fact[host.TLSSettings]      // Schannel's client side
	Management Fact[host.Management]       // who sets policies
	Transfers  Fact[host.TransferQueue]    // the queue of BITS
	Power      Fact[host.Power]            // mains or battery
	Store      Fact[host.Store]            // the component store, by servicing's own log and registry
	Leftovers  Fact[host.Leftovers]        // what the registry names and the disk lacks, and old files
	Copies     Fact[host.ServiceCopies]    // of services that are gone, as older states of the machine have them
	Repairs    Fact[host.Repairs]          // what updoc cured and proved
	Startup    Fact[host.Startup]          // what starts with Windows; of a live machine only if somebody asks for it
}

// answerTime is how long a live machine may take to answer all questions; the slowest,
// the update agent's, takes a second where it is well.
const answerTime = 15 * time.Second

// answersAtOnce bounds the questions that are under way: each holds a thread in a call of
// Windows, with a megabyte of stacks and what COM keeps for it. A part of Windows that
// hangs holds one of them until the time is over.
const answersAtOnce = 3

// question asks one thing and says what to set of it.
type question struct {
	name string
	ask  func(context.Context, host.Reader, *reading) (func(*Facts), error)
}

// asks makes a question of its answer's type.
func asks[T any](name string, set func(*Facts, *reading, Fact[T])) question {
	return question{name, func(ctx context.Context, h host.Reader, r *reading) (func(*Facts), error) {
		a, err := h.Ask(ctx, host.Question{Name: name})
		if errors.Is(err, host.ErrNotExist) {
			return func(f *Facts) { set(f, r, Fact[T]{State: Absent, Source: cmp.Or(a.Source, name)}) }, nil
		}
		if err != nil {
			return nil, err
		}
		fact := Fact[T]{State: Present, Source: cmp.Or(a.Source, name)}
		var parts struct {
			Unseen []host.Unseen `json:"unseen"`
		}
		if err := errors.Join(json.Unmarshal(a.JSON, &fact.Value), json.Unmarshal(a.JSON, &parts)); err != nil {
			return nil, err
		}
		r.name = path.Base(fact.Source)
		for _, u := range parts.Unseen[:min(len(parts.Unseen), maxUnseen)] {
			r.gaps = append(r.gaps, Gap{Source: name + " " + u.Part, Why: cmp.Or(u.Why, u.Result.String())})
		}
		if agent, ok := any(fact.Value).(host.AgentState); ok {
			historyOf(r, agent.History)
		}
		var keys registryReader
		if l, ok := any(fact.Value).(host.Leftovers); ok {
			keys = leftoverKeys(ctx, h, l)
		}
		return func(f *Facts) {
			set(f, r, fact)
			for p, k := range keys {
				if !f.registry[p].asked {
					f.registry[p] = k
				}
			}
		}, nil
	}}
}

// maxUnseen bounds the gaps of one answer.
const maxUnseen = 50

// answerQuestions lists the questions, those that take longest last. They are begun from
// the end, so that the others pass meanwhile.
func answerQuestions() []question {
	return []question{
		asks(host.AskCaller, func(f *Facts, _ *reading, v Fact[host.Caller]) { f.Caller = v }),
		asks(host.AskEdition, (*Facts).setEdition),
		asks(host.AskAdapters, (*Facts).setAdapters),
		asks(host.AskProxy, (*Facts).setProxyState),
		asks(host.AskUserProxy, func(f *Facts, _ *reading, v Fact[host.UserProxies]) { f.UserProxy = v }),
		asks(host.AskRestart, func(f *Facts, _ *reading, v Fact[host.PendingRestart]) { f.Restart = v }),
		asks(host.AskFilters, (*Facts).setFilterDrivers),
		asks(host.AskTLS, func(f *Facts, _ *reading, v Fact[host.TLSSettings]) { f.TLS = v }),
		asks(host.AskManagement, (*Facts).setManagement),
		asks(host.AskPowerState, func(f *Facts, _ *reading, v Fact[host.Power]) { f.Power = v }),
		asks(host.AskVolumes, func(f *Facts, _ *reading, v Fact[host.Volumes]) { f.Volumes = v }),
		asks(host.AskTime, func(f *Facts, _ *reading, v Fact[host.TimeService]) { f.Time = v }),
		asks(host.AskFirewall, func(f *Facts, _ *reading, v Fact[host.Firewall]) { f.Firewall = v }),
		asks(host.AskSecurity, func(f *Facts, _ *reading, v Fact[host.SecurityProducts]) { f.Security = v }),
		asks(host.AskBITS, func(f *Facts, _ *reading, v Fact[host.TransferQueue]) { f.Transfers = v }),
		asks(host.AskStore, func(f *Facts, _ *reading, v Fact[host.Store]) { f.Store = v }),
		asks(host.AskLeftovers, func(f *Facts, _ *reading, v Fact[host.Leftovers]) { f.Leftovers = v }),
		asks(host.AskRepairs, func(f *Facts, _ *reading, v Fact[host.Repairs]) { f.Repairs = v }),
		asks(host.AskServiceCopies, func(f *Facts, _ *reading, v Fact[host.ServiceCopies]) { f.Copies = v }),
		asks(host.AskStartup, func(f *Facts, _ *reading, v Fact[host.Startup]) { f.Startup = v }),
		asks(host.AskAgent, func(f *Facts, _ *reading, v Fact[host.AgentState]) { f.Agent = v }),
		asks(host.AskProxyFor, func(f *Facts, _ *reading, v Fact[host.ProxyFor]) { f.ProxyFor = v }),
	}
}

// readAnswers asks all questions at once and returns a reading of each. What a
// live machine would have to go to the network for is not asked.
func (f *Facts) readAnswers(ctx context.Context, h host.Reader) []*reading {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	list := answerQuestions()
	out := make([]*reading, len(list))
	var wg sync.WaitGroup
	places := make(chan struct{}, answersAtOnce)
	for i, q := range slices.Backward(list) {
		// Nor what takes long: to know who made a program is to read it.
		if (q.name == host.AskProxyFor || q.name == host.AskStartup) && f.Machine.Source == "live" {
			out[i] = newReading(host.File{}, nil, noiseTable{})
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done(): // which answerOf says
		}
		wg.Go(func() {
			out[i] = answerOf(ctx, h, q)
			select {
			case <-places:
			default:
			}
		})
	}
	wg.Wait()
	return out
}

// answerOf asks one question, and gives it up when the time is over: a part of
// Windows that hangs holds whoever asks it.
func answerOf(ctx context.Context, h host.Reader, q question) *reading {
	done := make(chan *reading, 1)
	go func() {
		r := newReading(host.File{}, nil, noiseTable{})
		set, err := q.ask(ctx, h, r)
		switch {
		case err == nil:
			r.typed = append(r.typed, set)
		case errors.Is(err, host.ErrDenied):
			r.gaps = append(r.gaps, Gap{Source: q.name, Why: "gap.denied"})
		case errors.Is(err, host.ErrNotRecorded):
		default:
			r.gaps = append(r.gaps, Gap{Source: q.name, Why: err.Error()})
		}
		done <- r
	}()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		r := newReading(host.File{}, nil, noiseTable{})
		r.gaps = append(r.gaps, Gap{Source: q.name, Why: ctx.Err().Error()})
		return r
	}
}

func (f *Facts) setEdition(_ *reading, v Fact[host.Edition]) {
	f.Edition = v
	f.Machine.Build = cmp.Or(f.Machine.Build, v.Value.Build)
	f.Machine.Arch = cmp.Or(f.Machine.Arch, v.Value.Arch)
}

// setAdapters gives the network also in the form that outputs give.
func (f *Facts) setAdapters(_ *reading, v Fact[host.Adapters]) {
	f.Adapters = v
	if v.State != Present {
		return
	}
	f.Machine.Name = cmp.Or(f.Machine.Name, v.Value.Host)
	if len(v.Value.Adapters) == 0 || f.Network.Known() {
		return
	}
	c := winlog.IPConfiguration{Host: v.Value.Host, Suffix: v.Value.Domain}
	for _, a := range v.Value.Adapters {
		n := winlog.NetAdapter{
			Title: a.Name, Description: a.Description, MAC: a.MAC, Suffix: a.Suffix, DHCP: a.DHCP, Gateways: a.Gateways, DNS: a.DNS, VPN: a.VPN,
		}
		for _, p := range a.Addresses {
			n.Addrs = append(n.Addrs, p.Addr())
			n.Connected = n.Connected || a.Up && reachable(p.Addr())
		}
		c.Adapters = append(c.Adapters, n)
		for _, s := range a.Suffixes {
			if s != "" && len(c.SearchList) < maxSearchList {
				c.SearchList = append(c.SearchList, s)
			}
		}
	}
	f.Network = Fact[winlog.IPConfiguration]{State: Present, Value: c, Source: v.Source}
}

// reachable tells an address that leads somewhere from one that a machine gives itself.
func reachable(a netip.Addr) bool { return a.IsValid() && !a.IsLinkLocalUnicast() && !a.IsLoopback() }

// setProxyState fills in for a setting that was not read: the registry and what
// netsh prints tell more, such as the address of a script.
func (f *Facts) setProxyState(_ *reading, v Fact[host.ProxyState]) {
	f.ProxyState = v
	const named = 3 // WINHTTP_ACCESS_TYPE_NAMED_PROXY
	if v.State != Present || f.WinHTTP.Known() || f.Value(keyMachineNet+`\Connections`, "WinHttpSettings").Known() {
		return
	}
	p := winlog.WinHTTPProxy{Known: true, Direct: v.Value.Access != named, Proxy: v.Value.Proxy, Bypass: v.Value.Bypass, Scope: "machine"}
	f.WinHTTP = Fact[winlog.WinHTTPProxy]{State: Present, Value: p, Source: v.Source}
}

func (f *Facts) setFilterDrivers(_ *reading, v Fact[host.FilterDrivers]) {
	if v.State != Present || f.Filters.Known() {
		return
	}
	var list []winlog.Filter
	for _, d := range v.Value.Filters {
		list = append(list, winlog.Filter{
			Name: d.Name, Instances: d.Instances, Altitude: d.Altitude, Frame: d.Frame, Legacy: d.Legacy,
			Group: winlog.FilterGroup(d.Altitude), Microsoft: winlog.MicrosoftFilter(d.Name),
		})
	}
	if len(list) > 0 { // no Windows is without any: somebody could not look
		f.Filters = Fact[[]winlog.Filter]{State: Present, Value: list, Source: v.Source}
	}
}

// setManagement fills in what dsregcmd would say of the domain.
func (f *Facts) setManagement(_ *reading, v Fact[host.Management]) {
	f.Management = v
	if v.State != Present || f.Device.Known() {
		return
	}
	d := winlog.DeviceRegistration{Known: true}
	switch v.Value.Joined {
	case "domain":
		d.DomainJoined, d.DomainName = winlog.Yes, v.Value.Name
	case "workgroup", "unjoined":
		d.DomainJoined = winlog.No
	default:
		return
	}
	for _, e := range v.Value.Enrolled {
		d.MDMURL = cmp.Or(d.MDMURL, e.URL)
	}
	f.Device = Fact[winlog.DeviceRegistration]{State: Present, Value: d, Source: v.Source}
}

// Owner returns who would write a value of a policy key again if it were taken
// away, "" if nobody looked.
func (f *Facts) Owner(key, name string) string {
	for _, o := range f.Management.Value.Owners {
		if strings.EqualFold(o.Key, key) && strings.EqualFold(o.Name, name) {
			return o.Owner
		}
	}
	return ""
}

// Outcomes of an operation of the update agent. learn.microsoft.com:
// "OperationResultCode enumeration".
const (
	outcomeDone   = 2
	outcomeErrors = 3
	outcomeFailed = 4
)

// historyOf turns the agent's history into failures and successes of a reading.
func historyOf(r *reading, list []host.HistoryEntry) {
	for i := len(list) - 1; i >= 0; i-- { // oldest first, as logs tell
		e := list[i]
		u := Update{Title: quote([]byte(e.Title)), KB: cmp.Or(e.KB, findKB([]byte(e.Title))), ID: e.ID}
		seen := Seen{Source: r.name, Text: strings.TrimSpace(u.Title + " " + e.Result.String()), Time: e.At, Code: e.Result}
		switch {
		case e.Outcome == outcomeDone:
			r.successes = append(r.successes, Success{Stage: StageInstall, What: "install", Update: u, Seen: seen})
			r.successes = r.successes[max(0, len(r.successes)-maxSuccess):]
		case (e.Outcome == outcomeFailed || e.Outcome == outcomeErrors) && e.Result.Failed() && !e.Result.Benign():
			fail := Failure{Kind: KindError, Code: e.Result, Stage: historyStage(e.Result), Update: u, First: e.At, Last: e.At, Count: 1, Weight: decisive}
			r.fail(fail, func() Seen { return seen })
			if e.Unmapped.Failed() && e.Unmapped != e.Result {
				r.codes[e.Unmapped] = Seen{Source: r.name, Text: seen.Text, Time: e.At, Code: e.Unmapped}
			}
		}
	}
}

// historyStage: the history is one of installations, but a download that failed is
// among them.
func historyStage(h codes.HRESULT) Stage {
	if s := stageOf(h); s == StageDownload || s == StageVerify {
		return s
	}
	return StageInstall
}

// Bounds of what is read of leftovers: whoever fills the registry with names of
// services that have no file does not hold a diagnosis.
const (
	maxLeftovers    = 200 // of each kind
	maxLeftoverKeys = 1500
	deepestLeftover = 4 // TriggerInfo\0 lies two below a service
)

// leftoverKeys reads the registry keys that leftovers have, with all that is below
// them: who does not know all of a key cannot take it away and put it back.
func leftoverKeys(ctx context.Context, h host.Reader, l host.Leftovers) registryReader {
	out, left := registryReader{}, maxLeftoverKeys
	for _, o := range l.Services[:min(len(l.Services), maxLeftovers)] {
		out.read(ctx, h, keyServiceList+`\`+o.Name, deepestLeftover, &left)
	}
	for _, name := range l.Packages[:min(len(l.Packages), maxLeftovers)] {
		out.read(ctx, h, keyPackages+`\`+name, deepestLeftover, &left)
	}
	return out
}

const (
	keyServiceList = `HKLM\SYSTEM\CurrentControlSet\Services`
	keyPackages    = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`
)
