package pages

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/pipeline"
)

// pipelineRoutes are the page of what the installation is doing, and its stream.
func (p *Pages) pipelineRoutes() []route {
	anywhere := need{role: access.Viewer, where: forAny}
	return []route{
		{pattern: "GET /pipeline", need: anywhere, serve: p.pipelinePage},
		{pattern: "GET /pipeline/events", need: anywhere, serve: p.pipelineEvents},
	}
}

// streamLife is how long one stream of events lasts before the browser begins
// another.
const streamLife = 10 * time.Minute

// pipelineView is what the page shows at first, and its table with each event.
type pipelineView struct {
	Now    *pipeline.Sample // nil before the first
	Lanes  []pipeline.Lane  // the busiest of those that the caller may see
	Names  map[contact.Tenant]string
	Others int // how many more there are
	Checks map[string]string
	Good   bool
}

func (p *Pages) pipelinePage(ctx context.Context, _ *http.Request) (answer, error) {
	return page{name: "pipeline", title: "Pipeline", data: p.pipelineView(ctx)}, nil
}

// pipelineView shows the newest sample, and of the lanes the caller's.
func (p *Pages) pipelineView(ctx context.Context) pipelineView {
	var view pipelineView
	view.Checks, view.Good = p.Pipeline.Check(ctx)
	if view.Now = p.Pipeline.Newest(); view.Now == nil {
		return view
	}
	caller := access.From(ctx)
	for _, lane := range view.Now.Lanes {
		if caller.May(lane.Tenant, access.Viewer) {
			view.Lanes = append(view.Lanes, lane)
		}
	}
	view.Lanes, view.Others = busiest(view.Lanes, lanesOnPage)
	view.Names = make(map[contact.Tenant]string, len(view.Lanes))
	for _, lane := range view.Lanes {
		view.Names[lane.Tenant] = string(lane.Tenant)
		if t, known := p.Roster.Tenant(lane.Tenant); known {
			view.Names[lane.Tenant] = t.Name
		}
	}
	return view
}

// lanesOnPage is how many lanes the page has; they are sent with each sample.
const lanesOnPage = 50

// busiest are the lanes to look at first: those that rest, then those with most
// that waits, then those that use most of their quota. It tells how many are
// left out.
func busiest(lanes []pipeline.Lane, most int) ([]pipeline.Lane, int) {
	rests := func(l pipeline.Lane) int {
		if l.Pause.IsZero() {
			return 1
		}
		return 0
	}
	sorted := slices.SortedStableFunc(slices.Values(lanes), func(a, b pipeline.Lane) int {
		return cmp.Or(cmp.Compare(rests(a), rests(b)), cmp.Compare(b.Rows, a.Rows), cmp.Compare(b.Used, a.Used))
	})
	shown := min(most, len(sorted))
	return sorted[:shown], len(sorted) - shown
}

// pipelineEvents streams the samples: first all that are kept, then each new one
// with the tables as they are then.
func (p *Pages) pipelineEvents(ctx context.Context, r *http.Request) (answer, error) {
	return stream(func(ctx context.Context, send func(event, data string) error) error {
		samples, news := p.Pipeline.Samples()
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
			samples, news = p.Pipeline.Samples()
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
