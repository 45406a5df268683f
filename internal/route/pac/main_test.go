package pac_test

import (
	"fmt"
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
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if !childless() {
			fmt.Fprintln(os.Stderr, "a child is left over, living or dead")
			code = 1
		}
		os.Exit(code)
	}))
}
