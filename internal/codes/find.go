package codes

// Match is a code in a text: text[Start:End] is how it stands there.
type Match struct {
	Code
	Start, End int // byte offsets
}

// MaxMatches bounds what [Find] returns.
const MaxMatches = 10_000

// Find returns the codes in a text, in order of their place.
func Find(text string) []Match {
	var out []Match
	for i := 0; i+10 <= len(text) && len(out) < MaxMatches; i++ {
		if text[i] == '0' && (text[i+1] == 'x' || text[i+1] == 'X') {
			if c, err := Parse(text[i : i+10]); err == nil && c.Failed() {
				out = append(out, Match{Code: c, Start: i, End: i + 10})
				i += 9
			}
		}
	}
	return out
}
