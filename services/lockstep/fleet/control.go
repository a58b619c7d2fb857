package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// controlClient waits long: a simulator that loads or tells a million contacts
// takes its time. Callers end their contexts earlier where they know better.
var controlClient = &http.Client{Timeout: 15 * time.Minute}

// Post makes a control call of a simulator and decodes the answer into into;
// nil drops it.
func Post(ctx context.Context, address, call string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/_sim/"+call, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	answer, err := Send(request)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// Get reads a page of a server.
func Get(ctx context.Context, address, path string) (body []byte, err error) {
	err = Stream(ctx, address, path, func(r io.Reader) error {
		body, err = io.ReadAll(r)
		return err
	})
	return body, err
}

// Stream hands the body of a server's page over as it comes.
func Stream(ctx context.Context, address, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	answer, err := open(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return read(answer.Body)
}

// Send makes a call and gives the body of a good answer.
func Send(request *http.Request) ([]byte, error) {
	answer, err := open(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// open makes a call and gives a good answer, whose body the caller closes.
func open(request *http.Request) (*http.Response, error) {
	answer, err := controlClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s %s: %d %s", request.Method, request.URL.Path, answer.StatusCode, body)
}
