package hubspotsim

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
)

// nameForm is what a property's name must look like.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

// fieldTypes lists the field types that a type may be created with.
var fieldTypes = map[string][]string{
	"bool":         {"booleancheckbox", "calculation_equation"},
	"enumeration":  {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
	"date":         {"date"},
	"datetime":     {"date"},
	"string":       {"text", "textarea", "file", "html", "phonenumber", "calculation_equation"},
	"number":       {"number", "calculation_equation"},
	"phone_number": {"phonenumber"},
}

// maxCustom is the number of custom properties that contacts may have.
const maxCustom = 1000

// properties answers the calls on definitions and groups.
func (s *Sim) properties(q *call) {
	if len(q.rest) == 0 || (q.rest[0] != "contacts" && q.rest[0] != "0-1") {
		q.fail(noRoute())
		return
	}
	method, rest := q.r.Method, q.rest[1:]
	switch {
	case len(rest) == 0 && method == http.MethodGet:
		s.listProperties(q)
	case len(rest) == 0 && method == http.MethodPost:
		s.createProperty(q)
	case len(rest) >= 1 && rest[0] == "groups":
		s.propertyGroups(q, rest[1:])
	case len(rest) == 2 && rest[0] == "batch" && method == http.MethodPost:
		s.batchProperties(q, rest[1])
	case len(rest) == 1 && method == http.MethodGet:
		s.getProperty(q, rest[0])
	case len(rest) == 1 && method == http.MethodPatch:
		s.patchProperty(q, rest[0])
	case len(rest) == 1 && method == http.MethodDelete:
		s.archiveProperty(q, rest[0])
	default:
		q.fail(noRoute())
	}
}

func noProperty() *failure {
	return &failure{Status: http.StatusNotFound, Category: "OBJECT_NOT_FOUND", Message: "Property does not exist"}
}

func (s *Sim) listProperties(q *call) {
	st := s.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	want := orText(q.query.Get("dataSensitivity"), "non_sensitive")
	results := []any{}
	for _, d := range st.schema.list(q.flag("archived")) {
		if orText(d.DataSensitivity, "non_sensitive") == want {
			results = append(results, d.render())
		}
	}
	writeJSON(q.w, http.StatusOK, map[string]any{"results": results})
}

func (s *Sim) getProperty(q *call, name string) {
	st := s.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	id, ok := st.schema.ids[name]
	if !ok || (st.schema.defs[id].ArchivedAt != 0) != q.flag("archived") {
		q.fail(noProperty())
		return
	}
	writeJSON(q.w, http.StatusOK, st.schema.defs[id].render())
}

// propertyInput is what a create or a patch may say. A nil field was not sent.
type propertyInput struct {
	Name            string    `json:"name"`
	Label           *string   `json:"label"`
	Type            *string   `json:"type"`
	FieldType       *string   `json:"fieldType"`
	GroupName       *string   `json:"groupName"`
	Description     *string   `json:"description"`
	Options         *[]option `json:"options"`
	DisplayOrder    *int      `json:"displayOrder"`
	Hidden          *bool     `json:"hidden"`
	FormField       *bool     `json:"formField"`
	HasUniqueValue  bool      `json:"hasUniqueValue"`
	ExternalOptions bool      `json:"externalOptions"`
	ReferencedType  string    `json:"referencedObjectType"`
	Formula         *string   `json:"calculationFormula"`
	DataSensitivity string    `json:"dataSensitivity"`
}

// onto copies the fields that were sent into a definition.
func (in *propertyInput) onto(d *definition) {
	for _, f := range []struct {
		from *string
		to   *string
	}{{in.Label, &d.Label}, {in.Type, &d.Type}, {in.FieldType, &d.FieldType}, {in.GroupName, &d.GroupName}, {in.Description, &d.Description}, {in.Formula, &d.Formula}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if in.Options != nil {
		d.Options = slices.Clone(*in.Options)
	}
	if in.DisplayOrder != nil {
		d.DisplayOrder = *in.DisplayOrder
	}
	if in.Hidden != nil {
		d.Hidden = *in.Hidden
	}
	if in.FormField != nil {
		d.FormField = *in.FormField
	}
}

// newDefinition checks a create.
func (s *Sim) newDefinition(in *propertyInput) (*definition, *failure) {
	sch, now := s.store.schema, s.nowMS()
	if in.Name == "" || in.Label == nil || in.Type == nil || in.FieldType == nil || in.GroupName == nil {
		return nil, notValid("A property needs name, label, type, fieldType and groupName")
	}
	if !nameForm.MatchString(in.Name) {
		return nil, notValid("Property name %q must be lower-case letters, digits and underscores, start with a letter and have at most 100 characters", in.Name)
	}
	d := &definition{Name: in.Name, DisplayOrder: -1, Archivable: true, CreatedAt: now, UpdatedAt: now,
		HasUniqueValue: in.HasUniqueValue, ExternalOptions: in.ExternalOptions, ReferencedType: in.ReferencedType, DataSensitivity: in.DataSensitivity}
	if id, ok := sch.ids[in.Name]; ok {
		old := sch.defs[id]
		if old.ArchivedAt == 0 {
			return nil, &failure{Status: http.StatusConflict, Category: "OBJECT_ALREADY_EXISTS", SubCategory: "Properties.PROPERTY_WITH_NAME_EXISTS",
				Message: "A property named '" + in.Name + "' already exists.", Context: nil}
		}
		d.CreatedAt, d.HasUniqueValue = old.CreatedAt, old.HasUniqueValue
	} else if sch.custom() >= maxCustom {
		return nil, notValid("The limit of %d custom properties is reached", maxCustom)
	}
	in.onto(d)
	return d, checkDefinition(sch, d)
}

// checkDefinition refuses definitions that cannot be.
func checkDefinition(sch *schema, d *definition) *failure {
	old := func(text string) *failure {
		return &failure{Status: http.StatusBadRequest, Message: text, Extra: map[string]any{"propertiesErrorCode": "PROPERTY_INVALID"}}
	}
	if !slices.Contains(fieldTypes[d.Type], d.FieldType) {
		return old("Failed field type validation on property '" + d.Name + "' type '" + d.Type + "' fieldType '" + d.FieldType + "'")
	}
	if g := sch.groups[d.GroupName]; g == nil || g.Archived {
		return old("Property group '" + d.GroupName + "' does not exist")
	}
	seen := map[string]bool{}
	for _, o := range d.Options {
		if o.Label == "" || o.Value == "" || seen[o.Value] {
			return old("Property '" + d.Name + "' has an option without label or value, or a value twice")
		}
		seen[o.Value] = true
	}
	if d.Type == "bool" && d.FieldType == "booleancheckbox" && (len(d.Options) != 2 || !seen["true"] || !seen["false"]) {
		return &failure{Status: http.StatusBadRequest, Category: "VALIDATION_ERROR", SubCategory: "PropertyValidationError.INVALID_BOOLEAN_OPTION",
			Message: "Boolean properties must have exactly the options true and false"}
	}
	if d.Type == "enumeration" && len(d.Options) == 0 && !d.ExternalOptions && !d.calculatedField() {
		return old("Property '" + d.Name + "' has no options but options are required!")
	}
	if d.HasUniqueValue && d.Type != "string" && d.Type != "number" {
		return old("Property '" + d.Name + "' of type '" + d.Type + "' cannot have unique values")
	}
	return nil
}

func (s *Sim) createProperty(q *call) {
	var in propertyInput
	if f := q.decode(&in); f != nil {
		q.fail(f)
		return
	}
	s.edit(func(*store) {
		d, f := s.newDefinition(&in)
		if f != nil {
			q.fail(f)
			return
		}
		s.commit(&record{Op: opProperty, Def: d})
		q.w.Header().Set("Location", "https://api.hubapi.com"+q.r.URL.EscapedPath()+"/"+d.Name)
		writeJSON(q.w, http.StatusCreated, d.render())
	})
}

func (s *Sim) patchProperty(q *call, name string) {
	var in propertyInput
	if f := q.decode(&in); f != nil {
		q.fail(f)
		return
	}
	s.edit(func(st *store) {
		_, old, ok := st.schema.active(name)
		if !ok {
			q.fail(noProperty())
			return
		}
		d := *old
		in.onto(&d)
		if old.HubspotDefined && (d.Type != old.Type || d.FieldType != old.FieldType) {
			q.fail(notValid("The type of the HubSpot-defined property %s cannot be changed", name))
			return
		}
		if !old.HubspotDefined {
			if f := checkDefinition(st.schema, &d); f != nil {
				q.fail(f)
				return
			}
		}
		d.UpdatedAt = s.nowMS()
		s.commit(&record{Op: opProperty, Def: &d})
		writeJSON(q.w, http.StatusOK, d.render())
	})
}

// archiveDefinition archives a property that the account made.
func (s *Sim) archiveDefinition(name string) *failure {
	_, old, ok := s.store.schema.active(name)
	if !ok {
		return noProperty()
	}
	if old.HubspotDefined {
		return &failure{Status: http.StatusBadRequest, Category: "VALIDATION_ERROR", SubCategory: "PropertyValidationError.CANNOT_DELETE_PROPERTY_IN_USE",
			Message: name + " is defined by HubSpot and cannot be deleted"}
	}
	d := *old
	d.ArchivedAt = s.nowMS()
	s.commit(&record{Op: opProperty, Def: &d})
	return nil
}

func (s *Sim) archiveProperty(q *call, name string) {
	s.edit(func(*store) {
		if f := s.archiveDefinition(name); f != nil {
			q.fail(f)
			return
		}
		q.w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Sim) batchProperties(q *call, operation string) {
	var req struct {
		Inputs   []json.RawMessage `json:"inputs"`
		Archived bool              `json:"archived"`
	}
	if f := q.decode(&req); f != nil {
		q.fail(f)
		return
	}
	inputs := make([]propertyInput, len(req.Inputs))
	for i, raw := range req.Inputs {
		if err := json.Unmarshal(raw, &inputs[i]); err != nil {
			q.fail(badJSON(raw, err))
			return
		}
	}
	now := instant(s.nowMS())
	out := map[string]any{"status": "COMPLETE", "startedAt": now, "completedAt": now}
	results, failures := []any{}, []any{}
	status := http.StatusOK
	s.edit(func(st *store) {
		switch operation {
		case "create":
			status = http.StatusCreated
			for i := range inputs {
				d, f := s.newDefinition(&inputs[i])
				if f != nil {
					f.Context = map[string][]string{"name": {inputs[i].Name}}
					failures = append(failures, f.body(""))
					continue
				}
				s.commit(&record{Op: opProperty, Def: d})
				results = append(results, d.render())
			}
		case "read":
			for i := range inputs {
				id, ok := st.schema.ids[inputs[i].Name]
				if !ok || (st.schema.defs[id].ArchivedAt != 0) != req.Archived {
					f := noProperty()
					f.Context = map[string][]string{"name": {inputs[i].Name}}
					failures = append(failures, f.body(""))
					continue
				}
				results = append(results, st.schema.defs[id].render())
			}
		case "archive":
			for i := range inputs {
				_ = s.archiveDefinition(inputs[i].Name) // answers 204 whatever the state
			}
			q.w.WriteHeader(http.StatusNoContent)
			return
		default:
			q.fail(noRoute())
			return
		}
		out["results"] = results
		if len(failures) > 0 {
			out["errors"], out["numErrors"] = failures, len(failures)
			status = http.StatusMultiStatus
		}
		writeJSON(q.w, status, out)
	})
}
