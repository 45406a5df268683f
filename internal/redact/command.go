package redact

import "bytes"

// A word of a command line.
type word struct{ start, end int }

// commands handles what is secret by its place in a command line: -Password X, --proxy-user u:p, net use, and the like.
// What is joined to its switch by a colon or an equals sign (/p:X, /password=X) is a field and handled there.
func (s *scanner) commands(f features) {
	if f&(hasDash|hasSlash) != 0 {
		s.switches()
	}
	if f&mayNet != 0 {
		s.begin()
		for i := 0; i >= 0; {
			if i = s.findWord("net", i); i >= 0 {
				s.netCommand(i)
			}
		}
		s.end()
	}
	if f&mayCommand != 0 {
		s.begin()
		for i := 0; i >= 0; {
			if i = s.findWord("convertto-securestring", i); i >= 0 {
				s.secureString(i)
			}
		}
		s.end()
		s.begin()
		for i := 0; i >= 0; {
			if i = s.findWord("/setcredentials", i); i >= 0 {
				s.bitsadmin(i)
			}
		}
		s.end()
	}
}

// findWord returns the place behind a word of a command, with or without .exe, or -1.
func (s *scanner) findWord(word string, from int) int {
	b := s.cur
	for {
		k := foldIndex(b, word, from)
		if k < 0 {
			return -1
		}
		from = k + len(word)
		if k > 0 && joinsWord(b[k-1]) {
			continue
		}
		if hasFoldPrefix(b[from:], ".exe") {
			from += len(".exe")
		}
		if from < len(b) && (b[from] == ' ' || b[from] == '"') {
			return from
		}
	}
}

// words splits the line from i on as a command line.
func (s *scanner) words(i int) []word {
	const maxWords = 12
	var list []word
	for b := s.cur; len(list) < maxWords; {
		for i < len(b) && byteClass[b[i]]&isSpace != 0 {
			i++
		}
		if i == len(b) {
			break
		}
		start, quoted := i, false
		for ; i < len(b) && (quoted || byteClass[b[i]]&isSpace == 0); i++ {
			if b[i] == '"' {
				quoted = !quoted
			}
		}
		list = append(list, word{start, i})
	}
	return list
}

// unquote narrows a word to what its quotes enclose.
func (s *scanner) unquote(w word) word {
	if n := w.end - w.start; n >= 2 && (s.cur[w.start] == '"' || s.cur[w.start] == '\'') && s.cur[w.end-1] == s.cur[w.start] {
		return word{w.start + 1, w.end - 1}
	}
	return w
}

func (s *scanner) removeWord(w word) {
	w = s.unquote(w)
	text := s.cur[w.start:w.end]
	if w.start < s.done || len(text) == 0 || isRemoved(text) || isNothing(text) || isCode(text) {
		return
	}
	s.cut(w.start, w.end)
	s.remove(text)
}

// maxCommand is how far before a switch its command is looked for.
const maxCommand = 512

func (s *scanner) commandBefore(i int, name string) bool {
	return foldIndex(s.cur[max(0, i-maxCommand):i], name, 0) >= 0
}

// switches handles -Name value and /name value.
func (s *scanner) switches() {
	b := s.cur
	s.begin()
	for i := 0; i+1 < len(b); i++ {
		if b[i] != '-' && b[i] != '/' || i > 0 && byteClass[b[i-1]]&isSpace == 0 && b[i-1] != '"' && b[i-1] != '-' {
			continue
		}
		n := i + 1
		for n < len(b) && n-i <= maxKey && (byteClass[b[n]]&(isDigit|isLower|isUpper) != 0 || b[n] == '-') {
			n++
		}
		if n == i+1 || n >= len(b) || b[n] != ' ' {
			continue
		}
		secret := false
		var account, machine bool
		v := n
		for v < len(b) && b[v] == ' ' {
			v++
		}
		end := v
		if v < len(b) && (b[v] == '"' || b[v] == '\'') {
			if k := bytes.IndexByte(b[v+1:], b[v]); k >= 0 {
				end = v + k + 2
			} else {
				end = len(b)
			}
		} else {
			for end < len(b) && byteClass[b[end]]&isSpace == 0 {
				end++
			}
		}
		if v == end || b[v] == '(' || b[v] == '-' || b[v] == '/' {
			continue
		}
		value := b[v:end]
		switch name := string(normal(b[i+1 : n])); name {
		case "proxyuser", "user", "u":
			// curl: name:password in one word. A drive letter is not a name.
			k := bytes.IndexByte(value, ':')
			secret = k > 1 && !bytes.Contains(value, []byte("://")) && (name == "proxyuser" || b[i] == '-')
			account = k < 0 && (name != "u" || s.commandBefore(i, "psexec"))
		case "ru", "credential":
			account = true
		case "p", "pw":
			secret = s.commandBefore(i, "psexec") || s.commandBefore(i, "plink") || s.commandBefore(i, "pscp")
		case "rp":
			secret = s.commandBefore(i, "schtasks") || s.commandBefore(i, "manage-bde")
		case "d":
			// reg add KEY /v DefaultPassword /t REG_SZ /d value
			if k := bytes.LastIndex(b[max(0, i-maxCommand):i], []byte("/v ")); k >= 0 {
				w := s.words(max(0, i-maxCommand) + k + 3)
				secret = len(w) > 0 && fieldOf(string(normal(b[w[0].start:w[0].end]))) == passwordField
			}
		case "ipk":
			secret = true
		default:
			switch fieldOf(name) {
			case passwordField:
				secret = true
			case tokenField:
				secret = len(value) >= 8 && !isHarmlessToken(value)
			case userField:
				account = true
			case hostField:
				machine = true
			}
		}
		w := s.unquote(word{v, end})
		switch {
		case secret:
			s.removeWord(w)
		case account:
			s.userValue(span{w.start, w.end, true}, userField)
		case machine:
			s.hostValue(span{w.start, w.end, true}, true)
		default:
			continue
		}
		i = end - 1
	}
	s.end()
}

// netCommand handles what follows the word net.
func (s *scanner) netCommand(i int) {
	w := s.words(i)
	if len(w) > 0 && s.cur[w[0].start] == '"' {
		w = w[1:] // the end of a quoted path of net.exe
	}
	if len(w) < 2 {
		return
	}
	switch name := s.cur[w[0].start:w[0].end]; {
	case foldEqual(name, "use"):
		s.netUse(w[1:])
	case foldEqual(name, "user"):
		s.netUser(w[1:])
	}
}

// netUse handles net use [X:] \\server\share [password] [/user:name] [password]: a word that is neither a device, a
// share nor an option is the password.
func (s *scanner) netUse(list []word) {
	share := false
	for n, w := range list {
		text := s.cur[w.start:w.end]
		bare := bytes.Trim(text, `"'`)
		switch {
		case bytes.HasPrefix(bare, []byte(`\\`)):
			share = true
		case len(bare) == 2 && bare[1] == ':' || string(bare) == "*" || len(bare) == 0:
		case text[0] == '/':
		case text[0] == '&' || text[0] == '|' || text[0] == '>' || text[0] == '2' && len(text) > 1 && text[1] == '>':
			return
		case share && n <= 4:
			s.removeWord(w)
		}
	}
}

// netUser handles net user NAME PASSWORD [/add].
func (s *scanner) netUser(w []word) {
	if len(w) < 2 || s.cur[w[0].start] == '/' || s.cur[w[1].start] == '/' {
		return
	}
	if len(w) > 2 && bytes.IndexByte([]byte("/&|>"), s.cur[w[2].start]) < 0 {
		return // prose
	}
	s.userValue(span{w[0].start, w[0].end, true}, userField)
	s.removeWord(w[1])
}

// secureString handles ConvertTo-SecureString "secret" -AsPlainText -Force.
func (s *scanner) secureString(i int) {
	b := s.cur
	n := bytes.IndexAny(b[i:min(len(b), i+64)], `"'`)
	if n < 0 {
		return
	}
	start := i + n + 1
	end := bytes.IndexByte(b[start:], b[start-1])
	if end < 0 {
		end = len(b) - start
	}
	s.removeWord(word{start, start + end})
}

// bitsadmin handles bitsadmin /setcredentials JOB TARGET SCHEME USER PASSWORD.
func (s *scanner) bitsadmin(i int) {
	w := s.words(i)
	if len(w) < 5 {
		return
	}
	s.userValue(span{w[3].start, w[3].end, true}, userField)
	s.removeWord(w[4])
}
