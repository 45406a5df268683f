package host

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
)

// ToolSetup is the one program that a Run may name and that is no part of Windows on the
// machine: setup.exe of installation media. Its first argument is the media, an ISO file
// that is mounted (see [ImageSetting]) or a folder; a live host starts it only if
// Microsoft signed it. A look that finds nothing in the way ends with 0xC1900210
// (MOSETUP_E_COMPAT_SCANONLY), and is done.
const ToolSetup = "setup"

// ImageSetting is the Switch of an ISO file of the machine: "on" while it is mounted as a
// drive. Windows unmounts it at a restart.
func ImageSetting(path string) string { return Setting("image", path) }

// Mounts reports a change that mounts an ISO file or takes it away again, which changes
// nothing that a restart would not.
func Mounts(c Change) bool {
	group, _, _ := strings.Cut(c.Path, "/")
	return c.Kind == Switch && group == "image"
}

// setupOptions are the options that setup may be started with, in this order. What is in
// brackets may be left out; what hides a block, /compat ignorewarning, is not among them.
// learn.microsoft.com: "Windows Setup Command-Line Options".
var setupOptions = []struct {
	words    string
	optional bool
}{
	{"/auto upgrade", false},
	{"/quiet", false},
	{"/compat scanonly", true},
	{"/noreboot", true},
	{"/dynamicupdate enable|nodrivers", false},
	{"/eula accept", true},
	{"/showoobe none", true},
	{"/bitlocker alwayssuspend", true},
	{"/copylogs {folder}", true},
}

// mayInstall reports whether these are arguments of setup that updoc uses.
func mayInstall(args []string) bool {
	if len(args) == 0 || !SetupMedia(args[0]) {
		return false
	}
	args = args[1:]
	for _, o := range setupOptions {
		words := strings.Fields(o.words)
		if len(args) >= len(words) && setupWords(words, args) {
			args = args[len(words):]
		} else if !o.optional {
			return false
		}
	}
	return len(args) == 0
}

func setupWords(words, args []string) bool {
	for i, w := range words {
		if w == "{folder}" {
			if !localPath(args[i]) || strings.ContainsAny(args[i], "%^&") {
				return false
			}
			continue
		}
		ok := false
		for choice := range strings.SplitSeq(w, "|") {
			ok = ok || equalFold(choice, args[i])
		}
		if !ok {
			return false
		}
	}
	return true
}

// SetupMedia accepts the full path of an ISO file or of a folder on a drive, or the root
// of a drive.
func SetupMedia(p string) bool {
	return localPath(p) || len(p) == 3 && localPath(p+"x")
}

// AskSetup asks how an upgrade of Windows stands. The answer is [SetupState]; it is none
// of [Questions], since logs and registry of a bundle tell the same.
const AskSetup = "setup"

// SetupSince is an argument of AskSetup, a time in RFC 3339: what setup wrote before it
// is not told.
const SetupSince = "since"

// SetupState is how far setup is, and how it ended. What setup leaves in the registry
// below HKLM\SYSTEM\Setup\MoSetup, and in $WINDOWS.~BT.
type SetupState struct {
	Running bool          `json:"running,omitempty"`
	Percent int           `json:"percent"`         // -1 unknown
	Result  codes.HRESULT `json:"result,omitzero"` // of the last run
	Extend  uint32        `json:"extend,omitempty"`
	Rolled  bool          `json:"rolledBack,omitempty"` // it was taken back
	Build   string        `json:"build"`                // of the Windows that runs: "22631.3007"
	Ended   time.Time     `json:"ended,omitzero"`
	// Installed is when the Windows that runs was installed; an upgrade sets it anew.
	Installed time.Time `json:"installed,omitzero"`
	Reports   [][]byte  `json:"reports,omitempty"` // CompatData_*.xml of the last look
	Unseen    []Unseen  `json:"unseen,omitempty"`
}

// Bounds of the reports in an answer.
const (
	MaxSetupReports = 8
	MaxSetupReport  = 256 << 10 // bytes of one; what is longer is left out
)

// UnpackedMedia is the name of the folder that media are unpacked to, beside the file
// that they come in. No other folder is ever unpacked to.
const UnpackedMedia = "updoc-media"

// UnpackSetup has DISM unpack setup's own files, which are the first image of the file
// that the Media Creation Tool fetches, to a folder.
// learn.microsoft.com: "DISM Image Management Command-Line Options".
func UnpackSetup(esd, folder string) Change {
	return Change{Kind: Run, Path: "dism", Args: []string{"/Apply-Image", "/ImageFile:" + esd, "/Index:1", "/ApplyDir:" + folder}}
}

// UnpackImage has DISM put one Windows of that file where setup looks for it.
func UnpackImage(esd string, index int, folder string) Change {
	return Change{Kind: Run, Path: "dism", Args: []string{
		"/Export-Image", "/SourceImageFile:" + esd, "/SourceIndex:" + strconv.Itoa(index), `/DestinationImageFile:` + folder + `\sources\install.wim`, "/Compress:max", "/CheckIntegrity",
	}}
}

// mayUnpack reports whether these are arguments of DISM as the two above make them.
func mayUnpack(args []string) bool {
	value := func(i int, name string) string {
		if i >= len(args) || !strings.HasPrefix(args[i], name) {
			return ""
		}
		return args[i][len(name):]
	}
	var esd, folder string
	var want Change
	switch len(args) {
	case len(UnpackSetup("", "").Args):
		esd, folder = value(1, "/ImageFile:"), value(3, "/ApplyDir:")
		want = UnpackSetup(esd, folder)
	case len(UnpackImage("", 0, "").Args):
		esd, folder = value(1, "/SourceImageFile:"), strings.TrimSuffix(value(3, "/DestinationImageFile:"), `\sources\install.wim`)
		index, err := strconv.Atoi(value(2, "/SourceIndex:"))
		if err != nil || index < 2 || index > maxImages {
			return false
		}
		want = UnpackImage(esd, index, folder)
	default:
		return false
	}
	return slices.Equal(args, want.Args) && localPath(esd) && strings.HasSuffix(strings.ToLower(esd), ".esd") &&
		localPath(folder) && strings.HasSuffix(folder, `\`+UnpackedMedia) && len(esd) <= maxSourcePath && len(folder) <= maxSourcePath
}
