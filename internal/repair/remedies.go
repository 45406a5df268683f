// Package repair holds the cures: what each does, what it risks and costs, how it
// is fitted to a machine, in which order cures are tried, and how a plan of them is
// carried out, proved and taken back under a journal.
package repair

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Risk says how much a remedy can hurt.
type Risk string

// The risks, from nothing at all to somebody else's decision.
const (
	RiskNone       Risk = "none"       // only looks
	RiskReversible Risk = "reversible" // can be taken back
	RiskRestart    Risk = "restart"    // can be taken back, needs a restart
	RiskPermanent  Risk = "permanent"  // cannot be taken back
	RiskOutside    Risk = "outside"    // somebody else must act
)

// How a remedy is carried out.
const (
	Automatic = "automatic" // the program does it
	Guided    = "guided"    // the program leads a person through it
	Advice    = "advice"    // the program says what to tell whom
)

// Remedy is a cure of the catalogue. Its sentences stand in the message
// catalogue under "remedy.ID.title" and "remedy.ID.how".
type Remedy struct {
	ID      string
	Risk    Risk
	How     string // automatic, guided or advice
	Minutes int
	Restart string // no, maybe, yes
	Cures   []string
}

//go:embed remedies.tsv
var remedyData string

// Catalogue returns every remedy, looking ones first, in the order of the table.
func Catalogue() []Remedy { return catalogue().list }

// Lookup returns the remedy with the given id.
func Lookup(id string) (Remedy, bool) {
	c := catalogue()
	i, ok := c.byID[id]
	if !ok {
		return Remedy{}, false
	}
	return c.list[i], true
}

type table struct {
	list []Remedy
	byID map[string]int
	err  error
}

var catalogue = sync.OnceValue(func() table {
	t := table{byID: map[string]int{}}
	n := 0
	for line := range strings.Lines(remedyData) {
		n++
		if n == 1 {
			continue
		}
		cols := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(cols) < 6 {
			t.err = fmt.Errorf("remedies.tsv:%d: %d columns", n, len(cols))
			continue
		}
		minutes, err := strconv.Atoi(cols[3])
		if err != nil {
			t.err = fmt.Errorf("remedies.tsv:%d: %w", n, err)
		}
		r := Remedy{ID: cols[0], Risk: Risk(cols[1]), How: cols[2], Minutes: minutes, Restart: cols[4]}
		if cols[5] != "" {
			r.Cures = strings.Split(cols[5], ",")
		}
		t.byID[r.ID] = len(t.list)
		t.list = append(t.list, r)
	}
	return t
})
