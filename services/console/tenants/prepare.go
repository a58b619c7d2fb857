package tenants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/console/mappings"
)

// Schema is what preparing needs of a portal.
type Schema interface {
	mappings.Portal
	PropertyLimit(ctx context.Context) (hubspot.PropertyLimit, error)
}

// Report tells what preparing a portal found and did, by mapping key.
type Report struct {
	Created      []string          // properties that were created in the portal
	Used         map[string]string // property that each mapping uses
	Incompatible map[string]string // why a mapping cannot work as the portal is
}

// reason tells the choices in one line, for the version's history.
func (r Report) reason() string {
	var chosen []string
	for _, row := range mapping.Catalogue() {
		if name := r.Used[row.Key]; name != "" && name != row.HubSpot {
			chosen = append(chosen, row.HubSpot+" is "+name)
		}
	}
	text := fmt.Sprintf("connected: %d properties created", len(r.Created))
	if len(chosen) > 0 {
		text += "; " + strings.Join(chosen, ", ")
	}
	if len(r.Incompatible) > 0 {
		text += "; at rest: " + strings.Join(slices.Sorted(maps.Keys(r.Incompatible)), ", ")
	}
	return text
}

// Prepare prepares a portal for the built-in mappings: the group, the missing
// properties of the catalogue and our own key, and the names that the portal
// itself uses. It looks first whether the portal may have so many custom
// properties. It changes nothing that is there, and may be run again at any
// time, also after a run that was broken off.
func Prepare(ctx context.Context, portal Schema) (*mapping.Set, Report, error) {
	report := Report{Used: make(map[string]string), Incompatible: make(map[string]string)}
	definitions, err := portal.Properties(ctx)
	if err != nil {
		return nil, report, fmt.Errorf("read the portal's properties: %w", err)
	}
	known := make(map[string]bool, len(definitions))
	properties := make([]mapping.Property, 0, len(definitions)+55)
	for _, d := range definitions {
		known[d.Name] = true
		properties = append(properties, d.Property())
	}
	var missing []hubspot.Definition
	for _, d := range wanted() {
		if !known[d.Name] {
			missing = append(missing, d)
		}
	}
	if err := room(ctx, portal, len(missing)); err != nil {
		return nil, report, err
	}
	if err := portal.CreateGroup(ctx, mappings.GroupName, mappings.GroupLabel); err != nil {
		return nil, report, fmt.Errorf("create the property group: %w", err)
	}
	for _, d := range missing {
		if err := portal.CreateProperty(ctx, d); err != nil && !errors.Is(err, hubspot.ErrExists) {
			return nil, report, fmt.Errorf("create property %s: %w", d.Name, err)
		}
		properties = append(properties, d.Property())
		report.Created = append(report.Created, d.Name)
	}
	schema := mapping.NewSchema([]contact.System{contact.HubSpot}, properties)
	set := mapping.Resolve(schema)
	drift := set.Drift(schema)
	for i := range set.Mappings {
		m := &set.Mappings[i]
		if why := drift[m.Key]; why != "" {
			report.Incompatible[m.Key] = why
		} else {
			report.Used[m.Key] = m.HubSpot
		}
	}
	return set, report, nil
}

// wanted are the properties that are ours to create.
func wanted() []hubspot.Definition {
	list := []hubspot.Definition{hubspot.KeyDefinition(mappings.GroupName)}
	for _, row := range mapping.Catalogue() {
		if !row.Create {
			continue
		}
		var options []mapping.Option
		for _, option := range row.Options {
			options = append(options, mapping.Option{Value: option, Label: option})
		}
		d := mappings.Definition(row.HubSpot, row.HubSpotLabel, row.Type, options)
		d.Description = "Kept in step with \"" + row.AlowareLabel + "\" of Aloware."
		list = append(list, d)
	}
	return list
}

// room looks whether the portal may have so many custom properties more. A
// portal that does not tell its limit is taken at its word when one is created.
func room(ctx context.Context, portal Schema, more int) error {
	if more == 0 {
		return nil
	}
	limit, err := portal.PropertyLimit(ctx)
	switch {
	case fault.Is(err, fault.Permanent), fault.Is(err, fault.Gone):
		return nil
	case err != nil:
		return fmt.Errorf("read the portal's limit of custom properties: %w", err)
	case limit.Limit > 0 && limit.Limit-limit.Usage < int64(more):
		return refuse("property_limit", "hubspot",
			"the portal may have %d custom contact properties and has %d; Lockstep needs %d more. Remove unused ones in HubSpot, or raise the limit, then connect again; nothing was created",
			limit.Limit, limit.Usage, more)
	}
	return nil
}
