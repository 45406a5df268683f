package win

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who may change a program beside its user and the administrators is named, whatever the
// right is called that lets them.
func TestStrangers(t *testing.T) {
	const user, other, users, system, admins = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002", "S-1-5-32-545", "S-1-5-18", "S-1-5-32-544"
	const full, modify, read, addFolder = 0x1F01FF, 0x1301BF, 0x1200A9, 0x4
	own := []grant{{system, full}, {admins, full}, {user, full}}
	with := func(g ...grant) []grant { return append(own[:len(own):len(own)], g...) }
	for _, tt := range []struct {
		name   string
		owner  string
		list   []grant
		rights uint32
		want   []string
	}{
		{"a person's own folder", user, own, changesFolder, nil},
		{"a program of all users", trusted[2], []grant{{trusted[2], full}, {users, read}, {system, full}}, changesFile, nil},
		{"read by all", admins, with(grant{everyoneSID, read}), changesFile, nil},
		{"a folder on C:, whose users may make folders in it", admins, with(grant{users, addFolder | read}), changesFolder, nil},
		{"a folder on C:, where those signed in may change what is there", admins, with(grant{"S-1-5-11", modify}), changesFolder, []string{"S-1-5-11"}},
		{"another user's", other, own, changesFile, []string{other}},
		{"given to another user", user, with(grant{other, modify}, grant{other, full}), changesFile, []string{other}},
		{"deleted by another", user, with(grant{other, 0x10000}), changesFile, []string{other}},
		{"its rights changed by another", user, with(grant{other, 0x40000}), changesFile, []string{other}},
		{"taken by another", user, with(grant{other, 0x80000}), changesFolder, []string{other}},
		{"a file deleted out of the folder", user, with(grant{other, 0x40}), changesFolder, []string{other}},
		{"by a general right", user, with(grant{everyoneSID, 0x10000000}), changesFolder, []string{everyoneSID}},
		{"no list at all", user, []grant{{everyoneSID, ^uint32(0)}}, changesFile, []string{everyoneSID}},
		{"whoever owns it", user, with(grant{"S-1-3-4", full}), changesFile, nil},
	} {
		got := strangers(tt.owner, tt.list, user, tt.rights)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if err := placeError("x", got); (err != nil) != (tt.want != nil) || err != nil && !errors.Is(err, ErrPlace) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

const everyoneSID = "S-1-1-0"
