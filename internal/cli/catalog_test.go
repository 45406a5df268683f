package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"updoc/internal/catalog"
	"updoc/internal/lab"
	"updoc/internal/route"
)

// shelf runs a catalog command in a world, as on a machine that does not run Windows.
func shelf(t *testing.T, w *lab.World, getenv map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(k string) string { return getenv[k] },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	if w != nil {
		env.Network = route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow}
		root, err := w.PackageRoot()
		if err != nil {
			t.Fatal(err)
		}
		env.PackageRoots = []*x509.Certificate{root}
	}
	code = Run(t.Context(), env, append([]string{"catalog"}, args...))
	return code, out.String(), errs.String()
}

// secretFD opens the password for --password-fd, which closes it.
func secretFD(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Open(secretIn(t, "s3cret pass"), syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int(fd)
}

func worldOf(t *testing.T, spec lab.WorldSpec) *lab.World {
	t.Helper()
	w, err := lab.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestCatalogSearch(t *testing.T) {
	t.Parallel()
	w := worldOf(t, lab.WorldSpec{})
	for name, tt := range map[string]struct {
		args []string
		code int
		says []string
		not  []string
	}{
		"an article":           {[]string{"KB5090213"}, 0, []string{"Windows 11 Version 23H2 for x64-based Systems (KB5090213)", "2026-10-13", "Security Updates"}, []string{"--all"}},
		"words":                {[]string{"windows", "11", "cumulative"}, 0, []string{"25 of ", "--all reads the rest"}, nil},
		"a product":            {[]string{"2026-10", "--product", "Server 2019"}, 0, []string{"Windows Server 2019"}, []string{"Windows 11"}},
		"nothing":              {[]string{"KB1234567"}, 1, []string{`nothing for "KB1234567"`}, nil},
		"for a machine":        {[]string{"KB5090213", "--for", "22631.1/arm64"}, 0, []string{"ARM64-based Systems (KB5090213)", "It may need a restart.", "3 others do not fit 22631.1/arm64; --all says why"}, []string{"x64-based"}},
		"for another":          {[]string{"KB5090213", "--for", "19045.1/x64", "--all"}, 1, []string{"none fits 19045.1/amd64", "for another Windows than windows 10 version 22h2"}, nil},
		"for newer ones":       {[]string{"KB5090211", "--for", "26100.9100/amd64", "--all"}, 1, []string{"It brings build 26100.9100, and the machine has 26100.9100."}, nil},
		"superseded":           {[]string{"KB5090191", "--for", "26100.1/amd64"}, 0, []string{"2026-08 Cumulative", "Newer updates replace it (2), at last 2026-10 Cumulative"}, nil},
		"--for this":           {[]string{"KB5090213", "--for", "this"}, 2, []string{"does not run Windows", "winver"}, nil},
		"--for without a form": {[]string{"KB5090213", "--for", "11"}, 2, []string{"--for 22631.3007/amd64"}, nil},
		"no such format":       {[]string{"KB5090213", "--format", "xml"}, 2, []string{"no such format"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := shelf(t, w, nil, "", append([]string{"search"}, tt.args...)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, s := range tt.says {
				if !strings.Contains(out+errs, s) {
					t.Errorf("%q is not said:\n%s%s", s, out, errs)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(out+errs, s) {
					t.Errorf("%q is said:\n%s%s", s, out, errs)
				}
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		code, out, _ := shelf(t, w, nil, "", "search", "KB5090213", "--for", "22631.1/amd64", "--format", "json")
		var doc catalogResult
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 {
			t.Fatalf("%d, %v: %s", code, err, out)
		}
		if doc.Schema != "updoc.catalog/1" || doc.Total != 6 && doc.Total != 5 || len(doc.Fits) != 1 || len(doc.Left) != 3 || doc.Left[0].ID == "" || doc.For.Build != "22631.1" {
			t.Errorf("%+v", doc)
		}
	})
}

func TestCatalogDownload(t *testing.T) {
	t.Parallel()
	w := worldOf(t, lab.WorldSpec{})
	dir := filepath.Join(t.TempDir(), "kit")
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := shelf(t, w, nil, "", append([]string{"download", "-o", dir}, args...)...)
		if code != want {
			t.Fatalf("exit code %d, want %d\n%s%s", code, want, out, errs)
		}
		return out + errs
	}
	out := run(0, "KB5090211", "--for", "26100.1/amd64")
	for _, s := range []string{"(KB5090211)", "2 files that build on each other", "digest right", "a form without a signature", "updoc catalog install kit"} {
		if !strings.Contains(out, s) {
			t.Errorf("%q is not said:\n%s", s, out)
		}
	}
	if out = run(0, "KB5090213", "--for", "22631.1/amd64"); !strings.Contains(out, "signed by Microsoft Windows") {
		t.Error(out)
	}
	// The same article for another architecture lies beside it.
	run(0, "KB5090213", "--for", "22631.1/arm64")
	if out = run(0, "KB5090213", "--for", "22631.1/amd64"); !strings.Contains(out, "was there already") {
		t.Error(out)
	}
	k, err := catalog.OpenKit(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Updates) != 3 || k.For != nil || k.By != "updoc test" || len(k.Updates[0].Files) != 2 || k.Updates[1].Folder != "KB5090213" || !strings.HasPrefix(k.Updates[2].Folder, "KB5090213-") {
		t.Errorf("%+v", k)
	}
	for i := range k.Updates {
		u := &k.Updates[i]
		for j := range u.Files {
			f := &u.Files[j]
			info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(u.Path(f))))
			if err != nil || info.Size() != f.Size {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
		entries, err := os.ReadDir(filepath.Join(dir, u.Folder))
		if err != nil || len(entries) != len(u.Files) {
			t.Errorf("%s holds %d files, %v", u.Folder, len(entries), err)
		}
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.txt"))
	if err != nil {
		t.Fatal(err)
	}
	last := k.Updates[0].Files[1]
	for _, s := range []string{`DISM /Online /Add-Package /PackagePath:%CD%\KB5090211\` + last.Name + ` /NoRestart`, `wusa %CD%\KB5090213\`, last.SHA256, "updoc catalog install", "\r\n"} {
		if !strings.Contains(string(readme), s) {
			t.Errorf("%q does not stand in\n%s", s, readme)
		}
	}
	if strings.Contains(string(readme), "catalog.readme") || strings.Contains(string(readme), "{") {
		t.Errorf("a sentence is missing:\n%s", readme)
	}
	// By id, as lines of JSON.
	out = run(0, k.Updates[0].ID, "--format", "json")
	var events []string
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e.Event)
	}
	if !slices.Equal(slices.DeleteFunc(events, func(e string) bool { return e == "progress" }), []string{"chosen", "file", "file", "kit"}) {
		t.Errorf("%v", events)
	}
	// What cannot be decided, or is not there.
	for _, tt := range []struct {
		code int
		says string
		args []string
	}{
		{2, "name the machine with --for", []string{"KB5090213"}},
		{1, "none fits 19045.1/amd64", []string{"KB5090213", "--for", "19045.1/amd64"}},
		{1, "does not fit 22631.1/amd64", []string{k.Updates[0].ID, "--for", "22631.1/amd64"}},
		{2, "nothing for", []string{"KB1234567"}},
		{2, "no such update", []string{"00000000-1111-2222-3333-444444444444"}},
		{2, "1 to 8", []string{"KB5090213", "--connections", "9"}},
		{2, "does not run Windows", []string{"KB5090213", "--for", "this"}},
	} {
		if out := run(tt.code, tt.args...); !strings.Contains(out, tt.says) {
			t.Errorf("%v: %q is not said: %s", tt.args, tt.says, out)
		}
	}
	// A folder with something else in it, and one that is no kit.
	if err := os.WriteFile(filepath.Join(dir, "KB5090211", "other.msu"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(2, "KB5090211", "--for", "26100.1/amd64"); !strings.Contains(out, "other.msu is in KB5090211") {
		t.Error(out)
	}
	if err := os.WriteFile(filepath.Join(dir, catalog.KitName), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(2, "KB5090211", "--for", "26100.1/amd64"); !strings.Contains(out, "not a kit") {
		t.Error(out)
	}
}

// What is wrong is named, with what to do, and nothing is left that could be taken for a
// package.
func TestCatalogFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spec lab.WorldSpec
		code int
		says []string
	}{
		"a rebuilt page":     {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueRebuilt}}, 3, []string{"not built as updoc knows it", "table updateMatches", "newer updoc"}},
		"an error page":      {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueBusy}}, 3, []string{"8DDD0010", "try it again"}},
		"a changed host":     {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueHost}}, 4, []string{"not an address of Microsoft's content hosts: cdn.fabrikam.example"}},
		"an older file":      {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueOlder}}, 4, []string{"not the one that was asked for", "SHA-256"}},
		"a flipped bit":      {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueFlipped}}, 4, []string{"not the one that was asked for"}},
		"no signature":       {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueBare}}, 4, []string{"not signed"}},
		"another's":          {lab.WorldSpec{Catalogue: lab.Catalogue{Fault: lab.CatalogueForeign}}, 4, []string{"signed by somebody else", "Fabrikam Software"}},
		"a proxy's page":     {lab.WorldSpec{Troubles: []lab.Trouble{{Host: "*.s.download.windowsupdate.com", Body: lab.BodyPage}}}, 3, []string{"a web page came instead", "sign-in page"}},
		"nobody there":       {lab.WorldSpec{Paths: []lab.Path{{To: "www.catalog.update.microsoft.com", Fault: lab.PathRefuse}}}, 3, []string{"updoc trace --url"}},
		"no such name":       {lab.WorldSpec{Lookups: []lab.Lookup{{Name: "www.catalog.update.microsoft.com", Fault: lab.NameUnknown}}}, 3, []string{"updoc trace --url"}},
		"an unknown issuer":  {lab.WorldSpec{Certificates: []lab.Certificate{{Host: "www.catalog.update.microsoft.com", Fault: lab.CertUnknown}}}, 3, []string{"certificate"}},
		"no content, at all": {lab.WorldSpec{Content: []lab.Content{{Fault: lab.ContentMissing}}}, 3, []string{"404"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			code, out, errs := shelf(t, worldOf(t, tt.spec), nil, "", "download", "KB5090213", "--for", "22631.1/amd64", "-o", dir)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, s := range tt.says {
				if !strings.Contains(errs, s) {
					t.Errorf("%q is not said:\n%s%s", s, out, errs)
				}
			}
			if strings.Count(errs, "\n") != 2 || !strings.Contains(errs, "updoc: hint: ") {
				t.Errorf("not an error and a hint:\n%s", errs)
			}
			_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() && !strings.Contains(path, ".part") {
					t.Errorf("%s is there", path)
				}
				return err
			})
		})
	}
}

// Through the proxy that the settings lead to, signed in where it asks.
func TestCatalogProxy(t *testing.T) {
	t.Parallel()
	const proxy = "proxy.fabrikam.example"
	world := func(auth ...string) lab.WorldSpec {
		return lab.WorldSpec{
			Proxies: []lab.Proxy{{Name: proxy, Port: 8080, Auth: auth, Realm: "web", Users: map[string]string{`FABRIKAM\anna`: "s3cret pass"}}},
			Scripts: []lab.Script{{Host: "wpad.fabrikam.example", Path: "/proxy.pac", Text: `function FindProxyForURL(u, h) { return shExpMatch(h, "*.windowsupdate.com") ? "PROXY ` + proxy + `:8080" : "PROXY dead.fabrikam.example:1; PROXY ` + proxy + `:8080"; }`}},
			Paths:   []lab.Path{{To: proxy, Fault: lab.PathOpen}, {To: "wpad.fabrikam.example", Fault: lab.PathOpen}, {Fault: lab.PathRefuse}},
		}
	}
	at := "http://" + proxy + ":8080"
	for name, tt := range map[string]struct {
		auth   []string
		env    map[string]string
		args   []string
		secret bool // the password comes over a descriptor
		code   int
		says   string
	}{
		"none":                    {nil, nil, nil, false, 3, "updoc trace --url"},
		"--proxy":                 {nil, nil, []string{"--proxy", at}, false, 0, ""},
		"of the environment":      {nil, map[string]string{"https_proxy": at}, nil, false, 0, ""},
		"--pac":                   {nil, nil, []string{"--pac", "http://wpad.fabrikam.example/proxy.pac"}, false, 0, ""},
		"it asks":                 {[]string{"NTLM"}, nil, []string{"--proxy", at}, false, 3, "--user"},
		"it asks, by environment": {[]string{"Basic"}, map[string]string{"https_proxy": at}, nil, false, 3, "--user"},
		"signed in, NTLM":         {[]string{"NTLM"}, nil, []string{"--proxy", at, "--user", `FABRIKAM\anna`}, true, 0, ""},
		"signed in, Digest":       {[]string{"Digest"}, nil, []string{"--proxy", at, "--user", `FABRIKAM\anna`}, true, 0, ""},
		"signed in, environment":  {[]string{"Basic"}, map[string]string{"https_proxy": `http://FABRIKAM%5Canna:s3cret%20pass@` + proxy + ":8080"}, nil, false, 0, ""},
		"another password":        {[]string{"NTLM"}, nil, []string{"--proxy", `http://FABRIKAM%5Canna:wrong@` + proxy + ":8080"}, false, 3, "--user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := worldOf(t, world(tt.auth...))
			args := tt.args
			if tt.secret {
				args = append(args, "--password-fd", strconv.Itoa(secretFD(t)))
			}
			code, out, errs := shelf(t, w, tt.env, "", append([]string{"download", "KB5090213", "--for", "22631.1/amd64", "-o", t.TempDir()}, args...)...)
			if code != tt.code || !strings.Contains(errs, tt.says) {
				t.Errorf("exit code %d, want %d with %q\n%s%s", code, tt.code, tt.says, out, errs)
			}
			if strings.Contains(out+errs, "s3cret") || strings.Contains(out+errs, "wrong") {
				t.Errorf("a password is told:\n%s%s", out, errs)
			}
		})
	}
}
