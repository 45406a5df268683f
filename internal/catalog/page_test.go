package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDownload(t *testing.T) {
	t.Parallel()
	const id = "0a1b2c3d-0000-4000-8000-00000000abcd"
	page := func(lines ...string) string {
		return "<html><script>\ndownloadInformation[0] = new Object();\ndownloadInformation[0].updateID ='" + id + "';\n" + strings.Join(lines, "\n") + "\n</script></html>"
	}
	const at = "https://catalog.s.download.windowsupdate.com/c/msdownload/update/software/updt/2026/02/fabrikam-kb5099002-x64_00112233445566778899aabbccddeeff00112233.cab"
	for name, tt := range map[string]struct {
		page string
		want []File
		err  error
	}{
		"one": {page(
			"downloadInformation[0].files[0].url = '"+at+"';",
			"downloadInformation[0].files[0].digest = 'ABEiM0RVZneImaq7zN3u/wARIjM=';",
			"downloadInformation[0].files[0].sha256 = '';",
			"downloadInformation[0].files[0].architectures = 'AMD64';",
			"downloadInformation[0].files[0].languages = 'en,DE';",
		), []File{{Update: id, Name: "fabrikam-kb5099002-x64_00112233445566778899aabbccddeeff00112233.cab", URL: at, SHA1: "00112233445566778899aabbccddeeff00112233", Architectures: "AMD64", Languages: []string{"en", "de"}}}, nil},
		"the digest stands in the name alone": {
			page("downloadInformation[0].files[0].url='" + at + "';"),
			[]File{{Update: id, Name: "fabrikam-kb5099002-x64_00112233445566778899aabbccddeeff00112233.cab", URL: at, SHA1: "00112233445566778899aabbccddeeff00112233"}},
			nil,
		},
		"escapes": {
			page(`downloadInformation[0].files[0].url = 'https:\/\/download.windowsupdate.com\/x\u002fa.msu';`),
			[]File{{Update: id, Name: "a.msu", URL: "https://download.windowsupdate.com/x/a.msu"}},
			nil,
		},
		"a digest that is none": {page("downloadInformation[0].files[0].url = '"+at+"';", "downloadInformation[0].files[0].digest = 'AQID';"), nil, ErrPageChanged},
		"a sha256 that is none": {page("downloadInformation[0].files[0].url = '"+at+"';", "downloadInformation[0].files[0].sha256 = '%%%';"), nil, ErrPageChanged},
		"no address":            {page("downloadInformation[0].files[0].digest = '';"), nil, ErrPageChanged},
		"no files":              {page(), nil, ErrNoUpdate},
		"another page":          {"<html>hello</html>", nil, ErrPageChanged},
		"an error":              {"<div ID=errorPageDisplayedError>[Error number: 8DDD0010]</div>", nil, ErrSite},
		"a way out":             {page(`downloadInformation[0].files[0].url = 'https://download.windowsupdate.com/x/..%5c..%5cevil.exe';`), nil, ErrName},
		"a name with a way out": {page("downloadInformation[0].files[0].url = '"+at+"';", `downloadInformation[0].files[0].fileName = '../../evil.exe';`), nil, ErrName},
		"a script":              {page(`downloadInformation[0].files[0].url = 'https://download.windowsupdate.com/x/evil.ps1';`), nil, ErrName},
		"a user in the address": {page(`downloadInformation[0].files[0].url = 'https://download.windowsupdate.com@fabrikam.example/x.msu';`), nil, ErrPageChanged},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDownload(strings.NewReader(tt.page))
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A page without the cell that a row should have says which.
func TestMissingCell(t *testing.T) {
	t.Parallel()
	const id = "0a1b2c3d-0000-4000-8000-00000000abcd"
	row := `<td id="` + id + `_C1_R0"><a>An update (KB5099001)</a></td><td id="` + id + `_C2_R0">Windows 11</td><td id="` + id + `_C3_R0">Updates</td><td id="` + id + `_C4_R0">2/29/2028</td><td id="` + id + `_C5_R0">n/a</td><td id="` + id + `_C6_R0"><span id="` + id + `_size">1.5 KB</span></td>`
	table := func(row string) string {
		return `<table id="ctl00_catalogBody_updateMatches"><tr id="headerRow"><td>Title</td></tr><tr id="` + id + `_R0">` + row + `</tr></table>`
	}
	p, err := ParseSearch(strings.NewReader(table(row)))
	if err != nil || len(p.Rows) != 1 || p.Rows[0].Size != 1536 || p.Rows[0].KB != "KB5099001" || p.Rows[0].Date.Format("2006-01-02") != "2028-02-29" {
		t.Errorf("%+v, %v", p, err)
	}
	for cell, what := range map[string]string{"C1": "title", "C2": "products", "C3": "classification", "C4": "date", "C5": "version", "C6": "size"} {
		_, err := ParseSearch(strings.NewReader(table(strings.ReplaceAll(row, "_"+cell+"_", "_X_"))))
		var pe *PageError
		if !errors.As(err, &pe) || !strings.Contains(pe.Missing, "cell "+cell+" ("+what+")") {
			t.Errorf("%s: %v", cell, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<table id="x_updateMatches"><tr id="0a1b2c3d-0000-4000-8000-00000000abcd_R0"><td id="0a1b2c3d-0000-4000-8000-00000000abcd_C1_R0">t</td></tr></table><span id=searchDuration>1 - 25 of 76 (page 1 of 4)</span>`,
		`<span id="ctl00_catalogBody_noResultText">`,
		`<div id="errorPageDisplayedError">8DDD0010</div>`,
		`<span id=ScopedViewHandler_titleText>t</span><div><span id=ScopedViewHandler_labelArchitecture_Separator>A:</span> AMD64</div><span id=ScopedViewHandler_labelSupportedProducts_Separator></span><div id=supersededbyInfo><a href="?updateid=0a1b2c3d-0000-4000-8000-00000000abcd">x</a>`,
		`downloadInformation[0].updateID = '0a1b2c3d-0000-4000-8000-00000000abcd'; downloadInformation[0].files[0].url = 'https://a.b/c\x2e.msu';`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseSearch(strings.NewReader(s)); err == nil {
			for _, r := range p.Rows {
				if !isGUID(r.ID) || r.Title == "" || r.Date.IsZero() || r.Size < 0 {
					t.Errorf("%+v", r)
				}
			}
			if len(p.Rows) == 0 && !p.Last {
				t.Error("no rows, and nobody said so")
			}
		}
		if d, err := ParseDetails(strings.NewReader(s)); err == nil {
			for _, by := range d.SupersededBy {
				if by.ID != "" && !isGUID(by.ID) {
					t.Errorf("%+v", by)
				}
			}
		}
		if files, err := ParseDownload(strings.NewReader(s)); err == nil {
			for _, x := range files {
				if checkPackageName(x.Name) != nil || !isGUID(x.Update) || x.SHA1 != "" && !isHex(x.SHA1, 40) {
					t.Errorf("%+v", x)
				}
			}
		}
	})
}

func BenchmarkParseSearch(b *testing.B) {
	var page strings.Builder
	page.WriteString(`<table id="ctl00_catalogBody_updateMatches">`)
	for i := range 25 {
		id := "0a1b2c3d-0000-4000-8000-0000000000" + string(rune('a'+i/10)) + string(rune('0'+i%10))
		page.WriteString(strings.ReplaceAll(`<tr id="ID_R0"><td id="ID_C1_R0"><a>An update for Windows 11 (KB5099001)</a></td><td id="ID_C2_R0">Windows 11</td><td id="ID_C3_R0">Updates</td><td id="ID_C4_R0">2/2/2028</td><td id="ID_C5_R0">n/a</td><td id="ID_C6_R0"><span id="ID_size">1.5 MB</span></td></tr>`, "ID", id))
	}
	page.WriteString(strings.Repeat("<div>other things of a page</div>\r\n", 2000) + "</table>")
	b.SetBytes(int64(page.Len()))
	for b.Loop() {
		if p, err := ParseSearch(strings.NewReader(page.String())); err != nil || len(p.Rows) != 25 {
			b.Fatal(len(p.Rows), err)
		}
	}
}

func TestSafeName(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"windows11.0-kb5043080-x64_953449672073f8fb99badb4cc6d5d7849b9c83e8.msu": true, "KB5043080": true, "a(1).cab": true,
		"": false, ".hidden": false, "a/b": false, `a\b`: false, "..": false, "a:b": false, "con": false, "NUL.msu": false, "com1.cab": false, "lpt9": false, "com10.cab": true,
		"a.": false, "a b": false, "ä.cab": false, "a\x00.cab": false, "-rf": false, strings.Repeat("a", 181): false,
	} {
		if err := SafeName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzReadKit(f *testing.F) {
	const digest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	f.Add(`{"schema":"updoc.kit/1","updates":[{"id":"0a1b2c3d-0000-4000-8000-00000000abcd","title":"t","folder":"KB5099001","files":[{"name":"a.msu","size":1,"sha256":"` + digest + `","target":true}]}]}`)
	f.Add(`{"schema":"updoc.kit/1","updates":[{"id":"0a1b2c3d-0000-4000-8000-00000000abcd","folder":"..","files":[{"name":"../a","size":-1}]}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ReadKit(strings.NewReader(s))
		if err != nil {
			return
		}
		for i := range k.Updates {
			u := &k.Updates[i]
			for j := range u.Files {
				if p := u.Path(&u.Files[j]); strings.Count(p, "/") != 1 || strings.Contains(p, "..") && strings.HasPrefix(p, ".") || strings.ContainsAny(p, `\:`) {
					t.Errorf("%q leads elsewhere", p)
				}
			}
		}
	})
}

func TestKit(t *testing.T) {
	t.Parallel()
	const digest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	const a, b = "0a1b2c3d-0000-4000-8000-00000000000a", "0a1b2c3d-0000-4000-8000-00000000000b"
	good := func() *Kit {
		return &Kit{Schema: KitSchema, Updates: []KitUpdate{{ID: a, KB: "KB5099001", Title: "t", Folder: "KB5099001", Files: []KitFile{
			{Name: "first.msu", Size: 1, SHA256: digest}, {Name: "last.msu", Size: 2, SHA256: digest, Target: true},
		}}}}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Kit){
		"schema":        func(k *Kit) { k.Schema = "updoc.kit/9" },
		"empty":         func(k *Kit) { k.Updates = nil },
		"id":            func(k *Kit) { k.Updates[0].ID = "x" },
		"folder":        func(k *Kit) { k.Updates[0].Folder = ".." },
		"folder twice":  func(k *Kit) { u := k.Updates[0]; u.Folder = "kb5099001"; k.Updates = append(k.Updates, u) },
		"no files":      func(k *Kit) { k.Updates[0].Files = nil },
		"name":          func(k *Kit) { k.Updates[0].Files[0].Name = `..\x.msu` },
		"name twice":    func(k *Kit) { k.Updates[0].Files[0].Name = "LAST.msu" },
		"digest":        func(k *Kit) { k.Updates[0].Files[0].SHA256 = "" },
		"size":          func(k *Kit) { k.Updates[0].Files[0].Size = 0 },
		"no target":     func(k *Kit) { k.Updates[0].Files[1].Target = false },
		"two targets":   func(k *Kit) { k.Updates[0].Files[0].Target = true },
		"target, first": func(k *Kit) { f := k.Updates[0].Files; f[0], f[1] = f[1], f[0] },
	} {
		k := good()
		spoil(k)
		if err := k.Check(); !errors.Is(err, ErrKit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := good()
	if got := k.FolderOf(Row{ID: b, KB: "KB5099001"}); got != "KB5099001-0a1b2c3d" {
		t.Error(got)
	}
	if got := k.FolderOf(Row{ID: a, KB: "KB5099001"}); got != "KB5099001" {
		t.Error(got)
	}
	dir := t.TempDir()
	if err := k.Write(dir, "one\ntwo"); err != nil {
		t.Fatal(err)
	}
	back, err := OpenKit(dir)
	if err != nil || cmp.Diff(k, back) != "" {
		t.Errorf("%v %s", err, cmp.Diff(k, back))
	}
}
