package winhost

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// Structures of winhttp.h.
type (
	proxyInfo struct { // WINHTTP_PROXY_INFO
		Access uint32
		Proxy  *uint16
		Bypass *uint16
	}
	ieProxyConfig struct { // WINHTTP_CURRENT_USER_IE_PROXY_CONFIG
		Detect int32
		PAC    *uint16
		Proxy  *uint16
		Bypass *uint16
	}
	autoproxyOptions struct { // WINHTTP_AUTOPROXY_OPTIONS
		Flags     uint32
		Detect    uint32
		ConfigURL *uint16
		Reserved  uintptr
		Reserved2 uint32
		AutoLogon int32
	}
)

const (
	accessNoProxy    = 1 // WINHTTP_ACCESS_TYPE_NO_PROXY
	accessNamedProxy = 3 // WINHTTP_ACCESS_TYPE_NAMED_PROXY

	autoDetect    = 1 // WINHTTP_AUTOPROXY_AUTO_DETECT
	autoConfigURL = 2 // WINHTTP_AUTOPROXY_CONFIG_URL
	detectDHCP    = 1
	detectDNS     = 2
)

// taken copies a string that WinHTTP allocated, and frees it.
func taken(p *uint16) string {
	if p == nil {
		return ""
	}
	s := windows.UTF16PtrToString(p)
	_, _ = windows.LocalFree(windows.Handle(uintptr(unsafe.Pointer(p)))) // WinHTTP says GlobalFree, which is the same heap
	return s
}

// proxyState asks for the machine's setting and for that of the caller's account.
func proxyState(_ context.Context, _ *Host, _ map[string]string) (any, error) {
	var info proxyInfo
	if _, err := invokeBool(dllWinHTTP, "WinHttpGetDefaultProxyConfiguration", uintptr(unsafe.Pointer(&info))); err != nil {
		return nil, err
	}
	out := host.ProxyState{Access: info.Access, Proxy: withoutPassword(taken(info.Proxy)), Bypass: taken(info.Bypass)}
	user, err := currentUserProxy()
	if err != nil && !errors.Is(err, host.ErrNotExist) {
		out.Unseen = append(out.Unseen, unseenPart("user", err))
	}
	out.User = user
	return out, nil
}

func currentUserProxy() (host.UserProxy, error) {
	var ie ieProxyConfig
	if _, err := invokeBool(dllWinHTTP, "WinHttpGetIEProxyConfigForCurrentUser", uintptr(unsafe.Pointer(&ie))); err != nil {
		return host.UserProxy{}, err // ERROR_FILE_NOT_FOUND: the account has none
	}
	return host.UserProxy{
		Account: callerSID(), Detect: ie.Detect != 0, PAC: withoutPassword(taken(ie.PAC)),
		Proxy: withoutPassword(taken(ie.Proxy)), Bypass: taken(ie.Bypass),
	}, nil
}

// updateAddresses are the addresses that a proxy script is asked for: one of each
// part of the update's way. learn.microsoft.com: "Windows Update security";
// "Connection endpoints".
var updateAddresses = []string{
	"https://slscr.update.microsoft.com/", "https://fe3cr.delivery.mp.microsoft.com/", "http://download.windowsupdate.com/",
	"http://dl.delivery.mp.microsoft.com/", "https://geover.prod.do.dsp.mp.microsoft.com/",
}

// decisionTime is what one decision may take: a script that cannot be fetched and a
// detection that nobody answers each take WinHTTP some 20 seconds.
const decisionTime = 25 * time.Second

// proxyFor asks WinHttpGetProxyForUrl for the update hosts. A PAC address comes
// from the caller's own setting; without one it is looked for, as the services do.
func proxyFor(ctx context.Context, _ *Host, args map[string]string) (any, error) {
	out := host.ProxyFor{Account: callerSID(), Answers: []host.ProxyDecision{}}
	user, err := currentUserProxy()
	if err != nil && !errors.Is(err, host.ErrNotExist) {
		out.Unseen = append(out.Unseen, unseenPart("user", err))
	}
	out.PAC = user.PAC
	if pac, ok := args["pac"]; ok {
		out.PAC = pac
	}
	addresses := updateAddresses
	if a := args["url"]; a != "" {
		addresses = append(addresses[:len(addresses):len(addresses)], a)
	}
	session, err := openSession(accessNoProxy, "", "")
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, decisionTime)
	defer cancel()
	done := make(chan []host.ProxyDecision, 1)
	go func() {
		defer session.close()
		var list []host.ProxyDecision
		for _, a := range addresses {
			if limited.Err() != nil {
				break
			}
			d := decide(session, a, out.PAC)
			list = append(list, d)
			if d.Result != 0 { // it fails for every address, after the same long wait
				break
			}
		}
		done <- list
	}()
	select {
	case out.Answers = <-done:
	case <-limited.Done():
		out.Unseen = append(out.Unseen, unseenPart("answers", limited.Err()))
	}
	return out, ctx.Err()
}

// decide asks for one address, by the script at pac or by detection.
func decide(session internet, address, pac string) host.ProxyDecision {
	d := host.ProxyDecision{URL: address}
	opt := autoproxyOptions{Flags: autoDetect, Detect: detectDHCP | detectDNS}
	if pac != "" {
		opt = autoproxyOptions{Flags: autoConfigURL, ConfigURL: utf16ptr(pac)}
	}
	var info proxyInfo
	began := time.Now()
	_, err := invokeBool(dllWinHTTP, "WinHttpGetProxyForUrl", uintptr(session), uintptr(unsafe.Pointer(utf16ptr(address))),
		uintptr(unsafe.Pointer(&opt)), uintptr(unsafe.Pointer(&info)))
	d.Took = time.Since(began)
	if err != nil {
		_ = errors.As(err, &d.Result)
		return d
	}
	d.Direct = info.Access == accessNoProxy
	d.Proxy, d.Bypass = withoutPassword(taken(info.Proxy)), taken(info.Bypass)
	return d
}

// internet is a handle of WinHTTP.
type internet uintptr

func (i internet) close() { _, _ = invoke(dllWinHTTP, "WinHttpCloseHandle", uintptr(i)) }

// openSession opens WinHTTP with a way to the net.
func openSession(access uint32, proxy, bypass string, flags ...uint32) (internet, error) {
	var p, b *uint16
	if proxy != "" {
		p = utf16ptr(proxy)
		if bypass != "" {
			b = utf16ptr(bypass)
		}
	}
	var f uint32
	for _, x := range flags {
		f |= x
	}
	r, err := invokeBool(dllWinHTTP, "WinHttpOpen", uintptr(unsafe.Pointer(utf16ptr("updoc"))), uintptr(access),
		uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(b)), uintptr(f))
	return internet(r), err
}
