package hubspotsim

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// workflow is an automation of the account: it rewrites a property whenever an
// app has written another value to it through the API. It answers neither people
// nor itself.
type workflow struct {
	// ID is told as the source of its changes. Default "118".
	ID string `json:"id"`
	// Property is the name of the property.
	Property string `json:"property"`
	// Set is the value that it sets; unset to make one of what was written.
	Set *string `json:"set"`
	// Upper writes in capitals what was written, and Append adds a text to it.
	Upper  bool   `json:"upper"`
	Append string `json:"append"`
	// DelayMS is the time from the write to the change. Default 50.
	DelayMS *int `json:"delay_ms"`
	// Times is how often it acts before it is over. 0 is for ever.
	Times int `json:"times"`

	left int
}

// reaction is a change that a workflow is about to make.
type reaction struct {
	due      time.Time
	contact  int64
	property string
	value    string
	by       writer
}

// workflows are those of the account, and what they are about to do. They are
// steered at run time and not journaled. mu guards both lists.
type workflows struct {
	mu   sync.Mutex
	list []*workflow
	due  []reaction
	wake chan struct{} // holds one value when there is something to look at
}

func newWorkflows() *workflows { return &workflows{wake: make(chan struct{}, 1)} }

// controlWorkflows replaces the workflows of the account.
func (s *Sim) controlWorkflows(w http.ResponseWriter, r *http.Request) error {
	var list []*workflow
	if err := readControl(r, &list); err != nil {
		return err
	}
	for i, f := range list {
		if err := s.checkWorkflow(f); err != nil {
			return fmt.Errorf("workflow %d: %w", i, err)
		}
	}
	s.workflows.mu.Lock()
	s.workflows.list, s.workflows.due = list, nil
	s.workflows.mu.Unlock()
	return done(w, map[string]int{"workflows": len(list)})
}

func (s *Sim) checkWorkflow(f *workflow) error {
	s.store.mu.RLock()
	_, d, ok := s.store.schema.active(f.Property)
	s.store.mu.RUnlock()
	switch {
	case !ok || !d.writable():
		return fmt.Errorf("property %q is not there or takes no values: name one that can be set", f.Property)
	case f.Set == nil && !f.Upper && f.Append == "":
		return fmt.Errorf("it changes nothing: give set, upper or append")
	case f.Set != nil && (f.Upper || f.Append != ""):
		return fmt.Errorf("set gives the whole value: leave upper and append out")
	case f.Times < 0 || f.DelayMS != nil && *f.DelayMS < 0:
		return fmt.Errorf("times and delay_ms must not be negative: use 0 for ever and for at once")
	}
	f.ID, f.left = orText(f.ID, "118"), f.Times
	return nil
}

// triggered lets workflows react to what an app has written to a contact.
func (f *workflows) triggered(c *contact, values []pair, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, each := range f.list {
		for _, v := range values {
			if v[0] != each.Property || each.Times > 0 && each.left == 0 {
				continue
			}
			value, delay := each.made(v[1]), 50
			if value == v[1] {
				continue
			}
			if each.left--; each.DelayMS != nil {
				delay = *each.DelayMS
			}
			by := person()
			by.by = source{Kind: "AUTOMATION_PLATFORM", ID: each.ID}
			f.due = append(f.due, reaction{now.Add(time.Duration(delay) * time.Millisecond), c.id, each.Property, value, by})
		}
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// made is the value that the workflow makes of what was written.
func (w *workflow) made(written string) string {
	if w.Set != nil {
		return *w.Set
	}
	if w.Upper {
		written = strings.ToUpper(written)
	}
	return written + w.Append
}

// next takes the reactions that are due, or says how long to wait.
func (f *workflows) next(now time.Time) (ready []reaction, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = time.Hour
	left := f.due[:0]
	for _, r := range f.due {
		if d := r.due.Sub(now); d > 0 {
			wait, left = min(wait, d), append(left, r)
			continue
		}
		ready = append(ready, r)
	}
	f.due = left
	return ready, wait
}

// work carries the workflows' reactions out until ctx ends.
func (s *Sim) work(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.workflows.wake:
		case <-timer.C:
		}
		ready, wait := s.workflows.next(s.cfg.Now())
		for _, r := range ready {
			s.react(r)
		}
		timer.Reset(wait)
	}
}

// react makes a workflow's change. One that the account refuses by now is not
// made, as in any workflow.
func (s *Sim) react(r reaction) {
	s.edit(func(st *store) {
		c := st.byID[r.contact]
		if c == nil || c.state != active {
			return
		}
		p, f := st.plan(c, map[string]string{r.property: r.value}, r.by, nil)
		if f != nil {
			s.cfg.Logger.Warn("a workflow's change was refused", "workflow", r.by.by.ID, "property", r.property, "reason", f.Category)
			return
		}
		s.carry(p, r.by)
	})
}
