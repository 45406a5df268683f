package repair_test

import (
	"context"
	"errors"
	"testing"

	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
)

// keeper makes restore points, or says why not.
type keeper struct {
	out   host.RestorePoint
	err   error
	asked int
}

func (k *keeper) RestorePoint(context.Context, string) (host.RestorePoint, error) {
	k.asked++
	return k.out, k.err
}

// A point is wished for once, before the first change that may end in a machine that
// does not start; that there is none stops nothing.
func TestRestorePoint(t *testing.T) {
	mild := automatic("sync-clock", host.Set(policies, "A", dword(1)))
	late := automatic("raise-servicing-timeout", host.Set(policies, "B", dword(1)))
	late.Risk = repair.RiskRestart
	grave := automatic("run-sfc", host.Set(policies, "C", dword(1)))
	grave.Risk = repair.RiskPermanent
	advice := repair.Treatment{ID: "run-memory-test", Risk: repair.RiskRestart, How: repair.Guided}
	bad := []codes.HRESULT{0x80070422}
	for _, tt := range []struct {
		name  string
		list  []repair.Treatment
		k     keeper
		kinds string
		err   string
		told  int
	}{
		{"nothing grave", []repair.Treatment{mild, advice}, keeper{}, "plan begin done treated tried treated tried end", "", 0},
		{"made, once", []repair.Treatment{mild, late, grave}, keeper{out: host.RestorePoint{Sequence: 17, New: true}}, "plan begin done treated tried point begin done treated tried begin done treated tried end", "", 1},
		{"skipped by Windows", []repair.Treatment{grave}, keeper{out: host.RestorePoint{Sequence: 16}}, "plan point begin done treated tried end", "", 0},
		{"none here", []repair.Treatment{grave}, keeper{err: host.ErrNotExist}, "plan point begin done treated tried end", "this Windows has no System Restore", 0},
		{"switched off", []repair.Treatment{grave}, keeper{err: errors.New("off")}, "plan point begin done treated tried end", "off", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runner(t, machine(), &agent{results: bad}, durable.NewLossy(1), tt.list...)
			r.Points = &tt.k
			r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil }
			if res, err := r.Run(t.Context()); err != nil || res != repair.NotCured {
				t.Fatalf("%s, %v", res, err)
			}
			if kinds(r.Journal) != tt.kinds {
				t.Errorf("journal: %s, want %s", kinds(r.Journal), tt.kinds)
			}
			for _, e := range r.Journal.Entries() {
				if e.Kind == repair.EntryPoint && e.Err != tt.err {
					t.Errorf("told %q, want %q", e.Err, tt.err)
				}
			}
			if n := len(r.Journal.Story()); n != tt.told {
				t.Errorf("%d stories", n)
			}
			if p := r.Journal.Plan(); p.WantsPoint() != (tt.k.asked == 1) {
				t.Errorf("the plan says %v, asked %d times", p.WantsPoint(), tt.k.asked)
			}
			if u, err := r.Undo(t.Context()); err != nil || u.Back == 0 {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
}
