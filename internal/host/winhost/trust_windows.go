package winhost

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/codes"
)

// Trusted asks Windows whether it trusts the signature of a file: its roots, its lists
// of what was revoked or distrusted, as far as they are on the machine already. nil is
// yes; no is a [TrustError].
//
// learn.microsoft.com: "WinVerifyTrust function", "WINTRUST_DATA structure".
func Trusted(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	file := &windows.WinTrustFileInfo{Size: uint32(unsafe.Sizeof(windows.WinTrustFileInfo{})), FilePath: name}
	data := &windows.WinTrustData{
		Size:     uint32(unsafe.Sizeof(windows.WinTrustData{})),
		UIChoice: windows.WTD_UI_NONE,
		// A machine that cannot update may have no network either: what is known of
		// revocation is used, and nothing is fetched.
		RevocationChecks:                windows.WTD_REVOKE_WHOLECHAIN,
		ProvFlags:                       windows.WTD_CACHE_ONLY_URL_RETRIEVAL,
		UnionChoice:                     windows.WTD_CHOICE_FILE,
		FileOrCatalogOrBlobOrSgnrOrCert: unsafe.Pointer(file),
		StateAction:                     windows.WTD_STATEACTION_VERIFY,
	}
	action := windows.WINTRUST_ACTION_GENERIC_VERIFY_V2
	verr := windows.WinVerifyTrustEx(windows.InvalidHWND, &action, data)
	data.StateAction = windows.WTD_STATEACTION_CLOSE
	cerr := windows.WinVerifyTrustEx(windows.InvalidHWND, &action, data)
	switch code := trustCode(verr); {
	case verr == nil:
		return nil
	case code == revocationOffline, code == revocationUnknown:
		return nil // nobody says that it was revoked
	case code.Failed():
		return &TrustError{path, code}
	}
	return fmt.Errorf("verify %s: %w", path, errors.Join(verr, cerr))
}

// Unchanged says whether a program that bears a signature is as it was signed. One that
// bears none, or whose signer Windows does not know or trust, is not refused for that:
// on a machine that cannot update, roots may be missing.
func Unchanged(path string) error {
	const badDigest codes.HRESULT = 0x80096010 // TRUST_E_BAD_DIGEST
	err := Trusted(path)
	var no *TrustError
	if errors.As(err, &no) && no.Code == badDigest {
		return fmt.Errorf("%s was changed after it was signed: %w", path, err)
	}
	return nil
}

// Where no list of what was revoked is at hand: CRYPT_E_REVOCATION_OFFLINE and
// CRYPT_E_NO_REVOCATION_CHECK.
const (
	revocationOffline codes.HRESULT = 0x80092013
	revocationUnknown codes.HRESULT = 0x80092012
)

// trustCode is the result of WinVerifyTrust, which x/sys gives as an error; 0 if it is
// another one.
func trustCode(err error) codes.HRESULT {
	var errno windows.Errno
	if errors.As(err, &errno) {
		return codes.HRESULT(uint32(errno))
	}
	return 0
}
