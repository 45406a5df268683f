package cause

import (
	"bufio"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"updoc/internal/facts"
)

// data/lifecycle.tsv says until when each build of Windows got updates. It is
// compared with the newest time that the machine's own logs show and never with
// the clock: a log of 2019 tells of a Windows that was supported then.

//go:embed data/lifecycle.tsv
var lifecycleTable string

// Editions as the table tells them apart. Windows 10 and 11 end at other times
// for Home and Pro than for Enterprise and Education.
const (
	editionClient     = "client"
	editionHome       = "home"
	editionEnterprise = "enterprise"
	editionLTSC       = "ltsc"
	editionIoTLTSC    = "iot-ltsc" // has rows of its own where it is supported longer
	editionServer     = "server"
)

// release is one row: a build in one edition.
type release struct {
	build    int
	product  string // "Windows 10"
	name     string // "22H2", "" if it has none
	edition  string
	end      time.Time // last day with updates
	extended time.Time // last day of Extended Security Updates; zero: there are none
}

// String names the release as people do.
func (r release) String() string { return strings.TrimSpace(r.product + " " + r.name) }

var lifecycle = sync.OnceValues(func() ([]release, error) {
	var out []release
	sc := bufio.NewScanner(strings.NewReader(lifecycleTable))
	for n := 1; sc.Scan(); n++ {
		if line := sc.Text(); n > 1 && line != "" && line[0] != '#' {
			r, err := parseRelease(strings.Split(line, "\t"))
			if err != nil {
				return nil, fmt.Errorf("lifecycle.tsv:%d: %w", n, err)
			}
			out = append(out, r)
		}
	}
	return out, sc.Err()
})

func parseRelease(cols []string) (r release, err error) {
	if len(cols) != 6 {
		return r, fmt.Errorf("%d columns, want build, product, release, edition, end, extended", len(cols))
	}
	r.product, r.edition = cols[1], cols[3]
	if cols[2] != "-" {
		r.name = cols[2]
	}
	if r.build, err = strconv.Atoi(cols[0]); err != nil {
		return r, err
	}
	if r.end, err = time.Parse(time.DateOnly, cols[4]); err != nil {
		return r, err
	}
	if cols[5] != "-" {
		r.extended, err = time.Parse(time.DateOnly, cols[5])
	}
	return r, err
}

// keyCurrentVersion holds what Windows says of itself.
const keyCurrentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`

// buildNumber is the build of the machine without its revision; 0 if unknown.
func buildNumber(l *look) int {
	text := l.Machine.Build
	if v := l.Text(keyCurrentVersion, "CurrentBuild"); text == "" && v.State == facts.Present {
		text = v.Value
	}
	text, _, _ = strings.Cut(text, ".")
	n, _ := strconv.Atoi(text)
	return n
}

// edition tells the editions of the table apart; "" if it is not known.
func edition(l *look) string {
	id := l.Text(keyCurrentVersion, "EditionID").Value
	switch {
	case strings.HasPrefix(id, "Server"):
		return editionServer
	case id == "IoTEnterpriseS", id == "IoTEnterpriseSK":
		return editionIoTLTSC
	case id == "EnterpriseS", id == "EnterpriseSN":
		return editionLTSC
	case strings.HasPrefix(id, "Enterprise"), strings.HasPrefix(id, "Education"), strings.HasPrefix(id, "IoTEnterprise"):
		return editionEnterprise
	case id != "":
		return editionHome
	}
	os := l.Machine.OS
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(os, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("Server"):
		return editionServer
	case has("LTSC", "LTSB") && has("Enterprise") && !has("IoT"):
		return editionLTSC
	case has("LTSC", "LTSB"): // which of the two is not said: a doubt is no proof of age
		return editionIoTLTSC
	case has("Enterprise", "Education"):
		return editionEnterprise
	case has("Home", "Pro"):
		return editionHome
	}
	return ""
}

// machineRelease finds the machine's row. Where the edition is not known it is
// the one that is supported longest: a doubt is no proof of age.
func machineRelease(l *look) (release, bool) {
	rows, err := lifecycle()
	if err != nil {
		return release{}, false
	}
	build, ed := buildNumber(l), edition(l)
	var best release
	for _, r := range rows {
		switch {
		case build != 0 && r.build != build:
			continue
		case build == 0 && !names(l.Machine.OS, r):
			continue
		case ed == editionServer != (r.edition == editionServer) && (ed != "" || build == 0):
			continue
		case ed == editionIoTLTSC && r.edition == editionLTSC:
		case ed != "" && r.edition != ed && r.edition != editionClient && r.edition != editionServer:
			continue
		}
		if best.product == "" || r.end.After(best.end) {
			best = r
		}
	}
	return best, best.product != ""
}

// names reports whether the words name the release: the product, and its
// version where it has one.
func names(os string, r release) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(os, "Microsoft "), r.product)
	if !ok || strings.HasPrefix(rest, " R2") || strings.HasPrefix(rest, ".") {
		return false
	}
	return r.name == "" || strings.Contains(rest, r.name)
}

// newest is the newest time that the failures and successes show; zero if none
// of them has one.
func newest(l *look) time.Time {
	var t time.Time
	later := func(u time.Time) {
		if u.After(t) {
			t = u
		}
	}
	for _, f := range l.Failures {
		later(f.Last)
		later(f.First)
		for _, s := range f.Seen {
			later(s.Time)
		}
	}
	for _, s := range l.Successes {
		later(s.Seen.Time)
	}
	for _, s := range l.Servicing.Seen {
		later(s.Time)
	}
	return t
}

// notOffered reports a failure without a code in which updates do not come.
func notOffered(l *look) bool {
	for _, f := range l.Failures {
		if f.Kind == facts.KindNotOffered && !f.Resolved {
			return true
		}
	}
	return false
}

// silent reports that people or logs tell of trouble, and none of it has a code.
func silent(l *look) bool {
	trouble := false
	for _, f := range l.Suffering() {
		if f.Code != 0 {
			return false
		}
		trouble = true
	}
	return trouble
}

// begun reports trouble with an update that came: it hangs, goes back, comes again or
// keeps Windows from starting. A Windows that gets no updates any more has none of it.
func begun(l *look) bool {
	return slices.ContainsFunc(l.Suffering(), func(f facts.Failure) bool {
		switch f.Kind {
		case facts.KindStuck, facts.KindReverted, facts.KindReinstalls, facts.KindRestartLoop, facts.KindNoBoot:
			return true
		}
		return false
	})
}

// tableMade is when the table was last held beside Microsoft's pages. A release that had
// ended by then is old, whenever a report without a date was written; the pure ranking
// knows no other day.
func tableMade() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// firstPaid is the number from which on the updates of a build come only with Extended
// Security Updates; 0 where there are none. support.microsoft.com: the update history of
// each version, and "Extended Security Updates (ESU) program for Windows 10".
func firstPaid(build int) int {
	switch build {
	case 6002, 6003, 7601: // after 14 January 2020
		return 4537000
	case 9200, 9600: // after 10 October 2023
		return 5031500
	case 19045: // after 14 October 2025
		return 5067000
	}
	return 0
}
