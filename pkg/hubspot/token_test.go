package hubspot_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
)

// oauthServer answers token calls with numbered tokens, and API calls only for
// the newest of them.
type oauthServer struct {
	refreshes atomic.Int64
	revoked   atomic.Bool
	expired   atomic.Bool // refuse the newest token once
}

func (s *oauthServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/oauth/") {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("refresh_token") == "" || r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if s.revoked.Load() {
			answerJSON(w, 400, map[string]any{"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN", "message": "refresh token is invalid, expired or revoked"})
			return
		}
		time.Sleep(20 * time.Millisecond) // long enough for others to wait for it
		n := s.refreshes.Add(1)
		answerJSON(w, 200, map[string]any{"access_token": fmt.Sprintf("token-%d", n), "refresh_token": fmt.Sprintf("refresh-%d", n), "expires_in": 1800})
		return
	}
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", s.refreshes.Load()) || s.expired.CompareAndSwap(true, false) {
		answerJSON(w, 401, map[string]any{"category": "EXPIRED_AUTHENTICATION", "message": "expired"})
		return
	}
	answerJSON(w, 200, map[string]any{"portalId": 1})
}

// TestOAuth: one refresh serves all callers, happens ahead of the end and once
// after a 401, and a revoked connection is not asked again.
func TestOAuth(t *testing.T) {
	t.Parallel()
	hub := &oauthServer{}
	server := httptest.NewServer(hub)
	t.Cleanup(server.Close)
	budget := &ledger{}
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	var saved hubspot.Tokens
	source := hubspot.NewOAuth(hubspot.OAuthConfig{
		BaseURL: server.URL, ClientID: "c", ClientSecret: "s", Tokens: hubspot.Tokens{Refresh: "refresh-0"}, Budget: budget,
		Save: func(_ context.Context, tokens hubspot.Tokens) { saved = tokens }, Now: clock,
	})
	client := hubspot.NewClient(hubspot.ClientConfig{BaseURL: server.URL, Token: source, Budget: budget, Now: clock})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := client.Account(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := hub.refreshes.Load(); n != 1 {
		t.Fatalf("%d refreshes for 20 callers, want 1", n)
	}
	if saved.Access != "token-1" || saved.Refresh != "refresh-1" {
		t.Error("new tokens were not saved")
	}
	steps := []struct {
		name string
		do   func()
		want int64
	}{
		{"token lives", func() { advance(24 * time.Minute) }, 1},
		{"token is near its end", func() { advance(2 * time.Minute) }, 2},
		{"token is refused", func() { hub.expired.Store(true) }, 3},
	}
	for _, step := range steps {
		step.do()
		if _, err := client.Account(context.Background()); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if n := hub.refreshes.Load(); n != step.want {
			t.Errorf("%s: %d refreshes, want %d", step.name, n, step.want)
		}
	}
	hub.revoked.Store(true)
	advance(time.Hour)
	before, _ := budget.calls()
	for range 3 {
		if _, err := client.Account(context.Background()); !fault.Is(err, fault.Unauthorized) || fault.As(err).Reason != "BAD_REFRESH_TOKEN" {
			t.Errorf("revoked: got %v", err)
		}
	}
	if after, _ := budget.calls(); after != before+1 {
		t.Errorf("%d calls for a revoked connection, want 1", after-before)
	}
	budget.last(t)
}

// TestRefreshFailsForAWhile: a token that still lives is used while the token
// call fails.
func TestRefreshFailsForAWhile(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/oauth/") {
			w.WriteHeader(503)
			return
		}
		answerJSON(w, 200, map[string]any{"portalId": 1})
	}))
	t.Cleanup(server.Close)
	source := hubspot.NewOAuth(hubspot.OAuthConfig{
		BaseURL: server.URL, Budget: &ledger{}, Tokens: hubspot.Tokens{Access: "old", Refresh: "r", Expires: time.Now().Add(time.Minute)},
	})
	if token, err := source.Token(context.Background()); err != nil || token != "old" {
		t.Errorf("got an error or another token: %v", err)
	}
	if !source.Refused("old") {
		t.Error("a refused token must be renewable")
	}
	if _, err := source.Token(context.Background()); !fault.Is(err, fault.Transient) {
		t.Errorf("got %v, want transient", err)
	}
}
