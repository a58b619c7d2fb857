package alowaresim_test

import "testing"

// TestAnAutomationRewritesWhatTheAPIWrote, and not what people set, until it is
// over.
func TestAnAutomationRewritesWhatTheAPIWrote(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Switches.Echo = false
	a := open(t, cfg)
	id := a.contact(object{"phone_number": dana, "city": "Oslo"})
	a.control("automations", []object{{"field": "city", "set": "Rome", "delay_ms": 0, "times": 2}, {"field": "first_name", "append": "!", "delay_ms": 0}})
	write := func(name, value string) {
		t.Helper()
		if got := a.write("POST", "forms", object{"phone_number": dana, name: value, "force_update": 1}); got.status > 299 {
			t.Fatalf("the write of %s was answered %d: %s", name, got.status, got.raw)
		}
	}
	for _, city := range []string{"Bern", "Kiel"} {
		write("city", city)
		a.expect("Contact-Updated") // the automation's: the API's own is not told
		want(t, a.shown(id), "cnam_city", "Rome")
	}
	write("city", "Linz")
	write("first_name", "Dana")
	a.expect("Contact-Updated")
	want(t, a.shown(id), "first_name", "Dana!")
	want(t, a.shown(id), "cnam_city", "Linz")
	a.control("edit", object{"id": id, "fields": object{"first_name": "Eve"}})
	a.expect("Contact-Updated")
	a.control("automations", []object{})
	write("first_name", "Ann")
	a.nothing()
	want(t, a.shown(id), "first_name", "Ann")
	for _, bad := range []object{
		{"field": "nope", "set": "x"}, {"field": "city"}, {"field": "city", "set": "x", "upper": true}, {"field": "city", "set": "x", "times": -1}, {"when": 1},
	} {
		if got := a.do("POST", "/_sim/automations", []object{bad}); got.status != 400 {
			t.Errorf("%v was answered %d", bad, got.status)
		}
	}
}
