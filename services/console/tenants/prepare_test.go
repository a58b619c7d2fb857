package tenants_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/services/console/tenants"
)

// free is a budget without limits: these tests are about something else.
type free struct{}

func (free) Take(context.Context, quota.Pool) (quota.Ticket, error) { return free{}, nil }
func (free) Done(quota.Answer)                                      {}

func portal(t *testing.T) *hubspot.Client {
	t.Helper()
	sim, err := hubspotsim.New(hubspotsim.Config{Latency: -1, WindowLimit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	return hubspot.NewClient(hubspot.ClientConfig{BaseURL: server.URL, Token: hubspot.StaticToken("demo-hubspot-token"), Budget: free{}})
}

// breaking fails after some properties, as a connection that is cut would.
type breaking struct {
	tenants.Schema
	left int
}

var errCut = errors.New("the connection was cut")

func (b *breaking) CreateProperty(ctx context.Context, d hubspot.Definition) error {
	if b.left--; b.left < 0 {
		return errCut
	}
	return b.Schema.CreateProperty(ctx, d)
}

// TestAPortalIsPrepared: all 55 mappings have a property, under the
// portal's own names, also after a run that was broken off; a further run
// changes nothing.
func TestAPortalIsPrepared(t *testing.T) {
	t.Parallel()
	client := portal(t)
	if _, _, err := tenants.Prepare(t.Context(), &breaking{client, 7}); !errors.Is(err, errCut) {
		t.Fatalf("the broken run gave %v", err)
	}
	set, report, err := tenants.Prepare(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Incompatible) > 0 || len(report.Used) != 55 || len(report.Created) == 0 {
		t.Fatalf("report is %+v, want 55 properties in use and none incompatible", report)
	}
	for key, want := range map[string]string{
		"phone_number": "phone", "contact_disposition_status": "hs_lead_status", "timezone": "hs_timezone", "lead_source": "aloware_lead_source",
	} {
		if got := set.ByKey(key).HubSpot; got != want {
			t.Errorf("%s uses %q, want %q", key, got, want)
		}
	}
	again, report, err := tenants.Prepare(t.Context(), client)
	if err != nil || len(report.Created) != 0 || len(again.Mappings) != 55 {
		t.Errorf("a further run created %v, %v", report.Created, err)
	}
}

// TestWhatIsCreatedIsAsTheCatalogueSays: each property that the catalogue lets us
// create is in the group, under its label, of its type, with the field that
// HubSpot shows for it and its options.
func TestWhatIsCreatedIsAsTheCatalogueSays(t *testing.T) {
	t.Parallel()
	client := portal(t)
	if _, _, err := tenants.Prepare(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	definitions, err := client.Properties(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made := make(map[string]hubspot.Definition)
	for _, d := range definitions {
		made[d.Name] = d
	}
	form := map[contact.Type][2]string{
		contact.Text: {"string", "text"}, contact.Multiline: {"string", "textarea"}, contact.Phone: {"string", "phonenumber"}, contact.Number: {"number", "number"},
		contact.Date: {"date", "date"}, contact.Datetime: {"datetime", "date"}, contact.Checkbox: {"bool", "booleancheckbox"}, contact.Option: {"enumeration", "select"},
	}
	created := 0
	for _, row := range mapping.Catalogue() {
		if !row.Create {
			continue
		}
		created++
		d, want := made[row.HubSpot], form[row.Type]
		if d.Group != "aloware" || d.Label != row.HubSpotLabel || d.Own || [2]string{d.Type, d.FieldType} != want {
			t.Errorf("%s is %+v, want a %v in the group aloware, named %q", row.HubSpot, d, want, row.HubSpotLabel)
		}
		var options []string
		for _, choice := range d.Options {
			options = append(options, choice.Value)
		}
		if row.Type == contact.Option && !slices.Equal(options, row.Options) {
			t.Errorf("%s has the options %v, want %v", row.HubSpot, options, row.Options)
		}
	}
	if created < 32 {
		t.Errorf("%d properties are ours to create", created)
	}
}

// TestPreparingLeavesAnIncompatiblePropertyAlone, and says why its mapping rests.
func TestPreparingLeavesAnIncompatiblePropertyAlone(t *testing.T) {
	t.Parallel()
	client := portal(t)
	if err := client.CreateGroup(t.Context(), "mine", "Mine"); err != nil {
		t.Fatal(err)
	}
	mine := hubspot.Definition{Name: "aloware_total_inbound_calls", Label: "Mine", Type: "date", FieldType: "date", Group: "mine"}
	if err := client.CreateProperty(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	set, report, err := tenants.Prepare(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Incompatible) != 1 || report.Incompatible["total_inbound_calls"] == "" || report.Used["total_inbound_calls"] != "" {
		t.Errorf("the report is %+v, want that one alone, with a reason", report.Incompatible)
	}
	if got := set.ByKey("total_inbound_calls").HubSpot; got != mine.Name {
		t.Errorf("the mapping uses %q; it must rest on its own property", got)
	}
}

// full is a portal that may have only a few custom properties more.
type full struct{ tenants.Schema }

func (full) PropertyLimit(context.Context) (hubspot.PropertyLimit, error) {
	return hubspot.PropertyLimit{Limit: 1000, Usage: 990}, nil
}

func (full) CreateGroup(context.Context, string, string) error {
	panic("something is created in a portal that has no room for all")
}

// TestNothingIsCreatedWithoutRoomForAll: the limit of custom properties is
// looked at first, and the refusal says how many are needed.
func TestNothingIsCreatedWithoutRoomForAll(t *testing.T) {
	t.Parallel()
	_, _, err := tenants.Prepare(t.Context(), full{portal(t)})
	var refused *mapping.Refusal
	if !errors.As(err, &refused) || refused.Rule != "property_limit" || !strings.Contains(refused.Message, "needs 40 more") {
		t.Errorf("got %v, want a refusal that says how many are needed", err)
	}
}
