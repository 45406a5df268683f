package winhost

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

func open(t *testing.T) *Host {
	t.Helper()
	h, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// answer asks a question and reads its answer back.
func answer[T any](t *testing.T, h *Host, name string) T {
	t.Helper()
	a, err := h.Ask(t.Context(), host.Question{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(a.JSON, &v); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", a.JSON)
	return v
}

// wine reports whether this is Wine, which lacks some of Windows.
func wine(t *testing.T, h *Host) bool {
	t.Helper()
	c, err := caller(t.Context(), h, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.(host.Caller).Wine != ""
}

func TestAskAll(t *testing.T) {
	h := open(t)
	for _, q := range host.Questions() {
		if q.Name == host.AskProxyFor {
			continue // looks for a proxy on the network
		}
		began := time.Now()
		a, err := h.Ask(t.Context(), q)
		took := time.Since(began).Round(time.Millisecond)
		var code codes.HRESULT
		switch {
		case err == nil:
			t.Logf("%-12s %8v %.300s", q.Name, took, a.JSON)
			if !json.Valid(a.JSON) {
				t.Errorf("%s: no JSON", q.Name)
			}
		case errors.As(err, &code):
			t.Logf("%-12s %8v %v", q.Name, took, err)
		default:
			t.Errorf("%s: an error without an HRESULT: %v", q.Name, err)
		}
		if took > 30*time.Second {
			t.Errorf("%s took %v", q.Name, took)
		}
	}
}
