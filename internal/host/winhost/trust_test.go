package winhost

import (
	"errors"
	"testing"

	"updoc/internal/authenticode"
	"updoc/internal/codes"
)

func TestTrustError(t *testing.T) {
	for code, want := range trustReasons {
		err := error(&TrustError{"x", code})
		var h codes.HRESULT
		if !errors.Is(err, want) || !errors.As(err, &h) || h != code || !code.Failed() {
			t.Errorf("%v: %v", code, err)
		}
	}
	if err := error(&TrustError{"x", 0x800B0104}); errors.Is(err, authenticode.ErrRoot) {
		t.Errorf("%v", err)
	}
}
