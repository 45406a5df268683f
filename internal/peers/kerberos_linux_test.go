package peers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"updoc/internal/cli"
	"updoc/internal/lab"
)

// keyServer runs a realm of its own with anna and a proxy on localhost; it returns the
// configuration, the proxy's keytab and anna's.
func keyServer(t *testing.T) (conf, proxy, anna string) {
	t.Helper()
	const name = "FABRIKAM.EXAMPLE"
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	dir := openDir(t, map[string]string{
		"krb5.conf": "[libdefaults]\ndefault_realm = " + name + "\ndns_lookup_kdc = false\ndns_lookup_realm = false\ndns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n" +
			"[realms]\n" + name + " = {\nkdc = " + address + "\n}\n",
	})
	profile := fmt.Sprintf("[kdcdefaults]\nkdc_listen = %s\nkdc_tcp_listen = %s\n[realms]\n%s = {\ndatabase_name = %s/principal\nkey_stash_file = %s/stash\nmax_life = 1h\n}\n[logging]\nkdc = FILE:%s/kdc.log\n", address, address, name, dir, dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "kdc.conf"), []byte(profile), 0o644); err != nil {
		t.Fatal(err)
	}
	conf, proxy, anna = filepath.Join(dir, "krb5.conf"), filepath.Join(dir, "proxy.keytab"), filepath.Join(dir, "anna.keytab")
	t.Setenv("KRB5_CONFIG", conf)
	t.Setenv("KRB5RCACHENAME", "none:") // squid's helper is another user, who cannot write where TMPDIR is private
	t.Setenv("KRB5_KDC_PROFILE", filepath.Join(dir, "kdc.conf"))
	for _, args := range [][]string{
		{"kdb5_util", "create", "-s", "-r", name, "-P", "master of keys"},
		{"kadmin.local", "-r", name, "addprinc", "-pw", password, "+requires_preauth", "anna"},
		{"kadmin.local", "-r", name, "addprinc", "-randkey", "HTTP/localhost"},
		{"kadmin.local", "-r", name, "ktadd", "-k", proxy, "HTTP/localhost"},
		{"kadmin.local", "-r", name, "ktadd", "-norandkey", "-k", anna, "anna"},
	} {
		if out, err := exec.Command(program(t, args[0]), args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	if err := os.Chmod(proxy, 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, listens(address), program(t, "krb5kdc"), "-n")
	return conf, proxy, anna
}

// updoc runs a command line until the context ends.
func updoc(ctx context.Context, out *output, args ...string) int {
	return cli.Run(ctx, cli.Env{Stdin: strings.NewReader(""), Stdout: out, Stderr: out, Getenv: os.Getenv, GOOS: "linux", Version: "test"}, args)
}

// TestKerberosFromTheCommandLine: trace and relay sign in at a squid that takes tickets of
// a real key server and nothing else, with a keytab, with the tickets of kinit, with a
// password; without any of them they do not.
func TestKerberosFromTheCommandLine(t *testing.T) {
	const helper = "/usr/lib/squid/negotiate_kerberos_auth"
	if _, err := os.Stat(helper); err != nil {
		t.Skip("squid's helpers are not where Debian puts them: " + helper)
	}
	program(t, "kadmin.local")
	_, keytab, anna := keyServer(t)
	bed := newBed(t, lab.WorldSpec{})
	_, at, _ := strings.Cut(bed.squid(t, "auth_param negotiate program "+helper+" -k "+keytab+" -s GSS_C_NO_NAME\nauth_param negotiate children 2\n"+mustSignIn, nil), ":")
	proxy := "localhost:" + at
	const url = "http://www.msftconnecttest.com/connecttest.txt" // a name that squid leads to the bed

	cache := filepath.Join(t.TempDir(), "tickets")
	kinit := exec.Command(program(t, "kinit"), "-c", "FILE:"+cache, "anna")
	kinit.Stdin = strings.NewReader(password + "\n")
	if out, err := kinit.CombinedOutput(); err != nil {
		t.Fatalf("kinit: %v\n%s", err, out)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":       {[]string{"--proxy", proxy}, 1, `"fault": "proxy-auth"`},
		"keytab":        {[]string{"--proxy", "anna@" + proxy, "--keytab", anna}, 0, `"signed_in": "Negotiate"`},
		"tickets":       {[]string{"--proxy", proxy, "--ticket-cache", cache}, 0, `"signed_in": "Negotiate"`},
		"password":      {[]string{"--proxy", "anna:" + password + "@" + proxy, "--kerberos"}, 0, `"signed_in": "Negotiate"`},
		"wrong":         {[]string{"--proxy", "anna:hunter2hunter2@" + proxy, "--kerberos"}, 1, `"fault": "`},
		"no such cache": {[]string{"--proxy", proxy, "--ticket-cache", cache + "x"}, 1, `"fault": "proxy-auth"`},
	} {
		t.Run("trace "+name, func(t *testing.T) {
			out := &output{}
			code := updoc(t.Context(), out, append([]string{"trace", "--format", "json", "--url", url}, tt.args...)...)
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit code %d: %s", code, out)
			}
			if strings.Contains(out.String(), password) || strings.Contains(out.String(), "hunter2") {
				t.Errorf("a password is told: %s", out)
			}
		})
	}
	for name, args := range map[string][]string{
		"keytab":  {"--user", "anna", "--keytab", anna},
		"tickets": {"--ticket-cache", cache},
	} {
		t.Run("relay "+name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, ended := &output{}, make(chan int, 1)
			go func() {
				ended <- updoc(ctx, out, append([]string{"relay", "--proxy", proxy, "--own", "www.msftconnecttest.com:80"}, args...)...)
			}()
			address := ""
			for deadline := time.Now().Add(10 * time.Second); address == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if m := regexp.MustCompile(`relay +(127\.0\.0\.1:\d+)`).FindStringSubmatch(out.String()); m != nil {
					address = m[1]
				}
			}
			for range 3 {
				body, err := exec.CommandContext(ctx, program(t, "curl"), "-q", "-s", "-m", "10", "-x", address, url).Output()
				if err != nil || !bytes.Equal(body, []byte("Microsoft Connect Test")) {
					t.Fatalf("through %s: %q, %v: %s", address, body, err, out)
				}
			}
			cancel()
			if code := <-ended; code != 0 || !strings.Contains(out.String(), "passed 3, failed 0") {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
	out := &output{}
	if code := updoc(t.Context(), out, "relay", "--proxy", proxy, "--ticket-cache", cache+"x"); code != cli.ExitUsage || !strings.Contains(out.String(), "updoc: hint: kinit") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
