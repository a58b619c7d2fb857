package hubspotsim

import (
	"bufio"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// journalVariable makes the test binary a simulator on the journal that it names.
const journalVariable = "HUBSPOTSIM_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(journalVariable); path != "" {
		sim, err := New(Config{Journal: path, Latency: -1, WindowLimit: 1 << 20})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(httptest.NewServer(sim.Handler()).URL)
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

// Every answered write is there after a SIGKILL in the middle of writing, and
// no batch that was refused or not answered is there in part.
func TestAnsweredWritesSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), journalVariable+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child did not start: %v", err)
	}
	remote := &bench{t: t, url: strings.TrimSpace(url)}

	const size, killAfter = 10, 60
	var mu sync.Mutex
	answered, tried := map[string]bool{}, []string{}
	enough := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("w%d.b%d", w, n)
				var list []any
				for i := range size {
					list = append(list, input("properties", props{"email": fmt.Sprintf("%s.%d@example.com", name, i)}))
				}
				mu.Lock()
				tried = append(tried, name)
				mu.Unlock()
				a := remote.do("POST", contactsPath+"/batch/create", inputs(list...))
				mu.Lock()
				if a.status == 201 {
					if answered[name] = true; len(answered) == killAfter {
						close(enough)
					}
				}
				mu.Unlock()
				if a.status == 0 {
					return // the child is dead
				}
			}
		})
	}
	<-enough
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // reports the kill
	writers.Wait()

	b := start(t, Config{Journal: path})
	for _, name := range tried {
		found := 0
		for i := range size {
			if b.sim.store.lookup(b.sim.store.schema.email, fmt.Sprintf("%s.%d@example.com", name, i)) != nil {
				found++
			}
		}
		if found != 0 && found != size || answered[name] && found == 0 {
			t.Errorf("batch %s: %d of %d contacts are there, answered %t", name, found, size, answered[name])
		}
	}
}
