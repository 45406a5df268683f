package upgrade

import (
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/cab"
)

// Product is one image file of the Media Creation Tool's catalogue: setup and all
// editions of one kind for one language and processor, compressed.
type Product struct {
	File     string   `json:"file"`
	URL      string   `json:"url"`
	Size     int64    `json:"size"` // bytes
	SHA256   string   `json:"sha256,omitempty"`
	SHA1     string   `json:"sha1,omitempty"` // where the catalogue has no SHA-256
	Language string   `json:"language"`       // "de-de", as it stands there
	Arch     string   `json:"arch"`           // amd64, arm64, 386
	Editions []string `json:"editions"`
	Version  Version  `json:"version"` // by the name of the file; build 0 if it has none
}

// Bounds of a catalogue; that of 2024 has 1.6 MB and 1,300 rows.
const (
	maxCatalogue = 32 << 20
	maxProducts  = 20000
)

// ErrNotCovered says that the Media Creation Tool has nothing for a machine.
var ErrNotCovered = errors.New("the Media Creation Tool has no such media")

// OpenProducts reads the catalogue from the cabinet in which Microsoft publishes it,
// products.cab. Whether it is Microsoft's is for the caller to have verified.
func OpenProducts(r io.ReaderAt, size int64) ([]Product, error) {
	c, err := cab.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("open the catalogue of media: %w", err)
	}
	for _, f := range c.Files {
		if !strings.EqualFold(path.Base(f.Name), "products.xml") {
			continue
		}
		if f.Size > maxCatalogue {
			return nil, fmt.Errorf("open the catalogue of media: %w", ErrTooLarge)
		}
		src, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("open the catalogue of media: %w", err)
		}
		doc, err := io.ReadAll(io.LimitReader(src, maxCatalogue))
		if err = errors.Join(err, src.Close()); err != nil {
			return nil, fmt.Errorf("open the catalogue of media: %w", err)
		}
		return ParseProducts(doc)
	}
	return nil, fmt.Errorf("open the catalogue of media: no products.xml in it: %w", ErrDamaged)
}

// ParseProducts reads products.xml. Its rows stand below MCT/Catalogs/Catalog/
// PublishedMedia, in older ones below PublishedMedia alone, one for each edition of a
// file: they are put together here. A row that leads anywhere but to Microsoft's
// servers, or without a digest, is passed over.
func ParseProducts(doc []byte) ([]Product, error) {
	if len(doc) > maxCatalogue {
		return nil, fmt.Errorf("read the catalogue of media: %w", ErrTooLarge)
	}
	d := decoder(doc)
	var out []Product
	at := map[string]int{}
	published := false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the catalogue of media: %w: %w", ErrDamaged, err)
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		published = published || start.Name.Local == "PublishedMedia"
		if start.Name.Local != "File" || !published {
			continue
		}
		var row struct {
			FileName, LanguageCode, Edition, Architecture, Size, Sha1, Sha256, FilePath string
		}
		if err := d.DecodeElement(&row, &start); err != nil {
			return nil, fmt.Errorf("read the catalogue of media: %w: %w", ErrDamaged, err)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(row.Size), 10, 64)
		p := Product{
			File: strings.TrimSpace(row.FileName), URL: strings.TrimSpace(row.FilePath), Size: size,
			SHA256: digest(row.Sha256, 64), SHA1: digest(row.Sha1, 40),
			Language: strings.ToLower(strings.TrimSpace(row.LanguageCode)), Arch: productArch(row.Architecture), Version: fileVersion(row.FileName),
		}
		if err != nil || size <= 0 || p.SHA256 == "" && p.SHA1 == "" || !plainName(p.File) || !microsofts(p.URL) {
			continue
		}
		i, known := at[p.URL]
		if !known {
			if len(out) == maxProducts {
				return nil, fmt.Errorf("read the catalogue of media: %w", ErrTooLarge)
			}
			i = len(out)
			at[p.URL] = i
			out = append(out, p)
		}
		if e := strings.TrimSpace(row.Edition); e != "" && !slices.Contains(out[i].Editions, e) {
			out[i].Editions = append(out[i].Editions, e)
		}
	}
	if !published {
		return nil, fmt.Errorf("read the catalogue of media: it lists no media: %w", ErrDamaged)
	}
	return out, nil
}

// digest returns a digest in lower-case hex, "" if it is none of n digits.
func digest(s string, n int) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if _, err := hex.DecodeString(s); err != nil || len(s) != n {
		return ""
	}
	return s
}

func productArch(s string) string {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "x64", "amd64":
		return "amd64"
	case "x86":
		return "386"
	case "arm64":
		return "arm64"
	}
	return ""
}

// fileVersion reads the version at the head of a name: "22631.2861.231204-0538....esd".
func fileVersion(name string) Version {
	parts := strings.SplitN(strings.TrimSpace(name), ".", 3)
	if len(parts) < 3 {
		return Version{}
	}
	return ParseVersion(parts[0] + "." + parts[1])
}

// plainName accepts a name that leads nowhere.
func plainName(s string) bool {
	return strings.HasSuffix(strings.ToLower(s), ".esd") && len(s) < 200 && !strings.ContainsAny(s, `/\:*?"<>|`) && s[0] != '.' &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// microsofts accepts the addresses that the tool itself fetches from.
func microsofts(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() != "" {
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, domain := range []string{".dl.delivery.mp.microsoft.com", ".download.windowsupdate.com"} {
		if host == domain[1:] || strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// CatalogueURL is where Microsoft publishes the catalogue for a version of Windows.
func CatalogueURL(v Version) string {
	const windows11 = 22000
	if v.Build < windows11 {
		return "https://go.microsoft.com/fwlink/?LinkId=841361"
	}
	return "https://go.microsoft.com/fwlink/?LinkId=2156292"
}

// CatalogueHost reports whether the catalogue comes from a host.
func CatalogueHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "go.microsoft.com" || host == "download.microsoft.com"
}

// Choose picks the file for a machine, the newest of its own build. What the tool does
// not cover is said by an error that wraps [ErrNotCovered].
func Choose(products []Product, m Machine) (Product, error) {
	if why := NotCovered(m.Edition); why != "" {
		return Product{}, fmt.Errorf("%s: %w", why, ErrNotCovered)
	}
	best, found := Product{}, false
	other := Version{}
	for _, p := range products {
		if p.Arch != m.Arch || !strings.EqualFold(p.Language, m.Language) ||
			!slices.ContainsFunc(p.Editions, func(e string) bool { return strings.EqualFold(e, m.Edition) }) {
			continue
		}
		if !SameFamily(p.Version, m.Version) {
			if p.Version.Compare(other) > 0 {
				other = p.Version
			}
			continue
		}
		if !found || p.Version.Compare(best.Version) > 0 {
			best, found = p, true
		}
	}
	if !found && other.Build != 0 {
		return Product{}, fmt.Errorf("it has %v, and the machine runs %v: %w", other, m.Version, ErrNotCovered)
	}
	if !found {
		return Product{}, fmt.Errorf("edition %s, language %s, %s, build %d: %w", m.Edition, m.Language, m.Arch, m.Version.Build, ErrNotCovered)
	}
	return best, nil
}

// NotCovered names the Windows of an edition whose media come by another way, "" for
// those that the Media Creation Tool has. Their EditionIDs are
// those of learn.microsoft.com: "Windows edition upgrade", "Get started with Windows LTSC".
func NotCovered(edition string) string {
	e := strings.ToLower(edition)
	switch {
	case strings.HasPrefix(e, "server"):
		return "Windows Server"
	case strings.HasPrefix(e, "enterprises"), strings.HasPrefix(e, "iotenterprises"):
		return "Windows LTSC"
	case strings.HasPrefix(e, "enterprise"), strings.HasPrefix(e, "iotenterprise"):
		return "Windows Enterprise"
	case strings.HasSuffix(e, "eval"):
		return "an evaluation edition"
	}
	return ""
}
