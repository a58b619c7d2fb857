package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// Reads of the mapper's and the writers' tables, for people.

// ContactsNamed gives the keys of a tenant's contacts whose names begin with a
// text, or have it after the first word, in the order of the names.
func (db *DB) ContactsNamed(ctx context.Context, tenant contact.Tenant, text string, limit int) ([]contact.Key, error) {
	from := strings.ToLower(text)
	upTo := from + "\U0010FFFF" // no text that begins with it is greater
	// The order by bytes is that of the indices, so that no more is looked at
	// than is given.
	rows, err := db.pool.Query(ctx, `
		SELECT contact FROM (
			(SELECT contact, lower(name) AS name FROM contact_state
			WHERE tenant = $1 AND name <> '' AND lower(name) ~>=~ $2 AND lower(name) ~<=~ $3
			ORDER BY lower(name) USING ~<~ LIMIT $4)
			UNION
			(SELECT contact, lower(name) FROM contact_state
			WHERE tenant = $1 AND name LIKE '% %' AND lower(substring(name from ' (.*)$')) ~>=~ $2 AND lower(substring(name from ' (.*)$')) ~<=~ $3
			ORDER BY lower(substring(name from ' (.*)$')) USING ~<~ LIMIT $4)) found
		ORDER BY name, contact LIMIT $4`, string(tenant), from, upTo, limit)
	if err != nil {
		return nil, fmt.Errorf("find contacts by name: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("find contacts by name: %w", err)
	}
	return keys, nil
}

// ContactsNamedLike gives the keys of a tenant's contacts whose names hold a
// text anywhere, in the order of the names. It looks at all of the tenant's
// contacts: half a second for a million.
func (db *DB) ContactsNamedLike(ctx context.Context, tenant contact.Tenant, text string, limit int) ([]contact.Key, error) {
	pattern := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(text)) + "%"
	rows, err := db.pool.Query(ctx, `
		SELECT contact FROM contact_state WHERE tenant = $1 AND name <> '' AND lower(name) LIKE $2
		ORDER BY lower(name), contact LIMIT $3`, string(tenant), pattern, limit)
	if err != nil {
		return nil, fmt.Errorf("find contacts by a part of the name: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[contact.Key])
	if err != nil {
		return nil, fmt.Errorf("find contacts by a part of the name: %w", err)
	}
	return keys, nil
}

// ContactNames gives what some of a tenant's contacts are called, by key. Those
// without a name are left out.
func (db *DB) ContactNames(ctx context.Context, tenant contact.Tenant, keys []contact.Key) (map[contact.Key]string, error) {
	rows, err := db.pool.Query(ctx, `SELECT contact, name FROM contact_state WHERE tenant = $1 AND contact = ANY($2) AND name <> ''`, string(tenant), texts(keys))
	if err != nil {
		return nil, fmt.Errorf("load the names of contacts: %w", err)
	}
	names := make(map[contact.Key]string, len(keys))
	var key contact.Key
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&key, &name}, func() error {
		names[key] = name
		return nil
	}); err != nil {
		return nil, fmt.Errorf("load the names of contacts: %w", err)
	}
	return names, nil
}

// WaitingGroup are rows of a tenant whose last attempt failed in the same way.
type WaitingGroup struct {
	System   contact.System
	Error    string // class and reason of the last attempt
	Contacts int
	Oldest   time.Time // of the oldest row
	NextAt   time.Time // when the first is tried again
}

// WaitingGroups gives what waits in a tenant's lanes after a failed attempt.
func (db *DB) WaitingGroups(ctx context.Context, tenant contact.Tenant) ([]WaitingGroup, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT system, error, count(*), min(first_at), min(next_at) FROM lane_row
		WHERE tenant = $1 AND error <> '' GROUP BY system, error ORDER BY count(*) DESC, system, error`, string(tenant))
	if err != nil {
		return nil, fmt.Errorf("group what waits: %w", err)
	}
	groups, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g WaitingGroup, err error) {
		var system string
		if err = row.Scan(&system, &g.Error, &g.Contacts, &g.Oldest, &g.NextAt); err != nil {
			return g, err
		}
		g.System, err = contact.ParseSystem(system)
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("group what waits: %w", err)
	}
	return groups, nil
}

// WaitingRow is a row that waits after a failed attempt.
type WaitingRow struct {
	Contact  contact.Key
	System   contact.System
	Error    string
	Attempts int
	FirstAt  time.Time
	NextAt   time.Time
}

// WaitingRows gives rows that wait after a failed attempt, in the order of
// contact and system behind a row: of a system (0 for both) and an error (""
// for any), of one contact or all ("").
func (db *DB) WaitingRows(ctx context.Context, tenant contact.Tenant, system contact.System, reason string, key contact.Key, after WaitingRow, limit int) ([]WaitingRow, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT contact, system, error, attempts, first_at, next_at FROM lane_row
		WHERE tenant = $1 AND error <> '' AND ($2 = 'none' OR system = $2) AND ($3 = '' OR error = $3) AND ($4 = '' OR contact = $4)
		AND (contact, system) > ($5, $6) ORDER BY contact, system LIMIT $7`,
		string(tenant), system.String(), reason, string(key), string(after.Contact), after.System.String(), limit)
	if err != nil {
		return nil, fmt.Errorf("list what waits: %w", err)
	}
	waiting, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w WaitingRow, err error) {
		var system string
		if err = row.Scan(&w.Contact, &system, &w.Error, &w.Attempts, &w.FirstAt, &w.NextAt); err != nil {
			return w, err
		}
		w.System, err = contact.ParseSystem(system)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("list what waits: %w", err)
	}
	return waiting, nil
}

// Erased tells which references are hashes of people who were erased.
func (db *DB) Erased(ctx context.Context, refs []Ref) (map[Ref]bool, error) {
	found, err := db.ContactKeys(ctx, refs)
	if err != nil {
		return nil, err
	}
	erased := make(map[Ref]bool, len(found))
	for ref := range found {
		erased[ref] = ref.Kind == RefErased
	}
	return erased, nil
}
