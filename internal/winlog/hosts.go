package winlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// A hosts file is made of lines
//
//	address name [name ...] [# comment]
//
// with blanks or tabs between. Blocking lists that people paste into it run to
// hundreds of thousands of lines, so its bounds are wider than those of the
// other documents.
const (
	maxHostsBytes   = 32 << 20
	maxHostsEntries = 500_000
)

// HostsEntry is one line of a hosts file that maps names.
type HostsEntry struct {
	Line  int        // 1-based
	Addr  netip.Addr // IPv4 or IPv6, with its zone if the file gives one
	Names []string   // lower case, without a trailing dot; at least one
}

// HostsFile is what a hosts file says.
type HostsFile struct {
	Entries   []HostsEntry
	Malformed int  // lines that are neither blank, comment nor entry; the resolver ignores them too
	Cut       bool // the file is longer than what is read
}

// ReadHosts reads a hosts file. Lines that begin with a comment mark map
// nothing and are passed over; bad lines are counted.
func ReadHosts(r io.Reader) (HostsFile, error) {
	var h HostsFile
	lines := 0
	limited := &io.LimitedReader{R: r, N: maxHostsBytes + 1}
	_, err := eachLine(context.Background(), limited, func(line []byte, cut bool) error {
		lines++
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		addr, names := word(bytes.TrimSpace(line))
		if len(addr) == 0 {
			return nil
		}
		if len(h.Entries) == maxHostsEntries {
			h.Cut = true
			return errEnough
		}
		e := HostsEntry{Line: lines}
		var err error
		if e.Addr, err = netip.ParseAddr(string(addr)); err != nil || cut {
			h.Malformed++
			return nil
		}
		for _, f := range strings.Fields(string(names)) {
			if f = strings.ToLower(strings.TrimSuffix(f, ".")); f != "" {
				e.Names = append(e.Names, f)
			}
		}
		if len(e.Names) == 0 {
			h.Malformed++
			return nil
		}
		h.Entries = append(h.Entries, e)
		return nil
	})
	if limited.N <= 0 {
		h.Cut = true
	}
	if err != nil && !errors.Is(err, errEnough) {
		return h, fmt.Errorf("read hosts file: %w", err)
	}
	return h, nil
}

// Addresses that no packet leaves the machine for, or that none answers behind.
// The documentation ranges of RFC 5737 are left out: they stand for real
// addresses in evidence whose addresses were replaced.
var sinkholes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),   // this network, RFC 1122
	netip.MustParsePrefix("127.0.0.0/8"), // loopback
	netip.MustParsePrefix("240.0.0.0/4"), // reserved, and the broadcast address
	netip.MustParsePrefix("::/127"),      // unspecified and loopback
	netip.MustParsePrefix("100::/64"),    // discard prefix, RFC 6666
}

// Sinks reports whether the entry sends its names nowhere: to the machine
// itself, to no address, or into a discarded range.
func (e HostsEntry) Sinks() bool {
	a := e.Addr.Unmap().WithZone("")
	for _, p := range sinkholes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
