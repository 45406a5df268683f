// Package message holds the sentences that people read, keyed by id, one
// catalogue per language. Code decides; words stand here, so that they can be
// improved and translated without touching code.
//
// A catalogue is made of text files:
//
//	[cause.dns-failure.title]
//	The names of the update servers cannot be looked up
//
// A text goes on to the next key; single line ends are blanks, an empty line
// begins a paragraph. Arguments stand as {name}.
package message

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
)

//go:embed en/*.txt de/*.txt
var files embed.FS

// Catalog is the sentences of one language.
type Catalog struct {
	Lang  string // "en", "de"
	texts map[string]string
	base  *Catalog // where the texts are that this one has not; nil for English
}

var (
	english = sync.OnceValues(func() (*Catalog, error) { return load("en") })
	german  = sync.OnceValues(func() (*Catalog, error) { return load("de") })
)

// For returns the catalogue of a language, "de", or English for one that there is none
// of. What is not translated it has in English: see [Catalog.Own].
func For(lang string) *Catalog {
	if lang != "de" {
		return English()
	}
	c, err := german()
	if err != nil { // a test rules it out
		return English()
	}
	return &Catalog{Lang: c.Lang, texts: c.texts, base: English()}
}

// Match returns the language that fits a preference best: a header field
// Accept-Language, "de-AT,de;q=0.9,en;q=0.8" (RFC 9110, 12.5.4), or the name of a locale,
// "de_DE.UTF-8".
func Match(preference string) string {
	const most = 16 // languages of a person
	best, quality := "en", 0.0
	for i, part := range strings.SplitN(preference, ",", most+1) {
		if i == most {
			break
		}
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f >= 0 && f <= 1) {
				continue
			}
			q = f
		}
		lang, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
		lang, _, _ = strings.Cut(lang, ".")
		if (lang == "en" || lang == "de") && q > quality {
			best, quality = lang, q
		}
	}
	return best
}

// English returns the catalogue every key must be in. It fails only if an
// embedded file is malformed, which a test rules out.
func English() *Catalog {
	c, err := english()
	if err != nil {
		return &Catalog{Lang: "en", texts: map[string]string{}}
	}
	return c
}

func load(lang string) (*Catalog, error) {
	names, err := fs.Glob(files, lang+"/*.txt")
	if err != nil {
		return nil, err
	}
	c := &Catalog{Lang: lang, texts: map[string]string{}}
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := c.parse(name, string(b)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Catalog) parse(name, data string) error {
	key, text := "", &strings.Builder{}
	put := func() error {
		if key == "" {
			return nil
		}
		if _, ok := c.texts[key]; ok {
			return fmt.Errorf("%s: key %s stands twice", name, key)
		}
		c.texts[key] = strings.TrimSpace(text.String())
		text.Reset()
		return nil
	}
	for line := range strings.Lines(data) {
		line = strings.TrimRight(line, " \r\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			if err := put(); err != nil {
				return err
			}
			key = line[1 : len(line)-1]
		case key == "" && line != "":
			return fmt.Errorf("%s: text before the first key", name)
		case line == "":
			text.WriteString("\n\n")
		default:
			if s := text.String(); s != "" && !strings.HasSuffix(s, "\n") {
				text.WriteByte(' ')
			}
			text.WriteString(line)
		}
	}
	return put()
}

// Has reports whether there is a text for key.
func (c *Catalog) Has(key string) bool {
	return c.Own(key) || c.base != nil && c.base.Has(key)
}

// Own reports whether there is a text for key in the catalogue's own language.
func (c *Catalog) Own(key string) bool { return c.texts[key] != "" }

// Text returns the text for key with its arguments, given as name, value pairs,
// filled in. A missing key gives the key itself, so that a gap is seen and
// nothing breaks; a test holds that there is none.
func (c *Catalog) Text(key string, args ...any) string {
	t, ok := c.texts[key]
	switch {
	case !ok && c.base != nil:
		return c.base.Text(key, args...)
	case !ok:
		return key
	}
	if len(args) == 0 {
		return t
	}
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, fmt.Sprintf("{%v}", args[i]), fmt.Sprint(args[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(t)
}

// Keys returns every key of the catalogue's own, in no order.
func (c *Catalog) Keys() []string {
	out := make([]string, 0, len(c.texts))
	for k := range c.texts {
		out = append(out, k)
	}
	return out
}
