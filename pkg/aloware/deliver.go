package aloware

import (
	"context"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// maxPhones bounds the lookups for one patch.
const maxPhones = 4

// run carries the patch out. An error of class Permanent or Gone is about the
// contact as a whole.
func (j *job) run(ctx context.Context) (contact.Outcome, error) {
	p := j.patch
	if p.Archive {
		note := j.client.Capabilities().Function(ArchiveContact).Note
		return j.whole(contact.Rejected, *refusal(NotCapable, note)), nil
	}
	if p.TargetID != "" && !isDigits(p.TargetID) || p.TargetID == "" && p.Create == nil {
		return j.whole(contact.Rejected, *refusal(NoKey, "The patch does not say which contact it is about.")), nil
	}
	if p.TargetID != "" && j.client.profile == Full {
		return j.known(ctx, p.TargetID)
	}
	found, final, err := j.find(ctx)
	switch {
	case err != nil:
		return contact.Outcome{}, err
	case final != nil:
		return *final, nil
	case found == nil:
		return j.create(ctx)
	}
	if p.TargetID == "" && p.Fetch != nil && len(p.Properties) > 0 {
		return j.seen(found), nil
	}
	return j.found(ctx, found)
}

// known is the contact whose id is known and which the connection can address
// by it.
func (j *job) known(ctx context.Context, id string) (contact.Outcome, error) {
	shown, err := j.writeByID(ctx, id, j.patch.Properties, nil)
	if err != nil {
		return contact.Outcome{}, err
	}
	if j.patch.Fetch != nil && shown == nil {
		if shown, err = j.byID(ctx, id); err != nil {
			return contact.Outcome{}, err
		}
	}
	return j.finish(id, shown, j.patch.Fetch != nil), nil
}

// found is the contact that was just read: by its phone for a connection that
// knows no other way, or because its id was not known before.
func (j *job) found(ctx context.Context, before *reading) (contact.Outcome, error) {
	var shown *reading
	var err error
	if j.client.profile == Full {
		shown, err = j.writeByID(ctx, before.id, j.patch.Properties, before)
	} else {
		_, err = j.writeByForm(ctx, before.phone, j.patch.Properties, before)
	}
	if err != nil {
		return contact.Outcome{}, err
	}
	wrote := j.accepted()
	if j.patch.Fetch != nil && shown == nil && wrote {
		if shown, err = j.again(ctx, before); err != nil {
			return contact.Outcome{}, err
		}
	}
	o := j.finish(before.id, shown, true)
	if shown == nil {
		if !wrote {
			o.AppliedAt = before.appliedAt(j.answer)
		}
		o.Holds = j.unwritten(before)
	}
	return o, nil
}

// seen is the contact that was found where the patch asks for a read: it is
// left as it is, since what it holds may be worth more than what is to be
// written.
func (j *job) seen(found *reading) contact.Outcome {
	patch := *j.patch
	patch.Properties = nil
	j.patch, j.refused = &patch, map[string]*fault.Refusal{}
	return j.finish(found.id, found, true)
}

// again reads a contact once more after it was written.
func (j *job) again(ctx context.Context, before *reading) (*reading, error) {
	found, err := j.lookup(ctx, before.phone)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 || found[0].id != before.id {
		return nil, fail(fault.Transient, j.answer.status, Malformed, "the contact that was written is not found under its number")
	}
	return found[0], nil
}

// accepted reports whether any property was taken.
func (j *job) accepted() bool { return len(j.refused) < len(j.patch.Properties) }

// finish is the outcome of a contact that exists. Shown is the contact as the
// last answer shows it; it gives all that it holds, or only what contradicts
// what was written.
func (j *job) finish(id string, shown *reading, all bool) contact.Outcome {
	result := contact.Written
	if len(j.patch.Properties) == 0 {
		result = contact.Fetched
	}
	o := j.outcome(result, id)
	if shown == nil {
		return o
	}
	o.AppliedAt = shown.appliedAt(j.answer)
	if all {
		o.Holds = shown.values
	} else {
		o.Holds = j.contradictions(shown)
	}
	return o
}

// contradictions are the properties that were accepted and yet hold something
// else.
func (j *job) contradictions(shown *reading) []contact.Value {
	var held []contact.Value
	for _, p := range j.patch.Properties {
		if text, ok := shown.held(p.Name); ok && j.refused[p.Name] == nil && !same(p, text) {
			held = append(held, contact.Value{Name: p.Name, Text: text})
		}
	}
	return held
}

// unwritten are the values of an earlier reading that the write left alone,
// with the time of that reading.
func (j *job) unwritten(before *reading) []contact.Value {
	var held []contact.Value
	for _, v := range before.values {
		written := slices.ContainsFunc(j.patch.Properties, func(p contact.Property) bool {
			return p.Name == v.Name && j.refused[p.Name] == nil
		})
		if !written {
			v.OccurredAt = before.updated
			held = append(held, v)
		}
	}
	return held
}

// same reports whether a text of Aloware means the value of a property.
func same(p contact.Property, text string) bool {
	canonical, err := contact.Canonical(p.Type, text, "US")
	return err == nil && canonical == p.Value
}

// create makes the contact, reads it for its id, and writes what only an
// update can.
func (j *job) create(ctx context.Context) (contact.Outcome, error) {
	p := j.patch
	if !p.Create.MayCreate {
		return j.whole(contact.Absent, *refusal(NotFound, "Aloware has no such contact, and none is to be created.")), nil
	}
	phone := ""
	if len(p.Create.Phones) > 0 {
		phone = p.Create.Phones[0]
	}
	rest := make([]contact.Property, 0, len(p.Properties))
	for _, property := range p.Properties {
		if property.Name == "phone_number" {
			if property.Value != "" {
				phone = property.Value
			} else {
				j.refused[property.Name] = refusal(NotCapable, needsPhone)
			}
			continue
		}
		if property.Value != "" { // a new contact is blank
			rest = append(rest, property)
		}
	}
	if phone == "" {
		return j.whole(contact.Rejected, *refusal(PhoneRequired, "Aloware keeps no contact without a phone number; give the contact one in HubSpot.")), nil
	}
	made, err := j.writeByForm(ctx, phone, rest, nil)
	if err != nil {
		return contact.Outcome{}, err
	}
	found, err := j.lookup(ctx, phone)
	if err != nil {
		return contact.Outcome{}, err
	}
	switch len(found) {
	case 0:
		return contact.Outcome{}, fail(fault.Transient, j.answer.status, NotFound, "the contact was created and is not found yet")
	case 1:
	default:
		return j.conflict(found), nil
	}
	shown, at := found[0], j.answer
	if late := onlyByPut(rest); j.client.profile == Full && len(late) > 0 {
		later, err := j.writeByID(ctx, shown.id, late, nil)
		if err != nil {
			return contact.Outcome{}, err
		}
		if later != nil {
			shown, at = later, j.answer
		}
	}
	j.answer = at
	o := j.finish(shown.id, shown, true)
	o.Result = contact.Written
	if made {
		o.Result = contact.Made
	}
	return o, nil
}

// onlyByPut are the properties that the Lead API does not take.
func onlyByPut(properties []contact.Property) []contact.Property {
	return slices.DeleteFunc(slices.Clone(properties), func(p contact.Property) bool {
		f := fieldOf[p.Name]
		return f != nil && (f.form != "" || f.put == "")
	})
}
