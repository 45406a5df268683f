package codes

// Wrapper reports whether h says nothing by itself: it only tells that
// something inside failed, and the cause is in an inner code (of the update,
// of the installer, of the extend code) that has to be found in the logs.
func (h HRESULT) Wrapper() bool {
	switch h {
	case 0x80240022, 0x8024200B, 0x80240034, 0x00240003, 0xC1900101, 0x80070643:
		return true
	}
	return h>>16 == 0x8024 && h&0xFFF == 0xFFF // WU_E_*_UNEXPECTED
}

// Wrapper reports whether c says nothing by itself. A result of Windows Setup
// is explained by its extend code.
func (c Code) Wrapper() bool { return c.Extend == 0 && c.HRESULT.Wrapper() }

// Benign reports whether h, though people take it for an error, says that all
// went well: restart required, scan-only run without a finding, service
// stopped as asked.
func (h HRESULT) Benign() bool {
	switch h {
	case 0x00240001, 0x00240005, 0xC1900210, 0x80070BC2, 0x80070669:
		return true
	}
	return h == 0
}

// RestartRequired reports whether h says that the work succeeded and a
// restart is needed to finish it (or has been started).
func (h HRESULT) RestartRequired() bool {
	switch h {
	case 0x00240005, 0x80070BC2, 0x80070669:
		return true
	}
	return false
}
