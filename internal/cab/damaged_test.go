package cab

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// damaged are cabinets that were whole once: bytes of their data are others, their
// end is cut off, and the sums of their blocks hold no more or are left out. whole has
// what each file was.
func damaged(rng *rand.Rand) (b []byte, whole map[string]string, unsummed bool, what string) {
	var c cabinet
	whole = map[string]string{}
	kind := ""
	for range 1 + rng.IntN(3) {
		n := 1 + rng.IntN(90_000)
		var files []namedData
		for k := range 1 + rng.IntN(3) {
			f := namedData{fmt.Sprintf("f%d-%d.bin", len(c.folders), k), randomData(rng, n)}
			sum := md5.Sum(f.data)
			whole[f.name] = hex.EncodeToString(sum[:])
			files = append(files, f)
		}
		switch rng.IntN(4) {
		case 0:
			kind += " none"
			c.add(0, packNone, files...)
		case 1:
			kind += " MSZIP"
			c.add(1, packMSZIP, files...)
		default:
			plan := randomPlan(rng)
			kind += fmt.Sprintf(" LZX:%d", plan.bits)
			c.add(plan.method(), packLZX(plan), files...)
		}
	}
	b = c.bytes()
	data := dataAt(b)
	unsummed = rng.IntN(2) == 0
	if unsummed { // the decoders have to see for themselves
		eachBlock(b, func(head []byte) { clear(head[:4]) })
	}
	flips := rng.IntN(4)
	if !unsummed {
		flips = min(flips, 1) // the sum is an exclusive or: two flips may make it hold again
	}
	for range flips {
		i := data + rng.IntN(len(b)-data)
		b[i] ^= 1 << rng.IntN(8)
	}
	if unsummed && rng.IntN(4) == 0 {
		b = b[:data+rng.IntN(len(b)-data)]
	}
	return b, whole, unsummed, fmt.Sprintf("%s, sums left out %v", kind, unsummed)
}

// dataAt is where the first block begins.
func dataAt(b []byte) int {
	first := len(b)
	for i := range int(binary.LittleEndian.Uint16(b[26:])) {
		first = min(first, int(binary.LittleEndian.Uint32(b[headerLen+folderLen*i:])))
	}
	return first
}

// eachBlock calls f with the head of every block.
func eachBlock(b []byte, f func(head []byte)) {
	for i := range int(binary.LittleEndian.Uint16(b[26:])) {
		folder := b[headerLen+folderLen*i:]
		at := int(binary.LittleEndian.Uint32(folder))
		for range int(binary.LittleEndian.Uint16(folder[4:])) {
			head := b[at:]
			f(head)
			at += dataLen + int(binary.LittleEndian.Uint16(head[4:]))
		}
	}
}

// Of a cabinet that was damaged, cabextract and this package read the same files to
// the same bytes. What this package alone reads is what it was before the damage, if the
// cabinet has sums; what it alone refuses is rare.
func TestDamagedBesideCabextract(t *testing.T) {
	path, err := exec.LookPath("cabextract")
	if err != nil {
		t.Skip("cabextract is not installed: its reading of damaged cabinets is not compared")
	}
	dir := t.TempDir()
	rounds := 30
	if os.Getenv("UPDOC_FULL") != "" {
		rounds = 2000
	}
	line := regexp.MustCompile(`(?m)^  (f\d+-\d+\.bin)\s+OK\s+([0-9a-f]{32})`)
	var same, both, further, stricter int
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 0xdab))
		b, whole, unsummed, what := damaged(rng)
		name := filepath.Join(dir, "x.cab")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"-t", name}
		if r, err := NewReader(bytes.NewReader(b), int64(len(b))); err == nil && r.Missing > 0 {
			args = []string{"-t", "-f", name} // else it reads nothing of what is cut off; it then minds no sums
		}
		out, _ := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		theirs := map[string]string{}
		for _, m := range line.FindAllSubmatch(out, -1) {
			theirs[string(m[1])] = string(m[2])
		}
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("seed %d,%s: %v", seed, what, err)
		}
		_ = r.Walk(func(f *File, content io.Reader) error {
			h := md5.New()
			_, err := io.Copy(h, content)
			sum := hex.EncodeToString(h.Sum(nil))
			switch their, ok := theirs[f.Name]; {
			case err == nil && ok && sum == their:
				same++
			case err == nil && ok:
				t.Errorf("seed %d,%s: %s is %s, cabextract has %s", seed, what, f.Name, sum, their)
			case err == nil && (sum == whole[f.Name] || unsummed):
				further++ // cabextract reads ahead, and so into the damage; without sums nobody can tell
			case err == nil:
				t.Errorf("seed %d,%s: %s is read wrongly, and cabextract does not:\n%s", seed, what, f.Name, out)
			case ok:
				stricter++
				t.Logf("seed %d,%s: %s: %v", seed, what, f.Name, err)
			default:
				both++
			}
			return nil
		})
	}
	t.Logf("%d files read alike, %d refused by both, %d read here alone and right, %d refused here alone", same, both, further, stricter)
	if same == 0 || both == 0 {
		t.Error("nothing was compared")
	}
	if stricter*20 > same+both {
		t.Errorf("%d of %d files are refused here alone", stricter, same+both+stricter)
	}
}
