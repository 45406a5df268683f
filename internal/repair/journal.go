package repair

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/procedure"
)

// EntryKind says what an entry of a journal tells.
type EntryKind string

// The entries. Begin stands in the journal before its change is made and holds
// what takes it back; a begin without a done is where a run was stopped.
const (
	EntryPlan     EntryKind = "plan"     // the first: what was approved
	EntryBegin    EntryKind = "begin"    // a change is about to be made
	EntryDone     EntryKind = "done"     // it was made
	EntrySkipped  EntryKind = "skipped"  // what the step asks for was so already
	EntryFailed   EntryKind = "failed"   // it could not be made
	EntryPassed   EntryKind = "passed"   // the treatment was not carried out: a person's part, or declined
	EntryTreated  EntryKind = "treated"  // all steps of a treatment are made
	EntryRestart  EntryKind = "restart"  // the machine has to be restarted before it goes on
	EntryTried    EntryKind = "tried"    // the failed stage was repeated
	EntryUndoing  EntryKind = "undoing"  // a begin is about to be taken back
	EntryUndone   EntryKind = "undone"   // a begin was taken back
	EntryConflict EntryKind = "conflict" // it was not: somebody changed the same thing since
	EntryOff      EntryKind = "off"      // what a person switched off for an attempt is off still
	EntryAct      EntryKind = "act"      // an act of a course is over that changed nothing, or could not be done
	EntryStarted  EntryKind = "started"  // the machine was restarted, and the course goes on
	EntryUser     EntryKind = "user"     // whose registry HKCU is, in a run that changes it
	EntryPoint    EntryKind = "point"    // a restore point of Windows was wished for
	EntryWitness  EntryKind = "witness"  // what Windows says of installs before a treatment
	EntryEnd      EntryKind = "end"      // the run is over
)

// Entry is one line of a journal.
type Entry struct {
	Seq       int           `json:"seq"` // from 1, without gaps
	Time      time.Time     `json:"time"`
	Kind      EntryKind     `json:"kind"`
	Treatment int           `json:"treatment"`       // index in the plan
	Step      int           `json:"step"`            // index in the treatment, or number of the act
	Undo      []host.Change `json:"undo,omitempty"`  // begin: what takes it back
	After     []host.Change `json:"after,omitempty"` // done: what the host said of the new state
	Late      bool          `json:"late,omitempty"`  // done, act: the next restart makes the rest
	Plan      *Plan         `json:"plan,omitempty"`
	Tried     *host.Attempt `json:"tried,omitempty"`
	Outcome   *host.Outcome `json:"outcome,omitempty"`
	Until     time.Time     `json:"until,omitzero"` // begin, and all entries of a course: when a lease is over
	Result    Result        `json:"result,omitempty"`
	Err       string        `json:"err,omitempty"`
	Code      string        `json:"code,omitempty"` // of Err: "0x80070020"

	Point *host.RestorePoint `json:"point,omitempty"` // point: what came of it
	User  string             `json:"user,omitempty"`  // user: security identifier

	// Of the proof of an install.
	Witness *host.Installed `json:"witness,omitempty"` // witness, tried: what Windows says
	Said    []Line          `json:"said,omitempty"`    // tried: what of it speaks for the install
	Against []Line          `json:"against,omitempty"` // tried: and what against

	// Of courses.
	Act     *procedure.Act  `json:"act,omitempty"`    // begin, skipped, act
	Began   time.Time       `json:"began,omitzero"`   // act
	Answer  json.RawMessage `json:"answer,omitempty"` // act: to its question
	Started time.Time       `json:"started,omitzero"` // started: when the machine was
}

// Journal is the one source for going on with a run and for taking it back: an
// append-only file of JSON lines, each durable before what it announces is done.
// Bytes of files lie beside it, named by their SHA-256.
type Journal struct {
	fs      durable.FS
	dir     string
	entries []Entry
	torn    bool // the file ends within a line
}

const (
	journalFile = "journal.jsonl"
	maxJournal  = 64 << 20
	maxInline   = 4 << 10 // longer contents lie beside the journal
)

// ErrJournal says that a journal cannot be what updoc wrote.
var ErrJournal = errors.New("the journal is damaged")

// CreateJournal begins a run in dir, which must not hold one.
func CreateJournal(fsys durable.FS, dir string, p *Plan, now time.Time) (*Journal, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("begin journal: %w", err)
	}
	j := &Journal{fs: fsys, dir: dir}
	if _, err := fsys.ReadFile(j.path()); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("begin journal: a run named %s: %w", p.Run, fs.ErrExist)
	}
	// The first line comes whole or not at all, and proves that there is room.
	e := Entry{Seq: 1, Time: now.UTC(), Kind: EntryPlan, Plan: p}
	line, err := j.encode(e)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteFile(fsys, j.path(), line); err != nil {
		return nil, fmt.Errorf("begin journal: %w", err)
	}
	if err := fsys.Sync(filepath.Dir(dir)); err != nil { // the run's own folder
		return nil, fmt.Errorf("begin journal: %w", err)
	}
	j.entries = []Entry{e}
	return j, nil
}

// OpenJournal reads a run. A last line that was not written to its end is no part
// of it. An error that fits fs.ErrNotExist means that there is no run in dir.
func OpenJournal(fsys durable.FS, dir string) (*Journal, error) {
	j := &Journal{fs: fsys, dir: dir}
	b, err := fsys.ReadFile(j.path())
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if len(b) > maxJournal {
		return nil, fmt.Errorf("open journal: %w: %d bytes", ErrJournal, len(b))
	}
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			j.torn = true
			break
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Seq != len(j.entries)+1 {
			if len(rest) == 0 { // a power loss may leave the end of a line and not its beginning
				j.torn = true
				break
			}
			return nil, fmt.Errorf("open journal: %w in line %d", ErrJournal, len(j.entries)+1)
		}
		if err := j.inflate(&e); err != nil {
			return nil, fmt.Errorf("open journal, line %d: %w", e.Seq, err)
		}
		j.entries = append(j.entries, e)
		b = rest
	}
	if len(j.entries) == 0 || j.entries[0].Plan == nil {
		return nil, fmt.Errorf("open journal: %w: it holds no plan", ErrJournal)
	}
	return j, j.Plan().Check()
}

func (j *Journal) path() string { return filepath.Join(j.dir, journalFile) }

// Plan returns what was approved.
func (j *Journal) Plan() *Plan { return j.entries[0].Plan }

// User is the security identifier of the user whose registry HKCU is in the changes of
// the run; "" if it changed nothing there, or was made by an updoc that did not say.
// Who takes it back may be another administrator.
func (j *Journal) User() string {
	for _, e := range j.entries {
		if e.Kind == EntryUser {
			return e.User
		}
	}
	return ""
}

// Entries returns what was written so far.
func (j *Journal) Entries() []Entry { return slices.Clone(j.entries) }

// Append writes an entry; when it returns nil, the entry survives a loss of power.
func (j *Journal) Append(e Entry, now time.Time) error {
	e.Seq, e.Time = len(j.entries)+1, now.UTC().Round(0) // as it is read again
	line, err := j.encode(e)
	if err != nil {
		return err
	}
	if j.torn { // what was cut off goes, in one stroke, before anything follows it
		if err := j.rewrite(); err != nil {
			return err
		}
	}
	f, err := j.fs.Append(j.path())
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	_, werr := f.Write(line)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		j.torn = true
		return fmt.Errorf("write journal: %w", err)
	}
	j.entries = append(j.entries, e)
	return nil
}

func (j *Journal) rewrite() error {
	var all []byte
	for _, e := range j.entries {
		line, err := j.encode(e)
		if err != nil {
			return err
		}
		all = append(all, line...)
	}
	if err := durable.WriteFile(j.fs, j.path(), all); err != nil {
		return fmt.Errorf("mend journal: %w", err)
	}
	j.torn = false
	return nil
}

// encode returns the entry's line; long contents are put beside the journal first.
func (j *Journal) encode(e Entry) ([]byte, error) {
	err := eachList(&e, func(list []host.Change) ([]host.Change, error) {
		list = slices.Clone(list)
		for i := range list {
			if err := j.deflate(&list[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	})
	if err != nil {
		return nil, fmt.Errorf("write journal: %w", err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write journal: %w", err)
	}
	return append(b, '\n'), nil
}

// blob is how a change names bytes that lie beside the journal; a Write has no
// other use for a name.
const blob = "sha256:"

func (j *Journal) deflate(c *host.Change) error {
	if len(c.Data) <= maxInline {
		return nil
	}
	sum := sha256.Sum256(c.Data)
	name := hex.EncodeToString(sum[:])
	path := filepath.Join(j.dir, name)
	if have, err := j.fs.ReadFile(path); err != nil || !bytes.Equal(have, c.Data) {
		if err := durable.WriteFile(j.fs, path, c.Data); err != nil {
			return err
		}
	}
	c.Data, c.Name = nil, blob+name
	return nil
}

func (j *Journal) inflate(e *Entry) error {
	return eachList(e, func(list []host.Change) ([]host.Change, error) {
		for i := range list {
			c := &list[i]
			name, ok := bytes.CutPrefix([]byte(c.Name), []byte(blob))
			if c.Kind != host.Write || !ok {
				continue
			}
			if raw, err := hex.DecodeString(string(name)); err != nil || len(raw) != sha256.Size {
				return nil, fmt.Errorf("%w: contents named %q", ErrJournal, name)
			}
			b, err := j.fs.ReadFile(filepath.Join(j.dir, string(name)))
			if err != nil {
				return nil, fmt.Errorf("contents of %s: %w", c.Path, err)
			}
			if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != string(name) {
				return nil, fmt.Errorf("%w: contents of %s are not what was kept", ErrJournal, c.Path)
			}
			c.Data, c.Name = b, ""
		}
		return list, nil
	})
}

// eachList runs f on every list of changes in an entry. The plan that e points to
// is not changed: a copy takes its place.
func eachList(e *Entry, f func([]host.Change) ([]host.Change, error)) (err error) {
	if e.Undo, err = f(e.Undo); err != nil {
		return err
	}
	if e.After, err = f(e.After); err != nil {
		return err
	}
	if e.Act != nil && e.Act.Change != nil {
		one, err := f([]host.Change{*e.Act.Change})
		if err != nil {
			return err
		}
		act := *e.Act
		act.Change, e.Act = &one[0], &act
	}
	if e.Plan == nil {
		return nil
	}
	p := *e.Plan
	p.Treatments = slices.Clone(p.Treatments)
	for i := range p.Treatments {
		steps := slices.Clone(p.Treatments[i].Steps)
		for k := range steps {
			one, err := f([]host.Change{steps[k].Change})
			if err != nil {
				return err
			}
			steps[k].Change = one[0]
			if steps[k].Undo, err = f(steps[k].Undo); err != nil {
				return err
			}
		}
		p.Treatments[i].Steps = steps
	}
	e.Plan = &p
	return nil
}
