package winlog

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
)

func ips(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestReadIPConfig(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want IPConfiguration
	}{
		"all, english": {
			`
Windows IP Configuration

   Host Name . . . . . . . . . . . . : PC-0042
   Primary Dns Suffix  . . . . . . . : fabrikam.example
   Node Type . . . . . . . . . . . . : Hybrid
   IP Routing Enabled. . . . . . . . : No
   WINS Proxy Enabled. . . . . . . . : No
   DNS Suffix Search List. . . . . . : fabrikam.example
                                       corp.fabrikam.example

Ethernet adapter Ethernet:

   Connection-specific DNS Suffix  . : lan.fabrikam.example
   Description . . . . . . . . . . . : Intel(R) Ethernet Connection (5) I219-LM
   Physical Address. . . . . . . . . : 00-15-5D-01-02-03
   DHCP Enabled. . . . . . . . . . . : Yes
   Autoconfiguration Enabled . . . . : Yes
   IPv6 Address. . . . . . . . . . . : fd00::5(Preferred) 
   Link-local IPv6 Address . . . . . : fe80::1234%5(Preferred) 
   IPv4 Address. . . . . . . . . . . : 192.0.2.10(Preferred) 
   Subnet Mask . . . . . . . . . . . : 255.255.255.0
   Lease Obtained. . . . . . . . . . : Thursday, January 2, 2031 3:04:05 AM
   Lease Expires . . . . . . . . . . : Friday, January 3, 2031 3:04:05 AM
   Default Gateway . . . . . . . . . : fe80::1%5
                                       192.0.2.1
   DHCP Server . . . . . . . . . . . : 192.0.2.1
   DHCPv6 IAID . . . . . . . . . . . : 50337117
   DHCPv6 Client DUID. . . . . . . . : 00-01-00-01-2A-BB-CC-DD-00-15-5D-01-02-03
   DNS Servers . . . . . . . . . . . : 192.0.2.53
                                       192.0.2.54
   NetBIOS over Tcpip. . . . . . . . : Enabled

Unknown adapter NordLynx:

   Media State . . . . . . . . . . . : Media disconnected
   Connection-specific DNS Suffix  . : 
   Description . . . . . . . . . . . : NordLynx Tunnel
   Physical Address. . . . . . . . . : 
   DHCP Enabled. . . . . . . . . . . : No
   Autoconfiguration Enabled . . . . : Yes
`,
			IPConfiguration{
				Host: "PC-0042", Suffix: "fabrikam.example", SearchList: []string{"fabrikam.example", "corp.fabrikam.example"},
				Adapters: []NetAdapter{
					{
						Line: 12, Title: "Ethernet adapter Ethernet", Description: "Intel(R) Ethernet Connection (5) I219-LM", MAC: "00-15-5D-01-02-03", Suffix: "lan.fabrikam.example", Connected: true, DHCP: true,
						Addrs: ips("fd00::5", "fe80::1234%5", "192.0.2.10"), Gateways: ips("fe80::1%5", "192.0.2.1"), DNS: ips("192.0.2.53", "192.0.2.54"),
					},
					{Line: 34, Title: "Unknown adapter NordLynx", Description: "NordLynx Tunnel", VPN: "NordVPN"},
				},
			},
		},
		"all, german, code page 850": {
			oem850(`
Windows-IP-Konfiguration

   Hostname  . . . . . . . . . . . . : SRV-7
   Primäres DNS-Suffix . . . . . . . : 
   Knotentyp . . . . . . . . . . . . : Hybrid
   IP-Routing aktiviert  . . . . . . : Nein
   WINS-Proxy aktiviert  . . . . . . : Nein

Ethernet-Adapter Ethernet 2:

   Verbindungsspezifisches DNS-Suffix: vpn.fabrikam.example
   Beschreibung. . . . . . . . . . . : Cisco AnyConnect Secure Mobility Client Virtual Miniport Adapter for Windows x64
   Physische Adresse . . . . . . . . : 00-05-9A-3C-7A-00
   DHCP aktiviert. . . . . . . . . . : Nein
   Autokonfiguration aktiviert . . . : Ja
   IPv4-Adresse  . . . . . . . . . . : 198.51.100.77(Bevorzugt) 
   Subnetzmaske  . . . . . . . . . . : 255.255.255.255
   Standardgateway . . . . . . . . . : 
   DNS-Server  . . . . . . . . . . . : 198.51.100.53
   NetBIOS über TCP/IP . . . . . . . : Aktiviert
`),
			IPConfiguration{
				Host: "SRV-7",
				Adapters: []NetAdapter{{
					Line: 10, Title: "Ethernet-Adapter Ethernet 2", Description: "Cisco AnyConnect Secure Mobility Client Virtual Miniport Adapter for Windows x64", MAC: "00-05-9A-3C-7A-00",
					Suffix: "vpn.fabrikam.example", Connected: true, Addrs: ips("198.51.100.77"), DNS: ips("198.51.100.53"), VPN: "Cisco AnyConnect",
				}},
			},
		},
		"short, french, wsl switch": {
			`
Configuration IP de Windows


Carte réseau sans fil Wi-Fi :

   Suffixe DNS propre à la connexion. . . : box.example
   Adresse IPv6 de liaison locale. . . . .: fe80::99%7
   Adresse IPv4. . . . . . . . . . . . . .: 192.0.2.33
   Masque de sous-réseau. . . . . . . . . : 255.255.255.0
   Passerelle par défaut. . . . . . . . . : 192.0.2.1
`,
			IPConfiguration{Adapters: []NetAdapter{{
				Line: 5, Title: "Carte réseau sans fil Wi-Fi", Suffix: "box.example", Connected: true, Addrs: ips("fe80::99%7", "192.0.2.33"), Gateways: ips("192.0.2.1"),
			}}},
		},
		"short, german, key without leader": {
			"\nWindows-IP-Konfiguration\n\nEthernet-Adapter Ethernet:\n\n   Verbindungsspezifisches DNS-Suffix:\n   IPv4-Adresse (Auto. Konfiguration): 169.254.51.84\n   Subnetzmaske  . . . . . . . . . . : 255.255.0.0\n   Standardgateway . . . . . . . . . : fe80::1%16\n                                       192.0.2.250\n",
			IPConfiguration{Adapters: []NetAdapter{{
				Line: 4, Title: "Ethernet-Adapter Ethernet", Addrs: ips("169.254.51.84"), Gateways: ips("fe80::1%16", "192.0.2.250"),
			}}},
		},
		"japanese, no lease": {
			"\nWindows IP 構成\n\nイーサネット アダプター イーサネット:\n\n   接続固有の DNS サフィックス . . . . .:\n   説明. . . . . . . . . . . . . . . . .: Example NIC\n   物理アドレス. . . . . . . . . . . . .: 00-15-5D-01-02-04\n   DHCP 有効 . . . . . . . . . . . . . .: はい\n   自動構成有効. . . . . . . . . . . . .: はい\n" +
				"   自動構成 IPv4 アドレス. . . . . . . .: 169.254.7.8(優先)\n   サブネット マスク . . . . . . . . . .: 255.255.0.0\n   デフォルト ゲートウェイ . . . . . . .:\n",
			IPConfiguration{Adapters: []NetAdapter{{
				Line: 4, Title: "イーサネット アダプター イーサネット", Description: "Example NIC", MAC: "00-15-5D-01-02-04", Addrs: ips("169.254.7.8"),
			}}},
		},
		"nothing": {"words\n", IPConfiguration{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadIPConfig(strings.NewReader(crlf(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, addrs); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestVPNProduct(t *testing.T) {
	for description, want := range map[string]string{
		"TAP-Windows Adapter V9":                     "OpenVPN (TAP-Windows)",
		"PANGP Virtual Ethernet Adapter Secure":      "GlobalProtect",
		"Fortinet SSL VPN Virtual Ethernet Adapter":  "FortiClient",
		"WireGuard Tunnel":                           "WireGuard",
		"Juniper Networks Virtual Adapter":           "Pulse/Ivanti Secure",
		"Wintun Userspace Tunnel":                    "Wintun",
		"Hyper-V Virtual Ethernet Adapter":           "",
		"VMware Virtual Ethernet Adapter for VMnet8": "",
		"Microsoft Wi-Fi Direct Virtual Adapter":     "",
		"Intel(R) Wi-Fi 6 AX201 160MHz":              "",
	} {
		if got := vpnProduct(description); got != want {
			t.Errorf("%q: %q, want %q", description, got, want)
		}
	}
}

func TestReadW32TM(t *testing.T) {
	for name, c := range map[string]struct {
		in          string
		want        TimeStatus
		sync, known bool
	}{
		"status, english": {
			"Leap Indicator: 0(no warning)\nStratum: 4 (secondary reference - syncd by (S)NTP)\nPrecision: -23 (119.209ns per tick)\nRoot Delay: 0.0312537s\nRoot Dispersion: 7.7750893s\nReferenceId: 0xC0000235 (source IP:  192.0.2.53)\nLast Successful Sync Time: 1/2/2031 3:04:05 AM\nSource: time.example.com,0x8 \nPoll Interval: 10 (1024s)\n\n",
			TimeStatus{Known: true, Leap: 0, Stratum: 4, ReferenceID: 0xC0000235, Source: "time.example.com,0x8", LastSync: "1/2/2031 3:04:05 AM"},
			true, true,
		},
		"verbose, german, local clock": {
			oem850("Sprungindikator: 3(nicht synchronisiert)\nStratum: 0 (nicht angegeben)\nPräzision: -23 (119.209ns pro Tick)\nStammverzögerung: 0.0000000s\nStammabweichung: 0.0000000s\nReferenz-ID: 0x00000000 (nicht angegeben)\nLetzte erfolgr. Synchronisierungszeit: nicht angegeben\nQuelle: Local CMOS Clock\nAbrufintervall: 6 (64s)\n\n" +
				"Phasendifferenz: -0.0003717s\nTaktfrequenz: 0.0156249s\nStatuscomputer: 1 (Halten)\n"),
			TimeStatus{Known: true, Leap: 3, Source: "Local CMOS Clock", LastSync: "nicht angegeben"},
			false, true,
		},
		"verbose, french": {
			"Indicateur de dérive : 0(aucun avertissement)\nCouche : 3 (référence secondaire - synchronisée par (S)NTP)\nPrécision : -23 (119.209ns par battement)\nDélai de racine : 0.0336332s\nDispersion de racine : 0.1054265s\nID de référence : 0xC6336435 (IP de la source :  198.51.100.53)\nHeure de la dernière synchronisation réussie : 02/01/2031 03:04:05\nSource : ntp.example.org\nIntervalle d’interrogation : 13 (8192s)\nDécalage de phase : -0.0003717s\nFréquence d’horloge : 0.0156249s\n",
			TimeStatus{Known: true, Stratum: 3, ReferenceID: 0xC6336435, Source: "ntp.example.org", LastSync: "02/01/2031 03:04:05", Offset: -0.0003717, HasOffset: true},
			true, true,
		},
		"stripchart": {
			"Tracking time.example.com [192.0.2.53:123].\nCollecting 3 samples.\nThe current time is 1/2/2031 3:04:05 AM.\n03:04:05, +3612.0212345s\n03:04:07, error: 0x800705B4\n03:04:09, d:+00.0312000s o:-03.5000000s  [  *  ]\n",
			TimeStatus{Known: true, Leap: -1, Stratum: -1, Server: "time.example.com", Samples: 2, Failures: 1, Offset: -3.5, HasOffset: true, Codes: []codes.HRESULT{0x800705B4}},
			false, false,
		},
		"resync, service stopped, spanish": {
			"Enviando el comando resync al equipo local\nError: El servicio no se ha iniciado. (0x80070426)\n",
			TimeStatus{Known: true, Leap: -1, Stratum: -1, Codes: []codes.HRESULT{0x80070426}},
			false, false,
		},
		"nothing": {"a: 1\nb: 2\n", TimeStatus{Leap: -1, Stratum: -1}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadW32TM(strings.NewReader(crlf(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if sync, known := got.Synchronised(); sync != c.sync || known != c.known {
				t.Errorf("synchronised %v, %v", sync, known)
			}
		})
	}
}

func FuzzReadNetState(f *testing.F) {
	f.Add("Ethernet:\n   IPv4 . . . : 192.0.2.1(x)\n   Mask . . . : 255.255.255.0\n   G . . . . : fe80::1%2\n        192.0.2.2\n")
	f.Add("L: 0(x)\nS: 4 (x)\nP: -23 (x)\nR: 0.1s\nR: 0.2s\nI: 0x00000000 (x)\nT: x\nQ: y\nA: 10 (1024s)\n03:04:05, +00.1s\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ReadIPConfig(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range c.Adapters {
			for _, ip := range append(append(append([]netip.Addr{}, a.Addrs...), a.Gateways...), a.DNS...) {
				if !ip.IsValid() {
					t.Fatalf("%+v", a)
				}
			}
		}
		ts, err := ReadW32TM(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if ts.Leap < -1 || ts.Leap > 3 || ts.Samples > 0 && !ts.Known {
			t.Fatalf("%+v", ts)
		}
	})
}

func BenchmarkReadIPConfig(b *testing.B) {
	text := strings.Repeat("Ethernet adapter X:\r\n\r\n   Connection-specific DNS Suffix  . : lan.example\r\n   Description . . . . . . . . . . . : NIC\r\n   Physical Address. . . . . . . . . : 00-15-5D-01-02-03\r\n   IPv4 Address. . . . . . . . . . . : 192.0.2.10(Preferred) \r\n   Subnet Mask . . . . . . . . . . . : 255.255.255.0\r\n\r\n", 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if c, err := ReadIPConfig(strings.NewReader(text)); err != nil || len(c.Adapters) != 20 {
			b.Fatal(c, err)
		}
	}
}

func BenchmarkReadW32TM(b *testing.B) {
	text := strings.Repeat("03:04:05, +00.0212345s\r\n", 500)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if s, err := ReadW32TM(strings.NewReader(text)); err != nil || s.Samples != 500 {
			b.Fatal(s, err)
		}
	}
}
