package hubspotsim

import (
	"net/http"
	"slices"
	"sort"
)

// writer says on whose behalf and how strictly a write is made.
type writer struct {
	by    source
	rules rules
	api   bool
}

// apiWriter is the app through the API of one version.
func (s *Sim) apiWriter(version string) writer {
	return writer{by: source{Kind: "INTEGRATION", ID: idText(s.cfg.AppID)}, api: true, rules: rules{lenientDates: version == "2026-09"}}
}

// person is somebody at the CRM's own screens.
func person() writer {
	return writer{by: source{Kind: "CRM_UI", ID: "userId:52530071"}, rules: rules{lenientDates: true, backward: true}}
}

// plan is a checked write: what would change, ready to commit.
type plan struct {
	target   *contact // nil creates
	values   []pair
	derived  []pair
	warnings []warning
}

// claims are the unique values that earlier inputs of the same batch take.
type claims map[string]bool

// plan checks a write and finds what it changes. It changes nothing itself.
func (st *store) plan(c *contact, props map[string]string, w writer, taken claims) (*plan, *failure) {
	p := &plan{target: c}
	var bad []invalid
	names := make([]string, 0, len(props))
	for name := range props {
		names = append(names, name)
	}
	sort.Strings(names)
	var conflict *failure
	for _, name := range names {
		id, d, ok := st.schema.active(name)
		if !ok {
			bad = append(bad, invalid{"PROPERTY_DOESNT_EXIST", name, `Property "` + name + `" does not exist`})
			continue
		}
		if !d.writable() {
			kind := "read only"
			if d.calculatedField() {
				kind = "calculated"
			}
			bad = append(bad, invalid{"READ_ONLY_VALUE", name, `"` + name + `" is a ` + kind + ` property; its value cannot be set.`})
			continue
		}
		old := ""
		if c != nil {
			old = c.get(id)
		}
		text, warn, wrong := st.normalise(d, props[name], old, w.rules)
		if wrong != nil {
			bad = append(bad, *wrong)
			continue
		}
		if warn != nil {
			p.warnings = append(p.warnings, *warn)
		}
		if sameValue(d, old, text) {
			continue
		}
		if id == st.schema.stage && text != "" && !w.rules.backward && d.rank(text) < d.rank(old) {
			continue // the API moves the stage forward only, and says nothing
		}
		if f := st.clash(c, id, d, text, taken, &bad); f != nil {
			conflict = f
		}
		p.values = append(p.values, pair{name, text})
	}
	if len(bad) > 0 {
		return nil, invalidValues(st.portal, bad)
	}
	if conflict != nil {
		return nil, conflict
	}
	if c == nil {
		if !slices.ContainsFunc(p.values, func(v pair) bool { return v[0] == "email" || v[0] == "firstname" || v[0] == "lastname" }) {
			return nil, notValid("A contact needs at least one of email, firstname and lastname")
		}
		if props["lifecyclestage"] == "" {
			p.derived = []pair{{"lifecyclestage", "lead"}}
			if d := st.schema.defs[st.schema.stage]; d.rank("lead") < 0 {
				p.derived = nil
			}
		}
	}
	for _, v := range p.values {
		if v[1] == "" || taken == nil {
			continue
		}
		if id := st.schema.ids[v[0]]; id == st.schema.email || st.schema.defs[id].HasUniqueValue {
			taken[v[0]+"\x00"+v[1]] = true
		}
	}
	return p, nil
}

// clash looks for another holder of a unique value.
func (st *store) clash(c *contact, id propID, d *definition, text string, taken claims, bad *[]invalid) *failure {
	unique := id == st.schema.email || d.HasUniqueValue
	if text == "" || !unique {
		return nil
	}
	claimed := taken[d.Name+"\x00"+text]
	holder := st.lookup(id, text)
	if holder != nil && holder == c {
		holder = nil
	}
	switch {
	case id == st.schema.email && st.blocked[text]:
		return &failure{Status: http.StatusBadRequest, Category: "VALIDATION_ERROR", Message: "The email address was deleted for privacy and cannot be used again"}
	case id == st.schema.email && holder != nil:
		return contactExists(holder.id, true)
	case id == st.schema.email && claimed:
		return contactExists(0, false)
	case holder != nil || claimed:
		*bad = append(*bad, invalid{"CONFLICTING_UNIQUE_VALUE", d.Name, text + " is already used by another record"})
	}
	return nil
}

// carry commits a plan and gives the contact. A plan that changes nothing is
// not journaled: no history, no new modification time, no webhook.
func (s *Sim) carry(p *plan, w writer) *contact {
	st := s.store
	if p.target != nil {
		if len(p.values) == 0 {
			if w.api {
				s.stats.idle()
			}
			return p.target
		}
		s.commit(&record{Op: opSet, At: s.nowMS(), ID: p.target.id, By: &w.by, Values: p.values})
	} else {
		id := st.nextID
		s.commit(&record{Op: opCreate, At: s.nowMS(), ID: id, By: &w.by, Values: p.values, Derived: p.derived})
		p.target = st.byID[id]
	}
	if w.api {
		s.stats.wrote(len(p.values))
		s.workflows.triggered(p.target, p.values, s.cfg.Now())
	}
	return p.target
}

// remove archives a contact. Repeating it changes nothing.
func (s *Sim) remove(c *contact, w writer) {
	if c != nil && c.state == active {
		s.commit(&record{Op: opDelete, At: s.nowMS(), ID: c.id, By: &w.by})
		if w.api {
			s.stats.wrote(0)
		}
	}
}

// mergeLimit is the most records that one may be made of.
const mergeLimit = 250

// unite merges two active contacts into a new one.
func (s *Sim) unite(primary, secondary *contact, w writer) (*contact, *failure) {
	st := s.store
	if primary == secondary {
		return nil, notValid("A contact cannot be merged with itself")
	}
	n := 2
	for _, c := range []*contact{primary, secondary} {
		if c.more != nil {
			n += len(c.more.merged)
		}
	}
	if n > mergeLimit {
		return nil, notValid("Cannot have more than %d identities on a profile", mergeLimit)
	}
	id := st.nextID
	s.commit(&record{Op: opMerge, At: s.nowMS(), ID: primary.id, Other: secondary.id, New: id, By: &w.by})
	return st.byID[id], nil
}

// bringBack restores an archived contact.
func (s *Sim) bringBack(c *contact, w writer) *failure {
	for _, e := range c.addresses(s.store.schema.email) {
		if id, ok := s.store.emails[e]; ok {
			return contactExists(id, true)
		}
	}
	s.commit(&record{Op: opRestore, At: s.nowMS(), ID: c.id, By: &w.by})
	return nil
}

// eraseForPrivacy deletes a contact for good, or blocks an e-mail of nobody.
func (s *Sim) eraseForPrivacy(c *contact, email string, w writer) {
	if c == nil {
		s.commit(&record{Op: opBlock, At: s.nowMS(), Email: email, By: &w.by})
		return
	}
	s.commit(&record{Op: opPrivacy, At: s.nowMS(), ID: c.id, By: &w.by})
}
