package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func runExplain(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" }, GOOS: "linux", Version: "test",
	}
	code = Run(context.Background(), env, append([]string{"explain"}, args...))
	return code, out.String(), errs.String()
}

// explained returns the codes of the JSON form.
func explained(t *testing.T, stdout string) []string {
	t.Helper()
	var doc struct {
		Schema string
		Codes  []struct{ Code string }
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if doc.Schema != "updoc.explain/1" {
		t.Errorf("schema %q", doc.Schema)
	}
	var list []string
	for _, c := range doc.Codes {
		list = append(list, c.Code)
	}
	return list
}

// TestExplainForms goes through every form in which a person may have a code.
func TestExplainForms(t *testing.T) {
	const mail = `Hello, my laptop says "There were problems installing some updates, but we'll
try again later (0x80070422)". KB5034441 failed on 2024-01-10 with 0x80070643,
in the log: HTTP status code = 407. Version 22631.3007, 12 of 40 done.`
	tests := []struct {
		name  string
		stdin string
		args  []string
		want  []string
	}{
		{"hex", "", []string{"0x8024401B"}, []string{"0x8024401B"}},
		{"hex without prefix, lower case", "", []string{"8024401b"}, []string{"0x8024401B"}},
		{"hex with capital prefix", "", []string{"0X8024401B"}, []string{"0x8024401B"}},
		{"hex with suffix", "", []string{"8024401Bh"}, []string{"0x8024401B"}},
		{"sign-extended", "", []string{"0xFFFFFFFF8024401B"}, []string{"0x8024401B"}},
		{"signed", "", []string{"-2145107941"}, []string{"0x8024401B"}},
		{"signed after two dashes", "", []string{"--", "-2145107941"}, []string{"0x8024401B"}},
		{"signed with a word processor's minus", "", []string{"\u22122145107941"}, []string{"0x8024401B"}},
		{"unsigned", "", []string{"2149859355"}, []string{"0x8024401B"}},
		{"symbol", "", []string{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ"}, []string{"0x8024401B"}},
		{"symbol in small letters", "", []string{"wu_e_pt_http_status_proxy_auth_req"}, []string{"0x8024401B"}},
		{"in brackets", "", []string{"(0x8024401B)."}, []string{"0x8024401B"}},
		{"HTTP status", "", []string{"407"}, []string{"0x8024401B"}},
		{"WinHTTP error", "", []string{"12007"}, []string{"0x80072EE7"}},
		{"Win32 error", "", []string{"1058"}, []string{"0x80070422"}},
		{"exit code", "", []string{"3010"}, []string{"0x80070BC2"}},
		{"database error", "", []string{"-1032"}, []string{"0xC8000408"}},
		{"NTSTATUS", "", []string{"0xC0000034"}, []string{"0xC0000034"}},
		{"phase and operation", "", []string{"0xC1900101-0x20017"}, []string{"0xC1900101-0x20017"}},
		{"phase and operation, two arguments", "", []string{"0xC1900101", "0x20017"}, []string{"0xC1900101-0x20017"}},
		{"phase and operation, bare", "", []string{"c1900101", "20017"}, []string{"0xC1900101-0x20017"}},
		{"phase and operation, a long dash", "", []string{"0xC1900101 \u2013 0x4000D"}, []string{"0xC1900101-0x4000D"}},
		{"phase and operation, a dash between", "", []string{"0xC1900101", "-", "0x20017"}, nil}, // '-' is standard input
		{"several", "", []string{"0x80070422", "407", "-2145107941", "1058"}, []string{"0x80070422", "0x8024401B"}},
		{"several and a pair", "", []string{"0x80070422", "0xC1900101", "0x20017"}, []string{"0x80070422", "0xC1900101-0x20017"}},
		{"several in one argument", "", []string{"0x80070422, 0x80070643"}, []string{"0x80070422", "0x80070643"}},
		{"a pasted sentence", "", []string{"Update KB5034441 failed (0x80070643)"}, []string{"0x80070643"}},
		{"the same without quotes", "", []string{"Update", "KB5034441", "failed", "(0x80070643)", "on", "2024-01-10"}, []string{"0x80070643"}},
		{"a word and a number", "", []string{"error", "407"}, []string{"0x8024401B"}},
		{"a number that nothing vouches for", "", []string{"code", "12007"}, []string{"0x80072EE7"}},
		{"standard input", mail, []string{"-"}, []string{"0x80070422", "0x80070643", "0x8024401B"}},
		{"flags after the code", "", []string{"-2145107941", "--all"}, []string{"0x8024401B"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"--format", "json"}, tt.args...)
			code, stdout, stderr := runExplain(t, tt.stdin, args...)
			if tt.want == nil {
				if code != ExitUsage {
					t.Errorf("exit code %d, want %d", code, ExitUsage)
				}
				return
			}
			if code != ExitHealthy {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			if diff := cmp.Diff(tt.want, explained(t, stdout)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExplainNonsense(t *testing.T) {
	tests := []struct {
		name  string
		stdin string
		args  []string
		hint  string // part of the hint
		out   string // part of standard output
	}{
		{"nothing", "", nil, "0x8024401B", ""},
		{"a word", "", []string{"bananas"}, "a code looks like", ""},
		{"words", "", []string{"it", "does", "not", "work"}, "a code looks like", ""},
		{"a digit missing", "", []string{"0x8024401"}, "perhaps meant: 0x8024401", ""},
		{"O for zero", "", []string{"Ox8O24401B"}, "0x8024401B WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ", ""},
		{"a name misspelt", "", []string{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQUIRED"}, "0x8024401B", ""},
		{"an extend code alone", "", []string{"0x20017"}, "updoc explain 0xC1900101-0x20017", ""},
		{"too large", "", []string{"99999999999999999999"}, "a code looks like", ""},
		{"empty text", "", []string{"-"}, "0x8024401B", ""},
		{"text without codes", "KB5034441 on 2024-01-10\n", []string{"-"}, "diagnose", ""},
		{"standard input beside codes", "", []string{"-", "0x8024401B"}, "either", ""},
		{"one of two", "", []string{"0x8024401B", "0x802440zz"}, "a code looks like", "PROXY_AUTH_REQ"},
		{"no such format", "", []string{"--format", "yaml", "407"}, "text, json, md", ""},
		{"no such flag", "", []string{"--frmat", "json", "407"}, "--help", ""},
		{"escapes", "", []string{"\x1b[31m\u202ehello\r\n"}, "a code looks like", ""},
		{"very long", "", []string{strings.Repeat("x", 1<<20)}, "a code looks like", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runExplain(t, tt.stdin, tt.args...)
			if code != ExitUsage {
				t.Errorf("exit code %d, want %d", code, ExitUsage)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if len(lines) != 2 || !strings.HasPrefix(lines[0], "updoc: error: ") || !strings.HasPrefix(lines[1], "updoc: hint: ") {
				t.Fatalf("standard error is %q", stderr)
			}
			if !strings.Contains(lines[1], tt.hint) {
				t.Errorf("%q is not in %q", tt.hint, lines[1])
			}
			if strings.ContainsAny(stderr, "\x1b\u202e\r") || len(stderr) > 600 {
				t.Errorf("%d bytes of standard error, escapes and all: %q", len(stderr), stderr[:min(len(stderr), 600)])
			}
			if (tt.out == "") != (stdout == "") || !strings.Contains(stdout, tt.out) {
				t.Errorf("standard output is %q", stdout)
			}
		})
	}
}

func TestExplainHelp(t *testing.T) {
	for _, flag := range []string{"--help", "-h"} {
		code, stdout, _ := runExplain(t, "", flag)
		if code != ExitHealthy || !strings.Contains(stdout, "0xC1900101-0x20017") || !strings.Contains(stdout, "--all") {
			t.Errorf("%s: exit code %d, %q", flag, code, stdout)
		}
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestExplainStandardInput(t *testing.T) {
	env := Env{Stdin: failingReader{}}
	if _, _, err := env.codesOf([]string{"-"}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("err = %v", err)
	}
	// A log is larger than what is read of it; the codes of the beginning count.
	env.Stdin = io.MultiReader(strings.NewReader("failed with 0x80070422\n"), io.LimitReader(zeros{}, maxPasted+1<<20))
	list, wrong, err := env.codesOf([]string{"-"})
	if err != nil || wrong != nil || len(list) != 1 {
		t.Errorf("%v %v %v", list, wrong, err)
	}
}

// zeros is an endless text.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "0\n"[i%2]
	}
	return len(p), nil
}

// FuzzExplain holds that whatever is given, the answer is bounded, fits the
// width, and carries nothing to the terminal but printable ASCII.
func FuzzExplain(f *testing.F) {
	for _, s := range []string{
		"0x8024401B", "-2145107941", "407", "0xC1900101 - 0x20017", "Error (0x80070422) and 0x80070643", "bananas", "-", "",
		"0xD0000034", "-1032", "WU_E_NOT_INITIALIZED", "0x80245555", "\x1b[2J0x8024401B\u202e", "0x8024401B\r\n0x80072EE2",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, all bool) {
		if len(text) > 1<<12 {
			return
		}
		args := []string{"--", text}
		if all {
			args = append([]string{"--all"}, args...)
		}
		code, stdout, stderr := runExplain(t, text, args...)
		if code != ExitHealthy && code != ExitUsage {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		if code == ExitUsage && strings.Count(stderr, "\n") != 2 {
			t.Errorf("standard error: %q", stderr)
		}
		for line := range strings.Lines(stdout) {
			line = strings.TrimSuffix(line, "\n")
			if len(line) > 80 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%d bytes: %q", len(line), line)
			}
		}
	})
}
