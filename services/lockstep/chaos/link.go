package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"lockstep.internal/services/lockstep/fleet"
)

// link is one way between two parts, through a proxy that can cut, hold and
// slow it.
type link struct {
	name  string
	proxy *toxiproxy.Proxy

	mu      sync.Mutex // guards what follows
	outages []outage
}

// outage is a time in which what was sent may not have arrived.
type outage struct{ from, to time.Time }

// links makes proxies.
type links struct {
	server *toxiproxy.ApiServer
	ports  *fleet.Ports
	all    []*link
}

func newLinks(p *fleet.Ports) *links {
	metrics := toxiproxy.NewMetricsContainer(prometheus.NewRegistry())
	return &links{server: toxiproxy.NewServer(metrics, zerolog.Nop()), ports: p}
}

// open makes a way to an address and starts it.
func (l *links) open(name, upstream string) (*link, error) {
	port, err := l.ports.Take()
	if err != nil {
		return nil, err
	}
	made := &link{name: name, proxy: toxiproxy.NewProxy(l.server, name, fmt.Sprintf("127.0.0.1:%d", port), upstream)}
	if err := made.proxy.Start(); err != nil {
		return nil, fmt.Errorf("proxy %s: %w", name, err)
	}
	l.all = append(l.all, made)
	return made, nil
}

func (l *links) close() {
	for _, one := range l.all {
		one.proxy.Stop()
	}
}

// address is where the proxy listens.
func (l *link) address() string { return l.proxy.Listen }

// lost notes a time in which what was sent may be lost, with some room for what
// was under way.
func (l *link) lost(from, to time.Time) {
	const room = 3 * time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outages = append(l.outages, outage{from.Add(-room), to.Add(room)})
}

// wasLost reports whether something sent at a time may not have arrived.
func (l *link) wasLost(at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outages {
		if at.After(o.from) && at.Before(o.to) {
			return true
		}
	}
	return false
}

// cut ends all connections and refuses new ones for a while.
func (l *link) cut(ctx context.Context, long time.Duration) error {
	from := time.Now()
	l.proxy.Stop()
	wait(ctx, long)
	err := l.proxy.Start()
	l.lost(from, time.Now())
	return err
}

// hold lets connections stand and carries nothing for a while, then cuts them.
func (l *link) hold(ctx context.Context, long time.Duration) error {
	from := time.Now()
	err := l.toxic(ctx, long, "timeout", `{"timeout":0}`)
	l.lost(from, time.Now())
	return err
}

// slow delays everything for a while.
func (l *link) slow(ctx context.Context, long, latency time.Duration) error {
	return l.toxic(ctx, long, "latency", fmt.Sprintf(`{"latency":%d,"jitter":%d}`, latency.Milliseconds(), latency.Milliseconds()/2))
}

func (l *link) toxic(ctx context.Context, long time.Duration, kind, attributes string) error {
	for _, direction := range []string{"upstream", "downstream"} {
		body := fmt.Sprintf(`{"name":"%s_%s","type":"%s","stream":"%s","attributes":%s}`, kind, direction, kind, direction, attributes)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			return fmt.Errorf("proxy %s: %w", l.name, err)
		}
	}
	wait(ctx, long)
	l.proxy.Toxics.ResetToxics(context.WithoutCancel(ctx))
	return nil
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
