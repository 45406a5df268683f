package host

import (
	"context"
	"fmt"
	"strings"
)

// place is where something of a machine stands for whoever looks from elsewhere:
// what begins with from begins there with to.
type place struct{ from, to string }

// under returns p as it is called there; ok is false if it lies elsewhere.
func (l place) under(p string) (string, bool) { return swapPrefix(p, l.from, l.to) }

// back is the reverse of under.
func (l place) back(p string) string {
	p, _ = swapPrefix(p, l.to, l.from)
	return p
}

// swapPrefix takes whole names only: HKLM\SOFTWARE is no beginning of HKLM\SOFTWARE2.
func swapPrefix(p, from, to string) (string, bool) {
	if len(p) < len(from) || !equalFold(p[:len(from)], from) || len(p) > len(from) && p[len(from)] != '\\' {
		return p, false
	}
	return to + p[len(from):], true
}

// backAll returns changes as the machine itself calls them.
func (l place) backAll(list []Change) []Change {
	for i := range list {
		list[i].Path = l.back(list[i].Path)
		list[i].To = l.back(list[i].To)
	}
	return list
}

// there returns a change as it is called there.
func (l place) there(c Change) Change {
	c.Path, _ = l.under(c.Path)
	if c.To != "" {
		c.To, _ = l.under(c.To)
	}
	return c
}

// ForUser is a machine of which HKCU is the registry of a user, whoever runs updoc:
// a change that a person agreed to is taken back by LocalSystem after a restart.
// The hive of a user who is not signed in is not loaded; until then nothing is known of what
// stands there, and nothing of it is changed.
type ForUser struct {
	Host
	SID string
}

func (h ForUser) place() place { return place{"HKCU", `HKU\` + h.SID} }

// Key implements [Reader].
func (h ForUser) Key(ctx context.Context, p string) (Key, error) {
	there, ofUser := h.place().under(p)
	if ofUser {
		if err := h.here(ctx); err != nil {
			return Key{}, err
		}
	}
	k, err := h.Host.Key(ctx, there)
	k.Path = h.place().back(k.Path)
	return k, err
}

// Inverse implements [Host].
func (h ForUser) Inverse(ctx context.Context, c Change) ([]Change, error) {
	if !OfUser(c) {
		return h.Host.Inverse(ctx, c)
	}
	if err := h.here(ctx); err != nil {
		return nil, err
	}
	list, err := h.Host.Inverse(ctx, h.place().there(c))
	return h.place().backAll(list), err
}

// Apply implements [Host].
func (h ForUser) Apply(ctx context.Context, c Change) error {
	if !OfUser(c) {
		return h.Host.Apply(ctx, c)
	}
	if err := h.here(ctx); err != nil {
		return err
	}
	return h.Host.Apply(ctx, h.place().there(c))
}

// Here reports whether the user is signed in, so that HKCU can be read and changed.
func (h ForUser) Here(ctx context.Context) bool { return h.here(ctx) == nil }

// here is the error of a user who is not: a key that is made where a hive would be
// is none of the user's.
func (h ForUser) here(ctx context.Context) error {
	if _, err := h.Host.Key(ctx, `HKU\`+h.SID+`\Software`); err != nil {
		return fmt.Errorf("the user %s is not signed in: %w", h.SID, ErrNotRecorded)
	}
	return nil
}

// AtSignIn reports a change of what Windows starts when a user signs in: an entry of a key
// Run, whosever it is, a task of another maker, or a file in a startup folder.
// learn.microsoft.com: "Run and RunOnce Registry Keys", "Logon Triggers".
func AtSignIn(c Change) bool {
	p := strings.ToLower(c.Path)
	switch c.Kind {
	case ValueSet, ValueDel:
		return strings.HasSuffix(p, `\currentversion\run`) || strings.HasSuffix(p, `\currentversion\runonce`) || strings.HasSuffix(p, `\policies\explorer\run`)
	case Switch:
		return strings.HasPrefix(p, "task/") && !strings.HasPrefix(p, `task/\microsoft\`)
	case Move:
		return strings.Contains(p, `\start menu\programs\startup\`)
	}
	return false
}

// OfUser reports whether a change is made in the registry of the user who runs updoc.
func OfUser(c Change) bool {
	switch c.Kind {
	case KeyMake, KeyDrop, ValueSet, ValueDel:
		root, _, _ := strings.Cut(c.Path, `\`)
		return equalFold(root, "HKCU")
	}
	return false
}
