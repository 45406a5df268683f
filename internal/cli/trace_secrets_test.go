package cli

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// planted is one password that reaches updoc by some way; it must show up nowhere.
type planted struct {
	name   string
	secret string
	args   []string          // of updoc trace
	files  map[string]string // evidence, which is given by --from to trace and to diagnose
	env    string            // the value of HTTP_PROXY and its like
}

// TestPasswordsAreNeverShown plants passwords on every way that an address can come in
// and looks for them in all that updoc says, in each of its formats.
func TestPasswordsAreNeverShown(t *testing.T) {
	closed := closedPort(t)
	dead := fmt.Sprintf("127.0.0.1:%d", closed) // nobody is there: neither proxy nor name server
	echo := playServer(t, echoAnswer)
	const target = "http://www.fabrikam.example/x"
	var list []planted
	add := func(p planted) {
		p.secret = "hUnter" + fmt.Sprintf("%02d", len(list)) + p.secret
		for i := range p.args {
			p.args[i] = strings.ReplaceAll(p.args[i], "SECRET", p.secret)
		}
		for name, text := range p.files {
			p.files[name] = strings.ReplaceAll(text, "SECRET", p.secret)
		}
		p.env = strings.ReplaceAll(p.env, "SECRET", p.secret)
		list = append(list, p)
	}
	arg := func(name string, args ...string) { add(planted{name: name, args: args}) }

	// As the proxy, with everything that people write into passwords.
	for _, odd := range []string{"", "%zz", "%", "@x", "@@", "/x", "#x", "?x", ":x", " x", "é", `"x`, "'x", "<b>", "%40", "\\x", ";x", ",x", "=x"} {
		add(planted{name: "proxy, password with " + odd, secret: odd, args: []string{"--proxy", "http://anna:SECRET@" + dead, "--url", target}})
	}
	arg("proxy without a scheme", "--proxy", "anna:SECRET@"+dead, "--url", target)
	arg("proxy with a domain", "--proxy", "http://FABRIKAM%5Canna:SECRET@"+dead, "--url", target)
	arg("proxy, no user", "--proxy", "http://:SECRET@"+dead, "--url", target)
	arg("proxy, one word", "--proxy", "http://SECRET@"+dead, "--url", target)
	arg("proxy list", "--proxy", "http=http://anna:SECRET@"+dead+";https=http://anna:SECRET@"+dead, "--url", target)
	arg("proxy list, second", "--proxy", "http="+dead+";https=anna:SECRET@"+dead, "--url", target)
	arg("proxy with socks", "--proxy", "socks=anna:SECRET@"+dead, "--url", target)
	arg("proxy with a scheme that is none", "--proxy", "ftp://anna:SECRET@"+dead, "--url", target)
	arg("proxy without a host", "--proxy", "http://anna:SECRET@", "--url", target)
	arg("proxy with half an address", "--proxy", "http://anna:SECRET@[::1", "--url", target)
	arg("proxy with a port that is none", "--proxy", "http://anna:SECRET@proxy.example:99999", "--url", target)
	arg("proxy in a flag for something else", "--dns", "http://anna:SECRET@"+dead)
	arg("proxy as source address", "--source-address", "http://anna:SECRET@"+dead)
	arg("proxy as an argument", "http://anna:SECRET@"+dead)
	arg("proxy as a name", "--name", "http://anna:SECRET@"+dead, "--url", target)
	arg("proxy as a format", "--format", "http://anna:SECRET@"+dead)
	arg("proxy as evidence", "--from", "http://anna:SECRET@"+dead)
	arg("proxy as roots", "--trust", "http://anna:SECRET@"+dead, "--url", target)
	arg("echoed by the proxy", "--proxy", "http://anna:SECRET@"+echo, "--url", target, "--all")
	add(planted{name: "echoed, odd letters", secret: `&3 "x"/%41`, args: []string{"--proxy", "http://anna:SECRET@" + echo, "--url", target, "--all"}})
	arg("echoed through a tunnel", "--proxy", "http://anna:SECRET@"+echo, "--url", "https://www.fabrikam.example/", "--all")

	// In addresses that have no business with passwords.
	script := func(text string) string {
		return playServer(t, func(string) string {
			return "HTTP/1.1 200 OK\r\nContent-Type: application/x-ns-proxy-autoconfig\r\nConnection: close\r\n\r\n" + text
		})
	}
	quiet := script(`function FindProxyForURL(u, h) { return "PROXY ` + dead + `"; }`)
	arg("script", "--pac", "http://anna:SECRET@"+quiet+"/p.pac", "--url", target, "--all")
	arg("script that is not there", "--pac", "http://anna:SECRET@"+dead+"/p.pac", "--url", target, "--all")
	arg("script, stray percent", "--pac", "http://anna:SECRET%zz@"+quiet+"/p.pac", "--url", target)
	arg("script, another scheme", "--pac", "ftp://anna:SECRET@"+quiet+"/p.pac")
	for i, answer := range []string{"PROXY anna:%s@" + dead, "PROXY http://anna:%s@" + dead, "HTTPS anna:%s@" + dead + "; DIRECT", "anna:%s@" + dead} {
		n := fmt.Sprintf("hUnter%02d", len(list))
		arg(fmt.Sprintf("script's answer %d", i+1), "--pac", "http://"+script(fmt.Sprintf(`function FindProxyForURL(u, h) { return "`+answer+`"; }`, n))+"/p.pac", "--url", target, "--all")
	}
	n := fmt.Sprintf("hUnter%02d", len(list))
	arg("script's error", "--pac", "http://"+script(`function FindProxyForURL(u, h) { throw "http://anna:`+n+`@proxy.example"; }`)+"/p.pac", "--url", target, "--all")
	redirect := func(to string) string {
		return playServer(t, func(string) string {
			return "HTTP/1.1 302 Found\r\nLocation: " + to + "\r\nContent-Length: 0\r\n\r\n"
		})
	}
	for _, to := range []string{"http://anna:%s@portal.example/", "//anna:%s@portal.example/", "http://anna:%s@%%zz/", "http://portal.example/?password=%s"} {
		n := fmt.Sprintf("hUnter%02d", len(list))
		arg("redirect to "+to, "--url", "http://"+redirect(fmt.Sprintf(to, n))+"/", "--all")
	}
	arg("url", "--url", "http://anna:SECRET@"+dead+"/", "--all")
	arg("url, stray percent", "--url", "http://anna:SECRET%zz@"+dead+"/")
	arg("url, at sign", "--url", "http://anna:SECRET@x@"+dead+"/", "--all")
	arg("url, slash", "--url", "http://anna:SECRET/x@"+dead+"/", "--all")
	arg("url, port that is none", "--url", "http://anna:SECRET@host.example:999999/", "--all")
	arg("url without a host", "--url", "http://anna:SECRET@")
	arg("url without a scheme", "--url", "anna:SECRET@"+dead)
	arg("wsus", "--wsus", "http://anna:SECRET@"+dead, "--all")
	arg("wsus, stray percent", "--wsus", "http://anna:SECRET%@"+dead, "--all")
	arg("wsus, at sign", "--wsus", "http://anna:SECRET@@"+dead, "--all")
	arg("wsus, another scheme", "--wsus", "wsus://anna:SECRET@"+dead)
	arg("wsus, blank", "--wsus", "http://anna:SECRET x@"+dead, "--all")
	add(planted{name: "environment", env: "http://anna:SECRET@" + dead, args: []string{"--url", "http://" + dead + "/", "--all"}})

	// In the evidence of a machine.
	const (
		internet = `HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Internet Settings`
		policy   = `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	)
	reg := func(name, text string) {
		add(planted{name: name, args: []string{"--all"}, files: map[string]string{"settings.reg": "Windows Registry Editor Version 5.00\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n")}})
	}
	reg("ProxyServer", "["+internet+"]\n\"ProxyEnable\"=dword:00000001\n\"ProxyServer\"=\"http://anna:SECRET@"+dead+"\"\n")
	reg("ProxyServer, a list", "["+internet+"]\n\"ProxyEnable\"=dword:00000001\n\"ProxyServer\"=\"http=anna:SECRET@"+dead+";https=anna:SECRET@"+dead+"\"\n")
	reg("ProxyServer, malformed", "["+internet+"]\n\"ProxyEnable\"=dword:00000001\n\"ProxyServer\"=\"anna:SECRET@[::1\"\n")
	reg("ProxyOverride", "["+internet+"]\n\"ProxyEnable\"=dword:00000001\n\"ProxyServer\"=\""+dead+"\"\n\"ProxyOverride\"=\"http://anna:SECRET@intranet.example;<local>\"\n")
	reg("AutoConfigURL", "["+internet+"]\n\"AutoConfigURL\"=\"http://anna:SECRET@"+dead+"/p.pac\"\n")
	reg("AutoConfigURL, malformed", "["+internet+"]\n\"AutoConfigURL\"=\"http://anna:SECRET%zz@"+dead+"/p.pac\"\n")
	reg("WUServer", "["+policy+"]\n\"WUServer\"=\"http://anna:SECRET@"+dead+"\"\n\"WUStatusServer\"=\"http://anna:SECRET@"+dead+"\"\n\n["+policy+"\\AU]\n\"UseWUServer\"=dword:00000001\n")
	reg("UpdateServiceUrlAlternate", "["+policy+"]\n\"WUServer\"=\"http://"+dead+"\"\n\"UpdateServiceUrlAlternate\"=\"http://anna:SECRET@"+dead+"\"\n\n["+policy+"\\AU]\n\"UseWUServer\"=dword:00000001\n")
	for name, text := range map[string]string{
		"netsh":                      "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  http://anna:SECRET@" + dead + "\r\n    Bypass List     :  <local>\r\n\r\n",
		"netsh, a list":              "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  http=anna:SECRET@" + dead + ";https=anna:SECRET@" + dead + "\r\n    Bypass List     :  anna:SECRET@intranet.example\r\n\r\n",
		"netsh, advanced":            "{\"Proxy\":\"http://anna:SECRET@" + dead + "\",\"ProxyBypass\":\"\",\"AutoconfigUrl\":\"http://anna:SECRET@" + dead + "/p.pac\",\"AutoDetect\":false}",
		"netsh with a stray percent": "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  anna:SECRET%zz@" + dead + "\r\n    Bypass List     :  (none)\r\n\r\n",
	} {
		add(planted{name: name, args: []string{"--all"}, files: map[string]string{"netsh-winhttp-show-proxy.txt": text}})
	}

	if len(list) < 50 {
		t.Fatalf("%d passwords are planted, want 50 at least", len(list))
	}
	t.Logf("%d passwords are planted", len(list))
	for _, p := range list {
		t.Run(p.name, func(t *testing.T) { p.test(t, dead) })
	}
}

func (p planted) test(t *testing.T, dead string) {
	var from []string
	if p.files != nil {
		dir := t.TempDir()
		for name, text := range p.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		from = []string{"--from", dir}
	}
	if p.env != "" {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
			t.Setenv(name, p.env)
		}
	}
	runs := [][]string{}
	for _, format := range traceFormats {
		args := append([]string{"trace"}, from...)
		if !strings.Contains(strings.Join(p.args, " "), "--dns") {
			args = append(args, "--dns", dead)
		}
		runs = append(runs, append(append(args, "--format", format), p.args...))
	}
	if from != nil {
		for _, format := range []string{"text", "json", "md", "html"} {
			runs = append(runs, append([]string{"diagnose", "--format", format}, from...))
		}
	}
	for _, args := range runs {
		var out bytes.Buffer
		code := Run(t.Context(), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: os.Getenv, GOOS: "linux", Version: "test"}, args)
		if out.Len() == 0 {
			t.Errorf("%s says nothing (exit code %d)", args[:4], code)
		}
		if from != nil && args[0] == "trace" && code == ExitUsage {
			t.Fatalf("the evidence is not read: %s", out.String())
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && unwanted(r) }); i >= 0 {
			t.Errorf("updoc %s prints %q", args[0], out.String()[max(0, i-40):min(out.Len(), i+20)])
		}
		for _, s := range p.forms() {
			if i := strings.Index(out.String(), s); i >= 0 {
				all := out.String()
				t.Errorf("updoc %s (exit code %d) shows it: ...%s...", args[0]+" "+args[len(args)-1], code, all[max(0, i-90):min(len(all), i+60)])
				break
			}
		}
	}
}

var core = regexp.MustCompile(`hUnter\d\d`)

// forms are the ways in which a password may be written.
func (p planted) forms() []string {
	quoted, _ := json.Marshal(p.secret)
	forms := []string{p.secret, core.FindString(p.secret), url.QueryEscape(p.secret), url.PathEscape(p.secret), html.EscapeString(p.secret), strings.Trim(string(quoted), `"`)}
	for _, user := range []string{"anna", `FABRIKAM\anna`, ""} {
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(user+":"+p.secret)))
	}
	return forms
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// playServer answers each connection once, from the head of its request, and returns
// its address.
func playServer(t *testing.T, answer func(head string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					var head strings.Builder
					for {
						line, err := in.ReadString('\n')
						if head.WriteString(line); err != nil {
							return
						}
						if strings.TrimSpace(line) == "" {
							break
						}
					}
					a := answer(head.String())
					if _, err := io.WriteString(c, a); err != nil || strings.Contains(a, "Connection: close") {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// echoAnswer is a 407 that sends back what it was sent wherever a field or a page can
// hold it.
func echoAnswer(head string) string {
	sent := ""
	for line := range strings.Lines(head) {
		if v, ok := strings.CutPrefix(line, "Proxy-Authorization: "); ok {
			sent = strings.TrimSpace(v)
		}
	}
	_, token, _ := strings.Cut(sent, " ")
	clear, _ := base64.StdEncoding.DecodeString(token)
	_, pass, _ := strings.Cut(string(clear), ":")
	body := "<html>\x1b[31m" + sent + " " + string(clear) + "</html>"
	return fmt.Sprintf("HTTP/1.1 407 %s\r\nProxy-Authenticate: Basic realm=\"%s\"\r\nProxy-Authenticate: X%s\r\nVia: 1.1 %s\r\nServer: \x1b[31m\x00\u202e%s %s\r\nX-Squid-Error: %s\r\nContent-Length: %d\r\n\r\n%s",
		pass, strings.ReplaceAll(string(clear), `"`, `\"`), token, pass, url.QueryEscape(pass), sent, clear, len(body), body)
}
