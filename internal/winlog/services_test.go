package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadServices(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []Service
	}{
		"sc query, english": {
			`
SERVICE_NAME: wuauserv
        TYPE               : 30  WIN32
        STATE              : 1  STOPPED
        WIN32_EXIT_CODE    : 1058  (0x422)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
`,
			[]Service{{Line: 2, Name: "wuauserv", State: 1, Start: -1, Exit: 1058}},
		},
		"sc queryex of all, english": {
			`
SERVICE_NAME: BITS
DISPLAY_NAME: Background Intelligent Transfer Service
        TYPE               : 20  WIN32_SHARE_PROCESS
        STATE              : 4  RUNNING
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_PRESHUTDOWN)
        WIN32_EXIT_CODE    : 0  (0x0)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
        PID                : 4120
        FLAGS              :

SERVICE_NAME: Tcpip
DISPLAY_NAME: TCP/IP Protocol Driver
        TYPE               : 1  KERNEL_DRIVER
        STATE              : 3  STOP_PENDING
                                (NOT_STOPPABLE, NOT_PAUSABLE, IGNORES_SHUTDOWN)
        WIN32_EXIT_CODE    : 1066  (0x42a)
        SERVICE_EXIT_CODE  : 2147942402  (0x80070002)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
`,
			[]Service{
				{Line: 2, Name: "BITS", Display: "Background Intelligent Transfer Service", State: 4, Start: -1, PID: 4120},
				{Line: 14, Name: "Tcpip", Display: "TCP/IP Protocol Driver", State: 3, Start: -1, Exit: 1066, SpecExit: 0x80070002},
			},
		},
		"sc qc, english": {
			`[SC] QueryServiceConfig SUCCESS

SERVICE_NAME: iphlpsvc
        TYPE               : 20  WIN32_SHARE_PROCESS
        START_TYPE         : 2   AUTO_START  (DELAYED)
        ERROR_CONTROL      : 1   NORMAL
        BINARY_PATH_NAME   : C:\Windows\System32\svchost.exe -k NetSvcs -p
        LOAD_ORDER_GROUP   :
        TAG                : 0
        DISPLAY_NAME       : IP Helper
        DEPENDENCIES       : RpcSS
                           : winmgmt
                           : tcpip
        SERVICE_START_NAME : LocalSystem
`,
			[]Service{{
				Line: 3, Name: "iphlpsvc", Display: "IP Helper", State: -1, Start: 2, Delayed: true,
				Binary: `C:\Windows\System32\svchost.exe -k NetSvcs -p`, Account: "LocalSystem", DependsOn: []string{"RpcSS", "winmgmt", "tcpip"},
			}},
		},
		"query and qc of one service, german prompt": {
			"C:\\Windows\\system32>sc query wuauserv\n\nSERVICE_NAME: wuauserv\n        TYPE               : 30  WIN32\n        STATE              : 1  STOPPED\n" +
				"        WIN32_EXIT_CODE    : 0  (0x0)\n        SERVICE_EXIT_CODE  : 0  (0x0)\n        CHECKPOINT         : 0x0\n        WAIT_HINT          : 0x0\n\n" +
				"C:\\Windows\\system32>sc qc wuauserv\n[SC] QueryServiceConfig ERFOLG\n\nSERVICE_NAME: wuauserv\n        TYPE               : 20  WIN32_SHARE_PROCESS\n" +
				"        START_TYPE         : 4   DISABLED\n        ERROR_CONTROL      : 1   NORMAL\n        BINARY_PATH_NAME   : C:\\Windows\\system32\\svchost.exe -k netsvcs -p\n" +
				"        LOAD_ORDER_GROUP   :\n        TAG                : 0\n        DISPLAY_NAME       : Windows Update\n        DEPENDENCIES       : rpcss\n        SERVICE_START_NAME : LocalSystem\n",
			[]Service{{
				Line: 3, Name: "wuauserv", Display: "Windows Update", State: 1, Start: 4,
				Binary: `C:\Windows\system32\svchost.exe -k netsvcs -p`, Account: "LocalSystem", DependsOn: []string{"rpcss"},
			}},
		},
		"sc query, spanish": {
			`
NOMBRE_SERVICIO: BITS
NOMBRE_MOSTRAR : Servicio de transferencia inteligente en segundo plano (BITS)
        TIPO               : 20  WIN32_SHARE_PROCESS
        ESTADO             : 4  RUNNING
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_PRESHUTDOWN)
        CÓD_SALIDA_WIN32   : 0  (0x0)
        CÓD_SALIDA_SERV    : 0  (0x0)
        PUNTO_COMPROB.     : 0x0
        INDICACIÓN_INICIO  : 0x0
        PID                : 996
        MARCAS         :
`,
			[]Service{{Line: 2, Name: "BITS", Display: "Servicio de transferencia inteligente en segundo plano (BITS)", State: 4, Start: -1, PID: 996}},
		},
		"sc qc, spanish": {
			`[SC] QueryServiceConfig CORRECTO

NOMBRE_SERVICIO: wuauserv
        TIPO               : 30  WIN32
        TIPO_INICIO        : 3   DEMAND_START
        CONTROL_ERROR      : 1   NORMAL
        NOMBRE_RUTA_BINARIO: C:\WINDOWS\system32\svchost.exe -k netsvcs -p
        GRUPO_ORDEN_CARGA  :
        ETIQUETA           : 0
        NOMBRE_MOSTRAR     : Windows Update
        DEPENDENCIAS       : rpcss
                           : http
        NOMBRE_INICIO_SERVICIO: LocalSystem
`,
			[]Service{{
				Line: 3, Name: "wuauserv", Display: "Windows Update", State: -1, Start: 3,
				Binary: `C:\WINDOWS\system32\svchost.exe -k netsvcs -p`, Account: "LocalSystem", DependsOn: []string{"rpcss", "http"},
			}},
		},
		"sc query, russian": {
			`
Имя_службы: cryptsvc
        Тип                : 30  WIN32
        Состояние          : 2  START_PENDING
                                (NOT_STOPPABLE, NOT_PAUSABLE, IGNORES_SHUTDOWN)
        Код_выхода_Win32   : 0  (0x0)
        Код_выхода_службы  : 0  (0x0)
        Контрольная_точка  : 0x1
        Ожидание           : 0x7d0
`,
			[]Service{{Line: 2, Name: "cryptsvc", State: 2, Start: -1}},
		},
		"a translated constant gives way to its number": {
			"DIENSTNAME: Spooler\n        TYP                : 110  WIN32_OWN_PROCESS (interactive)\n        STATUS             : 4  WIRD_AUSGEFÜHRT\n        WIN32_ENDECODE     : 0  (0x0)\n",
			[]Service{{Line: 1, Name: "Spooler", State: 4, Start: -1}},
		},
		"missing, english": {
			"C:\\>sc query wuauserv\n[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\n\nThe specified service does not exist as an installed service.\n",
			[]Service{{Line: 2, Name: "wuauserv", State: -1, Start: -1, Err: 1060, Missing: true}},
		},
		"missing, german": {
			oem850("C:\\>sc qc bits\n[SC] OpenService FEHLER 1060:\n\nDer angegebene Dienst ist kein installierter Dienst.\n"),
			[]Service{{Line: 2, Name: "bits", State: -1, Start: -1, Err: 1060, Missing: true}},
		},
		"missing, russian": {
			"C:\\>sc.exe queryex wuauserv\n[SC] EnumQueryServicesStatus:OpenService: ошибка: 1060:\n\nУказанная служба не установлена.\n",
			[]Service{{Line: 2, Name: "wuauserv", State: -1, Start: -1, Err: 1060, Missing: true}},
		},
		"sc query, russian, code page 866": {
			oem866("\nИмя_службы: cryptsvc \n        Тип                : 30  WIN32  \n        Состояние          : 1  STOPPED \n        Код_выхода_Win32   : 1077  (0x435)\n        Код_выхода_службы  : 0  (0x0)\n        Контрольная_точка  : 0x0\n        Ожидание           : 0x0\n"),
			[]Service{{Line: 2, Name: "cryptsvc", State: 1, Start: -1, Exit: 1077}},
		},
		"denied, french, no command shown": {
			"[SC] OpenService échec(s) 5 :\n\nAccès refusé.\n",
			[]Service{{Line: 1, State: -1, Start: -1, Err: 5}},
		},
		"net start, disabled, german": {
			"C:\\>net start wuauserv\nSystemfehler 1058 aufgetreten.\n\nDer angegebene Dienst kann nicht gestartet werden.\n",
			[]Service{{Line: 2, Name: "wuauserv", State: -1, Start: -1, Err: 1058}},
		},
		"net start, missing, spanish": {
			"C:\\>net start wuauserv\nEl nombre de servicio no es válido.\n\nPuede obtener más ayuda con el comando NET HELPMSG 2185.\n",
			[]Service{{Line: 4, Name: "wuauserv", State: -1, Start: -1, Err: 2185, Missing: true}},
		},
		"Get-Service table": {
			"PS C:\\> Get-Service wuauserv, bits\n\nStatus   Name               DisplayName\n------   ----               -----------\nStopped  wuauserv           Windows Update\nRunning  bits               Background Intelligent Transfer Ser...\nStopped  AVeryLongServic... Something\n",
			[]Service{
				{Line: 5, Name: "wuauserv", Display: "Windows Update", State: 1, Start: -1},
				{Line: 6, Name: "bits", Display: "Background Intelligent Transfer Ser...", State: 4, Start: -1},
			},
		},
		"Get-Service chosen columns": {
			"\nName      StartType  Status\n----      ---------  ------\nwuauserv   Disabled Stopped\nUsoSvc    Automatic Running\n",
			[]Service{
				{Line: 4, Name: "wuauserv", State: 1, Start: 4},
				{Line: 5, Name: "UsoSvc", State: 4, Start: 2},
			},
		},
		"Get-Service list": {
			"Name                : BITS\nDisplayName         : Intelligenter Hintergrundübertragungsdienst\nStatus              : Running\nDependentServices   : {}\n" +
				"ServicesDependedOn  : {RpcSs, EventSystem}\nStartType           : Manual\nServiceType         : Win32ShareProcess\n\nName                : DoSvc\nStatus              : Stopped\n",
			[]Service{
				{Line: 1, Name: "BITS", Display: "Intelligenter Hintergrundübertragungsdienst", State: 4, Start: 3, DependsOn: []string{"RpcSs", "EventSystem"}},
				{Line: 9, Name: "DoSvc", State: 1, Start: -1},
			},
		},
		"wmic list": {
			"\r\r\n\r\r\nExitCode=1077\r\r\nName=wuauserv\r\r\nProcessId=0\r\r\nStartMode=Disabled\r\r\nState=Stopped\r\r\n",
			[]Service{{Line: 3, Name: "wuauserv", State: 1, Start: 4, Exit: 1077}},
		},
		"wmic table": {
			"Name      StartMode  State    \nBITS      Manual     Running  \nwuauserv  Auto       Stopped  \n",
			[]Service{{Line: 2, Name: "BITS", State: 4, Start: 3}, {Line: 3, Name: "wuauserv", State: 1, Start: 2}},
		},
		"net start list, german": {
			"Folgende Windows-Dienste sind gestartet:\n\n   Anwendungsinformationen\n   DHCP-Client\n   Kryptografiedienste\n   Plug & Play\n   Windows Update\n\nDer Befehl wurde erfolgreich ausgeführt.\n",
			[]Service{
				{Line: 3, Display: "Anwendungsinformationen", State: 4, Start: -1},
				{Line: 4, Display: "DHCP-Client", State: 4, Start: -1},
				{Line: 5, Display: "Kryptografiedienste", State: 4, Start: -1},
				{Line: 6, Display: "Plug & Play", State: 4, Start: -1},
				{Line: 7, Display: "Windows Update", State: 4, Start: -1},
			},
		},
		"prose": {"My state: 4 days without updates\nThe error is: 1060 maybe\nType: laptop\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadServices(strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			got, err = ReadServices(strings.NewReader(utf16LE("\uFEFF" + crlf(c.in))))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.in, "\r") || !utf8Text(c.in) {
				return
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("as UTF-16 (-want +got):\n%s", d)
			}
		})
	}
}

func FuzzReadServices(f *testing.F) {
	f.Add("SERVICE_NAME: a\n        TYPE               : 30  WIN32\n        STATE              : 1  STOPPED\n")
	f.Add("NOMBRE_SERVICIO: a\n TIPO : 30  WIN32\n TIPO_INICIO : 3 DEMAND_START\n X : 1 NORMAL\n")
	f.Add("[SC] OpenService FAILED 1060:\n")
	f.Add("Name      StartMode  State    \nBITS      Manual     Running  \n")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ReadServices(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range got {
			if v.State < -1 || v.State > 7 || v.Start < -1 || v.Start > 4 || v.Line < 1 {
				t.Fatalf("out of range: %+v", v)
			}
		}
	})
}

func BenchmarkReadServices(b *testing.B) {
	const one = "SERVICE_NAME: svcNNN\r\nDISPLAY_NAME: Service NNN\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        STATE              : 4  RUNNING\r\n                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_PRESHUTDOWN)\r\n" +
		"        WIN32_EXIT_CODE    : 0  (0x0)\r\n        SERVICE_EXIT_CODE  : 0  (0x0)\r\n        CHECKPOINT         : 0x0\r\n        WAIT_HINT          : 0x0\r\n\r\n"
	text := strings.Repeat(one, 300)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ReadServices(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
