package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/lab"
)

// products is the tool's catalogue with one file, signed by whoever signs the packages of
// the machine's world.
func products(t *testing.T, dir, language, version string, esd []byte) (signed, unsigned string) {
	t.Helper()
	sum := sha256.Sum256(esd)
	doc := fmt.Sprintf(`<?xml version="1.0" encoding="utf-8"?><MCT><Catalogs><Catalog version="3.0"><PublishedMedia><Files><File><FileName>%s.240101-0000.fab.esd</FileName>`+
		`<LanguageCode>%s</LanguageCode><Edition>Professional</Edition><Architecture>x64</Architecture><Size>%d</Size><Sha256>%s</Sha256>`+
		`<FilePath>http://dl.delivery.mp.microsoft.com/filestreamingservice/files/1/%s.esd</FilePath></File></Files></PublishedMedia></Catalog></Catalogs></MCT>`,
		version, language, len(esd), hex.EncodeToString(sum[:]), version)
	cabinet := lab.Cabinet(lab.Packed{Name: "products.xml", Data: []byte(doc)})
	p, err := opened(t, dir).World().Publisher()
	if err != nil {
		t.Fatal(err)
	}
	good, err := p.Cabinet(cabinet)
	if err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	signed, unsigned = filepath.Join(at, "products.cab"), filepath.Join(at, "unsigned.cab")
	for name, b := range map[string][]byte{signed: good, unsigned: cabinet} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return signed, unsigned
}

// TestUpgradeGetsMedia: the file that fits is chosen from a catalogue that is Microsoft's,
// and what is there already and whole is not fetched again.
func TestUpgradeGetsMedia(t *testing.T) {
	_, dir := sickPC(t, "upgrade-repairs-store")
	esd := []byte("a file of the Media Creation Tool")
	signed, unsigned := products(t, dir, "en-us", "22631.2861", esd)
	to := t.TempDir()
	if err := os.WriteFile(filepath.Join(to, "22631.2861.240101-0000.fab.esd"), esd, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := commanded(t, "upgrade", "--lab", dir, "--get-media", to, "--products", signed)
	if code != ExitHealthy || !strings.Contains(out, "22631.2861.240101-0000.fab.esd") || !strings.Contains(out, "updoc upgrade --media") {
		t.Errorf("ended with %d\n%s%s", code, out, errs)
	}
	if code, _, errs := commanded(t, "upgrade", "--lab", dir, "--get-media", to, "--products", unsigned); code != ExitProblems || !strings.Contains(errs, "not signed") {
		t.Errorf("a catalogue that nobody signed: %d, %s", code, errs)
	}
	flipped, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	flipped[60] ^= 1
	if err := os.WriteFile(unsigned, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := commanded(t, "upgrade", "--lab", dir, "--get-media", to, "--products", unsigned); code != ExitProblems {
		t.Errorf("a catalogue with a flipped byte: %d, %s", code, errs)
	}
	for name, list := range map[string][2]string{"another language": {"fr-fr", "22631.2861"}, "another Windows": {"en-us", "26100.1742"}} {
		other, _ := products(t, dir, list[0], list[1], esd)
		if code, _, errs := commanded(t, "upgrade", "--lab", dir, "--get-media", to, "--products", other); code != ExitProblems || !strings.Contains(errs, "no such media") {
			t.Errorf("%s: %d, %s", name, code, errs)
		}
	}
	if code, _, errs := commanded(t, "upgrade", "--products", signed); code != ExitUsage {
		t.Errorf("without a folder: %d, %s", code, errs)
	}
}
