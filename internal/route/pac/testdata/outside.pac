//? http://www.fabrikam.example/ => DIRECT
//? http://elsewhere.example/ => PROXY cloud-proxy.example:443
// A laptop asks whether it is in the office: only there does the inner name resolve.
function FindProxyForURL(url, host) {
  var inside = isResolvable("wsus01.corp.fabrikam.example") &&
    isInNet(dnsResolve("wsus01.corp.fabrikam.example"), "10.20.0.0", "255.255.0.0");
  var ip = dnsResolve(host);
  if (inside && ip && shExpMatch(ip, "198.51.100.*")) return "DIRECT";
  return "PROXY cloud-proxy.example:443";
}
