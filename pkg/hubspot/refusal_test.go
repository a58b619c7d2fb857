package hubspot_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
)

type errorSample struct {
	Name    string
	Status  int
	Body    json.RawMessage
	Headers map[string]string
}

func (s errorSample) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	for name, value := range s.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(s.Status)
	var page string
	if json.Unmarshal(s.Body, &page) == nil {
		_, _ = w.Write([]byte(page))
		return
	}
	_, _ = w.Write(s.Body)
}

// TestEveryErrorHasItsClass reads each known error body through the client.
func TestEveryErrorHasItsClass(t *testing.T) {
	t.Parallel()
	type want struct {
		class  fault.Class
		reason string
		scope  string
		wait   time.Duration
	}
	invalid := want{fault.Permanent, "VALIDATION_ERROR", "", 0}
	wants := map[string]want{
		"no or unknown credentials":                               {fault.Unauthorized, "INVALID_AUTHENTICATION", "", 0},
		"expired access token":                                    {fault.Unauthorized, "EXPIRED_AUTHENTICATION", "", 0},
		"missing scope (newer)":                                   {fault.Permanent, "MISSING_SCOPES", "", 0},
		"missing scope (older / some endpoints)":                  {fault.Permanent, "MISSING_SCOPES", "", 0},
		"oauth BAD_REFRESH_TOKEN":                                 {fault.Permanent, "BAD_REFRESH_TOKEN", "", 0},
		"oauth BAD_CLIENT_ID":                                     {fault.Permanent, "BAD_CLIENT_ID", "", 0},
		"oauth BAD_AUTH_CODE":                                     {fault.Permanent, "BAD_AUTH_CODE", "", 0},
		"oauth BAD_HUB":                                           {fault.Permanent, "BAD_HUB", "", 0},
		"contact not found, numeric id":                           {fault.Gone, "404", "", 0},
		"contact not found, non-numeric id or failed lookup":      {fault.Gone, "OBJECT_NOT_FOUND", "", 0},
		"unknown route or unknown object path":                    {fault.Transient, "NO_SUCH_ROUTE", "", 0},
		"unknown object type in search":                           {fault.Permanent, "400", "", 0},
		"duplicate email on create":                               {fault.Permanent, "CONFLICT", "", 0},
		"duplicate email, text without id (batch)":                {fault.Permanent, "CONFLICT", "", 0},
		"duplicate email, variant with detail":                    {fault.Permanent, "OBJECT_ALREADY_EXISTS", "", 0},
		"unknown property":                                        invalid,
		"read-only property":                                      invalid,
		"calculated property":                                     invalid,
		"bad option":                                              invalid,
		"bad email":                                               invalid,
		"date not at midnight (before 2026-09)":                   invalid,
		"bad datetime or number text":                             invalid,
		"bad owner":                                               invalid,
		"unique custom property already used":                     invalid,
		"2026-09 conditional required property":                   invalid,
		"2026-09 record creator requirement":                      invalid,
		"2026-09 association permission (user-level tokens only)": invalid,
		"malformed JSON":                                          {fault.Permanent, "400", "", 0},
		"batch over 100":                                          invalid,
		"duplicate ids in batch update":                           invalid,
		"batch update/upsert by a non-unique property":            invalid,
		"too many filters in a group":                             invalid,
		"search beyond 10,000":                                    invalid,
		"property create, name exists":                            {fault.Permanent, "OBJECT_ALREADY_EXISTS", "", 0},
		"property create, enumeration without options":            {fault.Permanent, "PROPERTY_INVALID", "", 0},
		"property create, wrong type/fieldType pair":              {fault.Permanent, "PROPERTY_INVALID", "", 0},
		"property create, bool without true/false options":        invalid,
		"property read, unknown name":                             {fault.Gone, "OBJECT_NOT_FOUND", "", 0},
		"property archive, in use by a calculation":               invalid,
		"group archive with active properties":                    invalid,
		"sensitive property create without scope":                 {fault.Permanent, "MISSING_SCOPES", "", 0},
		"rate limit, ten-second window":                           {fault.Throttled, "TEN_SECONDLY_ROLLING", "", 10 * time.Second},
		"rate limit, daily":                                       {fault.Throttled, "DAILY", "daily", 15 * time.Minute},
		"rate limit, search (older form)":                         {fault.Throttled, "SECONDLY", "search", time.Second},
		"rate limit, search (newer form)":                         {fault.Throttled, "RATE_LIMITS", "search", time.Second},
		"lock":                                                    {fault.Transient, "LOCKED", "", 2 * time.Second},
		"account migration between data centres":                  {fault.Throttled, "MIGRATION_IN_PROGRESS", "", 24 * time.Hour},
		"timeout at the edge":                                     {fault.Transient, "524", "", 0},
	}
	var samples []errorSample
	loadJSON(t, "errors.json", &samples)
	for _, sample := range samples {
		if sample.Status == http.StatusMultiStatus {
			continue // read as an answer, see the tests of Deliver
		}
		t.Run(sample.Name, func(t *testing.T) {
			t.Parallel()
			want, known := wants[sample.Name]
			if !known {
				t.Fatal("no expectation for this sample")
			}
			client, budget := serve(t, func(w http.ResponseWriter, _ *http.Request) { sample.write(w) })
			var err error
			if want.scope == "search" {
				_, _, _, err = client.ChangedSince(context.Background(), time.Now(), "", nil)
			} else {
				_, err = client.Account(context.Background())
			}
			if err == nil {
				t.Fatal("no error")
			}
			got := fault.As(err)
			if got.Class != want.class || got.Reason != want.reason || got.Scope != want.scope || got.Wait != want.wait || got.Status != sample.Status {
				t.Errorf("got %s %s %q wait %s HTTP %d, want %+v", got.Class, got.Reason, got.Scope, got.Wait, got.Status, want)
			}
			told := budget.last(t)
			if told.Throttled != (want.class == fault.Throttled) || told.Wait != 0 && told.Wait != want.wait || told.Scope != want.scope {
				t.Errorf("budget was told %+v", told)
			}
			for _, secret := range []string{"secret-token", "a@example.com", "not-an-email"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error text holds %q: %s", secret, err)
				}
			}
			if strings.HasPrefix(sample.Name, "missing scope") && !strings.Contains(got.Message, "crm.") {
				t.Errorf("message does not name the scope: %s", got.Message)
			}
		})
	}
}

// TestHeadersReachTheBudget: what HubSpot tells of its limits is passed on.
func TestHeadersReachTheBudget(t *testing.T) {
	t.Parallel()
	client, budget := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{"Max": "190", "Remaining": "17", "Daily": "625000", "Daily-Remaining": "3"} {
			w.Header().Set("X-HubSpot-RateLimit-"+name, value)
		}
		answerJSON(w, 200, map[string]any{"portalId": 2002, "timeZone": "US/Eastern"})
	})
	account, err := client.Account(context.Background())
	if err != nil || account.PortalID != 2002 || account.TimeZone != "US/Eastern" {
		t.Fatalf("account %+v, %v", account, err)
	}
	told := budget.last(t)
	if !told.HasWindow || told.WindowMax != 190 || told.WindowLeft != 17 || !told.HasDaily || told.DailyMax != 625000 || told.DailyLeft != 3 {
		t.Errorf("budget was told %+v", told)
	}
}

// TestCutConnections: what could be repeated is transient, a plain create
// without an answer is unknown.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/batch/upsert"):
			answerJSON(w, 400, map[string]any{"message": "Property lockstep_contact_key does not exist", "category": "VALIDATION_ERROR"})
		case strings.HasSuffix(r.URL.Path, "/batch/read"):
			answerJSON(w, 200, map[string]any{"results": []any{}})
		default:
			panic(http.ErrAbortHandler)
		}
	}
	client, _ := serve(t, cut)
	if _, err := client.Account(context.Background()); !fault.Is(err, fault.Transient) {
		t.Errorf("read: got %v, want transient", err)
	}
	d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
	got := d.Deliver(context.Background(), []contact.Patch{
		{Contact: "aloware:1", Version: 1, TargetID: "501", Properties: []contact.Property{{Name: "city", Type: contact.Text, Value: "Oslo", Version: 1}}},
		{Contact: "aloware:2", Version: 1, Create: &contact.Create{Email: "a@example.com", MayCreate: true}, Properties: []contact.Property{{Name: "email", Type: contact.Email, Value: "a@example.com", Version: 1}}},
	})
	if !fault.Is(got[0].Err, fault.Transient) {
		t.Errorf("update: got %v, want transient", got[0].Err)
	}
	if !fault.Is(got[1].Err, fault.Unknown) {
		t.Errorf("create: got %v, want unknown", got[1].Err)
	}
	if got[1].Err != nil && strings.Contains(got[1].Err.Error(), "example.com") {
		t.Errorf("error text holds contact data: %v", got[1].Err)
	}
}

// TestNothingIsSentWithoutATicket: a budget that refuses stops the call.
func TestNothingIsSentWithoutATicket(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("called") })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Account(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}
