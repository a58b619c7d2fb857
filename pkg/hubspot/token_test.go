package hubspot_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
)

// TestTokenCalls: what the token endpoint answers, and what becomes of it.
func TestTokenCalls(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		status int
		body   map[string]any
		want   hubspot.Tokens
		fails  bool
		class  fault.Class
	}{
		{"new tokens", 200, map[string]any{"access_token": "a", "refresh_token": "r2", "expires_in": 1800}, hubspot.Tokens{Access: "a", Refresh: "r2", Expires: now.Add(30 * time.Minute)}, false, 0},
		{"the refresh token stays", 200, map[string]any{"access_token": "a", "expires_in": 60}, hubspot.Tokens{Access: "a", Refresh: "r1", Expires: now.Add(time.Minute)}, false, 0},
		{"no life told", 200, map[string]any{"access_token": "a"}, hubspot.Tokens{Access: "a", Refresh: "r1", Expires: now.Add(30 * time.Minute)}, false, 0},
		{"no token", 200, map[string]any{}, hubspot.Tokens{}, true, fault.Transient},
		{"revoked", 400, map[string]any{"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN", "message": "refresh token is invalid, expired or revoked"}, hubspot.Tokens{}, true, fault.Unauthorized},
		{"the app's secret is wrong", 401, map[string]any{"error": "invalid_client", "status": "BAD_CLIENT_SECRET", "message": "missing or invalid client secret"}, hubspot.Tokens{}, true, fault.Unauthorized},
		{"out of order", 503, map[string]any{}, hubspot.Tokens{}, true, fault.Transient},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" || r.PostForm.Get("refresh_token") != "r1" || r.PostForm.Get("client_id") != "c" || r.PostForm.Get("client_secret") != "s" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				answerJSON(w, test.status, test.body)
			}))
			t.Cleanup(server.Close)
			budget := &ledger{}
			app := hubspot.OAuthApp{BaseURL: server.URL, ClientID: "c", ClientSecret: "s", Budget: budget, Now: func() time.Time { return now }}
			got, err := app.Refresh(context.Background(), "r1")
			if got != test.want || (err != nil) != test.fails || err != nil && !fault.Is(err, test.class) {
				t.Errorf("got %+v and %v, want %+v and class %v", got, err, test.want, test.class)
			}
			if calls, _ := budget.calls(); calls != 1 {
				t.Errorf("%d tickets were taken, want 1", calls)
			}
		})
	}
}
