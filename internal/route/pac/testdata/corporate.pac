//? http://intranet/ => DIRECT
//? http://wsus01.corp.fabrikam.example:8530/ClientWebService/client.asmx => DIRECT
//? http://WSUS01.CORP.FABRIKAM.EXAMPLE:8530/ClientWebService/client.asmx => PROXY proxy-east.fabrikam.example:8080; PROXY proxy-west.fabrikam.example:8080
//? http://WSUS01:8530/ClientWebService/client.asmx => DIRECT
//? https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx => PROXY update-proxy.fabrikam.example:3128
//? http://11.tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/0 => PROXY update-proxy.fabrikam.example:3128
//? http://download.windowsupdate.com/c/msdownload/update/x.cab => PROXY update-proxy.fabrikam.example:3128
//? https://sls.update.microsoft.com/SLS/ => PROXY update-proxy.fabrikam.example:3128
//? http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab => DIRECT
//? https://www.fabrikam.example/ => DIRECT
//? https://partner.contoso.example/portal => PROXY extranet.fabrikam.example:8081
//? ftp://files.contoso.example/ => DIRECT
//? http://10.20.30.40/ => DIRECT
//? http://172.20.1.1/ => DIRECT
//? http://192.0.2.1/ => PROXY proxy-east.fabrikam.example:8080; PROXY proxy-west.fabrikam.example:8080
//? https://www.example.com/ => PROXY proxy-east.fabrikam.example:8080; PROXY proxy-west.fabrikam.example:8080
//? http://www.example.com.blocked.example/ => PROXY 127.0.0.1:9
// Proxy configuration of Fabrikam, maintained by the network team.
function FindProxyForURL(url, host) {
  var east = "PROXY proxy-east.fabrikam.example:8080";
  var west = "PROXY proxy-west.fabrikam.example:8080";
  var update = "PROXY update-proxy.fabrikam.example:3128";

  // Names without a domain are ours.
  if (isPlainHostName(host)) return "DIRECT";
  if (host == "localhost" || shExpMatch(host, "127.*")) return "DIRECT";

  // Our domains.
  if (dnsDomainIs(host, ".corp.fabrikam.example") ||
      dnsDomainIs(host, ".dmz.fabrikam.example") ||
      dnsDomainIs(host, ".lab.fabrikam.example") ||
      dnsDomainIs(host, ".print.fabrikam.example") ||
      localHostOrDomainIs(host, "www.fabrikam.example") ||
      localHostOrDomainIs(host, "mail.fabrikam.example"))
    return "DIRECT";

  // Partners.
  if (shExpMatch(host, "*.contoso.example") && url.substring(0, 6) == "https:")
    return "PROXY extranet.fabrikam.example:8081";
  if (shExpMatch(url, "ftp://*")) return "DIRECT";

  // Black hole.
  if (shExpMatch(host, "*.blocked.example") || shExpMatch(host, "*.tracker.example")) return "PROXY 127.0.0.1:9";

  // The certificate lists come over the other line.
  if (host == "ctldl.windowsupdate.com" || host == "crl.microsoft.com") return "DIRECT";

  // Updates.
  if (dnsDomainIs(host, ".update.microsoft.com") ||
      dnsDomainIs(host, ".windowsupdate.microsoft.com") ||
      dnsDomainIs(host, ".windowsupdate.com") ||
      dnsDomainIs(host, ".delivery.mp.microsoft.com") ||
      dnsDomainIs(host, ".do.dsp.mp.microsoft.com") ||
      host == "windowsupdate.microsoft.com" ||
      host == "download.microsoft.com" ||
      host == "ntservicepack.microsoft.com")
    return update;

  // Private addresses, written as such.
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) {
    if (isInNet(host, "10.0.0.0", "255.0.0.0") ||
        isInNet(host, "172.16.0.0", "255.240.0.0") ||
        isInNet(host, "192.168.0.0", "255.255.0.0") ||
        isInNet(host, "169.254.0.0", "255.255.0.0"))
      return "DIRECT";
  }

  // The site that this machine is in.
  if (isInNet(myIpAddress(), "10.30.0.0", "255.255.0.0")) return west + "; " + east;
  return east + "; " + west;
}
