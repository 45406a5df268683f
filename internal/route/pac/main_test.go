package pac_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"updoc/internal/route/pac"
)

// The test binary plays the child.
func TestMain(m *testing.M) {
	if os.Getenv(pac.Role) == pac.Child {
		os.Exit(pac.Serve(os.Stdin, os.Stdout, nil))
	}
	goleak.VerifyTestMain(m)
}
