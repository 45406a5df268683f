package repair

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// Registry places of names, time and encryption.
const (
	keyTCPIP      = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
	keyTime       = `HKLM\SYSTEM\CurrentControlSet\Services\W32Time`
	keyTimePolicy = `HKLM\SOFTWARE\Policies\Microsoft\W32Time`
)

// fitNetwork fits the remedies for names, firewall, clock, certificates, TLS.
func fitNetwork() map[string]fitter {
	return map[string]fitter{
		"flush-dns-cache":           fitFlushDNS,
		"comment-out-hosts-entries": fitHosts,
		"sync-clock":                fitClock,
	}
}

func fitFlushDNS(f *fit) { f.runs("plan.lasting.cache", "ipconfig", "/flushdns") }

// fitHosts puts a comment sign before the lines that lead update hosts astray.
func fitHosts(f *fit) {
	path := f.hostsPath()
	switch {
	case !f.Hosts.Known():
		f.unlooked(path)
		return
	case f.HostsText == nil || !plainText(f.HostsText):
		f.lead("plan.hosts.by-hand", "path", path)
		f.lead("remedy." + f.out.ID + ".how")
		return
	}
	text, n := silenceHosts(f.HostsText, f.ownServer())
	if n == 0 {
		f.not("plan.nothing-to-change", "what", path)
		return
	}
	f.do(host.Change{Kind: host.Write, Path: path, Data: text})
	f.runs("plan.lasting.cache", "ipconfig", "/flushdns")
}

// hostsPath is where the resolver reads the hosts file.
// learn.microsoft.com: TCP/IP and NBT configuration parameters (DataBasePath).
func (f *fit) hostsPath() string {
	folder := f.expand(f.Text(keyTCPIP, "DataBasePath").Value)
	if len(folder) < 4 || folder[1] != ':' || strings.Contains(folder, "%") {
		folder = f.windows() + `\System32\drivers\etc`
	}
	return strings.TrimRight(folder, `\`) + `\hosts`
}

// expand fills in the variables that registry values begin with.
func (f *fit) expand(s string) string {
	for _, name := range []string{"%systemroot%", "%windir%"} {
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			return f.windows() + s[len(name):]
		}
	}
	return s
}

// plainText reports text of one byte a character, which is all that the resolver
// reads; other text is left as it is.
func plainText(b []byte) bool { return !bytes.Contains(b, []byte{0}) }

// silenceHosts returns a hosts file without the mappings of update hosts: their
// lines become comments, and other names of such a line get a line of their own. A
// server of the organisation's own may be mapped, but not to nowhere. n is how many
// lines were changed; all others are as they were, to the byte.
func silenceHosts(text []byte, own string) (out []byte, n int) {
	out = make([]byte, 0, len(text)+256)
	for line := range bytes.Lines(text) {
		astray, others := hostsLine(line, own)
		if !astray {
			out = append(out, line...)
			continue
		}
		n++
		end := line[len(bytes.TrimRight(line, "\r\n")):]
		out = append(append(out, "# "...), line...)
		if len(others) == 0 {
			continue
		}
		if len(end) == 0 { // the last line of the file, without an end
			end = []byte("\r\n")
			out = append(out, end...)
		}
		out = append(append(out, strings.Join(others, " ")...), end...)
	}
	return out, n
}

// hostsLine reports a line that leads an update host astray, and returns what stays
// of it: the address and its other names, or nothing.
func hostsLine(line []byte, own string) (astray bool, others []string) {
	line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	line, _, _ = bytes.Cut(line, []byte{'#'})
	words := strings.Fields(string(line))
	if len(words) < 2 {
		return false, nil
	}
	addr, err := netip.ParseAddr(words[0])
	if err != nil {
		return false, nil
	}
	sinks := winlog.HostsEntry{Addr: addr}.Sinks()
	others = words[:1:1]
	for _, name := range words[1:] {
		switch {
		case updateHost(name), own != "" && sinks && strings.EqualFold(strings.TrimSuffix(name, "."), own):
			astray = true
		default:
			others = append(others, name)
		}
	}
	if len(others) == 1 {
		others = nil
	}
	return astray, others
}

// updateHost reports a name that Windows Update asks for.
func updateHost(name string) bool {
	e, ok := route.EndpointOf(name)
	return ok && (e.Role == route.RoleVital || e.Role == route.RoleHelper) && (e.Direction == route.ByClient || e.Direction == route.ByPeer)
}

// What the time service does with a clock that is wrong by more than this, as it is
// set where nobody set anything else: nothing. learn.microsoft.com: Windows Time
// service tools and settings (MaxPosPhaseCorrection, MaxNegPhaseCorrection).
const (
	phaseCorrection = 54000 // seconds, on a machine that is in no domain
	anyCorrection   = 0xFFFFFFFF
	clockTolerated  = 5 * time.Minute // Kerberos' own
)

// fitClock has the time service set the clock, after it was switched on and told
// where to ask if it knew neither.
func fitClock(f *fit) {
	off := f.Clock
	if off.Known() && off.Value.Abs() < clockTolerated {
		f.not("plan.clock.right", "offset", off.Value.Abs().Round(time.Second).String())
		return
	}
	switch {
	case f.Service("w32time").State == facts.Absent:
		f.lead("plan.clock.no-service")
		f.lead("remedy." + f.out.ID + ".how")
		return
	case f.disabled("W32Time"): // Windows ships it to be started by a trigger
		f.do(host.Change{Kind: host.ServiceStart, Path: "W32Time", Start: &host.Start{Type: winlog.ServiceDemandStart}})
	}
	configured := f.timeSource()
	restore := f.allowCorrection(off)
	f.do(host.Change{Kind: host.ServiceRun, Path: "W32Time"})
	if configured || len(restore) > 0 {
		f.runs("plan.lasting.reread", "w32tm", "/config", "/update")
	}
	f.runs("plan.lasting.clock", "w32tm", "/resync", "/rediscover")
	f.do(restore...)
	if wholeHours(off) {
		f.lead("plan.clock.zone", "offset", off.Value.Abs().Round(time.Minute).String())
	}
}

// timeSource gives a machine that is in no domain Microsoft's time server if it was
// told to ask nobody. Policy and membership of a domain decide before that.
// learn.microsoft.com: Windows Time service tools and settings (Type, NtpServer).
func (f *fit) timeSource() bool {
	parameters := keyTime + `\Parameters`
	kind := f.Text(parameters, "Type")
	server := f.Text(parameters, "NtpServer")
	manager, known := f.manager()
	if !kind.Known() || manager != "" || !known || f.Text(keyTimePolicy+`\Parameters`, "Type").State == facts.Present {
		return false
	}
	n := len(f.out.Steps)
	if !strings.EqualFold(kind.Value, "NTP") && !strings.EqualFold(kind.Value, "AllSync") {
		f.do(host.Set(parameters, "Type", textValue("NTP")))
	}
	if server.Known() && strings.TrimSpace(server.Value) == "" {
		f.do(host.Set(parameters, "NtpServer", textValue("time.windows.com,0x9")))
	}
	return len(f.out.Steps) > n
}

// allowCorrection lets the time service make a correction that is larger than it is
// allowed to make by itself, and returns what takes the permission back.
func (f *fit) allowCorrection(off facts.Fact[time.Duration]) (restore []host.Change) {
	if !off.Known() {
		return nil
	}
	name := "MaxNegPhaseCorrection" // the machine is ahead
	if off.Value < 0 {
		name = "MaxPosPhaseCorrection"
	}
	config := keyTime + `\Config`
	now := f.Value(config, name)
	limit := f.DWord(config, name)
	switch {
	case now.State == facts.Present && !limit.Known(), now.State == facts.Unknown:
		return nil
	case now.State == facts.Absent:
		limit.Value = phaseCorrection
	}
	if limit.Value == anyCorrection || off.Value.Abs() < time.Duration(limit.Value)*time.Second {
		return nil
	}
	f.do(host.Set(config, name, numberValue(anyCorrection)))
	if now.State == facts.Absent {
		return []host.Change{{Kind: host.ValueDel, Path: config, Name: name}}
	}
	return []host.Change{host.Set(config, name, now.Value)}
}

// wholeHours reports a clock that is wrong by hours, to the minute, as one is that
// somebody set by hand in a wrong time zone.
func wholeHours(off facts.Fact[time.Duration]) bool {
	d := off.Value.Abs()
	return off.Known() && d <= 15*time.Hour && (d-d.Round(time.Hour)).Abs() < time.Minute
}
