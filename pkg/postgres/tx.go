package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Tx is one running transaction. The files of this package add what may be
// done in it.
type Tx struct {
	tx *pipeline
	// problems are by how many contacts more or less the transaction leaves a
	// cause with; they are stored with it.
	problems map[problemCause]problemDelta
}

// InTx runs f in one transaction: committed when f gives no error. After an
// error that is not f's own the transaction may have been committed all the
// same, if the connection broke at that very moment.
func (db *DB) InTx(ctx context.Context, f func(*Tx) error) error {
	return db.inTx(ctx, f)
}

// unsynced makes the commit of a transaction not wait for the disk. It is for
// what a watermark in the same transaction brings back: after a crash of the server
// both are gone, and what led to them is read again.
const unsynced = "set local synchronous_commit = off"

// inTx is InTx with settings, which are statements that come first.
func (db *DB) inTx(ctx context.Context, f func(*Tx) error, settings ...string) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer conn.Release() // closes it if the transaction has not ended
	tx := &Tx{tx: &pipeline{conn: conn}}
	for _, first := range append([]string{"begin"}, settings...) {
		if err := tx.tx.put(ctx, "begin a transaction", first); err != nil {
			return err
		}
	}
	err = f(tx)
	if err == nil {
		err = tx.tx.flush(ctx) // what is counted is known then
	}
	if err == nil {
		err = tx.countProblems(ctx)
	}
	if err != nil {
		const patience, none = 5 * time.Second, 'I'
		if conn.Conn().PgConn().TxStatus() == none {
			return Classify(err) // nothing was sent yet
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, _ = conn.Exec(ending, "rollback") // a connection that cannot is closed
		return Classify(err)
	}
	tag, err := conn.Exec(ctx, "commit")
	if err == nil && tag.String() != "COMMIT" {
		err = errors.New("the server rolled it back")
	}
	if err != nil {
		return Classify(fmt.Errorf("commit a transaction: %w", err))
	}
	return nil
}

// pipeline is a transaction's connection. What nobody waits for is kept (put), and sent
// together with all else that is: a question takes a turn of the processor on both
// sides, which is more than most statements take. What somebody waits for is sent at
// once, behind what was kept.
type pipeline struct {
	conn *pgxpool.Conn
	kept []statement
}

// statement is one that is kept.
type statement struct {
	what       string // for its error
	sql        string
	parameters []any
	done       func(pgconn.CommandTag) error // what its end must be; nil for any
	rows       func(pgx.Rows) error          // reads and closes its rows; nil where it has none
}

// put keeps a statement, which what tells of an error: that of whatever sends it, and of
// the transaction.
func (p *pipeline) put(ctx context.Context, what, sql string, parameters ...any) error {
	return p.keep(ctx, statement{what: what, sql: sql, parameters: parameters})
}

// keep is put for a statement that has a result.
func (p *pipeline) keep(ctx context.Context, s statement) error {
	const most = 64
	if p.kept = append(p.kept, s); len(p.kept) < most {
		return nil
	}
	return p.flush(ctx)
}

// flush sends what is kept, and waits for it.
func (p *pipeline) flush(ctx context.Context) error {
	if len(p.kept) == 0 {
		return nil
	}
	kept := p.kept
	p.kept = nil
	batch := &pgx.Batch{}
	for i := range kept {
		batch.Queue(kept[i].sql, kept[i].parameters...)
	}
	results := p.conn.SendBatch(ctx, batch)
	for i := range kept {
		if err := kept[i].read(results); err != nil {
			results.Close()
			return fmt.Errorf("%s: %w", kept[i].what, err)
		}
	}
	return results.Close()
}

// read takes a statement's own result.
func (s *statement) read(results pgx.BatchResults) error {
	if s.rows != nil {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		return s.rows(rows)
	}
	tag, err := results.Exec()
	if err == nil && s.done != nil {
		err = s.done(tag)
	}
	return err
}

// Exec carries out a statement, behind what was kept.
func (p *pipeline) Exec(ctx context.Context, sql string, parameters ...any) (pgconn.CommandTag, error) {
	if err := p.flush(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return p.conn.Exec(ctx, sql, parameters...)
}

// Query asks for rows, behind what was kept.
func (p *pipeline) Query(ctx context.Context, sql string, parameters ...any) (pgx.Rows, error) {
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	return p.conn.Query(ctx, sql, parameters...)
}

// QueryRow asks for a row, behind what was kept.
func (p *pipeline) QueryRow(ctx context.Context, sql string, parameters ...any) pgx.Row {
	if err := p.flush(ctx); err != nil {
		return noRow{err}
	}
	return p.conn.QueryRow(ctx, sql, parameters...)
}

// CopyFrom stores rows, behind what was kept.
func (p *pipeline) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error) {
	if err := p.flush(ctx); err != nil {
		return 0, err
	}
	return p.conn.CopyFrom(ctx, table, columns, source)
}

// noRow is the answer to a question that was not asked.
type noRow struct{ err error }

func (r noRow) Scan(...any) error { return r.err }
