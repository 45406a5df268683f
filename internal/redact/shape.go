package redact

import "bytes"

// A shape is the form of the keys of a service. Services give their keys a prefix so that one which was published by
// mistake can be found; here it is found before.
type shape struct {
	prefix string
	body   alphabet
	least  int  // bytes in the body
	exact  bool // and no more than that
}

// An alphabet says what the body of a key may be made of.
type alphabet uint8

const (
	capitals alphabet = iota // A-Z 0-9
	letters                  // A-Z a-z 0-9
	dashed                   // and - _
	dotted                   // and - _ .
)

// shapes with the pages that give them.
var shapes = [...]shape{
	{"AIza", dashed, 35, true},         // cloud.google.com: Best practices for managing API keys
	{"AKIA", capitals, 16, true},       // docs.aws.amazon.com: IAM identifiers, unique ids
	{"ASIA", capitals, 16, true},       // the same, of a session
	{"ghp_", letters, 20, false},       // docs.github.com: About authentication to GitHub, token formats
	{"gho_", letters, 20, false},       // the same, of an app that signed somebody in
	{"ghr_", letters, 20, false},       // to renew one
	{"ghs_", dotted, 20, false},        // of an installed app; may be a JSON web token
	{"ghu_", letters, 20, false},       // of an app for a user
	{"github_pat_", dashed, 20, false}, // with rights of its own
	{"glpat-", dotted, 16, false},      // docs.gitlab.com: Token overview, prefixes
	{"gldt-", dashed, 16, false},       // the same, to deploy
	{"glrt-", dotted, 16, false},       // of a runner
	{"npm_", letters, 30, false},       // docs.npmjs.com: About access tokens
	{"rk_live_", letters, 10, false},   // docs.stripe.com: API keys, restricted
	{"rk_test_", letters, 10, false},
	{"sk_live_", letters, 10, false},
	{"sk_test_", letters, 10, false},
	{"xapp-", dashed, 10, false}, // api.slack.com: Token types
	{"xoxa-", dashed, 10, false},
	{"xoxb-", dashed, 10, false},
	{"xoxe-", dashed, 10, false},
	{"xoxe.xoxp-", dashed, 10, false},
	{"xoxp-", dashed, 10, false},
	{"xoxr-", dashed, 10, false},
	{"xoxs-", dashed, 10, false},
}

// shapedKeys takes out keys that nothing but their shape betrays.
func (s *scanner) shapedKeys() {
	s.begin()
	b := s.cur
	for i := 0; i < len(b); i++ {
		if c := b[i]; c != 'A' && c != 'g' && c != 'n' && c != 'r' && c != 's' && c != 'x' || i > 0 && isKeyByte(b[i-1], letters) {
			continue
		}
		for _, k := range &shapes {
			if end := k.match(b, i); end > i {
				s.cut(i, end)
				s.remove(b[i:end])
				i = end - 1
				break
			}
		}
	}
	s.end()
}

// match says where the key ends that begins at i, or i if there is none.
func (k shape) match(b []byte, i int) int {
	if b[i] != k.prefix[0] || !bytes.HasPrefix(b[i:], []byte(k.prefix)) {
		return i
	}
	body := i + len(k.prefix)
	end := body
	for end < len(b) && isKeyByte(b[end], k.body) {
		end++
	}
	for end > body && (b[end-1] == '.' || b[end-1] == '-') { // of the sentence
		end--
	}
	if n := end - body; n < k.least || k.exact && n > k.least || end < len(b) && isKeyByte(b[end], letters) {
		return i
	}
	return end
}

func isKeyByte(c byte, a alphabet) bool {
	switch class := byteClass[c]; {
	case class&(isDigit|isUpper) != 0:
		return true
	case class&isLower != 0:
		return a != capitals
	case c == '-', c == '_':
		return a >= dashed
	}
	return c == '.' && a == dotted
}
