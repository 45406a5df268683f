package winlog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func systeminfoText(keys []string, values ...string) string {
	var b strings.Builder
	b.WriteString("\r\n")
	for i, k := range keys {
		b.WriteString(k + ":" + strings.Repeat(" ", max(1, 26-len([]rune(k)))) + values[i] + "\r\n")
	}
	return b.String()
}

var (
	sysEnglish = []string{
		"Host Name", "OS Name", "OS Version", "OS Manufacturer", "OS Configuration", "OS Build Type", "Registered Owner", "Registered Organization", "Product ID", "Original Install Date",
		"System Boot Time", "System Manufacturer", "System Model", "System Type", "Processor(s)", "BIOS Version", "Windows Directory", "System Directory", "Boot Device", "System Locale", "Input Locale", "Time Zone",
		"Total Physical Memory", "Available Physical Memory", "Virtual Memory: Max Size", "Virtual Memory: Available", "Virtual Memory: In Use", "Page File Location(s)", "Domain", "Logon Server", "Hotfix(s)", "Network Card(s)",
	}
	sysGerman = []string{
		"Hostname", "Betriebssystemname", "Betriebssystemversion", "Betriebssystemhersteller", "Betriebssystemkonfiguration", "Betriebssystem-Buildtyp", "Registrierter Benutzer", "Registrierte Organisation", "Produkt-ID", "Ursprüngliches Installationsdatum",
		"Systemstartzeit", "Systemhersteller", "Systemmodell", "Systemtyp", "Prozessor(en)", "BIOS-Version", "Windows-Verzeichnis", "System-Verzeichnis", "Startgerät", "Systemgebietsschema", "Eingabegebietsschema", "Zeitzone",
		"Gesamter physischer Speicher", "Verfügbarer physischer Speicher", "Virtueller Arbeitsspeicher: Maximale Größe", "Virtueller Arbeitsspeicher: Verfügbar", "Virtueller Arbeitsspeicher: Zurzeit verwendet", "Auslagerungsdateipfad(e)", "Domäne", "Anmeldeserver", "Hotfix(es)", "Netzwerkkarte(n)",
	}
	sysJapanese = []string{
		"ホスト名", "OS 名", "OS バージョン", "OS 製造元", "OS 構成", "OS ビルドの種類", "登録されている所有者", "登録されている組織", "プロダクト ID", "最初のインストール日付",
		"システム起動時間", "システム製造元", "システム モデル", "システムの種類", "プロセッサ", "BIOS バージョン", "Windows ディレクトリ", "システム ディレクトリ", "起動デバイス", "システム ロケール", "入力ロケール", "タイム ゾーン",
		"物理メモリの合計", "利用できる物理メモリ", "仮想メモリ: 最大サイズ", "仮想メモリ: 利用可能", "仮想メモリ: 使用中", "ページ ファイルの場所", "ドメイン", "ログオン サーバー", "ホットフィックス", "ネットワーク カード",
	}
)

func TestReadSystemInfo(t *testing.T) {
	const hotfixes = "3 Hotfix(s).\r\n                           [01]: KB5034467\r\n                           [02]: KB5012170\r\n                           [03]: KB5034441"
	const cards = "1 NIC.\r\n                           [01]: Intel(R) Ethernet\r\n                                 Connection Name: Ethernet\r\n                                 DHCP Server:     192.0.2.1"
	for name, c := range map[string]struct {
		in   string
		want MachineInfo
	}{
		"english": {
			systeminfoText(sysEnglish, "PC-0042", "Microsoft Windows 11 Pro", "10.0.22631 N/A Build 22631", "Microsoft Corporation", "Member Workstation", "Multiprocessor Free", "Somebody", "", "00330-80000-00000-AA123", "3/4/2030, 5:06:07 AM",
				"1/2/2031, 3:04:05 PM", "VMware, Inc.", "VMware20,1", "x64-based PC", "1 Processor(s) Installed.\r\n                           [01]: Intel64 Family 6 Model 142 Stepping 12 GenuineIntel ~1803 Mhz", "VMware, Inc. VMW201.00V, 1/1/2030", `C:\WINDOWS`, `C:\WINDOWS\system32`, `\Device\HarddiskVolume1`, "en-us;English (United States)", "de;German (Germany)", "(UTC-08:00) Pacific Time (US & Canada)",
				"16,236 MB", "8,000 MB", "18,668 MB", "9,000 MB", "9,668 MB", `C:\pagefile.sys`, "fabrikam.example", `\\DC01`, hotfixes, cards),
			MachineInfo{
				Host: "PC-0042", OSName: "Microsoft Windows 11 Pro", Version: "10.0.22631", Build: 22631, Arch: "x64", Domain: "fabrikam.example", Hotfixes: []string{"KB5034467", "KB5012170", "KB5034441"},
				BootTime: time.Date(2031, 1, 2, 15, 4, 5, 0, time.UTC), Locale: "en-us", Manufacturer: "VMware, Inc.", Model: "VMware20,1", VM: "VMware", PageFiles: []string{`C:\pagefile.sys`},
			},
		},
		"german, code page 850": {
			oem850(systeminfoText(sysGerman, "SRV-7", "Microsoft Windows Server 2019 Standard", "10.0.17763 Nicht zutreffend Build 17763", "Microsoft Corporation", "Mitgliedsserver", "Multiprocessor Free", "Wer", "", "00429-00000-00001-AA200", "04.03.2030, 05:06:07",
				"02.01.2031, 03:04:05", "Microsoft Corporation", "Virtual Machine", "x64-based PC", "1 Prozessor(en) installiert.", "American Megatrends Inc. 090008, 07.12.2030", `C:\Windows`, `C:\Windows\system32`, `\Device\HarddiskVolume2`, "de;Deutsch (Deutschland)", "de;Deutsch (Deutschland)", "(UTC+01:00) Amsterdam, Berlin",
				"4.095 MB", "2.000 MB", "5.000 MB", "3.000 MB", "2.000 MB", "C:\\pagefile.sys\r\n                                           D:\\pagefile.sys", "WORKGROUP", "Nicht zutreffend", hotfixes, cards)),
			MachineInfo{
				Host: "SRV-7", OSName: "Microsoft Windows Server 2019 Standard", Version: "10.0.17763", Build: 17763, Arch: "x64", Domain: "WORKGROUP", Server: true, Hotfixes: []string{"KB5034467", "KB5012170", "KB5034441"},
				BootTime: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC), Locale: "de", Manufacturer: "Microsoft Corporation", Model: "Virtual Machine", VM: "Hyper-V", PageFiles: []string{`C:\pagefile.sys`, `D:\pagefile.sys`},
			},
		},
		"japanese, utf-16": {
			utf16LE("\uFEFF" + systeminfoText(sysJapanese, "TOKYO-1", "Microsoft Windows 10 Pro", "10.0.19045 N/A ビルド 19045", "Microsoft Corporation", "スタンドアロン ワークステーション", "Multiprocessor Free", "誰か", "", "00330-80000-00000-AA456", "2030/03/04, 5:06:07",
				"2031/01/02, 13:04:05", "ExampleMaker", "Notebook 5", "ARM64-based PC", "1 プロセッサインストール済みです。", "X, 2030/01/01", `C:\WINDOWS`, `C:\WINDOWS\system32`, `\Device\HarddiskVolume1`, "ja;日本語", "ja;日本語", "(UTC+09:00) 大阪、札幌、東京",
				"8,000 MB", "4,000 MB", "9,000 MB", "5,000 MB", "4,000 MB", `C:\pagefile.sys`, "WORKGROUP", `\\TOKYO-1`, hotfixes, cards)),
			MachineInfo{
				Host: "TOKYO-1", OSName: "Microsoft Windows 10 Pro", Version: "10.0.19045", Build: 19045, Arch: "ARM64", Domain: "WORKGROUP", Hotfixes: []string{"KB5034467", "KB5012170", "KB5034441"},
				BootTime: time.Date(2031, 1, 2, 13, 4, 5, 0, time.UTC), Locale: "ja", Manufacturer: "ExampleMaker", Model: "Notebook 5", PageFiles: []string{`C:\pagefile.sys`},
			},
		},
		"excerpt": {
			"OS Name: Microsoft Windows 10 Pro\nOS Version: 10.0.19045 N/A Build 19045\nSystem Type: x86-based PC\nDomain: fabrikam.example\n",
			MachineInfo{OSName: "Microsoft Windows 10 Pro", Version: "10.0.19045", Build: 19045, Arch: "x86", Domain: "fabrikam.example"},
		},
		"ver, german":    {"\r\nMicrosoft Windows [Version 10.0.19045.4046]\r\n", MachineInfo{Version: "10.0.19045", Build: 19045, UBR: 4046}},
		"ver, windows 7": {"Microsoft Windows [Version 6.1.7601]\n", MachineInfo{Version: "6.1.7601", Build: 7601}},
		"winver": {
			"Microsoft Windows\nVersion 23H2 (Betriebssystembuild 22631.3007)\n", MachineInfo{Release: "23H2", Build: 22631, UBR: 3007},
		},
		"msinfo32": {
			utf16LE("\uFEFFSystem Information report written at: 01/02/31 03:04:05\r\nSystem Name: PC-9\r\n[System Summary]\r\n\r\nItem\tValue\t\r\nOS Name\tMicrosoft Windows 10 Pro\t\r\nVersion\t10.0.19045 Build 19045\t\r\nOther OS Description \tNot Available\t\r\n" +
				"OS Manufacturer\tMicrosoft Corporation\t\r\nSystem Name\tPC-9\t\r\nSystem Manufacturer\tQEMU\t\r\nSystem Model\tStandard PC (Q35 + ICH9, 2009)\t\r\nSystem Type\tx64-based PC\t\r\nPage File\tC:\\pagefile.sys\t\r\n"),
			MachineInfo{Host: "PC-9", OSName: "Microsoft Windows 10 Pro", Version: "10.0.19045", Build: 19045, Arch: "x64", Manufacturer: "QEMU", Model: "Standard PC (Q35 + ICH9, 2009)", VM: "KVM/QEMU", PageFiles: []string{`C:\pagefile.sys`}},
		},
		"msinfo32, french": {
			"Élément\tValeur\nNom du système d’exploitation\tMicrosoft Windows 11 Famille\nVersion\t10.0.26100 Build 26100\nAutre description\tNon disponible\nFabricant\tMicrosoft Corporation\nOrdinateur\tPC-FR\nFabricant\tExempleSA\nModèle\tPortable 3\nType\tPC à base de x64\n",
			MachineInfo{Host: "PC-FR", OSName: "Microsoft Windows 11 Famille", Version: "10.0.26100", Build: 26100, Arch: "x64", Manufacturer: "ExempleSA", Model: "Portable 3"},
		},
		"Get-ComputerInfo": {
			"WindowsProductName                                      : Windows 10 Enterprise\nOSDisplayVersion                                        : 22H2\nCsDomain                                                : fabrikam.example\nCsManufacturer                                          : Microsoft Corporation\nCsModel                                                 : Virtual Machine\nCsName                                                  : VM-3\nCsSystemType                                            : x64-based PC\nOsName                                                  : Microsoft Windows 11 Enterprise\nOsVersion                                               : 10.0.22621\nOsBuildNumber                                           : 22621\nOsHotFixes                                              : {KB5033920, KB5034123}\nOsLocale                                                : en-US\nOsLastBootUpTime                                        : 1/2/2031 3:04:05 AM\nOsProductType                                           : WorkStation\n",
			MachineInfo{
				Host: "VM-3", OSName: "Microsoft Windows 11 Enterprise", Version: "10.0.22621", Build: 22621, Release: "22H2", Arch: "x64", Domain: "fabrikam.example", Hotfixes: []string{"KB5033920", "KB5034123"},
				BootTime: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC), Locale: "en-us", Manufacturer: "Microsoft Corporation", Model: "Virtual Machine", VM: "Hyper-V",
			},
		},
		"wmic os": {
			"\r\r\nBuildNumber=17763\r\r\nCaption=Microsoft Windows Server 2019 Datacenter\r\r\nCSName=S1\r\r\nLastBootUpTime=20310102030405.500000+060\r\r\nVersion=10.0.17763\r\r\n",
			MachineInfo{Host: "S1", OSName: "Microsoft Windows Server 2019 Datacenter", Version: "10.0.17763", Build: 17763, Server: true, BootTime: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)},
		},
		"Get-HotFix": {
			"Source        Description      HotFixID      InstalledBy          InstalledOn\n------        -----------      --------      -----------          -----------\nPC-1          Update           KB5034467     NT AUTHORITY\\SYSTEM  1/2/2031 12:00:00 AM\nPC-1          Security Update  KB5034441\n",
			MachineInfo{Hotfixes: []string{"KB5034467", "KB5034441"}},
		},
		"nothing": {"just words\n", MachineInfo{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadSystemInfo(strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Hotfixes" || p.String() == "PageFiles" }, cmp.Comparer(func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestLocalTime(t *testing.T) {
	for _, c := range []struct {
		in, locale string
		want       time.Time
	}{
		{"1/2/2031, 3:04:05 PM", "en-us", time.Date(2031, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"1/2/2031 12:04:05 AM", "en-us", time.Date(2031, 1, 2, 0, 4, 5, 0, time.UTC)},
		{"01/02/2031, 15:04:05", "fr", time.Date(2031, 2, 1, 15, 4, 5, 0, time.UTC)},
		{"01/02/2031, 15:04:05", "", time.Time{}},
		{"13/02/2031, 15:04:05", "", time.Date(2031, 2, 13, 15, 4, 5, 0, time.UTC)},
		{"02.01.2031, 15:04:05", "", time.Date(2031, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"2031-01-02, 15:04:05", "", time.Date(2031, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"2031/1/2, 下午 3:04:05", "zh-tw", time.Date(2031, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"1/2/2031, 3:04:05 p. m.", "es-mx", time.Date(2031, 2, 1, 15, 4, 5, 0, time.UTC)},
		{"31/31/2031, 15:04:05", "", time.Time{}},
		{"N/A", "", time.Time{}},
	} {
		if got := localTime(c.in, c.locale); !got.Equal(c.want) {
			t.Errorf("%q in %q: %v, want %v", c.in, c.locale, got, c.want)
		}
	}
}

func FuzzReadSystemInfo(f *testing.F) {
	f.Add("Host Name: A\nOS Name: Microsoft Windows 10\nOS Version: 10.0.19045 N/A Build 19045\n")
	f.Add("a\tWindows\nb\t10.0.19045 x\n\t\t\n=\n")
	f.Add("LastBootUpTime=2031\nX: 00330-80000-00000-AA123\na: b\nc: 1/2/2031, 3:04:05 PM\n")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ReadSystemInfo(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if got.Build < 0 || got.Build > 99_999 || got.Build == 0 && got.UBR != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func BenchmarkReadSystemInfo(b *testing.B) {
	text := "Host Name:                 A\nOS Name:                   Microsoft Windows 10 Pro\nOS Version:                10.0.19045 N/A Build 19045\n" + strings.Repeat("                           [01]: KB5034467\n", 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if s, err := ReadSystemInfo(strings.NewReader(text)); err != nil || s.Build != 19045 {
			b.Fatal(s, err)
		}
	}
}
