package hubspotsim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPathsOfEveryVersionShareOneStore(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	id := b.make(map[string]string{"email": "Ada@Example.com", "firstname": "Ada"})
	for _, path := range []string{"/crm/v3/objects/contacts/", "/crm/v3/objects/0-1/", "/crm/objects/2026-03/contacts/", "/crm/objects/2026-09/0-1/", "//crm/v3/objects/contacts/"} {
		a := b.do("GET", path+id, nil).want(t, 200)
		if a.at("properties", "email") != "ada@example.com" || a.at("properties", "lastname") != nil || a.at("properties", "hs_object_id") != id {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	if a := b.do("GET", "/crm/v3/objects/contacts/ada%40example.com?idProperty=email", nil).want(t, 200); a.at("id") != id {
		t.Errorf("by e-mail: %s", a.text)
	}
	b.do("GET", "/crm/v3/owners/?limit=100&archived=false", nil).want(t, 200)
	b.do("GET", "/account-info/2026-09/details", nil).want(t, 200)
	b.do("GET", "/crm/limits/2026-09/custom-properties", nil).want(t, 200)
	b.do("GET", "/calling/v1/dispositions", nil).want(t, 200)
}

func TestWritingTheStoredValueChangesNothing(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	id := b.make(map[string]string{"firstname": "Ada", "numemployees": "1-5"})
	before := b.read(id, "lastmodifieddate")
	b.do("PATCH", contactsPath+"/"+id, `{"properties":{"firstname":"Ada"}}`).want(t, 200)
	if got := b.read(id, "lastmodifieddate"); got != before {
		t.Errorf("lastmodifieddate moved from %s to %s", before, got)
	}
	a := b.do("GET", contactsPath+"/"+id+"?propertiesWithHistory=firstname", nil).want(t, 200)
	if h, _ := a.at("propertiesWithHistory", "firstname").([]any); len(h) != 1 {
		t.Errorf("history %v, want one entry", h)
	}
	if w := b.do("GET", "/_sim/stats", nil).at("writes"); walk(w, "contacts") != 1.0 || walk(w, "without_change") != 1.0 {
		t.Errorf("writes %v", w)
	}
}

func TestHistoryTellsPersonFromApp(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	id := b.make(map[string]string{"firstname": "Ada"})
	b.do("POST", "/_sim/edit", map[string]any{"id": id, "properties": map[string]string{"firstname": "Grace"}}).want(t, 200)
	a := b.do("POST", contactsPath+"/batch/read", map[string]any{"inputs": []any{map[string]string{"id": id}}, "properties": []string{}, "propertiesWithHistory": []string{"firstname"}}).want(t, 200)
	h := a.at("results", 0, "propertiesWithHistory", "firstname")
	if walk(h, 0, "value") != "Grace" || walk(h, 0, "sourceType") != "CRM_UI" || walk(h, 0, "sourceId") != "userId:52530071" {
		t.Errorf("newest entry %v", walk(h, 0))
	}
	if walk(h, 1, "value") != "Ada" || walk(h, 1, "sourceType") != "INTEGRATION" || walk(h, 1, "sourceId") != "1001" {
		t.Errorf("oldest entry %v", walk(h, 1))
	}
}

func TestLifecycleStageMovesForwardOnlyThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	id := b.make(map[string]string{"firstname": "Ada", "lifecyclestage": "customer"})
	set := func(stage string) {
		b.do("PATCH", contactsPath+"/"+id, map[string]any{"properties": map[string]string{"lifecyclestage": stage}}).want(t, 200)
	}
	set("lead")
	if got := b.read(id, "lifecyclestage"); got != "customer" {
		t.Errorf("backward write gave %q", got)
	}
	set("")
	set("lead")
	if got := b.read(id, "lifecyclestage"); got != "lead" {
		t.Errorf("cleared and set gave %q", got)
	}
	b.do("POST", "/_sim/edit", map[string]any{"id": id, "properties": map[string]string{"lifecyclestage": "subscriber"}}).want(t, 200)
	if got := b.read(id, "lifecyclestage"); got != "subscriber" {
		t.Errorf("a person's backward edit gave %q", got)
	}
}

func TestValuesAreStoredInHubSpotsForm(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for _, p := range []string{
		`{"name":"renewal","label":"R","type":"date","fieldType":"date","groupName":"contactinformation"}`,
		`{"name":"flag","label":"F","type":"bool","fieldType":"booleancheckbox","groupName":"contactinformation","options":[{"label":"Yes","value":"true"},{"label":"No","value":"false"}]}`,
		`{"name":"score","label":"S","type":"number","fieldType":"number","groupName":"contactinformation"}`,
		`{"name":"many","label":"M","type":"enumeration","fieldType":"checkbox","groupName":"contactinformation","options":[{"label":"A","value":"a"},{"label":"B","value":"b"},{"label":"C","value":"c"}]}`,
	} {
		b.do("POST", "/crm/properties/2026-09/contacts", p).want(t, 201)
	}
	id := b.make(map[string]string{"firstname": "Ada"})
	for _, c := range []struct{ path, property, sent, want, warning string }{
		{"/crm/v3/objects/contacts/", "renewal", `"2026-02-03"`, "2026-02-03", ""},
		{"/crm/v3/objects/contacts/", "renewal", `"1735689600000"`, "2025-01-01", ""},
		{"/crm/objects/2026-09/contacts/", "renewal", `"2026-05-06T12:00:00Z"`, "2026-05-06", "1778025600000"},
		{"/crm/objects/2026-09/contacts/", "closedate", `"1735689601"`, "2025-01-01T00:00:01Z", "1735689601000"},
		{"/crm/v3/objects/contacts/", "closedate", `"2026-05-06T14:00:00.25+02:00"`, "2026-05-06T12:00:00.250Z", ""},
		{"/crm/v3/objects/contacts/", "flag", `true`, "true", ""},
		{"/crm/v3/objects/contacts/", "score", `12.50`, "12.50", ""},
		{"/crm/v3/objects/contacts/", "many", `"c;a"`, "a;c", ""},
		{"/crm/v3/objects/contacts/", "many", `";b"`, "a;b;c", ""},
		{"/crm/v3/objects/contacts/", "hs_timezone", `"america_slash_los_angeles"`, "america_slash_los_angeles", ""},
		{"/crm/v3/objects/contacts/", "phone", `" (202) 555-0100 "`, " (202) 555-0100 ", ""},
		{"/crm/v3/objects/contacts/", "email", `" Ada@Example.COM"`, "ada@example.com", ""},
		{"/crm/v3/objects/contacts/", "phone", `""`, "", ""},
	} {
		t.Run(c.property+" "+c.sent, func(t *testing.T) {
			a := b.do("PATCH", c.path+id, fmt.Sprintf(`{"properties":{%q:%s}}`, c.property, c.sent)).want(t, 200)
			if got := b.read(id, c.property); got != c.want {
				t.Errorf("stored %q, want %q", got, c.want)
			}
			if got, _ := a.at("warnings", 0, "context", "normalizedValue").(string); got != c.warning {
				t.Errorf("normalised to %q, want %q: %s", got, c.warning, a.text)
			}
		})
	}
}

func TestListWalksInIDOrderAndSplitsArchived(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	var ids []string
	for i := range 5 {
		ids = append(ids, b.make(map[string]string{"firstname": fmt.Sprint(i)}))
	}
	b.do("DELETE", contactsPath+"/"+ids[1], nil).want(t, 204)
	b.do("DELETE", contactsPath+"/"+ids[1], nil).want(t, 204)
	a := b.do("GET", contactsPath+"?limit=3", nil).want(t, 200)
	if a.at("results", 1, "id") != ids[2] || a.at("paging", "next", "after") != ids[4] {
		t.Errorf("first page %s", a.text)
	}
	a = b.do("GET", contactsPath+"?limit=3&after="+ids[4], nil).want(t, 200)
	if a.at("results", 0, "id") != ids[4] || a.at("paging") != nil {
		t.Errorf("last page %s", a.text)
	}
	a = b.do("GET", contactsPath+"?archived=true", nil).want(t, 200)
	if a.at("results", 0, "id") != ids[1] || a.at("results", 0, "archivedAt") == nil || a.at("results", 1) != nil {
		t.Errorf("archived %s", a.text)
	}
	b.do("GET", contactsPath+"/"+ids[1], nil).want(t, 404)
	b.do("GET", contactsPath+"/"+ids[1]+"?archived=true", nil).want(t, 200)
}

func TestMergeMakesANewRecordThatOldIDsLeadTo(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	one := b.make(map[string]string{"email": "one@example.com", "firstname": "One", "lifecyclestage": "lead"})
	two := b.make(map[string]string{"email": "two@example.com", "firstname": "Two", "city": "Oslo", "lifecyclestage": "customer"})
	a := b.do("POST", contactsPath+"/merge", map[string]string{"primaryObjectId": one, "objectIdToMerge": two}).want(t, 200)
	id := a.at("id").(string)
	if id == one || id == two {
		t.Fatalf("merge kept id %s", id)
	}
	for _, old := range []string{one, two} {
		a := b.do("GET", contactsPath+"/"+old+"?properties=email,firstname,city,lifecyclestage,hs_merged_object_ids,hs_additional_emails", nil).want(t, 200)
		p := a.at("properties")
		if a.at("id") != id || walk(p, "firstname") != "One" || walk(p, "city") != "Oslo" || walk(p, "lifecyclestage") != "customer" ||
			walk(p, "hs_merged_object_ids") != one+";"+two || walk(p, "hs_additional_emails") != "two@example.com" {
			t.Errorf("through %s: %s", old, a.text)
		}
	}
	if a := b.do("GET", contactsPath+"/two@example.com?idProperty=email", nil).want(t, 200); a.at("id") != id {
		t.Errorf("additional e-mail leads to %v", a.at("id"))
	}
	b.do("POST", contactsPath, `{"properties":{"email":"two@example.com"}}`).want(t, 409)
	a = b.do("POST", contactsPath+"/batch/update", map[string]any{"inputs": []any{map[string]any{"id": one, "properties": map[string]string{"city": "Bergen"}}}}).want(t, 200)
	if r, _ := a.at("results").([]any); len(r) != 0 {
		t.Errorf("batch update of a merged-away id gave %s", a.text)
	}
	third := b.make(map[string]string{"email": "three@example.com"})
	last := b.do("POST", contactsPath+"/merge", map[string]string{"primaryObjectId": third, "objectIdToMerge": id}).want(t, 200).at("id")
	if a := b.do("GET", contactsPath+"/"+one, nil).want(t, 200); a.at("id") != last {
		t.Errorf("after a second merge the first id leads to %v, want %v", a.at("id"), last)
	}
}

func TestPrivacyDeleteBlocksTheAddressOfNobody(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	id := b.make(map[string]string{"email": "gone@example.com"})
	b.do("POST", contactsPath+"/gdpr-delete", map[string]string{"objectId": "gone@example.com", "idProperty": "email"}).want(t, 204)
	b.do("GET", contactsPath+"/"+id+"?archived=true", nil).want(t, 404)
	b.do("POST", contactsPath+"/gdpr-delete", map[string]string{"objectId": "never@example.com", "idProperty": "email"}).want(t, 204)
	b.do("POST", contactsPath, `{"properties":{"email":"never@example.com"}}`).want(t, 400)
}

func TestPropertiesAreArchivedAndRestoredByCreate(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	const path = "/crm/properties/2026-09/contacts"
	const body = `{"name":"pick","label":"Pick","type":"enumeration","fieldType":"select","groupName":"contactinformation","options":[{"label":"A","value":"a"},{"label":"B","value":"b"}]}`
	made := b.do("POST", path, body).want(t, 201)
	if !strings.HasSuffix(made.header.Get("Location"), "/pick") {
		t.Errorf("Location %q", made.header.Get("Location"))
	}
	a := b.do("PATCH", path+"/pick", `{"label":"Other"}`).want(t, 200)
	if o, _ := a.at("options").([]any); len(o) != 2 || a.at("label") != "Other" {
		t.Errorf("patch of the label gave %s", a.text)
	}
	a = b.do("PATCH", path+"/pick", `{"options":[{"label":"C","value":"c"}],"hasUniqueValue":true}`).want(t, 200)
	if o, _ := a.at("options").([]any); len(o) != 1 || a.at("hasUniqueValue") != false {
		t.Errorf("patch of the options gave %s", a.text)
	}
	b.do("DELETE", path+"/pick", nil).want(t, 204)
	b.do("GET", path+"/pick", nil).want(t, 404)
	b.do("GET", path+"/pick?archived=true", nil).want(t, 200)
	b.do("POST", contactsPath, `{"properties":{"firstname":"x","pick":"c"}}`).want(t, 400)
	if a := b.do("POST", path, body).want(t, 201); a.at("createdAt") != made.at("createdAt") {
		t.Errorf("restored with createdAt %v, want %v", a.at("createdAt"), made.at("createdAt"))
	}
	a = b.do("POST", path+"/batch/create", `{"inputs":[`+body+`,{"name":"fresh","label":"F","type":"string","fieldType":"text","groupName":"contactinformation"}]}`).want(t, 207)
	if a.at("errors", 0, "context", "name", 0) != "pick" || a.at("results", 0, "name") != "fresh" {
		t.Errorf("batch create gave %s", a.text)
	}
	list := b.do("GET", path, nil).want(t, 200)
	if r, _ := list.at("results").([]any); len(r) < 320 {
		t.Errorf("only %d definitions", len(r))
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	a := b.do("GET", "/crm/owners/2026-09?limit=2", nil).want(t, 200)
	if a.at("paging", "next", "after") != "81003" || a.at("results", 0, "userId") == nil {
		t.Errorf("got %s", a.text)
	}
	a = b.do("GET", "/crm/owners/2026-09?archived=true", nil).want(t, 200)
	if a.at("results", 0, "userId") != nil || a.at("results", 0, "userIdIncludingInactive") == nil || a.at("results", 1) != nil {
		t.Errorf("got %s", a.text)
	}
}

func TestInstantsDropZeroMilliseconds(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()
	if got := instant(at); got != "2026-01-02T03:04:05Z" {
		t.Errorf("got %s", got)
	}
	if got := instant(at + 7); got != "2026-01-02T03:04:05.007Z" {
		t.Errorf("got %s", got)
	}
}
