package winlog

import (
	"io"
	"strconv"
	"strings"
	"unicode"
)

// sc.exe prints one block a service:
//
//	SERVICE_NAME: wuauserv
//	        TYPE               : 30  WIN32
//	        STATE              : 4  RUNNING
//	                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
//	        WIN32_EXIT_CODE    : 0  (0x0)
//	        SERVICE_EXIT_CODE  : 0  (0x0)
//	        CHECKPOINT         : 0x0
//	        WAIT_HINT          : 0x0
//
// (query; queryex adds PID and FLAGS) or TYPE, START_TYPE, ERROR_CONTROL,
// BINARY_PATH_NAME, LOAD_ORDER_GROUP, TAG, DISPLAY_NAME, DEPENDENCIES,
// SERVICE_START_NAME (qc). Spanish, Italian, Russian and others translate the
// keys ("NOMBRE_SERVICIO", "ESTADO", "Состояние"); the numbers, their constants
// and the order are the same everywhere, and those decide.
//
// Get-Service and Win32_Service print property names, which are never
// translated. net start prints display names alone.

// Service states and start types as Windows numbers them; -1 is not known.
// learn.microsoft.com: SERVICE_STATUS, QUERY_SERVICE_CONFIGW.
const (
	ServiceUnknown = -1

	ServiceStopped         = 1
	ServiceStartPending    = 2
	ServiceStopPending     = 3
	ServiceRunning         = 4
	ServiceContinuePending = 5
	ServicePausePending    = 6
	ServicePaused          = 7

	ServiceBootStart   = 0
	ServiceSystemStart = 1
	ServiceAutoStart   = 2
	ServiceDemandStart = 3
	ServiceDisabled    = 4
)

// Service is what a document says of one service. What it does not say is the
// zero value, for State and Start -1.
type Service struct {
	Line      int    // where it begins
	Name      string // as printed; "" if only the display name is shown
	Display   string // translated
	State     int    // 1 to 7, -1 not told
	Start     int    // 0 to 4, -1 not told
	Delayed   bool   // automatic, delayed start
	Exit      uint32 // Win32 exit code of the last run; 1066 means: see SpecExit
	SpecExit  uint32 // service-specific exit code
	PID       uint32
	Binary    string   // command line
	Account   string   // "LocalSystem", `NT AUTHORITY\NetworkService`
	DependsOn []string // service names
	Listed    bool     // sc qtriggerinfo told of what starts and stops it
	Triggers  int      // how many events that are, where Listed
	Err       uint32   // Win32 error that the tool reported instead of an answer, e.g. 1060, 5, 1058
	Missing   bool     // there is no such service (1060, or 2185 of net.exe)
}

// Win32 and NetAPI errors with which sc.exe and net.exe say that a service does
// not exist. [MS-ERREF] 2.2.
const (
	errorServiceDoesNotExist = 1060
	nerrServiceNotInstalled  = 2185
)

// ReadServices reads what sc query, sc queryex and sc qc, Get-Service,
// Get-CimInstance Win32_Service, wmic service and net start print, in any
// display language and mixed in one document. A service that is shown more than
// once is merged into one, in the order of first mention.
func ReadServices(r io.Reader) ([]Service, error) {
	lines, err := readDocument(r)
	if err != nil {
		return nil, err
	}
	p := serviceParser{byName: map[string]int{}}
	for i := 0; i < len(lines); i++ {
		if n := p.table(lines, i); n > 0 {
			i += n - 1
			continue
		}
		if n := p.netStart(lines, i); n > 0 {
			i += n - 1
			continue
		}
		p.line(lines, i)
	}
	p.end()
	return p.out, nil
}

type serviceParser struct {
	out    []Service
	byName map[string]int

	cur     *Service // block under construction
	list    bool     // cur is a "Key : value" list of PowerShell or wmic
	step    int      // lines of the sc block that were understood by order
	config  bool     // the block is of sc qc
	depends bool     // the last line belonged to the dependencies
	asked   string   // service that the command line above names
	events  *Service // sc qtriggerinfo was asked of it
}

// field is what a line of a block says.
type field uint8

const (
	fieldNone field = iota
	fieldName
	fieldDisplay
	fieldType
	fieldState
	fieldStart
	fieldErrorControl
	fieldExit
	fieldSpecExit
	fieldCheckpoint
	fieldWaitHint
	fieldPID
	fieldFlags
	fieldBinary
	fieldGroup
	fieldTag
	fieldDepends
	fieldAccount
)

// The English keys of sc.exe, and the property names of Get-Service and
// Win32_Service. A document that uses them is read by them.
var serviceKeys = map[string]field{
	"SERVICE_NAME": fieldName, "DISPLAY_NAME": fieldDisplay, "TYPE": fieldType, "STATE": fieldState,
	"START_TYPE": fieldStart, "ERROR_CONTROL": fieldErrorControl, "BINARY_PATH_NAME": fieldBinary,
	"LOAD_ORDER_GROUP": fieldGroup, "TAG": fieldTag, "DEPENDENCIES": fieldDepends,
	"SERVICE_START_NAME": fieldAccount, "WIN32_EXIT_CODE": fieldExit, "SERVICE_EXIT_CODE": fieldSpecExit,
	"CHECKPOINT": fieldCheckpoint, "WAIT_HINT": fieldWaitHint, "PID": fieldPID, "FLAGS": fieldFlags,
}

var propertyKeys = map[string]field{
	"NAME": fieldName, "SERVICENAME": fieldName, "DISPLAYNAME": fieldDisplay, "STATUS": fieldState, "STATE": fieldState,
	"STARTTYPE": fieldStart, "STARTUPTYPE": fieldStart, "STARTMODE": fieldStart,
	"EXITCODE": fieldExit, "PROCESSID": fieldPID, "PATHNAME": fieldBinary, "BINARYPATHNAME": fieldBinary,
	"STARTNAME": fieldAccount, "USERNAME": fieldAccount, "SERVICESDEPENDEDON": fieldDepends, "REQUIREDSERVICES": fieldDepends,
}

// What sc.exe prints after the number of a type, and the other constants that
// tell lines apart.
var (
	serviceTypes  = []string{"WIN32", "KERNEL_DRIVER", "FILE_SYSTEM_DRIVER", "USER_", "ADAPTER", "DRIVER", "RECOGNIZER", "ERROR", "UNKNOWN", "PKG_"}
	serviceStates = map[string]int{"STOPPED": 1, "START_PENDING": 2, "STOP_PENDING": 3, "RUNNING": 4, "CONTINUE_PENDING": 5, "PAUSE_PENDING": 6, "PAUSED": 7}
	serviceStarts = map[string]int{"BOOT_START": 0, "SYSTEM_START": 1, "AUTO_START": 2, "DEMAND_START": 3, "DISABLED": 4}

	// Enumerations of .NET and WMI, never translated.
	propertyStates = map[string]int{"stopped": 1, "startpending": 2, "start pending": 2, "stoppending": 3, "stop pending": 3, "running": 4, "continuepending": 5, "continue pending": 5, "pausepending": 6, "pause pending": 6, "paused": 7}
	propertyStarts = map[string]int{"boot": 0, "system": 1, "automatic": 2, "auto": 2, "automaticdelayedstart": 2, "manual": 3, "disabled": 4}

	scFailure  = newPattern(`^\[SC\] [A-Za-z]+(?::[A-Za-z]+)?[:\s].*?\b([0-9]{1,5})\s*[:：]`)
	netHelpMsg = newPattern(`\bNET HELPMSG ([0-9]{4,5})\b`)
	netError   = newPattern(`^\D{0,60}\b(10[5-9][0-9])\b\D*$`)
	scCommand  = newPattern(`(?i)^(?:sc(?:\.exe)?\s+(?:\\\\\S+\s+)?(?:query|queryex|qc|start|stop|config|qtriggerinfo)|net1?(?:\.exe)?\s+(?:start|stop)|get-service(?:\s+-name)?)\s+("[^"]+"|[^\s"|/]+)`)
)

// What sc qtriggerinfo prints, in any language: a line [SC] without a number if it could
// ask, and of each trigger a line that ends in a GUID with a name in brackets.
//
//	[SC] QueryServiceConfig2 SUCCESS
//
//	SERVICE_NAME: w32time
//
//	        START SERVICE
//	          DOMAIN JOINED STATUS         : 1ce20aba-9851-4421-9430-1ddeb766e809 [DOMAIN JOINED]
//
// Where it names none, a sentence says so, which is translated. learn.microsoft.com: "Service Trigger Events".
var triggerLine = newPattern(`:\s*[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\s*\[`)

// command notes what a command line asks for.
func (p *serviceParser) command(line int, text string) {
	p.end()
	p.asked = ""
	m := scCommand.FindStringSubmatch(text)
	if m == nil {
		return
	}
	p.asked = strings.Trim(m[1], `"`)
	if strings.Contains(strings.ToLower(text), "qtriggerinfo") {
		p.events = &Service{Line: line, Name: p.asked, State: ServiceUnknown, Start: ServiceUnknown}
	}
}

// event reads a line of what sc qtriggerinfo prints.
func (p *serviceParser) event(t string) {
	switch {
	case strings.HasPrefix(t, "[SC] QueryServiceConfig2") && !strings.ContainsAny(strings.TrimPrefix(t, "[SC] QueryServiceConfig2"), "0123456789"):
		p.events.Listed = true
	case triggerLine.MatchString(t):
		p.events.Triggers++
	}
}

func (p *serviceParser) begin(line int, name string) {
	p.end()
	p.cur = &Service{Line: line, Name: name, State: ServiceUnknown, Start: ServiceUnknown}
	p.step, p.config, p.depends, p.list = 0, false, false, false
}

// end files the block under construction, merging it with an earlier one.
func (p *serviceParser) end() {
	if s := p.events; s != nil {
		if p.events = nil; s.Listed {
			p.add(*s)
		}
	}
	if p.cur == nil {
		return
	}
	s := *p.cur
	p.cur = nil
	p.add(s)
}

func (p *serviceParser) add(s Service) {
	s.Missing = s.Missing || s.Err == errorServiceDoesNotExist || s.Err == nerrServiceNotInstalled
	key := strings.ToLower(s.Name)
	i, seen := p.byName[key]
	if s.Name == "" || !seen {
		if s.Name != "" {
			p.byName[key] = len(p.out)
		}
		p.out = append(p.out, s)
		return
	}
	merge(&p.out[i], s)
}

// merge lets a later answer add to an earlier one, and overrule it where the
// two differ.
func merge(into *Service, s Service) {
	if s.Display != "" {
		into.Display = s.Display
	}
	if s.State != ServiceUnknown {
		into.State, into.Exit, into.SpecExit, into.PID = s.State, s.Exit, s.SpecExit, s.PID
	}
	if s.Start != ServiceUnknown {
		into.Start, into.Delayed = s.Start, s.Delayed
	}
	if s.Binary != "" {
		into.Binary = s.Binary
	}
	if s.Account != "" {
		into.Account = s.Account
	}
	if s.DependsOn != nil {
		into.DependsOn = s.DependsOn
	}
	if s.Err != 0 {
		into.Err = s.Err
	}
	if s.Listed {
		into.Listed, into.Triggers = true, s.Triggers
	}
	into.Missing = into.Missing || s.Missing
}

func (p *serviceParser) line(lines []string, i int) {
	line := lines[i]
	t := strings.TrimSpace(line)
	if t == "" {
		if p.events == nil && (p.list || p.cur != nil && p.step == 0) {
			p.end()
		}
		return
	}
	if command, ok := afterPrompt(t); ok {
		p.command(i+1, command)
		return
	}
	if scCommand.MatchString(t) && !strings.Contains(t, ":") {
		p.command(i+1, t)
		return
	}
	if p.events != nil && (p.events.Listed || strings.HasPrefix(t, "[SC] QueryServiceConfig2")) {
		p.event(t)
		return
	}
	if p.failure(i+1, t) {
		return
	}

	key, value, colon := cutColon(t)
	if !colon {
		if k, v, ok := strings.Cut(t, "="); ok && wmicKey(k) {
			p.property(i+1, k, v)
		}
		return // state flags in brackets, titles, sentences
	}
	upper := strings.ToUpper(key)
	if f, ok := serviceKeys[upper]; ok && !(p.list && propertyKeys[upper] != fieldNone) {
		p.apply(i+1, f, value)
		return
	}
	if f, ok := propertyKeys[upper]; ok && (p.list || f == fieldName) && (p.cur == nil || p.list) {
		p.property(i+1, key, value)
		return
	}
	if p.list {
		return
	}
	if f := p.byShape(lines, i, key, value); f != fieldNone {
		p.apply(i+1, f, value)
	}
}

func wmicKey(k string) bool {
	_, ok := propertyKeys[strings.ToUpper(strings.TrimSpace(k))]
	return ok
}

// failure reads the forms in which sc.exe and net.exe say no.
func (p *serviceParser) failure(line int, t string) bool {
	var number string
	switch {
	case strings.HasPrefix(t, "[SC]"):
		m := scFailure.FindStringSubmatch(t)
		if m == nil {
			return true // "[SC] QueryServiceConfig SUCCESS"
		}
		number = m[1]
	case netHelpMsg.MatchString(t):
		number = netHelpMsg.FindStringSubmatch(t)[1]
	case p.asked != "" && p.cur == nil && netError.MatchString(t):
		number = netError.FindStringSubmatch(t)[1] // "System error 1058 has occurred."
	default:
		return false
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return true
	}
	p.end()
	p.add(Service{Line: line, Name: p.asked, State: ServiceUnknown, Start: ServiceUnknown, Err: uint32(n)})
	return true
}

// byShape tells what a line with a translated key says, from its value and from
// what came before it in the block.
func (p *serviceParser) byShape(lines []string, i int, key, value string) field {
	number, constant := numberAndConstant(value)
	// Keys have no blanks. A no-break space is a letter of a code page read wrongly.
	if strings.ContainsAny(key, " \t") || key == "" && !p.depends {
		return fieldNone
	}
	switch {
	case number >= 0 && isServiceType(constant):
		if p.cur == nil {
			return fieldNone
		}
		return fieldType
	case p.cur == nil || p.step == 0 && p.cur.Display == "" && !strings.HasPrefix(lines[i], " "):
		// A name stands alone at the start of a line; the block below it proves it.
		if isSpaceAt(lines[i], 0) || value == "" || !blockFollows(lines, i) {
			return fieldNone
		}
		if p.cur != nil {
			return fieldDisplay
		}
		return fieldName
	}
	if p.step == 1 {
		if _, ok := serviceStates[constant]; ok {
			return fieldState
		}
		if _, ok := serviceStarts[constant]; ok {
			return fieldStart
		}
		if number < 0 {
			return fieldNone
		}
		if nextHasExitCode(lines, i) {
			return fieldState
		}
		return fieldStart
	}
	order := []field{fieldExit, fieldSpecExit, fieldCheckpoint, fieldWaitHint, fieldPID, fieldFlags}
	if p.config {
		order = []field{fieldErrorControl, fieldBinary, fieldGroup, fieldTag, fieldDisplay, fieldDepends, fieldAccount}
		if key == "" && p.depends {
			return fieldDepends
		}
	}
	if at := p.step - 2; at >= 0 && at < len(order) {
		return order[at]
	}
	return fieldNone
}

func isSpaceAt(s string, i int) bool { return i < len(s) && isSpace(s[i]) }

// blockFollows reports that one of the next two lines is the TYPE line of a block.
func blockFollows(lines []string, i int) bool {
	for _, next := range lines[i+1 : min(i+3, len(lines))] {
		if _, v, ok := cutColon(next); ok {
			if n, c := numberAndConstant(v); n >= 0 && isServiceType(c) {
				return true
			}
		}
	}
	return false
}

func nextHasExitCode(lines []string, i int) bool {
	for _, next := range lines[i+1 : min(i+3, len(lines))] {
		if _, v, ok := cutColon(next); ok && strings.Contains(v, "(0x") {
			return true
		}
	}
	return false
}

// numberAndConstant splits "4  RUNNING " into 4 and "RUNNING"; -1 without a number.
// The number of a type is hexadecimal.
func numberAndConstant(value string) (int, string) {
	f := strings.Fields(value)
	if len(f) == 0 {
		return -1, ""
	}
	n, err := strconv.ParseUint(f[0], 16, 31)
	if err != nil {
		return -1, ""
	}
	if len(f) == 1 {
		return int(n), ""
	}
	return int(n), strings.ToUpper(f[1])
}

func isServiceType(constant string) bool {
	for _, t := range serviceTypes {
		if strings.HasPrefix(constant, t) {
			return true
		}
	}
	return false
}

// apply stores one line of an sc block.
func (p *serviceParser) apply(line int, f field, value string) {
	if f == fieldName {
		p.begin(line, value)
		return
	}
	if p.cur == nil {
		return
	}
	s := p.cur
	p.depends = f == fieldDepends
	if f != fieldDisplay || p.config {
		p.step++
	}
	number, constant := numberAndConstant(value)
	switch f {
	case fieldDisplay:
		s.Display = value
	case fieldState:
		s.State = ServiceUnknown
		if v, ok := serviceStates[constant]; ok {
			s.State = v
		} else if number >= ServiceStopped && number <= ServicePaused {
			s.State = number
		}
	case fieldStart:
		p.config = true
		if v, ok := serviceStarts[constant]; ok {
			s.Start = v
		} else if number >= ServiceBootStart && number <= ServiceDisabled {
			s.Start = number
		}
		s.Delayed = s.Start == ServiceAutoStart && strings.Contains(value, "(") // "2   AUTO_START  (DELAYED)"
	case fieldExit:
		s.Exit = leadingNumber(value)
	case fieldSpecExit:
		s.SpecExit = leadingNumber(value)
	case fieldPID:
		s.PID = leadingNumber(value)
	case fieldBinary:
		s.Binary = value
	case fieldAccount:
		s.Account = value
	case fieldDepends:
		if s.DependsOn == nil {
			s.DependsOn = []string{}
		}
		if value != "" {
			s.DependsOn = append(s.DependsOn, value)
		}
		if len(s.DependsOn) > 1 {
			p.step-- // a further line of the same field
		}
	}
}

func leadingNumber(value string) uint32 {
	v, _, _ := number([]byte(value))
	return v
}

// property stores one line of a PowerShell list or of wmic /format:list.
func (p *serviceParser) property(line int, key, value string) {
	f := propertyKeys[strings.ToUpper(strings.TrimSpace(key))]
	value = strings.TrimSpace(value)
	if p.cur == nil || !p.list || f == fieldName && p.cur.Name != "" && !strings.EqualFold(p.cur.Name, value) {
		p.begin(line, "")
		p.list = true
	}
	setProperty(p.cur, f, value)
}

func setProperty(s *Service, f field, value string) {
	switch f {
	case fieldName:
		s.Name = value
	case fieldDisplay:
		s.Display = value
	case fieldState:
		if v, ok := propertyStates[strings.ToLower(value)]; ok {
			s.State = v
		}
	case fieldStart:
		low := strings.ToLower(value)
		if v, ok := propertyStarts[low]; ok {
			s.Start, s.Delayed = v, strings.HasSuffix(low, "delayedstart")
		}
	case fieldExit:
		s.Exit = leadingNumber(value)
	case fieldPID:
		s.PID = leadingNumber(value)
	case fieldBinary:
		s.Binary = value
	case fieldAccount:
		s.Account = value
	case fieldDepends:
		s.DependsOn = strings.FieldsFunc(strings.Trim(value, "{}"), func(r rune) bool { return r == ',' || r == ' ' })
	}
}

// table reads a table of Get-Service or wmic: a line of property names, with a
// line of dashes below it unless wmic wrote it. It returns how many lines it used.
func (p *serviceParser) table(lines []string, i int) int {
	columns := tableColumns(lines[i])
	has := map[field]bool{}
	for _, c := range columns {
		has[c.field] = true
	}
	if len(columns) < 2 || !has[fieldName] || !has[fieldState] && !has[fieldStart] {
		return 0
	}
	n := 1
	if i+1 < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[i+1]), "--") {
		n++
	}
	p.end()
	for ; i+n < len(lines); n++ {
		t := strings.TrimSpace(lines[i+n])
		if t == "" || isPrompt(t) {
			if t == "" && n <= 2 {
				continue
			}
			break
		}
		s := Service{Line: i + n + 1, State: ServiceUnknown, Start: ServiceUnknown}
		for k, cell := range tableCells([]rune(lines[i+n]), columns) {
			setProperty(&s, columns[k].field, cell)
		}
		// A row that does not fit the columns says nothing certain.
		if s.Name == "" || strings.ContainsAny(s.Name, " …") || strings.HasSuffix(s.Name, "...") || s.State < 0 && s.Start < 0 {
			continue
		}
		p.add(s)
	}
	return n
}

type column struct {
	at, end int // of the header, in runes
	field   field
}

// tableCells gives every word of a row to the column whose header it touches,
// and one that touches none to the column on its left: PowerShell sets numbers
// and enumerations to the right of a column, text to the left.
func tableCells(row []rune, columns []column) []string {
	cells := make([]string, len(columns))
	for i := 0; i < len(row); {
		if unicode.IsSpace(row[i]) {
			i++
			continue
		}
		start := i
		for i < len(row) && !unicode.IsSpace(row[i]) {
			i++
		}
		to := 0
		for k, c := range columns {
			if c.at <= start || c.at < i {
				to = k
			}
			if start < c.end && c.at < i {
				break
			}
		}
		if cells[to] != "" {
			cells[to] += " "
		}
		cells[to] += string(row[start:i])
	}
	return cells
}

// tableColumns reads a header line; nil unless every word is a property name.
func tableColumns(line string) []column {
	var out []column
	runes := []rune(line)
	for i := 0; i < len(runes); {
		if unicode.IsSpace(runes[i]) {
			i++
			continue
		}
		start := i
		for i < len(runes) && !unicode.IsSpace(runes[i]) {
			i++
		}
		f, ok := propertyKeys[strings.ToUpper(string(runes[start:i]))]
		if !ok && !otherProperty[strings.ToUpper(string(runes[start:i]))] {
			return nil
		}
		out = append(out, column{start, i, f})
		if len(out) > 16 {
			return nil
		}
	}
	return out
}

var otherProperty = map[string]bool{
	"CANPAUSEANDCONTINUE": true, "CANSHUTDOWN": true, "CANSTOP": true, "SERVICETYPE": true, "DEPENDENTSERVICES": true,
	"ACCEPTSTOP": true, "CAPTION": true, "STARTED": true, "MACHINENAME": true, "SITE": true, "CONTAINER": true,
}

// netStart reads the list of net start: a title, a blank line, display names
// indented by three blanks, a blank line, a closing sentence. It returns how
// many lines it used; a shorter or looser list proves nothing and is left.
func (p *serviceParser) netStart(lines []string, i int) int {
	const least = 5
	if !strings.HasSuffix(strings.TrimSpace(lines[i]), ":") || isSpaceAt(lines[i], 0) {
		return 0
	}
	n := i + 1
	for n < len(lines) && strings.TrimSpace(lines[n]) == "" && n < i+3 {
		n++
	}
	first := n
	for n < len(lines) && strings.HasPrefix(lines[n], "   ") && len(lines[n]) > 3 && lines[n][3] != ' ' && !strings.Contains(lines[n], " : ") {
		n++
	}
	if n-first < least || n < len(lines) && strings.TrimSpace(lines[n]) != "" {
		return 0
	}
	p.end()
	for k := first; k < n; k++ {
		p.add(Service{Line: k + 1, Display: strings.TrimSpace(lines[k]), State: ServiceRunning, Start: ServiceUnknown})
	}
	return n - i
}
