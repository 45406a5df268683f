package wusp

import (
	"strings"
	"testing"

	"updoc/internal/host"
)

// bigPage is a page of about 5 MB, which is what WSUS sends at most by default.
func bigPage() host.Exchange {
	rules := `<IsInstalled><And>` + strings.Repeat(`<b.RegSz Key="HKEY_LOCAL_MACHINE" Subkey="SOFTWARE\Fabrikam" Value="Version" Comparison="EqualTo" Data="1.0" />`, 60) + `</And></IsInstalled>`
	var b strings.Builder
	for i := 0; b.Len() < 5<<20; i++ {
		b.WriteString(info(i+1, "Software", "Evaluate", true, rules))
	}
	return page(b.String(), true)
}

func BenchmarkReadUpdates(b *testing.B) {
	ex := bigPage()
	b.SetBytes(int64(len(ex.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if p, err := ReadUpdates(ex); err != nil || len(p.New) < 100 {
			b.Fatal(len(p.New), err)
		}
	}
}

func BenchmarkExpand(b *testing.B) {
	plain := bigPage().Body
	packed := xpressed(plain)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if out, err := expand(packed, maxAnswer); err != nil || len(out) != len(plain) {
			b.Fatal(len(out), err)
		}
	}
}

func BenchmarkReadEnvironment(b *testing.B) {
	ex := answer(200, string(signed(cabinet("environment.cab", cabinet("environment.xml", []byte(environmentXML))))), "Content-Type", "application/octet-stream")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadEnvironment(ex); err != nil {
			b.Fatal(err)
		}
	}
}
