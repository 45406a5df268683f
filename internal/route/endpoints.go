package route

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/sorted"
)

//go:embed endpoints.tsv
var endpointsTSV string

// endpointTable is read once. A test holds that every row is good; were one not,
// no host would be known, and nothing would be allowed.
var endpointTable = sync.OnceValues(func() ([]Endpoint, error) { return parseEndpoints(endpointsTSV) })

// Role says what a host is to updating.
type Role string

// The roles. A host that is not in the table has none.
const (
	RoleVital  Role = "vital"  // no scan, download or verification without it
	RoleHelper Role = "helper" // tells, reports or shares: updates go on without it
	RoleOther  Role = "other"  // of the Store, Office, Intune: not of Windows Update itself
)

// Inspection says whether a proxy may open a TLS connection to a host.
type Inspection string

// The answers.
const (
	InspectNo      Inspection = "no"      // the client insists on Microsoft's own issuers, or Microsoft asks not to
	InspectPlain   Inspection = "plain"   // plain HTTP: there is nothing to open, and the content is signed
	InspectUnknown Inspection = "unknown" // no page says
)

// Direction says who talks to a host.
type Direction string

// The directions.
const (
	ByClient Direction = "client" // every machine
	ByUser   Direction = "user"   // a person's browser
	ByPeer   Direction = "peer"   // machines among themselves
	ByServer Direction = "server" // a WSUS, to Microsoft
)

// Endpoint is a host, or a family of hosts, that updating talks to.
type Endpoint struct {
	Host      string // "slscr.update.microsoft.com"; "*.update.microsoft.com" is the name itself and all below
	Ports     []uint16
	Stage     string // scan, download, verify, install, setup, any
	Role      Role
	Ranges    bool // Range requests must be answered with 206
	Inspect   Inspection
	SignIn    bool // a proxy may ask whoever talks to it to sign in
	Direction Direction
	Purpose   string
	Source    string // the Microsoft pages that name it
}

// matches reports whether a host, in lower case and without a trailing dot, is
// meant by the row.
func (e Endpoint) matches(name string) bool {
	if !strings.HasPrefix(e.Host, "*.") {
		return name == e.Host
	}
	return name == e.Host[2:] || strings.HasSuffix(name, e.Host[1:])
}

// covers reports that whoever is let through by e is let through for o as well.
func (e Endpoint) covers(o Endpoint) bool {
	return e.matches(strings.TrimPrefix(o.Host, "*.")) && (strings.HasPrefix(e.Host, "*.") || e.Host == o.Host)
}

// aliases are the tails under which content networks serve Microsoft's names;
// answers of DNS and block lists carry them.
var aliases = [...]string{
	".akadns.net", ".nsatc.net", ".c.footprint.net", ".trafficmanager.net", ".akamaized.net", ".edgesuite.net", ".edgekey.net", ".l.windowsupdate.com",
}

// EndpointOf returns what the table says of a host, in any letter case, with or
// without a trailing dot, also under the alias of a content network: the most
// special row, one of a WSUS server's only if no machine asks the host. ok is false
// if there is none.
func EndpointOf(name string) (e Endpoint, ok bool) {
	table, err := endpointTable()
	if err != nil {
		return Endpoint{}, false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for range 4 { // an alias of an alias of an alias
		best := -1
		for i, row := range table { // rows of servers come last, and count where no other fits
			if row.matches(name) && (best < 0 || row.Direction != ByServer && special(row) > special(table[best])) {
				best = i
			}
		}
		if best >= 0 {
			return table[best], true
		}
		i := slices.IndexFunc(aliases[:], func(a string) bool { return strings.HasSuffix(name, a) })
		if i < 0 {
			break
		}
		name = strings.TrimSuffix(name, aliases[i])
	}
	return Endpoint{}, false
}

// special orders rows that match the same name.
func special(e Endpoint) int {
	n := 2 * strings.Count(e.Host, ".")
	if !strings.HasPrefix(e.Host, "*.") {
		n++
		n += 2 // "*." counts a dot
	}
	return n
}

// Allow names a list of hosts for a proxy's rules.
type Allow string

// The lists.
const (
	AllowUpdates Allow = "updates" // what a client's updates cannot do without: let through, without a sign-in
	AllowAll     Allow = "all"     // the same and what helps: reports, peers, certificates, settings
	AllowIntact  Allow = "intact"  // TLS that must not be opened
	AllowRanges  Allow = "ranges"  // answers to Range requests, HEAD and lengths must pass unchanged
	AllowServer  Allow = "server"  // what a WSUS server needs
)

// Allowed reports whether a host is on a list. The names of content networks do not
// count here: who lets a host through lets through that very name.
func Allowed(kind Allow, name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(AllowList(kind), func(e Endpoint) bool { return e.matches(name) })
}

// AllowList returns the hosts of a list, sorted by name reversed label by label, so
// that relatives stand together. A row that another one covers is left out: squid
// warns of a domain that is in a list beside its parent.
func AllowList(kind Allow) []Endpoint { return slices.Clone(allowLists()[kind]) }

var allowLists = sync.OnceValue(func() map[Allow][]Endpoint {
	lists := map[Allow][]Endpoint{}
	table, err := endpointTable()
	if err != nil {
		return lists // the table is tested
	}
	for _, kind := range []Allow{AllowUpdates, AllowAll, AllowIntact, AllowRanges, AllowServer} {
		lists[kind] = allowList(table, kind)
	}
	return lists
})

func allowList(table []Endpoint, kind Allow) []Endpoint {
	var in []Endpoint
	for _, e := range table {
		client := e.Direction == ByClient && !e.SignIn
		var take bool
		switch kind {
		case AllowUpdates:
			take = client && e.Role == RoleVital
		case AllowAll:
			take = client && e.Role != RoleOther
		case AllowIntact:
			take = client && e.Role != RoleOther && e.Inspect == InspectNo && slices.Contains(e.Ports, 443)
		case AllowRanges:
			take = client && e.Role != RoleOther && e.Ranges
		case AllowServer:
			take = e.Direction == ByServer
		}
		if take {
			in = append(in, e)
		}
	}
	var out []Endpoint
	for i, e := range in {
		if !slices.ContainsFunc(in, func(o Endpoint) bool { return o.Host != e.Host && o.covers(e) }) &&
			!slices.ContainsFunc(in[:i], func(o Endpoint) bool { return o.Host == e.Host }) {
			out = append(out, e)
		}
	}
	sorted.By(out, func(a, b Endpoint) int { return slices.Compare(reversed(a.Host), reversed(b.Host)) })
	return out
}

// reversed returns the labels of a name from the last to the first.
func reversed(name string) []string {
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	return labels
}

const endpointHead = "host\tports\tstage\trole\tranges\tinspect\tsignin\tdirection\tpurpose\tsource"

var errEndpointHead = errors.New("endpoints.tsv: other columns than expected")

func parseEndpoints(text string) ([]Endpoint, error) {
	var out []Endpoint
	head := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || line[0] == '#':
		case !head:
			if line != endpointHead {
				return nil, errEndpointHead
			}
			head = true
		default:
			e, err := parseEndpoint(strings.Split(line, "\t"))
			if err != nil {
				return nil, fmt.Errorf("endpoints.tsv:%d: %w", n, err)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

func parseEndpoint(f []string) (Endpoint, error) {
	if len(f) != strings.Count(endpointHead, "\t")+1 {
		return Endpoint{}, fmt.Errorf("%d columns", len(f))
	}
	e := Endpoint{
		Host: f[0], Stage: f[2], Role: Role(f[3]), Inspect: Inspection(f[5]), Direction: Direction(f[7]),
		Purpose: f[8], Source: f[9],
	}
	for p := range strings.SplitSeq(f[1], ",") {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return Endpoint{}, fmt.Errorf("port: %w", err)
		}
		e.Ports = append(e.Ports, uint16(port))
	}
	var err error
	if e.Ranges, err = yesNo(f[4]); err != nil {
		return Endpoint{}, fmt.Errorf("ranges: %w", err)
	}
	if e.SignIn, err = yesNo(f[6]); err != nil {
		return Endpoint{}, fmt.Errorf("signin: %w", err)
	}
	for _, v := range []struct {
		what, value string
		of          []string
	}{
		{"stage", e.Stage, []string{"scan", "download", "verify", "install", "setup", "any"}},
		{"role", f[3], []string{"vital", "helper", "other"}},
		{"inspect", f[5], []string{"no", "plain", "unknown"}},
		{"direction", f[7], []string{"client", "user", "peer", "server"}},
	} {
		if !slices.Contains(v.of, v.value) {
			return Endpoint{}, fmt.Errorf("%s: %q", v.what, v.value)
		}
	}
	return e, nil
}

func yesNo(s string) (bool, error) {
	switch s {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", s)
}
