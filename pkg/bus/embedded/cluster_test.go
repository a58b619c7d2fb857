package embedded_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/bus/embedded"
	"lockstep.internal/pkg/contact"
)

// TestAClusterGoesOnWithoutOneNode, which catches up when it is back.
func TestAClusterGoesOnWithoutOneNode(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	const nodes = 3
	var routes, clients []string
	var configs [nodes]embedded.Config
	for i := range nodes {
		var ports [2]int
		for k := range ports {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ports[k] = l.Addr().(*net.TCPAddr).Port
			l.Close()
		}
		clients = append(clients, fmt.Sprintf("nats://127.0.0.1:%d", ports[0]))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[1]))
		configs[i] = embedded.Config{
			Dir: bustest.Folder(t), Port: ports[0], Name: fmt.Sprintf("node-%d", i), SyncInterval: time.Minute, Logger: quiet,
			Cluster: &embedded.Cluster{Name: "test", Port: ports[1]},
		}
	}
	var servers [nodes]*embedded.Server
	start := func(i int) {
		configs[i].Cluster.Routes = routes
		s, err := embedded.Start(ctx, configs[i])
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = s
	}
	for i := range nodes {
		start(i)
		defer func() { servers[i].Stop() }()
	}
	b, err := bus.Connect(ctx, bus.Config{URL: strings.Join(clients, ","), Partitions: 1, Replicas: nodes, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(ctx)
	if err := b.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	publish := func(id string) {
		t.Helper()
		message := bus.Message{Tenant: "acme", Incoming: []contact.Incoming{{Communication: &contact.Communication{ID: id}}}}
		for {
			err := b.Publisher(bus.Changes, 0).Publish(ctx, message)
			if err == nil {
				return
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	publish("with all")
	servers[0].Stop()
	publish("without one")
	start(0)
	for servers[0].Health() != nil {
		if ctx.Err() != nil {
			t.Fatalf("the node that is back is not healthy: %v", servers[0].Health())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
