package redact

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// want fills a template: {h X}, {u X}, {n X}, {s X}, {ip X}, {ip6 X}, {guid X} stand for the pseudonym of X.
func want(t *testing.T, r *Redactor, template string) string {
	t.Helper()
	return regexp.MustCompile(`\{(\w+) ([^}]*)\}`).ReplaceAllStringFunc(template, func(m string) string {
		kind, name, _ := strings.Cut(strings.Trim(m, "{}"), " ")
		s := &scanner{r: r, dry: 1}
		switch kind {
		case "h":
			return string(s.appendHost(nil, []byte(name)))
		case "u":
			return string(r.appendPseudonym(nil, userPrefix, []byte(name)))
		case "n":
			return string(r.appendPseudonym(nil, namePrefix, []byte(name)))
		case "s":
			return string(r.appendPseudonym(nil, serialPrefix, []byte(name)))
		case "guid":
			return string(s.appendGUID(nil, []byte(name)))
		case "ip":
			a, n := quad([]byte(name))
			if n != len(name) {
				t.Fatalf("no address: %s", name)
			}
			p, _ := s.ipv4(a)
			return string(appendIPv4(nil, p))
		}
		t.Fatalf("unknown template %s", m)
		return ""
	})
}

const guid = "12345678-9ABC-4DEF-8012-3456789ABCDE"

func TestReplaced(t *testing.T) {
	tests := []struct{ name, in, want string }{
		// Credentials.
		{"url", `http://anna:geheim@proxy.fabrikam.example:8080/`, `http://%5Bremoved%5D:%5Bremoved%5D@{h proxy.fabrikam.example}:8080/`},
		{"url, user only", `ftp://anna@files.fabrikam.example/x`, `ftp://%5Bremoved%5D@{h files.fabrikam.example}/x`},
		{"url, @ in password", `http://anna:ge@heim@prx:3128`, `http://%5Bremoved%5D:%5Bremoved%5D@{h prx}:3128`},
		{"proxy list", `http=anna:pw1@prx01:80;https=bob:pw2@prx02:443`, `http=%5Bremoved%5D:%5Bremoved%5D@{h prx01}:80;https=%5Bremoved%5D:%5Bremoved%5D@{h prx02}:443`},
		{"basic header", `Authorization: Basic YW5uYTpnZWhlaW0=`, `Authorization: Basic [removed]`},
		{"ntlm header", `Proxy-Authorization: NTLM TlRMTVNTUAADAAAAGAAYAHgAAAA=`, `Proxy-Authorization: NTLM [removed]`},
		{"negotiate header", `proxy-authorization: Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa8=`, `proxy-authorization: Negotiate [removed]`},
		{"digest header", `Proxy-Authorization: Digest username="anna", realm="x", response="6629fae49393a05397450978507c4ef1"`, `Proxy-Authorization: Digest [removed]`},
		{"bearer in prose", `sending Bearer abc123def456ghi789jkl now`, `sending Bearer [removed] now`},
		{"basic in prose", `used Basic YW5uYTpnZWhlaW0= for it`, `used Basic [removed] for it`},
		{"ntlm challenge", `Proxy-Authenticate: NTLM TlRMTVNTUAACAAAACAAIADgAAAA=`, `Proxy-Authenticate: NTLM [removed]`},
		{"ntlm blob", `type 3 message TlRMTVNTUAADAAAAGAAYAHgAAAA sent`, `type 3 message [removed] sent`},
		{"cookie", `Cookie: session=abcdef0123; user=anna`, `Cookie: [removed]`},
		{"set-cookie", `Set-Cookie: MSPAuth=Axyz; path=/; HttpOnly`, `Set-Cookie: [removed]`},
		{"header in curl", `curl -H "Authorization: Bearer abc.def" https://www.microsoft.com/`, `curl -H "Authorization: Bearer [removed]" https://www.microsoft.com/`},
		{"password", `password=geheim`, `password=[removed]`},
		{"password in a sentence", `connected with password=geheim to the share`, `connected with password=[removed] to the share`},
		{"password with blanks", `Password: drei Worte lang`, `Password: [removed]`},
		{"German", `Kennwort: "schön geheim", danach`, `Kennwort: "[removed]", danach`},
		{"Passwort", `Passwort = Sommer2031!`, `Passwort = [removed]`},
		{"connection string", `Server=tcp:db01.corp.example.com,1433;User ID=sa;Password=p;w=1;Encrypt=true`, `Server=tcp:{h db01.corp.example.com},1433;User ID={u sa};Password=[removed];w=1;Encrypt=true`},
		{"query", `https://x.fabrikam.example/a?user=1&access_token=abcdefgh12345&v=2`, `https://{h x.fabrikam.example}/a?user=1&access_token=[removed]&v=2`},
		{"sas", `https://fabrikam.blob.core.windows.net/c/f?sv=2031-01-01&sig=Zm9vYmFyYmF6cXV4%3D&se=1`, `https://{h fabrikam.blob.core.windows.net}/c/f?sv=2031-01-01&sig=[removed]&se=1`},
		{"signed download", `http://tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/` + guid + `?P1=1900000000&P2=404&P3=2&P4=Zm9vYmFyYmF6cXV4Zm9v%2fg%3d%3d`, `http://tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/` + guid + `?P1=1900000000&P2=404&P3=2&P4=[removed]`},
		{"client secret", `client_secret: 8Q~abcDEF123`, `client_secret: [removed]`},
		{"api key header", `x-api-key: 0123456789abcdef`, `x-api-key: [removed]`},
		{"json", `{"user_password": "ge\"heim", "n": 1}`, `{"user_password": "[removed]", "n": 1}`},
		{"json, named", `{"name":"Password","value":"geheim"}`, `{"name":"Password","value":"[removed]"}`},
		{"config", `<add key="ApiKey" value="geheim1"/>`, `<add key="ApiKey" value="[removed]"/>`},
		{"json in json", `{"a":"{\"password\":\"geheim\"}"}`, `{"a":"{\"password\":\"[removed]\"}"}`},
		{"PowerShell", `Connect-Thing -Password geheim -Force`, `Connect-Thing -Password [removed] -Force`},
		{"secure string", `ConvertTo-SecureString "geheim 1" -AsPlainText -Force`, `ConvertTo-SecureString "[removed]" -AsPlainText -Force`},
		{"switch /p:", `tool.exe /u:anna /p:geheim`, `tool.exe /u:anna /p:[removed]`},
		{"curl proxy-user", `curl --proxy-user anna:geheim -x prx:80`, `curl --proxy-user [removed] -x prx:80`},
		{"cmdkey", `cmdkey /add:srv01 /user:CORP\anna /pass:geheim`, `cmdkey /add:srv01 /user:{h CORP}\{u anna} /pass:[removed]`},
		{"schtasks", `schtasks /create /tn X /ru anna /rp geheim`, `schtasks /create /tn X /ru {u anna} /rp [removed]`},
		{"psexec", `psexec \\srv01 -u CORP\anna -p geheim cmd`, `psexec \\{h srv01} -u {h CORP}\{u anna} -p [removed] cmd`},
		{"net use", `net use Z: \\SRV01\daten geheim /user:CORP\anna`, `net use Z: \\{h SRV01}\daten [removed] /user:{h CORP}\{u anna}`},
		{"net use, password last", `NET USE \\SRV01\daten /user:anna geheim /persistent:no`, `NET USE \\{h SRV01}\daten /user:{u anna} [removed] /persistent:no`},
		{"net user", `net user anna Geheim1! /add`, `net user {u anna} [removed] /add`},
		{"bitsadmin", `bitsadmin /setcredentials job PROXY BASIC anna geheim`, `bitsadmin /setcredentials job PROXY BASIC {u anna} [removed]`},
		{"reg add", `reg add HKLM\X /v DefaultPassword /t REG_SZ /d geheim /f`, `reg add HKLM\X /v DefaultPassword /t REG_SZ /d [removed] /f`},
		{"cmdlet", `Invoke-Command -ComputerName PC01 -Credential CORP\anna -ScriptBlock {x}`, `Invoke-Command -ComputerName {h PC01} -Credential {h CORP}\{u anna} -ScriptBlock {x}`},
		{"sc config", `sc config svc obj= CORP\svc_x password= "geheim"`, `sc config svc obj= {h CORP}\{u svc_x} password= "[removed]"`},
		{"unattend", `<Password><Value>cGFzcw==</Value><PlainText>false</PlainText></Password>`, `<Password><Value>[removed]</Value><PlainText>false</PlainText></Password>`},
		{
			"unattend, lines", "<AdministratorPassword>\r\n  <Value>geheim</Value>\r\n  <PlainText>true</PlainText>\r\n</AdministratorPassword>\r\n<Value>frei</Value>",
			"<AdministratorPassword>\r\n  <Value>[removed]</Value>\r\n  <PlainText>true</PlainText>\r\n</AdministratorPassword>\r\n<Value>frei</Value>",
		},
		{"unattend, text on a line", "<Password>\ngeheim\n</Password>\nweiter", "<Password>\n[removed]\n</Password>\nweiter"},
		{"wifi", `<keyMaterial>geheimes WLAN</keyMaterial>`, `<keyMaterial>[removed]</keyMaterial>`},
		{"netsh wlan", `    Key Content            : geheimes WLAN`, `    Key Content            : [removed]`},
		{"netsh wlan, German", `    Schlüsselinhalt            : geheim`, `    Schlüsselinhalt            : [removed]`},
		{"soap cookie", `<EncryptedData>ZmFicmlrYW0=</EncryptedData><PlugInId>SimpleTargeting</PlugInId><CookieData>YWJj</CookieData>`, `<EncryptedData>[removed]</EncryptedData><PlugInId>SimpleTargeting</PlugInId><CookieData>[removed]</CookieData>`},
		{"escaped soap", `body &lt;CookieData&gt;YWJj&lt;/CookieData&gt; end`, `body &lt;CookieData&gt;[removed]&lt;/CookieData&gt; end`},
		{"device ticket", `msa_device t=EwAgA8qbAQAUfabrikamfabrikam0123&p= ok`, `msa_device t=[removed]&p= ok`},
		{"device element", `<TicketType Name="MSA"><Device>dAA9AEUAdwBBAGcAQQA4AHEAYgBBAFEAQQBVAGYA</Device></TicketType>`, `<TicketType Name="MSA"><Device>[removed]</Device></TicketType>`},
		{"jwt", `got eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl from it`, `got [removed] from it`},
		{"product key", `slmgr /ipk ABCDE-12345-FGHIJ-67890-KLMNO`, `slmgr /ipk [removed]`},
		{"recovery password", `Kennwort: 111111-222222-333333-444444-555555-666666-777777-888888`, `Kennwort: [removed]`},
		{"recovery password bare", `is 111111-222222-333333-444444-555555-666666-777777-888888.`, `is [removed].`},
		{
			"pem", "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabcdefgh==\n-----END RSA PRIVATE KEY-----\nweiter",
			"-----BEGIN RSA PRIVATE KEY-----\n[removed]\n[removed]\n-----END RSA PRIVATE KEY-----\nweiter",
		},
		{"pem in one line", `"key": "-----BEGIN PRIVATE KEY-----\nMIIEow==\n-----END PRIVATE KEY-----\n"`, `"key": "-----BEGIN PRIVATE KEY-----\n[removed]\n-----END PRIVATE KEY-----\n"`},
		{"reg string", `"DefaultPassword"="ge\\heim"`, `"DefaultPassword"="[removed]"`},
		{"reg query", `    DefaultPassword    REG_SZ    geheim mit Leerzeichen`, `    DefaultPassword    REG_SZ    [removed]`},
		{"reg secret", "[HKEY_LOCAL_MACHINE\\SECURITY\\Policy\\Secrets\\DefaultPassword\\CurrVal]\r\n@=hex:67,65,68,65,69,6d\r\n", "[HKEY_LOCAL_MACHINE\\SECURITY\\Policy\\Secrets\\DefaultPassword\\CurrVal]\r\n@=hex:5b,72,65,6d,6f,76,65,64,5d\r\n"},
		{"reg hash of hardware", "\"SusClientIDValidation\"=hex:06,02,\\\r\n  28,00\r\n", "\"SusClientIDValidation\"=hex:5b,72,65,6d,6f,76,65,64,5d\r\n"},
		{"product id", `Product ID:                00330-12345-67890-AAOEM`, `Product ID:                [removed]`},
		{"bare user in proxy list", `ProxyServer    REG_SZ    anna:geheim@prx01.corp.example.com:8080`, `ProxyServer    REG_SZ    %5Bremoved%5D:%5Bremoved%5D@{h prx01.corp.example.com}:8080`},

		{"spoken", `mein Passwort ist Sommer2031! und es geht nicht`, `mein Passwort ist [removed] und es geht nicht`},
		{"spoken, English", `I typed password hunter2.`, `I typed password [removed].`},
		{"spoken, with a sign", `my password is = geheim, help`, `my password is = [removed], help`},
		{"spoken, sign inside", `The other password is Dorsch=Netz78 and gives 0x80240017.`, `The other password is [removed] and gives 0x80240017.`},
		{"spoken, German, with a sign", `das Kennwort lautet: geheim`, `das Kennwort lautet: [removed]`},
		{"spoken, quoted", `the password is "ge heim" there`, `the password is "[removed]" there`},

		// The code of an error stays.
		{"code behind a password", `password=abc error 0x80246007`, `password=[removed] error 0x80246007`},
		{"code behind a password, German", `Kennwort: drei Worte lang, Fehlercode: 0x80246007`, `Kennwort: [removed], Fehlercode: 0x80246007`},
		{"code behind a password, in brackets", `Password: geheim (0x8024401B)`, `Password: [removed] (0x8024401B)`},
		{"code behind a password, comma", `x password=geheim,0x8024401b`, `x password=[removed],0x8024401b`},
		{"code with an extension", `Password: geheim gives 0xC1900101-0x20017 again`, `Password: [removed] gives 0xC1900101-0x20017 again`},
		{"code behind a serial number", `Serial Number: PF3ABC12 shows 0x800f0922`, `Serial Number: {s PF3ABC12} shows 0x800f0922`},
		{"code far behind a serial number", `Serial Number: PF3ABC12 and this one shows 0x800f0922`, `Serial Number: {s PF3ABC12} and this one shows 0x800f0922`},
		{"code behind a user", `User name: anna gets 0x80070005`, `User name: {u anna} gets 0x80070005`},
		{"code behind an owner", `Registered Owner: Anna Beispiel with 0x80070005`, `Registered Owner: {u Anna Beispiel} with 0x80070005`},
		{"code behind a cookie", `Cookie: a=b; c=d failed: 0x8024401B`, `Cookie: [removed] failed: 0x8024401B`},
		{"code in net use", `net use \\srv01\x geheim 0x80070035`, `net use \\{h srv01}\x [removed] 0x80070035`},
		{"what is no code", `Password: a 0x1234 0x80246007z`, `Password: [removed]`},

		// Keys that only their shape betrays. Each is made up.
		{"aws", `AWS AKIAQ7RMBLTWFRK3WXYZ, ASIAQ7RMBLTWFRK3WXYZ.`, `AWS [removed], [removed].`},
		{"github", `ghp_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo/gho_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo`, `[removed]/[removed]`},
		{"github, app", `"ghs_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo" ghu_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo ghr_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo`, `"[removed]" [removed] [removed]`},
		{"github, fine-grained", `at github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567 now`, `at [removed] now`},
		{"gitlab", `PRIVATE glpat-aBcDeFgHiJkLmNoPqRsT glrt-t1_aBcDeFgHiJkLmNoPqRsT`, `PRIVATE [removed] [removed]`},
		{"slack", `(xoxb-1234567890-1234567890123-aBcDeFgHiJkLmNoPqRsTuVwX) xoxp-1234567890-abcdef.`, `([removed]) [removed].`},
		{"stripe", `sk_live_aBcDeFgHiJkLmNoPqRsTuVwX; rk_live_aBcDeFgHiJkLmNoPqRsTuVwX`, `[removed]; [removed]`},
		{"google", `key=AIzaSyA-bCdEfGhIjKlMnOpQrStUvWxYz012345`, `key=[removed]`},
		{"npm", `:_x=npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789`, `:_x=[removed]`},
		{"between typographic quotes", "“npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789”", "“[removed]”"},
		{"sas, first", `?sig=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE%3D&sp=rl 0x80190193`, `?sig=[removed]&sp=rl 0x80190193`},
		{"sas, connection string", `SharedAccessSignature=sv=2031-01-01&sig=Zm9vYmFyYmF6cXV4%3D;EndpointSuffix=core.windows.net`, `SharedAccessSignature=[removed]&sig=[removed];EndpointSuffix=core.windows.net`},
		{"pem of openssh", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\nweiter", "-----BEGIN OPENSSH PRIVATE KEY-----\n[removed]\n-----END OPENSSH PRIVATE KEY-----\nweiter"},
		{
			"openpgp", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x v2\n\nlQOYBGAbcdef\n=aBcD\n-----END PGP PRIVATE KEY BLOCK-----\nweiter",
			"-----BEGIN PGP PRIVATE KEY BLOCK-----\n[removed]\n\n[removed]\n[removed]\n-----END PGP PRIVATE KEY BLOCK-----\nweiter",
		},
		{"compound", "PROXY_PASS=geheim\nSecretAccessKey: abc/def", "PROXY_PASS=[removed]\nSecretAccessKey: [removed]"},

		// Users.
		{"account, capitalised", `logged on as CORP\Anna now`, `logged on as {h CORP}\{u Anna} now`},
		{"account, lower case", `als corp\anna angemeldet`, `als {h corp}\{u anna} angemeldet`},
		{"profile", `C:\Users\anna\AppData\Local\Temp`, `C:\Users\{u anna}\AppData\Local\Temp`},
		{"profile with blank", `C:\Users\Anna Beispiel\Desktop`, `C:\Users\{u Anna Beispiel}\Desktop`},
		{"profile at the end", `Pfad C:\Users\Anna Beispiel`, `Pfad C:\Users\{u Anna Beispiel}`},
		{"profile in prose", `from C:\Users\anna to D:\Users\bob\x`, `from C:\Users\{u anna} to D:\Users\{u bob}\x`},
		{"profile, quoted", `"C:\Users\anna beispiel" missing`, `"C:\Users\{u anna beispiel}" missing`},
		{"profile, escaped", `{"p":"C:\\Users\\anna\\x"}`, `{"p":"C:\\Users\\{u anna}\\x"}`},
		{"profile, slashes", `path C:/Users/anna/x`, `path C:/Users/{u anna}/x`},
		{"profile, URL", `file:///C:/Users/Anna%20Beispiel/proxy.pac`, `file:///C:/Users/{u Anna Beispiel}/proxy.pac`},
		{"profile of XP", `C:\Dokumente und Einstellungen\anna\Desktop`, `C:\Dokumente und Einstellungen\{u anna}\Desktop`},
		{"home", `/home/anna/logs`, `/home/{u anna}/logs`},
		{"roaming profile", `\\SRV01\profiles$\anna.V6\NTUSER.DAT`, `\\{h SRV01}\profiles$\{u anna.V6}\NTUSER.DAT`},
		{"profile on another drive", `E:\Profile\anna\AppData\Roaming\x`, `E:\Profile\{u anna}\AppData\Roaming\x`},
		{"onedrive", `D:\OneDrive - Fabrikam GmbH\x`, `D:\OneDrive - {n Fabrikam GmbH}\x`},
		{"account", `initiated by CORP\anna for scan`, `initiated by {h CORP}\{u anna} for scan`},
		{"account, escaped", `"by":"CORP\\anna.beispiel"`, `"by":"{h CORP}\\{u anna.beispiel}"`},
		{"whoami", `corp\anna`, `{h corp}\{u anna}`},
		{"computer account", `CORP\PC01$ asked`, `{h CORP}\{h PC01}$ asked`},
		{"account key", `Executing Account Name : CORP\anna, anna@corp.example.com`, `Executing Account Name : {h CORP}\{u anna}, {u anna}@{h corp.example.com}`},
		{"upn", `UPN anna.beispiel@corp.example.com failed`, `UPN {u anna.beispiel}@{h corp.example.com} failed`},
		{"mail, escaped", `login_hint=anna%40fabrikam.example&x=1`, `login_hint={u anna}%40{h fabrikam.example}&x=1`},
		{"mail at a public host", `to anna@outlook.com`, `to {u anna}@outlook.com`},
		{"set", "USERNAME=anna\r\nUSERDOMAIN=CORP\r\nCOMPUTERNAME=PC01\r\nLOGONSERVER=\\\\DC01", "USERNAME={u anna}\r\nUSERDOMAIN={h CORP}\r\nCOMPUTERNAME={h PC01}\r\nLOGONSERVER=\\\\{h DC01}"},
		{"net user table", `User name                    anna`, `User name                    {u anna}`},
		{"owner", `Registered Owner:          Anna Beispiel`, `Registered Owner:          {u Anna Beispiel}`},
		{"organisation, German", `Registrierte Organisation:  Fabrikam GmbH`, `Registrierte Organisation:  {n Fabrikam GmbH}`},
		{"event data", `<Data Name='TargetUserName'>anna</Data><Data Name="serverName">prx01</Data>`, `<Data Name='TargetUserName'>{u anna}</Data><Data Name="serverName">{h prx01}</Data>`},
		{"setup profile", `MIG    Name: anna, Domain: CORP, Profile: C:\Users\anna SidString`, `MIG    Name: {u anna}, Domain: {h CORP}, Profile: C:\Users\{u anna} SidString`},
		{"for user", `Failed to load the hive for user jdoe with 0x80070005`, `Failed to load the hive for user {u jdoe} with 0x80070005`},
		{"for user, at the end", `scan requested by user anna.beispiel.`, `scan requested by user {u anna.beispiel}.`},
		{"for user, quoted", `for user 'Anna Beispiel' it fails`, `for user '{u Anna Beispiel}' it fails`},
		{"for user, German", `Anmeldung als Benutzer jdoe scheitert`, `Anmeldung als Benutzer {u jdoe} scheitert`},
		{"cp1252 name", "C:\\Users\\M\xfcller\\x", "C:\\Users\\{u Müller}\\x"},

		// Machines and domains.
		{"systeminfo", `Host Name:                 PC-ANNA`, `Host Name:                 {h PC-ANNA}`},
		{"systeminfo, German", `Domäne:                      corp.example.com`, `Domäne:                      {h corp.example.com}`},
		{"ipconfig", `   Host Name . . . . . . . . . . . . : PC01`, `   Host Name . . . . . . . . . . . . : {h PC01}`},
		{"ipconfig, German", `   Verbindungsspezifisches DNS-Suffix: corp.example.com`, `   Verbindungsspezifisches DNS-Suffix: {h corp.example.com}`},
		{"unc", `copy \\WSUS01\Content\x.cab`, `copy \\{h WSUS01}\Content\x.cab`},
		{"unc, dotted", `\\wsus01.corp.example.com\WsusContent`, `\\{h wsus01.corp.example.com}\WsusContent`},
		{"unc, escaped", `{"p":"\\\\SRV01\\share"}`, `{"p":"\\\\{h SRV01}\\share"}`},
		{"unc, long form", `\\?\UNC\SRV01\share\x`, `\\?\UNC\{h SRV01}\share\x`},
		{"wsus url", `WSUS server: http://WSUS01:8530`, `WSUS server: http://{h WSUS01}:8530`},
		{"wsus policy", `    WUServer    REG_SZ    https://wsus01.corp.example.com:8531`, `    WUServer    REG_SZ    https://{h wsus01.corp.example.com}:8531`},
		{"wsus policy without scheme", `    WUServer    REG_SZ    wsus01:8530`, `    WUServer    REG_SZ    {h wsus01}:8530`},
		{"fqdn in prose", `Could not resolve srv01.fabrikam.local at all`, `Could not resolve {h srv01.fabrikam.local} at all`},
		{"co.uk", `at www.fabrikam.co.uk now`, `at {h www.fabrikam.co.uk} now`},
		{"netsh", `    Proxy Server(s) :  prx01:8080`, `    Proxy Server(s) :  {h prx01}:8080`},
		{"netsh bypass", `    Bypass List     :  <local>;*.corp.example.com;wsus01;10.*`, `    Bypass List     :  <local>;*.{h corp.example.com};{h wsus01};10.*`},
		{"netsh, German", `    Proxyserver:  prx01:8080`, `    Proxyserver:  {h prx01}:8080`},
		{"log", `Proxy List: 'prx01.corp.example.com:8080', Bypass List: '*.corp.example.com'`, `Proxy List: '{h prx01.corp.example.com}:8080', Bypass List: '*.{h corp.example.com}'`},
		{"legacy log", `Initializing simple targeting cookie, clientId = 12345678-9abc-4def-8012-3456789abcde, target group = , DNS name = pc01.corp.example.com`, `Initializing simple targeting cookie, clientId = {guid 12345678-9abc-4def-8012-3456789abcde}, target group = , DNS name = {h pc01.corp.example.com}`},
		{"pac return", `return "PROXY prx01:8080; SOCKS5 prx02:1080; DIRECT";`, `return "PROXY {h prx01}:8080; SOCKS5 {h prx02}:1080; DIRECT";`},
		{"pac compare", `if (host == "WSUS01" || dnsDomainIs(host, ".corp.example.com")) return "DIRECT";`, `if (host == "{h WSUS01}" || dnsDomainIs(host, ".{h corp.example.com}")) return "DIRECT";`},
		{"pac wildcard", `if (shExpMatch(host, "*.Corp.example.com"))`, `if (shExpMatch(host, "*.{h Corp.example.com}"))`},
		{"pac list", "function FindProxyForURL(url, host) {\nvar direct = [\"srv01\", \"intranet\"];", "function FindProxyForURL(url, host) {\nvar direct = [\"{h srv01}\", \"{h intranet}\"];"},
		{"pac isInNet", `if (isInNet(host, "10.20.0.0", "255.255.0.0")) return "DIRECT";`, `if (isInNet(host, "{ip 10.20.0.0}", "255.255.0.0")) return "DIRECT";`},
		{"ping", `Pinging srv01 [192.0.2.7] with 32 bytes of data:`, `Pinging {h srv01} [{ip 192.0.2.7}] with 32 bytes of data:`},
		{"setupact", `Computer name is WIN-4F7K2QD9ABC`, `Computer name is {h WIN-4F7K2QD9ABC}`},
		{"generated name", `on DESKTOP-4F7K2QD it`, `on {h DESKTOP-4F7K2QD} it`},
		{"spn", `HTTP/wsus01.corp.example.com not found`, `HTTP/{h wsus01.corp.example.com} not found`},
		{"hosts file", `192.0.2.5  srv01.fabrikam.example`, `{ip 192.0.2.5}  {h srv01.fabrikam.example}`},
		{"spoken server", `connecting to server WSUS01 failed`, `connecting to server {h WSUS01} failed`},
		{"spoken, German", `Der Rechner nb-0417 findet nichts`, `Der Rechner {h nb-0417} findet nichts`},
		{"tenant", `fabrikam.onmicrosoft.com`, `{h fabrikam.onmicrosoft.com}`},
		{"srv record", `_ldap._tcp.dc._msdcs.corp.example.com`, `_ldap._tcp.{h dc}._msdcs.{h corp.example.com}`},
		{"escaped url", `u=https%3A%2F%2Fsrv01.corp.example.com%2Fx`, `u=https%3A%2F%2F{h srv01.corp.example.com}%2Fx`},
		{"event computer", `<Computer>PC01.corp.example.com</Computer>`, `<Computer>{h PC01.corp.example.com}</Computer>`},
		{"trailing dot", `resolve srv01.corp.example.com. now`, `resolve {h srv01.corp.example.com}. now`},
		{"recorded output", `{"out":"Host Name:     PC01\r\nDomain:        corp\r\nRegistered Owner:   Anna Beispiel\r\n\\\\SRV01\\x"}`, `{"out":"Host Name:     {h PC01}\r\nDomain:        {h corp}\r\nRegistered Owner:   {u Anna Beispiel}\r\n\\\\{h SRV01}\\x"}`},
		{"json of Go", `{"x":"\u003cPassword\u003egeheim\u003c/Password\u003e"}`, `{"x":"\u003cPassword\u003e[removed]\u003c/Password\u003e"}`},

		{"legacy proxy list", `Proxy List used: <http=prx01:8080;https=prx01:8080> Bypass List used : <*.corp.example.com;<local>> Auth`, `Proxy List used: <http={h prx01}:8080;https={h prx01}:8080> Bypass List used : <*.{h corp.example.com};<local>> Auth`},
		{"bypass with a stem", `    Bypass List     :  wsus*;*fabrikam.example`, `    Bypass List     :  {h wsus}*;*{h fabrikam.example}`},
		{"directory", `CN=PC01,OU=Bern,DC=corp,DC=example`, `CN={h PC01},OU={n Bern},DC={h corp},DC=example`},
		{"inspecting proxy", `Issuer: CN=Fabrikam Root CA, O=Fabrikam AG, C=CH`, `Issuer: CN={n Fabrikam Root CA}, O={n Fabrikam AG}, C=CH`},
		{"zone map", `[HKEY_CURRENT_USER\Software\X\ZoneMap\Domains\corp.example.com\intranet]`, `[HKEY_CURRENT_USER\Software\X\ZoneMap\Domains\{h corp.example.com}\{h intranet}]`},
		{"gpresult", `RSOP data for CORP\anna on PC01 : Logging Mode`, `RSOP data for {h CORP}\{u anna} on {h PC01} : Logging Mode`},
		{"klist", `Client: anna @ CORP.EXAMPLE.COM`, `Client: {u anna} @ {h CORP.EXAMPLE.COM}`},
		{"squid", `TCP_DENIED/407 4012 CONNECT fe2cr.update.microsoft.com:443 anna HIER_NONE/- text/html`, `TCP_DENIED/407 4012 CONNECT fe2cr.update.microsoft.com:443 {u anna} HIER_NONE/- text/html`},
		{"named twice", `MPname: SCCM01, Site: Q01, Lookup: 'sccm01'`, `MPname: {h SCCM01}, Site: Q01, Lookup: '{h sccm01}'`},
		{"whoami /all", "corp\\anna S-1-5-18 x S-1-5-21-1-2-3-4", "corp\\anna S-1-5-18 x " + sidOf(1, 2, 3) + "-4"},
		{"whoami /all, user", `corp\anna   S-1-5-21-1-2-3-4`, `{h corp}\{u anna}   ` + sidOf(1, 2, 3) + `-4`},

		// Addresses and identifiers.
		{"private address", `IPv4 Address. . . : 10.20.30.40(Preferred)`, `IPv4 Address. . . : {ip 10.20.30.40}(Preferred)`},
		{"address with port", `connect 203.0.113.9:443 timed out`, `connect {ip 203.0.113.9}:443 timed out`},
		{"url address", `http://192.168.7.8:8530/ClientWebService`, `http://{ip 192.168.7.8}:8530/ClientWebService`},
		{"unc address", `\\172.20.1.2\share`, `\\{ip 172.20.1.2}\share`},
		{"dns server", `DNS Servers . . . : 1.1.1.1`, `DNS Servers . . . : {ip 1.1.1.1}`},
		{"address list", `                     8.8.4.4`, `                     {ip 8.8.4.4}`},
		{"network", `route 10.20.0.0/16 via 10.20.0.1`, `route {ip 10.20.0.0}/16 via {ip 10.20.0.1}`},
		{"sid domain", `owner S-1-5-21-1-2-3`, "owner " + sidOf(1, 2, 3)},
		{"uuid", `UUID : ` + guid, `UUID : {guid ` + guid + `}`},
		{"susclientid", `"SusClientId"="` + strings.ToLower(guid) + `"`, `"SusClientId"="{guid ` + strings.ToLower(guid) + `}"`},
		{"dsregcmd", `                  TenantId : ` + strings.ToLower(guid), `                  TenantId : {guid ` + strings.ToLower(guid) + `}`},
		{"serial", `SerialNumber=PF0ABC12`, `SerialNumber={s PF0ABC12}`},
		{"serial, German", `Seriennummer:  5CG1234XYZ`, `Seriennummer:  {s 5CG1234XYZ}`},
		{"wmic", "SerialNumber  \r\r\nPF0ABC12      \r\r\n\r\r\n", "SerialNumber  \r\r\n{s PF0ABC12}      \r\r\n\r\r\n"},
		{"target group", `"TargetGroup"="Kiel South"`, `"TargetGroup"="{n Kiel South}"`},
		{"target group, reg query", `    TargetGroup    REG_SZ    Kiel South`, `    TargetGroup    REG_SZ    {n Kiel South}`},
		{"target group, legacy log", `cookie, target group = Kiel South, DNS name = pc01.corp.example.com`, `cookie, target group = {n Kiel South}, DNS name = {h pc01.corp.example.com}`},
		{"volume serial", ` Volume Serial Number is 1A2B-3C4D`, ` Volume Serial Number is {s 1A2B-3C4D}`},
		{"ssid", `    SSID                   : Fabrikam-Intern`, `    SSID                   : {n Fabrikam-Intern}`},
	}
	t.Logf("%d rows", len(tests))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Redactor{Key: []byte("k")}
			got := r.String(tt.in)
			if diff := cmp.Diff(want(t, r, tt.want), got); diff != "" {
				t.Errorf("String(%q) (-want +got):\n%s", tt.in, diff)
			}
			if again := r.String(got); again != got {
				t.Errorf("redacted twice:\n1: %q\n2: %q", got, again)
			}
		})
	}
}

func sidOf(parts ...uint32) string {
	s := &scanner{r: &Redactor{Key: []byte("k")}}
	s.hideSID(parts)
	return fmt.Sprintf("S-1-5-21-%d-%d-%d", parts[0], parts[1], parts[2])
}

func TestKept(t *testing.T) {
	tests := []string{
		// Microsoft's hosts, issuers, standards.
		"HTTPS://slscr.update.microsoft.com/SLS/{9482F4B4-E343-43B6-B170-9A65BC822C77}/x64/10.0.22631.3235/0?CH=259&L=en-US&P=&PT=0x65&WUA=1215.2401.19022.0&MK=FABRIKAM&MD=Book+14",
		"https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx",
		"0.0.0.0 fe3.delivery.mp.microsoft.com",
		"127.0.0.1 localhost",
		"http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab",
		"http://www.msftconnecttest.com/connecttest.txt, www.msftncsi.com, login.live.com, ocsp.digicert.com, crl.globalsign.net",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:x="http://www.w3.org/2001/XMLSchema">`,
		"http://schemas.microsoft.com/msus/2002/12/UpdateHandlers/Cbs",
		"http://wpad/wpad.dat and http://localhost:8530/",
		"Proxy Behavior set to 1 for service url https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx",

		// Versions.
		"Package_for_KB5099999~31bf3856ad364e35~amd64~~10.0.1.1",
		"Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~6.4.1.0 [HRESULT = 0x800f0831]",
		"Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.372.1.1, applicable State: Installed",
		"wcp.dll version 10.0.22621.1626 (WinBuild.160101.0800)",
		"wcp.dll version 0.0.0.6) called (stack @0x7fe06ab6211)",
		"Agent version 7.6.7600.256",
		"Host OS version 6.1.7601, target 6.3.9600.17031",
		"Target Image: Version = [10.0.0.0]",
		"Version 10.0.2.1 and build 10.0.2.1, v10.0.2.1, ProductVersion: 10.0.2.1",
		`C:\Windows\Inf\SMSvcHost 4.0.0.0\0000`,
		`.NET CLR Networking 4.0.0.0`,
		"Microsoft.SkypeApp_11.18.59.0_x64__kzf8qxf38zg5c",
		"amd64_microsoft-windows-x_31bf3856ad364e35_10.0.1.110_none_60b5254171f9507e",
		`C:\Program Files\Fabrikam\1.2.3.4\app.exe`,
		"User-Agent: Windows-Update-Agent/1.2.3.4 Client-Protocol/2.90",
		"(cV = xS24Yd5ZFEOijniv.1.0.1.0.0.2.1)",
		"cV: TZb10K1CxOD.1.0.1.1",
		"1.3.6.1.5.5.7.3.1 and 2.5.29.17",
		"Realtek - Net - 1.50.5.2",
		"netmask 255.255.240.0, broadcast 255.255.255.255, any 0.0.0.0, loopback 127.0.0.1, group 224.0.0.252",
		"loopback ::1, any ::, group ff02::1:2",
		"2031-02-03 04:05:06:789, 04:05:06.1234567 12:34:56",

		// Files, types, methods.
		`\??\C:\Windows\System32\cbscore.dll setup.exe package.mum kernel32.dll update.cpp x.log y.cab z.inf a.sys b.xml`,
		`C:\Windows\Microsoft.NET\Framework64\v4.0.30319\System.ServiceModel.dll`,
		"System.Net.WebClient and System.Net threw, Microsoft.NET too; Windows.Internal.Security",
		"CDISMProviderStore::Internal_GetProvider(hr:0x8007007e)",
		"Ace::Bad::Fee and std::vector",
		`C:\__w\1\s\src\Client\Engine\handler\OSDeployment\Helper\OSDeploymentHelper.cpp @853`,
		`C:\Windows\system32\more.com`,
		"failed.It did so.No more",
		"ClientId = Update;PAD.Console.Host (cV: 5NLB.1)",
		`file="updatesmanager.cpp:3474" thread="10472" component="UpdatesDeploymentAgent"`,
		"PublicKeyToken=31bf3856ad364e35 processorArchitecture=amd64",
		"Processing the top level command token(cleanup-image).",
		"AADDeviceTokenState=NetApi:0x00248002&",
		"Existing cookie is valid, just use it; cookie: expired",
		"token: 0x1234, hToken = NULL, UserToken: acquired",
		"ProductKey: Initializing Media Path:         [C:\\$WINDOWS.~BT]",
		"Unattend pass: specialize",
		"Authorization: failed",
		"Basic authentication and Negotiate authentication",
		"Server: Microsoft-IIS/10.0",
		"Server: nginx",
		"SERVICE_NAME: wuauserv",
		"DisplayName : Windows Update",
		"Computer Brand = FABRIKAM",
		"DISM.EXE: User accepted the restart. Restarting the computer...",
		"User canceled the install. [HRESULT = 0x800f0820 - CBS_E_CANCEL]",

		// Accounts and paths of Windows itself.
		`NT AUTHORITY\SYSTEM, BUILTIN\Administrators, NT SERVICE\TrustedInstaller, NT-AUTORITÄT\SYSTEM`,
		`C:\Users\Public\Documents, C:\Users\Default\NTUSER.DAT, C:\Users\%USERNAME%\x, C:\Users\<name>\x`,
		`C:\Windows\System32\config\systemprofile\AppData\Local`,
		`C:\Windows\ServiceProfiles\NetworkService\AppData\Local\Microsoft`,
		`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`,
		`PCI\VEN_8086&DEV_1234 ROOT\MPIO\0001 ACPI\PNP0A08 USB\vid_1234`,
		`C:\Program Files\Common Files\System\Ole DB\en-US`,
		`\\?\Volume{11111111-2222-3333-4444-555555555555}\ \\.\PhysicalDrive0 \\?\C:\x \??\C:\y`,
		`{"p":"\\Device\\HarddiskVolume3\\Windows"}`,
		"Caller SID for Applicability: S-1-5-18, S-1-5-32-544, S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
		`S-1-5-20 S-1-15-2-1 S-1-1-0`,

		// Public identifiers.
		"Added update 17F0F05B-F9AE-4208-9ACC-6C2A5C816852.1 to search result",
		"ServiceID = {7971F918-A847-4430-9279-4A52D1EFE18D}",
		"SusClientId = 00000000-0000-0000-0000-000000000000",
		"KB5034441 0x8024401B WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ",
		"Actual: {l:32 b:cfc609c8862299d652f0fabc1ed61904a2b1470dad89d77d2ffc9001dccd3f0f}",
		"Serial Number: 330000023241fb59996dcc4dff000000000232",
		"11-22-33 2031-02-03-04 01-02",
		`"ProxyEnable"=dword:00000001`,
		"CN=Microsoft Update Secure Server CA 2.1, O=Microsoft Corporation, L=Redmond, S=Washington, C=US",
		"CN=DigiCert Global Root G2, OU=www.digicert.com, O=DigiCert Inc, C=US",
		"Issuer: CN=Zscaler Intermediate Root CA, O=Zscaler Inc.",
		"Maint: incomplete, interruptions: 1, (this pass: time: 2 seconds)",
		`Original owner: Microsoft-Windows-Foundation-Default-Security.Resources, version 10.0.19041.1`,
		"Proxy Server(s) :  not configured",
		"The specified network password is not correct. The password is wrong, password 0x80070056",
		"Windows Server 2019, server HTTP500, host amd64, computer KB5034441, server error 5, proxy HTTP407, Server IIS10",
		`TCPIP\Parameters and BITS\Logs`,
		"hosts: 255.255.255.255 and 240.0.0.1 and 100::1",
		`"Blob"=hex:00,01,02,ff,fe`,
		`    WinHttpSettings    REG_BINARY    1800000000000000010000000000000000000000`,
		"Direct access (no proxy server).",
		"Proxy List: (null), Bypass List: (null)",
		"Domain:                    WORKGROUP",
		"Target group: (Unassigned Computers)",
		"for user interface, as user input, for user S-1-5-18, by user request, for user {12345678-9ABC-4DEF-8012-3456789ABCDE}, for user (null)",
		"for user SYSTEM; user canceled 0x8024000B, the user was asked, of user profiles, from user mode",
		"SetPassword: 0x800708c5", "password is wrong: 0x80070056",
		// No keys, for all that they begin like some.
		"AKIA, AKIAQ7RMBLTWFRK3WXY, AKIAQ7RMBLTWFRK3WXYZZ, xAKIAQ7RMBLTWFRK3WXYZ, AKIAq7rmbltwfrk3wxyz",
		"npm_config_registry npm_package_name ghp_ sk_live_mode disk_test_aBcDeFgHiJkLmNoP task_live_aBcDeFgHiJkLmNoP",
		"cV: AKIAQ7RMBLTWFRK3WXYZab.1.0.3, (cV = AIzaSyAbCdEfGhIj.1.0.1.0.0.2.1)",
		"sha256 AIzaSyAbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/Q= sha1 ASIAQ7RMBLTWFRK3WXYZabcdefg=",
		"amd64_npm_31bf3856ad364e35_10.0.1.110_none_60b5254171f9507e Package_for_KB5034441~31bf3856ad364e35~amd64~~22621.372.1.1",
		"-----BEGIN PUBLIC KEY-----\nMIIBIjANBg==\n-----END PUBLIC KEY-----",
		"password: ", "Password=", "password = (null)", `"password":""`,
		"DIRECT",
		"Der Vorgang wurde abgebrochen: Fehler 0x800705b4, z.B. durch Zeitüberschreitung.",
	}
	t.Logf("%d rows", len(tests))
	for _, in := range tests {
		var r Redactor
		if diff := cmp.Diff(in, r.String(in)); diff != "" {
			t.Errorf("changed (-want +got):\n%s", diff)
		}
		if report := r.Report(); len(report) != 0 {
			t.Errorf("%q: reported %v", in, report)
		}
	}
}
