package aloware

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// maxWrites bounds the calls that may be spent on finding out which property
// of a contact Aloware refuses.
const maxWrites = 12

// send writes some properties and may be repeated with fewer.
type send func(ctx context.Context, fields map[string]any) error

// writeByID updates a contact by its id (profile Full). It gives the contact
// as the last answer shows it; nil when nothing was sent or shown.
func (j *job) writeByID(ctx context.Context, id string, properties []contact.Property, before *reading) (*reading, error) {
	writable := j.writable(properties, before)
	if len(writable) == 0 {
		return nil, nil
	}
	var shown *reading
	left := maxWrites
	err := j.attempt(ctx, byPut, writable, true, &left, func(ctx context.Context, fields map[string]any) error {
		r, a, err := j.client.put(ctx, id, fields)
		if err == nil {
			shown, j.answer = r, a
		}
		return err
	})
	return shown, err
}

// writeByForm creates or updates by phone; true tells that it created. Before
// is nil for a contact that is to be created.
func (j *job) writeByForm(ctx context.Context, phone string, properties []contact.Property, before *reading) (bool, error) {
	var writable []contact.Property
	if before == nil && j.client.profile == Full {
		writable = formOnly(properties)
		j.writable(properties, nil) // for the refusals
	} else {
		writable = j.writable(properties, before)
	}
	if before != nil && len(writable) == 0 {
		return false, nil
	}
	made := false
	left := maxWrites
	err := j.attempt(ctx, byForm, writable, before != nil, &left, func(ctx context.Context, fields map[string]any) error {
		created, a, err := j.client.form(ctx, phone, fields)
		if err == nil {
			made, j.answer = made || created, a
		}
		return err
	})
	return made, err
}

// formOnly are the properties that the Lead API takes.
func formOnly(properties []contact.Property) []contact.Property {
	var taken []contact.Property
	for _, p := range properties {
		if f := fieldOf[p.Name]; f != nil && f.form != "" {
			taken = append(taken, p)
		}
	}
	return taken
}

// writable leaves out what the connection cannot write and records why. What
// the contact already holds needs no writing and is no refusal.
func (j *job) writable(properties []contact.Property, before *reading) []contact.Property {
	var can []contact.Property
	for _, p := range properties {
		ability := j.client.profile.Field(p.Name)
		possible, note := ability.Set, ability.SetNote
		if p.Value == "" {
			possible, note = ability.Clear, ability.ClearNote
		}
		if possible {
			can = append(can, p)
			continue
		}
		if text, ok := before.held(p.Name); ok && same(p, text) {
			continue
		}
		j.refused[p.Name] = refusal(NotCapable, note)
	}
	return can
}

// attempt sends properties, drops those that Aloware refuses, and sends the
// rest, with at most *left calls. Where an answer does not say which property
// it is about, halves are sent. Without any property it makes a call only
// when skipEmpty is false.
func (j *job) attempt(ctx context.Context, r route, properties []contact.Property, skipEmpty bool, left *int, send send) error {
	for {
		fields, kept := j.body(r, properties)
		properties = kept
		if len(properties) == 0 && skipEmpty {
			return nil
		}
		j.calls++
		*left--
		err := send(ctx, fields)
		if err == nil {
			return nil
		}
		var f *failure
		if !errors.As(err, &f) || !aboutFields(f.fault) || len(properties) == 0 {
			return keyFault(r, err)
		}
		guilty := j.blame(f, properties)
		switch {
		case len(guilty) > 0:
			properties = j.drop(properties, guilty, f)
		case len(f.fields) > 0 || r == byForm && (f.fault.Status == http.StatusConflict || f.aboutPhone()):
			return keyFault(r, err) // it is about the contact itself
		case len(properties) == 1 || *left <= 0:
			properties = j.drop(properties, everything(properties, f), f)
		default:
			half := len(properties) / 2
			if err := j.attempt(ctx, r, properties[:half], skipEmpty, left, send); err != nil {
				return err
			}
			properties, skipEmpty = properties[half:], true
		}
		if *left <= 0 && len(properties) > 0 {
			j.drop(properties, everything(properties, f), f)
			properties = nil
		}
	}
}

// body is the body of a write; a value without a wire form is refused here.
func (j *job) body(r route, properties []contact.Property) (map[string]any, []contact.Property) {
	fields := make(map[string]any, len(properties)+3)
	attributes := map[string]any{}
	kept := make([]contact.Property, 0, len(properties))
	for _, p := range properties {
		value, err := wire(p, r)
		if err != nil {
			j.refused[p.Name] = refusal(InvalidValue, err.Error())
			continue
		}
		kept = append(kept, p)
		f := fieldOf[p.Name]
		switch {
		case f == nil:
			attributes[p.Name] = value
		case r == byForm:
			fields[f.form] = value
		default:
			fields[f.put] = value
		}
		if p.Name == "dnc" && p.Value == "false" && r == byPut {
			fields["reason"] = "Allowed again in HubSpot."
		}
	}
	if len(attributes) > 0 {
		fields["attributes"] = attributes
	}
	return fields, kept
}

// aboutFields reports whether an answer may be about a single property.
func aboutFields(f *fault.Fault) bool {
	return f.Class == fault.Permanent && f.Reason != NotCapable &&
		(f.Status == http.StatusBadRequest || f.Status == http.StatusConflict || f.Status == http.StatusUnprocessableEntity)
}

// keyFault names the reason when it is the phone number, as the contact's key,
// that the Lead API refuses.
func keyFault(r route, err error) error {
	var f *failure
	if r == byForm && errors.As(err, &f) && aboutFields(f.fault) && f.aboutPhone() {
		f.fault.Reason = InvalidPhone
	}
	return err
}

// aboutPhone reports whether an answer refuses the phone number.
func (f *failure) aboutPhone() bool { return len(f.blame([]string{"phone_number"})) > 0 }

// blame are the properties that an answer refuses, with Aloware's words.
func (j *job) blame(f *failure, properties []contact.Property) map[string]string {
	names := make([]string, len(properties))
	for i, p := range properties {
		names[i] = p.Name
	}
	if f.fault.Status == http.StatusConflict && len(f.fields) == 0 {
		for _, name := range names {
			if name == "phone_number" {
				return map[string]string{name: f.fault.Message}
			}
		}
	}
	return f.blame(names)
}

func everything(properties []contact.Property, f *failure) map[string]string {
	all := make(map[string]string, len(properties))
	for _, p := range properties {
		all[p.Name] = f.fault.Message
	}
	return all
}

// drop records the refusals and gives the properties that are left.
func (j *job) drop(properties []contact.Property, guilty map[string]string, f *failure) []contact.Property {
	left := make([]contact.Property, 0, len(properties))
	for _, p := range properties {
		said, ok := guilty[p.Name]
		if !ok {
			left = append(left, p)
			continue
		}
		why := f.fault.Refusal
		why.Message, why.Reason = said, InvalidValue
		switch {
		case p.Name == "phone_number" && why.Status == http.StatusConflict:
			why.Reason = PhoneTaken
		case fieldOf[p.Name] != nil && fieldOf[p.Name].kind == number:
			why.Reason = InvalidOption
		}
		if why.Message == "" {
			why.Message = fmt.Sprintf("Aloware refuses this value (HTTP %d).", why.Status)
		}
		j.refused[p.Name] = &why
	}
	return left
}
