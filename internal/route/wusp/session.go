package wusp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"updoc/internal/host"
)

// Limits of a session.
const (
	// MaxTrips is how often an agent calls SyncUpdates in one scan before it gives up
	// with 0x80244010; the number is fixed in its code. learn.microsoft.com: "WSUS
	// clients fail with WARNING: SyncServerUpdatesInternal failed: 0x80244010".
	MaxTrips = 200

	defaultPages  = 20     // of SyncUpdates: enough to know that it works
	maxInstalled  = 400    // WSUS refuses more InstalledNonLeafUpdateIDs. learn.microsoft.com: KB4096317
	maxCached     = 20_000 // WSUS takes some more: maxCachedUpdates of its web.config is 22,000
	maxRecoveries = 2
)

// ErrIdentity says that a session may not go deep: a server would learn of a computer
// that does not exist.
var ErrIdentity = errors.New("going deep needs the machine's own client id (SusClientId) and its DNS name")

// Session drives the calls of the protocol in the order in which an agent makes
// them. Its zero value but for Exchanger and Server makes only calls that write nothing.
type Session struct {
	Exchanger host.Exchanger
	Server    Server // its Now is set for each call
	Via       host.Via

	// Deep goes on as far as an agent does before it downloads, on WSUS. The server may note
	// that the machine asked, so it must be the machine's own id that it learns, never a made-up one.
	Deep     bool
	ClientID string // SusClientId
	Computer string // DNS name
	// Register, if set, enters a machine that the server does not know into its
	// database. Otherwise such a session ends with RegistrationRequired.
	Register *Computer

	Pages     int              // of SyncUpdates, at most; 0 means 20. An agent makes up to MaxTrips.
	Installed int              // prerequisites that the server is told of, at most; 0 means the 400 that WSUS takes. An agent tells of all that it has.
	Now       func() time.Time // nil: time.Now
}

// Step is one call and what came of it.
type Step struct {
	Operation string
	// Exchange has the problem, if there is one, as its broken hop. What holds the
	// machine's identity or its cookies is left out: the bodies of calls that go deep.
	Exchange host.Exchange
	Problem  *Error // nil: the answer is as it should be
}

// Scan is what a session found.
type Scan struct {
	Steps   []Step
	Config  *Config // nil if the server did not tell
	Genuine bool    // an update service answered, with a result or a fault of its own
	Xpress  Xpress

	// Only of a deep session:
	Updates  []Update
	Trips    int            // calls of SyncUpdates
	Complete bool           // the server had no more
	Titles   map[int]string // by revision
	Files    []File         // of updates that are to be installed

	// Problem is why an agent's scan would fail, nil if nothing was found that makes it fail.
	Problem *Error
}

// Xpress is what became of the compression that agents ask for.
type Xpress string

// The fates of xpress.
const (
	XpressUnknown Xpress = ""
	XpressWorks   Xpress = "works"
	XpressUnused  Xpress = "unused" // the answer came plain: the server does not offer it, or somebody took the request for it away
	XpressBroken  Xpress = "broken" // the answer is fine without it and not with it: somebody in between changes what he does not know
)

// Scan makes the calls. The error tells only why nothing could be asked: the
// context ended, or a recording does not hold the request. What servers and
// networks do is in the result, which is returned in any case.
func (s *Session) Scan(ctx context.Context) (*Scan, error) {
	scan := &Scan{}
	if s.Deep && !s.identified() {
		return scan, ErrIdentity
	}
	var err error
	if s.Server.Ticketed {
		err = s.anonymous(ctx, scan)
	} else {
		err = s.shallow(ctx, scan)
	}
	if err != nil || !s.Deep || scan.Problem != nil || s.Server.Pinned || s.Server.Ticketed {
		return scan, err
	}
	r := &run{Session: s, ctx: ctx, scan: scan, config: scan.Config}
	err = r.recovering()
	var problem *Error
	if errors.As(err, &problem) {
		scan.Problem, err = problem, nil
	}
	return scan, err
}

// isClientID checks the form of a ClientIdString ([MS-WUSP] 1.1), and that it is
// no placeholder.
func isClientID(s string) bool {
	s = strings.ToLower(s)
	return len(s) >= 1 && len(s) <= 255 && strings.Trim(s, "0-") != "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') })
}

func (s *Session) identified() bool { return isClientID(s.ClientID) && s.Computer != "" }

// anonymous gets a cookie from a ticketed service, which keeps nothing of who asks.
// A fault that an agent gets over by itself proves as much as a cookie does.
func (s *Session) anonymous(ctx context.Context, scan *Scan) error {
	server := s.server()
	step, err := s.step(ctx, opCookie, server.GetCookie(nil, Cookie{}, server.time()), func(ex host.Exchange) error {
		_, err := ReadCookie(ex)
		if f := faultOf(err); f != nil && (f.Recovery == Restart || f.Recovery == Renew) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	scan.Steps, scan.Problem = []Step{step}, step.Problem
	scan.Genuine = answered(step)
	return nil
}

// shallow makes the calls that write nothing, at once: the configuration as every
// agent asks for it; the same with the compression that agents ask for; and one that only an
// update service knows how to refuse.
func (s *Session) shallow(ctx context.Context, scan *Scan) error {
	server := s.server()
	var config Config
	type probe struct {
		name  string
		r     host.Request
		check func(host.Exchange) error
	}
	probes := []probe{
		{opConfig, server.GetConfig(), func(ex host.Exchange) (err error) {
			if config, err = ReadConfig(ex); err == nil && !server.Pinned {
				err = config.CheckAuth()
			}
			return err
		}},
		{opConfig, WithXpress(server.GetConfig()), func(ex host.Exchange) error {
			_, err := ReadConfig(ex)
			return err
		}},
	}
	if !server.Pinned { // at Microsoft's, TLS tells who answers
		probes = append(probes, probe{opCookie, server.StaleCookie(), func(ex host.Exchange) error {
			_, err := ReadCookie(ex)
			if f := faultOf(err); f != nil && f.Genuine() {
				return nil // the refusal is what was asked for
			}
			return err
		}})
	}
	steps, errs := make([]Step, len(probes)), make([]error, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { steps[i], errs[i] = s.step(ctx, p.name, p.r, p.check) })
	}
	wg.Wait()
	if errs[0] != nil {
		return errs[0]
	}
	for i := range steps {
		if errs[i] == nil { // a recording need not hold more than the first
			scan.Steps = append(scan.Steps, steps[i])
			scan.Genuine = scan.Genuine || answered(steps[i])
		}
	}
	scan.Problem = steps[0].Problem
	if config.LastChange != "" {
		scan.Config = &config
	}
	if errs[1] == nil && scan.Problem == nil {
		scan.Xpress, scan.Problem = fate(steps[1])
	}
	return nil
}

// fate tells what became of xpress, on a way on which plain text arrives.
func fate(step Step) (Xpress, *Error) {
	p := step.Problem
	switch {
	case p == nil && strings.EqualFold(step.Exchange.Get("Content-Encoding"), "xpress"):
		return XpressWorks, nil
	case p == nil:
		return XpressUnused, nil
	case p.Hop == host.HopService || p.Hop == host.HopHTTP:
		return XpressBroken, p
	}
	return XpressUnknown, nil // the line failed just then
}

// answered reports that an update service stands behind a step.
func answered(step Step) bool {
	return step.Problem == nil || step.Problem.SOAP != nil && step.Problem.SOAP.Genuine()
}

func faultOf(err error) *Fault {
	var e *Error
	if errors.As(err, &e) {
		return e.SOAP
	}
	return nil
}

// server is the server at the time of a call.
func (s *Session) server() Server {
	server := s.Server
	if s.Now != nil {
		server.Now = s.Now()
	} else {
		server.Now = time.Now()
	}
	return server
}

// step makes one call, unless the session may not.
func (s *Session) step(ctx context.Context, name string, r host.Request, check func(host.Exchange) error) (Step, error) {
	op := operation(name)
	deep := op.Writes != WritesNothing
	switch {
	case deep && (!s.Deep || !s.identified()):
		return Step{}, fmt.Errorf("%s: %w", name, ErrIdentity)
	case op.Writes == DoesWrite && s.Register == nil:
		return Step{}, fmt.Errorf("%s writes on the server and was not asked for", name)
	}
	r.Via = s.Via
	ex, err := s.Exchanger.Exchange(ctx, r)
	if err != nil {
		return Step{}, fmt.Errorf("%s: %w", name, err)
	}
	step := Step{Operation: name}
	if err := check(ex); err != nil && !errors.As(err, &step.Problem) {
		return Step{}, err
	}
	step.Exchange = ex
	if step.Problem != nil {
		step.Exchange = step.Problem.Mark(ex)
	}
	return step, nil
}

// run is a deep session at work. What it lacks, it gets: config, auth and cookie are
// forgotten when a fault says so.
type run struct {
	*Session
	ctx        context.Context
	scan       *Scan
	config     *Config
	auth       *AuthCookie
	cookie     Cookie
	old        Cookie // expired; its state goes into the next one
	registered bool
	known      map[int]bool
	installed  []int
	cached     []int
}

// recovering works as an agent does when faults come: each kind once, and not too many.
func (r *run) recovering() error {
	tried := map[string]bool{}
	for {
		err := r.work()
		var e *Error
		if !errors.As(err, &e) || e.SOAP == nil || tried[e.SOAP.Code] || len(tried) == maxRecoveries {
			return err
		}
		switch e.SOAP.Recovery {
		case Restart:
			*r = run{Session: r.Session, ctx: r.ctx, scan: r.scan}
			r.scan.Updates, r.scan.Complete = nil, false
		case Renew:
			r.auth, r.old, r.cookie = nil, r.cookie, Cookie{}
		case Register:
			if r.Register == nil || r.registered {
				return err
			}
			r.config.IsRegistrationRequired = true
		default:
			return err
		}
		tried[e.SOAP.Code] = true
	}
}

// call makes a step, notes it without what identifies the machine, and returns its
// problem as the error.
func (r *run) call(name string, req host.Request, check func(host.Exchange) error) error {
	step, err := r.step(r.ctx, name, req, check)
	if err != nil {
		return err
	}
	if name != opConfig {
		step.Exchange.Request.Body, step.Exchange.Body = nil, nil
	}
	r.scan.Steps = append(r.scan.Steps, step)
	if step.Problem != nil {
		return step.Problem
	}
	return nil
}

func (r *run) work() error {
	if err := r.handshake(); err != nil {
		return err
	}
	if err := r.sync(); err != nil {
		return err
	}
	return r.files()
}

// handshake gets what is missing of configuration and cookies.
func (r *run) handshake() error {
	if r.config == nil {
		var c Config
		err := r.call(opConfig, r.server().GetConfig(), func(ex host.Exchange) (err error) {
			if c, err = ReadConfig(ex); err == nil {
				err = c.CheckAuth()
			}
			return err
		})
		if err != nil {
			return err
		}
		r.config, r.scan.Config = &c, &c
	}
	if r.auth == nil {
		var a AuthCookie
		err := r.call(opAuth, r.server().GetAuthorizationCookie(*r.config, strings.ToLower(r.ClientID), r.Computer), func(ex host.Exchange) (err error) {
			a, err = ReadAuthorization(ex)
			return err
		})
		if err != nil {
			return err
		}
		r.auth = &a
	}
	if r.cookie.Data == "" {
		err := r.call(opCookie, r.server().GetCookie([]AuthCookie{*r.auth}, r.old, r.config.LastChange), func(ex host.Exchange) (err error) {
			r.cookie, err = ReadCookie(ex)
			return err
		})
		if err != nil {
			return err
		}
	}
	if r.config.IsRegistrationRequired && r.Register != nil && !r.registered {
		err := r.call(opRegister, r.server().RegisterComputer(r.cookie, *r.Register), ReadRegistration)
		if err != nil {
			return err
		}
		r.registered = true
	}
	return nil
}

// sync pages through the updates. Which of them are installed an agent finds out by
// evaluating their rules; here only those count whose rules are "always". So fewer
// prerequisites are met, and less comes, than on the machine itself.
func (r *run) sync() error {
	if r.scan.Complete {
		return nil
	}
	if r.known == nil {
		r.known = map[int]bool{}
	}
	pages := r.Pages
	if pages <= 0 {
		pages = defaultPages
	}
	for range pages {
		if r.scan.Trips >= MaxTrips {
			return tooManyTrips(fmt.Sprintf("%d calls, and the server still has more", MaxTrips))
		}
		r.scan.Trips++
		var p Page
		err := r.call(opSync, r.server().SyncUpdates(r.cookie, r.installed, r.cached), func(ex host.Exchange) (err error) {
			p, err = ReadUpdates(ex)
			return err
		})
		if err != nil {
			return err
		}
		if p.Cookie.Data != "" {
			r.cookie = p.Cookie
		}
		if len(p.New) == 0 {
			r.scan.Complete = true
			return nil
		}
		before := len(r.known)
		for _, u := range p.New {
			r.note(u)
		}
		if len(r.known) == before {
			if p.Truncated {
				return tooManyTrips("the server sends again what it was told that the machine has, and says that there is more")
			}
			// Small servers keep no state and answer every call alike. There is nothing new
			// to evaluate, so an agent has what it needs.
			r.scan.Complete = true
			return nil
		}
		if len(r.known) >= maxCached {
			return nil
		}
	}
	return nil
}

func tooManyTrips(seen string) *Error {
	return &Error{
		Operation: opSync, Hop: host.HopService, Fault: host.FaultAnswer, Status: 200, Seen: seen, Code: wuMaxTrips,
		Source: "learn.microsoft.com: Windows Update error codes by component (number of round trips to the server)",
	}
}

func (r *run) note(u Update) {
	if r.known[u.Revision] {
		return
	}
	r.known[u.Revision] = true
	r.scan.Updates = append(r.scan.Updates, u)
	limit := r.Installed
	if limit <= 0 {
		limit = maxInstalled
	}
	if u.Always && !u.IsLeaf && len(r.installed) < limit {
		r.installed = append(r.installed, u.Revision)
	} else {
		r.cached = append(r.cached, u.Revision)
	}
}

// files asks for the files of what is to be installed, one call's worth: the
// content's way can be walked with any of them.
func (r *run) files() error {
	var want []int
	for _, u := range r.scan.Updates {
		if a := u.Deployment.Action; (a == "Install" || a == "Bundle") && len(want) < r.config.MaxExtended()-1 {
			want = append(want, u.Revision)
		}
	}
	if len(want) == 0 {
		return nil
	}
	var x Extended
	err := r.call(opExtended, r.server().GetExtendedUpdateInfo(r.cookie, want), func(ex host.Exchange) (err error) {
		x, err = ReadExtended(ex)
		return err
	})
	if err != nil {
		return err
	}
	r.scan.Titles, r.scan.Files = x.Titles, x.Files
	var lost []string
	for _, f := range x.Files {
		if f.URL == "" && len(lost) < r.config.MaxExtended()-1 {
			lost = append(lost, f.SHA1)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return r.call(opLocations, r.server().GetFileLocations(r.cookie, lost), func(ex host.Exchange) error {
		found, next, err := ReadLocations(ex)
		if err != nil {
			return err
		}
		r.scan.Files = locate(x.Files, found)
		if next.Data != "" {
			r.cookie = next
		}
		return nil
	})
}
