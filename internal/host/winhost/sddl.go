package winhost

import (
	"slices"
	"strings"
)

// descriptor is a security descriptor in the text form of Windows, in parts. Only
// what it can be compared by is kept.
// learn.microsoft.com: "Security Descriptor String Format", "ACE Strings".
type descriptor struct {
	owner, group string
	dacl, sacl   list
}

// list is an access control list: whether it is there, whether it takes what its
// parent hands down, and the entries that were set on the object itself.
type list struct {
	present, protected bool
	own                []string
}

// parseSDDL splits the text. It is made for what Windows wrote: what it cannot
// place is kept in the part it stands in, so that another text is another
// descriptor.
func parseSDDL(s string) descriptor {
	var d descriptor
	for s != "" {
		end := nextPart(s)
		part := s[:end]
		s = s[end:]
		name, rest, _ := strings.Cut(part, ":")
		switch name {
		case "O":
			d.owner = rest
		case "G":
			d.group = rest
		case "D":
			d.dacl = parseList(rest)
		case "S":
			d.sacl = parseList(rest)
		}
	}
	return d
}

// nextPart returns where the part after the first one begins: at the letter
// before a colon that is in no entry.
func nextPart(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth = max(depth-1, 0)
		case ':':
			if depth == 0 && i > 1 {
				return i - 1
			}
		}
	}
	return len(s)
}

// Generic rights become those of files once a file has them.
// learn.microsoft.com: "File Security and Access Rights".
var fileRights = strings.NewReplacer(";GA;", ";FA;", ";GR;", ";FR;", ";GW;", ";FW;", ";GX;", ";FX;")

func parseList(s string) list {
	flags, entries, _ := strings.Cut(s, "(")
	l := list{present: true, protected: strings.Contains(flags, "P")}
	if entries == "" {
		l.own = []string{flags} // NO_ACCESS_CONTROL is another list than an empty one
		if strings.Trim(flags, "PARI") == "" {
			l.own = nil
		}
		return l
	}
	for e := range strings.SplitSeq(strings.TrimSuffix(entries, ")"), ")(") {
		fields := strings.Split(e, ";")
		if len(fields) > 1 && strings.Contains(fields[1], "ID") {
			continue // inherited: it comes and goes with the parent's
		}
		l.own = append(l.own, fileRights.Replace(e))
	}
	return l
}

// grants reports whether an object with the descriptor now is as want says, in the
// parts that want has. How an entry got there counts nothing: setting a list marks
// it as one that passes things on.
func grants(now, want string) bool {
	n, w := parseSDDL(now), parseSDDL(want)
	same := func(n, w list) bool {
		return !w.present || n.present && n.protected == w.protected && slices.Equal(n.own, w.own)
	}
	return (w.owner == "" || n.owner == w.owner) && (w.group == "" || n.group == w.group) && same(n.dacl, w.dacl) && same(n.sacl, w.sacl)
}
