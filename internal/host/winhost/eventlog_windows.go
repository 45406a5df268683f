package winhost

import (
	"context"

	"updoc/internal/host"
)

// eventLogs exports the event logs that tell of updating and returns the files,
// under the paths at which they lie on the disk.
func (h *Host) eventLogs(ctx context.Context) ([]host.File, error) { return nil, ctx.Err() }
