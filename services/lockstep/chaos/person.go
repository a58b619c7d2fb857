package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
)

// rule says how one field is kept in step by the built-in mappings.
type rule struct {
	hubspot, aloware, read string // property names; read as the simulated Aloware shows it
	direction              contact.Direction
	value                  func(r *rand.Rand) string
	clears                 bool // people blank it, too
}

func word(r *rand.Rand) string { return fmt.Sprintf("word %d", r.IntN(1_000_000_000)) }

func address(r *rand.Rand) string { return fmt.Sprintf("p%d@example.com", r.IntN(1_000_000_000_000)) }

var rules = []rule{
	{"email", "email", "email", contact.Both, address, false},
	{"firstname", "first_name", "first_name", contact.ToAloware, word, false},
	{"lastname", "last_name", "last_name", contact.ToAloware, word, true},
	{"company", "company_name", "company_name", contact.ToAloware, word, true},
	{"city", "city", "cnam_city", contact.ToAloware, word, true},
	{"aloware_lead_source", "lead_source", "lead_source", contact.ToHubSpot, word, true},
	{"aloware_custom_field_1", "csf1", "csf1", contact.ToHubSpot, word, true},
	{"aloware_custom_field_2", "csf2", "csf2", contact.ToHubSpot, word, false},
}

// property is the rule's name on a side, for edits.
func (r *rule) property(side contact.System) string {
	if side == contact.HubSpot {
		return r.hubspot
	}
	return r.aloware
}

// source is the side that a one-way rule reads from; 0 for both.
func (r *rule) source() contact.System {
	switch r.direction {
	case contact.ToAloware:
		return contact.HubSpot
	case contact.ToHubSpot:
		return contact.Aloware
	}
	return 0
}

// edit is what a person set on one side; the zero edit was never made.
type edit struct {
	at    time.Time
	value string
	// also are values of edits within the same second of Aloware's clock: where
	// their webhooks come in disorder, nothing tells which was the last.
	also []string
}

func (e edit) made() bool { return !e.at.IsZero() }

// person is one human being, who may be in both systems. The number is never
// changed, so that it tells who is who.
type person struct {
	phone   string
	hubspot string // ids, "" while unknown
	aloware string
	both    time.Time // since when both ids are known
	gone    bool      // deleted in HubSpot

	edits map[string]map[contact.System]edit // the last ones, by the rule's HubSpot property
	texts []time.Time                        // when they texted
	life  []string                           // what else happened, for people
}

// lived notes what happened to the person as a whole.
func (p *person) lived(what string, at time.Time) {
	p.life = append(p.life, what+" at "+clock(at))
}

func clock(at time.Time) string { return at.UTC().Format("15:04:05.000") }

func newPerson(phone string) *person {
	return &person{phone: phone, edits: make(map[string]map[contact.System]edit)}
}

func (p *person) id(side contact.System) string {
	if side == contact.HubSpot {
		return p.hubspot
	}
	return p.aloware
}

// edited notes an edit.
func (p *person) edited(r *rule, side contact.System, value string, at time.Time) {
	if p.edits[r.hubspot] == nil {
		p.edits[r.hubspot] = make(map[contact.System]edit)
	}
	now := edit{at: at, value: value}
	if before := p.edits[r.hubspot][side]; side == contact.Aloware && before.made() && at.Sub(before.at) < time.Second {
		now.also = append(slices.Clone(before.also), before.value)
	}
	p.edits[r.hubspot][side] = now
}
