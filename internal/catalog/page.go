package catalog

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"
)

// Bounds of a page.
const (
	maxPage  = 8 << 20 // bytes; a page of 25 rows has a tenth of a megabyte
	maxRows  = 200     // of a page, which has 25
	maxText  = 16 << 10
	maxRefs  = 2000 // superseded updates of one: some have hundreds
	maxDeep  = 400  // open elements; the site needs some twenty
	maxFiles = 2000 // of a download dialogue
)

// Page is one page of a search's result.
type Page struct {
	Rows  []Row
	Total int  // rows of all pages; 0 unknown
	Last  bool // the site says that no page follows
}

// ParseSearch reads a page of Search.aspx. A page without a table is empty only if it
// says so.
func ParseSearch(r io.Reader) (Page, error) {
	doc, err := parse(r)
	if err != nil {
		return Page{}, err
	}
	if err := siteError(doc); err != nil {
		return Page{}, err
	}
	table := doc.Find(`table[id$="updateMatches"]`).First()
	if table.Length() == 0 {
		if doc.Find(`[id$="noResultText"]`).Length() > 0 {
			return Page{Last: true}, nil
		}
		return Page{}, &PageError{"search", "table updateMatches, nor noResultText, nor errorPageDisplayedError"}
	}
	var p Page
	var wrong error
	table.Find("tr").EachWithBreak(func(_ int, tr *goquery.Selection) bool {
		name, n, ok := strings.Cut(tr.AttrOr("id", ""), "_R")
		if !ok || !isGUID(name) || n == "" {
			return true // the head of the table
		}
		var row Row
		if row, wrong = parseRow(tr, name, n); wrong != nil {
			return false
		}
		p.Rows = append(p.Rows, row)
		return len(p.Rows) < maxRows
	})
	if wrong != nil {
		return Page{}, wrong
	}
	p.Total, p.Last = counter(doc)
	if len(p.Rows) == 0 {
		return Page{}, &PageError{"search", "row with an update's id in table updateMatches"}
	}
	return p, nil
}

// parseRow reads one row. Its cells have ids of their own; the ids of everything else in
// it begin with the update's.
func parseRow(tr *goquery.Selection, id, n string) (Row, error) {
	row := Row{ID: strings.ToLower(id)}
	cell := func(k int, what string) (*goquery.Selection, error) {
		c := byID(tr, fmt.Sprintf("%s_C%d_R%s", id, k, n))
		if c.Length() == 0 {
			return nil, &PageError{"search", fmt.Sprintf("cell C%d (%s) in the row of %s", k, what, row.ID)}
		}
		return c, nil
	}
	for k, f := range []struct {
		what string
		to   *string
	}{1: {"title", &row.Title}, 2: {"products", &row.Products}, 3: {"classification", &row.Classification}, 5: {"version", &row.Version}} {
		if f.to == nil {
			continue
		}
		c, err := cell(k, f.what)
		if err != nil {
			return row, err
		}
		*f.to = value(c.Text())
	}
	if row.Title == "" {
		return row, &PageError{"search", "title in the row of " + row.ID}
	}
	row.KB = kbIn(row.Title)
	c, err := cell(4, "date")
	if err != nil {
		return row, err
	}
	// Asked for in American English, the site writes month/day/year.
	if row.Date, err = time.Parse("1/2/2006", clean(c.Text())); err != nil {
		return row, &PageError{"search", fmt.Sprintf("date as month/day/year in the row of %s: %.40q", row.ID, clean(c.Text()))}
	}
	if c, err = cell(6, "size"); err != nil {
		return row, err
	}
	row.Size = size(byID(c, id+"_originalSize").Text(), byID(c, id+"_size").Text())
	return row, nil
}

// size reads the bytes that stand hidden beside the size that is shown, else the latter.
func size(exact, shown string) int64 {
	if n, err := strconv.ParseInt(clean(exact), 10, 64); err == nil && n > 0 {
		return n
	}
	number, unit, _ := strings.Cut(clean(shown), " ")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || f > 1e6 {
		return 0
	}
	switch strings.ToUpper(unit) {
	case "KB":
		return int64(f * (1 << 10))
	case "MB":
		return int64(f * (1 << 20))
	case "GB":
		return int64(f * (1 << 30))
	}
	return 0
}

var countForm = regexp.MustCompile(`of (\d{1,6})(?: \(page (\d{1,4}) of (\d{1,4})\))?`)

// counter reads "26 - 50 of 76 (page 2 of 4)".
func counter(doc *goquery.Document) (total int, last bool) {
	m := countForm.FindStringSubmatch(clean(doc.Find(`[id$="searchDuration"]`).First().Text()))
	if m == nil {
		return 0, false
	}
	total, _ = strconv.Atoi(m[1]) // digits
	return total, m[2] != "" && m[2] == m[3]
}

// ParseDetails reads a page of ScopedViewInline.aspx.
func ParseDetails(r io.Reader) (*Details, error) {
	doc, err := parse(r)
	if err != nil {
		return nil, err
	}
	if err := siteError(doc); err != nil {
		return nil, err
	}
	const own = "ScopedViewHandler_"
	if byID(doc.Selection, own+"titleText").Length() == 0 {
		if doc.Find("body").HasClass("error") {
			return nil, ErrNoUpdate
		}
		return nil, &PageError{"details", own + "titleText"}
	}
	span := func(name string) string { return value(byID(doc.Selection, own+name).First().Text()) }
	d := &Details{
		Title: span("titleText"), Description: span("desc"), Date: span("date"), Size: span("size"), Severity: span("msrcSeverity"),
		Restart: span("rebootBehavior"), UserInput: span("userInput"), Exclusive: span("installationImpact"), Connectivity: span("connectivity"),
	}
	labels := 0
	for _, l := range []struct {
		label string
		to    *string
	}{
		{"Architecture", &d.Architecture},
		{"Classification", &d.Classification},
		{"SupportedProducts", &d.Products},
		{"SupportedLanguages", &d.Languages},
		{"MoreInfo", &d.MoreInfo},
		{"SupportUrl", &d.Support},
		{"UninstallNotes", &d.Uninstall},
	} {
		label := byID(doc.Selection, own+"label"+l.label+"_Separator").First()
		if label.Length() > 0 {
			labels++
			*l.to = value(after(label))
		}
	}
	if labels == 0 { // pages of drivers and of updates do not have all the same ones
		return nil, &PageError{"details", own + "labelArchitecture_Separator, nor any other label"}
	}
	if label := byID(doc.Selection, own+"labelKBArticle_Separator").First(); label.Length() > 0 {
		for _, m := range regexp.MustCompile(`\d{6,8}`).FindAllString(after(label), 20) {
			d.KB = append(d.KB, "KB"+m)
		}
	}
	if byID(doc.Selection, "supersededbyInfo").Length() == 0 {
		return nil, &PageError{"details", "supersededbyInfo"}
	}
	byID(doc.Selection, "supersededbyInfo").First().Find("a").EachWithBreak(func(_ int, a *goquery.Selection) bool {
		ref := Ref{Title: clean(a.Text())}
		if u, err := url.Parse(a.AttrOr("href", "")); err == nil {
			for key, v := range u.Query() {
				if id, ok := ID(v[0]); ok && strings.EqualFold(key, "updateid") {
					ref.ID = id
				}
			}
		}
		if ref.ID != "" || ref.Title != "" {
			d.SupersededBy = append(d.SupersededBy, ref)
		}
		return len(d.SupersededBy) < maxRefs
	})
	byID(doc.Selection, "supersedesInfo").First().Children().EachWithBreak(func(_ int, div *goquery.Selection) bool {
		if t := value(div.Text()); t != "" {
			d.Supersedes = append(d.Supersedes, Ref{Title: t})
		}
		return len(d.Supersedes) < maxRefs
	})
	d.Driver = driver(doc, span)
	return d, nil
}

// driver reads what pages of drivers have besides; nil if there is none of it.
func driver(doc *goquery.Document, span func(string) string) *Driver {
	d := Driver{
		Company: span("company"), Manufacturer: span("driverManufacturer"), Class: span("driverClass"), Model: span("driverModel"),
		Provider: span("driverProvider"), Version: span("version"), Date: span("versionDate"),
	}
	if d.Class == "" && d.Model == "" && d.Version == "" {
		return nil
	}
	byID(doc.Selection, "driverhwIDs").First().Children().EachWithBreak(func(_ int, div *goquery.Selection) bool {
		if t := value(div.Text()); t != "" {
			d.Hardware = append(d.Hardware, t)
		}
		return len(d.Hardware) < maxRefs
	})
	return &d
}

var (
	fileLine   = regexp.MustCompile(`downloadInformation\[(\d{1,3})\]\s*\.\s*files\[(\d{1,3})\]\s*\.\s*(\w{1,40})\s*=\s*'((?:[^'\\]|\\.)*)'`)
	updateLine = regexp.MustCompile(`downloadInformation\[(\d{1,3})\]\s*\.\s*updateID\s*=\s*'([^']{1,64})'`)
)

// ParseDownload reads the answer of DownloadDialog.aspx: every file of every update, in
// the order of the page. A digest that is none is an error: it decides whether a file is
// the right one.
func ParseDownload(r io.Reader) ([]File, error) {
	b, err := readPage(r)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, m := range updateLine.FindAllStringSubmatch(b, maxFiles) {
		if id, ok := ID(m[2]); ok {
			ids[m[1]] = id
		}
	}
	var out []File
	at := map[string]int{}
	for _, m := range fileLine.FindAllStringSubmatch(b, maxFiles*10) {
		key := m[1] + " " + m[2]
		i, ok := at[key]
		if !ok {
			if len(out) == maxFiles {
				break
			}
			i = len(out)
			at[key] = i
			out = append(out, File{Update: ids[m[1]]})
		}
		if err := out[i].set(m[3], unescape(m[4])); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		doc, err := parse(strings.NewReader(b))
		if err != nil {
			return nil, err
		}
		if err := siteError(doc); err != nil {
			return nil, err
		}
		if strings.Contains(b, "downloadInformation") { // it is the dialogue, and it has nothing
			return nil, fmt.Errorf("%w, or no file for it", ErrNoUpdate)
		}
		return nil, &PageError{"download", "downloadInformation[0].files[0].url"}
	}
	for i := range out {
		f := &out[i]
		if f.URL == "" || f.Update == "" {
			return nil, &PageError{"download", fmt.Sprintf("url or updateID of file %d", i)}
		}
		if err := f.complete(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *File) set(name, v string) error {
	var err error
	switch name {
	case "url":
		f.URL = v
	case "digest":
		f.SHA1, err = digest(v, 20)
	case "sha256":
		f.SHA256, err = digest(v, 32)
	case "fileName":
		f.Name = v
	case "architectures":
		f.Architectures = v
	case "languages":
		for l := range strings.SplitSeq(v, ",") {
			if l = strings.ToLower(strings.TrimSpace(l)); l != "" && len(f.Languages) < 100 {
				f.Languages = append(f.Languages, l)
			}
		}
	}
	if err != nil {
		return &PageError{"download", fmt.Sprintf("%s that is one: %.80q", name, v)}
	}
	return nil
}

var nameDigest = regexp.MustCompile(`_([0-9a-fA-F]{40})\.\w+$`)

// complete takes from the address what the page does not say: the name of the file, and
// the SHA-1 that is part of it.
func (f *File) complete() error {
	u, err := url.Parse(f.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return &PageError{"download", fmt.Sprintf("url that is one: %.120q", f.URL)}
	}
	if f.Name == "" {
		f.Name = path.Base(u.Path)
	}
	if m := nameDigest.FindStringSubmatch(f.Name); m != nil && f.SHA1 == "" {
		f.SHA1 = strings.ToLower(m[1])
	}
	if err := checkPackageName(f.Name); err != nil {
		return fmt.Errorf("file of %s: %w", f.Update, err)
	}
	return nil
}

// digest reads one in base64, as the page has it, or in hex.
func digest(s string, n int) (string, error) {
	if s == "" {
		return "", nil
	}
	if isHex(s, 2*n) {
		return strings.ToLower(s), nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != n {
		return "", fmt.Errorf("not a digest of %d bytes", n)
	}
	return hex.EncodeToString(b), nil
}

// unescape reads the text of a string in JavaScript, as far as ASP.NET writes escapes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		n := map[byte]int{'x': 2, 'u': 4}[s[i]]
		if n > 0 && i+n < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32); err == nil {
				b.WriteRune(rune(v))
				i += n
				continue
			}
		}
		switch s[i] {
		case 'n', 'r', 't':
			b.WriteByte(' ')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

var errorForm = regexp.MustCompile(`\b[0-9A-F]{8}\b`)

// siteError returns what a page reports instead of what was asked for.
func siteError(doc *goquery.Document) error {
	e := doc.Find(`[id$="errorPageDisplayedError"]`)
	if e.Length() == 0 {
		return nil
	}
	return &SiteError{Code: errorForm.FindString(clean(e.First().Text()))}
}

// parse reads a page that is no larger and no deeper than a page should be.
func parse(r io.Reader) (*goquery.Document, error) {
	s, err := readPage(r)
	if err != nil {
		return nil, err
	}
	if deep(s) {
		return nil, &PageError{"", fmt.Sprintf("end to its elements within %d of each other", maxDeep)}
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(s))
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	return doc, nil
}

// deep reports that elements are nested without reason: the time that building a tree
// takes can grow with the square of it.
func deep(s string) bool {
	z := html.NewTokenizer(strings.NewReader(s))
	for depth := 0; ; {
		switch z.Next() {
		case html.ErrorToken:
			return false
		case html.StartTagToken:
			if depth++; depth > maxDeep {
				return true
			}
			switch name, _ := z.TagName(); string(name) {
			case "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "p", "li", "option":
				depth-- // they have no end, or need none
			}
		case html.EndTagToken:
			depth = max(0, depth-1)
		}
	}
}

func readPage(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPage+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the page: %w", err)
	case len(b) > maxPage:
		return "", &PageError{"", fmt.Sprintf("end within %d bytes", maxPage)}
	}
	return string(b), nil
}

// byID finds an element by its id, whatever other attributes stand before it.
func byID(s *goquery.Selection, id string) *goquery.Selection {
	return s.Find(`[id="` + id + `"]`)
}

// after is the text that follows a label within the element that both are in.
func after(label *goquery.Selection) string {
	var b strings.Builder
	for n := label.Get(0).NextSibling; n != nil && b.Len() < maxText; n = n.NextSibling {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
			continue
		}
		b.WriteByte(' ')
		b.WriteString(goquery.NewDocumentFromNode(n).Text())
	}
	return b.String()
}

// clean makes one line of a text.
func clean(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
}

// value is clean, with what the site writes for nothing.
func value(s string) string {
	if s = clean(s); strings.EqualFold(s, "n/a") {
		return ""
	}
	return s
}
