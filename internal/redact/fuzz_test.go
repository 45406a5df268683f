package redact

import (
	"bytes"
	"testing"
	"testing/iotest"
)

// FuzzRedact wants of any input: no panic, the same in any chunks, nothing more to do the second time, and that a
// secret on a line of its own behind it does not survive.
func FuzzRedact(f *testing.F) {
	f.Add([]byte(document))
	f.Add(utf16LE.encode([]byte("\xFF\xFE"), []byte(document[3:])))
	for _, plants := range [][]string{secretPlants, namePlants, hostPlants} {
		for _, p := range plants {
			f.Add([]byte(p))
		}
	}
	for _, s := range []string{
		"\"a\"=hex(7):41,00,\\\r\n 42,00\r\n", "10.20.30.40 1.2.3.4 ~1.2.3.4", "a@b.de:%40c.de", `\\\\a\b\\c\\d\\?\UNC\x`, "C:\\Users\\", "S-1-5-21-1-2-3",
		"if (host == \"A\") return \"PROXY b:1\"", "net use \\\\a\\b c /user:d", "&lt;Password&gt;x&lt;/Password&gt;", `{"a":"\u00fc\ud83d\ude00\n\\\"x"}`, "http://:@:@/", "::::", "t=Ew",
		"SerialNumber\nX1234\n", "Cookie: a=b\\r\\nX: y", "-Password \"x", "\x00a\x00b\x00c\x00d\x00", "Password=\"a\"\"b\"", "000\\Users\\\\", "UsernAme",
		"Password: a b error 0x80246007 x", "Serial Number: A1 shows (0x800f0922)", "Cookie: a=b 0x8024401B;c", "password is = 'x y' for user jdoe", "pwd war: a=b",
		"xoxb-1234567890-a.AKIAQ7RMBLTWFRK3WXYZ", "glpat-aBcDeFgHiJkLmNoP-.x", "target group = a b, c", "as user \"a b\" 0x80070005",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			t.Skip()
		}
		r := &Redactor{Key: []byte("k")}
		r.Learn(User, "anna")
		r.Learn(Domain, "corp.example.com")
		once := r.Bytes(data)
		// Without a byte order mark UTF-16 is recognised by counting, and garbled text can lie on either side of it.
		before, _ := sniff(data[:min(len(data), sniffLen)])
		after, _ := sniff(once[:min(len(once), sniffLen)])
		if before != after {
			return
		}
		if again := r.Bytes(once); !bytes.Equal(again, once) {
			t.Fatalf("%q\nonce  %q\ntwice %q", data, once, again)
		}
		other := &Redactor{Key: []byte("k")}
		other.known.Store(r.known.Load())
		if got := readAll(t, other, iotest.HalfReader(bytes.NewReader(data))); !bytes.Equal(got, once) {
			t.Fatalf("%q\nwhole  %q\nchunks %q", data, once, got)
		}
		const secret = "Zq7Geheim9x"
		for _, c := range data {
			if c != '\n' && (c < ' ' || c > '~') {
				return
			}
		}
		if bytes.Contains(data, []byte(secret)) {
			return
		}
		for _, plant := range []string{
			"\r\npassword=" + secret + "\r\n", "\r\nconnect http://anna:" + secret + "@prx01:80/ now\r\n", "\r\nC:\\Users\\" + secret + "\\x\r\n",
			"\r\nHost Name:     " + secret + "\r\n", "\r\nat " + secret + ".fabrikam.example\r\n",
		} {
			if out := r.Bytes(append(bytes.Clone(data), plant...)); bytes.Contains(out, []byte(secret)) {
				t.Fatalf("%q survived behind %q: %q", plant, data, out)
			}
		}
	})
}
