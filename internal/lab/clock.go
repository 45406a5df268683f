package lab

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Clock is a server whose time is wrong: in its Date header, or as a time server.
type Clock struct {
	Host  string   `json:"host"`
	Ahead Duration `json:"ahead"`
}

// timeAt is what a host's clock shows.
func (w *World) timeAt(host string) time.Time {
	now := w.Now()
	for _, c := range w.spec.Clocks {
		if fits(c.Host, host, 0) {
			return now.Add(time.Duration(c.Ahead))
		}
	}
	return now
}

// sntp answers as a time server of stratum 2. RFC 4330 section 5.
func (w *World) sntp(host string) func(netip.AddrPort, []byte) []byte {
	return func(_ netip.AddrPort, q []byte) []byte {
		if len(q) < 48 || q[0]&7 != 3 { // clients only
			return nil
		}
		now := ntpTime(w.timeAt(host))
		a := make([]byte, 48)
		a[0] = q[0]&0x38 | 4 // its version, server
		a[1], a[2], a[3] = 2, q[2], 0xec
		copy(a[12:], "LAB\x00")
		binary.BigEndian.PutUint64(a[16:], now-64<<32) // last set a minute ago
		copy(a[24:32], q[40:48])
		binary.BigEndian.PutUint64(a[32:], now)
		binary.BigEndian.PutUint64(a[40:], now)
		return a
	}
}

// ntpTime is seconds since 1900 with 32 bits of fraction. RFC 4330 section 3.
func ntpTime(t time.Time) uint64 {
	const since1900 = 2208988800
	fraction := uint64(t.Nanosecond()) << 32 / 1e9
	return uint64(t.Unix()+since1900)<<32 | fraction
}
