package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/lockstep/fleet"
)

// most bounds the people of one tenant.
const most = 80

// load edits on both sides as people would, until ctx ends.
func (a *account) load(ctx context.Context, random *rand.Rand, perSecond float64) error {
	mean := time.Duration(float64(time.Second) / perSecond)
	look := time.Now()
	for ctx.Err() == nil {
		if time.Since(look) > time.Second {
			look = time.Now()
			if err := a.learn(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("look at the contacts of %s: %w", a.ID, err)
			}
		}
		if err := a.act(ctx, random); err != nil && ctx.Err() == nil {
			return fmt.Errorf("edit in %s: %w", a.ID, err)
		}
		wait(ctx, time.Duration(random.Float64()*2*float64(mean)))
	}
	return nil
}

// act does one thing that a person may do.
func (a *account) act(ctx context.Context, random *rand.Rand) error {
	p := a.people[random.IntN(len(a.people))]
	side := contact.Systems[random.IntN(2)]
	r := &rules[random.IntN(len(rules))]
	switch dice := random.IntN(100); {
	case dice < 4 && len(a.people) < most:
		return a.create(ctx, random, random.IntN(3))
	case dice < 6:
		return a.merge(ctx, random, p)
	case dice < 8:
		return a.remove(ctx, p)
	case dice < 10:
		return a.text(ctx, p)
	case dice < 16: // typing: the last of several quick edits counts
		for range 2 + random.IntN(4) {
			if err := a.set(ctx, p, side, map[*rule]string{r: r.value(random)}); err != nil {
				return err
			}
			wait(ctx, time.Duration(10+random.IntN(200))*time.Millisecond) // nobody does it within a millisecond
		}
		return nil
	case dice < 20: // both sides at once: which one was later cannot be told
		if err := a.set(ctx, p, side, map[*rule]string{r: r.value(random)}); err != nil {
			return err
		}
		return a.set(ctx, p, side.Other(), map[*rule]string{r: r.value(random)})
	case dice < 28: // a form
		form := make(map[*rule]string)
		for range 3 {
			r := &rules[random.IntN(len(rules))]
			form[r] = r.value(random)
		}
		return a.set(ctx, p, side, form)
	case dice < 38 && r.clears:
		return a.set(ctx, p, side, map[*rule]string{r: ""})
	}
	return a.set(ctx, p, side, map[*rule]string{r: r.value(random)})
}

// set is a person's edit of some fields on one side. It does nothing where the
// contact is not there.
func (a *account) set(ctx context.Context, p *person, side contact.System, values map[*rule]string) error {
	if p.id(side) == "" || side == contact.HubSpot && p.gone {
		return nil
	}
	if blank, err := a.blank(ctx, p, side, values); err != nil || blank {
		return err
	}
	properties := make(map[string]string, len(values))
	for r, value := range values {
		properties[r.property(side)] = value
	}
	if ctx.Err() != nil {
		return nil // the load is over
	}
	at := time.Now()
	making := context.WithoutCancel(ctx) // what is begun is made, and then noted
	var err error
	if side == contact.HubSpot {
		err = fleet.Post(making, a.hubspot, "edit", object{"id": p.hubspot, "properties": properties}, nil)
	} else {
		err = fleet.Post(making, a.alo, "edit", object{"id": p.aloware, "fields": properties}, nil)
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for r, value := range values {
		p.edited(r, side, value, at)
		a.edits++
	}
	return nil
}

// blank reports whether an edit clears what is blank already, which is no edit:
// no system tells of it.
func (a *account) blank(ctx context.Context, p *person, side contact.System, values map[*rule]string) (bool, error) {
	if len(values) != 1 {
		return false, nil // forms clear nothing
	}
	for r, value := range values {
		if value != "" {
			return false, nil
		}
		held, err := a.one(ctx, side, p.id(side))
		if side == contact.Aloware {
			return held[r.read] == "", err
		}
		return held[r.hubspot] == "", err
	}
	return false, nil
}

// one is one contact as its simulator holds it, blanks left out.
func (a *account) one(ctx context.Context, side contact.System, id string) (map[string]string, error) {
	address := a.hubspot
	if side == contact.Aloware {
		address = a.alo
	}
	all, err := contacts(ctx, address, "?id="+id)
	for _, fields := range all {
		return fields, err
	}
	return nil, err
}

// create makes a new person in HubSpot (0), in Aloware (1), or in both within
// the same moment (2), as two colleagues may do.
func (a *account) create(ctx context.Context, random *rand.Rand, where int) error {
	a.mu.Lock()
	p := newPerson(fmt.Sprintf("+1415555%04d", len(a.people)))
	a.people = append(a.people, p)
	a.creations++
	a.mu.Unlock()
	values := make(map[*rule]string, len(rules))
	for i := range rules {
		values[&rules[i]] = rules[i].value(random)
	}
	for _, side := range contact.Systems {
		if where == 0 && side == contact.Aloware || where == 1 && side == contact.HubSpot {
			continue
		}
		at := time.Now()
		properties := object{}
		for r, value := range values {
			if side == contact.HubSpot && strings.HasPrefix(r.hubspot, "aloware_") {
				continue
			}
			properties[r.property(side)] = value
		}
		// The work goes on when the time is over: a half-made person is nobody's.
		ctx := context.WithoutCancel(ctx)
		var made struct {
			ID any `json:"id"`
		}
		if side == contact.HubSpot {
			properties["phone"] = p.phone
			if err := fleet.Post(ctx, a.hubspot, "edit", object{"properties": properties}, &made); err != nil {
				return err
			}
		} else {
			properties["phone_number"] = p.phone
			err := fleet.Post(ctx, a.alo, "edit", object{"fields": properties}, &made)
			if err != nil && strings.Contains(err.Error(), "belongs to contact") && where == 2 {
				continue // the services were faster than the second colleague
			}
			if err != nil {
				return err
			}
		}
		a.mu.Lock()
		for r, value := range values {
			if _, there := properties[r.property(side)]; there {
				p.edited(r, side, value, at)
			}
		}
		if side == contact.HubSpot {
			p.hubspot = fmt.Sprint(made.ID)
		} else {
			p.aloware = fmt.Sprintf("%.0f", made.ID)
		}
		a.mu.Unlock()
	}
	return nil
}

// begin makes one of the people that an account begins with.
func (a *account) begin(ctx context.Context) error {
	random := rand.New(rand.NewPCG(uint64(a.Portal), uint64(len(a.people))))
	err := a.create(ctx, random, 0)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.creations--
	return err
}

// merge makes a second record of a person in HubSpot and merges it into the
// first; the one that is left is a new record.
func (a *account) merge(ctx context.Context, random *rand.Rand, p *person) error {
	if p.hubspot == "" || p.gone {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	var twin, left struct {
		ID string `json:"id"`
	}
	properties := object{"firstname": word(random), "city": word(random), "company": word(random)}
	if err := fleet.Post(ctx, a.hubspot, "edit", object{"properties": properties}, &twin); err != nil {
		return err
	}
	before, err := a.one(ctx, contact.HubSpot, p.hubspot)
	if err != nil {
		return err
	}
	at := time.Now()
	if err := fleet.Post(ctx, a.hubspot, "merge", object{"primary": p.hubspot, "secondary": twin.ID}, &left); err != nil {
		return err
	}
	fields, err := a.one(ctx, contact.HubSpot, left.ID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.merges++
	p.lived(fmt.Sprintf("%s and %s merged into %s", p.hubspot, twin.ID, left.ID), at)
	p.hubspot = left.ID
	for i := range rules {
		r := &rules[i]
		// What the merge moved is as good as an edit.
		if r.source() == contact.HubSpot && fields[r.hubspot] != before[r.hubspot] {
			p.edited(r, contact.HubSpot, fields[r.hubspot], at)
		}
	}
	return nil
}

// text lets a person send a text message, which Aloware takes.
func (a *account) text(ctx context.Context, p *person) error {
	if p.aloware == "" {
		return nil
	}
	at := time.Now()
	message := object{"contact_id": json.Number(p.aloware), "kind": "sms", "direction": "inbound", "body": "Hello at " + clock(at)}
	if err := fleet.Post(context.WithoutCancel(ctx), a.alo, "communications", message, nil); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.texts = append(p.texts, at)
	return nil
}

// remove deletes a person in HubSpot, or brings a deleted one back.
func (a *account) remove(ctx context.Context, p *person) error {
	// Who is deleted while the answer to his creation is still awaited is made
	// again: nobody can tell that from a creation that did not happen.
	const known = 30 * time.Second
	if p.both.IsZero() || time.Since(p.both) < known {
		return nil
	}
	call, at := "delete", time.Now()
	if p.gone {
		call = "restore"
	}
	if err := fleet.Post(context.WithoutCancel(ctx), a.hubspot, call, object{"id": p.hubspot}, nil); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.lived(call+"d in HubSpot", at)
	if p.gone = !p.gone; p.gone {
		a.deletions++
	} else {
		a.restored++
	}
	return nil
}

// learn finds the ids that the services have made.
func (a *account) learn(ctx context.Context) error {
	hubspot, err := contacts(ctx, a.hubspot, "")
	if err != nil {
		return err
	}
	aloware, err := contacts(ctx, a.alo, "")
	if err != nil {
		return err
	}
	inHubSpot, inAloware := byNumber(hubspot, "phone"), byNumber(aloware, "phone_number")
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.people {
		if ids := inHubSpot[p.phone]; p.hubspot == "" && len(ids) == 1 {
			p.hubspot = ids[0]
		}
		if ids := inAloware[p.phone]; p.aloware == "" && len(ids) == 1 {
			p.aloware = ids[0]
		}
		if p.both.IsZero() && p.hubspot != "" && p.aloware != "" {
			p.both = time.Now()
		}
	}
	return nil
}

// byNumber gives the ids of the contacts that hold a number.
func byNumber(all map[string]map[string]string, field string) map[string][]string {
	ids := make(map[string][]string)
	for id, fields := range all {
		if number := fields[field]; number != "" {
			ids[number] = append(ids[number], id)
		}
	}
	return ids
}
