package catalog

import (
	"cmp"
	"slices"
)

// span is bytes of a file: from the first on, up to but without the end.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// spans are parts of a file, in order, apart from each other.
type spans []span

// add puts a part in, and joins what touches.
func (s spans) add(n span) spans {
	if n.From >= n.To {
		return s
	}
	i, _ := slices.BinarySearchFunc(s, n.From, func(x span, from int64) int { return cmp.Compare(x.To, from) })
	j := i
	for j < len(s) && s[j].From <= n.To {
		n.From, n.To = min(n.From, s[j].From), max(n.To, s[j].To)
		j++
	}
	return slices.Replace(s, i, j, n)
}

// front is how much of the file is there from its beginning on.
func (s spans) front() int64 {
	if len(s) == 0 || s[0].From > 0 {
		return 0
	}
	return s[0].To
}

func (s spans) bytes() int64 {
	var n int64
	for _, x := range s {
		n += x.To - x.From
	}
	return n
}

// gaps is what is missing up to a size.
func (s spans) gaps(size int64) spans {
	var out spans
	at := int64(0)
	for _, x := range s {
		if x.From > at {
			out = append(out, span{at, x.From})
		}
		at = x.To
	}
	if at < size {
		out = append(out, span{at, size})
	}
	return out
}

// valid reports parts that are in order, apart, and within a size.
func (s spans) valid(size int64) bool {
	at := int64(-1)
	for _, x := range s {
		if x.From <= at || x.From >= x.To || x.To > size {
			return false
		}
		at = x.To
	}
	return true
}
