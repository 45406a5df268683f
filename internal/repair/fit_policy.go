package repair

import (
	"encoding/binary"
	"net/url"
	"strings"
	"unicode/utf16"

	"updoc/internal/facts"
	"updoc/internal/message"
	"updoc/internal/winlog"
)

// Registry places that policies of updating live in. Group Policy writes below
// Policies, a device manager below PolicyManager, the Settings app below UX.
const (
	keyUpdatePolicy = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	keyAUPolicy     = keyUpdatePolicy + `\AU`
	keyMDMUpdate    = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\Update`
)

// fitPolicy fits the remedies for update policy and its owners.
func fitPolicy() map[string]fitter {
	return map[string]fitter{}
}

// manager says who manages the machine, in words, "" for nobody. known is false if
// nobody looked: then nothing that a manager might own is written.
func (f *fit) manager() (name string, known bool) {
	words := message.English()
	owner := func(id string) (string, bool) { return words.Text("plan.owner." + id), true }
	// The client of Configuration Manager makes this key.
	if f.Subkeys(`HKLM\SOFTWARE\Microsoft\CCM`).State == facts.Present {
		return owner("configmgr")
	}
	if d := f.Device; d.State == facts.Present {
		switch {
		case d.Value.MDMURL != "":
			return owner("mdm")
		case d.Value.DomainJoined == winlog.Yes || d.Value.EnterpriseJoined == winlog.Yes:
			return owner("domain")
		case d.Value.AzureADJoined == winlog.Yes:
			return owner("entra")
		case d.Value.DomainJoined == winlog.No:
			return "", true
		}
	}
	// Netlogon starts by itself on members of a domain and on no other machine.
	switch v := f.DWord(`HKLM\SYSTEM\CurrentControlSet\Services\Netlogon`, "Start"); {
	case v.State == facts.Present && v.Value == 2:
		return owner("domain")
	case v.State == facts.Present && v.Value == 3:
		return "", true
	}
	for _, mark := range []string{"not-in-a-domain", "note-home-machine", "note-left-domain"} {
		if _, ok := f.Mark(mark); ok {
			return "", true
		}
	}
	for _, mark := range []string{"in-a-domain", "note-domain-policy"} {
		if _, ok := f.Mark(mark); ok {
			return owner("organisation")
		}
	}
	return "", false
}

// owned reports that a policy is not this machine's to change, and says so: it is
// somebody else's, or nobody looked whose it is and a person has to.
func (f *fit) owned() bool {
	switch name, known := f.manager(); {
	case name != "":
		f.not("plan.owned", "owner", name)
		return true
	case !known:
		f.unlooked(message.English().Text("plan.what.manager"))
		return true
	}
	return false
}

// unlooked hands a remedy to a person because nobody looked at what it depends on:
// it may well be right, and updoc changes nothing on a guess.
func (f *fit) unlooked(what string) {
	f.lead("plan.not-looked", "what", what)
	f.lead("remedy." + f.out.ID + ".how")
}

// ownServer is the host of the WSUS that policy names, in lower case, "" if there is
// none.
func (f *fit) ownServer() string {
	u, err := url.Parse(strings.TrimSpace(f.RouteSettings().WSUS))
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// textValue is a REG_SZ as the registry keeps it.
func textValue(s string) winlog.RegValue {
	var b []byte
	for _, c := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return winlog.RegValue{Type: winlog.RegSZ, Data: b}
}

// numberValue is a REG_DWORD.
func numberValue(n uint32) winlog.RegValue {
	return winlog.RegValue{Type: winlog.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}
}
