package pac

import (
	"strings"
	"testing"
	"time"
)

// one evaluates a script in this process for one address.
func one(script string, dialect Dialect) outcome {
	p, fault := compile(script, dialect)
	if fault != nil {
		return outcome{Err: fault}
	}
	o := p.evaluate(Call{"http://wsus01.fabrikam.example:8530/", "wsus01.fabrikam.example"}, testWorld(time.Now()), 100*time.Millisecond)
	return o
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         Fault
		line         int
		detail       string
	}{
		{"syntax", "function FindProxyForURL(url, host)\n{ return \"DIRECT\"", FaultSyntax, 2, "Unexpected end of input"},
		{"missing bracket", "\nfunction FindProxyForURL(url, host) {\n if (isPlainHostName(host) return 'DIRECT';\n}", FaultSyntax, 3, ""},
		{"misplaced return", "return 'DIRECT'", FaultSyntax, 1, ""},
		{"two lets", "let a; let a;", FaultSyntax, 1, ""},
		{"empty", "", FaultNoFunction, 0, ""},
		{"portal", "\n<!DOCTYPE html><html><title>Sign in</title></html>", FaultPage, 0, ""},
		{"other function", "function FindProxyForUrl(u, h) { return 'DIRECT' }", FaultNoFunction, 0, ""},
		{"not a function", "var FindProxyForURL = 'DIRECT'", FaultNoFunction, 0, ""},
		{"not on the global object", "const FindProxyForURL = function() { return 'DIRECT' }", FaultNoFunction, 0, ""},
		{"throws at once", "throw 'early'", FaultThrown, 1, "early"},
		{"undefined name", "function FindProxyForURL(u, h) {\n  return proxy;\n}", FaultThrown, 2, "ReferenceError: proxy is not defined"},
		{"null of a failed name", "function FindProxyForURL(u, h) { return dnsResolve('bogus.example').substring(0, 3) }", FaultThrown, 1, "TypeError"},
		{"throws an object", "function FindProxyForURL() { throw {toString: function() { return 'mine' }} }", FaultThrown, 1, "mine"},
		{"throws a trap", "function FindProxyForURL() { throw {toString: function() { throw this }} }", FaultThrown, 1, "a value that cannot be shown"},
		{"throws a loop", "function FindProxyForURL() { throw {toString: function() { for(;;); }} }", FaultThrown, 1, "a value that cannot be shown"},
		{"throws a symbol", "function FindProxyForURL() { throw Symbol('s') }", FaultThrown, 1, ""},
		{"throws a password", "function FindProxyForURL() { throw 'cannot use http://svc:Pa55w0rd@proxy:80' }", FaultThrown, 1, "cannot use"},
		{"getter", "Object.defineProperty(this, 'FindProxyForURL', {get: function() { throw 'no' }})", FaultThrown, 1, "no"},
		{"nothing", "function FindProxyForURL() {}", FaultReturn, 0, "nothing is returned"},
		{"number", "function FindProxyForURL() { return 1 }", FaultReturn, 0, "it is a number"},
		{"truth", "function FindProxyForURL() { return false }", FaultReturn, 0, "it is a truth value"},
		{"array", "function FindProxyForURL() { return ['DIRECT'] }", FaultReturn, 0, "it is an object of class Array"},
		{"string object", "function FindProxyForURL() { return new String('DIRECT') }", FaultReturn, 0, "it is an object of class String"},
		{"promise", "async function FindProxyForURL() { return 'DIRECT' }", FaultReturn, 0, "it is a promise"},
		{"symbol", "function FindProxyForURL() { return Symbol('DIRECT') }", FaultReturn, 0, "it is a symbol"},
		{"trap of toString", "function FindProxyForURL() { return {toString: function() { for(;;); }} }", FaultReturn, 0, "it is an object of class Object"},
		{"trap of a Proxy", "function FindProxyForURL() { return new Proxy({}, {get: function() { for(;;); }, getPrototypeOf: function() { for(;;); }}) }", FaultReturn, 0, "object"},
		{"long list", "function FindProxyForURL() { return Array(5000).join('D') }", FaultReturn, 0, "4999 characters"},
		{"loop", "function FindProxyForURL() { for(;;); }", FaultTime, 0, ""},
		{"loop at once", "for(;;);", FaultTime, 0, ""},
		{"loop that catches", "function FindProxyForURL() { for(;;) try { for(;;); } catch (e) {} finally { for(;;); } }", FaultTime, 0, ""},
		{"loop of jobs", "function f() { Promise.resolve().then(f) } f()", FaultTime, 0, ""},
		{"loop of callbacks", "function FindProxyForURL() { for(;;) [1,2,3].sort(function() { return 0 }) }", FaultTime, 0, ""},
		{"loop in a getter of a name", "function FindProxyForURL() { isResolvable({toString: function() { for(;;); }}) }", FaultTime, 0, ""},
		{"generator", "function* g() { for(;;) yield 1 } function FindProxyForURL() { for (var x of g()); }", FaultTime, 0, ""},
		{"recursion", "function FindProxyForURL(u, h) { return FindProxyForURL(u, h) }", FaultDepth, 0, ""},
		{"recursion that catches", "function f() { try { f() } catch (e) { f() } } f()", FaultDepth, 0, ""},
		{"recursion of getters", "var o = {get x() { return this.x }}; o.x", FaultDepth, 0, ""},
		{"recursion of Proxies", "var p = new Proxy({}, {get: function(t, k, r) { return r[k] }}); p.x", FaultDepth, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := one(c.script, Modern)
			if o.Err == nil || o.Err.Fault != c.want {
				t.Fatalf("%q, error %v, want %s", o.List, o.Err, c.want)
			}
			if c.line != 0 && o.Err.Line != c.line {
				t.Errorf("line %d, want %d (%v)", o.Err.Line, c.line, o.Err)
			}
			if !strings.Contains(o.Err.Detail, c.detail) {
				t.Errorf("detail %q, want %q", o.Err.Detail, c.detail)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
	}{
		{"null", "function FindProxyForURL() { return null }", ""},
		{"empty", "function FindProxyForURL() { return '' }", ""},
		{"arguments", "function FindProxyForURL(url, host) { return url + ' ' + host + ' ' + arguments.length }", "http://wsus01.fabrikam.example:8530/ wsus01.fabrikam.example 2"},
		{"Ex first", "function FindProxyForURL() { return 'PROXY old:1' } function FindProxyForURLEx() { return 'PROXY ex:1' }", "PROXY ex:1"},
		{"Ex is no function", "function FindProxyForURL() { return 'PROXY old:1' } var FindProxyForURLEx = 1", "PROXY old:1"},
		{"comment marks of old browsers", "<!-- hide\nfunction FindProxyForURL() { return 'DIRECT' }\n// -->", "DIRECT"},
		{"both comment marks", "\n <!--\nfunction FindProxyForURL() { return '<!-- -->' }\n  -->\n", "<!-- -->"},
		{"carriage returns", "// rules\rfunction FindProxyForURL() {\r  return 'DIRECT';\r}\r", "DIRECT"},
		{"eval", "eval('function FindProxyForURL() { return \"DIRECT\" }')", "DIRECT"},
		{"own functions win", "function isPlainHostName() { return true } function FindProxyForURL(u, h) { return isPlainHostName(h) ? 'PROXY own:1' : 'DIRECT' }", "PROXY own:1"},
		{"no host objects", "function FindProxyForURL() { return [typeof require, typeof process, typeof console, typeof fetch, typeof ActiveXObject, typeof XMLHttpRequest, typeof WScript, typeof setTimeout].join() }", strings.Repeat("undefined,", 7) + "undefined"},
		{"source map", "function FindProxyForURL() { return 'DIRECT' }\n//# sourceMappingURL=/proc/self/environ", "DIRECT"},
		{"source map in eval", "eval('function FindProxyForURL() { return \"DIRECT\" }\\n//# sourceMappingURL=/proc/self/environ')", "DIRECT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := one(c.script, Modern)
			if o.Err != nil || o.List != c.want {
				t.Errorf("%q, %v, want %q", o.List, o.Err, c.want)
			}
		})
	}
}

func TestWhatWasUsed(t *testing.T) {
	for _, c := range []struct {
		body              string
		ex, clock, random bool
	}{
		{"function FindProxyForURL() { return 'DIRECT' }", false, false, false},
		{"function FindProxyForURL() { return new Date(0) ? 'DIRECT' : '' }", false, false, false},
		{"function FindProxyForURL() { return new Date() ? 'DIRECT' : '' }", false, true, false},
		{"function FindProxyForURL() { return timeRange(1) ? 'DIRECT' : '' }", false, true, false},
		{"function FindProxyForURL() { return Math.random() ? 'DIRECT' : '' }", false, false, true},
		{"function FindProxyForURLEx() { return 'DIRECT' }", true, false, false},
	} {
		o := one(c.body, Modern)
		if o.Err != nil || o.Ex != c.ex || o.Clock != c.clock || o.Random != c.random {
			t.Errorf("%s: %+v", c.body, o)
		}
	}
}

func TestAlerts(t *testing.T) {
	o := one("for (var i = 0; i < 100; i++) alert(i + Array(1000).join('x')); alert(); function FindProxyForURL() { return 'DIRECT' }", Modern)
	if len(o.Alerts) != maxAlerts || len(o.Alerts[3]) != maxText || !strings.HasPrefix(o.Alerts[3], "3xxx") {
		t.Errorf("%d alerts, the fourth %.20q of %d", len(o.Alerts), o.Alerts[3], len(o.Alerts[3]))
	}
}

// What JScript does not know ends a script before it runs, what its library lacks
// when it is used; what a script brings along works.
func TestJScript(t *testing.T) {
	const find = "\nfunction FindProxyForURL(url, host) { return 'DIRECT' }"
	for _, c := range []struct {
		name, script string
		want         Fault
		line         int
		detail       string
	}{
		{"old", "var a = [], o = {x: 1, 'y': 2}; for (var k in o) a.push(k); a.sort().join(); /^a?b$/gi.test('x'); switch (1) { default: }" + find, "", 0, ""},
		{"let", "\nlet a = 1;" + find, FaultDialect, 2, "let declaration"},
		{"const", "const proxies = ['a', 'b'];" + find, FaultDialect, 1, "const declaration"},
		{"let in for", "for (let i = 0; i < 1; i++);" + find, FaultDialect, 1, "declaration"},
		{"const in for in", "for (const k in {});" + find, FaultDialect, 1, "declaration"},
		{"arrow", "var f = h => h;" + find, FaultDialect, 1, "arrow function"},
		{"arrow within", "function g() {\n return [1].map((x) => { return x }) }" + find, FaultDialect, 2, "arrow function"},
		{"template", "var s = `PROXY x`;" + find, FaultDialect, 1, "template string"},
		{"class", "class A {}" + find, FaultDialect, 1, "class"},
		{"for of", "for (var x of []);" + find, FaultDialect, 1, "for … of"},
		{"spread", "Math.max(...[1]);" + find, FaultDialect, 1, "spread"},
		{"destructuring", "var {a} = {};" + find, FaultDialect, 1, "destructuring"},
		{"empty destructuring", "var [] = [];" + find, FaultDialect, 0, "destructuring"},
		{"default parameter", "function g(a = 1) {}" + find, FaultDialect, 1, "default or rest parameter"},
		{"rest parameter", "function g(...a) {}" + find, FaultDialect, 1, "default or rest parameter"},
		{"async", "async function g() {}" + find, FaultDialect, 1, "async function or generator"},
		{"generator", "function* g() {}" + find, FaultDialect, 1, "async function or generator"},
		{"shorthand", "var a, o = {a};" + find, FaultDialect, 1, "property shorthand"},
		{"method", "var o = {a() {}};" + find, FaultDialect, 1, "method shorthand"},
		{"getter", "var o = {get a() { return 1 }};" + find, FaultDialect, 1, "getter or setter"},
		{"computed", "var o = {['a']: 1};" + find, FaultDialect, 1, "computed property name"},
		{"optional", "var o = this?.x;" + find, FaultDialect, 1, "optional chaining"},
		{"power", "var o = 2 ** 3;" + find, FaultDialect, 1, "operator **"},
		{"nullish", "var o = null ?? 3;" + find, FaultDialect, 1, "operator ??"},
		{"octal", "var o = 0o17;" + find, FaultDialect, 1, "binary or octal number"},
		{"hexadecimal", "var o = 0x17;" + find, "", 0, ""},
		{"sticky", "var o = /a/y;" + find, FaultDialect, 1, "regular expression flag y"},

		{"indexOf", "[].indexOf(1);" + find, FaultThrown, 1, "TypeError"},
		{"trim", "' '.trim();" + find, FaultThrown, 1, "TypeError"},
		{"endsWith", "'a'.endsWith('a');" + find, FaultThrown, 1, "TypeError"},
		{"isArray", "Array.isArray([]);" + find, FaultThrown, 1, "TypeError"},
		{"keys", "Object.keys({});" + find, FaultThrown, 1, "TypeError"},
		{"JSON", "JSON.parse('1');" + find, FaultThrown, 1, "ReferenceError"},
		{"Map", "new Map();" + find, FaultThrown, 1, "ReferenceError"},
		{"console", "console.log(1);" + find, FaultThrown, 1, "ReferenceError"},
		{"globalThis", "globalThis.x = 1;" + find, FaultThrown, 1, "ReferenceError"},
		{"trunc", "Math.trunc(1.5);" + find, FaultThrown, 1, "TypeError"},
		{"bind", "(function() {}).bind(null);" + find, FaultThrown, 1, "TypeError"},
		{"brought along", "if (!Array.prototype.indexOf) Array.prototype.indexOf = function(x) { return 7 };\n if ([].indexOf(1) != 7) throw 'theirs';" + find, "", 0, ""},
		{"own functions", "isPlainHostName('a'); dnsResolve('a'); dnsResolveEx('a');" + find, "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := one(c.script, JScript)
			if c.want == "" {
				if o.Err != nil || o.List != "DIRECT" {
					t.Errorf("%q, %v", o.List, o.Err)
				}
				return
			}
			if o.Err == nil || o.Err.Fault != c.want || !strings.Contains(o.Err.Detail, c.detail) {
				t.Fatalf("%v, want %s %s", o.Err, c.want, c.detail)
			}
			if c.line != 0 && o.Err.Line != c.line {
				t.Errorf("line %d, want %d", o.Err.Line, c.line)
			}
			if o := one(c.script, Modern); o.Err != nil && c.name != "console" && c.name != "empty destructuring" {
				t.Errorf("a browser refuses it too: %v", o.Err)
			}
		})
	}
}

// No script makes the engine panic, hang or give an answer beyond the bounds.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{
		"function FindProxyForURL(url, host) { if (isPlainHostName(host) || dnsDomainIs(host, '.corp.example')) return 'DIRECT'; return 'PROXY p:8080; DIRECT' }",
		"function FindProxyForURLEx(u, h) { return isInNetEx(dnsResolveEx(h), '2001:db8::/32') ? 'PROXY [::1]:1' : sortIpAddressList(myIpAddressEx()) }",
		"function FindProxyForURL(u, h) { return weekdayRange('MON','FRI') && timeRange(8, 18) && dateRange('JAN', 'MAR') ? 'DIRECT' : null }",
		"const f = (h) => `PROXY ${h}:1`; var FindProxyForURL = (u, h) => f(h)",
		"throw {toString() { throw 1 }}", "for(;;);", "(function f(){f()})()", "<html>", "new Proxy({}, {get(){}}).x", "async function FindProxyForURL() {}",
		"\x00", "/(?=a)*/.exec('a')", "label: for (var [a, , ...b] of [[1]]) continue label",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, script string, old bool) {
		if len(script) > 4<<10 {
			return
		}
		dialect := Modern
		if old {
			dialect = JScript
		}
		text, _ := Decode([]byte(script))
		p, fault := compile(text, dialect)
		if fault != nil {
			if fault.Error() == "" {
				t.Error("a fault without words")
			}
			return
		}
		o := p.evaluate(Call{"http://WSUS01.corp.example/", "WSUS01.corp.example"}, testWorld(time.Unix(1800000000, 0)), 50*time.Millisecond)
		if len(o.Alerts) > maxAlerts || len([]rune(o.List)) > MaxList {
			t.Errorf("%d alerts, a list of %d", len(o.Alerts), len(o.List))
		}
		if o.Err == nil && len(Parse(o.List)) == 0 {
			t.Error("no error and no proxies")
		}
	})
}
