package winhost

import (
	"context"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// failureIn returns the last failing result that events tell, given as XML without
// a root.
func failureIn(ctx context.Context, events string) codes.HRESULT {
	var last codes.HRESULT
	_, err := winlog.Scan(ctx, winlog.EventText, strings.NewReader("<Events>"+events+"</Events>"), winlog.Options{}, func(r *winlog.Record) error {
		if failed(r.Code) {
			last = r.Code
			return nil
		}
		for _, m := range codes.Find(string(r.Text)) {
			if failed(m.Code.HRESULT) {
				last = m.Code.HRESULT
			}
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return last
}
