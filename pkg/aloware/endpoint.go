package aloware

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// reading is a contact as one answer shows it.
type reading struct {
	id      string
	phone   string // main number, as Aloware writes it
	email   string // lower case
	updated contact.Millis
	values  []contact.Value
	totals  *contact.Counters
}

// held is what the contact holds of a property; false when it does not tell.
func (r *reading) held(name string) (string, bool) {
	if r == nil {
		return "", false
	}
	i := slices.IndexFunc(r.values, func(v contact.Value) bool { return v.Name == name })
	if i < 0 {
		return "", false
	}
	return r.values[i].Text, true
}

// appliedAt is the time of the contact by Aloware's clock.
func (r *reading) appliedAt(a answer) contact.Millis {
	if r != nil && r.updated != 0 {
		return r.updated
	}
	return a.at
}

// read makes a reading of a contact's JSON; nil when there is no id in it.
func (c *Client) read(v any) *reading {
	o := asObject(v)
	id := o.id("id")
	if id == "" {
		return nil
	}
	r := &reading{id: id, phone: o.text("phone_number"), email: strings.ToLower(o.text("email")), updated: o.time("updated_at"), values: values(o, c.links), totals: told(o)}
	return r
}

// sum is a hash of all that the reading tells.
func (r *reading) sum() string {
	told := make([]byte, 0, 1024)
	add := func(text string) { told = append(binary.AppendUvarint(told, uint64(len(text))), text...) }
	add(r.id)
	told = binary.AppendVarint(told, int64(r.updated))
	if t := r.totals; t != nil {
		for _, n := range []int64{t.InboundCalls, t.OutboundCalls, t.InboundTexts, t.OutboundTexts} {
			told = binary.AppendVarint(told, n)
		}
	}
	for _, v := range r.values {
		add(v.Name)
		add(v.Text)
	}
	sum := sha256.Sum256(told)
	return hex.EncodeToString(sum[:16])
}

// unwrap takes contacts out of the shapes in which they were seen: bare, in a
// list, and below "data" or "contact".
func (c *Client) unwrap(v any) []*reading {
	switch v := v.(type) {
	case []any:
		var all []*reading
		for _, one := range v {
			if r := c.read(one); r != nil {
				all = append(all, r)
			}
		}
		return all
	case map[string]any:
		if r := c.read(v); r != nil {
			return []*reading{r}
		}
		for _, key := range []string{"data", "contact"} {
			if inner, ok := v[key]; ok {
				return c.unwrap(inner)
			}
		}
	}
	return nil
}

// lookup finds contacts by phone number: none when Aloware knows no such
// number, and one by all that is known of it.
func (c *Client) lookup(ctx context.Context, phone string) ([]*reading, answer, error) {
	a, err := c.call(ctx, request{method: http.MethodGet, path: "contact/phone-number", query: url.Values{"phone_number": {phone}}})
	if fault.Is(err, fault.Gone) {
		return nil, a, nil
	}
	if err != nil {
		return nil, a, err
	}
	found := c.unwrap(a.raw)
	if len(found) == 0 && !empty(a.raw) {
		// To take it for "none" would create the contact again and again.
		return nil, a, fail(fault.Permanent, a.status, Malformed, "the answer to a lookup by phone holds no contact that can be read")
	}
	return found, a, nil
}

// empty reports whether an answer says, in one of its shapes, that there is
// nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		for key, inner := range v {
			if key != "data" && key != "contact" || !empty(inner) {
				return false
			}
		}
		return true
	}
	return false
}

// byID reads one contact.
func (c *Client) byID(ctx context.Context, id string) (*reading, answer, error) {
	a, err := c.call(ctx, request{method: http.MethodGet, path: "contact/" + url.PathEscape(id), assumed: true})
	if err != nil {
		return nil, a, err
	}
	found := c.unwrap(a.raw)
	if len(found) != 1 {
		return nil, a, fail(fault.Transient, a.status, Malformed, "the answer holds no contact")
	}
	return found[0], a, nil
}

// byEmail finds contacts with exactly this e-mail.
func (c *Client) byEmail(ctx context.Context, email string) ([]*reading, error) {
	a, err := c.call(ctx, request{method: http.MethodGet, path: "contacts", assumed: true,
		query: url.Values{"email": {email}, "per_page": {"100"}}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(c.unwrap(a.raw), func(r *reading) bool { return r.email != email }), nil
}

// form creates or updates by phone. The answer shows no contact; true tells
// that it was created.
func (c *Client) form(ctx context.Context, phone string, fields map[string]any) (bool, answer, error) {
	body := map[string]any{"force_update": true}
	for name, value := range fields {
		body[name] = value
	}
	body["phone_number"] = phone
	a, err := c.call(ctx, request{method: http.MethodPost, path: "forms", body: body})
	return a.status == http.StatusCreated, a, err
}

// put updates the given fields by id; the reading is nil when the answer shows
// no contact.
func (c *Client) put(ctx context.Context, id string, fields map[string]any) (*reading, answer, error) {
	a, err := c.call(ctx, request{method: http.MethodPut, path: "contact/" + url.PathEscape(id), body: fields, assumed: true})
	if err != nil {
		return nil, a, err
	}
	if found := c.unwrap(a.raw); len(found) == 1 {
		return found[0], a, nil
	}
	return nil, a, nil
}

// perPage is how many contacts a page of the list has.
const perPage = 200

func (c *Client) list(ctx context.Context, updatedSince string, page int) ([]*reading, answer, int, error) {
	query := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(perPage)}}
	if updatedSince != "" {
		query.Set("updated_since", updatedSince)
	}
	a, err := c.call(ctx, request{method: http.MethodGet, path: "contacts", query: query, assumed: true})
	if err != nil {
		return nil, a, 0, err
	}
	o := asObject(a.raw)
	if !isList(o["data"]) {
		return nil, a, 0, fail(fault.Transient, a.status, Malformed, "the answer holds no list of contacts")
	}
	last, _ := o.number("last_page")
	return c.unwrap(o["data"]), a, int(last), nil
}
