package winlog

import "strings"

// VPNProduct names the product that a network device belongs to, "" if it is no
// VPN that is known. The text is the device's description, with or without the
// name that its connection has.
func VPNProduct(device string) string { return vpnProduct(device) }

// MicrosoftFilter reports whether a file system filter comes with Windows or from
// Microsoft.
func MicrosoftFilter(name string) bool { return microsoftFilters[strings.ToLower(name)] }
