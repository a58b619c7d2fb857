package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
)

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// filled gives a tenant with something in every field.
func filled(id contact.Tenant, portal int64) tenant.Tenant {
	t := tenant.Tenant{
		ID: id, Name: "Name", Region: "DE", TimeZone: "Europe/Berlin", Active: true,
		Creation: tenant.FlowToAloware, Updates: tenant.FlowToHubSpot, Archive: tenant.FlowBoth,
	}
	for _, connection := range []any{&t.HubSpot, &t.Aloware} {
		v := reflect.ValueOf(connection).Elem()
		for i := range v.NumField() {
			switch field := v.Field(i); field.Kind() {
			case reflect.String:
				field.SetString("the " + v.Type().Field(i).Name)
			case reflect.Int, reflect.Int64:
				field.SetInt(int64(100 + i))
			case reflect.Float64:
				field.SetFloat(2.5)
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Struct:
				field.Set(reflect.ValueOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)))
			default:
				panic("a field of a kind that this test does not fill: " + v.Type().Field(i).Name)
			}
		}
	}
	t.HubSpot.PortalID = portal
	return t
}

func save(t testing.TB, db *DB, sealer *seal.Sealer, tenants ...tenant.Tenant) {
	t.Helper()
	for _, x := range tenants {
		if err := db.SaveTenant(t.Context(), x, sealer); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConfigComesBackWhole, every field of it, and no secret is stored in the
// clear.
func TestConfigComesBackWhole(t *testing.T) {
	t.Parallel()
	db, sealer := open(t, migrated(t)), newSealer(t)
	want := filled("demo", 7)
	save(t, db, sealer, want)
	app := tenant.App{AppID: 9, ClientID: "client", ClientSecret: "the ClientSecret", SignatureV1: true}
	if err := db.SaveApp(t.Context(), app, sealer); err != nil {
		t.Fatal(err)
	}
	set := mapping.Default(nil)
	for i := range 2 {
		version, err := db.SaveMapping(t.Context(), "demo", set, "someone", "because")
		if err != nil || version != int64(i+1) {
			t.Fatalf("mapping saved as version %d, %v; want %d", version, err, i+1)
		}
	}
	config, err := db.Config(t.Context(), sealer)
	if err != nil {
		t.Fatal(err)
	}
	want.Revision, want.Mapping = 1, mapping.Set{Version: 2, Mappings: set.Mappings}
	got := Config{Tenants: []tenant.Tenant{want}, Apps: []tenant.App{app}, Revision: 1}
	if diff := cmp.Diff(got, config, cmpopts.IgnoreUnexported(mapping.Set{})); diff != "" {
		t.Error(diff)
	}
	if config.Tenants[0].Mapping.ByKey("email") == nil {
		t.Error("the mappings are not indexed")
	}
	var stored string
	if err := db.pool.QueryRow(t.Context(), `
		SELECT (SELECT string_agg(c::text, ' ') FROM connection c) || (SELECT string_agg(a::text, ' ') FROM app a)`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"the AccessToken", "the RefreshToken", "the Token", "the WebhookPassword", "the WebhookToken", "the ClientSecret"} {
		if strings.Contains(stored, secret) {
			t.Errorf("%q is stored in the clear", secret)
		}
	}
}

// TestCredentialsOpenForTheirTenantOnly: moved to another tenant or sealed by
// another key they are a fault of that connection, and all others work on.
func TestCredentialsOpenForTheirTenantOnly(t *testing.T) {
	t.Parallel()
	db, sealer := open(t, migrated(t)), newSealer(t)
	save(t, db, sealer, filled("a", 1), filled("b", 2))
	save(t, db, newSealer(t), filled("c", 3))
	if _, err := db.pool.Exec(t.Context(), `
		UPDATE connection x SET secrets = y.secrets FROM connection y
		WHERE x.tenant = 'b' AND y.tenant = 'a' AND x.system = 'hubspot' AND y.system = 'hubspot'`); err != nil {
		t.Fatal(err)
	}
	config, err := db.Config(t.Context(), sealer)
	if err != nil || len(config.Tenants) != 3 {
		t.Fatalf("got %d tenants, %v; want all", len(config.Tenants), err)
	}
	for i, want := range []struct{ hubspot, aloware bool }{{true, true}, {false, true}, {false, false}} {
		got := config.Tenants[i]
		if open := got.HubSpot.AccessToken != "" && got.HubSpot.State != tenant.Unauthorized; open != want.hubspot {
			t.Errorf("%s: HubSpot's credentials open: %v, want %v", got.ID, open, want.hubspot)
		}
		if open := got.Aloware.Token != "" && got.Aloware.State != tenant.Unauthorized; open != want.aloware {
			t.Errorf("%s: Aloware's credentials open: %v, want %v", got.ID, open, want.aloware)
		}
	}
	if len(config.Faults) != 3 {
		t.Errorf("faults: %v, want three", config.Faults)
	}
}

// TestEditorsDoNotOverwriteEachOther.
func TestEditorsDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	db, sealer := open(t, migrated(t)), newSealer(t)
	save(t, db, sealer, filled("demo", 1))
	read := filled("demo", 1)
	read.Revision, read.Name = 1, "first"
	save(t, db, sealer, read)
	read.Name = "second"
	if err := db.SaveTenant(t.Context(), read, sealer); !errors.Is(err, ErrStale) {
		t.Errorf("a save over another's: got %v, want ErrStale", err)
	}
	gone := filled("gone", 2)
	gone.Revision = 4
	if err := db.SaveTenant(t.Context(), gone, sealer); !errors.Is(err, ErrStale) {
		t.Errorf("a save of one that was deleted: got %v, want ErrStale", err)
	}
	if err := db.SaveTenant(t.Context(), filled("twin", 1), sealer); err == nil {
		t.Error("two tenants with one portal must be refused")
	}
	config, err := db.Config(t.Context(), sealer)
	if err != nil || len(config.Tenants) != 1 || config.Tenants[0].Name != "first" || config.Tenants[0].Revision != 2 {
		t.Errorf("got %+v, %v; want the first save alone", config.Tenants, err)
	}
	set := mapping.Default(nil)
	if _, err := db.ReplaceMapping(t.Context(), "demo", 1, set, "a", "r"); !errors.Is(err, ErrStale) {
		t.Errorf("mapping over one that is not there: got %v, want ErrStale", err)
	}
	var group sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		group.Go(func() { _, results[i] = db.ReplaceMapping(t.Context(), "demo", 0, set, "a", "r") })
	}
	group.Wait()
	saved := 0
	for _, err := range results {
		if err == nil {
			saved++
		} else if !errors.Is(err, ErrStale) {
			t.Error(err)
		}
	}
	if saved != 1 {
		t.Errorf("%d of 8 racing editors saved, want 1", saved)
	}
}

// TestConfigSeesEveryChange, also those made around this package, and has a
// new revision only then.
func TestConfigSeesEveryChange(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	db, console, sealer := open(t, url), open(t, url), newSealer(t)
	save(t, console, sealer, filled("a", 1), filled("b", 2))
	revision := int64(0)
	look := func(what string, changed bool) Config {
		t.Helper()
		config, err := db.Config(t.Context(), sealer)
		if err != nil {
			t.Fatal(err)
		}
		if (config.Revision != revision) != changed || config.Revision < revision {
			t.Errorf("%s: revision %d after %d, want a change: %v", what, config.Revision, revision, changed)
		}
		revision = config.Revision
		return config
	}
	sql := func(text string) {
		t.Helper()
		if _, err := console.pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	look("first", true)
	look("nothing", false)
	save(t, console, sealer, filled("c", 3))
	if got := look("a tenant is added", true); len(got.Tenants) != 3 || got.Tenants[2].ID != "c" {
		t.Errorf("got %d tenants, want a, b, c", len(got.Tenants))
	}
	sql(`UPDATE connection SET settings = settings || '{"WindowLimit": 42}' WHERE tenant = 'b' AND system = 'hubspot'`)
	if got := look("a setting by hand", true); got.Tenants[1].HubSpot.WindowLimit != 42 {
		t.Errorf("the limit is %d, want 42", got.Tenants[1].HubSpot.WindowLimit)
	}
	if _, err := console.SaveMapping(t.Context(), "a", mapping.Default(nil), "a", "r"); err != nil {
		t.Fatal(err)
	}
	if got := look("a mapping", true); got.Tenants[0].Mapping.Version != 1 || len(got.Tenants[0].Mapping.Mappings) != 55 {
		t.Errorf("mapping version %d", got.Tenants[0].Mapping.Version)
	}
	if err := console.SaveApp(t.Context(), tenant.App{AppID: 1, ClientID: "x"}, sealer); err != nil {
		t.Fatal(err)
	}
	if got := look("an app", true); len(got.Apps) != 1 || len(got.Tenants) != 3 {
		t.Errorf("got %+v", got)
	}
	sql(`DELETE FROM tenant WHERE tenant = 'b'`)
	if got := look("a tenant is deleted", true); len(got.Tenants) != 2 || got.Tenants[1].ID != "c" {
		t.Errorf("got %d tenants, want a and c", len(got.Tenants))
	}
	look("nothing again", false)
}

// TestFiveThousandTenants measures what a big installation costs: memory for
// an idle tenant, the first load, and a look for changes.
func TestFiveThousandTenants(t *testing.T) {
	if testing.Short() {
		t.Skip("loads 5,000 tenants")
	}
	const n = 5000
	db, sealer := open(t, migrated(t)), newSealer(t)
	save(t, db, sealer, filled("seed", 1))
	mappings, err := json.Marshal(mapping.Default(nil).Mappings)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO tenant (tenant, name) SELECT 't' || n, 'x' FROM generate_series(1, 5000) n`,
		`INSERT INTO connection SELECT 't' || n, system, settings || jsonb_build_object('PortalID', n + 10), '{}' FROM connection, generate_series(1, 5000) n WHERE tenant = 'seed'`,
	} {
		if _, err := db.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.pool.Exec(t.Context(), `
		INSERT INTO mapping_version (tenant, version, author, reason, mappings) SELECT 't' || n, 1, '', '', $1 FROM generate_series(1, 5000) n`, mappings); err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, start := heap(), time.Now()
	config, err := db.Config(t.Context(), sealer)
	if err != nil || len(config.Tenants) != n+1 {
		t.Fatalf("got %d tenants, %v", len(config.Tenants), err)
	}
	first := time.Since(start)
	each := (heap() - before) / n
	start = time.Now()
	if _, err := db.Config(t.Context(), sealer); err != nil {
		t.Fatal(err)
	}
	t.Logf("first load %v, look for changes %v, %s a tenant", first.Round(time.Millisecond), time.Since(start).Round(100*time.Microsecond), fmt.Sprintf("%d bytes", each))
	if each > 5000 {
		t.Errorf("an idle tenant costs %d bytes, want at most 5,000 of the 10,000 it may cost in all", each)
	}
	runtime.KeepAlive(config)
}
