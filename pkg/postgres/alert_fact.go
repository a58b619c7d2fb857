package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// What alerts are made of. All of it is read in one pass over all tenants, and
// costs what is wrong, not how many tenants there are.

// problemsOfGroup are the problems of group g that nobody has dismissed.
const problemsOfGroup = `SELECT p.contact, p.class, p.message, p.value, p.since FROM contact_problem p
	WHERE p.tenant = g.tenant AND p.kind = g.kind AND p.reason = g.reason AND p.system = g.system AND p.field = g.field` + problemOpen

// FirstProblems gives of each group of problems the oldest that nobody has
// dismissed; of kinds whose problems count one by one it gives the oldest of
// each group, up to most.
func (tx *Tx) FirstProblems(ctx context.Context, oneByOne []contact.ProblemKind, most int) ([]ProblemRow, error) {
	rows, err := tx.tx.Query(ctx, `
		WITH g AS (SELECT tenant, kind, reason, system, field FROM problem_count WHERE contacts > dismissed)
		SELECT g.tenant, f.contact, g.field, g.system, g.kind, f.class, g.reason, f.message, f.value, f.since
		FROM g CROSS JOIN LATERAL (`+problemsOfGroup+` ORDER BY p.since, p.contact LIMIT 1) f WHERE g.kind <> ALL($1)
		UNION ALL
		SELECT g.tenant, f.contact, g.field, g.system, g.kind, f.class, g.reason, f.message, f.value, f.since
		FROM g CROSS JOIN LATERAL (`+problemsOfGroup+` ORDER BY p.since, p.contact LIMIT $2) f WHERE g.kind = ANY($1)`, texts(oneByOne), most)
	if err != nil {
		return nil, fmt.Errorf("look for problems to tell: %w", err)
	}
	problems, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p ProblemRow, err error) {
		var system string
		if err = row.Scan(&p.Tenant, &p.Contact, &p.Field, &system, &p.Kind, &p.Class, &p.Reason, &p.Message, &p.Value, &p.Since); err != nil {
			return p, err
		}
		p.System, err = contact.ParseSystem(system)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for problems to tell: %w", err)
	}
	return problems, nil
}

// ProblemCount is how many problems of a group there are.
type ProblemCount struct{ Open, Dismissed int }

// CountProblems counts the problems of groups, in their order: those with the
// same tenant, kind, reason, system and field.
func (tx *Tx) CountProblems(ctx context.Context, groups []ProblemRow) ([]ProblemCount, error) {
	if len(groups) == 0 {
		return nil, nil
	}
	var columns [5][]string
	for _, g := range groups {
		for k, text := range []string{string(g.Tenant), string(g.Kind), g.Reason, g.System.String(), g.Field} {
			columns[k] = append(columns[k], text)
		}
	}
	rows, err := tx.tx.Query(ctx, `
		SELECT n.open, n.dismissed
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS w(tenant, kind, reason, system, field, place)
		CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE p.dismissed_by = '') AS open, count(*) FILTER (WHERE p.dismissed_by <> '') AS dismissed FROM contact_problem p
			WHERE p.tenant = w.tenant AND p.kind = w.kind AND p.reason = w.reason AND p.system = w.system AND p.field = w.field) n
		ORDER BY w.place`,
		columns[0], columns[1], columns[2], columns[3], columns[4])
	if err != nil {
		return nil, fmt.Errorf("count problems to tell: %w", err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ProblemCount])
	if err != nil {
		return nil, fmt.Errorf("count problems to tell: %w", err)
	}
	return counts, nil
}

// Pauses gives the lanes of all systems that rest now.
func (tx *Tx) Pauses(ctx context.Context) ([]Pause, error) {
	rows, err := tx.tx.Query(ctx, `SELECT tenant, system, until, class, reason FROM lane_pause WHERE until > now()`)
	if err != nil {
		return nil, fmt.Errorf("load the pauses of lanes: %w", err)
	}
	pauses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Pause, err error) {
		var system string
		if err = row.Scan(&p.Tenant, &system, &p.Until, &p.Class, &p.Reason); err != nil {
			return p, err
		}
		p.System, err = contact.ParseSystem(system)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("load the pauses of lanes: %w", err)
	}
	return pauses, nil
}

// ContactIDs gives the ids that a tenant's contacts have in the systems.
func (db *DB) ContactIDs(ctx context.Context, tenant contact.Tenant, keys []contact.Key) (map[contact.Key][]contact.ID, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT contact, kind, value FROM contact_ref WHERE tenant = $1 AND contact = ANY($2) AND kind IN ('hubspot', 'aloware') ORDER BY contact, kind, value`,
		string(tenant), texts(keys))
	if err != nil {
		return nil, fmt.Errorf("load the ids of contacts: %w", err)
	}
	ids := make(map[contact.Key][]contact.ID, len(keys))
	var key contact.Key
	var name, id string
	if _, err := pgx.ForEachRow(rows, []any{&key, &name, &id}, func() error {
		system, err := contact.ParseSystem(name)
		ids[key] = append(ids[key], contact.ID{System: system, ID: id})
		return err
	}); err != nil {
		return nil, fmt.Errorf("load the ids of contacts: %w", err)
	}
	return ids, nil
}
