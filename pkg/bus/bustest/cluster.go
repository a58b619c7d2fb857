package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep.internal/pkg/bus"
)

// Nodes is a cluster of servers in one process, on loopback ports.
type Nodes struct {
	// Bus is connected to all servers; its streams have a replica on each.
	Bus *bus.Bus

	t       testing.TB
	config  options
	options []*server.Options
	servers []*server.Server
	admin   *nats.Conn
}

// Cluster gives a cluster of n servers (three, usually), closed at the end of
// the test.
func Cluster(t testing.TB, n int, opts ...Option) *Nodes {
	t.Helper()
	o := options{}
	o.bus.Partitions, o.bus.Replicas, o.bus.Name = 1, n, t.Name()
	o.bus.Logger = slog.New(slog.DiscardHandler)
	for _, option := range opts {
		option(&o)
	}
	c := &Nodes{t: t, config: o, servers: make([]*server.Server, n)}
	t.Cleanup(func() {
		for i := range c.servers {
			c.StopServer(i)
		}
	})
	var routes []string
	ports := make([]int, 2*n)
	for i := range ports {
		ports[i] = freePort(t)
	}
	for i := range n {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[n+i]))
	}
	for i := range n {
		c.options = append(c.options, &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: ports[i],
			JetStream: true, StoreDir: Folder(t), JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[n+i]},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")), NoSigs: true, NoLog: true,
		})
	}
	for i := range n {
		c.StartServer(i)
	}
	urls := make([]string, n)
	for i := range n {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
	}
	c.config.bus.URL = strings.Join(urls, ",")
	var err error
	if c.admin, err = nats.Connect(c.config.bus.URL, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.admin.Close)
	c.Bus = c.Connect()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Bus.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Connect gives another bus on the cluster.
func (c *Nodes) Connect() *bus.Bus {
	c.t.Helper()
	b, err := bus.Connect(c.t.Context(), c.config.bus)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { closeBus(c.t, b) })
	return b
}

// StartServer starts a server on its folder.
func (c *Nodes) StartServer(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		c.t.Fatalf("server %d is not ready", i)
	}
	c.servers[i] = s
}

// StopServer stops a server; its folder stays.
func (c *Nodes) StopServer(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[i] = nil
	}
}

// StepDown makes the leader of a stream ("CHG-00") give way to another server.
// It reports whether there was a leader to ask.
func (c *Nodes) StepDown(stream string) bool {
	answer, err := c.admin.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 2*time.Second)
	if err != nil {
		return false
	}
	var response struct {
		Success bool `json:"success"`
	}
	return json.Unmarshal(answer.Data, &response) == nil && response.Success
}
