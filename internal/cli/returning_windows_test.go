package cli

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/windows"

	"updoc/internal/host/winhost"
)

// TestReturningLive: the value is written where Windows looks, names this program as
// Windows itself takes a command line apart, and goes again.
func TestReturningLive(t *testing.T) {
	ctx := t.Context()
	h, err := winhost.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if s := once(t, h); s != "" {
		t.Skipf("a repair of this machine waits for a restart: %s", s)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := returning{h, self}
	t.Cleanup(func() {
		if err := r.Stay(context.Background()); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
	if err := r.ComeBack(ctx, "20310203-040506-4f2a"); err != nil {
		t.Fatal(err)
	}
	args, err := windows.DecomposeCommandLine(once(t, h))
	if err != nil || len(args) != 5 || args[0] != self || args[4] != "20310203-040506-4f2a" {
		t.Errorf("%q, %v", args, err)
	}
	for range 2 {
		if err := r.Stay(ctx); err != nil {
			t.Error(err)
		}
	}
	if s := once(t, h); s != "" {
		t.Errorf("it still opens %s", s)
	}
}
