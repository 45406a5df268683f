package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// AskStore asks for [Store].
const AskStore = "store"

// Store is the component store as servicing's log and registry tell of it. What a
// tool of servicing found or repaired stands here and in no exit code: a scan that
// finds damage ends with 0.
type Store struct {
	Log      winlog.StoreLog `json:"log"`
	Packages []StorePackage  `json:"packages,omitempty"` // of updates that are neither installed nor gone
	Pending  bool            `json:"pending,omitempty"`  // servicing waits for a restart
	Unseen   []Unseen        `json:"unseen,omitempty"`
}

// StorePackage is a package of an update.
type StorePackage struct {
	Name   string        `json:"name"`  // identity
	State  uint32        `json:"state"` // CurrentState, see PackageState
	Result codes.HRESULT `json:"result,omitzero"`
}

// PackageState is a state of a package in servicing's registry, where it stands as
// the number CurrentState of Component Based Servicing\Packages\NAME. CBS.log writes
// the same numbers with these names.
type PackageState uint32

// The states.
const (
	PackageAbsent           PackageState = 0x00
	PackageUninstallPending PackageState = 0x05
	PackageResolving        PackageState = 0x10
	PackageResolved         PackageState = 0x20
	PackageStaging          PackageState = 0x30
	PackageStaged           PackageState = 0x40
	PackageSuperseded       PackageState = 0x50
	PackageInstallPending   PackageState = 0x60
	PackagePartly           PackageState = 0x65
	PackageInstalled        PackageState = 0x70
	PackagePermanent        PackageState = 0x80
)

func (s PackageState) String() string {
	if name, ok := map[PackageState]string{
		PackageAbsent: "absent", PackageUninstallPending: "uninstall pending", PackageResolving: "resolving", PackageResolved: "resolved",
		PackageStaging: "staging", PackageStaged: "staged", PackageSuperseded: "superseded", PackageInstallPending: "install pending",
		PackagePartly: "partially installed", PackageInstalled: "installed", PackagePermanent: "permanent",
	}[s]; ok {
		return name
	}
	return fmt.Sprintf("state 0x%x", uint32(s))
}

// half reports a state in which nothing rests: work on the package was begun and
// neither ended nor taken back. What is staged rests if nothing failed.
func (p StorePackage) half() bool {
	switch PackageState(p.State) {
	case PackageAbsent, PackageSuperseded, PackageInstalled, PackagePermanent:
		return false
	case PackageStaged:
		return p.Result.Failed()
	}
	return true
}

// KB is the number of the update that the package is of, "" if its name does not tell.
func (p StorePackage) KB() string {
	_, s, ok := strings.Cut(p.Name, "_for_KB")
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	if !ok || n < 6 || n > 7 {
		return ""
	}
	return "KB" + s[:n]
}

const (
	keyServicing = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`

	// maxStorePackages bounds the packages that are looked at: a machine of ten years
	// has some hundreds of updates.
	maxStorePackages = 4000
	maxHalf          = 200
)

// ReadStore reads what a machine's own log and registry tell of its component store.
// The newest two of the logs are read: one may have been begun while a tool worked.
func ReadStore(ctx context.Context, r Reader) (Store, error) {
	var out Store
	miss := func(part string, err error) {
		if err != nil && !errors.Is(err, ErrNotExist) {
			out.Unseen = append(out.Unseen, Unseen{Part: part, Why: err.Error()})
		}
	}
	var reader winlog.StoreReader
	logs, err := storeLogs(ctx, r)
	miss("log", err)
	for _, f := range logs {
		miss("log", scanStore(ctx, r, f, &reader))
	}
	out.Log = reader.Log()
	for _, name := range []string{"RebootPending", "RebootInProgress", "PackagesPending"} {
		k, err := r.Key(ctx, keyServicing+`\`+name)
		miss("pending", err)
		out.Pending = out.Pending || err == nil && (name != "PackagesPending" || len(k.Values)+len(k.Subkeys) > 0)
	}
	all, err := r.Key(ctx, keyPackages)
	miss("packages", err)
	n := 0
	for _, name := range all.Subkeys {
		if n == maxStorePackages || len(out.Packages) == maxHalf {
			miss("packages", errors.New("there are more than are looked at"))
			break
		}
		if !strings.HasPrefix(name, "Package_") {
			continue // a part of Windows and no update
		}
		n++
		k, err := r.Key(ctx, keyPackages+`\`+name)
		if err != nil {
			miss("packages", err)
			continue
		}
		if p, ok := storePackage(name, k); ok && p.half() {
			out.Packages = append(out.Packages, p)
		}
	}
	return out, ctx.Err()
}

func storePackage(name string, k Key) (StorePackage, bool) {
	v, ok := k.Value("CurrentState")
	state, number := v.DWord()
	if !ok || !number {
		return StorePackage{}, false
	}
	p := StorePackage{Name: name, State: state}
	if v, ok := k.Value("LastError"); ok {
		if n, ok := v.DWord(); ok && codes.HRESULT(n).Failed() {
			p.Result = codes.HRESULT(n)
		}
	}
	return p, true
}

// storeLogs are CBS.log and the newest that it was before, which comes first.
func storeLogs(ctx context.Context, r Reader) ([]File, error) {
	now, err := r.Files(ctx, "CBS.log")
	if err != nil {
		return nil, err
	}
	before, err := r.Files(ctx, "CbsPersist_*.log")
	if err != nil {
		return now, err
	}
	sorted.By(before, func(a, b File) int {
		return strings.Compare(strings.ToLower(path.Base(b.Path)), strings.ToLower(path.Base(a.Path))) // their names are their times
	})
	return append(before[:min(len(before), 1)], now[:min(len(now), 1)]...), nil
}

func scanStore(ctx context.Context, r Reader, f File, to *winlog.StoreReader) error {
	src, err := r.Open(ctx, f)
	if err != nil {
		return err
	}
	defer src.Close()
	_, err = winlog.Scan(ctx, winlog.CBS, src, winlog.Options{Sparse: true, Size: f.Size}, func(rec *winlog.Record) error {
		to.Record(rec)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", path.Base(f.Path), err)
	}
	return nil
}

// AnswerStore answers [AskStore] from a machine's log and registry.
func AnswerStore(ctx context.Context, r Reader) (Answer, error) {
	s, err := ReadStore(ctx, r)
	if err != nil {
		return Answer{}, fmt.Errorf("answer %s: %w", AskStore, err)
	}
	b, err := json.Marshal(s)
	return Answer{JSON: b, Source: "answer " + AskStore}, err
}
