package hubspotsim

import (
	"sort"
	"strings"
	"sync"
)

// store is the account's data. mu guards every field; journal and outbox are
// filled while it is held and handed over when it is given up.
type store struct {
	mu       sync.RWMutex
	schema   *schema
	byID     map[int64]*contact
	order    []*contact // ascending id, gone ones included
	emails   map[string]int64
	uniques  map[propID]map[string]int64
	aliases  map[int64]int64 // merged-away id to survivor
	blocked  map[string]bool // e-mails erased for privacy
	sources  []source
	sourceID map[source]uint16
	loads    []loadOrder
	computed map[propID]func(*contact) string
	index    *searchIndex
	journal  *journal
	outbox   []event
	nextID   int64
	nextEv   int64
	portal   int64
	live     bool // false while the journal is replayed
}

func newStore(cfg Config) (*store, error) {
	sch, err := newSchema()
	if err != nil {
		return nil, err
	}
	st := &store{
		schema: sch, byID: map[int64]*contact{}, emails: map[string]int64{}, uniques: map[propID]map[string]int64{},
		aliases: map[int64]int64{}, blocked: map[string]bool{}, sourceID: map[source]uint16{},
		index: newSearchIndex(cfg.SearchLag), journal: &journal{}, nextID: 180_000_000_001, nextEv: 3_000_000_001, portal: cfg.PortalID,
	}
	st.intern(source{Kind: "INTEGRATION", ID: idText(cfg.AppID)})
	st.bindComputed()
	return st, nil
}

// intern gives a source its small number.
func (st *store) intern(s source) uint16 {
	if n, ok := st.sourceID[s]; ok {
		return n
	}
	n := uint16(len(st.sources))
	st.sources = append(st.sources, s)
	st.sourceID[s] = n
	return n
}

// bindComputed says how the values that HubSpot computes are made.
func (st *store) bindComputed() {
	email, first, last := st.schema.email, st.schema.ids["firstname"], st.schema.ids["lastname"]
	phone, mobile := st.schema.ids["phone"], st.schema.ids["mobilephone"]
	byName := map[string]func(*contact) string{
		"hs_object_id":                           func(c *contact) string { return idText(c.id) },
		"createdate":                             func(c *contact) string { return instant(c.created) },
		"lastmodifieddate":                       func(c *contact) string { return instant(c.updated) },
		"hs_is_contact":                          func(*contact) string { return "true" },
		"hs_searchable_calculated_phone_number":  func(c *contact) string { return nationalDigits(c.get(phone)) },
		"hs_searchable_calculated_mobile_number": func(c *contact) string { return nationalDigits(c.get(mobile)) },
		"hs_is_unworked":                         func(*contact) string { return "true" },
		"hs_email_domain": func(c *contact) string {
			_, domain, _ := strings.Cut(c.get(email), "@")
			return domain
		},
		"hs_full_name_or_email": func(c *contact) string {
			return orText(strings.TrimSpace(c.get(first)+" "+c.get(last)), c.get(email))
		},
		"hs_object_source":       func(c *contact) string { return st.sources[c.creator].Kind },
		"hs_object_source_label": func(c *contact) string { return st.sources[c.creator].Kind },
		"hs_object_source_id":    func(c *contact) string { return st.sources[c.creator].ID },
		"hs_all_contact_vids": func(c *contact) string {
			if c.more == nil {
				return idText(c.id)
			}
			return joinIDs(append([]int64{c.id}, c.more.merged...))
		},
		"hs_additional_emails": func(c *contact) string {
			if c.more == nil {
				return ""
			}
			return strings.Join(c.more.emails, ";")
		},
		"hs_merged_object_ids": func(c *contact) string {
			if c.more == nil {
				return ""
			}
			return joinIDs(c.more.merged)
		},
		"hs_calculated_merged_vids": func(c *contact) string {
			if c.more == nil {
				return ""
			}
			var parts []string
			for i, id := range c.more.merged {
				parts = append(parts, idText(id)+":"+idText(c.more.stamps[i]))
			}
			return strings.Join(parts, ";")
		},
	}
	st.computed = map[propID]func(*contact) string{}
	for name, f := range byName {
		if id, ok := st.schema.ids[name]; ok {
			st.computed[id] = f
		}
	}
}

// nationalDigits are the digits of a phone number without its country code, as
// the CRM calculates them for searching: area code and local number.
func nationalDigits(phone string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, phone)
	if len(digits) == 11 && digits[0] == '1' {
		return digits[1:]
	}
	return digits
}

// text is the current value of any property, computed or stored, "" when unset.
func (st *store) text(c *contact, p propID) string {
	if f, ok := st.computed[p]; ok {
		return f(c)
	}
	return c.get(p)
}

// resolve finds a contact by record id, following merges.
func (st *store) resolve(id int64) *contact {
	if to, ok := st.aliases[id]; ok {
		id = to
	}
	return st.byID[id]
}

// lookup finds an active contact by a unique property's value.
func (st *store) lookup(p propID, text string) *contact {
	id, ok := int64(0), false
	if p == st.schema.email {
		id, ok = st.emails[strings.ToLower(strings.TrimSpace(text))]
	} else {
		id, ok = st.uniques[p][text]
	}
	if !ok {
		return nil
	}
	return st.byID[id]
}

// enter puts an active contact into the unique indexes.
func (st *store) enter(c *contact) {
	for _, e := range c.addresses(st.schema.email) {
		st.emails[e] = c.id
	}
	for p, m := range st.uniques {
		if v := c.get(p); v != "" {
			m[v] = c.id
		}
	}
}

// leave takes a contact out of the unique indexes.
func (st *store) leave(c *contact) {
	for _, e := range c.addresses(st.schema.email) {
		if st.emails[e] == c.id {
			delete(st.emails, e)
		}
	}
	for p, m := range st.uniques {
		if v := c.get(p); v != "" && m[v] == c.id {
			delete(m, v)
		}
	}
}

// add makes a contact known under its id.
func (st *store) add(c *contact) {
	st.byID[c.id] = c
	if n := len(st.order); n == 0 || st.order[n-1].id < c.id {
		st.order = append(st.order, c)
	} else {
		i := st.position(c.id)
		if i < len(st.order) && st.order[i].id == c.id {
			st.order[i] = c
		} else {
			st.order = append(st.order, nil)
			copy(st.order[i+1:], st.order[i:])
			st.order[i] = c
		}
	}
	st.nextID = max(st.nextID, c.id+1)
}

// position is the place of the first contact whose id is not below the given one.
func (st *store) position(id int64) int {
	return sort.Search(len(st.order), func(i int) bool { return st.order[i].id >= id })
}
