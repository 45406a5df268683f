//? http://www.fabrikam.example/ => PROXY [2001:db8:8::1]:8080; DIRECT
//? http://wsus01/ => DIRECT
//? http://nowhere.example/ => SOCKS5 socks.fabrikam.example:1080
// Both functions, as Microsoft advises for networks with IPv6.
function FindProxyForURL(url, host) { return "PROXY old.fabrikam.example:8080"; }

function FindProxyForURLEx(url, host) {
  if (getClientVersion() != "1.0") return "DIRECT";
  if (!isResolvableEx(host)) return "SOCKS5 socks.fabrikam.example:1080";
  var addresses = sortIpAddressList(dnsResolveEx(host)).split(";");
  for (var i = 0; i < addresses.length; i++)
    if (isInNetEx(addresses[i], "10.0.0.0/8")) return "DIRECT";
  if (isInNetEx(myIpAddressEx().split(";")[0], "2001:db8:8::/48")) return "PROXY [2001:db8:8::1]:8080; DIRECT";
  return "DIRECT";
}
