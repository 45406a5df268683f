package codes

import (
	"slices"
	"strings"
	"testing"
)

func TestNear(t *testing.T) {
	for _, test := range []struct {
		in    string
		want  HRESULT
		place int // among the first so many
	}{
		{"0x8024410B", 0x8024401B, 1}, // swapped
		{"0x80244018", 0x8024401B, 5}, // B for 8, itself a code
		{"0x80240438B", 0x80240438, 1},
		{"0x802440IB", 0x8024401B, 1},  // I for 1
		{"8O24401B", 0x8024401B, 1},    // O for 0
		{"Ox8024401B", 0x8024401B, 1},  // O for 0 in the prefix
		{"0x8O244O1B", 0x8024401B, 1},  // twice
		{"0x8024401", 0x8024401B, 6},   // last digit cut off
		{"0x802401B", 0x8024401B, 1},   // doubled digit written once
		{"0x80244401B", 0x8024401B, 1}, // once too often
		{"0x8070643", 0x80070643, 1},
		{"0x80070634", 0x80070643, 1},
		{"0x800F81F", 0x800F081F, 1},
		{"0x800F0B1F", 0x800F081F, 1},
		{"-2145107914", 0x8024401B, 5}, // swapped in decimal
		{"-214507941", 0x8024401B, 1},
		{"8024401G", 0x8024401B, 6},   // a letter that is no digit
		{"0x8O24401R", 0x8024401B, 6}, // and O for 0
		{"4O7", 0x8024401B, 1},
		{"PROXY_AUTH_REQ", 0x8024401B, 1},
		{"proxy auth req", 0x8024401B, 1},
		{"WU_E_PT_HTTP_STATUS_PROXY", 0x8024401B, 1},
		{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQUIRED", 0x8024401B, 1},
		{"WU_E_PT_HTTP_STATUS_PROXI_AUTH_REQ", 0x8024401B, 1},
		{"WU-E-PT-HTTP-STATUS-PROXY-AUTH-REQ", 0x8024401B, 1},
		{"WU_E_ALL_UPDATE_FAILED", 0x80240022, 1},
		{"WU_E_ALL_UPDATES_FIALED", 0x80240022, 1},
		{"CBS_E_STORE_CORUPTION", 0x800F0831, 1},
		{"E_ACCESDENIED", 0x80070005, 1},
		{"JET_errDatabaseDirtyShutdwn", 0xC8000226, 1},
	} {
		got := codesOf(Near(test.in, max(3, test.place)))
		if at := slices.Index(got, test.want); at < 0 || at >= test.place {
			t.Errorf("Near(%q) = %v, want %v among the first %d", test.in, got, test.want, test.place)
		}
	}
}

func TestNearBounds(t *testing.T) {
	for _, s := range []string{"", "zzzzzzzz", "KB5000001", "x", "0x", strings.Repeat("A", 65), strings.Repeat("8", 1<<20), "ein ganz anderer Satz"} {
		if got := Near(s, 3); len(got) != 0 {
			t.Errorf("Near(%.20q) = %v", s, codesOf(got))
		}
	}
	for n := -1; n < 5; n++ {
		if got := Near("0x80244099", n); len(got) > max(n, 0) {
			t.Errorf("Near(n=%d): %d results", n, len(got))
		}
	}
	got := codesOf(Near("0x8024401B", 100))
	if slices.Contains(got, 0x8024401B) {
		t.Error("a code is near itself")
	}
	if len(got) == 0 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
		t.Errorf("near 0x8024401B: %v", got)
	}
	// Each is one slip away.
	for _, h := range got {
		a, b := h.String(), "0x8024401B"
		diff := 0
		for i := range a {
			if a[i] != b[i] {
				diff++
			}
		}
		if diff > 2 {
			t.Errorf("%v is near 0x8024401B", h)
		}
	}
	if got := Near("WU_E_NO_SERVICE", 5); slices.Contains(codesOf(got), 0x80240001) {
		t.Error("a symbol is near itself")
	}
}

func TestDistance(t *testing.T) {
	var d distance
	for _, test := range []struct {
		a, b  string
		limit int
		want  int
	}{
		{"", "", 3, 0},
		{"ABC", "abc", 3, 0},
		{"ABC", "ABD", 3, 1},
		{"ABC", "ACB", 3, 1}, // neighbours swapped
		{"ABC", "BC", 3, 1},
		{"BC", "ABC", 3, 1},
		{"KITTEN", "SITTING", 4, 3},
		{"KITTEN", "SITTING", 2, 3}, // above the limit
		{"ABCDEFGH", "HGFEDCBA", 4, 5},
		{"A", "ABCDEFGH", 3, 4},
		{strings.Repeat("A", 100), "A", 3, 4},
	} {
		if got := d.within(test.a, test.b, test.limit); got != test.want {
			t.Errorf("within(%.10q, %.10q, %d) = %d, want %d", test.a, test.b, test.limit, got, test.want)
		}
	}
}

func FuzzNear(f *testing.F) {
	for _, s := range []string{"0x8024401", "WU_E_NO_SERVCE", "-214510794", "8O24401B", "proxy auth", "\xff", "ĀĀĀĀĀĀ", "ı_ſ_K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Near(s, 3)
		if len(got) > 3 {
			t.Fatalf("%d results", len(got))
		}
		for _, i := range got {
			if _, ok := Lookup(i.Code); !ok {
				t.Fatalf("%v is not in the table", i.Code)
			}
		}
	})
}
