package host_test

import (
	"testing"
	"time"

	"updoc/internal/host"
)

func TestWorkLeft(t *testing.T) {
	for _, tt := range []struct {
		p    host.Work
		want time.Duration
	}{
		{host.Work{Percent: 25, Elapsed: time.Minute}, 3 * time.Minute},
		{host.Work{Percent: 100, Elapsed: time.Minute}, 0},
		{host.Work{Percent: -1, Elapsed: time.Minute}, 0},
		{host.Work{Percent: 1, Elapsed: time.Minute}, 0},   // too early to tell
		{host.Work{Percent: 50, Elapsed: time.Second}, 0},  // likewise
		{host.Work{Percent: 400, Elapsed: time.Minute}, 0}, // what a tool prints may be anything
	} {
		if got := tt.p.Left(); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.p, got, tt.want)
		}
	}
}
