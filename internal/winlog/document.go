package winlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// The saved outputs of commands are small, so their readers hold them whole,
// within these bounds. What lies beyond is not read.
const (
	maxDocumentBytes = 2 << 20 // 1 MiB of text that was saved as UTF-16
	maxDocumentLines = 20_000
)

// errEnough ends a reading early; it never leaves the package.
var errEnough = errors.New("enough read")

// readDocument decodes a document into lines without their ends. The line with
// index i is line i+1 of the file.
func readDocument(r io.Reader) ([]string, error) {
	var lines []string
	_, err := eachLine(context.Background(), io.LimitReader(r, maxDocumentBytes), func(line []byte, _ bool) error {
		if len(lines) == maxDocumentLines {
			return errEnough
		}
		lines = append(lines, string(line))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("read document: %w", err)
	}
	return lines, nil
}

// cutColon splits "key : value" at the first colon, ASCII or full width, and
// trims both sides. ASCII colons never occur inside the two-byte characters of
// the East Asian code pages, so this holds for undecoded text as well.
func cutColon(s string) (key, value string, ok bool) {
	i := strings.IndexAny(s, ":：")
	if i < 0 {
		return strings.TrimSpace(s), "", false
	}
	value = s[i+1:]
	if s[i] != ':' {
		value = s[i+len("："):]
	}
	return strings.TrimSpace(s[:i]), strings.TrimSpace(value), true
}

var promptLine = regexp.MustCompile(`^(?:PS [^>"|<]{0,300}|[A-Za-z]:(?:\\[^>"|<]{0,300})?)> ?`)

// isPrompt reports a line that is a prompt of cmd.exe or PowerShell with or
// without a command: "C:\Windows\system32>sc query wuauserv", "PS C:\> Get-Service".
func isPrompt(line string) bool {
	return strings.Contains(line, ">") && promptLine.MatchString(line)
}

// afterPrompt returns the command that a prompt line shows.
func afterPrompt(line string) (command string, ok bool) {
	if !strings.Contains(line, ">") {
		return "", false
	}
	loc := promptLine.FindStringIndex(line)
	if loc == nil {
		return "", false
	}
	return strings.TrimSpace(line[loc[1]:]), true
}
