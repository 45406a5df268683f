package redact

import (
	"bytes"
	"io"
	"testing"
)

// servicingLog makes a text as CBS writes it; one line in 200 holds something to redact.
func servicingLog(size int) []byte {
	lines := []string{
		"2031-02-03 04:05:06, Info                  CBS    Appl: Evaluating package applicability for package Fabrikam-Windows-Wifi-Client-FOD-Package~31bf3856ad364e35~amd64~~10.0.22621.1, applicable state: Superseded\r\n",
		"2031-02-03 04:05:06, Info                  CSI    000002be [SR] Cannot repair member file [l:107]'Sample\\Assets\\contrast-standard\\theme-light\\sample.command.svg' of UserExperience-Sample, version 10.0.22621.3810, arch amd64, nonSxS, pkt {l:8 b:31bf3856ad364e35}\r\n",
		"2031-02-03 04:05:07, Info                  CSI    00000002@2031/2/3:03:05:07.276 WcpInitialize: wcp.dll version 10.0.22621.1626 (WinBuild.160101.0800)\r\n",
		"2031-02-03 04:05:07, Error                 CBS    Failed to resolve execution package: Package_for_KB5099999~31bf3856ad364e35~amd64~~22621.372.1.1 [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n",
		"2031-02-03 04:05:08, Info                  DISM   DISM Package Manager: PID=4028 TID=11996 Processing the top level command token(cleanup-image). - CPackageManagerCLIHandler::Private_ValidateCmdLine\r\n",
		"2031/02/03 04:05:08.1234567 4321  8765  Agent           Added update 11111111-2222-3333-4444-555555555555.200 to search result\r\n",
		"2031-02-03 04:05:09, Info                  CBS    Loaded Servicing Stack v10.0.22621.1344 with Core: C:\\Windows\\winsxs\\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.22621.1344_none_0123456789abcdef\\cbscore.dll\r\n",
	}
	secret := "2031/02/03 04:05:08.1234567 4321  8765  WebServices     Proxy List: 'http://anna:geheim@PRX01.corp.example.com:8080', Bypass List: '*.corp.example.com' 10.20.30.40\r\n"
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		if i%200 == 199 {
			b.WriteString(secret)
			continue
		}
		b.WriteString(lines[i%len(lines)])
	}
	return b.Bytes()
}

func BenchmarkReader(b *testing.B) {
	text := servicingLog(4 << 20)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var r Redactor
	for b.Loop() {
		if _, err := io.Copy(io.Discard, r.Reader(bytes.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReaderLearned(b *testing.B) {
	text := servicingLog(4 << 20)
	b.SetBytes(int64(len(text)))
	var r Redactor
	r.Learn(Computer, "PC-ANNA01")
	r.Learn(User, `FABRIKAM\anna.beispiel`)
	r.Learn(Domain, "corp.example.com")
	for b.Loop() {
		if _, err := io.Copy(io.Discard, r.Reader(bytes.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReaderUTF16(b *testing.B) {
	text := utf16LE.encode([]byte("\xFF\xFE"), servicingLog(4<<20))
	b.SetBytes(int64(len(text)))
	var r Redactor
	for b.Loop() {
		if _, err := io.Copy(io.Discard, r.Reader(bytes.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLongLine(b *testing.B) {
	text := bytes.ReplaceAll(servicingLog(8<<20), []byte("\r\n"), []byte(`","`))
	b.SetBytes(int64(len(text)))
	var r Redactor
	for b.Loop() {
		if _, err := io.Copy(io.Discard, r.Reader(bytes.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}
