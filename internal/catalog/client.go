package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/sorted"
)

// Site is where the catalogue is.
const Site = "https://www.catalog.update.microsoft.com"

// Bounds of a search. The site shows a thousand rows of any search.
const (
	perPage  = 25
	maxPages = 40
)

// How often and how long the site is asked again when it is busy.
const (
	siteTries = 5
	netTries  = 3                // where nothing answers at all
	siteTime  = 60 * time.Second // of one page: it has been seen to take twenty
	sitePause = 2 * time.Second  // doubled each time
)

// Client asks the site. The zero value uses the system's network.
type Client struct {
	Transport http.RoundTripper // nil: [Network]'s zero value
	Base      string            // "" is [Site]
	Sleep     func(context.Context, time.Duration) error
	// Page, if not nil, is told which page of a search is asked for next, and how many
	// there are; 0 unknown.
	Page func(n, of int)
}

// Query is what is searched for.
type Query struct {
	Text    string // words, or an article: "KB5039212"
	Exact   bool   // the words as a phrase
	Product string // rows of products whose name has all of these words; "" all
	Pages   int    // at most so many pages of 25 rows; 0: all that the site shows
}

// Result is what a search found.
type Result struct {
	Rows  []Row `json:"rows"`            // newest first
	Total int   `json:"total,omitempty"` // rows that the site has, 0 unknown
	More  bool  `json:"more,omitempty"`  // not all of them were read
}

// Search asks for all pages of a search, as the site works now: by GET with the number
// of the page. No rows mean that the site said so.
func (c *Client) Search(ctx context.Context, q Query) (Result, error) {
	text := strings.TrimSpace(q.Text)
	kb, isKB := KB(text)
	switch {
	case isKB:
		text = kb
	case q.Exact:
		text = `"` + strings.Trim(text, `"`) + `"`
	}
	limit := maxPages
	if q.Pages > 0 {
		limit = min(limit, q.Pages)
	}
	var out Result
	seen := map[string]bool{}
	for n := 0; ; n++ {
		if n == limit {
			out.More = true
			break
		}
		if c.Page != nil {
			c.Page(n+1, (out.Total+perPage-1)/perPage)
		}
		v := url.Values{"q": {text}}
		if n > 0 {
			v.Set("p", strconv.Itoa(n))
		}
		p, err := ask(ctx, c, "Search.aspx?"+v.Encode(), "", ParseSearch)
		if err != nil {
			return out, fmt.Errorf("search the catalogue, page %d: %w", n+1, err)
		}
		out.Total = max(out.Total, p.Total)
		news := false
		for _, r := range p.Rows {
			if !seen[r.ID] {
				seen[r.ID], news = true, true
				out.Rows = append(out.Rows, r)
			}
		}
		// A site that ignores the number would show the first page for ever.
		if p.Last || len(p.Rows) < perPage || !news {
			break
		}
	}
	if !out.More && out.Total > len(seen) && out.Total <= maxPages*perPage {
		out.More = true
	}
	if isKB { // it also finds what names the article in its description
		if own := slices.DeleteFunc(slices.Clone(out.Rows), func(r Row) bool { return r.KB != kb }); len(own) > 0 {
			out.Rows = own
		}
	}
	if words := strings.Fields(simple(q.Product)); len(words) > 0 {
		out.Rows = slices.DeleteFunc(out.Rows, func(r Row) bool {
			in := " " + simple(r.Products+" "+r.Title) + " "
			return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(in, w) })
		})
	}
	sorted.By(out.Rows, func(a, b Row) int { return b.Date.Compare(a.Date) })
	return out, nil
}

// Details asks for the page of one update.
func (c *Client) Details(ctx context.Context, id string) (*Details, error) {
	id, ok := ID(id)
	if !ok {
		return nil, fmt.Errorf("%w: %.60q is not an id", ErrNoUpdate, id)
	}
	d, err := ask(ctx, c, "ScopedViewInline.aspx?updateid="+id, "", ParseDetails)
	if err != nil {
		return nil, fmt.Errorf("details of %s: %w", id, err)
	}
	d.ID = id
	return d, nil
}

// Files asks which files updates have, in the order of the ids.
func (c *Client) Files(ctx context.Context, ids ...string) ([]File, error) {
	type entry struct {
		Size     int    `json:"size"`
		UpdateID string `json:"updateID"`
		UIDInfo  string `json:"uidInfo"`
	}
	var list []entry
	for _, id := range ids {
		id, ok := ID(id)
		if !ok {
			return nil, fmt.Errorf("%w: %.60q is not an id", ErrNoUpdate, id)
		}
		list = append(list, entry{0, id, id})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	files, err := ask(ctx, c, "DownloadDialog.aspx", url.Values{"updateIDs": {string(b)}}.Encode(), ParseDownload)
	if err != nil {
		return nil, fmt.Errorf("files of %s: %w", strings.Join(ids, ", "), err)
	}
	for _, f := range files {
		if !slices.ContainsFunc(list, func(e entry) bool { return e.UpdateID == f.Update }) {
			return nil, fmt.Errorf("files of %s: %w", strings.Join(ids, ", "), &PageError{"download", "file of the update alone: it names " + f.Update})
		}
	}
	return files, nil
}

// StatusError is an answer of the site, or of what stands before it, that is no page.
type StatusError struct {
	Status int
	URL    string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

// ErrElsewhere says that the site, or what stands before it, leads to another host.
var ErrElsewhere = errors.New("leads to another host")

// ask gets one page and reads it; what passes is tried again.
func ask[T any](ctx context.Context, c *Client, ref, form string, read func(io.Reader) (T, error)) (T, error) {
	pause := sitePause
	for try := 1; ; try++ {
		v, err := askOnce(ctx, c, ref, form, read)
		var site *SiteError
		var status *StatusError
		var page *PageError
		again := false
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &site):
			again = site.Code == passing
		case errors.As(err, &status):
			again = status.Status >= 500 || status.Status == http.StatusTooManyRequests
		case errors.As(err, &page), errors.Is(err, ErrSignIn), errors.Is(err, ErrWay), errors.Is(err, ErrElsewhere), errors.Is(err, ErrName), errors.Is(err, ErrNoUpdate):
		default: // the network
			again = try < netTries
		}
		if !again || try == siteTries {
			return v, err
		}
		if err := sleep(ctx, c.Sleep, pause); err != nil {
			return v, err
		}
		pause *= 2
	}
}

func askOnce[T any](ctx context.Context, c *Client, ref, form string, read func(io.Reader) (T, error)) (T, error) {
	var none T
	base := c.Base
	if base == "" {
		base = Site
	}
	ctx, cancel := context.WithTimeout(ctx, siteTime)
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if form != "" {
		method, body = http.MethodPost, strings.NewReader(form)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/"+ref, body)
	if err != nil {
		return none, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Accept-Language", "en-US") // decides how dates are written
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	h := http.Client{Transport: c.Transport}
	if c.Transport == nil {
		t := Network{}.Transport()
		defer t.CloseIdleConnections()
		h.Transport = t
	}
	h.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) > 5:
			return fmt.Errorf("%w: it redirects without end", ErrElsewhere)
		case !strings.EqualFold(next.URL.Host, via[0].URL.Host):
			return fmt.Errorf("%w: %s", ErrElsewhere, next.URL.Host)
		case via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
			return fmt.Errorf("%w: away from https", ErrElsewhere)
		}
		return nil
	}
	resp, err := h.Do(req)
	if err != nil {
		return none, plain(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return none, ErrSignIn
	case resp.StatusCode != http.StatusOK:
		// The site shows its own errors with a status of 500 too.
		if _, err := read(resp.Body); errors.Is(err, ErrSite) {
			return none, err
		}
		return none, &StatusError{resp.StatusCode, resp.Request.URL.Host}
	}
	return read(resp.Body)
}

// userAgent says who asks.
const userAgent = "updoc/1 (+catalogue)"

// sleep waits by the given function, or by the clock.
func sleep(ctx context.Context, by func(context.Context, time.Duration) error, d time.Duration) error {
	if by != nil {
		return by(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
