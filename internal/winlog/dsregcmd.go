package winlog

import (
	"io"
	"strings"

	"updoc/internal/codes"
)

// dsregcmd /status prints boxes "| Device State |" and lines "Key : VALUE". It
// is not translated.
// learn.microsoft.com: "Troubleshoot devices by using the dsregcmd command".

// YesNo is an answer that may be missing.
type YesNo int8

// The answers.
const (
	NotTold YesNo = 0
	Yes     YesNo = 1
	No      YesNo = -1
)

// DeviceRegistration is the output of dsregcmd /status.
type DeviceRegistration struct {
	Known            bool // the document holds such an output
	AzureADJoined    YesNo
	EnterpriseJoined YesNo
	DomainJoined     YesNo
	WorkplaceJoined  YesNo
	AzureADPRT       YesNo // a primary refresh token is there
	DomainName       string
	DeviceID         string
	TenantID         string
	TenantName       string
	MDMURL           string // enrolment address; "" says nothing about an existing enrolment
	Errors           []RegistrationError
	Values           map[string]string // every key, as printed; the last of equal keys
}

// RegistrationError is a failing result among the diagnostic lines.
type RegistrationError struct {
	Line int
	Key  string // "Client ErrorCode", "Attempt Status", ...
	Code codes.HRESULT
}

// ReadDSRegCmd reads the output of dsregcmd /status.
func ReadDSRegCmd(r io.Reader) (DeviceRegistration, error) {
	lines, err := readDocument(r)
	if err != nil {
		return DeviceRegistration{}, err
	}
	d := DeviceRegistration{Values: map[string]string{}}
	for i, line := range lines {
		key, value, ok := cutColon(line)
		if !ok || key == "" || len(key) > 60 || strings.HasPrefix(key, "|") || strings.HasPrefix(key, "+") || len(d.Values) > 1000 {
			continue
		}
		d.Values[key] = value
		switch strings.ToLower(key) {
		case "azureadjoined":
			d.AzureADJoined = yesNo(value)
		case "enterprisejoined":
			d.EnterpriseJoined = yesNo(value)
		case "domainjoined":
			d.DomainJoined = yesNo(value)
		case "workplacejoined":
			d.WorkplaceJoined = yesNo(value)
		case "azureadprt":
			d.AzureADPRT = yesNo(value)
		case "domainname":
			d.DomainName = value
		case "deviceid":
			d.DeviceID = value
		case "tenantid":
			d.TenantID = value
		case "tenantname":
			d.TenantName = value
		case "mdmurl":
			d.MDMURL = value
		}
		for _, m := range codes.Find(value) {
			if m.Failed() && len(d.Errors) < 100 {
				d.Errors = append(d.Errors, RegistrationError{Line: i + 1, Key: key, Code: m.HRESULT})
			}
		}
	}
	d.Known = d.AzureADJoined != NotTold || d.DomainJoined != NotTold
	if !d.Known {
		return DeviceRegistration{}, nil
	}
	return d, nil
}

func yesNo(v string) YesNo {
	switch strings.ToUpper(v) {
	case "YES":
		return Yes
	case "NO":
		return No
	}
	return NotTold
}
