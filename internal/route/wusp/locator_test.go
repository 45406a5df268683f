package wusp

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

// cabinet makes a cabinet of one file, stored, without checksums ([MS-CAB] 2).
func cabinet(name string, data []byte) []byte {
	le := binary.LittleEndian
	const at = 36 + 8
	entry := 16 + len(name) + 1
	b := make([]byte, at+entry)
	copy(b, "MSCF")
	le.PutUint32(b[16:], at)
	b[24], b[25] = 3, 1
	le.PutUint16(b[26:], 1)
	le.PutUint16(b[28:], 1)
	le.PutUint32(b[36:], uint32(at+entry))
	le.PutUint16(b[40:], uint16((len(data)+32767)/32768))
	le.PutUint32(b[at:], uint32(len(data)))
	copy(b[at+16:], name)
	for i := 0; i < len(data); i += 32768 {
		block := data[i:min(i+32768, len(data))]
		b = le.AppendUint32(b, 0)
		b = le.AppendUint16(b, uint16(len(block)))
		b = le.AppendUint16(b, uint16(len(block)))
		b = append(b, block...)
	}
	le.PutUint32(b[8:], uint32(len(b)))
	return b
}

const environmentXML = `<?xml version="1.0" encoding="utf-8"?><ServiceEnvironment environmentId="Test" revision="3" xmlns:x="urn:none"><WUClientData><Protocol version="4" clientServerUrl="https://fe7.update.fabrikam.example/v6/ClientWebService/client.asmx"/><Reporting> https://stats.update.fabrikam.example/ReportingWebService/ReportingWebService.asmx </Reporting><Note>no address</Note></WUClientData></ServiceEnvironment>`

// signed puts what begins like a signature behind a cabinet.
func signed(b []byte) []byte { return append(b, 0x30, 0x82, 0x01, 0x00, 1, 2, 3) }

func TestLocatorRequest(t *testing.T) {
	r := Locator{}.Request()
	if want := "https://slscr.update.microsoft.com/SLS/%7B9482F4B4-E343-43B6-B170-9A65BC822C77%7D/x64/10.0.26200.8037/0?CH=500&L=en-US&P=&PT=0x30&WUA=1507.2601.30012.0"; r.URL != want || !r.Pinned || r.Method != "GET" {
		t.Errorf("%s %s\nwant %s", r.Method, r.URL, want)
	}
	r = Locator{Base: "http://127.0.0.1:99/", Service: ServiceStore, Arch: "arm64", Build: "10.0.19045.2728", Language: "ja-JP;en-US", Product: 0x65, Agent: "10.0.19041.2546", Maker: "A & B", Model: "X/1", ETag: `"abc_1"`}.Request()
	if want := "http://127.0.0.1:99/SLS/%7B855E8A7C-ECB4-4CA3-B045-1DFA50104289%7D/arm64/10.0.19045.2728/0?CH=500&L=ja-JP;en-US&P=&PT=0x65&WUA=10.0.19041.2546&MK=A+%26+B&MD=X%2F1"; r.URL != want || r.Pinned {
		t.Errorf("%s\nwant %s", r.URL, want)
	}
	if mustHost(t, r.URL) != "127.0.0.1:99" {
		t.Errorf("host of %s", r.URL)
	}
	want := []host.Field{{Name: "Connection", Value: "Keep-Alive"}, {Name: "Accept", Value: "*/*"}, {Name: "If-None-Match", Value: `"abc_1"`}, {Name: "User-Agent", Value: "Windows-Update-Agent/10.0.19041.2546 Client-Protocol/2.90"}}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Error(diff)
	}
}

func TestReadEnvironment(t *testing.T) {
	body := signed(cabinet("environment.cab", cabinet("environment.xml", []byte(environmentXML))))
	got, err := ReadEnvironment(answer(200, string(body), "Content-Type", "application/octet-stream", "ETag", `"Zm9v_43199"`))
	if err != nil {
		t.Fatal(err)
	}
	want := Environment{
		ETag: `"Zm9v_43199"`, Signed: true, Files: []string{"environment.cab", "environment.xml"},
		ClientURL: "https://fe7.update.fabrikam.example/v6/ClientWebService/client.asmx",
		Endpoints: []Endpoint{
			{"ServiceEnvironment/WUClientData/Protocol@clientServerUrl", "https://fe7.update.fabrikam.example/v6/ClientWebService/client.asmx"},
			{"ServiceEnvironment/WUClientData/Reporting", "https://stats.update.fabrikam.example/ReportingWebService/ReportingWebService.asmx"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := ReadEnvironment(answer(200, string(cabinet("Environment.XML", []byte(environmentXML))))); err != nil || got.ClientURL == "" || got.Signed {
		t.Errorf("not nested: %+v, %v", got, err)
	}
	if got, err := ReadEnvironment(answer(304, "", "ETag", `"Zm9v_43199"`)); err != nil || !got.Unchanged || got.ETag == "" {
		t.Errorf("unchanged: %+v, %v", got, err)
	}
}

func TestReadEnvironmentHostile(t *testing.T) {
	inner := cabinet("environment.xml", []byte(environmentXML))
	body := string(signed(cabinet("environment.cab", inner)))
	octets := []string{"Content-Type", "application/octet-stream"}
	tests := []struct {
		name  string
		ex    host.Exchange
		hop   host.HopKind
		fault host.Fault
		seen  string
	}{
		{"TLS", broken(host.HopTLS, host.FaultIssuer), host.HopTLS, host.FaultIssuer, "seen"},
		{"portal", answer(200, "<html>", "Content-Type", "text/html"), host.HopHTTP, host.FaultPortal, "a web page instead of a cabinet"},
		{"page of a firewall", answer(403, "<html>", "Content-Type", "text/html"), host.HopHTTP, host.FaultStatus, "HTTP 403"},
		{"redirect", answer(307, "", "Location", "http://x/"), host.HopHTTP, host.FaultRedirect, "HTTP 307"},
		{"text", answer(200, "hello", octets...), host.HopService, host.FaultAnswer, "no cabinet"},
		{"gzip", answer(200, body, "Content-Encoding", "gzip", "Content-Type", ""), host.HopService, host.FaultAnswer, "Content-Encoding: gzip, which nobody asked for"},
		{"cut", answer(200, body[:len(inner)], octets...), host.HopService, host.FaultAnswer, ""},
		{"only a signature", answer(200, "MSCF", octets...), host.HopService, host.FaultAnswer, ""},
		{"other files", answer(200, string(cabinet("readme.txt", []byte("x"))), octets...), host.HopService, host.FaultAnswer, "a cabinet without the address of a service"},
		{"no addresses", answer(200, string(cabinet("environment.xml", []byte("<a/>"))), octets...), host.HopService, host.FaultAnswer, "a cabinet without the address of a service"},
		{"no XML", answer(200, string(cabinet("environment.xml", []byte("<a"))), octets...), host.HopService, host.FaultAnswer, "the envelope ends in the middle"},
		{"too deep", answer(200, string(cabinet("a.cab", cabinet("b.cab", cabinet("c.cab", inner)))), octets...), host.HopService, host.FaultAnswer, "a cabinet too deep within another"},
		{"too large", answer(200, string(cabinet("environment.xml", make([]byte, maxLocator+1))), octets...), host.HopService, host.FaultAnswer, "environment.xml of 1048577 bytes: beyond what an update service sends"},
	}
	for _, tt := range tests {
		_, err := ReadEnvironment(tt.ex)
		e := problem(t, err)
		if e.Hop != tt.hop || e.Fault != tt.fault || tt.seen != "" && e.Seen != tt.seen || e.Seen == "" {
			t.Errorf("%s: %v", tt.name, e)
		}
	}
	giant := answer(200, body, octets...)
	giant.Length = 9 << 30
	if _, err := ReadEnvironment(giant); !strings.Contains(problem(t, err).Seen, "more than was kept") {
		t.Error(err)
	}
}
