package upgrade

import (
	"strings"

	"updoc/internal/facts"
)

// keyLanguage says in which language Windows was installed, as the four hexadecimal
// digits of its identifier: "0407". That of the machine's regional settings is another
// matter, and setup does not ask for it.
const keyLanguage = `HKLM\SYSTEM\CurrentControlSet\Control\Nls\Language`

// languages are those that media come in. [MS-LCID] 2.2; learn.microsoft.com: "Available
// languages for Windows".
const languages = `
0401 ar-SA
0402 bg-BG
0404 zh-TW
0405 cs-CZ
0406 da-DK
0407 de-DE
0408 el-GR
0409 en-US
040B fi-FI
040C fr-FR
040D he-IL
040E hu-HU
0410 it-IT
0411 ja-JP
0412 ko-KR
0413 nl-NL
0414 nb-NO
0415 pl-PL
0416 pt-BR
0418 ro-RO
0419 ru-RU
041A hr-HR
041B sk-SK
041D sv-SE
041E th-TH
041F tr-TR
0422 uk-UA
0424 sl-SI
0425 et-EE
0426 lv-LV
0427 lt-LT
0804 zh-CN
0809 en-GB
080A es-MX
0816 pt-PT
0C0A es-ES
0C0C fr-CA
241A sr-Latn-RS
`

// installLanguage is the language that Windows was installed in, "" if nobody knows.
func installLanguage(f *facts.Facts) string {
	id := f.Text(keyLanguage, "InstallLanguage").Value
	if id == "" {
		return ""
	}
	for line := range strings.Lines(languages) {
		if known, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.EqualFold(known, id) {
			return name
		}
	}
	return ""
}
