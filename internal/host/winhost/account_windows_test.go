package winhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"updoc/internal/host"
)

// The service is a copy of this program in another role.
func TestMain(m *testing.M) {
	if code, ok := ServeWalk(context.Background(), os.Args[1:], &WinHTTP{}); ok {
		os.Exit(code)
	}
	if strings.EqualFold(filepath.Base(os.Args[0]), "tracerpt.exe") {
		os.Exit(standInTracerpt(os.Args[1:]))
	}
	if dir := os.Getenv(walker); dir != "" { // see TestAccountKilled
		a := &Account{SID: sidSystem, Dir: dir}
		if _, err := a.start(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("walking")
		time.Sleep(time.Minute)
	}
	os.Exit(m.Run())
}

const walker = "UPDOC_TEST_WALKER"

// walkServices are the helper services that there are.
func walkServices(t *testing.T) []string {
	t.Helper()
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Disconnect()
	names, err := m.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, servicePrefix) {
			out = append(out, n)
		}
	}
	return out
}

// A walk as an account of services goes through a service that is gone afterwards.
func TestAccount(t *testing.T) {
	if !windows.GetCurrentProcessToken().IsElevated() {
		t.Skip("CreateService: needs an administrator")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "seen "+r.URL.Path) }))
	defer s.Close()
	for _, sid := range []string{sidSystem, sidNetworkService} {
		t.Run(sid, func(t *testing.T) {
			dir := t.TempDir()
			a := &Account{SID: sid, Dir: dir}
			began := time.Now()
			for _, path := range []string{"/1", "/2"} {
				ex, err := a.Exchange(t.Context(), host.Request{Method: "GET", URL: s.URL + path})
				if err != nil {
					t.Fatal(err)
				}
				if string(ex.Body) != "seen "+path || ex.Status != 200 || ex.Broken() != nil {
					t.Errorf("%+v", ex)
				}
				t.Logf("%s after %v", path, time.Since(began).Round(time.Millisecond))
			}
			if ex, err := a.Exchange(t.Context(), host.Request{Method: "GET", URL: "http://nobody.invalid/"}); err != nil || ex.Broken() == nil || ex.Broken().Fault != host.FaultNoName {
				t.Errorf("%+v, %v", ex, err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("closed after %v", time.Since(began).Round(time.Millisecond))
			if left := walkServices(t); len(left) != 0 {
				t.Errorf("services left: %v", left)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

// A process that is killed while its service runs leaves none behind.
func TestAccountKilled(t *testing.T) {
	if !windows.GetCurrentProcessToken().IsElevated() {
		t.Skip("CreateService: needs an administrator")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), walker+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "walking" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for until := time.Now().Add(10 * time.Second); len(walkServices(t)) > 0 && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
	}
	if left := walkServices(t); len(left) != 0 {
		t.Errorf("services left: %v", left)
	}
	h := open(t)
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if err := h.RemoveLeftovers(dir); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) == 0 {
			return
		}
	}
	t.Error("the copy of the program is left")
}

func TestAccountUnknown(t *testing.T) {
	a := &Account{SID: "S-1-5-32-544", Dir: t.TempDir()}
	if _, err := a.Exchange(t.Context(), host.Request{Method: "GET", URL: "http://a.example/"}); !errors.Is(err, errAccount) {
		t.Error(err)
	}
}

// What a process that died has left is removed; what a living one uses is not.
func TestLeftovers(t *testing.T) {
	m, err := mgr.Connect()
	if err != nil {
		t.Skipf("OpenSCManager: %v", err)
	}
	defer m.Disconnect()
	dir := t.TempDir()
	copied := filepath.Join(dir, copyPrefix+"x.exe")
	if err := os.WriteFile(copied, []byte("MZ"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := servicePrefix + "4294967288-dead0000" // a process that cannot be
	s, err := m.CreateService(name, copied, mgr.Config{StartType: mgr.StartManual})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t).RemoveLeftovers(dir); err != nil {
		t.Fatal(err)
	}
	if left := walkServices(t); len(left) != 0 {
		t.Errorf("services left: %v", left)
	}
	if _, err := os.Stat(copied); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy: %v", err)
	}
}

// Words that are not the role's are somebody else's.
func TestServeWalk(t *testing.T) {
	for _, args := range [][]string{nil, {"diagnose"}, {serviceWord}, {serviceWord, "a", "b"}} {
		if _, ok := ServeWalk(t.Context(), args, nil); ok {
			t.Errorf("%v", args)
		}
	}
	if code, ok := ServeWalk(t.Context(), []string{serviceWord, `..\pipe`}, nil); !ok || code != 2 {
		t.Errorf("a pipe of another name: %d %v", code, ok)
	}
}
