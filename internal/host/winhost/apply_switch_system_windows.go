package winhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// cimTime is how long WMI may take: the firewall's provider walks all its rules.
const cimTime = 2 * time.Minute

// network is where Windows keeps the settings of its network as objects.
const network = `root\StandardCimv2`

// cim asks WMI for the one instance of a class that fits, and calls f for it with
// one of its properties. host.ErrNotExist says that there is none.
func cim[T any](ctx context.Context, h *Host, class, where, property string, f func(item object, value any) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, cimTime)
	defer cancel()
	return inApartment(ctx, h.com, class, func(a *apartment) (T, error) {
		var out T
		found := false
		locator, err := a.create("WbemScripting.SWbemLocator")
		if err != nil {
			return out, err
		}
		v, err := locator.call("ConnectServer", ".", network)
		services, err := asObject("connect to "+network, v, err)
		if err != nil {
			return out, err
		}
		query := "SELECT * FROM " + class + " WHERE " + where
		v, err = services.call("ExecQuery", query)
		set, err := asObject(query, v, err)
		if err != nil {
			return out, err
		}
		err = set.each(1, func(item object) error {
			properties, err := item.object("Properties_")
			if err != nil {
				return err
			}
			v, err := properties.call("Item", property)
			p, err := asObject(class+"."+property, v, err)
			if err != nil {
				return err
			}
			value, err := p.get("Value")
			if err != nil {
				return err
			}
			found = true
			out, err = f(item, value)
			return err
		})
		if err == nil && !found {
			err = fmt.Errorf("%s where %s: %w", class, where, host.ErrNotExist)
		}
		return out, err
	})
}

// enabling is a group of settings that WMI knows as objects which can be enabled
// and disabled. where makes the condition from the name of a setting.
func enabling(class string, where func(name string) string) switcher {
	state := func(v any) string {
		// Some have a truth value, others 1 for enabled and 2 for disabled.
		if on, ok := v.(bool); ok && on || fmt.Sprint(v) == "1" {
			return "on"
		}
		return "off"
	}
	return switcher{
		get: func(ctx context.Context, h *Host, name string) (string, error) {
			return cim(ctx, h, class, where(name), "Enabled", func(_ object, v any) (string, error) { return state(v), nil })
		},
		set: func(ctx context.Context, h *Host, name, want string) error {
			method, ok := map[string]string{"on": "Enable", "off": "Disable"}[want]
			if !ok {
				return fmt.Errorf("%q is neither on nor off", want)
			}
			_, err := cim(ctx, h, class, where(name), "Enabled", func(item object, v any) (struct{}, error) {
				if state(v) == want {
					return struct{}{}, nil
				}
				_, err := item.call("ExecMethod_", method)
				return struct{}{}, err
			})
			return err
		},
	}
}

// firewallRules are known by the name under which the registry has them.
// learn.microsoft.com: "MSFT_NetFirewallRule".
func firewallRules() switcher {
	return enabling("MSFT_NetFirewallRule", func(name string) string { return "InstanceID = " + wqlString(name) })
}

// ipv6Bindings say whether an adapter speaks IPv6.
// learn.microsoft.com: "MSFT_NetAdapterBindingSettingData", "Disable-NetAdapterBinding".
func ipv6Bindings() switcher {
	return enabling("MSFT_NetAdapterBindingSettingData", func(name string) string {
		return "Name = " + wqlString(name) + " AND ComponentID = 'ms_tcpip6'"
	})
}

// vpnAdapters are the network adapters that a VPN made. Others stay on, whoever asks.
// learn.microsoft.com: "MSFT_NetAdapter class" (State, Disable, Enable).
func vpnAdapters() switcher {
	const disabled = "3" // of State: unknown, present, started, disabled
	adapter := func(ctx context.Context, h *Host, name string, f func(item object) error) (string, error) {
		return cim(ctx, h, "MSFT_NetAdapter", "Name = "+wqlString(name), "State", func(item object, v any) (string, error) {
			state := "on"
			if fmt.Sprint(v) == disabled {
				state = "off"
			}
			if f == nil {
				return state, nil
			}
			return state, f(item)
		})
	}
	get := func(ctx context.Context, h *Host, name string) (string, error) {
		state, err := adapter(ctx, h, name, nil)
		if errors.Is(err, host.ErrNotExist) {
			return "off", nil // programs of VPNs take theirs away once it is off
		}
		return state, err
	}
	return switcher{get: get, set: func(ctx context.Context, h *Host, name, want string) error {
		method, ok := map[string]string{"on": "Enable", "off": "Disable"}[want]
		if !ok {
			return fmt.Errorf("%q is neither on nor off", want)
		}
		now, err := get(ctx, h, name)
		if err != nil || now == want {
			return err
		}
		if want == "off" {
			list, err := listAdapters()
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(list, func(a host.Adapter) bool { return a.Name == name }); i < 0 || list[i].VPN == "" {
				return fmt.Errorf("%w: %q is not the adapter of a VPN", host.ErrRefused, name)
			}
		}
		// Both begin the work and return, and the one fails while the other is at it.
		// learn.microsoft.com: "Why is there a redundant Restart-NetAdapter cmdlet?"
		return until(ctx, func() (bool, error) {
			var failed error
			now, err := adapter(ctx, h, name, func(item object) error {
				_, failed = item.call("ExecMethod_", method)
				return nil
			})
			if err != nil {
				return want == "off" && errors.Is(err, host.ErrNotExist), err
			}
			if now == want {
				return true, nil
			}
			return false, failed
		})
	}}
}

// until calls f every half second until it says that it is so, for half a minute; the
// error is the last that f had.
func until(ctx context.Context, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		ok, err := f()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// productState is what the Security Center says of a product. Nobody but its user may
// switch it: it protects itself.
func productState(ctx context.Context, h *Host, setting string) (string, error) {
	kind, name, _ := strings.Cut(setting, "/")
	answer, err := securityProducts(ctx, h, nil)
	if err != nil {
		return "", err
	}
	known, _ := answer.(host.SecurityProducts)
	for _, p := range known.Products {
		if p.Kind == kind && p.Name == name {
			return map[bool]string{true: "on", false: "off"}[p.On], nil
		}
	}
	if len(known.Unseen) > 0 {
		return "", fmt.Errorf("security products: %s", known.Unseen[0].Why)
	}
	return "", fmt.Errorf("%s %q: %w", kind, name, host.ErrNotExist)
}

// awaitProduct makes nothing: it says whether a person did.
func awaitProduct(ctx context.Context, h *Host, setting, want string) error {
	now, err := productState(ctx, h, setting)
	if err == nil && now != want {
		err = fmt.Errorf("%s is %s: %w", setting, now, host.ErrPerson)
	}
	return err
}

// firewallProfile says whether Windows' own firewall is on in a profile, as policies leave it.
func firewallProfile(ctx context.Context, h *Host, name string) (string, error) {
	fw, err := host.ReadFirewall(ctx, h)
	if err != nil {
		return "", err
	}
	for _, p := range fw.Profiles {
		if p.Name == name {
			return map[bool]string{true: "on", false: "off"}[p.Enabled], nil
		}
	}
	return "", fmt.Errorf("firewall profile %q: %w", name, host.ErrNotExist)
}

// setFirewallProfile has Windows' tool do it.
// learn.microsoft.com: "netsh advfirewall" (set domainprofile, privateprofile, publicprofile).
func setFirewallProfile(ctx context.Context, h *Host, name, state string) error {
	if host.FirewallProfileKey(name) == "" || state != "on" && state != "off" {
		return fmt.Errorf("firewall profile %q, %q: %w", name, state, host.ErrNotExist)
	}
	if now, err := firewallProfile(ctx, h, name); err != nil || now == state {
		return err
	}
	return h.run(ctx, "netsh", []string{"advfirewall", "set", name + "profile", "state", state})
}

// packetSize is the largest packet that Windows sends through an adapter, of a family of
// addresses, now and after a restart.
// learn.microsoft.com: "MSFT_NetIPInterface"; "netsh interface ipv4", set subinterface.
func packetSize(netsh string, family int, least uint64) switcher {
	get := func(ctx context.Context, h *Host, adapter string) (string, error) {
		where := fmt.Sprintf("InterfaceAlias = %s AND AddressFamily = %d", wqlString(adapter), family)
		return cim(ctx, h, "MSFT_NetIPInterface", where, "NlMtu", func(_ object, v any) (string, error) { return fmt.Sprint(v), nil })
	}
	return switcher{get: get, set: func(ctx context.Context, h *Host, adapter, size string) error {
		n, err := strconv.ParseUint(size, 10, 16)
		if err != nil || n < least {
			return fmt.Errorf("%q is no size of a packet", size)
		}
		if now, err := get(ctx, h, adapter); err != nil || now == size {
			return err
		}
		return h.run(ctx, "netsh", []string{"interface", netsh, "set", "subinterface", adapter, "mtu=" + size, "store=persistent"})
	}}
}

// hiddenUpdate looks an update up in what the agent knows already, and calls f.
func hiddenUpdate[T any](ctx context.Context, h *Host, id string, f func(update object) (T, error)) (T, error) {
	var zero T
	if !isGUID(id) {
		return zero, fmt.Errorf("update %q: %w", id, host.ErrNotExist)
	}
	ctx, cancel := context.WithTimeout(ctx, cimTime)
	defer cancel()
	return inApartment(ctx, h.com, "update "+id, func(a *apartment) (T, error) {
		session, err := a.create("Microsoft.Update.Session")
		if err != nil {
			return zero, err
		}
		searcher, err := session.method("CreateUpdateSearcher")
		if err != nil {
			return zero, err
		}
		if err := searcher.put("Online", false); err != nil {
			return zero, err
		}
		// Without a word on it the agent leaves hidden updates out.
		v, err := searcher.call("Search", fmt.Sprintf("UpdateID='%s' and IsHidden=0 or UpdateID='%[1]s' and IsHidden=1", id))
		found, err := asObject("search", v, err)
		if err != nil {
			return zero, err
		}
		list, err := found.object("Updates")
		if err != nil {
			return zero, err
		}
		if n, err := list.number("Count"); err != nil || n == 0 {
			return zero, errors.Join(err, fmt.Errorf("update %s: %w", id, host.ErrNotExist))
		}
		update, err := list.object("Item", 0)
		if err != nil {
			return zero, err
		}
		return f(update)
	})
}

func getHidden(ctx context.Context, h *Host, id string) (string, error) {
	return hiddenUpdate(ctx, h, id, func(update object) (string, error) {
		v, err := update.get("IsHidden")
		if err != nil {
			return "", err
		}
		if hidden, ok := v.(bool); ok && hidden {
			return "yes", nil
		}
		return "no", nil
	})
}

// setHidden hides an update or shows it again. learn.microsoft.com: "IUpdate::put_IsHidden".
func setHidden(ctx context.Context, h *Host, id, state string) error {
	if state != "yes" && state != "no" {
		return fmt.Errorf("%q is neither yes nor no", state)
	}
	_, err := hiddenUpdate(ctx, h, id, func(update object) (struct{}, error) {
		return struct{}{}, update.put("IsHidden", state == "yes")
	})
	return err
}

// getContainers asks NTFS how many containers the log of its transactions may have.
// learn.microsoft.com: "TXFS_QUERY_RM_INFORMATION".
func getContainers(_ context.Context, _ *Host, drive string) (string, error) {
	const (
		queryRM = 0x00094148 // FSCTL_TXFS_QUERY_RM_INFORMATION
		maximum = 52         // LogContainerCountMax
		flags   = 68
		noMax   = 0x00000080 // TXFS_RM_FLAG_LOG_NO_CONTAINER_COUNT_MAX
	)
	if len(drive) != 2 || drive[1] != ':' {
		return "", fmt.Errorf("drive %q: %w", drive, host.ErrNotExist)
	}
	root, err := openNode(drive+`\`, windows.FILE_LIST_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer closeHandle(root)
	buf := make([]byte, 4096)
	var n uint32
	err = windows.DeviceIoControl(root, queryRM, nil, 0, &buf[0], uint32(len(buf)), &n, nil)
	if err != nil && !is(err, windows.ERROR_MORE_DATA) { // its path did not fit, which nobody asked for
		return "", wrap("transaction log of "+drive, err)
	}
	if n < flags+4 {
		return "", fmt.Errorf("transaction log of %s: %d bytes of answer", drive, n)
	}
	if binary.LittleEndian.Uint32(buf[flags:])&noMax != 0 {
		return "", fmt.Errorf("transaction log of %s: %w: it may grow as it likes", drive, host.ErrNotExist)
	}
	return strconv.FormatUint(uint64(binary.LittleEndian.Uint32(buf[maximum:])), 10), nil
}

// setContainers has Windows' tool set it. learn.microsoft.com: "fsutil resource".
func setContainers(ctx context.Context, h *Host, drive, count string) error {
	if n, err := strconv.ParseUint(count, 10, 16); err != nil || n < 2 {
		return fmt.Errorf("%q is no number of containers", count)
	}
	if now, err := getContainers(ctx, h, drive); err != nil || now == count {
		return err
	}
	return h.run(ctx, "fsutil", []string{"resource", "setlog", "maxextents", count, strings.ToUpper(drive) + `\`})
}
