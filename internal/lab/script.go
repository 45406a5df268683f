package lab

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Script is a proxy configuration script and where it lies: at wpad.<suffix>/wpad.dat
// for those who detect it, or wherever a setting says. A name without a script serves
// 404, as a web server that happens to be called wpad does.
type Script struct {
	Host      string `json:"host"` // "wpad.fabrikam.example"
	Addresses []Addr `json:"addresses,omitempty"`
	Port      int    `json:"port,omitempty"` // 80 if zero
	Path      string `json:"path,omitempty"` // "/wpad.dat" if empty
	Text      string `json:"text,omitempty"` // JavaScript; "" is a file that is not there
	Type      string `json:"type,omitempty"` // application/x-ns-proxy-autoconfig if empty
	Page      bool   `json:"page,omitempty"` // a web page comes instead
	Status    int    `json:"status,omitempty"`
}

// scripts is a web server that has some.
type scripts []Script

func (w *World) buildScripts() error {
	servers := map[string]scripts{}
	var order []string
	for _, s := range w.spec.Scripts {
		if s.Path == "" {
			s.Path = "/wpad.dat"
		}
		key := strings.ToLower(s.Host) + ":" + strconv.Itoa(or(s.Port, 80))
		if servers[key] == nil {
			order = append(order, key)
		}
		servers[key] = append(servers[key], s)
		if _, err := w.settle(s.Host, s.Addresses); err != nil {
			return err
		}
	}
	for _, key := range order {
		list := servers[key]
		if err := w.addSite(uint16(or(list[0].Port, 80)), site{names: []string{list[0].Host}, http: list}); err != nil {
			return err
		}
	}
	return nil
}

func (list scripts) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	for _, s := range list {
		if s.Path != r.URL.Path || s.Text == "" && !s.Page && s.Status == 0 {
			continue
		}
		if s.Status != 0 {
			iisPage(rw, s.Status)
			return
		}
		kind, body := s.Type, s.Text
		if kind == "" {
			kind = "application/x-ns-proxy-autoconfig"
		}
		if s.Page {
			kind, body = "text/html", "<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works!</body></html>"
		}
		rw.Header().Set("Content-Type", kind)
		rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(rw, body)
		}
		return
	}
	iisPage(rw, http.StatusNotFound)
}
