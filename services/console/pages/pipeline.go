package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
)

// pipelineRoutes are the page of what the installation is doing, and its stream.
func (p *Pages) pipelineRoutes() []route {
	anywhere := need{role: access.Viewer, where: forAny}
	return []route{
		{pattern: "GET /pipeline", need: anywhere, serve: p.pipelinePage},
		{pattern: "GET /pipeline/events", need: anywhere, serve: p.pipelineEvents},
	}
}

// How often a sample is taken, how many are kept, and how long one stream of
// them lasts before the browser begins another.
const (
	sampleEvery = 2 * time.Second
	keepSamples = 450 // a quarter of an hour
	streamLife  = 10 * time.Minute
)

// sample is the state of the installation at one moment.
type sample struct {
	At      int64         `json:"at"` // seconds since 1970
	Stages  []stageSample `json:"stages"`
	Waiting int           `json:"waiting"` // rows of all lanes
	Failed  int           `json:"failed"`
	P50     float64       `json:"p50"` // milliseconds from an edit to its write
	P95     float64       `json:"p95"`
	P99     float64       `json:"p99"`
	Writes  int           `json:"writes"` // that the percentiles are of
	Lanes   []laneSample  `json:"-"`
}

type stageSample struct {
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
	Owned      int    `json:"owned"`
	Applied    uint64 `json:"applied"`
	Behind     uint64 `json:"behind"`
	// Age is for how long what waits has waited at least; 0 for nothing.
	Age  time.Duration `json:"-"`
	Rate float64       `json:"rate"` // messages a second since the sample before
}

type laneSample struct {
	Tenant  contact.Tenant
	System  contact.System
	Rows    int
	Failed  int
	Oldest  time.Time
	Pause   time.Time
	Because string
	// Used calls of Most in ten seconds, and Today; Most 0 is not known.
	Used, Most, Today int
}

// sampler takes samples for all viewers.
type sampler struct {
	mu      sync.Mutex
	samples []*sample
	marks   map[string]mark // by stage and partition; used by the sampling alone
	news    chan struct{}   // closed with the next sample
}

func (s *sampler) all() ([]*sample, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples, s.news
}

func (s *sampler) add(one *sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.samples); n > 0 {
		before := s.samples[n-1]
		for i := range one.Stages {
			for _, b := range before.Stages {
				if b.Name == one.Stages[i].Name && one.At > before.At && one.Stages[i].Applied >= b.Applied {
					one.Stages[i].Rate = float64(one.Stages[i].Applied-b.Applied) / float64(one.At-before.At)
				}
			}
		}
	}
	kept := append([]*sample(nil), s.samples[max(0, len(s.samples)+1-keepSamples):]...) // others read the old one
	s.samples = append(kept, one)
	close(s.news)
	s.news = make(chan struct{})
}

// Run samples until ctx ends.
func (p *Pages) Run(ctx context.Context) error {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		if one, err := p.look(ctx); err == nil {
			p.sampler.add(one)
		} else if ctx.Err() == nil {
			p.Logger.WarnContext(ctx, "the pipeline could not be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look takes one sample.
func (p *Pages) look(ctx context.Context) (*sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	one := &sample{At: time.Now().Unix()}
	counts, err := p.DB.LaneCounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range counts {
		one.Waiting, one.Failed = one.Waiting+n.Rows, one.Failed+n.Failed
		one.Lanes = append(one.Lanes, laneSample{Tenant: n.Tenant, System: n.System, Rows: n.Rows, Failed: n.Failed, Oldest: n.Oldest})
	}
	for _, system := range contact.Systems {
		pauses, err := p.DB.Pauses(ctx, system)
		if err != nil {
			return nil, err
		}
		for _, pause := range pauses {
			at := one.lane(pause.Tenant, system)
			at.Pause, at.Because = pause.Until, pause.Class+" "+pause.Reason
		}
	}
	uses, err := p.DB.LaneUses(ctx, 10*time.Second)
	if err != nil {
		return nil, err
	}
	for _, use := range uses {
		at := one.lane(use.Tenant, use.System)
		at.Used, at.Most, at.Today = use.Used, use.Most, use.Today
	}
	latency, err := p.DB.Latency(ctx, time.Minute)
	if err != nil {
		return nil, err
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	one.P50, one.P95, one.P99, one.Writes = ms(latency.P50), ms(latency.P95), ms(latency.P99), latency.Writes
	one.Stages, err = p.stages(ctx)
	return one, err
}

func (s *sample) lane(tenant contact.Tenant, system contact.System) *laneSample {
	for i := range s.Lanes {
		if l := &s.Lanes[i]; l.Tenant == tenant && l.System == system {
			return l
		}
	}
	s.Lanes = append(s.Lanes, laneSample{Tenant: tenant, System: system})
	return &s.Lanes[len(s.Lanes)-1]
}

// mark is a message that waited when it was looked at.
type mark struct {
	seq uint64
	at  time.Time
}

// waits is for how long a partition has had something that waits, as far as
// looking at it now and then tells.
func (s *sampler) waits(part postgres.Progress, last uint64, now time.Time) time.Duration {
	name := part.Stage + "/" + strconv.Itoa(part.Partition)
	m, ok := s.marks[name]
	if !ok || part.Seq >= m.seq {
		m = mark{last, now} // what waited then is done
		if s.marks == nil {
			s.marks = make(map[string]mark)
		}
		s.marks[name] = m
	}
	return now.Sub(m.at)
}

// stages sums the partitions of each stage.
func (p *Pages) stages(ctx context.Context) ([]stageSample, error) {
	progress, err := p.DB.Stages(ctx)
	if err != nil {
		return nil, err
	}
	var stages []stageSample
	for _, part := range progress {
		if len(stages) == 0 || stages[len(stages)-1].Name != part.Stage {
			stages = append(stages, stageSample{Name: part.Stage})
		}
		s := &stages[len(stages)-1]
		s.Partitions++
		if part.Owner != "" {
			s.Owned++
		}
		s.Applied += part.Seq
		if last, _, err := p.Bus.Last(ctx, streamOf(part), part.Partition); err == nil && last > part.Seq {
			s.Behind += last - part.Seq
			s.Age = max(s.Age, p.sampler.waits(part, last, time.Now()))
		}
	}
	return stages, nil
}

// streamOf is the stream that a stage reads.
func streamOf(of postgres.Progress) bus.Stream {
	switch bulk := len(of.Stage) > 5 && of.Stage[len(of.Stage)-5:] == "-bulk"; {
	case of.Stage == "mapper":
		return bus.Changes
	case of.Stage == "mapper-bulk":
		return bus.ChangesBulk
	case bulk:
		return bus.PatchesBulk
	}
	return bus.Patches
}

// pipelineView is what the page shows at first, and its table with each event.
type pipelineView struct {
	Now    *sample // nil before the first
	Lanes  []laneSample
	Checks map[string]string
	Good   bool
}

func (p *Pages) pipelinePage(ctx context.Context, _ *http.Request) (answer, error) {
	return page{name: "pipeline", title: "Pipeline", data: p.pipelineView(ctx)}, nil
}

// pipelineView shows the newest sample, and of the lanes the caller's.
func (p *Pages) pipelineView(ctx context.Context) pipelineView {
	var view pipelineView
	view.Checks, view.Good = p.Health.Check(ctx)
	samples, _ := p.sampler.all()
	if len(samples) == 0 {
		return view
	}
	view.Now = samples[len(samples)-1]
	caller := access.From(ctx)
	for _, lane := range view.Now.Lanes {
		if caller.May(lane.Tenant, access.Viewer) {
			view.Lanes = append(view.Lanes, lane)
		}
	}
	return view
}

// pipelineEvents streams the samples: first all that are kept, then each new one
// with the tables as they are then.
func (p *Pages) pipelineEvents(ctx context.Context, r *http.Request) (answer, error) {
	return stream(func(ctx context.Context, send func(event, data string) error) error {
		samples, news := p.sampler.all()
		raw, err := json.Marshal(samples)
		if err != nil {
			return err
		}
		if err := send("history", string(raw)); err != nil {
			return err
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-news:
			}
			samples, news = p.sampler.all()
			raw, err := json.Marshal(samples[len(samples)-1])
			if err != nil {
				return err
			}
			if err := send("sample", string(raw)); err != nil {
				return err
			}
			table, err := p.rendered(r, part{name: "pipeline", block: "tables", data: p.pipelineView(ctx)})
			if err != nil {
				return err
			}
			if err := send("tables", table); err != nil {
				return err
			}
		}
	}), nil
}

// stream is an answer of server-sent events. It ends with the request, and
// after streamLife at the latest: the browser begins it again.
func stream(run func(ctx context.Context, send func(event, data string) error) error) answer {
	return handler(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), streamLife)
		defer cancel()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		out := http.NewResponseController(w)
		_ = out.SetWriteDeadline(time.Now().Add(streamLife + time.Minute)) // not every server has one
		_ = run(ctx, func(event, data string) error {
			if _, err := fmt.Fprintf(w, "event: %s\n", event); err != nil {
				return err
			}
			for _, line := range lines(data) {
				if _, err := fmt.Fprintf(w, "data: %s\n", line); err != nil {
					return err
				}
			}
			if _, err := fmt.Fprint(w, "\n"); err != nil {
				return err
			}
			return out.Flush()
		}) // who is gone needs no more events
	})
}
