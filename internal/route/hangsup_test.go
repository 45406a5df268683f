package route

import (
	"testing"

	"updoc/internal/host"
)

// A proxy that closes after each answer is told only where the server itself does not.
func TestHangsUp(t *testing.T) {
	proxied := host.Via{Proxy: "http://proxy.fabrikam.example:8080"}
	for _, tt := range []struct {
		name           string
		caller         Caller
		via            host.Via
		closed, direct bool
		want           int
	}{
		{"the proxy alone", DO, proxied, true, false, 1},
		{"the proxy alone, BITS", BITS, proxied, true, false, 1},
		{"the server too", DO, proxied, true, true, 0},
		{"neither", DO, proxied, false, false, 0},
		{"no proxy", DO, host.Via{}, true, false, 0},
		{"a scan keeps nothing", Agent, proxied, true, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &Walk{Trips: []Trip{{
				Task: Task{ID: "download.range", Caller: tt.caller},
				Attempts: []Attempt{
					{Walked: true, Exchange: host.Exchange{Request: host.Request{Via: tt.via}, Status: 206, Closed: tt.closed}},
					{Walked: true, Beside: true, Exchange: host.Exchange{Status: 206, Closed: tt.direct}},
				},
			}}}
			if got := hangsUp(w); len(got) != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}
