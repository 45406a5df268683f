package winhost

import (
	"fmt"

	"updoc/internal/authenticode"
	"updoc/internal/codes"
)

// TrustError is what Windows says of a signature that it does not trust. It wraps the
// HRESULT, and the error of authenticode that means the same if there is one.
type TrustError struct {
	Path string
	Code codes.HRESULT
}

func (e *TrustError) Error() string {
	return fmt.Sprintf("WinVerifyTrust: %v", e.Code)
}

// Unwrap gives the HRESULT and what it means.
func (e *TrustError) Unwrap() []error {
	out := []error{e.Code}
	if why, ok := trustReasons[e.Code]; ok {
		out = append(out, why)
	}
	return out
}

// trustReasons are the results of WinVerifyTrust that have a meaning of their own here.
// It is a table and never written to. learn.microsoft.com: "WinVerifyTrust function",
// "COM Error Codes (Security and Setup)".
var trustReasons = map[codes.HRESULT]error{
	0x800B0100: authenticode.ErrUnsigned,  // TRUST_E_NOSIGNATURE
	0x80096010: authenticode.ErrDigest,    // TRUST_E_BAD_DIGEST
	0x800B0109: authenticode.ErrRoot,      // CERT_E_UNTRUSTEDROOT
	0x800B010A: authenticode.ErrRoot,      // CERT_E_CHAINING
	0x800B0101: authenticode.ErrExpired,   // CERT_E_EXPIRED
	0x80096005: authenticode.ErrTimestamp, // TRUST_E_TIME_STAMP
	0x80096004: authenticode.ErrForged,    // TRUST_E_CERT_SIGNATURE
	0x80096001: authenticode.ErrMalformed, // TRUST_E_SYSTEM_ERROR
	0x800B0003: authenticode.ErrFormat,    // TRUST_E_SUBJECT_FORM_UNKNOWN
	0x800B0001: authenticode.ErrFormat,    // TRUST_E_PROVIDER_UNKNOWN
	0x800B0111: authenticode.ErrSigner,    // TRUST_E_EXPLICIT_DISTRUST
	0x800B010C: authenticode.ErrSigner,    // CERT_E_REVOKED
}
