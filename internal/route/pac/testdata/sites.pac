//? http://files.example.net/ => PROXY berlin-1.fabrikam.example:8080; PROXY berlin-2.fabrikam.example:8080; DIRECT
//? http://ww.example.net/ => PROXY berlin-2.fabrikam.example:8080; PROXY berlin-1.fabrikam.example:8080; DIRECT
//? https://teams.example.net/ => DIRECT
// Tables instead of rules; the load is spread by the letters of the host name.
var sites = [
  ["10.10.0.0", "255.255.0.0", "oslo"],
  ["10.20.0.0", "255.255.0.0", "berlin"],
  ["10.30.0.0", "255.255.0.0", "porto"],
  ["0.0.0.0", "0.0.0.0", "cloud"]
];
var direct = { "teams.example.net": 1, "voice.example.net": 1 };

function site() {
  var ip = myIpAddress();
  for (var i = 0; i < sites.length; i++)
    if (isInNet(ip, sites[i][0], sites[i][1])) return sites[i][2];
}

function sum(text) {
  var n = 0;
  for (var i = 0; i < text.length; i++) n += text.charCodeAt(i);
  return n;
}

function FindProxyForURL(url, host) {
  if (direct[host]) return "DIRECT";
  var s = site(), first = sum(host) % 2 + 1, second = 3 - first;
  return "PROXY " + s + "-" + first + ".fabrikam.example:8080; PROXY " + s + "-" + second + ".fabrikam.example:8080; DIRECT";
}
