package facts

import (
	"cmp"
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"updoc/internal/sorted"
)

// Release is a cumulative update, and what it makes of a build of Windows.
type Release struct {
	kb       uint32
	family   uint16 // the lowest of the builds that share its revisions
	revision uint16
	month    uint16 // 2505 for May 2025, 0 if unknown
}

//go:embed data/updates.tsv
var releaseTable string

// releases are all of the table, by number.
var releases = sync.OnceValue(func() []Release {
	out := make([]Release, 0, strings.Count(releaseTable, " ")) // an entry ends at a blank, a line, or the end
	for line := range strings.Lines(releaseTable) {
		build, list, _ := strings.Cut(strings.TrimSpace(line), "\t")
		family, err := strconv.ParseUint(build, 10, 16)
		if err != nil {
			continue // a comment, or the names of the columns
		}
		for entry := range strings.FieldsSeq(list) {
			revision, rest, _ := strings.Cut(entry, ":")
			kb, month, _ := strings.Cut(rest, ":")
			out = append(out, Release{
				kb: uint32(number(kb)), family: uint16(family), revision: uint16(number(revision)), month: uint16(number(month)),
			})
		}
	}
	sorted.By(out, func(a, b Release) int { return cmp.Compare(a.kb, b.kb) })
	return slices.Clip(out)
})

// number reads decimal digits; what is none is 0.
func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return n
}

// kbNumber takes 5034441 from "KB5034441", "kb 5034441" and "5034441"; 0 if it is none.
func kbNumber(s string) uint32 {
	s = strings.TrimSpace(s)
	if len(s) > 2 && strings.EqualFold(s[:2], "kb") {
		s = s[2:]
	}
	return uint32(number(strings.TrimSpace(s)))
}

// family is the lowest of the builds that share their revisions with this one.
func family(base string) uint16 {
	switch n := uint16(number(base)); n {
	case 18363:
		return 18362
	case 19042, 19043, 19044, 19045:
		return 19041
	case 22631:
		return 22621
	case 26200:
		return 26100
	default:
		return n
	}
}

// release finds what an update makes of a family of builds; a number may stand for
// several families, as those of Windows 10 1903 and 1909.
func release(kb uint32, of uint16) (Release, bool) {
	list := releases()
	at, _ := slices.BinarySearchFunc(list, kb, func(r Release, kb uint32) int { return cmp.Compare(r.kb, kb) })
	for ; kb != 0 && at < len(list) && list[at].kb == kb; at++ {
		if list[at].family == of {
			return list[at], true
		}
	}
	return Release{}, false
}

// UpdatesOf returns the cumulative updates that came for a build, such as "22631.3007"
// or "22631", in a month: "KB5034123".
func UpdatesOf(build string, m Month) []string {
	base, _, _ := strings.Cut(build, ".")
	of := family(base)
	var out []string
	for _, r := range releases() {
		if of != 0 && r.family == of && int(r.month%100) == m.Month && (m.Year == 0 || int(r.month/100) == m.Year%100) {
			out = append(out, "KB"+strconv.Itoa(int(r.kb)))
		}
	}
	return out
}

// editions are the base builds of what people call a version of Windows.
// learn.microsoft.com: Windows 11 release information; Windows 10 release information;
// Windows Server release information.
var editions = []struct{ system, version, build string }{
	{"windows 11", "26h1", "28000"},
	{"windows 11", "25h2", "26200"},
	{"windows 11", "24h2", "26100"},
	{"windows 11", "23h2", "22631"},
	{"windows 11", "22h2", "22621"},
	{"windows 11", "21h2", "22000"},
	{"windows 10", "22h2", "19045"},
	{"windows 10", "21h2", "19044"},
	{"windows 10", "21h1", "19043"},
	{"windows 10", "20h2", "19042"},
	{"windows 10", "2004", "19041"},
	{"windows 10", "1909", "18363"},
	{"windows 10", "1903", "18362"},
	{"windows 10", "1809", "17763"},
	{"windows 10", "1803", "17134"},
	{"windows 10", "1709", "16299"},
	{"windows 10", "1703", "15063"},
	{"windows 10", "1607", "14393"},
	{"windows 10", "1511", "10586"},
	{"windows 10", "1507", "10240"},
	{"server", "2025", "26100"},
	{"server", "2022", "20348"},
	{"server", "2019", "17763"},
	{"server", "2016", "14393"},
	{"server", "2012 r2", "9600"},
	{"server", "2012", "9200"},
	{"server", "2008 r2", "7601"},
	{"windows 8.1", "", "9600"},
	{"windows 7", "", "7601"},
}

// BaseBuild is the build of a version of Windows by its name, such as "Windows 11 Pro
// 24H2"; "" if the name says no more than "Windows 11".
func BaseBuild(name string) string {
	name = strings.ToLower(name)
	for _, e := range editions {
		if strings.Contains(name, e.system) && strings.Contains(name, e.version) {
			return e.build
		}
	}
	return ""
}

// VersionNamed is the base build of the only version of Windows 11 that a text names by
// a word that no version of Windows 10 has, such as "24H2"; "" if it names none or several.
func VersionNamed(text string) string {
	text = strings.ToLower(text)
	found := ""
	for _, e := range editions {
		if e.version < "23h2" || !strings.HasSuffix(e.version, "h2") && !strings.HasSuffix(e.version, "h1") || !strings.Contains(text, e.version) {
			continue
		}
		if found != "" {
			return ""
		}
		found = e.build
	}
	return found
}

// A Month is one in which updates come. Year is 0 where only the name of the month is
// given, as in "the October update".
type Month struct{ Year, Month int }

// monthNames are the months in English and German, in full and as people shorten them.
var monthNames = [...]string{
	" jan january januar ", " feb february februar ", " mar march mär märz maerz ", " apr april ", " may mai ", " jun june juni ",
	" jul july juli ", " aug august ", " sep sept september ", " oct october okt oktober ", " nov november ", " dec december dez dezember ",
}

// updateWords are what a month stands beside when it names updates.
var updateWords = []string{"update", "patch", "cumulative", "rollup", "preview", "security", "lcu", "kumulativ"}

// MonthsNamed returns the months by which a text names updates: "2025-05 Cumulative
// Update", "the May 2025 update", a few at most. A date alone is none.
func MonthsNamed(text string) []Month {
	var out []Month
	for at := 0; len(out) < 4; {
		i := strings.Index(text[at:], "20")
		if i < 0 || at+i+4 > len(text) {
			break
		}
		i += at
		at = i + 2
		year := int(number(text[i : i+4]))
		if year < 2015 || year > 2099 || i > 0 && wordByte(text[i-1]) || i+4 < len(text) && wordByte(text[i+4]) {
			continue
		}
		m := monthBehind(text[i+4:])
		if m == 0 {
			m = monthBefore(text[:i])
		}
		near := strings.ToLower(text[max(0, i-60):min(len(text), i+60)])
		if m == 0 || !slices.ContainsFunc(updateWords, func(w string) bool { return strings.Contains(near, w) }) {
			continue
		}
		if named := (Month{year, m}); !slices.Contains(out, named) {
			out = append(out, named)
		}
	}
	if len(out) == 0 {
		out = monthsAlone(text)
	}
	return out
}

// monthsAlone reads "the October update" and "Juli-Patch". "may" is a month only with a
// capital, and none of them is one without the update behind it.
func monthsAlone(text string) []Month {
	var out []Month
	month := 0
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		low := strings.ToLower(word)
		if month != 0 && slices.ContainsFunc(updateWords, func(w string) bool { return strings.HasPrefix(low, w) }) {
			if m := (Month{Month: month}); !slices.Contains(out, m) && len(out) < 4 {
				out = append(out, m)
			}
		}
		month = 0
		if low != word && len(word) > 2 {
			month = monthBefore(word)
		}
	}
	return out
}

// monthBehind reads "-05", but not "-05-13", which is a day.
func monthBehind(s string) int {
	if len(s) < 3 || s[0] != '-' || len(s) > 3 && (s[3] == '-' || wordByte(s[3])) {
		return 0
	}
	if m := int(number(s[1:3])); m >= 1 && m <= 12 {
		return m
	}
	return 0
}

// monthBefore reads the name of a month that stands before a year: "May ", "13. Mai ",
// "May 13, ".
func monthBefore(s string) int {
	s = strings.TrimRight(s, " ,.0123456789")
	word := strings.ToLower(s[strings.LastIndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })+1:])
	if word == "" {
		return 0
	}
	for m, names := range monthNames {
		if strings.Contains(names, " "+word+" ") {
			return m + 1
		}
	}
	return 0
}
