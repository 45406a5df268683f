package winhost

import "time"

// Progress says how far long work has come.
type Progress struct {
	What    string        // the tool or the service, as it is named in a Change
	Percent float64       // 0 to 100; -1 while it is not known
	Line    string        // what the tool said last
	Elapsed time.Duration // since it began
}
