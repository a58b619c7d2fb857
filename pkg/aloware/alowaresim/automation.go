package alowaresim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// automation is something in the account that rewrites a field whenever the API
// has written another value to it. It answers neither people nor itself.
type automation struct {
	// Field is its name as the API reads or writes it.
	Field string `json:"field"`
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

// reaction is a change that an automation is about to make.
type reaction struct {
	due     time.Time
	contact int64
	field   string
	value   string
}

// controlAutomations replaces the automations of the account. They are not
// journaled.
func (s *Sim) controlAutomations(raw []byte) (any, error) {
	var list []*automation
	if err := decode(raw, &list); err != nil {
		return nil, err
	}
	for i, a := range list {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("automation %d: %w", i, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.automations, s.reactions = list, nil
	return map[string]int{"automations": len(list)}, nil
}

func (a *automation) check() error {
	if col := byWrite[a.Field]; col != nil {
		a.Field = col.read
	}
	switch {
	case byRead[a.Field] == nil:
		return fmt.Errorf("field %q is unknown: use the name by which the API reads or writes it", a.Field)
	case a.Set == nil && !a.Upper && a.Append == "":
		return errors.New("it changes nothing: give set, upper or append")
	case a.Set != nil && (a.Upper || a.Append != ""):
		return errors.New("set gives the whole value: leave upper and append out")
	case a.Times < 0 || a.DelayMS != nil && *a.DelayMS < 0:
		return errors.New("times and delay_ms must not be negative: use 0 for ever and for at once")
	}
	a.left = a.Times
	return nil
}

// triggered lets automations react to what the API has changed of a contact.
func (s *Sim) triggered(c *contact, changed []string) {
	for _, a := range s.automations {
		for _, name := range changed {
			if name != a.Field || a.Times > 0 && a.left == 0 {
				continue
			}
			written, delay := c.get(name), 50
			value := a.made(written)
			if value == written {
				continue
			}
			if a.left--; a.DelayMS != nil {
				delay = *a.DelayMS
			}
			s.reactions = append(s.reactions, reaction{s.now().Add(time.Duration(delay) * time.Millisecond), c.id, name, value})
			s.rouse()
		}
	}
}

// made is the value that the automation makes of what was written.
func (a *automation) made(written string) string {
	if a.Set != nil {
		return *a.Set
	}
	if a.Upper {
		written = strings.ToUpper(written)
	}
	return written + a.Append
}

// react makes the changes of automations that are due, and gives when the next
// one is; zero for none. What the account refuses by now is not made.
func (s *Sim) react() (next time.Time) {
	left := s.reactions[:0]
	var due []reaction
	for _, r := range s.reactions {
		if r.due.After(s.now()) {
			if left = append(left, r); next.IsZero() || r.due.Before(next) {
				next = r.due
			}
			continue
		}
		due = append(due, r)
	}
	s.reactions = left
	for _, r := range due {
		if _, err := s.edit(r.contact, map[string]any{r.field: r.value}); err != nil {
			s.log.Warn("an automation's change was refused", "field", r.field, "error", err)
		}
	}
	return next
}
