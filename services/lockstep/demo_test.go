package lockstep_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep.internal/services/lockstep"
)

// childVariable makes this test binary run as the lockstep program, so that a
// test can kill it like any other process.
const childVariable = "LOCKSTEP_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "1" {
		lockstep.Main()
		return
	}
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// demo is one running demonstration: a process with everything in it.
type demo struct {
	t       testing.TB
	program string
	data    string
	env     []string
	console string
	args    []string
	ingest  string
	hubspot string
	aloware string

	mu      sync.Mutex
	command *exec.Cmd
	output  bytes.Buffer
}

// startDemo starts the demonstration on free ports and waits until it is ready.
// It is this test binary, with the race detector where that is on.
func startDemo(t testing.TB, env ...string) *demo {
	t.Helper()
	return startProgram(t, os.Args[0], env...)
}

// startProgram starts the demonstration of a given program.
func startProgram(t testing.TB, program string, env ...string) *demo {
	t.Helper()
	d := prepared(t, program, env...)
	d.args = append(d.args, "--demo")
	d.start()
	return d
}

// prepared is a process on free ports that is not started yet.
func prepared(t testing.TB, program string, env ...string) *demo {
	t.Helper()
	d := &demo{t: t, program: program, args: []string{"standalone"}, data: dataFolder(t), console: freeAddress(t), ingest: freeAddress(t), hubspot: freeAddress(t), aloware: freeAddress(t)}
	d.env = append(os.Environ(), childVariable+"=1",
		"LOCKSTEP_CONSOLE_ADDR="+d.console, "LOCKSTEP_INGEST_ADDR="+d.ingest,
		"LOCKSTEP_HUBSPOT_SIM_ADDR="+d.hubspot, "LOCKSTEP_ALOWARE_SIM_ADDR="+d.aloware,
		"LOCKSTEP_DATA="+d.data, "DATABASE_URL=", "OTEL_EXPORTER_OTLP_ENDPOINT=")
	d.env = append(d.env, env...)
	t.Cleanup(func() {
		if d.command != nil {
			d.stop()
		}
		if t.Failed() {
			d.mu.Lock()
			defer d.mu.Unlock()
			lines := strings.Split(strings.TrimSpace(d.output.String()), "\n")
			t.Logf("last output of lockstep:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
		}
	})
	return d
}

// dataFolder is a folder that a server running as another account can reach:
// t.TempDir lies in a folder that only its owner may enter.
func dataFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lockstep-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// freeAddress is an address below the range that the kernel gives to outgoing
// connections, which could take it while the process is down.
func freeAddress(t testing.TB) string {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		if given.ports[port] {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			given.ports[port] = true
			return address
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}

// given are the ports that tests have, which may not listen on them yet.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: make(map[int]bool)}

// start starts the process and waits for its line "ready".
func (d *demo) start() {
	d.t.Helper()
	command := exec.Command(d.program, d.args...)
	command.Env = d.env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := command.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	command.Stderr = d
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.command = command
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(d, lines.Text())
			if strings.HasPrefix(lines.Text(), "ready") {
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if !ok {
			d.t.Fatal("lockstep ended before it was ready")
		}
	case <-time.After(90 * time.Second):
		d.t.Fatal("lockstep was not ready within 90 s")
	}
}

// Write keeps what the process prints.
func (d *demo) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.Write(p)
}

// kill ends the process at once, as a crash would.
func (d *demo) kill() {
	d.command.Process.Kill()
	d.command.Wait()
}

// stop ends the process as an operator would, and reports how.
func (d *demo) stop() error {
	d.command.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- d.command.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		d.command.Process.Kill()
		return fmt.Errorf("lockstep did not stop within 30 s of SIGTERM")
	}
}

var client = &http.Client{Timeout: 20 * time.Second}

// post sends a control call and decodes its answer into into (nil for none).
func (d *demo) post(address, path string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	answer, err := client.Post("http://"+address+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %d %s", path, answer.StatusCode, text)
	}
	if into != nil {
		return json.Unmarshal(text, into)
	}
	return nil
}

func (d *demo) mustPost(address, path string, body, into any) {
	d.t.Helper()
	if err := d.post(address, path, body, into); err != nil {
		d.t.Fatal(err)
	}
}

// contacts are all contacts of a simulator, by id, fields as text.
func (d *demo) contacts(address, query string) map[string]map[string]string {
	d.t.Helper()
	answer, err := client.Get("http://" + address + "/_sim/contacts" + query)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	contacts := make(map[string]map[string]string)
	decoder := json.NewDecoder(answer.Body)
	decoder.UseNumber()
	for decoder.More() {
		var raw map[string]any
		if err := decoder.Decode(&raw); err != nil {
			d.t.Fatal(err)
		}
		fields := make(map[string]string)
		for name, value := range raw {
			if value != nil {
				fields[name] = fmt.Sprint(value)
			}
		}
		contacts[fields["id"]] = fields
	}
	return contacts
}

func (d *demo) stats(address string) map[string]any {
	d.t.Helper()
	answer, err := client.Get("http://" + address + "/_sim/stats")
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	var stats map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		d.t.Fatal(err)
	}
	return stats
}

// eventually waits until a condition holds; it reports the last reason why not.
func eventually(t testing.TB, within time.Duration, holds func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		reason := holds()
		if reason == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", within, reason)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pairs are the ids of contacts that exist on both sides, by HubSpot id.
func (d *demo) pairs() map[string]string {
	d.t.Helper()
	byPhone := make(map[string]string)
	for id, fields := range d.contacts(d.aloware, "") {
		byPhone[fields["phone_number"]] = id
	}
	pairs := make(map[string]string)
	for id, fields := range d.contacts(d.hubspot, "") {
		if other, ok := byPhone[fields["phone"]]; ok && fields["phone"] != "" {
			pairs[id] = other
		}
	}
	return pairs
}
