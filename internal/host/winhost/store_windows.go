package winhost

import (
	"context"

	"updoc/internal/host"
)

// componentStore answers host.AskStore: servicing's log, and its registry.
func componentStore(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	return host.ReadStore(ctx, h)
}
