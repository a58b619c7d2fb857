// Package hubspotsim is a HubSpot account on a local socket: the contact,
// property, owner and OAuth calls that Lockstep makes, the webhooks that it
// receives, and a page on which a person edits contacts.
//
// It promises the behaviour that was observed of the real service, quirks and
// limits included, on one store behind the legacy, 2026-03 and 2026-09 paths.
// What was answered survives a SIGKILL of the process when a journal is
// configured. Faults, slow answers and webhook disorder are injected through
// the control calls below /_sim/.
//
// It never imports another package of ours, so that a misreading of HubSpot
// cannot hide on both sides of a test, and never speaks to the real HubSpot.
package hubspotsim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Config holds the settings of a simulated account with one installed app.
// A zero field takes its default.
type Config struct {
	// Token is the static bearer token, as of a private app. Default "demo-hubspot-token".
	Token string
	// AppID names the app whose API calls are ours. Default 1001.
	AppID int64
	// PortalID names the account. Default 2002.
	PortalID int64
	// ClientID is the OAuth client. Default "demo-client".
	ClientID string
	// ClientSecret is the OAuth secret and the key that signs webhooks. Default "demo-secret".
	ClientSecret string
	// WebhookURL is the public URL that receives webhooks. Empty sends and keeps none.
	WebhookURL string
	// Journal is the path of the append-only journal. Empty keeps everything in memory.
	Journal string
	// WindowLimit is the number of calls an app may make in 10 s. Default 190.
	WindowLimit int
	// DailyLimit is the number of calls an account may make in a day. Default 625,000.
	DailyLimit int
	// TimeScale stretches the delays of webhook retries. Default 1: about 1 s, 2 s, 4 s and so on.
	TimeScale float64
	// SearchLag is the longest time until search sees a change. Each change takes
	// its own random part of it, so changes appear out of order. Default 2 s, negative is none.
	SearchLag time.Duration
	// Latency is the time every API answer takes at least. Default 5 ms, negative is none.
	Latency time.Duration
	// Now tells the time. Default time.Now.
	Now func() time.Time
	// Logger receives what an operator can act on. Default discards.
	Logger *slog.Logger
}

// withDefaults fills the zero fields and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	c.Token = orText(c.Token, "demo-hubspot-token")
	c.ClientID = orText(c.ClientID, "demo-client")
	c.ClientSecret = orText(c.ClientSecret, "demo-secret")
	if c.AppID == 0 {
		c.AppID = 1001
	}
	if c.PortalID == 0 {
		c.PortalID = 2002
	}
	if c.WindowLimit == 0 {
		c.WindowLimit = 190
	}
	if c.DailyLimit == 0 {
		c.DailyLimit = 625_000
	}
	if c.TimeScale == 0 {
		c.TimeScale = 1
	}
	if c.SearchLag == 0 {
		c.SearchLag = 2 * time.Second
	}
	if c.Latency == 0 {
		c.Latency = 5 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.WindowLimit < 0 || c.DailyLimit < 0 || c.TimeScale < 0 {
		return c, fmt.Errorf("hubspotsim config: WindowLimit, DailyLimit and TimeScale must not be negative: use 0 for the default")
	}
	return c, checkWebhookURL(c.WebhookURL)
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func checkWebhookURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("webhook URL %q is not an absolute http or https URL: give one like http://127.0.0.1:8080/hubspot/webhooks, or leave it empty", text)
	}
	return nil
}

// Sim is one simulated HubSpot account. Make it with New.
type Sim struct {
	cfg     Config
	started time.Time
	store   *store
	limits  *limiter
	faults  *faultList
	stats   *statistics
	hooks   *courier
	tokens  *tokenBook

	workflows *workflows
}

// New makes the account, replaying the journal when one is configured. The
// caller serves Handler and runs Run. The journal stays open as long as the Sim
// is in use, so that no answer given while Run stops is lost.
func New(cfg Config) (*Sim, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sim{cfg: cfg, started: cfg.Now(), faults: newFaultList(), stats: newStatistics(), tokens: newTokenBook(), workflows: newWorkflows()}
	s.limits = newLimiter(cfg.WindowLimit, cfg.DailyLimit)
	s.hooks = newCourier(cfg)
	s.store, err = newStore(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.replay(); err != nil {
		return nil, fmt.Errorf("replaying hubspotsim journal %s: %w", cfg.Journal, err)
	}
	return s, nil
}

// Handler serves the API, the OAuth consent page, the control calls below
// /_sim/ and the page for people at /.
func (s *Sim) Handler() http.Handler {
	return http.HandlerFunc(s.serve)
}

// Run delivers webhooks and lets workflows act until ctx ends, and returns when
// all of it has stopped. What was not delivered stays in the journal for the next
// start.
func (s *Sim) Run(ctx context.Context) error {
	var working sync.WaitGroup
	working.Go(func() { s.work(ctx) })
	s.hooks.run(ctx, s.markSent)
	working.Wait()
	return s.store.journal.flush()
}
