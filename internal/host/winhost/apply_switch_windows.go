package winhost

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"updoc/internal/host"
)

// switcher reads and sets the settings of one group. What it does not know is
// host.ErrNotExist.
type switcher struct {
	get func(ctx context.Context, h *Host, name string) (string, error)
	set func(ctx context.Context, h *Host, name, state string) error

	oneWay bool // a person alone switches it on again
}

// switches lists the groups of settings that this host has.
func switches() map[string]switcher {
	return map[string]switcher{
		"task":             {get: taskState, set: setTask},
		"firewall-rule":    firewallRules(),
		"image":            images(),
		"product":          {get: productState, set: awaitProduct},
		"firewall-profile": {get: firewallProfile, set: setFirewallProfile},
		"ipv6":             ipv6Bindings(),
		"adapter":          vpnAdapters(),
		"vpn-connection":   {get: dialled, set: hangUp, oneWay: true},
		"mtu":              packetSize("ipv4", 2, 576),   // RFC 791: what every host has to take
		"mtu6":             packetSize("ipv6", 23, 1280), // RFC 8200, 5
		"hidden-update":    {get: getHidden, set: setHidden},
		"txf-log":          {get: getContainers, set: setContainers},
	}
}

func (h *Host) switcher(c host.Change) (switcher, string, error) {
	group, name, _ := strings.Cut(c.Path, "/")
	s, ok := switches()[group]
	if !ok {
		return switcher{}, "", fmt.Errorf("no settings of the kind %s on a live machine: %w", group, host.ErrNotRecorded)
	}
	return s, name, nil
}

func (h *Host) inverseSwitch(ctx context.Context, c host.Change) ([]host.Change, error) {
	s, name, err := h.switcher(c)
	if err != nil {
		return nil, err
	}
	state, err := s.get(ctx, h, name)
	if err != nil {
		return nil, err
	}
	if s.oneWay && state != c.State {
		return nil, nil
	}
	return []host.Change{{Kind: host.Switch, Path: c.Path, State: state}}, nil
}

func (h *Host) applySwitch(ctx context.Context, c host.Change) error {
	s, name, err := h.switcher(c)
	if err != nil {
		return err
	}
	if err := s.set(ctx, h, name, c.State); err != nil {
		return err
	}
	// Tools report success for what they did not do.
	now, err := s.get(ctx, h, name)
	if err == nil && now != c.State {
		err = fmt.Errorf("it is %s still", now)
	}
	return err
}

// taskFile is where Windows keeps the definition of a scheduled task.
func (h *Host) taskFile(name string) (string, error) {
	rel := strings.Trim(name, `\`)
	if rel == "" || strings.ContainsAny(rel, "/:*?\"<>|\x00") {
		return "", fmt.Errorf("task %q: %w", name, host.ErrNotExist)
	}
	for part := range strings.SplitSeq(rel, `\`) {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("task %q: %w", name, host.ErrNotExist)
		}
	}
	return h.places.system + `\Tasks\` + rel, nil
}

// taskState reads Settings/Enabled of a task: on unless it says false.
func taskState(_ context.Context, h *Host, name string) (string, error) {
	p, err := h.taskFile(name)
	if err != nil {
		return "", err
	}
	b, err := readKept(p)
	if err != nil {
		return "", err
	}
	return taskEnabled(b)
}

// setTask has Windows' own tool do it: the service keeps tasks in memory and
// hashes their files.
func setTask(ctx context.Context, h *Host, name, state string) error {
	how, ok := map[string]string{"on": "/ENABLE", "off": "/DISABLE"}[state]
	if !ok {
		return errors.New("a task is on or off")
	}
	if now, err := taskState(ctx, h, name); err != nil || now == state {
		return err
	}
	return h.run(ctx, "schtasks", []string{"/Change", "/TN", `\` + strings.Trim(name, `\`), how})
}
