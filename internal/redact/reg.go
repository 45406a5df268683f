package redact

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// Binary values of the registry hide names from a reader of text: proxies in WinHttpSettings and
// DefaultConnectionSettings, SIDs in ProfileList, strings of the types REG_EXPAND_SZ and REG_MULTI_SZ, which regedit
// exports in hex, and secrets of the local security authority. They are decoded, redacted, and encoded again in the
// form in which they came.

// registry handles what is peculiar to exports of the registry (.reg): sections, and binary values over many lines.
// done is false if the line is an ordinary one.
func (s *scanner) registry(dst, line []byte, end string) (_ []byte, done bool) {
	if s.state.reg != nil || s.state.regBroken {
		return s.regContinue(dst, line, end), true
	}
	if len(line) == 0 {
		return dst, false
	}
	switch line[0] {
	case '[':
		if hasFoldPrefix(line, "[hkey_") || hasFoldPrefix(line, "[-hkey_") {
			s.state.regSection = isSecretKey(line)
		}
	case '"', '@':
		if _, _, ok := regValue(line); !ok {
			if s.state.regSection && len(line) > 2 {
				if k := regEqual(line); k > 0 && !bytes.Equal(line[k+1:], []byte(`"`+Mark+`"`)) {
					if s.dry == 0 {
						s.r.count(Credential, line[k+1:])
					}
					return append(append(append(dst, line[:k+1]...), `"`+Mark+`"`...), end...), true
				}
			}
			return dst, false
		}
		if line[len(line)-1] == '\\' {
			s.state.reg = append(append(make([]byte, 0, 256), line...), end...)
			return dst, true
		}
		return append(s.regHex(dst, line, end), end...), true
	}
	return dst, false
}

// isSecretKey knows the keys whose values are secrets: those of the local security authority, cached logons, and the
// account database.
func isSecretKey(section []byte) bool {
	for _, k := range [...]string{`\security\policy\secrets\`, `\security\cache`, `\sam\sam\domains\account\users\0`, `\control\lsa\jd`, `\control\lsa\skew1`, `\control\lsa\gbg`, `\control\lsa\data`} {
		if foldIndex(section, k, 0) >= 0 {
			return true
		}
	}
	return false
}

// regEqual finds the sign behind the name of a value.
func regEqual(line []byte) int {
	if line[0] == '@' {
		if len(line) > 1 && line[1] == '=' {
			return 1
		}
		return -1
	}
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			if i+1 < len(line) && line[i+1] == '=' {
				return i + 1
			}
			return -1
		}
	}
	return -1
}

// regValue splits the first line of a binary value: "name"=hex(2):61,00,...
func regValue(line []byte) (name, data []byte, ok bool) {
	k := regEqual(line)
	if k < 0 || !hasFoldPrefix(line[k+1:], "hex") {
		return nil, nil, false
	}
	rest := line[k+1+len("hex"):]
	n := bytes.IndexByte(rest, ':')
	if n < 0 || n > 12 || n > 0 && (rest[0] != '(' || rest[n-1] != ')') {
		return nil, nil, false
	}
	return line[:k], rest[n+1:], true
}

// regContinue takes a further line of a binary value.
func (s *scanner) regContinue(dst, line []byte, end string) []byte {
	more := len(line) > 0 && line[len(line)-1] == '\\'
	if !isHexLine(line) {
		// The value was cut off. What there is of it, then this line.
		dst = s.flush(dst)
		dst, done := s.registry(dst, line, end)
		if done {
			return dst
		}
		return append(s.redact(dst, line), end...)
	}
	if s.state.regBroken {
		s.state.regBroken = more
		return dst
	}
	s.state.reg = append(append(s.state.reg, line...), end...)
	switch {
	case len(s.state.reg) > maxLine:
		// Longer than any value that says something about updates: gone.
		first, _, _ := bytes.Cut(s.state.reg, []byte("\n"))
		name, _, _ := regValue(bytes.TrimRight(first, "\r\\"))
		s.state.reg, s.state.regBroken = nil, more
		s.count(Credential, name)
		return append(append(append(dst, name...), "=hex:"...), hexMark+"\r\n"...)
	case more:
		return dst
	}
	value := s.state.reg[:len(s.state.reg)-len(end)]
	s.state.reg = nil
	return append(s.regHex(dst, value, end), end...)
}

// flush gives out a value that is waiting for its next line.
func (s *scanner) flush(dst []byte) []byte {
	value := s.state.reg
	s.state.reg, s.state.regBroken = nil, false
	if value == nil {
		return dst
	}
	body := bytes.TrimRight(value, "\r\n")
	return append(s.regHex(dst, body, "\r\n"), value[len(body):]...)
}

func isHexLine(line []byte) bool {
	for _, c := range line {
		if byteClass[c]&isHex == 0 && c != ',' && c != ' ' && c != '\t' && c != '\\' {
			return false
		}
	}
	return len(line) > 0
}

// hexMark is Mark as regedit writes bytes.
const hexMark = "5b,72,65,6d,6f,76,65,64,5d"

// regHex redacts a whole binary value. If nothing in it is secret it is given back to the byte.
func (s *scanner) regHex(dst, value []byte, end string) []byte {
	left, data, ok := regValue(value)
	if !ok {
		return append(dst, value...)
	}
	raw := make([]byte, 0, len(data)/3)
	for i := 0; i < len(data); {
		c := data[i]
		if byteClass[c]&isHex == 0 {
			i++
			continue
		}
		v := unhex(c)
		if i++; i < len(data) && byteClass[data[i]]&isHex != 0 {
			v = v<<4 | unhex(data[i])
			i++
		}
		raw = append(raw, v)
	}
	kind := 3
	typ := value[len(left)+1 : len(value)-len(data)] // hex: or hex(2):
	if len(typ) > len("hex:") {
		kind = int(unhex(lower(typ[len("hex(")])))
	}
	name := bytes.Trim(left, `"`)
	changed := s.binary(name, kind, raw)
	if shown := s.nested(left); !bytes.Equal(shown, left) { // names of values may be paths
		if changed == nil {
			changed = raw
		}
		left = shown
	}
	if changed == nil {
		return append(dst, value...)
	}
	// As regedit writes it: at most 80 columns, continued with a backslash and two blanks.
	dst = append(append(append(dst, left...), '='), typ...)
	column := len(left) + 1 + len(typ)
	if len(end) == 0 {
		end = "\r\n"
	}
	for i, c := range changed {
		dst = hex.AppendEncode(dst, []byte{c})
		column += 2
		if i == len(changed)-1 {
			break
		}
		dst = append(dst, ',')
		if column++; column > 76 {
			dst = append(append(append(dst, '\\'), end...), "  "...)
			column = 2
		}
	}
	return dst
}

// regBinary redacts a binary value as reg.exe prints it, hex without separators. It begins at i.
func (s *scanner) regBinary(name []byte, i int) {
	end := i
	for end < len(s.cur) && byteClass[s.cur[end]]&isHex != 0 {
		end++
	}
	raw, err := hex.DecodeString(string(s.cur[i:end]))
	if err != nil || len(raw) == 0 {
		return
	}
	if changed := s.binary(name, 3, raw); changed != nil {
		s.cut(i, end)
		s.out = append(s.out, bytes.ToUpper(hex.AppendEncode(nil, changed))...)
	}
}

// binary redacts the bytes of a registry value of a type (learn.microsoft.com: Registry value types), and returns nil
// if they may stay.
func (s *scanner) binary(name []byte, kind int, raw []byte) []byte {
	const (
		regSZ, regExpandSZ, regLink, regMultiSZ = 1, 2, 6, 7
	)
	if len(raw) == 0 || string(raw) == Mark {
		return nil
	}
	key := string(normal(name))
	if s.state.regSection || fieldOf(key) == passwordField || hasSuffix(key, "password", "secret") {
		return s.removeBytes(raw)
	}
	switch key {
	case "digitalproductid", "dhcpgatewayhardware", "dhcpinterfaceoptions", "susclientidvalidation", "smbiosdata":
		return s.removeBytes(raw)
	case "winhttpsettings", "defaultconnectionsettings", "savedlegacysettings":
		if changed, ok := s.proxyBlob(raw); ok {
			return changed
		}
	case "sid", "accountdomainsid", "machinesid":
		return s.binarySID(raw)
	case "defaultgatewaymac":
		if len(raw) >= 6 {
			mac := bytes.Clone(raw)
			if s.hideMAC(mac[:6]) {
				s.count(Hardware, raw)
				return mac
			}
		}
		return nil
	}
	switch kind {
	case regSZ, regExpandSZ, regLink, regMultiSZ:
		return s.stringBytes(key, raw)
	}
	return s.unknownBytes(raw)
}

func (s *scanner) removeBytes(raw []byte) []byte {
	s.count(Credential, raw)
	return []byte(Mark)
}

// valueText redacts the text of a value by what its name says, and by what is in it.
func (s *scanner) valueText(key string, text []byte) []byte {
	n := scanner{r: s.r, dry: s.dry, depth: s.depth + 1}
	kind := fieldOf(key)
	if kind == noField || len(text) == 0 {
		return n.redact(nil, text)
	}
	n.cur = text
	n.begin()
	n.field(kind, 0, 0, ' ')
	n.end()
	return n.redact(nil, bytes.Clone(n.cur))
}

// stringBytes redacts a value of UTF-16 strings that end in zeros.
func (s *scanner) stringBytes(key string, raw []byte) []byte {
	text, rest := utf16LE.decode(nil, raw, true)
	if len(rest) > 0 {
		return s.unknownBytes(raw)
	}
	parts := bytes.Split(text, []byte{0})
	changed := false
	for i, part := range parts {
		if p := s.valueText(key, part); !bytes.Equal(p, part) {
			parts[i], changed = p, true
		}
	}
	if !changed {
		return nil
	}
	return utf16LE.encode(nil, bytes.Join(parts, []byte{0}))
}

// proxyBlob redacts the settings of WinHTTP and WinINET: 12 bytes of numbers, then texts with their lengths before
// them (proxy, exceptions, and for WinINET the address of the script), then a rest that is left as it is. ok is false
// if the value is not built so.
func (s *scanner) proxyBlob(raw []byte) (_ []byte, ok bool) {
	const header, maxTexts = 12, 3
	if len(raw) < header+4 {
		return nil, false
	}
	out := bytes.Clone(raw[:header])
	changed := false
	i := header
	for n := 0; n < maxTexts && i+4 <= len(raw); n++ {
		size := int64(binary.LittleEndian.Uint32(raw[i:]))
		if size > int64(len(raw)-i-4) {
			if n < 2 {
				return nil, false
			}
			break
		}
		text := raw[i+4 : i+4+int(size)]
		for _, c := range text {
			if c < ' ' {
				return nil, false
			}
		}
		key := "proxyserver"
		if n == 2 {
			key = "autoconfigurl"
		}
		redacted := s.valueText(key, text)
		changed = changed || !bytes.Equal(redacted, text)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(redacted)))
		out = append(out, redacted...)
		i += 4 + int(size)
	}
	rest := raw[i:]
	if s.unknownBytes(rest) != nil {
		out, changed = append(out, make([]byte, len(rest))...), true
	} else {
		out = append(out, rest...)
	}
	if !changed {
		return nil, true
	}
	return out, true
}

// binarySID redacts a SID in its binary form (MS-DTYP, section 2.4.2.2).
func (s *scanner) binarySID(raw []byte) []byte {
	if len(raw) < 8 || raw[0] != 1 || raw[7] != 5 && raw[7] != 12 {
		return nil
	}
	n := int(raw[1])
	if len(raw) < 8+4*n || n < 4 {
		return nil
	}
	first, hidden := binary.LittleEndian.Uint32(raw[8:]), 3
	if raw[7] == 12 && first == 1 {
		hidden = 4
	} else if first != 21 {
		return nil
	}
	if n < 1+hidden {
		return nil
	}
	parts := make([]uint32, hidden)
	for i := range parts {
		parts[i] = binary.LittleEndian.Uint32(raw[12+4*i:])
	}
	if parts[0] == sidMark {
		return nil
	}
	s.count(SID, raw[12:12+4*hidden])
	s.hideSID(parts)
	out := bytes.Clone(raw)
	for i, v := range parts {
		binary.LittleEndian.PutUint32(out[12+4*i:], v)
	}
	return out
}

// unknownBytes looks at bytes of unknown build as text, in ANSI and in UTF-16. If anything in them is secret they are
// removed whole, because they cannot be put together again.
func (s *scanner) unknownBytes(raw []byte) []byte {
	if len(raw) < 4 {
		return nil
	}
	for _, view := range [][]byte{printable(raw), printable(wideText(raw, 0)), printable(wideText(raw, 1))} {
		if len(view) < 4 {
			continue
		}
		n := scanner{r: s.r, dry: 1, depth: s.depth + 1}
		if !bytes.Equal(n.redact(nil, view), view) {
			return s.removeBytes(raw)
		}
	}
	return nil
}

// wideText takes every second byte, as UTF-16 of Latin letters has them; other characters become blanks.
func wideText(raw []byte, from int) []byte {
	out := make([]byte, 0, len(raw)/2)
	for i := from; i+1 < len(raw); i += 2 {
		if raw[i+1] != 0 {
			out = append(out, ' ')
			continue
		}
		out = append(out, raw[i])
	}
	return out
}

// printable replaces all that is no text by blanks. Bytes above 0x7F are no text here: in binary data they are noise.
func printable(raw []byte) []byte {
	out := make([]byte, len(raw))
	letters := 0
	for i, c := range raw {
		out[i] = ' '
		if c > ' ' && c < 0x7F {
			out[i] = c
			letters++
		}
	}
	if letters < 4 {
		return nil
	}
	return out
}

// wide redacts runs of UTF-16LE inside a text of bytes, as programs that do not agree on an encoding leave behind when
// they append to one file.
func (s *scanner) wide() {
	const minRun = 4
	s.begin()
	b := s.cur
	for i := 0; i+1 < len(b); i++ {
		if b[i] < ' ' || b[i+1] != 0 {
			continue
		}
		end := i
		for end+1 < len(b) && (b[end] >= ' ' || b[end] == '\t') && b[end+1] == 0 {
			end += 2
		}
		if (end-i)/2 < minRun {
			i = max(i, end-1)
			continue
		}
		text := make([]byte, 0, (end-i)/2+1)
		for j := i; j < end; j += 2 {
			text = append(text, b[j])
		}
		if redacted := s.nested(text); !bytes.Equal(redacted, text) {
			s.cut(i, end)
			for _, c := range redacted {
				s.out = append(s.out, c, 0)
			}
		}
		i = end - 1
	}
	s.end()
}
