package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/report"
	"updoc/internal/winlog/evtxtest"
)

// BenchmarkBundle diagnoses what a helpdesk gets: a CBS.log, five packed
// CbsPersist logs, three event logs and an 80 MB WindowsUpdate.log. UPDOC_BUNDLE
// names a folder in which to keep the bundle, so that the whole process can be
// timed on it too.
func BenchmarkBundle(b *testing.B) {
	dir := os.Getenv("UPDOC_BUNDLE")
	if dir == "" {
		dir = b.TempDir()
	}
	total := makeBundle(b, dir)
	b.SetBytes(total)
	for b.Loop() {
		h, err := host.OpenRecorded(context.Background(), dir)
		if err != nil {
			b.Fatal(err)
		}
		f := facts.Collect(context.Background(), h, facts.Options{})
		doc := report.New(f, cause.Diagnose(f), report.Options{})
		h.Close()
		if doc.Verdict != string(cause.Problems) || doc.Causes[0].ID != "component-store-corrupt" {
			b.Fatalf("%s %v", doc.Verdict, doc.Causes)
		}
	}
}

func makeBundle(b *testing.B, dir string) (total int64) {
	b.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	write := func(name string, data []byte) {
		b.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			b.Fatal(err)
		}
		total += int64(len(data))
	}
	write("CBS.log", servicingLog(r, 45<<20, true))
	write("WindowsUpdate.log", agentLog(r, 80<<20))
	gcab, err := exec.LookPath("gcab")
	for i := range 5 {
		name := fmt.Sprintf("CbsPersist_2031020%d040506.log", i+1)
		data := servicingLog(r, 50<<20, false)
		if err != nil {
			write(name, data[:10<<20]) // without a packer, the size of the packed log
			continue
		}
		write(name, data)
		cmd := exec.Command(gcab, "-c", "-z", name[:len(name)-3]+"cab", name)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("gcab: %v\n%s", err, out)
		}
		os.Remove(filepath.Join(dir, name))
	}
	for _, name := range []string{"System", "Setup", "Microsoft-Windows-WindowsUpdateClient%4Operational"} {
		var buf bytes.Buffer
		if err := evtxtest.Write(&buf, events(r, name)); err != nil {
			b.Fatal(err)
		}
		write(name+".evtx", buf.Bytes())
	}
	return total
}

func servicingLog(r *rand.Rand, size int, broken bool) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		at := fmt.Sprintf("2031-02-%02d %02d:%02d:%02d, ", 1+i/86400%28, i/3600%24, i/60%60, i%60)
		switch k := r.IntN(2000); {
		case k == 0 && broken:
			fmt.Fprintf(&b, "%sError                 CBS    Failed to resolve execution package: Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3007.1.1%d [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n", at, r.IntN(9))
		case k < 3:
			fmt.Fprintf(&b, "%sInfo                  CBS    Failed to internally open package. [HRESULT = 0x800f0805 - CBS_E_INVALID_PACKAGE]\r\n", at)
		default:
			fmt.Fprintf(&b, "%sInfo                  CBS    Appl: Evaluating package applicability for package Microsoft-Windows-Feature-%d-Package~31bf3856ad364e35~amd64~~10.0.22621.%d, applicable state: Installed\r\n", at, r.IntN(900), r.IntN(4000))
		}
	}
	return b.Bytes()
}

func agentLog(r *rand.Rand, size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		at := fmt.Sprintf("2031/02/%02d %02d:%02d:%02d.%07d 4321  %-5d ", 1+i/86400%28, i/3600%24, i/60%60, i%60, r.IntN(1e7), 5000+r.IntN(90))
		switch k := r.IntN(500); {
		case k == 0:
			fmt.Fprintf(&b, "%sDataStore       *FAILED* [80248007] Service Registration::Find\r\n", at)
		case k == 1:
			fmt.Fprintf(&b, "%sAgent           * END * Finding updates CallerId = UpdateOrchestrator, Id = %d, Exit code = 0x00000000 (cV = aBcDeFgHiJkLmNoP.1.%d)\r\n", at, i, i%99)
		default:
			fmt.Fprintf(&b, "%sIdleTimer       WU operation (CSearchCall::Init ID %d, operation # %d) stopped; does not use network; is at background priority\r\n", at, i, i)
		}
	}
	return b.Bytes()
}

func events(r *rand.Rand, channel string) []evtxtest.Event {
	var out []evtxtest.Event
	start := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	for i := range 30_000 {
		out = append(out, evtxtest.Event{
			Provider: "Service Control Manager", Channel: channel, ID: 7036, Level: 4, Time: start.Add(time.Duration(i) * time.Minute), Computer: "WS-0142",
			Data: []evtxtest.Field{{Name: "param1", Value: fmt.Sprint("Service ", r.IntN(200))}, {Name: "param2", Value: "running"}},
		})
	}
	return out
}
