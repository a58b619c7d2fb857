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

var controlClient = &http.Client{Timeout: 30 * time.Second}

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
func Get(ctx context.Context, address, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	return Send(request)
}

// Send makes a call and gives the body of a good answer.
func Send(request *http.Request) ([]byte, error) {
	answer, err := controlClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %d %s", request.Method, request.URL.Path, answer.StatusCode, body)
	}
	return body, nil
}
