package api

import (
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/mappings"
)

// edits reads the edits of a request.
func edits(in []*consolev1.Edit) ([]mappings.Edit, error) {
	out := make([]mappings.Edit, 0, len(in))
	for _, e := range in {
		switch kind := e.GetKind().(type) {
		case *consolev1.Edit_Set:
			out = append(out, mappings.Edit{Edit: setFields(kind.Set)})
		case *consolev1.Edit_Add:
			a := kind.Add
			out = append(out, mappings.Edit{Edit: mapping.Add{
				Aloware: a.GetAloware(), HubSpot: a.GetHubspot(), Direction: contact.Direction(a.GetDirection()), Policy: mapping.Policy(a.GetPolicy()),
				IgnoreBlank: a.GetIgnoreBlank(), Transforms: transforms(a.GetTransforms()), Options: pairs(a.GetOptions()),
			}})
		case *consolev1.Edit_AddBuiltIn:
			out = append(out, mappings.Edit{Edit: mapping.AddBuiltIn{Key: kind.AddBuiltIn.GetKey(), HubSpot: kind.AddBuiltIn.GetHubspot()}})
		case *consolev1.Edit_Remove:
			out = append(out, mappings.Edit{Edit: mapping.Remove{Key: kind.Remove}})
		case *consolev1.Edit_SetFilter:
			out = append(out, mappings.Edit{Edit: mapping.SetFilter{Filter: filter(kind.SetFilter.GetFilter())}})
		case *consolev1.Edit_Reset_:
			out = append(out, mappings.Edit{Edit: mapping.ResetToDefaults{}})
		case *consolev1.Edit_Restore:
			if kind.Restore <= 0 {
				return nil, invalid("restore", "name the version to restore")
			}
			out = append(out, mappings.Edit{Restore: kind.Restore})
		default:
			return nil, invalid("edits", "an edit has no kind, or one that this server does not know")
		}
	}
	return out, nil
}

func setFields(in *consolev1.SetFields) mapping.SetFields {
	out := mapping.SetFields{Key: in.GetKey(), HubSpot: in.Hubspot, Aloware: in.Aloware, IgnoreBlank: in.IgnoreBlank}
	if in.Direction != nil {
		d := contact.Direction(in.GetDirection())
		out.Direction = &d
	}
	if in.Policy != nil {
		p := mapping.Policy(in.GetPolicy())
		out.Policy = &p
	}
	if in.GetTransforms() != nil {
		list := transforms(in.GetTransforms().GetTransforms())
		out.Transforms = &list
	}
	if in.GetOptions() != nil {
		list := pairs(in.GetOptions().GetOptions())
		out.Options = &list
	}
	return out
}

func transforms(in []*consolev1.Transform) []mapping.Transform {
	var out []mapping.Transform
	for _, t := range in {
		out = append(out, mapping.Transform{Kind: mapping.TransformKind(t.GetKind()), Side: contact.System(t.GetSide()), Text: t.GetText()})
	}
	return out
}

func pairs(in []*consolev1.OptionPair) []mapping.Pair {
	var out []mapping.Pair
	for _, p := range in {
		out = append(out, mapping.Pair{Aloware: p.GetAloware(), HubSpot: p.GetHubspot()})
	}
	return out
}

func filter(in *consolev1.Filter) *mapping.Filter {
	if in == nil {
		return nil
	}
	out := &mapping.Filter{Any: in.GetAny()}
	for _, c := range in.GetConditions() {
		out.Conditions = append(out.Conditions, mapping.Condition{Key: c.GetKey(), Op: mapping.Op(c.GetOp()), Texts: c.GetTexts()})
	}
	return out
}

func filterMessage(f *mapping.Filter) *consolev1.Filter {
	if f == nil {
		return nil
	}
	out := &consolev1.Filter{Any: f.Any}
	for _, c := range f.Conditions {
		out.Conditions = append(out.Conditions, &consolev1.Condition{Key: c.Key, Op: string(c.Op), Texts: c.Texts})
	}
	return out
}

func mappingMessage(m *mapping.Mapping) *consolev1.Mapping {
	out := &consolev1.Mapping{
		Key: m.Key, Category: string(m.Category), AlowareLabel: m.Label(), HubspotLabel: m.HubSpot, Aloware: m.Aloware, Hubspot: m.HubSpot,
		Type: m.Type.String(), Direction: consolev1.Direction(m.Direction), Locked: m.Category == mapping.Locked, Removable: m.Removable(),
		MayChangeProperty: m.MayChangeProperty(), Policy: string(m.Policy), IgnoreBlank: m.IgnoreBlank, Manual: m.Manual(),
	}
	if out.Policy == "" {
		out.Policy = string(mapping.Newest)
	}
	for _, d := range m.Allowed() {
		out.Allowed = append(out.Allowed, consolev1.Direction(d))
	}
	for _, t := range m.Transforms {
		out.Transforms = append(out.Transforms, &consolev1.Transform{Kind: string(t.Kind), Side: consolev1.System(t.Side), Text: t.Text})
	}
	for _, p := range m.Options {
		out.Options = append(out.Options, &consolev1.OptionPair{Aloware: p.Aloware, Hubspot: p.HubSpot})
	}
	return out
}

func propertyMessage(p mapping.Property) *consolev1.Property {
	out := &consolev1.Property{Name: p.Name, Label: p.Label, Type: p.Type.String(), ReadOnly: p.ReadOnly}
	for _, o := range p.Options {
		out.Options = append(out.Options, &consolev1.PropertyOption{Value: o.Value, Label: o.Label, Hidden: o.Hidden})
	}
	return out
}

func differenceMessages(in []mapping.Difference) []*consolev1.Difference {
	var out []*consolev1.Difference
	for _, d := range in {
		message := &consolev1.Difference{Key: d.Key, Label: d.Label, Kind: "changed"}
		switch {
		case d.Key != "" && d.Before == nil:
			message.Kind = "added"
		case d.Key != "" && d.After == nil:
			message.Kind = "removed"
		}
		for _, c := range d.Changes {
			message.Changes = append(message.Changes, &consolev1.FieldChange{Field: c.Field, Before: c.Before, After: c.After})
		}
		out = append(out, message)
	}
	return out
}

func previewMessage(p *mappings.Preview) *consolev1.PreviewMappingResponse {
	side := func(i int) *consolev1.SideEffect {
		return &consolev1.SideEffect{
			Written: p.Written[i], Created: p.Created[i], Read: p.Reads[i], Calls: p.Cost[i].Calls, Minutes: p.Cost[i].Minutes,
		}
	}
	out := &consolev1.PreviewMappingResponse{
		Looked: p.Looked, Total: p.Total, Hubspot: side(0), Aloware: side(1), Differences: differenceMessages(p.Differences),
	}
	out.Fields = fieldEffects(p.Fields)
	if e := p.Estimate; e != nil {
		out.Estimate = &consolev1.Estimate{Contacts: e.Looked, Hubspot: e.Written[0], Aloware: e.Written[1], Fields: fieldEffects(e.Fields)}
	}
	return out
}

func fieldEffects(tallies []mapping.FieldTally) (effects []*consolev1.FieldEffect) {
	for _, f := range tallies {
		field := &consolev1.FieldEffect{Key: f.Key, System: consolev1.System(f.System), Fills: f.Fills, Replaces: f.Replaces, Clears: f.Clears}
		for _, e := range f.Examples {
			field.Examples = append(field.Examples, &consolev1.Example{Contact: string(e.Contact), Before: e.Before, After: e.After})
		}
		effects = append(effects, field)
	}
	return effects
}

func stateMessage(s mappings.State) *consolev1.MappingState {
	written := func(system contact.System) *consolev1.Written {
		w := s.Into(system)
		out := &consolev1.Written{ThisHour: w.ThisHour, Today: w.Today}
		if !w.Last.IsZero() {
			out.LastMs = w.Last.UnixMilli()
		}
		return out
	}
	return &consolev1.MappingState{
		Hubspot: written(contact.HubSpot), Aloware: written(contact.Aloware),
		Refused: int64(s.Refused), Rewritten: int64(s.Rewritten), ToDecide: int64(s.ToDecide), Drifted: s.Drifted, DriftJob: s.DriftJob,
	}
}
