package hubspotsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

func (b *bench) search(body string) answer {
	b.t.Helper()
	b.sim.limits.mu.Lock()
	b.sim.limits.searches = nil // the tests of search are not about its rate
	b.sim.limits.mu.Unlock()
	return b.do("POST", contactsPath+"/search", body)
}

func TestSearchOperators(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.make(props{"firstname": "Ada", "email": "ada@example.com", "lifecyclestage": "lead", "closedate": "2026-01-01T00:00:00Z"})
	b.make(props{"firstname": "Bob", "email": "bob@example.com", "lifecyclestage": "customer", "city": "Oslo"})
	b.make(props{"firstname": "Cleo", "email": "cleo@test.example", "lifecyclestage": "customer", "phone": "+12025550100"})
	for _, c := range []struct {
		filter string
		want   float64
	}{
		{`{"propertyName":"firstname","operator":"EQ","value":"ADA"}`, 1},
		{`{"propertyName":"email","operator":"EQ","value":"ADA@example.com"}`, 1},
		{`{"propertyName":"firstname","operator":"NEQ","value":"ada"}`, 2},
		{`{"propertyName":"firstname","operator":"IN","values":["ada","bob"]}`, 2},
		{`{"propertyName":"firstname","operator":"IN","values":["Ada"]}`, 0},
		{`{"propertyName":"firstname","operator":"NOT_IN","values":["ada"]}`, 2},
		{`{"propertyName":"lifecyclestage","operator":"EQ","value":"customer"}`, 2},
		{`{"propertyName":"lifecyclestage","operator":"EQ","value":"Customer"}`, 0},
		{`{"propertyName":"hs_searchable_calculated_phone_number","operator":"EQ","value":"2025550100"}`, 1},
		{`{"propertyName":"hs_searchable_calculated_phone_number","operator":"EQ","value":"+12025550100"}`, 0},
		{`{"propertyName":"city","operator":"HAS_PROPERTY"}`, 1},
		{`{"propertyName":"city","operator":"NOT_HAS_PROPERTY"}`, 2},
		{`{"propertyName":"email","operator":"CONTAINS_TOKEN","value":"*@example.com"}`, 2},
		{`{"propertyName":"email","operator":"NOT_CONTAINS_TOKEN","value":"test"}`, 2},
		{`{"propertyName":"closedate","operator":"GTE","value":1767225600000}`, 1},
		{`{"propertyName":"closedate","operator":"BETWEEN","value":"2025-12-31T23:00:00+00:00","highValue":"2026-02-01"}`, 1},
		{`{"propertyName":"lastmodifieddate","operator":"GT","value":"1000"}`, 3},
		{`{"propertyName":"hs_lastmodifieddate","operator":"GT","value":"1000"}`, 0},
	} {
		a := b.search(`{"filterGroups":[{"filters":[`+c.filter+`]}]}`).want(t, 200)
		if a.at("total") != c.want {
			t.Errorf("%s: total %v, want %v", c.filter, a.at("total"), c.want)
		}
	}
	if a := b.search(`{"query":"oslo"}`).want(t, 200); a.at("total") != 0.0 {
		t.Errorf("query looked into city: %s", a.text)
	}
	if a := b.search(`{"query":"CLEO 2025550"}`).want(t, 200); a.at("total") != 1.0 {
		t.Errorf("query gave %s", a.text)
	}
	a := b.search(`{"sorts":[{"propertyName":"firstname","direction":"DESCENDING"}],"limit":"2"}`).want(t, 200)
	if a.at("results", 0, "properties", "firstname") != "Cleo" || a.at("paging", "next", "after") != "2" || a.at("paging", "next", "link") != nil {
		t.Errorf("sorted %s", a.text)
	}
	a = b.search(`{"sorts":["-firstname"],"limit":2,"after":2}`).want(t, 200)
	if a.at("results", 0, "properties", "firstname") != "Ada" || a.at("paging") != nil {
		t.Errorf("second page %s", a.text)
	}
	b.search(`{"filterGroups":[{"filters":[{"propertyName":"lastmodifieddate","operator":"GT","value":0}]}]}`).want(t, 500)
	b.search(`{"sorts":["firstname","lastname"]}`).want(t, 400)
	b.search(`{"limit":201}`).want(t, 400)
	b.search(fmt.Sprintf(`{"query":"%03000d"}`, 1)).want(t, 400)
}

func TestSearchLagsBehindTheStore(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, Config{SearchLag: 10 * time.Second, Now: c.now})
	total := func(filter string) float64 {
		t.Helper()
		return b.search(`{"filterGroups":[{"filters":[`+filter+`]}]}`).want(t, 200).at("total").(float64)
	}
	var ids []string
	for i := range 40 {
		ids = append(ids, b.make(props{"firstname": "Lag", "email": fmt.Sprintf("lag%d@example.com", i)}))
	}
	const lag, moved = `{"propertyName":"firstname","operator":"EQ","value":"lag"}`, `{"propertyName":"firstname","operator":"EQ","value":"moved"}`
	if n := total(lag); n > 5 {
		t.Errorf("%v of 40 were visible at once", n)
	}
	c.move(5 * time.Second)
	if n := total(lag); n < 5 || n > 35 {
		t.Errorf("%v of 40 were visible half-way", n)
	}
	c.move(5 * time.Second)
	if n := total(lag); n != 40 {
		t.Errorf("%v of 40 were visible after the lag", n)
	}
	b.do("PATCH", contactsPath+"/"+ids[0], `{"properties":{"firstname":"Moved","email":"moved@example.com"}}`).want(t, 200)
	b.do("DELETE", contactsPath+"/"+ids[1], nil).want(t, 204)
	if n := total(lag) + total(moved); n != 40 {
		t.Errorf("old state and new state together show %v contacts, want 40", n)
	}
	c.move(10 * time.Second)
	if total(lag) != 38 || total(moved) != 1 || total(`{"propertyName":"email","operator":"EQ","value":"lag0@example.com"}`) != 0 {
		t.Error("the change and the deletion are not visible after the lag")
	}
}

func TestSearchStopsAtTenThousand(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.do("POST", "/_sim/load", `{"contacts":10050,"seed":1}`).want(t, 200)
	a := b.search(`{"limit":200,"after":"9800"}`).want(t, 200)
	if a.at("total") != 10050.0 || a.at("paging", "next", "after") != "10000" {
		t.Errorf("total %v, next %v", a.at("total"), a.at("paging"))
	}
	b.search(`{"limit":200,"after":"10000"}`).want(t, 400)
}

// TestSearchPagesInTheOrderAskedFor: the pages of a sorted search put together
// are all that matches, in order, and contacts that compare the same stay in the
// order of their creation.
func TestSearchPagesInTheOrderAskedFor(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, Config{Now: c.now})
	var want []string
	for i := range 30 {
		b.make(props{"firstname": "Page", "city": fmt.Sprint(i * 7 % 10), "email": fmt.Sprintf("page%d@example.com", i)})
	}
	for town := 9; town >= 0; town-- {
		for i := range 30 {
			if i*7%10 == town {
				want = append(want, fmt.Sprintf("page%d@example.com", i))
			}
		}
	}
	var got []string
	for after := 0; after < 30; after += 7 {
		a := b.search(fmt.Sprintf(`{"filterGroups":[{"filters":[{"propertyName":"firstname","operator":"EQ","value":"page"}]}],"sorts":["-city"],"properties":["email"],"limit":7,"after":%d}`, after)).want(t, 200)
		if a.at("total") != 30.0 {
			t.Errorf("total %v, want 30", a.at("total"))
		}
		for _, r := range a.at("results").([]any) {
			got = append(got, r.(map[string]any)["properties"].(map[string]any)["email"].(string))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("in pages %v, want %v", got, want)
	}
}

// BenchmarkChangedSince is one page of a poll for what changed, in a portal of
// 100,000 contacts of which a tenth did.
func BenchmarkChangedSince(b *testing.B) {
	c := newClock()
	sim, err := New(Config{SearchLag: -1, Latency: -1, Now: c.now})
	if err != nil {
		b.Fatal(err)
	}
	e := emitter{st: sim.store, r: &record{}}
	sim.store.load(loadOrder{Contacts: 90_000, Seed: 1, First: 1, At: 1_000_000}, &e)
	for i := range 10_000 {
		sim.store.load(loadOrder{Contacts: 1, Seed: 2, From: i, First: int64(90_001 + i), At: int64(2_000_000 + i)}, &e)
	}
	req := searchRequest{
		Groups: []filterGroup{{Filters: []filter{{Property: "lastmodifieddate", Operator: "GTE", Value: "2000000"}}}},
		Sorts:  []json.RawMessage{json.RawMessage(`{"propertyName":"lastmodifieddate","direction":"ASCENDING"}`)}, Limit: "200",
	}
	for b.Loop() {
		if found, total, _, f := sim.store.search(&req, 3_000_000); f != nil || len(found) != 200 || total != 10_000 {
			b.Fatalf("found %d of %d, %v", len(found), total, f)
		}
	}
}
