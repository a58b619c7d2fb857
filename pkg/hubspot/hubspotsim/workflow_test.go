package hubspotsim

import "testing"

// TestAWorkflowRewritesWhatAnAppWrote, and not what people set, until it is over.
func TestAWorkflowRewritesWhatAnAppWrote(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.run()
	id := b.make(props{"firstname": "Ada", "city": "Oslo"})
	b.do("POST", "/_sim/workflows", `[{"property":"city","set":"Rome","delay_ms":0,"times":2},{"property":"firstname","upper":true,"append":"!","delay_ms":0,"id":"7"}]`).want(t, 200)
	write := func(property, value string) {
		t.Helper()
		b.do("PATCH", contactsPath+"/"+id, map[string]any{"properties": props{property: value}}).want(t, 200)
	}
	becomes := func(property, value string) {
		t.Helper()
		waitFor(t, func() bool { return b.read(id, property) == value })
	}
	write("city", "Bern")
	becomes("city", "Rome")
	history := b.do("GET", contactsPath+"/"+id+"?propertiesWithHistory=city", nil).want(t, 200)
	if newest := history.at("propertiesWithHistory", "city").([]any)[0].(map[string]any); newest["sourceType"] != "AUTOMATION_PLATFORM" || newest["sourceId"] != "118" {
		t.Errorf("the change is told as %v", newest)
	}
	write("firstname", "Bob")
	becomes("firstname", "BOB!")
	b.do("POST", "/_sim/edit", map[string]any{"id": id, "properties": props{"city": "Kiel", "firstname": "Eve"}}).want(t, 200)
	write("city", "Bern")
	becomes("city", "Rome")
	write("city", "Linz")
	write("firstname", "Cy")
	becomes("firstname", "CY!") // after which a change of the city would have been made
	if got := b.read(id, "city"); got != "Linz" {
		t.Errorf("the city is %q, though the workflow is over", got)
	}
	b.do("POST", "/_sim/workflows", `[]`).want(t, 200)
	write("firstname", "Dan")
	if got := b.read(id, "firstname"); got != "Dan" {
		t.Errorf("the name is %q, though no workflow is there", got)
	}
	for _, bad := range []string{
		`[{"property":"nope","set":"x"}]`, `[{"property":"createdate","set":"x"}]`, `[{"property":"city"}]`, `[{"property":"city","set":"x","upper":true}]`,
		`[{"property":"city","set":"x","times":-1}]`, `{}`,
	} {
		b.do("POST", "/_sim/workflows", bad).want(t, 400)
	}
}
