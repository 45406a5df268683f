package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"updoc/internal/facts"
	"updoc/internal/proxyauth"
	"updoc/internal/redact"
	"updoc/internal/winlog"
)

// A report quotes what strangers wrote. Two things happen to every such string
// before a writer sees it, in this order:
//
//   - characters that nobody sees are taken out, so that no writer has to fear
//     them and no secret hides from redaction behind one;
//   - if the report is to be redacted, names and addresses become pseudonyms and
//     credentials vanish.
//
// The hashes of the quoted lines are taken last: a hash is that of the line as
// this report quotes it. People who hold the same report compare what they see; a
// line that holds no name has the same hash in every report.

// quoteEnd marks a quoted line that was cut.
const quoteEnd = " …"

const maxHashes = 40 // lines that one escalation gives the hash of

// settle makes the strings of a new document safe, redacts them if r is not nil,
// and takes the hashes.
func (d *Document) settle(f *facts.Facts, r *redact.Redactor) {
	d.eachForeign(func(s string) string { return WithoutPasswords(visible(s)) })
	if r != nil {
		learn(r, f)
		d.eachForeign(func(s string) string {
			for _, m := range profileFolder.FindAllStringSubmatch(s, -1) {
				r.Learn(redact.User, m[1])
			}
			return s
		})
		d.eachForeign(func(s string) string { return hide(r, s) })
		d.redactor = r
	}
	if d.Escalation != nil {
		d.Escalation.Hashes = hashes(d)
	}
}

// WithoutPasswords takes users and passwords out of the addresses of proxies and servers
// in a text, redacted or not: "http://anna:secret@proxy.example", or without a scheme.
// An "@" alone is no sign of them: the names of people and of files hold it.
func WithoutPasswords(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if strings.Contains(word, "://") || login.MatchString(word) {
			words[i], _ = proxyauth.CutUserinfo(word)
		}
	}
	return strings.Join(words, " ")
}

// login finds what may be a user and a password before a host. One letter and a
// backslash is a drive.
var login = regexp.MustCompile(`^[^\s:@/]*[^\s:@/]{2}:[^\\].*@|^[^\s:@/]*[^\s:@/]{2}:@`)

// eachForeign replaces every string of the document that did not come from updoc's
// own tables. Identifiers of causes and remedies, codes, symbols, weights and the
// sentences of the message catalogue are ours.
func (d *Document) eachForeign(f func(string) string) {
	to := func(fields ...*string) {
		for _, s := range fields {
			*s = f(*s)
		}
	}
	quotes := func(list []Seen) {
		for i := range list {
			to(&list[i].Source, &list[i].Text)
		}
	}
	evidence := func(list []Evidence) {
		for i := range list {
			to(&list[i].Source, &list[i].Seen)
		}
	}
	to(&d.Machine.Name, &d.Machine.OS, &d.Machine.Build, &d.Machine.Arch, &d.Machine.Source)
	for i := range d.Failures {
		x := &d.Failures[i]
		to(&x.Update.Title, &x.Update.KB, &x.Update.ID)
		quotes(x.Seen)
	}
	for i := range d.Causes {
		evidence(d.Causes[i].Evidence)
		for j := range d.Causes[i].Missing {
			to(&d.Causes[i].Missing[j])
		}
	}
	for i := range d.Rejected {
		evidence(d.Rejected[i].Against)
	}
	for i := range d.Gaps {
		to(&d.Gaps[i].Source, &d.Gaps[i].Why)
	}
	for i := range d.Checked {
		to(&d.Checked[i].Source)
	}
	for i := range d.Successes {
		s := &d.Successes[i]
		to(&s.What, &s.KB, &s.Seen.Source, &s.Seen.Text)
	}
	if e := d.Escalation; e != nil {
		to(&e.Build, &e.Stack, &e.Session, &e.Client, &e.Package, &e.Component, &e.Installer, &e.KB)
		quotes(e.Lines)
		for i := range e.Vectors {
			to(&e.Vectors[i])
		}
	}
	if r := d.Route; r != nil {
		for i := range r.Broken {
			b := &r.Broken[i]
			to(&b.URL, &b.Proxy, &b.Target, &b.Seen)
		}
	}
}

// visible takes out what nobody sees or what moves other characters about: control
// characters, format characters such as direction overrides and zero-width ones,
// noncharacters. Line ends and tabs become blanks.
func visible(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085':
			return ' '
		case invisible(r):
			return -1
		}
		return r
	}, s))
}

func invisible(r rune) bool {
	if r < 0x7F {
		return r < ' '
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs) || r == unicode.ReplacementChar || r&0xFFFE == 0xFFFE
}

// hide redacts a string. Lines are kept apart for that, because rules look at
// lines; what was cut loses its last word, because half a secret is not recognised.
func hide(r *redact.Redactor, s string) string {
	s = strings.Map(func(c rune) rune {
		if c != '\n' && c != '\r' && c != '\t' && invisible(c) {
			return -1
		}
		return c
	}, s)
	if cut, ok := strings.CutSuffix(s, quoteEnd); ok {
		s = cut[:strings.LastIndexAny(cut, " \t\n;,")+1] + "…"
	}
	return r.String(visible(r.String(s)))
}

// profileFolder finds the name of a person in the path of a profile.
var profileFolder = regexp.MustCompile(`(?i)[\\/](?:users|benutzer|documents and settings)[\\/]([^\\/:*?"<>|\s][^\\/:*?"<>|\r\n]{0,63})[\\/]`)

// learn teaches a redactor the names that the facts give with certainty, so that
// they are also found where nothing around them tells that they are names.
func learn(r *redact.Redactor, f *facts.Facts) {
	r.Learn(redact.Computer, f.Machine.Name)
	if f.Route != nil {
		learnRoute(r, f.Route)
	}
	hosts := func(setting string) {
		for _, h := range hostsIn(setting) {
			r.Learn(redact.Host, h)
		}
	}
	if p := f.WinHTTP; p.State == facts.Present {
		for _, v := range slices.Concat(p.Value.Others, []winlog.WinHTTPProxy{p.Value}) {
			hosts(v.Proxy)
			hosts(v.Bypass)
			hosts(v.PAC)
		}
	}
	for _, l := range f.Hosts.Value {
		for _, name := range l.Names {
			r.Learn(redact.Host, name)
		}
	}
	for _, v := range namingValues {
		if t := f.Text(v.key, v.name); t.State == facts.Present {
			hosts(t.Value)
		}
	}
}

// namingValues are the registry values that hold host names.
var namingValues = []struct{ key, name string }{
	{`HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings`, "ProxyServer"},
	{`HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings`, "ProxyOverride"},
	{`HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings`, "AutoConfigURL"},
	{`HKU\S-1-5-18\Software\Microsoft\Windows\CurrentVersion\Internet Settings`, "ProxyServer"},
	{`HKU\S-1-5-18\Software\Microsoft\Windows\CurrentVersion\Internet Settings`, "AutoConfigURL"},
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`, "ProxyServer"},
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`, "WUServer"},
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`, "WUStatusServer"},
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`, "UpdateServiceUrlAlternate"},
}

// hostsIn returns the names in a proxy setting, a bypass list or an address:
// "http=proxy:8080;https=proxy:8443", "*.corp.example;<local>", "http://wsus:8530".
func hostsIn(setting string) []string {
	var out []string
	for _, part := range strings.FieldsFunc(setting, func(c rune) bool { return c == ';' || c == ',' || unicode.IsSpace(c) }) {
		if _, v, ok := strings.Cut(part, "="); ok {
			part = v
		}
		if _, v, ok := strings.Cut(part, "://"); ok {
			part = v
		}
		part, _, _ = strings.Cut(part, "/")
		part = part[strings.LastIndexByte(part, '@')+1:]
		if _, err := netip.ParseAddr(strings.Trim(part, "[]")); err == nil {
			continue
		}
		part, _, _ = strings.Cut(part, ":")
		if part = strings.Trim(part, "*.[]<>"); part != "" && part != "local" && strings.ContainsFunc(part, unicode.IsLetter) {
			out = append(out, part)
		}
	}
	return out
}

// hashes gives the SHA-256 of the quoted lines, each once: those of the failures,
// of the failing servicing session, and the proof of the first cause.
func hashes(d *Document) []Hash {
	var out []Hash
	add := func(source, text string) {
		sum := sha256.Sum256([]byte(text))
		h := Hash{source, hex.EncodeToString(sum[:])}
		if text != "" && len(out) < maxHashes && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	for _, f := range d.Failures {
		for _, s := range f.Seen {
			add(s.Source, s.Text)
		}
	}
	for _, s := range d.Escalation.Lines {
		add(s.Source, s.Text)
	}
	if len(d.Causes) > 0 {
		for _, e := range d.Causes[0].Evidence {
			add(e.Source, e.Seen)
		}
	}
	return out
}

// Redacted reports whether names and addresses in the document are pseudonyms.
func (d *Document) Redacted() bool { return d != nil && d.redactor != nil }

// labelled returns the list as a report may show it: names and errors without
// control characters and, if any document of the list is redacted, redacted with
// it and without the folders of the person who made the report.
func labelled(list []Named) []Named {
	var shared *redact.Redactor
	for _, n := range list {
		if n.Document.Redacted() {
			shared = n.Document.redactor
			break
		}
	}
	out := slices.Clone(list)
	for i := range out {
		n := &out[i]
		r := shared
		if n.Document.Redacted() {
			r = n.Document.redactor
		}
		if r == nil {
			n.Name = visible(n.Name)
			continue
		}
		base := shortName(list, n.Name)
		if n.Err != nil {
			n.Err = redactedError{n.Err, hide(r, strings.ReplaceAll(n.Err.Error(), n.Name, base))}
		}
		n.Name = hide(r, base)
	}
	return out
}

// shortName is the last element of a path, with its folder if another path of the
// list ends alike.
func shortName(list []Named, name string) string {
	base, alike := filepath.Base(name), 0
	for _, n := range list {
		if filepath.Base(n.Name) == base {
			alike++
		}
	}
	if parent := filepath.Base(filepath.Dir(name)); alike > 1 && parent != "." && parent != string(filepath.Separator) {
		return parent + "/" + base
	}
	return base
}

// redactedError is an error whose text may be shown in a report.
type redactedError struct {
	err  error
	text string
}

func (e redactedError) Error() string { return e.text }
func (e redactedError) Unwrap() error { return e.err }

// newRedactor returns the redactor of a report, nil if it is not to be redacted.
func newRedactor(opt Options) *redact.Redactor {
	if !opt.Redact {
		return nil
	}
	return cmp.Or(opt.Redactor, &redact.Redactor{})
}
