package codes

import "strings"

// Match is a code in a text: text[Start:End] is how it stands there.
type Match struct {
	Code
	Start, End int // byte offsets
}

// MaxMatches bounds what [Find] returns.
const MaxMatches = 10_000

// Find returns the codes in a text, in order of their place: a log, a mail, a
// forum post. It takes a number for a code only when something vouches for
// it: its shape (0x8024401B), the table, or the words before it ("error 12007",
// "HTTP status code = 407", "exit code 1618"). Addresses, parts of GUIDs and
// hashes, KB numbers, versions and dates are not codes.
//
// A code that is repeated beside itself in another form, as in
// "0x800f081f - CBS_E_SOURCE_MISSING", is one match. Not every match is a
// failure: WU_S_* codes and restart requests are found too (see
// [HRESULT.Failed] and [HRESULT.Benign]).
//
// Time is linear in the length of the text; at most [MaxMatches] are returned.
func Find(text string) []Match {
	var out []Match
	for i := 0; i < len(text); {
		kinds := class[text[i]]
		if kinds == 0 {
			i++
			continue
		}
		start := i
		for i++; i < len(text); i++ {
			c := class[text[i]]
			if c == 0 {
				break
			}
			kinds |= c
		}

		code, end, ok := findAt(text, start, i, kinds)
		if !ok {
			continue
		}
		i = max(i, end)
		m := Match{Code: code, Start: start, End: end}
		if code.Form == FormSigned || code.Form == FormJET && text[start] != '0' {
			m.Start -= signBefore(text, start)
		}
		m.Given = text[m.Start:m.End]
		if n := len(out); n > 0 && repeats(text, out[n-1], m) {
			if m.Extend != 0 {
				out[n-1] = m
			}
			continue
		}
		if out = append(out, m); len(out) == MaxMatches {
			break
		}
	}
	return out
}

// Classes of the bytes of words.
const (
	digit    = 1 << iota // 0-9
	hexalpha             // a-f, A-F
	alpha                // the other ASCII letters
	under                // underscore
)

// class sorts bytes; whatever is zero ends a word, which goes for all bytes
// beyond ASCII.
var class = [256]uint8{
	'0': digit, '1': digit, '2': digit, '3': digit, '4': digit,
	'5': digit, '6': digit, '7': digit, '8': digit, '9': digit,
	'a': hexalpha, 'b': hexalpha, 'c': hexalpha, 'd': hexalpha, 'e': hexalpha, 'f': hexalpha,
	'A': hexalpha, 'B': hexalpha, 'C': hexalpha, 'D': hexalpha, 'E': hexalpha, 'F': hexalpha,
	'g': alpha, 'h': alpha, 'i': alpha, 'j': alpha, 'k': alpha, 'l': alpha, 'm': alpha, 'n': alpha, 'o': alpha, 'p': alpha,
	'q': alpha, 'r': alpha, 's': alpha, 't': alpha, 'u': alpha, 'v': alpha, 'w': alpha, 'x': alpha, 'y': alpha, 'z': alpha,
	'G': alpha, 'H': alpha, 'I': alpha, 'J': alpha, 'K': alpha, 'L': alpha, 'M': alpha, 'N': alpha, 'O': alpha, 'P': alpha,
	'Q': alpha, 'R': alpha, 'S': alpha, 'T': alpha, 'U': alpha, 'V': alpha, 'W': alpha, 'X': alpha, 'Y': alpha, 'Z': alpha,
	'_': under,
}

// findAt judges the word text[start:end]. The end that it returns is that of
// the code, which may reach beyond the word when an extend code follows.
func findAt(text string, start, end int, kinds uint8) (Code, int, bool) {
	word := text[start:end]
	n := len(word)
	switch {
	case kinds == digit:
		switch {
		case n <= 5:
			c, ok := findShort(text, start, end)
			return c, end, ok
		case n == 8 && word[0] == '8':
			return findBare(text, start, end)
		case n == 7, n == 9, n == 10:
			c, ok := findLong(text, start, end)
			return c, end, ok
		}
	case n > 4 && n <= 18 && word[0] == '0' && word[1]|0x20 == 'x':
		return findHex(text, start, end)
	case n == 8 && kinds&^(digit|hexalpha) == 0, n == 9 && word[8]|0x20 == 'h':
		if b := word[0] | 0x20; b == '8' || b == 'c' || b == 'd' { // '8'|0x20 is '8'
			return findBare(text, start, end)
		}
	case n >= 6 && n <= maxSymbol && (kinds&under != 0 || foldPrefix(word, "wsa")):
		c, ok := findSymbol(word)
		return c, end, ok
	}
	return Code{}, 0, false
}

// findHex judges a word that begins with 0x.
func findHex(text string, start, end int) (Code, int, bool) {
	no := func() (Code, int, bool) { return Code{}, 0, false }

	digits, _ := hexDigits(text[start:end])
	v, ok := hexValue(digits)
	if digits == "" || !ok || v == 0 {
		return no()
	}
	if start > 0 && (text[start-1] == '+' || text[start-1] == '`') || end < len(text) && text[end] == '`' {
		return no() // module+0x80240022, debugger addresses
	}
	h := HRESULT(v)
	_, known := findRow(h)

	if !h.Failed() {
		switch ctx := before(text, start); {
		case h>>16 == 0x24 && known: // WU_S_*
			return Code{HRESULT: h, Form: FormHex}, end, true
		case v <= 0xFFFF && (ctx.is(ctxError) || ctx.is(ctxExit)):
			c, ok := shortCode(v, ctx, len(digits) == 8)
			return c, end, ok
		}
		return no()
	}

	if len(digits) != 8 && len(digits) != 16 {
		return no()
	}
	if j := FromJET(int32(v)); j != 0 {
		if _, known := findRow(j); !known && !before(text, start).is(ctxError) {
			return no()
		}
		return Code{HRESULT: j, Form: FormJET}, end, true
	}
	switch ctx := before(text, start); {
	case ctx.is(ctxAddress):
		return no()
	case known, len(digits) == 8 && plausible(h):
	case len(digits) == 8 && ctx.is(ctxError) && (h>>28 == 0x8 || h>>28 == 0xC || h>>28 == 0xD):
	default:
		return no()
	}
	if ext, e := extendAt(text, end); e > 0 && (ext&0xFF != 0 || kindOf(h) == kindSetup) {
		return Code{HRESULT: h, Extend: ext, Form: FormPair}, e, true
	}
	c := Code{HRESULT: h, Form: FormHex}
	if kindOf(h) == kindNTSTATUS {
		c.Form = FormNTSTATUS
	}
	return c, end, true
}

// findBare judges eight hex digits without a prefix.
func findBare(text string, start, end int) (Code, int, bool) {
	digits := text[start : start+8]
	h, ok := failing(digits)
	if !ok {
		return Code{}, 0, false
	}
	_, known := findRow(h)
	if !known && !plausible(h) {
		return Code{}, 0, false
	}
	form := FormHex
	if kindOf(h) == kindNTSTATUS {
		form = FormNTSTATUS
	}
	if start == 0 || text[start-1] != '-' {
		if ext, e := extendAt(text, end); e > 0 && (kindOf(h) == kindSetup || known && ext&0xFF != 0) {
			return Code{HRESULT: h, Extend: ext, Form: FormPair}, e, true
		}
	}

	ctx := before(text, start)
	// CSI writes "(F) c0000034 [Error,Facility=(system),Code=52 (0x0034)]".
	vouched := foldPrefix(text[end:], " [error,facility=") || ctx.is(ctxError) || ctx.is(ctxExit) || ctx.is(ctxStatus) || ctx.is(ctxFail)
	bracketed := start > 0 && end < len(text) && (text[start-1] == '[' && text[end] == ']' || text[start-1] == '(' && text[end] == ')')
	switch {
	case ctx.is(ctxAddress), partOfName(text, start, end, vouched):
		return Code{}, 0, false
	case vouched, bracketed:
	case !known, inDump(text, start, end), countsSomething(text, end):
		return Code{}, 0, false
	}
	return Code{HRESULT: h, Form: form}, end, true
}

// findLong judges a decimal number of 7, 9 or 10 digits: an HRESULT, signed
// or not, or a WU_S_* exit code of wusa.
func findLong(text string, start, end int) (Code, bool) {
	var v uint64
	for i := start; i < end; i++ {
		v = v*10 + uint64(text[i]-'0')
	}
	sign := signBefore(text, start)
	form := FormDecimal
	if sign > 0 && v <= 1<<31 {
		v, form = 1<<32-v, FormSigned
	}
	h := HRESULT(v)
	if v > 1<<32-1 || sign > 0 && form != FormSigned || !h.Failed() && h>>16 != 0x24 {
		return Code{}, false
	}
	_, known := findRow(h)
	switch {
	case !h.Failed():
		// 2359302, an exit code of wusa.exe: WU_S_ALREADY_INSTALLED
		if ctx := before(text, start); !known || !ctx.is(ctxExit) && !ctx.is(ctxError) {
			return Code{}, false
		}
	case known && !partOfName(text, start-sign, end, false) && !countsSomething(text, end):
	case plausible(h) && before(text, start-sign).is(ctxError) && !partOfName(text, start-sign, end, true):
	default:
		return Code{}, false
	}
	return Code{HRESULT: h, Form: form}, true
}

// findShort judges a decimal number of at most five digits, of which texts are
// full. Words before it, or the reason phrase of an HTTP status after it, have
// to vouch for it.
func findShort(text string, start, end int) (Code, bool) {
	status := end-start == 3 && (text[start] == '4' || text[start] == '5')
	if !status && (start == 0 || !isGap(text[start-1]) && text[start-1] != 0x92) { // 0x92 ends U+2212
		return Code{}, false
	}
	if end < len(text) {
		switch c := text[end]; {
		case c == '%', (c == '.' || c == ',' || c == ':' || c == '/' || c == '-' || c == '\\') && end+1 < len(text) && class[text[end+1]] != 0:
			return Code{}, false // 5%, 5.1, 12:30, 1/2, 407-a
		}
	}
	var v uint32
	for i := start; i < end; i++ {
		v = v*10 + uint32(text[i]-'0')
	}
	if v == 0 {
		return Code{}, false
	}
	if sign := signBefore(text, start); sign > 0 {
		j := FromJET(-int32(v))
		if _, known := findRow(j); !known || !before(text, start-sign).is(ctxError) {
			return Code{}, false
		}
		return Code{HRESULT: j, Form: FormJET}, true
	}

	ctx := before(text, start)
	if status && isHTTPFailure(v) && (ctx.is(ctxHTTP) || reasonFollows(text, end, v)) {
		r, _ := readShort(v)
		return r[0], true
	}
	if ctx == 0 {
		return Code{}, false
	}
	alone := end == len(text) || class[text[end]] == 0 && !letterFollows(text, end)
	return shortCode(v, ctx, alone || ctx.is(ctxStrict))
}

// shortCode reads a number of at most 16 bits in its context. Small numbers
// count things more often than they name an error: sure says that this one
// does not.
func shortCode(v uint32, ctx context, sure bool) (Code, bool) {
	const small = 50
	win32 := FromWin32(v)
	row, known := findRow(win32)
	installer := known && row.field(colFamily) == "win32-msi" || win32.RestartRequired()
	switch {
	case ctx.is(ctxAddress), ctx.is(ctxHTTP), v < small && !sure:
	case v >= winHTTPFirst && v <= winHTTPLast:
		return Code{HRESULT: win32, Form: FormWinHTTP}, true
	case installer,
		ctx.is(ctxExit) && known && v >= small && !isHTTPFailure(v):
		return Code{HRESULT: win32, Form: FormWin32}, true
	case ctx.is(ctxError) && v >= 400 && isHTTPFailure(v):
		r, _ := readShort(v)
		return r[0], true
	case ctx.is(ctxError) && known:
		return Code{HRESULT: win32, Form: FormWin32}, true
	}
	return Code{}, false
}

// maxSymbol is more than the length of the longest symbol.
const maxSymbol = 80

// findSymbol judges a word with an underscore.
func findSymbol(word string) (Code, bool) {
	// Names of packages and files are mostly lower case; of those only the
	// families that people type are looked at.
	if lower := word[0] >= 'a'; lower || word[1] >= 'a' {
		if !foldPrefix(word, "wu_") && !foldPrefix(word, "cbs_") && !foldPrefix(word, "error_") &&
			!foldPrefix(word, "bg_") && !foldPrefix(word, "do_") && !foldPrefix(word, "mosetup_") {
			return Code{}, false
		}
	}
	var buf [maxSymbol]byte
	b := buf[:len(word)]
	for i := range len(word) {
		c := word[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		b[i] = c
	}
	h, ok := symbolIndex()[string(b)]
	return Code{HRESULT: h, Form: FormSymbol}, ok
}

// context is what the words before a number say about it.
type context uint8

const (
	ctxError   context = 1 << iota // error, hr, HRESULT, code
	ctxExit                        // exit code, returned
	ctxHTTP                        // HTTP status
	ctxStatus                      // status, without HTTP
	ctxFail                        // failed with, or a code of unknown kind
	ctxAddress                     // address, base, handle
	ctxStrict                      // with ctxError: system error, error code
)

func (c context) is(x context) bool { return c&x != 0 }

// before reads up to three words before text[start]. It looks back over
// forty-odd bytes at most.
func before(text string, start int) context {
	w, at := wordBefore(text, start)
	for range 2 { // "error code is", "failed with"
		switch {
		case fold(w, "is"), fold(w, "was"), fold(w, "with"), fold(w, "of"), fold(w, "value"), fold(w, "number"):
			w, at = wordBefore(text, at)
		}
	}
	switch len(w) {
	case 0:
		if httpVersionBefore(text, start) {
			return ctxHTTP
		}
		return 0
	case 1:
		return 0
	}
	// The words only vouch for a number that stands beside them, so it does no
	// harm to know the word "error" of some other languages that people paste.
	switch w[0] | 0x20 {
	case 'a':
		if fold(w, "address") || fold(w, "addr") {
			return ctxAddress
		}
	case 'b':
		if fold(w, "base") {
			return ctxAddress
		}
	case 'c':
		if fold(w, "code") || fold(w, "codes") {
			return codeBefore(text, at)
		}
		if fold(w, "chyba") {
			return ctxError
		}
	case 'e':
		switch {
		case fold(w, "error"):
			switch p, _ := wordBefore(text, at); {
			case fold(p, "system"), fold(p, "windows"), fold(p, "last"):
				return ctxError | ctxStrict
			case fold(p, "client"), fold(p, "soap"): // "soap client error = 10" is no Win32 error
				return 0
			}
			return ctxError
		case fold(w, "errorcode"), fold(w, "errcode"):
			return ctxError | ctxStrict
		case fold(w, "err"), fold(w, "erreur"), fold(w, "errore"), fold(w, "erro"):
			return ctxError
		case fold(w, "exitcode"), fold(w, "exit"), fold(w, "exited"):
			return ctxExit
		}
	case 'f':
		switch {
		case fold(w, "fehler"), fold(w, "fehlercode"), fold(w, "fout"), fold(w, "foutcode"), fold(w, "felkod"):
			return ctxError
		case fold(w, "failed"), fold(w, "failure"), fold(w, "fail"), fold(w, "failing"):
			return ctxFail
		}
	case 'g':
		if fold(w, "getlasterror") {
			return ctxError | ctxStrict
		}
	case 'h':
		switch {
		case fold(w, "hr"), fold(w, "hresult"):
			return ctxError
		case fold(w, "http"), fold(w, "httpstatus"), fold(w, "httpstatuscode"):
			return ctxHTTP
		case fold(w, "handle"), fold(w, "hwnd"):
			return ctxAddress
		}
	case 'l':
		if fold(w, "lasterror") {
			return ctxError | ctxStrict
		}
	case 'o':
		if fold(w, "offset") {
			return ctxAddress
		}
	case 'p':
		if fold(w, "pointer") || fold(w, "ptr") {
			return ctxAddress
		}
	case 'r':
		switch {
		case fold(w, "result"), fold(w, "rc"):
			return ctxError
		case fold(w, "resultcode"):
			return ctxError | ctxStrict
		case fold(w, "returned"), fold(w, "returns"), fold(w, "returncode"):
			return ctxExit
		}
	case 's':
		switch {
		case fold(w, "status"):
			if p, _ := wordBefore(text, at); fold(p, "http") {
				return ctxHTTP
			} else if fold(p, "exit") {
				return ctxExit
			}
			return ctxStatus
		case fold(w, "statuscode"):
			return ctxHTTP
		case fold(w, "systemfehler"):
			return ctxError | ctxStrict
		}
	}
	return 0
}

// codeBefore says what kind of code the word before "code" makes of it.
func codeBefore(text string, at int) context {
	switch w, at := wordBefore(text, at); {
	case fold(w, "status"):
		return ctxHTTP
	case fold(w, "exit"), fold(w, "return"):
		return ctxExit
	case fold(w, "error"), fold(w, "result"), fold(w, "failure"), fold(w, "hresult"):
		if p, _ := wordBefore(text, at); fold(p, "soap") {
			return 0
		}
		return ctxError | ctxStrict
	case w == "" || fold(w, "with") || fold(w, "the") || fold(w, "update") || fold(w, "stop"):
		return ctxFail | ctxStatus
	}
	return ctxStatus
}

// wordBefore returns the letters before text[at], past a few separators, and
// where they begin.
func wordBefore(text string, at int) (string, int) {
	const maxGap, maxWord = 5, 16
	end := at
	for end > 0 && at-end <= maxGap && isGap(text[end-1]) {
		end--
	}
	start := end
	for start > 0 && end-start <= maxWord && class[text[start-1]]&(hexalpha|alpha) != 0 {
		start--
	}
	if end-start > maxWord || start > 0 && class[text[start-1]]&digit != 0 {
		return "", start
	}
	return text[start:end], start
}

// isGap reports whether c may stand between a word and the number it vouches
// for. A comma, a slash or an end of line parts them.
func isGap(c byte) bool {
	switch c {
	case ' ', '=', ':', '(', '[', '"', '\'', '>', '#', '_', '-':
		return true
	}
	return false
}

// fold reports whether w is the lower-case ASCII word in any letter case.
func fold(w, word string) bool { return len(w) == len(word) && foldPrefix(w, word) }

// httpVersionBefore reports whether "HTTP/1.1 " stands before text[at].
func httpVersionBefore(text string, at int) bool {
	t := text[:at]
	if len(t) < 7 || t[len(t)-1] != ' ' || t[len(t)-2] < '0' || t[len(t)-2] > '3' {
		return false
	}
	t = t[:len(t)-2] // "HTTP/1." or "HTTP/"
	if t[len(t)-1] == '.' {
		t = t[:len(t)-2]
	}
	return len(t) >= 5 && fold(t[len(t)-5:], "http/")
}

// signBefore returns the length of a minus that stands before text[at] and is
// no dash between two words: 0 if there is none.
func signBefore(text string, at int) int {
	n := 0
	switch {
	case at >= 1 && text[at-1] == '-':
		n = 1
	case at >= 3 && text[at-3] == 0xE2 && text[at-2] == 0x88 && text[at-1] == 0x92: // U+2212
		n = 3
	default:
		return 0
	}
	if at-n > 0 {
		if c := text[at-n-1]; class[c] != 0 || c == '-' || c == ']' || c == ')' || c == '}' {
			return 0
		}
	}
	return n
}

// partOfName reports whether the word at start and end is a piece of a GUID, a
// path, a file name, a version or a debugger address.
func partOfName(text string, start, end int, vouched bool) bool {
	if start > 0 {
		switch c := text[start-1]; c {
		case '\\', '/', '~', '@', '$', '+', '`', '%', '&':
			return true
		case '.', ',':
			if start > 1 && class[text[start-2]] != 0 {
				return true
			}
		case '-':
			if start > 1 && class[text[start-2]] != 0 && !vouched {
				return true
			}
		}
	}
	if end < len(text) {
		next := end+1 < len(text) && class[text[end+1]] != 0
		switch text[end] {
		case '\\', '/', '~', '@', '`', '%':
			return true
		case '.', '-':
			return next
		}
	}
	return false
}

// inDump reports whether the word of eight hex digits stands beside others of
// its kind, as in dumps of memory and spaced hashes, or before a hex dump.
func inDump(text string, start, end int) bool {
	hexRun := func(from, to int) bool {
		if from < 0 || to > len(text) {
			return false
		}
		for _, c := range []byte(text[from:to]) {
			if class[c]&(digit|hexalpha) == 0 {
				return false
			}
		}
		return (from == 0 || class[text[from-1]] == 0) && (to == len(text) || class[text[to]] == 0)
	}
	if end < len(text) && text[end] == ':' {
		at := end + 1
		for at < len(text) && text[at] == ' ' && at-end < 4 {
			at++
		}
		return hexRun(at, at+2) || hexRun(at, at+4) || hexRun(at, at+8)
	}
	for gap := 1; gap <= 2; gap++ {
		if hexRun(end+gap, end+gap+8) && text[end] != '\n' || hexRun(start-gap-8, start-gap) && text[start-1] != '\n' {
			return true
		}
	}
	return false
}

// countsSomething reports whether a unit follows: 80240022 bytes.
func countsSomething(text string, end int) bool {
	rest := text[end:min(len(text), end+12)]
	rest = strings.TrimLeft(rest, " ")
	if rest == "" || class[rest[0]]&(alpha|hexalpha) == 0 {
		return false
	}
	for _, unit := range [...]string{"byte", "kb", "mb", "gb", "kib", "mib", "ms", "sec", "file", "item", "ticks"} {
		if foldPrefix(rest, unit) {
			return true
		}
	}
	return false
}

// letterFollows reports whether the next thing after blanks is a word, as in
// "error: 2 files".
func letterFollows(text string, end int) bool {
	for end < len(text) && text[end] == ' ' {
		end++
	}
	return end < len(text) && class[text[end]] != 0
}

// reasonFollows reports whether text[end:] begins with the reason phrase of
// an HTTP status: "(407) Proxy Authentication Required".
func reasonFollows(text string, end int, status uint32) bool {
	for n := 0; n < 4 && end < len(text) && strings.IndexByte(" ():\"'-", text[end]) >= 0; n++ {
		end++
	}
	rest := text[end:]
	if rest == "" || class[rest[0]]&(alpha|hexalpha) == 0 {
		return false
	}
	switch status {
	case 400:
		return foldPrefix(rest, "bad request")
	case 401:
		return foldPrefix(rest, "unauthorized")
	case 403:
		return foldPrefix(rest, "forbidden")
	case 404:
		return foldPrefix(rest, "not found")
	case 405:
		return foldPrefix(rest, "method not allowed")
	case 407:
		return foldPrefix(rest, "proxy auth")
	case 408:
		return foldPrefix(rest, "request time")
	case 409:
		return foldPrefix(rest, "conflict")
	case 410:
		return foldPrefix(rest, "gone")
	case 413:
		return foldPrefix(rest, "request entity too") || foldPrefix(rest, "payload too") || foldPrefix(rest, "content too")
	case 416:
		return foldPrefix(rest, "range not") || foldPrefix(rest, "requested range")
	case 429:
		return foldPrefix(rest, "too many requests")
	case 500:
		return foldPrefix(rest, "internal server")
	case 501:
		return foldPrefix(rest, "not implemented")
	case 502:
		return foldPrefix(rest, "bad gateway") || foldPrefix(rest, "proxy error")
	case 503:
		return foldPrefix(rest, "service unavailable") || foldPrefix(rest, "service temporarily")
	case 504:
		return foldPrefix(rest, "gateway time")
	case 505:
		return foldPrefix(rest, "http version")
	}
	return false
}

// repeats reports whether m is the code of last once more in another form,
// with nothing but punctuation between.
func repeats(text string, last, m Match) bool {
	const maxGap = 8
	if last.HRESULT != m.HRESULT || m.Start-last.End > maxGap || last.Extend != 0 && last.Extend != m.Extend && m.Extend != 0 {
		return false
	}
	for i := last.End; i < m.Start; i++ {
		if c := text[i]; class[c] != 0 || c == '\n' {
			return false
		}
	}
	return true
}
