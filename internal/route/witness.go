package route

import (
	"crypto/x509"

	"updoc/internal/host"
)

// JudgeIssuer is what a caller that trusts Microsoft's own roots alone makes of a
// chain which the operating system accepts: somebody who opens TLS on the way has
// put a root of his own into its store. The fault is "" where nothing is wrong.
func JudgeIssuer(r host.Request, chain []*x509.Certificate) (host.Fault, string) {
	if !r.Pinned || len(chain) == 0 || microsoftIssuer(chain) {
		return "", ""
	}
	return host.FaultIssuer, "issued by " + issuerName(chain)
}
