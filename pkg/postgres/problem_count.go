package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// Problems are counted by cause in the transaction that changes them, so that
// pages need not count a hundred thousand of them at each look.

// problemCause is what the problems of a group have in common, and
// problemCauses are its columns.
type problemCause struct{ tenant, kind, reason, system, field string }

const (
	problemCauses  = `tenant, kind, reason, system, field`
	problemCounted = `p.tenant, p.kind, p.reason, p.system, p.field`
)

// columns are where problemCauses are read to.
func (c *problemCause) columns() []any {
	return []any{&c.tenant, &c.kind, &c.reason, &c.system, &c.field}
}

// problemDelta is by how many contacts a cause has more, and by how many more
// that somebody dismissed.
type problemDelta struct{ contacts, dismissed int64 }

// count keeps what a cause has more.
func (tx *Tx) count(c problemCause, more problemDelta) {
	if tx.problems == nil {
		tx.problems = make(map[problemCause]problemDelta)
	}
	d := tx.problems[c]
	tx.problems[c] = problemDelta{d.contacts + more.contacts, d.dismissed + more.dismissed}
}

// counting reads of a result that each of its causes has so many contacts more. A row
// has the cause, and whether the problem is dismissed.
func (tx *Tx) counting(more int64) func(pgx.Rows) error {
	return func(causes pgx.Rows) error {
		var c problemCause
		var dismissed bool
		_, err := pgx.ForEachRow(causes, append(c.columns(), &dismissed), func() error {
			d := problemDelta{contacts: more}
			if dismissed {
				d.dismissed = more
			}
			tx.count(c, d)
			return nil
		})
		return err
	}
}

// deleteProblems removes all problems of contacts that are gone.
func (tx *Tx) deleteProblems(ctx context.Context, tenants []contact.Tenant, keys []contact.Key) error {
	return tx.tx.keep(ctx, statement{what: "delete the problems of contacts", rows: tx.counting(-1), sql: `
		DELETE FROM contact_problem p USING unnest($1::text[], $2::text[]) AS w(tenant, contact)
		WHERE p.tenant = w.tenant AND p.contact = w.contact RETURNING ` + problemCounted + `, p.dismissed_by <> ''`, parameters: []any{texts(tenants), texts(keys)}})
}

// countProblems stores what the transaction has changed, in one order always and
// as its last statement: two transactions never wait for each other's causes.
func (tx *Tx) countProblems(ctx context.Context) error {
	var columns [5][]string
	var contacts, dismissed []int64
	for c, n := range tx.problems {
		if n == (problemDelta{}) {
			continue
		}
		for i, text := range []string{c.tenant, c.kind, c.reason, c.system, c.field} {
			columns[i] = append(columns[i], text)
		}
		contacts, dismissed = append(contacts, n.contacts), append(dismissed, n.dismissed)
	}
	if len(contacts) == 0 {
		return nil
	}
	if _, err := tx.tx.Exec(ctx, `
		INSERT INTO problem_count AS c (tenant, kind, reason, system, field, contacts, dismissed)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) ORDER BY 1, 2, 3, 4, 5
		ON CONFLICT (tenant, kind, reason, system, field) DO UPDATE SET contacts = c.contacts + excluded.contacts, dismissed = c.dismissed + excluded.dismissed`,
		columns[0], columns[1], columns[2], columns[3], columns[4], contacts, dismissed); err != nil {
		return fmt.Errorf("count problems: %w", err)
	}
	return nil
}

// RecountProblems puts the numbers of all tenants right, should anything else
// than a transaction of ours have changed their problems.
func (db *DB) RecountProblems(ctx context.Context) error {
	tenants, err := db.tenantsIn(ctx, "contact_problem")
	if err != nil {
		return err
	}
	counted, err := db.tenantsIn(ctx, "problem_count")
	if err != nil {
		return err
	}
	tenants = slices.Compact(slices.Sorted(slices.Values(append(tenants, counted...))))
	for _, tenant := range tenants {
		if _, err := db.pool.Exec(ctx, `SELECT problem_recount($1)`, tenant); err != nil {
			return fmt.Errorf("count the problems of %s again: %w", tenant, err)
		}
	}
	return nil
}

// ProblemGroup are the problems of a tenant with the same cause.
type ProblemGroup struct {
	Kind      contact.ProblemKind
	Reason    string
	System    contact.System
	Field     string
	Class     string
	Contacts  int
	Dismissed int
	Oldest    time.Time
	Newest    time.Time
	Example   string // the system's words for one of them
}

// ProblemGroups gives the groups of a tenant's problems, the largest first.
func (db *DB) ProblemGroups(ctx context.Context, f ProblemFilter) ([]ProblemGroup, error) {
	rows, err := f.groups(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("group problems: %w", err)
	}
	groups, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g ProblemGroup, err error) {
		var system string
		if err = row.Scan(&g.Kind, &g.Reason, &system, &g.Field, &g.Class, &g.Contacts, &g.Dismissed, &g.Oldest, &g.Newest, &g.Example); err != nil {
			return g, err
		}
		g.System, err = contact.ParseSystem(system)
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("group problems: %w", err)
	}
	slices.SortStableFunc(groups, func(a, b ProblemGroup) int { return b.Contacts - a.Contacts })
	return groups, nil
}

// groups asks for the groups: those of one contact are counted, the numbers of
// all are kept. Of each group that counts it looks at the first problem and the
// last.
func (f ProblemFilter) groups(ctx context.Context, db *DB) (pgx.Rows, error) {
	if f.Contact != "" {
		condition, arguments := f.chosen()
		return db.pool.Query(ctx, `
			SELECT p.kind, p.reason, p.system, p.field, min(p.class), count(*), count(*) FILTER (WHERE p.dismissed_by <> ''), min(p.since), max(p.since), min(p.message)
			FROM contact_problem p WHERE `+condition+` GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4`, arguments...)
	}
	numbers, open := `c.contacts, c.dismissed`, ""
	if !f.Dismissed {
		numbers, open = `c.contacts - c.dismissed, 0`, problemOpen
	}
	return db.pool.Query(ctx, `
		SELECT c.kind, c.reason, c.system, c.field, newest.class, `+numbers+`, oldest.since, newest.since, newest.message
		FROM problem_count c
		CROSS JOIN LATERAL (SELECT p.since FROM `+problemOfCause+open+` ORDER BY p.since, p.contact LIMIT 1) oldest
		CROSS JOIN LATERAL (SELECT p.since, p.class, p.message FROM `+problemOfCause+open+` ORDER BY p.since DESC, p.contact DESC LIMIT 1) newest
		WHERE c.tenant = $1 AND ($2 = '' OR c.kind = $2) AND ($3 = '' OR c.reason = $3) AND ($4 = 'none' OR c.system = $4) AND ($5::text IS NULL OR c.field = $5)
		AND c.contacts > CASE WHEN $6 THEN 0 ELSE c.dismissed END
		ORDER BY c.reason, c.system, c.field`,
		string(f.Tenant), string(f.Kind), f.Reason, f.System.String(), f.Field, f.Dismissed)
}

// problemOfCause are the problems p of a row c of problem_count.
const problemOfCause = `contact_problem p
	WHERE p.tenant = c.tenant AND p.kind = c.kind AND p.reason = c.reason AND p.system = c.system AND p.field = c.field`

// ProblemNumber is how many of a tenant's contacts have a problem with a field.
type ProblemNumber struct {
	Field    string // mapping key; "" for the contact as a whole
	System   contact.System
	Kind     contact.ProblemKind
	Contacts int // without those that were dismissed
}

// ProblemNumbers gives the numbers of some tenants' problems that nobody
// dismissed, by tenant.
func (db *DB) ProblemNumbers(ctx context.Context, tenants []contact.Tenant) (map[contact.Tenant][]ProblemNumber, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT tenant, field, system, kind, sum(contacts - dismissed)::bigint
		FROM problem_count WHERE tenant = ANY($1) GROUP BY 1, 2, 3, 4 HAVING sum(contacts - dismissed) > 0 ORDER BY 1, 2, 3, 4`, texts(tenants))
	if err != nil {
		return nil, fmt.Errorf("count problems: %w", err)
	}
	numbers := make(map[contact.Tenant][]ProblemNumber)
	var tenant contact.Tenant
	var system string
	var n ProblemNumber
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &n.Field, &system, &n.Kind, &n.Contacts}, func() (err error) {
		n.System, err = contact.ParseSystem(system)
		numbers[tenant] = append(numbers[tenant], n)
		return err
	}); err != nil {
		return nil, fmt.Errorf("count problems: %w", err)
	}
	return numbers, nil
}
