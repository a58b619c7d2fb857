package hubspotsim

import "net/http"

// propertyGroups answers the calls on property groups.
func (s *Sim) propertyGroups(q *call, rest []string) {
	method := q.r.Method
	var in struct {
		Name         string  `json:"name"`
		Label        *string `json:"label"`
		DisplayOrder *int    `json:"displayOrder"`
	}
	if method == http.MethodPost || method == http.MethodPatch {
		if f := q.decode(&in); f != nil {
			q.fail(f)
			return
		}
	}
	s.edit(func(st *store) {
		if len(rest) == 0 {
			switch method {
			case http.MethodGet:
				writeJSON(q.w, http.StatusOK, map[string]any{"results": st.schema.sortedGroups()})
			case http.MethodPost:
				s.createGroup(q, in.Name, in.Label, in.DisplayOrder)
			default:
				q.fail(noRoute())
			}
			return
		}
		g := st.schema.groups[rest[0]]
		if g == nil || g.Archived || len(rest) > 1 {
			q.fail(&failure{Status: http.StatusNotFound, Category: "OBJECT_NOT_FOUND", Message: "Property group does not exist"})
			return
		}
		changed := *g
		switch method {
		case http.MethodGet:
			writeJSON(q.w, http.StatusOK, g)
		case http.MethodPatch:
			if in.Label != nil {
				changed.Label = *in.Label
			}
			if in.DisplayOrder != nil {
				changed.DisplayOrder = *in.DisplayOrder
			}
			s.commit(&record{Op: opGroup, Group: &changed})
			writeJSON(q.w, http.StatusOK, changed)
		case http.MethodDelete:
			for _, d := range st.schema.defs {
				if d.GroupName == g.Name && d.ArchivedAt == 0 {
					q.fail(&failure{Status: http.StatusBadRequest, Message: `{"status": "error", "message": "Can't delete or purge a group with active properties", "category": "VALIDATION_ERROR", "subCategory": "PropertyGroupError.GROUP_WITH_ACTIVE_PROPERTIES"}`})
					return
				}
			}
			changed.Archived = true
			s.commit(&record{Op: opGroup, Group: &changed})
			q.w.WriteHeader(http.StatusNoContent)
		default:
			q.fail(noRoute())
		}
	})
}

func (s *Sim) createGroup(q *call, name string, label *string, order *int) {
	if !nameForm.MatchString(name) || label == nil {
		q.fail(notValid("A property group needs label, and a name of lower-case letters, digits and underscores"))
		return
	}
	groups := s.store.schema.groups
	if old := groups[name]; old != nil && !old.Archived {
		q.fail(&failure{Status: http.StatusConflict, Category: "OBJECT_ALREADY_EXISTS", Message: "A property group named '" + name + "' already exists."})
		return
	}
	g := &group{Name: name, Label: *label, DisplayOrder: -1}
	for _, other := range groups {
		g.DisplayOrder = max(g.DisplayOrder, other.DisplayOrder+1)
	}
	if order != nil {
		g.DisplayOrder = *order
	}
	s.commit(&record{Op: opGroup, Group: g})
	q.w.Header().Set("Location", "https://api.hubapi.com"+q.r.URL.EscapedPath()+"/"+name)
	writeJSON(q.w, http.StatusCreated, g)
}
