package catalog

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/lab"
)

// site is the lab's catalogue, and clients of it.
func site(t testing.TB, spec lab.WorldSpec) (*lab.World, *Client, *Fetcher) {
	t.Helper()
	w, err := lab.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	n := Network{Dial: w.DialContext, TLS: &tls.Config{RootCAs: w.Trusted(), Time: w.Now}}
	at := n.Transport()
	t.Cleanup(at.CloseIdleConnections)
	quick := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return w, &Client{Transport: at, Sleep: quick}, &Fetcher{Transport: at, Sleep: quick}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	_, c, _ := site(t, lab.WorldSpec{})
	titles := func(list []Row) []string {
		var out []string
		for _, r := range list {
			out = append(out, r.Title)
		}
		return out
	}
	t.Run("an article", func(t *testing.T) {
		for _, q := range []string{"KB5090213", "5090213", "kb 5090213"} {
			got, err := c.Search(t.Context(), Query{Text: q})
			if err != nil {
				t.Fatal(err)
			}
			want := []string{
				"2026-10 Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5090213)",
				"2026-10 Dynamic Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5090213)",
				"2026-10 Cumulative Update for Windows 11 Version 23H2 for ARM64-based Systems (KB5090213)",
				"2026-10 Dynamic Cumulative Update for Windows 11 Version 23H2 for ARM64-based Systems (KB5090213)",
			}
			// The servicing stack that its description ties to the article is not of it.
			if d := cmp.Diff(want, titles(got.Rows)); d != "" {
				t.Error(d)
			}
			r := got.Rows[0]
			if r.KB != "KB5090213" || r.Products != "Windows 11" || r.Classification != "Security Updates" || r.Size < 100<<10 || r.Version != "" ||
				!r.Date.Equal(time.Date(2026, 10, 13, 0, 0, 0, 0, time.UTC)) || !isGUID(r.ID) {
				t.Errorf("%+v", r)
			}
		}
	})
	t.Run("all pages", func(t *testing.T) {
		var asked []int
		c := *c
		c.Page = func(n, _ int) { asked = append(asked, n) }
		got, err := c.Search(t.Context(), Query{Text: "cumulative update"})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Rows) < 300 || got.Total != len(got.Rows) || got.More || len(asked) != (got.Total+24)/25 {
			t.Errorf("%d rows of %d, more: %v, pages %v", len(got.Rows), got.Total, got.More, asked)
		}
		ids := map[string]bool{}
		for i, r := range got.Rows {
			ids[r.ID] = true
			if i > 0 && r.Date.After(got.Rows[i-1].Date) {
				t.Errorf("%s is not in order", r.Title)
			}
		}
		if len(ids) != len(got.Rows) {
			t.Error("a row came twice")
		}
	})
	t.Run("some pages", func(t *testing.T) {
		got, err := c.Search(t.Context(), Query{Text: "cumulative update", Pages: 2})
		if err != nil || len(got.Rows) != 50 || !got.More || got.Total < 300 {
			t.Errorf("%d rows of %d, more: %v, %v", len(got.Rows), got.Total, got.More, err)
		}
	})
	t.Run("a phrase", func(t *testing.T) {
		got, err := c.Search(t.Context(), Query{Text: "preview for windows 10 version 22h2", Exact: true})
		if err != nil || len(got.Rows) != 3 {
			t.Errorf("%v, %v", titles(got.Rows), err)
		}
	})
	t.Run("a product", func(t *testing.T) {
		got, err := c.Search(t.Context(), Query{Text: "2026-10 cumulative", Product: "windows server 2019"})
		if err != nil || len(got.Rows) == 0 || slices.ContainsFunc(got.Rows, func(r Row) bool { return !strings.Contains(r.Title, "Server 2019") }) {
			t.Errorf("%v, %v", titles(got.Rows), err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		got, err := c.Search(t.Context(), Query{Text: "KB1234567"})
		if err != nil || len(got.Rows) != 0 || got.Total != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestDetailsAndFiles(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"", lab.CatalogueAttrs} {
		_, c, _ := site(t, lab.WorldSpec{Catalogue: lab.Catalogue{Fault: fault}})
		got, err := c.Search(t.Context(), Query{Text: "2026-08 Windows 11 Version 24H2 x64 cumulative"})
		if err != nil || len(got.Rows) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		d, err := c.Details(t.Context(), got.Rows[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if d.Title != got.Rows[0].Title || d.Architecture != "AMD64" || d.Products != "Windows 11" || d.Languages != "all" || d.Restart != "Can request restart" ||
			d.Severity != "Critical" || !slices.Equal(d.KB, []string{"KB5090191"}) || d.MoreInfo != "https://support.microsoft.com/help/5090191" || d.Uninstall != "" || d.Driver != nil {
			t.Errorf("%+v", d)
		}
		if len(d.SupersededBy) != 2 || !strings.HasPrefix(d.SupersededBy[0].Title, "2026-09") || !isGUID(d.SupersededBy[1].ID) || len(d.Supersedes) != 19 {
			t.Errorf("by %v, %d before", d.SupersededBy, len(d.Supersedes))
		}
		files, err := c.Files(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 2 || files[0].SHA256 == "" || files[1].SHA256 != "" || files[1].SHA1 == "" || !strings.HasPrefix(files[0].Name, "windows11.0-kb5089980-x64_") || files[1].Update != d.ID ||
			!slices.Equal(files[0].Languages, []string{"all"}) || files[0].Architectures != "AMD64" || files[0].URL[:8] != "https://" {
			t.Errorf("%+v", files)
		}
	}
	_, c, _ := site(t, lab.WorldSpec{})
	got, err := c.Search(t.Context(), Query{Text: "contoso net"})
	if err != nil || len(got.Rows) != 1 || got.Rows[0].Version != "4.4.0.1202" {
		t.Fatalf("%+v, %v", got, err)
	}
	d, err := c.Details(t.Context(), got.Rows[0].ID)
	want := &Driver{Company: "Contoso", Manufacturer: "Contoso", Class: "Net", Model: "Contoso Touchpad", Provider: "Contoso", Version: "4.4.0.1202", Date: "8/13/2026", Hardware: []string{`pci\ven_10ee&dev_7002`, `pci\ven_10ee&dev_7102`}}
	if err != nil || cmp.Diff(want, d.Driver) != "" {
		t.Errorf("%v %s", err, cmp.Diff(want, d.Driver))
	}
	const nobody = "00000000-1111-2222-3333-444444444444"
	if _, err := c.Details(t.Context(), nobody); !errors.Is(err, ErrNoUpdate) {
		t.Error(err)
	}
	if _, err := c.Files(t.Context(), nobody); !errors.Is(err, ErrNoUpdate) {
		t.Error(err)
	}
	if _, err := c.Details(t.Context(), "../x"); !errors.Is(err, ErrNoUpdate) {
		t.Error(err)
	}
}

// What is wrong with the site is named, and is never an empty result.
func TestSiteFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spec    lab.WorldSpec
		err     error
		missing string
	}{
		"busy for a while":     {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueBusy, Times: 3}}, nil, ""},
		"busy all day":         {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueBusy}}, ErrSite, "8DDD0010"},
		"another error":        {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueError}}, ErrSite, "8DDD0024"},
		"rebuilt":              {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueRebuilt}}, ErrPageChanged, "table updateMatches"},
		"other rows":           {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueRows}}, ErrPageChanged, "row with an update's id"},
		"another form of date": {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueDates}}, ErrPageChanged, "date as month/day/year"},
		"the first page again": {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueStuck}}, nil, ""},
		"other attributes":     {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueAttrs}}, nil, ""},
		"a block page":         {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Body: lab.BodyPage}}}, ErrPageChanged, "table updateMatches"},
		"nothing":              {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Body: lab.BodyEmpty}}}, ErrPageChanged, "table updateMatches"},
		"garbage":              {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Body: lab.BodyGarbage}}}, ErrPageChanged, "table updateMatches"},
		"without end":          {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Body: lab.BodyEndless}}}, ErrPageChanged, "end within"},
		"elements in elements": {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Body: lab.BodyDeep}}}, ErrPageChanged, "end within"},
		"elsewhere":            {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Status: 302, Location: "https://www.example.com/"}}}, ErrElsewhere, "www.example.com"},
		"in the clear":         {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Status: 302, Location: "http://www.catalog.update.microsoft.com/"}}}, ErrElsewhere, "https"},
		"in a circle":          {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Body: lab.BodyLoop}}}, ErrElsewhere, "without end"},
		"an error of IIS":      {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Status: 500, Times: 2}}}, nil, ""},
		"always 503":           {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Status: 503}}}, &StatusError{503, "www.catalog.update.microsoft.com"}, ""},
		"resets":               {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "www.catalog.update.microsoft.com", Reset: true, Times: 2}}}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, _ := site(t, tt.spec)
			got, err := c.Search(t.Context(), Query{Text: "KB5090213"})
			var status, is *StatusError
			if errors.As(tt.err, &status) {
				if !errors.As(err, &is) || *is != *status {
					t.Errorf("%v, want %v", err, tt.err)
				}
				return
			}
			if !errors.Is(err, tt.err) || tt.err != nil && !strings.Contains(err.Error(), tt.missing) {
				t.Errorf("%v, want %v about %s", err, tt.err, tt.missing)
			}
			if err == nil && len(got.Rows) != 4 || err != nil && len(got.Rows) != 0 {
				t.Errorf("%d rows and %v", len(got.Rows), err)
			}
		})
	}
	t.Run("a page that stays the first ends the search", func(t *testing.T) {
		_, c, _ := site(t, lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueStuck}})
		got, err := c.Search(t.Context(), Query{Text: "cumulative update"})
		if err != nil || len(got.Rows) != 25 || !got.More {
			t.Errorf("%d rows, more: %v, %v", len(got.Rows), got.More, err)
		}
	})
}

// From the search to the file: the whole way, through the site's own faults too.
func TestSearchToFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spec lab.WorldSpec
		err  error
	}{
		"well":              {lab.WorldSpec{}, nil},
		"another host":      {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueHost}}, ErrHost},
		"an older file":     {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueOlder}}, ErrDigest},
		"a flipped bit":     {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueFlipped}}, ErrDigest},
		"no digest":         {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueDigest}}, ErrPageChanged},
		"no ranges":         {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentWhole}}}, nil},
		"other ranges":      {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentOther}}}, nil},
		"416":               {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentRefused}}}, nil},
		"cut at first":      {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentCut, Times: 5}}}, nil},
		"short at first":    {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentShort, Times: 3}}}, nil},
		"no length":         {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentNoSize}}}, nil},
		"corrupt":           {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentCorrupt}}}, ErrDigest},
		"resets on the way": {lab.WorldSpec{Paths: []lab.Path{{To: "catalog.s.download.windowsupdate.com", Fault: lab.PathReset, When: lab.WhenBody, After: 90 << 10, Times: 4}}}, nil},
		"no https":          {lab.WorldSpec{Paths: []lab.Path{{To: "catalog.s.download.windowsupdate.com:443", Fault: lab.PathRefuse}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, f := site(t, tt.spec)
			got, err := c.Search(t.Context(), Query{Text: "KB5090213"})
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(got.Rows, func(r Row) bool {
				return strings.Contains(r.Title, "13 Cumulative") || strings.Contains(r.Title, "10 Cumulative")
			})
			files, err := c.Files(t.Context(), got.Rows[i].ID)
			if err == nil {
				want := Want{URL: files[0].URL, SHA1: files[0].SHA1, SHA256: files[0].SHA256}
				if name == "no https" { // as the catalogue named files until 2024
					want.URL = strings.Replace(want.URL, "https:", "http:", 1)
				}
				f.Piece = minPiece
				_, err = f.Fetch(t.Context(), want, filepath.Join(t.TempDir(), files[0].Name))
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
}
