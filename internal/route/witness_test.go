package route

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"updoc/internal/host"
)

func TestJudgeIssuer(t *testing.T) {
	issued := func(by string) []*x509.Certificate {
		return []*x509.Certificate{{Subject: pkix.Name{CommonName: "*.update.microsoft.com"}, Issuer: pkix.Name{CommonName: by}}}
	}
	for _, tt := range []struct {
		name   string
		pinned bool
		chain  []*x509.Certificate
		want   host.Fault
	}{
		{"Microsoft's", true, issued("Microsoft Update Secure Server CA 2.1"), ""},
		{"an inspecting proxy's", true, issued("Fabrikam Web Gateway"), host.FaultIssuer},
		{"an inspecting proxy's, for a caller that accepts it", false, issued("Fabrikam Web Gateway"), ""},
		{"none", true, nil, ""},
	} {
		if got, _ := JudgeIssuer(host.Request{Pinned: tt.pinned}, tt.chain); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
