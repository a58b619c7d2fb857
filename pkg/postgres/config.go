package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

// The tables of this file are written by the console alone.

// Config is the configuration of all tenants. It is shared and must not be
// changed.
type Config struct {
	Tenants []tenant.Tenant // by id, each with its newest mapping version
	Apps    []tenant.App    // by id
	// Revision rises when something has changed since this process last looked.
	Revision int64
	// Faults are the credentials that do not open. Their connections are
	// there, without them and Unauthorized.
	Faults []error
}

// configCache is what was loaded last, so that only what has changed is loaded
// and unsealed again, and tenants with equal mappings share them in memory.
type configCache struct {
	mu      sync.Mutex
	sealer  *seal.Sealer
	stamps  map[contact.Tenant]string // of the rows that a tenant is made of
	tenants map[contact.Tenant]loaded
	sets    map[[sha256.Size]byte]mapping.Set // by the text of the mappings
	apps    string                            // stamp of all apps
	config  Config
}

type loaded struct {
	tenant.Tenant
	faults []error
}

// Config gives the configuration of all tenants. Called again, it loads what
// has changed.
func (db *DB) Config(ctx context.Context, sealer *seal.Sealer) (Config, error) {
	c := &db.config
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps, apps, err := db.stamps(ctx)
	if err != nil {
		return Config{}, fmt.Errorf("look for changes of the configuration: %w", err)
	}
	if c.sealer != sealer {
		c.sealer, c.stamps, c.tenants, c.apps = sealer, nil, nil, "never"
	}
	var changed []string
	for id, stamp := range stamps {
		if c.stamps[id] != stamp {
			changed = append(changed, string(id))
		}
	}
	if len(changed) == 0 && len(stamps) == len(c.stamps) && apps == c.apps {
		return c.config, nil
	}
	next := Config{Revision: c.config.Revision + 1, Apps: c.config.Apps}
	if apps != c.apps {
		if next.Apps, err = db.loadApps(ctx, sealer); err != nil {
			return Config{}, fmt.Errorf("load the apps: %w", err)
		}
	}
	fresh, err := db.loadTenants(ctx, sealer, changed)
	if err != nil {
		return Config{}, fmt.Errorf("load the tenants: %w", err)
	}
	tenants := make(map[contact.Tenant]loaded, len(stamps))
	for id := range stamps {
		t, ok := fresh[id]
		if !ok {
			if t, ok = c.tenants[id]; !ok {
				delete(stamps, id) // deleted just now
				continue
			}
		}
		tenants[id] = t
		next.Tenants = append(next.Tenants, t.Tenant)
		next.Faults = append(next.Faults, t.faults...)
	}
	slices.SortFunc(next.Tenants, func(a, b tenant.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	c.stamps, c.tenants, c.apps, c.config = stamps, tenants, apps, next
	return next, nil
}

// stamps tell the states of the rows apart by who wrote them last, so that no
// way to change them goes unseen.
func (db *DB) stamps(ctx context.Context) (tenants map[contact.Tenant]string, apps string, err error) {
	rows, err := db.pool.Query(ctx, `
		SELECT t.tenant, concat_ws('/', t.xmin, h.xmin, a.xmin, m.version, m.xmin)
		FROM tenant t
		LEFT JOIN connection h ON h.tenant = t.tenant AND h.system = 'hubspot'
		LEFT JOIN connection a ON a.tenant = t.tenant AND a.system = 'aloware'
		LEFT JOIN LATERAL (SELECT v.version, v.xmin FROM mapping_version v WHERE v.tenant = t.tenant ORDER BY v.version DESC LIMIT 1) m ON true
		UNION ALL
		SELECT '', coalesce(string_agg(concat_ws('/', app_id, xmin), ',' ORDER BY app_id), '') FROM app`)
	if err != nil {
		return nil, "", err
	}
	tenants = make(map[contact.Tenant]string)
	var id contact.Tenant
	var stamp string
	_, err = pgx.ForEachRow(rows, []any{&id, &stamp}, func() error {
		if id == "" {
			apps = stamp
		} else {
			tenants[id] = stamp
		}
		return nil
	})
	return tenants, apps, err
}

func (db *DB) loadApps(ctx context.Context, sealer *seal.Sealer) ([]tenant.App, error) {
	rows, err := db.pool.Query(ctx, `SELECT app_id, client_id, client_secret, signature_v1 FROM app ORDER BY app_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a tenant.App, err error) {
		var sealed []byte
		if err = row.Scan(&a.AppID, &a.ClientID, &sealed, &a.SignatureV1); err != nil {
			return a, err
		}
		secret, err := sealer.Open(sealed, appPurpose(a.AppID))
		a.ClientSecret = tenant.Secret(secret)
		return a, err
	})
}

func (db *DB) loadTenants(ctx context.Context, sealer *seal.Sealer, ids []string) (map[contact.Tenant]loaded, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if sets := db.config.sets; sets == nil || len(sets) > 100+2*len(db.config.tenants) { // mostly of the past
		db.config.sets = make(map[[sha256.Size]byte]mapping.Set)
	}
	rows, err := db.pool.Query(ctx, `
		SELECT t.tenant, t.revision, t.name, t.region, t.time_zone, t.active, t.creation, t.updates,
		       coalesce(h.settings, '{}'), coalesce(h.secrets, '{}'), coalesce(a.settings, '{}'), coalesce(a.secrets, '{}'),
		       coalesce(m.version, 0), coalesce(m.mappings, '[]')
		FROM unnest($1::text[]) w(tenant) JOIN tenant t USING (tenant)
		LEFT JOIN connection h ON h.tenant = t.tenant AND h.system = 'hubspot'
		LEFT JOIN connection a ON a.tenant = t.tenant AND a.system = 'aloware'
		LEFT JOIN LATERAL (SELECT v.version, v.mappings FROM mapping_version v WHERE v.tenant = t.tenant ORDER BY v.version DESC LIMIT 1) m ON true`, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[contact.Tenant]loaded, len(ids))
	for rows.Next() {
		t, err := db.config.scan(rows, sealer)
		if err != nil {
			return nil, err
		}
		all[t.ID] = t
	}
	return all, rows.Err()
}

func (c *configCache) scan(row pgx.CollectableRow, sealer *seal.Sealer) (t loaded, err error) {
	var hubspot, hubspotSecrets, aloware, alowareSecrets, mappings []byte
	var version int64
	if err = row.Scan(&t.ID, &t.Revision, &t.Name, &t.Region, &t.TimeZone, &t.Active, &t.Creation, &t.Updates,
		&hubspot, &hubspotSecrets, &aloware, &alowareSecrets, &version, &mappings); err != nil {
		return t, err
	}
	if t.Mapping, err = c.set(mappings, version); err != nil {
		return t, fmt.Errorf("mapping version %d of %s: %w", version, t.ID, err)
	}
	if err = json.Unmarshal(hubspot, &t.HubSpot); err != nil {
		return t, fmt.Errorf("HubSpot connection of %s: %w", t.ID, err)
	}
	if err = json.Unmarshal(aloware, &t.Aloware); err != nil {
		return t, fmt.Errorf("Aloware connection of %s: %w", t.ID, err)
	}
	if err = openSecrets(&t.Tenant, contact.HubSpot, hubspotSecrets, sealer); err != nil {
		t.HubSpot.State = tenant.Unauthorized
		t.faults = append(t.faults, err)
	}
	if err = openSecrets(&t.Tenant, contact.Aloware, alowareSecrets, sealer); err != nil {
		t.Aloware.State = tenant.Unauthorized
		t.faults = append(t.faults, err)
	}
	return t, nil
}

// set decodes mappings, or finds equal ones that were decoded before.
func (c *configCache) set(raw []byte, version int64) (mapping.Set, error) {
	sum := sha256.Sum256(raw)
	set, known := c.sets[sum]
	if !known {
		if err := json.Unmarshal(raw, &set.Mappings); err != nil {
			return set, err
		}
		set.Index()
		c.sets[sum] = set
	}
	set.Version = version
	return set, nil
}

// secrets are the places of a tenant's secrets by system and name.
func secrets(t *tenant.Tenant, system contact.System) map[string]*tenant.Secret {
	if system == contact.HubSpot {
		return map[string]*tenant.Secret{"access_token": &t.HubSpot.AccessToken, "refresh_token": &t.HubSpot.RefreshToken}
	}
	return map[string]*tenant.Secret{
		"token": &t.Aloware.Token, "webhook_password": &t.Aloware.WebhookPassword, "webhook_token": &t.Aloware.WebhookToken,
	}
}

func openSecrets(t *tenant.Tenant, system contact.System, raw []byte, sealer *seal.Sealer) error {
	var sealed map[string][]byte
	if err := json.Unmarshal(raw, &sealed); err != nil {
		return fmt.Errorf("secrets of %s: %w", t.ID, err)
	}
	for name, place := range secrets(t, system) {
		text, err := sealer.Open(sealed[name], secretPurpose(t.ID, system, name))
		if err != nil {
			return err
		}
		*place = tenant.Secret(text)
	}
	return nil
}

func secretPurpose(id contact.Tenant, system contact.System, name string) string {
	return string(id) + "/" + system.String() + "/" + name
}

func appPurpose(id int64) string { return fmt.Sprintf("app/%d", id) }

// ErrStale tells that somebody else saved meanwhile: look again, then decide.
var ErrStale = errors.New("somebody else changed this meanwhile")

// SaveTenant inserts or replaces a tenant and its connections. With a Revision
// it replaces the very one that was read, else it gives ErrStale; without one
// it replaces whatever is there. The mapping is saved by SaveMapping.
func (db *DB) SaveTenant(ctx context.Context, t tenant.Tenant, sealer *seal.Sealer) error {
	err := db.InTx(ctx, func(tx *Tx) error {
		tag, err := tx.tx.Exec(ctx, `
			INSERT INTO tenant AS old (tenant, name, region, time_zone, active, creation, updates)
			SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $8::bigint = 0 OR EXISTS (SELECT FROM tenant WHERE tenant = $1)
			ON CONFLICT (tenant) DO UPDATE SET name = excluded.name, region = excluded.region, time_zone = excluded.time_zone,
				active = excluded.active, creation = excluded.creation, updates = excluded.updates, revision = old.revision + 1
			WHERE $8::bigint = 0 OR old.revision = $8::bigint`,
			string(t.ID), t.Name, t.Region, t.TimeZone, t.Active, string(t.Creation), string(t.Updates), t.Revision)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return ErrStale
		}
		for _, system := range contact.Systems {
			if err := tx.saveConnection(ctx, t, system, sealer); err != nil {
				return fmt.Errorf("connection to %s: %w", system, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save tenant %s: %w", t.ID, err)
	}
	return nil
}

func (tx *Tx) saveConnection(ctx context.Context, t tenant.Tenant, system contact.System, sealer *seal.Sealer) error {
	sealed := make(map[string][]byte)
	for name, place := range secrets(&t, system) {
		text, err := sealer.Seal(place.Reveal(), secretPurpose(t.ID, system, name))
		if err != nil {
			return err
		}
		if text != nil {
			sealed[name] = text
		}
		*place = "" // t is a copy: what is encoded below holds no secret
	}
	var settings any = t.HubSpot
	if system == contact.Aloware {
		settings = t.Aloware
	}
	rawSettings, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	rawSecrets, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	_, err = tx.tx.Exec(ctx, `
		INSERT INTO connection (tenant, system, settings, secrets) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, system) DO UPDATE SET settings = excluded.settings, secrets = excluded.secrets`,
		string(t.ID), system.String(), rawSettings, rawSecrets)
	return err
}

// SaveApp inserts or replaces an app.
func (db *DB) SaveApp(ctx context.Context, a tenant.App, sealer *seal.Sealer) error {
	sealed, err := sealer.Seal(a.ClientSecret.Reveal(), appPurpose(a.AppID))
	if err != nil {
		return err
	}
	if sealed == nil {
		sealed = []byte{} // an app without a secret: nothing of it can be verified
	}
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO app (app_id, client_id, client_secret, signature_v1) VALUES ($1, $2, $3, $4)
		ON CONFLICT (app_id) DO UPDATE SET client_id = excluded.client_id, client_secret = excluded.client_secret, signature_v1 = excluded.signature_v1`,
		a.AppID, a.ClientID, sealed, a.SignatureV1); err != nil {
		return fmt.Errorf("save app %d: %w", a.AppID, err)
	}
	return nil
}

// SaveMapping adds a mapping version after the newest, whatever that is, and
// gives its number.
func (db *DB) SaveMapping(ctx context.Context, id contact.Tenant, mappings []mapping.Mapping, author, reason string) (int64, error) {
	return db.saveMapping(ctx, id, nil, mappings, author, reason)
}

// ReplaceMapping adds a mapping version after the one that was read (0 for
// none); it gives ErrStale when that is no longer the newest.
func (db *DB) ReplaceMapping(ctx context.Context, id contact.Tenant, read int64, mappings []mapping.Mapping, author, reason string) (int64, error) {
	return db.saveMapping(ctx, id, &read, mappings, author, reason)
}

func (db *DB) saveMapping(ctx context.Context, id contact.Tenant, read *int64, mappings []mapping.Mapping, author, reason string) (version int64, err error) {
	raw, err := json.Marshal(mappings)
	if err != nil {
		return 0, fmt.Errorf("encode the mappings: %w", err)
	}
	err = db.InTx(ctx, func(tx *Tx) error {
		// Versions of one tenant are added one after the other.
		if err := tx.tx.QueryRow(ctx, `SELECT 0 FROM tenant WHERE tenant = $1 FOR NO KEY UPDATE`, string(id)).Scan(&version); err != nil {
			return err
		}
		err := tx.tx.QueryRow(ctx, `
			INSERT INTO mapping_version (tenant, version, author, reason, mappings)
			SELECT $1, newest + 1, $2, $3, $4
			FROM (SELECT coalesce(max(version), 0) newest FROM mapping_version WHERE tenant = $1) m
			WHERE $5::bigint IS NULL OR newest = $5
			RETURNING version`, string(id), author, reason, raw, read).Scan(&version)
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
