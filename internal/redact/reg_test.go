package redact

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

func regLines(name, typ string, data []byte) string {
	parts := make([]string, len(data))
	for i, c := range data {
		parts[i] = hex.EncodeToString([]byte{c})
	}
	line := `"` + name + `"=` + typ + strings.Join(parts, ",")
	for i := 76; i < len(line); i += 80 { // break behind a comma, as regedit does
		for line[i-1] != ',' {
			i--
		}
		line = line[:i] + "\\\r\n  " + line[i:]
		i += 5
	}
	return line + "\r\n"
}

func regBytes(t *testing.T, text string) []byte {
	t.Helper()
	_, data, ok := strings.Cut(text, ":")
	if !ok {
		t.Fatalf("no value in %q", text)
	}
	data = strings.NewReplacer(",", "", "\\", "", "\r", "", "\n", "", " ", "").Replace(data)
	raw, err := hex.DecodeString(data)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return raw
}

func proxyBlock(head []byte, texts ...string) []byte {
	b := bytes.Clone(head)
	for _, s := range texts {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

func TestRegistryProxySettings(t *testing.T) {
	r := &Redactor{Key: []byte("k")}
	host := strings.TrimSuffix(strings.TrimPrefix(r.String("http://PRX01.corp.example.com/"), "http://"), "/")
	script := r.String("http://wsus01/proxy.pac")
	head := []byte{0x18, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0}
	for _, tt := range []struct {
		name, value string
		in, want    []byte
	}{
		{
			"winhttp", "WinHttpSettings",
			proxyBlock(head, "http=PRX01.corp.example.com:8080", "<local>;*.corp.example.com"),
			proxyBlock(head, "http="+host+":8080", "<local>;*."+host[strings.Index(host, ".")+1:]),
		},
		{
			"wininet", "DefaultConnectionSettings",
			append(proxyBlock([]byte{0x46, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0}, "PRX01.corp.example.com:8080", "", "http://wsus01/proxy.pac"), make([]byte, 32)...),
			append(proxyBlock([]byte{0x46, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0}, strings.ToUpper(host[:1])+host[1:]+":8080", "", script), make([]byte, 32)...),
		},
		{"direct", "WinHttpSettings", proxyBlock([]byte{0x18, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, "", ""), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := regLines(tt.value, "hex:", tt.in)
			out := r.String(in)
			if tt.want == nil {
				if out != in {
					t.Errorf("changed:\n%s\n%s", in, out)
				}
				return
			}
			if got := regBytes(t, out); !bytes.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			for line := range strings.SplitSeq(out, "\r\n") {
				if len(line) > 80 {
					t.Errorf("line of %d columns: %s", len(line), line)
				}
			}
			if again := r.String(out); again != out {
				t.Errorf("twice:\n%s\n%s", out, again)
			}
			// reg.exe prints the same bytes in one word.
			query := "    " + tt.value + "    REG_BINARY    " + strings.ToUpper(hex.EncodeToString(tt.in))
			if got, want := r.String(query), "    "+tt.value+"    REG_BINARY    "+strings.ToUpper(hex.EncodeToString(tt.want)); got != want {
				t.Errorf("reg query:\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

func TestRegistryValues(t *testing.T) {
	r := &Redactor{Key: []byte("k")}
	wide := func(s string) []byte { return utf16LE.encode(nil, []byte(s)) }
	sid := []byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0xE9, 3, 0, 0}
	for _, tt := range []struct {
		name, in string
		gone     []byte // must not be in the value afterwards
		kept     []byte // must be
	}{
		{"expand", regLines("ProfileImagePath", "hex(2):", wide("C:\\Users\\anna\x00")), wide("anna"), wide(`C:\Users\`)},
		{"multi", regLines("PendingFileRenameOperations", "hex(7):", wide("\\??\\C:\\Users\\anna\\x.tmp\x00\x00\x00")), wide("anna"), wide(`x.tmp`)},
		{"by name", regLines("ProxyServer", "hex(1):", wide("prx01:8080\x00")), wide("prx01"), wide(":8080\x00")},
		{"sid", regLines("Sid", "hex:", sid), sid[12:24], sid[24:]},
		{"secret", regLines("ServicePassword", "hex:", wide("geheim")), wide("geheim"), []byte(Mark)},
		{"product id", regLines("DigitalProductId4", "hex:", []byte("XXXX00330-12345-67890-AAOEM")), []byte("00330"), []byte(Mark)},
		{"unknown with a name", regLines("Blob", "hex:", append([]byte{1, 2, 3}, wide("http://srv01.corp.example.com/x")...)), wide("srv01"), []byte(Mark)},
		{"gateway", regLines("DefaultGatewayMac", "hex:", []byte{0x3C, 0x52, 0x82, 1, 2, 3}), []byte{0x3C, 0x52}, []byte{0x02, 0xEC}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, text := range []string{tt.in, "{\"reg\":\"" + strings.NewReplacer(`\`, `\\`, "\r\n", `\r\n`, `"`, `\"`).Replace(tt.in) + "\"}"} {
				out := r.String(text)
				plain := out
				if text[0] == '{' {
					b, _ := unescape([]byte(strings.TrimSuffix(strings.TrimPrefix(out, `{"reg":"`), `"}`)))
					plain = string(b)
				}
				got := regBytes(t, plain)
				if bytes.Contains(got, tt.gone) || !bytes.Contains(got, tt.kept) {
					t.Errorf("%q became %q", text, got)
				}
				if again := r.String(out); again != out {
					t.Errorf("twice:\n%s\n%s", out, again)
				}
			}
		})
	}
}

func TestRegistryKept(t *testing.T) {
	for _, in := range []string{
		regLines("Blob", "hex:", bytes.Repeat([]byte{0, 1, 2, 0xFE}, 100)),
		regLines("Path", "hex(2):", utf16LE.encode(nil, []byte("%SystemRoot%\\System32\\x.dll\x00"))),
		"\"Cut\"=hex:00,01,\\\r\nplain text follows\r\n",
		"\"Cut\"=hex:00,01,\\\r\n",
		"\"Cut\"=hex:00,01,\\",
		"@=hex(b):01,02\r\n",
		"\"x\"=hex(100000000000000):01\r\n",
	} {
		var r Redactor
		if got := r.String(in); got != in {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestRegistryTooLong(t *testing.T) {
	in := "\"Blob\"=hex:" + strings.Repeat("41,41,41,41,41,41,41,41,41,41,\\\r\n  ", 40000) + "41\r\n\"Next\"=dword:00000001\r\n"
	var r Redactor
	got := r.String(in)
	if want := "\"Blob\"=hex:" + hexMark + "\r\n\"Next\"=dword:00000001\r\n"; got != want {
		t.Errorf("got %d bytes: %.100q", len(got), got)
	}
}
