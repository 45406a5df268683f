package winhost

import "updoc/internal/host"

// Progress says how far long work has come.
type Progress = host.Work

// Watch has f told what long work is doing, from the goroutine that does the work. It
// is called before the host is used.
func (h *Host) Watch(f func(Progress)) { h.Progress = f }
