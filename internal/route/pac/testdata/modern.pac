//? http://wsus01.corp.fabrikam.example/ => DIRECT
//? http://www.example.net/ => PROXY p1.fabrikam.example:8080; PROXY p2.fabrikam.example:8080
// Written last year, tested in a browser: JScript cannot read it.
const proxies = ["p1", "p2"].map((p) => `PROXY ${p}.fabrikam.example:8080`);
const inner = new Set(["corp.fabrikam.example", "lab.fabrikam.example"]);

function FindProxyForURL(url, host) {
  for (const domain of inner) {
    if (host === domain || host.toLowerCase().endsWith(`.${domain}`)) return "DIRECT";
  }
  return proxies.join("; ");
}
