package cli

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"updoc/internal/codes"
	"updoc/internal/report"
)

var explainFormats = []string{"text", "json", "md"}

func newExplain(env *Env) *cobra.Command {
	var (
		format string
		all    bool
	)
	cmd := &cobra.Command{
		Use:   "explain CODE...",
		Short: "Say what an update error code really means",
		Long: `Says what a code means, what it is taken for and is not, what usually is behind
it, what to try first, and what the common advice is worth for it.

A code may be written as it was found: 0x8024401B, 8024401b, -2145107941,
2149859355, WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ, an HTTP status (407), a WinHTTP
or Windows error (12007, 1058), or a result of Windows Setup with its extend
code (0xC1900101-0x20017). Several at once, or a text with codes in it, do too;
"-" reads the text from standard input.`,
		Example: `  updoc explain 0x8024401B
  updoc explain 0x8024401B --all              every cause, every piece of advice, by hand
  updoc explain 0xC1900101 0x20017            a setup result and its extend code
  updoc explain "Error (0x80070422) in KB5034441"
  updoc explain - < mail.txt                  every code in a text`,
		// A code may begin with a minus sign, which a flag parser would take for a
		// flag: the flags are parsed in RunE, without the numbers.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := parseAround(cmd, args)
			if err != nil {
				return err
			}
			if help, _ := cmd.Flags().GetBool("help"); help {
				return cmd.Help()
			}
			if !slices.Contains(explainFormats, format) {
				return usage("the formats are "+strings.Join(explainFormats, ", "), "no such format: %q", format)
			}
			list, wrong, err := env.codesOf(args)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				if err := report.WriteExplanations(env.Stdout, report.Explain(list), format, env.style(env.Stdout), all); err != nil {
					return err
				}
			}
			return wrong
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "text, json or md (tickets)")
	f.BoolVar(&all, "all", false, "everything: all causes, all advice with reasons, the way by hand")
	return cmd
}

// number is a code that begins with a minus sign, or with one of the dashes that
// word processors put in its place.
var number = regexp.MustCompile(`^[-\x{2010}-\x{2015}\x{2212}]\d`)

// parseAround parses the flags among args and returns the others, negative
// numbers included.
func parseAround(cmd *cobra.Command, args []string) ([]string, error) {
	var rest []string
	kept := map[string]string{} // placeholders, so that the order stays
	for _, a := range args {
		if number.MatchString(a) {
			key := fmt.Sprintf("\x00%d", len(kept))
			kept[key] = a
			a = key
		}
		rest = append(rest, a)
	}
	if err := cmd.Flags().Parse(rest); err != nil {
		return nil, cmd.FlagErrorFunc()(cmd, err)
	}
	out := slices.Clone(cmd.Flags().Args())
	for i, a := range out {
		if v, ok := kept[a]; ok {
			out[i] = v
		}
	}
	return out, nil
}

// maxPasted bounds a text that is read from standard input.
const maxPasted = 8 << 20

// codesOf finds the codes in the arguments. The third result is trouble before
// anything could be read; the second one is what could not be understood beside
// codes that could.
func (env *Env) codesOf(args []string) (list []codes.Code, wrong, err error) {
	if len(args) == 0 {
		return nil, nil, usage("give a code, e.g. 'updoc explain 0x8024401B', or '-' to read a text from standard input", "no code was given")
	}
	if slices.Contains(args, "-") {
		if len(args) > 1 {
			return nil, nil, usage("give either '-' or codes", "'-' reads a text from standard input and takes no codes beside it")
		}
		b, err := io.ReadAll(io.LimitReader(env.Stdin, maxPasted))
		if err != nil {
			return nil, nil, fmt.Errorf("read standard input: %w", err)
		}
		list := found(string(b))
		if len(list) == 0 {
			return nil, nil, usage("a code looks like 0x8024401B; the log that came with it may be read with 'updoc diagnose --from FILE'", "there is no code in this text")
		}
		return list, nil, nil
	}
	if prose(args) {
		list := pasted(args)
		if len(list) == 0 {
			return nil, nil, notACode(strings.Join(args, " "), nil)
		}
		return list, nil, nil
	}
	for i := 0; i < len(args); i++ {
		// A setup result and its extend code as two arguments.
		if i+1 < len(args) {
			if pair, err := codes.Parse(args[i] + "-" + args[i+1]); err == nil && pair.Extend != 0 && isExtend(args[i+1]) {
				pair.Given = args[i] + " " + args[i+1]
				list = append(list, pair)
				i++
				continue
			}
		}
		c, err := codes.Parse(args[i])
		var bad *codes.ParseError
		switch {
		case err == nil:
			list = append(list, c)
		case errors.As(err, &bad) && bad.Reason == codes.Several:
			list = append(list, found(args[i])...)
		case wrong == nil:
			wrong = notACode(args[i], bad)
		}
	}
	return list, wrong, nil
}

// isExtend reports whether s is an extend code and nothing else.
func isExtend(s string) bool {
	var bad *codes.ParseError
	_, err := codes.Parse(s)
	return errors.As(err, &bad) && bad.Reason == codes.ExtendOnly
}

// prose reports whether the arguments are words of a pasted text rather than a
// list of codes.
func prose(args []string) bool {
	words := 0
	for _, a := range args {
		if strings.ContainsFunc(a, unicode.IsSpace) {
			if _, err := codes.Parse(a); err != nil {
				return true
			}
			continue
		}
		if !strings.ContainsFunc(a, unicode.IsDigit) && !strings.Contains(a, "_") {
			words++
		}
	}
	return words > 0 && len(args) > 1
}

// pasted returns the codes in the words of a text. A bare number counts only if
// nothing better is there: most numbers in a text are no codes.
func pasted(args []string) []codes.Code {
	if list := found(strings.Join(args, " ")); len(list) > 0 {
		return list
	}
	var list []codes.Code
	for _, a := range args {
		if !strings.ContainsFunc(a, unicode.IsDigit) {
			continue
		}
		if c, err := codes.Parse(a); err == nil {
			list = append(list, c)
		}
	}
	return list
}

func found(text string) []codes.Code {
	var list []codes.Code
	for _, m := range codes.Find(text) {
		m.Given = text[m.Start:m.End]
		list = append(list, m.Code)
	}
	return list
}

// notACode says why a text is no code, and what was perhaps meant.
func notACode(text string, bad *codes.ParseError) error {
	const longest = 60
	shown := text
	if len(shown) > longest {
		shown = strings.ToValidUTF8(shown[:longest], "") + "..."
	}
	hint := "a code looks like 0x8024401B, -2145107941, WU_E_NOT_INITIALIZED, 407 or 0xC1900101-0x20017"
	near := codes.Near(text, 3)
	reason := codes.NotACode
	if bad != nil {
		reason = bad.Reason
		near = bad.Suggest
	}
	switch {
	case reason == codes.ExtendOnly:
		hint = fmt.Sprintf("it says where Windows Setup stopped; give it together with its result, e.g. 'updoc explain 0xC1900101-%s'", extendForm(text))
	case len(near) > 0:
		var names []string
		for _, n := range near {
			s := n.Code.String()
			if n.Symbol() != "" {
				s += " " + n.Symbol()
			}
			names = append(names, s)
		}
		hint = "perhaps meant: " + strings.Join(names, ", ")
	}
	return usage(hint, "%q is %v", oneLine(shown), reason)
}

// extendForm writes an extend code as it stands beside a result.
func extendForm(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(strings.ToLower(s), "0x") {
		return s
	}
	return "0x" + s
}
