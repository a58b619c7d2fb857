package hubspotsim

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// FuzzBodies sends any body to the calls that decode one: none may panic, and
// none may answer with a status of 500 but the documented one.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"properties":{"email":"a@example.com","closedate":1}}`, `{"inputs":[{"id":1,"idProperty":"email","properties":{"firstname":"x"},"objectWriteTraceId":"0"}]}`,
		`{"filterGroups":[{"filters":[{"propertyName":"email","operator":"IN","values":["a"]}]}],"sorts":["-email"],"limit":"5","after":1}`,
		`{"name":"p","label":"P","type":"enumeration","fieldType":"checkbox","groupName":"contactinformation","options":[{"label":"a","value":"a"}]}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	sim, err := New(Config{Latency: -1, WindowLimit: 1 << 30, DailyLimit: 1 << 30})
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{contactsPath, contactsPath + "/batch/create", contactsPath + "/batch/read", contactsPath + "/batch/update", contactsPath + "/batch/upsert",
		contactsPath + "/search", contactsPath + "/merge", contactsPath + "/gdpr-delete", "/crm/properties/2026-09/contacts", "/crm/properties/2026-09/contacts/batch/create",
		"/crm/properties/2026-09/contacts/groups", "/oauth/v1/token", "/_sim/edit", "/_sim/faults", "/_sim/options"}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range paths {
			_ = sim.faults.install(nil) // an empty list is always taken
			sim.limits.reset()
			r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			r.Header.Set("Authorization", "Bearer demo-hubspot-token")
			w := httptest.NewRecorder()
			sim.Handler().ServeHTTP(w, r)
			if w.Code == http.StatusInternalServerError && path != contactsPath+"/search" {
				t.Errorf("%s %q: status 500", path, body)
			}
		}
	})
}

// FuzzJournal opens any file as a journal: New may refuse it, but not panic.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"op":"create","id":5,"at":1,"v":[["email","a@example.com"]]}` + "\n" + `{"op":"set","id":5,"v":[["city","x"]]}` + "\n"))
	f.Add([]byte(`{"op":"merge","id":5,"other":6,"new":7}` + "\n"))
	f.Add([]byte(`{"op":"contact","full":{"id":5,"by":{"k":"x"}}}` + "\n" + `{"op":"to`))
	f.Add([]byte(`{"op":"property"}` + "\n" + `{"op":"load"}` + "\n"))
	f.Fuzz(func(t *testing.T, journal []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, journal, 0o600); err != nil {
			t.Fatal(err)
		}
		if sim, err := New(Config{Journal: path}); err == nil {
			_ = sim.store.journal.file.Close() // only the file handle matters here
		}
	})
}
