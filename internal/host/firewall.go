package host

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"updoc/internal/sorted"
)

// Where Windows Firewall keeps what it goes by. Interfaces that programs are given show
// the local store alone: get_FirewallEnabled of INetFwPolicy2 (learn.microsoft.com) "may
// differ due to group policy settings", and its rules are those of this machine. So
// what a domain or a management server brings is read where it stands: [MS-GPFAS] 2.2
// (rules and profiles of group policy), learn.microsoft.com: "Firewall CSP" (MdmStore).
const (
	firewallLocal  = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`
	firewallGroup  = `HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall`
	firewallServer = firewallLocal + `\Mdm`
)

// firewallProfiles are the profiles with the keys that hold them: of the local store,
// and of policies, of which an older form calls the private one the standard one.
var firewallProfiles = []struct {
	bit         uint32 // learn.microsoft.com: "NET_FW_PROFILE_TYPE2"
	name, local string
	policy      []string
}{
	{1, "domain", "DomainProfile", []string{"DomainProfile"}},
	{2, "private", "StandardProfile", []string{"StandardProfile", "PrivateProfile"}},
	{4, "public", "PublicProfile", []string{"PublicProfile"}},
}

// FirewallProfileKey is the registry key of a profile of this machine's own, "" if there is
// no such profile. Its value EnableFirewall says whether the firewall is on.
func FirewallProfileKey(name string) string {
	for _, p := range firewallProfiles {
		if p.name == name {
			return firewallLocal + `\` + p.local
		}
	}
	return ""
}

const (
	maxFirewallRules = 5000
	maxFirewallRule  = 64 << 10 // characters of one
)

// ReadFirewall reads what Windows Firewall goes by from a machine's registry: the
// profiles as policies leave them, and the enabled rules that block what goes out, each
// under the name by which Windows knows it. Which profile is in use, and whether the
// service runs, stands elsewhere.
func ReadFirewall(ctx context.Context, r Reader) (Firewall, error) {
	out := Firewall{By: "registry", Blocking: []FirewallRule{}, Service: -1}
	unmerged := uint32(0) // profiles in which local rules count nothing
	for _, p := range firewallProfiles {
		k, err := r.Key(ctx, firewallLocal+`\`+p.local)
		if err != nil {
			return out, fmt.Errorf("firewall profile %s: %w", p.name, err)
		}
		profile := FirewallProfile{Name: p.name}
		profile.Enabled, profile.BlockOutbound = isOne(k, "EnableFirewall"), isOne(k, "DefaultOutboundAction")
		for _, root := range []string{firewallServer, firewallGroup} { // a later one goes before
			for _, name := range p.policy {
				k, err := r.Key(ctx, root+`\`+name)
				if errors.Is(err, ErrNotExist) {
					continue
				}
				if err != nil {
					out.Unseen = append(out.Unseen, Unseen{Part: "profiles", Why: err.Error()})
					continue
				}
				if _, ok := k.Value("EnableFirewall"); ok {
					profile.Enabled, profile.Policy = isOne(k, "EnableFirewall"), true
				}
				if _, ok := k.Value("DefaultOutboundAction"); ok {
					profile.BlockOutbound, profile.Policy = isOne(k, "DefaultOutboundAction"), true
				}
				if v, ok := k.Value("AllowLocalPolicyMerge"); ok {
					if n, ok := v.DWord(); ok && n == 0 {
						unmerged |= p.bit
					}
				}
			}
		}
		out.Profiles = append(out.Profiles, profile)
	}
	for _, root := range []string{firewallLocal, firewallServer, firewallGroup} {
		k, err := r.Key(ctx, root+`\FirewallRules`)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		if err != nil {
			out.Unseen = append(out.Unseen, Unseen{Part: "blocking", Why: err.Error()})
			continue
		}
		for _, v := range k.Values {
			out.Rules++
			s, _ := v.String()
			rule, ok := ParseFirewallRule(v.Name, s)
			if rule.Policy = root != firewallLocal; !rule.Policy {
				rule.Profiles &^= unmerged
			}
			if ok && rule.Profiles&7 != 0 && len(out.Blocking) < maxFirewallRules {
				out.Blocking = append(out.Blocking, rule)
			}
		}
	}
	sorted.By(out.Blocking, func(a, b FirewallRule) int { return strings.Compare(a.Name, b.Name) })
	return out, ctx.Err()
}

func isOne(k Key, name string) bool {
	v, ok := k.Value(name)
	n, number := v.DWord()
	return ok && number && n == 1
}

// ParseFirewallRule reads a rule as the registry keeps it, and reports whether it is
// enabled and blocks what goes out:
//
//	v2.30|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=443|App=%SystemRoot%\...|Name=...|
//
// [MS-FASP] 2.2.37 has the grammar. Fields may repeat: two RPort are two ports.
func ParseFirewallRule(name, s string) (FirewallRule, bool) {
	r := FirewallRule{Name: name, Protocol: 256, Profiles: 0x7FFFFFFF}
	fields := strings.Split(s[:min(len(s), maxFirewallRule)], "|")
	if len(s) > maxFirewallRule || !strings.HasPrefix(s, "v") || len(fields) < 2 {
		return r, false
	}
	block, out, active := false, false, false
	profiles := uint32(0)
	add := func(list *string, v string) {
		if *list != "" {
			*list += ","
		}
		*list += v
	}
	for _, f := range fields[1:] {
		key, v, _ := strings.Cut(f, "=")
		switch key {
		case "Action":
			block = v == "Block"
		case "Dir":
			out = v == "Out"
		case "Active":
			active = equalFold(v, "TRUE")
		case "Protocol":
			if n, err := strconv.ParseUint(v, 10, 8); err == nil {
				r.Protocol = int(n)
			}
		case "RPort", "RPort2_10", "RPort2_24":
			add(&r.Ports, v)
		case "RA4", "RA6", "RA42", "RA62":
			add(&r.Remote, v)
		case "App":
			r.Program = v
		case "Svc":
			r.Service = v
		case "Name":
			r.Display = v
		case "Profile":
			for _, p := range firewallProfiles {
				if equalFold(v, p.name) {
					profiles |= p.bit
				}
			}
		}
	}
	if profiles != 0 {
		r.Profiles = profiles
	}
	return r, block && out && active
}
