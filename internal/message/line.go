package message

// Line is a sentence of the catalogue with its arguments, by name: what a room that
// decides says, without the words.
type Line struct {
	ID    string            `json:"id"`
	Args  map[string]string `json:"args,omitempty"`
	Paste string            `json:"paste,omitempty"` // text for somebody's settings, as it is, below the sentence
}

// Say is the sentence of an id; its arguments come as name, value, name, value.
func Say(id string, args ...string) Line { return Line{ID: id, Args: Args(args...)} }

// Args are the arguments of a sentence, from name, value, name, value; nil for none.
func Args(args ...string) map[string]string {
	var m map[string]string
	for i := 0; i+1 < len(args); i += 2 {
		if m == nil {
			m = make(map[string]string, len(args)/2)
		}
		m[args[i]] = args[i+1]
	}
	return m
}
