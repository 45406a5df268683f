package lab

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestCatalogueIsNewest: the last month of the catalogue is newer than every machine of a
// scenario, as the real one's is.
func TestCatalogueIsNewest(t *testing.T) {
	newest := catalogueFirst + catalogueStep*(catalogueMonths-1)
	var builds []string
	for _, r := range catalogueReleases {
		builds = append(builds, strconv.Itoa(r.build))
	}
	version := regexp.MustCompile(`\b(?:` + strings.Join(builds, "|") + `)\.(\d{3,5})\b`)
	entries, err := scenarios.ReadDir("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		b, err := scenarios.ReadFile("scenarios/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range version.FindAllSubmatch(append(b, machineBase...), -1) {
			seen++
			if n, err := strconv.Atoi(string(m[1])); err != nil || n >= newest {
				t.Errorf("%s: %s, and the catalogue ends at revision %d", e.Name(), m[0], newest)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d builds were seen", seen)
	}
}
