package host

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"updoc/internal/winlog"
)

// A bundle is a zip with what a host answered: docs/bundle.md tells what is in
// it. [Record] writes one, [Recorded] answers from it.

// BundleSchema names the layout of a bundle. A reader takes every version of it:
// members and fields are added, none changes its meaning.
const BundleSchema = "updoc.bundle/1"

// The members of a bundle that are not evidence themselves.
const (
	ManifestName = "manifest.json"
	NoteName     = "READ-ME-FIRST.txt"
	registryName = "registry/registry.reg"
	keysName     = "registry/keys.json"
	servicesName = "services.json"
	evidenceDir  = "files/"
	answersDir   = "answers/"
)

// schemaPrefix is what every version of the schema begins with.
const schemaPrefix = "updoc.bundle/"

// Bounds of the manifest and of the lists beside it: room for maxFiles members
// with long names. Small entries take far more memory than text, so their number
// is bounded before they are read.
const (
	maxManifest = 16 << 20
	maxEntries  = 400_000
	maxBundles  = 16 // in one evidence
)

var errManyEntries = errors.New("too many entries")

// decode reads a list that somebody handed over.
func decode(text []byte, v any) error {
	if bytes.Count(text, []byte{','}) > maxEntries {
		return errManyEntries
	}
	return json.Unmarshal(text, v)
}

// Manifest says what is in a bundle, what is not, and why.
type Manifest struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"` // of updoc
	Created time.Time `json:"created"` // UTC
	Machine Described `json:"machine"`

	// Elevated says whether the host was read with the rights of an
	// administrator; nil: nobody knows, it was evidence that was packed again.
	Elevated *bool `json:"elevated,omitempty"`
	// Denied is what could not be read for want of rights.
	Denied []string `json:"denied,omitempty"`

	// Redaction says what was replaced; nil: nothing was.
	Redaction *Redaction `json:"redaction,omitempty"`

	Keys     int `json:"keys"` // registry keys that are there
	Services int `json:"services"`

	Files   []Member       `json:"files"`             // all members but this one, the evidence in the order in which it was listed
	Answers []AnswerMember `json:"answers,omitempty"` // every question that was asked
	Unread  []Unread       `json:"unread,omitempty"`  // what is not in the bundle, though it was looked for
}

// Described is a [Machine] as a manifest describes it.
type Described struct {
	Name   string `json:"name,omitempty"`
	OS     string `json:"os,omitempty"`
	Build  string `json:"build,omitempty"`
	Arch   string `json:"arch,omitempty"`
	Source string `json:"source"` // what it was read of: live, bundle, lab
}

// Redaction counts what was replaced.
type Redaction struct {
	HostsKept bool       `json:"hosts_kept"` // host names and addresses are the real ones
	Replaced  []Replaced `json:"replaced"`
}

// Replaced is a [redact.Count] as a manifest tells it.
type Replaced struct {
	Kind     string `json:"kind"`
	Total    int    `json:"total"`
	Distinct int    `json:"distinct"`
}

// The roles of members.
const (
	MemberEvidence = "evidence" // a file of the machine
	MemberRegistry = "registry" // the values of the keys, as a .reg file
	MemberKeys     = "keys"     // what was answered for each key that was asked for
	MemberServices = "services"
	MemberAnswer   = "answer"
	MemberNote     = "note" // for people
)

// Member is a file in the bundle.
type Member struct {
	Name   string `json:"name"` // in the bundle, slash-separated
	Role   string `json:"role"`
	SHA256 string `json:"sha256"` // of what is in the bundle, hexadecimal
	Size   int64  `json:"size"`

	// Of evidence alone:
	Path     string      `json:"path,omitempty"` // on the machine, redacted
	Kind     winlog.Kind `json:"kind,omitempty"`
	Original int64       `json:"original,omitempty"` // its size there
	Modified time.Time   `json:"modified,omitzero"`
	As       string      `json:"as,omitempty"`  // AsEvents; "": as it was, but for redaction
	Cut      *Cut        `json:"cut,omitempty"` // what was left out in the middle
}

// AsEvents says that a binary event log stands in the bundle as XML: names inside
// binary XML cannot be replaced. It holds the warnings, the errors and what takes
// part in updating, which is what a diagnosis reads.
const AsEvents = "events as XML"

// Cut is what was left out of a file that is too large.
type Cut struct {
	At    int64 `json:"at"`    // offset of the first byte left out; in an event log, of its XML
	Bytes int64 `json:"bytes"` // how many
}

// AnswerMember is a question with its answer.
type AnswerMember struct {
	Question
	State  AnswerState `json:"state"`
	Why    string      `json:"why,omitempty"`
	Source string      `json:"source,omitempty"`
	File   string      `json:"file,omitempty"` // the member with the JSON
}

// Unread is something that is not in the bundle.
type Unread struct {
	What string `json:"what"` // a path, a registry key, a service, a question
	Kind string `json:"kind"` // file, key, service, answer
	Why  string `json:"why"`
}

// AnswerState is how a question was answered.
type AnswerState string

// The answers to a question. Absent, denied and not recorded are three things.
const (
	StatePresent AnswerState = "present"
	StateAbsent  AnswerState = "absent"       // there is no such thing
	StateDenied  AnswerState = "denied"       // not allowed to look
	StateUnasked AnswerState = "not recorded" // nobody looked
	StateFailed  AnswerState = "failed"       // looking failed
)

// keyEntry is one key in keysName.
type keyEntry struct {
	Path    string      `json:"path"`
	State   AnswerState `json:"state"`
	Why     string      `json:"why,omitempty"`
	Source  string      `json:"source,omitempty"`
	Partial bool        `json:"partial,omitempty"`
	Subkeys []string    `json:"subkeys,omitempty"`
}

// serviceEntry is one service in servicesName, under its name in lower case.
type serviceEntry struct {
	State   AnswerState `json:"state"`
	Why     string      `json:"why,omitempty"`
	Source  string      `json:"source,omitempty"`
	Service *Service    `json:"service,omitempty"`
}

// regHead opens a .reg file.
const regHead = "Windows Registry Editor Version 5.00\r\n"

var longRoots = map[string]string{
	"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKU": "HKEY_USERS", "HKCR": "HKEY_CLASSES_ROOT", "HKCC": "HKEY_CURRENT_CONFIG",
}

// maxRegLine is how long a text may be that stands between quotes; a longer one is
// written in hex, over many lines.
const maxRegLine = 16 << 10

// appendRegKey appends a key with its values as regedit exports them, so that
// reading it back gives every value with its type and to the byte. What the format
// cannot hold, names with line breaks, is left out and counted; ok is false if
// that is the key's own name.
func appendRegKey(dst []byte, p string, values []winlog.RegValue) (_ []byte, lost int, ok bool) {
	root, rest, sub := strings.Cut(p, `\`)
	long, known := longRoots[strings.ToUpper(root)]
	if !known || !oneLine(p) || strings.HasSuffix(p, `\`) {
		return dst, 0, false
	}
	dst = append(append(dst, "\r\n["...), long...)
	if sub {
		dst = append(append(dst, '\\'), rest...)
	}
	dst = append(dst, "]\r\n"...)
	for _, v := range values {
		if !oneLine(v.Name) || len(v.Name) > maxRegLine {
			lost++
			continue
		}
		dst = appendRegValue(dst, v)
	}
	return dst, lost, true
}

func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == utf8.RuneError || r == '\uFEFF' })
}

func appendRegValue(dst []byte, v winlog.RegValue) []byte {
	from := len(dst)
	if v.Name == "" {
		dst = append(dst, '@')
	} else {
		dst = appendRegText(dst, v.Name)
	}
	dst = append(dst, '=')
	switch text, isText := v.String(); {
	case v.Type == winlog.RegSZ && isText && len(text) < maxRegLine && oneLine(text) && bytes.Equal(utf16Stored(text), v.Data):
		return append(appendRegText(dst, text), "\r\n"...)
	case v.Type == winlog.RegDWord && len(v.Data) == 4:
		return append(fmt.Appendf(dst, "dword:%08x", binary.LittleEndian.Uint32(v.Data)), "\r\n"...)
	case v.Type == winlog.RegBinary:
		dst = append(dst, "hex:"...)
	default:
		dst = append(strconv.AppendUint(append(dst, "hex("...), uint64(v.Type), 16), "):"...)
	}
	column := len(dst) - from
	for i, c := range v.Data {
		if dst = hex.AppendEncode(dst, []byte{c}); i == len(v.Data)-1 {
			break
		}
		dst = append(dst, ',')
		if column += 3; column > 76 {
			dst, column = append(dst, "\\\r\n  "...), 2
		}
	}
	return append(dst, "\r\n"...)
}

func appendRegText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, c := range []byte(s) {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// utf16Stored is a text as the registry keeps it, with its NUL.
func utf16Stored(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return append(b, 0, 0)
}

// memberPath makes the path of a file on its machine one that every system can
// unpack: C:\Windows\Logs\CBS\CBS.log becomes files/C/Windows/Logs/CBS/CBS.log.
func memberPath(p string) string {
	p = strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case r < ' ' || r == 0x7F || r == utf8.RuneError || unicode.Is(unicode.Cf, r):
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return r
	}, strings.NewReplacer(`:\`, `\`, ":/", "/").Replace(p))
	var parts []string
	for part := range strings.SplitSeq(path.Clean("/"+p), "/") {
		part = strings.TrimRight(part, " .")
		if part == "" {
			continue
		}
		const long = 100
		if ext := path.Ext(part); len(part) > long {
			part = strings.ToValidUTF8(part[:long-min(len(ext), 10)], "") + ext[:min(len(ext), 10)]
		}
		parts = append(parts, part)
	}
	const deep = 16
	if len(parts) > deep {
		parts = parts[len(parts)-deep:]
	}
	if len(parts) == 0 {
		parts = []string{"file"}
	}
	return evidenceDir + strings.Join(parts, "/")
}

// readManifest reads the manifest of a bundle.
func readManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := decode(b, &m); err != nil {
		return m, err
	}
	if !strings.HasPrefix(m.Schema, schemaPrefix) {
		return m, fmt.Errorf("schema %q is not %s", m.Schema, BundleSchema)
	}
	if len(m.Files) > maxFiles || len(m.Answers) > maxFiles || len(m.Unread) > maxFiles {
		return m, fmt.Errorf("it names more than %d members", maxFiles)
	}
	return m, nil
}
