// Package pipeline looks at what the installation is doing at this moment:
// how much each stage handles and how far it is behind, what waits in the lanes
// and how much of their quotas they use, and how long an edit takes to its
// write.
//
// It only looks; whoever shows what it saw chooses what the caller may see.
package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/postgres"
)

// How often a sample is taken while somebody looks, and while nobody does;
// whoever looked counts as looking for watched. A sample reads all lanes and the
// last minute of decisions, which is too much to do for nobody.
const (
	sampleEvery = 2 * time.Second
	idleEvery   = 30 * time.Second
	watched     = 10 * time.Second
	keepSamples = 450 // a quarter of an hour while somebody looks
)

// Config is what the room stands on.
type Config struct {
	Bus    *bus.Bus
	DB     *postgres.DB
	Health *daemon.Health
	Logger *slog.Logger
}

// Pipeline is the room. It is safe for concurrent use.
type Pipeline struct {
	config Config

	mu      sync.Mutex
	samples []*Sample
	news    chan struct{} // closed with the next sample
	looked  time.Time     // by whoever did last

	wanted chan struct{}   // somebody looks, and what there is is old
	marks  map[string]mark // by stage and partition; used by Run alone
}

// New makes the room.
func New(config Config) *Pipeline {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Pipeline{config: config, news: make(chan struct{}), wanted: make(chan struct{}, 1)}
}

// Sample is the state of the installation at one moment.
type Sample struct {
	At      int64   `json:"at"` // seconds since 1970
	Stages  []Stage `json:"stages"`
	Waiting int     `json:"waiting"` // rows of all lanes
	Failed  int     `json:"failed"`
	P50     float64 `json:"p50"` // milliseconds from an edit to its write
	P95     float64 `json:"p95"`
	P99     float64 `json:"p99"`
	Writes  int     `json:"writes"` // that the percentiles are of
	// Lanes are in the newest sample alone.
	Lanes []Lane `json:"-"`
	taken time.Time
}

// Stage is one stage of the pipeline, over all partitions.
type Stage struct {
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
	Owned      int    `json:"owned"`
	Applied    uint64 `json:"applied"`
	Behind     uint64 `json:"behind"`
	// Age is for how long what waits has waited at least; 0 for nothing.
	Age  time.Duration `json:"-"`
	Rate float64       `json:"rate"` // messages a second since the sample before
}

// Lane is what one tenant's writes into one system are doing.
type Lane struct {
	Tenant  contact.Tenant
	System  contact.System
	Rows    int // that wait
	Failed  int // of them, tried before
	Oldest  time.Time
	Pause   time.Time // until when the lane rests; zero for not at all
	Because string
	// Used calls of Most in ten seconds, and Today; Most 0 is not known.
	Used, Most, Today int
}

// Samples are those that are kept, the newest last, and a channel that is
// closed with the next one. Neither may be changed.
func (p *Pipeline) Samples() ([]*Sample, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = time.Now()
	if n := len(p.samples); n == 0 || p.looked.Sub(p.samples[n-1].taken) > sampleEvery {
		select {
		case p.wanted <- struct{}{}:
		default:
		}
	}
	return p.samples, p.news
}

// Newest is the last sample, which is half a minute old at most; nil before the
// first.
func (p *Pipeline) Newest() *Sample {
	samples, _ := p.Samples()
	if len(samples) == 0 {
		return nil
	}
	return samples[len(samples)-1]
}

// Fresh is a sample of now: where nobody looked before, it waits for the next one
// for a moment. nil before the first.
func (p *Pipeline) Fresh(ctx context.Context) *Sample {
	const longest = 3 * time.Second
	samples, news := p.Samples()
	if n := len(samples); n > 0 && time.Since(samples[n-1].taken) <= 2*sampleEvery {
		return samples[n-1]
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-news:
	}
	return p.Newest()
}

// Check asks the parts that the installation cannot work without, and gives
// what each says; "ok" for a good one.
func (p *Pipeline) Check(ctx context.Context) (says map[string]string, good bool) {
	return p.config.Health.Check(ctx)
}

// Troubles tells which stages had partitions that nobody worked on when the
// last sample was taken: no process of theirs may run that could tell. A probe
// that asks is nobody who looks.
func (p *Pipeline) Troubles() (troubles []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.samples) == 0 {
		return nil
	}
	for _, s := range p.samples[len(p.samples)-1].Stages {
		if s.Owned < s.Partitions {
			troubles = append(troubles, fmt.Sprintf("%s: of %d partitions %d have no owner", s.Name, s.Partitions, s.Partitions-s.Owned))
		}
	}
	return troubles
}

// Of are the lanes of one tenant.
func (s *Sample) Of(tenant contact.Tenant) []Lane {
	var lanes []Lane
	if s != nil {
		for _, lane := range s.Lanes {
			if lane.Tenant == tenant {
				lanes = append(lanes, lane)
			}
		}
	}
	return lanes
}

// ByTenant are the lanes of each tenant that has any.
func (s *Sample) ByTenant() map[contact.Tenant][]Lane {
	if s == nil {
		return nil
	}
	lanes := make(map[contact.Tenant][]Lane, len(s.Lanes))
	for _, lane := range s.Lanes {
		lanes[lane.Tenant] = append(lanes[lane.Tenant], lane)
	}
	return lanes
}

func (p *Pipeline) add(one *Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.samples); n > 0 {
		before := p.samples[n-1]
		for i := range one.Stages {
			for _, b := range before.Stages {
				if b.Name == one.Stages[i].Name && one.taken.After(before.taken) && one.Stages[i].Applied >= b.Applied {
					one.Stages[i].Rate = float64(one.Stages[i].Applied-b.Applied) / one.taken.Sub(before.taken).Seconds()
				}
			}
		}
	}
	kept := append([]*Sample(nil), p.samples[max(0, len(p.samples)+1-keepSamples):]...) // others read the old ones
	if n := len(kept); n > 0 {
		old := *kept[n-1]
		old.Lanes = nil
		kept[n-1] = &old
	}
	p.samples = append(kept, one)
	close(p.news)
	p.news = make(chan struct{})
}

// Run samples until ctx ends.
func (p *Pipeline) Run(ctx context.Context) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	var tried time.Time
	var took time.Duration
	for {
		p.mu.Lock()
		looked := p.looked
		p.mu.Unlock()
		if now := time.Now(); due(now, tried, looked, took) {
			tried = now
			one, err := p.look(ctx)
			if took = time.Since(now); err == nil {
				p.add(one)
			} else if ctx.Err() == nil {
				p.config.Logger.WarnContext(ctx, "the pipeline could not be looked at", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wanted:
		case <-ticker.C:
		}
	}
}

// due reports whether a sample is to be taken now: the last one was tried at a
// time and took so long, and somebody looked at another time. All that waits is
// counted for one, which shall keep the database busy for a twentieth of the time
// at most.
func due(now, tried, looked time.Time, took time.Duration) bool {
	every := idleEvery
	if now.Sub(looked) < watched {
		every = max(sampleEvery, 20*took)
	}
	return now.Sub(tried) >= every-sampleEvery/4 // a ticker is not exact
}
