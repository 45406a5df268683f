package pac

import (
	"context"
	"slices"
)

// Letters shows what the letter case of a host name does to a script.
type Letters struct {
	Written Result // with the host name as it is written, as Windows Update passes it
	Lower   Result // with the host name in lower case, as browsers pass it
	// Steady is false if the same question got two answers: then a difference
	// says nothing about letters.
	Steady bool
}

// Differ reports that the script decides differently only because of the letters
// of the host name.
func (l *Letters) Differ() bool { return l.Steady && !same(&l.Written, &l.Lower) }

func same(a, b *Result) bool {
	if (a.Err == nil) != (b.Err == nil) || a.Err != nil && a.Err.Fault != b.Err.Fault {
		return false
	}
	return slices.EqualFunc(a.Proxies, b.Proxies, func(a, b Proxy) bool {
		return a.Kind == b.Kind && a.Host == b.Host && a.Port == b.Port && a.Bad == b.Bad
	})
}

// CaseSensitive asks a script about each address twice, with the host name as it
// is written and in lower case, and about the first once more, because a script
// that throws dice or changes its mind must not be taken for one that reads
// letters. One child answers all; an address that is in lower case already costs
// one question. Errors are those of Evaluate.
//
// Windows Update passes the letters of the policy WUServer on to the script, and
// the script's rules compare them one by one, so that a server written
// WSUS01.CORP.EXAMPLE misses a rule for .corp.example and goes to the proxy, which
// answers 502 or 407, while a browser on the same machine goes directly
// (learn.microsoft.com: "Bad gateway error when deploying software updates in System
// Center 2012 Configuration Manager").
func (s *Sandbox) CaseSensitive(ctx context.Context, script []byte, env Env, calls []Call) ([]Letters, error) {
	var asked []Call
	first := make([]int, len(calls)) // of each call's questions
	for i, c := range calls {
		first[i] = len(asked)
		asked = append(asked, c)
		if lower := c.Lower(); lower != c {
			asked = append(asked, lower, c)
		}
	}
	results, err := s.Evaluate(ctx, script, env, asked)
	if len(results) != len(asked) {
		return nil, err
	}
	letters := make([]Letters, len(calls))
	for i, c := range calls {
		r := results[first[i]:]
		letters[i] = Letters{Written: r[0], Lower: r[0], Steady: true}
		if c.Lower() != c {
			letters[i].Lower, letters[i].Steady = r[1], same(&r[0], &r[2])
		}
	}
	return letters, err
}
