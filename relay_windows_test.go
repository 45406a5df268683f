package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/windows/registry"

	"updoc/internal/cli"
	"updoc/internal/winlog"
)

// askingProxy opens tunnels for whoever signs in as anna, and counts them.
func askingProxy(t *testing.T) (at string) {
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
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if req.Header.Get("Proxy-Authorization") != "Basic YW5uYTpzM2NyZXQ=" {
						io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"web\"\r\nContent-Length: 0\r\n\r\n")
						continue
					}
					io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
					return
				}
			}()
		}
	}()
	return l.Addr().String()
}

// On a live machine the services' setting leads to the relay while it runs, and is the
// same to the byte afterwards. Where nothing would end it if updoc were killed, because
// the machine schedules nothing, it is not begun.
func TestRelaySetLive(t *testing.T) {
	underWine(t)
	const path = `SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`
	proxy := askingProxy(t)
	before := winlog.ProxyBlob{Mark: winlog.MarkWinHTTPNew, Flags: 3, Proxy: proxy, Bypass: "<local>"}.Encode()
	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	old, _, oldErr := key.GetBinaryValue("WinHttpSettings")
	if err := key.SetBinaryValue("WinHttpSettings", before); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if oldErr == nil {
			_ = key.SetBinaryValue("WinHttpSettings", old)
		} else {
			_ = key.DeleteValue("WinHttpSettings")
		}
	}()
	now := func() []byte {
		b, _, err := key.GetBinaryValue("WinHttpSettings")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(secret, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var led []byte
	go func() { // looks while it runs, and ends it then
		for ctx.Err() == nil {
			if b := now(); !bytes.Equal(b, before) {
				led = b
				time.Sleep(2 * time.Second)
				cancel()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	var out bytes.Buffer
	code := cli.Run(ctx, cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
		GOOS: "windows", Version: "test", Live: live, State: func() (string, error) { return state, nil }, Admit: admit,
	}, []string{"relay", "--set", "--yes", "--user", "anna", "--password-fd", strconv.Itoa(int(fd))})
	t.Logf("exit %d\n%s", code, &out)
	if !bytes.Equal(now(), before) {
		t.Errorf("afterwards the setting is %x, was %x", now(), before)
	}
	scheduled := !strings.Contains(out.String(), "have it ended by itself")
	switch {
	case !scheduled && (code != cli.ExitBroken || led != nil):
		t.Errorf("begun without an end: exit %d, %x", code, led)
	case scheduled && led == nil:
		t.Error("nothing led to the relay")
	case scheduled:
		b, err := winlog.ParseWinHTTPBlob(led)
		if err != nil || !b.Auto() || b.Proxy != proxy || !strings.HasSuffix(b.PAC, "/services.pac") {
			t.Errorf("%+v, %v", b, err)
		}
	}
	if strings.Contains(out.String(), "s3cret") {
		t.Error("the password is shown")
	}
}
