package winlog
import ("context";"io";"bytes")
func identifyDocument(text []byte) Kind { _ = bytes.MinRead; return Unknown }
const sparseFrom = 16<<20
func scanSparse(ctx context.Context, ra io.ReaderAt, size int64, p *parser, fn func(*Record) error) (Stats, error) { return Stats{}, nil }
