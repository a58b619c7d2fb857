package alowaresim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// controlCommunication makes a call, a text or an appointment happen.
func (s *Sim) controlCommunication(raw []byte) (any, error) {
	var order struct {
		Contact     json.Number `json:"contact_id"`
		Kind        string      `json:"kind"`
		Direction   string      `json:"direction"`
		Body        string      `json:"body"`
		At          string      `json:"at"`
		Disposition string      `json:"disposition"`
		Status      string      `json:"status"`
		Talk        *int64      `json:"talk_time"`
		User        json.Number `json:"user_id"`
		Line        json.Number `json:"line_id"`
	}
	if err := decode(raw, &order); err != nil {
		return nil, err
	}
	t := talk{
		Kind: order.Kind, Direction: order.Direction, Status: order.Status, Text: order.Body,
		User: idOf(order.User.String()), Creator: createdByHand,
	}
	if order.Talk != nil {
		t.Seconds, t.WithoutTalk = *order.Talk, *order.Talk == 0
	}
	switch {
	case t.Kind != "call" && t.Kind != "sms" && t.Kind != "appointment":
		return nil, fmt.Errorf("kind is %q: use call, sms or appointment", t.Kind)
	case t.Direction != "inbound" && t.Direction != "outbound":
		return nil, fmt.Errorf("direction is %q: use inbound or outbound", t.Direction)
	case t.Seconds < 0:
		return nil, fmt.Errorf("talk_time is %d: give seconds, 0 or more", t.Seconds)
	}
	var id int64
	err := s.act(func() error {
		c, err := s.contactOf(order.Contact)
		if err != nil {
			return err
		}
		if t.At, err = s.parseAt(order.At); err != nil {
			return err
		}
		if t.Outcome, err = s.outcomeOf(order.Disposition); err != nil {
			return err
		}
		line := idOf(order.Line.String())
		if line == 0 {
			line = c.line
		}
		var ok bool
		if t.Line, ok = s.lists.line(line, 0); !ok {
			return fmt.Errorf("line_id %d is unknown: use one of the account's lines", line)
		}
		if t.User != 0 && !s.lists.has(kindUser, t.User) {
			return fmt.Errorf("user_id %d is unknown: use one of the account's users", t.User)
		}
		m, err := s.happen(c, t)
		if err == nil {
			id = m.ID
		}
		return err
	})
	return map[string]int64{"id": id}, err
}

// outcomeOf finds a call outcome by name; "" is none.
func (s *Sim) outcomeOf(name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	if id, ok := s.lists.outcome(name); ok {
		return id, nil
	}
	var names []string
	for _, d := range s.lists.CallDispositions {
		names = append(names, d.Name)
	}
	return 0, fmt.Errorf("disposition %q is unknown: use one of %q", name, names)
}

// controlDisposition is an agent who sets the outcome of a call after it.
func (s *Sim) controlDisposition(raw []byte) (any, error) {
	var order struct {
		Communication json.Number `json:"communication_id"`
		Disposition   string      `json:"disposition"`
	}
	if err := decode(raw, &order); err != nil {
		return nil, err
	}
	err := s.act(func() error {
		m := s.store.talk(idOf(order.Communication.String()))
		if m == nil || m.Kind != typeCall {
			return fmt.Errorf("communication %s: %w: give the id of a call", order.Communication, errMissing)
		}
		outcome, err := s.outcomeOf(order.Disposition)
		if err != nil {
			return err
		}
		if outcome == 0 {
			return errors.New("disposition is missing: give the name of a call outcome")
		}
		s.dispose(m, outcome)
		return nil
	})
	return map[string]json.Number{"id": order.Communication}, err
}

// controlMerge takes contacts into another one, as a person does in the
// product. No event tells of it.
func (s *Sim) controlMerge(raw []byte) (any, error) {
	var order struct {
		Into json.Number `json:"into"`
		ID   json.Number `json:"id"`
	}
	if err := decode(raw, &order); err != nil {
		return nil, err
	}
	err := s.act(func() error {
		into, err := s.contactOf(order.Into)
		if err != nil {
			return fmt.Errorf("into: %w", err)
		}
		from, err := s.contactOf(order.ID)
		if err != nil {
			return fmt.Errorf("id: %w", err)
		}
		if into == from {
			return errors.New("id and into are the same: give the contact that stays and the one that goes")
		}
		s.merge(into, from)
		return nil
	})
	return map[string]json.Number{"id": order.Into}, err
}

// controlDelete deletes a contact. No event tells of it.
func (s *Sim) controlDelete(raw []byte) (any, error) {
	var order struct {
		ID json.Number `json:"id"`
	}
	if err := decode(raw, &order); err != nil {
		return nil, err
	}
	err := s.act(func() error {
		c, err := s.contactOf(order.ID)
		if err == nil {
			s.erase(c)
		}
		return err
	})
	return map[string]json.Number{"id": order.ID}, err
}

// controlDispositionSync is the daily refresh of a list from the CRM.
func (s *Sim) controlDispositionSync(raw []byte) (any, error) {
	var order struct {
		Kind    string   `json:"kind"` // contact or call; "" is contact
		Options []option `json:"options"`
	}
	if len(raw) > 0 {
		if err := decode(raw, &order); err != nil {
			return nil, err
		}
	}
	if order.Kind != "" && order.Kind != "contact" && order.Kind != "call" {
		return nil, fmt.Errorf("kind is %q: use contact or call", order.Kind)
	}
	var result []disposition
	err := s.work(func() {
		list := &s.lists.Dispositions
		if order.Kind == "call" {
			list = &s.lists.CallDispositions
		}
		if order.Options != nil {
			*list = mirror(*list, crmHubSpot, order.Options)
			s.tx.Lists = &s.lists
		}
		result = slices.Clone(*list)
	})
	return result, err
}

// controlConfig changes settings until they are changed again, also over a
// restart. {"reset":true} goes back to those of the process.
func (s *Sim) controlConfig(raw []byte) (any, error) {
	more := override{}
	if err := json.Unmarshal(raw, &more); err != nil {
		return nil, fmt.Errorf(`the body is no JSON object: send for example {"profile":"documented"}`)
	}
	var result settings
	err := s.act(func() error {
		base := s.override
		if string(more["reset"]) == "true" {
			base = override{}
		}
		delete(more, "reset")
		next := base.with(more)
		set, err := next.apply(s.fixed)
		if err != nil {
			return fmt.Errorf("%w: nothing was changed", err)
		}
		s.override, s.set = next, set
		s.limits.level = min(s.limits.level, float64(set.Burst))
		s.tx.Config = &next
		s.rouse()
		result = set
		return nil
	})
	result.Webhooks = slices.Clone(result.Webhooks)
	for i := range result.Webhooks {
		result.Webhooks[i].Password, result.Webhooks[i].Token = "", ""
	}
	return result, err
}

// controlLists replaces lists of the account: users, lines, attributes and so
// on. Lists that are not given stay.
func (s *Sim) controlLists(raw []byte) (any, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, fmt.Errorf(`the body is no JSON object: send for example {"users":[{"id":1201,"name":"Ana","email":"ana@example.com"}]}`)
	}
	var lists directory
	if err := decode(raw, &lists); err != nil {
		return nil, err
	}
	if lists.Users != nil && len(lists.Users) == 0 {
		return nil, errors.New("users is empty: an account has at least one user")
	}
	for i, a := range lists.Attributes {
		if a.Slug == "" || byRead[a.Slug] != nil || byWrite[a.Slug] != nil {
			return nil, fmt.Errorf("attribute %d: slug %q is empty or a field of every contact: give another", i, a.Slug)
		}
	}
	err := s.work(func() {
		if lists.Users != nil {
			s.lists.Users = lists.Users
		}
		if lists.Dispositions != nil {
			s.lists.Dispositions = lists.Dispositions
		}
		if lists.CallDispositions != nil {
			s.lists.CallDispositions = lists.CallDispositions
		}
		if lists.Lines != nil {
			s.lists.Lines = lists.Lines
		}
		if lists.Tags != nil {
			s.lists.Tags = lists.Tags
		}
		if lists.Attributes != nil {
			s.lists.Attributes = lists.Attributes
		}
		s.tx.Lists = &s.lists
	})
	return map[string]any{"replaced": slices.Sorted(maps.Keys(given))}, err
}
