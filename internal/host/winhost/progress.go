package winhost

import "updoc/internal/host"

// Progress says how far long work has come.
type Progress = host.Work
