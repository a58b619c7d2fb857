package hubspotsim

import "encoding/json"

// pair is a property name and its new text.
type pair [2]string

// record is one line of the journal. A change happens only by applying a
// record, live or replayed, so the two can never differ.
type record struct {
	Op      string       `json:"op"`
	At      int64        `json:"at,omitempty"`
	ID      int64        `json:"id,omitempty"`
	Other   int64        `json:"other,omitempty"` // merge: the record that is absorbed
	New     int64        `json:"new,omitempty"`   // merge: the surviving record
	By      *source      `json:"by,omitempty"`
	Values  []pair       `json:"v,omitempty"`
	Derived []pair       `json:"d,omitempty"`  // values that HubSpot sets by itself on this change
	Event   int64        `json:"ev,omitempty"` // id of the first webhook event, 0 when none is sent
	Def     *definition  `json:"def,omitempty"`
	Group   *group       `json:"group,omitempty"`
	Load    *loadOrder   `json:"load,omitempty"`
	Full    *fullContact `json:"full,omitempty"`
	Pending *event       `json:"pending,omitempty"`
	Sent    []int64      `json:"sent,omitempty"` // ids of events that need no further delivery
	Email   string       `json:"email,omitempty"`
	Request string       `json:"r,omitempty"` // "a" admitted, "x" refused, "s" search admitted, "y" search refused
	Token   *tokenChange `json:"token,omitempty"`
	Stats   *savedStats  `json:"stats,omitempty"`
}

// The operations of the journal.
const (
	opCreate   = "create"
	opSet      = "set"
	opDelete   = "delete"
	opRestore  = "restore"
	opMerge    = "merge"
	opPrivacy  = "privacy"
	opBlock    = "block" // an e-mail that matches no contact was erased for privacy
	opLoad     = "load"
	opProperty = "property"
	opGroup    = "group"
	opContact  = "contact" // compaction: a whole contact
	opAlias    = "alias"   // compaction
	opState    = "state"   // compaction: the next ids
	opPending  = "pending" // compaction: an undelivered event
	opSent     = "sent"
	opRequest  = "q"
	opToken    = "token"
	opStats    = "stats"
)

// fullContact is a contact as compaction writes it.
type fullContact struct {
	ID       int64       `json:"id"`
	Created  int64       `json:"c"`
	Updated  int64       `json:"u"`
	Archived int64       `json:"a,omitempty"`
	State    lifeState   `json:"s,omitempty"`
	Creator  source      `json:"by"`
	Values   []fullValue `json:"v,omitempty"`
	Emails   []string    `json:"e,omitempty"`
	Merged   []int64     `json:"m,omitempty"`
	Stamps   []int64     `json:"ms,omitempty"`
}

type fullValue struct {
	Name    string      `json:"p"`
	Entries []fullEntry `json:"e"` // oldest first, the last one is current
}

type fullEntry struct {
	At   int64  `json:"t"`
	Text string `json:"v"`
	By   source `json:"by"`
}

// dump gives the whole contact in the journal's form.
func (st *store) dump(c *contact) *fullContact {
	f := &fullContact{ID: c.id, Created: c.created, Updated: c.updated, Archived: c.archived, State: c.state, Creator: st.sources[c.creator]}
	if c.more != nil {
		f.Emails, f.Merged, f.Stamps = c.more.emails, c.more.merged, c.more.stamps
	}
	for _, v := range c.values {
		fv := fullValue{Name: st.schema.names[v.prop]}
		for _, e := range v.entries() {
			fv.Entries = append(fv.Entries, fullEntry{At: e.at, Text: e.text, By: st.sources[e.source]})
		}
		f.Values = append(f.Values, fv)
	}
	return f
}

// restoreFull puts a dumped contact in the place of what is known of it.
func (st *store) restoreFull(f *fullContact) {
	if old := st.byID[f.ID]; old != nil {
		st.leave(old)
		delete(st.byID, f.ID)
	}
	c := &contact{id: f.ID, created: f.Created, updated: f.Updated, archived: f.Archived, state: f.State, creator: st.intern(f.Creator)}
	if f.Emails != nil || f.Merged != nil {
		c.more = &extras{emails: f.Emails, merged: f.Merged, stamps: f.Stamps}
	}
	for _, v := range f.Values {
		p, ok := st.schema.ids[v.Name]
		if !ok {
			continue
		}
		for _, e := range v.Entries {
			c.set(p, entry{at: e.At, text: e.Text, source: st.intern(e.By)})
		}
	}
	st.add(c)
	switch c.state {
	case active:
		st.enter(c)
	case gone:
		delete(st.byID, c.id)
	}
}

// entries are all known values, oldest first.
func (v *value) entries() []entry {
	if v.past == nil {
		return []entry{v.entry}
	}
	return append(append([]entry(nil), *v.past...), v.entry)
}

func (r *record) encode() ([]byte, error) {
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}
