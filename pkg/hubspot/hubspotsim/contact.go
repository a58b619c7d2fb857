package hubspotsim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// historyLength is the number of values kept per property, the current one included.
const historyLength = 20

type lifeState uint8

const (
	active lifeState = iota
	archived
	gone // merged away or erased for privacy
)

// source tells who made a change, in the words of webhooks and history.
type source struct {
	Kind string `json:"k"` // INTEGRATION, CRM_UI, CALCULATED
	ID   string `json:"i,omitempty"`
}

// entry is a value that a property has or had. An empty text is a cleared value.
type entry struct {
	at     int64
	text   string
	source uint16 // index into store.sources
	prop   propID // whose value it is; here because the space is free
}

// value is the state of one property of one contact.
type value struct {
	entry
	past *[]entry // older entries, oldest first; nil when there are none
}

// contact is one record. Times are epoch milliseconds.
type contact struct {
	id       int64
	created  int64
	updated  int64
	archived int64
	values   []value // sorted by prop
	more     *extras
	creator  uint16
	state    lifeState
	pristine bool // untouched since a bulk load, so the load record alone restores it
}

// extras holds what few contacts have.
type extras struct {
	emails []string // additional e-mail addresses
	merged []int64  // ids that this record absorbed
	stamps []int64  // when each of them was absorbed
}

func (c *contact) find(p propID) (int, bool) {
	return slices.BinarySearchFunc(c.values, p, func(v value, p propID) int { return int(v.prop) - int(p) })
}

// get is the current text of a stored property, "" when unset.
func (c *contact) get(p propID) string {
	if i, ok := c.find(p); ok {
		return c.values[i].text
	}
	return ""
}

// set stores a new current entry and moves the former one into the history.
func (c *contact) set(p propID, e entry) {
	e.prop = p
	i, ok := c.find(p)
	if !ok {
		c.values = slices.Insert(c.values, i, value{entry: e})
		return
	}
	v := &c.values[i]
	if v.past == nil {
		v.past = &[]entry{}
	}
	past := append(*v.past, v.entry)
	if len(past) > historyLength-1 {
		past = slices.Clone(past[len(past)-historyLength+1:])
	}
	*v.past = past
	v.entry = e
}

// clone copies what search reads: the values without their history.
func (c *contact) clone() *contact {
	d := *c
	d.values = slices.Clone(c.values)
	for i := range d.values {
		d.values[i].past = nil
	}
	if c.more != nil {
		m := *c.more
		d.more = &m
	}
	return &d
}

// addresses are all e-mail addresses that resolve to the contact.
func (c *contact) addresses(email propID) []string {
	var out []string
	if e := c.get(email); e != "" {
		out = append(out, e)
	}
	if c.more != nil {
		out = append(out, c.more.emails...)
	}
	return out
}

// instant prints epoch milliseconds as HubSpot does: no fraction when the
// milliseconds are zero, else three digits.
func instant(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if ms%1000 == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

func idText(id int64) string { return strconv.FormatInt(id, 10) }

func joinIDs(ids []int64) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = idText(id)
	}
	return strings.Join(parts, ";")
}
