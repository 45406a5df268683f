package facts

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"updoc/internal/codes"
)

func TestRecogniser(t *testing.T) {
	t.Parallel()
	r := NewRecogniser()
	marks, failing := r.Signs("Error 1058: the service cannot be started, either because it is disabled. Update fails with 0x80070422 and 0x80070422, done 0x00000000")
	if !slices.Contains(marks, "start-failed-disabled") || len(failing) != 1 || failing[0] != codes.HRESULT(0x80070422) {
		t.Errorf("marks %v, failing %x", marks, failing)
	}
	if marks, failing = r.Signs("The weather is fine."); len(marks) != 0 || len(failing) != 0 {
		t.Errorf("marks %v, failing %x of a text about the weather", marks, failing)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"2025-01-02 Info CBS\tdone\r\n":     true,
		"Größe, 更新":                         true,
		"\x1b[31mred\x1b[0m":                true,
		strings.Repeat("\x01\x02\x00", 100): false,
	} {
		if got := printable([]byte(text)); got != want {
			t.Errorf("printable(%q) = %v", text, got)
		}
	}
}

func TestKBsIn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"KB5034441 and kb4474419, KB5034441": {"KB5034441", "kb4474419", "KB5034441"},
		"Package_for_KB5034441~31bf":         nil,
		"WKB5034441 1KB5034441":              nil,
		"KB12 KB":                            nil,
		"":                                   nil,
	} {
		if got := kbsIn([]byte(text), 8); !slices.Equal(got, want) {
			t.Errorf("kbsIn(%q) = %v, want %v", text, got, want)
		}
	}
	if got := kbsIn([]byte("KB5034441 KB4474419"), 1); len(got) != 1 {
		t.Errorf("more than asked for: %v", got)
	}
}

func TestFindNear(t *testing.T) {
	t.Parallel()
	expr := regexp.MustCompile(`(?i)build (\d+)`)
	text := strings.Repeat("x ", 5000) + "Build 19045"
	if at := indexFold(text, "build"); at != 10000 {
		t.Errorf("found at %d", at)
	}
	if m := findNear(expr, text, indexFold(text, "build")); len(m) != 2 || m[1] != "19045" {
		t.Errorf("near the word: %v", m)
	}
	if m := findNear(expr, text, -1); m != nil {
		t.Errorf("no place, yet %v", m)
	}
}
