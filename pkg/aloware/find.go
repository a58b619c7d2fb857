package aloware

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// lookup is the client's, counted.
func (j *job) lookup(ctx context.Context, phone string) ([]*reading, error) {
	j.calls++
	found, a, err := j.client.lookup(ctx, phone)
	if err == nil {
		j.answer = a
	}
	return found, err
}

// byID is the client's, counted.
func (j *job) byID(ctx context.Context, id string) (*reading, error) {
	j.calls++
	shown, a, err := j.client.byID(ctx, id)
	if err == nil {
		j.answer = a
	}
	return shown, err
}

// find looks for the contact of the patch: by all its phone numbers and, where
// the connection can, by its e-mail. It gives the contact, or a final outcome,
// or neither when there is none. The phone decides before the e-mail, because
// Aloware holds a number once and an e-mail as often as it likes.
func (j *job) find(ctx context.Context) (*reading, *contact.Outcome, error) {
	var phones []string
	var email string
	if c := j.patch.Create; c != nil {
		phones, email = c.Phones, c.Email
	}
	var found []*reading
	for _, phone := range phones[:min(len(phones), maxPhones)] {
		more, err := j.lookup(ctx, phone)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range more {
			if r.phone == "" {
				r.phone = phone
			}
		}
		found = appendNew(found, more)
		if j.patch.TargetID != "" && has(found, j.patch.TargetID) != nil {
			return has(found, j.patch.TargetID), nil, nil
		}
	}
	if j.patch.TargetID != "" {
		return nil, j.lost(phones, found), nil
	}
	if email != "" && j.client.profile == Full {
		j.calls++
		named, err := j.client.byEmail(ctx, email)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 || !slices.ContainsFunc(named, func(r *reading) bool { return has(found, r.id) != nil }) {
			found = appendNew(found, named)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil, nil
	case 1:
		return found[0], nil, nil
	}
	o := j.conflict(found)
	return nil, &o, nil
}

func has(found []*reading, id string) *reading {
	for _, r := range found {
		if r.id == id {
			return r
		}
	}
	return nil
}

func appendNew(found, more []*reading) []*reading {
	for _, r := range more {
		if has(found, r.id) == nil {
			found = append(found, r)
		}
	}
	return found
}

// lost is the outcome of a contact whose id is known, for a connection that
// can only look by phone, when no number leads to it.
func (j *job) lost(phones []string, others []*reading) *contact.Outcome {
	var o contact.Outcome
	renumbered := slices.ContainsFunc(j.patch.Properties, func(p contact.Property) bool { return p.Name == "phone_number" })
	switch {
	case len(phones) == 0:
		o = j.whole(contact.Rejected, *refusal(NotCapable, "Without a phone number this connection cannot reach the contact: "+noPublicWay))
	case len(others) > 0:
		o = j.conflict(others)
	case renumbered:
		o = j.whole(contact.Rejected, *refusal(PhoneChanged, "The contact is not in Aloware under its new phone number. "+noPhoneEdit))
	default:
		why := *refusal(NotFound, "Aloware has no contact with this phone number any more.")
		why.Class = fault.Gone
		o = j.whole(contact.Gone, why)
	}
	return &o
}

// conflict is the outcome when a person must choose.
func (j *job) conflict(found []*reading) contact.Outcome {
	o := j.whole(contact.Conflict, *refusal(Ambiguous, "Several contacts in Aloware fit this phone number and e-mail; choose the right one."))
	if j.patch.TargetID != "" {
		o.Refusal.Message = "The phone number belongs to another contact in Aloware than the one that is linked."
		o.Candidates = append(o.Candidates, j.patch.TargetID)
	}
	for _, r := range found {
		o.Candidates = append(o.Candidates, r.id)
	}
	return o
}
