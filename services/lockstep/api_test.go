package lockstep_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// call makes an API call as any other program would: JSON over HTTP with the
// operator's token. It gives the answer, or the error's code and message.
func (d *demo) call(procedure string, request map[string]any) (answer map[string]any, err error) {
	d.t.Helper()
	token, err := os.ReadFile(filepath.Join(d.data, "operator.token"))
	if err != nil {
		d.t.Fatal(err)
	}
	raw, err := json.Marshal(request)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+d.console+"/console.v1."+procedure, bytes.NewReader(raw))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %d %s", procedure, response.StatusCode, text)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return answer, decoder.Decode(&answer)
}

func (d *demo) must(procedure string, request map[string]any) map[string]any {
	d.t.Helper()
	answer, err := d.call(procedure, request)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer
}

// mapping gives the version in force and its mappings by key.
func (d *demo) mapping() (version any, byKey map[string]map[string]any) {
	d.t.Helper()
	answer := d.must("MappingService/GetMapping", map[string]any{"tenant": "demo"})
	byKey = make(map[string]map[string]any)
	for _, m := range answer["mappings"].([]any) {
		one := m.(map[string]any)
		byKey[one["key"].(string)] = one
	}
	return answer["version"].(map[string]any)["version"], byKey
}

// edit saves a new mapping version.
func (d *demo) edit(edits ...map[string]any) error {
	d.t.Helper()
	version, _ := d.mapping()
	_, err := d.call("MappingService/EditMapping", map[string]any{"tenant": "demo", "basedOn": version, "edits": edits, "reason": "test"})
	return err
}

// decodeJSON reads one JSON value.
func decodeJSON(r io.Reader, into any) error { return json.NewDecoder(r).Decode(into) }
