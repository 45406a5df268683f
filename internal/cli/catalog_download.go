package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/authenticode"
	"updoc/internal/catalog"
	"updoc/internal/message"
	"updoc/internal/report"
)

// downloadFlags are those of catalog download.
type downloadFlags struct {
	way         wayFlags
	to, dir     string
	format      string
	connections int
	product     string
}

func newCatalogDownload(env *Env) *cobra.Command {
	var t downloadFlags
	cmd := &cobra.Command{
		Use:   "download KB|ID... -o DIR",
		Short: "Fetch packages from the Microsoft Update Catalog into an offline kit",
		Long: `Fetches what fits a machine, with all files that it builds on, over several
connections at the same time, and goes on where it was stopped. Each file is held to
the catalogue's digest and to Microsoft's signature before it gets its name.

The folder is an offline kit: the packages, a list with digests (kit.json) and an
instruction (README.txt). Carried to the machine, 'updoc catalog install DIR' installs
it there. More updates can be added to a kit by fetching into the same folder.

Exit codes: 0 everything is there, 1 nothing fits, 2 wrong usage or no such update,
3 the catalogue or a file could not be reached, 4 a file was refused.`,
		Example: `  updoc catalog download KB5043080 --for 26100.1/amd64 -o kit
  updoc catalog download 51ee9ff6-0000-4000-8000-000000000000 -o kit
  updoc catalog download KB5043080 -o D:\kit                on the machine itself
  updoc catalog download KB5043080 --for 26100.1/amd64 -o kit --proxy http://proxy.example:8080`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.catalogDownload(cmd.Context(), t, args)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&t.dir, "output", "o", "", "the folder of the kit; made if it is not there")
	f.StringVar(&t.to, "for", "", "the machine that it is for: this, or BUILD/ARCHITECTURE[/server] (default on Windows: this)")
	f.StringVar(&t.product, "product", "", "only updates whose products or title have these words")
	f.IntVar(&t.connections, "connections", 0, "connections at the same time, 1 to 8 (default 6)")
	f.StringVar(&t.format, "format", "text", "text, or json: a line for each thing that happens")
	t.way.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

// order is an update that is to be fetched.
type order struct {
	row     catalog.Row
	details *catalog.Details
	notes   []message.Line
	set     catalog.Set
}

func (env *Env) catalogDownload(ctx context.Context, t downloadFlags, args []string) error {
	switch {
	case t.format != "text" && t.format != "json":
		return usage("the formats are text, json", "no such format: %q", t.format)
	case t.dir == "":
		return usage("e.g. -o kit", "name the folder of the kit with -o")
	case t.connections < 0 || t.connections > 8:
		return usage("e.g. --connections 4", "--connections must be from 1 to 8")
	}
	bar := env.progress()
	defer bar.done()
	w, err := env.way(ctx, t.way, bar)
	if err != nil {
		return err
	}
	defer w.close()
	if t.to == "" && w.facts != nil {
		t.to = "this"
	}
	target, err := w.target(t.to)
	if err != nil {
		return err
	}
	kit, err := openKit(t.dir)
	if err != nil {
		return err
	}
	s := w.shop(bar)
	defer s.close()
	var orders []*order
	for _, a := range args {
		o, err := s.order(ctx, a, t.product, target)
		if err != nil {
			return w.tell(err)
		}
		if !slices.ContainsFunc(orders, func(x *order) bool { return x.row.ID == o.row.ID }) {
			orders = append(orders, o)
		}
	}
	say := haul{env: env, json: t.format == "json", bar: bar}
	s.fetch.Connections = t.connections
	for _, o := range orders {
		if err := say.chosen(o); err != nil {
			return err
		}
		u, err := s.bring(ctx, t.dir, kit, o, &say)
		if err != nil {
			return w.tell(err)
		}
		if err := kit.Clear(t.dir, u); err != nil {
			if errors.Is(err, catalog.ErrKit) {
				return usage("move it away, or name another folder with -o", "%w", err)
			}
			return unwritableDir(t.dir, err)
		}
		if len(kit.Updates) == 0 || kit.For != nil && target != nil && *kit.For == *target {
			kit.For = target
		} else {
			kit.For = nil // for several
		}
		kit.Add(*u)
		// After each of them, so that what is whole is a kit whatever comes.
		kit.Made, kit.By = time.Now().UTC().Truncate(time.Second), "updoc "+env.Version
		if err := kit.Write(t.dir, instruction(kit)); err != nil {
			return unwritableDir(t.dir, err)
		}
	}
	return say.kit(t.dir, kit)
}

func unwritableDir(dir string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return usage("choose a folder that may be written to", "write to %s: %w", dir, err)
}

// openKit reads the kit that is in a folder already, or begins one.
func openKit(dir string) (*catalog.Kit, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, unwritableDir(dir, err)
	}
	k, err := catalog.OpenKit(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &catalog.Kit{Schema: catalog.KitSchema}, nil
	case err != nil:
		return nil, usage("name another folder with -o, or remove "+catalog.KitName+" from it", "%s: %w", dir, err)
	}
	return k, nil
}

// order finds the one update that an argument means.
func (s *shop) order(ctx context.Context, arg, product string, target *catalog.Target) (*order, error) {
	var o order
	var t catalog.Target
	if target != nil {
		t = *target
	}
	if id, ok := catalog.ID(arg); ok {
		d, err := s.client.Details(ctx, id)
		if err != nil {
			return nil, err
		}
		o.row = catalog.Row{ID: id, Title: d.Title, Products: d.Products, Classification: d.Classification}
		o.row.Date, _ = time.Parse("1/2/2006", d.Date) // zero: unknown
		if len(d.KB) > 0 {
			o.row.KB = d.KB[0]
		}
		o.details = d
		c := catalog.Choose([]catalog.Candidate{{Row: o.row, Details: d}}, t, catalog.Asked{Name: true})
		if target != nil && len(c.Fits) == 0 {
			return nil, &hinted{fmt.Errorf("%s does not fit %s: %s", d.Title, t, spell(c.Left[0].Why)), "leave --for out to fetch it all the same", ExitProblems}
		}
		for _, f := range c.Fits {
			o.notes = f.Notes
		}
	} else {
		res, err := s.client.Search(ctx, catalog.Query{Text: arg, Product: product})
		if err != nil {
			return nil, err
		}
		if len(res.Rows) == 0 {
			return nil, usage("'updoc catalog search' looks for words too", "the catalogue has nothing for %q", arg)
		}
		choice, err := s.choose(ctx, res.Rows, t, asked(arg))
		if err != nil {
			return nil, err
		}
		switch {
		case len(choice.Fits) == 0:
			why := ""
			if len(choice.Left) == 1 {
				why = ": " + spell(choice.Left[0].Why)
			}
			return nil, &hinted{fmt.Errorf("of %d updates for %q none fits %s%s", len(choice.Left), arg, t, why), "'updoc catalog search " + arg + " --for " + t.String() + " --all' says of each why", ExitProblems}
		case len(choice.Fits) > 1:
			var ids []string
			for _, f := range choice.Fits[:min(4, len(choice.Fits))] {
				ids = append(ids, f.Row.ID+" ("+f.Title+")")
			}
			hint := "name one by its id: " + strings.Join(ids, ", ")
			if target == nil {
				hint = "name the machine with --for BUILD/ARCHITECTURE, or one by its id: " + strings.Join(ids, ", ")
			}
			return nil, usage(hint, "%q means %d updates", arg, len(choice.Fits))
		}
		f := choice.Fits[0]
		o.row, o.details, o.notes = f.Row, f.Details, f.Notes
	}
	files, err := s.client.Files(ctx, o.row.ID)
	if err != nil {
		return nil, err
	}
	if o.set = catalog.Pick(o.row, files, t); len(o.set.Files) == 0 {
		return nil, &hinted{fmt.Errorf("%s has no file for %s", o.row.Title, t), "leave --for out to fetch all of them", ExitProblems}
	}
	return &o, nil
}

// bring fetches the files of an update into its folder of the kit.
func (s *shop) bring(ctx context.Context, dir string, kit *catalog.Kit, o *order, say *haul) (*catalog.KitUpdate, error) {
	u := &catalog.KitUpdate{
		ID: o.row.ID, KB: o.row.KB, Title: o.row.Title, Products: o.row.Products, Classification: o.row.Classification, Folder: kit.FolderOf(o.row),
	}
	if !o.row.Date.IsZero() {
		u.Date = o.row.Date.Format("2006-01-02")
	}
	if o.details != nil {
		u.Restart, u.SupersededBy = o.details.Restart, o.details.SupersededBy
	}
	folder := filepath.Join(dir, u.Folder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, unwritableDir(folder, err)
	}
	drivers := strings.Contains(o.row.Classification, "Driver")
	for i, f := range o.set.Files {
		var signer string
		want := catalog.Want{URL: f.URL, SHA256: f.SHA256, SHA1: f.SHA1, Check: func(path string) (err error) {
			signer, err = s.w.signed(path, drivers)
			return err
		}}
		s.fetch.Progress = say.progress
		got, err := s.fetch.Fetch(ctx, want, filepath.Join(folder, f.Name))
		if err != nil {
			return nil, err
		}
		if err := say.file(got, signer); err != nil {
			return nil, err
		}
		u.Files = append(u.Files, catalog.KitFile{Name: f.Name, Size: got.Size, SHA256: got.SHA256, SHA1: got.SHA1, URL: got.URL, Target: i == len(o.set.Files)-1})
	}
	return u, nil
}

// signed holds a package to Microsoft's signature, and returns who signed it; "" where
// the form of the package has no signature of its own: there the catalogue's digest tells
// it, and the cabinets and catalogues inside are signed.
func (w *way) signed(name string, drivers bool) (string, error) {
	switch strings.ToLower(path.Ext(strings.TrimSuffix(name, ".part"))) {
	case ".msu", ".cab", ".exe", ".dll":
	default:
		return "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	var magic [8]byte
	if _, err := io.ReadFull(f, magic[:]); err == nil && bytes.Equal(magic[:], []byte("MSWIM\x00\x00\x00")) {
		return "", nil
	}
	opt := authenticode.Options{Roots: w.roots}
	if w.prober.Now != nil {
		opt.Now = w.prober.Now()
	}
	if drivers { // Microsoft signs what their makers wrote
		opt.Accept = func(s authenticode.Signer) bool { return s.Organization == "Microsoft Corporation" }
	}
	sig, err := authenticode.Verify(f, info.Size(), opt)
	if err != nil {
		if sig != nil && sig.Signer.Name != "" {
			return "", fmt.Errorf("%w (it names %s of %s)", err, sig.Signer.Name, sig.Signer.Organization)
		}
		return "", err
	}
	return sig.Signer.Name, nil
}

// haul tells what is fetched, as it comes.
type haul struct {
	env  *Env
	json bool
	bar  *bar
	last time.Time
}

type event struct {
	Event  string       `json:"event"` // chosen, progress, file, kit
	Update *catalog.Row `json:"update,omitempty"`
	Notes  []string     `json:"notes,omitempty"`
	Files  []string     `json:"files,omitempty"`

	File  string `json:"file,omitempty"`
	Done  int64  `json:"done,omitempty"` // bytes
	Total int64  `json:"total,omitempty"`
	Rate  int64  `json:"rate,omitempty"`    // bytes a second
	Left  int64  `json:"seconds,omitempty"` // that it will take

	Got    *catalog.Got `json:"got,omitempty"`
	Signer string       `json:"signer,omitempty"`
	Kit    string       `json:"kit,omitempty"`
}

func (t *haul) event(e event) error {
	enc := json.NewEncoder(t.env.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(e)
}

func (t *haul) chosen(o *order) error {
	notes := spellAll(slices.Concat(o.notes, o.set.Notes))
	if t.json {
		e := event{Event: "chosen", Update: &o.row, Notes: notes}
		for _, f := range o.set.Files {
			e.Files = append(e.Files, f.Name)
		}
		return t.event(e)
	}
	t.bar.done()
	_, err := fmt.Fprintf(t.env.Stdout, "%s\n", report.Clean(o.row.Title))
	for _, n := range notes {
		if err == nil {
			_, err = fmt.Fprintf(t.env.Stdout, "    %s\n", n)
		}
	}
	return err
}

func (t *haul) progress(p catalog.Progress) {
	if t.json {
		if now := time.Now(); now.Sub(t.last) >= time.Second {
			t.last = now
			_ = t.event(event{Event: "progress", File: p.Name, Done: p.Done, Total: p.Total, Rate: p.Rate, Left: int64(p.Left.Seconds())}) // what cannot be told now shows with the next event
		}
		return
	}
	text := fmt.Sprintf("%s: %d", p.Name, p.Done>>20)
	if p.Total > 0 {
		text = fmt.Sprintf("%s: %d %% of %d", p.Name, p.Done*100/p.Total, p.Total>>20)
	}
	text += " MB"
	if p.Rate > 0 {
		text += fmt.Sprintf(", %.1f MB/s", float64(p.Rate)/(1<<20))
	}
	if p.Left > 0 {
		text += ", " + p.Left.Round(time.Second).String() + " left"
	}
	t.bar.show("%s", text)
}

func (t *haul) file(g *catalog.Got, signer string) error {
	if t.json {
		return t.event(event{Event: "file", File: filepath.Base(g.Path), Got: g, Signer: signer})
	}
	t.bar.done()
	how := "digest right"
	if signer != "" {
		how += ", signed by " + report.Clean(signer)
	} else {
		how += ", a form without a signature of its own"
	}
	if g.Before == g.Size {
		how += ", was there already"
	}
	_, err := fmt.Fprintf(t.env.Stdout, "    %s  %s  %s\n", filepath.Base(g.Path), megabytes(g.Size), how)
	return err
}

func (t *haul) kit(dir string, k *catalog.Kit) error {
	if t.json {
		return t.event(event{Event: "kit", Kit: dir})
	}
	_, err := fmt.Fprintf(t.env.Stdout, "The kit is in %s. On the machine, as administrator: updoc catalog install %s\n", dir, filepath.Base(dir))
	return err
}

// instruction is what README.txt says.
func instruction(k *catalog.Kit) string {
	m := message.English()
	var b strings.Builder
	para := func(id string, args ...any) { b.WriteString(wrap(m.Text("catalog.readme."+id, args...), 78) + "\n\n") }
	para("title")
	if k.For != nil {
		para("for", "machine", k.For.String())
	}
	para("updoc")
	para("hand")
	for i := range k.Updates {
		u := &k.Updates[i]
		last := &u.Files[len(u.Files)-1]
		at := strings.ReplaceAll(u.Path(last), "/", `\`)
		fmt.Fprintf(&b, "%d. %s\n", i+1, report.Clean(u.Title))
		switch ext := strings.ToLower(path.Ext(last.Name)); {
		case ext == ".msu" && len(u.Files) > 1:
			fmt.Fprintf(&b, "     DISM /Online /Add-Package /PackagePath:%%CD%%\\%s /NoRestart\n", at)
			b.WriteString(indent(wrap(m.Text("catalog.readme.checkpoints"), 73), "     ") + "\n")
		case ext == ".msu":
			fmt.Fprintf(&b, "     wusa %%CD%%\\%s /quiet /norestart\n", at)
		case ext == ".cab":
			fmt.Fprintf(&b, "     DISM /Online /Add-Package /PackagePath:%%CD%%\\%s /NoRestart\n", at)
		default:
			fmt.Fprintf(&b, "     %%CD%%\\%s\n", at)
		}
		for _, f := range u.Files {
			fmt.Fprintf(&b, "     SHA-256 %s  %s\n", f.SHA256, f.Name)
		}
		b.WriteString("\n")
	}
	para("after")
	return b.String()
}

// wrap breaks lines at blanks.
func wrap(s string, width int) string {
	var out []string
	for para := range strings.SplitSeq(s, "\n\n") {
		line := ""
		var lines []string
		for _, word := range strings.Fields(para) {
			if line != "" && len(line)+1+len(word) > width {
				lines = append(lines, line)
				line = ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		out = append(out, strings.Join(append(lines, line), "\n"))
	}
	return strings.Join(out, "\n\n")
}

func indent(s, by string) string { return by + strings.ReplaceAll(s, "\n", "\n"+by) }
