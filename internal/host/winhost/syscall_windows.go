package winhost

//go:generate go run golang.org/x/sys/windows/mkwinsyscall -output zsyscall_windows.go syscall_windows.go

//sys	regCreateKeyEx(key windows.Handle, subkey *uint16, reserved uint32, class *uint16, options uint32, desired uint32, sa *windows.SecurityAttributes, result *windows.Handle, disposition *uint32) (regerrno error) = advapi32.RegCreateKeyExW
//sys	regDeleteKeyEx(key windows.Handle, subkey *uint16, desired uint32, reserved uint32) (regerrno error) = advapi32.RegDeleteKeyExW
//sys	regDeleteValue(key windows.Handle, name *uint16) (regerrno error) = advapi32.RegDeleteValueW
//sys	regEnumValue(key windows.Handle, index uint32, name *uint16, nameLen *uint32, reserved *uint32, valtype *uint32, buf *byte, buflen *uint32) (regerrno error) = advapi32.RegEnumValueW
//sys	regFlushKey(key windows.Handle) (regerrno error) = advapi32.RegFlushKey
//sys	getProductInfo(osMajor uint32, osMinor uint32, spMajor uint32, spMinor uint32, product *uint32) (err error) = kernel32.GetProductInfo
//sys	getOEMCP() (cp uint32) = kernel32.GetOEMCP
//sys	queryServiceObjectSecurity(service windows.Handle, info windows.SECURITY_INFORMATION, sd *byte, size uint32, needed *uint32) (err error) = advapi32.QueryServiceObjectSecurity
//sys	setServiceObjectSecurity(service windows.Handle, info windows.SECURITY_INFORMATION, sd *windows.SECURITY_DESCRIPTOR) (err error) = advapi32.SetServiceObjectSecurity
//sys	replaceFile(replaced *uint16, replacement *uint16, backup *uint16, flags uint32, exclude uintptr, reserved uintptr) (err error) = kernel32.ReplaceFileW
//sys	rmStartSession(session *uint32, flags uint32, key *uint16) (ret error) = rstrtmgr.RmStartSession
//sys	rmEndSession(session uint32) (ret error) = rstrtmgr.RmEndSession
//sys	rmRegisterResources(session uint32, files uint32, names **uint16, applications uint32, processes uintptr, services uint32, serviceNames uintptr) (ret error) = rstrtmgr.RmRegisterResources
//sys	rmGetList(session uint32, needed *uint32, count *uint32, processes *rmProcessInfo, rebootReasons *uint32) (ret error) = rstrtmgr.RmGetList
//sys	ntSetValueKey(key windows.Handle, name *windows.NTUnicodeString, titleIndex uint32, valtype uint32, buf *byte, bufLen uint32) (ntstatus error) = ntdll.NtSetValueKey
//sys	powerCreateRequest(reason *powerReason) (request windows.Handle, err error) [failretval==windows.InvalidHandle] = kernel32.PowerCreateRequest
//sys	powerSetRequest(request windows.Handle, kind uint32) (err error) = kernel32.PowerSetRequest
//sys	setThreadExecutionState(flags uint32) (before uint32) = kernel32.SetThreadExecutionState
//sys	regLoadKey(key windows.Handle, subkey *uint16, file *uint16) (regerrno error) = advapi32.RegLoadKeyW
//sys	regUnLoadKey(key windows.Handle, subkey *uint16) (regerrno error) = advapi32.RegUnLoadKeyW
