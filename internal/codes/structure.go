package codes

// Structure is what the bits of an HRESULT say, whether or not the table
// knows the code.
type Structure struct {
	HRESULT      HRESULT
	Failed       bool
	Customer     bool   // C bit: defined outside Microsoft
	Severity     string // "success", "error"; of an NTSTATUS also "informational", "warning"
	Facility     uint16
	FacilityName string // "WINDOWSUPDATE", "WIN32", ...; "" if not known
	Code         uint16

	Win32    uint32 // the wrapped Win32 error, 0 if none
	NTSTATUS uint32 // the NTSTATUS that the code is or wraps, 0 if none
	JET      int32  // the negative ESE error wrapped in 0xC8000000, 0 if none
	HTTP     int    // the HTTP status wrapped in facility HTTP, 0 if none
}

// Decode reads a code by its structure alone.
func Decode(h HRESULT) Structure {
	s := Structure{HRESULT: h, Failed: h.Failed(), Customer: h&customerBit != 0, Severity: "success", Facility: uint16(h>>16) & 0x7FF, Code: uint16(h)}
	if s.Failed {
		s.Severity = "error"
	}
	if h>>16 == 0x8007 {
		s.Win32 = uint32(s.Code)
	}
	return s
}
