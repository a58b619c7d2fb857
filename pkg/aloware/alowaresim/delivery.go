package alowaresim

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// delivery is an event on its way to one webhook. Due is in microseconds.
type delivery struct {
	Seq      int64           `json:"n"`
	Webhook  int             `json:"w"` // its place in the settings
	Event    string          `json:"e,omitempty"`
	Due      int64           `json:"at"`
	Body     json.RawMessage `json:"b"`
	attempts int
}

// queue is a heap of deliveries to one webhook, the earliest first.
type queue struct {
	waiting []*delivery
	active  int
}

func (q *queue) Len() int { return len(q.waiting) }
func (q *queue) Less(i, j int) bool {
	a, b := q.waiting[i], q.waiting[j]
	return a.Due < b.Due || a.Due == b.Due && a.Seq < b.Seq
}
func (q *queue) Swap(i, j int) { q.waiting[i], q.waiting[j] = q.waiting[j], q.waiting[i] }
func (q *queue) Push(x any)    { q.waiting = append(q.waiting, x.(*delivery)) }
func (q *queue) Pop() any {
	last := q.waiting[len(q.waiting)-1]
	q.waiting[len(q.waiting)-1] = nil
	q.waiting = q.waiting[:len(q.waiting)-1]
	return last
}

// outbox holds what is still to be delivered, and what is still to happen.
type outbox struct {
	queues []*queue // by webhook
	steps  steps
	next   int64 // sequence number of the latest delivery
}

func (o *outbox) queue(webhook int) *queue {
	for len(o.queues) <= webhook {
		o.queues = append(o.queues, &queue{})
	}
	return o.queues[webhook]
}

// put lets a delivery wait for its time.
func (o *outbox) put(d *delivery) { heap.Push(o.queue(d.Webhook), d) }

func (o *outbox) pending() int {
	n := 0
	for _, q := range o.queues {
		n += len(q.waiting) + q.active
	}
	return n
}

// disorder spoils deliveries. The rates are probabilities.
type disorder struct {
	Duplicate float64 `json:"duplicate"`
	Reorder   float64 `json:"reorder"` // lets later deliveries overtake
	Drop      float64 `json:"drop"`
	DelayMS   int     `json:"delay_ms"`
}

// maxOvertake is how long a delivery is held back so that others overtake it.
const maxOvertake = 250 * time.Millisecond

// post makes a delivery. It leaves when what is under way is in the journal.
func (s *Sim) post(webhook int, event string, body []byte) {
	if rand.Float64() < s.disorder.Drop {
		s.stats.Webhooks.Dropped++
		return
	}
	copies := 1
	if rand.Float64() < s.disorder.Duplicate {
		s.stats.Webhooks.Duplicated++
		copies = 2
	}
	for range copies {
		due := s.now().Add(s.set.Webhooks[webhook].Delay + time.Duration(s.disorder.DelayMS)*time.Millisecond)
		if rand.Float64() < s.disorder.Reorder {
			due = due.Add(rand.N(maxOvertake))
		}
		s.outbox.next++
		s.tx.Deliveries = append(s.tx.Deliveries, &delivery{
			Seq: s.outbox.next, Webhook: webhook, Event: event, Due: due.UnixMicro(), Body: body,
		})
	}
}

// pump does what is due and gives the time until more is.
func (s *Sim) pump(ctx context.Context, attempts *sync.WaitGroup) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.outbox.steps) > 0 && s.outbox.steps[0].Due <= s.now().UnixMicro() {
		s.proceed(heap.Pop(&s.outbox.steps).(step))
		if err := s.commit(); err != nil {
			s.log.Error("the journal of the Aloware simulator cannot be written", "error", err)
		}
	}
	react := s.react()
	if err := s.commit(); err != nil {
		s.log.Error("the journal of the Aloware simulator cannot be written", "error", err)
	}
	next := time.Hour
	soon := func(due int64) { next = min(next, max(0, time.UnixMicro(due).Sub(s.now()))) }
	if len(s.outbox.steps) > 0 {
		soon(s.outbox.steps[0].Due)
	}
	if !react.IsZero() {
		soon(react.UnixMicro())
	}
	for i, q := range s.outbox.queues {
		if i >= len(s.set.Webhooks) {
			break // kept until there is such a webhook again
		}
		for q.active < s.parallel && len(q.waiting) > 0 {
			if q.waiting[0].Due > s.now().UnixMicro() {
				soon(q.waiting[0].Due)
				break
			}
			d := heap.Pop(q).(*delivery)
			q.active++
			hook := s.set.Webhooks[i]
			attempts.Go(func() { s.attempt(ctx, &hook, d) })
		}
	}
	return next
}

// attempt delivers once. A failed delivery is not repeated unless the account
// is set so; one that was cut short by the end of ctx stays.
func (s *Sim) attempt(ctx context.Context, hook *Webhook, d *delivery) {
	ok := s.send(ctx, hook, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.outbox.queue(d.Webhook)
	q.active--
	if !ok && ctx.Err() != nil {
		heap.Push(q, d)
		return
	}
	d.attempts++
	s.stats.delivered(ok)
	if !ok && d.attempts <= s.set.Redeliver {
		d.Due = s.now().Add(s.set.scaled(time.Second)).UnixMicro()
		heap.Push(q, d)
		s.rouse()
		return
	}
	s.tx.Done = append(s.tx.Done, done{d.Seq, ok})
	if err := s.commit(); err != nil {
		s.log.Error("the journal of the Aloware simulator cannot be written", "error", err)
	}
	s.rouse()
}

func newWebhookClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // a simulator speaks to this machine or its network only
	transport.MaxIdleConnsPerHost = 16
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes the request with the headers that were seen.
func (s *Sim) send(ctx context.Context, hook *Webhook, d *delivery) bool {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(d.Body))
	if err != nil {
		s.log.Error("a webhook's URL is not usable; correct it in the settings", "webhook", d.Webhook)
		return false
	}
	r.Header.Set("User-Agent", "GuzzleHttp/7")
	r.Header.Set("Content-Type", "application/json")
	switch hook.Auth {
	case "basic":
		r.SetBasicAuth(hook.User, hook.Password)
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+hook.Token)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // so that the connection can be used again
	return answer.StatusCode/100 == 2
}
