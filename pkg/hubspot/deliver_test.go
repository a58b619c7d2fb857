package hubspot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
)

// inputsOf are the inputs of a batch call.
func inputsOf(body map[string]any) []map[string]any {
	var inputs []map[string]any
	list, _ := body["inputs"].([]any)
	for _, item := range list {
		inputs = append(inputs, item.(map[string]any))
	}
	return inputs
}

func resultOf(id string, properties any) map[string]any {
	return map[string]any{"id": id, "properties": properties, "updatedAt": "2026-11-23T12:00:00.250Z"}
}

// TestRefusalsThatNameNoContact: forms of a refused batch that HubSpot gives
// without saying which input it means, or which property.
func TestRefusalsThatNameNoContact(t *testing.T) {
	t.Parallel()
	invalid := func(message string) map[string]any {
		return map[string]any{"status": "error", "category": "VALIDATION_ERROR", "message": message}
	}
	for name, refusal := range map[string]map[string]any{
		"list in the message": invalid(`Property values were not valid: [{"isValid":false,"message":"bad was not one of the allowed options","error":"INVALID_OPTION","name":"color"}]`),
		"details only": {"category": "VALIDATION_ERROR", "message": "invalid", "errors": []any{
			map[string]any{"code": "INVALID_OPTION", "message": "bad was not one of the allowed options", "context": map[string]any{"propertyName": []string{"color"}}}}},
		"rule that the value triggers": {"category": "VALIDATION_ERROR", "message": "The property values provided are invalid", "errors": []any{
			map[string]any{"code": "INVALID_OPTION", "message": "shade is required because of a conditional property rule based on [color]", "context": map[string]any{"propertyName": []string{"shade"}}}}},
		"nothing named": invalid("something in it is wrong"),
	} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, whole batch %t", name, whole), func(t *testing.T) {
				t.Parallel()
				calls := 0
				client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
					calls++
					var results []any
					bad := 0
					for _, input := range inputsOf(bodyOf(t, r)) {
						properties := input["properties"].(map[string]any)
						if properties["color"] == "bad" {
							bad++
							continue
						}
						results = append(results, resultOf(input["id"].(string), properties))
					}
					switch {
					case bad > 0 && whole:
						answerJSON(w, 400, refusal)
					case bad > 0:
						answerJSON(w, 207, map[string]any{"results": results, "numErrors": 1, "errors": []any{refusal}})
					default:
						answerJSON(w, 200, map[string]any{"results": results})
					}
				})
				d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
				var patches []contact.Patch
				for i := range 20 {
					patches = append(patches, write(fmt.Sprint(500+i), "a", "1", "b", "2", "color", "good", "c", "3"))
				}
				patches[13].Properties[2].Value = "bad"
				patches[17].Properties[2].Value = "bad"
				for i, got := range d.Deliver(context.Background(), patches) {
					if got.Err != nil || got.Outcome.Result != contact.Written {
						t.Fatalf("patch %d: %+v", i, got)
					}
					for n, property := range got.Outcome.Properties {
						refused := n == 2 && (i == 13 || i == 17)
						if (property.Refusal != nil) != refused {
							t.Errorf("patch %d %s: refusal %+v", i, property.Name, property.Refusal)
						}
						if property.Refusal != nil && name != "nothing named" && property.Refusal.Reason != "INVALID_OPTION" {
							t.Errorf("patch %d: reason %s", i, property.Refusal.Reason)
						}
					}
				}
				if calls > 30 {
					t.Errorf("%d calls", calls)
				}
				t.Logf("%d calls", calls)
			})
		}
	}
}

// TestAnswersThatContradict: what HubSpot holds instead of the written value is
// reported, what only looks different is not.
func TestAnswersThatContradict(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, map[string]any{"results": []any{resultOf("501", map[string]any{
			"city": "OSLO", "phone": "(415) 555-0101", "date_of_birth": "946684800000", "hs_lead_status": "B;A", "company": nil,
		})}})
	})
	d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
	got := d.Deliver(context.Background(), []contact.Patch{write("501", "city", "Oslo", "phone", "+14155550101", "date_of_birth", "2000-01-01", "hs_lead_status", "A;B", "company", "", "zip", "1")})
	o := got[0].Outcome
	if got[0].Err != nil || o.Result != contact.Written || len(o.Holds) != 1 || o.Holds[0].Name != "city" || o.Holds[0].Text != "OSLO" {
		t.Errorf("%+v %v", o, got[0].Err)
	}
	if o.AppliedAt != 1795435200250 || o.Precision != 0 {
		t.Errorf("applied at %d", o.AppliedAt)
	}
}

// TestSilentAnswers: results that are missing without a word lead to a read,
// and never to an endless one.
func TestSilentAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   any
		check  func(contact.Delivery) bool
	}{
		"gone":        {404, map[string]any{"message": "resource not found"}, func(d contact.Delivery) bool { return d.Outcome.Result == contact.Gone }},
		"still there": {200, resultOf("501", map[string]any{}), func(d contact.Delivery) bool { return fault.Is(d.Err, fault.Transient) }},
		"wrong route": {404, nil, func(d contact.Delivery) bool { return fault.Is(d.Err, fault.Transient) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				switch {
				case r.Method == http.MethodPost:
					answerJSON(w, 200, map[string]any{"status": "COMPLETE", "results": []any{}})
				case c.body == nil:
					http.NotFound(w, r)
				default:
					answerJSON(w, c.status, c.body)
				}
			})
			d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
			if got := d.Deliver(context.Background(), []contact.Patch{write("501", "city", "Oslo")}); !c.check(got[0]) {
				t.Errorf("%+v", got[0])
			}
			if calls > 10 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

// TestCreatedContactsAreMatchedWithoutTrace: results of a create come back
// shuffled and without the trace.
func TestCreatedContactsAreMatchedWithoutTrace(t *testing.T) {
	t.Parallel()
	for _, keyed := range []bool{true, false} {
		client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body := bodyOf(t, r)
			switch {
			case strings.HasSuffix(r.URL.Path, "/upsert") && !keyed:
				answerJSON(w, 400, map[string]any{"category": "VALIDATION_ERROR", "message": "Unable to perform update/upsert by non-unique 0-1 property lockstep_contact_key in portal ID 1"})
			case strings.HasSuffix(r.URL.Path, "/upsert"), strings.HasSuffix(r.URL.Path, "/create"):
				var results []any
				for _, input := range inputsOf(body) {
					properties := input["properties"].(map[string]any)
					if keyed {
						properties[hubspot.KeyProperty] = input["id"]
					}
					results = append(results, resultOf("9"+strings.TrimPrefix(properties["firstname"].(string), "P"), properties))
				}
				slices.Reverse(results)
				answerJSON(w, 201, map[string]any{"results": results})
			default:
				answerJSON(w, 200, map[string]any{"results": []any{}})
			}
		})
		d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
		var patches []contact.Patch
		for i := range 5 {
			email := fmt.Sprintf("p%d@example.com", i)
			patches = append(patches, create(fmt.Sprint(i), email, "", true, "firstname", fmt.Sprint("P", i), "email", email))
		}
		for i, got := range d.Deliver(context.Background(), patches) {
			if got.Err != nil || got.Outcome.Result != contact.Made || got.Outcome.TargetID != fmt.Sprint("9", i) {
				t.Errorf("key property %t, patch %d: %+v", keyed, i, got)
			}
		}
	}
}

// TestNumbersAreSoughtTogetherOnlyWhereThatWorks: the operator IN is relied on
// only in a portal that was seen to honour it for calculated numbers.
func TestNumbersAreSoughtTogetherOnlyWhereThatWorks(t *testing.T) {
	t.Parallel()
	for _, honoured := range []bool{true, false} {
		longest := 0
		client, budget := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body := bodyOf(t, r)
			raw, _ := json.Marshal(body)
			longest = max(longest, len(raw))
			text := string(raw)
			var results []any
			for i := range 30 {
				national := fmt.Sprintf("41555501%02d", i)
				properties := map[string]any{"phone": "415.555.01" + national[8:], "hs_searchable_calculated_phone_number": national}
				hit := strings.HasSuffix(r.URL.Path, "/batch/read") && strings.Contains(text, fmt.Sprintf(`"id":"%d"`, 700+i)) ||
					strings.Contains(text, "HAS_PROPERTY") && i < 5 ||
					strings.Contains(text, `"operator":"EQ","propertyName":"hs_searchable_calculated_phone_number","value":"`+national+`"`) ||
					honoured && strings.Contains(text, `"`+national+`"`)
				if hit {
					results = append(results, resultOf(fmt.Sprint(700+i), properties))
				}
			}
			answerJSON(w, 200, map[string]any{"results": results})
		})
		budget.eager = true
		d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
		var patches []contact.Patch
		for i := range 30 {
			patches = append(patches, create(fmt.Sprint(i), "", fmt.Sprintf("+141555501%02d", i), true))
		}
		for i, got := range d.Deliver(context.Background(), patches) {
			if got.Err != nil || got.Outcome.Result != contact.Written || got.Outcome.TargetID != fmt.Sprint(700+i) {
				t.Errorf("honoured %t, patch %d: %+v", honoured, i, got)
			}
		}
		want := 2 + 30
		if honoured {
			want = 2 + 3
		}
		if _, search := budget.calls(); search != want {
			t.Errorf("honoured %t: %d searches, want %d", honoured, search, want)
		}
		if longest > 3000 {
			t.Errorf("a search body of %d characters", longest)
		}
	}
}

// TestNumbersAreSoughtTogetherOnceThePortalHasSome: a delivery that begins while
// the portal is empty does not seek all of its numbers one by one.
func TestNumbersAreSoughtTogetherOnceThePortalHasSome(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64 // seconds, one with each search
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := json.Marshal(bodyOf(t, r))
		var results []any
		if strings.HasSuffix(r.URL.Path, "/search") && passed.Add(1) > 6 && strings.Contains(string(raw), "4155550100") || strings.Contains(string(raw), "HAS_PROPERTY") && passed.Load() > 6 {
			results = append(results, resultOf("700", map[string]any{"phone": "415.555.0100", "hs_searchable_calculated_phone_number": "4155550100"}))
		}
		answerJSON(w, 200, map[string]any{"results": results})
	}))
	defer server.Close()
	begin := time.Now()
	budget := &ledger{eager: true}
	client := hubspot.NewClient(hubspot.ClientConfig{
		BaseURL: server.URL, Token: hubspot.StaticToken("t"), Budget: budget, Timeout: 5 * time.Second,
		Now: func() time.Time { return begin.Add(time.Duration(passed.Load()) * time.Second) },
	})
	d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
	var patches []contact.Patch
	for i := range 90 {
		patches = append(patches, create(fmt.Sprint(i), "", fmt.Sprintf("+14155550%03d", 110+i), true))
	}
	d.Deliver(context.Background(), patches)
	if _, search := budget.calls(); search < 90/12 || search > 15 {
		t.Errorf("%d searches for 90 numbers, of which few were sought before the portal had any", search)
	}
}

func BenchmarkDeliverUpdates(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Inputs []struct {
				ID string `json:"id"`
			} `json:"inputs"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"COMPLETE","results":[`)
		for i, input := range body.Inputs {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = io.WriteString(w, `{"id":"`+input.ID+`","properties":{"hs_object_id":"`+input.ID+`","lastmodifieddate":"2026-11-23T12:00:00.250Z"},"updatedAt":"2026-11-23T12:00:00.250Z"}`)
		}
		_, _ = io.WriteString(w, `]}`)
	}))
	defer server.Close()
	client := hubspot.NewClient(hubspot.ClientConfig{BaseURL: server.URL, Token: hubspot.StaticToken("t"), Budget: &ledger{}})
	d := hubspot.NewDestination(client, hubspot.DestinationConfig{Tenant: "t"})
	var patches []contact.Patch
	for i := range 100 {
		patch := write(fmt.Sprint(171591000198 + i))
		for n := range 12 {
			patch.Properties = append(patch.Properties, contact.Property{Name: fmt.Sprint("property_", n), Type: contact.Text, Value: "some value"})
		}
		patches = append(patches, patch)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, got := range d.Deliver(context.Background(), patches) {
			if got.Err != nil {
				b.Fatal(got.Err)
			}
		}
	}
}
