package winhost

import (
	"encoding/hex"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
)

var dllTrust = windows.NewLazySystemDLL("wintrust.dll")

// catalogInfo is WINTRUST_CATALOG_INFO: a file whose hash stands in a catalogue that is
// signed. learn.microsoft.com: "WINTRUST_CATALOG_INFO structure".
type catalogInfo struct {
	Size        uint32
	Version     uint32
	CatalogFile *uint16
	MemberTag   *uint16
	MemberFile  *uint16
	File        windows.Handle
	Hash        *byte
	HashSize    uint32
	Context     uintptr
	Admin       windows.Handle
}

// foundCatalog is CATALOG_INFO. learn.microsoft.com: "CATALOG_INFO structure".
type foundCatalog struct {
	Size uint32
	File [windows.MAX_PATH]uint16
}

// providerCert is the beginning of CRYPT_PROVIDER_CERT.
type providerCert struct {
	Size uint32
	Cert *windows.CertContext
}

// signerOf says how a file is signed, and by whom: the common name and the organisation
// of the signer's certificate. Most files of Windows have no signature of their own; a
// catalogue names their hash.
func signerOf(p string) (signed, name, org string) {
	path, err := windows.UTF16PtrFromString(p)
	if err != nil {
		return "", "", ""
	}
	file := &windows.WinTrustFileInfo{Size: uint32(unsafe.Sizeof(windows.WinTrustFileInfo{})), FilePath: path}
	code, name, org := verify(windows.WTD_CHOICE_FILE, unsafe.Pointer(file))
	switch {
	case code == 0:
		return host.SignedInside, name, org
	case !unsignedFile(code):
		return host.SignedBadly, name, org
	}
	h, err := windows.CreateFile(path, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return "", "", "" // it cannot be hashed, and so not looked up
	}
	defer windows.CloseHandle(h)
	looked := false
	for _, algorithm := range []string{"SHA256", "SHA1"} {
		code, name, org, ok := inCatalog(h, path, algorithm)
		looked = looked || ok
		if ok && code == 0 && name != "" {
			return host.SignedCatalog, name, org
		}
	}
	if !looked {
		return "", "", ""
	}
	return host.SignedNot, "", ""
}

// Results of WinVerifyTrust that say that there is no signature in a file, and not that
// one is bad. learn.microsoft.com: "Example C Program: Verifying the Signature of a PE File".
func unsignedFile(code codes.HRESULT) bool {
	const (
		noSignature     codes.HRESULT = 0x800B0100 // TRUST_E_NOSIGNATURE
		subjectUnknown  codes.HRESULT = 0x800B0003 // TRUST_E_SUBJECT_FORM_UNKNOWN
		providerUnknown codes.HRESULT = 0x800B0001 // TRUST_E_PROVIDER_UNKNOWN
	)
	return code == noSignature || code == subjectUnknown || code == providerUnknown
}

// verify checks a signature and names its signer. Nothing is fetched: a machine that
// cannot update may have no network.
func verify(choice uint32, subject unsafe.Pointer) (code codes.HRESULT, name, org string) {
	data := &windows.WinTrustData{
		Size: uint32(unsafe.Sizeof(windows.WinTrustData{})), UIChoice: windows.WTD_UI_NONE, RevocationChecks: windows.WTD_REVOKE_NONE,
		ProvFlags: windows.WTD_CACHE_ONLY_URL_RETRIEVAL | windows.WTD_REVOCATION_CHECK_NONE, UnionChoice: choice,
		FileOrCatalogOrBlobOrSgnrOrCert: subject, StateAction: windows.WTD_STATEACTION_VERIFY,
	}
	action := windows.WINTRUST_ACTION_GENERIC_VERIFY_V2
	err := windows.WinVerifyTrustEx(windows.InvalidHWND, &action, data)
	if err != nil {
		if code = trustCode(err); code == 0 {
			code = unexpected
		}
	}
	name, org = signerIn(data.StateData)
	data.StateAction = windows.WTD_STATEACTION_CLOSE
	_ = windows.WinVerifyTrustEx(windows.InvalidHWND, &action, data) // there is nothing more to be done with it
	return code, name, org
}

// signerIn names the first signer of a signature that was verified.
// learn.microsoft.com: "WTHelperGetProvSignerFromChain function".
func signerIn(state windows.Handle) (name, org string) {
	if state == 0 {
		return "", ""
	}
	provider, _ := invoke(dllTrust, "WTHelperProvDataFromStateData", uintptr(state))
	if provider == 0 {
		return "", ""
	}
	signer, _ := invoke(dllTrust, "WTHelperGetProvSignerFromChain", provider, 0, 0, 0)
	if signer == 0 {
		return "", ""
	}
	r, _ := invoke(dllTrust, "WTHelperGetProvCertFromChain", signer, 0)
	if r == 0 {
		return "", ""
	}
	cert := *(**providerCert)(unsafe.Pointer(&r)) // Windows' memory, which stays until the state is closed
	if cert.Cert == nil {
		return "", ""
	}
	return nameIn(cert.Cert, "2.5.4.3"), nameIn(cert.Cert, "2.5.4.10") // common name, organisation
}

// nameIn returns an attribute of a certificate's subject.
func nameIn(c *windows.CertContext, oid string) string {
	const attribute = 3 // CERT_NAME_ATTR_TYPE
	id, err := windows.BytePtrFromString(oid)
	if err != nil {
		return ""
	}
	buf := make([]uint16, 512)
	n := windows.CertGetNameString(c, attribute, 0, unsafe.Pointer(id), &buf[0], uint32(len(buf)))
	if n <= 1 || int(n) > len(buf) {
		return ""
	}
	return strings.TrimSpace(windows.UTF16ToString(buf[:n]))
}

// inCatalog looks a file's hash up in the catalogues of Windows; ok is false if nobody
// could look. learn.microsoft.com: "CryptCATAdminEnumCatalogFromHash function".
func inCatalog(file windows.Handle, path *uint16, algorithm string) (code codes.HRESULT, name, org string, ok bool) {
	alg, err := windows.UTF16PtrFromString(algorithm)
	if err != nil {
		return 0, "", "", false
	}
	var admin windows.Handle
	if r, _ := invoke(dllTrust, "CryptCATAdminAcquireContext2", uintptr(unsafe.Pointer(&admin)), 0, uintptr(unsafe.Pointer(alg)), 0, 0); uint32(r) == 0 {
		return 0, "", "", false
	}
	defer invoke(dllTrust, "CryptCATAdminReleaseContext", uintptr(admin), 0)
	hash := make([]byte, 64)
	n := uint32(len(hash))
	if r, _ := invoke(dllTrust, "CryptCATAdminCalcHashFromFileHandle2", uintptr(admin), uintptr(file), uintptr(unsafe.Pointer(&n)), uintptr(unsafe.Pointer(&hash[0])), 0); uint32(r) == 0 || n == 0 || int(n) > len(hash) {
		return 0, "", "", false
	}
	hash = hash[:n]
	found, _ := invoke(dllTrust, "CryptCATAdminEnumCatalogFromHash", uintptr(admin), uintptr(unsafe.Pointer(&hash[0])), uintptr(n), 0, 0)
	if found == 0 {
		return 0, "", "", true
	}
	defer invoke(dllTrust, "CryptCATAdminReleaseCatalogContext", uintptr(admin), found, 0)
	where := foundCatalog{Size: uint32(unsafe.Sizeof(foundCatalog{}))}
	if r, _ := invoke(dllTrust, "CryptCATCatalogInfoFromContext", found, uintptr(unsafe.Pointer(&where)), 0); uint32(r) == 0 {
		return 0, "", "", false
	}
	tag, err := windows.UTF16PtrFromString(strings.ToUpper(hex.EncodeToString(hash)))
	if err != nil {
		return 0, "", "", false
	}
	info := &catalogInfo{
		Size: uint32(unsafe.Sizeof(catalogInfo{})), CatalogFile: &where.File[0], MemberTag: tag, MemberFile: path, File: file,
		Hash: &hash[0], HashSize: n, Admin: admin,
	}
	code, name, org = verify(windows.WTD_CHOICE_CATALOG, unsafe.Pointer(info))
	return code, name, org, true
}
