package cli

import (
	"slices"
	"testing"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
)

// TestDeepOnlyWhenAsked holds that a walk sends nothing that a WSUS may note, unless it
// is told to go deep; that it then speaks in the machine's own name; and that even so it
// enters nothing into the server's database.
func TestDeepOnlyWhenAsked(t *testing.T) {
	s, err := lab.Load("walk-wsus-over-limit")
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.OpenFS(t.Context(), s.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Options{})
	id := f.RouteSettings().ClientID
	for _, deep := range []bool{false, true} {
		w, err := lab.Open(*s.World)
		if err != nil {
			t.Fatal(err)
		}
		s.Expect.Deep = deep
		walk := walkWorld(t.Context(), f, w, s.World.Machine.Login, s.Expect.Deep)
		var names []string
		for _, seen := range w.Log() {
			switch seen.Action {
			case "GetAuthorizationCookie", "SyncUpdates", "RegisterComputer", "ReportEventBatch", "GetExtendedUpdateInfo":
				names = append(names, seen.Action)
				if seen.Client != id {
					t.Errorf("%s in the name of %q, want %q", seen.Action, seen.Client, id)
				}
			}
		}
		if wrote := w.Wrote(); len(wrote) != 0 {
			t.Errorf("deep=%t: it wrote %v", deep, wrote)
		}
		if !deep && len(names) != 0 {
			t.Errorf("it was not asked to go deep and sent %v", names)
		}
		if deep && !(slices.Contains(names, "GetAuthorizationCookie") && slices.Contains(names, "SyncUpdates")) {
			t.Errorf("it went as deep as %v", names)
		}
		for _, trip := range walk.Trips {
			if b := trip.Task.Request.Body; len(trip.Task.ID) > 5 && trip.Task.ID[:5] == "wusp." && trip.Task.ID != "wusp.getconfig" && b != nil {
				t.Errorf("%s keeps what names the machine", trip.Task.ID)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
