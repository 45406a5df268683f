// Package catalog is the Microsoft Update Catalog: it searches the site as it works
// now, chooses what fits a machine, and brings packages whole.
//
// It obeys these rules:
//   - a page that is not as it was is an error that names what is missing, and never
//     "no results";
//   - choosing is pure: rows and details in, what fits and why the rest does not out;
//   - packages come from Microsoft's content hosts alone, redirects included, and a
//     connection that was encrypted is never continued in the clear;
//   - a file has its name only once it is whole and its digest is right.
package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Row is one line of a search's result.
type Row struct {
	ID             string    `json:"id"`           // a GUID, in lower case
	KB             string    `json:"kb,omitempty"` // "KB5039212", from the title
	Title          string    `json:"title"`
	Products       string    `json:"products,omitempty"` // as on the page: names hold commas themselves
	Classification string    `json:"classification,omitempty"`
	Date           time.Time `json:"date,omitzero"` // last updated; a day
	Version        string    `json:"version,omitempty"`
	Size           int64     `json:"size,omitempty"` // bytes of all files; 0 unknown
}

// Ref names another update.
type Ref struct {
	ID    string `json:"id,omitempty"`
	Title string `json:"title,omitempty"`
}

// Details is what the page of one update says. Texts are those of the English page,
// and empty where it says "n/a".
type Details struct {
	ID             string   `json:"id"`
	Title          string   `json:"title"`
	Description    string   `json:"description,omitempty"`
	Date           string   `json:"date,omitempty"`
	Size           string   `json:"size,omitempty"`
	Architecture   string   `json:"architecture,omitempty"` // "AMD64", "X86, AMD64"
	Classification string   `json:"classification,omitempty"`
	Products       string   `json:"products,omitempty"`
	Languages      string   `json:"languages,omitempty"` // "all", or names
	KB             []string `json:"kb,omitempty"`
	Severity       string   `json:"severity,omitempty"`
	MoreInfo       string   `json:"more_info,omitempty"`
	Support        string   `json:"support,omitempty"`
	Restart        string   `json:"restart,omitempty"` // "Can request restart", "Never restarts", ...
	UserInput      string   `json:"user_input,omitempty"`
	Exclusive      string   `json:"exclusive,omitempty"` // "must be installed exclusively"
	Connectivity   string   `json:"connectivity,omitempty"`
	Uninstall      string   `json:"uninstall,omitempty"`
	SupersededBy   []Ref    `json:"superseded_by,omitempty"`
	Supersedes     []Ref    `json:"supersedes,omitempty"` // titles; the page gives no ids
	Driver         *Driver  `json:"driver,omitempty"`
}

// Driver is what the page says of a driver.
type Driver struct {
	Company      string   `json:"company,omitempty"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Class        string   `json:"class,omitempty"`
	Model        string   `json:"model,omitempty"`
	Provider     string   `json:"provider,omitempty"`
	Version      string   `json:"version,omitempty"`
	Date         string   `json:"date,omitempty"`
	Hardware     []string `json:"hardware,omitempty"` // ids
}

// File is one package of an update, as the download dialogue names it.
type File struct {
	Update        string   `json:"update"` // ID of the update
	Name          string   `json:"name"`
	URL           string   `json:"url"`
	SHA1          string   `json:"sha1,omitempty"`   // hex
	SHA256        string   `json:"sha256,omitempty"` // hex; the catalogue often has none
	Architectures string   `json:"architectures,omitempty"`
	Languages     []string `json:"languages,omitempty"` // "en", "de", "all"; none: for everybody
}

// ErrPageChanged says that a page of the site is not built as it was: nothing can be
// said about what it shows. See [PageError].
var ErrPageChanged = errors.New("the catalogue's page is not built as updoc knows it")

// PageError is an [ErrPageChanged] with what was looked for in vain.
type PageError struct {
	Page    string // "search", "details", "download"
	Missing string // "table updateMatches"
}

func (e *PageError) Error() string {
	return fmt.Sprintf("%v: the %s page has no %s", ErrPageChanged, e.Page, e.Missing)
}

// Unwrap returns [ErrPageChanged].
func (e *PageError) Unwrap() error { return ErrPageChanged }

// ErrSite says that the site itself reported an error. See [SiteError].
var ErrSite = errors.New("the catalogue reports an error of its own")

// SiteError is an [ErrSite] with the number that the site shows.
type SiteError struct {
	Code string // "8DDD0010"; "" if it shows none
}

func (e *SiteError) Error() string {
	if e.Code == "" {
		return ErrSite.Error()
	}
	return fmt.Sprintf("%v: %s", ErrSite, e.Code)
}

// Unwrap returns [ErrSite].
func (e *SiteError) Unwrap() error { return ErrSite }

// passing is the number of an error that goes away by itself: the site shows it when it
// is busy.
const passing = "8DDD0010"

// ErrNoUpdate says that the catalogue has no update with that id.
var ErrNoUpdate = errors.New("the catalogue has no such update")

var (
	guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	kbForm   = regexp.MustCompile(`(?i)\bKB ?(\d{6,8})\b`)
)

func isGUID(s string) bool { return guidForm.MatchString(s) }

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

// ID returns the id that s is, in the form that the site uses; false if it is none.
func ID(s string) (string, bool) {
	s = strings.Trim(strings.TrimSpace(s), "{}")
	return strings.ToLower(s), isGUID(s)
}

// KB returns the article that s is: "KB5039212" for "5039212", "kb 5039212" and the
// like; false if it is none.
func KB(s string) (string, bool) {
	s = strings.TrimSpace(s)
	digits := strings.TrimSpace(strings.TrimPrefix(strings.ToUpper(s), "KB"))
	if len(digits) < 6 || len(digits) > 8 || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return "KB" + digits, true
}

// kbIn returns the last article that a title names: the update's own stands behind it,
// in brackets.
func kbIn(title string) string {
	all := kbForm.FindAllStringSubmatch(title, -1)
	if len(all) == 0 {
		return ""
	}
	return "KB" + all[len(all)-1][1]
}
