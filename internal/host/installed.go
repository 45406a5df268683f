package host

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/sorted"
)

// AskInstalled asks for [Installed]; argument "kb": the number of an article, whose
// packages are told too. It is asked before an install and after it, and is no part of
// a recording.
const AskInstalled = "installed"

// Installed is what Windows itself says of installs, whatever the update agent does:
// the build that runs, how far packages are, and the agent's own entries in the
// event log.
type Installed struct {
	Build    string         `json:"build"`    // CurrentBuild.UBR: "22631.3007"
	Packages []StorePackage `json:"packages"` // of cumulative updates, and those that name the article
	Events   []InstallEvent `json:"events"`   // newest first
	Unseen   []Unseen       `json:"unseen,omitempty"`
}

// Revision is the revision of the build that a cumulative update brings:
// "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7" brings 3374. The
// build before it is that of the release's first build (19041 on a 19045). 0 for
// any other package.
func (p StorePackage) Revision() int {
	name, version, ok := strings.Cut(p.Name, "~")
	if i := strings.LastIndexByte(version, '~'); ok && strings.EqualFold(name, "Package_for_RollupFix") && i >= 0 {
		part := strings.Split(version[i+1:], ".")
		if n, err := strconv.Atoi(part[min(1, len(part)-1)]); err == nil && len(part) == 4 && n > 0 {
			return n
		}
	}
	return 0
}

// Revision is the revision of the build that runs; 0 unknown.
func (x Installed) Revision() int {
	_, ubr, _ := strings.Cut(x.Build, ".")
	n, _ := strconv.Atoi(ubr)
	return n
}

// InstallEvent is an entry of Microsoft-Windows-WindowsUpdateClient in the log System.
type InstallEvent struct {
	Record uint64        `json:"record"` // its number in the log; a later one has a greater
	At     time.Time     `json:"at"`
	ID     uint32        `json:"id"`     // 19 installed, 20 failed
	Update string        `json:"update"` // id of the update, without braces
	Title  string        `json:"title"`
	Result codes.HRESULT `json:"result,omitzero"`
}

// The events of an install.
const (
	EventInstalled = 19
	EventFailed    = 20
)

// Newest is the number of the newest entry; 0 if there is none.
func (x Installed) Newest() uint64 {
	var n uint64
	for _, e := range x.Events {
		n = max(n, e.Record)
	}
	return n
}

const (
	currentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	packagesKey    = keyServicing + `\Packages`

	maxPackages = 200 // that are told; a machine keeps one or two cumulative updates
	maxInstalls = 100 // events
)

// ReadInstalled reads it from a machine's registry, with the events that the caller has
// of its log; a gap says why it has none.
func ReadInstalled(ctx context.Context, r Reader, args map[string]string, events []InstallEvent, gap error) Installed {
	x := Installed{Packages: []StorePackage{}, Events: events}
	if x.Events == nil {
		x.Events = []InstallEvent{}
	}
	unseen := func(part string, err error) {
		u := Unseen{Part: part, Why: err.Error()}
		_ = errors.As(err, &u.Result)
		x.Unseen = append(x.Unseen, u)
	}
	if gap != nil {
		unseen("events", gap)
	}
	switch k, err := r.Key(ctx, currentVersion); {
	case err != nil:
		unseen("build", err)
	default:
		build, _ := k.Value("CurrentBuild")
		x.Build, _ = build.String()
		if ubr, ok := k.Value("UBR"); ok {
			n, _ := ubr.DWord()
			x.Build += "." + strconv.FormatUint(uint64(n), 10)
		}
	}
	if err := x.packages(ctx, r, article(args["kb"])); err != nil && !errors.Is(err, ErrNotExist) {
		unseen("packages", err)
	}
	return x
}

// article is the number of an article with its letters, or "".
func article(kb string) string {
	n := strings.TrimPrefix(strings.ToUpper(kb), "KB")
	if len(n) < 6 || len(n) > 8 || strings.Trim(n, "0123456789") != "" {
		return ""
	}
	return "KB" + n
}

func (x *Installed) packages(ctx context.Context, r Reader, kb string) error {
	all, err := r.Key(ctx, packagesKey)
	if err != nil {
		return err
	}
	for _, name := range all.Subkeys {
		p := StorePackage{Name: name}
		if p.Revision() == 0 && (kb == "" || p.KB() != kb) || len(x.Packages) == maxPackages {
			continue
		}
		k, err := r.Key(ctx, packagesKey+`\`+name)
		if err != nil {
			return err
		}
		v, ok := k.Value("CurrentState")
		if n, is := v.DWord(); ok && is {
			p.State = n
			x.Packages = append(x.Packages, p)
		}
	}
	return nil
}

// ParseInstallEvents reads events as EvtRender gives them, one <Event> after the other,
// and returns those of installs, the newest first. learn.microsoft.com: "Event
// Schema". What stands behind the first fault is not read.
func ParseInstallEvents(r io.Reader) ([]InstallEvent, error) {
	d := xml.NewDecoder(io.LimitReader(r, 16<<20))
	out := []InstallEvent{}
	for len(out) < maxInstalls {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return newestFirst(out), fmt.Errorf("read events: %w", err)
		}
		el, ok := t.(xml.StartElement)
		if !ok || el.Name.Local != "Event" {
			continue
		}
		var e struct {
			System struct {
				ID     uint32 `xml:"EventID"`
				Record uint64 `xml:"EventRecordID"`
				Time   struct {
					At string `xml:"SystemTime,attr"`
				} `xml:"TimeCreated"`
			}
			Data []struct {
				Name string `xml:",attr"`
				Text string `xml:",chardata"`
			} `xml:"EventData>Data"`
		}
		if err := d.DecodeElement(&e, &el); err != nil {
			return newestFirst(out), fmt.Errorf("read events: %w", err)
		}
		x := InstallEvent{Record: e.System.Record, ID: e.System.ID}
		x.At, _ = time.Parse(time.RFC3339Nano, e.System.Time.At)
		for _, v := range e.Data {
			switch v.Name {
			case "updateGuid":
				x.Update = strings.ToLower(strings.Trim(strings.TrimSpace(v.Text), "{}"))
			case "updateTitle":
				x.Title = v.Text
			case "errorCode":
				_ = x.Result.UnmarshalText([]byte(strings.TrimSpace(v.Text)))
			}
		}
		if x.ID == EventInstalled || x.ID == EventFailed {
			out = append(out, x)
		}
	}
	return newestFirst(out), nil
}

func newestFirst(list []InstallEvent) []InstallEvent {
	sorted.By(list, func(a, b InstallEvent) int {
		switch {
		case a.Record > b.Record:
			return -1
		case a.Record < b.Record:
			return 1
		}
		return 0
	})
	return list
}
