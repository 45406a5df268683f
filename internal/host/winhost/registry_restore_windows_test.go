package winhost

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// A key that administrators may only read, as those of servicing are, is changed all the
// same, its descriptor stays, and it is taken away as it was made.
func TestKeyOfTrustedInstaller(t *testing.T) {
	h := open(t)
	const above, p = `HKLM\SOFTWARE\updoc test of rights`, `HKLM\SOFTWARE\updoc test of rights\locked`
	apply := func(c host.Change) error { return h.Apply(context.WithoutCancel(t.Context()), c) }
	if err := apply(host.Change{Kind: host.KeyMake, Path: p}); err != nil {
		t.Skipf("this account makes no keys: %v", err)
	}
	sddl := func(lists string) error {
		sd, err := windows.SecurityDescriptorFromString(lists)
		if err != nil {
			return err
		}
		list, _, err := sd.DACL()
		if err != nil {
			return err
		}
		return windows.SetNamedSecurityInfo(`MACHINE\SOFTWARE\updoc test of rights\locked`, windows.SE_REGISTRY_KEY, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	}
	t.Cleanup(func() {
		_ = sddl("D:(A;;KA;;;BA)(A;;KA;;;SY)") // where it is gone there is nothing to open
		for _, key := range []string{p, above} {
			if err := apply(host.Change{Kind: host.KeyDrop, Path: key}); err != nil {
				t.Error(err)
			}
		}
	})
	if err := sddl("D:P(A;;KR;;;BA)(A;;KR;;;SY)"); err != nil {
		t.Fatal(err)
	}
	number := winlog.RegValue{Type: winlog.RegDWord, Data: []byte{1, 0, 0, 0}}
	key, err := openKey(p, windows.KEY_SET_VALUE)
	locked := errors.Is(err, host.ErrDenied)
	if err == nil {
		closeKey(key)
	}
	if key, err = restoredKey(p, host.ErrDenied); err != nil {
		if !onWine() {
			t.Error(err)
		}
		t.Skipf("REG_OPTION_BACKUP_RESTORE: Wine has none; locked is %v", locked)
	}
	closeKey(key)
	for _, c := range []host.Change{host.Set(p, "Waits", number), {Kind: host.ValueDel, Path: p, Name: "Waits"}, {Kind: host.KeyDrop, Path: p}} {
		if err := apply(c); err != nil {
			t.Fatalf("%s: %v", c.Kind, err)
		}
	}
	if _, err := h.Key(t.Context(), p); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("it is there still: %v", err)
	}
	if !locked {
		t.Error("the key was never locked")
	}
}

// A key that is taken away comes back with the descriptor that it had, and not with what
// its parent hands down.
func TestKeyComesBackWithItsDescriptor(t *testing.T) {
	h := open(t)
	const above, p = `HKLM\SOFTWARE\updoc test of descriptors`, `HKLM\SOFTWARE\updoc test of descriptors\own`
	apply := func(c host.Change) {
		t.Helper()
		if err := h.Apply(context.WithoutCancel(t.Context()), c); err != nil {
			t.Fatalf("%s %s: %v", c.Kind, c.Path, err)
		}
	}
	if err := h.Apply(t.Context(), host.Change{Kind: host.KeyMake, Path: p}); err != nil {
		t.Skipf("this account makes no keys: %v", err)
	}
	t.Cleanup(func() {
		apply(host.Change{Kind: host.KeyDrop, Path: p})
		apply(host.Change{Kind: host.KeyDrop, Path: above})
	})
	inherited, err := keySDDL(p, keyParts)
	if err != nil {
		t.Fatal(err)
	}
	apply(host.Change{Kind: host.KeyMake, Path: p, SDDL: "D:P(A;;KA;;;BA)(A;;KA;;;SY)(A;;KR;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)"})
	own, err := keySDDL(p, keyParts)
	if err != nil {
		t.Fatal(err)
	}
	if grants(inherited, own) {
		if !onWine() {
			t.Errorf("it has no descriptor of its own: %s", own)
		}
		t.Skipf("descriptors of keys: Wine keeps %s", own)
	}
	drop := host.Change{Kind: host.KeyDrop, Path: p}
	back, err := h.Inverse(t.Context(), drop)
	if err != nil || len(back) != 1 || back[0].SDDL != own {
		t.Fatalf("%+v, %v, want %s", back, err, own)
	}
	apply(drop)
	for range 2 { // the second time there is nothing to do
		apply(back[0])
		if now, err := keySDDL(p, keyParts); err != nil || now != own {
			t.Errorf("it is %s, %v, and was %s", now, err, own)
		}
	}
	if ok, err := host.Holds(t.Context(), h, back[0]); !ok || err != nil {
		t.Errorf("holds %v, %v", ok, err)
	}
}
