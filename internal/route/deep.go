package route

import (
	"context"
	"errors"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/route/wusp"
)

// deepTime bounds a deep session: an agent that calls for pages 200 times is given up
// on by itself, one that does so slowly is given up on here.
const deepTime = 2 * time.Minute

// GoesDeep says what a deep walk sends, to whom and in whose name, so that it can be
// told before. It is "" where nothing would be sent, and then why says why not.
func (s Settings) GoesDeep() (what, why string) {
	switch {
	case !s.usesWSUS():
		return "", "no WSUS server is set: there is nothing to go deep into"
	case s.ClientID == "" || s.Computer == "":
		return "", "going deep needs the machine's own SusClientId and its DNS name"
	}
	return "GetAuthorizationCookie, GetCookie, SyncUpdates and GetExtendedUpdateInfo to " + trimURL(s.WSUS) +
		" as " + s.Computer + ", SusClientId " + s.ClientID + "; the server may note that this machine asked", ""
}

// deep goes on at the WSUS server as an agent does until it would download, by the way
// that its first call took. What is found becomes trips "wusp.*", one for each
// operation. It returns why something was not asked.
func (w *Walker) deep(ctx context.Context, s Settings, walk *Walk) string {
	if _, why := s.GoesDeep(); why != "" {
		return why
	}
	var first *Trip
	for i := range walk.Trips {
		if walk.Trips[i].Task.ID == "wsus.config" {
			first = &walk.Trips[i]
		}
	}
	if first == nil || first.Deciding() == nil || first.Deciding().Exchange.Broken() != nil {
		return "the first call of the scan was not answered: there is no going on"
	}
	way := first.Deciding()
	ctx, cancel := context.WithTimeout(ctx, deepTime)
	defer cancel()
	session := wusp.Session{
		Exchanger: w.Exchanger, Server: (&planner{Settings: s}).server(wusp.WSUS(trimURL(s.WSUS))), Via: way.Exchange.Request.Via,
		Deep: true, ClientID: s.ClientID, Computer: s.Computer, Pages: wusp.MaxTrips + 1, Installed: 1 << 20, Now: w.Now,
	}
	scan, err := session.Scan(ctx)
	// A server that does not know the machine wants it to register, which writes. An
	// agent does so and goes on: this is no failure.
	if p := scan.Problem; p != nil && p.SOAP != nil && p.SOAP.Recovery == wusp.Register {
		scan.Problem = nil
		err = errors.New("the server wants the machine to register, which would be written down")
	}
	walk.Trips = append(walk.Trips, deepTrips(scan, first.Task, *way)...)
	if err != nil {
		return gapOf(err)
	}
	return ""
}

// deepTrips makes one trip of all steps with the same operation. What an agent got over
// by itself, as by a new cookie, is not what it stops at.
func deepTrips(scan *wusp.Scan, like Task, way Attempt) []Trip {
	var trips []Trip
	var order []string
	last := map[string]wusp.Step{}
	for _, step := range scan.Steps {
		if _, ok := last[step.Operation]; !ok {
			order = append(order, step.Operation)
		}
		if p := last[step.Operation].Problem; p == nil || p != scan.Problem {
			last[step.Operation] = step
		}
	}
	for _, name := range order {
		step := last[name]
		t := Trip{Task: Task{
			ID: "wusp." + strings.ToLower(name), Caller: Agent, Vital: true, Decisions: like.Decisions,
			Request: step.Exchange.Request, Want: Want{Operation: name}, Purpose: deepPurpose[name], Source: sourceScan,
		}}
		t.Task.Request.ID = t.Task.ID
		a := Attempt{Decision: way.Decision, Script: way.Script, Walked: true, Exchange: step.Exchange}
		if p := scan.Problem; p != nil && p.Operation == name {
			a.Exchange = p.Mark(a.Exchange)
			if b := a.Exchange.Broken(); b != nil {
				b.Result = p.Code
			}
		} else if b := a.Exchange.Broken(); b != nil && b.Fault == host.FaultSOAP {
			continue // got over
		}
		t.Attempts = []Attempt{a}
		t.settle()
		trips = append(trips, t)
	}
	return trips
}

// deepPurpose says what the calls of a deep session are for, by operation.
var deepPurpose = map[string]string{
	"GetConfig":              "the rules of the WSUS server, compressed as for an agent",
	"GetAuthorizationCookie": "a sign-in at the WSUS server, in the machine's name",
	"GetCookie":              "a cookie of the WSUS server",
	"SyncUpdates":            "the updates that the machine needs, page by page",
	"GetExtendedUpdateInfo":  "the files of the updates",
	"GetFileLocations":       "where those files lie",
}
