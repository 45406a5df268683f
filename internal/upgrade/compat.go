package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// Block is something that setup's own look at the machine objects to.
type Block struct {
	Kind    BlockKind `json:"kind"`
	Name    string    `json:"name"`              // of the program, the driver package, the requirement
	Hard    bool      `json:"hard"`              // setup does not go on while it is there
	Action  string    `json:"action,omitempty"`  // what setup wants done: Uninstall, ManualUninstall, ...
	Message string    `json:"message,omitempty"` // in Windows' language
	Link    string    `json:"link,omitempty"`    // where Microsoft says more
}

// BlockKind says what is in the way.
type BlockKind string

// The kinds of blocks.
const (
	BlockProgram BlockKind = "program"
	BlockDriver  BlockKind = "driver"
	BlockDevice  BlockKind = "device"
	BlockMachine BlockKind = "requirement"
)

// Bounds of a report; those of machines with hundreds of programs have 2 MB.
const (
	maxReport = 16 << 20
	maxBlocks = 500
)

// compatReport is the part of a report that says what is in the way. Whatever its
// namespace; setup writes several reports, one for each kind of look.
// learn.microsoft.com: "Use Windows Setup compatibility scan logs to identify blocking issues".
type compatReport struct {
	Programs []struct {
		compatItem
		Name string `xml:"Name,attr"`
	} `xml:"Programs>Program"`
	Devices []struct {
		compatItem
		Class        string `xml:"Class,attr"`
		Manufacturer string `xml:"Manufacturer,attr"`
		Model        string `xml:"ModelName,attr"`
	} `xml:"Devices>Device"`
	Drivers []struct {
		Inf    string `xml:"Inf,attr"`
		Blocks string `xml:"BlockMigration,attr"`
	} `xml:"DriverPackages>DriverPackage"`
	Hardware []struct {
		compatItem
		Type string `xml:"HardwareType,attr"`
	} `xml:"Hardware>HardwareItem"`
}

// compatItem is what all of them say of the compatibility.
type compatItem struct {
	Info []struct {
		Blocking string `xml:"BlockingType,attr"`
		Title    string `xml:"Title,attr"`
		Message  string `xml:"Message,attr"`
		Detail   string `xml:"StatusDetail,attr"`
	} `xml:"CompatibilityInfo"`
	Actions []struct {
		Name  string `xml:"Name,attr"`
		State string `xml:"ResolveState,attr"`
	} `xml:"Action"`
	Links []struct {
		Target string `xml:"Target,attr"`
	} `xml:"Link"`
}

// ParseCompat reads one of setup's compatibility reports, CompatData_*.xml, and returns
// what it objects to. A report without objections has no blocks.
func ParseCompat(doc []byte) ([]Block, error) {
	if len(doc) > maxReport {
		return nil, fmt.Errorf("read the compatibility report: %w", ErrTooLarge)
	}
	var r compatReport
	if err := decodeXML(doc, &r); err != nil {
		return nil, fmt.Errorf("read the compatibility report: %w", err)
	}
	var out []Block
	for _, x := range r.Programs {
		if b, ok := x.block(BlockProgram, x.Name); ok {
			out = append(out, b)
		}
	}
	for _, x := range r.Devices {
		if b, ok := x.block(BlockDevice, strings.TrimSpace(x.Manufacturer+" "+x.Model)); ok {
			out = append(out, b)
		}
	}
	for _, x := range r.Drivers {
		if strings.EqualFold(x.Blocks, "True") {
			out = append(out, Block{Kind: BlockDriver, Name: x.Inf, Hard: true})
		}
	}
	for _, x := range r.Hardware {
		if b, ok := x.block(BlockMachine, x.Type); ok {
			out = append(out, b)
		}
	}
	if len(out) > maxBlocks {
		out = out[:maxBlocks]
	}
	return out, nil
}

// block reports what an item objects to. Without a type it only says that something is
// there.
func (x compatItem) block(kind BlockKind, name string) (Block, bool) {
	for _, i := range x.Info {
		if i.Blocking == "" || strings.EqualFold(i.Blocking, "None") {
			continue
		}
		b := Block{Kind: kind, Name: name, Hard: strings.EqualFold(i.Blocking, "Hard"), Message: strings.TrimSpace(i.Title + " " + i.Message)}
		for _, a := range x.Actions {
			if b.Action = a.Name; a.Name != "" {
				break
			}
		}
		for _, l := range x.Links {
			if b.Link = l.Target; l.Target != "" {
				break
			}
		}
		return b, true
	}
	return Block{}, false
}

// Blocks merges what several reports object to: setup writes the same into more than one.
func Blocks(reports [][]byte) (blocks []Block, errs []error) {
	for _, doc := range reports {
		more, err := ParseCompat(doc)
		if err != nil {
			errs = append(errs, err)
		}
		for _, b := range more {
			if !slices.ContainsFunc(blocks, func(x Block) bool { return x.Kind == b.Kind && x.Name == b.Name }) {
				blocks = append(blocks, b)
			}
		}
	}
	return blocks, errs
}
