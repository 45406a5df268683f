package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"

	"updoc/internal/host"
)

// faultOf names what an error of the network means, by its number and type; what
// it says in words differs between systems and languages.
func faultOf(err error) (host.Fault, string) {
	var ne net.Error
	var record tls.RecordHeaderError
	if alert, ok := remoteAlert(err); ok {
		if alert == alertHandshakeFailure || alert == alertProtocolVersion {
			return host.FaultVersion, fmt.Sprintf("TLS alert %d", alert)
		}
		return host.FaultAlert, fmt.Sprintf("TLS alert %d", alert)
	}
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isErrno(err, errnoTimedOut):
		return host.FaultTimeout, ""
	case isErrno(err, errnoRefused):
		return host.FaultRefused, ""
	case isErrno(err, errnoReset):
		return host.FaultReset, ""
	case isErrno(err, errnoBlocked):
		return host.FaultBlocked, ""
	case isErrno(err, errnoUnreachable):
		return host.FaultUnreachable, ""
	case errors.As(err, &record):
		return host.FaultNotTLS, ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return host.FaultClosed, ""
	case errors.As(err, &ne) && ne.Timeout():
		return host.FaultTimeout, ""
	}
	return host.FaultReset, ""
}

// Alerts that mean "we have nothing in common". RFC 8446 section 6.2.
const (
	alertHandshakeFailure = 40
	alertProtocolVersion  = 70
)

// remoteAlert returns the number of the alert that the other side sent. crypto/tls
// keeps the number in a type of its own that only reflection sees.
func remoteAlert(err error) (uint64, bool) {
	var oe *net.OpError
	if !errors.As(err, &oe) || oe.Op != "remote error" || oe.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(oe.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return v.Uint(), true
}
