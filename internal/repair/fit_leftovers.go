package repair

import (
	"fmt"
	"slices"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// What is left over from earlier work is taken away only if the evidence names it,
// if a look at the machine found that what it stands for is gone, and if all of it
// is known, so that an undo makes every value again. Otherwise a person is led.

// mostDropped bounds the changes that take one key away. A service has a dozen.
const mostDropped = 200

// drops takes a registry key away piece by piece, what is below it first, so that
// each piece has an inverse. false: not all of it is known, and nothing is done.
func (f *fit) drops(key string) bool {
	var all []host.Change
	if !f.pieces(key, &all) {
		return false
	}
	f.do(all...)
	return true
}

func (f *fit) pieces(key string, out *[]host.Change) bool {
	if !f.Whole(key) || len(*out) > mostDropped {
		return false
	}
	for _, name := range f.Subkeys(key).Value {
		if !f.pieces(key+`\`+name, out) {
			return false
		}
	}
	for _, v := range f.Values(key).Value {
		*out = append(*out, host.Change{Kind: host.ValueDel, Path: key, Name: v.Name})
	}
	*out = append(*out, host.Change{Kind: host.KeyDrop, Path: key})
	return len(*out) <= mostDropped && (*out)[len(*out)-1].Check() == nil
}

// afterRestart says that what was planned so far has effect after a restart.
func (f *fit) afterRestart() {
	if n := len(f.out.Steps); n > 0 {
		f.out.Steps[n-1].Restart = true
	}
}

// names reports that one of the signatures was seen in a line that has a word.
func (f *fit) names(word string, marks ...string) (facts.Seen, bool) {
	for _, id := range marks {
		for _, seen := range f.Marks(id) {
			if hasWord(seen.Text, word) {
				return seen, true
			}
		}
	}
	return facts.Seen{}, false
}

// hasWord finds a name in a text that is no part of a longer name there.
func hasWord(text, word string) bool {
	text, word = strings.ToLower(text), strings.ToLower(word)
	part := func(b byte) bool {
		return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '_' || b == '-' || b >= 0x80
	}
	for at := 0; word != ""; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(word)
		if (i == 0 || !part(text[i-1])) && (end == len(text) || !part(text[end])) {
			return true
		}
		at = i + 1
	}
	return false
}

// mostMoved bounds how many temporary files are moved: an installation needs some
// dozens of names.
const mostMoved = 256

// fitOldTemp moves the oldest temporary files into a folder beside their own.
// That frees names and not room: the trouble is that GetTempFileName has no more
// than 65,535 of them in one folder, and whoever fills it goes on.
// learn.microsoft.com: "GetTempFileNameW function".
func fitOldTemp(f *fit) {
	temp := f.windows() + `\Temp`
	to := f.aside(temp)
	var moves []host.Change
	for _, x := range f.Leftovers.Value.Temp {
		dir, name := splitPath(x.Path)
		c := host.Change{Kind: host.Move, Path: x.Path, To: to + `\` + name}
		if strings.EqualFold(dir, temp) && c.Check() == nil && len(moves) < mostMoved {
			moves = append(moves, c)
		}
	}
	if len(moves) == 0 {
		guide("temp-names-exhausted", "note-temp-folder")(f)
		return
	}
	f.lead("plan.temp-moved", "count", fmt.Sprint(len(moves)), "folder", to)
	f.leadSeen([]string{"temp-names-exhausted", "note-temp-folder"})
	f.do(host.Change{Kind: host.FolderMake, Path: to})
	f.do(moves...)
}

func splitPath(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '\\')
	return p[:max(i, 0)], p[i+1:]
}

// Disk Cleanup empties what a number of its settings has marked.
// learn.microsoft.com: "cleanmgr", "Automating Disk Cleanup tool in Windows".
const (
	keyCaches   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\VolumeCaches`
	cleanupFlag = "StateFlags0407"
	cleanupRun  = "/sagerun:407"
	// worthFreeing: less does not help an update that has no room.
	worthFreeing = 500 << 20
)

// safeCaches are what Disk Cleanup may empty without asking what somebody wants to
// keep: nothing of a person, no way back to an earlier Windows, and no log or dump
// in which a cause could still be found.
var safeCaches = []string{"Delivery Optimization Files", "Temporary Files"}

// fitFreeDisk has Windows' own Disk Cleanup empty caches that were measured, and
// leads a person to the rest. What it deletes is gone, so a person is asked.
func fitFreeDisk(f *fit) {
	f.byHand()
	f.leadSeen([]string{"disk-full", "setup-needs-space", "note-disk-full"})
	if v := f.systemVolume(); v != nil && v.Free >= 0 {
		f.lead("plan.free-now", "drive", f.drive(), "size", megabytes(v.Free))
	}
	var keys, told []string
	var sum int64
	for _, c := range f.Leftovers.Value.Caches {
		key := keyCaches + `\` + c.Name
		if slices.Contains(safeCaches, c.Name) && c.Bytes > 0 && f.Values(key).State == facts.Present {
			keys, told, sum = append(keys, key), append(told, c.Name+" "+megabytes(c.Bytes)), sum+c.Bytes
		}
	}
	if sum >= worthFreeing && f.generation() >= windows10 && f.cleanupFree() {
		f.lead("plan.caches", "names", strings.Join(told, ", "))
		const marked = 2
		for _, key := range keys {
			f.do(host.Set(key, cleanupFlag, numberValue(marked)))
		}
		f.runs("", "cleanmgr", cleanupRun)
		for _, key := range keys {
			f.do(host.Change{Kind: host.ValueDel, Path: key, Name: cleanupFlag})
		}
	}
	f.lead("remedy.free-disk-space.how")
}

// cleanupFree reports that nobody else uses the number under which updoc marks
// what is to be emptied: whatever they had marked would go too.
func (f *fit) cleanupFree() bool {
	if !f.Whole(keyCaches) {
		return false
	}
	for _, name := range f.Subkeys(keyCaches).Value {
		if f.Value(keyCaches+`\`+name, cleanupFlag).State != facts.Absent {
			return false
		}
	}
	return true
}

func (f *fit) systemVolume() *host.Volume {
	for _, v := range f.Volumes.Value.Volumes {
		if slices.ContainsFunc(v.Paths, func(p string) bool { return strings.EqualFold(strings.TrimSuffix(p, `\`), f.drive()) }) {
			return &v
		}
	}
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", n>>20) }

// fitProfiles takes away entries of people's profiles whose folder is gone, and
// copies that Windows set aside of an entry that names the same folder. Which of
// two entries with different folders is the right one only a person knows.
func fitProfiles(f *fit) {
	gone := map[string]bool{}
	for _, o := range f.Leftovers.Value.Profiles {
		gone[strings.ToLower(o.Name)] = true
	}
	var bad []string
	for key := range f.Children(keyProfileList) {
		_, sid := splitPath(key)
		plain, copied := strings.CutSuffix(strings.ToLower(sid), ".bak")
		if !strings.HasPrefix(plain, "s-1-5-21-") && !strings.HasPrefix(plain, "s-1-12-1-") || strings.EqualFold(plain, f.Caller.Value.Account) {
			continue // accounts of Windows itself, and whoever asks
		}
		folder := f.Text(key, "ProfileImagePath")
		twin := f.Text(keyProfileList+`\`+plain, "ProfileImagePath")
		same := copied && folder.State == facts.Present && twin.State == facts.Present && strings.EqualFold(folder.Value, twin.Value)
		if (gone[strings.ToLower(sid)] || same) && f.drops(key) || copied {
			bad = append(bad, sid)
		}
	}
	if len(bad) > 0 {
		f.lead("plan.below", "key", keyProfileList, "names", strings.Join(bad[:min(len(bad), 20)], ", "))
	}
	guide("profile-rule", "profile-offline-path", "profile-mismatch", "profile-in-setup")(f)
}

// fitOrphanService takes away the key of a service that the log names and whose
// file is gone. Never of one that Windows is shipped with, or that starts with it:
// without these it may not start at all.
func fitOrphanService(f *fit) {
	marks := []string{"ngen-service-start-failed", "wimmount-missing", "csi-service-absent"}
	table, _ := shippedServices()
	for _, o := range f.Leftovers.Value.Services {
		key := keyServices + o.Name
		start := f.DWord(key, "Start")
		shipped := slices.ContainsFunc(table, func(s shippedService) bool { return strings.EqualFold(s.name, o.Name) })
		if shipped || start.State != facts.Present || start.Value < 2 || f.running(o.Name) {
			continue
		}
		if _, ok := f.names(o.Name, append(marks, "driver-step-file-missing")...); ok && f.drops(key) {
			f.lead("plan.orphan", "name", o.Name, "path", o.Path)
		}
	}
	f.afterRestart()
	guide(marks...)(f)
}

// sequence is the number of the driver operation that a line of CBS.log cannot
// read, and the value that it lacks: "Failed reading Identity for driver operation
// sequenceID 4". learn.microsoft.com: "Troubleshoot Windows Update Error 0x80070490".
func sequence(line string) (number, value string) {
	_, rest, _ := strings.Cut(line, "Failed reading ")
	value, rest, ok := strings.Cut(rest, " for driver operation")
	_, rest, found := strings.Cut(strings.ToLower(rest), "sequenceid")
	if !ok || !found {
		return "", ""
	}
	rest = strings.TrimLeft(rest, " :=")
	n := 0
	for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
		n++
	}
	if strings.EqualFold(value, "architecture") {
		value = "Arch"
	}
	return rest[:n], value
}

// fitDriverOperation takes away the one entry that CBS.log cannot read. An entry
// that has the value by now is another one, and stays.
func fitDriverOperation(f *fit) {
	queues := slices.Collect(f.Children(keyDriverOperations))
	if len(queues) == 0 {
		queues = []string{keyDriverOperations + `\1`} // an export of it alone does not list it
	}
	if f.Subkeys(keyDriverOperations).State == facts.Absent || len(queues) == 1 && f.Subkeys(queues[0]).State == facts.Absent {
		f.not("plan.nothing-pending")
		return
	}
	for _, id := range []string{"driver-queue-identity-missing", "driver-queue-value-missing"} {
		for _, seen := range f.Marks(id) {
			number, value := sequence(seen.Text)
			for _, queue := range queues {
				f.dropOperation(queue, number, value)
			}
		}
	}
	f.afterRestart()
	for _, queue := range queues {
		if names := f.Subkeys(queue).Value; len(f.out.Steps) == 0 && len(names) > 0 {
			f.lead("plan.below", "key", queue, "names", strings.Join(names[:min(len(names), 10)], ", "))
		}
	}
	guide("driver-queue-unreadable", "driver-queue-identity-missing", "driver-queue-value-missing")(f)
}

// dropOperation takes away the entry of a queue that has this number, which is its
// name or ends it, and lacks this value.
func (f *fit) dropOperation(queue, number, value string) {
	for key := range f.Children(queue) {
		_, name := splitPath(key)
		planned := slices.ContainsFunc(f.out.Steps, func(s Step) bool { return strings.EqualFold(s.Change.Path, key) })
		if number != "" && (name == number || strings.HasSuffix(name, "_"+number)) && !planned &&
			f.Value(key, value).State == facts.Absent && f.drops(key) {
			f.lead("plan.object", "name", key)
		}
	}
}

// fitOrphanPackage takes away the key of the first package that the log names and
// whose manifest is gone. One, and then it is tried again.
func fitOrphanPackage(f *fit) {
	marks := []string{"cbs-package-manifest-missing", "cbs-mum-missing", "language-package-fails"}
	if f.restartPending() {
		return
	}
	for _, name := range f.Leftovers.Value.Packages {
		key := keyCBS + `\Packages\` + name
		if !host.PackageName(name) || strings.Contains(strings.ToLower(name), "servicingstack") {
			continue
		}
		if _, ok := f.names(name, marks...); ok && f.drops(key) {
			f.lead("plan.object", "name", name)
			break
		}
	}
	guide(marks...)(f)
}
