package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// bare is a machine of which nothing but some registry keys is known.
type bare struct {
	host.Reader
	keys []string
}

func (b bare) Key(_ context.Context, p string) (host.Key, error) {
	for _, k := range b.keys {
		if k == p {
			return host.Key{Path: p}, nil
		}
	}
	return host.Key{}, host.ErrNotExist
}

func number(n byte) winlog.RegValue {
	return winlog.RegValue{Type: winlog.RegDWord, Data: []byte{n, 0, 0, 0}}
}

func TestForUser(t *testing.T) {
	const sid = "S-1-5-21-1-2-3-1002"
	o := host.NewOverlay(bare{keys: []string{"HKU", `HKU\` + sid, `HKU\` + sid + `\Software`, "HKLM", `HKLM\SOFTWARE`}})
	h := host.ForUser{Host: o, SID: sid}
	ctx := t.Context()
	c := host.Set(`HKCU\Software\Fabrikam\Deep`, "A", number(1))
	back, err := h.Inverse(ctx, c)
	want := []host.Change{
		{Kind: host.ValueDel, Path: `HKCU\Software\Fabrikam\Deep`, Name: "A"},
		{Kind: host.KeyDrop, Path: `HKCU\Software\Fabrikam\Deep`},
		{Kind: host.KeyDrop, Path: `HKCU\Software\Fabrikam`},
	}
	if err != nil || !cmp.Equal(back, want) {
		t.Fatalf("%v\n%s", err, cmp.Diff(want, back))
	}
	if err := h.Apply(ctx, c); err != nil {
		t.Fatal(err)
	}
	if holds, err := host.Holds(ctx, h, c); !holds || err != nil {
		t.Error("it does not hold", err)
	}
	if k, err := o.Key(ctx, `HKU\`+sid+`\Software\Fabrikam\Deep`); err != nil || len(k.Values) != 1 {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err := h.Key(ctx, c.Path); err != nil || k.Path != c.Path {
		t.Errorf("%+v, %v", k, err)
	}
	for _, u := range back {
		if err := h.Apply(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Key(ctx, `HKU\`+sid+`\Software\Fabrikam`); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("it stands: %v", err)
	}
	// What is the machine's goes where it always goes.
	if err := h.Apply(ctx, host.Set(`HKLM\SOFTWARE\Fabrikam`, "B", number(2))); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Key(ctx, `HKLM\SOFTWARE\Fabrikam`); err != nil {
		t.Error(err)
	}

	away := host.ForUser{Host: o, SID: "S-1-5-21-1-2-3-1003"}
	if away.Here(ctx) {
		t.Error("signed in")
	}
	_, err = away.Inverse(ctx, c)
	if _, kerr := away.Key(ctx, c.Path); !errors.Is(err, host.ErrNotRecorded) || !errors.Is(kerr, host.ErrNotRecorded) || !errors.Is(away.Apply(ctx, c), host.ErrNotRecorded) {
		t.Error("something is said of a user who is not signed in", err, kerr)
	}
}
