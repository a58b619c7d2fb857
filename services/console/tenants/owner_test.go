package tenants_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"lockstep.internal/pkg/bus/bustest"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/tenants"
)

// TestADefaultOwnerMustBeOffered when it is chosen; one that was chosen before
// does not keep other settings from being saved.
func TestADefaultOwnerMustBeOffered(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	db := dbtest.Open(t)
	known, err := roster.Open(t.Context(), func(ctx context.Context) (postgres.Config, error) { return db.Config(ctx, sealer) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	offered := []string{"ann@example.com"}
	room := tenants.New(tenants.Config{
		DB: db, Bus: bustest.New(t), Roster: known, Seal: sealer, Logger: slog.New(slog.DiscardHandler),
		Owners: func(context.Context, contact.Tenant) ([]string, error) { return offered, nil },
	})
	save := func(name, owner string) (*tenant.Tenant, error) {
		return room.Save(t.Context(), "acme", tenants.Settings{
			Name: name, Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth, DefaultOwner: owner,
		})
	}
	var refused *mapping.Refusal
	if _, err := save("Acme", "ben@example.com"); !errors.As(err, &refused) || refused.Key != "default_owner" {
		t.Errorf("an owner who is not offered gives %v", err)
	}
	if one, err := save("Acme", " Ann@example.com"); err != nil || one.DefaultOwner != "ann@example.com" {
		t.Fatalf("an owner who is offered gives %v, %v", one, err)
	}
	offered = nil
	if one, err := save("Acme Inc", "ann@example.com"); err != nil || one.Name != "Acme Inc" {
		t.Errorf("with an owner who is not offered any more, another name gives %v, %v", one, err)
	}
	if one, err := save("Acme Inc", ""); err != nil || one.DefaultOwner != "" {
		t.Errorf("no owner gives %v, %v", one, err)
	}
}
