package win

import (
	"errors"
	"strings"
	"testing"
)

func TestPipePath(t *testing.T) {
	name := strings.Repeat("0f", 16)
	if got, err := pipePath(name); err != nil || got != `\\.\pipe\updoc-`+name {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "0f", strings.Repeat("0F", 16), strings.Repeat("g", 32), `..\` + name, name + name + "0"} {
		if got, err := pipePath(bad); err == nil {
			t.Errorf("%q became the pipe %q", bad, got)
		}
	}
}

// A process that is not the page's is refused for whichever reason shows first.
func TestStrange(t *testing.T) {
	const program, user = `C:\Users\Erika\Downloads\updoc.exe`, "S-1-5-21-1-2-3-1001"
	file, other := fileID{1, 2, 3}, fileID{1, 2, 4}
	own := Caller{9, 1, user, program, file}
	for _, tt := range []struct {
		name string
		c    Caller
		ok   bool
	}{
		{"the page", Caller{7, 1, user, `c:\users\erika\downloads\UPDOC.EXE`, file}, true},
		{"another program of the same user", Caller{7, 1, user, `C:\Users\Erika\Downloads\updoc.exe.exe`, other}, false},
		{"a program without a path", Caller{7, 1, user, "", file}, false},
		{"another file of that name but for a capital", Caller{7, 1, user, `C:\Users\Erika\Downloads\Updoc.exe`, other}, false},
		{"a file that nobody could look at", Caller{7, 1, user, program, fileID{}}, false},
		{"another user's", Caller{7, 1, "S-1-5-21-1-2-3-1002", program, file}, false},
		{"on another desktop", Caller{7, 2, user, program, file}, false},
	} {
		if err := tt.c.strange(own, user); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrStranger) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// The pipe is for one user beside the administrators, and for nobody from the network.
func TestPipeRights(t *testing.T) {
	const user = "S-1-5-21-1-2-3-1001"
	rights := pipeRights(user)
	for _, want := range []string{"O:BA", "D:P(D;;GA;;;NU)", "(A;;0x12019b;;;" + user + ")"} {
		if !strings.Contains(rights, want) {
			t.Errorf("%s lacks %s", rights, want)
		}
	}
	for _, other := range []string{"WD", "AU", "BU", "IU", "AN"} {
		if strings.Contains(rights, ";;;"+other+")") {
			t.Errorf("%s lets %s in", rights, other)
		}
	}
}
