package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// house says which rooms each room may import: the picture in docs/architecture.md.
// Nothing points up. Leaves may be used by any room.
var house = map[string][]string{
	"updoc":                           {"cli", "win", "route", "route/pac", "host", "host/winhost"},
	"updoc/internal/cli":              {"elevate", "ui", "ui/web", "ui/term", "catalog", "store", "isolate", "upgrade", "procedure", "lab", "relay", "report", "repair", "cause", "facts", "route", "route/pac", "host"},
	"updoc/internal/lab":              {"host"},
	"updoc/internal/report":           {"repair", "procedure", "cause", "facts", "route", "host"},
	"updoc/internal/peers":            {}, // tests alone, beside programs that others wrote
	"updoc/internal/repair":           {"store", "isolate", "upgrade", "procedure", "cause", "facts", "route", "host"},
	"updoc/internal/store":            {"procedure", "facts", "host"},
	"updoc/internal/isolate":          {"procedure", "facts", "host"},
	"updoc/internal/upgrade":          {"procedure", "facts", "host"},
	"updoc/internal/catalog":          {"host"},
	"updoc/internal/authenticode":     {},
	"updoc/internal/procedure":        {"host"},
	"updoc/internal/ui":               {"report", "repair", "cause", "facts", "host"},
	"updoc/internal/elevate":          {"ui", "repair"},
	"updoc/internal/ui/web":           {"ui", "report", "repair", "cause", "facts", "host"},
	"updoc/internal/ui/term":          {"ui", "report", "repair", "cause", "facts", "host"},
	"updoc/internal/relay":            {"route", "route/pac", "host"},
	"updoc/internal/cause":            {"facts", "route", "host"},
	"updoc/internal/facts":            {"route", "host"},
	"updoc/internal/route":            {"route/pac", "route/wusp", "host"},
	"updoc/internal/route/pac":        {"host"},
	"updoc/internal/route/wusp":       {"host"},
	"updoc/internal/host":             {},
	"updoc/internal/host/hosttest":    {"host"},
	"updoc/internal/host/winhost":     {"host"},
	"updoc/internal/winlog":           {},
	"updoc/internal/winlog/evtxtest":  {},
	"updoc/internal/codes":            {},
	"updoc/internal/cab":              {},
	"updoc/internal/udf":              {},
	"updoc/internal/wim":              {},
	"updoc/internal/redact":           {},
	"updoc/internal/message":          {},
	"updoc/internal/proxyauth":        {},
	"updoc/internal/httpwire":         {},
	"updoc/internal/sorted":           {},
	"updoc/internal/win":              {},
	"updoc/internal/winetest":         {}, // for tests: runs what was built for Windows under Wine
	"updoc/internal/winetest/standin": {},
	"updoc/internal/durable":          {},
}

// leaves may be used by any room; winlog itself uses codes and cab.
var leaves = []string{"codes", "redact", "cab", "udf", "wim", "message", "winlog", "proxyauth", "httpwire", "durable", "authenticode", "sorted"}

// onlyIn lists packages from outside that belong to one room.
var onlyIn = map[string][]string{
	"golang.org/x/sys/windows":              {"updoc/internal/win", "updoc/internal/host/winhost"},
	"github.com/spf13/cobra":                {"updoc/internal/cli"},
	"charm.land/bubbletea/v2":               {"updoc/internal/ui/term"},
	"github.com/go-ole/go-ole":              {"updoc/internal/host/winhost"},
	"github.com/Microsoft/go-winio":         {},
	"github.com/PuerkitoBio/goquery":        {"updoc/internal/catalog"},
	"github.com/Microsoft/go-winio/wim/lzx": {"updoc/internal/wim"},
	"github.com/dop251/goja":                {"updoc/internal/route/pac"},
	"net/http":                              {"updoc/internal/host/winhost", "updoc/internal/route", "updoc/internal/relay", "updoc/internal/lab", "updoc/internal/httpwire", "updoc/internal/catalog", "updoc/internal/ui/web"},
}

func TestHouse(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("go list: %v", err) // as under Wine, where the tests are and Go is not
	}
	for _, goos := range []string{"linux", "windows"} {
		cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports ","}}`, "./...")
		cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOFLAGS=-mod=mod")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
			checkRoom(t, pkg, strings.Split(imports, ","))
		}
	}
}

func checkRoom(t *testing.T, pkg string, imports []string) {
	allowed, ok := house[pkg]
	if !ok {
		t.Errorf("%s is not in the house: add it to deps_test.go and to docs/architecture.md", pkg)
		return
	}
	for _, imp := range imports {
		if rooms, ok := onlyIn[imp]; ok && !slices.Contains(rooms, pkg) {
			t.Errorf("%s imports %s, which belongs to %v", pkg, imp, rooms)
		}
		room, ours := strings.CutPrefix(imp, "updoc/internal/")
		if !ours {
			continue
		}
		if pkg == "updoc/internal/codes" || pkg == "updoc/internal/cab" || pkg == "updoc/internal/udf" || pkg == "updoc/internal/wim" || pkg == "updoc/internal/redact" || pkg == "updoc/internal/message" {
			t.Errorf("%s is a leaf and imports %s", pkg, imp)
		}
		if !slices.Contains(allowed, room) && !slices.Contains(leaves, room) {
			t.Errorf("%s imports %s: the house has no such arrow", pkg, imp)
		}
	}
}
