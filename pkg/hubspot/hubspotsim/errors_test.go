package hubspotsim

import (
	"fmt"
	"strings"
	"testing"
)

// Each case is a situation, the call that leads to it, and what of the
// observed body must be there.
func TestErrorBodies(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	existing := b.make(map[string]string{"email": "taken@example.com"})
	b.uniqueProperty("system_a_unique")
	b.make(map[string]string{"firstname": "U", "system_a_unique": "abc"})
	b.do("POST", "/crm/properties/2026-09/contacts", `{"name":"renewal","label":"Renewal","type":"date","fieldType":"date","groupName":"contactinformation"}`).want(t, 201)
	b.do("POST", "/crm/properties/2026-09/contacts", `{"name":"many","label":"Many","type":"enumeration","fieldType":"checkbox","groupName":"contactinformation","options":[{"label":"king","value":"king"},{"label":"queen","value":"queen","displayOrder":1}]}`).want(t, 201)
	b.do("POST", "/crm/properties/2026-09/contacts", `{"name":"score","label":"Score","type":"number","fieldType":"number","groupName":"contactinformation"}`).want(t, 201)
	const v3 = "/crm/v3/objects/contacts"
	write := func(name, value string) string { return fmt.Sprintf(`{"properties":{%q:%q}}`, name, value) }
	hundredOne := `{"inputs":[` + strings.TrimSuffix(strings.Repeat(`{"properties":{"firstname":"a"}},`, 101), ",") + `]}`
	seven := strings.TrimSuffix(strings.Repeat(`{"propertyName":"email","operator":"HAS_PROPERTY"},`, 7), ",")

	for _, c := range []struct {
		name, method, path, body string
		status                   int
		category, text           string
	}{
		{"unknown contact, numeric id", "GET", v3 + "/99", "", 404, "", "resource not found"},
		{"unknown contact, other id", "GET", v3 + "/nobody", "", 404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric."},
		{"unknown route", "GET", "/crm/v3/nothing", "", 404, "", "<h2>HTTP ERROR 404</h2>"},
		{"unknown object type", "POST", "/crm/v3/objects/butterflies/search", "{}", 400, "", "Unable to infer object type from: butterflies"},
		{"e-mail in use", "POST", v3, write("email", "Taken@example.com"), 409, "CONFLICT", "Contact already exists. Existing ID: " + existing},
		{"unknown property", "POST", v3, write("first000name", "x"), 400, "VALIDATION_ERROR", `Property \"first000name\" does not exist`},
		{"read-only property", "POST", v3, write("hs_object_id", "1"), 400, "VALIDATION_ERROR", "is a read only property; its value cannot be set."},
		{"calculated property", "POST", v3, write("hs_additional_emails", "a@example.com"), 400, "VALIDATION_ERROR", "is a calculated property; its value cannot be set."},
		{"option that is not offered", "POST", v3, write("many", "king,queen"), 400, "VALIDATION_ERROR", "king,queen was not one of the allowed options: [label:"},
		{"bad e-mail", "POST", v3, write("email", "not-an-email"), 400, "VALIDATION_ERROR", "Email address not-an-email is invalid"},
		{"mistyped top-level domain", "POST", v3, write("email", "a@example.con"), 400, "VALIDATION_ERROR", "INVALID_EMAIL"},
		{"date not at midnight", "POST", v3, write("renewal", "1684914035320"), 400, "VALIDATION_ERROR", "1684914035320 is at 7:40:35.320 UTC, not midnight!"},
		{"bad datetime", "POST", v3, write("closedate", "tomorrow"), 400, "VALIDATION_ERROR", "tomorrow was not a valid long."},
		{"bad number", "POST", v3, write("score", "1,5"), 400, "VALIDATION_ERROR", "1,5 was not a valid number"},
		{"bad owner", "POST", v3, write("hubspot_owner_id", "910901"), 400, "VALIDATION_ERROR", "910901 was not a valid owner ID"},
		{"user id as owner", "POST", v3, write("hubspot_owner_id", "52530071"), 400, "VALIDATION_ERROR", "INVALID_OWNER_ID"},
		{"name with a link", "POST", v3, write("firstname", "see https://x.example"), 400, "VALIDATION_ERROR", "CONTAINS_URL"},
		{"unique value in use", "POST", v3, write("system_a_unique", "abc"), 400, "VALIDATION_ERROR", "CONFLICTING_UNIQUE_VALUE"},
		{"create without a name", "POST", v3, write("city", "Oslo"), 400, "VALIDATION_ERROR", "at least one of email"},
		{"malformed JSON", "POST", v3, "{\"properties\":{\n\"city\": {}}}", 400, "", "Invalid input JSON on line "},
		{"null value", "POST", v3, `{"properties":{"firstname":null}}`, 400, "", "Invalid input JSON on line "},
		{"batch over 100", "POST", v3 + "/batch/create", hundredOne, 400, "VALIDATION_ERROR", "The maximum number of inputs supported in a batch is 100"},
		{"id twice in a batch", "POST", v3 + "/batch/update", `{"inputs":[{"id":"5","properties":{}},{"id":"5","properties":{}}]}`, 400, "VALIDATION_ERROR", "Duplicate IDs found in batch input: [5]. IDs must be unique"},
		{"upsert by a property that is not unique", "POST", v3 + "/batch/upsert", `{"inputs":[{"id":"5","idProperty":"hs_object_id","properties":{}}]}`, 400, "VALIDATION_ERROR", "Unable to perform update/upsert by non-unique 0-1 property hs_object_id in portal ID 2002"},
		{"too many filters", "POST", v3 + "/search", `{"filterGroups":[{"filters":[` + seven + `]}]}`, 400, "VALIDATION_ERROR", "too many filters per filter group (count: 7, max allowed: 6)"},
		{"search beyond 10,000", "POST", v3 + "/search", `{"after":"9999","limit":2}`, 400, "VALIDATION_ERROR", "10000"},
		{"page too long", "GET", v3 + "?limit=101", "", 400, "VALIDATION_ERROR", "limit"},
		{"property exists", "POST", "/crm/v3/properties/contacts", `{"name":"many","label":"x","type":"string","fieldType":"text","groupName":"contactinformation"}`, 409, "OBJECT_ALREADY_EXISTS", "A property named 'many' already exists."},
		{"enumeration without options", "POST", "/crm/v3/properties/contacts", `{"name":"aaaaa","label":"x","type":"enumeration","fieldType":"select","groupName":"contactinformation"}`, 400, "", "Property 'aaaaa' has no options but options are required!"},
		{"wrong field type", "POST", "/crm/v3/properties/contacts", `{"name":"aaaaa","label":"x","type":"enumeration","fieldType":"OWNER","groupName":"contactinformation"}`, 400, "", "Failed field type validation on property 'aaaaa' type 'enumeration' fieldType 'OWNER'"},
		{"bool without its options", "POST", "/crm/v3/properties/contacts", `{"name":"aaaaa","label":"x","type":"bool","fieldType":"booleancheckbox","groupName":"contactinformation"}`, 400, "VALIDATION_ERROR", "PropertyValidationError.INVALID_BOOLEAN_OPTION"},
		{"unknown property read", "GET", "/crm/v3/properties/contacts/nothing", "", 404, "OBJECT_NOT_FOUND", ""},
		{"group in use", "DELETE", "/crm/v3/properties/contacts/groups/contactinformation", "", 400, "", "GROUP_WITH_ACTIVE_PROPERTIES"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.do(c.method, c.path, c.body).want(t, c.status)
			if got, _ := a.at("category").(string); got != c.category {
				t.Errorf("category %q, want %q: %s", got, c.category, a.text)
			}
			if !strings.Contains(a.text, c.text) && !strings.Contains(fmt.Sprint(a.at("message")), c.text) {
				t.Errorf("answer lacks %q: %s", c.text, a.text)
			}
			if a.body != nil && a.at("correlationId") != a.header.Get("X-HubSpot-Correlation-Id") {
				t.Errorf("correlation id differs between body and header: %s", a.text)
			}
		})
	}
}

func TestEveryInvalidPropertyIsListed(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	a := b.do("POST", contactsPath, `{"properties":{"email":"x","nope":"1","closedate":"y"}}`).want(t, 400)
	if errs, _ := a.at("errors").([]any); len(errs) != 3 {
		t.Errorf("got %d errors, want 3: %s", len(errs), a.text)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	a := b.doAs("Bearer nothing", "GET", contactsPath, nil).want(t, 401)
	if a.at("category") != "INVALID_AUTHENTICATION" {
		t.Errorf("got %s", a.text)
	}
	b.sim.changeToken(tokenChange{Text: "old", Kind: "access", Grant: grant{Expires: 1}})
	if a := b.doAs("Bearer old", "GET", contactsPath, nil).want(t, 401); a.at("category") != "EXPIRED_AUTHENTICATION" {
		t.Errorf("got %s", a.text)
	}
	b.sim.changeToken(tokenChange{Text: "reader", Kind: "access", Grant: grant{Expires: 1 << 60, Scopes: []string{"crm.objects.contacts.read"}}})
	b.doAs("Bearer reader", "GET", contactsPath, nil).want(t, 200)
	b.doAs("Bearer reader", "GET", "/crm/properties/2026-09/contacts", nil).want(t, 200)
	a = b.doAs("Bearer reader", "POST", contactsPath, `{"properties":{"firstname":"x"}}`).want(t, 403)
	if a.at("errors", 0, "context", "requiredGranularScopes", 0) != "crm.objects.contacts.write" {
		t.Errorf("got %s", a.text)
	}
	if a.header.Get("X-HubSpot-RateLimit-Daily") != "" {
		t.Error("an OAuth token got daily limit headers")
	}
}
