// Package peers holds nothing but tests: updoc beside programs that others wrote.
//
// The lab is a world of this project's own making and may share its mistakes. Here
// the walk meets squid, nginx, dnsmasq, chrony and mitmproxy as Debian packages them,
// and the kernel's own packet filters and queues between network namespaces. All of it
// stays on loopback or in namespaces that a test makes and takes away again. What is
// not installed, or needs root where there is none, skips itself with one line that
// says so; ./test installs what it can and lists the rest as NOT RUN.
package peers
