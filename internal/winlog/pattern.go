package winlog

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first used: every
// command of updoc starts with this package, few of them read a console output.
type pattern struct {
	compile func() *regexp.Regexp
}

func newPattern(expr string) *pattern {
	return &pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
}

func (p *pattern) MatchString(s string) bool              { return p.compile().MatchString(s) }
func (p *pattern) FindStringSubmatch(s string) []string   { return p.compile().FindStringSubmatch(s) }
func (p *pattern) FindStringIndex(s string) []int         { return p.compile().FindStringIndex(s) }
func (p *pattern) FindAllString(s string, n int) []string { return p.compile().FindAllString(s, n) }
func (p *pattern) ReplaceAllString(s, repl string) string {
	return p.compile().ReplaceAllString(s, repl)
}

func (p *pattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p.compile().FindAllStringSubmatch(s, n)
}

func (p *pattern) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return p.compile().FindAllStringSubmatchIndex(s, n)
}
