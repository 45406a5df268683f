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
	"strings"
	"sync"
)

//go:embed en/*.txt
var files embed.FS

// Catalog is the sentences of one language.
type Catalog struct {
	Lang  string
	texts map[string]string
}

var english = sync.OnceValues(func() (*Catalog, error) { return load("en") })

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
func (c *Catalog) Has(key string) bool { return c.texts[key] != "" }

// Text returns the text for key with its arguments, given as name, value pairs,
// filled in. A missing key gives the key itself, so that a gap is seen and
// nothing breaks; a test holds that there is none.
func (c *Catalog) Text(key string, args ...any) string {
	t, ok := c.texts[key]
	if !ok {
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

// Keys returns every key, in no order.
func (c *Catalog) Keys() []string {
	out := make([]string, 0, len(c.texts))
	for k := range c.texts {
		out = append(out, k)
	}
	return out
}
