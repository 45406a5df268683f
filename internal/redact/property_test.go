package redact

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// plants are contexts in which a secret or a name may stand; % is its place.
var (
	secretPlants = []string{
		"http://anna:%@prx01.corp.example.com:8080/", "password=%", "Password: %", "pwd=%;", `"password":"%"`, "<Password>%</Password>",
		"Authorization: Bearer %", "Cookie: a=%", "--proxy-user anna:%", "net use Z: \\\\srv01\\x % /user:anna", "Kennwort = %",
		"https://x.example/?access_token=%&a=1", "client_secret=%", "    DefaultPassword    REG_SZ    %", "/pass:%", "-Password %",
		"<Password><Value>%</Value></Password>", `{"out":"Passwort: %\r\nweiter"}`,
	}
	namePlants = []string{
		`C:\Users\%\AppData`, `C:\\Users\\%\\x`, "/home/%/x", "USERNAME=%", `CORP\%$`, "User name                    %", "%@corp.example.com",
		`\\srv01\profiles$\%\x`, "<Data Name='TargetUserName'>%</Data>", `{"out":"Benutzername: %\r\n"}`,
	}
	hostPlants = []string{
		"http://%/", "http://%:8530/x", `\\%\share\x`, "COMPUTERNAME=%", "Host Name:        %", "PROXY %:8080", `"serverName":"%"`,
		"WUServer    REG_SZ    http://%:8530", "    Proxy Server(s) :  %:8080", `if (host == "%") return`, `\\\\%\\share`, `{"out":"Host Name: %\r\n"}`,
	}
)

// anyWord draws something that no rule keeps: letters and digits with a consonant in front, unlike any word of the lists.
func anyWord(t *rapid.T, label string) string {
	return "zq" + rapid.StringMatching(`[A-Za-z][A-Za-z0-9]{2,8}[A-Z0-9]`).Draw(t, label)
}

func TestNoSecretSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := anyWord(t, "secret")
		plant := rapid.SampledFrom(slices.Concat(secretPlants, namePlants, hostPlants)).Draw(t, "plant")
		before := rapid.SampledFrom([]string{"", "2031-02-03 04:05:06, Info  CBS  ok\r\n", "Fehler 0x8024401B, z.B.\r\n", "x\n\n"}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", "\r\n", "\r\nend 10.0.22621.1626\r\n"}).Draw(t, "after")
		in := before + strings.ReplaceAll(plant, "%", secret) + after
		r := &Redactor{}
		out := r.String(in)
		if strings.Contains(strings.ToLower(out), strings.ToLower(secret)) {
			t.Fatalf("%q survived: %q", secret, out)
		}
		if !strings.HasPrefix(out, before) || !strings.HasSuffix(out, after) {
			t.Fatalf("more than the secret is gone: %q became %q", in, out)
		}
		if again := r.String(out); again != out {
			t.Fatalf("twice:\n%q\n%q", out, again)
		}
		// Another Redactor, with another key, leaves it alone too.
		if again := (&Redactor{}).String(out); again != out {
			t.Fatalf("another one:\n%q\n%q", out, again)
		}
	})
}

// hostName draws a host name in one of several letter cases.
func hostName(t *rapid.T, label string) string {
	labels := rapid.SliceOfN(rapid.StringMatching(`zq[a-z][a-z0-9]{1,6}[0-9]`), 1, 4).Draw(t, label)
	return strings.Join(append(labels, rapid.SampledFrom([]string{"com", "local", "example", "co.uk", "lan"}).Draw(t, "suffix")), ".")
}

func recase(t *rapid.T, s, label string) string {
	switch rapid.IntRange(0, 3).Draw(t, label) {
	case 0:
		return strings.ToLower(s)
	case 1:
		return strings.ToUpper(s)
	case 2:
		return strings.ToUpper(s[:1]) + s[1:]
	}
	b := []byte(s)
	for i := range b {
		if rapid.Bool().Draw(t, "up") {
			b[i] = upper(b[i])
		}
	}
	return string(b)
}

func TestHostsKeepShapeCaseAndEquality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Redactor{}
		get := func(host string) string {
			return strings.TrimSuffix(strings.TrimPrefix(r.String("http://"+host+"/"), "http://"), "/")
		}
		x := hostName(t, "x")
		y := x
		if rapid.Bool().Draw(t, "other") {
			y = hostName(t, "y")
		}
		a, b := recase(t, x, "case of x"), recase(t, y, "case of y")
		pa, pb := get(a), get(b)
		if strings.Count(pa, ".") != strings.Count(a, ".") {
			t.Fatalf("%s became %s", a, pa)
		}
		if (a == b) != (pa == pb) || strings.EqualFold(a, b) != strings.EqualFold(pa, pb) {
			t.Fatalf("%s, %s became %s, %s", a, b, pa, pb)
		}
		// Label by label: equal where they were equal, upper where they were upper.
		la, lb, lpa, lpb := strings.Split(a, "."), strings.Split(b, "."), strings.Split(pa, "."), strings.Split(pb, ".")
		for i := range la {
			if strings.ToUpper(la[i]) == la[i] != (strings.ToUpper(lpa[i]) == lpa[i]) || strings.ToLower(la[i]) == la[i] != (strings.ToLower(lpa[i]) == lpa[i]) {
				t.Fatalf("letter case of %s became %s", la[i], lpa[i])
			}
			if i < len(lb) && (la[i] == lb[i]) != (lpa[i] == lpb[i]) {
				t.Fatalf("labels %s, %s became %s, %s", la[i], lb[i], lpa[i], lpb[i])
			}
			if len(lpa[i]) > 63 || strings.Trim(lpa[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
				t.Fatalf("%s is no label", lpa[i])
			}
		}
		// The same machine, however it is written.
		if unc := r.String(`\\` + a + `\x`); unc != `\\`+pa+`\x` {
			t.Fatalf("%s became %s and %s", a, pa, unc)
		}
		if prose := r.String("at " + a + " now"); prose != "at "+pa+" now" && strings.Count(a, ".") > 1 {
			t.Fatalf("%s became %s and %s", a, pa, prose)
		}
		if netbios := r.String("COMPUTERNAME=" + la[0]); netbios != "COMPUTERNAME="+lpa[0] {
			t.Fatalf("%s became %s and %s", la[0], lpa[0], netbios)
		}
	})
}

// A proxy script or a list of exceptions decides about a redacted host as it did about the real one.
func TestPatternsDecideAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Redactor{}
		stem := rapid.StringMatching(`zq[a-z]{2,6}`).Draw(t, "stem")
		domain := rapid.StringMatching(`zq[a-z]{3,8}\.(com|local|example)`).Draw(t, "domain")
		host := recase(t, stem+rapid.SampledFrom([]string{"", "1", "01", "-07"}).Draw(t, "number")+rapid.SampledFrom([]string{"", "." + domain}).Draw(t, "domain part"), "host")
		pattern := rapid.SampledFrom([]string{
			stem + "*", stem + "01", strings.ToUpper(stem) + "*", "*." + domain, "*" + domain, "*." + strings.ToUpper(domain), stem + "*." + domain,
			stem + "01." + domain, "*", "*.zqother.com", "zqother*", stem + "-*",
		}).Draw(t, "pattern")
		line := r.String(`    WUServer    REG_SZ    http://` + host + `:8530`)
		hidden := strings.TrimSuffix(strings.TrimPrefix(line, `    WUServer    REG_SZ    http://`), ":8530")
		line = r.String(`    Bypass List     :  <local>;` + pattern)
		list := strings.TrimPrefix(line, `    Bypass List     :  <local>;`)
		script := r.String(`if (shExpMatch(host, "` + pattern + `")) return "DIRECT";`)
		if !strings.Contains(script, `"`+list+`"`) {
			t.Fatalf("the pattern %s became %s and %s", pattern, list, script)
		}
		if got, want := starMatch(list, hidden), starMatch(pattern, host); got != want {
			t.Fatalf("%s matches %s: %v; %s matches %s: %v", pattern, host, want, list, hidden, got)
		}
	})
}

// starMatch is shExpMatch of proxy scripts, as far as stars go.
func starMatch(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		return starMatch(pattern[1:], name) || name != "" && starMatch(pattern, name[1:])
	}
	return name != "" && name[0] == pattern[0] && starMatch(pattern[1:], name[1:])
}

func TestAnyChunksGiveTheWhole(t *testing.T) {
	parts := slices.Concat(secretPlants, namePlants, hostPlants, []string{
		"\r\n", "\n", "\r", " ", `"`, "'", "<Password>", "</Password>", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "\\", "{", "}",
		"\"x\"=hex:41,42,\\", "[HKEY_LOCAL_MACHINE\\SECURITY\\Policy\\Secrets\\x]", "function FindProxyForURL(url, host)", "SerialNumber  ", "\x00", "ü", "\xfc", "%", "@",
		"10.20.30.40", "10.0.22621.1", "fe80::1c2b:3dff:fe4a:5b6c", "S-1-5-21-1-2-3-4", "3C-52-82-AA-BB-CC", "anna@fabrikam.example", "srv01.fabrikam.example", `CORP\anna`,
	})
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 30).Draw(t, "parts"), ""))
		if rapid.Bool().Draw(t, "wide") {
			text = utf16LE.encode([]byte("\xFF\xFE"), bytes.ToValidUTF8(text, nil))
		}
		r := &Redactor{}
		want := r.Bytes(text)
		if got := readAll(t, r, iotest.OneByteReader(bytes.NewReader(text))); !bytes.Equal(got, want) {
			t.Fatalf("%q\nchunks %q\nwhole  %q", text, got, want)
		}
		if again := r.Bytes(want); !bytes.Equal(again, want) {
			t.Fatalf("%q\nonce  %q\ntwice %q", text, want, again)
		}
	})
}

func TestLearn(t *testing.T) {
	r := &Redactor{Key: []byte("k")}
	r.Learn(Computer, "PC-ANNA01.corp.fabrikam.intern")
	r.Learn(User, `FABRI\anna.beispiel`)
	r.Learn(User, "Jörg Zähler")
	r.Learn(Domain, "fabrikam.zz")
	for _, word := range []string{"administrator", "SYSTEM", "users", "Public", "Windows", "default", "ab", "Update", "update.microsoft.com", "", "1234"} {
		r.Learn(User, word)
		r.Learn(Computer, word)
	}
	tests := []struct{ in, want string }{
		{"session of PC-ANNA01 began", "session of {h PC-ANNA01} began"},
		{"session of pc-anna01 began", "session of {h pc-anna01} began"},
		{"at pc-anna01.corp.fabrikam.intern", "at {h pc-anna01.corp.fabrikam.intern}"},
		{"FABRI asks", "{h FABRI} asks"},
		{"by Anna.Beispiel (logon)", "by {u Anna.Beispiel} (logon)"},
		{"Anna and BEISPIEL", "{u Anna} and {u BEISPIEL}"},
		{"JÖRG ZÄHLER, jörg", "{u JÖRG ZÄHLER}, {u jörg}"},
		{"cp1252 J\xd6RG", "cp1252 {u JÖRG}"},
		{"in fabrikam.zz there", "in {h fabrikam.zz} there"},
		{"annabell hannah PC-ANNA012", "annabell hannah PC-ANNA012"},
		{"the system users of Windows Update at update.microsoft.com", "the system users of Windows Update at update.microsoft.com"},
		{"{12345678-ANNA-4DEF-8012-3456789ABCDE}", "{12345678-{u ANNA}-4DEF-8012-3456789ABCDE}"},
		{"anna~31bf3856ad364e35~amd64~~10.0.1.1", "anna~31bf3856ad364e35~amd64~~10.0.1.1"},
	}
	for _, tt := range tests {
		got := r.String(tt.in)
		if w := want(t, r, tt.want); got != w {
			t.Errorf("%q became %q, want %q", tt.in, got, w)
		}
		if again := r.String(got); again != got {
			t.Errorf("twice: %q, %q", got, again)
		}
	}
	r.Learn(User, "dead")
	if in := "{12345678-DEAD-4DEF-8012-3456789ABCDE}"; r.String(in) != in {
		t.Errorf("a GUID became %q", r.String(in))
	}
}

func TestKeep(t *testing.T) {
	const in = `http://wsus01.corp.example.com/ \\SRV02\x 10.20.30.40 C:\Users\anna\x password=geheim fe80::1c2b:3dff:fe4a:5b6c`
	r := &Redactor{Keep: func(s string) bool { return s == "wsus01.corp.example.com" || s == "anna" || s == "10.20.30.40" }}
	out := r.String(in)
	for _, s := range []string{"wsus01.corp.example.com", `\anna\`, "10.20.30.40"} {
		if !strings.Contains(out, s) {
			t.Errorf("%s is gone: %s", s, out)
		}
	}
	for _, s := range []string{"SRV02", "geheim", "1c2b"} {
		if strings.Contains(out, s) {
			t.Errorf("%s is there: %s", s, out)
		}
	}
	out = (&Redactor{KeepHosts: true}).String(in)
	if want := `http://wsus01.corp.example.com/ \\SRV02\x 10.20.30.40 C:\Users\`; !strings.HasPrefix(out, want) || strings.Contains(out, "anna") || strings.Contains(out, "geheim") {
		t.Errorf("KeepHosts: %s", out)
	}
}

func TestReport(t *testing.T) {
	var r Redactor
	if got := r.Report(); len(got) != 0 {
		t.Errorf("before: %v", got)
	}
	r.String(`C:\Users\anna\x C:\Users\ANNA\y C:\Users\bob\z password=a password=b 10.20.30.40`)
	want := []Count{{Address, 1, 1}, {Credential, 2, 2}, {User, 3, 2}}
	if got := r.Report(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Trials on long lines do not count.
	var long Redactor
	long.String(strings.Repeat(`C:\Users\anna\x, `, 100000))
	if got, want := long.Report(), []Count{{User, 100000, 1}}; !slices.Equal(got, want) {
		t.Errorf("long line: %v, want %v", got, want)
	}
}

func TestKeys(t *testing.T) {
	const in = `http://wsus01/ C:\Users\anna\x 10.20.30.40`
	a, b := &Redactor{Key: []byte("one")}, &Redactor{Key: []byte("one")}
	if a.String(in) != b.String(in) {
		t.Error("one key, two pseudonyms")
	}
	c, d := &Redactor{}, &Redactor{}
	if c.String(in) == d.String(in) {
		t.Error("two random keys, one pseudonym")
	}
}

func TestConcurrent(t *testing.T) {
	r := &Redactor{}
	want := r.String(document)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got := r.String(document); got != want {
					t.Error("differs")
				}
				r.Learn(User, "somebody")
				r.Report()
			}
		})
	}
	wg.Wait()
}
