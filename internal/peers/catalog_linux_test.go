package peers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"updoc/internal/catalog"
	"updoc/internal/lab"
)

// noise is a file of any size that costs nothing: the same bytes again and again, with
// the position in every 4 KiB.
type noise struct{ size int64 }

var grain = func() []byte {
	b := make([]byte, 4096)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}()

func (n noise) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off < n.size {
		block := off &^ 4095
		piece := grain
		if off == block && len(p)-done >= 4096 && n.size-off >= 4096 {
			copy(p[done:], piece)
			binary.LittleEndian.PutUint64(p[done:], uint64(block))
			done, off = done+4096, off+4096
			continue
		}
		var b [4096]byte
		copy(b[:], piece)
		binary.LittleEndian.PutUint64(b[:], uint64(block))
		k := copy(p[done:], b[off-block:min(4096, n.size-block)])
		done, off = done+k, off+int64(k)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// A package of 256 MB comes whole over a cable that loses packets, through a proxy that
// resets connections, answers with other ranges, and is too busy now and then.
func TestDownloadOverLossyCable(t *testing.T) {
	l := newLine(t, lab.WorldSpec{}, `
table inet updoc {
	chain out {
		type filter hook output priority 0
		oifname "cable" meta length > 500 numgen random mod 1000 < 3 counter drop
	}
}`)
	size := int64(256 << 20)
	if os.Getenv("UPDOC_FULL") != "" {
		size = 10 << 30
	}
	file := noise{size}
	sum := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{io.NewSectionReader(file, 0, size)}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	var asked, resets, others, busy atomic.Int64
	proxy := http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet { // it opens no tunnels: content is plain HTTP here
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		h := rw.Header()
		h.Set("ETag", `"noise"`)
		h.Set("Content-Type", "application/octet-stream")
		body := io.NewSectionReader(file, 0, size)
		switch n := asked.Add(1); {
		case n%11 == 3:
			busy.Add(1)
			http.Error(rw, "busy", http.StatusServiceUnavailable)
			return
		case n%13 == 5:
			others.Add(1)
			r.Header.Set("Range", "bytes=0-9999")
		case n%7 == 4:
			resets.Add(1)
			time.AfterFunc(20*time.Millisecond, func() {
				if c, ok := r.Context().Value(connKey{}).(*net.TCPConn); ok {
					_ = c.SetLinger(0)
					c.Close()
				}
			})
		}
		http.ServeContent(rw, r, "", time.Time{}, body)
	}), ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }}
	ln, err := within(l.out, func() (net.Listener, error) { return net.Listen("tcp", "192.0.2.1:3128") })
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = proxy.Serve(ln) }()
	t.Cleanup(func() { proxy.Close() })

	n := catalog.Network{
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return within(l.in, func() (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, network, addr) })
		},
		Proxy: func(context.Context, *url.URL) (*url.URL, error) { return url.Parse("http://192.0.2.1:3128") },
	}
	at := n.Transport()
	defer at.CloseIdleConnections()
	f := catalog.Fetcher{Transport: at, Piece: 4 << 20}
	to := filepath.Join(t.TempDir(), "big.cab")
	begin := time.Now()
	got, err := f.Fetch(t.Context(), catalog.Want{URL: "http://download.windowsupdate.com/c/big.cab", SHA256: hex.EncodeToString(sum.Sum(nil))}, to)
	if err != nil {
		t.Fatalf("after %d requests: %v", asked.Load(), err)
	}
	if info, err := os.Stat(to); err != nil || info.Size() != size || got.Retries == 0 || got.Streams < 2 {
		t.Errorf("%v, %+v", err, got)
	}
	if resets.Load() == 0 || others.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d resets, %d other ranges, %d times busy: not all of them struck", resets.Load(), others.Load(), busy.Load())
	}
	t.Logf("%d MB in %s: %d requests, %d resets, %d other ranges, %d times busy; packets lost: %s", size>>20, time.Since(begin).Round(time.Millisecond),
		asked.Load(), resets.Load(), others.Load(), busy.Load(), dropped(t, l))
}

type connKey struct{}

// dropped is what the router's rules count: "packets 12 bytes 34567".
func dropped(t *testing.T, l *line) string {
	t.Helper()
	out, err := exec.Command(program(t, "ip"), "netns", "exec", l.router, "nft", "list", "table", "inet", "updoc").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := regexp.MustCompile(`packets (\d+) bytes \d+`).FindStringSubmatch(string(out))
	if m == nil || m[1] == "0" {
		t.Errorf("no packet was lost: %s", out)
		return "none"
	}
	return m[0]
}
