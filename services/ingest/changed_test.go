package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/pkg/tenant"
)

// TestACutReadingGoesOnWhereItWas: however much has changed, reading it comes
// to an end, and until then the next beginning stays.
func TestACutReadingGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	in := &Ingest{config: Config{Now: time.Now}}
	acme := &tenant.Tenant{ID: "acme"}
	c := postgres.Cursor{Tenant: "acme", System: contact.HubSpot, Since: 1_000_000}
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	<-over.Done()
	// pages gives six pages, and stops where a reading's time is up.
	var asked []string
	pages := func(until string) func(context.Context, mark) ([]contact.Change, mark, error) {
		return func(ctx context.Context, m mark) ([]contact.Change, mark, error) {
			if m.Page == until {
				return nil, m, ctx.Err()
			}
			asked = append(asked, fmt.Sprint(m.Since, "/", m.Page))
			n := 1
			fmt.Sscan(m.Page, &n)
			m.Page, m.UpTo = fmt.Sprint(n+1), contact.Millis(2_000_000+n)
			if n == 6 {
				m.Page = ""
			}
			return nil, m, nil
		}
	}
	if err := in.changed(over, acme, &c, pages("")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errCut) {
		t.Errorf("a reading that read nothing gave %v, want a fault to back off from", err)
	}
	if err := in.changed(over, acme, &c, pages("4")); !errors.Is(err, errCut) || c.Since != 1_000_000 {
		t.Fatalf("after three pages: %v, %+v", err, c)
	}
	if err := in.changed(t.Context(), acme, &c, pages("none")); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(asked), "[990000/ 990000/2 990000/3 990000/4 990000/5 990000/6]"; got != want {
		t.Errorf("read %v, want each page once, of one beginning: %v", got, want)
	}
	if c.Since != 2_000_006 || c.Mark != "" {
		t.Errorf("the next reading begins at %d with mark %q", c.Since, c.Mark)
	}

	_ = in.changed(over, acme, &c, pages("4"))
	refused := fault.New(fault.Refusal{Class: fault.Permanent, Reason: "PAGE"})
	err := in.changed(t.Context(), acme, &c, func(_ context.Context, m mark) ([]contact.Change, mark, error) { return nil, m, refused })
	if !errors.Is(err, refused) || c.Mark != "" || c.Since != 2_000_006 {
		t.Errorf("a refused page gave %v and left %+v, want to begin again", err, c)
	}
}

// TestWhatChangesBehindAPageOfAlowareIsReadNextTime: its pages go by id, so what
// changes after the first was read may be on one that was read already.
func TestWhatChangesBehindAPageOfAlowareIsReadNextTime(t *testing.T) {
	t.Parallel()
	began := time.Now().Truncate(time.Second)
	sim, err := alowaresim.New(alowaresim.Config{Rate: -1, Latency: -1})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Each page takes an hour.
		w.Header().Set("Date", began.Add(time.Duration(calls)*time.Hour).UTC().Format(http.TimeFormat))
		calls++
		sim.Handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	answer, err := http.Post(server.URL+"/_sim/load", "application/json", strings.NewReader(`{"contacts":450,"seed":1}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	calls = 0
	client, err := aloware.NewClient(aloware.ClientConfig{
		BaseURL: server.URL, Token: "demo-aloware-token", Profile: aloware.Full, Budget: quota.NewGate(quota.Aloware(1e6, 1e6, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	in := &Ingest{config: Config{Now: time.Now, Bus: bustest.New(t), Observer: deaf{}, Logger: slog.New(slog.DiscardHandler)}}
	c := postgres.Cursor{Tenant: "acme", System: contact.Aloware, Since: 1_000_000_000_000}
	if err := in.alowareChanges(t.Context(), &tenant.Tenant{ID: "acme"}, client, &c); err != nil || calls != 3 {
		t.Fatalf("%d pages were read, %v", calls, err)
	}
	if want := contact.Millis(began.UnixMilli()); c.Since != want || c.Mark != "" {
		t.Errorf("the next reading begins at %d, want %d, when the first page was read", c.Since, want)
	}
}
