package catalog

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/lab"
)

func identify(b []byte, name string) (*Package, error) {
	return Identify(bytes.NewReader(b), int64(len(b)), name)
}

// update is a cumulative update of nobody's.
func update() lab.UpdatePackage {
	return lab.UpdatePackage{
		KB: "KB5999123", Version: "22621.3374.1.7", Arch: "amd64", Title: "Package for Windows (KB5999123)",
		Parents: []string{"10.0.22621.1", "10.0.22621.1", "6.3.9600.1"},
	}
}

func must1[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestIdentify(t *testing.T) {
	u := update()
	publisher := must1[*lab.Publisher](t)(lab.NewPublisher("Microsoft Corporation", "Microsoft Windows", time.Now()))
	bytesOf := must1[[]byte](t)
	whole := &Package{
		Kind: KindCAB, Identity: "Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3374.1.7", Version: "22621.3374.1.7", Arch: "amd64",
		KB: "KB5999123", Title: "Package for Windows (KB5999123)", Release: "Security Update", Restart: "possible", For: []string{"22621", "9600"}, Build: "22621.3374",
	}
	msu := *whole
	msu.Kind = KindMSU
	stack := u
	stack.Name, stack.Version, stack.KB = "Package_for_ServicingStack_3374", "22621.3374.1.0", "KB5999124"
	large := u
	large.Content = make([]byte, maxInner)
	outer := msu
	outer.Title, outer.Restart, outer.For = "", "", nil
	language := u
	language.Name, language.Language, language.Parents, language.Version = "Package_for_KB5999125", "de-DE", nil, "10.0.1.0"
	for _, c := range []struct {
		name, file string
		data       []byte
		want       *Package
	}{
		{"cabinet", "windows10.0-kb5999123-x64.cab", bytesOf(u.Cabinet(nil)), whole},
		{"signed cabinet", "x.cab", bytesOf(u.Cabinet(publisher)), whole},
		{"msu", "x.msu", bytesOf(u.MSU(nil)), &msu},
		{"signed msu", `C:\kit\x.msu`, bytesOf(u.MSU(publisher)), &msu},
		{"large msu", "x.msu", bytesOf(large.MSU(nil)), &outer},
		{
			"servicing stack", "x.cab", bytesOf(stack.Cabinet(nil)),
			&Package{Kind: KindCAB, Identity: stack.Identity(), Version: stack.Version, Arch: "amd64", KB: "KB5999124", Title: whole.Title, Release: whole.Release, Restart: "possible", For: whole.For, Stack: true},
		},
		{
			"language", "x.cab", bytesOf(language.Cabinet(nil)),
			&Package{Kind: KindCAB, Identity: language.Identity(), Version: "10.0.1.0", Arch: "amd64", Language: "de-de", KB: "KB5999123", Title: whole.Title, Release: whole.Release, Restart: "possible"},
		},
		{"image", "windows11.0-kb5999126-x64_0123456789abcdef0123456789abcdef01234567.msu", append([]byte("MSWIM\x00\x00\x00"), make([]byte, 300)...), &Package{Kind: KindWIM, Arch: "amd64", KB: "KB5999126"}},
		{"program", "windows-kb890830-x64-v5.130.exe", []byte("MZ......"), &Package{Kind: KindEXE, Arch: "amd64", KB: "KB890830"}},
		{"servicing stack by name", "SSU-26100.1738-x64.cab", bytesOf(u.Cabinet(nil)), func() *Package { p := *whole; p.Stack = true; return &p }()},
	} {
		got, err := identify(c.data, c.file)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestIdentifyRefused(t *testing.T) {
	u := update()
	mum := u.Manifest()
	changed := func(old, is string) []byte {
		return lab.Cabinet(lab.Packed{Name: "update.mum", Data: bytes.Replace(mum, []byte(old), []byte(is), 1)})
	}
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"text":                []byte("hello, I am no package"),
		"another cabinet":     lab.Cabinet(lab.Packed{Name: "log.txt", Data: []byte("x")}),
		"an answer alone":     lab.Cabinet(lab.Packed{Name: "a.xml", Data: []byte("<unattend/>")}),
		"no packages":         lab.Cabinet(lab.Packed{Name: "a.xml", Data: []byte("<unattend/>")}, lab.Packed{Name: "a.cab", Data: []byte("MSCF")}),
		"no XML":              lab.Cabinet(lab.Packed{Name: "update.mum", Data: []byte("MZ")}),
		"no identity":         changed("name=\"Package_for_RollupFix\"", "name=\"\""),
		"a way out":           changed("Package_for_RollupFix", `..\..\Windows`),
		"a long name":         changed("Package_for_RollupFix", strings.Repeat("x", 300)),
		"a tilde in its name": changed("Package_for_RollupFix", "a~b"),
	} {
		if p, err := identify(b, "x.cab"); !errors.Is(err, ErrPackage) && !strings.Contains(name, "no packages") || err == nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestMisfit(t *testing.T) {
	lcu := Package{Arch: "amd64", For: []string{"22621"}, Build: "22621.3374"}
	for _, c := range []struct {
		name string
		p    Package
		t    Target
		want string
	}{
		{"fits", lcu, Target{Build: "22621.3000", Arch: "amd64"}, ""},
		{"fits the sister release", lcu, Target{Build: "22631.3000", Arch: "amd64"}, ""},
		{"another architecture", lcu, Target{Build: "22621.3000", Arch: "arm64"}, "package.misfit.architecture"},
		{"another release", lcu, Target{Build: "19045.3000", Arch: "amd64"}, "package.misfit.build"},
		{"older than what is there", lcu, Target{Build: "22631.3500", Arch: "amd64"}, "package.misfit.not-newer"},
		{"there already", lcu, Target{Build: "22631.3374", Arch: "amd64"}, "package.misfit.not-newer"},
		{"revision unknown", lcu, Target{Build: "22631", Arch: "amd64"}, ""},
		{"machine unknown", lcu, Target{}, ""},
		{"another language", Package{Language: "de-de"}, Target{Build: "22631.1", Language: "fr-fr"}, "package.misfit.language"},
		{"its language", Package{Language: "de-de"}, Target{Build: "22631.1", Language: "de-DE"}, ""},
		{"says nothing", Package{Kind: KindWIM}, Target{Build: "26100.1", Arch: "amd64"}, ""},
	} {
		got, bad := c.p.Misfit(c.t)
		if got.ID != c.want || bad != (c.want != "") {
			t.Errorf("%s: %v, want %q", c.name, got, c.want)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	u := update()
	for _, make := range []func(*lab.Publisher) ([]byte, error){u.Cabinet, u.MSU} {
		b, err := make(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("MSWIM\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := identify(b, "kb5999123-x64.cab")
		if err == nil && (strings.ContainsAny(p.Identity, "\\/ \"\r\n") || len(p.Title) > 1000) {
			t.Errorf("%+v", p)
		}
	})
}
