package hubspot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/hubspot/hubspotsim"
)

// portal is a simulated HubSpot on a real socket, with a client, a budget and
// a destination for it.
type portal struct {
	t      *testing.T
	url    string
	client *hubspot.Client
	budget *ledger
	d      *hubspot.Destination
}

func newPortal(t *testing.T, config hubspotsim.Config) *portal {
	t.Helper()
	if config.SearchLag == 0 {
		config.SearchLag = -1
	}
	config.Latency = -1
	sim, err := hubspotsim.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- sim.Run(ctx) }()
	t.Cleanup(func() { stop(); <-stopped; server.Close() })
	p := &portal{t: t, url: server.URL, budget: &ledger{}}
	p.client = hubspot.NewClient(hubspot.ClientConfig{BaseURL: server.URL, Token: hubspot.StaticToken("demo-hubspot-token"), Budget: p.budget, AppID: 1001})
	p.d = hubspot.NewDestination(p.client, hubspot.DestinationConfig{Tenant: "acme"})
	return p
}

// withKey creates the unique property, as connecting a portal does.
func (p *portal) withKey() *portal {
	p.t.Helper()
	if err := p.client.CreateGroup(context.Background(), "aloware", "Aloware"); err != nil {
		p.t.Fatal(err)
	}
	if err := p.client.CreateProperty(context.Background(), hubspot.KeyDefinition("aloware")); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// control makes a control call of the simulator.
func (p *portal) control(path string, body any) map[string]any {
	p.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.Post(p.url+"/_sim/"+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		p.t.Fatalf("_sim/%s: %d %s %v", path, response.StatusCode, answer, err)
	}
	var got map[string]any
	_ = json.Unmarshal(answer, &got)
	return got
}

// person makes a contact, or edits the one named by id, as a person.
func (p *portal) person(id string, pairs ...string) string {
	p.t.Helper()
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return p.control("edit", map[string]any{"id": id, "properties": values})["id"].(string)
}

// holds is a contact as it stands; nil when it is not active.
func (p *portal) holds(id string) map[string]string {
	p.t.Helper()
	response, err := http.Get(p.url + "/_sim/contacts?id=" + id)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return nil
	}
	var got map[string]string
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		p.t.Fatal(err)
	}
	return got
}

func (p *portal) deliver(patches ...contact.Patch) []contact.Delivery {
	return p.d.Deliver(context.Background(), patches)
}

// list lists all contacts of the portal, for bulk patches.
func (p *portal) list() {
	p.t.Helper()
	ids := map[string][]string{}
	for after, more := "", true; more; more = after != "" {
		page, next, err := p.client.WalkKeys(context.Background(), after)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, c := range page {
			for _, v := range c.Values {
				kind := contact.Phone
				if v.Name == "email" {
					kind = contact.Email
				}
				if key, err := contact.Canonical(kind, v.Text, "US"); err == nil && key != "" {
					ids[key] = append(ids[key], c.ID)
				}
			}
		}
		after = next
	}
	p.d = hubspot.NewDestination(p.client, hubspot.DestinationConfig{Tenant: "acme", Listed: func(_ context.Context, keys []string) (found []string, complete bool, err error) {
		for _, key := range keys {
			found = append(found, ids[key]...)
		}
		return found, true, nil
	}})
}

// calls is how many calls of a kind were made.
func (p *portal) calls(route string) (n int) {
	p.t.Helper()
	response, err := http.Get(p.url + "/_sim/stats")
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		ByRoute map[string]map[string]int `json:"by_route"`
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		p.t.Fatal(err)
	}
	for _, count := range got.ByRoute[route] {
		n += count
	}
	return n
}

// final delivers and fails the test on an error.
func (p *portal) final(patches ...contact.Patch) []contact.Outcome {
	p.t.Helper()
	var outcomes []contact.Outcome
	for i, d := range p.deliver(patches...) {
		if d.Err != nil {
			p.t.Fatalf("patch %d: %v", i, d.Err)
		}
		outcomes = append(outcomes, d.Outcome)
	}
	return outcomes
}

// write is a patch of text values for a known contact.
func write(id string, pairs ...string) contact.Patch {
	patch := contact.Patch{Contact: contact.Key("aloware:" + id), System: contact.HubSpot, Version: 7, TargetID: id}
	for i := 0; i < len(pairs); i += 2 {
		kind := contact.Text
		switch pairs[i] {
		case "email":
			kind = contact.Email
		case "phone", "mobilephone":
			kind = contact.Phone
		case "lifecyclestage", "hs_lead_status":
			kind = contact.Option
		case "date_of_birth":
			kind = contact.Date
		}
		patch.Properties = append(patch.Properties, contact.Property{Name: pairs[i], Type: kind, Value: pairs[i+1], Version: 5})
	}
	return patch
}

// create is a patch for a contact to be found or made.
func create(key, email, phone string, may bool, pairs ...string) contact.Patch {
	patch := write("", pairs...)
	patch.Contact = contact.Key("aloware:" + key)
	patch.Create = &contact.Create{Email: email, MayCreate: may}
	if phone != "" {
		patch.Create.Phones = []string{phone}
	}
	return patch
}

func TestOneBadAmongTenFailsAlone(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	var patches []contact.Patch
	for i := range 10 {
		id := p.person("", "email", fmt.Sprintf("c%d@example.com", i), "firstname", "Old")
		patches = append(patches, write(id, "firstname", "New", "city", "Oslo"))
	}
	patches[3].Properties = append(patches[3].Properties, write("", "hs_lead_status", "NO_SUCH").Properties...)
	patches[4].Properties = append(patches[4].Properties, write("", "no_such_property", "x", "hs_object_id", "5").Properties...)
	patches[5].Properties = append(patches[5].Properties, write("", "email", "c6@example.com").Properties...)
	patches[7].TargetID = "999999999999"
	outcomes := p.final(patches...)
	for i, o := range outcomes {
		if i == 7 {
			if o.Result != contact.Gone || o.Refusal == nil {
				t.Errorf("missing contact: got %+v", o)
			}
			continue
		}
		held := p.holds(patches[i].TargetID)
		if o.Result != contact.Written || held["firstname"] != "New" || held["city"] != "Oslo" {
			t.Errorf("patch %d: %+v holds %v", i, o, held)
		}
		if o.AppliedAt == 0 || o.Precision != 0 || o.Version != 7 || o.TargetID != patches[i].TargetID || len(o.Holds) != 0 || o.Attempts == 0 {
			t.Errorf("patch %d: outcome %+v", i, o)
		}
		refused := map[string]string{}
		for _, property := range o.Properties {
			if property.Version != 5 {
				t.Errorf("patch %d: property version %d", i, property.Version)
			}
			if property.Refusal != nil {
				refused[property.Name] = property.Refusal.Reason
				if property.Refusal.Message == "" {
					t.Errorf("patch %d: refusal of %s without HubSpot's words", i, property.Name)
				}
			}
		}
		want := map[int]string{3: "map[hs_lead_status:INVALID_OPTION]", 4: "map[hs_object_id:READ_ONLY_VALUE no_such_property:PROPERTY_DOESNT_EXIST]", 5: "map[email:CONFLICT]"}[i]
		if want == "" {
			want = "map[]"
		}
		if got := fmt.Sprint(refused); got != want {
			t.Errorf("patch %d: refused %s, want %s", i, got, want)
		}
	}
	if general, search := p.budget.calls(); general > 4 || search != 0 {
		t.Errorf("%d calls and %d searches, want at most 4 and 0", general, search)
	}
}

func TestAContactThatIsFoundIsReadInsteadOfWrittenWhereAReadIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	id := p.person("", "email", "ada@example.com", "lastname", "Lovelace")
	found := create("1", "ada@example.com", "", true, "email", "ada@example.com", "lastname", "L.", "city", "Oslo")
	made := create("2", "new@example.com", "", true, "email", "new@example.com", "lastname", "New")
	for _, patch := range []*contact.Patch{&found, &made} {
		patch.Fetch = &contact.Fetch{Properties: []string{"lastname", "city"}}
	}
	o := p.final(found, made)
	if held := p.holds(id); held["lastname"] != "Lovelace" || held["city"] != "" {
		t.Errorf("the contact that was found was changed to %v", held)
	}
	if o[0].Result != contact.Fetched || o[0].TargetID != id || len(o[0].Properties) != 0 || valueOf(o[0].Holds, "lastname").Text != "Lovelace" {
		t.Errorf("found: %+v", o[0])
	}
	if o[1].Result != contact.Made || len(o[1].Properties) != 2 || p.holds(o[1].TargetID)["lastname"] != "New" {
		t.Errorf("made: %+v", o[1])
	}
}

func TestMergedAwayContactLeadsToItsSurvivor(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	a, b := p.person("", "email", "a@example.com"), p.person("", "email", "b@example.com")
	other := p.person("", "email", "o@example.com")
	survivor := p.control("merge", map[string]any{"primary": a, "secondary": b})["id"].(string)
	outcomes := p.final(write(a, "city", "Oslo"), write(b, "state", "Viken"), write(other, "city", "Rome"),
		contact.Patch{Contact: "x", TargetID: b, Fetch: &contact.Fetch{Properties: []string{"city"}}})
	for i, o := range outcomes[:2] {
		if o.Result != contact.Written || o.TargetID != survivor || !slices.Contains(o.MergedIDs, []string{a, b}[i]) {
			t.Errorf("patch %d: %+v, want survivor %s", i, o, survivor)
		}
	}
	if held := p.holds(survivor); held["city"] != "Oslo" || held["state"] != "Viken" {
		t.Errorf("survivor holds %v", held)
	}
	if outcomes[2].TargetID != other || len(outcomes[2].MergedIDs) != 0 {
		t.Errorf("bystander: %+v", outcomes[2])
	}
	if o := outcomes[3]; o.Result != contact.Fetched || o.TargetID != survivor || valueOf(o.Holds, "city").Text != "Oslo" {
		t.Errorf("fetch: %+v", o)
	}
}

func valueOf(values []contact.Value, name string) contact.Value {
	for _, value := range values {
		if value.Name == name {
			return value
		}
	}
	return contact.Value{Name: "none"}
}

func TestFetchTellsTimeAndOriginOfEachValue(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	id := p.person("", "email", "a@example.com", "city", "Oslo")
	time.Sleep(5 * time.Millisecond) // so that the next write has a later millisecond
	wrote := p.final(write(id, "state", "Viken"))[0]
	o := p.final(contact.Patch{Contact: "x", TargetID: id, Version: 3, Fetch: &contact.Fetch{Properties: []string{"city", "state", "country", "no_such"}}},
		contact.Patch{Contact: "y", TargetID: "999999999999", Fetch: &contact.Fetch{}})
	city, state, country := valueOf(o[0].Holds, "city"), valueOf(o[0].Holds, "state"), valueOf(o[0].Holds, "country")
	if city.Text != "Oslo" || city.Origin != contact.Others || city.OccurredAt == 0 || city.OccurredAt >= state.OccurredAt {
		t.Errorf("city %+v", city)
	}
	if state.Text != "Viken" || state.Origin != contact.Ours || state.OccurredAt != wrote.AppliedAt {
		t.Errorf("state %+v, written at %d", state, wrote.AppliedAt)
	}
	if country.Name != "country" || country.Text != "" || country.OccurredAt == 0 || country.OccurredAt > city.OccurredAt {
		t.Errorf("country %+v", country)
	}
	if valueOf(o[0].Holds, "no_such").Name != "none" || valueOf(o[0].Holds, "email").Text != "a@example.com" || valueOf(o[0].Holds, "createdate").Text == "" {
		t.Errorf("holds %+v", o[0].Holds)
	}
	if o[0].Result != contact.Fetched || o[0].AppliedAt != wrote.AppliedAt || o[0].ClockAt < wrote.AppliedAt-1000 || o[1].Result != contact.Gone {
		t.Errorf("outcomes %+v", o)
	}
}

func TestStageGoesBackwards(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	back := p.person("", "email", "a@example.com", "lifecyclestage", "customer")
	forth := p.person("", "email", "b@example.com", "lifecyclestage", "lead")
	clear := p.person("", "email", "c@example.com", "lifecyclestage", "lead")
	outcomes := p.final(write(back, "lifecyclestage", "lead", "city", "Oslo"), write(forth, "lifecyclestage", "customer"), write(clear, "lifecyclestage", ""))
	for i, want := range []string{"lead", "customer", ""} {
		id := []string{back, forth, clear}[i]
		if got := p.holds(id)["lifecyclestage"]; got != want || outcomes[i].Result != contact.Written || len(outcomes[i].Holds) != 0 {
			t.Errorf("contact %d holds %q, want %q: %+v", i, got, want, outcomes[i])
		}
	}
	if p.holds(back)["city"] != "Oslo" {
		t.Error("the other property was lost")
	}
}

func TestFindOrCreate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ keyed, listed bool }{{true, false}, {false, false}, {true, true}, {false, true}} {
		t.Run(fmt.Sprintf("key property %t, portal listed %t", c.keyed, c.listed), func(t *testing.T) {
			t.Parallel()
			p := newPortal(t, hubspotsim.Config{})
			if c.keyed {
				p.withKey()
			}
			byEmail := p.person("", "email", "ada@example.com", "firstname", "Ada")
			byPhone := p.person("", "email", "bob@example.com", "phone", "(415) 555-0101")
			byMobile := p.person("", "email", "cem@example.com", "mobilephone", "+1 415-555-0102")
			twin1 := p.person("", "email", "t1@example.com", "phone", "+14155550103")
			twin2 := p.person("", "email", "t2@example.com", "mobilephone", "4155550103")
			patches := []contact.Patch{
				create("1", "ada@example.com", "", true, "city", "Oslo"),
				create("2", "", "+14155550101", true, "city", "Rome"),
				create("3", "new3@example.com", "+14155550102", true, "city", "Bonn"),
				create("4", "", "+14155550103", true, "city", "Kyiv"),
				create("5", "ada@example.com", "+14155550101", true, "city", "Nice"),
				create("6", "nobody@example.com", "+14155550106", false, "city", "Bern"),
				create("7", "", "+14155550107", true, "phone", "+14155550107", "city", "Lima"),
				create("8", "new8@example.com", "+14155550108", true, "email", "new8@example.com", "phone", "+14155550108", "city", "Quito", "no_such", "x", "state", ""),
				create("9", "new8@example.com", "+14155550109", true, "firstname", "Zoe"),
				create("10", "", "+14155550110", true, "firstname", "Yan", "phone", "+14155550110", "email", "not-an-email"),
			}
			if c.listed {
				p.list()
				for i := range patches {
					patches[i].Bulk = true
				}
			}
			o := p.final(patches...)
			for i, want := range []struct {
				result contact.Result
				id     string
			}{{contact.Written, byEmail}, {contact.Written, byPhone}, {contact.Written, byMobile}, {contact.Conflict, ""}, {contact.Conflict, ""}, {contact.Absent, ""}, {contact.Rejected, ""}, {contact.Made, "new"}, {contact.Written, "new"}, {contact.Made, "new"}} {
				if o[i].Result != want.result || want.id != "new" && o[i].TargetID != want.id || want.id == "new" && o[i].TargetID == "" {
					t.Errorf("patch %d: got result %d id %q, want %+v (%+v)", i+1, o[i].Result, o[i].TargetID, want, o[i].Refusal)
				}
			}
			if !slices.Equal(o[3].Candidates, []string{twin1, twin2}) || !slices.Equal(o[4].Candidates, []string{byEmail, byPhone}) {
				t.Errorf("candidates %v and %v", o[3].Candidates, o[4].Candidates)
			}
			if o[6].Refusal == nil || o[6].Refusal.Reason != "NO_NAME_OR_EMAIL" {
				t.Errorf("nameless: %+v", o[6].Refusal)
			}
			if o[8].TargetID != o[7].TargetID || p.holds(o[7].TargetID)["firstname"] != "Zoe" || p.holds(o[7].TargetID)["city"] != "Quito" {
				t.Errorf("two patches of one e-mail: %s and %s, holds %v", o[7].TargetID, o[8].TargetID, p.holds(o[7].TargetID))
			}
			if r := o[7].Properties[3].Refusal; r == nil || r.Reason != "PROPERTY_DOESNT_EXIST" {
				t.Errorf("unknown property of a created contact: %+v", r)
			}
			if r := o[9].Properties[2].Refusal; r == nil || r.Reason != "INVALID_EMAIL" || p.holds(o[9].TargetID)["firstname"] != "Yan" {
				t.Errorf("bad e-mail of a created contact: %+v", r)
			}
			// Done again, everything is found.
			again := p.final(patches[7], patches[9])
			if again[0].Result != contact.Written || again[0].TargetID != o[7].TargetID || again[1].Result != contact.Written || again[1].TargetID != o[9].TargetID {
				t.Errorf("again: %+v", again)
			}
			if searches := p.calls("POST /crm/objects/2026-09/contacts/search"); (searches > 0) == (c.listed && c.keyed) {
				t.Errorf("%d searches", searches)
			}
			if c.listed && c.keyed {
				// A live creation among them is searched for, and it alone.
				live, bulk := create("11", "", "+14155550111", true, "firstname", "Una"), create("12", "", "+14155550112", true, "firstname", "Tom")
				bulk.Bulk = true
				if o := p.final(live, bulk); o[0].Result != contact.Made || o[1].Result != contact.Made {
					t.Errorf("a live and a bulk creation: %+v", o)
				}
				if n := p.calls("POST /crm/objects/2026-09/contacts/search"); n != 1 {
					t.Errorf("%d searches for one live creation among bulk ones", n)
				}
			}
		})
	}
}

// TestCreateSurvivesALostAnswer: the answer of the create is lost and the
// search does not show the contact yet; the repeated create makes no second.
func TestCreateSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{SearchLag: time.Hour}).withKey()
	p.control("faults", []map[string]any{{"path": "*/batch/upsert", "count": 1, "drop_response": true}})
	patch := create("1", "", "+14155550101", true, "firstname", "Ada", "phone", "+14155550101")
	first := p.deliver(patch)[0]
	if !fault.Is(first.Err, fault.Transient) {
		t.Fatalf("lost answer: got %v, want transient", first.Err)
	}
	second := p.final(patch)[0]
	if second.Result != contact.Written || second.TargetID == "" {
		t.Errorf("repeated: %+v", second)
	}
	// Another contact of the same number, before the search shows the first.
	third := p.final(create("2", "", "+14155550101", true, "firstname", "Eve"))[0]
	if third.TargetID != second.TargetID {
		t.Errorf("same number again: %+v, want contact %s", third, second.TargetID)
	}
}

// TestPlainCreateWaitsAfterALostAnswer: without the key property nothing but
// the lagging search can tell, so the create is not repeated at once.
func TestPlainCreateWaitsAfterALostAnswer(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{SearchLag: time.Hour})
	p.control("faults", []map[string]any{{"path": "*/batch/create", "count": 1, "drop_response": true}})
	patch := create("1", "", "+14155550101", true, "firstname", "Ada")
	for i := range 2 {
		if d := p.deliver(patch)[0]; !fault.Is(d.Err, fault.Unknown) {
			t.Errorf("delivery %d: got %+v %v, want unknown", i, d.Outcome, d.Err)
		}
	}
	if wait := fault.As(p.deliver(patch)[0].Err).Wait; wait <= 0 || wait > time.Minute {
		t.Errorf("wait %s", wait)
	}
	byEmail := create("2", "eve@example.com", "", true, "email", "eve@example.com")
	p.control("faults", []map[string]any{{"path": "*/batch/create", "count": 1, "drop_response": true}})
	if d := p.deliver(byEmail)[0]; !fault.Is(d.Err, fault.Unknown) {
		t.Errorf("lost answer: got %v, want unknown", d.Err)
	}
	if o := p.final(byEmail)[0]; o.Result != contact.Written {
		t.Errorf("repeated: %+v", o)
	}
}

func TestFaultsLeavePatchesUndone(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	id := p.person("", "email", "a@example.com")
	for _, c := range []struct {
		status int
		class  fault.Class
	}{{429, fault.Throttled}, {401, fault.Unauthorized}, {423, fault.Transient}, {477, fault.Throttled}, {502, fault.Transient}} {
		count := 1
		if c.class == fault.Unauthorized {
			count = 2 // one alone is not believed
		}
		p.control("faults", []map[string]any{{"path": "*/contacts", "status": c.status, "count": count}, {"path": "/crm/objects/", "status": c.status, "count": count}})
		got := p.deliver(write(id, "city", "Oslo"), write("123", "city", "Rome"), create("5", "x@example.com", "", true, "email", "x@example.com"))
		if !fault.Is(got[0].Err, c.class) || !fault.Is(got[1].Err, c.class) {
			t.Errorf("status %d: got %v and %v, want %s", c.status, got[0].Err, got[1].Err, c.class)
		}
		if wait := fault.As(got[0].Err).Wait; c.status == 477 && wait != 2*time.Second {
			t.Errorf("a portal that moves asked for 2 s, and is left alone for %v", wait)
		}
		if stopped := c.class == fault.Throttled || c.class == fault.Unauthorized; stopped && got[2].Err == nil {
			t.Errorf("status %d: another call was made in the same run", c.status)
		}
	}
	p.control("faults", []map[string]any{{"path": "/crm/objects/", "status": 403, "count": 1}})
	if o := p.final(write(id, "city", "Oslo"))[0]; o.Result != contact.Rejected || o.Refusal.Reason != "MISSING_SCOPES" || !strings.Contains(o.Refusal.Message, "crm.objects.contacts.write") {
		t.Errorf("missing scope: %+v %+v", o, o.Refusal)
	}
	p.control("faults", []map[string]any{{"path": "/crm/objects/", "truncate": true, "count": 1}})
	if got := p.deliver(write(id, "city", "Oslo")); !fault.Is(got[0].Err, fault.Transient) {
		t.Errorf("truncated answer: got %v", got[0].Err)
	}
	p.control("faults", []map[string]any{})
	if o := p.final(write(id, "city", "Oslo"))[0]; o.Result != contact.Written {
		t.Errorf("afterwards: %+v", o)
	}
}

func TestWindowAndSearchLimits(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{WindowLimit: 20})
	p.budget.eager = true
	id := p.person("", "email", "a@example.com")
	var window, search *fault.Fault
	for i := range 30 {
		if d := p.deliver(write(id, "city", fmt.Sprint("City ", i)))[0]; d.Err != nil && window == nil {
			window = fault.As(d.Err)
		}
		if _, _, _, err := p.client.ChangedSince(context.Background(), time.Now().Add(time.Hour), "", nil); err != nil && search == nil {
			search = fault.As(err)
		}
	}
	if window == nil || window.Class != fault.Throttled || window.Scope != "" || window.Wait != 10*time.Second {
		t.Errorf("window: %+v", window)
	}
	if search == nil || search.Class != fault.Throttled || search.Scope != "search" || search.Wait != time.Second {
		t.Errorf("search: %+v", search)
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	id := p.person("", "email", "a@example.com")
	o := p.final(contact.Patch{Contact: "x", TargetID: id, Archive: true}, contact.Patch{Contact: "y", Archive: true})
	if o[0].Result != contact.Archived || o[0].Precision != 999 || o[0].AppliedAt == 0 || p.holds(id) != nil || o[1].Result != contact.Rejected {
		t.Errorf("outcomes %+v", o)
	}
	if o := p.final(write(id, "city", "Oslo"))[0]; o.Result != contact.Gone {
		t.Errorf("write to an archived contact: %+v", o)
	}
}

func TestWriteAndFetchAndDuplicateTargets(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	id := p.person("", "email", "a@example.com")
	first, second := write(id, "city", "Oslo"), write(id, "city", "Rome", "state", "Lazio")
	second.Fetch = &contact.Fetch{Properties: []string{"city"}}
	o := p.final(first, second)
	if p.holds(id)["city"] != "Rome" || o[0].Result != contact.Written || o[1].Result != contact.Fetched || valueOf(o[1].Holds, "city").Text != "Rome" || len(o[1].Properties) != 2 {
		t.Errorf("%+v", o)
	}
	if o[0].EventID == o[1].EventID || !strings.HasPrefix(o[0].EventID, "hubspot/aloware:") {
		t.Errorf("event ids %s %s", o[0].EventID, o[1].EventID)
	}
}

func TestChangedSinceGivesEachContactWithHistory(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	since := time.Now().Add(-time.Minute)
	p.control("load", map[string]any{"contacts": 230, "seed": 5}) // many in one millisecond
	id := p.person("", "email", "last@example.com", "city", "Oslo")
	// What we made ourselves is known, until somebody changes it.
	made := p.final(create("1", "one@example.com", "", true, "email", "one@example.com", "city", "Turku"), create("2", "two@example.com", "", true, "email", "two@example.com"))
	seen := map[string]int{}
	var last contact.Change
	var upTo time.Time
	for after, pages := "", 0; ; pages++ {
		changes, next, reached, err := p.client.ChangedSince(context.Background(), since, after, []string{"city"})
		if err != nil {
			t.Fatal(err)
		}
		if pages > 20 {
			t.Fatal("no end")
		}
		for _, change := range changes {
			seen[change.ID]++
			if change.ID == id {
				last = change
			}
		}
		upTo = reached
		if after = next; next == "" {
			break
		}
	}
	if len(seen) != 231 || seen[made[0].TargetID] > 0 {
		t.Errorf("%d contacts, of which %d are our own and unchanged", len(seen), seen[made[0].TargetID]+seen[made[1].TargetID])
	}
	if v := valueOf(last.Values, "city"); v.Text != "Oslo" || v.Origin != contact.Others || v.OccurredAt == 0 || last.Event != contact.Snapshot || last.Channel != contact.Poll {
		t.Errorf("last %+v", last)
	}
	if upTo.After(time.Now().Add(-time.Minute)) || upTo.Before(since) {
		t.Errorf("complete up to %s", upTo)
	}
	walked := map[string]bool{}
	for after := ""; ; {
		changes, next, err := p.client.WalkContacts(context.Background(), after, []string{"city"})
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range changes {
			walked[change.ID] = true
			if change.ID == id && change.EventID != last.EventID {
				t.Errorf("equal readings have event ids %s and %s", change.EventID, last.EventID)
			}
		}
		if after = next; next == "" {
			break
		}
	}
	if len(walked) != 233 {
		t.Errorf("walked %d contacts, want 233", len(walked))
	}
}

// TestAFirstSyncIsNotReadInSmallParts: among the many that our app makes the few that people
// make are read together, as each call that reads is one that does not create a hundred.
func TestAFirstSyncIsNotReadInSmallParts(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{}).withKey()
	since := time.Now().Add(-time.Minute)
	const rounds, each = 15, 80
	people := map[string]bool{}
	for round := range rounds {
		var patches []contact.Patch
		for n := range each {
			email := fmt.Sprintf("%d-%d@example.com", round, n)
			patches = append(patches, create(email, email, "", true, "email", email))
		}
		for _, made := range p.deliver(patches...) {
			if made.Err != nil {
				t.Fatal(made.Err)
			}
		}
		people[p.person("", "email", fmt.Sprintf("person-%d@example.com", round))] = true
	}
	before := p.calls("POST /crm/objects/2026-09/contacts/batch/read")
	for after, parts := "", 0; ; parts++ {
		if parts > rounds {
			t.Fatal("no end")
		}
		changes, next, _, err := p.client.ChangedSince(context.Background(), since, after, []string{"city"})
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range changes {
			if !people[change.ID] {
				t.Errorf("%s is read again or is our own", change.ID)
			}
			delete(people, change.ID)
		}
		if after = next; next == "" {
			break
		}
	}
	if calls := p.calls("POST /crm/objects/2026-09/contacts/batch/read") - before; len(people) > 0 || calls > 2 {
		t.Errorf("%d calls read %d contacts, and %d were not read", calls, rounds-len(people), len(people))
	}
}

func TestSchemaCalls(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{}).withKey().withKeyAgain()
	ctx := context.Background()
	definitions, err := p.client.Properties(ctx)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]hubspot.Definition{}
	for _, d := range definitions {
		byName[d.Name] = d
	}
	if key := byName[hubspot.KeyProperty]; !key.Unique || !key.Writable() || key.Group != "aloware" {
		t.Errorf("key property %+v", key)
	}
	if byName["createdate"].Writable() || !byName["phone"].Writable() {
		t.Error("writable properties are not told apart")
	}
	if err := p.client.CreateProperty(ctx, hubspot.Definition{Name: "aloware_dnc", Label: "Do Not Call", Type: "bool", FieldType: "booleancheckbox", Group: "aloware"}); err != nil {
		t.Errorf("checkbox: %v", err)
	}
	zones, err := p.client.Options(ctx, "hs_timezone")
	if err != nil || len(zones.Entries) == 0 {
		t.Fatalf("zones: %d, %v", len(zones.Entries), err)
	}
	unknown := 0
	for _, entry := range zones.Entries {
		if entry.Match == entry.Value {
			unknown++
		}
	}
	t.Logf("%d zones, %d without an IANA name", len(zones.Entries), unknown)
	stages, err := p.client.Options(ctx, "lifecyclestage")
	if err != nil || len(stages.Entries) < 5 || stages.Entries[0].Match != stages.Entries[0].Value || stages.List != contact.OptionList("lifecyclestage") {
		t.Errorf("stages %+v, %v", stages, err)
	}
	owners, err := p.client.Owners(ctx)
	if err != nil || len(owners.Entries) == 0 || owners.List != contact.UserList {
		t.Errorf("owners %+v, %v", owners, err)
	}
	for _, owner := range owners.Entries {
		if owner.Match != strings.ToLower(owner.Match) || owner.Value == "" {
			t.Errorf("owner %+v", owner)
		}
	}
	if dispositions, err := p.client.Dispositions(ctx); err != nil || len(dispositions.Entries) == 0 {
		t.Errorf("dispositions %+v, %v", dispositions, err)
	}
	if account, err := p.client.Account(ctx); err != nil || account.PortalID != 2002 || account.TimeZone == "" {
		t.Errorf("account %+v, %v", account, err)
	}
	if limit, err := p.client.PropertyLimit(ctx); err != nil || limit.Limit == 0 {
		t.Errorf("limit %+v, %v", limit, err)
	}
}

// withKeyAgain does what connecting a portal does a second time.
func (p *portal) withKeyAgain() *portal {
	p.t.Helper()
	if err := p.client.CreateGroup(context.Background(), "aloware", "Aloware"); err != nil {
		p.t.Error(err)
	}
	if err := p.client.CreateProperty(context.Background(), hubspot.KeyDefinition("aloware")); err == nil || !strings.Contains(err.Error(), hubspot.ErrExists.Error()) {
		p.t.Errorf("second creation: got %v, want ErrExists", err)
	}
	return p
}

// TestSimulatedWebhooksVerifyAndDecode holds our reading of signatures and
// events against the simulator's.
func TestSimulatedWebhooksVerifyAndDecode(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	events := map[contact.Event]int{}
	origins := map[contact.Origin]int{}
	arrived := make(chan struct{}, 1000)
	var receiver *httptest.Server
	receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := hubspot.VerifyV3("demo-secret", r.Method, receiver.URL+r.RequestURI, body, r.Header.Get("X-HubSpot-Request-Timestamp"), r.Header.Get("X-HubSpot-Signature-v3"), time.Now()); err != nil {
			t.Error(err)
		}
		if err := hubspot.VerifyV1("demo-secret", body, r.Header.Get("X-HubSpot-Signature")); err != nil {
			t.Error(err)
		}
		batch, err := hubspot.DecodeWebhook(body, time.Now(), 1001)
		if err != nil || len(batch.Ignored) > 0 {
			t.Errorf("%v, ignored %+v", err, batch.Ignored)
		}
		mu.Lock()
		for _, portal := range batch.Portals {
			for _, change := range portal.Changes {
				events[change.Event]++
				origins[change.Origin]++
			}
		}
		mu.Unlock()
		arrived <- struct{}{}
	}))
	t.Cleanup(receiver.Close)
	p := newPortal(t, hubspotsim.Config{WebhookURL: receiver.URL + "/hooks?src=hs%3Aapp%2Fv3&x=%28a%29"})
	a, b, c := p.person("", "email", "a@example.com"), p.person("", "email", "b@example.com"), p.person("", "email", "c@example.com")
	p.final(write(a, "city", "Oslo"))
	p.control("merge", map[string]any{"primary": a, "secondary": b})
	p.control("privacy-delete", map[string]any{"id": c})
	deadline := time.After(10 * time.Second)
	for {
		mu.Lock()
		done := events[contact.Created] >= 3 && events[contact.Changed] >= 4 && events[contact.Merged] >= 1 && events[contact.Erased] >= 1 && origins[contact.Ours] >= 1
		mu.Unlock()
		if done {
			return
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("events %v origins %v", events, origins)
		}
	}
}

// One 401 for a token that worked a moment ago is a mistake of the front that
// gave it; for one that never did, it is believed.
func TestAWorkingTokenRefusedOnceIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPortal(t, hubspotsim.Config{})
	id := p.person("", "email", "a@example.com")
	refuse := func(times int) {
		p.control("faults", []map[string]any{{"path": "/crm/objects/", "status": 401, "count": times}})
	}
	refuse(1)
	if got := p.deliver(write(id, "city", "Oslo")); !fault.Is(got[0].Err, fault.Unauthorized) {
		t.Errorf("a token that never worked: got %v", got[0].Err)
	}
	if o := p.final(write(id, "city", "Oslo"))[0]; o.Result != contact.Written {
		t.Fatalf("afterwards: %+v", o)
	}
	refuse(1)
	if got := p.deliver(write(id, "city", "Rome")); got[0].Err != nil {
		t.Errorf("one refusal of a token that worked: got %v", got[0].Err)
	}
	refuse(2)
	if got := p.deliver(write(id, "city", "Bern")); !fault.Is(got[0].Err, fault.Unauthorized) {
		t.Errorf("two refusals of a token that worked: got %v", got[0].Err)
	}
}
