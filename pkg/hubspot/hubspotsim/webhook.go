package hubspotsim

import (
	"container/heap"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// event is one webhook event in the journal's short form.
type event struct {
	ID           int64  `json:"id"`
	OccurredAt   int64  `json:"t"`
	Kind         string `json:"k"`
	ObjectID     int64  `json:"o"`
	Flag         string `json:"f,omitempty"`
	Property     string `json:"p,omitempty"`
	Value        string `json:"v,omitempty"`
	ChangeSource string `json:"s,omitempty"`
	SourceID     string `json:"i,omitempty"`
	Primary      int64  `json:"mp,omitempty"`
	Merged       int64  `json:"mm,omitempty"`
	New          int64  `json:"mn,omitempty"`
	Moved        int    `json:"mv,omitempty"`
}

// The numbers of webhook delivery.
const (
	batchEvents   = 100
	parallelPosts = 10
	maxRetries    = 10
	flushAfter    = 8 * time.Millisecond
	answerWithin  = 5 * time.Second
	longestHold   = 300 * time.Millisecond // of a reordered or repeated event
)

// disorder says how unreliable delivery is. Rates are probabilities.
type disorder struct {
	Duplicate float64 `json:"duplicate"`
	Reorder   float64 `json:"reorder"`
	Drop      float64 `json:"drop"`
	DelayMS   int     `json:"delay_ms"`
}

// parcel is a batch on its way.
type parcel struct {
	events  []event
	attempt int
	due     time.Time
	repeat  bool // a duplicate of a delivered batch, sent once
}

// hookStats counts deliveries.
type hookStats struct {
	Events  int64  `json:"events"`
	Sent    int64  `json:"sent"`
	Failed  int64  `json:"failed"`
	Retried int64  `json:"retried"`
	GivenUp int64  `json:"given_up"`
	Waiting int    `json:"waiting"`
	Last    string `json:"last_error,omitempty"`
}

// courier delivers webhooks. mu guards the fields below it.
type courier struct {
	secret string
	portal int64
	app    int64
	scale  float64
	now    func() time.Time
	log    *slog.Logger
	client *http.Client
	wake   chan struct{}

	mu       sync.Mutex
	url      string
	fresh    []event
	held     parcels
	inFlight int
	disorder disorder
	stats    hookStats
}

func newCourier(cfg Config) *courier {
	return &courier{
		secret: cfg.ClientSecret, portal: cfg.PortalID, app: cfg.AppID, scale: cfg.TimeScale, now: cfg.Now, log: cfg.Logger,
		url: cfg.WebhookURL, wake: make(chan struct{}, 1),
		client: &http.Client{
			Timeout:       answerWithin,
			Transport:     &http.Transport{MaxIdleConnsPerHost: parallelPosts, IdleConnTimeout: 30 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *courier) enabled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.url != ""
}

func (c *courier) setURL(url string) {
	c.mu.Lock()
	c.url = url
	c.mu.Unlock()
	c.signal()
}

func (c *courier) setDisorder(d disorder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disorder = d
}

// queue takes events for delivery.
func (c *courier) queue(events []event) {
	if len(events) == 0 {
		return
	}
	c.mu.Lock()
	c.stats.Events += int64(len(events))
	for _, ev := range events {
		if c.disorder.Reorder > 0 && rand.Float64() < c.disorder.Reorder {
			heap.Push(&c.held, &parcel{events: []event{ev}, due: time.Now().Add(rand.N(longestHold))})
			continue
		}
		c.fresh = append(c.fresh, ev)
	}
	c.mu.Unlock()
	c.signal()
}

func (c *courier) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *courier) report() hookStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Waiting = len(c.fresh) + c.inFlight
	for _, p := range c.held {
		s.Waiting += len(p.events)
	}
	return s
}

func (c *courier) resetStats() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats = hookStats{}
}

// run delivers until ctx ends. sent is told the ids of events that need no
// further delivery.
func (c *courier) run(ctx context.Context, sent func([]int64)) {
	var posts sync.WaitGroup
	defer posts.Wait()
	slots := make(chan struct{}, parallelPosts)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	flushing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			if !flushing { // events of one change and of its neighbours travel together
				timer.Reset(flushAfter)
				flushing = true
			}
			continue
		case <-timer.C:
			flushing = false
		}
		for {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			p, wait := c.next(time.Now())
			if p == nil {
				<-slots
				timer.Reset(wait)
				break
			}
			posts.Go(func() {
				defer func() { <-slots }()
				c.deliver(ctx, p, sent)
			})
		}
	}
}

// next takes the batch that is to be sent now, or says how long to wait for one.
func (c *courier) next(now time.Time) (*parcel, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.url == "" {
		return nil, time.Hour
	}
	if len(c.held) > 0 && !c.held[0].due.After(now) {
		p := heap.Pop(&c.held).(*parcel)
		c.inFlight += len(p.events)
		return p, 0
	}
	if n := min(len(c.fresh), batchEvents); n > 0 {
		p := &parcel{events: c.fresh[:n:n]}
		c.fresh = c.fresh[n:]
		c.inFlight += n
		return p, 0
	}
	if len(c.held) > 0 {
		return nil, c.held[0].due.Sub(now)
	}
	return nil, time.Hour
}

// deliver posts a batch and decides what becomes of it.
func (c *courier) deliver(ctx context.Context, p *parcel, sent func([]int64)) {
	c.mu.Lock()
	d, url := c.disorder, c.url
	c.mu.Unlock()
	reason := ""
	if d.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(d.DelayMS) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if d.Drop > 0 && rand.Float64() < d.Drop {
		reason = "dropped by the simulator"
	} else {
		reason = c.post(ctx, url, p)
	}
	if reason == "" && !p.repeat {
		sent(eventIDs(p.events))
	}

	c.mu.Lock()
	c.inFlight -= len(p.events)
	switch {
	case reason == "":
		c.stats.Sent++
		if !p.repeat && d.Duplicate > 0 && rand.Float64() < d.Duplicate {
			heap.Push(&c.held, &parcel{events: p.events, attempt: p.attempt, repeat: true, due: time.Now().Add(rand.N(longestHold))})
		}
	case ctx.Err() != nil || p.repeat:
		// Stopped half-way: the journal still has the events. A repeat is not worth a retry.
	case p.attempt >= maxRetries:
		c.stats.Failed++
		c.stats.GivenUp += int64(len(p.events))
		c.stats.Last = reason
		c.mu.Unlock()
		sent(eventIDs(p.events))
		c.log.Warn("webhook events given up", "events", len(p.events), "attempts", p.attempt+1, "reason", reason)
		c.signal()
		return
	default:
		c.stats.Failed++
		c.stats.Retried++
		c.stats.Last = reason
		heap.Push(&c.held, &parcel{events: p.events, attempt: p.attempt + 1, due: time.Now().Add(c.retryAfter(p.attempt))})
	}
	c.mu.Unlock()
	c.signal()
}

// retryAfter is about 1 s, 2 s, 4 s and so on, stretched by the time scale.
func (c *courier) retryAfter(attempt int) time.Duration {
	d := float64(time.Second) * float64(int(1)<<attempt) * c.scale
	return time.Duration(d * (0.8 + 0.4*rand.Float64()))
}

// post sends a batch and gives the reason of a failure, "" on success.
func (c *courier) post(ctx context.Context, url string, p *parcel) string {
	body, err := json.Marshal(c.wire(p))
	if err != nil {
		return "encoding the batch: " + err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return err.Error()
	}
	stamp := strconv.FormatInt(c.now().UnixMilli(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "*/*")
	req.Header.Set("User-Agent", "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client) - WebhooksExecutorDaemon-executor")
	req.Header.Set("X-HubSpot-Signature", signatureV1(c.secret, body))
	req.Header.Set("X-HubSpot-Signature-Version", "v1")
	req.Header.Set("X-HubSpot-Signature-v3", signatureV3(c.secret, http.MethodPost, url, body, stamp))
	req.Header.Set("X-HubSpot-Request-Timestamp", stamp)
	req.Header.Set("X-HubSpot-Timeout-Millis", "10000")
	resp, err := c.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // only so that the connection is used again
	if resp.StatusCode/100 != 2 {
		return "the receiver answered " + resp.Status
	}
	return ""
}

func eventIDs(events []event) []int64 {
	ids := make([]int64, len(events))
	for i, ev := range events {
		ids[i] = ev.ID
	}
	return ids
}

// markSent journals that events need no further delivery.
func (s *Sim) markSent(ids []int64) {
	if err := s.store.journal.write(&record{Op: opSent, Sent: ids}); err != nil {
		s.cfg.Logger.Error("writing the simulator's journal", "path", s.cfg.Journal, "error", err)
	}
}

// parcels is a heap by due time.
type parcels []*parcel

func (p parcels) Len() int           { return len(p) }
func (p parcels) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p parcels) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)        { *p = append(*p, x.(*parcel)) }
func (p *parcels) Pop() any {
	old := *p
	x := old[len(old)-1]
	*p = old[:len(old)-1]
	return x
}
