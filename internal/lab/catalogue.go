package lab

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"updoc/internal/sorted"
)

// Catalogue is what is wrong with the update catalogue's site.
type Catalogue struct {
	Fault string `json:"fault,omitempty"` // CatalogueBusy, ...
	Times int    `json:"times,omitempty"` // only the first so many requests; 0: all
}

// Faults of the catalogue.
const (
	CatalogueBusy    = "busy"     // its error page with 8DDD0010, which passes
	CatalogueError   = "error"    // its error page with another number
	CatalogueRebuilt = "rebuilt"  // other ids, on every page
	CatalogueRows    = "rows"     // other ids of rows
	CatalogueDates   = "dates"    // day.month.year
	CatalogueStuck   = "stuck"    // the first page, whatever page was asked for
	CatalogueHost    = "host"     // the dialogue names a host that is not Microsoft's
	CatalogueOlder   = "older"    // the content is the file of the month before
	CatalogueDigest  = "digest"   // the dialogue names digests that are none
	CatalogueAttrs   = "attrs"    // attributes in another order, and names in capitals
	CatalogueFlipped = "flipped"  // one bit of the content is another one
	CatalogueForeign = "foreign"  // the packages are signed by somebody else
	CatalogueBare    = "unsigned" // the packages are not signed
)

func (c *Catalogue) check() error {
	known := []string{"", CatalogueBusy, CatalogueError, CatalogueRebuilt, CatalogueRows, CatalogueDates, CatalogueStuck, CatalogueHost, CatalogueOlder, CatalogueDigest, CatalogueAttrs, CatalogueFlipped, CatalogueForeign, CatalogueBare}
	if !slices.Contains(known, c.Fault) {
		return fmt.Errorf("catalogue: unknown fault %q", c.Fault)
	}
	return nil
}

// Names and limits of the site.
var (
	catalogueNames = []string{"www.catalog.update.microsoft.com", "catalog.update.microsoft.com"}
	// Where packages lie: the host has changed twice since 2022.
	packageHosts = []string{"catalog.s.download.windowsupdate.com", "catalog.sf.dl.delivery.mp.microsoft.com"}
)

const (
	catalogueRows = 25
	cataloguePage = 40 // pages that it shows of any search
)

// catalogue is the site and what it has.
type catalogue struct {
	w         *World
	entries   []*entry
	byID      map[string]*entry
	files     map[string]*file // by the name's part before its digest
	publisher func() (*Publisher, error)
}

// entry is one update of the catalogue.
type entry struct {
	id, kb, title, products, class string
	date                           time.Time
	arch                           string // AMD64, ...; "" n/a
	languages                      string
	description                    string
	by, before                     []*entry // what supersedes it, and what it supersedes
	files                          []*file
	fileLanguage                   string
	driver                         *driverEntry
}

type driverEntry struct {
	company, class, model, version string
	hardware                       []string
}

// buildCatalogue puts the site into the world.
func (w *World) buildCatalogue() error {
	if err := w.spec.Catalogue.check(); err != nil {
		return err
	}
	c := &catalogue{w: w, byID: map[string]*entry{}, files: map[string]*file{}}
	c.publisher = sync.OnceValues(func() (*Publisher, error) {
		organization, name := "Microsoft Corporation", "Microsoft Windows"
		if w.spec.Catalogue.Fault == CatalogueForeign {
			organization, name = "Fabrikam Software", "Fabrikam Software"
		}
		p, err := w.newPublisher(organization, name)
		if err == nil {
			p.Stamped = w.start.Add(-24 * time.Hour)
		}
		return p, err
	})
	w.catalogue = c
	c.fill()
	w.place(23, catalogueNames...)
	w.place(24, packageHosts...)
	for port, issuer := range map[uint16]string{80: "", 443: authPublic} {
		if err := w.addSite(port, site{names: catalogueNames, issuer: issuer, http: http.HandlerFunc(c.serve)}); err != nil {
			return err
		}
		if err := w.addSite(port, site{names: packageHosts, issuer: issuer, http: http.HandlerFunc(c.serveContent)}); err != nil {
			return err
		}
	}
	return nil
}

// PackageRoot is the root under which the catalogue's packages are signed, in the place
// of Microsoft's.
func (w *World) PackageRoot() (*x509.Certificate, error) {
	p, err := w.catalogue.publisher()
	if err != nil {
		return nil, err
	}
	return p.Root, nil
}

// add puts an update in.
func (c *catalogue) add(e *entry) *entry {
	e.id = strings.ToLower(guidOf("catalogue", e.title, e.products))
	c.entries = append(c.entries, e)
	c.byID[e.id] = e
	return e
}

// fault returns what is wrong with the answer to a request.
func (c *catalogue) fault() string {
	f := &c.w.spec.Catalogue
	if f.Fault == "" || !c.w.strike(&f.Times) {
		return ""
	}
	return f.Fault
}

// serve answers for the site.
func (c *catalogue) serve(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Server", "Microsoft-IIS/10.0")
	h.Set("X-Powered-By", "ASP.NET")
	h.Set("Cache-Control", "private")
	fault := c.fault()
	var page string
	switch p := strings.ToLower(path.Clean(r.URL.Path)); {
	case fault == CatalogueBusy, fault == CatalogueError:
		page = errorPage(map[string]string{CatalogueBusy: "8DDD0010", CatalogueError: "8DDD0024"}[fault])
	case p == "/search.aspx" && r.Method == http.MethodPost: // paging by form: to the error page since 2024
		http.Redirect(rw, r, "/Thanks/error.aspx?id=190", http.StatusFound)
		return
	case p == "/search.aspx" && r.Method == http.MethodGet:
		page = c.search(r, fault)
	case (p == "/scopedviewinline.aspx" || p == "/v7/site/scopedviewinline.aspx") && r.Method == http.MethodGet:
		page = c.details(r.URL.Query().Get("updateid"))
	case p == "/downloaddialog.aspx" && r.Method == http.MethodPost:
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		page = c.dialog(string(body), fault)
	case p == "/thanks/error.aspx":
		page = errorPage("8DDD0020")
	case p == "/" || p == "/home.aspx":
		page = frame("Microsoft Update Catalog", `<div id="ctl00_catalogBody_homeText">Welcome</div>`)
	default:
		iisPage(rw, http.StatusNotFound)
		return
	}
	switch fault {
	case CatalogueRebuilt:
		page = strings.NewReplacer("updateMatches", "list", "noResultText", "nothing", "errorPageDisplayedError", "oops", "ctl00_catalogBody_", "cat-body-", "ScopedViewHandler_", "sv-", "supersededbyInfo", "sv-replaced", "downloadInformation", "dl").Replace(page)
	case CatalogueRows:
		page = strings.ReplaceAll(page, "_R", "-row")
	case CatalogueAttrs:
		page = strings.NewReplacer(`<div id="supersededbyInfo" TABINDEX="1"`, `<DIV TABINDEX='1' ID='supersededbyInfo'`, `<table class="resultsBorder" id=`, `<TABLE ID=`).Replace(page)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(rw, page)
	}
}

// frame is what stands around every page.
func frame(title, body string) string {
	return "<!DOCTYPE html>\r\n<html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title>" + html.EscapeString(title) +
		"</title><script type=\"text/javascript\">var now = 1 < 2;</script></head>\r\n<body class=\"mainBody thanks\"><form name=\"aspnetForm\" method=\"post\" action=\"./Search.aspx\" id=\"aspnetForm\">" +
		"<input type=\"hidden\" name=\"__VIEWSTATE\" id=\"__VIEWSTATE\" value=\"/wEPDwULLTE\" />\r\n" + body + "\r\n</form></body></html>\r\n"
}

func errorPage(code string) string {
	return frame("Microsoft Update Catalog", `<div id="errorPageMain"><h2>The website has encountered a problem</h2>`+
		`<div id="errorPageDisplayedError">[Error number: `+code+`]</div><p>Try again later.</p></div>`)
}

// find searches titles, products and classes for all words, or for a phrase in quotes.
func (c *catalogue) find(q string) []*entry {
	q = strings.ToLower(strings.TrimSpace(q))
	words := strings.Fields(q)
	if len(q) > 1 && q[0] == '"' && q[len(q)-1] == '"' {
		words = []string{strings.Trim(q, `"`)}
	}
	var out []*entry
	for _, e := range c.entries {
		in := strings.ToLower(strings.Join([]string{e.title, e.products, e.class, e.description}, " "))
		if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(in, w) }) {
			out = append(out, e)
		}
	}
	sorted.By(out, func(a, b *entry) int { return b.date.Compare(a.date) })
	return out
}

func (c *catalogue) search(r *http.Request, fault string) string {
	q := r.URL.Query().Get("q")
	found := c.find(q)
	if len(found) == 0 {
		return frame("Microsoft Update Catalog", `<div id="tableContainer"><span id="ctl00_catalogBody_noResultText">We did not find any results for "`+html.EscapeString(q)+`"</span></div>`)
	}
	pages := min(cataloguePage, (len(found)+catalogueRows-1)/catalogueRows)
	n, err := strconv.Atoi(r.URL.Query().Get("p"))
	if err != nil || n < 0 || fault == CatalogueStuck {
		n = 0
	}
	n = min(n, pages-1)
	shown := found[n*catalogueRows : min(len(found), (n+1)*catalogueRows)]
	total := min(len(found), cataloguePage*catalogueRows)
	day := "1/2/2006"
	if fault == CatalogueDates {
		day = "02.01.2006"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<div id="numberOfUpdates"><span id="ctl00_catalogBody_searchDuration">%d - %d of %d (page %d of %d)</span></div>`+"\r\n", n*catalogueRows+1, n*catalogueRows+len(shown), total, n+1, pages)
	b.WriteString(`<div id="tableContainer"><table class="resultsBorder" id="ctl00_catalogBody_updateMatches" cellspacing="0" rules="cols" border="1">` + "\r\n")
	b.WriteString(`<tr id="headerRow" class="resultsHeaderRow"><td id="headerRow_0"></td><td id="headerRow_1"><span><a id="ctl00_catalogBody_updateMatches_ctl02_titleHeaderLink" href="javascript:void(0)">Title</a></span></td><td>Products</td><td>Classification</td><td>Last Updated</td><td>Version</td><td>Size</td><td></td></tr>` + "\r\n")
	for i, e := range shown {
		size := int64(0)
		for _, f := range e.files {
			size += int64(f.size)
		}
		cell := func(k int, body string) {
			fmt.Fprintf(&b, `<td class="resultsbottomBorder resultspadding" id="%s_C%d_R%d">%s</td>`+"\r\n", e.id, k, i, body)
		}
		fmt.Fprintf(&b, `<tr id="%s_R%d" style="border-width:0px;">`+"\r\n", e.id, i)
		cell(0, `<input type="checkbox" />`)
		cell(1, fmt.Sprintf("\r\n  <a id='%s_link' href=\"javascript:void(0);\" onclick='goToDetails(\"%s\");' class=\"contentTextItemSpacerNoBreakLink\">\r\n   %s\r\n  </a>", e.id, e.id, html.EscapeString(e.title)))
		cell(2, "\r\n  "+html.EscapeString(e.products)+"\r\n")
		cell(3, html.EscapeString(e.class))
		cell(4, e.date.Format(day))
		version := "n/a"
		if e.driver != nil {
			version = e.driver.version
		}
		cell(5, version)
		cell(6, fmt.Sprintf(`<span id="%s_size">%.1f MB</span><span class="noDisplay" id="%s_originalSize">%d</span>`, e.id, float64(size)/(1<<20), e.id, size))
		cell(7, fmt.Sprintf(`<input id="%s" class="flatBlueButtonDownload focus-only" type="button" value="Download" />`, e.id))
		b.WriteString("</tr>\r\n")
	}
	b.WriteString("</table></div>\r\n")
	if n == pages-1 {
		b.WriteString(`<span id="ctl00_catalogBody_nextPage" class="disabledLink">Next</span>`)
	} else {
		b.WriteString(`<a id="ctl00_catalogBody_nextPageLink" href="javascript:__doPostBack('ctl00$catalogBody$nextPageLinkText','')"><span id="ctl00_catalogBody_nextPageLinkText">Next</span></a>`)
	}
	return frame("Microsoft Update Catalog", b.String())
}

func (c *catalogue) details(id string) string {
	e := c.byID[strings.ToLower(id)]
	if e == nil {
		return `<html><body class="error"><div>The update was not found.</div></body></html>`
	}
	na := func(s string) string {
		if s == "" {
			return "n/a"
		}
		return html.EscapeString(s)
	}
	span := func(name, text string) string {
		return `<span id="ScopedViewHandler_` + name + `">` + na(text) + `</span>`
	}
	label := func(name, shown, text string) string {
		return `<span id="ScopedViewHandler_label` + name + `_Separator" class="labelTitle">` + shown + `:</span>` + "\r\n          " + na(text) + "\r\n"
	}
	size := 0
	for _, f := range e.files {
		size += f.size
	}
	var b strings.Builder
	b.WriteString(`<html><head><title>Update Details</title></head><body class="mainBody"><div id="scopedViewMain">` + "\r\n")
	b.WriteString(`<div id="titleDiv"><span class="labelTitle">Title:</span>` + span("titleText", e.title) + "</div>\r\n")
	b.WriteString(`<div>Last Modified: ` + span("date", e.date.Format("1/2/2006")) + ` Size: ` + span("size", fmt.Sprintf("%.1f MB", float64(size)/(1<<20))) + "</div>\r\n")
	b.WriteString(`<div id="descDiv"><span class="labelTitle">Description:</span>` + span("desc", e.description) + "</div>\r\n")
	b.WriteString(`<div id="archDiv">` + label("Architecture", "Architecture", e.arch) + "</div>\r\n")
	b.WriteString(`<div id="classificationDiv">` + label("Classification", "Classification", e.class) + "</div>\r\n")
	b.WriteString(`<div id="productsDiv">` + label("SupportedProducts", "Supported products", e.products) + "</div>\r\n")
	b.WriteString(`<div id="languagesDiv">` + label("SupportedLanguages", "Supported languages", or2(e.languages, "all")) + "</div>\r\n")
	b.WriteString(`<div id="msrcDiv"><span class="labelTitle">MSRC severity:</span>` + span("msrcSeverity", map[bool]string{true: "Critical"}[e.class == "Security Updates"]) + "</div>\r\n")
	b.WriteString(`<div id="kbDiv">` + label("KBArticle", "KB article numbers", strings.TrimPrefix(e.kb, "KB")) + "</div>\r\n")
	b.WriteString(`<div id="moreInfoDiv">` + `<span id="ScopedViewHandler_labelMoreInfo_Separator" class="labelTitle">More information:</span><div><a href="https://support.microsoft.com/help/` + strings.TrimPrefix(e.kb, "KB") + `">https://support.microsoft.com/help/` + strings.TrimPrefix(e.kb, "KB") + "</a></div></div>\r\n")
	b.WriteString(`<div id="suportUrlDiv">` + `<span id="ScopedViewHandler_labelSupportUrl_Separator" class="labelTitle">Support Url:</span><div><a href="https://support.microsoft.com/">https://support.microsoft.com/</a></div></div>` + "\r\n")
	b.WriteString(`<div id="supersededbyInfo" TABINDEX="1" >` + "\r\n")
	for _, by := range e.by {
		b.WriteString(`<div style="padding-bottom: 0.3em;"><a href="ScopedViewInline.aspx?updateid=` + by.id + `">` + html.EscapeString(by.title) + "</a></div>\r\n")
	}
	if len(e.by) == 0 {
		b.WriteString("n/a")
	}
	b.WriteString("</div>\r\n" + `<div id="supersedesInfo" TABINDEX="1" >` + "\r\n")
	for _, old := range e.before {
		b.WriteString(`<div style="padding-bottom: 0.3em;">` + html.EscapeString(old.title) + "</div>\r\n")
	}
	if len(e.before) == 0 {
		b.WriteString("n/a")
	}
	b.WriteString("</div>\r\n<div id=\"installDetails\">Restart behavior: " + span("rebootBehavior", "Can request restart") + " May request user input: " + span("userInput", "No") +
		" Must be installed exclusively: " + span("installationImpact", "No") + " Requires network connectivity: " + span("connectivity", "No") + "</div>\r\n")
	b.WriteString(`<div>` + label("UninstallNotes", "Uninstall Notes", "") + "</div>\r\n")
	if d := e.driver; d != nil {
		for _, f := range [][2]string{{"company", d.company}, {"driverManufacturer", d.company}, {"driverClass", d.class}, {"driverModel", d.model}, {"driverProvider", d.company}, {"version", d.version}, {"versionDate", e.date.Format("1/2/2006")}} {
			b.WriteString("<div>" + span(f[0], f[1]) + "</div>\r\n")
		}
		b.WriteString(`<div id="driverhwIDs">`)
		for _, id := range d.hardware {
			b.WriteString("<div>" + html.EscapeString(id) + "</div>")
		}
		b.WriteString("</div>\r\n")
	}
	return b.String() + "</div></body></html>\r\n"
}

func or2(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// dialog answers a request for the files of updates, with the script that the page's own
// dialogue reads.
func (c *catalogue) dialog(form, fault string) string {
	var asked []map[string]any
	for part := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(part, "=")
		if strings.EqualFold(name, "updateIDs") {
			if v, err := unescapeForm(value); err != nil || json.Unmarshal([]byte(v), &asked) != nil {
				return errorPage("8DDD0010")
			}
		}
	}
	var b strings.Builder
	b.WriteString("\r\nvar downloadInformation = new Array();\r\n")
	n := 0
	for _, a := range asked {
		var e *entry
		for k, v := range a {
			if s, ok := v.(string); ok && strings.EqualFold(k, "updateID") {
				e = c.byID[strings.ToLower(s)]
			}
		}
		if e == nil {
			continue
		}
		fmt.Fprintf(&b, "downloadInformation[%d] = new Object();\r\ndownloadInformation[%d].updateID ='%s';\r\ndownloadInformation[%d].enTitle ='%s';\r\ndownloadInformation[%d].files = new Array();\r\n", n, n, e.id, n, e.title, n)
		for j, f := range e.files {
			host := packageHosts[(n+j)%len(packageHosts)]
			if fault == CatalogueHost {
				host = "cdn.fabrikam.example"
			}
			name := packageName(f)
			one, two := f.sha1(), f.sha256()
			if j%2 == 1 { // often there is none
				two = ""
			}
			if fault == CatalogueDigest {
				one = "AQID"
			}
			set := func(k, v string) {
				fmt.Fprintf(&b, "downloadInformation[%d].files[%d].%s = '%s';\r\n", n, j, k, v)
			}
			fmt.Fprintf(&b, "downloadInformation[%d].files[%d] = new Object();\r\n", n, j)
			set("url", "https://"+host+packagePath(e, name))
			set("digest", one)
			set("sha256", two)
			set("architectures", or2(e.arch, ""))
			set("languages", or2(e.fileLanguage, "all"))
			set("longLanguages", or2(e.languages, "all"))
			set("fileName", name)
		}
		n++
	}
	return frame("Download", `<script type="text/javascript">`+b.String()+`</script><div id="downloadFiles"></div>`)
}

// packageName is a file's name with its digest in it.
func packageName(f *file) string {
	ext := path.Ext(f.name)
	return strings.TrimSuffix(f.name, ext) + "_" + f.hex() + ext
}

func packagePath(e *entry, name string) string {
	return "/d/msdownload/update/software/secu/" + e.date.Format("2006/01") + "/" + name
}

// serveContent answers for the hosts of packages.
func (c *catalogue) serveContent(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Server", "ECAcc (lab/2)")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		iisPage(rw, http.StatusMethodNotAllowed)
		return
	}
	base := strings.ToLower(path.Base(r.URL.Path))
	stem, _, _ := strings.Cut(base, "_")
	f := c.files[stem]
	if f == nil {
		iisPage(rw, http.StatusNotFound)
		return
	}
	switch c.fault() {
	case CatalogueOlder:
		if old := c.older(f); old != nil {
			f = old
		}
	case CatalogueFlipped:
		b := slices.Clone(f.bytes())
		b[len(b)/2] ^= 0x10
		f = &file{name: f.name, size: len(b), make: func() []byte { return b }}
	}
	(&cdn{w: c.w}).serve(rw, r, f)
}

// older is the file of the update that a file's update replaces.
func (c *catalogue) older(f *file) *file {
	for _, e := range c.entries {
		if len(e.files) > 0 && e.files[len(e.files)-1] == f && len(e.before) > 0 {
			old := e.before[len(e.before)-1].files
			return old[len(old)-1]
		}
	}
	return nil
}
