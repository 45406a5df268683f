package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// kdc makes a realm of its own, with anna and a proxy, and runs its key server.
func kdc(t *testing.T) (dir, conf string) {
	t.Helper()
	programs := map[string]string{}
	for _, name := range []string{"krb5kdc", "kdb5_util", "kadmin.local"} {
		path, err := exec.LookPath(name)
		if err != nil {
			if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
				t.Skip("a Kerberos key server is not installed (packages krb5-kdc, krb5-admin-server)")
			}
		}
		programs[name] = path
	}
	dir = openDir(t)
	address := freeAddress(t)
	conf = filepath.Join(dir, "krb5.conf")
	write := func(path, text string) {
		t.Helper()
		text = strings.NewReplacer("DIR", dir, "ADDRESS", address).Replace(text)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(conf, `[libdefaults]
	default_realm = FABRIKAM.EXAMPLE
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
[realms]
	FABRIKAM.EXAMPLE = {
		kdc = ADDRESS
	}
[domain_realm]
	.fabrikam.example = FABRIKAM.EXAMPLE
`)
	profile := filepath.Join(dir, "kdc.conf")
	write(profile, `[kdcdefaults]
	kdc_listen = ADDRESS
	kdc_tcp_listen = ADDRESS
[realms]
	FABRIKAM.EXAMPLE = {
		database_name = DIR/principal
		key_stash_file = DIR/stash
		acl_file = DIR/acl
		max_life = 1h
	}
[logging]
	kdc = FILE:DIR/kdc.log
`)
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(programs[name], args...)
		cmd.Env = append(os.Environ(), "KRB5_CONFIG="+conf, "KRB5_KDC_PROFILE="+profile)
		return cmd
	}
	for _, cmd := range []*exec.Cmd{
		run("kdb5_util", "create", "-s", "-r", "FABRIKAM.EXAMPLE", "-P", "master of keys"),
		run("kadmin.local", "-r", "FABRIKAM.EXAMPLE", "addprinc", "-pw", password, "+requires_preauth", "anna"),
		run("kadmin.local", "-r", "FABRIKAM.EXAMPLE", "addprinc", "-randkey", "HTTP/"+realm),
		run("kadmin.local", "-r", "FABRIKAM.EXAMPLE", "ktadd", "-k", filepath.Join(dir, "proxy.keytab"), "HTTP/"+realm),
		run("kadmin.local", "-r", "FABRIKAM.EXAMPLE", "ktadd", "-norandkey", "-k", filepath.Join(dir, "anna.keytab"), "anna"),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "proxy.keytab"), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, run("krb5kdc", "-n"), address, filepath.Join(dir, "kdc.log"))
	return dir, conf
}

// TestKerberos signs in at a squid that takes tickets of a real key server, by the
// password, by a keytab and by the tickets that kinit left.
func TestKerberos(t *testing.T) {
	t.Parallel()
	dir, conf := kdc(t)
	proxy := squid(t, `
auth_param negotiate program /usr/lib/squid/negotiate_wrapper_auth --ntlm /usr/lib/squid/ntlm_fake_auth --kerberos /usr/lib/squid/negotiate_kerberos_auth -k `+filepath.Join(dir, "proxy.keytab")+` -s HTTP/`+realm+`@FABRIKAM.EXAMPLE -t none
auth_param negotiate children 2
`, nil, "KRB5_CONFIG="+conf)
	origin := newOrigin(t)
	service := "HTTP/" + realm
	anna := ParseLogin("anna@fabrikam.example", password)

	sources := map[string]Kerberos{
		"password":             {Config: conf, Credentials: anna},
		"password, realm told": {Config: conf, Credentials: ParseLogin("anna", password), Realm: "FABRIKAM.EXAMPLE"},
		"password, DNS domain": {Config: conf, Credentials: ParseLogin(`fabrikam.example\anna`, password)},
		"password, by default": {Config: conf, Credentials: ParseLogin(`FABRIKAM\anna`, password)},
		"keytab":               {Config: conf, Credentials: ParseLogin("anna", ""), Keytab: filepath.Join(dir, "anna.keytab")},
	}
	if kinit, err := exec.LookPath("kinit"); err == nil {
		cache := filepath.Join(dir, "cache")
		cmd := exec.Command(kinit, "-c", "FILE:"+cache, "anna")
		cmd.Env = append(os.Environ(), "KRB5_CONFIG="+conf)
		cmd.Stdin = strings.NewReader(password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kinit: %v\n%s", err, out)
		}
		sources["ticket file"] = Kerberos{Config: conf, Cache: "FILE:" + cache}
	} else {
		t.Log("without kinit (package krb5-user) no ticket file is tried")
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			ticket, err := source.Ticket(t.Context(), service)
			if err != nil {
				t.Fatal(err)
			}
			if ticket.Client != "anna@FABRIKAM.EXAMPLE" || ticket.Service != service {
				t.Errorf("a ticket of %s for %s", ticket.Client, ticket.Service)
			}
			// Two ways through one proxy by one ticket: each token is its own.
			signIn{client: Client{Tokens: ticket}, schemes: []string{Negotiate}}.test(t, proxy, origin)
		})
	}

	t.Run("nothing is left running", func(t *testing.T) {
		stacks := make([]byte, 1<<20)
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			all := string(stacks[:runtime.Stack(stacks, true)])
			if !strings.Contains(all, "gokrb5") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("goroutines of the Kerberos client:\n%s", all)
			}
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		_, err := Kerberos{Config: conf, Credentials: ParseLogin("anna", "passworD")}.Ticket(t.Context(), service)
		if !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "passworD") {
			t.Errorf("%v; want ErrRefused", err)
		}
	})
	t.Run("unknown user", func(t *testing.T) {
		if _, err := (Kerberos{Config: conf, Credentials: ParseLogin("carl", password)}).Ticket(t.Context(), service); !errors.Is(err, ErrRefused) {
			t.Errorf("%v; want ErrRefused", err)
		}
	})
	t.Run("unknown service", func(t *testing.T) {
		if _, err := (Kerberos{Config: conf, Credentials: anna}).Ticket(t.Context(), "HTTP/other.fabrikam.example"); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%v; want an error, of the service and not of the user", err)
		}
	})
	t.Run("a ticket for another", func(t *testing.T) {
		other, err := Kerberos{Config: conf, Credentials: anna}.Ticket(t.Context(), "krbtgt/FABRIKAM.EXAMPLE")
		if err != nil {
			t.Fatal(err)
		}
		signIn{client: Client{Tokens: other}, want: ErrRefused, schemes: []string{Negotiate}, dials: 2}.test(t, proxy, origin)
	})
	t.Run("ntlm in place of a ticket", func(t *testing.T) {
		failing := &tokens{err: errors.New("no ticket")}
		signIn{client: Client{Credentials: anna, Tokens: failing}, schemes: []string{Negotiate, Negotiate}}.test(t, proxy, origin)
	})
}

func TestKerberosWithoutHelp(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := file("krb5.conf", "[libdefaults]\n default_realm = FABRIKAM.EXAMPLE\n dns_lookup_kdc = false\n")
	for name, k := range map[string]Kerberos{
		"no configuration at the place told": {Config: filepath.Join(dir, "none"), Credentials: ParseLogin("anna", password)},
		"a configuration that is none":       {Config: file("bad.conf", "[realms]\n X = {\n {{{\n"), Credentials: ParseLogin("anna", password)},
		"no ticket file":                     {Config: conf, Cache: filepath.Join(dir, "none")},
		"an empty ticket file":               {Config: conf, Cache: file("empty", "")},
		"a ticket file cut short":            {Config: conf, Cache: file("short", "\x05\x04\x00\x0c\x00\x01\x00\x08\xff\xff\xff\xff\x00")},
		"a ticket file of rubbish":           {Config: conf, Cache: file("rubbish", strings.Repeat("\x05\x04\xff", 50))},
		"no keytab":                          {Config: conf, Keytab: filepath.Join(dir, "none"), Credentials: ParseLogin("anna", "")},
		"no key server":                      {Config: conf, Credentials: ParseLogin("anna", password)},
		"no user":                            {Config: conf, Credentials: ParseLogin("", password)},
	} {
		t.Run(name, func(t *testing.T) {
			ticket, err := k.Ticket(t.Context(), "HTTP/"+realm)
			if err == nil || ticket != nil {
				t.Fatalf("ticket %v, error %v", ticket, err)
			}
			if s := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(s, password) {
				t.Errorf("the error tells the password: %s", s)
			}
		})
	}
}

func TestKerberosEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	text := "[libdefaults]\n default_realm = X.EXAMPLE\n udp_preference_limit = 1\n[realms]\n X.EXAMPLE = {\n  kdc = " + silent.Addr().String() + "\n }\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = Kerberos{Config: conf, Credentials: ParseLogin("anna", password)}.Ticket(ctx, "HTTP/"+realm)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
