package catalog

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed releases.tsv
var releasesTSV string

// release is one release of Windows.
type release struct {
	build, family  int
	client, server []string // what the catalogue calls it
	stack          bool     // its servicing stack is an update of its own
}

// releases is the table, by build. A test holds that it can be read.
var releases = sync.OnceValues(func() ([]release, error) { return parseReleases(releasesTSV) })

func parseReleases(text string) ([]release, error) {
	var out []release
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "build\t") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("releases.tsv:%d: %d columns", n, len(f))
		}
		build, err1 := strconv.Atoi(f[0])
		family, err2 := strconv.Atoi(f[1])
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("releases.tsv:%d: %w", n, err)
		}
		r := release{build: build, family: family, stack: f[4] == "separate"}
		if f[2] != "" {
			r.client = strings.Split(f[2], ";")
		}
		if f[3] != "" {
			r.server = strings.Split(f[3], ";")
		}
		out = append(out, r)
	}
	return out, nil
}

func releaseOf(build int) (release, bool) {
	all, err := releases()
	if err != nil {
		return release{}, false
	}
	i := slices.IndexFunc(all, func(r release) bool { return r.build == build })
	if i < 0 {
		return release{}, false
	}
	return all[i], true
}

// simple writes a name the way the table does: small letters and digits, everything else
// a blank, so that "Windows 10,  Version 22H2" and "Windows 10 version 22H2" are one.
func simple(s string) string {
	var b strings.Builder
	blank := true
	for _, c := range strings.ToLower(s) {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.':
			b.WriteRune(c)
			blank = false
		case !blank:
			b.WriteByte(' ')
			blank = true
		}
	}
	return strings.TrimSpace(b.String())
}

// names reports whether a simple text has a simple name as words of its own. A name that
// ends with a number does not stand for one that says more ("windows server 2012" in
// "windows server 2012 r2"; "windows 8" in "windows 8.1").
func names(text, name string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(name)
		rest := text[end:]
		if (i == 0 || text[i-1] == ' ') && (rest == "" || rest[0] == ' ') && !strings.HasPrefix(rest, " r2") {
			return true
		}
		from = end
	}
}

// scope is which machines a text of the catalogue means.
type scope struct {
	client, server []int // builds that it names
	from, to       int   // or all of these builds; 0: none
	servers        bool  // that are servers
	unknown        bool  // it names a release that the table has not got
}

func (s scope) says() bool {
	return len(s.client) > 0 || len(s.server) > 0 || s.from > 0 || s.unknown
}

func (s scope) has(t Target) bool {
	b := t.build()
	if t.Server {
		return slices.Contains(s.server, b) || s.servers && s.from > 0 && s.from <= b && b <= s.to
	}
	return slices.Contains(s.client, b) || !s.servers && s.from > 0 && s.from <= b && b <= s.to
}

// lastBuild stands for all that will come of a family.
const lastBuild = 1 << 20

// families are names without a release, the more special ones first. The catalogue keeps
// Windows 10 from 1903 on in a product of its own. learn.microsoft.com: WSUS, "Configure
// update products and classifications".
var families = []struct {
	name     string
	from, to int
	servers  bool
}{
	{"windows 10 version 1903 and later", 18362, 19045, false},
	{"windows 10 ltsb", 10240, 14393, false},
	{"windows 10", 10240, 19045, false},
	{"windows 11", 22000, lastBuild, false},
	{"microsoft server operating system", 20348, lastBuild, true},
	{"windows server", 6002, lastBuild, true},
}

// releaseForm is a release by its version, "windows 11 version 29h2".
var releaseForm = regexp.MustCompile(`(windows (10|11|server)|operating system) (version )?\d\d[h\d]\d\b`)

// read finds out which machines a title or a list of products means.
func read(text string) scope {
	text = simple(text)
	var s scope
	all, err := releases()
	if err != nil {
		return s
	}
	for _, r := range all {
		if slices.ContainsFunc(r.client, func(n string) bool { return names(text, n) }) {
			s.client = append(s.client, r.build)
		}
		if slices.ContainsFunc(r.server, func(n string) bool { return names(text, n) }) {
			s.server = append(s.server, r.build)
		}
	}
	// "windows 10 version 1903 and later" names no one release.
	if strings.Contains(text, " and later") {
		s.client = nil
	}
	if s.says() {
		return s
	}
	if m := releaseForm.FindString(text); m != "" && !strings.Contains(text, " and later") {
		s.unknown = true
		return s
	}
	for _, f := range families {
		if names(text, f.name) {
			s.from, s.to, s.servers = f.from, f.to, f.servers
			return s
		}
	}
	return s
}
