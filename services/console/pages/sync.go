package pages

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/syncs"
)

// syncRoutes are the pages of jobs over all contacts.
func (p *Pages) syncRoutes() []route {
	viewer, operator := need{role: access.Viewer}, need{role: access.Operator}
	return []route{
		{pattern: "GET /tenants/{tenant}/syncs", need: viewer, serve: p.syncsPage},
		{pattern: "GET /tenants/{tenant}/syncs/events", need: viewer, serve: p.syncEvents},
		{pattern: "GET /tenants/{tenant}/syncs/{job}", need: viewer, serve: p.syncPage},
		{pattern: "POST /tenants/{tenant}/syncs/start", action: "StartSync", need: operator, serve: p.startSync, page: p.syncsPage},
		{pattern: "POST /tenants/{tenant}/syncs/schedule", action: "SetSchedule", need: operator, serve: p.scheduleSync, page: p.syncsPage},
		{pattern: "POST /tenants/{tenant}/syncs/{job}/pause", action: "PauseSync", need: operator, serve: p.wish(postgres.WishPause, "It pauses where it is; what people edit is written all the same.")},
		{pattern: "POST /tenants/{tenant}/syncs/{job}/resume", action: "ResumeSync", need: operator, serve: p.wish(postgres.WishRun, "It goes on where it was.")},
		{pattern: "POST /tenants/{tenant}/syncs/{job}/cancel", action: "CancelSync", need: operator, serve: p.wish(postgres.WishCancel, "It is cancelled: what was written stays, and what still waits is withdrawn.")},
	}
}

// syncsView is the list of jobs.
type syncsView struct {
	Jobs []syncs.Job
	// Repairs are what reconciliations found over time, as JSON for the plot.
	Repairs string
	// Every is the schedule of reconciliations, 0 for never; Set tells that
	// somebody set it.
	Every time.Duration
	Set   bool
	Most  int // jobs that are shown
}

// usualJobs are shown at first, and mostJobs when somebody asks for more.
const usualJobs, mostJobs = 30, 300

// Hours is the schedule as a form takes it.
func (v syncsView) Hours() string { return strconv.FormatFloat(v.Every.Hours(), 'g', 4, 64) }

// point is one reconciliation of the plot.
type point struct {
	At      int64            `json:"at"` // seconds since 1970
	Repairs map[string]int64 `json:"repairs"`
}

func (p *Pages) syncsPage(ctx context.Context, r *http.Request) (answer, error) {
	view, err := p.syncsView(ctx, r)
	if err != nil {
		return nil, err
	}
	if view.Every, view.Set, err = p.Syncs.Scheduled(ctx, tenantOf(r)); err != nil {
		return nil, err
	}
	return page{name: "syncs", title: "Syncs", data: view}, nil
}

// syncsView has the jobs alone, which a stream sends again when they change.
func (p *Pages) syncsView(ctx context.Context, r *http.Request) (syncsView, error) {
	most := usualJobs
	if r.FormValue("jobs") == "more" {
		most = mostJobs
	}
	jobs, err := p.Syncs.List(ctx, tenantOf(r), most)
	if err != nil {
		return syncsView{}, err
	}
	points := make([]point, 0)
	for _, job := range slices.Backward(jobs) {
		if job.Kind == postgres.Reconcile && job.State == postgres.SyncDone {
			points = append(points, point{job.FinishedAt.Unix(), repairs(job.Effects)})
		}
	}
	raw, err := json.Marshal(points)
	return syncsView{Jobs: jobs, Repairs: string(raw), Most: most}, err
}

// syncEvents streams the list of jobs while it changes.
func (p *Pages) syncEvents(_ context.Context, r *http.Request) (answer, error) {
	const every = time.Second
	return stream(func(ctx context.Context, send func(event, data string) error) error {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		last := ""
		for {
			view, err := p.syncsView(ctx, r)
			if err != nil {
				return err
			}
			table, err := p.rendered(r, part{name: "syncs", block: "jobs", data: view})
			if err != nil {
				return err
			}
			if table != last {
				if err := send("jobs", table); err != nil {
					return err
				}
				last = table
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	}), nil
}

// syncView is one job with what it repaired.
type syncView struct {
	Job     *syncs.Job
	Repairs []postgres.HistoryRow
	Names   map[contact.Key]string // of their contacts
	Most    int                    // repairs that are shown
}

func (p *Pages) syncPage(ctx context.Context, r *http.Request) (answer, error) {
	job, err := p.Syncs.Get(ctx, tenantOf(r), r.PathValue("job"))
	if err != nil {
		return nil, err
	}
	const most = 200
	view := syncView{Job: &job, Most: most}
	if view.Repairs, err = p.Syncs.Repairs(ctx, tenantOf(r), job.ID, most); err != nil {
		return nil, err
	}
	words, err := p.Mappings.Words(ctx, tenantOf(r))
	if err != nil {
		return nil, err
	}
	keys := make([]contact.Key, len(view.Repairs))
	for i := range view.Repairs {
		row := &view.Repairs[i]
		row.Value, keys[i] = words.Of(row.Field, row.Value), row.Contact
	}
	if view.Names, err = p.Contacts.Names(ctx, tenantOf(r), keys); err != nil {
		return nil, err
	}
	return page{name: "sync", title: job.Title(), data: view}, nil
}

func (p *Pages) startSync(ctx context.Context, r *http.Request) (answer, error) {
	var sides []contact.System
	for _, text := range r.Form["side"] {
		system, err := contact.ParseSystem(text)
		if err != nil {
			return nil, invalid("\"" + text + "\": want hubspot or aloware")
		}
		sides = append(sides, system)
	}
	_, err := p.Syncs.Start(ctx, tenantOf(r), postgres.SyncKind(r.FormValue("kind")), sides, r.FormValue("full") != "", access.From(ctx).Name)
	if err != nil {
		return nil, err
	}
	return redirect{to: syncsURL(r), say: "It begins in a moment; live changes go before it all the time."}, nil
}

func (p *Pages) scheduleSync(ctx context.Context, r *http.Request) (answer, error) {
	hours, err := strconv.ParseFloat(r.FormValue("hours"), 64)
	if err != nil || hours < 0 || hours > 24*366 {
		return nil, invalid("\"" + r.FormValue("hours") + "\" is no number of hours; 0 ends the schedule")
	}
	every := time.Duration(hours * float64(time.Hour)).Round(time.Second)
	if err := p.Syncs.Schedule(ctx, tenantOf(r), every); err != nil {
		return nil, err
	}
	say := "Reconciled every " + span(every) + " from now on."
	if every == 0 {
		say = "There are no reconciliations by schedule any more."
	}
	return redirect{to: syncsURL(r), say: say}, nil
}

func (p *Pages) wish(wish postgres.SyncWish, say string) serve {
	return func(ctx context.Context, r *http.Request) (answer, error) {
		if err := p.Syncs.Wish(ctx, tenantOf(r), r.PathValue("job"), wish); err != nil {
			return nil, err
		}
		return redirect{to: syncsURL(r), say: say}, nil
	}
}

func syncsURL(r *http.Request) string { return "/tenants/" + string(tenantOf(r)) + "/syncs" }
