package upgrade

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	sum1   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sum256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func productRow(name, language, edition, arch, address, sums string) string {
	return "<File id=\"x\"><FileName>" + name + "</FileName><LanguageCode>" + language + "</LanguageCode><Language>Fab</Language><Edition>" + edition +
		"</Edition><Architecture>" + arch + "</Architecture><Size>4000000000</Size>" + sums + "<FilePath>" + address + "</FilePath><Key/></File>"
}

const esd = "http://dl.delivery.mp.microsoft.com/filestreamingservice/files/11111111-2222-4333-8444-555555555555/"

func catalogueXML() string {
	file := func(build, language, arch string, editions ...string) (out string) {
		name := build + ".240101-0000.fab_release_clientconsumer_ret_" + arch + "fre_" + language + ".esd"
		for _, e := range editions {
			out += productRow(name, language, e, arch, esd+name, "<Sha256>"+sum256+"</Sha256>")
		}
		return out
	}
	return `<?xml version="1.0" encoding="utf-8"?><MCT><Catalogs><Catalog version="3.0"><PublishedMedia id="11" release="FAB">
<EULAS><EULA><LanguageCode>de-de</LanguageCode></EULA></EULAS><Files>` +
		file("22631.2861", "de-de", "x64", "Core", "Professional") + file("22631.2428", "de-de", "x64", "Core", "Professional") +
		file("22631.2861", "fr-fr", "x64", "Core", "Professional") + file("22631.2861", "de-de", "ARM64", "Core", "Professional") + file("26100.1742", "de-de", "x64", "Core", "Professional") +
		productRow("evil.esd", "de-de", "Professional", "x64", "http://dl.delivery.mp.microsoft.com.fabrikam.example/evil.esd", "<Sha1>"+sum1+"</Sha1>") +
		productRow("user.esd", "de-de", "Professional", "x64", "http://a@dl.delivery.mp.microsoft.com/user.esd", "<Sha1>"+sum1+"</Sha1>") +
		productRow("../up.esd", "de-de", "Professional", "x64", esd+"up.esd", "<Sha1>"+sum1+"</Sha1>") +
		productRow("nosum.esd", "de-de", "Professional", "x64", esd+"nosum.esd", "<Sha1>abc</Sha1>") +
		`</Files></PublishedMedia></Catalog></Catalogs></MCT>`
}

func TestParseProducts(t *testing.T) {
	for name, doc := range map[string][]byte{"UTF-8": []byte(catalogueXML()), "UTF-16": utf16le(catalogueXML())} {
		list, err := ParseProducts(doc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(list) != 5 {
			t.Fatalf("%s: %d files: %+v", name, len(list), list)
		}
		first := list[0]
		if first.Version != (Version{22631, 2861}) || first.Arch != "amd64" || first.Language != "de-de" || first.SHA256 != sum256 || first.Size != 4000000000 ||
			!slices.Equal(first.Editions, []string{"Core", "Professional"}) || !strings.HasPrefix(first.URL, esd) {
			t.Errorf("%s: %+v", name, first)
		}
	}
	old := "<PublishedMedia><Files>" + productRow("17763.1.fab.esd", "en-us", "Core", "x86", esd+"17763.1.fab.esd", "<Sha1>"+strings.ToUpper(sum1)+"</Sha1>") + "</Files></PublishedMedia>"
	list, err := ParseProducts([]byte(old))
	if err != nil || len(list) != 1 || list[0].SHA1 != sum1 || list[0].Arch != "386" || list[0].Version.Build != 17763 {
		t.Errorf("the old layout: %+v, %v", list, err)
	}
	for name, doc := range map[string]string{"nothing": "", "another document": "<html/>", "torn": catalogueXML()[:900]} {
		if _, err := ParseProducts([]byte(doc)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChoose(t *testing.T) {
	list, err := ParseProducts([]byte(catalogueXML()))
	if err != nil {
		t.Fatal(err)
	}
	m := Machine{Edition: "Professional", Arch: "amd64", Language: "de-DE", Version: Version{22631, 3007}}
	p, err := Choose(list, m)
	if err != nil || p.Version != (Version{22631, 2861}) || p.Arch != "amd64" || p.Language != "de-de" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, edit := range []func(*Machine){
		func(m *Machine) { m.Edition = "Enterprise" },
		func(m *Machine) { m.Edition = "EnterpriseS" },
		func(m *Machine) { m.Edition = "ServerStandard" },
		func(m *Machine) { m.Edition = "IoTEnterpriseS" },
		func(m *Machine) { m.Edition = "EnterpriseEval" },
		func(m *Machine) { m.Language = "ja-JP" },
		func(m *Machine) { m.Arch = "386" },
		func(m *Machine) { m.Version = Version{19045, 1} },
		func(m *Machine) { m.Edition = "" },
	} {
		other := m
		edit(&other)
		if p, err := Choose(list, other); !errors.Is(err, ErrNotCovered) {
			t.Errorf("%+v: %+v, %v", other, p, err)
		}
	}
}

func FuzzParseProducts(f *testing.F) {
	f.Add([]byte(catalogueXML()))
	f.Add(utf16le(catalogueXML()))
	f.Add([]byte("<PublishedMedia><File><Size>-1</Size></File>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, err := ParseProducts(doc)
		if err != nil && list != nil {
			t.Error("files and an error")
		}
		for _, p := range list {
			if !microsofts(p.URL) || !plainName(p.File) || p.SHA1 == "" && p.SHA256 == "" || p.Size <= 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func BenchmarkParseProducts(b *testing.B) {
	var doc strings.Builder
	doc.WriteString("<PublishedMedia><Files>")
	for i := range 1000 {
		name := fmt.Sprintf("22631.%d.fab.esd", i)
		doc.WriteString(productRow(name, "de-de", "Core", "x64", esd+name, "<Sha1>"+sum1+"</Sha1>"))
	}
	doc.WriteString("</Files></PublishedMedia>")
	b.SetBytes(int64(doc.Len()))
	for b.Loop() {
		if _, err := ParseProducts([]byte(doc.String())); err != nil {
			b.Fatal(err)
		}
	}
}
