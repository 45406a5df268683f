package message

// Line is a sentence of the catalogue with its arguments, by name: what a room that
// decides says, without the words.
type Line struct {
	ID    string            `json:"id"`
	Args  map[string]string `json:"args,omitempty"`
	Paste string            `json:"paste,omitempty"` // text for somebody's settings, as it is, below the sentence
}
