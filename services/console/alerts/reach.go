package alerts

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"golang.org/x/net/idna"
)

// Reach is where webhooks may lead beside public addresses, by TLS. An address
// of our own network, given by a tenant's administrator, would let that one
// call what is protected by nothing but the network.
type Reach struct {
	// Loopback allows this machine, also without TLS: for a demonstration.
	Loopback bool
	// Private allows this machine and private networks, also without TLS.
	Private bool
}

// forbidden are ranges that lead to no public address and that netip does not
// name: this network, shared (RFC 6598), protocol assignments, benchmarks,
// reserved, and IPv6 that carries IPv4.
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

// may reports whether an address may be called.
func (r Reach) may(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	switch {
	case ip.IsLoopback():
		return r.Loopback || r.Private
	case ip.IsPrivate():
		return r.Private
	case !ip.IsGlobalUnicast(): // unspecified, link-local (where clouds keep credentials), multicast
		return false
	}
	for _, p := range forbidden {
		if p.Contains(ip) {
			return r.Private && p == forbidden[1]
		}
	}
	return true
}

// client calls webhooks. The address that is really connected to is checked,
// whatever its name led to before, so that no name can lead astray later; a
// proxy would hide it, and is not used.
func (r Reach) client() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !r.may(to.Addr()) {
			return &Error{"unreachable", "url", "the address leads into a private network, where alerts may not go"}
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: attemptDeadline,
			MaxIdleConns: 100, MaxConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       attemptDeadline,
	}
}

// check reads an address that somebody gives, and what people may see of it:
// what stands behind the host can be a secret.
func (r Reach) check(text string) (shown string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || len(text) > 2000 {
		return "", refuse("invalid", "url", "want the address of a webhook, such as https://hooks.example.com/lockstep")
	}
	if u.User != nil {
		return "", refuse("invalid", "url", "want an address without a user and password: the signature is what proves who calls")
	}
	host, ip := u.Hostname(), netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		ip = literal
	} else if host, err = idna.Lookup.ToASCII(host); err != nil {
		return "", refuse("invalid", "url", "the host's name cannot be read")
	}
	local := host == "localhost" || ip.IsValid() && ip.Unmap().IsLoopback()
	switch {
	case ip.IsValid() && !r.may(ip), local && !r.Loopback && !r.Private:
		return "", refuse("invalid", "url", "this address is in a private network, where alerts may not go unless the installation allows it (LOCKSTEP_ALERT_PRIVATE)")
	case u.Scheme == "http" && !r.Private && !(local && r.Loopback):
		return "", refuse("invalid", "url", "want https: what is sent names contacts")
	}
	shown = u.Scheme + "://" + u.Host
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		shown += "/" + hidden
	}
	return shown, nil
}
