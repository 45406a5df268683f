package proxyauth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// These tests sign in at a real squid, which judges what this package says by the
// helpers it comes with. Only NTLM's helper is ours, for squid's own believes anybody.

const (
	realm    = "proxy.fabrikam.example"
	password = "Password"
)

// TestMain lets the test binary serve squid as a helper.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "ntlm-helper" {
		ntlmHelper(os.Stdin, os.Stdout, os.Args[2] == "negotiate")
		return
	}
	os.Exit(m.Run())
}

// ntlmHelper speaks squid's side of NTLM: it makes the challenge and checks NTLMv2's
// proof for one user, anna. It is written from [MS-NLMP] section 3.3.2 and shares nothing with the
// client; the hash of the password is the one printed in section 4.2.2.1.2.
func ntlmHelper(in io.Reader, out io.Writer, negotiate bool) {
	ntHash, _ := hex.DecodeString("a4f49c406510bdcab6824ee7c30fd852") // of "Password"
	var nonce [8]byte
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verb, text, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "YR":
			_, _ = rand.Read(nonce[:])
			fmt.Fprintln(out, "TT", base64.StdEncoding.EncodeToString(challengeMessage(nonce)))
		case "KK":
			user, ok := checkNTLMv2(text, nonce[:], ntHash)
			switch {
			case !ok:
				fmt.Fprintln(out, "NA wrong")
			case negotiate:
				fmt.Fprintln(out, "AF =", user)
			default:
				fmt.Fprintln(out, "AF", user)
			}
		default:
			fmt.Fprintln(out, "BH what?")
		}
	}
}

func checkNTLMv2(text string, nonce, ntHash []byte) (user string, ok bool) {
	m, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(m) < 64 || !bytes.HasPrefix(m, []byte("NTLMSSP\x00\x03\x00\x00\x00")) {
		return "", false
	}
	field := func(at int) []byte {
		n, off := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		if off < 0 || off+n > len(m) {
			return nil
		}
		return m[off : off+n]
	}
	response, domain, name := field(20), field(28), field(36)
	if len(response) < 32 || !bytes.Equal(name, utf16le("anna")) {
		return "", false
	}
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(md5.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	key := mac(ntHash, utf16le("ANNA"), domain)
	return "anna", hmac.Equal(mac(key, nonce, response[16:]), response[:16])
}

// squid runs one until the test ends and returns its address. DIR in the
// configuration is a directory that it may read, where the files are.
func squid(t *testing.T, conf string, files map[string]string, environ ...string) (address string) {
	t.Helper()
	program, err := exec.LookPath("squid")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/squid"); err != nil {
			t.Skip("squid is not installed (package squid-openssl)")
		}
	}
	if _, err := os.Stat("/usr/lib/squid"); err != nil {
		t.Skip("squid's helpers are not where Debian puts them: /usr/lib/squid")
	}
	dir := openDir(t)
	if strings.Contains(conf, "DIR/helper") {
		copyFile(t, os.Args[0], filepath.Join(dir, "helper"), 0o755)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	address = freeAddress(t)
	conf = strings.ReplaceAll("http_port "+address+conf+`
acl signed proxy_auth REQUIRED
http_access allow signed
http_access deny all
cache deny all
cache_mem 0
memory_cache_shared off
access_log none
cache_log DIR/cache.log
pid_filename DIR/squid.pid
coredump_dir DIR
visible_hostname `+realm+`
icp_port 0
pinger_enable off
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
`, "DIR", dir)
	path := filepath.Join(dir, "squid.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-N", "-f", path)
	cmd.Env = append(os.Environ(), environ...)
	start(t, cmd, address, filepath.Join(dir, "cache.log"))
	return address
}

// start runs a server until the test ends, and waits until it listens.
func start(t *testing.T, cmd *exec.Cmd, address, log string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			b, _ := os.ReadFile(log)
			t.Logf("%s:\n%s\n%s", cmd.Path, out.Bytes(), b)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			b, _ := os.ReadFile(log)
			t.Fatalf("%s ended at once:\n%s\n%s", cmd.Path, out.Bytes(), b)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", cmd.Path, err)
		}
	}
}

// openDir is a temporary directory that others may use: squid, started by root,
// goes on as another user.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{dir: 0o777, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, mode); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// conversation is one client at one proxy: the loop of the package's documentation.
type conversation struct {
	proxy   string
	client  *Client
	conn    net.Conn
	in      *bufio.Reader
	dials   int
	asked   int      // 407s
	schemes []string // of the answers that were given
}

func (v *conversation) dial() error {
	if v.conn != nil {
		v.conn.Close()
	}
	conn, err := net.DialTimeout("tcp", v.proxy, 5*time.Second)
	if err != nil {
		return err
	}
	v.dials++
	v.conn, v.in = conn, bufio.NewReader(conn)
	return conn.SetDeadline(time.Now().Add(30 * time.Second))
}

// do sends one request and signs in if asked to. The body of a CONNECT that was
// accepted is the tunnel.
func (v *conversation) do(method, target string) (*http.Response, error) {
	if v.conn == nil {
		if err := v.dial(); err != nil {
			return nil, err
		}
	}
	header := v.client.Header(method, target)
	for {
		fmt.Fprintf(v.conn, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, "wsus.fabrikam.example")
		if header != "" {
			fmt.Fprintf(v.conn, "Proxy-Authorization: %s\r\n", header)
		}
		fmt.Fprint(v.conn, "\r\n")
		resp, err := http.ReadResponse(v.in, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusProxyAuthRequired {
			v.client.Accepted()
			return resp, nil
		}
		v.asked++
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return nil, err
		}
		if resp.Close {
			if err := v.dial(); err != nil {
				return nil, err
			}
			v.client.Reconnected()
		}
		var scheme string
		scheme, header, err = v.client.Answer(method, target, ParseChallenges(resp.Header.Values("Proxy-Authenticate")))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", scheme, err)
		}
		v.schemes = append(v.schemes, scheme)
		if v.client.Fresh() {
			if err := v.dial(); err != nil {
				return nil, err
			}
			v.client.Reconnected()
		}
	}
}

// get fetches what is behind the proxy, or behind a tunnel through it.
func (v *conversation) get(method string, origin *httptest.Server) (string, error) {
	host := strings.TrimPrefix(origin.URL, "http://")
	target := origin.URL + "/"
	if method == http.MethodConnect {
		target = host
	}
	resp, err := v.do(method, target)
	if err != nil {
		return "", err
	}
	if resp.StatusCode == http.StatusOK && method == http.MethodConnect {
		fmt.Fprintf(v.conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		if resp, err = http.ReadResponse(v.in, nil); err != nil {
			return "", err
		}
	}
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, body), err
}

func newOrigin(t *testing.T) *httptest.Server {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the proxy hands the credentials on")
		}
		fmt.Fprint(w, "an update")
	}))
	t.Cleanup(origin.Close)
	return origin
}

// signIn is one sign-in and what must come of it.
type signIn struct {
	name    string
	client  Client
	want    error    // nil: what is behind is reached
	schemes []string // of the answers given
	dials   int      // connections, at most; 0 means one
}

func (s signIn) test(t *testing.T, proxy string, origin *httptest.Server) {
	for _, method := range []string{http.MethodGet, http.MethodConnect} {
		t.Run(method, func(t *testing.T) {
			client := s.client
			v := &conversation{proxy: proxy, client: &client}
			defer func() {
				if v.conn != nil {
					v.conn.Close()
				}
			}()
			got, err := v.get(method, origin)
			if !errors.Is(err, s.want) {
				t.Fatalf("%q, %v; want %v", got, err, s.want)
			}
			if s.want == nil && got != "200 an update" {
				t.Errorf("behind the proxy is %q", got)
			}
			if !slices.Equal(v.schemes, s.schemes) {
				t.Errorf("answered by %q, want %q", v.schemes, s.schemes)
			}
			if v.dials > max(1, s.dials) {
				t.Errorf("it took %d connections", v.dials)
			}
			if s.want != nil || method == http.MethodConnect {
				return
			}
			asked := v.asked
			for range 3 {
				if got, err := v.get(method, origin); err != nil || got != "200 an update" {
					t.Fatalf("the next request: %q, %v", got, err)
				}
			}
			if v.asked != asked {
				t.Errorf("signed in, and asked %d times more", v.asked-asked)
			}
			if v.dials > max(1, s.dials) {
				t.Errorf("it took %d connections", v.dials)
			}
		})
	}
}

// allSchemes is a squid that offers everything and knows anna by each.
const allSchemes = `
auth_param negotiate program DIR/helper ntlm-helper negotiate
auth_param negotiate children 2
auth_param ntlm program DIR/helper ntlm-helper ntlm
auth_param ntlm children 2
auth_param digest program /usr/lib/squid/digest_file_auth -c DIR/digest
auth_param digest children 2
auth_param digest realm ` + realm + `
auth_param digest nonce_max_count 6
auth_param basic program /usr/lib/squid/basic_ncsa_auth DIR/basic
auth_param basic children 2
auth_param basic realm ` + realm + `
`

// userFiles know anna, and bert, of whom NTLM's helper has not heard.
func userFiles() map[string]string {
	var digest, basic strings.Builder
	for _, user := range []string{"anna", "bert"} {
		fmt.Fprintf(&digest, "%s:%s:%x\n", user, realm, md5.Sum([]byte(user+":"+realm+":"+password)))
		fmt.Fprintf(&basic, "%s:%s\n", user, "$apr1$abcdefgh$PqvD4ygyOSu4byG.bZp0E.") // openssl passwd -apr1
	}
	return map[string]string{"digest": digest.String(), "basic": basic.String()}
}

func TestSquid(t *testing.T) {
	t.Parallel()
	proxy := squid(t, allSchemes, userFiles())
	origin := newOrigin(t)

	right := func(login string) Credentials { return ParseLogin(login, password) }
	wrong := func(login string) Credentials { return ParseLogin(login, "passworD") }
	only := func(c Credentials, scheme string) Client { return Client{Credentials: c, Schemes: []string{scheme}} }
	tests := []signIn{
		{name: "basic", client: only(right("anna"), Basic), schemes: []string{Basic}},
		{name: "basic, wrong", client: only(wrong("anna"), Basic), want: ErrRefused, schemes: []string{Basic}},
		{name: "digest", client: only(right("anna"), Digest), schemes: []string{Digest}},
		{name: "digest, wrong", client: only(wrong("anna"), Digest), want: ErrRefused, schemes: []string{Digest}},
		{name: "ntlm", client: only(right(`FABRIKAM\anna`), NTLM), schemes: []string{NTLM, NTLM}},
		{name: "ntlm, no domain", client: only(right("anna"), NTLM), schemes: []string{NTLM, NTLM}},
		{name: "ntlm, wrong", client: only(wrong(`FABRIKAM\anna`), NTLM), want: ErrRefused, schemes: []string{NTLM, NTLM}, dials: 2},
		{name: "negotiate", client: only(right(`FABRIKAM\anna`), Negotiate), schemes: []string{Negotiate, Negotiate}},
		{name: "negotiate, wrong", client: only(wrong(`FABRIKAM\anna`), Negotiate), want: ErrRefused, schemes: []string{Negotiate, Negotiate}, dials: 2},
		{name: "the strongest", client: Client{Credentials: right("anna")}, schemes: []string{NTLM, NTLM}},
		{name: "the next weaker", client: Client{Credentials: right("bert"), Weaker: true}, schemes: []string{NTLM, NTLM, Digest}, dials: 2},
		{name: "not weaker unless told", client: Client{Credentials: right("bert")}, want: ErrRefused, schemes: []string{NTLM, NTLM}, dials: 2},
		{name: "down to the end", client: Client{Credentials: wrong("bert"), Weaker: true}, want: ErrRefused, schemes: []string{NTLM, NTLM, Digest, Basic}, dials: 2},
		{name: "but not in clear text", client: Client{Credentials: wrong("bert"), Weaker: true, NoPlain: true}, want: ErrRefused, schemes: []string{NTLM, NTLM, Digest}, dials: 2},
		{name: "nobody", client: Client{}, want: ErrNoScheme},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, proxy, origin) })
	}

	t.Run("a nonce is used up", func(t *testing.T) {
		client := only(right("anna"), Digest)
		v := &conversation{proxy: proxy, client: &client}
		for i := range 20 {
			if got, err := v.get(http.MethodGet, origin); err != nil || got != "200 an update" {
				t.Fatalf("request %d: %q, %v", i+1, got, err)
			}
		}
		v.conn.Close()
		if v.asked < 3 || v.asked > 6 || v.dials != 1 {
			t.Errorf("20 requests were asked to sign in %d times over %d connections; a nonce is good for 6", v.asked, v.dials)
		}
	})
}

// TestSquidNTLMAlone takes squid's own stand-in for a domain controller, which
// believes any password, and a proxy that closes after the first 407.
func TestSquidNTLMAlone(t *testing.T) {
	t.Parallel()
	origin := newOrigin(t)
	anna := ParseLogin(`FABRIKAM\anna`, password)
	for name, tt := range map[string]struct {
		conf string
		want signIn
	}{
		"ntlm": {
			"\nauth_param ntlm program /usr/lib/squid/ntlm_fake_auth\nauth_param ntlm children 2\n",
			signIn{client: Client{Credentials: anna}, schemes: []string{NTLM, NTLM}},
		},
		"ntlm, the first 407 closes": {
			"\nauth_param ntlm program /usr/lib/squid/ntlm_fake_auth\nauth_param ntlm children 2\nauth_param ntlm keep_alive off\n",
			signIn{client: Client{Credentials: anna}, schemes: []string{NTLM, NTLM}, dials: 2},
		},
		"negotiate": {
			"\nauth_param negotiate program /usr/lib/squid/negotiate_wrapper_auth --ntlm /usr/lib/squid/ntlm_fake_auth --kerberos /usr/lib/squid/negotiate_kerberos_auth -s GSS_C_NO_NAME\nauth_param negotiate children 2\n",
			signIn{client: Client{Credentials: anna}, schemes: []string{Negotiate, Negotiate}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.want.test(t, squid(t, tt.conf, nil), origin)
		})
	}
}

// TestCurlAgrees asks curl, which computes Digest by itself, to sign in at a server
// that computes what this package would answer with the same count and cnonce.
func TestCurlAgrees(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	for _, params := range []string{"", `, qop="auth"`, `, qop="auth", algorithm=MD5-sess`, `, qop="auth", algorithm=SHA-256`, `, qop="auth,auth-int", algorithm=SHA-256-sess, opaque="a\"b"`} {
		t.Run(strings.TrimPrefix(params, ", "), func(t *testing.T) {
			challenge := `Digest realm="the \"inner\" realm", nonce="a1b2c3"` + params
			var theirs, ours string
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := ParseChallenges(r.Header.Values("Proxy-Authorization"))
				if len(answer) != 1 {
					w.Header().Set("Proxy-Authenticate", challenge)
					w.WriteHeader(http.StatusProxyAuthRequired)
					return
				}
				d, err := newDigest(ParseChallenges([]string{challenge}))
				if err != nil {
					t.Error(err)
					return
				}
				if c, ok := answer[0].Params["cnonce"]; ok {
					d.cnonce = c
				}
				// curl digests the path where it sends the whole URL
				h, err := d.header(r.Method, answer[0].Params["uri"], ParseLogin("anna", password))
				if err != nil {
					t.Error(err)
				}
				theirs = answer[0].Params["response"]
				ours = ParseChallenges([]string{h})[0].Params["response"]
			}))
			defer proxy.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, curl, "-q", "-s", "--noproxy", "", "--proxy", proxy.URL, "--proxy-digest", "--proxy-user", "anna:"+password, "http://wsus.fabrikam.example/a?b=c")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("curl: %v\n%s", err, out)
			}
			if theirs == "" || theirs != ours {
				t.Errorf("curl answers %q, this package %q", theirs, ours)
			}
		})
	}
}
