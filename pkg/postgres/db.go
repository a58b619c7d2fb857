// Package postgres is the only room that knows SQL: the pool, the migrations,
// the partition leases, and one file per table family with its reads and
// set-based writes.
//
// Every table is written by one service, which the head of its migration
// names; configuration is read by all. Tenant-scoped tables have the tenant
// first in their key. Values never appear in errors or traces.
//
// A second wall: every table with a tenant has row-level security. The role
// that owns the tables, under which the services run, passes it at no cost;
// any other role that is granted a table sees the rows of the one tenant in
// its setting lockstep.tenant, and none without it.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep.internal/pkg/fault"
)

// DB is a pool of connections to one database. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	keyed   *pgxpool.Pool // for statements that find all they need by keys, see keyedPlans
	session string        // tells this process's leases from those of its namesakes
	config  configCache
}

// Options tune a pool; the zero value is good for a service.
type Options struct {
	MaxConns int32 // connections at most, of each of two kinds; 0 means 12
	// StatementTimeout ends a statement that hangs; 0 means 30 s.
	StatementTimeout time.Duration
}

// Open connects to a database and checks that it answers within ctx.
func Open(ctx context.Context, url string, options Options) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: the URL cannot be read: want postgres://user:password@host:5432/name")
	}
	if options.MaxConns == 0 {
		options.MaxConns = 12
	}
	if options.StatementTimeout == 0 {
		options.StatementTimeout = 30 * time.Second
	}
	config.MaxConns = options.MaxConns
	config.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTrimSQLInSpanName())
	parameters := config.ConnConfig.RuntimeParams
	parameters["statement_timeout"] = fmt.Sprint(options.StatementTimeout.Milliseconds())
	parameters["lock_timeout"] = "10000"
	parameters["idle_in_transaction_session_timeout"] = "60000"
	// A plan that was made while a table was small, or for a small tenant, is
	// not kept for a large one.
	parameters["plan_cache_mode"] = "force_custom_plan"
	parameters["jit"] = "off" // to compile a statement takes longer than any of ours
	if parameters["application_name"] == "" {
		parameters["application_name"] = "lockstep"
	}
	byKey := config.Copy()
	maps.Copy(byKey.ConnConfig.RuntimeParams, keyedPlans)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	keyed, err := pgxpool.NewWithConfig(ctx, byKey)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	db := &DB{pool: pool, keyed: keyed, session: rand.Text()[:16]}
	if err := pool.Ping(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	return db, nil
}

// keyedPlans are the settings for the statements of every batch of which one index alone
// can serve each row. Their plans are kept: to plan one takes longer than to carry it
// out. So that none is kept that is good for a small table only, there is no choice but
// that index.
var keyedPlans = map[string]string{
	"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
}

// Close ends all connections.
func (db *DB) Close() {
	db.pool.Close()
	db.keyed.Close()
}

// Ping checks that the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// Classify gives an error the class Permanent where the database refuses the
// data themselves and would do so again, such as a text with a zero byte. The
// words of such an error can hold data, so that they are left out. All other
// errors stay as they are.
func Classify(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || len(refused.Code) != 5 {
		return err
	}
	switch refused.Code[:2] {
	case "22", "23", "54": // data exception, integrity violation, limit exceeded
	default:
		return err
	}
	text := "the database refuses the data: SQLSTATE " + refused.Code
	if refused.TableName != "" {
		text += ", table " + refused.TableName
	}
	if refused.ConstraintName != "" {
		text += ", constraint " + refused.ConstraintName
	}
	return fault.Wrap(fault.Permanent, errors.New(text))
}
