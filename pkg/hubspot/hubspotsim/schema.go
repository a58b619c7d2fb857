package hubspotsim

import "sort"

// propID is the interned name of a property. It is valid inside one process.
type propID uint16

// schema holds the property definitions and groups, and interns names.
type schema struct {
	ids    map[string]propID
	names  []string
	defs   []*definition // by propID, archived ones included
	groups map[string]*group
	email  propID
	stage  propID
}

func newSchema() (*schema, error) {
	list, err := builtinDefinitions()
	if err != nil {
		return nil, err
	}
	s := &schema{ids: map[string]propID{}, groups: map[string]*group{}}
	for _, d := range list {
		s.put(d)
	}
	for _, g := range builtinGroups() {
		s.groups[g.Name] = g
	}
	s.email, s.stage = s.ids["email"], s.ids["lifecyclestage"]
	return s, nil
}

// put adds or replaces a definition.
func (s *schema) put(d *definition) propID {
	id, ok := s.ids[d.Name]
	if !ok {
		id = propID(len(s.names))
		s.ids[d.Name] = id
		s.names = append(s.names, d.Name)
		s.defs = append(s.defs, nil)
	}
	s.defs[id] = d
	return id
}

// active finds a definition that is not archived.
func (s *schema) active(name string) (propID, *definition, bool) {
	id, ok := s.ids[name]
	if !ok || s.defs[id].ArchivedAt != 0 {
		return 0, nil, false
	}
	return id, s.defs[id], true
}

// list gives the definitions sorted by name.
func (s *schema) list(archived bool) []*definition {
	var out []*definition
	for _, d := range s.defs {
		if (d.ArchivedAt != 0) == archived {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// custom counts the active properties that the account made itself.
func (s *schema) custom() int {
	n := 0
	for _, d := range s.defs {
		if !d.HubspotDefined && d.ArchivedAt == 0 {
			n++
		}
	}
	return n
}

// sortedGroups gives the active groups in display order.
func (s *schema) sortedGroups() []*group {
	var out []*group
	for _, g := range s.groups {
		if !g.Archived {
			out = append(out, g)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].DisplayOrder != out[j].DisplayOrder {
			return out[i].DisplayOrder < out[j].DisplayOrder
		}
		return out[i].Name < out[j].Name
	})
	return out
}
