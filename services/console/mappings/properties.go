package mappings

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/tenant"
)

// The property group that Lockstep creates in a portal.
const (
	GroupName  = "aloware"
	GroupLabel = "Aloware"
)

// schemaAge is how long a portal's properties are taken as read.
const schemaAge = 30 * time.Second

// schema is what both systems have now. Where a portal cannot be read just now
// and stored is enough, what ingest read last is taken.
func (s *Mappings) schema(ctx context.Context, t *tenant.Tenant, stored bool) (mapping.Schema, error) {
	s.mu.Lock()
	seen, ok := s.schemas[t.ID]
	s.mu.Unlock()
	if ok && time.Since(seen.at) < schemaAge {
		return seen.schema, nil
	}
	if stored {
		return s.config.DB.Properties(ctx, t.ID)
	}
	reading, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	known := []contact.System{contact.HubSpot}
	var properties []mapping.Property
	definitions, err := s.config.Portal(t).Properties(reading)
	if err != nil {
		old, storedErr := s.config.DB.Properties(ctx, t.ID)
		if storedErr == nil && old.Known(contact.HubSpot) {
			s.config.Logger.WarnContext(ctx, "the portal's properties could not be read; those read last are taken", "tenant", t.ID, "error", err)
			return old, nil
		}
		return mapping.Schema{}, err
	}
	for _, d := range definitions {
		properties = append(properties, d.Property())
	}
	account, err := s.config.Account(t)
	if err != nil {
		return mapping.Schema{}, err
	}
	attributes, err := account.Attributes(reading)
	switch {
	case err == nil:
		known = append(known, contact.Aloware)
		properties = append(properties, attributes...)
		for _, row := range mapping.Catalogue() {
			properties = append(properties, mapping.Property{System: contact.Aloware, Name: row.Aloware, Label: row.AlowareLabel, Type: row.Type})
		}
	case ctx.Err() != nil:
		return mapping.Schema{}, ctx.Err()
	}
	schema := mapping.NewSchema(known, properties)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schemas[t.ID] = seenSchema{schema, time.Now()}
	return schema, nil
}

// Candidate is a property that could be picked.
type Candidate struct {
	mapping.Property
	TakenBy *mapping.Mapping // nil when it is free
	WhyNot  string           // "" when it can be chosen
}

// Properties lists a system's properties for a picker: for the mapping of a
// key, or for a new one with a property of the other system. set is what they are
// judged by, a draft perhaps; nil is the version in force. complete is false when
// the system does not tell its properties.
func (s *Mappings) Properties(ctx context.Context, id contact.Tenant, set *mapping.Set, system contact.System, key, other, search string) (list []Candidate, complete bool, err error) {
	t, err := s.tenant(id)
	if err != nil {
		return nil, false, err
	}
	if set == nil {
		now, err := s.Get(ctx, id, 0)
		if err != nil {
			return nil, false, err
		}
		set = now.Set
	}
	schema, err := s.schema(ctx, t, false)
	if err != nil {
		return nil, false, err
	}
	forMapping := set.ByKey(key)
	if key != "" && forMapping == nil {
		return nil, false, refuse(mapping.RuleNotFound, key, "there is no such mapping")
	}
	search = strings.ToLower(strings.TrimSpace(search))
	for _, p := range schema.All(system) {
		if search != "" && !strings.Contains(strings.ToLower(p.Label+" "+p.Name), search) {
			continue
		}
		c := Candidate{Property: p, TakenBy: set.ByProperty(system, p.Name)}
		switch {
		case p.Problem != "":
			c.WhyNot = "It cannot be mapped: " + p.Problem + "."
		case mapping.Reserved(system, p.Name):
			c.WhyNot = "It is kept by the system itself."
		case c.TakenBy != nil && c.TakenBy != forMapping:
			c.WhyNot = "It is already mapped by \"" + c.TakenBy.Label() + "\"."
		case forMapping != nil:
			c.WhyNot = tried(set, schema, mapping.SetFields{Key: key, HubSpot: &p.Name}, forMapping.HubSpot == p.Name)
		case other != "":
			add := mapping.Add{Aloware: other, HubSpot: p.Name, Direction: contact.ToAloware}
			if system == contact.Aloware {
				add = mapping.Add{Aloware: p.Name, HubSpot: other, Direction: contact.ToAloware}
			}
			c.WhyNot = tried(set, schema, add, false)
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		if d := cmp.Compare(min(len(a.WhyNot), 1), min(len(b.WhyNot), 1)); d != 0 {
			return d
		}
		return cmp.Compare(strings.ToLower(a.Label), strings.ToLower(b.Label))
	})
	return list, schema.Known(system), nil
}

// tried is why an edit would be refused; "" when it would not.
func tried(set *mapping.Set, schema mapping.Schema, edit mapping.Edit, same bool) string {
	if same {
		return ""
	}
	if _, err := set.Apply(schema, edit); err != nil {
		var refused *mapping.Refusal
		if errors.As(err, &refused) {
			return strings.ToUpper(refused.Message[:1]) + refused.Message[1:] + "."
		}
		return err.Error()
	}
	return ""
}

var propertyName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,98}$`)

// CreateProperty creates a property in HubSpot, in Lockstep's group.
func (s *Mappings) CreateProperty(ctx context.Context, id contact.Tenant, name, label string, typ contact.Type, options []mapping.Option) (mapping.Property, error) {
	t, err := s.tenant(id)
	if err != nil {
		return mapping.Property{}, err
	}
	label = strings.TrimSpace(label)
	switch {
	case !propertyName.MatchString(name):
		return mapping.Property{}, refuse(mapping.RuleInvalid, "name", "a name has 1 to 99 lower-case letters, digits and underscores, and begins with a letter")
	case mapping.Reserved(contact.HubSpot, name):
		return mapping.Property{}, refuse(mapping.RuleReserved, "name", "names that begin with lockstep_ are Lockstep's own")
	case label == "" || len(label) > 200:
		return mapping.Property{}, refuse(mapping.RuleInvalid, "label", "a label has 1 to 200 bytes")
	case typ == contact.Option && len(options) == 0:
		return mapping.Property{}, refuse(mapping.RuleInvalid, "options", "a dropdown needs options")
	case typ != contact.Option && len(options) > 0:
		return mapping.Property{}, refuse(mapping.RuleInvalid, "options", "only a dropdown has options")
	case typ == contact.User || typ == contact.Email || typ.String() == "none":
		return mapping.Property{}, refuse(mapping.RuleInvalid, "type", "want text, multiline, number, checkbox, date, datetime, option or phone")
	}
	d := Definition(name, label, typ, options)
	portal := s.config.Portal(t)
	if err := portal.CreateGroup(ctx, GroupName, GroupLabel); err != nil {
		return mapping.Property{}, err
	}
	err = portal.CreateProperty(ctx, d)
	if errors.Is(err, hubspot.ErrExists) {
		return mapping.Property{}, refuse(mapping.RuleExists, "name", "HubSpot has a property %s already; choose it, or another name", name)
	}
	if err != nil {
		return mapping.Property{}, err
	}
	s.mu.Lock()
	delete(s.schemas, id)
	s.mu.Unlock()
	return d.Property(), nil
}

// Definition is the HubSpot property that holds values of a type.
func Definition(name, label string, typ contact.Type, options []mapping.Option) hubspot.Definition {
	d := hubspot.Definition{Name: name, Label: label, Group: GroupName, Type: "string", FieldType: "text"}
	switch typ {
	case contact.Multiline:
		d.FieldType = "textarea"
	case contact.Phone:
		d.FieldType = "phonenumber"
	case contact.Number:
		d.Type, d.FieldType = "number", "number"
	case contact.Date:
		d.Type, d.FieldType = "date", "date"
	case contact.Datetime:
		d.Type, d.FieldType = "datetime", "date"
	case contact.Checkbox:
		d.Type, d.FieldType = "bool", "booleancheckbox"
		d.Options = []hubspot.Choice{{Label: "Yes", Value: "true"}, {Label: "No", Value: "false"}}
	case contact.Option:
		d.Type, d.FieldType = "enumeration", "select"
		for _, option := range options {
			d.Options = append(d.Options, hubspot.Choice{Label: option.Label, Value: option.Value, Hidden: option.Hidden})
		}
	}
	return d
}
