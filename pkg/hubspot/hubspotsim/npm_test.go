//go:build unix

package hubspotsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"lockstep.internal/pkg/npmtest"
)

func TestOfficialClientWorksWithTheSimulator(t *testing.T) {
	t.Parallel()
	dir := npmtest.Install(t, "@hubspot/api-client", "13.5.0") // HubSpot's own client judges the simulator
	b, in := hooked(t, Config{}, nil)
	b.run()

	type delivery struct {
		URL       string `json:"url"`
		Body      string `json:"body"`
		V1        string `json:"v1"`
		V3        string `json:"v3"`
		Timestamp string `json:"timestamp"`
	}
	var deliveries []delivery
	id := b.make(props{"firstname": "Zoë 漢字 😀"})
	for range 2 {
		p := in.next(t)
		deliveries = append(deliveries, delivery{in.server.URL + "/hooks?x=1", string(p.body), p.header.Get("X-HubSpot-Signature"),
			p.header.Get("X-HubSpot-Signature-v3"), p.header.Get("X-HubSpot-Request-Timestamp")})
		if len(deliveries) == 1 {
			b.do("POST", "/_sim/privacy-delete", props{"id": id}).want(t, 200)
		}
	}
	vectors, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/client.cjs")
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := json.Marshal(map[string]any{"base": b.url, "token": "demo-hubspot-token", "secret": "demo-secret",
		"vectors": json.RawMessage(vectors), "deliveries": deliveries})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "-e", string(script))
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the client does not work with the simulator: %v\n%s", err, out)
	}
	fmt.Fprintf(t.Output(), "%s", out)
}
