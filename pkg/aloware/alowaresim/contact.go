package alowaresim

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// counter is one of the lifetime totals of a contact.
type counter uint8

const (
	countInboundCalls counter = iota
	countOutboundCalls
	countInboundTexts
	countOutboundTexts
	countAll
	countUnreadTexts
	countMissedCalls
	countVoicemails
	counters
)

// The bits of contact.flags.
const (
	flagDNC uint8 = 1 << iota
	flagOptedOut
	flagBlocked
	flagAuthorized
	flagPristine // untouched since a bulk load, so the load's record alone restores it
	flagGone     // deleted, or merged into another
)

var flagOf = map[string]uint8{
	"is_dnc": flagDNC, "is_opted_out": flagOptedOut, "is_blocked": flagBlocked, "text_authorized": flagAuthorized,
}

// contact is kept small, because an account may have a million of them. Times
// are seconds since 1970, 0 is none.
type contact struct {
	id         int64
	texts      texts
	phone      uint64 // digits of E.164
	user       int64
	disposed   int64 // contact disposition
	line       int64
	created    int64
	updated    int64
	authorized int64 // when texts were authorized
	engaged    int64
	engagedIn  int64
	engagedOut int64
	counts     [counters]int32
	flags      uint8
	lrn        int8
	more       *more // nil when there is nothing in it
}

// more is what few contacts have.
type more struct {
	tags       string
	numbers    string
	attributes map[string]string // by slug
	stamps     map[string]stamp  // by read name or slug
}

// stamp says who wrote a field last.
type stamp struct {
	By string `json:"b"`
	At int64  `json:"a"`
}

// texts are the text fields of a contact in one string: for each slot its
// length and its bytes. Blank ones at the end are left out.
type texts string

func pack(values []string) texts {
	last := len(values)
	for last > 0 && values[last-1] == "" {
		last--
	}
	size := 0
	for _, v := range values[:last] {
		size += len(v) + 1
	}
	b := make([]byte, 0, size+4)
	for _, v := range values[:last] {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return texts(b)
}

func (t texts) unpack(values []string) {
	clear(values)
	for i := 0; len(t) > 0 && i < len(values); i++ {
		n, used := t.head()
		values[i] = string(t[used : used+n])
		t = t[used+n:]
	}
}

func (t texts) at(slot int) string {
	for ; len(t) > 0; slot-- {
		n, used := t.head()
		if slot == 0 {
			return string(t[used : used+n])
		}
		t = t[used+n:]
	}
	return ""
}

func (t texts) with(slot int, value string) texts {
	values := make([]string, slots)
	t.unpack(values)
	values[slot] = value
	return pack(values)
}

// head is the length of the first text and of the number before it.
func (t texts) head() (length, used int) {
	shift := 0
	for used < len(t) {
		b := t[used]
		used++
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		shift += 7
	}
	return length, used
}

func (c *contact) is(flag uint8) bool { return c.flags&flag != 0 }

func (c *contact) mark(flag uint8, on bool) {
	c.flags &^= flag
	if on {
		c.flags |= flag
	}
}

// get is the value of a field in its own form. A name that is no column's is
// an attribute's.
func (c *contact) get(name string) string {
	col := byRead[name]
	if col == nil {
		if c.more == nil {
			return ""
		}
		return c.more.attributes[name]
	}
	switch col.kind {
	case kindPhone:
		return formatPhone(c.phone)
	case kindUser:
		return idText(c.user)
	case kindDisposition:
		return idText(c.disposed)
	case kindLine:
		return idText(c.line)
	case kindFlag:
		return flagText(c.is(flagOf[name]))
	case kindLineType:
		return string([]byte{'0' + byte(c.lrn)})
	case kindTags, kindNumbers:
		switch {
		case c.more == nil:
			return ""
		case col.kind == kindTags:
			return c.more.tags
		}
		return c.more.numbers
	}
	return c.texts.at(col.slot)
}

// put sets a field to a value in its own form.
func (c *contact) put(name, value string) {
	col := byRead[name]
	if col == nil {
		m := c.extra()
		if value == "" {
			delete(m.attributes, name)
		} else if m.attributes == nil {
			m.attributes = map[string]string{name: value}
		} else {
			m.attributes[name] = value
		}
		return
	}
	switch col.kind {
	case kindPhone:
		c.phone = parsePhone(value)
	case kindUser:
		c.user = idOf(value)
	case kindDisposition:
		c.disposed = idOf(value)
	case kindLine:
		c.line = idOf(value)
	case kindFlag:
		c.mark(flagOf[name], value == "1")
	case kindLineType:
		c.lrn = int8(value[0] - '0')
	case kindTags:
		c.extra().tags = value
	case kindNumbers:
		c.extra().numbers = value
	default:
		c.texts = c.texts.with(col.slot, value)
	}
}

func (c *contact) extra() *more {
	if c.more == nil {
		c.more = &more{}
	}
	return c.more
}

func (c *contact) numbers() []secondary {
	if c.more == nil {
		return nil
	}
	return numbersOf(c.more.numbers)
}

func (c *contact) stamp(name, by string, at int64) {
	m := c.extra()
	if m.stamps == nil {
		m.stamps = map[string]stamp{}
	}
	m.stamps[name] = stamp{By: by, At: at}
}

// called is the name for people.
func (c *contact) called() string {
	if name := c.texts.at(slotName); name != "" {
		return name
	}
	return formatPhone(c.phone)
}

// fullName is first and last name in one.
func fullName(first, last string) string { return strings.TrimSpace(first + " " + last) }

// savedContact is a contact in the journal.
type savedContact struct {
	ID         int64             `json:"id"`
	Texts      []string          `json:"t"`
	Phone      uint64            `json:"p"`
	IDs        [3]int64          `json:"r"` // user, disposition, line
	Times      [6]int64          `json:"at"`
	Counts     [counters]int32   `json:"n"`
	Flags      uint8             `json:"f"`
	LineType   int8              `json:"l"`
	Tags       string            `json:"tags,omitempty"`
	Numbers    string            `json:"numbers,omitempty"`
	Attributes map[string]string `json:"x,omitempty"`
	Stamps     map[string]stamp  `json:"s,omitempty"`
}

func (c *contact) save() savedContact {
	r := savedContact{
		ID: c.id, Texts: make([]string, slots), Phone: c.phone, IDs: [3]int64{c.user, c.disposed, c.line},
		Times:  [6]int64{c.created, c.updated, c.authorized, c.engaged, c.engagedIn, c.engagedOut},
		Counts: c.counts, Flags: c.flags, LineType: c.lrn,
	}
	c.texts.unpack(r.Texts)
	if c.more != nil {
		r.Tags, r.Numbers = c.more.tags, c.more.numbers
		r.Attributes, r.Stamps = maps.Clone(c.more.attributes), maps.Clone(c.more.stamps)
	}
	return r
}

// restore makes the contact equal to what was saved.
func (c *contact) restore(r *savedContact) {
	values := slices.Grow(r.Texts, max(0, slots-len(r.Texts)))[:slots]
	*c = contact{
		id: r.ID, texts: pack(values), phone: r.Phone, user: r.IDs[0], disposed: r.IDs[1], line: r.IDs[2],
		created: r.Times[0], updated: r.Times[1], authorized: r.Times[2],
		engaged: r.Times[3], engagedIn: r.Times[4], engagedOut: r.Times[5],
		counts: r.Counts, flags: r.Flags, lrn: r.LineType,
	}
	if r.Tags != "" || r.Numbers != "" || len(r.Attributes) > 0 || len(r.Stamps) > 0 {
		c.more = &more{tags: r.Tags, numbers: r.Numbers, attributes: r.Attributes, stamps: r.Stamps}
	}
}
