package console

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
)

// The property group that connect creates in a portal.
const (
	groupName  = "aloware"
	groupLabel = "Aloware"
)

// Portal is what connect needs of a HubSpot portal.
type Portal interface {
	Properties(ctx context.Context) ([]hubspot.Definition, error)
	CreateGroup(ctx context.Context, name, label string) error
	CreateProperty(ctx context.Context, definition hubspot.Definition) error
}

// Report tells what connect found and did, by mapping key.
type Report struct {
	Created      []string          // properties that were created in the portal
	Used         map[string]string // property that each mapping uses
	Incompatible map[string]string // why a mapping is at rest
}

// Connect prepares a portal for the built-in mappings: the group, the missing
// properties of the catalogue and our own key, and the names that the portal
// itself uses. It changes nothing that is there, and may be run again at any
// time, also after a run that was broken off.
func Connect(ctx context.Context, portal Portal) (*mapping.Set, Report, error) {
	report := Report{Used: make(map[string]string), Incompatible: make(map[string]string)}
	definitions, err := portal.Properties(ctx)
	if err != nil {
		return nil, report, fmt.Errorf("read the portal's properties: %w", err)
	}
	known := make(map[string]hubspot.Definition, len(definitions))
	for _, d := range definitions {
		known[d.Name] = d
	}
	if err := portal.CreateGroup(ctx, groupName, groupLabel); err != nil {
		return nil, report, fmt.Errorf("create the property group: %w", err)
	}
	wanted := []hubspot.Definition{hubspot.KeyDefinition(groupName)}
	for _, row := range mapping.Catalogue() {
		if row.Create {
			wanted = append(wanted, definition(row))
		}
	}
	for _, d := range wanted {
		if _, there := known[d.Name]; there {
			continue
		}
		if err := portal.CreateProperty(ctx, d); err != nil && !errors.Is(err, hubspot.ErrExists) {
			return nil, report, fmt.Errorf("create property %s: %w", d.Name, err)
		}
		known[d.Name] = d
		report.Created = append(report.Created, d.Name)
	}
	set := mapping.Default(func(row mapping.Row) string {
		for _, name := range row.Names() {
			d, there := known[name]
			if !there {
				continue
			}
			if !compatible(row.Type, d) {
				report.Incompatible[row.Key] = fmt.Sprintf("%s is of type %s/%s in the portal, want one that holds a %s", name, d.Type, d.FieldType, row.Type)
				continue
			}
			delete(report.Incompatible, row.Key)
			report.Used[row.Key] = name
			return name
		}
		return ""
	})
	return set, report, nil
}

// definition is the HubSpot property of a row that we create.
func definition(row mapping.Row) hubspot.Definition {
	d := hubspot.Definition{
		Name: row.HubSpot, Label: row.HubSpotLabel, Group: groupName,
		Description: "Kept in step with \"" + row.AlowareLabel + "\" of Aloware.", Type: "string", FieldType: "text",
	}
	switch row.Type {
	case contact.Multiline:
		d.FieldType = "textarea"
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
		for _, option := range row.Options {
			d.Options = append(d.Options, hubspot.Choice{Label: option, Value: option})
		}
	}
	return d
}

// holds are the HubSpot types that can hold a canonical type.
var holds = map[contact.Type][]string{
	contact.Text:      {"string"},
	contact.Multiline: {"string"},
	contact.Number:    {"number", "string"},
	contact.Checkbox:  {"bool", "enumeration"},
	contact.Date:      {"date", "string"},
	contact.Datetime:  {"datetime", "string"},
	contact.Option:    {"enumeration"},
	contact.Phone:     {"string", "phone_number"},
	contact.Email:     {"string"},
	contact.User:      {"enumeration", "string"},
}

func compatible(t contact.Type, d hubspot.Definition) bool { return slices.Contains(holds[t], d.Type) }
