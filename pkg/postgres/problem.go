package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
)

// The tables contact_problem and problem_count are written by the mapper alone,
// but for what is dismissed, which is the console's.

// ProblemRow is one open problem of one contact.
type ProblemRow struct {
	Tenant   contact.Tenant
	Contact  contact.Key
	Field    string // mapping key; "" for the contact as a whole
	System   contact.System
	Kind     contact.ProblemKind
	Class    string
	Reason   string
	Message  string // the system's own words
	Value    string
	Version  contact.Version
	Since    time.Time // when it was first met; of a row to save: now
	Attempts int       // how often it was met; read only

	DismissedBy string // "" while it is not dismissed; read only
	DismissedAt time.Time
}

// SaveProblems makes the given problems those of the contacts. A problem that
// stays keeps its beginning, unless its reason is another one.
func (tx *Tx) SaveProblems(ctx context.Context, tenants []contact.Tenant, contacts []contact.Key, problems []ProblemRow) error {
	if len(contacts) == 0 {
		return nil
	}
	var columns [9][]string
	versions, since := make([]int64, len(problems)), make([]time.Time, len(problems))
	for i, p := range problems {
		for k, text := range []string{string(p.Tenant), string(p.Contact), p.Field, p.System.String(), string(p.Kind), p.Class, p.Reason, p.Message, p.Value} {
			columns[k] = append(columns[k], text)
		}
		versions[i], since[i] = int64(p.Version), p.Since
	}
	// One that gets another reason is another problem.
	if err := tx.tx.keep(ctx, statement{what: fmt.Sprintf("remove problems of %d contacts", len(contacts)), rows: tx.counting(-1), sql: `
		DELETE FROM contact_problem p USING unnest($1::text[], $2::text[]) AS w(tenant, contact)
		WHERE p.tenant = w.tenant AND p.contact = w.contact AND NOT EXISTS (
			SELECT FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) AS n(tenant, contact, field, system, kind, reason)
			WHERE n.tenant = p.tenant AND n.contact = p.contact AND n.field = p.field AND n.system = p.system AND n.kind = p.kind AND n.reason = p.reason)
		RETURNING ` + problemCounted + `, p.dismissed_by <> ''`,
		parameters: []any{texts(tenants), texts(contacts), columns[0], columns[1], columns[2], columns[3], columns[4], columns[6]}}); err != nil {
		return err
	}
	if len(problems) == 0 {
		return nil
	}
	// Those that were there already are no news: xmax tells.
	return tx.tx.keep(ctx, statement{what: fmt.Sprintf("save %d problems", len(problems)), rows: tx.counting(+1), sql: `
		WITH saved AS (
			INSERT INTO contact_problem AS p (tenant, contact, field, system, kind, class, reason, message, value, version, since, attempts)
			SELECT *, 1 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::timestamptz[])
			ON CONFLICT (tenant, contact, field, system, kind) DO UPDATE
			SET class = excluded.class, message = excluded.message, value = excluded.value, version = excluded.version,
				attempts = p.attempts + CASE WHEN p.version <> excluded.version THEN 1 ELSE 0 END
			RETURNING ` + problemCauses + `, xmax = 0 AS fresh)
		SELECT ` + problemCauses + `, false FROM saved WHERE fresh`,
		parameters: []any{columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6], columns[7], columns[8], versions, since}})
}

// ProblemFilter chooses problems of a tenant. Empty members choose all.
type ProblemFilter struct {
	Tenant    contact.Tenant
	Kind      contact.ProblemKind
	Reason    string
	System    contact.System
	Field     *string // nil for all; "" is the contact as a whole
	Contact   contact.Key
	Dismissed bool // with those that were dismissed
}

// grouped reports whether the filter chooses the problems of one cause.
func (f ProblemFilter) grouped() bool {
	return f.Kind != "" && f.Reason != "" && f.System != 0 && f.Field != nil && f.Contact == ""
}

// chosen is the condition for problems p, with its arguments. What does not
// restrict is not in it, so that an index serves what does.
func (f ProblemFilter) chosen() (condition string, arguments []any) {
	add := func(column string, value any) {
		arguments = append(arguments, value)
		condition += fmt.Sprintf(" AND p.%s = $%d", column, len(arguments))
	}
	add("tenant", string(f.Tenant))
	if f.Kind != "" {
		add("kind", string(f.Kind))
	}
	if f.Reason != "" {
		add("reason", f.Reason)
	}
	if f.System != 0 {
		add("system", f.System.String())
	}
	if f.Field != nil {
		add("field", *f.Field)
	}
	if f.Contact != "" {
		add("contact", string(f.Contact))
	}
	if !f.Dismissed {
		condition += problemOpen
	}
	return condition[len(" AND "):], arguments
}

// problemOpen restricts problems p to those that nobody dismissed.
const problemOpen = ` AND p.dismissed_by = ''`

// Problems gives problems behind one of them (the zero row for the first): those
// of one cause in the order in which they were met, others in the order of
// contact, field, system and kind.
func (db *DB) Problems(ctx context.Context, f ProblemFilter, after ProblemRow, limit int) ([]ProblemRow, error) {
	condition, arguments := f.chosen()
	order, place := "p.contact, p.field, p.system, p.kind", []any{string(after.Contact), after.Field, after.System.String(), string(after.Kind)}
	if f.grouped() {
		order, place = "p.since, p.contact", []any{after.Since, string(after.Contact)}
	}
	if after.Contact != "" {
		condition += " AND (" + order + ") > (" + numbered(len(arguments)+1, len(place)) + ")"
		arguments = append(arguments, place...)
	}
	rows, err := db.pool.Query(ctx, `
		SELECT p.tenant, p.contact, p.field, p.system, p.kind, p.class, p.reason, p.message, p.value, p.version, p.since, p.attempts, p.dismissed_by, p.dismissed_at
		FROM contact_problem p WHERE `+condition+` ORDER BY `+order+` LIMIT `+numbered(len(arguments)+1, 1), append(arguments, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list problems: %w", err)
	}
	problems, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p ProblemRow, err error) {
		var system string
		var dismissed *time.Time
		if err = row.Scan(&p.Tenant, &p.Contact, &p.Field, &system, &p.Kind, &p.Class, &p.Reason, &p.Message, &p.Value, &p.Version,
			&p.Since, &p.Attempts, &p.DismissedBy, &dismissed); err != nil {
			return p, err
		}
		if dismissed != nil {
			p.DismissedAt = *dismissed
		}
		p.System, err = contact.ParseSystem(system)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("list problems: %w", err)
	}
	return problems, nil
}

// numbered are so many parameters of a statement, from one on: "$3, $4".
func numbered(from, many int) string {
	var list []string
	for i := range many {
		list = append(list, fmt.Sprintf("$%d", from+i))
	}
	return strings.Join(list, ", ")
}

// Dismiss marks the chosen problems as seen by somebody, and gives their
// number. Those that are being solved at this moment are left out.
func (db *DB) Dismiss(ctx context.Context, f ProblemFilter, author string, at time.Time) (int, error) {
	f.Dismissed = false
	condition, arguments := f.chosen()
	n, err := db.mark(ctx, condition, arguments, author, &at)
	if err != nil {
		return n, fmt.Errorf("dismiss problems: %w", err)
	}
	return n, nil
}

// Undismiss takes back the dismissal of the chosen problems, and gives their
// number.
func (db *DB) Undismiss(ctx context.Context, f ProblemFilter) (int, error) {
	f.Dismissed = true
	condition, arguments := f.chosen()
	n, err := db.mark(ctx, condition+" AND p.dismissed_by <> ''", arguments, "", nil)
	if err != nil {
		return n, fmt.Errorf("take dismissals back: %w", err)
	}
	return n, nil
}

// mark makes an author the one who dismissed problems, and gives their number.
// It takes some thousands at a time, so that the mapper never waits long, and
// leaves out those that the mapper is at.
func (db *DB) mark(ctx context.Context, condition string, arguments []any, author string, at *time.Time) (int, error) {
	const step = 5000
	more := int64(1)
	if author == "" {
		more = -1
	}
	for total := 0; ; {
		n := 0
		err := db.InTx(ctx, func(tx *Tx) error {
			parameters := append(slices.Clone(arguments), author, at)
			marked, err := tx.tx.Query(ctx, `
				UPDATE contact_problem p SET dismissed_by = `+numbered(len(arguments)+1, 1)+`, dismissed_at = `+numbered(len(arguments)+2, 1)+`
				WHERE p.ctid = ANY(ARRAY(SELECT p.ctid FROM contact_problem p WHERE `+condition+` LIMIT `+strconv.Itoa(step)+` FOR UPDATE SKIP LOCKED))
				RETURNING `+problemCounted, parameters...)
			if err != nil {
				return err
			}
			var c problemCause
			_, err = pgx.ForEachRow(marked, c.columns(), func() error {
				n++
				tx.count(c, problemDelta{dismissed: more})
				return nil
			})
			return err
		})
		total += n
		if err != nil || n < step {
			return total, err
		}
	}
}
