package redact

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// sidMark is the first number of the three that name a machine or a domain in a SID, by which pseudonyms are known.
const sidMark = 4040404040

// sids replaces the part of a SID that names a machine, a domain, an Entra object or a Microsoft account. The relative
// id at the end stays: 500 is the administrator, 513 the domain users. Well-known SIDs stay whole
// (learn.microsoft.com: Well-known SIDs).
func (s *scanner) sids() {
	s.begin()
	b := s.cur
	for i := 0; ; {
		k := bytes.Index(b[i:], []byte("-1-"))
		if k < 0 {
			break
		}
		i += k
		start := i - 1
		i += len("-1-")
		if start < s.done || b[start] != 'S' && b[start] != 's' || start > 0 && byteClass[b[start-1]]&isAlnum != 0 {
			continue
		}
		rest := b[i:]
		var numbers int // how many numbers follow that are hidden
		switch {
		case bytes.HasPrefix(rest, []byte("5-21-")):
			i, numbers = i+len("5-21-"), 3
		case bytes.HasPrefix(rest, []byte("12-1-")):
			i, numbers = i+len("12-1-"), 4
		case bytes.HasPrefix(rest, []byte("11-96-")):
			i, numbers = i+len("11-96-"), 16
		default:
			continue
		}
		var parts []uint32
		end := i
		for len(parts) < numbers {
			n := end
			if len(parts) > 0 {
				if n >= len(b) || b[n] != '-' {
					break
				}
				n++
			}
			first := n
			for n < len(b) && n-first < 10 && byteClass[b[n]]&isDigit != 0 {
				n++
			}
			v, err := strconv.ParseUint(string(b[first:n]), 10, 32)
			if err != nil {
				break
			}
			parts = append(parts, uint32(v))
			end = n
		}
		if len(parts) < min(numbers, 3) || parts[0] == sidMark || end < len(b) && byteClass[b[end]]&isDigit != 0 {
			continue
		}
		s.count(SID, b[i:end])
		s.hideSID(parts)
		s.cut(i, end)
		for n, v := range parts {
			if n > 0 {
				s.out = append(s.out, '-')
			}
			s.out = strconv.AppendUint(s.out, uint64(v), 10)
		}
		i = end
	}
	s.end()
}

// hideSID replaces the numbers that name a machine or an account.
func (s *scanner) hideSID(parts []uint32) {
	text := make([]byte, 0, 4*len(parts))
	for _, v := range parts {
		text = binary.LittleEndian.AppendUint32(text, v)
	}
	sum := s.r.digest("sid", text)
	parts[0] = sidMark
	for n := range parts[1:] {
		parts[n+1] = binary.BigEndian.Uint32(sum[4*(n%8):])
	}
}

// guidValue replaces the GUID in a field that names this machine or tenant.
func (s *scanner) guidValue(i, end int) {
	for ; i+36 <= end; i++ {
		if guidAt(s.cur, i) {
			if i < s.done || bytes.HasSuffix(s.cur[:i], []byte("urn:uuid:")) || s.r.keeps(s.cur[i:i+36]) {
				return
			}
			s.cut(i, i+36)
			s.out = s.appendGUID(s.out, s.cur[i:i+36])
			return
		}
	}
}

// serialValue replaces the serial number of a machine, a board or a volume. Those of certificates are public and long.
func (s *scanner) serialValue(i, end int) {
	text := s.cur[i:end]
	if i < s.done || len(text) < 3 || len(text) > 64 || isNothing(text) || isPseudonym(text) || isRemoved(text) ||
		len(text) >= 16 && allHex(text) || bytes.Count(text, []byte(" ")) > 2 || bytes.Contains(text, []byte("://")) {
		return
	}
	varied := false
	for _, c := range text {
		if c != text[0] {
			varied = true
		}
	}
	if !varied {
		return // 00000000
	}
	s.count(Hardware, canonical(text))
	s.cut(i, end)
	s.out = s.r.appendPseudonym(s.out, serialPrefix, text)
}
