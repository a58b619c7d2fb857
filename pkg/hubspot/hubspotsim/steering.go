package hubspotsim

import (
	"fmt"
	"net/http"
	"time"
)

func (s *Sim) controlLoad(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Contacts int    `json:"contacts"`
		Seed     uint64 `json:"seed"`
		Webhooks *bool  `json:"webhooks"`
	}
	if err := readControl(r, &in); err != nil {
		return err
	}
	if in.Contacts < 1 || in.Contacts > maxLoad {
		return fmt.Errorf("contacts is %d: give a number from 1 to %d", in.Contacts, maxLoad)
	}
	start := time.Now()
	var first int64
	s.edit(func(st *store) {
		o := st.loadOrderFor(in.Contacts, in.Seed, s.nowMS())
		first = o.First
		if s.hooks.enabled() && (in.Webhooks == nil && in.Contacts <= 1000 || in.Webhooks != nil && *in.Webhooks) {
			o.Event = st.nextEv
		}
		s.commit(&record{Op: opLoad, Load: &o})
	})
	return done(w, map[string]any{"contacts": in.Contacts, "first_id": idText(first), "milliseconds": time.Since(start).Milliseconds()})
}

func (s *Sim) controlFaults(w http.ResponseWriter, r *http.Request) error {
	var list []*injected
	if err := readControl(r, &list); err != nil {
		return err
	}
	if err := s.faults.install(list); err != nil {
		return err
	}
	return done(w, map[string]int{"faults": len(list)})
}

func (s *Sim) controlStats(w http.ResponseWriter, _ *http.Request) error {
	out := s.report()
	s.store.mu.RLock()
	out["contacts"] = len(s.store.byID)
	s.store.mu.RUnlock()
	return done(w, out)
}

func (s *Sim) controlReset(w http.ResponseWriter, _ *http.Request) error {
	s.stats.reset()
	s.limits.reset()
	s.hooks.resetStats()
	if err := s.store.journal.write(&record{Op: opStats, Stats: &savedStats{Reset: true}}); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return done(w, map[string]bool{"reset": true})
}

func (s *Sim) controlWebhooks(w http.ResponseWriter, r *http.Request) error {
	var d disorder
	if err := readControl(r, &d); err != nil {
		return err
	}
	for name, rate := range map[string]float64{"duplicate": d.Duplicate, "reorder": d.Reorder, "drop": d.Drop} {
		if rate < 0 || rate > 1 {
			return fmt.Errorf("%s is %g: give a probability between 0 and 1", name, rate)
		}
	}
	if d.DelayMS < 0 {
		return fmt.Errorf("delay_ms is %d: give 0 or more", d.DelayMS)
	}
	s.hooks.setDisorder(d)
	return done(w, d)
}

func (s *Sim) controlOptions(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Property string   `json:"property"`
		Options  []option `json:"options"`
	}
	if err := readControl(r, &in); err != nil {
		return err
	}
	var err error
	s.edit(func(st *store) {
		_, old, ok := st.schema.active(in.Property)
		if !ok || old.Type != "enumeration" {
			err = fmt.Errorf("property %q is no enumeration: name one that has options", in.Property)
			return
		}
		d := *old
		d.Options, d.UpdatedAt = in.Options, s.nowMS()
		for i := range d.Options {
			if d.Options[i].Value == "" || d.Options[i].Label == "" {
				err = fmt.Errorf("option %d has no label or no value: give both", i)
				return
			}
			if d.Options[i].DisplayOrder == 0 {
				d.Options[i].DisplayOrder = i
			}
		}
		s.commit(&record{Op: opProperty, Def: &d})
	})
	if err != nil {
		return err
	}
	return done(w, map[string]int{"options": len(in.Options)})
}

// runtimeConfig is what can be changed while the simulator runs. It is not journaled.
type runtimeConfig struct {
	WindowLimit int     `json:"window_limit"`
	DailyLimit  int     `json:"daily_limit"`
	SearchLagMS *int    `json:"search_lag_ms"`
	WebhookURL  *string `json:"webhook_url"`
}

func (s *Sim) controlConfig(w http.ResponseWriter, r *http.Request) error {
	var in runtimeConfig
	if err := readControl(r, &in); err != nil {
		return err
	}
	if in.WindowLimit < 0 || in.DailyLimit < 0 || in.SearchLagMS != nil && *in.SearchLagMS < 0 {
		return fmt.Errorf("limits and lag must not be negative: leave out what is to stay")
	}
	if in.WebhookURL != nil {
		if err := checkWebhookURL(*in.WebhookURL); err != nil {
			return err
		}
		s.hooks.setURL(*in.WebhookURL)
	}
	s.limits.setLimits(in.WindowLimit, in.DailyLimit)
	if in.SearchLagMS != nil {
		s.store.mu.Lock()
		s.store.index.lag = time.Duration(*in.SearchLagMS) * time.Millisecond
		s.store.mu.Unlock()
	}
	return done(w, map[string]bool{"changed": true})
}

// controlTestEvent sends what the test button of the app settings sends.
func (s *Sim) controlTestEvent(w http.ResponseWriter, _ *http.Request) error {
	now := s.nowMS()
	s.hooks.queue([]event{
		{ID: 100, OccurredAt: now, Kind: "contact.creation", ObjectID: 123, Flag: "NEW", ChangeSource: "CRM"},
		{ID: 100, OccurredAt: now, Kind: "contact.propertyChange", ObjectID: 123, Property: "email", Value: "sample-value", ChangeSource: "CRM"},
	})
	return done(w, map[string]string{"events": "2"})
}
