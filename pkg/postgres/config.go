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
	sets    map[[sha256.Size]byte]mapping.Set // by the text of mappings, filter and what is at rest
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
		SELECT t.tenant, concat_ws('/', t.xmin, h.xmin, a.xmin, m.version, m.xmin, p.xmin)
		FROM tenant t
		LEFT JOIN connection h ON h.tenant = t.tenant AND h.system = 'hubspot'
		LEFT JOIN connection a ON a.tenant = t.tenant AND a.system = 'aloware'
		LEFT JOIN LATERAL (SELECT v.version, v.xmin FROM mapping_version v WHERE v.tenant = t.tenant ORDER BY v.version DESC LIMIT 1) m ON true
		LEFT JOIN property_schema p ON p.tenant = t.tenant AND p.system = 'hubspot'
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
	rows, err := db.pool.Query(ctx, `SELECT app_id, base_url, client_id, client_secret, signature_v1 FROM app ORDER BY app_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a tenant.App, err error) {
		var sealed []byte
		if err = row.Scan(&a.AppID, &a.BaseURL, &a.ClientID, &sealed, &a.SignatureV1); err != nil {
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
		SELECT t.tenant, t.revision, t.name, t.region, t.time_zone, t.active, t.creation, t.updates, t.archive, t.default_owner, t.default_lead_source, t.burst_floor,
		       coalesce(h.settings, '{}'), coalesce(h.secrets, '{}'), coalesce(a.settings, '{}'), coalesce(a.secrets, '{}'),
		       coalesce(m.version, 0), coalesce(m.mappings, '[]'), coalesce(m.filter, 'null'), p.properties, coalesce(p.renewed, '{}')
		FROM unnest($1::text[]) w(tenant) JOIN tenant t USING (tenant)
		LEFT JOIN connection h ON h.tenant = t.tenant AND h.system = 'hubspot'
		LEFT JOIN connection a ON a.tenant = t.tenant AND a.system = 'aloware'
		LEFT JOIN LATERAL (SELECT v.version, v.mappings, v.filter FROM mapping_version v WHERE v.tenant = t.tenant ORDER BY v.version DESC LIMIT 1) m ON true
		LEFT JOIN property_schema p ON p.tenant = t.tenant AND p.system = 'hubspot'`, ids)
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
	var hubspot, hubspotSecrets, aloware, alowareSecrets, mappings, filter, properties, renewed []byte
	var version int64
	if err = row.Scan(&t.ID, &t.Revision, &t.Name, &t.Region, &t.TimeZone, &t.Active, &t.Creation, &t.Updates, &t.Archive, &t.DefaultOwner, &t.DefaultLeadSource, &t.BurstFloor,
		&hubspot, &hubspotSecrets, &aloware, &alowareSecrets, &version, &mappings, &filter, &properties, &renewed); err != nil {
		return t, err
	}
	if t.Mapping, err = c.set(mappings, filter, properties, renewed, version); err != nil {
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

// set decodes a version, or finds an equal one that was decoded before, and
// holds it against the portal. properties are those of the portal, nil while
// they are not known, and renewed how often which came back.
func (c *configCache) set(mappings, filter, properties, renewed []byte, version int64) (mapping.Set, error) {
	sum := sha256.Sum256(slices.Concat(mappings, filter))
	set, known := c.sets[sum]
	if !known {
		fresh, err := decodeSet(mappings, filter)
		if err != nil {
			return set, err
		}
		set = *fresh
		c.sets[sum] = set
	}
	if properties != nil {
		list, err := decodeProperties(properties, renewed)
		if err != nil {
			return set, fmt.Errorf("properties of the portal: %w", err)
		}
		set = *set.InForce(mapping.NewSchema([]contact.System{contact.HubSpot}, list))
	}
	set.Version = version
	return set, nil
}

func decodeSet(mappings, filter []byte) (*mapping.Set, error) {
	set := &mapping.Set{}
	if err := json.Unmarshal(mappings, &set.Mappings); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(filter, &set.Filter); err != nil {
		return nil, err
	}
	for i := range set.Mappings {
		set.Mappings[i].Stopped, set.Mappings[i].Binding.Renewed = "", 0
	}
	return set.Index(), nil
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
			INSERT INTO tenant AS old (tenant, name, region, time_zone, active, creation, updates, default_owner, default_lead_source, archive, burst_floor)
			SELECT $1, $2, $3, $4, $5, $6, $7, $9, $10, $11, $12 WHERE $8::bigint = 0 OR EXISTS (SELECT FROM tenant WHERE tenant = $1)
			ON CONFLICT (tenant) DO UPDATE SET name = excluded.name, region = excluded.region, time_zone = excluded.time_zone,
				active = excluded.active, creation = excluded.creation, updates = excluded.updates, archive = excluded.archive,
				default_owner = excluded.default_owner, default_lead_source = excluded.default_lead_source,
				burst_floor = excluded.burst_floor, revision = old.revision + 1
			WHERE $8::bigint = 0 OR old.revision = $8::bigint`,
			string(t.ID), t.Name, t.Region, t.TimeZone, t.Active, string(t.Creation), string(t.Updates), t.Revision, t.DefaultOwner, t.DefaultLeadSource,
			string(cmp.Or(t.Archive, tenant.FlowNone)), t.BurstFloor)
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
		INSERT INTO app (app_id, base_url, client_id, client_secret, signature_v1) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (app_id) DO UPDATE SET base_url = excluded.base_url, client_id = excluded.client_id, client_secret = excluded.client_secret,
			signature_v1 = excluded.signature_v1`,
		a.AppID, a.BaseURL, a.ClientID, sealed, a.SignatureV1); err != nil {
		return fmt.Errorf("save app %d: %w", a.AppID, err)
	}
	return nil
}

// DeleteApp removes an app, unless a connected tenant uses it; it tells whether
// there is none any more.
func (db *DB) DeleteApp(ctx context.Context, id int64) (gone bool, err error) {
	err = db.pool.QueryRow(ctx, `
		WITH used AS (
			SELECT FROM connection WHERE system = 'hubspot' AND settings ->> 'AppID' = $1::bigint::text AND settings ->> 'State' <> 'disconnected'
		), gone AS (DELETE FROM app WHERE app_id = $1 AND NOT EXISTS (SELECT FROM used))
		SELECT NOT EXISTS (SELECT FROM used) OR NOT EXISTS (SELECT FROM app WHERE app_id = $1)`, id).Scan(&gone)
	if err != nil {
		return false, fmt.Errorf("remove app %d: %w", id, err)
	}
	return gone, nil
}
