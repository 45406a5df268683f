package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"updoc/internal/repair"
	"updoc/internal/report"
)

// asker asks a person; without a terminal there is nobody.
type asker struct {
	env  *Env
	in   *bufio.Reader
	here bool
	wait bool // what needs a person waits for one, and is not passed over

	agreed bool // the person named just what the plan does, and agreed to it
}

var errNobody = errors.New("nobody is there to ask")

func newAsker(env *Env, quiet bool) *asker {
	in, ok := env.Stdin.(*os.File)
	return &asker{env: env, in: bufio.NewReader(env.Stdin), here: ok && term.IsTerminal(int(in.Fd())) && !quiet}
}

// yes asks a question whose default is no.
func (a *asker) yes(ctx context.Context, question string) (bool, error) {
	text, err := a.line(ctx, question+" [y/N]")
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(text)), err
}

// line asks for a line of text, without the blanks around it.
func (a *asker) line(ctx context.Context, question string) (string, error) {
	if !a.here {
		return "", errNobody
	}
	fmt.Fprintf(a.env.Stdout, "\n%s ", question)
	type line struct {
		text string
		err  error
	}
	answer := make(chan line, 1)
	go func() { // a read from a terminal cannot be broken off; the process ends with it
		s, err := a.in.ReadString('\n')
		answer <- line{s, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-answer:
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return "", l.err
		}
		return strings.TrimSpace(l.text), nil
	}
}

// must asks what has to be answered with yes for a command to go on; a no ends it.
// Where nobody is, missing says what is left open, and hint how else to answer it.
func (a *asker) must(ctx context.Context, question, missing, hint string) error {
	switch ok, err := a.yes(ctx, question); {
	case errors.Is(err, errNobody):
		return usage(hint, "%s", missing)
	case err != nil:
		return err
	case !ok:
		return exit(ExitProblems)
	}
	return nil
}

// treatment asks before a treatment that needs a person, or that cannot be taken
// back. Where nobody is, it is passed over, or waits.
func (a *asker) treatment(ctx context.Context, t repair.Treatment) (bool, error) {
	if t.Risk == repair.RiskOutside || t.How == repair.Advice {
		return false, nil
	}
	if a.agreed {
		return true, nil
	}
	question := "Do this now?"
	if t.Risk == repair.RiskPermanent {
		question = "This cannot be taken back. Do it?"
	}
	if a.here {
		if err := report.TreatmentText(a.env.Stdout, t, a.env.style(a.env.Stdout)); err != nil {
			return false, err
		}
	}
	ok, err := a.yes(ctx, question)
	if errors.Is(err, errNobody) && !a.wait {
		return false, nil
	}
	return ok, err
}
