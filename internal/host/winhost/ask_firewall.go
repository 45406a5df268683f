package winhost

import (
	"strconv"
	"strings"

	"updoc/internal/host"
)

// parseFirewallRule reads a rule as the registry keeps it, and returns it if it is
// enabled and blocks what goes out:
//
//	v2.30|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=443|App=%SystemRoot%\...|Name=...|
//
// [MS-FASP] 2.2.37 has the grammar. Fields may repeat: two RPort are two ports.
func parseFirewallRule(name, s string) (host.FirewallRule, bool) {
	r := host.FirewallRule{Name: name, Protocol: 256, Profiles: 0x7FFFFFFF}
	fields := strings.Split(s, "|")
	if len(s) > 64<<10 || !strings.HasPrefix(s, "v") || len(fields) < 2 {
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
			active = strings.EqualFold(v, "TRUE")
		case "Protocol":
			if n, err := strconv.ParseUint(v, 10, 8); err == nil {
				r.Protocol = int(n)
			}
		case "RPort", "RPort2_10":
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
			profiles |= map[string]uint32{"Domain": 1, "Private": 2, "Public": 4}[v]
		}
	}
	if profiles != 0 {
		r.Profiles = profiles
	}
	return r, block && out && active
}
