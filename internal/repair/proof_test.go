package repair_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/repair"
)

const (
	title    = "2031-05 Kumulatives Update (KB5999001) "
	updateID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
	rollup   = "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7"
	ofOthers = "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3400.1.1"
)

func installed(build string, packages map[string]host.PackageState, events ...host.InstallEvent) *host.Installed {
	x := &host.Installed{Build: build, Events: events}
	for name, state := range packages {
		x.Packages = append(x.Packages, host.StorePackage{Name: name, State: uint32(state)})
	}
	return x
}

func event(record uint64, id uint32, update string, h codes.HRESULT) host.InstallEvent {
	return host.InstallEvent{Record: record, ID: id, Update: update, Title: title, Result: h}
}

// The agent's word is held to what Windows itself has of the install.
func TestTestify(t *testing.T) {
	const staged, waits, is, gone = host.PackageStaged, host.PackageInstallPending, host.PackageInstalled, host.PackageSuperseded
	type packages = map[string]host.PackageState
	before := installed("22631.3007", packages{ofOthers: staged}, event(40, host.EventFailed, updateID, 0x800F0922))
	unseen := installed("", nil)
	unseen.Unseen = []host.Unseen{{Part: "events", Why: "denied"}}
	attempt := host.Attempt{Stage: "install", Update: "{" + strings.ToUpper(updateID) + "}.200", KB: "KB5999001"}
	for _, tt := range []struct {
		name          string
		now           *host.Installed
		restarted     bool
		said, against string
		code          codes.HRESULT
	}{
		{"all of it went well", installed("22631.3374", packages{ofOthers: staged, rollup: is}, event(41, host.EventInstalled, updateID, 0)), true, "proof.event proof.build proof.package", "", 0},
		{"nothing is told", installed("22631.3007", packages{ofOthers: staged}, before.Events...), true, "proof.silent", "", 0},
		{"nothing can be told", unseen, true, "", "", 0},
		{"it failed in the restart", installed("22631.3007", packages{ofOthers: staged, rollup: staged}, event(42, host.EventFailed, updateID, 0x800F0922), event(40, host.EventFailed, updateID, 0x800F0922)), true, "", "proof.not.event proof.not.package", 0x800F0922},
		{"first it failed, and then not", installed("22631.3374", nil, event(41, host.EventFailed, updateID, 0x800F0922), event(43, host.EventInstalled, updateID, 0)), true, "proof.event proof.build", "", 0},
		{"another update failed", installed("22631.3007", nil, host.InstallEvent{Record: 41, ID: host.EventFailed, Update: "11111111-4e5f-6071-8293-a4b5c6d7e8f9", Title: "Driver", Result: 0x80070005}), true, "proof.silent", "", 0},
		{"it waits still", installed("22631.3007", packages{rollup: waits}, event(41, host.EventInstalled, updateID, 0)), true, "proof.event", "proof.not.package", 0},
		{"it waits for the restart", installed("22631.3007", packages{rollup: waits}), false, "", "", 0},
		{"installed, and another build runs", installed("22631.3007", packages{rollup: is}), true, "", "proof.not.running", 0},
		{"Windows went back", installed("22631.2861", nil), true, "", "proof.not.build", 0},
		{"another release", installed("26100.1", nil), true, "proof.silent", "", 0},
		{"a build that is not known", installed("", nil), true, "proof.silent", "", 0},
		{"superseded", installed("22631.3400", packages{rollup: gone, ofOthers: is}), true, "proof.build proof.package", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said, against, code := repair.Testify(before, tt.now, attempt, tt.restarted)
			if strings.Join(said, " ") != tt.said || strings.Join(against, " ") != tt.against || code != tt.code {
				t.Errorf("for it %v, against it %v, %v; want %q, %q, %v", said, against, code, tt.said, tt.against, tt.code)
			}
		})
	}
	for brings, want := range map[string]string{"(22631.3374)": "proof.not.named", "(22631.3007)": "", "(26100.4061)": "", "(26100)": "", "": ""} {
		attempt.Title = title + brings
		if _, against, _ := repair.Testify(before, installed("22631.3007", nil), attempt, true); strings.Join(against, " ") != want {
			t.Errorf("%s on 22631.3007: %v, want %q", attempt.Title, against, want)
		}
	}
	if said, against, _ := repair.Testify(nil, before, attempt, true); said != nil || against != nil {
		t.Errorf("without what was before: %v, %v", said, against)
	}
}

// sworn is a machine that says of installs what it is told to.
type sworn struct {
	host.Host
	says func() *host.Installed
}

func (s sworn) Ask(_ context.Context, q host.Question) (host.Answer, error) {
	if q.Name != host.AskInstalled || q.Args["kb"] != "KB5999001" {
		return host.Answer{}, host.ErrNotRecorded
	}
	b, err := json.Marshal(s.says())
	return host.Answer{JSON: b}, err
}

// What the agent calls good and Windows contradicts is no cure, and what failed in the
// restart is not begun again.
func TestProofOfAnInstall(t *testing.T) {
	type packages = map[string]host.PackageState
	old := installed("22631.3007", nil)
	for _, tt := range []struct {
		name  string
		after *host.Installed
		tries int
		want  repair.Result
		kinds string
	}{
		{"it is installed", installed("22631.3374", packages{rollup: host.PackageInstalled}, event(7, host.EventInstalled, updateID, 0)), 2, repair.Cured, "plan witness begin done treated restart tried end"},
		{"it was taken back in the restart", installed("22631.3007", packages{rollup: host.PackageStaged}, event(7, host.EventFailed, updateID, 0x800F0922)), 1, repair.NotCured, "plan witness begin done treated restart tried end"},
		{"it never came", installed("22631.3007", packages{rollup: host.PackageInstallPending}), 1, repair.Unproven, "plan witness begin done treated restart tried end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk := durable.NewLossy(1)
			p := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: []repair.Treatment{automatic("sync-clock", host.Set(policies, "A", dword(1)))}}
			p.Failure = repair.Failure{Code: 0x800F0922, Stage: facts.StageInstall, Update: facts.Update{ID: updateID, KB: "KB5999001"}}
			j, err := repair.CreateJournal(disk, "state/r1", p, noon)
			if err != nil {
				t.Fatal(err)
			}
			now, started, tries := noon, noon.Add(-time.Hour), 0
			says := old
			r := &repair.Runner{
				Host: sworn{machine(), func() *host.Installed { return says }}, Journal: j,
				Now:     func() time.Time { return now },
				Started: func(context.Context) (time.Time, error) { return started, nil },
				Agent:   agentFunc(func(host.Attempt) host.Outcome { tries++; return host.Outcome{Restart: tries == 1} }),
			}
			if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
				t.Fatalf("%s, %v", res, err)
			}
			started, now, says = noon.Add(time.Minute), noon.Add(2*time.Minute), tt.after
			if r.Journal, err = repair.OpenJournal(disk, "state/r1"); err != nil {
				t.Fatal(err)
			}
			if res, err := r.Run(t.Context()); err != nil || res != tt.want || tries != tt.tries {
				t.Errorf("%s, %v, tried %d times; want %s after %d", res, err, tries, tt.want, tt.tries)
			}
			if kinds(r.Journal) != tt.kinds {
				t.Errorf("journal: %s, want %s", kinds(r.Journal), tt.kinds)
			}
			if told := r.Journal.Story(); (len(told) > 0) != (tt.want != repair.Cured) {
				t.Errorf("told %+v", told)
			}
		})
	}
}
