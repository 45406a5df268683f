package lab

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// tool runs one of Windows' own tools with what it does to this machine. A tool that
// ends badly gives its exit code as an HRESULT.
func (m *Machine) tool(ctx context.Context, name string, args []string) error {
	line := strings.ToLower(strings.Join(args, " "))
	switch name {
	case "dism", "sfc", "wusa": // on a live machine too nobody breaks these off
		ctx = context.WithoutCancel(ctx)
		m.stall(name)
	}
	if name == "dism" {
		if done, err := m.unpackMedium(args); done {
			return err
		}
	}
	if file, ok := packageOf(name, args); ok {
		return m.addPackage(name, file)
	}
	switch name {
	case "ipconfig":
		if strings.Contains(line, "flushdns") {
			return m.change(func(s *state) error { clear(s.Cache); return nil })
		}
	case "w32tm":
		if strings.Contains(line, "/resync") {
			return m.resync(ctx)
		}
	case "gpupdate":
		return m.refreshPolicy()
	case "setup":
		return m.setup(args)
	case "dism":
		return m.dism(ctx, line, args)
	case "cleanmgr":
		return m.cleanup(line)
	case "sfc":
		if h := m.need("TrustedInstaller"); h.Failed() {
			return h
		}
		return m.checkFiles(!strings.Contains(line, "verify"))
	case "mpcmdrun":
		return m.change(func(s *state) error { // definitions come by another way
			for _, o := range s.Offers {
				if o.KB == definitionsKB {
					s.Present = append(s.Present, strings.ToLower(o.ID))
				}
			}
			s.Offers = slices.DeleteFunc(s.Offers, func(o offer) bool { return o.KB == definitionsKB })
			return nil
		})
	case "usoclient", "chkdsk", "reagentc", "wsreset", "msdt":
		return nil // what they do shows in nothing that this machine has
	}
	return nil
}

// resync sets the clock by the time server that the time service is told of.
// learn.microsoft.com: "Windows Time Service Tools and Settings".
func (m *Machine) resync(ctx context.Context) error {
	if h := m.need("w32time"); h.Failed() {
		return h
	}
	server := read(m, func(s *state) string {
		const key = servicesKey + `W32Time\Parameters`
		if strings.EqualFold(s.Registry.text(key, "Type"), "NoSync") {
			return ""
		}
		return s.Registry.text(key, "NtpServer")
	})
	const noData codes.HRESULT = 0x800705B4 // ERROR_TIMEOUT: "no time data was available"
	for field := range strings.FieldsSeq(server) {
		name, _, _ := strings.Cut(field, ",")
		if m.answersTime(ctx, name) {
			if err := m.change(func(s *state) error { s.Clock = 0; return nil }); err != nil {
				return err
			}
			m.world.SetMachineClock(0)
			return nil
		}
	}
	return fmt.Errorf("no time server answers: %w", noData)
}

// answersTime asks a time server. RFC 4330.
func (m *Machine) answersTime(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := m.world.DialContext(ctx, "udp", net.JoinHostPort(name, "123"))
	if err != nil {
		return false
	}
	defer c.Close()
	const size, client = 48, 0x1b // version 3
	q := make([]byte, size)
	q[0] = client
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(q); err != nil {
		return false
	}
	n, err := c.Read(q)
	return err == nil && n >= size
}

// refreshPolicy writes what the domain has for this machine: settings
// policy/KEY|NAME, numbers as dword:N, "-" for a value that is taken away.
func (m *Machine) refreshPolicy() error {
	return m.change(func(s *state) error {
		for name, text := range s.Settings {
			rest, ok := strings.CutPrefix(name, "policy/")
			key, value, named := strings.Cut(rest, "|")
			if !ok || !named {
				continue
			}
			var n uint32
			switch _, err := fmt.Sscanf(text, "dword:%d", &n); {
			case text == "-":
				s.Registry.del(key, value)
			case err == nil:
				s.Registry.set(key, value, dword(n))
			default:
				s.Registry.set(key, value, sz(winlog.RegSZ, text))
			}
		}
		return nil
	})
}

// dism works on the component store.
func (m *Machine) dism(ctx context.Context, line string, args []string) error {
	if h := m.need("TrustedInstaller"); h.Failed() {
		return h
	}
	switch {
	case strings.Contains(line, "restorehealth"):
		return m.restoreHealth(ctx, args)
	case strings.Contains(line, "scanhealth"):
		return m.storeLook()
	case strings.Contains(line, "startcomponentcleanup"):
		return m.change(func(s *state) error {
			delete(s.Settings, "state/deltas")
			if free, ok := s.Settings[setFree]; ok {
				var have, more int64
				_, _ = fmt.Sscan(free, &have)
				_, _ = fmt.Sscan(s.Settings["state/superseded"], &more)
				s.Settings[setFree], s.Settings["state/superseded"] = fmt.Sprint(have+more), "0"
			}
			return nil
		})
	}
	return nil
}

// reachable reports whether the update service gives the files that a store lacks.
func (m *Machine) reachable(ctx context.Context) bool {
	_, h := m.search(ctx)
	return !h.Failed()
}

// setStall is for how many minutes tools of servicing stand still on this machine before
// they go on.
const setStall = "state/stall"

// Watch has somebody told how far a tool of Windows has come.
func (m *Machine) Watch(tell func(host.Work)) { m.watch = tell }

// stall has a tool stand still for a while, if this machine is one on which it does.
func (m *Machine) stall(tool string) {
	still := time.Duration(m.number(setStall, 0)) * time.Minute
	if still == 0 {
		return
	}
	const before = 4 * time.Minute
	m.world.Advance(before + still)
	if m.watch != nil {
		m.watch(host.Work{What: tool, Percent: 62.3, Elapsed: before})
		m.watch(host.Work{What: tool, Percent: 62.3, Elapsed: before + still, Still: still})
	}
}
