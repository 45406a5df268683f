package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"updoc/internal/catalog"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/report"
	"updoc/internal/upgrade"
)

// getMedia fetches the file of the Media Creation Tool that fits a machine: this one, or
// that of a bundle.
func (u *upgrading) getMedia(ctx context.Context, env *Env) error {
	bar := env.progress()
	defer bar.done()
	w, err := env.way(ctx, wayFlags{lab: u.lab}, bar)
	if err != nil {
		return err
	}
	defer w.close()
	f := w.facts
	if len(u.from) > 0 {
		rec, err := host.OpenRecorded(ctx, u.from...)
		if err != nil {
			return err
		}
		f = facts.Collect(ctx, rec, facts.Options{Progress: bar.update})
		if err := errors.Join(ctx.Err(), rec.Close()); err != nil {
			return err
		}
	}
	if f == nil {
		return usage("run it on the machine, or give a bundle of it with --from", "for which machine the media are is not known")
	}
	m := upgrade.MachineOf(f)
	if why := upgrade.NotCovered(m.Edition); why != "" {
		return &hinted{fmt.Errorf("the Media Creation Tool has nothing for %s", why), words("upgrade.not-covered", "what", why), ExitProblems}
	}
	if err := os.MkdirAll(u.to, 0o755); err != nil {
		return unwritableDir(u.to, err)
	}
	s := w.shop(bar)
	defer s.close()
	s.fetch.Progress = func(p catalog.Progress) { u.fetching(env, bar, p) }
	list, err := u.catalogue(ctx, w, s, m)
	if err != nil {
		return w.tell(err)
	}
	p, err := upgrade.Choose(list, m)
	if err != nil {
		return &hinted{err, "an ISO file of the same version, edition and language does as well: updoc upgrade --media FILE", ExitProblems}
	}
	got, err := s.fetch.Fetch(ctx, catalog.Want{URL: p.URL, Size: p.Size, SHA256: p.SHA256, SHA1: p.SHA1}, filepath.Join(u.to, p.File))
	if err != nil {
		return w.tell(err)
	}
	bar.done()
	if u.format == "json" {
		return u.event(env, map[string]any{"kind": "media-fetched", "product": p, "got": got})
	}
	_, err = fmt.Fprintf(env.Stdout, "%s\n%s\n", report.Clean(got.Path), words("upgrade.fetched", "media", got.Path))
	return err
}

// fetching tells how far a download is.
func (u *upgrading) fetching(env *Env, bar *bar, p catalog.Progress) {
	if u.format == "json" {
		_ = u.event(env, map[string]any{"kind": "progress", "file": p.Name, "done": p.Done, "total": p.Total, "rate": p.Rate})
		return
	}
	if p.Total > 0 {
		bar.show("%s: %d %% of %d MB, %d MB/s", report.Clean(p.Name), p.Done*100/p.Total, p.Total>>20, p.Rate>>20)
	}
}

// catalogue reads the tool's catalogue, given or fetched, once Microsoft's signature of it
// is verified.
func (u *upgrading) catalogue(ctx context.Context, w *way, s *shop, m upgrade.Machine) ([]upgrade.Product, error) {
	name := u.products
	signed := func(path string) error {
		_, err := w.signed(path, false)
		return err
	}
	if name == "" {
		name = filepath.Join(u.to, "products.cab")
		f := catalog.Fetcher{Transport: s.fetch.Transport, Sleep: s.fetch.Sleep, Hosts: upgrade.CatalogueHost, Connections: 1}
		if _, err := f.Fetch(ctx, catalog.Want{URL: upgrade.CatalogueURL(m.Version), Check: signed}, name); err != nil {
			return nil, err
		}
	} else if err := signed(name); err != nil {
		return nil, &hinted{fmt.Errorf("%s: %w", filepath.Base(name), err), "fetch it again from " + upgrade.CatalogueURL(m.Version) + "; only Microsoft's own catalogue is believed", ExitProblems}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	list, err := upgrade.OpenProducts(f, info.Size())
	if err != nil {
		return nil, &hinted{err, "it was rebuilt perhaps: look for a newer updoc, or use an ISO file", ExitProblems}
	}
	return list, nil
}
