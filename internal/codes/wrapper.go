package codes

// Wrapper reports whether h says nothing by itself: it only tells that
// something inside failed. The cause is an inner code, of an update in the
// call, of the installer that ran, or the extend code of Windows Setup, and
// has to be found in the logs.
func (h HRESULT) Wrapper() bool {
	switch h {
	case 0x00240003, // WU_S_UPDATE_ERROR: the call is over, an update in it failed
		0x80240022,                                     // WU_E_ALL_UPDATES_FAILED
		0x80240034,                                     // WU_E_DOWNLOAD_FAILED
		0x8024200B,                                     // WU_E_UH_INSTALLERFAILURE
		0x80070643,                                     // ERROR_INSTALL_FAILURE: half a wrapper, the installer failed; its log says why
		0xC1900101,                                     // MOSETUP_E_SETUP_PLATFORM: the extend code says where
		0x802450FF, 0x802451FF, 0x80247105, 0x80249004: // WU_E_*_UNEXPECTED that break the pattern below
		return true
	}
	return h>>16 == 0x8024 && h&0xFFF == 0xFFF // WU_E_UNEXPECTED, WU_E_PT_UNEXPECTED, ...
}

// Wrapper reports whether c says nothing by itself. The extend code explains a
// result of Windows Setup, so a pair is no wrapper.
func (c Code) Wrapper() bool { return c.Extend == 0 && c.HRESULT.Wrapper() }

// Benign reports whether h, though people take it for an error, says that all
// went well: done already, restart required, service stopped as asked, a
// scan-only run of Windows Setup without a finding. Some of these carry the
// severity bit, because they are Win32 values that are successes
// (ERROR_SUCCESS_REBOOT_REQUIRED, exit code 3010) or a quirk of Setup.
func (h HRESULT) Benign() bool {
	switch h {
	case 0, // S_OK
		0x00240001, // WU_S_SERVICE_STOP
		0x00240002, // WU_S_SELFUPDATE
		0x00240004, // WU_S_MARKED_FOR_DISCONNECT
		0x00240006, // WU_S_ALREADY_INSTALLED
		0x00240007, // WU_S_ALREADY_UNINSTALLED
		0x00240008, // WU_S_ALREADY_DOWNLOADED
		0x0024000A, // WU_S_ALREADY_REVERTED
		0x00242015, // WU_S_UH_INSTALLSTILLPENDING: still at it
		0x00242016, // WU_S_UH_DOWNLOAD_SIZE_CALCULATED
		0x00245001, // WU_S_SIH_NOOP
		0x00246001, // WU_S_DM_ALREADYDOWNLOADING
		0xC1900210: // MOSETUP_E_COMPAT_SCANONLY
		return true
	}
	return h.RestartRequired()
}

// RestartRequired reports whether h says that the work succeeded and that a
// restart has to finish it, or has been started.
func (h HRESULT) RestartRequired() bool {
	switch h {
	case 0x00240005, // WU_S_REBOOT_REQUIRED
		0x80070BC2, // ERROR_SUCCESS_REBOOT_REQUIRED, exit code 3010
		0x80070669: // ERROR_SUCCESS_REBOOT_INITIATED, exit code 1641
		return true
	}
	return false
}
