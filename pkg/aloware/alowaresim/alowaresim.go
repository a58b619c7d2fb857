// Package alowaresim is an Aloware account on a local socket: the calls that
// Aloware documents, those that Lockstep assumes, the webhooks, and pages on
// which a person edits contacts, calls and texts.
//
// It promises the behaviour that was read or observed of the real service,
// quirks included: one contact per phone number, web pages for unknown paths,
// webhooks that come at most once. What was answered survives a SIGKILL of the
// process when a journal is configured. Faults, slow answers and disorder of
// webhooks are injected through the control calls below /_sim/.
//
// It never imports another package of ours, so that a misreading of Aloware
// cannot hide on both sides of a test, and never speaks to the real Aloware.
package alowaresim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Config holds the settings of a simulated account. A zero field takes its
// default.
type Config struct {
	// Token is the api_token of the account's admin. Default "demo-aloware-token".
	Token string
	// Webhooks receive the events. Empty sends and keeps none.
	Webhooks []Webhook
	// Profile is "full", or "documented": the calls that nobody documented then
	// answer the web page. Default "full".
	Profile string
	// Journal is the path of the append-only journal. Empty keeps everything in memory.
	Journal string
	// Rate is how many calls per second refill the bucket. Default 5, negative is no limit.
	Rate float64
	// Burst is how many calls the bucket holds. Default 10.
	Burst int
	// TimeScale stretches the delays between the events of one call. Default 1:
	// a call's outcome is restated after 6.6 s.
	TimeScale float64
	// Latency is the time that every API answer takes, half before and half after
	// the work. Default 20 ms, negative is none.
	Latency time.Duration
	// WebhookTimeout bounds one delivery. Default 2 minutes.
	WebhookTimeout time.Duration
	// Parallel is how many deliveries a webhook gets at once. Default 1, in order.
	Parallel int
	// Switches turn single behaviours on and off. Nil is DefaultSwitches.
	Switches *Switches
	// Now tells the time. Default time.Now.
	Now func() time.Time
	// Logger receives what an operator can act on. Default discards.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Token == "" {
		c.Token = "demo-aloware-token"
	}
	if c.Profile == "" {
		c.Profile = profileFull
	}
	if c.Rate == 0 {
		c.Rate = 5
	}
	if c.Burst == 0 {
		c.Burst = 10
	}
	if c.TimeScale == 0 {
		c.TimeScale = 1
	}
	if c.Latency == 0 {
		c.Latency = 20 * time.Millisecond
	}
	if c.WebhookTimeout == 0 {
		c.WebhookTimeout = 2 * time.Minute
	}
	if c.Parallel <= 0 {
		c.Parallel = 1
	}
	if c.Switches == nil {
		switches := DefaultSwitches()
		c.Switches = &switches
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Sim is one simulated Aloware account. Make it with New.
type Sim struct {
	token    string
	timeout  time.Duration
	parallel int
	now      func() time.Time
	log      *slog.Logger
	client   *http.Client
	wake     chan struct{} // holds one value when Run has something to look at

	mu       sync.Mutex // guards everything below
	set      settings
	fixed    settings // as configured, without what the control calls changed
	override override
	store    *store
	lists    directory
	limits   limiter
	stats    statistics
	faults   []*injected
	// What automations are there, and what they are about to do.
	automations []*automation
	reactions   []reaction
	disorder    disorder
	outbox      outbox
	journal     journal
	tx          record // what the work under way has changed so far
}

// New makes an account of the journal, or a fresh one with its users,
// dispositions and lines when there is none.
func New(cfg Config) (*Sim, error) {
	cfg = cfg.withDefaults()
	s := &Sim{
		token: cfg.Token, timeout: cfg.WebhookTimeout, parallel: cfg.Parallel, now: cfg.Now, log: cfg.Logger,
		client: newWebhookClient(), wake: make(chan struct{}, 1),
		store: newStore(), lists: defaultDirectory(), stats: newStatistics(),
	}
	s.fixed = settings{
		Profile: cfg.Profile, Rate: cfg.Rate, Burst: cfg.Burst, TimeScale: cfg.TimeScale,
		LatencyMS: float64(cfg.Latency) / float64(time.Millisecond), Webhooks: cfg.Webhooks, Switches: *cfg.Switches,
	}
	if err := s.fixed.check(); err != nil {
		return nil, fmt.Errorf("alowaresim config: %w", err)
	}
	s.set = s.fixed
	s.limits.level = float64(cfg.Burst)
	if cfg.Journal != "" {
		if err := s.open(cfg.Journal); err != nil {
			return nil, fmt.Errorf("journal %s: %w", cfg.Journal, err)
		}
	}
	return s, nil
}

// Close closes the journal's file. Call it after Run has returned and the
// handler is no longer used.
func (s *Sim) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.close()
}

// Run delivers webhooks and carries out what is to happen later. It returns
// nil when ctx ends, with everything it started stopped; deliveries whose
// attempt was cut short stay in the journal.
func (s *Sim) Run(ctx context.Context) error {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.pump(ctx, &attempts))
	}
}

// rouse makes Run look for what is due.
func (s *Sim) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// work does something under the lock and writes what it changed to the journal
// before it returns, so that nobody hears of what could be lost.
func (s *Sim) work(do func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	return s.commit()
}

// second is the account's clock, which has whole seconds.
func (s *Sim) second() int64 { return s.now().Unix() }
