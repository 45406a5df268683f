package host_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// startupKeys is a registry for a look at what starts; nothing else is known.
type startupKeys map[string]host.Key

func (k startupKeys) Machine(context.Context) (host.Machine, error)      { return host.Machine{}, nil }
func (k startupKeys) Files(context.Context, string) ([]host.File, error) { return nil, nil }
func (k startupKeys) Open(context.Context, host.File) (io.ReadCloser, error) {
	return nil, host.ErrNotExist
}

func (k startupKeys) Service(context.Context, string) (host.Service, error) {
	return host.Service{}, host.ErrNotRecorded
}

func (k startupKeys) Ask(_ context.Context, q host.Question) (host.Answer, error) {
	if q.Name == host.AskSecurity {
		return host.Answer{JSON: []byte(`{"products":[{"kind":"antivirus","name":"Contoso Shield","state":1,"on":true,"current":true,"path":"C:\\Program Files\\Contoso\\shield.exe"}]}`)}, nil
	}
	return host.Answer{}, host.ErrNotRecorded
}

func (k startupKeys) Key(_ context.Context, p string) (host.Key, error) {
	v, ok := k[strings.ToLower(p)]
	if !ok {
		return host.Key{}, host.ErrNotExist
	}
	return v, nil
}

// startupSystem is a machine's files as far as they count here.
type startupSystem struct{}

func (startupSystem) Services(context.Context) (map[string]host.ServiceNow, error) {
	return map[string]host.ServiceNow{"fabrikamsync": {State: 4, Stops: true}, "fabrikamflt": {State: 4}, "nomark": {State: 4}}, nil
}

func (startupSystem) Program(_ context.Context, p string) host.Program {
	return host.Program{Version: "1.2.3.4", Signed: host.SignedInside, Signer: "Signer of " + p[strings.LastIndexByte(p, '\\')+1:]}
}

func (startupSystem) Tasks(_ context.Context, each func(string, []byte) bool) error {
	for _, t := range []struct{ name, triggers, action string }{
		{`\Fabrikam\At logon`, "<LogonTrigger/>", `<Exec><Command>"%ProgramFiles%\Fabrikam\tray.exe"</Command><Arguments>/quiet</Arguments></Exec>`},
		{`\Fabrikam\At boot`, "<BootTrigger><Enabled>true</Enabled></BootTrigger>", `<ComHandler><ClassId>{11111111-2222-3333-4444-555555555555}</ClassId></ComHandler>`},
		{`\Fabrikam\Daily`, "<CalendarTrigger/>", `<Exec><Command>C:\x.exe</Command></Exec>`},
		{`\Fabrikam\Trigger off`, "<LogonTrigger><Enabled>false</Enabled></LogonTrigger>", `<Exec><Command>C:\x.exe</Command></Exec>`},
	} {
		text := `<?xml version="1.0" encoding="UTF-16"?><Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><RegistrationInfo><Description>` + t.name +
			`</Description></RegistrationInfo><Triggers>` + t.triggers + `</Triggers><Settings><Enabled>true</Enabled></Settings><Actions>` + t.action + `</Actions></Task>`
		b := []byte{0xFF, 0xFE}
		for _, u := range utf16.Encode([]rune(text)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		if !each(t.name, b) {
			return nil
		}
	}
	each(`\Broken`, []byte("<Task>"))
	return nil
}

func (startupSystem) Folder(p string) ([]string, error) {
	switch p {
	case `C:\Program Files\Fabrikam`:
		return []string{"sync.exe", "tray.exe"}, nil
	case `C:\ProgramData\Microsoft\Windows\Start Menu\Programs\StartUp`:
		return []string{"desktop.ini", "Fabrikam.lnk"}, nil
	}
	return nil, host.ErrNotExist
}

func (startupSystem) Read(string, int64) ([]byte, error) {
	return shortcut(`C:\Program Files\Fabrikam\menu.exe`), nil
}

// shortcut makes a shortcut to a local file, with a list of item ids to skip.
func shortcut(to string) []byte {
	b := make([]byte, 0x4C)
	binary.LittleEndian.PutUint32(b, 0x4C)
	binary.LittleEndian.PutUint32(b[20:], 1|2)
	b = append(b, 3, 0, 'x', 'y', 'z') // IDList
	info := make([]byte, 0x1C)
	binary.LittleEndian.PutUint32(info[4:], 0x1C)
	binary.LittleEndian.PutUint32(info[8:], 1)
	binary.LittleEndian.PutUint32(info[16:], 0x1C)
	info = append(append(info, to...), 0)
	binary.LittleEndian.PutUint32(info[24:], uint32(len(info)))
	info = append(info, 0)
	binary.LittleEndian.PutUint32(info, uint32(len(info)))
	return append(b, info...)
}

func stored(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func regText(name, s string) winlog.RegValue {
	return winlog.RegValue{Name: name, Type: winlog.RegExpandSZ, Data: stored(s)}
}

func regNumber(name string, n uint32) winlog.RegValue {
	return winlog.RegValue{Name: name, Type: winlog.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}
}

func TestFindStartup(t *testing.T) {
	const (
		services = `hklm\system\currentcontrolset\services`
		machine  = `hklm\software\microsoft\windows\currentversion`
	)
	keys := startupKeys{
		services: {Subkeys: []string{"FabrikamSync", "FabrikamHosted", "FabrikamFlt", "Off", "PerUser_1a2b", "Settings"}},
		services + `\fabrikamsync`: {Values: []winlog.RegValue{
			regText("ImagePath", `C:\Program Files\Fabrikam\sync.exe -service`), regNumber("Type", 0x10), regNumber("Start", 2), regNumber("ErrorControl", 1), regText("DisplayName", "Fabrikam Sync"),
			{Name: "DependOnService", Type: winlog.RegMultiSZ, Data: append(stored("RpcSs"), stored("")...)},
		}},
		services + `\fabrikamhosted`:            {Values: []winlog.RegValue{regText("ImagePath", `%SystemRoot%\system32\svchost.exe -k netsvcs`), regNumber("Type", 0x20), regNumber("Start", 2)}},
		services + `\fabrikamhosted\parameters`: {Values: []winlog.RegValue{regText("ServiceDll", `%ProgramFiles%\Fabrikam\hosted.dll`)}},
		services + `\fabrikamflt`:               {Values: []winlog.RegValue{regNumber("Type", 2), regNumber("Start", 0), regText("Group", "FSFilter Virtualization")}},
		services + `\off`:                       {Values: []winlog.RegValue{regText("ImagePath", `C:\off.exe`), regNumber("Type", 0x10), regNumber("Start", 3)}},
		services + `\peruser_1a2b`:              {Values: []winlog.RegValue{regText("ImagePath", `C:\u.exe`), regNumber("Type", 0xE0), regNumber("Start", 2)}},
		services + `\settings`:                  {Values: []winlog.RegValue{regNumber("Start", 2)}},

		machine + `\run`: {Values: []winlog.RegValue{
			regText("Fabrikam Tray", `"C:\Program Files\Fabrikam\tray.exe" /min`), regText("Loader", `rundll32.exe "C:\Program Files\Fabrikam\load.dll",Begin`), regText("", "C:\\default.exe"),
		}},
		machine + `\runonce`:                             {Values: []winlog.RegValue{regText("Finish", `C:\Fabrikam\finish.exe`)}},
		machine + `\explorer\startupapproved\run`:        {Values: []winlog.RegValue{{Name: "Fabrikam Tray", Type: winlog.RegBinary, Data: []byte{3, 0, 0, 0}}}},
		machine + `\authentication\credential providers`: {Subkeys: []string{"{11111111-2222-3333-4444-555555555555}"}},

		`hklm\software\classes\clsid\{11111111-2222-3333-4444-555555555555}\inprocserver32`: {Values: []winlog.RegValue{regText("", `C:\Program Files\Fabrikam\logon.dll`)}},
		`hklm\system\currentcontrolset\control\safeboot\minimal`:                            {Subkeys: []string{"FabrikamFlt"}},
		`hklm\system\currentcontrolset\control\networkprovider\order`:                       {Values: []winlog.RegValue{regText("ProviderOrder", "FabrikamFlt,")}},
		`hklm\system\currentcontrolset\control\class`:                                       {Subkeys: []string{"{4d36e967-e325-11ce-bfc1-08002be10318}"}},
		`hklm\system\currentcontrolset\control\class\{4d36e967-e325-11ce-bfc1-08002be10318}`: {Values: []winlog.RegValue{
			regText("Class", "DiskDrive"), {Name: "UpperFilters", Type: winlog.RegMultiSZ, Data: append(stored("FabrikamFlt"), stored("")...)},
		}},
	}
	got, err := host.FindStartup(t.Context(), keys, startupSystem{}, `C:\Windows`)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(name string) host.Program {
		return host.Program{Version: "1.2.3.4", Signed: host.SignedInside, Signer: "Signer of " + name}
	}
	const run = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\`
	want := host.Startup{
		Entries: []host.StartupEntry{
			{Kind: "driver", Name: "FabrikamFlt", File: `C:\Windows\System32\drivers\FabrikamFlt.sys`, Program: signed("FabrikamFlt.sys"), On: true, Running: true, Group: "FSFilter Virtualization", SafeMode: true},
			{Kind: "folder", Name: "Fabrikam.lnk", Where: `C:\ProgramData\Microsoft\Windows\Start Menu\Programs\StartUp`, Command: `C:\Program Files\Fabrikam\menu.exe`, File: `C:\Program Files\Fabrikam\menu.exe`, Program: signed("menu.exe"), On: true, Start: -1},
			{Kind: "once", Name: "Finish", Where: run + "RunOnce", Command: `C:\Fabrikam\finish.exe`, File: `C:\Fabrikam\finish.exe`, Program: signed("finish.exe"), On: true, Start: -1},
			{Kind: "run", Name: "Fabrikam Tray", Where: run + "Run", Command: `"C:\Program Files\Fabrikam\tray.exe" /min`, File: `C:\Program Files\Fabrikam\tray.exe`, Program: signed("tray.exe"), Start: -1},
			{Kind: "run", Name: "Loader", Where: run + "Run", Command: `rundll32.exe "C:\Program Files\Fabrikam\load.dll",Begin`, File: `C:\Program Files\Fabrikam\load.dll`, Program: signed("load.dll"), On: true, Start: -1},
			{Kind: "service", Name: "FabrikamHosted", Command: `%SystemRoot%\system32\svchost.exe -k netsvcs`, File: `C:\Program Files\Fabrikam\hosted.dll`, Program: signed("hosted.dll"), On: true, Start: 2},
			{Kind: "service", Name: "FabrikamSync", Display: "Fabrikam Sync", Command: `C:\Program Files\Fabrikam\sync.exe -service`, File: `C:\Program Files\Fabrikam\sync.exe`, Program: signed("sync.exe"), On: true, Running: true, Stops: true, Start: 2, Error: 1, Needs: []string{"RpcSs"}},
			{Kind: "task", Name: `\Fabrikam\At boot`, Display: `\Fabrikam\At boot`, File: `C:\Program Files\Fabrikam\logon.dll`, Program: signed("logon.dll"), On: true, AtBoot: true, Start: -1},
			{Kind: "task", Name: `\Fabrikam\At logon`, Display: `\Fabrikam\At logon`, Command: `"%ProgramFiles%\Fabrikam\tray.exe" /quiet`, File: `C:\Program Files\Fabrikam\tray.exe`, Program: signed("tray.exe"), On: true, Start: -1},
		},
		Roles: []host.StartupRole{
			{Role: host.RoleCredentials, Name: "{11111111-2222-3333-4444-555555555555}", File: `C:\Program Files\Fabrikam\logon.dll`},
			{Role: host.RoleNetworkName, Name: "FabrikamFlt"},
			{Role: host.RoleSecurity, Name: "Contoso Shield", File: `C:\Program Files\Contoso\shield.exe`},
		},
		Filters: []host.ClassFilter{{Class: "{4d36e967-e325-11ce-bfc1-08002be10318}", Name: "DiskDrive", Upper: []string{"FabrikamFlt"}}},
		Unseen:  []host.Unseen{{Part: `task \Broken`, Why: "no definition of a task"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestShortcutTarget(t *testing.T) {
	good := shortcut(`C:\Tools\x.exe`)
	if got := host.ShortcutTarget(good); got != `C:\Tools\x.exe` {
		t.Errorf("got %q", got)
	}
	for n := range len(good) { // cut off anywhere
		if got := host.ShortcutTarget(good[:n]); got != "" {
			t.Errorf("the first %d bytes lead to %q", n, got)
		}
	}
	if got := host.ShortcutTarget(shortcut(`\\server\share\x.exe`)); got != "" {
		t.Errorf("a share is no local file: %q", got)
	}
}

func TestStartupEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := host.FindStartup(ctx, startupKeys{}, startupSystem{}, `C:\Windows`); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func FuzzReadTask(f *testing.F) {
	_ = startupSystem{}.Tasks(f.Context(), func(_ string, b []byte) bool { f.Add(b); return true })
	f.Add([]byte("<Task><Triggers><BootTrigger/></Triggers></Task>"))
	f.Add([]byte("</Task>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		task, err := host.ReadTask(b)
		if err != nil && task != (host.LogonTask{}) {
			t.Errorf("an error and %+v", task)
		}
	})
}

func FuzzShortcutTarget(f *testing.F) {
	f.Add(shortcut(`C:\Tools\x.exe`))
	f.Add([]byte("L\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p := host.ShortcutTarget(b); p != "" && (len(p) < 4 || p[1] != ':') {
			t.Errorf("%q", p)
		}
	})
}

func BenchmarkReadTask(b *testing.B) {
	var def []byte
	_ = startupSystem{}.Tasks(b.Context(), func(_ string, d []byte) bool { def = d; return false })
	b.SetBytes(int64(len(def)))
	for b.Loop() {
		if _, err := host.ReadTask(def); err != nil {
			b.Fatal(err)
		}
	}
}
