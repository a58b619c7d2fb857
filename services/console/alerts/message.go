package alerts

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/inbox"
)

// Message is an alert as a target gets it: the JSON of a webhook. Members are
// added, never changed or removed.
type Message struct {
	ID         string    `json:"id"`   // the same whenever it is sent again
	Type       string    `json:"type"` // "alert", or "test"
	At         time.Time `json:"at"`
	Tenant     string    `json:"tenant"`
	TenantName string    `json:"tenant_name"`
	Text       string    `json:"text"` // all of it in one line
	Link       string    `json:"link,omitempty"`
	Changes    []Change  `json:"changes"`
	More       int       `json:"more,omitempty"` // changes that are left out
}

// Change is one change of state.
type Change struct {
	Kind     string    `json:"kind"`
	State    string    `json:"state"` // "open" or "resolved"
	Key      string    `json:"key"`   // the same in both, within tenant and kind
	Since    time.Time `json:"since"`
	Text     string    `json:"text"`
	Cause    *Cause    `json:"cause,omitempty"`
	System   string    `json:"system,omitempty"` // "hubspot" or "aloware"
	Field    *Field    `json:"field,omitempty"`
	Contacts int       `json:"contacts,omitempty"` // that it concerns now
	Contact  *Person   `json:"contact,omitempty"`  // the first of them
	Ended    string    `json:"ended,omitempty"`    // how, where that can be told
	Link     string    `json:"link,omitempty"`
	// CameBack is how often it was over and came back since the last alert.
	CameBack int `json:"came_back,omitempty"`
}

// Cause is why.
type Cause struct {
	Code  string `json:"code"`            // stable word
	Text  string `json:"text"`            // in our words
	Words string `json:"words,omitempty"` // the system's own, where the target wants them
}

// Field is a field by its names.
type Field struct {
	Key     string `json:"key"`
	Label   string `json:"label"`
	Aloware string `json:"aloware,omitempty"`
	HubSpot string `json:"hubspot,omitempty"`
}

// Person is a contact by its ids.
type Person struct {
	Key     string `json:"key"`
	HubSpot string `json:"hubspot,omitempty"`
	Aloware string `json:"aloware,omitempty"`
	Link    string `json:"link,omitempty"`
}

// The changes that one message has at most.
const (
	mostInWebhook = 100
	mostInMail    = 20
)

// message is an alert as a target wants it; nil when it wants none of it.
func (a *Alerts) message(ctx context.Context, t *tenant.Tenant, alert *postgres.Alert, target *postgres.AlertTarget) (*Message, error) {
	var wanted []postgres.AlertChange
	var keys []contact.Key
	for _, c := range alert.Changes {
		if len(target.Kinds) == 0 || slices.Contains(target.Kinds, c.Kind) {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	most := mostInWebhook
	if target.Kind == postgres.AlertMail {
		most = mostInMail
	}
	m := &Message{
		ID: alert.ID, Type: "alert", At: alert.At.UTC().Truncate(time.Millisecond), Tenant: string(t.ID), TenantName: t.Name,
		Text: headline(t.Name, wanted), Link: a.link(t.ID, "alerts", nil),
	}
	if len(wanted) > most {
		m.More, wanted = len(wanted)-most, wanted[:most]
	}
	for _, c := range wanted {
		if c.Contact != "" {
			keys = append(keys, c.Contact)
		}
	}
	ids, err := a.config.DB.ContactIDs(ctx, t.ID, keys)
	if err != nil {
		return nil, err
	}
	for _, c := range wanted {
		m.Changes = append(m.Changes, a.change(t, c, ids[c.Contact], target.Words))
	}
	return m, nil
}

// change is one change for a message.
func (a *Alerts) change(t *tenant.Tenant, c postgres.AlertChange, ids []contact.ID, words bool) Change {
	d := c.Detail
	out := Change{
		Kind: c.Kind, State: "resolved", Key: c.Key, Since: c.Since.UTC().Truncate(time.Millisecond), Text: Sentence(c), System: d.System,
		Contacts: c.Contacts, Ended: d.Ended, Link: a.changeLink(t.ID, c), CameBack: d.Back,
	}
	if c.Open {
		out.State = "open"
	}
	switch c.Kind {
	case Connection:
		out.Cause = &Cause{Code: "UNAUTHORIZED", Text: "the credentials are refused"}
	case Lane:
		out.Cause = &Cause{Code: d.Problem, Text: d.Reason}
	case Sync:
		out.Cause = &Cause{Code: "SYNC_" + strings.ToUpper(d.Problem), Text: d.Reason}
	case Mapping:
		out.Cause = &Cause{Code: "AT_REST", Text: d.Reason}
	default:
		out.Cause = &Cause{Code: d.Reason, Text: inbox.Reason(d.Reason)}
	}
	if words {
		out.Cause.Words = d.Words
	}
	if d.Field != "" {
		out.Field = &Field{Key: d.Field, Label: mapping.Label(d.Field)}
		if m := t.Mapping.ByKey(d.Field); m != nil {
			out.Field.Aloware, out.Field.HubSpot = m.Aloware, m.HubSpot
		}
	}
	if c.Contact != "" {
		out.Contact = &Person{Key: string(c.Contact), Link: a.link(t.ID, "contacts/"+url.PathEscape(string(c.Contact)), nil)}
		for _, id := range ids {
			if id.System == contact.HubSpot {
				out.Contact.HubSpot = cmp.Or(out.Contact.HubSpot, id.ID)
			} else {
				out.Contact.Aloware = cmp.Or(out.Contact.Aloware, id.ID)
			}
		}
	}
	return out
}

// link is an address of the console within a tenant; "" where the console does
// not know its own.
func (a *Alerts) link(id contact.Tenant, page string, query url.Values) string {
	if a.config.ConsoleURL == "" {
		return ""
	}
	return strings.TrimRight(a.config.ConsoleURL, "/") + Path(id, page, query)
}

// Path is an address of the console's pages within a tenant.
func Path(id contact.Tenant, page string, query url.Values) string {
	path := strings.TrimSuffix("/tenants/"+string(id)+"/"+page, "/")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func (a *Alerts) changeLink(id contact.Tenant, c postgres.AlertChange) string {
	page, query := ChangePage(c)
	return a.link(id, page, query)
}

// ChangePage is the page, within a tenant, where people look into a change.
func ChangePage(c postgres.AlertChange) (page string, query url.Values) {
	d := c.Detail
	switch c.Kind {
	case Connection:
		return "", nil
	case Mapping:
		return "mapping", nil
	case Burst:
		return "holds", nil
	case Sync:
		return "syncs/" + url.PathEscape(c.Key), nil
	case Problem, Decision:
		return "errors/group", url.Values{"kind": {d.Problem}, "reason": {d.Reason}, "system": {d.System}, "field": {d.Field}}
	}
	return "errors", nil
}
