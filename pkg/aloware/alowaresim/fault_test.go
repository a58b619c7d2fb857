package alowaresim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// listen serves a handler until closed.
func listen(t *testing.T, h http.Handler) (url string, stop func()) {
	server := httptest.NewServer(h)
	return server.URL, server.Close
}

func TestFaultsHitTheirPathsAndExpire(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	a.control("faults", []object{
		{"path": "/api/v1/webhook/forms", "status": 503, "count": 2},
		{"path": "/api/*/users", "status": 429},
		{"path": "/api/v1/webhook/tags", "method": "PUT", "status": 500},
		{"path": "/api/v1/webhook/lines", "html": true, "count": 1},
	})
	for i, status := range []int{503, 503, 201} {
		if got := a.write("POST", "forms", object{"phone_number": dana}); got.status != status {
			t.Errorf("form %d: %d, want %d", i, got.status, status)
		}
	}
	if got := a.get("users"); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("users: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if got := a.get("tags"); got.status != 200 {
		t.Errorf("another method is hit: %d", got.status)
	}
	if got := a.get("lines"); !strings.Contains(got.raw, "<html") {
		t.Errorf("lines: %s", got.raw)
	}
	want(t, a.stats(), "throttled", "1")
	want(t, a.stats(), "bucket_overruns", "0")
	a.control("faults", []object{})
	if got := a.get("users"); got.status != 200 {
		t.Errorf("after the faults were cleared: %d", got.status)
	}
}

func TestDroppedAnswerHasDoneTheWork(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"drop_response", "truncate"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := open(t, quick())
			a.control("faults", []object{{"path": "/api/v1/webhook/forms", kind: true, "count": 1}})
			body := object{"api_token": token, "phone_number": dana}
			if _, err := send("POST", a.url+"/api/v1/webhook/forms", body); err == nil {
				t.Error("the answer came whole")
			}
			if got := a.get("contact/phone-number", "phone_number", dana); got.status != 200 {
				t.Errorf("the work was not done: %d", got.status)
			}
			want(t, a.stats()["by_status"].(object), "0", "1")
		})
	}
}
