package winhost

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/go-ole/go-ole"
	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// An agent that does nothing is an error with its HRESULT and never a good scan.
func TestAgentTry(t *testing.T) {
	h := open(t)
	for _, stage := range []string{"scan", "download", "install"} {
		out, err := h.Agent().Try(t.Context(), host.Attempt{Stage: stage, KB: "KB5030001"})
		if !wine(t, h) {
			t.Skip("Microsoft.Update.Session: a real agent is not asked to scan by a test")
		}
		var code codes.HRESULT
		if err == nil || !errors.As(err, &code) || code != comNotImpl {
			t.Errorf("%s: %+v, %v", stage, out, err)
		}
	}
	t.Log("IUpdateSearcher.BeginSearch, IUpdateDownloader, IUpdateInstaller: Wine answers E_NOTIMPL")
}

// What a scan ended with is a result; only that it could not be asked for is an error.
func TestPassed(t *testing.T) {
	for h, result := range map[codes.HRESULT]bool{
		0x8024401B: true, 0x80070002: true, 0x80070005: true, 0x80070057: true, 0x8000FFFF: true, 0x80070422: true, 0x8024500C: true,
		comNotImpl: false, comNoClass: false, comNoMember: false, comMismatch: false,
	} {
		err := comError("begin", ole.NewError(uintptr(h)))
		if got := passed(err) == nil; got != result {
			t.Errorf("%v is a result: %v", h, got)
		}
		if e := asEnded(err); e.verdict() != h {
			t.Errorf("%v ended as %v", h, e.verdict())
		}
	}
	if err := passed(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Whoever gave up gets that and no result of the agent.
func TestAgentCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := open(t).Agent().Try(ctx, host.Attempt{Stage: "scan"})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A call that hangs costs its caller no more than the time it gave; and when too
// many hang, further ones are refused at once.
func TestApartmentHangs(t *testing.T) {
	places := make(workers, 2)
	release := make(chan struct{})
	defer close(release)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := inApartment(ctx, places, "hang", func(*apartment) (int, error) { <-release; return 1, nil })
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if _, err := inApartment(t.Context(), places, "third", func(*apartment) (int, error) { return 1, nil }); !errors.Is(err, errWorkers) {
		t.Error(err)
	}
}

func TestApartment(t *testing.T) {
	got, err := inApartment(t.Context(), make(workers, 1), "test", func(a *apartment) (string, error) {
		if _, err := a.create("No.Such.Class"); !errors.Is(err, host.ErrNotExist) {
			t.Errorf("a class that does not exist: %v", err)
		}
		if _, err := (object{a: a}).call("Anything"); !errors.Is(err, host.ErrNotExist) {
			t.Errorf("an object that is none: %v", err)
		}
		fs, err := a.create("Scripting.FileSystemObject")
		if err != nil {
			return "", err
		}
		if _, err := fs.call("NoSuchMethod"); err == nil {
			t.Error("a method that does not exist")
		}
		v, err := fs.call("GetTempName")
		s, _ := v.(string)
		return s, err
	})
	if err != nil || !strings.Contains(got, ".tmp") {
		t.Errorf("%q, %v", got, err)
	}
}

// WMI rows come with their properties, and a query that fails is no empty table.
func TestWMI(t *testing.T) {
	h := open(t)
	rows, err := h.wmi(t.Context(), `root\CIMV2`, "Win32_OperatingSystem", 10, "Caption", "BuildNumber")
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	if s, _ := rows[0]["BuildNumber"].(string); s == "" {
		t.Errorf("%v", rows[0])
	}
	if rows, err := h.wmi(t.Context(), `root\CIMV2`, "No_Such_Class", 10, "Caption"); err == nil {
		if wine(t, h) {
			t.Skip("IWbemServices.ExecQuery: Wine gives no rows where Windows says that there is no such class")
		}
		t.Errorf("a class that does not exist: %v", rows)
	}
}

// What the callback is, and that it can be called as Windows calls it.
func TestCallback(t *testing.T) {
	s := theSink()
	u := (*ole.IUnknown)(unsafe.Pointer(&s.unknown))
	for _, id := range callbackIDs {
		var out uintptr
		if r := syscallN(s.table.QueryInterface, uintptr(unsafe.Pointer(u)), uintptr(unsafe.Pointer(id)), uintptr(unsafe.Pointer(&out))); r != 0 || out != uintptr(unsafe.Pointer(u)) {
			t.Errorf("%v: %#x", id, r)
		}
	}
	var out uintptr
	if r := syscallN(s.table.QueryInterface, uintptr(unsafe.Pointer(u)), uintptr(unsafe.Pointer(ole.IID_IDispatch)), uintptr(unsafe.Pointer(&out))); r != 0x80004002 || out != 0 {
		t.Errorf("IDispatch: %#x", r)
	}
	if r := syscallN(s.table.Invoke, uintptr(unsafe.Pointer(u)), 0, 0); r != 0 {
		t.Errorf("Invoke: %#x", r)
	}
	if callback().VT != ole.VT_UNKNOWN {
		t.Errorf("%v", callback().VT)
	}
}

func TestEventLogs(t *testing.T) {
	h := open(t)
	files, err := h.eventLogs(t.Context())
	if err != nil && wine(t, h) {
		t.Skipf("EvtExportLog: not under Wine: %v", err)
	}
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		t.Logf("%s %d", f.Path, f.Size)
	}
}

// An event log that cannot be read says nothing; it does not say that all is well,
// and the scan's own result stands.
func TestScanFailure(t *testing.T) {
	if got := open(t).scanFailure(t.Context(), time.Now()); got != 0 {
		t.Errorf("%v", got)
	}
}

func TestAnswerSizes(t *testing.T) {
	for name, tt := range map[string]struct{ got, want uintptr }{
		"PARTITION_INFORMATION_EX":             {unsafe.Sizeof(partitionInfo{}), 144},
		"PARTITION_INFORMATION_EX.union":       {unsafe.Offsetof(partitionInfo{}.Detail), 32},
		"DRIVE_LAYOUT_INFORMATION_EX":          {unsafe.Sizeof(driveLayout{}), 48},
		"VOLUME_DISK_EXTENTS":                  {unsafe.Sizeof(volumeExtents{}), 32},
		"WINHTTP_PROXY_INFO":                   {unsafe.Sizeof(proxyInfo{}), 24},
		"WINHTTP_CURRENT_USER_IE_PROXY_CONFIG": {unsafe.Sizeof(ieProxyConfig{}), 32},
		"WINHTTP_AUTOPROXY_OPTIONS":            {unsafe.Sizeof(autoproxyOptions{}), 32},
		"SYSTEM_POWER_STATUS":                  {unsafe.Sizeof(powerStatus{}), 12},
		"BG_JOB_PROGRESS":                      {unsafe.Sizeof(bitsProgress{}), 24},
		"FILTER_AGGREGATE_BASIC_INFORMATION":   {unsafe.Sizeof(filterAggregate{}), 24},
		"CRYPT_CONTEXT_FUNCTIONS":              {unsafe.Sizeof(cryptContext{}), 16},
		"IP_ADAPTER_ADDRESSES":                 {unsafe.Sizeof(windows.IpAdapterAddresses{}), 448},
		"MIB_IPFORWARD_ROW2":                   {unsafe.Sizeof(windows.MibIpForwardRow2{}), 104},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d bytes, want %d", name, tt.got, tt.want)
		}
	}
}
