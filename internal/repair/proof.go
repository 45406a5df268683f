package repair

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
)

// That an install works is proved by more than the word of the agent that made it:
// the agent says what it handed over, and servicing may take it all back in the
// restart. So Windows itself is asked before a treatment and after its attempt: which
// build runs, how far the packages are, what the log System has of installs.

// witness asks what Windows says of installs; nil where it cannot be asked.
func (r *Runner) witness(ctx context.Context, a host.Attempt) *host.Installed {
	ans, err := r.Host.Ask(ctx, host.Question{Name: host.AskInstalled, Args: map[string]string{"kb": a.KB}})
	if err != nil {
		return nil
	}
	var x host.Installed
	if json.Unmarshal(ans.JSON, &x) != nil {
		return nil
	}
	return &x
}

// before has what Windows says of installs in the journal before a treatment whose
// proof is an install.
func (r *Runner) before(ctx context.Context, i int, p progress) error {
	a := r.attempt()
	if a.Stage != "install" || p.witness[i] != nil {
		return nil
	}
	x := r.witness(ctx, *a)
	if x == nil {
		return ctx.Err()
	}
	p.witness[i] = x
	return r.write(Entry{Kind: EntryWitness, Treatment: i, Witness: x}, Event{})
}

// testimony is what Windows says of an install.
type testimony struct {
	said    []Line        // what speaks for it
	against []Line        // and what against
	code    codes.HRESULT // with which Windows says that it failed; 0 if it does not
}

// testify compares what Windows said before an install with what it says now. After
// a restart nothing of it may be pending any more.
func testify(before, now *host.Installed, a host.Attempt, restarted bool) testimony {
	var t testimony
	if before == nil || now == nil {
		return t
	}
	say := func(list *[]Line, id string, args ...string) { *list = append(*list, message.Say(id, args...)) }

	if e, ok := lastEvent(now.Events, before.Newest(), a); ok {
		switch e.ID {
		case host.EventInstalled:
			say(&t.said, "proof.event")
		case host.EventFailed:
			t.code = e.Result
			say(&t.against, "proof.not.event", "code", codeText(e.Result))
		}
	}
	was, is := before.Revision(), now.Revision()
	sameRelease := releaseOf(before.Build) == releaseOf(now.Build)
	if release, brings := titleBuild(a.Title); restarted && is > 0 && release == releaseOf(now.Build) && is < brings {
		say(&t.against, "proof.not.named", "title", a.Title, "build", now.Build)
	}
	switch {
	case was == 0 || is == 0:
	case sameRelease && is > was:
		say(&t.said, "proof.build", "before", before.Build, "build", now.Build)
	case sameRelease && is < was:
		say(&t.against, "proof.not.build", "before", before.Build, "build", now.Build)
	}
	old := map[string]uint32{}
	for _, p := range before.Packages {
		old[p.Name] = p.State
	}
	for _, p := range now.Packages {
		state, known := old[p.Name]
		if known && state == p.State && p.Revision() > 0 {
			continue // of another update: it is as it was
		}
		args := []string{"package", p.Name, "state", host.PackageState(p.State).String()}
		switch host.PackageState(p.State) {
		case host.PackageInstalled, host.PackagePermanent:
			if rev := p.Revision(); restarted && sameRelease && is > 0 && rev > is {
				say(&t.against, "proof.not.running", append(args, "build", now.Build)...)
				break
			}
			say(&t.said, "proof.package", args...)
		case host.PackageSuperseded: // a newer one took its place
		default:
			if restarted || t.code != 0 {
				say(&t.against, "proof.not.package", args...)
			}
		}
	}
	if restarted && len(t.said)+len(t.against)+len(now.Unseen) == 0 {
		say(&t.said, "proof.silent")
	}
	return t
}

// inTitle is the build that a cumulative update names in its title since 2025:
// "... (KB5058411) (26100.4061)".
var inTitle = regexp.MustCompile(`\((\d{5})\.(\d{1,6})\)`)

// titleBuild is the build that an update says it brings; 0 if it says none.
func titleBuild(title string) (release string, revision int) {
	m := inTitle.FindStringSubmatch(title)
	if m == nil {
		return "", 0
	}
	revision, _ = strconv.Atoi(m[2])
	return m[1], revision
}

// lastEvent is the newest entry about the update, of those after a number.
func lastEvent(events []host.InstallEvent, after uint64, a host.Attempt) (last host.InstallEvent, ok bool) {
	id, _, _ := strings.Cut(strings.ToLower(strings.Trim(a.Update, "{}")), ".") // without its revision
	kb := strings.ToUpper(a.KB)
	for _, e := range events {
		if e.Record <= after || ok && e.Record < last.Record {
			continue
		}
		if id == "" && kb == "" || id != "" && strings.EqualFold(e.Update, id) || kb != "" && strings.Contains(strings.ToUpper(e.Title), kb) {
			last, ok = e, true
		}
	}
	return last, ok
}

// releaseOf is a build without its revision.
func releaseOf(build string) string {
	release, _, _ := strings.Cut(build, ".")
	return release
}

func codeText(h codes.HRESULT) string { return strings.TrimSpace(h.String() + " " + h.Symbol()) }

// judge says what is proved of an install that the agent calls good. What Windows
// itself calls failed is not cured; where it contradicts, nothing is proved.
func (t testimony) judge(e *Entry) {
	e.Said, e.Against = t.said, t.against
	switch {
	case len(t.against) == 0:
	case t.code.Failed() && !t.code.Benign():
		e.Outcome = &host.Outcome{Result: t.code, Stage: "install"}
	default:
		e.Outcome, e.Err = nil, fmt.Sprintf("the update agent says that it is installed, and Windows contradicts in %d respects", len(t.against))
	}
}
