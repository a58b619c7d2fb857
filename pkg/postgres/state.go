package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// The tables of this file are written by the mapper alone.

// What contacts are found by, as package contact names it.
type (
	RefKind         = contact.RefKind
	Ref             = contact.Ref
	CommunicationID = contact.CommunicationID
)

// The kinds of reference.
const (
	RefKey     = contact.RefKey
	RefHubSpot = contact.RefHubSpot
	RefAloware = contact.RefAloware
	RefPhone   = contact.RefPhone
	RefEmail   = contact.RefEmail
	RefErased  = contact.RefErased
)

// StoredContact is one row of contact_state.
type StoredContact struct {
	Tenant    contact.Tenant
	Key       contact.Key
	Revision  int64 // 0 for a contact that is not stored yet
	Version   contact.Version
	WaitsList bool
	Name      string // what people call the contact; only saved
	State     []byte // contact.v1.ContactState
}

// ErrRevision tells that somebody else saved one of the contacts meanwhile:
// load and decide again.
var ErrRevision = errors.New("a contact was saved by somebody else meanwhile")

// ContactKeys finds the contacts behind references, several per reference
// where several fit. References without a contact are missing in the result.
func (db *DB) ContactKeys(ctx context.Context, refs []Ref) (map[Ref][]contact.Key, error) {
	tenants, kinds, values := make([]string, len(refs)), make([]string, len(refs)), make([]string, len(refs))
	for i, ref := range refs {
		tenants[i], kinds[i], values[i] = string(ref.Tenant), string(ref.Kind), ref.Value
	}
	rows, err := db.pool.Query(ctx, `
		SELECT r.tenant, r.kind, r.value, r.contact
		FROM unnest($1::text[], $2::text[], $3::text[]) AS w(tenant, kind, value)
		CROSS JOIN LATERAL (SELECT * FROM contact_ref WHERE tenant = w.tenant AND kind = w.kind AND value = w.value OFFSET 0) r
		ORDER BY r.contact`, tenants, kinds, values)
	if err != nil {
		return nil, fmt.Errorf("find contacts by reference: %w", err)
	}
	found := make(map[Ref][]contact.Key, len(refs))
	var ref Ref
	var key contact.Key
	if _, err := pgx.ForEachRow(rows, []any{&ref.Tenant, &ref.Kind, &ref.Value, &key}, func() error {
		found[ref] = append(found[ref], key)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find contacts by reference: %w", err)
	}
	return found, nil
}

// FindContacts is ContactKeys with the contacts that were found, and with those whose
// own key a reference of kind RefKey is that finds none. The keys of a reference are in
// order.
func (db *DB) FindContacts(ctx context.Context, refs []Ref) (map[Ref][]contact.Key, []StoredContact, error) {
	tenants, kinds, values := make([]string, len(refs)), make([]string, len(refs)), make([]string, len(refs))
	for i, ref := range refs {
		tenants[i], kinds[i], values[i] = string(ref.Tenant), string(ref.Kind), ref.Value
	}
	rows, err := db.keyed.Query(ctx, `
		WITH w AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS w(tenant, kind, value)), found AS MATERIALIZED (
			SELECT r.tenant, r.kind, r.value, r.contact FROM w
			CROSS JOIN LATERAL (SELECT * FROM contact_ref WHERE tenant = w.tenant AND kind = w.kind AND value = w.value OFFSET 0) r)
		SELECT tenant, kind, value, contact, 0::bigint, 0::bigint, false, NULL::bytea FROM found
		UNION ALL
		SELECT s.tenant, '', '', s.contact, s.revision, s.version, s.waits_list, s.state
		FROM (SELECT tenant, contact FROM found UNION SELECT tenant, value FROM w WHERE kind = 'key'
			AND NOT EXISTS (SELECT FROM contact_ref r WHERE r.tenant = w.tenant AND r.kind = w.kind AND r.value = w.value OFFSET 0)) n
		CROSS JOIN LATERAL (SELECT * FROM contact_state WHERE tenant = n.tenant AND contact = n.contact LIMIT 1) s`, tenants, kinds, values)
	if err != nil {
		return nil, nil, fmt.Errorf("find contacts: %w", err)
	}
	found := make(map[Ref][]contact.Key, len(refs))
	var contacts []StoredContact
	var kind RefKind
	var value string
	var c StoredContact
	if _, err := pgx.ForEachRow(rows, []any{&c.Tenant, &kind, &value, &c.Key, &c.Revision, &c.Version, &c.WaitsList, &c.State}, func() error {
		if kind == "" {
			contacts = append(contacts, c)
		} else {
			ref := Ref{Tenant: c.Tenant, Kind: kind, Value: value}
			found[ref] = append(found[ref], c.Key)
		}
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("find contacts: %w", err)
	}
	for _, keys := range found {
		slices.Sort(keys)
	}
	return found, contacts, nil
}

// Contacts loads contacts by key. Unknown keys are missing in the result.
func (db *DB) Contacts(ctx context.Context, tenants []contact.Tenant, keys []contact.Key) ([]StoredContact, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT s.tenant, s.contact, s.revision, s.version, s.waits_list, s.state
		FROM unnest($1::text[], $2::text[]) AS w(tenant, contact)
		CROSS JOIN LATERAL (SELECT * FROM contact_state WHERE tenant = w.tenant AND contact = w.contact LIMIT 1) s`, texts(tenants), texts(keys))
	if err != nil {
		return nil, fmt.Errorf("load contacts: %w", err)
	}
	contacts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c StoredContact, err error) {
		err = row.Scan(&c.Tenant, &c.Key, &c.Revision, &c.Version, &c.WaitsList, &c.State)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("load contacts: %w", err)
	}
	return contacts, nil
}

// SaveContacts inserts or updates contacts; each must still have the revision
// that it was loaded with, else nothing is saved and the transaction's error is
// ErrRevision (class Transient: decide again).
func (tx *Tx) SaveContacts(ctx context.Context, contacts []StoredContact) error {
	if len(contacts) == 0 {
		return nil
	}
	n := len(contacts)
	tenants, keys := make([]string, n), make([]string, n)
	revisions, versions := make([]int64, n), make([]int64, n)
	waits, names, states := make([]bool, n), make([]string, n), make([][]byte, n)
	for i, c := range contacts {
		tenants[i], keys[i], revisions[i], versions[i] = string(c.Tenant), string(c.Key), c.Revision, int64(c.Version)
		waits[i], names[i], states[i] = c.WaitsList, c.Name, c.State
	}
	saved := func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fault.Wrap(fault.Transient, ErrRevision)
		}
		return nil
	}
	return tx.tx.keep(ctx, statement{what: fmt.Sprintf("save %d contacts", n), done: saved, sql: `
		INSERT INTO contact_state AS s (tenant, contact, revision, version, waits_list, name, state)
		SELECT tenant, contact, revision + 1, version, waits_list, name, state
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::text[], $7::bytea[])
		     AS w(tenant, contact, revision, version, waits_list, name, state)
		ON CONFLICT (tenant, contact) DO UPDATE
		SET revision = excluded.revision, version = excluded.version, waits_list = excluded.waits_list, name = excluded.name, state = excluded.state
		WHERE s.revision = excluded.revision - 1`, parameters: []any{tenants, keys, revisions, versions, waits, names, states}})
}

// RefChange adds or removes one reference of one contact.
type RefChange struct {
	Ref
	Contact contact.Key
	Remove  bool
}

// ChangeRefs applies changes of references; repeating them is harmless.
func (tx *Tx) ChangeRefs(ctx context.Context, changes []RefChange) error {
	var add, remove [4][]string
	for _, c := range changes {
		into := &add
		if c.Remove {
			into = &remove
		}
		for i, text := range []string{string(c.Tenant), string(c.Kind), c.Value, string(c.Contact)} {
			into[i] = append(into[i], text)
		}
	}
	if len(remove[0]) > 0 {
		if err := tx.tx.put(ctx, "remove references", `
			DELETE FROM contact_ref r USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w(tenant, kind, value, contact)
			WHERE r.tenant = w.tenant AND r.kind = w.kind AND r.value = w.value AND r.contact = w.contact`,
			remove[0], remove[1], remove[2], remove[3]); err != nil {
			return err
		}
	}
	if len(add[0]) > 0 {
		if err := tx.tx.put(ctx, "add references", `
			INSERT INTO contact_ref (tenant, kind, value, contact)
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
			ON CONFLICT DO NOTHING`, add[0], add[1], add[2], add[3]); err != nil {
			return err
		}
	}
	return nil
}

// DeleteContacts removes contacts and all their references; with history set,
// also their history and communications (privacy deletion).
func (tx *Tx) DeleteContacts(ctx context.Context, tenants []contact.Tenant, keys []contact.Key, history bool) error {
	if len(keys) == 0 {
		return nil
	}
	tables := []string{"contact_state", "contact_ref", "held_value"}
	if history {
		tables = append(tables, "contact_history", "communication")
	}
	for _, table := range tables {
		if err := tx.tx.put(ctx, fmt.Sprintf("delete contacts from %s", table), `
			DELETE FROM `+table+` t USING unnest($1::text[], $2::text[]) AS w(tenant, contact)
			WHERE t.tenant = w.tenant AND t.contact = w.contact`, texts(tenants), texts(keys)); err != nil {
			return err
		}
	}
	return tx.deleteProblems(ctx, tenants, keys)
}

// MoveKeys makes the former keys of contacts those of the contacts that they
// were joined into.
func (tx *Tx) MoveKeys(ctx context.Context, tenants []contact.Tenant, from, into []contact.Key) error {
	if len(from) == 0 {
		return nil
	}
	return tx.tx.put(ctx, "move former keys", `
		INSERT INTO contact_ref (tenant, kind, value, contact)
		SELECT r.tenant, r.kind, r.value, w.into_key FROM contact_ref r
		JOIN unnest($1::text[], $2::text[], $3::text[]) AS w(tenant, from_key, into_key) ON r.tenant = w.tenant AND r.contact = w.from_key AND r.kind = 'key'
		ON CONFLICT DO NOTHING`, texts(tenants), texts(from), texts(into))
}

// FormerKeys are the keys of contacts that were joined into a contact, without
// those that another contact bears by now.
func (db *DB) FormerKeys(ctx context.Context, tenant contact.Tenant, key contact.Key) ([]contact.Key, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT value FROM contact_ref r WHERE tenant = $1 AND contact = $2 AND kind = 'key'
		AND NOT EXISTS (SELECT FROM contact_state s WHERE s.tenant = r.tenant AND s.contact = r.value) ORDER BY value`, string(tenant), string(key))
	if err != nil {
		return nil, fmt.Errorf("find former keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("find former keys: %w", err)
	}
	return keys, nil
}

// ContactsWaiting gives the keys of a tenant's contacts that wait for a user
// or option list, in order, after a key.
func (db *DB) ContactsWaiting(ctx context.Context, tenant contact.Tenant, after contact.Key, limit int) ([]contact.Key, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT contact FROM contact_state
		WHERE tenant = $1 AND waits_list AND contact > $2 ORDER BY contact LIMIT $3`, string(tenant), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("find contacts that wait for a list: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("find contacts that wait for a list: %w", err)
	}
	return keys, nil
}

// ContactPage gives a tenant's contacts in the order of their keys, after a
// key, without references.
func (db *DB) ContactPage(ctx context.Context, tenant contact.Tenant, after contact.Key, limit int) ([]StoredContact, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, contact, revision, version, waits_list, state FROM contact_state
		WHERE tenant = $1 AND contact > $2 ORDER BY contact LIMIT $3`, string(tenant), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("read a page of contacts: %w", err)
	}
	contacts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c StoredContact, err error) {
		err = row.Scan(&c.Tenant, &c.Key, &c.Revision, &c.Version, &c.WaitsList, &c.State)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read a page of contacts: %w", err)
	}
	return contacts, nil
}

// ContactKeyPage gives a tenant's keys in their order, after a key.
func (db *DB) ContactKeyPage(ctx context.Context, tenant contact.Tenant, after contact.Key, limit int) ([]contact.Key, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT contact FROM contact_state WHERE tenant = $1 AND contact > $2 ORDER BY contact LIMIT $3`, string(tenant), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("read a page of keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("read a page of keys: %w", err)
	}
	return keys, nil
}

// CountContacts counts a tenant's contacts.
func (db *DB) CountContacts(ctx context.Context, tenant contact.Tenant) (n int64, err error) {
	if err := db.pool.QueryRow(ctx, `SELECT count(*) FROM contact_state WHERE tenant = $1`, string(tenant)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count contacts: %w", err)
	}
	return n, nil
}

// Lists loads all user and option lists of a tenant.
func (db *DB) Lists(ctx context.Context, tenant contact.Tenant) ([]contact.Directory, error) {
	rows, err := db.pool.Query(ctx, `SELECT system, list, read_at, entries FROM system_list WHERE tenant = $1`, string(tenant))
	if err != nil {
		return nil, fmt.Errorf("load lists: %w", err)
	}
	lists, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d contact.Directory, err error) {
		var system string
		var at time.Time
		var entries []byte
		if err = row.Scan(&system, &d.List, &at, &entries); err != nil {
			return d, err
		}
		if d.System, err = contact.ParseSystem(system); err != nil {
			return d, err
		}
		d.ReadAt = contact.Millis(at.UnixMilli())
		return d, json.Unmarshal(entries, &d.Entries)
	})
	if err != nil {
		return nil, fmt.Errorf("load lists: %w", err)
	}
	return lists, nil
}

// SaveList replaces one list; an older reading than the stored one is ignored.
func (tx *Tx) SaveList(ctx context.Context, tenant contact.Tenant, d contact.Directory) error {
	entries, err := json.Marshal(d.Entries)
	if err != nil {
		return fmt.Errorf("encode list %s: %w", d.List, err)
	}
	return tx.tx.put(ctx, fmt.Sprintf("save list %s", d.List), `
		INSERT INTO system_list AS l (tenant, system, list, read_at, entries) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, system, list) DO UPDATE SET read_at = excluded.read_at, entries = excluded.entries
		WHERE l.read_at <= excluded.read_at`,
		string(tenant), d.System.String(), d.List, time.UnixMilli(int64(d.ReadAt)), entries)
}

// CountedCommunications tells which communications were counted before.
func (db *DB) CountedCommunications(ctx context.Context, ids []CommunicationID) (map[CommunicationID]bool, error) {
	counted := make(map[CommunicationID]bool)
	if len(ids) == 0 {
		return counted, nil
	}
	tenants, names := make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		tenants[i], names[i] = string(id.Tenant), id.ID
	}
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, communication FROM unnest($1::text[], $2::text[]) AS w(tenant, communication)
		JOIN communication USING (tenant, communication)`, tenants, names)
	if err != nil {
		return nil, fmt.Errorf("find communications: %w", err)
	}
	var id CommunicationID
	if _, err := pgx.ForEachRow(rows, []any{&id.Tenant, &id.ID}, func() error {
		counted[id] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find communications: %w", err)
	}
	return counted, nil
}

// CountCommunications remembers communications as counted.
func (tx *Tx) CountCommunications(ctx context.Context, ids []CommunicationID, contacts []contact.Key) error {
	if len(ids) == 0 {
		return nil
	}
	tenants, names := make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		tenants[i], names[i] = string(id.Tenant), id.ID
	}
	return tx.tx.put(ctx, "save communications", `
		INSERT INTO communication (tenant, communication, contact)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING`, tenants, names, texts(contacts))
}

// texts turns named strings into the strings that the driver knows.
func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, text := range in {
		out[i] = string(text)
	}
	return out
}
