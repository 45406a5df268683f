package codes

import (
	"cmp"
	_ "embed"
	"slices"
	"strconv"
	"strings"
)

// Near returns the rows of the table that s was perhaps meant to be, best
// first, at most n. A number is varied by the slips that happen when one is
// copied by hand: a digit wrong, two swapped, one missing or one too many, O
// for 0 and l for 1. A name is compared by its beginning, by what it contains
// and by edit distance. Codes of the update components come before others.
//
// The row that s itself names, if there is one, is not among them.
func Near(s string, n int) []Info {
	const maxNear = 64 // bytes; longer texts are no codes
	t := tidy(s)
	if n <= 0 || t == "" || len(t) > maxNear {
		return nil
	}
	var found candidates
	if d, slipped, ok := looksHex(t); ok {
		found.hex(d, slipped)
	}
	if d, neg := strings.CutPrefix(t, "-"); strings.Trim(unslip.Replace(d), "0123456789") == "" {
		found.decimal(unslip.Replace(d), neg)
	}
	if len(found) == 0 {
		found.symbol(t)
	}
	return found.best(n)
}

// commonTXT lists the codes that people meet most, one a line: those that are
// typical of a cause. Of equally near rows they come first.
//
//go:embed data/common.txt
var commonTXT string

// unslip undoes letters taken for digits.
var unslip = strings.NewReplacer("O", "0", "o", "0", "l", "1", "I", "1")

// looksHex returns the digits of what is meant as a hex code of 6 to 10
// digits, one of eight perhaps no digit at all, and whether letters were taken
// for digits in it.
func looksHex(t string) (digits string, slipped, ok bool) {
	if len(t) > 1 && (t[0] == '0' || t[0]|0x20 == 'o') && t[1]|0x20 == 'x' {
		slipped = t[0] != '0'
		t = t[2:]
	}
	digits = strings.ToUpper(strings.TrimSuffix(unslip.Replace(t), "h"))
	if len(digits) < 6 || len(digits) > 10 {
		return "", false, false
	}
	wrong, decimals := 0, 0
	for i := range len(digits) {
		switch c := digits[i]; {
		case c-'0' <= 9:
			decimals++
		case c < 'A' || c > 'F':
			wrong++
		}
	}
	return digits, slipped || !strings.EqualFold(digits, t), wrong == 0 || wrong == 1 && len(digits) == 8 && decimals >= 4
}

// A candidate is a row and how far it is from what was given.
type candidate struct {
	code HRESULT
	cost int
}

type candidates []candidate

// add notes h if the table knows it.
func (c *candidates) add(h HRESULT, cost int) {
	row, ok := findRow(h)
	if !ok {
		return
	}
	cost += rank(row.field(colFamily))
	if strings.Contains(commonTXT, string(row[:8])) {
		cost--
	}
	for i := range *c {
		if (*c)[i].code == h {
			(*c)[i].cost = min((*c)[i].cost, cost)
			return
		}
	}
	*c = append(*c, candidate{h, cost})
}

// rank prefers what Windows Update itself reports.
func rank(family string) int {
	switch {
	case family == "wua-transport", family == "wua-agent":
		return 0
	case strings.HasPrefix(family, "wua-"):
		return 1
	case family == "cbs", family == "cbs-psfx", family == "setup", family == "winhttp", family == "bits", family == "do":
		return 2
	}
	return 4
}

// best returns the n nearest rows.
func (c candidates) best(n int) []Info {
	slices.SortFunc(c, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.code, b.code))
	})
	if len(c) > n {
		c = c[:n]
	}
	out := make([]Info, 0, len(c))
	for _, x := range c {
		if i, ok := Lookup(x.code); ok {
			out = append(out, i)
		}
	}
	return out
}

// Costs of a slip.
const (
	costSwapped = 2  // two neighbours exchanged
	costAlike   = 3  // a digit that looks like the right one
	costDigit   = 6  // any other digit; one missing or too many
	costExact   = -1 // the number itself, once letters are digits
)

// hex varies up to ten hex digits.
func (c *candidates) hex(d string, slipped bool) {
	try := func(s string, cost int) {
		if len(s) == 8 {
			if v, err := strconv.ParseUint(s, 16, 32); err == nil {
				c.add(HRESULT(v), cost)
			}
		}
	}
	vary(d, upperHex, try)
	if slipped {
		try(d, costExact)
	} else if self, err := strconv.ParseUint(d, 16, 64); err == nil {
		*c = slices.DeleteFunc(*c, func(x candidate) bool { return uint64(x.code) == self })
	}
}

// decimal varies a decimal number, signed or not.
func (c *candidates) decimal(d string, negative bool) {
	try := func(s string, cost int) {
		v, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
		case v <= 0xFFFF && !negative:
			if r, _ := readShort(uint32(v)); len(r) > 0 && cost == costExact {
				c.add(r[0].HRESULT, cost)
			}
		case v <= 1<<31 && negative:
			c.add(HRESULT(uint32(-v)), cost)
		case v <= 1<<32-1 && !negative:
			c.add(HRESULT(v), cost)
		}
	}
	if len(d) > 11 {
		return
	}
	try(d, costExact)
	if len(d) >= 8 {
		vary(d, upperHex[:10], try)
	}
}

// vary calls try with every variant of d that one slip can make.
func vary(d, digits string, try func(s string, cost int)) {
	b := make([]byte, 0, len(d)+1)
	for i := range len(d) {
		for j := range len(digits) {
			if digits[j] != d[i] { // a wrong digit
				cost := costDigit
				if alike(d[i], digits[j]) {
					cost = costAlike
				}
				b = append(append(append(b[:0], d[:i]...), digits[j]), d[i+1:]...)
				try(string(b), cost)
			}
		}
		if i+1 < len(d) && d[i] != d[i+1] { // two swapped
			b = append(append(append(b[:0], d[:i]...), d[i+1], d[i]), d[i+2:]...)
			try(string(b), costSwapped)
		}
		b = append(append(b[:0], d[:i]...), d[i+1:]...) // one too many
		try(string(b), costDigit)
	}
	for i := range len(d) + 1 { // one missing
		for j := range len(digits) {
			b = append(append(append(b[:0], d[:i]...), digits[j]), d[i:]...)
			cost := costDigit
			if i == len(d) || i > 0 && d[i-1] == digits[j] || i < len(d) && d[i] == digits[j] {
				cost = costAlike // cut off, or a doubled digit written once
			}
			try(string(b), cost)
		}
	}
}

// alike reports whether two digits are taken for each other.
func alike(a, b byte) bool {
	if a > b {
		a, b = b, a
	}
	switch [2]byte{a, b} {
	case [2]byte{'8', 'B'}, [2]byte{'0', 'D'}, [2]byte{'1', '7'}, [2]byte{'6', 'B'}, [2]byte{'5', '6'}, [2]byte{'0', '8'},
		[2]byte{'3', '8'}, [2]byte{'C', 'E'}, [2]byte{'E', 'F'}, [2]byte{'B', 'D'}, [2]byte{'4', 'A'}, [2]byte{'2', '3'}:
		return true
	}
	return false
}

// symbol compares a name with every symbol of the table.
func (c *candidates) symbol(t string) {
	name := strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '.' {
			return '_'
		}
		return r
	}, t))
	if len(name) < 3 {
		return
	}
	limit := min(4, 1+len(name)/6)
	var d distance
	for row := range rows() {
		for s := range strings.SplitSeq(row.field(colSymbols), "|") {
			switch {
			case s == "":
			case strings.EqualFold(s, name):
				if !strings.EqualFold(t, s) {
					c.add(row.code(), 0) // blanks or hyphens for underscores
				}
			case len(name) >= 5 && hasPrefixFold(s, name):
				c.add(row.code(), 1+(len(s)-len(name))/8)
			case len(s) >= 6 && len(name)-len(s) <= 8 && strings.HasPrefix(name, strings.ToUpper(s)):
				c.add(row.code(), 2+(len(name)-len(s))/4)
			case len(name) >= 5 && containsFold(s, name):
				c.add(row.code(), 2+(len(s)-len(name))/8)
			default:
				if n := d.within(name, s, limit); n <= limit {
					c.add(row.code(), n*3)
				}
			}
		}
	}
}

func hasPrefixFold(s, upper string) bool {
	return len(s) >= len(upper) && strings.EqualFold(s[:len(upper)], upper)
}

func containsFold(s, upper string) bool {
	for ; len(s) >= len(upper); s = s[1:] {
		if strings.EqualFold(s[:len(upper)], upper) {
			return true
		}
	}
	return false
}

// distance computes edit distances with swaps of neighbours counted as one
// (Damerau), in three reused rows.
type distance struct{ rows [3][maxSymbol + 1]uint8 }

// within returns the distance of the upper-case a and b in any case, or
// limit+1 as soon as it is known to be more than limit.
func (d *distance) within(a, b string, limit int) int {
	if len(a) > maxSymbol || len(b) > maxSymbol || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	two, one, cur := &d.rows[0], &d.rows[1], &d.rows[2]
	for j := range len(b) + 1 {
		one[j] = uint8(j)
	}
	for i := 1; i <= len(a); i++ {
		// Outside the band the distance is above the limit in any case.
		lo, hi := max(1, i-limit), min(len(b), i+limit)
		cur[0] = uint8(i)
		if lo > 1 {
			cur[lo-1] = uint8(limit) + 1
		}
		if hi < len(b) {
			cur[hi+1] = uint8(limit) + 1
		}
		least := uint8(limit) + 1
		for j := lo; j <= hi; j++ {
			var cost uint8
			if a[i-1] != upper(b[j-1]) {
				cost = 1
			}
			v := min(one[j]+1, cur[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == upper(b[j-2]) && a[i-2] == upper(b[j-1]) {
				v = min(v, two[j-2]+1)
			}
			cur[j] = v
			least = min(least, v)
		}
		if int(least) > limit {
			return limit + 1
		}
		two, one, cur = one, cur, two
	}
	return int(one[len(b)])
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}
