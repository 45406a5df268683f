package lab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/durable"
)

// Where Windows writes what it did.
const (
	agentLog     = `C:\Windows\WindowsUpdate.log`
	reportingLog = softwareDistribution + `\ReportingEvents.log`
	servicingLog = `C:\Windows\Logs\CBS\CBS.log`
	systemLog    = `C:\Windows\System32\winevt\Logs\System.txt`
	appLog       = `C:\Windows\System32\winevt\Logs\Application.txt`
)

// trace notes a line of the update agent in the form that Get-WindowsUpdateLog
// gives it. learn.microsoft.com: "Windows Update log files".
func (m *Machine) trace(component, format string, args ...any) {
	at := m.Now().UTC().Format("2006/01/02 15:04:05.0000000")
	m.log = append(m.log, fmt.Sprintf("%s 4316  %-5d %-15s %s", at, 6020+len(component), component, fmt.Sprintf(format, args...)))
}

// flush writes the agent's lines.
func (m *Machine) flush() error {
	lines := m.log
	m.log = nil
	return m.append(agentLog, lines...)
}

// append adds lines to a file of text, which is made where it is missing.
func (m *Machine) append(p string, lines ...string) error {
	if len(lines) == 0 {
		return nil
	}
	at := m.place(p)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	m.crash("log " + p)
	f, err := (durable.OS{}).Append(at)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	err = errors.Join(err, f.Sync(), f.Close(), m.syncFolder(at))
	m.crash("logged " + p)
	return err
}

// report adds a line to ReportingEvents.log.
func (m *Machine) report(number, name string, o offer, h codes.HRESULT, kind, text string) error {
	status := "Success"
	if h.Failed() {
		status = "Failure"
	}
	return m.append(reportingLog, strings.Join([]string{
		"{" + strings.ToUpper(guidOf("event", number, m.Now().String())) + "}",
		strings.Replace(m.Now().UTC().Format("2006-01-02 15:04:05.000-0700"), ".", ":", 1),
		"1", number + " [" + name + "]", "101", "{" + strings.ToUpper(cmp.Or(o.ID, "00000000-0000-0000-0000-000000000000")) + "}",
		"200", strings.TrimPrefix(strings.ToLower(h.String()), "0x"), callerID, status, kind, text,
	}, "\t"))
}

// event adds an event to a log, as text: this machine has no event log files.
func (m *Machine) event(log, source string, id int, level, text string) error {
	channel, _, _ := strings.Cut(log[strings.LastIndexByte(log, '\\')+1:], ".")
	m.mu.Lock()
	n := m.now.Events
	m.now.Events++
	name := m.now.Registry.text(`HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`, "ComputerName")
	m.mu.Unlock()
	return m.append(log,
		fmt.Sprintf("Event[%d]:", n),
		"  Log Name: "+channel,
		"  Source: "+source,
		"  Date: "+m.Now().UTC().Format("2006-01-02T15:04:05.000"),
		fmt.Sprintf("  Event ID: %d", id),
		"  Task: N/A",
		"  Level: "+level,
		"  Opcode: Info",
		"  Keyword: N/A",
		"  User: S-1-5-18",
		"  User Name: NT AUTHORITY\\SYSTEM",
		"  Computer: "+name,
		"  Description: ",
		text,
		"",
	)
}

// servicing adds a line to CBS.log.
func (m *Machine) servicing(level, format string, args ...any) error {
	return m.append(servicingLog, fmt.Sprintf("%s, %-21s CBS    %s", m.Now().UTC().Format(time.DateTime), level, fmt.Sprintf(format, args...)))
}
