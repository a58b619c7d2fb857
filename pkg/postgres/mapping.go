package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// Mapping versions are written by the console alone, the properties of the
// systems by ingest alone.

// MappingVersion is one saved version of a tenant's mappings.
type MappingVersion struct {
	Version   int64
	CreatedAt time.Time
	Author    string
	Reason    string
	Set       *mapping.Set // nil in a list
}

// SaveMapping adds a mapping version after the newest, whatever that is, and
// gives its number.
func (db *DB) SaveMapping(ctx context.Context, id contact.Tenant, set *mapping.Set, author, reason string) (int64, error) {
	return db.saveMapping(ctx, id, nil, set, author, reason)
}

// ReplaceMapping adds a mapping version after the one that was read (0 for
// none); it gives ErrStale when that is no longer the newest.
func (db *DB) ReplaceMapping(ctx context.Context, id contact.Tenant, read int64, set *mapping.Set, author, reason string) (int64, error) {
	return db.saveMapping(ctx, id, &read, set, author, reason)
}

func (db *DB) saveMapping(ctx context.Context, id contact.Tenant, read *int64, set *mapping.Set, author, reason string) (version int64, err error) {
	mappings, err := json.Marshal(set.Mappings)
	if err != nil {
		return 0, fmt.Errorf("encode the mappings: %w", err)
	}
	var filter []byte
	if set.Filter != nil {
		if filter, err = json.Marshal(set.Filter); err != nil {
			return 0, fmt.Errorf("encode the filter: %w", err)
		}
	}
	err = db.InTx(ctx, func(tx *Tx) error {
		// Versions of one tenant are added one after the other.
		if err := tx.tx.QueryRow(ctx, `SELECT 0 FROM tenant WHERE tenant = $1 FOR NO KEY UPDATE`, string(id)).Scan(&version); err != nil {
			return err
		}
		err := tx.tx.QueryRow(ctx, `
			INSERT INTO mapping_version (tenant, version, author, reason, mappings, filter)
			SELECT $1, newest + 1, $2, $3, $4, $6
			FROM (SELECT coalesce(max(version), 0) newest FROM mapping_version WHERE tenant = $1) m
			WHERE $5::bigint IS NULL OR newest = $5
			RETURNING version`, string(id), author, reason, mappings, read, filter).Scan(&version)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrStale
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("save the mappings of %s: %w", id, err)
	}
	return version, nil
}

// MappingVersions lists the newest versions before one (0 for all), newest
// first, without their content.
func (db *DB) MappingVersions(ctx context.Context, id contact.Tenant, before int64, limit int) ([]MappingVersion, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT version, created_at, author, reason FROM mapping_version
		WHERE tenant = $1 AND ($2::bigint = 0 OR version < $2) ORDER BY version DESC LIMIT $3`, string(id), before, limit)
	if err != nil {
		return nil, fmt.Errorf("list the mapping versions of %s: %w", id, err)
	}
	versions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v MappingVersion, err error) {
		return v, row.Scan(&v.Version, &v.CreatedAt, &v.Author, &v.Reason)
	})
	if err != nil {
		return nil, fmt.Errorf("list the mapping versions of %s: %w", id, err)
	}
	return versions, nil
}

// MappingVersion reads one version (0 for the newest); ok is false when there
// is none.
func (db *DB) MappingVersion(ctx context.Context, id contact.Tenant, version int64) (v MappingVersion, ok bool, err error) {
	var mappings, filter []byte
	err = db.pool.QueryRow(ctx, `
		SELECT version, created_at, author, reason, mappings, coalesce(filter, 'null') FROM mapping_version
		WHERE tenant = $1 AND ($2::bigint = 0 OR version = $2) ORDER BY version DESC LIMIT 1`, string(id), version).
		Scan(&v.Version, &v.CreatedAt, &v.Author, &v.Reason, &mappings, &filter)
	if errors.Is(err, pgx.ErrNoRows) {
		return v, false, nil
	}
	if err == nil {
		v.Set, err = decodeSet(mappings, filter)
	}
	if err != nil {
		return v, false, fmt.Errorf("read mapping version %d of %s: %w", version, id, err)
	}
	v.Set.Version = v.Version
	return v, true, nil
}

// SaveProperties replaces what is known of a system's properties. It reports
// whether anything is different from before.
func (db *DB) SaveProperties(ctx context.Context, id contact.Tenant, system contact.System, properties []mapping.Property) (changed bool, err error) {
	raw, err := json.Marshal(properties)
	if err != nil {
		return false, fmt.Errorf("encode the properties of %s: %w", system, err)
	}
	tag, err := db.pool.Exec(ctx, `
		INSERT INTO property_schema AS old (tenant, system, read_at, properties) VALUES ($1, $2, now(), $3)
		ON CONFLICT (tenant, system) DO UPDATE SET read_at = now(), properties = excluded.properties
		WHERE old.properties <> excluded.properties`, string(id), system.String(), raw)
	if err != nil {
		return false, fmt.Errorf("save the properties of %s of %s: %w", system, id, err)
	}
	return tag.RowsAffected() > 0, nil
}

// Properties is what is known of a tenant's properties in both systems.
func (db *DB) Properties(ctx context.Context, id contact.Tenant) (mapping.Schema, error) {
	rows, err := db.pool.Query(ctx, `SELECT system, properties FROM property_schema WHERE tenant = $1`, string(id))
	if err != nil {
		return mapping.Schema{}, fmt.Errorf("read the properties of %s: %w", id, err)
	}
	var known []contact.System
	var all []mapping.Property
	var name string
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &raw}, func() error {
		system, err := contact.ParseSystem(name)
		if err != nil {
			return err
		}
		var list []mapping.Property
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		known, all = append(known, system), append(all, list...)
		return nil
	})
	if err != nil {
		return mapping.Schema{}, fmt.Errorf("read the properties of %s: %w", id, err)
	}
	return mapping.NewSchema(known, all), nil
}
