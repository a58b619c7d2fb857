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

// SaveProperties replaces what is known of a system's properties, and counts
// those that came back since. It reports whether anything is different from
// before.
func (db *DB) SaveProperties(ctx context.Context, id contact.Tenant, system contact.System, properties []mapping.Property) (changed bool, err error) {
	raw, err := json.Marshal(properties)
	if err != nil {
		return false, fmt.Errorf("encode the properties of %s: %w", system, err)
	}
	err = db.InTx(ctx, func(tx *Tx) error {
		var before, counts []byte
		err := tx.tx.QueryRow(ctx, `SELECT properties, renewed FROM property_schema WHERE tenant = $1 AND system = $2 FOR UPDATE`,
			string(id), system.String()).Scan(&before, &counts)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			counts = []byte("{}") // the first time: nothing is known to have been away
		case err != nil:
			return err
		default:
			if counts, err = renewed(before, counts, properties); err != nil {
				return err
			}
		}
		tag, err := tx.tx.Exec(ctx, `
			INSERT INTO property_schema AS old (tenant, system, read_at, properties, renewed) VALUES ($1, $2, now(), $3, $4)
			ON CONFLICT (tenant, system) DO UPDATE SET read_at = now(), properties = excluded.properties, renewed = excluded.renewed
			WHERE old.properties <> excluded.properties`, string(id), system.String(), raw, counts)
		changed = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("save the properties of %s of %s: %w", system, id, err)
	}
	return changed, nil
}

// renewed counts, by name, the properties that are there again or of another
// type than before: their values may be gone.
func renewed(before, counts []byte, now []mapping.Property) ([]byte, error) {
	var list []mapping.Property
	if err := json.Unmarshal(before, &list); err != nil {
		return nil, err
	}
	var renewed map[string]int64
	if err := json.Unmarshal(counts, &renewed); err != nil {
		return nil, err
	}
	types := make(map[string]contact.Type, len(list))
	for _, p := range list {
		types[p.Name] = p.Type
	}
	for _, p := range now {
		if t, there := types[p.Name]; !there || t != p.Type {
			renewed[p.Name]++
		}
	}
	return json.Marshal(renewed)
}

func decodeProperties(properties, renewed []byte) (list []mapping.Property, err error) {
	if err := json.Unmarshal(properties, &list); err != nil {
		return nil, err
	}
	var counts map[string]int64
	if err := json.Unmarshal(renewed, &counts); err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Renewed = counts[list[i].Name]
	}
	return list, nil
}

// Properties is what is known of a tenant's properties in both systems.
func (db *DB) Properties(ctx context.Context, id contact.Tenant) (mapping.Schema, error) {
	rows, err := db.pool.Query(ctx, `SELECT system, properties, renewed FROM property_schema WHERE tenant = $1`, string(id))
	if err != nil {
		return mapping.Schema{}, fmt.Errorf("read the properties of %s: %w", id, err)
	}
	var known []contact.System
	var all []mapping.Property
	var name string
	var raw, counts []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &raw, &counts}, func() error {
		system, err := contact.ParseSystem(name)
		if err != nil {
			return err
		}
		list, err := decodeProperties(raw, counts)
		if err != nil {
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
