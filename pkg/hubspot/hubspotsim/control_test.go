package hubspotsim

import (
	"bufio"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestControlContactsGivesOneFlatObjectPerLine(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	id := b.make(props{"firstname": "Ada", "city": "Oslo"})
	b.do("POST", "/_sim/edit", map[string]any{"id": id, "properties": props{"city": ""}}).want(t, 200)
	b.do("POST", "/_sim/load", `{"contacts":1200,"seed":1}`).want(t, 200)
	lines, first := 0, map[string]string{}
	in := bufio.NewScanner(strings.NewReader(b.do("GET", "/_sim/contacts", nil).want(t, 200).text))
	for in.Scan() {
		var c map[string]string
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if lines == 0 {
			first = c
		}
		lines++
	}
	if _, cleared := first["city"]; lines != 1201 || first["id"] != id || first["firstname"] != "Ada" || cleared {
		t.Errorf("%d lines, first %v", lines, first)
	}
	if a := b.do("GET", "/_sim/contacts?id="+id, nil).want(t, 200); a.at("firstname") != "Ada" {
		t.Errorf("got %s", a.text)
	}
}

func TestLoadIsTheSameForASeedAndUniqueAcrossLoads(t *testing.T) {
	t.Parallel()
	one, two := start(t, Config{}), start(t, Config{})
	seen := map[string]bool{}
	phone := regexp.MustCompile(`^\+1[2-9]\d\d[5-9]\d{6}$`)
	for range 2 {
		one.do("POST", "/_sim/load", `{"contacts":700,"seed":5}`).want(t, 200)
	}
	two.do("POST", "/_sim/load", `{"contacts":1400,"seed":5}`).want(t, 200)
	for i, c := range one.sim.store.order {
		other := two.sim.store.order[i]
		email, number := c.get(one.sim.store.schema.email), c.get(one.sim.store.schema.ids["phone"])
		if email != other.get(two.sim.store.schema.email) || c.id != other.id {
			t.Fatalf("contact %d differs between runs", i)
		}
		if seen[email] || seen[number] || !phone.MatchString(number) {
			t.Fatalf("contact %d: %s %s is not unique or no number", i, email, number)
		}
		seen[email], seen[number] = true, true
	}
}

func TestLoadedValuesAreValid(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for n := range 300 {
		texts := loadedValues(1, n)
		for i, name := range loadedProperties {
			d := b.sim.store.schema.defs[b.sim.store.schema.ids[name]]
			if text, _, bad := b.sim.store.normalise(d, texts[i], "", rules{}); bad != nil || text != texts[i] {
				t.Fatalf("%s %q: %v, stored %q", name, texts[i], bad, text)
			}
		}
	}
}

func TestBadControlInputSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"edit", `{"id":"5","properties":{}}`, 404}, {"edit", `{"properties":{"nope":"1"}}`, 400}, {"edit", `{`, 400},
		{"load", `{"contacts":0}`, 400}, {"load", `{"count":1}`, 400}, {"merge", `{"primary":"1","secondary":"2"}`, 404},
		{"delete", `{"id":"1"}`, 404}, {"restore", `{"id":"1"}`, 404}, {"privacy-delete", `{"id":"1"}`, 404},
		{"options", `{"property":"city","options":[]}`, 400}, {"config", `{"webhook_url":"x"}`, 400}, {"config", `{"window_limit":-1}`, 400}, {"nothing", `{}`, 404},
	} {
		a := b.do("POST", "/_sim/"+c.path, c.body).want(t, c.status)
		if text, _ := a.at("error").(string); !strings.Contains(text, "POST /_sim/"+c.path) {
			t.Errorf("%s %s: %s", c.path, c.body, a.text)
		}
	}
}

func TestOptionsAndConfigChangeAtRunTime(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.do("POST", "/_sim/options", `{"property":"hs_lead_status","options":[{"label":"Hot","value":"HOT"}]}`).want(t, 200)
	b.do("POST", contactsPath, `{"properties":{"firstname":"x","hs_lead_status":"NEW"}}`).want(t, 400)
	b.do("POST", contactsPath, `{"properties":{"firstname":"x","hs_lead_status":"HOT"}}`).want(t, 201)
	b.do("POST", "/_sim/config", `{"window_limit":2}`).want(t, 200)
	b.do("GET", contactsPath, nil).want(t, 429)
	b.do("POST", "/_sim/stats/reset", nil).want(t, 200)
	if s := b.do("GET", "/_sim/stats", nil); s.at("requests") != 0.0 || s.at("window_limit") != 2.0 {
		t.Errorf("stats %s", s.text)
	}
}

func TestPageEditsOnlyWhatTheVisitorChanged(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	a := b.do("POST", "/create", nil).want(t, 400)
	if !strings.Contains(a.text, `role="alert"`) {
		t.Error("no alert for an empty contact")
	}
	id := b.make(props{"firstname": "<Ada>", "city": "Oslo"})
	if a := b.do("GET", "/?q=ada", nil).want(t, 200); !strings.Contains(a.text, "&lt;Ada&gt;") || !strings.Contains(a.text, `name="viewport"`) {
		t.Errorf("list %s", a.text)
	}
	page := b.do("GET", "/contact/"+id, nil).want(t, 200)
	if !strings.Contains(page.text, "the integration") || !strings.Contains(page.text, `name="was.city" value="Oslo"`) {
		t.Errorf("contact page %s", page.text)
	}
	b.do("PATCH", contactsPath+"/"+id, `{"properties":{"city":"Bergen"}}`).want(t, 200)
	form := url.Values{"firstname": {"Grace"}, "was.firstname": {"<Ada>"}, "city": {"Oslo"}, "was.city": {"Oslo"}, "extra": {"zip"}, "extravalue": {"0150"}}
	b.post("/contact/"+id, form).want(t, 303)
	if b.read(id, "firstname") != "Grace" || b.read(id, "city") != "Bergen" || b.read(id, "zip") != "0150" {
		t.Errorf("after the edit: %s", b.do("GET", "/_sim/contacts?id="+id, nil).text)
	}
	if a := b.do("GET", "/contact/"+id, nil); !strings.Contains(a.text, "a person") {
		t.Error("the history does not show the person")
	}
	b.post("/contact/"+id, url.Values{"extra": {"nope"}}).want(t, 400)
	b.post("/contact/"+id+"/delete", nil).want(t, 303)
	b.do("GET", "/contact/"+id, nil).want(t, 404)
	b.post("/contact/"+id+"/restore", nil).want(t, 303)
	other := b.make(props{"firstname": "Other"})
	b.post("/contact/"+id+"/merge", url.Values{"secondary": {other}}).want(t, 303)
}
