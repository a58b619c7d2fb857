package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestATimeoutIsForTheBeginningOfAnAnswer: a server that says nothing is given up,
// one that tells its answer in parts is heard to the end.
func TestATimeoutIsForTheBeginningOfAnAnswer(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-ended
			return
		}
		for range 4 {
			io.WriteString(w, "part ")
			w.(http.Flusher).Flush()
			timer := time.NewTimer(100 * time.Millisecond)
			<-timer.C
		}
	}))
	defer server.Close()
	defer close(ended)
	c := &CLI{server: server.URL, output: "table", token: "t", timeout: 150 * time.Millisecond}
	client, address, _, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := client.Get(address + "/silent"); err == nil {
		answer.Body.Close()
		t.Error("a silent server was waited for")
	}
	answer, err := client.Get(address + "/parts")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "part part part part " {
		t.Errorf("got %q, %v", body, err)
	}
}
