package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

// The tables of this file are written by the console alone.

// Config is the configuration of all tenants.
type Config struct {
	Tenants []tenant.Tenant
	Apps    []tenant.App
}

// Config loads the configuration of all tenants, each with its newest mapping
// version.
func (db *DB) Config(ctx context.Context, sealer *seal.Sealer) (Config, error) {
	var config Config
	rows, err := db.pool.Query(ctx, `
		SELECT t.tenant, t.name, t.region, t.time_zone, t.active, t.creation, t.updates,
		       coalesce(h.settings, '{}'), coalesce(h.secrets, '{}'), coalesce(a.settings, '{}'), coalesce(a.secrets, '{}'),
		       coalesce(m.version, 0), coalesce(m.mappings, '[]')
		FROM tenant t
		LEFT JOIN connection h ON h.tenant = t.tenant AND h.system = 'hubspot'
		LEFT JOIN connection a ON a.tenant = t.tenant AND a.system = 'aloware'
		LEFT JOIN LATERAL (SELECT version, mappings FROM mapping_version v WHERE v.tenant = t.tenant ORDER BY version DESC LIMIT 1) m ON true
		ORDER BY t.tenant`)
	if err != nil {
		return config, fmt.Errorf("load the tenants: %w", err)
	}
	config.Tenants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (tenant.Tenant, error) { return scanTenant(row, sealer) })
	if err != nil {
		return config, fmt.Errorf("load the tenants: %w", err)
	}
	rows, err = db.pool.Query(ctx, `SELECT app_id, client_id, client_secret, signature_v1 FROM app ORDER BY app_id`)
	if err != nil {
		return config, fmt.Errorf("load the apps: %w", err)
	}
	config.Apps, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a tenant.App, err error) {
		var sealed []byte
		if err = row.Scan(&a.AppID, &a.ClientID, &sealed, &a.SignatureV1); err != nil {
			return a, err
		}
		secret, err := sealer.Open(sealed, appPurpose(a.AppID))
		a.ClientSecret = tenant.Secret(secret)
		return a, err
	})
	if err != nil {
		return config, fmt.Errorf("load the apps: %w", err)
	}
	return config, nil
}

func scanTenant(row pgx.CollectableRow, sealer *seal.Sealer) (t tenant.Tenant, err error) {
	var hubspot, hubspotSecrets, aloware, alowareSecrets, mappings []byte
	set := mapping.Set{}
	if err = row.Scan(&t.ID, &t.Name, &t.Region, &t.TimeZone, &t.Active, &t.Creation, &t.Updates,
		&hubspot, &hubspotSecrets, &aloware, &alowareSecrets, &set.Version, &mappings); err != nil {
		return t, err
	}
	if err = json.Unmarshal(mappings, &set.Mappings); err != nil {
		return t, fmt.Errorf("mapping version %d of %s: %w", set.Version, t.ID, err)
	}
	t.Mapping = *set.Index()
	if err = json.Unmarshal(hubspot, &t.HubSpot); err != nil {
		return t, fmt.Errorf("HubSpot connection of %s: %w", t.ID, err)
	}
	if err = json.Unmarshal(aloware, &t.Aloware); err != nil {
		return t, fmt.Errorf("Aloware connection of %s: %w", t.ID, err)
	}
	for system, sealed := range map[contact.System][]byte{contact.HubSpot: hubspotSecrets, contact.Aloware: alowareSecrets} {
		if err = openSecrets(&t, system, sealed, sealer); err != nil {
			return t, err
		}
	}
	return t, nil
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

// SaveTenant inserts or replaces a tenant and its connections. The mapping is
// saved by SaveMapping.
func (db *DB) SaveTenant(ctx context.Context, t tenant.Tenant, sealer *seal.Sealer) error {
	return db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.tx.Exec(ctx, `
			INSERT INTO tenant (tenant, name, region, time_zone, active, creation, updates) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (tenant) DO UPDATE SET name = excluded.name, region = excluded.region, time_zone = excluded.time_zone,
				active = excluded.active, creation = excluded.creation, updates = excluded.updates`,
			string(t.ID), t.Name, t.Region, t.TimeZone, t.Active, string(t.Creation), string(t.Updates)); err != nil {
			return fmt.Errorf("save tenant %s: %w", t.ID, err)
		}
		for _, system := range contact.Systems {
			if err := tx.saveConnection(ctx, t, system, sealer); err != nil {
				return fmt.Errorf("save the connection of %s to %s: %w", t.ID, system, err)
			}
		}
		return nil
	})
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
	if _, err := db.pool.Exec(ctx, `
		INSERT INTO app (app_id, client_id, client_secret, signature_v1) VALUES ($1, $2, $3, $4)
		ON CONFLICT (app_id) DO UPDATE SET client_id = excluded.client_id, client_secret = excluded.client_secret, signature_v1 = excluded.signature_v1`,
		a.AppID, a.ClientID, sealed, a.SignatureV1); err != nil {
		return fmt.Errorf("save app %d: %w", a.AppID, err)
	}
	return nil
}

// SaveMapping adds a mapping version, numbered after the newest, and gives its
// number.
func (db *DB) SaveMapping(ctx context.Context, id contact.Tenant, mappings []mapping.Mapping, author, reason string) (int64, error) {
	raw, err := json.Marshal(mappings)
	if err != nil {
		return 0, fmt.Errorf("encode the mappings: %w", err)
	}
	var version int64
	err = db.pool.QueryRow(ctx, `
		INSERT INTO mapping_version (tenant, version, author, reason, mappings)
		SELECT $1, 1 + coalesce(max(version), 0), $2, $3, $4 FROM mapping_version WHERE tenant = $1
		RETURNING version`, string(id), author, reason, raw).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("save the mappings of %s: %w", id, err)
	}
	return version, nil
}
