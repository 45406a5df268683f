package winlog
import ("context";"io";"bytes")
func scanEVTX(ctx context.Context, src io.Reader, opt Options, fn func(*Record) error) (Stats, error) { return Stats{}, nil }
func scanSetupDiag(ctx context.Context, src io.Reader, fn func(*Record) error) (Stats, error) { return Stats{}, nil }
func newSetupAPI() func(line []byte, rec *Record) bool { return parsePlain }
func newCMTrace() func(line []byte, rec *Record) bool { return parsePlain }
func newEventText() func(line []byte, rec *Record) bool { return parsePlain }
func parseReporting(line []byte, rec *Record) bool { return false }
func identifyDocument(text []byte) Kind { _ = bytes.MinRead; return Unknown }
const sparseFrom = 16<<20
func scanSparse(ctx context.Context, ra io.ReaderAt, size int64, p *parser, fn func(*Record) error) (Stats, error) { return Stats{}, nil }
