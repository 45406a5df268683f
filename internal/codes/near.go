package codes

// Near returns the rows that s was perhaps meant to be, best first, at most n.
func Near(s string, n int) []Info { return nil }
