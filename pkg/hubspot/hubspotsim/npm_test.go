//go:build unix

package hubspotsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// officialClient is HubSpot's own client for Node, which judges the simulator.
const officialClient = "@hubspot/api-client@13.5.0"

// installClient gives a folder whose node_modules holds the client. Parallel
// runs wait for each other at a lock file.
func installClient(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not on the PATH: install the package nodejs (version 20 or newer, with npm), then run the test again", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("no user cache directory for the npm client: %v: set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(cache, "lockstep", "npm-hubspot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close() // gives the lock up as well
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("locking %s: %v", lock.Name(), err)
	}
	if installed(dir) {
		return dir
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"lockstep-hubspotsim-test","private":true}`), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--no-save", officialClient)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install %s in %s: %v: check the network and npm's own settings:\n%s", officialClient, dir, err, out)
	}
	if !installed(dir) {
		t.Fatalf("npm install %s left no client in %s: delete the folder and run the test again", officialClient, dir)
	}
	return dir
}

func installed(dir string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, "node_modules", "@hubspot", "api-client", "package.json"))
	var p struct{ Version string }
	return err == nil && json.Unmarshal(raw, &p) == nil && strings.HasSuffix(officialClient, "@"+p.Version)
}

func TestOfficialClientWorksWithTheSimulator(t *testing.T) {
	t.Parallel()
	dir := installClient(t)
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
