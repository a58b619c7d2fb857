package console_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/quota"
	"lockstep.internal/services/console"
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
	console.Portal
	left int
}

var errCut = errors.New("the connection was cut")

func (b *breaking) CreateProperty(ctx context.Context, d hubspot.Definition) error {
	if b.left--; b.left < 0 {
		return errCut
	}
	return b.Portal.CreateProperty(ctx, d)
}

// TestConnectPreparesAPortal: all 55 mappings have a property, under the
// portal's own names, also after a run that was broken off; a further run
// changes nothing.
func TestConnectPreparesAPortal(t *testing.T) {
	t.Parallel()
	client := portal(t)
	if _, _, err := console.Connect(t.Context(), &breaking{client, 7}); !errors.Is(err, errCut) {
		t.Fatalf("the broken run gave %v", err)
	}
	set, report, err := console.Connect(t.Context(), client)
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
	again, report, err := console.Connect(t.Context(), client)
	if err != nil || len(report.Created) != 0 || len(again.Mappings) != 55 {
		t.Errorf("a further run created %v, %v", report.Created, err)
	}
}

// TestConnectLeavesAnIncompatiblePropertyAlone, and says why its mapping rests.
func TestConnectLeavesAnIncompatiblePropertyAlone(t *testing.T) {
	t.Parallel()
	client := portal(t)
	if err := client.CreateGroup(t.Context(), "mine", "Mine"); err != nil {
		t.Fatal(err)
	}
	mine := hubspot.Definition{Name: "aloware_total_inbound_calls", Label: "Mine", Type: "date", FieldType: "date", Group: "mine"}
	if err := client.CreateProperty(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	set, report, err := console.Connect(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	m := set.ByKey("total_inbound_calls")
	if m.Stopped == "" || report.Incompatible["total_inbound_calls"] == "" {
		t.Errorf("the mapping is %+v, the report %q; want it at rest with a reason", m, report.Incompatible["total_inbound_calls"])
	}
	rest := 0
	for _, row := range mapping.Catalogue() {
		if set.ByKey(row.Key).Stopped != "" {
			rest++
		}
	}
	if rest != 1 {
		t.Errorf("%d mappings rest, want that one alone", rest)
	}
}
