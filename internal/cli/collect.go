package cli

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/redact"
	"updoc/internal/report"
)

// How long collecting may take: a minute in all, of which reading for the diagnosis
// takes a few seconds, and half a minute where a part of Windows hangs. Each part has
// what those before it left, and packing always has its own.
const (
	wholeTime = 58 * time.Second // beside what a person takes to agree
	lookTime  = 12 * time.Second // for reading the files of this machine for the diagnosis
	packTime  = 10 * time.Second

	askTime  = 8 * time.Second  // for one question: Windows Management takes seconds to start
	asksTime = 20 * time.Second // for all of them, but one:
	readTime = 25 * time.Second // what starts with Windows, for which the signature of each program is read
	fileTime = 35 * time.Second // for redacting and packing the files
)

func leftToAsk(began time.Time) time.Duration { return wholeTime - packTime - time.Since(began) }

func leftToPack(spent time.Duration) time.Duration {
	return max(packTime, min(fileTime, wholeTime-spent))
}

// collectFlags are those of collect.
type collectFlags struct {
	from      []string
	output    string
	format    string
	keepHosts bool
	yes       bool
}

func newCollect(env *Env) *cobra.Command {
	var c collectFlags
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "Pack what tells of updating, redacted, to send it to somebody who helps",
		Long: `Reads what this machine tells of updating, logs, event logs, settings, services,
takes secrets and names out of it, and packs it into one zip: a bundle, which
'updoc diagnose --from' reads anywhere. It shows what will be in it before it
writes it. Nothing is sent, nothing on the machine is changed.

Passwords vanish; names of people and hosts, addresses and ids become consistent
pseudonyms, so that the bundle leads to the diagnosis that the machine leads to.
Of huge logs the beginning and the end are taken. It takes less than a minute and
makes less than 100 MB.

With --from it packs evidence that lies in a folder, zip or files instead, e.g. to
redact it.

Exit codes: 0 written, 2 wrong usage or no such input, 3 nothing could be read.`,
		Example: `  updoc collect                                 on the sick machine
  updoc collect -o ticket-4711.zip --keep-hosts
  updoc collect --from evidence -o redacted.zip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return env.collect(cmd.Context(), c) },
	}
	f := cmd.Flags()
	f.StringVarP(&c.output, "output", "o", "", "the file to write (default updoc-DATE-TIME.zip in this folder)")
	f.BoolVar(&c.keepHosts, "keep-hosts", false, "leave names and addresses of hosts as they are")
	f.StringArrayVar(&c.from, "from", nil, "pack this evidence instead of this machine: a folder, zip or file; may be repeated")
	f.BoolVarP(&c.yes, "yes", "y", false, "do not ask before the bundle is written")
	f.StringVar(&c.format, "format", "text", "text, or json: one event a line")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

func (env *Env) collect(ctx context.Context, c collectFlags) error {
	if c.format != "text" && c.format != "json" {
		return usage("the formats are text, json", "no such format: %q", c.format)
	}
	if c.output == "-" && c.format == "json" {
		return usage("give -o the name of a file", "the bundle and its events cannot both go to standard output")
	}
	began := time.Now()
	if c.output == "" {
		c.output = began.Format("updoc-20060102-150405.zip")
	}
	h, done, err := env.open(ctx, c.from, c.output)
	if err != nil {
		return err
	}
	defer done()

	// What is asked while the machine is diagnosed is what the bundle holds; the
	// questions that no cause asks yet are for the readers of later years.
	rec := &host.Record{Reader: h}
	if len(c.from) == 0 {
		rec.Reader = env.remembering(h)
	}
	bar := env.progress()
	defer bar.done()
	look := facts.Options{Progress: bar.update}
	if len(c.from) == 0 {
		look.Within = lookTime
	}
	f := facts.Collect(ctx, rec, look)
	askAll(ctx, rec, bar, leftToAsk(began))
	if err := ctx.Err(); err != nil {
		return err
	}
	red := &redact.Redactor{KeepHosts: c.keepHosts}
	if r, ok := h.(interface{ Redacted() bool }); ok {
		red.Redacted = r.Redacted()
	}
	doc := report.New(f, cause.Diagnose(f), report.Options{Redact: true, Redactor: red}) // teaches it the names as well
	bar.done()

	spent := time.Since(began)
	t := env.collectTeller(c)
	if err := t.preview(rec.Preview(host.Limits{})); err != nil {
		return err
	}
	switch ok, err := env.agree(ctx, c, t.words.Text("collect.ask", "file", oneLine(c.output))); {
	case err != nil:
		return err
	case !ok: // which is what was asked for
		_, err := fmt.Fprintln(t.w, t.words.Text("collect.not-written"))
		return err
	}
	resumed := time.Now()
	w, place, err := env.output(c.output)
	if err != nil {
		return err
	}
	sum := &sumWriter{w: w, sum: sha256.New()}
	bar = env.progress()
	m, err := rec.Write(ctx, sum, host.WriteOptions{
		Version: env.Version, Redactor: red, Within: leftToPack(spent),
		Note:     func(m host.Manifest) string { return t.note(m, doc) },
		Progress: func(p host.Progress) { t.progress(bar, p) },
	})
	bar.done()
	if err = place(err); err != nil {
		return err
	}
	return t.written(m, doc, sum, spent+time.Since(resumed))
}

// open opens what is to be read: the evidence, or this machine. The file that is to
// be written must not be the evidence itself.
func (env *Env) open(ctx context.Context, from []string, output string) (h host.Reader, done func(), err error) {
	if len(from) == 0 {
		return env.openLive(ctx)
	}
	groups, err := machines(from)
	if err != nil {
		return nil, nil, err
	}
	if len(groups) > 1 {
		return nil, nil, usage("give the evidence of one machine", "--from names %d machines", len(groups))
	}
	if err := spare(groups, output); err != nil {
		return nil, nil, err
	}
	r, err := host.OpenRecorded(ctx, groups[0].paths...)
	if err != nil {
		return nil, nil, err
	}
	return r, func() { _ = r.Close() }, nil
}

// openLive opens this machine.
func (env *Env) openLive(ctx context.Context) (h host.Reader, done func(), err error) {
	if env.Live == nil {
		return nil, nil, usage("run it on the sick Windows machine, or give its evidence with --from DIR|ZIP|FILE...; 'updoc demo' shows an example", "this machine does not run Windows, and no evidence was given")
	}
	if h, err = env.Live(ctx); err != nil {
		return nil, nil, &hinted{err, "this machine cannot be read; copy its logs and give them with --from", ExitUnknown}
	}
	return h, func() {
		if c, ok := h.(io.Closer); ok {
			_ = c.Close()
		}
	}, nil
}

// askAll asks every question, each within its time and all within what is left. An
// answer that does not come is remembered as one that could not be had.
func askAll(ctx context.Context, rec *host.Record, bar *bar, left time.Duration) {
	ctx, stop := context.WithTimeout(ctx, left)
	defer stop()
	all, cancel := context.WithTimeout(ctx, asksTime)
	defer cancel()
	questions := host.Questions()
	for i, q := range questions {
		parent, limit := all, askTime
		if q.Name == host.AskStartup {
			parent, limit = ctx, readTime
		}
		one, cancel := context.WithTimeout(parent, limit)
		_, _ = rec.Ask(one, q) // the record keeps what came of it
		cancel()
		bar.step("asking Windows", i+1, len(questions))
	}
}

// agree asks a person, where there is one. Where there is none, the command itself
// is the consent.
func (env *Env) agree(ctx context.Context, c collectFlags, question string) (bool, error) {
	in, ok := env.Stdin.(*os.File)
	if c.yes || c.format == "json" || c.output == "-" || !ok || !term.IsTerminal(int(in.Fd())) {
		return true, nil
	}
	fmt.Fprintf(env.Stderr, "%s [Y/n] ", question)
	answer := make(chan string, 1)
	go func() { // reading a terminal cannot be broken off; the process ends with it
		s, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && s == "" {
			s = "n"
		}
		answer <- strings.ToLower(strings.TrimSpace(s))
	}()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case s := <-answer:
		return s == "" || s == "y" || s == "yes", nil
	}
}

// sumWriter takes the sum of what is written.
type sumWriter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (s *sumWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// teller says what collect does, in words or as events.
type teller struct {
	collectFlags
	w     io.Writer
	words *message.Catalog
	last  time.Time
}

func (env *Env) collectTeller(c collectFlags) *teller {
	w := env.Stdout
	if c.output == "-" {
		w = env.Stderr
	}
	return &teller{collectFlags: c, w: w, words: message.English()}
}

func (t *teller) event(v any) error { return json.NewEncoder(t.w).Encode(v) }

// previewEvent is the preview as an event.
type previewEvent struct {
	Kind     string        `json:"kind"` // preview
	Output   string        `json:"output"`
	Elevated *bool         `json:"elevated,omitempty"`
	Keys     int           `json:"keys"`
	Services int           `json:"services"`
	Answers  []string      `json:"answers"`
	Bytes    int64         `json:"bytes"`
	Files    []previewFile `json:"files"`
	Unread   []host.Unread `json:"unread"`
}

type previewFile struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
	Size int64  `json:"size"`
	Take int64  `json:"take"`
}

// maxNamed bounds the lists that are shown.
const maxNamed = 12

func (t *teller) preview(p host.Preview) error {
	if t.format == "json" {
		e := previewEvent{Kind: "preview", Output: t.output, Elevated: p.Elevated, Keys: p.Keys, Services: p.Services, Answers: p.Answers, Bytes: p.Bytes, Unread: p.Unread}
		for _, f := range p.Files {
			e.Files = append(e.Files, previewFile{f.Path, string(f.Kind), f.Size, f.Take})
		}
		return t.event(e)
	}
	var b strings.Builder
	word := t.words.Text
	fmt.Fprintf(&b, "%s\n\n", word("collect.preview"))
	row := func(key, what string) { fmt.Fprintf(&b, "  %-14s %s\n", word(key), what) }
	row("collect.keys", fmt.Sprint(p.Keys))
	row("collect.services", fmt.Sprint(p.Services))
	if len(p.Answers) > 0 {
		text := wrapped(fmt.Sprintf("%d: %s", len(p.Answers), strings.Join(p.Answers, ", ")), "", 62)
		row("collect.answers", strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 17)))
	}
	size := bytesText(p.Bytes)
	if p.Bytes >= 1<<20 {
		size = word("collect.size", "size", size)
	}
	row("collect.files", fmt.Sprintf("%d: %s", len(p.Files), size))
	files := slices.Clone(p.Files)
	slices.SortStableFunc(files, func(a, b host.PreviewFile) int { return cmp.Compare(b.Size, a.Size) })
	for _, f := range files[:min(len(files), maxNamed)] {
		size = word("collect.all-of", "size", bytesText(f.Size))
		if f.Take < f.Size {
			size = word("collect.part-of", "take", bytesText(f.Take), "size", bytesText(f.Size))
		}
		fmt.Fprintf(&b, "    %s (%s)\n", oneLine(f.Path), size)
	}
	t.more(&b, len(files))
	list := func(title string, items []host.Unread) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", wrapped(title, "", 80))
		for _, u := range items[:min(len(items), maxNamed)] {
			line := u.What
			if u.Why != host.ErrDenied.Error() {
				line += ": " + u.Why
			}
			fmt.Fprintf(&b, "    %s\n", shortened(oneLine(line), 150))
		}
		t.more(&b, len(items))
	}
	var denied, other []host.Unread
	for _, u := range p.Unread {
		if u.Why == host.ErrDenied.Error() {
			denied = append(denied, u)
		} else {
			other = append(other, u)
		}
	}
	list(word("collect.left-out"), other)
	switch plain := p.Elevated != nil && !*p.Elevated; {
	case plain && len(denied) == 0:
		fmt.Fprintf(&b, "\n%s\n", wrapped(word("collect.not-elevated-fine"), "", 80))
	case plain:
		list(word("collect.not-elevated"), denied)
	default:
		list(word("collect.denied"), denied)
	}
	how := "collect.how-redacted"
	if t.keepHosts {
		how = "collect.how-redacted-keep"
	}
	fmt.Fprintf(&b, "\n%s\n\n", wrapped(word(how), "", 80))
	_, err := io.WriteString(t.w, b.String())
	return err
}

func (t *teller) more(b *strings.Builder, n int) {
	if n > maxNamed {
		fmt.Fprintf(b, "    %s\n", t.words.Text("collect.more", "n", n-maxNamed))
	}
}

func (t *teller) progress(b *bar, p host.Progress) {
	if t.format == "json" {
		if now := time.Now(); now.Sub(t.last) > 500*time.Millisecond {
			t.last = now
			_ = t.event(map[string]any{"kind": "progress", "files": p.Files, "all_files": p.AllFiles, "bytes": p.Bytes, "all_bytes": p.AllBytes}) // the last event is checked
		}
		return
	}
	b.show("packing: %d of %d files, %d of %d MB, %.0f s", p.Files, p.AllFiles, p.Bytes>>20, max(p.AllBytes, p.Bytes)>>20, time.Since(b.start).Seconds())
}

func (t *teller) written(m host.Manifest, doc *report.Document, sum *sumWriter, took time.Duration) error {
	digest := hex.EncodeToString(sum.sum.Sum(nil))
	if t.format == "json" {
		return t.event(map[string]any{
			"kind": "done", "output": t.output, "bytes": sum.n, "sha256": digest, "seconds": took.Round(time.Millisecond).Seconds(), "manifest": m, "note": t.note(m, doc),
		})
	}
	word := t.words.Text
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", word("collect.written", "file", oneLine(t.output), "size", bytesText(sum.n), "files", evidenceIn(m), "seconds", fmt.Sprintf("%.1f", took.Seconds())), word("collect.sum", "sum", digest))
	fmt.Fprintf(&b, "%s\n", wrapped(t.replaced(m), "", 80))
	if n := len(m.Unread); n > 0 {
		fmt.Fprintf(&b, "%s\n", wrapped(word("collect.missing", "n", n), "", 80))
	}
	fmt.Fprintf(&b, "\n%s\n\n%s\n\n", wrapped(word("collect.send"), "", 80), wrapped(word("collect.cover"), "", 80))
	for line := range strings.Lines(t.note(m, doc)) {
		fmt.Fprintf(&b, "  %s\n", report.Clean(strings.TrimRight(line, "\r\n")))
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

func evidenceIn(m host.Manifest) (n int) {
	for _, f := range m.Files {
		if f.Role == host.MemberEvidence {
			n++
		}
	}
	return n
}

// replaced counts what was replaced.
func (t *teller) replaced(m host.Manifest) string {
	if m.Redaction == nil || len(m.Redaction.Replaced) == 0 {
		return t.words.Text("collect.replaced-nothing")
	}
	var parts []string
	for _, c := range m.Redaction.Replaced {
		parts = append(parts, fmt.Sprintf("%d %s", c.Total, t.words.Text("collect."+c.Kind)))
	}
	return t.words.Text("collect.replaced", "what", strings.Join(parts, ", "))
}

// note is the covering note. The document is redacted, as all else in the bundle.
func (t *teller) note(m host.Manifest, doc *report.Document) string {
	word := t.words.Text
	where, found := "", word("collect.note-unknown")
	if doc.Machine.OS != "" {
		where = word("collect.note-where", "os", strings.TrimSpace(doc.Machine.OS+" "+doc.Machine.Build))
	}
	switch {
	case len(doc.Causes) > 0:
		c := doc.Causes[0]
		found = word("collect.note-found", "cause", c.Title, "percent", fmt.Sprintf("%.0f %%", min(c.Probability*100, 99)), "id", c.ID)
	case doc.Verdict == string(cause.Healthy):
		found = word("collect.note-healthy")
	}
	if len(doc.Failures) > 0 {
		if x := doc.Failures[0]; x.Code != "" {
			found += " " + word("collect.note-failure", "failure", strings.TrimSpace(x.Code+" "+x.Symbol))
		}
	}
	redacted := "collect.note-redacted"
	if m.Redaction != nil && m.Redaction.HostsKept {
		redacted = "collect.note-hosts-kept"
	}
	missing := ""
	if len(m.Unread) > 0 {
		missing = word("collect.missing", "n", len(m.Unread))
	}
	if m.Elevated != nil {
		rights := word("collect.note-elevated")
		if !*m.Elevated {
			rights = word("collect.note-not-elevated", "n", len(m.Denied))
		}
		missing = strings.TrimSpace(rights + " " + missing)
	}
	text := word("collect.note",
		"version", m.Version, "when", m.Created.Format("2006-01-02 15:04"), "where", where, "found", found,
		"inside", word("collect.note-inside", "files", evidenceIn(m), "keys", m.Keys, "services", m.Services, "answers", answersIn(m)),
		"replaced", word(redacted, "replaced", t.replaced(m)), "missing", missing)
	var b strings.Builder
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			b.WriteString(wrapped(p, "", 76) + "\n\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func answersIn(m host.Manifest) (n int) {
	for _, a := range m.Answers {
		if a.State == host.StatePresent {
			n++
		}
	}
	return n
}

// wrapped breaks a text into lines of at most so many columns.
func wrapped(text, indent string, columns int) string {
	var b strings.Builder
	at := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case at == 0:
			b.WriteString(indent)
			at = len(indent)
		case at+1+n > columns:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// shortened cuts a line; the manifest has it whole.
func shortened(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + " ..."
}

// bytesText is a size as people say it.
func bytesText(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KB", (n+1<<9)>>10)
	case n < 100<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d MB", n>>20)
}
