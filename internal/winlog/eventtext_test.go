package winlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	wuClient   = "Microsoft-Windows-WindowsUpdateClient"
	failedText = "Installation Failure: Windows failed to install the following update with error 0x80070002: 2031-02 Update for Fabrikam (KB5990001)."
	failedData = "errorCode=0x80070002; updateTitle=2031-02 Update for Fabrikam (KB5990001)"

	failedXML = `<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">
  <System>
    <Provider Name="Microsoft-Windows-WindowsUpdateClient" Guid="{945a8954-c147-4acd-923f-40c45405a658}" />
    <EventID>20</EventID>
    <Version>1</Version>
    <Level>2</Level>
    <Task>1</Task>
    <Opcode>13</Opcode>
    <Keywords>0x8000000000000028</Keywords>
    <TimeCreated SystemTime="2031-02-03T12:05:06.789000000Z" />
    <EventRecordID>4711</EventRecordID>
    <Correlation />
    <Execution ProcessID="1200" ThreadID="1300" />
    <Channel>System</Channel>
    <Computer>pc.fabrikam.example</Computer>
    <Security UserID="S-1-5-18" />
  </System>
  <EventData>
    <Data Name="errorCode">0x80070002</Data>
    <Data Name="updateTitle">2031-02 Update for Fabrikam (KB5990001)</Data>
    <Data Name="updateRevisionNumber">200</Data>
  </EventData>
</Event>`
	failedXMLFields = failedData + "; updateRevisionNumber=200; _channel=System"
	failedXMLText   = wuClient + "/20 errorCode=0x80070002 updateTitle=2031-02 Update for Fabrikam (KB5990001) updateRevisionNumber=200"
)

// failedEvent is the record of event 20 as a copy without XML gives it.
func failedEvent(line int, t string) entry {
	return entry{
		Line: line, Time: t, Level: LevelError, Component: wuClient, ID: 20, Code: 0x80070002,
		Text: failedText, Fields: "_channel=System; " + failedData,
	}
}

func (e entry) with(change func(*entry)) entry { change(&e); return e }

func TestEventText(t *testing.T) {
	const at = "2031-02-13T04:05:06Z"
	for _, c := range []struct {
		name, text string
		want       []entry
		unread     int
	}{
		{
			name: "Event Viewer",
			text: "Log Name:      System\nSource:        " + wuClient + "\nDate:          2/13/2031 4:05:06 AM\nEvent ID:      20\nTask Category: Windows Update Agent\nLevel:         Error\nKeywords:      Failure,Installation\nUser:          SYSTEM\nComputer:      pc.fabrikam.example\nDescription:\n" + failedText + "\n",
			want: []entry{failedEvent(1, at)},
		},
		{
			name: "Event Viewer, two events and words around them",
			text: "It says:\nLog Name:      System\nSource:        Service Control Manager\nDate:          2/13/2031 4:05:06 AM\nEvent ID:      7031\nTask Category: None\nLevel:         Critical\nKeywords:      Classic\nUser:          N/A\nComputer:      pc\nDescription:\nThe service terminated.\n\nReset after: 5 ms\n\n" +
				"Log Name:      System\nSource:        " + wuClient + "\nDate:          2/13/2031 4:05:06 AM\nEvent ID:      20\nTask Category: x\nLevel:         Error\nKeywords:      x\nUser:          SYSTEM\nComputer:      pc\nDescription:\n" + failedText + "\n",
			want: []entry{
				{Line: 1, Loose: true, Text: "It says:"},
				{Line: 2, Time: at, Level: LevelError, Component: "Service Control Manager", ID: 7031, Text: "The service terminated.\n\nReset after: 5 ms", Fields: "_channel=System"},
				failedEvent(16, at),
			},
			unread: 1,
		},
		{
			name: "Event Viewer, German",
			text: "Protokollname: System\nQuelle:        " + wuClient + "\nDatum:         13.02.2031 04:05:06\nEreignis-ID:   20\nAufgabenkategorie:Windows Update-Agent\nEbene:         Fehler\nSchlüsselwörter:Fehler,Installation\nBenutzer:      SYSTEM\nComputer:      pc.fabrikam.example\nBeschreibung:\nInstallationsfehler: Die Installation des folgenden Updates ist mit Fehler 0x80070002 fehlgeschlagen: 2031-02 Update for Fabrikam (KB5990001)\n" +
				"Protokollname: System\nQuelle:        " + wuClient + "\nDatum:         13.02.2031 04:05:06\nEreignis-ID:   43\nAufgabenkategorie:Windows Update-Agent\nEbene:         Informationen\nSchlüsselwörter:x\nBenutzer:      SYSTEM\nComputer:      pc.fabrikam.example\nBeschreibung:\nInstallation gestartet: Die Installation wurde gestartet: Fabrikam 3\n",
			want: []entry{
				failedEvent(1, at).with(func(e *entry) {
					e.Level = LevelNone // a word of German
					e.Text = "Installationsfehler: Die Installation des folgenden Updates ist mit Fehler 0x80070002 fehlgeschlagen: 2031-02 Update for Fabrikam (KB5990001)"
					// Between the code and the title stand words.
					e.Fields = "_channel=System; errorCode=0x80070002; updateTitle=2031-02 Update for Fabrikam (KB5990001)"
				}),
				{Line: 12, Time: at, Component: wuClient, ID: 43, Text: "Installation gestartet: Die Installation wurde gestartet: Fabrikam 3", Fields: "_channel=System; updateTitle=Fabrikam 3"},
			},
		},
		{
			name: "Event Viewer, French, no-break spaces",
			text: "Nom du journal\u00A0:System\nSource\u00A0:       " + wuClient + "\nDate\u00A0:         13/02/2031 04:05:06\nID de l’événement\u00A0:20\nCatégorie de la tâche\u00A0:Agent\nNiveau\u00A0:       Erreur\nMots clés\u00A0:    Échec\nUtilisateur\u00A0:  Système\nOrdinateur\u00A0:   pc\nDescription\u00A0:\nÉchec avec l’erreur 0x80070002\u00A0: 2031-02 Update for Fabrikam (KB5990001).\n",
			want: []entry{failedEvent(1, at).with(func(e *entry) {
				e.Level = LevelNone
				e.Text = "Échec avec l’erreur 0x80070002\u00A0: 2031-02 Update for Fabrikam (KB5990001)."
			})},
		},
		{
			name: "Event Viewer, French, no-break spaces lost in copying",
			text: "Nom du journal :System\nSource :       " + wuClient + "\nDate :         13/02/2031 04:05:06\nID de l’événement :20\nCatégorie de la tâche :Agent\nNiveau :       Erreur\nMots clés :    Échec\nUtilisateur :  Système\nOrdinateur :   pc\nDescription :\nÉchec avec l’erreur 0x80070002 : 2031-02 Update for Fabrikam (KB5990001).\n",
			want: []entry{failedEvent(1, at).with(func(e *entry) {
				e.Level = LevelNone
				e.Text = "Échec avec l’erreur 0x80070002 : 2031-02 Update for Fabrikam (KB5990001)."
			})},
		},
		{
			name: "Event Viewer, Chinese, full-width colons",
			text: "日志名称：System\n来源：" + wuClient + "\n日期：2031/2/13 4:05:06\n事件 ID：20\n任务类别：x\n级别：错误\n关键字：x\n用户：SYSTEM\n计算机：pc\n描述：\n安装失败: 0x80070002: 2031-02 Update for Fabrikam (KB5990001)。\n",
			want: []entry{failedEvent(1, at).with(func(e *entry) {
				e.Level = LevelNone
				e.Text = "安装失败: 0x80070002: 2031-02 Update for Fabrikam (KB5990001)。"
				e.Fields = "_channel=System; errorCode=0x80070002; updateTitle=2031-02 Update for Fabrikam (KB5990001)。"
			})},
		},
		{
			name: "Event Viewer with XML: the XML tells what the text leaves open",
			text: "Protokollname: System\nQuelle:        " + wuClient + "\nDatum:         03.02.2031 13:05:06\nEreignis-ID:   20\nAufgabenkategorie:x\nEbene:         Fehler\nSchlüsselwörter:x\nBenutzer:      SYSTEM\nComputer:      pc\nBeschreibung:\nText.\nEreignis-XML:\n" + failedXML + "\nafter\n",
			want: []entry{
				{Line: 1, Time: "2031-02-03T13:05:06.789+01:00", Level: LevelError, PID: 1200, TID: 1300, Component: wuClient, ID: 20, Code: 0x80070002, Text: "Text.", Fields: failedXMLFields},
				{Line: 36, Loose: true, Text: "after"},
			},
			unread: 1,
		},
		{
			name: "Event Viewer with XML: it tells day and month apart",
			text: "Log Name:      System\nSource:        x\nDate:          3/2/2031 1:05:06 PM\nEvent ID:      20\nTask Category: x\nLevel:         Error\nKeywords:      x\nUser:          SYSTEM\nComputer:      pc\nDescription:\nText.\nEvent Xml:\n" + failedXML + "\n",
			want: []entry{
				{Line: 1, Time: "2031-02-03T13:05:06.789+01:00", Level: LevelError, PID: 1200, TID: 1300, Component: wuClient, ID: 20, Code: 0x80070002, Text: "Text.", Fields: failedXMLFields},
			},
		},
		{
			name: "Event Viewer, date replaced, blanks behind the lines",
			text: "Log Name: System  \nSource: " + wuClient + "  \nDate: DD/MM/yyyy hh:ss:ff  \nEvent ID: 20  \nTask Category: x  \nLevel: Error  \nKeywords: x  \nUser: SYSTEM  \nComputer: <Name>  \nDescription:  \n" + failedText + "\n",
			want: []entry{failedEvent(1, "").with(func(e *entry) { e.Fields = "_channel=System; _date=DD/MM/yyyy hh:ss:ff; " + failedData })},
		},
		{
			name: "some of its lines",
			text: "Source: disk\nEvent ID: 153\nLevel: Warning\nDescription: The IO operation was retried.\n\nSource: Ntfs\nEvent ID: 55\nLevel: Error\nDescription: corrupt, 0xc0000102\n",
			want: []entry{
				{Line: 1, Level: LevelWarning, Component: "disk", ID: 153, Text: "The IO operation was retried."},
				{Line: 6, Level: LevelError, Component: "Ntfs", ID: 55, Code: 0xC0000102, Text: "corrupt, 0xc0000102"},
			},
		},
		{
			name: "its lines joined",
			text: "Log Name: System Source: " + wuClient + " Date: 2/13/2031 4:05:06 AM Event ID: 20 Task Category: x Level: Error Keywords: x User: SYSTEM Computer: pc Description: " + failedText + "\n",
			want: []entry{failedEvent(1, at)},
		},
		{
			name: "wevtutil",
			text: "Event[0]:\n  Log Name: System\n  Source: " + wuClient + "\n  Date: 2031-02-13T04:05:06.789\n  Event ID: 20\n  Task: x\n  Level: Error\n  Opcode: x\n  Keyword: x\n  User: S-1-5-18\n  User Name: NT AUTHORITY\\SYSTEM\n  Computer: pc\n  Description: \n" + failedText + "\n\nEvent[1]:\n  Log Name: System\n  Source: User32\n  Date: 2031-02-13T04:05:06.0000000Z\n  Event ID: 1074\n  Task: N/A\n  Level: Information\n  Opcode: N/A\n  Keyword: Classic\n  User: S-1-5-18\n  User Name: x\n  Computer: pc\n  Description: \nLog Name: is no header here\n\n",
			want: []entry{
				failedEvent(1, "2031-02-13T04:05:06.789Z"),
				{Line: 16, Time: at, Level: LevelInfo, Component: "User32", ID: 1074, Text: "Log Name: is no header here", Fields: "_channel=System"},
			},
		},
		{
			name: "wevtutil, German",
			text: "Ereignis[0]\n  Protokollname: System\n  Quelle: " + wuClient + "\n  Datum: 2031-02-13T04:05:06.0000000Z\n  Ereignis-ID: 20\n  Aufgabe: x\n  Ebene: Fehler\n  Opcode: x\n  Schlüsselwort: x\n  Benutzer: S-1-5-18\n  Benutzername: x\n  Computer: pc\n  Beschreibung: \n" + failedText + "\n",
			want: []entry{failedEvent(1, at).with(func(e *entry) { e.Level = LevelNone })},
		},
		{
			name: "Format-List",
			text: "\n\nTimeCreated  : 2/13/2031 4:05:06 AM\nProviderName : " + wuClient + "\nId           : 20\nMessage      : Installation Failure: Windows failed to install the following update with error 0x80070002:\n               2031-02 Update for Fabrikam (KB5990001).\n\nTimeCreated  : 2/13/2031 4:05:06 AM\nProviderName : BITS\nId           : 61\nMessage      : Source: http://download.example.com/x\n               Id: 5\n               Code 0x80072ee7\n",
			want: []entry{
				failedEvent(3, at).with(func(e *entry) {
					e.Level, e.Fields = LevelNone, failedData
					e.Text = strings.Replace(failedText, ": 2031", ":\n2031", 1)
				}),
				{Line: 9, Time: at, Component: "BITS", ID: 61, Code: 0x80072EE7, Text: "Source: http://download.example.com/x\nId: 5\nCode 0x80072ee7"},
			},
		},
		{
			name: "Format-List of all properties",
			text: "Message              : Text 0x80244022\nId                   : 25\nVersion              : 1\nLevel                : 2\nProviderName         : " + wuClient + "\nLogName              : " + wuClient + "/Operational\nProcessId            : 12\nThreadId             : 34\nMachineName          : pc\nTimeCreated          : 13.02.2031 04:05:06\nLevelDisplayName     : Fehler\n\nMessage              : Text 2\nId                   : 26\nLevel                : 4\nProviderName         : x\n",
			want: []entry{
				{Line: 1, Time: at, Level: LevelError, PID: 12, TID: 34, Component: wuClient, ID: 25, Code: 0x80244022, Text: "Text 0x80244022", Fields: "_channel=" + wuClient + "/Operational"},
				{Line: 13, Level: LevelInfo, Component: "x", ID: 26, Text: "Text 2"},
			},
		},
		{
			name: "Format-List, objects with other properties first",
			text: "TimeCreated  : 2/13/2031 4:05:06 AM\nProviderName : x\nId           : 20\nMessage      : a\n\nProviderName : y\nId           : 21\nMessage      : b\n",
			want: []entry{
				{Line: 1, Time: at, Component: "x", ID: 20, Text: "a"},
				{Line: 6, Component: "y", ID: 21, Text: "b"},
			},
		},
		{
			name: "XML among words, XML of another time",
			text: "the event:\n" + failedXML + failedXML + "\nLog Name: System\nSource: x\nDate: 1/1/2030 1:00:00 AM\nEvent ID: 20\n" + failedXML + "\n",
			want: []entry{
				{Line: 1, Loose: true, Text: "the event:"},
				{Line: 2, Time: "2031-02-03T12:05:06.789Z", Level: LevelError, PID: 1200, TID: 1300, Component: wuClient, ID: 20, Code: 0x80070002, Text: failedXMLText, Fields: failedXMLFields},
				{Line: 24, Time: "2031-02-03T12:05:06.789Z", Level: LevelError, PID: 1200, TID: 1300, Component: wuClient, ID: 20, Code: 0x80070002, Text: failedXMLText, Fields: failedXMLFields},
				{Line: 47, Time: "2030-01-01T01:00:00Z", Level: LevelError, PID: 1200, TID: 1300, Component: wuClient, ID: 20, Code: 0x80070002, Text: failedXMLText, Fields: failedXMLFields},
			},
			unread: 1,
		},
		{
			name: "Get-EventLog",
			text: "Index              : 4711\nEntryType          : Error\nInstanceId         : 3221232495\nMessage            : Text\nSource             : Service Control Manager\nTimeGenerated      : 2/13/2031 4:05:06 AM\n\nIndex              : 4710\nEntryType          : Warning\nInstanceId         : 20\nMessage            : x\nSource             : y\nTimeGenerated      : 2/13/2031 4:05:06 AM\n",
			want: []entry{
				{Line: 1, Time: at, Level: LevelError, Component: "Service Control Manager", ID: 7023, Text: "Text"},
				{Line: 8, Time: at, Level: LevelWarning, Component: "y", ID: 20, Text: "x"},
			},
		},
		{
			name: "table",
			text: "\n   ProviderName: " + wuClient + "\n\nTimeCreated                     Id LevelDisplayName Message\n-----------                     -- ---------------- -------\n2/13/2031 4:05:06 AM            20 Error            " + failedText + "\n2/13/2031 4:05:06 AM            19 Information      Installation Successful: Windows successfully installed the following upd...\n\nend of it\n",
			want: []entry{
				failedEvent(6, at).with(func(e *entry) { e.Fields = failedData }),
				{Line: 7, Time: at, Level: LevelInfo, Component: wuClient, ID: 19, Text: "Installation Successful: Windows successfully installed the following upd..."},
				{Line: 9, Loose: true, Text: "end of it"},
			},
			unread: 1,
		},
		{
			name: "CSV of Event Viewer",
			text: "Level,Date and Time,Source,Event ID,Task Category\nError,2/13/2031 4:05:06 AM," + wuClient + ",20,Windows Update Agent,\"" + failedText + "\"\nInformation,2/13/2031 4:05:06 AM,Service Control Manager,7040,None,\"The start type of \"\"x\"\" was changed,\n\nit seems.\"\n",
			want: []entry{
				failedEvent(2, at).with(func(e *entry) { e.Fields = failedData }),
				{Line: 3, Time: at, Level: LevelInfo, Component: "Service Control Manager", ID: 7040, Text: "The start type of \"x\" was changed,\n\nit seems."},
			},
		},
		{
			name: "CSV of Event Viewer, German",
			text: "Ebene;Datum und Uhrzeit;Quelle;Ereignis-ID;Aufgabenkategorie\nFehler;13.02.2031 04:05:06;" + wuClient + ";20;x;" + failedText + "\n",
			want: []entry{
				{Line: 1, Loose: true, Text: "Ebene;Datum und Uhrzeit;Quelle;Ereignis-ID;Aufgabenkategorie"},
				failedEvent(2, at).with(func(e *entry) { e.Level, e.Fields = LevelNone, failedData }),
			},
			unread: 1,
		},
		{
			name: "tab separated text of Event Viewer",
			text: "Level\tDate and Time\tSource\tEvent ID\tTask Category\nError\t2/13/2031 4:05:06 AM\t" + wuClient + "\t20\tx\t" + failedText + "\n",
			want: []entry{failedEvent(2, at).with(func(e *entry) { e.Fields = failedData })},
		},
		{
			name: "Export-Csv",
			text: "#TYPE System.Diagnostics.Eventing.Reader.EventLogRecord\n\"Message\",\"Id\",\"Level\",\"ProviderName\",\"LogName\",\"ProcessId\",\"TimeCreated\"\n\"" + failedText + "\",\"20\",\"2\",\"" + wuClient + "\",\"System\",\"12\",\"2/13/2031 4:05:06 AM\"\n",
			want: []entry{failedEvent(3, at).with(func(e *entry) { e.PID = 12 })},
		},
		{
			name: "short name of the provider",
			text: "Log Name: System\nSource: WindowsUpdateClient\nDate: 2/13/2031 4:05:06 AM\nEvent ID: 20\nLevel: Error\nDescription:\n" + failedText + "\n",
			want: []entry{failedEvent(1, at)},
		},
		{
			name: "a block that is no event",
			text: "Source: http://www.fabrikam.example\nDate: yesterday\nlast words\nLog Name: System\nUser: x\n",
			want: []entry{
				{Line: 1, Loose: true, Text: "Source: http://www.fabrikam.example"},
				{Line: 2, Loose: true, Text: "Date: yesterday"},
				{Line: 3, Loose: true, Text: "last words"},
				{Line: 4, Loose: true, Text: "Log Name: System"},
				{Line: 5, Loose: true, Text: "User: x"},
			},
			unread: 5,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, text := range []string{c.text, strings.ReplaceAll(c.text, "\n", "\r\n")} {
				got, st := readLog(t, EventText, text)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if st.Unread != c.unread || st.Records != len(c.want)-c.unread {
					t.Errorf("%+v", st)
				}
			}
		})
	}
}

func TestEventXML(t *testing.T) {
	failed := entry{
		Line: 1, Time: "2031-02-03T12:05:06.789Z", Level: LevelError, PID: 1200, TID: 1300,
		Component: wuClient, ID: 20, Code: 0x80070002, Text: failedXMLText, Fields: failedXMLFields,
	}
	flat := strings.ReplaceAll(failedXML, "\n", "")
	rendered := strings.Replace(flat, "</Event>", `<RenderingInfo Culture="de-DE"><Message>Fehler &amp; Text</Message><Level>Fehler</Level></RenderingInfo></Event>`, 1)
	at := func(line int) entry { return failed.with(func(e *entry) { e.Line = line }) }
	for _, c := range []struct {
		name, text string
		want       []entry
	}{
		{"one after the other, no root", flat + "\r\n" + flat + "\r\n", []entry{at(1), at(2)}},
		{"in lines, behind a prolog", `<?xml version="1.0" encoding="utf-8" standalone="yes"?>` + "\n<Events>\n" + failedXML + "\n" + failedXML + "</Events>\n", []entry{at(3), at(26)}},
		{"all on one line", `<?xml version="1.0" encoding="utf-16"?><Events>` + flat + flat + "</Events>", []entry{at(1), at(1)}},
		{"rendered", "<Events>" + rendered + "</Events>", []entry{failed.with(func(e *entry) { e.Text = "Fehler & Text" })}},
		{"classic event, data without names", `<Event><System><Provider Name="Service Control Manager"/><EventID Qualifiers="49152">7023</EventID><Level>2</Level></System><EventData><Data>Windows Update</Data><Data>%%2147942405</Data></EventData></Event>`, []entry{
			{Line: 1, Level: LevelError, Component: "Service Control Manager", ID: 7023, Text: "Service Control Manager/7023 param1=Windows Update param2=%%2147942405", Fields: "param1=Windows Update; param2=%%2147942405"},
		}},
		{"user data", `<Event><System><Provider Name="x"/><EventID>3</EventID></System><UserData><CbsPackageChangeState><PackageIdentifier>KB5990001</PackageIdentifier><ErrorCode>0x800f0922</ErrorCode></CbsPackageChangeState></UserData></Event>`, []entry{
			{Line: 1, Component: "x", ID: 3, Code: 0x800F0922, Text: "x/3 PackageIdentifier=KB5990001 ErrorCode=0x800f0922", Fields: "PackageIdentifier=KB5990001; ErrorCode=0x800f0922"},
		}},
		{"result in decimal", `<Event><System><Provider Name="x"/><EventID>61</EventID></System><EventData><Data Name="hr">2147954402</Data></EventData></Event>`, []entry{
			{Line: 1, Component: "x", ID: 61, Code: 0x80072EE2, Text: "x/61 hr=2147954402", Fields: "hr=2147954402"},
		}},
		{"cut off", flat + "\n" + flat[:strings.Index(flat, "<Data Name=\"updateTitle")], []entry{at(1), at(2).with(func(e *entry) {
			e.Text, e.Fields = wuClient+"/20 errorCode=0x80070002", "errorCode=0x80070002; _channel=System"
		})}},
		{"one broken, the next whole", "<Event><System><Provider Name='x'/><EventID>1</EventID></System>\n" + flat, []entry{
			{Line: 1, Component: "x", ID: 1, Text: "x/1"}, at(2),
		}},
		{"no event in it", "<Events><Event><a>b</a></Event></Events>", []entry{{Line: 1, Loose: true, Text: "<Event><a>b</a></Event>"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, text := range []string{c.text, "\xFF\xFE" + utf16Bytes(c.text, false)} {
				got, _ := readLog(t, EventText, text)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestEventTextHostile(t *testing.T) {
	for name, text := range map[string]string{
		"deep XML":           "<Event>" + strings.Repeat("<a>", 200_000),
		"long event":         "<Event><System>" + strings.Repeat("x", 3*maxEventXML) + "</Event>" + failedXML,
		"many events begun":  strings.Repeat("<Event>", 50_000),
		"much data":          "<Event><System><EventID>1</EventID></System><EventData>" + strings.Repeat("<Data>x</Data>", 50_000) + "</EventData></Event>",
		"open quote in CSV":  "Level,Date and Time,Source,Event ID\nError,x,y,\"" + strings.Repeat("z\n", 300_000),
		"long description":   "Log Name: x\nSource: y\nEvent ID: 1\nDescription:\n" + strings.Repeat("words\n", 100_000),
		"XML inside of text": "Log Name: x\n<Event >" + strings.Repeat("y\n", 800_000),
		"headers only":       strings.Repeat("Log Name: x\n", 50_000),
		"numbers only":       strings.Repeat("Event[1]:\n", 50_000),
	} {
		t.Run(name, func(t *testing.T) { checkScan(t, EventText, []byte(text)) })
	}
}

func TestLocalDate(t *testing.T) {
	for in, want := range map[string]string{
		"2031-02-03T04:05:06.7890000Z":           "2031-02-03T04:05:06.789Z",
		"2031-02-03T04:05:06+01:00":              "2031-02-03T04:05:06+01:00",
		"2031-02-03 04:05:06":                    "2031-02-03T04:05:06Z",
		"2031/2/3 4:05:06":                       "2031-02-03T04:05:06Z",
		"2031. 02. 03. 4:05:06":                  "2031-02-03T04:05:06Z",
		"2031-02-03 오후 4:05:06":                  "2031-02-03T16:05:06Z",
		"2031/2/3 下午 04:05:06":                   "2031-02-03T16:05:06Z",
		"03.02.2031 04:05:06":                    "2031-02-03T04:05:06Z",
		"3.2.2031 4:05":                          "2031-02-03T04:05:00Z",
		"03-02-2031 04:05:06":                    "2031-02-03T04:05:06Z",
		"03/02/2031 04:05:06":                    "2031-02-03T04:05:06Z",
		"2/3/2031 4:05:06 AM":                    "2031-02-03T04:05:06Z",
		"2/3/2031 12:05:06 AM":                   "2031-02-03T00:05:06Z",
		"2/3/2031 12:05:06\u202FPM":              "2031-02-03T12:05:06Z",
		"2/13/2031 16:05:06":                     "2031-02-13T16:05:06Z",
		"13/2/2031 4:05:06 p. m.":                "2031-02-13T16:05:06Z",
		"\u200E2/\u200E13/\u200E2031 4:05:06 PM": "",
		"2/3/31 4:05:06":                         "",
		"31.31.2031 4:05:06":                     "",
		"2031-13-03 04:05:06":                    "",
		"2031-02-03":                             "",
		"4:05:06":                                "",
		"yesterday":                              "",
		"":                                       "",
	} {
		got, n, ok := localDate([]byte(in))
		switch {
		case want == "" && ok:
			t.Errorf("%q = %v", in, got)
		case want != "" && (!ok || n != len(in) || got.Format(time.RFC3339Nano) != want):
			t.Errorf("%q = %v, %d of %d bytes, %v; want %s", in, got.Format(time.RFC3339Nano), n, len(in), ok, want)
		}
	}
}

func eventTextLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "Event[%d]:\r\n  Log Name: System\r\n  Source: %s\r\n  Date: 2031-02-03T04:05:%02d.000\r\n  Event ID: 20\r\n  Task: x\r\n  Level: Error\r\n  Opcode: x\r\n  Keyword: x\r\n  User: S-1-5-18\r\n  User Name: x\r\n  Computer: pc\r\n  Description: \r\n%s\r\n\r\n", i, wuClient, i%60, failedText)
	}
	return b.Bytes()
}

func FuzzEventText(f *testing.F) {
	f.Add(eventTextLog(2))
	f.Add([]byte("Protokollname: System\nQuelle: x\nDatum: 13.02.2031 04:05:06\nEreignis-ID: 20\n1:\n2:\n3:\n4:\n5:\n6: x\n"))
	f.Add([]byte("Log Name: System\nEvent ID: 20\nSource: x\nEvent Xml:\n" + failedXML))
	f.Add([]byte(failedXML + failedXML))
	f.Add([]byte("TimeCreated : 1/2/2031 3:04:05 AM\nId : 2\nMessage : x\n  y\n\nTimeCreated : z\nId : 3\n"))
	f.Add([]byte("ProviderName: x\n\nTimeCreated Id LevelDisplayName Message\n----------- -- ---------------- -------\n1/2/2031 3:04:05 AM 20 Error é\n"))
	f.Add([]byte("Level,Date and Time,Source,Event ID,Task Category\nError,1/2/2031 3:04:05 AM,x,20,y,\"z\n\"\"\"\n;;;;;\n\t\t\t\t"))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, EventText, data) })
}

func BenchmarkEventText(b *testing.B) { benchmarkScan(b, EventText, eventTextLog(2000)) }

func BenchmarkEventXML(b *testing.B) {
	benchmarkScan(b, EventText, bytes.Repeat([]byte(failedXML+"\r\n"), 1000))
}
