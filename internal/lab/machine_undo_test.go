package lab_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/winlog"
)

// What the random changes below are about: few things, so that they meet each other.
var (
	undoKeys   = []string{`HKLM\SOFTWARE\Fabrikam`, `HKLM\SOFTWARE\Fabrikam\Deep\Deeper`, healthyKey, `HKCU\Software\Fabrikam`}
	undoNames  = []string{"", "A", "Größe"}
	undoFiles  = []string{`C:\ProgramData\Fabrikam\a.txt`, `C:\ProgramData\Fabrikam\Ä b.bin`, `C:\Windows\System32\drivers\etc\hosts`}
	undoDrops  = []string{`C:\ProgramData\Fabrikam\x`, `C:\ProgramData\Fabrikam\x\y\z`}
	undoRights = []string{"D:(A;;GA;;;SY)", "D:(A;;GA;;;SY)(A;;GR;;;BU)", "D:(A;;FA;;;BA)"}
	undoStates = map[string][]string{
		"ipv6/Ethernet": {"on", "off"}, "mtu/Ethernet": {"1400", "1280", "1500"}, "mtu6/Ethernet": {"1400", "1280"}, "txf-log/C:": {"20", "100"},
		"firewall-rule/{7B1D3C52-94A0-4C2E-8D35-0D6C0F7B1A11}": {"on", "off"}, "hidden-update/" + `0B1C2D3E-4F50-4617-8293-A4B5C6D7E8F9`: {"yes", "no"},
		`task/\Microsoft\Windows\UpdateOrchestrator\Schedule Scan`: {"on", "off"},
	}
	// Moved as a whole: what Windows makes anew in its place is merged.
	undoFolder = `C:\ProgramData\Fabrikam\Store`
)

// drawAny draws a change of any kind that has an inverse. moves names the place of a
// move, which no two have in common.
func drawAny(t *rapid.T, moves *int) host.Change {
	pick := func(list []string, what string) string { return rapid.SampledFrom(list).Draw(t, what) }
	switch rapid.IntRange(0, 16).Draw(t, "kind") {
	case 0, 1, 2:
		return host.Set(pick(undoKeys, "key"), pick(undoNames, "name"), winlog.RegValue{
			Type: rapid.SampledFrom([]uint32{0, winlog.RegSZ, winlog.RegExpandSZ, winlog.RegBinary, winlog.RegDWord, winlog.RegMultiSZ, 11, 0x10007}).Draw(t, "type"),
			Data: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "data"),
		})
	case 3:
		return host.Change{Kind: host.ValueDel, Path: pick(undoKeys, "key"), Name: pick(undoNames, "name")}
	case 4:
		return host.Change{Kind: rapid.SampledFrom([]host.ChangeKind{host.KeyMake, host.KeyDrop}).Draw(t, "what"), Path: pick(undoKeys, "key")}
	case 5:
		start := host.Start{Type: rapid.Uint32Range(2, 4).Draw(t, "start")}
		start.Delayed = start.Type == winlog.ServiceAutoStart && rapid.Bool().Draw(t, "delayed")
		return host.Change{Kind: host.ServiceStart, Path: pick([]string{"wuauserv", "BITS", "DoSvc"}, "service"), Start: &start}
	case 6:
		return host.Change{Kind: rapid.SampledFrom([]host.ChangeKind{host.ServiceRun, host.ServiceStop}).Draw(t, "what"), Path: "cryptsvc"}
	case 7:
		return host.Change{Kind: host.ServiceSecurity, Path: pick([]string{"wuauserv", "BITS"}, "service"), SDDL: pick(undoRights, "rights")}
	case 8:
		return host.Change{Kind: host.Security, Path: pick([]string{`C:\Windows\Temp`, undoFiles[2]}, "of"), SDDL: pick(undoRights, "rights")}
	case 9:
		name := pick(slices.Sorted(maps.Keys(undoStates)), "setting")
		return host.Change{Kind: host.Switch, Path: name, State: pick(undoStates[name], "state")}
	case 10, 11:
		return host.Change{Kind: host.Write, Path: pick(undoFiles, "file"), Data: []byte(strings.Repeat(rapid.StringN(0, 3, -1).Draw(t, "text"), rapid.IntRange(1, 4000).Draw(t, "times")))}
	case 12:
		return host.Change{Kind: host.FileDrop, Path: pick(undoFiles, "file")}
	case 13:
		return host.Change{Kind: rapid.SampledFrom([]host.ChangeKind{host.FolderMake, host.FolderDrop}).Draw(t, "what"), Path: pick(undoDrops, "folder")}
	case 14:
		return host.Change{Kind: host.ServiceTriggers, Path: pick([]string{"wuauserv", "BITS"}, "service"), Triggers: rapid.SliceOfN(rapid.Custom(drawTrigger), 0, 3).Draw(t, "triggers")}
	case 15:
		return host.Change{Kind: host.ServiceNeeds, Path: pick([]string{"wuauserv", "BITS"}, "service"), Needs: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"RpcSs", "EventLog", "Größe"}), 0, 3, rapid.ID).Draw(t, "needs")}
	}
	*moves++
	p := pick(append(slices.Clone(undoFiles[:2]), undoFolder), "moved")
	return host.Change{Kind: host.Move, Path: p, To: fmt.Sprintf("%s.updoc-%d", p, *moves)}
}

func drawTrigger(t *rapid.T) host.Trigger {
	out := host.Trigger{
		Type: rapid.Uint32Range(1, 20).Draw(t, "type"), Action: rapid.Uint32Range(1, 2).Draw(t, "action"),
		Subtype: rapid.SampledFrom([]string{"659fcae6-5bdb-4da9-b1ff-ca2a178d46e0", "54fb46c8-f089-464c-b1fd-59d1b62c3b50"}).Draw(t, "subtype"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "data items") {
		out.Data = append(out.Data, host.TriggerData{Type: rapid.Uint32Range(1, 5).Draw(t, "data type"), Data: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "data")})
	}
	return out
}

// TestUndoOnRandomMachines: whatever a machine was and whatever was done to it, an undo
// restores each value with its type, each start type, descriptor, setting, name,
// content and time of a file. What others did since stays and is named; what Windows
// made anew in the place of what was moved is merged, or kept beside it.
func TestUndoOnRandomMachines(t *testing.T) {
	s, err := lab.Load("treat-firewall-rule")
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("/dev/shm", "updoc-undo-") // a disk would be waited for at each of some thousand changes
	if err != nil {
		root = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	first, err := lab.NewMachine(filepath.Join(root, "pc"), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Apply(t.Context(), host.Change{Kind: host.FolderMake, Path: undoFolder}), first.Close()); err != nil {
		t.Fatal(err)
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		if runs++; runs > 40 && os.Getenv("UPDOC_FULL") == "" {
			return // the rest is for those who have more time
		}
		dir := filepath.Join(root, fmt.Sprint(runs))
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "pc"))); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m, err := lab.OpenMachine(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Close() }() // whichever it is in the end
		apply := func(list ...host.Change) {
			for _, c := range list {
				if err := m.Apply(ctx, c); err != nil {
					t.Fatalf("%s %s: %v", c.Kind, c.Path, err)
				}
			}
		}
		moves := 0
		for range rapid.IntRange(0, 8).Draw(t, "before") { // a machine that somebody has used
			if c := drawAny(t, &moves); c.Kind != host.Move {
				c.Modified = time.Date(2031, 1, 1+rapid.IntRange(0, 300).Draw(t, "day"), 3, 4, 5, 678_900, time.UTC)
				_ = m.Apply(ctx, c) // one that finds nothing to act on is no matter here
			}
		}
		if rapid.Bool().Draw(t, "filled") {
			apply(host.Change{Kind: host.Write, Path: undoFolder + `\both.edb`, Data: []byte("old"), Modified: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)})
		}
		before := undoSnapshot(t, m)

		plan := &repair.Plan{Schema: repair.Schema, Run: "r1"}
		touched := map[string]host.Change{}
		for range rapid.IntRange(1, 3).Draw(t, "treatments") {
			x := repair.Treatment{ID: "sync-clock", Risk: repair.RiskReversible, How: repair.Automatic}
			for range rapid.IntRange(1, 5).Draw(t, "steps") {
				c := drawAny(t, &moves)
				x.Steps = append(x.Steps, repair.Step{Change: c})
				touched[strings.ToLower(c.Path+"|"+c.Name)] = c
			}
			plan.Treatments = append(plan.Treatments, x)
		}
		j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", plan.Run), plan, m.Now())
		if err != nil {
			t.Fatal(err)
		}
		r := &repair.Runner{Host: m, Journal: j, Now: m.Now}
		if _, err := r.Run(ctx); err != nil {
			t.Fatal(err)
		}

		// Others act, each with what nobody else would write.
		after := undoSnapshot(t, m)
		want := maps.Clone(before)
		var theirs []string // what has to be named as left alone
		for i := range rapid.IntRange(0, 3).Draw(t, "others") {
			other := fmt.Sprintf("theirs %d", i)
			switch rapid.IntRange(0, 3).Draw(t, "other") {
			case 0:
				c := host.Set(rapid.SampledFrom(undoKeys).Draw(t, "their key"), rapid.SampledFrom(undoNames).Draw(t, "their name"), winlog.RegValue{Type: winlog.RegSZ, Data: []byte(hosttest.UTF16(other + "\x00"))})
				apply(c)
				theirs = append(theirs, c.Path+"|"+c.Name)
			case 1:
				p := undoFiles[2] // which nothing here moves
				apply(host.Change{Kind: host.Write, Path: p, Data: []byte(other)})
				theirs = append(theirs, p)
			case 2:
				c := host.Change{Kind: host.Security, Path: `C:\Windows\Temp`, SDDL: fmt.Sprintf("D:(A;;FA;;;S-1-5-80-%d)", i)}
				apply(c)
				theirs = append(theirs, "security "+strings.ToLower(c.Path))
			case 3: // Windows makes anew what was moved
				apply(host.Change{Kind: host.FolderMake, Path: undoFolder}, host.Change{Kind: host.Write, Path: undoFolder + fmt.Sprintf(`\new%d.edb`, i), Data: []byte(other)})
				theirs = append(theirs, undoFolder+fmt.Sprintf(`\new%d.edb`, i))
				if _, there := after[undoFolder]; !there {
					both := undoFolder + `\both.edb`
					apply(host.Change{Kind: host.Write, Path: both, Data: []byte(other)})
					if _, old := before[both]; !old { // else the old one comes back, and theirs is kept beside it
						theirs = append(theirs, both)
					}
				}
			}
		}
		now := undoSnapshot(t, m)
		for _, k := range theirs {
			want[k] = now[k]
			key, _, _ := strings.Cut(k, "|")
			for strings.HasPrefix(k, "HK") && strings.Contains(key, `\`) { // a key that holds something stays
				if v, ok := now[key]; ok {
					want[key] = v
				}
				key = key[:strings.LastIndexByte(key, '\\')]
			}
		}
		if rapid.Bool().Draw(t, "another process") {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if m, err = lab.OpenMachine(dir); err != nil {
				t.Fatal(err)
			}
			if j, err = repair.OpenJournal(durable.OS{}, filepath.Join(dir, "updoc", plan.Run)); err != nil {
				t.Fatal(err)
			}
			r = &repair.Runner{Host: m, Journal: j, Now: m.Now}
		}
		u, err := r.Undo(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := undoSnapshot(t, m)
		for _, k := range slices.Sorted(maps.Keys(got)) {
			if _, ok := want[k]; !ok && strings.Contains(k, host.Since) {
				if !slices.ContainsFunc(u.Kept, func(p string) bool { return strings.HasPrefix(k, p) }) {
					t.Errorf("%s is kept and not named", k)
				}
				delete(got, k)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if got[k] != want[k] {
				t.Errorf("%s:\n%.300s\nwas\n%.300s", k, got[k], want[k])
			}
			delete(got, k)
		}
		for k := range got {
			t.Errorf("%s is new", k)
		}
		for _, k := range theirs {
			c, ok := touched[strings.ToLower(k)]
			if !ok || c.Kind == host.Move || now[k] == after[k] || before[k] == after[k] {
				continue
			}
			if !slices.ContainsFunc(u.Conflicts, func(x repair.Conflict) bool {
				return strings.EqualFold(x.Change.Path+"|"+x.Change.Name, k)
			}) {
				t.Errorf("%s was changed by others, and nobody says so: %+v", k, u.Conflicts)
			}
		}
		// What is taken back already is not taken back again.
		if again, err := r.Undo(ctx); err != nil || again.Back > 0 {
			t.Errorf("a second undo: %+v, %v", again, err)
		}
	})
}

func undoSnapshot(t *rapid.T, m *lab.Machine) map[string]string {
	s, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
