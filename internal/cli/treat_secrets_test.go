package cli

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// text is a REG_SZ.
func text(s string) winlog.RegValue {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return winlog.RegValue{Type: winlog.RegSZ, Data: b}
}

// TestTreatedSecrets plants passwords wherever a treatment reads or writes, and holds
// that nothing which is printed of plans, runs, undos and histories shows one.
func TestTreatedSecrets(t *testing.T) {
	const (
		internet = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
		policy   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	)
	var n atomic.Int32
	plant := func(form string) string {
		return fmt.Sprintf(form, fmt.Sprintf("Plant%02dedSecret", n.Add(1)))
	}
	blob := func(mark uint32, proxy, pac string) winlog.RegValue {
		p := winlog.ProxyBlob{Mark: mark, Counter: 1, Flags: winlog.ProxyFlagDirect | winlog.ProxyFlagStatic, Proxy: proxy, Bypass: "<local>"}
		if pac != "" {
			p.Flags, p.PAC = p.Flags|winlog.ProxyFlagAuto, pac
		}
		return winlog.RegValue{Type: winlog.RegBinary, Data: p.Encode()}
	}
	for _, name := range []string{"treat-proxy-asks", "treat-dead-system-proxy", "treat-hosts-blocked", "treat-datastore-damaged", "treat-client-id-empty"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, dir := sickPC(t, name)
			p := opened(t, dir)
			for _, c := range []host.Change{
				host.Set(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`, "WinHttpSettings", blob(winlog.MarkWinHTTP, plant("svc:%s@proxy.fabrikam.example:8080"), "")),
				host.Set(`HKCU\`+internet+`\Connections`, "DefaultConnectionSettings", blob(winlog.MarkConnection, plant("http=svc:%s@proxy.fabrikam.example:8080"), plant("http://svc:%s@wpad.fabrikam.example/wpad.dat"))),
				host.Set(`HKCU\`+internet, "ProxyServer", text(plant("http://svc:%s@proxy.fabrikam.example:8080"))),
				host.Set(`HKCU\`+internet, "AutoConfigURL", text(plant("http://svc:%s@wpad.fabrikam.example/wpad.dat"))),
				host.Set(policy, "WUServer", text(plant("http://svc:%s@wsus.fabrikam.example:8530"))),
				host.Set(policy, "WUStatusServer", text(plant("http://svc:%s@wsus.fabrikam.example:8530"))),
				host.Set(policy, "UpdateServiceUrlAlternate", text(plant("http://svc:%s@alt.fabrikam.example"))),
				{Kind: host.Write, Path: `C:\Windows\System32\drivers\etc\hosts`, Data: []byte(plant("# proxy login http://svc:%s@proxy.fabrikam.example\r\n0.0.0.0 fe2cr.update.microsoft.com\r\n"))},
			} {
				if err := p.Apply(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := p.Try(t.Context(), host.Attempt{Stage: "scan"}); err != nil {
				t.Fatal(err)
			}
			p.Close()
			for _, args := range []string{
				"fix --plan", "fix --plan --advice", "fix --plan --advice --format json", "fix --yes", "history", "undo", "fix --yes --format json --max-risk permanent",
				"history --format json", "undo --format json", "reset --plan --format json", "reset --yes", "undo",
			} {
				var out, errs bytes.Buffer
				code := Run(t.Context(), Env{Sleep: noSleep, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: os.Getenv, GOOS: "linux"}, append(strings.Fields(args), "--lab", dir))
				if code == ExitUsage && !strings.HasPrefix(args, "reset") {
					t.Errorf("%s: exit %d\n%s", args, code, &errs)
				}
				if all := out.String() + errs.String(); strings.Contains(all, "edSecret") {
					i := strings.Index(all, "edSecret")
					t.Errorf("%s shows a password: ...%s...", args, all[max(0, i-120):i+8])
				}
			}
			// The journal has to keep the bytes, and lies where administrators alone may read.
			files, err := filepath.Glob(filepath.Join(dir, "updoc", "*", "*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no journal: %v", err)
			}
			for _, f := range files {
				if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s may be read by others: %v, %v", f, info.Mode(), err)
				}
			}
		})
	}
}
