package redact

import "testing"

// Who knows an account knows the person: the surname beside a known first name has to go with it.
func TestAccountOfKnownName(t *testing.T) {
	tests := []struct{ in, want string }{
		{"scan by FRIEDA.MUSTER failed", "scan by {u FRIEDA.MUSTER} failed"},
		{"scan by frieda.muster failed", "scan by {u frieda.muster} failed"},
		{"scan by Frieda.Muster, again", "scan by {u Frieda.Muster}, again"},
		{"scan by Frieda.McMuster, again", "scan by {u Frieda.McMuster}, again"},
		{"frieda_muster2 called", "{u frieda_muster2} called"},
		{"muster_frieda called", "{u muster_frieda} called"},
		{"MUSTER.FRIEDA called", "{u MUSTER.FRIEDA} called"},
		{"frieda.müller called", "{u frieda.müller} called"},
		{"corp\\frieda.muster called", "corp\\{u frieda.muster} called"},
		{"frieda alone", "{u frieda} alone"},
		{"Caller frieda.", "Caller {u frieda}."},
		// Ordinary words, names of files and of programs stay.
		{"told by frieda.Then it failed", "told by {u frieda}.Then it failed"},
		{"told by Frieda.But it failed", "told by {u Frieda}.But it failed"},
		{"frieda_backup.zip", "{u frieda}_backup.zip"},
		{"frieda.log and FRIEDA.CAB", "{u frieda}.log and {u FRIEDA}.CAB"},
		{"FRIEDA.Update", "{u FRIEDA}.Update"},
		{"windows.frieda", "windows.{u frieda}"},
		{"KB5000001_frieda", "KB5000001_{u frieda}"},
		{"Package_for_FRIEDA_foo_bar", "Package_for_{u FRIEDA}_foo_bar"},
	}
	for _, tt := range tests {
		r := &Redactor{Key: []byte("k")}
		r.Learn(User, "frieda")
		got := r.String(tt.in)
		if w := want(t, r, tt.want); got != w {
			t.Errorf("%q became %q, want %q", tt.in, got, w)
		}
		if again := r.String(got); again != got {
			t.Errorf("twice: %q, %q", got, again)
		}
	}
}

// One account has one pseudonym, whether it stands in a field, a mail address, a profile's folder or in running text.
func TestAccountIsOne(t *testing.T) {
	r := &Redactor{Key: []byte("k")}
	r.Learn(User, "frieda")
	for in, w := range map[string]string{
		`C:\Users\frieda.muster\AppData\Local`:           `C:\Users\{u frieda.muster}\AppData\Local`,
		`C:\Users\frieda.muster.CONTOSO\AppData\Local`:   `C:\Users\{u frieda.muster}.{h CONTOSO}\AppData\Local`,
		`C:\Users\frieda.muster.000\ntuser.dat`:          `C:\Users\{u frieda.muster}.000\ntuser.dat`,
		`CONTOSO\frieda.muster ran it`:                   `{h CONTOSO}\{u frieda.muster} ran it`,
		`mail frieda.muster@fabrikam.zz, then`:           `mail {u frieda.muster}@{h fabrikam.zz}, then`,
		`User: frieda.muster`:                            `User: {u frieda.muster}`,
		`FRIEDA.MUSTER is the same, not user frieda`:     `{u FRIEDA.MUSTER} is the same, not user {u frieda}`,
		`D:\Profile\frieda.muster.CONTOSO\AppData\Local`: `D:\Profile\{u frieda.muster}.{h CONTOSO}\AppData\Local`,
	} {
		got := r.String(in)
		if w := want(t, r, w); got != w {
			t.Errorf("%q became %q, want %q", in, got, w)
		}
		if again := r.String(got); again != got {
			t.Errorf("twice: %q, %q", got, again)
		}
	}
}

// A name that is found in a line, not taught, is found in the accounts beside it as well.
func TestAccountBesideItsName(t *testing.T) {
	r := &Redactor{Key: []byte("k")}
	in := `profile C:\Users\frieda\x of FRIEDA.MUSTER`
	if got, w := r.String(in), want(t, r, `profile C:\Users\{u frieda}\x of {u FRIEDA.MUSTER}`); got != w {
		t.Errorf("%q became %q, want %q", in, got, w)
	}
}
