package alowaresim_test

import (
	"net/http"
	"strings"
	"testing"

	"lockstep.internal/pkg/aloware/alowaresim"
)

// page stands for the answer of an unknown path: status 200 and a web page.
const page = "a web page"

func TestEachEndpointAnswersAsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, path string
		fields             object
		status             int
		says               string
		documented         bool // there in profile documented too
	}{
		{"users", "GET", "users", nil, 200, `"email":"ana@example.com","agent_status":1,"human_readable_agent_status":"Available"`, true},
		{"lookup", "GET", "contact/phone-number&phone_number=2025550142", nil, 200, `"phone_number":"+12025550142"`, true},
		{"lookup of a further number", "GET", "contact/phone-number&phone_number=(202) 555-0143", nil, 200, `"phone_number":"+12025550142"`, true},
		{"lookup of nobody", "GET", "contact/phone-number&phone_number=2025550199", nil, 404, `{"error":"Contact not found."}`, true},
		{"lookup without a number", "GET", "contact/phone-number&phone_number=", nil, 400, `{"error":"Phone number is empty or invalid."}`, true},
		{"form creates", "POST", "forms", object{"phone_number": "2025550198"}, 201, `{"message":"Contact created."}`, true},
		{"form updates", "POST", "forms", object{"phone_number": dana, "force_update": true}, 200, `{"message":"Contact updated."}`, true},
		{"form without a number", "POST", "forms", object{}, 400, `{"error":"Phone number is empty or invalid."}`, true},
		{"form with an unknown owner", "POST", "forms", object{"phone_number": dana, "user_id": 9}, 400, `{"error":"The selected user id is invalid."}`, true},
		{"text", "POST", "sms-gateway/send", object{"to": dana, "line_id": 6394, "message": "Hi"}, 202, `{"message":"Message sent."}`, true},
		{"text without a message", "POST", "sms-gateway/send", object{"to": dana, "line_id": 6394}, 400, `"error"`, true},
		{"call", "POST", "two-legged-call", object{"user_id": 1201, "contact_phone_number": dana, "line_id": 6394}, 202, `"message"`, true},
		{"call without a free agent", "POST", "two-legged-call", object{"user_id": 1203, "contact_phone_number": dana, "line_id": 6394}, 422, `{"errors":{"user":["`, true},
		{"enroll", "POST", "sequence-enroll", object{"sequence_id": 1, "source": "phone_number", "phone_number": dana}, 200, `Contact is successfully enrolled in the sequence.`, true},
		{"enroll nobody", "POST", "sequence-enroll", object{"sequence_id": 1, "source": "hubspot", "id": 5}, 400, `"error"`, true},
		{"disenroll", "POST", "sequence-disenroll", object{"source": "phone_number", "phone_number": dana}, 200, `"message"`, true},
		{"leave lists", "POST", "powerdialer-remove-contact-from-lists", object{"contact_id": 48210001}, 200, `"message"`, true},
		{"clear list", "POST", "powerdialer-clear-list", object{"list_id": 1}, 200, `"message"`, true},
		{"clear lists of a user", "POST", "powerdialer-clear-user-lists", object{}, 400, `"error"`, true},

		{"read", "GET", "contact/48210001", nil, 200, `"id":48210001`, false},
		{"read nobody", "GET", "contact/1", nil, 404, `{"error":"Contact not found."}`, false},
		{"list", "GET", "contacts&per_page=1", nil, 200, `"current_page":1,"last_page":2,"per_page":1,"total":2`, false},
		{"list by e-mail", "GET", "contacts&email=DANA@example.com", nil, 200, `"total":1`, false},
		{"list by number", "GET", "contacts&phone_number=%2B12025550143", nil, 200, `"total":1`, false},
		{"list by text", "GET", "contacts&search=fields", nil, 200, `"total":1`, false},
		{"list since later", "GET", "contacts&updated_since=2099-01-01 00:00:00", nil, 200, `{"data":[],"current_page":1,"last_page":1,"per_page":100,"total":0}`, false},
		{"list since nonsense", "GET", "contacts&updated_since=2099-01-01T00:00:00Z", nil, 422, `"errors":{"updated_since":["`, false},
		{"update", "PUT", "contact/48210001", object{"city": "Austin"}, 200, `"cnam_city":"Austin"`, false},
		{"update nobody", "PUT", "contact/1", object{"city": "Austin"}, 404, `{"error":"Contact not found."}`, false},
		{"update with another's number", "PUT", "contact/48210001", object{"phone_number": "2025550150"}, 409, `{"error":"Phone number belongs to another contact."}`, false},
		{"update with another's number as a further one", "PUT", "contact/48210001", object{"other_phone_numbers": "2025550150"}, 409, `"error"`, false},
		{"update without a number", "PUT", "contact/48210001", object{"phone_number": nil}, 422, `"errors":{"phone_number":["`, false},
		{"update with a bad day", "PUT", "contact/48210001", object{"date_of_birth": "soon"}, 422, `"errors":{"date_of_birth":["`, false},
		{"update of an unknown attribute", "PUT", "contact/48210001", object{"attributes": object{"shoe": 1}}, 422, `"errors":{"attributes.shoe":["`, false},
		{"update with an unknown choice", "PUT", "contact/48210001", object{"attributes": object{"plan_tier": "gold"}}, 422, `"errors":{"attributes.plan_tier":["`, false},
		{"dispose", "POST", "contact/48210001/dispose", object{"disposition_status_id": 5502}, 200, `"disposition_status_id":5502`, false},
		{"dispose as unknown", "POST", "contact/48210001/dispose", object{"disposition_status_id": 1}, 422, `"errors":{"disposition_status_id":["`, false},
		{"dispositions", "GET", "disposition-statuses", nil, 200, `"is_locked":true,"crm":"hubspot","crm_value":"NEW"`, false},
		{"call outcomes", "GET", "call-dispositions", nil, 200, `"name":"Left voicemail"`, false},
		{"tags", "GET", "tags", nil, 200, `[{"id":7,"name":"VIP"}`, false},
		{"lines", "GET", "lines", nil, 200, `"id":6394`, false},
		{"attributes", "GET", "contact-attributes", nil, 200, `"slug":"plan_tier","type":"dropdown"`, false},

		{"communications of a contact", "GET", "calls", nil, 200, page, true},
		{"wrong method", "POST", "users", object{}, 200, page, true},
	} {
		for _, profile := range []string{"full", "documented"} {
			t.Run(c.name+" in profile "+profile, func(t *testing.T) {
				t.Parallel()
				cfg := quick()
				cfg.Profile = profile
				a := open(t, cfg)
				a.control("edit", object{"phone_number": dana, "first_name": "Dana", "last_name": "Fields", "email": "dana@example.com",
					"other_phone_numbers": "2025550143", "lrn_type": 1})
				a.control("edit", object{"phone_number": "2025550150"})
				path, query, _ := strings.Cut(c.path, "&")
				var got response
				if c.method == "GET" {
					got = a.do("GET", "/api/v1/webhook/"+path+"?api_token="+token+"&"+strings.ReplaceAll(query, " ", "%20"), nil)
				} else {
					got = a.write(c.method, path, c.fields)
				}
				status, says := c.status, c.says
				if profile == "documented" && !c.documented {
					status, says = 200, page
				}
				kind := "application/json"
				if says == page {
					says, kind = "<html", "text/html; charset=UTF-8"
				}
				if got.status != status || !strings.Contains(got.raw, says) || got.header.Get("Content-Type") != kind {
					t.Errorf("%d %s %s, want %d %s with %s", got.status, got.header.Get("Content-Type"), got.raw, status, kind, says)
				}
				if got.header.Get("Date") == "" {
					t.Error("the answer has no Date header")
				}
			})
		}
	}
}

func TestTokenStandsInTheQueryOfReadsAndInTheBodyOfWrites(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	for _, c := range []struct {
		name, method, path string
		body               any
	}{
		{"none", "GET", "users", nil},
		{"wrong", "GET", "users?api_token=x", nil},
		{"in the query of a write", "POST", "forms?api_token=" + token, object{"phone_number": dana}},
		{"body that is no object", "POST", "forms", []int{1}},
	} {
		got := a.do(c.method, "/api/v1/webhook/"+c.path, c.body)
		if got.status != http.StatusUnauthorized || got.raw != `{"error":"Unauthenticated."}` {
			t.Errorf("%s: %d %s", c.name, got.status, got.raw)
		}
	}
	a.control("config", object{"bad_token": "html"})
	if got := a.do("GET", "/api/v1/webhook/users", nil); got.status != 200 || !strings.Contains(got.raw, "<html") {
		t.Errorf("with bad_token html: %d %s", got.status, got.raw)
	}
	a.control("config", object{"html_catch_all": false})
	if got := a.get("calls"); got.status != http.StatusNotFound {
		t.Errorf("without the catch-all an unknown path answers %d", got.status)
	}
}

func TestUpdateWritesAllNamesAndNullClears(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	id := a.contact(object{"phone_number": dana})
	full := object{
		"phone_number": "2025550177", "email": "d@example.com", "user_id": "1202", "disposition_status_id": 5503, "lifecycle_stage": "lead",
		"first_name": "Dána", "last_name": "Fields", "company_name": "Co", "address": "1 Way", "city": "Austin", "state": "TX", "country": "US",
		"zipcode": "78701", "website": "https://x.example", "date_of_birth": "04/17/1988", "timezone": "America/Chicago", "lead_source": "Fair",
		"csf1": "a", "csf2": "b\nc", "is_dnc": 1, "line_id": 6395, "attributes": object{"plan_tier": "plus", "seat_count": 12.5, "renewal_date": "2027-01-02"},
	}
	got := a.write("PUT", "contact/"+id, full)
	if got.status != 200 {
		t.Fatal(got.raw)
	}
	for name, value := range map[string]string{
		"phone_number": "+12025550177", "email": "d@example.com", "user_id": "1202", "disposition_status_id": "5503", "lifecycle_stage": "lead",
		"name": "Dána Fields", "cnam_city": "Austin", "cnam_state": "TX", "cnam_country": "US", "cnam_zipcode": "78701",
		"date_of_birth": "1988-04-17", "timezone": "America/Chicago", "lead_source": "Fair", "csf2": "b\nc", "is_dnc": "true",
		"initial_campaign_id": "6395", "plan_tier": "plus", "renewal_date": "2027-01-02",
	} {
		want(t, got.body, name, value)
	}
	if got.body["seat_count"] != 12.5 {
		t.Errorf("seat_count is %v", got.body["seat_count"])
	}
	if a.get("contact/phone-number", "phone_number", dana).status != 404 || a.get("contact/phone-number", "phone_number", "2025550177").status != 200 {
		t.Error("the lookup does not follow the changed number")
	}
	clear := object{"attributes": object{"plan_tier": nil}}
	for name := range full {
		if name != "phone_number" && name != "is_dnc" && name != "attributes" {
			clear[name] = nil
		}
	}
	got = a.write("PUT", "contact/"+id, clear)
	for _, name := range []string{"email", "user_id", "disposition_status_id", "lifecycle_stage", "first_name", "cnam_city", "date_of_birth", "csf2", "plan_tier"} {
		if value, told := got.body[name]; !told || value != nil {
			t.Errorf("%s is %v, %v after null", name, value, told)
		}
	}
	if got := a.write("PUT", "contact/"+id, object{"is_dnc": 0}); got.status != 422 || !strings.Contains(got.raw, `"reason"`) {
		t.Errorf("lifting DNC without a reason: %d %s", got.status, got.raw)
	}
	if got := a.write("PUT", "contact/"+id, object{"is_dnc": 0, "reason": "asked for it"}); got.status != 200 {
		t.Errorf("lifting DNC: %d %s", got.status, got.raw)
	}
}

func TestFormsKeepWhatIsThereUnlessForced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		switches object
		fields   object
		status   int
		city     string
		email    string
	}{
		{"fills blanks only", nil, object{"city": "Boston", "email": "new@example.com"}, 200, "Austin", "new@example.com"},
		{"conflict by switch", object{"forms_conflict": "409"}, object{"city": "Boston"}, 409, "Austin", ""},
		{"forced", nil, object{"city": "Boston", "force_update": 1}, 200, "Boston", ""},
		{"blank is ignored", nil, object{"city": "", "email": nil, "force_update": true}, 200, "Austin", ""},
		{"blank clears by switch", object{"forms_blank": "clear"}, object{"city": "", "force_update": true}, 200, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := open(t, quick())
			id := a.contact(object{"phone_number": dana, "city": "Austin"})
			if c.switches != nil {
				a.control("config", c.switches)
			}
			c.fields["phone_number"] = "(202) 555-0142"
			if got := a.write("POST", "forms", c.fields); got.status != c.status {
				t.Errorf("status %d %s, want %d", got.status, got.raw, c.status)
			}
			shown := a.shown(id)
			for name, value := range map[string]string{"cnam_city": c.city, "email": c.email} {
				if value == "" {
					value = "<nil>"
				}
				want(t, shown, name, value)
			}
		})
	}
}

func TestListReturnsWhatChangedSince(t *testing.T) {
	t.Parallel()
	clock := newClock()
	cfg := quick()
	cfg.Now = clock.now
	cfg.Webhooks = []alowaresim.Webhook{}
	a := open(t, cfg)
	if err := a.sim.Seed(1200, 3); err != nil {
		t.Fatal(err)
	}
	first := a.get("contacts", "per_page", "900", "page", "3")
	if first.body["per_page"] != 500. || first.body["last_page"] != 3. || len(first.body["data"].([]any)) != 200 {
		t.Errorf("last page: per_page %v, last_page %v, %d contacts", first.body["per_page"], first.body["last_page"], len(first.body["data"].([]any)))
	}
	clock.advance(90)
	a.control("edit", object{"id": 48210700, "city": "Bonn"})
	a.control("edit", object{"id": 48210009, "city": "Bonn"})
	a.control("delete", object{"id": 48210005})
	got := a.get("contacts", "updated_since", clock.text())
	data := got.body["data"].([]any)
	if len(data) != 2 || data[0].(object)["id"] != 48210009. || data[1].(object)["id"] != 48210700. || got.body["total"] != 2. {
		t.Fatalf("changed since: %s", got.raw)
	}
	want(t, data[0].(object), "updated_at", clock.text())
}

func TestDispositionsOfTheCRMAreReplacedByValue(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	body := object{"crm": "hubspot", "options": []object{{"value": "NEW", "label": "Brand new"}, {"value": "LATER", "label": "Later"}}}
	first := a.write("PUT", "disposition-statuses/crm", body)
	if again := a.write("PUT", "disposition-statuses/crm", body); again.raw != first.raw {
		t.Errorf("a second time gives another list:\n%s\n%s", first.raw, again.raw)
	}
	for _, part := range []string{
		`{"id":5501,"name":"Brand new","description":null,"color":"#2f7d4f","is_locked":true,"crm":"hubspot","crm_value":"NEW"}`,
		`"id":5502,"name":"Open","description":null,"color":"#2b6cb0","is_locked":false,"crm":null,"crm_value":null`,
		`"id":5509,"name":"Later"`,
	} {
		if !strings.Contains(first.raw, part) {
			t.Errorf("the list lacks %s: %s", part, first.raw)
		}
	}
	if got := a.write("PUT", "call-dispositions/crm", object{"crm": "hubspot", "options": []object{{"value": "guid", "label": "Busy"}}}); !strings.Contains(got.raw, `"id":31005,"name":"Busy","description":null,"color":"#a12b2b","is_locked":true,"crm":"hubspot","crm_value":"guid"`) {
		t.Errorf("call outcomes: %s", got.raw)
	}
}
