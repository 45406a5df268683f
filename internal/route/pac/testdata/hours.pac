//? http://download.windowsupdate.com/x.cab => PROXY slow.fabrikam.example:8080
//? http://www.example.net/ => PROXY fast.fabrikam.example:8080
// Large downloads take the slow line in office hours.
function FindProxyForURL(url, host) {
  var office = weekdayRange("MON", "FRI") && timeRange(8, 0, 18, 0) && !dateRange(24, "DEC", 1, "JAN");
  if (office && (/\.(cab|msu|psf|esd|exe)(\?|$)/i).test(url)) return "PROXY slow.fabrikam.example:8080";
  return "PROXY fast.fabrikam.example:8080";
}
