package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// KitName is the file that describes an offline kit, at the top of its folder.
const KitName = "kit.json"

// KitSchema names the form of kit.json.
const KitSchema = "updoc.kit/1"

// Bounds of kit.json.
const (
	maxKit        = 4 << 20
	maxKitUpdates = 64
	maxKitFiles   = 256 // of one update
)

// Kit is an offline kit: a folder with packages and with what a machine without a
// network has to know about them. The digests are what the packages had when they
// were fetched; that they are Microsoft's is told by their signatures.
type Kit struct {
	Schema  string      `json:"schema"` // [KitSchema]
	Made    time.Time   `json:"made"`
	By      string      `json:"by,omitempty"`  // "updoc 1.2.3"
	For     *Target     `json:"for,omitempty"` // the machine it was chosen for; nil: anybody's
	Updates []KitUpdate `json:"updates"`       // in the order in which they are installed
}

// KitUpdate is one update of a kit. All of its files lie in one folder, with nothing
// else in it: Windows looks there for the checkpoints that an update builds on.
// learn.microsoft.com: Checkpoint cumulative updates and Microsoft Update Catalog usage.
type KitUpdate struct {
	ID             string    `json:"id"`           // of the catalogue, a GUID
	KB             string    `json:"kb,omitempty"` // "KB5039212"
	Title          string    `json:"title"`
	Products       string    `json:"products,omitempty"`
	Classification string    `json:"classification,omitempty"`
	Date           string    `json:"date,omitempty"`    // "2026-01-13"
	Restart        string    `json:"restart,omitempty"` // what the catalogue says of restarts, in its words
	SupersededBy   []Ref     `json:"superseded_by,omitempty"`
	Folder         string    `json:"folder"` // within the kit: "KB5039212"
	Files          []KitFile `json:"files"`  // the one to install is the last
}

// KitFile is one package of an update.
type KitFile struct {
	Name   string `json:"name"` // within the update's folder
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
	SHA1   string `json:"sha1,omitempty"`
	URL    string `json:"url,omitempty"` // where it came from
	// Target says that this is the file to install; the others are what it builds on, and
	// are found by Windows itself.
	Target bool `json:"target,omitempty"`
}

// Path is where the file lies within the kit, with slashes.
func (u *KitUpdate) Path(f *KitFile) string { return path.Join(u.Folder, f.Name) }

// ErrKit says that a kit.json describes no kit.
var ErrKit = errors.New("not a kit of updoc")

// ReadKit reads a kit.json and holds it to the form: names that lead nowhere else,
// digests that are digests. It opens no package.
func ReadKit(r io.Reader) (*Kit, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", KitName, err)
	}
	if len(b) > maxKit {
		return nil, fmt.Errorf("read %s: %w: it is too large", KitName, ErrKit)
	}
	var k Kit
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&k); err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", KitName, ErrKit, err)
	}
	if err := k.Check(); err != nil {
		return nil, fmt.Errorf("read %s: %w", KitName, err)
	}
	return &k, nil
}

// Check reports what is wrong with a kit, as an [ErrKit].
func (k *Kit) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrKit, fmt.Sprintf(format, args...))
	}
	switch {
	case k.Schema != KitSchema:
		return bad("its schema is %q, not %s", k.Schema, KitSchema)
	case len(k.Updates) == 0:
		return bad("it holds no update")
	case len(k.Updates) > maxKitUpdates:
		return bad("it holds %d updates", len(k.Updates))
	}
	folders := map[string]bool{}
	for i := range k.Updates {
		u := &k.Updates[i]
		if !isGUID(u.ID) {
			return bad("update %d has no id", i+1)
		}
		if SafeName(u.Folder) != nil || folders[strings.ToLower(u.Folder)] {
			return bad("the folder %q of %s cannot be", u.Folder, u.ID)
		}
		folders[strings.ToLower(u.Folder)] = true
		if len(u.Files) == 0 || len(u.Files) > maxKitFiles {
			return bad("%s has %d files", u.ID, len(u.Files))
		}
		names, targets := map[string]bool{}, 0
		for j := range u.Files {
			f := &u.Files[j]
			name := strings.ToLower(f.Name)
			switch {
			case SafeName(f.Name) != nil || names[name]:
				return bad("the name %q of a file of %s cannot be", f.Name, u.ID)
			case !isHex(f.SHA256, 64) || f.SHA1 != "" && !isHex(f.SHA1, 40):
				return bad("%s of %s has no digest", f.Name, u.ID)
			case f.Size <= 0:
				return bad("%s of %s has no size", f.Name, u.ID)
			}
			names[name] = true
			if f.Target {
				targets++
			}
		}
		if targets != 1 || !u.Files[len(u.Files)-1].Target {
			return bad("%s does not say which file is to be installed", u.ID)
		}
	}
	return nil
}

// Add puts an update into the kit, in the place of the one with the same id.
func (k *Kit) Add(u KitUpdate) {
	for i := range k.Updates {
		if old := &k.Updates[i]; old.ID == u.ID {
			*old = u
			return
		}
	}
	k.Updates = append(k.Updates, u)
}

// Write puts kit.json, and an instruction for people, into the folder of a kit.
func (k *Kit) Write(dir, instruction string) error {
	k.Schema = KitSchema
	if err := k.Check(); err != nil {
		return fmt.Errorf("write %s: %w", KitName, err)
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, text := range map[string][]byte{KitName: append(b, '\n'), "README.txt": []byte(strings.ReplaceAll(instruction, "\n", "\r\n"))} {
		// Anew and then in its place: a link there is replaced, and not followed.
		if err := root.WriteFile(name+".new", text, 0o644); err != nil {
			return err
		}
		if err := root.Rename(name+".new", name); err != nil {
			return err
		}
	}
	return nil
}

// OpenKit reads the kit in a folder; the error is an [io/fs.ErrNotExist] if there is none.
func OpenKit(dir string) (*Kit, error) {
	f, err := os.Open(filepath.Join(dir, KitName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadKit(f)
}

// FolderOf is the folder of an update in the kit: its article, unless another update of
// that article has it.
func (k *Kit) FolderOf(u Row) string {
	folder := u.KB
	if folder == "" {
		folder = u.ID
	}
	for i := range k.Updates {
		switch o := &k.Updates[i]; {
		case o.ID == u.ID:
			return o.Folder
		case strings.EqualFold(o.Folder, folder):
			folder += "-" + u.ID[:8]
		}
	}
	return folder
}

// Clear removes from an update's folder what an earlier download of it put there and the
// update no longer has. The error names what is there besides: nothing else may be.
func (k *Kit) Clear(dir string, u *KitUpdate) error {
	root, err := os.OpenRoot(filepath.Join(dir, u.Folder))
	if err != nil {
		return err
	}
	defer root.Close()
	old := map[string]bool{}
	for i := range k.Updates {
		if k.Updates[i].ID == u.ID {
			for _, f := range k.Updates[i].Files {
				old[strings.ToLower(f.Name)] = true
			}
		}
	}
	now := map[string]bool{}
	for _, f := range u.Files {
		now[strings.ToLower(f.Name)] = true
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := strings.ToLower(e.Name()); {
		case now[name]:
		case old[name]:
			if err := root.Remove(e.Name()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: %s is in %s, where only the packages of the update may be", ErrKit, e.Name(), u.Folder)
		}
	}
	return nil
}
